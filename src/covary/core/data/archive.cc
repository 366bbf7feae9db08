#include "covary/core/data/archive.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/data/zip.h"

namespace covary::data {
namespace {

static_assert(std::endian::native == std::endian::little,
              "arrays are little-endian on disk and in memory");

constexpr const char* kHint =
    "the file is damaged, or no NumPy file: write it again with numpy.save";
constexpr const char* kDocument = "model.json";

// How a type of NumPy's becomes one of ours; types that we lack are widened without loss.
struct Kind {
  const char* code;
  DType dtype;
  size_t size;
  double (*to_double)(const uint8_t*);  // null: same bytes
};

template <class T>
double value(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return static_cast<double>(v);
}

double half(const uint8_t* p) {
  uint16_t h;
  std::memcpy(&h, p, 2);
  const int exponent = (h >> 10) & 31, fraction = h & 1023;
  double v = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  if (exponent == 31) v = fraction ? std::nan("") : INFINITY;
  return h & 0x8000 ? -v : v;
}

constexpr Kind kKinds[] = {
    {"f4", DType::kFloat32, 4, nullptr},       {"f8", DType::kFloat64, 8, nullptr},
    {"i4", DType::kInt32, 4, nullptr},         {"i8", DType::kInt64, 8, nullptr},
    {"u1", DType::kUInt8, 1, nullptr},         {"u2", DType::kUInt16, 2, nullptr},
    {"b1", DType::kBool, 1, nullptr},          {"f2", DType::kFloat32, 2, half},
    {"i1", DType::kInt32, 1, value<int8_t>},   {"i2", DType::kInt32, 2, value<int16_t>},
    {"u4", DType::kInt64, 4, value<uint32_t>},
};

const char* code_of(DType t) {
  switch (t) {
    case DType::kFloat32:
      return "<f4";
    case DType::kFloat64:
      return "<f8";
    case DType::kInt32:
      return "<i4";
    case DType::kInt64:
      return "<i8";
    case DType::kUInt8:
      return "|u1";
    case DType::kUInt16:
      return "<u2";
    case DType::kBool:
      return "|b1";
  }
  return "";
}

// The value after 'key': in the header's Python dictionary.
std::string_view field(std::string_view header, std::string_view key, const std::string& where) {
  const std::string quoted = "'" + std::string(key) + "'";
  size_t at = header.find(quoted);
  if (at != std::string_view::npos) at = header.find(':', at + quoted.size());
  if (at == std::string_view::npos)
    throw Error(ExitCode::kData, "the header has no " + quoted, where, kHint);
  header.remove_prefix(at + 1);
  while (!header.empty() && header.front() == ' ') header.remove_prefix(1);
  return header;
}

struct NpyHeader {
  const Kind* kind = nullptr;
  bool swapped = false, fortran = false;
  std::vector<int64_t> shape;
  int64_t count = 1;
};

NpyHeader parse_header(std::string_view text, const std::string& where) {
  NpyHeader h;
  const std::string_view descr = field(text, "descr", where);
  if (descr.size() < 5 || descr[0] != '\'' || descr[4] != '\'')
    throw Error(ExitCode::kData, "the type of the array is not read (records, strings or objects)",
                where, "save it as a plain array of numbers");
  const std::string_view code = descr.substr(2, 2);
  for (const Kind& k : kKinds)
    if (code == k.code) h.kind = &k;
  if (!h.kind || (descr[1] != '<' && descr[1] != '>' && descr[1] != '|' && descr[1] != '='))
    throw Error(ExitCode::kData,
                "the type '" + std::string(descr.substr(1, 3)) + "' of the array is not read",
                where, "save it as float32, float64, int32, int64, uint8 or bool");
  h.swapped = descr[1] == '>' && h.kind->size > 1;
  const std::string_view order = field(text, "fortran_order", where);
  if (!order.starts_with("True") && !order.starts_with("False"))
    throw Error(ExitCode::kData, "the header's 'fortran_order' is neither True nor False", where,
                kHint);
  h.fortran = order.starts_with("True");
  std::string_view shape = field(text, "shape", where);
  const size_t close = shape.find(')');
  if (shape.empty() || shape[0] != '(' || close == std::string_view::npos)
    throw Error(ExitCode::kData, "the header's 'shape' is no tuple", where, kHint);
  shape = shape.substr(1, close - 1);
  while (!shape.empty()) {
    if (shape[0] == ' ' || shape[0] == ',') {
      shape.remove_prefix(1);
      continue;
    }
    int64_t n = -1;
    const auto [end, fault] = std::from_chars(shape.data(), shape.data() + shape.size(), n);
    if (fault != std::errc() || n < 0 || h.shape.size() >= 32 ||
        __builtin_mul_overflow(h.count, n, &h.count))
      throw Error(ExitCode::kData, "the header's 'shape' is absurd", where, kHint);
    h.shape.push_back(n);
    shape.remove_prefix(static_cast<size_t>(end - shape.data()));
  }
  return h;
}

// Column-major to row-major.
std::vector<uint8_t> to_c_order(const std::vector<uint8_t>& in, const std::vector<int64_t>& shape,
                                size_t size) {
  std::vector<uint8_t> out(in.size());
  std::vector<int64_t> index(shape.size(), 0);
  for (size_t from = 0; from + size <= in.size(); from += size) {
    int64_t to = 0;
    for (size_t d = 0; d < shape.size(); ++d) to = to * shape[d] + index[d];
    std::memcpy(out.data() + static_cast<size_t>(to) * size, in.data() + from, size);
    for (size_t d = 0; d < shape.size() && ++index[d] == shape[d]; ++d) index[d] = 0;
  }
  return out;
}

std::string npy_header(DType dtype, const std::vector<int64_t>& shape) {
  std::string dict =
      std::string("{'descr': '") + code_of(dtype) + "', 'fortran_order': False, 'shape': (";
  for (const int64_t n : shape) dict += std::to_string(n) + (shape.size() == 1 ? "," : ", ");
  if (shape.size() > 1) dict.resize(dict.size() - 2);
  dict += "), }";
  std::string out("\x93NUMPY\x01\x00", 8);
  const size_t padded = (10 + dict.size() + 1 + 63) / 64 * 64;  // NumPy aligns the data to 64 bytes
  dict.append(padded - 10 - dict.size() - 1, ' ');
  dict += '\n';
  out += static_cast<char>(dict.size() & 255);
  out += static_cast<char>(dict.size() >> 8);
  return out + dict;
}

int64_t count_of(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (const int64_t d : shape)
    if (d < 0 || __builtin_mul_overflow(n, d, &n))
      throw Error(ExitCode::kFailed, "bad shape of an array");
  return n;
}

std::span<const uint8_t> as_bytes(std::string_view s) {
  return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

}  // namespace

size_t dtype_size(DType t) {
  switch (t) {
    case DType::kFloat64:
    case DType::kInt64:
      return 8;
    case DType::kFloat32:
    case DType::kInt32:
      return 4;
    case DType::kUInt16:
      return 2;
    case DType::kUInt8:
    case DType::kBool:
      return 1;
  }
  return 0;
}

int64_t Array::count() const { return count_of(shape); }

namespace {

// The header in the first bytes of an .npy of `size` bytes, which holds the values that it says; `start` is where they begin.
NpyHeader header_of(std::span<const uint8_t> bytes, uint64_t file_size, const std::string& where,
                    size_t* start) {
  if (bytes.size() < 10 || std::memcmp(bytes.data(), "\x93NUMPY", 6) != 0)
    throw Error(ExitCode::kData, "not an .npy array", where, kHint);
  const int major = bytes[6];
  size_t begin = 10, length = bytes[8] | bytes[9] << 8;
  if (major >= 2) {
    if (major > 3 || bytes.size() < 12)
      throw Error(ExitCode::kData, "unknown .npy version", where, kHint);
    begin = 12;
    length |= static_cast<size_t>(bytes[10]) << 16 | static_cast<size_t>(bytes[11]) << 24;
  }
  if (length > bytes.size() - begin)
    throw Error(ExitCode::kData, "the header is truncated", where, kHint);
  NpyHeader h = parse_header({reinterpret_cast<const char*>(bytes.data()) + begin, length}, where);
  *start = begin + length;
  const uint64_t have = (std::max<uint64_t>(file_size, *start) - *start) / h.kind->size;
  if (static_cast<uint64_t>(h.count) > have)
    throw Error(ExitCode::kData,
                "the header says " + std::to_string(h.count) + " values, but " +
                    std::to_string(have) + " are there",
                where, kHint);
  return h;
}

}  // namespace

Array parse_npy(std::vector<uint8_t> bytes, const std::string& where) {
  size_t start = 0;
  const NpyHeader h = header_of(bytes, bytes.size(), where, &start);
  const size_t size = h.kind->size;
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(start));
  bytes.resize(static_cast<size_t>(h.count) * size);
  if (h.swapped)
    for (size_t i = 0; i < bytes.size(); i += size)
      std::reverse(bytes.begin() + i, bytes.begin() + i + size);
  if (h.fortran && h.shape.size() > 1) bytes = to_c_order(bytes, h.shape, size);
  Array array;
  array.dtype = h.kind->dtype;
  array.shape = h.shape;
  if (!h.kind->to_double) {
    array.bytes = std::move(bytes);
    return array;
  }
  array.bytes.resize(static_cast<size_t>(h.count) * dtype_size(array.dtype));
  for (int64_t i = 0; i < h.count; ++i) {
    const double v = h.kind->to_double(bytes.data() + static_cast<size_t>(i) * size);
    if (array.dtype == DType::kFloat32) array.as<float>()[i] = static_cast<float>(v);
    if (array.dtype == DType::kInt32) array.as<int32_t>()[i] = static_cast<int32_t>(v);
    if (array.dtype == DType::kInt64) array.as<int64_t>()[i] = static_cast<int64_t>(v);
  }
  return array;
}

Array read_npy(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  const auto bytes = as_bytes(text);
  return parse_npy({bytes.begin(), bytes.end()}, path.string());
}

NpyInfo npy_info(const std::filesystem::path& path) {
  std::string start(1 << 17, 0);  // no header that NumPy writes is longer
  std::ifstream file(path, std::ios::binary);
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<size_t>(std::max<std::streamsize>(0, file.gcount())));
  if (start.empty()) start = read_file(path);  // which says why it cannot be read
  std::error_code fault;
  const uint64_t size = std::filesystem::file_size(path, fault);
  size_t begin = 0;
  NpyHeader h = header_of(as_bytes(start), fault ? start.size() : size, path.string(), &begin);
  return {h.kind->dtype, std::move(h.shape)};
}

