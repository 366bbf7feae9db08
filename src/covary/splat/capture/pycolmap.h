// Structure from motion by COLMAP, as its Python package pycolmap: features, matches and mapping, each a child process.
//
//   const Pycolmap colmap = Pycolmap::find();
//   const nlohmann::json r = colmap.run({{"stage", "match"}, {"database", db}, {"pairs", pairs}, {"threads", 2}}, folder,
//                                       "matches", "pairs");
//
// The program is the one that scripts/bootstrap installs ($COVARY_HOME/venv-pycolmap-VERSION), or a Python named by
// $COVARY_PYCOLMAP, or python3 when it has the package. Stages and their fields: pycolmap_worker.py beside this file,
// whose text is inside the library.
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace covary::capture {

class Pycolmap {
 public:
  // Error(kFailed) with what to install when there is none.
  static Pycolmap find();

  const std::string& version() const { return version_; }
  const std::string& python() const { return python_; }

  // One stage, its progress shown as `what`, its messages appended to folder/colmap.log, its job in folder. The result
  // that it prints. Error(kFailed) with its message; Interrupted.
  nlohmann::json run(nlohmann::json job, const std::filesystem::path& folder,
                     const std::string& what, const std::string& unit) const;

 private:
  std::string python_, version_;
};

}  // namespace covary::capture
