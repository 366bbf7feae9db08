#include "covary/stat/process/paths.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/stat/process/spectral.h"

namespace covary::stat {
namespace {

constexpr int64_t kPoints = 512;  // evaluated at a time

}  // namespace

SamplePaths::SamplePaths(const GaussianProcess& gp, int64_t count, const PathOptions& options)
    : count_(count), features_(options.features), kernel_(gp.kernel()), mean_of_(gp.data()) {
  if (count < 1) throw Error(ExitCode::kUsage, "must be at least 1", "count");
  if (features_ < 1) throw Error(ExitCode::kUsage, "must be at least 1", "features");
  const SpectralMeasure measure(kernel_);
  const int64_t d = mean_of_.dims, m = mean_of_.outputs, p = mean_of_.coefficients();
  origin_ = mean_of_.centre;
  const auto all = static_cast<size_t>(m * count * features_);
  frequencies_.resize(all * static_cast<size_t>(d));
  phases_.resize(all);
  weights_.resize(all);
  const double scale = std::sqrt(2 * measure.mass() / static_cast<double>(features_));
  const Random random(options.seed, stream_of("process.paths"));
  parallel_for(static_cast<int64_t>(all), 256, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      const auto element = static_cast<uint64_t>(j);
      measure.draw(options.seed, element, frequencies_.data() + j * d);
      phases_[static_cast<size_t>(j)] = 2 * std::numbers::pi * random.uniform(2 * element);
      weights_[static_cast<size_t>(j)] = scale * random.normal(2 * element + 1);
    }
  });
  const Random noise(options.seed, stream_of("process.paths.noise"));
  for (size_t index = 0; index < mean_of_.groups.size(); ++index) {
    const GpGroup& from = mean_of_.groups[index];
    PosteriorFactor f = gp.factors()[index];  // the factor itself is shared
    const int64_t n = from.count();
    Group g;
    g.outputs = from.outputs;
    g.x = from.x;
    g.n = n;
    std::vector<double> whole(static_cast<size_t>(n)), smooth(static_cast<size_t>(n));
    kernel_.diagonal(from.x.data(), n, true, whole.data());
    kernel_.diagonal(from.x.data(), n, false, smooth.data());
    GpGroup residual = from;
    residual.y.resize(static_cast<size_t>(from.width() * count * n));
    residual.outputs.resize(static_cast<size_t>(from.width() * count));
    parallel_for(from.width() * count, 8, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t o = row / count, k = row % count;
        const int64_t output = from.outputs[static_cast<size_t>(o)];
        double* r = residual.y.data() + row * n;
        prior(k, output, from.x.data(), n, r, nullptr);
        for (int64_t i = 0; i < n; ++i) {
          const auto at = static_cast<size_t>(i);
          const double spread =
              whole[at] - smooth[at] + f.report.jitter + (from.noise.empty() ? 0 : from.noise[at]);
          const auto element = static_cast<uint64_t>((output * count + k) * mean_of_.n +
                                                     from.rows[static_cast<size_t>(i)]);
          r[i] = from.y[static_cast<size_t>(o * n + i)] - r[i] -
                 std::sqrt(std::max(spread, 0.0)) * noise.normal(element);
        }
      }
    });
    solve_group(residual, p, &f);
    g.alpha = std::move(f.alpha);
    g.coefficients = std::move(f.coefficients);
    groups_.push_back(std::move(g));
  }
  mean_of_.groups.clear();
}

void SamplePaths::prior(int64_t draw, int64_t output, const double* x, int64_t s, double* value,
                        double* slope) const {
  const int64_t d = mean_of_.dims;
  const auto first = static_cast<size_t>((output * count_ + draw) * features_);
  const double* w = frequencies_.data() + first * static_cast<size_t>(d);
  std::vector<double> at(static_cast<size_t>(d));
  for (int64_t i = 0; i < s; ++i) {
    for (int64_t k = 0; k < d; ++k) {
      at[static_cast<size_t>(k)] = x[i * d + k] - origin_[static_cast<size_t>(k)];
    }
    double sum = 0;
    if (slope) std::fill_n(slope + i * d, d, 0.0);
    for (int64_t j = 0; j < features_; ++j) {
      const double* frequency = w + j * d;
      double phase = phases_[first + static_cast<size_t>(j)];
      for (int64_t k = 0; k < d; ++k) phase += frequency[k] * at[static_cast<size_t>(k)];
      const double weight = weights_[first + static_cast<size_t>(j)];
      sum += weight * std::cos(phase);
      if (!slope) continue;
      const double fall = -weight * std::sin(phase);
      for (int64_t k = 0; k < d; ++k) slope[i * d + k] += fall * frequency[k];
    }
    if (value) value[i] = sum;
  }
}

