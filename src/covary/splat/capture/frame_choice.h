// Which frames of a video become photos: sharp ones, spread over the camera's way rather than over time.
//
//   FrameScorer scorer;
//   data::for_each_grey_frame("walk.mp4", 320, [&](int64_t, const data::Image8& grey) { scorer.add(grey); });
//   const FrameChoice chosen = choose_frames(scorer.scores(), {.count = 80});
//   data::write_frames("walk.mp4", chosen.frames, "out/images");
//
// The video is cut into windows in which the picture moves equally far, and each gives its sharpest frame. A camera that
// rests gives little, one that turns fast gives much. Frames are compared with their neighbours alone: how sharp a scene
// can look depends on the scene.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/data/image.h"

namespace covary::capture {

struct FrameScore {
  double sharpness = 0;  // of fine detail over all contrast; only ratios mean something
  double motion = 0;     // of the picture since the frame before, in image widths
};

// One frame after the other, small and grey (some 320 px).
class FrameScorer {
 public:
  void add(const data::Image8& grey);
  const std::vector<FrameScore>& scores() const { return scores_; }

 private:
  data::ImageF before_;  // the last frame's thumbnail
  std::vector<FrameScore> scores_;
};

struct FrameChoiceOptions {
  int64_t count = 0;  // photos wanted; 0: one for each `spacing` that the picture moves, 40 to 300
  double spacing = 0.08;  // image widths
  double least_sharpness =
      0.5;  // of a window's best over the median of its neighbours' bests; duller windows are left out

  void check() const;
};

struct FrameChoice {
  std::vector<int64_t> frames;  // ascending
  int64_t blurred_windows = 0;  // left out
  double motion = 0;            // of the whole video, image widths
};

FrameChoice choose_frames(const std::vector<FrameScore>& scores, const FrameChoiceOptions& options);

}  // namespace covary::capture
