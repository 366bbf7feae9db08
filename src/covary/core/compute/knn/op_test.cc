#include "covary/core/compute/knn/op.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/knn/knn.h"

namespace covary::compute {
namespace {

std::vector<double> points_on_a_grid_with_duplicates(int64_t n) {  // many ties
  std::vector<double> p;
  const Random rng(1, 2);
  for (int64_t i = 0; i < 3 * n; ++i)
    p.push_back(static_cast<double>(rng.below(6, static_cast<uint64_t>(i))));
  return p;
}

TEST(Knn, AgreesWithAllPairsIncludingTiesAndDuplicates) {
  for (const int64_t n : {1, 2, 5, 700}) {
    const auto p = points_on_a_grid_with_duplicates(n);
    std::vector<int64_t> a(static_cast<size_t>(4 * n)), b(a.size());
    std::vector<double> da(a.size()), db(a.size());
    knn(p.data(), n, 4, a.data(), da.data());
    knn_reference(p.data(), n, 4, b.data(), db.data());
    EXPECT_EQ(a, b) << n;
    EXPECT_EQ(da, db) << n;
  }
}

TEST(Knn, AgreesWithAllPairsInFloat) {
  std::vector<float> p;
  const Random rng(5, 0);
  for (int i = 0; i < 1500; ++i)
    p.push_back(static_cast<float>(rng.normal(static_cast<uint64_t>(i))));
  std::vector<int64_t> a(1500), b(1500);
  knn(p.data(), 500, 3, a.data(), nullptr);
  knn_reference(p.data(), 500, 3, b.data(), nullptr);
  EXPECT_EQ(a, b);
}

// A search of each point through all the others would take minutes.
TEST(Knn, ManyPointsAtOnePlaceTakeNoLongerThanOthers) {
  constexpr int64_t kPoints = 300000;
  std::vector<float> p(3 * kPoints);
  for (int64_t i = kPoints / 2; i < kPoints; ++i) p[static_cast<size_t>(3 * i + 1)] = 2;
  p[2] = -0.0f;
  std::vector<int64_t> ids(3 * kPoints);
  std::vector<double> squares(ids.size());
  knn(p.data(), kPoints, 3, ids.data(), squares.data());
  for (const int64_t i : {int64_t{0}, int64_t{1}, int64_t{77}, kPoints / 2 - 1, kPoints - 1}) {
    const int64_t begin = i < kPoints / 2 ? 0 : kPoints / 2;
    std::vector<int64_t> want;
    for (int64_t j = begin; want.size() < 3; ++j)
      if (j != i) want.push_back(j);
    EXPECT_EQ(std::vector<int64_t>(ids.begin() + 3 * i, ids.begin() + 3 * i + 3), want) << i;
  }
  EXPECT_EQ(*std::max_element(squares.begin(), squares.end()), 0);
}

TEST(Knn, LonePointsHaveNoNeighbour) {
  const auto [ids, d2] = knn(at::zeros({1, 3}), 2);
  EXPECT_EQ(ids[0][0].item<int64_t>(), -1);
  EXPECT_TRUE(std::isinf(d2[0][1].item<double>()));
  EXPECT_EQ(mean_square_distance_of_neighbours(at::zeros({1, 3}), 3).item<double>(), 0);
}

TEST(Knn, MeanSquareDistanceOnALine) {
  const at::Tensor p = at::tensor({0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 3.0, 0.0, 0.0}).view({3, 3});
  const at::Tensor m = mean_square_distance_of_neighbours(p, 3);  // only two others there
  EXPECT_NEAR(m[0].item<double>(), (1 + 9) / 2.0, 1e-6);
  EXPECT_NEAR(m[1].item<double>(), (1 + 4) / 2.0, 1e-6);
}

TEST(Knn, NumbersThatAreNotFiniteAreRefused) {
  at::Tensor p = at::rand({10, 3});
  p[4][1] = std::nan("");
  try {
    knn(p, 3);
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kData);
    EXPECT_EQ(e.where(), "point 4");
  }
}

}  // namespace
}  // namespace covary::compute
