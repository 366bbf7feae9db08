// The operations of an edit that need no rendering: columns, crops, colours, statistics, steps as text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <Eigen/Geometry>

#include "covary/core/base/error.h"
#include "covary/core/compute/sh/sh.h"
#include "covary/splat/scene/columns.h"
#include "covary/splat/scene/crop.h"
#include "covary/splat/scene/edit_options.h"
#include "covary/splat/scene/recolour.h"
#include "covary/splat/scene/similarity.h"
#include "covary/splat/scene/statistics.h"
#include "covary/splat/scene/test_clouds.h"

namespace covary::scene {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_clouds::gap;
using testing_clouds::random_cloud;

double at_row(const at::Tensor& t, int64_t i) { return t[i].item<double>(); }

TEST(Columns, AreInTheUnitsOfTheirNames) {
  Cloud c = random_cloud(20, 2);
  c.columns["label"] = at::arange(20, at::kInt);
  c.columns["flow"] = at::rand({20, 2});
  EXPECT_EQ(gap(column(c, "position"), c.means), 0);
  EXPECT_EQ(at_row(column(c, "y"), 7), c.means[7][1].item<double>());
  EXPECT_NEAR(at_row(column(c, "scale_2"), 3), std::exp(c.scales[3][2].item<double>()), 1e-12);
  EXPECT_NEAR(at_row(column(c, "opacity"), 3), 1 / (1 + std::exp(-c.opacities[3].item<double>())),
              1e-12);
  EXPECT_NEAR(at_row(column(c, "green"), 5), 0.5 + compute::kShC0 * c.sh0[5][0][1].item<double>(),
              1e-12);
  EXPECT_NEAR(column(c, "rotation")[4].norm().item<double>(), 1, 1e-12);
  EXPECT_EQ(gap(column(c, "rotation_raw"), c.quats), 0);
  EXPECT_EQ(at_row(column(c, "opacity_raw"), 2), c.opacities[2].item<double>());
  // Channel-major: 8 of red, then 8 of green.
  EXPECT_EQ(at_row(column(c, "f_rest_9"), 6), c.shN[6][1][1].item<double>());
  EXPECT_EQ(column(c, "f_rest").size(1), 24);
  EXPECT_EQ(at_row(column(c, "f_rest").select(1, 9), 6), c.shN[6][1][1].item<double>());
  EXPECT_NEAR(at_row(column(c, "volume"), 1), std::exp(c.scales[1].sum().item<double>()), 1e-6);
  EXPECT_EQ(at_row(column(c, "label"), 11), 11);
  EXPECT_EQ(at_row(column(c, "flow_1"), 11), c.columns["flow"][11][1].item<double>());
  EXPECT_EQ(number_names(c).size(), 3 + 3 + 1 + 4 + 3 + 3 + 24 + 1 + 2u);
  const Error e = error_of([&] { column(c, "opacty"); });
  EXPECT_EQ(e.code(), ExitCode::kUsage);
  EXPECT_THAT(e.hint(), HasSubstr("opacity"));
  EXPECT_EQ(error_of([&] { column(c, "f_rest_24"); }).code(), ExitCode::kUsage);
  EXPECT_EQ(error_of([&] { column(c, "f_rest_99999999999999999999"); }).code(), ExitCode::kUsage);
}

TEST(Columns, ExpressionsChooseRows) {
  Cloud c = random_cloud(200, 0);
  c.columns["label"] = at::arange(200, at::kLong);
  const at::Tensor keep = rows_where(
      c, Expression::parse("opacity > 0.3 && max(scale) < 0.2 || label == 7 || index == 9"));
  int64_t kept = 0;
  for (int64_t i = 0; i < 200; ++i) {
    const bool want = (at_row(column(c, "opacity"), i) > 0.3 &&
                       c.scales[i].max().item<double>() < std::log(0.2)) ||
                      i == 7 || i == 9;
    EXPECT_EQ(keep[i].item<bool>(), want) << i;
    kept += want;
  }
  EXPECT_GT(kept, 10);
  EXPECT_LT(kept, 190);
  EXPECT_EQ(error_of([&] { rows_where(c, Expression::parse("scale > 1")); }).code(),
            ExitCode::kUsage);
}

TEST(Crop, KeepsWhatLiesInside) {
  Cloud c = random_cloud(300, 0);
  c.means[5][0] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor box = in_box(c, {-1, -2, -3}, {1, 0, std::numeric_limits<double>::infinity()}),
                   ball = in_ball(c, {0.5, 0, 0}, 1.5), above = above_plane(c, {0, 2, 1}, 0.5);
  for (int64_t i = 0; i < 300; ++i) {
    const double x = c.means[i][0].item<double>(), y = c.means[i][1].item<double>(),
                 z = c.means[i][2].item<double>();
    EXPECT_EQ(box[i].item<bool>(), x >= -1 && x <= 1 && y >= -2 && y <= 0 && z >= -3) << i;
    EXPECT_EQ(ball[i].item<bool>(), (x - 0.5) * (x - 0.5) + y * y + z * z <= 2.25) << i;
    EXPECT_EQ(above[i].item<bool>(), i != 5 && 2 * y + z >= 0.5) << i;
  }
}

TEST(Crop, CountsTheCamerasThatSeeACentre) {
  Cloud c = random_cloud(4, 0);
  const float places[4][3] = {{0, 0, 2}, {0, 0, -2}, {3, 0, 2}, {0.4f, 0, 1}};
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t k = 0; k < 3; ++k) c.means[i][k] = places[i][k];
  Camera a{.width = 100, .height = 100, .fx = 100, .fy = 100, .cx = 50, .cy = 50};
  Camera b = a;
  b.cam_from_world(0, 3) = -0.5;  // stands at x = 0.5
  EXPECT_EQ(seen_by(c, {a, b}).sum().item<int64_t>(), 4);
  const at::Tensor seen = seen_by(c, {a, b});
  EXPECT_EQ(seen[0].item<int64_t>(), 2);
  EXPECT_EQ(seen[1].item<int64_t>(), 0);  // behind
  EXPECT_EQ(seen[2].item<int64_t>(), 0);  // beside
  EXPECT_EQ(seen[3].item<int64_t>(), 2);
}

