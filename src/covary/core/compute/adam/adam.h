// One Adam step over a table of rows, in one sweep that reads value, gradient and both moments and
// writes all but the gradient.
//
//   AdamRows<float> rows{p, m, v, nullptr, n, 3};
//   // Dense, then of the k rows named by ids alone:
//   adam({.rate = 1e-3, .update = 1}, rows, {.values = g}, UnseenRows::kDecay);
//   adam(rule, rows, {.values = g, .ids = ids, .count = k, .compact = true}, UnseenRows::kKeep);
//
// An element moves by  m' = b1 m + (1 - b1) g,  v' = b2 v + (1 - b2) g^2,
//   p' = p - rate f / (1 - b1^t) * m' / (sqrt(v') / sqrt(1 - b2^t) + eps),
// with f = multiplier or 1, and t = update.
// The sweep is bound by memory: 28 bytes an element (32 with a multiplier) for about 12 operations.
// Results do not depend on the number of threads, nor on whether a gradient came dense or compact.
// Source: Kingma and Ba 2015; selective rows: Mallick et al. 2024.
#pragma once

#include <cstdint>

namespace covary::compute {

struct AdamRule {
  double rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-15;
  int64_t update = 1;  // t, counted from 1
};

// The table: `rows` rows of `width` elements, contiguous.
template <class T>
struct AdamRows {
  T* value = nullptr;
  T* first = nullptr;             // m
  T* second = nullptr;            // v, >= 0
  const T* multiplier = nullptr;  // of the rate, an element; null = 1
  int64_t rows = 0, width = 0;
};

template <class T>
struct AdamGradient {
  const T* values = nullptr;     // [rows, width], or [count, width] when compact
  const int64_t* ids = nullptr;  // the rows seen, ascending and distinct; null = all
  int64_t count = 0;             // of ids
  bool compact = false;          // row i of values belongs to row ids[i]
};

// What happens to a row that is not among the ids.
enum class UnseenRows {
  kDecay,  // its gradient is 0 (a dense gradient is read as it stands): moments decay, the row
           // still moves
  kKeep    // nothing
};

// The plain loop; double, and float as the scalar baseline.
template <class T>
void adam_reference(const AdamRule& rule, const AdamRows<T>& rows, const AdamGradient<T>& gradient,
                    UnseenRows unseen);

void adam(const AdamRule& rule, const AdamRows<float>& rows, const AdamGradient<float>& gradient,
          UnseenRows unseen);

// Whether no element is infinite or NaN.
bool all_finite(const float* values, int64_t count);

}  // namespace covary::compute
