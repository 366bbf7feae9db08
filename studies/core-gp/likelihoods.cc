// Bars of core-gp on values that are not normal given the function: inference against dense
// formulas, gradients against differences, the speed of a batch, public counts and labels.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/latent.h"
#include "covary/stat/process/regression.h"
#include "covary/stat/process/scores.h"
#include "covary/stat/process/sparse.h"
#include "covary/stat/process/variational.h"
#include "covary/stat/process/variational_sites.h"
#include "studies/core-gp/bars.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;
using Vector = std::vector<double>;

Vector flat(const at::Tensor& t) {
  const at::Tensor c = t.contiguous();
  return {c.const_data_ptr<double>(), c.const_data_ptr<double>() + c.numel()};
}

double worst(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

constexpr const char* kText = "const(1.3)*matern52(ard,lengthscale=[1,2,0.7])";

// Laplace, expectation propagation and variational inference behind a Gaussian likelihood are the
// exact process: likelihood, prediction, leave-one-out.
double conjugate_error(StudyContext& c) {
  const int64_t n = c.smoke() ? 80 : 300;
  const at::Tensor x = normal_tensor(1, {n, 3}), y = smooth_values(x, 2, 0.2),
                   xs = normal_tensor(3, {20, 3});
  stat::GpOptions g;
  g.kernel = std::string(kText) + " + white(0.05)";
  g.mean = "zero";
  g.fit = false;
  const stat::GaussianProcess exact(x, y, g);
  const stat::Prediction p = exact.predict(xs), held = exact.leave_one_out();
  double error = 0;
  for (const char* method : {"laplace", "ep", "vi"}) {
    stat::LatentOptions o;
    o.kernel = kText;
    o.likelihood = "gaussian(0.05)";
    o.mean = "zero";
    o.method = method;
    o.fit = false;
    const stat::LatentProcess ours(x, y, o);
    const stat::LatentPrediction q = ours.predict(xs), left = ours.leave_one_out();
    error = std::max({error,
                      std::abs(ours.report().log_likelihood - exact.report().log_likelihood) /
                          static_cast<double>(n),
                      worst(q.mean, p.mean), worst(q.variance, p.variance),
                      worst(left.mean, held.mean), worst(left.variance + 0.05, held.variance)});
  }
  return error;
}

// By batches and inducing points: q at its optimum against the collapsed bound, and with every row
// an inducing point against the exact likelihood; nats.
double collapsed_error(StudyContext& c) {
  const int64_t n = c.smoke() ? 60 : 250;
  const at::Tensor x = normal_tensor(4, {n, 3}), y = smooth_values(x, 5, 0.2);
  const stat::Kernel kernel = stat::Kernel::parse(kText, 3);
  const stat::LatentModel model{kernel, stat::Likelihood::parse("gaussian(0.05)"), 0};
  const at::Tensor some = normal_tensor(6, {25, 3});
  const stat::VariationalProcess sparse(x, y, model, some), all(x, y, model, x);
  const stat::SparseBound bound =
      stat::sparse_bound(kernel, 0.05, flat(x), flat(y), flat(some), nullptr);
  stat::GpOptions g;
  g.kernel = std::string(kText) + " + white(0.05)";
  g.mean = "zero";
  g.fit = false;
  return std::max(
      std::abs(sparse.report().bound - bound.value),
      std::abs(all.report().bound - stat::GaussianProcess(x, y, g).report().log_likelihood));
}

// The evidence of each inference, and the bound of a batch, by every parameter of kernel and
// likelihood and by the mean: largest error relative to 1 + the derivative.
double slope_error(StudyContext&) {
  const int64_t n = 30;
  const Vector x = flat(normal_tensor(7, {n, 3})), z = flat(normal_tensor(8, {7, 3}));
  double error = 0;
  for (const char* likelihood : {"gaussian(0.2)", "student-t(3,0.4)", "bernoulli",
                                 "bernoulli-probit", "poisson", "neg-binomial(1.5)"}) {
    stat::LatentModel model{stat::Kernel::parse(kText, 3), stat::Likelihood::parse(likelihood),
                            0.2};
    Vector y;
    for (int64_t i = 0; i < n; ++i)
      y.push_back(model.likelihood.sample(std::sin(2 * x[static_cast<size_t>(3 * i)]), 1,
                                          static_cast<uint64_t>(i)));
    stat::VariationalStep<double> step(7);
    stat::VariationalGradient moved;
    step.evaluate(model, z, x, y, 2, &moved);
    step.follow(0.3);
    for (const std::string method : {"laplace", "ep", "vi", "svgp"}) {
      if (method == "ep" && !model.likelihood.log_concave()) continue;
      const auto value = [&](stat::LatentGradient* g) {
        if (method == "svgp") {
          stat::VariationalGradient own;
          const stat::BoundParts b = step.evaluate(model, z, x, y, 2, g ? &own : nullptr);
          if (g) *g = own;
          return 2 * b.expected - b.divergence;
        }
        stat::SiteState state;
        const stat::LatentData data{x, y};
        return method == "laplace" ? laplace(model, data, &state, g).value
               : method == "ep"    ? expectation_propagation(model, data, &state, g).value
                                   : variational_sites(model, data, &state, g).value;
      };
      stat::LatentGradient g;
      value(&g);
      const auto check = [&](double ours, double* at, bool logarithm) {
        const double before = *at, h = 1e-4;
        double f[4];
        for (int k = 0; k < 4; ++k) {
          const double move = h * (k < 2 ? k - 2 : k - 1);
          *at = logarithm ? before * std::exp(move) : before + move;
          f[k] = value(nullptr);
        }
        *at = before;
        const double d = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
        error = std::max(error, std::abs(ours - d) / (1 + std::abs(d)));
      };
      for (size_t p = 0; p < g.kernel.size(); ++p)
        check(g.kernel[p], &model.kernel.parameters()[p].value, true);
      for (size_t p = 0; p < g.likelihood.size(); ++p)
        check(g.likelihood[p], &model.likelihood.parameters()[p].value, true);
      check(g.mean, &model.mean, false);
    }
  }
  return error;
}

// CPU seconds of a batch, one thread, against its products alone at the rate of one large one.
Bar batch_bar() {
  return {.id = "2",
          .part = "i",
          .title =
              "a step of a stochastic variational process, 512 inducing points, 1,024 rows, d = 8, "
              "floats, against its matrix products",
          .metric = "CPU time",
          .unit = "ms",
          .bound = "ours <= 2.2 * baseline",
          .smoke = true,
          .desk = true,
          .measure = [](StudyContext& c) {
            const int64_t m = c.smoke() ? 128 : 512, n = c.smoke() ? 256 : 1024;
            const int before = threads();
            set_threads(1);
            const Vector x = flat(normal_tensor(9, {n, 8}));
            const at::Tensor xt = at::tensor(x, at::kDouble).view({n, 8});
            const Vector y = flat(smooth_values(xt, 10, 0.1));
            const Vector z(x.begin(), x.begin() + m * 8);
            const stat::LatentModel model{stat::Kernel::parse("const*rbf(ard)", 8),
                                          stat::Likelihood::parse("gaussian(0.1)"), 0};
            stat::VariationalStep<float> step(m);
            stat::VariationalGradient gradient;
            std::vector<float> a(static_cast<size_t>(m * m), 1e-3f),
                b(static_cast<size_t>(m * n), 1e-3f), product(b.size());
            double ours = INFINITY, gemm = INFINITY;
            for (int turn = 0; turn < 12; ++turn) {
              double begin = cpu_seconds();
              step.evaluate(model, z, x, y, 100, &gradient);
              step.follow(0.1);
              ours = std::min(ours, cpu_seconds() - begin);
              const linalg::OneBlasThread one;
              begin = cpu_seconds();
              linalg::gemm(false, false, m, n, m, 1.0f, a.data(), m, b.data(), n, 0.0f,
                           product.data(), n);
              gemm = std::min(gemm, cpu_seconds() - begin);
            }
            set_threads(before);
            const auto mm = static_cast<double>(m), nn = static_cast<double>(n);
            // In units of that product: triangles by blocks are 5/8 of a square.
            const double products = 1 + 3 * 0.625 + 3 * 0.625 * mm / nn;
            BarResult r;
            r.baseline =
                Quantity{.name = "products alone", .value = 1e3 * products * gemm, .unit = "ms"};
            r.ours = Quantity{.value = 1e3 * ours, .unit = "ms"};
            const double times = c.smoke() ? 8 : 2.2;  // small matrices: overhead counts
            r.bound = {.text = c.smoke() ? "ours <= 8 * baseline" : "ours <= 2.2 * baseline",
                       .left = r.ours->value,
                       .op = "<=",
                       .right = times * r.baseline->value};
            return r;
          }};
}

Vector numbers_of(const std::filesystem::path& file, char separator) {
  std::ifstream in(file);
  Vector all;
  std::string line;
  while (std::getline(in, line)) {
    std::replace(line.begin(), line.end(), separator, ' ');
    std::istringstream words(line);
    for (double v; words >> v;) all.push_back(v);
  }
  if (all.empty()) throw Error(ExitCode::kData, "holds no numbers", file.string());
  return all;
}

// Coal mining disasters in 333 bins: negative log density of each bin by all others.
Bar coal_bar() {
  return {
      .id = "4",
      .part = "d",
      .title =
          "coal mining disasters (Poisson), left-out bins: expectation propagation, "
          "variational inference and inducing points against dense Laplace",
      .metric = "NLPD",
      .unit = "nats",
      .bound = "ours <= 1.03 * baseline",
      .smoke = true,
      .desk = true,
      .measure = [](StudyContext& c) {
        Vector all = numbers_of(c.data("classic/gp/coal/binned.csv"), ',');
        const at::Tensor table =
            at::from_blob(all.data(), {static_cast<int64_t>(all.size()) / 2, 2}, at::kDouble);
        const at::Tensor x = table.slice(1, 0, 1).contiguous(), y = table.select(1, 1).contiguous();
        std::vector<std::vector<nlohmann::json>> rows;
        double baseline = 0, most = 0;
        for (const std::string method : {"laplace", "ep", "vi", "svgp"}) {
          stat::RegressionOptions o{.kernel = "matern52", .likelihood = "poisson"};
          o.method = method;
          o.restarts = 1;
          o.inducing = method == "svgp" ? 40 : 0;
          o.steps = method == "svgp" ? 40 : 200;
          const double begin = wall_seconds();
          const stat::Regression gp(x, y, o);
          const auto [mean, variance] = gp.leave_one_out();
          const double value = stat::predictive_scores(*gp.likelihood(), mean, variance, y).nlpd;
          rows.push_back({method, value, gp.report().log_likelihood, wall_seconds() - begin});
          if (method == "laplace") {
            baseline = value;
          } else {
            most = std::max(most, value);
          }
        }
        c.table({.name = "coal mining disasters, Poisson, Matern 5/2",
                 .columns = {"method", "NLPD", "log evidence", "s"},
                 .rows = rows});
        BarResult r;
        r.baseline = Quantity{.name = "dense Laplace", .value = baseline, .unit = "nats"};
        r.ours = Quantity{.value = most, .unit = "nats"};
        r.bound = {
            .text = "ours <= 1.03 * baseline", .left = most, .op = "<=", .right = 1.03 * baseline};
        return r;
      }};
}

// 400 rows learned, the others labelled.
double banknote_error(StudyContext& c) {
  Vector all = numbers_of(c.data("classic/banknote_authentication.csv"), ',');
  const int64_t n = static_cast<int64_t>(all.size()) / 5;
  const at::Tensor table = at::from_blob(all.data(), {n, 5}, at::kDouble);
  const std::vector<int64_t> order = Random(c.seed(), stream_of("study.banknote")).permutation(n);
  const at::Tensor rows = at::tensor(order, at::kLong);
  const at::Tensor x = table.slice(1, 0, 4).index_select(0, rows).contiguous(),
                   y = table.select(1, 4).index_select(0, rows).contiguous();
  stat::LatentOptions o;
  o.kernel = "rbf(ard)";
  o.starts = 1;
  const int64_t some = c.smoke() ? 150 : 400;
  const stat::LatentProcess gp(x.slice(0, 0, some).contiguous(), y.slice(0, 0, some).contiguous(),
                               o);
  const stat::LatentPrediction f = gp.predict(x.slice(0, some).contiguous());
  return 1 -
         stat::predictive_scores(gp.likelihood(), f.mean, f.variance, y.slice(0, some)).accuracy;
}

}  // namespace

std::vector<Bar> process_likelihood_bars() {
  return {limited("1", "k",
                  "Laplace, expectation propagation and variational inference with a Gaussian "
                  "likelihood against dense",
                  "largest error", "1", {1e-8, 1e-8}, conjugate_error),
          limited("1", "l", "gradients of likelihoods' evidence and bounds against differences",
                  "largest relative error", "1", {1e-6, 1e-6}, slope_error),
          limited("1", "m",
                  "stochastic variational bound at q's optimum against the collapsed one, and with "
                  "every row inducing against the exact likelihood",
                  "largest difference", "nats", {1e-6, 1e-6}, collapsed_error),
          batch_bar(),
          coal_bar(),
          limited("4", "e", "banknotes by Laplace's approximation: held-out labels missed", "share",
                  "1", {0.01, 0.05}, banknote_error)};
}

}  // namespace covary::studies
