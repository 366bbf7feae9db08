#include "covary/stat/process/markov_filter.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kStill = 1e-14;  // share by which a covariance that stands still may yet move
constexpr size_t kSegment = 128;  // steps whose states are kept at once

using Block = MarkovForm::Block;
using Step = MarkovForm::Step;

// out[i] = A m, block by block; turned: A' m.
void apply(const std::vector<Block>& blocks, const Step& step, bool turned, const double* m,
           double* out) {
  for (size_t b = 0; b < blocks.size(); ++b) {
    const int64_t d = blocks[b].size, at = blocks[b].offset;
    const double* a = step.a[b].data();
    for (int64_t i = 0; i < d; ++i) {
      double s = 0;
      for (int64_t k = 0; k < d; ++k) s += (turned ? a[k * d + i] : a[i * d + k]) * m[at + k];
      out[at + i] = s;
    }
  }
}

// out = A P A' (turned: A' P A) of a symmetric P [s, s]; half holds A P (A' P), [s, s].
void sandwich(const std::vector<Block>& blocks, const Step& step, bool turned, int64_t s,
              const double* p, double* half, double* out) {
  for (size_t b = 0; b < blocks.size(); ++b) {
    const int64_t d = blocks[b].size, at = blocks[b].offset;
    const double* a = step.a[b].data();
    for (int64_t i = 0; i < d; ++i) {
      double* row = half + (at + i) * s;
      std::fill_n(row, s, 0.0);
      for (int64_t k = 0; k < d; ++k) {
        const double v = turned ? a[k * d + i] : a[i * d + k];
        const double* from = p + (at + k) * s;
        for (int64_t j = 0; j < s; ++j) row[j] += v * from[j];
      }
    }
  }
  for (size_t b = 0; b < blocks.size(); ++b) {
    const int64_t d = blocks[b].size, at = blocks[b].offset;
    const double* a = step.a[b].data();
    for (int64_t i = at; i < s; ++i) {  // the lower half of block columns
      const double* row = half + i * s + at;
      for (int64_t j = 0; j < d; ++j) {
        double v = 0;
        for (int64_t k = 0; k < d; ++k) v += row[k] * (turned ? a[k * d + j] : a[j * d + k]);
        out[i * s + at + j] = v;
      }
    }
  }
  for (int64_t i = 0; i < s; ++i) {
    for (int64_t j = 0; j < i; ++j) out[j * s + i] = out[i * s + j];
  }
}

struct State {
  std::vector<double> m, p;  // [s], [s, s]
};

class Filter {
 public:
  Filter(const MarkovForm& form, std::span<const double> t, std::span<const double> y,
         std::span<const double> extra, std::span<const double> weights)
      : form_(form),
        t_(t),
        y_(y),
        extra_(extra),
        weights_(weights),
        s_(form.states()),
        half_(static_cast<size_t>(s_ * s_)),
        moved_(half_.size()),
        vector_(static_cast<size_t>(s_)) {
    for (const Block& b : form.blocks()) seen_.push_back(b.offset);
  }

  State stationary() const {
    State x{std::vector<double>(static_cast<size_t>(s_)), std::vector<double>(half_.size())};
    for (const Block& b : form_.blocks()) {
      for (int64_t i = 0; i < b.size; ++i) {
        for (int64_t j = 0; j < b.size; ++j) {
          x.p[static_cast<size_t>((b.offset + i) * s_ + b.offset + j)] =
              b.stationary[static_cast<size_t>(i * b.size + j)];
        }
      }
    }
    return x;
  }

  // Gaps that differ by the rounding of their times are one.
  double gap(size_t k, double before) const {
    const double g = t_[k] - t_[k - 1];
    const double rounding = 1e-15 * std::max(std::abs(t_[k]), std::abs(t_[k - 1]));
    return std::abs(g - before) <= rounding ? before : g;
  }
  bool missing(size_t k) const { return std::isnan(y_[k]); }
  double weight(size_t k) const { return weights_.empty() ? 1 : weights_[k]; }
  double noise(size_t k) const {
    return form_.noise() / weight(k) + (extra_.empty() ? 0 : extra_[k]);
  }
  bool even() const { return extra_.empty() && weights_.empty(); }  // all points have one noise
  const std::vector<int64_t>& seen() const { return seen_; }

