// glTF 2.0 with KHR_gaussian_splatting: splats as attributes of points, in a .glb or a .gltf with a .bin.
//
// Standard deviations are linear, opacities in 0 .. 1, rotations (x, y, z, w), SH as in the 3DGS .ply with an
// attribute a coefficient, degree 3 at most. Read are floats and normalised integers, any number of
// primitives under nodes with any matrix that does not mirror, and splats packed as .spz within
// (KHR_gaussian_splatting_compression_spz, a draft). Written are floats, with coordinates turned to glTF's
// axes (x left, y up, z forward) rather than a node that turns; columns become attributes _NAME of floats,
// flags the extras of the asset.
// Source: Khronos, "glTF 2.0 Specification"; "KHR_gaussian_splatting".
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>

#include <Eigen/Geometry>
#include <Eigen/SVD>

#include "covary/core/base/base64.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/names.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/sh/op.h"
#include "covary/core/data/unpack.h"
#include "covary/splat/scene/byte_reader.h"
#include "covary/splat/scene/cloud_arrays.h"
#include "covary/splat/scene/format_table.h"
#include "covary/splat/scene/json_fields.h"
#include "covary/splat/scene/quantise.h"
#include "covary/splat/scene/similarity.h"
#include "covary/splat/scene/spz.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kExtension = "KHR_gaussian_splatting";
constexpr std::array<const char*, 2> kSpzExtensions = {"KHR_gaussian_splatting_compression_spz_2",
                                                       "KHR_gaussian_splatting_compression_spz"};
constexpr uint32_t kMagic = 0x46546C67, kJsonChunk = 0x4E4F534A, kBinChunk = 0x004E4942;
constexpr int kFloat = 5126, kByte = 5120, kUByte = 5121, kShort = 5122, kUShort = 5123,
              kUInt = 5125;
constexpr int kArrayBuffer = 34962, kPoints = 0;
constexpr int64_t kGrain = 8192;        // rows
constexpr int64_t kFreeRows = 1 << 16;  // that a file of any size may have
constexpr int kMostNodes = 100000, kMostDepth = 64;

// A probability that is a float, not a byte: nearer to 0 and 1.
float logit_of_float(float p) {
  const double v = std::clamp<double>(p, 1e-12, 1 - 0x1p-25);
  return static_cast<float>(std::log(v / (1 - v)));
}

int width_of(int component) {
  switch (component) {
    case kByte:
    case kUByte:
      return 1;
    case kShort:
    case kUShort:
      return 2;
    case kUInt:
    case kFloat:
      return 4;
    default:
      return 0;
  }
}

int parts_of(const std::string& type) {
  if (type == "SCALAR") return 1;
  if (type.size() == 4 && type.starts_with("VEC") && type[3] >= '2' && type[3] <= '4')
    return type[3] - '0';
  return 0;
}

// Values of an accessor, checked against its buffer.
struct Accessor {
  const uint8_t* base = nullptr;
  int64_t count = 0;
  size_t stride = 0;
  int component = kFloat, parts = 0;
  bool normalised = false;

  float at(int64_t i, int k) const {
    const uint8_t* p =
        base + static_cast<size_t>(i) * stride + static_cast<size_t>(k * width_of(component));
    const auto scaled = [&](double v, double most) {
      return static_cast<float>(normalised ? std::max(-1.0, v / most) : v);
    };
    switch (component) {
      case kByte:
        return scaled(static_cast<int8_t>(*p), 127);
      case kUByte:
        return scaled(*p, 255);
      case kShort:
        return scaled(load_as<int16_t>(p), 32767);
      case kUShort:
        return scaled(load_as<uint16_t>(p), 65535);
      case kUInt:
        return static_cast<float>(load_as<uint32_t>(p));
      default:
        return load_as<float>(p);
    }
  }
};

