#include "covary/core/base/sample_name.h"

#include <algorithm>
#include <string_view>

#include "covary/core/base/options.h"

namespace covary {
namespace {

constexpr std::string_view kPrefix = "sample:";

}  // namespace

bool is_sample(const std::string& input) { return input.starts_with(kPrefix); }

SampleName parse_sample(const std::string& input) {
  SampleName s;
  const size_t first = std::min(input.find(','), input.size());
  s.name = input.substr(kPrefix.size(), first - kPrefix.size());
  for (size_t begin = first + 1; begin <= input.size();) {
    const size_t end = std::min(input.find(',', begin), input.size());
    const std::string word = input.substr(begin, end - begin);
    begin = end + 1;
    const size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error(ExitCode::kUsage, "'" + word + "' is not key=value", input,
                  "write sample:NAME,key=value,key=value");
    if (!s.parameters.emplace(word.substr(0, equals), word.substr(equals + 1)).second)
      throw Error(ExitCode::kUsage, "the parameter '" + word.substr(0, equals) + "' is given twice",
                  input);
  }
  return s;
}

Error no_such_sample(const std::string& input, const std::string& name,
                     const std::vector<std::string>& names) {
  const std::string near = nearest_word(name, names);
  std::string list;
  for (const std::string& n : names) list += (list.empty() ? "" : ", ") + n;
  return Error(ExitCode::kUsage, "there is no sample '" + name + "'", input,
               (near.empty() ? "" : "did you mean sample:" + near + "? ") +
                   (list.empty() ? "this program has no samples" : "the samples are " + list));
}

}  // namespace covary
