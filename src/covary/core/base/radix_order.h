// The order of keys by value, equal ones in the order in which they stand.
//
//   std::vector<uint32_t> order = radix_order<uint64_t>(n, [&](int64_t i) { return keys[i]; });
//   // key(order[0]) <= key(order[1]) <= ...
//
// Least significant digit first, 11 bits a pass; the digits of all passes are counted in one reading, and a
// pass whose keys share one digit is left out. n < 2^32; two arrays of n keys and indices of memory.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace covary {

// Bits: an unsigned integer; key(i) for i in [0, n) is called once each.
template <class Bits, class Key>
std::vector<uint32_t> radix_order(int64_t n, Key&& key) {
  constexpr int kDigit = 11, kBuckets = 1 << kDigit;
  constexpr int kPasses = (static_cast<int>(8 * sizeof(Bits)) + kDigit - 1) / kDigit;
  struct Item {
    Bits key;
    uint32_t index;
  };
  const auto digit = [](Bits bits, int pass) {
    return static_cast<size_t>((bits >> (pass * kDigit)) & (kBuckets - 1));
  };
  std::vector<Item> a(static_cast<size_t>(n)), b(static_cast<size_t>(n));
  std::vector<std::array<uint32_t, kBuckets>> counts(kPasses);
  for (int64_t i = 0; i < n; ++i) {
    const Bits bits = key(i);
    a[static_cast<size_t>(i)] = {bits, static_cast<uint32_t>(i)};
    for (int pass = 0; pass < kPasses; ++pass)
      ++counts[static_cast<size_t>(pass)][digit(bits, pass)];
  }
  for (int pass = 0; pass < kPasses; ++pass) {
    std::array<uint32_t, kBuckets>& count = counts[static_cast<size_t>(pass)];
    if (std::find(count.begin(), count.end(), n) != count.end()) continue;  // one digit for all
    uint32_t at = 0;
    for (uint32_t& c : count) at += std::exchange(c, at);
    for (const Item& item : a) b[count[digit(item.key, pass)]++] = item;
    a.swap(b);
  }
  std::vector<uint32_t> order(static_cast<size_t>(n));
  for (size_t i = 0; i < order.size(); ++i) order[i] = a[i].index;
  return order;
}

}  // namespace covary
