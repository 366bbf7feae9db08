// PlayCanvas's SOG: the attributes of splats as pixels of lossless WebP pictures, with a meta.json, in a
// folder or together in a ZIP file (.sog). Version 2 has codebooks of 256 numbers and a palette of up to
// 65,536 vectors of spherical harmonics; version 1, read alone, has bounds in place of codebooks.
//
// means: 16 bits a coordinate (two pictures) of sign(x) log(1 + |x|) between bounds. quats: the smallest
// three (order w x y z) in RGB, 252 + the largest's index in A. scales, sh0: codes in RGB; A of sh0 is the
// opacity. shN: the label of each splat in RG; the palette 64 entries a row, a pixel a coefficient.
// lod-meta.json, which lists such folders by level of detail: sog_levels.cc.
// Source: PlayCanvas, "The SOG format" (developer.playcanvas.com), versions 1 and 2.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <numeric>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/names.h"
#include "covary/core/base/threads.h"
#include "covary/core/data/unpack.h"
#include "covary/core/data/webp.h"
#include "covary/core/data/zip.h"
#include "covary/core/geometry/morton.h"
#include "covary/splat/scene/byte_reader.h"
#include "covary/splat/scene/cloud_arrays.h"
#include "covary/splat/scene/codebook.h"
#include "covary/splat/scene/format_table.h"
#include "covary/splat/scene/json_fields.h"
#include "covary/splat/scene/quantise.h"
#include "covary/splat/scene/sog.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kGrain = 8192;         // rows
constexpr int64_t kPaletteRow = 64;      // entries a row of the palette's picture
constexpr int64_t kMostEntries = 65536;  // that 16 bits name
constexpr int64_t kCodes = 256;
constexpr double kShareOfCodes = 0.05;  // of the palette\'s squared error
constexpr int kFirstTag = 252;          // alpha of quats: + index of the largest
constexpr int64_t kFreeSplats = 65536;  // that a file of any size may claim
constexpr int64_t kMostSplatsPerByte = 1024;
constexpr int64_t kMostJson = 64 << 20;  // bytes
// A picture has a pixel a splat, and what fills its last rows; other writers round to powers of two.
constexpr int64_t kMostPixelsPerSplat = 4, kFreePixels = 1 << 16;
constexpr std::array<const char*, 7> kPictures = {
    "means_l.webp", "means_u.webp",       "quats.webp",     "scales.webp",
    "sh0.webp",     "shN_centroids.webp", "shN_labels.webp"};

// ---- Where the files are

using Fetch = std::function<std::vector<uint8_t>(const std::string& name)>;

std::vector<uint8_t> bytes_of_file(const fs::path& path) {
  const std::string text = read_file(path);
  const auto span = as_bytes(text);
  return {span.begin(), span.end()};
}

Fetch in_folder(const fs::path& folder) {
  return [folder](const std::string& name) {
    const fs::path inner = data::inner_path(name, (folder / "meta.json").string());
    return bytes_of_file(folder / inner);
  };
}

const data::ZipEntry* entry_of(const data::ZipReader& zip, const std::string& name) {
  for (const data::ZipEntry& e : zip.entries())
    if (e.name == name) return &e;
  return nullptr;
}

// The folder within a ZIP file that has meta.json; false when there is none.
bool find_meta(const data::ZipReader& zip, std::string* folder) {
  for (const data::ZipEntry& e : zip.entries())
    if (e.name == "meta.json" || e.name.ends_with("/meta.json")) {
      *folder = e.name.substr(0, e.name.size() - 9);
      return true;
    }
  return false;
}

json parse_meta(const std::vector<uint8_t>& bytes, const std::string& where) {
  json j = json::parse(bytes.begin(), bytes.end(), nullptr, false);
  if (!j.is_object()) throw Error(ExitCode::kData, "is no JSON object", where, kDamagedHint);
  return j;
}

// ---- Reading

class Reader {
 public:
  Reader(const json& meta, std::string where, Fetch fetch)
      : meta_(meta), where_(std::move(where)), fetch_(std::move(fetch)) {}

