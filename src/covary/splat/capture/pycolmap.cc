#include "covary/splat/capture/pycolmap.h"

#include <cstdlib>
#include <memory>

#include "covary/core/base/child.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/progress.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/data/video.h"

namespace covary::capture {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kVersion = "4.2.1";  // what scripts/bootstrap installs

constexpr const char kWorker[] =
#include "pycolmap_worker.inc"
    ;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

fs::path installed_python() {
  std::string home = environment("COVARY_HOME");
  if (home.empty()) home = environment("HOME") + "/.cache/covary";
  return fs::path(home) / ("venv-pycolmap-" + std::string(kVersion)) / "bin" / "python";
}

// The version of pycolmap that a Python has; empty when it has none.
std::string probe(const std::string& python) {
  try {
    const ChildResult r =
        run_program({python, "-c", "import pycolmap; print(pycolmap.__version__)"},
                    {.log = "/dev/null", .limit_s = 60});
    if (r.interrupted) throw Interrupted{interrupted()};
    return r.status == 0 ? r.output.substr(0, r.output.find('\n')) : "";
  } catch (const Error&) {
    return "";
  }
}

}  // namespace

Pycolmap Pycolmap::find() {
  Pycolmap found;
  const std::string named = environment("COVARY_PYCOLMAP");
  std::vector<std::string> candidates = {named};
  if (named.empty()) candidates = {installed_python().string(), data::find_program("python3")};
  for (const std::string& python : candidates) {
    if (python.empty()) continue;
    found.version_ = probe(python);
    if (found.version_.empty()) continue;
    found.python_ = python;
    return found;
  }
  throw Error(ExitCode::kFailed, "cameras of photos are found by pycolmap, which is not installed",
              named.empty() ? "pycolmap" : "$COVARY_PYCOLMAP=" + named,
              named.empty() ? "run scripts/bootstrap, or pip install pycolmap==" +
                                  std::string(kVersion) + " and name that Python: COVARY_PYCOLMAP"
                            : "it is a Python program that can import pycolmap");
}

json Pycolmap::run(json job, const fs::path& folder, const std::string& what,
                   const std::string& unit) const {
  make_folder(folder);
  const std::string stage = job.at("stage").get<std::string>();
  const fs::path worker = folder / "pycolmap_worker.py", file = folder / (stage + ".json");
  write_file(worker, kWorker);
  write_file(file, job.dump(1) + "\n");
  std::unique_ptr<Progress> progress;
  json result;
  std::string fault;
  const ChildResult ended = run_program(
      {python_, worker.string(), file.string()},
      {.log = folder / "colmap.log", .on_line = [&](std::string_view line) {
         const json said = json::parse(line, nullptr, false);
         if (!said.is_object()) return;  // a library may print to stdout too
         if (said.contains("done") && said.contains("total") && said["done"].is_number_integer() &&
             said["total"].is_number_integer()) {
           if (!progress)
             progress = std::make_unique<Progress>(what, said["total"].get<int64_t>(), unit);
           progress->update(said["done"].get<int64_t>());
         }
         if (said.contains("result")) result = said["result"];
         if (said.contains("error") && said["error"].is_string()) fault = said["error"];
       }});
  if (ended.interrupted) throw Interrupted{interrupted()};
  if (ended.status != 0 || result.is_null())
    throw Error(
        ExitCode::kFailed,
        "pycolmap failed" +
            (fault.empty() ? " (status " + std::to_string(ended.status) + ")" : ": " + fault),
        stage, "its messages are in " + (folder / "colmap.log").string());
  return result;
}

}  // namespace covary::capture
