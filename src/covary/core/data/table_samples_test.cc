#include "covary/core/data/table_samples.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"

namespace covary::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Error refused(const std::string& input) {
  try {
    sample_table(input);
  } catch (const Error& e) {
    return e;
  }
  return Error(ExitCode::kDone, "no error");
}

TEST(TableSamples, EveryOneHasItsRowsAndNoHoles) {
  for (const TableSample& s : table_samples()) {
    const Table t = sample_table("sample:" + s.name + ",rows=57");
    EXPECT_EQ(t.rows, 57) << s.name;
    for (const double v : t.values) ASSERT_TRUE(std::isfinite(v)) << s.name;
    EXPECT_EQ(sample_table("sample:" + s.name + ",rows=57").values, t.values) << s.name;
    EXPECT_NE(sample_table("sample:" + s.name + ",rows=57,seed=1").values, t.values) << s.name;
    // A longer table begins with the shorter one.
    const Table longer = sample_table("sample:" + s.name + ",rows=58");
    EXPECT_TRUE(std::equal(t.values.begin(), t.values.end(), longer.values.begin())) << s.name;
    EXPECT_THAT(s.parameters(), HasSubstr("rows=400"));
  }
}

TEST(TableSamples, TheyAreWhatTheyAreCalled) {
  const Table c = sample_table("sample:clumps,rows=3000,columns=1,components=1,separation=0");
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < c.rows; ++i) {
    sum += c.at(i, 0);
    squares += c.at(i, 0) * c.at(i, 0);
  }
  EXPECT_NEAR(sum / 3000, 0, 0.1);
  EXPECT_NEAR(squares / 3000, 1, 0.15);

  // Counts have the mean of their rate.
  const Table e = sample_table("sample:events,rows=4000");
  double count = 0, rate = 0;
  for (int64_t i = 0; i < e.rows; ++i) {
    count += e.at(i, 1);
    rate += std::exp(1 + std::sin(e.at(i, 0)));
    ASSERT_GE(e.at(i, 1), 0);
  }
  EXPECT_NEAR(count / rate, 1, 0.03);

  const Table d = sample_table("sample:directions,rows=20,columns=5");
  for (int64_t i = 0; i < d.rows; ++i) {
    double norm = 0;
    for (int64_t k = 0; k < 5; ++k) norm += d.at(i, k) * d.at(i, k);
    EXPECT_NEAR(norm, 1, 1e-14);
  }
  EXPECT_THAT(sample_table("sample:moons,rows=4").words.back(), ElementsAre("upper", "lower"));
}

TEST(TableSamples, WhatIsWrongIsNamed) {
  EXPECT_THAT(refused("sample:clump").hint(), HasSubstr("sample:clumps"));
  EXPECT_THAT(refused("sample:wave,columns=3").what(), HasSubstr("'columns'"));
  EXPECT_THAT(refused("sample:wave,columns=3").hint(), HasSubstr("noise=0.2"));
  EXPECT_THAT(refused("sample:wave,rows").what(), HasSubstr("key=value"));
  EXPECT_THAT(refused("sample:wave,rows=1,rows=2").what(), HasSubstr("twice"));
  EXPECT_THAT(refused("sample:wave,rows=0").what(), HasSubstr("rows"));
  EXPECT_THAT(refused("sample:directions,columns=1").what(), HasSubstr("columns"));
  EXPECT_TRUE(is_table_sample("sample:wave,rows=1"));
  EXPECT_FALSE(is_table_sample("sample:studio"));
  EXPECT_FALSE(is_table_sample("wave"));
}

}  // namespace
}  // namespace covary::data
