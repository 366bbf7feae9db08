// `covary mixture`: what is fitted, and what a fitted model is asked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "covary/cli/column_options.h"
#include "covary/stat/mixture/gaussian_mixture_options.h"
#include "covary/stat/mixture/variational_mixture_options.h"
#include "covary/stat/mixture/von_mises_fisher_mixture_options.h"

namespace covary::cli {

// Of fit and select, and of the others when they are given a table to fit first.
struct MixtureFitOptions {
  std::string family = "gaussian";  // gaussian | vmf (von Mises-Fisher: rows are directions)
  std::string method = "em";  // em | vb (variational Bayes) | online (one batch after another) |
                              // kmeans (equal weights, one variance: predict = nearest centre;
                              // of directions: spherical k-means)
  std::vector<std::string> covariance = {"full"};  // spherical, diagonal, tied, full; one unless em
  std::vector<double> components;         // numbers to try; empty = 1:8 by em, at most 20 by vb
  std::string criterion = "bic";          // bic | aic | icl: chooses when several are fitted
  int64_t starts = 0;                     // 0 = as the method has it: 4 by em, 1 by vb and kmeans
  int64_t steps = 0;                      // at most; 0 = as the method has it: 1000, 2000, 300
  std::optional<double> tolerance;        // of the method, none = its own
  int64_t batch = 65536;                  // rows a step of online; the file is never read whole
  int64_t passes = 1;                     // of online, over the file
  double least_share = 0.01;              // by vb, components with less weight are not kept
  std::vector<std::string> plot_columns;  // two columns for --plot; empty = both of two, else the
                                          // first two principal axes
  ColumnOptions table;

  struct EmDetails : mixture::GaussianMixtureOptions {
    void describe(OptionList& o) { describe_details(o); }
  };
  struct VbDetails : mixture::VariationalMixtureOptions {
    void describe(OptionList& o) { describe_details(o); }
  };
  struct VmfDetails : mixture::VonMisesFisherMixtureOptions {
    void describe(OptionList& o) { describe_details(o); }
  };
  EmDetails em;
  VbDetails vb;
  VmfDetails vmf;

  void describe(OptionList& o);
  void check() const;
  std::vector<int64_t> numbers() const;  // components, resolved
};

// Of predict, score and sample: how the mixture is fitted first, when a table stands in the model's
// place.
struct MixturePredictOptions : MixtureFitOptions {
  bool responsibilities = false;  // also a column a component

  void describe(OptionList& o);
};

struct MixtureScoreOptions : MixtureFitOptions {};

struct MixtureSampleOptions : MixtureFitOptions {
  int64_t samples = 1000;  // rows
  bool labels = false;     // also the component of each

  void describe(OptionList& o);
};

struct MixtureInspectOptions {
  std::vector<std::string> plot_columns;  // as in fit

  void describe(OptionList& o);
  void check() const {}
};

}  // namespace covary::cli
