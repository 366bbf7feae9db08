#include "covary/core/numeric/sampling/chain_quality.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "covary/core/base/error.h"
#include "covary/core/numeric/normal.h"

namespace covary::numeric {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Means of the chains, the mean of their variances, and the variance of all draws that follows.
struct Variances {
  std::vector<double> means;
  double within = 0, all = 0;
};

Variances variances_of(std::span<const double> values, int64_t chains) {
  const auto m = static_cast<size_t>(chains), n = values.size() / m;
  const auto count = static_cast<double>(n);
  Variances v;
  double mean = 0;
  for (size_t c = 0; c < m; ++c) {
    const std::span<const double> chain = values.subspan(c * n, n);
    const double own = std::accumulate(chain.begin(), chain.end(), 0.0) / count;
    double squares = 0;
    for (const double x : chain) squares += (x - own) * (x - own);
    v.within += squares / (count - 1) / static_cast<double>(m);
    v.means.push_back(own);
    mean += own / static_cast<double>(m);
  }
  double between = 0;
  for (const double own : v.means) {
    between += m > 1 ? (own - mean) * (own - mean) / static_cast<double>(m - 1) : 0;
  }
  v.all = (count - 1) / count * v.within + between;
  return v;
}

void check(std::span<const double> values, int64_t chains, size_t least) {
  if (chains < 1 || values.empty() || values.size() % static_cast<size_t>(chains) != 0 ||
      values.size() / static_cast<size_t>(chains) < least) {
    throw Error(ExitCode::kUsage,
                "needs chains of one length, of " + std::to_string(least) + " draws at least",
                "quality of chains");
  }
}

double split_effective(std::span<const double> values, int64_t chains) {
  const std::vector<double> halves = halved_chains(values, chains);
  return effective_draws(halves, 2 * chains);
}

}  // namespace

double potential_scale_reduction(std::span<const double> values, int64_t chains) {
  check(values, chains, 2);
  const Variances v = variances_of(values, chains);
  return v.within > 0 ? std::sqrt(v.all / v.within) : kNan;
}

double effective_draws(std::span<const double> values, int64_t chains) {
  check(values, chains, 2);
  const auto m = static_cast<size_t>(chains), n = values.size() / m;
  const auto count = static_cast<double>(n), total = static_cast<double>(values.size());
  const Variances v = variances_of(values, chains);
  if (!(v.all > 0)) return kNan;
  // Autocorrelation of all chains at a lag.
  const auto correlation = [&](size_t lag) {
    double covariance = 0;
    for (size_t c = 0; c < m; ++c) {
      const double* x = values.data() + c * n;
      double sum = 0;
      for (size_t i = 0; i + lag < n; ++i) sum += (x[i] - v.means[c]) * (x[i + lag] - v.means[c]);
      covariance += sum / (count - 1) / static_cast<double>(m);
    }
    return 1 - (v.within - covariance) / v.all;
  };
  // Sums of neighbours are positive and fall for a reversible chain: what does not is noise.
  double time = -1, least = std::numeric_limits<double>::infinity();
  for (size_t lag = 0; lag + 1 < n; lag += 2) {
    const double pair = (lag == 0 ? 1 : correlation(lag)) + correlation(lag + 1);
    if (!(pair > 0)) break;
    least = std::min(least, pair);
    time += 2 * least;
  }
  // Antithetic chains may be worth more than their draws, but not without end.
  return total / std::max(time, 1 / std::log10(std::max(total, 10.0)));
}

std::vector<double> halved_chains(std::span<const double> values, int64_t chains) {
  check(values, chains, 4);
  const auto m = static_cast<size_t>(chains), n = values.size() / m, half = n / 2;
  std::vector<double> out;
  out.reserve(2 * half * m);
  for (size_t c = 0; c < m; ++c) {
    const std::span<const double> chain = values.subspan(c * n, n);
    const auto first = chain.first(half), last = chain.last(half);
    out.insert(out.end(), first.begin(), first.end());
    out.insert(out.end(), last.begin(), last.end());
  }
  return out;
}

std::vector<double> normal_ranks(std::span<const double> values) {
  const size_t n = values.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return values[a] != values[b] ? values[a] < values[b] : a < b;
  });
  std::vector<double> out(n);
  for (size_t i = 0, end = 0; i < n; i = end) {
    while (end < n && values[order[end]] == values[order[i]]) ++end;
    const double rank = 0.5 * static_cast<double>(i + 1 + end);  // mean of i + 1 .. end
    const double z = normal_quantile((rank - 0.375) / (static_cast<double>(n) + 0.25));
    for (size_t k = i; k < end; ++k) out[order[k]] = z;
  }
  return out;
}

double sample_quantile(std::vector<double> values, double p) {
  if (values.empty()) return kNan;
  const double place = p * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(place);
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(values.begin(), at, values.end());
  const double low = *at, share = place - static_cast<double>(below);
  if (share == 0) return low;
  return low + share * (*std::min_element(at + 1, values.end()) - low);
}

ChainQuality chain_quality(std::span<const double> values, int64_t chains) {
  check(values, chains, 4);
  const auto n = static_cast<double>(values.size());
  ChainQuality q;
  q.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  for (const double x : values) q.sd += (x - q.mean) * (x - q.mean) / (n - 1);
  q.sd = std::sqrt(q.sd);
  const std::vector<double> halves = halved_chains(values, chains);
  const std::vector<double> ranks = normal_ranks(halves);
  const double median = sample_quantile(halves, 0.5);
  std::vector<double> folded = halves;
  for (double& x : folded) x = std::abs(x - median);
  q.r_hat = std::max(potential_scale_reduction(ranks, 2 * chains),
                     potential_scale_reduction(normal_ranks(folded), 2 * chains));
  q.bulk = effective_draws(ranks, 2 * chains);
  const std::vector<double> all(values.begin(), values.end());
  const auto of_quantile = [&](double p) {
    const double edge = sample_quantile(all, p);
    std::vector<double> below(all.size());
    for (size_t i = 0; i < all.size(); ++i) below[i] = all[i] <= edge;
    return split_effective(below, chains);
  };
  q.tail = std::min(of_quantile(0.05), of_quantile(0.95));
  q.mean_error = q.sd / std::sqrt(split_effective(values, chains));
  return q;
}

}  // namespace covary::numeric
