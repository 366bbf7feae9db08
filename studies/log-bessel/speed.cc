// Bar 3 of log-bessel: CPU time a value, counting those alone that a method gets finite.
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#if __has_include(<boost/math/special_functions/bessel.hpp>)
#define COVARY_HAS_BOOST_BESSEL
#include <boost/math/special_functions/bessel.hpp>
#endif

#include "covary/core/base/machine.h"
#include "covary/core/base/random.h"
#include "covary/core/compute/bessel/bessel.h"
#include "covary/core/compute/bessel/published.h"
#include "studies/log-bessel/bars.h"
#include "studies/shared/peers.h"

namespace covary::studies {
namespace {

using compute::BesselKind;
using compute::BesselOptions;
using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

struct Square {
  std::vector<double> v, x;
};

Square square(double low, double high, int64_t n, uint64_t seed) {
  Square s;
  const Random random(seed, stream_of("speed"));
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<uint64_t>(2 * i);
    s.v.push_back(low + (high - low) * random.uniform(at));
    s.x.push_back(low + (high - low) * random.uniform(at + 1));
  }
  return s;
}

// CPU seconds of all threads a finite value, the least of some turns.
double seconds_a_value(int turns, int64_t n, const std::function<int64_t()>& finite) {
  double best = INFINITY;
  for (int turn = 0; turn < turns; ++turn) {
    const double begin = cpu_seconds();
    const int64_t good = finite();
    best =
        std::min(best, (cpu_seconds() - begin) / static_cast<double>(std::max<int64_t>(good, 1)));
  }
  return n > 0 ? best : NAN;
}

double ours(BesselKind kind, const Square& s, int turns, int derivatives = 0) {
  const auto n = static_cast<int64_t>(s.v.size());
  std::vector<std::vector<double>> out(6, std::vector<double>(s.v.size()));
  compute::BesselOutput<double> to{.value = out[0].data()};
  if (derivatives >= 1) to.dv = out[1].data(), to.dx = out[2].data();
  if (derivatives >= 2) to.dvv = out[3].data(), to.dvx = out[4].data(), to.dxx = out[5].data();
  return seconds_a_value(turns, n, [&] {
    compute::log_bessel({kind, true}, compute::BesselInput<double>{n, s.v.data(), s.x.data()}, to);
    return std::count_if(out[0].begin(), out[0].end(), [](double a) { return std::isfinite(a); });
  });
}

double one_by_one(const Square& s, const std::function<double(double, double)>& f) {
  const auto n = static_cast<int64_t>(s.v.size());
  return seconds_a_value(1, n, [&] {
    int64_t good = 0;
    for (size_t i = 0; i < s.v.size(); ++i) {
      double value = NAN;
      try {
        value = f(s.v[i], s.x[i]);
      } catch (const std::exception&) {  // overflow is thrown by some
      }
      good += std::isfinite(value);
    }
    return good;
  });
}

using Function = std::function<double(double, double)>;

Bar against(const std::string& part, const std::string& name, double times,
            const std::function<Function(StudyContext&, BesselKind)>& peer) {
  char bound[64];
  std::snprintf(bound, sizeof bound, "baseline >= %g * ours", times);
  const std::string words = bound;
  return {.id = "3",
          .part = part,
          .title = "CPU time a finite value of log I and log K on [0,150]^2, against " + name,
          .metric = "time ratio",
          .unit = "1",
          .bound = words,
          .smoke = true,
          .desk = true,
          .measure = [=](StudyContext& c) {
            const Square many = square(0, 150, c.smoke() ? 1 << 17 : 1 << 20, c.seed());
            const Square few = square(0, 150, c.smoke() ? 2000 : 40000, c.seed());
            double fast = 0, slow = 0;
            for (const BesselKind kind : {BesselKind::kI, BesselKind::kK}) {
              fast += ours(kind, many, 3);
              slow += one_by_one(few, peer(c, kind));
            }
            BarResult r;
            r.baseline = Quantity{.name = name, .value = 0.5e9 * slow, .unit = "ns"};
            r.ours = Quantity{.value = 0.5e9 * fast, .unit = "ns"};
            // A busy machine and few values: tells only that nothing is of a worse order.
            const double asked = c.smoke() ? times / 4 : times;
            char text[64];
            std::snprintf(text, sizeof text, "baseline >= %g * ours", asked);
            r.bound = {.text = text, .left = slow, .op = ">=", .right = asked * fast};
            return r;
          }};
}

Bar against_scipy(const std::string& part, int low, int high, double times) {
  const std::string square_name = std::to_string(low) + ".." + std::to_string(high);
  char text[64];
  std::snprintf(text, sizeof text, "SciPy >= %gx ours", times);
  return {.id = "3",
          .part = part,
          .title = "CPU time a finite value of log I and log K, orders and arguments in " +
                   square_name + ", against log of SciPy's ive and kve",
          .metric = "CPU time",
          .unit = "s",
          .bound = text,
          .desk = true,
          .measure = [=](StudyContext& c) {
            const auto& lines = c.shared<std::vector<nlohmann::json>>(
                "scipy", [&] { return peer_lines(c, "bessel.py", "--json --only values"); });
            const Square many = square(low, high, 1 << 20, c.seed());
            const double own = ours(BesselKind::kI, many, 3) + ours(BesselKind::kK, many, 3);
            const double scipy = peer_value(c, lines, "ive " + square_name, "seconds") +
                                 peer_value(c, lines, "kve " + square_name, "seconds");
            BarResult r = times_faster("SciPy", 0.5 * scipy, 0.5 * own, times, 3);
            r.note = "mean of log I and log K, the best of three";
            return r;
          }};
}

// What our own kernel takes, for the document.
BarResult rates(StudyContext& c) {
  eval::Table table{.name = "CPU ns a value",
                    .columns = {"square", "log I", "log K", "log I, first derivatives",
                                "log I, second derivatives"},
                    .rows = {}};
  double small = 0, usual = 0;
  const double squares[][2] = {{0, 20}, {0, 100}, {0, 150}, {150, 1e4}};
  for (const auto& [low, high] : squares) {
    const Square s = square(low, high, c.smoke() ? 1 << 16 : 1 << 20, c.seed());
    const double i = 1e9 * ours(BesselKind::kI, s, 3), k = 1e9 * ours(BesselKind::kK, s, 3);
    if (high == 20) small = std::max(i, k);
    if (high == 100) usual = std::max(i, k);
    char name[48];
    std::snprintf(name, sizeof name, "[%g,%g]^2", low, high);
    table.rows.push_back(
        {name, i, k, 1e9 * ours(BesselKind::kI, s, 1, 1), 1e9 * ours(BesselKind::kI, s, 1, 2)});
  }
  c.table(table);
  BarResult r;
  r.baseline = Quantity{.name = "[0,100]^2", .value = usual, .unit = "ns"};
  r.ours = Quantity{.value = small, .unit = "ns"};
  r.bound = {.text = "ours <= 2 * baseline", .left = small, .op = "<=", .right = 2 * usual};
  return r;
}

}  // namespace