  // To point k >= 1.
  void predict(const Step& step, State* x) {
    predict_mean(step, x);
    sandwich(form_.blocks(), step, false, s_, x->p.data(), half_.data(), moved_.data());
    add_process_noise(step, moved_.data());
    std::swap(x->p, moved_);
  }
  void predict_mean(const Step& step, State* x) {
    apply(form_.blocks(), step, false, x->m.data(), vector_.data());
    std::swap(x->m, vector_);
  }

  struct Innovation {
    double v = 0, s = 0;
    bool sound = false;
  };
  // c = P h.
  Innovation innovation(size_t k, const State& x, double* c) const {
    const std::vector<double>& h = form_.show();
    std::fill_n(c, s_, 0.0);
    Innovation out{y_[k], noise(k)};
    for (const int64_t b : seen_) {
      const double weight = h[static_cast<size_t>(b)];
      const double* row = x.p.data() + b * s_;
      for (int64_t i = 0; i < s_; ++i) c[i] += weight * row[i];
      out.v -= weight * x.m[static_cast<size_t>(b)];
    }
    double f = 0;
    for (const int64_t b : seen_) f += h[static_cast<size_t>(b)] * c[b];
    out.s += std::max(f, 0.0);
    out.sound = out.s > 0 && std::isfinite(out.s) && std::isfinite(out.v);
    return out;
  }
  double surprise(size_t k, const State& x) const {
    double v = y_[k];
    for (const int64_t b : seen_) {
      v -= form_.show()[static_cast<size_t>(b)] * x.m[static_cast<size_t>(b)];
    }
    return v;
  }
  void update(const Innovation& n, const double* c, State* x) const {
    update_mean(n, c, x);
    update_covariance(n, c, x);
  }
  void update_covariance(const Innovation& n, const double* c, State* x) const {
    for (int64_t i = 0; i < s_; ++i) {
      const double g = c[i] / n.s;
      double* row = x->p.data() + i * s_;
      for (int64_t j = 0; j < s_; ++j) row[j] -= g * c[j];
    }
  }
  void update_mean(const Innovation& n, const double* c, State* x) const {
    const double gain = n.v / n.s;
    for (int64_t i = 0; i < s_; ++i) x->m[static_cast<size_t>(i)] += gain * c[i];
  }

 private:
  void add_process_noise(const Step& step, double* p) const {
    for (size_t b = 0; b < form_.blocks().size(); ++b) {
      const int64_t d = form_.blocks()[b].size, at = form_.blocks()[b].offset;
      for (int64_t i = 0; i < d; ++i) {
        for (int64_t j = 0; j < d; ++j)
          p[(at + i) * s_ + at + j] += step.q[b][static_cast<size_t>(i * d + j)];
      }
    }
  }

  const MarkovForm& form_;
  std::span<const double> t_, y_, extra_, weights_;
  int64_t s_;
  std::vector<double> half_, moved_, vector_;
  std::vector<int64_t> seen_;  // states that h shows
};

double density(double v, double s) {
  return -0.5 * (std::log(2 * std::numbers::pi * s) + v * v / s);
}

