#include "covary/splat/fit/stride.h"

#include <algorithm>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/sort/tile_lists.h"

namespace covary::fit {
namespace {

template <class T>
data::ImageOf<T> every(const data::ImageOf<T>& image, int stride, PixelOffset offset) {
  if (image.empty()) return {};
  data::ImageOf<T> out((image.height - offset.y + stride - 1) / stride,
                       (image.width - offset.x + stride - 1) / stride, image.channels);
  parallel_for(out.height, 32, [&](int64_t begin, int64_t end) {
    for (auto y = static_cast<int>(begin); y < static_cast<int>(end); ++y) {
      const T* from = image.at(offset.y + stride * y, offset.x);
      T* to = out.at(y, 0);
      for (int x = 0; x < out.width; ++x, from += stride * image.channels, to += image.channels)
        std::copy_n(from, image.channels, to);
    }
  });
  return out;
}

}  // namespace

PixelOffset stride_offset(uint64_t seed, int64_t view, int64_t visit, int stride) {
  if (stride == 1) return {};
  const int64_t cycle = int64_t{stride} * stride;
  const Random random(seed, stream_of("train.stride", (static_cast<uint64_t>(view) << 32) +
                                                          static_cast<uint64_t>(visit / cycle)));
  const int64_t at = random.permutation(cycle)[static_cast<size_t>(visit % cycle)];
  return {static_cast<int>(at % stride), static_cast<int>(at / stride)};
}

scene::View strided(const scene::View& view, int stride, PixelOffset offset) {
  scene::View part;
  part.name = view.name;
  part.camera = view.camera;
  part.path = view.path;
  part.log2_exposure = view.log2_exposure;
  part.image = every(view.image, stride, offset);
  part.alpha = every(view.alpha, stride, offset);
  part.mask = every(view.mask, stride, offset);
  part.depth = every(view.depth, stride, offset);
  part.normal = every(view.normal, stride, offset);
  return part;
}

bool can_be_strided(int width, int height, int stride) {
  return std::min(width, height) / stride >= 2 * compute::kTile;
}

}  // namespace covary::fit
