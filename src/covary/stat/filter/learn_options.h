// What fits of linear models may change, and when EM stops; see learn.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"

namespace covary::filter {

struct LearnOptions {
  bool f = false, h = false, b = false;  // free matrices (their masks: learn.h)
  bool mean0 = false, cov0 = false;
  std::string q = "diagonal";  // fixed | diagonal (off-diagonal entries stay) | full; a diagonal
  std::string r = "diagonal";  // entry that starts at 0 stays 0
  int64_t steps = 500;         // of EM or of the search, at most
  double tolerance = 1e-9;     // EM: stop when a step gains less, nats an observed row; the search:
                               // gradient in nats an observed row

  void describe(OptionList& o) {
    o.add("f", &f, "fit F");
    o.add("h", &h, "fit H");
    o.add("b", &b, "fit B (likelihood only)");
    o.add("mean0", &mean0, "fit the mean of the start");
    o.add("cov0", &cov0, "fit the covariance of the start (EM only)");
    o.add("q", &q, "what of Q is free").choices({"fixed", "diagonal", "full"}).common();
    o.add("r", &r, "what of R is free").choices({"fixed", "diagonal", "full"}).common();
    o.add("steps", &steps, "steps at most").range(0, 1e9).common();
    o.add("tolerance", &tolerance, "when to stop, nats an observed row").range(0, 1e9);
  }
  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, rule, field);
    };
    for (const auto& [value, field] : {std::pair{&q, "q"}, std::pair{&r, "r"}}) {
      if (*value != "fixed" && *value != "diagonal" && *value != "full") {
        refuse(field, "is fixed, diagonal or full");
      }
    }
    if (steps < 0) refuse("steps", "must not be negative");
    if (!(tolerance >= 0)) refuse("tolerance", "must not be negative");
  }
};

}  // namespace covary::filter