TEST(Recolour, IsAnAffineMapOfEveryViewsColours) {
  const Cloud c = random_cloud(50, 3);
  const Recolour change{.neutral = {0.8, 1, 0.9},
                        .exposure = 0.7,
                        .temperature = 0.2,
                        .tint = {1, 0.9, 0.8},
                        .saturation = 1.3,
                        .contrast = 1.1,
                        .brightness = 0.05};
  const ColourMap map = colour_map_of(change);
  const Cloud d = recoloured(c, change);
  const Eigen::Vector3d direction = Eigen::Vector3d(0.3, -0.5, 0.8).normalized();
  double basis[16];
  compute::sh_basis(3, direction.data(), basis);
  const auto colour = [&](const Cloud& of, int64_t i) {
    Eigen::Vector3d out(0.5, 0.5, 0.5);
    for (int k = 0; k < 3; ++k) {
      out[k] += basis[0] * of.sh0[i][0][k].item<double>();
      for (int64_t b = 0; b < 15; ++b) out[k] += basis[b + 1] * of.shN[i][b][k].item<double>();
    }
    return out;
  };
  for (int64_t i = 0; i < 50; ++i)
    EXPECT_LT((colour(d, i) - (map.matrix * colour(c, i) + map.offset)).norm(), 1e-5) << i;
  EXPECT_EQ(gap(d.means, c.means), 0);
  EXPECT_EQ(gap(d.opacities, c.opacities), 0);
}

TEST(Recolour, ItsPartsAreWhatTheySay) {
  const ColourMap grey = colour_map_of({.saturation = 0});
  const Eigen::Vector3d g = grey.matrix * Eigen::Vector3d(0.9, 0.2, 0.4);
  EXPECT_NEAR(g[0], 0.299 * 0.9 + 0.587 * 0.2 + 0.114 * 0.4, 1e-12);
  EXPECT_NEAR(g[0], g[2], 1e-12);
  const Eigen::Vector3d white =
      colour_map_of({.neutral = {0.6, 0.5, 0.4}}).matrix * Eigen::Vector3d(0.6, 0.5, 0.4);
  EXPECT_LT((white - Eigen::Vector3d::Constant(0.5)).norm(), 1e-12);
  EXPECT_NEAR(colour_map_of({.exposure = 2.2}).matrix(1, 1), 2, 1e-12);
  EXPECT_TRUE(colour_map_of({}).matrix.isIdentity(1e-12));
  EXPECT_NEAR(colour_map_of({}).offset.norm(), 0, 1e-12);
  const Cloud c = random_cloud(30, 0);
  const at::Tensor half = column(recoloured(c, Recolour{.opacity = 0.5}), "opacity");
  EXPECT_LT(gap(half, column(c, "opacity") * 0.5), 1e-6);
}

