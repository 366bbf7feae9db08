#include "covary/stat/process/search_space.h"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"

namespace covary::stat {
namespace {

const char* const kMixed = R"({"parameters": [
  {"name": "rate", "type": "real", "bounds": [1e-5, 0.1], "scale": "log"},
  {"name": "depth", "type": "integer", "bounds": [2, 12]},
  {"name": "units", "type": "integer", "bounds": [1, 1024], "scale": "log"},
  {"name": "kind", "values": ["relu", "tanh", "gelu"]},
  {"name": "flag", "values": ["off", "on"]},
  {"name": "fixed", "bounds": [3, 3]}]})";

TEST(SearchSpace, CodesComeBackAsTheRows) {
  const SearchSpace space = SearchSpace::parse(kMixed);
  EXPECT_EQ(space.size(), 6);
  EXPECT_EQ(space.width(), 1 + 1 + 1 + 3 + 1);
  EXPECT_FALSE(space.continuous());
  const Random random(1);
  for (uint64_t e = 0; e < 200; ++e) {
    std::vector<double> unit(6);
    for (size_t k = 0; k < 6; ++k) unit[k] = random.uniform(e * 6 + k);
    const std::vector<double> code = space.code_of_unit(unit.data()), row = space.decode(code);
    space.check_row(row, "row");
    const std::vector<double> again = space.encode(row);
    for (size_t k = 0; k < code.size(); ++k) {
      EXPECT_NEAR(again[k], code[k], 1e-12);
      EXPECT_GE(code[k], 0);
      EXPECT_LE(code[k], 1);
    }
    for (int64_t p = 0; p < 6; ++p) {
      EXPECT_EQ(space.value_of(p, space.text_of(p, row[static_cast<size_t>(p)]), ""),
                row[static_cast<size_t>(p)]);
    }
  }
  const std::vector<double> back =
      SearchSpace::of_json(space.to_json()).encode({0.001, 5, 32, 1, 1, 3});
  EXPECT_EQ(back, space.encode({0.001, 5, 32, 1, 1, 3}));
  EXPECT_NEAR(back[0], 0.5, 1e-12);
  EXPECT_NEAR(back[2], 0.5, 1e-12);
}

TEST(SearchSpace, CategoriesAreAtEqualDistances) {
  const SearchSpace space = SearchSpace::parse(kMixed);
  for (int a = 0; a < 3; ++a) {
    for (int b = 0; b < a; ++b) {
      const auto p = space.encode({1e-3, 5, 1, static_cast<double>(a), 0, 3}),
                 q = space.encode({1e-3, 5, 1, static_cast<double>(b), 0, 3});
      double square = 0;
      for (size_t k = 0; k < p.size(); ++k) square += (p[k] - q[k]) * (p[k] - q[k]);
      EXPECT_NEAR(square, 1, 1e-12);
    }
  }
}

TEST(SearchSpace, EveryValueIsReachedEvenly) {
  const SearchSpace space = SearchSpace::parse(kMixed);
  std::set<double> depths, kinds;
  for (int i = 0; i < 1100; ++i) {
    const double unit[6] = {0.5, (i + 0.5) / 1100, 0.5, (i + 0.5) / 1100, 0.2, 0.5};
    const std::vector<double> row = space.decode(space.code_of_unit(unit));
    depths.insert(row[1]);
    kinds.insert(row[3]);
  }
  EXPECT_EQ(depths.size(), 11u);
  EXPECT_EQ(kinds.size(), 3u);
}

TEST(SearchSpace, NeighboursAreAllowedAndOther) {
  const SearchSpace space = SearchSpace::parse(kMixed);
  const std::vector<double> code = space.encode({1e-3, 2, 512, 1, 1, 3});
  const size_t counts[] = {0, 1, 2, 2, 1, 0};
  for (int64_t p = 0; p < 6; ++p) {
    const auto all = space.neighbours(code.data(), p);
    EXPECT_EQ(all.size(), counts[p]);
    for (const auto& other : all) {
      space.check_row(space.decode(other), "neighbour");
      EXPECT_NE(other, code);
    }
  }
}

TEST(SearchSpace, SaysWhatIsWrong) {
  for (const char* text : {
           "[",
           "{}",
           R"({"parameters": []})",
           R"({"parameters": [3]})",
           R"({"parameters": [{"bounds": [0, 1]}]})",
           R"({"parameters": [{"name": "a"}]})",
           R"({"parameters": [{"name": "a", "bounds": [1, 0]}]})",
           R"({"parameters": [{"name": "a", "bounds": [0, "b"]}]})",
           R"({"parameters": [{"name": "a", "bounds": [0, 1], "scale": "log"}]})",
           R"({"parameters": [{"name": "a", "bounds": [0, 1], "scale": "cubic"}]})",
           R"({"parameters": [{"name": "a", "bounds": [0.5, 1.5], "type": "integer"}]})",
           R"({"parameters": [{"name": "a", "bounds": [0, 1], "type": "floaty"}]})",
           R"({"parameters": [{"name": "a", "bonds": [0, 1]}]})",
           R"({"parameters": [{"name": "a", "values": ["b", "b"]}]})",
           R"({"parameters": [{"name": "a", "values": []}]})",
           R"({"parameters": [{"name": "a", "bounds": [1, 1]}]})",
           R"({"parameters": [{"name": "a", "bounds": [0, 1]}, {"name": "a", "bounds": [0, 1]}]})",
       }) {
    try {
      SearchSpace::parse(text);
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kUsage) << text;
    }
  }
  const SearchSpace space = SearchSpace::parse(kMixed);
  EXPECT_THROW(space.check_row({0.2, 5, 1, 0, 0, 3}, "r"), Error);
  EXPECT_THROW(space.check_row({0.01, 5.5, 1, 0, 0, 3}, "r"), Error);
  EXPECT_THROW(space.check_row({0.01, 5, 1, 3, 0, 3}, "r"), Error);
  EXPECT_THROW(space.check_row({NAN, 5, 1, 0, 0, 3}, "r"), Error);
  try {
    space.check_row({0.01, 5, 1, 0, 0, 4}, "r");
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kData);
  }
  EXPECT_THROW(space.value_of(3, "reul", "r"), Error);
  EXPECT_THROW(space.value_of(0, "1x", "r"), Error);
}

}  // namespace
}  // namespace covary::stat
