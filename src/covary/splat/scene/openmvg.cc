// OpenMVG's sfm_data.json: views (photos with their size), intrinsics and extrinsics by key, and the
// structure. A pose is a rotation (camera from world, OpenCV axes) and the camera's centre. Cereal,
// which writes the file, names a class at its first object and gives only its number after that; and
// it may nest an object of a base class under "value0".
//
//   pinhole            focal_length, principal_point
//   pinhole_radial_k1  disto_k1 [k1]
//   pinhole_radial_k3  disto_k3 [k1, k2, k3]
//   pinhole_brown_t2   disto_t2 [k1, k2, k3, t1, t2], t1 and t2 being OpenCV's p1 and p2
//   fisheye            fisheye [k1, k2, k3, k4], OpenCV's
//
// Photos are looked for under images/ and the folder itself, then under root_path. Points have no
// colour. Source: OpenMVG's documentation, "SfM_Data format", and its camera models.
#include <algorithm>
#include <map>

#include "covary/core/base/error.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/json_fields.h"

namespace covary::scene {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

int64_t key_of(const JsonFields& fields, const std::string& key) {
  const json* v = fields.find(key);
  if (!v || !v->is_number_integer()) fields.fail(key, "is missing or no whole number");
  return v->get<int64_t>();
}

// The object itself, or that of its base class, which holds the field.
JsonFields holder(const JsonFields& fields, const json& object, const std::string& where,
                  const std::string& key) {
  const json* at = &object;
  for (int depth = 0; depth < 8 && at->is_object(); ++depth) {
    if (at->contains(key)) return JsonFields(*at, where);
    if (!at->contains("value0")) break;
    at = &(*at)["value0"];
  }
  fields.fail(key, "is missing");
}

const json& pointed_to(const JsonFields& value) {
  const JsonFields wrapper(value.object("ptr_wrapper"), value.where("ptr_wrapper"));
  return wrapper.object("data");
}

// Names of classes by their number, as they are met.
class ClassNames {
 public:
  std::string of(const JsonFields& value) {
    const int64_t id = key_of(value, "polymorphic_id");
    constexpr int64_t kNew = int64_t{1} << 31;
    const std::string name = value.text("polymorphic_name", "");
    if (!name.empty()) names_[id & (kNew - 1)] = name;
    const auto found = names_.find(id & (kNew - 1));
    if (found == names_.end()) value.fail("polymorphic_name", "is missing");
    return found->second;
  }

 private:
  std::map<int64_t, std::string> names_;
};

Lens read_lens(const JsonFields& value, const std::string& type) {
  const json& data = pointed_to(value);
  const std::string where = value.where("data");
  const JsonFields fields(data, where);
  const auto size = [&](const char* key) { return holder(fields, data, where, key).size(key); };
  const int w = size("width"), h = size("height");
  const char* known[] = {"pinhole", "pinhole_radial_k1", "pinhole_radial_k3", "pinhole_brown_t2",
                         "fisheye"};
  if (std::find(std::begin(known), std::end(known), type) == std::end(known))
    throw Error(ExitCode::kData, "the camera '" + type + "' is not read",
                value.where("polymorphic_name"),
                "undistort the photos first, or use pinhole, pinhole_radial_k1, "
                "pinhole_radial_k3, pinhole_brown_t2 or fisheye");
  const double f = holder(fields, data, where, "focal_length").number("focal_length");
  const std::vector<double> c =
      holder(fields, data, where, "principal_point").numbers("principal_point", 2);
  const auto distortion = [&](const char* key, size_t count) {
    return holder(fields, data, where, key).numbers(key, count);
  };
  std::array<double, 4> k{};
  std::array<double, 2> p{};
  if (type == "pinhole_radial_k1") {
    k[0] = distortion("disto_k1", 1)[0];
  } else if (type == "pinhole_radial_k3") {
    const auto d = distortion("disto_k3", 3);
    k = {d[0], d[1], d[2], 0};
  } else if (type == "pinhole_brown_t2") {
    const auto d = distortion("disto_t2", 5);
    k = {d[0], d[1], d[2], 0};
    p = {d[3], d[4]};
  } else if (type == "fisheye") {
    const auto d = distortion("fisheye", 4);
    Lens lens{LensModel::kOpenCVFisheye, w, h, {f, f, c[0], c[1], d[0], d[1], d[2], d[3]}};
    lens.check(where);
    return lens;
  }
  return brown_lens(w, h, f, f, c[0], c[1], k, p, where);
}

Eigen::Matrix4d read_pose(const JsonFields& value) {
  const json& rows = value.list("rotation");
  if (rows.size() != 3) value.fail("rotation", "is no 3 x 3 matrix");
  Eigen::Matrix4d pose = Eigen::Matrix4d::Identity();
  for (int r = 0; r < 3; ++r) {
    const std::vector<double> row = value.numbers(rows[static_cast<size_t>(r)], "rotation", 3);
    pose.block<1, 3>(r, 0) = Eigen::Map<const Eigen::RowVector3d>(row.data());
  }
  const std::vector<double> centre = value.numbers("center", 3);
  pose.topRightCorner<3, 1>() =
      -pose.topLeftCorner<3, 3>() * Eigen::Vector3d(centre[0], centre[1], centre[2]);
  return pose;
}

// A photo by its name alone in images/ or the folder, else where the file says.
fs::path photo_of(const fs::path& folder, const fs::path& root_path, const std::string& local,
                  const std::string& name) {
  for (const fs::path& base : {folder, root_path}) {
    if (base.empty()) continue;
    if (fs::path p = find_photo(base / local, name); !p.empty()) return p;
    if (fs::path p = find_photo(base, name); !p.empty()) return p;
  }
  return {};
}

}  // namespace

