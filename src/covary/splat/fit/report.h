// What people look at after a run or an evaluation: self-contained pages with curves, held-out views
// and timings, and a sheet of pictures.
//
//   write_report("out/fox");                 // out/fox/report.html, from the run's config.json,
//                                            // log.jsonl, metrics.json and eval/
//   write_curves("out/fox", "curves.html");  // its curves alone
//   write_evaluation("eval.html", {{"out/fox", evaluation}}, true);
//   data::write_image("sheet.png", contact_sheet(pictures_of_run("out/fox")));
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "covary/splat/fit/evaluate.h"

namespace covary::fit {

inline constexpr int64_t kShownPictures = 6;  // views on a page or sheet

// file: instead of RUN/report.html.
void write_report(const std::filesystem::path& run, const std::filesystem::path& file = {});
void write_curves(const std::filesystem::path& run, const std::filesystem::path& file);

struct ScoredScene {
  std::string title;
  Evaluation evaluation;  // with its pictures
};
// Pictures and the figures of each scene; with `figures` also timings and every view's.
void write_evaluation(const std::filesystem::path& file, const std::vector<ScoredScene>& scenes,
                      bool figures);

// The first of RUN/eval by name.
std::vector<ViewPictures> pictures_of_run(const std::filesystem::path& run);

// A row a view: truth, render, error, shrunk to at most 480 px each. Not for an empty list.
data::Image8 contact_sheet(const std::vector<ViewPictures>& views);

}  // namespace covary::fit
