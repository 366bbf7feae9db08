#include "covary/stat/filter/gradient.h"

#include <functional>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/kalman.h"

namespace covary::filter {
namespace {

// Central differences of the filter's likelihood along every entry (of symmetric matrices: pairs).
void expect_gradient(const LinearModel& model, const at::Tensor& y, const at::Tensor& u) {
  const LikelihoodGradient g = kalman_gradient(model, y, u);
  EXPECT_NEAR(g.log_likelihood, kalman_log_likelihood(model, y, u), 1e-9);
  const auto check = [&](const char* name, at::Tensor LinearModel::* field,
                         const at::Tensor& gradient, bool symmetric) {
    if (!(model.*field).defined()) return;
    SCOPED_TRACE(name);
    ASSERT_TRUE(gradient.defined());
    const int64_t columns = (model.*field).size(-1);
    for (int64_t i = 0; i < (model.*field).numel(); ++i) {
      const int64_t row = i / columns % columns, column = i % columns;
      if (symmetric && column > row) continue;
      const int64_t twin = symmetric ? i - row * columns - column + column * columns + row : i;
      const auto at = [&](double step) {
        LinearModel moved = model;
        moved.*field = (model.*field).clone();
        double* x = (moved.*field).mutable_data_ptr<double>();
        x[i] += step;
        if (twin != i) x[twin] += step;
        return kalman_log_likelihood(moved, y, u);
      };
      const double h = 1e-5, numeric = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
      const double* values = gradient.const_data_ptr<double>();
      const double exact = values[i] + (twin != i ? values[twin] : 0);
      ASSERT_NEAR(exact, numeric, 1e-6 * (1 + std::abs(numeric))) << "entry " << i;
    }
  };
  check("F", &LinearModel::f, g.f, false);
  check("Q", &LinearModel::q, g.q, true);
  check("H", &LinearModel::h, g.h, false);
  check("R", &LinearModel::r, g.r, true);
  check("B", &LinearModel::b, g.b, false);
  check("mean0", &LinearModel::mean0, g.mean0, false);
  check("cov0", &LinearModel::cov0, g.cov0, true);
  check("diffuse", &LinearModel::diffuse, g.diffuse, false);
}

TEST(KalmanGradient, EqualsDifferencesInEveryMatrix) {
  for (const int64_t by_step : {0, 12}) {
    SCOPED_TRACE(by_step);
    expect_gradient(random_model(3, 2, 2, by_step, 31), series_with_holes(12, 2, 32),
                    normal_tensor({12, 2}, 33));
  }
}

TEST(KalmanGradient, EqualsDifferencesAfterADiffuseStart) {
  LinearModel m = random_model(3, 2, 0, 0, 41);
  m.r = at::diag(at::tensor({0.5, 0.8}, at::kDouble));
  m.diffuse = normal_tensor({3, 2}, 42);
  // Off the diagonal R has no likelihood gradient to compare while the start is diffuse.
  const at::Tensor y = series_with_holes(12, 2, 43);
  const LikelihoodGradient g = kalman_gradient(m, y);
  for (int64_t i = 0; i < 2; ++i) {
    const auto at = [&](double step) {
      LinearModel moved = m;
      moved.r = m.r.clone();
      moved.r[i][i] += step;
      return kalman_log_likelihood(moved, y);
    };
    EXPECT_NEAR(g.r[i][i].item<double>(), (at(1e-5) - at(-1e-5)) / 2e-5, 1e-6);
  }
  m.r = at::eye(1, at::kDouble);
  m.h = m.h.slice(0, 0, 1).contiguous();
  expect_gradient(m, series_with_holes(12, 1, 44), {});
}

TEST(KalmanGradient, WithoutVarianceThereIsNone) {
  LinearModel m = random_model(2, 1, 0, 0, 51);
  m.r.zero_();
  m.q.zero_();
  m.cov0.zero_();
  EXPECT_THROW(kalman_gradient(m, at::zeros({3, 1}, at::kDouble)), Error);
  m = random_model(2, 2, 0, 0, 52);
  m.diffuse = at::eye(2, at::kDouble);
  EXPECT_THROW(kalman_gradient(m, at::zeros({3, 2}, at::kDouble)), Error);
}

}  // namespace
}  // namespace covary::filter
