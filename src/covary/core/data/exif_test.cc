#include "covary/core/data/exif.h"

#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/file.h"
#include "covary/core/base/random.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/data/image.h"
#include "covary/core/data/test_photos.h"

namespace covary::data {
namespace {

// An Exif block, little-endian, of the given tags.
class BlockWriter {
 public:
  struct Tag {
    uint16_t id, type;  // 2 text, 3 short, 4 long, 5 rational
    std::vector<uint32_t> values;
    std::string text = "";
  };

  static std::string block(const std::vector<Tag>& ifd0, const std::vector<Tag>& exif,
                           const std::vector<Tag>& gps) {
    std::string out("II*\0\x08\0\0\0", 8);
    std::vector<Tag> first = ifd0;
    const size_t exif_at = 8 + bytes_of(first, 2), gps_at = exif_at + bytes_of(exif, 0);
    first.push_back({0x8769, 4, {static_cast<uint32_t>(exif_at)}});
    first.push_back({0x8825, 4, {static_cast<uint32_t>(gps_at)}});
    put(out, first);
    put(out, exif);
    put(out, gps);
    return std::string("Exif\0\0", 6) + out;
  }

 private:
  static size_t payload(const Tag& t) {
    if (t.type == 2) return t.text.size() + 1;
    return t.values.size() * (t.type == 3 ? 2 : 4);
  }
  static size_t bytes_of(const std::vector<Tag>& tags, size_t more) {
    size_t n = 2 + 12 * (tags.size() + more) + 4;
    for (const Tag& t : tags)
      if (payload(t) > 4) n += payload(t);
    return n;
  }
  static void number(std::string& out, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(v >> (8 * i)));
  }
  static void put(std::string& out, const std::vector<Tag>& tags) {
    size_t data = out.size() + 2 + 12 * tags.size() + 4;
    std::string behind;
    number(out, tags.size(), 2);
    for (const Tag& t : tags) {
      std::string value = t.type == 2 ? t.text + '\0' : "";
      for (const uint32_t v : t.values) number(value, v, t.type == 3 ? 2 : 4);
      number(out, t.id, 2);
      number(out, t.type, 2);
      number(out, t.type == 2 ? value.size() : t.values.size() / (t.type == 5 ? 2 : 1), 4);
      if (value.size() > 4) {
        number(out, data, 4);
        data += value.size();
        behind += value;
      } else {
        value.resize(4, '\0');
        out += value;
      }
    }
    number(out, 0, 4);
    out += behind;
  }
};

void write_photo(const std::filesystem::path& path, const std::string& block) {
  write_jpeg_with_block(path, Image8(8, 8, 3), block);
}

std::string phone() {
  return BlockWriter::block(
      {{0x010f, 2, {}, "Acme"}, {0x0110, 2, {}, "Acme One"}, {0x0112, 3, {6}}},
      {{0x829a, 5, {1, 50}},
       {0x829d, 5, {18, 10}},
       {0x8827, 3, {400}},
       {0x920a, 5, {42, 10}},
       {0xa405, 3, {26}}},
      {{0x0001, 2, {}, "S"},
       {0x0002, 5, {33, 1, 30, 1, 36, 1}},
       {0x0003, 2, {}, "E"},
       {0x0004, 5, {18, 1, 15, 1, 0, 1}},
       {0x0006, 5, {1234, 10}}});
}

TEST(ExifData, AllThatIsAskedForIsRead) {
  const TemporaryFolder folder("exif");
  write_photo(folder.path() / "a.jpg", phone());
  const Exif e = read_exif(folder.path() / "a.jpg");
  EXPECT_EQ(e.orientation, 6);
  EXPECT_EQ(e.camera, "Acme One");
  EXPECT_DOUBLE_EQ(e.exposure_s, 0.02);
  EXPECT_DOUBLE_EQ(e.f_number, 1.8);
  EXPECT_DOUBLE_EQ(e.iso, 400);
  EXPECT_DOUBLE_EQ(e.focal_mm, 4.2);
  EXPECT_DOUBLE_EQ(e.focal_35mm, 26);
  ASSERT_TRUE(e.gps.has_value());
  EXPECT_NEAR((*e.gps)[0], -33.51, 1e-9);
  EXPECT_NEAR((*e.gps)[1], 18.25, 1e-9);
  EXPECT_NEAR((*e.gps)[2], 123.4, 1e-9);
  ASSERT_TRUE(e.log2_exposure().has_value());
  EXPECT_NEAR(*e.log2_exposure(), std::log2(0.02 * 4 / 3.24), 1e-12);
  EXPECT_EQ(read_image(folder.path() / "a.jpg").height, 8);
}

TEST(ExifData, AnExposureIsReadAsItWasWritten) {
  const TemporaryFolder folder("exif");
  Exif stated;
  EXPECT_EQ(exif_block(stated), "");
  stated.f_number = 2.8;
  write_photo(folder.path() / "part.jpg", exif_block(stated));
  EXPECT_DOUBLE_EQ(read_exif(folder.path() / "part.jpg").f_number, 2.8);
  EXPECT_EQ(read_exif(folder.path() / "part.jpg").iso, 0);
  stated.exposure_s = 0.004;
  stated.iso = 800;
  write_photo(folder.path() / "whole.jpg", exif_block(stated));
  const Exif e = read_exif(folder.path() / "whole.jpg");
  EXPECT_DOUBLE_EQ(e.exposure_s, 0.004);
  EXPECT_EQ(e.iso, 800);
  EXPECT_EQ(e.log2_exposure(), stated.log2_exposure());
  EXPECT_EQ(e.orientation, 1);
  EXPECT_EQ(read_image(folder.path() / "whole.jpg").width, 8);
  stated.orientation = 8;
  write_photo(folder.path() / "turned.jpg", exif_block(stated));
  EXPECT_EQ(read_exif(folder.path() / "turned.jpg").orientation, 8);
  EXPECT_EQ(read_exif(folder.path() / "turned.jpg").log2_exposure(), stated.log2_exposure());
  const std::vector<uint8_t> jpeg = encode_jpeg(Image8(8, 8, 3), 90);
  EXPECT_EQ(with_exif_block(jpeg, ""), jpeg);
  EXPECT_EQ(with_exif_block(jpeg, std::string(65534, 'x')), jpeg);
}

TEST(ExifData, WhatIsNotThereIsUnknown) {
  const TemporaryFolder folder("exif");
  write_image(folder.path() / "a.png", Image8(8, 8, 3));
  write_image(folder.path() / "a.jpg", Image8(8, 8, 3));
  for (const char* name : {"a.png", "a.jpg", "absent.jpg"}) {
    const Exif e = read_exif(folder.path() / name);
    EXPECT_EQ(e.orientation, 1) << name;
    EXPECT_FALSE(e.log2_exposure().has_value()) << name;
    EXPECT_FALSE(e.gps.has_value()) << name;
  }
}

TEST(ExifData, DamagedBlocksGiveNoNonsense) {
  const TemporaryFolder folder("exif");
  const std::string block = phone();
  const Random random(3);
  for (uint64_t trial = 0; trial < 400; ++trial) {
    std::string bad = block;
    for (uint64_t k = 0; k < 4; ++k) {
      const auto words = random.words(4 * trial + k);
      bad[6 + words[0] % (bad.size() - 6)] = static_cast<char>(words[1]);
    }
    if (trial % 3 == 0) bad.resize(6 + random.words(9000 + trial)[0] % (bad.size() - 6));
    write_photo(folder.path() / "a.jpg", bad);
    const Exif e = read_exif(folder.path() / "a.jpg");
    EXPECT_GE(e.orientation, 1);
    EXPECT_LE(e.orientation, 8);
    for (const double v : {e.focal_mm, e.focal_35mm, e.exposure_s, e.f_number, e.iso}) {
      EXPECT_TRUE(std::isfinite(v));
      EXPECT_GE(v, 0);
    }
    if (e.gps) {
      EXPECT_TRUE(e.gps->allFinite());
    }
  }
}

}  // namespace
}  // namespace covary::data