class Reader {
 public:
  explicit Reader(const fs::path& path) : where_(path.string()), folder_(path.parent_path()) {
    file_ = read_file(path);
    ByteReader in(as_bytes(file_), where_);
    std::string_view text = file_;
    std::span<const uint8_t> binary;
    if (in.size() >= 4 && load_as<uint32_t>(as_bytes(file_).data()) == kMagic) {
      in.seek(4);
      if (const auto v = in.get<uint32_t>("version"); v != 2)
        in.fail("version", "glTF " + std::to_string(v) + " is not read; 2 is");
      if (in.get<uint32_t>("length") > in.size()) in.fail("length", "the file ends too early");
      text = {};
      while (in.left() >= 8) {
        const auto size = in.get<uint32_t>("chunk length"), kind = in.get<uint32_t>("chunk type");
        const std::span<const uint8_t> body = in.span(size, "chunk");
        if (kind == kJsonChunk && text.empty())
          text = {reinterpret_cast<const char*>(body.data()), body.size()};
        else if (kind == kBinChunk && binary.empty())
          binary = body;
      }
    }
    document_ = json::parse(text.begin(), text.end(), nullptr, false);
    if (!document_.is_object())
      throw Error(ExitCode::kData, "holds no JSON object", where_, kDamagedHint);
    check_extensions();
    load_buffers(binary);
  }

  Cloud read() {
    std::vector<int64_t> roots;
    if (const json* scene = scene_of()) {
      if (scene->contains("nodes")) roots = indices((*scene)["nodes"], "scenes.nodes");
    } else {
      for (size_t i = 0; i < list("nodes").size(); ++i) roots.push_back(static_cast<int64_t>(i));
    }
    for (const int64_t root : roots) walk(root, Eigen::Matrix4d::Identity(), 0);
    if (clouds_.empty())
      throw Error(ExitCode::kData, std::string("no primitive of the scene has ") + kExtension,
                  where_, "a mesh is no scene of splats");
    Cloud out = merged(clouds_);
    const JsonFields top(document_, where_);
    if (const json* asset = top.find("asset"); asset && asset->is_object())
      if (const auto extras = asset->find("extras"); extras != asset->end() && extras->is_object())
        if (const auto ours = extras->find("covary"); ours != extras->end() && ours->is_object()) {
          const JsonFields f(*ours, where_ + ": asset.extras.covary");
          out.antialiased = out.antialiased || f.flag("antialiased", false);
          out.flat = f.flag("flat", false);
        }
    return out;
  }

 private:
  [[noreturn]] void fail(const std::string& field, const std::string& what,
                         const std::string& hint = kDamagedHint) const {
    throw Error(ExitCode::kData, what, where_ + ": " + field, hint);
  }

  const json& list(const char* key) const {
    static const json kNone = json::array();
    const auto found = document_.find(key);
    if (found == document_.end()) return kNone;
    if (!found->is_array()) fail(key, "is no list");
    return *found;
  }

  const json& item(const char* key, int64_t i) const {
    const json& all = list(key);
    if (i < 0 || i >= static_cast<int64_t>(all.size()) || !all[static_cast<size_t>(i)].is_object())
      fail(key, "there is no item " + std::to_string(i));
    return all[static_cast<size_t>(i)];
  }

  std::string name(const char* key, int64_t i) const {
    return where_ + ": " + key + "[" + std::to_string(i) + "]";
  }

  // A whole number of a file: 0 .. 2^53.
  static uint64_t whole(const JsonFields& f, const std::string& key, double fallback) {
    const double v = f.number(key, fallback);
    if (!(v >= 0) || v > 0x1p53 || v != std::floor(v)) f.fail(key, "is no whole number");
    return static_cast<uint64_t>(v);
  }

  std::vector<int64_t> indices(const json& all, const std::string& field) const {
    if (!all.is_array()) fail(field, "is no list");
    std::vector<int64_t> out;
    for (const json& v : all) {
      if (!v.is_number_unsigned() || v.get<uint64_t>() > kMostNodes) fail(field, "is no index");
      out.push_back(v.get<int64_t>());
    }
    return out;
  }

  const json* scene_of() const {
    if (list("scenes").empty()) return nullptr;
    const JsonFields top(document_, where_);
    return &item("scenes", static_cast<int64_t>(whole(top, "scene", 0)));
  }

