#include "covary/stat/process/grid.h"

#include <cmath>
#include <functional>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/process/gp.h"

namespace covary::stat {
namespace {

at::Tensor normals(uint64_t seed, at::IntArrayRef shape) {
  at::Tensor t = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data_ptr<double>()[i] = Random(seed, 9).normal(static_cast<uint64_t>(i));
  }
  return t;
}

std::vector<double> axis(int64_t n, double step, double bend) {
  std::vector<double> x;
  for (int64_t i = 0; i < n; ++i) {
    const auto t = static_cast<double>(i);
    x.push_back(-1 + step * t + bend * std::sin(1.7 * t));
  }
  return x;
}

// The rows of a full grid, the last axis fastest.
at::Tensor rows_of(const GridAxes& axes) {
  std::vector<at::Tensor> parts;
  for (const auto& a : axes) parts.push_back(at::tensor(a, at::kDouble));
  std::vector<at::Tensor> columns;
  for (const at::Tensor& t : at::meshgrid(parts, "ij")) columns.push_back(t.reshape({-1}));
  return at::stack(columns, 1).contiguous();
}

at::Tensor wave(const GridAxes& axes, uint64_t seed) {
  const at::Tensor x = rows_of(axes);
  std::vector<int64_t> shape;
  for (const auto& a : axes) shape.push_back(static_cast<int64_t>(a.size()));
  return (2 + (x.sum(1) * 1.3).sin() + 0.2 * normals(seed, {x.size(0)})).reshape(shape);
}

struct Case {
  GridAxes axes;
  GridOptions options;
  std::string dense;
  bool toeplitz;
};

std::vector<Case> cases() {
  const auto options = [](std::vector<std::string> kernels) {
    GridOptions o;
    o.kernels = std::move(kernels);
    o.noise = 0.05;
    o.fit = false;
    return o;
  };
  return {{{axis(60, 0.1, 0)},
           options({"const(1.3)*matern32(0.7)"}),
           "const(1.3)*matern32(0.7) + white(0.05)",
           true},
          {{axis(50, 0.1, 0)},
           options({"const(1.3)*rbf(0.4) + 0.5*periodic(0.9)"}),
           "const(1.3)*rbf(0.4) + 0.5*periodic(0.9) + white(0.05)",
           true},
          {{axis(40, 0.1, 0.02)},
           options({"const(1.3)*matern52(0.7)"}),
           "const(1.3)*matern52(0.7) + white(0.05)",
           false},
          {{axis(11, 0.2, 0.02), axis(13, 0.3, 0)},
           options({"const(1.3)*rbf(0.7)", "matern32(1.2)"}),
           "const(1.3)*rbf(0.7,dims=0)*matern32(1.2,dims=1) + white(0.05)",
           false},
          {{axis(5, 0.4, 0), axis(6, 0.3, 0), axis(7, 0.2, 0.03)},
           options({"const(1.3)*rbf(0.7)", "matern12(1.2)", "rq(0.9,0.8)"}),
           "const(1.3)*rbf(0.7,dims=0)*matern12(1.2,dims=1)*rq(0.9,0.8,dims=2) + white(0.05)",
           false}};
}

TEST(Grid, EqualsTheDenseProcess) {
  for (Case c : cases()) {
    for (const char* mean : {"zero", "const"}) {
      SCOPED_TRACE(c.dense + " " + mean);
      c.options.mean = mean;
      const at::Tensor y = wave(c.axes, 1);
      const GridProcess grid(c.axes, y, c.options);
      GpOptions o;
      o.kernel = c.dense;
      o.mean = mean;
      o.fit = false;
      const GaussianProcess dense(rows_of(c.axes), y.reshape({-1}), o);
      EXPECT_EQ(grid.report().toeplitz, c.toeplitz);
      EXPECT_NEAR(grid.report().log_likelihood, dense.report().log_likelihood, 1e-8);
      const at::Tensor xs = normals(2, {12, static_cast<int64_t>(c.axes.size())});
      for (const bool noise : {false, true}) {
        const GridPrediction p = grid.predict(xs, noise);
        const Prediction q = dense.predict(xs, {.noise = noise});
        EXPECT_LT((p.mean - q.mean).abs().max().item<double>(), 1e-8);
        EXPECT_LT((p.variance - q.variance).abs().max().item<double>(), 1e-8);
      }
    }
  }
}

TEST(Grid, GradientAgreesWithDifferences) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.dense);
    const at::Tensor y = wave(c.axes, 3);
    std::vector<Kernel> kernels = GridProcess(c.axes, y, c.options).kernels();
    double coefficient = 0;
    GridGradient g;
    grid_log_likelihood(c.axes, kernels, 0.05, y, &coefficient, &g);
    const auto slope = [&](const std::function<double(double)>& at) {
      return (4 * (at(1e-3) - at(-1e-3)) / 2e-3 - (at(2e-3) - at(-2e-3)) / 4e-3) / 3;
    };
    for (size_t k = 0; k < kernels.size(); ++k) {
      for (size_t p = 0; p < kernels[k].parameters().size(); ++p) {
        const double value = kernels[k].parameters()[p].value;
        const double expected = slope([&](double h) {
          kernels[k].parameters()[p].value = value * std::exp(h);
          const double l = grid_log_likelihood(c.axes, kernels, 0.05, y, &coefficient, nullptr);
          kernels[k].parameters()[p].value = value;
          return l;
        });
        EXPECT_NEAR(g.kernels[k][p], expected, 1e-6 * std::max(1.0, std::abs(expected)))
            << kernels[k].parameters()[p].name;
      }
    }
    EXPECT_NEAR(g.noise, slope([&](double h) {
                  return grid_log_likelihood(c.axes, kernels, 0.05 * std::exp(h), y, &coefficient,
                                             nullptr);
                }),
                1e-5);
  }
}

