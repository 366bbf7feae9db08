#include "covary/stat/mixture/kde_tree.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "covary/core/base/threads.h"
#include "covary/stat/mixture/kde_gaussian.h"

namespace covary::mixture {
namespace {

constexpr int64_t kLeaf = 96;  // points; fewer means more boxes, more means coarser pruning
constexpr double kBriefError = 1e-8;
constexpr double kExactError = 4e-12;  // of products in exact sums, by the bound; seen: a hundredth

// Ids in an order in which neighbours in the list are neighbours in space: leaves of a kd-tree of
// at most `most` points, halves at multiples of `most` where possible.
void order_in_space(const double* x, int64_t d, int64_t* begin, int64_t* end, int64_t most) {
  if (end - begin <= most) return;
  int64_t widest = 0;
  double width = -1;
  for (int64_t j = 0; j < d; ++j) {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const int64_t* i = begin; i < end; ++i) {
      low = std::min(low, x[*i * d + j]);
      high = std::max(high, x[*i * d + j]);
    }
    if (high - low > width) width = high - low, widest = j;
  }
  int64_t* middle = begin + ((end - begin) / 2 + most - 1) / most * most;
  if (middle >= end) middle = begin + (end - begin) / 2;
  // Equal coordinates by index, so that the order is one whatever nth_element does.
  std::nth_element(begin, middle, end, [&](int64_t a, int64_t b) {
    const double u = x[a * d + widest], v = x[b * d + widest];
    return u != v ? u < v : a < b;
  });
  order_in_space(x, d, begin, middle, most);
  order_in_space(x, d, middle, end, most);
}

}  // namespace

KdeTree::KdeTree(const std::vector<double>& points, const std::vector<double>& weights,
                 const std::vector<double>& shrink, int64_t n, int64_t d)
    : d_(d) {
  std::vector<int64_t> ids(static_cast<size_t>(n));
  std::iota(ids.begin(), ids.end(), int64_t{0});
  order_in_space(points.data(), d, ids.data(), ids.data() + n, kLeaf);
  const int64_t most = n + (n / (kLeaf / 2) + 2) * kKdePad;
  stride_ = most;
  columns_.assign(static_cast<size_t>(d * most), 0.0);
  weights_.assign(static_cast<size_t>(most), 0.0);
  if (!shrink.empty()) shrink_.assign(static_cast<size_t>(most), 1.0);
  nodes_.reserve(static_cast<size_t>(4 * n / kLeaf + 4));
  build(ids, 0, n, points, weights, shrink);
  for (const double w : weights_) {
    heaviest_ = std::max(heaviest_, w);
    count_ += w > 0;
  }
  log2_weights_.resize(weights_.size());
  for (size_t i = 0; i < weights_.size(); ++i)
    log2_weights_[i] = std::log2(weights_[i] / heaviest_);
  for (Node& node : nodes_) {
    if (node.left >= 0) continue;
    node.heaviest =
        *std::max_element(log2_weights_.begin() + node.begin, log2_weights_.begin() + node.end);
  }
}

int64_t KdeTree::build(std::vector<int64_t>& ids, int64_t begin, int64_t end,
                       const std::vector<double>& points, const std::vector<double>& weights,
                       const std::vector<double>& shrink) {
  const int64_t at = static_cast<int64_t>(nodes_.size());
  nodes_.emplace_back();
  low_.resize(low_.size() + static_cast<size_t>(d_), std::numeric_limits<double>::infinity());
  high_.resize(high_.size() + static_cast<size_t>(d_), -std::numeric_limits<double>::infinity());
  Node node;
  if (end - begin <= kLeaf) {
    const int64_t previous = storage_;
    node.begin = previous;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t to = previous + i - begin;
      const int64_t id = ids[static_cast<size_t>(i)];
      weights_[static_cast<size_t>(to)] = weights[static_cast<size_t>(id)];
      node.weight += weights[static_cast<size_t>(id)];
      if (!shrink.empty()) {
        const double v = shrink[static_cast<size_t>(id)];
        shrink_[static_cast<size_t>(to)] = v;
        node.least_shrink = i == begin ? v : std::min(node.least_shrink, v);
        node.most_shrink = i == begin ? v : std::max(node.most_shrink, v);
      }
      for (int64_t j = 0; j < d_; ++j) {
        const double v = points[static_cast<size_t>(id * d_ + j)];
        columns_[static_cast<size_t>(j * stride_ + to)] = v;
        low_[static_cast<size_t>(at * d_ + j)] =
            std::min(low_[static_cast<size_t>(at * d_ + j)], v);
        high_[static_cast<size_t>(at * d_ + j)] =
            std::max(high_[static_cast<size_t>(at * d_ + j)], v);
      }
    }
    node.end = previous + (end - begin + kKdePad - 1) / kKdePad * kKdePad;
    storage_ = node.end;
  } else {
    // The same halves as order_in_space.
    int64_t middle = begin + ((end - begin) / 2 + kLeaf - 1) / kLeaf * kLeaf;
    if (middle >= end) middle = begin + (end - begin) / 2;
    node.left = build(ids, begin, middle, points, weights, shrink);
    node.right = build(ids, middle, end, points, weights, shrink);
    const Node &l = nodes_[static_cast<size_t>(node.left)],
               &r = nodes_[static_cast<size_t>(node.right)];
    node.begin = l.begin;
    node.end = r.end;
    node.weight = l.weight + r.weight;
    node.least_shrink = std::min(l.least_shrink, r.least_shrink);
    node.most_shrink = std::max(l.most_shrink, r.most_shrink);
    for (int64_t j = 0; j < d_; ++j) {
      low_[static_cast<size_t>(at * d_ + j)] =
          std::min(low_[static_cast<size_t>(node.left * d_ + j)],
                   low_[static_cast<size_t>(node.right * d_ + j)]);
      high_[static_cast<size_t>(at * d_ + j)] =
          std::max(high_[static_cast<size_t>(node.left * d_ + j)],
                   high_[static_cast<size_t>(node.right * d_ + j)]);
    }
  }
  nodes_[static_cast<size_t>(at)] = node;
  return at;
}

