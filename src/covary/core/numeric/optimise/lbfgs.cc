#include "covary/core/numeric/optimise/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <numeric>
#include <string>

#include "covary/core/base/error.h"

namespace covary::numeric {
namespace {

using Vector = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double dot(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// A small dense matrix, square, row by row.
class Square {
 public:
  explicit Square(size_t n) : n_(n), a_(n * n) {}
  double& operator()(size_t i, size_t j) { return a_[i * n_ + j]; }
  double operator()(size_t i, size_t j) const { return a_[i * n_ + j]; }
  size_t size() const { return n_; }

  Vector times(const Vector& x) const {
    Vector y(n_);
    for (size_t i = 0; i < n_; ++i) {
      for (size_t j = 0; j < n_; ++j) y[i] += (*this)(i, j) * x[j];
    }
    return y;
  }

  // Elimination with row pivots; false when a pivot vanishes. `right` holds the right-hand side
  // and receives the solution.
  bool solve(Square& right) {
    for (size_t k = 0; k < n_; ++k) {
      size_t best = k;
      for (size_t i = k + 1; i < n_; ++i) {
        if (std::abs((*this)(i, k)) > std::abs((*this)(best, k))) best = i;
      }
      if (!(std::abs((*this)(best, k)) > 0)) return false;
      for (size_t j = 0; j < n_ && best != k; ++j) std::swap((*this)(k, j), (*this)(best, j));
      for (size_t j = 0; j < right.n_ && best != k; ++j) std::swap(right(k, j), right(best, j));
      for (size_t i = 0; i < n_; ++i) {
        if (i == k) continue;
        const double f = (*this)(i, k) / (*this)(k, k);
        if (f == 0) continue;
        for (size_t j = k; j < n_; ++j) (*this)(i, j) -= f * (*this)(k, j);
        for (size_t j = 0; j < n_; ++j) right(i, j) -= f * right(k, j);
      }
    }
    for (size_t i = 0; i < n_; ++i) {
      for (size_t j = 0; j < n_; ++j) right(i, j) /= (*this)(i, i);
    }
    return true;
  }

 private:
  size_t n_;
  Vector a_;
};

// The quadratic model: Hessian theta I - W M W', with W = [Y, theta S].
class Model {
 public:
  explicit Model(size_t history) : history_(history) {}

  void clear() {
    if (!steps_.empty()) last_ = pairs();
    steps_.clear();
    changes_.clear();
    theta_ = 1;
    middle_ = Square(0);
  }
  bool empty() const { return steps_.empty(); }
  // The pairs at hand, or those that were forgotten last.
  Curvature curvature() const { return empty() ? last_ : pairs(); }
  double theta() const { return theta_; }
  size_t width() const { return 2 * steps_.size(); }
  const Square& middle() const { return middle_; }

  // Row i of W.
  Vector row(size_t i) const {
    Vector w(width());
    const size_t k = steps_.size();
    for (size_t c = 0; c < k; ++c) {
      w[c] = changes_[c][i];
      w[k + c] = theta_ * steps_[c][i];
    }
    return w;
  }
  // W' v.
  Vector project(const Vector& v) const {
    Vector p;
    p.reserve(width());
    for (const Vector& y : changes_) p.push_back(dot(y, v));
    for (const Vector& s : steps_) p.push_back(theta_ * dot(s, v));
    return p;
  }

  void add(Vector step, Vector change) {
    const double curvature = dot(step, change), size = dot(change, change);
    // A pair without positive curvature would make the model indefinite.
    if (!(curvature > std::numeric_limits<double>::epsilon() * size)) return;
    steps_.push_back(std::move(step));
    changes_.push_back(std::move(change));
    if (steps_.size() > history_) {
      steps_.pop_front();
      changes_.pop_front();
    }
    theta_ = size / curvature;
    const size_t k = steps_.size();
    Square inner(2 * k);
    middle_ = Square(2 * k);
    for (size_t i = 0; i < k; ++i) {
      inner(i, i) = -dot(steps_[i], changes_[i]);
      for (size_t j = 0; j < k; ++j) {
        inner(k + i, k + j) = theta_ * dot(steps_[i], steps_[j]);
        if (i > j) inner(k + i, j) = inner(j, k + i) = dot(steps_[i], changes_[j]);
      }
    }
    for (size_t i = 0; i < 2 * k; ++i) middle_(i, i) = 1;
    if (!inner.solve(middle_)) clear();
  }

 private:
  Curvature pairs() const {
    return {{steps_.begin(), steps_.end()}, {changes_.begin(), changes_.end()}};
  }

  size_t history_;
  std::deque<Vector> steps_, changes_;
  Curvature last_;
  double theta_ = 1;
  Square middle_{0};
};

class Search {
 public:
  Search(const Objective& objective, Vector lower, Vector upper, const LbfgsOptions& options)
      : objective_(objective),
        lower_(std::move(lower)),
        upper_(std::move(upper)),
        options_(options),
        model_(static_cast<size_t>(options.history)) {}

  Optimum run(Vector start, const Curvature& known) {
    for (size_t k = 0; k < known.steps.size(); ++k) model_.add(known.steps[k], known.changes[k]);
    x_ = std::move(start);
    for (size_t i = 0; i < x_.size(); ++i) x_[i] = std::clamp(x_[i], lower_[i], upper_[i]);
    gradient_.resize(x_.size());
    value_ = evaluate(x_, gradient_);
    result_.trace.push_back(value_);
    result_.ending = Ending::kIterations;
    if (value_ == kInfinity) {
      result_.ending = Ending::kLineSearch;
    } else {
      descend();
    }
    return finish();
  }

 private:
  // +infinity when the value or a gradient entry is not finite.
  double evaluate(const Vector& x, Vector& gradient) {
    ++result_.evaluations;
    const double value = objective_(x, gradient);
    const bool finite =
        std::isfinite(value) &&
        std::all_of(gradient.begin(), gradient.end(), [](double g) { return std::isfinite(g); });
    return finite ? value : kInfinity;
  }

  bool seen() const {
    return !options_.watch || options_.watch({result_.iterations, value_, projected_norm()});
  }

  void descend() {
    bool rounding = false;       // the last step lowered f by no more than rounding
    double promise = kInfinity;  // decrease that the last model with memory promised
    for (;;) {
      if (!seen()) {
        result_.ending = Ending::kStopped;
        return;
      }
      if (projected_norm() <= options_.gradient_tolerance) {
        result_.ending = Ending::kConverged;
        return;
      }
      if (result_.iterations >= options_.iterations) return;
      Vector direction = model_direction();
      if (!(dot(direction, gradient_) < 0) && !model_.empty()) {
        model_.clear();
        direction = model_direction();
      }
      const Vector x = x_, gradient = gradient_;
      const double before = value_, scale = std::max(std::abs(value_), 1e-300);
      const double slope = dot(direction, gradient_);
      if (!model_.empty()) promise = -slope;
      if (!(slope < 0) || !line_search(direction)) {
        if (model_.empty()) {
          const bool spent = promise <= 25 * noise_of(scale);
          result_.ending = spent ? Ending::kConverged : Ending::kLineSearch;
          return;
        }
        model_.clear();  // once more along the plain gradient
        continue;
      }
      ++result_.iterations;
      result_.trace.push_back(value_);
      const bool before_too = rounding;
      rounding = before - value_ <= options_.value_tolerance * scale;
      if (rounding && before_too) {
        result_.ending = Ending::kConverged;
        return;
      }
      if (rounding) {
        model_.clear();  // perhaps the model was bad: the plain gradient decides
        continue;
      }
      Vector step(x.size()), change(x.size());
      for (size_t i = 0; i < x.size(); ++i) {
        step[i] = x_[i] - x[i];
        change[i] = gradient_[i] - gradient[i];
      }
      model_.add(std::move(step), std::move(change));
    }
  }

  // The step from x to the model's minimum in the box.
  Vector model_direction() {
    const size_t n = x_.size(), width = model_.width();
    Vector cauchy = x_, breaks(n), d(n);
    std::vector<size_t> order;
    for (size_t i = 0; i < n; ++i) {
      const double g = gradient_[i];
      breaks[i] = g < 0 ? (x_[i] - upper_[i]) / g : g > 0 ? (x_[i] - lower_[i]) / g : kInfinity;
      if (breaks[i] > 0) {
        d[i] = -g;
        if (breaks[i] < kInfinity) order.push_back(i);
      }
    }
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return breaks[a] < breaks[b] || (breaks[a] == breaks[b] && a < b);
    });
    Vector p = model_.project(d), c(width);
    const Square& m = model_.middle();
    const double theta = model_.theta();
    double slope = -dot(d, d);
    if (slope == 0) return Vector(n);
    double curvature = -theta * slope - dot(p, m.times(p));
    const double least = std::numeric_limits<double>::epsilon() * -theta * slope;
    curvature = std::max(curvature, least);
    double left = -slope / curvature, at = 0;
    size_t next = 0;
    for (; next < order.size(); ++next) {
      const size_t b = order[next];
      const double span = breaks[b] - at;
      if (left < span) break;
      cauchy[b] = d[b] > 0 ? upper_[b] : lower_[b];
      const double z = cauchy[b] - x_[b], g = gradient_[b];
      for (size_t k = 0; k < width; ++k) c[k] += span * p[k];
      const Vector w = model_.row(b), mw = m.times(w);
      slope += span * curvature + g * g + theta * g * z - g * dot(mw, c);
      curvature -= theta * g * g + 2 * g * dot(mw, p) + g * g * dot(mw, w);
      curvature = std::max(curvature, least);
      for (size_t k = 0; k < width; ++k) p[k] += g * w[k];
      d[b] = 0;
      left = slope < 0 ? -slope / curvature : 0;
      at = breaks[b];
    }
    at += left;
    for (size_t k = 0; k < width; ++k) c[k] += left * p[k];
    for (size_t i = 0; i < n; ++i) {
      if (d[i] != 0) cauchy[i] = std::clamp(x_[i] + at * d[i], lower_[i], upper_[i]);
    }
    refine(cauchy, c);
    for (size_t i = 0; i < n; ++i) cauchy[i] -= x_[i];
    return cauchy;
  }

