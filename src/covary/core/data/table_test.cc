#include "covary/core/data/table.h"

#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/error_of.h"
#include "covary/core/base/file.h"
#include "covary/core/data/archive.h"
#include "covary/core/data/zip.h"

namespace covary::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("covary-table-" + std::to_string(::getpid()))) {
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  fs::path file(const std::string& name, const std::string& text) const {
    write_file(path_ / name, text);
    return path_ / name;
  }
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

TEST(Csv, HeaderNumbersAndMissingFields) {
  const Folder f;
  const Table t =
      read_table(f.file("a.csv", "a,b,\"c,\"\"d\"\n1,2.5e3,-3\n\n,nan,NA\r\n+4,?,inf\n"));
  EXPECT_THAT(t.names, ElementsAre("a", "b", "c,\"d"));
  ASSERT_EQ(t.rows, 3);
  EXPECT_EQ(t.at(0, 1), 2500);
  EXPECT_EQ(t.missing(), 4);
  EXPECT_TRUE(std::isnan(t.at(1, 0)));
  EXPECT_EQ(t.at(2, 2), std::numeric_limits<double>::infinity());
}

TEST(Csv, HeaderAndDelimiterAreGuessedOrTold) {
  const Folder f;
  const fs::path numbers = f.file("n.csv", "1;2\n3;4");
  EXPECT_EQ(read_table(numbers).rows, 2);
  EXPECT_THAT(read_table(numbers).names, ElementsAre("x0", "x1"));
  EXPECT_THAT(read_table(numbers, {.header = "yes"}).names, ElementsAre("1", "2"));
  EXPECT_EQ(read_table(f.file("t.csv", "a\tb\n1\t2\n")).at(0, 1), 2);
  EXPECT_EQ(read_table(f.file("c.csv",
                              "# made by hand\n\xef\xbb\xbf"
                              "a\n1\n"))
                .rows,
            1);
  EXPECT_EQ(error_of([&] { read_table(numbers, {.header = "maybe"}); }).code(), ExitCode::kUsage);
}

TEST(Csv, TextColumnsBecomeCodesInOrderOfAppearance) {
  const Folder f;
  const fs::path path = f.file("w.csv", "x,kind\n1,cat\n2,dog\n3,\n4,cat\n");
  const Table t = read_table(path);
  EXPECT_THAT(t.words[1], ElementsAre("cat", "dog"));
  EXPECT_EQ(t.at(3, 1), 0);
  EXPECT_TRUE(std::isnan(t.at(2, 1)));
  write_csv(f / "w2.csv", t);
  EXPECT_EQ(read_file(f / "w2.csv"), read_file(path));
  EXPECT_THAT(error_of([&] { read_table(path, {.allow_words = false}); }).what(),
              HasSubstr("w.csv:2, column 'kind': 'cat' is no number"));
}

TEST(Csv, FaultsNameLineAndColumn) {
  const Folder f;
  const auto fault = [&](const std::string& text) {
    return std::string(error_of([&] { read_table(f.file("b.csv", text)); }).what());
  };
  EXPECT_THAT(fault("a,b\n1,2\n3\n"), HasSubstr("b.csv:3: the row has 1 fields, the header 2"));
  EXPECT_THAT(fault("a,b\n1,2\n3,x\n"), HasSubstr("b.csv:3, column 'b': 'x' is no number"));
  EXPECT_THAT(fault("a,b\n1,\"2\n3,4\n"), HasSubstr("not closed"));
  EXPECT_THAT(fault("a,b\n1,\"2\"x\n"), HasSubstr("b.csv:2, column 2: a quoted field"));
  EXPECT_THAT(fault("a,\"b\nc\"\n1,2\n3\n"), HasSubstr("b.csv:4: the row"));
  EXPECT_THAT(fault("a,a\n1,2\n"), HasSubstr("two columns are named 'a'"));
  EXPECT_THAT(fault(""), HasSubstr("empty"));
  EXPECT_EQ(error_of([&] { read_table(f / "none.csv"); }).code(), ExitCode::kData);
  EXPECT_EQ(error_of([&] { read_table(fs::temp_directory_path()); }).code(), ExitCode::kData);
  EXPECT_THAT(error_of([&] { read_table(f.file("m.csv", "a,b,c\n"), {.max_columns = 2}); }).what(),
              HasSubstr("more than 2 columns"));
}

TEST(Csv, NumbersBeyondDoubleBecomeZeroOrInfinity) {
  const Folder f;
  const Table t = read_table(f.file("o.csv", "a,b,c\n1e-400,-1e400,1e308\n"));
  EXPECT_EQ(t.at(0, 0), 0);
  EXPECT_EQ(t.at(0, 1), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(t.at(0, 2), 1e308);
}

TEST(Csv, ChunksAreTheWholeTable) {
  const Folder f;
  std::string text = "a,b\n";
  for (int i = 0; i < 1000; ++i) text += std::to_string(i) + "," + std::to_string(i * i) + "\n";
  const Table whole = read_table(f.file("l.csv", text));
  TableReader reader(f / "l.csv", {});
  std::vector<double> values;
  int64_t chunks = 0;
  for (Table chunk; reader.next(300, chunk); ++chunks) {
    EXPECT_EQ(chunk.names, whole.names);
    values.insert(values.end(), chunk.values.begin(), chunk.values.end());
  }
  EXPECT_EQ(chunks, 4);
  EXPECT_EQ(values, whole.values);
}

RC_GTEST_PROP(CsvProperty, WhatIsWrittenIsReadBackToTheBit, ()) {
  const Folder f;
  Table t;
  const auto d = *rc::gen::inRange(1, 5);
  t.rows = *rc::gen::inRange(0, 6);
  for (int j = 0; j < d; ++j)
    t.names.push_back(*rc::gen::string<std::string>() + "_" + std::to_string(j));
  t.words.resize(t.names.size());
  for (int64_t i = 0; i < t.rows * d; ++i) {
    t.values.push_back(*rc::gen::element(0.1, -1e-300, 1e300, 3.0, std::nan(""), 5e-324, 1e22));
  }
  for (auto& name : t.names) {
    std::erase_if(name, [](char c) { return c == '\r' || c == '\0'; });
  }
  write_csv(f / "p.csv", t);
  const Table u = read_table(f / "p.csv", {.delimiter = ',', .header = "yes"});
  RC_ASSERT(u.names == t.names);
  RC_ASSERT(u.rows == t.rows);
  for (size_t i = 0; i < t.values.size(); ++i) {
    RC_ASSERT(u.values[i] == t.values[i] || (std::isnan(u.values[i]) && std::isnan(t.values[i])));
  }
}

TEST(Arff, NumericNominalMissingAndSparse) {
  const Folder f;
  const Table t = read_table(f.file("a.txt",
                                    "% a comment\n@RELATION 'two words'\n"
                                    "@attribute 'the x' REAL\n@ATTRIBUTE class {'a b', c}\n"
                                    "@data\n1.5,c\n?,'a b'\n{0 7}\n{1 c}\n"));
  EXPECT_THAT(t.names, ElementsAre("the x", "class"));
  EXPECT_THAT(t.words[1], ElementsAre("a b", "c"));
  ASSERT_EQ(t.rows, 4);
  EXPECT_EQ(t.at(0, 0), 1.5);
  EXPECT_EQ(t.at(0, 1), 1);
  EXPECT_TRUE(std::isnan(t.at(1, 0)));
  EXPECT_EQ(t.at(2, 0), 7);
  EXPECT_EQ(t.at(3, 1), 1);
}

TEST(Arff, FaultsNameLineAndColumn) {
  const Folder f;
  const std::string head = "@relation r\n@attribute x real\n@attribute y {a,b}\n@data\n";
  const auto fault = [&](const std::string& text) {
    return std::string(error_of([&] { read_table(f.file("b.arff", text)); }).what());
  };
  EXPECT_THAT(fault(head + "1\n"), HasSubstr("b.arff:5: the row has 1 fields"));
  EXPECT_THAT(fault(head + "1,a,2\n"), HasSubstr("more than 2 fields"));
  EXPECT_THAT(fault(head + "1,z\n"), HasSubstr("column 'y': 'z' is not in"));
  EXPECT_THAT(fault(head + "q,a\n"), HasSubstr("column 'x': 'q' is no number"));
  EXPECT_THAT(fault(head + "{9 1}\n"), HasSubstr("no index"));
  EXPECT_THAT(fault(head + "{0 1\n"), HasSubstr("not closed"));
  EXPECT_THAT(fault("@relation r\n@attribute x string\n"), HasSubstr("'string' is not read"));
  EXPECT_THAT(fault("@relation r\n@data\n1\n"), HasSubstr("no @attribute"));
  EXPECT_THAT(fault("@relation r\n"), HasSubstr("no @data"));
}

TEST(Arrays, NpyAndNpzBecomeTables) {
  const Folder f;
  Table t{{"a", "b"}, {{}, {}}, 2, {1, 2, 3, std::nan("")}};
  write_npy(f / "t.npy", t);
  const Table u = read_table(f / "t.npy");
  EXPECT_THAT(u.names, ElementsAre("x0", "x1"));
  EXPECT_EQ(u.at(1, 0), 3);
  EXPECT_TRUE(std::isnan(u.at(1, 1)));

  const std::vector<float> x = {1, 2, 3, 4, 5, 6};
  const std::vector<int64_t> y = {7, 8};
  CovWriter w(f / "t.npz");
  w.json({});
  w.array("X", DType::kFloat32, {2, 3}, x.data());
  w.array("y", DType::kInt64, {2}, y.data());
  w.commit();
  const Table v = read_table(f / "t.npz");
  EXPECT_THAT(v.names, ElementsAre("x0", "x1", "x2", "y"));
  EXPECT_EQ(v.at(1, 2), 6);
  EXPECT_EQ(v.at(1, 3), 8);
  TableReader reader(f / "t.npz", {});
  Table chunk;
  EXPECT_TRUE(reader.next(1, chunk));
  EXPECT_TRUE(reader.next(5, chunk));
  EXPECT_EQ(chunk.values.back(), 8);
  EXPECT_FALSE(reader.next(5, chunk));

  Array cube;
  cube.dtype = DType::kUInt8;
  cube.shape = {1, 1, 1};
  cube.bytes = {1};
  write_npy(f / "cube.npy", cube);
  EXPECT_THAT(error_of([&] { read_table(f / "cube.npy"); }).what(), HasSubstr("dimensions"));
  CovWriter bad(f / "bad.npz");
  bad.json({});
  bad.array("X", DType::kFloat32, {2, 3}, x.data());
  bad.array("y", DType::kInt64, {1}, y.data());
  bad.commit();
  EXPECT_THAT(error_of([&] { read_table(f / "bad.npz"); }).what(), HasSubstr("has 1 rows"));
}

TEST(Split, TargetWeightsAndColumns) {
  const Table t{{"a", "b", "w", "y"}, {{}, {}, {}, {}}, 2, {1, 2, 3, 4, 5, 6, 7, 8}};
  const TableSplit s = t.split({.target = "y", .weights = "w"});
  EXPECT_THAT(s.names, ElementsAre("a", "b"));
  EXPECT_THAT(s.x, ElementsAre(1, 2, 5, 6));
  EXPECT_THAT(s.y, ElementsAre(4, 8));
  EXPECT_THAT(s.weights, ElementsAre(3, 7));
  EXPECT_THAT(t.split({.columns = {"y", "a"}}).x, ElementsAre(4, 1, 8, 5));
  const Table named{{"strength", "b"}, {{}, {}}, 0, {}};
  EXPECT_THAT(error_of([&] { named.column("strenght"); }).hint(), HasSubstr("strength"));
  const Table negative{{"a", "w"}, {{}, {}}, 1, {1, -1}};
  EXPECT_THAT(error_of([&] { negative.split({.weights = "w"}); }).what(), HasSubstr("row 0"));
  const TableSplit both = t.split({.target = "y", .weights = "w", .noise = "b"});
  EXPECT_THAT(both.names, ElementsAre("a"));
  EXPECT_THAT(both.noise, ElementsAre(2, 6));
  EXPECT_THAT(error_of([&] { t.split({.target = "y", .noise = "y"}); }).what(), HasSubstr("noise"));
  EXPECT_THAT(error_of([&] { negative.split({.noise = "w"}); }).what(), HasSubstr("variance"));
}

TEST(RealTables, FaithfulAndAnArffOfClusters) {
  const char* root = std::getenv("COVARY_DATA");
  const fs::path data(root ? root : COVARY_SOURCE_DIR "/../shared/data");
  const fs::path faithful = data / "classic/faithful.csv";
  if (!fs::exists(faithful)) GTEST_SKIP() << "no data/classic here: set COVARY_DATA";
  const Table t = read_table(faithful);
  EXPECT_EQ(t.rows, 272);
  EXPECT_EQ(t.at(0, t.column("eruptions")), 3.6);
  const Table arff = read_table(data / "clustering/artificial/2d-10c.arff");
  EXPECT_EQ(arff.columns(), 3);
  EXPECT_GT(arff.rows, 1000);
}

}  // namespace
}  // namespace covary::data
