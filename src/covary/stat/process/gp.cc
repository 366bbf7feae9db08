#include "covary/stat/process/gp.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <numbers>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/stat/process/draws.h"
#include "covary/stat/process/priors.h"
#include "covary/stat/process/start.h"

namespace covary::stat {
namespace {

constexpr int64_t kPoints = 1024;  // predicted at a time

double dot(const double* a, const double* b, int64_t n) { return linalg::dot(n, a, b); }

std::string line(const char* format, double value) {
  char text[80];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// What a group says about some points: cross [count, n] as L^-1 k* in its rows, and the rest of
// the mean's basis, [p, count].
struct Projection {
  std::vector<double> mean;      // [outputs, count]
  std::vector<double> cross;     // L^-1 k(X, x*), [count, n]
  std::vector<double> known;     // squared length of each row of it, [count]
  std::vector<double> leftover;  // gram^-1/2 (h* - H' K^-1 k*), [count, p]
};

Projection project(const Kernel& kernel, const GpData& data, const GpGroup& group,
                   const PosteriorFactor& f, const double* points, int64_t count) {
  const int64_t n = group.count(), p = data.coefficients();
  Projection out;
  out.cross.resize(static_cast<size_t>(count * n));
  kernel.cross(points, count, group.x.data(), n, out.cross.data(), n);
  const std::vector<double> basis = data.basis_at(points, count);
  out.mean.resize(static_cast<size_t>(group.width() * count));
  parallel_for(count, 16, [&](int64_t begin, int64_t end) {
    const linalg::OneBlasThread one;
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t o = 0; o < group.width(); ++o) {
        double value = linalg::dot(n, out.cross.data() + i * n, f.alpha.data() + o * n);
        for (int64_t a = 0; a < p; ++a) {
          value += f.coefficients[static_cast<size_t>(o * p + a)] *
                   basis[static_cast<size_t>(a * count + i)];
        }
        out.mean[static_cast<size_t>(o * count + i)] = value;
      }
    }
  });
  linalg::forward(f.factor, out.cross.data(), count);
  out.leftover.resize(static_cast<size_t>(count * p));
  out.known.resize(static_cast<size_t>(count));
  parallel_for(count, 16, [&](int64_t begin, int64_t end) {
    const linalg::OneBlasThread one;
    for (int64_t i = begin; i < end; ++i) {
      const double* v = out.cross.data() + i * n;
      out.known[static_cast<size_t>(i)] = dot(v, v, n);
      for (int64_t a = 0; a < p; ++a) {
        out.leftover[static_cast<size_t>(i * p + a)] =
            basis[static_cast<size_t>(a * count + i)] - dot(f.basis.data() + a * n, v, n);
      }
    }
  });
  const linalg::Matrix gram{const_cast<double*>(f.gram.data()), p, p};
  if (p > 0) linalg::forward(gram, out.leftover.data(), count);
  return out;
}

}  // namespace

GaussianProcess::GaussianProcess(const at::Tensor& x, const at::Tensor& y, const GpOptions& options,
                                 const RowNoise& noise) {
  options.check();
  const bool constant =
      options.constant_columns ||
      (x.defined() && x.dim() == 2 &&
       Kernel::parse(options.kernel, std::max<int64_t>(x.size(1), 1)).takes_constant_columns());
  data_ = GpData::from(x, y, noise, mean_of(options.mean), constant);
  kernel_ =
      Kernel::parse(completed_kernel(options.kernel, noise.stands_alone(), data_.dims), data_.dims);
  start_by_data(&kernel_, data_, static_cast<uint64_t>(options.seed));
  if (options.fit) {
    set_priors(&kernel_, options.priors, scales_of(data_));
    fit(options);
  }
  condition();
}

