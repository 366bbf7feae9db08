#include "covary/stat/mixture/kde_features.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/ATen.h>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/stat/mixture/kde_features.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace covary::mixture {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<double>;
using V = hn::Vec<D>;
constexpr D kD;

// Cosine and sine of a phase in turns: whole turns are taken off first.
HWY_INLINE void turn(V phase, V& cosine, V& sine) {
  const V radians = hn::Mul(hn::Sub(phase, hn::Round(phase)), hn::Set(kD, 2 * std::numbers::pi));
  cosine = hn::Cos(kD, radians);
  sine = hn::Sin(kD, radians);
}

// C and S of 16 features at `first`, over all points [n,d].
void transform_simd(const double* x, const double* weights, int64_t n, int64_t d,
                    const double* frequencies, int64_t padded, int64_t first, double* cosines,
                    double* sines) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(kD));
  for (int64_t f = first; f < first + kKdePad; f += lanes) {
    V c = hn::Zero(kD), s = hn::Zero(kD);
    for (int64_t i = 0; i < n; ++i) {
      V phase = hn::Zero(kD);
      for (int64_t j = 0; j < d; ++j)
        phase = hn::MulAdd(hn::Set(kD, x[i * d + j]), hn::LoadU(kD, frequencies + j * padded + f),
                           phase);
      V cosine, sine;
      turn(phase, cosine, sine);
      const V w = hn::Set(kD, weights[i]);
      c = hn::MulAdd(w, cosine, c);
      s = hn::MulAdd(w, sine, s);
    }
    hn::StoreU(c, kD, cosines + f);
    hn::StoreU(s, kD, sines + f);
  }
}

