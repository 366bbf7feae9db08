#include "covary/cli/error_report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "covary/core/base/file.h"
#include "covary/core/base/log.h"

namespace covary::cli {
namespace {

// Text from files and libraries may hold line ends: an error is one line.
std::string one_line(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 32) c = ' ';
  return text;
}

}  // namespace

int report_error(const Error& error, bool json, const std::string& json_file) {
  status_line("");
  log(LogLevel::kError, "error: " + one_line(error.what()));
  if (!error.hint().empty()) log(LogLevel::kError, "hint: " + one_line(error.hint()));
  const int code = static_cast<int>(error.code());
  if (!json) return code;
  const nlohmann::json document = {{"error",
                                    {{"code", code},
                                     {"what", error.message()},
                                     {"where", error.where()},
                                     {"hint", error.hint()}}}};
  const std::string text =
      document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (json_file.empty()) {
    std::fwrite(text.data(), 1, text.size(), stdout);
  } else {
    try {
      write_file(json_file, text);
    } catch (const Error& second) {
      log(LogLevel::kError, "error: " + one_line(second.what()));
    }
  }
  return code;
}

}  // namespace covary::cli
