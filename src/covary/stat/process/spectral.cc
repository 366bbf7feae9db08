#include "covary/stat/process/spectral.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/compute/bessel/bessel.h"

namespace covary::stat {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;
constexpr double kLeast = 1e-16;        // share of the mass that is left out
constexpr double kManyHarmonics = 1e7;  // 1 / l^2 from which on their number is drawn as a normal
constexpr size_t kTerms = 10000;

// Numbers of one draw, one after the other.
class Draws {
 public:
  Draws(uint64_t seed, uint64_t index) : random_(seed, stream_of("process.spectral", index)) {}
  double uniform() { return random_.uniform(next_++); }
  double normal() { return random_.normal(next_++); }
  // Gamma(shape, 1): Marsaglia and Tsang 2000.
  double gamma(double shape) {
    if (shape < 1) {
      const double u = 1 - uniform();
      return gamma(shape + 1) * std::pow(u, 1 / shape);
    }
    const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
      const double z = normal(), v = std::pow(1 + c * z, 3);
      if (!(v > 0)) continue;
      if (std::log(1 - uniform()) < 0.5 * z * z + d - d * v + d * std::log(v)) return d * v;
    }
  }

 private:
  Random random_;
  uint64_t next_ = 0;
};

double log_k(double order, double x) {
  return compute::log_bessel({.kind = compute::BesselKind::kK}, std::abs(order), x);
}

// exp(-z) I_j(z), z = 1 / l^2: the mass of harmonic j and of -j together, from j = 0 on.
std::vector<double> harmonics(double l) {
  const double z = 1 / (l * l);
  std::vector<double> mass;
  if (z > kManyHarmonics) return mass;
  double left = 1;
  for (int64_t j = 0; left > kLeast && j < 1000000; ++j) {
    const double m = (j == 0 ? 1 : 2) *
                     std::exp(compute::log_bessel({.kind = compute::BesselKind::kI, .scaled = true},
                                                  static_cast<double>(j), z));
    if (m < kLeast && static_cast<double>(j) > 8 * std::sqrt(z)) break;
    mass.push_back(m);
    left -= m;
  }
  return mass;
}

}  // namespace

SpectralMeasure::SpectralMeasure(const Kernel& kernel) : dims_(kernel.dims()) {
  terms_ = terms_of(kernel, static_cast<int64_t>(kernel.nodes_.size()) - 1);
  for (const Term& t : terms_) mass_ += t.mass;
  if (terms_.empty()) {
    throw Error(ExitCode::kUsage, "is white alone: it has no spectral measure", "kernel");
  }
}

