#include "covary/core/base/names.h"

#include <gtest/gtest.h>

namespace covary {
namespace {

TEST(Names, ExtensionsInLowerCase) {
  EXPECT_EQ(lower_extension("a.B/IMG_1.JPG"), ".jpg");
  EXPECT_EQ(lower_extension("archive.tar.Gz"), ".gz");
  EXPECT_EQ(lower_extension("none"), "");
}

TEST(Names, AFewOfMany) {
  EXPECT_EQ(list_some({}), "");
  EXPECT_EQ(list_some({"a", "b"}), "a, b");
  EXPECT_EQ(list_some({"a", "b", "c", "d"}, 2), "a, b and 2 more");
}

}  // namespace
}  // namespace covary
