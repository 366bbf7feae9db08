#include "covary/stat/process/kernel_tape.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "covary/stat/process/radial.h"

namespace covary::stat {
namespace {

using compute::PairBlock;
using compute::Points;
using compute::Profile;

constexpr double kTwoPi = 2 * std::numbers::pi;

double whole_power(double base, int64_t exponent) {
  double p = 1;
  for (int64_t i = 0; i < exponent; ++i) p *= base;
  return p;
}

// out = sum of products of features, a tile.
void dot_tile(const Points& a, const Points& b, const PairBlock& t, double* out) {
  std::fill_n(out, t.size(), 0.0);
  for (int64_t k = 0; k < a.dims; ++k) {
    const double* y = b.values + k * b.stride + t.column;
    for (int64_t i = 0; i < t.rows; ++i) {
      const double x = a.values[k * a.stride + t.row + i];
      double* row = out + i * t.columns;
      for (int64_t j = 0; j < t.columns; ++j) row[j] += x * y[j];
    }
  }
}

double tile_sum(const double* w, int64_t count) {
  double s = 0;
  for (int64_t i = 0; i < count; ++i) s += w[i];
  return s;
}

}  // namespace

KernelTape::KernelTape(const Kernel& kernel, const double* x, int64_t n, const double* y, int64_t m,
                       bool same, bool slopes)
    : kernel_(kernel),
      n_(n),
      m_(same ? n : m),
      tile_size_(static_cast<size_t>(std::min(kRows, n_) * std::min(kColumns, m_))),
      same_(same),
      slopes_(slopes) {
  const double* first = n_ > 0 ? x : y;
  for (const KernelParameter& p : kernel.parameters_) parameters_.push_back(p.value);
  coordinates_.resize(kernel.warps_.size() + kernel.nets_.size() + 1);
  std::vector<double> units(static_cast<size_t>(kernel.most_units()));
  for (size_t i = 0; i < coordinates_.size(); ++i) {
    std::vector<double>& origin = coordinates_[i].origin;
    origin.assign(static_cast<size_t>(kernel.dims_of(i)), 0.0);
    if (n_ == 0 && (same || m_ == 0)) continue;
    kernel.show_point(i, first, origin.data(), units.data());
  }
  for (const Leaf& leaf : kernel.leaves_) {
    spectra_.push_back(leaf.kind == Kernel::Kind::kEigenvectors ? kernel.spectrum_of(leaf)
                                                                : EigenSpectrum());
  }
  features_.resize(kernel.leaves_.size());
  rebind(x, same_ ? nullptr : y);
  for (size_t i = 0; i < features_.size(); ++i) {
    Features& f = features_[i];
    const Leaf& leaf = kernel.leaves_[i];
    f.count = leaf.kind == Kernel::Kind::kPair ? static_cast<int64_t>(leaf.dims.size())
              : n_ > 0                         ? static_cast<int64_t>(f.x.size()) / n_
                                               : 0;
  }
}

void KernelTape::rebind(const double* x, const double* y) {
  for (size_t i = 0; i < coordinates_.size(); ++i) {
    if (x) relate(i, x, n_, &coordinates_[i].x);
    if (y) relate(i, y, m_, &coordinates_[i].y);
  }
  for (size_t i = 0; i < features_.size(); ++i) {
    const Leaf& leaf = kernel_.leaves_[i];
    const Coordinates& c = coordinates_of(leaf);
    Features& f = features_[i];
    if (leaf.kind == Kernel::Kind::kPair) {
      // As they came, to the bit, unless they are warped.
      const bool as_they_came = kernel_.space_of(leaf) == 0;
      if (x) f.x = pair_features(leaf, as_they_came ? x : nullptr, n_, c.x);
      if (y) f.y = pair_features(leaf, as_they_came ? y : nullptr, m_, c.y);
    } else {
      if (x) features(leaf, c.x.at.data(), n_, &f.x);
      if (y) features(leaf, c.y.at.data(), m_, &f.y);
    }
  }
}

void KernelTape::relate(size_t index, const double* p, int64_t n, Places* out) const {
  const int64_t d = kernel_.dims();
  const std::vector<double>& origin = coordinates_[index].origin;
  if (index > kernel_.warps_.size()) {
    const KernelNet& net = kernel_.nets_[index - kernel_.warps_.size() - 1];
    const int64_t units = net.units(), outputs = net.outputs();
    out->units.resize(static_cast<size_t>(units * n));
    out->at.resize(static_cast<size_t>(outputs * n));
    for (int64_t i = 0; i < n; ++i) {
      double* own = out->units.data() + i * units;
      net.forward(p + i * d, parameters_.data() + net.first, own);
      for (int64_t k = 0; k < outputs; ++k) {
        out->at[static_cast<size_t>(k * n + i)] =
            own[units - outputs + k] - origin[static_cast<size_t>(k)];
      }
    }
    return;
  }
  out->at.resize(static_cast<size_t>(d * n));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < d; ++k) {
      out->at[static_cast<size_t>(k * n + i)] = p[i * d + k] - origin[static_cast<size_t>(k)];
    }
  }
  if (index == 0) return;
  const KernelWarp& warp = kernel_.warps_[index - 1];
  const int64_t count = warp.count();
  const auto size = static_cast<size_t>(slopes_ ? count * n : 0);
  out->by_x.resize(size);
  out->by_log_a.resize(size);
  out->by_log_b.resize(size);
  for (int64_t c = 0; c < count; ++c) {
    const auto k = static_cast<size_t>(c);
    const int64_t column = warp.columns[k];
    const double a = parameters_[static_cast<size_t>(warp.first + c)],
                 b = parameters_[static_cast<size_t>(warp.first + count + c)];
    for (int64_t i = 0; i < n; ++i) {
      const WarpedCoordinate w =
          warped_coordinate(p[i * d + column], warp.low[k], warp.high[k], a, b);
      out->at[static_cast<size_t>(column * n + i)] = w.value - origin[static_cast<size_t>(column)];
      if (!slopes_) continue;
      const auto at = static_cast<size_t>(c * n + i);
      out->by_x[at] = w.by_x;
      out->by_log_a[at] = w.by_log_a;
      out->by_log_b[at] = w.by_log_b;
    }
  }
}

