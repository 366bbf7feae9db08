#include "covary/stat/process/grid.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/toeplitz.h"
#include "covary/stat/process/gp_data.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLogTwoPi = 1.8378770664093454836;

// m times every fibre along the axis.
at::Tensor along(const at::Tensor& t, int64_t axis, const at::Tensor& m) {
  const at::Tensor first = t.movedim(axis, 0);
  std::vector<int64_t> shape = first.sizes().vec();
  shape[0] = m.size(0);
  return m.matmul(first.reshape({first.size(0), -1})).reshape(shape).movedim(0, axis);
}

// The product over axes of vectors, [n_1, ..., n_d].
at::Tensor outer(const std::vector<at::Tensor>& vectors) {
  at::Tensor out = vectors[0];
  for (size_t k = 1; k < vectors.size(); ++k) out = out.unsqueeze(-1) * vectors[k];
  return out;
}

// K = Q diag(values) Q' + noise, Q and values products over the axes.
struct Kronecker {
  std::vector<at::Tensor> vectors, values;  // an axis: [n,n], [n]
  at::Tensor spectrum;                      // values + noise, [n_1, ..., n_d]
  at::Tensor ones;                          // Q' 1
  bool good = false;

  Kronecker(const GridAxes& axes, std::span<const Kernel> kernels, double noise) {
    std::vector<at::Tensor> sums;
    for (size_t k = 0; k < axes.size(); ++k) {
      const auto n = static_cast<int64_t>(axes[k].size());
      at::Tensor m = at::empty({n, n}, at::kDouble);
      kernels[k].matrix(axes[k].data(), n, m.data_ptr<double>(), n);
      if (!m.isfinite().all().item<bool>()) return;
      auto [w, v] = at::linalg_eigh(m);
      vectors.push_back(v);
      values.push_back(w.clamp_min(0));
      sums.push_back(v.sum(0));
    }
    spectrum = outer(values) + noise;
    ones = outer(sums);
    good = spectrum.min().item<double>() > 0 && spectrum.isfinite().all().item<bool>();
  }
  at::Tensor turned(at::Tensor t) const {  // Q' t
    for (size_t k = 0; k < vectors.size(); ++k) {
      t = along(t, static_cast<int64_t>(k), vectors[k].t());
    }
    return t;
  }
};

double kronecker_likelihood(const GridAxes& axes, std::span<const Kernel> kernels, double noise,
                            const at::Tensor& y, double* coefficient, GridGradient* gradient) {
  const Kronecker q(axes, kernels, noise);
  if (!q.good) return -kInfinity;
  at::Tensor z = q.turned(y);
  if (coefficient) {
    const at::Tensor share = q.ones / q.spectrum;
    *coefficient = ((share * z).sum() / (share * q.ones).sum()).item<double>();
    z = z - *coefficient * q.ones;
  }
  const at::Tensor w = z / q.spectrum;
  const double value = -0.5 * ((z * w).sum() + q.spectrum.log().sum()).item<double>() -
                       0.5 * static_cast<double>(y.numel()) * kLogTwoPi;
  if (!gradient) return value;
  const at::Tensor inverse = q.spectrum.reciprocal();
  gradient->noise = 0.5 * noise * ((w * w).sum() - inverse.sum()).item<double>();
  gradient->kernels.assign(axes.size(), {});
  for (size_t k = 0; k < axes.size(); ++k) {
    // 1/2 (a a' - K^-1) contracted over the other axes, where their kernels are diagonal.
    const auto axis = static_cast<int64_t>(k), n = static_cast<int64_t>(axes[k].size());
    std::vector<at::Tensor> others = q.values;
    others[k] = at::ones_like(others[k]);
    const at::Tensor scale = outer(others);
    const auto rows = [&](const at::Tensor& t) { return t.movedim(axis, 0).reshape({n, -1}); };
    const at::Tensor inner =
        rows(w * scale).matmul(rows(w).t()) - at::diag(rows(inverse * scale).sum(1));
    const at::Tensor weights =
        (0.5 * q.vectors[k].matmul(inner).matmul(q.vectors[k].t())).contiguous();
    gradient->kernels[k].resize(kernels[k].parameters().size());
    const double* from = weights.const_data_ptr<double>();
    kernels[k].contract(
        axes[k].data(), n,
        [from, n](const compute::PairBlock& tile, double* to) {
          for (int64_t i = 0; i < tile.rows; ++i) {
            std::copy_n(from + (tile.row + i) * n + tile.column, tile.columns,
                        to + i * tile.columns);
          }
        },
        gradient->kernels[k]);
  }
  return value;
}

