// The resize filters of image.h. Area and Lanczos are separable: both are lists of input taps and
// weights for each output column and row.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/data/image.h"

namespace covary::data {
namespace {

// Taps of one axis: output i reads inputs first[i] .. first[i] + count(i) - 1 with weights that sum
// to 1.
struct Taps {
  std::vector<int> first;
  std::vector<size_t> start;  // of output i in weights; one more at the end
  std::vector<float> weights;
};

void check(const Image8& image, int width, int height) {
  const bool known = image.channels == 1 || image.channels == 3 || image.channels == 4;
  if (image.empty() || !known || width < 1 || height < 1)
    throw Error(ExitCode::kFailed, "cannot resize " + std::to_string(image.width) + " x " +
                                       std::to_string(image.height) + " to " +
                                       std::to_string(width) + " x " + std::to_string(height) +
                                       " pixels");
}

template <class Weight>
Taps make_taps(int in, int out, double reach, Weight&& weight) {
  Taps taps;
  taps.start.push_back(0);
  for (int i = 0; i < out; ++i) {
    const double centre = (i + 0.5) * in / out;
    int first = std::clamp(static_cast<int>(std::floor(centre - reach)), 0, in - 1);
    const int last = std::clamp(static_cast<int>(std::ceil(centre + reach)) - 1, first, in - 1);
    double sum = 0;
    std::vector<double> w;
    for (int j = first; j <= last; ++j) {
      w.push_back(weight(i, j, centre));
      sum += w.back();
    }
    while (w.size() > 1 && w.front() == 0) {
      w.erase(w.begin());
      ++first;
    }
    taps.first.push_back(first);
    for (const double v : w) taps.weights.push_back(static_cast<float>(v / sum));
    taps.start.push_back(taps.weights.size());
  }
  return taps;
}

// Share of input pixel j that output i covers.
Taps area_taps(int in, int out) {
  const double ratio = static_cast<double>(in) / out;
  return make_taps(in, out, std::max(0.5, ratio / 2) + 1e-9, [&](int i, int j, double) {
    const double overlap =
        std::min<double>(j + 1, (i + 1) * ratio) - std::max<double>(j, i * ratio);
    return overlap > 1e-9 ? overlap : 0.0;
  });
}

Taps lanczos_taps(int in, int out) {
  const double stretch = std::max(1.0, static_cast<double>(in) / out);
  return make_taps(in, out, 3 * stretch, [&](int, int j, double centre) {
    const double x = std::abs(j + 0.5 - centre) / stretch;
    if (x < 1e-12) return 1.0;
    if (x >= 3) return 0.0;
    const double t = std::numbers::pi * x;
    return 3 * std::sin(t) * std::sin(t / 3) / (t * t);
  });
}

// Horizontal pass of one row to floats; with four channels colours leave premultiplied by alpha.
template <int kChannels>
void shrink_row_of(const uint8_t* row, const Taps& taps, float* out) {
  for (size_t i = 0; i < taps.first.size(); ++i) {
    float sum[kChannels] = {};
    const uint8_t* p = row + static_cast<size_t>(taps.first[i]) * kChannels;
    for (size_t k = taps.start[i]; k < taps.start[i + 1]; ++k, p += kChannels) {
      float w = taps.weights[k];
      if constexpr (kChannels == 4) sum[3] += w *= static_cast<float>(p[3]);
      for (int c = 0; c < std::min(kChannels, 3); ++c) sum[c] += w * static_cast<float>(p[c]);
    }
    for (int c = 0; c < kChannels; ++c) *out++ = sum[c];
  }
}

void shrink_row(const uint8_t* row, int channels, const Taps& taps, float* out) {
  if (channels == 1) shrink_row_of<1>(row, taps, out);
  if (channels == 3) shrink_row_of<3>(row, taps, out);
  if (channels == 4) shrink_row_of<4>(row, taps, out);
}

uint8_t to_byte(float v) { return static_cast<uint8_t>(std::clamp(v + 0.5f, 0.0f, 255.0f)); }

Image8 resample(const Image8& image, const Taps& columns, const Taps& rows) {
  const int width = static_cast<int>(columns.first.size()),
            height = static_cast<int>(rows.first.size());
  const int channels = image.channels;
  Image8 out(height, width, channels);
  const size_t row_size = static_cast<size_t>(width) * channels;
  size_t most = 0;  // rows that an output row reads
  for (int y = 0; y < height; ++y) most = std::max(most, rows.start[y + 1] - rows.start[y]);
  // No float picture is held: shrunk rows stay in a ring as long as the following output rows may
  // read them.
  parallel_for(height, 16, [&](int64_t begin, int64_t end) {
    std::vector<float> ring(most * row_size), sum(row_size);
    std::vector<int> held(most, -1);
    for (int64_t y = begin; y < end; ++y) {
      std::fill(sum.begin(), sum.end(), 0.0f);
      for (size_t k = rows.start[y]; k < rows.start[y + 1]; ++k) {
        const int from = rows.first[y] + static_cast<int>(k - rows.start[y]);
        const size_t slot = static_cast<size_t>(from) % most;
        float* line = ring.data() + slot * row_size;
        if (held[slot] != from) shrink_row(image.at(from, 0), channels, columns, line);
        held[slot] = from;
        const float w = rows.weights[k];
        for (size_t i = 0; i < row_size; ++i) sum[i] += w * line[i];
      }
      uint8_t* to = out.at(static_cast<int>(y), 0);
      if (channels == 4) {
        for (size_t i = 0; i < row_size; i += 4) {
          const float a = sum[i + 3];
          for (int c = 0; c < 3; ++c) to[i + c] = a > 1e-3f ? to_byte(sum[i + c] / a) : uint8_t{0};
          to[i + 3] = to_byte(a);
        }
      } else {
        for (size_t i = 0; i < row_size; ++i) to[i] = to_byte(sum[i]);
      }
    }
  });
  return out;
}

}  // namespace

Image8 resize_area(const Image8& image, int width, int height) {
  check(image, width, height);
  if (width == image.width && height == image.height) return image;
  return resample(image, area_taps(image.width, width), area_taps(image.height, height));
}

Image8 resize_lanczos(const Image8& image, int width, int height) {
  check(image, width, height);
  if (width == image.width && height == image.height) return image;
  return resample(image, lanczos_taps(image.width, width), lanczos_taps(image.height, height));
}

template <class T>
ImageOf<T> resize_nearest(const ImageOf<T>& image, int width, int height) {
  if (image.empty() || width < 1 || height < 1)
    throw Error(ExitCode::kFailed, "cannot resize to or from an empty picture");
  ImageOf<T> out(height, width, image.channels);
  const auto source = [](int i, int in, int n) {
    return std::min(in - 1, static_cast<int>((i + 0.5) * in / n));
  };
  for (int y = 0; y < height; ++y) {
    const int sy = source(y, image.height, height);
    for (int x = 0; x < width; ++x) {
      const T* p = image.at(sy, source(x, image.width, width));
      std::copy(p, p + image.channels, out.at(y, x));
    }
  }
  return out;
}
template ImageOf<uint8_t> resize_nearest(const ImageOf<uint8_t>&, int, int);
template ImageOf<uint16_t> resize_nearest(const ImageOf<uint16_t>&, int, int);
template ImageOf<float> resize_nearest(const ImageOf<float>&, int, int);

}  // namespace covary::data
