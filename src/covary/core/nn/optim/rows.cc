#include "covary/core/nn/optim/rows.h"

#include <algorithm>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/GradMode.h>

#include "covary/core/base/error.h"

namespace covary::nn {
namespace {

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  throw Error(ExitCode::kFailed, what, name.empty() ? "row table" : name);
}

at::Tensor leaf(const at::Tensor& value) {
  return value.detach().contiguous().set_requires_grad(true);
}

// int64 [M] on the CPU with every id in [0, n).
at::Tensor checked_ids(const at::Tensor& ids, int64_t n, const char* what) {
  if (!ids.defined() || ids.dim() != 1 || ids.scalar_type() != at::kLong) {
    refuse("", std::string(what) + " must be int64 [M]");
  }
  const at::Tensor flat = ids.contiguous();
  const int64_t* id = flat.data_ptr<int64_t>();
  for (int64_t i = 0; i < flat.numel(); ++i) {
    if (id[i] < 0 || id[i] >= n) {
      refuse("", std::string(what) + " names row " + std::to_string(id[i]) + " of " +
                     std::to_string(n));
    }
  }
  return flat;
}

void check_like(const std::string& name, const at::Tensor& value, const at::Tensor& model,
                int64_t rows) {
  if (!value.defined() || value.dim() != model.dim() || value.size(0) != rows ||
      value.sizes().slice(1) != model.sizes().slice(1)) {
    refuse(name,
           "new rows have another shape than the tensor, or not " + std::to_string(rows) + " rows");
  }
  if (value.scalar_type() != model.scalar_type()) refuse(name, "new rows have another dtype");
}

// The rows `kept` of a tensor (undefined = all, in order), then `added`.
at::Tensor joined(const at::Tensor& old, const at::Tensor& kept, const at::Tensor& added) {
  const at::Tensor front = kept.defined() ? old.index_select(0, kept) : old;
  return added.size(0) == 0 ? front : at::cat({front, added});
}

}  // namespace

void RowTable::check_new(const std::string& name, const at::Tensor& value) const {
  if (has(name)) refuse(name, "is in the table already");
  if (name.empty() || name.find('/') != std::string::npos) {
    refuse(name, "a name is not empty and has no '/'");
  }
  if (!value.defined() || value.dim() < 1) refuse(name, "needs a row dimension");
  if (rows_ >= 0 && value.size(0) != rows_) {
    refuse(name,
           "has " + std::to_string(value.size(0)) + " rows, the table " + std::to_string(rows_));
  }
}

void RowTable::add(const std::string& name, const at::Tensor& value, const Schedule& rate) {
  check_new(name, value);
  if (value.scalar_type() != at::kFloat && value.scalar_type() != at::kDouble) {
    refuse(name, "a trained parameter is float or double");
  }
  rate.check(name);
  const at::Tensor held = value.detach().clone(at::MemoryFormat::Contiguous);
  parameters_.push_back(
      {name, {leaf(held), at::zeros_like(held), at::zeros_like(held), {}, rate, 0}});
  rows_ = value.size(0);
}

void RowTable::add_statistic(const std::string& name, const at::Tensor& value) {
  check_new(name, value);
  statistics_.push_back({name, value.detach().clone(at::MemoryFormat::Contiguous)});
  rows_ = value.size(0);
}

void RowTable::set_multiplier(const std::string& name, const at::Tensor& multiplier) {
  Parameter& p = entry(name);
  if (!multiplier.defined()) {
    p.multiplier.reset();
    return;
  }
  if (multiplier.dim() != p.value.dim() || multiplier.size(0) != rows_) {
    refuse(name, "a multiplier has the rows and the number of dimensions of its parameter");
  }
  for (int64_t d = 1; d < multiplier.dim(); ++d) {
    if (multiplier.size(d) != p.value.size(d) && multiplier.size(d) != 1) {
      refuse(name, "the multiplier does not broadcast to its parameter");
    }
  }
  p.multiplier = multiplier.detach()
                     .to(p.value.scalar_type())
                     .expand(p.value.sizes())
                     .clone(at::MemoryFormat::Contiguous);
}

bool RowTable::has(const std::string& name) const {
  return std::any_of(parameters_.begin(), parameters_.end(),
                     [&](const Named& n) { return n.name == name; }) ||
         std::any_of(statistics_.begin(), statistics_.end(),
                     [&](const Statistic& s) { return s.name == name; });
}

