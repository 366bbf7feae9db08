#include "covary/stat/process/kernel_jets.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"

namespace covary::stat {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;

}  // namespace

std::string KernelJets::obstacle(const Kernel& kernel) {
  using Kind = Kernel::Kind;
  for (const Kernel::Leaf& leaf : kernel.leaves_) {
    if (leaf.net >= 0) return leaf.name + " is behind a network, whose derivatives are not told";
    const bool rough = leaf.kind == Kind::kMatern12 || leaf.kind == Kind::kPair ||
                       leaf.kind == Kind::kEigenvectors ||
                       (leaf.kind == Kind::kWendland && leaf.degree < 1) ||
                       (leaf.kind == Kind::kMatern && kernel.value_of(leaf.shape) <= 1);
    if (rough) return leaf.name + " has no derivative, or none that is known";
  }
  return "";
}

KernelJets::KernelJets(const Kernel& kernel) : kernel_(kernel) {
  const std::string why = obstacle(kernel);
  if (!why.empty()) {
    throw Error(ExitCode::kUsage, why, "kernel",
                "rbf, matern32, matern52, rq, periodic, cosine, linear and polynomial have");
  }
}

KernelJets::Jet KernelJets::radial(const RadialFunction& f, const Kernel::Leaf& leaf,
                                   const double* x, int64_t a, const double* y, int64_t b) const {
  double q = 0;
  Jet d;  // of q
  for (size_t k = 0; k < leaf.dims.size(); ++k) {
    const int64_t c = leaf.dims[k];
    const double l = kernel_.value_of(leaf.scale + (leaf.scales > 1 ? static_cast<int64_t>(k) : 0));
    const double r = (x[c] - y[c]) / l;
    q += r * r;
    if (c == a) d.a = 2 * r / l;
    if (c == b) d.b = -2 * r / l;
    if (c == a && c == b) d.ab = -2 / (l * l);
  }
  const RadialJet j = radial_jet(f, q);
  return {j.value, j.slope * d.a, j.slope * d.b, j.curvature * d.a * d.b + j.slope * d.ab};
}

KernelJets::Jet KernelJets::leaf_jet(const Kernel::Leaf& leaf, const double* x, int64_t a,
                                     const double* y, int64_t b, bool white) const {
  using Kind = Kernel::Kind;
  const auto scale = [&](size_t k) {
    return kernel_.value_of(leaf.scale + (leaf.scales > 1 ? static_cast<int64_t>(k) : 0));
  };
  const auto period = [&](size_t k) {
    return kernel_.value_of(leaf.period + (leaf.periods > 1 ? static_cast<int64_t>(k) : 0));
  };
  switch (leaf.kind) {
    case Kind::kConst:
      return {kernel_.value_of(leaf.scale), 0, 0, 0};
    case Kind::kWhite:
      return {white ? kernel_.value_of(leaf.scale) : 0, 0, 0, 0};
    case Kind::kRbf:
      return radial({RadialKind::kRbf}, leaf, x, a, y, b);
    case Kind::kMatern32:
      return radial({RadialKind::kMatern, 1.5}, leaf, x, a, y, b);
    case Kind::kMatern52:
      return radial({RadialKind::kMatern, 2.5}, leaf, x, a, y, b);
    case Kind::kMatern:
      return radial({RadialKind::kMatern, kernel_.value_of(leaf.shape)}, leaf, x, a, y, b);
    case Kind::kRationalQuadratic:
      return radial({RadialKind::kRationalQuadratic, kernel_.value_of(leaf.shape)}, leaf, x, a, y,
                    b);
    case Kind::kWendland:
      return radial({RadialKind::kWendland, 0, leaf.degree, static_cast<int64_t>(leaf.dims.size())},
                    leaf, x, a, y, b);
    case Kind::kPeriodic: {
      double q = 0;  // 4 sum sin^2 / l^2
      Jet d;
      for (size_t k = 0; k < leaf.dims.size(); ++k) {
        const int64_t c = leaf.dims[k];
        const double p = period(k), l2 = scale(k) * scale(k), step = kTwoPi / p;
        const double angle = kTwoPi * (std::remainder(x[c] - y[c], p) / p);
        const double half = std::sin(0.5 * angle);
        q += 4 * half * half / l2;
        const double slope = 2 * step * std::sin(angle) / l2;
        if (c == a) d.a = slope;
        if (c == b) d.b = -slope;
        if (c == a && c == b) d.ab = -2 * step * step * std::cos(angle) / l2;
      }
      const RadialJet j = radial_jet({RadialKind::kRbf}, q);
      return {j.value, j.slope * d.a, j.slope * d.b, j.curvature * d.a * d.b + j.slope * d.ab};
    }
    case Kind::kCosine: {
      double turns = 0, along_a = 0, along_b = 0;
      for (size_t k = 0; k < leaf.dims.size(); ++k) {
        const int64_t c = leaf.dims[k];
        const double p = period(k);
        turns += std::remainder(x[c] - y[c], p) / p;
        if (c == a) along_a = kTwoPi / p;
        if (c == b) along_b = kTwoPi / p;
      }
      const double cosine = std::cos(kTwoPi * turns), sine = std::sin(kTwoPi * turns);
      return {cosine, -sine * along_a, sine * along_b, cosine * along_a * along_b};
    }
    case Kind::kEigenvectors:  // an obstacle
      return {};
    case Kind::kLinear:
    case Kind::kPolynomial: {
      Jet s;
      for (size_t k = 0; k < leaf.dims.size(); ++k) {
        const int64_t c = leaf.dims[k];
        const double v = scale(k);
        s.v += v * x[c] * y[c];
        if (c == a) s.a = v * y[c];
        if (c == b) s.b = v * x[c];
        if (c == a && c == b) s.ab = v;
      }
      if (leaf.kind == Kind::kLinear) return s;
      const double base = s.v + kernel_.value_of(leaf.shape);
      const double p = static_cast<double>(leaf.degree);
      const double slope = p * std::pow(base, p - 1);
      const double curvature = leaf.degree > 1 ? p * (p - 1) * std::pow(base, p - 2) : 0;
      return {std::pow(base, p), slope * s.a, slope * s.b, curvature * s.a * s.b + slope * s.ab};
    }
    default:
      return {};
  }
}

