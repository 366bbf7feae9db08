#include "covary/splat/scene/lod.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/splat/scene/cloud_arrays.h"
#include "covary/splat/scene/format.h"
#include "covary/splat/scene/moment_merge.h"

namespace covary::scene {
namespace {

constexpr double kDeviations = 3;  // that a splat reaches

}  // namespace

void LevelOptions::check() const {
  if (levels < 2 || levels > 16)
    throw Error(ExitCode::kUsage, "is out of range", "lod", "make 2 to 16 levels");
  if (!(ratio > 0 && ratio < 1))
    throw Error(ExitCode::kUsage, "is out of range", "ratio", "give a share between 0 and 1");
}

Cloud with_levels(const Cloud& cloud, const at::Tensor& mass, const LevelOptions& options) {
  options.check();
  std::vector<Cloud> clouds = {cloud};
  std::vector<at::Tensor> into;  // row of the next level, of each row of a level
  at::Tensor weight = mass;
  for (int64_t level = 1; level < options.levels; ++level) {
    const int64_t target = std::max<int64_t>(
        1, std::llround(options.ratio * static_cast<double>(clouds.back().size())));
    Merged m = merged_by_moments(clouds.back(), weight, {.target = target});
    into.push_back(m.into);
    weight = m.mass;
    clouds.push_back(std::move(m.cloud));
  }
  std::vector<std::vector<double>> reach;  // of each row of each level
  for (size_t level = 0; level < clouds.size(); ++level) {
    const CloudValues v(clouds[level]);
    std::vector<double> r(static_cast<size_t>(v.n));
    for (int64_t i = 0; i < v.n; ++i)
      r[static_cast<size_t>(i)] =
          kDeviations *
          std::exp(static_cast<double>(*std::max_element(v.scales + 3 * i, v.scales + 3 * i + 3)));
    if (level > 0) {
      const CloudValues fine(clouds[level - 1]);
      const auto* up = into[level - 1].const_data_ptr<int64_t>();
      for (int64_t i = 0; i < fine.n; ++i) {
        const int64_t p = up[i];
        double square = 0;
        for (int k = 0; k < 3; ++k) {
          const double d = static_cast<double>(fine.means[3 * i + k]) - v.means[3 * p + k];
          square += d * d;
        }
        r[static_cast<size_t>(p)] = std::max(
            r[static_cast<size_t>(p)], std::sqrt(square) + reach.back()[static_cast<size_t>(i)]);
      }
    }
    reach.push_back(std::move(r));
  }
  // The next level stands behind this one; merged() adds the rows before both.
  for (size_t level = 0; level < clouds.size(); ++level) {
    Cloud& c = clouds[level];
    const int64_t n = c.size();
    c.columns["lod"] = at::full({n}, static_cast<int64_t>(level), at::kInt);
    c.columns["lod_parent"] =
        level < into.size() ? (into[level] + n).to(at::kInt) : at::full({n}, -1, at::kInt);
    c.columns["lod_size"] = at::tensor(reach[level], at::kDouble).to(at::kFloat);
  }
  return merged(clouds);
}

at::Tensor level_cut(const Cloud& tree, const Camera& camera, double pixels) {
  const int64_t n = tree.size();
  const auto column = [&](const char* name, at::ScalarType type) {
    const auto found = tree.columns.find(name);
    if (found == tree.columns.end() || found->second.dim() != 1)
      throw Error(ExitCode::kData, "the scene has no levels of detail", name,
                  "covary edit SCENE OUT --lod 4 makes them");
    return found->second.to(at::kCPU, type).contiguous();
  };
  const at::Tensor level = column("lod", at::kLong), parent = column("lod_parent", at::kLong),
                   size = column("lod_size", at::kDouble);
  const auto *l = level.const_data_ptr<int64_t>(), *up = parent.const_data_ptr<int64_t>();
  const auto* radius = size.const_data_ptr<double>();
  const CloudValues v(tree);
  const Eigen::Vector3d eye = camera.centre();
  const double focal = std::max(camera.fx, camera.fy);
  const auto too_large = [&](int64_t i) {
    const Eigen::Vector3d x = Eigen::Map<const Eigen::Vector3f>(v.means + 3 * i).cast<double>();
    const double distance = camera.projection == Projection::kOrthographic
                                ? 1
                                : std::max((x - eye).norm() - radius[i], 0.0);
    return radius[i] * focal > pixels * distance;
  };
  // Rows go from fine to coarse, so a parent stands behind its parts.
  std::vector<bool> open(static_cast<size_t>(n));
  std::vector<int64_t> rows;
  for (int64_t i = n - 1; i >= 0; --i) {
    if (up[i] != -1 && (up[i] <= i || up[i] >= n || l[up[i]] != l[i] + 1))
      throw Error(ExitCode::kData, "row " + std::to_string(i) + " is part of no coarser one",
                  "lod_parent", "levels are made by covary edit --lod, and are not edited after");
    if (up[i] != -1 && !open[static_cast<size_t>(up[i])]) continue;
    open[static_cast<size_t>(i)] = l[i] > 0 && too_large(i);
    if (!open[static_cast<size_t>(i)]) rows.push_back(i);
  }
  std::reverse(rows.begin(), rows.end());
  return at::tensor(rows, at::kLong);
}

}  // namespace covary::scene
