#include "covary/core/base/page_allocator.h"

#include <sys/mman.h>

namespace covary {

void* allocate_pages(size_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw std::bad_alloc();
  return data;
}

void free_pages(void* data, size_t bytes) noexcept { munmap(data, bytes); }

}  // namespace covary
