#include "covary/stat/process/kernel.h"

#include <algorithm>
#include <cmath>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/base/threads.h"
#include "covary/stat/process/kernel_tape.h"

namespace covary::stat {
namespace {

using compute::PairBlock;

// Fewer pairs are done before a second thread has woken up.
constexpr int64_t kPairsAlone = 1 << 16;
constexpr int64_t kRows = KernelTape::kRows, kColumns = KernelTape::kColumns;

// Calls body(tile, scratch, strip) for the tiles of all strips of rows, `columns(strip)` wide; the
// last strips first, which are the longest of a triangle.
template <class Widths, class F>
void over_strips(const KernelTape& tape, int64_t rows, const Widths& widths, const F& body) {
  const int64_t strips = (rows + kRows - 1) / kRows;
  std::vector<KernelTape::Scratch> scratch(
      static_cast<size_t>(std::min<int64_t>(threads(), std::max<int64_t>(strips, 1))));
  const auto work = [&](int64_t task, int worker) {
    auto& mine = scratch[static_cast<size_t>(worker)];
    if (mine.buffers.empty()) mine = tape.scratch();
    const int64_t strip = strips - 1 - task, row = strip * kRows;
    const int64_t height = std::min(kRows, rows - row), width = widths(row);
    for (int64_t column = 0; column < width; column += kColumns) {
      body(PairBlock{row, height, column, std::min(kColumns, width - column)}, mine, strip);
    }
  };
  if (rows * widths(rows) < kPairsAlone) {
    for (int64_t task = 0; task < strips; ++task) work(task, 0);
  } else {
    parallel_tasks(strips, work);
  }
}

}  // namespace

KernelParameter& Kernel::parameter(std::string_view name) {
  std::vector<std::string> names;
  for (KernelParameter& p : parameters_) {
    if (p.name == name) return p;
    names.push_back(p.name);
  }
  const std::string near = nearest_word(name, names);
  throw Error(ExitCode::kUsage, "has no parameter \"" + std::string(name) + "\"", "kernel",
              near.empty() ? "" : "did you mean \"" + near + "\"?");
}

void Kernel::tie(std::string_view name, std::string_view to) {
  KernelParameter &p = parameter(name), &target = parameter(to);
  if (&p == &target || target.tied_to >= 0) {
    throw Error(ExitCode::kUsage, "can be tied to a free parameter only", p.name);
  }
  for (const KernelParameter& other : parameters_) {
    if (other.tied_to == &p - parameters_.data()) {
      throw Error(ExitCode::kUsage, "has parameters tied to it", p.name);
    }
  }
  p.tied_to = &target - parameters_.data();
  p.value = target.value;
}

std::string Kernel::single_matern() const {
  if (dims_ != 1) return "";
  for (const KernelParameter& p : parameters_) {
    if (p.fixed || p.tied_to >= 0) return "";
  }
  std::string found;
  int constants = 0, whites = 0;
  const auto walk = [&](const auto& self, int64_t at, bool inside_product) -> bool {
    const Node& node = nodes_[static_cast<size_t>(at)];
    if (node.op == Node::Op::kPower) return false;
    if (node.op != Node::Op::kLeaf) {
      const bool product = node.op == Node::Op::kProduct;
      if (inside_product && !product) return false;
      return self(self, node.left, product) && self(self, node.right, product);
    }
    const Leaf& leaf = leaves_[static_cast<size_t>(node.leaf)];
    if (space_of(leaf) > 0) return false;
    switch (leaf.kind) {
      case Kind::kConst:
        return inside_product && !leaf.literal && ++constants == 1;
      case Kind::kWhite:
        return !inside_product && ++whites == 1;
      case Kind::kMatern12:
      case Kind::kMatern32:
      case Kind::kMatern52:
        if (!found.empty()) return false;
        found = leaf.kind == Kind::kMatern12   ? "matern12"
                : leaf.kind == Kind::kMatern32 ? "matern32"
                                               : "matern52";
        return true;
      default:
        return false;
    }
  };
  return walk(walk, static_cast<int64_t>(nodes_.size()) - 1, false) ? found : "";
}

void Kernel::set_ranges(std::span<const double> low, std::span<const double> high) {
  const auto set = [&](auto& w) {
    if (w.ranged) return;
    for (size_t k = 0; k < w.columns.size(); ++k) {
      const auto column = static_cast<size_t>(w.columns[k]);
      w.low[k] = low[column];
      w.high[k] = high[column] > low[column] ? high[column] : low[column] + 1;
    }
    w.ranged = true;
  };
  for (KernelWarp& w : warps_) set(w);
  for (KernelNet& n : nets_) set(n);
}

EigenSpectrum Kernel::spectrum_of(const Leaf& leaf) const {
  return eigen_spectrum(leaf.density, leaf.eigenvalues, value_of(leaf.scale),
                        leaf.shape < 0 ? 1.5 : value_of(leaf.shape));
}

int64_t Kernel::most_dims() const {
  int64_t most = dims_;
  for (const KernelNet& n : nets_) most = std::max(most, n.outputs());
  return most;
}

int64_t Kernel::most_units() const {
  int64_t most = 0;
  for (const KernelNet& n : nets_) most = std::max(most, n.units());
  return most;
}

void Kernel::show_point(size_t space, const double* x, double* out, double* units) const {
  if (space == 0) {
    std::copy_n(x, dims_, out);
  } else if (space <= warps_.size()) {
    warp_point(warps_[space - 1], x, out);
  } else {
    const KernelNet& net = nets_[space - warps_.size() - 1];
    std::vector<double> weights;
    for (int64_t i = 0; i < net.weights(); ++i) weights.push_back(value_of(net.first + i));
    net.forward(x, weights.data(), units);
    std::copy_n(units + net.units() - net.outputs(), net.outputs(), out);
  }
}

std::vector<int64_t> Kernel::columns_in(const KernelWarp& warp) const {
  std::vector<int64_t> columns;
  for (int64_t i = warp.first_leaf; i < warp.end_leaf; ++i) {
    const std::vector<int64_t>& own = leaves_[static_cast<size_t>(i)].dims;
    columns.insert(columns.end(), own.begin(), own.end());
  }
  std::sort(columns.begin(), columns.end());
  columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
  return columns;
}

void Kernel::warp_point(const KernelWarp& warp, const double* x, double* out) const {
  std::copy_n(x, dims_, out);
  for (int64_t k = 0; k < warp.count(); ++k) {
    const auto at = static_cast<size_t>(k);
    out[warp.columns[at]] =
        warped_coordinate(x[warp.columns[at]], warp.low[at], warp.high[at],
                          value_of(warp.first + k), value_of(warp.first + warp.count() + k))
            .value;
  }
}

bool Kernel::has(ParameterRole role) const {
  return std::any_of(parameters_.begin(), parameters_.end(),
                     [&](const KernelParameter& p) { return p.role == role; });
}

std::vector<const KernelParameter*> Kernel::free_parameters() const {
  std::vector<const KernelParameter*> free;
  for (const KernelParameter& p : parameters_) {
    if (!p.fixed && p.tied_to < 0) free.push_back(&p);
  }
  return free;
}

std::vector<double> Kernel::pack() const {
  std::vector<double> logs;
  for (const KernelParameter* p : free_parameters()) {
    logs.push_back(p->real ? p->value : std::log(p->value));
  }
  return logs;
}

void Kernel::unpack(std::span<const double> logs) {
  size_t next = 0;
  for (KernelParameter& p : parameters_) {
    if (p.fixed || p.tied_to >= 0) continue;
    p.value = p.real ? logs[next] : std::exp(logs[next]);
    ++next;
  }
  for (KernelParameter& p : parameters_) {
    if (p.tied_to >= 0) p.value = parameters_[static_cast<size_t>(p.tied_to)].value;
  }
}

void Kernel::bounds(std::vector<double>* lower, std::vector<double>* upper) const {
  lower->clear();
  upper->clear();
  for (const KernelParameter& p : parameters_) {
    if (p.fixed || p.tied_to >= 0) continue;
    lower->push_back(p.real ? p.lower : std::log(p.lower));
    upper->push_back(p.real ? p.upper : std::log(p.upper));
  }
}

std::vector<double> Kernel::pack_gradient(std::span<const double> gradient) const {
  std::vector<double> all(gradient.begin(), gradient.end()), packed;
  for (size_t i = 0; i < all.size(); ++i) {
    const int64_t to = parameters_[i].tied_to;
    if (to >= 0) all[static_cast<size_t>(to)] += gradient[i];
  }
  for (size_t i = 0; i < all.size(); ++i) {
    if (!parameters_[i].fixed && parameters_[i].tied_to < 0) packed.push_back(all[i]);
  }
  return packed;
}

double Kernel::log_prior(std::span<double> gradient) const {
  double sum = 0;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const KernelParameter& p = parameters_[i];
    if (p.fixed || p.tied_to >= 0 || p.prior.flat()) continue;
    double slope = 0;
    sum += p.prior.log_density(p.value, p.real ? nullptr : &slope);
    if (p.real) slope = p.prior.slope(p.value);
    if (!gradient.empty()) gradient[i] += slope;
  }
  return sum;
}

