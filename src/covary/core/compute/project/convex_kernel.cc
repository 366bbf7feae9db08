#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "covary/core/base/threads.h"
#include "covary/core/compute/lanes.h"
#include "covary/core/compute/project/convex.h"

namespace covary::compute {
namespace {

#include "covary/core/compute/rasterize/footprints.inc"

using F = ConvexFootprint;
constexpr int64_t kChunk = 1024;  // convexes a task; the order of camera sums depends on this alone
constexpr double kFarthest = 10000;  // px of a point from the centre

// A convex before a camera.
template <class T>
struct Seen {
  int points = 0;
  T at[kMostPoints][3];   // camera axes
  T on[2 * kMostPoints];  // px
  T mean[3], centre[2];   // of the points, camera axes; where it falls, px
  T delta, sigma, scale;  // scale = z delta S
  int edges = 0, corner[kMostPoints];
};

template <class T>
struct Pinhole {
  T r[9], t[3], fx, fy, cx, cy, reference;
  explicit Pinhole(const CameraParameters& c)
      : fx(static_cast<T>(c.fx)),
        fy(static_cast<T>(c.fy)),
        cx(static_cast<T>(c.cx)),
        cy(static_cast<T>(c.cy)),
        reference(static_cast<T>(kReferenceFocal * kReferenceFocal / (c.fx * c.fy))) {
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 3; ++j) r[3 * i + j] = static_cast<T>(c.cam_from_world[4 * i + j]);
      t[i] = static_cast<T>(c.cam_from_world[4 * i + 3]);
    }
  }
};

// False: not to be seen.
template <class T>
bool see(const Pinhole<T>& c, const T* extras, int points, T near, T far, Seen<T>& s) {
  s.points = points;
  for (T& m : s.mean) m = 0;
  for (int k = 0; k < points; ++k) {
    const T* p = extras + 3 * k;
    T* q = s.at[k];
    for (int i = 0; i < 3; ++i) {
      q[i] = c.r[3 * i] * p[0] + c.r[3 * i + 1] * p[1] + c.r[3 * i + 2] * p[2] + c.t[i];
      s.mean[i] += q[i];
    }
    if (!(q[2] >= near)) return false;  // NaN, too
    s.on[2 * k] = c.fx * q[0] / q[2] + c.cx;
    s.on[2 * k + 1] = c.fy * q[1] / q[2] + c.cy;
  }
  for (T& m : s.mean) m /= static_cast<T>(points);
  if (!(s.mean[2] <= far)) return false;
  s.centre[0] = c.fx * s.mean[0] / s.mean[2] + c.cx;
  s.centre[1] = c.fy * s.mean[1] / s.mean[2] + c.cy;
  for (int k = 0; k < points; ++k)
    if (!(std::abs(s.on[2 * k] - s.centre[0]) <= T(kFarthest)) ||
        !(std::abs(s.on[2 * k + 1] - s.centre[1]) <= T(kFarthest)))
      return false;
  s.delta = extras[3 * points];
  s.sigma = extras[3 * points + 1];
  s.scale = s.mean[2] * s.delta * c.reference;
  s.edges = convex_hull(s.on, points, s.corner);
  return s.edges >= 3 && s.scale > T(0) && s.sigma > T(0) && std::isfinite(s.scale) &&
         std::isfinite(s.mean[2] * s.sigma);
}

// n and its place: edge j of s.
template <class T>
struct Edge {
  int from, to;
  T n[2], offset[2];  // offset: of its first point from the centre
};
template <class T>
Edge<T> edge_of(const Seen<T>& s, int j) {
  const int from = s.corner[j], to = s.corner[j + 1 < s.edges ? j + 1 : 0];
  const T *p = s.on + 2 * from, *q = s.on + 2 * to;
  return {from, to, {q[1] - p[1], p[0] - q[0]}, {p[0] - s.centre[0], p[1] - s.centre[1]}};
}

template <class T>
struct Row {
  T params[F::kParams];
  T extent, half_x, half_y;
};

template <class T>
bool row_of(const Seen<T>& s, T opacity, Row<T>& row) {
  std::fill_n(row.params, F::kParams, T(0));
  row.params[0] = static_cast<T>(s.edges);
  row.params[1] = s.mean[2] * s.sigma;
  T largest = 0;
  for (int j = 0; j < s.edges; ++j) {
    const Edge<T> e = edge_of(s, j);
    T* to = row.params + F::kEdgesAt + 3 * j;
    to[0] = s.scale * e.n[0];
    to[1] = s.scale * e.n[1];
    to[2] = -(to[0] * e.offset[0] + to[1] * e.offset[1]);
    largest = std::max(largest, std::abs(to[2]));
  }
  const T above = T(255) * opacity - T(1);
  if (!(above > T(0))) return false;
  const T extent = std::log(above) / row.params[1];
  row.extent = extent + T(1e-5) * (std::abs(extent) + largest) + T(1e-4) / row.params[1];
  if (!std::isfinite(row.extent)) return false;
  const auto outline = F::outline<T>(row.params, row.extent);
  if (outline.corners == 0) return false;
  row.half_x = row.half_y = 0;
  for (int k = 0; k < outline.corners; ++k) {
    row.half_x = std::max(row.half_x, std::abs(outline.x[k]));
    row.half_y = std::max(row.half_y, std::abs(outline.y[k]));
  }
  return true;
}

