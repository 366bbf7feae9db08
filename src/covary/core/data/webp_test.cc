#include "covary/core/data/webp.h"

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"

namespace covary::data {
namespace {

Image8 noise(int height, int width) {
  Image8 image(height, width, 4);
  const Random random(3, 9);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<uint8_t>(random.below(256, i));
  return image;
}

TEST(Webp, EveryByteComesBackAlsoUnderAlphaZero) {
  Image8 image = noise(37, 52);
  for (int y = 0; y < 37; y += 2)
    for (int x = 0; x < 52; ++x) image.at(y, x)[3] = 0;
  const auto bytes = encode_webp(image);
  EXPECT_TRUE(is_webp(bytes));
  const ImageInfo info = webp_info(bytes, "a");
  EXPECT_EQ(info.height, 37);
  EXPECT_EQ(info.width, 52);
  EXPECT_EQ(decode_webp(bytes, "a").pixels, image.pixels);
}

TEST(Webp, BrokenFilesAreNamed) {
  std::vector<uint8_t> bytes = encode_webp(noise(20, 20));
  bytes.resize(bytes.size() / 2);
  for (const std::vector<uint8_t>& b : {bytes, std::vector<uint8_t>(), std::vector<uint8_t>(40, 1)})
    try {
      decode_webp(b, "quats.webp");
      FAIL();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kData);
      EXPECT_EQ(e.where(), "quats.webp");
    }
}

TEST(Webp, AHugePictureOfNothingIsNotDecoded) {
  const Image8 plain(16000, 4000, 4);
  const auto bytes = encode_webp(plain, 0);
  ASSERT_LT(bytes.size(), 10000u);
  EXPECT_THROW(decode_webp(bytes, "a"), Error);
}

TEST(Webp, SizesThatItDoesNotHaveAreRefused) {
  EXPECT_THROW(encode_webp(Image8(1, 16384, 4)), Error);
  EXPECT_THROW(encode_webp(Image8(4, 4, 3)), Error);
}

}  // namespace
}  // namespace covary::data
