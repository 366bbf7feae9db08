// The smallest good model of each kind of capture, for tests that break it: the hand-made camera
// twice, for the photos a.png and b.png where that kind keeps them.
#pragma once

#include <string>
#include <vector>

#include "covary/core/geometry/rigid.h"
#include "covary/splat/scene/test_captures.h"

namespace covary::scene::testing_captures {

struct SmallModel {
  const char* kind;
  const char* file;  // relative to the capture's folder
  std::string text;
};

inline std::string numbers_text(const Eigen::MatrixXd& m) {
  std::ostringstream out;
  out.precision(17);
  for (int r = 0; r < m.rows(); ++r)
    for (int c = 0; c < m.cols(); ++c) out << (r + c ? " " : "") << m(r, c);
  return out.str();
}

inline std::string small_llff() {
  const HandCamera hand;
  std::vector<double> v;
  for (int i = 0; i < 2; ++i) {
    for (int r = 0; r < 3; ++r) {
      const double last[3] = {48, 64, 60};
      v.insert(v.end(), {hand.down[r], hand.right[r], -hand.forward[r], hand.centre[r], last[r]});
    }
    v.insert(v.end(), {1, 9});
  }
  const TemporaryFolder folder("llff");
  write_doubles(folder.path() / "a.npy", {2, 17}, v);
  return read_file(folder.path() / "a.npy");
}

inline std::vector<SmallModel> small_models() {
  using nlohmann::json;
  const HandCamera hand;
  const Eigen::Matrix4d w2c = hand.opencv().inverse();
  const Eigen::Matrix3d turn = w2c.topLeftCorner<3, 3>();
  const Eigen::Vector3d rotation = geometry::so3_log(turn);
  const Eigen::Quaterniond q(Eigen::Matrix3d(hand.opengl().topLeftCorner<3, 3>()));

  std::ostringstream cam;
  cam.precision(17);
  cam << "extrinsic\n" << w2c << "\n\nintrinsic\n60 0 32\n0 60 24\n0 0 1\n\n425 2.5\n";

  const json shot = {{"rotation", {rotation[0], rotation[1], rotation[2]}},
                     {"translation", {w2c(0, 3), w2c(1, 3), w2c(2, 3)}},
                     {"camera", "c"}};
  const json opensfm = json::array(
      {{{"cameras",
         {{"c",
           {{"projection_type", "perspective"},
            {"width", 64},
            {"height", 48},
            {"focal", 0.9375},
            {"k1", 0.0},
            {"k2", 0.0}}}}},
        {"shots", {{"a.png", shot}, {"b.png", shot}}},
        {"points", {{"7", {{"coordinates", {1.0, 2.0, 3.0}}, {"color", {1, 2, 3}}}}}}}});

  json openmvg = {{"sfm_data_version", "0.3"}, {"root_path", ""}};
  openmvg["intrinsics"] = json::array({{{"key", 0},
                                        {"value",
                                         {{"polymorphic_id", 2147483649},
                                          {"polymorphic_name", "pinhole_radial_k1"},
                                          {"ptr_wrapper",
                                           {{"id", 2147483650},
                                            {"data",
                                             {{"width", 64},
                                              {"height", 48},
                                              {"focal_length", 60.0},
                                              {"principal_point", {32.0, 24.0}},
                                              {"disto_k1", {0.0}}}}}}}}}});
  for (const int i : {0, 1}) {
    openmvg["views"].push_back({{"key", i},
                                {"value",
                                 {{"polymorphic_id", 1073741824},
                                  {"ptr_wrapper",
                                   {{"id", 2147483651 + i},
                                    {"data",
                                     {{"local_path", ""},
                                      {"filename", i ? "b.png" : "a.png"},
                                      {"width", 64},
                                      {"height", 48},
                                      {"id_view", i},
                                      {"id_intrinsic", 0},
                                      {"id_pose", i}}}}}}}});
    openmvg["extrinsics"].push_back(
        {{"key", i},
         {"value",
          {{"rotation", json_rows(w2c, 3, 3)},
           {"center", {hand.centre[0], hand.centre[1], hand.centre[2]}}}}});
  }
  openmvg["structure"] = json::array(
      {{{"key", 0},
        {"value",
         {{"X", {1.0, 2.0, 3.0}},
          {"observations",
           json::array({{{"key", 1}, {"value", {{"id_feat", 0}, {"x", {3.0, 4.0}}}}}})}}}}});

  std::string metashape =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<document version=\"2.0.0\"><chunk "
      "label=\"Chunk 1\"><sensors><sensor id=\"0\" type=\"frame\"><calibration type=\"frame\">"
      "<resolution width=\"64\" height=\"48\"/><f>60</f><cx>0</cx><k1>0</k1></calibration>"
      "</sensor></sensors><cameras>";
  for (const char* label : {"a", "b"})
    metashape += std::string("<camera id=\"0\" sensor_id=\"0\" label=\"") + label +
                 "\"><transform>" + numbers_text(hand.opencv()) + "</transform></camera>";
  metashape += "</cameras></chunk></document>";

  const std::string row = ".png,1,2,3,90,90,0,33.75,0,0,0,0,0,0,0,0\n";
  const std::string reality =
      "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2\na" + row + "b" + row;

  json polycam = {{"fx", 60}, {"fy", 60}, {"cx", 32}, {"cy", 24}, {"width", 64}, {"height", 48}};
  for (int r = 0; r < 3; ++r)
    for (int c = 0; c < 4; ++c)
      polycam["t_" + std::to_string(r) + std::to_string(c)] = hand.opengl()(r, c);

  const json pose = {q.x(), q.y(), q.z(), q.w(), hand.centre[0], hand.centre[1], hand.centre[2]};
  const json record3d = {
      {"w", 64}, {"h", 48}, {"K", {60, 0, 0, 0, 60, 0, 32, 24, 1}}, {"poses", {pose, pose}}};

  json precomputed = {{"bds", {{1, 9}, {1, 9}}}, {"i_test", 1}};
  for (int i = 0; i < 2; ++i) {
    const double last[3] = {48, 64, 60};
    json m = json::array();
    for (int r = 0; r < 3; ++r)
      m.push_back({hand.right[r], -hand.down[r], -hand.forward[r], hand.centre[r], last[r]});
    precomputed["poses"].push_back(m);
  }

  const json arrays = {{"schema", "covary-camera-arrays/1"},
                       {"convention", "opencv"},
                       {"direction", "world_to_camera"},
                       {"poses", "poses.npy"},
                       {"fx", 60},
                       {"cx", 32},
                       {"cy", 24}};

  return {{"llff", "poses_bounds.npy", small_llff()},
          {"precomputed", "precomputed.json", precomputed.dump()},
          {"mvsnet", "cams/a_cam.txt", cam.str()},
          {"opensfm", "reconstruction.json", opensfm.dump()},
          {"openmvg", "sfm_data.json", openmvg.dump()},
          {"metashape", "cameras.xml", metashape},
          {"reality", "cameras.csv", reality},
          {"polycam", "keyframes/corrected_cameras/a.json", polycam.dump()},
          {"record3d", "metadata.json", record3d.dump()},
          {"arrays", "cameras.json", arrays.dump()}};
}

// Writes the capture of the kind with all that it needs; returns the path of its model.
inline fs::path write_small(const std::string& kind, const fs::path& root) {
  for (const SmallModel& m : small_models()) {
    if (kind != m.kind) continue;
    const fs::path file = root / m.file;
    fs::create_directories(file.parent_path());
    write_file(file, m.text);
    if (kind == "polycam") {
      write_hand_photos(root / "keyframes/corrected_images", {"a.png", "b.png"});
    } else if (kind == "record3d") {
      write_hand_photos(root / "rgb", {"0.png", "1.png"});
    } else {
      write_hand_photos(root / "images", {"a.png", "b.png"});
    }
    if (kind == "arrays") {
      std::vector<double> v;
      for (int i = 0; i < 2; ++i)
        for (int k = 0; k < 16; ++k)
          v.push_back(HandCamera().opencv().inverse().eval()(k / 4, k % 4));
      write_doubles(root / "poses.npy", {2, 4, 4}, v);
    }
    return file;
  }
  throw Error(ExitCode::kFailed, "no kind of capture is called " + kind);
}

// Replaces a piece of a text that must be there.
inline void replace_in(const fs::path& file, const std::string& from, const std::string& to) {
  std::string text = read_file(file);
  const size_t at = text.find(from);
  if (at == std::string::npos)
    throw Error(ExitCode::kFailed, "'" + from + "' is not there", file.string());
  write_file(file, text.replace(at, from.size(), to));
}

}  // namespace covary::scene::testing_captures
