#include "covary/stat/process/sampled_hypervolume.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/static_dimension.h"
#include "covary/core/base/threads.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr size_t kLanes = 4;  // boxes whose overlaps are added side by side
constexpr size_t kMostObjectives = 8;
constexpr double kBlurShare = 1e-6;   // of the blurred gain in the logarithm
constexpr double kBlurExtent = 0.05;  // scale of the blur in extents of the front
constexpr size_t kBlurDraws = 16;     // of so many draws, from the first on
constexpr double kSquarable = 1e150;
constexpr const char* kWhere = "sampled hypervolume";

void refuse(ExitCode code, const std::string& what, const std::string& hint = "") {
  throw Error(code, what, kWhere, hint);
}

// Volume of {a < y <= b} inside the boxes, and its slopes by the sides.
template <size_t M>
struct Overlap {
  double volume = 0;
  std::array<double, M> by_lower{}, by_upper{};
};

template <size_t M, bool kSlopes>
Overlap<M> overlap(const double* lower, const double* upper, size_t padded,
                   const std::array<double, M>& a, const std::array<double, M>& b) {
  double volume[kLanes] = {}, by_lower[M][kLanes] = {}, by_upper[M][kLanes] = {};
  for (size_t k = 0; k < padded; k += kLanes) {
    double side[M][kLanes], product[kLanes] = {};
    for (size_t j = 0; j < M; ++j) {
      const double *low = lower + j * padded + k, *high = upper + j * padded + k;
      for (size_t l = 0; l < kLanes; ++l) {
        const double bottom = low[l] > a[j] ? low[l] : a[j];
        const double top = high[l] < b[j] ? high[l] : b[j];
        const double s = top - bottom;
        side[j][l] = s > 0 ? s : 0;
        product[l] = j == 0 ? side[j][l] : product[l] * side[j][l];
      }
    }
    for (size_t l = 0; l < kLanes; ++l) volume[l] += product[l];
    if constexpr (kSlopes) {
      if (product[0] + product[1] + product[2] + product[3] == 0) continue;
      for (size_t j = 0; j < M; ++j) {
        const double *low = lower + j * padded + k, *high = upper + j * padded + k;
        for (size_t l = 0; l < kLanes; ++l) {
          double others = side[j][l] > 0 ? 1 : 0;
          for (size_t i = 0; i < M; ++i) {
            if (i != j) others *= side[i][l];
          }
          by_lower[j][l] -= a[j] > low[l] ? others : 0;
          by_upper[j][l] += b[j] < high[l] ? others : 0;
        }
      }
    }
  }
  Overlap<M> sum;
  for (size_t l = 0; l < kLanes; ++l) {
    sum.volume += volume[l];
    for (size_t j = 0; j < M; ++j) {
      sum.by_lower[j] += by_lower[j][l];
      sum.by_upper[j] += by_upper[j][l];
    }
  }
  return sum;
}

}  // namespace

SampledHypervolume::SampledHypervolume(std::shared_ptr<const BoxDecomposition> boxes,
                                       int64_t points, int64_t draws)
    : m_(boxes == nullptr ? 0 : static_cast<size_t>(boxes->objectives())),
      q_(static_cast<size_t>(std::max<int64_t>(points, 0))),
      draws_(static_cast<size_t>(std::max<int64_t>(draws, 0))) {
  prepare();
  fronts_ = std::make_shared<std::vector<Front>>(1, front_of(std::move(boxes)));
}

