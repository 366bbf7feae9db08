#include "covary/stat/process/kernel_net.h"

#include <algorithm>
#include <cmath>

#include "covary/core/base/random.h"

namespace covary::stat {

int64_t KernelNet::weights() const {
  int64_t sum = 0, before = inputs();
  for (size_t l = 0; l < widths.size(); ++l) {
    sum += widths[l] * (before + (l + 1 < widths.size() ? 1 : 0));
    before = widths[l];
  }
  return sum;
}

int64_t KernelNet::units() const {
  int64_t sum = inputs();
  for (const int64_t w : widths) sum += w;
  return sum;
}

void KernelNet::forward(const double* x, const double* p, double* units) const {
  for (size_t k = 0; k < columns.size(); ++k) {
    units[k] = (2 * x[columns[k]] - low[k] - high[k]) / (high[k] - low[k]);
  }
  int64_t before = inputs();
  for (size_t l = 0; l < widths.size(); ++l) {
    const bool last = l + 1 == widths.size();
    const double scale = 1 / std::sqrt(static_cast<double>(before));
    const double *matrix = p, *bias = p + widths[l] * before;
    double* out = units + before;
    for (int64_t i = 0; i < widths[l]; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < before; ++j) sum += matrix[i * before + j] * units[j];
      out[i] = last ? scale * sum : std::tanh(scale * sum + bias[i]);
    }
    p = bias + (last ? 0 : widths[l]);
    units = out;
    before = widths[l];
  }
}

void KernelNet::backward(const double* units, const double* p, const double* slope,
                         double* by_weights, double* by_x, double* scratch) const {
  // From the outputs on: slopes by the units of a layer stand where the units do.
  const int64_t all = this->units();
  std::fill_n(scratch, all, 0.0);
  int64_t to = all - outputs(), at = weights();
  std::copy_n(slope, outputs(), scratch + to);
  for (size_t l = widths.size(); l-- > 0;) {
    const bool last = l + 1 == widths.size();
    const int64_t before = l > 0 ? widths[l - 1] : inputs(), from = to - before;
    const double scale = 1 / std::sqrt(static_cast<double>(before));
    at -= widths[l] * (before + (last ? 0 : 1));
    for (int64_t i = 0; i < widths[l]; ++i) {
      const double unit = units[to + i];
      const double s = scratch[to + i] * (last ? 1 : 1 - unit * unit);
      if (by_weights && !last) by_weights[at + widths[l] * before + i] += s;
      for (int64_t j = 0; j < before; ++j) {
        if (by_weights) by_weights[at + i * before + j] += s * scale * units[from + j];
        scratch[from + j] += s * scale * p[at + i * before + j];
      }
    }
    to = from;
  }
  for (size_t k = 0; by_x && k < columns.size(); ++k)
    by_x[columns[k]] += scratch[k] * 2 / (high[k] - low[k]);
}

double first_weight(const std::string& name, int64_t index) {
  return Random(0, stream_of(name.c_str())).normal(static_cast<uint64_t>(index));
}

}  // namespace covary::stat
