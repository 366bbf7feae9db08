#include "covary/stat/mixture/kde.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numbers>
#include <numeric>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/mixture/kde_bandwidth.h"
#include "covary/stat/mixture/kde_local.h"
#include "covary/stat/mixture/rows.h"
#include "covary/stat/mixture/von_mises_fisher.h"

namespace covary::mixture {
namespace {

constexpr double kTiny = 1e-280;      // sums below are taken again about their largest term
constexpr int64_t kFewPoints = 2000;  // not worth a tree's bounds
// Points in reach a term from which on expansions win: they do from 0.1 on in two to four columns, by
// 2 to 30 times above this (kde_bench.cc).
constexpr double kWorthATerm = 0.25;
constexpr int64_t kLooRows = 2000;
constexpr double kMostImages = 4096;  // of a query, all columns together

}  // namespace

KernelDensity::KernelDensity(KernelDensityOptions options) : options_(std::move(options)) {
  options_.check();
  directions_ = options_.kernel == "vmf";
  kernel_ = directions_ ? Kernel::kGaussian : kernel_of(options_.kernel, options_.product);
}

void KernelDensity::need_fit() const {
  if (!tree_)
    throw Error(ExitCode::kFailed, "the density has no points", "density", "call fit first");
}

void KernelDensity::set_points(const at::Tensor& x, const at::Tensor& weights) {
  x_ = checked_rows(x, "data", false);
  if (directions_) {
    if (x_.size(1) < 2)
      throw Error(ExitCode::kData, "a direction has two columns or more", "data",
                  "write an angle a as cos a, sin a");
    x_ = unit_rows(x_, false);
  }
  const int64_t n = x_.size(0);
  const at::Tensor w = checked_weights(weights, n);
  weights_.assign(static_cast<size_t>(n), 1.0);
  if (w.defined()) weights_.assign(w.data_ptr<double>(), w.data_ptr<double>() + n);
  if (!(std::accumulate(weights_.begin(), weights_.end(), 0.0) > 0))
    throw Error(ExitCode::kData, "all weights are 0", "weights");
  const int64_t d = x_.size(1);
  if (options_.engine == "moments" && d != 1)
    throw Error(ExitCode::kUsage, "moments serve one column", "engine", "use auto");
  if (options_.engine == "fft" && d > 3)
    throw Error(ExitCode::kUsage, "fft serves up to three columns", "engine", "use tree");
  if (options_.engine == "ifgt" && d > ClusterExpansions::kMostColumns)
    throw Error(ExitCode::kUsage, "ifgt serves up to eight columns", "engine", "use tree");
  std::vector<std::string> numbers;
  for (int64_t j = 0; j < d; ++j) numbers.push_back(std::to_string(j));
  bounds_ = parse_bounds(options_.bounds, numbers);
  for (int64_t i = 0; i < n * d && !bounds_.empty(); ++i) {
    if (!bounds_[static_cast<size_t>(i % d)].holds(x_.data_ptr<double>()[i]))
      throw Error(ExitCode::kData, "the value lies outside the column's bounds",
                  "row " + std::to_string(i / d) + ", column " + std::to_string(i % d),
                  "drop such rows, or widen the bounds");
  }
}

KernelDensity& KernelDensity::fit(const at::Tensor& x, const at::Tensor& weights) {
  set_points(x, weights);
  notes_.clear();
  scan_ = {};
  lean_.clear();
  factors_.clear();
  shape_from_data();
  const std::vector<Interval> bounds = std::move(bounds_);
  bounds_.clear();  // rules see none
  const std::vector<double> widths = chosen_widths();
  bounds_ = bounds;
  build(widths);
  if (options_.bandwidth_kind != "fixed") {
    local_factors();
    build(widths);
  }
  return *this;
}

// The Cholesky factor of the correlations of the columns.
void KernelDensity::shape_from_data() {
  const int64_t d = x_.size(1);
  if (options_.bandwidth_shape != "full" || d == 1) return;
  const at::Tensor w = at::tensor(weights_, at::kDouble).unsqueeze(1);
  const at::Tensor mean = (w * x_).sum(0) / w.sum();
  at::Tensor z = x_ - mean;
  const at::Tensor most = z.abs().amax(0);
  z = z / at::where(most > 0, most, at::ones_like(most));
  const at::Tensor scatter = z.t().mm(w * z);
  const at::Tensor spread = scatter.diagonal().sqrt();
  const at::Tensor still = most <= mean.abs() * std::ldexp(1.0, -50);
  const at::Tensor scale = at::where(still, at::ones_like(spread), spread);
  at::Tensor correlation = scatter / scale.unsqueeze(0) / scale.unsqueeze(1);
  const at::Tensor varies = still.logical_not().to(at::kDouble);
  correlation = correlation * varies.unsqueeze(0) * varies.unsqueeze(1);
  correlation.diagonal().fill_(1.0);
  const auto [factor, info] = at::linalg_cholesky_ex(correlation);
  // Less than this of a column's variance left is rounding.
  if (info.item<int64_t>() != 0 || factor.diagonal().min().item<double>() < 1e-6)
    throw Error(ExitCode::kData, "a column is a combination of others", "data",
                "drop it, or use the diagonal shape");
  const at::Tensor c = factor.contiguous();
  lean_.assign(c.data_ptr<double>(), c.data_ptr<double>() + d * d);
}

void KernelDensity::local_factors() {
  const int64_t n = x_.size(0), d = x_.size(1);
  if (options_.bandwidth_kind == "adaptive") {
    factors_ = square_root_factors(score_samples(x_), weights_);
    return;
  }
  int64_t k = options_.neighbours;
  if (k == 0) k = std::max<int64_t>(1, std::llround(std::sqrt(static_cast<double>(n))));
  if (n < 2) return;
  if (k >= n && options_.neighbours > 0)
    throw Error(ExitCode::kUsage, "there are but " + std::to_string(n) + " rows", "neighbours",
                "take a smaller one, or 0");
  factors_ = neighbour_factors(scaled_, n, d, std::min(k, n - 1));
}

void KernelDensity::take_shape(const KernelDensity& other, int64_t columns) {
  const int64_t d = other.x_.size(1);
  factors_ = other.factors_;
  lean_.clear();
  if (!other.lean_.empty() && columns > 1) {
    for (int64_t j = 0; j < columns; ++j)
      lean_.insert(lean_.end(), other.lean_.begin() + j * d, other.lean_.begin() + j * d + columns);
  }
}

double KernelDensity::log_scale_of(const std::vector<double>& widths) const {
  const int64_t d = x_.size(1);
  const double all = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  if (directions_) return -std::log(all) + log_peak_density(d, 1 / (widths[0] * widths[0]));
  double scale = -std::log(all) - kernel_log_volume(kernel_, d);
  for (const double h : widths) scale -= std::log(h);
  for (int64_t j = 0; j < d && !lean_.empty(); ++j)
    scale -= std::log(lean_[static_cast<size_t>(j * d + j)]);
  return scale;
}

void KernelDensity::scale(const std::vector<double>& widths) {
  const int64_t n = x_.size(0);
  widths_ = widths;
  log_scale_ = log_scale_of(widths);
  scaled_ = scaled_rows(x_.data_ptr<double>(), n);
  tree_ = std::make_unique<LazyTree>();
}

void KernelDensity::build(const std::vector<double>& widths) {
  const int64_t n = x_.size(0), d = x_.size(1);
  scale(widths);
  images_.clear();
  image_count_ = 1;
  const double widest = factors_.empty() ? 1 : *std::max_element(factors_.begin(), factors_.end());
  for (size_t j = 0; j < bounds_.size(); ++j) {
    // No point is farther from a query than the interval is long, so kernels that much farther again
    // are below 3e-18 of the sum.
    const bool endless = std::isinf(kernel_radius(kernel_));
    const double tail = kernel_ == Kernel::kGaussian ? 9 : endless ? 40 : 1;
    const double length = endless ? bounds_[j].high - bounds_[j].low : 0;
    images_.push_back(images_of(bounds_[j], length + tail * widths_[j] * widest));
    image_count_ *= static_cast<double>(images_.back().size());
  }
  if (image_count_ > kMostImages)
    throw Error(ExitCode::kUsage, "too many images of a query to sum", "bounds",
                "take smaller widths or fewer bounds");
  const double absolute = options_.atol / image_count_ / std::exp(log_scale_);  // of a sum
  grid_.reset();
  expansions_.reset();
  features_.reset();
  landmarks_.reset();
  if (options_.engine == "fft") {
    grid_ = std::make_unique<GridSums>(scaled_, weights_, n, d, absolute);
  } else if (options_.engine == "ifgt") {
    expansions_ = std::make_unique<ClusterExpansions>(scaled_, weights_, n, d, absolute);
    if (!expansions_->usable())
      throw Error(ExitCode::kUsage, "ifgt would need too many terms", "engine",
                  "allow a larger --atol, or use tree");
  } else if (options_.engine == "auto" && options_.atol > 0 && kernel_ == Kernel::kGaussian &&
             factors_.empty() && n > kFewPoints && d > 1 && d <= ClusterExpansions::kMostColumns) {
    expansions_ =
        std::make_unique<ClusterExpansions>(scaled_, weights_, n, d, absolute, kWorthATerm);
    if (!expansions_->usable()) expansions_.reset();
  } else if (options_.engine == "rff") {
    features_ = std::make_unique<RandomFeatures>(kernel_, scaled_, weights_, n, d,
                                                 options_.features, options_.engine_seed);
  } else if (options_.engine == "nystrom") {
    landmarks_ = std::make_unique<Landmarks>(kernel_, scaled_, weights_, n, d, options_.landmarks,
                                             options_.engine_seed, tree());
  }
  moments_.reset();
  if (d == 1 && kernel_ == Kernel::kGaussian && factors_.empty() &&
      (options_.engine == "auto" || options_.engine == "moments")) {
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
    std::vector<double> heights(weights_), shrink(factors_);
    const double d = static_cast<double>(x_.size(1));
    for (size_t i = 0; i < shrink.size(); ++i) {
      heights[i] *= std::pow(factors_[i], -d);
      shrink[i] = kernel_shrink(kernel_, factors_[i]);
    }
    tree_->tree = std::make_unique<KdeTree>(scaled_, heights, shrink, x_.size(0), x_.size(1),
                                            tree_kind_of(options_.tree));
  });
  return *tree_->tree;
}