void Kernel::matrix(const double* x, int64_t n, double* out, int64_t stride) const {
  const KernelTape tape(*this, x, n, nullptr, 0, true, false);
  over_strips(
      tape, n, [&](int64_t row) { return std::min(row + kRows, n); },
      [&](const PairBlock& t, KernelTape::Scratch& scratch, int64_t) {
        const double* k = tape.forward(t, scratch);
        for (int64_t i = 0; i < t.rows; ++i) {
          std::copy_n(k + i * t.columns, t.columns, out + (t.row + i) * stride + t.column);
        }
        const int64_t above = std::min(t.columns, t.row - t.column);  // beside the diagonal square
        for (int64_t j = 0; j < above; ++j) {
          double* mirrored = out + (t.column + j) * stride + t.row;
          for (int64_t i = 0; i < t.rows; ++i) mirrored[i] = k[i * t.columns + j];
        }
      });
}

void Kernel::cross(const double* x, int64_t n, const double* y, int64_t m, double* out,
                   int64_t stride) const {
  const KernelTape tape(*this, x, n, y, m, false, false);
  over_strips(
      tape, n, [&](int64_t) { return m; },
      [&](const PairBlock& t, KernelTape::Scratch& scratch, int64_t) {
        const double* k = tape.forward(t, scratch);
        for (int64_t i = 0; i < t.rows; ++i) {
          std::copy_n(k + i * t.columns, t.columns, out + (t.row + i) * stride + t.column);
        }
      });
}

