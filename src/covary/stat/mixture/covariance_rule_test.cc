#include "covary/stat/mixture/covariance_rule.h"

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <Eigen/Dense>

#include "covary/core/base/random.h"
#include "covary/stat/mixture/gaussian_mixture_options.h"

namespace covary::mixture {
namespace {

using compute::CovarianceType;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Scatters {
  int64_t k, d;
  std::vector<double> masses;
  std::vector<Matrix> own;
};

Scatters scatters(int64_t k, int64_t d) {
  Scatters s{k, d, {}, {}};
  const Random random(17);
  uint64_t draw = 0;
  for (int64_t c = 0; c < k; ++c) {
    s.masses.push_back(10 + 7 * static_cast<double>(c));
    Matrix a(d, 2 * d);
    for (int64_t i = 0; i < a.size(); ++i) a.data()[i] = random.normal(draw++);
    for (int64_t i = 0; i < d; ++i) a.row(i) *= 1 + static_cast<double>(i + c);
    s.own.push_back(a * a.transpose() / static_cast<double>(2 * d));
  }
  return s;
}

// What the M-step maximises: sum n (-log |S| - tr(S^-1 W / n)) / 2.
double objective(const Scatters& s, const std::vector<Matrix>& of) {
  double sum = 0;
  for (size_t c = 0; c < of.size(); ++c) {
    sum -=
        0.5 * s.masses[c] * (std::log(of[c].determinant()) + of[c].ldlt().solve(s.own[c]).trace());
  }
  return sum;
}

std::vector<Matrix> constrained(const Scatters& s, const std::string& name) {
  const bool diagonal = base_type(name) == CovarianceType::kDiagonal;
  std::vector<double> c;
  for (const Matrix& m : s.own) {
    for (int64_t i = 0; i < s.d; ++i) {
      for (int64_t j = 0; j < s.d; ++j) {
        if (!diagonal || i == j) c.push_back(m(i, j));
      }
    }
  }
  RuleState state;
  const std::vector<double> none(static_cast<size_t>(s.d), 0.0);
  constrain(rule_of(name), s.k, s.d, 1, s.masses, none, c, state);
  std::vector<Matrix> out;
  for (int64_t i = 0; i < s.k; ++i) {
    if (diagonal) {
      out.push_back(Eigen::Map<Eigen::VectorXd>(c.data() + i * s.d, s.d).asDiagonal());
    } else {
      out.push_back(Eigen::Map<Matrix>(c.data() + i * s.d * s.d, s.d, s.d));
    }
  }
  return out;
}

// Covariances in two dimensions from free numbers: logs of volumes, logs of half the ratio of axes,
// and angles, each one for all or one a component.
std::vector<Matrix> from_free(const Scatters& s, const std::string& name,
                              const std::vector<double>& free) {
  size_t at = 0;
  std::vector<double> part[3];
  for (int letter = 0; letter < 3; ++letter) {
    const char l = name[static_cast<size_t>(letter)];
    for (int64_t c = 0; c < s.k; ++c) {
      if (l == 'I') {
        part[letter].push_back(0);
      } else if (l == 'E' && c > 0) {
        part[letter].push_back(part[letter][0]);
      } else {
        part[letter].push_back(free[at++]);
      }
    }
  }
  std::vector<Matrix> out;
  for (size_t c = 0; c < static_cast<size_t>(s.k); ++c) {
    const Eigen::Rotation2Dd turn(part[2][c]);
    Matrix a = Matrix::Zero(2, 2);
    a(0, 0) = std::exp(part[0][c] + part[1][c]);
    a(1, 1) = std::exp(part[0][c] - part[1][c]);
    out.push_back(turn.toRotationMatrix() * a * turn.toRotationMatrix().transpose());
  }
  return out;
}

// The best of several searches along the coordinates, with strides that halve.
double best_by_search(const Scatters& s, const std::string& name) {
  double best = -1e300;
  for (int start = 0; start < 6; ++start) {
    std::vector<double> free(static_cast<size_t>(3 * s.k), 0.0);
    const Random random(static_cast<uint64_t>(start));
    for (size_t i = 0; i < free.size(); ++i) free[i] = 2 * random.normal(i);
    double now = objective(s, from_free(s, name, free));
    for (double stride = 1; stride > 1e-9;) {
      bool moved = false;
      for (double& v : free) {
        for (const double by : {stride, -stride}) {
          v += by;
          const double then = objective(s, from_free(s, name, free));
          if (then > now) {
            now = then;
            moved = true;
          } else {
            v -= by;
          }
        }
      }
      if (!moved) stride /= 2;
    }
    best = std::max(best, now);
  }
  return best;
}

TEST(CovarianceRule, EveryMStepIsTheMaximumInTwoDimensions) {
  const Scatters s = scatters(3, 2);
  for (const char* name : {"VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV"}) {
    EXPECT_NEAR(objective(s, constrained(s, name)), best_by_search(s, name), 1e-6) << name;
  }
}

// In more dimensions: no small turn or stretch, within the rule, is better.
TEST(CovarianceRule, CommonAxesAreStationary) {
  const Scatters s = scatters(4, 5);
  for (const char* name : {"EVE", "VVE"}) {
    const auto found = constrained(s, name);
    const double top = objective(s, found);
    for (int64_t a = 0; a < 5; ++a) {
      for (int64_t b = a + 1; b < 5; ++b) {
        for (const double angle : {1e-3, -1e-3}) {
          Matrix turn = Matrix::Identity(5, 5);
          turn(a, a) = turn(b, b) = std::cos(angle);
          turn(a, b) = std::sin(angle);
          turn(b, a) = -std::sin(angle);
          auto turned = found;
          for (Matrix& m : turned) m = (turn * m * turn.transpose()).eval();
          EXPECT_LE(objective(s, turned), top + 1e-9) << name << " " << a << " " << b;
        }
      }
    }
  }
}

TEST(CovarianceRule, WhatFitsTheRuleStays) {
  const Scatters s = scatters(3, 4);
  for (const std::string& name : kMclustCovariances) {
    if (base_type(name) != CovarianceType::kFull) continue;
    Scatters again = s;
    again.own = constrained(s, name);
    const auto twice = constrained(again, name);
    for (size_t c = 0; c < 3; ++c)
      EXPECT_LT((twice[c] - again.own[c]).norm(), 1e-7 * again.own[c].norm()) << name;
  }
}

TEST(CovarianceRule, AComponentWithoutMassIsLeftAlone) {
  Scatters s = scatters(3, 3);
  s.masses[1] = 0;
  for (const char* name : {"VEI", "EVI", "VEE", "EVE", "VVE", "EVV"}) {
    const auto found = constrained(s, name);
    const Matrix was = base_type(name) == CovarianceType::kDiagonal
                           ? Matrix(s.own[1].diagonal().asDiagonal())
                           : s.own[1];
    EXPECT_EQ((found[1] - was).norm(), 0) << name;
    for (const Matrix& m : found) EXPECT_TRUE(m.allFinite()) << name;
  }
}

// Scatters of too few rows have no spread in some direction.
TEST(CovarianceRule, SingularScattersStayFinite) {
  Scatters s = scatters(3, 4);
  s.own[0].setZero();
  s.own[0](0, 0) = 1;
  s.own[2].setZero();
  for (const std::string& name : kMclustCovariances) {
    if (base_type(name) == CovarianceType::kTied || base_type(name) == CovarianceType::kSpherical)
      continue;
    for (const Matrix& m : constrained(s, name)) EXPECT_TRUE(m.allFinite()) << name;
  }
}

}  // namespace
}  // namespace covary::mixture
