#include "covary/stat/process/box_decomposition.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "covary/core/base/error.h"
#include "covary/stat/process/hypervolume.h"
#include "covary/stat/process/staircase.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr size_t kMostBoxes = 1'000'000;
constexpr size_t kMostNumbers = 32'000'000;  // of their definers

// Sides as numbers: a row of lower and one of upper ones a box.
struct Sides {
  std::vector<double> lower, upper;  // [boxes, m]
  void add(std::initializer_list<double> low, std::initializer_list<double> high) {
    lower.insert(lower.end(), low);
    upper.insert(upper.end(), high);
  }
};

// Rows by their last objective.
std::vector<double> by_last(std::span<const double> front, size_t m, bool rising) {
  std::vector<const double*> rows;
  for (size_t i = 0; i < front.size(); i += m) rows.push_back(front.data() + i);
  std::sort(rows.begin(), rows.end(), [&](const double* a, const double* b) {
    return rising ? a[m - 1] < b[m - 1] : a[m - 1] > b[m - 1];
  });
  std::vector<double> out;
  for (const double* r : rows) out.insert(out.end(), r, r + m);
  return out;
}

Sides sides_of_two(std::span<const double> front, std::span<const double> reference) {
  Staircase stairs(reference[0], reference[1]);
  for (size_t i = 0; i < front.size(); i += 2) {
    stairs.add(front[i], front[i + 1], [](double, double, double) {});
  }
  Sides sides;
  const auto& strips = stairs.strips();
  for (size_t i = 0; i < strips.size(); ++i) {
    const double end = i + 1 < strips.size() ? strips[i + 1].begin : kInfinity;
    sides.add({strips[i].begin, strips[i].floor}, {end, kInfinity});
  }
  return sides;
}

// From the top of the third objective down: the strips of the first two are boxes that reach from
// the top to the reference until a point cuts their lower part off above its own height.
Sides sides_of_three(std::span<const double> front, std::span<const double> reference) {
  const std::vector<double> points = by_last(front, 3, false);
  Staircase stairs(reference[0], reference[1]);
  Sides sides;
  for (size_t i = 0; i < points.size(); i += 3) {
    const double second = points[i + 1], third = points[i + 2];
    stairs.add(points[i], second, [&](double begin, double end, double floor) {
      sides.add({begin, floor, third}, {end, second, kInfinity});
    });
  }
  const auto& strips = stairs.strips();
  for (size_t i = 0; i < strips.size(); ++i) {
    const double end = i + 1 < strips.size() ? strips[i + 1].begin : kInfinity;
    sides.add({strips[i].begin, strips[i].floor, reference[2]}, {end, kInfinity, kInfinity});
  }
  return sides;
}

// Local upper bounds u of points z to be minimised below a corner: the y < corner that no point
// dominates weakly are those with y < u for some u. Row j of a bound's definers is the point that
// sets its coordinate j.
struct LocalBounds {
  std::vector<double> u;         // [bounds, m]
  std::vector<double> definers;  // [bounds, m, m]
};

LocalBounds local_upper_bounds(std::span<const double> points, std::span<const double> corner) {
  const size_t m = corner.size();
  LocalBounds now{{corner.begin(), corner.end()}, std::vector<double>(m * m, -kInfinity)};
  for (size_t j = 0; j < m; ++j) now.definers[j * m + j] = corner[j];
  std::vector<double> fresh_u, fresh_definers;
  for (size_t p = 0; p < points.size(); p += m) {
    const double* z = points.data() + p;
    fresh_u.clear();
    fresh_definers.clear();
    size_t kept = 0;
    const size_t bounds = now.u.size() / m;
    for (size_t k = 0; k < bounds; ++k) {
      const double* u = now.u.data() + k * m;
      const double* definers = now.definers.data() + k * m * m;
      size_t j = 0;
      while (j < m && z[j] < u[j]) ++j;
      if (j < m) {  // z lies outside: the bound stays
        if (kept != k) {
          std::copy_n(u, m, now.u.data() + kept * m);
          std::copy_n(definers, m * m, now.definers.data() + kept * m * m);
        }
        ++kept;
        continue;
      }
      for (j = 0; j < m; ++j) {
        double highest = -kInfinity;  // coordinate j of the points that define the other ones
        for (size_t i = 0; i < m; ++i) {
          if (i != j) highest = std::max(highest, definers[i * m + j]);
        }
        if (z[j] < highest) continue;  // the bound would be redundant
        fresh_u.insert(fresh_u.end(), u, u + m);
        fresh_u[fresh_u.size() - m + j] = z[j];
        fresh_definers.insert(fresh_definers.end(), definers, definers + m * m);
        std::copy_n(z, m, fresh_definers.end() - static_cast<std::ptrdiff_t>((m - j) * m));
      }
    }
    now.u.resize(kept * m);
    now.definers.resize(kept * m * m);
    now.u.insert(now.u.end(), fresh_u.begin(), fresh_u.end());
    now.definers.insert(now.definers.end(), fresh_definers.begin(), fresh_definers.end());
    if (now.u.size() / m > kMostBoxes || now.definers.size() > kMostNumbers) {
      throw Error(ExitCode::kFailed, "too many boxes are needed", "box decomposition",
                  "scalarise the objectives, or keep fewer points");
    }
  }
  return now;
}

