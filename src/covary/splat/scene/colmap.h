// COLMAP's sparse models, binary and text.
//
//   ColmapModel m = read_colmap("fox/sparse/0", {.tracks = true});
//   const ColmapImage& image = m.images[0];       // image.keypoints[k] sees the point
//   image.point_ids[k], -1 = none
//
// Counts are checked against the file's size before memory is taken. Errors: Error(kData) naming
// file and field. Source: COLMAP's documentation, "Output Format".
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <Eigen/Core>

#include "covary/splat/scene/camera.h"

namespace covary::scene {

struct ColmapImage {
  uint32_t id = 0, camera = 0;
  std::string name;
  Eigen::Matrix4d cam_from_world = Eigen::Matrix4d::Identity();
  std::vector<Eigen::Vector2d> keypoints;  // px, with tracks only
  std::vector<int64_t> point_ids;          // of each keypoint; -1 = no point
};

struct ColmapPoint {
  uint64_t id = 0;
  Eigen::Vector3d position;
  Eigen::Matrix<uint8_t, 3, 1> color;
  double error = 0;  // mean reprojection error, px
};

// An entry of a point's track: an image that sees it.
struct ColmapSighting {
  uint32_t image = 0;  // id, which no image need have
  uint32_t point = 0;  // index into the points, ascending
};

struct ColmapModel {
  std::map<uint32_t, Lens> cameras;
  std::vector<ColmapImage> images;
  std::vector<ColmapPoint> points;           // empty when the file is absent
  std::vector<ColmapSighting> sightings;     // with those only
  std::vector<std::filesystem::path> files;  // that were read
};

struct ColmapReading {
  bool tracks = false;     // keep keypoints
  bool sightings = false;  // keep the images that see each point
};
bool is_colmap_model(const std::filesystem::path& folder);
ColmapModel read_colmap(const std::filesystem::path& folder, ColmapReading reading = {});
uint64_t colmap_image_count(
    const std::filesystem::path& folder);  // registered images, cheap for .bin

// The single files, from memory; `where` stands for the file's name.
std::map<uint32_t, Lens> parse_colmap_cameras_bin(std::string_view bytes, const std::string& where);
std::map<uint32_t, Lens> parse_colmap_cameras_txt(std::string_view text, const std::string& where);
std::vector<ColmapImage> parse_colmap_images_bin(std::string_view bytes, const std::string& where,
                                                 bool tracks);
std::vector<ColmapImage> parse_colmap_images_txt(std::string_view text, const std::string& where,
                                                 bool tracks);
std::vector<ColmapPoint> parse_colmap_points_bin(std::string_view bytes, const std::string& where,
                                                 std::vector<ColmapSighting>* sightings = nullptr);
std::vector<ColmapPoint> parse_colmap_points_txt(std::string_view text, const std::string& where,
                                                 std::vector<ColmapSighting>* sightings = nullptr);

}  // namespace covary::scene