  // Moves the Cauchy point to the model's minimum over the variables inside their bounds, as far as
  // the box allows.
  void refine(Vector& point, const Vector& c) const {
    const size_t n = x_.size(), width = model_.width();
    if (width == 0) return;
    std::vector<size_t> free;
    for (size_t i = 0; i < n; ++i) {
      if (point[i] > lower_[i] && point[i] < upper_[i]) free.push_back(i);
    }
    if (free.empty()) return;
    const Square& m = model_.middle();
    const double theta = model_.theta();
    const Vector mc = m.times(c);
    Vector reduced(n), projected(width);
    Square gram(width);
    for (const size_t i : free) {
      const Vector w = model_.row(i);
      reduced[i] = gradient_[i] + theta * (point[i] - x_[i]) - dot(w, mc);
      for (size_t k = 0; k < width; ++k) {
        projected[k] += w[k] * reduced[i];
        for (size_t l = 0; l < width; ++l) gram(k, l) += w[k] * w[l];
      }
    }
    const Vector right = m.times(projected);
    Square system(width), solution(width);
    for (size_t k = 0; k < width; ++k) {
      for (size_t l = 0; l < width; ++l) {
        double s = 0;
        for (size_t q = 0; q < width; ++q) s += m(k, q) * gram(q, l);
        system(k, l) = (k == l ? 1.0 : 0.0) - s / theta;
      }
      solution(k, 0) = right[k];
    }
    if (!system.solve(solution)) return;
    Vector v(width);
    for (size_t k = 0; k < width; ++k) v[k] = solution(k, 0);
    Vector move(n);
    double share = 1;
    for (const size_t i : free) {
      move[i] = -reduced[i] / theta - dot(model_.row(i), v) / (theta * theta);
      if (move[i] > 0) share = std::min(share, (upper_[i] - point[i]) / move[i]);
      if (move[i] < 0) share = std::min(share, (lower_[i] - point[i]) / move[i]);
    }
    for (const size_t i : free) {
      point[i] = std::clamp(point[i] + share * move[i], lower_[i], upper_[i]);
    }
  }

