// What a process behind a likelihood assumes and how it is fitted; see latent.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/numeric/optimise/lbfgs_options.h"

namespace covary::stat {

struct LatentOptions {
  std::string kernel = "matern52(ard)";   // without white
  std::string likelihood = "bernoulli";   // see likelihood.h
  std::string mean = "const";             // of the function: zero, const
  std::string method = "laplace";         // laplace, ep, vi: over all rows
  bool fit = true;                        // false: parameters as they are, or by the data
  int64_t starts = 3;                     // first guesses that compete on a sample of the rows, 1
  int64_t sample = 300;                   // rows of that sample, 1
  int64_t seed = 0;                       // of the sample and the guesses
  int64_t memory_limit = 32'000'000'000;  // bytes for two matrices of all rows
  // Gradient in nats per unit of a logarithm.
  numeric::LbfgsOptions search{
      .iterations = 200, .gradient_tolerance = 1e-3, .value_tolerance = 1e-9};

  void describe(OptionList& o) {
    o.add("kernel", &kernel, "covariance function without white").common();
    o.add("likelihood", &likelihood, "of a value given the function").common();
    o.add("mean", &mean, "of the function").choices({"zero", "const"});
    o.add("method", &method, "how to infer").choices({"laplace", "ep", "vi"}).common();
    o.add("fit", &fit, "fit the parameters by the evidence");
    o.add("starts", &starts, "first guesses that compete on a sample").range(1, 1000);
    o.add("sample", &sample, "rows of that sample").range(1, 1e5).unit("rows");
    o.add("seed", &seed, "of the sample and the guesses").range(0, 9e15).common();
    o.add("memory_limit", &memory_limit, "bytes for two matrices").range(1, 1e15).size();
    o.group("search", search);
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "process options");
    };
    if (mean != "zero" && mean != "const") refuse("mean", "must be zero or const");
    if (method != "laplace" && method != "ep" && method != "vi")
      refuse("method", "must be laplace, ep or vi");
    if (starts < 1) refuse("starts", "must be at least 1");
    if (sample < 1) refuse("sample", "must be at least 1");
    if (seed < 0) refuse("seed", "must not be negative");
    if (memory_limit < 1) refuse("memory_limit", "must be at least 1");
    search.check();
  }
};

}  // namespace covary::stat
