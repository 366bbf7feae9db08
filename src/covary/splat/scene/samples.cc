// The generators of "sample:NAME,key=value,...", by name.
#include <algorithm>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
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
  std::map<std::string, std::string> parameters;
  std::string name, rest = where.substr(std::string(kSamplePrefix).size());
  for (size_t part = 0; part == 0 || !rest.empty(); ++part) {
    const size_t comma = rest.find(',');
    const std::string word = rest.substr(0, comma);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
    if (part == 0) {
      name = word;
      continue;
    }
    const size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error(ExitCode::kUsage, "'" + word + "' is not key=value", where,
                  "write sample:NAME,key=value,key=value");
    if (!parameters.emplace(word.substr(0, equals), word.substr(equals + 1)).second)
      throw Error(ExitCode::kUsage, "the parameter '" + word.substr(0, equals) + "' is given twice",
                  where);
  }
  std::vector<std::string> names;
  for (const SampleSource& s : samples()) {
    if (s.name == name) return s.make(parameters, options);
    names.push_back(s.name);
  }
  std::string hint;
  const std::string near = nearest_word(name, names);
  if (!near.empty()) hint = "did you mean sample:" + near + "? ";
  std::string list;
  for (const std::string& n : names) list += (list.empty() ? "" : ", ") + n;
  throw Error(ExitCode::kUsage, "there is no sample '" + name + "'", where,
              hint + (list.empty() ? "this program has no samples" : "the samples are " + list));
}

}  // namespace covary::scene
