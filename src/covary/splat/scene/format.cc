#include "covary/splat/scene/format.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <fstream>
#include <functional>
#include <map>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/names.h"
#include "covary/core/base/threads.h"
#include "covary/core/geometry/morton.h"
#include "covary/splat/scene/axes.h"
#include "covary/splat/scene/cloud_arrays.h"
#include "covary/splat/scene/columns.h"
#include "covary/splat/scene/convex.h"
#include "covary/splat/scene/similarity.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;

constexpr size_t kHeadBytes = 1 << 16;
constexpr int64_t kGrain = 8192;  // rows

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool ends_so(const fs::path& path, const std::string& extension) {
  const std::string name = lower(path.filename().string());
  return name.size() > extension.size() && name.ends_with(extension);
}

Probe probe_of(const fs::path& path) {
  Probe p;
  p.path = path;
  std::error_code ignored;
  p.is_folder = fs::is_directory(path, ignored);
  if (p.is_folder) return p;
  std::ifstream in(path, std::ios::binary);
  p.head.resize(kHeadBytes);
  in.read(p.head.data(), static_cast<std::streamsize>(p.head.size()));
  p.head.resize(static_cast<size_t>(in.gcount()));
  in.clear();
  in.seekg(0, std::ios::end);
  const auto end = in.tellg();
  p.size = end > 0 ? static_cast<uint64_t>(end) : p.head.size();
  return p;
}

std::string extensions_of(bool writable) {
  std::string all;
  for (const SceneFormat& f : scene_formats())
    if (f.is_written() || !writable)
      for (const std::string& e : f.extensions)
        if (all.find(e + " ") == std::string::npos) all += e + " ";
  if (!all.empty()) all.pop_back();
  return all;
}

// The format that is written under this name; ".compressed.ply" goes before ".ply".
const SceneFormat* by_extension(const fs::path& path) {
  if (const std::string name = lower(path.filename().string());
      name == "meta.json" || name == "lod-meta.json")
    return find_format("sog");
  const SceneFormat* found = nullptr;
  size_t longest = 0;
  for (const SceneFormat& f : scene_formats())
    for (const std::string& e : f.extensions)
      if (f.is_written() && e.size() > longest && ends_so(path, e)) {
        found = &f;
        longest = e.size();
      }
  return found;
}

// What ends a word of a .ply's header or a cell of a .csv.
bool ends_name(char c) { return (c >= 0 && c <= ' ') || c == 127 || c == ',' || c == '"'; }

int64_t kept_degree(const SceneFormat& format, const WriteOptions& options) {
  return options.sh_degree < 0 ? format.sh_degree
                               : std::min<int64_t>(options.sh_degree, format.sh_degree);
}

float farthest_of(const Cloud& cloud) {
  return cloud.size() == 0 ? 0 : cloud.means.abs().max().item<float>();
}

// Where the rows stand that the format wants first, second ...; empty: as they come.
std::vector<int64_t> places_of(const SceneFormat& format, const Cloud& cloud,
                               const WriteOptions& options) {
  if (options.keep_order || format.order == RowOrder::kAsTheyCome) return {};
  if (format.order == RowOrder::kMorton)
    return geometry::morton_order(CloudValues(cloud).means, cloud.size());
  std::vector<double> weights;
  append_weights(cloud, weights);
  return places_by_weight(weights);
}

// Whether a column of the convexes' points is in 16 bits in one cloud and of floats in another.
bool hulls_differ(const std::vector<Cloud>& clouds) {
  std::map<std::string, at::ScalarType> types;
  for (const Cloud& c : clouds)
    for (const auto& [name, t] : c.columns)
      if (c.footprint == kConvex && is_convex_column(name) &&
          types.emplace(name, t.scalar_type()).first->second != t.scalar_type())
        return true;
  return false;
}

// Axes to turn by, or none.
bool turns(const std::string& asked, const SceneFormat& format, std::string* axes) {
  *axes = asked == "auto" ? format.axes : lower(asked);
  return *axes != "as-is" && *axes != kOurAxes;
}

}  // namespace

bool Probe::has_extension(const std::string& extension) const { return ends_so(path, extension); }

const SceneFormat* find_format(const std::string& name) {
  for (const SceneFormat& f : scene_formats())
    if (f.name == name) return &f;
  return nullptr;
}

