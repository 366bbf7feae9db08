// The published systems that Covary sets out to hold, and the four cores below them: what `study
// --list` shows.
#pragma once

#include <string_view>
#include <vector>

namespace covary::eval {

struct CatalogueEntry {
  std::string_view slug, line;
  bool core = false;  // a shared core, listed below the systems
};

const std::vector<CatalogueEntry>& catalogue();  // 57 systems by slug, then 4 cores

}  // namespace covary::eval