std::string KernelDensity::engine() const {
  if (options_.engine != "auto") return options_.engine;
  const bool exact = options_.rtol == 0 && options_.atol == 0;
  if (moments_ && options_.rtol >= 1e-12) return "moments";
  if (expansions_) return "ifgt";
  return exact || x_.size(0) <= kFewPoints ? "exact" : "tree";
}

std::vector<double> KernelDensity::scaled_rows(const double* rows, int64_t m) const {
  const int64_t d = x_.size(1);
  std::vector<double> scaled(rows, rows + m * d);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < d; ++j)
      scaled[static_cast<size_t>(i * d + j)] /= widths_[static_cast<size_t>(j)];
  }
  for (int64_t i = 0; i < m && !lean_.empty(); ++i) {
    double* z = scaled.data() + i * d;
    for (int64_t j = 0; j < d; ++j) {
      for (int64_t l = 0; l < j; ++l) z[j] -= lean_[static_cast<size_t>(j * d + l)] * z[l];
      z[j] /= lean_[static_cast<size_t>(j * d + j)];
    }
  }
  return scaled;
}

at::Tensor KernelDensity::own_rows(const at::Tensor& q) const {
  need_fit();
  const at::Tensor rows = checked_rows(q, "query", false);
  const int64_t d = x_.size(1);
  if (rows.size(1) != d)
    throw Error(ExitCode::kData,
                "the queries have " + std::to_string(rows.size(1)) + " columns, the density " +
                    std::to_string(d),
                "query");
  return directions_ ? unit_rows(rows, false) : rows;
}