GaussianProcess::GaussianProcess(const at::Tensor& x, const at::Tensor& y, Kernel kernel,
                                 const GpOptions& options, const RowNoise& noise) {
  options.check();
  data_ = GpData::from(x, y, noise, mean_of(options.mean),
                       options.constant_columns || kernel.takes_constant_columns());
  if (kernel.dims() != data_.dims) {
    throw Error(ExitCode::kUsage,
                "was made for " + std::to_string(kernel.dims()) + " columns, X has " +
                    std::to_string(data_.dims),
                "kernel");
  }
  kernel_ = std::move(kernel);
  if (data_.noise.weights.defined() && !kernel_.has(ParameterRole::kNoise)) {
    throw Error(ExitCode::kUsage, "has no white, whose variance the weights of the rows divide",
                "kernel", "add + white");
  }
  start_by_data(&kernel_, data_, static_cast<uint64_t>(options.seed));
  if (options.fit) {
    set_priors(&kernel_, options.priors, scales_of(data_));
    fit(options);
  }
  condition();
}

void GaussianProcess::condition() {
  factors_.clear();
  for (const GpGroup& g : data_.groups) factors_.push_back(factorise(kernel_, data_, g));
  complete_report();
}

void GaussianProcess::complete_report() {
  report_.kernel = kernel_.text();
  report_.parameters = kernel_.parameters();
  report_.log_prior = kernel_.log_prior({});
  report_.log_likelihood = report_.jitter = report_.condition = 0;
  for (const PosteriorFactor& f : factors_) {
    report_.log_likelihood += f.log_likelihood;
    report_.jitter = std::max(report_.jitter, f.report.jitter);
    report_.condition =
        std::max(report_.condition, linalg::condition_estimate(f.factor, f.report.norm1));
  }
  if (!std::isfinite(report_.log_likelihood)) {
    throw Error(ExitCode::kFailed, "the marginal likelihood is not finite", "process",
                "scale the data, or bound the kernel's parameters");
  }
}

at::Tensor GaussianProcess::shaped(const std::vector<double>& values, int64_t count) const {
  at::Tensor t = at::empty({count, data_.outputs}, at::kDouble);
  std::copy(values.begin(), values.end(), t.data_ptr<double>());
  for (const double v : values) {
    if (!std::isfinite(v)) {
      throw Error(ExitCode::kFailed, "a prediction is not finite", "process",
                  "the kernel's values overflow there: scale the data");
    }
  }
  return data_.vector_y ? t.squeeze(1) : t;
}

Prediction GaussianProcess::predict(const at::Tensor& points, const PredictOptions& options) const {
  const at::Tensor xs = checked_points(points, data_.dims, "points");
  const int64_t s = xs.size(0), m = data_.outputs, p = data_.coefficients();
  const double* x = xs.const_data_ptr<double>();
  std::vector<double> mean(static_cast<size_t>(s * m)), variance(mean.size());
  std::vector<double> prior(static_cast<size_t>(s));
  kernel_.diagonal(x, s, options.noise, prior.data());
  std::vector<std::vector<double>> covariances;  // a group
  for (size_t index = 0; index < factors_.size(); ++index) {
    const GpGroup& group = data_.groups[index];
    const PosteriorFactor& f = factors_[index];
    const int64_t n = group.count();
    const int64_t block = options.covariance ? std::max<int64_t>(s, 1) : kPoints;
    for (int64_t begin = 0; begin < s; begin += block) {
      const int64_t count = std::min(block, s - begin);
      const Projection q = project(kernel_, data_, group, f, x + begin * data_.dims, count);
      for (int64_t i = 0; i < count; ++i) {
        const double* r = q.leftover.data() + i * p;
        const double left =
            prior[static_cast<size_t>(begin + i)] - q.known[static_cast<size_t>(i)] + dot(r, r, p);
        for (int64_t o = 0; o < group.width(); ++o) {
          const size_t cell =
              static_cast<size_t>((begin + i) * m + group.outputs[static_cast<size_t>(o)]);
          mean[cell] = q.mean[static_cast<size_t>(o * count + i)];
          variance[cell] = std::max(left, 0.0);
        }
      }
      if (!options.covariance) continue;
      std::vector<double> c(static_cast<size_t>(s * s));
      kernel_.cross(x, s, x, s, c.data(), s);
      const linalg::OneBlasThread one;
      linalg::gemm(false, true, s, s, n, -1, q.cross.data(), n, q.cross.data(), n, 1, c.data(), s);
      linalg::gemm(false, true, s, s, p, 1, q.leftover.data(), std::max<int64_t>(p, 1),
                   q.leftover.data(), std::max<int64_t>(p, 1), 1, c.data(), s);
      for (int64_t i = 0; i < s; ++i) {
        for (int64_t j = 0; j < i; ++j)
          c[static_cast<size_t>(j * s + i)] = c[static_cast<size_t>(i * s + j)];
        c[static_cast<size_t>(i * s + i)] = variance[static_cast<size_t>(i * m + group.outputs[0])];
      }
      covariances.push_back(std::move(c));
    }
    if (options.covariance && s == 0) covariances.emplace_back();
  }
  Prediction out{shaped(mean, s), shaped(variance, s), {}};
  if (options.covariance) {
    at::Tensor c = at::empty({m, s, s}, at::kDouble);
    for (size_t index = 0; index < factors_.size(); ++index) {
      for (const int64_t o : data_.groups[index].outputs) {
        std::copy(covariances[index].begin(), covariances[index].end(),
                  c.data_ptr<double>() + o * s * s);
      }
    }
    out.covariance = data_.vector_y ? c.squeeze(0) : c;
  }
  return out;
}

