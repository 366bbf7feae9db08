#include "covary/core/base/base64.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"

namespace covary {
namespace {

std::vector<uint8_t> bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

// RFC 4648, section 10.
TEST(Base64, IsThatOfTheStandard) {
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : cases) {
    EXPECT_EQ(base64(bytes_of(plain)), text);
    EXPECT_EQ(from_base64(text, "text"), bytes_of(plain));
  }
}

TEST(Base64, KeepsEveryByte) {
  std::vector<uint8_t> all;
  for (int i = 0; i < 1000; ++i) all.push_back(static_cast<uint8_t>(i * i + i / 3));
  EXPECT_EQ(from_base64(base64(all), "text"), all);
}

TEST(Base64, RefusesOtherLetters) {
  for (const std::string& text :
       {std::string("Zm9*"), std::string("Zm 9"), std::string("Zm\0v", 4)})
    EXPECT_THROW(from_base64(text, "text"), Error) << text;
}

}  // namespace
}  // namespace covary