void Kernel::diagonal(const double* x, int64_t n, bool with_white, double* out) const {
  std::vector<EigenSpectrum> spectra;
  for (const Leaf& leaf : leaves_) {
    spectra.push_back(leaf.kind == Kind::kEigenvectors ? spectrum_of(leaf) : EigenSpectrum());
  }
  parallel_for(n, 256, [&](int64_t begin, int64_t end) {
    std::vector<double> stack(nodes_.size()), point, parameters;
    std::vector<double> moved(static_cast<size_t>(most_dims())),
        units(static_cast<size_t>(most_units()));
    for (int64_t i = begin; i < end; ++i) {
      for (size_t node = 0; node < nodes_.size(); ++node) {
        const Node& now = nodes_[node];
        if (now.op == Node::Op::kPower) {
          stack[node] = std::pow(stack[static_cast<size_t>(now.left)], now.exponent);
          continue;
        }
        if (now.op != Node::Op::kLeaf) {
          const double a = stack[static_cast<size_t>(now.left)],
                       b = stack[static_cast<size_t>(now.right)];
          stack[node] = now.op == Node::Op::kSum ? a + b : a * b;
          continue;
        }
        const Leaf& leaf = leaves_[static_cast<size_t>(now.leaf)];
        const double* row = x + i * dims_;
        if (const size_t space = space_of(leaf); space > 0) {
          show_point(space, row, moved.data(), units.data());
          row = moved.data();
        }
        double k = 1;
        if (leaf.kind == Kind::kConst) k = value_of(leaf.scale);
        if (leaf.kind == Kind::kWhite) k = with_white ? value_of(leaf.scale) : 0;
        if (leaf.kind == Kind::kLinear || leaf.kind == Kind::kPolynomial) {
          k = leaf.kind == Kind::kPolynomial ? value_of(leaf.shape) : 0;
          for (size_t c = 0; c < leaf.dims.size(); ++c) {
            const double z = row[leaf.dims[c]];
            k += value_of(leaf.scale + (leaf.scales > 1 ? static_cast<int64_t>(c) : 0)) * z * z;
          }
          double power = k;
          for (int64_t e = 1; leaf.kind == Kind::kPolynomial && e < leaf.degree; ++e) power *= k;
          k = power;
        }
        if (leaf.kind == Kind::kEigenvectors) {
          const std::vector<double>& weight = spectra[static_cast<size_t>(now.leaf)].weight;
          k = 0;
          for (size_t c = 0; c < weight.size(); ++c)
            k += weight[c] * row[leaf.dims[c]] * row[leaf.dims[c]];
        }
        if (leaf.kind == Kind::kPair) {
          point.clear();
          parameters.clear();
          for (const int64_t c : leaf.dims) point.push_back(row[c]);
          for (size_t p = 0; p < leaf.function->parameters().size(); ++p) {
            parameters.push_back(value_of(leaf.first + static_cast<int64_t>(p)));
          }
          leaf.function->check(point.data(), parameters.data());
          k = leaf.function->value(point.data(), point.data(), parameters.data());
        }
        stack[node] = k;
      }
      out[i] = stack.back();
    }
  });
}

bool Kernel::takes_constant_columns() const {
  return std::any_of(leaves_.begin(), leaves_.end(),
                     [](const Leaf& leaf) { return leaf.kind == Kind::kEigenvectors; });
}

