// Agisoft Metashape (PhotoScan): the XML of "Export Cameras", a chunk with sensors (lenses) and
// cameras, and beside it the points as .ply where they were exported.
//
//   * A camera's <transform> is its pose in the chunk, world from camera, 16 numbers row by row, axes x
//     right, y down, z forward. A camera without one is not aligned.
//   * The chunk's <transform> (rotation, translation, scale), which newer versions keep in the
//     camera's <component>, brings that to the coordinates in which points are exported. Geographic
//     ones (translations beyond 100 km) do not fit single precision: their translation is left out,
//     with a note that holds it.
//   * Calibration of a "frame" or "fisheye": u = w/2 + cx + f x' + b1 x' + b2 y', v = h/2 + cy + f y',
//     where x', y' are Brown's with k1..k4 and p1, p2 (which are OpenCV's p2, p1). Skew b2 has no place
//     in our lenses: below half a pixel at the border it is dropped, else refused. PhotoScan before
//     1.2 wrote fx, fy and a cx, cy from the corner.
//
// Sources: "Agisoft Metashape User Manual", appendix "Camera models"; the XML as it is written.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>

#include <Eigen/Geometry>
#include <Eigen/LU>
#include <pugixml.hpp>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/splat/scene/capture_source.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHint = "export the cameras from Metashape again";
constexpr uint64_t kMostBytes = uint64_t{1} << 30;
constexpr int kDeepestGroup = 16;

[[noreturn]] void fail(const std::string& where, const std::string& what,
                       const std::string& hint = kHint) {
  throw Error(ExitCode::kData, what, where, hint);
}

std::vector<double> numbers(const pugi::xml_node& node, size_t count, const std::string& where) {
  const char* at = node.text().get();
  const char* end = at + std::strlen(at);
  std::vector<double> out;
  while (true) {
    while (at < end && std::strchr(" \t\r\n", *at)) ++at;
    if (at == end) break;
    double v = 0;
    const auto [next, fault] = std::from_chars(at, end, v);
    if (fault != std::errc() || !std::isfinite(v) || (next < end && !std::strchr(" \t\r\n", *next)))
      fail(where, "holds what is no finite number");
    out.push_back(v);
    if (out.size() > count) break;
    at = next;
  }
  if (out.size() != count) fail(where, "does not hold " + std::to_string(count) + " numbers");
  return out;
}

double number(const pugi::xml_node& parent, const char* name, double fallback,
              const std::string& where) {
  const pugi::xml_node node = parent.child(name);
  return node ? numbers(node, 1, where + ": " + name)[0] : fallback;
}

int size_of(const pugi::xml_node& resolution, const char* name, const std::string& where) {
  const int v = resolution.attribute(name).as_int(0);
  if (v < 1 || v > 65536) fail(where + ": resolution " + name, "is no size of 1 to 65536 px");
  return v;
}

// The lens of a sensor; empty parameters where it has no calibration.
Lens read_lens(const pugi::xml_node& sensor, const std::string& where) {
  pugi::xml_node calibration;
  for (const pugi::xml_node& c : sensor.children("calibration"))
    if (!calibration || std::string(c.attribute("class").value()) == "adjusted") calibration = c;
  if (!calibration) return {};
  const std::string at = where + ": calibration";
  const std::string type =
      calibration.attribute("type").as_string(sensor.attribute("type").as_string("frame"));
  if (type != "frame" && type != "fisheye")
    fail(at, "the camera type '" + type + "' is not read",
         "frame and fisheye are: undistort the photos in Metashape first");
  pugi::xml_node resolution = calibration.child("resolution");
  if (!resolution) resolution = sensor.child("resolution");
  const int w = size_of(resolution, "width", at), h = size_of(resolution, "height", at);
  const auto value = [&](const char* name) { return number(calibration, name, 0, at); };
  double fx = 0, fy = 0, cx = 0, cy = 0;
  if (calibration.child("f")) {
    fy = value("f");
    fx = fy + value("b1");
    cx = w / 2.0 + value("cx");
    cy = h / 2.0 + value("cy");
  } else {
    fx = value("fx");
    fy = calibration.child("fy") ? value("fy") : fx;
    cx = number(calibration, "cx", w / 2.0, at);
    cy = number(calibration, "cy", h / 2.0, at);
  }
  if (!(fx > 0 && fy > 0)) fail(at + ": f", "the focal length is missing or not positive");
  const double skew = calibration.child("f") ? value("b2") : value("skew");
  if (std::abs(skew) * h / 2 / fy > 0.5)
    fail(at + ": b2", "the picture is skewed by more than half a pixel",
         "optimise the cameras without b2, or undistort the photos in Metashape");
  for (const char* higher : {"p3", "p4"})
    if (value(higher) != 0)
      fail(at + ": " + higher, "tangential terms beyond p1, p2 are not read",
           "optimise the cameras without p3 and p4");
  const std::array<double, 4> k = {value("k1"), value("k2"), value("k3"), value("k4")};
  const std::array<double, 2> p = {value("p2"), value("p1")};
  if (type == "frame") return brown_lens(w, h, fx, fy, cx, cy, k, p, at);
  if (p[0] != 0 || p[1] != 0)
    fail(at + ": p1", "a fisheye with tangential distortion is not read",
         "optimise the cameras without p1 and p2, or undistort the photos in Metashape");
  Lens lens{LensModel::kOpenCVFisheye, w, h, {fx, fy, cx, cy, k[0], k[1], k[2], k[3]}};
  lens.check(at);
  return lens;
}

