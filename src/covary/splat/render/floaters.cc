#include "covary/splat/render/floaters.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/error.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/knn/knn.h"
#include "covary/core/numeric/median.h"
#include "covary/splat/render/contribution.h"
#include "covary/splat/render/pictures.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/recolour.h"

namespace covary::render {
namespace {

constexpr int kNeighbours = 10;  // that a splat may hold together with
constexpr int kSpacing = 3;      // the neighbour whose distance is the spacing
constexpr double kBefore = 0.8;  // of the depth of what is behind it: a splat stands before that
constexpr double kLeast = 0.1;   // px a view: a piece that makes less is no matter

// What the views see of each splat: sums of blending weights, px, and weighted means of the distance.
struct Seen {
  std::vector<double> distance, weight;
  std::vector<at::Tensor> ids,
      weights;  // of each view: the splats that it sees, and how much of them
};

Seen seen_from(const scene::Cloud& cloud, const std::vector<scene::Camera>& views) {
  const int64_t n = cloud.size();
  Seen s;
  s.distance.resize(static_cast<size_t>(n));
  s.weight.resize(static_cast<size_t>(n));
  each_view_seen(cloud, views, [&](const Footprints& f) {
    const at::Tensor depths = f.depths.to(at::kDouble).contiguous();
    const auto* ids = f.ids.const_data_ptr<int64_t>();
    const auto *w = f.weight_sums.const_data_ptr<double>(), *z = depths.const_data_ptr<double>();
    for (int64_t i = 0; i < f.ids.numel(); ++i) {
      s.distance[static_cast<size_t>(ids[i])] += w[i] * z[i];
      s.weight[static_cast<size_t>(ids[i])] += w[i];
    }
    s.ids.push_back(f.ids);
    s.weights.push_back(f.weight_sums);
  });
  const at::Tensor means = cloud.means.detach().to(at::kCPU, at::kFloat).contiguous();
  const auto* x = means.const_data_ptr<float>();
  std::vector<Eigen::Vector3d> eyes;
  for (const scene::Camera& view : views) eyes.push_back(view.centre());
  parallel_for(n, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double& d = s.distance[static_cast<size_t>(i)];
      const double w = s.weight[static_cast<size_t>(i)];
      if (w > 0) {
        d /= w;
        continue;
      }
      const Eigen::Vector3d at(x[3 * i], x[3 * i + 1], x[3 * i + 2]);
      d = (at - eyes[0]).norm();
      for (const Eigen::Vector3d& eye : eyes) d = std::min(d, (at - eye).norm());
    }
  });
  return s;
}

// How much of each candidate is seen before what is behind it, less how much at the depth of a surface; px.
// The surfaces are those of the other splats.
std::vector<double> seen_before(const scene::Cloud& cloud, const std::vector<int64_t>& candidates,
                                const at::Tensor& others, const Seen& seen,
                                const std::vector<scene::Camera>& views) {
  std::vector<double> balance(candidates.size());
  std::vector<int64_t> place(static_cast<size_t>(cloud.size()), -1);  // among the candidates
  for (size_t c = 0; c < candidates.size(); ++c)
    place[static_cast<size_t>(candidates[c])] = static_cast<int64_t>(c);
  const Primitives g = primitives_of(scene::select(cloud, others));
  RasterizeOptions options;
  options.antialiased = cloud.antialiased;
  options.median_depth = true;
  options.sh_degree = 0;
  const at::Tensor means = cloud.means.detach().to(at::kCPU, at::kFloat).contiguous();
  const auto* x = means.const_data_ptr<float>();
  for (size_t v = 0; v < views.size(); ++v) {
    if (const int code = interrupted()) throw Interrupted{code};
    const scene::Camera& view = views[v];
    const at::Tensor picture =
        rasterize(g, views_of({view}), options).median_depth.to(at::kFloat).contiguous();
    const auto* depth = picture.const_data_ptr<float>();
    const auto* ids = seen.ids[v].const_data_ptr<int64_t>();
    const auto* w = seen.weights[v].const_data_ptr<double>();
    for (int64_t k = 0; k < seen.ids[v].numel(); ++k) {
      const int64_t i = ids[k], c = place[static_cast<size_t>(i)];
      if (c < 0) continue;
      const Eigen::Vector3d mean(x[3 * i], x[3 * i + 1], x[3 * i + 2]);
      const double z =
          view.cam_from_world.block<1, 3>(2, 0).dot(mean.transpose()) + view.cam_from_world(2, 3);
      const Eigen::Vector2d p = view.project(mean);
      const auto at = [&](double coordinate, int size) {
        return std::clamp<int64_t>(static_cast<int64_t>(coordinate), 0, size - 1);
      };
      const double behind = depth[at(p.y(), view.height) * view.width + at(p.x(), view.width)];
      const bool before = behind <= 0 || z < kBefore * behind;
      balance[static_cast<size_t>(c)] += before ? w[k] : -w[k];
    }
  }
  return balance;
}

int64_t root_of(std::vector<int64_t>& parent, int64_t i) {
  while (parent[static_cast<size_t>(i)] != i) {
    int64_t& p = parent[static_cast<size_t>(i)];
    p = parent[static_cast<size_t>(p)];
    i = p;
  }
  return i;
}

}  // namespace

