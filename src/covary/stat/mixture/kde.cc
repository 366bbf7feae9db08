#include "covary/stat/mixture/kde.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/mixture/kde_bandwidth.h"
#include "covary/stat/mixture/rows.h"

namespace covary::mixture {
namespace {

constexpr double kTiny = 1e-280;      // sums below are taken again about their largest term
constexpr int64_t kFewPoints = 2000;  // not worth a tree's bounds
constexpr int64_t kLooRows = 2000;

}  // namespace

KernelDensity::KernelDensity(KernelDensityOptions options) : options_(std::move(options)) {
  options_.check();
  kernel_ = kernel_of(options_.kernel);
}

void KernelDensity::need_fit() const {
  if (!tree_)
    throw Error(ExitCode::kFailed, "the density has no points", "density", "call fit first");
}

void KernelDensity::set_points(const at::Tensor& x, const at::Tensor& weights) {
  x_ = checked_rows(x, "data", false);
  const int64_t n = x_.size(0);
  const at::Tensor w = checked_weights(weights, n);
  weights_.assign(static_cast<size_t>(n), 1.0);
  if (w.defined()) weights_.assign(w.data_ptr<double>(), w.data_ptr<double>() + n);
  if (!(std::accumulate(weights_.begin(), weights_.end(), 0.0) > 0))
    throw Error(ExitCode::kData, "all weights are 0", "weights");
  if (options_.engine == "moments" && x_.size(1) != 1)
    throw Error(ExitCode::kUsage, "moments serve one column", "engine", "use auto");
}

KernelDensity& KernelDensity::fit(const at::Tensor& x, const at::Tensor& weights) {
  set_points(x, weights);
  notes_.clear();
  build(chosen_widths());
  return *this;
}

void KernelDensity::build(const std::vector<double>& widths) {
  const int64_t n = x_.size(0), d = x_.size(1);
  widths_ = widths;
  log_scale_ = -std::log(std::accumulate(weights_.begin(), weights_.end(), 0.0)) -
               kernel_log_volume(kernel_, d);
  for (const double h : widths_) log_scale_ -= std::log(h);
  scaled_.resize(static_cast<size_t>(n * d));
  for (int64_t i = 0; i < n * d; ++i) {
    scaled_[static_cast<size_t>(i)] =
        x_.data_ptr<double>()[i] / widths_[static_cast<size_t>(i % d)];
  }
  tree_ = std::make_unique<LazyTree>();
  moments_.reset();
  if (d == 1 && kernel_ == Kernel::kGaussian && options_.engine != "exact" &&
      options_.engine != "tree") {
    moments_ = std::make_unique<LineMoments>(scaled_, weights_);
    if (!moments_->usable()) {
      moments_.reset();
      if (options_.engine == "moments")
        throw Error(ExitCode::kData, "the bandwidth is too small for cells of points", "engine",
                    "use auto or tree");
    }
  }
}

const KdeTree& KernelDensity::tree() const {
  std::call_once(tree_->once, [&] {
    tree_->tree = std::make_unique<KdeTree>(scaled_, weights_, x_.size(0), x_.size(1));
  });
  return *tree_->tree;
}

std::string KernelDensity::engine() const {
  if (options_.engine != "auto") return options_.engine;
  const bool exact = options_.rtol == 0 && options_.atol == 0;
  if (moments_ && options_.rtol >= 1e-12) return "moments";
  return exact || x_.size(0) <= kFewPoints ? "exact" : "tree";
}

std::vector<double> KernelDensity::scaled_query(const at::Tensor& q, int64_t& m) const {
  need_fit();
  const at::Tensor rows = checked_rows(q, "query", false);
  const int64_t d = x_.size(1);
  if (rows.size(1) != d)
    throw Error(ExitCode::kData,
                "the queries have " + std::to_string(rows.size(1)) + " columns, the density " +
                    std::to_string(d),
                "query");
  m = rows.size(0);
  std::vector<double> scaled(static_cast<size_t>(m * d));
  for (int64_t i = 0; i < m * d; ++i) {
    scaled[static_cast<size_t>(i)] =
        rows.data_ptr<double>()[i] / widths_[static_cast<size_t>(i % d)];
  }
  return scaled;
}

at::Tensor KernelDensity::score_samples(const at::Tensor& q) const {
  int64_t m = 0;
  const std::vector<double> scaled = scaled_query(q, m);
  const int64_t d = x_.size(1);
  at::Tensor out = at::empty({m}, at::kDouble);
  double* sums = out.data_ptr<double>();
  const std::string engine = this->engine();
  if (engine == "moments") {
    parallel_for(m, 64, [&](int64_t begin, int64_t end) {
      for (int64_t a = begin; a < end; ++a) {
        // Where cells do not serve, the far tails, every point is asked.
        if (!moments_->sum(scaled[static_cast<size_t>(a)], sums[a])) {
          sums[a] = std::exp(tree().log_sum(kernel_, &scaled[static_cast<size_t>(a)]));
        }
      }
    });
  } else {
    const bool exact = engine == "exact";
    tree().sums(kernel_, scaled.data(), m, exact ? 0 : options_.rtol,
                exact ? 0 : options_.atol / std::exp(log_scale_), sums);
  }
  parallel_for(m, 256, [&](int64_t begin, int64_t end) {
    for (int64_t a = begin; a < end; ++a) {
      const double log_sum =
          sums[a] > kTiny ? std::log(sums[a]) : tree().log_sum(kernel_, scaled.data() + a * d);
      sums[a] = log_sum + log_scale_;
    }
  });
  return out;
}

double KernelDensity::score(const at::Tensor& q) const {
  return score_samples(q).mean().item<double>();
}

at::Tensor KernelDensity::gradient(const at::Tensor& q) const {
  int64_t m = 0;
  const std::vector<double> scaled = scaled_query(q, m);
  const int64_t n = x_.size(0), d = x_.size(1);
  at::Tensor out = at::zeros({m, d}, at::kDouble);
  const double* x = x_.data_ptr<double>();
  parallel_for(m, 8, [&](int64_t begin, int64_t end) {
    std::vector<double> z(static_cast<size_t>(d)), slope(static_cast<size_t>(d));
    for (int64_t a = begin; a < end; ++a) {
      const double* at = scaled.data() + a * d;
      // Terms are divided by the largest, so that far tails have a gradient too.
      const double far = kernel_ == Kernel::kGaussian || kernel_ == Kernel::kExponential
                             ? tree().nearest_squared(at)
                             : 0;
      double sum = 0;
      std::fill(slope.begin(), slope.end(), 0.0);
      for (int64_t i = 0; i < n; ++i) {
        double s = 0;
        for (int64_t j = 0; j < d; ++j) {
          z[static_cast<size_t>(j)] = at[j] - x[i * d + j] / widths_[static_cast<size_t>(j)];
          s += z[static_cast<size_t>(j)] * z[static_cast<size_t>(j)];
        }
        double value = kernel_at(kernel_, s), change = kernel_slope(kernel_, s);
        if (kernel_ == Kernel::kGaussian) {
          value = std::exp(-0.5 * (s - far));
          change = -0.5 * value;
        } else if (kernel_ == Kernel::kExponential) {
          value = std::exp(std::sqrt(far) - std::sqrt(s));
          change = s > 0 ? -0.5 * value / std::sqrt(s) : 0;
        }
        const double w = weights_[static_cast<size_t>(i)];
        sum += w * value;
        for (int64_t j = 0; j < d; ++j) {
          slope[static_cast<size_t>(j)] += w * 2 * change * z[static_cast<size_t>(j)];
        }
      }
      for (int64_t j = 0; j < d && sum > 0; ++j) {
        out.data_ptr<double>()[a * d + j] =
            slope[static_cast<size_t>(j)] / sum / widths_[static_cast<size_t>(j)];
      }
    }
  });
  return out;
}

at::Tensor KernelDensity::sample(int64_t n, int64_t seed) const {
  need_fit();
  if (n < 0) throw Error(ExitCode::kUsage, "must not be negative", "n");
  const int64_t d = x_.size(1);
  std::vector<double> running(weights_);
  std::partial_sum(running.begin(), running.end(), running.begin());
  const uint64_t s = static_cast<uint64_t>(seed);
  const Random which(s, stream_of("kde.which")), where(s, stream_of("kde.where"));
  const Random length(s, stream_of("kde.length"));
  at::Tensor out = at::empty({n, d}, at::kDouble);
  std::vector<double> z(static_cast<size_t>(d));
  for (int64_t i = 0; i < n; ++i) {
    const double mark = which.uniform(static_cast<uint64_t>(i)) * running.back();
    const int64_t row = std::min<int64_t>(
        std::upper_bound(running.begin(), running.end(), mark) - running.begin(), x_.size(0) - 1);
    double norm = 0;
    for (int64_t j = 0; j < d; ++j) {
      z[static_cast<size_t>(j)] = where.normal(static_cast<uint64_t>(i * d + j));
      norm += z[static_cast<size_t>(j)] * z[static_cast<size_t>(j)];
    }
    if (kernel_ != Kernel::kGaussian) {
      // A direction, and a distance: of density r^(d-1) K(r). Exponential: a sum of d exponentials;
      // bounded ones: r = u^(1/d), kept with probability K(r).
      double r = 0;
      uint64_t draw = static_cast<uint64_t>(i) << 20;
      if (kernel_ == Kernel::kExponential) {
        for (int64_t j = 0; j < d; ++j) r -= std::log1p(-length.uniform(draw++));
      } else {
        do {
          r = std::pow(length.uniform(draw++), 1 / static_cast<double>(d));
        } while (length.uniform(draw++) >= kernel_at(kernel_, r * r));
      }
      for (double& v : z) v *= r / std::sqrt(norm);
    }
    for (int64_t j = 0; j < d; ++j) {
      out.data_ptr<double>()[i * d + j] =
          x_.data_ptr<double>()[row * d + j] +
          widths_[static_cast<size_t>(j)] * z[static_cast<size_t>(j)];
    }
  }
  return out;
}

at::Tensor KernelDensity::widths() const {
  need_fit();
  return at::tensor(widths_, at::kDouble);
}

double KernelDensity::leave_one_out(const std::vector<double>& widths,
                                    const std::vector<int64_t>& rows) {
  build(widths);
  const int64_t d = x_.size(1);
  std::vector<double> queries;
  for (const int64_t i : rows) {
    for (int64_t j = 0; j < d; ++j) {
      queries.push_back(x_.data_ptr<double>()[i * d + j] / widths[static_cast<size_t>(j)]);
    }
  }
  std::vector<double> sums(rows.size());
  tree().sums(kernel_, queries.data(), static_cast<int64_t>(rows.size()), 0, 0, sums.data());
  double total = 0, log_likelihood = 0;
  const double all = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  for (size_t i = 0; i < rows.size(); ++i) {
    const double w = weights_[static_cast<size_t>(rows[i])];
    if (w == 0 || w == all) continue;
    // Rounding of the sum must not pass for density.
    const double others = sums[i] - w;
    const double least = 1e-13 * sums[i];
    log_likelihood += w * (std::log(std::max(others, std::max(least, 1e-300))) + log_scale_ +
                           std::log(all / (all - w)));
    total += w;
  }
  return total > 0 ? log_likelihood / total : 0;
}

// Twice the mean of p left out, less the integral of p^2, which is the mean over rows of the sum of
// gaussians sqrt(2) times as wide. Self terms of the integral stay: they are part of it.
double KernelDensity::least_squares(const std::vector<double>& widths,
                                    const std::vector<int64_t>& rows) {
  const int64_t d = x_.size(1);
  const double all = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  double value = 0;
  for (const bool wide : {false, true}) {
    std::vector<double> h(widths);
    if (wide)
      for (double& v : h) v *= std::sqrt(2.0);
    build(h);
    std::vector<double> queries, sums(rows.size());
    for (const int64_t i : rows) {
      for (int64_t j = 0; j < d; ++j) queries.push_back(scaled_[static_cast<size_t>(i * d + j)]);
    }
    tree().sums(kernel_, queries.data(), static_cast<int64_t>(rows.size()), 0, 0, sums.data());
    double total = 0, sum = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      const double w = weights_[static_cast<size_t>(rows[i])];
      if (w == 0 || w == all) continue;
      total += w;
      // sums are of weights; log_scale_ divides by their total.
      sum += w * std::exp(log_scale_) * (wide ? -sums[i] : 2 * (sums[i] - w) * all / (all - w));
    }
    value += total > 0 ? sum / total : 0;
  }
  return value;
}

