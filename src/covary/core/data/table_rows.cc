#include "covary/core/data/table_rows.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>

#include "covary/core/base/error.h"

namespace covary::data {

LineReader::LineReader(const std::filesystem::path& path) : path_(path.string()), buffer_(1 << 18) {
  file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status{};
  if (file_ < 0 || fstat(file_, &status) != 0 || S_ISDIR(status.st_mode)) {
    const std::string reason = file_ < 0 ? std::strerror(errno) : "a folder";
    if (file_ >= 0) ::close(file_);
    throw Error(ExitCode::kData, "cannot open the table (" + reason + ")", path_, "check the path");
  }
}

LineReader::~LineReader() { ::close(file_); }

int LineReader::get() {
  if (at_ == end_) {
    ssize_t n;
    do {
      n = ::read(file_, buffer_.data(), buffer_.size());
    } while (n < 0 && errno == EINTR);
    if (n < 0) throw Error(ExitCode::kData, "cannot read the table", path_, std::strerror(errno));
    if (n == 0) return -1;
    at_ = 0;
    end_ = static_cast<size_t>(n);
  }
  return static_cast<unsigned char>(buffer_[at_++]);
}

bool LineReader::next(std::string& line, char quote) {
  line.clear();
  line_ += 1 + further_;
  further_ = 0;
  bool quoted = false;
  int c = get();
  if (c < 0) return false;
  for (; c >= 0; c = get()) {
    if (quote && c == quote) quoted = !quoted;
    if (c == '\n' || c == '\r') {
      if (c == '\r') {
        const int after = get();
        if (after >= 0 && after != '\n') --at_;  // get() left it in the buffer
        c = '\n';
      }
      if (!quoted) return true;
      ++further_;
    }
    if (line.size() >= kMaxLine)
      throw Error(ExitCode::kData, "the line is longer than 256 MB", place(*this),
                  "is this a table?");
    line += static_cast<char>(c);
  }
  if (quoted)
    throw Error(ExitCode::kData, "a quoted field is not closed", place(*this), "add the quote");
  return true;
}

std::string place(const LineReader& lines) {
  return lines.path() + ":" + std::to_string(lines.line());
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

bool is_missing(std::string_view field) {
  for (const std::string_view word : {"", "nan", "na", "n/a", "null", "?", "-nan"}) {
    if (equal_ignoring_case(field, word)) return true;
  }
  return false;
}

bool parse_number(std::string_view field, double& value) {
  if (!field.empty() && field.front() == '+') field.remove_prefix(1);
  if (field.empty() || field.front() == '+') return false;
  const auto [end, fault] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (end != field.data() + field.size()) return false;
  if (fault == std::errc::result_out_of_range) {
    // from_chars says only that it does not fit: an exponent below zero means it is nearly 0.
    const size_t e = field.find_first_of("eE");
    const bool tiny =
        e != std::string_view::npos ? field[e + 1] == '-' : trimmed(field).find('.') <= size_t{1};
    value = tiny ? 0.0 : std::numeric_limits<double>::infinity();
    if (field.front() == '-') value = -value;
    return true;
  }
  return fault == std::errc();
}

}  // namespace covary::data
