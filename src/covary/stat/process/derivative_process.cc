#include "covary/stat/process/derivative_process.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/linalg/blas.h"
#include "covary/stat/process/kernel_jets.h"
#include "covary/stat/process/kernel_search.h"
#include "covary/stat/process/priors.h"
#include "covary/stat/process/start.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<int64_t> checked_along(const at::Tensor& along, int64_t n, int64_t d) {
  if (!along.defined() || along.dim() != 1 || along.size(0) != n ||
      along.scalar_type() != at::kLong) {
    throw Error(ExitCode::kUsage, "must be a vector of int64, one a row", "along");
  }
  const at::Tensor c = along.contiguous();
  const int64_t* p = c.const_data_ptr<int64_t>();
  std::vector<int64_t> out(p, p + n);
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] < -1 || out[i] >= d) {
      throw Error(ExitCode::kData,
                  "row " + std::to_string(i) + " names column " + std::to_string(out[i]) + " of " +
                      std::to_string(d),
                  "along", "-1 stands for the value");
    }
  }
  return out;
}

}  // namespace

DerivativeProcess::DerivativeProcess(const at::Tensor& x, const at::Tensor& along,
                                     const at::Tensor& y, const GpOptions& options,
                                     const at::Tensor& noise) {
  options.check();
  if (!y.defined() || y.dim() != 1) throw Error(ExitCode::kUsage, "must be a vector", "y");
  data_ = GpData::from(x, y, noise, mean_of(options.mean));
  const std::vector<int64_t> all = checked_along(along, data_.n, data_.dims);
  group_ = data_.groups[0];
  for (const int64_t row : group_.rows) along_.push_back(all[static_cast<size_t>(row)]);
  group_.basis = basis_at(group_.x.data(), along_);
  kernel_ =
      Kernel::parse(completed_kernel(options.kernel, noise.defined(), data_.dims), data_.dims);
  KernelJets check(kernel_);
  // First guesses by the values alone, where there are some.
  std::vector<int64_t> values;
  for (size_t i = 0; i < along_.size(); ++i) {
    if (along_[i] < 0) values.push_back(group_.rows[i]);
  }
  const auto seed = static_cast<uint64_t>(options.seed);
  GpData guess = data_;
  if (static_cast<int64_t>(values.size()) > data_.coefficients() + 1) {
    const at::Tensor rows = at::tensor(values, at::kLong);
    guess.n = static_cast<int64_t>(values.size());
    guess.x = data_.x.index_select(0, rows);
    guess.y = data_.y.index_select(0, rows);
    guess.noise = at::Tensor();
    guess.form_groups();
  }
  start_by_data(&kernel_, guess, seed);
  if (options.fit) {
    set_priors(&kernel_, options.priors, scales_of(guess));
    fit(options);
  }
  factor_.buffer = at::empty({group_.count(), padded_stride(group_.count())}, at::kDouble);
  build(kernel_, &factor_);
  factor_.report.check("kernel matrix");
  solve_group(group_, data_.coefficients(), &factor_);
  report_.kernel = kernel_.text();
  report_.parameters = kernel_.parameters();
  report_.log_prior = kernel_.log_prior({});
  report_.log_likelihood = factor_.log_likelihood;
  report_.jitter = factor_.report.jitter;
  report_.condition = linalg::condition_estimate(factor_.factor, factor_.report.norm1);
  if (!std::isfinite(report_.log_likelihood)) {
    throw Error(ExitCode::kFailed, "the marginal likelihood is not finite", "process",
                "scale the data, or bound the kernel's parameters");
  }
}

std::vector<double> DerivativeProcess::basis_at(const double* x,
                                                const std::vector<int64_t>& along) const {
  const auto count = static_cast<int64_t>(along.size());
  std::vector<double> basis = data_.basis_at(x, count);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t a = along[static_cast<size_t>(i)];
    if (a < 0) continue;
    const std::vector<double> slopes = data_.basis_slopes(x + i * data_.dims, 1, a);
    for (size_t c = 0; c < slopes.size(); ++c) {
      basis[c * static_cast<size_t>(count) + static_cast<size_t>(i)] = slopes[c];
    }
  }
  return basis;
}

void DerivativeProcess::build(const Kernel& kernel, PosteriorFactor* f) const {
  const int64_t n = group_.count(), stride = padded_stride(n);
  f->factor = {f->buffer.data_ptr<double>(), n, stride};
  KernelJets(kernel).matrix(group_.x.data(), n, along_.data(), f->factor.data, stride);
  for (size_t i = 0; i < group_.noise.size(); ++i) {
    f->factor.row(static_cast<int64_t>(i))[i] += group_.noise[i];
  }
  f->report = linalg::cholesky(f->factor);
}

double DerivativeProcess::evaluate(const Kernel& kernel, std::vector<double>* gradient,
                                   linalg::CholeskyReport* failure) const {
  const int64_t n = group_.count(), stride = padded_stride(n);
  PosteriorFactor f;
  f.buffer = at::empty({n, stride}, at::kDouble);
  build(kernel, &f);
  if (!f.report.done) {
    *failure = f.report;
    return -kInfinity;
  }
  solve_group(group_, data_.coefficients(), &f);
  linalg::inverse(f.factor);
  Kernel moved = kernel;
  std::vector<double> k(static_cast<size_t>(n * n));
  gradient->assign(kernel.parameters().size(), 0.0);
  for (size_t p = 0; p < gradient->size(); ++p) {
    KernelParameter& parameter = moved.parameters()[p];
    if (parameter.fixed) continue;
    const double value = parameter.value, h = 1e-5;
    for (const double sign : {-1.0, 1.0}) {
      parameter.value = parameter.real ? value + sign * h : value * std::exp(sign * h);
      KernelJets(moved).matrix(group_.x.data(), n, along_.data(), k.data(), n);
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) {
        const double* row = f.factor.row(i);
        const double* dk = k.data() + i * n;
        for (int64_t j = 0; j <= i; ++j) {
          const double weight =
              f.alpha[static_cast<size_t>(i)] * f.alpha[static_cast<size_t>(j)] - row[j];
          sum += (j < i ? 2 : 1) * weight * dk[j];
        }
      }
      (*gradient)[p] += sign * 0.5 * sum / (2 * h);
    }
    parameter.value = value;
  }
  return f.log_likelihood;
}

