#include "covary/splat/scene/format.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <numbers>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <Eigen/Geometry>

#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/sh/sh.h"
#include "covary/core/data/streams.h"
#include "covary/core/data/webp.h"
#include "covary/core/data/zip.h"
#include "covary/splat/scene/axes.h"
#include "covary/splat/scene/byte_reader.h"
#include "covary/splat/scene/codebook.h"
#include "covary/splat/scene/similarity.h"
#include "covary/splat/scene/test_clouds.h"

namespace covary::scene {
namespace {

using namespace testing_clouds;
using testing::HasSubstr;
namespace fs = std::filesystem;

class Format : public testing::Test {
 protected:
  Cloud through(const Cloud& cloud, const std::string& name, WriteOptions how = {}) {
    how.keep_order = true;
    save_cloud(folder_ / name, cloud, how);
    return load_cloud(folder_ / name);
  }
  const TemporaryFolder temporary_{"format"};
  const fs::path folder_ = temporary_.path();
};

// What may differ after a file was written and read.
struct Bounds {
  std::string name;
  WriteOptions how;
  double place, log_scale, alpha, colour, rotation, sh;
  int degree = 3;
};

TEST_F(Format, EachKeepsNumbersWithinItsStatedPrecision) {
  constexpr int64_t kCount = 10000;
  const Cloud cloud = random_cloud(kCount, 3);
  const double byte = 0.5 / 255 + 1e-6;
  const double step_of_chunk = 4.4 / 2 / 1023;  // the narrowest bits of the widest chunk
  // The largest component, which is not stored, takes the errors of the other three.
  const double three_of_ten = 3 * std::numbers::sqrt2 / 2 / 1022 + 1e-6;
  WriteOptions v2, v4, eight, level0, level1, level2;
  v2.spz_version = 2;
  v4.spz_version = 4;
  eight.spz_version = 4;
  eight.spz_sh_bits = 8;
  level0.ksplat_level = 0;
  level1.ksplat_level = 1;
  level2.ksplat_level = 2;
  const double spz_colour = 0.5 / 255 / 0.15 * compute::kShC0 + 1e-6;
  const double sh_halves = 1.0 / 2048, scale_halves = 1.0 / 2048;
  const std::vector<Bounds> all = {
      {"a.ply", {}, 0, 0, 0, 0, 0, 0},
      {"a.npz", {}, 0, 0, 0, 0, 0, 0},
      {"a.csv", {}, 0, 0, 0, 0, 0, 0},
      {"a.glb", {}, 0, 2e-6, 2e-7, 0, 2e-7, 0},
      {"a.gltf", {}, 0, 2e-6, 2e-7, 0, 2e-7, 0},
      {"a.compressed.ply",
       {},
       step_of_chunk + 1e-6,
       6.0 / 2 / 1023 + 1e-6,
       byte,
       1.0 / 255 / 2 + 1e-5,
       three_of_ten,
       1.0 / 64 + 1e-6},
      {"v2.spz", v2, 1.0 / 8192 + 1e-6, 1.0 / 32 + 1e-6, byte, spz_colour, 0.1,
       1.0 / 16 + 1.0 / 256},
      {"v3.spz",
       {},
       1.0 / 8192 + 1e-6,
       1.0 / 32 + 1e-6,
       byte,
       spz_colour,
       three_of_ten,
       1.0 / 16 + 1.0 / 256},
      {"v4.spz", v4, 1.0 / 8192 + 1e-6, 1.0 / 32 + 1e-6, byte, spz_colour, three_of_ten,
       1.0 / 16 + 1.0 / 256},
      {"b8.spz", eight, 1.0 / 8192 + 1e-6, 1.0 / 32 + 1e-6, byte, spz_colour, three_of_ten,
       1.0 / 256 + 1e-6},
      {"a.splat", {}, 0, 2e-6, byte, byte, 0.02, 0, 0},
      {"l0.ksplat", level0, 0, 2e-6, byte, byte, 2e-7, 0, 2},
      {"l1.ksplat", level1, 2.5 / 32767 / 2 + 1e-6, scale_halves, byte, byte, 1e-3, sh_halves, 2},
      {"l2.ksplat", level2, 2.5 / 32767 / 2 + 1e-6, scale_halves, byte, byte, 1e-3,
       1.8 / 255 / 2 + 1e-6, 2},
  };
  for (const Bounds& b : all) {
    SCOPED_TRACE(b.name);
    const Cloud back = through(cloud, b.name, b.how);
    ASSERT_EQ(back.size(), kCount);
    ASSERT_EQ(back.sh_degree(), b.degree);
    EXPECT_LE(gap(back.means, cloud.means), b.place);
    EXPECT_LE(gap(back.scales, cloud.scales), b.log_scale);
    EXPECT_LE(gap(back.opacities.sigmoid(), cloud.opacities.sigmoid()), b.alpha);
    EXPECT_LE(rotation_gap(back, cloud), b.rotation);
    EXPECT_LE(gap(back.shN, with_degree(cloud, b.degree).shN), b.sh);
    // Colours beyond 0 .. 1 are clipped where a byte holds them.
    const bool clips = b.name.ends_with("splat");
    const auto colour = [&](const Cloud& c) {
      const at::Tensor v = 0.5 + compute::kShC0 * c.sh0.to(at::kDouble);
      return clips ? v.clamp(0, 1) : v;
    };
    EXPECT_LE(gap(colour(back), colour(cloud)), b.colour);
  }
}

TEST_F(Format, SogKeepsPlacesInLogSpaceAndCodesNearby) {
  const Cloud cloud = random_cloud(5000, 2);
  for (const char* name : {"a.sog", "meta.json", "folder"}) {
    WriteOptions how;
    how.keep_order = true;
    const fs::path path =
        name == std::string("meta.json") ? folder_ / "sub" / name : folder_ / name;
    save_cloud(path, cloud, how, name == std::string("folder") ? "sog" : "");
    const Cloud back = load_cloud(path);
    ASSERT_EQ(back.size(), 5000);
    EXPECT_EQ(back.sh_degree(), 2);
    const auto logged = [](const Cloud& c) {
      return c.means.to(at::kDouble).abs().log1p() * c.means.sign();
    };
    EXPECT_LE(gap(logged(back), logged(cloud)), 2 * std::log1p(2.2) / 2 / 65535 + 1e-6);
    EXPECT_LE(rotation_gap(back, cloud), 3 * std::numbers::sqrt2 / 2 / 255 + 1e-6);
    EXPECT_LE(gap(back.opacities.sigmoid(), cloud.opacities.sigmoid()), 0.5 / 255 + 1e-6);
    // 256 codes over values spread evenly: no worse than twice an even grid.
    EXPECT_LE(gap(back.scales, cloud.scales), 6.0 / 256);
    EXPECT_LE(gap(back.sh0, cloud.sh0), 3.4 / 256);
  }
  EXPECT_EQ(load_cloud(folder_ / "sub").size(), 5000) << "the folder itself is a scene";
}

TEST_F(Format, SogTakesHarmonicsFromAPalette) {
  // 40 different vectors: the palette can hold them all.
  Cloud cloud = random_cloud(4000, 3);
  cloud.shN = cloud.shN.narrow(0, 0, 40).repeat({100, 1, 1});
  const Cloud back = through(cloud, "a.sog");
  EXPECT_LE(gap(back.shN, cloud.shN), 1.8 / 256 * 2);
}

TEST_F(Format, OneSplatAndNoneAreWrittenOrRefused) {
  for (const SceneFormat& f : scene_formats()) {
    SCOPED_TRACE(f.name);
    const std::string name = "one" + f.extensions[0];
    EXPECT_EQ(through(random_cloud(1, 0), name).size(), 1);
    if (f.name == "sog" || f.name == "gltf" || f.name == "splat" || f.name == "csv") continue;
    EXPECT_EQ(through(random_cloud(0, 1), "none" + f.extensions[0]).size(), 0);
  }
  for (const char* name : {"none.sog", "none.glb"})
    EXPECT_EQ(error_of([&] { save_cloud(folder_ / name, random_cloud(0, 0)); }).code(),
              ExitCode::kData);
}

TEST_F(Format, TheKindIsToldByContentBeforeTheName) {
  const Cloud cloud = random_cloud(100, 1);
  for (const char* name : {"a.spz", "a.sog", "a.glb", "a.compressed.ply", "a.npz"}) {
    save_cloud(folder_ / name, cloud);
    const fs::path wrong = folder_ / (std::string(name) + ".splat");
    fs::copy_file(folder_ / name, wrong);
    ASSERT_NE(format_of(wrong), nullptr);
    EXPECT_EQ(format_of(wrong)->name, format_of(folder_ / name)->name) << name;
  }
  EXPECT_EQ(format_of_output("x.compressed.ply").name, "compressed-ply");
  EXPECT_EQ(format_of_output("X.PLY").name, "ply");
  EXPECT_EQ(format_of_output("a/meta.json").name, "sog");
  EXPECT_EQ(format_of_output("x", "spz").name, "spz");
  EXPECT_EQ(error_of([] { (void)format_of_output("x.xyz"); }).code(), ExitCode::kUsage);
  EXPECT_EQ(format_of(folder_ / "gone"), nullptr);
}

TEST_F(Format, TheSameBytesAtAnyNumberOfThreads) {
  const Cloud cloud = random_cloud(20000, 1);
  for (const char* name :
       {"a.spz", "a.sog", "a.compressed.ply", "a.splat", "a.ksplat", "a.glb", "a.csv"}) {
    set_threads(1);
    save_cloud(folder_ / name, cloud);
    const std::string one = read_file(folder_ / name);
    set_threads(3);
    save_cloud(folder_ / name, cloud);
    EXPECT_EQ(read_file(folder_ / name), one) << name;
    set_threads(0);
  }
}

// ---- Frames

TEST(Axes, LettersSayWhereEachPoints) {
  EXPECT_TRUE(turn_of_axes("rdf", "rdf").isIdentity(0));
  EXPECT_TRUE(
      turn_of_axes("rub", "rdf").isApprox(Eigen::Vector3d(1, -1, -1).asDiagonal().toDenseMatrix()));
  EXPECT_TRUE(
      turn_of_axes("LUF", "rdf").isApprox(Eigen::Vector3d(-1, -1, 1).asDiagonal().toDenseMatrix()));
  // z up, y forward: a point above has z there and -y here.
  EXPECT_TRUE(
      (turn_of_axes("rfu", "rdf") * Eigen::Vector3d(1, 2, 3)).isApprox(Eigen::Vector3d(1, -3, 2)));
  for (const char* bad : {"", "rd", "rrf", "rlf", "xyz", "rdfx"})
    EXPECT_EQ(error_of([&] { (void)turn_of_axes(bad, "rdf"); }).code(), ExitCode::kUsage) << bad;
  EXPECT_THAT(error_of([] { (void)turn_of_axes("ruf", "rdf"); }).message(), HasSubstr("mirror"));
}

// The colour of splat i seen along d.
Eigen::Vector3d colour(const Cloud& c, int64_t i, const Eigen::Vector3d& d) {
  std::vector<double> basis(25);
  compute::sh_basis(c.sh_degree(), d.normalized().eval().data(), basis.data());
  Eigen::Vector3d out;
  for (int k = 0; k < 3; ++k) {
    out[k] = 0.5 + basis[0] * c.sh0[i][0][k].item<double>();
    for (int64_t j = 0; j < c.shN.size(1); ++j)
      out[k] += basis[static_cast<size_t>(j) + 1] * c.shN[i][j][k].item<double>();
  }
  return out;
}

TEST(Similarity, ATurnedSceneLooksTheSameFromTheTurnedDirection) {
  const Cloud cloud = random_cloud(5, 4);
  for (const Eigen::Matrix3d& turn :
       {turn_of_axes("rub", "rdf"), turn_of_axes("luf", "rdf"), turn_of_axes("rfu", "rdf"),
        Eigen::AngleAxisd(1.1, Eigen::Vector3d(0.3, -0.5, 0.7).normalized()).toRotationMatrix()}) {
    const Cloud other = turned(cloud, turn);
    const at::Tensor r = at::empty({3, 3}, at::kDouble);
    Eigen::Map<Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(r.data_ptr<double>()) = turn;
    EXPECT_LE(gap(other.means, cloud.means.to(at::kDouble).matmul(r.t())), 1e-6);
    EXPECT_LE(gap(covariances(other), r.matmul(covariances(cloud)).matmul(r.t())), 1e-7);
    for (int64_t i = 0; i < 5; ++i)
      for (const Eigen::Vector3d& d : {Eigen::Vector3d(1, 2, 3), Eigen::Vector3d(-2, 0.3, 0.1)})
        EXPECT_LE((colour(other, i, turn * d) - colour(cloud, i, d)).norm(), 2e-6);
  }
}

TEST(Similarity, AHalfTurnTwiceIsTheSameBits) {
  const Cloud cloud = random_cloud(100, 4);
  const Eigen::Matrix3d turn = turn_of_axes("rub", "rdf");
  const Cloud back = turned(turned(cloud, turn), turn);
  EXPECT_TRUE(at::equal(back.means, cloud.means));
  EXPECT_TRUE(at::equal(back.quats, cloud.quats));
  EXPECT_TRUE(at::equal(back.shN, cloud.shN));
}

TEST(Similarity, TheSignsOfAHalfTurnAreThoseOfTheExactMatrix) {
  const Cloud cloud = random_cloud(50, 4);
  for (const char* axes : {"rub", "luf", "ldb"}) {
    Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
    m.topLeftCorner<3, 3>() = turn_of_axes(axes, "rdf");
    EXPECT_LE(gap(turned(cloud, m.topLeftCorner<3, 3>()).shN, transformed(cloud, m).shN), 1e-6)
        << axes;
  }
}

TEST_F(Format, FilesHaveTheAxesOfTheirKind) {
  const Cloud cloud = random_cloud(500, 3);
  for (const auto& [name, axes] :
       {std::pair<const char*, const char*>{"a.spz", "rub"}, {"a.glb", "luf"}}) {
    const Cloud back = through(cloud, name);
    EXPECT_EQ(back.source_axes, axes);
    EXPECT_LE(gap(back.means, cloud.means), 2e-4);
    const Cloud stored = load_cloud(folder_ / name, {.axes = "as-is"});
    EXPECT_EQ(stored.source_axes, "");
    EXPECT_LE(gap(stored.means, turned(cloud, turn_of_axes("rdf", axes)).means), 2e-4);
  }
  WriteOptions how;
  how.axes = "rfu";
  save_cloud(folder_ / "z-up.ply", cloud, how);
  const Cloud back = load_cloud(folder_ / "z-up.ply", {.axes = "rfu"});
  EXPECT_TRUE(at::equal(back.means, cloud.means));
  EXPECT_LE(gap(back.shN, cloud.shN), 2e-6);
  EXPECT_LE(gap(covariances(back), covariances(cloud)), 1e-6);
  how.axes = "ruf";
  EXPECT_EQ(error_of([&] { save_cloud(folder_ / "m.ply", cloud, how); }).code(), ExitCode::kUsage);
}

TEST_F(Format, FlagsAndAxesTravel) {
  Cloud cloud = random_cloud(20, 0);
  cloud.antialiased = true;
  cloud.source_axes = "rub";
  for (const SceneFormat& f : scene_formats()) {
    const Cloud back = through(cloud, "f" + f.extensions[0]);
    EXPECT_EQ(back.antialiased, f.antialiased) << f.name;
    if (f.source_axes) {
      EXPECT_EQ(back.source_axes, "rub") << f.name;
    }
  }
  cloud.antialiased = false;
  cloud.flat = true;
  for (const SceneFormat& f : scene_formats())
    EXPECT_EQ(through(cloud, "d" + f.extensions[0]).flat, f.flat) << f.name;
}

TEST_F(Format, ColumnsTravelWhereTheyCan) {
  Cloud cloud = random_cloud(30, 1);
  cloud.columns["label"] = at::arange(30, at::kInt);
  cloud.columns["heat"] = at::rand({30});
  for (const SceneFormat& f : scene_formats()) {
    SCOPED_TRACE(f.name);
    const Cloud back = through(cloud, "c" + f.extensions[0]);
    if (!f.columns) {
      EXPECT_TRUE(back.columns.empty());
      EXPECT_THAT(losses(f, cloud), testing::Contains(HasSubstr("heat, label")));
      continue;
    }
    ASSERT_EQ(back.columns.size(), 2u);
    EXPECT_LE(gap(back.columns.at("label"), cloud.columns["label"]), 0);
    EXPECT_LE(gap(back.columns.at("heat"), cloud.columns["heat"]), 0);
  }
}

TEST_F(Format, ColumnsWhoseNamesCannotBeWrittenAreRefused) {
  for (const char* name : {"my label", "a\nend_header", "a,b", "x", "opacity"}) {
    Cloud cloud = random_cloud(3, 0);
    cloud.columns[name] = at::rand({3});
    EXPECT_THROW(save_cloud(folder_ / "a.ply", cloud), Error) << name;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "a.ply")) << name;
  }
}