// The forward pass. At each point visit(k, state before the value came, c, innovation); c is P h.
// Returns the log likelihood.
template <class F>
double forward(const MarkovForm& form, Filter& filter, size_t count, F&& visit) {
  const auto s = static_cast<size_t>(form.states());
  State x = filter.stationary();
  Step step;
  std::vector<double> c(s), last(s);
  Filter::Innovation n, before;  // before: of the last value, with c = last
  double sum = 0;
  bool comparable = false;  // the point before was regular and had a value
  bool steady = false;      // x.p is the predicted covariance, which does not move
  for (size_t k = 0; k < count; ++k) {
    bool regular = false;
    if (k > 0) {
      const double gap = filter.gap(k, step.gap);
      regular = gap == step.gap && filter.even();
      if (steady && !regular) {
        filter.update_covariance(before, last.data(), &x);
        steady = false;
      }
      form.transition(gap, false, &step);
      if (steady) {
        filter.predict_mean(step, &x);
      } else {
        filter.predict(step, &x);
      }
    }
    if (filter.missing(k)) {
      n = filter.innovation(k, x, c.data());
      visit(k, x, c.data(), n);
      steady = comparable = false;
      continue;
    }
    if (steady) {
      before.v = filter.surprise(k, x);
      if (!std::isfinite(before.v)) return -kInfinity;
      visit(k, x, last.data(), before);
      filter.update_mean(before, last.data(), &x);
      sum += density(before.v, before.s);
      continue;
    }
    n = filter.innovation(k, x, c.data());
    if (!n.sound) return -kInfinity;
    visit(k, x, c.data(), n);
    sum += density(n.v, n.s);
    double change = kInfinity, size = 0;
    if (regular && comparable) {
      change = 0;
      for (size_t i = 0; i < s; ++i) {
        change = std::max(change, std::abs(c[i] - last[i]));
        size = std::max(size, std::abs(c[i]));
      }
    }
    steady = change <= kStill * size;
    if (steady) {
      filter.update_mean(n, c.data(), &x);
    } else {
      filter.update(n, c.data(), &x);
    }
    comparable = regular;
    std::swap(last, c);
    before = n;
  }
  return std::isfinite(sum) ? sum : -kInfinity;
}

// The adjoint of one step back: from the state after point k to the state after point k - 1.
class Adjoint {
 public:
  Adjoint(const MarkovForm& form, const Filter& filter)
      : form_(form),
        filter_(filter),
        s_(form.states()),
        by_m_(static_cast<size_t>(s_)),
        by_p_(static_cast<size_t>(s_ * s_)),
        half_(by_p_.size()),
        moved_(by_p_.size()),
        by_c_(by_m_.size()),
        turned_(by_m_.size()),
        by_show(by_m_.size()) {}

  // weight: of the point, which divides the noise.
  void update(const State& predicted, const Filter::Innovation& n, double weight, const double* c) {
    const std::vector<double>& h = form_.show();
    double along = 0, twice = 0;
    for (int64_t i = 0; i < s_; ++i) {
      double t = 0;
      const double* row = by_p_.data() + i * s_;
      for (int64_t j = 0; j < s_; ++j) t += row[j] * c[j];
      turned_[static_cast<size_t>(i)] = t;
      along += by_m_[static_cast<size_t>(i)] * c[i];
      twice += t * c[i];
    }
    const double inverse = 1 / n.s, gain = n.v * inverse;
    const double by_v = (along - n.v) * inverse;
    const double by_s = inverse * (inverse * (twice - along * n.v) - 0.5 + 0.5 * gain * n.v);
    for (size_t i = 0; i < by_c_.size(); ++i) {
      by_c_[i] = by_m_[i] * gain - 2 * turned_[i] * inverse + by_s * h[i];
    }
    for (const int64_t b : filter_.seen()) {
      const double* row = predicted.p.data() + b * s_;
      double t = by_s * c[b] - by_v * predicted.m[static_cast<size_t>(b)];
      for (int64_t j = 0; j < s_; ++j) t += row[j] * by_c_[static_cast<size_t>(j)];
      by_show[static_cast<size_t>(b)] += t;
      const double shown = h[static_cast<size_t>(b)];
      by_m_[static_cast<size_t>(b)] -= shown * by_v;
      for (int64_t j = 0; j < s_; ++j) {
        const double add = 0.5 * shown * by_c_[static_cast<size_t>(j)];
        by_p_[static_cast<size_t>(b * s_ + j)] += add;
        by_p_[static_cast<size_t>(j * s_ + b)] += add;
      }
    }
    by_noise += by_s / weight;
  }

