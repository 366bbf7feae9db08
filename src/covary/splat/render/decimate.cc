#include "covary/splat/render/decimate.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/splat/render/contribution.h"
#include "covary/splat/scene/moment_merge.h"

namespace covary::render {
namespace {

constexpr double kNegligible =
    0.01;  // of all contributions, that is dropped before splats are merged

// The first `count` of the rows by a falling score, in their own order.
at::Tensor best_rows(const at::Tensor& score, int64_t count) {
  return std::get<0>(std::get<1>(score.sort(true, 0, true)).narrow(0, 0, count).sort());
}

}  // namespace

void DecimateOptions::check() const {
  if (target < 1) throw Error(ExitCode::kUsage, "leaves no splat", "decimate", "leave 1 or more");
  if (by != "merge" && by != "contribution" && by != "random")
    throw Error(ExitCode::kUsage, "'" + by + "' is none of the choices", "by",
                "the choices are merge, contribution, random");
}

Decimated decimated(const scene::Cloud& cloud, const std::vector<scene::Camera>& views,
                    const DecimateOptions& options) {
  options.check();
  const int64_t n = cloud.size();
  Decimated out{cloud};
  if (n <= options.target) return out;
  if (options.by == "random") {
    at::Tensor score = at::empty({n}, at::kDouble);
    const Random random(options.seed, stream_of("decimate"));
    for (int64_t i = 0; i < n; ++i)
      score.data_ptr<double>()[i] = random.uniform(static_cast<uint64_t>(i));
    out.cloud = scene::select(cloud, best_rows(score, options.target));
    out.dropped = n - options.target;
    return out;
  }
  if (views.empty())
    throw Error(ExitCode::kUsage, "needs views to tell what contributes", "decimate",
                "give one or more");
  at::Tensor sums = contribution_sums(cloud, views);
  if (options.by == "contribution") {
    out.cloud = scene::select(cloud, best_rows(sums, options.target));
    out.dropped = n - options.target;
    return out;
  }
  const at::Tensor sorted = std::get<0>(sums.sort());
  const at::Tensor before = sorted.cumsum(0);
  const int64_t negligible =
      (before <= kNegligible * before[n - 1].item<double>()).sum().item<int64_t>();
  const int64_t kept = std::max(options.target, n - negligible);
  at::Tensor rows = best_rows(sums, kept);
  scene::Merged m =
      scene::merged_by_moments(scene::select(cloud, rows), sums.index_select(0, rows),
                               {.target = options.target, .divergence = options.divergence});
  out.worst = m.worst;
  out.merged = kept - m.cloud.size();
  out.cloud = std::move(m.cloud);
  if (out.cloud.size() > options.target)
    out.cloud = scene::select(out.cloud, best_rows(m.mass, options.target));
  out.dropped = n - out.merged - out.cloud.size();
  return out;
}

}  // namespace covary::render
