#include "covary/splat/fit/run_log.h"

#include <cerrno>
#include <cstring>
#include <sstream>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"

namespace covary::fit {

std::vector<nlohmann::json> read_log(const std::filesystem::path& path) {
  std::vector<nlohmann::json> records;
  if (!std::filesystem::exists(path)) return records;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    nlohmann::json record = nlohmann::json::parse(line, nullptr, false);
    if (record.is_object()) records.push_back(std::move(record));
  }
  return records;
}

RunLog::RunLog(const std::filesystem::path& path, int64_t last_step) : path_(path) {
  std::string kept;
  if (last_step >= 0)
    for (const auto& record : read_log(path)) {
      const auto step = record.find("step");
      if (step == record.end() || !step->is_number_integer() || step->get<int64_t>() <= last_step)
        kept += record.dump() + "\n";
    }
  write_file(path, kept);
  file_ = std::fopen(path.c_str(), "ab");
  if (!file_)
    throw Error(ExitCode::kData, std::string("cannot be written: ") + std::strerror(errno), path,
                "check the folder's permissions");
}

RunLog::~RunLog() {
  if (file_) std::fclose(file_);
}

void RunLog::write(const nlohmann::json& record) {
  const std::string line = record.dump() + "\n";
  if (std::fwrite(line.data(), 1, line.size(), file_) != line.size() || std::fflush(file_) != 0)
    throw Error(ExitCode::kData, std::string("cannot be written: ") + std::strerror(errno), path_,
                "free space on the disk, then --resume");
}

}  // namespace covary::fit
