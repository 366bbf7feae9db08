#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <Eigen/Geometry>

#include "covary/splat/scene/test_captures.h"

namespace covary::scene {
namespace {

using namespace testing_captures;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

std::string text_of(const Eigen::MatrixXd& m) {
  std::ostringstream out;
  out.precision(17);
  for (int r = 0; r < m.rows(); ++r)
    for (int c = 0; c < m.cols(); ++c) out << (r + c ? " " : "") << m(r, c);
  return out.str();
}

const std::string kPinhole =
    "<calibration type=\"frame\" class=\"adjusted\"><resolution width=\"64\" height=\"48\"/>"
    "<f>60</f></calibration>";

std::string camera(int id, const std::string& label, const Eigen::Matrix4d& world_from_cam,
                   const std::string& more = "component_id=\"0\"") {
  return "<camera id=\"" + std::to_string(id) + "\" sensor_id=\"0\" " + more + " label=\"" + label +
         "\"><transform>" + text_of(world_from_cam) + "</transform></camera>";
}

std::string document(const std::string& calibration, const std::string& cameras,
                     const std::string& more = "") {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<document version=\"2.0.0\"><chunk "
         "label=\"Chunk 1\" enabled=\"true\"><sensors next_id=\"1\"><sensor id=\"0\" "
         "label=\"unknown\" type=\"frame\"><resolution width=\"64\" height=\"48\"/>" +
         calibration + "</sensor></sensors>" + more + "<cameras next_id=\"9\">" + cameras +
         "</cameras></chunk></document>";
}

std::string transform(const Eigen::Matrix3d& r, const Eigen::Vector3d& t, double scale) {
  return "<transform><rotation locked=\"false\">" + text_of(r) + "</rotation><translation>" +
         text_of(t.transpose()) + "</translation><scale>" + std::to_string(scale) +
         "</scale></transform>";
}

std::string cameras_of(const TestScene& scene,
                       const Eigen::Matrix4d& chunk_from_world = Eigen::Matrix4d::Identity()) {
  std::string out;
  for (size_t i = 0; i < scene.names.size(); ++i) {
    // Metashape leaves the extension out of labels.
    Eigen::Matrix4d pose = chunk_from_world * scene.cam_from_world[i].inverse();
    pose.topLeftCorner<3, 3>() /= std::cbrt(pose.topLeftCorner<3, 3>().determinant());
    out += camera(static_cast<int>(i), fs::path(scene.names[i]).stem().string(), pose);
  }
  return out;
}

TEST(Metashape, TransformIsWorldFromCameraInOpencvAxes) {
  const TemporaryFolder folder("metashape");
  const HandCamera hand;
  write_hand_photos(folder.path(), {"images/DSC.001.png"});
  write_file(folder.path() / "cameras.xml",
             document(kPinhole, camera(0, "DSC.001", hand.opencv())));
  EXPECT_LT(hand_error(load(folder.path(), raw()).views[0].camera), 1e-6);
}

TEST(Metashape, TheChunksTransformBringsCamerasToThePoints) {
  const TestScene scene = pinhole_scene();
  const Eigen::Matrix3d r =
      Eigen::AngleAxisd(0.8, Eigen::Vector3d(1, -2, 3).normalized()).toRotationMatrix();
  const Eigen::Vector3d t(3, 4, -5);
  Eigen::Matrix4d world_from_chunk = Eigen::Matrix4d::Identity();
  world_from_chunk.topLeftCorner<3, 3>() = 2.5 * r;
  world_from_chunk.topRightCorner<3, 1>() = t;
  const std::string cameras = cameras_of(scene, world_from_chunk.inverse());
  const std::string of_chunk = transform(r, t, 2.5);
  for (const std::string& more :
       {of_chunk, "<components><component id=\"0\">" + of_chunk + "</component></components>"}) {
    const TemporaryFolder folder("metashape");
    write_photos(scene, folder.path() / "images");
    write_file(folder.path() / "export.xml", document(kPinhole, cameras, more));
    write_file(folder.path() / "export.ply",
               "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
               "property float z\nend_header\n1 -2 0.5\n");
    const Capture c = load(folder.path(), raw());
    EXPECT_LT(scene_error(c, scene), 1e-6);
    ASSERT_EQ(c.points.positions.size(), 1u);
    EXPECT_THAT(c.notes, Contains(HasSubstr("points are taken from export.ply")));
  }
}

TEST(Metashape, PointsOfAnotherFrameAreLeftOut) {
  const TemporaryFolder folder("metashape");
  const TestScene scene = pinhole_scene();
  write_photos(scene, folder.path() / "images");
  write_file(folder.path() / "cameras.xml", document(kPinhole, cameras_of(scene)));
  write_file(folder.path() / "points.ply",
             "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
             "property float z\nend_header\n512345 5412345 200\n");
  const Capture c = load(folder.path(), raw());
  EXPECT_TRUE(c.points.positions.empty());
  EXPECT_THAT(c.notes, Contains(HasSubstr("another frame than the cameras")));
}

TEST(Metashape, GeographicOriginsAreLeftOutAndSaid) {
  const TemporaryFolder folder("metashape");
  const TestScene scene = pinhole_scene();
  write_photos(scene, folder.path() / "images");
  write_file(folder.path() / "cameras.xml",
             document(kPinhole, cameras_of(scene),
                      transform(Eigen::Matrix3d::Identity(), {4e6, 5e5, 4.8e6}, 1)));
  const Capture c = load(folder.path(), raw());
  EXPECT_LT(scene_error(c, scene), 1e-6);
  EXPECT_THAT(c.notes, Contains(HasSubstr("geographic: the origin 4000000")));
}

TEST(Metashape, CalibrationIsBrownWithSwappedTangentialTerms) {
  const TemporaryFolder folder("metashape");
  const HandCamera hand;
  write_hand_photos(folder.path(), {"images/a.png"});
  const std::string one = camera(0, "a", hand.opencv());
  const auto camera_with = [&](const std::string& calibration) {
    write_file(folder.path() / "cameras.xml", document(calibration, one));
    return load(folder.path(), raw()).views[0].camera;
  };
  const std::string size = "<resolution width=\"64\" height=\"48\"/>";
  const Camera brown = camera_with(
      "<calibration type=\"frame\" class=\"initial\">" + size +
      "<f>99</f></calibration><calibration type=\"frame\" class=\"adjusted\">" + size +
      "<f>60</f><cx>1.5</cx><cy>-0.5</cy><b1>2</b1><b2>0.1</b2><k1>-0.1</k1><k2>0.02</k2>"
      "<k3>0.003</k3><k4>-0.001</k4><p1>0.001</p1><p2>-0.002</p2></calibration>");
  const Camera want =
      Lens{
          LensModel::kBrown, 64, 48, {62, 60, 33.5, 23.5, -0.1, 0.02, 0.003, -0.001, -0.002, 0.001}}
          .optimal_pinhole();
  EXPECT_NEAR(brown.fx, want.fx, 1e-9);
  EXPECT_NEAR(brown.cx, want.cx, 1e-9);
  EXPECT_NEAR(brown.cy, want.cy, 1e-9);
  const Camera fisheye = camera_with("<calibration type=\"fisheye\">" + size +
                                     "<f>40</f><k1>-0.01</k1></calibration>");
  EXPECT_NEAR(fisheye.fx,
              (Lens{LensModel::kOpenCVFisheye, 64, 48, {40, 40, 32, 24, -0.01, 0, 0, 0}})
                  .optimal_pinhole()
                  .fx,
              1e-9);
  const Camera old = camera_with("<calibration type=\"frame\">" + size +
                                 "<fx>50</fx><fy>51</fy><cx>31</cx><cy>25</cy></calibration>");
  EXPECT_EQ(old.fx, 50);
  EXPECT_EQ(old.fy, 51);
  EXPECT_EQ(old.cx, 31);
  EXPECT_EQ(old.cy, 25);
}

TEST(Metashape, CamerasThatAreNotAlignedAreNamed) {
  const TemporaryFolder folder("metashape");
  const TestScene scene = pinhole_scene(3);
  write_photos(scene, folder.path() / "images");
  const std::string lost =
      "<group id=\"0\" label=\"g\"><camera id=\"8\" sensor_id=\"0\" label=\"IMG_LOST\"/></group>";
  const std::string off =
      camera(9, "IMG_OFF", HandCamera().opencv(), "component_id=\"0\" enabled=\"false\"");
  write_file(folder.path() / "cameras.xml", document(kPinhole, lost + cameras_of(scene) + off));
  const Capture c = load(folder.path(), raw());
  EXPECT_LT(scene_error(c, scene), 1e-6);
  EXPECT_THAT(c.notes, Contains(HasSubstr("not aligned and were skipped: IMG_LOST")));
  EXPECT_THAT(c.notes, Contains(HasSubstr("disabled and were skipped: IMG_OFF")));
  write_file(folder.path() / "cameras.xml", document(kPinhole, lost));
  EXPECT_THAT(error_of([&] { load(folder.path()); }).message(),
              HasSubstr("none is aligned: IMG_LOST"));
}

TEST(Metashape, PhotosAreFoundInFoldersBelow) {
  const TemporaryFolder folder("metashape");
  const std::string two =
      camera(0, "DJI_1", HandCamera().opencv()) + camera(1, "DJI_2.png", HandCamera().opencv());
  write_file(folder.path() / "cameras.xml", document(kPinhole, two));
  write_hand_photos(folder.path(), {"flight 1/DJI_1.png", "flight 2/low/DJI_2.png"});
  write_hand_photos(folder.path(), {"masks/DJI_1.png"});
  const Capture c = load(folder.path(), raw());
  ASSERT_EQ(c.views.size(), 2u);
  EXPECT_EQ(c.views[1].path, (folder.path() / "flight 2" / "low" / "DJI_2.png").string());
  write_hand_photos(folder.path(), {"flight 2/DJI_1.png"});
  const Error e = error_of([&] { load(folder.path()); });
  EXPECT_THAT(e.message(), HasSubstr("two photos are called so"));
  EXPECT_THAT(e.where(), HasSubstr("camera DJI_1"));
}

TEST(Metashape, OfSeveralComponentsTheLargestIsTakenAndSaid) {
  const TemporaryFolder folder("metashape");
  const TestScene scene = pinhole_scene(4);
  write_photos(scene, folder.path() / "images");
  write_hand_photos(folder.path(), {"images/other.png"});
  write_file(folder.path() / "cameras.xml",
             document(kPinhole, camera(9, "other", HandCamera().opencv(), "component_id=\"7\"") +
                                    cameras_of(scene)));
  const Capture c = load(folder.path(), raw());
  EXPECT_LT(scene_error(c, scene), 1e-6);
  EXPECT_THAT(c.notes, Contains(HasSubstr("took component 0")));
}

}  // namespace
}  // namespace covary::scene
