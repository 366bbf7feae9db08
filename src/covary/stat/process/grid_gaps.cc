#include "covary/stat/process/grid_gaps.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/kronecker.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr int64_t kMostNumbers = 100'000'000;  // of holes times cells, solved for directly

size_t index(int64_t i) { return static_cast<size_t>(i); }

std::vector<linalg::Matrix> parts_of(const GridSpectrum& q) {
  std::vector<linalg::Matrix> parts;
  for (const at::Tensor& m : q.matrices)
    parts.push_back({m.data_ptr<double>(), m.size(0), m.size(0)});
  return parts;
}

// Vectors over the known cells, as vectors over the grid and back.
struct Projection {
  const std::vector<int64_t>& known;
  int64_t size;  // of the grid

  void spread(const double* rows, int64_t count, double* grid) const {
    std::fill_n(grid, count * size, 0.0);
    const auto own = static_cast<int64_t>(known.size());
    for (int64_t c = 0; c < count; ++c) {
      for (int64_t i = 0; i < own; ++i) grid[c * size + known[index(i)]] = rows[c * own + i];
    }
  }
  void gather(const double* grid, int64_t count, double* rows) const {
    const auto own = static_cast<int64_t>(known.size());
    for (int64_t c = 0; c < count; ++c) {
      for (int64_t i = 0; i < own; ++i) rows[c * own + i] = grid[c * size + known[index(i)]];
    }
  }
};

// K over the known cells, plus noise.
class CellOperator : public linalg::LinearOperator {
 public:
  CellOperator(const GridSpectrum& q, const GridCells& cells, double noise, int64_t grid)
      : kronecker_(parts_of(q)), projection_{cells.known, grid}, noise_(cells.known.size(), noise) {
    for (size_t i = 0; i < cells.noise.size(); ++i) noise_[i] += cells.noise[i];
  }
  int64_t size() const override { return static_cast<int64_t>(noise_.size()); }
  void multiply(const double* rows, int64_t count, double* out) const override {
    Vector from(index(count * projection_.size)), to(from.size());
    projection_.spread(rows, count, from.data());
    kronecker_.multiply(from.data(), count, to.data());
    projection_.gather(to.data(), count, out);
    for (int64_t c = 0; c < count; ++c) {
      for (int64_t i = 0; i < size(); ++i)
        out[c * size() + i] += noise_[index(i)] * rows[c * size() + i];
    }
  }
  void diagonal(double* out) const override {
    Vector whole(index(projection_.size));
    kronecker_.diagonal(whole.data());
    projection_.gather(whole.data(), 1, out);
    for (int64_t i = 0; i < size(); ++i) out[i] += noise_[index(i)];
  }

 private:
  linalg::KroneckerOperator kronecker_;
  Projection projection_;
  Vector noise_;
};

// The matrix whose inverse is B_oo, B = (K + noise)^-1 over the grid: of it, solutions alone.
class InverseCells : public linalg::LinearOperator {
 public:
  InverseCells(const GridSpectrum& q, const GridCells& cells, at::Tensor spectrum)
      : q_(q), projection_{cells.known, spectrum.numel()}, spectrum_(std::move(spectrum)) {}
  int64_t size() const override { return static_cast<int64_t>(projection_.known.size()); }
  [[noreturn]] void multiply(const double*, int64_t, double*) const override {
    throw Error(ExitCode::kUsage, "knows solutions alone", "inverse of cells");
  }
  [[noreturn]] void diagonal(double*) const override {
    throw Error(ExitCode::kUsage, "knows solutions alone", "inverse of cells");
  }
  void solve(double* rows, int64_t count) const override {
    const linalg::OneBlasThread one;
    std::vector<int64_t> shape = spectrum_.sizes().vec();
    shape.insert(shape.begin(), count);
    at::Tensor grid = at::empty(shape, at::kDouble);
    projection_.spread(rows, count, grid.data_ptr<double>());
    grid = q_.back(q_.turned(grid) / spectrum_).contiguous();
    projection_.gather(grid.const_data_ptr<double>(), count, rows);
  }

 private:
  const GridSpectrum& q_;
  Projection projection_;
  at::Tensor spectrum_;
};

}  // namespace

