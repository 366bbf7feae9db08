#include "covary/stat/process/variational_step.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"
#include "covary/core/linalg/triangle.h"

namespace covary::stat {
namespace {

using compute::PairBlock;
constexpr int64_t kRows = KernelTape::kRows, kColumns = KernelTape::kColumns;
constexpr int64_t kStretch = 256;  // columns a task of an entry-by-entry pass

int64_t parts(int64_t n, int64_t size) { return (n + size - 1) / size; }

// body(tile, scratch, strip) over the tiles of [n, m], strips of rows in parallel; lower: but for
// those right of the diagonal.
template <class F>
void over_tiles(const KernelTape& tape, int64_t n, int64_t m, bool lower, const F& body) {
  std::vector<KernelTape::Scratch> scratch(static_cast<size_t>(threads()));
  parallel_tasks(parts(n, kRows), [&](int64_t strip, int worker) {
    KernelTape::Scratch& mine = scratch[static_cast<size_t>(worker)];
    if (mine.buffers.empty()) mine = tape.scratch();
    const int64_t row = strip * kRows, height = std::min(kRows, n - row),
                  width = lower ? std::min(m, row + height) : m;
    for (int64_t column = 0; column < width; column += kColumns)
      body(PairBlock{row, height, column, std::min(kColumns, width - column)}, mine, strip);
  });
}

// out [n, m] = the kernel over the two sets of the tape.
template <class Real>
void fill(const KernelTape& tape, int64_t n, int64_t m, bool lower, Real* out) {
  over_tiles(tape, n, m, lower, [&](const PairBlock& t, KernelTape::Scratch& scratch, int64_t) {
    const double* k = tape.forward(t, scratch);
    for (int64_t i = 0; i < t.rows; ++i) {
      Real* to = out + (t.row + i) * m + t.column;
      for (int64_t j = 0; j < t.columns; ++j) to[j] = static_cast<Real>(k[i * t.columns + j]);
    }
  });
}

// Adds sum W dK / dlog(parameter) to `parameters` and `share` sum_j W_ij dK_ij / dx_i to `rows`
// [n, dims].
template <class Real>
void contract(const KernelTape& tape, int64_t n, int64_t m, int64_t dims, const Real* weights,
              double share, std::vector<double>* parameters, std::vector<double>* rows) {
  const int64_t strips = parts(n, kRows);
  const size_t count = parameters->size();
  std::vector<double> partial(static_cast<size_t>(strips) * count),
      moved(static_cast<size_t>(n * dims));
  over_tiles(tape, n, m, false,
             [&](const PairBlock& t, KernelTape::Scratch& scratch, int64_t strip) {
               double w[kRows * kColumns];
               for (int64_t i = 0; i < t.rows; ++i) {
                 const Real* from = weights + (t.row + i) * m + t.column;
                 for (int64_t j = 0; j < t.columns; ++j) w[i * t.columns + j] = from[j];
               }
               tape.forward(t, scratch);
               tape.backward(t, w, scratch, partial.data() + static_cast<size_t>(strip) * count);
               tape.backward_inputs(t, w, scratch, moved.data() + t.row * dims, true);
             });
  for (int64_t s = 0; s < strips; ++s) {
    for (size_t p = 0; p < count; ++p)
      (*parameters)[p] += partial[static_cast<size_t>(s) * count + p];
  }
  for (size_t i = 0; i < moved.size(); ++i) (*rows)[i] += share * moved[i];
}

template <class Real>
double dot(const std::vector<Real>& a, const std::vector<Real>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

// out [m] = A x, A [m, n].
template <class Real>
void times(int64_t m, int64_t n, const Real* a, const Real* x, Real* out) {
  const linalg::OneBlasThread one;
  linalg::gemm(false, false, m, 1, n, Real(1), a, n, x, 1, Real(0), out, 1);
}

}  // namespace

template <class Real>
VariationalStep<Real>::VariationalStep(int64_t m, double relative_jitter)
    : m_(m),
      asked_jitter_(relative_jitter),
      shift_(static_cast<size_t>(m)),
      mean_(static_cast<size_t>(m)) {
  const auto square = static_cast<size_t>(m * m);
  precision_.resize(square);
  for (int64_t i = 0; i < m; ++i) precision_[static_cast<size_t>(i * m + i)] = 1;
  s_ = precision_;
}

template <class Real>
bool VariationalStep<Real>::factor(const LatentModel& model, std::span<const double> z) {
  // In single precision a factor of the bare matrix is luck.
  static constexpr double kOfFloats[] = {1e-5, 1e-4, 1e-3};
  std::vector<double> ladder(linalg::kJitterLadder.begin(), linalg::kJitterLadder.end());
  if (sizeof(Real) == 4) ladder.assign(std::begin(kOfFloats), std::end(kOfFloats));
  if (asked_jitter_ >= 0) ladder.assign(1, asked_jitter_);
  const KernelTape tape(model.kernel, z.data(), m_, nullptr, 0, true, false);
  std::vector<Real>& k = work_;
  k.resize(static_cast<size_t>(m_ * m_));
  fill(tape, m_, m_, true, k.data());
  double diagonal = 0;
  for (int64_t i = 0; i < m_; ++i)
    diagonal += static_cast<double>(k[static_cast<size_t>(i * m_ + i)]) / static_cast<double>(m_);
  if (!(diagonal > 0) || !std::isfinite(diagonal)) return false;
  inverse_.resize(k.size());
  for (const double jitter : ladder) {
    work2_ = k;
    for (int64_t i = 0; i < m_; ++i)
      work2_[static_cast<size_t>(i * m_ + i)] += static_cast<Real>(jitter * diagonal);
    if (!linalg::factor_and_invert(m_, work2_.data(), m_, inverse_.data(), m_)) continue;
    relative_jitter_ = jitter;
    return true;
  }
  return false;
}

template <class Real>
double VariationalStep<Real>::divergence() const {
  double trace = 0, square = 0;
  for (int64_t i = 0; i < m_; ++i) {
    const auto mean = static_cast<double>(mean_[static_cast<size_t>(i)]);
    trace += static_cast<double>(s_[static_cast<size_t>(i * m_ + i)]);
    square += mean * mean;
  }
  return 0.5 * (trace + square - static_cast<double>(m_) - log_determinant_);
}

// A row's marginal and its expectation and, for the way back, what goes through A: a_ is A, sa_
// becomes m u' + 2 (S - I) A D and ad_ A D. Returns the sum of the expectations.
template <class Real>
double VariationalStep<Real>::forward(const LatentModel& model, const KernelTape& tape,
                                      std::span<const double> x, std::span<const double> y,
                                      std::span<const double> weights, double scale,
                                      bool backward) {
  const int64_t m = m_, n = static_cast<int64_t>(y.size());
  const auto size = static_cast<size_t>(m * n), count_of_rows = static_cast<size_t>(n);
  a_.resize(size);
  sa_.resize(size);
  ad_.resize(size);
  fill(tape, m, n, false, ad_.data());
  linalg::lower_times(false, m, n, inverse_.data(), m, ad_.data(), n, a_.data(), n);
  linalg::full_times(m, n, s_.data(), m, a_.data(), n, sa_.data(), n);
  const size_t own = model.likelihood.parameters().size();
  for (auto* v : {&prior_, &value_, &by_variance_}) v->resize(count_of_rows);
  by_parameters_.resize(own * count_of_rows);
  u_.resize(count_of_rows);
  model.kernel.diagonal(x.data(), n, false, prior_.data());
  parallel_tasks(parts(n, kStretch), [&](int64_t task) {
    const int64_t begin = task * kStretch, count = std::min(kStretch, n - begin);
    double mean[kStretch] = {}, variance[kStretch] = {};
    Real d[kStretch];
    for (int64_t k = 0; k < m; ++k) {
      const Real *a = a_.data() + k * n + begin, *sa = sa_.data() + k * n + begin;
      const double weight = static_cast<double>(mean_[static_cast<size_t>(k)]);
      for (int64_t i = 0; i < count; ++i) {
        mean[i] += weight * static_cast<double>(a[i]);
        variance[i] += static_cast<double>(a[i] * (sa[i] - a[i]));
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      const auto row = static_cast<size_t>(begin + i);
      const double v = std::max(prior_[row] + variance[i], 1e-9 * prior_[row]);
      ExpectedDensity e = model.likelihood.expected(y[row], model.mean + mean[i], v,
                                                    {by_parameters_.data() + row * own, own});
      if (!weights.empty()) {
        const Likelihood::WeightTerm term = model.likelihood.weight_term(weights[row]);
        e.value = weights[row] * e.value + term.value;
        e.by_mean *= weights[row];
        e.by_variance *= weights[row];
        for (size_t p = 0; p < own; ++p) by_parameters_[row * own + p] *= weights[row];
        if (own > 0) by_parameters_[row * own] += term.by_noise;
      }
      value_[row] = e.value;
      by_variance_[row] = scale * e.by_variance;
      u_[row] = static_cast<Real>(scale * e.by_mean);
      d[i] = static_cast<Real>(by_variance_[row]);
    }
    if (!backward) return;
    for (int64_t k = 0; k < m; ++k) {
      const Real *a = a_.data() + k * n + begin, *u = u_.data() + begin;
      Real *sa = sa_.data() + k * n + begin, *ad = ad_.data() + k * n + begin;
      const Real weight = mean_[static_cast<size_t>(k)];
      for (int64_t i = 0; i < count; ++i) {
        ad[i] = a[i] * d[i];
        sa[i] = weight * u[i] + 2 * d[i] * (sa[i] - a[i]);
      }
    }
  });
  double sum = 0;
  for (const double v : value_) sum += v;
  return std::isfinite(sum) ? sum : -std::numeric_limits<double>::infinity();
}

template <class Real>
BoundParts VariationalStep<Real>::pass(const LatentModel& model, std::span<const double> z,
                                       std::span<const double> x, std::span<const double> y,
                                       int64_t rows_at_once, std::span<const double> weights) {
  const int64_t m = m_, n = static_cast<int64_t>(y.size()), d = model.kernel.dims();
  BoundParts out{-std::numeric_limits<double>::infinity(), divergence()};
  if (!factor(model, z)) return out;
  out.expected = 0;
  g_.assign(static_cast<size_t>(m * m), Real(0));
  au_.assign(static_cast<size_t>(m), Real(0));
  work_.resize(g_.size());
  std::vector<Real> part(au_.size());
  for (int64_t begin = 0; begin < n; begin += rows_at_once) {
    const int64_t count = std::min(rows_at_once, n - begin);
    const auto xs = x.subspan(static_cast<size_t>(begin * d), static_cast<size_t>(count * d));
    const auto ys = y.subspan(static_cast<size_t>(begin), static_cast<size_t>(count));
    const KernelTape tape(model.kernel, z.data(), m, xs.data(), count, false, false);
    const auto own = weights.empty()
                         ? weights
                         : weights.subspan(static_cast<size_t>(begin), static_cast<size_t>(count));
    out.expected += forward(model, tape, xs, ys, own, 1, true);
    if (!std::isfinite(out.expected)) return out;
    linalg::symmetric_product(m, count, a_.data(), count, ad_.data(), count, work_.data(), m);
    times(m, count, a_.data(), u_.data(), part.data());
    for (size_t i = 0; i < g_.size(); ++i) g_[i] += work_[i];
    for (size_t i = 0; i < au_.size(); ++i) au_[i] += part[i];
  }
  return out;
}

template <class Real>
BoundParts VariationalStep<Real>::evaluate(const LatentModel& model, std::span<const double> z,
                                           std::span<const double> x, std::span<const double> y,
                                           double scale, VariationalGradient* gradient,
                                           std::span<const double> weights) {
  const int64_t m = m_, n = static_cast<int64_t>(y.size()), d = model.kernel.dims();
  BoundParts out{-std::numeric_limits<double>::infinity(), divergence()};
  if (!factor(model, z)) return out;
  const KernelTape tape(model.kernel, z.data(), m, x.data(), n, false, gradient != nullptr);
  out.expected = forward(model, tape, x, y, weights, scale, gradient != nullptr);
  if (!gradient || !std::isfinite(out.expected)) return out;

  const size_t own = model.likelihood.parameters().size();
  gradient->likelihood.assign(own, 0.0);
  gradient->mean = 0;
  for (size_t i = 0; i < u_.size(); ++i) {
    gradient->mean += static_cast<double>(u_[i]);
    for (size_t p = 0; p < own; ++p) gradient->likelihood[p] += scale * by_parameters_[i * own + p];
  }
  g_.resize(static_cast<size_t>(m * m));
  au_.resize(static_cast<size_t>(m));
  linalg::symmetric_product(m, n, a_.data(), n, ad_.data(), n, g_.data(), m);
  times(m, n, a_.data(), u_.data(), au_.data());
  // sa_ holds dA: K_mn's weights take the place of A D.
  linalg::lower_times(true, m, n, inverse_.data(), m, sa_.data(), n, ad_.data(), n);
  // H = -1/2 sym(lower(m (A u)' + 2 (S - I) G)), then L^-T H L^-1.
  work_.resize(g_.size());
  work2_.resize(g_.size());
  work3_.resize(g_.size());
  linalg::symmetric_product(m, m, s_.data(), m, g_.data(), m, work_.data(), m);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      const auto at = static_cast<size_t>(i * m + j), mirrored = static_cast<size_t>(j * m + i);
      const Real h = Real(-0.5) * (mean_[static_cast<size_t>(i)] * au_[static_cast<size_t>(j)] +
                                   2 * (work_[at] - g_[at]));
      work_[at] = work_[mirrored] = h;
    }
  }
  linalg::lower_congruence(m, inverse_.data(), m, work_.data(), m, work3_.data(), work2_.data(), m);