SampledHypervolume::SampledHypervolume(std::span<const double> observed,
                                       std::span<const double> reference, int64_t points,
                                       int64_t draws)
    : m_(reference.size()),
      q_(static_cast<size_t>(std::max<int64_t>(points, 0))),
      draws_(static_cast<size_t>(std::max<int64_t>(draws, 0))) {
  prepare();
  if (observed.size() % (m_ * draws_) != 0) {
    refuse(ExitCode::kUsage, std::to_string(observed.size()) + " observed values are not " +
                                 std::to_string(m_) + " objectives of " + std::to_string(draws_) +
                                 " draws");
  }
  const size_t n = observed.size() / (m_ * draws_);
  auto fronts = std::make_shared<std::vector<Front>>(draws_);
  parallel_tasks(draws, [&](int64_t draw) {
    const auto s = static_cast<size_t>(draw);
    std::vector<double> rows(n * m_);
    for (size_t j = 0; j < m_; ++j) {
      for (size_t i = 0; i < n; ++i) rows[i * m_ + j] = observed[(j * n + i) * draws_ + s];
    }
    (*fronts)[s] = front_of(std::make_shared<BoxDecomposition>(rows, reference));
  });
  fronts_ = std::move(fronts);
}

SampledHypervolume::Front SampledHypervolume::front_of(
    std::shared_ptr<const BoxDecomposition> boxes) {
  Front f;
  const auto m = static_cast<size_t>(boxes->objectives()),
             count = static_cast<size_t>(boxes->size());
  f.padded = (count + kLanes - 1) / kLanes * kLanes;
  f.lower.assign(m * f.padded, kInfinity);
  f.upper.assign(m * f.padded, kInfinity);
  for (size_t j = 0; j < m; ++j) {
    const auto o = static_cast<int64_t>(j);
    const auto levels = boxes->levels(o);
    for (size_t k = 0; k < count; ++k) {
      f.lower[j * f.padded + k] = levels[static_cast<size_t>(boxes->lower(o)[k])];
      f.upper[j * f.padded + k] = levels[static_cast<size_t>(boxes->upper(o)[k])];
    }
    const double extent = levels.size() > 2 ? levels[levels.size() - 2] - levels[0] : 1;
    f.blur.push_back(std::clamp(kBlurExtent * extent, 1 / kSquarable, kSquarable));
  }
  f.boxes = std::move(boxes);
  return f;
}

SampledHypervolume SampledHypervolume::for_batch(int64_t points) const {
  SampledHypervolume other = *this;
  other.q_ = static_cast<size_t>(std::max<int64_t>(points, 0));
  other.prepare();
  return other;
}

void SampledHypervolume::prepare() {
  if (m_ < 1 || m_ > kMostObjectives) refuse(ExitCode::kUsage, "takes 1 to 8 objectives");
  if (q_ < 1) refuse(ExitCode::kUsage, "the batch must have a point");
  if (draws_ < 1) refuse(ExitCode::kUsage, "there must be a draw");
  order_.resize(q_);
}

void SampledHypervolume::check(std::span<const double> samples, std::span<const double> slopes,
                               std::span<const double> weights,
                               std::span<const double> weight_slopes) const {
  const size_t all = m_ * q_ * draws_, some = q_ * draws_;
  if (samples.size() != all || (!slopes.empty() && slopes.size() != all)) {
    refuse(ExitCode::kUsage, "samples and slopes must be [" + std::to_string(m_) + ", " +
                                 std::to_string(q_) + ", " + std::to_string(draws_) + "]");
  }
  if ((!weights.empty() && weights.size() != some) ||
      (!weight_slopes.empty() && weight_slopes.size() != some)) {
    refuse(ExitCode::kUsage, "weights and their slopes must be [" + std::to_string(q_) + ", " +
                                 std::to_string(draws_) + "]");
  }
  for (size_t i = 0; i < all; ++i) {
    if (!std::isfinite(samples[i])) {
      refuse(ExitCode::kData, "sample " + std::to_string(i) + " is not finite");
    }
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] >= 0 && weights[i] <= 1)) {
      refuse(ExitCode::kData, "weight " + std::to_string(i) + " is not in [0, 1]");
    }
  }
}