  void check_extensions() const {
    static const std::set<std::string> known = {kExtension, kSpzExtensions[0], kSpzExtensions[1],
                                                "KHR_mesh_quantization"};
    for (const json& e : list("extensionsRequired"))
      if (!e.is_string() || !known.count(e.get<std::string>()))
        fail("extensionsRequired", e.dump() + " is needed and is not read",
             "save the scene without it");
  }

  void load_buffers(std::span<const uint8_t> binary) {
    for (size_t i = 0; i < list("buffers").size(); ++i) {
      const std::string at = name("buffers", static_cast<int64_t>(i));
      const JsonFields f(item("buffers", static_cast<int64_t>(i)), at);
      const std::string uri = f.text("uri", "");
      if (uri.empty()) {
        buffers_.push_back(i == 0 ? binary : std::span<const uint8_t>());
      } else if (uri.starts_with("data:")) {
        const size_t comma = uri.find(";base64,");
        if (comma == std::string::npos) f.fail("uri", "is no base64");
        held_.push_back(from_base64(std::string_view(uri).substr(comma + 8), at));
        buffers_.emplace_back(held_.back());
      } else {
        const std::string text = read_file(folder_ / data::inner_path(uri, at));
        const auto bytes = as_bytes(text);
        held_.emplace_back(bytes.begin(), bytes.end());
        buffers_.emplace_back(held_.back());
      }
      if (const uint64_t length = whole(f, "byteLength", 0); length > buffers_.back().size())
        f.fail("byteLength", "is " + std::to_string(length) + ", but the buffer has " +
                                 std::to_string(buffers_.back().size()) + " bytes");
    }
  }

  std::span<const uint8_t> view(int64_t i, size_t* stride) const {
    const JsonFields f(item("bufferViews", i), name("bufferViews", i));
    if (f.find("extensions")) f.fail("extensions", "packed buffers are not read");
    const uint64_t buffer = whole(f, "buffer", 0x1p53), offset = whole(f, "byteOffset", 0),
                   length = whole(f, "byteLength", 0);
    if (buffer >= buffers_.size()) f.fail("buffer", "there is no such buffer");
    if (offset > buffers_[buffer].size() || length > buffers_[buffer].size() - offset)
      f.fail("byteLength", "the view ends beyond its buffer");
    if (stride) *stride = whole(f, "byteStride", 0);
    return buffers_[buffer].subspan(offset, length);
  }

  Accessor accessor(const json& attributes, const std::string& key, int parts,
                    int64_t count) const {
    const auto found = attributes.find(key);
    if (found == attributes.end() || !found->is_number_unsigned())
      fail("attributes." + key, "is missing");
    const auto index = found->get<uint64_t>();
    const auto i = static_cast<int64_t>(std::min<uint64_t>(index, INT32_MAX));
    const JsonFields f(item("accessors", i), name("accessors", i));
    if (f.find("sparse")) f.fail("sparse", "sparse accessors are not read");
    Accessor a;
    a.component = static_cast<int>(whole(f, "componentType", 0) & 0xffff);
    a.parts = parts_of(f.text("type", ""));
    a.normalised = f.flag("normalized", false);
    a.count = static_cast<int64_t>(whole(f, "count", 0));
    const uint64_t width =
        static_cast<uint64_t>(width_of(a.component)) * static_cast<uint64_t>(a.parts);
    if (width == 0 || a.parts != parts) f.fail("type", "does not fit " + key);
    if (count >= 0 && a.count != count)
      f.fail("count",
             "is " + std::to_string(a.count) + ", but POSITION has " + std::to_string(count));
    const std::span<const uint8_t> bytes =
        view(static_cast<int64_t>(std::min<uint64_t>(whole(f, "bufferView", 0x1p53), INT32_MAX)),
             &a.stride);
    if (a.stride == 0) a.stride = width;
    const uint64_t offset = whole(f, "byteOffset", 0);
    uint64_t last = 0;
    if (a.stride > (1 << 20) ||
        __builtin_mul_overflow(static_cast<uint64_t>(std::max<int64_t>(a.count, 1) - 1),
                               static_cast<uint64_t>(a.stride), &last) ||
        (a.count > 0 && (offset > bytes.size() || last > bytes.size() - offset ||
                         width > bytes.size() - offset - last)))
      f.fail("count", std::to_string(a.count) + " values do not fit the " +
                          std::to_string(bytes.size()) + " bytes of their view");
    a.base = bytes.data() + offset;
    return a;
  }

