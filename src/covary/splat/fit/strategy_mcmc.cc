// Densification as sampling. Source: Kheradmand et al. 2024 (3D Gaussian Splatting as Markov chain Monte Carlo).
#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "covary/core/base/threads.h"
#include "covary/splat/fit/strategy_parts.h"

namespace covary::fit {
namespace {

class McmcStrategy final : public Strategy {
 public:
  explicit McmcStrategy(const TrainOptions& options)
      : options_(options.mcmc),
        cap_(options.max_gaussians_of()),
        growth_(options.mcmc_growth_of()) {
    retime(options.steps);
  }

  void init(nn::RowTable& table, const SceneFacts& scene) override { resume(table, scene, {}); }

  void resume(nn::RowTable& table, const SceneFacts& scene, const nlohmann::json&) override {
    table_ = &table;
    scene_ = scene;
  }

  bool reads_absolute_gradients() const override { return false; }

  void retime(int64_t steps) override {
    start_ = resolved_steps(options_.start, 500, 0.1, steps);
    stop_ = resolved_steps(options_.stop, 25000, 5.0 / 6, steps);
  }

  bool recap(int64_t max_gaussians) override {
    cap_ = max_gaussians;
    return true;
  }

  Edits after_step(const StepFacts& facts) override {
    Edits edits;
    if (facts.step > start_ && facts.step < stop_ && facts.step % options_.every == 0) {
      edits.moved = move_dead(facts.step);
      edits.added = add(facts.step);
    }
    wander(facts);
    return edits;
  }

 private:
  std::vector<double> opacities() const {
    const float* logits = table_->parameter("opacities").const_data_ptr<float>();
    std::vector<double> o(static_cast<size_t>(table_->rows()));
    for (size_t i = 0; i < o.size(); ++i) o[i] = logistic(logits[i]);
    return o;
  }

  // The rows drawn, ascending and once each, become what 1 + (times drawn) copies must be; their moments are zeroed.
  void shrink_drawn(const std::vector<int64_t>& drawn, const std::vector<double>& opacity) {
    std::vector<int64_t> copies(opacity.size(), 1);
    for (int64_t i : drawn) ++copies[static_cast<size_t>(i)];
    float* logits = table_->parameter("opacities").data_ptr<float>();
    float* scales = table_->parameter("scales").data_ptr<float>();
    std::vector<int64_t> rows;
    for (size_t i = 0; i < copies.size(); ++i) {
      if (copies[i] == 1) continue;
      const Relocated r = relocate(std::min(opacity[i], 1 - 1e-7), copies[i]);
      logits[i] = static_cast<float>(logit(std::clamp(r.opacity, options_.min_opacity, 1 - 1e-7)));
      for (int k = 0; k < 3; ++k)
        scales[3 * i + static_cast<size_t>(k)] += static_cast<float>(std::log(r.scale_factor));
      rows.push_back(static_cast<int64_t>(i));
    }
    table_->zero_moments("", at::tensor(rows, at::kLong));
  }

  int64_t move_dead(int64_t step) {
    std::vector<double> opacity = opacities();
    std::vector<int64_t> dead;
    std::vector<double> weights = opacity;
    double alive = 0;
    for (size_t i = 0; i < opacity.size(); ++i) {
      if (opacity[i] <= options_.min_opacity) {
        dead.push_back(static_cast<int64_t>(i));
        weights[i] = 0;
      }
      alive += weights[i];
    }
    if (dead.empty() || !(alive > 0)) return 0;
    const std::vector<int64_t> drawn =
        draw_by_weight(weights, static_cast<int64_t>(dead.size()),
                       Random(scene_.seed, stream_of("mcmc.move", static_cast<uint64_t>(step))));
    shrink_drawn(drawn, opacity);
    const at::Tensor to = at::tensor(dead, at::kLong), from = at::tensor(drawn, at::kLong);
    for (const std::string& name : table_->names())
      table_->set_rows(name, to, table_->parameter(name).detach().index_select(0, from));
    table_->zero_moments("", to);
    return static_cast<int64_t>(dead.size());
  }

  int64_t add(int64_t step) {
    const int64_t n = table_->rows();
    const int64_t target = std::min(cap_, static_cast<int64_t>(growth_ * static_cast<double>(n)));
    if (target <= n) return 0;
    const std::vector<double> opacity = opacities();
    const std::vector<int64_t> drawn =
        draw_by_weight(opacity, target - n,
                       Random(scene_.seed, stream_of("mcmc.add", static_cast<uint64_t>(step))));
    shrink_drawn(drawn, opacity);
    table_->append({}, at::tensor(drawn, at::kLong));
    return target - n;
  }

  // Noise in the shape of each Gaussian, for nearly transparent ones alone.
  void wander(const StepFacts& facts) {
    const Random random(scene_.seed, stream_of("mcmc.noise", static_cast<uint64_t>(facts.step)));
    float* means = table_->parameter("means").data_ptr<float>();
    const float* scales = table_->parameter("scales").const_data_ptr<float>();
    const float* quats = table_->parameter("quats").const_data_ptr<float>();
    const float* logits = table_->parameter("opacities").const_data_ptr<float>();
    const double amount = facts.lr_means * options_.noise_lr;
    parallel_for(table_->rows(), 1024, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const double gate = logistic(100 * (0.005 - logistic(logits[i])));
        if (gate < kNoNoise) continue;
        const std::array<double, 4> z = random.normal4(static_cast<uint64_t>(i));
        double r[9], turned[3];
        rotation_of(quats + 4 * i, r);
        for (int k = 0; k < 3; ++k) {  // S^2 R^T z
          const double s = std::exp(2 * static_cast<double>(scales[3 * i + k]));
          turned[k] = s * (r[k] * z[0] + r[3 + k] * z[1] + r[6 + k] * z[2]);
        }
        for (int k = 0; k < 3; ++k)
          means[3 * i + k] += static_cast<float>(
              amount * gate *
              (r[3 * k] * turned[0] + r[3 * k + 1] * turned[1] + r[3 * k + 2] * turned[2]));
      }
    });
  }

  static constexpr double kNoNoise = 1e-12;  // the gate of an opacity of 0.28: nothing moves there

  McmcOptions options_;
  int64_t cap_;
  double growth_;
  int64_t start_, stop_;
  nn::RowTable* table_ = nullptr;
  SceneFacts scene_;
};

}  // namespace

std::unique_ptr<Strategy> make_mcmc_strategy(const TrainOptions& options) {
  return std::make_unique<McmcStrategy>(options);
}

}  // namespace covary::fit
