// Whether chains of draws agree with each other, and how much they tell.
//
//   ChainQuality q = chain_quality(values, 4);   // [4 * draws], chain by chain
//   if (q.r_hat > 1.01 || q.bulk < 400 || q.tail < 400) warn();
//
// r_hat: square root of the variance of all draws against that within chains, chains cut into halves:
// 1 when they agree. Of ranks turned into normal quantiles, so that heavy tails do not hide anything,
// the larger of that of the values and that of their distances from the median, which sees chains of
// different width. bulk: how many independent draws the chains are worth for the middle of the
// distribution, of the same ranks; tail: for its 5 % and 95 % quantiles, the smaller.
// mean_error: the standard error of the mean of the draws by the effective size of their values.
//
// Draws that are all equal have neither: NaN. O(n log n) and O(n) a lag that counts.
// Source: Vehtari, Gelman, Simpson, Carpenter and Burkner 2021 (eq. 1 to 4, 10 to 14; ranks: their
// section 4); Geyer 1992 (initial monotone sequence).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace covary::numeric {

struct ChainQuality {
  double r_hat = 1;           // 1
  double bulk = 0, tail = 0;  // effective draws
  double mean = 0, sd = 0;    // of all draws
  double mean_error = 0;      // Monte Carlo standard error of the mean
};

// values: chain by chain, all of one length. Throws Error(kUsage) for no chain, or chains of unequal
// length or of less than 4 draws; values must be finite.
ChainQuality chain_quality(std::span<const double> values, int64_t chains);

// The parts. Chains as they are: neither halves nor ranks.
double potential_scale_reduction(std::span<const double> values, int64_t chains);
double effective_draws(std::span<const double> values, int64_t chains);
// Each chain cut into halves; the middle one of an odd number is left out.
std::vector<double> halved_chains(std::span<const double> values, int64_t chains);
// Normal quantiles of the ranks, (rank - 3/8) / (count + 1/4); ties share their mean rank.
std::vector<double> normal_ranks(std::span<const double> values);
// Of values in any order: by linear interpolation between the order statistics, p in [0, 1].
double sample_quantile(std::vector<double> values, double p);

}  // namespace covary::numeric