  void walk(int64_t index, const Eigen::Matrix4d& world_from_parent, int depth) {
    if (depth > kMostDepth || ++visited_ > kMostNodes)
      fail("nodes", "the tree of nodes has no end");
    const json& node = item("nodes", index);
    const Eigen::Matrix4d world = world_from_parent * matrix_of(node, name("nodes", index));
    if (const auto mesh = node.find("mesh"); mesh != node.end()) {
      if (!mesh->is_number_unsigned()) fail("nodes.mesh", "is no index");
      const json& m = item(
          "meshes", static_cast<int64_t>(std::min<uint64_t>(mesh->get<uint64_t>(), INT32_MAX)));
      if (const auto all = m.find("primitives"); all != m.end() && all->is_array())
        for (const json& p : *all) {
          if (!p.is_object()) fail("meshes.primitives", "is no object");
          const auto extensions = p.find("extensions");
          if (extensions == p.end() || !extensions->is_object()) continue;
          const auto ours = extensions->find(kExtension);
          if (ours == extensions->end()) continue;
          clouds_.push_back(placed(primitive(p, *ours), world));
          // A mesh may stand in several places, but a file cannot ask for memory without end.
          rows_ += clouds_.back().size();
          size_t bytes = 0;
          for (const auto& b : buffers_) bytes += b.size();
          if (rows_ > kFreeRows + static_cast<int64_t>(bytes))
            fail("nodes", "show the same splats again and again");
        }
    }
    if (const auto children = node.find("children"); children != node.end())
      for (const int64_t child : indices(*children, "nodes.children"))
        walk(child, world, depth + 1);
  }

  static Eigen::Matrix4d matrix_of(const json& node, const std::string& where) {
    const JsonFields f(node, where);
    if (f.find("matrix")) {
      const auto v = f.numbers("matrix", 16);
      return Eigen::Map<const Eigen::Matrix4d>(v.data());
    }
    Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
    if (f.find("rotation")) {
      const auto q = f.numbers("rotation", 4);
      const Eigen::Quaterniond turn(q[3], q[0], q[1], q[2]);
      if (!(turn.norm() > 0)) f.fail("rotation", "has no length");
      m.topLeftCorner<3, 3>() = turn.normalized().toRotationMatrix();
    }
    if (f.find("scale")) {
      const auto s = f.numbers("scale", 3);
      for (int k = 0; k < 3; ++k) m.col(k) *= s[static_cast<size_t>(k)];
    }
    if (f.find("translation")) {
      const auto t = f.numbers("translation", 3);
      for (int k = 0; k < 3; ++k) m(k, 3) = t[static_cast<size_t>(k)];
    }
    return m;
  }