  const size_t parameters = model.kernel.parameters().size();
  gradient->kernel.assign(parameters, 0.0);
  gradient->inducing.assign(static_cast<size_t>(m * d), 0.0);
  contract(tape, m, n, d, ad_.data(), 1, &gradient->kernel, &gradient->inducing);
  const KernelTape own_tape(model.kernel, z.data(), m, nullptr, 0, true, true);
  contract(own_tape, m, m, d, work2_.data(), 2, &gradient->kernel, &gradient->inducing);
  std::vector<double> part(parameters);
  model.kernel.contract_diagonal(x.data(), n, by_variance_.data(), part);
  for (size_t p = 0; p < parameters; ++p) gradient->kernel[p] += part[p];
  return out;
}

template <class Real>
bool VariationalStep<Real>::take_precision() {
  std::vector<Real>&c = work2_, &inverse = work3_;
  c = work_;
  inverse.resize(c.size());
  if (!linalg::factor_and_invert(m_, c.data(), m_, inverse.data(), m_)) return false;
  double log_determinant = 0;
  for (int64_t i = 0; i < m_; ++i)
    log_determinant -= 2 * std::log(static_cast<double>(c[static_cast<size_t>(i * m_ + i)]));
  if (!std::isfinite(log_determinant)) return false;
  linalg::lower_square(m_, inverse.data(), m_, s_.data(), m_);
  log_determinant_ = log_determinant;
  precision_.swap(work_);
  return true;
}

template <class Real>
bool VariationalStep<Real>::follow(double rate) {
  for (int turn = 0; turn < 8; ++turn, rate *= 0.5) {
    const auto r = static_cast<Real>(rate);
    work_.resize(precision_.size());
    for (size_t i = 0; i < precision_.size(); ++i)
      work_[i] = (1 - r) * precision_[i] - 2 * r * g_[i];
    for (int64_t i = 0; i < m_; ++i) work_[static_cast<size_t>(i * m_ + i)] += r;
    if (!take_precision()) continue;
    std::vector<Real> gm(mean_.size());
    times(m_, m_, g_.data(), mean_.data(), gm.data());
    for (size_t i = 0; i < shift_.size(); ++i)
      shift_[i] = (1 - r) * shift_[i] + r * (au_[i] - 2 * gm[i]);
    times(m_, m_, s_.data(), shift_.data(), mean_.data());
    return true;
  }
  return false;
}

template <class Real>
void VariationalStep<Real>::predict(const LatentModel& model, std::span<const double> z,
                                    const double* x, int64_t n, double* mean,
                                    double* variance) const {
  const auto size = static_cast<size_t>(m_ * n);
  std::vector<Real> k(size), a(size);
  fill(KernelTape(model.kernel, z.data(), m_, x, n, false, false), m_, n, false, k.data());
  linalg::lower_times(false, m_, n, inverse_.data(), m_, k.data(), n, a.data(), n);
  linalg::full_times(m_, n, s_.data(), m_, a.data(), n, k.data(), n);
  model.kernel.diagonal(x, n, false, variance);
  parallel_tasks(parts(n, kStretch), [&](int64_t task) {
    const int64_t begin = task * kStretch, count = std::min(kStretch, n - begin);
    double left[kStretch] = {};
    std::fill_n(mean + begin, count, model.mean);
    for (int64_t row = 0; row < m_; ++row) {
      const Real *ai = a.data() + row * n + begin, *sai = k.data() + row * n + begin;
      const double weight = static_cast<double>(mean_[static_cast<size_t>(row)]);
      for (int64_t i = 0; i < count; ++i) {
        mean[begin + i] += weight * static_cast<double>(ai[i]);
        left[i] += static_cast<double>(ai[i] * (sai[i] - ai[i]));
      }
    }
    for (int64_t i = 0; i < count; ++i)
      variance[begin + i] = std::max(variance[begin + i] + left[i], 0.0);
  });
}

template <class Real>
void VariationalStep<Real>::covariance(const LatentModel& model, std::span<const double> z,
                                       const double* x, int64_t n, double* out) const {
  const auto size = static_cast<size_t>(m_ * n);
  std::vector<Real> k(size), a(size), c(static_cast<size_t>(n * n));
  fill(KernelTape(model.kernel, z.data(), m_, x, n, false, false), m_, n, false, k.data());
  linalg::lower_times(false, m_, n, inverse_.data(), m_, k.data(), n, a.data(), n);
  linalg::full_times(m_, n, s_.data(), m_, a.data(), n, k.data(), n);
  for (size_t i = 0; i < size; ++i) k[i] -= a[i];
  model.kernel.cross(x, n, x, n, out, n);
  const linalg::OneBlasThread one;
  linalg::gemm(true, false, n, n, m_, Real(1), a.data(), n, k.data(), n, Real(0), c.data(), n);
  for (size_t i = 0; i < c.size(); ++i) out[i] += static_cast<double>(c[i]);
}

template <class Real>
VariationalState VariationalStep<Real>::state() const {
  return {{precision_.begin(), precision_.end()}, {shift_.begin(), shift_.end()}};
}

template <class Real>
void VariationalStep<Real>::set_state(const VariationalState& state) {
  work_.assign(state.precision.begin(), state.precision.end());
  if (!take_precision())
    throw Error(ExitCode::kFailed, "the precision of q has no factor", "process");
  for (size_t i = 0; i < shift_.size(); ++i) shift_[i] = static_cast<Real>(state.shift[i]);
  times(m_, m_, s_.data(), shift_.data(), mean_.data());
}

template class VariationalStep<float>;
template class VariationalStep<double>;

}  // namespace covary::stat
