#include "covary/stat/process/pair_leaves.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "covary/core/base/error.h"

namespace covary::stat {
namespace {

constexpr double kPi = std::numbers::pi;

KernelParameter named(const std::string& name, ParameterRole role, double value = 1,
                      double power = 2) {
  KernelParameter p;
  p.name = name;
  p.role = role;
  p.value = value;
  p.power = power;
  return p;
}

// One, or with ard one a column.
std::vector<KernelParameter> scales(const LeafSettings& s, ParameterRole role) {
  std::vector<KernelParameter> out;
  for (int64_t k = 0; k < (s.ard ? s.columns : 1); ++k) {
    KernelParameter p = named("lengthscale", role);
    p.dimension = s.ard || s.columns == 1 ? k : -1;
    out.push_back(p);
  }
  return out;
}

// Product over columns of a function of one: Brownian motion from 0 in both directions, and its
// integral.
class Motion : public PairFunction {
 public:
  Motion(const LeafSettings& s, bool integrated)
      : PairFunction({named("variance", ParameterRole::kLinear, 1,
                            (integrated ? 3.0 : 1.0) * static_cast<double>(s.columns))},
                     s.columns),
        integrated_(integrated) {}
  double value(const double* x, const double* y, const double* p) const override {
    double k = p[0];
    for (int64_t c = 0; c < columns(); ++c) k *= along(x[c], y[c]);
    return k;
  }
  void parameter_slopes(const double* x, const double* y, const double* p,
                        double* slopes) const override {
    slopes[0] = value(x, y, p) / p[0];
  }
  void input_slopes(const double* x, const double* y, const double* p,
                    double* slopes) const override {
    for (int64_t c = 0; c < columns(); ++c) {
      slopes[c] = p[0] * slope(x[c], y[c]);
      for (int64_t other = 0; other < columns(); ++other) {
        if (other != c) slopes[c] *= along(x[other], y[other]);
      }
    }
  }

 private:
  double along(double x, double y) const {
    if (x * y <= 0) return 0;
    const double a = std::abs(x), b = std::abs(y), low = std::min(a, b);
    return integrated_ ? low * low * (low / 3 + 0.5 * std::abs(a - b)) : low;
  }
  double slope(double x, double y) const {
    if (x * y <= 0) return 0;
    const double a = std::abs(x), b = std::abs(y), sign = x < 0 ? -1 : 1;
    if (!integrated_) return a < b ? sign : 0;
    return sign * (a < b ? a * b - 0.5 * a * a : 0.5 * b * b);
  }
  bool integrated_;
};

class Hamming : public PairFunction {
 public:
  explicit Hamming(const LeafSettings& s)
      : PairFunction(scales(s, ParameterRole::kShape), s.columns), ard_(s.ard) {}
  double value(const double* x, const double* y, const double* p) const override {
    double q = 0;
    for (int64_t c = 0; c < columns(); ++c) q += x[c] != y[c] ? 1 / p[ard_ ? c : 0] : 0;
    return std::exp(-q);
  }
  void parameter_slopes(const double* x, const double* y, const double* p,
                        double* slopes) const override {
    const double k = value(x, y, p);
    for (size_t i = 0; i < parameters().size(); ++i) slopes[i] = 0;
    for (int64_t c = 0; c < columns(); ++c) {
      const int64_t i = ard_ ? c : 0;
      if (x[c] != y[c]) slopes[i] += k / (p[i] * p[i]);
    }
  }
  void input_slopes(const double*, const double*, const double*, double* slopes) const override {
    std::fill_n(slopes, columns(), 0.0);
  }

 private:
  bool ard_;
};

// B = W W' + diag(v) between the levels 0, 1, .. of one column.
class Index : public PairFunction {
 public:
  Index(int64_t levels, int64_t rank)
      : PairFunction(list(levels, rank), 1), levels_(levels), rank_(rank) {}
  double value(const double* x, const double* y, const double* p) const override {
    const int64_t a = level(x), b = level(y);
    double k = a == b ? p[levels_ * rank_ + a] : 0;
    for (int64_t r = 0; r < rank_; ++r) k += p[a * rank_ + r] * p[b * rank_ + r];
    return k;
  }
  void parameter_slopes(const double* x, const double* y, const double* p,
                        double* slopes) const override {
    std::fill_n(slopes, parameters().size(), 0.0);
    const int64_t a = level(x), b = level(y);
    if (a == b) slopes[levels_ * rank_ + a] = 1;
    for (int64_t r = 0; r < rank_; ++r) {
      slopes[a * rank_ + r] += p[b * rank_ + r];
      slopes[b * rank_ + r] += p[a * rank_ + r];
    }
  }
  void input_slopes(const double*, const double*, const double*, double* slopes) const override {
    slopes[0] = 0;
  }
  void check(const double* x, const double*) const override {
    if (x[0] == std::floor(x[0]) && x[0] >= 0 && x[0] < static_cast<double>(levels_)) return;
    throw Error(ExitCode::kData,
                std::to_string(x[0]) + " is no level: 0 to " + std::to_string(levels_ - 1) + " are",
                "kernel index", "number the categories from 0, or raise levels");
  }

