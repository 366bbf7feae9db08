// Bar 1 of core-mixture: known likelihoods, densities by their definition, chunks.
#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "covary/core/base/random.h"
#include "covary/core/data/table.h"
#include "covary/stat/mixture/gaussian_mixture.h"
#include "covary/stat/mixture/kde.h"
#include "studies/core-mixture/bars.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::StudyContext;
using mixture::GaussianMixture;
using mixture::KernelDensity;

struct Reference {
  std::string covariance;
  int64_t components;
  double log_likelihood;
};

at::Tensor read_columns(const std::filesystem::path& path, const std::vector<std::string>& names) {
  const data::TableSplit s = data::read_table(path).split({.columns = names});
  return at::tensor(s.x, at::kDouble).view({s.rows, -1});
}

// How many nats the worst fit is below its reference: a fit above it is a better maximum.
double shortfall(StudyContext& c, const std::string& name, const at::Tensor& x,
                 const std::vector<Reference>& references) {
  eval::Table table{
      name, {"covariance", "components", "reference log-likelihood", "ours", "our BIC"}, {}};
  double worst = -std::numeric_limits<double>::infinity();
  for (const Reference& r : references) {
    GaussianMixture m({.components = r.components,
                       .covariance = r.covariance,
                       .tolerance = 1e-10,
                       .seed = static_cast<int64_t>(c.seed())});
    m.fit(x);
    const double ours = m.report().log_likelihood;
    worst = std::max(worst, r.log_likelihood - ours);
    table.rows.push_back(
        {r.covariance, r.components, r.log_likelihood, ours, m.report().criteria.bic});
  }
  c.table(std::move(table));
  return worst;
}

double faithful(StudyContext& c) {
  const at::Tensor x = read_columns(c.data("classic/faithful.csv"), {"eruptions", "waiting"});
  // BIC 2314.296 of tied k = 3 and 2322.192 of full k = 2, as log-likelihoods.
  const double tied3 = -(2314.296 - 11 * std::log(272.0)) / 2;
  return shortfall(c, "Old Faithful", x,
                   {{"spherical", 2, -1709.5293},
                    {"diagonal", 2, -1147.8064},
                    {"tied", 2, -1140.1868},
                    {"full", 2, -1130.2640},
                    {"tied", 3, tied3}});
}

double iris(StudyContext& c) {
  // The file's first line is a count of rows and columns, then the names of the classes.
  const at::Tensor x =
      read_columns(c.data("classic/iris.csv"), {"150", "4", "setosa", "versicolor"});
  return shortfall(c, "Iris", x,
                   {{"diagonal", 3, -307.1776}, {"tied", 3, -256.3540}, {"full", 3, -180.1855}});
}

// log p by the definition of a Gaussian kernel density.
at::Tensor by_definition(const at::Tensor& x, const at::Tensor& q, const at::Tensor& h) {
  const auto d = static_cast<double>(x.size(1));
  const at::Tensor s = (q.unsqueeze(1) / h - x.unsqueeze(0) / h).square().sum(2);
  return at::logsumexp(-0.5 * s, {1}) - h.log().sum() - 0.5 * d * std::log(2 * M_PI) -
         std::log(static_cast<double>(x.size(0)));
}

double exact_error(StudyContext& c) {
  double worst = 0;
  for (const int64_t d : {1, 2, 5, 16}) {
    const int64_t n = c.smoke() ? 500 : 4000, m = c.smoke() ? 50 : 200;
    const at::Tensor x = normal_rows(n, d, c.seed(), 1), q = 2 * normal_rows(m, d, c.seed(), 2);
    KernelDensity kde({.bandwidth = "scott"});
    kde.fit(x);
    const at::Tensor want = by_definition(x, q, kde.widths());
    worst = std::max(
        worst,
        ((kde.score_samples(q) - want) / want.abs().clamp_min(1)).abs().max().item<double>());
  }
  return worst;
}

// Densities of the tree outside their stated bound, among random points, widths and tolerances.
double bound_failures(StudyContext& c) {
  const int64_t checks = c.smoke() ? 5000 : 100000, each = 500;
  const Random random(c.seed(), stream_of("bounds"));
  double failures = 0;
  for (int64_t round = 0; round < checks / each; ++round) {
    const auto at = static_cast<uint64_t>(4 * round);
    const int64_t d = 1 + static_cast<int64_t>(random.below(4, at));
    const double rtol = std::pow(10.0, -1 - 5 * random.uniform(at + 1));
    const double width = std::pow(10.0, -1.5 + 2 * random.uniform(at + 2));
    const double atol = round % 3 == 0 ? 1e-3 : 0;
    const at::Tensor x = normal_rows(c.smoke() ? 1500 : 4000, d, c.seed(), at);
    const at::Tensor q = 1.5 * normal_rows(each, d, c.seed(), at + 1);
    KernelDensity kde({.bandwidth = std::to_string(width), .engine = "exact"});
    const at::Tensor exact = kde.fit(x).score_samples(q).exp();
    kde.set_accuracy(rtol, atol, "tree");
    const at::Tensor error = (kde.score_samples(q).exp() - exact).abs();
    // The logarithm and back cost some units in the last place.
    failures += (error > (rtol + 1e-13) * exact + atol).sum().item<double>();
  }
  return failures;
}

// Chunks of odd lengths against the same rows at once: the largest difference of any parameter.
double chunk_difference(StudyContext& c) {
  const int64_t n = c.smoke() ? 20001 : 200001;
  const at::Tensor x = clump_rows(n, 4, 5, c.seed());
  double worst = 0;
  for (const char* covariance : {"spherical", "diagonal", "tied", "full"}) {
    const mixture::GaussianMixtureOptions o{
        .components = 4, .covariance = covariance, .starts = 1, .steps = 20};
    GaussianMixture whole(o), chunks(o);
    whole.fit(x);
    chunks.fit_chunks([&](int64_t index, at::Tensor& part, at::Tensor&) {
      if (index * 3333 >= n) return false;
      part = x.slice(0, index * 3333, std::min(n, (index + 1) * 3333));
      return true;
    });
    worst = std::max({worst, (whole.means() - chunks.means()).abs().max().item<double>(),
                      (whole.covariances() - chunks.covariances()).abs().max().item<double>(),
                      (whole.weights() - chunks.weights()).abs().max().item<double>()});
  }
  return worst;
}

}  // namespace

std::vector<Bar> value_bars() {
  return {at_most("1", "a", "Old Faithful, default starts: nats below the known maxima",
                  "shortfall, nats", 1e-4, faithful),
          at_most("1", "b", "Iris, default starts: nats below the known maxima", "shortfall, nats",
                  1e-4, iris),
          at_most("1", "c", "exact kernel density = its definition", "relative error of log p",
                  1e-12, exact_error),
          at_most("1", "d", "tree densities outside their bound", "count", 0, bound_failures),
          at_most("1", "e", "EM over chunks = EM in memory", "largest difference", 1e-12,
                  chunk_difference)};
}

}  // namespace covary::studies