// Points are added in the order of falling weights. `open_` are the boxes of what the ones before
// leave undominated; their parts below the new point are what it adds to the batch's region.
template <size_t M>
double SampledHypervolume::gain_of(size_t draw, std::span<const double> samples,
                                   std::span<double> slopes, std::span<const double> weights,
                                   std::span<double> weight_slopes, double factor) {
  const Front& f = front(draw);
  std::iota(order_.begin(), order_.end(), size_t{0});
  if (!weights.empty()) {
    std::sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
      const double x = weights[a * draws_ + draw], y = weights[b * draws_ + draw];
      return x != y ? x > y : a < b;
    });
  }
  open_.clear();
  for (size_t j = 0; j < M; ++j) open_.push_back({-kInfinity, -1});
  for (size_t j = 0; j < M; ++j) open_.push_back({kInfinity, -1});
  double sum = 0;
  for (const size_t i : order_) {
    const double weight = weights.empty() ? 1 : weights[i * draws_ + draw];
    std::array<double, M> y;
    for (size_t j = 0; j < M; ++j) y[j] = samples[(j * q_ + i) * draws_ + draw];
    const auto owner = static_cast<int32_t>(i);
    double mine = 0;
    rest_.clear();
    for (size_t k = 0; k < open_.size(); k += 2 * M) {
      std::array<Side, 2 * M> box;
      std::copy_n(open_.begin() + static_cast<std::ptrdiff_t>(k), 2 * M, box.begin());
      bool apart = false;
      for (size_t j = 0; j < M; ++j) apart = apart || !(box[j].at < y[j]);
      if (apart) {
        rest_.insert(rest_.end(), box.begin(), box.end());
        continue;
      }
      // What is above the point, one objective after another; in the end box is what is below.
      for (size_t j = 0; j < M; ++j) {
        if (!(y[j] < box[M + j].at)) continue;
        std::array<Side, 2 * M> above = box;
        above[j] = box[M + j] = {y[j], owner};
        rest_.insert(rest_.end(), above.begin(), above.end());
      }
      std::array<double, M> a, b;
      for (size_t j = 0; j < M; ++j) a[j] = box[j].at, b[j] = box[M + j].at;
      if (slopes.empty()) {
        mine += overlap<M, false>(f.lower.data(), f.upper.data(), f.padded, a, b).volume;
        continue;
      }
      const Overlap<M> o = overlap<M, true>(f.lower.data(), f.upper.data(), f.padded, a, b);
      mine += o.volume;
      for (size_t j = 0; j < M; ++j) {
        const auto add = [&](int32_t point, double slope) {
          if (point >= 0) {
            slopes[(j * q_ + static_cast<size_t>(point)) * draws_ + draw] +=
                factor * weight * slope;
          }
        };
        add(box[j].owner, o.by_lower[j]);
        add(box[M + j].owner, o.by_upper[j]);
      }
    }
    open_.swap(rest_);
    sum += weight * mine;
    if (!weight_slopes.empty()) weight_slopes[i * draws_ + draw] += factor * mine;
  }
  return sum;
}

double SampledHypervolume::gain(size_t draw, std::span<const double> samples,
                                std::span<double> slopes, std::span<const double> weights,
                                std::span<double> weight_slopes, double factor) {
  return with_dimension<kMostObjectives>(static_cast<int64_t>(m_), [&]<int kObjectives>() {
    return gain_of<kObjectives>(draw, samples, slopes, weights, weight_slopes, factor);
  });
}

