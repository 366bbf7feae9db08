// log-bessel: logarithms of modified Bessel functions, and directions in thousands of dimensions.
#include <iterator>
#include <utility>

#include "studies/log-bessel/bars.h"

namespace covary::studies {

using eval::Bar;

namespace {

eval::Study make_study() {
  eval::Study study{.slug = "log-bessel",
                    .title =
                        "Logarithms of modified Bessel functions of any order, and von "
                        "Mises-Fisher fits: errors, identities, speed, real features",
                    .bars = {}};
  for (auto* part :
       {bessel_accuracy_bars, bessel_identity_bars, bessel_speed_bars, bessel_direction_bars}) {
    std::vector<Bar> bars = part();
    study.bars.insert(study.bars.end(), std::make_move_iterator(bars.begin()),
                      std::make_move_iterator(bars.end()));
  }
  return study;
}

[[maybe_unused]] const bool kRegistered = eval::register_study(make_study());

}  // namespace
}  // namespace covary::studies
