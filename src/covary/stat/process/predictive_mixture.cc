#include "covary/stat/process/predictive_mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/numeric/normal.h"

namespace covary::stat {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// One point's parts.
struct Parts {
  std::vector<double> weight, mean, sd;

  double cdf(double y) const {
    double p = 0;
    for (size_t k = 0; k < mean.size(); ++k) {
      p += weight[k] * (sd[k] > 0 ? numeric::normal_cdf((y - mean[k]) / sd[k])
                                  : static_cast<double>(y >= mean[k]));
    }
    return p;
  }
  double log_density(double y) const {
    double most = -std::numeric_limits<double>::infinity(), sum = 0;
    const auto term = [&](size_t k) {
      const double z = (y - mean[k]) / sd[k];
      return std::log(weight[k]) - std::log(sd[k]) - 0.5 * z * z;
    };
    for (size_t k = 0; k < mean.size(); ++k) most = std::max(most, term(k));
    for (size_t k = 0; k < mean.size(); ++k) sum += std::exp(term(k) - most);
    return most + std::log(sum) - 0.5 * std::log(2 * std::numbers::pi);
  }
  double quantile(double p) const {
    const double z = numeric::normal_quantile(p);
    double low = mean[0] + z * sd[0], high = low;
    for (size_t k = 1; k < mean.size(); ++k) {
      low = std::min(low, mean[k] + z * sd[k]);
      high = std::max(high, mean[k] + z * sd[k]);
    }
    const double end = 1e-10 * *std::max_element(sd.begin(), sd.end());
    while (high - low > end) {
      const double middle = low + 0.5 * (high - low);
      if (middle <= low || middle >= high) break;  // neighbours
      (cdf(middle) < p ? low : high) = middle;
    }
    return low + 0.5 * (high - low);
  }
  // E|Y - y| - E|Y - Y'| / 2.
  double crps(double y) const {
    const auto distance = [](double m, double s) {  // E|m + s Z|
      if (!(s > 0)) return std::abs(m);
      const double z = m / s;
      return 2 * s * numeric::normal_density(z) + m * (2 * numeric::normal_cdf(z) - 1);
    };
    double sum = 0;
    for (size_t k = 0; k < mean.size(); ++k) {
      sum += weight[k] * distance(y - mean[k], sd[k]);
      sum -= 0.5 * weight[k] * weight[k] * distance(0, std::numbers::sqrt2 * sd[k]);
      for (size_t l = 0; l < k; ++l) {
        sum -= weight[k] * weight[l] * distance(mean[k] - mean[l], std::hypot(sd[k], sd[l]));
      }
    }
    return sum;
  }
};

class Reader {
 public:
  explicit Reader(const PredictiveMixture& m)
      : mean_(m.mean.contiguous()),
        variance_(m.variance.contiguous()),
        weight_(m.weight.defined() ? m.weight.contiguous() : at::Tensor()) {}
  void read(int64_t point, Parts* out) const {
    const int64_t parts = mean_.size(0), points = mean_.size(1);
    out->weight.resize(static_cast<size_t>(parts));
    out->mean.resize(out->weight.size());
    out->sd.resize(out->weight.size());
    for (int64_t k = 0; k < parts; ++k) {
      const auto at = static_cast<size_t>(k);
      out->weight[at] = weight_.defined() ? weight_.const_data_ptr<double>()[k * points + point]
                                          : 1 / static_cast<double>(parts);
      out->mean[at] = mean_.const_data_ptr<double>()[k * points + point];
      out->sd[at] =
          std::sqrt(std::max(variance_.const_data_ptr<double>()[k * points + point], 0.0));
    }
  }

 private:
  at::Tensor mean_, variance_, weight_;
};

bool known(const Parts& p) { return !std::isnan(p.mean[0]) && !std::isnan(p.sd[0]); }

}  // namespace

std::pair<at::Tensor, at::Tensor> PredictiveMixture::moments() const {
  const at::Tensor w =
      weight.defined() ? weight : at::full_like(mean, 1 / static_cast<double>(parts()));
  const at::Tensor middle = (w * mean).sum(0);
  return {middle, (w * (variance + (mean - middle).square())).sum(0)};
}

at::Tensor PredictiveMixture::quantile(double p) const {
  if (!(p > 0 && p < 1)) throw Error(ExitCode::kUsage, "must lie between 0 and 1", "quantile");
  at::Tensor out = at::empty({points()}, at::kDouble);
  const Reader reader(*this);
  parallel_for(points(), 8, [&](int64_t begin, int64_t end) {
    Parts parts;
    for (int64_t i = begin; i < end; ++i) {
      reader.read(i, &parts);
      out.data_ptr<double>()[i] = known(parts) ? parts.quantile(p) : kNan;
    }
  });
  return out;
}

at::Tensor PredictiveMixture::log_density(const at::Tensor& y) const {
  const at::Tensor values = y.contiguous();
  at::Tensor out = at::empty({points()}, at::kDouble);
  const Reader reader(*this);
  Parts parts;
  for (int64_t i = 0; i < points(); ++i) {
    reader.read(i, &parts);
    const double value = values.const_data_ptr<double>()[i];
    out.data_ptr<double>()[i] =
        std::isnan(value) || !known(parts) ? kNan : parts.log_density(value);
  }
  return out;
}

PredictiveScores predictive_scores(const PredictiveMixture& mixture, const at::Tensor& y) {
  const int64_t n = mixture.points();
  const auto [mean, variance] = mixture.moments();
  // Errors, and which rows count, are those of the moments.
  PredictiveScores s = predictive_scores(mean, variance, y);
  const at::Tensor values = y.contiguous();
  std::vector<double> density(static_cast<size_t>(n), kNan), crps(density), below(density);
  const Reader reader(mixture);
  parallel_for(n, 4, [&](int64_t begin, int64_t end) {
    Parts parts;
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      const double value = values.const_data_ptr<double>()[i];
      reader.read(i, &parts);
      if (std::isnan(value) || !known(parts)) continue;
      density[at] = parts.log_density(value);
      crps[at] = parts.crps(value);
      below[at] = parts.cdf(value);
    }
  });
  s.nlpd = s.crps = 0;
  s.coverage = {};
  s.pit = {};
  s.standardised.clear();
  const auto rows = static_cast<double>(s.rows);
  for (size_t i = 0; i < density.size(); ++i) {
    if (std::isnan(density[i])) continue;
    s.nlpd -= density[i] / rows;
    s.crps += crps[i] / rows;
    s.count_place(below[i]);
    s.standardised.push_back(numeric::normal_quantile(std::clamp(below[i], 1e-300, 1 - 1e-16)));
  }
  for (double& c : s.coverage) c /= rows;
  std::sort(s.standardised.begin(), s.standardised.end());
  return s;
}

}  // namespace covary::stat
