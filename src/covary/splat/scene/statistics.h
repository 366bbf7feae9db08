// What the numbers of a scene are like, column by column.
//
//   for (const std::string& name : number_names(cloud)) {
//     const ColumnStatistics s = statistics_of(column(cloud, name));
//     show(name, s.median, s.counts, s.nan);
//   }
//   sh_energy(cloud)[1]      // of the linear band, a splat in the mean
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/splat/scene/cloud.h"

namespace covary::scene {

// Of those values that are finite, but for the two counts. 0 where there are none.
struct ColumnStatistics {
  int64_t count = 0, nan = 0, infinite = 0;
  double low = 0, high = 0, mean = 0, deviation = 0;
  double quantile01 = 0, median = 0, quantile99 = 0;
  // Bins of equal width from quantile01 to quantile99; what lies outside is in the first and the last.
  std::vector<int64_t> counts;
};
ColumnStatistics statistics_of(const at::Tensor& values, int64_t bins = 24);  // [N]

// Of each band, 0 first: the mean over splats of the sum of its squared coefficients, all channels. Not
// finite where a coefficient is not.
std::vector<double> sh_energy(const Cloud& cloud);

}  // namespace covary::scene
