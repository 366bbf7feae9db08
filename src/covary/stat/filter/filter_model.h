// A state-space model of whatever kind, with the names of its columns and states, and its file.
//
//   FilterModel m = FilterModel::of_text("level+seasonal(12)", {"sales"});   // components.h
//   FilterModel m = FilterModel::of_text("pendulum(dt=0.05)", {});           // named_models.h
//   FilterModel m = FilterModel::read("m.json");
//   m.write("m.cov");                                                        // or .json
//   LinearModel l = m.linear();
//
// A file is one of
//   {"F": [[1, 1], [0, 1]], "Q": ..., "H": ..., "R": ..., "mean0": [...], "cov0": [[...]]}
//   {"F": ..., "diffuse": true}                           matrices: linear_model.h
//   {"model": "level+seasonal(12)", "parameters": {"level": 3, "seasonal": 0.1, "noise": 2}}
//   {"model": "turn", "parameters": {"dt": 0.5}, "mean0": [...], "cov0": [[...]]}
// and beside these may say "columns": [names of what is observed], "states": [names],
// "controls": [names of columns of u], "positions": [two states that are a place in the plane],
// "schema": "covary.filter" and "version": 1, and "fit", which is kept and not read. Any other key
// is refused. `.cov` holds the same, with the matrices as arrays that NumPy opens.
//
// Errors: Error(kData) naming file and entry.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/stat/filter/components.h"
#include "covary/stat/filter/linear_model.h"
#include "covary/stat/filter/named_models.h"

namespace covary::filter {

struct FilterModel {
  // One of the three.
  std::optional<LinearModel> matrices;
  std::optional<Components> components;
  std::optional<NamedModel> named;

  std::vector<std::string> columns;    // what is observed; may be empty: not known yet
  std::vector<std::string> controls;   // columns of u
  std::vector<std::string> positions;  // two states, or none
  nlohmann::json fit;                  // how it was found; null = not fitted

  // columns: of the table; a sum of components has one series a column, one when empty.
  static FilterModel of_text(const std::string& text, const std::vector<std::string>& columns);
  static FilterModel of_matrices(const LinearModel& model, const std::vector<std::string>& columns);
  static FilterModel read(const std::filesystem::path& file);
  void write(const std::filesystem::path& file) const;  // .json, or .cov under any other name
  nlohmann::json to_json() const;

  bool is_linear() const { return !named; }
  LinearModel linear() const;  // Error(kUsage) for a named model
  std::string text() const;    // "level+noise", "turn", "4 states, 2 observations"
  int64_t states() const;
  int64_t observations() const;
  std::vector<std::string> state_names() const;
  std::vector<std::string> column_names() const;  // y0, y1, ... where they have none
  std::vector<int64_t> position_states() const;   // two, or none
  void set_state_names(std::vector<std::string> names) { names_ = std::move(names); }

 private:
  static FilterModel of_json(nlohmann::json j, const std::string& file);
  void check(const std::string& file) const;
  std::vector<std::string> names_;  // of states, where a file gives them
};

}  // namespace covary::filter