void write_npy(const std::filesystem::path& path, const Array& array) {
  if (array.bytes.size() != static_cast<size_t>(array.count()) * dtype_size(array.dtype))
    throw Error(ExitCode::kFailed, "an array's bytes do not match its shape", path.string());
  AtomicFile file(path);
  file.write(npy_header(array.dtype, array.shape));
  file.write(array.bytes.data(), array.bytes.size());
  file.commit();
}

std::map<std::string, Array> read_npz(const std::filesystem::path& path) {
  const ZipReader zip(path);
  std::map<std::string, Array> arrays;
  for (const ZipEntry& e : zip.entries())
    if (e.name.ends_with(".npy"))
      arrays[e.name.substr(0, e.name.size() - 4)] = parse_npy(zip.read(e), zip.where(e.name));
  return arrays;
}

struct CovWriter::Impl {
  explicit Impl(std::filesystem::path path) : zip(std::move(path)) {}
  ZipWriter zip;
  bool documented = false;
};

CovWriter::CovWriter(std::filesystem::path path) : impl_(std::make_unique<Impl>(std::move(path))) {}
CovWriter::~CovWriter() = default;

void CovWriter::json(const nlohmann::json& document) {
  impl_->zip.add(kDocument, {as_bytes(document.dump())});
  impl_->documented = true;
}

