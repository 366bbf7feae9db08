#include "covary/core/geometry/mesh_file.h"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "covary/core/base/error_of.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"

namespace covary::geometry {
namespace {

using testing::HasSubstr;

class MeshFile : public testing::Test {
 protected:
  std::string written(const Mesh& mesh, const std::string& name) {
    write_mesh(temporary_.path() / name, mesh);
    return read_file(temporary_.path() / name);
  }
  static Mesh triangle() {
    Mesh m;
    m.vertices = {{0, 0, 0}, {1, 0, 0}, {0, 0.5f, 2}};
    m.triangles = {{0, 1, 2}};
    m.colors = {{1, 0, 0}, {0, 1, 0}, {0, 0, 0.5f}};
    compute_normals(m);
    return m;
  }
  const TemporaryFolder temporary_{"mesh"};
};

template <class T>
T at(const std::string& bytes, size_t offset) {
  T v;
  std::memcpy(&v, bytes.data() + offset, sizeof v);
  return v;
}

TEST_F(MeshFile, Ply) {
  const std::string text = written(triangle(), "a.PLY");
  EXPECT_THAT(text, HasSubstr("element vertex 3\n"));
  EXPECT_THAT(text, HasSubstr("element face 1\n"));
  const size_t body = text.find("end_header\n") + 11;
  constexpr size_t kRow = 6 * 4 + 3;
  ASSERT_EQ(text.size(), body + 3 * kRow + 1 + 3 * 4);
  EXPECT_EQ(at<float>(text, body + kRow), 1);
  EXPECT_EQ(at<uint8_t>(text, body + kRow + 25), 255) << "green";
  EXPECT_EQ(at<uint8_t>(text, body + 2 * kRow + 26), 128) << "half blue";
  EXPECT_EQ(at<uint8_t>(text, body + 3 * kRow), 3);
  EXPECT_EQ(at<int32_t>(text, body + 3 * kRow + 9), 2);
}

TEST_F(MeshFile, Obj) {
  const std::string text = written(triangle(), "a.obj");
  EXPECT_THAT(text, HasSubstr("v 1 0 0 0 1 0\n"));
  EXPECT_THAT(text, HasSubstr("f 1//1 2//2 3//3\n"));
  Mesh bare = triangle();
  bare.normals.clear();
  bare.colors.clear();
  EXPECT_THAT(written(bare, "b.obj"), HasSubstr("v 0 0.5 2\nf 1 2 3\n"));
}

TEST_F(MeshFile, Glb) {
  const std::string bytes = written(triangle(), "a.glb");
  EXPECT_EQ(bytes.substr(0, 4), "glTF");
  EXPECT_EQ(at<uint32_t>(bytes, 8), bytes.size());
  const auto length = at<uint32_t>(bytes, 12);
  const auto j = nlohmann::json::parse(bytes.substr(20, length));
  const auto& p = j["meshes"][0]["primitives"][0];
  const auto accessor = [&](const nlohmann::json& i) { return j["accessors"][i.get<size_t>()]; };
  EXPECT_EQ(accessor(p["attributes"]["POSITION"])["max"], nlohmann::json({1.0, 0.5, 2.0}));
  EXPECT_EQ(accessor(p["indices"])["count"], 3);
  const size_t data = 20 + length + 8;
  for (const auto& v : j["bufferViews"]) {
    EXPECT_EQ(v["byteOffset"].get<size_t>() % 4, 0u);
    EXPECT_LE(v["byteOffset"].get<size_t>() + v["byteLength"].get<size_t>(), bytes.size() - data);
  }
  const size_t colors =
      data + j["bufferViews"][accessor(p["attributes"]["COLOR_0"])["bufferView"].get<size_t>()]
              ["byteOffset"]
                  .get<size_t>();
  EXPECT_EQ(at<uint8_t>(bytes, colors + 10), 55) << "sRGB 0.5 is linear 0.214";
}

TEST_F(MeshFile, WhatCannotBeWrittenIsSaid) {
  EXPECT_EQ(error_of([&] { write_mesh(temporary_.path() / "a.stl", triangle()); }).code(),
            ExitCode::kUsage);
  EXPECT_EQ(error_of([&] { write_mesh(temporary_.path() / "a.ply", {}); }).code(), ExitCode::kData);
  Mesh bad = triangle();
  bad.triangles[0][1] = 7;
  EXPECT_EQ(error_of([&] { write_mesh(temporary_.path() / "a.ply", bad); }).code(),
            ExitCode::kData);
  EXPECT_FALSE(std::filesystem::exists(temporary_.path() / "a.ply"));
}

}  // namespace
}  // namespace covary::geometry
