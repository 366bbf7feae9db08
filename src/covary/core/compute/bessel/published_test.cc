#include "covary/core/compute/bessel/published.h"

#include <cmath>

#include <gtest/gtest.h>

#include "covary/core/compute/bessel/oracle.h"

namespace covary::compute {
namespace {

constexpr BesselOptions kAll[] = {{BesselKind::kI, false},
                                  {BesselKind::kI, true},
                                  {BesselKind::kK, false},
                                  {BesselKind::kK, true}};

// Orders and arguments of the authors' own tests: their method agrees with ours to what its integral for K leaves.
TEST(BesselPublished, AgreesWithOursWhereItsAuthorsUseIt) {
  for (const BesselOptions& options : kAll) {
    for (double v = 0.25; v < 150; v *= 1.3) {
      for (double x = 0.25; x < 1000; x *= 1.3) {
        const double ours = log_bessel(options, v, x);
        const double theirs = log_bessel_published(options, v, x);
        const bool integral =
            options.kind == BesselKind::kK && published_region(v, x) == PublishedRegion::kFallback;
        EXPECT_NEAR(theirs, ours, (integral ? 1e-8 : 1e-12) * std::fmax(1, std::fabs(ours)))
            << v << " " << x;
      }
    }
  }
}

TEST(BesselPublished, UnguardedTableLosesHalfTheDigitsAtLargeArguments) {
  const BesselOptions scaled{BesselKind::kI, true};
  const double v = 1388, x = 3.1e5, ours = log_bessel(scaled, v, x);
  EXPECT_GT(std::fabs(log_bessel_published(scaled, v, x) - ours), 1e-10);
  EXPECT_NEAR(log_bessel_published(scaled, v, x, {.guarded = true}), ours, 1e-13);
}

TEST(BesselPublished, OursIsNeverWorseByMoreThanRounding) {
  double theirs_worst = 0, ours_worst = 0;
  for (const OracleRow& row : bessel_oracle()) {
    if (row.v > 1e6 || row.x < 1e-6) continue;
    const BesselOptions options{BesselKind::kI};
    theirs_worst =
        std::fmax(theirs_worst, row.error(log_bessel_published(options, row.v, row.x), row.log_i));
    ours_worst = std::fmax(ours_worst, row.error(log_bessel(options, row.v, row.x), row.log_i));
  }
  EXPECT_LT(ours_worst, 2e-15);
  EXPECT_GT(theirs_worst, 10 * ours_worst);
}

TEST(BesselPublished, ItsTableIsRead) {
  EXPECT_EQ(published_region(1, 2000), PublishedRegion::kMu3);
  EXPECT_EQ(published_region(0, 40), PublishedRegion::kMu20);
  EXPECT_EQ(published_region(200, 1), PublishedRegion::kU4);
  EXPECT_EQ(published_region(60, 1), PublishedRegion::kU6);
  EXPECT_EQ(published_region(25, 1), PublishedRegion::kU9);
  EXPECT_EQ(published_region(13, 1), PublishedRegion::kU13);
  EXPECT_EQ(published_region(1, 1), PublishedRegion::kFallback);
  EXPECT_EQ(published_region(1388, 3.1e5), PublishedRegion::kMu20);
  EXPECT_EQ(published_region(1388, 3.1e5, {.guarded = true}), PublishedRegion::kU4);
  EXPECT_TRUE(std::isnan(log_bessel_published({}, -1, 1)));
}

}  // namespace
}  // namespace covary::compute
