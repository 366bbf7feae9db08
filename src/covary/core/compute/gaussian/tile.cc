#include "covary/core/compute/gaussian/tile.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace covary::compute {
namespace {

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

}  // namespace

PackedMixture::PackedMixture(const GaussianMixtureView& view)
    : m(view), d4(round_up(view.d, 4)), triangle(scatter_blocks(d4) * 16) {
  const int64_t k = m.k, d = m.d;
  means.assign(static_cast<size_t>(k * d4), 0.0);
  for (int64_t c = 0; c < k; ++c) std::copy_n(m.means + c * d, d, &means[size_t(c * d4)]);
  constants.resize(static_cast<size_t>(k));
  const double base = -0.5 * static_cast<double>(d) * std::log(2 * std::numbers::pi);
  for (int64_t c = 0; c < k; ++c) {
    double log_determinant = 0;
    for (int64_t i = 0; i < d; ++i) {
      double w = 0;
      if (m.type == CovarianceType::kSpherical) w = m.whiten[c];
      if (m.type == CovarianceType::kDiagonal) w = m.whiten[c * d + i];
      if (m.type == CovarianceType::kTied) w = m.whiten[i * d + i];
      if (m.type == CovarianceType::kFull) w = m.whiten[(c * d + i) * d + i];
      log_determinant += std::log(w);
    }
    constants[static_cast<size_t>(c)] = base + log_determinant + m.log_weights[c];
  }
  double total = 0;
  for (int64_t c = 0; c < k; ++c) total += std::exp(m.log_weights[c]);
  negligible.resize(static_cast<size_t>(k));
  for (int64_t c = 0; c < k; ++c) {
    negligible[static_cast<size_t>(c)] =
        std::log(kNegligible) + m.log_weights[c] - std::log(total) - kLogBound;
  }
  if (m.type == CovarianceType::kSpherical || m.type == CovarianceType::kDiagonal) {
    scales.assign(static_cast<size_t>(k * d4), 0.0);
    for (int64_t c = 0; c < k; ++c) {
      for (int64_t i = 0; i < d; ++i) {
        scales[static_cast<size_t>(c * d4 + i)] =
            m.type == CovarianceType::kSpherical ? m.whiten[c] : m.whiten[c * d + i];
      }
    }
    return;
  }
  const int64_t count = m.type == CovarianceType::kFull ? k : 1;
  triangles.assign(static_cast<size_t>(count * triangle), 0.0);
  for (int64_t c = 0; c < count; ++c) {
    double* out = triangles.data() + c * triangle;
    for (int64_t row = 0; row < d4; row += 4) {
      for (int64_t j = 0; j < row + 4; ++j) {
        for (int64_t r = row; r < row + 4; ++r, ++out) {
          if (r < d && j <= r) *out = m.whiten[(c * d + r) * d + j];
        }
      }
    }
  }
  if (m.type != CovarianceType::kTied) return;
  // Points are whitened once, about the middle of the means; so are the means.
  centre.assign(static_cast<size_t>(d4), 0.0);
  for (int64_t j = 0; j < d; ++j) {
    for (int64_t c = 0; c < k; ++c) centre[size_t(j)] += m.means[c * d + j];
    centre[size_t(j)] /= static_cast<double>(k);
  }
  scales.assign(static_cast<size_t>(k * d4), 0.0);
  near_centre = true;
  for (int64_t c = 0; c < k; ++c) {
    double distance = 0;
    for (int64_t i = 0; i < d; ++i) {
      double z = 0;
      for (int64_t j = 0; j <= i; ++j)
        z += m.whiten[i * d + j] * (m.means[c * d + j] - centre[size_t(j)]);
      scales[static_cast<size_t>(c * d4 + i)] = z;
      distance += z * z;
    }
    near_centre = near_centre && distance <= kNearCentre * kNearCentre;
  }
}

TileWork::TileWork(const PackedMixture& p, bool statistics) {
  const int64_t k = p.m.k, d4 = p.d4;
  const bool sums = statistics, matrices = statistics && p.matrices();
  const bool tied = p.m.type == CovarianceType::kTied;
  const int64_t slots = !matrices ? 0 : tied ? 1 : k;
  const int64_t queued = matrices && !(tied && p.near_centre) ? k * (d4 + 1) * kQueueColumn : 0;
  const int64_t shifts = sums ? (tied ? k + 1 : k) * d4 * kWidestLanes : 0;
  const int64_t squares = sums && !matrices ? k * d4 * kWidestLanes : 0;
  const int64_t scatters = slots * scatter_blocks(d4) * 16 * kWidestLanes;
  const int64_t masses = sums ? k * kWidestLanes : 0;
  lanes_of_sums = masses + shifts + squares + scatters;
  const int64_t total = d4 * kTileColumn                           // x
                        + (tied ? d4 * kTileColumn : 0)            // whitened
                        + k * kTileColumn                          // joint
                        + 4 * kTileColumn                          // vectors
                        + queued                                   // queue
                        + (matrices ? (d4 + 4) * kTileColumn : 0)  // centred, scaled
                        + lanes_of_sums;
  memory = hwy::AllocateAligned<double>(static_cast<size_t>(total));
  std::fill_n(memory.get(), total, 0.0);
  double* at = memory.get();
  const auto take = [&at](int64_t count) {
    double* start = at;
    at += count;
    return start;
  };
  x = take(d4 * kTileColumn);
  whitened = take(tied ? d4 * kTileColumn : 0);
  joint = take(k * kTileColumn);
  log_density = take(kTileColumn);
  entropy = take(kTileColumn);
  weight = take(kTileColumn);
  live = take(kTileColumn);
  queue = take(queued);
  centred = take(matrices ? d4 * kTileColumn : 0);
  scaled = take(matrices ? 4 * kTileColumn : 0);
  mass = take(masses);
  shift = take(shifts);
  square = take(squares);
  scatter = take(scatters);
  waiting.assign(static_cast<size_t>(k), 0);
}

void TileWork::clear_sums() { std::fill_n(mass, lanes_of_sums, 0.0); }

}  // namespace covary::compute
