#include "covary/stat/process/markov_form.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "covary/core/base/error.h"
#include "covary/core/compute/bessel/bessel.h"
#include "covary/stat/process/pair_leaves.h"
#include "covary/stat/process/state_space_filter.h"

namespace covary::stat {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;
constexpr int64_t kLargestFactor = 3;
constexpr int64_t kLargestSquare = kLargestFactor * kLargestFactor;

// log(exp(-z) I_j(z)), z = 1 / l^2, and its slope by log l.
double log_share(int64_t harmonic, double length, double* slope) {
  const double z = 1 / (length * length), order = static_cast<double>(harmonic);
  double value, by_z;
  compute::log_bessel<double>({.kind = compute::BesselKind::kI, .scaled = true}, {1, &order, &z},
                              {.value = &value, .dx = &by_z});
  if (slope) *slope = -2 * z * by_z;
  return value + (harmonic > 0 ? std::numbers::ln2 : 0);
}

// The Matern factors, from the transitions of state_space_filter.h.
template <int D>
void matern_step(double x, bool slopes, double* a, double* q, double* da, double* dq) {
  Transition<D> t;
  x = std::min(x, kFarGap);
  transition<D>(x, std::exp(-x), slopes, &t);
  for (int i = 0; i < D; ++i) {
    for (int j = 0; j < D; ++j) {
      const int at = i >= j ? packed(i, j) : packed(j, i);
      a[i * D + j] = t.a[i * D + j];
      q[i * D + j] = t.q[at];
      if (!slopes) continue;
      da[i * D + j] = -x * t.da[i * D + j];  // d x / d log length = -x
      dq[i * D + j] = -x * t.dq[at];
    }
  }
}

// x = w gap, quality c: A = exp(-a) [[C + a S, x S], [-x S, C - a S]], a = x / (2 c).
void oscillator_step(double x, double c, bool slopes, double* a, double* q, double* da,
                     double* dq) {
  const auto matrix = [&](double at, double* m) {
    const double damp = at / (2 * c);
    const DampedWave w = damped_wave(at, damp);
    m[0] = w.c + damp * w.s;
    m[1] = at * w.s;
    m[2] = -m[1];
    m[3] = w.c - damp * w.s;
    return w;
  };
  const DampedWave w = matrix(x, a);
  const double damp = x / (2 * c);
  // Q = (2 / c) times the integral of h h' over the gap, h the second column: by eight points of
  // Gauss where the gap is short, as I - A A' where nothing cancels.
  if (x * std::max(1.0, 1 / c) < 1) {
    static constexpr double kNode[4] = {0.1834346424956498, 0.5255324099163290, 0.7966664774136267,
                                        0.9602898564975363};
    static constexpr double kWeight[4] = {0.3626837833783620, 0.3137066458778873,
                                          0.2223810344533745, 0.1012285362903763};
    q[0] = q[1] = q[3] = 0;
    for (int k = 0; k < 4; ++k) {
      for (const double sign : {-1.0, 1.0}) {
        double m[4];
        matrix(0.5 * x * (1 + sign * kNode[k]), m);
        const double weight = kWeight[k] * x / c;
        q[0] += weight * m[1] * m[1];
        q[1] += weight * m[1] * m[3];
        q[3] += weight * m[3] * m[3];
      }
    }
  } else {
    q[0] = std::max(1 - a[0] * a[0] - a[1] * a[1], 0.0);
    q[1] = -(a[0] * a[2] + a[1] * a[3]);
    q[3] = std::max(1 - a[2] * a[2] - a[3] * a[3], 0.0);
  }
  q[2] = q[1];
  if (!slopes) return;
  // By log period: x falls by x. dA/dx = F A, F = [[0, 1], [-1, -1 / c]]; dQ/dx = (2 / c) h h'.
  da[0] = -x * a[2];
  da[1] = -x * a[3];
  da[2] = x * (a[0] + a[2] / c);
  da[3] = x * (a[1] + a[3] / c);
  dq[0] = -x * 2 / c * a[1] * a[1];
  dq[1] = dq[2] = -x * 2 / c * a[1] * a[3];
  dq[3] = -x * 2 / c * a[3] * a[3];
  // By log quality: a falls by a; d/da at x: dC/da = a S, dS/da = -2 a S', and exp(-a).
  const double s_a = -2 * damp * w.fall, c_a = damp * w.s;
  double* by = da + 4;
  by[0] = -damp * (-a[0] + c_a + w.s + damp * s_a);
  by[1] = -damp * (-a[1] + x * s_a);
  by[2] = -by[1];
  by[3] = -damp * (-a[3] + c_a - w.s - damp * s_a);
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) {
      dq[4 + i * 2 + j] = -(by[i * 2] * a[j * 2] + by[i * 2 + 1] * a[j * 2 + 1] +
                            a[i * 2] * by[j * 2] + a[i * 2 + 1] * by[j * 2 + 1]);
    }
  }
}

