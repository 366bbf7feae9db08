#include "covary/core/geometry/bvh.h"

#include <embree3/rtcore.h>

#include <cstring>
#include <string>

#include "covary/core/base/error.h"

namespace covary::geometry {

struct Bvh::Impl {
  RTCDevice device = nullptr;
  RTCScene scene = nullptr;
  bool built = false;

  ~Impl() {
    if (scene) rtcReleaseScene(scene);
    if (device) rtcReleaseDevice(device);
  }

  void check(const char* doing) const {
    const RTCError code = rtcGetDeviceError(device);
    if (code != RTC_ERROR_NONE) {
      throw Error(ExitCode::kFailed,
                  std::string("Embree failed ") + doing + " (error " + std::to_string(code) + ")",
                  "bvh");
    }
  }
};

Bvh::Bvh() : impl_(std::make_unique<Impl>()) {
  // One thread: building is short, and the process keeps its one pool of threads.
  impl_->device = rtcNewDevice("threads=1");
  if (!impl_->device)
    throw Error(ExitCode::kFailed, "Embree does not start on this machine", "bvh");
  impl_->scene = rtcNewScene(impl_->device);
  rtcSetSceneFlags(impl_->scene, RTC_SCENE_FLAG_ROBUST);
}

Bvh::~Bvh() = default;
Bvh::Bvh(Bvh&&) noexcept = default;
Bvh& Bvh::operator=(Bvh&&) noexcept = default;

int Bvh::add(const Mesh& mesh) {
  mesh.check();
  if (mesh.triangles.empty()) throw Error(ExitCode::kData, "a mesh without triangles", "bvh");
  RTCGeometry geometry = rtcNewGeometry(impl_->device, RTC_GEOMETRY_TYPE_TRIANGLE);
  void* vertices = rtcSetNewGeometryBuffer(geometry, RTC_BUFFER_TYPE_VERTEX, 0, RTC_FORMAT_FLOAT3,
                                           sizeof(Eigen::Vector3f), mesh.vertices.size());
  void* triangles = rtcSetNewGeometryBuffer(geometry, RTC_BUFFER_TYPE_INDEX, 0, RTC_FORMAT_UINT3,
                                            sizeof(Eigen::Vector3i), mesh.triangles.size());
  if (vertices && triangles) {
    std::memcpy(vertices, mesh.vertices.data(), mesh.vertices.size() * sizeof(Eigen::Vector3f));
    std::memcpy(triangles, mesh.triangles.data(), mesh.triangles.size() * sizeof(Eigen::Vector3i));
    rtcCommitGeometry(geometry);
  }
  const unsigned id = rtcAttachGeometry(impl_->scene, geometry);
  rtcReleaseGeometry(geometry);
  impl_->check("to take a mesh");
  impl_->built = false;
  return static_cast<int>(id);
}

void Bvh::build() {
  rtcCommitScene(impl_->scene);
  impl_->check("to build its tree");
  impl_->built = true;
}

std::optional<Hit> Bvh::first_hit(const Eigen::Vector3f& origin, const Eigen::Vector3f& direction,
                                  float near, float far) const {
  if (!impl_->built) throw Error(ExitCode::kFailed, "asked before build()", "bvh");
  RTCIntersectContext context;
  rtcInitIntersectContext(&context);
  RTCRayHit r{};
  r.ray.org_x = origin.x();
  r.ray.org_y = origin.y();
  r.ray.org_z = origin.z();
  r.ray.dir_x = direction.x();
  r.ray.dir_y = direction.y();
  r.ray.dir_z = direction.z();
  r.ray.tnear = near;
  r.ray.tfar = far;
  r.ray.mask = ~0u;
  r.hit.geomID = RTC_INVALID_GEOMETRY_ID;
  r.hit.instID[0] = RTC_INVALID_GEOMETRY_ID;
  rtcIntersect1(impl_->scene, &context, &r);
  if (r.hit.geomID == RTC_INVALID_GEOMETRY_ID) return std::nullopt;
  Hit hit;
  hit.distance = r.ray.tfar;
  hit.mesh = static_cast<int>(r.hit.geomID);
  hit.triangle = static_cast<int>(r.hit.primID);
  hit.u = r.hit.u;
  hit.v = r.hit.v;
  hit.normal = Eigen::Vector3f(r.hit.Ng_x, r.hit.Ng_y, r.hit.Ng_z).normalized();
  return hit;
}

bool Bvh::occluded(const Eigen::Vector3f& origin, const Eigen::Vector3f& direction, float near,
                   float far) const {
  if (!impl_->built) throw Error(ExitCode::kFailed, "asked before build()", "bvh");
  RTCIntersectContext context;
  rtcInitIntersectContext(&context);
  RTCRay ray{};
  ray.org_x = origin.x();
  ray.org_y = origin.y();
  ray.org_z = origin.z();
  ray.dir_x = direction.x();
  ray.dir_y = direction.y();
  ray.dir_z = direction.z();
  ray.tnear = near;
  ray.tfar = far;
  ray.mask = ~0u;
  rtcOccluded1(impl_->scene, &context, &ray);
  return ray.tfar < 0;  // Embree marks a blocked ray with -inf
}

}  // namespace covary::geometry
