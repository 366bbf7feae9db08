#include "covary/core/base/spool.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "covary/core/base/error_of.h"
#include "covary/core/base/temporary_folder.h"

namespace covary {
namespace {

TEST(Spool, GivesBackWhatItWasGivenFromAnyPlace) {
  const TemporaryFolder folder("spool");
  Spool s(folder.path());
  std::vector<uint8_t> bytes(5000);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  s.append(std::span(bytes).first(1));
  s.append({});
  s.append(std::span(bytes).subspan(1));
  EXPECT_EQ(s.size(), 5000u);
  std::vector<uint8_t> back(6000);
  ASSERT_EQ(s.read(0, back), 5000u);
  back.resize(5000);
  EXPECT_EQ(back, bytes);
  ASSERT_EQ(s.read(4990, back), 10u);
  EXPECT_EQ(back[0], bytes[4990]);
  EXPECT_EQ(s.read(5000, back), 0u);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "the file has no name";
}

TEST(Spool, AFolderThatIsNotThereIsSaid) {
  EXPECT_EQ(error_of([] { Spool s("/no/such/folder"); }).code(), ExitCode::kData);
}

}  // namespace
}  // namespace covary