  Cloud read() {
    const JsonFields top(meta_, where_);
    const bool v2 = top.find("version") != nullptr;
    if (v2 && top.number("version") != 2)
      top.fail("version", "version " + meta_["version"].dump() + " is not read; 1 and 2 are");
    const JsonFields means = part("means");
    n_ = v2 ? count(top.number("count"), top.where("count"))
            : count(means.numbers("shape", 0)[0], means.where("shape"));
    const data::Image8 low = picture(means, 0, true), high = picture(means, 1);
    const JsonFields shN_fields = meta_.contains("shN") ? part("shN") : top;
    data::Image8 entries, labels;
    int degree = 0;
    if (meta_.contains("shN") && meta_["shN"].is_object()) {
      entries = image(shN_fields, 0, kMostEntries * rest_of_degree(3));
      labels = picture(shN_fields, 1);
      degree = v2 ? static_cast<int>(shN_fields.number("bands")) : degree_of_width(entries.width);
      if (degree < 1 || degree > 3 || entries.width != kPaletteRow * rest_of_degree(degree))
        shN_fields.fail("files", "a palette " + std::to_string(entries.width) +
                                     " px wide fits no degree, or not that of the file");
    }
    const data::Image8 quats = picture(part("quats"), 0), scales = picture(part("scales"), 0),
                       sh0 = picture(part("sh0"), 0);
    NewCloud out(n_, degree);
    if (const json* flag = top.find("antialias"); flag && flag->is_boolean())
      out.cloud.antialiased = flag->get<bool>();
    places(means, low, high, out);
    rotations(quats, out);
    if (v2) {
      const auto scale_book = book(part("scales")), colour_book = book(part("sh0"));
      const auto logits = logits_of_bytes();
      each([&](int64_t i) {
        for (int64_t k = 0; k < 3; ++k) {
          out.scales[3 * i + k] = scale_book[scales.pixels[static_cast<size_t>(4 * i + k)]];
          out.sh0[3 * i + k] = colour_book[sh0.pixels[static_cast<size_t>(4 * i + k)]];
        }
        out.opacities[i] = logits[sh0.pixels[static_cast<size_t>(4 * i + 3)]];
      });
    } else {
      between(part("scales"), scales, 3,
              [&](int64_t i, int64_t k, float v) { out.scales[3 * i + k] = v; });
      between(part("sh0"), sh0, 4, [&](int64_t i, int64_t k, float v) {
        (k < 3 ? out.sh0[3 * i + k] : out.opacities[i]) = v;
      });
    }
    if (degree > 0) harmonics(shN_fields, v2, entries, labels, out);
    return out.cloud;
  }

 private:
  JsonFields part(const std::string& key) const {
    const JsonFields top(meta_, where_);
    return {top.object(key), where_ + ": " + key};
  }

  static int64_t count(double v, const std::string& where) {
    if (!(v >= 1) || v > static_cast<double>(int64_t{1} << 31) || v != std::floor(v))
      throw Error(ExitCode::kData, "is no count of splats", where, kDamagedHint);
    return static_cast<int64_t>(v);
  }

  data::Image8 image(const JsonFields& fields, size_t i, int64_t most_pixels,
                     bool bounds_count = false) const {
    const json& files = fields.list("files");
    if (i >= files.size() || !files[i].is_string())
      fields.fail("files", "names no file " + std::to_string(i));
    const auto name = files[i].get<std::string>();
    const std::vector<uint8_t> bytes = fetch_(name);
    if (bounds_count && n_ > kFreeSplats &&
        n_ / kMostSplatsPerByte > static_cast<int64_t>(bytes.size()))
      throw Error(ExitCode::kData,
                  std::to_string(n_) + " splats do not fit the " + std::to_string(bytes.size()) +
                      " bytes of " + name,
                  where_ + ": count", kDamagedHint);
    const data::ImageInfo info = data::webp_info(bytes, where_ + ": " + name);
    if (int64_t{info.width} * info.height > most_pixels)
      fields.fail("files", name + " has " + std::to_string(info.width) + "x" +
                               std::to_string(info.height) + " px, more than the scene needs");
    return data::decode_webp(bytes, where_ + ": " + name);
  }
  // With a pixel for each splat.
  data::Image8 picture(const JsonFields& fields, size_t i, bool bounds_count = false) const {
    data::Image8 p = image(fields, i, kMostPixelsPerSplat * n_ + kFreePixels, bounds_count);
    if (int64_t{p.width} * p.height < n_)
      fields.fail("files", "a picture of " + std::to_string(p.width) + "x" +
                               std::to_string(p.height) + " px has not the " + std::to_string(n_) +
                               " pixels of the splats");
    return p;
  }