TEST(Cloud, ADegreeBeyondAllIsRefusedAtOnce) {
  Cloud cloud;
  cloud.means = at::empty({0, 3});
  cloud.quats = at::empty({0, 4});
  cloud.scales = at::empty({0, 3});
  cloud.opacities = at::empty({0});
  cloud.sh0 = at::empty({0, 1, 3});
  cloud.shN = at::empty({0, int64_t{1} << 40, 3});
  EXPECT_THROW(cloud.check(), Error);
}

TEST_F(Format, LossesAreSaid) {
  Cloud cloud = random_cloud(30, 4);
  EXPECT_TRUE(losses(*find_format("ply"), cloud).empty());
  EXPECT_THAT(losses(*find_format("splat"), cloud),
              testing::Contains(HasSubstr("above degree 0 (it has 4)")));
  cloud.means[3][0] = 5000;
  cloud.scales[2][1] = -12;
  cloud.shN[0][0][0] = 1.5;
  cloud.sh0[4][0][2] = -3.6;
  const auto lost = losses(*find_format("spz"), cloud);
  EXPECT_THAT(lost, testing::Contains(HasSubstr("1/1024")));
  EXPECT_THAT(lost, testing::Contains(HasSubstr("1 scales")));
  EXPECT_THAT(lost, testing::Contains(HasSubstr("1 SH coefficients")));
  EXPECT_THAT(lost, testing::Contains(HasSubstr("1 colours")));
  const Cloud back = through(cloud, "far.spz");
  EXPECT_EQ(back.means[3][0].item<float>(), 5000) << "a far splat is not clipped";
  WriteOptions how;
  how.sh_degree = 1;
  EXPECT_EQ(through(cloud, "one.spz", how).sh_degree(), 1);
}