  // Under a node's matrix: a similarity exactly, a stretch by the singular values of each Gaussian.
  Cloud placed(const Cloud& cloud, const Eigen::Matrix4d& world) const {
    const Eigen::Matrix3d a = world.topLeftCorner<3, 3>();
    const double det = a.determinant();
    if (!(det > 0) || !world.allFinite())
      fail("nodes", "a node's matrix mirrors or flattens the scene", "give it a positive scale");
    const double scale = std::cbrt(det);
    if ((a * a.transpose() / (scale * scale)).isIdentity(1e-6)) {
      Eigen::Matrix4d m = world;
      m.row(3) << 0, 0, 0, 1;
      return transformed(cloud, m);
    }
    const CloudValues in(cloud);
    Cloud out = cloud;
    out.means = cloud.means.clone();
    out.quats = cloud.quats.clone();
    out.scales = cloud.scales.clone();
    float *means = out.means.data_ptr<float>(), *quats = out.quats.data_ptr<float>(),
          *scales = out.scales.data_ptr<float>();
    parallel_for(in.n, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Eigen::Vector3d x(means[3 * i], means[3 * i + 1], means[3 * i + 2]);
        const Eigen::Vector3d y = a * x + world.topRightCorner<3, 1>();
        const auto q = unit_quat(in.quats + 4 * i);
        Eigen::Matrix3d m = a * Eigen::Quaterniond(q[0], q[1], q[2], q[3]).toRotationMatrix();
        for (int k = 0; k < 3; ++k) m.col(k) *= std::exp(static_cast<double>(in.scales[3 * i + k]));
        if (!m.allFinite()) fail("nodes", "a node's matrix makes a Gaussian infinite");
        const Eigen::JacobiSVD<Eigen::Matrix3d> svd(m, Eigen::ComputeFullU);
        Eigen::Matrix3d u = svd.matrixU();
        if (u.determinant() < 0) u.col(2) *= -1;
        const Eigen::Quaterniond turn(u);
        const std::array<double, 4> wxyz = {turn.w(), turn.x(), turn.y(), turn.z()};
        for (int k = 0; k < 4; ++k)
          quats[4 * i + k] = static_cast<float>(wxyz[static_cast<size_t>(k)]);
        for (int k = 0; k < 3; ++k) {
          means[3 * i + k] = static_cast<float>(y[k]);
          scales[3 * i + k] = log_of_scale(static_cast<float>(svd.singularValues()[k]));
        }
      }
    });
    if (cloud.sh_degree() > 0) {
      const Eigen::JacobiSVD<Eigen::Matrix3d> svd(a, Eigen::ComputeFullU | Eigen::ComputeFullV);
      const at::Tensor turn = at::empty({3, 3}, at::kDouble);
      Eigen::Map<Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(turn.data_ptr<double>()) =
          svd.matrixU() * svd.matrixV().transpose();
      out.shN = compute::rotate_sh(at::cat({cloud.sh0, cloud.shN}, 1), turn)
                    .narrow(1, 1, cloud.shN.size(1))
                    .contiguous();
    }
    return out;
  }

  Cloud primitive(const json& p, const json& extension) const {
    if (!extension.is_object()) fail(kExtension, "is no object");
    const JsonFields f(extension, where_ + ": " + kExtension);
    if (const std::string kernel = f.text("kernel", "ellipse"); kernel != "ellipse")
      f.fail("kernel", "'" + kernel + "' is not read; ellipse is");
    if (const std::string space = f.text("colorSpace", "srgb_rec709_display");
        space != "srgb_rec709_display" && space != "BT.709")
      f.fail("colorSpace", "'" + space + "' is not read; srgb_rec709_display is");
    if (const json* inner = f.find("extensions"); inner && inner->is_object()) {
      for (const char* spz : kSpzExtensions)
        if (const auto found = inner->find(spz); found != inner->end() && found->is_object()) {
          const JsonFields packed(*found, where_ + ": " + spz);
          const uint64_t i = std::min<uint64_t>(whole(packed, "bufferView", 0x1p53), INT32_MAX);
          return parse_spz(view(static_cast<int64_t>(i), nullptr), packed.where("bufferView"));
        }
      for (const auto& [key, value] : inner->items())
        fail(std::string(kExtension) + ".extensions", key + " is not read",
             "save the scene without this compression");
    }
    const auto found = p.find("attributes");
    if (found == p.end() || !found->is_object()) fail("attributes", "is missing");
    const json& attributes = *found;
    const std::string ns = std::string(kExtension) + ":";
    const Accessor places = accessor(attributes, "POSITION", 3, -1);
    const int64_t n = places.count;
    const Accessor turns = accessor(attributes, ns + "ROTATION", 4, n),
                   scales = accessor(attributes, ns + "SCALE", 3, n),
                   opacities = accessor(attributes, ns + "OPACITY", 1, n);
    std::vector<Accessor> sh;
    int degree = -1;
    for (int l = 0; l <= 3; ++l) {
      const auto key = [&](int m) {
        return ns + "SH_DEGREE_" + std::to_string(l) + "_COEF_" + std::to_string(m);
      };
      if (l > 0 && !attributes.contains(key(0))) break;
      for (int m = 0; m <= 2 * l; ++m) sh.push_back(accessor(attributes, key(m), 3, n));
      degree = l;
    }
    NewCloud out(n, degree);
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        for (int k = 0; k < 3; ++k) {
          out.means[3 * i + k] = places.at(i, k);
          out.scales[3 * i + k] = log_of_scale(scales.at(i, k));
          out.sh0[3 * i + k] = sh[0].at(i, k);
          for (int64_t c = 0; c < out.rest; ++c)
            out.shN[(i * out.rest + c) * 3 + k] = sh[static_cast<size_t>(c) + 1].at(i, k);
        }
        out.quats[4 * i] = turns.at(i, 3);
        for (int k = 0; k < 3; ++k) out.quats[4 * i + 1 + k] = turns.at(i, k);
        out.opacities[i] = logit_of_float(opacities.at(i, 0));
      }
    });
    for (const auto& [key, value] : attributes.items()) {
      if (!key.starts_with("_") || key.size() < 2) continue;
      const Accessor a = accessor(attributes, key, 1, n);
      at::Tensor column = at::empty({n}, at::kFloat);
      for (int64_t i = 0; i < n; ++i) column.data_ptr<float>()[i] = a.at(i, 0);
      out.cloud.columns[key.substr(1)] = column;
    }
    return out.cloud;
  }

  std::string where_, file_;
  fs::path folder_;
  json document_;
  std::vector<std::span<const uint8_t>> buffers_;
  std::vector<std::vector<uint8_t>> held_;
  std::vector<Cloud> clouds_;
  int64_t rows_ = 0;  // of all clouds
  int visited_ = 0;
};

