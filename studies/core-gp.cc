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
  for (auto* part :
       {process_value_bars, process_snelson_bars, process_speed_bars, process_table_bars,
        process_series_bars, process_likelihood_bars, process_robustness_bars}) {
    std::vector<eval::Bar> bars = part();
    study.bars.insert(study.bars.end(), std::make_move_iterator(bars.begin()),
                      std::make_move_iterator(bars.end()));
  }
  study.bars.push_back({.id = "6",
                        .title = "Bayesian optimisation: Branin to 1e-4 within 50 evaluations",
                        .metric = "evaluations",
                        .unit = "1",
                        .bound = "evaluations <= 50",
                        .desk = true});
  return study;
}

[[maybe_unused]] const bool kRegistered = eval::register_study(make_study());

}  // namespace
}  // namespace covary::studies
