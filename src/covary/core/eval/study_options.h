// What `covary study` is asked: which claim, at which scale, which of its bars, and where results
// go.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/base/options.h"

namespace covary::eval {

struct StudyOptions {
  // Described: flags of the verb.
  std::string scale = "smoke";      // smoke (60 s, in the tests) | desk (published) | full (GPU)
  std::vector<std::string> bars;    // "2", "2a", "3:5"; empty = all of the scale
  bool long_bars = false;           // --long: also the bars tagged long
  std::vector<std::string> ablate;  // parts to leave out, where the study has ablations
  std::string match;                // count | steps | time, where the study compares at equal cost
  int64_t repeats = 1;              // runs with seeds seed, seed + 1, ... a measured figure
  std::string data_root;            // where data sets are looked up; empty = $COVARY_DATA
  bool list = false;                // print every slug with its state
  bool all = false;                 // run every ready study
  std::string check;                // recompute the comparisons and counts of this document
  bool table = false;               // print the published documents as one Markdown table
  std::string results;              // folder of published documents; empty = studies/results here
                                    // or beside the build folder

  // Filled in by the verb from what every verb has; not described here.
  std::string slug;          // positional; "" with list, all, check or table
  std::string output;        // -o: folder for models, plots, report.html; "" = nothing kept
  std::string json_file;     // --json FILE: the document, rewritten after every bar
  bool json_stdout = false;  // --json: the document on stdout, all text on stderr
  bool resume = false;       // keep the finished bars of the document
  bool overwrite = false;    // a non-empty output folder may be written over
  int64_t seed = 42;

  void describe(OptionList& o);
  void validate() const;  // Error(kUsage) naming the field (`check` is a flag of this verb)
};

}  // namespace covary::eval
