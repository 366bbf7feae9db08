// Messages to people, on stderr: one line each, never on stdout, which carries results only.
//
//   log_info("undistorting 50 photos");
//   status_line("step 100/500");           // stays at the bottom; log() prints above it
//   status_line("");                       // gone
#pragma once

#include <string_view>

namespace covary {

enum class LogLevel { kError = 0, kWarning = 1, kInfo = 2, kDebug = 3 };

void set_log_level(LogLevel level);  // kInfo unless set; -q sets kError, -v sets kDebug
LogLevel log_level();

void log(LogLevel level, std::string_view message);  // thread-safe; clears a progress line first
inline void log_info(std::string_view m) { log(LogLevel::kInfo, m); }
inline void log_warning(std::string_view m) { log(LogLevel::kWarning, m); }

// The one line that rewrites itself on a terminal (base/progress.h draws it), cut to the terminal's
// width. Empty removes it. Thread-safe.
void status_line(std::string_view text);

}  // namespace covary
