// Which kind of capture a folder or file is: a table of kinds in order of preference, each with how it
// is found in a folder and how its file is told by content.
#include <algorithm>
#include <fstream>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/sample_name.h"
#include "covary/core/data/archive.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/colmap.h"
#include "covary/splat/scene/json_fields.h"
#include "covary/splat/scene/reality_capture.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kArrays = "covary-camera-arrays/1";
constexpr const char* kRun = "covary-cameras/1";

// The first bytes of a file, and its JSON when it is one.
struct Content {
  fs::path path;
  std::string head;
  json document;
  bool has(const char* key) const { return document.is_object() && document.contains(key); }
  bool schema(const char* name) const { return has("schema") && document["schema"] == name; }
};

std::string head_of(const fs::path& path) {
  std::string head(4096, '\0');
  std::ifstream in(path, std::ios::binary);
  in.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(in.gcount()));
  return head;
}

Content content_of(const fs::path& path) {
  Content c{path, head_of(path), {}};
  const size_t first = c.head.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && (c.head[first] == '{' || c.head[first] == '['))
    c.document = parse_json_file(path);
  return c;
}

bool is_metashape(const std::string& head) {
  return head.find("<document") != std::string::npos && head.find("<chunk") != std::string::npos;
}

bool is_mvsnet_folder(const fs::path& folder) {
  if (!fs::is_directory(folder)) return false;
  const fs::directory_iterator entries(folder);
  return std::any_of(begin(entries), end(entries), [](const fs::directory_entry& e) {
    return e.path().filename().string().ends_with("_cam.txt");
  });
}

// The first of these that is there.
fs::path file_in(const fs::path& root, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (fs::is_regular_file(root / name)) return root / name;
  return {};
}

// The file with this extension whose first bytes suit; of several the first by name, with a note.
fs::path file_like(const fs::path& root, const char* extension, bool (*suits)(const std::string&),
                   std::vector<std::string>& notes) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(root))
    if (entry.path().extension() == extension && entry.is_regular_file() &&
        suits(head_of(entry.path())))
      found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  if (found.size() > 1)
    notes.push_back(std::to_string(found.size()) + " files hold cameras: took " +
                    found[0].filename().string() + " (--cameras names another)");
  return found.empty() ? fs::path() : found[0];
}

fs::path cameras_json(const fs::path& root, const char* schema) {
  const fs::path path = root / "cameras.json";
  if (!fs::is_regular_file(path)) return {};
  const std::string quoted = "\"" + std::string(schema) + "\"";
  return read_file(path).find(quoted) == std::string::npos ? fs::path() : path;
}

using Notes = std::vector<std::string>;

struct Kind {
  const char* name;
  // The model in a capture's folder; empty when it is not of this kind.
  fs::path (*find)(const fs::path& root, Notes& notes);
  // Whether a file that was named is of this kind.
  bool (*is)(const Content& file);
  CaptureSource (*read)(const fs::path& root, const fs::path& model, const CaptureOptions& options);
};

const Kind kKinds[] = {
    {"COLMAP's", find_colmap_model, [](const Content&) { return false; }, read_colmap_capture},
    {"of transforms.json",
     [](const fs::path& root, Notes&) { return file_in(root, {"transforms.json"}); },
     [](const Content& c) { return c.has("frames"); }, read_transforms_capture},
    {"of transforms_train.json",
     [](const fs::path& root, Notes&) { return file_in(root, {"transforms_train.json"}); },
     [](const Content&) { return false; },
     [](const fs::path& root, const fs::path&, const CaptureOptions&) {
       return read_synthetic_capture(root);
     }},
    {"described by cameras.json",
     [](const fs::path& root, Notes&) { return cameras_json(root, kArrays); },
     [](const Content& c) { return c.schema(kArrays); }, read_arrays_capture},
    {"those of a run, cameras.json",
     [](const fs::path& root, Notes&) { return cameras_json(root, kRun); },
     [](const Content& c) { return c.schema(kRun); }, read_cameras_capture},
    {"LLFF's", [](const fs::path& root, Notes&) { return file_in(root, {"poses_bounds.npy"}); },
     [](const Content& c) { return c.head.starts_with("\x93NUMPY"); }, read_llff_capture},
    {"of precomputed.json",
     [](const fs::path& root, Notes&) { return file_in(root, {"precomputed.json"}); },
     [](const Content& c) { return c.has("poses") && c.has("bds"); }, read_precomputed_capture},
    {"OpenSfM's",
     [](const fs::path& root, Notes&) {
       return file_in(root, {"reconstruction.json", "opensfm/reconstruction.json"});
     },
     [](const Content& c) { return c.document.is_array(); }, read_opensfm_capture},
    {"OpenMVG's", [](const fs::path& root, Notes&) { return file_in(root, {"sfm_data.json"}); },
     [](const Content& c) { return c.has("sfm_data_version"); }, read_openmvg_capture},
    {"Polycam's",
     [](const fs::path& root, Notes&) {
       for (const fs::path& p : {root / "keyframes", root})
         if (fs::is_directory(p / "corrected_cameras") ||
             (fs::is_directory(p / "cameras") && fs::is_directory(p / "images")))
           return p;
       return fs::path();
     },
     [](const Content&) { return false; }, read_polycam_capture},
    {"Record3D's",
     [](const fs::path& root, Notes&) {
       return fs::is_directory(root / "rgb") ? file_in(root, {"metadata.json", "metadata"})
                                             : fs::path();
     },
     [](const Content& c) {
       return c.has("poses") && (c.has("K") || c.has("perFrameIntrinsicCoeffs"));
     },
     read_record3d_capture},
    {"Metashape's",
     [](const fs::path& root, Notes& notes) {
       fs::path usual = root / "cameras.xml";
       if (fs::is_regular_file(usual)) return usual;
       return file_like(root, ".xml", is_metashape, notes);
     },
     [](const Content& c) { return is_metashape(c.head); }, read_metashape_capture},
    {"RealityCapture's",
     [](const fs::path& root, Notes& notes) {
       return file_like(
           root, ".csv", [](const std::string& head) { return is_reality_capture_header(head); },
           notes);
     },
     [](const Content& c) { return is_reality_capture_header(c.head); }, read_reality_capture},
    {"MVSNet's",
     [](const fs::path& root, Notes&) {
       for (const char* folder : {"cams", "Cameras", "cameras", "."})
         if (is_mvsnet_folder(root / folder)) return (root / folder).lexically_normal();
       return fs::path();
     },
     [](const Content&) { return false; }, read_mvsnet_capture},
};

