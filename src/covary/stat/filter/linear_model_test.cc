#include "covary/stat/filter/linear_model.h"

#include <limits>

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "covary/core/base/error.h"

namespace covary::filter {
namespace {

using testing::HasSubstr;

LinearModel small_model() {
  const auto o = at::kDouble;
  return {.f = at::eye(2, o),
          .q = 0.1 * at::eye(2, o),
          .h = at::ones({1, 2}, o),
          .r = at::ones({1, 1}, o),
          .b = {},
          .mean0 = at::zeros({2}, o),
          .cov0 = at::eye(2, o),
          .diffuse = {}};
}

// The place and the message of what check() throws.
std::string complaint(const LinearModel& m, int64_t steps = -1) {
  try {
    m.check(steps);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kData);
    EXPECT_FALSE(e.hint().empty());
    return e.what();
  }
  return "";
}

TEST(LinearModel, AcceptsSingularCovariances) {
  LinearModel m = small_model();
  m.q.zero_();
  m.r.zero_();
  m.cov0.zero_();
  EXPECT_EQ(complaint(m, 7), "");
}

TEST(LinearModel, NamesTheMatrixTheStepAndTheEigenvalue) {
  LinearModel m = small_model();
  m.q = m.q.repeat({3, 1, 1});
  m.q[1][0][0] = -0.5;
  EXPECT_THAT(complaint(m), HasSubstr("Q at step 1: is not positive semi-definite: its smallest "
                                      "eigenvalue is -0.5"));
  m = small_model();
  m.cov0[0][1] = 0.3;
  EXPECT_THAT(complaint(m), HasSubstr("cov0: is not symmetric at (1, 0)"));
}

TEST(LinearModel, NamesWrongShapesTypesAndNumbers) {
  LinearModel m = small_model();
  m.h = at::ones({1, 3}, at::kDouble);
  EXPECT_THAT(complaint(m), HasSubstr("H: has shape [1,3], not [1,2]"));
  m = small_model();
  m.f = m.f.to(at::kFloat);
  EXPECT_THAT(complaint(m), HasSubstr("F: is not a double tensor"));
  m = small_model();
  m.r[0][0] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(complaint(m), HasSubstr("R: entry 0"));
  m = small_model();
  m.f = m.f.repeat({5, 1, 1});
  EXPECT_EQ(complaint(m, 5), "");
  EXPECT_THAT(complaint(m, 6), HasSubstr("F: has 5 entries for 6 steps"));
  m = small_model();
  m.cov0 = at::Tensor();
  EXPECT_THAT(complaint(m), HasSubstr("cov0: is missing"));
}

TEST(LinearModel, JsonKeepsEveryNumber) {
  LinearModel m = small_model();
  m.q = (m.q / 3).repeat({4, 1, 1});
  m.b = at::ones({2, 1}, at::kDouble) / 7;
  m.diffuse = at::eye(2, at::kDouble);
  const LinearModel same =
      LinearModel::from_json(nlohmann::json::parse(m.to_json().dump()), "model.json");
  EXPECT_TRUE(at::equal(same.f, m.f));
  EXPECT_TRUE(at::equal(same.q, m.q));
  EXPECT_TRUE(at::equal(same.h, m.h));
  EXPECT_TRUE(at::equal(same.r, m.r));
  EXPECT_TRUE(at::equal(same.b, m.b));
  EXPECT_TRUE(at::equal(same.mean0, m.mean0));
  EXPECT_TRUE(at::equal(same.cov0, m.cov0));
  EXPECT_TRUE(at::equal(same.diffuse, m.diffuse));
}

TEST(LinearModel, JsonTakesNumbersForOneState) {
  const LinearModel m = LinearModel::from_json(
      {{"F", 1}, {"Q", 0.5}, {"H", 1}, {"R", 2}, {"mean0", {0}}, {"cov0", 3}}, "m");
  EXPECT_EQ(m.states(), 1);
  EXPECT_EQ(m.q.item<double>(), 0.5);
}

TEST(LinearModel, HostileJsonIsRefusedWithItsField) {
  const nlohmann::json good = small_model().to_json();
  const auto says = [&](const char* key, const nlohmann::json& value) -> std::string {
    nlohmann::json j = good;
    j[key] = value;
    try {
      LinearModel::from_json(j, "m.json");
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(says("F", {{1, 0}, {0}}), HasSubstr("m.json: F: has rows of different lengths"));
  EXPECT_THAT(says("F", {{1, 0}, 3}), HasSubstr("m.json: F: has rows"));
  EXPECT_THAT(says("F", "x"), HasSubstr("neither a number nor a list"));
  EXPECT_THAT(says("F", nlohmann::json::array()), HasSubstr("neither a number nor a list"));
  EXPECT_THAT(says("F", {{{{1}}}}), HasSubstr("m.json: F"));
  EXPECT_THAT(says("Qs", 1), HasSubstr("m.json: Qs: is no part of a model"));
  EXPECT_THAT(says("R", {{-1}}), HasSubstr("m.json: R: is not positive semi-definite"));
}

}  // namespace
}  // namespace covary::filter