void KernelTape::features(const Leaf& leaf, const double* x, int64_t n,
                          std::vector<double>* out) const {
  using Kind = Kernel::Kind;
  if (leaf.dims.empty()) return;
  const auto value = [&](int64_t first, int64_t count, size_t k) {
    return kernel_
        .parameters_[static_cast<size_t>(first + (count > 1 ? static_cast<int64_t>(k) : 0))]
        .value;
  };
  const size_t dims = leaf.dims.size(), length = static_cast<size_t>(n);
  const bool periodic = leaf.kind == Kind::kPeriodic;
  out->resize(leaf.kind == Kind::kCosine ? 2 * length : length * dims * (periodic ? 2 : 1));
  std::vector<double> phase(leaf.kind == Kind::kCosine ? length : 0);
  for (size_t k = 0; k < dims; ++k) {
    const double* from = x + leaf.dims[k] * n;
    double* to = out->data() + k * length * (periodic ? 2 : 1);
    switch (leaf.kind) {
      case Kind::kPeriodic: {
        const double p = value(leaf.period, leaf.periods, k), l = value(leaf.scale, leaf.scales, k);
        for (size_t i = 0; i < length; ++i) {
          // Whole periods go first: they would cost the sine's argument its digits.
          const double a = kTwoPi * (std::remainder(from[i], p) / p);
          to[i] = std::cos(a) / l;
          to[length + i] = std::sin(a) / l;
        }
        break;
      }
      case Kind::kCosine: {
        const double p = value(leaf.period, leaf.periods, k);
        for (size_t i = 0; i < length; ++i) phase[i] += std::remainder(from[i], p) / p;
        break;
      }
      case Kind::kLinear:
      case Kind::kEigenvectors:
      case Kind::kPolynomial: {
        const double root =
            std::sqrt(leaf.kind == Kind::kEigenvectors ? spectrum_of(leaf).weight[k]
                                                       : value(leaf.scale, leaf.scales, k));
        const double origin = coordinates_of(leaf).origin[static_cast<size_t>(leaf.dims[k])];
        for (size_t i = 0; i < length; ++i) to[i] = (from[i] + origin) * root;
        break;
      }
      default: {
        const double l = value(leaf.scale, leaf.scales, k);
        for (size_t i = 0; i < length; ++i) to[i] = from[i] / l;
      }
    }
  }
  for (size_t i = 0; i < phase.size(); ++i) {
    (*out)[i] = std::cos(kTwoPi * phase[i]);
    (*out)[length + i] = std::sin(kTwoPi * phase[i]);
  }
}

