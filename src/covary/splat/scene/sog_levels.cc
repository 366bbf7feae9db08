// SOG with levels of detail: lod-meta.json, the tree of boxes whose leaves say which rows of which SOG folder show them at
// each level. A viewer takes a level for each leaf, by how near it is, and loads the folders that it needs.
//
// {lodLevels, count, counts[level], filenames[], tree: {bound: {min, max}, children: [..]} or {bound, lods: {"LEVEL": {file,
// offset, count}}}}. Leaves fill files in the order of the tree, so that the ranges of a file tile it, and what is near in space is in
// few files; the rows of a leaf are on a Morton curve. A bound holds its splats to one standard deviation.
// Source: PlayCanvas, "The SOG format" and "Splat LOD" (developer.playcanvas.com).
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <span>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/log.h"
#include "covary/core/data/unpack.h"
#include "covary/core/geometry/morton.h"
#include "covary/splat/scene/byte_reader.h"
#include "covary/splat/scene/cloud_arrays.h"
#include "covary/splat/scene/json_fields.h"
#include "covary/splat/scene/sog.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr int64_t kMostLevels = 64;

// Rows of one file that belong to a level.
struct Range {
  size_t file;
  int64_t offset, count;
};

void collect(const json& node, const std::string& level, const std::string& where, int depth,
             std::vector<Range>& out) {
  if (depth > 64) throw Error(ExitCode::kData, "the tree is too deep", where, kDamagedHint);
  if (!node.is_object()) throw Error(ExitCode::kData, "a node is no object", where, kDamagedHint);
  if (const auto children = node.find("children"); children != node.end()) {
    if (!children->is_array())
      throw Error(ExitCode::kData, "children are no list", where, kDamagedHint);
    for (const json& child : *children) collect(child, level, where, depth + 1, out);
  }
  const auto lods = node.find("lods");
  if (lods == node.end() || !lods->is_object()) return;
  const auto lod = lods->find(level);
  if (lod == lods->end()) return;
  const JsonFields f(*lod, where + ": lods." + level);
  const auto whole = [&](const char* key) {
    const double v = f.number(key);
    constexpr double kMost = 1e12;
    if (!(v >= 0 && v <= kMost) || v != std::floor(v)) f.fail(key, "is no count");
    return v;
  };
  const double file = whole("file"), offset = whole("offset"), count = whole("count");
  if (count == 0) return;
  out.push_back(
      {static_cast<size_t>(file), static_cast<int64_t>(offset), static_cast<int64_t>(count)});
}

// ---- Writing

struct Box {
  std::array<double, 3> low = {INFINITY, INFINITY, INFINITY},
                        high = {-INFINITY, -INFINITY, -INFINITY};

  void hold(const Box& b) {
    for (size_t k = 0; k < 3; ++k) {
      low[k] = std::min(low[k], b.low[k]);
      high[k] = std::max(high[k], b.high[k]);
    }
  }
};

ordered_json json_of(const Box& b) {
  ordered_json out;
  // Read as floats by viewers: to the outside, so that the box still holds what it held.
  const auto floats = [](const std::array<double, 3>& v, float towards) {
    std::array<float, 3> f{};
    for (size_t k = 0; k < 3; ++k) f[k] = std::nextafter(static_cast<float>(v[k]), towards);
    return f;
  };
  out["min"] = floats(b.low, -INFINITY);
  out["max"] = floats(b.high, INFINITY);
  return out;
}

// Of each row; 0 where the scene has no levels.
std::vector<int64_t> levels_of(const Cloud& cloud, const std::string& where) {
  std::vector<int64_t> out(static_cast<size_t>(cloud.size()));
  const auto found = cloud.columns.find("lod");
  if (found == cloud.columns.end()) return out;
  const at::Tensor t = found->second.detach().to(at::kCPU, at::kDouble).contiguous();
  for (size_t i = 0; i < out.size(); ++i) {
    const double v = t.dim() == 1 ? t.const_data_ptr<double>()[i] : -1;
    if (!(v >= 0 && v < static_cast<double>(kMostLevels)) || v != std::floor(v))
      throw Error(ExitCode::kData, "splat " + std::to_string(i) + " has no level 0 to 63",
                  where + ": column lod", "covary edit SCENE OUT --lod 4 makes levels of detail");
    out[i] = static_cast<int64_t>(v);
  }
  return out;
}

class Tree {
 public:
  Tree(const Cloud& cloud, const LevelFiles& files, const WriteOptions& options,
       const std::string& where)
      : values_(cloud),
        files_(files),
        keep_order_(options.keep_order),
        level_(levels_of(cloud, where)) {
    std::vector<int64_t> rows(level_.size());
    std::iota(rows.begin(), rows.end(), 0);
    for (const int64_t l : level_) levels_ = std::max(levels_, l + 1);
    parts_.resize(static_cast<size_t>(levels_));
    tree_ = node(rows).first;
  }

  struct Part {
    std::string folder;
    std::vector<int64_t> rows;
  };

