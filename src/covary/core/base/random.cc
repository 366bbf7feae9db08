#include "covary/core/base/random.h"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace covary {

uint64_t stream_of(std::string_view name, uint64_t index) {
  uint64_t h = 14695981039346656037ULL;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return h ^ (index * 0x9E3779B97F4A7C15ULL);
}

std::array<uint32_t, 4> Random::words(uint64_t element) const {
  r123::Philox4x32::ctr_type counter{
      {static_cast<uint32_t>(element), static_cast<uint32_t>(element >> 32),
       static_cast<uint32_t>(stream_), static_cast<uint32_t>(stream_ >> 32)}};
  r123::Philox4x32::key_type key{
      {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)}};
  const auto r = r123::Philox4x32{}(counter, key);
  return {r[0], r[1], r[2], r[3]};
}

double Random::uniform(uint64_t element) const {
  const auto w = words(element);
  return static_cast<double>(((static_cast<uint64_t>(w[0]) << 32) | w[1]) >> 11) * 0x1p-53;
}

std::array<double, 4> Random::normal4(uint64_t element) const {
  const auto w = words(element);
  std::array<double, 4> z;
  for (size_t k = 0; k < 2; ++k) {
    const double u = (w[2 * k] + 0.5) * 0x1p-32, v = (w[2 * k + 1] + 0.5) * 0x1p-32;
    const double r = std::sqrt(-2 * std::log(u)), a = 2 * std::numbers::pi * v;
    z[2 * k] = r * std::cos(a);
    z[2 * k + 1] = r * std::sin(a);
  }
  return z;
}

double Random::normal(uint64_t element) const { return normal4(element)[0]; }

uint64_t Random::below(uint64_t n, uint64_t element) const {
  const auto w = words(element);
  const uint64_t x = (static_cast<uint64_t>(w[0]) << 32) | w[1];
  return static_cast<uint64_t>((static_cast<unsigned __int128>(x) * n) >> 64);
}

std::vector<int64_t> Random::permutation(int64_t n) const {
  std::vector<int64_t> p(static_cast<size_t>(n));
  std::iota(p.begin(), p.end(), int64_t{0});
  for (int64_t i = n - 1; i > 0; --i)
    std::swap(p[static_cast<size_t>(i)],
              p[below(static_cast<uint64_t>(i) + 1, static_cast<uint64_t>(i))]);
  return p;
}

}  // namespace covary