  // before: the state after point k - 1.
  void predict(const Step& step, const State& before, std::vector<double>* gradient) {
    const std::vector<Block>& blocks = form_.blocks();
    // half = A P
    for (size_t b = 0; b < blocks.size(); ++b) {
      const int64_t d = blocks[b].size, at = blocks[b].offset;
      for (int64_t i = 0; i < d; ++i) {
        double* row = half_.data() + (at + i) * s_;
        std::fill_n(row, s_, 0.0);
        for (int64_t k = 0; k < d; ++k) {
          const double v = step.a[b][static_cast<size_t>(i * d + k)];
          const double* from = before.p.data() + (at + k) * s_;
          for (int64_t j = 0; j < s_; ++j) row[j] += v * from[j];
        }
      }
    }
    for (size_t b = 0; b < blocks.size(); ++b) {
      const int64_t d = blocks[b].size, at = blocks[b].offset;
      if (blocks[b].parameters.empty()) continue;
      for (int64_t i = 0; i < d; ++i) {
        for (int64_t j = 0; j < d; ++j) {
          double by_a = 0;
          const double* row = by_p_.data() + (at + i) * s_;
          for (int64_t k = 0; k < s_; ++k)
            by_a += row[k] * half_[static_cast<size_t>(k * s_ + at + j)];
          by_a =
              2 * by_a + by_m_[static_cast<size_t>(at + i)] * before.m[static_cast<size_t>(at + j)];
          const double by_q = row[at + j];
          for (size_t p = 0; p < blocks[b].parameters.size(); ++p) {
            const size_t cell = p * static_cast<size_t>(d * d) + static_cast<size_t>(i * d + j);
            (*gradient)[static_cast<size_t>(blocks[b].parameters[p])] +=
                by_a * step.da[b][cell] + by_q * step.dq[b][cell];
          }
        }
      }
    }
    apply(blocks, step, true, by_m_.data(), turned_.data());
    std::swap(by_m_, turned_);
    sandwich(blocks, step, true, s_, by_p_.data(), half_.data(), moved_.data());
    std::swap(by_p_, moved_);
  }

 private:
  const MarkovForm& form_;
  const Filter& filter_;
  int64_t s_;
  std::vector<double> by_m_, by_p_, half_, moved_, by_c_, turned_;

 public:
  std::vector<double> by_show;
  double by_noise = 0;
};

}  // namespace

double filter_log_likelihood(const MarkovForm& form, std::span<const double> t,
                             std::span<const double> y, std::span<const double> extra,
                             std::vector<double>* gradient, std::span<const double> weights) {
  Filter filter(form, t, y, extra, weights);
  if (!gradient) {
    return forward(form, filter, t.size(),
                   [](size_t, const State&, const double*, const Filter::Innovation&) {});
  }
  gradient->assign(static_cast<size_t>(form.parameters()), 0.0);
  if (t.empty()) return 0;
  const auto s = static_cast<size_t>(form.states());
  // Forward, with the state before each segment kept.
  std::vector<State> starts;
  State x = filter.stationary();
  Step step;
  std::vector<double> c(s);
  double sum = 0;
  for (size_t k = 0; k < t.size(); ++k) {
    if (k % kSegment == 0) starts.push_back(x);
    if (k > 0) {
      form.transition(filter.gap(k, step.gap), false, &step);
      filter.predict(step, &x);
    }
    if (filter.missing(k)) continue;
    const Filter::Innovation n = filter.innovation(k, x, c.data());
    if (!n.sound) return -kInfinity;
    sum += density(n.v, n.s);
    filter.update(n, c.data(), &x);
  }
  if (!std::isfinite(sum)) return -kInfinity;

  Adjoint adjoint(form, filter);
  const size_t kept = std::min(kSegment, t.size());
  std::vector<State> before(kept), predicted(kept);
  std::vector<Filter::Innovation> innovations(kept);
  std::vector<double> columns(kept * s), gaps(kept);
  Step slopes;
  for (size_t segment = starts.size(); segment-- > 0;) {
    const size_t begin = segment * kSegment, count = std::min(kSegment, t.size() - begin);
    x = starts[segment];
    for (size_t i = 0; i < count; ++i) {
      const size_t k = begin + i;
      before[i] = x;
      if (k > 0) {
        gaps[i] = filter.gap(k, step.gap);
        form.transition(gaps[i], false, &step);
        filter.predict(step, &x);
      }
      predicted[i] = x;
      if (filter.missing(k)) continue;
      innovations[i] = filter.innovation(k, x, columns.data() + i * s);
      filter.update(innovations[i], columns.data() + i * s, &x);
    }
    for (size_t i = count; i-- > 0;) {
      const size_t k = begin + i;
      if (!filter.missing(k))
        adjoint.update(predicted[i], innovations[i], filter.weight(k), columns.data() + i * s);
      if (k == 0) break;  // the stationary state does not move
      form.transition(gaps[i], true, &slopes);
      adjoint.predict(slopes, before[i], gradient);
    }
  }
  form.add_slopes(adjoint.by_show, adjoint.by_noise, gradient);
  return sum;
}