std::vector<Bar> bessel_speed_bars() {
  std::vector<Bar> bars;
  bars.push_back(
      against("a", "log of the C++ library's cyl_bessel_i and cyl_bessel_k", 20,
              [](StudyContext&, BesselKind kind) -> Function {
                if (kind == BesselKind::kI)
                  return [](double v, double x) { return std::log(std::cyl_bessel_i(v, x)); };
                return [](double v, double x) { return std::log(std::cyl_bessel_k(v, x)); };
              }));
  bars.push_back(against(
      "b", "log of Boost.Math's cyl_bessel_i and cyl_bessel_k", 10,
      []([[maybe_unused]] StudyContext& c, BesselKind kind) -> Function {
#ifdef COVARY_HAS_BOOST_BESSEL
        if (kind == BesselKind::kI)
          return [](double v, double x) { return std::log(boost::math::cyl_bessel_i(v, x)); };
        return [](double v, double x) { return std::log(boost::math::cyl_bessel_k(v, x)); };
#else
        (void)kind;
        c.skip("this build has no Boost.Math headers");
#endif
      }));
  bars.push_back(against("c", "the paper's table of regions, one value at a time", 10,
                         [](StudyContext&, BesselKind kind) -> Function {
                           return [kind](double v, double x) {
                             return compute::log_bessel_published({kind, true}, v, x);
                           };
                         }));
  bars.push_back({.id = "3",
                  .part = "d",
                  .title = "CPU time a value of small orders and arguments, [0,20]^2",
                  .metric = "ns",
                  .unit = "ns",
                  .bound = "ours <= 2 * that of [0,100]^2",
                  .smoke = true,
                  .desk = true,
                  .measure = rates});
  bars.push_back(against_scipy("e", 0, 150, 20));
  bars.push_back(against_scipy("e2", 0, 100, 8));
  bars.push_back({.id = "3",
                  .part = "f",
                  .title = "evaluations a second on a GPU",
                  .metric = "1/s",
                  .bound = "ours >= 1e9 and 10 times the CPU's",
                  .full = true,
                  .gpu = true});
  return bars;
}

}  // namespace covary::studies
