// The study document "covary-study/1": what a run measured, as JSON that can be checked without
// running anything.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/core/eval/study.h"

namespace covary::eval {

// Every way in which the document breaks the schema, its comparisons or its counts; empty when it
// is sound.
std::vector<std::string> document_faults(const nlohmann::json& document);

// Counts the bars: sets passed, failed, skipped and verdict ("pass", or "fail" when a bar failed or
// none ran).
void settle_document(nlohmann::json& document);

// A bar of the document that was not measured.
nlohmann::json skipped_bar(const Bar& bar, const std::string& note);
// One that was; not passing when a compared number is NaN or infinite on the wrong side.
nlohmann::json measured_bar(const Bar& bar, const BarResult& result, const std::string& scale,
                            double wall_s);
// One that threw.
nlohmann::json failed_bar(const Bar& bar, const std::string& message, double wall_s);

std::string document_text(
    const nlohmann::json& document);  // summary for a terminal, one line a bar
std::string document_html(const nlohmann::json& document);  // one self-contained page
// Documents of one scale as Markdown: a table of studies, then a table of bars each.
std::string documents_markdown(const std::vector<nlohmann::json>& documents);

}  // namespace covary::eval
