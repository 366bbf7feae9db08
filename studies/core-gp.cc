// core-gp: Gaussian processes, exact and in linear time, measured on two CPU
// cores.
#include <iterator>
#include <utility>

#include "studies/core-gp/bars.h"

namespace covary::studies {
namespace {

eval::Study make_study() {
  eval::Study study{.slug = "core-gp",
                    .title =
                        "Gaussian processes: values, speed, tables, long "
                        "series, hostile data, on two CPU cores",
                    .bars = {}};
  for (auto* part : {process_value_bars, process_snelson_bars, process_speed_bars,
                     process_table_bars, process_series_bars, process_likelihood_bars,
                     process_robustness_bars, process_optimisation_bars}) {
    std::vector<eval::Bar> bars = part();
    study.bars.insert(study.bars.end(), std::make_move_iterator(bars.begin()),
                      std::make_move_iterator(bars.end()));
  }
  return study;
}

[[maybe_unused]] const bool kRegistered = eval::register_study(make_study());

}  // namespace
}  // namespace covary::studies