  template <class F>
  void each(F&& f) const {
    parallel_for(n_, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) f(i);
    });
  }

  // Version 1: bytes between bounds of each channel.
  template <class F>
  void between(const JsonFields& fields, const data::Image8& p, size_t channels, F&& put) const {
    const auto low = fields.numbers("mins", channels), high = fields.numbers("maxs", channels);
    each([&](int64_t i) {
      for (size_t k = 0; k < channels; ++k) {
        const double t = p.pixels[static_cast<size_t>(4 * i) + k] / 255.0;
        put(i, static_cast<int64_t>(k), static_cast<float>(low[k] + t * (high[k] - low[k])));
      }
    });
  }

  static std::array<float, kCodes> book(const JsonFields& fields) {
    const json& list = fields.list("codebook");
    std::array<float, kCodes> out{};
    if (list.size() > kCodes) fields.fail("codebook", "has more than 256 entries");
    // Unused entries are null in some files.
    for (size_t i = 0; i < list.size(); ++i)
      out[i] = list[i].is_null() ? 0 : fields.number_at(list, i, "codebook");
    return out;
  }

  void places(const JsonFields& fields, const data::Image8& low, const data::Image8& high,
              NewCloud& out) const {
    const auto from = fields.numbers("mins", 3), to = fields.numbers("maxs", 3);
    each([&](int64_t i) {
      for (size_t k = 0; k < 3; ++k) {
        const size_t at = static_cast<size_t>(4 * i) + k;
        const double t = (low.pixels[at] + 256 * high.pixels[at]) / 65535.0;
        const double v = from[k] + t * (to[k] - from[k]);
        out.means[3 * i + static_cast<int64_t>(k)] =
            static_cast<float>(std::copysign(std::expm1(std::abs(v)), v));
      }
    });
  }

  void rotations(const data::Image8& p, NewCloud& out) const {
    each([&](int64_t i) {
      const uint8_t* c = p.pixels.data() + 4 * i;
      if (c[3] < kFirstTag)
        throw Error(ExitCode::kData,
                    "the rotation of splat " + std::to_string(i) + " has the tag " +
                        std::to_string(c[3]) + ", not 252 to 255",
                    where_ + ": quats", "the picture was saved with loss: write the scene again");
      SmallestThree s;
      s.largest = static_cast<uint32_t>(c[3] - kFirstTag);
      for (size_t k = 0; k < 3; ++k) s.rest[k] = (c[k] / 255.0 - 0.5) * kSqrt2;
      const auto q = from_smallest_three(s);
      for (size_t k = 0; k < 4; ++k)
        out.quats[4 * i + static_cast<int64_t>(k)] = static_cast<float>(q[k]);
    });
  }

  static int degree_of_width(int width) {
    for (int d = 1; d <= 3; ++d)
      if (width == kPaletteRow * rest_of_degree(d)) return d;
    return 0;
  }

  void harmonics(const JsonFields& fields, bool v2, const data::Image8& entries,
                 const data::Image8& labels, NewCloud& out) const {
    std::array<float, kCodes> value{};
    if (v2) {
      value = book(fields);
    } else {
      const double low = fields.number("mins"), high = fields.number("maxs");
      for (size_t b = 0; b < kCodes; ++b)
        value[b] = static_cast<float>(low + static_cast<double>(b) / 255 * (high - low));
    }
    const int64_t count = int64_t{entries.height} * kPaletteRow;
    each([&](int64_t i) {
      const uint8_t* l = labels.pixels.data() + 4 * i;
      const int64_t label = l[0] + 256 * l[1];
      if (label >= count)
        throw Error(ExitCode::kData,
                    "splat " + std::to_string(i) + " asks for entry " + std::to_string(label) +
                        " of " + std::to_string(count),
                    where_ + ": shN", kDamagedHint);
      const uint8_t* c = entries.at(static_cast<int>(label / kPaletteRow),
                                    static_cast<int>(label % kPaletteRow * out.rest));
      for (int64_t k = 0; k < out.rest; ++k)
        for (int64_t ch = 0; ch < 3; ++ch)
          out.shN[(i * out.rest + k) * 3 + ch] = value[c[4 * k + ch]];
    });
  }

  const json& meta_;
  std::string where_;
  Fetch fetch_;
  int64_t n_ = 0;
};

