#include "covary/splat/scene/split.h"

#include <algorithm>
#include <utility>

#include "covary/core/base/error.h"

namespace covary::scene {

ViewChoice choose_views(int64_t count, const std::vector<bool>& own_test,
                        const CaptureOptions& options, std::vector<std::string>& notes) {
  const bool own = !own_test.empty();
  std::vector<int64_t> train, test;
  for (int64_t i = 0; i < count; ++i) {
    const bool held = own ? own_test[static_cast<size_t>(i)]
                          : options.test_every > 0 && i % options.test_every == 0;
    (held ? test : train).push_back(i);
  }
  if (train.empty() && !own) {
    // One view, or test_every 1: nothing would be left to train on.
    notes.push_back("holding out every view would leave none to train on: none is held out");
    std::swap(train, test);
  }
  if (train.empty()) notes.push_back("the capture's own split has no training views");
  const auto trained = static_cast<int64_t>(train.size());
  if (options.max_views > 0 && trained > options.max_views) {
    notes.push_back("took " + std::to_string(options.max_views) + " of " + std::to_string(trained) +
                    " training views, evenly spaced");
    std::vector<int64_t> some;
    for (int64_t i = 0; i < options.max_views; ++i)
      some.push_back(train[static_cast<size_t>(i * trained / options.max_views)]);
    train = std::move(some);
  }
  ViewChoice out;
  if (options.split != "test")
    for (const int64_t i : train) out.loaded.push_back({i, false});
  if (options.split != "train")
    for (const int64_t i : test) out.loaded.push_back({i, true});
  std::sort(out.loaded.begin(), out.loaded.end(),
            [](const ChosenView& a, const ChosenView& b) { return a.index < b.index; });
  if (out.loaded.empty())
    throw Error(ExitCode::kData, "there is no view in the split '" + options.split + "'", "split",
                "use --split all, or --test-every 8");
  out.training = std::move(train);
  return out;
}

double extent_of(const std::vector<Camera>& cameras, const Eigen::Matrix4d& scene_from_capture) {
  std::vector<Eigen::Vector3d> centres;
  Eigen::Vector3d mean = Eigen::Vector3d::Zero();
  for (const Camera& c : cameras) {
    centres.push_back((scene_from_capture * c.centre().homogeneous()).head<3>());
    mean += centres.back();
  }
  mean /= static_cast<double>(std::max<size_t>(1, centres.size()));
  double most = 0;
  for (const auto& c : centres) most = std::max(most, (c - mean).norm());
  return 1.1 * most;
}

}  // namespace covary::scene
