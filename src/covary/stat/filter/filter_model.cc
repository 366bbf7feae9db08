#include "covary/stat/filter/filter_model.h"

#include <algorithm>
#include <fstream>
#include <set>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/options.h"
#include "covary/core/data/model.h"

namespace covary::filter {
namespace {

using nlohmann::json;

constexpr const char* kSchema = "covary.filter";
const std::vector<std::string> kMatrices = {"F", "Q", "H", "R", "B", "mean0", "cov0", "diffuse"};

[[noreturn]] void refuse(const std::string& file, const std::string& field, const std::string& what,
                         const std::string& hint = "") {
  throw Error(ExitCode::kData, what, field.empty() ? file : file + ": " + field,
              hint.empty() ? "a model is {\"F\": ..., \"Q\": ..., \"H\": ..., \"R\": ...} or "
                             "{\"model\": \"level+seasonal(12)\", \"parameters\": {...}}"
                           : hint);
}

std::vector<std::string> words(const json& j, const std::string& file, const std::string& field) {
  std::vector<std::string> out;
  if (!j.is_array()) refuse(file, field, "is no list of names", "write [\"a\", \"b\"]");
  for (const json& w : j) {
    if (!w.is_string() || w.get<std::string>().empty())
      refuse(file, field, "holds something that is no name", "write [\"a\", \"b\"]");
    out.push_back(w.get<std::string>());
  }
  if (std::set<std::string>(out.begin(), out.end()).size() != out.size())
    refuse(file, field, "holds a name twice", "names are different");
  return out;
}

bool is_zip(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  char head[2] = {};
  in.read(head, 2);
  return head[0] == 'P' && head[1] == 'K';
}

json nested(const data::ModelArray& a, size_t depth, size_t& at) {
  if (depth == a.shape.size()) return a.values[at++];
  json list = json::array();
  for (int64_t i = 0; i < a.shape[depth]; ++i) list.push_back(nested(a, depth + 1, at));
  return list;
}

}  // namespace

FilterModel FilterModel::of_text(const std::string& text, const std::vector<std::string>& columns) {
  const std::vector<Term> terms = parse_terms(text);
  FilterModel m;
  m.columns = columns;
  if (std::any_of(terms.begin(), terms.end(),
                  [](const Term& t) { return NamedModel::knows(t.name); })) {
    m.named = NamedModel::parse(text);
    if (!columns.empty() && columns.size() != m.named->columns().size()) m.columns.clear();
    return m;
  }
  if (!Components::knows(terms)) {
    for (const Term& t : terms) {
      if (Components::knows({t})) continue;
      std::vector<std::string> names = NamedModel::names();
      for (const char* n : {"level", "constant", "trend", "seasonal", "cycle", "ar", "velocity",
                            "acceleration", "noise"})
        names.push_back(n);
      const std::string near = nearest_word(t.name, names);
      std::string all;
      for (const std::string& n : names) all += (all.empty() ? "" : ", ") + n;
      throw Error(ExitCode::kUsage, "'" + t.name + "' is no model and no component",
                  "model \"" + text + "\"",
                  near.empty() ? "there are " + all : "did you mean " + near + "?");
    }
  }
  m.components =
      Components::parse(text, std::max<int64_t>(1, static_cast<int64_t>(columns.size())));
  return m;
}

FilterModel FilterModel::of_matrices(const LinearModel& model,
                                     const std::vector<std::string>& columns) {
  FilterModel m;
  m.matrices = model;
  m.columns = columns;
  m.check("model");
  return m;
}

void FilterModel::check(const std::string& file) const {
  const auto count = [&](const std::vector<std::string>& names, int64_t expected,
                         const std::string& field, const std::string& of) {
    if (!names.empty() && static_cast<int64_t>(names.size()) != expected)
      refuse(file, field,
             "has " + std::to_string(names.size()) + " names for " + std::to_string(expected) + of,
             "give one name each, or leave them out");
  };
  count(columns, observations(), "columns", " observations");
  count(names_, states(), "states", " states");
  if (matrices) count(controls, matrices->controls(), "controls", " controls");
  if (!matrices && !controls.empty()) refuse(file, "controls", "belong to a model with B");
  if (!positions.empty()) {
    if (positions.size() != 2) refuse(file, "positions", "are not two states", "name x and y");
    position_states();
  }
}

FilterModel FilterModel::of_json(json j, const std::string& file) {
  if (!j.is_object()) refuse(file, "", "is no JSON object");
  FilterModel m;
  const auto take = [&](const char* key) {
    json v;
    if (j.contains(key)) {
      v = j[key];
      j.erase(key);
    }
    return v;
  };
  const json schema = take("schema"), version = take("version");
  if (!schema.is_null() && schema != kSchema)
    refuse(file, "schema", "is not '" + std::string(kSchema) + "'",
           "is it a model of another verb?");
  if (!version.is_null() && version != 1)
    refuse(file, "version", "is not 1", "a newer covary wrote it");
  if (const json v = take("columns"); !v.is_null()) m.columns = words(v, file, "columns");
  if (const json v = take("controls"); !v.is_null()) m.controls = words(v, file, "controls");
  if (const json v = take("positions"); !v.is_null()) m.positions = words(v, file, "positions");
  if (const json v = take("states"); !v.is_null()) m.names_ = words(v, file, "states");
  m.fit = take("fit");
  const json text = take("model"), parameters = take("parameters");
  if (text.is_null()) {
    if (!parameters.is_null()) refuse(file, "parameters", "belong to a \"model\"");
    for (const auto& [key, value] : j.items()) {
      if (std::find(kMatrices.begin(), kMatrices.end(), key) != kMatrices.end()) continue;
      std::vector<std::string> all = kMatrices;
      all.insert(all.end(), {"model", "parameters", "columns", "states", "controls", "positions"});
      const std::string near = nearest_word(key, all);
      refuse(file, key, "is no part of a model", near.empty() ? "" : "did you mean " + near + "?");
    }
    m.matrices = LinearModel::from_json(j, file);
    m.check(file);
    return m;
  }
  if (!text.is_string()) refuse(file, "model", "is no text");
  try {
    FilterModel named = of_text(text.get<std::string>(), m.columns);
    m.components = std::move(named.components);
    m.named = std::move(named.named);
  } catch (const Error& e) {
    refuse(file, "model", e.message(), e.hint());
  }
  if (!parameters.is_null()) {
    if (!parameters.is_object()) refuse(file, "parameters", "is no object of numbers");
    auto& all = m.components ? m.components->parameters() : m.named->parameters();
    for (const auto& [key, value] : parameters.items()) {
      if (!value.is_number()) refuse(file, "parameters." + key, "is no number");
      set_parameter(all, key, value.get<double>(), file + ": parameters");
    }
  }
  if (m.named) {
    // The start: checked with the rest as a linear model's would be.
    json frame = json::object();
    const NonlinearModel own = m.named->gaussian();
    const int64_t n = own.states;
    LinearModel start{.f = at::eye(n, at::kDouble),
                      .q = own.q,
                      .h = at::zeros({own.observations, n}, at::kDouble),
                      .r = own.r,
                      .b = {},
                      .mean0 = own.mean0,
                      .cov0 = own.cov0,
                      .diffuse = {}};
    frame = start.to_json();
    for (const char* key : {"mean0", "cov0"}) {
      if (const json v = take(key); !v.is_null()) frame[key] = v;
    }
    start = LinearModel::from_json(frame, file);
    m.named->mean0 = start.mean0;
    m.named->cov0 = start.cov0;
  }
  if (!j.empty()) {
    refuse(file, j.begin().key(), "is no part of a model with a name",
           "it has \"parameters\", and a nonlinear one mean0 and cov0");
  }
  m.check(file);
  return m;
}

FilterModel FilterModel::read(const std::filesystem::path& path) {
  const std::string file = path.string();
  if (!is_zip(path)) {
    json j = json::parse(read_file(path), nullptr, false);
    if (j.is_discarded()) refuse(file, "", "is no model: neither JSON nor a .cov file");
    return of_json(std::move(j), file);
  }
  const data::Model m = data::read_model(path, kSchema, 1);
  json j = m.fields;
  for (const auto& [name, a] : m.arrays) {
    size_t at = 0;
    j[name] = nested(a, 0, at);
  }
  return of_json(std::move(j), file);
}

json FilterModel::to_json() const {
  json j = matrices ? matrices->to_json() : json::object();
  if (!columns.empty()) j["columns"] = columns;
  if (!controls.empty()) j["controls"] = controls;
  if (!positions.empty()) j["positions"] = positions;
  if (!names_.empty()) j["states"] = names_;
  if (!fit.is_null()) j["fit"] = fit;
  if (matrices) return j;
  j["model"] = text();
  json values = json::object();
  for (const Parameter& p : components ? components->parameters() : named->parameters())
    if (std::isfinite(p.value)) values[p.name] = p.value;
  j["parameters"] = values;
  if (named) {
    const NonlinearModel own = named->gaussian();
    const LinearModel start{.f = own.cov0,
                            .q = own.q,
                            .h = own.cov0,
                            .r = own.r,
                            .b = {},
                            .mean0 = own.mean0,
                            .cov0 = own.cov0,
                            .diffuse = {}};
    const json both = start.to_json();
    j["mean0"] = both["mean0"];
    j["cov0"] = both["cov0"];
  }
  return j;
}

void FilterModel::write(const std::filesystem::path& file) const {
  json j = to_json();
  if (file.extension() == ".json") {
    j["schema"] = kSchema;
    j["version"] = 1;
    write_file(file, j.dump(1) + "\n");
    return;
  }
  data::Model m{.schema = kSchema, .version = 1, .fields = j};
  if (matrices) {
    const auto put = [&](const char* name, const at::Tensor& t) {
      if (!t.defined()) return;
      m.fields.erase(name);
      const at::Tensor c = t.contiguous();
      m.put(name, {c.const_data_ptr<double>(), c.const_data_ptr<double>() + c.numel()},
            c.sizes().vec());
    };
    put("F", matrices->f);
    put("Q", matrices->q);
    put("H", matrices->h);
    put("R", matrices->r);
    put("B", matrices->b);
    put("mean0", matrices->mean0);
    put("cov0", matrices->cov0);
    put("diffuse", matrices->diffuse);
  }
  data::write_model(file, m);
}

LinearModel FilterModel::linear() const {
  if (matrices) return *matrices;
  if (components) return components->model();
  throw Error(ExitCode::kUsage, "is not linear", "model " + text(),
              "take --method ekf, ukf, ckf or particle");
}

std::string FilterModel::text() const {
  if (components) return components->text();
  if (named) return named->text();
  return std::to_string(states()) + (states() == 1 ? " state, " : " states, ") +
         std::to_string(observations()) + (observations() == 1 ? " observation" : " observations");
}

int64_t FilterModel::states() const {
  if (matrices) return matrices->states();
  if (components) return components->states();
  return static_cast<int64_t>(named->states().size());
}

int64_t FilterModel::observations() const {
  if (matrices) return matrices->observations();
  if (components) return components->columns();
  return static_cast<int64_t>(named->columns().size());
}

std::vector<std::string> FilterModel::column_names() const {
  if (!columns.empty()) return columns;
  if (named) return named->columns();
  std::vector<std::string> out;
  for (int64_t i = 0; i < observations(); ++i) out.push_back("y" + std::to_string(i));
  return out;
}

std::vector<std::string> FilterModel::state_names() const {
  if (!names_.empty()) return names_;
  if (named) return named->states();
  if (components) return components->state_names(column_names());
  std::vector<std::string> out;
  for (int64_t i = 0; i < states(); ++i) out.push_back("x" + std::to_string(i));
  return out;
}

std::vector<int64_t> FilterModel::position_states() const {
  if (positions.empty()) {
    if (named) return named->positions();
    return components ? components->positions() : std::vector<int64_t>{};
  }
  std::vector<int64_t> out;
  const std::vector<std::string> names = state_names();
  for (const std::string& p : positions) {
    const auto at = std::find(names.begin(), names.end(), p);
    if (at == names.end()) {
      throw Error(ExitCode::kData, "'" + p + "' is no state", "positions",
                  "name two of the model's \"states\"");
    }
    out.push_back(at - names.begin());
  }
  return out;
}

}  // namespace covary::filter
