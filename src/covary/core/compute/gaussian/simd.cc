#include <algorithm>
#include <memory>
#include <vector>

#include "covary/core/base/threads.h"
#include "covary/core/compute/gaussian/gaussian.h"
#include "covary/core/compute/gaussian/tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/gaussian/simd.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/core/compute/gaussian/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

// A block of at most kReductionBlock rows into sums that are clear.
void accumulate_block(const PackedMixture& p, const double* x, const double* weights, int64_t n,
                      bool moments, TileWork& w, MixtureSums& sums) {
  for (int64_t from = 0; from < n; from += kGaussianTile) {
    const int64_t count = std::min(kGaussianTile, n - from);
    transpose(x + from * p.m.d, count, p.m.d, w.x);
    for (int64_t i = 0; i < kGaussianTile; ++i) {
      w.weight[i] = i >= count ? 0.0 : weights ? weights[from + i] : 1.0;
    }
    joint_of_tile(p, w, x + (from + count) * p.m.d,
                  std::min(kGaussianTile, n - from - count) * p.m.d);
    soften_tile<Soften::kStatistics>(p, w);
    add_points(w, from, sums);
    if (!moments) continue;
    if (!p.matrices()) {
      add_moments_tile<true>(p, w);
    } else if (p.near_centre) {
      add_near_tile(p, w);
    } else {
      add_full_tile(p, w);
    }
  }
  sums.rows = static_cast<double>(n);
  if (moments) collect(p, w, sums);
}

// Scores of at most kGaussianTile rows; `out` is of the first of them.
void score_tile(const PackedMixture& p, const double* x, int64_t n, TileWork& w,
                const MixtureScores& out) {
  const int64_t k = p.m.k;
  transpose(x, n, p.m.d, w.x);
  joint_of_tile(p, w, x, 0);
  for (int64_t i = 0; i < n && (out.joint || out.labels); ++i) {
    int64_t best = 0;
    for (int64_t c = 0; c < k; ++c) {
      const double j = w.joint[c * kTileColumn + i];
      if (out.joint) out.joint[i * k + c] = j;
      if (j > w.joint[best * kTileColumn + i]) best = c;
    }
    if (out.labels) out.labels[i] = best;
  }
  if (!out.log_density && !out.responsibilities) return;
  if (out.responsibilities) {
    soften_tile<Soften::kResponsibilities>(p, w);
  } else {
    soften_tile<Soften::kDensity>(p, w);
  }
  if (out.log_density) std::copy_n(w.log_density, n, out.log_density);
  if (!out.responsibilities) return;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < k; ++c) out.responsibilities[i * k + c] = w.joint[c * kTileColumn + i];
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(accumulate_block);
HWY_EXPORT(score_tile);

namespace {

// Blocks whose sums are held at once: enough to keep threads busy, however many rows there are.
constexpr int64_t kWave = 16;

class Workers {
 public:
  Workers(const PackedMixture& p, bool statistics) : p_(p), statistics_(statistics) {
    works_.resize(static_cast<size_t>(threads()));
  }
  TileWork& of(int worker) {
    auto& w = works_[static_cast<size_t>(worker)];
    if (!w) w = std::make_unique<TileWork>(p_, statistics_);
    return *w;
  }

 private:
  const PackedMixture& p_;
  bool statistics_;
  std::vector<std::unique_ptr<TileWork>> works_;
};

}  // namespace

void mixture_scores(const GaussianMixtureView& m, const double* x, int64_t n,
                    const MixtureScores& out) {
  const PackedMixture p(m);
  Workers workers(p, false);
  parallel_tasks((n + kGaussianTile - 1) / kGaussianTile, [&](int64_t tile, int worker) {
    const int64_t from = tile * kGaussianTile;
    const auto at = [&](auto* values, int64_t width) {
      return values ? values + from * width : nullptr;
    };
    HWY_DYNAMIC_DISPATCH(score_tile)
    (p, x + from * m.d, std::min(kGaussianTile, n - from), workers.of(worker),
     {at(out.log_density, 1), at(out.responsibilities, m.k), at(out.joint, m.k),
      at(out.labels, 1)});
  });
}

void accumulate_mixture(const GaussianMixtureView& m, const double* x, const double* weights,
                        int64_t n, MixtureSums& sums, bool moments) {
  const PackedMixture p(m);
  Workers workers(p, true);
  const int64_t blocks = (n + kReductionBlock - 1) / kReductionBlock;
  std::vector<MixtureSums> wave(static_cast<size_t>(std::min(blocks, kWave)),
                                MixtureSums(m.type, m.k, m.d));
  for (int64_t first = 0; first < blocks; first += kWave) {
    const int64_t count = std::min(kWave, blocks - first);
    parallel_tasks(count, [&](int64_t i, int worker) {
      const int64_t from = (first + i) * kReductionBlock;
      MixtureSums& part = wave[static_cast<size_t>(i)];
      part.clear();
      HWY_DYNAMIC_DISPATCH(accumulate_block)
      (p, x + from * m.d, weights ? weights + from : nullptr, std::min(kReductionBlock, n - from),
       moments, workers.of(worker), part);
    });
    for (int64_t i = 0; i < count; ++i) sums.add(wave[static_cast<size_t>(i)]);
  }
}

}  // namespace covary::compute
#endif
