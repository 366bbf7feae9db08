// What a run folder has that is new, for a page that looks at it while it is trained.
//
//   RunFollower follower("out/fox");
//   if (follower.scene_changed()) viewer.show(...);           // scene.ply or the checkpoint was replaced
//   for (const auto& figures : follower.new_figures()) viewer.progress(figures);
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include <nlohmann/json.hpp>

namespace covary::serve {

class RunFollower {
 public:
  explicit RunFollower(
      std::filesystem::path run);  // what is there now counts as seen, but for figures

  bool scene_changed();  // since the last call
  // Of the whole lines that log.jsonl got since the last call: their numbers. When the log was begun anew (or the file
  // is another), all of it.
  std::vector<nlohmann::json> new_figures();

 private:
  struct Stamp {
    std::filesystem::file_time_type time = {};
    uintmax_t bytes = 0;
    bool operator==(const Stamp&) const = default;
  };
  Stamp stamp() const;

  std::filesystem::path run_;
  Stamp seen_;
  uintmax_t read_ = 0;  // bytes of log.jsonl
};

}  // namespace covary::serve
