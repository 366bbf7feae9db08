// report.html of a run: one self-contained file with curves, held-out views and timings.
//
//   write_report("out/fox");   // reads the run's config.json, log.jsonl, metrics.json and eval/
#pragma once

#include <filesystem>

namespace covary::fit {

void write_report(const std::filesystem::path& run);

}  // namespace covary::fit
