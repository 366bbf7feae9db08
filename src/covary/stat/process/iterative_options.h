// What an exact Gaussian process by conjugate gradients assumes and how it is fitted; see
// iterative.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/numeric/optimise/lbfgs_options.h"

namespace covary::stat {

struct IterativeOptions {
  std::string kernel = "matern52(ard)";  // as in gp_options.h: const and white are added
  std::string mean = "const";            // zero, const, linear: by generalised least squares
  int64_t rank = 0;  // of the preconditioner; 0: 8 sqrt(n) in [100, 2000], as memory allows
  // Random vectors for determinant and traces, 1: with y and a constant mean 16 right-hand sides,
  // whole registers of a product.
  int64_t probes = 14;
  double probe_tolerance = 1e-2;  // their residual, relative
  double tolerance = 1e-4;    // of predictions: means in prior standard deviations, variances in
                              // prior variances
  int64_t iterations = 1000;  // of one solve, at most
  int64_t single = 3000;      // rows from which kernel entries are floats, checked by doubles
  std::string variances = "solve";  // solve: to tolerance, a solution a point; near: from above, by
                                    // the `near` rows of largest covariance
  int64_t near = 512;               // rows
  bool fit = true;        // false: parameters as the kernel's text states them, or by the data
  int64_t starts = 4;     // first guesses that compete on a sample of the rows
  int64_t sample = 2000;  // rows of that sample, which the dense process fits first
  int64_t seed = 0;       // of sample, guesses and probes
  int64_t memory_limit =
      4'000'000'000;  // bytes for kernel entries that are kept, and for the preconditioner
  // Gradient: nats per unit of a logarithm. The likelihood carries the noise of its probes, and
  // curves like the number of rows.
  numeric::LbfgsOptions search{.iterations = 50, .gradient_tolerance = 1, .value_tolerance = 1e-6};

  void describe(OptionList& o) {
    o.add("kernel", &kernel, "covariance function, e.g. const*matern52(ard) + white").common();
    o.add("mean", &mean, "mean function").choices({"zero", "const", "linear"}).common();
    o.add("rank", &rank, "of the preconditioner; 0 = by the rows").range(0, 1e4);
    o.add("probes", &probes, "random vectors for determinant and traces").range(1, 1000);
    o.add("probe_tolerance", &probe_tolerance, "their relative residual").range(0, 1);
    o.add("tolerance", &tolerance, "of predictions, in prior deviations").range(0, 1);
    o.add("iterations", &iterations, "of one solve, at most").range(1, 1e6);
    o.add("single", &single, "rows from which kernel entries are floats").range(0, 1e15);
    o.add("variances", &variances, "a solution a point, or from above by near rows")
        .choices({"solve", "near"});
    o.add("near", &near, "rows that such a variance knows").range(1, 1e4).unit("rows");
    o.add("fit", &fit, "fit the kernel's parameters by marginal likelihood");
    o.add("starts", &starts, "first guesses that compete on a sample").range(1, 1000);
    o.add("sample", &sample, "rows of that sample").range(1, 1e5).unit("rows");
    o.add("seed", &seed, "of sample, guesses and probes").range(0, 9e15).common();
    o.add("memory_limit", &memory_limit, "bytes for kernel entries that are kept")
        .range(0, 1e15)
        .size();
    o.group("search", search);
  }

  // Throws Error(kUsage) naming the field. The kernel is checked when the data are known.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "process options");
    };
    if (mean != "zero" && mean != "const" && mean != "linear") {
      refuse("mean", "must be zero, const or linear");
    }
    if (rank < 0) refuse("rank", "must not be negative");
    if (probes < 1) refuse("probes", "must be at least 1");
    if (!(probe_tolerance > 0 && probe_tolerance <= 1)) {
      refuse("probe_tolerance", "must lie in (0, 1]");
    }
    if (!(tolerance > 0 && tolerance <= 1)) refuse("tolerance", "must lie in (0, 1]");
    if (iterations < 1) refuse("iterations", "must be at least 1");
    if (single < 0) refuse("single", "must not be negative");
    if (variances != "solve" && variances != "near") refuse("variances", "must be solve or near");
    if (near < 1 || near > 10000) refuse("near", "must lie in [1, 10000]");
    if (starts < 1) refuse("starts", "must be at least 1");
    if (sample < 1) refuse("sample", "must be at least 1");
    if (seed < 0) refuse("seed", "must not be negative");
    if (memory_limit < 0) refuse("memory_limit", "must not be negative");
    search.check();
  }
};

}  // namespace covary::stat
