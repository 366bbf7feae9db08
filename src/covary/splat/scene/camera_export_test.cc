#include "covary/splat/scene/camera_export.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/test_captures.h"
#include "covary/splat/scene/test_models.h"

namespace covary::scene {
namespace {

using namespace testing_captures;
using testing::HasSubstr;

std::map<std::string, PhotoSource> by_stem(const CaptureSource& source) {
  std::map<std::string, PhotoSource> out;
  for (const PhotoSource& p : source.photos) out[fs::path(p.name).stem().string()] = p;
  return out;
}

// Poses, what the lens does with a few rays, and points.
void expect_same(const CaptureSource& a, const CaptureSource& b) {
  const auto first = by_stem(a), second = by_stem(b);
  ASSERT_EQ(first.size(), second.size());
  for (const auto& [name, p] : first) {
    ASSERT_TRUE(second.count(name)) << name;
    const PhotoSource& q = second.at(name);
    EXPECT_LT((p.cam_from_world - q.cam_from_world).norm(), 1e-6) << name;
    EXPECT_TRUE(fs::exists(q.path)) << q.path;
    if (p.lens.width == 0) continue;
    EXPECT_EQ(p.lens.width, q.lens.width);
    for (const Eigen::Vector2d& v : {Eigen::Vector2d(0.1, 0.2), Eigen::Vector2d(-0.3, 0.05)})
      EXPECT_LT((p.lens.distort(v) - q.lens.distort(v)).norm(), 1e-6) << name;
  }
  ASSERT_EQ(a.points.positions.size(), b.points.positions.size());
  for (size_t i = 0; i < a.points.positions.size(); ++i) {
    EXPECT_LT((a.points.positions[i] - b.points.positions[i]).norm(), 1e-5);
    EXPECT_EQ(a.points.colors[i], b.points.colors[i]);
  }
}

TEST(CameraExport, EveryKindGoesThroughColmapAndTransformsAndBack) {
  for (const SmallModel& m : small_models()) {
    SCOPED_TRACE(m.kind);
    const TemporaryFolder folder("export");
    const fs::path scan = folder.path() / "scan";
    fs::create_directories(scan);
    write_small(m.kind, scan);
    const CaptureSource source = read_source(scan, raw());
    for (const CameraFiles kind :
         {CameraFiles::kColmapBinary, CameraFiles::kColmapText, CameraFiles::kTransforms}) {
      const bool json = kind == CameraFiles::kTransforms;
      const fs::path out = folder.path() / ("out" + std::to_string(static_cast<int>(kind)));
      ExportedCameras e;
      try {
        e = export_cameras(scan.string(), json ? out / "transforms.json" : out, kind);
      } catch (const Error& error) {
        // A lens that the other program has no words for.
        EXPECT_THAT(error.message(), HasSubstr("lens")) << error.what();
        continue;
      }
      EXPECT_EQ(e.photos, static_cast<int64_t>(source.photos.size()));
      expect_same(source, read_source(out, raw()));
    }
  }
}

TEST(CameraExport, ALensWithAnEighthPowerIsRefusedByColmapAlone) {
  const TemporaryFolder folder("export");
  const fs::path scan = folder.path() / "scan";
  fs::create_directories(scan);
  data::write_image(scan / "a.png", data::Image8(48, 64, 3));
  data::write_image(scan / "b.png", data::Image8(48, 64, 3));
  write_file(
      scan / "transforms.json",
      R"({"fl_x":60,"w":64,"h":48,"k1":-0.1,"k2":0.01,"k3":0.001,"k4":0.002,"frames":[)"
      R"({"file_path":"a.png","transform_matrix":[[1,0,0,1],[0,1,0,2],[0,0,1,3],[0,0,0,1]]},)"
      R"({"file_path":"b.png","transform_matrix":[[1,0,0,2],[0,1,0,2],[0,0,1,3],[0,0,0,1]]}]})");
  try {
    export_cameras(scan.string(), folder.path() / "colmap", CameraFiles::kColmapBinary);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kData);
    EXPECT_THAT(e.message(), HasSubstr("r^8"));
  }
  export_cameras(scan.string(), scan / "again.json", CameraFiles::kTransforms);
  expect_same(read_source(scan / "transforms.json", raw()),
              read_source(scan / "again.json", raw()));
}

TEST(CameraExport, PhotosStayBelowTheirFolder) {
  const TemporaryFolder folder("export");
  const fs::path scan = folder.path() / "deep" / "scan";
  fs::create_directories(scan);
  data::write_image(folder.path() / "a.png", data::Image8(48, 64, 3));
  write_file(
      scan / "transforms.json",
      R"({"fl_x":60,"w":64,"h":48,"frames":[)"
      R"({"file_path":"../../a.png","transform_matrix":[[1,0,0,1],[0,1,0,2],[0,0,1,3],[0,0,0,1]]}]})");
  const fs::path out = folder.path() / "out" / "colmap";
  export_cameras(scan.string(), out, CameraFiles::kColmapBinary);
  EXPECT_TRUE(fs::exists(out / "images" / "a.png"));
  EXPECT_FALSE(fs::exists(folder.path() / "out" / "a.png"));
}

}  // namespace
}  // namespace covary::scene
