// Photos and cameras of a coarser level of a fit.
//
//   CoarseViews coarse;
//   const auto small = coarse.at(capture, 3, 4);    // both sides divided by 4
//   small->camera                                   // K by the actual ratios
//
// A pixel is the exact mean of the photo's area that it covers: of what a mask leaves of it, and,
// where colours are straight (random backgrounds), weighted by alpha. It counts when at least half of
// its area does. Made when first asked for; one level is kept, which takes the bytes of the photos
// over the square of the division. Of a capture whose photos are decoded by need (photo_cache.h) the level has the
// room that the photos had, until full views are asked for.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/photo_cache.h"

namespace covary::fit {

// No side gets shorter than this, px: windows of SSIM and tiles want some room.
constexpr int kLeastSide = 16;

// The view at the size nearest to its own over `division`; depth and normals are dropped.
scene::View shrunk(const scene::View& view, double division, bool straight_colors);

class CoarseViews {
 public:
  // With the camera that the capture has now. A division of 1 is the capture's own view, and lets the level go.
  std::shared_ptr<const scene::View> at(const scene::Capture& capture, int64_t view,
                                        double division);
  // scene::Capture::expect, of views at this division.
  void expect(const scene::Capture& capture, const std::vector<int64_t>& order, size_t ahead,
              double division);

 private:
  void change_to(const scene::Capture& capture, double division);

  double division_ = 1;
  std::map<int64_t, std::shared_ptr<scene::View>> views_;  // of photos that are in memory
  std::unique_ptr<scene::PhotoCache> cache_;               // of others
  int64_t room_ = 0;                                       // that the photos had
};

}  // namespace covary::fit
