// The rows of a fit of smooth convexes (convex_options.h): how they start, what is drawn of them,
// and what is saved.
//
//   for (const auto& [name, value] : convex_rows(convexes_at_start(cloud, options, extent))) table.add(name, value, rate);
//   render::Primitives p = convex_primitives(table, with_rest);
//   scene::Cloud cloud = convex_cloud(values_of(table), options);
//
// Rows: "points" [N,K,3], "delta" and "sigma" [N] logarithms, "mask" [N] logits, "opacities" [N]
// logits, "sh0" [N,1,3], "shN" [N,B,3]. A mask at most prune_mask (sigmoid) hides its convex
// altogether; its gradient is that of opacity times mask (straight through).
#pragma once

#include <string>

#include "covary/core/nn/optim/rows.h"
#include "covary/splat/fit/convex_options.h"
#include "covary/splat/fit/loss.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/cloud.h"

namespace covary::fit {

// Whether a convex with this mask (a logit) is drawn, saved and kept by refinements: one test for
// all three.
bool hides(float mask, double prune_mask);

// A sigma as the published numbers are meant: of a scene of extent 5 seen at a focal length of 1000
// px. So borders are as many px wide, whatever the scene's size and the photos' resolution.
double published_sigma(double sigma, double extent, double focal);
double own_sigma(double published, double extent, double focal);

// The cloud itself where it is of convexes with this K; Gaussians become convexes. focal: of the
// training photos, px. Error(kUsage): another K.
scene::Cloud convexes_at_start(const scene::Cloud& cloud, const ConvexOptions& options,
                               double extent, double focal);
// Error(kData) with the first row that holds what is no finite number in float: a point, an
// opacity, delta or sigma (which are positive).
nn::NamedTensors convex_rows(const scene::Cloud& convexes);

// Differentiable by every row. float; shN only where `rest`.
render::Primitives convex_primitives(const nn::RowTable& table, const ConvexOptions& options,
                                     bool rest);

// What is saved of the rows (by name, as in the table): hidden convexes are left out.
scene::Cloud convex_cloud(const nn::NamedTensors& rows, const ConvexOptions& options);
nn::NamedTensors values_of(const nn::RowTable& table);  // without gradients

// Means of the points, [N,3], no gradient.
at::Tensor convex_centres(const nn::RowTable& table);

// Mean of the masks; the table outlives the term.
LossTerm mask_term(const nn::RowTable& table, double weight);

}  // namespace covary::fit
