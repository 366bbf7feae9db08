// Adaptive density control. Source: Kerbl et al. 2023, section 5.2; thresholds in half image sizes and the order of events as
// in gsplat (Ye et al. 2024); absolute gradients: Ye et al. 2024 (AbsGS); revised opacity: Rota Bulo et al. 2024.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include <ATen/ATen.h>

#include "covary/core/base/threads.h"
#include "covary/splat/fit/growth.h"
#include "covary/splat/fit/multi_view.h"
#include "covary/splat/fit/strategy_parts.h"

namespace covary::fit {
namespace {

constexpr const char* kGradients = "default.gradients";  // [N] sums of gradient norms
constexpr const char* kSeen = "default.seen";            // [N] views that saw the row
constexpr double kSplitShrink = 1.6;                     // standard deviations of both children

class DefaultStrategy final : public Strategy {
 public:
  explicit DefaultStrategy(const TrainOptions& options)
      : options_(options.default_strategy),
        multi_view_options_(options.multi_view),
        cap_(options.max_gaussians_of()) {
    if (options.growth.guides()) growth_.emplace(options);
    retime(options.steps);
  }

  void init(nn::RowTable& table, const SceneFacts& scene) override {
    table.add_statistic(kGradients, at::zeros({table.rows()}, at::kFloat));
    table.add_statistic(kSeen, at::zeros({table.rows()}, at::kFloat));
    attach(table, scene);
    if (growth_) growth_->init(table, scene);
  }

  void resume(nn::RowTable& table, const SceneFacts& scene, const nlohmann::json& state) override {
    attach(table, scene);
    if (growth_) growth_->resume(table, scene, state.at("growth"));
  }

  void attach(nn::RowTable& table, const SceneFacts& scene) {
    table_ = &table;
    scene_ = scene;
    if (multi_view_options_.on())
      multi_view_.emplace(multi_view_options_,
                          MultiView::Facts{.extent = scene.extent, .focus = scene.focus});
  }

  bool reads_absolute_gradients() const override { return options_.absgrad; }
  bool reads_color_gradients(int64_t step) const override {
    return growth_ && growth_->reads_colors() && step <= stop_;
  }
  bool reads_largest_weights(int64_t step) const override {
    return growth_ && growth_->reads_weights() && step <= stop_;
  }

  nlohmann::json state() const override {
    return growth_ ? nlohmann::json{{"growth", growth_->state()}} : nlohmann::json::object();
  }
  nlohmann::json figures() const override {
    return growth_ ? growth_->figures() : nlohmann::json::object();
  }

  void after_backward(const ViewFacts& view) override {
    if (view.step > stop_) return;
    if (growth_) growth_->add(view);
    if (multi_view_ && refines_at(view.step))
      multi_view_->add(view.camera, view.rendered, view.truth, view.mask);
    const render::Footprints& f = view.footprints;
    const int64_t m = f.ids.size(0);
    const at::Tensor gradients = f.screen_gradients.to(at::kFloat).contiguous();
    const int64_t* ids = f.ids.const_data_ptr<int64_t>();
    const float* g = gradients.const_data_ptr<float>() + (options_.absgrad ? 2 : 0);
    float* sums = table_->statistic(kGradients).data_ptr<float>();
    float* seen = table_->statistic(kSeen).data_ptr<float>();
    const float half_width = 0.5f * static_cast<float>(view.camera.width);
    const float half_height = 0.5f * static_cast<float>(view.camera.height);
    parallel_for(m, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float x = g[4 * i] * half_width, y = g[4 * i + 1] * half_height;
        sums[ids[i]] += std::sqrt(x * x + y * y);
        seen[ids[i]] += 1;
      }
    });
  }

  void retime(int64_t steps) override {
    start_ = resolved_steps(options_.start, 500, 0.1, steps);
    stop_ = resolved_steps(options_.stop, 15000, 0.5, steps);
    if (growth_) growth_->retime(steps);
  }

  bool recap(int64_t max_gaussians) override {
    cap_ = max_gaussians;
    return true;
  }

  Edits after_step(const StepFacts& facts) override {
    Edits edits;
    if (facts.step >= stop_) return edits;
    if (refines_at(facts.step)) refine(facts.step, edits);
    if (facts.step % options_.reset_every == 0) {
      reset_opacities(*table_, std::min(0.99, 2 * options_.prune_opacity));
      if (growth_) growth_->reset_at(facts.step);
      edits.reset = true;
    }
    return edits;
  }

