#include "covary/stat/process/start.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "covary/core/base/random.h"
#include "covary/core/numeric/median.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Median over up to 2,000 pairs of rows of the distance in the columns (the difference, for one
// column). Pairs at distance 0 are left out; 1 when none is left.
double median_distance(const GpData& data, const std::vector<int64_t>& columns, uint64_t seed) {
  const Random random(seed, stream_of("process.pairs"));
  const double* x = data.x.const_data_ptr<double>();
  const uint64_t n = static_cast<uint64_t>(data.n);
  std::vector<double> distances;
  for (uint64_t e = 0; e < 2000 && n > 1; ++e) {
    const int64_t i = static_cast<int64_t>(random.below(n, 2 * e));
    const int64_t j = static_cast<int64_t>(random.below(n, 2 * e + 1));
    double q = 0;
    for (const int64_t k : columns) q = std::hypot(q, x[i * data.dims + k] - x[j * data.dims + k]);
    if (q > 0) distances.push_back(q);
  }
  if (distances.empty()) return 1;
  return numeric::upper_median(std::move(distances));
}

// A parameter's start by the data, and how far the fit may take it from there.
struct Guess {
  double value, down, up;
};

Guess guess(const KernelParameter& p, const GpData& data, double variance, uint64_t seed) {
  std::vector<int64_t> columns;
  for (int64_t k = 0; k < data.dims; ++k) {
    if (p.dimension < 0 || p.dimension == k) columns.push_back(k);
  }
  const bool one_of_many = p.dimension >= 0 && data.dims > 1;
  switch (p.role) {
    case ParameterRole::kVariance:
      return {variance, 1e-8, 1e4};
    case ParameterRole::kNoise:
      return {0.1 * variance, 1e-8, 1e2};
    case ParameterRole::kLengthscale:
      // Columns add up their squares: each gets a share such that the sum is about 1.
      return {median_distance(data, columns, seed) *
                  (one_of_many ? std::sqrt(static_cast<double>(data.dims)) : 1),
              1e-3, 1e4};
    case ParameterRole::kPeriod:
      return {median_distance(data, columns, seed), 1e-3, 1e2};
    case ParameterRole::kShape:
      return {1, 1e-3, 1e4};
    case ParameterRole::kLinear: {
      const double span = median_distance(data, columns, seed);
      return {variance / std::pow(span, p.power), 1e-8, 1e4};
    }
    case ParameterRole::kSmoothness:
      return {1.5, 1.0 / 15, 20};
    case ParameterRole::kOffset:
      return {1, 1e-6, 1e6};
    case ParameterRole::kWarp:
      return {1, 0.05, 20};
    case ParameterRole::kLocation:
    case ParameterRole::kLoading:
    case ParameterRole::kWeight:
      break;  // of any sign, see below
  }
  return {1, 1e-6, 1e6};
}

// Locations begin in the middle of their column and stay in it; loadings keep their value.
void start_real(KernelParameter* p, const GpData& data) {
  double low = -1e3, high = 1e3;
  if (p->role == ParameterRole::kLocation) {
    const size_t column = static_cast<size_t>(std::max<int64_t>(p->dimension, 0));
    low = data.centre[column] - 0.5 * data.scale[column];
    high = data.centre[column] + 0.5 * data.scale[column];
    if (!p->given) p->value = data.centre[column];
  }
  if (p->lower == -kInfinity) p->lower = std::min(low, p->value);
  if (p->upper == kInfinity) p->upper = std::max(high, p->value);
  p->value = std::clamp(p->value, p->lower, p->upper);
}

}  // namespace

double mean_square(const GpData& data) {
  double square = 0, count = 0, largest = 0;
  for (const GpGroup& g : data.groups) {
    for (int64_t o = 0; o < g.width(); ++o) {
      const double* y = g.y.data() + o * g.count();
      double mean = 0;
      for (int64_t i = 0; i < g.count(); ++i) mean += y[i] / static_cast<double>(g.count());
      if (data.mean == Mean::kZero) mean = 0;
      for (int64_t i = 0; i < g.count(); ++i) {
        square += (y[i] - mean) * (y[i] - mean);
        largest = std::max(largest, std::abs(y[i]));
      }
      count += static_cast<double>(g.count());
    }
  }
  const double variance = square / count;
  // Equal values: what is left after their mean is rounding.
  const double least = largest > 0 ? std::max(largest * largest * 1e-16, 1e-280) : 1;
  return std::max(variance, least);
}

void start_by_data(Kernel* kernel, const GpData& data, uint64_t seed) {
  if (kernel->warped()) {
    std::vector<double> low, high;
    for (size_t k = 0; k < data.centre.size(); ++k) {
      low.push_back(data.centre[k] - 0.5 * data.scale[k]);
      high.push_back(data.centre[k] + 0.5 * data.scale[k]);
    }
    kernel->set_ranges(low, high);
  }
  const double variance = mean_square(data);
  for (KernelParameter& p : kernel->parameters()) {
    if (p.fixed) continue;
    if (p.real) {
      start_real(&p, data);
      continue;
    }
    Guess g = guess(p, data, variance, seed);
    g.value *= p.start;
    if (!p.given) p.value = g.value;
    if (p.lower == 0) p.lower = std::min(g.value * g.down, p.value * 1e-2);
    if (p.upper == kInfinity) p.upper = std::max(g.value * g.up, p.value * 1e2);
    p.value = std::clamp(p.value, p.lower, p.upper);
  }
  for (KernelParameter& p : kernel->parameters()) {
    if (p.tied_to >= 0) p.value = kernel->parameters()[static_cast<size_t>(p.tied_to)].value;
  }
}

}  // namespace covary::stat
