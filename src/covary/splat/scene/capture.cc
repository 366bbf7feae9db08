#include "covary/splat/scene/capture.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <set>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/sample_name.h"
#include "covary/core/base/threads.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/photo_cache.h"
#include "covary/splat/scene/photo_loader.h"
#include "covary/splat/scene/pose_check.h"
#include "covary/splat/scene/samples.h"
#include "covary/splat/scene/split.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;

// Which photos are loaded, and as what.
struct Selection {
  std::vector<PhotoSource> photos;
  std::vector<int64_t> train, test;  // indices into photos
  std::vector<Camera>
      training_cameras;  // all that train, whether loaded or not: they give the extent
};

Selection select_photos(std::vector<PhotoSource> photos, bool own_split,
                        const CaptureOptions& options, std::vector<std::string>& notes) {
  std::vector<bool> own_test;
  if (own_split)
    for (const PhotoSource& p : photos) own_test.push_back(p.test);
  const ViewChoice chosen =
      choose_views(static_cast<int64_t>(photos.size()), own_test, options, notes);
  Selection out;
  for (const int64_t i : chosen.training) {
    Camera c;
    c.cam_from_world = photos[static_cast<size_t>(i)].cam_from_world;
    out.training_cameras.push_back(c);
  }
  for (const ChosenView& v : chosen.loaded) {
    (v.held_out ? out.test : out.train).push_back(static_cast<int64_t>(out.photos.size()));
    out.photos.push_back(std::move(photos[static_cast<size_t>(v.index)]));
  }
  return out;
}

// Masks of a folder by the photos' names: NAME, NAME.png, or the stem with another extension.
void find_masks(CaptureSource& source, std::vector<PhotoSource>& photos,
                const CaptureOptions& options) {
  if (options.masks == "off" || options.mask_mode == "off") {
    for (PhotoSource& p : photos) p.mask.clear();
    return;
  }
  fs::path folder = options.masks;
  if (options.masks == "auto") {
    // Beside images/, or among the photos where these lie in the capture's folder itself.
    const fs::path photos_in = source.photo_folder.filename() == "images"
                                   ? source.photo_folder.parent_path()
                                   : source.photo_folder;
    folder = photos_in / "masks";
    if (!fs::is_directory(folder)) return;
  } else if (!fs::is_directory(folder)) {
    throw Error(ExitCode::kData, "there is no such folder of masks", folder.string(),
                "check --masks");
  }
  std::vector<std::string> missing;
  for (PhotoSource& p : photos) {
    if (!p.mask.empty() && options.masks == "auto") continue;  // mask_path goes first
    p.mask.clear();
    const fs::path with_png = folder / (p.name + ".png");
    p.mask = fs::is_regular_file(with_png) ? with_png : find_photo(folder, p.name);
    if (p.mask.empty()) missing.push_back(p.name);
  }
  if (missing.size() == photos.size() && options.masks != "auto")
    throw Error(ExitCode::kData, "no mask matches a photo", folder.string(),
                "a mask has its photo's name, or that name + .png");
  if (!missing.empty())
    source.notes.push_back(std::to_string(missing.size()) +
                           " photos have no mask and are used whole: " + list_some(missing));
}

// Those that are finite, and which photo sees them by their new numbers.
Points finite_points(Points points, std::vector<PhotoSource>& photos,
                     std::vector<std::string>& notes) {
  constexpr uint32_t kGone = std::numeric_limits<uint32_t>::max();
  Points out;
  std::vector<uint32_t> number(points.positions.size(), kGone);
  for (size_t i = 0; i < points.positions.size(); ++i) {
    if (!points.positions[i].allFinite()) continue;
    number[i] = static_cast<uint32_t>(out.positions.size());
    out.positions.push_back(points.positions[i]);
    out.colors.push_back(points.colors[i]);
  }
  const size_t bad = points.positions.size() - out.positions.size();
  if (bad > 0) notes.push_back(std::to_string(bad) + " points are not finite and were dropped");
  if (out.positions.empty()) notes.push_back("there are no points: random initialisation");
  if (bad == 0) return out;
  for (PhotoSource& p : photos) {
    std::vector<uint32_t> seen;
    for (const uint32_t i : p.seen_points)
      if (number.at(i) != kGone) seen.push_back(number[i]);
    p.seen_points = std::move(seen);
  }
  return out;
}

// Name and SHA-256 of each; of a model in many files, one hash over theirs.
std::vector<std::pair<std::string, std::string>> hashes_of(const std::vector<fs::path>& files) {
  constexpr size_t kMost = 8;
  std::vector<std::pair<std::string, std::string>> out;
  std::string all;
  for (const fs::path& f : files) {
    out.emplace_back(f.filename().string(), sha256_file(f));
    all += out.back().second;
  }
  if (out.size() <= kMost) return out;
  const std::string name = out[0].first + " and " + std::to_string(out.size() - 1) + " more";
  return {{name, sha256({reinterpret_cast<const uint8_t*>(all.data()), all.size()})}};
}

