// Every format that is written through every other, within what each states of its numbers. A format without a row below
// fails here.
#include <cmath>
#include <map>
#include <numbers>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/temporary_folder.h"
#include "covary/core/compute/sh/sh.h"
#include "covary/splat/scene/format.h"
#include "covary/splat/scene/test_clouds.h"

namespace covary::scene {
namespace {

using namespace testing_clouds;
namespace fs = std::filesystem;

// Of the numbers that are written: what steps between bounds depend on.
struct Ranges {
  double places = 0, log_scales = 0, sh0 = 0;  // widest of the three coordinates
  double farthest = 0;                         // largest absolute coordinate
};

Ranges ranges_of(const Cloud& c) {
  const auto width = [](const at::Tensor& t) {
    return (t.amax(0) - t.amin(0)).max().item<double>();
  };
  return {width(c.means), width(c.scales), width(c.sh0), c.means.abs().max().item<double>()};
}

// Largest difference after a file was written and read.
struct Bounds {
  double place = 0, log_scale = 0, alpha = 0;
  double colour = 0;    // of 0.5 + C0 f_dc
  double rotation = 0;  // of a component of the unit quaternion
  double sh = 0, sh_rms = 0;
  // What lies beyond is clipped; convert says how many.
  double least_colour = -INFINITY, most_colour = INFINITY, most_sh = INFINITY;
};

Bounds bounds_of(const std::string& format, const Ranges& r) {
  constexpr double kByte = 0.5 / 255 + 1e-6, kFloat = 2e-7;
  // The largest component, which is not stored, takes the errors of the other three.
  constexpr double kThreeOfTen = 3 * std::numbers::sqrt2 / 2 / 1022 + 1e-6;
  constexpr double kCodes = 256;
  if (format == "ply" || format == "npz" || format == "csv") return {};
  if (format == "gltf") return {0, 2e-6, kFloat, 0, kFloat, 0, 0};
  if (format == "compressed-ply")
    return {r.places / 2 / 1023 + 1e-6,
            r.log_scales / 2 / 1023 + 1e-6,
            kByte,
            compute::kShC0 * r.sh0 / 255 / 2 + 1e-5,
            kThreeOfTen,
            1.0 / 64 + 1e-6,
            1.0 / 64,
            -INFINITY,
            INFINITY,
            4};
  if (format == "spz")
    return {1.0 / 8192 + 1e-6,
            1.0 / 32 + 1e-6,
            kByte,
            0.5 / 255 / 0.15 * compute::kShC0 + 1e-6,
            kThreeOfTen,
            1.0 / 16 + 1.0 / 256,
            1.0 / 16,
            0.5 - compute::kShC0 / 0.3,
            0.5 + compute::kShC0 / 0.3,
            1};
  if (format == "splat") return {0, 2e-6, kByte, kByte, 0.02, 0, 0, 0, 1};
  if (format == "ksplat")
    return {2.5 / 32767 / 2 + 1e-6, 1.0 / 2048, kByte, kByte, 1e-3, 1.0 / 2048, 1.0 / 2048, 0, 1};
  if (format ==
      "sog")  // codes lie where the numbers are: in the tails they are twice as far apart; a palette is no bound
    return {(1 + r.farthest) * 2 * std::log1p(r.farthest) / 2 / 65535 + 1e-6,
            r.log_scales / kCodes,
            kByte,
            compute::kShC0 * r.sh0 / kCodes + 1e-6,
            3 * std::numbers::sqrt2 / 2 / 255 + 1e-6,
            INFINITY,
            0.52};  // the deviation of even numbers within +-0.9: better than their mean
  ADD_FAILURE() << "no bounds are stated for " << format;
  return {};
}

Bounds both(const Bounds& a, const Bounds& b) {
  return {a.place + b.place,
          a.log_scale + b.log_scale,
          a.alpha + b.alpha,
          a.colour + b.colour,
          a.rotation + b.rotation,
          a.sh + b.sh,
          a.sh_rms + b.sh_rms,
          std::max(a.least_colour, b.least_colour),
          std::min(a.most_colour, b.most_colour),
          std::min(a.most_sh, b.most_sh)};
}

void expect_within(const Cloud& back, const Cloud& want, const Bounds& b) {
  ASSERT_EQ(back.size(), want.size());
  EXPECT_LE(gap(back.means, want.means), b.place);
  EXPECT_LE(gap(back.opacities.sigmoid(), want.opacities.sigmoid()), b.alpha);
  // Of a covariance, relative to its size: scales change it by their factor squared, a turn by t by no more than 2 t;
  // and t is at most twice the distance of the quaternions, four components of which differ.
  const at::Tensor c = covariances(want);
  const double relative =
      ((covariances(back) - c).flatten(1).norm(2, {1}) / c.flatten(1).norm(2, {1}))
          .max()
          .item<double>();
  EXPECT_LE(relative,
            std::expm1(2 * b.log_scale) + 8 * b.rotation * std::exp(2 * b.log_scale) + 1e-5);
  const auto colour = [&](const Cloud& cloud) {
    return (0.5 + compute::kShC0 * cloud.sh0.to(at::kDouble)).clamp(b.least_colour, b.most_colour);
  };
  EXPECT_LE(gap(colour(back), colour(want)), b.colour);
  const int64_t degree = std::min(back.sh_degree(), want.sh_degree());
  const auto harmonics = [&](const Cloud& cloud) {
    return with_degree(cloud, degree).shN.to(at::kDouble).clamp(-b.most_sh, b.most_sh);
  };
  const at::Tensor d = harmonics(back) - harmonics(want);
  if (d.numel() == 0) return;
  EXPECT_LE(d.abs().max().item<double>(), b.sh);
  EXPECT_LE(d.square().mean().sqrt().item<double>(), b.sh_rms);
}

std::vector<std::string> written() {
  std::vector<std::string> names;
  for (const SceneFormat& f : scene_formats())
    if (f.is_written()) names.push_back(f.name);
  return names;
}

Cloud through(const Cloud& cloud, const std::string& format, const fs::path& folder) {
  const fs::path path = folder / (format + find_format(format)->extensions[0]);
  save_cloud(path, cloud, {.keep_order = true, .sog_sweeps = 1, .webp_effort = 0});
  return load_cloud(path);
}

class EveryPair : public testing::TestWithParam<std::string> {};

TEST_P(EveryPair, RoundTripsWithinBothBounds) {
  const TemporaryFolder folder("pairs");
  const Cloud cloud = random_cloud(10000, 3);
  const SceneFormat& a = *find_format(GetParam());
  const Cloud first = through(cloud, a.name, folder.path());
  EXPECT_EQ(first.sh_degree(), std::min(3, a.sh_degree));
  expect_within(first, cloud, bounds_of(a.name, ranges_of(cloud)));
  for (const std::string& b : written()) {
    SCOPED_TRACE(a.name + " to " + b);
    const Cloud second = through(first, b, folder.path());
    EXPECT_EQ(second.sh_degree(), std::min(first.sh_degree(), find_format(b)->sh_degree));
    expect_within(second, cloud,
                  both(bounds_of(a.name, ranges_of(cloud)), bounds_of(b, ranges_of(first))));
  }
}

std::string name_of_case(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::erase(name, '-');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Formats, EveryPair, testing::ValuesIn(written()), name_of_case);

class RealFiles : public testing::TestWithParam<std::string> {};

TEST_P(RealFiles, KeepTheBoundsInEveryFormat) {
  const char* data = std::getenv("COVARY_DATA");
  const fs::path file = fs::path(data ? data : "") / "splats" / GetParam();
  if (!data || !fs::exists(file))
    GTEST_SKIP() << "COVARY_DATA names no folder with splats/" << GetParam();
  const TemporaryFolder folder("real");
  // Some thousand rows from all over the file: codes and blocks are as those of the whole.
  const Cloud whole = load_cloud(file);
  const Cloud cloud =
      select(whole, at::arange(0, whole.size(), std::max<int64_t>(1, whole.size() / 8000)));
  for (const std::string& b : written()) {
    SCOPED_TRACE(b);
    Bounds bounds = bounds_of(b, ranges_of(cloud));
    if (b == "ksplat" || b == "sog") continue;  // sorts into blocks; codes follow the numbers
    expect_within(through(cloud, b, folder.path()), cloud, bounds);
  }
}

INSTANTIATE_TEST_SUITE_P(Splats, RealFiles,
                         testing::Values("biker.compressed.ply", "guitar.compressed.ply",
                                         "playbot/2_0", "minimal/minimal-v4.spz"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

}  // namespace
}  // namespace covary::scene
