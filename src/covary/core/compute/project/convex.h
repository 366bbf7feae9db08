// Projection of convexes: K points in space to the polygon that they span on the screen, its edges
// as lines (rasterize/footprint_convex.inc), and the gradient back. project() calls it for the
// footprint "convex"; camera and arrays are those of project.h.
//
// extras [N, 3 K + 2], K in 4..8: x y z of each point (world), then delta and sigma (not their
// logarithms). means, quats, scales and covariances are not read; the depth z is that of the
// points' mean c. With the points on the screen in px and an edge from p to q, counter-clockwise
// about the hull,
//   L = n . (pixel - p),  n = (q_y - p_y, p_x - q_x),  a = z delta S n,  S = 1000^2 / (fx fy),
// positive outside. n is as long as the edge, so L is of px^2. S makes a scene look the same at
// every resolution: delta and sigma are those of a camera whose focal length is 1000 px.
//
// Law of scale: a scene that is s times as large, seen by a camera that is s times as far, has z s
// times as large. The picture is the same where delta and sigma are divided by s.
//
// A convex is culled where z is outside [near, far], a point is not in front of `near`, is more
// than 10,000 px from the centre or no number, delta or sigma is no positive number or too large
// for its type, the hull has no area, or its region misses the image. The region: see
// ConvexFootprint::outline; extents hold ln(255 opacity - 1) / (z sigma) and a slack for rounding.
// The hull is that of one view: which points it has is no function with a gradient, those inside
// get none. Cameras are pinholes. Source: Held et al. 2025 (3D Convex Splatting), sections 3.2 and
// 3.3; there L is of the picture's own px, and the gradients through z and the picture's shape are
// left out.
#pragma once

#include "covary/core/compute/project/project.h"

namespace covary::compute {

constexpr int kLeastPoints = 4, kMostPoints = 8;
constexpr double kReferenceFocal = 1000;  // px

template <class T>
Projection<T> project_convex(const CameraParameters&, const ProjectInput<T>&,
                             const ProjectOptions&);
template <class T>
void project_convex_vjp(const CameraParameters&, const ProjectInput<T>&, const ProjectOptions&,
                        const Projection<T>&, const ProjectGradients<T>&,
                        ProjectInputGradients<T>&);

// The corners of the convex hull of count <= 8 points (x, y), counter-clockwise with y up, as their
// places in `points`: the least (y, then x) first. Points on an edge are no corners; of equal
// points one is. Fewer than 3: no area. Returns how many.
template <class T>
int convex_hull(const T* points, int count, int* corners);

}  // namespace covary::compute
