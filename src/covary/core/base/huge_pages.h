// Large matrices on large pages: a tile of a matrix whose rows are tens of kilobytes long has a page for every row, more
// than the processor keeps addresses of.
//
//   at::Tensor k = at::empty({n, n}, at::kDouble);
//   use_huge_pages(k.data_ptr(), k.nbytes());      // before it is first written
#pragma once

#include <cstddef>

namespace covary {

// Asks the system for pages of 2 MiB inside [data, data + bytes); where it has none, nothing changes.
void use_huge_pages(void* data, size_t bytes);

}  // namespace covary
