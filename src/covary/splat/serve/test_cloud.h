// Random clouds for the tests of the room.
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "covary/splat/scene/cloud.h"

namespace covary::serve {

inline scene::Cloud test_cloud(int64_t n, int64_t sh_degree) {
  auto random = at::detail::createCPUGenerator(5);
  const auto normal = [&](at::IntArrayRef shape) { return at::randn(shape, random, at::kFloat); };
  scene::Cloud cloud;
  cloud.means = normal({n, 3});
  cloud.quats = normal({n, 4});
  cloud.scales = normal({n, 3}) - 4;
  cloud.opacities = normal({n});
  cloud.sh0 = normal({n, 1, 3});
  cloud.shN = 0.1 * normal({n, (sh_degree + 1) * (sh_degree + 1) - 1, 3});
  return cloud;
}

}  // namespace covary::serve
