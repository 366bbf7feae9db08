#include "covary/splat/scene/photo_loader.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/data/exif.h"
#include "covary/core/geometry/rigid.h"

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

Image8 with_three_channels(Image8 image) {
  if (image.channels != 1) return image;
  Image8 out(image.height, image.width, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    std::fill_n(out.pixels.data() + 3 * i, 3, image.pixels[i]);
  return out;
}

// Of what goes with a photo: the mask or the depth.
struct Companion {
  const char *name, *hint;
  std::filesystem::path PhotoSource::* file;
};
constexpr Companion kMask{"mask", "make masks at the size of their photos", &PhotoSource::mask},
    kDepth{"depth", "depth has the shape of its photo, at any size", &PhotoSource::depth};

// picture, photo: anything with a width and a height.
template <class Picture, class Photo>
void check_shape(const Companion& of, const Picture& picture, const PhotoSource& source,
                 const Photo& photo) {
  if (same_aspect(picture.width, picture.height, photo.width, photo.height)) return;
  throw Error(ExitCode::kData,
              std::string("the ") + of.name + " is " + size_text(picture.width, picture.height) +
                  " px, but the photo " + source.path.filename().string() + " is " +
                  size_text(photo.width, photo.height),
              (source.*of.file).string(), of.hint);
}

// A mask at the photo's size: 1 channel, the first of the file.
Image8 read_mask(const PhotoSource& source, const Image8& photo) {
  const Image8 file = data::read_image(source.mask);
  Image8 mask(file.height, file.width, 1);
  for (size_t i = 0; i < mask.pixels.size(); ++i)
    mask.pixels[i] = file.pixels[i * static_cast<size_t>(file.channels)];
  check_shape(kMask, mask, source, photo);
  if (mask.width == photo.width && mask.height == photo.height) return mask;
  return data::resize_nearest(mask, photo.width, photo.height);
}

// Depth at the photo's size, in scene units.
data::ImageF read_view_depth(const PhotoSource& source, const Image8& photo,
                             const Eigen::Matrix4d& scene_from_capture) {
  data::ImageF depth = read_depth(source.depth, source.depth_unit);
  const auto scale =
      static_cast<float>(source.depth_scale * geometry::similarity_scale(scene_from_capture));
  for (float& z : depth.pixels) z *= scale;
  check_shape(kDepth, depth, source, photo);
  if (depth.width == photo.width && depth.height == photo.height) return depth;
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
void split_alpha(const Image8& rgba, const SceneFrame& frame, View& view) {
  view.image = Image8(rgba.height, rgba.width, 3);
  view.alpha = Image8(rgba.height, rgba.width, 1);
  int under[3];
  for (int c = 0; c < 3; ++c) under[c] = static_cast<int>(std::lround(frame.background[c] * 255));
  for (size_t i = 0; i < view.alpha.pixels.size(); ++i) {
    const uint8_t* p = rgba.pixels.data() + 4 * i;
    const int a = view.alpha.pixels[i] = p[3];
    for (size_t c = 0; c < 3; ++c)
      view.image.pixels[3 * i + c] =
          frame.random_background
              ? p[c]
              : static_cast<uint8_t>((p[c] * a + under[c] * (255 - a) + 127) / 255);
  }
}

// f(), whose errors say `where` first.
template <class F>
auto naming(const std::string& where, F&& f) {
  try {
    return f();
  } catch (const Error& e) {
    throw Error(e.code(), e.message(), where + ": " + e.where(), e.hint());
  }
}

int divided(int n, int64_t by) {
  return std::max(1,
                  static_cast<int>(std::lround(static_cast<double>(n) / static_cast<double>(by))));
}

}  // namespace

Camera LensMaps::camera(const Lens& lens, const std::string& where) {
  if (!lens.distorted()) return lens.optimal_pinhole();
  const Key key{static_cast<int>(lens.model), lens.width, lens.height, lens.params};
  {
    const std::scoped_lock lock(mutex_);
    if (const auto found = cameras_.find(key); found != cameras_.end()) return found->second;
  }
  const Camera made = naming(where, [&] { return lens.optimal_pinhole(); });
  const std::scoped_lock lock(mutex_);
  return cameras_.emplace(key, made).first->second;
}

std::shared_ptr<const Undistorter> LensMaps::map(const Lens& lens, const std::string& where) {
  const auto make = [&] {
    return naming(where, [&] { return std::make_shared<const Undistorter>(lens); });
  };
  const Key key{static_cast<int>(lens.model), lens.width, lens.height, lens.params};
  std::unique_lock lock(mutex_);
  if (const auto found = maps_.find(key); found != maps_.end()) return found->second;
  if (maps_.size() >= kMostKept) {
    lock.unlock();
    return make();
  }
  return maps_[key] = make();
}

PhotoLoader::PhotoLoader(const CaptureOptions& options, bool downscaled_folder,
                         const SceneFrame& frame, std::vector<PhotoSource> photos)
    : options_(options),
      downscaled_folder_(downscaled_folder),
      frame_(frame),
      photos_(std::move(photos)) {}

PhotoLoader::Header PhotoLoader::read_header(const PhotoSource& source) const {
  Header h;
  h.photo = data::image_info(source.path);
  h.log2_exposure = data::read_exif(source.path).log2_exposure();
  const int width = h.photo.width, height = h.photo.height;
  h.lens = source.lens;
  if (h.lens.width == 0) {
    const double f = 0.5 * width / std::tan(source.field_of_view_x / 2);
    h.lens = {LensModel::kPinhole, width, height, {f, f, width / 2.0, height / 2.0}};
    h.lens.check(source.where);
  }
  h.rescaled = h.lens.width != width || h.lens.height != height;
  if (!same_aspect(width, height, h.lens.width, h.lens.height))
    throw Error(
        ExitCode::kData,
        "the photo is " + size_text(width, height) + " px, but its camera is " +
            size_text(h.lens.width, h.lens.height) + " (" + source.where + ")",
        source.path.string(),
        "the photo was cropped, turned or replaced: use those that the cameras were made from");
  if (h.rescaled) h.lens = h.lens.scaled(width, height);

  h.masked = !source.mask.empty();
  if (h.masked) check_shape(kMask, data::image_info(source.mask), source, h.photo);
  if (!source.depth.empty()) check_shape(kDepth, depth_info(source.depth), source, h.photo);
  const bool transparent = h.masked && options_.mask_mode == "empty";
  h.own_alpha = h.photo.channels == 4 && !transparent;
  h.parts.alpha = h.photo.channels == 4 || transparent;
  h.parts.mask = h.masked && !transparent;
  h.parts.depth = !source.depth.empty();

  Camera camera = lenses_.camera(h.lens, source.where);
  if (const int64_t shrink = downscaled_folder_ ? 1 : options_.downscale; shrink > 1)
    camera = camera.scaled(divided(width, shrink), divided(height, shrink));
  camera.cam_from_world = source.cam_from_world;
  h.camera = transformed(camera, frame_.scene_from_capture);
  return h;
}

void PhotoLoader::read_headers() {
  headers_.resize(photos_.size());
  parallel_tasks(size(), [&](int64_t i) {
    headers_[static_cast<size_t>(i)] = read_header(photos_[static_cast<size_t>(i)]);
  });
}

View PhotoLoader::view(int64_t i) const {
  const PhotoSource& source = photos_[static_cast<size_t>(i)];
  View view;
  view.name = source.name;
  view.path = source.path.string();
  view.camera = headers_[static_cast<size_t>(i)].camera;
  view.log2_exposure = headers_[static_cast<size_t>(i)].log2_exposure;
  view.seen_points = source.seen_points;
  return view;
}

View PhotoLoader::load(int64_t i) const {
  const PhotoSource& source = photos_[static_cast<size_t>(i)];
  const Header& header = headers_[static_cast<size_t>(i)];
  View view = this->view(i);
  Image8 image = data::read_image(source.path);
  if (image.width != header.photo.width || image.height != header.photo.height ||
      image.channels != header.photo.channels)
    throw Error(ExitCode::kData,
                "the photo was " + size_text(header.photo.width, header.photo.height) +
                    " px when the capture was loaded and is " +
                    size_text(image.width, image.height) + " now",
                view.path, "leave photos alone while a run reads them");
  image = with_three_channels(std::move(image));
  Image8 mask;
  if (header.masked) mask = read_mask(source, image);
  if (header.masked && options_.mask_mode == "empty") {
    image = with_alpha(image, mask);
    mask = {};
  }
  data::ImageF depth;
  if (!source.depth.empty()) depth = read_view_depth(source, image, frame_.scene_from_capture);
  if (header.lens.distorted()) {
    const auto flat = lenses_.map(header.lens, source.where);
    image = flat->photo(image);
    if (!mask.empty()) mask = flat->mask(mask);
    if (!depth.empty()) depth = flat->depth(depth);
  }
  const int width = view.camera.width, height = view.camera.height;
  if (width != image.width || height != image.height) {
    image = data::resize_area(image, width, height);
    if (!mask.empty()) mask = data::resize_nearest(mask, width, height);
    if (!depth.empty()) depth = data::resize_nearest(depth, width, height);
  }
  if (image.channels == 4)
    split_alpha(image, frame_, view);
  else
    view.image = std::move(image);
  for (uint8_t& m : mask.pixels) m = m >= 128 ? 255 : 0;
  view.mask = std::move(mask);
  view.depth = std::move(depth);
  return view;
}

int64_t PhotoLoader::working_bytes() const {
  // A photo before and after a lens, its mask and its depth likewise.
  int64_t most = 0;
  for (const Header& h : headers_) {
    const int64_t pixels = int64_t{h.photo.width} * h.photo.height;
    most =
        std::max(most, pixels * (2 * (h.parts.alpha ? 4 : 3) + 2 * h.masked + 8 * h.parts.depth));
  }
  return most;
}

int64_t PhotoLoader::standing_bytes() const {
  int64_t largest = 0;
  for (const Header& h : headers_)
    if (h.lens.distorted())
      largest = std::max(largest, Undistorter::bytes(h.photo.width, h.photo.height));
  return largest * static_cast<int64_t>(std::min(LensMaps::kMostKept, lenses_.lenses()));
}

std::vector<std::string> PhotoLoader::notes(bool alpha_wants_background) const {
  size_t undistorted = 0, rescaled = 0, masked = 0, with_depth = 0, own_alpha = 0;
  std::string example;
  for (size_t i = 0; i < headers_.size(); ++i) {
    const Header& h = headers_[i];
    undistorted += h.lens.distorted();
    masked += h.masked;
    with_depth += h.parts.depth;
    own_alpha += h.own_alpha;
    if (h.rescaled && !downscaled_folder_ && rescaled++ == 0) example = photos_[i].name;
  }
  std::vector<std::string> notes;
  const auto note = [&](size_t n, const std::string& what) {
    if (n > 0) notes.push_back(std::to_string(n) + " " + what);
  };
  note(undistorted, "photos were undistorted");
  note(rescaled, "photos have another size than their camera states (" + example +
                     " is one): intrinsics were scaled");
  note(masked, "photos have masks: dark pixels are " +
                   std::string(options_.mask_mode == "empty" ? "transparent" : "ignored"));
  note(with_depth, "photos have depth");
  if (alpha_wants_background)
    note(own_alpha, "photos have alpha: they are composited on black (--background chooses)");
  return notes;
}

}  // namespace covary::scene
