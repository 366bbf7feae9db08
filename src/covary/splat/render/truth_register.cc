// The names under which load_capture finds the samples.
#include <map>
#include <string>

#include "covary/splat/render/truth.h"
#include "covary/splat/render/truth_splats.h"

namespace covary::render {

void register_samples() {
  using Parameters = std::map<std::string, std::string>;
  scene::register_sample(
      {"studio", "a turntable with things on it, ray-traced; " + studio_parameters(),
       [](const Parameters& parameters, const scene::CaptureOptions& capture_options) {
         StudioOptions options;
         set_sample_options(options, parameters, "studio");
         return make_studio(options, capture_options);
       }});
  scene::register_sample(
      {"splats", "random Gaussians, rendered by our rasteriser; " + splats_parameters(),
       [](const Parameters& parameters, const scene::CaptureOptions& capture_options) {
         SplatsOptions options;
         set_sample_options(options, parameters, "splats");
         return make_splats(options, capture_options).capture;
       }});
}

}  // namespace covary::render