void RowTable::retime(int64_t steps) {
  for (const std::string& name : names())
    if (nn::Schedule& rate = entry(name).rate; rate.steps > 0) rate.steps = steps;
}

std::vector<std::string> RowTable::names() const {
  std::vector<std::string> names;
  for (const auto& n : parameters_) names.push_back(n.name);
  return names;
}

std::vector<std::string> RowTable::statistic_names() const {
  std::vector<std::string> names;
  for (const auto& s : statistics_) names.push_back(s.name);
  return names;
}

const at::Tensor& RowTable::statistic(const std::string& name) const {
  for (const auto& s : statistics_) {
    if (s.name == name) return s.value;
  }
  refuse(name, "is no statistic of the table");
}

at::Tensor& RowTable::statistic(const std::string& name) {
  return const_cast<at::Tensor&>(std::as_const(*this).statistic(name));
}

const RowTable::Parameter& RowTable::entry(const std::string& name) const {
  for (const auto& n : parameters_) {
    if (n.name == name) return n.parameter;
  }
  refuse(name, "is no parameter of the table");
}

RowTable::Parameter& RowTable::entry(const std::string& name) {
  return const_cast<Parameter&>(std::as_const(*this).entry(name));
}

void RowTable::gather(const at::Tensor& rows) { edit(rows, {}, {}); }

void RowTable::drop(const at::Tensor& keep) {
  if (!keep.defined() || keep.dim() != 1 || keep.size(0) != rows_ ||
      keep.scalar_type() != at::kBool) {
    refuse("", "drop needs a bool [N] of the rows that stay");
  }
  edit(keep.nonzero().squeeze(1), {}, {});
}

void RowTable::append(const NamedTensors& values, const at::Tensor& parents) {
  edit({}, values, parents);
}

void RowTable::replace(const at::Tensor& ids, int64_t n, const NamedTensors& values) {
  if (n < 0) refuse("", "replace needs a number of children >= 0");
  const at::Tensor leaving = checked_ids(ids, rows_, "ids");
  at::Tensor keep = at::ones({rows_}, at::kBool);
  keep.index_fill_(0, leaving, false);
  const at::Tensor kept = keep.nonzero().squeeze(1);
  if (kept.size(0) + leaving.size(0) != rows_) refuse("", "ids to replace must be distinct");
  edit(kept, values, leaving.repeat_interleave(n));
}

void RowTable::edit(const at::Tensor& kept, const NamedTensors& values, const at::Tensor& parents) {
  const c10::NoGradGuard no_gradient;
  if (rows_ < 0) refuse("", "is empty");
  const at::Tensor rows = kept.defined() ? checked_ids(kept, rows_, "kept rows") : kept;
  const at::Tensor from = parents.defined() ? checked_ids(parents, rows_, "parents") : parents;
  int64_t extra = 0;
  if (from.defined()) {
    extra = from.size(0);
  } else if (!values.empty()) {
    const at::Tensor& any = values.begin()->second;
    if (!any.defined() || any.dim() < 1) refuse(values.begin()->first, "needs a row dimension");
    extra = any.size(0);
  }
  for (const auto& [name, value] : values) {
    if (!has(name)) refuse(name, "is not in the table");
  }
  // The new rows of a tensor: named, else copied from the parents, else filled.
  const auto added = [&](const std::string& name, const at::Tensor& old, double fill,
                         bool may_fill) {
    if (const auto it = values.find(name); it != values.end()) {
      check_like(name, it->second, old, extra);
      return it->second.detach();
    }
    if (from.defined()) return old.index_select(0, from);
    if (!may_fill && extra > 0) refuse(name, "new rows without parents must name every parameter");
    std::vector<int64_t> shape = old.sizes().vec();
    shape[0] = extra;
    return at::full(shape, fill, old.options().requires_grad(false));
  };
  std::vector<Named> parameters;
  for (const auto& [name, p] : parameters_) {
    const at::Tensor value = p.value.detach();
    const at::Tensor fresh = added(name, value, 0, false);
    const at::Tensor none = at::zeros_like(fresh);
    Parameter next{leaf(joined(value, rows, fresh)),
                   joined(p.first, rows, none),
                   joined(p.second, rows, none),
                   {},
                   p.rate,
                   p.updates};
    if (p.multiplier.defined()) {
      next.multiplier =
          joined(p.multiplier, rows,
                 from.defined() ? p.multiplier.index_select(0, from) : at::ones_like(fresh));
    }
    parameters.push_back({name, std::move(next)});
  }
  std::vector<Statistic> statistics;
  for (const auto& [name, value] : statistics_) {
    statistics.push_back({name, joined(value, rows, added(name, value, 0, true))});
  }
  parameters_ = std::move(parameters);
  statistics_ = std::move(statistics);
  rows_ = (rows.defined() ? rows.size(0) : rows_) + extra;
}

