// Compositing: projected primitives to pixels, front to back, and the gradient back.
//
// A pixel at p visits the primitives of its tile nearest first:
//   alpha = min(0.99, o * value(p - centre))     skipped below 1/255
//   stop BEFORE a blend that brings T to 1e-4 or less
//   color += T * alpha * feature;  T *= 1 - alpha
//   at the end  color += T * background
//
// The backward pass walks the same order again with the prefix known from the forward result, so T
// is the forward's T bit for bit. Tiles write their part of a primitive's gradient at the pair's place in
// their list; a primitive's parts are added in a fixed order: the same bits for any number of threads.
//
// rasterize_reference is written to be read: a pixel at a time, double or float. rasterize and
// rasterize_vjp are the SIMD kernels (float), which compute the rows that a primitive's chords cross, a
// vector wide, primitive by primitive. Source: Kerbl et al. 2023, section 6 and appendix C.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/compute/rasterize/footprints.h"
#include "covary/core/compute/sort/tile_lists.h"

namespace covary::compute {

constexpr double kMinTransmittance = 1e-4;

template <class T>
struct RasterInput {
  int64_t count = 0;  // M
  int footprint = 0;
  int channels = 0;  // C
  TileGrid grid;
  const TileLists* lists = nullptr;
  const T* centres = nullptr;     // [M,2]
  const T* params = nullptr;      // [M,P]
  const T* opacities = nullptr;   // [M]
  const T* extents = nullptr;     // [M], where a primitive ends; read by the SIMD kernels alone
  const T* features = nullptr;    // [M,C]
  const T* background = nullptr;  // [C], null = 0
};

template <class T>
struct RasterOutput {
  T* image = nullptr;          // [H,W,C]
  T* transmittance = nullptr;  // [H,W]
};

template <class T>
struct RasterGradients {     // incoming: of the image and of alpha = 1 - transmittance; null = 0
  const T* image = nullptr;  // [H,W,C]
  const T* alpha = nullptr;  // [H,W]
};

template <class T>
struct RasterInputGradients {  // outgoing; every element is set
  T* centres = nullptr;        // [M,2]
  T* params = nullptr;         // [M,P]
  T* opacities = nullptr;      // [M]
  T* features = nullptr;       // [M,C]
  T* absolute = nullptr;  // [M,2] sum over pixels of |gradient by the centre|; null = not wanted
  double* background = nullptr;  // [C]; null = not wanted
};

template <class T>
void rasterize_reference(const RasterInput<T>& in, const RasterOutput<T>& out);
template <class T>
void rasterize_vjp_reference(const RasterInput<T>& in, const RasterOutput<T>& forward,
                             const RasterGradients<T>& v, const RasterInputGradients<T>& out);

void rasterize(const RasterInput<float>& in, const RasterOutput<float>& out);
void rasterize_vjp(const RasterInput<float>& in, const RasterOutput<float>& forward,
                   const RasterGradients<float>& v, const RasterInputGradients<float>& out);

// The largest weight T * alpha that each primitive has at any pixel, [M]; features are not read.
void largest_weights(const RasterInput<float>& in, float* largest);

// What is known of pixels and primitives without gradients. Null pointers are not wanted.
template <class T>
struct InspectOutput {
  int top_k = 0;
  int64_t* topk = nullptr;    // [H,W,k] index of the primitive, largest weight first; -1 = none
  T* topk_weights = nullptr;  // [H,W,k]
  const T* depths = nullptr;  // [M] camera z, for median_depth
  T* median_depth =
      nullptr;  // [H,W] z of the primitive at which transmittance falls below 1/2; 0 = never
  double* weight_sums = nullptr;  // [M]
  int64_t* hits = nullptr;        // [M] pixels with a blend
};
template <class T>
void inspect(const RasterInput<T>& in, const InspectOutput<T>& out);

// Of each primitive the sum over pixels and channels of (d image / d value)^2, [M]: how much the picture
// depends on it. A value whose alpha is clamped counts nothing. Source: Hanson et al. 2025 (Speedy-Splat).
template <class T>
void squared_sensitivities_reference(const RasterInput<T>& in, double* out);
// image [H,W,C]: that of the forward pass.
void squared_sensitivities(const RasterInput<float>& in, const float* image, double* out);

// Adds the parts of each primitive in the order of its entries and finishes the footprint's
// gradient: shared by the reference and the SIMD kernel. parts: [pairs, stride] with rows (sums
// [kSums], opacity, features [C], absolute [2]).
template <class T>
void reduce_parts(const RasterInput<T>& in, const T* parts, int stride,
                  const RasterInputGradients<T>& out);

// Sum over pixels of transmittance * v.image, by channel, in a fixed order.
template <class T>
void background_gradient(const RasterInput<T>& in, const RasterOutput<T>& forward,
                         const RasterGradients<T>& v, double* out);

}  // namespace covary::compute
