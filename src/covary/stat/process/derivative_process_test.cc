#include "covary/stat/process/derivative_process.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/kernel_checks.h"
#include "covary/stat/process/kernel_jets.h"

namespace covary::stat {
namespace {

at::Tensor tensor_normals(int64_t n, int64_t d, uint64_t seed) {
  const Vector v = normals(n * d, seed);
  return at::tensor(v, at::kDouble).reshape({n, d}).contiguous();
}

// Slopes by central differences of values, and mixed second derivatives by those of both.
TEST(KernelJets, AgreeWithDifferences) {
  for (const char* text :
       {"rbf(ard,lengthscale=[0.7,1.3])", "const(2)*matern32(0.9) + white", "matern52(1.2,dims=1)",
        "matern(0.8,nu=2.2)*rq(ard)", "periodic(ard,period=[2,3],lengthscale=[0.8,1])*rbf",
        "cosine(ard,period=[2,5]) + linear(ard,variance=[0.3,2])",
        "polynomial(0.4,offset=0.7,degree=3)", "(rbf + 0.5*cosine(3))^3",
        "wendland(4,smoothness=2)*linear"}) {
    SCOPED_TRACE(text);
    const Kernel kernel = Kernel::parse(text, 2);
    const KernelJets jets(kernel);
    const int64_t n = 4, m = 5;
    const Vector x = normals(n * 2, 1), y = normals(m * 2, 2);
    const auto value = [&](int64_t i, int64_t a, double ha, int64_t j, int64_t b, double hb) {
      double p[2] = {x[i * 2], x[i * 2 + 1]}, q[2] = {y[j * 2], y[j * 2 + 1]}, k;
      if (a >= 0) p[a] += ha;
      if (b >= 0) q[b] += hb;
      kernel.cross(p, 1, q, 1, &k, 1);
      return k;
    };
    for (int64_t a = -1; a < 2; ++a) {
      for (int64_t b = -1; b < 2; ++b) {
        const std::vector<int64_t> ax(n, a), by(m, b);
        Vector out(n * m);
        jets.cross(x.data(), n, ax.data(), y.data(), m, by.data(), out.data(), m);
        const double h = 1e-4;
        for (int64_t i = 0; i < n; ++i) {
          for (int64_t j = 0; j < m; ++j) {
            double expected = value(i, a, 0, j, b, 0);
            if (a >= 0 && b < 0) {
              expected = (value(i, a, h, j, b, 0) - value(i, a, -h, j, b, 0)) / (2 * h);
            } else if (a < 0 && b >= 0) {
              expected = (value(i, a, 0, j, b, h) - value(i, a, 0, j, b, -h)) / (2 * h);
            } else if (a >= 0) {
              expected = (value(i, a, h, j, b, h) - value(i, a, h, j, b, -h) -
                          value(i, a, -h, j, b, h) + value(i, a, -h, j, b, -h)) /
                         (4 * h * h);
            }
            ASSERT_NEAR(out[i * m + j], expected, 2e-6 * (1 + std::abs(expected)))
                << a << b << " " << i << j;
          }
        }
      }
    }
    // At equal points the covariance of slopes is a limit: symmetric, positive on the diagonal.
    const std::vector<int64_t> slopes(n, 1);
    Vector k(n * n), diagonal(n);
    jets.matrix(x.data(), n, slopes.data(), k.data(), n);
    jets.diagonal(x.data(), n, slopes.data(), true, diagonal.data());
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_EQ(k[i * n + i], diagonal[i]);
      EXPECT_GT(diagonal[i], 0);
    }
  }
  EXPECT_THROW(KernelJets(Kernel::parse("matern12", 1)), Error);
  EXPECT_THROW(KernelJets(Kernel::parse("rbf + brownian", 1)), Error);
  EXPECT_THROW(KernelJets(Kernel::parse("matern(nu=0.9)", 1)), Error);
}

// The textbook's formula with covariances of an exponential of the square, written down here.
TEST(DerivativeProcess, EqualsDenseConditioning) {
  const int64_t n = 14, s = 6;
  const at::Tensor x = tensor_normals(n, 2, 3), xs = tensor_normals(s, 2, 4);
  at::Tensor along = at::full({n}, -1, at::kLong), to = at::full({s}, -1, at::kLong);
  for (int64_t i = 0; i < n; i += 3) along[i] = i % 2;
  to[1] = 0;
  to[2] = to[3] = 1;
  const at::Tensor y = x.select(1, 0).sin() * 1.5, noise = at::full({n}, 0.01, at::kDouble);
  const double l = 0.9, v = 1.7;
  const auto covariance = [&](const at::Tensor& p, int64_t a, const at::Tensor& q, int64_t b) {
    const at::Tensor r = (p - q) / (l * l);
    const double k = v * std::exp(-0.5 * ((p - q) / l).square().sum().item<double>());
    if (a < 0 && b < 0) return k;
    if (b < 0) return -r[a].item<double>() * k;
    if (a < 0) return r[b].item<double>() * k;
    return k * ((a == b ? 1 / (l * l) : 0) - r[a].item<double>() * r[b].item<double>());
  };
  const auto block = [&](const at::Tensor& p, const at::Tensor& a, const at::Tensor& q,
                         const at::Tensor& b) {
    at::Tensor k = at::empty({p.size(0), q.size(0)}, at::kDouble);
    for (int64_t i = 0; i < p.size(0); ++i) {
      for (int64_t j = 0; j < q.size(0); ++j) {
        k[i][j] = covariance(p[i], a[i].item<int64_t>(), q[j], b[j].item<int64_t>());
      }
    }
    return k;
  };
  GpOptions o;
  o.kernel = "const(1.7)*rbf(0.9)";
  o.mean = "zero";
  o.fit = false;
  const DerivativeProcess gp(x, along, y, o, noise);
  const at::Tensor k = block(x, along, x, along) + at::diag(noise);
  const at::Tensor c = block(xs, to, x, along), inverse = at::linalg_inv(k);
  const at::Tensor mean = c.matmul(inverse).matmul(y);
  const at::Tensor spread = block(xs, to, xs, to) - c.matmul(inverse).matmul(c.t());
  const Prediction p = gp.predict(xs, to, {.covariance = true});
  EXPECT_LT((p.mean - mean).abs().max().item<double>(), 1e-9);
  EXPECT_LT((p.covariance - spread).abs().max().item<double>(), 1e-9);
  EXPECT_LT((p.variance - spread.diagonal()).abs().max().item<double>(), 1e-9);
}

TEST(DerivativeProcess, OfValuesAloneIsTheProcess) {
  const at::Tensor x = tensor_normals(30, 2, 5), xs = tensor_normals(7, 2, 6);
  at::Tensor y = (x.select(1, 0) * 2).sin() + 0.2 * x.select(1, 1);
  y[4] = std::nan("");
  GpOptions o;
  o.kernel = "const(1.2)*matern52(ard,lengthscale=[0.8,1.5]) + white(0.05)";
  o.mean = "linear";
  o.fit = false;
  const GaussianProcess dense(x, y, o);
  const DerivativeProcess gp(x, at::full({30}, -1, at::kLong), y, o);
  EXPECT_NEAR(gp.report().log_likelihood, dense.report().log_likelihood, 1e-9);
  const Prediction p = gp.predict(xs, {}, {.noise = true}), q = dense.predict(xs, {.noise = true});
  EXPECT_LT((p.mean - q.mean).abs().max().item<double>(), 1e-10);
  EXPECT_LT((p.variance - q.variance).abs().max().item<double>(), 1e-10);
  for (int64_t k = 0; k < 2; ++k) {
    const Prediction slope = gp.predict(xs, at::full({7}, k, at::kLong));
    EXPECT_LT((slope.mean - dense.mean_gradient(xs).select(1, k)).abs().max().item<double>(), 1e-9);
  }
}

TEST(DerivativeProcess, SlopesTeach) {
  const at::Tensor t = at::linspace(0, 6, 7, at::kDouble).unsqueeze(1);
  const at::Tensor x = at::cat({t, t}), y = at::cat({t.sin(), t.cos()}).squeeze(1);
  const at::Tensor along = at::cat({at::full({7}, -1, at::kLong), at::zeros({7}, at::kLong)});
  GpOptions o;
  o.kernel = "const*rbf";
  const at::Tensor noise = at::full({14}, 1e-6, at::kDouble);
  const DerivativeProcess with(x, along, y, o, noise);
  const at::Tensor xs = at::linspace(0.3, 5.7, 40, at::kDouble).unsqueeze(1);
  const double error = (with.predict(xs).mean - xs.squeeze(1).sin()).abs().max().item<double>();
  const GaussianProcess without(t, t.sin().squeeze(1), o, noise.slice(0, 0, 7));
  EXPECT_LT(error, 0.003);
  EXPECT_LT(error, (without.predict(xs).mean - xs.squeeze(1).sin()).abs().max().item<double>() / 3);
  EXPECT_TRUE(with.report().fitted);
}

TEST(DerivativeProcess, NamesWhatIsWrong) {
  const at::Tensor x = tensor_normals(5, 1, 1), y = x.select(1, 0).clone();
  EXPECT_THROW(DerivativeProcess(x, at::zeros({4}, at::kLong), y), Error);
  EXPECT_THROW(DerivativeProcess(x, at::ones({5}, at::kLong), y), Error);
  EXPECT_THROW(DerivativeProcess(x, at::zeros({5}, at::kDouble), y), Error);
  GpOptions o;
  o.kernel = "matern12";
  EXPECT_THROW(DerivativeProcess(x, at::zeros({5}, at::kLong), y, o), Error);
}

}  // namespace
}  // namespace covary::stat
