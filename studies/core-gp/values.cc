// Bar 1 of core-gp: every way to infer against the dense formulas, every
// gradient against differences.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/random.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/grid.h"
#include "covary/stat/process/iterative.h"
#include "covary/stat/process/marginal.h"
#include "covary/stat/process/multi_output.h"
#include "covary/stat/process/sparse.h"
#include "covary/stat/process/state_space.h"
#include "covary/stat/process/vecchia.h"
#include "studies/core-gp/bars.h"

namespace covary::studies {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

at::Tensor normal_tensor(uint64_t seed, at::IntArrayRef shape) {
  at::Tensor t = at::empty(shape, at::kDouble);
  const Random random(seed, stream_of("study.normal"));
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data_ptr<double>()[i] = random.normal(static_cast<uint64_t>(i));
  }
  return t;
}

at::Tensor smooth_values(const at::Tensor& x, uint64_t seed, double noise) {
  return (x.sum(1) * 1.3).sin() + 0.3 * x.select(1, 0) + noise * normal_tensor(seed, {x.size(0)});
}

Bar limited(const std::string& id, const std::string& part, const std::string& title,
            const std::string& metric, const std::string& unit, Limit limit,
            const std::function<double(StudyContext&)>& measure) {
  const auto words = [](double bound) {
    char text[64];
    std::snprintf(text, sizeof text, "ours <= %g", bound);
    return std::string(text);
  };
  return {.id = id,
          .part = part,
          .title = title,
          .metric = metric,
          .unit = unit,
          .bound = words(limit.desk),
          .smoke = true,
          .desk = true,
          .measure = [=](StudyContext& c) {
            const double value = measure(c), bound = c.smoke() ? limit.smoke : limit.desk;
            BarResult r;
            r.ours = Quantity{.value = value, .unit = unit};
            r.bound = {.text = words(bound), .left = value, .op = "<=", .right = bound};
            return r;
          }};
}

Bar planned(const std::string& id, const std::string& part, const std::string& title,
            const std::string& bound) {
  return {.id = id, .part = part, .title = title, .bound = bound, .desk = true};
}

