// The parts of the study splat-formats that are about files and meshes.
#pragma once

#include <vector>

#include "covary/core/eval/study.h"

namespace covary::studies {

std::vector<eval::Bar> round_trip_bars();  // 1: what a file keeps
std::vector<eval::Bar> size_bars();        // 2: as small as others' files; memory of a conversion
std::vector<eval::Bar> surface_bars();     // 5: meshes

}  // namespace covary::studies
