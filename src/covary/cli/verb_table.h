// The one table of verbs: name, group, summary, what stands where, and the options struct. Help,
// parsing, did-you-mean and the library of verbs all read it.
//
// A verb of statistics has actions: `covary mixture fit TABLE`. Each action is a Verb of its own,
// named by both words ("mixture fit"), with its own shape, options and files; the verb above them
// keeps name, group, summary and shape alone.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/core/base/options.h"

namespace covary::cli {

// An options struct with its list, of whatever type.
class BoundOptions {
 public:
  virtual ~BoundOptions() = default;
  virtual OptionList& list() = 0;
  virtual void check() const = 0;
};

template <class T>
class BoundOptionsOf : public BoundOptions {
 public:
  OptionList& list() override { return list_; }
  void check() const override { options_.check(); }

 private:
  T options_;
  OptionList list_{options_};
};

struct Verb {
  std::string name, group, summary;
  std::string shape;    // "CAPTURE -o RUN"
  std::string example;  // a command that works, for hints
  int min_inputs = 0, max_inputs = 0;
  std::function<std::unique_ptr<BoundOptions>()> make;
  std::vector<std::string>
      common;  // names of common options that it takes beside those that all take
  std::vector<std::string> stages = {};   // of --from and --until
  std::vector<std::string> reports = {};  // what --report writes, by extension
  std::vector<std::string> plots = {};    // likewise --plot
  // What --parity sets, given all resolved options: an object for OptionList::apply.
  std::function<nlohmann::json(const nlohmann::json& resolved)> parity = {};
  std::vector<Verb> actions = {};  // empty: the verb itself is run
  bool sweeps = false;             // takes --sweep, --repeats
  // Its options are steps in the order typed, inputs and outputs among them: each input is a step
  // next_scene, each -o a step merge.
  bool chain = false;

  std::string action() const { return name.substr(name.find(' ') + 1); }  // "fit" of "mixture fit"
};

const std::vector<Verb>& verbs();
// What can be run: verbs without actions, and the actions of the others.
const std::vector<const Verb*>& commands();
const Verb* find_verb(std::string_view name);  // also "mixture fit"
// An action by its word (train is fit) or null.
const Verb* find_action(const Verb& verb, std::string_view word);
// "fit, predict, score"
std::string action_words(const Verb& verb);

// Whether the verb takes the common option.
bool takes_common(const Verb& verb, std::string_view option);

// Why the verb does not take a common option, and what to use instead.
struct Refusal {
  std::string what, hint;
};
Refusal refusal_of(const Verb& verb, const std::string& option);

// Words that people type for verbs: the verb that is meant, or empty. "play" with an output is
// render.
std::string verb_synonym(std::string_view word);

// Verbs that this version does not have yet.
const std::vector<std::string>& planned_verbs();

// The command for a method or a published system that was typed as a verb: "covary train CAPTURE
// --strategy mcmc"; or empty.
std::string command_for(std::string_view word);

// A flag that people bring from other programs, and ours; both snake_case, without dashes.
struct FlagSynonym {
  std::string from, to;
};
const std::vector<FlagSynonym>& flag_synonyms();

}  // namespace covary::cli