 private:
  static std::vector<KernelParameter> list(int64_t levels, int64_t rank) {
    std::vector<KernelParameter> out;
    for (int64_t a = 0; a < levels; ++a) {
      for (int64_t r = 0; r < rank; ++r) {
        // Unlike each other, for none of them to stay at a saddle.
        const double value = 0.5 + 0.3 * std::cos(static_cast<double>(2 * r * (a + 1) + r));
        KernelParameter p =
            named("loading[" + std::to_string(a) + "," + std::to_string(r) + "]",
                  ParameterRole::kLoading, r % 2 == 0 || a % 2 == 0 ? value : -value);
        p.real = true;
        out.push_back(p);
      }
    }
    for (int64_t a = 0; a < levels; ++a) {
      out.push_back(named("variance[" + std::to_string(a) + "]", ParameterRole::kShape, 0.5));
    }
    return out;
  }
  static int64_t level(const double* x) { return static_cast<int64_t>(x[0]); }
  int64_t levels_, rank_;
};

// s(x) s(y), s a logistic step up or down.
class Gate : public PairFunction {
 public:
  explicit Gate(double sign) : PairFunction(list(), 1), sign_(sign) {}
  double value(const double* x, const double* y, const double* p) const override {
    return step(x[0], p) * step(y[0], p);
  }
  void parameter_slopes(const double* x, const double* y, const double* p,
                        double* slopes) const override {
    // d log s / dz = 1 - s at z = sign (x - location) / width.
    const double a = step(x[0], p), b = step(y[0], p);
    slopes[0] = -a * b * (2 - a - b) * sign_ / p[1];
    slopes[1] =
        -a * b * sign_ * ((1 - a) * (x[0] - p[0]) + (1 - b) * (y[0] - p[0])) / (p[1] * p[1]);
  }
  void input_slopes(const double* x, const double* y, const double* p,
                    double* slopes) const override {
    const double a = step(x[0], p), b = step(y[0], p);
    slopes[0] = a * b * (1 - a) * sign_ / p[1];
  }

 private:
  static std::vector<KernelParameter> list() {
    KernelParameter location = named("location", ParameterRole::kLocation, 0);
    location.real = true;
    location.dimension = 0;
    KernelParameter width = named("width", ParameterRole::kLengthscale);
    width.dimension = 0;
    width.start = 0.2;
    return {location, width};
  }
  double step(double x, const double* p) const {
    return 1 / (1 + std::exp(-sign_ * (x - p[0]) / p[1]));
  }
  double sign_;
};

// Of infinitely wide networks, layer by layer.
enum class Unit { kRelu, kErf, kStep };

struct Layer {  // value and slopes by the two squares and the product
  double value, by_a, by_ab, by_b;
};

Layer layer(Unit unit, double a, double ab, double b) {
  if (unit == Unit::kErf) {
    const double ra = 1 + 2 * a, rb = 1 + 2 * b, root = std::sqrt(ra * rb);
    const double sine = std::min(2 * ab / root, 1.0);
    const double slope = 2 / kPi / std::sqrt(std::max(1 - sine * sine, 1e-300));
    return {2 / kPi * std::asin(sine), -slope * sine / ra, slope * 2 / root, -slope * sine / rb};
  }
  const double root = std::sqrt(a * b);
  const double cosine = std::clamp(ab / root, -1.0, 1.0), angle = std::acos(cosine);
  const double sine = std::sqrt(std::max(1 - cosine * cosine, 0.0));
  if (unit == Unit::kStep) {
    const double slope = sine > 1e-7 ? 1 / (kPi * sine) : 0;  // by the cosine
    return {1 - angle / kPi, -0.5 * slope * cosine / a, slope / root, -0.5 * slope * cosine / b};
  }
  return {root / kPi * (sine + (kPi - angle) * cosine), sine / (2 * kPi) * std::sqrt(b / a),
          1 - angle / kPi, sine / (2 * kPi) * std::sqrt(a / b)};
}

class Network : public PairFunction {
 public:
  Network(const LeafSettings& s, Unit unit)
      : PairFunction(list(s), s.columns), unit_(unit), ard_(s.ard), depth_(s.whole.at("depth")) {}
  double value(const double* x, const double* y, const double* p) const override {
    return run(x, y, p, nullptr);
  }
  void parameter_slopes(const double* x, const double* y, const double* p,
                        double* slopes) const override {
    double by[5];
    run(x, y, p, by);
    const size_t scales = ard_ ? static_cast<size_t>(columns()) : 1;
    std::fill_n(slopes, scales, 0.0);
    for (int64_t c = 0; c < columns(); ++c) {
      const int64_t i = ard_ ? c : 0;
      slopes[i] -=
          2 * (by[0] * x[c] * x[c] + by[1] * x[c] * y[c] + by[2] * y[c] * y[c]) / std::pow(p[i], 3);
    }
    slopes[scales] = by[3];
    if (depth_ > 1) slopes[scales + 1] = by[4];
  }
  void input_slopes(const double* x, const double* y, const double* p,
                    double* slopes) const override {
    double by[5];
    run(x, y, p, by);
    for (int64_t c = 0; c < columns(); ++c) {
      const double l = p[ard_ ? c : 0];
      slopes[c] = (2 * by[0] * x[c] + by[1] * y[c]) / (l * l);
    }
  }

