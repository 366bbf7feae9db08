// The process around the likelihood: fit, predictions, model file.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"
#include "covary/core/linalg/conjugate_gradient.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/iterative.h"
#include "covary/stat/process/iterative_solver.h"
#include "covary/stat/process/kernel_search.h"
#include "covary/stat/process/kernel_tape.h"
#include "covary/stat/process/model_parts.h"
#include "covary/stat/process/start.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
constexpr double kFitEnergy = 1e-3;  // of the solve for y in a step of the fit
// Below this share of the data's variance the noise is not sought: products without end.
constexpr double kLeastNoise = 1e-6;

size_t index(int64_t i) { return static_cast<size_t>(i); }

[[noreturn]] void refuse_columns(const Kernel& kernel, int64_t dims) {
  throw Error(
      ExitCode::kUsage,
      "was made for " + std::to_string(kernel.dims()) + " columns, X has " + std::to_string(dims),
      "kernel");
}

}  // namespace

void IterativeProcess::take(const at::Tensor& x, const at::Tensor& y, const RowNoise& noise) {
  options_.check();
  if (!y.defined() || y.dim() != 1)
    throw Error(ExitCode::kUsage, "must be one value a row", "y",
                "conjugate gradients serve one output");
  data_ = GpData::from(x, y, noise, mean_of(options_.mean));
}

IterativeProcess::IterativeProcess(const at::Tensor& x, const at::Tensor& y,
                                   const IterativeOptions& options, const RowNoise& noise)
    : options_(options) {
  take(x, y, noise);
  kernel_ =
      Kernel::parse(completed_kernel(options.kernel, noise.stands_alone(), data_.dims), data_.dims);
  start_by_data(&kernel_, data_, static_cast<uint64_t>(options.seed));
  if (options.fit) fit(nullptr);
  condition();
}

IterativeProcess::IterativeProcess(const at::Tensor& x, const at::Tensor& y,
                                   const GaussianProcess& part, const IterativeOptions& options,
                                   const RowNoise& noise)
    : options_(options), kernel_(part.kernel()) {
  take(x, y, noise);
  if (kernel_.dims() != data_.dims) refuse_columns(kernel_, data_.dims);
  if (options.fit) fit(&part);
  condition();
}

IterativeProcess::IterativeProcess(const at::Tensor& x, const at::Tensor& y, Kernel kernel,
                                   const IterativeOptions& options, const RowNoise& noise)
    : options_(options), kernel_(std::move(kernel)) {
  take(x, y, noise);
  if (kernel_.dims() != data_.dims) refuse_columns(kernel_, data_.dims);
  condition();
}

