#include "covary/splat/scene/convex.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <Eigen/Geometry>

#include "covary/core/base/error.h"
#include "covary/core/base/error_of.h"
#include "covary/core/base/file.h"
#include "covary/core/base/random.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/splat/scene/format.h"
#include "covary/splat/scene/similarity.h"

namespace covary::scene {
namespace {

at::Tensor normals(uint64_t stream, at::IntArrayRef shape) {
  at::Tensor t = at::empty(shape, at::kDouble);
  const Random random(9, stream);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data_ptr<double>()[i] = random.normal(static_cast<uint64_t>(i));
  return t;
}

Convexes some_convexes(int64_t n, int64_t points) {
  Convexes c{normals(1, {n, 1, 3}) + 0.2 * normals(2, {n, points, 3}), normals(3, {n}).exp(),
             normals(4, {n}).exp() * 0.01};
  c.points.select(0, 0).select(1, 1).fill_(0.25);  // one in a plane
  return c;
}
Cloud some_cloud(int64_t n, int64_t points) {
  Cloud cloud;
  cloud.opacities = normals(5, {n}).to(at::kFloat);
  cloud.sh0 = normals(6, {n, 1, 3}).to(at::kFloat);
  cloud.shN = normals(7, {n, 3, 3}).to(at::kFloat);
  set_convexes(cloud, some_convexes(n, points));
  return cloud;
}

// Largest error over the size of a convex.
double error(const Convexes& a, const Convexes& b) {
  const double points = (a.points - b.points).abs().max().item<double>() / 0.2;
  return std::max({points, (a.delta / b.delta).log().abs().max().item<double>(),
                   (a.sigma / b.sigma).log().abs().max().item<double>()});
}

TEST(ConvexCloud, GivesBackWhatWasSet) {
  for (const int64_t points : {4, 6, 8}) {
    const Cloud cloud = some_cloud(30, points);
    cloud.check();
    EXPECT_EQ(convex_points(cloud), points);
    EXPECT_LT(error(convexes_of(cloud), some_convexes(30, points)), 1e-5);
    EXPECT_EQ(convex_extras(cloud).sizes(), at::IntArrayRef({30, 3 * points + 2}));
  }
}

TEST(ConvexCloud, ItsGaussiansHaveTheMeanAndCovarianceOfThePoints) {
  const Convexes c = some_convexes(20, 6);
  const Cloud g = as_gaussians(some_cloud(20, 6));
  EXPECT_EQ(g.footprint, "gaussian");
  EXPECT_TRUE(g.columns.empty());
  EXPECT_LT((g.means.to(at::kDouble) - c.points.mean(1)).abs().max().item<double>(), 1e-6);
  const at::Tensor spread = (c.points - c.points.mean(1, true)).pow(2).sum(2).mean(1),
                   trace = (2 * g.scales.to(at::kDouble)).exp().sum(1);
  EXPECT_LT(((trace - spread) / spread).abs().max().item<double>(), 1e-5);
}

TEST(ConvexCloud, TurnsMovesAndGrowsWithItsGaussians) {
  Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
  m.topLeftCorner<3, 3>() =
      2.5 * Eigen::Quaterniond(0.4, 0.3, -0.5, 0.7).normalized().toRotationMatrix();
  m.topRightCorner<3, 1>() << 1, -2, 3;
  Convexes expected = some_convexes(25, 6);
  at::Tensor a = at::empty({3, 3}, at::kDouble);
  Eigen::Map<Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(a.data_ptr<double>()) =
      m.topLeftCorner<3, 3>();
  expected.points = expected.points.matmul(a.t()) + at::tensor({1.0, -2.0, 3.0}, at::kDouble);
  expected.delta = expected.delta / 2.5;  // the law of scale: compute/project/convex.h
  expected.sigma = expected.sigma / 2.5;
  EXPECT_LT(error(convexes_of(transformed(some_cloud(25, 6), m)), expected), 2e-5);
  // half turns, which formats with other axes make
  Convexes flipped = some_convexes(25, 6);
  flipped.points = flipped.points * at::tensor({1.0, -1.0, -1.0}, at::kDouble);
  EXPECT_LT(error(convexes_of(turned(some_cloud(25, 6), Eigen::Vector3d(1, -1, -1).asDiagonal())),
                  flipped),
            1e-5);
}

TEST(ConvexCloud, PlyHoldsIt) {
  const auto file = std::filesystem::path(testing::TempDir()) / "convexes.ply";
  Cloud cloud = some_cloud(12, 6);
  save_cloud(file, cloud);
  const Cloud back = load_cloud(file);
  EXPECT_EQ(back.footprint, kConvex);
  EXPECT_TRUE(at::equal(convex_extras(back), convex_extras(cloud)));
  const auto whole = std::filesystem::file_size(file);
  store_short(cloud);
  save_cloud(file, cloud);
  EXPECT_LT(std::filesystem::file_size(file), whole);
  EXPECT_LT(error(convexes_of(load_cloud(file)), some_convexes(12, 6)), 1e-3);
  // what knows Gaussians alone says so
  const auto spz = std::filesystem::path(testing::TempDir()) / "convexes.spz";
  const auto lost = losses(format_of_output(spz), cloud);
  ASSERT_FALSE(lost.empty());
  EXPECT_NE(lost[0].find("hull"), std::string::npos);
  save_cloud(spz, cloud);
  EXPECT_EQ(load_cloud(spz).footprint, "gaussian");
  cloud.columns.erase("hull_5");
  EXPECT_THROW(cloud.check(), Error);
  std::filesystem::remove(file);
  std::filesystem::remove(spz);
}

TEST(ConvexCloud, JoinsPointsIn16BitsAndAsFloats) {
  const Cloud whole = some_cloud(12, 6);
  Cloud light = whole;
  store_short(light);
  for (const auto& clouds : {std::vector<Cloud>{light, whole}, std::vector<Cloud>{whole, light}}) {
    const Cloud both = merged(clouds);
    EXPECT_EQ(both.columns.at("hull_0").scalar_type(), at::kFloat);
    for (int64_t k = 0; k < 2; ++k)  // 1/8192 is a float without loss
      EXPECT_LT(
          error(convexes_of(slice(both, 12 * k, 12)), convexes_of(clouds[static_cast<size_t>(k)])),
          1e-12);
  }
  EXPECT_EQ(merged({light, light}).columns.at("hull_0").scalar_type(), at::kShort);
}

TEST(ConvexCloud, APlyWithoutAllColumnsIsRefusedByName) {
  const TemporaryFolder folder("convex");
  const auto good = folder.path() / "good.ply", broken = folder.path() / "broken.ply";
  save_cloud(good, some_cloud(3, 6));
  for (const std::string column : {"hull_0", "hull_5", "hull_17", "hull_delta", "hull_sigma"}) {
    std::string bytes = read_file(good);
    bytes.replace(bytes.find(" " + column + "\n"), column.size() + 2,
                  " " + std::string(column.size(), 'q') + "\n");
    std::ofstream(broken, std::ios::binary) << bytes;
    const Error e = error_of([&] { load_cloud(broken); });
    EXPECT_EQ(e.code(), ExitCode::kData) << column;
    EXPECT_NE(e.where().find(broken.string()), std::string::npos) << column;
    EXPECT_FALSE(e.hint().empty()) << column;
  }
}

TEST(ConvexCloud, PointsThatAreNoNumbersAreNotFinite) {
  for (const char* column : {"hull_3", "hull_delta", "hull_sigma"}) {
    Cloud cloud = some_cloud(5, 6);
    cloud.columns["other"] = at::full({5}, std::nan(""), at::kFloat);
    EXPECT_TRUE(finite_rows(cloud).all().item<bool>());
    cloud.columns.at(column)[2] = std::nan("");
    const at::Tensor good = finite_rows(cloud);
    EXPECT_EQ(good.sum().item<int64_t>(), 4) << column;
    EXPECT_FALSE(good[2].item<bool>()) << column;
    EXPECT_EQ(finite_rows(slice(cloud, 0, 0)).numel(), 0);
  }
}

TEST(ConvexCloud, GltfLosesTheHullsAndNoColumnsBesides) {
  Cloud cloud = some_cloud(4, 6);
  const auto told = [&] {
    std::string all;
    for (const std::string& line : losses(format_of_output("a.glb"), cloud)) all += line + "\n";
    return all;
  };
  EXPECT_EQ(told().find("columns"), std::string::npos) << told();
  cloud.columns["label"] = at::arange(4, at::kInt);
  EXPECT_NE(told().find("columns as floats"), std::string::npos) << told();
}

TEST(ConvexCloud, GaussiansBecomeHullsAroundThem) {
  Cloud cloud = as_gaussians(some_cloud(10, 6));
  const Convexes c = convexes_of_gaussians(cloud, 6, 1.2, 0.1, 0.001);
  EXPECT_LT((c.points.mean(1) - cloud.means).abs().max().item<double>(), 0.2);
  const at::Tensor d = cloud.scales.to(at::kDouble).mean(1).exp();
  EXPECT_LT((c.delta * d - 0.1).abs().max().item<double>(), 1e-9);
  EXPECT_TRUE((c.sigma == 0.001).all().item<bool>());
}

}  // namespace
}  // namespace covary::scene