  // The files of all levels, finest first, and the document that lists them.
  std::vector<Part> parts() const {
    std::vector<Part> all;
    for (size_t l = 0; l < parts_.size(); ++l)
      for (size_t i = 0; i < parts_[l].size(); ++i)
        all.push_back({std::to_string(l) + "_" + std::to_string(i), parts_[l][i]});
    return all;
  }
  ordered_json document() const {
    ordered_json out;
    out["version"] = 1;
    out["lodLevels"] = levels_;
    out["asset"]["generator"] = "covary";
    out["count"] = level_.size();
    std::vector<int64_t> counts(static_cast<size_t>(levels_));
    for (const int64_t l : level_) ++counts[static_cast<size_t>(l)];
    out["counts"] = counts;
    out["filenames"] = ordered_json::array();
    for (const Part& p : parts()) out["filenames"].push_back(p.folder + "/meta.json");
    out["tree"] = tree_;
    number_files(out["tree"]);
    return out;
  }

 private:
  std::pair<ordered_json, Box> node(std::span<int64_t> rows) {
    if (static_cast<int64_t>(rows.size()) <= files_.leaf) return leaf(rows);
    Box centres;
    for (const int64_t i : rows) centres.hold(point(i));
    size_t axis = 0;
    for (size_t k = 1; k < 3; ++k)
      if (centres.high[k] - centres.low[k] > centres.high[axis] - centres.low[axis]) axis = k;
    const auto middle = rows.begin() + static_cast<int64_t>(rows.size() / 2);
    std::nth_element(rows.begin(), middle, rows.end(), [&](int64_t a, int64_t b) {
      const float x = values_.means[3 * a + static_cast<int64_t>(axis)],
                  y = values_.means[3 * b + static_cast<int64_t>(axis)];
      return x != y ? x < y : a < b;
    });
    auto [left, box] = node({rows.begin(), middle});
    auto [right, other] = node({middle, rows.end()});
    box.hold(other);
    ordered_json out;
    out["bound"] = json_of(box);
    out["children"] = ordered_json::array({std::move(left), std::move(right)});
    return {std::move(out), box};
  }

  std::pair<ordered_json, Box> leaf(std::span<int64_t> rows) {
    std::sort(rows.begin(), rows.end());
    Box box;
    std::vector<std::vector<int64_t>> of_level(static_cast<size_t>(levels_));
    for (const int64_t i : rows) {
      of_level[static_cast<size_t>(level_[static_cast<size_t>(i)])].push_back(i);
      const Eigen::Matrix3d c = covariance_of(values_.quats + 4 * i, values_.scales + 3 * i);
      Box b = point(i);
      for (int k = 0; k < 3; ++k) {
        const double deviation = std::sqrt(std::max(c(k, k), 0.0));
        b.low[static_cast<size_t>(k)] -= deviation;
        b.high[static_cast<size_t>(k)] += deviation;
      }
      box.hold(b);
    }
    ordered_json out;
    out["bound"] = json_of(box);
    for (size_t l = 0; l < of_level.size(); ++l) {
      if (of_level[l].empty()) continue;
      auto& files = parts_[l];
      if (files.empty() || static_cast<int64_t>(files.back().size()) >= files_.splats)
        files.emplace_back();
      out["lods"][std::to_string(l)] = {{"file", files.size() - 1},
                                        {"offset", files.back().size()},
                                        {"count", of_level[l].size()}};
      for (const int64_t i : in_order(of_level[l])) files.back().push_back(i);
    }
    return {std::move(out), box};
  }

  Box point(int64_t i) const {
    Box b;
    for (size_t k = 0; k < 3; ++k)
      b.low[k] = b.high[k] = values_.means[3 * i + static_cast<int64_t>(k)];
    return b;
  }

  std::vector<int64_t> in_order(const std::vector<int64_t>& rows) const {
    if (keep_order_) return rows;
    std::vector<float> means;
    for (const int64_t i : rows)
      means.insert(means.end(), values_.means + 3 * i, values_.means + 3 * i + 3);
    std::vector<int64_t> out =
        geometry::morton_order(means.data(), static_cast<int64_t>(rows.size()));
    for (int64_t& i : out) i = rows[static_cast<size_t>(i)];
    return out;
  }

  // A leaf names a file among those of its level; the document counts through all levels.
  void number_files(ordered_json& at) const {
    if (at.contains("children"))
      for (ordered_json& child : at["children"]) number_files(child);
    if (!at.contains("lods")) return;
    for (auto& [level, range] : at["lods"].items()) {
      size_t before = 0;
      for (size_t l = 0; l < static_cast<size_t>(std::stoi(level)); ++l) before += parts_[l].size();
      range["file"] = before + range["file"].get<size_t>();
    }
  }

  CloudValues values_;
  LevelFiles files_;
  bool keep_order_;
  std::vector<int64_t> level_;
  int64_t levels_ = 1;
  std::vector<std::vector<std::vector<int64_t>>> parts_;  // rows of each file of each level
  ordered_json tree_;
};

