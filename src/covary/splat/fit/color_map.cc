#include "covary/splat/fit/color_map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/autograd.h"

namespace covary::fit {
namespace {

constexpr int64_t kBand = 16;  // rows of a picture a share: sums depend on this, not on the threads
constexpr double kBrightness[3] = {0.299, 0.587, 0.114};

void expect(bool holds, const char* what) {
  if (!holds) throw Error(ExitCode::kFailed, what, "color_map");
}

void check_picture(const at::Tensor& color) {
  expect(color.dim() == 3 && color.size(2) == 3 &&
             (color.scalar_type() == at::kFloat || color.scalar_type() == at::kDouble),
         "the picture is not [H,W,3], float or double");
}

int64_t bands_of(int64_t height) { return (height + kBand - 1) / kBand; }

// f(band, first row, row behind the last)
template <class F>
void for_bands(int64_t height, F&& f) {
  parallel_tasks(bands_of(height), [&](int64_t band) {
    f(band, band * kBand, std::min(height, (band + 1) * kBand));
  });
}

// --- one map a picture -------------------------------------------------------------------------

template <class T>
void map_all(const T* from, const double* m, T* to, int64_t begin, int64_t end) {
  T map[12];
  std::copy_n(m, 12, map);
  for (int64_t p = begin; p < end; ++p) {
    const T *c = from + 3 * p, *row = map;
    for (int r = 0; r < 3; ++r, row += 4)
      to[3 * p + r] = c[r] + row[0] * c[0] + row[1] * c[1] + row[2] * c[2] + row[3];
  }
}

// Gradients of pixels begin .. end: to the picture, and summed to the map.
template <class T>
std::array<double, 12> map_backward(const T* color, const double* m, const T* g, T* to,
                                    int64_t begin, int64_t end) {
  std::array<double, 12> sum{};
  T map[12];
  std::copy_n(m, 12, map);
  for (int64_t p = begin; p < end; ++p) {
    const T *c = color + 3 * p, *d = g + 3 * p;
    for (int k = 0; k < 3; ++k)
      to[3 * p + k] = d[k] + map[k] * d[0] + map[4 + k] * d[1] + map[8 + k] * d[2];
    for (size_t r = 0; r < 3; ++r) {
      for (size_t k = 0; k < 3; ++k) sum[4 * r + k] += static_cast<double>(d[r] * c[k]);
      sum[4 * r + 3] += d[r];
    }
  }
  return sum;
}

template <class T>
at::Tensor affine_forward(const at::Tensor& color, const at::Tensor& map) {
  at::Tensor out = at::empty_like(color);
  const int64_t w = color.size(1);
  for_bands(color.size(0), [&](int64_t, int64_t begin, int64_t end) {
    map_all(color.const_data_ptr<T>(), map.const_data_ptr<double>(), out.mutable_data_ptr<T>(),
            begin * w, end * w);
  });
  return out;
}

template <class T>
compute::Tensors affine_backward(const at::Tensor& color, const at::Tensor& map,
                                 const at::Tensor& g) {
  at::Tensor to_color = at::empty_like(color), to_map = at::zeros({3, 4}, at::kDouble);
  std::vector<std::array<double, 12>> sums(static_cast<size_t>(bands_of(color.size(0))));
  const int64_t w = color.size(1);
  for_bands(color.size(0), [&](int64_t band, int64_t begin, int64_t end) {
    sums[static_cast<size_t>(band)] =
        map_backward(color.const_data_ptr<T>(), map.const_data_ptr<double>(), g.const_data_ptr<T>(),
                     to_color.mutable_data_ptr<T>(), begin * w, end * w);
  });
  auto* m = to_map.mutable_data_ptr<double>();
  for (const auto& sum : sums)
    for (size_t k = 0; k < 12; ++k) m[k] += sum[k];
  return {to_color, to_map};
}

// --- a grid of maps ----------------------------------------------------------------------------

struct GridShape {
  int64_t levels, height, width;
  int64_t cell(int64_t level, int64_t y, int64_t x) const {
    return ((level * height + y) * width + x) * 12;
  }
};

// A place between two of n cells: t in [0, 1] across all.
template <class T>
struct Between {
  int64_t low;
  T share;  // of the upper one
  Between(T t, int64_t n) {
    const T at = t * static_cast<T>(n - 1);
    low = std::min<int64_t>(n - 2, static_cast<int64_t>(at));
    share = at - static_cast<T>(low);
  }
};

// The map at a pixel, and how it changes with the level.
template <class T>
struct Sliced {
  T map[12], by_level[12];
  std::array<int64_t, 8> cells;
  std::array<T, 8> weights;
  bool inside;  // brightness not cut off

