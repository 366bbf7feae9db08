#include "covary/core/data/contour.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>

namespace covary::data {

std::vector<ContourLine> contour_lines(const std::vector<double>& values, int64_t rows,
                                       int64_t columns, double level) {
  const auto value = [&](int64_t i, int64_t j) {
    const double v = values[static_cast<size_t>(i * columns + j)];
    return std::isfinite(v) ? v : -std::numeric_limits<double>::infinity();
  };
  // An edge is named by its lower or left end: 2 (i columns + j) along the row, one more upwards.
  const auto along = [&](int64_t i, int64_t j) { return 2 * (i * columns + j); };
  const auto upwards = [&](int64_t i, int64_t j) { return 2 * (i * columns + j) + 1; };
  std::map<int64_t, std::vector<int64_t>> next;  // edges that a piece of line joins
  for (int64_t i = 0; i + 1 < rows; ++i) {
    for (int64_t j = 0; j + 1 < columns; ++j) {
      const double corners[] = {value(i, j), value(i, j + 1), value(i + 1, j + 1), value(i + 1, j)};
      const int64_t edges[] = {along(i, j), upwards(i, j + 1), along(i + 1, j), upwards(i, j)};
      std::vector<int64_t> crossed;
      for (size_t e = 0; e < 4; ++e)
        if ((corners[e] > level) != (corners[(e + 1) % 4] > level)) crossed.push_back(edges[e]);
      if (crossed.size() == 4) {
        const double middle = 0.25 * (corners[0] + corners[1] + corners[2] + corners[3]);
        // Edges come round from the lower one, so that these pairs cut off corners 1 and 3; a corner
        // unlike the middle is what is to be cut off.
        if ((corners[0] > level) != (middle > level)) std::swap(crossed[1], crossed[3]);
      }
      for (size_t c = 0; c + 1 < crossed.size(); c += 2) {
        next[crossed[c]].push_back(crossed[c + 1]);
        next[crossed[c + 1]].push_back(crossed[c]);
      }
    }
  }
  const auto place = [&](int64_t edge, ContourLine& line) {
    const int64_t i = edge / 2 / columns, j = edge / 2 % columns, up = edge % 2;
    const double from = value(i, j), to = up ? value(i + 1, j) : value(i, j + 1);
    const double part =
        std::isfinite(from) && std::isfinite(to) ? (level - from) / (to - from) : 0.5;
    line.x.push_back(static_cast<double>(j) + (up ? 0 : part));
    line.y.push_back(static_cast<double>(i) + (up ? part : 0));
  };
  std::vector<ContourLine> out;
  for (const bool closed : {false, true}) {
    for (const auto& [start, ends] : next) {
      if (ends.empty() || (!closed && ends.size() != 1)) continue;
      ContourLine line;
      int64_t at = start;
      place(at, line);
      while (!next[at].empty()) {
        const int64_t to = next[at].back();
        next[at].pop_back();
        std::vector<int64_t>& back = next[to];
        back.erase(std::find(back.begin(), back.end(), at));
        at = to;
        place(at, line);
      }
      out.push_back(std::move(line));
    }
  }
  return out;
}

std::vector<double> region_levels(const std::vector<double>& values,
                                  const std::vector<double>& shares) {
  std::vector<double> ordered;
  for (const double v : values)
    if (std::isfinite(v) && v > 0) ordered.push_back(v);
  std::sort(ordered.begin(), ordered.end(), std::greater<>());
  double total = 0;
  for (const double v : ordered) total += v;
  std::vector<double> out;
  for (const double share : shares) {
    double sum = 0, level = 0;
    for (const double v : ordered) {
      level = v;
      if ((sum += v) >= share * total) break;
    }
    out.push_back(level);
  }
  return out;
}

}  // namespace covary::data