int points_of(int width) { return (width - 2) / 3; }

}  // namespace

template <class T>
int convex_hull(const T* points, int count, int* corners) {
  int order[kMostPoints];
  const auto before = [&](int a, int b) {
    const T *p = points + 2 * a, *q = points + 2 * b;
    if (p[1] != q[1]) return p[1] < q[1];
    if (p[0] != q[0]) return p[0] < q[0];
    return a < b;
  };
  for (int k = 0; k < count; ++k) {
    int at = k;
    for (; at > 0 && before(k, order[at - 1]); --at) order[at] = order[at - 1];
    order[at] = k;
  }
  const auto turns = [&](int a, int b, int c) {  // to the left
    const T *p = points + 2 * a, *q = points + 2 * b, *r = points + 2 * c;
    return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]) > T(0);
  };
  int chain[2 * kMostPoints], n = 0;
  const auto add = [&](int k, int least) {
    while (n >= least && !turns(chain[n - 2], chain[n - 1], k)) --n;
    chain[n++] = k;
  };
  for (int k = 0; k < count; ++k) add(order[k], 2);  // up the right side
  const int up = n;
  for (int k = count - 2; k >= 0; --k) add(order[k], up + 1);  // down the left
  if (n > 1) --n;                                              // the first again
  if (n < 3) return n;
  std::copy_n(chain, n, corners);
  return n;
}

template <class T>
Projection<T> project_convex(const CameraParameters& view, const ProjectInput<T>& in,
                             const ProjectOptions& o) {
  const Pinhole<T> camera(view);
  const int points = points_of(in.extras_width);
  const int64_t chunks = (in.count + kChunk - 1) / kChunk;
  std::vector<Projection<T>> parts(static_cast<size_t>(chunks));
  parallel_tasks(chunks, [&](int64_t chunk) {
    Projection<T>& part = parts[static_cast<size_t>(chunk)];
    Seen<T> s;
    Row<T> row;
    for (int64_t i = chunk * kChunk; i < std::min(in.count, (chunk + 1) * kChunk); ++i) {
      if (!see(camera, in.extras + i * in.extras_width, points, static_cast<T>(o.near),
               static_cast<T>(o.far), s) ||
          !row_of(s, in.opacities[i], row))
        continue;
      const T x = s.centre[0], y = s.centre[1], hx = row.half_x, hy = row.half_y;
      if (!((hx > o.radius_clip || hy > o.radius_clip) && x + hx > 0 && x - hx < view.width &&
            y + hy > 0 && y - hy < view.height))
        continue;
      part.ids.push_back(i);
      part.centres.insert(part.centres.end(), {x, y});
      part.depths.push_back(s.mean[2]);
      part.params.insert(part.params.end(), row.params, row.params + F::kParams);
      part.opacities.push_back(in.opacities[i]);
      part.extents.push_back(row.extent);
      part.halves.insert(part.halves.end(), {hx, hy});
    }
  });
  Projection<T> all;
  const auto join = [&](auto member) {
    for (const Projection<T>& part : parts)
      (all.*member).insert((all.*member).end(), (part.*member).begin(), (part.*member).end());
  };
  join(&Projection<T>::ids);
  join(&Projection<T>::centres);
  join(&Projection<T>::depths);
  join(&Projection<T>::params);
  join(&Projection<T>::opacities);
  join(&Projection<T>::extents);
  join(&Projection<T>::halves);
  return all;
}

