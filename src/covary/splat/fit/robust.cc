#include "covary/splat/fit/robust.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/threads.h"
#include "covary/core/numeric/median.h"

namespace covary::fit {
namespace {

// Mean errors of the patches of a picture; -1 where no pixel counts.
struct Patches {
  int64_t side, rows, columns;
  std::vector<double> errors;

  double at(int64_t y, int64_t x) const {
    return y < 0 || x < 0 || y >= rows || x >= columns
               ? -1
               : errors[static_cast<size_t>(y * columns + x)];
  }
};

template <class T>
Patches patches_of(const float* rendered, const T* truth, double unit, const float* mask,
                   int64_t height, int64_t width) {
  Patches p{.side = patch_side(height, width), .rows = 0, .columns = 0, .errors = {}};
  p.rows = (height + p.side - 1) / p.side;
  p.columns = (width + p.side - 1) / p.side;
  p.errors.assign(static_cast<size_t>(p.rows * p.columns), -1);
  parallel_for(p.rows, 4, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t column = 0; column < p.columns; ++column) {
        double sum = 0;
        int64_t count = 0;
        for (int64_t y = row * p.side; y < std::min(height, (row + 1) * p.side); ++y)
          for (int64_t x = column * p.side; x < std::min(width, (column + 1) * p.side); ++x) {
            const int64_t i = y * width + x;
            if (mask != nullptr && !(mask[i] > 0)) continue;
            ++count;
            for (int64_t k = 3 * i; k < 3 * i + 3; ++k)
              sum +=
                  std::abs(static_cast<double>(rendered[k]) - unit * static_cast<double>(truth[k]));
          }
        if (count > 0)
          p.errors[static_cast<size_t>(row * p.columns + column)] =
              sum / (3 * static_cast<double>(count));
      }
  });
  return p;
}

// The patches that are left out.
std::vector<uint8_t> left_out(const Patches& p, const RobustRule& rule) {
  std::vector<uint8_t> out(p.errors.size(), 0);
  std::vector<double> counted;
  for (const double e : p.errors)
    if (e >= 0) counted.push_back(e);
  if (counted.empty()) return out;
  const double threshold =
      std::max(rule.least, rule.over_median * numeric::upper_median(std::move(counted)));

  std::vector<std::pair<int64_t, int64_t>> grown;  // patches whose neighbours are to be looked at
  const auto for_neighbours = [&](int64_t y, int64_t x, const auto& f) {
    for (int64_t v = y - 1; v <= y + 1; ++v)
      for (int64_t u = x - 1; u <= x + 1; ++u)
        if ((v != y || u != x) && p.at(v, u) > threshold / 2) f(v, u);
  };
  const auto leave = [&](int64_t y, int64_t x) {
    uint8_t& here = out[static_cast<size_t>(y * p.columns + x)];
    if (here) return;
    here = 1;
    grown.emplace_back(y, x);
  };
  for (int64_t y = 0; y < p.rows; ++y)
    for (int64_t x = 0; x < p.columns; ++x) {
      if (!(p.at(y, x) > threshold)) continue;
      bool alone = true;
      for_neighbours(y, x, [&](int64_t, int64_t) { alone = false; });
      if (!alone) leave(y, x);
    }
  while (!grown.empty()) {
    const auto [y, x] = grown.back();
    grown.pop_back();
    for_neighbours(y, x, leave);
  }
  return out;
}

}  // namespace

int64_t patch_side(int64_t height, int64_t width) {
  const double diagonal = std::hypot(static_cast<double>(height), static_cast<double>(width));
  return std::clamp<int64_t>(std::llround(diagonal / 48), 4, 16);
}

at::Tensor believed(const at::Tensor& rendered, const at::Tensor& truth, const at::Tensor& mask,
                    const RobustRule& rule) {
  const int64_t height = rendered.size(0), width = rendered.size(1);
  const at::Tensor picture = rendered.detach().contiguous(), photo = truth.contiguous();
  at::Tensor weights = mask.defined() ? mask.clone() : at::ones({height, width}, picture.options());
  const float* from = picture.const_data_ptr<float>();
  const float* counts = mask.defined() ? weights.const_data_ptr<float>() : nullptr;
  const Patches patches =
      photo.scalar_type() == at::kByte
          ? patches_of(from, photo.const_data_ptr<uint8_t>(), 1.0 / 255, counts, height, width)
          : patches_of(from, photo.const_data_ptr<float>(), 1.0, counts, height, width);
  const std::vector<uint8_t> out = left_out(patches, rule);
  float* w = weights.mutable_data_ptr<float>();
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      if (out[static_cast<size_t>(y / patches.side * patches.columns + x / patches.side)])
        w[y * width + x] = 0;
  return weights;
}

}  // namespace covary::fit
