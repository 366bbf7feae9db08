#include "covary/splat/fit/resolution_options.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "covary/core/base/error.h"

namespace covary::fit {
namespace {

constexpr double kMostDivision = 64, kMostViews = 1024;

[[noreturn]] void refuse(const std::string& what) {
  throw Error(
      ExitCode::kUsage, what, "resolution_schedule",
      "write full, or DIVISION:UNTIL,... as in 4:0.1,2:0.4; views a step may follow: 4:0.1:24");
}

double number(std::string_view text) {
  double value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size())
    refuse("'" + std::string(text) + "' is no number");
  return value;
}

}  // namespace

std::vector<ResolutionLevel> resolution_levels(const std::string& schedule) {
  std::vector<ResolutionLevel> levels;
  if (schedule == "full") return levels;
  std::string_view rest = schedule;
  for (bool more = true; more;) {
    const size_t comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    more = comma != std::string_view::npos;
    if (more) rest.remove_prefix(comma + 1);
    const size_t colon = part.find(':');
    if (colon == std::string_view::npos) refuse("'" + std::string(part) + "' has no colon");
    const std::string_view behind = part.substr(colon + 1);
    const size_t second = behind.find(':');
    ResolutionLevel level{.division = number(part.substr(0, colon)),
                          .until = number(behind.substr(0, second))};
    if (second != std::string_view::npos) {
      const double n = number(behind.substr(second + 1));
      if (!(n >= 1 && n <= kMostViews && n == std::floor(n)))
        refuse("views a step are no whole number in 1..1024");
      level.views = static_cast<int64_t>(n);
    }
    if (!(level.division >= 1 && level.division <= kMostDivision))
      refuse("a division is not in 1..64");
    if (!(level.until > 0 && level.until <= 1)) refuse("a share of the steps is not in (0, 1]");
    if (!levels.empty() &&
        (level.division >= levels.back().division || level.until <= levels.back().until))
      refuse("divisions must fall and shares rise");
    levels.push_back(level);
  }
  return levels;
}

double division_at(const std::vector<ResolutionLevel>& levels, int64_t step, int64_t steps) {
  for (const ResolutionLevel& level : levels)
    if (static_cast<double>(step) <= level.until * static_cast<double>(steps))
      return level.division;
  return 1;
}

int64_t views_before(const std::vector<ResolutionLevel>& levels, int64_t views, int64_t step,
                     int64_t steps) {
  int64_t done = 0, drawn = 0;  // steps, and views of them
  for (const ResolutionLevel& level : levels) {
    const auto last = static_cast<int64_t>(level.until * static_cast<double>(steps));
    const int64_t here = std::clamp<int64_t>(step - 1 - done, 0, last - done);
    drawn += here * (level.views > 0 ? level.views : views);
    done = last;
  }
  return drawn + std::max<int64_t>(0, step - 1 - done) * views;
}

}  // namespace covary::fit
