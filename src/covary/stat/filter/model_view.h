// A linear model and its series as Eigen matrices: what the recursions of this room read.
//
//   const ModelView v(model, y, u);          // checks both
//   v.f(t) * x + v.input(t);  v.present(t);
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>
#include <Eigen/Core>

#include "covary/stat/filter/linear_model.h"

namespace covary::filter {

using Eigen::MatrixXd;
using Eigen::VectorXd;

MatrixXd matrix_of(const at::Tensor& t);  // [r,c] double
VectorXd vector_of(const at::Tensor& t);  // [n] double
at::Tensor tensor_of(const MatrixXd& m);  // [r,c]
at::Tensor tensor_of(const VectorXd& v);  // [n]

// A root A of a positive semi-definite matrix, A A' = m; A is square, and triangular where m is
// definite. Eigenvalues below zero (rounding) count as zero.
MatrixXd root_of(const MatrixXd& m);

// Writes m at [t,...] of a contiguous double tensor.
void put(at::Tensor& target, int64_t t, const MatrixXd& m);
void put(at::Tensor& target, int64_t t, const VectorXd& v);
MatrixXd matrix_at(const at::Tensor& source, int64_t t);  // [T,r,c] at t
VectorXd vector_at(const at::Tensor& source, int64_t t);  // [T,n] at t

class ModelView {
 public:
  // y [T,p] with NaN for what is missing; u [T,k], undefined = no control. Throws Error(kData) for
  // a bad model, an infinite observation, or shapes that do not fit.
  ModelView(const LinearModel& model, const at::Tensor& y, const at::Tensor& u);

  int64_t steps() const { return steps_; }
  int64_t states() const { return n_; }
  int64_t observations() const { return p_; }

  const MatrixXd& f(int64_t t) const { return at(f_, t); }
  const MatrixXd& q(int64_t t) const { return at(q_, t); }
  const MatrixXd& h(int64_t t) const { return at(h_, t); }
  const MatrixXd& r(int64_t t) const { return at(r_, t); }
  const MatrixXd& q_root(int64_t t) const { return at(q_root_, t); }
  const MatrixXd& r_root(int64_t t) const { return at(r_root_, t); }
  VectorXd input(int64_t t) const;  // B_t u_t, [n]
  VectorXd y(int64_t t) const { return y_.col(t); }

  // Rows of y_t that are observed, ascending.
  const std::vector<int>& present(int64_t t) const { return present_[static_cast<size_t>(t)]; }
  bool complete(int64_t t) const { return static_cast<int64_t>(present(t).size()) == p_; }

  const VectorXd& mean0() const { return mean0_; }
  const MatrixXd& cov0() const { return cov0_; }
  const MatrixXd& diffuse() const { return diffuse_; }  // [n,m], m may be 0

  // One entry, or one a step.
  bool varying_f() const { return f_.size() > 1; }

 private:
  using Stack = std::vector<MatrixXd>;
  static const MatrixXd& at(const Stack& s, int64_t t) {
    return s[s.size() == 1 ? 0 : static_cast<size_t>(t)];
  }

  int64_t steps_ = 0, n_ = 0, p_ = 0;
  Stack f_, q_, h_, r_, b_, q_root_, r_root_;
  MatrixXd y_, u_;  // [p,T], [k,T]
  std::vector<std::vector<int>> present_;
  VectorXd mean0_;
  MatrixXd cov0_, diffuse_;
};

// The observed part of step t: rows of y, H and R that are present.
struct Observation {
  VectorXd y;
  MatrixXd h, r;
};
Observation observation_at(const ModelView& v, int64_t t);

}  // namespace covary::filter
