#include "covary/stat/process/multi_output.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/process_test_data.h"

namespace covary::stat {
namespace {

MultiOutputParameters some(size_t latent, int64_t m, int64_t rank) {
  MultiOutputParameters p;
  const char* texts[] = {"matern52(ard,lengthscale=[1,1.5])", "rbf(0.7)"};
  for (size_t q = 0; q < latent; ++q) {
    p.kernels.push_back(Kernel::parse(texts[q], 2));
    p.loadings.push_back(normals(20 + q, {m, rank}));
    p.own.push_back(0.2 + normals(30 + q, {m}).square());
  }
  p.noise = 0.05 + 0.1 * normals(40, {m}).square();
  return p;
}

struct Data {
  at::Tensor x, y;
};
Data data(int64_t n, int64_t m, bool holes) {
  Data d{normals(1, {n, 2}), normals(2, {n, m}) + 3};
  if (holes) {
    for (int64_t i = 0; i < n; ++i) {
      if (i % 3 == 0) d.y[i][i % m] = NAN;
    }
  }
  return d;
}

at::Tensor matrix_of(const Kernel& k, const at::Tensor& x) {
  at::Tensor out = at::empty({x.size(0), x.size(0)}, at::kDouble);
  k.matrix(x.const_data_ptr<double>(), x.size(0), out.data_ptr<double>(), x.size(0));
  return out;
}

// All values as one Gaussian vector, by its definition.
TEST(MultiOutput, IsTheGaussianOfTheStackedValues) {
  const int64_t n = 30, m = 3;
  for (const bool holes : {false, true}) {
    for (const size_t latent : {1, 2}) {
      const Data d = data(n, m, holes);
      const MultiOutputParameters p = some(latent, m, 2);
      at::Tensor k = at::kron(at::diag(p.noise), at::eye(n, at::kDouble));
      for (size_t q = 0; q < latent; ++q) {
        k = k + at::kron(p.between(q), matrix_of(p.kernels[q], d.x));
      }
      const at::Tensor all = d.y.t().reshape({m * n});
      const at::Tensor known = at::logical_not(all.isnan()).nonzero().squeeze(1);
      k = k.index_select(0, known).index_select(1, known);
      const at::Tensor v = all.index_select(0, known);
      const double expected =
          (-0.5 * v.dot(at::linalg_solve(k, v)) - 0.5 * std::get<1>(at::linalg_slogdet(k)))
              .item<double>() -
          0.5 * static_cast<double>(v.size(0)) * std::log(2 * M_PI);
      EXPECT_NEAR(multi_output_log_likelihood(p, d.x, d.y, nullptr, nullptr), expected, 1e-8);
      // Predictions at mean zero.
      const at::Tensor xs = normals(9, {5, 2});
      const MultiOutputPrediction got = MultiOutputProcess(d.x, d.y, p, "zero").predict(xs);
      for (int64_t o = 0; o < m; ++o) {
        at::Tensor c = at::zeros({5, m * n}, at::kDouble), prior = at::zeros({5}, at::kDouble);
        for (size_t q = 0; q < latent; ++q) {
          at::Tensor cross = at::empty({5, n}, at::kDouble);
          p.kernels[q].cross(xs.const_data_ptr<double>(), 5, d.x.const_data_ptr<double>(), n,
                             cross.data_ptr<double>(), n);
          c += at::kron(p.between(q).select(0, o).unsqueeze(0), cross);
          prior += p.between(q)[o][o];
        }
        c = c.index_select(1, known);
        EXPECT_LT(
            (got.mean.select(1, o) - c.matmul(at::linalg_solve(k, v))).abs().max().item<double>(),
            1e-8);
        const at::Tensor variance = prior - (c * at::linalg_solve(k, c.t()).t()).sum(1);
        EXPECT_LT((got.variance.select(1, o) - variance).abs().max().item<double>(), 1e-8);
      }
    }
  }
}

TEST(MultiOutput, WithoutLoadingsOutputsAreIndependent) {
  const int64_t m = 3;
  for (const bool holes : {false, true}) {
    const Data d = data(40, m, holes);
    MultiOutputParameters p = some(1, m, 2);
    p.loadings[0].zero_();
    const at::Tensor xs = normals(9, {6, 2});
    const MultiOutputProcess gp(d.x, d.y, p);
    const MultiOutputPrediction got = gp.predict(xs, true);
    double sum = 0;
    for (int64_t o = 0; o < m; ++o) {
      GpOptions g;
      g.kernel = "const(" + std::to_string(p.own[0][o].item<double>()) +
                 ")*matern52(ard,lengthscale=[1,1.5]) + white(1)";
      g.fit = false;
      Kernel kernel = Kernel::parse(g.kernel, 2);
      kernel.parameters().front().value = p.own[0][o].item<double>();
      kernel.parameters().back().value = p.noise[o].item<double>();
      const GaussianProcess one(d.x, d.y.select(1, o).contiguous(), kernel, g);
      sum += one.report().log_likelihood;
      const Prediction q = one.predict(xs, {.noise = true});
      EXPECT_LT((got.mean.select(1, o) - q.mean).abs().max().item<double>(), 1e-8);
      EXPECT_LT((got.variance.select(1, o) - q.variance).abs().max().item<double>(), 1e-8);
    }
    EXPECT_NEAR(gp.report().log_likelihood, sum, 1e-8);
  }
}

TEST(MultiOutput, BothFormsAgreeAndGradientsAreThoseOfDifferences) {
  const int64_t m = 3;
  for (const bool holes : {false, true}) {
    for (const size_t latent : {1, 2}) {
      const Data d = data(25, m, holes);
      MultiOutputParameters p = some(latent, m, 2);
      for (const auto form : {MultiOutputForm::kDense, MultiOutputForm::kKronecker}) {
        if (form == MultiOutputForm::kKronecker && (holes || latent > 1)) {
          EXPECT_THROW(multi_output_log_likelihood(p, d.x, d.y, nullptr, nullptr, form), Error);
          continue;
        }
        at::Tensor means;
        MultiOutputGradient g;
        const double value = multi_output_log_likelihood(p, d.x, d.y, &means, &g, form);
        EXPECT_NEAR(
            value,
            multi_output_log_likelihood(p, d.x, d.y, &means, nullptr, MultiOutputForm::kDense),
            1e-9);
        const auto difference = [&](double* at, bool logarithm) {
          const double before = *at, h = 1e-5;
          *at = logarithm ? before * std::exp(h) : before + h;
          const double up = multi_output_log_likelihood(p, d.x, d.y, &means, nullptr, form);
          *at = logarithm ? before * std::exp(-h) : before - h;
          const double down = multi_output_log_likelihood(p, d.x, d.y, &means, nullptr, form);
          *at = before;
          return (up - down) / (2 * h);
        };
        const auto expect = [&](double got, double* at, bool logarithm) {
          const double expected = difference(at, logarithm);
          EXPECT_NEAR(got, expected, 1e-6 * (10 + std::abs(expected)));
        };
        for (size_t q = 0; q < latent; ++q) {
          for (size_t k = 0; k < g.kernels[q].size(); ++k) {
            expect(g.kernels[q][k], &p.kernels[q].parameters()[k].value, true);
          }
          for (int64_t i = 0; i < m * 2; ++i) {
            expect(g.loadings[q].reshape({-1})[i].item<double>(),
                   p.loadings[q].data_ptr<double>() + i, false);
          }
          for (int64_t i = 0; i < m; ++i) {
            expect(g.own[q][i].item<double>(), p.own[q].data_ptr<double>() + i, true);
          }
        }
        for (int64_t i = 0; i < m; ++i) {
          expect(g.noise[i].item<double>(), p.noise.data_ptr<double>() + i, true);
        }
      }
    }
  }
}

// An output that is known in few rows is told by the one that it follows.
TEST(MultiOutput, AnOutputLearnsFromAnother) {
  const at::Tensor x = at::linspace(0, 6, 60, at::kDouble).unsqueeze(1);
  const at::Tensor f = (2 * x.squeeze(1)).sin();
  at::Tensor y = at::stack({f + 0.05 * normals(5, {60}), -2 * f + 1 + 0.05 * normals(6, {60})}, 1);
  const at::Tensor truth = -2 * f + 1;
  for (int64_t i = 0; i < 60; ++i) {
    if (i >= 20 && i != 40) y[i][1] = NAN;
  }
  const MultiOutputProcess gp(x, y, {.kernels = {"rbf"}, .rank = 1});
  EXPECT_TRUE(gp.report().fitted);
  EXPECT_FALSE(gp.report().kronecker);
  EXPECT_LT((gp.predict(x).mean.select(1, 1) - truth).abs().max().item<double>(), 0.3);
  const GaussianProcess alone = fit_gp(x, y.select(1, 1).contiguous(), {.kernel = "rbf"});
  EXPECT_GT((alone.predict(x).mean - truth).abs().max().item<double>(), 1);
}

TEST(MultiOutput, GivesTheSameBitsAtAnyNumberOfThreads) {
  const Data d = data(300, 2, true);
  std::vector<at::Tensor> results;
  for (const int count : {1, 3}) {
    set_threads(count);
    MultiOutputOptions o;
    o.search.iterations = 2;
    results.push_back(MultiOutputProcess(d.x, d.y, o).predict(d.x).mean);
  }
  set_threads(0);
  EXPECT_TRUE(at::equal(results[0], results[1]));
}

TEST(MultiOutput, HostileDataGiveAnAnswerOrAnError) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    const Random random(seed, 7);
    const int64_t n = 1 + static_cast<int64_t>(random.below(12, 0));
    const double scale = std::pow(10, -12 + 24 * random.uniform(1));
    const at::Tensor x = normals(seed, {n, 2}) * scale;
    at::Tensor y = normals(seed + 100, {n, 3}) / scale;
    if (seed % 3 == 0) y.select(1, 1).fill_(2);
    if (seed % 4 == 1 && n > 2) x[1] = x[0];
    if (seed % 5 == 2 && n > 2) y[1][0] = NAN;
    MultiOutputOptions o;
    o.search.iterations = 4;
    o.search.line_evaluations = 8;
    try {
      const MultiOutputPrediction p = MultiOutputProcess(x, y, o).predict(x);
      EXPECT_TRUE(p.mean.isfinite().all().item<bool>()) << seed;
      EXPECT_TRUE(p.variance.isfinite().all().item<bool>()) << seed;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()), "");
    }
  }
  EXPECT_THROW(MultiOutputProcess(normals(1, {5, 1}), normals(2, {5}), MultiOutputOptions{}),
               Error);
  EXPECT_THROW(
      MultiOutputProcess(normals(1, {5, 1}), normals(2, {5, 2}), {.kernels = {"const*rbf"}}),
      Error);
}

}  // namespace
}  // namespace covary::stat
