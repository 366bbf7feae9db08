// Messages to people, on stderr: one line each, never on stdout, which carries results only.
#pragma once

#include <string_view>

namespace covary {

enum class LogLevel { kError = 0, kWarning = 1, kInfo = 2, kDebug = 3 };

void set_log_level(LogLevel level);  // kInfo unless set; -q sets kError, -v sets kDebug
LogLevel log_level();

void log(LogLevel level, std::string_view message);  // thread-safe; clears a progress line first
inline void log_info(std::string_view m) { log(LogLevel::kInfo, m); }
inline void log_warning(std::string_view m) { log(LogLevel::kWarning, m); }

}  // namespace covary