std::vector<double> KernelDensity::chosen_widths() {
  const int64_t n = x_.size(0), d = x_.size(1);
  const std::string& rule = options_.bandwidth;
  if (rule != "scott" && rule != "silverman" && rule != "isj" && rule != "lcv" && rule != "lscv") {
    return std::vector<double>(static_cast<size_t>(d), std::strtod(rule.c_str(), nullptr));
  }
  double total = 0, squares = 0;
  for (const double w : weights_) total += w, squares += w * w;
  const double rows = total * total / squares;
  const double factor = rule == "silverman" ? silverman_factor(rows, d) : scott_factor(rows, d);
  std::vector<double> widths;
  for (int64_t j = 0; j < d; ++j) {
    const at::Tensor column = x_.select(1, j).contiguous();
    const at::Tensor w = at::tensor(weights_, at::kDouble);
    const double mean = ((column * w).sum() / total).item<double>();
    const double sum = ((column - mean).square() * w).sum().item<double>();
    // The unbiased variance, for n rows or as many as the weights amount to.
    const double variance = rows > 1 ? sum / total * rows / (rows - 1) : 0;
    const double spread = std::sqrt(variance);
    if (!(spread > std::ldexp(std::abs(mean), -50)) || !std::isfinite(spread)) {
      notes_.push_back("column " + std::to_string(j) + " does not vary: its width is 1");
      widths.push_back(1.0);
      continue;
    }
    double h = factor * spread;
    if (rule == "isj") {
      h = improved_sheather_jones(column.data_ptr<double>(), weights_.data(), n);
      if (!(h > 0)) {
        notes_.push_back("column " + std::to_string(j) +
                         ": improved Sheather-Jones has no root; its width is Silverman's");
        h = silverman_factor(rows, d) * spread;
      }
    }
    widths.push_back(h);
  }
  if ((rule != "lcv" && rule != "lscv") || n < 3) return widths;
  std::vector<int64_t> sample;
  const int64_t count = std::min(n, kLooRows);
  for (int64_t i = 0; i < count; ++i) sample.push_back(i * n / count);
  const auto value = [&](double log_scale) {
    std::vector<double> h(widths);
    for (double& v : h) v *= std::exp(log_scale);
    return rule == "lscv" ? least_squares(h, sample) : leave_one_out(h, sample);
  };
  // A coarse grid finds the peak, golden section its top.
  double best = 0, most = -std::numeric_limits<double>::infinity();
  for (double s = -3; s <= 2; s += 0.5) {
    const double v = value(s);
    if (v > most) most = v, best = s;
  }
  const double golden = (std::sqrt(5.0) - 1) / 2;
  double low = best - 0.5, high = best + 0.5;
  double a = high - golden * (high - low), b = low + golden * (high - low);
  double at_a = value(a), at_b = value(b);
  while (high - low > 1e-3) {
    if (at_a > at_b) {
      high = b;
      b = a, at_b = at_a;
      a = high - golden * (high - low), at_a = value(a);
    } else {
      low = a;
      a = b, at_a = at_b;
      b = low + golden * (high - low), at_b = value(b);
    }
  }
  for (double& v : widths) v *= std::exp((low + high) / 2);
  return widths;
}

