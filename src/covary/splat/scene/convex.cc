#include "covary/splat/scene/convex.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>
#include <Eigen/Eigenvalues>
#include <Eigen/Geometry>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/splat/scene/cloud_arrays.h"

namespace covary::scene {
namespace {

constexpr int64_t kLeast = 4, kMost = 8;  // points
constexpr double kThinnest = 1e-4;        // of a Gaussian's largest axis
constexpr int64_t kGrain = 1024;          // rows

std::string hull_name(int64_t k) { return "hull_" + std::to_string(k); }

// A hull column as it was meant.
at::Tensor numbers_of(const Cloud& cloud, const std::string& name) {
  const at::Tensor& t = cloud.columns.at(name);
  const at::Tensor out = t.detach().to(at::kDouble);
  return (at::isIntegralType(t.scalar_type(), true) ? out * kHullStep : out).contiguous();
}

at::Tensor doubles(const at::Tensor& t) { return t.detach().to(at::kDouble).contiguous(); }

}  // namespace

bool is_convex_column(const std::string& name) { return name.starts_with("hull_"); }

int64_t convex_points(const Cloud& cloud) {
  int64_t numbers = 0;
  const auto holds = [&](const std::string& name) {
    const auto found = cloud.columns.find(name);
    return found != cloud.columns.end() && found->second.dim() == 1;
  };
  while (numbers <= 3 * kMost && holds(hull_name(numbers))) ++numbers;
  const bool whole = numbers % 3 == 0 && numbers >= 3 * kLeast && numbers <= 3 * kMost &&
                     holds("hull_delta") && holds("hull_sigma");
  return whole ? numbers / 3 : 0;
}

Convexes convexes_of(const Cloud& cloud) {
  const int64_t n = cloud.size(), points = convex_points(cloud);
  if (points == 0)
    throw Error(ExitCode::kData, "a scene of convexes has no whole columns of their points",
                "hull_0 ...", "the file is not whole");
  const at::Tensor means = doubles(cloud.means), quats = doubles(cloud.quats),
                   scales = doubles(cloud.scales), delta = numbers_of(cloud, "hull_delta"),
                   sigma = numbers_of(cloud, "hull_sigma");
  std::vector<at::Tensor> columns;
  for (int64_t k = 0; k < 3 * points; ++k) columns.push_back(numbers_of(cloud, hull_name(k)));
  Convexes out{at::empty({n, points, 3}, at::kDouble), at::empty({n}, at::kDouble),
               at::empty({n}, at::kDouble)};
  const double *mean = means.const_data_ptr<double>(), *quat = quats.const_data_ptr<double>(),
               *scale = scales.const_data_ptr<double>();
  std::vector<const double*> local;
  for (const at::Tensor& t : columns) local.push_back(t.const_data_ptr<double>());
  double* to = out.points.data_ptr<double>();
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Eigen::Matrix3d r = rotation_of(quat + 4 * i);
      for (int64_t k = 0; k < points; ++k) {
        Eigen::Vector3d u;
        for (int64_t a = 0; a < 3; ++a)
          u[a] = local[static_cast<size_t>(3 * k + a)][i] * std::exp(scale[3 * i + a]);
        const Eigen::Vector3d p = r * u;
        for (int64_t a = 0; a < 3; ++a) to[(i * points + k) * 3 + a] = mean[3 * i + a] + p[a];
      }
      const double size = std::max({scale[3 * i], scale[3 * i + 1], scale[3 * i + 2]});
      out.delta.data_ptr<double>()[i] = std::exp(delta.const_data_ptr<double>()[i] - size);
      out.sigma.data_ptr<double>()[i] = std::exp(sigma.const_data_ptr<double>()[i] - size);
    }
  });
  return out;
}

