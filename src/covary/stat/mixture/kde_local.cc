#include "covary/stat/mixture/kde_local.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "covary/core/base/threads.h"
#include "covary/core/compute/knn/knn.h"

namespace covary::mixture {
namespace {

double held(double factor) { return std::clamp(factor, kLeastFactor, kMostFactor); }

}  // namespace

std::vector<double> square_root_factors(const at::Tensor& log_density,
                                        const std::vector<double>& weights) {
  const double* f = log_density.data_ptr<double>();
  double sum = 0, total = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    sum += weights[i] * f[i];
    total += weights[i];
  }
  std::vector<double> out(weights.size(), 1.0);
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0) out[i] = held(std::exp(-0.5 * (f[i] - sum / total)));
  }
  return out;
}

std::vector<double> neighbour_factors(const std::vector<double>& x, int64_t n, int64_t d,
                                      int64_t k) {
  std::vector<double> squares(static_cast<size_t>(n));
  if (d <= 3) {
    std::vector<double> padded(static_cast<size_t>(3 * n), 0.0);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < d; ++j)
        padded[static_cast<size_t>(3 * i + j)] = x[static_cast<size_t>(i * d + j)];
    }
    std::vector<int64_t> ids(static_cast<size_t>(n * k));
    std::vector<double> all(static_cast<size_t>(n * k));
    compute::knn<double>(padded.data(), n, static_cast<int>(k), ids.data(), all.data());
    for (int64_t i = 0; i < n; ++i)
      squares[static_cast<size_t>(i)] = all[static_cast<size_t>(i * k + k - 1)];
  } else {
    parallel_for(n, 16, [&](int64_t begin, int64_t end) {
      std::vector<double> row(static_cast<size_t>(n));
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t other = 0; other < n; ++other) {
          double s = 0;
          for (int64_t j = 0; j < d; ++j) {
            const double z =
                x[static_cast<size_t>(i * d + j)] - x[static_cast<size_t>(other * d + j)];
            s += z * z;
          }
          row[static_cast<size_t>(other)] = s;
        }
        row[static_cast<size_t>(i)] = std::numeric_limits<double>::infinity();
        std::nth_element(row.begin(), row.begin() + k - 1, row.end());
        squares[static_cast<size_t>(i)] = row[static_cast<size_t>(k - 1)];
      }
    });
  }
  double least = std::numeric_limits<double>::infinity();
  for (const double s : squares)
    if (s > 0) least = std::min(least, s);
  std::vector<double> out(static_cast<size_t>(n), 1.0);
  if (!std::isfinite(least)) return out;
  double logs = 0;
  for (double& s : squares) {
    s = 0.5 * std::log(std::max(s, least));
    logs += s;
  }
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = held(std::exp(squares[i] - logs / static_cast<double>(n)));
  return out;
}

}  // namespace covary::mixture