TEST(Similarity, NormalsTurnWithTheScene) {
  Cloud c = random_cloud(20, 0);
  const at::Tensor n = at::rand({20, 3}) - 0.5;
  const char* names[3] = {"nx", "ny", "nz"};
  for (int64_t k = 0; k < 3; ++k) c.columns[names[k]] = n.select(1, k).contiguous();
  c.columns["normal"] = n;
  c.columns["label"] = at::arange(20, at::kInt);
  Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
  m.topLeftCorner<3, 3>() =
      2 * Eigen::AngleAxisd(0.7, Eigen::Vector3d(1, 2, 3).normalized()).toRotationMatrix();
  m(0, 3) = 5;
  const Cloud d = transformed(c, m);
  for (int64_t i = 0; i < 20; ++i) {
    const Eigen::Vector3d before(n[i][0].item<double>(), n[i][1].item<double>(),
                                 n[i][2].item<double>());
    const Eigen::Vector3d want = m.topLeftCorner<3, 3>() * before / 2;
    for (int k = 0; k < 3; ++k) {
      EXPECT_NEAR(at_row(d.columns.at(names[k]), i), want[k], 1e-6);
      EXPECT_NEAR(d.columns.at("normal")[i][k].item<double>(), want[k], 1e-6);
    }
  }
  EXPECT_TRUE(d.columns.at("label").equal(c.columns.at("label")));
  const Eigen::Matrix3d half = Eigen::Vector3d(1, -1, -1).asDiagonal();
  const Cloud back = turned(turned(c, half), half);
  EXPECT_TRUE(back.columns.at("ny").equal(c.columns.at("ny")));
  EXPECT_FALSE(turned(c, half).columns.at("ny").equal(c.columns.at("ny")));
}

TEST(Similarity, NormalsThatLackComponentsTurnToo) {
  Cloud c = random_cloud(3, 0);
  c.columns["nz"] = at::ones({3});
  Eigen::Matrix3d turn;
  turn << 0, 0, 1, 1, 0, 0, 0, 1, 0;  // z becomes x
  const Cloud d = turned(c, turn);
  EXPECT_EQ(gap(d.columns.at("nx"), at::ones({3})), 0);
  EXPECT_EQ(gap(d.columns.at("nz"), at::zeros({3})), 0);
}

TEST(Similarity, SizesOfLevelsScale) {
  Cloud c = random_cloud(3, 0);
  c.columns["lod_size"] = at::full({3}, 0.5, at::kFloat);
  Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
  m.topLeftCorner<3, 3>() *= 4;
  EXPECT_NEAR(at_row(transformed(c, m).columns.at("lod_size"), 1), 2, 1e-6);
}

TEST(Statistics, NumbersAtTheEndsOfTheirRangeAreCounted) {
  const ColumnStatistics s = statistics_of(at::tensor({-1.7e308, 0.0, 1.7e308}, at::kDouble), 2);
  EXPECT_THAT(s.counts, ElementsAre(1, 2));
}

TEST(Statistics, CountWhatIsThere) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  std::vector<double> x = {nan, inf, -inf, nan};
  for (int i = 0; i <= 100; ++i) x.push_back(i);
  const ColumnStatistics s = statistics_of(at::tensor(x, at::kDouble), 10);
  EXPECT_EQ(s.count, 105);
  EXPECT_EQ(s.nan, 2);
  EXPECT_EQ(s.infinite, 2);
  EXPECT_EQ(s.low, 0);
  EXPECT_EQ(s.high, 100);
  EXPECT_EQ(s.median, 50);
  EXPECT_EQ(s.quantile01, 1);
  EXPECT_DOUBLE_EQ(s.mean, 50);
  EXPECT_NEAR(s.deviation, std::sqrt(850), 1e-9);
  int64_t sum = 0;
  for (const int64_t n : s.counts) sum += n;
  EXPECT_EQ(sum, 101);
  EXPECT_EQ(statistics_of(at::empty({0}, at::kDouble)).high, 0);
  EXPECT_EQ(statistics_of(at::ones({9}), 4).counts[0], 9);
}

