#include "covary/cli/density_options.h"

namespace covary::cli {

void DensityOptions::describe(OptionList& o) {
  o.add("method", &method, "kernel density estimate").choices({"kde"}).common();
  kde.describe(o);
  table.describe(o);
}

void DensityOptions::check() const { kde.check(); }

void DensitySampleOptions::describe(OptionList& o) {
  o.add("samples", &samples, "rows to draw").range(0, 1e10).synonym("n").common();
  DensityOptions::describe(o);
}

}  // namespace covary::cli
