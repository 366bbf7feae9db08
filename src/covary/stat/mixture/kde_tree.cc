#include "covary/stat/mixture/kde_tree.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "covary/core/base/threads.h"
#include "covary/stat/mixture/kde_gaussian.h"

namespace covary::mixture {
namespace {

constexpr int64_t kLeaf = 96;  // points; fewer means more boxes, more means coarser pruning
constexpr double kBriefError = 1e-8;
constexpr double kProductError = 4e-12;  // of products, by the bound; seen: a hundredth

constexpr int64_t kMostNets = 40;      // one below another; then halves
constexpr int64_t kMostParts = 256;    // of a node of a cover tree
constexpr int64_t kFewestPoints = 24;  // of such a part, on average
constexpr double kSlack = 1e-12;       // of radii and distances between balls, for rounding

std::vector<double> mean_of(const double* x, int64_t d, const int64_t* begin, const int64_t* end) {
  std::vector<double> mean(static_cast<size_t>(d), 0.0);
  for (const int64_t* i = begin; i < end; ++i) {
    for (int64_t j = 0; j < d; ++j)
      mean[static_cast<size_t>(j)] += x[*i * d + j] / static_cast<double>(end - begin);
  }
  return mean;
}

int64_t farthest_from(const double* x, int64_t d, const int64_t* begin, const int64_t* end,
                      const double* point) {
  int64_t out = *begin;
  double most = -1;
  for (const int64_t* i = begin; i < end; ++i) {
    const double s = square_between(x + *i * d, point, d);
    if (s > most) most = s, out = *i;
  }
  return out;
}

// Halves by a key of each row; equal keys by index, so that the order is one whatever nth_element
// does. Returns the border.
template <class Key>
int64_t* halve(int64_t* begin, int64_t* end, int64_t most, Key&& key) {
  int64_t* middle = begin + ((end - begin) / 2 + most - 1) / most * most;
  if (middle >= end) middle = begin + (end - begin) / 2;
  std::nth_element(begin, middle, end, [&](int64_t a, int64_t b) {
    const double u = key(a), v = key(b);
    return u != v ? u < v : a < b;
  });
  return middle;
}

int64_t* halve_by_column(const double* x, int64_t d, int64_t* begin, int64_t* end, int64_t most) {
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
  return halve(begin, end, most, [&](int64_t i) { return x[i * d + widest]; });
}

// Along the line from the point farthest from the mean to the one farthest from that.
int64_t* halve_by_line(const double* x, int64_t d, int64_t* begin, int64_t* end, int64_t most) {
  const std::vector<double> mean = mean_of(x, d, begin, end);
  const double* a = x + farthest_from(x, d, begin, end, mean.data()) * d;
  const double* b = x + farthest_from(x, d, begin, end, a) * d;
  return halve(begin, end, most, [&](int64_t i) {
    double along = 0;
    for (int64_t j = 0; j < d; ++j) along += (x[i * d + j] - a[j]) * (b[j] - a[j]);
    return along;
  });
}

// Ids in the order of the parts of a net; the ends of the parts.
std::vector<int64_t*> split_by_net(const double* x, int64_t d, int64_t* begin, int64_t* end) {
  const int64_t n = end - begin;
  const int64_t most = std::clamp<int64_t>(n / kFewestPoints, 2, kMostParts);
  const std::vector<double> mean = mean_of(x, d, begin, end);
  std::vector<double> distance(static_cast<size_t>(n), std::numeric_limits<double>::infinity());
  std::vector<int64_t> label(static_cast<size_t>(n), 0);
  // The first net point is the one nearest to the mean.
  int64_t centre = 0;
  double least = std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < n; ++i) {
    const double s = square_between(x + begin[i] * d, mean.data(), d);
    if (s < least) least = s, centre = i;
  }
  double whole = 0;
  int64_t parts = 0;
  for (; parts < most; ++parts) {
    double largest = 0;
    int64_t farthest = 0;
    const double* net = x + begin[centre] * d;
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(i);
      const double s = square_between(x + begin[i] * d, net, d);
      if (s < distance[at]) distance[at] = s, label[at] = parts;
      if (distance[at] > largest) largest = distance[at], farthest = i;
    }
    if (parts == 0) whole = largest;
    centre = farthest;
    if (!(largest > 0.25 * whole)) {
      ++parts;
      break;
    }
  }
  if (parts < 2) return {begin + n / 2, end};  // all are one point
  std::vector<int64_t> starts(static_cast<size_t>(parts + 1), 0), ordered(static_cast<size_t>(n));
  for (const int64_t l : label) ++starts[static_cast<size_t>(l + 1)];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  std::vector<int64_t*> ends;
  for (size_t l = 1; l < starts.size(); ++l) ends.push_back(begin + starts[l]);
  for (int64_t i = 0; i < n; ++i)
    ordered[static_cast<size_t>(starts[static_cast<size_t>(label[static_cast<size_t>(i)])]++)] =
        begin[i];
  std::copy(ordered.begin(), ordered.end(), begin);
  return ends;
}

}  // namespace