void FloaterOptions::check() const {
  const auto wrong = [](const char* field, const char* hint) {
    throw Error(ExitCode::kUsage, "is out of range", field, hint);
  };
  if (!(strength >= 0 && strength <= 1)) wrong("strength", "give 0 to 1");
  if (!(reach > 0)) wrong("reach", "give more than 0");
  if (piece < 1) wrong("piece", "give 1 or more");
  if (!(share >= 0 && share <= 1)) wrong("share", "give 0 to 1");
}

Floaters find_floaters(const scene::Cloud& cloud, const std::vector<scene::Camera>& views,
                       const FloaterOptions& options) {
  options.check();
  const at::NoGradGuard no_grad;
  const int64_t n = cloud.size();
  Floaters out{at::zeros({n}, at::kBool), at::zeros({n}, at::kDouble)};
  if (n <= kNeighbours || options.strength == 0) return out;
  if (views.empty())
    throw Error(ExitCode::kUsage, "needs views to tell what floats", "remove_floaters",
                "give one or more");
  const at::Tensor means = cloud.means.detach().to(at::kCPU, at::kFloat).contiguous();
  std::vector<int64_t> ids(static_cast<size_t>(n * kNeighbours));
  std::vector<double> squares(ids.size());
  compute::knn<float>(means.const_data_ptr<float>(), n, kNeighbours, ids.data(), squares.data());
  const Seen seen = seen_from(cloud, views);
  const auto distance = [&](int64_t i) {
    return std::max(seen.distance[static_cast<size_t>(i)], 1e-12);
  };
  auto* spacing = out.spacing.data_ptr<double>();
  std::vector<double> of_seen;
  for (int64_t i = 0; i < n; ++i) {
    spacing[i] =
        std::sqrt(squares[static_cast<size_t>(i * kNeighbours + kSpacing - 1)]) / distance(i);
    if (seen.weight[static_cast<size_t>(i)] > 0) of_seen.push_back(spacing[i]);
  }
  if (of_seen.empty()) return out;
  out.usual = numeric::upper_median(std::move(of_seen));

  const double reach = out.usual * options.reach * std::pow(4, 1 - 2 * options.strength);
  std::vector<int64_t> parent(static_cast<size_t>(n));
  std::iota(parent.begin(), parent.end(), 0);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t e = i * kNeighbours; e < (i + 1) * kNeighbours; ++e) {
      const int64_t j = ids[static_cast<size_t>(e)];
      const double near = reach * std::min(distance(i), distance(j));
      if (squares[static_cast<size_t>(e)] > near * near) continue;
      const int64_t a = root_of(parent, i), b = root_of(parent, j);
      parent[static_cast<size_t>(std::max(a, b))] = std::min(a, b);
    }
  std::vector<int64_t> members(static_cast<size_t>(n));
  std::vector<double> weight(static_cast<size_t>(n));
  double total = 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto root = static_cast<size_t>(root_of(parent, i));
    ++members[root];
    weight[root] += seen.weight[static_cast<size_t>(i)];
    total += seen.weight[static_cast<size_t>(i)];
  }
  const double most = 2 * options.strength * static_cast<double>(options.piece);
  std::vector<int64_t> candidates;
  at::Tensor others = at::ones({n}, at::kBool);
  for (int64_t i = 0; i < n; ++i) {
    const auto root = static_cast<size_t>(root_of(parent, i));
    if (static_cast<double>(members[root]) > most || weight[root] > options.share * total) continue;
    candidates.push_back(i);
    others.data_ptr<bool>()[i] = false;
  }
  if (candidates.empty()) return out;
  // A piece floats when more of it is seen before what is behind it than at the depth of a surface.
  std::vector<double> balance(static_cast<size_t>(n));
  const std::vector<double> before = seen_before(cloud, candidates, others, seen, views);
  for (size_t c = 0; c < candidates.size(); ++c)
    balance[static_cast<size_t>(root_of(parent, candidates[c]))] += before[c];
  const double least = kLeast * static_cast<double>(views.size());
  bool* rows = out.rows.data_ptr<bool>();
  for (const int64_t i : candidates) {
    const int64_t root = root_of(parent, i);
    if (balance[static_cast<size_t>(root)] <= 0 || weight[static_cast<size_t>(root)] < least)
      continue;
    rows[i] = true;
    ++out.count;
    out.pieces += root == i;
  }
  return out;
}

data::Image8 preview_of(const scene::Cloud& cloud, const at::Tensor& rows,
                        const scene::Camera& camera) {
  const at::NoGradGuard no_grad;
  constexpr double kDim = 0.6;  // of what stays
  const scene::Cloud grey = scene::recoloured(cloud, scene::Recolour{.saturation = 0});
  PictureOptions options;
  options.antialiased = cloud.antialiased;
  const at::Tensor scene = pictures(primitives_of(grey), camera, options).color.clamp(0, 1) * kDim;
  scene::Cloud some = scene::select(cloud, rows);
  if (some.size() == 0) return color_picture(scene);
  const at::Tensor alpha = pictures(primitives_of(some), camera, options).alpha;
  const at::Tensor red = at::tensor({1.0f, 0.1f, 0.1f});
  return color_picture(scene * (1 - alpha) + red * alpha);
}

}  // namespace covary::render
