#include "covary/cli/verbs/table_facts.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "covary/cli/verb_table.h"
#include "covary/cli/verbs/places.h"
#include "covary/core/data/model.h"

namespace covary::cli {

namespace fs = std::filesystem;
using nlohmann::json;

// What a table holds, a column a line.
Result about_table(const data::Table& table, const std::string& what) {
  Result r;
  r.document = {
      {"kind", "table"}, {"file", what}, {"rows", table.rows}, {"columns", json::array()}};
  r.text = what + ": table, " + count_text(table.rows) + " rows, " +
           std::to_string(table.columns()) + " columns\n";
  for (int64_t k = 0; k < table.columns(); ++k) {
    const auto& words = table.words[static_cast<size_t>(k)];
    double low = INFINITY, high = -INFINITY, mean = 0, squares = 0;
    int64_t there = 0;
    for (int64_t i = 0; i < table.rows; ++i) {
      const double v = table.at(i, k);
      if (std::isnan(v)) continue;
      low = std::min(low, v);
      high = std::max(high, v);
      const double step = v - mean;  // Welford
      mean += step / static_cast<double>(++there);
      squares += step * (v - mean);
    }
    const std::string& name = table.names[static_cast<size_t>(k)];
    json column = {{"name", name}, {"missing", table.rows - there}};
    std::string text;
    if (!words.empty()) {
      column["words"] = words;
      text = std::to_string(words.size()) + " words: ";
      for (size_t w = 0; w < std::min<size_t>(words.size(), 4); ++w)
        text += (w ? ", " : "") + words[w];
      if (words.size() > 4) text += ", ...";
    } else if (there > 0) {
      const double sd = there > 1 ? std::sqrt(squares / static_cast<double>(there - 1)) : 0;
      column.update({{"min", low}, {"max", high}, {"mean", mean}, {"sd", sd}});
      text = number_text("%.6g", low) + " to " + number_text("%.6g", high) + ", mean " +
             number_text("%.6g", mean) + ", deviation " + number_text("%.4g", sd);
    }
    if (there < table.rows) text += ", " + count_text(table.rows - there) + " missing";
    r.document["columns"].push_back(column);
    r.text += fact_line(name, text);
  }
  return r;
}

// A model of the statistics verbs.
Result about_model(const fs::path& path) {
  const data::Model model = data::read_model(path, "", INT64_MAX);
  Result r;
  const std::string family = model.schema.substr(model.schema.find('.') + 1);
  r.document = {{"kind", "model"},
                {"file", path.string()},
                {"schema", model.schema},
                {"fields", model.fields}};
  r.text = path.string() + ": model " + model.schema + "\n";
  for (const auto& [name, array] : model.arrays) {
    std::string shape;
    for (const int64_t size : array.shape)
      shape += (shape.empty() ? "" : " x ") + std::to_string(size);
    r.document["arrays"][name] = array.shape;
    r.text += fact_line(name, shape.empty() ? "scalar" : shape);
  }
  if (model.fields.contains("posterior"))
    r.text += fact_line("posterior", "by draws of the parameters: predictions mix them");
  const std::string verb = family == "process" ? "gp" : family;
  if (find_verb(verb + " inspect") != nullptr)
    r.text += "covary " + verb + " inspect " + path.string() + " says more\n";
  return r;
}

}  // namespace covary::cli
