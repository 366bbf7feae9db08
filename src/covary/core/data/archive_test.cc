#include "covary/core/data/archive.h"

#include <zlib.h>

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/error_of.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/data/zip.h"

namespace covary::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

std::vector<uint8_t> npy(const std::string& dict, const std::string& body) {
  std::string s("\x93NUMPY\x01\x00", 8);
  s += static_cast<char>(dict.size());
  s += static_cast<char>(dict.size() >> 8);
  s += dict + body;
  return {s.begin(), s.end()};
}

class Archives : public testing::Test {
 protected:
  const TemporaryFolder temporary_{"archive"};
  const fs::path folder_ = temporary_.path();
};

TEST_F(Archives, NpyRoundTripKeepsTypeShapeAndBytes) {
  for (const DType t : {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kInt64,
                        DType::kUInt8, DType::kUInt16, DType::kBool})
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{}, {5}, {2, 3}, {0, 4}, {2, 1, 3}}) {
      Array a;
      a.dtype = t;
      a.shape = shape;
      a.bytes.resize(static_cast<size_t>(a.count()) * dtype_size(t));
      for (size_t i = 0; i < a.bytes.size(); ++i) a.bytes[i] = static_cast<uint8_t>(i % 2);
      write_npy(folder_ / "a.npy", a);
      const Array b = read_npy(folder_ / "a.npy");
      EXPECT_EQ(b.dtype, t);
      EXPECT_EQ(b.shape, shape);
      EXPECT_EQ(b.bytes, a.bytes);
      EXPECT_EQ(fs::file_size(folder_ / "a.npy") % 64, a.bytes.size() % 64) << "NumPy's alignment";
    }
}