// E max(0, x + T) for T of a Student t with 2 degrees of freedom, scale t / sqrt 2, is
// (x + sqrt(x^2 + t^2)) / 2: the levels of an objective take its values, as in
// expected_hypervolume.h.
double SampledHypervolume::blurred(size_t draw, std::span<const double> samples,
                                   std::span<double> slopes, std::span<const double> weights,
                                   std::span<double> weight_slopes, double factor) {
  const Front& f = front(draw);
  const BoxDecomposition& boxes = *f.boxes;
  size_t width = 0;
  for (size_t j = 0; j < m_; ++j) {
    width = std::max(width, boxes.levels(static_cast<int64_t>(j)).size());
  }
  psi_.resize(m_ * width);
  slope_.resize(m_ * width);
  const int32_t *lower[kMostObjectives], *upper[kMostObjectives];
  for (size_t j = 0; j < m_; ++j) {
    lower[j] = boxes.lower(static_cast<int64_t>(j)).data();
    upper[j] = boxes.upper(static_cast<int64_t>(j)).data();
  }
  const double each = 1 / static_cast<double>(q_);
  double sum = 0;
  for (size_t i = 0; i < q_; ++i) {
    const double weight = weights.empty() ? 1 : weights[i * draws_ + draw];
    for (size_t j = 0; j < m_; ++j) {
      const auto levels = boxes.levels(static_cast<int64_t>(j));
      const double y = samples[(j * q_ + i) * draws_ + draw], t = f.blur[j];
      for (size_t r = 0; r + 1 < levels.size(); ++r) {
        const double x = y - levels[r];
        const double root = std::abs(x) < kSquarable ? std::sqrt(x * x + t * t) : std::abs(x);
        // Below 0 without the cancellation.
        const double value = x > 0 ? 0.5 * (x + root) : 0.5 * t * (t / (root - x));
        psi_[j * width + r] = value;
        slope_[j * width + r] = value / root;
      }
      psi_[j * width + levels.size() - 1] = slope_[j * width + levels.size() - 1] = 0;
    }
    double mine = 0, by[kMostObjectives] = {};
    for (size_t k = 0; k < static_cast<size_t>(boxes.size()); ++k) {
      double side[kMostObjectives], before[kMostObjectives], product = 1;
      for (size_t j = 0; j < m_; ++j) {
        const double* psi = psi_.data() + j * width;
        side[j] = psi[lower[j][k]] - psi[upper[j][k]];
        before[j] = product;
        product *= side[j];
      }
      mine += product;
      if (slopes.empty()) continue;
      double after = 1;
      for (size_t j = m_; j-- > 0;) {
        const double* slope = slope_.data() + j * width;
        by[j] += before[j] * after * (slope[lower[j][k]] - slope[upper[j][k]]);
        after *= side[j];
      }
    }
    sum += each * weight * mine;
    for (size_t j = 0; j < m_ && !slopes.empty(); ++j) {
      slopes[(j * q_ + i) * draws_ + draw] += factor * each * weight * by[j];
    }
    if (!weight_slopes.empty()) weight_slopes[i * draws_ + draw] += factor * each * mine;
  }
  return sum;
}

double SampledHypervolume::value(std::span<const double> samples, std::span<double> slopes,
                                 std::span<const double> weights, std::span<double> weight_slopes) {
  check(samples, slopes, weights, weight_slopes);
  std::fill(slopes.begin(), slopes.end(), 0.0);
  std::fill(weight_slopes.begin(), weight_slopes.end(), 0.0);
  const double each = 1 / static_cast<double>(draws_);
  double sum = 0;
  for (size_t s = 0; s < draws_; ++s) {
    sum += gain(s, samples, slopes, weights, weight_slopes, each);
  }
  if (!std::isfinite(sum)) {
    refuse(ExitCode::kData, "the gain is larger than a double holds", "scale the objectives");
  }
  return sum * each;
}

double SampledHypervolume::log_value(std::span<const double> samples, std::span<double> slopes,
                                     std::span<const double> weights,
                                     std::span<double> weight_slopes) {
  check(samples, slopes, weights, weight_slopes);
  std::fill(slopes.begin(), slopes.end(), 0.0);
  std::fill(weight_slopes.begin(), weight_slopes.end(), 0.0);
  const size_t blurs = std::min(draws_, kBlurDraws);
  const double exact = (1 - kBlurShare) / static_cast<double>(draws_),
               blur = kBlurShare / static_cast<double>(blurs);
  double sum = 0;
  for (size_t s = 0; s < draws_; ++s) {
    sum += exact * gain(s, samples, slopes, weights, weight_slopes, exact);
    if (s < blurs) sum += blur * blurred(s, samples, slopes, weights, weight_slopes, blur);
  }
  if (!std::isfinite(sum)) {
    refuse(ExitCode::kData, "the gain is larger than a double holds", "scale the objectives");
  }
  if (!(sum > 0)) return -kInfinity;  // all weights are 0
  for (double& v : slopes) v /= sum;
  for (double& v : weight_slopes) v /= sum;
  return std::log(sum);
}

}  // namespace covary::stat
