// splat-formats: scene files and what is done to them. A group of bars is a file in studies/splat-formats/ and a line
// here.
#include <iterator>
#include <utility>

#include "studies/splat-formats/bars.h"

namespace covary::studies {
namespace {

using Group = std::vector<eval::Bar> (*)();

constexpr Group kGroups[] = {
    round_trip_bars, size_bars,    peer_bars,    turning_bars,
    decimation_bars, floater_bars, surface_bars,
};

eval::Study make_study() {
  eval::Study study{.slug = "splat-formats",
                    .title = "Scene files: what formats keep, and what edits leave",
                    .bars = {}};
  for (const Group group : kGroups) {
    std::vector<eval::Bar> some = group();
    study.bars.insert(study.bars.end(), std::make_move_iterator(some.begin()),
                      std::make_move_iterator(some.end()));
  }
  return study;
}

[[maybe_unused]] const bool kRegistered = eval::register_study(make_study());

}  // namespace
}  // namespace covary::studies
