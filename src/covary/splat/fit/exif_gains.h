// The gains of photos that their cameras wrote down: where the maps of exposure.h begin.
//
//   std::vector<double> gains = exif_gains(capture);   // one a training photo, by capture.train; mean 1; empty: none known
//
// The light that a camera let in is t ISO / N^2; a photo that took twice as much of the same scene is twice as bright in linear
// light. Photos are stored sRGB-coded, which is close to a power of 1/2.2, and so are the colours that the maps act on: there the
// gain is 2^(d / 2.2), d the photo's log2 exposure less the mean of the photos that state one. d is cut to +-4. A photo that
// states none has d = 0. Empty when fewer than two state one, or all the same.
#pragma once

#include <vector>

#include "covary/splat/scene/capture.h"

namespace covary::fit {

std::vector<double> exif_gains(const scene::Capture& capture);

}  // namespace covary::fit
