#include "covary/splat/scene/ply.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/error_of.h"
#include "covary/core/base/file.h"
#include "covary/core/base/random.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/base/threads.h"
#include "covary/splat/scene/ply_file.h"

namespace covary::scene {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

std::vector<std::string> splat_properties(int rest) {
  std::vector<std::string> names = {"x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"};
  for (int i = 0; i < rest; ++i) names.push_back("f_rest_" + std::to_string(i));
  for (const char* n :
       {"opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"})
    names.emplace_back(n);
  return names;
}

// The value of a property in row r, so that a reader that mixes columns up is seen.
float value_of(const std::string& name, int64_t r) {
  if (name[0] == 'n') return 0;
  return static_cast<float>(Random(3, stream_of(name)).uniform(static_cast<uint64_t>(r)) * 4 - 2);
}

std::string splat_file(const std::vector<std::string>& names, int64_t n,
                       const std::string& format = "binary_little_endian") {
  std::string s = "ply\nformat " + format + " 1.0\nelement vertex " + std::to_string(n) + "\n";
  for (const auto& name : names) s += "property float " + name + "\n";
  s += "end_header\n";
  for (int64_t r = 0; r < n; ++r)
    for (const auto& name : names) {
      const float v = value_of(name, r);
      char b[4];
      std::memcpy(b, &v, 4);
      if (format == "ascii") {
        char text[40];
        std::snprintf(text, sizeof text, "%.9g ", static_cast<double>(v));
        s += text;
        if (name == names.back()) s += "\n";
        continue;
      }
      if (format == "binary_big_endian") std::reverse(b, b + 4);
      s.append(b, 4);
    }
  return s;
}

class Ply : public testing::Test {
 protected:
  Cloud parse(const std::string& bytes) {
    write_file(folder_ / "a.ply", bytes);
    return read_ply(folder_ / "a.ply");
  }
  const TemporaryFolder temporary_{"ply"};
  const fs::path folder_ = temporary_.path();
};

TEST_F(Ply, EachColumnLandsInItsPlace) {
  const Cloud c = parse(splat_file(splat_properties(45), 7));
  ASSERT_EQ(c.size(), 7);
  EXPECT_EQ(c.sh_degree(), 3);
  for (int64_t r = 0; r < 7; ++r) {
    EXPECT_EQ(c.means[r][1].item<float>(), value_of("y", r));
    EXPECT_EQ(c.quats[r][0].item<float>(), value_of("rot_0", r));
    EXPECT_EQ(c.quats[r][3].item<float>(), value_of("rot_3", r));
    EXPECT_EQ(c.scales[r][2].item<float>(), value_of("scale_2", r));
    EXPECT_EQ(c.opacities[r].item<float>(), value_of("opacity", r));
    EXPECT_EQ(c.sh0[r][0][2].item<float>(), value_of("f_dc_2", r));
    // Coefficient 4 of green: 15 reds stand before, channel-major.
    EXPECT_EQ(c.shN[r][4][1].item<float>(), value_of("f_rest_19", r));
  }
  EXPECT_TRUE(c.columns.empty()) << "normals of zero are not columns";
}

TEST_F(Ply, WritingWhatWasReadGivesTheSameBytes) {
  for (const int rest : {0, 9, 24, 45, 72}) {
    const std::string bytes = splat_file(splat_properties(rest), 1000);
    const Cloud c = parse(bytes);
    write_ply(folder_ / "b.ply", c);
    EXPECT_EQ(read_file(folder_ / "b.ply"), bytes) << rest;
  }
}

TEST_F(Ply, OrderTypesAndByteOrderDoNotMatter) {
  const Cloud want = parse(splat_file(splat_properties(9), 20));
  auto names = splat_properties(9);
  std::reverse(names.begin(), names.end());
  for (const char* format : {"binary_little_endian", "binary_big_endian", "ascii"}) {
    const Cloud c = parse(splat_file(names, 20, format));
    EXPECT_TRUE(at::equal(c.means, want.means)) << format;
    EXPECT_TRUE(at::equal(c.shN, want.shN)) << format;
    EXPECT_TRUE(at::equal(c.quats, want.quats)) << format;
  }
}

TEST_F(Ply, ExtraColumnsOfAnyTypeSurvive) {
  Cloud c = parse(splat_file(splat_properties(0), 5));
  c.columns["label"] = at::arange(5, at::kByte);
  c.columns["feature"] = at::arange(10, at::kFloat).reshape({5, 2});
  c.columns["age"] = at::arange(5, at::kLong);
  c.columns["nx"] = at::ones({5});
  c.antialiased = true;
  write_ply(folder_ / "b.ply", c);
  const Cloud d = read_ply(folder_ / "b.ply");
  EXPECT_TRUE(d.antialiased);
  EXPECT_EQ(d.columns.at("label").scalar_type(), at::kByte);
  EXPECT_TRUE(at::equal(d.columns.at("label"), c.columns["label"]));
  EXPECT_TRUE(at::equal(d.columns.at("feature_1"), c.columns["feature"].select(1, 1)));
  EXPECT_TRUE(at::equal(d.columns.at("age"), c.columns["age"].to(at::kDouble)));
  EXPECT_TRUE(at::equal(d.columns.at("nx"), c.columns["nx"]));
}

TEST_F(Ply, IntegersBeyond32BitsSurvive) {
  Cloud c = parse(splat_file(splat_properties(0), 3));
  const at::Tensor ids =
      at::tensor({int64_t{4294967295}, int64_t{-1}, int64_t{1} << 53}, at::kLong);
  c.columns["id"] = ids;
  write_ply(folder_ / "b.ply", c);
  write_ply(folder_ / "c.ply", read_ply(folder_ / "b.ply"));
  EXPECT_TRUE(at::equal(read_ply(folder_ / "c.ply").columns.at("id").to(at::kLong), ids));
}

TEST_F(Ply, NormalsWithAZeroComponentStayWhole) {
  Cloud c = parse(splat_file(splat_properties(0), 4));
  c.columns["nz"] = at::ones({4});
  write_ply(folder_ / "b.ply", c);
  for (const Cloud& d :
       {read_ply(folder_ / "b.ply"), open_ply(folder_ / "b.ply", false)->rows(0, 4)}) {
    ASSERT_EQ(d.columns.size(), 3u);
    EXPECT_TRUE(at::equal(d.columns.at("nx"), at::zeros({4})));
    EXPECT_TRUE(at::equal(d.columns.at("nz"), c.columns["nz"]));
  }
}

// Files of which the rows are kept in memory, and larger ones.
TEST_F(Ply, RowsComeByTheirPlacesFromSmallAndLargeFiles) {
  for (const int64_t n : {int64_t{5000}, int64_t{4500000}}) {
    std::string text = "ply\nformat binary_little_endian 1.0\nelement vertex " + std::to_string(n) +
                       "\nproperty double v\nend_header\n";
    std::vector<double> values(static_cast<size_t>(n));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(3 * i + 1);
    text.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
    write_file(folder_ / "rows.ply", text);
    const PlyFile file(folder_ / "rows.ply");
    const std::vector<int64_t> places = {n - 1, 0, 1, 2, n / 2, n / 2, 7, n - 2, n - 1};
    for (int turn = 0; turn < 2; ++turn) {
      std::vector<double> got(places.size());
      file.read(places, [&](int64_t first, int64_t count, const PlyRows& rows) {
        for (int64_t i = 0; i < count; ++i) got[static_cast<size_t>(first + i)] = rows.number(i, 0);
      });
      for (size_t i = 0; i < places.size(); ++i)
        EXPECT_EQ(got[i], static_cast<double>(3 * places[i] + 1)) << n << " " << i;
    }
  }
}

TEST_F(Ply, SelectTakesWholeRows) {
  Cloud c = parse(splat_file(splat_properties(9), 10));
  c.columns["label"] = at::arange(10);
  const Cloud d = select(c, at::tensor({7, 2}, at::kLong));
  d.check();
  EXPECT_EQ(d.size(), 2);
  EXPECT_EQ(d.means[0][0].item<float>(), value_of("x", 7));
  EXPECT_EQ(d.columns.at("label")[1].item<int64_t>(), 2);
  EXPECT_EQ(select(c, c.columns["label"] > 3).size(), 6);
}

TEST_F(Ply, CheckNamesTheTensorThatDoesNotFit) {
  Cloud c = parse(splat_file(splat_properties(9), 4));
  c.scales = at::zeros({3, 3});
  const Error e = error_of([&] { write_ply(folder_ / "b.ply", c); });
  EXPECT_EQ(e.where(), "scales");
  EXPECT_FALSE(fs::exists(folder_ / "b.ply"));
}

TEST_F(Ply, SameBytesWithAnyNumberOfThreads) {
  const std::string bytes = splat_file(splat_properties(45), 30000);
  set_threads(1);
  const Cloud one = parse(bytes);
  set_threads(3);
  const Cloud three = parse(bytes);
  set_threads(0);
  EXPECT_TRUE(at::equal(one.means, three.means));
  EXPECT_TRUE(at::equal(one.shN, three.shN));
}

struct Broken {
  const char* what;
  std::function<std::string()> bytes;
  const char* where;
  const char* message;
};

TEST_F(Ply, BrokenFilesAreNamed) {
  const auto without = [](const std::string& name) {
    auto names = splat_properties(9);
    std::erase(names, name);
    return splat_file(names, 3);
  };
  const auto edited = [](const std::string& from, const std::string& to) {
    std::string s = splat_file(splat_properties(9), 3);
    return s.replace(s.find(from), from.size(), to);
  };
  const std::vector<Broken> cases = {
      {"empty", [] { return std::string(); }, "a.ply", "not a .ply"},
      {"text", [] { return std::string("hello\n"); }, "a.ply", "not a .ply"},
      {"no end", [] { return std::string("ply\nformat ascii 1.0\n"); }, "a.ply", "end_header"},
      {"truncated", [] { return splat_file(splat_properties(9), 3).substr(0, 700); },
       "element vertex", "3 vertices"},
      {"absurd count", [&] { return edited("vertex 3", "vertex 9000000000000000000"); },
       "element vertex", "9000000000000000000 vertices"},
      {"negative count", [&] { return edited("vertex 3", "vertex -3"); }, "header", "bad line"},
      {"no rotation", [&] { return without("rot_2"); }, "vertex.rot_2", "missing"},
      {"no opacity", [&] { return without("opacity"); }, "vertex.opacity", "missing"},
      {"gap in f_rest", [&] { return without("f_rest_4"); }, "vertex.f_rest_*", "numbered up to 8"},
      {"odd f_rest", [&] { return splat_file(splat_properties(10), 3); }, "vertex.f_rest_*",
       "10 f_rest"},
      {"huge f_rest", [&] { return splat_file(splat_properties(105), 3); }, "vertex.f_rest_*",
       "105 f_rest"},
      {"unknown type", [&] { return edited("float z", "quad z"); }, "header", "quad"},
      {"twice", [&] { return edited("float y", "float x"); }, "vertex.x", "twice"},
      {"list", [&] { return edited("property float nx", "property list uchar int nx"); }, "vertex",
       "list"},
      {"unknown format", [&] { return edited("binary_little_endian", "zipped"); }, "format",
       "zipped"},
      {"NaN position",
       [] {
         std::string s = splat_file(splat_properties(9), 3);
         const float nan = NAN;
         std::memcpy(s.data() + s.size() - 26 * 4 + 4, &nan, 4);  // y of the last of 3 rows
         return s;
       },
       "vertex.x", "splat 2 is not finite"},
  };
  for (const Broken& b : cases) {
    const std::string bytes = b.bytes();
    const Error e = error_of([&] { parse(bytes); });
    EXPECT_EQ(e.code(), ExitCode::kData) << b.what;
    EXPECT_THAT(e.where(), HasSubstr("a.ply")) << b.what;
    EXPECT_THAT(e.where(), HasSubstr(b.where)) << b.what;
    EXPECT_THAT(e.message(), HasSubstr(b.message)) << b.what;
    EXPECT_FALSE(e.hint().empty()) << b.what;
  }
  EXPECT_EQ(error_of([&] { read_ply(folder_ / "gone.ply"); }).code(), ExitCode::kData);
}

}  // namespace
}  // namespace covary::scene
