// Test problems with several objectives and their fronts; see test_problems.h.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "covary/stat/process/test_problem_families.h"

namespace covary::stat::families {
namespace {

constexpr double kPi = std::numbers::pi;

// Bisection for the point of [low, high] where a falling function changes its sign.
template <class F>
double root_of_falling(double low, double high, F f) {
  for (int step = 0; step < 100; ++step) {
    const double middle = 0.5 * (low + high);
    (f(middle) > 0 ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

// The records of a curve phi on [0, 1]: the t with phi(t) > phi(s) for all s < t. The fronts of
// zdt3 and dtlz7 are such records, and their volumes integrals of the running maximum.
struct Records {
  std::vector<std::pair<double, double>> pieces;  // ascending
  double maximum = 0;                             // of phi
  double integral = 0;                            // of the running maximum over [0, 1]
};

// phi, its slope and its primitive. phi rises at 0; it turns at most a few times.
template <class F, class Slope, class Primitive>
Records records_of(F phi, Slope slope, Primitive primitive) {
  constexpr int kSteps = 4096;
  Records r;
  double begin = 0;  // of the piece; negative while phi is below its maximum
  double turn = 0, previous = 0;
  const auto end_piece = [&](double end) {
    r.pieces.emplace_back(begin, end);
    r.integral += primitive(end) - primitive(begin);
    r.maximum = phi(end);
    turn = end;
    begin = -1;
  };
  for (int i = 1; i <= kSteps; ++i) {
    const double t = static_cast<double>(i) / kSteps;
    if (begin >= 0 && slope(t) < 0) {
      end_piece(root_of_falling(previous, t, slope));
    } else if (begin < 0 && phi(t) > r.maximum) {
      begin = root_of_falling(previous, t, [&](double s) { return r.maximum - phi(s); });
      r.integral += r.maximum * (begin - turn);
    }
    previous = t;
  }
  if (begin >= 0) {
    end_piece(1);
  } else {
    r.integral += r.maximum * (1 - turn);
  }
  return r;
}

// count values of t, evenly over the pieces, their ends included.
std::vector<double> spread_over(const Records& r, int64_t count) {
  double total = 0;
  for (const auto& [begin, end] : r.pieces) total += end - begin;
  std::vector<double> t;
  int64_t left = count;
  for (const auto& [begin, end] : r.pieces) {
    const bool last = &begin == &r.pieces.back().first;
    const int64_t share =
        last ? left
             : std::min(left, static_cast<int64_t>(std::llround(static_cast<double>(count) *
                                                                (end - begin) / total)));
    for (int64_t i = 0; i < share; ++i) {
      // Not the begin itself: there the curve only equals the end of the piece before.
      const double u = share == 1 ? 0.5 : static_cast<double>(i) / static_cast<double>(share - 1);
      const double from = begin == 0 ? 0 : begin + 1e-9 * (end - begin);
      t.push_back(from + u * (end - from));
    }
    left -= share;
  }
  return t;
}

// All m shares of a whole in steps of 1 / steps, for the largest such lattice with at most count
// points: [points, m].
std::vector<double> simplex_lattice(int64_t m, int64_t count) {
  const auto points = [m](int64_t steps) {
    double n = 1;
    for (int64_t k = 1; k < m; ++k) n *= static_cast<double>(steps + k) / static_cast<double>(k);
    return n;
  };
  int64_t steps = 0;
  while (points(steps + 1) <= static_cast<double>(count) + 0.5) ++steps;
  std::vector<double> out;
  if (steps == 0) {  // fewer points than corners: the centre
    if (count > 0) out.assign(static_cast<size_t>(m), 1 / static_cast<double>(m));
    return out;
  }
  std::vector<int64_t> part(static_cast<size_t>(m), 0);
  part.back() = steps;
  while (true) {
    for (const int64_t k : part) out.push_back(static_cast<double>(k) / static_cast<double>(steps));
    // The next composition: the last part gives one to the part before its first non-empty one.
    size_t i = part.size() - 1;
    while (i > 0 && part[i] == 0) --i;
    if (i == 0) break;
    const int64_t rest = part[i] - 1;
    part[i] = 0;
    ++part[i - 1];
    part.back() = rest;
  }
  return out;
}

TestProblem several(TestProblem p, int64_t m, double reference, double hypervolume,
                    TestProblem::Formula formula,
                    std::function<std::vector<double>(int64_t)> front) {
  p.objectives = m;
  p.reference.assign(static_cast<size_t>(m), reference);
  p.hypervolume = hypervolume;
  p.formula = std::move(formula);
  p.front = std::move(front);
  return p;
}

// f_i = (1 + g) times the product of the first m - 1 - i `down` and the next `up`: a point on a
// sphere from its angles, or on a simplex from its shares.
template <class Down, class Up>
void descend(std::span<double> f, double scale, Down down, Up up) {
  const size_t m = f.size();
  double product = scale;
  for (size_t k = 0; k + 1 < m; ++k) {
    f[m - 1 - k] = product * up(k);
    product *= down(k);
  }
  f[0] = product;
}

double rugged_distance(std::span<const double> tail) {  // of dtlz1 and dtlz3
  double g = 0;
  for (const double v : tail) {
    const double s = std::sin(10 * kPi * (v - 0.5));
    g += (v - 0.5) * (v - 0.5) + 2 * s * s;  // 1 - cos 20 pi (v - 1/2) = 2 sin^2 10 pi (v - 1/2)
  }
  return 100 * g;
}

double smooth_distance(std::span<const double> tail) {  // of dtlz2 and dtlz5
  double g = 0;
  for (const double v : tail) g += (v - 0.5) * (v - 0.5);
  return g;
}

std::vector<double> sphere_front(int64_t m, int64_t count) {
  std::vector<double> points = simplex_lattice(m, count);
  for (size_t i = 0; i < points.size(); i += static_cast<size_t>(m)) {
    double norm = 0;
    for (int64_t j = 0; j < m; ++j) norm += points[i + j] * points[i + j];
    for (int64_t j = 0; j < m; ++j) points[i + j] /= std::sqrt(norm);
  }
  return points;
}

void sphere_point(std::span<const double> x, std::span<double> f, double g) {
  descend(
      f, 1 + g, [&](size_t k) { return std::cos(x[k] * kPi / 2); },
      [&](size_t k) { return std::sin(x[k] * kPi / 2); });
}

// r^m less the part of the unit ball where all coordinates are positive.
double above_sphere(int64_t m, double r) {
  const auto n = static_cast<double>(m);
  return std::pow(r, n) - std::pow(kPi / 4, n / 2) / std::tgamma(n / 2 + 1);
}

TestProblem dtlz1(int64_t d, int64_t m) {
  constexpr double r = 400;
  const double hole =
      std::pow(0.5, static_cast<double>(m)) / std::tgamma(static_cast<double>(m) + 1);
  return several(
      box_problem(d, 0, 1), m, r, std::pow(r, static_cast<double>(m)) - hole,
      [](std::span<const double> x, std::span<double> f, std::span<double>) {
        descend(
            f, 0.5 * (1 + rugged_distance(x.subspan(f.size() - 1))), [&](size_t k) { return x[k]; },
            [&](size_t k) { return 1 - x[k]; });
      },
      [m](int64_t count) {
        std::vector<double> points = simplex_lattice(m, count);
        for (double& v : points) v *= 0.5;
        return points;
      });
}

// The sphere again, with dtlz1's hills (dtlz3) or without (dtlz2).
TestProblem dtlz23(int64_t d, int64_t m, bool rugged) {
  const double r = rugged ? 10000 : 1.1;
  return several(
      box_problem(d, 0, 1), m, r, above_sphere(m, r),
      [rugged](std::span<const double> x, std::span<double> f, std::span<double>) {
        const auto tail = x.subspan(f.size() - 1);
        sphere_point(x, f, rugged ? rugged_distance(tail) : smooth_distance(tail));
      },
      [m](int64_t count) { return sphere_front(m, count); });
}

// Angles after the first shrink to pi / 4 on the front, which is a quarter of a circle. With 3
// objectives: f_1 = f_2 = cos / sqrt 2, f_3 = sin.
TestProblem dtlz5(int64_t d, int64_t m) {
  constexpr double r = 10;
  const double volume =
      m == 2 ? above_sphere(2, r) : r * r * r - r * kPi / (2 * std::numbers::sqrt2) + 1.0 / 3;
  return several(
      box_problem(d, 0, 1), m, r, volume,
      [](std::span<const double> x, std::span<double> f, std::span<double>) {
        const double g = smooth_distance(x.subspan(f.size() - 1));
        const auto angle = [&](size_t k) {
          return k == 0 ? x[0] * kPi / 2 : kPi / (4 * (1 + g)) * (1 + 2 * g * x[k]);
        };
        descend(
            f, 1 + g, [&](size_t k) { return std::cos(angle(k)); },
            [&](size_t k) { return std::sin(angle(k)); });
      },
      [m](int64_t count) {
        std::vector<double> points = sphere_front(2, count);
        if (m == 2) return points;
        std::vector<double> lifted;
        for (size_t i = 0; i < points.size(); i += 2) {
          const double c = points[i] / std::numbers::sqrt2;
          lifted.insert(lifted.end(), {c, c, points[i + 1]});
        }
        return lifted;
      });
}

// f_m = 2 m - sum phi(f_i) on the front, phi(t) = t (1 + sin 3 pi t), for all records f_i of phi.
// A corner y is dominated where y_m >= 2 m - sum of running maxima of phi up to y_i.
TestProblem dtlz7(int64_t d, int64_t m) {
  constexpr double r = 15;
  const Records records = records_of(
      [](double t) { return t * (1 + std::sin(3 * kPi * t)); },
      [](double t) { return 1 + std::sin(3 * kPi * t) + 3 * kPi * t * std::cos(3 * kPi * t); },
      [](double t) {
        const double a = 3 * kPi * t;
        return t * t / 2 + (std::sin(a) - a * std::cos(a)) / (9 * kPi * kPi);
      });
  const auto free = static_cast<double>(m - 1);  // objectives besides the last
  const double volume =
      std::pow(r, free) * (r - 2 * static_cast<double>(m)) +
      free * std::pow(r, free - 1) * (records.integral + (r - 1) * records.maximum);
  return several(
      box_problem(d, 0, 1), m, r, volume,
      [](std::span<const double> x, std::span<double> f, std::span<double>) {
        const size_t free = f.size() - 1;
        double sum = 0;
        for (const double v : x.subspan(free)) sum += v;
        const double scale = 2 + 9 / static_cast<double>(x.size() - free) * sum;  // 1 + g
        double h = static_cast<double>(f.size());
        for (size_t i = 0; i < free; ++i) {
          f[i] = x[i];
          h -= x[i] / scale * (1 + std::sin(3 * kPi * x[i]));
        }
        f[free] = scale * h;
      },
      [m, records](int64_t count) {
        std::vector<double> points;
        if (count < 1) return points;
        // A grid of side^(m - 1) points.
        int64_t side = 1;
        while (std::pow(static_cast<double>(side + 1), static_cast<double>(m - 1)) <=
               static_cast<double>(count) + 0.5) {
          ++side;
        }
        const std::vector<double> t = spread_over(records, side);
        std::vector<size_t> index(static_cast<size_t>(m - 1), 0);
        while (true) {
          double last = 2 * static_cast<double>(m);
          for (const size_t i : index) {
            points.push_back(t[i]);
            last -= t[i] * (1 + std::sin(3 * kPi * t[i]));
          }
          points.push_back(last);
          size_t i = 0;
          while (i < index.size() && ++index[i] == t.size()) index[i++] = 0;
          if (i == index.size()) return points;
        }
      });
}

// Currin's function with x = 0 in its second variable as the limit.
double currin_value(double u, double v) {
  const double factor = v > 0 ? -std::expm1(-1 / (2 * v)) : 1;
  return factor * (((2300 * u + 1900) * u + 2092) * u + 60) / (((100 * u + 500) * u + 4) * u + 20);
}

// The set of best trade-offs runs from (0, 1) along v = 1, then inside the square, where the
// gradients of both functions are parallel, to a minimum of branin: one v for each u.
double branin_currin_v(double u) {
  const double x = 15 * u - 5, curve = 5.1 / (4 * kPi * kPi);
  const auto determinant = [&](double v) {
    const double s = 15 * v - curve * x * x + 5 / kPi * x - 6;
    const double branin_u =
        15 * (2 * s * (5 / kPi - 2 * curve * x) - 10 * (1 - 1 / (8 * kPi)) * std::sin(x));
    const double n = ((2300 * u + 1900) * u + 2092) * u + 60,
                 d = ((100 * u + 500) * u + 4) * u + 20;
    const double slope =
        (((6900 * u + 3800) * u + 2092) * d - n * ((300 * u + 1000) * u + 4)) / (d * d);
    const double e = std::exp(-1 / (2 * v));
    return branin_u * -e / (2 * v * v) * n / d - 30 * s * slope * (1 - e);
  };
  return determinant(1) > 0 ? 1 : root_of_falling(0.8, 1, determinant);
}

}  // namespace

TestProblem branin_currin() {
  TestProblem p = several(
      box_problem(2, 0, 1), 2, 0, 59.4066125588,
      [](std::span<const double> x, std::span<double> f, std::span<double>) {
        f[0] = branin_value(15 * x[0] - 5, 15 * x[1]);
        f[1] = currin_value(x[0], x[1]);
      },
      [](int64_t count) {
        std::vector<double> points;
        for (int64_t i = 0; i < count; ++i) {
          const double u = (5 - kPi) / 15 * static_cast<double>(i) /
                           static_cast<double>(std::max<int64_t>(1, count - 1));
          const double v = branin_currin_v(u);
          points.push_back(branin_value(15 * u - 5, 15 * v));
          points.push_back(currin_value(u, v));
        }
        return points;
      });
  p.reference = {18, 6};
  return p;
}

TestProblem zdt(int64_t which, int64_t d) {
  constexpr double r = 11;
  // The front is f_2 = 1 - phi(f_1) for the records of phi on [0, 1]; f_2 = g (1 - phi) with phi at
  // f_1 / g in zdt1 and zdt2.
  Records records{{{0, 1}}, 1, which == 1 ? 2.0 / 3 : 1.0 / 3};
  if (which == 3) {
    records = records_of([](double t) { return std::sqrt(t) + t * std::sin(10 * kPi * t); },
                         [](double t) {
                           const double a = 10 * kPi * t;
                           return 0.5 / std::sqrt(t) + std::sin(a) + a * std::cos(a);
                         },
                         [](double t) {
                           const double a = 10 * kPi * t;
                           return 2.0 / 3 * t * std::sqrt(t) +
                                  (std::sin(a) - a * std::cos(a)) / (100 * kPi * kPi);
                         });
  }
  const auto phi = [which](double ratio, double t) {
    if (which == 2) return ratio * ratio;
    return std::sqrt(ratio) + (which == 3 ? ratio * std::sin(10 * kPi * t) : 0);
  };
  const double volume = r * (r - 1) + records.integral + (r - 1) * records.maximum;
  return several(
      box_problem(d, 0, 1), 2, r, volume,
      [phi](std::span<const double> x, std::span<double> f, std::span<double>) {
        double sum = 0;
        for (const double v : x.subspan(1)) sum += v;
        const double g = 1 + 9 / static_cast<double>(x.size() - 1) * sum;
        f[0] = x[0];
        f[1] = g * (1 - phi(x[0] / g, x[0]));
      },
      [phi, records](int64_t count) {
        std::vector<double> points;
        for (const double t : spread_over(records, count)) {
          points.push_back(t);
          points.push_back(1 - phi(t, t));
        }
        return points;
      });
}

TestProblem dtlz(int64_t which, int64_t d, int64_t m) {
  if (which == 1) return dtlz1(d, m);
  if (which == 5) return dtlz5(d, m);
  if (which == 7) return dtlz7(d, m);
  return dtlz23(d, m, which == 3);
}

}  // namespace covary::stat::families
