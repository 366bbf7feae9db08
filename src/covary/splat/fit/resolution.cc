#include "covary/splat/fit/resolution.h"

#include <algorithm>
#include <cmath>

namespace covary::fit {
namespace {

using data::Image8;

// The area mean of a picture of 1 or 3 channels, weighted where there are weights (H x W x 1).
Image8 mean_of(const Image8& image, const Image8& weights, int width, int height) {
  if (weights.empty()) return data::resize_area(image, width, height);
  Image8 four(image.height, image.width, 4);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) {
      for (int k = 0; k < 3; ++k)
        four.at(y, x)[k] = image.at(y, x)[std::min(k, image.channels - 1)];
      four.at(y, x)[3] = *weights.at(y, x);
    }
  const Image8 small = data::resize_area(four, width, height);
  Image8 out(height, width, image.channels);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) std::copy_n(small.at(y, x), image.channels, out.at(y, x));
  return out;
}

// Alpha where the mask leaves it.
Image8 product(const Image8& alpha, const Image8& mask) {
  Image8 out = alpha;
  if (!mask.empty())
    for (size_t i = 0; i < out.pixels.size(); ++i)
      if (mask.pixels[i] < 128) out.pixels[i] = 0;
  return out;
}

// px of a side at the division.
int side(int n, double division) {
  return std::min(n, std::max(kLeastSide, static_cast<int>(std::lround(n / division))));
}

}  // namespace

scene::View shrunk(const scene::View& view, double division, bool straight_colors) {
  const int width = side(view.image.width, division), height = side(view.image.height, division);
  scene::View small;
  small.name = view.name;
  small.path = view.path;
  small.seen_points = view.seen_points;
  small.camera = view.camera.scaled(width, height);
  const bool straight = straight_colors && !view.alpha.empty();
  small.image =
      mean_of(view.image, straight ? product(view.alpha, view.mask) : view.mask, width, height);
  if (!view.alpha.empty()) small.alpha = mean_of(view.alpha, view.mask, width, height);
  if (!view.mask.empty()) {
    small.mask = data::resize_area(view.mask, width, height);
    for (uint8_t& m : small.mask.pixels) m = m >= 128 ? 255 : 0;
  }
  return small;
}

void CoarseViews::change_to(const scene::Capture& capture, double division) {
  if (division == division_) return;
  views_.clear();
  if (cache_) capture.photos->limit(room_);
  cache_.reset();
  division_ = division;
  if (division <= 1 || !capture.photos) return;
  room_ = capture.photos->limit(0);
  cache_ = std::make_unique<scene::PhotoCache>(
      room_,
      scene::resized_pictures(capture,
                              [division](const scene::Camera& c) {
                                return std::pair(side(c.width, division), side(c.height, division));
                              }),
      [photos = capture.photos, division, straight = capture.random_background](int64_t i) {
        return shrunk(photos->load(i), division, straight);
      });
}

std::shared_ptr<const scene::View> CoarseViews::at(const scene::Capture& capture, int64_t view,
                                                   double division) {
  change_to(capture, division);
  if (division <= 1) return capture.view(view);
  std::shared_ptr<scene::View> small;
  if (cache_) {
    small = cache_->get(view);
  } else {
    std::shared_ptr<scene::View>& kept = views_[view];
    if (!kept)
      kept = std::make_shared<scene::View>(
          shrunk(*capture.view(view), division, capture.random_background));
    small = kept;
  }
  small->camera = capture.views.at(static_cast<size_t>(view))
                      .camera.scaled(small->image.width, small->image.height);
  return small;
}

void CoarseViews::expect(const scene::Capture& capture, const std::vector<int64_t>& order,
                         size_t ahead, double division) {
  change_to(capture, division);
  if (cache_)
    cache_->expect(order, ahead);
  else if (division <= 1)
    capture.expect(order, ahead);
}

}  // namespace covary::fit