const SceneFormat* format_of(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored) && !fs::is_directory(path, ignored)) return nullptr;
  const Probe probe = probe_of(path);
  for (const SceneFormat& f : scene_formats())
    if (f.is(probe)) return &f;
  return nullptr;
}

bool is_scene_file(const fs::path& path) { return format_of(path) != nullptr; }

std::string writable_extensions() { return extensions_of(true); }

bool can_write(const fs::path& path) { return by_extension(path) != nullptr; }

std::vector<fs::path> in_the_way(const fs::path& path, const std::string& name) {
  const SceneFormat& format = format_of_output(path, name);
  std::vector<fs::path> all = {path};
  if (format.beside)
    for (fs::path& p : format.beside(path)) all.push_back(std::move(p));
  std::error_code ignored;
  std::erase_if(all, [&](const fs::path& p) {
    return !fs::exists(p, ignored) || (fs::is_directory(p, ignored) && fs::is_empty(p, ignored));
  });
  return all;
}

// Of a file that names others, such as a .gltf: with those.
int64_t bytes_on_disk(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    const auto bytes = fs::file_size(path, ignored);
    int64_t sum = ignored ? 0 : static_cast<int64_t>(bytes);
    if (const SceneFormat* format = format_of(path); format && format->beside)
      for (const fs::path& p : format->beside(path))
        if (fs::is_regular_file(p, ignored)) sum += static_cast<int64_t>(fs::file_size(p, ignored));
    return sum;
  }
  int64_t sum = 0;
  for (const auto& entry : fs::directory_iterator(path, ignored))
    if (entry.is_regular_file(ignored)) sum += static_cast<int64_t>(entry.file_size(ignored));
  return sum;
}

const SceneFormat& format_of_output(const fs::path& path, const std::string& name) {
  const SceneFormat* found = name.empty() ? by_extension(path) : find_format(name);
  if (!found || !found->is_written())
    throw Error(ExitCode::kUsage,
                name.empty() ? "no scene is written under this extension"
                             : "'" + name + "' is no format that is written",
                name.empty() ? path.string() : "format", "write one of " + writable_extensions());
  return *found;
}

at::Tensor finite_rows(const Cloud& cloud) {
  const CloudValues in(cloud);
  at::Tensor good = at::empty({in.n}, at::kBool);
  bool* out = good.data_ptr<bool>();
  parallel_for(in.n, kGrain, [&](int64_t begin, int64_t end) {
    // 0 times what is not finite is not a number, and stays so in a sum.
    const auto finite = [](const float* v, int64_t count) {
      float sum = 0;
      for (int64_t k = 0; k < count; ++k) sum += 0 * v[k];
      return sum == 0;
    };
    for (int64_t i = begin; i < end; ++i) {
      const float* s = in.scales + 3 * i;
      out[i] = finite(in.means + 3 * i, 3) && finite(in.quats + 4 * i, 4) &&
               finite(in.sh0 + 3 * i, 3) && finite(in.shN + 3 * in.rest * i, 3 * in.rest) &&
               !std::isnan(s[0]) && !std::isnan(s[1]) && !std::isnan(s[2]) &&
               !std::isnan(in.opacities[i]);
    }
  });
  for (const auto& [name, t] : cloud.columns)
    if (in.n > 0 && is_footprint_column(cloud, name))
      good.logical_and_(t.isfinite().reshape({in.n, -1}).all(1));
  return good;
}

Cloud with_degree(const Cloud& cloud, int64_t degree) {
  if (degree < 0 || cloud.sh_degree() <= degree) return cloud;
  Cloud out = cloud;
  out.shN = cloud.shN.narrow(1, 0, rest_of_degree(degree)).contiguous();
  return out;
}