TEST_F(Format, SpzPacksWhatRepeatsWell) {
  Cloud cloud = random_cloud(5000, 3);
  cloud.shN = cloud.shN.narrow(0, 0, 1).repeat({5000, 1, 1});
  WriteOptions how;
  how.spz_version = 4;
  const Cloud back = through(cloud, "a.spz", how);
  EXPECT_LE(gap(back.shN, cloud.shN), 1.0 / 16 + 1.0 / 256);
  EXPECT_LT(bytes_on_disk(folder_ / "a.spz"), 21 * 5000) << "45 bytes of SH are next to none";
}

TEST_F(Format, ExtensionRecordsOfASpzAreKept) {
  Cloud cloud = random_cloud(300, 1);
  cloud.spz_records = {7, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3, 9, 0, 0, 0, 0, 0, 0, 0};
  for (const int64_t version : {2, 3, 4}) {
    const Cloud back = through(cloud, "a.spz", {.spz_version = version});
    EXPECT_EQ(back.spz_records, cloud.spz_records) << version;
    EXPECT_LE(gap(back.means, cloud.means), 1.0 / 8192 + 1e-6);
  }
  EXPECT_THAT(losses(*find_format("ply"), cloud),
              testing::Contains(HasSubstr("extension records")));
  cloud.spz_records.pop_back();  // a record that is cut
  save_cloud(folder_ / "b.spz", cloud);
  EXPECT_THAT(error_of([&] { load_cloud(folder_ / "b.spz"); }).where(),
              HasSubstr("extension record"));
}

