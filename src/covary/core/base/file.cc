#include "covary/core/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "covary/core/base/error.h"

namespace covary {
namespace {

namespace fs = std::filesystem;

// What a person can do about a failed system call on a path.
std::string hint_for(int error, const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "free some space there, or choose another place";
    case EACCES:
    case EPERM:
    case EROFS:
      return "you may not write to " + folder.string() + ": choose another place";
    case ENOENT:
      return "the folder " + folder.string() + " is not there: make it, or check the spelling";
    case ENOTDIR:
      return "part of the path is a file, not a folder";
    case EISDIR:
      return "this is a folder: name a file in it";
    case EFBIG:
      return "the file would be larger than this file system or the limit of the shell (ulimit -f) "
             "allows";
    case ENAMETOOLONG:
      return "choose a shorter name";
    case EMFILE:
    case ENFILE:
      return "too many files are open: raise the limit (ulimit -n)";
    default:
      return "check the path and the disk";
  }
}

[[noreturn]] void fail(const std::string& doing, int error, const fs::path& path) {
  throw Error(ExitCode::kData,
              "cannot " + doing + " (" + std::generic_category().message(error) + ")",
              path.string(), hint_for(error, path));
}

// FIPS 180-4.
class Sha256 {
 public:
  void update(const uint8_t* data, size_t bytes) {
    total_ += bytes;
    while (bytes > 0) {
      const size_t n = std::min(bytes, block_.size() - used_);
      std::memcpy(block_.data() + used_, data, n);
      used_ += n;
      data += n;
      bytes -= n;
      if (used_ == block_.size()) {
        compress();
        used_ = 0;
      }
    }
  }

  std::string finish() {
    const uint64_t bits = total_ * 8;
    const uint8_t one = 0x80, zero = 0;
    update(&one, 1);
    while (used_ != 56) update(&zero, 1);
    std::array<uint8_t, 8> length{};
    for (size_t i = 0; i < 8; ++i) length[i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
    update(length.data(), length.size());
    std::string hex;
    for (const uint32_t word : state_)
      for (int shift = 28; shift >= 0; shift -= 4) hex += "0123456789abcdef"[(word >> shift) & 15];
    return hex;
  }

 private:
  void compress() {
    static constexpr std::array<uint32_t, 64> kRound = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2};
    std::array<uint32_t, 64> w;
    for (size_t i = 0; i < 16; ++i)
      w[i] = (uint32_t{block_[4 * i]} << 24) | (uint32_t{block_[4 * i + 1]} << 16) |
             (uint32_t{block_[4 * i + 2]} << 8) | uint32_t{block_[4 * i + 3]};
    for (size_t i = 16; i < 64; ++i) {
      const uint32_t a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ (a >> 3)) + w[i - 7] +
             (std::rotr(b, 17) ^ std::rotr(b, 19) ^ (b >> 10));
    }
    auto s = state_;
    for (size_t i = 0; i < 64; ++i) {
      const uint32_t t1 = s[7] + (std::rotr(s[4], 6) ^ std::rotr(s[4], 11) ^ std::rotr(s[4], 25)) +
                          ((s[4] & s[5]) ^ (~s[4] & s[6])) + kRound[i] + w[i];
      const uint32_t t2 = (std::rotr(s[0], 2) ^ std::rotr(s[0], 13) ^ std::rotr(s[0], 22)) +
                          ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
      s = {t1 + t2, s[0], s[1], s[2], s[3] + t1, s[4], s[5], s[6]};
    }
    for (size_t i = 0; i < 8; ++i) state_[i] += s[i];
  }

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> block_{};
  size_t used_ = 0;
  uint64_t total_ = 0;
};

// An open file for reading, a folder refused.
class Reader {
 public:
  explicit Reader(const fs::path& path) : path_(path), file_(std::fopen(path.c_str(), "rb")) {
    if (!file_) fail_read(errno);
    struct stat info{};
    if (fstat(fileno(file_), &info) == 0 && S_ISDIR(info.st_mode)) {
      std::fclose(file_);
      file_ = nullptr;
      fail_read(EISDIR);
    }
  }
  ~Reader() {
    if (file_) std::fclose(file_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  size_t read(void* out, size_t bytes) {
    const size_t n = std::fread(out, 1, bytes, file_);
    if (n < bytes && std::ferror(file_)) fail_read(errno);
    return n;
  }

 private:
  [[noreturn]] void fail_read(int error) const {
    const std::string hint = error == ENOENT   ? "check the spelling; the file is not there"
                             : error == EISDIR ? "this is a folder: name a file in it"
                             : error == EACCES ? "you may not read this file: check its permissions"
                                               : "check the path and the disk";
    throw Error(ExitCode::kData, "cannot read (" + std::generic_category().message(error) + ")",
                path_.string(), hint);
  }

  fs::path path_;
  std::FILE* file_;
};

}  // namespace

AtomicFile::AtomicFile(fs::path target) : target_(std::move(target)) {
  static std::atomic<uint64_t> counter{0};
  std::error_code ignored;
  if (fs::is_symlink(target_, ignored)) {  // write what the link points to, keep the link
    const fs::path real = fs::weakly_canonical(target_, ignored);
    if (!ignored && !real.empty()) target_ = real;
  }
  const fs::file_status status = fs::status(target_, ignored);
  if (fs::is_directory(status)) fail("write", EISDIR, target_);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    temporary_ = target_;  // a device or pipe: there is nothing to rename
  } else {
    temporary_ =
        target_.parent_path() / ("." + target_.filename().string() + ".tmp-" +
                                 std::to_string(getpid()) + "-" + std::to_string(counter++));
  }
  file_ = std::fopen(temporary_.c_str(), "wb");
  if (!file_) {
    const int error = errno;
    fail("write", error, target_);
  }
}