Cloud merged(const std::vector<Cloud>& clouds) {
  if (clouds.size() == 1) return clouds[0];
  if (clouds.empty()) throw Error(ExitCode::kFailed, "no clouds to merge", "merged");
  if (hulls_differ(clouds)) {
    std::vector<Cloud> floats = clouds;
    for (Cloud& c : floats)
      if (c.footprint == kConvex) store_float(c);
    return merged(floats);
  }
  int degree = 0;
  std::map<std::string, at::Tensor> kinds;  // one of each column's type and width
  for (const Cloud& c : clouds) {
    degree = std::max(degree, c.sh_degree());
    for (const auto& [name, t] : c.columns) {
      const at::Tensor& first = kinds.emplace(name, t).first->second;
      if (first.sizes().slice(1) != t.sizes().slice(1))
        throw Error(ExitCode::kData, "the column is of several widths", name,
                    "drop it from one of the scenes");
    }
    if (c.antialiased != clouds[0].antialiased || c.flat != clouds[0].flat ||
        c.footprint != clouds[0].footprint)
      throw Error(
          ExitCode::kData,
          "one scene is to be drawn with an antialiasing filter, as discs or as shaped primitives, "
          "and one is not",
          "merge", "scenes that are drawn in different ways make no single scene");
  }
  const auto joined = [&](const std::function<at::Tensor(const Cloud&)>& part) {
    std::vector<at::Tensor> parts;
    for (const Cloud& c : clouds) parts.push_back(part(c));
    return at::cat(parts, 0);
  };
  Cloud out = clouds[0];
  out.means = joined([](const Cloud& c) { return c.means; });
  out.quats = joined([](const Cloud& c) { return c.quats; });
  out.scales = joined([](const Cloud& c) { return c.scales; });
  out.opacities = joined([](const Cloud& c) { return c.opacities; });
  out.sh0 = joined([](const Cloud& c) { return c.sh0; });
  out.shN = joined([&](const Cloud& c) {
    const int64_t lacking = rest_of_degree(degree) - c.shN.size(1);
    return lacking == 0 ? c.shN
                        : at::cat({c.shN, at::zeros({c.size(), lacking, 3}, c.shN.options())}, 1);
  });
  for (const auto& [name, kind] : kinds) {
    const bool is_row = name == "lod_parent";  // of its own scene; -1 is none
    int64_t before = 0;
    out.columns[name] = joined([&, &name = name, &kind = kind](const Cloud& c) {
      const int64_t first = before;
      before += c.size();
      if (const auto found = c.columns.find(name); found != c.columns.end()) {
        const at::Tensor t = found->second.to(kind.scalar_type());
        return is_row && first > 0 ? at::where(t.ge(0), t + first, t) : t;
      }
      std::vector<int64_t> shape = kind.sizes().vec();
      shape[0] = c.size();
      return is_row ? at::full(shape, -1, kind.options()) : at::zeros(shape, kind.options());
    });
  }
  for (const Cloud& c : clouds) {
    if (c.source_axes != out.source_axes) out.source_axes.clear();
    if (c.spz_records != out.spz_records) out.spz_records.clear();
  }
  return out;
}

Cloud load_cloud(const fs::path& path, const ReadOptions& options) {
  std::error_code ignored;
  if (!fs::exists(path, ignored))
    throw Error(ExitCode::kData, "is not there", path.string(), "check the path to the scene");
  const SceneFormat* format = format_of(path);
  if (!format) {
    if (fs::is_regular_file(path, ignored) && !std::ifstream(path))
      throw Error(ExitCode::kData, "cannot be read", path.string(), "check its permissions");
    if (!fs::is_directory(path, ignored) && fs::file_size(path, ignored) == 0)
      throw Error(ExitCode::kData, "the file is empty", path.string(),
                  "it was not written to the end: write or copy it again");
    throw Error(ExitCode::kData, "is no scene of a kind that is read", path.string(),
                "read are " + extensions_of(false));
  }
  return accepted(format->read(path, options), *format, path, options);
}

Cloud accepted(Cloud cloud, const SceneFormat& format, const fs::path& path,
               const ReadOptions& options, int64_t first) {
  const bool drops = options.not_finite == "drop";
  const at::Tensor good = drops || !format.not_finite ? finite_rows(cloud) : at::Tensor();
  const int64_t count = good.defined() ? good.sum().item<int64_t>() : cloud.size();
  if (count < cloud.size() && drops) {
    cloud = select(cloud, good);
  } else if (count < cloud.size()) {
    throw Error(ExitCode::kData,
                std::to_string(cloud.size() - count) +
                    " splats hold NaN or infinite numbers, the first is " +
                    std::to_string(first + good.logical_not().nonzero()[0].item<int64_t>()),
                path.string(), "covary convert --not-finite drop leaves them out");
  }
  std::string axes;
  if (turns(options.axes, format, &axes)) {
    cloud = turned(cloud, turn_of_axes(axes, kOurAxes, "--input-axes"));
    cloud.source_axes = axes;
  }
  return cloud;
}