Cloud read_zip(const fs::path& path) {
  const data::ZipReader zip(path);
  std::string folder;
  if (!find_meta(zip, &folder))
    throw Error(ExitCode::kData, "the archive holds no meta.json", path.string(), kDamagedHint);
  const Fetch fetch = [&](const std::string& name) {
    const data::ZipEntry* e = entry_of(zip, folder + name);
    if (!e) throw Error(ExitCode::kData, "the archive lacks " + name, path.string(), kDamagedHint);
    return zip.read(*e);
  };
  const json meta = parse_meta(fetch("meta.json"), zip.where("meta.json"));
  return Reader(meta, path.string(), fetch).read();
}

bool is_sog(const Probe& p) {
  if (p.is_folder) {
    std::error_code ignored;
    const fs::path meta = p.path / "meta.json";
    if (!fs::is_regular_file(meta, ignored) || fs::file_size(meta, ignored) > kMostJson)
      return false;
    const json j = json::parse(read_file(meta), nullptr, false);
    return j.is_object() && j.contains("means") && j.contains("quats");
  }
  if (p.head.starts_with("PK\x03\x04")) {
    try {
      std::string folder;
      const data::ZipReader zip(p.path);
      return find_meta(zip, &folder);
    } catch (const Error&) {
      return p.has_extension(".sog");
    }
  }
  if (p.has_extension(".sog")) return p.size > 0;
  if (!p.has_extension(".json") || p.size > kMostJson) return false;
  const bool levels = p.head.find("\"lodLevels\"") != std::string::npos;
  return levels ||
         (p.head.find("\"means\"") != std::string::npos && p.path.filename() == "meta.json");
}

Cloud read(const fs::path& path, const ReadOptions& options) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return read_sog_folder(path / "meta.json");
  if (!path.string().ends_with(".json")) return read_zip(path);
  const json j = parse_meta(bytes_of_file(path), path.string());
  return j.contains("lodLevels") ? read_sog_levels(path, options.level) : read_sog_folder(path);
}

// ---- Writing

struct Named {
  std::string name;
  data::Image8 image;
  std::vector<uint8_t> bytes = {};
};

data::Image8 blank(int64_t n) {
  const int width = 4 * static_cast<int>(std::ceil(std::sqrt(static_cast<double>(n)) / 4));
  const int height = 4 * static_cast<int>((n + 4 * int64_t{width} - 1) / (4 * int64_t{width}));
  return {height, width, 4};
}

// Codes of values [n,3] in RGB, and the codebook to 256 entries.
json colours(const float* values, int64_t n, const std::vector<int64_t>& order,
             data::Image8& image) {
  std::vector<float> book = codebook_of(values, 3 * n, kCodes);
  const std::vector<uint8_t> codes = codes_of(values, 3 * n, book);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < 3; ++k)
      image.pixels[static_cast<size_t>(4 * i + k)] =
          codes[static_cast<size_t>(3 * order[static_cast<size_t>(i)] + k)];
  book.resize(kCodes, book.back());
  return book;
}

int64_t palette_size(int64_t n) {
  int64_t size = 1;
  while (2 * size <= n && size < kMostEntries) size *= 2;
  return size;
}