void IterativeProcess::fit(const GaussianProcess* part) {
  const double least = kLeastNoise * mean_square(data_);
  bool stated = true;  // every parameter: then the search starts there
  for (KernelParameter& p : kernel_.parameters()) {
    if (p.role == ParameterRole::kNoise && !p.fixed) {
      p.lower = std::min(std::max(p.lower, least), p.upper);
      p.value = std::max(p.value, p.lower);
    }
    stated = stated && (p.given || p.fixed || p.tied_to >= 0);
  }
  Vector lower, upper;
  kernel_.bounds(&lower, &upper);
  Vector start = kernel_.pack();
  if (start.empty()) return;
  numeric::Curvature curvature;  // that the part's search learnt
  const auto begin_at = [&](const GaussianProcess& process, int64_t rows) {
    start = process.kernel().pack();
    for (size_t i = 0; i < start.size(); ++i) start[i] = std::clamp(start[i], lower[i], upper[i]);
    curvature = process.report().curvature;
    // A likelihood of so many times more rows is so many times as curved.
    curvature.scale(static_cast<double>(data_.n) / static_cast<double>(rows));
  };
  if (part) {
    begin_at(*part, part->data().n);
  } else if (!stated) {
    const GpData sample =
        data_.sample(std::min(options_.sample, data_.n), static_cast<uint64_t>(options_.seed));
    GpOptions dense;
    dense.mean = options_.mean;
    dense.starts = options_.starts;
    dense.seed = options_.seed;
    dense.search.iterations = std::min<int64_t>(options_.search.iterations, 50);
    dense.search.watch = options_.search.watch;
    begin_at(
        GaussianProcess(sample.x, sample.y.squeeze(1).contiguous(), kernel_, dense, sample.noise),
        sample.n);
  }
  const GpGroup& group = data_.groups[0];
  IterativeLikelihood likelihood(group, data_.coefficients(), options_);
  Kernel kernel = kernel_;
  // Pivots stay as they are through a search; a second one uses those of where the first ended.
  numeric::LbfgsOptions search = options_.search;
  for (int round = 0; round < 2 && (round == 0 || search.iterations > 0); ++round) {
    kernel.unpack(start);
    likelihood.choose_pivots(kernel);
    const numeric::Optimum o = search_kernel(
        kernel_,
        [&](const Kernel& trial, Vector* gradient) {
          IterativeValue v;
          try {
            v = likelihood.evaluate(trial, *gradient, kFitEnergy, nullptr);
          } catch (const Error&) {  // no factor, or numbers that are not finite
            return -kInfinity;
          }
          if (!std::isfinite(v.log_likelihood)) return -kInfinity;
          report_.short_solves += !v.reached;
          return v.log_likelihood;
        },
        start, search, curvature);
    if (o.value == kInfinity)
      throw Error(ExitCode::kFailed, "no parameters give a finite marginal likelihood", "process",
                  "scale the data, or bound the kernel's parameters");
    record(o, kernel_, &report_);
    double moved = 0;
    for (size_t i = 0; i < start.size(); ++i) moved = std::max(moved, std::abs(o.x[i] - start[i]));
    start = o.x;
    curvature = o.curvature;
    search.iterations -= o.iterations;
    if (moved < 0.1) break;
  }
  kernel_.unpack(start);
}

void IterativeProcess::condition() {
  IterativeLikelihood likelihood(data_.groups[0], data_.coefficients(), options_);
  likelihood.choose_pivots(kernel_);
  pivots_ = likelihood.pivots();
  const double energy = options_.tolerance * options_.tolerance;
  report_.value = likelihood.evaluate(kernel_, {}, energy, &solution_);
  report_.kernel = kernel_.text();
  report_.log_likelihood = report_.value.log_likelihood;
  report_.prediction = std::sqrt(2 * report_.value.solve_error);
  report_.rank = static_cast<int64_t>(pivots_.size());
  report_.probes = options_.probes;
  if (!report_.value.reached) {
    throw Error(ExitCode::kFailed,
                "conjugate gradients end at a relative residual of " +
                    std::to_string(report_.value.residual) + " after " +
                    std::to_string(report_.value.iterations) + " products",
                "process",
                "raise the rank of the preconditioner or the noise, or write --method "
                "exact");
  }
  if (!std::isfinite(report_.log_likelihood)) {
    throw Error(ExitCode::kFailed, "the marginal likelihood is not finite", "process",
                "scale the data, or bound the kernel's parameters");
  }
}

void IterativeProcess::explain(const KernelSolver& solver, const double* points, int64_t count,
                               const Vector& cross, double* known) const {
  const int64_t n = data_.groups[0].count();
  Vector prior(index(count)), x(index(std::min(count, kPoints) * n));
  kernel_.diagonal(points, count, false, prior.data());
  for (int64_t begin = 0; begin < count; begin += kPoints) {
    const int64_t some = std::min(kPoints, count - begin);
    std::vector<linalg::Stop> stops(index(some));
    for (int64_t i = 0; i < some; ++i) {
      stops[index(i)].energy = options_.tolerance * prior[index(begin + i)];
    }
    const double* b = cross.data() + begin * n;
    const std::vector<linalg::Solve> solves = solver.solve(b, some, stops, x.data(), nullptr);
    for (int64_t i = 0; i < some; ++i) {
      if (!solves[index(i)].reached) {
        throw Error(ExitCode::kFailed,
                    "conjugate gradients end at an error of up to " +
                        std::to_string(solves[index(i)].energy) + " in a predicted variance",
                    "process", "raise the tolerance or the rank of the preconditioner");
      }
      known[begin + i] = solves[index(i)].quadratic;
    }
  }
}

