// log.jsonl of a run: one JSON object a line, appended as work goes on.
//
//   RunLog log("out/fox/log.jsonl", 700);      // lines of later steps, and a torn last line, are cut off
//   log.write({{"step", 710}, {"loss", 0.04}});
#pragma once

#include <cstdio>
#include <filesystem>
#include <vector>

#include <nlohmann/json.hpp>

namespace covary::fit {

class RunLog {
 public:
  // Keeps the records of steps up to last_step; -1 begins an empty log. Error(kData) when it cannot be written.
  RunLog(const std::filesystem::path& path, int64_t last_step);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  void write(const nlohmann::json& record);  // Error(kData) on a full disk

 private:
  std::filesystem::path path_;
  std::FILE* file_ = nullptr;
};

// All whole records; empty when there is no file.
std::vector<nlohmann::json> read_log(const std::filesystem::path& path);

}  // namespace covary::fit
