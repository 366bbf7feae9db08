// `covary special`: functions on numbers and arrays.
#pragma once

#include <string>
#include <vector>

#include "covary/core/base/options.h"

namespace covary::cli {

// Orders and arguments stand here, or in the verb's inputs: ORDERS X, or X alone with --order, or one table with both.
struct BesselNumbers {
  std::vector<double> order;         // v
  std::vector<double> x;             // argument
  std::vector<std::string> columns;  // of the table: that of the orders and that of x; empty = the
                                     // columns order and x, or the first two

  void describe(OptionList& o);
};

struct LogBesselOptions : BesselNumbers {
  bool scaled = false;               // log(I e^-x), log(K e^x)
  std::string derivatives = "none";  // none | first (in v and x) | second

  void describe(OptionList& o);
  void check() const {}
};

struct BesselRatioOptions : BesselNumbers {
  std::string kind = "i";  // i: I_(v+1)/I_v | k: K_(v+1)/K_v

  void describe(OptionList& o);
  void check() const {}
};

}  // namespace covary::cli