void IterativeProcess::explain_by_near(int64_t count, const Vector& cross, double* known) const {
  const GpGroup& group = data_.groups[0];
  const int64_t n = group.count(), d = data_.dims, m = std::min(options_.near, n);
  struct Work {
    std::vector<int64_t> order;
    Vector points, matrix, row;
    std::unique_ptr<KernelTape> tape;
    KernelTape::Scratch scratch;
  };
  std::vector<Work> works(index(std::max(threads(), 1)));
  parallel_tasks(count, [&](int64_t point, int worker) {
    Work& w = works[index(worker)];
    const double* k = cross.data() + point * n;
    if (w.order.empty()) {
      w.order.resize(index(n));
      w.points.resize(index(m * d));
      w.matrix.resize(index(m * m));
      w.row.resize(index(m));
    }
    // Of equal covariances the earlier row, so that the choice does not depend on the last one.
    for (int64_t i = 0; i < n; ++i) w.order[index(i)] = i;
    std::nth_element(w.order.begin(), w.order.begin() + (m - 1), w.order.end(),
                     [&](int64_t a, int64_t b) {
                       const double x = std::abs(k[a]), y = std::abs(k[b]);
                       return x > y || (x == y && a < b);
                     });
    std::sort(w.order.begin(), w.order.begin() + m);
    for (int64_t i = 0; i < m; ++i) {
      const int64_t row = w.order[index(i)];
      std::copy_n(group.x.data() + row * d, d, w.points.data() + i * d);
      w.row[index(i)] = k[row];
    }
    if (w.tape) {
      w.tape->rebind(w.points.data(), nullptr);
    } else {
      w.tape = std::make_unique<KernelTape>(kernel_, w.points.data(), m, nullptr, 0, true, false);
      w.scratch = w.tape->scratch();
    }
    for (int64_t i = 0; i < m; i += KernelTape::kRows) {
      const int64_t rows = std::min(KernelTape::kRows, m - i);
      for (int64_t j = 0; j < i + rows; j += KernelTape::kColumns) {
        const int64_t columns = std::min(KernelTape::kColumns, i + rows - j);
        const double* tile = w.tape->forward({i, rows, j, columns}, w.scratch);
        for (int64_t r = 0; r < rows; ++r)
          std::copy_n(tile + r * columns, columns, w.matrix.data() + (i + r) * m + j);
      }
    }
    for (int64_t i = 0; i < m && !group.noise.empty(); ++i)
      w.matrix[index(i * m + i)] += group.noise[index(w.order[index(i)])];
    const linalg::Matrix factor{w.matrix.data(), m, m};
    // With jitter they explain less, and the variance is still one from above.
    linalg::cholesky(factor).check("kernel matrix of the near rows");
    linalg::forward(factor, w.row.data(), 1);
    known[point] = linalg::dot(m, w.row.data(), w.row.data());
  });
}

