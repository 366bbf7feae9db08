// The likelihood by neighbours: order, lists, value and gradient.
#include "covary/stat/process/vecchia.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"
#include "covary/stat/process/row_noise.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kBlock = 128;  // values a task

size_t index(int64_t i) { return static_cast<size_t>(i); }

double square_distance(const double* a, const double* b, int64_t d) {
  double q = 0;
  for (int64_t k = 0; k < d; ++k) q += (a[k] - b[k]) * (a[k] - b[k]);
  return q;
}

// Working memory of a thread: a value and its neighbours, which come first.
struct Block {
  Vector points, matrix, values, ones, weights, part, own_terms, own_weights;
  int64_t count = 0;

  // Loads value i with its neighbours and factors; false when there is no factor.
  bool load(const Kernel& kernel, std::span<const double> x, std::span<const double> y, int64_t i,
            const NeighbourLists& lists, std::span<const double> terms,
            std::span<const double> row_weights) {
    const int64_t d = kernel.dims(), from = lists.begin[index(i)];
    count = lists.begin[index(i + 1)] - from + 1;
    points.resize(index(count * d));
    values.resize(index(count));
    ones.assign(index(count), 1.0);
    matrix.resize(index(count * count));
    own_terms.assign(index(terms.empty() ? 0 : count), 0.0);
    own_weights.assign(index(row_weights.empty() ? 0 : count), 1.0);
    for (int64_t k = 0; k < count; ++k) {
      const int64_t row = k + 1 < count ? lists.of[index(from + k)] : i;
      std::copy_n(x.data() + row * d, d, points.data() + k * d);
      values[index(k)] = y[index(row)];
      if (!terms.empty()) own_terms[index(k)] = terms[index(row)];
      if (!row_weights.empty()) own_weights[index(k)] = row_weights[index(row)];
    }
    kernel.matrix(points.data(), count, matrix.data(), count);
    for (size_t k = 0; k < own_terms.size(); ++k) matrix[k * index(count + 1)] += own_terms[k];
    if (linalg::potrf(count, matrix.data(), count) != 0) return false;
    linalg::trsm_left(false, count, 1, matrix.data(), count, values.data(), 1);
    linalg::trsm_left(false, count, 1, matrix.data(), count, ones.data(), 1);
    return true;
  }
  double deviation() const { return matrix[index(count * count - 1)]; }

  // gradient += that of log p(values) - log p(neighbours), of the residuals values - mean ones.
  void add_gradient(const Kernel& kernel, double mean, double* gradient) {
    weights.assign(index(count * count), 0.0);
    part.resize(kernel.parameters().size());
    Vector inverse, alpha;
    for (const int64_t size : {count, count - 1}) {
      if (size == 0) continue;
      const double sign = size == count ? 0.5 : -0.5;
      alpha.resize(index(size));
      for (int64_t k = 0; k < size; ++k) alpha[index(k)] = values[index(k)] - mean * ones[index(k)];
      inverse.resize(index(size * size));
      for (int64_t k = 0; k < size; ++k) {
        std::copy_n(matrix.data() + k * count, size, inverse.data() + k * size);
      }
      linalg::trsm_left(true, size, 1, inverse.data(), size, alpha.data(), 1);
      linalg::potri(size, inverse.data(), size);
      for (int64_t a = 0; a < size; ++a) {
        for (int64_t b = 0; b <= a; ++b) {
          const double w =
              sign * (alpha[index(a)] * alpha[index(b)] - inverse[index(a * size + b)]);
          weights[index(a * count + b)] += w;
          if (b < a) weights[index(b * count + a)] += w;
        }
      }
    }
    kernel.contract(points.data(), count, weights.data(), count, part);
    for (size_t p = 0; p < part.size(); ++p) gradient[p] += part[p];
    if (own_weights.empty()) return;
    Vector diagonal(index(count));
    for (size_t k = 0; k < diagonal.size(); ++k) diagonal[k] = weights[k * index(count + 1)];
    contract_row_terms(kernel, points.data(), count, own_weights, diagonal,
                       {gradient, part.size()});
  }
};

}  // namespace

std::vector<int64_t> spread_order(std::span<const double> x, int64_t d, uint64_t seed) {
  const auto n = static_cast<int64_t>(x.size()) / d;
  std::vector<int64_t> order = Random(seed, stream_of("process.order")).permutation(n);
  const int64_t spread = std::min(n, VecchiaProcess::kSpread);
  // Farthest from all before, among the first of a random order; starts in the middle.
  std::vector<int64_t> front(order.begin(), order.begin() + spread);
  Vector middle(index(d)), nearest(index(spread), kInfinity);
  for (const int64_t row : front) {
    for (int64_t k = 0; k < d; ++k)
      middle[index(k)] += x[index(row * d + k)] / static_cast<double>(spread);
  }
  int64_t next = 0;
  double least = kInfinity;
  for (int64_t i = 0; i < spread; ++i) {
    const double q = square_distance(x.data() + front[index(i)] * d, middle.data(), d);
    if (q < least) {
      least = q;
      next = i;
    }
  }
  for (int64_t place = 0; place < spread; ++place) {
    order[index(place)] = front[index(next)];
    nearest[index(next)] = -1;
    const double* here = x.data() + front[index(next)] * d;
    double farthest = -0.5;
    next = 0;
    for (int64_t i = 0; i < spread; ++i) {
      double& q = nearest[index(i)];
      if (q < 0) continue;
      q = std::min(q, square_distance(x.data() + front[index(i)] * d, here, d));
      if (q > farthest) {
        farthest = q;
        next = i;
      }
    }
  }
  return order;
}

