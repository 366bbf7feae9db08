// Rows of several tensors that live and die together: trained parameters with their Adam moments,
// and statistics. Row i of every tensor speaks of the same thing (one Gaussian); an edit reaches
// all of them in one call.
//
//   RowTable table;
//   table.add("means", means, exponential(1.6e-4, 1.6e-6, 30000));     // [N,3]
//   table.add("shN", shN, constant(1.25e-4));                          // [N,K,3]: any shape
//   table.add_statistic("grad2d", at::zeros({n}, at::kDouble));        // carried, not trained
//   ...
//   table.drop(keep);                                       // bool [N]
//   table.replace(ids, 2, {{"means", m}, {"scales", s}});   // children stand together
//
// Moments go with their rows; new rows get zero moments. After an edit `parameter(name)` is another
// tensor (a leaf that requires a gradient and has none yet): ask again instead of keeping it.
// Errors are Error(kFailed) naming the tensor: unknown or double name, other number of rows, shape
// or dtype of new rows, id out of [0, N). The table is unchanged when an edit throws.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "covary/core/nn/optim/schedule.h"

namespace covary::nn {

using NamedTensors = std::map<std::string, at::Tensor>;

class RowTable {
 public:
  struct Parameter {
    at::Tensor value;  // [N,...] float or double, leaf, requires_grad
    at::Tensor first;  // Adam's moments, like value
    at::Tensor second;
    at::Tensor multiplier;  // [N,...] or undefined: factor of the rate, an element
    Schedule rate;
    int64_t updates = 0;  // optimiser steps so far: the exponent of the bias correction
  };

  void add(const std::string& name, const at::Tensor& value, const Schedule& rate);
  void add_statistic(const std::string& name, const at::Tensor& value);
  // Factors of the rate of a parameter; its shape, or broadcastable to it with all N rows
  // ([N,1,1]). Undefined removes.
  void set_multiplier(const std::string& name, const at::Tensor& multiplier);

  int64_t rows() const { return rows_; }
  bool has(const std::string& name) const;
  std::vector<std::string> names() const;  // of the parameters, in the order added
  void retime(int64_t steps);              // rates that fall do so over so many steps now
  std::vector<std::string> statistic_names() const;
  const at::Tensor& parameter(const std::string& name) const { return entry(name).value; }
  at::Tensor& statistic(
      const std::string& name);  // may be written in place or replaced by one of its shape
  const at::Tensor& statistic(const std::string& name) const;
  Parameter& entry(const std::string& name);
  const Parameter& entry(const std::string& name) const;

  // ---- edits: one pass over every tensor ----

  // New row i is old row rows[i] (int64 [M], may repeat), moments included. gather(order) permutes.
  void gather(const at::Tensor& rows);
  // Rows where keep (bool [N]) is true stay, in order.
  void drop(const at::Tensor& keep);
  // k rows at the end. `values` names tensors [k,...] (parameters or statistics). What it does not
  // name is copied from the rows `parents` (int64 [k]) when given; without parents every parameter
  // must be named, statistics are 0 and multipliers 1.
  void append(const NamedTensors& values, const at::Tensor& parents = {});
  // Rows ids (int64 [M], distinct) leave; n children of each come to the end: row kept + i * n + j
  // is child j of ids[i]. `values` as in append, [M*n,...] in that order; the rest is copied from
  // the parent.
  void replace(const at::Tensor& ids, int64_t n, const NamedTensors& values);
  // The general edit, of which all above are cases: keep the old rows `kept` (int64, in this
  // order), then append.
  void edit(const at::Tensor& kept, const NamedTensors& values, const at::Tensor& parents);

  // ---- in place ----

  // Overwrites rows (int64 [M]) of a parameter or statistic; moments stay.
  void set_rows(const std::string& name, const at::Tensor& rows, const at::Tensor& values);
  // Zero moments of one parameter, or of all ("" ); of the rows given (int64 [M]), or of all.
  void zero_moments(const std::string& name = "", const at::Tensor& rows = {});

  // ---- checkpoints ----

  // Everything as named arrays: "parameter/NAME", "first/NAME", "second/NAME", "multiplier/NAME",
  // "statistic/NAME"; tensors are shared, not copied. description() holds the rest: names in order,
  // rates, update counts.
  NamedTensors arrays() const;
  nlohmann::json description() const;
  // The table that was saved; Error(kData) naming the array when one is missing or does not fit.
  static RowTable restore(const NamedTensors& arrays, const nlohmann::json& description);

 private:
  struct Named {
    std::string name;
    Parameter parameter;
  };
  struct Statistic {
    std::string name;
    at::Tensor value;
  };
  void check_new(const std::string& name, const at::Tensor& value) const;

  int64_t rows_ = -1;  // -1: nothing added yet
  std::vector<Named> parameters_;
  std::vector<Statistic> statistics_;
};

}  // namespace covary::nn
