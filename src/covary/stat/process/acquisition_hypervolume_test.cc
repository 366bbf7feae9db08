#include "covary/stat/process/acquisition_hypervolume.h"

#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/process/candidates.h"
#include "covary/stat/process/expected_hypervolume.h"
#include "covary/stat/process/hypervolume.h"
#include "covary/stat/process/test_problems.h"

namespace covary::stat {
namespace {

at::Tensor uniforms(int64_t n, int64_t d, uint64_t stream) {
  at::Tensor x = at::empty({n, d}, at::kDouble);
  for (int64_t i = 0; i < n * d; ++i) {
    x.data_ptr<double>()[i] = Random(4, stream).uniform(static_cast<uint64_t>(i));
  }
  return x;
}
std::vector<double> flat(const at::Tensor& t) {
  const at::Tensor c = t.contiguous();
  return {c.const_data_ptr<double>(), c.const_data_ptr<double>() + c.numel()};
}

constexpr int64_t kDims = 3, kRows = 15;

// Three functions that pull apart, of the same points.
at::Tensor values_of(int which) {
  const at::Tensor x = uniforms(kRows, kDims, 1);
  return which == 0   ? 1 - (x - 0.2).square().sum(1)
         : which == 1 ? 1 - (x - 0.8).square().sum(1)
                      : (x.sum(1) * 2).sin();
}
GaussianProcess process(int which, const char* noise = "white(1e-3)") {
  return fit_gp(
      uniforms(kRows, kDims, 1), values_of(which),
      {.kernel = std::string("const(0.6)*matern52(ard,lengthscale=[0.6,0.9,0.7]) + ") + noise,
       .fit = false});
}

struct Fixture {
  GaussianProcess a = process(0), b = process(1), c = process(2);
  HypervolumeModel model(size_t m = 2) const {
    HypervolumeModel out;
    out.objectives = {&a, &b, &c};
    out.objectives.resize(m);
    out.reference.assign(m, -0.2);
    std::vector<at::Tensor> columns;
    for (size_t j = 0; j < m; ++j) columns.push_back(values_of(static_cast<int>(j)));
    out.observed = flat(at::stack(columns, 1));
    return out;
  }
};

double value(const Acquisition& a, const at::Tensor& x) {
  return a.worker(x.size(0))->value(flat(x), {});
}

// Largest difference of gradient and central differences, over 1 + the size of these.
double gradient_error(const Acquisition& a, const at::Tensor& x) {
  const auto worker = a.worker(x.size(0));
  std::vector<double> p = flat(x), g(p.size());
  worker->value(p, g);
  double worst = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double at = p[i], h = 1e-6;
    p[i] = at + h;
    const double up = worker->value(p, {});
    p[i] = at - h;
    const double down = worker->value(p, {});
    p[i] = at;
    const double slope = (up - down) / (2 * h);
    worst = std::max(worst, std::abs(g[i] - slope) / (1 + std::abs(slope)));
  }
  return worst;
}

TEST(HypervolumeAcquisition, OnePointIsTheClosedFormAtThePrediction) {
  const Fixture f;
  for (const size_t m : {1, 2, 3}) {
    HypervolumeModel model = f.model(m);
    const auto acquisition = hypervolume_acquisition(model);
    const at::Tensor x = uniforms(1, kDims, 9);
    std::vector<double> mean, sd;
    for (const GaussianProcess* gp : model.objectives) {
      const Prediction p = gp->predict(x);
      mean.push_back(p.mean.item<double>());
      sd.push_back(p.variance.sqrt().item<double>());
    }
    ExpectedHypervolume gain(std::make_shared<BoxDecomposition>(model.observed, model.reference));
    EXPECT_NEAR(value(*acquisition, x), gain.log_value(mean, sd), 1e-9);
  }
}

TEST(HypervolumeAcquisition, ManyDrawsOfOnePointApproachTheClosedForm) {
  const Fixture f;
  HypervolumeModel model = f.model();
  const at::Tensor x = at::full({1, kDims}, 0.5, at::kDouble);
  const double closed = value(*hypervolume_acquisition(model), x);
  // A pending point far below the front makes it a batch and adds next to nothing.
  model.draws = 16384;
  model.pending = {-40, -40, -40};
  model.observed.insert(model.observed.end(), {0.9, 0.9});
  HypervolumeModel alone = f.model();
  alone.observed = model.observed;
  const double expected = value(*hypervolume_acquisition(alone), x);
  EXPECT_NE(expected, closed);
  // There the prior holds, so the pending point gains something of its own: take it off.
  const double pending =
      std::exp(value(*hypervolume_acquisition(alone), at::full({1, kDims}, -40, at::kDouble)));
  const double both = std::exp(value(*hypervolume_acquisition(model), x));
  EXPECT_LE(both, (std::exp(expected) + pending) * 1.02);
  EXPECT_GE(both, std::max(std::exp(expected), pending) * 0.98);
}

TEST(HypervolumeAcquisition, GradientsAgreeWithDifferences) {
  const Fixture f;
  const GaussianProcess limit = process(2);
  for (const size_t m : {1, 2, 3}) {
    for (const int64_t q : {1, 3}) {
      HypervolumeModel model = f.model(m);
      model.draws = 8;
      const at::Tensor x = uniforms(q, kDims, 20 + static_cast<uint64_t>(m));
      EXPECT_LT(gradient_error(*hypervolume_acquisition(model), x), 1e-5) << m << " " << q;
      model.constraints = {{&limit, 0.5}};
      model.constraint_softness = 0.1;
      EXPECT_LT(gradient_error(*hypervolume_acquisition(model), x), 1e-5) << m << " " << q;
      model.pending = flat(uniforms(2, kDims, 33));
      EXPECT_LT(gradient_error(*hypervolume_acquisition(model), x), 1e-5) << m << " " << q;
      model.constraints.clear();
      model.noisy = true;
      EXPECT_LT(gradient_error(*hypervolume_acquisition(model), x), 1e-5) << m << " " << q;
    }
  }
}

// With hardly any noise the noisy front is the known one.
TEST(HypervolumeAcquisition, WithoutNoiseTheNoisyFormIsTheOther) {
  const GaussianProcess a = process(0, "white(1e-9)"), b = process(1, "white(1e-9)");
  const Fixture f;
  HypervolumeModel model = f.model();
  model.objectives = {&a, &b};
  model.draws = 4096;
  const at::Tensor x = at::full({1, kDims}, 0.5, at::kDouble);
  const double known = value(*hypervolume_acquisition(model), x);
  model.noisy = true;
  EXPECT_NEAR(value(*hypervolume_acquisition(model), x), known, 0.05);
}

TEST(HypervolumeAcquisition, ConstraintsLowerTheValue) {
  const Fixture f;
  const GaussianProcess limit = process(2);
  const at::Tensor x = uniforms(2, kDims, 40);
  HypervolumeModel model = f.model();
  const double free = value(*hypervolume_acquisition(model), x);
  double before = -1e300;
  for (const double upper : {-0.5, 0.5, 1.0, 50.0}) {
    model.constraints = {{&limit, upper}};
    const double v = value(*hypervolume_acquisition(model), x);
    EXPECT_GT(v, before);
    before = v;
  }
  EXPECT_NEAR(before, free, 1e-3);
}

TEST(HypervolumeAcquisition, SameBitsAtAnyNumberOfThreads) {
  const Fixture f;
  HypervolumeModel model = f.model();
  model.noisy = true;
  const at::Tensor x = uniforms(3, kDims, 50);
  set_threads(1);
  const double one = value(*hypervolume_acquisition(model), x);
  set_threads(0);
  EXPECT_EQ(value(*hypervolume_acquisition(model), x), one);
  EXPECT_EQ(value(*hypervolume_acquisition(model), x), one);
}

TEST(HypervolumeAcquisition, PointsTwiceAndTrainingPointsAreFine) {
  const Fixture f;
  HypervolumeModel model = f.model();
  const at::Tensor one = uniforms(1, kDims, 60), twice = at::cat({one, one});
  const at::Tensor known = uniforms(kRows, kDims, 1).narrow(0, 0, 2);
  for (const bool noisy : {false, true}) {
    model.noisy = noisy;
    const auto acquisition = hypervolume_acquisition(model);
    for (const at::Tensor& x : {twice, known}) {
      std::vector<double> g(static_cast<size_t>(x.numel()));
      EXPECT_TRUE(std::isfinite(acquisition->worker(2)->value(flat(x), g)));
      for (const double v : g) EXPECT_TRUE(std::isfinite(v));
    }
  }
}

TEST(HypervolumeAcquisition, BatchIsChosenOneAfterAnother) {
  const Fixture f;
  HypervolumeModel model = f.model();
  const CandidateOptions quick{.trials = 64, .near = 0, .starts = 2, .iterations = 30};
  const SearchSpace space = SearchSpace::cube(kDims);
  const Candidates one = find_hypervolume_batch(model, space, 1, quick, 5);
  const Candidates three = find_hypervolume_batch(model, space, 3, quick, 5);
  ASSERT_EQ(three.points.size(), static_cast<size_t>(3 * kDims));
  EXPECT_TRUE(std::equal(one.points.begin(), one.points.end(), three.points.begin()));
  EXPECT_GT(three.value, one.value);
  // The value is that of the whole batch, up to its random numbers' order.
  const auto acquisition = hypervolume_acquisition(model);
  EXPECT_NEAR(acquisition->worker(3)->value(three.points, {}), three.value, 0.2);
  EXPECT_EQ(find_hypervolume_batch(model, space, 3, quick, 5).points, three.points);
  EXPECT_THROW(find_hypervolume_batch(model, space, 0, quick, 5), Error);
}

// A loop of a few batches on branin_currin: well above what as many random points reach.
TEST(HypervolumeAcquisition, EnlargesTheFrontOfBraninCurrin) {
  const TestProblem problem = test_problem("branin_currin");
  const auto evaluate = [&](const std::vector<double>& x) {
    std::vector<double> y(2), none, all;
    for (size_t i = 0; i < x.size(); i += 2) {
      problem.evaluate(std::span(x).subspan(i, 2), y, none);
      all.insert(all.end(), {-y[0], -y[1]});
    }
    return all;
  };
  const std::vector<double> reference{-problem.reference[0], -problem.reference[1]};
  std::vector<double> x = flat(uniforms(10, 2, 70));
  std::vector<double> y = evaluate(x);
  for (int round = 0; round < 6; ++round) {
    const auto n = static_cast<int64_t>(x.size() / 2);
    const at::Tensor points = at::tensor(x, at::kDouble).reshape({n, 2}),
                     values = at::tensor(y, at::kDouble).reshape({n, 2});
    const GaussianProcess first = fit_gp(points, values.select(1, 0)),
                          second = fit_gp(points, values.select(1, 1));
    const Candidates best = find_hypervolume_batch(
        {.objectives = {&first, &second}, .reference = reference, .observed = y, .draws = 32},
        SearchSpace::cube(2), 2, {.trials = 64, .near = 0, .starts = 2, .iterations = 25},
        static_cast<uint64_t>(round));
    const std::vector<double> more = evaluate(best.points);
    x.insert(x.end(), best.points.begin(), best.points.end());
    y.insert(y.end(), more.begin(), more.end());
  }
  const double random = hypervolume(evaluate(flat(uniforms(22, 2, 70))), reference);
  const double reached = hypervolume(y, reference);
  EXPECT_GT(reached, random + 5);
  EXPECT_GT(reached, 50);
  EXPECT_LT(reached, problem.hypervolume);
}

TEST(HypervolumeAcquisition, RefusesWhatDoesNotFit) {
  const Fixture f;
  const auto refuses = [](HypervolumeModel m) {
    EXPECT_THROW(hypervolume_acquisition(std::move(m)), Error);
  };
  HypervolumeModel good = f.model(), bad = good;
  bad.objectives.clear();
  refuses(bad);
  bad = good, bad.reference.pop_back();
  refuses(bad);
  bad = good, bad.observed.pop_back();
  refuses(bad);
  bad = good, bad.observed[0] = std::nan("");
  refuses(bad);
  bad = good, bad.draws = 0;
  refuses(bad);
  bad = good, bad.pending = {1, 2};
  refuses(bad);
  bad = good, bad.constraints = {{nullptr, 0}};
  refuses(bad);
  bad = good, bad.noisy = true, bad.constraints = {{&f.c, 0}};
  refuses(bad);
  bad = good, bad.objectives[1] = nullptr;
  refuses(bad);
  const GaussianProcess fewer = fit_gp(uniforms(kRows, kDims, 2), values_of(0), {.fit = false});
  bad = good, bad.noisy = true, bad.objectives[1] = &fewer;
  refuses(bad);
  EXPECT_THROW(hypervolume_acquisition(good)->worker(0), Error);
}

}  // namespace
}  // namespace covary::stat