TEST_F(Archives, ForeignByteOrderColumnOrderAndNarrowTypesAreRead) {
  const Array swapped = parse_npy(npy("{'descr': '>i4', 'fortran_order': False, 'shape': (2,), }",
                                      std::string("\0\0\1\2\0\0\0\7", 8)),
                                  "x");
  EXPECT_THAT(std::vector<int32_t>(swapped.as<int32_t>(), swapped.as<int32_t>() + 2),
              ElementsAre(258, 7));
  const Array columns =
      parse_npy(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", "abcdef"), "x");
  EXPECT_EQ(std::string(columns.bytes.begin(), columns.bytes.end()), "acebdf");
  const Array half = parse_npy(npy("{'descr': '<f2', 'fortran_order': False, 'shape': (3,), }",
                                   std::string("\x00\x3c\x00\xc0\x01\x00", 6)),
                               "x");
  EXPECT_EQ(half.dtype, DType::kFloat32);
  EXPECT_THAT(std::vector<float>(half.as<float>(), half.as<float>() + 3),
              ElementsAre(1.0f, -2.0f, std::ldexp(1.0f, -24)));
  const Array small =
      parse_npy(npy("{'descr': '<i2', 'fortran_order': False, 'shape': (1,), }", "\xfe\xff"), "x");
  EXPECT_EQ(small.as<int32_t>()[0], -2);
}

TEST_F(Archives, BadNpyHeadersAreNamed) {
  const auto message = [&](const std::string& dict) -> std::string {
    return error_of([&] { parse_npy(npy(dict, "12345678"), "f.npy"); }).what();
  };
  EXPECT_THAT(message("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"),
              HasSubstr("1000000000000 values"));
  EXPECT_THAT(
      message("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }"),
      HasSubstr("shape"));
  EXPECT_THAT(message("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"),
              HasSubstr("shape"));
  EXPECT_THAT(message("{'descr': '|O8', 'fortran_order': False, 'shape': (1,), }"),
              HasSubstr("type"));
  EXPECT_THAT(message("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"),
              HasSubstr("records"));
  EXPECT_THAT(message("{'fortran_order': False, 'shape': (1,), }"), HasSubstr("descr"));
  EXPECT_THAT(error_of([] { parse_npy({1, 2, 3}, "f.npy"); }).what(), HasSubstr("f.npy"));
}

TEST_F(Archives, CovHoldsDocumentAndArraysAndOpensAsNpz) {
  const std::vector<float> means = {1, 2, 3, 4, 5, 6};
  const std::vector<int64_t> step = {700};
  {
    CovWriter w(folder_ / "s.cov");
    w.json({{"schema", "test"}, {"step", 700}});
    w.array("means", DType::kFloat32, {2, 3}, means.data());
    w.array("adam/step", DType::kInt64, {}, step.data());
    w.commit();
  }
  const CovReader r(folder_ / "s.cov");
  EXPECT_EQ(r.json()["step"], 700);
  EXPECT_THAT(r.names(), ElementsAre("adam/step", "means"));
  EXPECT_TRUE(r.has("means"));
  EXPECT_FALSE(r.has("quats"));
  const Array a = r.array("means");
  EXPECT_THAT(a.shape, ElementsAre(2, 3));
  EXPECT_EQ(std::memcmp(a.bytes.data(), means.data(), 24), 0);
  EXPECT_EQ(r.array("adam/step").as<int64_t>()[0], 700);
  EXPECT_THAT(error_of([&] { r.array("quats"); }).where(), HasSubstr("s.cov: quats"));
  EXPECT_EQ(read_npz(folder_ / "s.cov").size(), 2u);
}

TEST_F(Archives, WithoutCommitNothingIsLeft) {
  {
    CovWriter w(folder_ / "s.cov");
    w.json({});
  }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Archives, OneAlteredOrMissingByteIsSeen) {
  const std::vector<float> values(100, 1.5f);
  CovWriter w(folder_ / "s.cov");
  w.json({{"a", 1}});
  w.array("v", DType::kFloat32, {100}, values.data());
  w.commit();
  std::string bytes = read_file(folder_ / "s.cov");
  const size_t body = bytes.find("NUMPY") + 200;
  bytes[body] = static_cast<char>(bytes[body] ^ 1);
  write_file(folder_ / "t.cov", bytes);
  const Error altered = error_of([&] { CovReader(folder_ / "t.cov").array("v"); });
  EXPECT_THAT(altered.what(), HasSubstr("t.cov: v.npy: the checksum"));
  EXPECT_FALSE(altered.hint().empty());
  write_file(folder_ / "t.cov", bytes.substr(0, bytes.size() - 1));
  EXPECT_EQ(error_of([&] { CovReader(folder_ / "t.cov"); }).code(), ExitCode::kData);
}

// A ZIP with one deflated entry, made by hand as NumPy's savez_compressed does.
std::string deflated(const std::string& name, const std::vector<uint8_t>& content,
                     uint32_t stated) {
  std::string packed(compressBound(content.size()) + 64, 0);
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  z.next_in = const_cast<Bytef*>(content.data());
  z.avail_in = static_cast<uInt>(content.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = static_cast<uInt>(packed.size());
  deflate(&z, Z_FINISH);
  packed.resize(z.total_out);
  deflateEnd(&z);
  const auto u16 = [](uint32_t v) {
    return std::string{static_cast<char>(v), static_cast<char>(v >> 8)};
  };
  const auto u32 = [&](uint32_t v) { return u16(v & 0xffff) + u16(v >> 16); };
  const auto crc =
      static_cast<uint32_t>(crc32(0, content.data(), static_cast<uInt>(content.size())));
  const std::string middle = u16(20) + u16(0) + u16(8) + u32(0) + u32(crc) +
                             u32(static_cast<uint32_t>(packed.size())) + u32(stated) +
                             u16(static_cast<uint32_t>(name.size())) + u16(0);
  const std::string local = u32(0x04034b50) + middle + name + packed;
  const std::string central =
      u32(0x02014b50) + u16(20) + middle + u16(0) + u16(0) + u16(0) + u32(0) + u32(0) + name;
  return local + central + u32(0x06054b50) + u32(0) + u16(1) + u16(1) +
         u32(static_cast<uint32_t>(central.size())) + u32(static_cast<uint32_t>(local.size())) +
         u16(0);
}

TEST_F(Archives, DeflatedEntriesAreReadAndTheirSizesChecked) {
  const auto content =
      npy("{'descr': '|u1', 'fortran_order': False, 'shape': (5000,), }", std::string(5000, 'x'));
  const auto size = static_cast<uint32_t>(content.size());
  write_file(folder_ / "z.npz", deflated("x.npy", content, size));
  EXPECT_THAT(read_npz(folder_ / "z.npz").at("x").bytes, testing::Each('x'));
  for (const uint32_t stated : {size - 1, size + 1, 0xfffffff0u}) {
    write_file(folder_ / "z.npz", deflated("x.npy", content, stated));
    EXPECT_THAT(error_of([&] { read_npz(folder_ / "z.npz"); }).what(),
                HasSubstr("x.npy: the entry"))
        << stated;
  }
}

}  // namespace
}  // namespace covary::data
