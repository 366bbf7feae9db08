#include "covary/splat/capture/photos.h"

#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/data/test_photos.h"
#include "covary/core/data/video.h"
#include "covary/core/data/zip.h"

namespace covary::capture {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

data::Image8 picture(int height, int width) {
  data::Image8 image(height, width, 3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      image.at(y, x)[0] = static_cast<uint8_t>(5 * x);
      image.at(y, x)[1] = static_cast<uint8_t>(7 * y);
    }
  return image;
}

void write_turned(const fs::path& path, const data::Image8& image, int orientation) {
  data::Exif exif;
  exif.orientation = orientation;
  exif.exposure_s = 0.02;
  exif.f_number = 4;
  exif.iso = 200;
  data::write_jpeg_with_block(path, image, data::exif_block(exif));
}

std::vector<std::string> names_of(const PhotoSet& set) {
  std::vector<std::string> names;
  for (const Photo& p : set.photos) names.push_back(p.name);
  return names;
}

class Photos : public testing::Test {
 protected:
  void SetUp() override { make_folder(folder_); }
  void photo(const std::string& name) const {
    make_folder((folder_ / name).parent_path());
    data::write_image(folder_ / name, picture(12, 20));
  }
  std::string refusal() const {
    try {
      gather_photos(folder_, temporary_.path() / "images", {});
    } catch (const Error& e) {
      return e.message() + " | " + e.hint();
    }
    return "";
  }

