// Photos and cameras of a coarser level of a fit.
//
//   CoarseViews coarse;
//   const scene::View& small = coarse.at(capture, 3, 4);    // both sides divided by 4
//   small.camera                                            // K by the actual ratios
//
// A pixel is the exact mean of the photo's area that it covers: of what a mask leaves of it, and,
// where colours are straight (random backgrounds), weighted by alpha. It counts when at least half of
// its area does. Made when first asked for; one level is kept, which takes the bytes of the photos
// over the square of the division.
#pragma once

#include <cstdint>
#include <map>

#include "covary/splat/scene/capture.h"

namespace covary::fit {

// No side gets shorter than this, px: windows of SSIM and tiles want some room.
constexpr int kLeastSide = 16;

// The view at the size nearest to its own over `division`; depth and normals are dropped.
scene::View shrunk(const scene::View& view, double division, bool straight_colors);

class CoarseViews {
 public:
  // A reference into this, until another division is asked for.
  const scene::View& at(const scene::Capture& capture, int64_t view, double division);

 private:
  double division_ = 1;
  std::map<int64_t, scene::View> views_;
};

}  // namespace covary::fit
