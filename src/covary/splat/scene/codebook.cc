#include "covary/splat/scene/codebook.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "covary/core/base/threads.h"
#include "covary/core/linalg/cluster/kmeans.h"

namespace covary::scene {
namespace {

// ---- Numbers

constexpr double kHalf = 0.5;           // what is cut off below it is rounded
constexpr int64_t kFineBins = 1 << 16;  // of equal width over all values
constexpr int64_t kShares = 4096;  // a bin of the search holds at most this share of the values
constexpr int64_t kWidths = 2048;  // and is at most this share of their range wide

struct Bins {
  std::vector<double> count, mean;
};

Bins bins_of(const float* values, int64_t n) {
  float low = values[0], high = values[0];
  for (int64_t i = 0; i < n; ++i) {
    low = std::min(low, values[i]);
    high = std::max(high, values[i]);
  }
  const double width = static_cast<double>(high) - low;
  const double scale = width > 0 ? (kFineBins - 1) / width : 0;
  std::vector<double> count(kFineBins), sum(kFineBins);
  for (int64_t i = 0; i < n; ++i) {
    const auto b = static_cast<size_t>((static_cast<double>(values[i]) - low) * scale + kHalf);
    ++count[b];
    sum[b] += values[i];
  }
  Bins bins;
  const double most = static_cast<double>(n) / kShares;
  constexpr int64_t kMostWide = kFineBins / kWidths;
  int64_t first = -1;  // fine bin in which the bin of the search began
  for (int64_t b = 0; b < kFineBins; ++b) {
    const auto i = static_cast<size_t>(b);
    if (count[i] == 0) continue;
    if (first >= 0 && b - first < kMostWide && bins.count.back() + count[i] <= most) {
      bins.mean.back() += sum[i];
      bins.count.back() += count[i];
    } else {
      bins.mean.push_back(sum[i]);
      bins.count.push_back(count[i]);
      first = b;
    }
  }
  for (size_t i = 0; i < bins.mean.size(); ++i) bins.mean[i] /= bins.count[i];
  return bins;
}

// Borders of the runs of bins that make the sum of squared distances to their means least.
class Partition {
 public:
  Partition(const Bins& bins, int64_t runs) : n_(static_cast<int64_t>(bins.mean.size())) {
    w_.resize(bins.mean.size() + 1);
    wx_ = wxx_ = w_;
    for (size_t i = 0; i < bins.mean.size(); ++i) {
      const double x = bins.mean[i] - bins.mean[bins.mean.size() / 2];
      w_[i + 1] = w_[i] + bins.count[i];
      wx_[i + 1] = wx_[i] + bins.count[i] * x;
      wxx_[i + 1] = wxx_[i] + bins.count[i] * x * x;
    }
    std::vector<double> before(w_.size(), std::numeric_limits<double>::infinity()), now(before);
    before[0] = 0;
    from_.assign(static_cast<size_t>(runs), std::vector<int32_t>(w_.size()));
    for (int64_t k = 0; k < runs; ++k) {
      std::fill(now.begin(), now.end(), std::numeric_limits<double>::infinity());
      layer(before, now, from_[static_cast<size_t>(k)], k + 1, n_, k, n_ - 1);
      std::swap(before, now);
    }
  }

  // borders()[k] .. borders()[k + 1] are the bins of run k.
  std::vector<int64_t> borders() const {
    std::vector<int64_t> out(from_.size() + 1);
    out.back() = n_;
    for (size_t k = from_.size(); k-- > 0;) out[k] = from_[k][static_cast<size_t>(out[k + 1])];
    return out;
  }

 private:
  double cost(int64_t i, int64_t j) const {  // bins i .. j-1
    const auto a = static_cast<size_t>(i), b = static_cast<size_t>(j);
    const double w = w_[b] - w_[a], x = wx_[b] - wx_[a];
    return wxx_[b] - wxx_[a] - x * x / w;
  }
  // now[j] for j in [low, high], whose best last border lies in [first, last].
  void layer(const std::vector<double>& before, std::vector<double>& now,
             std::vector<int32_t>& from, int64_t low, int64_t high, int64_t first,
             int64_t last) const {
    if (low > high) return;
    const int64_t j = (low + high) / 2;
    double best = std::numeric_limits<double>::infinity();
    int64_t at = std::min(first, j - 1);
    for (int64_t i = first; i <= std::min(last, j - 1); ++i) {
      const double c = before[static_cast<size_t>(i)] + cost(i, j);
      if (c < best) {
        best = c;
        at = i;
      }
    }
    now[static_cast<size_t>(j)] = best;
    from[static_cast<size_t>(j)] = static_cast<int32_t>(at);
    layer(before, now, from, low, j - 1, first, at);
    layer(before, now, from, j + 1, high, at, last);
  }

