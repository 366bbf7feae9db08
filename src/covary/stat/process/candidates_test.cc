#include "covary/stat/process/candidates.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/process/optimizer_test_problems.h"

namespace covary::stat {
namespace {

GaussianProcess hartmann_process(int64_t n) {
  at::Tensor x = at::empty({n, 6}, at::kDouble), y = at::empty({n}, at::kDouble);
  const Random random(4);
  for (int64_t i = 0; i < n * 6; ++i)
    x.data_ptr<double>()[i] = random.uniform(static_cast<uint64_t>(i));
  for (int64_t i = 0; i < n; ++i)
    y.data_ptr<double>()[i] = -hartmann6({x.data_ptr<double>() + 6 * i, 6});
  return fit_gp(x, y,
                {.kernel = "const(0.3)*matern52(ard,lengthscale=0.5) + white(1e-6)", .fit = false});
}

// -(x - peak)^2 summed over a batch, with a preference by category.
class Bowl : public Acquisition {
 public:
  explicit Bowl(std::vector<double> peak) : peak_(std::move(peak)) {}
  int64_t dims() const override { return static_cast<int64_t>(peak_.size()); }
  std::unique_ptr<Worker> worker(int64_t) const override { return std::make_unique<One>(peak_); }

 private:
  class One : public Worker {
   public:
    explicit One(const std::vector<double>& peak) : peak_(peak) {}
    double value(std::span<const double> x, std::span<double> gradient) override {
      double sum = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double off = x[i] - peak_[i % peak_.size()];
        sum -= off * off;
        if (!gradient.empty()) gradient[i] = -2 * off;
      }
      return sum;
    }
    const std::vector<double>& peak_;
  };
  std::vector<double> peak_;
};

TEST(Candidates, ClimbToTheTop) {
  const SearchSpace space = SearchSpace::cube(3);
  const Candidates c =
      find_candidates(Bowl({0.2, 1.4, 0.77}), space, 2, {.trials = 16, .starts = 2}, 1);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(c.points[3 * i], 0.2, 1e-6);
    EXPECT_EQ(c.points[3 * i + 1], 1);
    EXPECT_NEAR(c.points[3 * i + 2], 0.77, 1e-6);
  }
  const Candidates boxed = find_candidates(Bowl({0.2, 1.4, 0.77}), space, 1, {}, 1, {},
                                           {{0.3, 0.1, 0.1}, {0.9, 0.5, 0.6}});
  EXPECT_EQ(boxed.points, (std::vector<double>{0.3, 0.5, 0.6}));
}

TEST(Candidates, AreAllowedRowsAndTheBestOfThem) {
  const SearchSpace space = SearchSpace::parse(R"({"parameters": [
    {"name": "a", "bounds": [0, 1]}, {"name": "n", "type": "integer", "bounds": [0, 10]},
    {"name": "c", "values": ["x", "y", "z"]}]})");
  // By enumeration of 33 rows with a climbed in each.
  const std::vector<double> peak{0.31, 0.44, 0.2, 0.6, 0.1};
  const Candidates c = find_candidates(Bowl(peak), space, 1, {.trials = 8, .starts = 3}, 3);
  const std::vector<double> row = space.decode(c.points);
  EXPECT_EQ(space.encode(row), c.points);
  EXPECT_NEAR(row[0], 0.31, 1e-6);
  EXPECT_EQ(row[1], 4);
  EXPECT_EQ(row[2], 1);
  // Nothing to climb at all.
  const SearchSpace words =
      SearchSpace::parse(R"({"parameters": [{"name": "c", "values": ["x", "y", "z"]}]})");
  EXPECT_EQ(words.decode(find_candidates(Bowl({0, 0, 1}), words, 1, {}, 3).points)[0], 2);
}

TEST(Candidates, GainOverTrialsAndTheSameAtAnyNumberOfThreads) {
  const GaussianProcess gp = hartmann_process(30);
  const double best = gp.data().y.max().item<double>();
  const auto acquisition = make_acquisition({.draws = 128}, {.objective = &gp, .best = best});
  const SearchSpace space = SearchSpace::cube(6);
  const CandidateOptions options{.trials = 128, .near = 32, .starts = 4, .iterations = 60};
  const Candidates a = find_candidates(*acquisition, space, 3, options, 5);
  set_threads(1);
  const Candidates b = find_candidates(*acquisition, space, 3, options, 5);
  set_threads(0);
  EXPECT_EQ(a.points, b.points);
  EXPECT_EQ(a.value, b.value);
  const Candidates trials =
      find_candidates(*acquisition, space, 3, {.trials = 2000, .iterations = 0}, 6);
  EXPECT_GT(a.value, trials.value);
  EXPECT_EQ(acquisition->worker(3)->value(a.points, {}), a.value);
}

TEST(Candidates, RefuseWhatDoesNotFit) {
  const SearchSpace space = SearchSpace::cube(3);
  EXPECT_THROW(find_candidates(Bowl({0.2, 0.3}), space, 1, {}, 1), Error);
  EXPECT_THROW(find_candidates(Bowl({0.2, 0.3, 0.4}), space, 0, {}, 1), Error);
  EXPECT_THROW(find_candidates(Bowl({0.2, 0.3, 0.4}), space, 1, {.trials = 0}, 1), Error);
  EXPECT_THROW(find_candidates(Bowl({NAN, 0.3, 0.4}), space, 1, {}, 1), Error);
}

}  // namespace
}  // namespace covary::stat
