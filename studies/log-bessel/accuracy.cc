// Bar 1 of log-bessel: errors of log I and log K over a million points, and how good the reference is.
#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <vector>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/bessel/bessel.h"
#include "covary/core/compute/bessel/bessel_regions.h"
#include "covary/core/compute/bessel/published.h"
#include "studies/log-bessel/bars.h"
#include "studies/log-bessel/oracle.h"

namespace covary::studies {
namespace {

using compute::BesselKind;
using compute::BesselOptions;
using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

constexpr BesselOptions kAll[] = {{BesselKind::kI, false},
                                  {BesselKind::kI, true},
                                  {BesselKind::kK, false},
                                  {BesselKind::kK, true}};
constexpr const char* kNames[] = {"log I", "log (I e^-x)", "log K", "log (K e^x)"};
// 8 times 4 eps: what is asked.
constexpr double kAsked = 32 * 2.220446049250313e-16;

struct Points {
  std::vector<double> v, x;
};

struct Range {
  const char* name;
  double v0, v1, x0, x1;
  bool logarithmic;
};
constexpr Range kRanges[] = {{"[0,150]^2", 0, 150, 0, 150, false},
                             {"[150,1e4]^2", 150, 1e4, 150, 1e4, false},
                             {"v 1e-3..1e6, x 1e-6..1e9", -3, 6, -6, 9, true}};

Points in_range(const Range& r, int64_t n, uint64_t seed) {
  Points p;
  const Random random(seed, stream_of(r.name));
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<uint64_t>(2 * i);
    const double a = r.v0 + (r.v1 - r.v0) * random.uniform(at),
                 b = r.x0 + (r.x1 - r.x0) * random.uniform(at + 1);
    p.v.push_back(r.logarithmic ? std::pow(10, a) : a);
    // No argument is 0.
    p.x.push_back(r.logarithmic ? std::pow(10, b) : std::fmax(b, 1e-6));
  }
  return p;
}

// Within 1e-6 of a boundary between our regions, or of one of the published table.
Points at_boundaries(int64_t n, uint64_t seed) {
  Points p;
  const Random random(seed, stream_of("boundaries"));
  const double orders[] = {0.3, 0.46, 0.6, 0.7, 3.05, 12.6964, 15.3919, 20.1534, 56.9971, 163.6993};
  const double arguments[] = {19.6931, 30, 35.9074, 59.6925, 84.4153, 274.2377, 1400};
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<uint64_t>(4 * i);
    const double off = 1 + 1e-6 * (2 * random.uniform(at) - 1), u = random.uniform(at + 1);
    const double spread = std::pow(10, 4 * random.uniform(at + 2));
    double v = 0, x = 1;
    switch (i % 6) {
      case 0: {
        const double radius =
            off *
            std::sqrt(
                compute::kBesselSquares[random.below(std::size(compute::kBesselSquares), at + 3)]);
        v = radius * u;
        x = radius * std::sqrt(1 - u * u);
        break;
      }
      case 1:
        v = 20 * u;
        x = off;
        break;
      case 2:
        v = off * orders[random.below(std::size(orders), at + 3)];
        x = spread;
        break;
      case 3:
        v = 1e3 * u * u;
        x = off * arguments[random.below(std::size(arguments), at + 3)];
        break;
      case 4:
        x = 60 * spread;
        v = off * std::exp(0.5113 * std::log(x) + 0.7939);
        break;
      default:
        x = 1500 * spread;
        v = off * std::exp(0.6229 * std::log(x) - 3.2318);
    }
    p.v.push_back(v);
    p.x.push_back(x);
  }
  return p;
}

struct Errors {
  std::array<double, 4> worst{}, published{}, guarded{};
  std::array<double, 4> worst_v{}, worst_x{};
  int64_t points = 0, not_finite = 0;
};

