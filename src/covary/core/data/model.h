// Model files: what a fit learned, as one JSON document with its arrays.
//
//   Model m{.schema = "covary.mixture", .version = 1, .fields = {{"family", "gaussian"}}};
//   m.put("means", means, {k, d});
//   write_model("m.cov", m);                            // or m.json; whole or absent
//   Model r = read_model("m.cov", "covary.mixture", 1);
//   const std::string family = r.text("family", {"gaussian", "vmf"});
//   const std::vector<double> back = r.doubles("means", {-1, 2});      // -1: any size
//
// `.json` has all numbers inline, {"schema", "version", ..., "arrays": {"means": {"shape": [3, 2],
// "values": [...]}}}, with the digits that read back to the same double; "nan", "inf" and "-inf"
// stand for what JSON cannot write. Every other extension is a `.cov` (archive.h). Both give the
// same bits. Reading goes by content.
//
// Nothing of a file is trusted: sizes are checked before memory is taken, fields have their type,
// arrays their shape. Errors are Error(kData) naming file and field.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace covary::data {

// Doubles of any shape.
struct ModelArray {
  std::vector<int64_t> shape;
  std::vector<double> values;
};

struct Model {
  std::string schema;  // "covary.mixture"
  int64_t version = 1;
  nlohmann::json fields = nlohmann::json::object();  // all but schema, version and arrays
  std::map<std::string, ModelArray> arrays = {};
  std::string path = {};  // the file that it came from, for errors

  void put(const std::string& name, std::vector<double> values, std::vector<int64_t> shape);

  // The array, of this shape (-1: any size).
  const std::vector<double>& doubles(const std::string& name,
                                     const std::vector<int64_t>& shape) const;
  int64_t size(const std::string& name, size_t dimension) const;
  // A field that is text, one of the choices unless there are none.
  std::string text(const std::string& name, const std::vector<std::string>& choices = {}) const;
  double number(const std::string& name) const;                   // finite
  std::vector<std::string> texts(const std::string& name) const;  // a list of texts; absent: empty

  [[noreturn]] void refuse(const std::string& field, const std::string& what) const;
};

void write_model(const std::filesystem::path& path, const Model& model);
// version: the newest that the caller reads. An empty schema takes any.
Model read_model(const std::filesystem::path& path, const std::string& schema, int64_t version);
// Whether the file is a model of Covary's, of whatever schema: false also for one that cannot be
// read.
bool is_model(const std::filesystem::path& path);

}  // namespace covary::data
