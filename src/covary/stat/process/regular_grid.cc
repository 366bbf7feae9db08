#include "covary/stat/process/regular_grid.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/conjugate_gradient.h"
#include "covary/core/linalg/toeplitz_grid.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/grid.h"
#include "covary/stat/process/kernel_search.h"
#include "covary/stat/process/start.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLogTwoPi = 1.8378770664093454836;
constexpr int64_t kTogether = 16;  // solutions at a time
constexpr int64_t kLeftOut = 256;  // cells left out in turn

size_t index(int64_t i) { return static_cast<size_t>(i); }

// Coordinates of all cells of a grid, row by row: axis k at place i.
template <class F>
Vector cells_of(const std::vector<int64_t>& shape, const F& coordinate) {
  const auto d = static_cast<int64_t>(shape.size());
  int64_t count = 1;
  for (const int64_t n : shape) count *= n;
  Vector out(index(count * d));
  for (int64_t cell = 0; cell < count; ++cell) {
    int64_t rest = cell;
    for (int64_t k = d; k-- > 0;) {
      out[index(cell * d + k)] = coordinate(k, rest % shape[index(k)]);
      rest /= shape[index(k)];
    }
  }
  return out;
}

}  // namespace

RegularGridProcess::RegularGridProcess(GridAxes axes, const at::Tensor& y,
                                       const RegularGridOptions& options)
    : options_(options), axes_(std::move(axes)), constant_(options.mean == "const") {
  options.check();
  const auto d = static_cast<int64_t>(axes_.size());
  if (d < 1 || !y.defined() || y.scalar_type() != at::kDouble || y.dim() != d)
    throw Error(ExitCode::kUsage, "must be doubles with as many dimensions as there are axes", "y");
  const std::vector<Kernel> plain{Kernel::parse("rbf", 1)};
  for (int64_t k = 0; k < d; ++k) {
    if (axes_[index(k)].empty() || static_cast<int64_t>(axes_[index(k)].size()) != y.size(k))
      throw Error(ExitCode::kUsage, "is empty, or has another length than y",
                  "axis " + std::to_string(k));
    if (!is_toeplitz({axes_[index(k)]}, plain))
      throw Error(ExitCode::kData, "has steps that are not equal", "column " + std::to_string(k),
                  "write --method kron or exact");
    shape_.push_back(y.size(k));
    cells_ *= y.size(k);
  }
  const at::Tensor values = y.detach().contiguous().reshape({-1});
  if (!values.isfinite().all().item<bool>())
    throw Error(ExitCode::kData, "has cells without a value", "y",
                "write --method kron, cg or exact");
  points_ = cells_of(shape_, [&](int64_t k, int64_t i) { return axes_[index(k)][index(i)]; });
  differences_ = cells_of(linalg::lag_shape(shape_), [&](int64_t k, int64_t i) {
    const Vector& axis = axes_[index(k)];
    const int64_t n = shape_[index(k)];
    const double step = n > 1 ? (axis.back() - axis.front()) / static_cast<double>(n - 1) : 0;
    return static_cast<double>(i - (n - 1)) * step;
  });
  const double* from = values.const_data_ptr<double>();
  y_.assign(from, from + cells_);
  const at::Tensor rows = at::from_blob(points_.data(), {cells_, d}, at::kDouble);
  const GpData data = GpData::from(rows, values, {}, constant_ ? Mean::kConst : Mean::kZero);
  kernel_ = Kernel::parse(completed_kernel(options.kernel, false, d), d);
  if (!kernel_.stationary())
    throw Error(ExitCode::kUsage, "sees more than differences of rows", "kernel " + kernel_.text(),
                "write --method kron or exact");
  start_by_data(&kernel_, data, static_cast<uint64_t>(options.seed));
  if (constant_) {
    for (const double v : y_) centre_ += v / static_cast<double>(cells_);
    for (double& v : y_) v -= centre_;
  }
  if (options.fit && !kernel_.pack().empty()) {
    const GpData part = data.sample(options.sample, static_cast<uint64_t>(options.seed));
    GpOptions dense;
    dense.mean = options.mean;
    dense.starts = options.starts;
    dense.seed = options.seed;
    dense.constant_columns = true;
    dense.search.iterations = std::min<int64_t>(options.search.iterations, 50);
    dense.search.watch = options.search.watch;
    const GaussianProcess first(part.x, part.y.squeeze(1).contiguous(), kernel_, dense);
    Vector lower, upper, start = first.kernel().pack();
    kernel_.bounds(&lower, &upper);
    for (size_t i = 0; i < start.size(); ++i) start[i] = std::clamp(start[i], lower[i], upper[i]);
    kernel_.unpack(start);
    fit();
  }
  report_.log_likelihood = evaluate(kernel_, nullptr, &solution_);
  if (report_.log_likelihood == -kInfinity)
    throw Error(ExitCode::kFailed,
                "has no likelihood: its matrix is not positive definite to rounding, or conjugate "
                "gradients do not come to their tolerance",
                "process", "raise the noise, or write --method exact");
  report_.kernel = kernel_.text();
  report_.mean = centre_ + solution_.mean;
  report_.error = solution_.error;
  report_.products = solution_.products;
  report_.residual = solution_.residual;
}

