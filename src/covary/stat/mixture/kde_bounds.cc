#include "covary/stat/mixture/kde_bounds.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "covary/core/base/error.h"

namespace covary::mixture {
namespace {

constexpr int64_t kMostImages = 4096;

struct Bound {
  size_t column;
  std::string range;
  Interval interval;
};

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ExitCode::kUsage, what, "bounds", "write --bounds a=0:,b=0:1");
}

std::vector<Bound> bounds_of(const std::string& text, const std::vector<std::string>& names) {
  std::vector<Bound> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, end - at);
    at = end + 1;
    const size_t equals = part.rfind('='), colon = part.rfind(':');
    if (equals == std::string::npos || colon == std::string::npos || colon < equals)
      refuse("'" + part + "' is not COLUMN=LOW:HIGH");
    const std::string name = part.substr(0, equals);
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) refuse("there is no column '" + name + "'");
    Bound b{static_cast<size_t>(found - names.begin()), part.substr(equals + 1), {}};
    const auto value = [&](const std::string& word, double none) {
      if (word.empty()) return none;
      char* rest = nullptr;
      const double v = std::strtod(word.c_str(), &rest);
      if (*rest != 0 || !std::isfinite(v)) refuse("'" + word + "' is no number");
      return v;
    };
    b.interval.low = value(part.substr(equals + 1, colon - equals - 1), b.interval.low);
    b.interval.high = value(part.substr(colon + 1), b.interval.high);
    if (!(b.interval.low < b.interval.high)) refuse("'" + b.range + "' has no inside");
    out.push_back(b);
  }
  return out;
}

}  // namespace

bool Interval::open() const { return std::isinf(low) && std::isinf(high); }

double Interval::folded(double v) const {
  if (holds(v)) return v;
  if (std::isinf(high)) return 2 * low - v;
  if (std::isinf(low)) return 2 * high - v;
  const double length = high - low;
  double along = std::fmod(v - low, 2 * length);
  if (along < 0) along += 2 * length;
  if (along > length) along = 2 * length - along;
  return std::clamp(low + along, low, high);
}

std::vector<Interval> parse_bounds(const std::string& text, const std::vector<std::string>& names) {
  if (text.empty()) return {};
  std::vector<Interval> out(names.size());
  for (const Bound& b : bounds_of(text, names)) out[b.column] = b.interval;
  return out;
}

std::string numbered_bounds(const std::string& text, const std::vector<std::string>& names) {
  std::string out;
  for (const Bound& b : bounds_of(text, names))
    out += (out.empty() ? "" : ",") + std::to_string(b.column) + "=" + b.range;
  return out;
}

std::vector<Image> images_of(const Interval& interval, double reach) {
  std::vector<Image> out{{}};
  const double low = interval.low, high = interval.high;
  if (std::isinf(high)) {
    if (std::isfinite(low)) out.push_back({-1, 2 * low});
    return out;
  }
  if (std::isinf(low)) {
    out.push_back({-1, 2 * high});
    return out;
  }
  const double length = high - low, most = std::ceil(reach / length) + 1;
  if (!(most < kMostImages))
    throw Error(ExitCode::kUsage, "the widths are too large for so short an interval", "bounds",
                "take a smaller --bandwidth, or leave the bounds out");
  for (int64_t m = -static_cast<int64_t>(most); m <= static_cast<int64_t>(most); ++m) {
    const double step = 2 * static_cast<double>(m) * length;
    // Distances of the images of the whole interval to it.
    if (m != 0 && std::abs(step) - length < reach) out.push_back({1, step});
    if (std::max(0.0, std::abs(step - length) - length) < reach)
      out.push_back({-1, 2 * low + step});
  }
  return out;
}

}  // namespace covary::mixture
