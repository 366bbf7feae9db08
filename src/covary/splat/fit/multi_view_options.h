// What a fit does with several views a step beside summing their gradients: multi_view.h.
#pragma once

#include <cstdint>

#include "covary/core/base/options.h"

namespace covary::fit {

struct MultiViewOptions {
  bool cross_ray = false;      // clone what lies where the worst parts of the views meet
  bool augment = false;        // half the threshold of growth when the views are far apart
  int64_t window_width = 40;   // px, of cross_ray
  int64_t window_height = 20;  // px
  bool guarded = true;         // refuse meetings that no surface can be: cross_ray.h
  double most_cloned = 0.1;    // of the count, by cross_ray, at a refinement; 1: all

  void describe(OptionList& o);
  void check() const;
  bool on() const { return cross_ray || augment; }
};

}  // namespace covary::fit