void DerivativeProcess::fit(const GpOptions& options) {
  std::vector<double> lower, upper;
  kernel_.bounds(&lower, &upper);
  const std::vector<double> first = kernel_.pack();
  if (first.empty()) return;
  linalg::CholeskyReport failure;
  failure.done = true;
  const auto search = [&](const std::vector<double>& start, const numeric::LbfgsOptions& how) {
    return search_kernel(
        kernel_,
        [&](const Kernel& kernel, std::vector<double>* gradient) {
          return evaluate(kernel, gradient, &failure);
        },
        start, how);
  };
  // Shorter and longer length scales compete.
  std::vector<double> start = first;
  const std::vector<const KernelParameter*> free = kernel_.free_parameters();
  numeric::LbfgsOptions brief = options.search;
  brief.iterations = std::min<int64_t>(brief.iterations, 15);
  double best = kInfinity;
  for (int64_t s = 0; s < std::min<int64_t>(options.starts, 3) && options.starts > 1; ++s) {
    std::vector<double> trial = first;
    for (size_t i = 0; i < free.size(); ++i) {
      const ParameterRole role = free[i]->role;
      const bool scale = role == ParameterRole::kLengthscale || role == ParameterRole::kPeriod;
      if (scale) trial[i] = std::clamp(trial[i] + (s == 1 ? -1.5 : s), lower[i], upper[i]);
    }
    const numeric::Optimum o = search(trial, brief);
    report_.evaluations += o.evaluations;
    if (o.value < best) {
      best = o.value;
      start = o.x;
    }
  }
  const numeric::Optimum o = search(start, options.search);
  if (o.value == kInfinity) failure.check("kernel matrix");
  kernel_.unpack(o.x);
  record(o, kernel_, &report_);
}

Prediction DerivativeProcess::predict(const at::Tensor& points, const at::Tensor& along,
                                      const PredictOptions& options) const {
  const at::Tensor xs = checked_points(points, data_.dims, "points");
  const int64_t s = xs.size(0), n = group_.count(), p = data_.coefficients();
  const double* x = xs.const_data_ptr<double>();
  const std::vector<int64_t> a = along.defined() ? checked_along(along, s, data_.dims)
                                                 : std::vector<int64_t>(static_cast<size_t>(s), -1);
  const KernelJets jets(kernel_);
  std::vector<double> cross(static_cast<size_t>(s * n)), prior(static_cast<size_t>(s));
  jets.cross(x, s, a.data(), group_.x.data(), n, along_.data(), cross.data(), n);
  jets.diagonal(x, s, a.data(), options.noise, prior.data());
  const std::vector<double> basis = basis_at(x, a);
  at::Tensor mean = at::empty({s}, at::kDouble), variance = at::empty({s}, at::kDouble);
  std::vector<double> left(static_cast<size_t>(s * p));
  for (int64_t i = 0; i < s; ++i) {
    double m = linalg::dot(n, cross.data() + i * n, factor_.alpha.data());
    for (int64_t c = 0; c < p; ++c) {
      m += factor_.coefficients[static_cast<size_t>(c)] * basis[static_cast<size_t>(c * s + i)];
    }
    mean.data_ptr<double>()[i] = m;
  }
  linalg::forward(factor_.factor, cross.data(), s);
  for (int64_t i = 0; i < s; ++i) {
    for (int64_t c = 0; c < p; ++c) {
      left[static_cast<size_t>(i * p + c)] =
          basis[static_cast<size_t>(c * s + i)] -
          linalg::dot(n, factor_.basis.data() + c * n, cross.data() + i * n);
    }
  }
  const linalg::Matrix gram{const_cast<double*>(factor_.gram.data()), p, p};
  if (p > 0) linalg::forward(gram, left.data(), s);
  const auto both = [&](int64_t i, int64_t j) {
    return linalg::dot(p, left.data() + i * p, left.data() + j * p) -
           linalg::dot(n, cross.data() + i * n, cross.data() + j * n);
  };
  for (int64_t i = 0; i < s; ++i) {
    variance.data_ptr<double>()[i] = std::max(prior[static_cast<size_t>(i)] + both(i, i), 0.0);
  }
  Prediction out{mean, variance, {}};
  if (options.covariance) {
    out.covariance = at::empty({s, s}, at::kDouble);
    double* c = out.covariance.data_ptr<double>();
    jets.cross(x, s, a.data(), x, s, a.data(), c, s);
    for (int64_t i = 0; i < s; ++i) {
      for (int64_t j = 0; j < i; ++j) c[i * s + j] = c[j * s + i] = c[i * s + j] + both(i, j);
      c[i * s + i] = variance.const_data_ptr<double>()[i];
    }
  }
  if (!mean.isfinite().all().item<bool>() || !variance.isfinite().all().item<bool>()) {
    throw Error(ExitCode::kFailed, "a prediction is not finite", "process",
                "the kernel's values overflow there: scale the data");
  }
  return out;
}

}  // namespace covary::stat
