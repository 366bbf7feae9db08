// Photos and masks through a lens, made as if an ideal pinhole had taken them.
//
//   Undistorter flat(lens);           // the map is computed once, for all photos of the lens
//   Image8 photo = flat.photo(read_image("a.jpg"));   // bilinear; alpha weights the colours
//   Image8 mask = flat.mask(read_image("m.png"));     // nearest
//   ImageF z = flat.depth(depth);                     // nearest: two sides of an edge have no mean
//   Camera c = flat.camera();         // intrinsics of the result; the pose is the caller's
//
// Pictures have the lens's size, before and after. Rows run in parallel.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/data/image.h"
#include "covary/splat/scene/camera.h"

namespace covary::scene {

class Undistorter {
 public:
  explicit Undistorter(const Lens& lens);
  const Camera& camera() const { return camera_; }
  static int64_t bytes(int width, int height) {  // of the map
    return int64_t{width} * height * static_cast<int64_t>(sizeof(Place));
  }
  data::Image8 photo(const data::Image8& image) const;
  data::Image8 mask(const data::Image8& image) const;
  data::ImageF depth(const data::ImageF& image) const;

 private:
  struct Place {
    int32_t x, y;  // of the sample in the distorted picture, in 1/256 px from the centre of its
                   // first pixel
  };
  template <int kChannels>
  data::Image8 bilinear(const data::Image8& image) const;
  template <class T>
  data::ImageOf<T> nearest(const data::ImageOf<T>& image) const;

  Camera camera_;
  std::vector<Place> map_;  // height x width
};

}  // namespace covary::scene