  const TemporaryFolder temporary_{"photos"};
  const fs::path folder_ = temporary_.path() / "in";
};

TEST_F(Photos, FoldersAreSearchedAndTheRestIsSaid) {
  for (const char* name : {"b.jpg", "a.JPG", "sub/c.png", "masks/a.png", ".hidden.png"})
    if (std::string(name) == "a.JPG") {
      photo("x.jpg");
      fs::rename(folder_ / "x.jpg", folder_ / "a.JPG");
    } else {
      photo(name);
    }
  write_file(folder_ / "broken.jpg", "no picture");
  write_file(folder_ / "IMG_1.HEIC", "x");
  write_file(folder_ / "notes.txt", "x");
  const PhotoSet set = list_photos(folder_);
  EXPECT_THAT(names_of(set), ElementsAre("a.JPG", "b.jpg", "sub/c.png"));
  EXPECT_EQ(set.photos[1].width, 20);
  EXPECT_EQ(set.photos[1].height, 12);
  EXPECT_THAT(set.notes, Contains(HasSubstr("broken.jpg")));
  EXPECT_THAT(set.notes, Contains(HasSubstr("IMG_1.HEIC")));
}

TEST_F(Photos, LinkedOrCopiedUnderTheirNames) {
  for (const char* name : {"a.jpg", "b.jpg", "sub/c.jpg"}) photo(name);
  const fs::path linked = temporary_.path() / "linked", copied = temporary_.path() / "copied";
  gather_photos(folder_, linked, {});
  PhotoOptions copy;
  copy.images = "copy";
  gather_photos(folder_, copied, copy);
  EXPECT_EQ(read_file(linked / "sub/c.jpg"), read_file(folder_ / "sub/c.jpg"));
  EXPECT_EQ(fs::hard_link_count(linked / "a.jpg"), 2u);
  EXPECT_EQ(read_file(copied / "a.jpg"), read_file(folder_ / "a.jpg"));
  EXPECT_EQ(fs::hard_link_count(copied / "a.jpg"), 1u);
}

TEST_F(Photos, MasksGoWithTheirPhotos) {
  photo("images/a.jpg");
  photo("images/b c.jpg");
  write_turned(folder_ / "images/t.jpg", picture(12, 20), 6);
  photo("masks/a.jpg.png");
  photo("masks/t.png");
  photo("masks/b c.jpg.png");
  const fs::path out = temporary_.path() / "out" / "images";
  const PhotoSet set = gather_photos(folder_ / "images", out, {});
  EXPECT_THAT(names_of(set), ElementsAre("a.jpg", "b_c.jpg", "t.jpg"));
  const fs::path masks = out.parent_path() / "masks";
  EXPECT_EQ(read_file(masks / "a.jpg.png"), read_file(folder_ / "masks/a.jpg.png"));
  EXPECT_TRUE(fs::exists(masks / "b_c.jpg.png"));
  EXPECT_EQ(data::image_info(masks / "t.jpg.png").height, 20);
  EXPECT_THAT(set.notes, Contains(HasSubstr("3 photos have a mask")));
}

TEST_F(Photos, SpacesInNames) {
  for (const char* name : {"a b.jpg", "a_b.jpg", "my trip/c.jpg"}) photo(name);
  const fs::path images = temporary_.path() / "images";
  const PhotoSet set = gather_photos(folder_, images, {});
  EXPECT_THAT(names_of(set), ElementsAre("_a_b.jpg", "a_b.jpg", "my_trip/c.jpg"));
  for (const Photo& p : set.photos) EXPECT_TRUE(fs::exists(images / p.name)) << p.name;
  EXPECT_THAT(set.notes, Contains(HasSubstr("a b.jpg")));
}

TEST_F(Photos, StoredTurnedTheyComeUpright) {
  for (const char* name : {"a.jpg", "b.jpg"}) photo(name);
  write_turned(folder_ / "turned.jpg", picture(12, 20), 6);
  const fs::path images = temporary_.path() / "images";
  const PhotoSet set = gather_photos(folder_, images, {});
  const Photo& p = set.photos[2];
  EXPECT_EQ(p.name, "turned.jpg");
  EXPECT_EQ(p.width, 12);
  EXPECT_EQ(p.height, 20);
  EXPECT_EQ(p.exif.orientation, 1);
  const data::Image8 shown = data::read_image(images / "turned.jpg");
  EXPECT_EQ(shown.width, 12);
  EXPECT_EQ(shown.height, 20);
  // The stored lower left corner is shown at the upper left.
  EXPECT_NEAR(shown.at(1, 1)[1], 7 * 10, 12);
  EXPECT_NEAR(shown.at(18, 1)[0], 5 * 18, 12);
  EXPECT_EQ(data::read_exif(images / "turned.jpg").orientation, 1);
  EXPECT_EQ(data::read_exif(images / "turned.jpg").iso, 200);
  EXPECT_THAT(set.notes, Contains(HasSubstr("upright")));
}

TEST_F(Photos, EveryOrientationAgainstTwoTurns) {
  // Turning by 6 twice is 3; 8 undoes 6; each mirror undoes itself.
  const data::Image8 image = picture(9, 14);
  const auto equal = [](const data::Image8& a, const data::Image8& b) {
    return a.width == b.width && a.height == b.height && a.pixels == b.pixels;
  };
  EXPECT_TRUE(equal(upright(upright(image, 6), 6), upright(image, 3)));
  EXPECT_TRUE(equal(upright(upright(image, 6), 8), image));
  for (const int o : {2, 3, 4, 5, 7}) EXPECT_TRUE(equal(upright(upright(image, o), o), image)) << o;
  EXPECT_TRUE(equal(upright(upright(image, 6), 2), upright(image, 5)));
  EXPECT_TRUE(equal(upright(upright(image, 8), 2), upright(image, 7)));
  EXPECT_TRUE(equal(upright(upright(image, 3), 2), upright(image, 4)));
}

TEST_F(Photos, TooFewOrNoneIsAnError) {
  EXPECT_THAT(refusal(), HasSubstr("no photos"));
  write_file(folder_ / "a.HEIC", "x");
  EXPECT_THAT(refusal(), HasSubstr("convert them"));
  photo("a.jpg");
  EXPECT_THAT(refusal(), HasSubstr("1 photos, too few"));
}

TEST_F(Photos, KindsByContent) {
  EXPECT_EQ(kind_of(folder_), InputKind::kFolder);
  data::ZipWriter w(temporary_.path() / "a.bin");
  w.commit();
  EXPECT_EQ(kind_of(temporary_.path() / "a.bin"), InputKind::kZip);
  write_file(temporary_.path() / "v.MOV", "x");
  EXPECT_EQ(kind_of(temporary_.path() / "v.MOV"), InputKind::kVideo);
  write_file(temporary_.path() / "t.csv", "x");
  EXPECT_EQ(kind_of(temporary_.path() / "t.csv"), InputKind::kOther);
  EXPECT_EQ(kind_of(temporary_.path() / "absent"), InputKind::kOther);
}

TEST_F(Photos, OneFolderInAnotherIsEntered) {
  photo("trip/images/a.jpg");
  EXPECT_EQ(folder_of_photos(folder_), folder_ / "trip/images");
  photo("trip/b.jpg");
  EXPECT_EQ(folder_of_photos(folder_), folder_ / "trip/images");
  fs::remove_all(folder_ / "trip/images");
  EXPECT_EQ(folder_of_photos(folder_), folder_ / "trip");
}

TEST_F(Photos, FramesOfAVideo) {
  if (data::find_program("ffmpeg").empty()) GTEST_SKIP() << "ffmpeg is not installed";
  const fs::path video = temporary_.path() / "v.mp4";
  {
    data::VideoWriter w(video, 64, 48, {.fps = 10});
    for (int k = 0; k < 30; ++k) {
      data::Image8 image(48, 64, 3);
      for (int y = 0; y < 48; ++y)
        for (int x = 0; x < 64; ++x)
          std::fill_n(image.at(y, x), 3, static_cast<uint8_t>(((x + 2 * k) / 6 + y / 6) % 2 * 200));
      w.write(image);
    }
    w.commit();
  }
  PhotoOptions options;
  options.frames = 6;
  const PhotoSet set = gather_frames(video, temporary_.path() / "images", options);
  EXPECT_TRUE(set.sequence);
  EXPECT_EQ(set.photos.size(), 6u);
  EXPECT_EQ(set.photos[0].width, 64);
  EXPECT_TRUE(fs::exists(temporary_.path() / "images" / set.photos[5].name));
  EXPECT_THAT(set.notes, Contains(HasSubstr("6 of 30 frames")));
}

}  // namespace
}  // namespace covary::capture
