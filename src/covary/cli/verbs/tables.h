// Figures in rows, for files that other programs read.
//
//   Table t;
//   t.add({{"name", "a.png"}, {"psnr", 31.2}});    // columns appear as rows bring them
//   t.write("views.csv");                          // or .json: {"columns": [...], "rows": [{...}]}
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace covary::cli {

struct Table {
  std::vector<std::string> columns;
  nlohmann::json rows = nlohmann::json::array();

  void add(const nlohmann::ordered_json& row);
  std::string csv() const;  // a missing value is empty
  std::string json() const;
  void write(const std::filesystem::path& file) const;  // by extension: .csv, else JSON
};

// Every number of an object by its path ("train.wall_s"), lists left out.
nlohmann::json flattened(const nlohmann::json& object);

}  // namespace covary::cli