void BallRadii::hold(const double* point, const double* centre, int64_t d) {
  double square = 0, sum = 0;
  for (int64_t j = 0; j < d; ++j) {
    const double v = point[j] - centre[j];
    square += v * v;
    sum += std::abs(v);
  }
  euclidean = std::max(euclidean, std::sqrt(square) * (1 + kSlack));
  summed = std::max(summed, sum * (1 + kSlack));
}

TreeKind tree_kind_of(const std::string& name) {
  return name == "ball" ? TreeKind::kBall : name == "cover" ? TreeKind::kCover : TreeKind::kKd;
}

void order_in_space(const double* x, int64_t d, int64_t* begin, int64_t* end, int64_t most,
                    TreeKind kind) {
  if (end - begin <= most) return;
  int64_t* middle = kind == TreeKind::kKd ? halve_by_column(x, d, begin, end, most)
                                          : halve_by_line(x, d, begin, end, most);
  order_in_space(x, d, begin, middle, most, kind);
  order_in_space(x, d, middle, end, most, kind);
}

KdeTree::KdeTree(const std::vector<double>& points, const std::vector<double>& weights,
                 const std::vector<double>& shrink, int64_t n, int64_t d, TreeKind kind)
    : d_(d), kind_(kind) {
  std::vector<int64_t> ids(static_cast<size_t>(n));
  std::iota(ids.begin(), ids.end(), int64_t{0});
  const auto most = static_cast<size_t>(n + (n / (kLeaf / 2) + 2) * kKdePad);
  columns_.reserve(static_cast<size_t>(d) * most);
  weights_.reserve(most);
  nodes_.reserve(static_cast<size_t>(4 * n / kLeaf + 4));
  build(ids, 0, n, 0, points, weights, shrink);
  for (const double w : weights_) {
    heaviest_ = std::max(heaviest_, w);
    count_ += w > 0;
  }
  starts_.resize(weights_.size());
  middles_.resize(low_.size());
  for (size_t node = 0; node < nodes_.size(); ++node) {
    if (nodes_[node].children == 0) centre(static_cast<int64_t>(node));
  }
}

// Columns of a leaf become about the middle of its box, unless it is so wide that digits would be
// lost; what follows from that for Gaussians.
void KdeTree::centre(int64_t at) {
  Node& leaf = nodes_[static_cast<size_t>(at)];
  const double *low = low_.data() + at * d_, *high = high_.data() + at * d_;
  double* middle = middles_.data() + at * d_;
  double radius = 0;
  for (int64_t j = 0; j < d_; ++j) {
    middle[j] = 0.5 * low[j] + 0.5 * high[j];
    radius = std::hypot(radius, 0.5 * high[j] - 0.5 * low[j]);
  }
  leaf.centred = gaussian_rounding(radius, d_) <= kProductError;
  if (!leaf.centred) std::fill_n(middle, d_, 0.0);
  leaf.heaviest = -std::numeric_limits<double>::infinity();
  for (int64_t i = leaf.begin; i < leaf.end; ++i) {
    double square = 0;
    const double weight = weights_[static_cast<size_t>(i)];
    for (int64_t j = 0; j < d_; ++j) {
      double& v = columns_[static_cast<size_t>(leaf.begin * d_ + j * (leaf.end - leaf.begin) + i -
                                               leaf.begin)];
      v = weight > 0 ? v - middle[j] : 0;  // padding too
      square += v * v;
    }
    const double log2_weight = std::log2(weight / heaviest_);
    starts_[static_cast<size_t>(i)] = log2_weight - 0.5 * std::numbers::log2e * square;
    leaf.heaviest = std::max(leaf.heaviest, log2_weight);
  }
}

