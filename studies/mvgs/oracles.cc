// What must hold exactly (6).
#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include <ATen/ATen.h>
#include <Eigen/Dense>

#include "covary/core/base/random.h"
#include "covary/splat/fit/cross_ray.h"
#include "studies/core-3dgs/training.h"
#include "studies/mvgs/bars.h"
#include "studies/shared/moments.h"

namespace covary::studies {

using Eigen::Vector3d;
using eval::Bar;
using eval::StudyContext;

namespace {

// The two nearest points of random rays, against least squares.
double approach_error(StudyContext& c) {
  double worst = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    const Random random(c.seed(), stream_of("mvgs.rays", i));
    const auto vector = [&](uint64_t k) {
      return Vector3d(random.normal(3 * k), random.normal(3 * k + 1), random.normal(3 * k + 2));
    };
    const Vector3d a = vector(0), b = vector(1), p = vector(2).normalized(),
                   q = vector(3).normalized();
    const auto near = fit::closest_approach(a, p, b, q);
    if (!near) return INFINITY;
    Eigen::Matrix<double, 3, 2> m;
    m << p, -q;
    const Eigen::Vector2d t = m.colPivHouseholderQr().solve(b - a);
    const Vector3d middle = 0.5 * (a + t[0] * p + b + t[1] * q);
    const double error = (near->middle - middle).norm() / (1 + t.norm());
    if (!(error >= 0)) return INFINITY;
    worst = std::max(worst, error);
  }
  return worst;
}

scene::Capture small() {
  return scene::load_capture("sample:splats,count=80,views=10,width=48,height=36", {});
}

fit::TrainOptions still(int64_t views) {
  fit::TrainOptions o;
  o.steps = 10;
  o.strategy = "none";
  o.views_per_step = views;
  o.optimizer.visible_only = false;
  o.optimizer.batch_scaling = false;
  return o;
}

// After one step the first moment is a tenth of the gradient: that of four views, against the sum of four steps on one
// view each, all from the same start.
double gradient_of_sum(StudyContext& c) {
  const scene::Capture capture = small();
  const auto moments = [&](const std::vector<int64_t>& views) {
    return first_moments(capture, still(static_cast<int64_t>(views.size())), c.seed(), views);
  };
  const std::vector<int64_t> views(capture.train.begin(), capture.train.begin() + 4);
  at::Tensor sum;
  for (const int64_t v : views) sum = sum.defined() ? sum + moments({v}) : moments({v});
  return ((moments(views) - sum).norm() / sum.norm()).item<double>();
}

// Steps that see a view twice, and views that an epoch forgets.
double unequal_views(StudyContext& c) {
  const scene::Capture capture = small();
  double wrong = 0;
  for (const int64_t views : {1, 2, 3, 4}) {
    fit::Trainer trainer(capture, still(views));
    trainer.start(c.seed());
    std::vector<int64_t> times(capture.views.size(), 0);
    for (int64_t step = 1; step <= 50; ++step) {
      const std::vector<int64_t> seen = trainer.views_of_step(step);
      wrong += std::set<int64_t>(seen.begin(), seen.end()).size() != seen.size();
      for (const int64_t v : seen) ++times[static_cast<size_t>(v)];
    }
    int64_t least = 1 << 30, most = 0;
    for (const int64_t v : capture.train) {
      least = std::min(least, times[static_cast<size_t>(v)]);
      most = std::max(most, times[static_cast<size_t>(v)]);
    }
    wrong += most - least > 1;
  }
  return wrong;
}

double threshold_chord(StudyContext&) {
  const auto at = [](double radians) { return Vector3d(std::cos(radians), std::sin(radians), 0); };
  const double sixty = std::acos(0.5), origin = 1e-9;
  return (fit::look_from_afar({at(0), at(sixty - origin)}, Vector3d::Zero()) ? 1 : 0) +
         (fit::look_from_afar({at(0), at(sixty + origin)}, Vector3d::Zero()) ? 0 : 1);
}

}  // namespace

std::vector<Bar> multi_view_oracle_bars() {
  return {eval::at_most("6", "a", "gradient of four views is the sum of theirs",
                        "relative difference", 1e-6, gradient_of_sum),
          eval::at_most("6", "b", "closest points of rays against least squares", "difference",
                        1e-9, approach_error),
          eval::at_most("6", "c", "no view twice a step, all as often", "cases", 0, unequal_views),
          eval::at_most("6", "d", "far apart begins at 60 degrees", "cases", 0, threshold_chord)};
}

}  // namespace covary::studies
