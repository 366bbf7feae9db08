// Spaces of the optimiser, as text and as JSON.
#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "covary/stat/process/search_space.h"
#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return covary::fuzz::expect_error_or_success([&] {
    const std::string text(data, data + size);
    if (!text.starts_with('{')) {
      covary::stat::SearchSpace::parse(text);
      return;
    }
    const nlohmann::json document = nlohmann::json::parse(text, nullptr, false);
    if (!document.is_discarded()) covary::stat::SearchSpace::of_json(document);
  });
}
