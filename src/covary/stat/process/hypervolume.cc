#include "covary/stat/process/hypervolume.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "covary/core/base/error.h"
#include "covary/stat/process/staircase.h"

namespace covary::stat {
namespace {

// Rows of points; throws when there is no whole number of them or a value is not finite.
size_t rows_of(std::span<const double> points, size_t objectives) {
  if (objectives == 0) {
    throw Error(ExitCode::kUsage, "there must be at least one objective", "hypervolume");
  }
  if (points.size() % objectives != 0) {
    throw Error(ExitCode::kUsage,
                std::to_string(points.size()) + " values are no rows of " +
                    std::to_string(objectives) + " objectives",
                "hypervolume");
  }
  for (size_t i = 0; i < points.size(); ++i) {
    if (!std::isfinite(points[i])) {
      throw Error(ExitCode::kData,
                  "objective " + std::to_string(i % objectives) + " is not a finite number",
                  "point " + std::to_string(i / objectives), "leave failed evaluations out");
    }
  }
  return points.size() / objectives;
}

void check_reference(std::span<const double> reference) {
  for (const double r : reference) {
    if (!std::isfinite(r)) {
      throw Error(ExitCode::kUsage, "must be finite in every objective", "reference point");
    }
  }
}

// Volume of rows [n,m] above the reference, which all exceed it.
double volume_of(const double* y, size_t n, size_t m, const double* reference);

double volume_of_two(const double* y, size_t n, const double* reference) {
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return y[2 * a] > y[2 * b]; });
  double volume = 0, floor = reference[1];
  for (const size_t i : order) {
    if (y[2 * i + 1] <= floor) continue;
    volume += (y[2 * i] - reference[0]) * (y[2 * i + 1] - floor);
    floor = y[2 * i + 1];
  }
  return volume;
}

// order: rows, largest last objective first.
double volume_of_three(const double* y, const std::vector<size_t>& order, const double* reference) {
  Staircase stairs(reference[0], reference[1]);
  double volume = 0, area = 0;
  for (size_t k = 0; k < order.size(); ++k) {
    const double* p = y + 3 * order[k];
    stairs.add(p[0], p[1], [&](double begin, double end, double floor) {
      area += (end - begin) * (p[1] - floor);
    });
    const double next = k + 1 < order.size() ? y[3 * order[k + 1] + 2] : reference[2];
    volume += area * (p[2] - next);
  }
  return volume;
}

double volume_of(const double* y, size_t n, size_t m, const double* reference) {
  if (n == 0) return 0;
  if (m == 1) return *std::max_element(y, y + n) - reference[0];
  if (m == 2) return volume_of_two(y, n, reference);
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return y[a * m + m - 1] > y[b * m + m - 1]; });
  if (m == 3) return volume_of_three(y, order, reference);
  // Slices between two values of the last objective: the rest of the points above, kept free of
  // dominated ones.
  std::vector<double> slice;
  double volume = 0, area = 0;
  for (size_t k = 0; k < n; ++k) {
    const double* p = y + order[k] * m;
    const size_t width = m - 1;
    const auto dominates = [&](const double* a, const double* b) {
      for (size_t j = 0; j < width; ++j) {
        if (a[j] < b[j]) return false;
      }
      return true;
    };
    bool fresh = true;
    for (size_t i = 0; i < slice.size() && fresh; i += width) fresh = !dominates(&slice[i], p);
    if (fresh) {
      size_t kept = 0;
      for (size_t i = 0; i < slice.size(); i += width) {
        if (dominates(p, &slice[i])) continue;
        std::copy_n(slice.begin() + static_cast<std::ptrdiff_t>(i), width,
                    slice.begin() + static_cast<std::ptrdiff_t>(kept));
        kept += width;
      }
      slice.resize(kept);
      slice.insert(slice.end(), p, p + width);
      area = volume_of(slice.data(), slice.size() / width, width, reference);
    }
    const double next = k + 1 < n ? y[order[k + 1] * m + m - 1] : reference[m - 1];
    volume += area * (p[m - 1] - next);
  }
  return volume;
}

}  // namespace

std::vector<int64_t> non_dominated(std::span<const double> points, int64_t objectives) {
  const size_t m = objectives > 0 ? static_cast<size_t>(objectives) : 0, n = rows_of(points, m);
  const auto row = [&](size_t i) { return points.data() + i * m; };
  // Largest first, so that a row is dominated by earlier ones alone; equal rows by their number.
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    for (size_t j = 0; j < m; ++j) {
      if (row(a)[j] != row(b)[j]) return row(a)[j] > row(b)[j];
    }
    return a < b;
  });
  std::vector<int64_t> kept;
  const double low = -std::numeric_limits<double>::infinity();
  Staircase stairs(low, low);  // of objectives 2 and 3, when these are the last
  double best = low;           // of the last objective, when it is the second
  for (const size_t i : order) {
    const double* p = row(i);
    bool fresh = false;
    if (m == 1) {
      fresh = kept.empty();
    } else if (m == 2) {
      fresh = p[1] > best;
      best = std::max(best, p[1]);
    } else if (m == 3) {
      stairs.add(p[1], p[2], [&](double, double, double) { fresh = true; });
    } else {
      fresh = std::none_of(kept.begin(), kept.end(), [&](int64_t k) {
        const double* q = row(static_cast<size_t>(k));
        size_t j = 1;
        while (j < m && q[j] >= p[j]) ++j;
        return j == m;
      });
    }
    if (fresh) kept.push_back(static_cast<int64_t>(i));
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

double hypervolume(std::span<const double> points, std::span<const double> reference) {
  const std::vector<double> front = front_above(points, reference);
  const double volume =
      volume_of(front.data(), front.size() / reference.size(), reference.size(), reference.data());
  if (!std::isfinite(volume)) {
    throw Error(ExitCode::kData, "the volume is larger than a double holds", "hypervolume",
                "scale the objectives");
  }
  return volume;
}

std::vector<double> front_above(std::span<const double> points, std::span<const double> reference) {
  const size_t m = reference.size(), n = rows_of(points, m);
  check_reference(reference);
  std::vector<double> above;
  for (size_t i = 0; i < n; ++i) {
    const auto p = points.subspan(i * m, m);
    size_t j = 0;
    while (j < m && p[j] > reference[j]) ++j;
    if (j == m) above.insert(above.end(), p.begin(), p.end());
  }
  std::vector<double> front;
  for (const int64_t i : non_dominated(above, static_cast<int64_t>(m))) {
    const auto p = std::span(above).subspan(static_cast<size_t>(i) * m, m);
    front.insert(front.end(), p.begin(), p.end());
  }
  return front;
}

}  // namespace covary::stat
