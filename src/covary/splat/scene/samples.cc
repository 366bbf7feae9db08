// The generators of "sample:NAME,key=value,...", by name.
#include <algorithm>

#include "covary/core/base/sample_name.h"
#include "covary/splat/scene/samples.h"

namespace covary::scene {
namespace {

std::vector<SampleSource>& registry() {
  static std::vector<SampleSource> sources;
  return sources;
}

}  // namespace

void register_sample(SampleSource source) {
  std::vector<SampleSource>& all = registry();
  const auto same = std::find_if(all.begin(), all.end(),
                                 [&](const SampleSource& s) { return s.name == source.name; });
  if (same == all.end())
    all.push_back(std::move(source));
  else
    *same = std::move(source);
}

const std::vector<SampleSource>& samples() { return registry(); }

Capture make_sample(const std::string& where, const CaptureOptions& options) {
  const SampleName sample = parse_sample(where);
  std::vector<std::string> names;
  for (const SampleSource& s : samples()) {
    if (s.name == sample.name) return s.make(sample.parameters, options);
    names.push_back(s.name);
  }
  throw no_such_sample(where, sample.name, names);
}

}  // namespace covary::scene