// Covariances with the first point; the first with the noise.
std::vector<double> first_column(const std::vector<double>& axis, const Kernel& kernel,
                                 double noise) {
  std::vector<double> first(axis.size());
  const auto n = static_cast<int64_t>(axis.size());
  kernel.cross(axis.data(), 1, axis.data(), n, first.data(), n);
  first[0] += noise;
  return first;
}

double toeplitz_likelihood(const std::vector<double>& axis, const Kernel& kernel, double noise,
                           const at::Tensor& y, double* coefficient, GridGradient* gradient) {
  const auto n = static_cast<int64_t>(axis.size());
  try {
    const linalg::ToeplitzFactor factor(first_column(axis, kernel, noise));
    const double* from = y.const_data_ptr<double>();
    std::vector<double> residual(from, from + n), alpha = residual;
    factor.solve(alpha);
    if (coefficient) {
      std::vector<double> ones(static_cast<size_t>(n), 1.0);
      factor.solve(ones);
      double along_y = 0, along_one = 0;
      for (const double v : alpha) along_y += v;
      for (const double v : ones) along_one += v;
      *coefficient = along_y / along_one;
      for (int64_t i = 0; i < n; ++i) {
        residual[static_cast<size_t>(i)] -= *coefficient;
        alpha[static_cast<size_t>(i)] -= *coefficient * ones[static_cast<size_t>(i)];
      }
    }
    const double value = -0.5 * linalg::dot(n, residual.data(), alpha.data()) -
                         0.5 * factor.log_determinant() - 0.5 * static_cast<double>(n) * kLogTwoPi;
    if (!gradient) return value;
    std::vector<double> weights = factor.inverse_lag_sums();
    gradient->noise = 0.5 * noise * (linalg::dot(n, alpha.data(), alpha.data()) - weights[0]);
    for (int64_t lag = 0; lag < n; ++lag) {
      const double pairs = linalg::dot(n - lag, alpha.data(), alpha.data() + lag);
      double& weight = weights[static_cast<size_t>(lag)];
      weight = (lag == 0 ? 0.5 : 1) * (pairs - weight);
    }
    gradient->kernels.assign(1, std::vector<double>(kernel.parameters().size()));
    kernel.contract_cross(axis.data(), 1, axis.data(), n, weights.data(), n, gradient->kernels[0]);
    return value;
  } catch (const Error&) {  // not positive definite
    return -kInfinity;
  }
}

}  // namespace

bool is_toeplitz(const GridAxes& axes, std::span<const Kernel> kernels) {
  if (axes.size() != 1 || kernels[0].has(ParameterRole::kLinear) ||
      kernels[0].has(ParameterRole::kOffset)) {
    return false;
  }
  const std::vector<double>& t = axes[0];
  const double span = t.back() - t.front(),
               step = t.size() > 1 ? span / static_cast<double>(t.size() - 1) : 0;
  for (size_t i = 0; i < t.size(); ++i) {
    const double expected = t.front() + static_cast<double>(i) * step;
    if (!(std::abs(t[i] - expected) <=
          1e-13 * std::abs(span) + 4e-16 * std::max(std::abs(t.front()), std::abs(t.back()))))
      return false;
  }
  return true;
}

