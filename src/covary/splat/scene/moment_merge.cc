#include "covary/splat/scene/moment_merge.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/knn/knn.h"
#include "covary/splat/scene/cloud_arrays.h"

namespace covary::scene {
namespace {

using Eigen::Matrix3d;
using Eigen::Vector3d;

constexpr int64_t kGrain = 1024;  // rows
// Discs have no thickness, and the bound would forbid what nobody sees: shapes are compared as if blurred by
// this share of their mean variance.
constexpr double kBlur = 0.02;
constexpr double kMostOpacity = 0.995;
constexpr double kMostPerRound = 0.25;  // of the rows

struct Gaussian {
  Vector3d mean;
  Matrix3d covariance;
  Vector3d colour;  // display, degree 0
  double mass;      // share in the pictures
  double opacity;
  int64_t heaviest;  // row of the input that gives its columns
  bool merged = false;
};

// Of the shadow, over all directions, up to a factor: the root of the sum of squared products of two axes.
double area_of(const Matrix3d& c) {
  const double minors = c(0, 0) * c(1, 1) - c(0, 1) * c(0, 1) + c(0, 0) * c(2, 2) -
                        c(0, 2) * c(0, 2) + c(1, 1) * c(2, 2) - c(1, 2) * c(1, 2);
  return std::sqrt(std::max(minors, 1e-300));
}

Matrix3d blurred(const Matrix3d& c, double variance) {
  return c + std::max(kBlur * variance, 1e-30) * Matrix3d::Identity();
}

double log_determinant(const Matrix3d& c) { return std::log(std::max(c.determinant(), 1e-300)); }

struct Pair {
  double cost;
  double divergence;
  int64_t a, b;
};

Gaussian joined(const Gaussian& a, const Gaussian& b) {
  const double mass = a.mass + b.mass, p = a.mass / mass, q = b.mass / mass;
  const Vector3d apart = a.mean - b.mean;
  Gaussian m;
  m.mean = p * a.mean + q * b.mean;
  m.covariance = p * a.covariance + q * b.covariance + p * q * apart * apart.transpose();
  m.colour = p * a.colour + q * b.colour;
  m.mass = mass;
  m.heaviest = a.mass >= b.mass ? a.heaviest : b.heaviest;
  m.merged = true;
  // Bhattacharyya's coefficient tells how much of them lies at one place.
  const Matrix3d between = blurred(0.5 * (a.covariance + b.covariance),
                                   (a.covariance.trace() + b.covariance.trace()) / 6);
  const double overlap =
      std::exp(-0.125 * apart.dot(between.ldlt().solve(apart)) +
               0.25 * (log_determinant(blurred(a.covariance, a.covariance.trace() / 3)) +
                       log_determinant(blurred(b.covariance, b.covariance.trace() / 3))) -
               0.5 * log_determinant(between));
  const double area_a = area_of(a.covariance), area_b = area_of(b.covariance);
  const double covered = a.opacity * area_a + b.opacity * area_b -
                         std::min(overlap, 1.0) * a.opacity * b.opacity * std::min(area_a, area_b);
  m.opacity = std::min(kMostOpacity, covered / area_of(m.covariance));
  return m;
}

Pair pair_of(const std::vector<Gaussian>& g, int64_t i, int64_t j, double colour) {
  const Gaussian &a = g[static_cast<size_t>(i)], &b = g[static_cast<size_t>(j)];
  const double mass = a.mass + b.mass, p = a.mass / mass, q = b.mass / mass;
  const Vector3d apart = a.mean - b.mean;
  const Matrix3d c = p * a.covariance + q * b.covariance + p * q * apart * apart.transpose();
  const double variance = c.trace() / 3;
  const double shape = 0.5 * (log_determinant(blurred(c, variance)) -
                              p * log_determinant(blurred(a.covariance, variance)) -
                              q * log_determinant(blurred(b.covariance, variance)));
  const double divergence =
      std::max(shape, 0.0) + 0.5 * p * q * (a.colour - b.colour).squaredNorm() / (colour * colour);
  return {mass * divergence, divergence, i, j};
}

// Rows by where they are, in floats. Neighbours are asked of places, not of rows: of many rows at one place each would
// have the same few, the search would look at all of them, and a round would merge no more than those few.
struct Places {
  std::vector<float> points;   // [places,3]
  std::vector<int64_t> first;  // row of each place, ascending
  std::vector<int64_t> place;  // of each row
  std::vector<int64_t> next;   // row at the same place; -1 = none

