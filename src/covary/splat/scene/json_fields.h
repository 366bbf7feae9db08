// Fields of a JSON object from a file that is not trusted: each is checked, and an error names file
// and field. Within scene only.
//
//   const JsonFields f(document, "fox/transforms.json");
//   double fx = f.number("fl_x");   // Error(kData): "fox/transforms.json: fl_x: is missing"
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <Eigen/Core>
#include <nlohmann/json.hpp>

namespace covary::scene {

nlohmann::json parse_json_file(
    const std::filesystem::path& path);  // Error(kData) with the place of the fault

class JsonFields {
 public:
  // The object must outlive this.
  JsonFields(const nlohmann::json& object, std::string where);

  const nlohmann::json* find(const std::string& key) const;  // null when absent or JSON null
  double number(const std::string& key) const;               // finite
  double number(const std::string& key, double fallback) const;
  std::optional<double> maybe(const std::string& key) const;
  float number_at(const nlohmann::json& list, size_t i, const std::string& key) const;
  int size(const std::string& key) const;  // 1 .. 65536
  std::string text(const std::string& key, const std::string& fallback) const;
  bool flag(const std::string& key, bool fallback) const;
  Eigen::Matrix4d matrix(const std::string& key) const;  // 4x4 or 3x4 (then 0 0 0 1 below), finite
  std::string where(const std::string& key) const { return where_ + ": " + key; }
  // A list of `count` finite numbers; 0: any count but none.
  std::vector<double> numbers(const std::string& key, size_t count) const;
  // The same of a list within a list, which errors call `key`.
  std::vector<double> numbers(const nlohmann::json& list, const std::string& key,
                              size_t count) const;
  const nlohmann::json& list(const std::string& key) const;    // not empty
  const nlohmann::json& object(const std::string& key) const;  // may be empty
  [[noreturn]] void fail(const std::string& key, const std::string& what) const;

 private:
  const nlohmann::json& object_;
  std::string where_;
};

}  // namespace covary::scene