GridGaps::GridGaps(const GridSpectrum& q, const GridCells& cells, double noise,
                   const GapOptions& options, bool estimate)
    : q_(q), cells_(cells), options_(options), shape_(q.spectrum.sizes().vec()) {
  for (const int64_t n : shape_) size_ *= n;
  const auto holes = static_cast<int64_t>(cells.holes.size());
  report_.direct = cells.noise.empty() && holes <= options.holes && holes * size_ <= kMostNumbers;
  if (report_.direct) {
    make_direct();
    return;
  }
  // The least noise: then the preconditioner is below the matrix, and its energies bound errors.
  const double least =
      cells.noise.empty() ? 0 : *std::min_element(cells.noise.begin(), cells.noise.end());
  matrix_ = std::make_unique<CellOperator>(q, cells, noise, size_);
  preconditioner_ = std::make_unique<InverseCells>(q, cells, q.spectrum + least);
  if (estimate) make_estimates();
}

GridGaps::~GridGaps() = default;

at::Tensor GridGaps::on_grid(const double* rows, int64_t count) const {
  std::vector<int64_t> shape = shape_;
  shape.insert(shape.begin(), count);
  at::Tensor grid = at::empty(shape, at::kDouble);
  Projection{cells_.known, size_}.spread(rows, count, grid.data_ptr<double>());
  return grid;
}

void GridGaps::off_grid(const at::Tensor& t, double* rows) const {
  Projection{cells_.known, size_}.gather(t.const_data_ptr<double>(), t.numel() / size_, rows);
}

void GridGaps::make_direct() {
  const auto m = static_cast<int64_t>(cells_.holes.size());
  const at::Tensor inverse = q_.spectrum.reciprocal();
  log_determinant_ = q_.spectrum.log().sum().item<double>();
  trace_ = inverse.sum().item<double>();
  if (m == 0) return;
  std::vector<int64_t> shape = shape_;
  shape.insert(shape.begin(), m);
  at::Tensor units = at::zeros({m, size_}, at::kDouble);
  for (int64_t i = 0; i < m; ++i) units.data_ptr<double>()[i * size_ + cells_.holes[index(i)]] = 1;
  const at::Tensor b =
      q_.back(q_.turned(units.reshape(shape)) * inverse).reshape({m, size_}).contiguous();
  const at::Tensor holes = at::tensor(cells_.holes, at::kLong);
  const at::Tensor own = b.index_select(1, holes);
  const auto [factor, info] = at::linalg_cholesky_ex(0.5 * (own + own.t()));
  if (info.item<int32_t>() != 0)
    throw Error(ExitCode::kFailed,
                "the covariance of the cells without value is not positive definite", "grid",
                "raise the noise");
  u_ = at::linalg_solve_triangular(factor, b, /*upper=*/false);
  turned_u_ = q_.turned(u_.reshape(shape)).reshape({m, size_}).contiguous();
  log_determinant_ += 2 * factor.diagonal().log().sum().item<double>();
  trace_ -= u_.square().sum().item<double>();
}

void GridGaps::make_estimates() {
  const auto own = static_cast<int64_t>(cells_.known.size());
  const int64_t probes = options_.probes;
  Vector z(index(probes * own)), u(z.size()), v;
  const Random random(options_.seed, stream_of("process.grid.probes"));
  const linalg::LinearOperator* preconditioner = nullptr;
  if (cells_.holes.empty()) {
    // Draws of the preconditioner's covariance, so that only what it leaves is estimated.
    preconditioner = preconditioner_.get();
    const double least = *std::min_element(cells_.noise.begin(), cells_.noise.end());
    const at::Tensor spectrum = q_.spectrum + least;
    log_determinant_ = spectrum.log().sum().item<double>();
    for (size_t i = 0; i < z.size(); ++i) z[i] = random.normal(i);
    const at::Tensor drawn = q_.back(on_grid(z.data(), probes) * spectrum.sqrt()).contiguous();
    off_grid(drawn, z.data());
    v = z;
    preconditioner->solve(v.data(), probes);
    for (int64_t s = 0; s < probes; ++s) {
      const double scale = std::sqrt(static_cast<double>(own) /
                                     linalg::dot(own, &z[index(s * own)], &v[index(s * own)]));
      for (int64_t i = s * own; i < (s + 1) * own; ++i) {
        z[index(i)] *= scale;
        v[index(i)] *= scale;
      }
    }
  } else {
    for (size_t i = 0; i < z.size(); ++i) z[i] = random.normal(i) < 0 ? -1 : 1;
    v = z;
  }
  const std::vector<linalg::Stop> stops(index(probes), {.residual = options_.probe_tolerance});
  std::vector<linalg::Tridiagonal> lanczos;
  const std::vector<linalg::Solve> solves = linalg::conjugate_gradient(
      *matrix_, preconditioner, z.data(), probes, stops, options_.iterations, u.data(), &lanczos);
  for (const linalg::Solve& s : solves) {
    report_.iterations = std::max(report_.iterations, s.iterations);
    report_.residual = std::max(report_.residual, s.residual);
  }
  const linalg::StochasticLogDeterminant rest = linalg::stochastic_log_determinant(lanczos, own);
  log_determinant_ += rest.value;
  report_.error = 0.5 * (rest.error + rest.quadrature);
  trace_ = linalg::dot(probes * own, u.data(), v.data()) / static_cast<double>(probes);
  left_ = q_.turned(on_grid(u.data(), probes));
  right_ = q_.turned(on_grid(v.data(), probes));
}