void RegularGridProcess::fit() {
  const numeric::Optimum o = search_kernel(
      kernel_,
      [&](const Kernel& kernel, Vector* gradient) { return log_likelihood(kernel, gradient); },
      kernel_.pack(), options_.search);
  kernel_.unpack(o.x);
  record(o, kernel_, &report_);
}

double RegularGridProcess::log_likelihood(const Kernel& kernel, Vector* gradient) const {
  Solution unused;
  return evaluate(kernel, gradient, &unused);
}

at::Tensor RegularGridProcess::lags_of(const Kernel& kernel) const {
  const auto d = static_cast<int64_t>(shape_.size());
  at::Tensor lags = at::empty(linalg::lag_shape(shape_), at::kDouble);
  const Vector origin(index(d));
  kernel.cross(differences_.data(), lags.numel(), origin.data(), 1, lags.data_ptr<double>(), 1);
  lags.data_ptr<double>()[lags.numel() / 2] += white_diagonal(kernel, origin.data(), 1)[0];
  return lags;
}

double RegularGridProcess::evaluate(const Kernel& kernel, Vector* gradient,
                                    Solution* solution) const {
  const at::Tensor lags = lags_of(kernel);
  if (!lags.isfinite().all().item<bool>()) return -kInfinity;
  try {
    const linalg::ToeplitzGridOperator matrix(shape_, lags);
    const linalg::CirculantGrid near(shape_, lags);
    // Values, ones, then probes of the circulant's covariance.
    const int64_t probes = options_.probes, count = 2 + probes;
    Vector rows(index(count * cells_)), solved(rows.size());
    std::copy(y_.begin(), y_.end(), rows.begin());
    std::fill_n(rows.begin() + cells_, cells_, 1.0);
    double* z = rows.data() + 2 * cells_;
    const Random random(static_cast<uint64_t>(options_.seed), stream_of("process.lags"));
    for (int64_t i = 0; i < probes * cells_; ++i) z[i] = random.normal(static_cast<uint64_t>(i));
    near.root(z, probes);
    Vector v(z, z + probes * cells_);
    near.solve(v.data(), probes);
    for (int64_t s = 0; s < probes; ++s) {
      const double scale = std::sqrt(static_cast<double>(cells_) /
                                     linalg::dot(cells_, z + s * cells_, &v[index(s * cells_)]));
      for (int64_t i = s * cells_; i < (s + 1) * cells_; ++i) {
        z[i] *= scale;
        v[index(i)] *= scale;
      }
    }
    std::vector<linalg::Stop> stops(index(count), {.residual = options_.probe_tolerance});
    stops[0].residual = stops[1].residual = options_.tolerance;
    std::vector<linalg::Tridiagonal> lanczos;
    const std::vector<linalg::Solve> solves = linalg::conjugate_gradient(
        matrix, &near, rows.data(), count, stops, options_.products, solved.data(), &lanczos);
    for (const linalg::Solve& s : solves) {
      if (!s.reached) return -kInfinity;
      solution->products = std::max(solution->products, s.iterations);
      solution->residual = std::max(solution->residual, s.residual);
    }
    solution->alpha.assign(solved.begin(), solved.begin() + cells_);
    solution->ones.assign(solved.begin() + cells_, solved.begin() + 2 * cells_);
    double along_y = 0, along_one = 0;
    for (const double a : solution->alpha) along_y += a;
    for (const double a : solution->ones) along_one += a;
    solution->precision = along_one;
    solution->mean = constant_ ? along_y / along_one : 0;
    double square = 0;
    for (int64_t i = 0; i < cells_; ++i) {
      double& a = solution->alpha[index(i)];
      a -= solution->mean * solution->ones[index(i)];
      square += (y_[index(i)] - solution->mean) * a;
    }
    const linalg::StochasticLogDeterminant rest =
        linalg::stochastic_log_determinant(std::span(lanczos).subspan(2), cells_);
    solution->error = 0.5 * (rest.error + rest.quadrature);
    const double value = -0.5 * square - 0.5 * (near.log_determinant() + rest.value) -
                         0.5 * static_cast<double>(cells_) * kLogTwoPi;
    if (!std::isfinite(value)) return -kInfinity;
    if (!gradient) return value;
    // 1/2 (a a' - K^-1), summed over the pairs of each difference; K^-1 by the probes.
    const double* a = solution->alpha.data();
    const at::Tensor weights =
        0.5 * (linalg::lag_products(shape_, a, a, 1) -
               linalg::lag_products(shape_, solved.data() + 2 * cells_, v.data(), probes) /
                   static_cast<double>(probes));
    const Vector origin(shape_.size());
    const double* w = weights.const_data_ptr<double>();
    kernel.contract_cross(differences_.data(), weights.numel(), origin.data(), 1, w, 1, *gradient);
    contract_white(kernel, origin.data(), 1, std::span(w + weights.numel() / 2, 1), *gradient);
    return value;
  } catch (const Error&) {  // not positive definite
    return -kInfinity;
  }
}