void CovWriter::array(const std::string& name, DType dtype, const std::vector<int64_t>& shape,
                      const void* data) {
  const size_t size = static_cast<size_t>(count_of(shape)) * dtype_size(dtype);
  impl_->zip.add(name + ".npy", {as_bytes(npy_header(dtype, shape)),
                                 std::span(static_cast<const uint8_t*>(data), size)});
}

void CovWriter::commit() {
  if (!impl_->documented)
    throw Error(ExitCode::kFailed, "a .cov file needs its JSON document before commit");
  impl_->zip.commit();
}

struct CovReader::Impl {
  explicit Impl(const std::filesystem::path& path) : zip(path) {}
  ZipReader zip;
  std::map<std::string, const ZipEntry*> entries;
  nlohmann::json document;
};

CovReader::CovReader(const std::filesystem::path& path) : impl_(std::make_unique<Impl>(path)) {
  for (const ZipEntry& e : impl_->zip.entries()) impl_->entries[e.name] = &e;
  const auto found = impl_->entries.find(kDocument);
  if (found == impl_->entries.end())
    throw Error(ExitCode::kData, "no model.json inside: not a .cov file", path.string(),
                "read it as an .npz");
  const std::vector<uint8_t> text = impl_->zip.read(*found->second);
  impl_->document = nlohmann::json::parse(text, nullptr, false);
  if (impl_->document.is_discarded())
    throw Error(ExitCode::kData, "not valid JSON", impl_->zip.where(kDocument),
                "the file is damaged: write it again");
}
CovReader::~CovReader() = default;

const nlohmann::json& CovReader::json() const { return impl_->document; }

std::vector<std::string> CovReader::names() const {
  std::vector<std::string> out;
  for (const auto& [name, entry] : impl_->entries)
    if (name.ends_with(".npy")) out.push_back(name.substr(0, name.size() - 4));
  return out;
}

bool CovReader::has(const std::string& name) const {
  return impl_->entries.contains(name + ".npy");
}

Array CovReader::array(const std::string& name) const {
  const auto found = impl_->entries.find(name + ".npy");
  if (found == impl_->entries.end())
    throw Error(ExitCode::kData, "there is no such array", impl_->zip.where(name),
                "the file was written by another version");
  return parse_npy(impl_->zip.read(*found->second), impl_->zip.where(name));
}

}  // namespace covary::data