// Errors of all four functions; of the published method at every `sparse`-th point.
Errors errors_at(const Points& p, int64_t sparse) {
  const auto n = static_cast<int64_t>(p.v.size());
  std::array<std::vector<double>, 4> values;
  for (size_t f = 0; f < 4; ++f) {
    values[f].resize(p.v.size());
    compute::log_bessel(kAll[f], compute::BesselInput<double>{n, p.v.data(), p.x.data()},
                        {.value = values[f].data()});
  }
  Errors all;
  all.points = n;
  std::mutex lock;
  parallel_for(n, 256, [&](int64_t begin, int64_t end) {
    Errors e;
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      const double v = p.v[at], x = p.x[at];
      const ExactLogs logs = exact_logs(v, x);
      const Quad exact[] = {logs.i, logs.i - Quad(x), logs.k, logs.k + Quad(x)};
      for (size_t f = 0; f < 4; ++f) {
        e.not_finite += !std::isfinite(values[f][at]);
        const double error = error_of(values[f][at], exact[f]);
        if (error > e.worst[f]) {
          e.worst[f] = error;
          e.worst_v[f] = v;
          e.worst_x[f] = x;
        }
        if (i % sparse != 0) continue;
        e.published[f] = std::max(e.published[f],
                                  error_of(compute::log_bessel_published(kAll[f], v, x), exact[f]));
        e.guarded[f] = std::max(
            e.guarded[f],
            error_of(compute::log_bessel_published(kAll[f], v, x, {.guarded = true}), exact[f]));
      }
    }
    const std::lock_guard hold(lock);
    all.not_finite += e.not_finite;
    for (size_t f = 0; f < 4; ++f) {
      all.published[f] = std::max(all.published[f], e.published[f]);
      all.guarded[f] = std::max(all.guarded[f], e.guarded[f]);
      if (e.worst[f] <= all.worst[f]) continue;
      all.worst[f] = e.worst[f];
      all.worst_v[f] = e.worst_v[f];
      all.worst_x[f] = e.worst_x[f];
    }
  });
  return all;
}

const std::vector<Errors>& measured(StudyContext& c) {
  return c.shared<std::vector<Errors>>("errors", [&] {
    const int64_t each = c.smoke() ? 4000 : 340000;
    std::vector<Errors> all;
    eval::Table table{.name = "largest error, in units of max(1, |log|)",
                      .columns = {"points", "function", "ours", "at v", "at x", "published table",
                                  "published table, guarded"},
                      .rows = {}};
    const auto add = [&](const char* name, const Points& p) {
      all.push_back(errors_at(p, c.smoke() ? 4 : 20));
      const Errors& e = all.back();
      for (size_t f = 0; f < 4; ++f)
        table.rows.push_back({name, kNames[f], e.worst[f], e.worst_v[f], e.worst_x[f],
                              e.published[f], e.guarded[f]});
    };
    for (const Range& r : kRanges) add(r.name, in_range(r, each, c.seed()));
    add("within 1e-6 of a boundary", at_boundaries(c.smoke() ? 1200 : 12000, c.seed()));
    c.table(table);
    return all;
  });
}

Bar error_bar(const std::string& part, size_t range, const std::string& title) {
  return {
      .id = "1",
      .part = part,
      .title = title,
      .metric = "error / max(1, |log|)",
      .unit = "1",
      .bound = "ours <= 32 eps",
      .smoke = true,
      .desk = true,
      .measure = [=](StudyContext& c) {
        const Errors& e = measured(c)[range];
        const double ours = *std::max_element(e.worst.begin(), e.worst.end());
        BarResult r;
        r.baseline = Quantity{.name = "the paper's table of regions",
                              .value = *std::max_element(e.published.begin(), e.published.end()),
                              .unit = "1"};
        r.ours = Quantity{.value = ours, .unit = "1", .n = e.points};
        r.bound = {.text = "ours <= 32 eps = 7.1e-15", .left = ours, .op = "<=", .right = kAsked};
        return r;
      }};
}

double oracle_error(StudyContext&) {
  double worst = 0;
  for (const KnownLogs& known : mpmath_logs()) {
    const ExactLogs logs = exact_logs(known.v, known.x);
    for (const auto& [got, told] : {std::pair{logs.i, known.i}, std::pair{logs.k, known.k}}) {
      const long double gap = static_cast<long double>(got - Quad(told));
      worst =
          std::max(worst, static_cast<double>(std::fabs(gap) / std::fmax(1.0L, std::fabs(told))));
    }
  }
  return worst;
}

}  // namespace

std::vector<Bar> bessel_accuracy_bars() {
  std::vector<Bar> bars = {
      at_most("oracle", "", "the study's reference against 500 values of mpmath at 60 digits",
              "error / max(1, |log|)", 1e-16, oracle_error)};
  bars.push_back(error_bar("a", 0, "orders and arguments in [0,150]^2, I and K, scaled and not"));
  bars.push_back(error_bar("b", 1, "orders and arguments in [150,1e4]^2"));
  bars.push_back(error_bar("c", 2, "orders in [1e-3,1e6], arguments in [1e-6,1e9]"));
  bars.push_back(error_bar("d", 3, "within 1e-6 of every boundary between regions"));
  bars.push_back(at_most("1", "e", "values that are not finite", "count", 0, [](StudyContext& c) {
    double count = 0;
    for (const Errors& e : measured(c)) count += static_cast<double>(e.not_finite);
    return count;
  }));
  return bars;
}

}  // namespace covary::studies