double grid_log_likelihood(const GridAxes& axes, std::span<const Kernel> kernels, double noise,
                           const at::Tensor& y, double* coefficient, GridGradient* gradient) {
  const linalg::OneBlasThread one;
  const double value =
      is_toeplitz(axes, kernels)
          ? toeplitz_likelihood(axes[0], kernels[0], noise, y, coefficient, gradient)
          : kronecker_likelihood(axes, kernels, noise, y, coefficient, gradient);
  return std::isfinite(value) ? value : -kInfinity;
}

GridProcess::GridProcess(GridAxes axes, const at::Tensor& y, const GridOptions& options)
    : axes_(std::move(axes)), constant_(options.mean == "const") {
  options.check();
  if (!y.defined() || y.scalar_type() != at::kDouble || axes_.empty() ||
      y.dim() != static_cast<int64_t>(axes_.size())) {
    throw Error(ExitCode::kUsage, "must be doubles with as many dimensions as there are axes", "y");
  }
  for (size_t k = 0; k < axes_.size(); ++k) {
    const std::string where = "axis " + std::to_string(k);
    std::vector<double> sorted = axes_[k];
    std::sort(sorted.begin(), sorted.end());
    if (sorted.empty()) throw Error(ExitCode::kData, "is empty", where);
    if (static_cast<int64_t>(sorted.size()) != y.size(static_cast<int64_t>(k)))
      throw Error(ExitCode::kUsage, "has another length than y", where);
    if (!std::all_of(sorted.begin(), sorted.end(), [](double v) { return std::isfinite(v); }))
      throw Error(ExitCode::kData, "holds a value that is not finite", where);
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
      throw Error(ExitCode::kData, "has two equal coordinates", where);
  }
  y_ = y.detach().contiguous();
  for (int64_t i = 0; i < y_.numel(); ++i) {
    const double v = y_.const_data_ptr<double>()[i];
    if (!std::isfinite(v) || std::abs(v) > 1e150) {
      throw Error(ExitCode::kData,
                  "is missing or infinite at cell " + std::to_string(i) + ", in row order", "y",
                  "a grid must be full: use the exact process for one with holes");
    }
  }
  if (options.kernels.size() != 1 && options.kernels.size() != axes_.size())
    throw Error(ExitCode::kUsage, "must be as many as there are axes, or one", "kernels");
  for (size_t k = 0; k < axes_.size(); ++k) {
    const std::string& text = options.kernels[options.kernels.size() == 1 ? 0 : k];
    Kernel kernel = Kernel::parse(text, 1);
    if (kernel.has(ParameterRole::kNoise))
      throw Error(ExitCode::kUsage, "has white: the noise is a parameter of its own here",
                  "kernels", "leave white out");
    const bool scaled = kernel.has(ParameterRole::kVariance) || kernel.has(ParameterRole::kLinear);
    kernels_.push_back(k > 0 || scaled ? std::move(kernel)
                                       : Kernel::parse("const*(" + text + ")", 1));
  }
  const at::Tensor centred = constant_ ? y_ - y_.mean() : y_;
  const double largest = y_.abs().max().item<double>();
  const double variance = std::max(centred.square().mean().item<double>(),
                                   largest > 0 ? std::max(largest * largest * 1e-16, 1e-280) : 1);
  report_.noise = options.noise > 0 ? options.noise : 0.1 * variance;
  start_by_data(variance);
  if (options.fit) fit(options, variance);
  report_.toeplitz = is_toeplitz(axes_, kernels_);
  report_.log_likelihood = grid_log_likelihood(axes_, kernels_, report_.noise, y_,
                                               constant_ ? &report_.mean : nullptr, nullptr);
  if (report_.log_likelihood == -kInfinity) {
    throw Error(ExitCode::kFailed, "the marginal likelihood is not finite", "process",
                "raise the noise, or scale the data");
  }
  for (const Kernel& kernel : kernels_) report_.kernels.push_back(kernel.text());
}