// ---- Writing

class Writer {
 public:
  explicit Writer(const CloudValues& in) : in_(in) {}

  // f(i, k): part k of splat i.
  template <class F>
  void floats(const std::string& name, int parts, F&& f, bool bounds = false) {
    const size_t at = begin(name, kFloat, parts, sizeof(float));
    parallel_for(in_.n, kGrain, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i)
        for (int k = 0; k < parts; ++k)
          store_as<float>(binary.data() + at + static_cast<size_t>(i * parts + k) * sizeof(float),
                          f(i, k));
    });
    if (!bounds) return;
    std::vector<float> low, high;
    for (int k = 0; k < parts; ++k) {
      low.push_back(f(0, k));
      high.push_back(f(0, k));
      for (int64_t i = 1; i < in_.n; ++i) {
        low.back() = std::min(low.back(), f(i, k));
        high.back() = std::max(high.back(), f(i, k));
      }
    }
    accessors.back()["min"] = low;
    accessors.back()["max"] = high;
  }

  // An attribute without numbers.
  void named(const std::string& name, int parts, bool bounds = false) {
    attributes[name] = accessors.size();
    accessors.push_back({{"componentType", kFloat},
                         {"count", in_.n},
                         {"type", parts == 1 ? "SCALAR" : "VEC" + std::to_string(parts)}});
    if (!bounds) return;
    std::array<float, 3> low = {in_.means[0], in_.means[1], in_.means[2]}, high = low;
    for (int64_t i = 0; i < in_.n; ++i)
      for (size_t k = 0; k < 3; ++k) {
        low[k] = std::min(low[k], in_.means[3 * i + static_cast<int64_t>(k)]);
        high[k] = std::max(high[k], in_.means[3 * i + static_cast<int64_t>(k)]);
      }
    accessors.back()["min"] = low;
    accessors.back()["max"] = high;
  }

  void colours() {
    const size_t at = begin("COLOR_0", kUByte, 4, 1);
    accessors.back()["normalized"] = true;
    for (int64_t i = 0; i < in_.n; ++i) {
      for (int k = 0; k < 3; ++k)
        binary[at + static_cast<size_t>(4 * i + k)] =
            byte_of(colour_of_sh0(in_.sh0[3 * i + k]) * 255);
      binary[at + static_cast<size_t>(4 * i + 3)] = byte_of(sigmoid(in_.opacities[i]) * 255);
    }
  }

  std::vector<uint8_t> binary;
  json views = json::array(), accessors = json::array(), attributes = json::object();

 private:
  size_t begin(const std::string& name, int component, int parts, size_t width) {
    const size_t at = binary.size(), bytes = static_cast<size_t>(in_.n * parts) * width;
    binary.resize(at + bytes);
    views.push_back(
        {{"buffer", 0}, {"byteOffset", at}, {"byteLength", bytes}, {"target", kArrayBuffer}});
    attributes[name] = accessors.size();
    accessors.push_back({{"bufferView", accessors.size()},
                         {"componentType", component},
                         {"count", in_.n},
                         {"type", parts == 1 ? "SCALAR" : "VEC" + std::to_string(parts)}});
    return at;
  }

  const CloudValues& in_;
};

