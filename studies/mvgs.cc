// mvgs: several views a step, coarse to fine, and growth where their worst parts meet. Du et al. 2024, measured on two
// CPU cores.
#include "studies/mvgs/bars.h"

#include <iterator>
#include <utility>

namespace covary::studies {
namespace {

eval::Study make_study() {
  eval::Study study{
      .slug = "mvgs",
      .title = "MVGS: steps on several views, and growth where they disagree together",
      .bars = {}};
  for (auto&& bars :
       {multi_view_quality_bars(), multi_view_growth_bars(), multi_view_oracle_bars()})
    study.bars.insert(study.bars.end(), bars.begin(), bars.end());
  return study;
}

[[maybe_unused]] const bool kRegistered = eval::register_study(make_study());

}  // namespace
}  // namespace covary::studies
