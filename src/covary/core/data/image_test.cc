#include "covary/core/data/image.h"

#include <cmath>
#include <cstring>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>

#include "covary/core/base/error.h"
#include "covary/core/base/error_of.h"
#include "covary/core/base/file.h"
#include "covary/core/base/random.h"
#include "covary/core/base/temporary_folder.h"

namespace covary::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

Image8 noise(int height, int width, int channels) {
  Image8 image(height, width, channels);
  const Random random(7);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<uint8_t>(random.words(i)[0]);
  return image;
}

// A smooth picture, which JPEG keeps well.
Image8 ramp(int height, int width, int channels) {
  Image8 image(height, width, channels);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.at(y, x)[c] = static_cast<uint8_t>((x * 2 + y * 3 + c * 40) % 200 + 20);
  return image;
}

class Pictures : public testing::Test {
 protected:
  const TemporaryFolder temporary_{"image"};
  const fs::path folder_ = temporary_.path();
};

TEST_F(Pictures, PngKeepsEveryByteOfEachChannelCount) {
  for (const int channels : {1, 3, 4}) {
    const Image8 image = noise(13, 17, channels);
    write_image(folder_ / "a.png", image);
    const Image8 back = read_image(folder_ / "a.png");
    EXPECT_EQ(back.channels, channels);
    EXPECT_EQ(back.pixels, image.pixels);
  }
}

TEST_F(Pictures, Png16KeepsEveryValueAndReducesToEightBits) {
  Image16 image(3, 5, 1);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<uint16_t>(i * 4369);
  write_image16(folder_ / "d.png", image);
  EXPECT_EQ(read_image16(folder_ / "d.png").pixels, image.pixels);
  EXPECT_EQ(image_info(folder_ / "d.png").bits, 16);
  const Image8 small = read_image(folder_ / "d.png");
  for (size_t i = 0; i < image.pixels.size(); ++i)
    EXPECT_EQ(small.pixels[i], std::lround(image.pixels[i] / 257.0));
}

TEST_F(Pictures, JpegIsNearAndGreyStaysGrey) {
  for (const int channels : {1, 3}) {
    const Image8 image = ramp(40, 30, channels);
    write_image(folder_ / "a.jpg", image);
    const Image8 back = read_image(folder_ / "a.jpg");
    ASSERT_EQ(back.channels, channels);
    double sum = 0;
    for (size_t i = 0; i < image.pixels.size(); ++i)
      sum += std::abs(image.pixels[i] - back.pixels[i]);
    EXPECT_LT(sum / static_cast<double>(image.pixels.size()), 4.0);
  }
}

TEST_F(Pictures, KindIsTakenFromContentNotFromTheName) {
  const auto bytes = encode_png(noise(4, 4, 3));
  write_file(folder_ / "lies.jpg", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  EXPECT_EQ(read_image(folder_ / "lies.jpg").width, 4);
  const ImageInfo info = image_info(folder_ / "lies.jpg");
  EXPECT_EQ(info.height, 4);
  EXPECT_EQ(info.channels, 3);
}

TEST_F(Pictures, FaultsNameTheFileAndTheCause) {
  EXPECT_EQ(error_of([&] { read_image(folder_ / "gone.png"); }).code(), ExitCode::kData);
  write_file(folder_ / "text.png", "hello, world");
  const Error unknown = error_of([&] { read_image(folder_ / "text.png"); });
  EXPECT_THAT(unknown.where(), HasSubstr("text.png"));
  EXPECT_THAT(unknown.message(), HasSubstr("not a PNG or JPEG"));
  for (const bool png : {true, false}) {
    auto bytes = png ? encode_png(noise(64, 64, 3)) : encode_jpeg(noise(64, 64, 3), 95);
    bytes.resize(bytes.size() / 2);
    const Error cut = error_of([&] { decode_image(bytes, "cut"); });
    EXPECT_EQ(cut.code(), ExitCode::kData) << png;
    EXPECT_EQ(cut.where(), "cut");
    EXPECT_FALSE(cut.hint().empty());
  }
}

TEST_F(Pictures, AbsurdSizesAreRefusedBeforeAllocating) {
  auto png = encode_png(noise(8, 8, 3));
  // Width and height stand at 16 and 20, big-endian; the chunk's CRC at 29 must be right for the
  // size to be looked at.
  png[16] = 0, png[17] = 1, png[18] = 0, png[19] = 0;     // 65536
  png[20] = 0, png[21] = 0, png[22] = 0x20, png[23] = 0;  // 8192
  uint32_t crc = 0xffffffffu;
  for (int i = 12; i < 29; ++i) {
    crc ^= png[i];
    for (int k = 0; k < 8; ++k) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1)));
  }
  crc = ~crc;
  for (int i = 0; i < 4; ++i) png[29 + i] = static_cast<uint8_t>(crc >> (24 - 8 * i));
  EXPECT_THAT(error_of([&] { decode_image(png, "bomb.png"); }).message(),
              HasSubstr("65536 x 8192"));
  auto jpeg = encode_jpeg(ramp(16, 16, 3), 90);
  for (size_t i = 0; i + 8 < jpeg.size(); ++i) {
    if (jpeg[i] != 0xff || jpeg[i + 1] != 0xc0) continue;
    jpeg[i + 5] = jpeg[i + 7] = 0x7f;  // the high bytes of height and width
    break;
  }
  EXPECT_THAT(error_of([&] { decode_image(jpeg, "bomb.jpg"); }).message(), HasSubstr("can hold"));
}