CaptureSource read_openmvg_capture(const fs::path& root, const fs::path& model,
                                   const CaptureOptions& options) {
  const json document = parse_json_file(model);
  const JsonFields file(document, model.string());
  CaptureSource source;
  source.files.push_back(model);

  std::map<int64_t, Lens> lenses;
  ClassNames names;
  const json& intrinsics = file.list("intrinsics");
  for (size_t i = 0; i < intrinsics.size(); ++i) {
    const JsonFields entry(intrinsics[i], file.where("intrinsics[" + std::to_string(i) + "]"));
    const JsonFields value(entry.object("value"), entry.where("value"));
    const std::string type = names.of(value);
    lenses[key_of(entry, "key")] = read_lens(value, type);
  }
  std::map<int64_t, Eigen::Matrix4d> poses;
  const json* extrinsics_found = file.find("extrinsics");
  if (!extrinsics_found || !extrinsics_found->is_array() || extrinsics_found->empty())
    throw Error(ExitCode::kData, "no photo has a pose", file.where("extrinsics"),
                "give the file that the reconstruction wrote, not the one from listing the photos");
  const json& extrinsics = *extrinsics_found;
  for (size_t i = 0; i < extrinsics.size(); ++i) {
    const JsonFields entry(extrinsics[i], file.where("extrinsics[" + std::to_string(i) + "]"));
    const JsonFields value(entry.object("value"), entry.where("value"));
    poses[key_of(entry, "key")] = cam_from_world(read_pose(value), PoseDirection::kCamFromWorld,
                                                 CameraAxes::kOpenCV, value.where("rotation"));
  }

  const fs::path folder = find_photo_folder(root, options.downscale, source);
  const fs::path root_path = file.text("root_path", "");
  std::vector<std::string> missing, unposed;
  std::map<int64_t, size_t> photo_by_key;  // by the view's key
  const json& views = file.list("views");
  for (size_t i = 0; i < views.size(); ++i) {
    const JsonFields entry(views[i], file.where("views[" + std::to_string(i) + "]"));
    const JsonFields value(entry.object("value"), entry.where("value"));
    const JsonFields view(pointed_to(value), value.where("data"));
    PhotoSource photo;
    const std::string name = view.text("filename", "");
    if (name.empty()) view.fail("filename", "is missing");
    const std::string local = view.text("local_path", "");
    photo.name = local.empty() ? name : (fs::path(local) / name).string();
    photo.where = view.where("filename");
    const auto pose = poses.find(key_of(view, "id_pose"));
    const auto lens = lenses.find(key_of(view, "id_intrinsic"));
    if (pose == poses.end()) {
      unposed.push_back(photo.name);
      continue;
    }
    if (lens == lenses.end()) view.fail("id_intrinsic", "is not among the intrinsics");
    photo.cam_from_world = pose->second;
    photo.lens = lens->second;
    photo.path = photo_of(folder, root_path, local, name);
    if (photo.path.empty()) {
      missing.push_back(photo.name);
      continue;
    }
    photo_by_key[key_of(entry, "key")] = source.photos.size();
    source.photos.push_back(std::move(photo));
  }
  if (!unposed.empty())
    source.notes.push_back(std::to_string(unposed.size()) +
                           " photos have no pose and were skipped: " + list_some(unposed));
  note_missing(source, missing, folder, model);

  if (const json* structure = file.find("structure"); structure && structure->is_array())
    for (size_t i = 0; i < structure->size(); ++i) {
      const JsonFields entry((*structure)[i], file.where("structure[" + std::to_string(i) + "]"));
      const JsonFields value(entry.object("value"), entry.where("value"));
      const std::vector<double> p = value.numbers("X", 3);
      source.points.positions.emplace_back(Eigen::Vector3d(p[0], p[1], p[2]).cast<float>());
      source.points.colors.push_back(Eigen::Matrix<uint8_t, 3, 1>::Constant(128));
      const json* seen = value.find("observations");
      if (!seen || !seen->is_array()) continue;
      for (const json& s : *seen) {
        const auto photo =
            photo_by_key.find(key_of(JsonFields(s, value.where("observations")), "key"));
        if (photo == photo_by_key.end()) continue;  // of a photo that was skipped, which is said
        std::vector<uint32_t>& points = source.photos[photo->second].seen_points;
        const auto point = static_cast<uint32_t>(i);
        if (points.empty() || points.back() != point) points.push_back(point);
      }
    }
  return source;
}

}  // namespace covary::scene
