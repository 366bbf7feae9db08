#include "covary/stat/process/hilbert.h"

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

// In the interval [-1, 1], where nothing is far from the others.
at::Tensor inside(int64_t n, int64_t d) { return normals(1, {n, d}).sin(); }

TEST(Hilbert, DensityIsTheTransformOfTheKernel) {
  for (const char* text : {"const(1.7)*matern12(0.8)", "const(1.7)*matern32(0.8)",
                           "const(1.7)*matern52(0.8)", "const(1.7)*rbf(0.8)"}) {
    const Kernel kernel = Kernel::parse(text, 1);
    const SpectralForm form = SpectralForm::of(kernel);
    // k(r) = 1 / (2 pi) integral of S(w) cos(w r) dw, by w = tan(t).
    for (const double r : {0.0, 0.3, 1.1}) {
      double sum = 0;
      const int steps = 100000;
      for (int i = 0; i < steps; ++i) {
        const double t = (i + 0.5) * M_PI / 2 / steps, w = std::tan(t);
        sum += std::exp(form.log_density(&w, nullptr)) * std::cos(w * r) * (1 + w * w);
      }
      const double zero = 0;
      double exact = 0;
      kernel.cross(&zero, 1, &r, 1, &exact, 1);
      EXPECT_NEAR(sum * M_PI / 2 / steps / M_PI, exact, 2e-4) << text << " " << r;
    }
  }
  EXPECT_THROW(SpectralForm::of(Kernel::parse("rbf + linear", 2)), Error);
  EXPECT_THROW(SpectralForm::of(Kernel::parse("rbf(dims=0:0)", 2)), Error);
  EXPECT_THROW(SpectralForm::of(Kernel::parse("rbf*rbf", 2)), Error);
  EXPECT_THROW(SpectralForm::of(Kernel::parse("const + rbf", 1)), Error);
}

TEST(Hilbert, ComesCloseToTheDenseProcess) {
  for (const int64_t d : {1, 2}) {
    const at::Tensor x = inside(200, d), xs = inside(50, d) * 0.9;
    const at::Tensor y = 3 + (2 * x).sum(1).sin() + 0.1 * normals(2, {200});
    const std::string text = "const(1.4)*rbf(ard,lengthscale=0.5) + white(0.05)";
    for (const char* mean : {"zero", "const"}) {
      HilbertOptions o;
      o.kernel = text;
      o.mean = mean;
      o.fit = false;
      o.boundary = 3;
      o.functions = d == 1 ? 60 : 30;
      const HilbertProcess gp(x, y, o);
      GpOptions g;
      g.kernel = text;
      g.mean = mean;
      g.fit = false;
      const GaussianProcess exact(x, y, g);
      EXPECT_LT(gp.report().kernel_error, 1e-6);
      EXPECT_NEAR(gp.report().log_likelihood, exact.report().log_likelihood, 1e-3);
      const HilbertPrediction p = gp.predict(xs, true), left = gp.leave_one_out();
      const Prediction q = exact.predict(xs, {.noise = true}), out = exact.leave_one_out();
      EXPECT_LT((p.mean - q.mean).abs().max().item<double>(), 1e-4);
      EXPECT_LT((p.variance - q.variance).abs().max().item<double>(), 1e-4);
      EXPECT_LT((left.mean - out.mean).abs().max().item<double>(), 1e-4);
      EXPECT_LT((left.variance - out.variance).abs().max().item<double>(), 1e-4);
    }
  }
}

