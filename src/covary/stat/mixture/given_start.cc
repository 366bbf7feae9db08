// Gaussian mixtures that begin from what the caller knows: labels, responsibilities, means,
// precisions.
#include <algorithm>
#include <cmath>
#include <string>

#include <ATen/ATen.h>
#include <Eigen/Cholesky>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/core/linalg/cluster/kmeans.h"
#include "covary/stat/mixture/gaussian_mixture.h"

namespace covary::mixture {
namespace {

using compute::CovarianceType;

[[noreturn]] void refuse(const std::string& what, const std::string& where,
                         const std::string& hint = "") {
  throw Error(ExitCode::kData, what, where, hint);
}

at::Tensor whole_numbers(const at::Tensor& labels, int64_t n) {
  if (!labels.defined() || labels.dim() != 1 || labels.size(0) != n)
    refuse("there must be one label a row", "labels");
  const at::Tensor values = labels.detach().to(at::kCPU, at::kDouble).contiguous();
  for (int64_t i = 0; i < n; ++i) {
    const double v = values.data_ptr<double>()[i];
    if (!(v >= -1) || v > 1e6 || v != std::floor(v))
      refuse("a label is no whole number from -1 to a million", "labels, row " + std::to_string(i),
             "number the components 0, 1, ...; -1 is no label");
  }
  return values;
}

}  // namespace

GaussianMixture& GaussianMixture::start_from(const at::Tensor& x, const at::Tensor& shares,
                                             const at::Tensor& weights, const at::Tensor& means) {
  const at::Tensor own = checked_rows(x, "data", true);
  const at::Tensor w = checked_weights(weights, own.size(0));
  const ColumnMoments moments = column_moments(Rows(own, w));
  VarianceFloor floor{moments.variance, options_.floor};
  replace_constant(moments.mean, floor.variance);
  GaussianMixtureOptions o = options_;
  o.components = shares.size(1);
  MixtureState s = empty_state(o, moments, floor);
  const int64_t n = own.size(0), d = s.d, k = s.k = o.components;
  s.log_weights.assign(static_cast<size_t>(k), -std::log(static_cast<double>(k)));
  s.covariances.assign(static_cast<size_t>(compute::covariance_size(s.type, k, d)), 0.0);
  set_wide_covariances(floor, s);
  if (means.defined()) {
    s.means.assign(means.data_ptr<double>(), means.data_ptr<double>() + k * d);
  } else {
    for (int64_t c = 0; c < k; ++c)
      s.means.insert(s.means.end(), moments.mean.begin(), moments.mean.end());
  }
  const std::vector<double> given = s.means;
  compute::MixtureSums sums(s.type, k, d);
  std::vector<double> row(static_cast<size_t>(d));
  double total = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double weight = w.defined() ? w.data_ptr<double>()[i] : 1.0;
    // What is missing counts as the column's mean, for the start alone.
    for (int64_t j = 0; j < d; ++j) {
      const double v = own.data_ptr<double>()[i * d + j];
      row[static_cast<size_t>(j)] = std::isnan(v) ? moments.mean[static_cast<size_t>(j)] : v;
    }
    const double* r = shares.data_ptr<double>() + i * k;
    for (int64_t c = 0; c < k; ++c) {
      if (!(weight * r[c] > 0)) continue;
      add_row(s, c, weight * r[c], row.data(), sums);
      total += weight * r[c];
    }
  }
  if (!(total > 0)) refuse("no row belongs to a component", "start");
  begin_from(sums, floor, total, s);
  if (means.defined()) s.means = given;
  s.factorise();
  options_.components = k;
  options_.init = "given";
  state_ = std::move(s);
  running_.clear();
  batches_ = 0;
  return *this;
}

GaussianMixture& GaussianMixture::start_from_labels(const at::Tensor& x, const at::Tensor& labels,
                                                    const at::Tensor& weights) {
  const int64_t n = checked_rows(x, "data", true).size(0);
  const at::Tensor own = whole_numbers(labels, n);
  const int64_t k = static_cast<int64_t>(own.max().item<double>()) + 1;
  if (k == 0) refuse("no row has a label", "labels");
  const at::Tensor used = at::bincount(own.clamp_min(-1).to(at::kLong) + 1, {}, k + 1);
  for (int64_t c = 0; c < k; ++c)
    if (used[c + 1].item<int64_t>() == 0)
      refuse("no row has the label " + std::to_string(c), "labels",
             "number the components 0, 1, ... without a gap");
  at::Tensor shares = at::zeros({n, k}, at::kDouble);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t c = static_cast<int64_t>(own.data_ptr<double>()[i]);
    if (c >= 0) shares.data_ptr<double>()[i * k + c] = 1;
  }
  return start_from(x, shares, weights, {});
}

