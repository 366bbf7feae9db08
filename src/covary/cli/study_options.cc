#include "covary/cli/study_options.h"

namespace covary::cli {

void StudyOptions::describe(OptionList& o) {
  o.add("scale", &scale, "how thoroughly: 60 s, 30 min, or the paper's own on a GPU")
      .choices({"smoke", "desk", "full"})
      .common();
  o.add("bars", &bars, "only these: 1,3:5").common();
  o.add("long", &take_long, "also bars that break the scale's time limit").common();
  o.add("ablate", &ablate, "parts to leave out, one at a time");
  o.add("match", &match, "what is held equal in comparisons")
      .suggestions({"count", "steps", "time"});
  o.add("data_root", &data_root, "where data sets are; $COVARY_DATA when not given").common();
  o.add("all", &all, "every study that is ready").common();
  o.add("check", &check_document, "recompute the comparisons of a written document")
      .suggestions({"FILE.json"});
}

}  // namespace covary::cli
