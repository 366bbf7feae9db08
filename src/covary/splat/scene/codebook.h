// Few numbers, or few vectors, that stand for many: codebooks of scene formats. Within scene only.
//
//   std::vector<float> book = codebook_of(values, n, 256);       // ascending; the least squared error
//   std::vector<uint8_t> codes = codes_of(values, n, book);      // nearest entry of each
//   std::vector<float> few = codebook_within(values, n, 1e-6);   // as few as keep the error below
//   Palette p = palette_of(sh, n, 45, 65536, 6, 42);             // vectors
//
// The codebook is optimal for values rounded into some thousand bins: dynamic programming over their
// counts (Wang and Song 2011, "Ckmeans.1d.dp"; the order of optimal borders makes a layer O(bins log
// bins)). A palette of many entries is k-means in two steps, coarse groups and then entries within each,
// so that 1M vectors and 65,536 entries take seconds; each vector finally takes the best entry of the
// groups that are nearest to it.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::scene {

// At most `size` entries, fewer where there are fewer distinct values. n >= 1; all finite.
std::vector<float> codebook_of(const float* values, int64_t n, int64_t size);
std::vector<uint8_t> codes_of(const float* values, int64_t n, const std::vector<float>& book);
// 32, 64, 128 or 256 entries: the fewest whose mean squared error is at most this, or 256.
std::vector<float> codebook_within(const float* values, int64_t n, double mean_squared_error);

struct Palette {
  std::vector<float> entries;     // [k,d]
  std::vector<int32_t> labels;    // [n]
  int64_t count = 0;              // k: what was asked for at most
  double mean_squared_error = 0;  // of a number of x
};
// x [n,d] finite; entries <= n.
Palette palette_of(const float* x, int64_t n, int64_t d, int64_t entries, int64_t sweeps,
                   int64_t seed);

}  // namespace covary::scene