Capture load_folder(const std::string& where, const CaptureOptions& options) {
  CaptureSource source = read_source(where, options);
  std::sort(source.photos.begin(), source.photos.end(),
            [](const PhotoSource& a, const PhotoSource& b) { return a.name < b.name; });
  std::set<fs::path> seen;
  for (size_t i = 0; i < source.photos.size(); ++i) {
    const PhotoSource& p = source.photos[i];
    const bool fresh = seen.insert(p.path).second;
    if (!fresh || (i > 0 && p.name == source.photos[i - 1].name))
      throw Error(
          ExitCode::kData, "the photo " + p.path.string() + " has two cameras",
          p.where + ": " + p.name,
          "a photo has one camera: photos of one name lie in folders as the model spells them");
  }

  Capture capture;
  fs::path name = fs::absolute(where).lexically_normal();
  if (!name.has_filename()) name = name.parent_path();
  capture.name =
      fs::is_regular_file(name) ? name.parent_path().filename().string() : name.filename().string();
  capture.points = finite_points(std::move(source.points), source.photos, source.notes);
  capture.files = hashes_of(source.files);

  // The frame depends on the capture alone, not on which views are loaded.
  std::vector<Camera> cameras;
  for (const PhotoSource& p : source.photos) {
    Camera c;
    c.cam_from_world = p.cam_from_world;
    cameras.push_back(c);
  }
  if (options.normalize)
    capture.scene_from_capture = normalising_similarity(cameras, capture.points);
  const Eigen::Matrix4d& m = capture.scene_from_capture;
  for (auto& p : capture.points.positions)
    p = (m * p.cast<double>().homogeneous()).head<3>().cast<float>();

  const std::string background = options.background != "auto" ? options.background
                                 : source.white_background    ? "white"
                                                              : "black";
  const auto color = parse_background(background, &capture.random_background);
  capture.background = {color[0], color[1], color[2]};

  Selection chosen =
      select_photos(std::move(source.photos), source.own_split, options, source.notes);
  find_masks(source, chosen.photos, options);
  capture.train = chosen.train;
  capture.test = chosen.test;
  capture.extent = extent_of(chosen.training_cameras, m);
  if (!(capture.extent > 1e-9)) {
    capture.extent = 1;
    source.notes.push_back(
        "all training cameras stand at one place: the extent of the scene is taken as 1");
  }

  const auto loader = std::make_shared<PhotoLoader>(
      options, source.downscaled_folder,
      SceneFrame{m, capture.background, capture.random_background}, std::move(chosen.photos));
  loader->read_headers();
  std::vector<PhotoCache::Pictures> pictures;
  for (int64_t i = 0; i < loader->size(); ++i) {
    const View& v = capture.views.emplace_back(loader->view(i));
    const ViewParts parts = loader->parts(i);
    pictures.push_back({parts, parts.bytes(v.camera.width, v.camera.height)});
  }
  const int64_t most = options.photo_cache_of();
  capture.photos = std::make_shared<PhotoCache>(
      most, std::move(pictures), [loader](int64_t i) { return loader->load(i); },
      loader->working_bytes(), loader->standing_bytes());
  if (capture.picture_bytes() <= most) hold_all(capture);

  if (source.reading) {
    std::vector<Camera> as_read;
    for (int64_t i = 0; i < loader->size(); ++i) {
      as_read.push_back(capture.views[static_cast<size_t>(i)].camera);
      as_read.back().cam_from_world = loader->source(i).cam_from_world;
    }
    const auto photo = [&](size_t i) { return capture.image(static_cast<int64_t>(i)); };
    const std::string doubt = check_poses(photo, as_read, *source.reading).doubt();
    if (!doubt.empty()) source.notes.push_back(doubt);
  }
  capture.notes = std::move(source.notes);
  if (options.downscale > 1 && !source.downscaled_folder)
    capture.notes.push_back("photos are shrunk " + std::to_string(options.downscale) +
                            " times by area average");
  for (std::string& note : loader->notes(options.background == "auto" && !source.white_background))
    capture.notes.push_back(std::move(note));
  return capture;
}

}  // namespace

int64_t ViewParts::bytes(int width, int height) const {
  return int64_t{width} * height * (3 + alpha + mask + 4 * depth + 12 * normal);
}

std::shared_ptr<const View> Capture::view(int64_t i) const {
  const View& known = views.at(static_cast<size_t>(i));
  if (!photos) return {std::shared_ptr<const View>(), &known};  // it is the capture's own
  const std::shared_ptr<View> view = photos->get(i);
  view->camera = known.camera;  // which may have moved since
  return view;
}

std::shared_ptr<const data::Image8> Capture::image(int64_t i) const {
  if (!photos) return {std::shared_ptr<const View>(), &views.at(static_cast<size_t>(i)).image};
  const std::shared_ptr<const View> view = photos->get(i);
  return {view, &view->image};
}

ViewParts Capture::parts(int64_t i) const {
  if (photos) return photos->pictures(i).parts;
  const View& v = views.at(static_cast<size_t>(i));
  return {!v.alpha.empty(), !v.mask.empty(), !v.depth.empty(), !v.normal.empty()};
}

int64_t Capture::picture_bytes() const {
  if (photos) return photos->bytes();
  int64_t bytes = 0;
  for (size_t i = 0; i < views.size(); ++i)
    bytes += parts(static_cast<int64_t>(i)).bytes(views[i].image.width, views[i].image.height);
  return bytes;
}

void Capture::expect(const std::vector<int64_t>& order, size_t ahead) const {
  if (photos) photos->expect(order, ahead);
}

void hold_all(Capture& capture) {
  if (!capture.photos) return;
  parallel_tasks(static_cast<int64_t>(capture.views.size()), [&](int64_t i) {
    View view = capture.photos->load(i);
    View& known = capture.views[static_cast<size_t>(i)];
    view.camera = known.camera;
    known = std::move(view);
  });
  capture.photos = nullptr;
}

Capture load_capture(const std::string& where, const CaptureOptions& options) {
  options.check();
  if (is_sample(where)) return make_sample(where, options);
  try {
    return load_folder(where, options);
  } catch (const fs::filesystem_error& e) {
    throw Error(ExitCode::kData, e.code().message(), e.path1().empty() ? where : e.path1().string(),
                "check who may read it");
  }
}

}  // namespace covary::scene
