// Compositing written to be read: tile by tile, pixel by pixel. The oracle in double, the scalar
// baseline in float.
#include <algorithm>
#include <array>
#include <cmath>

#include "covary/core/base/threads.h"
#include "covary/core/compute/lanes.h"
#include "covary/core/compute/rasterize/rasterize.h"

namespace covary::compute {
namespace {

#include "covary/core/compute/rasterize/footprints.inc"

// Visits the primitives that a pixel blends, front to back: blend(entry of the list, dx, dy, value,
// alpha, T before). Returns the transmittance that is left.
template <class F, class T, class Blend>
T walk_pixel(const RasterInput<T>& in, int64_t begin, int64_t end, T px, T py, Blend&& blend) {
  T transmittance = 1;
  for (int64_t e = begin; e < end; ++e) {
    const auto i = static_cast<int64_t>(in.lists->splat[static_cast<size_t>(e)]);
    const T dx = px - in.centres[2 * i], dy = py - in.centres[2 * i + 1];
    const T value = F::template value<T>(dx, dy, in.params + i * F::kParams);
    const T alpha = std::min(T(kMaxAlpha), in.opacities[i] * value);
    if (!(alpha >= T(kMinAlpha))) continue;
    const T next = transmittance * (1 - alpha);
    if (next <= T(kMinTransmittance)) break;
    blend(e, i, dx, dy, value, alpha, transmittance);
    transmittance = next;
  }
  return transmittance;
}

// Calls use(pixel index, centre x, centre y) for the pixels of a tile.
template <class T, class Use>
void for_pixels(const TileGrid& g, int64_t tile, Use&& use) {
  const int x0 = static_cast<int>(tile % g.tiles_x()) * kTile,
            y0 = static_cast<int>(tile / g.tiles_x()) * kTile;
  for (int y = y0; y < std::min(y0 + kTile, g.height); ++y)
    for (int x = x0; x < std::min(x0 + kTile, g.width); ++x)
      use(static_cast<int64_t>(y) * g.width + x, static_cast<T>(g.offset_x + g.stride * x) + T(0.5),
          static_cast<T>(g.offset_y + g.stride * y) + T(0.5));
}

template <class F, class T>
void forward_tile(const RasterInput<T>& in, const RasterOutput<T>& out, int64_t tile) {
  const int64_t begin = in.lists->begin[static_cast<size_t>(tile)],
                end = in.lists->begin[static_cast<size_t>(tile) + 1];
  const int c = in.channels;
  for_pixels<T>(in.grid, tile, [&](int64_t pixel, T px, T py) {
    T* color = out.image + pixel * c;
    std::fill_n(color, c, T(0));
    const T left =
        walk_pixel<F>(in, begin, end, px, py, [&](int64_t, int64_t i, T, T, T, T alpha, T t) {
          for (int k = 0; k < c; ++k) color[k] += t * alpha * in.features[i * c + k];
        });
    if (in.background)
      for (int k = 0; k < c; ++k) color[k] += left * in.background[k];
    out.transmittance[pixel] = left;
  });
}

template <class F, class T>
void backward_tile(const RasterInput<T>& in, const RasterOutput<T>& forward,
                   const RasterGradients<T>& v, int64_t tile, std::vector<T>& parts, int stride) {
  const int64_t begin = in.lists->begin[static_cast<size_t>(tile)],
                end = in.lists->begin[static_cast<size_t>(tile) + 1];
  const int c = in.channels;
  for_pixels<T>(in.grid, tile, [&](int64_t pixel, T px, T py) {
    const T* v_color = v.image ? v.image + pixel * c : nullptr;
    const T* color = forward.image + pixel * c;
    const T left = forward.transmittance[pixel];
    const auto background = [&](int k) { return in.background ? in.background[k] : T(0); };
    // behind = what the primitives from here on contribute to v . color; end_part = what T at the
    // end does to the loss
    T behind = 0, end_part = v.alpha ? left * v.alpha[pixel] : T(0);
    if (v_color)
      for (int k = 0; k < c; ++k) {
        behind += v_color[k] * (color[k] - left * background(k));
        end_part -= left * v_color[k] * background(k);
      }
    walk_pixel<F>(in, begin, end, px, py,
                  [&](int64_t e, int64_t i, T dx, T dy, T value, T alpha, T t) {
                    T* part = parts.data() + e * stride;
                    const T weight = t * alpha;
                    T dot = 0;
                    if (v_color)
                      for (int k = 0; k < c; ++k) {
                        dot += v_color[k] * in.features[i * c + k];
                        part[F::kSums + 1 + k] += weight * v_color[k];
                      }
                    behind -= weight * dot;
                    const T v_alpha = t * dot + (end_part - behind) / (1 - alpha);
                    if (in.opacities[i] * value > T(kMaxAlpha))
                      return;  // the clamp passes no gradient
                    const T v_value = v_alpha * in.opacities[i];
                    const T* p = in.params + i * F::kParams;
                    const T v_log = v_value * value;
                    T terms[F::kPixelTerms + 1];
                    F::template pixel_terms<T>(dx, dy, p, terms);
                    F::template accumulate<T>(dx, dy, terms, v_log, part);
                    part[F::kSums] += v_alpha * value;
                    T gx, gy;
                    F::template centre_gradient<T>(dx, dy, p, terms, v_log, gx, gy);
                    part[F::kSums + 1 + c] += std::abs(gx);
                    part[F::kSums + 2 + c] += std::abs(gy);
                  });
  });
}

template <class F, class T>
void inspect_tile(const RasterInput<T>& in, const InspectOutput<T>& out, int64_t tile,
                  std::vector<double>& weights, std::vector<int64_t>& hits) {
  const int64_t begin = in.lists->begin[static_cast<size_t>(tile)],
                end = in.lists->begin[static_cast<size_t>(tile) + 1];
  const int k = out.top_k;
  for_pixels<T>(in.grid, tile, [&](int64_t pixel, T px, T py) {
    int64_t* ids = out.topk ? out.topk + pixel * k : nullptr;
    T* best = out.topk_weights ? out.topk_weights + pixel * k : nullptr;
    if (ids) {
      std::fill_n(ids, k, int64_t{-1});
      std::fill_n(best, k, T(0));
    }
    T median = 0;
    walk_pixel<F>(in, begin, end, px, py, [&](int64_t e, int64_t i, T, T, T, T alpha, T t) {
      const T weight = t * alpha;
      if (!weights.empty()) weights[static_cast<size_t>(e)] += static_cast<double>(weight);
      if (!hits.empty()) ++hits[static_cast<size_t>(e)];
      if (out.median_depth && t >= T(0.5) && t * (1 - alpha) < T(0.5)) median = out.depths[i];
      if (ids && weight > best[k - 1]) {  // insertion; of equal weights the nearer stays first
        int at = k - 1;
        for (; at > 0 && best[at - 1] < weight; --at) {
          best[at] = best[at - 1];
          ids[at] = ids[at - 1];
        }
        best[at] = weight;
        ids[at] = i;
      }
    });
    if (out.median_depth) out.median_depth[pixel] = median;
  });
}

template <class F, class T>
void sensitivity_tile(const RasterInput<T>& in, int64_t tile, std::vector<double>& squares) {
  const int64_t begin = in.lists->begin[static_cast<size_t>(tile)],
                end = in.lists->begin[static_cast<size_t>(tile) + 1];
  const int c = in.channels;
  std::vector<T> behind(static_cast<size_t>(c));  // what comes from behind the primitive
  for_pixels<T>(in.grid, tile, [&](int64_t, T px, T py) {
    std::fill(behind.begin(), behind.end(), T(0));
    const T left =
        walk_pixel<F>(in, begin, end, px, py, [&](int64_t, int64_t i, T, T, T, T alpha, T t) {
          for (int k = 0; k < c; ++k)
            behind[static_cast<size_t>(k)] += t * alpha * in.features[i * c + k];
        });
    if (in.background)
      for (int k = 0; k < c; ++k) behind[static_cast<size_t>(k)] += left * in.background[k];
    walk_pixel<F>(in, begin, end, px, py, [&](int64_t e, int64_t i, T, T, T value, T alpha, T t) {
      double square = 0;
      for (int k = 0; k < c; ++k) {
        T& rest = behind[static_cast<size_t>(k)];
        rest -= t * alpha * in.features[i * c + k];
        const T g = in.opacities[i] * (t * in.features[i * c + k] - rest / (1 - alpha));
        square += static_cast<double>(g) * static_cast<double>(g);
      }
      if (in.opacities[i] * value <= T(kMaxAlpha)) squares[static_cast<size_t>(e)] += square;
    });
  });
}

// kStride = 0: any.
template <class F, int kStride, class T>
void reduce(const RasterInput<T>& in, const T* parts, int any_stride,
            const RasterInputGradients<T>& out) {
  const int c = in.channels, stride = kStride ? kStride : any_stride;
  const uint32_t* const entry = in.lists->entry.data();
  constexpr int64_t kPrefetch = 16;  // the parts of a primitive lie far apart
  const int64_t last_entry = in.lists->pairs() - 1;
  parallel_for(in.count, 1024, [&](int64_t first, int64_t last) {
    std::array<T, kStride ? kStride : 1> fixed;
    std::vector<T> any(kStride ? 0 : static_cast<size_t>(stride));
    T* const sum = kStride ? fixed.data() : any.data();
    for (int64_t i = first; i < last; ++i) {
      std::fill_n(sum, stride, T(0));
      for (int64_t s = in.lists->first_entry[static_cast<size_t>(i)];
           s < in.lists->first_entry[static_cast<size_t>(i) + 1]; ++s) {
        const T* ahead =
            parts + static_cast<int64_t>(entry[std::min(s + kPrefetch, last_entry)]) * stride;
        __builtin_prefetch(ahead);
        __builtin_prefetch(ahead + stride - 1);
        const T* part = parts + static_cast<int64_t>(entry[s]) * stride;
        for (int k = 0; k < stride; ++k) sum[k] += part[k];
      }
      F::template finish<T>(in.params + i * F::kParams, sum, out.centres[2 * i],
                            out.centres[2 * i + 1], out.params + i * F::kParams);
      out.opacities[i] = sum[F::kSums];
      std::copy_n(sum + F::kSums + 1, c, out.features + i * c);
      if (out.absolute) std::copy_n(sum + F::kSums + 1 + c, 2, out.absolute + 2 * i);
    }
  });
}

}  // namespace

template <class T>
void rasterize_reference(const RasterInput<T>& in, const RasterOutput<T>& out) {
  with_footprint(in.footprint, [&]<class F>() {
    parallel_tasks(in.grid.tiles(), [&](int64_t tile) { forward_tile<F>(in, out, tile); });
  });
}

template <class T>
void rasterize_vjp_reference(const RasterInput<T>& in, const RasterOutput<T>& forward,
                             const RasterGradients<T>& v, const RasterInputGradients<T>& out) {
  with_footprint(in.footprint, [&]<class F>() {
    const int stride = F::kSums + 1 + in.channels + 2;
    std::vector<T> parts(static_cast<size_t>(in.lists->pairs()) * static_cast<size_t>(stride));
    parallel_tasks(in.grid.tiles(),
                   [&](int64_t tile) { backward_tile<F>(in, forward, v, tile, parts, stride); });
    reduce_parts(in, parts.data(), stride, out);
  });
  if (out.background) background_gradient(in, forward, v, out.background);
}

template <class T>
void inspect(const RasterInput<T>& in, const InspectOutput<T>& out) {
  const auto pairs = static_cast<size_t>(in.lists->pairs());
  std::vector<double> weights(out.weight_sums ? pairs : 0);
  std::vector<int64_t> hits(out.hits ? pairs : 0);
  with_footprint(in.footprint, [&]<class F>() {
    parallel_tasks(in.grid.tiles(),
                   [&](int64_t tile) { inspect_tile<F>(in, out, tile, weights, hits); });
  });
  for (int64_t i = 0; i < in.count; ++i) {
    if (out.weight_sums) out.weight_sums[i] = 0;
    if (out.hits) out.hits[i] = 0;
    for (int64_t s = in.lists->first_entry[static_cast<size_t>(i)];
         s < in.lists->first_entry[static_cast<size_t>(i) + 1]; ++s) {
      const uint32_t e = in.lists->entry[static_cast<size_t>(s)];
      if (out.weight_sums) out.weight_sums[i] += weights[e];
      if (out.hits) out.hits[i] += hits[e];
    }
  }
}

template <class T>
void squared_sensitivities_reference(const RasterInput<T>& in, double* out) {
  std::vector<double> squares(static_cast<size_t>(in.lists->pairs()));
  with_footprint(in.footprint, [&]<class F>() {
    parallel_tasks(in.grid.tiles(), [&](int64_t tile) { sensitivity_tile<F>(in, tile, squares); });
  });
  for (int64_t i = 0; i < in.count; ++i) {
    out[i] = 0;
    for (int64_t s = in.lists->first_entry[static_cast<size_t>(i)];
         s < in.lists->first_entry[static_cast<size_t>(i) + 1]; ++s)
      out[i] += squares[in.lists->entry[static_cast<size_t>(s)]];
  }
}

template <class T>
void reduce_parts(const RasterInput<T>& in, const T* parts, int stride,
                  const RasterInputGradients<T>& out) {
  with_footprint(in.footprint, [&]<class F>() {
    constexpr int kColours = F::kSums + 1 + 3;
    if (stride == kColours) return reduce<F, kColours>(in, parts, stride, out);
    if (stride == kColours + 2) return reduce<F, kColours + 2>(in, parts, stride, out);
    reduce<F, 0>(in, parts, stride, out);
  });
}

template <class T>
void background_gradient(const RasterInput<T>& in, const RasterOutput<T>& forward,
                         const RasterGradients<T>& v, double* out) {
  const int64_t pixels = static_cast<int64_t>(in.grid.width) * in.grid.height;
  for (int k = 0; k < in.channels; ++k)
    out[k] = v.image ? ordered_sum(pixels,
                                   [&](int64_t p) {
                                     return static_cast<double>(forward.transmittance[p]) *
                                            static_cast<double>(v.image[p * in.channels + k]);
                                   })
                     : 0.0;
}

#define COVARY_INSTANTIATE(T)                                                          \
  template void rasterize_reference(const RasterInput<T>&, const RasterOutput<T>&);    \
  template void rasterize_vjp_reference(const RasterInput<T>&, const RasterOutput<T>&, \
                                        const RasterGradients<T>&,                     \
                                        const RasterInputGradients<T>&);               \
  template void inspect(const RasterInput<T>&, const InspectOutput<T>&);               \
  template void squared_sensitivities_reference(const RasterInput<T>&, double*);       \
  template void reduce_parts(const RasterInput<T>&, const T*, int,                     \
                             const RasterInputGradients<T>&);                          \
  template void background_gradient(const RasterInput<T>&, const RasterOutput<T>&,     \
                                    const RasterGradients<T>&, double*);
COVARY_INSTANTIATE(float)
COVARY_INSTANTIATE(double)
#undef COVARY_INSTANTIATE

}  // namespace covary::compute