at::Tensor SamplePaths::evaluate(const at::Tensor& points) const {
  const at::Tensor xs = checked_points(points, mean_of_.dims, "points");
  const int64_t s = xs.size(0), m = mean_of_.outputs, p = mean_of_.coefficients(),
                d = mean_of_.dims;
  const double* x = xs.const_data_ptr<double>();
  at::Tensor out = at::empty({count_, s, m}, at::kDouble);
  double* to = out.data_ptr<double>();
  std::vector<double> cross, update;
  for (const Group& g : groups_) {
    const auto draws = static_cast<int64_t>(g.outputs.size()) * count_;
    for (int64_t begin = 0; begin < s; begin += kPoints) {
      const int64_t some = std::min(kPoints, s - begin);
      cross.resize(static_cast<size_t>(some * g.n));
      update.resize(static_cast<size_t>(draws * some));
      kernel_.cross(x + begin * d, some, g.x.data(), g.n, cross.data(), g.n);
      linalg::gemm(false, true, draws, some, g.n, 1, g.alpha.data(), g.n, cross.data(), g.n, 0,
                   update.data(), some);
      const std::vector<double> basis = mean_of_.basis_at(x + begin * d, some);
      parallel_for(draws, 8, [&](int64_t first, int64_t last) {
        std::vector<double> value(static_cast<size_t>(some));
        for (int64_t row = first; row < last; ++row) {
          const int64_t k = row % count_, output = g.outputs[static_cast<size_t>(row / count_)];
          prior(k, output, x + begin * d, some, value.data(), nullptr);
          for (int64_t i = 0; i < some; ++i) {
            double v = value[static_cast<size_t>(i)] + update[static_cast<size_t>(row * some + i)];
            for (int64_t a = 0; a < p; ++a) {
              v += g.coefficients[static_cast<size_t>(row * p + a)] *
                   basis[static_cast<size_t>(a * some + i)];
            }
            to[(k * s + begin + i) * m + output] = v;
          }
        }
      });
    }
  }
  return mean_of_.vector_y ? out.squeeze(2) : out;
}

double SamplePaths::value_at(int64_t draw, const double* x, double* gradient) const {
  const int64_t d = mean_of_.dims, p = mean_of_.coefficients();
  const Group& g = *std::find_if(groups_.begin(), groups_.end(), [](const Group& group) {
    return std::find(group.outputs.begin(), group.outputs.end(), 0) != group.outputs.end();
  });
  const int64_t row =
      (std::find(g.outputs.begin(), g.outputs.end(), 0) - g.outputs.begin()) * count_ + draw;
  const double *alpha = g.alpha.data() + row * g.n, *coefficients = g.coefficients.data() + row * p;
  std::vector<double> cross(static_cast<size_t>(g.n)), slope(static_cast<size_t>(d));
  double value = 0;
  prior(draw, 0, x, 1, &value, gradient ? slope.data() : nullptr);
  kernel_.cross(x, 1, g.x.data(), g.n, cross.data(), g.n);
  value += linalg::dot(g.n, alpha, cross.data());
  const std::vector<double> basis = mean_of_.basis_at(x, 1);
  for (int64_t a = 0; a < p; ++a) value += coefficients[a] * basis[static_cast<size_t>(a)];
  if (gradient == nullptr) return value;
  for (int64_t c = 0; c < d; ++c) gradient[c] += slope[static_cast<size_t>(c)];
  kernel_.contract_inputs(x, 1, g.x.data(), g.n, alpha, slope.data());
  for (int64_t c = 0; c < d; ++c) {
    gradient[c] += slope[static_cast<size_t>(c)];
    if (p < 2) continue;
    const std::vector<double> slopes = mean_of_.basis_slopes(x, 1, c);
    for (int64_t a = 1; a < p; ++a) gradient[c] += coefficients[a] * slopes[static_cast<size_t>(a)];
  }
  return value;
}

at::Tensor SamplePaths::gradient(const at::Tensor& points) const {
  const at::Tensor xs = checked_points(points, mean_of_.dims, "points");
  const int64_t s = xs.size(0), m = mean_of_.outputs, p = mean_of_.coefficients(),
                d = mean_of_.dims;
  const double* x = xs.const_data_ptr<double>();
  at::Tensor out = at::empty({count_, s, m, d}, at::kDouble);
  double* to = out.data_ptr<double>();
  std::vector<double> slope(static_cast<size_t>(s * d)), update(slope.size());
  std::vector<std::vector<double>> slopes;  // of the mean's basis, a column
  for (int64_t c = 0; c < d; ++c) slopes.push_back(mean_of_.basis_slopes(x, s, c));
  for (const Group& g : groups_) {
    std::vector<double> weights(static_cast<size_t>(s * g.n));
    for (size_t o = 0; o < g.outputs.size(); ++o) {
      for (int64_t k = 0; k < count_; ++k) {
        const int64_t row = static_cast<int64_t>(o) * count_ + k;
        prior(k, g.outputs[o], x, s, nullptr, slope.data());
        for (int64_t i = 0; i < s; ++i) {
          std::copy_n(g.alpha.data() + row * g.n, g.n, weights.data() + i * g.n);
        }
        kernel_.contract_inputs(x, s, g.x.data(), g.n, weights.data(), update.data());
        for (int64_t i = 0; i < s; ++i) {
          for (int64_t c = 0; c < d; ++c) {
            double v =
                slope[static_cast<size_t>(i * d + c)] + update[static_cast<size_t>(i * d + c)];
            for (int64_t a = 1; a < p; ++a) {
              v += g.coefficients[static_cast<size_t>(row * p + a)] *
                   slopes[static_cast<size_t>(c)][static_cast<size_t>(a * s + i)];
            }
            to[((k * s + i) * m + g.outputs[o]) * d + c] = v;
          }
        }
      }
    }
  }
  return mean_of_.vector_y ? out.squeeze(2) : out;
}

}  // namespace covary::stat
