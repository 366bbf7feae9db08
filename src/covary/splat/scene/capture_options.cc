#include "covary/splat/scene/capture_options.h"

#include <cmath>
#include <cstdlib>

#include "covary/core/base/error.h"
#include "covary/core/base/machine.h"

namespace covary::scene {

void CaptureOptions::describe(OptionList& o) {
  o.add("downscale", &downscale, "divide the photos' size by this; images_N/ is used when there")
      .range(1, 64)
      .common()
      .synonym("resolution")
      .synonym("downscale-factor")
      .synonym("data-factor")
      .synonym("resize-factor");
  o.add("test_every", &test_every,
        "hold out every n-th view by name, 0 = none (captures with a split keep theirs)")
      .range(0, 1e6)
      .common()
      .synonym("eval-interval")
      .synonym("eval-split-every");
  o.add("masks", &masks, "auto: masks/ beside images/, or mask_path; off; or a folder")
      .suggestions({"auto", "off"})
      .common();
  o.add("mask_mode", &mask_mode,
        "what masked pixels are: dropped from every loss, or known to be transparent")
      .choices({"ignore", "empty", "off"})
      .common();
  o.add("background", &background,
        "auto (white for NeRF-synthetic, else black), black, white, random, or r,g,b in 0..1")
      .suggestions({"auto", "black", "white", "random"})
      .common();
  o.add("normalize", &normalize,
        "bring the scene to a common frame; the transform is kept, exports go back by it");
  o.add("cameras", &cameras, "folder or file of the cameras, when not in the capture's folder");
  o.add("split", &split, "views to load").choices({"all", "train", "test"});
  o.add("max_views", &max_views, "use at most this many training views, evenly spaced, 0 = all")
      .range(0, 1e7);
  o.add("photo_cache", &photo_cache,
        "bytes of decoded photos held at once; more are decoded by need; none: all, or half of the "
        "machine's memory where they are more")
      .size()
      .range(0, 1e18);
}

int64_t CaptureOptions::photo_cache_of() const {
  return photo_cache ? static_cast<int64_t>(*photo_cache) : total_memory_bytes() / 2;
}

void CaptureOptions::check() const {
  if (downscale < 1)
    throw Error(ExitCode::kUsage, "downscale must be at least 1", "downscale",
                "1 keeps the photos' size");
  if (test_every < 0)
    throw Error(ExitCode::kUsage, "test_every must not be negative", "test_every",
                "0 holds out none");
  if (max_views < 0)
    throw Error(ExitCode::kUsage, "max_views must not be negative", "max_views", "0 takes all");
  bool random = false;
  if (background != "auto") parse_background(background, &random);
}

std::array<float, 3> parse_background(const std::string& text, bool* random) {
  *random = text == "random";
  if (*random || text == "black") return {0, 0, 0};
  if (text == "white") return {1, 1, 1};
  std::array<float, 3> color{};
  const char* p = text.c_str();
  for (int i = 0; i < 3; ++i) {
    char* end = nullptr;
    color[static_cast<size_t>(i)] = std::strtof(p, &end);
    const float v = color[static_cast<size_t>(i)];
    if (end == p || !(v >= 0 && v <= 1) || *end != (i < 2 ? ',' : 0))
      throw Error(ExitCode::kUsage, "'" + text + "' is no background", "background",
                  "auto, black, white, random, or three numbers in 0..1 such as 0.2,0.2,0.2");
    p = end + 1;
  }
  return color;
}

}  // namespace covary::scene
