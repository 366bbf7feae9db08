#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/core/compute/every_target.h"
#include "covary/core/compute/tile_product/tile_product.h"

namespace covary::compute {
namespace {

std::vector<float> normals(int64_t n, uint64_t stream) {
  const Random random(13, stream);
  std::vector<float> x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(random.normal(i));
  return x;
}

TEST(TileProductSimd, AgreesWithTheReferenceAtRaggedSizes) {
  on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    for (const auto& [rows, columns] : {std::pair{1, 1}, {3, 5}, {12, 7}, {13, 64}, {50, 31}}) {
      for (const int64_t width : {8, 16, 24, 40}) {
        const std::vector<float> k = normals(rows * columns, 1), b = normals(columns * width, 2),
                                 c = normals(rows * width, 3);
        // What is there is added to.
        std::vector<double> exact(static_cast<size_t>(rows * width), 0.5), fast(exact);
        tile_product_reference(k.data(), rows, columns, b.data(), width, exact.data());
        tile_product(k.data(), rows, columns, b.data(), width, fast.data());
        for (size_t i = 0; i < exact.size(); ++i) ASSERT_NEAR(fast[i], exact[i], 3e-6 * columns);
        exact.assign(static_cast<size_t>(columns * width), -2);
        fast = exact;
        tile_product_transposed_reference(k.data(), rows, columns, c.data(), width, exact.data());
        tile_product_transposed(k.data(), rows, columns, c.data(), width, fast.data());
        for (size_t i = 0; i < exact.size(); ++i) ASSERT_NEAR(fast[i], exact[i], 3e-6 * rows);
      }
    }
  });
}

// A right-hand side's result does not depend on its neighbours: those that are done may leave.
TEST(TileProductSimd, EveryRightHandSideStandsAlone) {
  const std::vector<float> k = normals(20 * 30, 4), b = normals(30 * 16, 5);
  std::vector<float> padded(30 * 32);
  for (size_t j = 0; j < 30; ++j) std::copy_n(&b[j * 16], 16, &padded[j * 32]);
  std::vector<double> alone(20 * 16), among(20 * 32);
  tile_product(k.data(), 20, 30, b.data(), 16, alone.data());
  tile_product(k.data(), 20, 30, padded.data(), 32, among.data());
  for (size_t i = 0; i < 20; ++i) {
    for (size_t c = 0; c < 16; ++c) EXPECT_EQ(alone[i * 16 + c], among[i * 32 + c]);
  }
}

}  // namespace
}  // namespace covary::compute