int64_t KdeTree::build(std::vector<int64_t>& ids, int64_t begin, int64_t end, int64_t depth,
                       const std::vector<double>& points, const std::vector<double>& weights,
                       const std::vector<double>& shrink) {
  const int64_t at = static_cast<int64_t>(nodes_.size());
  nodes_.emplace_back();
  low_.resize(low_.size() + static_cast<size_t>(d_), std::numeric_limits<double>::infinity());
  high_.resize(high_.size() + static_cast<size_t>(d_), -std::numeric_limits<double>::infinity());
  Node node;
  if (end - begin <= kLeaf) {
    const int64_t previous = storage_, padded = (end - begin + kKdePad - 1) / kKdePad * kKdePad;
    node.begin = previous;
    columns_.resize(static_cast<size_t>((previous + padded) * d_), 0.0);
    weights_.resize(static_cast<size_t>(previous + padded), 0.0);
    if (!shrink.empty()) shrink_.resize(static_cast<size_t>(previous + padded), 1.0);
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
        columns_[static_cast<size_t>(previous * d_ + j * padded + to - previous)] = v;
        low_[static_cast<size_t>(at * d_ + j)] =
            std::min(low_[static_cast<size_t>(at * d_ + j)], v);
        high_[static_cast<size_t>(at * d_ + j)] =
            std::max(high_[static_cast<size_t>(at * d_ + j)], v);
      }
    }
    node.end = previous + padded;
    storage_ = node.end;
  } else {
    int64_t *from = ids.data() + begin, *to = ids.data() + end;
    std::vector<int64_t*> ends = {nullptr, to};
    if (kind_ == TreeKind::kKd) {
      ends[0] = halve_by_column(points.data(), d_, from, to, kLeaf);
    } else if (kind_ == TreeKind::kBall || depth >= kMostNets) {
      ends[0] = halve_by_line(points.data(), d_, from, to, kLeaf);
    } else {
      ends = split_by_net(points.data(), d_, from, to);
    }
    std::vector<int64_t> parts;
    for (const int64_t* part_end : ends) {
      const int64_t stop = part_end - ids.data();
      parts.push_back(build(ids, begin, stop, depth + 1, points, weights, shrink));
      begin = stop;
    }
    begin = from - ids.data();
    node.first = static_cast<int64_t>(children_.size());
    node.children = static_cast<int64_t>(parts.size());
    children_.insert(children_.end(), parts.begin(), parts.end());
    const Node& first = nodes_[static_cast<size_t>(parts.front())];
    node.begin = first.begin;
    node.end = nodes_[static_cast<size_t>(parts.back())].end;
    node.least_shrink = first.least_shrink;
    node.most_shrink = first.most_shrink;
    for (const int64_t part : parts) {
      const Node& child = nodes_[static_cast<size_t>(part)];
      node.weight += child.weight;
      node.least_shrink = std::min(node.least_shrink, child.least_shrink);
      node.most_shrink = std::max(node.most_shrink, child.most_shrink);
      for (int64_t j = 0; j < d_; ++j) {
        const auto own = static_cast<size_t>(at * d_ + j), its = static_cast<size_t>(part * d_ + j);
        low_[own] = std::min(low_[own], low_[its]);
        high_[own] = std::max(high_[own], high_[its]);
      }
    }
  }
  if (kind_ != TreeKind::kKd) {
    const std::vector<double> mean =
        mean_of(points.data(), d_, ids.data() + begin, ids.data() + end);
    centres_.resize(std::max(centres_.size(), static_cast<size_t>((at + 1) * d_)));
    std::copy(mean.begin(), mean.end(), centres_.begin() + at * d_);
    for (int64_t i = begin; i < end; ++i)
      node.ball.hold(points.data() + ids[static_cast<size_t>(i)] * d_, mean.data(), d_);
  }
  nodes_[static_cast<size_t>(at)] = node;
  return at;
}

// A block of queries: its box, and the ball about the middle of the box.
struct KdeTree::Block {
  std::vector<double> low, high, middle;
  BallRadii radii;

  Block(const double* queries, int64_t m, int64_t d, bool ball)
      : low(queries, queries + d), high(low), middle(low) {
    for (int64_t a = 1; a < m; ++a) {
      for (int64_t j = 0; j < d; ++j) {
        const auto at = static_cast<size_t>(j);
        low[at] = std::min(low[at], queries[a * d + j]);
        high[at] = std::max(high[at], queries[a * d + j]);
      }
    }
    for (size_t j = 0; j < low.size(); ++j) middle[j] = 0.5 * low[j] + 0.5 * high[j];
    for (int64_t a = 0; a < m && ball; ++a) radii.hold(queries + a * d, middle.data(), d);
  }
};