 private:
  static std::vector<KernelParameter> list(const LeafSettings& s) {
    std::vector<KernelParameter> out = scales(s, ParameterRole::kLengthscale);
    out.push_back(named("bias", ParameterRole::kOffset));
    if (s.whole.at("depth") > 1) out.push_back(named("weight", ParameterRole::kShape));
    return out;
  }
  // by: slopes by the first layer's x.x, x.y, y.y (without bias), bias and weight.
  double run(const double* x, const double* y, const double* p, double* by) const {
    const int64_t scales = ard_ ? columns() : 1;
    const double bias = p[scales], weight = depth_ > 1 ? p[scales + 1] : 1;
    double v[3] = {bias, bias, bias};  // squares and product
    for (int64_t c = 0; c < columns(); ++c) {
      const double l = p[ard_ ? c : 0], a = x[c] / l, b = y[c] / l;
      v[0] += a * a;
      v[1] += a * b;
      v[2] += b * b;
    }
    double d[3][5] = {{1, 0, 0, 1, 0}, {0, 1, 0, 1, 0}, {0, 0, 1, 1, 0}};
    for (int64_t step = 0; step < depth_; ++step) {
      const bool last = step + 1 == depth_;
      const Layer parts[3] = {layer(unit_, v[0], v[0], v[0]), layer(unit_, v[0], v[1], v[2]),
                              layer(unit_, v[2], v[2], v[2])};
      if (!by && last) return parts[1].value;
      double next[3][5];
      for (int e = 0; e < 3; ++e) {
        const int left = e == 2 ? 2 : 0, right = e == 0 ? 0 : 2, middle = e;
        for (int k = 0; k < 5; ++k) {
          double s = parts[e].by_a * d[left][k] + parts[e].by_ab * d[middle][k] +
                     parts[e].by_b * d[right][k];
          if (!last) s = weight * s + (k == 3 ? 1 : k == 4 ? parts[e].value : 0);
          next[e][k] = s;
        }
      }
      if (last) {
        std::copy_n(next[1], 5, by);
        return parts[1].value;
      }
      for (int e = 0; e < 3; ++e) {
        v[e] = bias + weight * parts[e].value;
        std::copy_n(next[e], 5, d[e]);
      }
    }
    return 0;
  }
  Unit unit_;
  bool ard_;
  int64_t depth_;
};

class Oscillator : public PairFunction {
 public:
  Oscillator() : PairFunction(list(), 1) {}
  double value(const double* x, const double* y, const double* p) const override {
    return oscillator(std::abs(x[0] - y[0]), 2 * kPi / p[0], p[1], nullptr, nullptr, nullptr);
  }
  void parameter_slopes(const double* x, const double* y, const double* p,
                        double* slopes) const override {
    const double w = 2 * kPi / p[0];
    double by_w, by_q;
    oscillator(std::abs(x[0] - y[0]), w, p[1], nullptr, &by_w, &by_q);
    slopes[0] = -by_w * w / p[0];
    slopes[1] = by_q;
  }
  void input_slopes(const double* x, const double* y, const double* p,
                    double* slopes) const override {
    double by_tau;
    oscillator(std::abs(x[0] - y[0]), 2 * kPi / p[0], p[1], &by_tau, nullptr, nullptr);
    slopes[0] = x[0] < y[0] ? -by_tau : by_tau;
  }