TEST(Hilbert, GradientAgreesWithDifferences) {
  for (const char* text : {"const(1.4)*rbf(ard,lengthscale=[0.5,0.9]) + white(0.05)",
                           "const(0.7)*matern32(0.6) + white(0.1)", "matern52(ard) + white(0.2)"}) {
    const at::Tensor x = inside(80, 2);
    HilbertBasis b;
    b.dims = 2;
    b.rows = 80;
    b.centre = {0, 0};
    b.half = {1.6, 1.5};
    for (int64_t i = 1; i <= 6; ++i) {
      for (int64_t j = 1; j <= 6; ++j) b.numbers.insert(b.numbers.end(), {i, j});
    }
    b.on_y.resize(36);
    std::vector<double> rows = b.at(x.const_data_ptr<double>(), 80);
    const at::Tensor phi = at::from_blob(rows.data(), {80, 36}, at::kDouble), y = normals(3, {80});
    const at::Tensor gram = phi.t().matmul(phi).contiguous(), on_y = phi.t().matmul(y),
                     on_one = phi.sum(0);
    b.gram.assign(gram.const_data_ptr<double>(), gram.const_data_ptr<double>() + 36 * 36);
    b.on_y.assign(on_y.const_data_ptr<double>(), on_y.const_data_ptr<double>() + 36);
    b.on_one.assign(on_one.const_data_ptr<double>(), on_one.const_data_ptr<double>() + 36);
    b.yy = y.dot(y).item<double>();
    b.y1 = y.sum().item<double>();
    b.ones = static_cast<double>(y.size(0));
    for (const bool constant : {false, true}) {
      Kernel kernel = Kernel::parse(text, 2);
      std::vector<double> g(kernel.parameters().size());
      hilbert_log_likelihood(b, kernel, constant, g, nullptr);
      for (size_t p = 0; p < g.size(); ++p) {
        double& value = kernel.parameters()[p].value;
        const double before = value, h = 1e-5;
        value = before * std::exp(h);
        const double up = hilbert_log_likelihood(b, kernel, constant, {}, nullptr);
        value = before * std::exp(-h);
        const double down = hilbert_log_likelihood(b, kernel, constant, {}, nullptr);
        value = before;
        EXPECT_NEAR(g[p], (up - down) / (2 * h), 1e-6 * (10 + std::abs(g[p])));
      }
    }
  }
}

TEST(Hilbert, FitComesCloseToTheDenseOne) {
  const at::Tensor x = inside(400, 1);
  const at::Tensor y = 3 + (4 * x.squeeze(1)).sin() + 0.1 * normals(2, {400});
  const HilbertProcess gp(x, y, {.kernel = "matern52"});
  const GaussianProcess exact = fit_gp(x, y, {.kernel = "matern52"});
  EXPECT_TRUE(gp.report().fitted);
  EXPECT_LT(gp.report().kernel_error, 0.05);
  EXPECT_NEAR(gp.report().log_likelihood, exact.report().log_likelihood, 1);
  EXPECT_LT((gp.predict(x).mean - exact.predict(x).mean).abs().max().item<double>(), 0.02);
}

TEST(Hilbert, HostileDataGiveAnAnswerOrAnError) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Random random(seed, 7);
    const int64_t n = 1 + static_cast<int64_t>(random.below(20, 0));
    const double scale = std::pow(10, -12 + 24 * random.uniform(1));
    const at::Tensor x = normals(seed, {n, 1}) * scale;
    at::Tensor y = normals(seed + 100, {n}) / scale;
    if (seed % 3 == 0) y.fill_(2);
    if (seed % 4 == 1 && n > 2) x[1] = x[0];
    HilbertOptions o;
    o.functions = 12;
    o.search.iterations = 10;
    try {
      const HilbertProcess gp(x, y, o);
      EXPECT_TRUE(gp.predict(x).mean.isfinite().all().item<bool>()) << seed;
      EXPECT_TRUE(gp.predict(x).variance.isfinite().all().item<bool>()) << seed;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()), "");
    }
  }
  const at::Tensor x = inside(30, 1), y = normals(2, {30});
  EXPECT_THROW(HilbertProcess(inside(30, 4), y), Error);
  EXPECT_THROW(HilbertProcess(x, y).predict(x * 100), Error);
}

}  // namespace
}  // namespace covary::stat