void write(const fs::path& path, const Cloud& cloud, const WriteOptions& options) {
  if (path.filename() == kSogLevels) {
    write_sog_levels(path, cloud, options);
    return;
  }
  const std::vector<SogFile> all = pack_sog(cloud, options, path.string());
  if (lower_extension(path) == ".sog") {
    data::ZipWriter zip(path);
    zip.add(all.back().name, {std::span<const uint8_t>(all.back().bytes)});
    for (size_t i = 0; i + 1 < all.size(); ++i)
      zip.add(all[i].name, {std::span<const uint8_t>(all[i].bytes)});
    zip.commit();
    return;
  }
  const fs::path folder = path.filename() == "meta.json" ? path.parent_path() : path;
  if (!folder.empty()) make_folder(folder);
  AtomicFiles files;
  for (const SogFile& f : all) files.add(folder / f.name).write(f.bytes.data(), f.bytes.size());
  files.commit();
  // Pictures of an older scene that this one does not have.
  std::error_code ignored;
  for (size_t i = all.size() - 1; i < kPictures.size(); ++i)
    fs::remove(folder / kPictures[i], ignored);
}

std::vector<fs::path> beside(const fs::path& path) {
  std::vector<fs::path> all;
  if (path.filename() == "meta.json")
    for (const char* name : kPictures) all.push_back(path.parent_path() / name);
  if (path.filename() == kSogLevels) all = sog_level_files(path);
  return all;
}

}  // namespace

