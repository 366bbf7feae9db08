#include "covary/splat/render/edit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include <ATen/ATen.h>
#include <Eigen/Geometry>

#include "covary/core/base/error.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/eval/image.h"
#include "covary/splat/render/likeness.h"
#include "covary/splat/render/pictures.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/convex.h"
#include "covary/splat/scene/test_clouds.h"

namespace covary::render {
namespace {

using scene::parse_edit_step;
using scene::testing_clouds::gap;
using scene::testing_clouds::random_cloud;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

scene::Cloud labelled(int64_t n, int degree, uint64_t seed = 1) {
  scene::Cloud c = random_cloud(n, degree, seed);
  c.columns["label"] = at::arange(n, at::kInt);
  c.columns["flow"] = at::arange(2 * n, at::kDouble).view({n, 2});
  return c;
}

EditReport apply(EditScene& s, const std::string& step) {
  return edit(s, parse_edit_step(step), {.views = 4, .width = 96, .height = 72});
}

TEST(Edit, ATurnedSceneLooksTheSameToATurnedCamera) {
  EditScene s{random_cloud(3000, 3), {}};
  s.cameras = sample_views(s.cloud, 3, 128, 96);
  const std::vector<scene::Camera> before = s.cameras;
  const scene::Cloud cloud = s.cloud;
  apply(s, "rotate=31,-77,143,about=0.3:1:-2");
  apply(s, "scale=1.7,about=centre");
  apply(s, "translate=0.4,-3,2");
  const Primitives old_scene = primitives_of(cloud), new_scene = primitives_of(s.cloud);
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_GT((before[i].centre() - s.cameras[i].centre()).norm(), 1);
    EXPECT_GE(eval::psnr(pictures(new_scene, s.cameras[i], {}).color,
                         pictures(old_scene, before[i], {}).color.clamp(0, 1)),
              60);
  }
}

TEST(Edit, RotatesAboutXThenYThenZ) {
  EditScene s{random_cloud(1, 0), {}};
  s.cloud.means[0][0] = 1;
  s.cloud.means[0][1] = 0;
  s.cloud.means[0][2] = 0;
  apply(s, "rotate=90,0,90");  // x stays x, then becomes y
  EXPECT_LT(gap(s.cloud.means[0], at::tensor({0., 1., 0.})), 1e-6);
  EditScene m{random_cloud(5, 0), {}};
  const at::Tensor old = m.cloud.means;
  apply(m, "matrix=0,-2,0,1,2,0,0,0,0,0,2,0");
  EXPECT_LT(gap(m.cloud.means.select(1, 0), old.select(1, 1) * -2 + 1), 1e-5);
  EXPECT_EQ(error_of([&] { apply(m, "matrix=1,0,0,0,0,2,0,0,0,0,1,0"); }).code(), ExitCode::kUsage);
}

TEST(Edit, ColumnsSurviveEveryOperation) {
  for (const char* step :
       {"translate=1,2,3", "rotate=10,20,30", "scale=2", "crop_box=-1,-1,-1,1,1,1",
        "crop_sphere=0,0,0,1.5,keep=outside", "crop_plane=0,1,0,0", "crop_views=2",
        "filter=opacity > 0.5 && label % 2 == 0", "filter_nan", "sh_degree=0",
        "recolour=exposure=1", "sort", "decimate=40%", "decimate=100,by=contribution",
        "decimate=100,by=random", "set_column=far=length(position) > 1"}) {
    EditScene s{labelled(300, 1), {}};
    s.cameras = sample_views(s.cloud, 4, 96, 72);
    const EditReport r = apply(s, step);
    s.cloud.check();
    EXPECT_EQ(r.before, 300) << step;
    EXPECT_EQ(r.after, s.cloud.size()) << step;
    EXPECT_GT(r.after, 0) << step;
    const at::Tensor label = s.cloud.columns.at("label"), flow = s.cloud.columns.at("flow");
    EXPECT_EQ(label.scalar_type(), at::kInt) << step;
    EXPECT_EQ(flow.scalar_type(), at::kDouble) << step;
    // The two of a row stay together.
    EXPECT_EQ(gap(flow.select(1, 1), label * 2 + 1), 0) << step;
  }
}

TEST(Edit, WhatDoesNotFitTheSceneIsSaid) {
  EditScene s{labelled(50, 1), {}};
  EXPECT_THAT(error_of([&] { apply(s, "filter=opacty > 1"); }).hint(), HasSubstr("opacity"));
  EXPECT_EQ(error_of([&] { apply(s, "filter=opacity > 2"); }).code(), ExitCode::kData);
  EXPECT_THAT(error_of([&] { apply(s, "crop_views=1"); }).hint(), HasSubstr("--capture"));
  for (const std::string name : {"opacity", "x", "scale", "f_rest_44", "f_dc_0", "rot_3", "index"})
    EXPECT_EQ(error_of([&] { apply(s, ("set_column=" + name + "=1").c_str()); }).code(),
              ExitCode::kUsage);
  EXPECT_THAT(error_of([&] { apply(s, "drop_columns=lable"); }).hint(), HasSubstr("label"));
  EXPECT_EQ(s.cloud.size(), 50);
}

TEST(Edit, TheColumnsOfConvexesAreNotOverwritten) {
  EditScene s{random_cloud(6, 1), {}};
  scene::set_convexes(s.cloud, scene::convexes_of_gaussians(s.cloud, 6, 1.2, 0.1, 0.001));
  scene::store_short(s.cloud);
  const at::Tensor before = scene::convex_extras(s.cloud);
  for (const char* step : {"set_column=hull_0=hull_0", "set_column=hull_delta=1"})
    EXPECT_EQ(error_of([&] { apply(s, step); }).code(), ExitCode::kUsage) << step;
  apply(s, "set_column=copy=hull_0");
  EXPECT_TRUE(at::equal(scene::convex_extras(s.cloud), before));
  s.cloud.columns.at("hull_sigma")[4] = std::nanf("");
  apply(s, "filter_nan");
  EXPECT_EQ(s.cloud.size(), 5);
  EditScene plain{random_cloud(6, 1), {}};
  apply(plain, "set_column=hull_0=1");  // of Gaussians it is a column as any
  EXPECT_EQ(plain.cloud.columns.count("hull_0"), 1u);
}

TEST(Edit, StepsActOnTheSceneBehindWhichTheyStand) {
  const auto steps = [](const std::vector<std::string>& texts) {
    std::vector<scene::EditStep> out;
    for (const std::string& t : texts) out.push_back(parse_edit_step(t));
    return out;
  };
  std::vector<std::function<EditScene()>> inputs;
  for (uint64_t k = 0; k < 2; ++k)
    inputs.emplace_back([k] {
      EditScene s{labelled(10, static_cast<int>(k), k + 1), {}};
      s.cloud.columns["scene"] = at::full({10}, static_cast<int64_t>(k), at::kLong);
      return s;
    });
  std::vector<EditReport> reports;
  const auto run = [&](const std::vector<std::string>& texts) {
    reports.clear();
    return edit_scenes(inputs, steps(texts), {}, &reports).cloud;
  };
  // covary edit a --filter b --filter OUT --filter
  scene::Cloud c = run({"next_scene", "filter=index < 3", "next_scene", "filter=index < 5",
                        "next_scene", "filter=label > 0"});
  EXPECT_EQ(c.size(), 3 + 5 - 2);
  EXPECT_EQ(c.columns.at("scene").sum().item<int64_t>(), 4);
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_EQ(reports[2].before, 8);
  EXPECT_EQ(reports[0].step, "filter index < 3");
  // Before all scenes: on what is joined, ahead of what stands behind it.
  c = run({"filter=index < 12", "next_scene", "next_scene", "merge", "filter=index >= 9"});
  EXPECT_EQ(c.size(), 3);
  EXPECT_EQ(c.sh_degree(), 1);
  // As a config gives them, without places.
  EXPECT_EQ(run({"filter=index < 12"}).size(), 12);
  EXPECT_EQ(run({}).size(), 20);
  // An output before the inputs is no merge.
  EXPECT_EQ(run({"merge", "next_scene", "filter=index < 3", "next_scene"}).size(), 13);
  // An early merge.
  inputs.push_back(inputs[0]);
  EXPECT_EQ(run({"next_scene", "next_scene", "merge", "filter=index < 4", "next_scene"}).size(),
            14);
}

TEST(Edit, CamerasThatScenesShareAreKeptOnce) {
  const std::vector<scene::Camera> cameras = sample_views(random_cloud(50, 0), 3, 64, 48);
  const auto input = [&] { return EditScene{random_cloud(5, 0), cameras}; };
  std::vector<EditReport> reports;
  EXPECT_EQ(edit_scenes({input, input}, {}, {}, &reports).cameras.size(), 3u);
  EXPECT_EQ(
      edit_scenes({input, input},
                  {parse_edit_step("next_scene"), parse_edit_step("translate=1,0,0")}, {}, &reports)
          .cameras.size(),
      6u);
}

TEST(Edit, FiniteSplatsAreThoseWhoseSizesAre) {
  const float inf = std::numeric_limits<float>::infinity();
  EditScene s{random_cloud(4, 0), {}};
  s.cloud.scales[0][1] = inf;
  s.cloud.scales[1][2] = -inf;  // a disc
  s.cloud.scales[2][0] = 200;   // e^200 is no float
  s.cloud.opacities[3] = inf;   // 1
  apply(s, "filter_nan");
  EXPECT_EQ(s.cloud.size(), 2);
}

TEST(Edit, ShapesOfShapedPrimitivesAreNotDropped) {
  EditScene s{random_cloud(4, 0), {}};
  s.cloud.columns["shape"] = at::full({4}, 2.0, at::kFloat);
  s.cloud.footprint = "generalized";
  EXPECT_EQ(error_of([&] { apply(s, "drop_columns=shape"); }).code(), ExitCode::kUsage);
  EXPECT_EQ(s.cloud.columns.count("shape"), 1u);
}

TEST(Edit, APreviewReplacesNoFileUnasked) {
  const TemporaryFolder folder("edit");
  const auto file = folder.path() / "floaters.png";
  const scene::EditStep step = parse_edit_step("remove_floaters=0.1,preview=" + file.string());
  EditContext context{.views = 2, .width = 48, .height = 36, .dry_run = true};
  EditScene s{random_cloud(300, 0), {}};
  edit(s, step, context);
  EXPECT_FALSE(std::filesystem::exists(file));
  context.dry_run = false;
  edit(s, step, context);
  EXPECT_TRUE(std::filesystem::exists(file));
  bool loaded = false;
  const auto input = [&] {
    loaded = true;
    return s;
  };
  std::vector<EditReport> reports;
  const Error e = error_of([&] { edit_scenes({input}, {step}, context, &reports); });
  EXPECT_EQ(e.code(), ExitCode::kData);
  EXPECT_FALSE(loaded);
  context.overwrite = true;
  edit(s, step, context);
}

TEST(Edit, DecimationKeepsWhatIsSeen) {
  // A thousand splats, and another thousand hidden or faint.
  EditScene s{random_cloud(2000, 0), {}};
  s.cloud.opacities.narrow(0, 1000, 1000).fill_(-9);
  s.cloud.columns["faint"] = at::arange(2000, at::kLong).ge(1000);
  EditScene best = s;
  apply(best, "decimate=1000,by=contribution");
  EXPECT_LT(best.cloud.columns.at("faint").sum().item<int64_t>(), 60);
  EditScene merged = s;
  const EditReport r = apply(merged, "decimate=50%");
  EXPECT_EQ(merged.cloud.size(), 1000);
  EXPECT_GT(r.facts["dropped"].get<int64_t>(), 900);
}

}  // namespace
}  // namespace covary::render
