// A fit from coarse to fine: by how much the photos' sides are divided, as a function of the step.
//
//   auto levels = resolution_levels("4:0.1,2:0.4");   // by 4 for a tenth of the steps, by 2 until 0.4
//   division_at(levels, 1, 7000)                      // 4
//   division_at(levels, 2801, 7000)                   // 1
//   resolution_levels("8:0.1:48,4:0.2:24,2:0.3:12")   // and with 48, 24, 12 views a step: small pictures, many of them
//
// "full", the default, is none. Coarse pictures are cheaper by their pixels, and fewer Gaussians grow on
// them; what was measured costs some quality (bench/NOTES.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace covary::fit {

struct ResolutionLevel {
  double division = 1;  // of both sides, at least 1
  double until = 1;     // share of the steps at whose end the level ends, in (0, 1]
  int64_t views = 0;    // a step; 0: as elsewhere
};

// "full", or DIVISION:UNTIL[:VIEWS],... with falling divisions and rising shares. After the last
// level the photos are whole. Error(kUsage) naming resolution_schedule.
std::vector<ResolutionLevel> resolution_levels(const std::string& schedule);

// The division at a step (from 1) of so many.
double division_at(const std::vector<ResolutionLevel>& levels, int64_t step, int64_t steps);

// Views that were drawn before a step (from 1) of so many, with `views` a step where no level says otherwise.
int64_t views_before(const std::vector<ResolutionLevel>& levels, int64_t views, int64_t step,
                     int64_t steps);

}  // namespace covary::fit
