#include "covary/stat/mixture/von_mises_fisher.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/bessel/bessel.h"
#include "covary/core/linalg/blas.h"

namespace covary::mixture {
namespace {

constexpr double kLog2Pi = 1.8378770664093454836;
constexpr const char* kWhere = "von Mises-Fisher";

[[noreturn]] void refuse(const std::string& what, const std::string& hint) {
  throw Error(ExitCode::kData, what, kWhere, hint);
}

double order_of(int64_t d) {
  if (d < 2) refuse("needs at least 2 dimensions", "pass rows of 2 numbers or more");
  return 0.5 * static_cast<double>(d) - 1;
}

double dot(const double* a, const double* b, int64_t d) {
  double s = 0;
  for (int64_t i = 0; i < d; ++i) s += a[i] * b[i];
  return s;
}

// The random numbers of one row, in turn.
class Draws {
 public:
  Draws(uint64_t seed, uint64_t row) : random_(seed, stream_of("von_mises_fisher.radius", row)) {}
  double uniform() { return random_.uniform(next_++); }
  double normal() { return random_.normal(next_++); }

  // Gamma of shape a >= 1/2 and scale 1 (Marsaglia and Tsang 2000).
  double gamma(double a) {
    if (a < 1) return gamma(a + 1) * std::pow(1 - uniform(), 1 / a);
    const double d = a - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
      const double z = normal(), t = 1 + c * z;
      if (t <= 0) continue;
      const double v = t * t * t;
      if (std::log(1 - uniform()) < 0.5 * z * z + d * (1 - v + std::log(v))) return d * v;
    }
  }

 private:
  Random random_;
  uint64_t next_ = 0;
};

// The part along the mean as 1 - w, which keeps its digits for large kappa (Wood 1994, VM*).
double height_below_mean(int64_t dimension, double kappa, Draws& draws) {
  const double d1 = static_cast<double>(dimension - 1);
  const double b = d1 / (2 * kappa + std::sqrt(4 * kappa * kappa + d1 * d1));
  const double x0 = (1 - b) / (1 + b);
  const double one_less_x0 = 2 * b / (1 + b);
  for (;;) {
    const double g1 = draws.gamma(0.5 * d1), g2 = draws.gamma(0.5 * d1);
    const double z = g1 / (g1 + g2);
    const double below = 2 * b * z / (1 - (1 - b) * z);  // 1 - w
    const double w = 1 - below;
    // kappa (w - x0) + (d-1) log((1 - x0 w) / (1 - x0^2))
    const double inner = one_less_x0 + x0 * below;
    const double ratio = inner / (one_less_x0 * (1 + x0));
    if (kappa * (w - x0) + d1 * std::log(ratio) >= std::log(1 - draws.uniform())) return below;
  }
}

}  // namespace

double resultant_length(int64_t d, double kappa) {
  return compute::bessel_ratio(compute::BesselKind::kI, order_of(d), kappa);
}

double resultant_slope(int64_t d, double kappa) {
  if (kappa == 0) return 1 / static_cast<double>(d);
  const double v = order_of(d);
  if (kappa < static_cast<double>(d)) {
    const double a = resultant_length(d, kappa);
    return (1 - a) * (1 + a) - (2 * v + 1) * (a / kappa);
  }
  // There all of this cancels; A = L' - v/kappa for L = log I_v, whose expansion is in 1/kappa.
  double dxx;
  compute::log_bessel_reference<double>({compute::BesselKind::kI}, {1, &v, &kappa}, {.dxx = &dxx});
  return dxx + v / kappa / kappa;
}

double concentration(int64_t d, double length, int* steps) {
  order_of(d);
  if (steps) *steps = 0;
  if (!(length >= 0 && length <= 1)) {
    refuse("a mean resultant length lies in [0, 1]", "it is |sum of unit rows| / number of rows");
  }
  if (length == 0) return 0;
  if (length == 1) return std::numeric_limits<double>::infinity();
  const double n = static_cast<double>(d), rest = (1 - length) * (1 + length);
  // Amos: A > kappa / (a + sqrt(kappa^2 + b^2)) with a = (d-1)/2 and b = (d+1)/2, and A < that with b = a.
  const double half = 0.5 * (n - 1);
  const double low = length * 2 * half / rest;
  const double high = length * (half + std::sqrt(half * half + rest * n)) / rest;
  double kappa = std::clamp(length * (n - length * length) / rest, low, high);
  double last = std::numeric_limits<double>::infinity();
  for (int step = 1; step <= 50; ++step) {
    const double change = (resultant_length(d, kappa) - length) / resultant_slope(d, kappa);
    // Beyond rounding a step is a small part of the one before.
    if (!(std::fabs(change) < 0.5 * last)) break;
    kappa = std::clamp(kappa - change, low, high);
    if (steps) *steps = step;
    if (std::fabs(change) <= 1e-14 * kappa) break;
    last = std::fabs(change);
  }
  return kappa;
}

