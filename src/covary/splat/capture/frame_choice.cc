#include "covary/splat/capture/frame_choice.h"

#include <algorithm>
#include <cmath>

#include "covary/core/base/error.h"
#include "covary/core/numeric/median.h"

namespace covary::capture {
namespace {

constexpr int kThumbnail = 64;      // px, the longer side
constexpr int kReach = 6;           // px of a thumbnail that a picture may move between two frames
constexpr double kTimeShare = 0.1;  // of a window's length that is time, not motion
constexpr int64_t kFewest = 40, kMost = 300;
constexpr int kNeighbours = 5;  // windows to either side that say how sharp one should be

data::ImageF thumbnail(const data::Image8& grey) {
  const double scale = static_cast<double>(kThumbnail) / std::max(grey.width, grey.height);
  const int w = std::max(2 * kReach + 2, static_cast<int>(std::lround(grey.width * scale))),
            h = std::max(2 * kReach + 2, static_cast<int>(std::lround(grey.height * scale)));
  if (w >= grey.width || h >= grey.height) return data::to_float(grey);
  return data::to_float(data::resize_area(grey, w, h));
}

// Mean absolute difference of the part that both have when b stands (dx, dy) further.
double difference(const data::ImageF& a, const data::ImageF& b, int dx, int dy) {
  const int x0 = std::max(0, dx), x1 = a.width + std::min(0, dx);
  const int y0 = std::max(0, dy), y1 = a.height + std::min(0, dy);
  double sum = 0;
  for (int y = y0; y < y1; ++y) {
    const float *pa = a.at(y, 0), *pb = b.at(y - dy, 0);
    float row = 0;
    for (int x = x0; x < x1; ++x) row += std::abs(pa[x] - pb[x - dx]);
    sum += row;
  }
  return sum / (static_cast<double>(x1 - x0) * (y1 - y0));
}

// Where a parabola through the values at -1, 0 and 1 is least.
double vertex(double before, double at, double after) {
  const double bend = before - 2 * at + after;
  return bend > 1e-12 ? std::clamp(0.5 * (before - after) / bend, -0.5, 0.5) : 0;
}

// How far the picture moved, in image widths: the shift at which both thumbnails agree best.
double motion_between(const data::ImageF& a, const data::ImageF& b) {
  if (a.width != b.width || a.height != b.height) return 0;
  int best_x = 0, best_y = 0;
  double best = difference(a, b, 0, 0);
  const int reach_x = std::min(kReach, a.width / 2), reach_y = std::min(kReach, a.height / 2);
  for (int dy = -reach_y; dy <= reach_y; ++dy)
    for (int dx = -reach_x; dx <= reach_x; ++dx)
      if (const double d = difference(a, b, dx, dy); d < best) {
        best = d;
        best_x = dx;
        best_y = dy;
      }
  const double x = best_x + vertex(difference(a, b, best_x - 1, best_y), best,
                                   difference(a, b, best_x + 1, best_y)),
               y = best_y + vertex(difference(a, b, best_x, best_y - 1), best,
                                   difference(a, b, best_x, best_y + 1));
  return std::hypot(x, y) / a.width;
}

// Fine detail over all contrast, in the direction that has less: a hand's shake blurs one direction alone.
double sharpness_of(const data::Image8& g) {
  double across = 0, down = 0, sum = 0, square = 0, n = 0;
  for (int y = 1; y + 1 < g.height; ++y)
    for (int x = 1; x + 1 < g.width; ++x) {
      const double c = *g.at(y, x), bend_x = *g.at(y, x - 1) + *g.at(y, x + 1) - 2 * c,
                   bend_y = *g.at(y - 1, x) + *g.at(y + 1, x) - 2 * c;
      across += bend_x * bend_x;
      down += bend_y * bend_y;
      sum += c;
      square += c * c;
      ++n;
    }
  const double contrast = n > 0 ? square - sum * sum / n : 0;
  return contrast > 0 ? std::min(across, down) / contrast : 0;
}

}  // namespace

void FrameScorer::add(const data::Image8& grey) {
  data::ImageF now = thumbnail(grey);
  scores_.push_back({sharpness_of(grey), before_.empty() ? 0.0 : motion_between(before_, now)});
  before_ = std::move(now);
}

void FrameChoiceOptions::check() const {
  const auto refuse = [](const char* field, const char* what) {
    throw Error(ExitCode::kUsage, what, std::string("frames.") + field);
  };
  if (count < 0) refuse("count", "must not be negative");
  if (!(spacing > 0) || !std::isfinite(spacing)) refuse("spacing", "must be positive");
  if (!(least_sharpness >= 0 && least_sharpness <= 1))
    refuse("least_sharpness", "must be in [0, 1]");
}

FrameChoice choose_frames(const std::vector<FrameScore>& scores,
                          const FrameChoiceOptions& options) {
  options.check();
  FrameChoice out;
  const auto n = static_cast<int64_t>(scores.size());
  if (n == 0) return out;
  for (const FrameScore& s : scores) out.motion += s.motion;
  int64_t count = options.count;
  if (count == 0)
    count =
        std::clamp(static_cast<int64_t>(std::lround(out.motion / options.spacing)), kFewest, kMost);
  count = std::min(count, n);

  // The way to each frame, from 0 to 1.
  const double time = out.motion > 0 ? kTimeShare : 1;
  std::vector<double> best_of(static_cast<size_t>(count), -1);
  std::vector<int64_t> frame_of(static_cast<size_t>(count), -1);
  double moved = 0;
  for (int64_t i = 0; i < n; ++i) {
    const FrameScore& s = scores[static_cast<size_t>(i)];
    moved += s.motion;
    const double way = time * (static_cast<double>(i) + 0.5) / static_cast<double>(n) +
                       (1 - time) * (out.motion > 0 ? (moved - 0.5 * s.motion) / out.motion : 0);
    const auto w = static_cast<size_t>(
        std::clamp(static_cast<int64_t>(way * static_cast<double>(count)), int64_t{0}, count - 1));
    if (s.sharpness > best_of[w]) {
      best_of[w] = s.sharpness;
      frame_of[w] = i;
    }
  }
  for (int64_t w = 0; w < count; ++w) {
    if (frame_of[static_cast<size_t>(w)] < 0) continue;  // the camera jumped over it
    std::vector<double> near;
    for (int64_t k = std::max<int64_t>(0, w - kNeighbours);
         k <= std::min(count - 1, w + kNeighbours); ++k)
      if (frame_of[static_cast<size_t>(k)] >= 0) near.push_back(best_of[static_cast<size_t>(k)]);
    if (best_of[static_cast<size_t>(w)] <
        options.least_sharpness * numeric::upper_median(std::move(near)))
      ++out.blurred_windows;
    else
      out.frames.push_back(frame_of[static_cast<size_t>(w)]);
  }
  return out;
}

}  // namespace covary::capture
