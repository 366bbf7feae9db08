#include "covary/stat/mixture/variational_mixture_options.h"

#include "covary/core/base/error.h"
#include "covary/stat/mixture/weight_prior_options.h"

namespace covary::mixture {

void VariationalMixtureOptions::describe(OptionList& o) {
  o.add("components", &components, "most components there can be").range(1, 1e6).common();
  o.add("starts", &starts, "seeds tried for each number of first clusters")
      .range(1, 10000)
      .common();
  o.add("steps", &steps, "steps at most").range(1, 1e9).common();
  o.add("tolerance", &tolerance, "stop when a step raises the bound by less")
      .range(0, 1e9)
      .unit("nats")
      .common();
  o.add("seed", &seed, "seed").common();
  describe_details(o);
}

void VariationalMixtureOptions::describe_details(OptionList& o) {
  describe_priors(*this, o);
  o.add("stream_power", &stream_power, "batch t of a stream counts (t + offset)^-power")
      .range(0.5, 1);
  o.add("stream_offset", &stream_offset, "larger, and early batches count less").range(0, 1e9);
  o.add("stream_gain", &stream_gain, "what every batch counts, for laws that drift; 0 = by power")
      .range(0, 1);
  o.add("stream_rows", &stream_rows, "rows that a stream stands for; 0 = all seen so far")
      .range(0, 1e15);
}

void VariationalMixtureOptions::check() const {
  check_priors(*this);
  const auto refuse = [](const char* what, const char* field) {
    throw Error(ExitCode::kUsage, what, field);
  };
  if (starts < 1) refuse("must be at least 1", "starts");
  if (steps < 1) refuse("must be at least 1", "steps");
  if (!(tolerance >= 0)) refuse("must not be negative", "tolerance");
  if (!(stream_power > 0.5 && stream_power <= 1)) refuse("must be in (0.5, 1]", "stream_power");
  if (!(stream_offset >= 0)) refuse("must not be negative", "stream_offset");
  if (!(stream_gain >= 0 && stream_gain <= 1)) refuse("must be in [0, 1]", "stream_gain");
  if (!(stream_rows >= 0)) refuse("must not be negative", "stream_rows");
}

}  // namespace covary::mixture
