// `covary study`: which claim is measured, and how thoroughly.
#pragma once

#include <string>
#include <vector>

#include "covary/core/base/options.h"

namespace covary::cli {

struct StudyOptions {
  std::string scale = "smoke";      // smoke (60 s) | desk (30 min, published) | full (GPU)
  std::string bars;                 // "1,3:5": bars of the spec; empty = all of the scale
  bool take_long = false;           // also bars that break the scale's limit
  std::vector<std::string> ablate;  // parts to leave out, one at a time
  std::string
      match;  // count | steps | time: what is held equal in comparisons; empty = the study's own
  std::string data_root;       // where data sets are looked up; empty = $COVARY_DATA
  bool all = false;            // every study that is ready
  std::string check_document;  // recompute comparisons and counts of a written document

  void describe(OptionList& o);
  void check() const {}
};

}  // namespace covary::cli
