#include "covary/splat/fit/strategy.h"

#include <algorithm>
#include <cmath>

#include "covary/core/base/error.h"
#include "covary/splat/fit/strategy_parts.h"

namespace covary::fit {
namespace {

// Keeps every Gaussian as it is.
class NoStrategy final : public Strategy {
 public:
  void init(nn::RowTable&, const SceneFacts&) override {}
  void resume(nn::RowTable&, const SceneFacts&, const nlohmann::json&) override {}
  bool reads_absolute_gradients() const override { return false; }
  Edits after_step(const StepFacts&) override { return {}; }
};

std::vector<StrategyKind>& kinds() {
  static std::vector<StrategyKind> all = {
      {"default", "clone and split where the screen gradient is large, prune what is transparent",
       [](const TrainOptions& options) {
         return options.primitive == "convex" ? make_convex_strategy(options)
                                              : make_default_strategy(options);
       }},
      {"mcmc", "a fixed budget: dead Gaussians move to opaque ones, transparent ones wander",
       make_mcmc_strategy},
      {"none", "the initial Gaussians, neither more nor fewer",
       [](const TrainOptions&) { return std::make_unique<NoStrategy>(); }},
  };
  return all;
}

}  // namespace

void register_strategy(StrategyKind kind) {
  for (auto& k : kinds())
    if (k.name == kind.name) {
      k = std::move(kind);
      return;
    }
  kinds().push_back(std::move(kind));
}

const std::vector<StrategyKind>& strategies() { return kinds(); }

std::unique_ptr<Strategy> make_strategy(const std::string& name, const TrainOptions& options) {
  std::vector<std::string> names;
  for (const auto& k : kinds()) {
    if (k.name == name) return k.make(options);
    names.push_back(k.name);
  }
  std::string list;
  for (const auto& n : names) list += (list.empty() ? "" : ", ") + n;
  const std::string near = nearest_word(name, names);
  throw Error(ExitCode::kUsage, "there is no strategy '" + name + "'", "strategy",
              (near.empty() ? "" : "did you mean " + near + "? ") + "there are " + list);
}

void rotation_of(const float* q, double r[9]) {
  double w = q[0], x = q[1], y = q[2], z = q[3];
  const double norm = std::sqrt(w * w + x * x + y * y + z * z);
  if (!(norm > 0)) {
    for (int i = 0; i < 9; ++i) r[i] = i % 4 == 0;
    return;
  }
  w /= norm, x /= norm, y /= norm, z /= norm;
  r[0] = 1 - 2 * (y * y + z * z), r[1] = 2 * (x * y - w * z), r[2] = 2 * (x * z + w * y);
  r[3] = 2 * (x * y + w * z), r[4] = 1 - 2 * (x * x + z * z), r[5] = 2 * (y * z - w * x);
  r[6] = 2 * (x * z - w * y), r[7] = 2 * (y * z + w * x), r[8] = 1 - 2 * (x * x + y * y);
}

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

double logit(double p) { return std::log(p / (1 - p)); }

void reset_opacities(nn::RowTable& table, double most) {
  const auto highest = static_cast<float>(logit(most));
  float* logits = table.parameter("opacities").data_ptr<float>();
  for (int64_t i = 0; i < table.rows(); ++i) logits[i] = std::min(logits[i], highest);
  table.zero_moments("opacities");
}

std::vector<int64_t> draw_by_weight(const std::vector<double>& weights, int64_t n,
                                    const Random& random) {
  std::vector<double> up_to(weights.size());
  double total = 0;
  for (size_t i = 0; i < weights.size(); ++i) up_to[i] = total += weights[i];
  std::vector<int64_t> drawn(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const double at = random.uniform(static_cast<uint64_t>(i)) * total;
    const auto found = std::upper_bound(up_to.begin(), up_to.end(), at);
    drawn[static_cast<size_t>(i)] =
        std::min<int64_t>(found - up_to.begin(), static_cast<int64_t>(weights.size()) - 1);
  }
  return drawn;
}

Relocated relocate(double opacity, int64_t copies) {
  const int64_t n = std::clamp<int64_t>(copies, 1, kMostCopies);
  if (n == 1) return {opacity, 1};
  // log1p and expm1 keep small opacities exact
  const double o = -std::expm1(std::log1p(-opacity) / static_cast<double>(n));
  double integral = 0;  // of 1 - (1 - o exp(-x^2 / 2))^n, over sqrt(2 pi)
  for (int64_t i = 1; i <= n; ++i) {
    double term = o;  // C(i-1, k) (-1)^k o^(k+1)
    for (int64_t k = 0; k < i; ++k) {
      integral += term / std::sqrt(static_cast<double>(k + 1));
      term *= -o * static_cast<double>(i - 1 - k) / static_cast<double>(k + 1);
    }
  }
  return {o, opacity / integral};
}

}  // namespace covary::fit