// out += scale * (x Kronecker y).
void add_kronecker(const double* x, int64_t nx, const double* y, int64_t ny, double scale,
                   double* out) {
  const int64_t n = nx * ny;
  for (int64_t i = 0; i < nx; ++i) {
    for (int64_t j = 0; j < nx; ++j) {
      const double v = scale * x[i * nx + j];
      for (int64_t k = 0; k < ny; ++k) {
        for (int64_t l = 0; l < ny; ++l) out[(i * ny + k) * n + j * ny + l] += v * y[k * ny + l];
      }
    }
  }
}

}  // namespace

int64_t MarkovForm::size_of(const Factor& f) {
  switch (f.kind) {
    case Kind::kConst:
    case Kind::kMatern12:
      return 1;
    case Kind::kMatern52:
      return 3;
    default:
      return 2;
  }
}

void MarkovForm::stationary_of(const Factor& f, double* p) {
  const int64_t d = size_of(f);
  for (int64_t i = 0; i < d; ++i) {
    for (int64_t j = 0; j < d; ++j) {
      p[i * d + j] = f.kind == Kind::kMatern52
                         ? stationary<3>(static_cast<int>(i), static_cast<int>(j))
                         : (i == j ? 1 : 0);
    }
  }
}

std::vector<MarkovForm::Part> MarkovForm::parts_of(const Kernel& kernel, int64_t node,
                                                   int64_t harmonics, std::string* obstacle) {
  using Op = Kernel::Node::Op;
  using LeafKind = Kernel::Kind;
  const Kernel::Node& n = kernel.nodes_[static_cast<size_t>(node)];
  const auto product = [&](const std::vector<Part>& a, const std::vector<Part>& b) {
    std::vector<Part> out;
    if (a.size() * b.size() > 1000) *obstacle = "has too many terms when multiplied out";
    for (const Part& x : a) {
      for (const Part& y : b) {
        if (!obstacle->empty()) return out;
        Part p = x;
        p.factors.insert(p.factors.end(), y.factors.begin(), y.factors.end());
        p.variances.insert(p.variances.end(), y.variances.begin(), y.variances.end());
        p.shares.insert(p.shares.end(), y.shares.begin(), y.shares.end());
        p.white = x.white || y.white;
        out.push_back(std::move(p));
      }
    }
    return out;
  };
  if (n.op == Op::kSum) {
    std::vector<Part> all = parts_of(kernel, n.left, harmonics, obstacle);
    const std::vector<Part> more = parts_of(kernel, n.right, harmonics, obstacle);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  if (n.op == Op::kProduct) {
    return product(parts_of(kernel, n.left, harmonics, obstacle),
                   parts_of(kernel, n.right, harmonics, obstacle));
  }
  if (n.op == Op::kPower) {
    const std::vector<Part> base = parts_of(kernel, n.left, harmonics, obstacle);
    std::vector<Part> all = base;
    for (int64_t e = 1; e < n.exponent; ++e) all = product(all, base);
    return all;
  }
  const Kernel::Leaf& leaf = kernel.leaves_[static_cast<size_t>(n.leaf)];
  const auto one = [](Kind kind, int64_t length, int64_t quality = -1) {
    Part p;
    p.factors.push_back({kind, length, quality, 1});
    return std::vector<Part>{p};
  };
  if (leaf.net >= 0) {
    *obstacle = "has " + leaf.name + " behind a network";
    return {};
  }
  if (leaf.warp >= 0) {
    *obstacle = "has " + leaf.name + " in a warp of time";
    return {};
  }
  Part p;
  switch (leaf.kind) {
    case LeafKind::kConst:
      p.variances.push_back(leaf.scale);
      return {p};
    case LeafKind::kWhite:
      p.variances.push_back(leaf.scale);
      p.white = true;
      return {p};
    case LeafKind::kMatern12:
      return one(Kind::kMatern12, leaf.scale);
    case LeafKind::kMatern32:
      return one(Kind::kMatern32, leaf.scale);
    case LeafKind::kMatern52:
      return one(Kind::kMatern52, leaf.scale);
    case LeafKind::kCosine:
      return one(Kind::kTurn, leaf.period);
    case LeafKind::kPair:
      if (leaf.kind_name == "sho") return one(Kind::kOscillator, leaf.first, leaf.first + 1);
      break;
    case LeafKind::kPeriodic: {
      std::vector<Part> all;
      for (int64_t j = 0; j <= harmonics; ++j) {
        Part h;
        if (j > 0) h.factors.push_back({Kind::kTurn, leaf.period, -1, j});
        h.shares.push_back({leaf.scale, j});
        all.push_back(h);
      }
      return all;
    }
    default:
      break;
  }
  *obstacle = "has " + leaf.name + ", which is no Markov process of finitely many states";
  return {};
}

std::string MarkovForm::obstacle(const Kernel& kernel, int64_t harmonics) {
  if (kernel.dims() != 1) {
    return "has " + std::to_string(kernel.dims()) + " columns, it knows one";
  }
  std::string why;
  const std::vector<Part> parts =
      parts_of(kernel, static_cast<int64_t>(kernel.nodes_.size()) - 1, harmonics, &why);
  if (!why.empty()) return why;
  int64_t states = 0;
  for (const Part& p : parts) {
    int64_t size = 1;
    for (const Factor& f : p.factors) size = std::min(size * size_of(f), kStates + 1);
    states += p.white ? 0 : size;
  }
  if (states == 0) return "is white alone";
  if (states > kStates) return "needs more than " + std::to_string(kStates) + " states";
  return "";
}

bool MarkovForm::approximates(const Kernel& kernel) {
  return std::any_of(kernel.leaves_.begin(), kernel.leaves_.end(),
                     [](const Kernel::Leaf& leaf) { return leaf.kind == Kernel::Kind::kPeriodic; });
}

MarkovForm::MarkovForm(const Kernel& kernel, int64_t harmonics)
    : parameters_(static_cast<int64_t>(kernel.parameters().size())) {
  const std::string why = obstacle(kernel, harmonics);
  if (!why.empty()) throw Error(ExitCode::kUsage, why, "kernel in time");
  std::string none;
  for (Part& p :
       parts_of(kernel, static_cast<int64_t>(kernel.nodes_.size()) - 1, harmonics, &none)) {
    (p.white ? noises_ : parts_).push_back(std::move(p));
  }
  for (const Part& p : parts_) {
    Block b;
    b.offset = states_;
    b.size = 1;
    b.stationary = {1};
    for (const Factor& f : p.factors) {
      const int64_t d = size_of(f);
      double own[kLargestSquare];
      stationary_of(f, own);
      std::vector<double> grown(static_cast<size_t>(b.size * d * b.size * d));
      add_kronecker(b.stationary.data(), b.size, own, d, 1, grown.data());
      b.stationary = std::move(grown);
      b.size *= d;
      if (f.length >= 0) b.parameters.push_back(f.length);
      if (f.quality >= 0) b.parameters.push_back(f.quality);
    }
    states_ += b.size;
    blocks_.push_back(std::move(b));
  }
  set(kernel);
}

void MarkovForm::set(const Kernel& kernel) {
  values_.clear();
  for (const KernelParameter& p : kernel.parameters()) values_.push_back(p.value);
  const auto value = [&](int64_t p) { return values_[static_cast<size_t>(p)]; };
  show_.assign(static_cast<size_t>(states_), 0.0);
  share_slopes_.assign(parts_.size(), {});
  variance_ = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    double logarithm = 0;
    for (const int64_t v : parts_[i].variances) logarithm += std::log(value(v));
    for (const Share& s : parts_[i].shares) {
      double slope;
      logarithm += log_share(s.harmonic, value(s.length), &slope);
      share_slopes_[i].push_back(slope);
    }
    show_[static_cast<size_t>(blocks_[i].offset)] = std::exp(0.5 * logarithm);
    variance_ += std::exp(logarithm);
  }
  noise_ = 0;
  for (const Part& p : noises_) {
    double v = 1;
    for (const int64_t k : p.variances) v *= value(k);
    // Harmonics of a periodic kernel beside white add up to it, but for what is cut off.
    for (const Share& s : p.shares) v *= std::exp(log_share(s.harmonic, value(s.length), nullptr));
    noise_ += v;
  }
  double whole = 0;
  const double zero = 0;
  kernel.diagonal(&zero, 1, false, &whole);
  truncated_ = std::max(1 - variance_ / whole, 0.0);
}

