// How a cloud's primitives look, through files and where a format knows Gaussians alone.
#include "covary/splat/scene/cloud.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/splat/scene/format.h"
#include "covary/splat/scene/ply.h"
#include "covary/splat/scene/test_clouds.h"

namespace covary::scene {
namespace {

using testing::HasSubstr;
using testing_clouds::random_cloud;

Cloud shaped_cloud() {
  Cloud c = random_cloud(20, 1);
  c.footprint = "generalized";
  c.columns["shape"] = at::linspace(1, 8, 20, at::kFloat);
  return c;
}

TEST(CloudFootprint, TravelsThroughPlyAndThroughEdits) {
  const TemporaryFolder folder("cloud");
  for (Cloud cloud : {shaped_cloud(), random_cloud(20, 1)}) {
    if (cloud.columns.empty()) cloud.footprint = "analytic";
    write_ply(folder.path() / "a.ply", cloud);
    const Cloud back = read_ply(folder.path() / "a.ply");
    EXPECT_EQ(back.footprint, cloud.footprint);
    EXPECT_EQ(select(back, at::tensor({3, 1}, at::kLong)).footprint, cloud.footprint);
    EXPECT_EQ(in_double(back).footprint, cloud.footprint);
    if (!cloud.columns.empty()) {
      EXPECT_TRUE(at::equal(back.columns.at("shape"), cloud.columns.at("shape")));
    }
  }
}

TEST(CloudFootprint, UnknownOnesAndMissingShapesAreRefused) {
  const TemporaryFolder folder("cloud");
  const auto path = folder.path() / "a.ply";
  Cloud c = random_cloud(5, 0);
  c.footprint = "analytic";
  write_ply(path, c);
  std::string bytes = read_file(path);
  const auto put = [&](const std::string& name) {
    std::string other = bytes;
    other.replace(other.find("footprint analytic"), 18, "footprint " + name);
    write_file(path, other);
  };
  put("triangle");
  EXPECT_THROW(read_ply(path), Error);
  put("generalized");
  EXPECT_THROW(read_ply(path), Error);
  Cloud none = shaped_cloud();
  none.columns.clear();
  EXPECT_THROW(none.check(), Error);
}

TEST(CloudFootprint, AsGaussiansTheyKeepTheirVariance) {
  // moments of exp(-r^b / 2) in the plane, by sums
  Cloud c = shaped_cloud();
  c.opacities.fill_(-1);
  const Cloud g = as_gaussians(c);
  EXPECT_EQ(g.footprint, "gaussian");
  EXPECT_EQ(g.columns.count("shape"), 0u);
  for (const int64_t i : {int64_t{0}, int64_t{7}, int64_t{19}}) {
    const double b = c.columns.at("shape")[i].item<double>();
    double total = 0, second = 0;
    for (double r = 5e-4; r < 80; r += 1e-3) {
      const double v = std::exp(-0.5 * std::pow(r, b)) * r;
      total += v;
      second += 0.5 * v * r * r;
    }
    total *= 1e-3;
    second *= 1e-3;
    EXPECT_NEAR((g.scales - c.scales)[i][1].item<double>(), 0.5 * std::log(second / total), 1e-3);
    const double o = 1 / (1 + std::exp(1.0)),
                 wanted = std::min(0.999, o * total / (second / total));
    EXPECT_NEAR(at::sigmoid(g.opacities[i]).item<double>(), wanted, 2e-3) << b;
  }
  EXPECT_TRUE(as_gaussians(random_cloud(5, 0)).columns.empty());
}

TEST(CloudFootprint, FormatsOfGaussiansSayWhatBecomesOfThem) {
  const TemporaryFolder folder("cloud");
  const SceneFormat* spz = find_format("spz");
  ASSERT_NE(spz, nullptr);
  EXPECT_THAT(losses(*spz, shaped_cloud()),
              testing::Contains(HasSubstr("the Gaussian of the same variance")));
  EXPECT_THAT(losses(*find_format("ply"), shaped_cloud()), testing::IsEmpty());
  Cloud analytic = random_cloud(20, 1);
  analytic.footprint = "analytic";
  EXPECT_THAT(losses(*spz, analytic), testing::Contains(HasSubstr("integrate")));
  save_cloud(folder.path() / "a.spz", analytic);
  const Cloud back = load_cloud(folder.path() / "a.spz");
  EXPECT_EQ(back.footprint, "gaussian");
  EXPECT_TRUE(back.antialiased);
}

}  // namespace
}  // namespace covary::scene
