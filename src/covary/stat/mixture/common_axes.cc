#include "covary/stat/mixture/common_axes.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <Eigen/Dense>
#include <Eigen/Eigenvalues>

namespace covary::mixture {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using MatrixMap = Eigen::Map<Matrix>;
using Vector = Eigen::VectorXd;

constexpr int kTurns = 1000;
constexpr double kSettled = 1e-14;  // of the objective, a number a row

struct Part {
  int64_t component;
  double mass;
  Matrix own;     // S
  Matrix turned;  // D' S D
  Vector values;  // v A
};

// The best v A of all parts for their turned covariances; sum_k n_k log |v A| / n, to be small.
double set_values(bool own_volume, double least, std::vector<Part>& parts) {
  double total = 0, volume = 0, objective = 0;
  for (Part& p : parts) {
    p.values = p.turned.diagonal().cwiseMax(least);
    total += p.mass;
    volume += p.mass * std::exp(p.values.array().log().mean());
  }
  volume /= total;
  for (Part& p : parts) {
    if (!own_volume) p.values *= volume / std::exp(p.values.array().log().mean());
    objective += p.mass * p.values.array().log().sum();
  }
  return objective / total;
}

// Turns axes a and b to where they fit the values best.
void turn_pair(int64_t a, int64_t b, std::vector<Part>& parts, Matrix& axes) {
  // The trace in the plane is constant but for this form of the first axis, to be least.
  double aa = 0, ab = 0, bb = 0;
  for (const Part& p : parts) {
    const double w = p.mass * (1 / p.values(a) - 1 / p.values(b));
    aa += w * p.turned(a, a);
    ab += w * p.turned(a, b);
    bb += w * p.turned(b, b);
  }
  // The eigenvector of the smaller eigenvalue, on the side of a.
  const double angle = 0.5 * std::atan2(-2 * ab, bb - aa);
  const double c = std::cos(angle), s = std::sin(angle);
  if (s == 0) return;
  const auto turn = [&](auto&& x, auto&& y) {
    const auto old = x.eval();
    x = c * old + s * y;
    y = c * y - s * old;
  };
  turn(axes.col(a), axes.col(b));
  for (Part& p : parts) {
    turn(p.turned.col(a), p.turned.col(b));
    turn(p.turned.row(a), p.turned.row(b));
  }
}

// From the axes on; the objective at the end.
double improve(bool own_volume, double least, std::vector<Part>& parts, Matrix& axes) {
  const int64_t d = axes.rows();
  for (Part& p : parts) p.turned = axes.transpose() * p.own * axes;
  double objective = set_values(own_volume, least, parts);
  for (int turn = 0; turn < kTurns; ++turn) {
    for (int64_t a = 0; a < d; ++a) {
      for (int64_t b = a + 1; b < d; ++b) turn_pair(a, b, parts, axes);
    }
    const double before = objective;
    objective = set_values(own_volume, least, parts);
    if (!(before - objective > kSettled * static_cast<double>(d))) break;
  }
  return objective;
}

}  // namespace

void common_axes(int64_t k, int64_t d, bool own_volume, const std::vector<double>& masses,
                 std::vector<double>& covariances, std::vector<double>& axes) {
  std::vector<Part> parts;
  Matrix pooled = Matrix::Zero(d, d);
  double largest = 0;
  for (int64_t i = 0; i < k; ++i) {
    const double mass = masses[static_cast<size_t>(i)];
    if (!(mass > 0)) continue;
    const Eigen::Map<const Matrix> s(covariances.data() + i * d * d, d, d);
    pooled += mass * s;
    largest = std::max(largest, s.diagonal().maxCoeff());
    parts.push_back({i, mass, s, s, Vector::Ones(d)});
  }
  if (parts.empty()) return;
  // Directions without any spread keep a value above 0; the floor lifts them later.
  const double least = std::max(1e-14 * largest, 1e-200);
  Matrix best = Eigen::SelfAdjointEigenSolver<Matrix>(pooled).eigenvectors();
  const double objective = improve(own_volume, least, parts, best);
  if (!axes.empty()) {
    std::vector<Part> others = parts;
    Matrix other = MatrixMap(axes.data(), d, d);
    if (improve(own_volume, least, others, other) < objective) {
      parts = std::move(others);
      best = other;
    }
  }
  axes.assign(best.data(), best.data() + d * d);
  for (const Part& p : parts) {
    MatrixMap out(covariances.data() + p.component * d * d, d, d);
    out = best * p.values.asDiagonal() * best.transpose();
    out = (0.5 * (out + out.transpose())).eval();
  }
}

}  // namespace covary::mixture
