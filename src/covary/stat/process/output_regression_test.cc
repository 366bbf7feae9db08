#include "covary/stat/process/output_regression.h"

#include <cmath>
#include <filesystem>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"

namespace covary::stat {
namespace {

using testing::HasSubstr;

at::Tensor normals(uint64_t seed, at::IntArrayRef shape) {
  at::Tensor t = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data_ptr<double>()[i] = Random(seed, 8).normal(static_cast<uint64_t>(i));
  }
  return t;
}

double worst(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// Two outputs of one function, one of them seldom known.
struct Data {
  at::Tensor x, y;
};
Data twins(int64_t n, bool holes) {
  Data d{normals(1, {n, 2}), at::empty({n, 2}, at::kDouble)};
  const at::Tensor f = (1.5 * d.x.select(1, 0)).sin() + 0.5 * d.x.select(1, 1);
  d.y.select(1, 0).copy_(f + 0.1 * normals(2, {n}) + 5);
  d.y.select(1, 1).copy_(-2 * f + 0.1 * normals(3, {n}));
  for (int64_t i = 0; holes && i < n; ++i)
    if (i % 4 != 0) d.y[i][1] = NAN;
  return d;
}

RegressionOptions brief() {
  RegressionOptions o;
  o.steps = 15;
  o.restarts = 1;
  return o;
}

TEST(OutputForm, IsWhatItsTextSays) {
  EXPECT_EQ(OutputForm::parse("icm").text(), "icm:1");
  EXPECT_EQ(OutputForm::parse("icl:2").rank, 2);
  EXPECT_EQ(OutputForm::parse("lmc:3").latent, 3);
  EXPECT_TRUE(OutputForm::parse("independent").independent);
  for (const char* text :
       {"", "lmc:", "lmc:0", "lmc:x", "lmc:-1", "icm:9999", "independent:2", "lmc:1:2", "joint"})
    EXPECT_THROW(OutputForm::parse(text), Error) << text;
}

// Each value left out in turn by a process of the same parameters without it.
TEST(MultiOutput, LeavesOutWhatAProcessWithoutTheValuePredicts) {
  for (const bool holes : {false, true}) {
    for (const char* mean : {"zero", "const"}) {
      const Data d = twins(12, holes);
      MultiOutputOptions o;
      o.kernels.assign(holes ? 2 : 1, "matern52(ard)");
      o.mean = mean;
      o.fit = false;
      const MultiOutputProcess whole(d.x, d.y, o);
      const MultiOutputPrediction out = whole.leave_one_out();
      for (int64_t i = 0; i < 12; ++i) {
        for (int64_t k = 0; k < 2; ++k) {
          if (std::isnan(d.y[i][k].item<double>())) {
            EXPECT_TRUE(std::isnan(out.mean[i][k].item<double>()));
            continue;
          }
          at::Tensor y = d.y.clone();
          y[i][k] = NAN;
          const MultiOutputProcess without(d.x, y, whole.parameters(), mean);
          const MultiOutputPrediction p = without.predict(d.x.slice(0, i, i + 1), true);
          EXPECT_LT(worst(p.mean[0][k], out.mean[i][k]), 1e-8);
          EXPECT_LT(worst(p.variance[0][k], out.variance[i][k]), 1e-8);
        }
      }
    }
  }
}

TEST(MultiOutput, DrawsHaveThePosteriorsMoments) {
  const Data d = twins(15, true);
  MultiOutputOptions o;
  o.fit = false;
  const MultiOutputProcess gp(d.x, d.y, o);
  const at::Tensor xs = normals(9, {3, 2});
  const MultiOutputPrediction p = gp.predict(xs);
  const int64_t count = 20000;
  const at::Tensor draws = gp.sample(xs, count, 4);
  ASSERT_EQ(draws.sizes(), at::IntArrayRef({count, 3, 2}));
  const at::Tensor sd = p.variance.sqrt();
  EXPECT_LT(((draws.mean(0) - p.mean) / sd).abs().max().item<double>(), 5 / std::sqrt(count));
  EXPECT_LT((draws.var(0) / p.variance - 1).abs().max().item<double>(), 0.05);
  // The outputs are of one function with opposite signs: so are their draws at one place.
  const at::Tensor z = (draws - p.mean) / sd;
  EXPECT_LT((z.select(2, 0) * z.select(2, 1)).mean().item<double>(), -0.1);
  EXPECT_TRUE(at::equal(draws, gp.sample(xs, count, 4)));
}

TEST(OutputRegression, LearnsOneOutputFromTheOther) {
  const Data d = twins(48, true);
  const at::Tensor xs = normals(7, {60, 2});
  const at::Tensor truth = -2 * ((1.5 * xs.select(1, 0)).sin() + 0.5 * xs.select(1, 1));
  RegressionOptions o = brief();
  o.steps = 60;
  const OutputRegression together(d.x, d.y, OutputForm::parse("icm:1"), o),
      apart(d.x, d.y, OutputForm::parse("independent"), o);
  const auto error = [&](const OutputRegression& r) {
    return (r.predict(xs, false).mean.select(1, 1) - truth).square().mean().sqrt().item<double>();
  };
  EXPECT_LT(error(together), 0.5 * error(apart));
  EXPECT_THAT(together.text({"a", "b"}), HasSubstr("36 values missing"));
  EXPECT_LT(together.covariance_between()[0][1].item<double>(), 0);
  // Independent is a Regression an output.
  const Regression first(d.x, d.y.select(1, 0).contiguous(), o);
  EXPECT_EQ(worst(apart.predict(xs, true).mean.select(1, 0), first.predict(xs, true).first), 0);
}

TEST(OutputRegression, ComesBackFromItsFileAndGrows) {
  const Data d = twins(20, true), all = twins(24, true);
  const at::Tensor xs = normals(6, {5, 2});
  for (const char* text : {"icm:2", "lmc:2", "independent"}) {
    const OutputRegression r(d.x, d.y, OutputForm::parse(text), brief());
    const auto path =
        std::filesystem::temp_directory_path() / (std::string("covary_outputs_") + text + ".cov");
    data::write_model(path, r.model());
    OutputRegression again =
        OutputRegression::of_model(data::read_model(path, "covary.outputs", 1));
    std::filesystem::remove(path);
    EXPECT_EQ(again.form().text(), text);
    EXPECT_LT(worst(again.predict(xs, true).mean, r.predict(xs, true).mean), 1e-9);
    EXPECT_LT(worst(again.predict(xs, true).variance, r.predict(xs, true).variance), 1e-9);
    EXPECT_EQ(again.text({"a", "b"}), r.text({"a", "b"}));
    EXPECT_EQ(again.to_json({"a", "b"}), r.to_json({"a", "b"}));
    again.update(all.x.slice(0, 20), all.y.slice(0, 20), false);
    EXPECT_EQ(again.x().size(0), 24);
    EXPECT_GT(worst(again.predict(xs, true).mean, r.predict(xs, true).mean), 1e-6);
    again.update(all.x.slice(0, 0, 1) + 0.1, all.y.slice(0, 0, 1), true);
    EXPECT_TRUE(again.predict(xs, true).mean.isfinite().all().item<bool>());
    EXPECT_EQ(again.sample(xs, 3, 1).sizes(), at::IntArrayRef({3, 5, 2}));
  }
}

TEST(OutputRegression, RefusesWhatItDoesNotKnow) {
  const Data d = twins(10, false);
  const auto refused = [&](auto change, const char* word) {
    RegressionOptions o = brief();
    change(&o);
    try {
      OutputRegression(d.x, d.y, {}, o);
      ADD_FAILURE() << word;
    } catch (const Error& e) {
      EXPECT_THAT(std::string(e.what()) + e.where(), HasSubstr(word));
    }
  };
  refused([](RegressionOptions* o) { o->likelihood = "poisson"; }, "poisson");
  refused([](RegressionOptions* o) { o->method = "cg"; }, "cg");
  refused([](RegressionOptions* o) { o->mean = "linear"; }, "linear");
  refused([](RegressionOptions* o) { o->kernel = "rbf + white(0.1)"; }, "white");
  refused([](RegressionOptions* o) { o->kernel = "white"; }, "white alone");
  refused([](RegressionOptions* o) { o->kernel = "const*rbf"; }, "const");
  at::Tensor none = d.y.clone();
  none.select(1, 1).fill_(NAN);
  EXPECT_THROW(OutputRegression(d.x, none, {}, brief()), Error);
}

}  // namespace
}  // namespace covary::stat
