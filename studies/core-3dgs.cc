// core-3dgs: posed photos in, a Gaussian scene out. Kerbl et al. 2023, measured on two CPU cores.
#include "studies/core-3dgs/bars.h"

#include <iterator>
#include <utility>

namespace covary::studies {
namespace {

void add(std::vector<eval::Bar>& all, std::vector<eval::Bar> some) {
  all.insert(all.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
}

eval::Study make_study() {
  eval::Study study{.slug = "core-3dgs",
                    .title = "3D Gaussian splatting: the base trainer, on two CPU cores",
                    .bars = {}};
  study.bars.push_back(
      {.id = "1",
       .title = "chair, 800x800, 30,000 steps on a GPU",
       .metric = "PSNR",
       .unit = "dB",
       .paper = eval::Paper{35.83, "table of per-scene results", "chair, 30k steps"},
       .bound = "PSNR >= 35.3 dB",
       .full = true,
       .gpu = true});
  add(study.bars, quality_bars());
  add(study.bars, speed_bars());
  add(study.bars, recovery_bars());
  add(study.bars, refinement_bars());
  add(study.bars, antialias_bars());
  add(study.bars, oracle_bars());
  add(study.bars, real_scene_bars());
  add(study.bars, photo_bars());
  return study;
}

[[maybe_unused]] const bool kRegistered = eval::register_study(make_study());

}  // namespace
}  // namespace covary::studies
