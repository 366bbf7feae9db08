#include "covary/splat/serve/run_follower.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>

namespace covary::serve {

namespace fs = std::filesystem;

namespace {
constexpr uintmax_t kMostRead = 16 << 20;  // bytes of a log at a time
}

RunFollower::RunFollower(fs::path run) : run_(std::move(run)), seen_(stamp()) {}

// Of the file that load_scene would read.
RunFollower::Stamp RunFollower::stamp() const {
  for (const fs::path& file : {run_ / "scene.ply", run_ / "checkpoint" / "state.cov"}) {
    std::error_code fault;
    const Stamp s{fs::last_write_time(file, fault), fs::file_size(file, fault)};
    if (!fault) return s;
  }
  return {};
}

bool RunFollower::scene_changed() {
  const Stamp now = stamp();
  return std::exchange(seen_, now) != now && now.bytes > 0;
}

std::vector<nlohmann::json> RunFollower::new_figures() {
  std::vector<nlohmann::json> out;
  const fs::path file = run_ / "log.jsonl";
  std::error_code fault;
  const uintmax_t size = fs::file_size(file, fault);
  if (fault) return out;
  if (size < read_) read_ = 0;
  if (size == read_) return out;
  std::ifstream in(file, std::ios::binary);
  std::string text(static_cast<size_t>(std::min(size - read_, kMostRead)), '\0');
  in.seekg(static_cast<std::streamoff>(read_));
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(in.gcount(), 0)));
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    const auto record =
        nlohmann::json::parse(text.begin() + static_cast<std::ptrdiff_t>(begin),
                              text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    begin = end + 1;
    nlohmann::json figures = nlohmann::json::object();
    if (record.is_object())
      for (const auto& [name, value] : record.items())
        if (value.is_number()) figures[name] = value;
    if (figures.contains("step")) out.push_back(std::move(figures));
  }
  read_ += begin;
  return out;
}

}  // namespace covary::serve
