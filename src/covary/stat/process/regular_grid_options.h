// What a process on a grid with equal steps assumes and how it is fitted; see regular_grid.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/numeric/optimise/lbfgs_options.h"

namespace covary::stat {

struct RegularGridOptions {
  std::string kernel = "matern52(ard)";  // const and white are added, as in gp_options.h
  std::string mean = "const";            // zero, const
  bool fit = true;                       // false: parameters as stated, or by the data
  int64_t starts = 4;                    // first guesses that compete on a sample of the cells
  int64_t sample = 500;                  // cells of that sample, which the dense process fits first
  int64_t probes = 16;                   // random vectors for determinant and traces, 1
  double tolerance = 1e-9;               // relative residual of solutions, 1
  double probe_tolerance = 1e-4;         // of those for the probes, 1
  int64_t products = 2000;               // of one solve, at most
  int64_t seed = 0;                      // of sample, guesses and probes
  numeric::LbfgsOptions search{
      .iterations = 100, .gradient_tolerance = 1e-2, .value_tolerance = 1e-9};

  void describe(OptionList& o) {
    o.add("kernel", &kernel, "covariance function of differences").common();
    o.add("mean", &mean, "mean function").choices({"zero", "const"}).common();
    o.add("fit", &fit, "fit the parameters by marginal likelihood");
    o.add("starts", &starts, "first guesses that compete on a sample").range(1, 1000);
    o.add("sample", &sample, "cells of that sample").range(1, 1e5).unit("cells");
    o.add("probes", &probes, "random vectors for determinant and traces").range(2, 1000);
    o.add("tolerance", &tolerance, "relative residual of solutions").range(1e-14, 0.1);
    o.add("probe_tolerance", &probe_tolerance, "of those for the probes").range(1e-14, 0.1);
    o.add("products", &products, "of one solve, at most").range(1, 1e6);
    o.add("seed", &seed, "of sample, guesses and probes").range(0, 9e15).common();
    o.group("search", search);
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "process options");
    };
    if (mean != "zero" && mean != "const") refuse("mean", "must be zero or const");
    if (starts < 1) refuse("starts", "must be at least 1");
    if (sample < 1) refuse("sample", "must be at least 1");
    if (probes < 2) refuse("probes", "must be at least 2");
    if (!(tolerance > 0 && tolerance < 1)) refuse("tolerance", "must lie between 0 and 1");
    if (!(probe_tolerance > 0 && probe_tolerance < 1))
      refuse("probe_tolerance", "must lie between 0 and 1");
    if (products < 1) refuse("products", "must be at least 1");
    if (seed < 0) refuse("seed", "must not be negative");
    search.check();
  }
};

}  // namespace covary::stat
