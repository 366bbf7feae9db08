#include "covary/splat/scene/ply_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <sstream>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"

namespace covary::scene {
namespace {

static_assert(std::endian::native == std::endian::little,
              "rows are handed out in the machine's order");

constexpr uint64_t kMostHeader = 1 << 20;  // bytes
constexpr size_t kMostProperties = 4096;
constexpr size_t kBlockBytes = 1 << 20;
constexpr uint64_t kMostKept = 32 << 20;  // bytes of rows
constexpr const char* kHint = "the file is damaged or incomplete: write it again";

struct TypeName {
  const char* name;
  PlyType type;
};
constexpr TypeName kTypes[] = {
    {"char", PlyType::kInt8},       {"uchar", PlyType::kUInt8},    {"short", PlyType::kInt16},
    {"ushort", PlyType::kUInt16},   {"int", PlyType::kInt32},      {"uint", PlyType::kUInt32},
    {"float", PlyType::kFloat32},   {"double", PlyType::kFloat64}, {"int8", PlyType::kInt8},
    {"uint8", PlyType::kUInt8},     {"int16", PlyType::kInt16},    {"uint16", PlyType::kUInt16},
    {"int32", PlyType::kInt32},     {"uint32", PlyType::kUInt32},  {"float32", PlyType::kFloat32},
    {"float64", PlyType::kFloat64},
};

template <class T>
double load(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return static_cast<double>(v);
}

// Values outside an integer type become its nearest: a cast would be undefined.
template <class T>
void store(uint8_t* p, double v) {
  T t;
  if constexpr (std::is_integral_v<T>) {
    t = v >= static_cast<double>(std::numeric_limits<T>::max())  ? std::numeric_limits<T>::max()
        : v > static_cast<double>(std::numeric_limits<T>::min()) ? static_cast<T>(v)
                                                                 : std::numeric_limits<T>::min();
  } else {
    t = static_cast<T>(v);
  }
  std::memcpy(p, &t, sizeof t);
}

void store_as(PlyType type, uint8_t* p, double v) {
  switch (type) {
    case PlyType::kInt8:
      return store<int8_t>(p, v);
    case PlyType::kUInt8:
      return store<uint8_t>(p, v);
    case PlyType::kInt16:
      return store<int16_t>(p, v);
    case PlyType::kUInt16:
      return store<uint16_t>(p, v);
    case PlyType::kInt32:
      return store<int32_t>(p, v);
    case PlyType::kUInt32:
      return store<uint32_t>(p, v);
    case PlyType::kFloat32:
      return store<float>(p, v);
    case PlyType::kFloat64:
      return store<double>(p, v);
  }
}

}  // namespace

size_t ply_size(PlyType type) {
  switch (type) {
    case PlyType::kInt8:
    case PlyType::kUInt8:
      return 1;
    case PlyType::kInt16:
    case PlyType::kUInt16:
      return 2;
    case PlyType::kInt32:
    case PlyType::kUInt32:
    case PlyType::kFloat32:
      return 4;
    case PlyType::kFloat64:
      return 8;
  }
  return 0;
}

const char* ply_name(PlyType type) {
  for (const TypeName& t : kTypes)
    if (t.type == type) return t.name;
  return "";
}

double PlyRows::number(int64_t row, int property) const {
  const PlyProperty& p = properties[static_cast<size_t>(property)];
  const uint8_t* at = data + static_cast<size_t>(row) * stride + p.offset;
  switch (p.type) {
    case PlyType::kInt8:
      return load<int8_t>(at);
    case PlyType::kUInt8:
      return load<uint8_t>(at);
    case PlyType::kInt16:
      return load<int16_t>(at);
    case PlyType::kUInt16:
      return load<uint16_t>(at);
    case PlyType::kInt32:
      return load<int32_t>(at);
    case PlyType::kUInt32:
      return load<uint32_t>(at);
    case PlyType::kFloat32:
      return load<float>(at);
    case PlyType::kFloat64:
      return load<double>(at);
  }
  return 0;
}

void PlyFile::fail(const std::string& what, const std::string& field) const {
  throw Error(ExitCode::kData, what, field.empty() ? path_ : path_ + ": " + field, kHint);
}

PlyFile::PlyFile(const std::filesystem::path& path, std::string element)
    : path_(path.string()), element_(std::move(element)) {
  file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status{};
  if (file_ < 0 || fstat(file_, &status) != 0 || !S_ISREG(status.st_mode)) {
    const std::string reason = file_ < 0 ? std::strerror(errno) : "not a file";
    if (file_ >= 0) close(file_);
    throw Error(ExitCode::kData, "cannot open the file (" + reason + ")", path_, "check the path");
  }
  size_ = static_cast<uint64_t>(status.st_size);
  try {
    parse_header();
  } catch (...) {
    close(file_);
    throw;
  }
}

PlyFile::~PlyFile() { close(file_); }

void PlyFile::fetch(uint64_t offset, void* to, size_t bytes) const {
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = pread(file_, static_cast<char*>(to) + done, bytes - done,
                            static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("the file ends too early");
    done += static_cast<size_t>(n);
  }
}

void PlyFile::parse_header() {
  std::string text(std::min(size_, kMostHeader), 0);
  fetch(0, text.data(), text.size());
  size_t at = 0;
  const auto next_line = [&] {
    const size_t end = text.find('\n', at);
    if (end == std::string::npos) fail("the header has no end_header");
    std::string line = text.substr(at, end - at);
    at = end + 1;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return line;
  };
  if (text.compare(0, 3, "ply") != 0 || next_line() != "ply")
    throw Error(ExitCode::kData, "not a .ply file", path_, "check that this is the right file");
  bool format = false, found = false, lists = false;
  std::string element;
  int64_t rows = 0;
  uint64_t before = 0;  // bytes of the elements before ours
  size_t stride = 0;
  const auto close_element = [&] {
    if (element.empty()) return;
    elements_.push_back(element);
    if (element == element_) {
      found = true;
      count_ = rows;
      stride_ = stride;
      if (lists) fail("a list among the " + element + " properties is not read", element);
    } else if (!found) {
      uint64_t bytes = 0;
      if (__builtin_mul_overflow(static_cast<uint64_t>(rows), stride, &bytes) ||
          __builtin_add_overflow(before, bytes, &before))
        fail("the count " + std::to_string(rows) + " is absurd", "element " + element);
      if (lists && encoding_ != Encoding::kAscii)
        fail("lists before the element " + element_ + " are not read", "element " + element);
      lines_before_ += rows;
    }
  };
  for (std::string line = next_line(); line != "end_header"; line = next_line()) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word.empty() || word == "obj_info") continue;
    if (word == "comment") {
      comments_.push_back(line.size() > 8 ? line.substr(8) : "");
      continue;
    }
    if (word == "format") {
      std::string kind, version;
      words >> kind >> version;
      if (kind == "ascii")
        encoding_ = Encoding::kAscii;
      else if (kind == "binary_little_endian")
        encoding_ = Encoding::kLittle;
      else if (kind == "binary_big_endian")
        encoding_ = Encoding::kBig;
      else
        fail("unknown format '" + kind + "'", "format");
      format = true;
    } else if (word == "element") {
      close_element();
      if (!(words >> element >> rows) || rows < 0) fail("bad line '" + line + "'", "header");
      if (element == element_ && found) fail("two " + element + " elements", "header");
      lists = false;
      stride = 0;
    } else if (word == "property") {
      if (element.empty()) fail("a property before any element", "header");
      std::string type;
      PlyProperty p;
      words >> type;
      if (type == "list") {
        lists = true;
        continue;
      }
      words >> p.name;
      const auto* known = std::find_if(std::begin(kTypes), std::end(kTypes),
                                       [&](const TypeName& t) { return type == t.name; });
      if (p.name.empty() || known == std::end(kTypes)) fail("bad line '" + line + "'", "header");
      p.type = known->type;
      p.offset = stride;
      stride += ply_size(p.type);
      if (element != element_ || found) continue;
      if (find(p.name) >= 0) fail("the property is there twice", element_ + "." + p.name);
      if (properties_.size() == kMostProperties) fail("more than 4096 properties", element_);
      properties_.push_back(std::move(p));
    } else {
      fail("bad line '" + line + "'", "header");
    }
  }
  close_element();
  if (!format) fail("the header has no format line", "header");
  if (!found) fail("there is no " + element_ + " element", "header");
  start_ = at;
  // A row takes at least its bytes; in ASCII at least a digit and a separator each property.
  uint64_t left = size_ - start_;
  if (encoding_ != Encoding::kAscii) {
    if (before > left) fail("the elements before " + element_ + " do not fit the file");
    start_ += before;
    left -= before;
  }
  const uint64_t row = encoding_ == Encoding::kAscii ? std::max<size_t>(1, 2 * properties_.size())
                                                     : std::max<size_t>(1, stride_);
  if (static_cast<uint64_t>(count_) > (left + (encoding_ == Encoding::kAscii ? 1 : 0)) / row)
    fail("the header says " + std::to_string(count_) +
             (element_ == "vertex" ? " vertices" : " rows") + ", but " + std::to_string(left) +
             " bytes follow, enough for " + std::to_string(left / row),
         "element " + element_);
}