// Rotation, translation and scale of a <transform>.
Eigen::Matrix4d read_similarity(const pugi::xml_node& transform, const std::string& where) {
  Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
  if (const pugi::xml_node r = transform.child("rotation")) {
    const std::vector<double> v = numbers(r, 9, where + ": rotation");
    for (int i = 0; i < 9; ++i) m(i / 3, i % 3) = v[static_cast<size_t>(i)];
    m = cam_from_world(m, PoseDirection::kCamFromWorld, CameraAxes::kOpenCV, where + ": rotation");
  }
  const double scale = number(transform, "scale", 1, where);
  if (!(scale > 1e-12 && scale < 1e12)) fail(where + ": scale", "is no scale");
  m.topLeftCorner<3, 3>() *= scale;
  if (const pugi::xml_node t = transform.child("translation")) {
    const std::vector<double> v = numbers(t, 3, where + ": translation");
    m.topRightCorner<3, 1>() = Eigen::Vector3d(v[0], v[1], v[2]);
  }
  return m;
}

struct AlignedCamera {
  std::string label, sensor, component;
  Eigen::Matrix4d pose;  // chunk from camera
  std::string where;
};

struct Cameras {
  std::vector<AlignedCamera> aligned;
  std::vector<std::string> not_aligned, disabled;
};

// Cameras of <cameras> and of the groups in it.
void read_cameras(const pugi::xml_node& parent, const std::string& file, int depth, Cameras& out) {
  if (depth > kDeepestGroup) fail(file + ": cameras", "groups are nested too deep");
  for (const pugi::xml_node& node : parent.children()) {
    if (std::strcmp(node.name(), "group") == 0) read_cameras(node, file, depth + 1, out);
    if (std::strcmp(node.name(), "camera") != 0) continue;
    AlignedCamera camera;
    camera.label = node.attribute("label").value();
    camera.sensor = node.attribute("sensor_id").value();
    camera.component = node.attribute("component_id").value();
    camera.where = file + ": camera " +
                   (camera.label.empty() ? node.attribute("id").value() : camera.label.c_str());
    if (camera.label.empty()) fail(camera.where + ": label", "is missing");
    const std::string enabled = node.attribute("enabled").as_string("true");
    if (enabled == "false" || enabled == "0") {
      out.disabled.push_back(camera.label);
      continue;
    }
    const pugi::xml_node transform = node.child("transform");
    if (!transform) {
      out.not_aligned.push_back(camera.label);
      continue;
    }
    camera.where += ": transform";
    const std::vector<double> v = numbers(transform, 16, camera.where);
    for (int i = 0; i < 16; ++i) camera.pose(i / 4, i % 4) = v[static_cast<size_t>(i)];
    out.aligned.push_back(std::move(camera));
  }
}

// Of several components, which have no common frame, the largest.
void keep_largest_component(Cameras& cameras, std::vector<std::string>& notes) {
  std::map<std::string, size_t> counts;
  for (const AlignedCamera& c : cameras.aligned) ++counts[c.component];
  if (counts.size() < 2) return;
  std::string best, text;
  for (const auto& [id, n] : counts) {
    if (best.empty() || n > counts[best]) best = id;
    text += (text.empty() ? "" : ", ") + id + " has " + std::to_string(n);
  }
  std::erase_if(cameras.aligned, [&](const AlignedCamera& c) { return c.component != best; });
  notes.push_back("the reconstruction is in " + std::to_string(counts.size()) +
                  " pieces: took component " + best + ", which has the most photos (" + text + ")");
}

