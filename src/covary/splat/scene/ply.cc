#include "covary/splat/scene/ply.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/rasterize/footprints.h"
#include "covary/splat/scene/axes.h"
#include "covary/splat/scene/cloud_arrays.h"
#include "covary/splat/scene/convex.h"
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

// What of a file's rows becomes what of a cloud.
class PlyLayout {
 public:
  explicit PlyLayout(const PlyFile& file) : file_(file) {
    flat_ = file.find("scale_1") >= 0 && file.find("scale_2") < 0;
    std::vector<int> order;  // of the 14 + rest required columns, in the order of the writes below
    for (const std::string name :
         {"x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2",
          "rot_0", "rot_1", "rot_2", "rot_3"})
      order.push_back(file.require(flat_ && name == "scale_2" ? "scale_1" : name));
    const int rest = count_numbered(file, "f_rest_");
    while (3 * rest_of_degree(degree_) < rest) ++degree_;
    if (degree_ > 4 || 3 * rest_of_degree(degree_) != rest)
      throw Error(ExitCode::kData,
                  "there are " + std::to_string(rest) + " f_rest properties: no degree has so many",
                  file.path() + ": vertex.f_rest_*", "degrees 0 to 4 have 0, 9, 24, 45, 72");
    // Channel-major in files, coefficient-major in memory.
    for (int64_t k = 0; k < rest / 3; ++k)
      for (int64_t c = 0; c < 3; ++c)
        order.push_back(file.require("f_rest_" + std::to_string(c * (rest / 3) + k)));
    order_ = order;
    for (const int k : order) {
      const PlyProperty& p = file.properties()[static_cast<size_t>(k)];
      offsets_.push_back(p.offset);
      all_float_ = all_float_ && p.type == PlyType::kFloat32;
    }
    for (size_t i = 0; i < file.properties().size(); ++i)
      if (std::find(order.begin(), order.end(), static_cast<int>(i)) == order.end())
        extras_.push_back(static_cast<int>(i));
  }

  // With columns for all that no splat must have; their numbers are what memory held.
  Cloud blank(int64_t n) const {
    Cloud cloud = NewCloud(n, degree_).cloud;
    cloud.antialiased =
        holds(file_, kMip) || holds(file_, kAntialiased) || holds(file_, kOldAntialiased);
    cloud.flat = flat_ || holds(file_, kDiscs);
    for (const std::string& comment : file_.comments())
      if (comment.starts_with(kSourceAxes))
        if (const std::string axes = comment.substr(std::strlen(kSourceAxes)); are_axes(axes))
          cloud.source_axes = axes;
    for (const std::string& comment : file_.comments())
      if (comment.starts_with(kFootprint)) {
        cloud.footprint = comment.substr(std::strlen(kFootprint));
        const auto known = compute::footprint_names();
        if (std::find(known.begin(), known.end(), cloud.footprint) == known.end())
          throw Error(
              ExitCode::kData, "is to be drawn as '" + cloud.footprint + "', which is not known",
              file_.path(), "it comes from another version; train or convert it with this one");
        if (cloud.footprint == "generalized" && file_.find("shape") < 0)
          throw Error(ExitCode::kData, "shaped primitives have no property of their shape",
                      file_.path() + ": vertex.shape", "the file is not whole");
      }
    for (const int k : extras_) {
      const PlyProperty& p = file_.properties()[static_cast<size_t>(k)];
      cloud.columns[p.name] = at::empty({n}, tensor_type(p.type));
    }
    if (cloud.footprint == kConvex && convex_points(cloud) == 0)
      throw Error(ExitCode::kData,
                  "convexes have no whole properties of their points: hull_0 .. hull_(3K-1) with K "
                  "of 4 to 8, hull_delta, hull_sigma",
                  file_.path() + ": vertex.hull_*",
                  std::string("the file is not whole: write it again; without its comment '") +
                      kFootprint + kConvex + "' its Gaussians are read");
    return cloud;
  }

