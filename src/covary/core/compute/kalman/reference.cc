#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "covary/core/compute/kalman/kalman.h"

namespace covary::compute {
namespace {

const double* at(const KalmanMatrix& m, int64_t series, int64_t step) {
  return m.values + series * m.series_stride + step * m.step_stride;
}

}  // namespace

void kalman_batch_reference(const KalmanBatch& b, const KalmanBatchOut& out) {
  const int d = b.states, p = b.observations;
  constexpr int kD = kKalmanStates, kP = kKalmanObservations;
  double x[kD], cov[kD][kD];
  for (int64_t series = 0; series < b.series; ++series) {
    double log_likelihood = 0;
    int64_t failed = -1;
    for (int i = 0; i < d; ++i) {
      x[i] = at(b.mean0, series, 0)[i];
      for (int j = 0; j < d; ++j) cov[i][j] = at(b.cov0, series, 0)[i * d + j];
    }
    for (int64_t t = 0; t < b.steps; ++t) {
      const double* f = at(b.f, series, t);
      const double* q = at(b.q, series, t);
      const double* h = at(b.h, series, t);
      const double* r = at(b.r, series, t);
      const double* y = b.y + (series * b.steps + t) * p;
      int rows[kP], count = 0;
      for (int i = 0; i < p; ++i) {
        if (!std::isnan(y[i])) rows[count++] = i;
      }
      // cross = P H', s = H P H' + R = root root'.
      double cross[kD][kP] = {}, root[kP][kP] = {}, v[kP];
      for (int a = 0; a < count; ++a) {
        const double* row = h + rows[a] * d;
        v[a] = y[rows[a]];
        for (int i = 0; i < d; ++i) {
          v[a] -= row[i] * x[i];
          for (int j = 0; j < d; ++j) cross[i][a] += cov[i][j] * row[j];
        }
      }
      bool sound = true;
      for (int a = 0; a < count && sound; ++a) {
        for (int c = 0; c <= a; ++c) {
          double s = r[rows[a] * p + rows[c]];
          for (int i = 0; i < d; ++i) s += h[rows[a] * d + i] * cross[i][c];
          for (int k = 0; k < c; ++k) s -= root[a][k] * root[c][k];
          if (c == a) sound = s >= kKalmanVariance;
          root[a][c] = c == a ? std::sqrt(s) : s / root[c][c];
        }
      }
      if (!sound) {
        if (failed < 0) failed = t;
      } else {
        // White innovations w = root^-1 v and their gains g = cross root^-T.
        double w[kP], gain[kD][kP];
        for (int a = 0; a < count; ++a) {
          w[a] = v[a];
          for (int k = 0; k < a; ++k) w[a] -= root[a][k] * w[k];
          w[a] /= root[a][a];
          log_likelihood -=
              0.5 * (std::log(2 * std::numbers::pi) + w[a] * w[a]) + std::log(root[a][a]);
          for (int i = 0; i < d; ++i) {
            gain[i][a] = cross[i][a];
            for (int k = 0; k < a; ++k) gain[i][a] -= root[a][k] * gain[i][k];
            gain[i][a] /= root[a][a];
          }
        }
        for (int i = 0; i < d; ++i) {
          for (int a = 0; a < count; ++a) {
            x[i] += gain[i][a] * w[a];
            for (int j = 0; j < d; ++j) cov[i][j] -= gain[i][a] * gain[j][a];
          }
        }
      }
      for (int i = 0; i < d; ++i) {
        if (out.mean) out.mean[(series * b.steps + t) * d + i] = x[i];
        if (out.cov) std::copy_n(cov[i], d, out.cov + ((series * b.steps + t) * d + i) * d);
      }
      double next[kD], half[kD][kD];
      for (int i = 0; i < d; ++i) {
        next[i] = 0;
        for (int j = 0; j < d; ++j) {
          next[i] += f[i * d + j] * x[j];
          half[i][j] = 0;
          for (int k = 0; k < d; ++k) half[i][j] += f[i * d + k] * cov[k][j];
        }
      }
      std::copy_n(next, d, x);
      for (int i = 0; i < d; ++i) {
        for (int j = 0; j < d; ++j) {
          cov[i][j] = q[i * d + j];
          for (int k = 0; k < d; ++k) cov[i][j] += half[i][k] * f[j * d + k];
        }
      }
    }
    if (out.log_likelihood) out.log_likelihood[series] = log_likelihood;
    if (out.failed) out.failed[series] = failed;
  }
}

}  // namespace covary::compute
