// Options as data: one declaration of a field drives its flag, its JSON key, --help, the JSON schema and the Python
// keyword.
//
//   struct LossOptions {
//     double ssim_weight = 0.2;  // share of 1 - SSIM in the photometric loss, 1
//     void describe(OptionList& o) {
//       o.add("ssim_weight", &ssim_weight, "share of 1 - SSIM").range(0, 1).synonym("lambda-dssim");
//     }
//     void check() const;   // throws Error(kUsage) naming the field; range and choices are checked
//   };
//   struct TrainOptions {
//     int64_t steps = 30000;
//     std::string strategy = "default";
//     LossOptions loss;
//     DefaultStrategyOptions default_strategy;
//     void describe(OptionList& o) {
//       o.add("steps", &steps, "optimiser steps").range(1, 1e8).common().synonym("iterations");
//       o.add("strategy", &strategy, "when to split, clone").choices({"default", "mcmc"}).common();
//       o.group("loss", loss);
//       o.group("default", default_strategy).only_when("strategy", "default");
//     }
//   };
//
//   OptionList list(options);          // binds to the struct, which must outlive it
//   list.set("loss.ssim_weight", "0.3", "--set");
//   nlohmann::json j = list.to_json(); // nested, every resolved field
//
// Values as text: true/false for booleans; 1e4 for integers too; lists a,b,c and, for numbers,
// a:b:step with its ends; sizes 4G; durations 5min; none for an optional. Paths are dotted, words
// in snake_case; a flag is the last word in kebab-case when that is unique in the list, else the
// whole path with dots as dashes. The field types are bool, int64_t, double, std::string,
// std::optional<double>, std::vector<double>, std::vector<std::string>.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

namespace covary {

class OptionField {
 public:
  using Target = std::variant<bool*, int64_t*, double*, std::string*, std::optional<double>*,
                              std::vector<double>*, std::vector<std::string>*>;

  // Inclusive bounds of a number (or of each number of a list).
  OptionField& range(double low, double high);
  // The words that a string may be; anything else is an error that names the nearest.
  OptionField& choices(std::vector<std::string> words);
  // Like choices for what stands before ':' or when the value is free text beside the words
  // ("files:DIR").
  OptionField& suggestions(std::vector<std::string> words);
  // What the flag without a value means (`--antialias` = mip); the next word is taken only if it is
  // one of the choices.
  OptionField& bare(std::string value);
  OptionField& unit(
      std::string unit);  // "px", "world", "extent", "s", "steps"; shown in help and schema
  OptionField& synonym(
      const std::string& flag);          // accepted flag, not shown in short help; repeatable
  OptionField& common();                 // shown by --help; others only by --help=all
  OptionField& hidden();                 // no flag in any help: plumbing
  OptionField& size();                   // the value may be written 4G, 500M, 2e9: bytes
  OptionField& duration();               // the value may be written 90s, 5min, 1h: seconds
  OptionField& shape(std::string text);  // how help writes the value: "X,Y,Z"; empty = by its type

  const std::string& path() const { return path_; }
  const std::string& help() const { return help_; }
  Target target() const { return target_; }
  const nlohmann::json& default_value() const { return default_; }
  const std::vector<std::string>& choices_of() const { return choices_; }
  const std::vector<std::string>& synonyms() const { return synonyms_; }
  const std::optional<std::string>& bare_value() const { return bare_; }
  bool is_common() const { return common_; }
  bool is_hidden() const { return hidden_; }
  bool is_step() const { return step_; }

 private:
  friend class OptionList;
  enum class Kind { kPlain, kSize, kDuration };

  std::string path_, help_, unit_;
  std::optional<std::string> bare_;
  Kind kind_ = Kind::kPlain;
  Target target_;
  nlohmann::json default_;
  double low_ = -std::numeric_limits<double>::infinity(),
         high_ = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices_, suggestions_, synonyms_;
  std::vector<std::pair<std::string, std::string>>
      when_;  // accepted only while these fields (paths) have these values
  std::string shape_;
  bool common_ = false, hidden_ = false, step_ = false;
};

class OptionList {
 public:
  class Group {
   public:
    // The group's fields are accepted only while the named choice (a path, beside the group) has
    // this value, or one of several: "default|budget".
    Group& only_when(const std::string& path, const std::string& value);

