// A cloud seen from another frame; see scene/similarity.h.
#pragma once

#include "covary/splat/scene/similarity.h"

namespace covary::fit {

using scene::transformed;

}  // namespace covary::fit