// Of the set in this folder: LEVEL_NUMBER.
bool is_part(const fs::path& folder) {
  const std::string name = folder.filename().string();
  const size_t bar = name.find('_');
  return bar != std::string::npos && bar > 0 && bar + 1 < name.size() &&
         name.find_first_not_of("0123456789_") == std::string::npos &&
         name.find('_', bar + 1) == std::string::npos;
}

// The folders that the file lists; none when it is absent or damaged, as then nothing says whose the folders are.
std::set<fs::path> folders_of(const fs::path& path) {
  std::set<fs::path> out;
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return out;
  const json meta = json::parse(read_file(path), nullptr, false);
  if (!meta.is_object() || !meta.contains("filenames") || !meta["filenames"].is_array()) return out;
  for (const json& name : meta["filenames"])
    if (name.is_string())
      if (const fs::path folder = fs::path(name.get<std::string>()).parent_path();
          is_part(folder) && folder == folder.filename())
        out.insert(path.parent_path() / folder);
  return out;
}

}  // namespace

Cloud read_sog_levels(const fs::path& path, int64_t level) {
  const json meta = parse_json_file(path);
  const JsonFields top(meta, path.string());
  const json& names = top.list("filenames");
  if (const auto levels = meta.find("lodLevels");
      levels != meta.end() && levels->is_number() && levels->get<double>() > 1)
    log_info("of the " + levels->dump() + " levels of " + path.filename().string() + " level " +
             std::to_string(level) + " is read: --level");
  std::vector<Range> ranges;
  collect(top.object("tree"), std::to_string(level), path.string(), 0, ranges);
  if (ranges.empty())
    throw Error(ExitCode::kData, "there is no level " + std::to_string(level), path.string(),
                "levels count from 0, the finest: --level");
  std::map<size_t, Cloud> files;
  std::map<size_t, int64_t> taken;  // splats of each
  std::vector<Cloud> parts;
  for (const Range& r : ranges) {
    if (r.file >= names.size() || !names[r.file].is_string())
      top.fail("filenames", "has no file " + std::to_string(r.file));
    if (!files.count(r.file)) {
      const fs::path file =
          path.parent_path() / data::inner_path(names[r.file].get<std::string>(), path.string());
      std::error_code ignored;
      if (!fs::exists(file, ignored))
        throw Error(ExitCode::kData,
                    "is not there; level " + std::to_string(level) + " of " +
                        path.filename().string() + " needs it",
                    file.string(), "another level may be whole: --level 1");
      files[r.file] = read_sog_folder(file);
    }
    const Cloud& c = files[r.file];
    if (r.offset > c.size() || r.count > c.size() - r.offset)
      top.fail("tree", "a range ends beyond the " + std::to_string(c.size()) + " splats of " +
                           names[r.file].dump());
    if ((taken[r.file] += r.count) > c.size())
      top.fail("tree", "ranges of " + names[r.file].dump() + " overlap");
    parts.push_back(select(c, at::arange(r.offset, r.offset + r.count)));
  }
  return merged(parts);
}

void write_sog_levels(const fs::path& path, const Cloud& cloud, const WriteOptions& options,
                      const LevelFiles& sizes) {
  if (cloud.size() == 0)
    throw Error(ExitCode::kData, "a SOG file holds at least one splat", path.string(),
                "the scene is empty");
  const Tree tree(cloud, sizes, options, path.string());
  std::set<fs::path> old = folders_of(path);
  std::vector<fs::path> stale;
  WriteOptions as_cut = options;
  as_cut.keep_order = true;
  AtomicFiles files;
  for (const Tree::Part& part : tree.parts()) {
    if (const int code = interrupted()) throw Interrupted{code};
    const fs::path folder = path.parent_path() / part.folder;
    make_folder(folder);
    std::set<std::string> names;
    for (const SogFile& f :
         pack_sog(select(cloud, at::tensor(part.rows, at::kLong)), as_cut, folder.string())) {
      files.add(folder / f.name).write(f.bytes.data(), f.bytes.size());
      names.insert(f.name);
    }
    for (const std::string& name : sog_names())
      if (names.count(name) == 0) stale.push_back(folder / name);
    old.erase(folder);
  }
  files.add(path).write(tree.document().dump());
  files.commit();
  for (const fs::path& folder : old)
    for (const std::string& name : sog_names()) stale.push_back(folder / name);
  std::error_code ignored;
  for (const fs::path& file : stale) fs::remove(file, ignored);
  for (const fs::path& folder : old) fs::remove(folder, ignored);  // where nothing else is in it
}

std::vector<fs::path> sog_level_files(const fs::path& path) {
  std::vector<fs::path> out;
  std::error_code ignored;
  const fs::path here = path.parent_path().empty() ? fs::path(".") : path.parent_path();
  for (const auto& entry : fs::directory_iterator(here, ignored))
    if (entry.is_directory(ignored) && is_part(entry.path()))
      for (const std::string& name : sog_names())
        out.push_back(path.parent_path() / entry.path().filename() / name);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace covary::scene