  // Fills the rows of a blank cloud by what `read` reads from the file. Gives the first row whose position is no
  // number, or the count.
  template <class Read>
  int64_t fill(Cloud& cloud, const Read& read) const {
    float *means = cloud.means.data_ptr<float>(), *sh0 = cloud.sh0.data_ptr<float>(),
          *opacities = cloud.opacities.data_ptr<float>(), *scales = cloud.scales.data_ptr<float>(),
          *quats = cloud.quats.data_ptr<float>(), *shN = cloud.shN.data_ptr<float>();
    struct Extra {
      int property;
      at::ScalarType type;
      void* base;
    };
    std::vector<Extra> extras;
    for (const int k : extras_) {
      const at::Tensor& t = cloud.columns.at(file_.properties()[static_cast<size_t>(k)].name);
      extras.push_back({k, t.scalar_type(), t.data_ptr()});
    }
    std::atomic<int64_t> bad{cloud.size()};  // the first, so that the message is the same each time
    const int64_t values = static_cast<int64_t>(order_.size()), rest = values - 14;
    read([&](int64_t first, int64_t count, const PlyRows& rows) {
      for (int64_t i = 0; i < count; ++i) {
        const int64_t r = first + i;
        const uint8_t* from = rows.data + static_cast<size_t>(i) * rows.stride;
        const auto get = [&](int64_t k) {
          const auto at = static_cast<size_t>(k);
          if (!all_float_) return rows.single(i, order_[at]);
          float v;
          std::memcpy(&v, from + offsets_[at], sizeof v);
          return v;
        };
        for (int64_t c = 0; c < 3; ++c) {
          means[3 * r + c] = get(c);
          sh0[3 * r + c] = get(3 + c);
          scales[3 * r + c] = get(7 + c);
        }
        opacities[r] = get(6);
        for (int64_t c = 0; c < 4; ++c) quats[4 * r + c] = get(10 + c);
        float* to = shN + rest * r;
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
    if (flat_) cloud.scales.select(1, 2).fill_(kLeastLogScale);
    return bad;
  }

  [[noreturn]] void refuse(int64_t place) const {
    throw Error(
        ExitCode::kData, "the position of splat " + std::to_string(place) + " is not finite",
        file_.path() + ": vertex.x", "covary convert --not-finite drop leaves such splats out");
  }

 private:
  const PlyFile& file_;
  bool flat_ = false, all_float_ = true;  // nearly all files hold floats only
  int degree_ = 0;
  std::vector<int> order_, extras_;
  std::vector<size_t> offsets_;  // in a row, of order_
};

constexpr std::array<const char*, 3> kNormals = {"nx", "ny", "nz"};

class PlySource : public RowSource {
 public:
  PlySource(const std::filesystem::path& path, bool take_not_finite)
      : file_(path), layout_(file_), take_not_finite_(take_not_finite) {}

  bool has_places() const { return file_.has_places(); }
  int64_t size() const override { return file_.count(); }
  const Cloud& like() const override {
    if (like_) return *like_;
    like_ = layout_.blank(0);
    if (zero_normals())
      for (const char* name : kNormals) {
        zeros_.emplace_back(name);
        like_->columns.erase(name);
      }
    return *like_;
  }

  Cloud rows(int64_t first, int64_t count) const override {
    return rows_by(
        count, [&](const PlyFile::Body& body) { file_.read(first, count, body); },
        [&](int64_t i) { return first + i; });
  }
  Cloud rows(std::span<const int64_t> places) const override {
    return rows_by(
        static_cast<int64_t>(places.size()),
        [&](const PlyFile::Body& body) { file_.read(places, body); },
        [&](int64_t i) { return places[static_cast<size_t>(i)]; });
  }

 private:
  template <class Read, class Place>
  Cloud rows_by(int64_t count, const Read& read, const Place& place) const {
    (void)like();
    Cloud cloud = layout_.blank(count);
    const int64_t bad = layout_.fill(cloud, read);
    if (bad < count && !take_not_finite_) layout_.refuse(place(bad));
    for (const std::string& name : zeros_) cloud.columns.erase(name);
    return cloud;
  }

  // Files of this kind carry normals that are all zero: they are written anew, not kept.
  bool zero_normals() const {
    std::vector<int> there;
    for (const char* name : kNormals)
      if (const int k = file_.find(name); k >= 0) {
        if (file_.properties()[static_cast<size_t>(k)].type != PlyType::kFloat32) return false;
        there.push_back(k);
      }
    if (there.empty() || !has_places()) return false;
    std::atomic<bool> zero{true};
    constexpr int64_t kAtOnce = 1 << 16;  // rows; most files that have normals show it in the first
    for (int64_t first = 0; first < size() && zero; first += kAtOnce)
      file_.read(first, std::min(kAtOnce, size() - first),
                 [&](int64_t, int64_t count, const PlyRows& rows) {
                   for (int64_t i = 0; i < count; ++i)
                     for (const int k : there)
                       if (rows.single(i, k) != 0) zero = false;
                 });
    return zero;
  }

  PlyFile file_;
  PlyLayout layout_;
  bool take_not_finite_;
  // Found when first asked for: it takes a pass over the rows.
  mutable std::optional<Cloud> like_;
  mutable std::vector<std::string> zeros_;  // normals that are left out
};

// One output column: where its values come from, in the row order of the file.
struct Column {
  std::string name;
  PlyType type = PlyType::kFloat32;
  const uint8_t* base = nullptr;  // null: zeros
  size_t step = 0;                // bytes between rows
  size_t width = 4;               // bytes that are copied
};

// The columns of some rows, and what keeps their numbers alive.
class PlyColumns {
 public:
  explicit PlyColumns(const Cloud& cloud) : n_(cloud.size()) {
    const at::Tensor means = floats(cloud.means), sh0 = floats(cloud.sh0), shN = floats(cloud.shN),
                     opacities = floats(cloud.opacities), scales = floats(cloud.scales),
                     quats = floats(cloud.quats);
    const int64_t per = shN.size(1);
    add("x", means, 0, 3, PlyType::kFloat32);
    add("y", means, 1, 3, PlyType::kFloat32);
    add("z", means, 2, 3, PlyType::kFloat32);
    std::map<std::string, at::Tensor> extra;
    for (const auto& [name, t] : cloud.columns) {
      at::Tensor c = t.detach().to(at::kCPU);
      // A file has no integer of 64 bits, and what its rows hold is not known when they stream: exact to 2^53.
      if (c.scalar_type() == at::kLong) c = c.to(at::kDouble);
      hold_.push_back(c.contiguous());
      extra[name] = hold_.back();
    }
    for (const char* name : kNormals) {
      const auto found = extra.find(name);
      if (found != extra.end() && found->second.dim() == 1 &&
          found->second.scalar_type() == at::kFloat) {
        add(name, found->second, 0, 1, PlyType::kFloat32);
        extra.erase(found);
      } else {
        all_.push_back({name, PlyType::kFloat32, nullptr, 0, 4});
      }
    }
    const auto numbered = [](const std::string& name, int64_t i) {
      return name + "_" + std::to_string(i);
    };
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
  }

  const std::vector<Column>& all() const { return all_; }

 private:
  void add(const std::string& name, const at::Tensor& t, int64_t first, int64_t step,
           PlyType type) {
    const auto size = static_cast<size_t>(t.element_size());
    all_.push_back(
        {name, type,
         n_ == 0 ? nullptr
                 : static_cast<const uint8_t*>(t.data_ptr()) + static_cast<size_t>(first) * size,
         static_cast<size_t>(step) * size, ply_size(type)});
  }
  at::Tensor floats(const at::Tensor& t) {
    hold_.push_back(t.detach().to(at::kCPU, at::kFloat).contiguous());
    return hold_.back();
  }

  int64_t n_;
  std::vector<at::Tensor> hold_;  // contiguous copies on the CPU
  std::vector<Column> all_;
};

class PlySink : public RowSink {
 public:
  PlySink(const std::filesystem::path& path, const RowPlan& plan)
      : path_(path), promised_(plan.count), out_(path) {
    const PlyColumns columns(plan.like);
    std::set<std::string> names;
    for (const Column& c : columns.all())
      if (!names.insert(c.name).second)
        throw Error(ExitCode::kData,
                    "a column has the name of a property of every scene, or of another's part",
                    path.string() + ": " + c.name, "rename the column");
    before_ = "ply\nformat binary_little_endian 1.0\n";
    const auto remark = [&](const std::string& text) { before_ += "comment " + text + "\n"; };
    if (plan.like.antialiased) {
      remark(kMip);
      remark(kAntialiased);
    }
    if (plan.like.flat) remark(kDiscs);
    if (plan.like.footprint != "gaussian") remark(kFootprint + plan.like.footprint);
    if (!plan.like.source_axes.empty()) remark(kSourceAxes + plan.like.source_axes);
    for (const Column& c : columns.all()) {
      after_ += std::string("property ") + ply_name(c.type) + " " + c.name + "\n";
      stride_ += c.width;
    }
    after_ += "end_header\n";
    out_.write(header(promised_));
  }

  void append(const Cloud& rows) override {
    const PlyColumns columns(rows);
    constexpr int64_t kBlock = 1 << 14;
    const int64_t n = rows.size();
    block_.resize(static_cast<size_t>(std::min(n, kBlock)) * stride_);
    for (int64_t first = 0; first < n; first += kBlock) {
      const int64_t count = std::min(kBlock, n - first);
      parallel_for(count, 1024, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          uint8_t* to = block_.data() + static_cast<size_t>(i) * stride_;
          for (const Column& c : columns.all()) {
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
      out_.write(block_.data(), static_cast<size_t>(count) * stride_);
    }
    written_ += n;
  }

  void commit() override {
    if (written_ > promised_)
      throw Error(ExitCode::kFailed,
                  std::to_string(written_) + " rows, where at most " + std::to_string(promised_) +
                      " were to come",
                  path_.string());
    // A shorter number moves all that follows to the front.
    if (written_ < promised_) out_.replace_front(header(promised_).size(), header(written_));
    out_.commit();
  }

 private:
  std::string header(int64_t count) const {
    return before_ + "element vertex " + std::to_string(count) + "\n" + after_;
  }

  std::filesystem::path path_;
  int64_t promised_, written_ = 0;
  AtomicFile out_;
  std::string before_, after_;  // of the header, around the count
  size_t stride_ = 0;
  std::vector<uint8_t> block_;
};

}  // namespace

Cloud read_ply(const std::filesystem::path& path, bool take_not_finite) {
  const PlyFile file(path);
  const PlyLayout layout(file);
  Cloud cloud = layout.blank(file.count());
  const int64_t bad = layout.fill(cloud, [&](const PlyFile::Body& body) { file.read(body); });
  if (bad < cloud.size() && !take_not_finite) layout.refuse(bad);
  // Files of this kind carry normals that are all zero: they are written anew, not kept.
  const bool zero = std::all_of(kNormals.begin(), kNormals.end(), [&](const char* name) {
    const auto found = cloud.columns.find(name);
    return found == cloud.columns.end() ||
           (found->second.scalar_type() == at::kFloat && !found->second.any().item<bool>());
  });
  if (zero)
    for (const char* name : kNormals) cloud.columns.erase(name);
  return cloud;
}

void write_ply(const std::filesystem::path& path, const Cloud& cloud) {
  cloud.check();
  PlySink sink(path, {cloud_like(cloud), cloud.size(), 0});
  sink.append(cloud);
  sink.commit();
}

std::unique_ptr<RowSource> open_ply(const std::filesystem::path& path, bool take_not_finite) {
  auto source = std::make_unique<PlySource>(path, take_not_finite);
  if (!source->has_places()) return nullptr;
  return source;
}

std::unique_ptr<RowSink> create_ply(const std::filesystem::path& path, const RowPlan& plan) {
  return std::make_unique<PlySink>(path, plan);
}

}  // namespace covary::scene
