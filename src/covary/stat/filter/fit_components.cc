#include "covary/stat/filter/fit_components.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/filter/gradient.h"
#include "covary/stat/filter/kalman.h"

namespace covary::filter {
namespace {

using Kind = Parameter::Kind;

constexpr double kLowestShare = 1e-14;  // of the data's variance, where a variance counts as 0

// The column that a parameter belongs to, by the number behind its name; of a shared one the first.
size_t column_of(const std::string& name, size_t columns) {
  const size_t dot = name.rfind('.');
  if (columns < 2 || dot == std::string::npos || !std::isdigit(name[dot + 1])) return 0;
  return std::min(columns, static_cast<size_t>(std::stoul(name.substr(dot + 1)))) - 1;
}

// The free parameters as the variables of a search.
class Search {
 public:
  // scales: the variance of each column.
  Search(Components& c, const std::vector<double>& scales) : c_(c) {
    std::vector<Parameter>& all = c.parameters();
    for (size_t i = 0; i < all.size(); ++i) {
      if (!all[i].free) continue;
      // A group of coefficients is searched whole.
      const auto group = [](const std::string& name) { return name.substr(0, name.find(".phi")); };
      const bool tail = all[i].name.rfind('.') != all[i].name.find(".phi");
      const std::string column = tail ? all[i].name.substr(all[i].name.rfind('.')) : "";
      if (all[i].kind == Kind::kAutoregressive && !at_.empty() && !groups_.empty() &&
          groups_.back().back() + 1 == i &&
          group(all[groups_.back()[0]].name) + column == group(all[i].name) + column) {
        groups_.back().push_back(i);
      } else if (all[i].kind == Kind::kAutoregressive) {
        groups_.push_back({i});
      }
      at_.push_back(i);
      scale_.push_back(scales[column_of(all[i].name, scales.size())]);
    }
    for (const auto& g : groups_) {
      for (size_t i = 0; i < all.size(); ++i) {
        if (all[i].kind != Kind::kAutoregressive || all[i].free) continue;
        if (all[i].name.substr(0, all[i].name.find(".phi")) ==
            all[g[0]].name.substr(0, all[g[0]].name.find(".phi"))) {
          throw Error(ExitCode::kUsage, "some coefficients are fixed and some are free",
                      "model \"" + c.text() + "\"", "fix all coefficients of an ar, or none");
        }
      }
    }
  }

  size_t size() const { return at_.size(); }
  double scale(size_t variable) const { return scale_[variable]; }
  const std::vector<size_t>& at() const { return at_; }

  // Values from variables.
  void set(std::span<const double> x) {
    std::vector<Parameter>& all = c_.parameters();
    for (size_t k = 0; k < at_.size(); ++k) {
      Parameter& p = all[at_[k]];
      switch (p.kind) {
        case Kind::kVariance:
          p.value = scale_[k] * std::exp(x[k]);
          break;
        case Kind::kPositive:
          // A period: above 2 steps.
          p.value =
              p.name.find(".period") != std::string::npos ? 2 + std::exp(x[k]) : std::exp(x[k]);
          break;
        case Kind::kShare:
          p.value = 1 / (1 + std::exp(-x[k]));
          break;
        case Kind::kReal:
          p.value = x[k];
          break;
        case Kind::kAutoregressive:
          p.value = std::tanh(x[k]);  // a partial autocorrelation, for the moment
          break;
      }
    }
    for (const auto& g : groups_) {
      std::vector<double> partials;
      for (const size_t i : g) partials.push_back(all[i].value);
      const std::vector<double> phi = coefficients_of_partials(partials);
      for (size_t i = 0; i < g.size(); ++i) all[g[i]].value = phi[i];
    }
  }

  // Variables of values that are set; NaN where one is not.
  std::vector<double> variables() const {
    std::vector<double> value;
    for (const Parameter& p : c_.parameters()) value.push_back(p.value);
    for (const auto& g : groups_) {
      std::vector<double> phi;
      for (const size_t i : g) phi.push_back(value[i]);
      const std::vector<double> partials = partials_of_coefficients(phi);
      for (size_t i = 0; i < g.size(); ++i) value[g[i]] = partials[i];
    }
    std::vector<double> x;
    for (size_t k = 0; k < at_.size(); ++k) {
      const size_t i = at_[k];
      const Parameter& p = c_.parameters()[i];
      const double v = value[i];
      switch (p.kind) {
        case Kind::kVariance:
          x.push_back(std::log(std::max(v / scale_[k], 10 * kLowestShare)));
          break;
        case Kind::kPositive:
          x.push_back(
              std::log(p.name.find(".period") != std::string::npos ? std::max(v - 2, 1e-3) : v));
          break;
        case Kind::kShare:
          x.push_back(std::log(v / (1 - v)));
          break;
        case Kind::kReal:
          x.push_back(v);
          break;
        case Kind::kAutoregressive:
          x.push_back(std::atanh(std::clamp(v, -0.999, 0.999)));
          break;
      }
    }
    return x;
  }

