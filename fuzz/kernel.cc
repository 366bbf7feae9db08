// Kernels, likelihoods and priors of processes as text. What is taken must be taken again as the text that it prints.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "covary/stat/process/kernel.h"
#include "covary/stat/process/likelihood.h"
#include "covary/stat/process/prior.h"
#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text(data + 1, data + size);
  const int64_t dims = 1 + data[0] % 7;
  std::string printed;
  covary::fuzz::expect_error_or_success([&] {
    if (data[0] < 16) {
      covary::stat::Prior::parse(text);
    } else if (data[0] < 32) {
      covary::stat::Likelihood::parse(text);
    } else {
      printed = covary::stat::Kernel::parse(text, dims).text();
    }
  });
  if (printed.empty()) return 0;
  if (covary::stat::Kernel::parse(printed, dims).text() != printed) std::abort();
  return 0;
}
