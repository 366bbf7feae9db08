#include "covary/cli/render_options.h"

#include <algorithm>

#include "covary/core/base/error.h"

namespace covary::cli {

void RenderOptions::describe(OptionList& o) {
  o.add("cameras", &cameras,
        "where from: a split of the run's capture, a cameras.json or another capture")
      .suggestions({"auto", "test", "train", "all", "FILE"})
      .common();
  o.add("path", &path,
        "move along a path instead: through the cameras, around the scene, or through a file's "
        "cameras")
      .suggestions({"spline", "spiral", "orbit", "FILE"})
      .common();
  o.add("modes", &modes, "what is drawn, any of them")
      .choices({"rgb", "depth", "normal", "alpha"})
      .common();
  o.add("scale", &scale, "factor of the image size").range(0.01, 16).common();
  o.add("supersample", &supersample, "a pixel is the mean of this many squared").range(1, 8);
  o.add("frames", &frames, "along a path").range(1, 100000).common();
  o.add("fps", &fps, "of a video").unit("frames/s").range(1, 240).common();
  o.add(
       "fast", &fast,
       "prepare once for these cameras: drop what hardly shows, order, halve the numbers; for many "
       "frames or rounds")
      .common();
  o.add("fast_psnr", &fast_psnr, "of --fast: what the worst view keeps to the exact picture")
      .unit("dB")
      .range(20, 60);
  o.add("background", &background, "behind the scene")
      .suggestions({"auto", "black", "white", "R,G,B"});
  o.add("antialias", &antialias,
        "mip: the screen-space filter; analytic: a pixel integrates over its square; auto: as "
        "trained")
      .choices({"auto", "none", "mip", "analytic"})
      .bare("mip");
  o.add("downscale", &downscale, "integer factor of the photos' size; 0 = as trained").range(0, 64);
  o.add("quality", &quality, "of a video: constant rate factor, lower is better").range(0, 51);
  o.add("benchmark", &benchmark,
        "draw all frames so many times more, for the median time of a frame; 0 = do not")
      .unit("rounds")
      .range(0, 1000);
}

void RenderOptions::check() const {
  if (modes.empty())
    throw Error(ExitCode::kUsage, "no mode given", "--modes", "write --modes rgb,depth");
  for (size_t i = 0; i < modes.size(); ++i)
    if (std::find(modes.begin(), modes.begin() + static_cast<std::ptrdiff_t>(i), modes[i]) !=
        modes.begin() + static_cast<std::ptrdiff_t>(i))
      throw Error(ExitCode::kUsage, "'" + modes[i] + "' is named twice", "--modes",
                  "name each mode once");
  if (fast)
    for (const std::string& mode : modes)
      if (mode != "rgb" && mode != "alpha")
        throw Error(ExitCode::kUsage, "--fast draws rgb and alpha alone", "--modes " + mode,
                    "leave --fast out");
}

}  // namespace covary::cli
