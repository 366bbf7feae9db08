#include "covary/splat/scene/undistort.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"

namespace covary::scene {
namespace {

template <class T>
void check_size(const data::ImageOf<T>& image, const Camera& camera) {
  if (image.width != camera.width || image.height != camera.height)
    throw Error(ExitCode::kFailed,
                "a picture of " + std::to_string(image.width) + " x " +
                    std::to_string(image.height) + " px does not fit the lens's " +
                    std::to_string(camera.width) + " x " + std::to_string(camera.height));
}

}  // namespace

Undistorter::Undistorter(const Lens& lens) : camera_(lens.optimal_pinhole()) {
  map_.resize(static_cast<size_t>(camera_.width) * camera_.height);
  const int32_t most_x = (camera_.width - 1) * 256, most_y = (camera_.height - 1) * 256;
  parallel_for(camera_.height, 8, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y)
      for (int x = 0; x < camera_.width; ++x) {
        const Eigen::Vector2d p =
            lens.distort({(x + 0.5 - camera_.cx) / camera_.fx,
                          (static_cast<double>(y) + 0.5 - camera_.cy) / camera_.fy});
        const auto place = [](double v, int32_t most) {
          const double q = (v - 0.5) * 256;
          return q > 0 ? static_cast<int32_t>(std::lround(std::min<double>(q, most)))
                       : 0;  // NaN: 0
        };
        map_[static_cast<size_t>(y) * camera_.width + x] = {place(p.x(), most_x),
                                                            place(p.y(), most_y)};
      }
  });
}

data::Image8 Undistorter::photo(const data::Image8& image) const {
  check_size(image, camera_);
  switch (image.channels) {
    case 1:
      return bilinear<1>(image);
    case 3:
      return bilinear<3>(image);
    case 4:
      return bilinear<4>(image);
    default:
      throw Error(ExitCode::kFailed,
                  "a picture of " + std::to_string(image.channels) + " channels");
  }
}

template <int kChannels>
data::Image8 Undistorter::bilinear(const data::Image8& image) const {
  const int width = image.width, height = image.height;
  const size_t row = static_cast<size_t>(width) * kChannels;
  data::Image8 out(height, width, kChannels);
  parallel_for(height, 8, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y) {
      const Place* place = map_.data() + y * width;
      uint8_t* to = out.at(static_cast<int>(y), 0);
      for (int x = 0; x < width; ++x, ++place, to += kChannels) {
        const int x0 = place->x >> 8, y0 = place->y >> 8;
        const uint32_t u = place->x & 255, v = place->y & 255;
        // At the last column and row the weight of the neighbour beyond is 0: it reads the pixel
        // itself.
        const size_t right = x0 + 1 < width ? kChannels : 0, below = y0 + 1 < height ? row : 0;
        const uint8_t* a = image.pixels.data() + static_cast<size_t>(y0) * row +
                           static_cast<size_t>(x0) * kChannels;
        const uint8_t *b = a + right, *c = a + below, *d = c + right;
        if constexpr (kChannels == 4) {
          const uint64_t pa = (256 - u) * (256 - v) * a[3], pb = u * (256 - v) * b[3],
                         pc = (256 - u) * v * c[3], pd = u * v * d[3], sum = pa + pb + pc + pd;
          for (int k = 0; k < 3; ++k)
            to[k] = sum ? static_cast<uint8_t>(
                              (pa * a[k] + pb * b[k] + pc * c[k] + pd * d[k] + sum / 2) / sum)
                        : uint8_t{0};
          to[3] = static_cast<uint8_t>((sum + 32768) >> 16);
        } else {
          for (int k = 0; k < kChannels; ++k) {
            const uint32_t top = a[k] * (256 - u) + b[k] * u, bottom = c[k] * (256 - u) + d[k] * u;
            to[k] = static_cast<uint8_t>((top * (256 - v) + bottom * v + 32768) >> 16);
          }
        }
      }
    }
  });
  return out;
}

data::Image8 Undistorter::mask(const data::Image8& image) const { return nearest(image); }

data::ImageF Undistorter::depth(const data::ImageF& image) const { return nearest(image); }

template <class T>
data::ImageOf<T> Undistorter::nearest(const data::ImageOf<T>& image) const {
  check_size(image, camera_);
  data::ImageOf<T> out(image.height, image.width, image.channels);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) {
      const Place& p = map_[static_cast<size_t>(y) * image.width + x];
      const T* from = image.at((p.y + 128) >> 8, (p.x + 128) >> 8);
      std::copy(from, from + image.channels, out.at(y, x));
    }
  return out;
}

}  // namespace covary::scene