AtomicFile::~AtomicFile() {
  if (!file_ && !finished_) return;
  if (file_) std::fclose(file_);
  if (temporary_ != target_) unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  if (bytes == 0) return;
  if (std::fwrite(data, 1, bytes, file_) != bytes) {
    const int error = errno;
    fail("write", error, target_);  // the destructor removes the file
  }
}

void AtomicFile::replace_front(size_t count, std::string_view bytes) {
  const auto check = [&](bool good) {
    if (!good) fail("write", errno == 0 ? EIO : errno, target_);
  };
  errno = 0;
  check(bytes.size() <= count && std::fflush(file_) == 0);
  const int to = fileno(file_), from = open(temporary_.c_str(), O_RDONLY | O_CLOEXEC);
  check(from >= 0);
  std::vector<char> block(1 << 20);
  off_t put = static_cast<off_t>(bytes.size());
  ssize_t n = 0;
  bool good = pwrite(to, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
  for (off_t take = static_cast<off_t>(count);
       good && bytes.size() < count && (n = pread(from, block.data(), block.size(), take)) > 0;
       take += n, put += n)
    good = pwrite(to, block.data(), static_cast<size_t>(n), put) == n;
  const int error = errno;
  close(from);
  errno = error;
  check(good && n == 0);
  if (bytes.size() < count) check(ftruncate(to, put) == 0);
  check(std::fseek(file_, 0, SEEK_END) == 0);
}

void AtomicFile::drop(const std::string& doing, int error) {
  if (temporary_ != target_) unlink(temporary_.c_str());
  finished_ = false;
  fail(doing, error, target_);
}

void AtomicFile::finish() {
  const bool in_place = temporary_ == target_;
  errno = 0;
  bool ok = std::fflush(file_) == 0 && !std::ferror(file_);
  // A file system that cannot sync (EINVAL, EROFS on a device) is not a failure of ours.
  if (ok && !in_place) ok = fsync(fileno(file_)) == 0 || errno == EINVAL || errno == ENOTSUP;
  int error = errno;
  if (std::fclose(file_) != 0 && ok) {
    ok = false;
    error = errno;
  }
  file_ = nullptr;
  finished_ = true;
  if (!ok) drop("write", error == 0 ? EIO : error);
}

void AtomicFile::commit() {
  if (!finished_) finish();
  if (temporary_ == target_) return;
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) drop("replace", errno);
  finished_ = false;
}

AtomicFile& AtomicFiles::add(const fs::path& target) {
  files_.push_back(std::make_unique<AtomicFile>(target));
  return *files_.back();
}

void AtomicFiles::commit() {
  for (const auto& file : files_) file->finish();
  if (files_.size() > 1 && files_.back()->temporary() != files_.back()->target()) {
    std::error_code ignored;
    fs::remove(files_.back()->target(), ignored);
  }
  for (const auto& file : files_) file->commit();
}

void write_file(const fs::path& path, std::string_view bytes) {
  AtomicFile out(path);
  out.write(bytes);
  out.commit();
}

std::string read_file(const fs::path& path) {
  Reader in(path);
  std::string text;
  std::array<char, 1 << 16> buffer;
  while (const size_t n = in.read(buffer.data(), buffer.size())) text.append(buffer.data(), n);
  return text;
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error && !fs::is_directory(path)) error = std::make_error_code(std::errc::not_a_directory);
  if (error) fail("make the folder", error.value(), path);
  if (access(path.c_str(), W_OK | X_OK) != 0) {
    const int why = errno;
    throw Error(ExitCode::kData,
                "cannot write in the folder (" + std::generic_category().message(why) + ")",
                path.string(), "choose another place, or change the folder's permissions");
  }
}

std::string sha256_file(const fs::path& path) {
  Reader in(path);
  Sha256 hash;
  std::array<uint8_t, 1 << 16> buffer;
  while (const size_t n = in.read(buffer.data(), buffer.size())) hash.update(buffer.data(), n);
  return hash.finish();
}

std::string sha256(std::span<const uint8_t> bytes) {
  Sha256 hash;
  hash.update(bytes.data(), bytes.size());
  return hash.finish();
}

}  // namespace covary
