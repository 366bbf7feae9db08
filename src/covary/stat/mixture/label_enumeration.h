// For tests: a Bayesian mixture's law of labels written out, the sum over all k^n of them; closed
// forms by dense determinants, apart from what the fits use.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include <ATen/ATen.h>

namespace covary::mixture {

struct EnumeratedModel {
  int64_t components = 3;
  bool process = true;  // sticks, or a finite Dirichlet
  double concentration = 0.7, mean_strength = 0.3, degrees = 4, prior_share = 0.5;
};

// log evidence of rows [n,d] under one component (Murphy 2007, Conjugate Bayesian analysis of the
// Gaussian distribution, equation 266), with the prior that `of` [m,d] suggests.
inline double component_evidence(const at::Tensor& rows, const at::Tensor& of,
                                 const EnumeratedModel& m) {
  if (rows.size(0) == 0) return 0;
  const at::Tensor centre = of.mean(0), variance = (of - centre).square().mean(0);
  const at::Tensor before = at::diag(variance) * m.prior_share * (m.degrees - 2);
  const double n = double(rows.size(0)), d = double(rows.size(1)), nu0 = m.degrees + d - 1;
  const double nu = nu0 + n, beta = m.mean_strength + n;
  const at::Tensor mean = rows.mean(0), away = (mean - centre).unsqueeze(1);
  const at::Tensor after =
      before + (rows - mean).t().mm(rows - mean) + m.mean_strength * n / beta * away.mm(away.t());
  double v = -n * d / 2 * std::log(M_PI) + nu0 / 2 * std::log(at::det(before).item<double>()) -
             nu / 2 * std::log(at::det(after).item<double>()) +
             d / 2 * std::log(m.mean_strength / beta);
  for (int64_t i = 0; i < rows.size(1); ++i)
    v += std::lgamma((nu - double(i)) / 2) - std::lgamma((nu0 - double(i)) / 2);
  return v;
}

struct EnumeratedLabels {
  double log_evidence = 0;
  double occupied = 0;  // posterior mean of the number of components with a row
  at::Tensor together;  // [n,n], posterior probability that two rows share a component
};

// rows [n,d]; the prior is what `of` suggests, the rows themselves unless it is given.
inline EnumeratedLabels enumerate_labels(const at::Tensor& rows, const EnumeratedModel& m,
                                         const at::Tensor& of = {}) {
  const int64_t n = rows.size(0), k = m.components;
  const double gamma = m.concentration;
  std::vector<double> of_rows;  // by the mask of a component's rows
  for (int64_t mask = 0; mask < int64_t{1} << n; ++mask) {
    std::vector<int64_t> own;
    for (int64_t i = 0; i < n; ++i)
      if (mask >> i & 1) own.push_back(i);
    of_rows.push_back(component_evidence(rows.index_select(0, at::tensor(own, at::kLong)),
                                         of.defined() ? of : rows, m));
  }
  const auto log_beta = [](double a, double b) {
    return std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b);
  };
  int64_t codes = 1;
  for (int64_t i = 0; i < n; ++i) codes *= k;
  std::vector<double> terms;
  const auto masks_of = [&](int64_t code) {
    std::vector<int64_t> mask(size_t(k), 0);
    for (int64_t i = 0; i < n; ++i, code /= k) mask[size_t(code % k)] |= int64_t{1} << i;
    return mask;
  };
  for (int64_t code = 0; code < codes; ++code) {
    double log_p = 0, after = double(n);
    const std::vector<int64_t> masks = masks_of(code);
    for (int64_t c = 0; c < k; ++c) {
      const double count = double(__builtin_popcountll(uint64_t(masks[size_t(c)])));
      log_p += of_rows[size_t(masks[size_t(c)])];
      after -= count;
      if (!m.process)
        log_p += std::lgamma(gamma + count) - std::lgamma(gamma);
      else if (c + 1 < k)
        log_p += log_beta(1 + count, gamma + after) - log_beta(1, gamma);
    }
    if (!m.process)
      log_p += std::lgamma(double(k) * gamma) - std::lgamma(double(k) * gamma + double(n));
    terms.push_back(log_p);
  }
  EnumeratedLabels out;
  out.log_evidence = at::logsumexp(at::tensor(terms, at::kDouble), 0).item<double>();
  out.together = at::zeros({n, n}, at::kDouble);
  for (int64_t code = 0; code < codes; ++code) {
    const double p = std::exp(terms[size_t(code)] - out.log_evidence);
    for (const int64_t mask : masks_of(code)) {
      out.occupied += mask ? p : 0;
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < n; ++j)
          if ((mask >> i & 1) && (mask >> j & 1)) out.together.data_ptr<double>()[i * n + j] += p;
    }
  }
  return out;
}

}  // namespace covary::mixture