TEST_F(Format, GltfHoldsASpzWithin) {
  const Cloud cloud = random_cloud(2000, 3);
  for (const char* name : {"a.glb", "a.gltf"}) {
    const Cloud back = through(cloud, name, {.gltf_spz = true});
    EXPECT_LE(gap(back.means, cloud.means), 1.0 / 8192 + 1e-6);
    EXPECT_LE(gap(back.shN, cloud.shN), 1.0 / 16 + 1.0 / 256);
    EXPECT_EQ(back.source_axes, "luf");
  }
  EXPECT_LT(bytes_on_disk(folder_ / "a.glb"), 70 * 2000);
  EXPECT_THAT(losses(*find_format("gltf"), cloud, {.gltf_spz = true}),
              testing::Contains(HasSubstr("1/4096")));
}

TEST_F(Format, WhatIsWrittenBesideIsKnownBeforehand) {
  write_file(folder_ / "a.bin", "something else");
  EXPECT_EQ(in_the_way(folder_ / "a.gltf"), std::vector<fs::path>{folder_ / "a.bin"});
  EXPECT_TRUE(in_the_way(folder_ / "a.glb").empty());
  save_cloud(folder_ / "sog" / "meta.json", random_cloud(50, 1));
  fs::remove(folder_ / "sog" / "meta.json");
  EXPECT_EQ(in_the_way(folder_ / "sog" / "meta.json").size(), 7u);
  // An older scene's palette does not stay beside a new one without harmonics.
  save_cloud(folder_ / "sog" / "meta.json", random_cloud(50, 0));
  EXPECT_EQ(in_the_way(folder_ / "sog" / "meta.json").size(), 6u);
}

