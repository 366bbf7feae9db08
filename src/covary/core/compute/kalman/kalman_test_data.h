// For tests and benchmarks: a batch of random stable models with series drawn near their scale.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "covary/core/base/random.h"
#include "covary/core/compute/kalman/kalman.h"

namespace covary::compute {

struct KalmanCase {
  int64_t series = 1, steps = 1;
  int states = 1, observations = 1;
  bool own_models = false;  // every matrix, a series
  bool own_noise = false;   // R, a series
  bool by_step = false;     // every matrix, a step
  bool correlated = false;  // R full
  double missing = 0;       // share of the observations
};

class RandomKalmanBatch {
 public:
  explicit RandomKalmanBatch(const KalmanCase& c) {
    const int d = c.states, p = c.observations;
    const Random random(5, static_cast<uint64_t>(100 * d + p));
    uint64_t element = 0;
    const auto fill = [&](std::vector<double>& m, KalmanMatrix& view, int rows, int columns,
                          bool own, bool by_step, auto&& make) {
      const int64_t copies = own ? c.series : 1, steps = by_step ? c.steps : 1;
      for (int64_t i = 0; i < copies * steps; ++i) make(m);
      const int64_t size = rows * columns;
      view = {m.data(), own ? size * steps : 0, by_step ? size : 0};
    };
    const auto covariance = [&](int n, bool full) {
      return [&, n, full](std::vector<double>& m) {
        std::vector<double> a(static_cast<size_t>(n * n));
        for (double& x : a) x = 0.4 * random.normal(element++);
        const size_t from = m.size();
        for (int i = 0; i < n; ++i) {
          for (int j = 0; j < n; ++j) {
            double sum = i == j ? 0.3 : 0;
            for (int k = 0; k < n; ++k) sum += a[size_t(i * n + k)] * a[size_t(j * n + k)];
            m.push_back(full || i == j ? sum : 0);
          }
        }
        for (int i = 0; i < n; ++i) {  // symmetric to the bit
          for (int j = 0; j < i; ++j) m[from + size_t(i * n + j)] = m[from + size_t(j * n + i)];
        }
      };
    };
    const bool own = c.own_models;
    fill(f_, batch_.f, d, d, own, c.by_step, [&](std::vector<double>& m) {
      for (int i = 0; i < d * d; ++i) {
        m.push_back((i % (d + 1) ? 0.0 : 0.6) + 0.3 / std::sqrt(d) * random.normal(element++));
      }
    });
    fill(h_, batch_.h, p, d, own, c.by_step, [&](std::vector<double>& m) {
      for (int i = 0; i < p * d; ++i) m.push_back(random.normal(element++));
    });
    fill(q_, batch_.q, d, d, own, c.by_step, covariance(d, true));
    fill(r_, batch_.r, p, p, own || c.own_noise, c.by_step, covariance(p, c.correlated));
    fill(mean0_, batch_.mean0, d, 1, own, false, [&](std::vector<double>& m) {
      for (int i = 0; i < d; ++i) m.push_back(random.normal(element++));
    });
    fill(cov0_, batch_.cov0, d, d, own, false, covariance(d, true));
    const Random holes(6);
    y_.resize(static_cast<size_t>(c.series * c.steps * p));
    for (size_t i = 0; i < y_.size(); ++i) {
      y_[i] = holes.uniform(2 * i) < c.missing ? std::numeric_limits<double>::quiet_NaN()
                                               : 2 * holes.normal(2 * i + 1);
    }
    batch_.y = y_.data();
    batch_.series = c.series;
    batch_.steps = c.steps;
    batch_.states = d;
    batch_.observations = p;
  }
  const KalmanBatch& batch() const { return batch_; }
  std::vector<double>& y() { return y_; }
  std::vector<double>& r() { return r_; }

 private:
  std::vector<double> f_, q_, h_, r_, mean0_, cov0_, y_;
  KalmanBatch batch_;
};

// Results with memory of their own.
struct KalmanResults {
  explicit KalmanResults(const KalmanBatch& b)
      : log_likelihood(size_t(b.series)),
        mean(size_t(b.series * b.steps * b.states)),
        cov(size_t(b.series * b.steps * b.states * b.states)),
        failed(size_t(b.series)) {}
  KalmanBatchOut view() { return {log_likelihood.data(), mean.data(), cov.data(), failed.data()}; }
  std::vector<double> log_likelihood, mean, cov;
  std::vector<int64_t> failed;
};

}  // namespace covary::compute
