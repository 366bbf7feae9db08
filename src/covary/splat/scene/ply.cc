#include "covary/splat/scene/ply.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/rasterize/footprints.h"
#include "covary/splat/scene/axes.h"
#include "covary/splat/scene/ply_file.h"
#include "covary/splat/scene/quantise.h"

namespace covary::scene {
namespace {

// Comments: other programs pass over those that they do not know.
constexpr const char* kMip = "SplatRenderMode: mip";
constexpr const char* kDiscs = "SplatRenderMode: 2dgs";
constexpr const char* kAntialiased = "antialiased 1";
constexpr const char* kOldAntialiased = "covary antialiased";
constexpr const char* kSourceAxes = "covary source_axes ";
constexpr const char* kFootprint = "covary footprint ";

bool holds(const PlyFile& file, const char* comment) {
  const auto& all = file.comments();
  return std::find(all.begin(), all.end(), comment) != all.end();
}

at::ScalarType tensor_type(PlyType t) {
  switch (t) {
    case PlyType::kInt8:
      return at::kChar;
    case PlyType::kUInt8:
      return at::kByte;
    case PlyType::kInt16:
      return at::kShort;
    case PlyType::kUInt16:
    case PlyType::kInt32:
      return at::kInt;
    case PlyType::kUInt32:
      return at::kLong;
    case PlyType::kFloat32:
      return at::kFloat;
    case PlyType::kFloat64:
      return at::kDouble;
  }
  return at::kFloat;
}

PlyType file_type(at::ScalarType t, const std::string& name) {
  switch (t) {
    case at::kChar:
      return PlyType::kInt8;
    case at::kBool:
    case at::kByte:
      return PlyType::kUInt8;
    case at::kShort:
      return PlyType::kInt16;
    case at::kInt:
    case at::kLong:
      return PlyType::kInt32;
    case at::kFloat:
      return PlyType::kFloat32;
    case at::kDouble:
      return PlyType::kFloat64;
    default:
      throw Error(ExitCode::kFailed, "a column of this type cannot be written", name);
  }
}

void put(at::ScalarType type, void* base, int64_t i, double v) {
  switch (type) {
    case at::kChar:
      static_cast<int8_t*>(base)[i] = static_cast<int8_t>(v);
      break;
    case at::kByte:
      static_cast<uint8_t*>(base)[i] = static_cast<uint8_t>(v);
      break;
    case at::kShort:
      static_cast<int16_t*>(base)[i] = static_cast<int16_t>(v);
      break;
    case at::kInt:
      static_cast<int32_t*>(base)[i] = static_cast<int32_t>(v);
      break;
    case at::kLong:
      static_cast<int64_t*>(base)[i] = static_cast<int64_t>(v);
      break;
    case at::kDouble:
      static_cast<double*>(base)[i] = v;
      break;
    default:
      static_cast<float*>(base)[i] = static_cast<float>(v);
  }
}

// "f_rest_" + number: how many there are, which must be 0 .. n-1.
int count_numbered(const PlyFile& file, const std::string& prefix) {
  int n = 0, last = -1;
  for (const PlyProperty& p : file.properties()) {
    if (!p.name.starts_with(prefix)) continue;
    const std::string digits = p.name.substr(prefix.size());
    if (digits.empty() || digits.size() > 4 ||
        digits.find_first_not_of("0123456789") != std::string::npos)
      continue;
    last = std::max(last, std::stoi(digits));
    ++n;
  }
  if (last + 1 != n)
    throw Error(
        ExitCode::kData,
        "there are " + std::to_string(n) + " of them, numbered up to " + std::to_string(last),
        file.path() + ": vertex." + prefix + "*", "the file is damaged: write it again");
  return n;
}

// One output column: where its values come from, in the row order of the file.
struct Column {
  std::string name;
  PlyType type = PlyType::kFloat32;
  const uint8_t* base = nullptr;  // null: zeros
  size_t step = 0;                // bytes between rows
  size_t width = 4;               // bytes that are copied
};

}  // namespace

Cloud read_ply(const std::filesystem::path& path, bool take_not_finite) {
  const PlyFile file(path);
  const bool flat = file.find("scale_1") >= 0 && file.find("scale_2") < 0;
  std::vector<int> need;  // of the 14 + rest required columns, in the order of the writes below
  for (const std::string name : {"x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0",
                                 "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"})
    need.push_back(file.require(flat && name == "scale_2" ? "scale_1" : name));
  const int rest = count_numbered(file, "f_rest_");
  int degree = 0;
  while (3 * ((degree + 1) * (degree + 1) - 1) < rest) ++degree;
  if (degree > 4 || 3 * ((degree + 1) * (degree + 1) - 1) != rest)
    throw Error(ExitCode::kData,
                "there are " + std::to_string(rest) + " f_rest properties: no degree has so many",
                file.path() + ": vertex.f_rest_*", "degrees 0 to 4 have 0, 9, 24, 45, 72");
  std::vector<int> rest_at;
  for (int i = 0; i < rest; ++i) rest_at.push_back(file.require("f_rest_" + std::to_string(i)));

  const int64_t n = file.count(), per = rest / 3;
  Cloud cloud;
  cloud.means = at::empty({n, 3}, at::kFloat);
  cloud.sh0 = at::empty({n, 1, 3}, at::kFloat);
  cloud.opacities = at::empty({n}, at::kFloat);
  cloud.scales = at::empty({n, 3}, at::kFloat);
  cloud.quats = at::empty({n, 4}, at::kFloat);
  cloud.shN = at::empty({n, per, 3}, at::kFloat);
  cloud.antialiased =
      holds(file, kMip) || holds(file, kAntialiased) || holds(file, kOldAntialiased);
  cloud.flat = flat || holds(file, kDiscs);
  for (const std::string& comment : file.comments())
    if (comment.starts_with(kSourceAxes))
      if (const std::string axes = comment.substr(std::strlen(kSourceAxes)); are_axes(axes))
        cloud.source_axes = axes;
  for (const std::string& comment : file.comments())
    if (comment.starts_with(kFootprint)) {
      cloud.footprint = comment.substr(std::strlen(kFootprint));
      const auto known = compute::footprint_names();
      if (std::find(known.begin(), known.end(), cloud.footprint) == known.end())
        throw Error(ExitCode::kData,
                    "is to be drawn as '" + cloud.footprint + "', which is not known", file.path(),
                    "it comes from another version; train or convert it with this one");
      if (cloud.footprint == "generalized" && file.find("shape") < 0)
        throw Error(ExitCode::kData, "shaped primitives have no property of their shape",
                    file.path() + ": vertex.shape", "the file is not whole");
    }

  struct Extra {
    int property;
    at::ScalarType type;
    void* base;
    at::Tensor tensor;
  };
  std::vector<Extra> extras;
  for (size_t i = 0; i < file.properties().size(); ++i) {
    const int k = static_cast<int>(i);
    if (std::find(need.begin(), need.end(), k) != need.end() ||
        std::find(rest_at.begin(), rest_at.end(), k) != rest_at.end())
      continue;
    const at::ScalarType type = tensor_type(file.properties()[i].type);
    Extra e{k, type, nullptr, at::empty({n}, type)};
    e.base = e.tensor.data_ptr();
    extras.push_back(std::move(e));
  }

  float *means = cloud.means.data_ptr<float>(), *sh0 = cloud.sh0.data_ptr<float>(),
        *opacities = cloud.opacities.data_ptr<float>(), *scales = cloud.scales.data_ptr<float>(),
        *quats = cloud.quats.data_ptr<float>(), *shN = cloud.shN.data_ptr<float>();
  std::atomic<int64_t> bad{
      n};  // the first row whose position is no number, so that the message is the same each time
  // Where each value of a row stands, in the order of the writes below; nearly all files hold floats only.
  std::vector<int> order = need;
  for (int64_t k = 0; k < per; ++k)
    for (int64_t c = 0; c < 3; ++c) order.push_back(rest_at[static_cast<size_t>(c * per + k)]);
  std::vector<size_t> offsets;
  bool all_float = true;
  for (const int k : order) {
    const PlyProperty& p = file.properties()[static_cast<size_t>(k)];
    offsets.push_back(p.offset);
    all_float = all_float && p.type == PlyType::kFloat32;
  }
  const int64_t values = static_cast<int64_t>(order.size());
  file.read([&](int64_t first, int64_t count, const PlyRows& rows) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = first + i;
      const uint8_t* from = rows.data + static_cast<size_t>(i) * rows.stride;
      const auto get = [&](int64_t k) {
        const auto at = static_cast<size_t>(k);
        if (!all_float) return rows.single(i, order[at]);
        float v;
        std::memcpy(&v, from + offsets[at], sizeof v);
        return v;
      };
      for (int64_t c = 0; c < 3; ++c) {
        means[3 * r + c] = get(c);
        sh0[3 * r + c] = get(3 + c);
        scales[3 * r + c] = get(7 + c);
      }
      opacities[r] = get(6);
      for (int64_t c = 0; c < 4; ++c) quats[4 * r + c] = get(10 + c);
      // Channel-major in files, coefficient-major in memory.
      float* to = shN + 3 * per * r;
      for (int64_t k = 14; k < values; ++k) to[k - 14] = get(k);
      for (const Extra& e : extras) put(e.type, e.base, r, rows.number(i, e.property));
      if (!std::isfinite(means[3 * r]) || !std::isfinite(means[3 * r + 1]) ||
          !std::isfinite(means[3 * r + 2])) {
        int64_t known = bad.load();
        while (r < known && !bad.compare_exchange_weak(known, r)) {
        }
      }
    }
  });
  if (flat) cloud.scales.select(1, 2).fill_(kLeastLogScale);
  if (bad < n && !take_not_finite)
    throw Error(
        ExitCode::kData, "the position of splat " + std::to_string(bad.load()) + " is not finite",
        file.path() + ": vertex.x", "covary convert --not-finite drop leaves such splats out");
  for (const Extra& e : extras) {
    const std::string& name = file.properties()[static_cast<size_t>(e.property)].name;
    // Files of this kind carry normals that are all zero: they are written anew, not kept.
    const bool normal = name == "nx" || name == "ny" || name == "nz";
    if (normal && e.type == at::kFloat && !e.tensor.any().item<bool>()) continue;
    cloud.columns[name] = e.tensor;
  }
  return cloud;
}