void KdeTree::range(Kernel kernel, const Block& block, int64_t at, double& nearest,
                    double& farthest) const {
  const Node& node = nodes_[static_cast<size_t>(at)];
  nearest = farthest = 0;
  if (kind_ == TreeKind::kKd || is_product(kernel)) {
    for (int64_t j = 0; j < d_; ++j) {
      const double below = low_[static_cast<size_t>(at * d_ + j)];
      const double above = high_[static_cast<size_t>(at * d_ + j)];
      const double low = block.low[static_cast<size_t>(j)];
      const double high = block.high[static_cast<size_t>(j)];
      nearest += kernel_term(kernel, std::max({0.0, low - above, below - high}));
      farthest += kernel_term(kernel, std::max(high - below, above - low));
    }
  } else {
    // From the centre of the node's ball to the queries' box, and to the centre of their ball.
    double gaps = 0, reaches = 0, apart = 0;
    for (int64_t j = 0; j < d_; ++j) {
      const double centre = centres_[static_cast<size_t>(at * d_ + j)];
      const double low = block.low[static_cast<size_t>(j)];
      const double high = block.high[static_cast<size_t>(j)];
      gaps += kernel_term(kernel, std::max({0.0, low - centre, centre - high}));
      reaches += kernel_term(kernel, std::max(high - centre, centre - low));
      apart += kernel_term(kernel, centre - block.middle[static_cast<size_t>(j)]);
    }
    const bool summed = kernel == Kernel::kLaplacian;
    if (!summed) gaps = std::sqrt(gaps), reaches = std::sqrt(reaches), apart = std::sqrt(apart);
    const double own = summed ? node.ball.summed : node.ball.euclidean;
    const double theirs = summed ? block.radii.summed : block.radii.euclidean;
    nearest = std::max({0.0, gaps * (1 - kSlack) - own, apart * (1 - kSlack) - theirs - own});
    farthest = std::min(reaches * (1 + kSlack) + own, apart * (1 + kSlack) + theirs + own);
    if (!summed) nearest *= nearest, farthest *= farthest;
  }
  nearest *= node.least_shrink;
  farthest *= node.most_shrink;
}

void KdeTree::block_sums(Kernel kernel, const double* queries, int64_t m, double relative,
                         double absolute, double* out) const {
  const Block block(queries, m, d_, kind_ != TreeKind::kKd);
  const bool exact = relative == 0 && absolute == 0;
  // The polynomial of brief exponentials and the rounding of products take their part of the budget.
  const bool brief = relative >= 10 * kBriefError;
  const bool gaussian = kernel == Kernel::kGaussian && shrink_.empty();
  double budget = relative;
  if (brief) budget -= 2 * kBriefError;
  if (gaussian && !exact) budget -= 2 * kProductError;
  const double unit = gaussian ? heaviest_ : 1;  // of the sums in `out` till the end
  const double whole = gaussian ? 0.75 : 1;      // the part for nodes taken as a whole
  GaussianSums gaussians(gaussian ? d_ : 0, kLeaf);
  double floors[kKdeQueries], known[kKdeQueries];  // known: the sums that the floors are of
  std::fill_n(floors, m, -1000.0);
  std::fill_n(known, m, 0.0);
  std::vector<double> about(static_cast<size_t>(m * d_));
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
    range(kernel, block, node, p.nearest, p.farthest);
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
    if (node.children == 0) {
      const double* middle = middles_.data() + p.node * d_;
      if (gaussian && node.centred) {
        // A term below its floor: together they stay within a quarter of the budget, or, exact, below
        // rounding.
        for (int64_t a = 0; a < m; ++a) {
          const double sum = unit * out[a] + shared - lost;
          if (!(sum > 1.2 * known[a])) continue;
          const double spare = exact ? 0x1p-60 * sum : 0.25 * (budget * sum + absolute);
          if (!(spare > 0)) continue;
          floors[a] = std::max(floors[a], std::log2(spare / unit / static_cast<double>(count_)));
          known[a] = sum;
        }
        gaussians.add(
            {columns_.data() + node.begin * d_, starts_.data() + node.begin, node.end - node.begin,
             middle, low_.data() + p.node * d_, high_.data() + p.node * d_, node.heaviest},
            queries, m, floors, brief, out);
      } else {
        for (int64_t a = 0; a < m; ++a) {
          for (int64_t j = 0; j < d_; ++j)
            about[static_cast<size_t>(a * d_ + j)] = queries[a * d_ + j] - middle[j];
        }
        double sums[kKdeQueries] = {};
        add_kernels(kernel, columns_.data() + node.begin * d_, weights_.data() + node.begin,
                    shrink_.empty() ? nullptr : shrink_.data() + node.begin, node.end - node.begin,
                    d_, about.data(), m, brief, sums);
        for (int64_t a = 0; a < m; ++a) out[a] += sums[a] / unit;
      }
      done += node.weight;
      least = std::max(least, unit * *std::min_element(out, out + m) + shared - lost);
      continue;
    }
    // The nearest child is dealt with first: it raises the least sum most.
    for (int64_t c = 0; c < node.children; ++c)
      push(children_[static_cast<size_t>(node.first + c)]);
    const auto farther = [](const Pending& a, const Pending& b) {
      return a.nearest + a.farthest > b.nearest + b.farthest;
    };
    if (node.children == 2) {
      Pending &a = stack[stack.size() - 2], &b = stack.back();
      if (farther(b, a)) std::swap(a, b);
    } else {
      std::stable_sort(stack.end() - node.children, stack.end(), farther);
    }
  }
  for (int64_t a = 0; a < m; ++a) out[a] = unit * out[a] + shared;
}

