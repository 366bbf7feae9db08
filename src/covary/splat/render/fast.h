// Drawing with less: a scene prepared once for the cameras that will look at it, and drawn from then on
// by what of it is seen. The pictures stay within a stated distance of the exact ones.
//
//   FastScene fast(primitives, cameras, {.psnr = 40});     // seconds: draws some of the views exactly
//   Pictures p = pictures(fast, camera, {});               // color and alpha
//   fast.facts().kept, .psnr, .gain
//
// One threshold does it. The largest blending weight T alpha of each Gaussian over all pixels of up to
// `judged` views, spread evenly over the cameras, is its contribution. Whose contribution stays under the
// threshold is dropped; the others end where their weight falls under a share of it (opacity is
// raised so that the total of what is left is that of the whole). A Gaussian that none of these views
// holds stays as it is. What stays is laid out anew, see packed.h.
//
// For each of a few shares the threshold is the largest, to a twentieth, at which the worst of the
// compared views keeps the PSNR; that share is taken which leaves the fewest pairs of a Gaussian and a
// tile. Views between the compared ones are checked in the end, and the threshold falls until they keep it
// too.
//
// Pinhole, orthographic and fisheye cameras; float; colours by spherical harmonics. Source: contributions as
// a measure of importance, Niemeyer et al. 2024 (RadSplat), who train on after pruning; Morton 1966.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/compute/project/packed.h"
#include "covary/splat/render/pictures.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/camera.h"

namespace covary::render {

struct FastOptions {
  double psnr = 40;      // dB, of the worst compared view to the exact picture, values in [0, 1]
  int64_t judged = 24;   // views from which contributions are taken, at most
  int64_t compared = 8;  // of them, on which the threshold is chosen; half as many are checked
  bool antialiased = false;    // as RasterizeOptions
  at::Tensor background = {};  // [3], as PictureOptions

  void check() const;  // Error(kUsage) naming the field
};

struct FastFacts {
  int64_t gaussians = 0, kept = 0;
  double threshold = 0;            // of the contribution
  double share = 0.5;              // of the threshold, under which weights are cut
  double psnr = 0, psnr_mean = 0;  // dB; worst and mean of the compared and checked views
  double psnr_packed = 0;          // dB, worst, before anything is dropped: what 16 bits cost
  int64_t judged = 0, compared = 0, checked = 0;  // views
  double exact_cpu_s = 0, fast_cpu_s = 0;         // a frame, mean of the compared views
  int64_t bytes = 0;                              // of the packed scene
  double seconds = 0;                             // that preparation took
};

class FastScene {
 public:
  // cameras: those to be drawn, of any sizes, at least one. Error(kUsage) when primitives have no
  // SH colours, or when 16-bit numbers alone do not keep the PSNR.
  FastScene(const Primitives& primitives, const std::vector<scene::Camera>& cameras,
            const FastOptions& options);

  const FastFacts& facts() const { return facts_; }

  // [H,W,3] and [H,W,1] at the camera's size. Not on several threads at a time.
  Pictures draw(const scene::Camera& camera, const at::Tensor& background);

 private:
  FastFacts facts_;
  bool antialiased_;
  compute::PackedScene scene_;
  compute::PackedView view_;
  int64_t pairs_ = 0;  // of the view last drawn
};

// The contributions [N] over the views of the cameras; `seen` [N] bool: some view holds it. between:
// called before every view but the first.
struct Contributions {
  at::Tensor largest, seen;
};
Contributions contributions(const Primitives& primitives, const std::vector<scene::Camera>& cameras,
                            bool antialiased, const std::function<void()>& between = {});

// The rows to keep (int64, ascending) and what is changed of them, by the rule above. share: of the
// threshold, under which weights are cut, in (0, 1].
struct Pruned {
  at::Tensor rows;       // [K]
  at::Tensor opacities;  // [K]
  at::Tensor reach;      // [K], see packed.h
};
Pruned prune(const Primitives& primitives, const Contributions& c, double threshold, double share);

// All rows, along a Morton curve through the means.
Primitives in_morton_order(const Primitives& primitives);

// The rows in their order, packed. Neighbours should follow one another: the numbers of a group are as
// exact as its box is small.
compute::PackedScene pack(const Primitives& primitives, const Pruned& pruned);

// With supersampling; depth and normals are not drawn: Error(kUsage).
Pictures pictures(FastScene& scene, const scene::Camera& camera, const PictureOptions& options);

}  // namespace covary::render
