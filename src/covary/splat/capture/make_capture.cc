#include "covary/splat/capture/make_capture.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/log.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/names.h"
#include "covary/core/data/unpack.h"
#include "covary/core/geometry/rigid.h"
#include "covary/splat/capture/agreement.h"
#include "covary/splat/capture/gps.h"
#include "covary/splat/capture/pairs.h"
#include "covary/splat/capture/photos.h"
#include "covary/splat/capture/pycolmap.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/colmap.h"

namespace covary::capture {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kSchema = "covary-capture/1";
constexpr int64_t kMostRematched =
    250;  // photos: more are not matched exhaustively when models disagree
constexpr int64_t kNeighbours = 40;      // photos that look most alike, with matching "similar"
constexpr int64_t kFewFeatures = 300;    // a photo with fewer is blurred, dark or plain
constexpr double kLeastAgreement = 0.9;  // share of photos on which both mappings agree
constexpr double kLeastSupport =
    0.9;  // of well matched pairs, where no second mapping bears a model out
constexpr double kLeastRegistered =
    0.8;  // of the better mapping's photos that the other must have too

struct Model {
  std::string method;
  fs::path folder;
  int64_t images = 0, points = 0;
  double reprojection_px = 0;
  int64_t pairs = 0, agreeing = 0;
  json doubtful = json::array();  // pairs that fit the poses least

