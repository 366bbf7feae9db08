#include "covary/core/data/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/random.h"
#include "covary/core/base/temporary_folder.h"

namespace covary::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Error refused(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kData);
    EXPECT_FALSE(e.hint().empty());
    return e;
  }
  ADD_FAILURE() << "accepted";
  return Error(ExitCode::kFailed, "none");
}

class ModelTest : public ::testing::Test {
 protected:
  Model written(const std::string& name, const Model& m) {
    write_model(folder.path() / name, m);
    return read_model(folder.path() / name, m.schema, m.version);
  }
  Error of_text(const std::string& text) {
    write_file(folder.path() / "bad.json", text);
    return refused([&] { read_model(folder.path() / "bad.json", "covary.test", 1); });
  }
  const TemporaryFolder folder{"model"};
};

TEST_F(ModelTest, BothFormatsGiveTheSameBits) {
  Model m{.schema = "covary.test", .fields = {{"family", "gaussian"}, {"columns", {"a", "b"}}}};
  std::vector<double> values = {-0.0, 5e-324, 1e308, 0.1, 1.0 / 3, NAN, INFINITY, -INFINITY};
  const Random random(7, 1);
  for (uint64_t i = 0; i < 2000; ++i)
    values.push_back(std::ldexp(random.normal(i), static_cast<int>(i % 600) - 300));
  m.put("values", values, {static_cast<int64_t>(values.size()) / 2, 2});
  m.put("none", {}, {0, 3});
  for (const char* name : {"m.json", "m.cov"}) {
    const Model r = written(name, m);
    EXPECT_EQ(r.fields, m.fields) << name;
    EXPECT_EQ(r.arrays.at("none").shape, m.arrays.at("none").shape);
    const auto& back = r.doubles("values", {-1, 2});
    ASSERT_EQ(back.size(), values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i]))
        EXPECT_TRUE(std::isnan(back[i]));
      else
        EXPECT_EQ(std::bit_cast<uint64_t>(back[i]), std::bit_cast<uint64_t>(values[i])) << name;
    }
    EXPECT_TRUE(is_model(folder.path() / name));
  }
}

TEST_F(ModelTest, FieldsHaveTheirTypeAndArraysTheirShape) {
  Model m{.schema = "covary.test",
          .fields = {{"family", "gaussian"}, {"rows", 3}, {"list", {1}}, {"words", {"a", "b"}}}};
  m.put("means", {1, 2}, {1, 2});
  m = written("m.json", m);
  EXPECT_EQ(m.text("family", {"gaussian"}), "gaussian");
  EXPECT_EQ(m.number("rows"), 3);
  EXPECT_THAT(m.texts("words"), ElementsAre("a", "b"));
  EXPECT_TRUE(m.texts("absent").empty());
  EXPECT_EQ(m.size("means", 1), 2);
  EXPECT_THAT(refused([&] { m.text("family", {"vmf"}); }).where(), HasSubstr("m.json: family"));
  EXPECT_THAT(refused([&] { m.text("rows"); }).where(), HasSubstr("rows"));
  EXPECT_THAT(refused([&] { m.number("family"); }).where(), HasSubstr("family"));
  EXPECT_THAT(refused([&] { m.texts("list"); }).where(), HasSubstr("list"));
  EXPECT_THAT(refused([&] { m.doubles("means", {2, 2}); }).what(), HasSubstr("[1,2]"));
  EXPECT_THAT(refused([&] { m.doubles("weights", {-1}); }).where(), HasSubstr("weights"));
  EXPECT_THAT(refused([&] { m.size("means", 2); }).where(), HasSubstr("means"));
}

TEST_F(ModelTest, HostileDocumentsAreRefusedByName) {
  EXPECT_THAT(of_text("{").what(), HasSubstr("is no model"));
  EXPECT_THAT(of_text("[1]").what(), HasSubstr("no JSON object"));
  EXPECT_THAT(of_text(R"({"version": 1})").where(), HasSubstr("schema"));
  EXPECT_THAT(of_text(R"({"schema": "covary.test"})").where(), HasSubstr("version"));
  EXPECT_THAT(of_text(R"({"schema": "covary.other", "version": 1})").what(), HasSubstr("other"));
  EXPECT_THAT(of_text(R"({"schema": "covary.test", "version": 2})").what(), HasSubstr("up to 1"));
  const auto arrays = [&](const std::string& text) {
    return of_text(R"({"schema": "covary.test", "version": 1, "arrays": )" + text + "}").where();
  };
  EXPECT_THAT(arrays("[]"), HasSubstr("arrays"));
  EXPECT_THAT(arrays(R"({"m": 3})"), HasSubstr("arrays.m"));
  EXPECT_THAT(arrays(R"({"m": {"shape": [2], "values": [1]}})"), HasSubstr("arrays.m"));
  EXPECT_THAT(arrays(R"({"m": {"shape": [-1], "values": [1]}})"), HasSubstr("arrays.m"));
  EXPECT_THAT(
      arrays(R"({"m": {"shape": [4611686018427387904, 4611686018427387904], "values": []}})"),
      HasSubstr("arrays.m"));
  EXPECT_THAT(arrays(R"({"m": {"shape": [1], "values": ["many"]}})"), HasSubstr("arrays.m[0]"));
  EXPECT_THAT(arrays(R"({"m": {"shape": [1.5], "values": [1]}})"), HasSubstr("shape"));
}

TEST_F(ModelTest, ADamagedContainerIsRefused) {
  Model m{.schema = "covary.test"};
  m.put("means", std::vector<double>(100, 1.5), {100});
  write_model(folder.path() / "m.cov", m);
  const std::string whole = read_file(folder.path() / "m.cov");
  for (size_t at = 0; at < whole.size(); at += 13) {
    std::string cut = whole.substr(0, at), changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x55);
    for (const std::string& bytes : {cut, changed}) {
      write_file(folder.path() / "bad.cov", bytes);
      try {
        const Model r = read_model(folder.path() / "bad.cov", "covary.test", 1);
        // A byte that carries no meaning (a time stamp) changes nothing.
        EXPECT_EQ(r.doubles("means", {100}), m.doubles("means", {100})) << at;
      } catch (const Error& e) {
        EXPECT_EQ(e.code(), ExitCode::kData) << at;
      }
    }
  }
}

TEST_F(ModelTest, OtherFilesAreNoModels) {
  write_file(folder.path() / "t.csv", "a,b\n1,2\n");
  write_file(folder.path() / "c.json", R"({"steps": 5})");
  for (const char* name : {"t.csv", "c.json", "absent.cov"})
    EXPECT_FALSE(is_model(folder.path() / name)) << name;
}

}  // namespace
}  // namespace covary::data
