#include "covary/splat/serve/splat_stream.h"
#include "covary/splat/scene/test_clouds.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "covary/core/base/error.h"

namespace covary::serve {
namespace {

template <class T>
T at(const std::vector<uint8_t>& bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

TEST(SplatStream, HoldsEachRowToItsStatedExactness) {
  const scene::Cloud cloud =
      scene::testing_clouds::random_cloud(kSplatBlock + 777, 2);  // two blocks, the second ragged
  const at::Tensor order = importance_order(cloud);
  const std::vector<uint8_t> bytes = encode_splats(cloud, order);
  const size_t n = static_cast<size_t>(cloud.size()), block = kSplatBlock, k = 9;
  ASSERT_EQ(bytes.size(), 32 + block * (32 + 6 * k) + ((n - block) * (32 + 6 * k) + 3) / 4 * 4);
  EXPECT_EQ(std::string(bytes.begin(), bytes.begin() + 8), "CVSPLAT1");
  EXPECT_EQ(at<uint32_t>(bytes, 8), n);
  EXPECT_EQ(at<uint32_t>(bytes, 12), k);
  EXPECT_EQ(at<uint32_t>(bytes, 20), 0u);

  const auto means = cloud.means.accessor<float, 2>(), quats = cloud.quats.accessor<float, 2>(),
             scales = cloud.scales.accessor<float, 2>();
  const auto opacities = cloud.opacities.accessor<float, 1>();
  const auto sh0 = cloud.sh0.accessor<float, 3>(), shN = cloud.shN.accessor<float, 3>();
  for (size_t i = 0; i < n; i += 97) {
    const size_t b = i / block, rows = b == 0 ? block : n - block, in = i % block;
    const size_t base = 32 + b * block * (32 + 6 * k), row = base + 32 * in;
    const auto r = static_cast<int64_t>(at<uint32_t>(bytes, row + 12));
    EXPECT_EQ(r, order[static_cast<int64_t>(i)].item<int64_t>());
    double norm = 0;
    for (int j = 0; j < 4; ++j) norm += std::pow(quats[r][j], 2);
    for (size_t j = 0; j < 3; ++j) {
      const auto c = static_cast<int64_t>(j);
      EXPECT_EQ(at<float>(bytes, row + 4 * j), means[r][c]);
      EXPECT_NEAR(-20 + 32 * at<uint16_t>(bytes, row + 24 + 2 * j) / 65535.0, scales[r][c], 2.5e-4);
    }
    for (size_t j = 0; j < 4; ++j)
      EXPECT_NEAR(at<int16_t>(bytes, row + 16 + 2 * j) / 32767.0,
                  quats[r][static_cast<int64_t>(j)] / std::sqrt(norm), 1.6e-5);
    EXPECT_NEAR(at<uint16_t>(bytes, row + 30) / 65535.0, 1 / (1 + std::exp(-opacities[r])), 8e-6);
    for (size_t c = 0; c < k; ++c)
      for (size_t channel = 0; channel < 3; ++channel) {
        const auto ch = static_cast<int64_t>(channel);
        const double truth = c == 0 ? sh0[r][0][ch] : shN[r][static_cast<int64_t>(c) - 1][ch];
        const auto half = static_cast<float>(
            at<at::Half>(bytes, base + 32 * rows + 6 * k * in + 6 * c + 2 * channel));
        EXPECT_NEAR(half, truth, 5e-4 * std::abs(truth) + 1e-7);
      }
  }
}

TEST(SplatStream, PutsTheLargeAndOpaqueFirstAndEqualsInTheirOrder) {
  scene::Cloud cloud = scene::testing_clouds::random_cloud(4, 0);
  cloud.scales =
      at::tensor({-4.f, -4.f, -9.f, -1.f, -2.f, -9.f, -4.f, -4.f, -9.f, -1.f, -1.f, -1.f})
          .reshape({4, 3});
  cloud.opacities = at::tensor({2.f, 2.f, 2.f, -9.f});
  const at::Tensor order = importance_order(cloud);  // areas e^-8, e^-3, e^-8; e^-2 times 1e-4
  EXPECT_TRUE(at::equal(order, at::tensor({1, 0, 2, 3}, at::kLong))) << order;
}

TEST(SplatStream, LeavesOutRowsThatAreNotFinite) {
  scene::Cloud cloud = scene::testing_clouds::random_cloud(6, 1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  cloud.means[0][1] = nan;
  cloud.quats[1][0] = std::numeric_limits<float>::infinity();
  cloud.opacities[2] = nan;
  cloud.shN[3][2][1] = nan;
  const std::vector<uint8_t> bytes = encode_splats(cloud, importance_order(cloud));
  EXPECT_EQ(at<uint32_t>(bytes, 8), 2u);
  cloud.means.fill_(nan);
  EXPECT_EQ(encode_splats(cloud, importance_order(cloud)).size(), 32u);
}

TEST(SplatStream, CutsDegreeFourAndSaysAntialiasing) {
  scene::Cloud cloud = scene::testing_clouds::random_cloud(5, 4);
  cloud.antialiased = true;
  const std::vector<uint8_t> bytes = encode_splats(cloud, importance_order(cloud));
  EXPECT_EQ(at<uint32_t>(bytes, 12), 16u);
  EXPECT_EQ(at<uint32_t>(bytes, 20), 1u);
}

TEST(SplatStream, SendsColumnsInTheOrderOfTheRows) {
  scene::Cloud cloud = scene::testing_clouds::random_cloud(50, 0);
  cloud.columns["label"] = at::arange(50, at::kInt);
  cloud.columns["feature"] = at::arange(100, at::kFloat).reshape({50, 2});
  EXPECT_THAT(column_names(cloud), testing::ElementsAre("feature_0", "feature_1", "label"));
  const at::Tensor order = importance_order(cloud);
  const std::vector<uint8_t> label = encode_column(cloud, order, "label"),
                             feature = encode_column(cloud, order, "feature_1");
  ASSERT_EQ(label.size(), 200u);
  for (int64_t i = 0; i < 50; ++i) {
    const auto r = static_cast<float>(order[i].item<int64_t>());
    EXPECT_EQ(at<float>(label, 4 * static_cast<size_t>(i)), r);
    EXPECT_EQ(at<float>(feature, 4 * static_cast<size_t>(i)), 2 * r + 1);
  }
  EXPECT_THROW(encode_column(cloud, order, "nothing"), Error);
  EXPECT_THROW(encode_column(cloud, order, "feature"), Error);
}

}  // namespace
}  // namespace covary::serve
