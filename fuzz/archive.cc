// ZIP, .npy, .npz and .cov.
#include <cstdint>

#include "covary/core/data/archive.h"
#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return covary::fuzz::expect_error_or_success([&] {
    const covary::fuzz::MemoryFile file(data, size);
    if (size > 0 && data[0] == 0x93) {
      covary::data::parse_npy({data, data + size}, "input");
      return;
    }
    covary::data::read_npz(file.path());
    const covary::data::CovReader reader(file.path());
    for (const auto& name : reader.names()) reader.array(name);
  });
}