   private:
    friend class OptionList;
    Group(OptionList& list, size_t begin, size_t end) : list_(list), begin_(begin), end_(end) {}
    OptionList& list_;
    size_t begin_, end_;
  };

  OptionList() = default;
  template <class T>
  explicit OptionList(T& options) {
    options.describe(*this);
  }

  OptionField& add(const std::string& name, OptionField::Target target, const std::string& help);

  // A step of a chain, whose order counts: each time it is set, NAME=VALUE (NAME alone for an empty
  // value) goes to the end of `steps`, a list that is declared beside it and is what JSON knows.
  //
  //   o.add("operations", &operations, "what is done, in order").hidden();
  //   o.add_step("translate", &operations, "moves the scene").shape("X,Y,Z");
  OptionField& add_step(const std::string& name, std::vector<std::string>* steps,
                        const std::string& help);

  template <class T>
  Group group(const std::string& name, T& options) {
    const size_t begin = fields_.size();
    const std::string before = prefix_;
    prefix_ += name + ".";
    options.describe(*this);
    prefix_ = before;
    return Group(*this, begin, fields_.size());
  }

  // Sets a field by its dotted path, or by its last word when unique; the text is parsed by the
  // field's type. source names where the value came from ("--set", "config.json", "preset turbo")
  // for errors. Throws Error(kUsage) for an unknown path (with the nearest one), an unparsable
  // value, one out of range or no choice, and a field of a group whose choice is not chosen
  // (deferred to finish()).
  void set(const std::string& path, const std::string& text, const std::string& source);
  void set(const std::string& path, const char* text, const std::string& source) {
    set(path, std::string(text), source);
  }
  void set(const std::string& path, const nlohmann::json& value, const std::string& source);

  // Applies a nested or flat JSON object, field by field. Null leaves a field that cannot be empty
  // as it is.
  void apply(const nlohmann::json& object, const std::string& source);

  // After the last set: refuses fields of groups that were not chosen. A field that came by apply()
  // before its choice was changed (a config.json of one strategy, then `--strategy` another) is let
  // go.
  void finish() const;

  // Whether the field's group is chosen now (true for fields of no such group).
  bool active(const OptionField& field) const;

  nlohmann::json to_json() const;  // nested; every field of every chosen group
  nlohmann::json schema()
      const;  // JSON Schema with default, unit, range, choices, help: `--help=json`
  std::string help(bool all) const;  // flags with defaults, one line each; common ones, or all

  // The field that a flag (without dashes, kebab or snake) or synonym names, or null. `negated` is
  // set when the flag was `no-x` of a boolean.
  const OptionField* find_flag(std::string_view flag, bool* negated = nullptr) const;
  std::string nearest_flag(
      std::string_view flag) const;  // for "did you mean", empty when nothing is near
  std::string flag_of(const OptionField& field) const;  // "--ssim-weight"

  // Whether the flag takes the next word (false for booleans and bare flags whose next word is no
  // choice).
  bool takes_value(const OptionField& field, const std::string* next) const;

  const std::vector<OptionField>& fields() const { return fields_; }
  void hide(
      std::string_view path);  // from help and did-you-mean, where a verb does not take the field
  bool was_set(std::string_view path) const;

 private:
  struct Setting {
    size_t field;
    std::string source;
    bool bulk;  // came by apply()
  };

  size_t index_of(const std::string& path,
                  const std::string& source) const;  // Error(kUsage) when unknown
  size_t count_last_word(std::string_view word) const;
  void assign(size_t field, const nlohmann::json& value, const std::string& source, bool bulk);
  void apply(const nlohmann::json& object, const std::string& source, const std::string& prefix);

  std::vector<OptionField> fields_;
  std::vector<Setting> set_;  // in the order set
  std::string prefix_;
};

// The word of the list with the smallest edit distance (at most 1/3 of its length and 3), or empty.
std::string nearest_word(std::string_view word, const std::vector<std::string>& words);

}  // namespace covary
