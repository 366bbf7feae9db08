#include "covary/stat/process/function_paths.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"

namespace covary::stat {
namespace {

constexpr int64_t kFeatures = 1024;

struct Stationary {
  double variance = 1;
  int freedom = 0;  // of Student's t distribution of frequencies; 0: normal
  std::vector<double> scales;
};

Stationary stationary_of(const GaussianProcess& gp) {
  const Kernel& kernel = gp.kernel();
  const auto refuse = [&] {
    throw Error(ExitCode::kUsage, "has no draws of whole functions", "kernel " + kernel.text(),
                "use const*rbf, const*matern12, const*matern32 or const*matern52, each with or "
                "without (ard)");
  };
  const std::string smooth = part_from_white(kernel.text()).smooth;
  if (smooth.find('+') != std::string::npos || smooth.find("dims=") != std::string::npos) refuse();
  Stationary s;
  s.scales.assign(static_cast<size_t>(kernel.dims()), 0.0);
  std::string leaf;
  for (const KernelParameter& p : kernel.parameters()) {
    if (p.role == ParameterRole::kVariance || p.role == ParameterRole::kNoise) continue;
    const std::string name = p.name.substr(0, p.name.find('.'));
    if (p.role != ParameterRole::kLengthscale || (!leaf.empty() && leaf != name)) refuse();
    leaf = name;
    for (size_t k = 0; k < s.scales.size(); ++k) {
      if (p.dimension < 0 || p.dimension == static_cast<int64_t>(k)) s.scales[k] = p.value;
    }
  }
  if (leaf == "matern12")
    s.freedom = 1;
  else if (leaf == "matern32")
    s.freedom = 3;
  else if (leaf == "matern52")
    s.freedom = 5;
  else if (leaf != "rbf")
    refuse();
  const std::vector<double> origin(s.scales.size(), 0.0);
  kernel.diagonal(origin.data(), 1, false, &s.variance);
  return s;
}

}  // namespace

FunctionPaths::FunctionPaths(const GaussianProcess& gp, int64_t count, uint64_t seed)
    : count_(count), dims_(gp.data().dims) {
  if (count < 1) throw Error(ExitCode::kUsage, "must be at least 1", "number of paths");
  if (gp.data().outputs != 1)
    throw Error(ExitCode::kUsage, "must have one output", "process of paths");
  const Stationary s = stationary_of(gp);
  const Random frequency(seed, stream_of("paths.frequencies")),
      tail(seed, stream_of("paths.tails")), shift(seed, stream_of("paths.shifts")),
      weight(seed, stream_of("paths.weights")), noise(seed, stream_of("paths.noise"));
  for (int64_t m = 0; m < kFeatures; ++m) {
    double chi = 0;
    for (int f = 0; f < s.freedom; ++f)
      chi += std::pow(tail.normal(static_cast<uint64_t>(m * 8 + f)), 2);
    const double stretch = s.freedom > 0 ? std::sqrt(s.freedom / chi) : 1;
    for (int64_t k = 0; k < dims_; ++k) {
      frequencies_.push_back(stretch * frequency.normal(static_cast<uint64_t>(m * dims_ + k)) /
                             s.scales[static_cast<size_t>(k)]);
    }
    shifts_.push_back(2 * std::numbers::pi * shift.uniform(static_cast<uint64_t>(m)));
  }
  const double root = std::sqrt(2 * s.variance / static_cast<double>(kFeatures));
  for (int64_t c = 0; c < count * kFeatures; ++c)
    weights_.push_back(root * weight.normal(static_cast<uint64_t>(c)));

  // What the draws leave at the training points, noise drawn too, fitted by the process with its parameters.
  const GpGroup& group = gp.data().groups[0];
  const int64_t n = group.count();
  const at::Tensor x = at::empty({n, dims_}, at::kDouble),
                   left = at::empty({n, count}, at::kDouble);
  std::copy(group.x.begin(), group.x.end(), x.data_ptr<double>());
  double white = 0;
  for (const KernelParameter& p : gp.kernel().parameters()) {
    if (p.role == ParameterRole::kNoise) white += p.value;
  }
  for (int64_t i = 0; i < n; ++i) {
    std::vector<double> waves(static_cast<size_t>(kFeatures));
    for (int64_t m = 0; m < kFeatures; ++m)
      waves[static_cast<size_t>(m)] = std::cos(phase(m, group.x.data() + i * dims_));
    const double variance = white + (group.noise.empty() ? 0 : group.noise[static_cast<size_t>(i)]);
    for (int64_t c = 0; c < count; ++c) {
      double draw = std::sqrt(variance) * noise.normal(static_cast<uint64_t>(i * count + c));
      for (int64_t m = 0; m < kFeatures; ++m)
        draw += weights_[static_cast<size_t>(c * kFeatures + m)] * waves[static_cast<size_t>(m)];
      left.data_ptr<double>()[i * count + c] = group.y[static_cast<size_t>(i)] - draw;
    }
  }
  Kernel kernel = gp.kernel();
  for (KernelParameter& p : kernel.parameters()) p.fixed = true;
  const char* means[] = {"zero", "const", "linear"};
  at::Tensor noises;
  if (!group.noise.empty()) {
    noises = at::empty({n}, at::kDouble);
    std::copy(group.noise.begin(), group.noise.end(), noises.data_ptr<double>());
  }
  const GaussianProcess update(
      x, left, kernel,
      {.mean = means[static_cast<int>(gp.data().mean)], .fit = false, .constant_columns = true},
      noises);
  std::vector<int64_t> all(static_cast<size_t>(count));
  for (int64_t c = 0; c < count; ++c) all[static_cast<size_t>(c)] = c;
  update_ = std::make_unique<JointPosterior>(update, all);
}

double FunctionPaths::phase(int64_t feature, const double* x) const {
  double p = shifts_[static_cast<size_t>(feature)];
  for (int64_t k = 0; k < dims_; ++k)
    p += frequencies_[static_cast<size_t>(feature * dims_ + k)] * x[k];
  return p;
}

FunctionPaths::At::At(const FunctionPaths& paths, int64_t points)
    : paths_(paths), update_(*paths.update_, points), points_(points) {
  phase_.resize(static_cast<size_t>(points * kFeatures));
  values_.resize(static_cast<size_t>(points * paths.count_));
  none_.resize(static_cast<size_t>(points * points));
}

void FunctionPaths::At::move(const double* x) {
  update_.move(x);
  values_ = update_.mean();
  for (int64_t i = 0; i < points_; ++i) {
    double* phases = phase_.data() + i * kFeatures;
    for (int64_t m = 0; m < kFeatures; ++m) {
      phases[m] = paths_.phase(m, x + i * paths_.dims_);
      const double wave = std::cos(phases[m]);
      for (int64_t c = 0; c < paths_.count_; ++c) {
        values_[static_cast<size_t>(i * paths_.count_ + c)] +=
            paths_.weights_[static_cast<size_t>(c * kFeatures + m)] * wave;
      }
    }
  }
}

void FunctionPaths::At::add_gradient(const double* weights, double* gradient) {
  update_.add_gradient(weights, none_.data(), gradient);
  for (int64_t i = 0; i < points_; ++i) {
    for (int64_t m = 0; m < kFeatures; ++m) {
      double by_wave = 0;
      for (int64_t c = 0; c < paths_.count_; ++c) {
        by_wave += weights[i * paths_.count_ + c] *
                   paths_.weights_[static_cast<size_t>(c * kFeatures + m)];
      }
      const double slope = -by_wave * std::sin(phase_[static_cast<size_t>(i * kFeatures + m)]);
      for (int64_t k = 0; k < paths_.dims_; ++k) {
        gradient[i * paths_.dims_ + k] +=
            slope * paths_.frequencies_[static_cast<size_t>(m * paths_.dims_ + k)];
      }
    }
  }
}

}  // namespace covary::stat