// Sum of f(omega) over the features and of its square, at one query [d].
void feature_sums_simd(const double* q, int64_t d, const double* frequencies, int64_t padded,
                       const double* cosines, const double* sines, double* sum, double* squares) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(kD));
  V total = hn::Zero(kD), square = hn::Zero(kD);
  for (int64_t f = 0; f < padded; f += lanes) {
    V phase = hn::Zero(kD);
    for (int64_t j = 0; j < d; ++j)
      phase = hn::MulAdd(hn::Set(kD, q[j]), hn::LoadU(kD, frequencies + j * padded + f), phase);
    V cosine, sine;
    turn(phase, cosine, sine);
    const V value =
        hn::MulAdd(cosine, hn::LoadU(kD, cosines + f), hn::Mul(sine, hn::LoadU(kD, sines + f)));
    total = hn::Add(total, value);
    square = hn::MulAdd(value, value, square);
  }
  *sum = hn::GetLane(hn::SumOfLanes(kD, total));
  *squares = hn::GetLane(hn::SumOfLanes(kD, square));
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::mixture
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::mixture {

HWY_EXPORT(transform_simd);
HWY_EXPORT(feature_sums_simd);

bool has_features(Kernel kernel) {
  return kernel == Kernel::kGaussian || kernel == Kernel::kExponential ||
         kernel == Kernel::kLaplacian;
}

RandomFeatures::RandomFeatures(Kernel kernel, const std::vector<double>& x,
                               const std::vector<double>& weights, int64_t n, int64_t d,
                               int64_t features, int64_t seed)
    : d_(d),
      features_(features),
      padded_((features + kKdePad - 1) / kKdePad * kKdePad),
      middle_(static_cast<size_t>(d), 0.0),
      frequencies_(static_cast<size_t>(d * padded_), 0.0),
      cosines_(static_cast<size_t>(padded_), 0.0),
      sines_(cosines_) {
  const Random normal(static_cast<uint64_t>(seed), stream_of("kde.frequency"));
  const Random scale(static_cast<uint64_t>(seed), stream_of("kde.frequency.scale"));
  for (int64_t f = 0; f < features; ++f) {
    // A Cauchy law is a normal one over another: one a coordinate, or one for all.
    const auto element = static_cast<uint64_t>(f);
    const double shared =
        kernel == Kernel::kExponential ? 1 / std::abs(scale.normal(element)) : 1.0;
    for (int64_t j = 0; j < d; ++j) {
      const auto own = static_cast<uint64_t>(f * d + j);
      const double divisor =
          kernel == Kernel::kLaplacian ? 1 / std::abs(scale.normal(own)) : shared;
      frequencies_[static_cast<size_t>(j * padded_ + f)] =
          normal.normal(own) * divisor / (2 * std::numbers::pi);
    }
  }
  for (int64_t i = 0; i < n * d; ++i)
    middle_[static_cast<size_t>(i % d)] += x[static_cast<size_t>(i)] / static_cast<double>(n);
  std::vector<double> about(x);
  for (int64_t i = 0; i < n * d; ++i)
    about[static_cast<size_t>(i)] -= middle_[static_cast<size_t>(i % d)];
  parallel_tasks(padded_ / kKdePad, [&](int64_t group) {
    HWY_DYNAMIC_DISPATCH(transform_simd)
    (about.data(), weights.data(), n, d, frequencies_.data(), padded_, group * kKdePad,
     cosines_.data(), sines_.data());
  });
  // Features that pad have frequency 0: they must not count.
  std::fill(cosines_.begin() + features, cosines_.end(), 0.0);
  std::fill(sines_.begin() + features, sines_.end(), 0.0);
}

void RandomFeatures::sums(const double* queries, int64_t m, double* out,
                          double* standard_errors) const {
  const auto count = static_cast<double>(features_);
  parallel_for(m, 4, [&](int64_t begin, int64_t end) {
    std::vector<double> q(static_cast<size_t>(d_));
    for (int64_t a = begin; a < end; ++a) {
      for (int64_t j = 0; j < d_; ++j)
        q[static_cast<size_t>(j)] = queries[a * d_ + j] - middle_[static_cast<size_t>(j)];
      double sum = 0, squares = 0;
      HWY_DYNAMIC_DISPATCH(feature_sums_simd)
      (q.data(), d_, frequencies_.data(), padded_, cosines_.data(), sines_.data(), &sum, &squares);
      out[a] = sum / count;
      if (standard_errors)
        standard_errors[a] =
            std::sqrt(std::max(0.0, squares / count - out[a] * out[a]) / (count - 1));
    }
  });
}

Landmarks::Landmarks(Kernel kernel, const std::vector<double>& x,
                     const std::vector<double>& weights, int64_t n, int64_t d, int64_t landmarks,
                     int64_t seed, const KdeTree& tree)
    : kernel_(kernel), d_(d) {
  std::vector<int64_t> rows =
      Random(static_cast<uint64_t>(seed), stream_of("kde.landmarks")).permutation(n);
  std::erase_if(rows, [&](int64_t i) { return weights[static_cast<size_t>(i)] == 0; });
  const int64_t count = std::min<int64_t>(landmarks, static_cast<int64_t>(rows.size()));
  padded_ = (count + kKdePad - 1) / kKdePad * kKdePad;
  columns_.assign(static_cast<size_t>(d * padded_), 0.0);
  weights_.assign(static_cast<size_t>(padded_), 0.0);
  const auto gathered = [&](int64_t begin, int64_t end) {
    std::vector<double> out;
    for (int64_t l = begin; l < end; ++l) {
      const double* row = x.data() + rows[static_cast<size_t>(l)] * d;
      out.insert(out.end(), row, row + d);
    }
    return out;
  };
  const std::vector<double> chosen = gathered(0, count);
  at::Tensor among = at::empty({count, count}, at::kDouble);
  for (int64_t l = 0; l < count; ++l) {
    for (int64_t j = 0; j < d; ++j)
      columns_[static_cast<size_t>(j * padded_ + l)] = chosen[static_cast<size_t>(l * d + j)];
    for (int64_t k = 0; k <= l; ++k) {
      double s = 0;
      for (int64_t j = 0; j < d; ++j)
        s += kernel_term(kernel, chosen[static_cast<size_t>(l * d + j)] -
                                     chosen[static_cast<size_t>(k * d + j)]);
      among.data_ptr<double>()[l * count + k] = among.data_ptr<double>()[k * count + l] =
          kernel_at(kernel, s);
    }
  }
  at::Tensor exact = at::empty({count}, at::kDouble);
  tree.sums(kernel, chosen.data(), count, 0, 0, exact.data_ptr<double>());
  const auto [values, vectors] = at::linalg_eigh(among);
  const at::Tensor inverse =
      at::where(values > 1e-10 * values.max(), 1 / values, at::zeros_like(values));
  const at::Tensor b = vectors.mv(inverse * vectors.t().mv(exact)).contiguous();
  std::copy_n(b.data_ptr<double>(), count, weights_.begin());
  const int64_t left = static_cast<int64_t>(rows.size()) - count;
  const std::vector<double> asked =
      left > 0 ? gathered(count, count + std::min(left, kChecked)) : chosen;
  const int64_t m = static_cast<int64_t>(asked.size()) / d;
  std::vector<double> truth(static_cast<size_t>(m)), ours(truth);
  tree.sums(kernel, asked.data(), m, 0, 0, truth.data());
  sums(asked.data(), m, ours.data());
  for (size_t a = 0; a < truth.size(); ++a)
    error_ += (ours[a] - truth[a]) * (ours[a] - truth[a]) / static_cast<double>(m);
  error_ = std::sqrt(error_);
}

void Landmarks::sums(const double* queries, int64_t m, double* out) const {
  std::fill_n(out, m, 0.0);
  parallel_tasks((m + kKdeQueries - 1) / kKdeQueries, [&](int64_t block) {
    const int64_t begin = block * kKdeQueries;
    add_kernels(kernel_, columns_.data(), weights_.data(), nullptr, padded_, d_,
                queries + begin * d_, std::min(kKdeQueries, m - begin), false, out + begin);
  });
}

}  // namespace covary::mixture
#endif
