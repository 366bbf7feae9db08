#include "covary/splat/scene/photo_cache.h"

#include <atomic>
#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/splat/scene/test_captures.h"

namespace covary::scene {
namespace {

using namespace testing_captures;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kBytes = 300;  // of a view of 10 x 10

View small_view(int64_t i) {
  View v;
  v.name = std::to_string(i);
  v.image = plain(10, 10, 3, static_cast<int>(i));
  return v;
}

std::vector<PhotoCache::Pictures> small_pictures(int64_t n) {
  return std::vector<PhotoCache::Pictures>(static_cast<size_t>(n), {{}, kBytes});
}

template <class F>
void wait_until(F&& done) {
  for (int i = 0; i < 2000 && !done(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_TRUE(done());
}

TEST(PhotoCache, DecodesOnceWhatFits) {
  PhotoCache cache(10 * kBytes, small_pictures(10), small_view);
  for (int round = 0; round < 3; ++round)
    for (int64_t i = 0; i < 10; ++i) EXPECT_EQ(cache.get(i)->image.pixels[0], i);
  EXPECT_EQ(cache.loads(), 10);
  EXPECT_EQ(cache.held_bytes(), 10 * kBytes);
  EXPECT_EQ(cache.bytes(), 10 * kBytes);
}

TEST(PhotoCache, HoldsNoMoreThanItsBound) {
  PhotoCache cache(3 * kBytes + 1, small_pictures(10), small_view);
  for (int64_t i = 0; i < 50; ++i)
    EXPECT_EQ(cache.get(i * 7 % 10)->name, std::to_string(i * 7 % 10));
  EXPECT_EQ(cache.peak_bytes(), 3 * kBytes);
  // What is in use stays, and one more comes beside it.
  std::vector<std::shared_ptr<View>> used;
  for (int64_t i = 0; i < 5; ++i) used.push_back(cache.get(i));
  EXPECT_EQ(cache.peak_bytes(), 5 * kBytes);
  used.clear();
  cache.get(9);
  EXPECT_LE(cache.held_bytes(), 3 * kBytes);
  EXPECT_EQ(cache.limit(0), 3 * kBytes + 1);
  EXPECT_EQ(cache.held_bytes(), 0);
  EXPECT_EQ(cache.get(4)->name, "4") << "a bound of nothing: one is held while it is used";
  EXPECT_EQ(cache.held_bytes(), kBytes);
}

TEST(PhotoCache, WithoutAnOrderTheOneUsedLongestAgoGoes) {
  PhotoCache cache(2 * kBytes, small_pictures(4), small_view);
  for (const int64_t i : {0, 1, 0, 2}) cache.get(i);
  EXPECT_EQ(cache.loads(), 3);
  cache.get(0);
  EXPECT_EQ(cache.loads(), 3) << "1 went";
  cache.get(1);
  EXPECT_EQ(cache.loads(), 4);
}

TEST(PhotoCache, WithAnOrderTheOneNeededLastGoes) {
  PhotoCache cache(2 * kBytes, small_pictures(4), small_view);
  cache.get(0);
  cache.get(1);
  cache.expect({2, 0, 1}, 0);
  cache.get(2);
  cache.expect({0, 1}, 0);
  cache.get(0);
  EXPECT_EQ(cache.loads(), 3) << "of 0 and 1, 1 went";
  // Shuffled epochs whose order is known: a fifth of the pictures finds a fifth of the uses. The least recently used would find
  // a fiftieth.
  constexpr int64_t kViews = 50, kEpochs = 20;
  PhotoCache fifth(kViews / 5 * kBytes, small_pictures(kViews), small_view);
  const auto order_of = [](int64_t epoch) {
    return Random(3, static_cast<uint64_t>(epoch)).permutation(kViews);
  };
  for (int64_t e = 0; e < kEpochs; ++e) {
    const auto now = order_of(e), next = order_of(e + 1);
    for (size_t k = 0; k < static_cast<size_t>(kViews); ++k) {
      std::vector<int64_t> to_come(now.begin() + static_cast<std::ptrdiff_t>(k), now.end());
      to_come.insert(to_come.end(), next.begin(), next.end());
      fifth.expect(to_come, 0);
      fifth.get(now[k]);
    }
  }
  EXPECT_LT(static_cast<double>(fifth.loads()), 0.83 * kViews * kEpochs);
}

TEST(PhotoCache, WhatIsExpectedIsDecodedMeanwhile) {
  std::atomic<int> here{0};
  const auto me = std::this_thread::get_id();
  PhotoCache cache(3 * kBytes, small_pictures(10), [&](int64_t i) {
    here += std::this_thread::get_id() == me;
    return small_view(i);
  });
  cache.expect({4, 7, 2, 1}, 2);
  wait_until([&] { return cache.loads() == 2; });
  cache.get(4);
  cache.get(7);
  EXPECT_EQ(here, 0);
  EXPECT_EQ(cache.loads(), 2) << "2 and 1 were not to be decoded ahead";
  cache.get(2);
  EXPECT_EQ(here, 1);
  // No room but that of what is needed sooner: nothing is decoded ahead.
  const auto a = cache.get(4), b = cache.get(7), c = cache.get(2);
  cache.expect({9}, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(cache.loads(), 3);
  EXPECT_EQ(cache.peak_bytes(), 3 * kBytes);
}

TEST(PhotoCache, AFaultIsMetByTheOneWhoAsks) {
  std::atomic<int> tries{0};
  std::atomic<bool> broken{true};
  PhotoCache cache(3 * kBytes, small_pictures(4), [&](int64_t i) {
    ++tries;
    if (broken) throw Error(ExitCode::kData, "is broken", "photo " + std::to_string(i));
    return small_view(i);
  });
  cache.expect({2}, 1);
  wait_until([&] { return tries == 1 && cache.held_bytes() == 0; });
  EXPECT_EQ(error_of([&] { cache.get(2); }).where(), "photo 2");
  EXPECT_EQ(cache.held_bytes(), 0);
  broken = false;
  EXPECT_EQ(cache.get(2)->name, "2");
}

TEST(PhotoCache, OnePictureMoreIsMadeWithTheOthers) {
  PhotoCache cache(10 * kBytes, small_pictures(2), small_view);
  cache.get(0);
  const auto depth_of = [](float z) {
    return [z](View& v) {
      v.depth = data::ImageF(10, 10, 1);
      v.depth.pixels[0] = z;
    };
  };
  cache.add(0, &ViewParts::depth, 400, depth_of(1));
  EXPECT_EQ(cache.get(0)->depth.pixels[0], 1);
  EXPECT_TRUE(cache.get(1)->depth.empty());
  EXPECT_TRUE(cache.pictures(0).parts.depth);
  EXPECT_EQ(cache.held_bytes(), 2 * kBytes + 400);
  cache.add(0, &ViewParts::depth, 400, depth_of(2));
  EXPECT_EQ(cache.get(0)->depth.pixels[0], 2) << "in place of the first";
  EXPECT_EQ(cache.bytes(), 2 * kBytes + 400);
}

// ---- captures whose photos are decoded by need

// Photos with alpha, masks, a distorted lens, depth of one.
void write_rich_capture(const fs::path& root, const TestScene& scene) {
  const Random random(9);
  uint64_t e = 0;
  const auto noise = [&](int channels) {
    data::Image8 image(scene.lens.height, scene.lens.width, channels);
    for (uint8_t& p : image.pixels) p = static_cast<uint8_t>(256 * random.uniform(e++));
    return image;
  };
  fs::create_directories(root / "images");
  fs::create_directories(root / "masks");
  for (size_t i = 0; i < scene.names.size(); ++i) {
    data::write_image(root / "images" / scene.names[i], noise(i % 3 == 0 ? 4 : i % 3 == 1 ? 3 : 1));
    if (i % 2 == 0) data::write_image(root / "masks" / scene.names[i], noise(1));
  }
  nlohmann::json d = transforms(scene);
  d["frames"][1]["depth_file_path"] = "d.npy";
  std::vector<double> depth(48 * 64);
  for (size_t i = 0; i < depth.size(); ++i) depth[i] = 1 + 0.01 * static_cast<double>(i % 97);
  write_doubles(root / "d.npy", {48, 64}, depth);
  write_file(root / "transforms.json", d.dump());
}

TEST(DecodedByNeed, ViewsAreThoseOfACaptureInMemory) {
  const TemporaryFolder folder("need");
  const TestScene scene;
  write_rich_capture(folder.path(), scene);
  for (const int64_t downscale : {1, 2})
    for (const char* mode : {"ignore", "empty"}) {
      CaptureOptions o;
      o.downscale = downscale;
      o.mask_mode = mode;
      const Capture all = load(folder.path(), o);
      o.photo_cache = 0;
      const Capture some = load(folder.path(), o);
      ASSERT_EQ(all.photos, nullptr);
      ASSERT_NE(some.photos, nullptr);
      EXPECT_EQ(all.notes, some.notes);
      EXPECT_EQ(all.picture_bytes(), some.picture_bytes());
      for (int64_t i = 0; i < 9; ++i) {
        EXPECT_TRUE(some.views[static_cast<size_t>(i)].image.empty());
        const auto a = all.view(i), b = some.view(i);
        EXPECT_EQ(a->name, b->name);
        EXPECT_EQ(a->camera.cam_from_world, b->camera.cam_from_world);
        EXPECT_EQ(a->camera.fx, b->camera.fx);
        EXPECT_EQ(a->camera.width, b->camera.width);
        EXPECT_EQ(a->image.pixels, b->image.pixels);
        EXPECT_EQ(a->alpha.pixels, b->alpha.pixels);
        EXPECT_EQ(a->mask.pixels, b->mask.pixels);
        EXPECT_EQ(a->depth.pixels, b->depth.pixels);
        EXPECT_EQ(all.parts(i).bytes(1, 1), some.parts(i).bytes(1, 1));
        EXPECT_EQ(some.photos->held_bytes(), b->image.pixels.size() + b->alpha.pixels.size() +
                                                 b->mask.pixels.size() +
                                                 4 * b->depth.pixels.size());
      }
      Capture held = some;
      hold_all(held);
      EXPECT_EQ(held.photos, nullptr);
      EXPECT_EQ(held.views[3].image.pixels, all.views[3].image.pixels);
    }
}

TEST(DecodedByNeed, ViewsHaveTheCameraThatTheCaptureHasNow) {
  const TemporaryFolder folder("need");
  write_colmap_capture(TestScene(3), folder.path());
  CaptureOptions o;
  o.photo_cache = 1e6;  // more than all
  EXPECT_EQ(load(folder.path(), o).photos, nullptr);
  o.photo_cache = 0;
  Capture c = load(folder.path(), o);
  c.view(1);
  c.views[1].camera.cam_from_world(0, 3) += 1;
  EXPECT_EQ(c.view(1)->camera.cam_from_world, c.views[1].camera.cam_from_world);
}

TEST(DecodedByNeed, WhatBecameOfAPhotoMeanwhileIsSaid) {
  const TemporaryFolder folder("need");
  const TestScene scene(3);
  write_colmap_capture(scene, folder.path());
  CaptureOptions o;
  o.photo_cache = 0;
  const Capture c = load(folder.path(), o);
  const fs::path photos = folder.path() / "images";
  fs::remove(photos / scene.names[0]);
  data::write_image(photos / scene.names[1], plain(24, 32, 3, 9));
  write_file(photos / scene.names[2], read_file(photos / scene.names[2]).substr(0, 80));
  const Error gone = error_of([&] { c.view(0); });
  EXPECT_EQ(gone.code(), ExitCode::kData);
  EXPECT_THAT(gone.where(), HasSubstr(scene.names[0]));
  const Error other = error_of([&] { c.view(1); });
  EXPECT_THAT(other.where(), HasSubstr(scene.names[1]));
  EXPECT_THAT(other.message(),
              HasSubstr("was 64 x 48 px when the capture was loaded and is 32 x 24 now"));
  const Error cut = error_of([&] { c.view(2); });
  EXPECT_THAT(cut.where(), HasSubstr(scene.names[2]));
  EXPECT_THAT(cut.message(), HasSubstr("PNG"));
}

}  // namespace
}  // namespace covary::scene
