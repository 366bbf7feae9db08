#include "covary/stat/process/eigen_spectrum.h"

#include <algorithm>
#include <cmath>

namespace covary::stat {

bool EigenDensity::knows(const std::string& density) {
  return density == "rbf" || density == "matern12" || density == "matern32" ||
         density == "matern52" || density == "matern";
}

EigenSpectrum eigen_spectrum(const EigenDensity& density, std::span<const double> eigenvalues,
                             double lengthscale, double nu) {
  if (density.density == "matern12") nu = 0.5;
  if (density.density == "matern32") nu = 1.5;
  if (density.density == "matern52") nu = 2.5;
  const bool rbf = density.density == "rbf";
  const double power = nu + 0.5 * static_cast<double>(density.dimension);
  const double square = lengthscale * lengthscale, rest = 2 * nu / square;
  const size_t n = eigenvalues.size();
  EigenSpectrum s{std::vector<double>(n), std::vector<double>(n), std::vector<double>(n)};
  // Logarithms first: of a long length scale all weights but the first would be 0.
  for (size_t i = 0; i < n; ++i) {
    const double lambda = eigenvalues[i];
    if (rbf) {
      s.weight[i] = -0.5 * square * lambda;
      s.by_log_lengthscale[i] = -square * lambda;
      continue;
    }
    const double sum = rest + lambda;
    s.weight[i] = -power * std::log(sum);
    s.by_log_lengthscale[i] = 2 * power * rest / sum;
    s.by_log_nu[i] = -nu * std::log(sum) - power * rest / sum;
  }
  const double most = n > 0 ? *std::max_element(s.weight.begin(), s.weight.end()) : 0;
  double total = 0;
  for (double& w : s.weight) total += w = std::exp(w - most);
  double mean_l = 0, mean_nu = 0;
  for (size_t i = 0; i < n; ++i) {
    s.weight[i] /= total;
    mean_l += s.weight[i] * s.by_log_lengthscale[i];
    mean_nu += s.weight[i] * s.by_log_nu[i];
  }
  for (size_t i = 0; i < n; ++i) {
    s.by_log_lengthscale[i] -= mean_l;
    s.by_log_nu[i] -= mean_nu;
  }
  return s;
}

}  // namespace covary::stat