constexpr const char* kWhatIsRead =
    "cameras are read from COLMAP, transforms.json, LLFF, MVSNet, OpenSfM, OpenMVG, Metashape, "
    "RealityCapture, Polycam, Record3D and cameras.json (docs/captures.md)";

// The cameras of a file that was named, of whatever kind.
CaptureSource read_named_file(const fs::path& root, const fs::path& file,
                              const CaptureOptions& options) {
  const Content content = content_of(file);
  for (const Kind& kind : kKinds)
    if (kind.is(content)) return kind.read(root, file, options);
  if (!content.document.is_null()) return read_transforms_capture(root, file, options);
  throw Error(ExitCode::kData, "this file holds no cameras that are read", file.string(),
              kWhatIsRead);
}

// The model of a folder, with the kinds that are there besides.
struct Found {
  const Kind* kind = nullptr;
  fs::path model;
  Notes notes;
};

Found find_in(const fs::path& root) {
  Found found;
  for (const Kind& kind : kKinds) {
    Notes notes;
    const fs::path model = kind.find(root, notes);
    if (model.empty()) continue;
    if (!found.kind) {
      found = {&kind, model, std::move(notes)};
    } else if (model != found.model) {
      found.notes.push_back("cameras are " + std::string(found.kind->name) + "; " +
                            model.lexically_relative(root).string() +
                            " is there too (--cameras names it)");
    }
  }
  return found;
}

// What to do about a folder without cameras: look into the one below that has them.
std::string hint_for(const fs::path& root) {
  for (const auto& entry : fs::directory_iterator(root))
    if (entry.is_directory() && find_in(entry.path()).kind)
      return "the folder " + entry.path().string() + " has cameras: give that one";
  return std::string(
             "of photos alone: covary capture PHOTOS -o DIR finds them; else name them with "
             "--cameras; ") +
         kWhatIsRead;
}

}  // namespace

bool has_cameras(const std::string& where) {
  if (is_sample(where)) return true;
  const fs::path root = where;
  std::error_code ignored;
  if (fs::is_directory(root, ignored)) return find_in(root).kind != nullptr;
  const std::string e = root.extension().string();
  return fs::is_regular_file(root, ignored) &&
         (e == ".json" || e == ".xml" || e == ".csv" || e == ".npy");
}

CaptureSource read_source(const fs::path& given, const CaptureOptions& options) {
  std::error_code ignored;
  if (!fs::exists(given, ignored))
    throw Error(ExitCode::kData, "there is no such folder", given.string(),
                "check the path to the capture");
  const bool is_file = fs::is_regular_file(given);
  const fs::path root =
      is_file ? (given.has_parent_path() ? given.parent_path() : fs::path(".")) : given;
  if (!is_file && fs::is_empty(given))
    throw Error(ExitCode::kData, "the folder is empty", given.string(),
                "a capture has photos, and cameras from COLMAP or a transforms.json");

  if (!options.cameras.empty()) {
    fs::path cameras = options.cameras;
    if (!fs::exists(cameras) && fs::exists(root / cameras)) cameras = root / cameras;
    if (fs::is_regular_file(cameras)) return read_named_file(root, cameras, options);
    if (is_colmap_model(cameras)) return read_colmap_capture(root, cameras, options);
    if (is_mvsnet_folder(cameras)) return read_mvsnet_capture(root, cameras, options);
    throw Error(ExitCode::kData, "no cameras are there", cameras.string(),
                std::string("--cameras takes a model's folder or file; ") + kWhatIsRead);
  }
  if (is_file) return read_named_file(root, given, options);

  const Found found = find_in(root);
  if (!found.kind)
    throw Error(ExitCode::kData, "the folder has no cameras", given.string(), hint_for(root));
  CaptureSource source = found.kind->read(root, found.model, options);
  source.notes.insert(source.notes.begin(), found.notes.begin(), found.notes.end());
  return source;
}

}  // namespace covary::scene