void KdeTree::block_sums(Kernel kernel, const double* queries, int64_t m, double relative,
                         double absolute, double* out) const {
  // The box of the queries.
  std::vector<double> low(queries, queries + d_), high(low);
  for (int64_t a = 1; a < m; ++a) {
    for (int64_t j = 0; j < d_; ++j) {
      low[static_cast<size_t>(j)] = std::min(low[static_cast<size_t>(j)], queries[a * d_ + j]);
      high[static_cast<size_t>(j)] = std::max(high[static_cast<size_t>(j)], queries[a * d_ + j]);
    }
  }
  const auto range = [&](int64_t node, double& nearest, double& farthest) {
    nearest = farthest = 0;
    for (int64_t j = 0; j < d_; ++j) {
      const double below = low_[static_cast<size_t>(node * d_ + j)];
      const double above = high_[static_cast<size_t>(node * d_ + j)];
      const double gap = std::max(
          {0.0, low[static_cast<size_t>(j)] - above, below - high[static_cast<size_t>(j)]});
      const double reach =
          std::max(high[static_cast<size_t>(j)] - below, above - low[static_cast<size_t>(j)]);
      nearest += kernel_term(kernel, gap);
      farthest += kernel_term(kernel, reach);
    }
    nearest *= nodes_[static_cast<size_t>(node)].least_shrink;
    farthest *= nodes_[static_cast<size_t>(node)].most_shrink;
  };
  const bool exact = relative == 0 && absolute == 0;
  // The polynomial of brief exponentials and the rounding of products take their part of the budget.
  const bool brief = relative >= 10 * kBriefError;
  GaussianBlock products(queries, m, d_, kLeaf);
  const bool by_products = kernel == Kernel::kGaussian && shrink_.empty() &&
                           products.rounding() <= (exact ? kExactError : 0.01 * relative);
  double budget = relative;
  if (brief) budget -= 2 * kBriefError;
  if (by_products && !exact) budget -= 2 * products.rounding();
  const double unit = by_products ? heaviest_ : 1;  // of the sums in `out` till the end
  const double whole = by_products ? 0.75 : 1;      // the part for nodes taken as a whole
  double floors[kKdeQueries];
  std::fill_n(floors, m, -1000.0);
  double shared = 0;  // what nodes taken as a whole add to every query
  double lost = 0;    // bound of their errors
  double done = 0;    // weight dealt with
  double least = 0;   // the smallest sum of a query so far, errors off
  const double total = weight();
  std::fill_n(out, m, 0.0);
  struct Pending {
    int64_t node;
    double nearest, farthest;
  };
  std::vector<Pending> stack;
  const auto push = [&](int64_t node) {
    Pending p{node, 0, 0};
    range(node, p.nearest, p.farthest);
    stack.push_back(p);
  };
  push(0);
  while (!stack.empty()) {
    const Pending p = stack.back();
    stack.pop_back();
    const Node& node = nodes_[static_cast<size_t>(p.node)];
    const double most = kernel_at(kernel, p.nearest);
    if (most == 0) {
      // Nothing there, exactly (a kernel of bounded support; or below the smallest double).
      done += node.weight;
      continue;
    }
    if (!exact) {
      const double fewest = kernel_at(kernel, p.farthest);
      const double error = 0.5 * node.weight * (most - fewest);
      if (lost + error <= whole * (budget * least + absolute) * ((done + node.weight) / total)) {
        shared += 0.5 * node.weight * (most + fewest);
        lost += error;
        done += node.weight;
        least = std::max(least, unit * *std::min_element(out, out + m) + shared - lost);
        continue;
      }
    }
    if (node.left < 0) {
      if (by_products) {
        // A term below its floor: together they stay within a quarter of the budget, or, exact, below
        // rounding.
        for (int64_t a = 0; a < m; ++a) {
          const double sum = unit * out[a] + shared - lost;
          const double spare = exact ? 0x1p-60 * sum : 0.25 * (budget * sum + absolute);
          if (spare > 0)
            floors[a] = std::max(floors[a], std::log2(spare / unit / static_cast<double>(count_)));
        }
        products.add({columns_.data(), stride_, log2_weights_.data(), node.begin, node.end,
                      low_.data() + p.node * d_, high_.data() + p.node * d_, node.heaviest},
                     floors, brief, out);
      } else {
        add_kernels(kernel, columns_.data(), stride_, weights_.data(),
                    shrink_.empty() ? nullptr : shrink_.data(), node.begin, node.end, d_, queries,
                    m, brief, out);
      }
      done += node.weight;
      least = std::max(least, unit * *std::min_element(out, out + m) + shared - lost);
      continue;
    }
    // The nearer child is dealt with first: it raises the least sum most.
    push(node.left);
    push(node.right);
    Pending &a = stack[stack.size() - 2], &b = stack.back();
    if (a.nearest + a.farthest < b.nearest + b.farthest) std::swap(a, b);
  }
  for (int64_t a = 0; a < m; ++a) out[a] = unit * out[a] + shared;
}