at::Tensor GaussianProcess::mean_gradient(const at::Tensor& points) const {
  const at::Tensor xs = checked_points(points, data_.dims, "points");
  const int64_t s = xs.size(0), m = data_.outputs, d = data_.dims, p = data_.coefficients();
  at::Tensor out = at::zeros({s, m, d}, at::kDouble);
  double* to = out.data_ptr<double>();
  std::vector<double> gradient(static_cast<size_t>(s * d));
  std::vector<std::vector<double>> slopes;  // of the mean's basis, a column
  for (int64_t k = 0; k < d; ++k) {
    slopes.push_back(data_.basis_slopes(xs.const_data_ptr<double>(), s, k));
  }
  for (size_t index = 0; index < factors_.size(); ++index) {
    const GpGroup& group = data_.groups[index];
    const int64_t n = group.count();
    std::vector<double> weights(static_cast<size_t>(s * n));
    for (int64_t o = 0; o < group.width(); ++o) {
      const double* alpha = factors_[index].alpha.data() + o * n;
      for (int64_t i = 0; i < s; ++i) std::copy_n(alpha, n, weights.data() + i * n);
      kernel_.contract_inputs(xs.const_data_ptr<double>(), s, group.x.data(), n, weights.data(),
                              gradient.data());
      for (int64_t i = 0; i < s; ++i) {
        for (int64_t k = 0; k < d; ++k) {
          double g = gradient[static_cast<size_t>(i * d + k)];
          for (int64_t a = 1; a < p; ++a) {
            g += factors_[index].coefficients[static_cast<size_t>(o * p + a)] *
                 slopes[static_cast<size_t>(k)][static_cast<size_t>(a * s + i)];
          }
          to[(i * m + group.outputs[static_cast<size_t>(o)]) * d + k] = g;
        }
      }
    }
  }
  return data_.vector_y ? out.squeeze(1) : out;
}

at::Tensor GaussianProcess::score_samples(const at::Tensor& points, const at::Tensor& y) const {
  const Prediction at_points = predict(points, {.noise = true});
  if (!y.defined() || y.scalar_type() != at::kDouble || y.sizes() != at_points.mean.sizes()) {
    throw Error(ExitCode::kUsage, "must be doubles, a value a point and output", "y");
  }
  const at::Tensor values = y.contiguous(), out = at::zeros_like(values);
  for (int64_t i = 0; i < values.numel(); ++i) {
    const double v = values.const_data_ptr<double>()[i];
    if (std::isnan(v)) continue;
    const double variance = at_points.variance.const_data_ptr<double>()[i];
    if (!(variance > 0) || std::isinf(v)) {
      throw Error(ExitCode::kFailed, "has no density: the predicted variance is 0 or y is infinite",
                  "value " + std::to_string(i), "use a kernel with white");
    }
    const double z = v - at_points.mean.const_data_ptr<double>()[i];
    out.data_ptr<double>()[i] =
        -0.5 * (std::log(2 * std::numbers::pi * variance) + z * z / variance);
  }
  return out;
}

