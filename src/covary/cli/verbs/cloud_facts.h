// What covary info says of a cloud of Gaussians.
#pragma once

#include <Eigen/Core>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "covary/splat/scene/cloud.h"

namespace covary::cli {

struct Histogram {
  double low = 0, high = 1;     // of all bins
  std::vector<int64_t> counts;  // bins of equal width; values outside are in the first and last
  double median = 0;
};

struct CloudFacts {
  int64_t count = 0, not_finite = 0;
  int sh_degree = 0;
  bool antialiased = false;
  Eigen::Vector3d low{0, 0, 0}, high{0, 0, 0};      // of the means that are finite
  Eigen::Vector3d low90{0, 0, 0}, high90{0, 0, 0};  // 5% and 95% quantiles, axis by axis
  Histogram opacity;                                // in (0, 1), not logits
  Histogram scale;  // log10 of the geometric mean of a Gaussian's standard deviations
  double elongation_median = 0, elongation_99 = 0;  // largest over smallest standard deviation
  std::vector<std::string> columns;
  std::string footprint;
  int64_t hull_points = 0;                    // of a convex; 0: they are none
  double delta_median = 0, sigma_median = 0;  // of convexes (core/compute/project/convex.h)

  nlohmann::json to_json() const;
};

CloudFacts facts_of(const scene::Cloud& cloud);
// Every number of a splat by its name (splat/scene/columns.h): bounds, mean, quantiles, histogram, what is
// not finite; and the energy of each band of spherical harmonics.
nlohmann::json column_facts_of(const scene::Cloud& cloud);
nlohmann::json row_of(const scene::Cloud& cloud, int64_t index);
// Ten bars and the ends: "0 ▁▂▃▅▇█▃▂▁▁ 1, median 0.42".
std::string histogram_text(const Histogram& histogram);

}  // namespace covary::cli
