// State-space models: sums of components and named models as text, and model files.
#include <cstdint>
#include <string>

#include "covary/stat/filter/filter_model.h"
#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return covary::fuzz::expect_error_or_success([&] {
    if (size > 0 && (data[0] == '{' || data[0] == 'P' || data[0] == ' ')) {
      const covary::fuzz::MemoryFile file(data, size);
      covary::filter::FilterModel::read(file.path());
    } else {
      covary::filter::FilterModel::of_text({data, data + size}, {"y"});
    }
  });
}
