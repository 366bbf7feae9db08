// Which value a candidate point has; see acquisition.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"

namespace covary::stat {

struct AcquisitionOptions {
  std::string acquisition = "logei";  // see acquisition.h
  double beta = 4;                    // of ucb: squared number of standard deviations, 1
  int64_t draws = 256;  // of Monte Carlo forms; of the incumbent in noisy-ei (a quarter), 1
  double improvement_softness = 1e-6;  // units of y: bend of the improvement in logei of batches
  double max_softness = 1e-2;          // bend of the largest of a batch, of a logarithm, 1
  double constraint_softness = 1e-3;   // units of a constraint: bend of its step in batches
  int64_t support = 64;   // points whose best mean kg looks at; of mes: maxima drawn (a quarter), 1
  double cost_power = 1;  // of the cost that values are divided by, where costs are known, 1

  static const std::vector<std::string>& kinds() {
    static const std::vector<std::string> names = {"logei",    "ei", "pi",  "ucb",
                                                   "noisy-ei", "kg", "mes", "thompson"};
    return names;
  }

  void describe(OptionList& o) {
    o.add("acquisition", &acquisition, "what a candidate is chosen by").choices(kinds()).common();
    o.add("beta", &beta, "ucb: squared number of standard deviations").range(0, 1e6);
    o.add("draws", &draws, "draws of a batch's values").range(1, 1e6);
    o.add("improvement_softness", &improvement_softness, "bend of the improvement in batches")
        .range(1e-300, 1e300);
    o.add("max_softness", &max_softness, "bend of the largest of a batch").range(1e-12, 1e3);
    o.add("constraint_softness", &constraint_softness, "bend of a constraint's step in batches")
        .range(1e-300, 1e300);
    o.add("support", &support, "points that kg looks at").range(1, 1e5);
    o.add("cost_power", &cost_power, "power of the cost that values are divided by").range(0, 100);
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "acquisition options");
    };
    bool known = false;
    for (const std::string& k : kinds()) known = known || k == acquisition;
    if (!known) {
      const std::string near = nearest_word(acquisition, kinds());
      throw Error(ExitCode::kUsage, "\"" + acquisition + "\" is no acquisition function",
                  "acquisition",
                  near.empty() ? "one of logei, ei, pi, ucb, noisy-ei, kg, mes, thompson"
                               : "did you mean " + near + "?");
    }
    if (!(beta >= 0)) refuse("beta", "must not be negative");
    if (draws < 1) refuse("draws", "must be at least 1");
    if (!(improvement_softness > 0)) refuse("improvement_softness", "must be positive");
    if (!(max_softness > 0)) refuse("max_softness", "must be positive");
    if (!(constraint_softness > 0)) refuse("constraint_softness", "must be positive");
    if (support < 1) refuse("support", "must be at least 1");
    if (!(cost_power >= 0)) refuse("cost_power", "must not be negative");
  }
};

}  // namespace covary::stat
