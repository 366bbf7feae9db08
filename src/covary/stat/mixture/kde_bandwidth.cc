#include "covary/stat/mixture/kde_bandwidth.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace covary::mixture {
namespace {

constexpr int64_t kBins = 4096;
constexpr int kStages = 7;
constexpr double kPi = std::numbers::pi;

// t - xi gamma^[l](t): its root is the square of the width, in units of the histogram's range.
// squares [kBins]: a_k^2 / 4 of the cosine series, from k = 1.
double excess(double t, double n, const std::vector<double>& squares) {
  const auto functional = [&](int s, double time) {
    double sum = 0;
    for (size_t k = 1; k < squares.size(); ++k) {
      const double i = static_cast<double>(k * k);
      const double decay = -i * kPi * kPi * time;
      if (decay < -700) break;  // later terms are smaller yet
      sum += std::pow(i, s) * squares[k] * std::exp(decay);
    }
    return 2 * std::pow(kPi, 2 * s) * sum;
  };
  double f = functional(kStages, t);
  for (int s = kStages - 1; s >= 2; --s) {
    double odd = 1;
    for (int m = 1; m <= 2 * s - 1; m += 2) odd *= m;
    const double factor = (1 + std::pow(0.5, s + 0.5)) / 3;
    const double time =
        std::pow(2 * factor * odd / (n * std::sqrt(kPi / 2) * f), 2.0 / (3 + 2 * s));
    f = functional(s, time);
  }
  return t - std::pow(2 * n * std::sqrt(kPi) * f, -0.4);
}

}  // namespace

double scott_factor(double n, int64_t d) { return std::pow(n, -1.0 / static_cast<double>(d + 4)); }

double silverman_factor(double n, int64_t d) {
  const double dd = static_cast<double>(d);
  return std::pow(n * (dd + 2) / 4, -1 / (dd + 4));
}

double improved_sheather_jones(const double* x, const double* weights, int64_t n) {
  const auto [low, high] = std::minmax_element(x, x + n);
  const double width = *high - *low;
  if (!(width > 0)) return 0;
  const double from = *low - width / 10, range = 1.2 * width;
  std::vector<double> bins(kBins, 0.0);
  double total = 0, squares_of_weights = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double w = weights ? weights[i] : 1.0;
    const double place = (x[i] - from) / range * kBins;
    bins[static_cast<size_t>(std::clamp<int64_t>(static_cast<int64_t>(place), 0, kBins - 1))] += w;
    total += w;
    squares_of_weights += w * w;
  }
  // Repeated values say nothing new of the width: n counts distinct ones.
  std::vector<double> sorted(x, x + n);
  std::sort(sorted.begin(), sorted.end());
  const double distinct =
      static_cast<double>(std::unique(sorted.begin(), sorted.end()) - sorted.begin());
  const double rows = std::min(distinct, total * total / squares_of_weights);
  // Cosine series a_k = 2 sum_j p_j cos(pi k (j + 1/2) / bins), from one table of cosines.
  std::vector<double> cosine(4 * kBins);
  for (int64_t i = 0; i < 4 * kBins; ++i) {
    cosine[static_cast<size_t>(i)] = std::cos(kPi * static_cast<double>(i) / (2 * kBins));
  }
  std::vector<double> squares(kBins, 0.0);
  for (int64_t k = 1; k < kBins; ++k) {
    double a = 0;
    for (int64_t j = 0; j < kBins; ++j) {
      const double p = bins[static_cast<size_t>(j)];
      if (p != 0) a += p * cosine[static_cast<size_t>(k * (2 * j + 1) % (4 * kBins))];
    }
    squares[static_cast<size_t>(k)] = (a / total) * (a / total);
  }
  // The smallest root: from below, then halved to the last digit.
  double below = 0, above = 1e-12;
  while (above < 0.1 && !(excess(above, rows, squares) > 0)) {
    below = above;
    above *= 1.5;
  }
  if (!(above < 0.1)) return 0;
  for (int i = 0; i < 100; ++i) {
    const double middle = 0.5 * (below + above);
    (excess(middle, rows, squares) > 0 ? above : below) = middle;
  }
  return std::sqrt(above) * range;
}

}  // namespace covary::mixture