KernelDensity& KernelDensity::set_accuracy(double rtol, double atol, const std::string& engine) {
  KernelDensityOptions options = options_;
  options.rtol = rtol;
  options.atol = atol;
  options.engine = engine;
  options.check();
  options_ = options;
  if (tree_) {
    set_points(x_, at::tensor(weights_, at::kDouble));
    build(widths_);
  }
  return *this;
}

KernelDensity KernelDensity::reweighted(const at::Tensor& weights) const {
  need_fit();
  KernelDensity out(options_);
  out.set_points(x_, weights);
  out.build(widths_);
  return out;
}

KernelDensity KernelDensity::moved(const at::Tensor& points) const {
  need_fit();
  KernelDensity out(options_);
  out.set_points(points, at::tensor(weights_, at::kDouble));
  if (out.x_.sizes() != x_.sizes())
    throw Error(ExitCode::kData, "there must be as many points as before", "points");
  out.build(widths_);
  return out;
}

KernelDensity KernelDensity::marginal(int64_t columns) const {
  need_fit();
  if (columns < 1 || columns > x_.size(1) || kernel_ != Kernel::kGaussian)
    throw Error(ExitCode::kUsage, "takes some of the columns of a gaussian kernel", "columns");
  KernelDensity out(options_);
  out.set_points(x_.slice(1, 0, columns), at::tensor(weights_, at::kDouble));
  out.build({widths_.begin(), widths_.begin() + columns});
  return out;
}

