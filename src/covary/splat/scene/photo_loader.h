// From the files of a photo to a view: what headers tell first, pictures when they are asked for.
//
//   PhotoLoader loader(options, source.downscaled_folder, frame, std::move(photos));
//   loader.read_headers();                    // all of them: sizes agree, every lens can be expressed
//   View v = loader.view(7);                  // camera and names; loader.parts(7) says what it has
//   View v = loader.load(7);                  // the same with pictures, decoded now
//
// load may be called from any thread. Within scene only.
// Errors: Error(kData) naming the file: missing, damaged, of another shape than its camera or photo; for load also of another size
// or kind than when its header was read.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/undistort.h"

namespace covary::scene {

// Cameras and undistortion maps of lenses, each made once. A capture with a lens of its own for each photo
// would fill the memory with maps that are used once: beyond the first few they are not kept.
class LensMaps {
 public:
  static constexpr size_t kMostKept = 4;

  Camera camera(const Lens& lens, const std::string& where);
  std::shared_ptr<const Undistorter> map(const Lens& lens, const std::string& where);
  size_t lenses() const { return cameras_.size(); }  // distorted ones, so far

 private:
  using Key = std::tuple<int, int, int, std::vector<double>>;
  std::mutex mutex_;
  std::map<Key, Camera> cameras_;
  std::map<Key, std::shared_ptr<const Undistorter>> maps_;
};

// Where the views of a capture stand, and what is behind transparent photos.
struct SceneFrame {
  Eigen::Matrix4d scene_from_capture = Eigen::Matrix4d::Identity();
  Eigen::Vector3f background = {0, 0, 0};
  bool random_background = false;
};

class PhotoLoader {
 public:
  PhotoLoader(const CaptureOptions& options, bool downscaled_folder, const SceneFrame& frame,
              std::vector<PhotoSource> photos);

  void read_headers();
  int64_t size() const { return static_cast<int64_t>(photos_.size()); }
  const PhotoSource& source(int64_t i) const { return photos_[static_cast<size_t>(i)]; }

  // After read_headers.
  View view(int64_t i) const;  // without pictures
  ViewParts parts(int64_t i) const { return headers_[static_cast<size_t>(i)].parts; }
  View load(int64_t i) const;
  int64_t working_bytes() const;   // that decoding one photo takes at most, beside its view
  int64_t standing_bytes() const;  // of maps that are kept once they are made

  // What a person should know of the photos, for Capture::notes.
  std::vector<std::string> notes(bool alpha_wants_background) const;

 private:
  // What is known before a photo is decoded.
  struct Header {
    data::ImageInfo photo;
    Lens lens;      // at the photo's size
    Camera camera;  // of the view, in the scene
    ViewParts parts;
    bool rescaled = false, masked = false, own_alpha = false;
    std::optional<double> log2_exposure = {};
  };
  Header read_header(const PhotoSource& source) const;

  CaptureOptions options_;
  bool downscaled_folder_;
  SceneFrame frame_;
  std::vector<PhotoSource> photos_;
  std::vector<Header> headers_;
  mutable LensMaps lenses_;
};

}  // namespace covary::scene