 private:
  static std::vector<KernelParameter> list() {
    KernelParameter period = named("period", ParameterRole::kPeriod);
    period.dimension = 0;
    return {period, named("quality", ParameterRole::kShape)};
  }
};

template <class F>
std::shared_ptr<const LeafDefinition> definition(LeafDefinition d, F make) {
  d.make = [make](const LeafSettings& s) -> std::shared_ptr<const PairFunction> { return make(s); };
  return std::make_shared<const LeafDefinition>(std::move(d));
}

}  // namespace

DampedWave damped_wave(double z, double a) {
  const double u = z * z - a * a;
  if (std::abs(u) < 1e-3) {
    const double e = std::exp(-a);
    return {e * (1 - u / 2 * (1 - u / 12 * (1 - u / 30 * (1 - u / 56)))),
            e * (1 - u / 6 * (1 - u / 20 * (1 - u / 42 * (1 - u / 72)))),
            e * (-1.0 / 6 + u / 60 - u * u / 1680 + u * u * u / 90720)};
  }
  DampedWave w{};
  const double root = std::sqrt(std::abs(u));
  if (u > 0) {
    const double e = std::exp(-a);
    w.c = e * std::cos(root);
    w.s = e * std::sin(root) / root;
  } else {  // root < a: neither exponent is positive
    const double slow = std::exp(-z * z / (a + root)), fast = std::exp(-a - root);
    w.c = 0.5 * (slow + fast);
    w.s = 0.5 * (slow - fast) / root;
  }
  w.fall = (w.c - w.s) / (2 * u);
  return w;
}

double oscillator(double tau, double w, double q, double* by_tau, double* by_w, double* by_q) {
  // exp(-a) (C(u) + a S(u)), a = w tau / (2 q); dC/du = -S/2.
  const double z = w * tau, a = z / (2 * q);
  const DampedWave f = damped_wave(z, a);
  const double value = f.c + a * f.s;
  const double along_a = -value + f.s, along_u = -0.5 * f.s + a * f.fall;
  const double by_a = along_a - 2 * a * along_u, by_z = 2 * z * along_u;  // a and z apart
  const double together = by_z + by_a / (2 * q);
  if (by_tau) *by_tau = w * together;
  if (by_w) *by_w = tau * together;
  if (by_q) *by_q = -by_a * a / q;
  return value;
}

std::map<std::string, std::shared_ptr<const LeafDefinition>> library_leaves() {
  std::map<std::string, std::shared_ptr<const LeafDefinition>> all;
  for (const bool integrated : {false, true}) {
    all[integrated ? "integrated_brownian" : "brownian"] = definition(
        {.positional = {"variance"}},
        [integrated](const LeafSettings& s) { return std::make_shared<Motion>(s, integrated); });
  }
  all["hamming"] = definition({.takes_ard = true, .positional = {"lengthscale"}},
                              [](const LeafSettings& s) { return std::make_shared<Hamming>(s); });
  all["index"] =
      definition({.one_column = true,
                  .whole = {{"levels", 0, 1, 1000}, {"rank", 1, 1, 100}},
                  .lists = {"loading", "variance"}},
                 [](const LeafSettings& s) {
                   return std::make_shared<Index>(s.whole.at("levels"), s.whole.at("rank"));
                 });
  for (const bool up : {true, false}) {
    all[up ? "rising" : "falling"] =
        definition({.one_column = true, .positional = {"location", "width"}},
                   [up](const LeafSettings&) { return std::make_shared<Gate>(up ? 1.0 : -1.0); });
  }
  for (const auto& [name, unit] :
       {std::pair{"relu", Unit::kRelu}, {"erf", Unit::kErf}, {"step", Unit::kStep}}) {
    all[name] = definition(
        {.takes_ard = true,
         .whole = {{"depth", 1, 1, 100}},
         .positional = {"lengthscale", "bias", "weight"}},
        [unit = unit](const LeafSettings& s) { return std::make_shared<Network>(s, unit); });
  }
  all["sho"] = definition({.one_column = true, .positional = {"period", "quality"}},
                          [](const LeafSettings&) { return std::make_shared<Oscillator>(); });
  return all;
}

}  // namespace covary::stat
