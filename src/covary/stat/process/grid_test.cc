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

// A grid of 12 x 10 with a fifth of its cells empty, and the rows of the others.
struct Holes {
  GridAxes axes{axis(12, 0.2, 0.02), axis(10, 0.3, 0)};
  at::Tensor y, noise, x, values, variances;
  std::vector<int64_t> known;
  explicit Holes(uint64_t seed, double share = 0.2) {
    y = wave(axes, seed).contiguous();
    noise = (0.02 + 0.1 * normals(seed + 1, {120}).square()).reshape({12, 10});
    for (int64_t i = 0; i < 120; ++i) {
      if (Random(seed, 2).uniform(static_cast<uint64_t>(i)) < share) {
        y.data_ptr<double>()[i] = std::nan("");
      } else {
        known.push_back(i);
      }
    }
    const at::Tensor at = at::tensor(known, at::kLong);
    x = rows_of(axes).index_select(0, at);
    values = y.reshape({-1}).index_select(0, at);
    variances = noise.reshape({-1}).index_select(0, at);
  }
};

GridOptions with_holes(int64_t direct) {
  GridOptions o;
  o.kernels = {"const(1.3)*rbf(0.7)", "matern32(1.2)"};
  o.noise = 0.05;
  o.fit = false;
  o.holes = direct;
  return o;
}

TEST(Grid, WithHolesAndNoiseOfCellsItIsTheDenseProcess) {
  const Holes h(4), full(4, 0);
  EXPECT_GT(h.known.size(), 80U);
  EXPECT_LT(h.known.size(), 110U);
  const at::Tensor xs = normals(2, {12, 2});
  const std::string product = "const(1.3)*rbf(0.7,dims=0)*matern32(1.2,dims=1)";
  struct Way {
    const Holes* data;
    int64_t direct;
    bool noisy;
  };
  for (const Way& way :
       {Way{&h, 2000, false}, Way{&h, 0, false}, Way{&h, 2000, true}, Way{&full, 2000, true}}) {
    for (const char* mean : {"zero", "const"}) {
      SCOPED_TRACE(std::to_string(way.direct) + (way.noisy ? " noisy " : " ") + mean);
      GridOptions o = with_holes(way.direct);
      o.mean = mean;
      if (way.noisy) o.noise = 0;  // that of the cells alone
      const GridProcess grid(way.data->axes, way.data->y, o,
                             way.noisy ? way.data->noise : at::Tensor());
      GpOptions g;
      g.kernel = way.noisy ? product : product + " + white(0.05)";
      g.mean = mean;
      g.fit = false;
      const GaussianProcess dense(way.data->x, way.data->values, g,
                                  way.noisy ? way.data->variances : at::Tensor());
      const bool direct = way.direct > 0 && !way.noisy;
      EXPECT_EQ(grid.report().gaps.direct, direct);
      EXPECT_EQ(grid.report().holes, 120 - static_cast<int64_t>(way.data->known.size()));
      // Exact, or within the error that is told.
      EXPECT_NEAR(grid.report().log_likelihood, dense.report().log_likelihood,
                  direct ? 1e-8 : 4 * grid.report().gaps.error);
      EXPECT_EQ(grid.report().gaps.error > 0, !direct);
      EXPECT_LT(grid.report().gaps.error, 4);
      for (const bool noise : {false, true}) {
        if (noise && way.noisy) continue;  // a new value has no noise of a cell
        const GridPrediction p = grid.predict(xs, noise);
        const Prediction q = dense.predict(xs, {.noise = noise});
        EXPECT_LT((p.mean - q.mean).abs().max().item<double>(), 1e-8);
        EXPECT_LT((p.variance - q.variance).abs().max().item<double>(), 1e-8);
      }
      const GridPrediction left = grid.leave_one_out();
      const Prediction q = dense.leave_one_out();
      for (size_t i = 0; i < way.data->known.size(); ++i) {
        const auto row = static_cast<int64_t>(i);
        const int64_t cell = way.data->known[i];
        EXPECT_NEAR(left.mean[cell].item<double>(), q.mean[row].item<double>(), 1e-7);
        EXPECT_NEAR(left.variance[cell].item<double>(), q.variance[row].item<double>(), 1e-7);
      }
      EXPECT_EQ(left.mean.isnan().sum().item<int64_t>(), grid.report().holes);
    }
  }
}

// Of the exact likelihood, and with many probes near that of the estimated one.
TEST(Grid, GradientWithHolesAgreesWithDifferences) {
  const Holes h(5);
  GridOptions o = with_holes(2000);
  o.fit = true;
  o.search.iterations = 40;
  const GridProcess exact(h.axes, h.y, o);
  EXPECT_TRUE(exact.report().fitted);
  EXPECT_LT(exact.report().gradient_norm, 1e-3);
  const auto at = [&](const GridProcess& fitted, double length, double noise) {
    GridOptions there = with_holes(2000);
    there.kernels = fitted.report().kernels;
    Kernel k = Kernel::parse(there.kernels[1], 1);
    k.parameter("matern32.lengthscale").value *= length;
    there.kernels[1] = k.text();
    there.noise = fitted.report().noise * noise;
    return GridProcess(h.axes, h.y, there).report().log_likelihood;
  };
  // The search ends at an optimum of what differences see.
  const double best = at(exact, 1, 1);
  EXPECT_NEAR(best, exact.report().log_likelihood, 1e-8);
  for (const double step : {0.97, 1.03}) {
    EXPECT_LT(at(exact, step, 1), best);
    EXPECT_LT(at(exact, 1, step), best);
  }
  o.holes = 0;
  o.probes = 60;
  o.search.iterations = 8;
  const GridProcess estimated(h.axes, h.y, o);
  EXPECT_TRUE(estimated.report().fitted);
  EXPECT_GT(at(estimated, 1, 1), best - 0.5);
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
  at::Tensor infinite = y.clone();
  infinite[2][1] = INFINITY;
  EXPECT_THAT(refusal([&] { GridProcess(axes, infinite); }), HasSubstr("cell 9"));
  EXPECT_THAT(refusal([&] { GridProcess(axes, y * std::nan("")); }), HasSubstr("no value"));
  EXPECT_THAT(refusal([&] { GridProcess(axes, y, {}, -y.abs()); }), HasSubstr("cell 0"));
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
