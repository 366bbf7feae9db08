// covary train CAPTURE -o RUN|FILE.ply
#include <algorithm>

#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/sweep.h"
#include "covary/cli/verbs/tables.h"
#include "covary/cli/verbs/train_run.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/log.h"
#include "covary/core/data/image.h"
#include "covary/splat/capture/make_capture.h"
#include "covary/splat/fit/report.h"
#include "covary/splat/fit/run_log.h"
#include "covary/splat/scene/format.h"

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
    if (scene::can_write(path)) {
      out.files.push_back(path);
      continue;
    }
    for (const char* other : {".cvs", ".cvv", ".gif", ".mp4", ".json", ".png", ".html"})
      if (e == other)
        throw Error(ExitCode::kUsage, "covary train writes folders and scene files", "-o " + text,
                    e == ".mp4" || e == ".gif" || e == ".png"
                        ? "train to a folder, then: covary render FOLDER -o " + text
                        : "name a folder, or a file of " + scene::writable_extensions());
    if (!out.run.empty())
      throw Error(ExitCode::kUsage, "two run folders", "-o " + text,
                  "name one folder; files (.ply) may be added");
    out.run = path;
  }
  for (const fs::path& file : out.files)
    keep_what_is_there(file, job.common.overwrite || (job.common.resume && !out.run.empty()));
  if (!out.run.empty()) return out;
  if (!out.files.empty()) {
    out.run = out.files[0].string() + ".run";
    out.temporary = true;
    return out;
  }
  out.run = default_run(name_of(job.invocation.inputs[0]));
  log_info("writing to " + out.run.string());
  return out;
}

// --report and --plot, from what the run left in its folder. The files that were written.
std::vector<fs::path> write_extras(const CommonOptions& common, const fs::path& run) {
  std::vector<fs::path> files;
  if (!common.report.empty()) {
    const fs::path file = files.emplace_back(common.report);
    if (file.extension() == ".html") {
      fit::write_report(run, file);
    } else {
      Table curves;
      for (const nlohmann::json& record : fit::read_log(run / "log.jsonl"))
        if (!record.contains("event")) {
          nlohmann::ordered_json row = {{"step", nullptr}};  // the first column
          row.update(flattened(record));
          curves.add(row);
        }
      curves.write(file);
    }
  }
  if (!common.plot.empty()) {
    const fs::path file = files.emplace_back(common.plot);
    if (file.extension() == ".html") {
      fit::write_curves(run, file);
    } else {
      const auto views = fit::pictures_of_run(run);
      if (views.empty())
        throw Error(ExitCode::kData, "holds no pictures", (run / "eval").string(),
                    "evaluate the run again: --resume --from evaluate");
      data::write_image(file, fit::contact_sheet(views));
    }
  }
  return files;
}

// A folder that holds something is used on demand alone.
void check_place(const fs::path& run, const CommonOptions& common) {
  if (!common.resume && !common.overwrite && !is_empty_or_absent(run))
    throw Error(ExitCode::kData, "the folder is not empty", run.string(),
                "add --resume to go on with its run, --overwrite to replace it, or choose another");
}

// --until load: the photos can be read, their cameras be found, and training fits in memory.
Result run_load(const Job& job, const fit::TrainOptions& options) {
  Invocation posed = job.invocation;
  std::string written = "nothing was written";
  if (options.capture.cameras.empty() && capture::needs_cameras(posed.inputs[0])) {
    const fs::path run = outputs_of(job).run;
    check_place(run, job.common);
    posed.inputs[0] = posed_input(posed.inputs[0], options, job.common, run);
    written = "its cameras are in " + posed.inputs[0] + ", and --resume goes on with them";
  }
  const scene::Capture capture = load_to_train(posed, options, job.common);
  for (size_t i = 0; i < capture.views.size(); ++i) capture.view(static_cast<int64_t>(i));
  Result result;
  result.document = {{"run", nullptr},
                     {"outputs", nlohmann::json::array()},
                     {"train_views", capture.train.size()},
                     {"test_views", capture.test.size()},
                     {"points", capture.points.positions.size()}};
  result.text = capture.name + " can be trained; " + written + "\n";
  return result;
}

}  // namespace

Result run_train(const Job& job) {
  const auto options = job.options<fit::TrainOptions>();
  if (job.common.dry_run) return plan_training(job, options);

  const fit::Stage from = from_of(job.common), until = until_of(job.common);
  if (until == fit::Stage::kLoad) return run_load(job, options);

  const Outputs out = outputs_of(job);
  if (!job.invocation.sweeps.empty()) {
    if (!out.files.empty())
      throw Error(ExitCode::kUsage, "a sweep writes a folder", "-o " + out.files[0].string(),
                  "name a folder: -o OUT");
    return run_sweep(job, out.run, [&](const Job& one, const fs::path& run) {
      if (job.common.resume && fs::exists(run / "scene.ply") && fs::exists(run / "metrics.json"))
        return nlohmann::json::parse(read_file(run / "metrics.json"), nullptr, false);
      return train_once(one.invocation, one.options<fit::TrainOptions>(), one.common, run).metrics;
    });
  }
  check_place(out.run, job.common);
  std::vector<fs::path> files = out.files;
  const fs::path folder = (out.run / "").lexically_normal().parent_path();
  for (const fs::path& extra : {fs::path(job.common.report), fs::path(job.common.plot)})
    if (!extra.empty() &&
        extra.lexically_normal().parent_path() != folder)  // which may be yet to be made
      files.push_back(extra);
  for (const fs::path& file : files)
    AtomicFile probe(file);  // a place that cannot be written is said first

  fit::RunResult run;
  try {
    if (from == fit::Stage::kReport)
      run.metrics = fit::report_again(out.run);
    else
      run = train_once(job.invocation, options, job.common, out.run);
  } catch (const Interrupted&) {
    const std::string where = out.temporary ? out.files[0].string() : out.run.string();
    log(LogLevel::kError, "to go on: covary train -o " + where + " --resume");
    throw;
  }
  for (const fs::path& file : out.files)
    scene::save_cloud(file, scene::load_cloud(out.run / "scene.ply"));
  const std::vector<fs::path> extras = write_extras(job.common, out.run);

  Result result;
  result.document = {
      {"run", out.temporary ? nlohmann::json(nullptr) : nlohmann::json(out.run.string())},
      {"outputs", nlohmann::json::array()},
      {"metrics", run.metrics}};
  for (const auto* written : {&out.files, &extras})
    for (const fs::path& file : *written) result.document["outputs"].push_back(file.string());
  const std::string where = out.temporary ? out.files[0].string() : out.run.string();
  result.text = from == fit::Stage::kReport
                    ? (out.run / "report.html").string() + ": written again\n"
                    : summary_of(run, where);
  if (out.temporary) {
    std::error_code ignored;
    fs::remove_all(out.run, ignored);
  } else {
    result.text +=
        until < fit::Stage::kEvaluate
            ? "next: covary train -o " + where + " --resume --from evaluate\n"
            : "next: covary render " + where + " --path spline -o " + name_of(where) + ".mp4\n";
  }
  return result;
}

}  // namespace covary::cli
