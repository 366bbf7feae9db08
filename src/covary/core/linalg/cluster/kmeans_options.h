// Options of k-means, all checked; see kmeans.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"

namespace covary::linalg {

struct KMeansOptions {
  int64_t clusters = 8;                 // k, at least 1 and at most the number of rows
  std::string init = "k-means++";       // k-means++ (greedy) | k-means|| (all rows, in few
                                        // passes) | random (distinct rows)
  int64_t trials = 0;                   // candidates a step of k-means++; 0 = 2 + floor(log k)
  int64_t init_rows_per_cluster = 256;  // k-means++ looks at this many rows a cluster, drawn
                                        // without regard to order; 0 = all
  int64_t starts = 1;                   // independent starts; the cheapest is kept
  int64_t sweeps = 300;                 // Lloyd sweeps at most
  double tolerance = 1e-4;      // stop when the centres' squared moves sum to less, as a share
                                // of the mean variance of a column; 0 = until labels stay
  std::string bounds = "auto";  // none | hamerly | elkan | yinyang | auto (by k): what proves that
                                // a row keeps its cluster; the result is the same
  int64_t batch = 0;            // rows a mini-batch step; 0 = whole sweeps
  int64_t seed = 42;

  void describe(OptionList& o);
  void describe_details(OptionList& o);  // trials, init_rows_per_cluster, bounds
  void check() const;
};

}  // namespace covary::linalg
