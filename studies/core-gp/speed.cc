// Bar 2 of core-gp: what a fit repeats, against the factorisation of the same
// BLAS in the same run.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/machine.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/iterative.h"
#include "covary/stat/process/marginal.h"
#include "studies/core-gp/bars.h"
#include "studies/shared/timing.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

// CPU seconds on one thread, the least of several turns.
struct Times {
  double ours = INFINITY, floor = INFINITY, factor = INFINITY, gemm = INFINITY;
};

template <class F>
void least(double* seconds, F&& work) {
  const double begin = cpu_seconds();
  work();
  *seconds = std::min(*seconds, cpu_seconds() - begin);
}

Times measure(StudyContext& c, int64_t n, int turns) {
  return c.shared<Times>("times " + std::to_string(n), [&] {
    const OneThread one_thread;
    const at::Tensor x = normal_tensor(20, {n, 8}).abs(), y = smooth_values(x, 21, 0.1);
    const stat::GpData data = stat::GpData::from(x, y, {}, stat::Mean::kZero);
    const stat::Kernel kernel = stat::Kernel::parse("const*rbf(ard) + white(0.1)", 8);
    stat::MarginalLikelihood likelihood(data, int64_t{1} << 34);
    std::vector<double> gradient(kernel.parameters().size());
    const int64_t stride = stat::padded_stride(n);
    at::Tensor k = at::empty({n, stride}, at::kDouble), copy = at::empty_like(k);
    kernel.matrix(x.const_data_ptr<double>(), n, k.data_ptr<double>(), stride);
    Times t;
    for (int turn = 0; turn < turns; ++turn) {
      least(&t.ours, [&] { likelihood.evaluate(kernel, gradient); });
      copy.copy_(k);
      least(&t.floor, [&] {
        const linalg::OneBlasThread one;
        linalg::potrf(n, copy.data_ptr<double>(), stride);
        linalg::potri(n, copy.data_ptr<double>(), stride);
      });
      copy.copy_(k);
      least(&t.factor, [&] { linalg::cholesky({copy.data_ptr<double>(), n, stride}); });
      least(&t.gemm, [&] {
        const linalg::OneBlasThread one;
        linalg::gemm(false, false, n, n, n, 1, k.data_ptr<double>(), stride, k.data_ptr<double>(),
                     stride, 0, copy.data_ptr<double>(), stride);
      });
    }
    const double cube = std::pow(static_cast<double>(n), 3);
    c.table(
        {.name = "one thread, n = " + std::to_string(n) + ", ARD RBF, d = 8, CPU s",
         .columns = {"likelihood + gradient", "dpotrf + dpotri", "our Cholesky", "dgemm",
                     "Cholesky flop/s", "dgemm flop/s"},
         .rows = {{t.ours, t.floor, t.factor, t.gemm, cube / 3 / t.factor, 2 * cube / t.gemm}}});
    return t;
  });
}

Bar against_floor(const std::string& part, int64_t n, int turns, bool smoke) {
  return {.id = "2",
          .part = part,
          .title = "marginal likelihood + gradient, ARD RBF, d = 8, n = " + std::to_string(n) +
                   ", against dpotrf + dpotri",
          .metric = "time ratio",
          .unit = "1",
          .bound = "ours <= 1.5 * baseline",
          .smoke = smoke,
          .desk = !smoke,
          .measure = [=](StudyContext& c) {
            const Times t = measure(c, n, turns);
            BarResult r;
            r.baseline = Quantity{.name = "dpotrf + dpotri", .value = t.floor, .unit = "s"};
            r.ours = Quantity{.value = t.ours, .unit = "s"};
            // A small matrix on a busy machine: this tells only that nothing is
            // of a worse order.
            const double times = c.smoke() ? 4 : 1.5;
            r.bound = {.text = c.smoke() ? "ours <= 4 * baseline" : "ours <= 1.5 * baseline",
                       .left = t.ours,
                       .op = "<=",
                       .right = times * t.floor};
            return r;
          }};
}

}  // namespace

