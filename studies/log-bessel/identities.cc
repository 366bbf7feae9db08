// Bars 2, 5 and 6 of log-bessel: identities that need no reference, gradients, and values of the literature.
#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "covary/core/base/random.h"
#include "covary/core/compute/bessel/bessel.h"
#include "covary/core/compute/bessel/bessel_regions.h"
#include "covary/core/compute/bessel/op.h"
#include "covary/stat/mixture/von_mises_fisher.h"
#include "studies/log-bessel/bars.h"

namespace covary::studies {
namespace {

using compute::bessel_ratio;
using compute::BesselKind;
using compute::BesselOptions;
using compute::log_bessel;
using eval::Bar;
using eval::StudyContext;

constexpr BesselOptions kLogI{BesselKind::kI}, kLogK{BesselKind::kK};
constexpr BesselOptions kScaledI{BesselKind::kI, true}, kScaledK{BesselKind::kK, true};

// log(I_v K_(v+1) + I_(v+1) K_v) + log x of the logarithms alone, where all four stay within `most`.
double wronskian(StudyContext& c, double most) {
  const Random random(c.seed(), stream_of("wronskian"));
  double worst = 0;
  const uint64_t n = c.smoke() ? 20000 : 400000;
  for (uint64_t i = 0; i < n; ++i) {
    const double v = std::pow(10, 5 * random.uniform(2 * i) - 2),
                 x = std::pow(10, 8 * random.uniform(2 * i + 1) - 3);
    const double i0 = log_bessel(kScaledI, v, x), i1 = log_bessel(kScaledI, v + 1, x);
    const double k0 = log_bessel(kScaledK, v, x), k1 = log_bessel(kScaledK, v + 1, x);
    if (std::max({std::fabs(i0), std::fabs(i1), std::fabs(k0), std::fabs(k1)}) > most) continue;
    const double a = i0 + k1, b = i1 + k0;
    const double sum = std::max(a, b) + std::log1p(std::exp(-std::fabs(a - b))) + std::log(x);
    worst = std::max(worst, std::fabs(sum));
  }
  return worst;
}

// I_(v-1) - I_(v+1) = 2 v / x I_v, divided by I_v: 1 / A_(v-1) - A_v = 2 v / x; of K with + for the ratios.
double recurrence(StudyContext& c) {
  const Random random(c.seed(), stream_of("recurrence"));
  double worst = 0;
  for (uint64_t i = 0; i < 20000; ++i) {
    const double v = 1 + std::pow(10, 6 * random.uniform(2 * i) - 2),
                 x = std::pow(10, 9 * random.uniform(2 * i + 1) - 3);
    const double below = 1 / bessel_ratio(BesselKind::kI, v - 1, x);
    worst = std::max(worst,
                     std::fabs(below - (2 * v / x + bessel_ratio(BesselKind::kI, v, x))) / below);
    const double at = bessel_ratio(BesselKind::kK, v, x);
    worst = std::max(worst,
                     std::fabs(at - (2 * v / x + 1 / bessel_ratio(BesselKind::kK, v - 1, x))) / at);
  }
  return worst;
}

double half_integers(StudyContext& c) {
  const Random random(c.seed(), stream_of("half"));
  const double half_log_half_pi = 0.5 * std::log(M_PI / 2);
  double worst = 0;
  const auto see = [&](double got, double closed) {
    worst = std::max(worst, std::fabs(got - closed) / std::fmax(1, std::fabs(closed)));
  };
  for (uint64_t i = 0; i < 20000; ++i) {
    const double x = std::pow(10, 9 * random.uniform(i) - 3);
    const double k = half_log_half_pi - 0.5 * std::log(x);
    see(log_bessel(kScaledK, 0.5, x), k);
    see(log_bessel(kScaledK, 1.5, x), k + std::log1p(1 / x));
    see(log_bessel(kScaledK, 2.5, x), k + std::log1p(3 / x + 3 / (x * x)));
    see(log_bessel(kScaledI, 0.5, x),
        std::log(-std::expm1(-2 * x)) - half_log_half_pi - std::log(2.0) - 0.5 * std::log(x));
  }
  return worst;
}

double three_dimensions(StudyContext&) {
  double worst = 0;
  for (double kappa = 0.5; kappa < 1e9; kappa *= 1.01) {
    const double closed = 1 / std::tanh(kappa) - 1 / kappa;
    worst = std::max(worst, std::fabs(mixture::resultant_length(3, kappa) - closed) / closed);
  }
  return worst;
}

// What a step of 1e-15 across a boundary changes beyond the slope.
double jumps(StudyContext&) {
  double worst = 0;
  const auto step = [&](double v, double x) {
    for (const BesselOptions& options : {kLogI, kLogK, kScaledI, kScaledK}) {
      const double x0 = x * (1 - 1e-15), x1 = x * (1 + 1e-15);
      double value, dx;
      compute::log_bessel_reference<double>(options, {1, &v, &x0}, {.value = &value, .dx = &dx});
      const double gap = log_bessel(options, v, x1) - value - dx * (x1 - x0);
      worst = std::max(worst, std::fabs(gap) / std::fmax(1, std::fabs(value)));
    }
  };
  for (const double square : compute::kBesselSquares) {
    const double radius = std::sqrt(square);
    for (double share = 0; share < 0.999; share += 0.001)
      step(radius * share, radius * std::sqrt(1 - share * share));
  }
  for (double v = 0; v < 20; v += 0.01) step(v, 1);
  return worst;
}

// torch's gradcheck: |analytic - numeric| <= 1e-5 + 1e-3 |numeric| at steps of 1e-6; the largest share of it, of first and
// second derivatives, at points of every region.
double gradients(StudyContext&) {
  const at::Tensor v0 = at::tensor(
      {0.3, 4.6, 17.5, 0.4, 3.0, 14.0, 7.0, 18.0, 30.0, 90.0, 3.0, 300.0, 2000.0, 0.01, 0.5},
      at::kDouble);
  const at::Tensor x0 = at::tensor(
      {0.6, 0.9, 0.1, 2.0, 9.0, 12.0, 30.0, 40.0, 10.0, 66.0, 150.0, 900.0, 700.0, 1.5, 1e4},
      at::kDouble);
  double worst = 0;
  const auto compare = [&](const at::Tensor& analytic, const at::Tensor& numeric) {
    worst = std::max(
        worst, ((analytic - numeric).abs() / (1e-5 + 1e-3 * numeric.abs())).max().item<double>());
  };
  for (const BesselOptions& options : {kLogI, kLogK, kScaledI, kScaledK}) {
    const auto slopes = [&](const at::Tensor& a, const at::Tensor& b, bool again) {
      const at::Tensor v = a.detach().requires_grad_(true), x = b.detach().requires_grad_(true);
      std::vector<at::Tensor> g =
          torch::autograd::grad({log_bessel(options, v, x).sum()}, {v, x}, {}, again, again);
      if (!again) return g;
      for (size_t i = 0; i < 2; ++i) {
        const auto second = torch::autograd::grad({g[i].sum()}, {v, x}, {}, true, false);
        g.push_back(second[0]);
        g.push_back(second[1]);
      }
      return g;
    };
    const double e = 1e-6;
    const auto numeric = [&](auto&& f) {
      return std::pair{(f(v0 + e, x0) - f(v0 - e, x0)) / (2 * e),
                       (f(v0, x0 + e) - f(v0, x0 - e)) / (2 * e)};
    };
    const std::vector<at::Tensor> g = slopes(v0, x0, true);
    const auto first = numeric(
        [&](const at::Tensor& a, const at::Tensor& b) { return log_bessel(options, a, b); });
    compare(g[0], first.first);
    compare(g[1], first.second);
    for (size_t i = 0; i < 2; ++i) {
      const auto second =
          numeric([&](const at::Tensor& a, const at::Tensor& b) { return slopes(a, b, false)[i]; });
      compare(g[2 + 2 * i], second.first);
      compare(g[3 + 2 * i], second.second);
    }
  }
  return worst;
}

double literature(StudyContext&) {
  const struct {
    double v, x, i, k;
  } known[] = {
      {0, 0.5, 0.061549719185481303941, -0.078589769869081416895},
      {0.1, 0.5, -0.032689191944409885322, -0.072477655086122359354},
      {2.5, 7.25, 4.8993871980407107532, -7.6288566693690244267},
      {12.5, 19.5, 13.128944356084052962, -16.964700641012441732},
      {15, 31, 24.751221299302213412, -28.983535001589912352},
      {3, 1500, 1495.4215336346595994, -1503.427903146751806},
      {1023, 1000, 507.83022839542616003, -515.78920349512485997},
      {1023, 10, -4424.8010147526111181, 4417.1773250313517227},
      {4095, 2000, -1445.6851950567511023, 1436.5675612466484886},
      {16383, 5000, -14044.88758179156685, 14034.445906316580332},
      {32767, 32768, 17454.690854079034451, -17466.127767299528144},
      {200, 1e6, 999992.15330630287991, -1000006.661964061404},
      {1e5, 1, -1120613.9399526164211, 1120601.7338799708409},
  };
  double worst = 0;
  const auto see = [&](double got, double told) {
    worst = std::max(worst, std::fabs(got - told) / std::fmax(1, std::fabs(told)));
  };
  for (const auto& row : known) {
    see(log_bessel(kLogI, row.v, row.x), row.i);
    see(log_bessel(kLogK, row.v, row.x), row.k);
  }
  const struct {
    int64_t d;
    double kappa, length;
  } lengths[] = {{3, 5, 0.800090803982019376},
                 {128, 50, 0.344762234110061755},
                 {2048, 1000, 0.407325217429012233},
                 {8192, 4000, 0.407294858849273795},
                 {32768, 20000, 0.473509291381896602}};
  for (const auto& row : lengths) see(mixture::resultant_length(row.d, row.kappa), row.length);
  return worst;
}

}  // namespace

std::vector<Bar> bessel_identity_bars() {
  return {
      at_most("2", "a", "Wronskian I_v K_(v+1) + I_(v+1) K_v = 1/x, logs up to 250",
              "difference of logs", 1e-13, [](StudyContext& c) { return wronskian(c, 250); }),
      // Half a unit in the last place of a logarithm of 1,000 is 5.7e-14, and each product has two.
      at_most("2", "b", "the same, logs up to 1,000", "difference of logs", 4.6e-13,
              [](StudyContext& c) { return wronskian(c, 1000); }),
      at_most("2", "c", "recurrences over orders, by the ratios", "relative difference", 1e-14,
              recurrence),
      at_most("2", "d", "orders 1/2, 3/2 and 5/2 against their closed forms",
              "error / max(1, |log|)", 7.1e-15, half_integers),
      at_most("2", "e", "mean resultant length in 3 dimensions = coth k - 1/k",
              "relative difference", 1e-14, three_dimensions),
      at_most("2", "f", "jump across every boundary between regions", "jump / max(1, |log|)", 1e-13,
              jumps),
      at_most("5", "", "torch's gradcheck in order and argument, first and second",
              "largest share of its tolerance", 1, gradients),
      at_most("6", "", "values of the literature, 20 digits", "error / max(1, |log|)", 4e-15,
              literature)};
}

}  // namespace covary::studies
