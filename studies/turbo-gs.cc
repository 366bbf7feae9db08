// turbo-gs: the same scene in a third of the steps, with strided pictures and guided growth. Dhiman et al. 2024, measured on
// two CPU cores; the plain host alone.
#include <iterator>
#include <utility>

#include "studies/turbo-gs/bars.h"

namespace covary::studies {
namespace {

eval::Study make_study() {
  eval::Study study{.slug = "turbo-gs",
                    .title = "Turbo-GS: a third of the steps, strided pictures, guided growth",
                    .bars = {}};
  for (auto&& bars : {turbo_quality_bars(), turbo_stride_bars(), turbo_oracle_bars()})
    study.bars.insert(study.bars.end(), bars.begin(), bars.end());
  return study;
}

[[maybe_unused]] const bool kRegistered = eval::register_study(make_study());

}  // namespace
}  // namespace covary::studies