Cloud prepared(const Cloud& cloud, const SceneFormat& format, const fs::path& path,
               const WriteOptions& options, int64_t first) {
  cloud.check();
  Cloud out =
      with_degree(format.footprint ? cloud : as_gaussians(cloud), kept_degree(format, options));
  if (!format.not_finite) {
    const at::Tensor good = finite_rows(out);
    if (!good.all().item<bool>())
      throw Error(ExitCode::kData,
                  "splat " +
                      std::to_string(first + good.logical_not().nonzero()[0].item<int64_t>()) +
                      " holds NaN or infinite numbers, which " + format.name + " has no place for",
                  path.string(), "covary convert --not-finite drop leaves such splats out");
  }
  for (const auto& [column, t] : out.columns)
    if (column.empty() || std::any_of(column.begin(), column.end(), ends_name))
      throw Error(ExitCode::kData, "the column's name has a space, a comma or a quote", column,
                  "rename it");
  std::string axes;
  if (turns(options.axes, format, &axes)) out = turned(out, turn_of_axes(kOurAxes, axes, "--axes"));
  return out;
}

void save_cloud(const fs::path& path, const Cloud& cloud, const WriteOptions& options,
                const std::string& name) {
  const SceneFormat& format = format_of_output(path, name);
  const Cloud out = prepared(cloud, format, path, options);
  if (format.write) {
    format.write(path, out, options);
    return;
  }
  const std::vector<int64_t> places = places_of(format, out, options);
  const std::unique_ptr<RowSink> sink =
      format.create(path, {cloud_like(out), out.size(), farthest_of(out)}, options);
  for (int64_t first = 0; first < out.size(); first += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, out.size() - first);
    sink->append(places.empty() ? slice(out, first, count)
                                : select(out, at::tensor(at::ArrayRef<int64_t>(places).slice(
                                                             static_cast<size_t>(first),
                                                             static_cast<size_t>(count)),
                                                         at::kLong)));
  }
  sink->commit();
}

std::vector<std::string> losses(const SceneFormat& format, const Cloud& cloud,
                                const WriteOptions& options) {
  std::vector<std::string> also;
  if (format.also_lost)
    also = format.also_lost(
        with_degree(format.footprint ? cloud : as_gaussians(cloud), kept_degree(format, options)),
        options);
  return losses(format, cloud, options, also);
}

std::vector<std::string> losses(const SceneFormat& format, const Cloud& given,
                                const WriteOptions& options, const std::vector<std::string>& also) {
  std::vector<std::string> lost;
  const Cloud cloud = format.footprint ? given : as_gaussians(given);
  if (cloud.footprint != given.footprint)
    lost.push_back(given.footprint == "analytic" ? "that pixels integrate its Gaussians"
                   : given.footprint == kConvex
                       ? "the hulls: each becomes the Gaussian of its points' mean and covariance"
                       : "the shapes: each becomes the Gaussian of the same variance");
  const int64_t keeps = kept_degree(format, options);
  if (cloud.sh_degree() > keeps)
    lost.push_back("spherical harmonics above degree " + std::to_string(keeps) + " (it has " +
                   std::to_string(cloud.sh_degree()) + ")");
  if (!format.columns && !cloud.columns.empty()) {
    std::vector<std::string> names;
    for (const auto& [name, t] : cloud.columns) names.push_back(name);
    lost.push_back((names.size() == 1 ? "the column " : "the columns ") + list_some(names));
  }
  if (cloud.antialiased && !format.antialiased)
    lost.emplace_back("that it is drawn with the antialiasing filter");
  if (!cloud.spz_records.empty() && !format.spz_records)
    lost.emplace_back("the extension records of its .spz");
  if (cloud.flat && !format.flat) lost.emplace_back("that its Gaussians are flat discs");
  lost.insert(lost.end(), also.begin(), also.end());
  if (!format.precision.empty()) lost.push_back("precision: " + format.precision);
  return lost;
}

}  // namespace covary::scene
