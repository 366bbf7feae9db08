#include "covary/splat/scene/capture.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <tuple>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/sample_name.h"
#include "covary/core/base/threads.h"
#include "covary/core/data/exif.h"
#include "covary/core/geometry/rigid.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/pose_check.h"
#include "covary/splat/scene/samples.h"
#include "covary/splat/scene/split.h"
#include "covary/splat/scene/undistort.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;
using data::Image8;

constexpr double kAspectTolerance = 0.01;

std::string size_text(int width, int height) {
  return std::to_string(width) + " x " + std::to_string(height);
}

bool same_aspect(int w, int h, int w2, int h2) {
  return std::abs(static_cast<double>(w) * h2 / (static_cast<double>(h) * w2) - 1) <=
         kAspectTolerance;
}

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

// Undistortion maps of lenses, each made once. A capture with a lens of its own for each photo
// would fill the memory with maps that are used once: beyond the first few they are not kept.
class LensMaps {
 public:
  std::shared_ptr<const Undistorter> get(const Lens& lens, const std::string& where) {
    const Key key{static_cast<int>(lens.model), lens.width, lens.height, lens.params};
    std::unique_lock lock(mutex_);
    if (const auto found = maps_.find(key); found != maps_.end()) return found->second;
    if (maps_.size() >= kMostKept) {
      lock.unlock();
      return make(lens, where);
    }
    return maps_[key] = make(lens, where);
  }

 private:
  static std::shared_ptr<const Undistorter> make(const Lens& lens, const std::string& where) {
    try {
      return std::make_shared<const Undistorter>(lens);
    } catch (const Error& e) {
      throw Error(e.code(), e.message(), where + ": " + e.where(), e.hint());
    }
  }

  static constexpr size_t kMostKept = 4;
  using Key = std::tuple<int, int, int, std::vector<double>>;
  std::mutex mutex_;
  std::map<Key, std::shared_ptr<const Undistorter>> maps_;
};

// Settings and findings of all photos of one load.
struct Loading {
  const CaptureOptions& options;
  const CaptureSource& source;
  Eigen::Matrix4d scene_from_capture;
  Eigen::Vector3f background;
  bool random_background;
  LensMaps maps;
  std::mutex mutex;
  size_t rescaled = 0, undistorted = 0, with_alpha = 0, with_mask = 0, with_depth = 0;
  std::string rescaled_example;
};