  int64_t n_;
  std::vector<double> w_, wx_, wxx_;  // sums of what stands before
  std::vector<std::vector<int32_t>> from_;
};

// ---- Vectors

constexpr int64_t kPlainEntries = 1024;  // up to these k-means takes all at once
constexpr int64_t kCoarseRows = 256;     // a coarse group is found from these many rows
constexpr int64_t kCoarseSweeps = 12;
constexpr int64_t kNearGroups = 6;  // that a vector is offered at the end

linalg::KMeansOptions kmeans_options(int64_t clusters, int64_t sweeps, int64_t seed) {
  linalg::KMeansOptions o;
  o.clusters = clusters;
  o.sweeps = sweeps;
  o.seed = seed;
  o.init = "random";
  return o;
}

// Entries of each group in proportion to what its vectors lack, at least one and at most one a vector.
std::vector<int64_t> shares_of(const std::vector<double>& cost, const std::vector<int64_t>& rows,
                               int64_t entries) {
  std::vector<int64_t> share(rows.size());
  double open = 0;
  int64_t left = entries;
  for (size_t g = 0; g < rows.size(); ++g)
    if (rows[g] > 0) {
      share[g] = 1;
      --left;
      open += cost[g];
    }
  // What a small group cannot take goes to the others.
  for (int pass = 0; pass < 4 && left > 0 && open > 0; ++pass) {
    const double each = static_cast<double>(left) / open;
    open = 0;
    for (size_t g = 0; g < rows.size(); ++g) {
      // Groups that took nothing so far may now take some: never more than there is.
      const auto more = std::min({rows[g] - share[g], static_cast<int64_t>(cost[g] * each), left});
      if (more <= 0) continue;
      share[g] += more;
      left -= more;
      if (share[g] < rows[g]) open += cost[g];
    }
  }
  return share;
}

Palette find_palette(const float* x, int64_t n, int64_t d, int64_t entries, int64_t sweeps,
                     int64_t seed) {
  Palette out;
  if (entries <= kPlainEntries) {
    auto r = linalg::kmeans<float>(x, nullptr, n, d, kmeans_options(entries, sweeps, seed));
    out.entries = std::move(r.centres);
    out.labels = std::move(r.labels);
    out.count = entries;
    return out;
  }
  const auto groups = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(entries))));
  // Coarse groups, from rows that are spread evenly over all.
  const int64_t step = std::max<int64_t>(1, n / (groups * kCoarseRows));
  std::vector<float> sample;
  for (int64_t i = 0; i < n; i += step) sample.insert(sample.end(), x + i * d, x + (i + 1) * d);
  const auto coarse =
      linalg::kmeans<float>(sample.data(), nullptr, static_cast<int64_t>(sample.size()) / d, d,
                            kmeans_options(groups, kCoarseSweeps, seed));
  std::vector<int32_t> group(static_cast<size_t>(n));
  std::vector<double> distance(group.size());
  linalg::nearest_centres<float>(x, n, d, coarse.centres.data(), groups, group.data(),
                                 distance.data());
  std::vector<int64_t> rows(static_cast<size_t>(groups)), first(rows.size() + 1);
  std::vector<double> cost(rows.size());
  for (size_t i = 0; i < group.size(); ++i) {
    ++rows[static_cast<size_t>(group[i])];
    cost[static_cast<size_t>(group[i])] += distance[i];
  }
  for (size_t g = 0; g < rows.size(); ++g) first[g + 1] = first[g] + rows[g];
  std::vector<int64_t> place(group.size());  // rows by group
  {
    std::vector<int64_t> next(first.begin(), first.end() - 1);
    for (size_t i = 0; i < group.size(); ++i)
      place[static_cast<size_t>(next[static_cast<size_t>(group[i])]++)] = static_cast<int64_t>(i);
  }
  const std::vector<int64_t> share = shares_of(cost, rows, entries);
  std::vector<int64_t> begin(rows.size() + 1);  // of a group's entries
  for (size_t g = 0; g < rows.size(); ++g) begin[g + 1] = begin[g] + share[g];
  out.count = begin.back();
  out.entries.resize(static_cast<size_t>(out.count * d));
  parallel_tasks(groups, [&](int64_t k) {
    const auto g = static_cast<size_t>(k);
    if (rows[g] == 0) return;
    std::vector<float> own(static_cast<size_t>(rows[g] * d));
    for (int64_t i = 0; i < rows[g]; ++i)
      std::memcpy(own.data() + i * d, x + place[static_cast<size_t>(first[g] + i)] * d,
                  static_cast<size_t>(d) * sizeof(float));
    const auto r = linalg::kmeans<float>(own.data(), nullptr, rows[g], d,
                                         kmeans_options(share[g], sweeps, seed + 1 + k));
    std::copy(r.centres.begin(), r.centres.end(), out.entries.begin() + begin[g] * d);
  });

  // A vector at a border may be nearer to an entry of the group beside its own.
  const int64_t near = std::min(kNearGroups, groups);
  std::vector<int32_t> neighbours(static_cast<size_t>(groups * near));
  parallel_for(groups, 8, [&](int64_t from, int64_t to) {
    std::vector<std::pair<double, int32_t>> order(static_cast<size_t>(groups));
    for (int64_t a = from; a < to; ++a) {
      for (int64_t b = 0; b < groups; ++b) {
        double s = 0;
        for (int64_t k = 0; k < d; ++k) {
          const double e = static_cast<double>(coarse.centres[static_cast<size_t>(a * d + k)]) -
                           coarse.centres[static_cast<size_t>(b * d + k)];
          s += e * e;
        }
        order[static_cast<size_t>(b)] = {a == b ? -1 : s, static_cast<int32_t>(b)};
      }
      std::partial_sort(order.begin(), order.begin() + near, order.end());
      for (int64_t j = 0; j < near; ++j)
        neighbours[static_cast<size_t>(a * near + j)] = order[static_cast<size_t>(j)].second;
    }
  });
  out.labels.resize(group.size());
  parallel_tasks(groups, [&](int64_t k) {
    const auto g = static_cast<size_t>(k);
    if (rows[g] == 0) return;
    std::vector<float> own(static_cast<size_t>(rows[g] * d)), offered;
    std::vector<int32_t> name;
    for (int64_t i = 0; i < rows[g]; ++i)
      std::memcpy(own.data() + i * d, x + place[static_cast<size_t>(first[g] + i)] * d,
                  static_cast<size_t>(d) * sizeof(float));
    for (int64_t j = 0; j < near; ++j) {
      const auto b = static_cast<size_t>(neighbours[static_cast<size_t>(k * near + j)]);
      offered.insert(offered.end(), out.entries.begin() + begin[b] * d,
                     out.entries.begin() + begin[b + 1] * d);
      for (int64_t e = begin[b]; e < begin[b + 1]; ++e) name.push_back(static_cast<int32_t>(e));
    }
    std::vector<int32_t> label(static_cast<size_t>(rows[g]));
    linalg::nearest_centres<float>(own.data(), rows[g], d, offered.data(),
                                   static_cast<int64_t>(name.size()), label.data());
    for (int64_t i = 0; i < rows[g]; ++i)
      out.labels[static_cast<size_t>(place[static_cast<size_t>(first[g] + i)])] =
          name[static_cast<size_t>(label[static_cast<size_t>(i)])];
  });
  return out;
}

}  // namespace