std::vector<double> KernelTape::pair_features(const Leaf& leaf, const double* x, int64_t n,
                                              const Places& places) const {
  const auto count = static_cast<int64_t>(leaf.dims.size());
  std::vector<double> out(static_cast<size_t>(n * count));
  for (int64_t i = 0; i < n; ++i) {
    double* point = out.data() + i * count;
    for (int64_t k = 0; k < count; ++k) {
      const int64_t column = leaf.dims[static_cast<size_t>(k)];
      point[k] = x ? x[i * kernel_.dims() + column]
                   : places.at[static_cast<size_t>(column * n + i)] +
                         coordinates_of(leaf).origin[static_cast<size_t>(column)];
    }
    leaf.function->check(point, parameters_.data() + leaf.first);
  }
  return out;
}

KernelTape::Scratch KernelTape::scratch() const {
  const bool warped = kernel_.warped();
  return {std::vector<double>(kernel_.nodes_.size() * kBuffers * tile_size_),
          std::vector<char>(kernel_.nodes_.size()), std::vector<double>(warped ? tile_size_ : 0),
          std::vector<double>(static_cast<size_t>(warped ? kColumns * kernel_.most_dims() : 0)),
          std::vector<double>(static_cast<size_t>(kernel_.most_units()))};
}

void KernelTape::forward_leaf(size_t node, const PairBlock& t, Scratch& s) const {
  using Kind = Kernel::Kind;
  const size_t index = static_cast<size_t>(kernel_.nodes_[node].leaf);
  const Leaf& leaf = kernel_.leaves_[index];
  const Features& f = features_[index];
  const auto value = [&](int64_t p) { return kernel_.parameters_[static_cast<size_t>(p)].value; };
  double* out = buffer(s, node, kValue);
  const auto radial = [&](Profile profile, double shape) {
    double* q = buffer(s, node, kDistance);
    compute::pair_squares(rows_of(f), columns_of(f), t, q);
    compute::radial_profile(profile, shape, q, t.size(), out,
                            slopes_ ? buffer(s, node, kSlope) : nullptr,
                            slopes_ && leaf.shape >= 0 ? buffer(s, node, kShapeSlope) : nullptr);
  };
  switch (leaf.kind) {
    case Kind::kConst:
      std::fill_n(out, t.size(), value(leaf.scale));
      return;
    case Kind::kWhite: {
      s.zero[node] = !same_ || t.row + t.rows <= t.column || t.column + t.columns <= t.row;
      if (s.zero[node]) return;
      std::fill_n(out, t.size(), 0.0);
      for (int64_t i = 0; i < t.rows; ++i) {
        const int64_t j = t.row + i - t.column;
        if (j >= 0 && j < t.columns) out[i * t.columns + j] = value(leaf.scale);
      }
      return;
    }
    case Kind::kRbf:
    case Kind::kPeriodic:
      radial(Profile::kRbf, 0);
      return;
    case Kind::kMatern12:
      radial(Profile::kMatern12, 0);
      return;
    case Kind::kMatern32:
      radial(Profile::kMatern32, 0);
      return;
    case Kind::kMatern52:
      radial(Profile::kMatern52, 0);
      return;
    case Kind::kRationalQuadratic:
      radial(Profile::kRationalQuadratic, value(leaf.shape));
      return;
    case Kind::kMatern:
    case Kind::kWendland: {
      double* q = buffer(s, node, kDistance);
      double* slope = slopes_ ? buffer(s, node, kSlope) : nullptr;
      compute::pair_squares(rows_of(f), columns_of(f), t, q);
      if (leaf.kind == Kind::kWendland) {
        wendland_profile(leaf.degree, static_cast<int64_t>(leaf.dims.size()), q, t.size(), out,
                         slope);
      } else {
        matern_profile(value(leaf.shape), q, t.size(), out, slope,
                       slopes_ ? buffer(s, node, kShapeSlope) : nullptr);
      }
      return;
    }
    case Kind::kPair: {
      const double* p = parameters_.data() + leaf.first;
      for (int64_t i = 0; i < t.rows; ++i) {
        const double* point = pair_point(f, t.row + i);
        for (int64_t j = 0; j < t.columns; ++j) {
          out[i * t.columns + j] = leaf.function->value(point, pair_column(f, t.column + j), p);
        }
      }
      return;
    }
    case Kind::kCosine:
    case Kind::kLinear:
    case Kind::kEigenvectors:
      dot_tile(rows_of(f), columns_of(f), t, out);
      return;
    case Kind::kPolynomial: {
      double* base = buffer(s, node, kDistance);
      dot_tile(rows_of(f), columns_of(f), t, base);
      const double offset = value(leaf.shape);
      for (int64_t i = 0; i < t.size(); ++i) {
        const double b = base[i] + offset;
        out[i] = whole_power(b, leaf.degree);
        if (slopes_) {  // by the sum inside
          buffer(s, node, kSlope)[i] =
              static_cast<double>(leaf.degree) * whole_power(b, leaf.degree - 1);
        }
      }
      return;
    }
  }
}