  // Differences of f that are rounding.
  double noise_of(double scale) const {
    return std::max(4 * std::numeric_limits<double>::epsilon(), options_.value_tolerance) * scale;
  }

  // One point of the line search.
  struct Probe {
    double at = 0, value = 0, slope = 0;
  };

  Probe probe(const Vector& direction, double at) {
    trial_.resize(x_.size());
    trial_gradient_.resize(x_.size());
    for (size_t i = 0; i < x_.size(); ++i) {
      // A variable that reaches its bound but for rounding is on it.
      const double near = 4 * std::numeric_limits<double>::epsilon() * std::abs(x_[i]);
      double t = x_[i] + at * direction[i];
      if (direction[i] > 0 && t >= upper_[i] - near) t = upper_[i];
      if (direction[i] < 0 && t <= lower_[i] + near) t = lower_[i];
      trial_[i] = t;
    }
    const double value = evaluate(trial_, trial_gradient_);
    return {at, value, value < kInfinity ? dot(trial_gradient_, direction) : kInfinity};
  }

  // Minimum of the cubic through two probes, kept off the ends; the middle when there is none.
  static double between(const Probe& a, const Probe& b) {
    const double low = std::min(a.at, b.at), high = std::max(a.at, b.at), width = high - low;
    if (b.value == kInfinity) return a.at + 0.25 * (b.at - a.at);
    const double d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.at - b.at);
    const double root = d1 * d1 - a.slope * b.slope;
    double at = low + 0.5 * width;
    if (root >= 0) {
      const double d2 = std::copysign(std::sqrt(root), b.at - a.at);
      const double cubic =
          b.at - (b.at - a.at) * (b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2);
      if (std::isfinite(cubic)) at = cubic;
    }
    return std::clamp(at, low + 0.1 * width, high - 0.1 * width);
  }

