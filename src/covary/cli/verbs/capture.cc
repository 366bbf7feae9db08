// covary capture PHOTOS|VIDEO|ZIP|sample:NAME -o DIR
#include "covary/splat/scene/capture.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/error.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/log.h"
#include "covary/core/base/sample_name.h"
#include "covary/core/base/threads.h"
#include "covary/splat/capture/make_capture.h"
#include "covary/splat/render/truth_export.h"

namespace covary::cli {
namespace {

// A built-in sample, with the cameras that it is made of.
Result write_sample(const std::string& input, const std::filesystem::path& out,
                    const CommonOptions& common) {
  if (!is_empty_or_absent(out) && !common.overwrite)
    throw Error(ExitCode::kData, "is not empty", out.string(),
                "--overwrite replaces what is in it, or choose another folder");
  scene::CaptureOptions options;
  options.normalize = false;
  const scene::Capture sample = scene::load_capture(input, options);
  render::write_capture(sample, out);
  Result result;
  result.document = {{"output", out.string()}, {"photos", sample.views.size()}};
  result.text = out.string() + ": " + count_text(static_cast<int64_t>(sample.views.size())) +
                " pictures with their cameras\nnext: covary train " + out.string() + "\n";
  return result;
}

}  // namespace

Result run_capture(const Job& job) {
  const std::string& input = job.invocation.inputs[0];
  if (job.invocation.outputs.size() > 1)
    throw Error(ExitCode::kUsage, "a capture is one folder", "-o " + job.invocation.outputs[1],
                "name one folder: -o DIR");
  const std::filesystem::path out = job.invocation.outputs.empty()
                                        ? default_run(name_of(input)).string()
                                        : job.invocation.outputs[0];
  if (job.invocation.outputs.empty()) log_info("writing to " + out.string());
  if (is_sample(input)) return write_sample(input, out, job.common);
  if (scene::has_cameras(input))
    throw Error(ExitCode::kUsage, "it has cameras already", input,
                "train it as it is: covary train " + input);
  capture::CaptureReport report;
  try {
    report = capture::make_capture(input,
                                   {.out = out,
                                    .resume = job.common.resume,
                                    .overwrite = job.common.overwrite,
                                    .seed = static_cast<uint64_t>(job.common.seed),
                                    .threads = threads()},
                                   job.options<capture::PhotoOptions>());
  } catch (const Interrupted&) {
    log(LogLevel::kError,
        "to go on: covary capture " + input + " -o " + out.string() + " --resume");
    throw;
  }
  Result result;
  result.document = report.document;
  result.document["output"] = out.string();
  result.text = out.string() + ": " + count_text(report.registered) + " of " +
                count_text(report.photos) + " photos have cameras" +
                (report.sound ? "" : ", and their poses are DOUBTFUL (see the notes)") +
                "\nnext: covary train " + out.string() + " -o " + out.string() + "-scene\n";
  return result;
}

}  // namespace covary::cli