const double* KernelTape::forward(const PairBlock& t, Scratch& s) const {
  const auto& nodes = kernel_.nodes_;
  for (size_t i = 0; i < nodes.size(); ++i) {
    s.zero[i] = 0;
    if (nodes[i].op == Node::Op::kLeaf) {
      forward_leaf(i, t, s);
      continue;
    }
    if (nodes[i].op == Node::Op::kPower) {
      const size_t child = static_cast<size_t>(nodes[i].left);
      s.zero[i] = s.zero[child];
      const double* base = buffer(s, child, kValue);
      double* power = buffer(s, i, kValue);
      for (int64_t k = 0; !s.zero[i] && k < t.size(); ++k) {
        power[k] = whole_power(base[k], nodes[i].exponent);
      }
      continue;
    }
    const size_t left = static_cast<size_t>(nodes[i].left),
                 right = static_cast<size_t>(nodes[i].right);
    const double *a = buffer(s, left, kValue), *b = buffer(s, right, kValue);
    double* out = buffer(s, i, kValue);
    if (nodes[i].op == Node::Op::kProduct) {
      s.zero[i] = s.zero[left] || s.zero[right];
      if (s.zero[i]) continue;
      if (is_const(left)) {
        compute::pair_scale(b, a[0], t.size(), out);
      } else if (is_const(right)) {
        compute::pair_scale(a, b[0], t.size(), out);
      } else {
        compute::pair_product(a, b, t.size(), out);
      }
    } else if (s.zero[left] || s.zero[right]) {
      s.zero[i] = s.zero[left] && s.zero[right];
      if (!s.zero[i]) std::copy_n(s.zero[left] ? b : a, t.size(), out);
    } else {
      for (int64_t k = 0; k < t.size(); ++k) out[k] = a[k] + b[k];
    }
  }
  double* root = buffer(s, nodes.size() - 1, kValue);
  if (s.zero.back()) std::fill_n(root, t.size(), 0.0);
  return root;
}

template <class F>
void KernelTape::walk_back(const PairBlock& t, const double* weights, Scratch& s, F&& visit) const {
  const auto& nodes = kernel_.nodes_;
  std::vector<const double*> reaching(nodes.size());  // weights of each node; null: none
  reaching.back() = weights;
  for (size_t i = nodes.size(); i-- > 0;) {
    const double* w = reaching[i];
    if (!w || s.zero[i]) continue;
    if (nodes[i].op == Node::Op::kLeaf) {
      visit(i, kernel_.leaves_[static_cast<size_t>(nodes[i].leaf)], w);
      continue;
    }
    const size_t left = static_cast<size_t>(nodes[i].left),
                 right = static_cast<size_t>(nodes[i].right);
    if (nodes[i].op == Node::Op::kPower) {
      double* out = buffer(s, left, kWeight);
      const double* base = buffer(s, left, kValue);
      const double exponent = static_cast<double>(nodes[i].exponent);
      for (int64_t k = 0; k < t.size(); ++k) {
        out[k] = w[k] * exponent * whole_power(base[k], nodes[i].exponent - 1);
      }
      reaching[left] = out;
      continue;
    }
    if (nodes[i].op == Node::Op::kSum) {
      reaching[left] = reaching[right] = w;
      continue;
    }
    for (const auto& [child, other] : {std::pair{left, right}, std::pair{right, left}}) {
      double* out = buffer(s, child, kWeight);
      if (is_const(other)) {
        compute::pair_scale(w, buffer(s, other, kValue)[0], t.size(), out);
      } else {
        compute::pair_product(w, buffer(s, other, kValue), t.size(), out);
      }
      reaching[child] = out;
    }
  }
}