  explicit Places(const std::vector<Gaussian>& g) : place(g.size()), next(g.size(), -1) {
    std::vector<std::pair<std::array<float, 3>, size_t>> sorted(g.size());
    for (size_t i = 0; i < g.size(); ++i) {
      const Eigen::Vector3f x = g[i].mean.cast<float>();
      sorted[i] = {{x[0], x[1], x[2]}, i};
    }
    std::sort(sorted.begin(), sorted.end());
    std::vector<size_t> leader(g.size());
    for (size_t s = 0; s < sorted.size(); ++s) {
      const bool same = s > 0 && sorted[s].first == sorted[s - 1].first;
      const size_t i = sorted[s].second;
      leader[i] = same ? leader[sorted[s - 1].second] : i;
      if (same) next[sorted[s - 1].second] = static_cast<int64_t>(i);
    }
    for (size_t i = 0; i < g.size(); ++i) {
      place[i] = leader[i] == i ? static_cast<int64_t>(first.size()) : place[leader[i]];
      if (leader[i] != i) continue;
      first.push_back(static_cast<int64_t>(i));
      for (int c = 0; c < 3; ++c) points.push_back(static_cast<float>(g[i].mean[c]));
    }
  }
};

// Disjoint pairs, cheapest first, at most `most`.
std::vector<Pair> chosen_pairs(const std::vector<Gaussian>& g, const MergeOptions& options,
                               int64_t most) {
  const auto n = static_cast<int64_t>(g.size());
  const Places at(g);
  const auto places = static_cast<int64_t>(at.first.size());
  const int k = static_cast<int>(std::min<int64_t>(options.neighbours, places - 1));
  std::vector<int64_t> ids(static_cast<size_t>(places * k));
  if (k > 0) compute::knn<float>(at.points.data(), places, k, ids.data(), nullptr);
  // Where the pairs of a row begin: k of other places, then those with the rows behind it at its own.
  std::vector<int64_t> begins(static_cast<size_t>(n + 1), 0);
  for (int64_t i = 0; i < n; ++i) {
    int64_t count = k, j = at.next[static_cast<size_t>(i)];
    for (; count < k + options.neighbours && j >= 0; ++count) j = at.next[static_cast<size_t>(j)];
    begins[static_cast<size_t>(i + 1)] = begins[static_cast<size_t>(i)] + count;
  }
  std::vector<Pair> pairs(static_cast<size_t>(begins.back()), Pair{-1, 0, 0, 0});
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Pair* to = pairs.data() + begins[static_cast<size_t>(i)];
      const int64_t here = at.place[static_cast<size_t>(i)];
      const bool first = at.first[static_cast<size_t>(here)] == i;
      for (int64_t e = here * k; e < (here + 1) * k; ++e) {
        const int64_t there = ids[static_cast<size_t>(e)];
        if (there < 0) continue;
        // Where each is the other's neighbour, the lower one has the pair.
        const int64_t* back = ids.data() + there * k;
        if (first && there < here && std::find(back, back + k, here) != back + k) continue;
        const int64_t j = at.first[static_cast<size_t>(there)];
        *to++ = pair_of(g, std::min(i, j), std::max(i, j), options.colour);
      }
      int64_t j = at.next[static_cast<size_t>(i)];
      for (int64_t e = 0; e < options.neighbours && j >= 0; ++e) {
        *to++ = pair_of(g, i, j, options.colour);
        j = at.next[static_cast<size_t>(j)];
      }
    }
  });
  std::erase_if(pairs,
                [&](const Pair& p) { return p.cost < 0 || !(p.divergence <= options.divergence); });
  std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
    return std::tie(a.cost, a.a, a.b) < std::tie(b.cost, b.a, b.b);
  });
  std::vector<bool> taken(static_cast<size_t>(n));
  std::vector<Pair> chosen;
  for (const Pair& p : pairs) {
    if (static_cast<int64_t>(chosen.size()) >= most) break;
    if (taken[static_cast<size_t>(p.a)] || taken[static_cast<size_t>(p.b)]) continue;
    taken[static_cast<size_t>(p.a)] = taken[static_cast<size_t>(p.b)] = true;
    chosen.push_back(p);
  }
  return chosen;
}