  double support() const {
    return pairs > 0 ? static_cast<double>(agreeing) / static_cast<double>(pairs) : 0;
  }
  json to_json() const {
    return {{"method", method},
            {"photos", images},
            {"points", points},
            {"reprojection_px", reprojection_px},
            {"well_matched_pairs", pairs},
            {"that_fit", agreeing}};
  }
};

std::string upper(std::string s) {
  std::transform(s.begin(), s.end(), s.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return s;
}

// The first guess of the lens from the photos' focal length, as COLMAP takes parameters; empty when unknown. 36 mm is the
// width of the film that focal_35mm speaks of.
std::string lens_guess(const Photo& photo, const std::string& model) {
  if (!(photo.exif.focal_35mm > 0)) return "";
  const double f = photo.exif.focal_35mm / 36 * std::max(photo.width, photo.height);
  const auto list = [](const std::vector<double>& values) {
    std::string text;
    for (const double v : values) text += (text.empty() ? "" : ",") + std::to_string(v);
    return text;
  };
  const double cx = 0.5 * photo.width, cy = 0.5 * photo.height;
  if (model == "simple_pinhole") return list({f, cx, cy});
  if (model == "pinhole") return list({f, f, cx, cy});
  if (model == "simple_radial") return list({f, cx, cy, 0});
  if (model == "radial") return list({f, cx, cy, 0, 0});
  return list({f, f, cx, cy, 0, 0, 0, 0});
}

std::string full_name(const fs::path& input) {
  return fs::absolute(input).lexically_normal().string();
}

json options_json(PhotoOptions options) { return OptionList(options).to_json(); }

// capture.json of a finished capture of this input; null when there is none.
json finished_report(const fs::path& out, const fs::path& input) {
  const fs::path file = out / "capture.json";
  if (!fs::exists(file) || !scene::has_cameras(out.string())) return nullptr;
  json found = json::parse(read_file(file), nullptr, false);
  const bool same = found.is_object() && found.value("schema", "") == kSchema &&
                    found.value("input", "") == full_name(input);
  return same ? found : json(nullptr);
}

class Making {
 public:
  Making(const fs::path& input, const CaptureContext& context, const PhotoOptions& options)
      : input_(input),
        context_(context),
        options_(options),
        work_(context.out / "work"),
        images_(context.out / "images"),
        database_(work_ / "database.db") {}

  CaptureReport run() {
    const double began = wall_seconds();
    if (context_.resume && finished()) return std::move(report_);
    open();
    try {
      if (take_posed_archive()) return std::move(report_);
      gather();
    } catch (const Error&) {
      // Nothing was made of an input that cannot be used.
      std::error_code ignored;
      if (made_) fs::remove_all(context_.out, ignored);
      throw;
    }
    const Pycolmap colmap = Pycolmap::find();
    report_.document["program"] = "pycolmap " + colmap.version();
    extract(colmap);
    match(colmap);
    const Model chosen = solve(colmap);
    finish(colmap, chosen);
    report_.document["wall_s"] = wall_seconds() - began;
    write_file(context_.out / "capture.json", report_.document.dump(2) + "\n");
    std::error_code ignored;
    fs::copy_file(work_ / "colmap.log", context_.out / "colmap.log",
                  fs::copy_options::overwrite_existing, ignored);
    fs::remove_all(work_, ignored);
    return std::move(report_);
  }

 private:
  void note(std::string text) {
    log_info("note: " + text);
    report_.notes.push_back(text);
    report_.document["notes"].push_back(std::move(text));
  }
  template <class F>
  void timed(const char* stage, F&& f) {
    const double began = wall_seconds();
    f();
    report_.document["stages"][stage] = wall_seconds() - began;
  }

  // A capture that is there already, of the same input.
  bool finished() {
    const json found = finished_report(context_.out, input_);
    if (found.is_null()) return false;
    report_.document = found;
    report_.photos = found.value("photos", int64_t{0});
    report_.registered = found.value("registered", int64_t{0});
    report_.sound = found.value("sound", false);
    if (found.contains("notes")) report_.notes = found["notes"].get<std::vector<std::string>>();
    return true;
  }

  // An archive that holds a capture with cameras: that is unpacked as it is.
  bool take_posed_archive() {
    if (kind_of(input_) != InputKind::kZip) return false;
    const fs::path unpacked = work_ / "archive";
    if (!fs::exists(unpacked)) data::unpack_zip(input_, unpacked);
    fs::path root = folder_of_photos(unpacked);
    if (root.filename() == "images") root = root.parent_path();
    if (!scene::has_cameras(root.string())) return false;
    std::error_code fault;
    for (const auto& entry : fs::directory_iterator(root)) {
      const fs::path to = context_.out / entry.path().filename();
      fs::remove_all(to, fault);
      fs::rename(entry.path(), to);
    }
    note("the archive holds cameras already: they are taken as they are");
    report_.document["sound"] = report_.sound = true;
    write_file(context_.out / "capture.json", report_.document.dump(2) + "\n");
    fs::remove_all(work_, fault);
    return true;
  }

  // The output folder, with what an earlier try left only when it is to go on.
  void open() {
    if (kind_of(input_) == InputKind::kOther) {
      std::error_code ignored;
      throw Error(ExitCode::kData,
                  fs::exists(input_, ignored)
                      ? "is neither a folder of photos, a video nor a ZIP file"
                      : "there is no such file or folder",
                  input_.string(), "photos are .jpg or .png files in a folder");
    }
    std::error_code fault;
    if (fs::exists(context_.out, fault) && !fs::is_directory(context_.out, fault))
      throw Error(ExitCode::kData, "is a file, not a folder", context_.out.string(),
                  "choose another -o");
    made_ = !fs::exists(context_.out, fault);
    make_folder(context_.out);
    if (context_.overwrite && !context_.resume)
      for (const char* name : {"images", "masks", "sparse", "work", "capture.json", "colmap.log"})
        fs::remove_all(context_.out / name, fault);
    else if (fs::exists(context_.out / "capture.json") && context_.resume)
      throw Error(ExitCode::kUsage, "holds a capture of another input", context_.out.string(),
                  "choose another folder, or start anew with --overwrite");
    else if (!context_.resume && !fs::is_empty(context_.out, fault))
      throw Error(ExitCode::kData, "is not empty", context_.out.string(),
                  "--resume goes on with the capture in it, --overwrite starts anew");
    make_folder(work_);
    const fs::path begun = work_ / "input.txt";
    if (fs::exists(begun) && read_file(begun) != full_name(input_))
      throw Error(ExitCode::kUsage, "holds the work on another input, " + read_file(begun),
                  context_.out.string(), "name that one, or start anew with --overwrite");
    write_file(begun, full_name(input_));
    report_.document = {{"schema", kSchema},
                        {"input", full_name(input_)},
                        {"options", options_json(options_)},
                        {"notes", json::array()},
                        {"stages", json::object()}};
  }

  // Photos into images/. What was brought is recorded, so that a resumed run need not do it again.
  void gather() {
    timed("photos", [&] {
      fs::path source = input_;
      if (kind_of(input_) == InputKind::kZip) source = work_ / "archive";
      if (kind_of(source) == InputKind::kVideo) {
        photos_ = frames_of(source);
      } else {
        const fs::path folder = folder_of_photos(source);
        // An archive or a folder may hold nothing but a video.
        const std::vector<fs::path> videos = videos_in(folder);
        photos_ = videos.size() == 1 && list_photos(folder).photos.empty()
                      ? frames_of(videos[0])
                      : gather_photos(folder, images_, options_);
      }
      for (const std::string& n : photos_.notes) note(n);
      for (const Photo& p : photos_.photos) names_.push_back(p.name);
      std::sort(names_.begin(), names_.end());
      report_.photos = static_cast<int64_t>(names_.size());
      report_.document["photos"] = report_.photos;
    });
  }

  static std::vector<fs::path> videos_in(const fs::path& folder) {
    std::vector<fs::path> videos;
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.is_regular_file() && kind_of(entry.path()) == InputKind::kVideo)
        videos.push_back(entry.path());
    return videos;
  }

  // A video's frames, drawn once: the record stands when all are there.
  PhotoSet frames_of(const fs::path& video) {
    const fs::path record = work_ / "frames.json";
    if (!fs::exists(record)) {
      std::error_code ignored;
      fs::remove_all(images_, ignored);
      const PhotoSet set = gather_frames(video, images_, options_);
      write_file(record, json{{"notes", set.notes}}.dump());
    }
    PhotoSet set = list_photos(images_);
    set.sequence = true;
    set.notes = json::parse(read_file(record)).at("notes").get<std::vector<std::string>>();
    return set;
  }

  std::string camera_mode() const {
    if (options_.lens == "single") return "SINGLE";
    if (options_.lens == "folder") return "PER_FOLDER";
    if (options_.lens == "photo") return "PER_IMAGE";
    const Photo& first = photos_.photos.front();
    for (const Photo& p : photos_.photos)
      if (p.width != first.width || p.height != first.height ||
          p.exif.camera != first.exif.camera || p.exif.focal_mm != first.exif.focal_mm)
        return "PER_IMAGE";
    return "SINGLE";
  }

  void extract(const Pycolmap& colmap) {
    timed("features", [&] {
      log_info("features of " + std::to_string(names_.size()) + " photos");
      const std::string mode = camera_mode();
      const std::string guess =
          mode == "SINGLE" ? lens_guess(photos_.photos.front(), options_.camera_model) : "";
      const json r = colmap.run({{"stage", "extract"},
                                 {"database", database_.string()},
                                 {"images", images_.string()},
                                 {"names", names_},
                                 {"camera_mode", mode},
                                 {"camera_model", upper(options_.camera_model)},
                                 {"camera_params", guess},
                                 {"masks", ""},
                                 {"max_size", options_.feature_size},
                                 {"max_features", options_.max_features},
                                 {"threads", context_.threads}},
                                work_, "features", "photos");
      for (const auto& [name, count] : r.at("features").items())
        features_[name] = count.get<int64_t>();
      report_.document["lens"] = mode == "SINGLE"       ? "single"
                                 : mode == "PER_FOLDER" ? "folder"
                                                        : "photo";
    });
  }

  void match(const Pycolmap& colmap) {
    timed("matches", [&] {
      const std::string matching =
          resolved_matching(options_.matching, report_.photos, photos_.sequence);
      NamePairs pairs;
      if (matching == "exhaustive") {
        pairs = exhaustive_pairs(names_);
      } else if (matching == "sequential") {
        pairs = sequential_pairs(names_);
        add_similar(colmap, kNeighbours / 4, &pairs);  // where the camera comes back
      } else {
        add_similar(colmap, kNeighbours, &pairs);
      }
      report_.document["matching"] = matching;
      match_pairs(colmap, pairs);
    });
  }

  void add_similar(const Pycolmap& colmap, int64_t neighbours, NamePairs* pairs) {
    const json r = colmap.run(
        {{"stage", "similar"}, {"database", database_.string()}, {"neighbours", neighbours}}, work_,
        "likeness", "photos");
    NamePairs found;
    for (const json& pair : r.at("pairs"))
      found.emplace_back(pair.at(0).get<std::string>(), pair.at(1).get<std::string>());
    const NamePairs more = without(found, *pairs);
    pairs->insert(pairs->end(), more.begin(), more.end());
  }

  void match_pairs(const Pycolmap& colmap, const NamePairs& pairs) {
    log_info("matches of " + std::to_string(pairs.size()) + " pairs of photos");
    const json r = colmap.run({{"stage", "match"},
                               {"database", database_.string()},
                               {"pairs", pairs},
                               {"threads", context_.threads}},
                              work_, "matches", "pairs");
    compared_.insert(compared_.end(), pairs.begin(), pairs.end());
    partners_.clear();
    for (const json& m : r.at("matched")) {
      ++partners_[m.at(0).get<std::string>()];
      ++partners_[m.at(1).get<std::string>()];
    }
    report_.document["compared_pairs"] = compared_.size();
    report_.document["matched_pairs"] = r.at("matched").size();
    if (r.at("matched").empty()) no_matches();
  }

  [[noreturn]] void no_matches() const {
    int64_t few = 0;
    for (const auto& [name, count] : features_) few += count < kFewFeatures;
    throw Error(
        ExitCode::kData, "no two of the photos match each other", input_.string(),
        2 * few > report_.photos
            ? std::to_string(few) + " of " + std::to_string(report_.photos) +
                  " photos show hardly any detail: are they blurred, dark, or of plain "
                  "surfaces?"
            : "each photo should overlap the next by half or more; do they show one scene?");
  }

  // The largest model of one mapping; empty when there is none.
  std::optional<Model> map_once(const Pycolmap& colmap, const std::string& method) {
    log_info(method + " mapping");
    const fs::path output = work_ / method;
    std::error_code ignored;
    fs::remove_all(output, ignored);
    json r;
    try {
      r = colmap.run({{"stage", "map"},
                      {"database", database_.string()},
                      {"images", images_.string()},
                      {"output", output.string()},
                      {"method", method},
                      {"total", report_.photos},
                      {"threads", context_.threads},
                      {"seed", context_.seed}},
                     work_, method == "global" ? "mapping again" : "mapping", "photos");
    } catch (const Error& e) {
      log_info("note: the " + method + " mapping failed: " + e.message());
      return std::nullopt;
    }
    std::optional<Model> best;
    for (const json& m : r.at("models")) {
      Model model;
      model.method = method;
      model.folder = m.at("folder").get<std::string>();
      model.images = m.at("images").get<int64_t>();
      model.points = m.at("points").get<int64_t>();
      model.reprojection_px = m.at("reprojection_px").get<double>();
      model.pairs = m.at("support").at("pairs").get<int64_t>();
      model.agreeing = m.at("support").at("agree").get<int64_t>();
      model.doubtful = m.at("support").at("doubtful");
      report_.document["models"].push_back(model.to_json());
      if (!best || model.images > best->images) best = model;
    }
    return best;
  }

  // Which of two mappings to take, and whether they bear each other out.
  Model judge(const std::optional<Model>& a, const std::optional<Model>& b, bool* sound) {
    *sound = false;
    doubts_.clear();
    if (!a || !b) {
      const Model& only = a ? *a : *b;
      *sound = only.support() >= kLeastSupport;
      doubts_.push_back("only the " + only.method + " mapping gave a model");
      return only;
    }
    const Agreement g = compare_poses(poses_of(scene::read_colmap(a->folder)),
                                      poses_of(scene::read_colmap(b->folder)));
    report_.document["agreement"] = {{"photos", g.common},
                                     {"share", g.share},
                                     {"median_rotation_deg", g.median_rotation_deg},
                                     {"median_centre", g.median_centre},
                                     {"differing", g.differing}};
    const int64_t most = std::max(a->images, b->images);
    const bool overlap =
        static_cast<double>(g.common) >= kLeastRegistered * static_cast<double>(most);
    const bool same = g.share >= kLeastAgreement && overlap;
    // Photos that have a pose, times the share of the well matched pairs that fit.
    const auto worth = [](const Model& m) { return static_cast<double>(m.images) * m.support(); };
    const Model& better = same && a->images >= b->images ? *a : worth(*b) > worth(*a) ? *b : *a;
    *sound = same;
    if (!same)
      doubts_.push_back(
          overlap ? "two mappings of the same matches disagree on " +
                        std::to_string(g.differing.size()) + " of " + std::to_string(g.common) +
                        " photos: " + list_some(g.differing)
                  : "two mappings of the same matches placed " + std::to_string(a->images) +
                        " and " + std::to_string(b->images) + " photos");
    return better;
  }

  Model solve(const Pycolmap& colmap) {
    Model chosen;
    timed("mapping", [&] {
      std::optional<Model> a = map_once(colmap, "incremental");
      if (!options_.verify) {
        if (!a) no_model();
        chosen = *a;
        report_.sound = a->support() >= kLeastSupport;
        doubts_ = {std::to_string(a->pairs - a->agreeing) + " of " + std::to_string(a->pairs) +
                   " well matched pairs do not fit the poses"};
        return;
      }
      std::optional<Model> b = map_once(colmap, "global");
      if (!a && !b) no_model();
      chosen = judge(a, b, &report_.sound);
      const NamePairs rest = without(exhaustive_pairs(names_), compared_);
      if (!report_.sound && !rest.empty() && report_.photos <= kMostRematched) {
        note("the poses are in doubt (" + doubts_.front() + "): all pairs are compared");
        match_pairs(colmap, rest);
        a = map_once(colmap, "incremental");
        b = map_once(colmap, "global");
        if (!a && !b) no_model();
        chosen = judge(a, b, &report_.sound);
      }
    });
    report_.document["doubts"] = json::array();
    if (!report_.sound)
      for (const std::string& d : doubts_) {
        report_.document["doubts"].push_back(d);
        note("DOUBTFUL: " + d);
      }
    report_.document["sound"] = report_.sound;
    return chosen;
  }

  [[noreturn]] void no_model() const {
    throw Error(ExitCode::kData,
                "the photos match, but no model came of them (" +
                    std::to_string(report_.document.value("matched_pairs", size_t{0})) +
                    " pairs match)",
                input_.string(),
                "move the camera between photos rather than turn it on the spot, and overlap more");
  }

  // Upright, and in metres where GPS says so.
  Eigen::Matrix4d frame_of(const scene::ColmapModel& model) {
    std::vector<scene::Camera> cameras;
    for (const scene::ColmapImage& image : model.images) {
      scene::Camera c;
      c.cam_from_world = image.cam_from_world;
      cameras.push_back(c);
    }
    scene::Points points;
    for (const scene::ColmapPoint& p : model.points)
      points.positions.push_back(p.position.cast<float>());
    Eigen::Matrix4d frame = scene::normalising_similarity(cameras, points);
    report_.document["frame"] = "upright, z up; the cameras' median distance from their focus is 1";
    if (!options_.metric) return frame;
    GpsPositions positions;
    for (const Photo& p : photos_.photos)
      if (p.exif.gps) positions[p.name] = *p.exif.gps;
    Poses upright;
    for (size_t i = 0; i < cameras.size(); ++i)
      upright[model.images[i].name] = scene::transformed(cameras[i], frame).cam_from_world;
    if (const auto fit = fit_gps(positions, upright)) {
      frame = fit->metric_from_model * frame;
      report_.document["frame"] = "metres; x east, y north, z up";
      report_.document["gps"] = {{"origin", {fit->origin[0], fit->origin[1], fit->origin[2]}},
                                 {"photos", fit->photos},
                                 {"residual_m", fit->residual_m}};
      note("scale and north are from the GPS of " + std::to_string(fit->photos) + " photos");
    }
    return frame;
  }

  void finish(const Pycolmap& colmap, const Model& chosen) {
    const scene::ColmapModel model = scene::read_colmap(chosen.folder);
    const Eigen::Matrix4d frame = frame_of(model);
    std::set<std::string> placed;
    for (const scene::ColmapImage& image : model.images) placed.insert(image.name);
    report_.registered = static_cast<int64_t>(placed.size());
    report_.document["registered"] = report_.registered;
    report_.document["model"] = chosen.to_json();
    if (!report_.sound) report_.document["pairs_that_fit_least"] = chosen.doubtful;
    tell_unregistered(placed);

    const double scale = geometry::similarity_scale(frame);
    const Eigen::Matrix3d rotation = geometry::similarity_rotation(frame);
    json rows = json::array();
    for (int i = 0; i < 3; ++i) rows.push_back({rotation(i, 0), rotation(i, 1), rotation(i, 2)});
    const fs::path part = context_.out / "sparse.part";
    std::error_code ignored;
    fs::remove_all(part, ignored);
    colmap.run({{"stage", "write"},
                {"model", chosen.folder.string()},
                {"output", (part / "0").string()},
                {"scale", scale},
                {"rotation", rows},
                {"translation", {frame(0, 3), frame(1, 3), frame(2, 3)}}},
               work_, "writing", "files");
    fs::remove_all(context_.out / "sparse", ignored);
    fs::rename(part, context_.out / "sparse");
  }

  void tell_unregistered(const std::set<std::string>& placed) {
    std::map<std::string, std::vector<std::string>> by_reason;
    report_.document["unregistered"] = json::array();
    for (const std::string& name : names_) {
      if (placed.contains(name)) continue;
      const auto f = features_.find(name);
      const auto p = partners_.find(name);
      const int64_t features = f == features_.end() ? 0 : f->second,
                    partners = p == partners_.end() ? 0 : p->second;
      const std::string reason =
          features < kFewFeatures ? "show hardly any detail (blurred, dark or plain)"
          : partners == 0         ? "match no other photo (taken elsewhere, or a gap in the round)"
                          : "match others, but too weakly to be placed (more overlap helps)";
      by_reason[reason].push_back(name);
      report_.document["unregistered"].push_back(
          {{"name", name}, {"features", features}, {"matches", partners}, {"reason", reason}});
    }
    for (const auto& [reason, names] : by_reason)
      note(std::to_string(names.size()) + " photos have no camera: they " + reason + ": " +
           list_some(names));
  }

  fs::path input_;
  CaptureContext context_;
  PhotoOptions options_;
  fs::path work_, images_, database_;
  CaptureReport report_;
  bool made_ = false;  // the output folder was not there before
  PhotoSet photos_;
  std::vector<std::string> names_;
  std::map<std::string, int64_t> features_, partners_;
  NamePairs compared_;
  std::vector<std::string> doubts_;
};

}  // namespace

bool needs_cameras(const fs::path& input) {
  if (scene::has_cameras(input.string())) return false;
  const InputKind kind = kind_of(input);
  if (kind != InputKind::kFolder) return kind != InputKind::kOther;
  // A folder above captures is no heap of photos: load_capture says which one to take.
  for (const auto& entry : fs::directory_iterator(input))
    if (entry.is_directory() && scene::has_cameras(entry.path().string())) return false;
  return holds_photos(input);
}

bool holds_capture_of(const fs::path& out, const fs::path& input, const PhotoOptions& options) {
  const json found = finished_report(out, input);
  return found.is_object() && found.contains("options") &&
         found["options"] == options_json(options);
}

CaptureReport make_capture(const fs::path& input, const CaptureContext& context,
                           const PhotoOptions& options) {
  options.check();
  const InterruptGuard guard;
  return Making(input, context, options).run();
}

}  // namespace covary::capture