  // The log-likelihood and its gradient in the variables.
  double likelihood(std::span<const double> x, const at::Tensor& y, std::span<double> gradient) {
    constexpr double kStep = 1e-5;
    set(x);
    const LinearModel m = c_.model();
    const LikelihoodGradient g = kalman_gradient(m, y);
    std::vector<double> moved(x.begin(), x.end());
    for (size_t k = 0; k < x.size(); ++k) {
      moved[k] = x[k] + kStep;
      set(moved);
      const LinearModel up = c_.model();
      moved[k] = x[k] - kStep;
      set(moved);
      const LinearModel down = c_.model();
      moved[k] = x[k];
      const auto part = [&](const at::Tensor& a, const at::Tensor& b, const at::Tensor& by) {
        const double* u = a.const_data_ptr<double>();
        const double* d = b.const_data_ptr<double>();
        const double* w = by.const_data_ptr<double>();
        double s = 0;
        for (int64_t i = 0; i < a.numel(); ++i) {
          if (u[i] != d[i]) s += w[i] * (u[i] - d[i]);
        }
        return s / (2 * kStep);
      };
      gradient[k] = part(up.f, down.f, g.f) + part(up.q, down.q, g.q) + part(up.r, down.r, g.r) +
                    part(up.cov0, down.cov0, g.cov0);
    }
    set(x);
    return g.log_likelihood;
  }

