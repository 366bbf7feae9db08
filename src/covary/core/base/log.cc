#include "covary/core/base/log.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <mutex>
#include <string>

namespace covary {
namespace {

std::atomic<LogLevel> g_level{LogLevel::kInfo};
std::mutex g_mutex;
std::string g_status;  // what stands on the terminal's last line now; guarded by g_mutex

constexpr const char* kClear = "\r\x1b[K";

// One write a message, so that lines of several processes do not interleave.
void put(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

// The longest head of a UTF-8 text that is at most `columns` code points.
std::string_view head(std::string_view text, size_t columns) {
  size_t count = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
    if (count++ == columns) return text.substr(0, i);
  }
  return text;
}

size_t terminal_columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 10) return size.ws_col;
  return 100;
}

}  // namespace

void set_log_level(LogLevel level) { g_level = level; }
LogLevel log_level() { return g_level; }

void log(LogLevel level, std::string_view message) {
  if (static_cast<int>(level) > static_cast<int>(g_level.load())) return;
  std::string line;
  if (level == LogLevel::kWarning) line = "warning: ";
  line += message;
  line += '\n';
  const std::lock_guard<std::mutex> lock(g_mutex);
  put(g_status.empty() ? line : kClear + line + g_status);
}

void status_line(std::string_view text) {
  const std::lock_guard<std::mutex> lock(g_mutex);
  if (text.empty()) {
    if (!g_status.empty()) put(kClear);
    g_status.clear();
    return;
  }
  g_status = head(text, terminal_columns() - 1);
  put(kClear + g_status);
}

}  // namespace covary