  Sliced(const T* grid, const GridShape& shape, const Between<T>& x, const Between<T>& y,
         const T* c) {
    const T bright = static_cast<T>(kBrightness[0]) * c[0] + static_cast<T>(kBrightness[1]) * c[1] +
                     static_cast<T>(kBrightness[2]) * c[2];
    inside = bright > 0 && bright < 1;
    const Between<T> z(std::clamp<T>(bright, 0, 1), shape.levels);
    std::fill_n(map, 12, T(0));
    std::fill_n(by_level, 12, T(0));
    for (size_t k = 0; k < 4; ++k) {
      const bool right = k & 1, down = k & 2;
      const T flat = (right ? x.share : 1 - x.share) * (down ? y.share : 1 - y.share);
      const int64_t low = shape.cell(z.low, y.low + down, x.low + right),
                    high = low + shape.cell(1, 0, 0);
      cells[2 * k] = low;
      cells[2 * k + 1] = high;
      weights[2 * k] = flat * (1 - z.share);
      weights[2 * k + 1] = flat * z.share;
      for (int i = 0; i < 12; ++i) {
        map[i] += weights[2 * k] * grid[low + i] + weights[2 * k + 1] * grid[high + i];
        by_level[i] += flat * (grid[high + i] - grid[low + i]);
      }
    }
  }
};

GridShape shape_of(const at::Tensor& grid) { return {grid.size(0), grid.size(1), grid.size(2)}; }

template <class T, class F>
void for_pixels(int64_t height, int64_t width, const GridShape& shape, int64_t begin, int64_t end,
                F&& f) {
  for (int64_t y = begin; y < end; ++y) {
    const Between<T> v((static_cast<T>(y) + T(0.5)) / static_cast<T>(height), shape.height);
    for (int64_t x = 0; x < width; ++x) {
      const Between<T> u((static_cast<T>(x) + T(0.5)) / static_cast<T>(width), shape.width);
      f(y * width + x, u, v);
    }
  }
}

template <class T>
at::Tensor grid_forward(const at::Tensor& color, const at::Tensor& grid) {
  at::Tensor out = at::empty_like(color);
  const int64_t h = color.size(0), w = color.size(1);
  const GridShape shape = shape_of(grid);
  const T *from = color.const_data_ptr<T>(), *cells = grid.const_data_ptr<T>();
  T* to = out.mutable_data_ptr<T>();
  for_bands(h, [&](int64_t, int64_t begin, int64_t end) {
    for_pixels<T>(h, w, shape, begin, end, [&](int64_t p, const auto& u, const auto& v) {
      const T* c = from + 3 * p;
      const Sliced<T> s(cells, shape, u, v, c);
      for (int r = 0; r < 3; ++r)
        to[3 * p + r] = c[r] + s.map[4 * r] * c[0] + s.map[4 * r + 1] * c[1] +
                        s.map[4 * r + 2] * c[2] + s.map[4 * r + 3];
    });
  });
  return out;
}

template <class T>
compute::Tensors grid_backward(const at::Tensor& color, const at::Tensor& grid,
                               const at::Tensor& gradient) {
  const int64_t h = color.size(0), w = color.size(1), bands = bands_of(h);
  const GridShape shape = shape_of(grid);
  at::Tensor to_color = at::empty_like(color);
  at::Tensor of_bands = at::zeros({bands, grid.numel()}, grid.options());
  const T *from = color.const_data_ptr<T>(), *cells = grid.const_data_ptr<T>(),
          *g = gradient.const_data_ptr<T>();
  T *to = to_color.mutable_data_ptr<T>(), *all = of_bands.mutable_data_ptr<T>();
  for_bands(h, [&](int64_t band, int64_t begin, int64_t end) {
    T* sums = all + band * grid.numel();
    for_pixels<T>(h, w, shape, begin, end, [&](int64_t p, const auto& u, const auto& v) {
      const T *c = from + 3 * p, *d = g + 3 * p;
      const Sliced<T> s(cells, shape, u, v, c);
      T outer[12], by_level = 0;
      for (int r = 0; r < 3; ++r)
        for (int k = 0; k < 4; ++k) {
          outer[4 * r + k] = d[r] * (k < 3 ? c[k] : T(1));
          by_level += s.by_level[4 * r + k] * outer[4 * r + k];
        }
      by_level *= s.inside ? static_cast<T>(shape.levels - 1) : T(0);
      for (int k = 0; k < 3; ++k)
        to[3 * p + k] = d[k] + s.map[k] * d[0] + s.map[4 + k] * d[1] + s.map[8 + k] * d[2] +
                        by_level * static_cast<T>(kBrightness[k]);
      for (size_t k = 0; k < 8; ++k)
        for (int i = 0; i < 12; ++i) sums[s.cells[k] + i] += s.weights[k] * outer[i];
    });
  });
  at::Tensor to_grid = at::zeros_like(grid);
  for (int64_t band = 0; band < bands; ++band) to_grid.add_(of_bands.select(0, band).view_as(grid));
  return {to_color, to_grid};
}

// f(a, b, share): every pair of neighbours (offsets into the grid), and 1 / pairs of its direction.
template <class F>
void for_neighbours(const at::Tensor& grid, F&& f) {
  const std::array<int64_t, 3> sides = {grid.size(0), grid.size(1), grid.size(2)};
  const std::array<int64_t, 3> strides = {grid.size(1) * grid.size(2) * 12, grid.size(2) * 12, 12};
  for (size_t axis = 0; axis < 3; ++axis) {
    const double share = 1.0 / static_cast<double>(grid.numel() / sides[axis] * (sides[axis] - 1));
    for (int64_t l = 0; l < sides[0] - (axis == 0); ++l)
      for (int64_t y = 0; y < sides[1] - (axis == 1); ++y)
        for (int64_t x = 0; x < sides[2] - (axis == 2); ++x) {
          const int64_t cell = l * strides[0] + y * strides[1] + x * strides[2];
          for (int64_t i = cell; i < cell + 12; ++i) f(i, i + strides[axis], share);
        }
  }
}

template <class T>
at::Tensor variation_forward(const at::Tensor& grid) {
  const T* v = grid.const_data_ptr<T>();
  double sum = 0;
  for_neighbours(grid, [&](int64_t a, int64_t b, double share) {
    const double d = static_cast<double>(v[b]) - static_cast<double>(v[a]);
    sum += share * d * d;
  });
  return at::full({}, sum, grid.options());
}

template <class T>
at::Tensor variation_backward(const at::Tensor& grid, double gradient) {
  at::Tensor out = at::zeros_like(grid);
  const T* v = grid.const_data_ptr<T>();
  T* to = out.mutable_data_ptr<T>();
  for_neighbours(grid, [&](int64_t a, int64_t b, double share) {
    const T d = static_cast<T>(2 * gradient * share) * (v[b] - v[a]);
    to[a] -= d;
    to[b] += d;
  });
  return out;
}

void check_grid(const at::Tensor& grid) {
  expect(grid.dim() == 4 && grid.size(0) > 1 && grid.size(1) > 1 && grid.size(2) > 1 &&
             grid.size(3) == 12 &&
             (grid.scalar_type() == at::kFloat || grid.scalar_type() == at::kDouble),
         "the grid is not [L,GH,GW,12], each side at least 2, float or double");
}

}  // namespace

at::Tensor affine_mapped(const at::Tensor& color, const at::Tensor& map) {
  check_picture(color);
  expect(map.dim() == 2 && map.size(0) == 3 && map.size(1) == 4 &&
             map.scalar_type() == at::kDouble && map.is_contiguous(),
         "the map is not [3,4] double");
  return compute::differentiable(
      "affine_mapped", {color.contiguous(), map},
      [](const compute::Tensors& in) {
        return compute::Tensors{in[0].scalar_type() == at::kDouble
                                    ? affine_forward<double>(in[0], in[1])
                                    : affine_forward<float>(in[0], in[1])};
      },
      [](const compute::Saved& saved, const compute::Tensors& gradients) {
        const at::Tensor &color = saved.inputs[0], &map = saved.inputs[1],
                         g = gradients[0].contiguous();
        return color.scalar_type() == at::kDouble ? affine_backward<double>(color, map, g)
                                                  : affine_backward<float>(color, map, g);
      })[0];
}

at::Tensor grid_mapped(const at::Tensor& color, const at::Tensor& grid) {
  check_picture(color);
  check_grid(grid);
  expect(grid.scalar_type() == color.scalar_type(), "the grid is of another type than the picture");
  return compute::differentiable(
      "grid_mapped", {color.contiguous(), grid.contiguous()},
      [](const compute::Tensors& in) {
        return compute::Tensors{in[0].scalar_type() == at::kDouble
                                    ? grid_forward<double>(in[0], in[1])
                                    : grid_forward<float>(in[0], in[1])};
      },
      [](const compute::Saved& saved, const compute::Tensors& gradients) {
        const at::Tensor &color = saved.inputs[0], &grid = saved.inputs[1],
                         g = gradients[0].contiguous();
        return color.scalar_type() == at::kDouble ? grid_backward<double>(color, grid, g)
                                                  : grid_backward<float>(color, grid, g);
      })[0];
}

at::Tensor grid_variation(const at::Tensor& grid) {
  check_grid(grid);
  return compute::differentiable(
      "grid_variation", {grid.contiguous()},
      [](const compute::Tensors& in) {
        return compute::Tensors{in[0].scalar_type() == at::kDouble
                                    ? variation_forward<double>(in[0])
                                    : variation_forward<float>(in[0])};
      },
      [](const compute::Saved& saved, const compute::Tensors& gradients) {
        const at::Tensor& grid = saved.inputs[0];
        const double g = gradients[0].item<double>();
        return compute::Tensors{grid.scalar_type() == at::kDouble
                                    ? variation_backward<double>(grid, g)
                                    : variation_backward<float>(grid, g)};
      })[0];
}

}  // namespace covary::fit
