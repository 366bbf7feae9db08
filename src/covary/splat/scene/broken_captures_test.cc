// Everything that a user can hand us broken, a row each: refused with one line that names file and
// field, and a hint; and what can be lived with is a note.
#include <cmath>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/threads.h"
#include "covary/splat/scene/test_models.h"

namespace covary::scene {
namespace {

using namespace testing_captures;
using testing::Contains;
using testing::HasSubstr;

struct Broken {
  const char* what;
  std::function<void(const fs::path&)> spoil;  // a good COLMAP capture, or an empty folder
  const char* where;
  const char* message;
};

const TestScene& scene() {
  static const TestScene made(4);
  return made;
}

fs::path bin(const fs::path& root, const char* name) { return root / "sparse" / "0" / name; }

void cut(const fs::path& path, size_t bytes) { write_file(path, read_file(path).substr(0, bytes)); }

void absurd(const fs::path& path, size_t at) {
  std::string b = read_file(path);
  const uint64_t n = 1ull << 60;
  std::memcpy(b.data() + at, &n, 8);
  write_file(path, b);
}

// transforms.json in place of the COLMAP model, after an edit.
void with_transforms(const fs::path& root, const std::function<void(nlohmann::json&)>& edit) {
  fs::remove_all(root / "sparse");
  auto document = transforms(scene());
  edit(document);
  write_file(root / "transforms.json", document.dump());
}

// A small capture of another kind in which a piece of its model is replaced.
std::function<void(const fs::path&)> small(const char* kind, const char* from, const char* to) {
  return [=](const fs::path& r) { replace_in(write_small(kind, r), from, to); };
}

// The same with an edit of its JSON.
std::function<void(const fs::path&)> edited(const char* kind,
                                            const std::function<void(nlohmann::json&)>& edit) {
  return [=](const fs::path& r) {
    const fs::path file = write_small(kind, r);
    auto document = nlohmann::json::parse(read_file(file));
    edit(document);
    write_file(file, document.dump());
  };
}

void expect_refused(const Broken& b, bool from_colmap) {
  const TemporaryFolder folder("broken");
  if (from_colmap) write_colmap_capture(scene(), folder.path());
  b.spoil(folder.path());
  set_threads(1);  // the first fault in order
  const Error e = error_of([&] { load(folder.path()); });
  // Photos that are decoded by need are refused in the same words, by their headers or when they are asked for.
  const Error later = error_of([&] {
    CaptureOptions o;
    o.photo_cache = 0;
    const Capture c = load(folder.path(), o);
    for (size_t i = 0; i < c.views.size(); ++i) c.view(static_cast<int64_t>(i));
  });
  set_threads(0);
  EXPECT_STREQ(later.what(), e.what()) << b.what;
  EXPECT_EQ(e.code(), ExitCode::kData) << b.what << ": " << e.what();
  EXPECT_THAT(e.where(), HasSubstr(folder.path().string())) << b.what;
  EXPECT_THAT(e.where(), HasSubstr(b.where)) << b.what << ": " << e.what();
  EXPECT_THAT(e.message(), HasSubstr(b.message)) << b.what;
  EXPECT_FALSE(e.hint().empty()) << b.what << ": " << e.what();
  EXPECT_THAT(e.what(), testing::Not(HasSubstr("\n"))) << b.what;
}

TEST(BrokenCaptures, OfColmapAndTransformsAreRefused) {
  const std::vector<Broken> cases = {
      {"missing folder", [](const fs::path& r) { fs::remove_all(r); }, "", "no such folder"},
      {"empty folder",
       [](const fs::path& r) {
         fs::remove_all(r);
         fs::create_directories(r);
       },
       "", "empty"},
      {"no cameras", [](const fs::path& r) { fs::remove_all(r / "sparse"); }, "", "no cameras"},
      {"no photos",
       [](const fs::path& r) {
         fs::remove_all(r / "images");
         fs::create_directories(r / "images");
       },
       "images", "no photo matches"},
      {"unknown model",
       [](const fs::path& r) { write_file(bin(r, "cameras.bin"), cameras_bin(scene(), 7)); },
       "cameras.bin: camera 7: model", "'FOV'"},
      {"model number",
       [](const fs::path& r) { write_file(bin(r, "cameras.bin"), cameras_bin(scene(), 99)); },
       "cameras.bin: camera 7: model", "number 99"},
      {"wrong size",
       [](const fs::path& r) {
         data::write_image(r / "images" / scene().names[2], plain(64, 48, 3, 1));
       },
       "photo 12.png", "48 x 64"},
      {"truncated cameras", [](const fs::path& r) { cut(bin(r, "cameras.bin"), 60); },
       "cameras.bin", "too early"},
      {"truncated images", [](const fs::path& r) { cut(bin(r, "images.bin"), 400); },
       "images.bin: image photo 12.png", "bytes follow"},
      {"truncated points", [](const fs::path& r) { cut(bin(r, "points3D.bin"), 1000); },
       "points3D.bin", "bytes follow"},
      {"absurd cameras", [](const fs::path& r) { absurd(bin(r, "cameras.bin"), 0); },
       "cameras.bin: header", "1152921504606846976 cameras"},
      {"absurd images", [](const fs::path& r) { absurd(bin(r, "images.bin"), 0); },
       "images.bin: header", "1152921504606846976 images"},
      {"absurd points", [](const fs::path& r) { absurd(bin(r, "points3D.bin"), 0); },
       "points3D.bin: header", "1152921504606846976 points"},
      {"absurd track", [](const fs::path& r) { absurd(bin(r, "points3D.bin"), 8 + 43); },
       "points3D.bin: point 0", "track entries"},
      {"absurd photo size", [](const fs::path& r) { absurd(bin(r, "cameras.bin"), 16); },
       "cameras.bin: camera 7", "size"},
      {"damaged photo", [](const fs::path& r) { cut(r / "images" / scene().names[1], 80); },
       "photo 11.png", "PNG"},
      {"photo is text",
       [](const fs::path& r) { write_file(r / "images" / scene().names[1], "hello"); },
       "photo 11.png", "not a PNG or JPEG"},
      {"unknown camera of an image",
       [](const fs::path& r) {
         std::string b = read_file(bin(r, "cameras.bin"));
         b[8] = 9;
         write_file(bin(r, "cameras.bin"), b);
       },
       "images.bin: image photo 10.png", "camera 7 is not in"},
      {"mask of another shape",
       [](const fs::path& r) {
         fs::create_directories(r / "masks");
         data::write_image(r / "masks" / scene().names[3], plain(30, 60, 1, 255));
       },
       "masks", "60 x 30"},
      {"words in cameras.txt",
       [](const fs::path& r) {
         fs::remove_all(r / "sparse");
         write_colmap_txt(scene(), r / "sparse" / "0");
         write_file(bin(r, "cameras.txt"), "7 PINHOLE wide 48 1 2 3 4\n");
       },
       "cameras.txt: line 1", "'wide' is no number"},
      {"a track of an odd number of words",
       [](const fs::path& r) {
         fs::remove_all(r / "sparse");
         write_colmap_txt(scene(), r / "sparse" / "0");
         write_file(bin(r, "points3D.txt"), "1 0 0 0 9 9 9 0.5 1 0 2\n");
       },
       "points3D.txt: line 1", "keypoint of the track"},
      {"a track of no images",
       [](const fs::path& r) {
         fs::remove_all(r / "sparse");
         write_colmap_txt(scene(), r / "sparse" / "0");
         write_file(bin(r, "points3D.txt"), "1 0 0 0 9 9 9 0.5 -3 0\n");
       },
       "points3D.txt: line 1", "'-3' is no number"},
      {"no JSON",
       [](const fs::path& r) {
         fs::remove_all(r / "sparse");
         write_file(r / "transforms.json", "{\"frames\": [}");
       },
       "transforms.json", "not valid JSON"},
      {"deep JSON",
       [](const fs::path& r) {
         fs::remove_all(r / "sparse");
         write_file(r / "transforms.json", std::string(100000, '['));
       },
       "transforms.json", "nested"},
      {"no frames",
       [](const fs::path& r) { with_transforms(r, [](auto& d) { d.erase("frames"); }); },
       "transforms.json: frames", "missing"},
      {"no matrix",
       [](const fs::path& r) {
         with_transforms(r, [](auto& d) { d["frames"][1].erase("transform_matrix"); });
       },
       "frames[1]: transform_matrix", "missing"},
      {"no rotation",
       [](const fs::path& r) {
         with_transforms(r, [](auto& d) { d["frames"][1]["transform_matrix"][0] = {0, 0, 0, 0}; });
       },
       "frames[1]: transform_matrix", "no rotation"},
      {"no focal length",
       [](const fs::path& r) {
         with_transforms(r, [](auto& d) {
           d.erase("fl_x");
           d.erase("fl_y");
         });
       },
       "frames[0]: fl_x", "neither"},
      {"unknown camera_model",
       [](const fs::path& r) {
         with_transforms(r, [](auto& d) { d["camera_model"] = "EQUIRECTANGULAR"; });
       },
       "camera_model", "EQUIRECTANGULAR"},
      {"no photo of the file",
       [](const fs::path& r) {
         with_transforms(r, [](auto& d) {
           for (auto& f : d["frames"]) f["file_path"] = "x/y";
         });
       },
       "", "no photo of the file"},
      {"one photo, two cameras",
       [](const fs::path& r) {
         with_transforms(
             r, [](auto& d) { d["frames"][2]["file_path"] = d["frames"][1]["file_path"]; });
       },
       "file_path: images/photo 11.png", "two cameras"},
      {"folded lens", [](const fs::path& r) { with_transforms(r, [](auto& d) { d["k1"] = -30; }); },
       "frames[0]: file_path: distortion", "folds"},
  };
  for (const Broken& b : cases) expect_refused(b, true);
}

TEST(BrokenCaptures, OfOtherKindsAreRefused) {
  const std::vector<Broken> cases = {
      {"poses_bounds.npy of another shape",
       [](const fs::path& r) {
         write_doubles(write_small("llff", r), {2, 15}, std::vector<double>(30, 1));
       },
       "poses_bounds.npy", "N x 17"},
      {"poses_bounds.npy cut off", [](const fs::path& r) { cut(write_small("llff", r), 200); },
       "poses_bounds.npy", ""},
      {"a photo too few for poses_bounds.npy",
       [](const fs::path& r) {
         write_small("llff", r);
         fs::remove(r / "images" / "b.png");
       },
       "poses_bounds.npy", "2 poses, but 1 photos"},
      {"poses_bounds.npy with NaN",
       [](const fs::path& r) {
         write_doubles(write_small("llff", r), {2, 17}, std::vector<double>(34, NAN));
       },
       "poses_bounds.npy: poses[0]", "no finite number"},
      {"poses_bounds.npy in left-handed axes",
       [](const fs::path& r) {
         const std::vector<double> pose = {1, 0, 0, 0, 48, 0, 1, 0, 0, 64, 0, 0, 1, 0, 60, 1, 9};
         std::vector<double> two = pose;
         two.insert(two.end(), pose.begin(), pose.end());
         for (const size_t i : {0, 17}) two[i] = -1;
         write_doubles(write_small("llff", r), {2, 17}, two);
       },
       "poses_bounds.npy: poses[0]", "left-handed"},
      {"precomputed.json of 4 columns",
       edited("precomputed", [](auto& d) { d["poses"][1][2].erase(4); }),
       "precomputed.json: poses[1]", "4 numbers, not 5"},
      {"precomputed.json that holds out an absent photo",
       edited("precomputed", [](auto& d) { d["i_test"] = {0, 2}; }), "precomputed.json: i_test",
       "number of a photo"},
      {"_cam.txt of words", small("mvsnet", "60 0 32", "60 wide 32"), "a_cam.txt: line 8",
       "'wide' is no number"},
      {"_cam.txt without its intrinsics", small("mvsnet", "intrinsic", "distortion"),
       "a_cam.txt: line 7", "no 'intrinsic'"},
      {"_cam.txt cut off", [](const fs::path& r) { cut(write_small("mvsnet", r), 30); },
       "a_cam.txt", "is missing"},
      {"_cam.txt with skew", small("mvsnet", "60 0 32", "60 5 32"), "a_cam.txt: intrinsic",
       "fx 0 cx"},
      {"_cam.txt without a photo",
       [](const fs::path& r) {
         write_small("mvsnet", r);
         fs::rename(r / "cams" / "a_cam.txt", r / "cams" / "lost_cam.txt");
       },
       "images", "no photo of the file is there: lost"},
      {"reconstruction.json without a list",
       [](const fs::path& r) { write_file(write_small("opensfm", r), "{}"); },
       "reconstruction.json", "no list of reconstructions"},
      {"OpenSfM's spherical cameras", small("opensfm", "perspective", "spherical"),
       "cameras: c: projection_type", "'spherical' is not read"},
      {"OpenSfM's shot of an unknown camera",
       edited("opensfm", [](auto& d) { d[0]["shots"]["b.png"]["camera"] = "x"; }),
       "shots: b.png: camera", "'x' is not among the cameras"},
      {"OpenSfM's rotation of two numbers",
       edited("opensfm", [](auto& d) { d[0]["shots"]["a.png"]["rotation"] = {1, 2}; }),
       "shots: a.png: rotation", "2 numbers, not 3"},
      {"sfm_data.json without poses", edited("openmvg", [](auto& d) { d.erase("extrinsics"); }),
       "sfm_data.json: extrinsics", "no photo has a pose"},
      {"OpenMVG's spherical cameras", small("openmvg", "pinhole_radial_k1", "spherical"),
       "polymorphic_name", "'spherical' is not read"},
      {"OpenMVG's view of unknown intrinsics",
       edited("openmvg",
              [](auto& d) { d["views"][1]["value"]["ptr_wrapper"]["data"]["id_intrinsic"] = 9; }),
       "views[1]: value: data: id_intrinsic", "not among the intrinsics"},
      {"OpenMVG's missing distortion", small("openmvg", "disto_k1", "disto_k9"),
       "intrinsics[0]: value: data: disto_k1", "is missing"},
      {"XML that does not end", [](const fs::path& r) { cut(write_small("metashape", r), 300); },
       "cameras.xml", "not valid XML at byte"},
      {"XML of another program",
       [](const fs::path& r) {
         write_file(write_small("metashape", r), "<calibrations><photogroup/></calibrations>");
       },
       "cameras.xml: document", "no chunk"},
      {"Metashape's transform of 15 numbers",
       small("metashape", "0 0 0 1</transform>", "0 0 1</transform>"), "camera a: transform",
       "16 numbers"},
      {"Metashape's sensor without calibration",
       [](const fs::path& r) {
         const fs::path file = write_small("metashape", r);
         replace_in(file, "<calibration", "<other");
         replace_in(file, "</calibration>", "</other>");
       },
       "cameras.xml: sensor 0", "has no calibration"},
      {"Metashape's spherical sensor",
       small("metashape", "<calibration type=\"frame\">", "<calibration type=\"spherical\">"),
       "sensor 0: calibration", "'spherical' is not read"},
      {"Metashape's strong skew", small("metashape", "<k1>0</k1>", "<b2>9</b2>"), "calibration: b2",
       "skewed"},
      {"Metashape's camera of an unknown sensor",
       small("metashape", "sensor_id=\"0\" label=\"b\"", "sensor_id=\"5\" label=\"b\""),
       "camera b: transform", "sensor '5'"},
      {"RealityCapture's CSV without focal lengths", small("reality", "roll,f,px", "roll,g,px"),
       "cameras.csv: line 1", "column 'f' is missing"},
      {"RealityCapture's row of words", small("reality", "b.png,1,2", "b.png,one,2"),
       "cameras.csv: line 3: x", "'one' is no finite number"},
      {"RealityCapture's short row", small("reality", "b.png,1,2", "b.png,2"),
       "cameras.csv: line 3", "15 fields, not 16"},
      {"RealityCapture without photos",
       [](const fs::path& r) {
         write_small("reality", r);
         fs::remove_all(r / "images");
       },
       "", "no photo of the file is there: a.png, b.png"},
      {"Polycam's camera without a pose", edited("polycam", [](auto& d) { d.erase("t_12"); }),
       "corrected_cameras/a.json: t_12", "is missing"},
      {"Polycam without cameras", [](const fs::path& r) { fs::remove(write_small("polycam", r)); },
       "corrected_cameras", "holds no cameras"},
      {"Record3D's pose of six numbers",
       edited("record3d", [](auto& d) { d["poses"][1].erase(6); }), "metadata.json: poses[1]",
       "6 numbers, not 7"},
      {"Record3D's zero rotation",
       edited("record3d", [](auto& d) { d["poses"][0] = {0, 0, 0, 0, 1, 2, 3}; }),
       "metadata.json: poses[0]", "no rotation"},
      {"Record3D without intrinsics", edited("record3d", [](auto& d) { d.erase("K"); }),
       "metadata.json: K", "missing"},
      {"cameras.json of an unknown convention", small("arrays", "opencv", "blender"),
       "cameras.json: convention", "'blender' is neither"},
      {"cameras.json without a direction", edited("arrays", [](auto& d) { d.erase("direction"); }),
       "cameras.json: direction", "neither world_to_camera"},
      {"cameras.json with poses of another count",
       [](const fs::path& r) {
         write_small("arrays", r);
         write_doubles(r / "poses.npy", {3, 4, 4}, std::vector<double>(48, 1));
       },
       "poses.npy", "3 x 4 x 4, not 2 x 3 x 4"},
      {"cameras.json with mirrored poses",
       [](const fs::path& r) {
         write_small("arrays", r);
         std::vector<double> v(32);
         for (const size_t i : {0, 5, 10, 15, 16, 21, 26, 31}) v[i] = i == 5 ? -1 : 1;
         write_doubles(r / "poses.npy", {2, 4, 4}, v);
       },
       "poses.npy: [0]", "left-handed"},
      {"cameras.json without intrinsics", edited("arrays", [](auto& d) { d.erase("fx"); }),
       "cameras.json: fx", "neither intrinsics, fov_x nor fx"},
      {"cameras.json with a missing array", small("arrays", "poses.npy", "lost.npy"), "lost.npy",
       ""},
      {"a file that holds no cameras",
       [](const fs::path& r) {
         write_hand_photos(r / "images", {"a.png"});
         write_file(r / "notes.txt", "nothing here");
       },
       "", "no cameras"},
  };
  for (const Broken& b : cases) expect_refused(b, false);
}

TEST(BrokenCaptures, OfDepthAreRefused) {
  const auto with_depth = [](const char* file, const std::function<void(const fs::path&)>& write) {
    return [=](const fs::path& r) {
      with_transforms(r, [&](auto& d) { d["frames"][0]["depth_file_path"] = file; });
      write(r / file);
    };
  };
  const std::vector<Broken> cases = {
      {"depth of 8 bits",
       with_depth("d.png", [](const fs::path& p) { data::write_image(p, plain(48, 64, 1, 9)); }),
       "d.png", "grey with 16 bits"},
      {"depth of another shape",
       with_depth(
           "d.npy",
           [](const fs::path& p) { write_doubles(p, {30, 60}, std::vector<double>(1800, 1)); }),
       "d.npy", "60 x 30"},
      {"depth of three dimensions",
       with_depth("d.npy",
                  [](const fs::path& p) {
                    write_doubles(p, {48, 64, 3}, std::vector<double>(48 * 64 * 3, 1));
                  }),
       "d.npy", "height x width"},
  };
  for (const Broken& b : cases) expect_refused(b, true);
}

TEST(BrokenCaptures, TheFolderBelowThatHasCamerasIsNamed) {
  const TemporaryFolder folder("below");
  write_colmap_capture(scene(), folder.path() / "fox");
  const Error e = error_of([&] { load(folder.path()); });
  EXPECT_THAT(e.message(), HasSubstr("no cameras"));
  EXPECT_THAT(e.hint(), HasSubstr((folder.path() / "fox").string() + " has cameras"));
}

TEST(Kinds, EverySmallModelIsReadByFolderByFileAndByOption) {
  for (const SmallModel& m : small_models()) {
    const TemporaryFolder folder("kinds");
    const fs::path file = write_small(m.kind, folder.path());
    const Capture c = load(folder.path(), raw());
    EXPECT_LT(hand_error(c.views[0].camera), 1e-6) << m.kind;
    if (std::string(m.kind) == "polycam" || std::string(m.kind) == "mvsnet") continue;
    EXPECT_LT(hand_error(load(file, raw()).views[0].camera), 1e-6) << m.kind;
    const fs::path renamed = folder.path() / ("other" + file.extension().string());
    fs::rename(file, renamed);
    CaptureOptions o = raw();
    o.cameras = renamed.filename().string();
    EXPECT_LT(hand_error(load(folder.path(), o).views[0].camera), 1e-6)
        << m.kind << ": told by content, whatever its name";
  }
}

TEST(Kinds, OfSeveralTheFirstIsTakenAndTheOthersAreSaid) {
  const TemporaryFolder folder("several");
  write_small("llff", folder.path());
  write_small("opensfm", folder.path());
  const Capture c = load(folder.path(), raw());
  EXPECT_EQ(c.files[0].first, "poses_bounds.npy");
  EXPECT_THAT(c.notes, Contains(HasSubstr("cameras are LLFF's; reconstruction.json is there too")));
}

}  // namespace
}  // namespace covary::scene
