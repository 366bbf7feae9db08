#include "covary/stat/filter/components.h"

#include <algorithm>
#include <map>
#include <numbers>

#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/stat/filter/model_view.h"

namespace covary::filter {
namespace {

using PKind = Parameter::Kind;

constexpr int64_t kStates = 1000;  // at most: matrices of 8 MB

const std::vector<std::string>& names() {
  static const std::vector<std::string> all = {
      "level", "constant", "trend", "seasonal", "cycle", "ar", "velocity", "acceleration", "noise"};
  return all;
}

[[noreturn]] void refuse(const std::string& text, const std::string& what,
                         const std::string& hint = "") {
  throw Error(ExitCode::kUsage, what, "model \"" + text + "\"",
              hint.empty() ? "write terms like level+seasonal(12)+noise(0.5)" : hint);
}

// The stationary covariance of x' = F x + w: P = F P F' + Q, by doubling.
MatrixXd stationary(MatrixXd f, const MatrixXd& q) {
  MatrixXd p = q;
  for (int i = 0; i < 60 && f.cwiseAbs().maxCoeff() > 1e-20; ++i) {
    p = (p + f * p * f.transpose()).eval();
    f = (f * f).eval();
  }
  return 0.5 * (p + p.transpose());
}

}  // namespace

std::vector<double> coefficients_of_partials(const std::vector<double>& partials) {
  std::vector<double> phi;
  for (const double r : partials) {
    std::vector<double> next = phi;
    for (size_t i = 0; i < phi.size(); ++i) next[i] = phi[i] - r * phi[phi.size() - 1 - i];
    next.push_back(r);
    phi = std::move(next);
  }
  return phi;
}

std::vector<double> partials_of_coefficients(std::vector<double> phi) {
  std::vector<double> partials(phi.size());
  while (!phi.empty()) {
    const size_t k = phi.size() - 1;
    const double r = partials[k] = phi[k];
    std::vector<double> before(k);
    for (size_t i = 0; i < k; ++i) before[i] = (phi[i] + r * phi[k - 1 - i]) / (1 - r * r);
    phi = std::move(before);
  }
  return partials;
}

bool Components::knows(const std::vector<Term>& terms) {
  return std::all_of(terms.begin(), terms.end(), [](const Term& t) {
    return std::find(names().begin(), names().end(), t.name) != names().end();
  });
}

size_t Components::add(const std::string& name, PKind kind, const std::string& help) {
  parameters_.push_back({.name = name, .kind = kind, .help = help});
  return parameters_.size() - 1;
}

Components Components::parse(const std::string& text, int64_t columns) {
  Components c;
  c.text_ = text;
  c.columns_ = columns;
  if (columns < 1) refuse(text, "needs at least one column");
  static const std::map<std::string, Kind> kinds = {
      {"level", Kind::kLevel},       {"constant", Kind::kConstant},
      {"trend", Kind::kTrend},       {"seasonal", Kind::kSeasonal},
      {"cycle", Kind::kCycle},       {"ar", Kind::kAr},
      {"velocity", Kind::kVelocity}, {"acceleration", Kind::kAcceleration}};
  struct Wanted {
    std::string key;  // of the argument
    std::string name;
    PKind kind;
    std::string help;
  };
  std::map<std::string, int> seen;
  const std::vector<Term> terms = parse_terms(text);
  const auto suffix = [&](int64_t column) {
    return columns > 1 ? "." + std::to_string(column + 1) : std::string();
  };
  // Values of a term's arguments into its parameters, by key or in order.
  const auto take = [&](const Term& t, const std::vector<Term::Argument>& arguments,
                        const std::vector<Wanted>& wanted, const std::vector<size_t>& first) {
    size_t position = 0;
    std::vector<bool> given(wanted.size());
    for (const Term::Argument& a : arguments) {
      size_t k = position;
      if (!a.key.empty()) {
        std::vector<std::string> keys;
        for (const Wanted& w : wanted) keys.push_back(w.key);
        k = static_cast<size_t>(std::find(keys.begin(), keys.end(), a.key) - keys.begin());
        if (k == keys.size()) {
          const std::string near = nearest_word(a.key, keys);
          refuse(text, "'" + a.key + "' is no argument of " + t.name,
                 near.empty() ? "" : "did you mean " + near + "?");
        }
      } else {
        ++position;
      }
      if (k >= wanted.size()) refuse(text, t.name + " has too many arguments");
      if (given[k]) refuse(text, t.name + " has " + wanted[k].key + " twice");
      given[k] = true;
      for (const size_t f : first) {
        Parameter& p = c.parameters_[f + k];
        p.value = a.value;
        p.free = a.free;
        check_parameter(p, "model \"" + text + "\"");
      }
    }
  };
  bool only_ar = true, noise_written = false;
  for (const Term& t : terms) {
    if (t.name == "noise") {
      if (noise_written) refuse(text, "has noise twice");
      noise_written = true;
      for (int64_t k = 0; k < columns; ++k)
        c.noise_.push_back(
            c.add("noise" + suffix(k), PKind::kVariance, "variance of the observation"));
      take(t, t.arguments, {{"variance", "", PKind::kVariance, ""}}, c.noise_);
      continue;
    }
    const auto found = kinds.find(t.name);
    if (found == kinds.end()) {
      const std::string near = nearest_word(t.name, names());
      std::string all;
      for (const std::string& n : names()) all += (all.empty() ? "" : ", ") + n;
      refuse(text, "'" + t.name + "' is no component",
             near.empty() ? "there are " + all : "did you mean " + near + "?");
    }
    Part part{found->second, t.name, 1, {}};
    if (part.kind != Kind::kAr) only_ar = false;
    if (++seen[t.name] > 1) part.name += std::to_string(seen[t.name]);
    std::vector<Term::Argument> arguments = t.arguments;
    // Periods of seasons and orders are whole numbers that decide how many states there are.
    if (part.kind == Kind::kSeasonal || part.kind == Kind::kAr) {
      const std::string key = part.kind == Kind::kAr ? "order" : "period";
      const double least = part.kind == Kind::kAr ? 1 : 2;
      if (arguments.empty() || (!arguments[0].key.empty() && arguments[0].key != key))
        refuse(text, t.name + " needs its " + key + " first",
               part.kind == Kind::kAr ? "write ar(2)" : "write seasonal(12)");
      const double size = arguments[0].value;
      if (arguments[0].free || size != std::floor(size) || size < least || size > 400)
        refuse(text, "the " + key + " of " + t.name + " must be a whole number from " +
                         std::to_string(int(least)) + " to 400");
      part.size = static_cast<int64_t>(size) - (part.kind == Kind::kAr ? 0 : 1);
      arguments.erase(arguments.begin());
    }
    std::vector<Wanted> wanted;
    switch (part.kind) {
      case Kind::kLevel:
        wanted = {{"variance", "", PKind::kVariance, "variance of the level's step"}};
        break;
      case Kind::kConstant:
        break;
      case Kind::kTrend:
        wanted = {{"level", ".level", PKind::kVariance, "variance of the level's step"},
                  {"slope", ".slope", PKind::kVariance, "variance of the slope's step"}};
        part.size = 2;
        break;
      case Kind::kSeasonal:
        wanted = {{"variance", "", PKind::kVariance, "variance of the season's step"}};
        break;
      case Kind::kCycle:
        wanted = {{"period", ".period", PKind::kPositive, "steps, above 2"},
                  {"damping", ".damping", PKind::kShare, "what is left of it after a step"},
                  {"variance", "", PKind::kVariance, "variance of the cycle's step"}};
        part.size = 2;
        break;
      case Kind::kAr:
        wanted = {{"variance", "", PKind::kVariance, "variance of the autoregression's step"}};
        for (int64_t i = 1; i <= part.size; ++i) {
          const std::string phi = "phi" + std::to_string(i);
          wanted.push_back({phi, "." + phi, PKind::kAutoregressive, "coefficient"});
        }
        break;
      case Kind::kVelocity:
      case Kind::kAcceleration:
        part.size = part.kind == Kind::kVelocity ? 2 : 3;
        wanted = {{"q", "", PKind::kVariance, "density of the white noise that drives it"},
                  {"dt", ".dt", PKind::kPositive, "time of a step"}};
        break;
    }
    const bool shared = part.kind == Kind::kVelocity || part.kind == Kind::kAcceleration;
    std::vector<size_t> first;
    for (int64_t k = 0; k < columns; ++k) {
      if (shared && k > 0) {
        part.parameter.push_back(part.parameter[0]);
        continue;
      }
      part.parameter.push_back(c.parameters_.size());
      first.push_back(c.parameters_.size());
      for (const Wanted& w : wanted)
        c.add(part.name + w.name + (shared ? "" : suffix(k)), w.kind, w.help);
    }
    if (shared) {
      Parameter& dt = c.parameters_[part.parameter[0] + 1];
      dt.value = 1;
      dt.free = false;
    }
    take(t, arguments, wanted, first);
    c.parts_.push_back(std::move(part));
  }
  if (c.parts_.empty()) refuse(text, "has no component beside noise");
  if (c.states() > kStates)
    refuse(text,
           "has " + std::to_string(c.states()) + " states in " + std::to_string(columns) +
               " columns, and filters hold " + std::to_string(kStates),
           "choose some columns with --columns, or a shorter period");
  if (!noise_written && !only_ar) {
    for (int64_t k = 0; k < columns; ++k)
      c.noise_.push_back(
          c.add("noise" + suffix(k), PKind::kVariance, "variance of the observation"));
  }
  return c;
}

int64_t Components::states() const {
  int64_t n = 0;
  for (const Part& p : parts_) n += p.size;
  return n * columns_;
}

std::vector<std::string> Components::state_names(const std::vector<std::string>& columns) const {
  std::vector<std::string> out;
  for (int64_t k = 0; k < columns_; ++k) {
    const std::string column = static_cast<size_t>(k) < columns.size()
                                   ? columns[static_cast<size_t>(k)]
                                   : "y" + std::to_string(k);
    const std::string before = columns_ > 1 ? column + "." : "";
    for (const Part& p : parts_) {
      switch (p.kind) {
        case Kind::kTrend:
          out.push_back(before + (p.name == "trend" ? "level" : p.name + ".level"));
          out.push_back(before + (p.name == "trend" ? "slope" : p.name + ".slope"));
          break;
        case Kind::kVelocity:
        case Kind::kAcceleration:
          out.push_back(column + ".position");
          out.push_back(column + ".velocity");
          if (p.size == 3) out.push_back(column + ".acceleration");
          break;
        case Kind::kCycle:
          out.push_back(before + p.name);
          out.push_back(before + p.name + ".quadrature");
          break;
        default:
          for (int64_t i = 0; i < p.size; ++i)
            out.push_back(before + p.name + (i ? ".lag" + std::to_string(i) : ""));
      }
    }
  }
  return out;
}

std::vector<int64_t> Components::positions() const {
  if (columns_ < 2 || parts_.empty()) return {};
  if (parts_[0].kind != Kind::kVelocity && parts_[0].kind != Kind::kAcceleration) return {};
  return {0, states() / columns_};
}

LinearModel Components::model() const {
  for (const Parameter& p : parameters_) {
    if (std::isnan(p.value)) {
      throw Error(
          ExitCode::kUsage, "has no value", "model \"" + text_ + "\": " + p.name,
          "write it, as in level(3)+noise(0.5), or fit: covary filter fit TABLE --model ...");
    }
    check_parameter(p, "model \"" + text_ + "\"");
  }
  const int64_t n = states(), each = n / columns_;
  MatrixXd f = MatrixXd::Zero(n, n), q = f, cov0 = f, h = MatrixXd::Zero(columns_, n),
           r = MatrixXd::Zero(columns_, columns_);
  std::vector<int64_t> unknown;
  for (int64_t k = 0; k < columns_; ++k) {
    int64_t at = k * each;
    for (const Part& p : parts_) {
      const auto value = [&](size_t i) {
        return parameters_[p.parameter[static_cast<size_t>(k)] + i].value;
      };
      auto fp = f.block(at, at, p.size, p.size);
      auto qp = q.block(at, at, p.size, p.size);
      h(k, at) = 1;
      bool diffuse = true;
      switch (p.kind) {
        case Kind::kLevel:
          fp(0, 0) = 1;
          qp(0, 0) = value(0);
          break;
        case Kind::kConstant:
          fp(0, 0) = 1;
          break;
        case Kind::kTrend:
          fp << 1, 1, 0, 1;
          qp(0, 0) = value(0);
          qp(1, 1) = value(1);
          break;
        case Kind::kSeasonal:
          fp.row(0).setConstant(-1);
          if (p.size > 1) fp.bottomLeftCorner(p.size - 1, p.size - 1).setIdentity();
          qp(0, 0) = value(0);
          break;
        case Kind::kCycle: {
          const double period = value(0), damping = value(1);
          if (!(period >= 2)) {
            throw Error(ExitCode::kData, "must be at least 2 steps",
                        "model \"" + text_ + "\": " + p.name + ".period");
          }
          const double angle = 2 * std::numbers::pi / period;
          fp << std::cos(angle), std::sin(angle), -std::sin(angle), std::cos(angle);
          fp *= damping;
          qp.diagonal().setConstant(value(2));
          cov0.block(at, at, 2, 2).diagonal().setConstant(value(2) / (1 - damping * damping));
          diffuse = false;
          break;
        }
        case Kind::kAr: {
          std::vector<double> phi;
          for (int64_t i = 0; i < p.size; ++i) phi.push_back(value(size_t(i) + 1));
          for (const double partial : partials_of_coefficients(phi)) {
            if (!(std::abs(partial) < 1)) {
              throw Error(ExitCode::kData, "the coefficients are of no stationary autoregression",
                          "model \"" + text_ + "\": " + p.name,
                          "the roots of 1 - phi1 z - phi2 z^2 - ... must lie outside the circle");
            }
          }
          for (int64_t i = 0; i < p.size; ++i) fp(0, i) = phi[size_t(i)];
          if (p.size > 1) fp.bottomLeftCorner(p.size - 1, p.size - 1).setIdentity();
          qp(0, 0) = value(0);
          cov0.block(at, at, p.size, p.size) = stationary(fp, qp);
          diffuse = false;
          break;
        }
        case Kind::kVelocity: {
          const double dt = value(1);
          fp << 1, dt, 0, 1;
          qp << dt * dt * dt / 3, dt * dt / 2, dt * dt / 2, dt;
          qp *= value(0);
          break;
        }
        case Kind::kAcceleration: {
          const double t = value(1), t2 = t * t, t3 = t2 * t;
          fp << 1, t, t2 / 2, 0, 1, t, 0, 0, 1;
          qp << t3 * t2 / 20, t2 * t2 / 8, t3 / 6, t2 * t2 / 8, t3 / 3, t2 / 2, t3 / 6, t2 / 2, t;
          qp *= value(0);
          break;
        }
      }
      if (diffuse)
        for (int64_t i = 0; i < p.size; ++i) unknown.push_back(at + i);
      at += p.size;
    }
    if (!noise_.empty()) r(k, k) = parameters_[noise_[static_cast<size_t>(k)]].value;
  }
  LinearModel m;
  m.f = tensor_of(f);
  m.q = tensor_of(q);
  m.h = tensor_of(h);
  m.r = tensor_of(r);
  m.mean0 = tensor_of(VectorXd::Zero(n).eval());
  m.cov0 = tensor_of(cov0);
  if (!unknown.empty()) {
    MatrixXd d = MatrixXd::Zero(n, static_cast<int64_t>(unknown.size()));
    for (size_t i = 0; i < unknown.size(); ++i) d(unknown[i], static_cast<int64_t>(i)) = 1;
    m.diffuse = tensor_of(d);
  }
  return m;
}

}  // namespace covary::filter
