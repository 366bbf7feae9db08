#include "covary/core/base/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

#include "covary/core/base/error.h"

namespace covary {
namespace {

[[noreturn]] void fail(const std::string& doing, const std::filesystem::path& folder) {
  throw Error(
      ExitCode::kData,
      "cannot " + doing + " a temporary file (" + std::generic_category().message(errno) + ")",
      folder.string(), "free some space there, or choose another place");
}

}  // namespace

Spool::Spool(const std::filesystem::path& folder) : folder_(folder.empty() ? "." : folder) {
  std::string name = (folder_ / ".spool-XXXXXX").string();
  file_ = mkostemp(name.data(), O_CLOEXEC);
  if (file_ < 0) fail("make", folder_);
  unlink(name.c_str());
}

Spool::~Spool() { close(file_); }

void Spool::append(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("write", folder_);
    size_ += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

size_t Spool::read(uint64_t at, std::span<uint8_t> to) const {
  size_t done = 0;
  while (done < to.size()) {
    const ssize_t n =
        pread(file_, to.data() + done, to.size() - done, static_cast<off_t>(at + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("read", folder_);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

}  // namespace covary