at::Tensor GaussianProcess::sample(const at::Tensor& points, int64_t count, uint64_t seed) const {
  if (count < 0) throw Error(ExitCode::kUsage, "must not be negative", "count");
  const Prediction joint = predict(points, {.covariance = true});
  const int64_t s = points.size(0), m = data_.outputs;
  const at::Tensor mean = joint.mean.reshape({s, m});
  const at::Tensor covariance = joint.covariance.reshape({m, s, s});
  std::vector<at::Tensor> draws;
  for (int64_t o = 0; o < m; ++o) {
    draws.push_back(
        gaussian_draws(mean.select(1, o), covariance[o], count, seed, static_cast<uint64_t>(o)));
  }
  return data_.vector_y ? draws[0] : at::stack(draws, 2);
}

Prediction GaussianProcess::leave_one_out() const {
  const int64_t m = data_.outputs, p = data_.coefficients();
  const double missing = std::numeric_limits<double>::quiet_NaN();
  at::Tensor mean = at::full({data_.n, m}, missing, at::kDouble), variance = mean.clone();
  for (size_t index = 0; index < factors_.size(); ++index) {
    const GpGroup& group = data_.groups[index];
    const PosteriorFactor& f = factors_[index];
    const int64_t n = group.count();
    if (n <= p) {
      throw Error(ExitCode::kData, "leaves no row to learn from", "leave one out");
    }
    at::Tensor copy = f.buffer.clone();
    const linalg::Matrix inverse{copy.data_ptr<double>(), n, f.factor.stride};
    linalg::inverse(inverse);
    const std::vector<double> along = mean_rows(f, p);
    for (int64_t i = 0; i < n; ++i) {
      const double* r = along.data() + i * p;
      const double precision = inverse.row(i)[i] - dot(r, r, p);
      if (!(precision > 0)) {
        throw Error(ExitCode::kFailed,
                    "the mean cannot be told without row " +
                        std::to_string(group.rows[static_cast<size_t>(i)]),
                    "leave one out", "use the mean const or zero");
      }
      for (int64_t o = 0; o < group.width(); ++o) {
        const int64_t at =
            group.rows[static_cast<size_t>(i)] * m + group.outputs[static_cast<size_t>(o)];
        const size_t cell = static_cast<size_t>(o * n + i);
        mean.data_ptr<double>()[at] = group.y[cell] - f.alpha[cell] / precision;
        variance.data_ptr<double>()[at] = 1 / precision;
      }
    }
  }
  if (data_.vector_y) return {mean.squeeze(1), variance.squeeze(1), {}};
  return {mean, variance, {}};
}

