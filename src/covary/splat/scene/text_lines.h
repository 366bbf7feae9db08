// Lines of a text file that is not trusted, each as words; an error names file and line.
//
//   Lines in(text, "sparse/0/cameras.txt", "export the model again");
//   while (in.next()) {                                  // comments (#) and empty lines left out
//     const auto id = in.number<uint32_t>("camera id");  // Error(kData): "...: line 3: the camera id
//     const std::string name = in.rest("name");          // 'x' is no number"
//   }
//
// Numbers are read whatever the locale is. Within scene only.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "covary/core/base/error.h"

namespace covary::scene {

class Lines {
 public:
  // The text must outlive this. `hint` goes with every error.
  Lines(std::string_view text, std::string where, std::string hint)
      : text_(text), where_(std::move(where)), hint_(std::move(hint)) {}

  // The next line that is neither empty nor a comment; false at the end.
  bool next() {
    while (raw())
      if (!line_.empty() && line_[0] != '#') return true;
    return false;
  }
  // The very next line, which may be empty.
  bool raw() {
    if (at_ >= text_.size()) return false;
    const size_t end = std::min(text_.find('\n', at_), text_.size());
    line_ = text_.substr(at_, end - at_);
    at_ = end + 1;
    ++number_;
    while (!line_.empty() && (line_.back() == '\r' || line_.back() == ' ')) line_.remove_suffix(1);
    while (!line_.empty() && line_.front() == ' ') line_.remove_prefix(1);
    return true;
  }
  bool has_word() {
    while (!line_.empty() && (line_.front() == ' ' || line_.front() == '\t'))
      line_.remove_prefix(1);
    return !line_.empty();
  }
  std::string_view word(const char* what) {
    if (!has_word()) fail(std::string("the ") + what + " is missing");
    const size_t end = std::min(line_.find_first_of(" \t"), line_.size());
    const std::string_view w = line_.substr(0, end);
    line_.remove_prefix(end);
    return w;
  }
  template <class T>
  T number(const char* what) {
    const std::string_view w = word(what);
    T v{};
    const auto [end, fault] = std::from_chars(w.data(), w.data() + w.size(), v);
    if (fault != std::errc() || end != w.data() + w.size())
      fail(std::string("the ") + what + " '" + std::string(w.substr(0, 40)) + "' is no number");
    return v;
  }
  std::string rest(const char* what) {
    if (!has_word()) fail(std::string("the ") + what + " is missing");
    return std::string(line_);
  }
  std::string place() const { return where_ + ": line " + std::to_string(number_); }
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ExitCode::kData, what, place(), hint_);
  }

 private:
  std::string_view text_, line_;
  std::string where_, hint_;
  size_t at_ = 0;
  int64_t number_ = 0;
};

}  // namespace covary::scene
