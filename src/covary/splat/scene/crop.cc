#include "covary/splat/scene/crop.h"

#include <ATen/ATen.h>

#include "covary/core/base/threads.h"

namespace covary::scene {
namespace {

constexpr int64_t kGrain = 4096;  // rows

// inside(x) for each centre.
template <class T, class F>
at::Tensor of_centres(const Cloud& cloud, at::ScalarType type, const F& inside) {
  const at::Tensor means = cloud.means.detach().to(at::kCPU, at::kFloat).contiguous();
  const auto* x = means.const_data_ptr<float>();
  at::Tensor out = at::empty({cloud.size()}, type);
  T* o = out.data_ptr<T>();
  parallel_for(cloud.size(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      o[i] = inside(Eigen::Vector3d(x[3 * i], x[3 * i + 1], x[3 * i + 2]));
  });
  return out;
}

}  // namespace

at::Tensor in_box(const Cloud& cloud, const Eigen::Vector3d& low, const Eigen::Vector3d& high) {
  return of_centres<bool>(cloud, at::kBool, [&](const Eigen::Vector3d& x) {
    return x.allFinite() && (x.array() >= low.array()).all() && (x.array() <= high.array()).all();
  });
}

at::Tensor in_ball(const Cloud& cloud, const Eigen::Vector3d& centre, double radius) {
  return of_centres<bool>(cloud, at::kBool, [&](const Eigen::Vector3d& x) {
    return (x - centre).squaredNorm() <= radius * radius;
  });
}

at::Tensor above_plane(const Cloud& cloud, const Eigen::Vector3d& normal, double offset) {
  return of_centres<bool>(cloud, at::kBool, [&](const Eigen::Vector3d& x) {
    return x.allFinite() && normal.dot(x) >= offset;
  });
}

at::Tensor seen_by(const Cloud& cloud, const std::vector<Camera>& cameras) {
  return of_centres<int64_t>(cloud, at::kLong, [&](const Eigen::Vector3d& x) {
    int64_t n = 0;
    for (const Camera& c : cameras) {
      // A fisheye sees past its sides.
      if (c.projection != Projection::kFisheye &&
          !((c.cam_from_world.block<1, 3>(2, 0) * x)(0) + c.cam_from_world(2, 3) > 0))
        continue;
      const Eigen::Vector2d p = c.project(x);
      n += p.x() >= 0 && p.x() <= c.width && p.y() >= 0 && p.y() <= c.height;
    }
    return n;
  });
}

}  // namespace covary::scene