namespace {

using stat::Kernel;

std::vector<double> flat(const at::Tensor& t) {
  const at::Tensor c = t.contiguous();
  return {c.const_data_ptr<double>(), c.const_data_ptr<double>() + c.numel()};
}

double worst(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

stat::GpOptions unfitted(const std::string& kernel, const std::string& mean = "zero") {
  stat::GpOptions o;
  o.kernel = kernel;
  o.mean = mean;
  o.fit = false;
  return o;
}

at::Tensor cross(const Kernel& kernel, const at::Tensor& a, const at::Tensor& b) {
  at::Tensor k = at::empty({a.size(0), b.size(0)}, at::kDouble);
  kernel.cross(a.const_data_ptr<double>(), a.size(0), b.const_data_ptr<double>(), b.size(0),
               k.data_ptr<double>(), b.size(0));
  return k;
}

// Likelihood, prediction and leave-one-out against an explicit inverse.
double exact_error(StudyContext& c) {
  const int64_t n = c.smoke() ? 120 : 400;
  const at::Tensor x = normal_tensor(1, {n, 3}), y = smooth_values(x, 2, 0.1);
  const at::Tensor xs = normal_tensor(3, {20, 3});
  const stat::GaussianProcess gp(
      x, y, unfitted("const(1.3)*matern52(ard,lengthscale=[1,2,0.7]) + white(0.05)"));
  at::Tensor k = at::empty({n, n}, at::kDouble);
  gp.kernel().matrix(x.const_data_ptr<double>(), n, k.data_ptr<double>(), n);
  const at::Tensor inverse = at::inverse(k), ks = cross(gp.kernel(), xs, x);
  const double likelihood = -0.5 * (y.dot(inverse.matmul(y)) + at::logdet(k)).item<double>() -
                            0.5 * static_cast<double>(n) * std::log(2 * std::numbers::pi);
  const stat::Prediction p = gp.predict(xs, {.covariance = true}), loo = gp.leave_one_out();
  const at::Tensor d = inverse.diagonal();
  return std::max(
      {std::abs(gp.report().log_likelihood - likelihood) / static_cast<double>(n),
       worst(p.mean, ks.matmul(inverse).matmul(y)),
       worst(p.covariance, cross(gp.kernel(), xs, xs) - ks.matmul(inverse).matmul(ks.t())),
       worst(loo.mean, y - inverse.matmul(y) / d), worst(loo.variance, 1 / d)});
}

// A point at a time against all at once.
double append_error(StudyContext&) {
  const at::Tensor x = normal_tensor(4, {90, 2}), y = smooth_values(x, 5, 0.1);
  const stat::GpOptions o = unfitted("const(1.1)*rbf(0.8) + white(0.02)", "const");
  const stat::GaussianProcess all(x, y, o);
  stat::GaussianProcess grown(x.slice(0, 0, 60), y.slice(0, 0, 60), o);
  for (int64_t i = 60; i < 90; ++i) grown.append(x[i], y[i]);
  const at::Tensor xs = normal_tensor(6, {20, 2});
  return std::max({std::abs(grown.report().log_likelihood - all.report().log_likelihood),
                   worst(grown.predict(xs).mean, all.predict(xs).mean),
                   worst(grown.predict(xs).variance, all.predict(xs).variance)});
}

// Filter and smoother of the three Matern kernels, with repeated times and
// missing values.
double series_error(StudyContext&) {
  double error = 0;
  const at::Tensor t = normal_tensor(7, {300, 1}) * 3, ts = normal_tensor(8, {40, 1}) * 4;
  t[10].copy_(t[11]);
  at::Tensor y = smooth_values(t, 9, 0.2);
  for (int64_t i = 0; i < 300; i += 17) y[i] = NAN;
  for (const char* kind : {"matern12", "matern32", "matern52"}) {
    stat::MarkovOptions o;
    o.kernel = kind;
    o.variance = 1.4;
    o.length = 0.9;
    o.noise = 0.05;
    o.fit = false;
    const stat::MarkovProcess fast(t.select(1, 0), y, o);
    const stat::GaussianProcess dense(
        t, y, unfitted("const(1.4)*" + std::string(kind) + "(0.9) + white(0.05)"));
    const stat::MarkovPrediction p = fast.predict(ts.select(1, 0).contiguous());
    const stat::Prediction q = dense.predict(ts);
    error = std::max({error, worst(p.mean, q.mean), worst(p.variance, q.variance),
                      std::abs(fast.report().log_likelihood - dense.report().log_likelihood)});
  }
  return error;
}

// Every row an inducing point: the bound is the likelihood.
double sparse_error(StudyContext& c) {
  const int64_t n = c.smoke() ? 80 : 200;
  const at::Tensor x = normal_tensor(10, {n, 2}), xs = normal_tensor(11, {20, 2});
  at::Tensor y = smooth_values(x, 12, 0.2);
  y = y - y.mean();
  stat::SparseOptions o;
  o.kernel = "const(1.4)*matern32(ard,lengthscale=[1,1.5])";
  o.inducing = n;
  o.noise = 0.07;
  o.fit = false;
  const stat::SparseProcess sparse(x, y, o);
  const stat::GaussianProcess exact(x, y, unfitted(o.kernel + " + white(0.07)"));
  const stat::SparsePrediction p = sparse.predict(xs);
  const stat::Prediction q = exact.predict(xs);
  return std::max({std::abs(sparse.report().bound - exact.report().log_likelihood),
                   std::abs(sparse.report().upper - exact.report().log_likelihood),
                   worst(p.mean, q.mean), worst(p.variance, q.variance)});
}

// Full grids by their structure against the dense process on all their rows.
double grid_error(StudyContext&) {
  struct Grid {
    stat::GridAxes axes;
    std::vector<std::string> kernels;
    std::string dense;
  };
  const auto axis = [](int n, double step, double bend) {
    std::vector<double> x;
    for (int i = 0; i < n; ++i) x.push_back(step * i + bend * std::sin(1.7 * i));
    return x;
  };
  const Grid grids[] = {
      {{axis(300, 0.05, 0)}, {"const(1.3)*matern52(0.7)"}, "const(1.3)*matern52(0.7)"},
      {{axis(20, 0.2, 0.03), axis(21, 0.25, 0)},
       {"const(1.3)*rbf(0.7)", "matern32(1.2)"},
       "const(1.3)*rbf(0.7,dims=0)*matern32(1.2,dims=1)"},
      {{axis(7, 0.4, 0), axis(8, 0.3, 0.03), axis(6, 0.5, 0)},
       {"const(1.3)*rbf(0.7)", "matern12(1.2)", "rq(0.9,0.8)"},
       "const(1.3)*rbf(0.7,dims=0)*matern12(1.2,dims=1)*rq(0.9,0.8,dims=2)"}};
  double error = 0;
  for (const Grid& g : grids) {
    std::vector<at::Tensor> parts, columns;
    std::vector<int64_t> shape;
    for (const auto& a : g.axes) {
      parts.push_back(at::tensor(a, at::kDouble));
      shape.push_back(static_cast<int64_t>(a.size()));
    }
    for (const at::Tensor& t : at::meshgrid(parts, "ij")) columns.push_back(t.reshape({-1}));
    const at::Tensor x = at::stack(columns, 1).contiguous(), y = smooth_values(x, 18, 0.2);
    const at::Tensor xs = normal_tensor(19, {20, x.size(1)}).abs();
    stat::GridOptions o;
    o.kernels = g.kernels;
    o.noise = 0.05;
    o.fit = false;
    const stat::GridProcess fast(g.axes, y.reshape(shape), o);
    const stat::GaussianProcess dense(x, y, unfitted(g.dense + " + white(0.05)", "const"));
    const stat::GridPrediction p = fast.predict(xs);
    const stat::Prediction q = dense.predict(xs);
    error = std::max({error, worst(p.mean, q.mean), worst(p.variance, q.variance),
                      std::abs(fast.report().log_likelihood - dense.report().log_likelihood)});
  }
  return error;
}

// Of a function of logarithms at `at`, each slope by Richardson's fourth-order
// difference.
double slope_error(const std::function<double(std::span<const double>)>& f, std::vector<double> at,
                   std::span<const double> gradient) {
  double error = 0, scale = 1;
  for (const double g : gradient) scale = std::max(scale, std::abs(g));
  for (size_t i = 0; i < at.size(); ++i) {
    const auto central = [&](double h) {
      const double before = at[i];
      at[i] = before + h;
      const double above = f(at);
      at[i] = before - h;
      const double below = f(at);
      at[i] = before;
      return (above - below) / (2 * h);
    };
    const double slope = (4 * central(2e-4) - central(4e-4)) / 3;
    error = std::max(error, std::abs(slope - gradient[i]) / scale);
  }
  return error;
}

// A random sum of products of leaves in three columns.
std::string random_kernel(uint64_t seed) {
  static constexpr const char* kLeaves[] = {
      "rbf(ard)",       "matern12(dims=0)", "matern32(ard)",
      "matern52",       "rq(ard)",          "periodic(dims=1)",
      "cosine(dims=2)", "linear(ard)",      "polynomial(dims=0:1)",
      "const",          "rbf(dims=[0,2])"};
  const Random random(seed, stream_of("study.kernel"));
  std::string text;
  uint64_t at = 0;
  for (uint64_t term = 0, terms = 1 + random.below(3, at++); term < terms; ++term) {
    if (term) text += " + ";
    for (uint64_t factor = 0, factors = 1 + random.below(2, at++); factor < factors; ++factor) {
      text += std::string(factor ? "*" : "") + kLeaves[random.below(std::size(kLeaves), at++)];
    }
  }
  return text + " + white";
}

double kernel_slope_error(StudyContext& c) {
  double error = 0;
  const uint64_t cases = c.smoke() ? 25 : 500;
  for (uint64_t seed = 0; seed < cases; ++seed) {
    const at::Tensor x = normal_tensor(100 + seed, {24, 3});
    const stat::GpData data =
        stat::GpData::from(x, smooth_values(x, 200 + seed, 0.3), {}, stat::Mean::kConst);
    Kernel kernel = Kernel::parse(random_kernel(seed), 3);
    const Random random(seed, stream_of("study.parameters"));
    uint64_t at = 0;
    for (stat::KernelParameter& p : kernel.parameters()) {
      p.value = p.role == stat::ParameterRole::kNoise ? 0.5 : std::exp(0.3 * random.normal(at++));
    }
    stat::MarginalLikelihood likelihood(data, 1 << 30);
    std::vector<double> gradient(kernel.parameters().size());
    likelihood.evaluate(kernel, gradient);
    const std::vector<double> packed = kernel.pack_gradient(gradient);
    Kernel moved = kernel;
    const double e = slope_error(
        [&](std::span<const double> logs) {
          moved.unpack(logs);
          return likelihood.evaluate(moved, {}).log_likelihood;
        },
        kernel.pack(), packed);
    if (!(e <= 1e-6))
      c.log("case " + std::to_string(seed) + ": " + kernel.text() + ": " + std::to_string(e));
    error = std::isnan(e) ? e : std::max(error, e);
  }
  return error;
}

double series_slope_error(StudyContext&) {
  double error = 0;
  const at::Tensor times = std::get<0>(at::sort(normal_tensor(13, {200}) * 3));
  const std::vector<double> t = flat(times);
  const std::vector<double> y = flat(smooth_values(times.unsqueeze(1), 14, 0.2));
  for (const char* kind : {"matern12", "matern32", "matern52"}) {
    const auto model = [&](std::span<const double> logs) {
      return stat::MarkovModel{stat::markov_kind_of(kind), std::exp(logs[0]), std::exp(logs[1]),
                               std::exp(logs[2])};
    };
    const std::vector<double> at = {0.3, -0.2, -2};
    stat::MarkovGradient g;
    stat::markov_log_likelihood(model(at), t, y, {}, &g);
    error =
        std::max(error, slope_error(
                            [&](std::span<const double> logs) {
                              return stat::markov_log_likelihood(model(logs), t, y, {}, nullptr);
                            },
                            at, std::vector<double>{g.variance, g.length, g.noise}));
  }
  return error;
}

// Conjugate gradients against the dense process: of means in prior standard deviations and of
// variances in prior variances; of the likelihood in standard errors that it states.
struct SolveErrors {
  double prediction = 0, likelihood = 0;
};
const SolveErrors& solve_errors(StudyContext& c) {
  return c.shared<SolveErrors>("solve errors", [&] {
    const int64_t n = c.smoke() ? 300 : 2000;
    const at::Tensor x = normal_tensor(31, {n, 3}), xs = normal_tensor(33, {50, 3});
    const at::Tensor y = smooth_values(x, 32, 0.2);
    SolveErrors worst;
    for (const char* kernel : {"const(1)*matern52(ard,lengthscale=[1,1.5,2]) + white(0.04)",
                               "const(1)*rbf(1.1) + white(0.01)"}) {
      stat::IterativeOptions o;
      o.kernel = kernel;
      o.fit = false;
      stat::GpOptions g;
      g.kernel = kernel;
      g.fit = false;
      const stat::IterativeProcess ours(x, y, o);
      const stat::GaussianProcess dense(x, y, g);
      const stat::IterativePrediction p = ours.predict(xs);
      const stat::Prediction q = dense.predict(xs);
      worst.prediction = std::max({worst.prediction, (p.mean - q.mean).abs().max().item<double>(),
                                   (p.variance - q.variance).abs().max().item<double>()});
      worst.likelihood =
          std::max(worst.likelihood,
                   std::abs(ours.report().log_likelihood - dense.report().log_likelihood) /
                       (ours.report().value.error + ours.report().value.solve_error + 1e-9));
    }
    return worst;
  });
}

// Every value conditioned on all before it.
double neighbour_error(StudyContext&) {
  const at::Tensor x = normal_tensor(34, {200, 2}), y = smooth_values(x, 35, 0.2);
  stat::VecchiaOptions v;
  v.kernel = "const(1)*matern52(ard,lengthscale=[1,1.5]) + white(0.04)";
  v.neighbours = 199;
  v.fit = false;
  stat::GpOptions g;
  g.kernel = v.kernel;
  g.fit = false;
  return std::abs(stat::VecchiaProcess(x, y, v).report().log_likelihood -
                  stat::GaussianProcess(x, y, g).report().log_likelihood);
}

// Two outputs, one latent process: the Kronecker form against all values as one vector.
double outputs_error(StudyContext&) {
  const int64_t n = 120;
  const at::Tensor x = normal_tensor(36, {n, 2});
  const at::Tensor y = at::stack({smooth_values(x, 37, 0.2), -smooth_values(x, 38, 0.1)}, 1);
  stat::MultiOutputParameters p;
  p.kernels = {Kernel::parse("matern52(ard,lengthscale=[1,1.5])", 2)};
  p.loadings = {normal_tensor(39, {2, 1})};
  p.own = {at::full({2}, 0.3, at::kDouble)};
  p.noise = at::full({2}, 0.05, at::kDouble);
  at::Tensor means;
  return std::abs(
      stat::multi_output_log_likelihood(p, x, y, &means, nullptr,
                                        stat::MultiOutputForm::kKronecker) -
      stat::multi_output_log_likelihood(p, x, y, &means, nullptr, stat::MultiOutputForm::kDense));
}

// By kernel, noise and inducing points.
double sparse_slope_error(StudyContext&) {
  const at::Tensor xt = normal_tensor(15, {70, 2});
  const std::vector<double> x = flat(xt), y = flat(smooth_values(xt, 16, 0.2));
  Kernel kernel = Kernel::parse("const(1.3)*rbf(ard) + 0.5*matern52", 2);
  const std::vector<double> z = flat(normal_tensor(17, {9, 2}));
  stat::SparseGradient g;
  stat::sparse_bound(kernel, 0.1, x, y, z, &g);
  std::vector<double> at = kernel.pack(), slopes = kernel.pack_gradient(g.kernel);
  const size_t kernels = at.size();
  at.push_back(std::log(0.1));
  slopes.push_back(g.noise);
  at.insert(at.end(), z.begin(), z.end());
  slopes.insert(slopes.end(), g.inducing.begin(), g.inducing.end());
  return slope_error(
      [&](std::span<const double> all) {
        kernel.unpack(all.first(kernels));
        return stat::sparse_bound(kernel, std::exp(all[kernels]), x, y, all.subspan(kernels + 1),
                                  nullptr)
            .value;
      },
      at, slopes);
}

}  // namespace

std::vector<Bar> process_value_bars() {
  return {
      limited("1", "a",
              "exact process against explicit inverses: likelihood a row, "
              "prediction, leave-one-out",
              "largest error", "1", {1e-9, 1e-9}, exact_error),
      limited("1", "b", "points added one by one against all at once", "largest error", "1",
              {1e-8, 1e-8}, append_error),
      limited("1", "c", "state space against dense, Matern 1/2, 3/2, 5/2", "largest error", "1",
              {1e-8, 1e-8}, series_error),
      limited("1", "d", "sparse process with every row inducing against dense", "largest error",
              "1", {1e-6, 1e-6}, sparse_error),
      limited("1", "e", "marginal likelihood's gradient, random kernels, against differences",
              "largest relative error", "1", {1e-6, 1e-6}, kernel_slope_error),
      limited("1", "f", "state-space gradient against differences", "largest relative error", "1",
              {1e-6, 1e-6}, series_slope_error),
      limited("1", "g", "sparse bound's gradient against differences", "largest relative error",
              "1", {1e-6, 1e-6}, sparse_slope_error),
      limited("1", "i", "Kronecker and Toeplitz grids against dense", "largest error", "1",
              {1e-8, 1e-8}, grid_error),
      limited("1", "j",
              "conjugate gradients against dense: means and variances, in prior deviations and "
              "variances",
              "largest error", "1", {1e-4, 1e-4},
              [](StudyContext& c) { return solve_errors(c).prediction; }),
      limited(
          "1", "r",
          "conjugate gradients against dense: likelihood, in the standard errors that it states",
          "largest error", "1", {4, 4}, [](StudyContext& c) { return solve_errors(c).likelihood; }),
      limited("1", "q", "nearest neighbours, all of them, against dense: likelihood", "error",
              "nats", {1e-8, 1e-8}, neighbour_error),
      limited("1", "o", "two outputs, Kronecker against all values as one vector: likelihood",
              "error", "nats", {1e-8, 1e-8}, outputs_error),
  };
}

}  // namespace covary::studies
