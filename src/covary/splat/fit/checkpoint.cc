#include "covary/splat/fit/checkpoint.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/data/archive.h"

namespace covary::fit {
namespace {

using data::DType;

DType stored_type(const at::Tensor& t, const std::string& name) {
  switch (t.scalar_type()) {
    case at::kFloat:
      return DType::kFloat32;
    case at::kDouble:
      return DType::kFloat64;
    case at::kInt:
      return DType::kInt32;
    case at::kLong:
      return DType::kInt64;
    case at::kByte:
      return DType::kUInt8;
    case at::kBool:
      return DType::kBool;
    default:
      throw Error(ExitCode::kFailed, "has a type that is not stored", name);
  }
}

at::ScalarType tensor_type(DType t, const std::string& where) {
  switch (t) {
    case DType::kFloat32:
      return at::kFloat;
    case DType::kFloat64:
      return at::kDouble;
    case DType::kInt32:
      return at::kInt;
    case DType::kInt64:
      return at::kLong;
    case DType::kUInt8:
      return at::kByte;
    case DType::kBool:
      return at::kBool;
    default:
      throw Error(ExitCode::kData, "has a type that no state holds", where);
  }
}

}  // namespace

void write_state(const std::filesystem::path& file, const State& state) {
  data::CovWriter writer(file);
  writer.json(state.document);
  for (const auto& [name, tensor] : state.arrays) {
    const at::Tensor whole = tensor.detach().contiguous();
    writer.array(name, stored_type(whole, name), whole.sizes().vec(), whole.const_data_ptr());
  }
  writer.commit();
}

State read_state(const std::filesystem::path& file) {
  const data::CovReader reader(file);
  State state;
  state.document = reader.json();
  for (const std::string& name : reader.names()) {
    const data::Array array = reader.array(name);
    at::Tensor tensor =
        at::empty(array.shape, tensor_type(array.dtype, file.string() + ": " + name));
    std::copy_n(array.bytes.data(), array.bytes.size(), static_cast<uint8_t*>(tensor.data_ptr()));
    state.arrays[name] = tensor;
  }
  return state;
}

}  // namespace covary::fit
