// A command line understood: what the launcher hands to the library of verbs, as JSON text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace covary::cli {

struct Sweep {
  std::string key;  // a path of the verb's options, or data.NAME for a parameter of a sample: input
  std::vector<std::string> values;  // as text
};

struct Invocation {
  std::string verb;
  std::vector<std::string> inputs, outputs;  // outputs: every -o
  nlohmann::json options =
      nlohmann::json::object();  // the verb's options, nested, every resolved field
  nlohmann::json common =
      nlohmann::json::object();  // CommonOptions likewise; "tty" is null when it was not set
  std::vector<std::string> set;  // paths that were given, in that order
  std::vector<Sweep> sweeps;
  bool json = false;      // result document on stdout
  std::string json_file;  // or to this file
  bool list = false;      // --list where the verb answers it (study)

  nlohmann::json to_json() const;
  static Invocation from_json(const nlohmann::json& document);
};

// The options of a run's config.json: the verb's, and those common ones that change results (seed,
// threads, device, precision, parity).
nlohmann::json recorded_options(const Invocation& invocation);
const std::vector<std::string>& recorded_common();

}  // namespace covary::cli
