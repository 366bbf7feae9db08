// CSV, ARFF, NPY and NPZ as tables.
#include "covary/core/data/table.h"

#include <cstdint>

#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return covary::fuzz::expect_error_or_success([&] {
    const covary::fuzz::MemoryFile file(data, size);
    covary::data::TableReader reader(file.path(), {.max_columns = 1000});
    for (covary::data::Table chunk; reader.next(7, chunk);) {
    }
  });
}
