// Square matrices that are known by what they do: the interface, and the operators made of others.
// An iterative solver needs no more than `multiply`; a structured matrix also solves and tells its
// determinant at the cost of its structure.
//
//   const ScaledOperator twice(2, k);
//   const SumOperator sum({&twice, &noise});          // 2 K + D
//   sum.multiply(rows, count, out);                   // out_c = (2 K + D) rows_c
//   if (noise.direct()) noise.solve(rows, count);
//
// Right-hand sides are rows [count, n], contiguous, each a stretch of memory; they are taken as
// columns of the algebra: multiply gives A b for every row b. out must not overlap the input.
// Operators keep pointers to the operators and numbers they are made of, which must outlive them.
// Const members may be called from several threads at once; results do not depend on the number of
// threads. Costs are those of the parts; nothing of size n x n is stored here.
// Structured operators are in dense_operators.h, low_rank.h, kronecker.h, toeplitz_operator.h;
// conjugate_gradient.h solves with any that is symmetric and positive definite.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::linalg {

class LinearOperator {
 public:
  LinearOperator() = default;
  LinearOperator(const LinearOperator&) = delete;
  LinearOperator& operator=(const LinearOperator&) = delete;
  virtual ~LinearOperator() = default;

  virtual int64_t size() const = 0;
  virtual void multiply(const double* rows, int64_t count, double* out) const = 0;
  virtual void diagonal(double* out) const = 0;
  // Whether solve and log_determinant are known from the structure. Both throw Error(kUsage) where
  // they are not, and Error(kFailed) for a matrix that is singular or not positive definite.
  virtual bool direct() const { return false; }
  virtual void solve(double* rows, int64_t count) const;  // rows := A^-1 rows
  virtual double log_determinant() const;                 // log |det A|
  virtual double trace() const;                           // by the diagonal unless there is better
};

// scale * A. Throws Error(kUsage) for a scale that is not finite.
class ScaledOperator : public LinearOperator {
 public:
  ScaledOperator(double scale, const LinearOperator& a);
  int64_t size() const override { return a_.size(); }
  void multiply(const double* rows, int64_t count, double* out) const override;
  void diagonal(double* out) const override;
  bool direct() const override { return scale_ != 0 && a_.direct(); }
  void solve(double* rows, int64_t count) const override;
  double log_determinant() const override;
  double trace() const override { return scale_ * a_.trace(); }

 private:
  double scale_;
  const LinearOperator& a_;
};

// A_1 + A_2 + ...; Error(kUsage) for none, or sizes that differ. No direct solution.
class SumOperator : public LinearOperator {
 public:
  explicit SumOperator(std::vector<const LinearOperator*> parts);
  int64_t size() const override { return parts_[0]->size(); }
  void multiply(const double* rows, int64_t count, double* out) const override;
  void diagonal(double* out) const override;
  double trace() const override;

 private:
  std::vector<const LinearOperator*> parts_;
};

// A_1 A_2 ...: in general not symmetric. Its diagonal costs n products.
class ProductOperator : public LinearOperator {
 public:
  explicit ProductOperator(std::vector<const LinearOperator*> parts);
  int64_t size() const override { return parts_[0]->size(); }
  void multiply(const double* rows, int64_t count, double* out) const override;
  void diagonal(double* out) const override;
  bool direct() const override;
  void solve(double* rows, int64_t count) const override;
  double log_determinant() const override;

 private:
  std::vector<const LinearOperator*> parts_;
};

// diag(A_1, A_2, ...), of any sizes.
class BlockOperator : public LinearOperator {
 public:
  explicit BlockOperator(std::vector<const LinearOperator*> parts);
  int64_t size() const override { return size_; }
  void multiply(const double* rows, int64_t count, double* out) const override;
  void diagonal(double* out) const override;
  bool direct() const override;
  void solve(double* rows, int64_t count) const override;
  double log_determinant() const override;
  double trace() const override;

 private:
  std::vector<const LinearOperator*> parts_;
  int64_t size_ = 0;
};

}  // namespace covary::linalg
