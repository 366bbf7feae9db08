#include "covary/stat/process/row_process.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"

namespace covary::stat {
namespace {

at::Tensor normals(uint64_t seed, at::IntArrayRef shape) {
  at::Tensor t = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data_ptr<double>()[i] = Random(seed, 8).normal(static_cast<uint64_t>(i));
  return t;
}

double worst(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// A wave whose noise grows from left to right.
struct Rows {
  at::Tensor x, y;
};
Rows widening(int64_t n, uint64_t seed) {
  const at::Tensor t = at::linspace(-3, 3, n, at::kDouble);
  return {t.unsqueeze(1), (1.5 * t).sin() + (0.4 * t - 1.5).exp() * normals(seed, {n})};
}
Rows thirds(int64_t n) {
  const at::Tensor x = normals(5, {n, 2});
  const at::Tensor a = x.select(1, 0) + 0.3 * normals(6, {n}), b = x.select(1, 1);
  return {x, at::where(a > 0.4, at::full({n}, 2.0, at::kDouble),
                       at::where(b > 0, at::ones({n}, at::kDouble), at::zeros({n}, at::kDouble)))};
}

void expect_gradient(const RowProcess& gp, double tolerance) {
  std::vector<double> at = gp.packed(), gradient;
  for (size_t i = 0; i < at.size(); ++i) at[i] += 0.05 * std::sin(static_cast<double>(i) + 1);
  ASSERT_TRUE(std::isfinite(gp.evidence(at, &gradient)));
  ASSERT_EQ(gradient.size(), at.size());
  for (size_t i = 0; i < at.size(); ++i) {
    constexpr double kStep = 1e-4;
    const double middle = at[i];
    const auto value = [&](double shift) {
      at[i] = middle + shift;
      const double v = gp.evidence(at, nullptr);
      at[i] = middle;
      return v;
    };
    const double slope =
        (8 * (value(kStep) - value(-kStep)) - value(2 * kStep) + value(-2 * kStep)) / (12 * kStep);
    EXPECT_NEAR(gradient[i], slope, tolerance * std::max(1.0, std::abs(slope)))
        << "parameter " << i;
  }
}

RowProcessOptions plain(const char* likelihood, const char* kernel, const char* method = "auto") {
  RowProcessOptions o;
  o.likelihood = likelihood;
  o.kernel = kernel;
  o.method = method;
  o.fit = false;
  return o;
}

TEST(RowProcess, PriorsMoveTheParametersAndAreInTheGradient) {
  const Rows r = widening(40, 1), c = thirds(40);
  for (const bool softmax : {false, true}) {
    RowProcessOptions o = plain(softmax ? "softmax" : "heteroscedastic", "matern32");
    o.fit = true;
    o.starts = 1;
    o.search.iterations = 3;
    const Rows& rows = softmax ? c : r;
    const RowProcess none(rows.x, rows.y, o);
    o.priors = "gamma";
    const RowProcess gamma(rows.x, rows.y, o);
    EXPECT_NE(none.packed(), gamma.packed());
    for (const Kernel& kernel : none.kernels()) EXPECT_EQ(kernel.log_prior({}), 0);
    for (const Kernel& kernel : gamma.kernels()) EXPECT_NE(kernel.log_prior({}), 0);
    expect_gradient(gamma, 1e-5);
    const RowProcess again = RowProcess::of_model(gamma.model());
    for (size_t k = 0; k < gamma.kernels().size(); ++k)
      EXPECT_EQ(again.kernels()[k].log_prior({}), gamma.kernels()[k].log_prior({}));
    const RowReport plan = RowProcess::plan(rows.x.size(1), o, softmax ? 3 : 0);
    EXPECT_EQ(plan.method, gamma.report().method);
    EXPECT_EQ(plan.why, gamma.report().why);
  }
  EXPECT_GT(RowProcess::bytes("vi", 1000, 0), RowProcess::bytes("state-space", 1000, 0));
}

TEST(RowProcess, GradientsOfHeteroscedastic) {
  const Rows r = widening(40, 1);
  for (const char* method : {"vi", "state-space"}) {
    SCOPED_TRACE(method);
    expect_gradient(RowProcess(r.x, r.y, plain("heteroscedastic(matern32)", "matern52", method)),
                    1e-5);
  }
}

TEST(RowProcess, GradientsOfSoftmax) {
  const Rows r = thirds(30);
  expect_gradient(RowProcess(r.x, r.y, plain("softmax", "rbf(ard)")), 1e-6);
}

// In time and dense: one bound, one posterior, in any order of the rows.
TEST(RowProcess, StateSpaceIsTheDenseBound) {
  const Rows r = widening(60, 2);
  at::Tensor y = r.y.flip(0).contiguous();
  const at::Tensor x = r.x.flip(0).contiguous();
  y[7] = std::nan("");
  const at::Tensor xs = at::linspace(-4, 4, 23, at::kDouble).unsqueeze(1);
  const RowProcess dense(x, y, plain("heteroscedastic(matern32)", "matern52", "vi")),
      filter(x, y, plain("heteroscedastic(matern32)", "matern52", "state-space"));
  EXPECT_TRUE(dense.report().converged);
  EXPECT_TRUE(filter.report().converged);
  EXPECT_NEAR(dense.report().log_likelihood, filter.report().log_likelihood, 1e-7);
  const RowPrediction a = dense.predict(xs), b = filter.predict(xs);
  EXPECT_LT(worst(a.mean, b.mean), 1e-6);
  EXPECT_LT(worst(a.covariance, b.covariance), 1e-6);
  const RowPrediction c = dense.leave_one_out(), d = filter.leave_one_out();
  EXPECT_TRUE(std::isnan(c.mean[7][0].item<double>()));
  EXPECT_LT((c.mean - d.mean).abs().nan_to_num(0).max().item<double>(), 1e-6);
}

// At the optimum every site is what the expected log density says, by its closed form.
TEST(RowProcess, TheBoundIsStationary) {
  const Rows r = widening(50, 3);
  const RowProcess gp(r.x, r.y, plain("heteroscedastic", "matern52", "vi"));
  std::vector<SiteState> states;
  const RowVariational q = row_variational("vi", gp.kernels(), gp.means(), gp.likelihood(),
                                           {r.x.const_data_ptr<double>(), 50},
                                           {r.y.const_data_ptr<double>(), 50}, &states, nullptr);
  EXPECT_TRUE(q.converged);
  EXPECT_LT(q.iterations, 200);
  const auto bound = [&](size_t latent, size_t row, double w, double b) {
    std::vector<SiteState> other = states;
    other[latent].precision[row] += w;
    other[latent].shift[row] += b;
    double sum = 0;
    for (size_t k = 0; k < 2; ++k) {
      q.processes[k]->set(other[k]);
      sum -= q.processes[k]->divergence();
    }
    std::vector<double> m(2), v(2), dm(2), dv(2);
    for (size_t i = 0; i < 50; ++i) {
      for (size_t k = 0; k < 2; ++k) {
        m[k] = gp.means()[k] + q.processes[k]->mean()[i];
        v[k] = q.processes[k]->variance()[i];
      }
      sum += gp.likelihood().expected(r.y[static_cast<int64_t>(i)].item<double>(), m, v, dm, dv);
    }
    return sum;
  };
  EXPECT_NEAR(bound(0, 0, 0, 0), q.value, 1e-9);
  for (const size_t row : {size_t{3}, size_t{30}}) {
    for (const size_t latent : {size_t{0}, size_t{1}}) {
      for (const double step : {0.02, -0.02}) {
        EXPECT_LT(bound(latent, row, 0, step), q.value);
        EXPECT_LT(bound(latent, row, step, 0), q.value);
      }
    }
  }
}

TEST(RowProcess, ExpectationsAreThoseOfQuadrature) {
  const RowLikelihood l = RowLikelihood::parse("heteroscedastic", 0);
  const std::vector<double> m{0.3, -0.7}, v{0.4, 0.6};
  std::vector<double> dm(2), dv(2), f(2);
  const double closed = l.expected(1.2, m, v, dm, dv);
  double sum = 0, mass = 0;
  constexpr double kStep = 0.05;
  for (double a = -8; a <= 8; a += kStep) {
    for (double b = -8; b <= 8; b += kStep) {
      const double weight = std::exp(-0.5 * (a * a + b * b));
      f = {m[0] + std::sqrt(v[0]) * a, m[1] + std::sqrt(v[1]) * b};
      sum += weight * l.log_density(1.2, f);
      mass += weight;
    }
  }
  EXPECT_NEAR(closed, sum / mass, 1e-10);
  // The predictive density has mass one, and its quantile is where its mass says.
  double total = 0, below = 0;
  const double q = RowLikelihood::predictive_quantile(0.2, m, v);
  for (double y = -30; y <= 30; y += 1e-3) {
    const double p = std::exp(RowLikelihood::predictive_log_density(y, m, v)) * 1e-3;
    total += p;
    if (y < q) below += p;
  }
  EXPECT_NEAR(total, 1, 1e-5);
  EXPECT_NEAR(below, 0.2, 1e-3);
}

// Laplace's approximation written out with matrices of all classes at once.
TEST(RowProcess, SoftmaxIsTheExplicitLaplace) {
  const Rows r = thirds(24);
  const int64_t n = 24, classes = 3, all = n * classes;
  const RowProcess gp(r.x, r.y, plain("softmax", "rbf(ard)"));
  EXPECT_TRUE(gp.report().converged);
  const Kernel& kernel = gp.kernels()[0];
  at::Tensor k = at::empty({n, n}, at::kDouble);
  kernel.matrix(r.x.contiguous().const_data_ptr<double>(), n, k.data_ptr<double>(), n);
  const at::Tensor big = at::kron(at::eye(classes, at::kDouble), k);
  at::Tensor mean = at::empty({all}, at::kDouble), hit = at::zeros({all}, at::kDouble);
  for (int64_t c = 0; c < classes; ++c) {
    mean.slice(0, c * n, (c + 1) * n).fill_(gp.means()[static_cast<size_t>(c)]);
    hit.slice(0, c * n, (c + 1) * n).copy_(r.y == static_cast<double>(c));
  }
  at::Tensor g = at::zeros({all}, at::kDouble), p, w;
  for (int turn = 0; turn < 60; ++turn) {
    p = at::softmax((g + mean).reshape({classes, n}), 0).reshape({all});
    const at::Tensor stacked = at::cat(
        {p.slice(0, 0, n).diag(), p.slice(0, n, 2 * n).diag(), p.slice(0, 2 * n, all).diag()});
    w = p.diag() - stacked.mm(stacked.t());
    g = at::linalg_solve(at::eye(all, at::kDouble) + big.mm(w),
                         big.mv(w.mv(g) + hit - p).unsqueeze(1))
            .squeeze(1);
  }
  const at::Tensor f = g + mean, alpha = hit - p;
  const at::Tensor log_p = at::log_softmax(f.reshape({classes, n}), 0).reshape({all});
  const double value = (log_p * hit).sum().item<double>() - 0.5 * alpha.dot(g).item<double>() -
                       0.5 * at::logdet(at::eye(all, at::kDouble) + big.mm(w)).item<double>();
  EXPECT_NEAR(gp.report().log_likelihood, value, 1e-8);
  // Predictions at new points, covariances between classes too.
  const at::Tensor xs = normals(9, {5, 2});
  at::Tensor cross = at::empty({5, n}, at::kDouble);
  kernel.cross(xs.const_data_ptr<double>(), 5, r.x.contiguous().const_data_ptr<double>(), n,
               cross.data_ptr<double>(), n);
  const at::Tensor wide = at::kron(at::eye(classes, at::kDouble), cross);
  const at::Tensor reach = w.mm(at::linalg_inv(at::eye(all, at::kDouble) + big.mm(w)));
  at::Tensor prior = at::empty({5}, at::kDouble);
  kernel.diagonal(xs.const_data_ptr<double>(), 5, false, prior.data_ptr<double>());
  const at::Tensor explained = wide.mm(reach).mm(wide.t());
  const RowPrediction ours = gp.predict(xs);
  for (int64_t s = 0; s < 5; ++s) {
    for (int64_t a = 0; a < classes; ++a) {
      EXPECT_NEAR(ours.mean[s][a].item<double>(),
                  gp.means()[static_cast<size_t>(a)] + wide[a * 5 + s].dot(alpha).item<double>(),
                  1e-8);
      for (int64_t b = 0; b < classes; ++b)
        EXPECT_NEAR(
            ours.covariance[s][a][b].item<double>(),
            (a == b ? prior[s].item<double>() : 0) - explained[a * 5 + s][b * 5 + s].item<double>(),
            1e-8);
    }
  }
  // Without the row's own factor: its precision, W, off the posterior's.
  const at::Tensor posterior = big - big.mm(reach).mm(big);
  const RowPrediction held = gp.leave_one_out();
  for (const int64_t i : {int64_t{2}, int64_t{17}}) {
    at::Tensor block = at::empty({3, 3}, at::kDouble), own = at::empty({3, 3}, at::kDouble);
    for (int64_t a = 0; a < 3; ++a) {
      for (int64_t b = 0; b < 3; ++b) {
        block[a][b] = posterior[a * n + i][b * n + i];
        own[a][b] = w[a * n + i][b * n + i];
      }
    }
    EXPECT_LT(worst(held.covariance[i], at::linalg_inv(at::linalg_inv(block) - own)), 1e-7);
  }
}

TEST(RowProcess, TwoClassesAreTheLogisticProcess) {
  const std::vector<double> m{0.2, 1.1}, c{0.7, 0.1, 0.1, 0.4};
  std::vector<double> p(2), sd(2), wide_p(3), wide_sd(3);
  RowLikelihood::predictive_probabilities(m, c, p, sd);
  EXPECT_NEAR(p[0] + p[1], 1, 1e-12);
  // A third class that never is leaves the two as they were, by the other quadrature.
  const std::vector<double> m3{0.2, 1.1, -200}, c3{0.7, 0.1, 0, 0.1, 0.4, 0, 0, 0, 0.1};
  RowLikelihood::predictive_probabilities(m3, c3, wide_p, wide_sd);
  EXPECT_NEAR(wide_p[0], p[0], 1e-4);
  EXPECT_NEAR(wide_sd[0], sd[0], 1e-3);
}

TEST(RowProcess, FitsFindTheNoise) {
  const Rows r = widening(150, 4);
  RowProcessOptions o = plain("heteroscedastic", "matern52");
  o.fit = true;
  o.starts = 1;
  const RowProcess gp(r.x, r.y, o);
  EXPECT_EQ(gp.report().method, "state-space");
  EXPECT_TRUE(gp.report().fitted);
  const RowPrediction f = gp.predict(r.x);
  const at::Tensor t = r.x.select(1, 0);
  EXPECT_LT((f.mean.select(1, 1) - 2 * (0.4 * t - 1.5)).abs().mean().item<double>(), 0.5);
  EXPECT_LT((f.mean.select(1, 0) - (1.5 * t).sin()).abs().mean().item<double>(), 0.12);
  EXPECT_EQ(gp.sample(r.x.slice(0, 0, 9), 4, 1).sizes(), (std::vector<int64_t>{4, 9}));
}

TEST(RowProcess, FitsFindTheClassesAndFilesBringThemBack) {
  const Rows r = thirds(80);
  RowProcessOptions o = plain("softmax", "rbf");
  o.fit = true;
  o.starts = 1;
  RowProcess gp(r.x, r.y, o);
  EXPECT_TRUE(gp.report().fitted);
  const auto [p, sd] = gp.probabilities(gp.predict(r.x));
  EXPECT_LT(worst(p.sum(1), at::ones({80}, at::kDouble)), 1e-9);
  EXPECT_GT((p.argmax(1) == r.y).to(at::kDouble).mean().item<double>(), 0.85);
  const RowProcess back = RowProcess::of_model(gp.model());
  EXPECT_LT(worst(back.predict(r.x).mean, gp.predict(r.x).mean), 1e-7);
  gp.update(r.x.slice(0, 0, 3), r.y.slice(0, 0, 3), false);
  EXPECT_EQ(gp.x().size(0), 83);
}

TEST(RowProcess, ScalesOfTheDataDoNotMatter) {
  const Rows r = widening(40, 6);
  const RowProcess one(r.x, r.y, plain("heteroscedastic", "matern52", "vi"));
  for (const double scale : {1e-9, 1e9}) {
    const RowProcess other(r.x * 1e6, r.y * scale, plain("heteroscedastic", "matern52", "vi"));
    EXPECT_NEAR(other.report().log_likelihood + 40 * std::log(scale), one.report().log_likelihood,
                1e-5);
  }
}

TEST(RowProcess, ThreadsDoNotMatter) {
  const Rows r = thirds(70);
  at::Tensor seen[2];
  for (const int t : {1, 3}) {
    set_threads(t);
    seen[t == 3] = RowProcess(r.x, r.y, plain("softmax", "rbf(ard)")).predict(r.x).mean;
  }
  set_threads(0);
  EXPECT_TRUE(at::equal(seen[0], seen[1]));
}

TEST(RowProcess, RefusesWhatItDoesNotKnow) {
  const Rows r = thirds(20);
  const auto says = [&](const RowProcessOptions& o, const at::Tensor& y) -> std::string {
    try {
      const RowProcess gp(r.x, y, o);
    } catch (const Error& e) {
      return e.where() + " " + e.what();
    }
    return "nothing";
  };
  EXPECT_THAT(says(plain("softmax", "rbf", "vi"), r.y), testing::HasSubstr("does not know"));
  EXPECT_THAT(says(plain("softmax", "rbf + white"), r.y), testing::HasSubstr("white"));
  EXPECT_THAT(says(plain("softmax", "rbf"), r.y + 0.5), testing::HasSubstr("no class"));
  EXPECT_THAT(says(plain("softmax", "rbf"), at::zeros({20}, at::kDouble)),
              testing::HasSubstr("two classes"));
  EXPECT_THAT(says(plain("heteroscedastic", "rbf", "state-space"), r.y),
              testing::HasSubstr("columns"));
  EXPECT_THAT(says(plain("poisson", "rbf"), r.y), testing::HasSubstr("not known"));
}

}  // namespace
}  // namespace covary::stat