 private:
  enum class Fate : uint8_t { kStay, kClone, kSplit, kPrune };

  bool refines_at(int64_t step) const {
    return step > start_ && step < stop_ && step % options_.every == 0 &&
           step % options_.reset_every >= options_.pause_after_reset;
  }

  void refine(int64_t step, Edits& edits) {
    const int64_t n = table_->rows();
    const float* sums = table_->statistic(kGradients).const_data_ptr<float>();
    const float* seen = table_->statistic(kSeen).const_data_ptr<float>();
    const float* scales = table_->parameter("scales").const_data_ptr<float>();
    const float* logits = table_->parameter("opacities").const_data_ptr<float>();
    const bool prune_large = step > options_.reset_every;
    const double threshold =
        options_.grad_threshold * (multi_view_ ? multi_view_->threshold_factor() : 1);

    // The fate of each row. A clone and a parent share what pruning looks at, and so do the children of a split: they are
    // judged here, as if growth had come first.
    if (growth_) growth_->begin(step);
    std::vector<Fate> fates(static_cast<size_t>(n), Fate::kStay);
    std::vector<float> gradients(static_cast<size_t>(n), 0.0f);
    const double small = options_.size_threshold * scene_.extent;
    const double large = options_.prune_scale * scene_.extent;
    parallel_for(n, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* s = scales + 3 * i;
        const double size = std::exp(static_cast<double>(std::max({s[0], s[1], s[2]})));
        const double opacity = logistic(logits[i]);
        float gradient = sums[i] / std::max(seen[i], 1.0f);
        bool grows = gradient > threshold;
        if (growth_) {
          // both in units of the threshold, so that the cap's room goes to what is furthest above its own
          const double by_color = growth_->ratio(i, seen[i]);
          gradient = std::max(gradient, static_cast<float>(by_color * threshold));
          grows = (grows || by_color > 1) && growth_->may_grow(i);
        }
        Fate fate = Fate::kStay;
        if (grows) fate = size <= small ? Fate::kClone : Fate::kSplit;
        const bool split = fate == Fate::kSplit;
        const double kept_opacity =
            split && options_.revised_opacity ? 1 - std::sqrt(1 - opacity) : opacity;
        if (kept_opacity < options_.prune_opacity ||
            (prune_large && (split ? size / kSplitShrink : size) > large))
          fate = Fate::kPrune;
        fates[static_cast<size_t>(i)] = fate;
        gradients[static_cast<size_t>(i)] = gradient;
      }
    });
    std::vector<int64_t> crossed;
    if (multi_view_) {
      crossed = clone_inside(multi_view_->inside(table_->parameter("means")), fates, gradients);
      multi_view_->clear();
    }
    keep_under_cap(fates, gradients, growth_ ? growth_->cap(step, cap_, {start_, stop_}) : cap_);
    edits.crossed = std::count_if(crossed.begin(), crossed.end(), [&](int64_t i) {
      return fates[static_cast<size_t>(i)] == Fate::kClone;
    });

    std::vector<int64_t> kept, clones, splits;
    for (int64_t i = 0; i < n; ++i) {
      const Fate fate = fates[static_cast<size_t>(i)];
      if (fate == Fate::kStay || fate == Fate::kClone) kept.push_back(i);
      if (fate == Fate::kClone) clones.push_back(i);
      if (fate == Fate::kSplit) splits.push_back(i);
    }
    edits.cloned = static_cast<int64_t>(clones.size());
    edits.split = static_cast<int64_t>(splits.size());
    edits.pruned = n - static_cast<int64_t>(kept.size()) - edits.split;
    if (edits.any()) grow(step, kept, clones, splits);
    table_->statistic(kGradients).zero_();
    table_->statistic(kSeen).zero_();
    if (growth_) growth_->end();
  }

  // Of those that would stay, what views meet at is cloned: the largest gradients, up to the share of the count.
  std::vector<int64_t> clone_inside(const std::vector<uint8_t>& inside, std::vector<Fate>& fates,
                                    const std::vector<float>& gradients) const {
    std::vector<int64_t> found;
    for (size_t i = 0; i < fates.size(); ++i)
      if (inside[i] && fates[i] == Fate::kStay) found.push_back(static_cast<int64_t>(i));
    const auto most =
        static_cast<size_t>(multi_view_options_.most_cloned * static_cast<double>(fates.size()));
    if (found.size() > most) {
      std::stable_sort(found.begin(), found.end(), [&](int64_t a, int64_t b) {
        return gradients[static_cast<size_t>(a)] > gradients[static_cast<size_t>(b)];
      });
      found.resize(most);
    }
    for (const int64_t i : found) fates[static_cast<size_t>(i)] = Fate::kClone;
    return found;
  }

  // Of those that would grow, the largest gradients that the cap has room for; each adds one row.
  void keep_under_cap(std::vector<Fate>& fates, const std::vector<float>& gradients,
                      int64_t cap) const {
    std::vector<int64_t> growing;
    int64_t staying = 0;
    for (size_t i = 0; i < fates.size(); ++i) {
      staying += fates[i] != Fate::kPrune;
      if (fates[i] == Fate::kClone || fates[i] == Fate::kSplit)
        growing.push_back(static_cast<int64_t>(i));
    }
    const int64_t room = std::max<int64_t>(0, cap - staying);
    if (static_cast<int64_t>(growing.size()) <= room) return;
    std::stable_sort(growing.begin(), growing.end(), [&](int64_t a, int64_t b) {
      return gradients[static_cast<size_t>(a)] > gradients[static_cast<size_t>(b)];
    });
    for (size_t i = static_cast<size_t>(room); i < growing.size(); ++i)
      fates[static_cast<size_t>(growing[i])] = Fate::kStay;
  }

  void grow(int64_t step, const std::vector<int64_t>& kept, const std::vector<int64_t>& clones,
            const std::vector<int64_t>& splits) {
    std::vector<int64_t> parents = clones;
    for (int64_t i : splits) parents.insert(parents.end(), {i, i});
    const auto rows = [](const std::vector<int64_t>& v) { return at::tensor(v, at::kLong); };
    const at::Tensor of = rows(parents);
    at::Tensor means = table_->parameter("means").detach().index_select(0, of);
    at::Tensor scales = table_->parameter("scales").detach().index_select(0, of);
    at::Tensor logits = table_->parameter("opacities").detach().index_select(0, of);
    const at::Tensor quats = table_->parameter("quats").detach().index_select(0, of);

    const Random random(scene_.seed, stream_of("default.split", static_cast<uint64_t>(step)));
    float* mean = means.data_ptr<float>();
    float* scale = scales.data_ptr<float>();
    float* logit_of = logits.data_ptr<float>();
    const float* quat = quats.const_data_ptr<float>();
    for (size_t c = clones.size(); c < parents.size(); ++c) {
      const auto child = static_cast<uint64_t>(c - clones.size()) & 1;
      const std::array<double, 4> z = random.normal4(2 * static_cast<uint64_t>(parents[c]) + child);
      double r[9];
      rotation_of(quat + 4 * c, r);
      double along[3];
      for (int k = 0; k < 3; ++k)
        along[k] = std::exp(static_cast<double>(scale[3 * c + k])) * z[static_cast<size_t>(k)];
      for (int k = 0; k < 3; ++k) {
        mean[3 * c + k] += static_cast<float>(r[3 * k] * along[0] + r[3 * k + 1] * along[1] +
                                              r[3 * k + 2] * along[2]);
        scale[3 * c + k] -= static_cast<float>(std::log(kSplitShrink));
      }
      if (options_.revised_opacity)
        logit_of[c] = static_cast<float>(
            logit(std::clamp(1 - std::sqrt(1 - logistic(logit_of[c])), 1e-7, 1 - 1e-7)));
    }
    table_->edit(rows(kept), {{"means", means}, {"scales", scales}, {"opacities", logits}}, of);
  }

  DefaultStrategyOptions options_;
  MultiViewOptions multi_view_options_;
  std::optional<MultiView> multi_view_;  // of the step that is under way
  std::optional<Growth> growth_;
  int64_t cap_, start_, stop_;
  nn::RowTable* table_ = nullptr;
  SceneFacts scene_;
};

}  // namespace

std::unique_ptr<Strategy> make_default_strategy(const TrainOptions& options) {
  return std::make_unique<DefaultStrategy>(options);
}

}  // namespace covary::fit
