// Any `.ply` file as rows of scalars: header, checks, and the rows of one of its elements (its vertices,
// unless another is named) in blocks. Splats, point clouds and (later) meshes read through it.
//
//   PlyFile file("points.ply");
//   const int x = file.require("x");
//   file.read([&](int64_t first, int64_t count, const PlyRows& rows) {       // from several
//   threads, each block once
//     for (int64_t i = 0; i < count; ++i) use(first + i, rows.number(i, x)); });
//
// ASCII, little-endian and big-endian. The counts of the header are checked against the file's size
// before a block is read. Errors: Error(kData) naming the file and the line or property. Source:
// the PLY format as described by Greg Turk, 1994.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace covary::scene {

enum class PlyType { kInt8, kUInt8, kInt16, kUInt16, kInt32, kUInt32, kFloat32, kFloat64 };
size_t ply_size(PlyType type);
const char* ply_name(PlyType type);  // as headers are written: "float", "uchar"

struct PlyProperty {
  std::string name;
  PlyType type = PlyType::kFloat32;
  size_t offset = 0;  // in a row, bytes
};

// A block of rows in the machine's byte order.
struct PlyRows {
  const uint8_t* data;
  size_t stride;
  const std::vector<PlyProperty>& properties;

  double number(int64_t row, int property) const;
  float single(int64_t row, int property) const {
    const PlyProperty& p = properties[static_cast<size_t>(property)];
    if (p.type != PlyType::kFloat32) return static_cast<float>(number(row, property));
    float v;
    std::memcpy(&v, data + static_cast<size_t>(row) * stride + p.offset, sizeof v);
    return v;
  }
};

class PlyFile {
 public:
  // Error(kData) when there is no such element.
  explicit PlyFile(const std::filesystem::path& path, std::string element = "vertex");
  ~PlyFile();
  PlyFile(const PlyFile&) = delete;
  PlyFile& operator=(const PlyFile&) = delete;

  int64_t count() const { return count_; }  // rows
  // Whether the header has an element of this name, read or not.
  bool has_element(const std::string& name) const;
  const std::vector<PlyProperty>& properties() const { return properties_; }
  const std::vector<std::string>& comments() const { return comments_; }
  int find(const std::string& name) const;     // -1 when absent
  int require(const std::string& name) const;  // kData when absent
  const std::string& path() const { return path_; }

  using Body = std::function<void(int64_t first, int64_t count, const PlyRows& rows)>;
  void read(const Body& body) const;

  // Rows are reached by their place: binary files. `first` of the body counts from 0.
  bool has_places() const { return encoding_ != Encoding::kAscii; }
  // Rows begin .. begin + count - 1, or those of these places, in this order, of which ascending ones cost least. Memory is taken for
  // blocks of a megabyte, and for all rows of a small file (32 MB), which stay from the first call on: what reads so, reads
  // several times, and a look into the file for each row costs more than the rows. From one thread at a time.
  void read(int64_t begin, int64_t count, const Body& body) const;
  void read(std::span<const int64_t> places, const Body& body) const;

 private:
  enum class Encoding { kAscii, kLittle, kBig };
  void parse_header();
  using Fetch = std::function<void(int64_t first, int64_t rows, uint8_t* to)>;
  void in_blocks(int64_t count, const Fetch& fetch, const Body& body) const;
  void read_ascii(const Body& body) const;
  void keep_if_small() const;
  void copy_rows(int64_t first, int64_t rows, uint8_t* to) const;
  void fetch(uint64_t offset, void* to, size_t bytes) const;
  [[noreturn]] void fail(const std::string& what, const std::string& field = "") const;

  std::string path_, element_;
  std::vector<std::string> elements_;  // all of the header
  int file_ = -1;
  uint64_t size_ = 0, start_ = 0;  // bytes of the file; where the rows begin
  int64_t lines_before_ = 0;       // ASCII rows of elements before these
  Encoding encoding_ = Encoding::kLittle;
  int64_t count_ = 0;
  size_t stride_ = 0;
  std::vector<PlyProperty> properties_;
  std::vector<std::string> comments_;
  mutable std::unique_ptr<uint8_t[]> kept_;  // all rows, or null
};

}  // namespace covary::scene
