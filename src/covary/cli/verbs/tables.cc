#include "covary/cli/verbs/tables.h"

#include <algorithm>

#include "covary/core/base/file.h"

namespace covary::cli {
namespace {

std::string csv_cell(const nlohmann::json& v) {
  if (v.is_null()) return "";
  std::string text = v.is_string() ? v.get<std::string>() : v.dump();
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

void flatten(const nlohmann::json& j, const std::string& path, nlohmann::json* out) {
  if (j.is_number()) (*out)[path] = j;
  if (j.is_object())
    for (const auto& [key, value] : j.items())
      flatten(value, path.empty() ? key : path + "." + key, out);
}

}  // namespace

void Table::add(const nlohmann::ordered_json& row) {
  for (const auto& [key, value] : row.items())
    if (std::find(columns.begin(), columns.end(), key) == columns.end()) columns.push_back(key);
  rows.push_back(nlohmann::json(row));
}

std::string Table::csv() const {
  std::string out;
  for (const std::string& c : columns) out += (out.empty() ? "" : ",") + csv_cell(c);
  out += "\n";
  for (const nlohmann::json& r : rows) {
    for (size_t k = 0; k < columns.size(); ++k)
      out += (k ? "," : "") + csv_cell(r.contains(columns[k]) ? r[columns[k]] : nlohmann::json());
    out += "\n";
  }
  return out;
}

std::string Table::json() const {
  // Names of photos are bytes, JSON is UTF-8: what is not becomes U+FFFD.
  return nlohmann::json{{"columns", columns}, {"rows", rows}}.dump(
             2, ' ', false, nlohmann::json::error_handler_t::replace) +
         "\n";
}

void Table::write(const std::filesystem::path& file) const {
  write_file(file, file.extension() == ".csv" ? csv() : json());
}

nlohmann::json flattened(const nlohmann::json& object) {
  nlohmann::json out = nlohmann::json::object();
  flatten(object, "", &out);
  return out;
}

}  // namespace covary::cli