template <class Visit>
void KernelDensity::each_image(const at::Tensor& rows, Visit&& visit) const {
  const int64_t d = x_.size(1);
  const at::Tensor outside = at::zeros({rows.size(0)}, at::kBool);
  for (int64_t j = 0; j < d; ++j) {
    const Interval& b = bounds_[static_cast<size_t>(j)];
    const at::Tensor v = rows.select(1, j);
    outside.logical_or_((v < b.low).logical_or(v > b.high));
  }
  const at::Tensor inside = at::nonzero(outside.logical_not()).view({-1});
  std::vector<size_t> which(static_cast<size_t>(d), 0);
  for (bool more = inside.numel() > 0; more;) {
    std::vector<double> sign, shift;
    for (size_t j = 0; j < which.size(); ++j) {
      sign.push_back(images_[j][which[j]].sign);
      shift.push_back(images_[j][which[j]].shift);
    }
    const at::Tensor signs = at::tensor(sign, at::kDouble);
    visit(inside, rows.index_select(0, inside) * signs + at::tensor(shift, at::kDouble), signs);
    more = false;
    for (size_t j = 0; j < which.size() && !more; ++j) {
      more = ++which[j] < images_[j].size();
      if (!more) which[j] = 0;
    }
  }
}

at::Tensor KernelDensity::score_samples(const at::Tensor& q) const {
  const at::Tensor rows = own_rows(q);
  if (bounds_.empty()) return open_log_density(rows);
  at::Tensor out = at::full({rows.size(0)}, -std::numeric_limits<double>::infinity(), at::kDouble);
  each_image(rows, [&](const at::Tensor& which, const at::Tensor& image, const at::Tensor&) {
    out.index_copy_(0, which, at::logaddexp(out.index_select(0, which), open_log_density(image)));
  });
  return out;
}