IterativePrediction IterativeProcess::predict(const at::Tensor& points, bool noise) const {
  const at::Tensor xs = checked_points(points, data_.dims, "points");
  const GpGroup& group = data_.groups[0];
  const int64_t n = group.count(), p = data_.coefficients(), s = xs.size(0), d = data_.dims;
  IterativePrediction out{at::empty({s}, at::kDouble), at::empty({s}, at::kDouble)};
  const linalg::Matrix gram{const_cast<double*>(solution_.gram.data()), p, p};
  const bool near = options_.variances == "near";
  std::unique_ptr<KernelSolver> solver;
  if (!near && s > 0) solver = std::make_unique<KernelSolver>(kernel_, group, pivots_, options_);
  // Points whose near variance is held against the solved one, spread over all.
  const int64_t checks = near ? std::min(kChecks, s) : 0;
  Vector of_checks, explained;
  std::vector<int64_t> checked;
  constexpr int64_t kAtOnce = 8 * kPoints;
  for (int64_t begin = 0; begin < s; begin += kAtOnce) {
    const int64_t count = std::min(kAtOnce, s - begin);
    const double* x = xs.const_data_ptr<double>() + begin * d;
    Vector cross(index(count * n)), known(index(count)), prior(known), left(index(count * p));
    kernel_.cross(x, count, group.x.data(), n, cross.data(), n);
    kernel_.diagonal(x, count, noise, prior.data());
    const Vector basis = data_.basis_at(x, count);
    for (int64_t i = 0; i < count; ++i) {
      const double* row = cross.data() + i * n;
      double mean = linalg::dot(n, row, solution_.alpha.data());
      for (int64_t a = 0; a < p; ++a) {
        const double h = basis[index(a * count + i)];
        mean += solution_.coefficients[index(a)] * h;
        left[index(i * p + a)] = h - linalg::dot(n, row, solution_.basis.data() + a * n);
      }
      out.mean.data_ptr<double>()[begin + i] = mean;
    }
    if (p > 0) linalg::forward(gram, left.data(), count);
    if (near) {
      explain_by_near(count, cross, known.data());
    } else {
      explain(*solver, x, count, cross, known.data());
    }
    while (static_cast<int64_t>(checked.size()) < checks) {
      const int64_t at = static_cast<int64_t>(checked.size()) * s / checks - begin;
      if (at >= count) break;
      checked.push_back(begin + at);
      of_checks.insert(of_checks.end(), cross.begin() + at * n, cross.begin() + (at + 1) * n);
      explained.push_back(known[index(at)]);
    }
    for (int64_t i = 0; i < count; ++i) {
      double variance = std::max(prior[index(i)] - known[index(i)], 0.0);
      for (int64_t a = 0; a < p; ++a) variance += left[index(i * p + a)] * left[index(i * p + a)];
      out.variance.data_ptr<double>()[begin + i] = variance;
    }
  }
  if (checks == 0) return out;
  Vector solved(index(checks)), prior(solved), where(index(checks * d));
  for (int64_t i = 0; i < checks; ++i) {
    std::copy_n(xs.const_data_ptr<double>() + checked[index(i)] * d, d, where.data() + i * d);
  }
  kernel_.diagonal(where.data(), checks, false, prior.data());
  explain(KernelSolver(kernel_, group, pivots_, options_), where.data(), checks, of_checks,
          solved.data());
  out.checked = checks;
  for (int64_t i = 0; i < checks; ++i) {
    const double share = (solved[index(i)] - explained[index(i)]) / prior[index(i)];
    out.excess = std::max(out.excess, share);
  }
  return out;
}

IterativePrediction IterativeProcess::leave_one_out(int64_t rows, uint64_t seed) const {
  const GpGroup& group = data_.groups[0];
  const int64_t n = group.count(), p = data_.coefficients();
  IterativePrediction out{at::full({data_.n}, kMissing, at::kDouble),
                          at::full({data_.n}, kMissing, at::kDouble)};
  std::vector<int64_t> chosen = Random(seed, stream_of("process.left_out")).permutation(n);
  chosen.resize(index(std::min(rows, n)));
  std::sort(chosen.begin(), chosen.end());
  const KernelSolver solver(kernel_, group, pivots_, options_);
  const Vector diagonal = noise_diagonal(kernel_, group.x.data(), n, group.noise, group.weights);
  const linalg::Matrix gram{const_cast<double*>(solution_.gram.data()), p, p};
  for (size_t begin = 0; begin < chosen.size(); begin += kPoints) {
    const int64_t count = std::min<int64_t>(kPoints, static_cast<int64_t>(chosen.size() - begin));
    Vector b(index(count * n)), x(b.size());
    std::vector<linalg::Stop> stops(index(count));
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = chosen[begin + index(i)];
      b[index(i * n + row)] = 1;
      // (K^-1)_ii is at least 1 / (k_ii + noise); a share of about 1 / noise is wanted.
      stops[index(i)].energy = options_.tolerance / diagonal[index(row)];
    }
    const std::vector<linalg::Solve> solves =
        solver.solve(b.data(), count, stops, x.data(), nullptr);
    for (int64_t i = 0; i < count; ++i) {
      if (!solves[index(i)].reached)
        throw Error(ExitCode::kFailed, "conjugate gradients do not come to their tolerance",
                    "leave-one-out", "score a held-out table instead");
      const int64_t row = chosen[begin + index(i)];
      // With coefficients of a mean: K^-1 - K^-1 H (H' K^-1 H)^-1 H' K^-1 takes its place.
      Vector along(index(p));
      for (int64_t a = 0; a < p; ++a) along[index(a)] = solution_.basis[index(a * n + row)];
      if (p > 0) linalg::forward(gram, along.data(), 1);
      double share = x[index(i * n + row)];
      for (const double v : along) share -= v * v;
      if (!(share > 0))
        throw Error(ExitCode::kFailed, "is alone in its column of the mean", "leave-one-out");
      const int64_t place = group.rows[index(row)];
      out.mean.data_ptr<double>()[place] =
          group.y[index(row)] - solution_.alpha[index(row)] / share;
      out.variance.data_ptr<double>()[place] = 1 / share;
    }
  }
  return out;
}

