// RealityCapture (RealityScan): the CSV of Alignment, Registration, "Internal/External camera
// parameters". Its first line names the columns, in any order:
//
//   #name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2
//
//   * x, y, alt: the camera's place; x east, y north, alt up.
//   * heading, pitch, roll in degrees. All 0: the camera looks straight down, the picture's top is
//     north. Then world from camera (axes x right, y up, z back) is Rz(-heading) Rx(pitch) Ry(roll):
//     pitch lifts the view to the horizon at 90; heading turns it clockwise seen from above, so that
//     at pitch 90 heading 0 looks north and heading 90 east; roll turns about the camera's y axis.
//   * f: focal length of 35 mm film: f / 36 of the picture's larger side.
//   * px, py: the principal point from the centre, in units of the larger side.
//   * k1..k4: Brown's radial polynomial; t1, t2: taken as OpenCV's p1, p2. (The program's own default
//     has no tangential part, and other readers differ in the order; a note says when they are used.)
//
// Source: how nerfstudio reads this file; derived angles are tested against hand-made rotations.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include <Eigen/Geometry>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/reality_capture.h"

namespace covary::scene {

namespace fs = std::filesystem;

namespace {

constexpr const char* kHint =
    "export Registration, 'Internal/External camera parameters' again, with all columns";

// Fields of a line, cut at commas or semicolons; blanks and quotes around them are taken off.
std::vector<std::string> fields_of(std::string_view line, char separator) {
  std::vector<std::string> out;
  while (true) {
    const size_t end = line.find(separator);
    const std::string_view f = line.substr(0, end);
    const size_t first = f.find_first_not_of(" \t\r\""), last = f.find_last_not_of(" \t\r\"");
    out.emplace_back(first == std::string_view::npos ? "" : f.substr(first, last - first + 1));
    if (end == std::string_view::npos) return out;
    line.remove_prefix(end + 1);
  }
}

}  // namespace

bool is_reality_capture_header(std::string_view line) {
  if (line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
  return line.starts_with("#name") && line.find("heading") != std::string_view::npos;
}

std::vector<RealityCamera> parse_reality_capture(std::string_view text, const std::string& where) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  int64_t line_number = 0;
  const auto next_line = [&](std::string_view& line) {
    if (text.empty()) return false;
    const size_t end = std::min(text.find('\n'), text.size());
    line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line_number;
    return true;
  };
  std::string_view line;
  if (!next_line(line) || !is_reality_capture_header(line))
    throw Error(ExitCode::kData, "the first line does not name the columns #name, x, y, ...", where,
                kHint);
  const char separator = line.find(';') != std::string_view::npos ? ';' : ',';
  std::map<std::string, size_t> column;
  const std::vector<std::string> names = fields_of(line, separator);
  for (size_t i = 0; i < names.size(); ++i) column.emplace(names[i], i);
  for (const char* needed : {"#name", "x", "y", "alt", "heading", "pitch", "roll", "f"})
    if (!column.contains(needed))
      throw Error(ExitCode::kData, std::string("the column '") + needed + "' is missing",
                  where + ": line 1", kHint);

  std::vector<RealityCamera> cameras;
  while (next_line(line)) {
    const std::vector<std::string> fields = fields_of(line, separator);
    if (fields.size() == 1 && fields[0].empty()) continue;
    const std::string place = where + ": line " + std::to_string(line_number);
    if (fields.size() != names.size())
      throw Error(
          ExitCode::kData,
          "has " + std::to_string(fields.size()) + " fields, not " + std::to_string(names.size()),
          place, kHint);
    const auto number = [&](const char* name) {
      const auto at = column.find(name);
      if (at == column.end()) return 0.0;
      const std::string& f = fields[at->second];
      double v = 0;
      const auto [end, fault] = std::from_chars(f.data(), f.data() + f.size(), v);
      if (fault != std::errc() || end != f.data() + f.size() || !std::isfinite(v))
        throw Error(ExitCode::kData, "'" + f.substr(0, 40) + "' is no finite number",
                    place + ": " + name, kHint);
      return v;
    };
    RealityCamera c;
    c.name = fields[column["#name"]];
    c.where = place + ": " + c.name;
    if (c.name.empty()) throw Error(ExitCode::kData, "the name is missing", place, kHint);
    c.place = {number("x"), number("y"), number("alt")};
    c.heading = number("heading");
    c.pitch = number("pitch");
    c.roll = number("roll");
    c.f = number("f");
    c.px = number("px");
    c.py = number("py");
    c.k = {number("k1"), number("k2"), number("k3"), number("k4")};
    c.t = {number("t1"), number("t2")};
    if (!(c.f > 0)) throw Error(ExitCode::kData, "is not positive", place + ": f", kHint);
    cameras.push_back(std::move(c));
  }
  return cameras;
}

CaptureSource read_reality_capture(const fs::path& root, const fs::path& model,
                                   const CaptureOptions& options) {
  constexpr double kFarthest = 1e5, kFilm = 36, kDegree = M_PI / 180;
  const std::vector<RealityCamera> cameras =
      parse_reality_capture(read_file(model), model.string());
  CaptureSource source;
  source.files.push_back(model);
  Eigen::Vector3d origin = Eigen::Vector3d::Zero();
  if (!cameras.empty() && cameras[0].place.norm() > kFarthest) {
    origin = cameras[0].place.array().round();
    source.notes.push_back("the coordinates are geographic: the origin " +
                           std::to_string(origin.x()) + " " + std::to_string(origin.y()) + " " +
                           std::to_string(origin.z()) + " is taken off");
  }
  const fs::path folder = find_photo_folder(root, options.downscale, source);
  PhotosBelow photos(folder);
  std::vector<std::string> missing;
  size_t tangential = 0;
  for (const RealityCamera& c : cameras) {
    PhotoSource photo;
    photo.name = c.name;
    photo.where = c.where;
    photo.path = photos.find(c.name, c.where);
    if (photo.path.empty()) {
      missing.push_back(c.name);
      continue;
    }
    Eigen::Matrix4d pose = Eigen::Matrix4d::Identity();
    pose.topLeftCorner<3, 3>() =
        (Eigen::AngleAxisd(-c.heading * kDegree, Eigen::Vector3d::UnitZ()) *
         Eigen::AngleAxisd(c.pitch * kDegree, Eigen::Vector3d::UnitX()) *
         Eigen::AngleAxisd(c.roll * kDegree, Eigen::Vector3d::UnitY()))
            .toRotationMatrix();
    pose.topRightCorner<3, 1>() = c.place - origin;
    photo.cam_from_world =
        cam_from_world(pose, PoseDirection::kWorldFromCam, CameraAxes::kOpenGL, photo.where);
    // The file states no size: its numbers are shares of the photo's own.
    const data::ImageInfo info = data::image_info(photo.path);
    const double side = std::max(info.width, info.height), f = c.f / kFilm * side;
    photo.lens = brown_lens(info.width, info.height, f, f, info.width / 2.0 + c.px * side,
                            info.height / 2.0 + c.py * side, c.k, c.t, photo.where);
    tangential += c.t[0] != 0 || c.t[1] != 0;
    source.photos.push_back(std::move(photo));
  }
  note_missing(source, missing, folder, model);
  if (tangential > 0)
    source.notes.push_back(
        std::to_string(tangential) +
        " photos have tangential distortion: t1, t2 are taken as OpenCV's p1, p2");
  Eigen::Matrix4d capture_from_file = Eigen::Matrix4d::Identity();
  capture_from_file.topRightCorner<3, 1>() = -origin;
  read_points_beside(root, model, source, capture_from_file);
  return source;
}

}  // namespace covary::scene
