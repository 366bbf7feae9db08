#include "covary/core/data/model.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/data/archive.h"

namespace covary::data {
namespace {

using nlohmann::json;

constexpr const char* kHint = "write the model again: covary writes it with -o FILE.json or .cov";

json value_of(double v) {
  if (std::isfinite(v)) return v;
  return std::isnan(v) ? "nan" : v > 0 ? "inf" : "-inf";
}

bool parse_value(const json& j, double& v) {
  if (j.is_number()) {
    v = j.get<double>();
    return std::isfinite(v);
  }
  if (!j.is_string()) return false;
  const auto& text = j.get_ref<const std::string&>();
  v = text == "nan" ? NAN : text == "inf" ? INFINITY : -INFINITY;
  return text == "nan" || text == "inf" || text == "-inf";
}

// Numbers in a shape; false when they overflow or one is negative.
bool count_of(const std::vector<int64_t>& shape, int64_t& count) {
  count = 1;
  return std::all_of(shape.begin(), shape.end(), [&](int64_t n) {
    return n >= 0 && !__builtin_mul_overflow(count, n, &count);
  });
}

// Schema and version into the model; what is left are its fields.
void take_document(json document, Model& m) {
  if (!document.is_object()) m.refuse("", "holds no JSON object");
  const auto schema = document.find("schema"), version = document.find("version");
  if (schema == document.end() || !schema->is_string()) m.refuse("schema", "is no text");
  if (version == document.end() || !version->is_number_integer())
    m.refuse("version", "is no whole number");
  m.schema = schema->get<std::string>();
  m.version = version->get<int64_t>();
  document.erase("schema");
  document.erase("version");
  m.fields = std::move(document);
}

void take_inline_arrays(Model& m) {
  if (!m.fields.contains("arrays")) return;
  const json arrays = m.fields["arrays"];
  if (!arrays.is_object()) m.refuse("arrays", "is no object");
  for (const auto& [name, a] : arrays.items()) {
    const std::string field = "arrays." + name;
    if (!a.is_object() || !a.contains("shape") || !a["shape"].is_array() || !a.contains("values") ||
        !a["values"].is_array())
      m.refuse(field, R"(is not {"shape": [...], "values": [...]})");
    ModelArray array;
    for (const json& n : a["shape"]) {
      if (!n.is_number_integer() || array.shape.size() >= 8)
        m.refuse(field + ".shape", "is absurd");
      array.shape.push_back(n.get<int64_t>());
    }
    int64_t count = 0;
    if (!count_of(array.shape, count) || static_cast<size_t>(count) != a["values"].size())
      m.refuse(field, "has " + std::to_string(a["values"].size()) +
                          " values, which its shape does not hold");
    for (const json& v : a["values"]) {
      double x = 0;
      if (!parse_value(v, x))
        m.refuse(field + "[" + std::to_string(array.values.size()) + "]", "is no number");
      array.values.push_back(x);
    }
    m.arrays[name] = std::move(array);
  }
  m.fields.erase("arrays");
}

bool is_zip(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  char head[2] = {};
  in.read(head, 2);
  return head[0] == 'P' && head[1] == 'K';
}

}  // namespace

void Model::refuse(const std::string& field, const std::string& what) const {
  throw Error(ExitCode::kData, what, field.empty() ? path : path + ": " + field, kHint);
}

void Model::put(const std::string& name, std::vector<double> values, std::vector<int64_t> shape) {
  int64_t count = 0;
  if (!count_of(shape, count) || static_cast<size_t>(count) != values.size())
    throw Error(ExitCode::kFailed, "an array's values do not match its shape", name);
  arrays[name] = {std::move(shape), std::move(values)};
}

const std::vector<double>& Model::doubles(const std::string& name,
                                          const std::vector<int64_t>& shape) const {
  const auto found = arrays.find(name);
  if (found == arrays.end()) refuse(name, "there is no such array");
  const ModelArray& a = found->second;
  bool fits = a.shape.size() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] < 0 || shape[i] == a.shape[i];
  if (!fits) {
    std::string text;
    for (const int64_t n : a.shape) text += (text.empty() ? "" : ",") + std::to_string(n);
    refuse(name, "has the shape [" + text + "], which does not fit the rest of the model");
  }
  return a.values;
}

