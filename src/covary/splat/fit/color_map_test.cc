#include "covary/splat/fit/color_map.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/test_tensors.h"
#include "covary/splat/fit/finite_differences.h"

namespace covary::fit {
namespace {

using compute::test_normal;

// [H,W,3] in (0, 1), and a few values outside.
at::Tensor picture(int64_t h, int64_t w) { return 0.5 + 0.3 * test_normal(1, 1, {h, w, 3}); }

// One pixel as the header says, element by element.
at::Tensor mapped_pixel(const at::Tensor& c, const at::Tensor& map) {
  return c + map.narrow(1, 0, 3).mv(c) + map.select(1, 3);
}

TEST(ColorMap, AffineIsTheMatrixAtEveryPixel) {
  const at::Tensor color = picture(19, 7), map = 0.3 * test_normal(1, 2, {3, 4});
  const at::Tensor out = affine_mapped(color, map);
  for (int64_t y = 0; y < 19; ++y)
    for (int64_t x = 0; x < 7; ++x)
      EXPECT_TRUE(out[y][x].allclose(mapped_pixel(color[y][x], map), 1e-12, 1e-12));
  EXPECT_TRUE(affine_mapped(color, at::zeros({3, 4}, at::kDouble)).equal(color));
  EXPECT_TRUE(affine_mapped(color.to(at::kFloat), map).to(at::kDouble).allclose(out, 1e-5, 1e-5));
}

TEST(ColorMap, AffineGradientsAreThoseOfFiniteDifferences) {
  const at::Tensor color = picture(19, 7), map = 0.3 * test_normal(1, 2, {3, 4}),
                   weights = test_normal(1, 3, {19, 7, 3});
  const auto of_color = [&](const at::Tensor& c) {
    return (affine_mapped(c, map) * weights).sum();
  };
  const auto of_map = [&](const at::Tensor& m) {
    return (affine_mapped(color, m) * weights).sum();
  };
  EXPECT_LT(relative_error(gradient_of(of_color, color), central_differences(of_color, color)),
            1e-7);
  EXPECT_LT(relative_error(gradient_of(of_map, map), central_differences(of_map, map)), 1e-7);
}

TEST(ColorMap, AGridOfOneMapIsThatMap) {
  const at::Tensor color = picture(19, 7), map = 0.3 * test_normal(1, 2, {3, 4});
  const at::Tensor grid = map.reshape({12}).expand({4, 3, 5, 12}).contiguous();
  EXPECT_TRUE(grid_mapped(color, grid).allclose(affine_mapped(color, map), 1e-12, 1e-12));
  EXPECT_EQ(grid_variation(grid).item<double>(), 0);
}

TEST(ColorMap, AGridIsReadAtPlaceAndBrightness) {
  // the red offset is linear in level, row and column: any mean of neighbours gives it exactly
  const int64_t levels = 4, height = 3, width = 5;
  at::Tensor grid = at::zeros({levels, height, width, 12}, at::kDouble);
  for (int64_t l = 0; l < levels; ++l)
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x)
        grid[l][y][x][3] = 0.1 * double(l) / 3 + 0.2 * double(y) / 2 + 0.3 * double(x) / 4;
  at::Tensor color = at::full({6, 8, 3}, 0.25, at::kDouble);
  color[5][7].fill_(1.5);  // brighter than white
  const at::Tensor out = grid_mapped(color, grid);
  EXPECT_NEAR(out[2][3][0].item<double>(), 0.25 + 0.1 * 0.25 + 0.2 * 2.5 / 6 + 0.3 * 3.5 / 8,
              1e-12);
  EXPECT_NEAR(out[2][3][1].item<double>(), 0.25, 1e-12);
  EXPECT_NEAR(out[5][7][0].item<double>(), 1.5 + 0.1 + 0.2 * 5.5 / 6 + 0.3 * 7.5 / 8, 1e-12);
}

TEST(ColorMap, GridGradientsAreThoseOfFiniteDifferences) {
  const at::Tensor color = picture(18, 5), grid = 0.2 * test_normal(1, 2, {3, 4, 3, 12}),
                   weights = test_normal(1, 3, {18, 5, 3});
  const auto of_color = [&](const at::Tensor& c) { return (grid_mapped(c, grid) * weights).sum(); };
  const auto of_grid = [&](const at::Tensor& g) { return (grid_mapped(color, g) * weights).sum(); };
  EXPECT_LT(relative_error(gradient_of(of_color, color), central_differences(of_color, color)),
            1e-6);
  EXPECT_LT(relative_error(gradient_of(of_grid, grid), central_differences(of_grid, grid)), 1e-7);
}

TEST(ColorMap, VariationIsTheMeanSquareOfEachDirection) {
  const at::Tensor grid = test_normal(1, 2, {3, 4, 5, 12});
  at::Tensor direct = at::zeros({}, at::kDouble);
  for (const int64_t axis : {0, 1, 2}) direct = direct + grid.diff(1, axis).square().mean();
  EXPECT_NEAR(grid_variation(grid).item<double>(), direct.item<double>(), 1e-12);
  EXPECT_LT(
      relative_error(gradient_of(grid_variation, grid), central_differences(grid_variation, grid)),
      1e-7);
}

TEST(ColorMap, SameBitsOnOneAndTwoThreads) {
  const at::Tensor color = picture(70, 33).to(at::kFloat),
                   grid = 0.2 * test_normal(1, 2, {8, 16, 16, 12}).to(at::kFloat),
                   map = 0.3 * test_normal(1, 3, {3, 4});
  at::Tensor of_grid[2], of_map[2];
  for (const int n : {1, 2}) {
    set_threads(n);
    of_grid[n - 1] = gradient_of(
        [&](const at::Tensor& g) { return grid_mapped(color, g).square().sum(); }, grid);
    of_map[n - 1] = gradient_of(
        [&](const at::Tensor& m) { return affine_mapped(color, m).square().sum(); }, map);
  }
  set_threads(0);
  EXPECT_TRUE(of_grid[0].equal(of_grid[1]));
  EXPECT_TRUE(of_map[0].equal(of_map[1]));
}

TEST(ColorMap, OtherShapesAreRefused) {
  const at::Tensor color = picture(4, 4);
  EXPECT_THROW(affine_mapped(color, at::zeros({4, 3}, at::kDouble)), Error);
  EXPECT_THROW(affine_mapped(color.narrow(2, 0, 2), at::zeros({3, 4}, at::kDouble)), Error);
  EXPECT_THROW(grid_mapped(color, at::zeros({1, 4, 4, 12}, at::kDouble)), Error);
  EXPECT_THROW(grid_mapped(color, at::zeros({2, 4, 4, 12}, at::kFloat)), Error);
}

}  // namespace
}  // namespace covary::fit