void KdeTree::sums(Kernel kernel, const double* queries, int64_t m, double relative,
                   double absolute, double* out) const {
  std::vector<int64_t> ids(static_cast<size_t>(m));
  std::iota(ids.begin(), ids.end(), int64_t{0});
  order_in_space(queries, d_, ids.data(), ids.data() + m, kKdeQueries);
  // Blocks as order_in_space left them: whole but for the last of a branch.
  std::vector<int64_t> begins;
  const auto cut = [&](auto& self, int64_t begin, int64_t end) -> void {
    if (end - begin <= kKdeQueries) {
      if (begin < end) begins.push_back(begin);
      return;
    }
    int64_t middle = begin + ((end - begin) / 2 + kKdeQueries - 1) / kKdeQueries * kKdeQueries;
    if (middle >= end) middle = begin + (end - begin) / 2;
    self(self, begin, middle);
    self(self, middle, end);
  };
  cut(cut, 0, m);
  begins.push_back(m);
  parallel_tasks(static_cast<int64_t>(begins.size()) - 1, [&](int64_t b) {
    const int64_t begin = begins[static_cast<size_t>(b)];
    const int64_t count = begins[static_cast<size_t>(b) + 1] - begin;
    std::vector<double> block(static_cast<size_t>(count * d_));
    double sums[kKdeQueries];
    for (int64_t a = 0; a < count; ++a) {
      std::copy_n(queries + ids[static_cast<size_t>(begin + a)] * d_, d_, block.begin() + a * d_);
    }
    block_sums(kernel, block.data(), count, relative, absolute, sums);
    for (int64_t a = 0; a < count; ++a) out[ids[static_cast<size_t>(begin + a)]] = sums[a];
  });
}

double KdeTree::term_sum(Kernel kernel, const double* query, int64_t point) const {
  double s = 0;
  for (int64_t j = 0; j < d_; ++j) {
    s += kernel_term(kernel, columns_[static_cast<size_t>(j * stride_ + point)] - query[j]);
  }
  return shrink_.empty() ? s : s * shrink_[static_cast<size_t>(point)];
}

double KdeTree::nearest(Kernel kernel, const double* query) const {
  double nearest = std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < storage_; ++i) {
    if (weights_[static_cast<size_t>(i)] > 0)
      nearest = std::min(nearest, term_sum(kernel, query, i));
  }
  return nearest;
}

double KdeTree::log_sum(Kernel kernel, const double* query) const {
  const double nearest = this->nearest(kernel, query);
  if (kernel_radius(kernel) <= std::sqrt(nearest) || !std::isfinite(nearest)) {
    return -std::numeric_limits<double>::infinity();
  }
  const double most = kernel_log(kernel, nearest);
  double sum = 0;
  for (int64_t i = 0; i < storage_; ++i) {
    if (!(weights_[static_cast<size_t>(i)] > 0)) continue;
    sum += weights_[static_cast<size_t>(i)] *
           std::exp(kernel_log(kernel, term_sum(kernel, query, i)) - most);
  }
  return most + std::log(sum);
}

}  // namespace covary::mixture
