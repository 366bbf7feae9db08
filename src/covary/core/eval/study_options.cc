#include "covary/core/eval/study_options.h"

#include "covary/core/base/error.h"

namespace covary::eval {

void StudyOptions::describe(OptionList& o) {
  o.add("scale", &scale,
        "smoke: a minute; desk: the published figures; full: GPU and the paper's data")
      .choices({"smoke", "desk", "full"})
      .common();
  o.add("bars", &bars, "only these bars: 1,3:5,2a").common();
  o.add("long", &long_bars, "also the bars that take long").common();
  o.add("ablate", &ablate, "parts to leave out, one at a time");
  o.add("match", &match, "compare at equal count, steps or time")
      .choices({"", "count", "steps", "time"});
  o.add("repeats", &repeats, "runs with consecutive seeds a figure").range(1, 1000).common();
  o.add("data_root", &data_root, "folder of the data sets (default $COVARY_DATA)").common();
  o.add("list", &list, "every study with its state and last desk verdict").common();
  o.add("all", &all, "run every ready study");
  o.add("check", &check, "recompute the comparisons and counts of a document");
  o.add("table", &table, "the published documents as a Markdown table");
  o.add("results", &results, "folder of the published documents (default studies/results)");
}

void StudyOptions::validate() const {
  const int asks = (slug.empty() ? 0 : 1) + (list ? 1 : 0) + (all ? 1 : 0) +
                   (check.empty() ? 0 : 1) + (table ? 1 : 0);
  if (asks == 0) {
    throw Error(ExitCode::kUsage, "no study named", "study",
                "`covary study --list` prints them; `covary study SLUG --scale smoke` runs one");
  }
  if (asks > 1) {
    throw Error(ExitCode::kUsage, "more than one of SLUG, --list, --all, --check, --table", "study",
                "give one of them");
  }
  if (repeats < 1) throw Error(ExitCode::kUsage, "must be at least 1", "repeats");
  if (resume && slug.empty()) {
    throw Error(ExitCode::kUsage, "needs one study", "resume",
                "covary study SLUG --resume --json FILE");
  }
  if (resume && json_file.empty() && output.empty()) {
    throw Error(ExitCode::kUsage, "nothing to resume from", "resume",
                "name the document: --json FILE, or the folder: -o DIR");
  }
  if (resume && overwrite) {
    throw Error(ExitCode::kUsage, "contradicts --resume", "overwrite", "give one of them");
  }
}

}  // namespace covary::eval
