// What an observation at one point is worth by what is known afterwards: the knowledge gradient, and max-value entropy.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/numeric/normal.h"
#include "covary/core/numeric/sobol.h"
#include "covary/stat/process/acquisition_parts.h"
#include "covary/stat/process/joint_posterior.h"

namespace covary::stat {
namespace {

constexpr double kFloor = 1e-16;     // of the prior's variance
constexpr int64_t kMaximaAt = 1000;  // points at which maxima are looked for

double floor_of(const GaussianProcess& gp) {
  double v = 0;
  const std::vector<double> origin(static_cast<size_t>(gp.kernel().dims()), 0.5);
  gp.kernel().diagonal(origin.data(), 1, false, &v);
  return kFloor * v;
}

void require_one(int64_t points, const char* kind) {
  if (points != 1)
    throw Error(ExitCode::kUsage, "takes one point at a time", kind, "choose logei for batches");
}

// Sobol points of the box, [count, d].
std::vector<double> spread(const AcquisitionModel& model, int64_t count) {
  const size_t d = model.lower.size();
  std::vector<double> x = numeric::Sobol(static_cast<int64_t>(d), model.seed).points(count);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = model.lower[i % d] + (model.upper[i % d] - model.lower[i % d]) * x[i];
  return x;
}

// E max_i (a_i + b_i z), z standard normal, with slopes by a and b.
class ExpectedMaximum {
 public:
  double value(const std::vector<double>& a, const std::vector<double>& b,
               std::vector<double>* by_a, std::vector<double>* by_b) {
    order_.resize(a.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::sort(order_.begin(), order_.end(),
              [&](size_t i, size_t j) { return b[i] != b[j] ? b[i] < b[j] : a[i] < a[j]; });
    // The upper envelope from left to right, and where each line takes over.
    lines_.clear();
    from_.clear();
    for (const size_t i : order_) {
      double at = -std::numeric_limits<double>::infinity();
      while (!lines_.empty()) {
        const size_t last = lines_.back();
        // Of two lines with one slope the later one is the higher.
        at = b[i] > b[last] ? (a[last] - a[i]) / (b[i] - b[last])
                            : -std::numeric_limits<double>::infinity();
        if (at > from_.back()) break;
        lines_.pop_back();
        from_.pop_back();
      }
      if (lines_.empty()) at = -std::numeric_limits<double>::infinity();
      lines_.push_back(i);
      from_.push_back(at);
    }
    std::fill(by_a->begin(), by_a->end(), 0.0);
    std::fill(by_b->begin(), by_b->end(), 0.0);
    double sum = 0;
    for (size_t k = 0; k < lines_.size(); ++k) {
      const double low = from_[k], high = k + 1 < lines_.size()
                                              ? from_[k + 1]
                                              : std::numeric_limits<double>::infinity();
      // Of the tail that is smaller: the differences keep their digits.
      const double share = low > 0 ? numeric::normal_cdf(-low) - numeric::normal_cdf(-high)
                                   : numeric::normal_cdf(high) - numeric::normal_cdf(low);
      const double lean = numeric::normal_density(low) - numeric::normal_density(high);
      (*by_a)[lines_[k]] = share;
      (*by_b)[lines_[k]] = lean;
      sum += a[lines_[k]] * share + b[lines_[k]] * lean;
    }
    return sum;
  }

 private:
  std::vector<size_t> order_, lines_;
  std::vector<double> from_;
};

class KnowledgeGradient : public Acquisition {
 public:
  KnowledgeGradient(const AcquisitionOptions& options, const AcquisitionModel& model)
      : posterior_(*model.objective), floor_(floor_of(*model.objective)) {
    support_ = spread(model, options.support);
    // The training points with the largest means, as many.
    const int64_t n = posterior_.rows(), d = posterior_.dims();
    std::vector<double> mean(static_cast<size_t>(n));
    posterior_.moments(posterior_.x().data(), n, mean.data(), nullptr);
    std::vector<size_t> order(mean.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t i, size_t j) { return mean[i] > mean[j]; });
    order.resize(static_cast<size_t>(std::min(n, options.support)));
    for (const size_t i : order) {
      const auto at = posterior_.x().begin() + static_cast<int64_t>(i) * d;
      support_.insert(support_.end(), at, at + d);
    }
  }
  int64_t dims() const override { return posterior_.dims(); }
  std::unique_ptr<Worker> worker(int64_t points) const override {
    require_one(points, "kg");
    return std::make_unique<One>(*this);
  }