TEST_F(Format, SogPicturesAreNoLargerThanTheSceneNeeds) {
  save_cloud(folder_ / "sog" / "meta.json", random_cloud(50, 1));
  for (const char* name : {"quats.webp", "shN_centroids.webp"}) {
    // Of one colour: next to no bytes, and megabytes of pixels.
    const std::string before = read_file(folder_ / "sog" / name);
    const auto large = data::encode_webp(data::Image8(4096, 1024, 4));
    write_file(folder_ / "sog" / name, {reinterpret_cast<const char*>(large.data()), large.size()});
    EXPECT_THAT(
        error_of([&] { load_cloud(folder_ / "sog"); }).message(),
        testing::AnyOf(HasSubstr("more than the scene needs"), HasSubstr("fits no degree")));
    write_file(folder_ / "sog" / name, before);
  }
  EXPECT_EQ(load_cloud(folder_ / "sog").size(), 50);
}

// ---- What else files are

TEST_F(Format, PlyOfDiscsAndOfOtherPrograms) {
  std::string text = "ply\nformat ascii 1.0\ncomment SplatRenderMode: mip\nelement vertex 1\n";
  for (const char* p : {"opacity", "x", "y", "z", "rot_0", "rot_1", "rot_2", "rot_3", "scale_0",
                        "scale_1", "f_dc_0", "f_dc_1", "f_dc_2"})
    text += std::string("property double ") + p + "\r\n";
  text += "property uchar label\nend_header\n0.5 1 2 3 1 0 0 0 -2 -3 0.1 0.2 0.3 7\n";
  write_file(folder_ / "disc.ply", text);
  const Cloud c = load_cloud(folder_ / "disc.ply");
  EXPECT_TRUE(c.flat);
  EXPECT_TRUE(c.antialiased);
  EXPECT_EQ(c.scales[0][1].item<float>(), -3);
  EXPECT_LE(c.scales[0][2].item<float>(), -10);
  EXPECT_EQ(c.columns.at("label")[0].item<int>(), 7);
  EXPECT_TRUE(through(c, "again.ply").flat);
}

TEST_F(Format, GltfNodesMoveTheirSplats) {
  const Cloud cloud = random_cloud(40, 2);
  save_cloud(folder_ / "a.gltf", cloud, {.axes = "rdf"});
  std::string text = read_file(folder_ / "a.gltf");
  const auto with_node = [&](const std::string& node) {
    std::string s = text;
    const std::string from = "\"nodes\":[{\"mesh\":0}]";
    s.replace(s.find(from), from.size(), "\"nodes\":[" + node + "]");
    write_file(folder_ / "b.gltf", s);
    return load_cloud(folder_ / "b.gltf", {.axes = "rdf"});
  };
  const Cloud moved =
      with_node(R"({"mesh":0,"translation":[1,2,3],"rotation":[0,0,0.6,0.8],"scale":[2,2,2]})");
  Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
  m.topLeftCorner<3, 3>() = 2 * Eigen::Quaterniond(0.8, 0, 0, 0.6).toRotationMatrix();
  m.topRightCorner<3, 1>() = Eigen::Vector3d(1, 2, 3);
  const Cloud want = transformed(cloud, m);
  EXPECT_LE(gap(moved.means, want.means), 1e-5);
  EXPECT_LE(gap(covariances(moved), covariances(want)), 1e-5);
  EXPECT_LE(gap(moved.shN, want.shN), 1e-5);
  const Cloud stretched = with_node(R"({"mesh":0,"scale":[1,3,1]})");
  const at::Tensor s = at::diag(at::tensor({1.0, 3.0, 1.0}, at::kDouble));
  EXPECT_LE(gap(covariances(stretched), s.matmul(covariances(cloud)).matmul(s)), 1e-5);
  EXPECT_THAT(error_of([&] { with_node(R"({"mesh":0,"scale":[1,-1,1]})"); }).message(),
              HasSubstr("mirror"));
  const Cloud nested = with_node(R"({"children":[1],"translation":[1,0,0]},{"mesh":0})");
  EXPECT_LE(gap(nested.means.select(1, 0), cloud.means.select(1, 0) + 1), 1e-6);
  EXPECT_THAT(error_of([&] { with_node(R"({"children":[0]})"); }).message(), HasSubstr("no end"));
}

