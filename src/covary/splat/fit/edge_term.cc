#include "covary/splat/fit/edge_term.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/threads.h"

namespace covary::fit {
namespace {

constexpr double kFraction = 0.2;        // of the picture's sides
constexpr int64_t kLeastSide = 16;       // px, of the small picture
constexpr double kLeastContrast = 1e-5;  // below it the difference is rounding

// One channel, row by row.
template <class T>
struct Grey {
  int64_t height = 0, width = 0;
  std::vector<T> values;
  Grey(int64_t h, int64_t w) : height(h), width(w), values(static_cast<size_t>(h * w)) {}
  T* row(int64_t y) { return values.data() + y * width; }
  const T* row(int64_t y) const { return values.data() + y * width; }
};

template <class T>
Grey<T> resized(const Grey<T>& in, int64_t height, int64_t width) {
  struct Place {
    int64_t low, high;
    T part;
  };
  const auto places = [](int64_t from, int64_t to) {
    std::vector<Place> out;
    for (int64_t i = 0; i < to; ++i) {
      const double at = std::clamp(
          (static_cast<double>(i) + 0.5) * static_cast<double>(from) / static_cast<double>(to) -
              0.5,
          0.0, static_cast<double>(from - 1));
      const auto low = static_cast<int64_t>(at);
      out.push_back(
          {low, std::min(low + 1, from - 1), static_cast<T>(at - static_cast<double>(low))});
    }
    return out;
  };
  const std::vector<Place> ys = places(in.height, height), xs = places(in.width, width);
  Grey<T> out(height, width);
  parallel_for(height, 16, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y) {
      const Place& v = ys[static_cast<size_t>(y)];
      const T *a = in.row(v.low), *b = in.row(v.high);
      T* to = out.row(y);
      for (int64_t x = 0; x < width; ++x) {
        const Place& u = xs[static_cast<size_t>(x)];
        const T above = a[u.low] + u.part * (a[u.high] - a[u.low]),
                below = b[u.low] + u.part * (b[u.high] - b[u.low]);
        to[x] = above + v.part * (below - above);
      }
    }
  });
  return out;
}

// Near the borders the mean of the pixels that there are, so that a bright picture's frame is no edge.
template <class T>
Grey<T> blurred(const Grey<T>& in, double sigma) {
  const auto reach = static_cast<int64_t>(std::lround(3 * sigma));
  std::vector<T> tap;
  for (int64_t k = -reach; k <= reach; ++k)
    tap.push_back(static_cast<T>(std::exp(-0.5 * static_cast<double>(k * k) / (sigma * sigma))));
  const auto mean_around = [&](int64_t i, int64_t count, const auto& value) {
    T sum = 0, weight = 0;
    for (int64_t k = std::max(-reach, -i); k <= std::min(reach, count - 1 - i); ++k) {
      sum += tap[static_cast<size_t>(k + reach)] * value(i + k);
      weight += tap[static_cast<size_t>(k + reach)];
    }
    return sum / weight;
  };
  Grey<T> across(in.height, in.width), out(in.height, in.width);
  parallel_for(in.height, 16, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y)
      for (int64_t x = 0; x < in.width; ++x)
        across.row(y)[x] = mean_around(x, in.width, [&](int64_t at) { return in.row(y)[at]; });
  });
  parallel_for(in.height, 16, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y)
      for (int64_t x = 0; x < in.width; ++x)
        out.row(y)[x] = mean_around(y, in.height, [&](int64_t at) { return across.row(at)[x]; });
  });
  return out;
}

template <class T>
at::Tensor mask_of(const at::Tensor& image, double progress) {
  const int64_t h = image.size(0), w = image.size(1);
  const auto small_h = static_cast<int64_t>(std::lround(kFraction * static_cast<double>(h))),
             small_w = static_cast<int64_t>(std::lround(kFraction * static_cast<double>(w)));
  if (std::min(small_h, small_w) < kLeastSide) return {};
  Grey<T> grey(h, w);
  const T* p = image.const_data_ptr<T>();
  for (int64_t i = 0; i < h * w; ++i)
    grey.values[static_cast<size_t>(i)] = (p[3 * i] + p[3 * i + 1] + p[3 * i + 2]) / 3;
  const Grey<T> small = resized(grey, small_h, small_w);
  const double sigma = 0.1 + std::min(progress, 100 - progress) / 10;
  Grey<T> band = blurred(small, sigma);
  const Grey<T> wide = blurred(small, 2 * sigma);
  for (size_t i = 0; i < band.values.size(); ++i) band.values[i] -= wide.values[i];
  band = resized(band, h, w);
  const auto [least, most] = std::minmax_element(band.values.begin(), band.values.end());
  const T low = *least, range = *most - *least;
  if (!(range >= static_cast<T>(kLeastContrast))) return {};
  at::Tensor mask = at::empty({h, w}, image.options());
  T* to = mask.data_ptr<T>();
  for (int64_t i = 0; i < h * w; ++i) {
    T value = (band.values[static_cast<size_t>(i)] - low) / range;
    if (progress < 50) value = 1 - value;
    to[i] = value >= T(0.5) ? T(1) : T(0);
  }
  return mask;
}

}  // namespace

at::Tensor edge_mask(const at::Tensor& image, double progress) {
  const at::Tensor whole = image.detach().contiguous();
  const double f = std::clamp(progress, 0.0, 100.0);
  return whole.scalar_type() == at::kDouble ? mask_of<double>(whole, f) : mask_of<float>(whole, f);
}

LossTerm edge_term(double weight, const std::string& from) {
  return {.name = "edges", .weight = nn::constant(weight), .value = [from](const LossContext& c) {
            const at::Tensor render = c.rendered.color.squeeze(0);
            const at::Tensor truth = c.target.image.scalar_type() == at::kByte
                                         ? c.target.image.to(at::kFloat) / 255
                                         : c.target.image;
            const double progress = 100 * static_cast<double>(c.step) /
                                    static_cast<double>(std::max<int64_t>(1, c.steps));
            const at::Tensor mask = edge_mask(from == "render" ? render : truth, progress);
            if (!mask.defined()) return TermValue{at::zeros({}, at::kFloat)};
            at::Tensor weights = mask - 1;
            double share = 1;  // of the pixels that count
            if (c.target.mask.defined()) {
              weights = weights * c.target.mask;
              share = ordered_mean(c.target.mask).item<double>();
              if (share == 0) return TermValue{at::zeros({}, at::kFloat)};
            }
            return TermValue{ordered_mean((render - truth).abs() * weights.unsqueeze(2)) / share};
          }};
}

}  // namespace covary::fit