void GridProcess::start_by_data(double variance) {
  for (size_t k = 0; k < axes_.size(); ++k) {
    const auto [low, high] = std::minmax_element(axes_[k].begin(), axes_[k].end());
    const double span = *high > *low ? *high - *low : 1;
    for (KernelParameter& p : kernels_[k].parameters()) {
      if (p.fixed) continue;
      double guess = 1, down = 1e-6, up = 1e6;
      if (p.role == ParameterRole::kLengthscale) guess = span / 3, down = 1e-3, up = 1e4;
      if (p.role == ParameterRole::kPeriod) guess = span / 3, down = 1e-3, up = 1e2;
      if (p.role == ParameterRole::kVariance) guess = k == 0 ? variance : 1, down = 1e-8, up = 1e4;
      if (p.role == ParameterRole::kLinear) guess = 1 / (span * span), down = 1e-8, up = 1e4;
      if (!p.given) p.value = guess;
      if (p.lower == 0) p.lower = std::min(guess * down, p.value * 1e-2);
      if (p.upper == kInfinity) p.upper = std::max(guess * up, p.value * 1e2);
    }
  }
}

void GridProcess::fit(const GridOptions& options, double variance) {
  std::vector<double> start, lower, upper;
  for (const Kernel& kernel : kernels_) {
    std::vector<double> low, high;
    kernel.bounds(&low, &high);
    const std::vector<double> logs = kernel.pack();
    start.insert(start.end(), logs.begin(), logs.end());
    lower.insert(lower.end(), low.begin(), low.end());
    upper.insert(upper.end(), high.begin(), high.end());
  }
  start.push_back(std::log(report_.noise));
  lower.push_back(std::log(std::min(1e-8 * variance, report_.noise)));
  upper.push_back(std::log(std::max(1e2 * variance, report_.noise)));
  std::vector<Kernel> kernels = kernels_;
  const auto take = [&](std::span<const double> logs) {
    for (Kernel& kernel : kernels) {
      const size_t own = kernel.pack().size();
      kernel.unpack(logs.first(own));
      logs = logs.subspan(own);
    }
    return std::exp(logs[0]);
  };
  const numeric::Optimum o = numeric::minimise(
      [&](std::span<const double> logs, std::span<double> gradient) {
        const double noise = take(logs);
        GridGradient g;
        double coefficient = 0;
        const double value =
            grid_log_likelihood(axes_, kernels, noise, y_, constant_ ? &coefficient : nullptr, &g);
        if (value == -kInfinity) return kInfinity;
        double prior = 0;
        size_t at = 0;
        for (size_t k = 0; k < kernels.size(); ++k) {
          prior += kernels[k].log_prior(g.kernels[k]);
          for (const double slope : kernels[k].pack_gradient(g.kernels[k])) gradient[at++] = -slope;
        }
        gradient[at] = -g.noise;
        return -(value + prior);
      },
      start, lower, upper, options.search);
  report_.noise = take(o.x);
  kernels_ = kernels;
  report_.fitted = true;
  report_.ending = o.ending;
  report_.gradient_norm = o.gradient_norm;
  report_.iterations = o.iterations;
  report_.evaluations = o.evaluations;
}

