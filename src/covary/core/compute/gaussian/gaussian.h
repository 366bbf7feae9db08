// Log-densities of Gaussians and of their mixtures, and the sums that a step of EM needs, without
// ever storing a responsibility that nobody asked for.
//
//   GaussianMixtureView m{CovarianceType::kFull, k, d, log_weights, means, whiten};
//   mixture_scores(m, x, n, {.log_density = out});                // log sum_k w_k N(x | k)
//   MixtureSums sums(m.type, k, d);
//   accumulate_mixture(m, x, weights, n, sums);                   // E-step and statistics in one
//
// A component's covariance is stored as what whitens it: the lower triangle W with W W' the
// inverse... precisely W = L^-1 where the covariance is L L', so that
//   log N(x) = -d/2 log 2 pi - 1/2 |W (x - m)|^2 + sum_i log W_ii
//   kSpherical  whiten [k]       1 / sigma
//   kDiagonal   whiten [k,d]     1 / sigma_j
//   kTied       whiten [d,d]     L^-1 of the one covariance, row-major, zeros above the diagonal
//   kFull       whiten [k,d,d]   L^-1 each
// Log-weights need not be normalised; -inf takes a component out. A point whose every component
// has density 0 has log-density -inf and responsibilities 0. x is finite.
//
// Cost a point and component, full: d (d + 1) / 2 multiply-adds for the whitening, as many for the
// scatter where the responsibility counts (kNegligible), one exponential. Points are worked on in
// tiles of kGaussianTile, lanes across points; working memory is O(k d) tiles a thread. Sums are
// taken in double, about the component's current mean, in blocks of kReductionBlock rows that are
// added in order: the same bits at any number of threads, and in any chunks of whole blocks.
//
// Source of the form: Dempster, Laird and Rubin 1977; the centred sums: Chan, Golub, LeVeque 1983.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::compute {

enum class CovarianceType { kSpherical, kDiagonal, kTied, kFull };

struct GaussianMixtureView {
  CovarianceType type = CovarianceType::kFull;
  int64_t k = 0, d = 0;
  const double* log_weights = nullptr;  // [k]
  const double* means = nullptr;        // [k,d]
  const double* whiten = nullptr;       // see above
};

constexpr int64_t kGaussianTile = 256;  // points

// A pair of point and component is left out of mass, shift and scatter where its responsibility times
// 1 + |W (x - m)|^2 is below this share of the component's weight. All that is left out is then less
// than this share of what the component holds, which double does not show.
constexpr double kNegligible = 0x1p-56;

// Doubles of `whiten`, and of the scatter in MixtureSums.
int64_t covariance_size(CovarianceType type, int64_t k, int64_t d);

// log N(x | component) for one component at one point [d]; the definition, to be read.
double log_gaussian_reference(const GaussianMixtureView& m, int64_t component, const double* x);

// What is wanted of a set of points; null = not wanted. Joint is log w_k + log N(x | k).
struct MixtureScores {
  double* log_density = nullptr;       // [n]
  double* responsibilities = nullptr;  // [n,k]
  double* joint = nullptr;             // [n,k]
  int64_t* labels = nullptr;           // [n], the most responsible component; ties to the first
};

void mixture_scores_reference(const GaussianMixtureView& m, const double* x, int64_t n,
                              const MixtureScores& out);
void mixture_scores(const GaussianMixtureView& m, const double* x, int64_t n,
                    const MixtureScores& out);

// Sums over points of responsibility r (times weight u), about the means of the view:
//   mass [k]         sum u r
//   shift [k,d]      sum u r (x - m)
//   scatter          sum u r (x - m)(x - m)', shaped like the covariance: spherical [k] its trace,
//                    diagonal [k,d], tied [d,d] over all components, full [k,d,d]; lower triangles
//                    are filled, upper ones are not touched
struct MixtureSums {
  MixtureSums(CovarianceType type, int64_t k, int64_t d);
  void clear();
  void add(const MixtureSums& other);

  std::vector<double> mass, shift, scatter;
  double log_likelihood = 0;    // sum u log p(x); -inf when a point of weight > 0 has density 0
  double entropy = 0;           // -sum u r log r
  double rows = 0, weight = 0;  // points, and sum of u
  double lowest = 0;            // smallest log p(x) of a point of weight > 0, and where
  int64_t lowest_row = -1;      // counted from the first row after clear()
};

// Adds n points to the sums. weights [n] >= 0, or null = 1. Without moments mass, shift and scatter stay
// as they are: half the time.
void accumulate_mixture_reference(const GaussianMixtureView& m, const double* x,
                                  const double* weights, int64_t n, MixtureSums& sums);
void accumulate_mixture(const GaussianMixtureView& m, const double* x, const double* weights,
                        int64_t n, MixtureSums& sums, bool moments = true);

}  // namespace covary::compute
