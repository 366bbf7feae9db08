// NPZ for NumPy: arrays means [N,3], quats [N,4], scales [N,3], opacities [N], sh0 [N,1,3], shN [N,K-1,3] as in
// memory (logs, logits, coefficient-major), a column each as column/NAME, and model.json with the flags.
//
//   z = numpy.load("scene.npz");  numpy.exp(z["scales"]).max(0)
#include "covary/core/base/error.h"
#include "covary/core/data/archive.h"
#include "covary/core/data/zip.h"
#include "covary/splat/scene/axes.h"
#include "covary/splat/scene/byte_reader.h"
#include "covary/splat/scene/cloud_arrays.h"
#include "covary/splat/scene/format_table.h"
#include "covary/splat/scene/json_fields.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSchema = "covary-cloud/1";
constexpr const char* kColumn = "column/";

at::ScalarType tensor_type(data::DType t) {
  switch (t) {
    case data::DType::kFloat32:
      return at::kFloat;
    case data::DType::kFloat64:
      return at::kDouble;
    case data::DType::kInt32:
      return at::kInt;
    case data::DType::kInt64:
      return at::kLong;
    case data::DType::kUInt8:
      return at::kByte;
    case data::DType::kUInt16:
      return at::kUInt16;
    case data::DType::kBool:
      return at::kBool;
  }
  return at::kFloat;
}

at::Tensor tensor_of(const data::Array& a) {
  at::Tensor t = at::empty(a.shape, tensor_type(a.dtype));
  if (!a.bytes.empty()) std::memcpy(t.data_ptr(), a.bytes.data(), a.bytes.size());
  return a.dtype == data::DType::kUInt16 ? t.to(at::kInt) : t;
}

bool is_npz(const Probe& p) {
  if (!p.head.starts_with("PK\x03\x04")) return false;
  try {
    bool means = false, quats = false;
    const data::ZipReader zip(p.path);
    for (const data::ZipEntry& e : zip.entries()) {
      means = means || e.name == "means.npy";
      quats = quats || e.name == "quats.npy";
    }
    return means && quats;
  } catch (const Error&) {
    return false;
  }
}

Cloud read(const fs::path& path, const ReadOptions&) {
  const auto arrays = data::read_npz(path);
  const auto fail = [&](const std::string& name, const std::string& what) {
    throw Error(
        ExitCode::kData, what, path.string() + ": " + name,
        "means [N,3], quats [N,4], scales [N,3], opacities [N], sh0 [N,1,3] and shN [N,K-1,3] "
        "make a scene");
  };
  const auto part = [&](const std::string& name) {
    const auto found = arrays.find(name);
    if (found == arrays.end()) fail(name, "is missing");
    return tensor_of(found->second).to(at::kFloat);
  };
  Cloud cloud;
  cloud.means = part("means");
  if (cloud.means.dim() != 2) fail("means", "is not [N,3]");
  cloud.quats = part("quats");
  cloud.scales = part("scales");
  cloud.opacities = part("opacities");
  cloud.sh0 = part("sh0");
  if (cloud.sh0.dim() == 2) cloud.sh0 = cloud.sh0.unsqueeze(1);
  cloud.shN = arrays.count("shN") ? part("shN") : at::zeros({cloud.size(), 0, 3});
  const std::string prefix = kColumn;
  for (const auto& [name, array] : arrays)
    if (name.starts_with(prefix)) cloud.columns[name.substr(prefix.size())] = tensor_of(array);
  try {
    cloud.check();
  } catch (const Error& e) {
    fail(e.where(), e.message());
  }
  const data::ZipReader zip(path);
  for (const data::ZipEntry& e : zip.entries()) {
    if (e.name != "model.json") continue;
    const auto bytes = zip.read(e);
    const auto j = nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr, false);
    if (!j.is_object()) fail("model.json", "is no JSON object");
    const JsonFields f(j, path.string() + ": model.json");
    if (f.text("schema", "") != kSchema) f.fail("schema", "is not " + std::string(kSchema));
    cloud.antialiased = f.flag("antialiased", false);
    cloud.flat = f.flag("flat", false);
    cloud.source_axes = f.text("source_axes", "");
    if (!cloud.source_axes.empty() && !are_axes(cloud.source_axes))
      f.fail("source_axes", "are no axes");
  }
  return cloud;
}

void write(const fs::path& path, const Cloud& cloud, const WriteOptions&) {
  data::CovWriter w(path);
  w.json({{"schema", kSchema},
          {"version", 1},
          {"antialiased", cloud.antialiased},
          {"flat", cloud.flat},
          {"source_axes", cloud.source_axes}});
  const auto put = [&](const std::string& name, const at::Tensor& given) {
    at::Tensor t = given.detach().to(at::kCPU).contiguous();
    data::DType type = data::DType::kFloat32;
    switch (t.scalar_type()) {
      case at::kFloat:
        break;
      case at::kDouble:
        type = data::DType::kFloat64;
        break;
      case at::kLong:
        type = data::DType::kInt64;
        break;
      case at::kByte:
        type = data::DType::kUInt8;
        break;
      case at::kBool:
        type = data::DType::kBool;
        break;
      case at::kInt:
      case at::kShort:
      case at::kChar:
        type = data::DType::kInt32;
        t = t.to(at::kInt);
        break;
      default:
        throw Error(ExitCode::kFailed, "a column of this type cannot be written", name);
    }
    w.array(name, type, t.sizes().vec(), t.data_ptr());
  };
  put("means", cloud.means.to(at::kFloat));
  put("quats", cloud.quats.to(at::kFloat));
  put("scales", cloud.scales.to(at::kFloat));
  put("opacities", cloud.opacities.to(at::kFloat));
  put("sh0", cloud.sh0.to(at::kFloat));
  put("shN", cloud.shN.to(at::kFloat));
  for (const auto& [name, t] : cloud.columns) put(kColumn + name, t);
  w.commit();
}

}  // namespace

SceneFormat npz_format() {
  SceneFormat f;
  f.name = "npz";
  f.help = "arrays for NumPy: all numbers as floats, as they are in memory";
  f.extensions = {".npz"};
  f.columns = f.antialiased = f.flat = f.source_axes = f.not_finite = true;
  f.is = is_npz;
  f.read = read;
  f.write = write;
  return f;
}

}  // namespace covary::scene