bool PlyFile::has_element(const std::string& name) const {
  return std::find(elements_.begin(), elements_.end(), name) != elements_.end();
}

int PlyFile::find(const std::string& name) const {
  for (size_t i = 0; i < properties_.size(); ++i)
    if (properties_[i].name == name) return static_cast<int>(i);
  return -1;
}

int PlyFile::require(const std::string& name) const {
  const int i = find(name);
  if (i < 0) {
    throw Error(ExitCode::kData, "the property is missing", path_ + ": " + element_ + "." + name,
                "check that this is the right kind of file");
  }
  return i;
}

void PlyFile::read(const Body& body) const {
  if (count_ == 0 || stride_ == 0) return;
  if (encoding_ == Encoding::kAscii)
    read_ascii(body);
  else
    in_blocks(
        count_,
        [&](int64_t first, int64_t rows, uint8_t* to) {
          fetch(start_ + static_cast<uint64_t>(first) * stride_, to,
                static_cast<size_t>(rows) * stride_);
        },
        body);
}

void PlyFile::keep_if_small() const {
  const uint64_t bytes = static_cast<uint64_t>(count_) * stride_;
  if (kept_ || bytes == 0 || bytes > kMostKept) return;
  auto all = std::make_unique_for_overwrite<uint8_t[]>(bytes);
  fetch(start_, all.get(), bytes);
  kept_ = std::move(all);
}

