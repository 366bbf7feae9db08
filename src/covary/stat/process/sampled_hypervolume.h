// By how much a batch of points enlarges the hypervolume, averaged over joint draws of their
// objectives: with gradients by the draws. All objectives are maximised.
//
//   SampledHypervolume gain(std::make_shared<BoxDecomposition>(front, reference), q, draws);
//   const double v = gain.value(samples, slopes);               // [m, q, draws] both
//   SampledHypervolume noisy(observed, reference, q, draws);    // observed [m, n, draws]
//
// Draws of an objective lie side by side, a row a point: what a process's draws mean + L z are for
// fixed z, so that slopes go back through L and the mean to the points. With one front the value is
// the q-point expected hypervolume improvement; with the values that each draw has at the observed
// points, each draw has its own front, and the value is the noisy one. Boxes of the fronts are
// computed once and shared by copies.
//
// In each draw the part of objective space that the batch dominates is cut into boxes, too (q of
// them for two objectives), whose sides are coordinates of single points; the gain is the sum of
// their overlaps with the boxes of the open region. That equals inclusion and exclusion over the
// 2^q - 1 subsets of the batch without their number.
//
// log_value is the logarithm of (1 - e) gain + e blurred, e = 1e-6. Blurred is what each point alone
// gains on average, in the first 16 draws, when independent Student t noise with 2 degrees of freedom
// moves its objectives (scale t / sqrt 2, t a twentieth of the front's extent, of 1 without a front).
// Its tails fall like powers, so a batch that gains nothing in any draw still has a slope that leads
// to the front, and the value is off by at most a millionth of (gain + blurred).
//
// Weights [q, draws] in [0, 1], the probabilities or soft indicators that a point is feasible,
// count each part of the space at the largest weight of a point that dominates it: infeasible
// points add nothing, and slopes by the weights are the volumes.
//
// One object serves one thread. Costs a draw: the batch's boxes (4 points: 4, 7, 10 of them in 2, 3, 4
// objectives; 8 points: 8, 18, 38) times the front's, 3 m flops and a few comparisons each, with
// slopes 6 m^2. Throws Error(kUsage) for wrong sizes, Error(kData)
// for samples that are not finite, weights outside [0, 1] and gains that a double does not hold.
// Sources: Daulton, Balandat and Bakshy 2020 (batches by inclusion and exclusion), 2021 (noisy);
// Ament et al. 2023 (logarithms with fat tails).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "covary/stat/process/box_decomposition.h"

namespace covary::stat {

class SampledHypervolume {
 public:
  // One front for all draws; up to 8 objectives.
  SampledHypervolume(std::shared_ptr<const BoxDecomposition> boxes, int64_t points, int64_t draws);
  // A front a draw, of observed [m, n, draws]; n may be 0. Decomposed on all threads.
  SampledHypervolume(std::span<const double> observed, std::span<const double> reference,
                     int64_t points, int64_t draws);

  // samples [m, points, draws]. Slopes of the same size, or empty. weights and their slopes
  // [points, draws], or empty: all 1.
  double value(std::span<const double> samples, std::span<double> slopes = {},
               std::span<const double> weights = {}, std::span<double> weight_slopes = {});
  double log_value(std::span<const double> samples, std::span<double> slopes = {},
                   std::span<const double> weights = {}, std::span<double> weight_slopes = {});

  // The same fronts for batches of another size.
  SampledHypervolume for_batch(int64_t points) const;

  int64_t objectives() const { return static_cast<int64_t>(m_); }
  int64_t points() const { return static_cast<int64_t>(q_); }
  int64_t draws() const { return static_cast<int64_t>(draws_); }

 private:
  // Boxes of a front with their sides as numbers, padded by empty ones.
  struct Front {
    std::shared_ptr<const BoxDecomposition> boxes;
    std::vector<double> lower, upper;  // [m, padded]
    std::vector<double> blur;          // [m], scale of the Student t noise
    size_t padded = 0;
  };
  struct Side {
    double at;
    int32_t owner;  // the point of the batch whose coordinate it is; -1: infinity
  };

  static Front front_of(std::shared_ptr<const BoxDecomposition> boxes);
  const Front& front(size_t draw) const { return (*fronts_)[fronts_->size() == 1 ? 0 : draw]; }
  void prepare();
  void check(std::span<const double> samples, std::span<const double> slopes,
             std::span<const double> weights, std::span<const double> weight_slopes) const;
  // Gain of one draw; adds factor times its slopes.
  double gain(size_t draw, std::span<const double> samples, std::span<double> slopes,
              std::span<const double> weights, std::span<double> weight_slopes, double factor);
  double blurred(size_t draw, std::span<const double> samples, std::span<double> slopes,
                 std::span<const double> weights, std::span<double> weight_slopes, double factor);
  template <size_t M>
  double gain_of(size_t draw, std::span<const double> samples, std::span<double> slopes,
                 std::span<const double> weights, std::span<double> weight_slopes, double factor);

  size_t m_ = 0, q_ = 0, draws_ = 0;
  std::shared_ptr<const std::vector<Front>> fronts_;  // one, or one a draw
  std::vector<size_t> order_;                         // of the points
  std::vector<Side> open_, rest_;                     // boxes of m lower and m upper sides
  std::vector<double> psi_, slope_;                   // of blurred: [m, levels]
};

}  // namespace covary::stat
