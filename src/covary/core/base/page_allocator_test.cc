#include "covary/core/base/page_allocator.h"

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/machine.h"

namespace covary {
namespace {

using Bytes = std::vector<uint8_t, PageAllocator<uint8_t>>;

TEST(PageAllocator, HoldsWhatAVectorHolds) {
  Bytes small = {1, 2, 3}, large(size_t{5} << 20, 7);
  EXPECT_EQ(large[size_t{5} << 19], 7);
  large.push_back(9);  // grows by a copy
  EXPECT_EQ(large.back(), 9);
  EXPECT_EQ(large.front(), 7);
  Bytes moved = std::move(large);
  EXPECT_EQ(moved.size(), (size_t{5} << 20) + 1);
  small.swap(moved);
  EXPECT_EQ(moved, (Bytes{1, 2, 3}));
}

TEST(PageAllocator, WhatIsFreedGoesBackAtOnce) {
  std::vector<Bytes> all;
  for (int i = 0; i < 20; ++i) all.emplace_back(size_t{5} << 20, uint8_t{1});
  const int64_t with = memory_bytes();
  for (size_t i = 0; i < all.size(); i += 2)
    Bytes().swap(all[i]);  // every second one: a heap would have holes
  EXPECT_LT(memory_bytes(), with - (int64_t{40} << 20));
}

TEST(PageAllocator, AnAbsurdSizeIsAnError) {
  EXPECT_THROW(PageAllocator<double>().allocate(size_t{1} << 62), std::bad_alloc);
  EXPECT_THROW(PageAllocator<uint8_t>().allocate(size_t{1} << 62), std::bad_alloc);
}

}  // namespace
}  // namespace covary
