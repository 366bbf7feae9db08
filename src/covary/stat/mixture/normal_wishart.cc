#include "covary/stat/mixture/normal_wishart.h"

#include "covary/stat/mixture/mixture_state.h"

namespace covary::mixture {

NormalWishart normal_wishart(const ColumnMoments& moments, double mean_strength, double degrees,
                             double prior_share, int64_t& constant_columns) {
  NormalWishart prior{moments.mean, moments.variance, mean_strength,
                      degrees + static_cast<double>(moments.mean.size()) - 1};
  constant_columns = replace_constant(moments.mean, prior.inverse_scale);
  for (double& v : prior.inverse_scale) v *= prior_share * (degrees - 2);
  return prior;
}

}  // namespace covary::mixture