at::Tensor GridGaps::solve(const at::Tensor& t) {
  const int64_t count = t.numel() / size_;
  const auto own = static_cast<int64_t>(cells_.known.size());
  Vector rows(index(count * own));
  off_grid(t.contiguous(), rows.data());
  if (report_.direct) {
    const at::Tensor known = on_grid(rows.data(), count);
    at::Tensor x = q_.back(q_.turned(known) / q_.spectrum);
    if (u_.defined()) {
      const at::Tensor flat = known.reshape({count, size_});
      x = x - flat.matmul(u_.t()).matmul(u_).reshape(x.sizes());
    }
    off_grid(x.contiguous(), rows.data());  // holes are 0 to rounding: exactly
    return on_grid(rows.data(), count);
  }
  Vector x(rows.size());
  const std::vector<linalg::Stop> stops(index(count), {.residual = options_.tolerance});
  const std::vector<linalg::Solve> solves =
      linalg::conjugate_gradient(*matrix_, preconditioner_.get(), rows.data(), count, stops,
                                 options_.iterations, x.data(), nullptr);
  for (const linalg::Solve& s : solves) {
    report_.iterations = std::max(report_.iterations, s.iterations);
    report_.residual = std::max(report_.residual, s.residual);
  }
  linalg::require_reached(solves, "grid", "raise the noise");
  return on_grid(x.data(), count);
}

at::Tensor GridGaps::trace_weights(int64_t axis) const {
  const auto d = static_cast<int64_t>(shape_.size());
  const int64_t n = shape_[index(axis)];
  std::vector<at::Tensor> others = q_.values;
  others[index(axis)] = at::ones_like(others[index(axis)]);
  const at::Tensor scale = outer_product(others);
  // [n, everything else], where t may have a dimension of several in front.
  const auto fibres = [&](const at::Tensor& t) {
    return t.movedim(t.dim() - d + axis, 0).reshape({n, -1});
  };
  if (!report_.direct) {
    const at::Tensor w = fibres(left_ * scale).matmul(fibres(right_).t());
    return (w + w.t()) / (2 * static_cast<double>(options_.probes));
  }
  at::Tensor w = at::diag(fibres(scale / q_.spectrum).sum(1));
  if (turned_u_.defined()) {
    std::vector<int64_t> shape = shape_;
    shape.insert(shape.begin(), turned_u_.size(0));
    const at::Tensor u = turned_u_.reshape(shape);
    w = w - fibres(u * scale).matmul(fibres(u).t());
  }
  return w;
}

at::Tensor GridGaps::inverse_diagonal() const {
  at::Tensor own = q_.back_squared(q_.spectrum.reciprocal()).reshape({-1}).clone();
  if (u_.defined()) {
    own = own - u_.square().sum(0);
    own.index_fill_(0, at::tensor(cells_.holes, at::kLong), 0);
  }
  return own.reshape(shape_);
}

at::Tensor GridGaps::explained(const at::Tensor& k) {
  const int64_t count = k.size(0);
  if (report_.direct) {
    const at::Tensor flat = k.reshape({count, size_});
    at::Tensor sum = (flat.square() / q_.spectrum.reshape({-1})).sum(1);
    if (u_.defined()) sum = sum - flat.matmul(turned_u_.t()).square().sum(1);
    return sum;
  }
  const at::Tensor cells = q_.back(k);
  return (cells * solve(cells)).reshape({count, size_}).sum(1);
}

}  // namespace covary::stat