void KernelTape::leaf_gradient(size_t node, const Leaf& leaf, const PairBlock& t, const double* w,
                               Scratch& s, double* gradient) const {
  using Kind = Kernel::Kind;
  const Features& f = features_[static_cast<size_t>(kernel_.nodes_[node].leaf)];
  const Points a = rows_of(f), b = columns_of(f);
  const auto value = [&](int64_t p) { return kernel_.parameters_[static_cast<size_t>(p)].value; };
  double* q = buffer(s, node, kDistance);
  double* slope = buffer(s, node, kSlope);
  // By coordinate or, with one parameter for all, summed.
  const auto add = [&](int64_t first, int64_t count, int64_t k, double amount) {
    gradient[first + (count > 1 ? k : 0)] += amount;
  };
  switch (leaf.kind) {
    case Kind::kConst:
      gradient[leaf.scale] += compute::pair_dot(w, buffer(s, node, kValue), t.size());
      return;
    case Kind::kWhite: {
      double trace = 0;
      for (int64_t i = 0; i < t.rows; ++i) {
        const int64_t j = t.row + i - t.column;
        if (j >= 0 && j < t.columns) trace += w[i * t.columns + j];
      }
      gradient[leaf.scale] += value(leaf.scale) * trace;
      return;
    }
    case Kind::kRbf:
    case Kind::kMatern12:
    case Kind::kMatern32:
    case Kind::kMatern52:
    case Kind::kRationalQuadratic:
    case Kind::kMatern:
    case Kind::kWendland:
    case Kind::kPeriodic: {
      if (leaf.kind == Kind::kRationalQuadratic || leaf.kind == Kind::kMatern) {
        gradient[leaf.shape] +=
            value(leaf.shape) * compute::pair_dot(w, buffer(s, node, kShapeSlope), t.size());
      }
      compute::pair_product(w, slope, t.size(), slope);  // from here on: weights of d q
      if (leaf.scales == 1) {
        gradient[leaf.scale] -= 2 * compute::pair_dot(slope, q, t.size());
      } else {
        double sums[64];
        for (int64_t k = 0; k < a.dims; k += 64) {
          const int64_t some = std::min<int64_t>(64, a.dims - k);
          std::fill_n(sums, some, 0.0);
          compute::pair_square_moments({a.values + k * a.stride, a.stride, some},
                                       {b.values + k * b.stride, b.stride, some}, t, slope, sums);
          const int64_t per = leaf.kind == Kind::kPeriodic ? 2 : 1;
          for (int64_t c = 0; c < some; ++c) gradient[leaf.scale + (k + c) / per] -= 2 * sums[c];
        }
      }
      if (leaf.kind != Kind::kPeriodic) return;
      // d q / d log p = -2 sum_k (2 pi D_k / p) sin(2 pi D_k / p) / l^2
      for (size_t k = 0; k < leaf.dims.size(); ++k) {
        const double p = value(leaf.period + (leaf.periods > 1 ? static_cast<int64_t>(k) : 0));
        const double* cos_a = a.values + static_cast<int64_t>(2 * k) * a.stride + t.row;
        const double* cos_b = b.values + static_cast<int64_t>(2 * k) * b.stride + t.column;
        const double *sin_a = cos_a + a.stride, *sin_b = cos_b + b.stride;
        const double* xa = coordinates_of(leaf).x.at.data() + leaf.dims[k] * n_ + t.row;
        const double* xb = places_of_columns(leaf).at.data() + leaf.dims[k] * m_ + t.column;
        double sum = 0;
        for (int64_t i = 0; i < t.rows; ++i) {
          for (int64_t j = 0; j < t.columns; ++j) {
            sum += slope[i * t.columns + j] * (xa[i] - xb[j]) *
                   (sin_a[i] * cos_b[j] - cos_a[i] * sin_b[j]);
          }
        }
        add(leaf.period, leaf.periods, static_cast<int64_t>(k), -2 * kTwoPi / p * sum);
      }
      return;
    }
    case Kind::kPair:
      pair_gradient(leaf, f, t, w, gradient + leaf.first);
      return;
    case Kind::kCosine: {
      const double *cos_a = a.values + t.row, *sin_a = cos_a + a.stride;
      const double *cos_b = b.values + t.column, *sin_b = cos_b + b.stride;
      for (size_t k = 0; k < leaf.dims.size(); ++k) {
        const double p = value(leaf.period + (leaf.periods > 1 ? static_cast<int64_t>(k) : 0));
        const double* xa = coordinates_of(leaf).x.at.data() + leaf.dims[k] * n_ + t.row;
        const double* xb = places_of_columns(leaf).at.data() + leaf.dims[k] * m_ + t.column;
        double sum = 0;
        for (int64_t i = 0; i < t.rows; ++i) {
          for (int64_t j = 0; j < t.columns; ++j) {
            sum += w[i * t.columns + j] * (xa[i] - xb[j]) *
                   (sin_a[i] * cos_b[j] - cos_a[i] * sin_b[j]);
          }
        }
        add(leaf.period, leaf.periods, static_cast<int64_t>(k), kTwoPi / p * sum);
      }
      return;
    }
    case Kind::kLinear:
    case Kind::kEigenvectors:
    case Kind::kPolynomial: {
      if (leaf.kind == Kind::kPolynomial) {
        compute::pair_product(w, slope, t.size(), slope);
        gradient[leaf.shape] += value(leaf.shape) * tile_sum(slope, t.size());
        w = slope;
      }
      for (int64_t k = 0; k < a.dims; ++k) {
        const double* y = b.values + k * b.stride + t.column;
        double sum = 0;
        for (int64_t i = 0; i < t.rows; ++i) {
          sum += a.values[k * a.stride + t.row + i] *
                 compute::pair_dot(w + i * t.columns, y, t.columns);
        }
        if (leaf.kind == Kind::kEigenvectors) {
          const EigenSpectrum& own = spectrum_of(leaf);
          gradient[leaf.scale] += sum * own.by_log_lengthscale[static_cast<size_t>(k)];
          if (leaf.shape >= 0) gradient[leaf.shape] += sum * own.by_log_nu[static_cast<size_t>(k)];
          continue;
        }
        add(leaf.scale, leaf.scales, k, sum);
      }
      return;
    }
  }
}