int64_t Model::size(const std::string& name, size_t dimension) const {
  const auto found = arrays.find(name);
  if (found == arrays.end()) refuse(name, "there is no such array");
  if (dimension >= found->second.shape.size()) refuse(name, "has too few dimensions");
  return found->second.shape[dimension];
}

std::string Model::text(const std::string& name, const std::vector<std::string>& choices) const {
  if (!fields.contains(name) || !fields[name].is_string()) refuse(name, "is no text");
  std::string value = fields[name].get<std::string>();
  if (!choices.empty() && std::find(choices.begin(), choices.end(), value) == choices.end())
    refuse(name, "'" + value + "' is not known");
  return value;
}

double Model::number(const std::string& name) const {
  if (!fields.contains(name) || !fields[name].is_number()) refuse(name, "is no number");
  const double v = fields[name].get<double>();
  if (!std::isfinite(v)) refuse(name, "is not finite");
  return v;
}

std::vector<std::string> Model::texts(const std::string& name) const {
  std::vector<std::string> out;
  if (!fields.contains(name)) return out;
  if (!fields[name].is_array()) refuse(name, "is no list");
  for (const json& j : fields[name]) {
    if (!j.is_string()) refuse(name, "holds something that is no text");
    out.push_back(j.get<std::string>());
  }
  return out;
}

void write_model(const std::filesystem::path& path, const Model& model) {
  json document = model.fields;
  document["schema"] = model.schema;
  document["version"] = model.version;
  if (path.extension() == ".json") {
    json arrays = json::object();
    for (const auto& [name, a] : model.arrays) {
      json values = json::array();
      for (const double v : a.values) values.push_back(value_of(v));
      arrays[name] = {{"shape", a.shape}, {"values", std::move(values)}};
    }
    document["arrays"] = std::move(arrays);
    write_file(path, document.dump() + "\n");
    return;
  }
  CovWriter file(path);
  file.json(document);
  for (const auto& [name, a] : model.arrays)
    file.array(name, DType::kFloat64, a.shape, a.values.data());
  file.commit();
}

Model read_model(const std::filesystem::path& path, const std::string& schema, int64_t version) {
  Model m;
  m.path = path.string();
  if (is_zip(path)) {
    const CovReader file(path);
    take_document(file.json(), m);
    for (const std::string& name : file.names()) {
      const Array a = file.array(name);
      if (a.dtype != DType::kFloat64) m.refuse(name, "does not hold doubles");
      m.arrays[name] = {a.shape, {a.as<double>(), a.as<double>() + a.count()}};
    }
  } else {
    json document = json::parse(read_file(path), nullptr, false);
    if (document.is_discarded()) m.refuse("", "is no model: neither JSON nor a .cov file");
    take_document(std::move(document), m);
    take_inline_arrays(m);
  }
  if (!schema.empty() && m.schema != schema)
    m.refuse("schema", "is '" + m.schema + "', not '" + schema + "'");
  if (!schema.empty() && (m.version < 1 || m.version > version))
    m.refuse("version", "is " + std::to_string(m.version) + ", and this program reads up to " +
                            std::to_string(version));
  return m;
}

bool is_model(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  try {
    if (is_zip(path)) return CovReader(path).json().contains("schema");
    std::ifstream in(path, std::ios::binary);
    if ((in >> std::ws).peek() != '{') return false;
    const json document = json::parse(in, nullptr, false);
    return document.is_object() && document.contains("schema");
  } catch (const Error&) {
    return false;
  }
}

}  // namespace covary::data
