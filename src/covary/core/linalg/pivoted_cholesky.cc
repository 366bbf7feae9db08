#include "covary/core/linalg/pivoted_cholesky.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"

namespace covary::linalg {
namespace {

constexpr int64_t kBand = 2048;     // columns of a product a task
constexpr double kGoodShare = 0.5;  // of the largest entry, for a pivot of the same block

// The places of the `count` largest values, the first of equal ones first.
std::vector<int64_t> largest(const std::vector<double>& values, int64_t count) {
  std::vector<int64_t> places(values.size());
  std::iota(places.begin(), places.end(), int64_t{0});
  const auto before = [&](int64_t a, int64_t b) {
    const double x = values[static_cast<size_t>(a)], y = values[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  };
  std::partial_sort(places.begin(), places.begin() + count, places.end(), before);
  places.resize(static_cast<size_t>(count));
  return places;
}

// Of candidates with the remaining matrix [count, count]: up to `most` in greedy order whose entry
// stays good, and the Cholesky factor of theirs, [taken, most].
struct Choice {
  std::vector<int64_t> taken;  // of the candidates
  std::vector<double> factor;
};
Choice choose(std::vector<double> rest, int64_t count, int64_t most, double least) {
  Choice out;
  const auto at = [count](int64_t i, int64_t j) { return static_cast<size_t>(i * count + j); };
  std::vector<std::vector<double>> columns;  // of the factor, by candidate
  const double first = rest[0];
  while (static_cast<int64_t>(out.taken.size()) < most) {
    int64_t best = 0;
    for (int64_t i = 1; i < count; ++i) {
      if (rest[at(i, i)] > rest[at(best, best)]) best = i;
    }
    const double pivot = rest[at(best, best)];
    if (!(pivot > least) || (!out.taken.empty() && pivot < kGoodShare * first)) break;
    std::vector<double> column(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i)
      column[static_cast<size_t>(i)] = rest[at(i, best)] / std::sqrt(pivot);
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t j = 0; j < count; ++j) {
        rest[at(i, j)] -= column[static_cast<size_t>(i)] * column[static_cast<size_t>(j)];
      }
    }
    for (int64_t i = 0; i < count; ++i) rest[at(i, best)] = rest[at(best, i)] = 0;
    columns.push_back(std::move(column));
    out.taken.push_back(best);
  }
  out.factor.assign(static_cast<size_t>(static_cast<int64_t>(out.taken.size()) * most), 0.0);
  for (size_t i = 0; i < out.taken.size(); ++i) {
    for (size_t j = 0; j <= i; ++j) {
      out.factor[i * static_cast<size_t>(most) + j] = columns[j][static_cast<size_t>(out.taken[i])];
    }
  }
  return out;
}

}  // namespace

PivotedCholesky pivoted_cholesky(std::span<const double> diagonal, const PivotOptions& options,
                                 const ColumnsOf& columns) {
  const auto n = static_cast<int64_t>(diagonal.size());
  PivotedCholesky out;
  std::vector<double> left(diagonal.begin(), diagonal.end());
  const int64_t rank = std::min(options.rank, n);
  const double least = n > 0 ? options.tolerance * *std::max_element(left.begin(), left.end()) : 0;
  while (out.rank() < rank) {
    const int64_t done = out.rank(), most = std::min(options.block, rank - done);
    const int64_t count = std::min(n, options.block > 1 ? 2 * most : 1);
    const std::vector<int64_t> places = largest(left, count);
    if (!(left[static_cast<size_t>(places[0])] > least)) break;
    // What is left of the candidates' columns.
    std::vector<double> rows(static_cast<size_t>(count * n)),
        weights(static_cast<size_t>(count * done));
    columns(places, rows.data());
    for (int64_t k = 0; k < done; ++k) {
      for (int64_t c = 0; c < count; ++c) {
        weights[static_cast<size_t>(c * done + k)] =
            out.factor[static_cast<size_t>(k * n + places[static_cast<size_t>(c)])];
      }
    }
    parallel_tasks(done > 0 ? (n + kBand - 1) / kBand : 0, [&](int64_t task) {
      const OneBlasThread one;
      const int64_t begin = task * kBand, width = std::min(kBand, n - begin);
      gemm(false, false, count, width, done, -1, weights.data(), done, out.factor.data() + begin, n,
           1, rows.data() + begin, n);
    });
    std::vector<double> rest(static_cast<size_t>(count * count));
    for (int64_t c = 0; c < count; ++c) {
      for (int64_t e = 0; e < count; ++e) {
        rest[static_cast<size_t>(c * count + e)] =
            c == e ? left[static_cast<size_t>(places[static_cast<size_t>(c)])]
                   : rows[static_cast<size_t>(c * n + places[static_cast<size_t>(e)])];
      }
    }
    const Choice choice = choose(std::move(rest), count, most, least);
    const auto taken = static_cast<int64_t>(choice.taken.size());
    out.factor.resize(static_cast<size_t>((done + taken) * n));
    double* fresh = out.factor.data() + done * n;
    for (int64_t i = 0; i < taken; ++i) {
      const int64_t c = choice.taken[static_cast<size_t>(i)];
      std::copy_n(rows.data() + c * n, n, fresh + i * n);
      out.pivots.push_back(places[static_cast<size_t>(c)]);
    }
    parallel_tasks((n + kBand - 1) / kBand, [&](int64_t task) {
      const OneBlasThread one;
      const int64_t begin = task * kBand, width = std::min(kBand, n - begin);
      trsm_left(false, taken, width, choice.factor.data(), most, fresh + begin, n);
      for (int64_t i = 0; i < taken; ++i) {
        for (int64_t j = begin; j < begin + width; ++j) {
          left[static_cast<size_t>(j)] -= fresh[i * n + j] * fresh[i * n + j];
        }
      }
    });
    for (int64_t i = done; i < done + taken; ++i) {
      left[static_cast<size_t>(out.pivots[static_cast<size_t>(i)])] = 0;
    }
  }
  for (const double v : left) out.left += std::max(v, 0.0);
  return out;
}

}  // namespace covary::linalg
