// The bars of core-3dgs about what is fitted beside the scene: poses, intrinsics, exposure (4), and what is left out (7).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <string>
#include <utility>

#include <Eigen/LU>
#include <Eigen/SVD>

#include "covary/core/base/machine.h"
#include "covary/core/base/random.h"
#include "covary/core/geometry/rigid.h"
#include "covary/core/numeric/median.h"
#include "covary/splat/fit/evaluate.h"
#include "covary/splat/fit/trainer.h"
#include "studies/core-3dgs/bars.h"
#include "studies/core-3dgs/training.h"

namespace covary::studies {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

namespace {

constexpr double kDegree = std::numbers::pi / 180;

// Random Gaussians, photographed; every fourth view is held out.
const scene::Capture& splats(StudyContext& c) {
  return c.shared<scene::Capture>("refinement splats", [&] {
    scene::CaptureOptions options;
    options.test_every = 4;
    return scene::load_capture(c.smoke() ? "sample:splats,count=200,views=16,width=64,height=48"
                                         : "sample:splats,count=600,views=32,width=160,height=120",
                               options);
  });
}

fit::TrainOptions refinement_options(StudyContext& c, int64_t smoke_steps, int64_t steps) {
  fit::TrainOptions o;
  o.steps = c.smoke() ? smoke_steps : steps;
  o.strategy = "none";
  o.sh_degree = 1;
  return o;
}

struct RefinedFit {
  std::vector<scene::Camera> cameras;  // of all views, as they belong to the scene in the end
  fit::Evaluation evaluation;          // held-out views; both adjusted figures
  double wall_s = 0;
};

double adjusted(const RefinedFit& f, const char* name) {
  return f.evaluation.adjusted.at(name).psnr;
}

RefinedFit refined_fit(const scene::Capture& capture, const fit::TrainOptions& options,
                       uint64_t seed) {
  fit::Trainer trainer(capture, options);
  RefinedFit f;
  const double began = wall_seconds();
  train_to_end(trainer, seed);
  f.wall_s = wall_seconds() - began;
  for (const scene::View& v : trainer.capture().views) f.cameras.push_back(v.camera);
  f.evaluation = fit::evaluate(trainer.cloud(), trainer.capture(),
                               {.progress = false, .fit_poses = true, .correct_colours = true});
  return f;
}

// Every camera turned by a degree about a random axis, its centre moved by a hundredth of the extent in a random direction.
scene::Capture perturbed(const scene::Capture& capture) {
  scene::Capture out = capture;
  for (size_t i = 0; i < out.views.size(); ++i) {
    const Random random(7, stream_of("perturbed", i));
    const auto direction = [&](uint64_t e) {
      return Eigen::Vector3d(random.normal(e), random.normal(e + 1), random.normal(e + 2))
          .normalized();
    };
    Eigen::Matrix4d& pose = out.views[i].camera.cam_from_world;
    pose = geometry::rigid(geometry::so3_exp(kDegree * direction(0)),
                           0.01 * capture.extent * direction(3)) *
           pose;
  }
  return out;
}

// Median angle between the training cameras and the true ones, degrees, after the one turn that brings all nearest: scene and
// cameras may turn together.
double median_rotation_error(const std::vector<scene::Camera>& cameras,
                             const scene::Capture& truth) {
  const auto turn_of = [](const scene::Camera& c) -> Eigen::Matrix3d {
    return c.cam_from_world.topLeftCorner<3, 3>();
  };
  Eigen::Matrix3d sum = Eigen::Matrix3d::Zero();
  for (const int64_t i : truth.train) {
    const auto v = static_cast<size_t>(i);
    sum += turn_of(truth.views[v].camera).transpose() * turn_of(cameras[v]);
  }
  const Eigen::JacobiSVD<Eigen::Matrix3d> svd(sum, Eigen::ComputeFullU | Eigen::ComputeFullV);
  const Eigen::Matrix3d common = svd.matrixU() * svd.matrixV().transpose();
  std::vector<double> angles;
  for (const int64_t i : truth.train) {
    const auto v = static_cast<size_t>(i);
    angles.push_back(geometry::so3_log(turn_of(cameras[v]) *
                                       (turn_of(truth.views[v].camera) * common).transpose())
                         .norm() /
                     kDegree);
  }
  return numeric::upper_median(std::move(angles));
}

const RefinedFit& pose_fit(StudyContext& c, const std::string& which) {
  return c.shared<RefinedFit>("poses " + which, [&] {
    fit::TrainOptions o = refinement_options(c, 1000, 6000);
    o.refine.pose_opt = which == "refined";
    const scene::Capture capture = which == "true" ? splats(c) : perturbed(splats(c));
    const RefinedFit f = refined_fit(capture, o, c.seed());
    c.table({.name = "poses, " + which,
             .columns = {"rotation error deg", "PSNR dB", "PSNR poses fitted dB", "wall s"},
             .rows = {{median_rotation_error(f.cameras, splats(c)), f.evaluation.psnr,
                       adjusted(f, "poses_fitted"), f.wall_s}}});
    return f;
  });
}

BarResult rotation_error(StudyContext& c) {
  const double bound = c.smoke() ? 0.8 : 0.1;
  BarResult r;
  r.baseline = Quantity{.name = "as perturbed",
                        .value = median_rotation_error(pose_fit(c, "perturbed").cameras, splats(c)),
                        .unit = "degree"};
  r.ours = Quantity{.value = median_rotation_error(pose_fit(c, "refined").cameras, splats(c)),
                    .unit = "degree"};
  r.bound = {.text = c.smoke() ? "median <= 0.8 degree" : "median <= 0.1 degree",
             .left = r.ours->value,
             .op = "<=",
             .right = bound};
  r.note = "after the turn common to all cameras";
  return r;
}

BarResult refined_psnr(StudyContext& c) {
  BarResult r;
  const double perturbed = adjusted(pose_fit(c, "perturbed"), "poses_fitted"),
               truth = adjusted(pose_fit(c, "true"), "poses_fitted");
  r.baseline = Quantity{.name = "true poses", .value = truth, .unit = "dB"};
  r.ours = Quantity{.value = adjusted(pose_fit(c, "refined"), "poses_fitted"), .unit = "dB"};
  const double bound = c.smoke() ? perturbed : truth - 0.5;
  r.bound = {.text = c.smoke() ? "ours >= unrefined" : "ours >= baseline - 0.5 dB",
             .left = r.ours->value,
             .op = ">=",
             .right = bound};
  char note[128];
  std::snprintf(note, sizeof(note), "held-out poses fitted, scene frozen; unrefined %.2f dB",
                perturbed);
  r.note = note;
  return r;
}

// Share of a loss that came back: baseline and ours as PSNR, `whole` without the trouble.
BarResult share_back(StudyContext& c, double whole, double without, double with, double share,
                     const std::string& name) {
  BarResult r;
  r.baseline = Quantity{.name = name, .value = without, .unit = "dB"};
  r.ours = Quantity{.value = with, .unit = "dB"};
  const double back = (with - without) / (whole - without);
  const double bound = c.smoke() ? 0 : share;
  char text[64], note[128];
  std::snprintf(text, sizeof(text), "share of the lost PSNR >= %g", bound);
  std::snprintf(note, sizeof(note), "%.2f dB untroubled: %.0f %% of the loss came back", whole,
                100 * back);
  r.bound = {.text = text, .left = back, .op = ">=", .right = bound};
  r.note = note;
  return r;
}

// Training photos with gains of 0.7 to 1.4; held-out ones as they are.
scene::Capture gained(const scene::Capture& capture) {
  scene::Capture out = capture;
  const Random random(7, stream_of("gains"));
  for (const int64_t i : out.train) {
    const double gain = 0.7 + 0.7 * random.uniform(static_cast<uint64_t>(i));
    for (uint8_t& p : out.views[static_cast<size_t>(i)].image.pixels)
      p = static_cast<uint8_t>(std::min(255.0, std::round(gain * p)));
  }
  return out;
}

BarResult gains_compensated(StudyContext& c) {
  fit::TrainOptions o = refinement_options(c, 300, 3000);
  const auto psnr = [&](const scene::Capture& capture, const std::string& exposure) {
    o.exposure = exposure;
    return adjusted(refined_fit(capture, o, c.seed()), "colours_corrected");
  };
  BarResult r = share_back(c, psnr(splats(c), "none"), psnr(gained(splats(c)), "none"),
                           psnr(gained(splats(c)), "affine"), 0.9, "gains, not compensated");
  r.note += "; PSNR with colours corrected";
  return r;
}

BarResult intrinsics_back(StudyContext& c) {
  fit::TrainOptions o = refinement_options(c, 1000, 6000);
  o.refine.intrinsics_opt = true;
  scene::Capture wrong = splats(c);
  for (scene::View& v : wrong.views) {
    v.camera.fx *= 1.03;
    v.camera.fy /= 1.03;
    v.camera.cx *= 1.03;
    v.camera.cy /= 1.03;
  }
  const RefinedFit f = refined_fit(wrong, o, c.seed());
  const auto worst = [&](const scene::Camera& a) {
    const scene::Camera& b = splats(c).views[0].camera;
    return std::max({std::abs(a.fx / b.fx - 1), std::abs(a.fy / b.fy - 1),
                     std::abs(a.cx / b.cx - 1), std::abs(a.cy / b.cy - 1)});
  };
  BarResult r;
  r.baseline =
      Quantity{.name = "as given", .value = 100 * worst(wrong.views[0].camera), .unit = "%"};
  r.ours = Quantity{.value = 100 * worst(f.cameras[0]), .unit = "%"};
  const double bound = c.smoke() ? 2 : 0.3;
  r.bound = {.text = c.smoke() ? "worst of fx fy cx cy <= 2 %" : "worst of fx fy cx cy <= 0.3 %",
             .left = r.ours->value,
             .op = "<=",
             .right = bound};
  return r;
}

// A striped box in every third training photo, at a place of its own.
scene::Capture boxed(const scene::Capture& capture) {
  scene::Capture out = capture;
  for (size_t k = 0; k < out.train.size(); k += 3) {
    const int64_t i = out.train[k];
    data::Image8& image = out.views[static_cast<size_t>(i)].image;
    const int w = image.width * 2 / 5, h = image.height / 2;
    const Random random(7, stream_of("box", static_cast<uint64_t>(i)));
    const auto left = static_cast<int>(random.below(static_cast<uint64_t>(image.width - w), 0)),
               top = static_cast<int>(random.below(static_cast<uint64_t>(image.height - h), 1));
    for (int y = top; y < top + h; ++y)
      for (int x = left; x < left + w; ++x) {
        const bool stripe = (x - left) / 4 % 2 == 1;
        uint8_t* p = image.at(y, x);
        p[0] = stripe ? 200 : 230;
        p[1] = 40;
        p[2] = stripe ? 60 : 30;
      }
  }
  return out;
}

const Quantity& robust_fit(StudyContext& c, bool box, const std::string& level) {
  return c.shared<Quantity>("robust " + level + (box ? " box" : ""), [&] {
    fit::TrainOptions o;
    o.steps = c.smoke() ? 300 : 3000;
    o.sh_degree = 2;
    o.max_gaussians = 3000;
    o.robust.robust = level;
    const scene::Capture capture = box ? boxed(splats(c)) : splats(c);
    // Seeds differ by 0.2 dB, twice what the bound allows.
    return c.repeated(
        "dB", [&](uint64_t seed) { return refined_fit(capture, o, seed).evaluation.psnr; },
        c.smoke() ? 1 : 5);
  });
}

BarResult transients_left_out(StudyContext& c) {
  return share_back(c, robust_fit(c, false, "off").value, robust_fit(c, true, "off").value,
                    robust_fit(c, true, "strong").value, 0.7, "boxes, all believed");
}

BarResult cost_of_robust(StudyContext& c) {
  BarResult r;
  r.baseline = robust_fit(c, false, "off");
  r.baseline->name = "no boxes, all believed";
  r.ours = robust_fit(c, false, "strong");
  const double allowed = c.smoke() ? 1 : 0.1;
  char text[64];
  std::snprintf(text, sizeof(text), "ours >= baseline - %g dB", allowed);
  r.bound = {.text = text, .left = r.ours->value, .op = ">=", .right = r.baseline->value - allowed};
  return r;
}

}  // namespace

std::vector<Bar> refinement_bars() {
  return {eval::bar_of("4", "b", "cameras perturbed by 1 degree and 1 % of the extent come back",
                       "rotation error", "degree", "median <= 0.1 degree", rotation_error),
          eval::bar_of("4", "c", "perturbed cameras: quality against that of true poses", "PSNR",
                       "dB", "ours >= baseline - 0.5 dB", refined_psnr),
          eval::bar_of("4", "d", "gains of 0.7 to 1.4 a photo are compensated by affine maps",
                       "PSNR", "dB", "share of the lost PSNR >= 0.9", gains_compensated),
          eval::bar_of("4", "e", "intrinsics off by 3 % come back", "error", "%",
                       "worst of fx fy cx cy <= 0.3 %", intrinsics_back),
          eval::bar_of("7", "a", "a box that moves through a third of the photos is left out",
                       "PSNR", "dB", "share of the lost PSNR >= 0.7", transients_left_out),
          eval::bar_of("7", "b", "what leaving out costs where nothing moves", "PSNR", "dB",
                       "ours >= baseline - 0.1 dB", cost_of_robust)};
}

}  // namespace covary::studies