GridPrediction GridProcess::predict(const at::Tensor& points, bool noise) const {
  const linalg::OneBlasThread one;
  const auto d = static_cast<int64_t>(axes_.size());
  const at::Tensor xs = checked_points(points, d, "points");
  const int64_t s = xs.size(0);
  // Covariances with each axis' coordinates, and the prior variance.
  std::vector<at::Tensor> cross;
  at::Tensor prior = at::ones({s}, at::kDouble);
  for (int64_t k = 0; k < d; ++k) {
    const auto n = static_cast<int64_t>(axes_[static_cast<size_t>(k)].size());
    const at::Tensor x = xs.select(1, k).contiguous();
    const Kernel& kernel = kernels_[static_cast<size_t>(k)];
    at::Tensor c = at::empty({s, n}, at::kDouble), own = at::empty({s}, at::kDouble);
    kernel.cross(x.const_data_ptr<double>(), s, axes_[static_cast<size_t>(k)].data(), n,
                 c.data_ptr<double>(), n);
    kernel.diagonal(x.const_data_ptr<double>(), s, false, own.data_ptr<double>());
    cross.push_back(c);
    prior = prior * own;
  }
  GridPrediction out{at::empty({s}, at::kDouble), at::empty({s}, at::kDouble)};
  const double extra = noise ? report_.noise : 0;
  const auto put = [&](int64_t i, double mean, double explained, double of_one, double precision) {
    double left = prior.const_data_ptr<double>()[i] - explained;
    if (constant_) left += (1 - of_one) * (1 - of_one) / precision;
    out.mean.data_ptr<double>()[i] = report_.mean + mean;
    out.variance.data_ptr<double>()[i] = std::max(left, 0.0) + extra;
  };
  if (report_.toeplitz) {
    const linalg::ToeplitzFactor factor(first_column(axes_[0], kernels_[0], report_.noise));
    const auto n = static_cast<int64_t>(axes_[0].size());
    at::Tensor alpha = y_ - report_.mean, ones = at::ones({n}, at::kDouble);
    factor.solve({alpha.data_ptr<double>(), static_cast<size_t>(n)});
    factor.solve({ones.data_ptr<double>(), static_cast<size_t>(n)});
    const double precision = ones.sum().item<double>();
    for (int64_t i = 0; i < s; ++i) {
      const at::Tensor k = cross[0][i];
      at::Tensor v = k.clone();
      factor.solve({v.data_ptr<double>(), static_cast<size_t>(n)});
      put(i, k.dot(alpha).item<double>(), k.dot(v).item<double>(), k.dot(ones).item<double>(),
          precision);
    }
    return out;
  }
  const Kronecker q(axes_, kernels_, report_.noise);
  const at::Tensor w = (q.turned(y_) - report_.mean * q.ones) / q.spectrum;
  const at::Tensor share = q.ones / q.spectrum;
  const double precision = (share * q.ones).sum().item<double>();
  for (size_t k = 0; k < cross.size(); ++k) cross[k] = cross[k].matmul(q.vectors[k]);
  for (int64_t i = 0; i < s; ++i) {
    std::vector<at::Tensor> parts;
    for (const at::Tensor& c : cross) parts.push_back(c[i]);
    const at::Tensor k = outer(parts);
    put(i, (k * w).sum().item<double>(), (k * k / q.spectrum).sum().item<double>(),
        (k * share).sum().item<double>(), precision);
  }
  return out;
}

GridPrediction GridProcess::leave_one_out() const {
  const linalg::OneBlasThread one;
  const Kronecker q(axes_, kernels_, report_.noise);
  const auto back = [&](at::Tensor t, bool squared) {  // Q t, or with squared entries of Q
    for (size_t k = 0; k < q.vectors.size(); ++k) {
      t = along(t, static_cast<int64_t>(k), squared ? q.vectors[k].square() : q.vectors[k]);
    }
    return t.reshape({-1});
  };
  const at::Tensor alpha = back((q.turned(y_) - report_.mean * q.ones) / q.spectrum, false);
  at::Tensor own = back(q.spectrum.reciprocal(), true);  // diagonal of K^-1
  if (constant_) {
    const at::Tensor share = q.ones / q.spectrum;
    own = own - back(share, false).square() / (share * q.ones).sum();
  }
  own = own.clamp_min(1e-300);
  return {(y_.reshape({-1}) - alpha / own).contiguous(), own.reciprocal().contiguous()};
}

}  // namespace covary::stat
