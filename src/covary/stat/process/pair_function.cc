#include "covary/stat/process/pair_function.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <mutex>

#include "covary/core/base/error.h"
#include "covary/stat/process/pair_leaves.h"

namespace covary::stat {
namespace {

// A step that balances rounding against curvature.
double step_at(double x) { return 1e-5 * std::max(std::abs(x), 1e-3); }

class UserFunction : public PairFunction {
 public:
  UserFunction(std::vector<KernelParameter> parameters, int64_t columns, PairValue value)
      : PairFunction(std::move(parameters), columns), value_(std::move(value)) {}
  double value(const double* x, const double* y, const double* p) const override {
    const auto d = static_cast<size_t>(columns());
    return value_({x, d}, {y, d}, {p, parameters().size()});
  }

 private:
  PairValue value_;
};

struct Registry {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<const LeafDefinition>> leaves = library_leaves();
};

Registry& registry() {
  static Registry r;
  return r;
}

}  // namespace

void PairFunction::parameter_slopes(const double* x, const double* y, const double* p,
                                    double* slopes) const {
  std::vector<double> moved(p, p + parameters_.size());
  for (size_t i = 0; i < moved.size(); ++i) {
    const double h = step_at(p[i]);
    moved[i] = p[i] + h;
    const double above = value(x, y, moved.data());
    moved[i] = p[i] - h;
    slopes[i] = (above - value(x, y, moved.data())) / (2 * h);
    moved[i] = p[i];
  }
}

void PairFunction::input_slopes(const double* x, const double* y, const double* p,
                                double* slopes) const {
  std::vector<double> moved(x, x + columns_);
  for (size_t i = 0; i < moved.size(); ++i) {
    const double h = step_at(std::max(std::abs(x[i]), std::abs(x[i] - y[i])));
    moved[i] = x[i] + h;
    const double above = value(moved.data(), y, p);
    moved[i] = x[i] - h;
    slopes[i] = (above - value(moved.data(), y, p)) / (2 * h);
    moved[i] = x[i];
  }
}

std::shared_ptr<const LeafDefinition> leaf_definition(const std::string& name) {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  const auto found = r.leaves.find(name);
  return found == r.leaves.end() ? nullptr : found->second;
}

std::vector<std::string> defined_leaves() {
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  std::vector<std::string> names;
  for (const auto& [name, leaf] : r.leaves) names.push_back(name);
  return names;
}

void define_kernel(const std::string& name, std::vector<KernelParameter> parameters,
                   PairValue value) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ExitCode::kUsage, what, "kernel \"" + name + "\"");
  };
  const auto word = [](const std::string& s) {
    return !s.empty() && std::all_of(s.begin(), s.end(),
                                     [](unsigned char c) { return std::isalpha(c) || c == '_'; });
  };
  static const std::vector<std::string> kTaken{
      "const",       "white",  "rbf",    "matern12",     "matern32", "matern52", "matern",
      "rq",          "linear", "cosine", "polynomial",   "periodic", "wendland", "spectral_mixture",
      "changepoint", "warp",   "deep",   "eigenvectors", "ard",      "fixed",    "dims"};
  if (!word(name)) refuse("is no name: letters and _ alone");
  if (std::find(kTaken.begin(), kTaken.end(), name) != kTaken.end()) refuse("is taken");
  if (!value) refuse("has no function");
  auto leaf = std::make_shared<LeafDefinition>();
  for (const KernelParameter& p : parameters) {
    if (!word(p.name)) refuse("has a parameter \"" + p.name + "\": letters and _ alone");
    leaf->positional.push_back(p.name);
  }
  leaf->make = [parameters = std::move(parameters), value = std::move(value)](
                   const LeafSettings& s) -> std::shared_ptr<const PairFunction> {
    return std::make_shared<UserFunction>(parameters, s.columns, value);
  };
  Registry& r = registry();
  const std::lock_guard lock(r.mutex);
  if (!r.leaves.emplace(name, std::move(leaf)).second) refuse("is taken");
}

}  // namespace covary::stat
