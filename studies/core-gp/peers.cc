// Bars 2g and 3k of core-gp: beside GPyTorch, scikit-learn and plain torch in the same run.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/marginal.h"
#include "studies/core-gp/bars.h"
#include "studies/shared/peers.h"
#include "studies/shared/timing.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

// The arrays of bench/peers/gp.py: x_ik = frac((i + 1) sqrt(p_k)), p_k the primes.
stat::GpData peer_arrays(int64_t n) {
  const double primes[] = {2, 3, 5, 7, 11, 13, 17, 19};
  const at::Tensor x = at::empty({n, 8}, at::kDouble), y = at::empty({n}, at::kDouble);
  for (int64_t i = 0; i < n; ++i) {
    double sum = 0;
    for (int64_t k = 0; k < 8; ++k) {
      double whole;
      sum += x.data_ptr<double>()[8 * i + k] =
          std::modf(static_cast<double>(i + 1) * std::sqrt(primes[k]), &whole);
    }
    y.data_ptr<double>()[i] = std::sin(2 * sum) + 0.1 * std::cos(37 * static_cast<double>(i));
  }
  return stat::GpData::from(x, y, {}, stat::Mean::kZero);
}

struct Evaluation {
  double seconds = 0, log_likelihood = 0;
};

// Median CPU seconds of a likelihood with its gradient, one thread.
Evaluation own_evaluation(const std::string& kernel_name, int64_t n, int runs) {
  const stat::GpData data = peer_arrays(n);
  const stat::Kernel kernel = stat::Kernel::parse("const*" + kernel_name + "(ard) + white(0.1)", 8);
  stat::MarginalLikelihood likelihood(data, int64_t{1} << 34);
  std::vector<double> gradient(kernel.parameters().size());
  Evaluation e;
  e.seconds = median_seconds(
      runs, [&] { e.log_likelihood = likelihood.evaluate(kernel, gradient).log_likelihood; });
  return e;
}

struct Case {
  const char *part, *kernel, *peer;
  int64_t n;
  double times;
  bool takes_long;
};
constexpr Case kCases[] = {
    {"g", "matern52", "sklearn", 2000, 5, false}, {"g2", "matern52", "gpytorch", 2000, 3, false},
    {"g3", "rbf", "sklearn", 2000, 5, false},     {"g4", "rbf", "gpytorch", 2000, 5, false},
    {"g5", "rbf", "torch", 2000, 1.8, false},     {"g6", "rbf", "sklearn", 5000, 5, true},
    {"g7", "rbf", "gpytorch", 5000, 5, true},     {"g8", "rbf", "torch", 5000, 1.8, true}};
constexpr int kRuns = 3;

Bar beside(const Case& k) {
  char text[64];
  std::snprintf(text, sizeof text, "%s >= %gx ours", k.peer, k.times);
  return {.id = "2",
          .part = k.part,
          .title = "marginal likelihood + gradient, ARD " + std::string(k.kernel) +
                   ", d = 8, n = " + std::to_string(k.n) + ", beside " + k.peer,
          .metric = "CPU, one thread",
          .unit = "s",
          .bound = text,
          .desk = true,
          .takes_long = k.takes_long,
          .measure = [k](StudyContext& c) {
            const std::string job = std::string(k.kernel) + " --n " + std::to_string(k.n);
            const auto lines = peer_lines(c, "gp.py",
                                          "--json --kernel " + job + " --peers " + k.peer +
                                              " --repeats " + std::to_string(kRuns));
            const auto& own =
                c.shared<Evaluation>(job, [&] { return own_evaluation(k.kernel, k.n, kRuns); });
            const double theirs = peer_value(c, lines, k.peer, "log_likelihood");
            BarResult r = times_faster(k.peer, peer_value(c, lines, k.peer, "cpu"), own.seconds,
                                       k.times, kRuns);
            char note[96];
            std::snprintf(note, sizeof note, "log likelihoods differ by %.1e of their size",
                          std::abs(theirs - own.log_likelihood) / std::abs(theirs));
            r.note = note;
            return r;
          }};
}

// Ours less theirs, as a multiple of the standard error over splits; a thousandth is as good as equal.
double excess(const nlohmann::json& line, const std::string& score) {
  const double gap = line[score + "_gap"].get<double>(),
               error = line[score + "_error"].get<double>();
  return (gap - 1e-3) / std::max(error, 1e-12);
}

Bar beside_on(const std::string& part, const std::string& table, bool takes_long) {
  return {.id = "3",
          .part = part,
          .title = "uci/" + table +
                   ": exact process beside GPyTorch and scikit-learn, the same kernel and splits",
          .metric = "largest excess of RMSE or NLL over a peer's",
          .unit = "standard errors",
          .bound = "ours <= 2",
          .desk = true,
          .takes_long = takes_long,
          .measure = [=](StudyContext& c) {
            if (!std::filesystem::exists(c.data("uci/" + table) / "data.txt"))
              c.skip("uci/" + table + "/data.txt is not at hand");
            const auto lines = peer_lines(c, "gp_fit.py",
                                          this_program() + " uci --json --data '" +
                                              c.data("uci").string() + "' --sets " + table);
            eval::Table shown{.name = "uci/" + table + " beside peers, ten splits, ARD RBF",
                              .columns = {"who", "RMSE", "ours less", "standard error", "NLL",
                                          "ours less", "standard error", "CPU s a fit"},
                              .rows = {}};
            double most = -INFINITY;
            for (const nlohmann::json& line : lines) {
              shown.rows.push_back({line["who"], line["rmse"], line["rmse_gap"], line["rmse_error"],
                                    line["nll"], line["nll_gap"], line["nll_error"], line["cpu"]});
              if (!line["who"].get<std::string>().starts_with("covary"))
                most = std::max({most, excess(line, "rmse"), excess(line, "nll")});
            }
            c.table(shown);
            BarResult r;
            r.ours = Quantity{.value = most, .unit = "standard errors", .n = 10};
            r.bound = {.text = "ours <= 2", .left = most, .op = "<=", .right = 2};
            return r;
          }};
}

}  // namespace

std::vector<Bar> likelihood_peer_bars() {
  std::vector<Bar> bars;
  for (const Case& k : kCases) bars.push_back(beside(k));
  return bars;
}

std::vector<Bar> table_peer_bars(const std::string& part) {
  return {beside_on(part, "yacht", false), beside_on(part + "2", "bostonHousing", false),
          beside_on(part + "3", "energy", true), beside_on(part + "4", "concrete", true),
          beside_on(part + "5", "wine-quality-red", true)};
}

}  // namespace covary::studies