data::Model KernelDensity::model() const {
  need_fit();
  data::Model m{.schema = "covary.density", .version = 1, .fields = {{"method", "kde"}}};
  m.fields["kernel"] = options_.kernel;
  m.fields["bandwidth"] = options_.bandwidth;
  m.fields["engine"] = options_.engine;
  m.fields["rtol"] = options_.rtol;
  m.fields["atol"] = options_.atol;
  m.put("points", {x_.data_ptr<double>(), x_.data_ptr<double>() + x_.numel()},
        {x_.size(0), x_.size(1)});
  m.put("weights", weights_, {x_.size(0)});
  m.put("widths", widths_, {x_.size(1)});
  return m;
}

KernelDensity KernelDensity::of_model(const data::Model& m) {
  m.text("method", {"kde"});
  KernelDensityOptions options;
  options.kernel = m.text("kernel");
  options.bandwidth = m.text("bandwidth");
  options.engine = m.text("engine");
  options.rtol = m.number("rtol");
  options.atol = m.number("atol");
  const int64_t n = m.size("points", 0), d = m.size("points", 1);
  const std::vector<double>& points = m.doubles("points", {n, d});
  const std::vector<double>& widths = m.doubles("widths", {d});
  for (const double h : widths)
    if (!(h > 0) || !std::isfinite(h)) m.refuse("widths", "a width is not above 0 or not finite");
  if (n == 0 || d == 0) m.refuse("points", "there are none");
  try {
    KernelDensity kde(options);
    kde.set_points(at::tensor(points, at::kDouble).view({n, d}),
                   at::tensor(m.doubles("weights", {n}), at::kDouble));
    kde.build(widths);
    return kde;
  } catch (const Error& e) {
    m.refuse(e.where(), e.message());
  }
}

}  // namespace covary::mixture
