// What there is to see of a fitted mixture of directions, as one self-contained page.
//
//   write_file("out.html", von_mises_fisher_page({.title = "wind.csv", .model = m, .x = rows}));
//
// In two dimensions a histogram around the circle under the density; in three, both hemispheres in Lambert's equal-area
// projection, with the circles that hold half of each component; in more, weights, concentrations, and how near rows lie to
// their own mean and to the others'. At most 4,000 rows are drawn, evenly spread.
#pragma once

#include <string>
#include <vector>

#include "covary/stat/mixture/von_mises_fisher_mixture.h"

namespace covary::mixture {

struct VonMisesFisherPage {
  std::string title;
  const VonMisesFisherMixture& model;
  std::vector<std::string> names = {};  // of the columns
  at::Tensor x = {};                    // rows, or undefined: the model alone
  std::vector<double> trace = {};       // mean objective after each step
};
std::string von_mises_fisher_page(const VonMisesFisherPage& page);

}  // namespace covary::mixture
