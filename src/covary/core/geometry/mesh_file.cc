#include "covary/core/geometry/mesh_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <string>

#include <nlohmann/json.hpp>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/names.h"

namespace covary::geometry {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "files hold the machine's order");

constexpr uint32_t kMagic = 0x46546C67, kJsonChunk = 0x4E4F534A, kBinChunk = 0x004E4942;
constexpr int kFloat = 5126, kUByte = 5121, kUInt = 5125, kArrayBuffer = 34962,
              kElementBuffer = 34963;

uint8_t byte_of(float v) {
  return static_cast<uint8_t>(std::lround(255 * std::clamp(v, 0.0f, 1.0f)));
}

float linear_of(float srgb) {
  return srgb <= 0.04045f ? srgb / 12.92f : std::pow((srgb + 0.055f) / 1.055f, 2.4f);
}

template <class T>
void put(std::string& out, const T& v) {
  out.append(reinterpret_cast<const char*>(&v), sizeof v);
}

std::string ply_of(const Mesh& mesh) {
  std::string out = "ply\nformat binary_little_endian 1.0\ncomment covary\nelement vertex " +
                    std::to_string(mesh.vertices.size()) +
                    "\nproperty float x\nproperty float y\nproperty float z\n";
  if (!mesh.normals.empty()) out += "property float nx\nproperty float ny\nproperty float nz\n";
  if (!mesh.colors.empty())
    out += "property uchar red\nproperty uchar green\nproperty uchar blue\n";
  out += "element face " + std::to_string(mesh.triangles.size()) +
         "\nproperty list uchar int vertex_indices\nend_header\n";
  for (size_t i = 0; i < mesh.vertices.size(); ++i) {
    for (int k = 0; k < 3; ++k) put(out, mesh.vertices[i][k]);
    if (!mesh.normals.empty())
      for (int k = 0; k < 3; ++k) put(out, mesh.normals[i][k]);
    if (!mesh.colors.empty())
      for (int k = 0; k < 3; ++k) put(out, byte_of(mesh.colors[i][k]));
  }
  for (const Eigen::Vector3i& t : mesh.triangles) {
    put(out, uint8_t{3});
    for (int k = 0; k < 3; ++k) put(out, static_cast<int32_t>(t[k]));
  }
  return out;
}

std::string obj_of(const Mesh& mesh) {
  std::string out = "# covary\n";
  const auto number = [&](float v) {
    std::array<char, 32> digits;
    const auto [end, fault] = std::to_chars(digits.data(), digits.data() + digits.size(), v);
    out += ' ';
    out.append(digits.data(), static_cast<size_t>(end - digits.data()));
  };
  for (size_t i = 0; i < mesh.vertices.size(); ++i) {
    out += 'v';
    for (int k = 0; k < 3; ++k) number(mesh.vertices[i][k]);
    if (!mesh.colors.empty())
      for (int k = 0; k < 3; ++k) number(mesh.colors[i][k]);
    out += '\n';
  }
  for (const Eigen::Vector3f& n : mesh.normals) {
    out += "vn";
    for (int k = 0; k < 3; ++k) number(n[k]);
    out += '\n';
  }
  for (const Eigen::Vector3i& t : mesh.triangles) {
    out += 'f';
    for (int k = 0; k < 3; ++k) {
      const std::string i = std::to_string(t[k] + 1);
      out += " " + i + (mesh.normals.empty() ? "" : "//" + i);
    }
    out += '\n';
  }
  return out;
}