TEST_F(Format, GltfWithSpzInsideIsReadAndOtherPackingsAreNamed) {
  save_cloud(folder_ / "a.spz", random_cloud(50, 1), {.axes = "as-is"});
  const std::string spz = read_file(folder_ / "a.spz");
  write_file(folder_ / "splats.bin", spz);
  const auto file = [&](const std::string& packing) {
    write_file(
        folder_ / "p.gltf",
        R"({"asset":{"version":"2.0"},"scene":0,"scenes":[{"nodes":[0]}],"nodes":[{"mesh":0}],)"
        R"("buffers":[{"uri":"splats.bin","byteLength":)" +
            std::to_string(spz.size()) + R"(}],"bufferViews":[{"buffer":0,"byteLength":)" +
            std::to_string(spz.size()) +
            R"(}],"meshes":[{"primitives":[{"mode":0,"attributes":{},"extensions":)"
            R"({"KHR_gaussian_splatting":{"extensions":{")" +
            packing + R"(":{"bufferView":0}}}}}]}]})");
    return load_cloud(folder_ / "p.gltf", {.axes = "as-is"});
  };
  EXPECT_LE(gap(file("KHR_gaussian_splatting_compression_spz_2").means,
                load_cloud(folder_ / "a.spz", {.axes = "as-is"}).means),
            0);
  EXPECT_THAT(error_of([&] { file("EXT_other_packing"); }).message(),
              HasSubstr("EXT_other_packing"));
}

TEST_F(Format, NotFiniteIsRefusedOrLeftOut) {
  Cloud cloud = random_cloud(10, 1);
  cloud.shN[4][0][1] = std::numeric_limits<float>::quiet_NaN();
  cloud.opacities[5] = std::numeric_limits<float>::infinity();  // an opacity of 1: fine
  EXPECT_THAT(error_of([&] { save_cloud(folder_ / "a.spz", cloud); }).message(),
              HasSubstr("splat 4"));
  EXPECT_FALSE(fs::exists(folder_ / "a.spz"));
  cloud.means[7][0] = std::numeric_limits<float>::infinity();
  save_cloud(folder_ / "a.npz", cloud);
  EXPECT_EQ(load_cloud(folder_ / "a.npz", {.not_finite = "drop"}).size(), 8);
  save_cloud(folder_ / "a.ply", cloud);
  EXPECT_EQ(load_cloud(folder_ / "a.ply", {.not_finite = "drop"}).size(), 8);
  EXPECT_EQ(error_of([&] { load_cloud(folder_ / "a.ply"); }).code(), ExitCode::kData);
  // Floats within a format that holds none of them on purpose.
  Cloud one = random_cloud(3, 0);
  save_cloud(folder_ / "a.splat", one);
  std::string bytes = read_file(folder_ / "a.splat");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + 32, &nan, 4);
  write_file(folder_ / "a.splat", bytes);
  EXPECT_THAT(error_of([&] { load_cloud(folder_ / "a.splat"); }).message(),
              HasSubstr("the first is 1"));
  EXPECT_EQ(load_cloud(folder_ / "a.splat", {.not_finite = "drop"}).size(), 2);
}

TEST_F(Format, ScenesMerge) {
  Cloud a = random_cloud(3, 0), b = random_cloud(4, 2);
  b.columns["label"] = at::ones({4}, at::kInt);
  const Cloud c = merged({a, b});
  c.check();
  EXPECT_EQ(c.size(), 7);
  EXPECT_EQ(c.sh_degree(), 2);
  EXPECT_EQ(c.shN.narrow(0, 0, 3).abs().sum().item<float>(), 0);
  EXPECT_EQ(c.columns.at("label").sum().item<int64_t>(), 4);
  b.columns["lod_parent"] = at::tensor({2, 2, -1, -1}, at::kInt);
  const at::Tensor parent = merged({b, a, b}).columns.at("lod_parent");
  EXPECT_TRUE(parent.equal(at::tensor({2, 2, -1, -1, -1, -1, -1, 9, 9, -1, -1}, at::kInt)));
  a.antialiased = true;
  EXPECT_EQ(error_of([&] { merged({a, b}); }).code(), ExitCode::kData);
}

// ---- Files that are not what they say

TEST_F(Format, EmptyAndForeignFilesAreErrorsOfData) {
  for (const SceneFormat& f : scene_formats())
    for (const std::string& e : f.extensions)
      for (const std::string& bytes :
           {std::string(), std::string("hello, this is no scene"), std::string(64, '\0')}) {
        if (e == ".splat" && bytes.size() == 64) continue;  // two splats of nothing
        write_file(folder_ / ("x" + e), bytes);
        const Error error = error_of([&] { load_cloud(folder_ / ("x" + e)); });
        EXPECT_EQ(error.code(), ExitCode::kData) << e << " of " << bytes.size() << " bytes";
        EXPECT_THAT(error.where(), HasSubstr("x" + e));
      }
}

template <class T>
void poke(std::string& bytes, size_t at, T v) {
  ASSERT_LE(at + sizeof v, bytes.size());
  std::memcpy(bytes.data() + at, &v, sizeof v);
}