 private:
  Components& c_;
  std::vector<size_t> at_;
  std::vector<double> scale_;  // of each variable
  std::vector<std::vector<size_t>> groups_;
};

// The variance of each column: what its variances are measured by.
std::vector<double> scales_of(const at::Tensor& y) {
  std::vector<double> scales;
  for (int64_t j = 0; j < y.size(1); ++j) {
    const at::Tensor column = y.select(1, j);
    const std::string where = y.size(1) > 1 ? "column " + std::to_string(j + 1) : "data";
    const at::Tensor infinite = at::isinf(column).nonzero();
    if (infinite.numel() > 0) {
      throw Error(ExitCode::kData, "is infinite",
                  where + ", row " + std::to_string(infinite[0].item<int64_t>() + 1),
                  "leave empty what is missing");
    }
    const at::Tensor seen = column.masked_select(at::isfinite(column));
    const double variance = seen.numel() > 1 ? seen.var(0, true).item<double>() : 0;
    if (!(variance > 0)) {
      throw Error(
          ExitCode::kData,
          seen.numel() == 0 ? "has no numbers" : "is constant: there is no variance to divide",
          where, "choose other columns with --columns");
    }
    scales.push_back(variance);
  }
  return scales;
}

}  // namespace

void ComponentFitOptions::check() const {
  if (steps < 0) throw Error(ExitCode::kUsage, "must not be negative", "steps");
  if (!(tolerance >= 0)) throw Error(ExitCode::kUsage, "must not be negative", "tolerance");
  if (starts < 1) throw Error(ExitCode::kUsage, "must be at least 1", "starts");
}

ComponentFit fit_components(Components& c, const at::Tensor& y,
                            const ComponentFitOptions& options) {
  options.check();
  if (!y.defined() || y.dim() != 2 || y.size(1) != c.columns()) {
    throw Error(ExitCode::kData, "must be [T," + std::to_string(c.columns()) + "]", "y");
  }
  ComponentFit fit;
  fit.observed = at::isfinite(y).sum().item<int64_t>();
  Search search(c, scales_of(y));
  fit.free = static_cast<int64_t>(search.size());
  if (fit.observed < c.states() + fit.free) {
    throw Error(ExitCode::kData,
                "has " + std::to_string(fit.observed) + " numbers for " +
                    std::to_string(c.states()) + " states and " + std::to_string(fit.free) +
                    " parameters",
                "data", "give a longer series or a smaller model");
  }
  if (search.size() == 0) {
    fit.log_likelihood = kalman_log_likelihood(c.model(), y);
    fit.converged = true;
    fit.ending = "nothing is free";
    return fit;
  }
  std::vector<Parameter>& all = c.parameters();
  const std::vector<Parameter> given = all;
  const double each = 1 / static_cast<double>(fit.observed);
  const numeric::Objective objective = [&](std::span<const double> x, std::span<double> g) {
    ++fit.evaluations;
    try {
      const double l = search.likelihood(x, y, g);
      for (double& v : g) v *= -each;
      return -each * l;
    } catch (const Error& e) {
      if (e.code() != ExitCode::kData) throw;
      std::fill(g.begin(), g.end(), 0.0);
      return std::numeric_limits<double>::infinity();
    }
  };
  std::vector<double> lower, upper;
  for (const size_t i : search.at()) {
    const bool variance = all[i].kind == Kind::kVariance;
    const bool period = all[i].name.find(".period") != std::string::npos;
    lower.push_back(variance ? std::log(kLowestShare) : period ? -6 : -12);
    upper.push_back(variance ? std::log(1e4)
                    : period ? std::log(2.0 * static_cast<double>(y.size(0)))
                             : 12);
  }
  // Where the data's variance goes to in the beginning: the observation, the fast or the slow.
  const std::vector<std::array<double, 2>> shares = {{0.5, 0.05},  {0.1, 0.5},  {0.9, 1e-3},
                                                     {0.02, 0.02}, {0.5, 1e-5}, {1e-3, 1}};
  double best = std::numeric_limits<double>::infinity();
  std::vector<double> best_x;
  for (int64_t s = 0; s < options.starts; ++s) {
    const auto& share = shares[static_cast<size_t>(s) % shares.size()];
    for (size_t k = 0; k < search.size(); ++k) {
      Parameter& p = all[search.at()[k]];
      const double told = given[search.at()[k]].value;
      if (std::isfinite(told)) {
        p.value = told;
      } else if (p.kind == Kind::kVariance) {
        p.value = search.scale(k) * (p.name.starts_with("noise") ? share[0] : share[1]);
      } else if (p.kind == Kind::kPositive) {
        p.value = p.name.find(".period") != std::string::npos
                      ? std::max(3.0, static_cast<double>(y.size(0)) / std::pow(2.0, 2 + double(s)))
                      : 1;
      } else if (p.kind == Kind::kShare) {
        p.value = 0.9;
      } else if (p.kind == Kind::kAutoregressive) {
        p.value = p.name.find(".phi1") != std::string::npos ? (s % 2 ? -0.3 : 0.5) : 0;
      } else {
        p.value = 0;
      }
    }
    const numeric::Optimum o =
        numeric::minimise(objective, search.variables(), lower, upper,
                          {.iterations = options.steps, .gradient_tolerance = options.tolerance});
    if (!(o.value < best)) continue;
    best = o.value;
    best_x = o.x;
    fit.steps = o.iterations;
    fit.ending = std::string(numeric::name_of(o.ending));
    fit.converged =
        o.ending == numeric::Ending::kConverged || o.ending == numeric::Ending::kAtBound;
    fit.gradient_norm = o.gradient_norm / each;
    fit.trace.clear();
    for (const double v : o.trace) fit.trace.push_back(-v / each);
  }
  if (best_x.empty()) {
    all = given;
    throw Error(ExitCode::kData, "the likelihood is finite at no start", "data",
                "give starts: level(~1)+noise(~1); or the model leaves an observation without "
                "variance");
  }
  search.set(best_x);
  fit.log_likelihood = -best / each;
  // Variances that the data do without.
  for (size_t k = 0; k < search.size(); ++k) {
    const size_t i = search.at()[k];
    if (all[i].kind != Kind::kVariance || all[i].value > 1e-6 * search.scale(k)) continue;
    const double small = all[i].value;
    all[i].value = 0;
    double l = 0;
    try {
      l = kalman_log_likelihood(c.model(), y);
    } catch (const Error&) {  // no variance is left somewhere: the small one stays
      l = -std::numeric_limits<double>::infinity();
    }
    if (l >= fit.log_likelihood - 1e-6) {
      fit.log_likelihood = l;
      fit.at_zero.push_back(all[i].name);
    } else {
      all[i].value = small;
    }
  }
  return fit;
}

}  // namespace covary::filter
