// What there is to see of a fitted mixture or density, as one self-contained page.
//
//   write_file("out.html", mixture_page({.title = "faithful.csv", .model = m, .names = names, .x = x}));
//
// A mixture of one column is a curve over a histogram; of two, ellipses at one and two standard
// deviations over the rows, and a map of the density with its regions of highest density, which hold
// half, 80 and 95 percent of its mass (core/data/contour.h); of more, the ellipses on the first two
// principal axes of the columns scaled to unit variance, or on two columns by name. At most 4,000 rows
// are drawn, evenly spread.
#pragma once

#include <string>
#include <vector>

#include "covary/stat/mixture/gaussian_mixture.h"
#include "covary/stat/mixture/kde.h"

namespace covary::mixture {

struct MixturePage {
  std::string title;
  const GaussianMixture& model;
  std::vector<std::string> names;         // of the columns
  at::Tensor x = {};                      // rows, or undefined: the model alone
  std::vector<double> trace = {};         // a value a step
  std::string trace_name = {};            // "Mean log-likelihood, nats a row"
  std::vector<Selection::Row> fits = {};  // of which
  int64_t best = -1;                      // was chosen
  std::string criterion = "bic";
  std::vector<std::string> shown = {};  // two columns by name; empty = as told above
};
std::string mixture_page(const MixturePage& page);

// One column: the curve over a histogram; two: a map of the density, its regions of highest density as
// above, and the rows; more: maps of the first two columns, all others at the rows' means, which is a
// slice and said to be one.
std::string density_page(const std::string& title, const KernelDensity& kde,
                         const std::vector<std::string>& names);

}  // namespace covary::mixture