KernelJets::Scratch KernelJets::scratch() const {
  const auto d = static_cast<size_t>(kernel_.warped() ? kernel_.dims() : 0);
  return {std::vector<Jet>(kernel_.nodes_.size()), std::vector<double>(d), std::vector<double>(d)};
}

double KernelJets::warp_slope(const KernelWarp& w, const double* x, int64_t column) const {
  for (int64_t k = 0; k < w.count(); ++k) {
    const auto at = static_cast<size_t>(k);
    if (w.columns[at] != column) continue;
    return warped_coordinate(x[column], w.low[at], w.high[at], kernel_.value_of(w.first + k),
                             kernel_.value_of(w.first + w.count() + k))
        .by_x;
  }
  return 1;
}

KernelJets::Jet KernelJets::warped_jet(const Kernel::Leaf& leaf, const double* x, int64_t a,
                                       const double* y, int64_t b, bool white, Scratch& s) const {
  const KernelWarp& w = kernel_.warps_[static_cast<size_t>(leaf.warp)];
  kernel_.warp_point(w, x, s.warped_x.data());
  kernel_.warp_point(w, y, s.warped_y.data());
  Jet j = leaf_jet(leaf, s.warped_x.data(), a, s.warped_y.data(), b, white);
  const double of_x = a < 0 ? 1 : warp_slope(w, x, a), of_y = b < 0 ? 1 : warp_slope(w, y, b);
  j.a *= of_x;
  j.b *= of_y;
  j.ab *= of_x * of_y;
  return j;
}

double KernelJets::entry(const double* x, int64_t a, const double* y, int64_t b, bool white,
                         Scratch& scratch) const {
  Jet* stack = scratch.stack.data();
  using Op = Kernel::Node::Op;
  const std::vector<Kernel::Node>& nodes = kernel_.nodes_;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Kernel::Node& n = nodes[i];
    if (n.op == Op::kLeaf) {
      const Kernel::Leaf& leaf = kernel_.leaves_[static_cast<size_t>(n.leaf)];
      stack[i] = leaf.warp < 0 ? leaf_jet(leaf, x, a, y, b, white)
                               : warped_jet(leaf, x, a, y, b, white, scratch);
      continue;
    }
    const Jet& l = stack[n.left];
    if (n.op == Op::kPower) {
      const double p = static_cast<double>(n.exponent);
      const double slope = p * std::pow(l.v, p - 1), curvature = p * (p - 1) * std::pow(l.v, p - 2);
      stack[i] = {std::pow(l.v, p), slope * l.a, slope * l.b, curvature * l.a * l.b + slope * l.ab};
      continue;
    }
    const Jet& r = stack[n.right];
    if (n.op == Op::kSum) {
      stack[i] = {l.v + r.v, l.a + r.a, l.b + r.b, l.ab + r.ab};
    } else {
      stack[i] = {l.v * r.v, l.a * r.v + l.v * r.a, l.b * r.v + l.v * r.b,
                  l.ab * r.v + l.a * r.b + l.b * r.a + l.v * r.ab};
    }
  }
  const Jet& root = stack[nodes.size() - 1];
  return a < 0 ? (b < 0 ? root.v : root.b) : (b < 0 ? root.a : root.ab);
}

void KernelJets::cross(const double* x, int64_t n, const int64_t* along_x, const double* y,
                       int64_t m, const int64_t* along_y, double* out, int64_t stride) const {
  const int64_t d = kernel_.dims();
  parallel_for(n, 16, [&](int64_t begin, int64_t end) {
    Scratch mine = scratch();
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < m; ++j) {
        out[i * stride + j] = entry(x + i * d, along_x[i], y + j * d, along_y[j], false, mine);
      }
    }
  });
}

void KernelJets::matrix(const double* x, int64_t n, const int64_t* along, double* out,
                        int64_t stride) const {
  const int64_t d = kernel_.dims();
  parallel_for(n, 16, [&](int64_t begin, int64_t end) {
    Scratch mine = scratch();
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        const bool white = i == j && along[i] < 0;
        out[i * stride + j] = entry(x + i * d, along[i], x + j * d, along[j], white, mine);
      }
    }
  });
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < i; ++j) out[j * stride + i] = out[i * stride + j];
  }
}

void KernelJets::diagonal(const double* x, int64_t n, const int64_t* along, bool with_white,
                          double* out) const {
  const int64_t d = kernel_.dims();
  Scratch mine = scratch();
  for (int64_t i = 0; i < n; ++i) {
    out[i] = entry(x + i * d, along[i], x + i * d, along[i], with_white && along[i] < 0, mine);
  }
}

}  // namespace covary::stat
