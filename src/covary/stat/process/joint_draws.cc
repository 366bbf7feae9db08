#include "covary/stat/process/joint_draws.h"

#include <algorithm>

#include "covary/core/base/error.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"

namespace covary::stat {

JointDraws::JointDraws(const JointPosterior& posterior, int64_t count, int64_t draws,
                       const double* normals, double jitter)
    : outputs_(posterior.outputs()),
      count_(count),
      draws_(draws),
      normals_(normals),
      jitter_(jitter),
      at_(posterior, count) {
  if (outputs_ != 1 && outputs_ != draws) {
    throw Error(ExitCode::kUsage, "there must be one output, or one a draw", "joint draws");
  }
  const auto q = static_cast<size_t>(count);
  for (auto* v : {&factor_, &by_factor_, &by_covariance_}) v->resize(q * q);
  by_mean_.resize(q * static_cast<size_t>(outputs_));
  values_.resize(q * static_cast<size_t>(draws));
}

const std::vector<double>& JointDraws::move(const double* x) {
  const linalg::OneBlasThread one;
  at_.move(x);
  const int64_t q = count_;
  factor_ = at_.covariance();
  for (int64_t i = 0; i < q; ++i) factor_[static_cast<size_t>(i * q + i)] += jitter_;
  linalg::cholesky({factor_.data(), q, q}).check("covariance of a batch");
  for (int64_t i = 0; i < q; ++i) {
    for (int64_t j = i + 1; j < q; ++j) factor_[static_cast<size_t>(i * q + j)] = 0;
    for (int64_t s = 0; s < draws_; ++s) {
      values_[static_cast<size_t>(i * draws_ + s)] = mean(i, s);
    }
  }
  linalg::gemm(false, false, q, draws_, q, 1, factor_.data(), q, normals_, draws_, 1,
               values_.data(), draws_);
  return values_;
}

void JointDraws::add_gradient(const double* slopes, double* gradient, const double* more_by_mean) {
  const linalg::OneBlasThread one;
  const int64_t q = count_;
  if (outputs_ == 1) {
    for (int64_t i = 0; i < q; ++i) {
      double sum = more_by_mean ? more_by_mean[i] : 0;
      for (int64_t s = 0; s < draws_; ++s) sum += slopes[i * draws_ + s];
      by_mean_[static_cast<size_t>(i)] = sum;
    }
  } else {
    std::copy_n(slopes, q * draws_, by_mean_.data());
  }
  // By the covariance: 1/2 L^-T (P + P') L^-1, with P the lower half of L' times the slopes by L, its
  // diagonal halved.
  linalg::gemm(false, true, q, q, draws_, 1, slopes, draws_, normals_, draws_, 0, by_factor_.data(),
               q);
  double* c = by_covariance_.data();
  linalg::gemm(true, false, q, q, q, 1, factor_.data(), q, by_factor_.data(), q, 0, c, q);
  for (int64_t i = 0; i < q; ++i) {
    for (int64_t j = 0; j < i; ++j) c[j * q + i] = c[i * q + j] *= 0.5;
    c[i * q + i] *= 0.5;
  }
  linalg::trsm_left(true, q, q, factor_.data(), q, c, q);
  linalg::trsm_right(false, q, q, factor_.data(), q, c, q);
  at_.add_gradient(by_mean_.data(), c, gradient);
}

}  // namespace covary::stat
