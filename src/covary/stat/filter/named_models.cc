#include "covary/stat/filter/named_models.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/base/random.h"
#include "covary/stat/filter/dual.h"
#include "covary/stat/filter/filter_parts.h"
#include "covary/stat/filter/model_view.h"

namespace covary::filter {
namespace {

using Kind = Parameter::Kind;
using std::atan2, std::cos, std::sin, std::sqrt;

constexpr double kPi = std::numbers::pi;
constexpr double kLogChiMean = -1.2703628454614782;  // of log chi^2 with one degree of freedom
constexpr double kLogChiVariance = kPi * kPi / 2;

Parameter variance(const char* name, double v, const char* help) {
  return {name, Kind::kVariance, help, v, false};
}
Parameter positive(const char* name, double v, const char* help) {
  return {name, Kind::kPositive, help, v, false};
}
Parameter real(const char* name, double v, const char* help) {
  return {name, Kind::kReal, help, v, false};
}

std::vector<Parameter> parameters_of(const std::string& name) {
  if (name == "pendulum")
    return {positive("dt", 0.01, "s a step"), real("gravity", 9.81, "m/s^2 over the length"),
            real("damping", 0, "1/s"),
            variance("q", 0.01, "density of the white torque, rad^2/s^3"),
            variance("r", 0.1, "variance of the observation, 1")};
  if (name == "growth")
    return {variance("q", 10, "variance of a step"),
            variance("r", 1, "variance of the observation")};
  if (name == "lorenz")
    return {positive("dt", 0.02, "time of a step"),
            real("sigma", 10, "1"),
            real("rho", 28, "1"),
            real("beta", 8.0 / 3, "1"),
            variance("q", 0.02, "variance of a step, every coordinate"),
            variance("r", 2, "variance of the observation")};
  if (name == "turn")
    return {positive("dt", 1, "s a step"),
            variance("q", 0.1, "density of white acceleration, m^2/s^3"),
            variance("q_rate", 1e-4, "density of the rate's walk, rad^2/s^3"),
            variance("r", 1, "variance of x and of y, m^2")};
  std::vector<Parameter> plane = {
      positive("dt", 1, "s a step"), variance("q", 0.01, "density of white acceleration, m^2/s^3"),
      variance("r_bearing", 1e-4, "variance of an angle, rad^2"),
      real("x1", 0, "place of the sensor, m"), real("y1", 0, "place of the sensor, m")};
  if (name == "range-bearing") {
    plane.push_back(variance("r_range", 1, "variance of the distance, m^2"));
    return plane;
  }
  if (name == "bearings") {
    plane.push_back(real("sensors", 2, "1 or 2"));
    plane.push_back(real("x2", 100, "place of the second sensor, m"));
    plane.push_back(real("y2", 0, "place of the second sensor, m"));
    return plane;
  }
  return {real("mu", -9, "mean log-variance"),
          {"phi", Kind::kShare, "what is left after a step", 0.97, false},
          positive("sigma", 0.15, "deviation of a step")};
}

double wrapped(double a) {
  const double w = std::remainder(a, 2 * kPi);
  return w == -kPi ? kPi : w;
}

// The bearings of the columns from `first` on are angles: differences are wrapped, and means are
// taken about the first point.
void set_angles(NonlinearModel& m, int64_t first) {
  const int64_t p = m.observations;
  m.observation_residual = [first](std::span<const double> a, std::span<const double> b,
                                   std::span<double> out) {
    for (size_t i = 0; i < a.size(); ++i) {
      out[i] = a[i] - b[i];
      if (static_cast<int64_t>(i) >= first) out[i] = wrapped(out[i]);
    }
  };
  m.observation_mean = [first, p](std::span<const double> points, std::span<const double> weights,
                                  std::span<double> out) {
    for (int64_t i = 0; i < p; ++i) {
      double sum = 0;
      for (size_t k = 0; k < weights.size(); ++k) {
        const double off = points[k * size_t(p) + size_t(i)] - points[size_t(i)];
        sum += weights[k] * (i >= first ? wrapped(off) : off);
      }
      out[size_t(i)] = points[size_t(i)] + sum;
      if (i >= first) out[size_t(i)] = wrapped(out[size_t(i)]);
    }
  };
}

template <class F, class H>
NonlinearModel assembled(int64_t n, int64_t p, F f, H h, const MatrixXd& q, const MatrixXd& r,
                         const VectorXd& mean0, const VectorXd& var0) {
  NonlinearModel m;
  m.states = n;
  m.observations = p;
  m.f = function_of(f);
  m.f_jacobian = jacobian_of(f, n);
  m.h = function_of(h);
  m.h_jacobian = jacobian_of(h, p);
  m.q = tensor_of(q);
  m.r = tensor_of(r);
  m.mean0 = tensor_of(mean0);
  m.cov0 = tensor_of(MatrixXd(var0.asDiagonal()));
  return m;
}

VectorXd list(std::initializer_list<double> v) {
  VectorXd out(static_cast<Eigen::Index>(v.size()));
  std::copy(v.begin(), v.end(), out.data());
  return out;
}

// White acceleration of density q on (x, y, vx, vy).
MatrixXd plane_noise(double q, double dt) {
  MatrixXd m = MatrixXd::Zero(4, 4);
  for (int i = 0; i < 2; ++i) {
    m(i, i) = q * dt * dt * dt / 3;
    m(i, i + 2) = m(i + 2, i) = q * dt * dt / 2;
    m(i + 2, i + 2) = q * dt;
  }
  return m;
}

}  // namespace

const std::vector<std::string>& NamedModel::names() {
  static const std::vector<std::string> all = {"pendulum",      "growth",   "lorenz",    "turn",
                                               "range-bearing", "bearings", "volatility"};
  return all;
}

bool NamedModel::knows(const std::string& name) {
  return std::find(names().begin(), names().end(), name) != names().end();
}

NamedModel NamedModel::parse(const std::string& text) {
  const std::vector<Term> terms = parse_terms(text);
  const std::string where = "model \"" + text + "\"";
  if (terms.size() != 1 || !knows(terms[0].name)) {
    const std::string near = nearest_word(terms[0].name, names());
    throw Error(ExitCode::kUsage,
                terms.size() != 1 ? "is a sum" : "'" + terms[0].name + "' is no model", where,
                near.empty() ? "a nonlinear model stands alone: pendulum(dt=0.05)"
                             : "did you mean " + near + "?");
  }
  NamedModel m;
  m.name_ = terms[0].name;
  m.parameters_ = parameters_of(m.name_);
  for (const Term::Argument& a : terms[0].arguments) {
    if (a.key.empty())
      throw Error(ExitCode::kUsage, "arguments have names", where, "write dt=0.05");
    if (a.free)
      throw Error(ExitCode::kUsage, "parameters of nonlinear models are not fitted", where,
                  "write values without ~");
    try {
      set_parameter(m.parameters_, a.key, a.value, where);
    } catch (const Error& e) {
      throw Error(ExitCode::kUsage, e.message(), e.where(), e.hint());
    }
  }
  m.gaussian();  // checks what belongs together
  return m;
}

std::vector<std::string> NamedModel::states() const {
  if (name_ == "pendulum") return {"angle", "rate"};
  if (name_ == "growth") return {"x"};
  if (name_ == "lorenz") return {"x", "y", "z"};
  if (name_ == "turn") return {"x", "y", "vx", "vy", "turn"};
  if (name_ == "volatility") return {"h"};
  return {"x", "y", "vx", "vy"};
}

std::vector<std::string> NamedModel::columns() const {
  if (name_ == "pendulum") return {"sin_angle"};
  if (name_ == "turn") return {"x_observed", "y_observed"};
  if (name_ == "range-bearing") return {"range", "bearing"};
  if (name_ == "bearings") {
    return at("sensors") == 1 ? std::vector<std::string>{"bearing1"}
                              : std::vector<std::string>{"bearing1", "bearing2"};
  }
  return {"observed"};
}

std::vector<int64_t> NamedModel::positions() const {
  const std::vector<std::string> s = states();
  return s.size() >= 4 ? std::vector<int64_t>{0, 1} : std::vector<int64_t>{};
}

bool NamedModel::angles() const { return name_ == "range-bearing" || name_ == "bearings"; }

NonlinearModel NamedModel::gaussian() const {
  for (const Parameter& p : parameters_) check_parameter(p, "model " + name_);
  NonlinearModel m;
  if (name_ == "pendulum") {
    const double dt = at("dt"), g = at("gravity"), damping = at("damping"), q = at("q");
    MatrixXd noise(2, 2);
    noise << q * dt * dt * dt / 3, q * dt * dt / 2, q * dt * dt / 2, q * dt;
    m = assembled(
        2, 1,
        [=](const auto* x, int64_t, auto* y) {
          y[0] = x[0] + dt * x[1];
          y[1] = x[1] - dt * (g * sin(x[0]) + damping * x[1]);
        },
        [](const auto* x, int64_t, auto* y) { y[0] = sin(x[0]); }, noise,
        MatrixXd::Constant(1, 1, at("r")), list({0.5, 0}), list({0.5, 0.5}));
  } else if (name_ == "growth") {
    m = assembled(
        1, 1,
        [](const auto* x, int64_t t, auto* y) {
          y[0] = 0.5 * x[0] + 25.0 * x[0] / (1.0 + x[0] * x[0]) +
                 8.0 * std::cos(1.2 * static_cast<double>(t));
        },
        [](const auto* x, int64_t, auto* y) { y[0] = x[0] * x[0] / 20.0; },
        MatrixXd::Constant(1, 1, at("q")), MatrixXd::Constant(1, 1, at("r")), list({0.1}),
        list({2}));
  } else if (name_ == "lorenz") {
    const double dt = at("dt"), sigma = at("sigma"), rho = at("rho"), beta = at("beta");
    m = assembled(
        3, 1,
        [=](const auto* x, int64_t, auto* out) {
          using T = std::decay_t<decltype(out[0])>;
          const auto slope = [&](const T* p, T* d) {
            d[0] = sigma * (p[1] - p[0]);
            d[1] = p[0] * (rho - p[2]) - p[1];
            d[2] = p[0] * p[1] - beta * p[2];
          };
          T k[4][3], p[3];
          slope(x, k[0]);
          for (int stage = 1; stage < 4; ++stage) {
            const double h = stage < 3 ? 0.5 * dt : dt;
            for (int i = 0; i < 3; ++i) p[i] = x[i] + h * k[stage - 1][i];
            slope(p, k[stage]);
          }
          for (int i = 0; i < 3; ++i)
            out[i] = x[i] + (dt / 6) * (k[0][i] + 2.0 * k[1][i] + 2.0 * k[2][i] + k[3][i]);
        },
        [](const auto* x, int64_t, auto* y) { y[0] = x[0]; },
        MatrixXd(at("q") * MatrixXd::Identity(3, 3)), MatrixXd::Constant(1, 1, at("r")),
        list({0, 0, 25}), list({60, 80, 70}));
  } else if (name_ == "turn") {
    const double dt = at("dt");
    MatrixXd q = MatrixXd::Zero(5, 5);
    q.topLeftCorner(4, 4) = plane_noise(at("q"), dt);
    q(4, 4) = at("q_rate") * dt;
    m = assembled(
        5, 2,
        [=](const auto* x, int64_t, auto* y) {
          // sin(w dt)/w and (1 - cos(w dt))/w, by their series where w is small.
          const auto w = x[4];
          const auto a = w * dt;
          auto s = dt * (1.0 - a * a * (1.0 / 6.0)), c = dt * (0.5 * a - a * a * a * (1.0 / 24.0));
          if (a > 1e-3 || a < -1e-3) {
            s = sin(a) / w;
            c = (1.0 - cos(a)) / w;
          }
          y[0] = x[0] + s * x[2] - c * x[3];
          y[1] = x[1] + c * x[2] + s * x[3];
          y[2] = cos(a) * x[2] - sin(a) * x[3];
          y[3] = sin(a) * x[2] + cos(a) * x[3];
          y[4] = x[4];
        },
        [](const auto* x, int64_t, auto* y) {
          y[0] = x[0];
          y[1] = x[1];
        },
        q, MatrixXd(at("r") * MatrixXd::Identity(2, 2)), list({0, 0, 0, 0, 0}),
        list({1e4, 1e4, 100, 100, 0.01}));
  } else if (name_ == "range-bearing" || name_ == "bearings") {
    const double dt = at("dt"), x1 = at("x1"), y1 = at("y1");
    const auto move = [=](const auto* x, int64_t, auto* y) {
      y[0] = x[0] + dt * x[2];
      y[1] = x[1] + dt * x[3];
      y[2] = x[2];
      y[3] = x[3];
    };
    if (name_ == "range-bearing") {
      MatrixXd r = MatrixXd::Zero(2, 2);
      r(0, 0) = at("r_range");
      r(1, 1) = at("r_bearing");
      m = assembled(
          4, 2, move,
          [=](const auto* x, int64_t, auto* y) {
            const auto dx = x[0] - x1, dy = x[1] - y1;
            y[0] = sqrt(dx * dx + dy * dy);
            y[1] = atan2(dy, dx);
          },
          plane_noise(at("q"), dt), r, list({50, 50, 0, 0}), list({2500, 2500, 25, 25}));
      set_angles(m, 1);
    } else {
      if (at("sensors") != 1 && at("sensors") != 2) {
        throw Error(ExitCode::kData, "is 1 or 2", "model bearings: sensors");
      }
      const bool two = at("sensors") == 2;
      const double x2 = at("x2"), y2 = at("y2");
      const int64_t p = two ? 2 : 1;
      m = assembled(
          4, p, move,
          [=](const auto* x, int64_t, auto* y) {
            y[0] = atan2(x[1] - y1, x[0] - x1);
            if (two) y[1] = atan2(x[1] - y2, x[0] - x2);
          },
          plane_noise(at("q"), dt), MatrixXd(at("r_bearing") * MatrixXd::Identity(p, p)),
          list({50, 50, 0, 0}), list({2500, 2500, 25, 25}));
      set_angles(m, 0);
    }
  } else {
    const double mu = at("mu"), phi = at("phi"), v = at("sigma") * at("sigma");
    m = assembled(
        1, 1, [=](const auto* x, int64_t, auto* y) { y[0] = mu + phi * (x[0] - mu); },
        [](const auto* x, int64_t, auto* y) { y[0] = x[0] + kLogChiMean; },
        MatrixXd::Constant(1, 1, v), MatrixXd::Constant(1, 1, kLogChiVariance), list({mu}),
        list({v / (1 - phi * phi)}));
  }
  if (mean0.defined()) m.mean0 = mean0;
  if (cov0.defined()) m.cov0 = cov0;
  return m;
}

ParticleModel NamedModel::particle() const {
  ParticleModel m{.model = gaussian(), .log_density = {}};
  if (name_ == "volatility") {
    m.log_density = [](std::span<const double> y, std::span<const double> x, int64_t) {
      return -0.5 * (std::log(2 * kPi) + x[0] + y[0] * y[0] * std::exp(-x[0]));
    };
  }
  return m;
}

at::Tensor NamedModel::prepare(const at::Tensor& y) const {
  if (name_ != "volatility") return y;
  return (y.square() + 1e-6 * std::exp(at("mu"))).log();
}

Simulated NamedModel::simulate(int64_t steps, int64_t seed) const {
  if (steps < 0) throw Error(ExitCode::kUsage, "must not be negative", "steps");
  const NonlinearModel m = gaussian();
  const int64_t n = m.states, p = m.observations;
  Simulated out{at::empty({steps, n}, at::kDouble), at::empty({steps, p}, at::kDouble)};
  const uint64_t key = static_cast<uint64_t>(seed);
  const Random state_noise(key, stream_of("filter.simulate.state"));
  const Random noise(key, stream_of("filter.simulate.observation"));
  const MatrixXd q_root = root_of(matrix_of(m.q)), r_root = root_of(matrix_of(m.r));
  VectorXd x = vector_of(m.mean0) + root_of(matrix_of(m.cov0)) * normals(state_noise, 0, n);
  for (int64_t t = 0; t < steps; ++t) {
    VectorXd y(p), next(n);
    if (name_ == "volatility") {
      y(0) = std::exp(0.5 * x(0)) * normals(noise, t, 1)(0);
    } else {
      m.h({x.data(), size_t(n)}, t, {y.data(), size_t(p)});
      y += r_root * normals(noise, t, p);
      if (angles()) {
        for (int64_t i = name_ == "bearings" ? 0 : 1; i < p; ++i) y(i) = wrapped(y(i));
      }
    }
    put(out.states, t, x);
    put(out.y, t, y);
    m.f({x.data(), size_t(n)}, t, {next.data(), size_t(n)});
    x = next + q_root * normals(state_noise, t + 1, n);
  }
  if (!at::isfinite(out.states).all().item<bool>()) {
    throw Error(ExitCode::kData, "the series is no longer finite", "model " + name_,
                "take a smaller dt or q");
  }
  return out;
}

}  // namespace covary::filter
