// "sample:NAME,key=value,...": the way from the name to the generator. Within scene only;
// generators register by register_sample of capture.h.
#pragma once

#include <string>

#include "covary/splat/scene/capture.h"

namespace covary::scene {

// Error(kUsage) for an unknown name, with the nearest one, and for what is not key=value.
Capture make_sample(const std::string& where, const CaptureOptions& options);

}  // namespace covary::scene
