// `covary mixture`: what is fitted, how, and what a fitted model is asked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "covary/cli/column_options.h"
#include "covary/core/linalg/cluster/kmeans_options.h"
#include "covary/stat/mixture/gaussian_mixture_options.h"
#include "covary/stat/mixture/variational_mixture_options.h"
#include "covary/stat/mixture/von_mises_fisher_mixture_options.h"

namespace covary::cli {

// Of fit and select, and of the others when they are given a table to fit first.
struct MixtureFitOptions {
  std::string family = "gaussian";  // gaussian | vmf (von Mises-Fisher: rows are directions)
  std::string method =
      "em";  // em | vb (variational Bayes) | online, online-vb (the same, one batch
             // after another) | kmeans (equal weights, one variance: predict =
             // nearest centre; of directions: spherical k-means)
  std::vector<std::string> covariance =
      {"full"};                           // names of kCovariances, or mclust: its fourteen;
                                          // one unless em
  std::vector<double> components;         // numbers to try; empty = 1:8 by em, at most 20 by vb
  std::string criterion = "bic";          // bic | aic | icl: chooses when several are fitted
  int64_t starts = 0;                     // 0 = as the method has it: 4 by em, 1 by vb and kmeans
  int64_t steps = 0;                      // at most; 0 = as the method has it: 1000, 2000, 300
  std::optional<double> tolerance;        // of the method, none = its own
  std::string init = "k-means";           // k-means | k-means++ | k-means|| | random | and from
                                          // what is known: labels | responsibilities | means |
                                          // model; by kmeans k-means means k-means++
  std::string init_from;                  // the file of these four; labels: empty = --target
  int64_t batch = 0;                      // rows a step; 0 = 65536 by online and online-vb, which
                                          // never read the file whole; all rows by kmeans
  int64_t passes = 1;                     // of online and online-vb, over the file
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
  struct KMeansDetails : linalg::KMeansOptions {
    void describe(OptionList& o) { describe_details(o); }
  };
  EmDetails em;
  VbDetails vb;
  KMeansDetails kmeans;
  VmfDetails vmf;

  void describe(OptionList& o);
  void check() const;
  std::vector<int64_t> numbers() const;     // components, resolved
  std::vector<std::string> shapes() const;  // covariance, resolved
  bool online() const { return method == "online" || method == "online-vb"; }
  bool variational() const { return method == "vb" || method == "online-vb"; }
  bool from_file() const;  // init is one of labels, responsibilities, means, model
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