std::vector<Bar> process_speed_bars() {
  std::vector<Bar> bars = {against_floor("a", 400, 3, true), against_floor("b", 2000, 5, false),
                           against_floor("c", 5000, 3, false)};
  bars.push_back({.id = "2",
                  .part = "d",
                  .title = "Cholesky factorisation's rate against dgemm's, one thread, n "
                           "= 2000",
                  .metric = "rate ratio",
                  .unit = "1",
                  .bound = "ours >= 0.6 * baseline",
                  .desk = true,
                  .measure = [](StudyContext& c) {
                    const Times t = measure(c, 2000, 5);
                    const double cube = 8e9;
                    BarResult r;
                    r.baseline =
                        Quantity{.name = "dgemm", .value = 2 * cube / t.gemm, .unit = "flop/s"};
                    r.ours = Quantity{.value = cube / 3 / t.factor, .unit = "flop/s"};
                    r.bound = {.text = "ours >= 0.6 * baseline",
                               .left = r.ours->value,
                               .op = ">=",
                               .right = 0.6 * r.baseline->value};
                    return r;
                  }});
  bars.push_back(
      limited("2", "e", "predicted mean and variance, n = 2000, a point; a tenth of libgp's 0.5 ms",
              "wall time", "ms", {0.05, 5}, [](StudyContext& c) {
                const int64_t n = c.smoke() ? 300 : 2000, s = c.smoke() ? 500 : 5000;
                const at::Tensor x = normal_tensor(22, {n, 8}), xs = normal_tensor(23, {s, 8});
                stat::GpOptions o;
                o.fit = false;
                const stat::GaussianProcess gp(x, smooth_values(x, 24, 0.1), o);
                double best = INFINITY;
                for (int turn = 0; turn < 5; ++turn) {
                  const double begin = wall_seconds();
                  gp.predict(xs);
                  best = std::min(best, wall_seconds() - begin);
                }
                return 1e3 * best / static_cast<double>(s);
              }));
  Bar fit = limited("2", "f", "one exact fit, ARD Matern 5/2, d = 8, n = 4000", "wall time", "s",
                    {180, 180}, [](StudyContext&) {
                      const at::Tensor x = normal_tensor(25, {4000, 8});
                      const double begin = wall_seconds();
                      const stat::GaussianProcess gp(x, smooth_values(x, 26, 0.1));
                      return wall_seconds() - begin;
                    });
  fit.smoke = false;
  fit.takes_long = true;
  bars.push_back(fit);
  for (Bar& bar : likelihood_peer_bars()) bars.push_back(std::move(bar));
  bars.push_back(
      {.id = "2",
       .part = "h",
       .title =
           "conjugate gradients, likelihood with gradient, Matern 5/2, n = 8000, d = 8, against "
           "factor and inverse; against GPyTorch: bench/peers/cg.py",
       .metric = "CPU time, one thread",
       .unit = "s",
       .bound = "ours <= 0.7 * baseline",
       .desk = true,
       .takes_long = true,
       .measure = [](StudyContext&) {
         const OneThread one_thread;
         const int64_t n = 8000;
         const at::Tensor x = normal_tensor(40, {n, 8}).sigmoid(), y = smooth_values(x, 41, 0.1);
         const stat::GpData data = stat::GpData::from(x, y, {}, stat::Mean::kZero);
         const stat::Kernel kernel = stat::Kernel::parse("const*matern52(ard) + white(0.1)", 8);
         std::vector<double> gradient(kernel.parameters().size());
         const stat::IterativeOptions options;
         stat::IterativeLikelihood likelihood(data.groups[0], 0, options);
         double ours = INFINITY, floor = INFINITY;
         least(&ours, [&] {
           likelihood.choose_pivots(kernel);
           likelihood.evaluate(kernel, gradient, 1e-3, nullptr);
         });
         const int64_t stride = stat::padded_stride(n);
         at::Tensor k = at::empty({n, stride}, at::kDouble);
         kernel.matrix(x.const_data_ptr<double>(), n, k.data_ptr<double>(), stride);
         least(&floor, [&] {
           const linalg::OneBlasThread one;
           linalg::potrf(n, k.data_ptr<double>(), stride);
           linalg::potri(n, k.data_ptr<double>(), stride);
         });
         BarResult r;
         r.baseline = Quantity{.name = "dpotrf + dpotri", .value = floor, .unit = "s"};
         r.ours = Quantity{.value = ours, .unit = "s"};
         r.bound = {
             .text = "ours <= 0.7 * baseline", .left = ours, .op = "<=", .right = 0.7 * floor};
         return r;
       }});
  return bars;
}

}  // namespace covary::studies
