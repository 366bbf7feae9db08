// What a nearest-neighbour Gaussian process assumes and how it is fitted; see vecchia.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/numeric/optimise/lbfgs_options.h"

namespace covary::stat {

struct VecchiaOptions {
  std::string kernel = "matern52(ard)";  // const and white are added, as in gp_options.h
  std::string mean = "const";            // zero, const
  int64_t neighbours = 30;               // that a value is conditioned on, 1
  bool fit = true;                       // false: parameters as stated, or by the data
  int64_t starts = 4;                    // first guesses that compete on a sample of the rows
  int64_t sample = 1000;                 // rows of that sample, which the dense process fits first
  int64_t seed = 0;                      // of sample and guesses
  numeric::LbfgsOptions search{
      .iterations = 100, .gradient_tolerance = 1e-2, .value_tolerance = 1e-9};

  void describe(OptionList& o) {
    o.add("kernel", &kernel, "covariance function").common();
    o.add("mean", &mean, "mean function").choices({"zero", "const"}).common();
    o.add("neighbours", &neighbours, "that a value is conditioned on").range(1, 1000).common();
    o.add("fit", &fit, "fit the parameters by the likelihood");
    o.add("starts", &starts, "first guesses that compete on a sample").range(1, 1000);
    o.add("sample", &sample, "rows of that sample").range(1, 1e5).unit("rows");
    o.add("seed", &seed, "of sample and guesses").range(0, 9e15).common();
    o.group("search", search);
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "process options");
    };
    if (mean != "zero" && mean != "const") refuse("mean", "must be zero or const");
    if (neighbours < 1 || neighbours > 1000) refuse("neighbours", "must lie in [1, 1000]");
    if (starts < 1) refuse("starts", "must be at least 1");
    if (sample < 1) refuse("sample", "must be at least 1");
    if (seed < 0) refuse("seed", "must not be negative");
    search.check();
  }
};

}  // namespace covary::stat
