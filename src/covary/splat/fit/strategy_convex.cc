// Growth of convexes: one whose sharpness the loss would rather have lower, by the mean over the views that see
// it, gives way to a smaller one at each of its points. Source: Held et al. 2025 (3D Convex Splatting),
// section 3.4 and the released code.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ATen.h>
#include <Eigen/Eigenvalues>

#include "covary/core/base/threads.h"
#include "covary/splat/fit/convex.h"
#include "covary/splat/fit/strategy_parts.h"

namespace covary::fit {
namespace {

constexpr const char* kGradients = "convex.gradients";  // [N] sums of dL/dsigma
constexpr const char* kSeen = "convex.seen";            // [N] views that saw the row
constexpr double kChildOpacity = 0.5;                   // over the parent's
constexpr int64_t kPruneEvery = 5;  // refinements after the last that splits: then one that prunes

class ConvexStrategy final : public Strategy {
 public:
  explicit ConvexStrategy(const TrainOptions& options)
      : options_(options.convex),
        settings_(options.convex.resolved()),
        cap_(options.max_gaussians_of()) {
    retime(options.steps);
  }

  void init(nn::RowTable& table, const SceneFacts& scene) override {
    table.add_statistic(kGradients, at::zeros({table.rows()}, at::kFloat));
    table.add_statistic(kSeen, at::zeros({table.rows()}, at::kFloat));
    resume(table, scene, {});
  }
  void resume(nn::RowTable& table, const SceneFacts& scene, const nlohmann::json&) override {
    table_ = &table;
    scene_ = scene;
  }
  bool reads_absolute_gradients() const override { return false; }
  void retime(int64_t steps) override {
    steps_ = steps;
    start_ = options_.start_of(steps);
    stop_ = options_.stop_of(steps);
  }
  bool recap(int64_t max_gaussians) override {
    cap_ = max_gaussians;
    return true;
  }

  void after_backward(const ViewFacts& view) override {
    if (view.step > stop_ || !view.extras_gradient.defined()) return;
    // The gradient is that of the step's views so far: this view's is what it added.
    const int64_t width = view.extras_gradient.size(1);
    at::Tensor now = view.extras_gradient.select(1, width - 1).contiguous();
    const bool first = before_step_ != view.step;
    const float* g = now.const_data_ptr<float>();
    const float* before = first ? nullptr : before_.const_data_ptr<float>();
    const auto unit =
        static_cast<float>(own_sigma(1, scene_.extent, scene_.focal));  // per published sigma
    float* sums = table_->statistic(kGradients).data_ptr<float>();
    float* seen = table_->statistic(kSeen).data_ptr<float>();
    const int64_t* ids = view.footprints.ids.const_data_ptr<int64_t>();
    parallel_for(view.footprints.ids.numel(), 4096, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        const int64_t i = ids[k];
        sums[i] += unit * (g[i] - (before ? before[i] : 0.0f));
        seen[i] += 1;
      }
    });
    before_ = now.clone();
    before_step_ = view.step;
  }

  Edits after_step(const StepFacts& facts) override {
    Edits edits;
    const int64_t every = options_.every_of(steps_), reset = options_.reset_every_of(steps_);
    const bool grows = facts.step > start_ && facts.step < stop_;
    if ((grows && facts.step % every == 0) ||
        (facts.step >= stop_ && facts.step < steps_ && facts.step % (kPruneEvery * every) == 0))
      refine(facts.step, grows, edits);
    if (facts.step < stop_ && facts.step % reset == 0) {
      reset_opacities(*table_, options_.reset_opacity);
      edits.reset = true;
    }
    return edits;
  }

 private:
  // Of the points about their mean: the standard deviation along the longest axis.
  static double spread(const float* points, int64_t count) {
    const Eigen::Map<const Eigen::Matrix<float, 3, Eigen::Dynamic>> p(points, 3, count);
    const Eigen::Matrix<double, 3, Eigen::Dynamic> d =
        p.cast<double>().colwise() - p.cast<double>().rowwise().mean().eval();
    const Eigen::Matrix3d covariance = d * d.transpose() / static_cast<double>(count);
    return std::sqrt(std::max(
        0.0, Eigen::SelfAdjointEigenSolver<Eigen::Matrix3d>(covariance, Eigen::EigenvaluesOnly)
                 .eigenvalues()[2]));
  }

