// Bar 4f of core-gp: accelerations of a helmet, whose noise changes over time.
#include <cmath>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/machine.h"
#include "covary/core/base/random.h"
#include "covary/core/data/table.h"
#include "covary/stat/process/regression.h"
#include "covary/stat/process/row_process.h"
#include "covary/stat/process/scores.h"
#include "studies/core-gp/bars.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

at::Tensor matrix_of(const stat::Kernel& kernel, const at::Tensor& a, const at::Tensor& b) {
  at::Tensor k = at::empty({a.size(0), b.size(0)}, at::kDouble);
  kernel.cross(a.const_data_ptr<double>(), a.size(0), b.const_data_ptr<double>(), b.size(0),
               k.data_ptr<double>(), b.size(0));
  return k;
}

// Sum of the log densities of new values by Laplace's approximation with the expected curvature,
// written out with one matrix of both functions at all rows; parameters as `gp` has them.
double dense_laplace(const stat::RowProcess& gp, const at::Tensor& xs, const at::Tensor& ys) {
  const at::Tensor x = gp.x(), y = gp.y();
  const int64_t n = x.size(0), s = xs.size(0);
  const at::Tensor none = at::zeros({n, n}, at::kDouble), out = at::zeros({s, n}, at::kDouble);
  const stat::Kernel &kf = gp.kernels()[0], &kg = gp.kernels()[1];
  const at::Tensor k =
      at::cat({at::cat({matrix_of(kf, x, x), none}, 1), at::cat({none, matrix_of(kg, x, x)}, 1)});
  const double mf = gp.means()[0], mg = gp.means()[1];
  at::Tensor a = at::zeros({2 * n}, at::kDouble), z = a.clone(), inner;
  const auto value = [&](const at::Tensor& weights, const at::Tensor& at) {
    const at::Tensor r = y - mf - at.slice(0, 0, n), g = at.slice(0, n) + mg;
    return (-0.5 * (g + r.square() * (-g).exp())).sum().item<double>() -
           0.5 * weights.dot(at).item<double>();
  };
  double now = value(a, z);
  for (int turn = 0; turn < 500; ++turn) {
    const at::Tensor r = y - mf - z.slice(0, 0, n), p = (-(z.slice(0, n) + mg)).exp();
    const at::Tensor slope = at::cat({r * p, 0.5 * (r.square() * p - 1)}),
                     w = at::cat({p, at::full({n}, 0.5, at::kDouble)});
    inner = at::linalg_inv(k + (1 / w).diag());
    const at::Tensor b = w * z + slope, da = b - inner.mv(k.mv(b)) - a, dz = k.mv(da);
    if (dz.abs().max().item<double>() < 1e-10) break;
    double step = 1;
    for (; step > 1e-6; step *= 0.5) {
      const double next = value(a + step * da, z + step * dz);
      if (next > now) {
        now = next;
        break;
      }
    }
    if (step <= 1e-6) break;
    a = a + step * da;
    z = z + step * dz;
  }
  const at::Tensor cross =
      at::cat({at::cat({matrix_of(kf, xs, x), out}, 1), at::cat({out, matrix_of(kg, xs, x)}, 1)});
  const at::Tensor mean = cross.mv(a), explained = (cross.mm(inner) * cross).sum(1);
  at::Tensor prior_f = at::empty({s}, at::kDouble), prior_g = at::empty({s}, at::kDouble);
  kf.diagonal(xs.const_data_ptr<double>(), s, false, prior_f.data_ptr<double>());
  kg.diagonal(xs.const_data_ptr<double>(), s, false, prior_g.data_ptr<double>());
  double sum = 0;
  for (int64_t i = 0; i < s; ++i) {
    const std::vector<double> m{mf + mean[i].item<double>(), mg + mean[s + i].item<double>()},
        v{prior_f[i].item<double>() - explained[i].item<double>(),
          prior_g[i].item<double>() - explained[s + i].item<double>()};
    sum += stat::RowLikelihood::predictive_log_density(ys[i].item<double>(), m, v);
  }
  return sum;
}

}  // namespace

Bar motorcycle_bar() {
  return {.id = "4",
          .part = "f",
          .title =
              "motorcycle data, noise that changes over time, held-out rows of ten folds: fit and "
              "prediction in linear time against dense Laplace with the same parameters",
          .metric = "NLPD",
          .unit = "nats",
          .bound = "ours <= baseline + 0.03 |baseline|",
          .smoke = true,
          .desk = true,
          .measure = [](StudyContext& c) {
            const data::Table table = data::read_table(c.data("classic/mcycle.csv"));
            const auto column = [&](const char* name) {
              at::Tensor t = at::empty({table.rows}, at::kDouble);
              for (int64_t i = 0; i < table.rows; ++i)
                t.data_ptr<double>()[i] = table.at(i, table.column(name));
              return t;
            };
            const at::Tensor x = column("times").unsqueeze(1), y = column("accel");
            const std::vector<int64_t> order =
                Random(c.seed(), stream_of("study.motorcycle")).permutation(table.rows);
            constexpr int64_t kFolds = 10;
            const int64_t folds = c.smoke() ? 3 : kFolds;
            double ours = 0, dense = 0, laplace = 0, constant = 0, rows = 0;
            double seconds = 0, dense_seconds = 0;
            for (int64_t fold = 0; fold < folds; ++fold) {
              std::vector<int64_t> kept, held;
              for (size_t i = 0; i < order.size(); ++i)
                (static_cast<int64_t>(i) % kFolds == fold ? held : kept).push_back(order[i]);
              const auto rows_of = [](const at::Tensor& t, const std::vector<int64_t>& list) {
                return t.index_select(0, at::tensor(list, at::kLong)).contiguous();
              };
              const at::Tensor xk = rows_of(x, kept), yk = rows_of(y, kept), xh = rows_of(x, held),
                               yh = rows_of(y, held);
              stat::RowProcessOptions o;
              o.kernel = "matern52";
              o.method = "state-space";
              double begin = wall_seconds();
              const stat::RowProcess gp(xk, yk, o);
              ours -= gp.log_densities(gp.predict(xh), yh).sum().item<double>();
              seconds += wall_seconds() - begin;
              o.method = "vi";
              begin = wall_seconds();
              const stat::RowProcess all(xk, yk, o);
              dense -= all.log_densities(all.predict(xh), yh).sum().item<double>();
              dense_seconds += wall_seconds() - begin;
              laplace -= dense_laplace(gp, xh, yh);
              const stat::Regression same(xk, yk, {.kernel = "matern52"});
              const auto [mean, variance] = same.predict(xh, true);
              constant += stat::predictive_scores(mean, variance, yh).nlpd *
                          static_cast<double>(held.size());
              rows += static_cast<double>(held.size());
            }
            ours /= rows;
            laplace /= rows;
            c.table({.name = "motorcycle data, " + std::to_string(folds) + " folds, Matern 5/2",
                     .columns = {"method", "NLPD", "s, all folds"},
                     .rows = {{"changing noise, state-space", ours, seconds},
                              {"changing noise, dense variational", dense / rows, dense_seconds},
                              {"changing noise, dense Laplace", laplace, nullptr},
                              {"one noise, exact", constant / rows, nullptr}}});
            BarResult r;
            r.baseline = Quantity{.name = "dense Laplace", .value = laplace, .unit = "nats"};
            r.ours = Quantity{.value = ours, .unit = "nats"};
            r.bound = {.text = "ours <= baseline + 0.03 |baseline|",
                       .left = ours,
                       .op = "<=",
                       .right = laplace + 0.03 * std::abs(laplace)};
            return r;
          }};
}

}  // namespace covary::studies
