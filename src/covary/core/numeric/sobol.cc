#include "covary/core/numeric/sobol.h"

#include <algorithm>
#include <bit>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/numeric/normal.h"
#include "covary/core/numeric/sobol_tables.h"

namespace covary::numeric {
namespace {

constexpr int kBits = 32;
constexpr int64_t kMostDimensions = 20000;

uint32_t times(uint32_t a, uint32_t b, uint32_t polynomial, int degree) {
  uint32_t product = 0;
  for (; b; b >>= 1) {
    if (b & 1) product ^= a;
    a <<= 1;
    if (a >> degree & 1) a ^= polynomial;
  }
  return product;
}

// Whether x has the order 2^degree - 1 modulo the polynomial.
bool is_primitive(uint32_t polynomial, int degree) {
  if (degree == 1) return true;
  const uint32_t order = (1u << degree) - 1;
  const auto power = [&](uint32_t e) {
    uint32_t result = 1, base = 2;
    for (; e; e >>= 1) {
      if (e & 1) result = times(result, base, polynomial, degree);
      base = times(base, base, polynomial, degree);
    }
    return result;
  };
  if (power(order) != 1) return false;
  uint32_t rest = order;
  for (uint32_t f = 2; f * f <= rest; ++f) {
    if (rest % f != 0) continue;
    if (power(order / f) == 1) return false;
    while (rest % f == 0) rest /= f;
  }
  return rest == 1 || power(order / rest) != 1;
}

// The next primitive polynomial after p, by degree and value; they begin with x + 1.
void advance(uint32_t* p, int* degree) {
  do {
    *p += 2;
    if (*p >> (*degree + 1)) {
      ++*degree;
      *p = (1u << *degree) + 1;
    }
  } while (!is_primitive(*p, *degree));
}

std::array<uint32_t, kBits> directions_of(int64_t row, uint32_t polynomial, int degree) {
  std::array<uint32_t, kBits> m{};
  const Random random(0, stream_of("sobol.start", static_cast<uint64_t>(row)));
  for (int k = 0; k < degree; ++k) {
    const auto index = static_cast<size_t>(k);
    m[index] = row < kSobolRows
                   ? kSobolStart[row][k]
                   : 2 * static_cast<uint32_t>(random.below(1u << k, static_cast<uint64_t>(k))) + 1;
  }
  for (size_t k = static_cast<size_t>(degree); k < kBits; ++k) {
    const auto s = static_cast<size_t>(degree);
    m[k] = m[k - s] ^ (m[k - s] << s);
    for (size_t i = 1; i < s; ++i) {
      if (polynomial >> (s - i) & 1) m[k] ^= m[k - i] << i;
    }
  }
  for (size_t k = 0; k < kBits; ++k) m[k] <<= kBits - 1 - k;
  return m;
}

}  // namespace

Sobol::Sobol(int64_t dimensions, uint64_t seed, bool scramble) {
  if (dimensions < 1 || dimensions > kMostDimensions) {
    throw Error(ExitCode::kUsage, "must lie in [1, " + std::to_string(kMostDimensions) + "]",
                "dimensions of a Sobol sequence");
  }
  uint32_t polynomial = 3;
  int degree = 1;
  for (int64_t d = 0; d < dimensions; ++d) {
    std::array<uint32_t, kBits> v{};
    if (d == 0) {
      for (size_t k = 0; k < kBits; ++k) v[k] = 1u << (kBits - 1 - k);
    } else {
      v = directions_of(d - 1, polynomial, degree);
      advance(&polynomial, &degree);
    }
    uint32_t shift = 0;
    if (scramble) {
      const Random random(seed, stream_of("sobol.scramble", static_cast<uint64_t>(d)));
      // Row r of the matrix: ones at r, random digits at the more significant places.
      std::array<uint32_t, kBits> matrix{};
      for (size_t r = 0; r < kBits; ++r) {
        const uint32_t diagonal = 1u << (kBits - 1 - r);
        const uint32_t above = r == 0 ? 0 : ~0u << (kBits - r);
        matrix[r] = diagonal | (random.words(r)[0] & above);
      }
      for (uint32_t& column : v) {
        uint32_t mixed = 0;
        for (size_t r = 0; r < kBits; ++r) {
          mixed |= static_cast<uint32_t>(std::popcount(matrix[r] & column) & 1) << (kBits - 1 - r);
        }
        column = mixed;
      }
      shift = random.words(kBits)[0];
    }
    directions_.push_back(v);
    shift_.push_back(shift);
  }
}

void Sobol::point(uint64_t index, std::span<double> x) const {
  if (static_cast<int64_t>(x.size()) != dimensions() || index >> kBits) {
    throw Error(ExitCode::kUsage, "needs a place for every coordinate and an index below 2^32",
                "Sobol point");
  }
  const uint64_t gray = index ^ (index >> 1);
  for (size_t d = 0; d < directions_.size(); ++d) {
    uint32_t bits = shift_[d];
    for (uint64_t g = gray; g; g &= g - 1) {
      bits ^= directions_[d][static_cast<size_t>(std::countr_zero(g))];
    }
    x[d] = (static_cast<double>(bits) + 0.5) * 0x1p-32;
  }
}

std::vector<double> Sobol::points(int64_t count, uint64_t first) const {
  if (count < 0) throw Error(ExitCode::kUsage, "must not be negative", "count of Sobol points");
  const size_t width = directions_.size();
  std::vector<double> out(static_cast<size_t>(count) * width);
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    point(first + i, {out.data() + i * width, width});
  }
  return out;
}

std::vector<double> Sobol::normals(int64_t count, uint64_t first) const {
  std::vector<double> out = points(count, first);
  for (double& v : out) v = normal_quantile(v);
  return out;
}

}  // namespace covary::numeric
