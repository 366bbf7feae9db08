#include "covary/splat/scene/json_fields.h"

#include <cmath>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"

namespace covary::scene {

using nlohmann::json;

json parse_json_file(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  // nlohmann's parser recurses on nesting: a file of a million brackets must not eat the stack.
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && quoted)
      ++i;
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && (c == '[' || c == '{') && ++depth > 100)
      throw Error(ExitCode::kData, "the JSON is nested more than 100 deep", path.string(),
                  "check that this is the right file");
    else if (!quoted && (c == ']' || c == '}'))
      --depth;
  }
  try {
    return json::parse(text);
  } catch (const json::parse_error& e) {
    throw Error(ExitCode::kData, "not valid JSON at byte " + std::to_string(e.byte), path.string(),
                "mend the file, or write it again");
  } catch (const json::exception&) {
    throw Error(ExitCode::kData, "a number of the JSON is out of range", path.string(),
                "mend the file, or write it again");
  }
}

JsonFields::JsonFields(const json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object_.is_object())
    throw Error(ExitCode::kData, "is no JSON object", where_, "check that this is the right file");
}

void JsonFields::fail(const std::string& key, const std::string& what) const {
  throw Error(ExitCode::kData, what, where(key), "mend this field, or write the file again");
}

const json* JsonFields::find(const std::string& key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<double> JsonFields::maybe(const std::string& key) const {
  const json* v = find(key);
  if (!v) return std::nullopt;
  if (!v->is_number() || !std::isfinite(v->get<double>())) fail(key, "is no finite number");
  return v->get<double>();
}

double JsonFields::number(const std::string& key) const {
  const auto v = maybe(key);
  if (!v) fail(key, "is missing");
  return *v;
}

double JsonFields::number(const std::string& key, double fallback) const {
  return maybe(key).value_or(fallback);
}

float JsonFields::number_at(const json& list, size_t i, const std::string& key) const {
  if (!list[i].is_number() || !std::isfinite(list[i].get<double>()))
    fail(key, "holds what is no finite number");
  return list[i].get<float>();
}

int JsonFields::size(const std::string& key) const {
  const double v = number(key);
  if (!(v >= 1 && v <= 65536)) fail(key, "is no size of 1 to 65536 px");
  return static_cast<int>(std::lround(v));
}

std::string JsonFields::text(const std::string& key, const std::string& fallback) const {
  const json* v = find(key);
  if (!v) return fallback;
  if (!v->is_string()) fail(key, "is no text");
  return v->get<std::string>();
}

bool JsonFields::flag(const std::string& key, bool fallback) const {
  const json* v = find(key);
  if (!v) return fallback;
  if (!v->is_boolean()) fail(key, "is neither true nor false");
  return v->get<bool>();
}

const json& JsonFields::list(const std::string& key) const {
  const json* v = find(key);
  if (!v || !v->is_array()) fail(key, "is missing or no list");
  if (v->empty()) fail(key, "is empty");
  return *v;
}

const json& JsonFields::object(const std::string& key) const {
  const json* v = find(key);
  if (!v || !v->is_object()) fail(key, "is missing or no object");
  return *v;
}

std::vector<double> JsonFields::numbers(const std::string& key, size_t count) const {
  return numbers(list(key), key, count);
}

std::vector<double> JsonFields::numbers(const json& values, const std::string& key,
                                        size_t count) const {
  if (!values.is_array()) fail(key, "is no list of numbers");
  if (count > 0 && values.size() != count)
    fail(key, "holds " + std::to_string(values.size()) + " numbers, not " + std::to_string(count));
  std::vector<double> out;
  out.reserve(values.size());
  for (const json& v : values) {
    if (!v.is_number() || !std::isfinite(v.get<double>()))
      fail(key, "holds what is no finite number");
    out.push_back(v.get<double>());
  }
  return out;
}

Eigen::Matrix4d JsonFields::matrix(const std::string& key) const {
  const json* rows = find(key);
  if (!rows) fail(key, "is missing");
  if (!rows->is_array() || (rows->size() != 3 && rows->size() != 4))
    fail(key, "is no 4 x 4 or 3 x 4 matrix");
  Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
  for (size_t r = 0; r < rows->size(); ++r) {
    const json& row = (*rows)[r];
    if (!row.is_array() || row.size() != 4) fail(key, "is no 4 x 4 or 3 x 4 matrix");
    for (size_t c = 0; c < 4; ++c) {
      if (!row[c].is_number() || !std::isfinite(row[c].get<double>()))
        fail(key, "holds what is no finite number");
      m(static_cast<int>(r), static_cast<int>(c)) = row[c].get<double>();
    }
  }
  return m;
}

}  // namespace covary::scene
