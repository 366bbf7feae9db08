#include "covary/splat/capture/photo_options.h"

namespace covary::capture {

void PhotoOptions::describe(OptionList& o) {
  o.add("frames", &frames,
        "of a video: photos drawn from it, 0 = by how far the picture moves (40 to 300)")
      .range(0, 5000)
      .common();
  o.add("matching", &matching,
        "photos compared: each with each, those near by name, those that look alike; auto: "
        "exhaustive up to 100 photos, then sequential for a video, else similar")
      .choices({"auto", "exhaustive", "sequential", "similar"})
      .common();
  o.add("lens", &lens,
        "one lens for all photos, one a folder, one a photo; auto: one, where all "
        "photos have one size and camera")
      .choices({"auto", "single", "folder", "photo"})
      .common();
  o.add("camera_model", &camera_model, "distortion that is solved for")
      .choices({"simple_pinhole", "pinhole", "simple_radial", "radial", "opencv", "opencv_fisheye"})
      .common();
  o.add("feature_size", &feature_size, "photos are shrunk to this longer side for features")
      .unit("px")
      .range(100, 20000)
      .common();
  o.add("max_features", &max_features, "a photo").range(100, 100000);
  o.add("verify", &verify,
        "map again by another method, compare both models, and hold the poses against the matches")
      .common();
  o.add("images", &images, "photos in the output: hard links where the disk allows it, or copies")
      .choices({"link", "copy"});
  o.add("metric", &metric, "take scale and north from the photos' GPS, where enough have one");
}

void PhotoOptions::check() const {}

}  // namespace covary::capture
