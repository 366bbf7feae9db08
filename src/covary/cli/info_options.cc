#include "covary/cli/info_options.h"

namespace covary::cli {

void InfoOptions::describe(OptionList& o) {
  o.add("index", &index, "show one Gaussian of a scene, or one view of a capture; -1 = none")
      .range(-1, 1e12)
      .synonym("splat")
      .common();
  o.add("plan", &plan, "of a capture: the memory and time that training needs here, measured")
      .common();
}

}  // namespace covary::cli