template <class T>
void project_convex_vjp(const CameraParameters& view, const ProjectInput<T>& in,
                        const ProjectOptions& o, const Projection<T>& p,
                        const ProjectGradients<T>& g, ProjectInputGradients<T>& out) {
  const Pinhole<T> camera(view);
  const int points = points_of(in.extras_width);
  const int64_t chunks = (p.count() + kChunk - 1) / kChunk;
  std::vector<double> sums(static_cast<size_t>(16 * chunks));
  parallel_tasks(chunks, [&](int64_t chunk) {
    double* const to_camera = sums.data() + 16 * chunk;  // r [9], t [3], fx fy cx cy
    Seen<T> s;
    for (int64_t m = chunk * kChunk; m < std::min(p.count(), (chunk + 1) * kChunk); ++m) {
      const int64_t i = p.ids[static_cast<size_t>(m)];
      const T* const extras = in.extras + i * in.extras_width;
      see(camera, extras, points, static_cast<T>(o.near), static_cast<T>(o.far), s);
      const T z = s.mean[2];
      T v_on[2 * kMostPoints] = {}, v_centre[2] = {}, v_z = g.depths ? g.depths[m] : T(0),
                 v_sigma = 0, v_scale = 0;
      if (g.centres)
        for (int k = 0; k < 2; ++k) v_centre[k] = g.centres[2 * m + k];
      if (g.params) {
        const T* v = g.params + m * F::kParams;
        v_sigma = v[1] * z;
        v_z += v[1] * s.sigma;
        for (int j = 0; j < s.edges; ++j) {
          const Edge<T> e = edge_of(s, j);
          const T* by = v + F::kEdgesAt + 3 * j;
          T v_n[2];
          for (int k = 0; k < 2; ++k) {
            const T v_a = by[k] - by[2] * e.offset[k], v_offset = -s.scale * e.n[k] * by[2];
            v_scale += e.n[k] * v_a;
            v_n[k] = s.scale * v_a;
            v_on[2 * e.from + k] += v_offset;
            v_centre[k] -= v_offset;
          }
          v_on[2 * e.to + 1] += v_n[0];
          v_on[2 * e.from + 1] -= v_n[0];
          v_on[2 * e.from] += v_n[1];
          v_on[2 * e.to] -= v_n[1];
        }
        v_z += v_scale * s.delta * camera.reference;
      }
      // screen to camera axes; the mean's part is shared by the points
      const auto lifted = [&](const T* at, const T* v, T* to) {
        const T inverse = T(1) / at[2], x = at[0] * inverse, y = at[1] * inverse;
        to[0] = camera.fx * v[0] * inverse;
        to[1] = camera.fy * v[1] * inverse;
        to[2] = -(to[0] * x + to[1] * y);
        to_camera[12] += static_cast<double>(v[0] * x);
        to_camera[13] += static_cast<double>(v[1] * y);
        to_camera[14] += static_cast<double>(v[0]);
        to_camera[15] += static_cast<double>(v[1]);
      };
      T v_mean[3];
      lifted(s.mean, v_centre, v_mean);
      v_mean[2] += v_z;
      T* const to = out.extras ? out.extras + i * in.extras_width : nullptr;
      for (int k = 0; k < points; ++k) {
        T v[3];
        lifted(s.at[k], v_on + 2 * k, v);
        for (int a = 0; a < 3; ++a) {
          v[a] += v_mean[a] / static_cast<T>(points);
          to_camera[9 + a] += static_cast<double>(v[a]);
          for (int b = 0; b < 3; ++b)
            to_camera[3 * a + b] += static_cast<double>(v[a] * extras[3 * k + b]);
        }
        if (to)
          for (int b = 0; b < 3; ++b)
            to[3 * k + b] = camera.r[b] * v[0] + camera.r[3 + b] * v[1] + camera.r[6 + b] * v[2];
      }
      to_camera[12] -= static_cast<double>(v_scale * s.scale / camera.fx);
      to_camera[13] -= static_cast<double>(v_scale * s.scale / camera.fy);
      if (to) {
        to[3 * points] = v_scale * z * camera.reference;
        to[3 * points + 1] = v_sigma;
      }
      if (out.opacities) out.opacities[i] = g.opacities ? g.opacities[m] : T(0);
    }
  });
  for (int64_t chunk = 0; chunk < chunks;
       ++chunk) {  // in order: the same bits for any number of threads
    const double* s = sums.data() + 16 * chunk;
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 3; ++j) out.camera[4 * i + j] += s[3 * i + j];
      out.camera[4 * i + 3] += s[9 + i];
    }
    for (int k = 0; k < 4; ++k) out.intrinsics[k] += s[12 + k];
  }
}

#define COVARY_INSTANTIATE(T)                                                            \
  template int convex_hull(const T*, int, int*);                                         \
  template Projection<T> project_convex(const CameraParameters&, const ProjectInput<T>&, \
                                        const ProjectOptions&);                          \
  template void project_convex_vjp(const CameraParameters&, const ProjectInput<T>&,      \
                                   const ProjectOptions&, const Projection<T>&,          \
                                   const ProjectGradients<T>&, ProjectInputGradients<T>&);
COVARY_INSTANTIATE(float)
COVARY_INSTANTIATE(double)
#undef COVARY_INSTANTIATE

}  // namespace covary::compute