  void refine(int64_t step, bool grows, Edits& edits) {
    const int64_t n = table_->rows();
    const at::Tensor& points = table_->parameter("points");
    const int64_t count = points.size(1);
    const float *sums = table_->statistic(kGradients).const_data_ptr<float>(),
                *seen = table_->statistic(kSeen).const_data_ptr<float>(),
                *p = points.const_data_ptr<float>(),
                *logits = table_->parameter("opacities").const_data_ptr<float>(),
                *mask = table_->parameter("mask").const_data_ptr<float>();
    const bool prune_large = step > options_.reset_every_of(steps_);
    std::vector<uint8_t> goes(static_cast<size_t>(n), 0);
    std::vector<float> gradients(static_cast<size_t>(n), 0.0f);
    parallel_for(n, 1024, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        goes[static_cast<size_t>(i)] =
            logistic(logits[i]) < options_.prune_opacity || hides(mask[i], settings_.prune_mask) ||
            (prune_large && spread(p + 3 * count * i, count) > options_.prune_size * scene_.extent);
        gradients[static_cast<size_t>(i)] = sums[i] / std::max(seen[i], 1.0f);
      }
    });
    std::vector<int64_t> splits;
    if (grows)
      for (int64_t i = 0; i < n; ++i)
        if (!goes[static_cast<size_t>(i)] &&
            gradients[static_cast<size_t>(i)] >= settings_.split_threshold)
          splits.push_back(i);
    // the largest gradients that there is room for; each split adds count - 1 rows
    const auto staying = static_cast<int64_t>(std::count(goes.begin(), goes.end(), 0));
    const int64_t room = std::max<int64_t>(0, cap_ - staying) / (count - 1),
                  share = static_cast<int64_t>(options_.most_split * static_cast<double>(n)) /
                          (count - 1);
    if (const int64_t most = std::min(room, share); static_cast<int64_t>(splits.size()) > most) {
      std::stable_sort(splits.begin(), splits.end(), [&](int64_t a, int64_t b) {
        return gradients[static_cast<size_t>(a)] > gradients[static_cast<size_t>(b)];
      });
      splits.resize(static_cast<size_t>(most));
      std::sort(splits.begin(), splits.end());
    }
    for (const int64_t i : splits) goes[static_cast<size_t>(i)] = 1;
    std::vector<int64_t> kept;
    for (int64_t i = 0; i < n; ++i)
      if (!goes[static_cast<size_t>(i)]) kept.push_back(i);
    edits.split = static_cast<int64_t>(splits.size());
    edits.pruned = n - static_cast<int64_t>(kept.size()) - edits.split;
    if (kept.empty() && splits.empty()) {  // a scene of nothing is no scene
      edits.pruned = 0;
    } else if (edits.any()) {
      replace(kept, splits, count);
    }
    table_->statistic(kGradients).zero_();
    table_->statistic(kSeen).zero_();
    before_step_ = -1;
  }

  // Child j of a convex: its points, smaller, with their mean at point j.
  void replace(const std::vector<int64_t>& kept, const std::vector<int64_t>& splits,
               int64_t count) {
    std::vector<int64_t> parents;
    for (const int64_t i : splits) parents.insert(parents.end(), static_cast<size_t>(count), i);
    const at::Tensor of = at::tensor(parents, at::kLong);
    const at::Tensor points = table_->parameter("points").detach().index_select(0, of),
                     sigma = table_->parameter("sigma").detach().index_select(0, of),
                     logits = table_->parameter("opacities").detach().index_select(0, of);
    float *p = points.data_ptr<float>(), *s = sigma.data_ptr<float>(),
          *o = logits.data_ptr<float>();
    const double unit = std::log(published_sigma(1, scene_.extent, scene_.focal));
    for (size_t c = 0; c < parents.size(); ++c) {
      float* own = p + 3 * count * static_cast<int64_t>(c);
      const int64_t child = static_cast<int64_t>(c) % count;
      double mean[3] = {}, at[3];
      for (int64_t k = 0; k < 3 * count; ++k) mean[k % 3] += own[k] / static_cast<double>(count);
      for (int64_t a = 0; a < 3; ++a) at[a] = own[3 * child + a];
      for (int64_t k = 0; k < 3 * count; ++k)
        own[k] = static_cast<float>(at[k % 3] + settings_.shrink * (own[k] - mean[k % 3]));
      s[c] = static_cast<float>(settings_.sharpen * (s[c] + unit) - unit);
      o[c] = static_cast<float>(logit(kChildOpacity * logistic(o[c])));
    }
    table_->edit(at::tensor(kept, at::kLong),
                 {{"points", points}, {"sigma", sigma}, {"opacities", logits}}, of);
  }

  ConvexOptions options_;
  ConvexOptions::Settings settings_;
  int64_t cap_, steps_ = 1, start_ = 0, stop_ = 0;
  nn::RowTable* table_ = nullptr;
  SceneFacts scene_;
  at::Tensor before_;  // gradients by sigma of the step's views before this one
  int64_t before_step_ = -1;
};

}  // namespace

std::unique_ptr<Strategy> make_convex_strategy(const TrainOptions& options) {
  return std::make_unique<ConvexStrategy>(options);
}

}  // namespace covary::fit
