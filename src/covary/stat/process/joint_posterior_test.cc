#include "covary/stat/process/joint_posterior.h"

#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/process_test_data.h"

namespace covary::stat {
namespace {

GaussianProcess process(const std::string& kernel, const std::string& mean, int64_t n = 30,
                        int64_t d = 3) {
  const at::Tensor x = uniforms(n, d, 1);
  return fit_gp(x, (x.sum(1) * 3).sin() + x.select(1, 0),
                {.kernel = kernel, .mean = mean, .fit = false});
}

const char* const kKernels[] = {
    "const(1.3)*matern52(ard,lengthscale=[0.3,0.7,0.5]) + white(1e-3)",
    "const(0.7)*rbf(0.5)*matern32(0.9,dims=1) + linear(0.2) + white(1e-2)",
    "rq(0.6,alpha=2) + periodic(1.3) + white(0.01)",
};

TEST(JointPosterior, AgreesWithPredict) {
  for (const char* kernel : kKernels) {
    for (const char* mean : {"zero", "const", "linear"}) {
      for (const int64_t q : {1, 4, 37}) {
        const GaussianProcess gp = process(kernel, mean, q == 37 ? 150 : 30);
        const at::Tensor x = uniforms(q, 3, 2);
        const Prediction p = gp.predict(x, {.covariance = true});
        const JointPosterior posterior(gp);
        JointPosterior::At at(posterior, q);
        at.move(uniforms(q, 3, 3).data_ptr<double>());
        at.move(x.data_ptr<double>());
        std::vector<double> m(static_cast<size_t>(q)), v(m);
        posterior.moments(x.data_ptr<double>(), q, m.data(), v.data());
        for (int64_t i = 0; i < q; ++i) {
          const auto a = static_cast<size_t>(i);
          EXPECT_NEAR(at.mean()[a], p.mean[i].item<double>(), 1e-9);
          EXPECT_NEAR(m[a], at.mean()[a], 1e-10);
          EXPECT_NEAR(v[a], at.covariance()[a * static_cast<size_t>(q + 1)], 1e-10);
          for (int64_t j = 0; j < q; ++j) {
            EXPECT_NEAR(at.covariance()[static_cast<size_t>(i * q + j)],
                        p.covariance[i][j].item<double>(), 1e-9);
          }
        }
      }
    }
  }
}

TEST(JointPosterior, GradientsAreDerivatives) {
  const int64_t q = 4, d = 3;
  for (const char* kernel : kKernels) {
    for (const char* mean : {"zero", "const", "linear"}) {
      const GaussianProcess gp = process(kernel, mean, 140);
      const JointPosterior posterior(gp);
      JointPosterior::At at(posterior, q);
      const at::Tensor x = uniforms(q, d, 2), w = uniforms(q, 1, 5);
      at::Tensor c = uniforms(q, q, 6) - 0.5;
      c = (c + c.t()).contiguous();
      const auto value = [&](const at::Tensor& points) {
        at.move(points.const_data_ptr<double>());
        double s = 0;
        for (int64_t i = 0; i < q; ++i) {
          s += w.data_ptr<double>()[i] * at.mean()[static_cast<size_t>(i)];
          for (int64_t j = 0; j < q; ++j) {
            s += c.data_ptr<double>()[i * q + j] * at.covariance()[static_cast<size_t>(i * q + j)];
          }
        }
        return s;
      };
      value(x);
      std::vector<double> gradient(static_cast<size_t>(q * d), 0.0);
      at.add_gradient(w.data_ptr<double>(), c.data_ptr<double>(), gradient.data());
      for (int64_t i = 0; i < q * d; ++i) {
        const double h = 1e-5;
        at::Tensor up = x.clone(), down = x.clone();
        up.data_ptr<double>()[i] += h;
        down.data_ptr<double>()[i] -= h;
        const double slope = (value(up) - value(down)) / (2 * h);
        EXPECT_NEAR(gradient[static_cast<size_t>(i)], slope, 1e-6 * (1 + std::abs(slope)))
            << kernel << mean;
      }
    }
  }
}

TEST(JointPosterior, OutputsBesideOneAnother) {
  const at::Tensor x = uniforms(25, 2, 1);
  const at::Tensor y = at::stack({x.sum(1).sin(), x.sum(1).cos(), x.select(1, 0)}, 1);
  const GaussianProcess gp =
      fit_gp(x, y, {.kernel = "rbf(0.5) + white(0.01)", .mean = "linear", .fit = false});
  const JointPosterior all(gp, {2, 0}), last(gp, {2}), first(gp, {0});
  const at::Tensor points = uniforms(3, 2, 2), weights = uniforms(3, 2, 3);
  const std::vector<double> none(9, 0.0);
  JointPosterior::At a(all, 3), b(last, 3), c(first, 3);
  for (auto* at : {&a, &b, &c}) at->move(points.const_data_ptr<double>());
  std::vector<double> g(6, 0.0), h(6, 0.0), by_last, by_first;
  for (int64_t i = 0; i < 3; ++i) {
    const auto k = static_cast<size_t>(i);
    EXPECT_NEAR(a.mean()[2 * k], b.mean()[k], 1e-12);
    EXPECT_NEAR(a.mean()[2 * k + 1], c.mean()[k], 1e-12);
    by_last.push_back(weights[i][0].item<double>());
    by_first.push_back(weights[i][1].item<double>());
  }
  a.add_gradient(weights.const_data_ptr<double>(), none.data(), g.data());
  b.add_gradient(by_last.data(), none.data(), h.data());
  c.add_gradient(by_first.data(), none.data(), h.data());
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(g[i], h[i], 1e-11);
}

TEST(JointPosterior, KnowsOutputsApart) {
  const at::Tensor x = uniforms(20, 2, 1);
  at::Tensor y = at::stack({x.sum(1).sin(), x.sum(1).cos()}, 1);
  y[3][1] = NAN;
  const GaussianProcess gp = fit_gp(x, y, {.kernel = "rbf(0.5) + white(0.01)", .fit = false});
  const at::Tensor at_points = uniforms(3, 2, 2);
  const Prediction p = gp.predict(at_points);
  for (int64_t o = 0; o < 2; ++o) {
    std::vector<double> m(3), v(3);
    JointPosterior(gp, {o}).moments(at_points.const_data_ptr<double>(), 3, m.data(), v.data());
    for (int64_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(m[static_cast<size_t>(i)], p.mean[i][o].item<double>(), 1e-10);
      EXPECT_NEAR(v[static_cast<size_t>(i)], p.variance[i][o].item<double>(), 1e-10);
    }
  }
  EXPECT_THROW(JointPosterior(gp, {2}), Error);
  EXPECT_THROW(JointPosterior(gp, {0, 1}), Error);
}

}  // namespace
}  // namespace covary::stat
