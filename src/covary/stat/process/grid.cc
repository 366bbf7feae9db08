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
constexpr int64_t kPoints = 64;    // predicted at a time where cells have no value
constexpr int64_t kLeftOut = 256;  // cells left out in turn where each costs a solution

double kronecker_likelihood(const GridAxes& axes, std::span<const Kernel> kernels, double noise,
                            const at::Tensor& y, double* coefficient, GridGradient* gradient) {
  const GridSpectrum q(axes, kernels, noise);
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
    const at::Tensor scale = outer_product(others);
    const auto rows = [&](const at::Tensor& t) { return t.movedim(axis, 0).reshape({n, -1}); };
    const at::Tensor inner =
        rows(w * scale).matmul(rows(w).t()) - at::diag(rows(inverse * scale).sum(1));
    gradient->kernels[k] = axis_gradient(axes[k], kernels[k], q.vectors[k], 0.5 * inner);
  }
  return value;
}

double gap_likelihood(const GridAxes& axes, std::span<const Kernel> kernels, double noise,
                      const at::Tensor& y, const GridCells& cells, const GapOptions& options,
                      double* coefficient, GridGradient* gradient, GapReport* report) {
  const GridSpectrum q(axes, kernels, noise);
  if (!q.good) return -kInfinity;
  GridGaps a(q, cells, noise, options, true);
  at::Tensor residual = y, alpha = a.solve(y.unsqueeze(0)).squeeze(0);
  if (coefficient) {
    const at::Tensor ones = a.solve(at::ones_like(y).unsqueeze(0)).squeeze(0);
    *coefficient = (alpha.sum() / ones.sum()).item<double>();
    residual = y - *coefficient;
    alpha = alpha - *coefficient * ones;
  }
  if (report) *report = a.report();
  const double value = -0.5 * (residual * alpha).sum().item<double>() - 0.5 * a.log_determinant() -
                       0.5 * static_cast<double>(cells.known.size()) * kLogTwoPi;
  if (!gradient) return value;
  gradient->noise = 0.5 * noise * (alpha.square().sum().item<double>() - a.trace());
  gradient->kernels.assign(axes.size(), {});
  const at::Tensor w = q.turned(alpha);
  for (size_t k = 0; k < axes.size(); ++k) {
    const auto axis = static_cast<int64_t>(k), n = static_cast<int64_t>(axes[k].size());
    std::vector<at::Tensor> others = q.values;
    others[k] = at::ones_like(others[k]);
    const auto rows = [&](const at::Tensor& t) { return t.movedim(axis, 0).reshape({n, -1}); };
    const at::Tensor inner =
        rows(w * outer_product(others)).matmul(rows(w).t()) - a.trace_weights(axis);
    gradient->kernels[k] = axis_gradient(axes[k], kernels[k], q.vectors[k], 0.5 * inner);
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

GridProcess::GridProcess(GridAxes axes, const at::Tensor& y, const GridOptions& options,
                         const at::Tensor& noise)
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
  take_cells(y.detach().contiguous(), noise);
  gaps_.holes = options.holes;
  gaps_.probes = options.probes;
  gaps_.seed = static_cast<uint64_t>(options.seed);
  if (options.kernels.size() != 1 && options.kernels.size() != axes_.size())
    throw Error(ExitCode::kUsage, "must be as many as there are axes, or one", "kernels");
  for (size_t k = 0; k < axes_.size(); ++k) {
    const std::string& text = options.kernels[options.kernels.size() == 1 ? 0 : k];
    Kernel kernel = Kernel::parse(text, 1);
    if (kernel.warped())
      throw Error(ExitCode::kUsage,
                  std::string(kernel.deep() ? "has a network before it" : "is warped") +
                      ": that is not in this version on grids",
                  "kernels", "write --method exact");
    if (kernel.has(ParameterRole::kNoise))
      throw Error(ExitCode::kUsage, "has white: the noise is a parameter of its own here",
                  "kernels", "leave white out");
    const bool scaled = kernel.has(ParameterRole::kVariance) || kernel.has(ParameterRole::kLinear);
    kernels_.push_back(k > 0 || scaled ? std::move(kernel)
                                       : Kernel::parse("const*(" + text + ")", 1));
  }
  const at::Tensor values = at::from_blob(y_.data_ptr<double>(), {y_.numel()}, at::kDouble)
                                .index_select(0, at::tensor(cells_.known, at::kLong));
  const at::Tensor centred = constant_ ? values - values.mean() : values;
  const double largest = values.abs().max().item<double>();
  const double variance = std::max(centred.square().mean().item<double>(),
                                   largest > 0 ? std::max(largest * largest * 1e-16, 1e-280) : 1);
  // Values that bring noise of their own have no other, unless it is asked for.
  own_noise_ = options.noise > 0 || cells_.noise.empty();
  report_.noise = options.noise > 0 ? options.noise : own_noise_ ? 0.1 * variance : 0;
  start_by_data(variance);
  least_noise_ = std::min(1e-8 * variance, report_.noise);
  most_noise_ = std::max(1e2 * variance, report_.noise);
  if (options.fit) fit(options);
  report_.toeplitz = full() && is_toeplitz(axes_, kernels_);
  report_.holes = static_cast<int64_t>(cells_.holes.size());
  report_.log_likelihood =
      log_likelihood(kernels_, report_.noise, constant_ ? &report_.mean : nullptr, nullptr);
  if (report_.log_likelihood == -kInfinity) {
    throw Error(ExitCode::kFailed, "the marginal likelihood is not finite", "process",
                "raise the noise, or scale the data");
  }
  for (const Kernel& kernel : kernels_) report_.kernels.push_back(kernel.text());
}

void GridProcess::take_cells(const at::Tensor& y, const at::Tensor& noise) {
  if (noise.defined() && (noise.scalar_type() != at::kDouble || noise.sizes() != y.sizes()))
    throw Error(ExitCode::kUsage, "must be doubles, a variance a cell", "noise");
  const at::Tensor variances = noise.defined() ? noise.contiguous() : noise;
  y_ = y.clone();
  for (int64_t i = 0; i < y_.numel(); ++i) {
    double& v = y_.data_ptr<double>()[i];
    if (std::isnan(v)) {
      cells_.holes.push_back(i);
      v = 0;
      continue;
    }
    if (!(std::abs(v) <= 1e150))
      throw Error(ExitCode::kData, "is infinite at cell " + std::to_string(i) + ", in row order",
                  "y");
    cells_.known.push_back(i);
    if (!noise.defined()) continue;
    const double own = variances.const_data_ptr<double>()[i];
    if (!(own >= 0 && own <= 1e300)) {
      throw Error(ExitCode::kData, "is no variance at cell " + std::to_string(i) + ", in row order",
                  "noise");
    }
    cells_.noise.push_back(own);
  }
  if (cells_.known.empty()) throw Error(ExitCode::kData, "has no value at all", "y");
}

double GridProcess::log_likelihood(std::span<const Kernel> kernels, double noise,
                                   double* coefficient, GridGradient* gradient) {
  if (full()) return grid_log_likelihood(axes_, kernels, noise, y_, coefficient, gradient);
  const linalg::OneBlasThread one;
  const double value = gap_likelihood(axes_, kernels, noise, y_, cells_, gaps_, coefficient,
                                      gradient, &report_.gaps);
  return std::isfinite(value) ? value : -kInfinity;
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

std::vector<double> GridProcess::packed() const {
  std::vector<double> logs;
  for (const Kernel& kernel : kernels_) {
    const std::vector<double> own = kernel.pack();
    logs.insert(logs.end(), own.begin(), own.end());
  }
  if (own_noise_) logs.push_back(std::log(report_.noise));
  return logs;
}

void GridProcess::bounds(std::vector<double>* lower, std::vector<double>* upper) const {
  lower->clear();
  upper->clear();
  for (const Kernel& kernel : kernels_) {
    std::vector<double> low, high;
    kernel.bounds(&low, &high);
    lower->insert(lower->end(), low.begin(), low.end());
    upper->insert(upper->end(), high.begin(), high.end());
  }
  if (!own_noise_) return;
  lower->push_back(std::log(least_noise_));
  upper->push_back(std::log(most_noise_));
}

double GridProcess::unpack(std::span<const double> at, std::vector<Kernel>* kernels) const {
  for (Kernel& kernel : *kernels) {
    const size_t own = kernel.pack().size();
    kernel.unpack(at.first(own));
    at = at.subspan(own);
  }
  return own_noise_ ? std::exp(at[0]) : 0;
}

double GridProcess::objective(std::span<const double> at, std::vector<Kernel>* kernels,
                              std::span<double> gradient) {
  const double noise = unpack(at, kernels);
  GridGradient g;
  double coefficient = 0, value = -kInfinity;
  try {
    value = log_likelihood(*kernels, noise, constant_ ? &coefficient : nullptr, &g);
  } catch (const Error&) {  // a solution that does not come to its tolerance
  }
  if (value == -kInfinity) return value;
  size_t next = 0;
  for (size_t k = 0; k < kernels->size(); ++k) {
    value += (*kernels)[k].log_prior(g.kernels[k]);
    for (const double slope : (*kernels)[k].pack_gradient(g.kernels[k])) gradient[next++] = slope;
  }
  if (own_noise_) gradient[next] = g.noise;
  return value;
}

void GridProcess::fit(const GridOptions& options) {
  std::vector<double> lower, upper;
  bounds(&lower, &upper);
  std::vector<Kernel> kernels = kernels_;
  const numeric::Optimum o = numeric::minimise(
      [&](std::span<const double> logs, std::span<double> gradient) {
        const double value = objective(logs, &kernels, gradient);
        if (value == -kInfinity) return kInfinity;
        for (double& g : gradient) g = -g;
        return -value;
      },
      packed(), lower, upper, options.search);
  report_.noise = unpack(o.x, &kernels_);
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
  const GridSpectrum q(axes_, kernels_, report_.noise);
  if (!full()) {
    GridGaps a(q, cells_, report_.noise, gaps_, false);
    const at::Tensor alpha = q.turned(a.solve((y_ - report_.mean).unsqueeze(0)).squeeze(0));
    const at::Tensor ones = a.solve(at::ones_like(y_).unsqueeze(0)).squeeze(0);
    const at::Tensor share = q.turned(ones).reshape({-1});
    const double precision = ones.sum().item<double>();
    for (int64_t begin = 0; begin < s; begin += kPoints) {
      const int64_t count = std::min(kPoints, s - begin);
      std::vector<at::Tensor> rows;
      for (int64_t i = begin; i < begin + count; ++i) {
        std::vector<at::Tensor> parts;
        for (size_t k = 0; k < cross.size(); ++k)
          parts.push_back(q.vectors[k].t().matmul(cross[k][i]));
        rows.push_back(outer_product(parts));
      }
      const at::Tensor k = at::stack(rows), flat = k.reshape({count, -1});
      const at::Tensor explained = a.explained(k), mean = flat.matmul(alpha.reshape({-1})),
                       of_ones = flat.matmul(share);
      for (int64_t i = 0; i < count; ++i) {
        put(begin + i, mean[i].item<double>(), explained[i].item<double>(),
            of_ones[i].item<double>(), precision);
      }
    }
    return out;
  }
  const at::Tensor w = (q.turned(y_) - report_.mean * q.ones) / q.spectrum;
  const at::Tensor share = q.ones / q.spectrum;
  const double precision = (share * q.ones).sum().item<double>();
  for (size_t k = 0; k < cross.size(); ++k) cross[k] = cross[k].matmul(q.vectors[k]);
  for (int64_t i = 0; i < s; ++i) {
    std::vector<at::Tensor> parts;
    for (const at::Tensor& c : cross) parts.push_back(c[i]);
    const at::Tensor k = outer_product(parts);
    put(i, (k * w).sum().item<double>(), (k * k / q.spectrum).sum().item<double>(),
        (k * share).sum().item<double>(), precision);
  }
  return out;
}

GridPrediction GridProcess::leave_one_out() const {
  const linalg::OneBlasThread one;
  const GridSpectrum q(axes_, kernels_, report_.noise);
  if (!full()) return leave_out_known(q);
  const at::Tensor alpha = q.back((q.turned(y_) - report_.mean * q.ones) / q.spectrum);
  at::Tensor own = q.back_squared(q.spectrum.reciprocal());  // diagonal of K^-1
  if (constant_) {
    const at::Tensor share = q.ones / q.spectrum;
    own = own - q.back(share).square() / (share * q.ones).sum();
  }
  own = own.clamp_min(1e-300).reshape({-1});
  return {(y_.reshape({-1}) - alpha.reshape({-1}) / own).contiguous(),
          own.reciprocal().contiguous()};
}

// NaN for holes, and where the diagonal of the inverse is not known but by solutions, for all but
// kLeftOut cells, spread evenly.
GridPrediction GridProcess::leave_out_known(const GridSpectrum& q) const {
  GridGaps a(q, cells_, report_.noise, gaps_, false);
  const at::Tensor alpha = a.solve((y_ - report_.mean).unsqueeze(0)).reshape({-1}).contiguous();
  const at::Tensor ones = a.solve(at::ones_like(y_).unsqueeze(0)).reshape({-1}).contiguous();
  const double precision = ones.sum().item<double>();
  const auto count = static_cast<int64_t>(cells_.known.size());
  const bool all = a.report().direct;
  const int64_t some = all ? count : std::min(count, kLeftOut);
  at::Tensor own;
  if (all) own = a.inverse_diagonal().reshape({-1}).contiguous();
  const double missing = std::numeric_limits<double>::quiet_NaN();
  GridPrediction out{at::full({y_.numel()}, missing, at::kDouble),
                     at::full({y_.numel()}, missing, at::kDouble)};
  for (int64_t begin = 0; begin < some; begin += kPoints) {
    const int64_t width = std::min(kPoints, some - begin);
    std::vector<int64_t> cells;
    for (int64_t i = begin; i < begin + width; ++i)
      cells.push_back(cells_.known[static_cast<size_t>(i * count / some)]);
    at::Tensor columns;
    if (!all) {
      at::Tensor units = at::zeros({width, y_.numel()}, at::kDouble);
      for (int64_t i = 0; i < width; ++i)
        units.data_ptr<double>()[i * y_.numel() + cells[static_cast<size_t>(i)]] = 1;
      std::vector<int64_t> shape = y_.sizes().vec();
      shape.insert(shape.begin(), width);
      columns = a.solve(units.reshape(shape)).reshape({width, -1}).contiguous();
    }
    for (int64_t i = 0; i < width; ++i) {
      const int64_t cell = cells[static_cast<size_t>(i)];
      double share = all ? own.const_data_ptr<double>()[cell]
                         : columns.const_data_ptr<double>()[i * y_.numel() + cell];
      const double of_ones = ones.const_data_ptr<double>()[cell];
      if (constant_) share -= of_ones * of_ones / precision;
      share = std::max(share, 1e-300);
      out.mean.data_ptr<double>()[cell] =
          y_.const_data_ptr<double>()[cell] - alpha.const_data_ptr<double>()[cell] / share;
      out.variance.data_ptr<double>()[cell] = 1 / share;
    }
  }
  return out;
}

}  // namespace covary::stat