  // Moves x along the direction; false when no probe lowers f.
  bool line_search(const Vector& direction) {
    constexpr double kDecrease = 1e-4, kCurvature = 0.9;
    double limit = kInfinity;
    for (size_t i = 0; i < x_.size(); ++i) {
      if (direction[i] > 0) limit = std::min(limit, (upper_[i] - x_[i]) / direction[i]);
      if (direction[i] < 0) limit = std::min(limit, (lower_[i] - x_[i]) / direction[i]);
    }
    limit = std::max(limit, 1.0);  // the model's point lies in the box, but for rounding
    const Probe start{0, value_, dot(gradient_, direction)};
    const auto flat_enough = [&](const Probe& p) {
      return std::abs(p.slope) <= -kCurvature * start.slope;
    };
    // Values that differ by less than this tell nothing; then the slope alone decides.
    const double noise = noise_of(std::abs(value_));
    const auto low_enough = [&](const Probe& p) {
      return (p.value < value_ && p.value <= value_ + kDecrease * p.at * start.slope) ||
             (p.value <= value_ + noise && flat_enough(p));
    };
    double first = 1;
    if (model_.empty()) first = std::min(1.0, 1 / std::sqrt(dot(direction, direction)));
    Probe low = start, high{};
    bool bracketed = false;
    double at = std::min(first, limit);
    for (int64_t e = 0; e < options_.line_evaluations; ++e) {
      const Probe p = probe(direction, at);
      if (!low_enough(p) || (low.at > 0 && p.value >= low.value && !flat_enough(p))) {
        high = p;
        bracketed = true;
      } else {
        keep(p.value);
        if (flat_enough(p)) break;
        if (p.slope >= 0 || (bracketed && p.slope * (high.at - low.at) >= 0)) {
          high = low;
          bracketed = true;
        }
        low = p;
        if (!bracketed && p.at >= limit) break;  // still falling at the border of the box
      }
      at = bracketed ? between(low, high) : std::min(limit, 4 * low.at);
      if (bracketed && std::abs(high.at - low.at) <= 1e-15 * std::max(low.at, high.at)) break;
      if (at == 0) break;
    }
    if (!kept_) return false;
    kept_ = false;
    if (best_value_ > value_) return false;  // within the noise, but f must not rise
    x_.swap(best_);
    gradient_.swap(best_gradient_);
    value_ = best_value_;
    return true;
  }

