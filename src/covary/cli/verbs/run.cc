// The door of libcovary_verbs.so: an invocation as JSON in, the verb done, the exit code out. No exception passes.
#include <c10/util/Exception.h>
#include <torch/headeronly/version.h>

#include <ATen/Parallel.h>
#include <hwy/targets.h>

#include <cstdio>
#include <map>
#include <new>

#include "covary/cli/error_report.h"
#include "covary/cli/verb_table.h"
#include "covary/cli/verbs/sweep.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/log.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/progress.h"
#include "covary/core/base/threads.h"
#include "covary/splat/render/truth.h"

namespace covary::cli {
namespace {

void prepare(const Job& job) {
  const CommonOptions& c = job.common;
  set_log_level(c.quiet ? LogLevel::kError : c.verbose ? LogLevel::kDebug : LogLevel::kInfo);
  if (!job.invocation.common["tty"].is_null())
    set_progress_style(c.tty ? ProgressStyle::kTerminal : ProgressStyle::kPlain);
  set_threads(static_cast<int>(c.threads));
  at::set_num_threads(threads());
  render::register_samples();
  set_machine_field("torch", TORCH_VERSION);
  const int64_t targets = hwy::SupportedTargets() & HWY_TARGETS;
  set_machine_field("simd", hwy::TargetName(targets & -targets));  // the lowest bit is the best
}

void put(const Job& job, const Result& result) {
  const Invocation& v = job.invocation;
  if (!v.json) {
    std::fwrite(result.text.data(), 1, result.text.size(), stdout);
    return;
  }
  std::string text = result.text;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (!text.empty()) log_info(text);
  if (result.document.is_null()) return;
  const std::string document =
      result.document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (v.json_file.empty())
    std::fwrite(document.data(), 1, document.size(), stdout);
  else
    write_file(v.json_file, document);
}

// What makes a command that ran out of memory fit.
const char* memory_hint(const std::string& verb) {
  const Verb* v = find_verb(verb);
  if (v != nullptr && v->group == "statistics")
    return "take fewer rows or columns; --dry-run and --max-memory, where a verb has them, say so "
           "before";
  return "use smaller photos (--downscale 2) or fewer Gaussians (--max-gaussians 200000)";
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

int run(const char* text) {
  bool json = false;
  std::string json_file, name;
  const auto report = [&](const Error& e) { return report_error(e, json, json_file); };
  try {
    Job job;
    job.invocation = Invocation::from_json(nlohmann::json::parse(text));
    json = job.invocation.json;
    json_file = job.invocation.json_file;
    name = job.invocation.verb;
    OptionList common(job.common);
    common.apply(job.invocation.common, "common options");
    prepare(job);

    static const std::map<std::string, Result (*)(const Job&)> verbs = {
        {"capture", run_capture},
        {"train", run_train},
        {"eval", run_eval},
        {"render", run_render},
        {"convert", run_convert},
        {"surface", run_surface},
        {"edit", run_edit},
        {"view", run_view},
        {"info", run_info},
        {"study", run_study},
        {"gp fit", run_gp_fit},
        {"gp predict", run_gp_predict},
        {"gp update", run_gp_update},
        {"gp sample", run_gp_sample},
        {"gp score", run_gp_score},
        {"gp inspect", run_gp_inspect},
        {"mixture fit", run_mixture_fit},
        {"mixture predict", run_mixture_predict},
        {"mixture score", run_mixture_score},
        {"mixture sample", run_mixture_sample},
        {"mixture select", run_mixture_select},
        {"mixture inspect", run_mixture_inspect},
        {"filter fit", run_filter_fit},
        {"filter run", run_filter_run},
        {"filter smooth", run_filter_smooth},
        {"filter sample", run_filter_sample},
        {"density fit", run_density_fit},
        {"density score", run_density_score},
        {"density sample", run_density_sample},
        {"special log-i", run_special_log_i},
        {"special log-k", run_special_log_k},
        {"special ratio", run_special_ratio},
        {"optimize run", run_optimize_run},
        {"optimize ask", run_optimize_ask},
        {"optimize tell", run_optimize_tell},
    };
    const auto verb = verbs.find(job.invocation.verb);
    if (verb == verbs.end())
      throw Error(ExitCode::kFailed, "the program and its library are of different versions",
                  job.invocation.verb, "build the target covary again");
    const bool grid = !job.invocation.sweeps.empty() && job.invocation.verb != "train";
    const Result result = grid ? sweep_fits(job, verb->second) : verb->second(job);
    put(job, result);
    if (std::fflush(stdout) != 0)
      throw Error(ExitCode::kData, "cannot be written", "standard output",
                  "the pipe was closed, or the disk is full");
    if (job.common.memory) {
      char line[80];
      std::snprintf(line, sizeof(line), "peak memory %.0f MB",
                    static_cast<double>(peak_memory_bytes()) / (1 << 20));
      log(LogLevel::kError, line);
    }
    return result.exit_code;
  } catch (const Error& e) {
    return report(e);
  } catch (const Interrupted& i) {
    status_line("");
    log(LogLevel::kError, "interrupted");
    return i.exit_code;
  } catch (const std::bad_alloc&) {
    return report(Error(ExitCode::kFailed, "out of memory", "", memory_hint(name)));
  } catch (const c10::Error& e) {
    const std::string what = first_line(e.what_without_backtrace());
    const bool memory = what.find("alloc") != std::string::npos;
    return report(Error(ExitCode::kFailed, (memory ? "out of memory: " : "internal error: ") + what,
                        "", memory ? memory_hint(name) : "please report this command"));
  } catch (const std::exception& e) {
    return report(Error(ExitCode::kFailed, "internal error: " + first_line(e.what()), "",
                        "please report this command"));
  }
}

}  // namespace
}  // namespace covary::cli

extern "C" __attribute__((visibility("default"))) int covary_run(const char* invocation) {
  return covary::cli::run(invocation);
}
