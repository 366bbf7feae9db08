#include "covary/stat/process/site_process.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "covary/stat/process/markov_filter.h"
#include "covary/stat/process/site_posterior.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr double kLogTwoPi = 1.8378770664093454836;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class DenseSites : public SiteProcess {
 public:
  DenseSites(const Kernel& kernel, std::span<const double> x, int64_t n)
      : kernel_(kernel), x_(x.begin(), x.end()), q_(kernel, x, n) {}

  bool set(const SiteState& sites) override {
    if (!q_.set(sites.precision, sites.shift)) return false;
    q_.invert();
    return true;
  }
  const Vector& mean() const override { return q_.mean(); }
  const Vector& variance() const override { return q_.variance(); }
  double divergence() const override {
    double along = 0;
    for (size_t i = 0; i < q_.mean().size(); ++i) along += q_.alpha()[i] * q_.mean()[i];
    return 0.5 * (q_.trace() + along - static_cast<double>(q_.size()) + q_.log_determinant());
  }
  void contract(std::span<double> gradient) const override {
    q_.contract(kernel_, x_, {}, gradient);
  }
  void finish() override {  // the factor again
    const Vector precision = q_.precision();
    Vector shift(precision.size());
    for (size_t i = 0; i < shift.size(); ++i)
      shift[i] = q_.alpha()[i] + precision[i] * q_.mean()[i];
    q_.set(precision, shift);
  }
  void predict(const double* points, int64_t count, double* mean, double* variance) const override {
    constexpr int64_t kRowsAtOnce = 512;
    const int64_t n = q_.size(), d = kernel_.dims();
    for (int64_t begin = 0; begin < count; begin += kRowsAtOnce) {
      const int64_t some = std::min(kRowsAtOnce, count - begin);
      const double* x = points + begin * d;
      Vector k(static_cast<size_t>(some * n)), explained(static_cast<size_t>(some));
      kernel_.cross(x, some, x_.data(), n, k.data(), n);
      for (int64_t i = 0; i < some; ++i) {
        mean[begin + i] = 0;
        for (int64_t j = 0; j < n; ++j)
          mean[begin + i] += k[static_cast<size_t>(i * n + j)] * q_.alpha()[static_cast<size_t>(j)];
      }
      kernel_.diagonal(x, some, false, variance + begin);
      q_.explain(k.data(), some, explained.data());
      for (int64_t i = 0; i < some; ++i)
        variance[begin + i] =
            std::max(variance[begin + i] - explained[static_cast<size_t>(i)], 0.0);
    }
  }

 private:
  Kernel kernel_;
  Vector x_;
  SitePosterior q_;
};

// A site is an observation b / w with the variance 1 / w, but for a constant.
class MarkovSites : public SiteProcess {
 public:
  MarkovSites(const Kernel& kernel, std::span<const double> x)
      : kernel_(kernel), form_(kernel), t_(x.begin(), x.end()) {
    form_.set(kernel);
  }

  bool set(const SiteState& sites) override {
    const size_t n = t_.size();
    sites_ = sites;
    seen_.assign(n, kNan);
    noise_.assign(n, 1.0);
    for (size_t i = 0; i < n; ++i) {
      if (sites.precision[i] == 0 && sites.shift[i] == 0) continue;
      if (!(sites.precision[i] > 0) || std::isinf(sites.precision[i])) return false;
      seen_[i] = sites.shift[i] / sites.precision[i];
      noise_[i] = 1 / sites.precision[i];
    }
    mean_.resize(n);
    variance_.resize(n);
    mass_ = filter_smooth(form_, t_, seen_, noise_, mean_, variance_);
    for (double& v : variance_) v = std::max(v, 0.0);
    return std::isfinite(mass_);
  }
  const Vector& mean() const override { return mean_; }
  const Vector& variance() const override { return variance_; }
  // E log sites - log mass, both as observations.
  double divergence() const override {
    double sum = -mass_;
    for (size_t i = 0; i < t_.size(); ++i) {
      if (std::isnan(seen_[i])) continue;
      const double off = seen_[i] - mean_[i];
      sum -= 0.5 * (kLogTwoPi + std::log(noise_[i]) + (off * off + variance_[i]) / noise_[i]);
    }
    return sum;
  }
  void contract(std::span<double> gradient) const override {
    Vector own(gradient.size());
    filter_log_likelihood(form_, t_, seen_, noise_, &own);
    std::copy(own.begin(), own.end(), gradient.begin());
  }
  void finish() override {}
  void predict(const double* points, int64_t count, double* mean, double* variance) const override {
    const size_t n = t_.size(), all = n + static_cast<size_t>(count);
    std::vector<size_t> order(all);
    std::iota(order.begin(), order.end(), size_t{0});
    const auto at = [&](size_t i) { return i < n ? t_[i] : points[i - n]; };
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return at(a) < at(b); });
    Vector t(all), y(all, kNan), noise(all, 1.0), m(all), v(all);
    for (size_t k = 0; k < all; ++k) {
      t[k] = at(order[k]);
      if (order[k] >= n) continue;
      y[k] = seen_[order[k]];
      noise[k] = noise_[order[k]];
    }
    filter_smooth(form_, t, y, noise, m, v);
    for (size_t k = 0; k < all; ++k) {
      if (order[k] < n) continue;
      mean[order[k] - n] = m[k];
      variance[order[k] - n] = std::max(v[k], 0.0);
    }
  }

 private:
  Kernel kernel_;
  MarkovForm form_;
  SiteState sites_;
  Vector t_, seen_, noise_, mean_, variance_;
  double mass_ = 0;
};

}  // namespace

std::unique_ptr<SiteProcess> site_process(const std::string& method, const Kernel& kernel,
                                          std::span<const double> x, int64_t n) {
  if (method == "state-space") return std::make_unique<MarkovSites>(kernel, x);
  return std::make_unique<DenseSites>(kernel, x, n);
}

}  // namespace covary::stat
