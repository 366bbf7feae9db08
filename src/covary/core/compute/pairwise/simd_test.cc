#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/core/compute/every_target.h"
#include "covary/core/compute/pairwise/pairwise.h"

namespace covary::compute {
namespace {

using Vector = std::vector<double>;

Vector normals(size_t n, uint64_t stream, double scale = 1, double shift = 0) {
  const Random random(11, stream);
  Vector x(n);
  for (size_t i = 0; i < n; ++i) x[i] = shift + scale * random.normal(i);
  return x;
}

constexpr Profile kProfiles[] = {Profile::kRbf, Profile::kMatern12, Profile::kMatern32,
                                 Profile::kMatern52, Profile::kRationalQuadratic};

TEST(PairwiseReference, SlopesAreDerivatives) {
  for (const Profile profile : kProfiles) {
    for (const double q : {1e-3, 0.2, 1.0, 7.0}) {
      for (const double shape : {0.3, 1.0, 40.0}) {
        const double h = 1e-4 * q, ha = 1e-4 * shape;  // truncation and rounding about 1e-8
        const double at[] = {q, q - h, q + h};
        double f[3], df[3], da[3], low, high;
        radial_profile_reference(profile, shape, at, 3, f, df, da);
        EXPECT_NEAR(df[0], (f[2] - f[1]) / (2 * h), 1e-7 * (1 + std::abs(df[0])));
        radial_profile_reference(profile, shape - ha, at, 1, &low, nullptr, nullptr);
        radial_profile_reference(profile, shape + ha, at, 1, &high, nullptr, nullptr);
        EXPECT_NEAR(da[0], (high - low) / (2 * ha), 1e-7);
      }
    }
  }
}

TEST(PairwiseSimd, ProfilesAgreeWithTheReference) {
  Vector q{0, 1e-300, 1e-20, 1e-8, 1e-3, 0.5, 1, 3, 50, 1e3, 1e5, 1e12, 1e300};
  for (const double x : normals(50, 1)) q.push_back(x * x);
  const int64_t n = static_cast<int64_t>(q.size());
  on_every_target([&](const char* target) {
    for (const Profile profile : kProfiles) {
      for (const double shape : {0.25, 2.0, 1e3}) {
        SCOPED_TRACE(std::string(target) + " profile " + std::to_string(static_cast<int>(profile)));
        Vector f(q.size()), df(q.size()), da(q.size()), g(q.size()), dg(q.size()), ga(q.size());
        radial_profile_reference(profile, shape, q.data(), n, f.data(), df.data(), da.data());
        radial_profile(profile, shape, q.data(), n, g.data(), dg.data(), ga.data());
        for (size_t i = 0; i < q.size(); ++i) {
          // A rounding of the exponent's argument shows in the value times that argument.
          const double room = 4e-16 * (4 + std::abs(std::log(std::max(f[i], 1e-300))));
          ASSERT_NEAR(g[i], f[i], room * std::abs(f[i]) + 1e-300) << q[i];
          ASSERT_NEAR(dg[i], df[i], room * std::abs(df[i]) + 1e-300) << q[i];
          ASSERT_NEAR(ga[i], da[i], 1e-15) << q[i];
        }
        Vector in_place = q;
        radial_profile(profile, shape, in_place.data(), n, in_place.data(), nullptr, nullptr);
        EXPECT_EQ(in_place, g);
      }
    }
  });
}

TEST(PairwiseSimd, SquaresAndMomentsAgreeWithTheReferenceAtRaggedSizes) {
  on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    for (const int64_t d : {1, 2, 3, 4, 5, 9}) {
      const Vector x = normals(static_cast<size_t>(d * 40), 2), y = normals(d * 50, 3);
      const Points a{x.data(), 40, d}, b{y.data(), 50, d};
      for (const PairBlock& t :
           {PairBlock{0, 40, 0, 50}, PairBlock{3, 1, 7, 1}, PairBlock{5, 7, 11, 13},
            PairBlock{38, 2, 47, 3}, PairBlock{1, 4, 0, 16}}) {
        const size_t size = static_cast<size_t>(t.size());
        Vector exact(size), fast(size);
        pair_squares_reference(a, b, t, exact.data());
        pair_squares(a, b, t, fast.data());
        for (size_t i = 0; i < size; ++i) ASSERT_NEAR(fast[i], exact[i], 1e-14 * (1 + exact[i]));
        const Vector w = normals(size, 4);
        Vector s(static_cast<size_t>(d), 0.5), r(static_cast<size_t>(d), 0.5);
        pair_square_moments_reference(a, b, t, w.data(), r.data());
        pair_square_moments(a, b, t, w.data(), s.data());
        for (size_t k = 0; k < s.size(); ++k) ASSERT_NEAR(s[k], r[k], 1e-11);
        const size_t wide = static_cast<size_t>(d + 2);
        Vector near(static_cast<size_t>(t.rows) * wide, 0.5), far = near;
        pair_difference_moments_reference(a, b, t, w.data(), far.data(), d + 2);
        pair_difference_moments(a, b, t, w.data(), near.data(), d + 2);
        for (size_t k = 0; k < near.size(); ++k) ASSERT_NEAR(near[k], far[k], 1e-12);
        Vector p(size);
        pair_product(w.data(), exact.data(), t.size(), p.data());
        double sum = 0;
        for (size_t i = 0; i < size; ++i) {
          ASSERT_EQ(p[i], w[i] * exact[i]);
          sum += p[i];
        }
        pair_scale(w.data(), -1.7, t.size(), p.data());
        for (size_t i = 0; i < size; ++i) ASSERT_EQ(p[i], -1.7 * w[i]);
        EXPECT_NEAR(pair_dot(w.data(), exact.data(), t.size()), sum, 1e-11);
      }
    }
  });
}

TEST(PairwiseSimd, DuplicatesFarFromTheOriginHaveDistanceZero) {
  on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    const Vector x{1e15 + 1, 1e15 + 1, 1e15 + 3, -7e11, -7e11, -7e11};
    const Points p{x.data(), 3, 2};
    Vector q(9);
    pair_squares(p, p, {0, 3, 0, 3}, q.data());
    EXPECT_EQ(q, (Vector{0, 0, 4, 0, 0, 4, 4, 4, 0}));
  });
}

}  // namespace
}  // namespace covary::compute