std::string glb_of(const Mesh& mesh, const fs::path& path) {
  std::string binary;
  json views = json::array(), accessors = json::array(), attributes = json::object();
  const auto add = [&](size_t begin, int target, int component, size_t count, const char* type) {
    views.push_back({{"buffer", 0},
                     {"byteOffset", begin},
                     {"byteLength", binary.size() - begin},
                     {"target", target}});
    accessors.push_back({{"bufferView", accessors.size()},
                         {"componentType", component},
                         {"count", count},
                         {"type", type}});
    return accessors.size() - 1;
  };
  size_t at = 0;
  Eigen::Vector3f low = Eigen::Vector3f::Constant(INFINITY), high = -low;
  for (const Eigen::Vector3f& v : mesh.vertices) {
    for (int k = 0; k < 3; ++k) put(binary, v[k]);
    low = low.cwiseMin(v);
    high = high.cwiseMax(v);
  }
  attributes["POSITION"] = add(at, kArrayBuffer, kFloat, mesh.vertices.size(), "VEC3");
  accessors.back()["min"] = {low.x(), low.y(), low.z()};
  accessors.back()["max"] = {high.x(), high.y(), high.z()};
  if (!mesh.normals.empty()) {
    at = binary.size();
    for (const Eigen::Vector3f& v : mesh.normals)
      for (int k = 0; k < 3; ++k) put(binary, v[k]);
    attributes["NORMAL"] = add(at, kArrayBuffer, kFloat, mesh.normals.size(), "VEC3");
  }
  if (!mesh.colors.empty()) {
    at = binary.size();
    for (const Eigen::Vector3f& v : mesh.colors) {
      for (int k = 0; k < 3; ++k) put(binary, byte_of(linear_of(v[k])));
      put(binary, uint8_t{255});
    }
    attributes["COLOR_0"] = add(at, kArrayBuffer, kUByte, mesh.colors.size(), "VEC4");
    accessors.back()["normalized"] = true;
  }
  at = binary.size();
  for (const Eigen::Vector3i& t : mesh.triangles)
    for (int k = 0; k < 3; ++k) put(binary, static_cast<uint32_t>(t[k]));
  const size_t indices = add(at, kElementBuffer, kUInt, 3 * mesh.triangles.size(), "SCALAR");
  const auto list_of_one = [](json value) {
    json list = json::array();
    list.push_back(std::move(value));
    return list;
  };
  json primitive = {{"attributes", attributes}, {"indices", indices}, {"material", 0}};
  json surface = {{"doubleSided", true}};
  surface["pbrMetallicRoughness"] = {{"metallicFactor", 0}, {"roughnessFactor", 1}};
  json mesh_of_one, scene, node, buffer;
  mesh_of_one["primitives"] = list_of_one(std::move(primitive));
  scene["nodes"] = list_of_one(0);
  node["mesh"] = 0;
  buffer["byteLength"] = binary.size();
  json document;
  document["asset"] = {{"version", "2.0"}, {"generator", "covary"}};
  document["scene"] = 0;
  document["scenes"] = list_of_one(scene);
  document["nodes"] = list_of_one(node);
  document["meshes"] = list_of_one(mesh_of_one);
  document["materials"] = list_of_one(surface);
  document["accessors"] = accessors;
  document["bufferViews"] = views;
  document["buffers"] = list_of_one(buffer);
  std::string text = document.dump();
  text.resize((text.size() + 3) / 4 * 4, ' ');
  const uint64_t total = 12 + 8 + text.size() + 8 + binary.size();
  if (total > UINT32_MAX)
    throw Error(ExitCode::kFailed, "a .glb has at most 4 GB", path.string(), "write a .ply");
  std::string out;
  for (const uint32_t v :
       {kMagic, 2u, static_cast<uint32_t>(total), static_cast<uint32_t>(text.size()), kJsonChunk})
    put(out, v);
  out += text;
  put(out, static_cast<uint32_t>(binary.size()));
  put(out, kBinChunk);
  return out + binary;
}

}  // namespace

bool can_write_mesh(const fs::path& path) {
  const std::string e = lower_extension(path);
  return e == ".ply" || e == ".obj" || e == ".glb";
}

void write_mesh(const fs::path& path, const Mesh& mesh) {
  const std::string e = lower_extension(path);
  if (!can_write_mesh(path))
    throw Error(ExitCode::kUsage, "no mesh is written under this extension", path.string(),
                "write a .ply, .obj or .glb");
  mesh.check();
  if (mesh.triangles.empty())
    throw Error(ExitCode::kData, "the mesh has no triangles", path.string());
  write_file(path, e == ".ply" ? ply_of(mesh) : e == ".obj" ? obj_of(mesh) : glb_of(mesh, path));
}

}  // namespace covary::geometry
