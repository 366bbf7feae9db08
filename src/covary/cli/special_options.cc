#include "covary/cli/special_options.h"

namespace covary::cli {

void BesselNumbers::describe(OptionList& o) {
  o.add("order", &order, "orders v: 2.5 or 0,1,2 or 0:10").synonym("nu").common();
  o.add("x", &x, "arguments, likewise; one number goes with every order").common();
  o.add("columns", &columns, "of a table: the one of orders, the one of x").common();
}

void LogBesselOptions::describe(OptionList& o) {
  BesselNumbers::describe(o);
  o.add("scaled", &scaled, "log(I e^-x), log(K e^x)").common();
  o.add("derivatives", &derivatives, "also in order and x; second: and their derivatives")
      .choices({"none", "first", "second"})
      .bare("first")
      .common();
}

void BesselRatioOptions::describe(OptionList& o) {
  BesselNumbers::describe(o);
  o.add("kind", &kind, "of I or K").choices({"i", "k"}).common();
}

}  // namespace covary::cli