 private:
  class One : public Worker {
   public:
    explicit One(const KnowledgeGradient& k)
        : k_(k),
          count_(1 + static_cast<int64_t>(k.support_.size()) / k.dims()),
          at_(k.posterior_, count_) {
      x_.resize(static_cast<size_t>(k.dims()));
      x_.insert(x_.end(), k.support_.begin(), k.support_.end());
      const auto q = static_cast<size_t>(count_);
      for (auto* v : {&a_, &b_, &by_a_, &by_b_, &by_mean_}) v->resize(q);
      by_covariance_.resize(q * q);
      gradient_.resize(x_.size());
    }
    double value(std::span<const double> x, std::span<double> gradient) override {
      std::copy(x.begin(), x.end(), x_.begin());
      at_.move(x_.data());
      const auto q = static_cast<size_t>(count_);
      const std::vector<double>& c = at_.covariance();
      const double total = std::max(c[0] + k_.posterior_.noise(), k_.floor_), sd = std::sqrt(total);
      double now = -std::numeric_limits<double>::infinity();
      for (size_t i = 0; i < q; ++i) {
        a_[i] = at_.mean()[i];
        b_[i] = c[i] / sd;
        if (i > 0) now = std::max(now, a_[i]);
      }
      const double value = envelope_.value(a_, b_, &by_a_, &by_b_) - now;
      if (gradient.empty()) return value;
      // b_i = c_i / sd: by c_i, and by c_0 through sd.
      std::fill(by_covariance_.begin(), by_covariance_.end(), 0.0);
      double by_total = 0;
      for (size_t i = 0; i < q; ++i) {
        by_total -= 0.5 * by_b_[i] * b_[i] / total;
        // Half to each of two entries that are one number.
        by_covariance_[i] += (i == 0 ? 1 : 0.5) * by_b_[i] / sd;
        if (i > 0) by_covariance_[i * q] += 0.5 * by_b_[i] / sd;
      }
      if (c[0] + k_.posterior_.noise() > k_.floor_) by_covariance_[0] += by_total;
      by_mean_.assign(q, 0.0);
      by_mean_[0] = by_a_[0];
      std::fill(gradient_.begin(), gradient_.end(), 0.0);
      at_.add_gradient(by_mean_.data(), by_covariance_.data(), gradient_.data());
      std::copy_n(gradient_.begin(), gradient.size(), gradient.begin());
      return value;
    }

   private:
    const KnowledgeGradient& k_;
    int64_t count_;
    JointPosterior::At at_;
    ExpectedMaximum envelope_;
    std::vector<double> x_, a_, b_, by_a_, by_b_, by_mean_, by_covariance_, gradient_;
  };

  JointPosterior posterior_;
  double floor_;
  std::vector<double> support_;
};

class MaxValueEntropy : public Acquisition {
 public:
  MaxValueEntropy(const AcquisitionOptions& options, const AcquisitionModel& model)
      : posterior_(*model.objective), floor_(floor_of(*model.objective)) {
    const std::vector<double> x = spread(model, kMaximaAt);
    const at::Tensor points = at::empty({kMaximaAt, dims()}, at::kDouble);
    std::copy(x.begin(), x.end(), points.data_ptr<double>());
    const int64_t count = std::max<int64_t>(options.support / 4, 1);
    const at::Tensor draws =
        std::get<0>(model.objective->sample(points, count, model.seed).reshape({count, -1}).max(1))
            .contiguous();
    // No maximum lies below the best mean at a training point.
    std::vector<double> mean(static_cast<size_t>(posterior_.rows()));
    posterior_.moments(posterior_.x().data(), posterior_.rows(), mean.data(), nullptr);
    const double known = *std::max_element(mean.begin(), mean.end());
    for (int64_t s = 0; s < count; ++s)
      maxima_.push_back(std::max(draws.const_data_ptr<double>()[s], known));
  }
  int64_t dims() const override { return posterior_.dims(); }
  std::unique_ptr<Worker> worker(int64_t points) const override {
    require_one(points, "mes");
    return std::make_unique<One>(*this);
  }

 private:
  class One : public Worker {
   public:
    explicit One(const MaxValueEntropy& m) : m_(m), at_(m.posterior_, 1) {}
    // Mean over maxima of g r / 2 - log Phi(g), g = (maximum - mean) / sd, r = phi(g) / Phi(g).
    double value(std::span<const double> x, std::span<double> gradient) override {
      at_.move(x.data());
      const double variance = at_.covariance()[0], sd = std::sqrt(std::max(variance, m_.floor_));
      double sum = 0, by_mean = 0, by_sd = 0;
      for (const double top : m_.maxima_) {
        const double g = (top - at_.mean()[0]) / sd;
        double r;
        const double log_cdf = numeric::log_normal_cdf(g, &r);
        sum += 0.5 * g * r - log_cdf;
        const double slope = -0.5 * r * (1 + g * (g + r));
        by_mean -= slope / sd;
        by_sd -= slope * g / sd;
      }
      const double share = 1 / static_cast<double>(m_.maxima_.size());
      if (!gradient.empty()) {
        std::fill(gradient.begin(), gradient.end(), 0.0);
        by_mean *= share;
        const double by_variance = variance > m_.floor_ ? 0.5 * share * by_sd / sd : 0;
        at_.add_gradient(&by_mean, &by_variance, gradient.data());
      }
      return share * sum;
    }

   private:
    const MaxValueEntropy& m_;
    JointPosterior::At at_;
  };

  JointPosterior posterior_;
  double floor_;
  std::vector<double> maxima_;
};

}  // namespace

std::unique_ptr<Acquisition> knowledge_gradient(const AcquisitionOptions& options,
                                                const AcquisitionModel& model) {
  return std::make_unique<KnowledgeGradient>(options, model);
}

std::unique_ptr<Acquisition> max_value_entropy(const AcquisitionOptions& options,
                                               const AcquisitionModel& model) {
  return std::make_unique<MaxValueEntropy>(options, model);
}

}  // namespace covary::stat