void set_convexes(Cloud& cloud, const Convexes& convexes) {
  const int64_t n = convexes.points.size(0), points = convexes.points.size(1);
  const at::Tensor all = doubles(convexes.points), delta = doubles(convexes.delta),
                   sigma = doubles(convexes.sigma);
  cloud.footprint = kConvex;
  cloud.antialiased = false;
  cloud.means = at::empty({n, 3}, at::kFloat);
  cloud.quats = at::empty({n, 4}, at::kFloat);
  cloud.scales = at::empty({n, 3}, at::kFloat);
  std::erase_if(cloud.columns, [](const auto& column) { return is_convex_column(column.first); });
  std::vector<float*> local;
  const auto add = [&](const std::string& name) {
    return (cloud.columns[name] = at::empty({n}, at::kFloat)).data_ptr<float>();
  };
  for (int64_t k = 0; k < 3 * points; ++k) local.push_back(add(hull_name(k)));
  float *to_delta = add("hull_delta"), *to_sigma = add("hull_sigma");
  const double* from = all.const_data_ptr<double>();
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Eigen::Map<const Eigen::Matrix<double, 3, Eigen::Dynamic>> p(from + 3 * points * i, 3,
                                                                         points);
      const Eigen::Vector3d mean = p.rowwise().mean();
      const Eigen::Matrix<double, 3, Eigen::Dynamic> centred = p.colwise() - mean;
      const Eigen::SelfAdjointEigenSolver<Eigen::Matrix3d> solver(centred * centred.transpose() /
                                                                  static_cast<double>(points));
      Eigen::Matrix3d r = solver.eigenvectors();
      if (r.determinant() < 0) r.col(0) = -r.col(0);
      Eigen::Quaterniond q(r);
      q.normalize();
      const double most = std::max(1e-12, std::sqrt(std::max(0.0, solver.eigenvalues()[2])));
      float* quat = cloud.quats.data_ptr<float>() + 4 * i;
      quat[0] = static_cast<float>(q.w());
      quat[1] = static_cast<float>(q.x());
      quat[2] = static_cast<float>(q.y());
      quat[3] = static_cast<float>(q.z());
      // in the frame of what is stored, so that rounding of it moves no point
      Eigen::Vector3d scale, at;
      const double stored[4] = {quat[0], quat[1], quat[2], quat[3]};
      const Eigen::Matrix3d back = rotation_of(stored).transpose();
      for (int a = 0; a < 3; ++a) {
        const double s =
            std::max(kThinnest * most, std::sqrt(std::max(0.0, solver.eigenvalues()[a])));
        const auto log_s = static_cast<float>(std::log(s));
        cloud.scales.data_ptr<float>()[3 * i + a] = log_s;
        scale[a] = std::exp(static_cast<double>(log_s));
        const auto m = static_cast<float>(mean[a]);
        cloud.means.data_ptr<float>()[3 * i + a] = m;
        at[a] = m;
      }
      for (int64_t k = 0; k < points; ++k) {
        const Eigen::Vector3d u = (back * (p.col(k) - at)).cwiseQuotient(scale);
        for (int64_t a = 0; a < 3; ++a)
          local[static_cast<size_t>(3 * k + a)][i] = static_cast<float>(u[a]);
      }
      const double size = std::log(scale.maxCoeff());
      to_delta[i] = static_cast<float>(std::log(delta.const_data_ptr<double>()[i]) + size);
      to_sigma[i] = static_cast<float>(std::log(sigma.const_data_ptr<double>()[i]) + size);
    }
  });
}

void store_short(Cloud& cloud) {
  for (auto& [name, t] : cloud.columns)
    if (is_convex_column(name) && t.is_floating_point() && name != "hull_delta" &&
        name != "hull_sigma")
      t = (t / kHullStep).round().clamp(-32767, 32767).to(at::kShort);
}

void store_float(Cloud& cloud) {
  for (auto& [name, t] : cloud.columns)
    if (is_convex_column(name) && t.scalar_type() != at::kFloat)
      t = numbers_of(cloud, name).to(at::kFloat);
}

at::Tensor convex_extras(const Cloud& cloud) {
  const Convexes c = convexes_of(cloud);
  return at::cat({c.points.reshape({c.points.size(0), 3 * c.points.size(1)}), c.delta.unsqueeze(1),
                  c.sigma.unsqueeze(1)},
                 1)
      .to(cloud.means.scalar_type());
}

Convexes convexes_of_gaussians(const Cloud& cloud, int64_t points, double radius, double delta_size,
                               double sigma) {
  const int64_t n = cloud.size();
  const at::Tensor means = doubles(cloud.means), quats = doubles(cloud.quats),
                   scales = doubles(cloud.scales);
  std::vector<Eigen::Vector3d> sphere;
  for (int64_t k = 0; k < points; ++k) {
    const double z = 1 - 2 * static_cast<double>(k) / static_cast<double>(points - 1),
                 ring = std::sqrt(std::max(0.0, 1 - z * z)),
                 angle = static_cast<double>(k) * M_PI * (3 - std::sqrt(5.0));
    sphere.emplace_back(ring * std::cos(angle), ring * std::sin(angle), z);
  }
  Convexes out{at::empty({n, points, 3}, at::kDouble), at::empty({n}, at::kDouble),
               at::full({n}, sigma, at::kDouble)};
  const double *mean = means.const_data_ptr<double>(), *quat = quats.const_data_ptr<double>(),
               *scale = scales.const_data_ptr<double>();
  double* to = out.points.data_ptr<double>();
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Eigen::Matrix3d r = rotation_of(quat + 4 * i);
      const Eigen::Vector3d s(std::exp(scale[3 * i]), std::exp(scale[3 * i + 1]),
                              std::exp(scale[3 * i + 2]));
      for (int64_t k = 0; k < points; ++k) {
        const Eigen::Vector3d p = r * (radius * s.cwiseProduct(sphere[static_cast<size_t>(k)]));
        for (int64_t a = 0; a < 3; ++a) to[(i * points + k) * 3 + a] = mean[3 * i + a] + p[a];
      }
      out.delta.data_ptr<double>()[i] = delta_size / std::cbrt(s.prod());
    }
  });
  return out;
}

}  // namespace covary::scene