std::vector<float> codebook_of(const float* values, int64_t n, int64_t size) {
  const Bins bins = bins_of(values, n);
  const auto runs = std::min(size, static_cast<int64_t>(bins.mean.size()));
  const std::vector<int64_t> borders = Partition(bins, runs).borders();
  std::vector<float> book;
  for (size_t k = 0; k + 1 < borders.size(); ++k) {
    double w = 0, x = 0;
    for (auto i = static_cast<size_t>(borders[k]); i < static_cast<size_t>(borders[k + 1]); ++i) {
      w += bins.count[i];
      x += bins.count[i] * bins.mean[i];
    }
    book.push_back(static_cast<float>(x / w));
  }
  return book;
}

std::vector<uint8_t> codes_of(const float* values, int64_t n, const std::vector<float>& book) {
  std::vector<float> middle;
  for (size_t k = 0; k + 1 < book.size(); ++k) middle.push_back((book[k] + book[k + 1]) / 2);
  std::vector<uint8_t> codes(static_cast<size_t>(n));
  parallel_for(n, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      codes[static_cast<size_t>(i)] = static_cast<uint8_t>(
          std::lower_bound(middle.begin(), middle.end(), values[i]) - middle.begin());
  });
  return codes;
}

std::vector<float> codebook_within(const float* values, int64_t n, double mean_squared_error) {
  std::vector<float> book;
  for (int64_t size = 32; size <= 256; size *= 2) {
    book = codebook_of(values, n, size);
    const std::vector<uint8_t> codes = codes_of(values, n, book);
    const double error = ordered_sum(n, [&](int64_t i) {
      const double e = static_cast<double>(values[i]) - book[codes[static_cast<size_t>(i)]];
      return e * e;
    });
    if (error <= mean_squared_error * static_cast<double>(n)) break;
  }
  return book;
}

Palette palette_of(const float* x, int64_t n, int64_t d, int64_t entries, int64_t sweeps,
                   int64_t seed) {
  Palette out = find_palette(x, n, d, entries, sweeps, seed);
  const double sum = ordered_sum(n, [&](int64_t i) {
    const float* entry = out.entries.data() + out.labels[static_cast<size_t>(i)] * d;
    double s = 0;
    for (int64_t k = 0; k < d; ++k) {
      const double e = static_cast<double>(x[i * d + k]) - entry[k];
      s += e * e;
    }
    return s;
  });
  out.mean_squared_error = sum / static_cast<double>(n * d);
  return out;
}

}  // namespace covary::scene
