#include "covary/cli/common_options.h"

#include "covary/core/base/error.h"

namespace covary::cli {

void CommonOptions::describe(OptionList& o) {
  o.add("seed", &seed, "same seed, thread count and machine: same bits")
      .range(0, 0x1p53)
      .common()
      .synonym("random-state");
  o.add("threads", &threads, "threads to use; 0 = all cores").range(0, 4096).common();
  o.add("device", &device, "where tensors live").suggestions({"auto", "cpu", "cuda:0"});
  o.add("precision", &precision,
        "of what eval and render draw: double is the reference, many times slower")
      .choices({"float", "double"});
  o.add("max_memory", &max_memory, "refuse work that would need more; 0 = no limit")
      .size()
      .range(0, 0x1p60)
      .synonym("vram");
  o.add("time_budget", &time_budget, "wall clock to plan for; 0 = no limit")
      .duration()
      .range(0, 1e9);
  o.add("quiet", &quiet, "errors only").synonym("q").common();
  o.add("verbose", &verbose, "say more").synonym("v").common();
  o.add("tty", &tty, "progress as one line that rewrites itself, or with --no-tty as plain lines");
  o.add("memory", &memory, "print peak memory at the end");
  o.add("dry_run", &dry_run, "check everything, print what would be done, write nothing").common();
  o.add("resume", &resume, "go on where the run in the output folder stopped").common();
  o.add("overwrite", &overwrite, "replace what the output folder holds")
      .common()
      .synonym("w")
      .synonym("y")
      .synonym("yes");
  o.add("view", &view, "show the scene in the browser while it is trained; prints the address")
      .common();
  o.add("repeats", &repeats, "runs a point of --sweep, each with its own seed").range(1, 10000);
  o.add("from", &from,
        "with --resume: do again from this stage; --dry-run lists the stages (evaluate, report)");
  o.add("until", &until, "stop after this stage");
  o.add("report", &report, "figures to a FILE.json or .csv, a page to a FILE.html");
  o.add("plot", &plot, "what there is to see to a FILE.html, or a FILE.png");
  o.add("parity", &parity,
        "settings of the authors' released code where our defaults differ; presets, configs and "
        "flags "
        "win");
}

void CommonOptions::check() const {
  if (device.rfind("cuda", 0) == 0)
    throw Error(ExitCode::kUsage, "this build has no CUDA", "--device " + device,
                "leave --device out, or write --device cpu");
  if (device != "auto" && device != "cpu")
    throw Error(ExitCode::kUsage, "there is no such device", "--device " + device,
                "the devices are auto and cpu");
  if (quiet && verbose)
    throw Error(ExitCode::kUsage, "contradicts --verbose", "--quiet", "leave one of the two out");
  if (resume && overwrite)
    throw Error(ExitCode::kUsage, "contradicts --overwrite", "--resume",
                "--resume keeps the run and goes on, --overwrite begins anew: leave one out");
}

}  // namespace covary::cli