void KernelTape::pair_gradient(const Leaf& leaf, const Features& f, const PairBlock& t,
                               const double* w, double* gradient) const {
  const std::vector<KernelParameter>& listed = leaf.function->parameters();
  const double* p = parameters_.data() + leaf.first;
  std::vector<double> slopes(listed.size());
  for (int64_t i = 0; i < t.rows; ++i) {
    const double* point = pair_point(f, t.row + i);
    for (int64_t j = 0; j < t.columns; ++j) {
      const double weight = w[i * t.columns + j];
      if (weight == 0) continue;
      leaf.function->parameter_slopes(point, pair_column(f, t.column + j), p, slopes.data());
      for (size_t k = 0; k < slopes.size(); ++k) {
        gradient[k] += weight * slopes[k] * (listed[k].real ? 1 : p[k]);
      }
    }
  }
}

const double* KernelTape::sloped_weights(size_t node, const Leaf& leaf, const PairBlock& t,
                                         const double* w, Scratch& s, bool after_backward) const {
  using Kind = Kernel::Kind;
  if (leaf.kind == Kind::kCosine || leaf.kind == Kind::kLinear ||
      leaf.kind == Kind::kEigenvectors || leaf.kind == Kind::kPair)
    return w;
  double* slope = buffer(s, node, kSlope);
  if (!after_backward) compute::pair_product(w, slope, t.size(), slope);
  return slope;
}