NeighbourLists nearest_before(std::span<const double> x, int64_t d, int64_t count) {
  const auto n = static_cast<int64_t>(x.size()) / d;
  NeighbourLists lists;
  lists.begin.assign(index(n + 1), 0);
  for (int64_t i = 0; i < n; ++i) {
    lists.begin[index(i + 1)] = lists.begin[index(i)] + std::min(i, count);
  }
  lists.of.resize(index(lists.begin.back()));
  parallel_tasks((n + kBlock - 1) / kBlock, [&](int64_t task) {
    std::vector<std::pair<double, int64_t>> found;
    for (int64_t i = task * kBlock; i < std::min(n, (task + 1) * kBlock); ++i) {
      const int64_t keep = std::min(i, count);
      found.clear();  // a heap, the farthest on top
      for (int64_t j = 0; j < i; ++j) {
        const std::pair<double, int64_t> pair{
            square_distance(x.data() + i * d, x.data() + j * d, d), j};
        if (static_cast<int64_t>(found.size()) < keep) {
          found.push_back(pair);
          std::push_heap(found.begin(), found.end());
        } else if (pair < found.front()) {
          std::pop_heap(found.begin(), found.end());
          found.back() = pair;
          std::push_heap(found.begin(), found.end());
        }
      }
      std::sort(found.begin(), found.end());
      for (int64_t k = 0; k < keep; ++k) {
        lists.of[index(lists.begin[index(i)] + k)] = found[index(k)].second;
      }
    }
  });
  return lists;
}

VecchiaValue vecchia_log_likelihood(const Kernel& kernel, std::span<const double> x,
                                    std::span<const double> y, const NeighbourLists& lists,
                                    bool constant, std::span<double> gradient,
                                    std::span<const double> variances,
                                    std::span<const double> weights) {
  const auto n = static_cast<int64_t>(y.size());
  const size_t parameters = kernel.parameters().size();
  const int64_t tasks = (n + kBlock - 1) / kBlock;
  const Vector terms = row_terms(kernel, x.data(), n, variances, weights);
  // Sums over values: log deviations, and products of the whitened y and 1.
  struct Sums {
    double logs = 0, yy = 0, y1 = 0, ones = 0;
    bool good = true;
  };
  std::vector<Sums> sums(index(tasks));
  parallel_tasks(tasks, [&](int64_t task) {
    const linalg::OneBlasThread one;
    Block block;
    Sums& s = sums[index(task)];
    for (int64_t i = task * kBlock; i < std::min(n, (task + 1) * kBlock); ++i) {
      if (!block.load(kernel, x, y, i, lists, terms, weights)) {
        s.good = false;
        return;
      }
      const double v = block.values.back(), o = block.ones.back();
      s.logs += std::log(block.deviation());
      s.yy += v * v;
      s.y1 += v * o;
      s.ones += o * o;
    }
  });
  Sums all;
  for (const Sums& s : sums) {
    all.good = all.good && s.good;
    all.logs += s.logs;
    all.yy += s.yy;
    all.y1 += s.y1;
    all.ones += s.ones;
  }
  VecchiaValue out;
  std::fill(gradient.begin(), gradient.end(), 0.0);
  if (constant && all.ones > 0) {
    out.mean = all.y1 / all.ones;
    out.precision_of_mean = all.ones;
  }
  out.log_likelihood = -all.logs - 0.5 * (all.yy - out.mean * all.y1) -
                       0.5 * static_cast<double>(n) * std::log(2 * std::numbers::pi);
  if (!all.good || !std::isfinite(out.log_likelihood)) {
    out.log_likelihood = -kInfinity;
    return out;
  }
  if (gradient.empty()) return out;
  Vector partial(index(tasks) * parameters);
  parallel_tasks(tasks, [&](int64_t task) {
    const linalg::OneBlasThread one;
    Block block;
    for (int64_t i = task * kBlock; i < std::min(n, (task + 1) * kBlock); ++i) {
      block.load(kernel, x, y, i, lists, terms, weights);
      block.add_gradient(kernel, out.mean, partial.data() + index(task) * parameters);
    }
  });
  for (size_t t = 0; t < index(tasks); ++t) {
    for (size_t p = 0; p < parameters; ++p) gradient[p] += partial[t * parameters + p];
  }
  return out;
}

}  // namespace covary::stat
