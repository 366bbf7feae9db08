// covary train CAPTURE -o RUN|FILE.ply
#include <algorithm>

#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/sweep.h"
#include "covary/cli/verbs/train_run.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/log.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;

// The outputs of the command line: one run folder, and files of the finished scene.
struct Outputs {
  fs::path run;
  std::vector<fs::path> files;
  bool temporary = false;  // the run folder is FILE.run, removed when the files are whole
};

Outputs outputs_of(const Job& job) {
  Outputs out;
  for (const std::string& text : job.invocation.outputs) {
    const fs::path path = text;
    const std::string e = path.extension().string();
    if (text == "-")
      throw Error(ExitCode::kUsage, "a scene is not written to standard output", "-o -",
                  "name a file: -o scene.ply");
    if (e == ".ply") {
      out.files.push_back(path);
      continue;
    }
    for (const char* other : {".cvs", ".cvv", ".spz", ".sog", ".splat", ".ksplat", ".gif", ".mp4",
                              ".json", ".png", ".html"})
      if (e == other)
        throw Error(ExitCode::kUsage, "this version of covary train writes folders and .ply",
                    "-o " + text,
                    e == ".mp4" || e == ".gif" || e == ".png"
                        ? "train to a folder, then: covary render FOLDER -o " + text
                        : "name a folder, or a file scene.ply");
    if (!out.run.empty())
      throw Error(ExitCode::kUsage, "two run folders", "-o " + text,
                  "name one folder; files (.ply) may be added");
    out.run = path;
  }
  if (!out.run.empty()) return out;
  if (!out.files.empty()) {
    out.run = out.files[0].string() + ".run";
    out.temporary = true;
    for (const fs::path& file : out.files)
      if (fs::exists(file) && !job.common.overwrite)
        throw Error(ExitCode::kData, "is there already", file.string(),
                    "add --overwrite, or choose another name");
    return out;
  }
  out.run = default_run(name_of(job.invocation.inputs[0]));
  log_info("writing to " + out.run.string());
  return out;
}

}  // namespace

Result run_train(const Job& job) {
  const auto options = job.options<fit::TrainOptions>();
  if (job.common.dry_run) return plan_training(job, options);

  const Outputs out = outputs_of(job);
  if (!job.invocation.sweeps.empty()) {
    if (!out.files.empty())
      throw Error(ExitCode::kUsage, "a sweep writes a folder", "-o " + out.files[0].string(),
                  "name a folder: -o OUT");
    return run_sweep(job, out.run);
  }
  if (!job.common.resume && !job.common.overwrite && !is_empty_or_absent(out.run))
    throw Error(ExitCode::kData, "the folder is not empty", out.run.string(),
                "add --resume to go on with its run, --overwrite to replace it, or choose another");
  for (const fs::path& file : out.files)
    AtomicFile probe(file);  // a place that cannot be written is said first

  fit::RunResult run;
  try {
    run = train_once(job.invocation, options, job.common, out.run);
  } catch (const Interrupted&) {
    const std::string where = out.temporary ? out.files[0].string() : out.run.string();
    log(LogLevel::kError, "to go on: covary train -o " + where + " --resume");
    throw;
  }
  for (const fs::path& file : out.files) write_file(file, read_file(out.run / "scene.ply"));

  Result result;
  result.document = {
      {"run", out.temporary ? nlohmann::json(nullptr) : nlohmann::json(out.run.string())},
      {"outputs", nlohmann::json::array()},
      {"metrics", run.metrics}};
  for (const fs::path& file : out.files) result.document["outputs"].push_back(file.string());
  const std::string where = out.temporary ? out.files[0].string() : out.run.string();
  result.text = summary_of(run, where);
  if (out.temporary) {
    std::error_code ignored;
    fs::remove_all(out.run, ignored);
  } else {
    result.text +=
        "next: covary render " + where + " --path spline -o " + name_of(where) + ".mp4\n";
  }
  return result;
}

}  // namespace covary::cli