void KernelTape::coordinate_gradient(const Leaf& leaf, const Features& f, bool swapped,
                                     const PairBlock& t, const double* weights,
                                     double* gradient) const {
  using Kind = Kernel::Kind;
  const int64_t d = kernel_.dims_of(kernel_.space_of(leaf));
  if (leaf.kind == Kind::kPair) {
    std::vector<double> slopes(leaf.dims.size());
    for (int64_t i = 0; i < t.rows; ++i) {
      for (int64_t j = 0; j < t.columns; ++j) {
        const double* row = swapped ? pair_column(f, t.row + i) : pair_point(f, t.row + i);
        const double* column = swapped ? pair_point(f, t.column + j) : pair_column(f, t.column + j);
        leaf.function->input_slopes(row, column, parameters_.data() + leaf.first, slopes.data());
        for (size_t k = 0; k < slopes.size(); ++k) {
          gradient[i * d + leaf.dims[k]] += weights[i * t.columns + j] * slopes[k];
        }
      }
    }
    return;
  }
  const Points a = swapped ? columns_of(f) : rows_of(f), b = swapped ? rows_of(f) : columns_of(f);
  const auto value = [&](int64_t first, int64_t count, size_t k) {
    return kernel_
        .parameters_[static_cast<size_t>(first + (count > 1 ? static_cast<int64_t>(k) : 0))]
        .value;
  };
  const bool turning = leaf.kind == Kind::kPeriodic || leaf.kind == Kind::kCosine;
  const bool product = leaf.kind == Kind::kPolynomial || leaf.kind == Kind::kLinear ||
                       leaf.kind == Kind::kEigenvectors;
  if (!turning && !product) {
    constexpr int64_t kSome = 16;
    double sums[kColumns * kSome];
    for (int64_t first = 0; first < a.dims; first += kSome) {
      const int64_t some = std::min(kSome, a.dims - first);
      std::fill_n(sums, t.rows * some, 0.0);
      compute::pair_difference_moments({a.values + first * a.stride, a.stride, some},
                                       {b.values + first * b.stride, b.stride, some}, t, weights,
                                       sums, some);
      for (int64_t k = 0; k < some; ++k) {
        const auto of = static_cast<size_t>(first + k);
        const double factor = 2 / value(leaf.scale, leaf.scales, of);
        for (int64_t i = 0; i < t.rows; ++i)
          gradient[i * d + leaf.dims[of]] += factor * sums[i * some + k];
      }
    }
    return;
  }
  for (size_t k = 0; k < leaf.dims.size(); ++k) {
    const int64_t pair = leaf.kind == Kind::kPeriodic ? static_cast<int64_t>(2 * k)
                         : leaf.kind == Kind::kCosine ? 0
                                                      : static_cast<int64_t>(k);
    const double* xa = a.values + pair * a.stride + t.row;
    const double* xb = b.values + pair * b.stride + t.column;
    for (int64_t i = 0; i < t.rows; ++i) {
      const double* row = weights + i * t.columns;
      double sum = 0, factor = 1;
      if (turning) {
        for (int64_t j = 0; j < t.columns; ++j) {
          sum += row[j] * (xa[a.stride + i] * xb[j] - xa[i] * xb[b.stride + j]);
        }
        factor = leaf.kind == Kind::kPeriodic ? 2 * kTwoPi : -kTwoPi;
        factor /= value(leaf.period, leaf.periods, k);
      } else {
        for (int64_t j = 0; j < t.columns; ++j) sum += row[j] * xb[j];
        factor = std::sqrt(leaf.kind == Kind::kEigenvectors ? spectrum_of(leaf).weight[k]
                                                            : value(leaf.scale, leaf.scales, k));
      }
      gradient[i * d + leaf.dims[k]] += factor * sum;
    }
  }
}