TEST_F(Format, HeadersThatClaimGigabytesTakeNoMemory) {
  const Cloud cloud = random_cloud(50, 1);
  const auto refused = [&](const std::string& name, const std::string& bytes) {
    write_file(folder_ / name, bytes);
    const Error e = error_of([&] { load_cloud(folder_ / name); });
    EXPECT_EQ(e.code(), ExitCode::kData) << name << ": " << e.what();
    return e;
  };
  const auto written = [&](const std::string& name, const WriteOptions& how = {}) {
    save_cloud(folder_ / name, cloud, how);
    return read_file(folder_ / name);
  };
  std::string spz = written("a.spz", {.spz_version = 4});
  poke<uint32_t>(spz, 8, 400000000);
  EXPECT_THAT(refused("a.spz", spz).message(), HasSubstr("400000000 splats"));
  spz = written("b.spz", {.spz_version = 4});
  poke<uint64_t>(spz, 32 + 8, uint64_t{10} << 30);
  EXPECT_THAT(refused("b.spz", spz).message(), HasSubstr("10737418240 bytes"));
  // The same within gzip.
  std::string v3 = written("c.spz");
  auto inner = data::gunzip(as_bytes(v3), 1 << 20, "a");
  store_as<uint32_t>(inner.data() + 8, 100000000);
  const auto packed = data::gzip(inner);
  refused("c.spz", {packed.begin(), packed.end()});

  std::string ksplat = written("a.ksplat");
  poke<uint32_t>(ksplat, 4, 0xffffffff);
  EXPECT_THAT(refused("a.ksplat", ksplat).message(), HasSubstr("sections"));
  ksplat = written("b.ksplat");
  poke<uint32_t>(ksplat, 4096, 400000000);
  poke<uint32_t>(ksplat, 4096 + 4, 400000000);
  EXPECT_THAT(refused("b.ksplat", ksplat).message(), HasSubstr("400000000 x"));

  std::string ply = written("a.compressed.ply");
  ply.replace(ply.find("vertex 50"), 9, "vertex 9000000000");
  EXPECT_THAT(refused("a.compressed.ply", ply).message(), HasSubstr("9000000000"));

  std::string gltf = written("a.gltf");
  for (size_t at = gltf.find("\"count\":50"); at != std::string::npos;
       at = gltf.find("\"count\":50", at + 5))
    gltf.replace(at, 10, "\"count\":90000000000");
  EXPECT_THAT(refused("a.gltf", gltf).message(), HasSubstr("90000000000"));

  save_cloud(folder_ / "sog" / "meta.json", cloud);
  std::string meta = read_file(folder_ / "sog" / "meta.json");
  meta.replace(meta.find("\"count\":50"), 10, "\"count\":2000000000");
  write_file(folder_ / "sog" / "meta.json", meta);
  EXPECT_THAT(error_of([&] { load_cloud(folder_ / "sog"); }).message(), HasSubstr("2000000000"));
}

TEST_F(Format, SogNamesStayBelowTheirFolder) {
  save_cloud(folder_ / "sog" / "meta.json", random_cloud(50, 0));
  std::string meta = read_file(folder_ / "sog" / "meta.json");
  meta.replace(meta.find("quats.webp"), 10, "../q.webp");
  write_file(folder_ / "sog" / "meta.json", meta);
  EXPECT_EQ(error_of([&] { load_cloud(folder_ / "sog"); }).code(), ExitCode::kData);
}

// ---- Codebooks

TEST(Codebook, IsOptimalOnSmallSets) {
  const std::vector<float> x = {0, 0.1f, 0.2f, 10, 10.2f, 20, 20, 20};
  const auto book = codebook_of(x.data(), 8, 3);
  ASSERT_EQ(book.size(), 3u);
  EXPECT_NEAR(book[0], 0.1, 1e-6);
  EXPECT_NEAR(book[1], 10.1, 1e-6);
  EXPECT_NEAR(book[2], 20, 1e-6);
  EXPECT_EQ(codes_of(x.data(), 8, book), (std::vector<uint8_t>{0, 0, 0, 1, 1, 2, 2, 2}));
  const std::vector<float> same(5, 3.5f);
  EXPECT_EQ(codebook_of(same.data(), 5, 256), std::vector<float>{3.5f});
}

TEST(Codebook, LosesLessThanAnEvenGridByFar) {
  // Half of a bell and a far outlier.
  std::vector<float> x;
  const Random random(5, 5);
  for (uint64_t i = 0; i < 50000; ++i) x.push_back(static_cast<float>(std::abs(random.normal(i))));
  x.push_back(60);
  const auto n = static_cast<int64_t>(x.size());
  const auto book = codebook_of(x.data(), n, 256);
  const auto codes = codes_of(x.data(), n, book);
  double error = 0;
  for (size_t i = 0; i < x.size(); ++i) error += std::pow(x[i] - book[codes[i]], 2);
  const double grid = 60.0 / 255;
  // Bennett's integral for the bell, cubed: the least that 256 levels can have, by rate theory.
  const double least = std::numbers::sqrt3 * std::numbers::pi / 2 / 4 / 256 / 256;
  EXPECT_LT(error / static_cast<double>(n), 1.1 * least);
  EXPECT_LT(error / static_cast<double>(n), grid * grid / 12 / 50);
}

TEST(Palette, OfManyEntriesIsNearlyAsGoodAsPlainSearch) {
  constexpr int64_t kRows = 20000, kWidth = 9, kEntries = 2048;
  std::vector<float> x;
  const Random random(6, 6);
  for (uint64_t i = 0; i < kRows * kWidth; ++i) x.push_back(static_cast<float>(random.normal(i)));
  const Palette p = palette_of(x.data(), kRows, kWidth, kEntries, 6, 1);
  ASSERT_LE(p.count, kEntries);
  EXPECT_GT(p.count, kEntries * 9 / 10);
  double error = 0, best = 0;
  for (int64_t i = 0; i < kRows; ++i) {
    const auto distance = [&](int64_t e) {
      double s = 0;
      for (int64_t k = 0; k < kWidth; ++k)
        s += std::pow(
            x[static_cast<size_t>(i * kWidth + k)] - p.entries[static_cast<size_t>(e * kWidth + k)],
            2);
      return s;
    };
    ASSERT_LT(p.labels[static_cast<size_t>(i)], p.count);
    error += distance(p.labels[static_cast<size_t>(i)]);
    if (i % 40 != 0) continue;
    double nearest = 1e9;
    for (int64_t e = 0; e < p.count; ++e) nearest = std::min(nearest, distance(e));
    best += nearest * 40;
  }
  EXPECT_LT(error, 1.05 * best) << "the entry of each vector is nearly always its nearest";
}