void GaussianProcess::append(const at::Tensor& x, const at::Tensor& y, double noise,
                             double weight) {
  if (!x.defined() || x.dim() != 1 || !y.defined() || y.numel() != data_.outputs ||
      y.scalar_type() != at::kDouble) {
    throw Error(ExitCode::kUsage, "needs x [columns] and y [outputs], doubles", "append");
  }
  const at::Tensor row = checked_points(x.unsqueeze(0), data_.dims, "x");
  at::Tensor values = y.detach().contiguous().reshape({1, data_.outputs});
  for (int64_t o = 0; o < data_.outputs; ++o) {
    const double v = values.const_data_ptr<double>()[o];
    if (std::isinf(v) || std::abs(v) > 1e150) {
      throw Error(ExitCode::kData, "output " + std::to_string(o) + " is infinite or its square is",
                  "y");
    }
  }
  const bool weighs = data_.noise.weights.defined();
  if (!std::isfinite(noise) || noise < 0 || (noise > 0 && !data_.noise.variances.defined())) {
    throw Error(ExitCode::kUsage,
                "must be a variance, and 0 when the other points came without one", "noise");
  }
  if (!std::isfinite(weight) || weight < 0 || (weight != 1 && !weighs)) {
    throw Error(ExitCode::kUsage,
                "must be finite and not negative, and 1 when the other points came without one",
                "weight");
  }
  const int64_t new_row = data_.n++;
  data_.x = at::cat({data_.x, row});
  if (weight == 0) values = at::full_like(values, std::numeric_limits<double>::quiet_NaN());
  data_.y = at::cat({data_.y, values});
  const auto add = [](at::Tensor* to, double v) {
    if (to->defined()) *to = at::cat({*to, at::full({1}, v, at::kDouble)});
  };
  add(&data_.noise.variances, noise);
  add(&data_.noise.weights, weight);
  const double* point = row.const_data_ptr<double>();
  const double* known = values.const_data_ptr<double>();
  const std::vector<double> basis = data_.basis_at(point, 1);
  for (size_t index = 0; index < factors_.size(); ++index) {
    GpGroup& group = data_.groups[index];
    PosteriorFactor& f = factors_[index];
    const int64_t present = std::count_if(group.outputs.begin(), group.outputs.end(),
                                          [&](int64_t o) { return !std::isnan(known[o]); });
    if (present == 0) continue;
    const int64_t n = group.count();
    std::vector<double> k(static_cast<size_t>(n));
    kernel_.cross(point, 1, group.x.data(), n, k.data(), n);
    double diagonal = 0;
    kernel_.diagonal(point, 1, true, &diagonal);
    diagonal += noise;
    if (weight != 1) diagonal += white_diagonal(kernel_, point, 1)[0] * (1 / weight - 1);
    if (n + 1 > f.factor.stride || n + 1 > f.buffer.size(0)) {  // room for a fifth more
      const int64_t room = n + n / 5 + 8, stride = padded_stride(room);
      at::Tensor wider = at::empty({room, stride}, at::kDouble);
      for (int64_t i = 0; i < n; ++i) {
        std::copy_n(f.factor.row(i), n, wider.data_ptr<double>() + i * stride);
      }
      f.buffer = wider;
      f.factor = {wider.data_ptr<double>(), n, stride};
    }
    const bool split = present < group.width();
    if (split || !(linalg::append_row(f.factor, k.data(), diagonal + f.report.jitter) > 0)) {
      // Outputs part company, or the point is a copy without noise: all factors anew.
      data_.form_groups();
      condition();
      return;
    }
    double column = diagonal;
    for (int64_t i = 0; i < n; ++i) {
      f.factor.row(i)[n] = k[static_cast<size_t>(i)];
      column += std::abs(k[static_cast<size_t>(i)]);
    }
    f.report.norm1 = std::max(f.report.norm1, column);
    f.factor.n = n + 1;
    std::vector<double> old_y = std::move(group.y), old_basis = std::move(group.basis);
    group.y.clear();
    group.basis.clear();
    for (int64_t o = 0; o < group.width(); ++o) {
      group.y.insert(group.y.end(), old_y.begin() + o * n, old_y.begin() + (o + 1) * n);
      group.y.push_back(known[group.outputs[static_cast<size_t>(o)]]);
    }
    for (int64_t a = 0; a < data_.coefficients(); ++a) {
      group.basis.insert(group.basis.end(), old_basis.begin() + a * n,
                         old_basis.begin() + (a + 1) * n);
      group.basis.push_back(basis[static_cast<size_t>(a)]);
    }
    group.rows.push_back(new_row);
    group.x.insert(group.x.end(), point, point + data_.dims);
    if (data_.noise.variances.defined()) group.noise.push_back(noise);
    if (weighs) group.weights.push_back(weight);
    solve_group(group, data_.coefficients(), &f);
  }
  complete_report();
}

std::string GpReport::text() const {
  std::string s = "kernel             " + kernel + "\n";
  for (const KernelParameter& p : parameters) {
    s += "  " + p.name + std::string(p.name.size() < 27 ? 27 - p.name.size() : 1, ' ') +
         line("%.6g", p.value) +
         (p.fixed          ? "  fixed"
          : p.tied_to >= 0 ? "  tied"
                           : "") +
         (std::find(at_bound.begin(), at_bound.end(), p.name) != at_bound.end() ? "  at bound"
                                                                                : "") +
         "\n";
  }
  s += "log likelihood     " + line("%.6f", log_likelihood) + "\n";
  if (log_prior != 0) s += "log prior          " + line("%.6f", log_prior) + "\n";
  if (fitted) {
    s += "fit                " + std::string(numeric::name_of(ending)) + " after " +
         std::to_string(iterations) + " steps, " + std::to_string(evaluations) +
         " evaluations, gradient " + line("%.2g", gradient_norm) + "\n";
  }
  s += "jitter             " + line("%.3g", jitter) + "\n";
  s += "condition          " + line("%.3g", condition) + "\n";
  return s;
}

}  // namespace covary::stat
