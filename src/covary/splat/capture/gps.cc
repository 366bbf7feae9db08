#include "covary/splat/capture/gps.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include "covary/core/numeric/median.h"

namespace covary::capture {
namespace {

using Eigen::Vector2d;
using Eigen::Vector3d;

constexpr double kEquator = 6378137, kFlattening = 1 / 298.257223563;  // WGS 84
constexpr size_t kFewest = 5;
constexpr double kLeastSpread = 20;    // m
constexpr double kMostResidual = 0.2;  // of the spread
constexpr int kRounds = 10;            // of leaving out what lies far off

Vector3d earth_centred(const Vector3d& p) {
  const double lat = p[0] * std::numbers::pi / 180, lon = p[1] * std::numbers::pi / 180;
  const double e2 = kFlattening * (2 - kFlattening);
  const double n = kEquator / std::sqrt(1 - e2 * std::sin(lat) * std::sin(lat));
  return {(n + p[2]) * std::cos(lat) * std::cos(lon), (n + p[2]) * std::cos(lat) * std::sin(lon),
          (n * (1 - e2) + p[2]) * std::sin(lat)};
}

// Scale and turn s and shift t of the plane, to ~ s * from + t, as complex numbers.
struct Plane {
  std::complex<double> s, t;
};

Plane fit_plane(const std::vector<std::complex<double>>& from,
                const std::vector<std::complex<double>>& to, const std::vector<bool>& used) {
  std::complex<double> a = 0, b = 0;
  double n = 0;
  for (size_t i = 0; i < from.size(); ++i)
    if (used[i]) {
      a += from[i];
      b += to[i];
      ++n;
    }
  a /= n;
  b /= n;
  std::complex<double> cross = 0;
  double square = 0;
  for (size_t i = 0; i < from.size(); ++i)
    if (used[i]) {
      cross += std::conj(from[i] - a) * (to[i] - b);
      square += std::norm(from[i] - a);
    }
  const std::complex<double> s = cross / std::max(square, 1e-300);
  return {s, b - s * a};
}

}  // namespace

Vector3d east_north_up(const Vector3d& position, const Vector3d& origin) {
  const double lat = origin[0] * std::numbers::pi / 180, lon = origin[1] * std::numbers::pi / 180;
  const Vector3d d = earth_centred(position) - earth_centred(origin);
  const Vector3d east(-std::sin(lon), std::cos(lon), 0),
      north(-std::sin(lat) * std::cos(lon), -std::sin(lat) * std::sin(lon), std::cos(lat)),
      up(std::cos(lat) * std::cos(lon), std::cos(lat) * std::sin(lon), std::sin(lat));
  return {east.dot(d), north.dot(d), up.dot(d)};
}

std::optional<GpsFit> fit_gps(const GpsPositions& positions, const Poses& poses) {
  std::vector<Vector3d> centres, where;
  for (const auto& [name, position] : positions) {
    const auto pose = poses.find(name);
    if (pose == poses.end() || !position.allFinite()) continue;
    const Eigen::Matrix4d& m = pose->second;
    centres.push_back(-m.topLeftCorner<3, 3>().transpose() * m.topRightCorner<3, 1>());
    where.push_back(position);
  }
  if (centres.size() < kFewest) return std::nullopt;
  GpsFit fit;
  fit.photos = static_cast<int>(centres.size());
  for (int k = 0; k < 3; ++k) {
    std::vector<double> v;
    for (const Vector3d& p : where) v.push_back(p[k]);
    fit.origin[k] = numeric::upper_median(std::move(v));
  }
  std::vector<std::complex<double>> from, to;
  std::vector<double> heights;
  for (size_t i = 0; i < where.size(); ++i) {
    const Vector3d enu = east_north_up(where[i], fit.origin);
    from.emplace_back(centres[i].x(), centres[i].y());
    to.emplace_back(enu.x(), enu.y());
    heights.push_back(enu.z());
  }

  std::vector<bool> used(from.size(), true);
  Plane plane{};
  for (int round = 0; round < kRounds; ++round) {
    plane = fit_plane(from, to, used);
    std::vector<double> off;
    for (size_t i = 0; i < from.size(); ++i)
      off.push_back(std::abs(plane.s * from[i] + plane.t - to[i]));
    fit.residual_m = numeric::upper_median(off);
    std::vector<bool> next;
    for (const double d : off) next.push_back(d <= 3 * std::max(fit.residual_m, 1e-9));
    if (next == used || std::count(next.begin(), next.end(), true) < 3) break;
    used = next;
  }
  const double scale = std::abs(plane.s);
  // How far the cameras stand apart by the fit: positions that are mostly noise spread widely, but fit small.
  Vector2d low(1e300, 1e300), high = -low;
  for (const Vector3d& c : centres) {
    low = low.cwiseMin(c.head<2>());
    high = high.cwiseMax(c.head<2>());
  }
  const double spread = scale * (high - low).norm();
  if (!(spread >= kLeastSpread) || !std::isfinite(scale) || fit.residual_m > kMostResidual * spread)
    return std::nullopt;
  std::vector<double> lifts;
  for (size_t i = 0; i < centres.size(); ++i) lifts.push_back(heights[i] - scale * centres[i].z());
  Eigen::Matrix4d& m = fit.metric_from_model;
  m.topLeftCorner<2, 2>() << plane.s.real(), -plane.s.imag(), plane.s.imag(), plane.s.real();
  m(2, 2) = scale;
  m(0, 3) = plane.t.real();
  m(1, 3) = plane.t.imag();
  m(2, 3) = numeric::upper_median(std::move(lifts));
  return fit;
}

}  // namespace covary::capture
