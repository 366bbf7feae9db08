// Bar 1, parts h and p of core-gp: the 200 noisy points of Snelson and Ghahramani (2006), in the
// two files that GPflow's documentation carries. The likelihoods, optima and predictions they are
// compared with are scikit-learn's.
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/process/gp.h"
#include "studies/core-gp/bars.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::StudyContext;

struct Oracle {
  const char* leaf;
  double at_ones;  // log likelihood at variance = length scale = 1, noise variance = 0.1
  double best;     // at its optimum
  std::array<double, 3> parameters;  // there: variance, length scale, noise variance
};
constexpr std::array<Oracle, 4> kOracles{{
    {"rbf", -88.518834, -55.900277, {.76917, .61234, .07965}},
    {"matern12", -82.019141, -68.305885, {.59256, 1.77706, .07087}},
    {"matern32", -63.018804, -60.573989, {.80922, 1.01925, .07966}},
    {"matern52", -61.234964, -58.555456, {.82851, .84422, .07990}},
}};
constexpr std::array<double, 3> kPlaces{3, -1, 7}, kMeans{.38365, .04547, -.12603};

at::Tensor column(StudyContext& c, const std::string& name) {
  const std::filesystem::path file = c.data("classic/gp/" + name);
  std::ifstream in(file);
  if (!in) c.skip("classic/gp/" + name + " is not at hand");
  std::vector<double> values{std::istream_iterator<double>(in), {}};
  if (values.size() != 200 || !in.eof()) {
    throw Error(ExitCode::kData, "does not hold 200 numbers", file.string());
  }
  return at::from_blob(values.data(), {200}, at::kDouble).clone();
}

struct Errors {
  double likelihood = 0, rest = 0;
};

const Errors& errors(StudyContext& c) {
  return c.shared<Errors>("snelson", [&] {
    const at::Tensor x = column(c, "snelson_train_inputs.dat").unsqueeze(1);
    const at::Tensor y = column(c, "snelson_train_outputs.dat");
    Errors e;
    const auto raise = [](double* largest, double error) {
      *largest = std::isfinite(error) ? std::max(*largest, std::abs(error)) : INFINITY;
    };
    for (const Oracle& o : kOracles) {
      const auto text = [&](const char* ones) {
        return "const" + std::string(ones) + "*" + o.leaf + ones + " + white" +
               (*ones != 0 ? "(0.1)" : "");
      };
      stat::GpOptions options{.kernel = text("(1)"), .mean = "zero", .fit = false};
      raise(&e.likelihood, stat::fit_gp(x, y, options).report().log_likelihood - o.at_ones);
      options.kernel = text("");
      options.fit = true;
      const stat::GaussianProcess gp = stat::fit_gp(x, y, options);
      raise(&e.likelihood, gp.report().log_likelihood - o.best);
      for (size_t p = 0; p < 3; ++p) {
        raise(&e.rest, gp.report().parameters[p].value - o.parameters[p]);
      }
      if (o.leaf != std::string("rbf")) continue;
      const at::Tensor mean = gp.predict(at::tensor(kPlaces, at::kDouble).unsqueeze(1)).mean;
      for (size_t i = 0; i < 3; ++i) raise(&e.rest, mean.data_ptr<double>()[i] - kMeans[i]);
    }
    return e;
  });
}

}  // namespace

std::vector<Bar> process_snelson_bars() {
  return {
      limited("1", "h", "Snelson's data: likelihoods of scikit-learn, given and optimal",
              "largest error", "1", {1e-6, 1e-6},
              [](StudyContext& c) { return errors(c).likelihood; }),
      limited("1", "p", "Snelson's data: scikit-learn's optima and predictions, to five digits",
              "largest error", "1", {5e-5, 5e-5}, [](StudyContext& c) { return errors(c).rest; }),
  };
}

}  // namespace covary::studies
