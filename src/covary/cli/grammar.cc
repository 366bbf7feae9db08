#include "covary/cli/grammar.h"

#include <algorithm>
#include <filesystem>
#include <memory>

#include "covary/cli/common_options.h"
#include "covary/cli/help.h"
#include "covary/cli/presets.h"
#include "covary/cli/verb_table.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/sample_name.h"

namespace covary::cli {
namespace {

using nlohmann::json;

[[noreturn]] void usage(const std::string& what, const std::string& where,
                        const std::string& hint) {
  throw Error(ExitCode::kUsage, what, where, hint);
}

bool is_flag(const std::string& word) { return word.size() > 1 && word[0] == '-'; }

std::string snake(std::string text) {
  std::replace(text.begin(), text.end(), '-', '_');
  return text;
}

bool contains(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// A flag as typed: its name in snake_case without dashes, and the value after '='.
struct Flag {
  std::string typed;  // "--ssim-weight"
  std::string name;   // "ssim_weight"
  std::optional<std::string> value;
};

Flag flag_of(const std::string& word) {
  const size_t equals = word.find('=');
  Flag f;
  f.typed = word.substr(0, equals);
  f.name = snake(f.typed.substr(f.typed.find_first_not_of('-') == std::string::npos
                                    ? f.typed.size()
                                    : f.typed.find_first_not_of('-')));
  if (equals != std::string::npos) f.value = word.substr(equals + 1);
  return f;
}

json parse_json_file(const std::string& path, const std::string& flag) {
  const json document = json::parse(read_file(path), nullptr, false, true);
  if (document.is_discarded()) {
    std::string why;
    try {
      const json told = json::parse(read_file(path), nullptr, true, true);  // throws
    } catch (const json::exception& e) {
      why = e.what();
      why = why.substr(why.find("] ") == std::string::npos ? 0 : why.find("] ") + 2);
    }
    usage("is not JSON: " + why, flag + " " + path,
          "a config is JSON: {\"steps\": 500, \"loss\": {\"ssim_weight\": 0.2}}");
  }
  if (!document.is_object())
    usage("holds no object", flag + " " + path, "a config is JSON: {\"steps\": 500}");
  return document;
}

// A config file: {"verb", "inputs", "output", "options", ...} as a run writes it, or the options
// alone.
struct Config {
  std::string source;  // the file, for errors
  std::string verb;
  std::vector<std::string> inputs, outputs;
  json options = json::object();
};

Config read_config(const std::string& path, const std::string& flag) {
  Config c;
  c.source = path;
  const json document = parse_json_file(path, flag);
  const bool whole = (document.contains("options") && document["options"].is_object()) ||
                     (document.contains("verb") && document["verb"].is_string());
  if (!whole) {
    c.options = document;
    return c;
  }
  const auto words = [&](const std::string& key, std::vector<std::string>* out) {
    if (!document.contains(key)) return;
    const json& j = document[key];
    if (j.is_string()) {
      out->push_back(j);
      return;
    }
    if (!j.is_array() ||
        !std::all_of(j.begin(), j.end(), [](const json& x) { return x.is_string(); }))
      usage("expected text or a list of texts", path + ": " + key,
            R"(write "inputs": ["data/fox"])");
    *out = j.get<std::vector<std::string>>();
  };
  words("inputs", &c.inputs);
  words("output", &c.outputs);
  if (document.contains("verb")) {
    if (!document["verb"].is_string())
      usage("expected text", path + ": verb", R"(write "verb": "train")");
    c.verb = document["verb"];
  }
  if (document.contains("options")) {
    if (!document["options"].is_object())
      usage("expected an object", path + ": options", R"(write "options": {"steps": 500})");
    c.options = document["options"];
  }
  static const std::vector<std::string> known = {"verb",   "inputs",  "output",  "options",
                                                 "schema", "version", "machine", "files",
                                                 "seed",   "command", "created"};
  for (const auto& [key, value] : document.items()) {
    if (contains(known, key)) continue;
    const std::string near = nearest_word(key, known);
    usage("there is no such key", path + ": " + key,
          near.empty() ? "options stand under \"options\"" : "did you mean " + near + "?");
  }
  return c;
}

// One command line being read.
class Reader {
 public:
  explicit Reader(const std::vector<std::string>& args) : args_(args) {}

  Parsed read() {
    if (std::optional<std::string> text = find_the_verb()) return {*text, {}};
    if (!verb_->actions.empty())
      if (std::optional<std::string> text = find_the_action()) return {*text, {}};
    options_ = verb_->make();
    if (std::optional<std::string> text = help_text()) return {*text, {}};
    for (; at_ < args_.size(); ++at_) {
      const std::string& word = args_[at_];
      if (word == "--") {
        while (++at_ < args_.size()) take_input(args_[at_]);
        break;
      }
      if (!is_flag(word))
        take_input(word);
      else if (std::optional<std::string> text = take_flag())
        return {*text, {}};
    }
    return {"", resolve()};
  }

 private:
  // Where operations have an order, what stands before and after an input has another meaning.
  void take_input(const std::string& word) {
    inputs_.push_back(word);
    if (verb_->chain) record(false, "next_scene", "", word);
  }

  // Help wins over whatever else is on the line, also over what is wrong there.
  std::optional<std::string> help_text() const {
    for (size_t i = at_; i < args_.size() && args_[i] != "--"; ++i) {
      if (args_[i] == "--help" || args_[i] == "-h") return verb_help(*verb_, false);
      if (args_[i].rfind("--help=", 0) != 0) continue;
      const std::string kind = args_[i].substr(7);
      if (kind == "json") return verb_schema(*verb_);
      if (kind == "all") return verb_help(*verb_, true);
      usage("'" + kind + "' is none of the choices", "--help",
            "write --help, --help=all or --help=json");
    }
    return {};
  }

  // Sets verb_, and at_ to the first word after it; or returns a text to print.
  std::optional<std::string> find_the_verb() {
    if (args_.empty()) return overview();
    const std::string& first = args_[0];
    if (is_flag(first)) {
      const Flag f = flag_of(first);
      if (f.name == "help" || f.name == "h") {
        if (f.value == "json") return overview_json();
        return overview();
      }
      if (f.name == "version" || f.name == "V") return version_text();
      if (f.name == "list") return list_verbs();
      for (size_t i = 0; i < args_.size(); ++i) {
        const Flag g = is_flag(args_[i]) ? flag_of(args_[i]) : Flag{};
        if (g.name != "config") continue;
        const std::string path = g.value ? *g.value : i + 1 < args_.size() ? args_[i + 1] : "";
        if (path.empty()) usage("expects a file", g.typed, "write --config FILE.json");
        const std::string verb = read_config(path, "--config").verb;
        if (verb.empty())
          usage("names no verb", "--config " + path,
                "write the verb first: covary train CAPTURE --config " + path);
        set_verb(verb);
        return {};
      }
      for (const std::string& word : args_)
        if (find_verb(word))
          usage("the verb comes first", first, "write covary " + word + " ... " + first);
      usage("no verb given", first,
            "the verb comes first: covary train CAPTURE -o RUN; covary --help lists them");
    }
    at_ = 1;
    if (first == "help") {
      const Verb* verb = args_.size() > 1 ? find_verb(args_[1]) : nullptr;
      const Verb* action = verb && args_.size() > 2 ? find_action(*verb, args_[2]) : nullptr;
      return action ? verb_help(*action, false) : verb ? verb_help(*verb, false) : overview();
    }
    set_verb(first);
    return {};
  }

  // The second word of a verb that has actions: sets verb_ to the action.
  std::optional<std::string> find_the_action() {
    const Verb& verb = *verb_;
    const std::string word = at_ < args_.size() ? args_[at_] : "";
    if (const Verb* action = find_action(verb, word)) {
      verb_ = action;
      ++at_;
      return {};
    }
    if (std::optional<std::string> text = help_text()) return text;
    if (word == "--list") return verb_choices(verb);
    if (word == "--version") return version_text();
    const std::string name = "covary " + verb.name;
    std::vector<std::string> words;
    for (const Verb& action : verb.actions) words.push_back(action.action());
    const std::string all = "the actions are " + action_words(verb);
    const std::string near = nearest_word(word, words);
    if (word.empty() || is_flag(word))
      usage("no action given", name, all + "; for example: " + verb.actions[0].example);
    usage("there is no such action", name + " " + word,
          near.empty() ? all : "did you mean " + name + " " + near + "?");
  }

  static std::string list_verbs() {
    std::string out;
    for (const Verb& v : verbs()) out += v.name + "\n";
    return out;
  }

  bool has_output() const {
    return std::any_of(args_.begin(), args_.end(),
                       [](const std::string& w) { return w == "-o" || w.rfind("-o=", 0) == 0; });
  }

  void set_verb(const std::string& word) {
    std::string name = word;
    if (const std::string synonym = verb_synonym(word); !synonym.empty()) name = synonym;
    if (word == "play" && has_output()) name = "render";
    verb_ = find_verb(name);
    if (verb_) return;
    if (contains(planned_verbs(), name)) {
      usage("this verb is not in this version", name == word ? word : word + " (" + name + ")",
            "covary --help lists the verbs that this version has");
    }
    if (const std::string command = command_for(word); !command.empty()) {
      const std::string verb = command.substr(7, command.find(' ', 7) - 7);
      usage("this is a method, not a verb", word,
            (find_verb(verb) ? "write " : "not in this version yet; it will be ") + command);
    }
    std::error_code ignored;
    if (std::filesystem::exists(word, ignored) || is_sample(word))
      usage("the verb is missing", word,
            "write covary info " + word + " to see what it is, covary train " + word +
                " -o OUT to train it");
    std::vector<std::string> words = planned_verbs();
    for (const Verb& v : verbs()) words.push_back(v.name);
    const std::string near = nearest_word(word, words);
    usage("there is no such verb", word,
          near.empty() ? "covary --help lists the verbs" : "did you mean covary " + near + "?");
  }

  // The value of a flag that needs one: after '=', or the next word.
  std::string value_of(const Flag& f, const std::string& expects) {
    if (f.value) return *f.value;
    if (at_ + 1 >= args_.size() || args_[at_ + 1].rfind("--", 0) == 0)
      usage("expects " + expects, f.typed, "write " + f.typed + " " + expects);
    return args_[++at_];
  }

  void record(bool common, const std::string& path, const std::string& value,
              const std::string& source) {
    settings_.push_back({common, path, value, source});
  }

  // The list that resolves a name: the verb's own options before the common ones.
  const OptionField* find(const std::string& name, bool* common, bool* negated) {
    *common = false;
    if (const OptionField* f = options_->list().find_flag(name, negated)) return f;
    *common = true;
    return common_list_.find_flag(name, negated);
  }

  std::optional<std::string> take_flag() {
    const Flag f = flag_of(args_[at_]);
    const auto is = [&](std::initializer_list<const char*> names) {
      return std::any_of(names.begin(), names.end(), [&](const char* n) { return f.name == n; });
    };
    if (f.name.empty()) usage("there is no such option", args_[at_], "write --option value");
    if (f.typed[1] != '-' && f.name.size() > 1) {
      if (f.typed.find_first_not_of("0123456789.e-") == std::string::npos)
        usage("unexpected number", args_[at_], "a negative value stands right after its option");
      usage("there is no such option", f.typed, "options have two dashes: -" + f.typed);
    }
    const bool one_dash = f.typed[1] != '-';
    if (f.name == "d" && one_dash)
      usage("means two things in other programs, so it is not used here", "-d",
            "the input is a plain word: covary " + verb_->name + " " +
                verb_->shape.substr(0, verb_->shape.find_first_of(" .")) +
                "; its size --downscale N; the device --device cpu");

    if (is({"version"})) return version_text();
    if (is({"list"}) && verb_->name != "study") return verb_choices(*verb_);
    if (is({"json"})) {
      out_.json = true;
      if (f.value)
        out_.json_file = *f.value;
      else if (verb_->name == "study" && at_ + 1 < args_.size() && !is_flag(args_[at_ + 1]))
        out_.json_file = args_[++at_];
      if (f.value && f.value->empty())
        usage("expects a file after =", "--json", "write --json or --json=FILE");
      return {};
    }
    if ((one_dash && f.name == "o") ||
        is({"output", "out", "output_dir", "output_path", "result_dir"}) ||
        (verb_->name == "train" && (is({"model_path"}) || (one_dash && f.name == "m")))) {
      out_.outputs.push_back(value_of(f, "OUTPUT"));
      if (verb_->chain) record(false, "merge", "", f.typed);
      return {};
    }
    if (is({"config"})) {
      configs_.push_back(read_config(value_of(f, "FILE"), "--config"));
      return {};
    }
    if (is({"preset"})) {
      take_preset(value_of(f, "NAME"));
      return {};
    }
    if (is({"set"})) {
      take_set(value_of(f, "key=value"));
      return {};
    }
    if (is({"sweep"})) {
      take_sweep(value_of(f, "key=a,b"));
      return {};
    }

    // A flag of the verb or a common one; then what people bring from elsewhere.
    bool common = false, negated = false;
    const OptionField* field = find(f.name, &common, &negated);
    if (verb_->name == "train" && f.name == "eval" && !f.value &&
        options_->list().find_flag("test_every")) {
      record(false, options_->list().find_flag("test_every")->path(), "8", f.typed);
      return {};
    }
    if (!field) {
      if (is({"model_path"}) || (one_dash && f.name == "m")) {
        inputs_.insert(inputs_.begin(), value_of(f, "RUN"));
        return {};
      }
      if (is({"source_path", "data", "data_dir", "data_path", "capture"}) ||
          (one_dash && f.name == "s")) {
        inputs_.push_back(value_of(f, "CAPTURE"));
        return {};
      }
      if (is({"headless", "disable_viewer"})) return {};
      for (const FlagSynonym& s : flag_synonyms())
        if (!field && s.from == f.name) field = find(s.to, &common, &negated);
    }
    if (!field) unknown_flag(f);
    if (common) refuse_unsupported(field->path(), f.typed);

    const OptionList& list = common ? common_list_ : options_->list();
    std::string value;
    if (negated) {
      if (f.value) usage("takes no value", f.typed, "leave '=" + *f.value + "' out");
      value = "false";
    } else if (f.value) {
      value = *f.value;
    } else if (std::holds_alternative<bool*>(field->target())) {
      value = "true";
    } else if (list.takes_value(*field, at_ + 1 < args_.size() ? &args_[at_ + 1] : nullptr)) {
      value = value_of(f, "a value");
    } else {
      value = field->bare_value().value_or("");
    }
    record(common, field->path(), value, f.typed);
    return {};
  }

  void refuse_unsupported(const std::string& path, const std::string& where) const {
    if (takes_common(*verb_, path)) return;
    const Refusal refusal = refusal_of(*verb_, path);
    usage(refusal.what, where, refusal.hint);
  }

  [[noreturn]] void unknown_flag(const Flag& f) const {
    static const std::vector<std::string> structural = {
        "help", "version", "list", "json", "output", "config", "preset", "set", "sweep"};
    std::vector<std::string> near;
    if (std::string n = options_->list().nearest_flag(f.name); !n.empty())
      near.push_back(n.substr(2));
    if (std::string n = common_list_.nearest_flag(f.name); !n.empty()) near.push_back(n.substr(2));
    if (std::string n = nearest_word(f.name, structural); !n.empty()) near.push_back(n);
    std::string kebab = f.name;
    std::replace(kebab.begin(), kebab.end(), '_', '-');
    const std::string best = nearest_word(kebab, near);
    std::string hint = "did you mean --" + best + "?";
    if (best.empty()) {
      hint = "covary " + verb_->name + " --help=all lists the options";
      for (const Verb* other : commands())
        if (other != verb_ && other->make()->list().find_flag(f.name)) {
          hint = "this is an option of covary " + other->name;
          break;
        }
    }
    usage("covary " + verb_->name + " has no such option", f.typed, hint);
  }

  void take_preset(const std::string& name) {
    if (const Preset* p = find_preset(verb_->name, name)) {
      presets_.push_back({"preset " + name, "", {}, {}, p->options});
      return;
    }
    std::error_code ignored;
    if (std::filesystem::is_regular_file(name, ignored)) {
      presets_.push_back(read_config(name, "--preset"));
      return;
    }
    std::vector<std::string> names;
    std::string all;
    for (const Preset& p : presets())
      if (p.verb == verb_->name) {
        names.push_back(p.name);
        all += (all.empty() ? "" : ", ") + p.name;
      }
    const std::string near = nearest_word(name, names);
    usage("there is no such preset, nor such a file", "--preset " + name,
          !near.empty()  ? "did you mean " + near + "?"
          : !all.empty() ? "the presets of covary " + verb_->name + " are " + all
                         : "covary " + verb_->name + " has no presets: name a FILE.json");
  }

  void take_set(const std::string& text) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      usage("expects key=value, got '" + text + "'", "--set", "write --set loss.ssim_weight=0.3");
    const std::string key = text.substr(0, equals);
    const bool common = is_common_key(snake(key));
    if (common) refuse_unsupported(snake(key), "--set " + key);
    record(common, key, text.substr(equals + 1), "--set");
  }

  void take_sweep(const std::string& text) {
    if (!verb_->sweeps)
      usage("is not in this version of covary " + verb_->name, "--sweep",
            "sweeps are for covary train, gp fit and other fits");
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
      usage("expects key=a,b,c, got '" + text + "'", "--sweep", "write --sweep sh_degree=0,1,3");
    Sweep sweep{snake(text.substr(0, equals)), {}};
    const std::string values = text.substr(equals + 1);
    const char separator = values.find(';') != std::string::npos ? ';' : ',';
    for (size_t begin = 0;;) {
      const size_t end = values.find(separator, begin);
      sweep.values.push_back(values.substr(begin, end == std::string::npos ? end : end - begin));
      if (end == std::string::npos) break;
      begin = end + 1;
    }
    for (const Sweep& other : out_.sweeps)
      if (other.key == sweep.key)
        usage("is swept twice", "--sweep " + sweep.key, "give all values in one --sweep");
    out_.sweeps.push_back(sweep);
  }

  // Whether a key names a common option and none of the verb's own.
  bool is_common_key(const std::string& key) const {
    const auto& own = options_->list().fields();
    if (std::any_of(own.begin(), own.end(), [&](const OptionField& f) { return f.path() == key; }))
      return false;
    const auto& fields = common_list_.fields();
    return std::any_of(fields.begin(), fields.end(),
                       [&](const OptionField& f) { return f.path() == key; });
  }

  // A bag of options goes to the two lists. Common options of a run's config that this verb does
  // not take are an error only if they are not recorded ones.
  void apply(const Config& config) {
    json own = json::object(), common = json::object();
    for (const auto& [key, value] : config.options.items())
      (!value.is_object() && is_common_key(snake(key)) ? common : own)[key] = value;
    if (!config.verb.empty() && config.verb != verb_->name)
      usage("is for covary " + config.verb, config.source,
            "write covary " + config.verb + " --config " + config.source);
    options_->list().apply(own, config.source);
    for (const auto& [key, value] : common.items())
      refuse_unsupported_key(snake(key), config.source);
    common_list_.apply(common, config.source);
    for (const auto& [key, value] : config.options.items()) out_.set.push_back(key);
  }

  void refuse_unsupported_key(const std::string& key, const std::string& source) const {
    if (!contains(recorded_common(), key)) refuse_unsupported(key, source + ": " + key);
  }

  // --resume without a config takes the run's own, so that only what was typed can differ.
  void take_config_of_resumed_run() {
    const bool resume = std::any_of(settings_.begin(), settings_.end(), [](const Setting& s) {
      return s.common && s.path == "resume" && s.value == "true";
    });
    if (verb_->name != "train" || !resume || !configs_.empty() || !presets_.empty() ||
        out_.outputs.size() != 1 || !out_.sweeps.empty())
      return;
    std::error_code ignored;
    for (const std::string& folder : {out_.outputs[0], out_.outputs[0] + ".run"}) {
      const std::filesystem::path file = std::filesystem::path(folder) / "config.json";
      if (!std::filesystem::is_regular_file(file, ignored)) continue;
      configs_.push_back(read_config(file.string(), "--resume"));
      configs_.back().outputs.clear();
      const bool parity = std::any_of(settings_.begin(), settings_.end(), [](const Setting& s) {
        return s.common && s.path == "parity" && s.value == "true";
      });
      if (parity && configs_.back().options.value("parity", json()) != true)
        usage("the run to be resumed began without it", "--parity",
              "leave it out, or start anew with --overwrite");
      return;
    }
  }

  void apply_all() {
    for (const Config& c : presets_) apply(c);
    for (const Config& c : configs_) apply(c);
    for (const Setting& s : settings_) {
      (s.common ? common_list_ : options_->list()).set(s.path, s.value, s.source);
      out_.set.push_back(s.path);
    }
  }

  Invocation resolve() {
    take_config_of_resumed_run();
    for (const Config& c : configs_) {
      if (inputs_.empty()) inputs_ = c.inputs;
      if (out_.outputs.empty()) out_.outputs = c.outputs;
    }
    apply_all();
    if (common_.parity) {
      refuse_unsupported("parity", "--parity");  // that a config may name for any verb
      // It lies below all of them and depends on what they say, so they are applied once more.
      const json below = verb_->parity(options_->list().to_json());
      options_ = verb_->make();
      options_->list().apply(below, "--parity");
      out_.set.clear();
      apply_all();
    }
    options_->list().finish();
    options_->check();
    common_list_.finish();
    common_.check();
    check_precision();
    check_stages();
    check_file("--report", common_.report, verb_->reports);
    check_file("--plot", common_.plot, verb_->plots);
    check_sweeps();
    check_inputs();

    out_.verb = verb_->name;
    out_.inputs = inputs_;
    out_.options = options_->list().to_json();
    out_.common = common_list_.to_json();
    if (!common_list_.was_set("tty")) out_.common["tty"] = nullptr;
    return out_;
  }

  void check_precision() const {
    if (common_.precision != "double") return;
    if (verb_->name == "train")
      usage("training is in float: its loss and optimiser have no double version",
            "--precision double",
            "leave it out; covary eval RUN --precision double scores a scene by the reference");
    if (verb_->name == "study")
      usage("every bar of a study has its own precision", "--precision double", "leave it out");
  }

  void check_stages() const {
    const auto& stages = verb_->stages;
    const auto place_of = [&](const std::string& flag, const std::string& name) {
      const auto found = std::find(stages.begin(), stages.end(), name);
      if (found != stages.end()) return found - stages.begin();
      std::string all;
      for (const std::string& s : stages) all += (all.empty() ? "" : ", ") + s;
      const std::string near = nearest_word(name, stages);
      usage("there is no such stage", flag + " " + name,
            (near.empty() ? "" : "did you mean " + near + "? ") + "the stages are " + all);
    };
    if (common_.from.empty() && common_.until.empty()) return;
    const auto last = static_cast<std::ptrdiff_t>(stages.size()) - 1;
    const auto from = common_.from.empty() ? 0 : place_of("--from", common_.from);
    const auto until = common_.until.empty() ? last : place_of("--until", common_.until);
    if (from > until)
      usage("comes after --until " + common_.until, "--from " + common_.from,
            "the stages are done in the order of --dry-run");
    if (common_.from == "evaluate" || common_.from == "report") {
      if (!out_.sweeps.empty())
        usage("a sweep trains", "--from " + common_.from, "leave one of the two out");
      if (!common_.resume)
        usage("does again what follows a finished training", "--from " + common_.from,
              "name its run: covary " + verb_->name + " -o RUN --resume --from " + common_.from);
    }
    for (const auto& [flag, file] :
         {std::pair{"--report", common_.report}, {"--plot", common_.plot}})
      if (until < last && !file.empty())
        usage("is made by the stage " + stages.back() + ", which --until leaves out",
              flag + (" " + file), "leave one of the two out");
  }

  void check_file(const std::string& flag, const std::string& file,
                  const std::vector<std::string>& kinds) const {
    if (file.empty()) return;
    std::string extension = std::filesystem::path(file).extension().string();
    if (!extension.empty()) extension.erase(0, 1);
    if (!contains(kinds, extension)) {
      std::string all;
      for (const std::string& k : kinds)
        all += (all.empty() ? "" : &k == &kinds.back() ? " or ." : ", .") + k;
      usage("covary " + verb_->name + " cannot write this kind of file", flag + " " + file,
            "name a file that ends in ." + all);
    }
    if (!out_.sweeps.empty())
      usage("a sweep has many runs", flag + " " + file,
            "leave it out: sweep/table.csv has the figures, each run its report.html");
  }

  // Each value of a sweep must be one that the option takes.
  void check_sweeps() {
    if (out_.sweeps.empty() && common_.repeats > 1)
      usage("is for sweeps", "--repeats", "add --sweep key=a,b,c");
    if (out_.sweeps.empty() && common_.resume && verb_->sweeps && verb_->name != "train")
      usage("is for sweeps: a fit by itself is not long", "--resume", "leave it out");
    for (const Sweep& sweep : out_.sweeps) {
      if (sweep.key.rfind("data.", 0) == 0) {
        if (inputs_.empty() || !is_sample(inputs_[0]))
          usage("sweeps a parameter of a sample: input, and the input is none",
                "--sweep " + sweep.key, "write the capture as sample:NAME");
        continue;
      }
      // What --parity sets follows from these two, and is resolved once for all runs.
      if (common_.parity && (sweep.key == "steps" || sweep.key == "strategy"))
        usage("cannot be swept with --parity", "--sweep " + sweep.key,
              "train with each value by itself");
      const bool common = is_common_key(sweep.key);
      for (const std::string& value : sweep.values) {
        if (common) {
          if (sweep.key != "seed")
            usage("cannot be swept", "--sweep " + sweep.key, "options of the verb and seed can be");
          CommonOptions copy;
          OptionList(copy).set(sweep.key, value, "--sweep");
          continue;
        }
        const auto copy = verb_->make();
        copy->list().set(sweep.key, value, "--sweep " + sweep.key);
      }
    }
  }

  void check_inputs() const {
    const size_t n = inputs_.size();
    if (n < static_cast<size_t>(verb_->min_inputs))
      usage("no " + verb_->shape.substr(0, verb_->shape.find_first_of(" .")) + " given",
            "covary " + verb_->name, "for example: " + verb_->example);
    if (n > static_cast<size_t>(verb_->max_inputs)) {
      const std::string& extra = inputs_[static_cast<size_t>(verb_->max_inputs)];
      const size_t equals = extra.find('=');
      std::string hint = "the shape is: covary " + verb_->name + " " + verb_->shape;
      if (equals != std::string::npos && equals > 0)
        hint = "to set an option: --set " + extra;
      else if (options_->list().find_flag(extra))
        hint = "did you mean --" + extra + "?";
      else if (n == 2 && out_.outputs.empty() && verb_->name != "info")
        hint = "an output stands after -o: -o " + extra;
      usage("unexpected word", extra, hint);
    }
  }

  struct Setting {
    bool common;
    std::string path, value, source;
  };

  const std::vector<std::string>& args_;
  size_t at_ = 0;
  const Verb* verb_ = nullptr;
  std::unique_ptr<BoundOptions> options_;
  CommonOptions common_;
  OptionList common_list_{common_};
  std::vector<std::string> inputs_;
  std::vector<Config> presets_, configs_;
  std::vector<Setting> settings_;
  Invocation out_;
};

}  // namespace

Parsed parse(const std::vector<std::string>& args) { return Reader(args).read(); }

void find_json(const std::vector<std::string>& args, bool* json, std::string* file) {
  *json = false;
  file->clear();
  for (const std::string& word : args) {
    if (word == "--") return;
    if (word == "--json") *json = true;
    if (word.rfind("--json=", 0) == 0) {
      *json = true;
      *file = word.substr(7);
    }
  }
}

}  // namespace covary::cli
