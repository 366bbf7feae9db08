// `.cov` files and `.npy`/`.npz`: named arrays and a JSON document in a ZIP with CRCs, opened by NumPy as an .npz.
//
//   CovWriter w("state.cov");  w.json({{"step", 700}});  w.array("means", means.data(), {n, 3});  w.commit();
//   CovReader r("state.cov");  Array a = r.array("means");             // a.shape, a.as<float>()
//
// model.json holds {"schema", "version", ...}. Entries are stored uncompressed (arrays of floats hardly shrink), zip64 when
// over 4 GB. Reading checks sizes before it allocates, and CRCs; a truncated or altered file is Error(kData) naming file
// and entry.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace covary::data {

enum class DType { kFloat32, kFloat64, kInt32, kInt64, kUInt8, kUInt16, kBool };
size_t dtype_size(DType t);

// An array as bytes with its type and shape; what torch tensors and spans are made from.
struct Array {
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;
  int64_t count() const;
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(bytes.data());
  }
};

// NumPy's types that are missing here are widened: float16 to float32, int8 and int16 to int32, uint32 to int64.
// Big-endian and column-major arrays are read too. `where` stands for the file's name in errors.
Array parse_npy(std::vector<uint8_t> bytes, const std::string& where);
Array read_npy(const std::filesystem::path& path);
// Type (widened) and shape of an .npy, from its header and the file's size; errors as when it is read.
struct NpyInfo {
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
};
NpyInfo npy_info(const std::filesystem::path& path);
void write_npy(const std::filesystem::path& path, const Array& array);
std::map<std::string, Array> read_npz(const std::filesystem::path& path);  // stored or deflated

class CovWriter {
 public:
  explicit CovWriter(std::filesystem::path path);
  ~CovWriter();
  void json(const nlohmann::json& document);  // becomes model.json
  void array(const std::string& name, DType dtype, const std::vector<int64_t>& shape,
             const void* data);
  void commit();  // complete and rename

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class CovReader {
 public:
  explicit CovReader(const std::filesystem::path& path);
  ~CovReader();
  const nlohmann::json& json() const;
  std::vector<std::string> names() const;
  bool has(const std::string& name) const;
  Array array(const std::string& name) const;  // kData when absent

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace covary::data
