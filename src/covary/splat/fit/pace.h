// How many steps a run has time for, found out while it runs.
//
//   Pace pace(110, 30000);                              // seconds of training, and no more steps than these
//   for (;;) { ...; steps = pace.steps(step, seconds, steps); }
//
// Every so often the cost of a step is measured and its growth (a scene under refinement gets more Gaussians, until half
// of the steps are done) carried forward; the number of steps is the one whose rest takes the seconds that are left. A
// change is at most a fifth at a time, and none comes in the last twentieth of a run: the clock ends that.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::fit {

class Pace {
 public:
  Pace(double seconds, int64_t most_steps);

  // After `step` steps that took `seconds`, of a run planned for `planned`: the steps to plan for now.
  int64_t steps(int64_t step, double seconds, int64_t planned);

 private:
  struct Mark {
    int64_t step = 0;
    double seconds = 0;
  };
  double rest(int64_t step, int64_t total, double cost, double growth) const;

  double budget_;
  int64_t most_;
  std::vector<Mark> marks_;
};

}  // namespace covary::fit