struct RegularGridProcess::Matrices {
  linalg::ToeplitzGridOperator covariance;
  linalg::CirculantGrid near;
};

RegularGridProcess::Matrices RegularGridProcess::matrices() const {
  const at::Tensor lags = lags_of(kernel_);
  return {linalg::ToeplitzGridOperator(shape_, lags), linalg::CirculantGrid(shape_, lags)};
}

void RegularGridProcess::solve(const Matrices& m, Vector* rows, int64_t count) const {
  const std::vector<linalg::Stop> stops(index(count), {.residual = options_.tolerance});
  Vector solved(rows->size());
  const std::vector<linalg::Solve> solves = linalg::conjugate_gradient(
      m.covariance, &m.near, rows->data(), count, stops, options_.products, solved.data(), nullptr);
  linalg::require_reached(solves, "grid", "raise the noise");
  *rows = std::move(solved);
}

RegularGridPrediction RegularGridProcess::predict(const at::Tensor& points, bool noise) const {
  const auto d = static_cast<int64_t>(shape_.size());
  const at::Tensor xs = checked_points(points, d, "points");
  const int64_t s = xs.size(0);
  RegularGridPrediction out{at::empty({s}, at::kDouble), at::empty({s}, at::kDouble)};
  const Matrices m = matrices();
  for (int64_t begin = 0; begin < s; begin += kTogether) {
    const int64_t count = std::min(kTogether, s - begin);
    const double* x = xs.const_data_ptr<double>() + begin * d;
    Vector cross(index(count * cells_)), prior(index(count));
    kernel_.cross(x, count, points_.data(), cells_, cross.data(), cells_);
    kernel_.diagonal(x, count, noise, prior.data());
    Vector solved = cross;
    solve(m, &solved, count);
    for (int64_t i = 0; i < count; ++i) {
      const double* k = cross.data() + i * cells_;
      double left = prior[index(i)] - linalg::dot(cells_, k, solved.data() + i * cells_);
      const double of_one = linalg::dot(cells_, k, solution_.ones.data());
      left = std::max(left, noise ? white_diagonal(kernel_, x + i * d, 1)[0] : 0.0);
      if (constant_) left += (1 - of_one) * (1 - of_one) / solution_.precision;
      out.mean.data_ptr<double>()[begin + i] =
          report_.mean + linalg::dot(cells_, k, solution_.alpha.data());
      out.variance.data_ptr<double>()[begin + i] = left;
    }
  }
  return out;
}

RegularGridPrediction RegularGridProcess::leave_one_out() const {
  const double missing = std::numeric_limits<double>::quiet_NaN();
  RegularGridPrediction out{at::full({cells_}, missing, at::kDouble),
                            at::full({cells_}, missing, at::kDouble)};
  const int64_t some = std::min(cells_, kLeftOut);
  const Matrices m = matrices();
  for (int64_t begin = 0; begin < some; begin += kTogether) {
    const int64_t count = std::min(kTogether, some - begin);
    Vector rows(index(count * cells_));
    std::vector<int64_t> cells;
    for (int64_t i = 0; i < count; ++i) {
      cells.push_back((begin + i) * cells_ / some);
      rows[index(i * cells_ + cells.back())] = 1;
    }
    solve(m, &rows, count);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t cell = cells[index(i)];
      double share = rows[index(i * cells_ + cell)];
      const double of_one = solution_.ones[index(cell)];
      if (constant_) share -= of_one * of_one / solution_.precision;
      share = std::max(share, 1e-300);
      out.mean.data_ptr<double>()[cell] =
          centre_ + y_[index(cell)] - solution_.alpha[index(cell)] / share;
      out.variance.data_ptr<double>()[cell] = 1 / share;
    }
  }
  return out;
}

}  // namespace covary::stat
