#include "covary/core/compute/rasterize/footprints.h"

#include <algorithm>
#include <cmath>

#include "covary/core/base/error.h"
#include "covary/core/compute/lanes.h"

namespace covary::compute {
namespace {
#include "covary/core/compute/rasterize/footprints.inc"
}  // namespace

std::vector<std::string> footprint_names() {
  return {
#define COVARY_NAME_FOOTPRINT(name, Type) name,
      COVARY_FOOTPRINTS(COVARY_NAME_FOOTPRINT)
#undef COVARY_NAME_FOOTPRINT
  };
}

int footprint_index(const std::string& name) {
  const auto names = footprint_names();
  const auto at = std::find(names.begin(), names.end(), name);
  if (at == names.end()) {
    std::string all;
    for (const auto& n : names) all += (all.empty() ? "" : ", ") + n;
    throw Error(ExitCode::kUsage, "unknown footprint '" + name + "'", "primitive",
                "one of: " + all);
  }
  return static_cast<int>(at - names.begin());
}

int footprint_params(int footprint) {
  return with_footprint(footprint, []<class F>() { return F::kParams; });
}

int footprint_extras(int footprint) {
  return with_footprint(footprint, []<class F>() { return F::kExtras; });
}

}  // namespace covary::compute
