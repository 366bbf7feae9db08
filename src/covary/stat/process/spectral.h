// Spectral measures of stationary kernels: density, atoms, and frequencies drawn from them.
//
//   SpectralMeasure s(Kernel::parse("const(2)*rbf(0.5)*cosine(3) + matern32", 1));
//   double density = s.density(w);          // w [dims], radians per unit of x
//   s.draw(seed, 17, w);                    // frequency 17 of the seed, [dims]
//
// k(x - x') = integral of cos(w.(x - x')) dS(w), S symmetric with mass k(0). Sums of kernels add
// measures; products convolve them: their frequencies add, so that any sum of products of leaves
// can be drawn from. Leaves and their measures, by columns z = w l:
//   rbf                 normal, variance 1 / l^2
//   matern of order nu  Student's t with 2 nu degrees of freedom
//   rq                  normal with a gamma distributed precision: a Bessel density
//   cosine              atoms at +- 2 pi / p;    periodic: atoms at multiples of 2 pi / p in each column
//   const               an atom at 0
// White has no place here and is left out. Linear, polynomial, compact and pair functions have no
// measure or none of closed form: Error(kUsage) names them.
// Source: Rasmussen and Williams 2006, section 4.2.1; Rahimi and Recht 2007 (drawing frequencies);
// Solin and Sarkka 2014 (periodic).
#pragma once

#include <cstdint>
#include <vector>

#include "covary/stat/process/kernel.h"

namespace covary::stat {

class SpectralMeasure {
 public:
  explicit SpectralMeasure(const Kernel& kernel);

  int64_t dims() const { return dims_; }
  double mass() const { return mass_; }  // k(0), white left out

  // Of the part of S that has a density over all columns, at w [dims]; infinite at 0 for an rq whose
  // alpha is at most half its columns. Throws Error(kUsage) for a product of two leaves in one
  // column whose convolution has no closed form (rbf times rbf has, and anything times cosine).
  double density(const double* w) const;

  struct Atom {
    std::vector<double> w;  // [dims]
    double mass = 0;
  };
  // Points that carry mass of their own: those of terms of const, cosine and periodic alone, down to
  // 1e-15 of the mass.
  std::vector<Atom> atoms() const;

  // Frequency number `index` of S / mass, [dims]: a function of seed and index alone.
  void draw(uint64_t seed, uint64_t index, double* w) const;

 private:
  enum class Kind { kNormal, kStudent, kRational, kPairOfAtoms, kHarmonics };
  struct Factor {
    Kind kind = Kind::kNormal;
    double shape = 0;              // nu, alpha
    std::vector<int64_t> columns;  // of a leaf
    std::vector<double> scales;    // length scales, a column; of harmonics those of the leaf
    std::vector<double> steps;     // 2 pi / period, a column
    std::vector<std::vector<double>> harmonics;  // mass of 0, 1 and -1, 2 and -2, .., a column
  };
  struct Term {
    double mass = 1;
    std::vector<Factor> factors;
  };
  std::vector<Term> terms_of(const Kernel& kernel, int64_t node) const;
  double term_density(const Term& term, size_t factor, std::vector<double>* w) const;
  double smooth_density(const Term& term, const std::vector<double>& w) const;

  int64_t dims_ = 0;
  double mass_ = 0;
  std::vector<Term> terms_;
};

}  // namespace covary::stat
