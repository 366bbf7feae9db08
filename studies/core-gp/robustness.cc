// Bar 5 of core-gp: hostile data give a finite answer or an error that says
// why; memory stays flat.
#include <algorithm>
#include <cmath>
#include <exception>
#include <fstream>
#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/sparse.h"
#include "covary/stat/process/state_space.h"
#include "studies/core-gp/bars.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::StudyContext;

bool sound(const at::Tensor& mean, const at::Tensor& variance) {
  return mean.isfinite().all().item<bool>() && variance.isfinite().all().item<bool>() &&
         variance.ge(0).all().item<bool>();
}

// One small data set with duplicates, equal values, few rows or many columns,
// on any scale: true when what came back is finite or a typed error.
bool survives(uint64_t seed, int* answers) {
  const Random random(seed, stream_of("study.hostile"));
  const int64_t n = 1 + static_cast<int64_t>(random.below(seed % 3 == 0 ? 5 : 25, 0));
  const int64_t d = seed % 7 == 0 ? 50 : 1 + static_cast<int64_t>(random.below(4, 1));
  const double sx = std::pow(10, -8 + 16 * random.uniform(2));
  const double sy = std::pow(10, -8 + 16 * random.uniform(3));
  at::Tensor x = normal_tensor(seed + 1, {n, d}) * sx, y = normal_tensor(seed + 2, {n}) * sy;
  if (seed % 2 == 0 && n > 2) x[1] = x[0];
  if (seed % 5 == 0) y.fill_(seed % 10 == 0 ? 0 : sy);
  if (seed % 11 == 0) x = x + 1e6 * sx;
  if (seed % 13 == 0) x.select(1, 0).fill_(sx);
  if (seed % 17 == 0) y[0] = NAN;
  if (seed % 19 == 0) x[0][0] = INFINITY;
  const at::Tensor xs = at::cat({x, normal_tensor(seed + 3, {3, d}) * sx}).nan_to_num(0, 0, 0);
  static constexpr const char* kKernels[] = {
      "matern52(ard)",         "rbf",     "const*rbf + linear", "periodic(dims=0)*rbf",
      "matern12 + polynomial", "rq(ard)", "cosine(dims=0)"};
  try {
    bool good = true;
    if (seed % 4 == 1) {
      stat::SparseOptions o;
      o.kernel = seed % 8 == 1 ? "matern52(ard)" : "rbf";
      o.inducing = 5;
      o.search.iterations = 20;
      const stat::SparsePrediction p = stat::fit_sparse(x, y, o).predict(xs, true);
      good = sound(p.mean, p.variance);
    } else if (seed % 4 == 3 && d == 1) {
      stat::MarkovOptions o;
      o.search.iterations = 20;
      const stat::MarkovPrediction p =
          stat::fit_markov(x.select(1, 0).contiguous(), y, o).predict(xs.select(1, 0).contiguous());
      good = sound(p.mean, p.variance);
    } else {
      stat::GpOptions o;
      o.kernel = kKernels[seed % 7];
      o.mean = seed % 3 == 0 ? "zero" : "const";
      o.starts = 2;
      o.search.iterations = 20;
      const stat::Prediction p = stat::fit_gp(x, y, o).predict(xs);
      good = sound(p.mean, p.variance);
    }
    ++*answers;
    return good;
  } catch (const Error& e) {
    return !e.message().empty() && !e.where().empty();
  } catch (const std::exception&) {
    return false;  // what no type of ours names
  }
}

double hostile_faults(StudyContext& c) {
  const uint64_t sets = c.smoke() ? 100 : 1000;
  double faults = 0;
  int answers = 0;
  for (uint64_t seed = 0; seed < sets; ++seed) {
    if (survives(seed, &answers)) continue;
    c.log("data set " + std::to_string(seed) + " gave neither a finite answer nor a typed error");
    ++faults;
  }
  c.table({.name = "hostile data sets",
           .columns = {"sets", "answers", "typed errors", "faults"},
           .rows = {{sets, answers, static_cast<double>(sets) - answers - faults, faults}}});
  return faults;
}

double resident_bytes() {
  std::ifstream in("/proc/self/statm");
  double total = 0, resident = 0;
  in >> total >> resident;
  return resident * 4096;
}

// Growth of resident memory over many fits, after the first tenth of them.
double memory_growth(StudyContext& c) {
  const int fits = c.smoke() ? 40 : 500;
  const at::Tensor x = normal_tensor(40, {60, 3});
  double begin = 0;
  for (int i = 0; i < fits; ++i) {
    stat::GpOptions o;
    o.seed = i;
    o.search.iterations = 10;
    stat::fit_gp(x, smooth_values(x, static_cast<uint64_t>(i), 0.1), o);
    if (i == fits / 10) begin = resident_bytes();
  }
  return std::abs(resident_bytes() / begin - 1);
}

}  // namespace

std::vector<Bar> process_robustness_bars() {
  return {limited("5", "a", "small hostile data sets: neither a finite answer nor a typed error",
                  "data sets", "1", {0, 0}, hostile_faults),
          limited("5", "b", "resident memory over 500 fits", "relative change", "1", {0.05, 0.05},
                  memory_growth)};
}

}  // namespace covary::studies
