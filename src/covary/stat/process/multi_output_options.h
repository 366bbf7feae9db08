// What a process of several dependent outputs assumes and how it is fitted; see multi_output.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/numeric/optimise/lbfgs_options.h"

namespace covary::stat {

struct MultiOutputOptions {
  // Covariance of each latent process, without const and white: its scale is in the outputs' matrix.
  // One: intrinsic coregionalisation; several: the linear model of it.
  std::vector<std::string> kernels = {"matern52(ard)"};
  int64_t rank = 1;            // columns of the loadings of each latent process, 0 to the outputs
  std::string mean = "const";  // of each output: zero, const by generalised least squares
  bool fit = true;             // false: parameters by the data, kernels as their texts state them
  int64_t seed = 0;            // of the starts by the data
  int64_t memory_limit = 32'000'000'000;  // bytes for the matrix of all values
  numeric::LbfgsOptions search{
      .iterations = 200, .gradient_tolerance = 1e-3, .value_tolerance = 1e-10};

  void describe(OptionList& o) {
    o.add("kernels", &kernels, "covariance of each latent process").common();
    o.add("rank", &rank, "of each matrix between outputs").range(0, 1000).common();
    o.add("mean", &mean, "mean of each output").choices({"zero", "const"}).common();
    o.add("fit", &fit, "fit the parameters by marginal likelihood");
    o.add("seed", &seed, "of the starts by the data").range(0, 9e15).common();
    o.add("memory_limit", &memory_limit, "bytes for the matrix of all values")
        .range(1, 1e15)
        .size();
    o.group("search", search);
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "process options");
    };
    if (kernels.empty()) refuse("kernels", "must name one at least");
    if (rank < 0) refuse("rank", "must not be negative");
    if (mean != "zero" && mean != "const") refuse("mean", "must be zero or const");
    if (seed < 0) refuse("seed", "must not be negative");
    if (memory_limit < 1) refuse("memory_limit", "must be at least 1");
    search.check();
  }
};

}  // namespace covary::stat
