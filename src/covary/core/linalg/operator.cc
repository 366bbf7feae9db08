#include "covary/core/linalg/operator.h"

#include <algorithm>
#include <cmath>

#include "covary/core/base/error.h"
#include "covary/core/linalg/blas.h"

namespace covary::linalg {
namespace {

using Parts = std::vector<const LinearOperator*>;

void require(bool holds, const char* what) {
  if (!holds) throw Error(ExitCode::kUsage, what, "linear operator");
}

void check_equal_sizes(const Parts& parts) {
  require(!parts.empty(), "needs one part at least");
  for (const LinearOperator* p : parts) {
    require(p->size() == parts[0]->size(), "has parts of different sizes");
  }
}

bool all_direct(const Parts& parts) {
  return std::all_of(parts.begin(), parts.end(),
                     [](const LinearOperator* p) { return p->direct(); });
}

}  // namespace

void LinearOperator::solve(double*, int64_t) const {
  throw Error(ExitCode::kUsage, "has no direct solution", "linear operator",
              "use conjugate gradients");
}

double LinearOperator::log_determinant() const {
  throw Error(ExitCode::kUsage, "has no direct determinant", "linear operator",
              "use the stochastic one of conjugate gradients");
}

double LinearOperator::trace() const {
  std::vector<double> d(static_cast<size_t>(size()));
  diagonal(d.data());
  double sum = 0;
  for (const double v : d) sum += v;
  return sum;
}

ScaledOperator::ScaledOperator(double scale, const LinearOperator& a) : scale_(scale), a_(a) {
  require(std::isfinite(scale), "has a scale that is not finite");
}

void ScaledOperator::multiply(const double* rows, int64_t count, double* out) const {
  a_.multiply(rows, count, out);
  for (int64_t i = 0; i < count * size(); ++i) out[i] *= scale_;
}

void ScaledOperator::diagonal(double* out) const {
  a_.diagonal(out);
  for (int64_t i = 0; i < size(); ++i) out[i] *= scale_;
}

void ScaledOperator::solve(double* rows, int64_t count) const {
  if (scale_ == 0) throw Error(ExitCode::kFailed, "is singular: its scale is 0", "linear operator");
  a_.solve(rows, count);
  for (int64_t i = 0; i < count * size(); ++i) rows[i] /= scale_;
}

double ScaledOperator::log_determinant() const {
  if (scale_ == 0) throw Error(ExitCode::kFailed, "is singular: its scale is 0", "linear operator");
  return static_cast<double>(size()) * std::log(std::abs(scale_)) + a_.log_determinant();
}

SumOperator::SumOperator(Parts parts) : parts_(std::move(parts)) { check_equal_sizes(parts_); }

void SumOperator::multiply(const double* rows, int64_t count, double* out) const {
  parts_[0]->multiply(rows, count, out);
  std::vector<double> part(parts_.size() > 1 ? static_cast<size_t>(count * size()) : 0);
  for (size_t k = 1; k < parts_.size(); ++k) {
    parts_[k]->multiply(rows, count, part.data());
    axpy(count * size(), 1, part.data(), out);
  }
}

void SumOperator::diagonal(double* out) const {
  parts_[0]->diagonal(out);
  std::vector<double> part(static_cast<size_t>(size()));
  for (size_t k = 1; k < parts_.size(); ++k) {
    parts_[k]->diagonal(part.data());
    axpy(size(), 1, part.data(), out);
  }
}

double SumOperator::trace() const {
  double sum = 0;
  for (const LinearOperator* p : parts_) sum += p->trace();
  return sum;
}

ProductOperator::ProductOperator(Parts parts) : parts_(std::move(parts)) {
  check_equal_sizes(parts_);
}

void ProductOperator::multiply(const double* rows, int64_t count, double* out) const {
  std::vector<double> from(rows, rows + count * size());
  for (size_t k = parts_.size(); k-- > 0;) {
    parts_[k]->multiply(from.data(), count, out);
    if (k > 0) std::copy_n(out, count * size(), from.data());
  }
}

void ProductOperator::diagonal(double* out) const {
  std::vector<double> unit(static_cast<size_t>(size())), column(unit);
  for (int64_t i = 0; i < size(); ++i) {
    unit[static_cast<size_t>(i)] = 1;
    multiply(unit.data(), 1, column.data());
    unit[static_cast<size_t>(i)] = 0;
    out[i] = column[static_cast<size_t>(i)];
  }
}

bool ProductOperator::direct() const { return all_direct(parts_); }

void ProductOperator::solve(double* rows, int64_t count) const {
  for (const LinearOperator* p : parts_) p->solve(rows, count);
}

double ProductOperator::log_determinant() const {
  double sum = 0;
  for (const LinearOperator* p : parts_) sum += p->log_determinant();
  return sum;
}

BlockOperator::BlockOperator(Parts parts) : parts_(std::move(parts)) {
  require(!parts_.empty(), "needs one part at least");
  for (const LinearOperator* p : parts_) size_ += p->size();
}

namespace {

// A block's stretch of every row, as rows of their own.
std::vector<double> stretches(const double* rows, int64_t count, int64_t n, int64_t begin,
                              int64_t own) {
  std::vector<double> out(static_cast<size_t>(count * own));
  for (int64_t c = 0; c < count; ++c) {
    std::copy_n(rows + c * n + begin, own, out.data() + c * own);
  }
  return out;
}

void put_stretches(const std::vector<double>& from, int64_t count, int64_t n, int64_t begin,
                   int64_t own, double* rows) {
  for (int64_t c = 0; c < count; ++c) {
    std::copy_n(from.data() + c * own, own, rows + c * n + begin);
  }
}

}  // namespace

void BlockOperator::multiply(const double* rows, int64_t count, double* out) const {
  int64_t begin = 0;
  for (const LinearOperator* p : parts_) {
    const int64_t own = p->size();
    const std::vector<double> from = stretches(rows, count, size_, begin, own);
    std::vector<double> to(from.size());
    p->multiply(from.data(), count, to.data());
    put_stretches(to, count, size_, begin, own, out);
    begin += own;
  }
}

void BlockOperator::diagonal(double* out) const {
  for (const LinearOperator* p : parts_) {
    p->diagonal(out);
    out += p->size();
  }
}

bool BlockOperator::direct() const { return all_direct(parts_); }

void BlockOperator::solve(double* rows, int64_t count) const {
  int64_t begin = 0;
  for (const LinearOperator* p : parts_) {
    const int64_t own = p->size();
    std::vector<double> part = stretches(rows, count, size_, begin, own);
    p->solve(part.data(), count);
    put_stretches(part, count, size_, begin, own, rows);
    begin += own;
  }
}

double BlockOperator::log_determinant() const {
  double sum = 0;
  for (const LinearOperator* p : parts_) sum += p->log_determinant();
  return sum;
}

double BlockOperator::trace() const {
  double sum = 0;
  for (const LinearOperator* p : parts_) sum += p->trace();
  return sum;
}

}  // namespace covary::linalg
