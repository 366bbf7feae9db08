#include "covary/stat/filter/model_view.h"

#include <cmath>
#include <string>

#include <ATen/ATen.h>
#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>

#include "covary/core/base/error.h"

namespace covary::filter {
namespace {

using RowMajor = Eigen::Matrix<double, -1, -1, Eigen::RowMajor>;

std::vector<MatrixXd> stack_of(const at::Tensor& t) {
  std::vector<MatrixXd> s;
  if (t.dim() == 2) {
    s.push_back(matrix_of(t));
  } else {
    const at::Tensor c = t.contiguous();
    for (int64_t i = 0; i < c.size(0); ++i) s.push_back(matrix_at(c, i));
  }
  return s;
}

std::vector<MatrixXd> symmetric(std::vector<MatrixXd> s) {
  for (MatrixXd& m : s) m = (0.5 * (m + m.transpose())).eval();
  return s;
}

std::vector<MatrixXd> roots_of(const std::vector<MatrixXd>& s) {
  std::vector<MatrixXd> roots;
  roots.reserve(s.size());
  for (const MatrixXd& m : s) roots.push_back(root_of(m));
  return roots;
}

void check_series(const at::Tensor& t, const char* name, int64_t steps, int64_t columns) {
  if (!t.defined() || t.dim() != 2 || t.size(1) != columns || (steps >= 0 && t.size(0) != steps)) {
    throw Error(ExitCode::kData,
                "must be [T," + std::to_string(columns) + "]" +
                    (steps >= 0 ? " with T = " + std::to_string(steps) : ""),
                name, "one row a step, one column each of the model's");
  }
  if (t.scalar_type() != at::kDouble || !t.device().is_cpu()) {
    throw Error(ExitCode::kData, "is not a double tensor on the CPU", name,
                "convert it: t.to(at::kCPU, at::kDouble)");
  }
}

}  // namespace

MatrixXd matrix_of(const at::Tensor& t) {
  const at::Tensor c = t.contiguous();
  return Eigen::Map<const RowMajor>(c.const_data_ptr<double>(), c.size(0), c.size(1));
}

VectorXd vector_of(const at::Tensor& t) {
  const at::Tensor c = t.contiguous();
  return Eigen::Map<const VectorXd>(c.const_data_ptr<double>(), c.size(0));
}

at::Tensor tensor_of(const MatrixXd& m) {
  at::Tensor t = at::empty({m.rows(), m.cols()}, at::kDouble);
  Eigen::Map<RowMajor>(t.mutable_data_ptr<double>(), m.rows(), m.cols()) = m;
  return t;
}

at::Tensor tensor_of(const VectorXd& v) {
  at::Tensor t = at::empty({v.size()}, at::kDouble);
  Eigen::Map<VectorXd>(t.mutable_data_ptr<double>(), v.size()) = v;
  return t;
}

MatrixXd root_of(const MatrixXd& m) {
  const Eigen::LLT<MatrixXd> llt(m);
  if (llt.info() == Eigen::Success) return llt.matrixL();
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(m);
  const VectorXd scale = eigen.eigenvalues().cwiseMax(0).cwiseSqrt();
  return eigen.eigenvectors() * scale.asDiagonal();
}

void put(at::Tensor& target, int64_t t, const MatrixXd& m) {
  Eigen::Map<RowMajor>(target.mutable_data_ptr<double>() + t * m.size(), m.rows(), m.cols()) = m;
}

void put(at::Tensor& target, int64_t t, const VectorXd& v) {
  Eigen::Map<VectorXd>(target.mutable_data_ptr<double>() + t * v.size(), v.size()) = v;
}

MatrixXd matrix_at(const at::Tensor& source, int64_t t) {
  const int64_t rows = source.size(-2), columns = source.size(-1);
  return Eigen::Map<const RowMajor>(source.const_data_ptr<double>() + t * rows * columns, rows,
                                    columns);
}

VectorXd vector_at(const at::Tensor& source, int64_t t) {
  const int64_t n = source.size(-1);
  return Eigen::Map<const VectorXd>(source.const_data_ptr<double>() + t * n, n);
}

ModelView::ModelView(const LinearModel& model, const at::Tensor& y, const at::Tensor& u) {
  model.check();
  check_series(y, "y", -1, model.observations());
  steps_ = y.size(0);
  model.check(steps_);
  n_ = model.states();
  p_ = model.observations();
  f_ = stack_of(model.f);
  q_ = symmetric(stack_of(model.q));
  h_ = stack_of(model.h);
  r_ = symmetric(stack_of(model.r));
  q_root_ = roots_of(q_);
  r_root_ = roots_of(r_);
  mean0_ = vector_of(model.mean0);
  cov0_ = matrix_of(model.cov0);
  cov0_ = (0.5 * (cov0_ + cov0_.transpose())).eval();
  diffuse_ = model.diffuse.defined() ? matrix_of(model.diffuse) : MatrixXd(n_, 0);
  if (u.defined()) {
    if (!model.b.defined()) {
      throw Error(ExitCode::kData, "is given, but the model has no B", "u", "set the model's B");
    }
    check_series(u, "u", steps_, model.controls());
    b_ = stack_of(model.b);
    u_ = matrix_of(u).transpose();
    if (!u_.allFinite()) throw Error(ExitCode::kData, "is not finite", "u", "controls are known");
  }
  y_ = matrix_of(y).transpose();
  present_.resize(static_cast<size_t>(steps_));
  for (int64_t t = 0; t < steps_; ++t) {
    for (int64_t i = 0; i < p_; ++i) {
      if (std::isinf(y_(i, t))) {
        throw Error(ExitCode::kData, "is infinite",
                    "y at step " + std::to_string(t) + ", column " + std::to_string(i),
                    "write NaN for what is missing");
      }
      if (!std::isnan(y_(i, t))) present_[static_cast<size_t>(t)].push_back(static_cast<int>(i));
    }
  }
}

VectorXd ModelView::input(int64_t t) const {
  if (b_.empty()) return VectorXd::Zero(n_);
  return at(b_, t) * u_.col(t);
}

Observation observation_at(const ModelView& v, int64_t t) {
  if (v.complete(t)) return {v.y(t), v.h(t), v.r(t)};
  const std::vector<int>& rows = v.present(t);
  return {v.y(t)(rows), v.h(t)(rows, Eigen::all), v.r(t)(rows, rows)};
}

}  // namespace covary::filter