void RowTable::set_rows(const std::string& name, const at::Tensor& rows, const at::Tensor& values) {
  const c10::NoGradGuard no_gradient;
  const at::Tensor ids = checked_ids(rows, rows_, "rows");
  const bool trained = std::any_of(parameters_.begin(), parameters_.end(),
                                   [&](const Named& n) { return n.name == name; });
  const at::Tensor target = trained ? entry(name).value.detach() : statistic(name);
  check_like(name, values, target, ids.size(0));
  target.index_copy_(0, ids, values.detach());
}

void RowTable::zero_moments(const std::string& name, const at::Tensor& rows) {
  const at::Tensor ids = rows.defined() ? checked_ids(rows, rows_, "rows") : rows;
  if (!name.empty()) entry(name);
  for (auto& [own, p] : parameters_) {
    if (!name.empty() && own != name) continue;
    for (at::Tensor* t : {&p.first, &p.second}) {
      if (ids.defined()) {
        t->index_fill_(0, ids, 0);
      } else {
        t->zero_();
      }
    }
  }
}

NamedTensors RowTable::arrays() const {
  NamedTensors out;
  for (const auto& [name, p] : parameters_) {
    out["parameter/" + name] = p.value.detach();
    out["first/" + name] = p.first;
    out["second/" + name] = p.second;
    if (p.multiplier.defined()) out["multiplier/" + name] = p.multiplier;
  }
  for (const auto& [name, value] : statistics_) out["statistic/" + name] = value;
  return out;
}

nlohmann::json RowTable::description() const {
  nlohmann::json parameters = nlohmann::json::array();
  for (const auto& [name, p] : parameters_) {
    parameters.push_back({{"name", name},
                          {"rate", p.rate},
                          {"updates", p.updates},
                          {"multiplier", p.multiplier.defined()}});
  }
  return {{"parameters", parameters}, {"statistics", statistic_names()}};
}

RowTable RowTable::restore(const NamedTensors& arrays, const nlohmann::json& description) {
  const auto unusable = [](const std::string& where, const std::string& what) {
    throw Error(ExitCode::kData, what, where);
  };
  const auto array = [&](const std::string& name) {
    const auto it = arrays.find(name);
    if (it == arrays.end() || !it->second.defined()) unusable(name, "the array is missing");
    return it->second;
  };
  RowTable table;
  try {
    for (const auto& j : description.at("parameters")) {
      const std::string name = j.at("name");
      table.add(name, array("parameter/" + name), j.at("rate").get<Schedule>());
      Parameter& p = table.entry(name);
      const auto like_value = [&](const std::string& part) {
        const at::Tensor t = array(part + "/" + name);
        if (t.sizes() != p.value.sizes() || t.scalar_type() != p.value.scalar_type()) {
          unusable(part + "/" + name, "has another shape or dtype than its parameter");
        }
        return t.detach().clone(at::MemoryFormat::Contiguous);
      };
      p.first = like_value("first");
      p.second = like_value("second");
      if (j.at("multiplier").get<bool>()) p.multiplier = like_value("multiplier");
      p.updates = j.at("updates").get<int64_t>();
      if (p.updates < 0) unusable(name, "a negative number of updates");
    }
    for (const auto& j : description.at("statistics")) {
      const std::string name = j;
      table.add_statistic(name, array("statistic/" + name));
    }
  } catch (const nlohmann::json::exception& error) {
    unusable("row table", std::string("the description is unusable: ") + error.what());
  } catch (const Error& error) {
    unusable(error.where(), error.message());
  }
  return table;
}

}  // namespace covary::nn