void MarkovForm::factor_step(const Factor& f, double gap, bool slopes, double* a, double* q,
                             double* da, double* dq) const {
  const double length = f.length >= 0 ? values_[static_cast<size_t>(f.length)] : 1;
  switch (f.kind) {
    case Kind::kConst:
      break;
    case Kind::kMatern12:
      return matern_step<1>(gap / length, slopes, a, q, da, dq);
    case Kind::kMatern32:
      return matern_step<2>(std::sqrt(3.0) * gap / length, slopes, a, q, da, dq);
    case Kind::kMatern52:
      return matern_step<3>(std::sqrt(5.0) * gap / length, slopes, a, q, da, dq);
    case Kind::kOscillator:
      return oscillator_step(kTwoPi * gap / length, values_[static_cast<size_t>(f.quality)], slopes,
                             a, q, da, dq);
    case Kind::kTurn: {
      const double order = static_cast<double>(f.harmonic), period = length / order;
      const double angle = kTwoPi * (std::remainder(gap, period) / period);
      const double c = std::cos(angle), s = std::sin(angle);
      a[0] = a[3] = c;
      a[1] = s;
      a[2] = -s;
      std::fill_n(q, 4, 0.0);
      if (!slopes) return;
      const double fall = -kTwoPi * gap / period;  // d angle / d log period
      da[0] = da[3] = -s * fall;
      da[1] = c * fall;
      da[2] = -c * fall;
      std::fill_n(dq, 4, 0.0);
      return;
    }
  }
}

