#include "covary/core/nn/optim/rows.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"

namespace covary::nn {
namespace {

// Row i of everything is made of i, so that a row can be recognised wherever it goes.
at::Tensor counted(at::IntArrayRef shape, at::ScalarType type = at::kFloat) {
  std::vector<int64_t> column(shape.size(), 1);
  column[0] = shape[0];
  return at::arange(shape[0]).reshape(column).expand(shape).to(type).contiguous();
}

RowTable table_of(int64_t n) {
  RowTable t;
  t.add("means", counted({n, 3}), constant(1));
  t.add("faces", counted({n, 6, 3}, at::kDouble), constant(2));
  t.add_statistic("count", counted({n}, at::kLong));
  t.add_statistic("flag", counted({n, 2}, at::kByte));
  for (const auto& name : t.names()) {
    t.entry(name).first.copy_(t.parameter(name).detach() + 0.25);
    t.entry(name).second.copy_(t.parameter(name).detach() + 0.5);
  }
  t.set_multiplier("means", counted({n, 1}) + 10);
  return t;
}

std::vector<int64_t> ids_of(const at::Tensor& t) {
  const at::Tensor first = t.detach().reshape({t.size(0), -1}).select(1, 0).to(at::kLong);
  return {first.data_ptr<int64_t>(), first.data_ptr<int64_t>() + first.numel()};
}

// Every tensor of the table holds these rows of the one it came from, moments of the first `old`
// rows included.
void expect_rows(RowTable& t, const std::vector<int64_t>& rows, size_t old) {
  EXPECT_EQ(t.rows(), static_cast<int64_t>(rows.size()));
  for (const auto& name : t.names()) {
    SCOPED_TRACE(name);
    const auto& p = t.entry(name);
    EXPECT_EQ(ids_of(p.value), rows);
    EXPECT_TRUE(p.value.is_leaf() && p.value.requires_grad());
    for (size_t i = 0; i < rows.size(); ++i) {
      const int64_t row = static_cast<int64_t>(i);
      const double id = static_cast<double>(rows[i]);
      EXPECT_EQ(p.first[row].min().item<double>(), i < old ? id + 0.25 : 0);
      EXPECT_EQ(p.second[row].max().item<double>(), i < old ? id + 0.5 : 0);
    }
  }
  EXPECT_EQ(ids_of(t.statistic("count")), rows);
  EXPECT_EQ(ids_of(t.statistic("flag")), rows);
  EXPECT_EQ(ids_of(t.entry("means").multiplier - 10), rows);
}

at::Tensor longs(std::vector<int64_t> v) { return at::tensor(v, at::kLong); }

TEST(RowTable, GatherPermutesAndRepeatsWithMoments) {
  RowTable t = table_of(4);
  t.gather(longs({2, 0, 2, 3}));
  expect_rows(t, {2, 0, 2, 3}, 4);
}

TEST(RowTable, DropKeepsTheOrder) {
  RowTable t = table_of(5);
  t.drop(at::tensor({1, 0, 1, 0, 1}).to(at::kBool));
  expect_rows(t, {0, 2, 4}, 3);
  t.drop(at::zeros({3}, at::kBool));
  EXPECT_EQ(t.rows(), 0);
}

TEST(RowTable, AppendFromParentsCopiesAllButMoments) {
  RowTable t = table_of(3);
  t.append({}, longs({1, 1}));
  expect_rows(t, {0, 1, 2, 1, 1}, 3);
}

TEST(RowTable, AppendByValueFillsStatisticsAndMultipliers) {
  RowTable t = table_of(2);
  t.append({{"means", at::full({2, 3}, 7.0f)}, {"faces", at::full({2, 6, 3}, 7.0, at::kDouble)}});
  EXPECT_THAT(ids_of(t.parameter("faces")), testing::ElementsAre(0, 1, 7, 7));
  EXPECT_THAT(ids_of(t.statistic("count")), testing::ElementsAre(0, 1, 0, 0));
  EXPECT_THAT(ids_of(t.entry("means").multiplier), testing::ElementsAre(10, 11, 1, 1));
  EXPECT_EQ(t.entry("means").first.slice(0, 2).abs().max().item<float>(), 0);
}

TEST(RowTable, ReplacePutsChildrenTogetherAtTheEnd) {
  RowTable t = table_of(4);
  t.replace(longs({2, 0}), 2, {});
  expect_rows(t, {1, 3, 2, 2, 0, 0}, 2);
  t = table_of(3);
  t.replace(longs({1}), 3, {{"means", at::full({3, 3}, 9.0f)}});
  EXPECT_THAT(ids_of(t.parameter("means")), testing::ElementsAre(0, 2, 9, 9, 9));
  EXPECT_THAT(ids_of(t.parameter("faces")), testing::ElementsAre(0, 2, 1, 1, 1));
}

TEST(RowTable, SetRowsAndZeroMomentsTouchOnlyTheirRows) {
  RowTable t = table_of(3);
  t.set_rows("means", longs({1}), at::full({1, 3}, 5.0f));
  EXPECT_THAT(ids_of(t.parameter("means")), testing::ElementsAre(0, 5, 2));
  t.zero_moments("means", longs({2}));
  EXPECT_EQ(t.entry("means").first[2].abs().max().item<float>(), 0);
  EXPECT_GT(t.entry("means").first[1].min().item<float>(), 0);
  EXPECT_GT(t.entry("faces").second[2].min().item<double>(), 0);
  t.zero_moments();
  EXPECT_EQ(t.entry("faces").second.abs().max().item<double>(), 0);
}

TEST(RowTable, RestoresWhatItSaved) {
  RowTable t = table_of(3);
  t.entry("means").updates = 17;
  RowTable u = RowTable::restore(t.arrays(), nlohmann::json::parse(t.description().dump()));
  expect_rows(u, {0, 1, 2}, 3);
  EXPECT_EQ(u.names(), t.names());
  EXPECT_EQ(u.entry("means").updates, 17);
  EXPECT_EQ(u.entry("faces").rate.at(5), 2);

  NamedTensors broken = t.arrays();
  broken["first/faces"] = at::zeros({3, 6, 2}, at::kDouble);
  EXPECT_THROW(RowTable::restore(broken, t.description()), Error);
  broken.erase("first/faces");
  EXPECT_THROW(RowTable::restore(broken, t.description()), Error);
  EXPECT_THROW(RowTable::restore(t.arrays(), nlohmann::json::object()), Error);
}

TEST(RowTable, RefusesWhatDoesNotFitAndStaysAsItWas) {
  RowTable t = table_of(3);
  EXPECT_THROW(t.add("means", counted({3, 1}), constant(1)), Error);
  EXPECT_THROW(t.add("other", counted({4}), constant(1)), Error);
  EXPECT_THROW(t.add("whole", counted({3}, at::kLong), constant(1)), Error);
  EXPECT_THROW(t.gather(longs({0, 3})), Error);
  EXPECT_THROW(t.gather(longs({-1})), Error);
  EXPECT_THROW(t.gather(at::zeros({2})), Error);
  EXPECT_THROW(t.drop(at::ones({4}, at::kBool)), Error);
  EXPECT_THROW(t.append({{"means", at::zeros({1, 3})}}), Error);
  EXPECT_THROW(t.append({{"means", at::zeros({1, 2})}}, longs({0})), Error);
  EXPECT_THROW(t.append({{"means", at::zeros({1, 3}, at::kDouble)}}, longs({0})), Error);
  EXPECT_THROW(t.append({{"colour", at::zeros({1, 3})}}, longs({0})), Error);
  EXPECT_THROW(t.replace(longs({1, 1}), 2, {}), Error);
  EXPECT_THROW(t.parameter("count"), Error);
  expect_rows(t, {0, 1, 2}, 3);
}

}  // namespace
}  // namespace covary::nn