double filter_smooth(const MarkovForm& form, std::span<const double> t, std::span<const double> y,
                     std::span<const double> extra, std::span<double> mean,
                     std::span<double> variance, std::span<const double> weights) {
  Filter filter(form, t, y, extra, weights);
  const auto s = static_cast<size_t>(form.states());
  const std::vector<double>& h = form.show();
  std::vector<double> columns(t.size() * s);
  std::vector<Filter::Innovation> innovations(t.size());
  const double value =
      forward(form, filter, t.size(),
              [&](size_t k, const State& x, const double* c, const Filter::Innovation& n) {
                std::copy_n(c, s, columns.data() + k * s);
                innovations[k] = n;
                double f = 0, m = 0;
                for (const int64_t b : filter.seen()) {
                  f += h[static_cast<size_t>(b)] * c[b];
                  m += h[static_cast<size_t>(b)] * x.m[static_cast<size_t>(b)];
                }
                mean[k] = m;
                variance[k] = f;
              });
  if (value == -kInfinity) return value;
  // Backwards: gradient (lambda) and curvature (big) of minus the log density of the values from
  // here on by the state predicted here.
  std::vector<double> lambda(s), moved(s), turned(s), big(s * s), half(s * s), next(s * s);
  Step step;
  const auto size = static_cast<int64_t>(s);
  for (size_t k = t.size(); k-- > 0;) {
    const double* c = columns.data() + k * s;
    if (!filter.missing(k)) {
      const Filter::Innovation& n = innovations[k];
      double along = 0, twice = 0;
      for (size_t i = 0; i < s; ++i) {
        double v = 0;
        for (size_t j = 0; j < s; ++j) v += big[i * s + j] * c[j];
        turned[i] = v / n.s;
        along += lambda[i] * c[i] / n.s;
        twice += v * c[i] / (n.s * n.s);
      }
      for (const int64_t b : filter.seen()) {
        const double weight = h[static_cast<size_t>(b)];
        lambda[static_cast<size_t>(b)] -= weight * (n.v / n.s + along);
        for (size_t i = 0; i < s; ++i) {
          big[static_cast<size_t>(b) * s + i] -= weight * turned[i];
          big[i * s + static_cast<size_t>(b)] -= weight * turned[i];
        }
      }
      for (const int64_t b : filter.seen()) {
        for (const int64_t e : filter.seen()) {
          big[static_cast<size_t>(b) * s + static_cast<size_t>(e)] +=
              h[static_cast<size_t>(b)] * h[static_cast<size_t>(e)] * (twice + 1 / n.s);
        }
      }
    }
    double m = 0, f = 0;
    for (size_t i = 0; i < s; ++i) {
      m += c[i] * lambda[i];
      double v = 0;
      for (size_t j = 0; j < s; ++j) v += big[i * s + j] * c[j];
      f += v * c[i];
    }
    mean[k] -= m;
    variance[k] = std::max(variance[k] - f, 0.0);
    if (k == 0) break;
    form.transition(filter.gap(k, step.gap), false, &step);
    apply(form.blocks(), step, true, lambda.data(), moved.data());
    std::swap(lambda, moved);
    sandwich(form.blocks(), step, true, size, big.data(), half.data(), next.data());
    std::swap(big, next);
  }
  return value;
}

}  // namespace covary::stat