void write_ply(const std::filesystem::path& path, const Cloud& cloud) {
  cloud.check();
  const int64_t n = cloud.size();
  std::vector<at::Tensor> hold;  // contiguous copies on the CPU live until the end
  std::vector<Column> columns;
  const auto add = [&](const std::string& name, const at::Tensor& t, int64_t first, int64_t step,
                       PlyType type) {
    const auto size = static_cast<size_t>(t.element_size());
    columns.push_back(
        {name, type,
         n == 0 ? nullptr
                : static_cast<const uint8_t*>(t.data_ptr()) + static_cast<size_t>(first) * size,
         static_cast<size_t>(step) * size, ply_size(type)});
  };
  const auto floats = [&](const at::Tensor& t) {
    hold.push_back(t.detach().to(at::kCPU, at::kFloat).contiguous());
    return hold.back();
  };
  const at::Tensor means = floats(cloud.means), sh0 = floats(cloud.sh0), shN = floats(cloud.shN),
                   opacities = floats(cloud.opacities), scales = floats(cloud.scales),
                   quats = floats(cloud.quats);
  const auto numbered = [](const std::string& name, int64_t i) {
    return name + "_" + std::to_string(i);
  };
  const int64_t per = shN.size(1);
  add("x", means, 0, 3, PlyType::kFloat32);
  add("y", means, 1, 3, PlyType::kFloat32);
  add("z", means, 2, 3, PlyType::kFloat32);
  std::map<std::string, at::Tensor> extra;
  for (const auto& [name, t] : cloud.columns) {
    at::Tensor c = t.detach().to(at::kCPU);
    if (c.scalar_type() == at::kLong) c = c.to(at::kInt);
    hold.push_back(c.contiguous());
    extra[name] = hold.back();
  }
  for (const char* name : {"nx", "ny", "nz"}) {
    const auto found = extra.find(name);
    if (found != extra.end() && found->second.dim() == 1 &&
        found->second.scalar_type() == at::kFloat) {
      add(name, found->second, 0, 1, PlyType::kFloat32);
      extra.erase(found);
    } else {
      columns.push_back({name, PlyType::kFloat32, nullptr, 0, 4});
    }
  }
  for (int64_t c = 0; c < 3; ++c) add(numbered("f_dc", c), sh0, c, 3, PlyType::kFloat32);
  for (int64_t c = 0; c < 3; ++c)
    for (int64_t k = 0; k < per; ++k)
      add(numbered("f_rest", c * per + k), shN, 3 * k + c, 3 * per, PlyType::kFloat32);
  add("opacity", opacities, 0, 1, PlyType::kFloat32);
  for (int64_t c = 0; c < 3; ++c) add(numbered("scale", c), scales, c, 3, PlyType::kFloat32);
  for (int64_t c = 0; c < 4; ++c) add(numbered("rot", c), quats, c, 4, PlyType::kFloat32);
  for (const auto& [name, t] : extra) {
    const PlyType type = file_type(t.scalar_type(), name);
    if (t.dim() == 1)
      add(name, t, 0, 1, type);
    else
      for (int64_t k = 0; k < t.size(1); ++k) add(numbered(name, k), t, k, t.size(1), type);
  }

  std::set<std::string> names;
  for (const Column& c : columns)
    if (!names.insert(c.name).second)
      throw Error(ExitCode::kData,
                  "a column has the name of a property of every scene, or of another's part",
                  path.string() + ": " + c.name, "rename the column");

  std::string header = "ply\nformat binary_little_endian 1.0\n";
  const auto remark = [&](const std::string& text) { header += "comment " + text + "\n"; };
  if (cloud.antialiased) {
    remark(kMip);
    remark(kAntialiased);
  }
  if (cloud.flat) remark(kDiscs);
  if (cloud.footprint != "gaussian") remark(kFootprint + cloud.footprint);
  if (!cloud.source_axes.empty()) remark(kSourceAxes + cloud.source_axes);
  header += "element vertex " + std::to_string(n) + "\n";
  size_t stride = 0;
  for (const Column& c : columns) {
    header += std::string("property ") + ply_name(c.type) + " " + c.name + "\n";
    stride += c.width;
  }
  header += "end_header\n";

  AtomicFile out(path);
  out.write(header);
  constexpr int64_t kBlock = 1 << 16;
  std::vector<uint8_t> block(static_cast<size_t>(std::min(n, kBlock)) * stride);
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t rows = std::min(kBlock, n - first);
    parallel_for(rows, 1024, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        uint8_t* to = block.data() + static_cast<size_t>(i) * stride;
        for (const Column& c : columns) {
          if (!c.base)
            std::memset(to, 0, c.width);
          else if (c.width == 4)
            std::memcpy(to, c.base + static_cast<size_t>(first + i) * c.step, 4);
          else
            std::memcpy(to, c.base + static_cast<size_t>(first + i) * c.step, c.width);
          to += c.width;
        }
      }
    });
    out.write(block.data(), static_cast<size_t>(rows) * stride);
  }
  out.commit();
}

}  // namespace covary::scene
