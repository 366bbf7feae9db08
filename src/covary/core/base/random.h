// Counter-based randomness: a value is a pure function of (seed, stream, element), so that any number of threads,
// a resumed run and a block computed again later all see the same numbers. Philox4x32-10 (Salmon et al. 2011).
//
//   Random rng(seed, stream_of("mcmc.noise", step));
//   double z = rng.normal(row);          // the same z for the same (seed, stream, row), wherever it is asked for
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace covary {

// A stream number from a name and an index (FNV-1a of the name, mixed with the index).
uint64_t stream_of(std::string_view name, uint64_t index = 0);

class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  // Four independent 32-bit words for an element.
  std::array<uint32_t, 4> words(uint64_t element) const;

  double uniform(uint64_t element) const;  // in [0, 1), 53 bits
  double normal(uint64_t element) const;   // standard normal (Box-Muller)
  // Four independent standard normals, from 32-bit uniforms.
  std::array<double, 4> normal4(uint64_t element) const;
  // In [0, n), unbiased enough for n < 2^32 (multiply-shift).
  uint64_t below(uint64_t n, uint64_t element) const;
  std::vector<int64_t> permutation(int64_t n) const;  // of 0 .. n-1 (Fisher-Yates)

 private:
  uint64_t seed_, stream_;
};

}  // namespace covary