TEST(Grid, FitsWhatTheDenseProcessFits) {
  const GridAxes axes{axis(12, 0.3, 0), axis(15, 0.3, 0.01)};
  const at::Tensor y = wave(axes, 5);
  GridOptions g;
  g.kernels = {"rbf", "rbf"};
  const GridProcess grid(axes, y, g);
  GpOptions o;
  o.kernel = "const*rbf(ard)";
  const GaussianProcess dense(rows_of(axes), y.reshape({-1}), o);
  EXPECT_NEAR(grid.report().log_likelihood, dense.report().log_likelihood, 1e-3);
  EXPECT_NEAR(std::sqrt(grid.report().noise), 0.2, 0.05);
}

TEST(Grid, GivesTheSameBitsAtAnyNumberOfThreads) {
  const GridAxes axes{axis(30, 0.1, 0), axis(20, 0.2, 0)};
  const at::Tensor y = wave(axes, 6), xs = normals(7, {5, 2});
  const int before = threads();
  std::vector<at::Tensor> means;
  for (const int count : {1, 2}) {
    set_threads(count);
    means.push_back(GridProcess(axes, y).predict(xs).mean);
  }
  set_threads(before);
  EXPECT_TRUE(means[0].equal(means[1]));
}

TEST(Grid, NamesWhatIsWrong) {
  const GridAxes axes{axis(5, 0.1, 0), axis(4, 0.2, 0)};
  const at::Tensor y = wave(axes, 8);
  const auto refusal = [](const std::function<void()>& work) -> std::string {
    try {
      work();
    } catch (const Error& e) {
      return e.what();
    }
    return "accepted";
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(refusal([&] { GridProcess({axes[0]}, y); }), HasSubstr("as many dimensions"));
  EXPECT_THAT(refusal([&] { GridProcess({axes[1], axes[0]}, y); }), HasSubstr("axis 0"));
  at::Tensor holes = y.clone();
  holes[2][1] = std::nan("");
  EXPECT_THAT(refusal([&] { GridProcess(axes, holes); }), HasSubstr("cell 9"));
  GridAxes twice = axes;
  twice[1][2] = twice[1][0];
  EXPECT_THAT(refusal([&] { GridProcess(twice, y); }), HasSubstr("equal coordinates"));
  GridOptions o;
  o.kernels = {"rbf + white"};
  EXPECT_THAT(refusal([&] { GridProcess(axes, y, o); }), HasSubstr("white"));
  o.kernels = {"rbf", "rbf", "rbf"};
  EXPECT_THAT(refusal([&] { GridProcess(axes, y, o); }), HasSubstr("as many"));
}

}  // namespace
}  // namespace covary::stat