TEST(Resize, AreaAveragesExactlyWithIntegerAndFractionalFactors) {
  Image8 image(2, 6, 1);
  image.pixels = {0, 10, 20, 30, 40, 50, 100, 110, 120, 130, 140, 150};
  const Image8 half = resize_area(image, 3, 1);
  EXPECT_THAT(half.pixels, ElementsAre(55, 75, 95));
  // 6 -> 4 columns: 1.5 inputs each; the first is (1 * a + 0.5 * b) / 1.5.
  const Image8 odd = resize_area(image, 4, 2);
  EXPECT_EQ(odd.at(0, 0)[0], std::lround((0 + 0.5 * 10) / 1.5));
  EXPECT_EQ(odd.at(0, 1)[0], std::lround((0.5 * 10 + 20) / 1.5));
  EXPECT_EQ(odd.at(1, 3)[0], std::lround((0.5 * 140 + 150) / 1.5));
}

TEST(Resize, TransparentPixelsDoNotBleedTheirColour) {
  Image8 image(1, 2, 4);
  image.pixels = {200, 100, 50, 255, 0, 255, 0, 0};
  for (const auto& small : {resize_area(image, 1, 1), resize_lanczos(image, 1, 1)})
    EXPECT_THAT(small.pixels, ElementsAre(200, 100, 50, 128));
}

TEST(Resize, FiltersKeepAConstantPicture) {
  Image8 image(37, 53, 3);
  std::fill(image.pixels.begin(), image.pixels.end(), uint8_t{77});
  for (const auto& [w, h] : {std::pair{10, 7}, {53, 7}, {100, 90}}) {
    EXPECT_THAT(resize_area(image, w, h).pixels, testing::Each(77));
    EXPECT_THAT(resize_lanczos(image, w, h).pixels, testing::Each(77));
    EXPECT_EQ(resize_nearest(image, w, h).pixels.size(), static_cast<size_t>(w * h * 3));
  }
}

TEST(Resize, LanczosPassesLowFrequenciesAndStopsHighOnes) {
  const auto wave = [](int n, double periods) {
    Image8 image(1, n, 1);
    for (int x = 0; x < n; ++x)
      image.pixels[x] = static_cast<uint8_t>(
          std::lround(128 + 100 * std::sin(2 * M_PI * periods * (x + 0.5) / n)));
    return image;
  };
  const Image8 low = resize_lanczos(wave(240, 3), 60, 1), want = wave(60, 3);
  for (int x = 6; x < 54; ++x) EXPECT_NEAR(low.pixels[x], want.pixels[x], 3) << x;
  const Image8 high = resize_lanczos(wave(240, 60), 60, 1);
  for (int x = 6; x < 54; ++x) EXPECT_NEAR(high.pixels[x], 128, 4) << x;
}

TEST(Resize, NearestTakesTheCoveredCentre) {
  Image8 image(1, 4, 1);
  image.pixels = {1, 2, 3, 4};
  EXPECT_THAT(resize_nearest(image, 2, 1).pixels, ElementsAre(2, 4));
}

TEST(Convert, BytesToFloatAndBackIsExactAndNanBecomesZero) {
  Image8 image(16, 16, 1);
  for (int i = 0; i < 256; ++i) image.pixels[i] = static_cast<uint8_t>(i);
  EXPECT_EQ(to_bytes(to_float(image)).pixels, image.pixels);
  ImageF odd(1, 3, 1);
  odd.pixels = {std::nanf(""), -2.0f, 9.0f};
  EXPECT_THAT(to_bytes(odd).pixels, ElementsAre(0, 0, 255));
}

}  // namespace
}  // namespace covary::data
