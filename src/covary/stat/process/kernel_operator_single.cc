#include "covary/stat/process/kernel_operator_single.h"

#include <algorithm>

#include "covary/core/base/threads.h"
#include "covary/core/compute/tile_product/tile_product.h"
#include "covary/stat/process/row_noise.h"

namespace covary::stat {
namespace {

using compute::PairBlock;
constexpr int64_t kBand = 512;  // points a task, where right-hand sides are packed and unpacked

size_t index(int64_t i) { return static_cast<size_t>(i); }

}  // namespace

SingleKernelOperator::SingleKernelOperator(const Kernel& kernel, const double* x, int64_t n,
                                           std::span<const double> noise, int64_t memory,
                                           std::span<const double> weights)
    : n_(n),
      strips_{n, kRows, kColumns},
      tape_(kernel, x, n, nullptr, 0, true, false),
      diagonal_(index(n)) {
  kernel.diagonal(x, n, true, diagonal_.data());
  const std::vector<double> terms = row_terms(kernel, x, n, noise, weights);
  for (size_t i = 0; i < terms.size(); ++i) diagonal_[i] += terms[i];
  const int64_t strips = strips_.count(), last = (strips - 1) * kRows;
  const PairBlock corner{last, n - last, last, n - last};
  const int64_t entries = strips_.place_of(corner) + corner.size();
  if (4.0 * static_cast<double>(entries) > static_cast<double>(memory)) return;
  stored_ = std::make_unique_for_overwrite<float[]>(index(entries));
  parallel_tasks(strips, [&](int64_t task) {
    KernelTape::Scratch scratch = tape_.scratch();
    strips_.over(strips - 1 - task, [&](const PairBlock& t) {
      fill(t, scratch, stored_.get() + strips_.place_of(t));
    });
  });
}

void SingleKernelOperator::fill(const PairBlock& t, KernelTape::Scratch& scratch,
                                float* out) const {
  for (int64_t i = 0; i < t.rows; i += KernelTape::kRows) {
    for (int64_t j = 0; j < t.columns; j += KernelTape::kColumns) {
      const PairBlock part{t.row + i, std::min(KernelTape::kRows, t.rows - i), t.column + j,
                           std::min(KernelTape::kColumns, t.columns - j)};
      const double* k = tape_.forward(part, scratch);
      for (int64_t r = 0; r < part.rows; ++r) {
        float* to = out + (i + r) * t.columns + j;
        for (int64_t c = 0; c < part.columns; ++c)
          to[c] = static_cast<float>(k[r * part.columns + c]);
      }
    }
  }
  if (t.row != t.column) return;
  for (int64_t i = 0; i < t.rows; ++i) out[i * t.columns + i] = 0;  // added in doubles
}

void SingleKernelOperator::multiply(const double* rows, int64_t count, double* out) const {
  const int64_t strips = strips_.count(), groups = std::min(kGroups, strips);
  const int64_t width = (count + compute::kLanes - 1) / compute::kLanes * compute::kLanes;
  // Point by point, so that an entry meets all right-hand sides at once.
  const auto packed = std::make_unique_for_overwrite<float[]>(index(n_ * width));
  parallel_for((n_ + kBand - 1) / kBand, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first * kBand; i < std::min(last * kBand, n_); ++i) {
      float* to = packed.get() + i * width;
      for (int64_t c = 0; c < count; ++c) to[c] = static_cast<float>(rows[c * n_ + i]);
      std::fill(to + count, to + width, 0.0F);
    }
  });
  const auto sums = std::make_unique_for_overwrite<double[]>(index(groups * n_ * width));
  parallel_tasks(groups, [&](int64_t group) {
    KernelTape::Scratch scratch;
    std::vector<float> own;
    if (!stored_) {
      scratch = tape_.scratch();
      own.resize(index(kRows * kColumns));
    }
    double* to = sums.get() + group * n_ * width;
    std::fill_n(to, n_ * width, 0.0);
    const auto use = [&](const PairBlock& t) {
      const float* k = own.data();
      if (stored_) {
        k = stored_.get() + strips_.place_of(t);
      } else {
        fill(t, scratch, own.data());
      }
      compute::tile_product(k, t.rows, t.columns, packed.get() + t.column * width, width,
                            to + t.row * width);
      if (t.column < t.row) {
        compute::tile_product_transposed(k, t.rows, t.columns, packed.get() + t.row * width, width,
                                         to + t.column * width);
      }
    };
    // Longest strips first; neighbours, about equally long, go to different groups.
    for (int64_t strip = strips - 1 - group; strip >= 0; strip -= groups) strips_.over(strip, use);
  });
  parallel_for((n_ + kBand - 1) / kBand, 1, [&](int64_t first, int64_t last) {
    std::vector<double> total(index(kBand * width));
    for (int64_t band = first; band < last; ++band) {
      const int64_t begin = band * kBand, points = std::min(kBand, n_ - begin);
      std::fill(total.begin(), total.end(), 0.0);
      for (int64_t g = 0; g < groups; ++g) {
        const double* from = sums.get() + (g * n_ + begin) * width;
        for (int64_t i = 0; i < points * width; ++i) total[index(i)] += from[i];
      }
      for (int64_t c = 0; c < count; ++c) {
        for (int64_t i = 0; i < points; ++i) {
          const int64_t at = begin + i;
          out[c * n_ + at] = total[index(i * width + c)] + diagonal_[index(at)] * rows[c * n_ + at];
        }
      }
    }
  });
}

void SingleKernelOperator::diagonal(double* out) const {
  std::copy(diagonal_.begin(), diagonal_.end(), out);
}

}  // namespace covary::stat