TEST(Statistics, EnergyIsOfEachBand) {
  Cloud c = random_cloud(10, 2);
  c.sh0.fill_(2);
  c.shN.zero_();
  c.shN.select(1, 4).fill_(3);  // of band 2
  EXPECT_THAT(sh_energy(c), ElementsAre(12, 0, 27));
}

TEST(EditSteps, AreValuesThenParameters) {
  const EditStep s = parse_edit_step("crop-box=-1,-,-2.5,1e0,2,-,keep=outside");
  EXPECT_EQ(s.name, "crop_box");
  EXPECT_EQ(s.number(0), -1);
  EXPECT_TRUE(std::isinf(s.number(1)) && s.number(1) < 0);
  EXPECT_TRUE(std::isinf(s.number(5)) && s.number(5) > 0);
  EXPECT_EQ(s.word("keep", "inside"), "outside");
  EXPECT_THAT(parse_edit_step("recolour=tint=1:0.5:2").numbers("tint", {}), ElementsAre(1, 0.5, 2));
  // An expression is one text, whatever it holds.
  EXPECT_EQ(parse_edit_step("filter=max(x, y) >= 2").values[0], "max(x, y) >= 2");
  EXPECT_EQ(parse_edit_step("filter_value=opacity,gt,0.1").values[0], "opacity > (0.1)");
  EXPECT_EQ(parse_edit_step("set_column=label=x == 1").values[1], "x == 1");
}

TEST(EditSteps, WhatIsWrongNamesTheFlag) {
  const auto wrong = [](const std::string& text) {
    const Error e = error_of([&] { parse_edit_step(text); });
    EXPECT_EQ(e.code(), ExitCode::kUsage) << text;
    EXPECT_FALSE(e.hint().empty()) << text;
    return std::string(e.what());
  };
  EXPECT_THAT(wrong("translate=1,2"), HasSubstr("--translate: expects 3 values, got 2"));
  EXPECT_THAT(wrong("translate=1,2,x"), HasSubstr("got 'x'"));
  EXPECT_THAT(wrong("translate=1,2,inf"), HasSubstr("out of range"));
  EXPECT_THAT(wrong("rotate=1,2,3,abot=centre"), HasSubstr("no parameter 'abot'"));
  EXPECT_THAT(wrong("rotate=1,2,3,about=1:2"), HasSubstr("three numbers"));
  EXPECT_THAT(wrong("rotate=1,about=centre,2,3"), HasSubstr("behind a parameter"));
  EXPECT_THAT(wrong("scale=0"), HasSubstr("out of range"));
  EXPECT_THAT(wrong("crop_box=1,0,0,0,1,1"), HasSubstr("lies above"));
  EXPECT_THAT(wrong("crop_box=0,0,0,1,1,1,keep=side"), HasSubstr("none of the choices"));
  EXPECT_THAT(wrong("filter=opacity >"), HasSubstr("--filter, character 10"));
  EXPECT_THAT(wrong("decimate=120%"), HasSubstr("out of range"));
  EXPECT_THAT(wrong("decimate=1.5"), HasSubstr("whole number"));
  EXPECT_THAT(wrong("decimate=%"), HasSubstr("expected a number"));
  EXPECT_THAT(wrong("recolour"), HasSubstr("nothing to change"));
  EXPECT_THAT(wrong("sort=x"), HasSubstr("got 1"));
  EXPECT_THAT(wrong("upright=grund"), HasSubstr("none of the choices"));
  EXPECT_THAT(wrong("translte=1,2,3"), HasSubstr("no such operation"));
  EXPECT_THAT(wrong(""), HasSubstr("no such operation"));
}

}  // namespace
}  // namespace covary::scene