GaussianMixture& GaussianMixture::start_from_responsibilities(const at::Tensor& x,
                                                              const at::Tensor& responsibilities,
                                                              const at::Tensor& weights) {
  const int64_t n = checked_rows(x, "data", true).size(0);
  if (!responsibilities.defined() || responsibilities.dim() != 2 || responsibilities.size(0) != n ||
      responsibilities.size(1) == 0)
    refuse("must be [n,k]: a row a row of the data", "responsibilities");
  at::Tensor shares = responsibilities.detach().to(at::kCPU, at::kDouble).contiguous().clone();
  const int64_t k = shares.size(1);
  for (int64_t i = 0; i < n; ++i) {
    double* r = shares.data_ptr<double>() + i * k;
    double total = 0;
    for (int64_t c = 0; c < k; ++c) {
      if (!(r[c] >= 0) || !std::isfinite(r[c]))
        refuse("a share is negative or not finite",
               "responsibilities, row " + std::to_string(i) + ", column " + std::to_string(c));
      total += r[c];
    }
    if (total > 0)
      for (int64_t c = 0; c < k; ++c) r[c] /= total;
  }
  return start_from(x, shares, weights, {});
}

GaussianMixture& GaussianMixture::start_from_means(const at::Tensor& x, const at::Tensor& means,
                                                   const at::Tensor& weights) {
  const at::Tensor own = checked_rows(x, "data", true);
  const at::Tensor given = checked_rows(means, "means", false);
  const int64_t n = own.size(0), d = own.size(1), k = given.size(0);
  if (given.size(1) != d) refuse("the means have other columns than the data", "means");
  const ColumnMoments moments = column_moments(Rows(own, weights));
  std::vector<double> variance = moments.variance;
  replace_constant(moments.mean, variance);
  // In units of each column's deviation.
  const auto scaled = [&](const at::Tensor& t) {
    std::vector<double> out(t.data_ptr<double>(), t.data_ptr<double>() + t.numel());
    for (size_t e = 0; e < out.size(); ++e) {
      const size_t j = e % static_cast<size_t>(d);
      if (std::isnan(out[e])) out[e] = moments.mean[j];
      out[e] = (out[e] - moments.mean[j]) / std::sqrt(variance[j]);
    }
    return out;
  };
  const std::vector<double> rows = scaled(own), centres = scaled(given);
  std::vector<int32_t> nearest(static_cast<size_t>(n));
  linalg::nearest_centres(rows.data(), n, d, centres.data(), k, nearest.data());
  at::Tensor shares = at::zeros({n, k}, at::kDouble);
  for (int64_t i = 0; i < n; ++i)
    shares.data_ptr<double>()[i * k + nearest[static_cast<size_t>(i)]] = 1;
  return start_from(x, shares, weights, given);
}

GaussianMixture& GaussianMixture::set_precisions(const at::Tensor& weights, const at::Tensor& means,
                                                 const at::Tensor& precisions) {
  if (!precisions.defined() || precisions.dim() == 0)
    refuse("must be shaped as the covariances are", "precisions");
  at::Tensor p = precisions.detach().to(at::kCPU, at::kDouble).contiguous();
  const CovarianceType type = base_type(options_.covariance);
  if (type == CovarianceType::kSpherical || type == CovarianceType::kDiagonal) {
    if (!(p > 0).all().item<bool>()) refuse("a precision is not above 0", "precisions");
    return set_parameters(weights, means, p.reciprocal());
  }
  if (p.dim() < 2 || p.size(-1) != p.size(-2)) refuse("must be square matrices", "precisions");
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const int64_t d = p.size(-1), count = p.numel() / std::max<int64_t>(1, d * d);
  at::Tensor covariances = at::empty_like(p);
  for (int64_t c = 0; c < count; ++c) {
    const Eigen::Map<const Matrix> one(p.data_ptr<double>() + c * d * d, d, d);
    const Eigen::LLT<Matrix> factor(one);
    if (factor.info() != Eigen::Success || !one.allFinite())
      refuse("the matrix of component " + std::to_string(c) + " is not positive definite",
             "precisions");
    Eigen::Map<Matrix>(covariances.data_ptr<double>() + c * d * d, d, d) =
        factor.solve(Matrix::Identity(d, d));
  }
  return set_parameters(weights, means, covariances);
}

}  // namespace covary::mixture