std::vector<SpectralMeasure::Term> SpectralMeasure::terms_of(const Kernel& kernel,
                                                             int64_t node) const {
  using Op = Kernel::Node::Op;
  using LeafKind = Kernel::Kind;
  const Kernel::Node& n = kernel.nodes_[static_cast<size_t>(node)];
  const auto product = [](const std::vector<Term>& a, const std::vector<Term>& b) {
    if (a.size() * b.size() > kTerms) {
      throw Error(ExitCode::kUsage, "has too many terms when multiplied out", "kernel");
    }
    std::vector<Term> out;
    for (const Term& x : a) {
      for (const Term& y : b) {
        Term t = x;
        t.mass *= y.mass;
        t.factors.insert(t.factors.end(), y.factors.begin(), y.factors.end());
        out.push_back(std::move(t));
      }
    }
    return out;
  };
  if (n.op == Op::kSum) {
    std::vector<Term> all = terms_of(kernel, n.left), more = terms_of(kernel, n.right);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  if (n.op == Op::kProduct) return product(terms_of(kernel, n.left), terms_of(kernel, n.right));
  if (n.op == Op::kPower) {
    const std::vector<Term> base = terms_of(kernel, n.left);
    std::vector<Term> all = base;
    for (int64_t e = 1; e < n.exponent; ++e) all = product(all, base);
    return all;
  }
  const Kernel::Leaf& leaf = kernel.leaves_[static_cast<size_t>(n.leaf)];
  Term term;
  if (leaf.kind == LeafKind::kWhite) return {};
  if (leaf.kind == LeafKind::kConst) {
    term.mass = kernel.value_of(leaf.scale);
    return {term};
  }
  if (leaf.warp >= 0 || leaf.net >= 0) {
    throw Error(ExitCode::kUsage, "is behind a warp or a network: it has no spectral measure",
                leaf.name, "take the kernel without it, or --method exact");
  }
  Factor f;
  f.columns = leaf.dims;
  for (size_t k = 0; k < leaf.dims.size(); ++k) {
    const auto at = static_cast<int64_t>(k);
    if (leaf.scale >= 0) {
      f.scales.push_back(kernel.value_of(leaf.scale + (leaf.scales > 1 ? at : 0)));
    }
    if (leaf.period >= 0) {
      f.steps.push_back(kTwoPi / kernel.value_of(leaf.period + (leaf.periods > 1 ? at : 0)));
    }
  }
  switch (leaf.kind) {
    case LeafKind::kRbf:
      break;
    case LeafKind::kMatern12:
    case LeafKind::kMatern32:
    case LeafKind::kMatern52:
    case LeafKind::kMatern:
      f.kind = Kind::kStudent;
      f.shape = leaf.kind == LeafKind::kMatern12   ? 0.5
                : leaf.kind == LeafKind::kMatern32 ? 1.5
                : leaf.kind == LeafKind::kMatern52 ? 2.5
                                                   : kernel.value_of(leaf.shape);
      break;
    case LeafKind::kRationalQuadratic:
      f.kind = Kind::kRational;
      f.shape = kernel.value_of(leaf.shape);
      break;
    case LeafKind::kCosine:
      f.kind = Kind::kPairOfAtoms;
      break;
    case LeafKind::kPeriodic:
      f.kind = Kind::kHarmonics;
      for (const double l : f.scales) f.harmonics.push_back(harmonics(l));
      break;
    default:
      throw Error(ExitCode::kUsage, "has no spectral measure of closed form", leaf.name,
                  "stationary leaves have: rbf, matern, rq, periodic, cosine, const");
  }
  term.factors.push_back(std::move(f));
  return {term};
}

double SpectralMeasure::density(const double* w) const {
  double sum = 0;
  std::vector<double> at(w, w + dims_);
  for (const Term& t : terms_) sum += t.mass * term_density(t, 0, &at);
  return sum;
}

// Atoms move w, both ways; what is left is smooth.
double SpectralMeasure::term_density(const Term& term, size_t factor,
                                     std::vector<double>* w) const {
  for (size_t i = factor; i < term.factors.size(); ++i) {
    const Factor& f = term.factors[i];
    if (f.kind == Kind::kHarmonics) {
      throw Error(ExitCode::kUsage, "a periodic kernel's atoms are infinitely many",
                  "spectral density", "draw() serves it");
    }
    if (f.kind != Kind::kPairOfAtoms) continue;
    double sum = 0;
    for (const double sign : {-1.0, 1.0}) {
      std::vector<double> moved = *w;
      for (size_t k = 0; k < f.columns.size(); ++k) {
        moved[static_cast<size_t>(f.columns[k])] += sign * f.steps[k];
      }
      sum += 0.5 * term_density(term, i + 1, &moved);
    }
    return sum;
  }
  return smooth_density(term, *w);
}

double SpectralMeasure::smooth_density(const Term& term, const std::vector<double>& w) const {
  std::vector<double> variance(w.size());  // of the normal factors, a column
  std::vector<int> others(w.size());       // other factors, a column
  for (const Factor& f : term.factors) {
    for (size_t k = 0; k < f.columns.size(); ++k) {
      const auto c = static_cast<size_t>(f.columns[k]);
      if (f.kind == Kind::kNormal) variance[c] += 1 / (f.scales[k] * f.scales[k]);
      others[c] += f.kind == Kind::kStudent || f.kind == Kind::kRational;
    }
  }
  double log_density = 0;
  for (size_t c = 0; c < w.size(); ++c) {
    if (others[c] + (variance[c] > 0) > 1) {
      throw Error(ExitCode::kUsage,
                  "a product of two leaves in column " + std::to_string(c) +
                      " has no spectral density of closed form",
                  "spectral density", "draw() serves it");
    }
    if (others[c] == 0 && variance[c] == 0) return 0;  // an atom in this column
    if (others[c] > 0) continue;
    log_density -= 0.5 * (std::log(kTwoPi * variance[c]) + w[c] * w[c] / variance[c]);
  }
  for (const Factor& f : term.factors) {
    if (f.kind != Kind::kStudent && f.kind != Kind::kRational) continue;
    const double half = 0.5 * static_cast<double>(f.columns.size()), a = f.shape;
    double s = 0;
    for (size_t k = 0; k < f.columns.size(); ++k) {
      const double z = w[static_cast<size_t>(f.columns[k])] * f.scales[k];
      s += z * z;
      log_density += std::log(f.scales[k]);
    }
    if (f.kind == Kind::kStudent) {
      log_density += std::lgamma(a + half) - std::lgamma(a) - half * std::log(kTwoPi * a) -
                     (a + half) * std::log1p(s / (2 * a));
      continue;
    }
    const double order = a - half;
    log_density += a * std::log(a) - std::lgamma(a) - half * std::log(kTwoPi);
    if (s == 0) {
      if (order <= 0) return std::numeric_limits<double>::infinity();
      log_density += std::lgamma(order) - order * std::log(a);
    } else {
      log_density += std::numbers::ln2 + 0.5 * order * std::log(s / (2 * a)) +
                     log_k(order, std::sqrt(2 * a * s));
    }
  }
  return std::exp(log_density);
}

std::vector<SpectralMeasure::Atom> SpectralMeasure::atoms() const {
  std::vector<Atom> all;
  for (const Term& t : terms_) {
    std::vector<Atom> here{{std::vector<double>(static_cast<size_t>(dims_)), t.mass}};
    const auto spread = [&](const std::vector<int64_t>& columns, const std::vector<double>& steps,
                            const std::vector<double>& mass) {  // mass of 0, of 1 and -1, ..
      std::vector<Atom> next;
      for (const Atom& a : here) {
        for (size_t j = 0; j < mass.size(); ++j) {
          for (const double sign : {1.0, -1.0}) {
            if (j == 0 && sign < 0) continue;
            Atom b = a;
            b.mass *= j == 0 ? mass[0] : 0.5 * mass[j];
            if (!(b.mass > 1e-15 * mass_)) continue;
            for (size_t k = 0; k < columns.size(); ++k) {
              b.w[static_cast<size_t>(columns[k])] += sign * static_cast<double>(j) * steps[k];
            }
            next.push_back(std::move(b));
          }
        }
      }
      here = std::move(next);
    };
    bool smooth = false;
    for (const Factor& f : t.factors) {
      if (f.kind == Kind::kPairOfAtoms) {
        spread(f.columns, f.steps, {0, 1});
      } else if (f.kind == Kind::kHarmonics) {
        for (size_t k = 0; k < f.columns.size(); ++k) {
          if (f.harmonics[k].empty()) {
            throw Error(ExitCode::kUsage, "a periodic kernel has too many harmonics to list",
                        "spectral measure", "draw() serves it");
          }
          spread({f.columns[k]}, {f.steps[k]}, f.harmonics[k]);
        }
      } else {
        smooth = true;
      }
    }
    if (!smooth) all.insert(all.end(), here.begin(), here.end());
  }
  return all;
}

void SpectralMeasure::draw(uint64_t seed, uint64_t index, double* w) const {
  std::fill_n(w, dims_, 0.0);
  Draws draws(seed, index);
  double u = draws.uniform() * mass_;
  const Term* term = &terms_.back();
  for (const Term& t : terms_) {
    if (u < t.mass) {
      term = &t;
      break;
    }
    u -= t.mass;
  }
  for (const Factor& f : term->factors) {
    switch (f.kind) {
      case Kind::kNormal:
      case Kind::kStudent:
      case Kind::kRational: {
        double spread = 1;
        if (f.kind == Kind::kStudent) spread = 1 / std::sqrt(draws.gamma(f.shape) / f.shape);
        if (f.kind == Kind::kRational) spread = std::sqrt(draws.gamma(f.shape) / f.shape);
        for (size_t k = 0; k < f.columns.size(); ++k) {
          w[f.columns[k]] += spread * draws.normal() / f.scales[k];
        }
        break;
      }
      case Kind::kPairOfAtoms: {
        const double sign = draws.uniform() < 0.5 ? -1 : 1;
        for (size_t k = 0; k < f.columns.size(); ++k) w[f.columns[k]] += sign * f.steps[k];
        break;
      }
      case Kind::kHarmonics:
        for (size_t k = 0; k < f.columns.size(); ++k) {
          double j = 0, left = draws.uniform();
          const double sign = draws.uniform() < 0.5 ? -1 : 1;
          if (f.harmonics[k].empty()) {
            j = std::round(std::abs(draws.normal()) / f.scales[k]);
          } else {
            const std::vector<double>& mass = f.harmonics[k];
            size_t at = 0;
            while (at + 1 < mass.size() && left >= mass[at]) left -= mass[at++];
            j = static_cast<double>(at);
          }
          w[f.columns[k]] += sign * j * f.steps[k];
        }
        break;
    }
  }
}

}  // namespace covary::stat