void IterativeProcess::put(data::Model* model) const {
  const int64_t n = data_.groups[0].count(), p = data_.coefficients();
  const IterativeReport& r = report_;
  model->fields["cg"] = {{"rank", r.rank},
                         {"probes", r.probes},
                         {"tolerance", options_.tolerance},
                         {"variances", options_.variances},
                         {"near", options_.near},
                         {"products", r.value.iterations},
                         {"residual", r.value.residual},
                         {"log_likelihood_error", r.value.error},
                         {"solve_error", r.value.solve_error}};
  model->put("alpha", solution_.alpha, {n});
  model->put("coefficients", solution_.coefficients, {p});
  model->put("basis_alpha", solution_.basis, {p, n});
  model->put("gram", solution_.gram, {p, p});
  model->put("pivots", Vector(pivots_.begin(), pivots_.end()),
             {static_cast<int64_t>(pivots_.size())});
}

IterativeProcess IterativeProcess::of(const data::Model& model, const at::Tensor& x,
                                      const at::Tensor& y, Kernel kernel, const std::string& mean,
                                      const RowNoise& noise) {
  IterativeProcess gp;
  gp.options_.mean = mean;
  gp.take(x, y, noise);
  gp.kernel_ = std::move(kernel);
  const int64_t n = gp.data_.groups[0].count(), p = gp.data_.coefficients();
  gp.solution_.alpha = model.doubles("alpha", {n});
  gp.solution_.coefficients = model.doubles("coefficients", {p});
  gp.solution_.basis = model.doubles("basis_alpha", {p, n});
  gp.solution_.gram = model.doubles("gram", {p, p});
  for (int64_t a = 0; a < p; ++a) {
    if (!(gp.solution_.gram[index(a * p + a)] > 0)) model.refuse("gram", "is no Cholesky factor");
  }
  for (const double v : model.doubles("pivots", {-1})) {
    if (!(v >= 0 && v < static_cast<double>(n)) || v != std::floor(v))
      model.refuse("pivots", "names a row that is not there");
    gp.pivots_.push_back(static_cast<int64_t>(v));
  }
  for (const Vector* v : {&gp.solution_.alpha, &gp.solution_.coefficients, &gp.solution_.basis}) {
    for (const double value : *v) {
      if (!std::isfinite(value)) model.refuse("alpha", "holds a number that is not finite");
    }
  }
  IterativeReport& r = gp.report_;
  try {
    const nlohmann::json& j = model.fields.at("cg");
    r.rank = j.at("rank").get<int64_t>();
    r.probes = j.at("probes").get<int64_t>();
    gp.options_.tolerance = j.at("tolerance").get<double>();
    // Models of before know solved variances only.
    gp.options_.variances = j.value("variances", "solve");
    gp.options_.near = j.value("near", gp.options_.near);
    r.value.iterations = j.at("products").get<int64_t>();
    r.value.residual = j.at("residual").get<double>();
    r.value.error = j.at("log_likelihood_error").get<double>();
    r.value.solve_error = j.at("solve_error").get<double>();
    r.log_likelihood = r.value.log_likelihood = model.number("log_likelihood");
  } catch (const nlohmann::json::exception& e) {
    model.refuse("cg", std::string("is not that of a process: ") + e.what());
  }
  if (!(gp.options_.tolerance > 0 && gp.options_.tolerance <= 1))
    model.refuse("tolerance", "must lie in (0, 1]");
  if (gp.options_.variances != "solve" && gp.options_.variances != "near")
    model.refuse("variances", "must be solve or near");
  if (gp.options_.near < 1 || gp.options_.near > 10000)
    model.refuse("near", "must lie in [1, 10000]");
  r.kernel = gp.kernel_.text();
  r.prediction = std::sqrt(2 * std::max(r.value.solve_error, 0.0));
  return gp;
}

}  // namespace covary::stat