Image8 with_three_channels(Image8 image) {
  if (image.channels != 1) return image;
  Image8 out(image.height, image.width, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    std::fill_n(out.pixels.data() + 3 * i, 3, image.pixels[i]);
  return out;
}

// A mask at the photo's size: 1 channel, the first of the file.
Image8 read_mask(const fs::path& path, const Image8& photo, const fs::path& photo_path) {
  const Image8 file = data::read_image(path);
  Image8 mask(file.height, file.width, 1);
  for (size_t i = 0; i < mask.pixels.size(); ++i)
    mask.pixels[i] = file.pixels[i * static_cast<size_t>(file.channels)];
  if (mask.width == photo.width && mask.height == photo.height) return mask;
  if (!same_aspect(mask.width, mask.height, photo.width, photo.height))
    throw Error(ExitCode::kData,
                "the mask is " + size_text(mask.width, mask.height) + " px, but the photo " +
                    photo_path.filename().string() + " is " + size_text(photo.width, photo.height),
                path.string(), "make masks at the size of their photos");
  return data::resize_nearest(mask, photo.width, photo.height);
}

// Depth at the photo's size, in scene units.
data::ImageF read_view_depth(const PhotoSource& source, const Image8& photo,
                             const Eigen::Matrix4d& scene_from_capture) {
  data::ImageF depth = read_depth(source.depth, source.depth_unit);
  const auto scale =
      static_cast<float>(source.depth_scale * geometry::similarity_scale(scene_from_capture));
  for (float& z : depth.pixels) z *= scale;
  if (depth.width == photo.width && depth.height == photo.height) return depth;
  if (!same_aspect(depth.width, depth.height, photo.width, photo.height))
    throw Error(ExitCode::kData,
                "the depth is " + size_text(depth.width, depth.height) + " px, but the photo " +
                    source.path.filename().string() + " is " + size_text(photo.width, photo.height),
                source.depth.string(), "depth has the shape of its photo, at any size");
  return data::resize_nearest(depth, photo.width, photo.height);
}

// The photo's alpha times the mask, as a fourth channel.
Image8 with_alpha(const Image8& image, const Image8& mask) {
  Image8 out(image.height, image.width, 4);
  for (size_t i = 0; i < mask.pixels.size(); ++i) {
    const uint8_t* p = image.pixels.data() + i * static_cast<size_t>(image.channels);
    const int alpha = image.channels == 4 ? p[3] : 255;
    std::copy(p, p + 3, out.pixels.data() + 4 * i);
    out.pixels[4 * i + 3] = static_cast<uint8_t>((alpha * mask.pixels[i] + 127) / 255);
  }
  return out;
}

// Splits RGBA into colour and alpha; colour over the background unless that changes every step.
void split_alpha(const Image8& rgba, const Loading& loading, View& view) {
  view.image = Image8(rgba.height, rgba.width, 3);
  view.alpha = Image8(rgba.height, rgba.width, 1);
  int under[3];
  for (int c = 0; c < 3; ++c) under[c] = static_cast<int>(std::lround(loading.background[c] * 255));
  for (size_t i = 0; i < view.alpha.pixels.size(); ++i) {
    const uint8_t* p = rgba.pixels.data() + 4 * i;
    const int a = view.alpha.pixels[i] = p[3];
    for (size_t c = 0; c < 3; ++c)
      view.image.pixels[3 * i + c] =
          loading.random_background
              ? p[c]
              : static_cast<uint8_t>((p[c] * a + under[c] * (255 - a) + 127) / 255);
  }
}

View load_view(const PhotoSource& source, Loading& loading) {
  View view;
  view.name = source.name;
  view.path = source.path.string();
  view.log2_exposure = data::read_exif(source.path).log2_exposure();
  Image8 image = with_three_channels(data::read_image(source.path));

  Lens lens = source.lens;
  if (lens.width == 0) {
    const double f = 0.5 * image.width / std::tan(source.field_of_view_x / 2);
    lens = {LensModel::kPinhole,
            image.width,
            image.height,
            {f, f, image.width / 2.0, image.height / 2.0}};
    lens.check(source.where);
  }
  const bool other_size = lens.width != image.width || lens.height != image.height;
  if (!same_aspect(image.width, image.height, lens.width, lens.height))
    throw Error(
        ExitCode::kData,
        "the photo is " + size_text(image.width, image.height) + " px, but its camera is " +
            size_text(lens.width, lens.height) + " (" + source.where + ")",
        view.path,
        "the photo was cropped, turned or replaced: use those that the cameras were made from");
  if (other_size) lens = lens.scaled(image.width, image.height);

  Image8 mask;
  if (!source.mask.empty()) mask = read_mask(source.mask, image, source.path);
  const bool masked = !mask.empty();
  if (masked && loading.options.mask_mode == "empty") {
    image = with_alpha(image, mask);
    mask = {};
  }
  data::ImageF depth;
  if (!source.depth.empty()) depth = read_view_depth(source, image, loading.scene_from_capture);
  Camera camera;
  const bool distorted = lens.distorted();
  if (distorted) {
    const auto flat = loading.maps.get(lens, source.where);
    image = flat->photo(image);
    if (!mask.empty()) mask = flat->mask(mask);
    if (!depth.empty()) depth = flat->depth(depth);
    camera = flat->camera();
  } else {
    camera = lens.optimal_pinhole();
  }
  const int64_t shrink = loading.source.downscaled_folder ? 1 : loading.options.downscale;
  if (shrink > 1) {
    const auto divided = [&](int n) {
      return std::max(
          1, static_cast<int>(std::lround(static_cast<double>(n) / static_cast<double>(shrink))));
    };
    const int width = divided(image.width), height = divided(image.height);
    image = data::resize_area(image, width, height);
    if (!mask.empty()) mask = data::resize_nearest(mask, width, height);
    if (!depth.empty()) depth = data::resize_nearest(depth, width, height);
    camera = camera.scaled(width, height);
  }
  camera.cam_from_world = source.cam_from_world;
  view.camera = transformed(camera, loading.scene_from_capture);
  const bool alpha = image.channels == 4;
  if (alpha)
    split_alpha(image, loading, view);
  else
    view.image = std::move(image);
  for (uint8_t& m : mask.pixels) m = m >= 128 ? 255 : 0;
  view.mask = std::move(mask);
  view.depth = std::move(depth);

  const std::scoped_lock lock(loading.mutex);
  loading.undistorted += distorted;
  loading.with_alpha += alpha && !(masked && loading.options.mask_mode == "empty");
  loading.with_mask += masked;
  loading.with_depth += !view.depth.empty();
  if (other_size && !loading.source.downscaled_folder) {
    if (loading.rescaled++ == 0 || view.name < loading.rescaled_example)
      loading.rescaled_example = view.name;
  }
  return view;
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

Points finite_points(Points points, std::vector<std::string>& notes) {
  Points out;
  for (size_t i = 0; i < points.positions.size(); ++i) {
    if (!points.positions[i].allFinite()) continue;
    out.positions.push_back(points.positions[i]);
    out.colors.push_back(points.colors[i]);
  }
  const size_t bad = points.positions.size() - out.positions.size();
  if (bad > 0) notes.push_back(std::to_string(bad) + " points are not finite and were dropped");
  if (out.positions.empty()) notes.push_back("there are no points: random initialisation");
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
  capture.points = finite_points(std::move(source.points), source.notes);
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

  Loading loading{
      options, source, m, capture.background, capture.random_background, {}, {}, 0, 0, 0, 0, 0, {}};
  capture.views.resize(chosen.photos.size());
  parallel_tasks(static_cast<int64_t>(chosen.photos.size()), [&](int64_t i) {
    capture.views[static_cast<size_t>(i)] =
        load_view(chosen.photos[static_cast<size_t>(i)], loading);
  });

  if (source.reading) {
    std::vector<const Image8*> photos;
    std::vector<Camera> as_read;
    for (size_t i = 0; i < capture.views.size(); ++i) {
      photos.push_back(&capture.views[i].image);
      as_read.push_back(capture.views[i].camera);
      as_read.back().cam_from_world = chosen.photos[i].cam_from_world;
    }
    const std::string doubt = check_poses(photos, as_read, *source.reading).doubt();
    if (!doubt.empty()) source.notes.push_back(doubt);
  }
  capture.notes = std::move(source.notes);
  const auto note = [&](size_t n, const std::string& what) {
    if (n > 0) capture.notes.push_back(std::to_string(n) + " " + what);
  };
  if (options.downscale > 1 && !source.downscaled_folder)
    capture.notes.push_back("photos are shrunk " + std::to_string(options.downscale) +
                            " times by area average");
  note(loading.undistorted, "photos were undistorted");
  note(loading.rescaled, "photos have another size than their camera states (" +
                             loading.rescaled_example + " is one): intrinsics were scaled");
  note(loading.with_mask,
       "photos have masks: dark pixels are " +
           std::string(options.mask_mode == "empty" ? "transparent" : "ignored"));
  note(loading.with_depth, "photos have depth");
  if (loading.with_alpha > 0 && options.background == "auto" && !source.white_background)
    capture.notes.push_back(
        std::to_string(loading.with_alpha) +
        " photos have alpha: they are composited on black (--background chooses)");
  return capture;
}

}  // namespace

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
