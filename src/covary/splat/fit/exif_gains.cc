#include "covary/splat/fit/exif_gains.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace covary::fit {
namespace {

constexpr double kCoding = 2.2;   // coded = linear^(1 / kCoding)
constexpr double kMostStops = 4;  // more is no one scene's doing: a lens cap, a clock set wrong
constexpr double kSame = 1e-3;    // stops: cameras round what they write

}  // namespace

std::vector<double> exif_gains(const scene::Capture& capture) {
  std::vector<std::optional<double>> stops;
  double sum = 0, least = 0, most = 0;
  int64_t known = 0;
  for (const int64_t i : capture.train) {
    const std::optional<double>& s = capture.views[static_cast<size_t>(i)].log2_exposure;
    stops.push_back(s);
    if (!s) continue;
    least = known == 0 ? *s : std::min(least, *s);
    most = known == 0 ? *s : std::max(most, *s);
    sum += *s;
    ++known;
  }
  if (known < 2 || most - least < kSame) return {};
  const double mean = sum / static_cast<double>(known);
  std::vector<double> gains;
  double total = 0;
  for (const auto& s : stops) {
    gains.push_back(
        std::exp2(std::clamp(s.value_or(mean) - mean, -kMostStops, kMostStops) / kCoding));
    total += gains.back();
  }
  for (double& g : gains) g *= static_cast<double>(gains.size()) / total;
  return gains;
}

}  // namespace covary::fit