double log_peak_density(int64_t d, double kappa) {
  const double v = order_of(d), half = 0.5 * static_cast<double>(d);
  if (kappa == 0) {  // one over the sphere's area
    int sign;
    return ::lgamma_r(half, &sign) - half * (kLog2Pi - std::log(2.0)) - std::log(2.0);
  }
  return v * std::log(kappa) - half * kLog2Pi -
         compute::log_bessel({compute::BesselKind::kI, true}, v, kappa);
}

at::Tensor VonMisesFisher::log_density(const at::Tensor& rows) const {
  const int64_t d = dimension();
  if (rows.dim() != 2 || rows.size(1) != d) {
    refuse("rows have another dimension than the mean", "pass [N, " + std::to_string(d) + "]");
  }
  const at::Tensor cosine =
      cosines(rows.to(at::kDouble).contiguous(), mean.contiguous().unsqueeze(0)).squeeze(1);
  return log_peak_density(d, kappa) + kappa * (cosine - 1);
}

at::Tensor VonMisesFisher::sample(int64_t n, uint64_t seed) const {
  const int64_t d = dimension();
  order_of(d);
  const at::Tensor m = mean.contiguous(), out = at::empty({n, d}, at::kDouble);
  const double* mu = m.data_ptr<double>();
  parallel_for(n, loop_grain(40 * d), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double* x = out.data_ptr<double>() + i * d;
      Draws draws(seed, static_cast<uint64_t>(i));
      const double below = height_below_mean(d, kappa, draws);
      const Random across(seed, stream_of("von_mises_fisher.across", static_cast<uint64_t>(i)));
      double squares = 0;
      for (int64_t k = 1; k < d; ++k) {
        x[k] = across.normal(static_cast<uint64_t>(k));
        squares += x[k] * x[k];
      }
      const double scale = std::sqrt(below * (2 - below) / squares);
      x[0] = 1 - below;
      for (int64_t k = 1; k < d; ++k) x[k] *= scale;
      // The Householder reflection along u = e_1 - mean; |u|^2 = 2 (1 - mean_1).
      const double half_norm = 1 - mu[0];
      if (half_norm < 1e-15) continue;
      const double along = (x[0] - dot(x, mu, d)) / half_norm;
      x[0] -= along;
      for (int64_t k = 0; k < d; ++k) x[k] += along * mu[k];
    }
  });
  return out;
}

at::Tensor cosines(const at::Tensor& rows, const at::Tensor& means) {
  const int64_t n = rows.size(0), d = rows.size(1), k = means.size(0);
  constexpr int64_t kRows = 512;
  const at::Tensor out = at::empty({n, k}, at::kDouble);
  parallel_for((n + kRows - 1) / kRows, 1, [&](int64_t begin, int64_t end) {
    const linalg::OneBlasThread one;
    for (int64_t block = begin; block < end; ++block) {
      const int64_t row = block * kRows;
      linalg::gemm(false, true, std::min(kRows, n - row), k, d, 1,
                   rows.data_ptr<double>() + row * d, d, means.data_ptr<double>(), d, 0,
                   out.data_ptr<double>() + row * k, k);
    }
  });
  return out;
}

int64_t loop_grain(int64_t operations) {
  return std::max<int64_t>(1, 100000 / std::max<int64_t>(1, operations));
}