// Each attribute as floats of its own.
void attributes_of(const Cloud& cloud, const CloudValues& in, Writer& w) {
  const std::string ns = std::string(kExtension) + ":";
  w.floats("POSITION", 3, [&](int64_t i, int k) { return in.means[3 * i + k]; }, true);
  w.colours();
  w.floats(ns + "ROTATION", 4, [&](int64_t i, int k) {
    return static_cast<float>(unit_quat(in.quats + 4 * i)[static_cast<size_t>((k + 1) % 4)]);
  });
  w.floats(ns + "SCALE", 3, [&](int64_t i, int k) { return std::exp(in.scales[3 * i + k]); });
  w.floats(ns + "OPACITY", 1,
           [&](int64_t i, int) { return static_cast<float>(sigmoid(in.opacities[i])); });
  w.floats(ns + "SH_DEGREE_0_COEF_0", 3, [&](int64_t i, int k) { return in.sh0[3 * i + k]; });
  for (int l = 1; l <= cloud.sh_degree(); ++l)
    for (int m = 0; m <= 2 * l; ++m) {
      const int64_t c = rest_of_degree(l - 1) + m;
      w.floats(ns + "SH_DEGREE_" + std::to_string(l) + "_COEF_" + std::to_string(m), 3,
               [&](int64_t i, int k) { return in.shN[(i * in.rest + c) * 3 + k]; });
    }
  for (const auto& [name, t] : cloud.columns) {
    const at::Tensor values = t.detach().to(at::kCPU, at::kFloat).reshape({in.n, -1}).contiguous();
    const float* v = values.const_data_ptr<float>();
    const int64_t width = values.size(1);
    for (int64_t c = 0; c < width; ++c)
      w.floats("_" + name + (t.dim() == 1 ? "" : "_" + std::to_string(c)), 1,
               [&](int64_t i, int) { return v[i * width + c]; });
  }
}

// All splats as a .spz in a buffer: the attributes are named, but stand in no buffer of their own.
void pack_within(const Cloud& cloud, const WriteOptions& options, Writer& w, json& splatting) {
  const std::string ns = std::string(kExtension) + ":";
  w.named("POSITION", 3, true);
  w.named(ns + "ROTATION", 4);
  w.named(ns + "SCALE", 3);
  w.named(ns + "OPACITY", 1);
  for (int l = 0; l <= cloud.sh_degree(); ++l)
    for (int m = 0; m <= 2 * l; ++m)
      w.named(ns + "SH_DEGREE_" + std::to_string(l) + "_COEF_" + std::to_string(m), 3);
  w.binary = pack_spz(cloud, options);
  w.views.push_back({{"buffer", 0}, {"byteOffset", 0}, {"byteLength", w.binary.size()}});
  w.binary.resize((w.binary.size() + 3) / 4 * 4);  // of a chunk
  splatting["extensions"][kSpzExtensions[0]] = {{"bufferView", 0}};
}