at::Tensor KernelDensity::gradient(const at::Tensor& q) const {
  const at::Tensor rows = own_rows(q);
  if (directions_) {
    const at::Tensor slope = open_gradient(rows);
    return slope - (slope * rows).sum(1, true) * rows;
  }
  if (bounds_.empty()) return open_gradient(rows);
  at::Tensor out = at::zeros_like(rows);
  const at::Tensor whole = score_samples(rows);
  each_image(rows, [&](const at::Tensor& which, const at::Tensor& image, const at::Tensor& signs) {
    const at::Tensor share =
        (open_log_density(image) - whole.index_select(0, which)).exp().nan_to_num(0.0);
    out.index_add_(0, which, share.unsqueeze(1) * open_gradient(image) * signs);
  });
  return out;
}

at::Tensor KernelDensity::open_log_density(const at::Tensor& rows) const {
  if (approximate()) return estimate(rows).log_density;
  const int64_t m = rows.size(0), d = x_.size(1);
  const std::vector<double> scaled = scaled_rows(rows.data_ptr<double>(), m);
  at::Tensor out = at::empty({m}, at::kDouble);
  double* sums = out.data_ptr<double>();
  const std::string engine = this->engine();
  if (expansions_) {
    expansions_->sums(scaled.data(), m, sums);
  } else if (engine == "fft") {
    parallel_for(m, 256, [&](int64_t begin, int64_t end) {
      for (int64_t a = begin; a < end; ++a) {
        const double sum = grid_->sum(scaled.data() + a * d);
        sums[a] = sum > grid_->noise() ? sum : 0;
      }
    });
  } else if (engine == "moments") {
    // Where cells do not serve, the far tails, every point is asked below.
    moments_->sums(scaled.data(), m, sums);
  } else {
    const bool exact = engine == "exact";
    tree().sums(kernel_, scaled.data(), m, exact ? 0 : options_.rtol,
                exact ? 0 : options_.atol / image_count_ / std::exp(log_scale_), sums);
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

bool KernelDensity::approximate() const { return features_ || landmarks_; }

KernelDensity::Estimate KernelDensity::estimate(const at::Tensor& q) const {
  const at::Tensor rows = own_rows(q);
  if (!approximate())
    throw Error(ExitCode::kUsage, "this engine's error has a bound", "engine",
                "ask error_bound, or use rff or nystrom");
  const int64_t m = rows.size(0);
  const std::vector<double> scaled = scaled_rows(rows.data_ptr<double>(), m);
  Estimate out{at::empty({m}, at::kDouble), at::empty({m}, at::kDouble)};
  double *sums = out.log_density.data_ptr<double>(),
         *errors = out.standard_error.data_ptr<double>();
  if (features_) {
    features_->sums(scaled.data(), m, sums, errors);
  } else {
    landmarks_->sums(scaled.data(), m, sums);
    std::fill_n(errors, m, landmarks_->error());
  }
  for (int64_t a = 0; a < m; ++a) {
    sums[a] = std::log(std::max(sums[a], errors[a])) + log_scale_;
    errors[a] *= std::exp(log_scale_);
  }
  return out;
}

at::Tensor KernelDensity::standard_error(const at::Tensor& q) const {
  return estimate(q).standard_error;
}

double KernelDensity::score(const at::Tensor& q) const {
  return score_samples(q).mean().item<double>();
}

at::Tensor KernelDensity::open_gradient(const at::Tensor& rows) const {
  const int64_t m = rows.size(0), n = x_.size(0), d = x_.size(1);
  const std::vector<double> scaled = scaled_rows(rows.data_ptr<double>(), m);
  at::Tensor out = at::zeros({m, d}, at::kDouble);
  parallel_for(m, 8, [&](int64_t begin, int64_t end) {
    std::vector<double> z(static_cast<size_t>(d)), slope(static_cast<size_t>(d));
    for (int64_t a = begin; a < end; ++a) {
      const double* at = scaled.data() + a * d;
      // Terms are divided by the largest, so that far tails have a gradient too.
      const bool endless = std::isinf(kernel_radius(kernel_));
      const double most = endless ? kernel_log(kernel_, tree().nearest(kernel_, at)) : 0;
      double sum = 0;
      std::fill(slope.begin(), slope.end(), 0.0);
      for (int64_t i = 0; i < n; ++i) {
        double s = 0;
        for (int64_t j = 0; j < d; ++j) {
          z[static_cast<size_t>(j)] = at[j] - scaled_[static_cast<size_t>(i * d + j)];
          s += kernel_term(kernel_, z[static_cast<size_t>(j)]);
        }
        const double factor = factors_.empty() ? 1 : factors_[static_cast<size_t>(i)];
        const double shrink = factor == 1 ? 1 : kernel_shrink(kernel_, factor);
        s *= shrink;
        double value = kernel_at(kernel_, s), change = kernel_slope(kernel_, s);
        if (endless) {
          value = std::exp(kernel_log(kernel_, s) - most);
          change = kernel_ == Kernel::kGaussian    ? -0.5 * value
                   : kernel_ == Kernel::kLaplacian ? -value
                   : s > 0                         ? -0.5 * value / std::sqrt(s)
                                                   : 0;
        }
        if (value == 0) continue;
        double w = weights_[static_cast<size_t>(i)];
        if (factor != 1) w *= std::pow(factor, -static_cast<double>(d));
        sum += w * value;
        for (int64_t j = 0; j < d; ++j) {
          slope[static_cast<size_t>(j)] +=
              w * change * shrink * kernel_term_slope(kernel_, z[static_cast<size_t>(j)]);
        }
      }
      // By q itself: the transpose of the lean, then the widths.
      for (int64_t j = d - 1; j >= 0 && !lean_.empty(); --j) {
        double v = slope[static_cast<size_t>(j)];
        for (int64_t l = j + 1; l < d; ++l)
          v -= lean_[static_cast<size_t>(l * d + j)] * slope[static_cast<size_t>(l)];
        slope[static_cast<size_t>(j)] = v / lean_[static_cast<size_t>(j * d + j)];
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
  // Directions about the first axis, taken to their rows below.
  at::Tensor about_axis;
  if (directions_) {
    at::Tensor axis = at::zeros({d}, at::kDouble);
    axis[0] = 1;
    about_axis = VonMisesFisher{axis, 1 / (widths_[0] * widths_[0])}
                     .sample(n, static_cast<uint64_t>(seed))
                     .contiguous();
  }
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
    if (directions_) {
      // The reflection that exchanges the first axis and the row: I - 2 v v' / v'v, v = e_1 - row.
      const double* centre = x_.data_ptr<double>() + row * d;
      const double* draw = about_axis.data_ptr<double>() + i * d;
      double length = 0, along = 0;
      for (int64_t j = 0; j < d; ++j) {
        z[static_cast<size_t>(j)] = (j == 0) - centre[j];
        length += z[static_cast<size_t>(j)] * z[static_cast<size_t>(j)];
        along += z[static_cast<size_t>(j)] * draw[j];
      }
      for (int64_t j = 0; j < d; ++j)
        out.data_ptr<double>()[i * d + j] =
            draw[j] - (length > 0 ? 2 * along / length * z[static_cast<size_t>(j)] : 0);
      continue;
    }
    double norm = 0;
    for (int64_t j = 0; j < d; ++j) {
      z[static_cast<size_t>(j)] = where.normal(static_cast<uint64_t>(i * d + j));
      norm += z[static_cast<size_t>(j)] * z[static_cast<size_t>(j)];
    }
    if (is_product(kernel_)) {
      uint64_t draw = static_cast<uint64_t>(i) << 20;
      for (double& v : z) {
        do {
          v = 2 * length.uniform(draw++) - 1;
        } while (length.uniform(draw++) >= product_shape(kernel_, v));
      }
    } else if (kernel_ == Kernel::kLaplacian) {
      for (int64_t j = 0; j < d; ++j) {
        const double r = -std::log1p(-length.uniform(static_cast<uint64_t>(i * d + j)));
        z[static_cast<size_t>(j)] = std::copysign(r, z[static_cast<size_t>(j)]);
      }
    } else if (kernel_ != Kernel::kGaussian) {
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
    const double factor = factors_.empty() ? 1 : factors_[static_cast<size_t>(row)];
    for (int64_t j = d - 1; j >= 0; --j) {
      double v = z[static_cast<size_t>(j)];
      if (!lean_.empty()) {
        v *= lean_[static_cast<size_t>(j * d + j)];
        for (int64_t l = 0; l < j; ++l)
          v += lean_[static_cast<size_t>(j * d + l)] * z[static_cast<size_t>(l)];
      }
      const double at =
          x_.data_ptr<double>()[row * d + j] + factor * widths_[static_cast<size_t>(j)] * v;
      out.data_ptr<double>()[i * d + j] =
          bounds_.empty() ? at : bounds_[static_cast<size_t>(j)].folded(at);
    }
  }
  return out;
}

at::Tensor KernelDensity::widths() const {
  need_fit();
  return at::tensor(widths_, at::kDouble);
}

at::Tensor KernelDensity::bandwidth_matrix() const {
  const at::Tensor h = widths();
  if (lean_.empty()) return at::diag(h.square());
  const at::Tensor l = h.unsqueeze(1) * at::tensor(lean_, at::kDouble).view({columns(), -1});
  return l.mm(l.t());
}

at::Tensor KernelDensity::factors() const {
  need_fit();
  return factors_.empty() ? at::ones({rows()}, at::kDouble) : at::tensor(factors_, at::kDouble);
}

double KernelDensity::error_bound() const {
  const std::string used = engine();
  if (used == "fft") return grid_->bound() * std::exp(log_scale_) * image_count_;
  if (expansions_) return expansions_->bound() * std::exp(log_scale_) * image_count_;
  return used == "tree" ? options_.atol : 0;
}

std::vector<int64_t> KernelDensity::left_out_rows() const {
  std::vector<int64_t> rows;
  const double all = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  const int64_t n = x_.size(0), count = std::min(n, kLooRows);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = i * n / count;
    const double w = weights_[static_cast<size_t>(row)];
    if (w > 0 && w < all) rows.push_back(row);
  }
  return rows;
}

WidthScan KernelDensity::scan_widths(const std::vector<double>& factors) const {
  need_fit();
  if (!factors_.empty())
    throw Error(ExitCode::kUsage, "widths that differ from point to point are not scanned",
                "bandwidth_kind", "use fixed");
  for (const double f : factors)
    if (!(f > 0) || !std::isfinite(f))
      throw Error(ExitCode::kUsage, "must be above 0 and finite", "factors");
  if (factors.empty()) return {};
  if (is_product(kernel_)) return scan_products(factors);
  return scan_with(ScanPoints(scaled_, weights_, x_.size(0), x_.size(1)), factors,
                   kernel_ == Kernel::kGaussian && !directions_);
}

WidthScan KernelDensity::scan_with(const ScanPoints& points, const std::vector<double>& factors,
                                   bool squares) const {
  const int64_t d = x_.size(1);
  const std::vector<int64_t> rows = left_out_rows();
  const auto m = static_cast<int64_t>(rows.size()), count = static_cast<int64_t>(factors.size());
  std::vector<double> queries, shrinks, scales;
  for (const int64_t i : rows)
    queries.insert(queries.end(), scaled_.begin() + i * d, scaled_.begin() + (i + 1) * d);
  for (const double f : factors) {
    std::vector<double> widths(widths_);
    for (double& h : widths) h *= f;
    shrinks.push_back(kernel_shrink(kernel_, f));
    scales.push_back(log_scale_of(widths));
  }
  // The integral of p^2 is the mean over rows of the sum of gaussians sqrt(2) times as wide.
  // In a grid of steps that divide log 2 / 2 most of those are widths of the grid themselves.
  std::vector<size_t> wide;
  for (int64_t b = 0; b < count && squares; ++b) {
    const double shrink = 0.5 * shrinks[static_cast<size_t>(b)];
    const auto same = std::find_if(shrinks.begin(), shrinks.end(), [&](double s) {
      return std::abs(s - shrink) <= 4e-15 * shrink;
    });
    wide.push_back(static_cast<size_t>(same - shrinks.begin()));
    if (same == shrinks.end()) shrinks.push_back(shrink);
  }
  const auto columns = static_cast<int64_t>(shrinks.size());
  std::vector<double> sums(static_cast<size_t>(m * columns));
  points.log_sums(kernel_, queries.data(), rows.data(), m, shrinks.data(), columns, sums.data());
  const double all = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  WidthScan out{factors, std::vector<double>(factors.size(), 0.0), {}};
  if (squares) out.least_squares.assign(factors.size(), 0.0);
  double total = 0;
  for (int64_t a = 0; a < m; ++a) {
    const double w = weights_[static_cast<size_t>(rows[static_cast<size_t>(a)])];
    total += w;
    for (size_t b = 0; b < factors.size(); ++b) {
      const double* row = sums.data() + a * columns;
      const double others =
          std::max(row[b], std::isinf(kernel_radius(kernel_)) ? row[b] : std::log(1e-13 * w));
      out.likelihood[b] += w * (others + scales[b] + std::log(all / (all - w)));
      if (!squares) continue;
      // Self terms of the integral stay: they are part of it.
      const double halved = scales[b] - 0.5 * static_cast<double>(d) * std::numbers::ln2;
      const double integral = std::exp(row[wide[b]] + halved) + w * std::exp(halved);
      out.least_squares[b] += w * (2 * std::exp(row[b] + scales[b]) * all / (all - w) - integral);
    }
  }
  for (double& v : out.likelihood) v = total > 0 ? v / total : 0;
  for (double& v : out.least_squares) v = total > 0 ? v / total : 0;
  return out;
}

// Products are no function of one distance: a pass a factor.
WidthScan KernelDensity::scan_products(const std::vector<double>& factors) const {
  const int64_t d = x_.size(1);
  const std::vector<int64_t> rows = left_out_rows();
  const double all = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  WidthScan out{factors, {}, {}};
  for (const double f : factors) {
    std::vector<double> points(scaled_), queries, widths(widths_), sums(rows.size());
    for (double& v : points) v /= f;
    for (double& h : widths) h *= f;
    for (const int64_t i : rows)
      queries.insert(queries.end(), points.begin() + i * d, points.begin() + (i + 1) * d);
    KdeTree(points, weights_, {}, x_.size(0), d)
        .sums(kernel_, queries.data(), static_cast<int64_t>(rows.size()), 0, 0, sums.data());
    const double scale = log_scale_of(widths);
    double value = 0, total = 0;
    for (size_t a = 0; a < rows.size(); ++a) {
      const double w = weights_[static_cast<size_t>(rows[a])];
      total += w;
      value += w * (std::log(std::max(sums[a] - w, 1e-13 * w)) + scale + std::log(all / (all - w)));
    }
    out.likelihood.push_back(total > 0 ? value / total : 0);
  }
  return out;
}

// The factor of the widths that the rule likes best: a grid, then parabolas about its best point.
double KernelDensity::best_factor(const std::vector<double>& widths) {
  scale(widths);
  if (left_out_rows().empty()) return 1;
  const bool product = is_product(kernel_), squares = options_.bandwidth == "lscv";
  std::unique_ptr<ScanPoints> points;
  if (!product) points = std::make_unique<ScanPoints>(scaled_, weights_, x_.size(0), x_.size(1));
  const auto scanned = [&](const std::vector<double>& logs, bool both) {
    std::vector<double> factors;
    for (const double s : logs) factors.push_back(std::exp(s));
    return product ? scan_products(factors) : scan_with(*points, factors, both);
  };
  const auto values = [&](const WidthScan& s) {
    std::vector<double> out = squares ? s.least_squares : s.likelihood;
    // Widths so small that densities overflow are not to be taken.
    for (double& v : out)
      if (std::isnan(v)) v = -std::numeric_limits<double>::infinity();
    return out;
  };
  // Steps of a quarter of log 2: every other rate is the double of one before (kde_scan.h).
  constexpr double kStep = std::numbers::ln2 / 4;
  std::vector<double> logs;
  for (int64_t k = -17; k <= 12; ++k) logs.push_back(static_cast<double>(k) * kStep);
  scan_ = scanned(logs, kernel_ == Kernel::kGaussian && !directions_);
  std::vector<double> value = values(scan_);
  size_t best = static_cast<size_t>(std::max_element(value.begin(), value.end()) - value.begin());
  double middle = logs[best], step = kStep;
  // How far from the middle the parabola through it and its neighbours has its top.
  const auto top = [&](double below, double at, double above, double apart) {
    const double bend = below - 2 * at + above;
    const double t = 0.5 * apart * (below - above) / bend;
    return bend < 0 && std::isfinite(bend) && std::abs(t) <= 2 * apart ? t : 0.0;
  };
  if (best > 0 && best + 1 < value.size())
    middle += top(value[best - 1], value[best], value[best + 1], step);
  for (int round = 0; round < 3; ++round) {
    step = 0.02;
    value = values(scanned({middle - step, middle, middle + step}, squares));
    const double t = top(value[0], value[1], value[2], step);
    middle += t;
    if (std::abs(t) <= step) break;
  }
  return std::exp(middle);
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
  const int64_t free = directions_ ? d - 1 : d;
  const double factor =
      rule == "silverman" ? silverman_factor(rows, free) : scott_factor(rows, free);
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
  if (directions_) {
    // Columns that do not vary have no spread, whatever width they were given.
    notes_.clear();
    const at::Tensor w = at::tensor(weights_, at::kDouble).unsqueeze(1) / total;
    const at::Tensor spread =
        (w * (x_ - (w * x_).sum(0)).square()).sum() / static_cast<double>(free);
    double h = factor * std::sqrt(spread.item<double>());
    if (!(h > 1e-8)) {
      notes_.push_back("the directions do not vary: their width is 1");
      h = 1;
    }
    widths.assign(static_cast<size_t>(d), h);
  }
  if ((rule != "lcv" && rule != "lscv") || n < 3) return widths;
  const double factor_of_rule = best_factor(widths);
  for (double& v : widths) v *= factor_of_rule;
  return widths;
}

KernelDensity& KernelDensity::set_accuracy(double rtol, double atol, const std::string& engine) {
  KernelDensityOptions options = options_;
  options.rtol = rtol;
  options.atol = atol;
  options.engine = engine;
  return set_accuracy(options);
}

KernelDensity& KernelDensity::set_accuracy(const KernelDensityOptions& accuracy) {
  KernelDensityOptions options = options_;
  options.rtol = accuracy.rtol;
  options.atol = accuracy.atol;
  options.engine = accuracy.engine;
  options.tree = accuracy.tree;
  options.features = accuracy.features;
  options.landmarks = accuracy.landmarks;
  options.engine_seed = accuracy.engine_seed;
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
  out.take_shape(*this, columns());
  out.build(widths_);
  return out;
}

KernelDensity KernelDensity::moved(const at::Tensor& points) const {
  need_fit();
  KernelDensity out(options_);
  out.set_points(points, at::tensor(weights_, at::kDouble));
  if (out.x_.sizes() != x_.sizes())
    throw Error(ExitCode::kData, "there must be as many points as before", "points");
  out.take_shape(*this, columns());
  out.build(widths_);
  return out;
}

KernelDensity KernelDensity::marginal(int64_t columns) const {
  need_fit();
  if (columns < 1 || columns > x_.size(1) || kernel_ != Kernel::kGaussian || directions_)
    throw Error(ExitCode::kUsage, "takes some of the columns of a gaussian kernel", "columns");
  KernelDensity out(options_);
  out.options_.bounds.clear();
  out.set_points(x_.slice(1, 0, columns), at::tensor(weights_, at::kDouble));
  out.take_shape(*this, columns);
  // A folded density's marginal is the marginal, folded.
  if (!bounds_.empty()) out.bounds_ = {bounds_.begin(), bounds_.begin() + columns};
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
  m.fields["bandwidth_kind"] = options_.bandwidth_kind;
  m.fields["neighbours"] = options_.neighbours;
  m.fields["bandwidth_shape"] = options_.bandwidth_shape;
  m.fields["bounds"] = options_.bounds;
  m.fields["product"] = options_.product;
  m.fields["tree"] = options_.tree;
  m.fields["features"] = options_.features;
  m.fields["landmarks"] = options_.landmarks;
  m.fields["engine_seed"] = options_.engine_seed;
  m.put("points", {x_.data_ptr<double>(), x_.data_ptr<double>() + x_.numel()},
        {x_.size(0), x_.size(1)});
  m.put("weights", weights_, {x_.size(0)});
  m.put("widths", widths_, {x_.size(1)});
  if (!lean_.empty()) m.put("lean", lean_, {x_.size(1), x_.size(1)});
  if (!factors_.empty()) m.put("factors", factors_, {x_.size(0)});
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
  // Models of before these fields have none of them.
  if (m.fields.contains("bandwidth_kind")) {
    options.bandwidth_kind = m.text("bandwidth_kind");
    options.neighbours = static_cast<int64_t>(m.number("neighbours"));
    options.bandwidth_shape = m.text("bandwidth_shape");
    options.bounds = m.text("bounds");
  }
  if (m.fields.contains("product")) {
    if (!m.fields["product"].is_boolean()) m.refuse("product", "is not true or false");
    options.product = m.fields["product"].get<bool>();
    options.tree = m.text("tree");
    const auto count = [&](const char* field) {
      const double v = m.number(field);
      if (!(v >= 0 && v <= 9e15)) m.refuse(field, "is not a count");
      return static_cast<int64_t>(v);
    };
    options.features = count("features");
    options.landmarks = count("landmarks");
    options.engine_seed = count("engine_seed");
  }
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
    if (m.arrays.contains("lean")) kde.lean_ = m.doubles("lean", {d, d});
    for (int64_t j = 0; j < d && !kde.lean_.empty(); ++j) {
      for (int64_t l = 0; l <= j; ++l) {
        const double v = kde.lean_[static_cast<size_t>(j * d + l)];
        if (!std::isfinite(v) || (l == j && !(v > 0))) m.refuse("lean", "is no Cholesky factor");
      }
    }
    if (m.arrays.contains("factors")) kde.factors_ = m.doubles("factors", {n});
    for (const double f : kde.factors_)
      if (!(f >= kLeastFactor && f <= kMostFactor)) m.refuse("factors", "one is out of range");
    if (kde.directions_)
      for (const double h : widths)
        if (h != widths[0]) m.refuse("widths", "directions have one width");
    kde.build(widths);
    return kde;
  } catch (const Error& e) {
    m.refuse(e.where(), e.message());
  }
}

}  // namespace covary::mixture
