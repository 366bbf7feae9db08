// Kernels of one variable as linear stochastic differential equations: blocks of states with closed
// transitions, for the filter of markov_filter.h.
//
//   MarkovForm form(Kernel::parse("matern32*periodic(1) + sho(3,2) + white", 1));
//   form.states();                          // 2 * 15 + 2
//   form.set(kernel);                       // takes the kernel's values
//   form.transition(0.1, &step);            // A and Q of every block over a gap of 0.1
//
// Sums stack blocks, products are Kronecker products; a const scales what a block shows, white is
// noise. Every state is scaled so that its stationary covariance P does not depend on a parameter:
//   const                    1 state, constant
//   matern12 matern32 matern52  1, 2, 3 states: (f, f' / r, f'' / r^2), r the rate
//   sho                      2 states: (f, f' / w)
//   cosine                   2 states, turning
//   periodic                 1 + 2 `harmonics` states: the Fourier series of the kernel, cut; what is
//                            cut off is truncated()
// The process noise Q = P - A P A' is formed from positive terms, so that short gaps cancel nothing:
// of a Kronecker product it is Q1 x P2 + (A1 P1 A1') x Q2.
// Source: Hartikainen and Sarkka 2010; Solin and Sarkka 2014 (periodic, products); Foreman-Mackey
// et al. 2017 (sho).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/stat/process/kernel.h"

namespace covary::stat {

class MarkovForm {
 public:
  static constexpr int64_t kStates = 120;  // at most

  // Why a kernel has no such form, in words that follow "the kernel"; empty when it has one.
  static std::string obstacle(const Kernel& kernel, int64_t harmonics = 7);

  // Whether the form is an approximation: the kernel has a periodic part.
  static bool approximates(const Kernel& kernel);

  // Throws Error(kUsage) with the obstacle.
  explicit MarkovForm(const Kernel& kernel, int64_t harmonics = 7);

  // Takes the values of a kernel of the same text.
  void set(const Kernel& kernel);

  int64_t states() const { return states_; }
  int64_t parameters() const { return parameters_; }
  double noise() const { return noise_; }          // variance of white
  double variance() const { return variance_; }    // of f, as the form has it
  double truncated() const { return truncated_; }  // share of the variance that harmonics leave out
  const std::vector<double>& show() const { return show_; }  // h, f = h . state

  struct Block {
    int64_t offset = 0, size = 0;
    std::vector<double> stationary;   // P [size, size]
    std::vector<int64_t> parameters;  // of the kernel, that move A and Q
  };
  const std::vector<Block>& blocks() const { return blocks_; }

  // Of every block, one after the other: A and Q [size, size]; da and dq: by the logarithm of each of
  // its parameters, [parameters, size, size].
  struct Step {
    double gap = -1;
    bool slopes = false;
    std::vector<std::vector<double>> a, q, da, dq;
  };
  // gap >= 0, finite.
  void transition(double gap, bool slopes, Step* step) const;

  // gradient [parameters] += what the slopes by h [states] and by the noise come to, by logarithms.
  void add_slopes(const std::vector<double>& by_show, double by_noise,
                  std::vector<double>* gradient) const;

 private:
  enum class Kind { kConst, kMatern12, kMatern32, kMatern52, kOscillator, kTurn };
  struct Factor {
    Kind kind = Kind::kConst;
    int64_t length = -1, quality = -1;  // parameters
    int64_t harmonic = 1;               // of a turn
  };
  // One harmonic of a periodic leaf takes a share of the variance that depends on its length scale.
  struct Share {
    int64_t length = -1, harmonic = 0;
  };
  struct Part {
    std::vector<Factor> factors;
    std::vector<int64_t> variances;  // parameters
    std::vector<Share> shares;
    bool white = false;
  };
  static std::vector<Part> parts_of(const Kernel& kernel, int64_t node, int64_t harmonics,
                                    std::string* obstacle);
  static int64_t size_of(const Factor& f);
  static void stationary_of(const Factor& f, double* p);
  // A, Q and their slopes by log length and log quality; slopes [2, size, size].
  void factor_step(const Factor& f, double gap, bool slopes, double* a, double* q, double* da,
                   double* dq) const;

  std::vector<Part> parts_;  // with states
  std::vector<Part> noises_;
  std::vector<Block> blocks_;   // a part
  std::vector<double> values_;  // of the kernel's parameters
  std::vector<double> show_;
  std::vector<std::vector<double>> share_slopes_;  // a part and share: d log share / d log length
  int64_t states_ = 0, parameters_ = 0;
  double noise_ = 0, variance_ = 0, truncated_ = 0;
};

}  // namespace covary::stat