void KernelTape::leaf_input_gradient(size_t node, const Leaf& leaf, const PairBlock& t,
                                     const double* w, Scratch& s, double* gradient,
                                     bool after_backward) const {
  if (leaf.dims.empty()) return;
  const Features& f = features_[static_cast<size_t>(kernel_.nodes_[node].leaf)];
  const double* weights = sloped_weights(node, leaf, t, w, s, after_backward);
  if (kernel_.space_of(leaf) == 0) {
    coordinate_gradient(leaf, f, false, t, weights, gradient);
    return;
  }
  const int64_t d = kernel_.dims();
  if (leaf.net >= 0) {
    const KernelNet& net = net_of(leaf);
    const int64_t outputs = net.outputs();
    std::fill_n(s.moved.data(), t.rows * outputs, 0.0);
    coordinate_gradient(leaf, f, false, t, weights, s.moved.data());
    for (int64_t i = 0; i < t.rows; ++i) {
      net.backward(coordinates_of(leaf).x.units.data() + (t.row + i) * net.units(),
                   parameters_.data() + net.first, s.moved.data() + i * outputs, nullptr,
                   gradient + i * d, s.units.data());
    }
    return;
  }
  std::fill_n(s.moved.data(), t.rows * d, 0.0);
  coordinate_gradient(leaf, f, false, t, weights, s.moved.data());
  const KernelWarp& warp = kernel_.warps_[static_cast<size_t>(leaf.warp)];
  const std::vector<double>& by_x = coordinates_of(leaf).x.by_x;
  for (int64_t c = 0; c < warp.count(); ++c) {
    double* column = s.moved.data() + warp.columns[static_cast<size_t>(c)];
    for (int64_t i = 0; i < t.rows; ++i)
      column[i * d] *= by_x[static_cast<size_t>(c * n_ + t.row + i)];
  }
  for (int64_t i = 0; i < t.rows * d; ++i) gradient[i] += s.moved[static_cast<size_t>(i)];
}

void KernelTape::space_gradient(size_t node, const Leaf& leaf, const PairBlock& t, const double* w,
                                Scratch& s, double* gradient) const {
  const Features& f = features_[static_cast<size_t>(kernel_.nodes_[node].leaf)];
  const int64_t d = kernel_.dims_of(kernel_.space_of(leaf));
  const double* weights = sloped_weights(node, leaf, t, w, s, true);
  // A side of the pairs moves with the exponents or weights as its places say; the kernel is symmetric,
  // so the columns are rows of the transposed tile.
  const auto add = [&](bool swapped, const PairBlock& block, const double* of, const Places& places,
                       int64_t stride) {
    std::fill_n(s.moved.data(), block.rows * d, 0.0);
    coordinate_gradient(leaf, f, swapped, block, of, s.moved.data());
    if (leaf.net >= 0) {
      const KernelNet& net = net_of(leaf);
      for (int64_t i = 0; i < block.rows; ++i) {
        net.backward(places.units.data() + (block.row + i) * net.units(),
                     parameters_.data() + net.first, s.moved.data() + i * d, gradient + net.first,
                     nullptr, s.units.data());
      }
      return;
    }
    const KernelWarp& warp = kernel_.warps_[static_cast<size_t>(leaf.warp)];
    for (int64_t c = 0; c < warp.count(); ++c) {
      const double* slope = s.moved.data() + warp.columns[static_cast<size_t>(c)];
      const double* by_a = places.by_log_a.data() + c * stride + block.row;
      const double* by_b = places.by_log_b.data() + c * stride + block.row;
      for (int64_t i = 0; i < block.rows; ++i) {
        gradient[warp.first + c] += slope[i * d] * by_a[i];
        gradient[warp.first + warp.count() + c] += slope[i * d] * by_b[i];
      }
    }
  };
  add(false, t, weights, coordinates_of(leaf).x, n_);
  for (int64_t i = 0; i < t.rows; ++i) {
    for (int64_t j = 0; j < t.columns; ++j) {
      s.transposed[static_cast<size_t>(j * t.rows + i)] = weights[i * t.columns + j];
    }
  }
  add(true, {t.column, t.columns, t.row, t.rows}, s.transposed.data(), places_of_columns(leaf), m_);
}

void KernelTape::backward(const PairBlock& t, const double* weights, Scratch& s,
                          double* gradient) const {
  walk_back(t, weights, s, [&](size_t node, const Leaf& leaf, const double* w) {
    leaf_gradient(node, leaf, t, w, s, gradient);
    if (!leaf.dims.empty() && kernel_.space_of(leaf) > 0)
      space_gradient(node, leaf, t, w, s, gradient);
  });
}

void KernelTape::backward_inputs(const PairBlock& t, const double* weights, Scratch& s,
                                 double* gradient, bool after_backward) const {
  walk_back(t, weights, s, [&](size_t node, const Leaf& leaf, const double* w) {
    leaf_input_gradient(node, leaf, t, w, s, gradient, after_backward);
  });
}

}  // namespace covary::stat