void write_shape(const Matrix3d& covariance, float* quat, float* log_scale) {
  Eigen::SelfAdjointEigenSolver<Matrix3d> solver(covariance);
  Matrix3d r = solver.eigenvectors();
  if (r.determinant() < 0) r.col(0) = -r.col(0);
  const Eigen::Quaterniond q(r);
  quat[0] = static_cast<float>(q.w());
  quat[1] = static_cast<float>(q.x());
  quat[2] = static_cast<float>(q.y());
  quat[3] = static_cast<float>(q.z());
  for (int k = 0; k < 3; ++k)
    log_scale[k] = static_cast<float>(0.5 * std::log(std::max(solver.eigenvalues()[k], 1e-30)));
}

}  // namespace

void MergeOptions::check() const {
  const auto wrong = [](const char* field, const char* hint) {
    throw Error(ExitCode::kUsage, "is out of range", field, hint);
  };
  if (target < 1) wrong("target", "leave 1 or more");
  if (!(divergence >= 0)) wrong("divergence", "give 0 or more nats");
  if (neighbours < 1 || neighbours > 64) wrong("neighbours", "give 1 to 64");
  if (!(colour > 0)) wrong("colour", "give more than 0");
}

Merged merged_by_moments(const Cloud& cloud, const at::Tensor& mass, const MergeOptions& options) {
  options.check();
  const int64_t n = cloud.size();
  Merged out{cloud, mass.detach().to(at::kDouble).clone(), at::arange(n, at::kLong), 0, 0};
  if (n <= options.target || n < 2) return out;
  const CloudValues in(cloud);
  const double* weight = out.mass.const_data_ptr<double>();
  std::vector<Gaussian> g(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    Gaussian& a = g[static_cast<size_t>(i)];
    a.mean = Eigen::Map<const Eigen::Vector3f>(in.means + 3 * i).cast<double>();
    a.covariance = covariance_of(in.quats + 4 * i, in.scales + 3 * i);
    a.colour = display_colour(in.sh0 + 3 * i);
    a.opacity = 1 / (1 + std::exp(-static_cast<double>(in.opacities[i])));
    a.mass = std::max(weight[i], 1e-30);
    a.heaviest = i;
    if (!a.mean.allFinite() || !a.covariance.allFinite() || !std::isfinite(weight[i]))
      throw Error(ExitCode::kData, "splat " + std::to_string(i) + " is not finite", "merge",
                  "leave such splats out first: --filter-nan");
  }
  // Where each row of the input is now, and its share of the mass there.
  std::vector<int64_t> into(static_cast<size_t>(n));
  std::iota(into.begin(), into.end(), 0);
  while (static_cast<int64_t>(g.size()) > options.target) {
    const auto now = static_cast<int64_t>(g.size());
    const int64_t most = std::min(
        now - options.target,
        std::max<int64_t>(1, static_cast<int64_t>(kMostPerRound * static_cast<double>(now))));
    const std::vector<Pair> pairs = chosen_pairs(g, options, most);
    if (pairs.empty()) break;
    ++out.rounds;
    std::vector<int64_t> place(static_cast<size_t>(now), -1);  // of a row after this round
    for (const Pair& p : pairs) {
      g[static_cast<size_t>(p.a)] =
          joined(g[static_cast<size_t>(p.a)], g[static_cast<size_t>(p.b)]);
      place[static_cast<size_t>(p.b)] = -2 - p.a;
      out.worst = std::max(out.worst, p.divergence);
    }
    int64_t kept = 0;
    for (int64_t i = 0; i < now; ++i) {
      if (place[static_cast<size_t>(i)] < -1) continue;
      place[static_cast<size_t>(i)] = kept;
      if (kept != i) g[static_cast<size_t>(kept)] = g[static_cast<size_t>(i)];
      ++kept;
    }
    g.resize(static_cast<size_t>(kept));
    for (int64_t& i : into) {
      const int64_t p = place[static_cast<size_t>(i)];
      i = p < -1 ? place[static_cast<size_t>(-2 - p)] : p;
    }
  }

  // Rows that were left alone keep their bits; those that were merged are written anew.
  const auto left = static_cast<int64_t>(g.size());
  at::Tensor rows = at::empty({left}, at::kLong);
  for (int64_t i = 0; i < left; ++i)
    rows.data_ptr<int64_t>()[i] = g[static_cast<size_t>(i)].heaviest;
  Cloud cloud_in = cloud;
  for (at::Tensor* t : {&cloud_in.means, &cloud_in.quats, &cloud_in.scales, &cloud_in.opacities,
                        &cloud_in.sh0, &cloud_in.shN})
    *t = t->detach().to(at::kCPU, at::kFloat).contiguous();
  out.cloud = select(cloud_in, rows);
  out.into = at::tensor(into, at::kLong);
  at::Tensor sums = at::zeros({left}, at::kDouble);
  double* sum = sums.data_ptr<double>();
  for (int64_t i = 0; i < n; ++i) sum[into[static_cast<size_t>(i)]] += std::max(weight[i], 1e-30);
  const int64_t rest = in.rest;
  std::vector<double> sh(static_cast<size_t>(left * 3 * (rest + 1)));
  for (int64_t i = 0; i < n; ++i) {
    const int64_t m = into[static_cast<size_t>(i)];
    const double share = std::max(weight[i], 1e-30) / sum[m];
    double* to = sh.data() + m * 3 * (rest + 1);
    for (int64_t k = 0; k < 3; ++k) to[k] += share * in.sh0[3 * i + k];
    for (int64_t k = 0; k < 3 * rest; ++k) to[3 + k] += share * in.shN[3 * rest * i + k];
  }
  auto* means = out.cloud.means.data_ptr<float>();
  auto* quats = out.cloud.quats.data_ptr<float>();
  auto* scales = out.cloud.scales.data_ptr<float>();
  auto* opacities = out.cloud.opacities.data_ptr<float>();
  auto* sh0 = out.cloud.sh0.data_ptr<float>();
  float* shN = rest > 0 ? out.cloud.shN.data_ptr<float>() : nullptr;
  parallel_for(left, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Gaussian& a = g[static_cast<size_t>(i)];
      if (!a.merged) continue;
      for (int k = 0; k < 3; ++k) means[3 * i + k] = static_cast<float>(a.mean[k]);
      write_shape(a.covariance, quats + 4 * i, scales + 3 * i);
      const double o = std::clamp(a.opacity, 1e-12, kMostOpacity);
      opacities[i] = static_cast<float>(std::log(o / (1 - o)));
      const double* from = sh.data() + i * 3 * (rest + 1);
      for (int64_t k = 0; k < 3; ++k) sh0[3 * i + k] = static_cast<float>(from[k]);
      for (int64_t k = 0; k < 3 * rest; ++k)
        shN[3 * rest * i + k] = static_cast<float>(from[3 + k]);
    }
  });
  out.mass = sums;
  return out;
}

}  // namespace covary::scene