// The frame of the exports: of the component, else of the chunk, else the chunk's own.
Eigen::Matrix4d export_from_chunk(const pugi::xml_node& chunk, const std::string& component,
                                  const std::string& file, std::vector<std::string>& notes) {
  constexpr double kFarthest = 1e5;
  pugi::xml_node transform;
  for (const pugi::xml_node& c : chunk.child("components").children("component"))
    if (component == c.attribute("id").value()) transform = c.child("transform");
  std::string where = file + ": component " + component + ": transform";
  if (!transform) {
    transform = chunk.child("transform");
    where = file + ": chunk: transform";
  }
  if (!transform) return Eigen::Matrix4d::Identity();
  Eigen::Matrix4d m = read_similarity(transform, where);
  const Eigen::Vector3d t = m.topRightCorner<3, 1>();
  if (t.norm() > kFarthest) {
    m.topRightCorner<3, 1>().setZero();
    notes.push_back("the coordinates are geographic: the origin " + std::to_string(t.x()) + " " +
                    std::to_string(t.y()) + " " + std::to_string(t.z()) +
                    " is left out of the scene");
  }
  return m;
}

}  // namespace

CaptureSource read_metashape_capture(const fs::path& root, const fs::path& model,
                                     const CaptureOptions& options) {
  if (fs::file_size(model) > kMostBytes)
    fail(model.string(), "the file is larger than 1 GB",
         "check that this is the XML of exported cameras");
  const std::string text = read_file(model);
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(text.data(), text.size());
  if (!parsed)
    fail(model.string(),
         "not valid XML at byte " + std::to_string(parsed.offset) + ": " + parsed.description());
  const std::string file = model.string();
  CaptureSource source;
  source.files.push_back(model);
  std::vector<pugi::xml_node> chunks;
  for (const pugi::xml_node& c : document.child("document").children("chunk")) chunks.push_back(c);
  if (chunks.empty())
    fail(file + ": document", "has no chunk",
         "give the XML that Metashape's Export Cameras writes");
  if (chunks.size() > 1)
    source.notes.push_back("the file has " + std::to_string(chunks.size()) +
                           " chunks: took the first");
  const pugi::xml_node chunk = chunks[0];

  std::map<std::string, Lens> lenses;
  for (const pugi::xml_node& sensor : chunk.child("sensors").children("sensor")) {
    const std::string id = sensor.attribute("id").value();
    lenses[id] = read_lens(sensor, file + ": sensor " + id);
  }
  Cameras cameras;
  read_cameras(chunk.child("cameras"), file, 0, cameras);
  if (cameras.aligned.empty())
    fail(file + ": cameras",
         cameras.not_aligned.empty() ? "there are none"
                                     : "none is aligned: " + list_some(cameras.not_aligned),
         "align the photos in Metashape, then export the cameras");
  keep_largest_component(cameras, source.notes);
  const Eigen::Matrix4d world_from_chunk =
      export_from_chunk(chunk, cameras.aligned[0].component, file, source.notes);

  const fs::path folder = find_photo_folder(root, options.downscale, source);
  PhotosBelow photos(folder);
  std::vector<std::string> missing;
  for (const AlignedCamera& camera : cameras.aligned) {
    PhotoSource photo;
    photo.name = camera.label;
    photo.where = camera.where;
    photo.cam_from_world =
        cam_from_world(world_from_chunk * camera.pose, PoseDirection::kWorldFromCam,
                       CameraAxes::kOpenCV, camera.where);
    const auto lens = lenses.find(camera.sensor);
    if (lens == lenses.end()) fail(camera.where, "its sensor '" + camera.sensor + "' is not there");
    if (lens->second.params.empty())
      fail(file + ": sensor " + camera.sensor, "has no calibration",
           "align the photos in Metashape, then export the cameras");
    photo.lens = lens->second;
    photo.path = photos.find(camera.label, camera.where);
    if (photo.path.empty()) {
      missing.push_back(camera.label);
      continue;
    }
    source.photos.push_back(std::move(photo));
  }
  note_missing(source, missing, folder, model);
  if (!cameras.not_aligned.empty())
    source.notes.push_back(
        std::to_string(cameras.not_aligned.size()) +
        " photos are not aligned and were skipped: " + list_some(cameras.not_aligned));
  if (!cameras.disabled.empty())
    source.notes.push_back(std::to_string(cameras.disabled.size()) +
                           " photos are disabled and were skipped: " + list_some(cameras.disabled));
  read_points_beside(root, model, source);
  return source;
}

}  // namespace covary::scene
