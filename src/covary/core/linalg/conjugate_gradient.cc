#include "covary/core/linalg/conjugate_gradient.h"

#include <algorithm>
#include <cmath>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"

namespace covary::linalg {
namespace {

using Vector = std::vector<double>;

// Of a probe: with fewer a quadrature of the logarithm is off by more than its scatter tells. A rest
// below kSpent of the first is rounding.
constexpr int64_t kLeastSteps = 4;
constexpr double kSpent = 1e-26;

// Calls body(c) for each right-hand side of n numbers; a thread has some of them, where they are
// long enough to be worth waking it.
template <class F>
void each(int64_t count, int64_t n, F&& body) {
  parallel_for(count, (1 << 16) / std::max<int64_t>(n, 1) + 1, [&](int64_t begin, int64_t end) {
    const OneBlasThread one;
    for (int64_t c = begin; c < end; ++c) body(c);
  });
}

// The eigenvalues of T in `d` and the first entries of its eigenvectors in `first`: implicit QL
// with shifts. Returns false when an eigenvalue does not settle.
bool eigen_first(Vector* diagonal, Vector beside, Vector* first) {
  Vector& d = *diagonal;
  Vector& e = beside;
  const auto n = static_cast<int64_t>(d.size());
  e.push_back(0);
  first->assign(d.size(), 0.0);
  (*first)[0] = 1;
  const auto at = [](Vector& v, int64_t i) -> double& { return v[static_cast<size_t>(i)]; };
  for (int64_t l = 0; l < n; ++l) {
    for (int turn = 0;; ++turn) {
      int64_t m = l;
      for (; m + 1 < n; ++m) {
        const double size = std::abs(at(d, m)) + std::abs(at(d, m + 1));
        if (std::abs(at(e, m)) <= 1e-16 * size) break;
      }
      if (m == l) break;
      if (turn == 60) return false;
      double g = (at(d, l + 1) - at(d, l)) / (2 * at(e, l));
      g = at(d, m) - at(d, l) + at(e, l) / (g + std::copysign(std::hypot(g, 1.0), g));
      double s = 1, c = 1, p = 0;
      int64_t i = m - 1;
      for (; i >= l; --i) {
        const double f = s * at(e, i), b = c * at(e, i), r = std::hypot(f, g);
        at(e, i + 1) = r;
        if (r == 0) {
          at(d, i + 1) -= p;
          at(e, m) = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = at(d, i + 1) - p;
        const double t = (at(d, i) - g) * s + 2 * c * b;
        p = s * t;
        at(d, i + 1) = g + p;
        g = c * t - b;
        const double z = at(*first, i + 1);
        at(*first, i + 1) = s * at(*first, i) + c * z;
        at(*first, i) = c * at(*first, i) - s * z;
      }
      if (i >= l) continue;
      at(d, l) -= p;
      at(e, l) = g;
      at(e, m) = 0;
    }
  }
  return true;
}

}  // namespace

std::vector<Solve> conjugate_gradient(const LinearOperator& a, const LinearOperator* preconditioner,
                                      const double* b, int64_t count, std::span<const Stop> stops,
                                      int64_t iterations, double* x,
                                      std::vector<Tridiagonal>* lanczos,
                                      const LinearOperator* exact) {
  const int64_t n = a.size();
  if (static_cast<int64_t>(stops.size()) != count)
    throw Error(ExitCode::kUsage, "needs a stop for each right-hand side", "conjugate gradients");
  if (exact && exact->size() != n)
    throw Error(ExitCode::kUsage, "have an exact matrix of another size", "conjugate gradients");
  if (preconditioner && preconditioner->size() != n)
    throw Error(ExitCode::kUsage, "has a preconditioner of another size", "conjugate gradients");
  const auto whole = static_cast<size_t>(count * n);
  std::fill_n(x, whole, 0.0);
  std::vector<Solve> report(static_cast<size_t>(count));
  if (lanczos) lanczos->assign(static_cast<size_t>(count), {});
  // Of the right-hand sides that go on, packed: row k is that of active[k].
  std::vector<int64_t> active;
  Vector r(b, b + whole), z = r, p, product(whole);
  Vector rho(static_cast<size_t>(count)), length(rho), step(rho), ratio(rho);
  const auto index = [](int64_t i) { return static_cast<size_t>(i); };
  if (preconditioner) preconditioner->solve(z.data(), count);
  each(count, n, [&](int64_t c) {
    length[index(c)] = std::sqrt(dot(n, b + c * n, b + c * n));
    rho[index(c)] = dot(n, r.data() + c * n, z.data() + c * n);
  });
  for (int64_t c = 0; c < count; ++c) {
    if (!std::isfinite(rho[index(c)]))
      throw Error(ExitCode::kFailed, "meet a number that is not finite", "conjugate gradients");
    Solve& s = report[index(c)];
    s.energy = rho[index(c)];
    s.residual = length[index(c)] > 0 ? 1 : 0;
    s.reached = s.residual <= stops[index(c)].residual && s.energy <= stops[index(c)].energy;
    // Probes take some steps at least: their tridiagonals are what they are for.
    if (length[index(c)] > 0 && (!s.reached || lanczos)) active.push_back(c);
    if (length[index(c)] == 0) s.reached = true;
  }
  const auto gather = [&](Vector* v, const std::vector<int64_t>& keep) {
    for (size_t k = 0; k < keep.size(); ++k) {
      if (static_cast<int64_t>(k) != keep[k]) {
        std::copy_n(v->data() + keep[k] * n, n, v->data() + static_cast<int64_t>(k) * n);
      }
    }
  };
  gather(&r, active);
  gather(&z, active);
  p = z;
  const Vector first = rho;
  Vector trusted = rho;  // energy by true residuals, the last time they were formed
  const auto by_exact = [&] {
    return conjugate_gradient(*exact, preconditioner, b, count, stops, iterations, x, lanczos);
  };
  const int64_t least = lanczos ? kLeastSteps : 0;
  for (int64_t turn = 0; turn < iterations && !active.empty(); ++turn) {
    const auto going = static_cast<int64_t>(active.size());
    a.multiply(p.data(), going, product.data());
    each(going, n, [&](int64_t k) {
      const size_t c = index(active[index(k)]);
      const double curvature = dot(n, p.data() + k * n, product.data() + k * n);
      step[c] = curvature > 0 ? rho[c] / curvature : curvature;
      if (!(curvature > 0)) return;
      axpy(n, step[c], p.data() + k * n, x + static_cast<int64_t>(c) * n);
      axpy(n, -step[c], product.data() + k * n, r.data() + k * n);
    });
    std::copy_n(r.data(), going * n, z.data());
    if (preconditioner) preconditioner->solve(z.data(), going);
    std::vector<int64_t> keep, still, doubtful;
    Vector rho_now(static_cast<size_t>(going)), size_now(rho_now);
    const auto measure = [&](int64_t k) {
      rho_now[index(k)] = dot(n, r.data() + k * n, z.data() + k * n);
      size_now[index(k)] = std::sqrt(dot(n, r.data() + k * n, r.data() + k * n));
    };
    each(going, n, measure);
    std::vector<char> turned(index(going));  // along the residual anew
    if (exact) {
      for (int64_t k = 0; k < going; ++k) {
        const size_t c = index(active[index(k)]);
        if (!(step[c] > 0)) return by_exact();
        const Stop& stop = stops[c];
        const bool reached =
            size_now[index(k)] <= stop.residual * length[c] && rho_now[index(k)] <= stop.energy;
        if (std::isfinite(stop.energy) && (reached || rho_now[index(k)] <= kTrust * trusted[c]))
          doubtful.push_back(k);
      }
    }
    if (!doubtful.empty()) {
      const auto some = static_cast<int64_t>(doubtful.size());
      Vector at(index(some * n)), true_rest(at.size());
      for (int64_t i = 0; i < some; ++i)
        std::copy_n(x + active[index(doubtful[index(i)])] * n, n, at.data() + i * n);
      exact->multiply(at.data(), some, true_rest.data());
      for (int64_t i = 0; i < some; ++i) {
        const double* right = b + active[index(doubtful[index(i)])] * n;
        for (int64_t j = 0; j < n; ++j)
          true_rest[index(i * n + j)] = right[j] - true_rest[index(i * n + j)];
      }
      at = true_rest;
      if (preconditioner) preconditioner->solve(at.data(), some);
      for (int64_t i = 0; i < some; ++i) {
        const int64_t k = doubtful[index(i)];
        const size_t c = index(active[index(k)]);
        const double claimed = rho_now[index(k)];
        std::copy_n(true_rest.data() + i * n, n, r.data() + k * n);
        std::copy_n(at.data() + i * n, n, z.data() + k * n);
        measure(k);
        const double found = rho_now[index(k)];
        if (found > 100 * claimed && found > 0.25 * trusted[c]) return by_exact();
        turned[index(k)] = found > 2 * claimed;
        trusted[c] = found;
      }
    }
    for (int64_t k = 0; k < going; ++k) {
      const size_t c = index(active[index(k)]);
      Solve& s = report[c];
      if (std::isnan(step[c]) || std::isinf(step[c]) || !std::isfinite(rho_now[index(k)]))
        throw Error(ExitCode::kFailed, "meet a number that is not finite", "conjugate gradients");
      if (!(step[c] > 0)) continue;  // rounding ends the descent
      if (lanczos) {
        Tridiagonal& t = (*lanczos)[c];
        t.diagonal.push_back(1 / step[c] + (turn > 0 ? ratio[c] : 0));
        // The root of the next ratio joins it to the one after; taken back when that never comes.
        t.beside.push_back(std::sqrt(std::max(rho_now[index(k)] / rho[c], 0.0)) / step[c]);
      }
      ratio[c] = rho_now[index(k)] / rho[c] / step[c];
      s.iterations = turn + 1;
      s.energy = rho_now[index(k)];
      s.residual = size_now[index(k)] / length[c];
      s.reached = s.residual <= stops[c].residual && s.energy <= stops[c].energy;
      const double beta = rho_now[index(k)] / rho[c];
      rho[c] = rho_now[index(k)];
      const bool enough = turn + 1 >= least || rho[c] <= kSpent * first[c];
      if ((s.reached && enough) || !(rho[c] > 0)) {
        const double* at = x + static_cast<int64_t>(c) * n;
        s.quadratic = dot(n, at, b + static_cast<int64_t>(c) * n) + dot(n, at, r.data() + k * n);
        continue;
      }
      step[c] = turned[index(k)] ? 0 : beta;
      keep.push_back(k);
      still.push_back(static_cast<int64_t>(c));
    }
    active = still;
    gather(&r, keep);
    gather(&z, keep);
    gather(&p, keep);
    each(static_cast<int64_t>(active.size()), n, [&](int64_t k) {
      const double beta = step[index(active[index(k)])];
      double* direction = p.data() + k * n;
      const double* from = z.data() + k * n;
      for (int64_t i = 0; i < n; ++i) direction[i] = from[i] + beta * direction[i];
    });
  }
  if (lanczos) {
    for (Tridiagonal& t : *lanczos) {
      if (!t.beside.empty()) t.beside.pop_back();
    }
  }
  return report;
}

void require_reached(std::span<const Solve> solves, const std::string& where,
                     const std::string& hint) {
  for (const Solve& s : solves) {
    if (!s.reached)
      throw Error(ExitCode::kFailed,
                  "conjugate gradients end at a relative residual of " +
                      std::to_string(s.residual) + " after " + std::to_string(s.iterations) +
                      " products",
                  where, hint);
  }
}

double log_quadrature(const Tridiagonal& t) {
  if (t.diagonal.empty()) return 0;
  Vector values = t.diagonal, first;
  if (!eigen_first(&values, t.beside, &first))
    throw Error(ExitCode::kFailed, "eigenvalues do not settle", "tridiagonal matrix");
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    // Below rounding of the largest an eigenvalue says nothing, and its weight is as small.
    const double value = std::max(values[i], 1e-300);
    sum += first[i] * first[i] * std::log(value);
  }
  return sum;
}

StochasticLogDeterminant stochastic_log_determinant(std::span<const Tridiagonal> probes, int64_t n,
                                                    const SpectrumTraces* traces) {
  StochasticLogDeterminant out;
  if (probes.empty()) return out;
  const auto count = static_cast<double>(probes.size()), rows = static_cast<double>(n);
  Vector values;
  double change = 0;
  for (const Tridiagonal& t : probes) {
    values.push_back(rows * log_quadrature(t));
    if (t.diagonal.size() < 2) continue;
    Tridiagonal shorter = t;
    shorter.diagonal.pop_back();
    shorter.beside.pop_back();
    change += rows * log_quadrature(shorter) - values.back();
  }
  out.quadrature = std::abs(change) / count;
  // Columns of the regression, less their means; target: exact means less those of the probes.
  std::vector<Vector> columns;
  Vector target;
  const auto centre = [count](Vector* v) {
    double mean = 0;
    for (const double x : *v) mean += x / count;
    for (double& x : *v) x -= mean;
    return mean;
  };
  if (traces && probes.size() >= 5) {
    Vector first, second;
    for (const Tridiagonal& t : probes) {
      const double d = t.diagonal.empty() ? 1 : t.diagonal[0];
      const double e = t.beside.empty() ? 0 : t.beside[0];
      first.push_back(rows * d);
      second.push_back(rows * (d * d + e * e));
    }
    target = {traces->first - centre(&first), traces->second - centre(&second)};
    columns = {std::move(first), std::move(second)};
  }
  out.value = centre(&values);
  // Gram-Schmidt, one column after the other; what is left of a column may be rounding.
  double inflation = 1 / count, freedom = count - 1;
  for (size_t k = 0; k < columns.size(); ++k) {
    double square = 0, along = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      square += columns[k][i] * columns[k][i];
      along += columns[k][i] * values[i];
    }
    if (!(square > 1e-20 * rows * rows * count)) continue;
    const double slope = along / square;
    for (size_t i = 0; i < values.size(); ++i) values[i] -= slope * columns[k][i];
    out.value += slope * target[k];
    inflation += target[k] * target[k] / square;
    freedom -= 1;
    for (size_t j = k + 1; j < columns.size(); ++j) {
      double overlap = 0;
      for (size_t i = 0; i < values.size(); ++i) overlap += columns[k][i] * columns[j][i];
      for (size_t i = 0; i < values.size(); ++i) {
        columns[j][i] -= overlap / square * columns[k][i];
      }
      target[j] -= overlap / square * target[k];
    }
  }
  double squares = 0;
  for (const double v : values) squares += v * v;
  out.error = probes.size() > 1 ? std::sqrt(squares / freedom * inflation)
                                : std::numeric_limits<double>::infinity();
  return out;
}

}  // namespace covary::linalg
