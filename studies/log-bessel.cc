// log-bessel: logarithms of modified Bessel functions, and directions in thousands of dimensions.
#include <iterator>
#include <utility>

#include "studies/log-bessel/bars.h"

namespace covary::studies {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

Bar bessel_limit(const std::string& id, const std::string& part, const std::string& title,
                 const std::string& metric, double bound,
                 const std::function<double(StudyContext&)>& measure) {
  char text[64];
  std::snprintf(text, sizeof(text), bound == 0 ? "ours == 0" : "ours <= %g", bound);
  const std::string words = text;
  return {.id = id,
          .part = part,
          .title = title,
          .metric = metric,
          .unit = "1",
          .bound = words,
          .smoke = true,
          .desk = true,
          .measure = [=](StudyContext& c) {
            const double v = measure(c);
            BarResult r;
            r.ours = Quantity{.value = v, .unit = "1"};
            r.bound = {.text = words, .left = v, .op = bound == 0 ? "==" : "<=", .right = bound};
            return r;
          }};
}

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