TEST(Palette, HasNoMoreEntriesThanWereAskedFor) {
  // Few vectors far apart take an entry each; many that are nearly the same lack next to nothing.
  constexpr int64_t kRows = 8000, kWidth = 3;
  const Random random(9, 9);
  for (const double tight : {1e-7, 1e-5, 1e-3}) {
    std::vector<float> x;
    for (uint64_t i = 0; i < kRows * kWidth; ++i)
      x.push_back(static_cast<float>(random.normal(i) * (i / kWidth % 4 == 0 ? 1 : tight)));
    for (const int64_t entries : {2048, 3072, 4096})
      EXPECT_LE(palette_of(x.data(), kRows, kWidth, entries, 1, 1).count, entries) << tight;
  }
}

// ---- Real files

class RealFiles : public testing::Test {
 protected:
  void SetUp() override {
    const char* data = std::getenv("COVARY_DATA");
    if (!data || !fs::exists(fs::path(data) / "splats"))
      GTEST_SKIP() << "COVARY_DATA names no folder with splats/";
    splats_ = fs::path(data) / "splats";
  }
  fs::path splats_;
};

TEST_F(RealFiles, TheFourKnownSplatsOfEveryFormat) {
  const at::Tensor places =
      at::tensor({-1.f, 0.f, -1.f, 0.f, 0.f, -1.f, -1.f, 0.f, 0.f, 0.f, 0.f, 0.f}).view({4, 3});
  for (const char* name : {"minimal.splat", "minimal.ksplat", "minimal-raw.spz", "minimal-v2.spz",
                           "minimal-v3.spz", "minimal-v4.spz"}) {
    SCOPED_TRACE(name);
    // Versions 2 were written without a turn of the axes, 3 and 4 with one.
    const std::string text = name;
    const bool turns = text.ends_with("v3.spz") || text.ends_with("v4.spz");
    const Cloud c = load_cloud(splats_ / "minimal" / name, {.axes = turns ? "auto" : "as-is"});
    ASSERT_EQ(c.size(), 4);
    EXPECT_LE(gap(c.means, places), 1e-6);
    EXPECT_LE((c.scales.exp() - 0.1).abs().max().item<double>(), 0.1 * 0.04);
    EXPECT_LE((c.opacities.sigmoid() - 0.9).abs().max().item<double>(), 0.004);
    EXPECT_EQ(c.source_axes, turns ? "rub" : "");
  }
}

TEST_F(RealFiles, CompressedPlyLoadsAndComesBack) {
  const TemporaryFolder folder("biker");
  for (const auto& [name, count] : {std::pair<const char*, int64_t>{"biker.compressed.ply", 152746},
                                    {"guitar.compressed.ply", 90854}}) {
    const Cloud c = load_cloud(splats_ / name);
    EXPECT_EQ(c.size(), count);
    WriteOptions how;
    how.keep_order = true;
    save_cloud(folder.path() / name, c, how);
    const Cloud back = load_cloud(folder.path() / name);
    // The bounds of chunks are those of what was read, so that codes hardly change.
    EXPECT_LE(gap(back.means, c.means), 2e-3);
    EXPECT_LE(gap(back.opacities.sigmoid(), c.opacities.sigmoid()), 1e-5);
  }
}

TEST_F(RealFiles, SogLoadsAndItsLevelsAreRanges) {
  const Cloud c = load_cloud(splats_ / "playbot" / "2_0");
  EXPECT_EQ(c.size(), 125000);
  EXPECT_EQ(c.sh_degree(), 2);
  EXPECT_LE(c.means.abs().max().item<float>(), 2);
  const fs::path levels = splats_ / "playbot" / "lod-meta.json";
  EXPECT_EQ(load_cloud(levels, {.level = 2}).size(), 125000);
  EXPECT_EQ(load_cloud(levels, {.level = 5}).size(), 3000);
  EXPECT_EQ(load_cloud(levels, {.level = 6}).size(), 1873);
  const Error gone = error_of([&] { load_cloud(levels, {.level = 0}); });
  EXPECT_EQ(gone.code(), ExitCode::kData);
  EXPECT_THAT(gone.where(), HasSubstr("0_0"));
  EXPECT_THAT(error_of([&] { load_cloud(levels, {.level = 9}); }).message(),
              HasSubstr("no level 9"));
}

TEST_F(RealFiles, ASplatOfAScan) {
  const fs::path scan = splats_.parent_path() / "gs_dynamics_demo" / "gs_orig.splat";
  if (!fs::exists(scan)) GTEST_SKIP() << "gs_dynamics_demo is not there";
  EXPECT_EQ(load_cloud(scan).size(), 286624 / 32);
}

}  // namespace
}  // namespace covary::scene
