// The operations of an edit as text, one at a time: what `covary edit` is told on its command line.
//
//   const EditStep s = parse_edit_step("decimate=25%,by=merge");
//   s.name, s.values[0], s.parameters.at("by")       // "decimate", "25%", "merge"
//   render::EditChain chain; chain.apply(s);          // splat/render/edit.h
//
// NAME=VALUE,VALUE,...,key=value,...: values stand before parameters. The names, what they take and what
// they do are one table, from which flags, help and checks are made. docs/editing.md describes each.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "covary/core/base/options.h"

namespace covary::scene {

struct EditStep {
  std::string name;                               // "crop_box"
  std::vector<std::string> values;                // as typed; of a text (filter) one
  std::map<std::string, std::string> parameters;  // those that were given

  // The i-th value, or a parameter, as a number or as numbers (parted by ':' in a parameter). Checked when parsed.
  double number(size_t i) const;
  double number(const std::string& parameter, double otherwise) const;
  std::vector<double> numbers(const std::string& parameter, std::vector<double> otherwise) const;
  std::string word(const std::string& parameter, const std::string& otherwise) const;
  bool has(const std::string& parameter) const { return parameters.count(parameter) > 0; }
};

struct EditKind {
  std::string name;   // snake_case
  std::string shape;  // of the value, for help: "X,Y,Z[,about=centre]"; empty = takes none
  std::string help;   // one line
  std::vector<std::string> parameters = {};  // keys
  std::vector<std::string> synonyms = {};    // flags that people bring from other programs
  bool hidden = false;
  void (*check)(EditStep&) = nullptr;  // Error(kUsage); counts and kinds of values
};
const std::vector<EditKind>& edit_kinds();

// Error(kUsage) naming the operation (as its flag) and what of it is wrong.
EditStep parse_edit_step(const std::string& text);

// Declares every operation as a step of `steps`, the list itself as "operations".
void describe_edit_steps(OptionList& o, std::vector<std::string>* steps);

}  // namespace covary::scene
