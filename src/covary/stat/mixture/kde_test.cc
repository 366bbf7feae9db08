#include "covary/stat/mixture/kde.h"

#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/refusal.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/every_target.h"
#include "covary/stat/mixture/kde_bandwidth.h"
#include "covary/stat/mixture/test_points.h"

namespace covary::mixture {
namespace {

using testing::HasSubstr;
const char* const kKernels[] = {"gaussian", "epanechnikov", "tophat",   "exponential",
                                "linear",   "cosine",       "laplacian"};

at::Tensor normals(int64_t n, int64_t d, uint64_t stream) { return normal_points(n, d, 9, stream); }

// Densities by the definition.
at::Tensor brute_force(const std::string& kernel, const at::Tensor& x, const at::Tensor& w,
                       const at::Tensor& h, const at::Tensor& q) {
  const Kernel k = kernel_of(kernel);
  const int64_t d = x.size(1);
  at::Tensor out = at::zeros({q.size(0)}, at::kDouble);
  for (int64_t a = 0; a < q.size(0); ++a) {
    const at::Tensor z = (x - q[a]) / h;
    const at::Tensor s = kernel == "laplacian" ? z.abs().sum(1) : z.square().sum(1);
    double sum = 0;
    for (int64_t i = 0; i < x.size(0); ++i) {
      sum += w.data_ptr<double>()[i] * kernel_at(k, s.data_ptr<double>()[i]);
    }
    out.data_ptr<double>()[a] =
        sum * std::exp(-kernel_log_volume(k, d)) / (w.sum() * h.prod()).item<double>();
  }
  return out;
}

// scikit-learn 1.9.1's score_samples, summed over 60 points.
TEST(KernelDensity, EqualsScikitLearn) {
  const at::Tensor x = test_points(0, 200), q = test_points(200, 260);
  const std::map<std::string, std::pair<const char*, double>> expected = {
      {"gaussian", {"0.8", -226.914614285730}}, {"epanechnikov", {"3.0", -263.784944083065}},
      {"tophat", {"3.0", -289.045705838438}},   {"exponential", {"0.8", -267.527886134875}},
      {"linear", {"3.0", -258.179871723727}},   {"cosine", {"3.0", -261.597047339563}}};
  for (const auto& [kernel, value] : expected) {
    KernelDensity kde({.kernel = kernel, .bandwidth = value.first});
    kde.fit(x);
    EXPECT_NEAR(kde.score_samples(q).sum().item<double>(), value.second, 1e-9) << kernel;
  }
  KernelDensity weighted({.bandwidth = "0.8"});
  weighted.fit(x, 1 + at::arange(200, at::kDouble).remainder(4));
  EXPECT_NEAR(weighted.score_samples(q).sum().item<double>(), -226.788875764206, 1e-9);
}

TEST(KernelDensity, ExactEqualsBruteForceForEveryKernelDimensionAndTarget) {
  for (const int64_t d : {1, 2, 3, 5}) {
    const at::Tensor x = normals(333, d, 1), q = 1.5 * normals(37, d, 2);
    const at::Tensor w = at::rand({333}, at::kDouble);
    for (const char* kernel : kKernels) {
      KernelDensity kde({.kernel = kernel, .bandwidth = "1.7", .engine = "exact"});
      kde.fit(x, w);
      const at::Tensor expected = brute_force(kernel, x, w, kde.widths(), q);
      compute::on_every_target([&](const char* target) {
        SCOPED_TRACE(target);
        EXPECT_TRUE(at::allclose(kde.score_samples(q).exp(), expected, 1e-12, 0)) << kernel << d;
      });
    }
  }
}

TEST(KernelDensity, TheTreeKeepsItsBoundOnEveryDensity) {
  for (const int64_t d : {1, 2, 3, 6}) {
    const at::Tensor x = normals(5000, d, 1), q = 1.3 * normals(500, d, 2);
    const at::Tensor w = 0.1 + at::arange(5000, at::kDouble).remainder(7);
    for (const char* kernel : {"gaussian", "epanechnikov", "exponential"}) {
      KernelDensity exact({.kernel = kernel, .engine = "exact"});
      const at::Tensor truth = exact.fit(x, w).score_samples(q).exp();
      for (const double rtol : {1e-1, 1e-3, 1e-6, 1e-9}) {
        KernelDensity tree({.kernel = kernel, .rtol = rtol, .engine = "tree"});
        const at::Tensor p = tree.fit(x, w).score_samples(q).exp();
        const at::Tensor error = (p - truth).abs() - (rtol + 1e-12) * truth;
        EXPECT_LE(error.max().item<double>(), 0) << kernel << " " << d << " " << rtol;
      }
      KernelDensity absolute({.kernel = kernel, .atol = 1e-4, .engine = "tree"});
      const at::Tensor p = absolute.fit(x, w).score_samples(q).exp();
      EXPECT_LE((p - truth).abs().max().item<double>(), 1e-4 * (1 + 1e-9)) << kernel << d;
    }
  }
}

TEST(KernelDensity, MomentsOnALineAreRightTo1e12) {
  const at::Tensor x = at::cat({normals(3000, 1, 1), 8 + 0.01 * normals(1000, 1, 3)});
  const at::Tensor q = at::linspace(-30, 30, 2000, at::kDouble).unsqueeze(1);
  for (const char* bandwidth : {"scott", "0.02", "5"}) {
    KernelDensity exact({.bandwidth = bandwidth, .engine = "exact"});
    KernelDensity moments({.bandwidth = bandwidth, .engine = "moments"});
    const at::Tensor truth = exact.fit(x).score_samples(q);
    EXPECT_LE((moments.fit(x).score_samples(q) - truth).abs().max().item<double>(), 2e-11)
        << bandwidth;
  }
}

TEST(KernelDensity, TheDensityIntegratesToOne) {
  for (const char* kernel : kKernels) {
    KernelDensity kde({.kernel = kernel, .bandwidth = "0.7"});
    kde.fit(normals(50, 1, 1));
    const at::Tensor q = at::linspace(-30, 30, 600001, at::kDouble).unsqueeze(1);
    EXPECT_NEAR(kde.score_samples(q).exp().sum().item<double>() * 1e-4, 1, 1e-4) << kernel;
  }
}

TEST(KernelDensity, FarTailsKeepTheirLogarithm) {
  KernelDensity kde({.bandwidth = "1"});
  kde.fit(at::zeros({1, 1}, at::kDouble));
  const double q = 1e5;
  EXPECT_NEAR(kde.score_samples(at::full({1, 1}, q, at::kDouble)).item<double>(),
              -0.5 * q * q - 0.5 * std::log(2 * M_PI), 1e-5);
  EXPECT_NEAR(kde.gradient(at::full({1, 1}, q, at::kDouble)).item<double>(), -q, 1e-9);
  KernelDensity box({.kernel = "tophat", .bandwidth = "1"});
  box.fit(at::zeros({1, 1}, at::kDouble));
  EXPECT_EQ(box.score_samples(at::full({1, 1}, q, at::kDouble)).item<double>(),
            -std::numeric_limits<double>::infinity());
}

TEST(KernelDensity, TheGradientIsThatOfFiniteDifferences) {
  const at::Tensor x = normals(100, 3, 1), q = 0.5 * normals(5, 3, 2);
  for (const char* kernel : kKernels) {
    KernelDensity kde({.kernel = kernel, .bandwidth = "4.3"});
    kde.fit(x);
    const at::Tensor g = kde.gradient(q);
    for (int64_t j = 0; j < 3; ++j) {
      const at::Tensor step = at::zeros({3}, at::kDouble);
      step[j] = 1e-5;
      const at::Tensor difference =
          (kde.score_samples(q + step) - kde.score_samples(q - step)) / 2e-5;
      EXPECT_TRUE(at::allclose(g.select(1, j), difference, 1e-6, 1e-8)) << kernel;
    }
  }
}

TEST(KernelDensity, BandwidthRules) {
  const at::Tensor x = normals(1000, 2, 1) * at::tensor({1.0, 10.0}, at::kDouble);
  const at::Tensor sd = x.std(0, true);
  KernelDensity scott({.bandwidth = "scott"}), silverman({.bandwidth = "silverman"});
  EXPECT_TRUE(at::allclose(scott.fit(x).widths(), sd * std::pow(1000, -1.0 / 6), 1e-12));
  EXPECT_TRUE(at::allclose(silverman.fit(x).widths(), sd * std::pow(1000, -1.0 / 6), 1e-12));
  // For normal data of n = 1,000 the best width is 1.06 n^(-1/5) = 0.266; two far clumps keep it,
  // where Scott's triples.
  const at::Tensor one = normals(1000, 1, 5), two = at::cat({one, one + 30});
  KernelDensity isj({.bandwidth = "isj"}), lcv({.bandwidth = "lcv"});
  EXPECT_NEAR(isj.fit(one).widths().item<double>(), 0.266, 0.06);
  EXPECT_NEAR(isj.fit(two).widths().item<double>(), 0.25, 0.06);
  // No width near that of leave-one-out has a larger likelihood without the row itself.
  const at::Tensor few = two.slice(0, 0, 2000, 5);
  const double chosen = lcv.fit(few).widths().item<double>();
  const auto without_self = [&](double h) {
    const at::Tensor p = brute_force("gaussian", few, at::ones({400}, at::kDouble),
                                     at::full({1}, h, at::kDouble), few);
    const double self = 1 / (400 * h * std::sqrt(2 * M_PI));
    return ((p - self) * (400.0 / 399)).log().mean().item<double>();
  };
  EXPECT_GT(without_self(chosen), without_self(0.97 * chosen));
  EXPECT_GT(without_self(chosen), without_self(1.03 * chosen));
  EXPECT_GT(scott.fit(two).widths().item<double>(), 2);
}

TEST(KernelDensity, SamplesFollowTheDensity) {
  for (const char* kernel : kKernels) {
    KernelDensity kde({.kernel = kernel, .bandwidth = "1"});
    kde.fit(at::zeros({1, 2}, at::kDouble));
    if (kernel_of(kernel) == Kernel::kLaplacian) {  // not radial: |z_j| has mean 1
      EXPECT_NEAR(kde.sample(20000, 3).abs().mean().item<double>(), 1, 0.03);
      continue;
    }
    const at::Tensor r = kde.sample(20000, 3).square().sum(1).sqrt();
    // Mean radius by quadrature over the plane.
    double mass = 0, first = 0;
    for (double s = 0.0005; s < 40; s += 0.001) {
      const double p = s * kernel_at(kernel_of(kernel), s * s);
      mass += p;
      first += p * s;
    }
    EXPECT_NEAR(r.mean().item<double>(), first / mass, 0.03) << kernel;
  }
}

TEST(KernelDensity, SameBitsAtAnyNumberOfThreads) {
  const at::Tensor x = normals(6000, 3, 1), q = normals(1000, 3, 2);
  for (const double rtol : {0.0, 1e-4}) {
    KernelDensity kde({.rtol = rtol});
    kde.fit(x);
    set_threads(1);
    const at::Tensor one = kde.score_samples(q);
    set_threads(3);
    const at::Tensor three = kde.score_samples(q);
    set_threads(0);
    EXPECT_TRUE(at::equal(one, three));
  }
}

TEST(KernelDensity, BadInputIsNamed) {
  EXPECT_THAT(refusal([] { KernelDensity({.bandwidth = "-1"}); }), HasSubstr("bandwidth"));
  EXPECT_THAT(refusal([] { KernelDensity({.kernel = "square"}); }), HasSubstr("kernel"));
  KernelDensity kde;
  EXPECT_THAT(refusal([&] { kde.score(at::zeros({1, 1}, at::kDouble)); }), HasSubstr("no points"));
  at::Tensor x = normals(5, 2, 1);
  x[3][1] = std::nan("");
  EXPECT_THAT(refusal([&] { kde.fit(x); }), HasSubstr("row 3, column 1"));
  EXPECT_THAT(refusal([&] { kde.fit(normals(5, 2, 1), at::zeros({5}, at::kDouble)); }),
              HasSubstr("weights are 0"));
  kde.fit(normals(5, 2, 1));
  EXPECT_THAT(refusal([&] { kde.score(normals(5, 3, 1)); }), HasSubstr("3 columns"));
}

RC_GTEST_PROP(KernelDensityProperty, HostileDataGiveNoNaN, ()) {
  const int64_t n = *rc::gen::inRange(1, 30), d = *rc::gen::inRange(1, 4);
  at::Tensor x = at::empty({n, d}, at::kDouble);
  for (int64_t i = 0; i < n * d; ++i) {
    x.data_ptr<double>()[i] = *rc::gen::element(0.0, 1.0, 1e-12, 1e12, -3.0, 1e12 + 1, 5.0);
  }
  KernelDensity kde(
      {.kernel = *rc::gen::element<std::string>("gaussian", "tophat", "exponential", "cosine"),
       .bandwidth = *rc::gen::element<std::string>("scott", "silverman", "isj", "1"),
       .rtol = *rc::gen::element(0.0, 1e-3)});
  kde.fit(x);
  RC_ASSERT(!kde.score_samples(x).isnan().any().item<bool>());
  RC_ASSERT(kde.gradient(x).isfinite().all().item<bool>());
  RC_ASSERT(kde.sample(7, 1).isfinite().all().item<bool>());
}

TEST(KernelDensity, AModelFileGivesTheSameBitsBack) {
  const TemporaryFolder folder("density");
  const at::Tensor x = normals(80, 2, 3), q = normals(20, 2, 4);
  KernelDensity kde({.kernel = "epanechnikov", .bandwidth = "silverman"});
  kde.fit(x, at::rand({80}, at::kDouble));
  for (const char* name : {"m.json", "m.cov"}) {
    data::write_model(folder.path() / name, kde.model());
    const KernelDensity r =
        KernelDensity::of_model(data::read_model(folder.path() / name, "covary.density", 1));
    EXPECT_TRUE(at::equal(r.score_samples(q), kde.score_samples(q))) << name;
    EXPECT_TRUE(at::equal(r.sample(5, 1), kde.sample(5, 1))) << name;
  }
  const auto changed = [&](const std::function<void(data::Model&)>& change) {
    data::Model file = kde.model();
    change(file);
    return refusal([&] { KernelDensity::of_model(file); });
  };
  EXPECT_THAT(changed([](auto& f) { f.fields["method"] = "energy"; }), HasSubstr("method"));
  EXPECT_THAT(changed([](auto& f) { f.fields["kernel"] = "square"; }), HasSubstr("kernel"));
  EXPECT_THAT(changed([](auto& f) { f.put("widths", {1, -1}, {2}); }), HasSubstr("widths"));
  EXPECT_THAT(changed([](auto& f) { f.arrays["points"].values[3] = NAN; }), HasSubstr("row 1"));
  EXPECT_THAT(changed([](auto& f) { f.put("weights", {1}, {1}); }), HasSubstr("weights"));
}

TEST(KernelDensity, TheEngineMayBeChangedAfterTheFit) {
  const at::Tensor x = normals(300, 1, 5), q = normals(30, 1, 6);
  KernelDensity kde;
  const at::Tensor exact = kde.fit(x).score_samples(q);
  EXPECT_EQ(kde.engine(), "exact");
  kde.set_accuracy(1e-9, 0, "auto");
  EXPECT_EQ(kde.engine(), "moments");
  EXPECT_LT((kde.score_samples(q) - exact).abs().max().item<double>(), 2e-9);
  EXPECT_THAT(refusal([&] { kde.set_accuracy(2, 0, "auto"); }), HasSubstr("rtol"));
}

}  // namespace
}  // namespace covary::mixture
