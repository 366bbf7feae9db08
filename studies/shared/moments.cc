#include "studies/shared/moments.h"

#include <ATen/ATen.h>

#include "covary/splat/fit/trainer.h"

namespace covary::studies {

at::Tensor first_moments(const scene::Capture& capture, const fit::TrainOptions& options,
                         uint64_t seed, const std::vector<int64_t>& views) {
  fit::Trainer trainer(capture, options);
  trainer.start(seed);
  trainer.step(views);
  std::vector<at::Tensor> all;
  for (const char* name : {"means", "scales", "quats", "opacities", "sh0"})
    all.push_back(trainer.table().entry(name).first.flatten().to(at::kDouble));
  return at::cat(all);
}

}  // namespace covary::studies
