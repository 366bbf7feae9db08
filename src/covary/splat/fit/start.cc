#include "covary/splat/fit/start.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/log.h"
#include "covary/core/base/random.h"
#include "covary/core/compute/knn/op.h"
#include "covary/core/compute/sh/sh.h"
#include "covary/core/numeric/median.h"
#include "covary/splat/fit/frame.h"
#include "covary/splat/fit/midpoints.h"
#include "covary/splat/fit/strategy_parts.h"
#include "covary/splat/scene/convex.h"
#include "covary/splat/scene/format.h"

namespace covary::fit {
namespace {

constexpr int64_t kRandomCount = 100'000;
constexpr double kSmallestSquare = 1e-7;  // of a distance to neighbours, scene units^2

bool has_alpha(const scene::Capture& capture) {
  for (int64_t i : capture.train)
    if (capture.parts(i).alpha) return true;
  return false;
}

// The point nearest to all optical axes, in the least-squares sense; the mean centre where the axes are parallel.
Eigen::Vector3d focus(const scene::Capture& capture) {
  Eigen::Matrix3d a = Eigen::Matrix3d::Zero();
  Eigen::Vector3d b = Eigen::Vector3d::Zero(), mean = Eigen::Vector3d::Zero();
  for (int64_t i : capture.train) {
    const scene::Camera& camera = capture.views[static_cast<size_t>(i)].camera;
    const Eigen::Vector3d d = camera.forward(), c = camera.centre();
    const Eigen::Matrix3d across = Eigen::Matrix3d::Identity() - d * d.transpose();
    a += across;
    b += across * c;
    mean += c;
  }
  mean /= static_cast<double>(capture.train.size());
  const Eigen::FullPivLU<Eigen::Matrix3d> lu(a);
  if (lu.rcond() < 1e-6) return mean;
  return lu.solve(b);
}

double median_distance(const scene::Capture& capture, const Eigen::Vector3d& from) {
  std::vector<double> d;
  for (int64_t i : capture.train)
    d.push_back((capture.views[static_cast<size_t>(i)].camera.centre() - from).norm());
  return numeric::upper_median(std::move(d));
}

// Positions [N,3] and colours [N,3] in [0,1].
struct Seeds {
  at::Tensor positions, colors;
};

Seeds from_points(const scene::Points& points, int64_t cap, uint64_t seed) {
  const auto n = static_cast<int64_t>(points.positions.size());
  std::vector<int64_t> rows(static_cast<size_t>(n));
  std::iota(rows.begin(), rows.end(), 0);
  if (n > cap) {
    log_info("of " + std::to_string(n) + " points " + std::to_string(cap) +
             " are used, the most Gaussians that there may be");
    rows = Random(seed, stream_of("start.subset")).permutation(n);
    rows.resize(static_cast<size_t>(cap));
    std::sort(rows.begin(), rows.end());
  }
  const auto m = static_cast<int64_t>(rows.size());
  Seeds s{at::empty({m, 3}, at::kFloat), at::empty({m, 3}, at::kFloat)};
  float* position = s.positions.data_ptr<float>();
  float* color = s.colors.data_ptr<float>();
  for (int64_t i = 0; i < m; ++i) {
    const auto row = static_cast<size_t>(rows[static_cast<size_t>(i)]);
    for (int k = 0; k < 3; ++k) {
      position[3 * i + k] = points.positions[row][k];
      color[3 * i + k] = row < points.colors.size() ? points.colors[row][k] / 255.0f : 0.5f;
      if (!std::isfinite(position[3 * i + k]))
        throw Error(ExitCode::kData, "point " + std::to_string(row) + " is not finite", "points",
                    "clean the model, or start with --init random");
    }
  }
  return s;
}

scene::Points filled_in(const scene::Points& points, int64_t cap) {
  const auto n = static_cast<int64_t>(points.positions.size());
  scene::Points more = with_midpoints(points, std::min(2 * n, cap / 4));
  log_info(std::to_string(static_cast<int64_t>(more.positions.size()) - n) +
           " midpoints added where points are sparse");
  return more;
}

Seeds at_random(const scene::Capture& capture, double extent, int64_t count, uint64_t seed) {
  const Eigen::Vector3d centre = focus(capture);
  const double half = has_alpha(capture) ? median_distance(capture, centre) / 3 : 3 * extent;
  Seeds s{at::empty({count, 3}, at::kFloat), at::empty({count, 3}, at::kFloat)};
  float* position = s.positions.data_ptr<float>();
  float* color = s.colors.data_ptr<float>();
  const Random place(seed, stream_of("start.place")), tint(seed, stream_of("start.color"));
  for (int64_t i = 0; i < 3 * count; ++i) {
    const auto e = static_cast<uint64_t>(i);
    position[i] = static_cast<float>(centre[i % 3] + half * (2 * place.uniform(e) - 1));
    color[i] = static_cast<float>(tint.uniform(e));
  }
  return s;
}

scene::Cloud from_file(const scene::Capture& capture, const TrainOptions& options, uint64_t seed) {
  scene::Cloud cloud = transformed(scene::load_cloud(options.init), capture.scene_from_capture);
  const bool convexes = options.primitive == "convex" && cloud.footprint == scene::kConvex;
  if (!convexes && (options.primitive != "ges" || options.ges.kernel != "gef"))
    cloud = scene::as_gaussians(cloud);
  std::erase_if(cloud.columns, [&](const auto& column) {
    return convexes ? !scene::is_convex_column(column.first) : column.first != "shape";
  });
  const int64_t cap = options.max_gaussians_of();
  if (cloud.size() > cap) {
    std::vector<int64_t> rows = Random(seed, stream_of("start.subset")).permutation(cloud.size());
    rows.resize(static_cast<size_t>(cap));
    std::sort(rows.begin(), rows.end());
    cloud = scene::select(cloud, at::tensor(rows, at::kLong));
  }
  const int64_t coefficients = (options.sh_degree + 1) * (options.sh_degree + 1) - 1;
  const int64_t have = cloud.shN.defined() ? cloud.shN.size(1) : 0;
  at::Tensor rest = at::zeros({cloud.size(), coefficients, 3}, at::kFloat);
  if (const int64_t both = std::min(have, coefficients); both > 0)
    rest.narrow(1, 0, both).copy_(cloud.shN.narrow(1, 0, both));
  cloud.shN = rest;
  return cloud;
}

}  // namespace

scene::Cloud starting_cloud(const scene::Capture& capture, const TrainOptions& options,
                            uint64_t seed) {
  const bool points = !capture.points.positions.empty();
  if (options.init == "points" && !points)
    throw Error(ExitCode::kData, "the capture has no sparse points", capture.name,
                "use --init random");
  if (options.init != "auto" && options.init != "points" && options.init != "random")
    return from_file(capture, options, seed);

  const int64_t cap = options.max_gaussians_of();
  const bool random = options.init == "random" || !points;
  if (random && options.init == "auto") log_info("no sparse points: a random start");
  if (random && options.init_midpoints)
    log_info("--init-midpoints: there are no points to fill in");
  const int64_t count = std::min(cap, options.init_count > 0 ? options.init_count : kRandomCount);
  const Seeds seeds =
      random ? at_random(capture, capture.extent, count, seed)
             : from_points(options.init_midpoints ? filled_in(capture.points, cap) : capture.points,
                           cap, seed);

  const int64_t n = seeds.positions.size(0);
  const at::Tensor squares = compute::mean_square_distance_of_neighbours(seeds.positions, 3);
  const float* square_of = squares.const_data_ptr<float>();
  scene::Cloud cloud;
  cloud.means = seeds.positions;
  cloud.quats = at::zeros({n, 4}, at::kFloat);
  cloud.quats.select(1, 0).fill_(1);
  cloud.scales = at::empty({n, 3}, at::kFloat);
  float* scale = cloud.scales.data_ptr<float>();
  const double log_factor = std::log(options.init_scale_of());
  for (int64_t i = 0; i < n; ++i) {
    const double square = std::max(kSmallestSquare, static_cast<double>(square_of[i]));
    std::fill_n(scale + 3 * i, 3, static_cast<float>(0.5 * std::log(square) + log_factor));
  }
  cloud.opacities = at::full({n}, logit(options.init_opacity_of()), at::kFloat);
  cloud.sh0 = ((seeds.colors - 0.5) / compute::kShC0).unsqueeze(1).contiguous();
  cloud.shN = at::zeros({n, (options.sh_degree + 1) * (options.sh_degree + 1) - 1, 3}, at::kFloat);
  return cloud;
}

}  // namespace covary::fit