std::vector<double> negated(std::vector<double> values) {
  for (double& v : values) v = -v;
  return values;
}

// The open region is the union of the corners {y > v} over the negated local bounds v of the
// negated points; their own local bounds cut that union into boxes.
Sides sides_of_many(std::span<const double> front, std::span<const double> reference) {
  const size_t m = reference.size();
  // Any order is right; from the bottom of the last objective upwards gives the fewest boxes, a third
  // less than downwards.
  const std::vector<double> points = by_last(front, m, true);
  const std::vector<double> corners =
      negated(local_upper_bounds(negated(points), negated({reference.begin(), reference.end()})).u);
  const std::vector<double> rising = by_last(corners, m, true);
  const LocalBounds bounds = local_upper_bounds(rising, std::vector<double>(m, kInfinity));
  Sides sides;
  std::vector<double> low(m), high(m);
  for (size_t k = 0; k < bounds.u.size() / m; ++k) {
    const double* definers = bounds.definers.data() + k * m * m;
    bool empty = false;
    for (size_t j = 0; j < m; ++j) {
      low[j] = definers[j];  // of the first definer
      for (size_t i = 1; i < j; ++i) low[j] = std::max(low[j], definers[i * m + j]);
      high[j] = j == 0 ? kInfinity : bounds.u[k * m + j];
      empty = empty || !(low[j] < high[j]);
    }
    if (empty) continue;
    sides.lower.insert(sides.lower.end(), low.begin(), low.end());
    sides.upper.insert(sides.upper.end(), high.begin(), high.end());
  }
  return sides;
}

}  // namespace

BoxDecomposition::BoxDecomposition(std::span<const double> points,
                                   std::span<const double> reference)
    : reference_(reference.begin(), reference.end()), front_(front_above(points, reference)) {
  const size_t m = reference.size();
  Sides sides;
  if (m == 1) {
    sides.add({front_.empty() ? reference[0] : front_[0]}, {kInfinity});
  } else if (m == 2) {
    sides = sides_of_two(front_, reference);
  } else if (m == 3) {
    sides = sides_of_three(front_, reference);
  } else {
    sides = sides_of_many(front_, reference);
  }
  size_ = static_cast<int64_t>(sides.lower.size() / m);
  levels_.resize(m);
  lower_.resize(m);
  upper_.resize(m);
  for (size_t j = 0; j < m; ++j) {
    std::vector<double>& levels = levels_[j];
    levels = {reference[j], kInfinity};
    for (size_t i = j; i < front_.size(); i += m) levels.push_back(front_[i]);
    std::sort(levels.begin(), levels.end());
    levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
    const auto index = [&](double side) {
      return static_cast<int32_t>(std::lower_bound(levels.begin(), levels.end(), side) -
                                  levels.begin());
    };
    for (size_t i = j; i < sides.lower.size(); i += m) {
      lower_[j].push_back(index(sides.lower[i]));
      upper_[j].push_back(index(sides.upper[i]));
    }
  }
}

double BoxDecomposition::improvement(std::span<const double> point) const {
  const size_t m = reference_.size();
  if (point.size() != m) {
    throw Error(
        ExitCode::kUsage,
        "a point has " + std::to_string(m) + " objectives, not " + std::to_string(point.size()),
        "box decomposition");
  }
  for (const double v : point) {
    if (!std::isfinite(v)) {
      throw Error(ExitCode::kData, "an objective is not a finite number", "box decomposition");
    }
  }
  double gain = 0;
  for (size_t k = 0; k < static_cast<size_t>(size_); ++k) {
    double volume = 1;
    for (size_t j = 0; j < m; ++j) {
      const double low = levels_[j][static_cast<size_t>(lower_[j][k])],
                   high = levels_[j][static_cast<size_t>(upper_[j][k])];
      volume *= std::max(0.0, std::min(point[j], high) - low);
    }
    gain += volume;
  }
  if (!std::isfinite(gain)) {
    throw Error(ExitCode::kData, "the gain is larger than a double holds", "box decomposition",
                "scale the objectives");
  }
  return gain;
}

}  // namespace covary::stat
