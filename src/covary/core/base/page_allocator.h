// Large blocks on pages of their own, which go back to the system the moment they are freed.
//
//   std::vector<uint8_t, PageAllocator<uint8_t>> pixels(width * height);
//
// The heap keeps what is freed inside it, in pieces between blocks that live on. A program that makes and drops pictures of
// megabytes all the time, on several threads, then holds far more than its pictures: a fit on photos of 2 megapixels, 80 MB
// of them held, 110 MB more. Blocks below 1 MiB come from the heap.
#pragma once

#include <cstddef>
#include <new>

namespace covary {

// Zeroed pages; throws std::bad_alloc. The size is that of the allocation.
void* allocate_pages(size_t bytes);
void free_pages(void* data, size_t bytes) noexcept;

template <class T>
struct PageAllocator {
  using value_type = T;
  static constexpr size_t kLeast = size_t{1} << 20;  // bytes

  PageAllocator() = default;
  template <class U>
  PageAllocator(const PageAllocator<U>&) {
  }  // NOLINT(google-explicit-constructor): as allocators are

  T* allocate(size_t n) {
    if (n > static_cast<size_t>(-1) / sizeof(T)) throw std::bad_array_new_length();
    const size_t bytes = n * sizeof(T);
    return static_cast<T*>(bytes < kLeast ? ::operator new(bytes) : allocate_pages(bytes));
  }
  void deallocate(T* data, size_t n) noexcept {
    if (n * sizeof(T) < kLeast)
      ::operator delete(data);
    else
      free_pages(data, n * sizeof(T));
  }
  friend bool operator==(const PageAllocator&, const PageAllocator&) { return true; }
};

}  // namespace covary
