#include "covary/splat/scene/capture_options.h"
