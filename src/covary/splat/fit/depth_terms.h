// Loss terms for what a capture knows of its shape: depth and normals of its views (scene::View).
//
//   terms.push_back(depth_term(nn::exponential(1, 0.01, steps), extent));
//   terms.push_back(normal_term(nn::constant(0.05)));
//   terms.push_back(sparse_depth_term(nn::constant(0.1), capture.points.positions, extent));
//
// depth: |1/z rendered - (s /z known + t)| over the pixels that know a depth, count, and are more than half covered, as a mean, times the
// extent, so that it has no unit. s and t are fitted a photo and step by least squares and not differentiated: a depth that is known
// up to scale and shift of its inverse, as networks guess it, says as much as a measured one. normal: 1 - n . n_known, likewise, with
// the rendered normal made unit length. A view without the data, and (of these two) coarse photos of a resolution schedule, give 0.
// sparse_depth: |1/z rendered - 1/z of a point| at the pixels where the points stand that the view sees (View::seen_points), as a mean
// over those that count and are more than half covered, times the extent. Of points in one pixel the nearest counts. Points are taken
// where the scene has them and looked at through the view's camera, so that lens, size, frame and refined poses are in it.
// Source: gsplat (depth loss on points of the model); Deng et al. 2022 (DS-NeRF: sparse depth from structure from motion); Ranftl et al. 2020 (scale and shift of inverse depth); Kerbl et al. 2024 (hierarchical 3DGS: depth regularisation).
#pragma once

#include <cstdint>
#include <vector>

#include <Eigen/Core>

#include "covary/core/nn/optim/schedule.h"
#include "covary/splat/fit/loss.h"

namespace covary::fit {

// They ask for a rendering with depth, or with normals.
LossTerm depth_term(const nn::Schedule& weight, double extent);
LossTerm normal_term(const nn::Schedule& weight);
// points: of the scene, by the numbers of View::seen_points.
LossTerm sparse_depth_term(const nn::Schedule& weight, std::vector<Eigen::Vector3f> points,
                           double extent);

// Mean of |x - (s y + t)| over the pixels whose weight is not 0, with s and t by least squares; x differentiable. All are float of one shape.
// Fewer than 2 pixels, or all y the same: 0.
at::Tensor affine_invariant_distance(const at::Tensor& x, const at::Tensor& y,
                                     const at::Tensor& weights);

// Depths (camera z) that are known at single pixels of a picture.
struct PixelDepths {
  std::vector<int64_t> pixels;  // y * width + x, ascending, distinct
  std::vector<double> depths;
};
// Of the points (numbers into `points`) that lie before the camera and in its picture.
PixelDepths depths_of_points(const scene::Camera& camera,
                             const std::vector<Eigen::Vector3f>& points,
                             const std::vector<uint32_t>& numbers);
// Mean of |1/z - 1/z known| at those pixels whose weight is not 0; 0 when there are none. depth [H,W], float or double,
// differentiable; weights [H,W] float. No depth counts as less than `least`, so that no inverse grows without bound.
at::Tensor disparity_distance(const at::Tensor& depth, const PixelDepths& known,
                              const at::Tensor& weights, double least);

}  // namespace covary::fit
