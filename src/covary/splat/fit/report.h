// report.html of a run: one self-contained file with curves, held-out views and timings.
//
//   write_report("out/fox");     // from config.json, log.jsonl, metrics.json and eval/ of the run
//   folder
#pragma once

#include <filesystem>

namespace covary::fit {

void write_report(const std::filesystem::path& run);

}  // namespace covary::fit
