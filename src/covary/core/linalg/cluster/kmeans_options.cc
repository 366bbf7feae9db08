#include "covary/core/linalg/cluster/kmeans_options.h"

#include "covary/core/base/error.h"

namespace covary::linalg {

void KMeansOptions::describe(OptionList& o) {
  o.add("clusters", &clusters, "number of clusters").range(1, 1 << 24).common();
  o.add("init", &init, "first centres").choices({"k-means++", "k-means||", "random"}).common();
  o.add("starts", &starts, "independent starts, the cheapest is kept").range(1, 10000).common();
  o.add("sweeps", &sweeps, "Lloyd sweeps at most").range(0, 1e9).common();
  o.add("tolerance", &tolerance, "squared moves, as a share of a column's variance, that end it")
      .range(0, 1e9);
  o.add("batch", &batch, "rows a mini-batch step; 0 = whole sweeps").range(0, 1e12);
  o.add("seed", &seed, "seed").common();
  describe_details(o);
}

void KMeansOptions::describe_details(OptionList& o) {
  o.add("trials", &trials, "candidates a step of k-means++; 0 = 2 + log k").range(0, 1000);
  o.add("init_rows_per_cluster", &init_rows_per_cluster,
        "rows a cluster that k-means++ looks at; 0 = all")
      .range(0, 1e9);
  o.add("bounds", &bounds, "distances bounded to skip rows that keep their cluster")
      .choices({"auto", "none", "hamerly", "elkan", "yinyang"});
}

void KMeansOptions::check() const {
  const auto refuse = [](const char* what, const char* field) {
    throw Error(ExitCode::kUsage, what, field);
  };
  if (clusters < 1 || clusters > (1 << 24)) refuse("must be in [1, 2^24]", "clusters");
  if (init != "k-means++" && init != "k-means||" && init != "random")
    refuse("is k-means++, k-means|| or random", "init");
  if (trials < 0) refuse("must not be negative", "trials");
  if (init_rows_per_cluster < 0) refuse("must not be negative", "init_rows_per_cluster");
  if (starts < 1) refuse("must be at least 1", "starts");
  if (sweeps < 0) refuse("must not be negative", "sweeps");
  if (!(tolerance >= 0)) refuse("must not be negative", "tolerance");
  if (bounds != "auto" && bounds != "none" && bounds != "hamerly" && bounds != "elkan" &&
      bounds != "yinyang")
    refuse("is auto, none, hamerly, elkan or yinyang", "bounds");
  if (batch < 0) refuse("must not be negative", "batch");
}

}  // namespace covary::linalg
