#include <cmath>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/core/compute/every_target.h"
#include "covary/core/compute/sh/sh.h"

namespace covary::compute {
namespace {

// Arrays of exactly the size asked for, so that a sanitizer sees a read behind the last row.
std::unique_ptr<float[]> drawn(int64_t n, uint64_t stream) {
  auto values = std::make_unique<float[]>(static_cast<size_t>(n));
  const Random random(11, stream);
  for (int64_t i = 0; i < n; ++i) {
    values[static_cast<size_t>(i)] = static_cast<float>(random.normal(static_cast<uint64_t>(i)));
  }
  return values;
}

TEST(ShSimd, AgreesWithTheReferenceForEveryDegreeOfEveryRowLength) {
  on_every_target([](const char* target) {
    SCOPED_TRACE(target);
    for (int bands_degree = 0; bands_degree <= kMaxShDegree; ++bands_degree) {
      const int bands = (bands_degree + 1) * (bands_degree + 1);
      for (int degree = 0; degree <= bands_degree; ++degree) {
        for (const int64_t n : {1, 2, 17, 33}) {
          const int64_t above = 3 * n * (bands - 1);
          const auto sh0 = drawn(3 * n, 0), shN = drawn(above, 1), d = drawn(3 * n, 2);
          const auto v = drawn(3 * n, 3);
          // Both begin with the same values: what is not theirs to write must stay.
          const auto g0 = drawn(3 * n, 4), gN = drawn(above, 5), gd = drawn(3 * n, 6);
          const auto e0 = drawn(3 * n, 4), eN = drawn(above, 5), ed = drawn(3 * n, 6);
          const ShInput<float> in{
              n, degree, bands, nullptr, sh0.get(), bands > 1 ? shN.get() : nullptr, d.get()};
          std::vector<float> color(static_cast<size_t>(3 * n)), expected(color.size());
          sh_color(in, color.data());
          sh_color_reference(in, expected.data());
          sh_color_vjp(in, v.get(), {g0.get(), bands > 1 ? gN.get() : nullptr, gd.get()});
          sh_color_vjp_reference<float>(in, v.get(),
                                        {e0.get(), bands > 1 ? eN.get() : nullptr, ed.get()});
          for (int64_t i = 0; i < 3 * n; ++i) {
            const auto k = static_cast<size_t>(i);
            ASSERT_NEAR(color[k], expected[k], 1e-5) << degree << " " << n << " " << i;
            ASSERT_NEAR(g0[k], e0[k], 1e-5) << degree << " " << n << " " << i;
            ASSERT_NEAR(gd[k], ed[k], 1e-4 * (1 + std::abs(ed[k]))) << degree << " " << i;
          }
          for (int64_t i = 0; i < above; ++i) {
            const auto k = static_cast<size_t>(i);
            ASSERT_NEAR(gN[k], eN[k], 1e-5) << degree << " " << n << " " << i;
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace covary::compute
