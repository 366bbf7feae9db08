// How wrong pictures are where the photos are steepest.
#pragma once

#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/cloud.h"

namespace covary::studies {

// Mean |error| of the held-out views over the tenth of the pixels with the largest gradient (Sobel) of the photo.
double error_where_steep(const scene::Cloud& cloud, const scene::Capture& capture);

}  // namespace covary::studies