void KdeTree::sums(Kernel kernel, const double* queries, int64_t m, double relative,
                   double absolute, double* out) const {
  std::vector<int64_t> ids(static_cast<size_t>(m));
  std::iota(ids.begin(), ids.end(), int64_t{0});
  // In few dimensions small blocks are near enough together for nodes to be taken as a whole; in more
  // they are not, and large ones read the points less often.
  const int64_t block_size = d_ <= 3 ? kKdeQueries / 4 : kKdeQueries;
  order_in_space(queries, d_, ids.data(), ids.data() + m, block_size, kind_);
  parallel_tasks((m + block_size - 1) / block_size, [&](int64_t b) {
    const int64_t begin = b * block_size, count = std::min(block_size, m - begin);
    std::vector<double> block(static_cast<size_t>(count * d_));
    double sums[kKdeQueries];
    for (int64_t a = 0; a < count; ++a) {
      std::copy_n(queries + ids[static_cast<size_t>(begin + a)] * d_, d_, block.begin() + a * d_);
    }
    block_sums(kernel, block.data(), count, relative, absolute, sums);
    for (int64_t a = 0; a < count; ++a) out[ids[static_cast<size_t>(begin + a)]] = sums[a];
  });
}

double KdeTree::term_sum(Kernel kernel, const Node& leaf, const double* query,
                         int64_t point) const {
  const double* x = columns_.data() + leaf.begin * d_ + point - leaf.begin;
  const int64_t stride = leaf.end - leaf.begin;
  double s = 0;
  for (int64_t j = 0; j < d_; ++j) {
    s += kernel_term(kernel, x[j * stride] - query[j]);
  }
  return shrink_.empty() ? s : s * shrink_[static_cast<size_t>(point)];
}

template <class Visit>
void KdeTree::each_leaf(const double* query, Visit&& visit) const {
  std::vector<double> about(static_cast<size_t>(d_));
  for (size_t node = 0; node < nodes_.size(); ++node) {
    if (nodes_[node].children > 0) continue;
    for (int64_t j = 0; j < d_; ++j)
      about[static_cast<size_t>(j)] =
          query[j] - middles_[node * static_cast<size_t>(d_) + static_cast<size_t>(j)];
    visit(nodes_[node], about.data());
  }
}

double KdeTree::nearest(Kernel kernel, const double* query) const {
  double nearest = std::numeric_limits<double>::infinity();
  each_leaf(query, [&](const Node& leaf, const double* about) {
    for (int64_t i = leaf.begin; i < leaf.end; ++i) {
      if (weights_[static_cast<size_t>(i)] > 0)
        nearest = std::min(nearest, term_sum(kernel, leaf, about, i));
    }
  });
  return nearest;
}

double KdeTree::log_sum(Kernel kernel, const double* query) const {
  const double most = kernel_log(kernel, nearest(kernel, query));
  if (!std::isfinite(most)) return -std::numeric_limits<double>::infinity();
  double sum = 0;
  each_leaf(query, [&](const Node& leaf, const double* about) {
    for (int64_t i = leaf.begin; i < leaf.end; ++i) {
      if (!(weights_[static_cast<size_t>(i)] > 0)) continue;
      sum += weights_[static_cast<size_t>(i)] *
             std::exp(kernel_log(kernel, term_sum(kernel, leaf, about, i)) - most);
    }
  });
  return most + std::log(sum);
}

}  // namespace covary::mixture