bool Kernel::stationary() const {
  return !warped() && std::none_of(leaves_.begin(), leaves_.end(), [](const Leaf& leaf) {
    return leaf.kind == Kind::kLinear || leaf.kind == Kind::kPolynomial ||
           leaf.kind == Kind::kEigenvectors || leaf.kind == Kind::kPair;
  });
}

void Kernel::contract(const double* x, int64_t n, const TileWeights& weights,
                      std::span<double> gradient) const {
  std::fill(gradient.begin(), gradient.end(), 0.0);
  const KernelTape tape(*this, x, n, nullptr, 0, true, true);
  const int64_t strips = (n + kRows - 1) / kRows;
  const size_t count = parameters_.size();
  std::vector<double> partial(static_cast<size_t>(strips) * count);
  // Tiles left of the diagonal square count twice; the square is taken whole.
  const auto add = [&](const PairBlock& t, KernelTape::Scratch& scratch, int64_t strip) {
    double w[kRows * kColumns];
    weights(t, w);
    if (t.column < t.row) {
      for (int64_t i = 0; i < t.size(); ++i) w[i] *= 2;
    }
    tape.forward(t, scratch);
    tape.backward(t, w, scratch, partial.data() + static_cast<size_t>(strip) * count);
  };
  over_strips(
      tape, n, [&](int64_t row) { return std::max<int64_t>(row, 1); },
      [&](const PairBlock& t, KernelTape::Scratch& scratch, int64_t strip) {
        if (t.row > 0) add(t, scratch, strip);
        if (t.column + t.columns >= t.row) {
          add({t.row, t.rows, t.row, t.rows}, scratch, strip);
        }
      });
  for (int64_t s = 0; s < strips; ++s) {
    for (size_t p = 0; p < count; ++p) gradient[p] += partial[static_cast<size_t>(s) * count + p];
  }
}

void Kernel::contract(const double* x, int64_t n, const double* weights, int64_t stride,
                      std::span<double> gradient) const {
  contract(
      x, n,
      [weights, stride](const compute::PairBlock& t, double* to) {
        for (int64_t i = 0; i < t.rows; ++i) {
          std::copy_n(weights + (t.row + i) * stride + t.column, t.columns, to + i * t.columns);
        }
      },
      gradient);
}

void Kernel::contract_cross(const double* x, int64_t n, const double* y, int64_t m,
                            const double* weights, int64_t stride,
                            std::span<double> gradient) const {
  std::fill(gradient.begin(), gradient.end(), 0.0);
  const KernelTape tape(*this, x, n, y, m, false, true);
  const int64_t strips = (n + kRows - 1) / kRows;
  const size_t count = parameters_.size();
  std::vector<double> partial(static_cast<size_t>(strips) * count);
  over_strips(
      tape, n, [&](int64_t) { return m; },
      [&](const PairBlock& t, KernelTape::Scratch& scratch, int64_t strip) {
        double w[kRows * kColumns];
        for (int64_t i = 0; i < t.rows; ++i) {
          std::copy_n(weights + (t.row + i) * stride + t.column, t.columns, w + i * t.columns);
        }
        tape.forward(t, scratch);
        tape.backward(t, w, scratch, partial.data() + static_cast<size_t>(strip) * count);
      });
  for (int64_t s = 0; s < strips; ++s) {
    for (size_t p = 0; p < count; ++p) gradient[p] += partial[static_cast<size_t>(s) * count + p];
  }
}

void Kernel::contract_diagonal(const double* x, int64_t n, const double* weights,
                               std::span<double> gradient) const {
  std::fill(gradient.begin(), gradient.end(), 0.0);
  if (stationary() && n > 0) {  // every point has the same derivative
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += weights[i];
    contract_cross(x, 1, x, 1, &sum, 1, gradient);
    return;
  }
  std::vector<double> part(gradient.size());
  for (int64_t i = 0; i < n; ++i) {  // a point with itself: a block of one pair
    const double* point = x + i * dims_;
    contract_cross(point, 1, point, 1, weights + i, 1, part);
    for (size_t p = 0; p < part.size(); ++p) gradient[p] += part[p];
  }
}

void Kernel::contract_inputs(const double* x, int64_t n, const double* y, int64_t m,
                             const double* weights, double* gradient) const {
  std::fill_n(gradient, n * dims_, 0.0);
  const KernelTape tape(*this, x, n, y, m, false, true);
  over_strips(
      tape, n, [&](int64_t) { return m; },
      [&](const PairBlock& t, KernelTape::Scratch& scratch, int64_t) {
        double w[kRows * kColumns];
        for (int64_t i = 0; i < t.rows; ++i) {
          std::copy_n(weights + (t.row + i) * m + t.column, t.columns, w + i * t.columns);
        }
        tape.forward(t, scratch);
        tape.backward_inputs(t, w, scratch, gradient + t.row * dims_);
      });
}

}  // namespace covary::stat
