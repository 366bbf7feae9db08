#include "covary/core/base/expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "covary/core/base/error.h"
#include "covary/core/base/error_of.h"
#include "covary/core/base/threads.h"

namespace covary {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Of one row; names of several numbers are vectors.
double value(const std::string& text,
             const std::map<std::string, std::vector<double>>& names = {}) {
  const Expression e = Expression::parse(text);
  std::vector<int64_t> widths;
  std::vector<const double*> columns;
  for (const std::string& name : e.names()) {
    const std::vector<double>& v = names.at(name);
    widths.push_back(static_cast<int64_t>(v.size()));
    columns.push_back(v.data());
  }
  double out = 0;
  e.bind(widths).evaluate(1, columns, &out);
  return out;
}

TEST(Expression, IsArithmetic) {
  EXPECT_EQ(value("1 + 2 * 3"), 7);
  EXPECT_EQ(value("(1 + 2) * 3"), 9);
  EXPECT_EQ(value("2 - 3 - 4"), -5);
  EXPECT_EQ(value("12 / 2 / 3"), 2);
  EXPECT_EQ(value("2 ^ 3 ^ 2"), 512);
  EXPECT_EQ(value("-2 ^ 2"), -4);
  EXPECT_EQ(value("2 ^ -1"), 0.5);
  EXPECT_EQ(value("-7 % 3"), 2);
  EXPECT_EQ(value("7 % -3"), -2);
  EXPECT_EQ(value("1.5e2"), 150);
  EXPECT_DOUBLE_EQ(value("sigmoid(0) + log(exp(2)) + sqrt(9) + abs(-4) + cos(pi)"), 8.5);
  EXPECT_EQ(value("floor(-1.5) + ceil(1.2) + round(2.5) + sign(-3) + log10(1000)"), 5);
}

TEST(Expression, IsLogic) {
  EXPECT_EQ(value("1 < 2 && 3 >= 3 || 1 == 2"), 1);
  EXPECT_EQ(value("1 == 1 || 0 && 0"), 1);  // and holds tighter than or
  EXPECT_EQ(value("!1 == 2"), 1);           // not holds looser than ==
  EXPECT_EQ(value("not 0 and 1 != 2 or 0"), 1);
  EXPECT_EQ(value("2 && 0.5"), 1);
  EXPECT_EQ(value("nan == nan"), 0);
  EXPECT_EQ(value("nan < 1 || nan > 1"), 0);
  EXPECT_EQ(value("nan != nan && isnan(nan) && !isfinite(inf) && isfinite(2)"), 1);
}

TEST(Expression, TakesVectors) {
  const std::map<std::string, std::vector<double>> v = {
      {"scale", {1, 4, 2}}, {"w", {2}}, {"b", {3, 4}}};
  EXPECT_EQ(value("max(scale)", v), 4);
  EXPECT_EQ(value("min(scale) + sum(scale) + mean(scale * w)", v), 1 + 7 + 14. / 3);
  EXPECT_EQ(value("length(b)", v), 5);
  EXPECT_EQ(value("scale[1] / scale[2]", v), 2);
  EXPECT_EQ(value("sum(w - scale)", v), -1);
  EXPECT_EQ(value("sum(scale - w)", v), 1);
  EXPECT_EQ(value("sum(max(scale, w))", v), 8);
  EXPECT_EQ(value("max(1, 5, w)", v), 5);
  EXPECT_EQ(value("(-scale)[1]", v), -4);
  EXPECT_EQ(value("max(b * 2)[0]", v), 8);
}

TEST(Expression, NamesAreEachOnceInOrder) {
  EXPECT_THAT(Expression::parse("b + a * b - _c1").names(), ElementsAre("b", "a", "_c1"));
  // A word that begins like an operation is a name.
  EXPECT_THAT(Expression::parse("order + nothing && android").names(),
              ElementsAre("order", "nothing", "android"));
}

TEST(Expression, RowsOfManyBlocksAreTheSameOnAnyNumberOfThreads) {
  constexpr int64_t kRows = 5000;
  std::vector<double> x(kRows), v(3 * kRows), one(kRows), many(kRows);
  for (int64_t i = 0; i < kRows; ++i) {
    x[static_cast<size_t>(i)] = 0.01 * static_cast<double>(i);
    for (int64_t k = 0; k < 3; ++k)
      v[static_cast<size_t>(3 * i + k)] = static_cast<double>((i * 7 + k * 5) % 11);
  }
  const Expression e = Expression::parse("sum(x * v) - max(v) ^ 2 + sin(x)");
  const Expression::Bound b = e.bind({1, 3});
  set_threads(1);
  b.evaluate(kRows, {x.data(), v.data()}, one.data());
  set_threads(4);
  b.evaluate(kRows, {x.data(), v.data()}, many.data());
  set_threads(0);
  EXPECT_EQ(one, many);
  for (const int64_t i : {0, 255, 256, 4999}) {
    const double* p = v.data() + 3 * i;
    const double at = x[static_cast<size_t>(i)], most = std::max({p[0], p[1], p[2]});
    EXPECT_DOUBLE_EQ(one[static_cast<size_t>(i)],
                     at * p[0] + at * p[1] + at * p[2] - std::pow(most, 2) + std::sin(at));
  }
}

TEST(Expression, ItsTextIsReadAsTheSame) {
  for (const char* text : {"a - (b - c)", "(a + b) * c", "-(a ^ 2)", "(-a) ^ 2", "2 ^ -b",
                           "!(a < b) && c", "a || b && c", "(a || b) && c", "max(a, b)[0] % 3",
                           "(a < b) == c", "--a", "pi * inf + nan", "(-a)[1]"}) {
    const Expression e = Expression::parse(text);
    EXPECT_EQ(Expression::parse(e.text()).text(), e.text()) << text;
  }
  EXPECT_EQ(Expression::parse("((a) - (b - c))").text(), "a - (b - c)");
  EXPECT_EQ(value("(-3) ^ 2"), 9);
  EXPECT_EQ(value(Expression::parse("(-3) ^ 2").text()), 9);
}

TEST(Expression, WhatIsWrongIsSaidWithItsPlace) {
  const auto wrong = [](const std::string& text) {
    const Error e = error_of([&] { Expression::parse(text, "--filter").bind({}); });
    EXPECT_EQ(e.code(), ExitCode::kUsage) << text;
    EXPECT_FALSE(e.hint().empty()) << text;
    return std::string(e.what());
  };
  EXPECT_THAT(wrong(""), HasSubstr("--filter, character 1: a value is missing"));
  EXPECT_THAT(wrong("1 +"), HasSubstr("character 4"));
  EXPECT_THAT(wrong("1 2"), HasSubstr("character 3: expected an operation"));
  EXPECT_THAT(wrong("(1"), HasSubstr("a ) is missing"));
  EXPECT_THAT(wrong("1 < 2 < 3"), HasSubstr("compares a comparison"));
  EXPECT_THAT(wrong("maxx(1)"), HasSubstr("no function 'maxx'"));
  EXPECT_THAT(wrong("sqrt(1, 2)"), HasSubstr("one argument"));
  EXPECT_THAT(wrong("1 = 2"), HasSubstr("expected an operation"));
  EXPECT_THAT(wrong("1[1]"), HasSubstr("has 1 parts"));
  EXPECT_THAT(wrong("1[99999999999999999999]"), HasSubstr("number of a part"));
  EXPECT_THAT(wrong("1e999"), HasSubstr("no number"));
  EXPECT_THAT(wrong("and"), HasSubstr("a value is missing"));
  const auto unfit = [](const std::string& text, std::vector<int64_t> widths) {
    return std::string(error_of([&] { Expression::parse(text).bind(widths); }).what());
  };
  EXPECT_THAT(unfit("v", {3}), HasSubstr("a vector of 3 numbers"));
  EXPECT_THAT(unfit("v > 1", {3}), HasSubstr("character 3: compares a vector"));
  EXPECT_THAT(unfit("sum(a + b)", {3, 4}), HasSubstr("vectors of 3 and of 4"));
}

TEST(Expression, HostileTextIsRefusedBeforeItCosts) {
  const auto refused = [](const std::string& text) {
    return error_of([&] { Expression::parse(text); }).code() == ExitCode::kUsage;
  };
  EXPECT_TRUE(refused(std::string(4000, '(')));
  EXPECT_TRUE(refused(std::string(4000, '-') + "1"));
  EXPECT_TRUE(refused(std::string(4000, '!') + "1"));
  EXPECT_TRUE(refused(std::string(5000, '1')));
  std::string many = "1";
  for (int i = 0; i < 1300; ++i) many += "+1";
  EXPECT_TRUE(refused(many));
  std::string power = "2";
  for (int i = 0; i < 100; ++i) power += "^2";
  EXPECT_TRUE(refused(power));
  EXPECT_TRUE(refused(std::string("1\0+1", 4)));
  // Long, but within the bounds: read, and read again from its own text.
  std::string chain = "a";
  for (int i = 0; i < 300; ++i) chain += " + a";
  EXPECT_EQ(Expression::parse(Expression::parse(chain).text()).text(), chain);
}

}  // namespace
}  // namespace covary