  // Remembers the trial if it is the lowest of this line search.
  void keep(double value) {
    if (kept_ && best_value_ < value) return;
    kept_ = true;
    best_ = trial_;
    best_gradient_ = trial_gradient_;
    best_value_ = value;
  }

  // The gradient without what pushes against a bound.
  double projected(size_t i) const {
    return x_[i] - std::clamp(x_[i] - gradient_[i], lower_[i], upper_[i]);
  }
  double projected_norm() const {
    double norm = 0;
    for (size_t i = 0; i < x_.size(); ++i) norm = std::max(norm, std::abs(projected(i)));
    return norm;
  }

  Optimum finish() {
    result_.gradient_norm = value_ < kInfinity ? projected_norm() : kInfinity;
    for (size_t i = 0; i < x_.size(); ++i) {
      const bool low = x_[i] <= lower_[i] && gradient_[i] > options_.gradient_tolerance;
      const bool high = x_[i] >= upper_[i] && gradient_[i] < -options_.gradient_tolerance;
      if (low || high) result_.at_bound.push_back(static_cast<int64_t>(i));
    }
    if (result_.ending == Ending::kConverged && !result_.at_bound.empty()) {
      result_.ending = Ending::kAtBound;
    }
    result_.x = std::move(x_);
    result_.value = value_;
    result_.gradient = std::move(gradient_);
    result_.curvature = model_.curvature();
    return std::move(result_);
  }

  const Objective& objective_;
  Vector lower_, upper_;
  const LbfgsOptions& options_;
  Model model_;
  Vector x_, gradient_, trial_, trial_gradient_, best_, best_gradient_;
  double value_ = 0, best_value_ = 0;
  bool kept_ = false;
  Optimum result_;
};

}  // namespace

void Curvature::scale(double factor) {
  for (std::vector<double>& change : changes) {
    for (double& c : change) c *= factor;
  }
}

std::string_view name_of(Ending ending) {
  switch (ending) {
    case Ending::kConverged:
      return "converged";
    case Ending::kAtBound:
      return "at bound";
    case Ending::kLineSearch:
      return "line search";
    case Ending::kIterations:
      return "iterations";
    case Ending::kStopped:
      return "stopped";
  }
  return "";
}

bool ending_of(std::string_view name, Ending* ending) {
  for (const Ending e : {Ending::kConverged, Ending::kAtBound, Ending::kLineSearch,
                         Ending::kIterations, Ending::kStopped}) {
    if (name_of(e) != name) continue;
    *ending = e;
    return true;
  }
  return false;
}

Optimum minimise(const Objective& objective, std::vector<double> start,
                 std::span<const double> lower, std::span<const double> upper,
                 const LbfgsOptions& options, const Curvature& known) {
  options.check();
  const size_t n = start.size();
  const auto refuse = [](const std::string& what) {
    throw Error(ExitCode::kUsage, what, "minimise");
  };
  Vector low(lower.begin(), lower.end()), high(upper.begin(), upper.end());
  if (low.empty()) low.assign(n, -kInfinity);
  if (high.empty()) high.assign(n, kInfinity);
  if (low.size() != n || high.size() != n) refuse("bounds and start differ in size");
  for (size_t i = 0; i < n; ++i) {
    if (!std::isfinite(start[i])) refuse("start " + std::to_string(i) + " is not finite");
    if (!(low[i] <= high[i])) refuse("lower bound " + std::to_string(i) + " exceeds the upper");
  }
  if (known.steps.size() != known.changes.size()) refuse("curvature: a step without its change");
  for (size_t k = 0; k < known.steps.size(); ++k) {
    if (known.steps[k].size() != n || known.changes[k].size() != n) {
      refuse("curvature and start differ in size");
    }
  }
  return Search(objective, std::move(low), std::move(high), options).run(std::move(start), known);
}

}  // namespace covary::numeric