void MarkovForm::transition(double gap, bool slopes, Step* step) const {
  if (step->gap == gap && step->a.size() == parts_.size() && (step->slopes || !slopes)) return;
  step->gap = gap;
  step->slopes = slopes;
  step->a.resize(parts_.size());
  step->q.resize(parts_.size());
  step->da.resize(parts_.size());
  step->dq.resize(parts_.size());
  std::vector<double> grown, moved, p;
  for (size_t b = 0; b < parts_.size(); ++b) {
    int64_t size = 1;
    std::vector<double>&a = step->a[b], &q = step->q[b], &da = step->da[b], &dq = step->dq[b];
    a = {1};
    q = {0};
    p = {1};
    da.clear();
    dq.clear();
    for (const Factor& f : parts_[b].factors) {
      const int64_t d = size_of(f), n = size * d, count = slopes ? (f.quality >= 0 ? 2 : 1) : 0;
      double fa[kLargestSquare], fq[kLargestSquare], fp[kLargestSquare];
      double fda[2 * kLargestSquare], fdq[2 * kLargestSquare];
      factor_step(f, gap, slopes, fa, fq, fda, fdq);
      stationary_of(f, fp);
      const size_t square = static_cast<size_t>(n * n);
      const int64_t before = size * size, had = static_cast<int64_t>(da.size()) / before;
      // P - Q of what is there so far: A P A'.
      moved = p;
      for (size_t i = 0; i < moved.size(); ++i) moved[i] -= q[i];
      if (slopes) {
        std::vector<double> next_a(square * static_cast<size_t>(had + count)),
            next_q(next_a.size());
        for (int64_t k = 0; k < had; ++k) {
          double* to = next_a.data() + static_cast<size_t>(k) * square;
          add_kronecker(da.data() + k * before, size, fa, d, 1, to);
          double* tq = next_q.data() + static_cast<size_t>(k) * square;
          // (P1 - Q1) moves by -dQ1.
          add_kronecker(dq.data() + k * before, size, fp, d, 1, tq);
          add_kronecker(dq.data() + k * before, size, fq, d, -1, tq);
        }
        for (int64_t k = 0; k < count; ++k) {
          const size_t at = static_cast<size_t>(had + k) * square;
          add_kronecker(a.data(), size, fda + k * d * d, d, 1, next_a.data() + at);
          add_kronecker(moved.data(), size, fdq + k * d * d, d, 1, next_q.data() + at);
        }
        da = std::move(next_a);
        dq = std::move(next_q);
      }
      grown.assign(square, 0.0);
      add_kronecker(q.data(), size, fp, d, 1, grown.data());
      add_kronecker(moved.data(), size, fq, d, 1, grown.data());
      q = grown;
      grown.assign(square, 0.0);
      add_kronecker(a.data(), size, fa, d, 1, grown.data());
      a = grown;
      grown.assign(square, 0.0);
      add_kronecker(p.data(), size, fp, d, 1, grown.data());
      p = grown;
      size = n;
    }
  }
}

void MarkovForm::add_slopes(const std::vector<double>& by_show, double by_noise,
                            std::vector<double>* gradient) const {
  for (size_t i = 0; i < parts_.size(); ++i) {
    const size_t at = static_cast<size_t>(blocks_[i].offset);
    const double half = 0.5 * by_show[at] * show_[at];
    for (const int64_t v : parts_[i].variances) (*gradient)[static_cast<size_t>(v)] += half;
    for (size_t s = 0; s < parts_[i].shares.size(); ++s) {
      (*gradient)[static_cast<size_t>(parts_[i].shares[s].length)] += half * share_slopes_[i][s];
    }
  }
  for (const Part& p : noises_) {
    double v = by_noise;
    for (const int64_t k : p.variances) v *= values_[static_cast<size_t>(k)];
    std::vector<double> slopes;
    for (const Share& s : p.shares) {
      double slope;
      v *= std::exp(log_share(s.harmonic, values_[static_cast<size_t>(s.length)], &slope));
      slopes.push_back(slope);
    }
    for (const int64_t k : p.variances) (*gradient)[static_cast<size_t>(k)] += v;
    for (size_t s = 0; s < slopes.size(); ++s) {
      (*gradient)[static_cast<size_t>(p.shares[s].length)] += v * slopes[s];
    }
  }
}

}  // namespace covary::stat