void write(const fs::path& path, const Cloud& cloud, const WriteOptions& options) {
  const CloudValues in(cloud);
  if (in.n == 0)
    throw Error(ExitCode::kData, "glTF has no attributes of no splats", path.string(),
                "the scene is empty");
  Writer w(in);
  json splatting = {{"kernel", "ellipse"},
                    {"colorSpace", "srgb_rec709_display"},
                    {"projection", "perspective"},
                    {"sortingMethod", "cameraDistance"}};
  if (options.gltf_spz)
    pack_within(cloud, options, w, splatting);
  else
    attributes_of(cloud, in, w);
  json primitive = {{"mode", kPoints}, {"attributes", w.attributes}};
  primitive["extensions"][kExtension] = splatting;
  const auto list_of_one = [](json value) {
    json list = json::array();
    list.push_back(std::move(value));
    return list;
  };
  const auto object = [](const char* key, json value) {
    json o = json::object();
    o[key] = std::move(value);
    return o;
  };
  json document = json::object();
  document["asset"] = {{"version", "2.0"}, {"generator", "covary"}};
  document["extensionsUsed"] = list_of_one(kExtension);
  if (options.gltf_spz) {
    document["extensionsUsed"].push_back(kSpzExtensions[0]);
    document["extensionsRequired"] = document["extensionsUsed"];
  }
  document["scene"] = 0;
  document["scenes"] = list_of_one(object("nodes", list_of_one(0)));
  document["nodes"] = list_of_one(object("mesh", 0));
  document["meshes"] = list_of_one(object("primitives", list_of_one(std::move(primitive))));
  document["bufferViews"] = std::move(w.views);
  document["accessors"] = std::move(w.accessors);
  document["buffers"] = list_of_one(object("byteLength", w.binary.size()));
  if (cloud.antialiased || cloud.flat)
    document["asset"]["extras"]["covary"] = {{"antialiased", cloud.antialiased},
                                             {"flat", cloud.flat}};
  if (lower_extension(path) == ".gltf") {
    const fs::path beside = fs::path(path).replace_extension(".bin");
    document["buffers"][0]["uri"] = beside.filename().string();
    AtomicFiles files;
    files.add(beside).write(w.binary.data(), w.binary.size());
    files.add(path).write(document.dump());
    files.commit();
    return;
  }
  std::string text = document.dump();
  text.resize((text.size() + 3) / 4 * 4, ' ');
  const uint64_t total = 12 + 8 + text.size() + 8 + w.binary.size();
  if (total > UINT32_MAX)
    throw Error(ExitCode::kFailed, "a .glb has at most 4 GB", path.string(),
                "write a .gltf, or another format");
  AtomicFile file(path);
  for (const uint32_t v :
       {kMagic, 2u, static_cast<uint32_t>(total), static_cast<uint32_t>(text.size()), kJsonChunk})
    file.write(&v, sizeof v);
  file.write(text);
  for (const uint32_t v : {static_cast<uint32_t>(w.binary.size()), kBinChunk})
    file.write(&v, sizeof v);
  file.write(w.binary.data(), w.binary.size());
  file.commit();
}

std::vector<std::string> also_lost(const Cloud& cloud, const WriteOptions& options) {
  if (!options.gltf_spz) {
    const bool others =
        std::any_of(cloud.columns.begin(), cloud.columns.end(),
                    [](const auto& column) { return column.second.scalar_type() != at::kFloat; });
    return others ? std::vector<std::string>{"precision: columns as floats"}
                  : std::vector<std::string>{};
  }
  std::vector<std::string> lost = find_format("spz")->also_lost(cloud, options);
  if (!cloud.columns.empty()) lost.emplace_back("named columns (a .spz has none)");
  lost.push_back("precision: " + find_format("spz")->precision);
  return lost;
}

std::vector<fs::path> beside(const fs::path& path) {
  if (lower_extension(path) != ".gltf") return {};
  return {fs::path(path).replace_extension(".bin")};
}

bool is_gltf(const Probe& p) {
  if (p.head.starts_with("glTF")) return true;
  return p.has_extension(".gltf") && p.size > 0;
}

}  // namespace

SceneFormat gltf_format() {
  SceneFormat f;
  f.name = "gltf";
  f.help = "glTF 2.0 with KHR_gaussian_splatting, as .glb or .gltf: all numbers as floats";
  f.extensions = {".glb", ".gltf"};
  f.axes = "luf";
  f.sh_degree = 3;
  f.columns = f.antialiased = f.flat = true;
  f.precision = "opacities as floats in 0 .. 1, rotations to length 1";
  f.is = is_gltf;
  f.read = [](const fs::path& path, const ReadOptions&) { return Reader(path).read(); };
  f.write = write;
  f.also_lost = also_lost;
  f.beside = beside;
  return f;
}

}  // namespace covary::scene