std::vector<SogFile> pack_sog(const Cloud& cloud, const WriteOptions& options,
                              const std::string& where) {
  const CloudValues in(cloud);
  if (in.n == 0)
    throw Error(ExitCode::kData, "a SOG file holds at least one splat", where,
                "the scene is empty");
  std::vector<int64_t> order(static_cast<size_t>(in.n));
  std::iota(order.begin(), order.end(), 0);
  if (!options.keep_order) order = geometry::morton_order(in.means, in.n);
  std::vector<Named> pictures;
  for (size_t i = 0; i < 5; ++i) pictures.push_back({kPictures[i], blank(in.n)});
  if (pictures[0].image.height > data::kMostWebpSide)
    throw Error(ExitCode::kFailed, "more splats than a picture has pixels", where,
                "write several files");
  json meta = {{"version", 2}, {"count", in.n}};
  meta["asset"]["generator"] = "covary";
  if (cloud.antialiased) meta["antialias"] = true;

  std::array<double, 3> low{}, high{};
  const auto log_place = [&](int64_t r, size_t k) {
    const double x = in.means[3 * r + static_cast<int64_t>(k)];
    return std::copysign(std::log1p(std::abs(x)), x);
  };
  for (int64_t r = 0; r < in.n; ++r)
    for (size_t k = 0; k < 3; ++k) {
      const double t = in.means[3 * r + static_cast<int64_t>(k)];
      low[k] = r == 0 ? t : std::min(low[k], t);
      high[k] = r == 0 ? t : std::max(high[k], t);
    }
  for (size_t k = 0; k < 3; ++k) {
    low[k] = std::copysign(std::log1p(std::abs(low[k])), low[k]);
    high[k] = std::copysign(std::log1p(std::abs(high[k])), high[k]);
  }
  meta["means"] = {
      {"mins", low}, {"maxs", high}, {"files", json::array({"means_l.webp", "means_u.webp"})}};
  parallel_for(in.n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = order[static_cast<size_t>(i)];
      const auto at = static_cast<size_t>(4 * i);
      for (size_t k = 0; k < 3; ++k) {
        const double width = high[k] - low[k];
        const uint32_t code =
            code_of(width > 0 ? (log_place(r, k) - low[k]) / width * 65535 : 0, 65535);
        pictures[0].image.pixels[at + k] = static_cast<uint8_t>(code);
        pictures[1].image.pixels[at + k] = static_cast<uint8_t>(code >> 8);
      }
      pictures[0].image.pixels[at + 3] = pictures[1].image.pixels[at + 3] = 255;
      pictures[3].image.pixels[at + 3] = 255;
      const SmallestThree s = smallest_three(unit_quat(in.quats + 4 * r));
      for (size_t k = 0; k < 3; ++k)
        pictures[2].image.pixels[at + k] = byte_of((s.rest[k] / kSqrt2 + 0.5) * 255);
      pictures[2].image.pixels[at + 3] = static_cast<uint8_t>(kFirstTag + s.largest);
      pictures[4].image.pixels[at + 3] = byte_of(sigmoid(in.opacities[r]) * 255);
    }
  });
  meta["quats"]["files"] = json::array({"quats.webp"});
  const std::vector<float> scales = [&] {
    std::vector<float> s(in.scales, in.scales + 3 * in.n);
    for (float& v : s) v = std::clamp(v, kLeastLogScale, -kLeastLogScale);
    return s;
  }();
  meta["scales"] = {{"codebook", colours(scales.data(), in.n, order, pictures[3].image)},
                    {"files", json::array({"scales.webp"})}};
  meta["sh0"] = {{"codebook", colours(in.sh0, in.n, order, pictures[4].image)},
                 {"files", json::array({"sh0.webp"})}};
  if (in.rest > 0) {
    const int64_t d = 3 * in.rest;
    const Palette p =
        palette_of(in.shN, in.n, d, palette_size(in.n), options.sog_sweeps, options.seed);
    const int64_t rows = (p.count + kPaletteRow - 1) / kPaletteRow;
    // As many codes as do not show beside what the palette itself loses: fewer pack better.
    const std::vector<float> book =
        codebook_within(p.entries.data(), p.count * d, kShareOfCodes * p.mean_squared_error);
    const std::vector<uint8_t> codes = codes_of(p.entries.data(), p.count * d, book);
    pictures.push_back(
        {kPictures[5], {static_cast<int>(rows), static_cast<int>(kPaletteRow * in.rest), 4}});
    pictures.push_back({kPictures[6], blank(in.n)});
    data::Image8 &entries = pictures[5].image, &labels = pictures[6].image;
    for (int64_t e = 0; e < p.count; ++e)
      for (int64_t k = 0; k < in.rest; ++k) {
        uint8_t* c = entries.at(static_cast<int>(e / kPaletteRow),
                                static_cast<int>(e % kPaletteRow * in.rest + k));
        for (int64_t ch = 0; ch < 3; ++ch) c[ch] = codes[static_cast<size_t>(e * d + 3 * k + ch)];
        c[3] = 255;
      }
    for (int64_t i = 0; i < in.n; ++i) {
      const int32_t label = p.labels[static_cast<size_t>(order[static_cast<size_t>(i)])];
      uint8_t* c = labels.pixels.data() + 4 * i;
      c[0] = static_cast<uint8_t>(label);
      c[1] = static_cast<uint8_t>(label >> 8);
      c[3] = 255;
    }
    std::vector<float> full = book;
    full.resize(kCodes, book.back());
    meta["shN"] = {{"count", p.count},
                   {"bands", cloud.sh_degree()},
                   {"codebook", full},
                   {"files", json::array({"shN_centroids.webp", "shN_labels.webp"})}};
  }
  parallel_tasks(static_cast<int64_t>(pictures.size()), [&](int64_t i) {
    // The last are the largest; they are begun first.
    Named& p = pictures[pictures.size() - 1 - static_cast<size_t>(i)];
    p.bytes = data::encode_webp(p.image, static_cast<int>(options.webp_effort));
    p.image = {};
  });
  std::vector<SogFile> out;
  for (Named& p : pictures) out.push_back({p.name, std::move(p.bytes)});
  const std::string text = meta.dump();
  out.push_back({"meta.json", {text.begin(), text.end()}});
  return out;
}

std::vector<std::string> sog_names() {
  std::vector<std::string> all(kPictures.begin(), kPictures.end());
  all.emplace_back("meta.json");
  return all;
}

Cloud read_sog_folder(const fs::path& meta_file) {
  const json meta = parse_meta(bytes_of_file(meta_file), meta_file.string());
  return Reader(meta, meta_file.string(), in_folder(meta_file.parent_path())).read();
}

SceneFormat sog_format() {
  SceneFormat f;
  f.name = "sog";
  f.help =
      "PlayCanvas's SOG, as one .sog, a folder with meta.json, or levels of detail with "
      "lod-meta.json: about 15 times "
      "smaller";
  f.extensions = {".sog"};
  f.sh_degree = 3;
  f.antialiased = true;
  f.precision =
      "positions 16 bits of their logarithm, rotations, colours, scales and opacity 8 bits, SH a "
      "palette of up to 65,536 entries";
  f.is = is_sog;
  f.read = read;
  f.write = write;
  f.beside = beside;
  return f;
}

}  // namespace covary::scene