void PlyFile::copy_rows(int64_t first, int64_t rows, uint8_t* to) const {
  const size_t at = static_cast<size_t>(first) * stride_,
               bytes = static_cast<size_t>(rows) * stride_;
  if (kept_)
    std::memcpy(to, kept_.get() + at, bytes);
  else
    fetch(start_ + at, to, bytes);
}

void PlyFile::read(int64_t begin, int64_t count, const Body& body) const {
  keep_if_small();
  in_blocks(
      count, [&](int64_t first, int64_t rows, uint8_t* to) { copy_rows(begin + first, rows, to); },
      body);
}

void PlyFile::read(std::span<const int64_t> places, const Body& body) const {
  keep_if_small();
  in_blocks(
      static_cast<int64_t>(places.size()),
      [&](int64_t first, int64_t rows, uint8_t* to) {
        for (int64_t i = 0, run = 1; i < rows; i += run) {
          const int64_t place = places[static_cast<size_t>(first + i)];
          for (run = 1;
               i + run < rows && places[static_cast<size_t>(first + i + run)] == place + run;)
            ++run;
          copy_rows(place, run, to + static_cast<size_t>(i) * stride_);
        }
      },
      body);
}

void PlyFile::in_blocks(int64_t count, const Fetch& fetch, const Body& body) const {
  if (count == 0 || stride_ == 0) return;
  const int64_t block = std::max<int64_t>(1, static_cast<int64_t>(kBlockBytes / stride_));
  const int64_t blocks = (count + block - 1) / block;
  std::vector<std::vector<uint8_t>> scratch(static_cast<size_t>(threads()));
  parallel_tasks(blocks, [&](int64_t b, int worker) {
    const int64_t first = b * block, rows = std::min(block, count - first);
    std::vector<uint8_t>& data = scratch[static_cast<size_t>(worker)];
    data.resize(static_cast<size_t>(rows) * stride_);
    fetch(first, rows, data.data());
    if (encoding_ == Encoding::kBig)
      for (int64_t i = 0; i < rows; ++i)
        for (const PlyProperty& p : properties_) {
          uint8_t* v = data.data() + static_cast<size_t>(i) * stride_ + p.offset;
          std::reverse(v, v + ply_size(p.type));
        }
    body(first, rows, {data.data(), stride_, properties_});
  });
}

void PlyFile::read_ascii(const Body& body) const {
  std::string text(size_ - start_, 0);
  fetch(start_, text.data(), text.size());
  const char *p = text.data(), *end = p + text.size();
  for (int64_t i = 0; i < lines_before_; ++i) {
    p = std::find(p, end, '\n');
    if (p == end) fail("the file ends too early");
    ++p;
  }
  const int64_t block = std::max<int64_t>(1, static_cast<int64_t>(kBlockBytes / stride_));
  std::vector<uint8_t> data;
  for (int64_t first = 0; first < count_; first += block) {
    const int64_t rows = std::min(block, count_ - first);
    data.resize(static_cast<size_t>(rows) * stride_);
    for (int64_t i = 0; i < rows; ++i)
      for (const PlyProperty& property : properties_) {
        while (p != end && static_cast<unsigned char>(*p) <= ' ') ++p;
        double v = 0;
        const auto [after, fault] = std::from_chars(p, end, v);
        if (fault != std::errc() && fault != std::errc::result_out_of_range)
          fail("no number at row " + std::to_string(first + i), element_ + "." + property.name);
        p = after;
        store_as(property.type, data.data() + static_cast<size_t>(i) * stride_ + property.offset,
                 v);
      }
    body(first, rows, {data.data(), stride_, properties_});
  }
}

}  // namespace covary::scene