at::Tensor unit_rows(const at::Tensor& rows, bool normalise) {
  if (!rows.defined() || rows.dim() != 2 || rows.size(0) == 0) {
    refuse("needs rows [N,d]", "pass a matrix with a direction a row");
  }
  order_of(rows.size(1));
  at::Tensor x = rows.detach().to(at::kDouble).contiguous();
  if (normalise) x = x.clone();
  const int64_t n = x.size(0), d = x.size(1);
  double* data = x.data_ptr<double>();
  std::vector<double> norms(static_cast<size_t>(n));
  parallel_for(n, loop_grain(d), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double* row = data + i * d;
      double scale = 0;  // squares of tiny or huge entries would leave the range
      for (int64_t k = 0; k < d; ++k) scale = std::max(scale, std::fabs(row[k]));
      double norm = std::sqrt(dot(row, row, d));
      if (normalise && scale > 0 && std::isfinite(scale) && !(norm > 1e-140 && norm < 1e140)) {
        for (int64_t k = 0; k < d; ++k) row[k] /= scale;
        norm = std::sqrt(dot(row, row, d));
      }
      norms[static_cast<size_t>(i)] = norm;
      for (int64_t k = 0; normalise && norm > 0 && k < d; ++k) row[k] /= norm;
    }
  });
  // The first row of the worst kind, and how many are like it.
  const auto name = [&](const auto& is_bad, const std::string& what, const std::string& hint) {
    int64_t first = -1, count = 0;
    for (int64_t i = 0; i < n; ++i) {
      if (!is_bad(norms[static_cast<size_t>(i)])) continue;
      if (first < 0) first = i;
      ++count;
    }
    if (count == 0) return;
    std::string text = "row " + std::to_string(first) + " " + what;
    if (what.ends_with("length ")) text += std::to_string(norms[static_cast<size_t>(first)]);
    if (count > 1) text += " (and " + std::to_string(count - 1) + " rows more)";
    refuse(text, hint);
  };
  name([](double norm) { return !std::isfinite(norm); }, "is not finite", "drop it");
  name([](double norm) { return norm == 0; }, "is zero: it has no direction", "drop it");
  if (!normalise) {
    name([](double norm) { return std::fabs(norm - 1) > 1e-6; },
         "is no unit vector: it has length ",
         "normalise the rows: --normalise, or .normalise = true");
  }
  return x;
}

at::Tensor row_weights(const at::Tensor& weights, int64_t n) {
  if (!weights.defined()) return at::ones({n}, at::kDouble);
  if (weights.dim() != 1 || weights.size(0) != n) {
    refuse("needs a weight a row", "pass [" + std::to_string(n) + "]");
  }
  const at::Tensor w = weights.detach().to(at::kDouble).contiguous();
  double total = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double value = w.data_ptr<double>()[i];
    if (!(value >= 0 && std::isfinite(value))) {
      refuse("weight " + std::to_string(i) + " is negative or not finite", "weights are >= 0");
    }
    total += value;
  }
  if (total == 0) refuse("all weights are zero", "give some row a weight");
  return w;
}

VonMisesFisherFit fit_von_mises_fisher(const at::Tensor& rows, const at::Tensor& weights,
                                       const VonMisesFisherOptions& options) {
  const at::Tensor x = unit_rows(rows, options.normalise), w = row_weights(weights, x.size(0));
  const int64_t n = x.size(0), d = x.size(1);
  const double *data = x.data_ptr<double>(), *weight = w.data_ptr<double>();
  const at::Tensor sum = at::zeros({d}, at::kDouble);
  double* s = sum.data_ptr<double>();
  // Columns are shared out, rows are added in their order: the same bits at any number of threads.
  parallel_for(d, std::max<int64_t>(256, loop_grain(n)), [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t k = begin; k < end; ++k) s[k] += weight[i] * data[i * d + k];
    }
  });
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += weight[i];
  const double norm = std::sqrt(dot(s, s, d));

  VonMisesFisherFit fit;
  fit.length = norm / total;
  // Rounding of n unit rows: below it they cancel, above they agree.
  constexpr double kSame = 4 * std::numeric_limits<double>::epsilon();
  if (fit.length >= 1 - kSame) {
    refuse("all rows are the same direction: kappa is infinite", "give rows that differ");
  }
  if (fit.length <= std::numeric_limits<double>::epsilon()) {
    fit.length = 0;
    fit.model.mean = at::zeros({d}, at::kDouble);
    fit.model.mean.data_ptr<double>()[0] = 1;
  } else {
    fit.model.mean = sum / norm;
  }
  fit.model.kappa = concentration(d, fit.length, &fit.newton_steps);
  fit.kappa_error = 1 / std::sqrt(total * resultant_slope(d, fit.model.kappa));
  fit.log_likelihood =
      total * (log_peak_density(d, fit.model.kappa) + fit.model.kappa * (fit.length - 1));
  return fit;
}

}  // namespace covary::mixture
