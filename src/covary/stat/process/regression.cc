#include "covary/stat/process/regression.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <tuple>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/log.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/stat/process/draws.h"
#include "covary/stat/process/iterative_cost.h"
#include "covary/stat/process/kernel_operator_single.h"
#include "covary/stat/process/markov_form.h"
#include "covary/stat/process/model_parts.h"
#include "covary/stat/process/start.h"

namespace covary::stat {
namespace {

using nlohmann::json;

constexpr double kFits = 60;  // evaluations of a likelihood in a usual fit

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", v);
  return text;
}

std::string digits(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", v);
  return text;
}

[[noreturn]] void refuse_method(const std::string& method, const std::string& what,
                                const std::string& hint) {
  throw Error(ExitCode::kUsage, what, "--method " + method, hint);
}

// Multiply-adds a second of all threads, by a short product.
double multiply_rate() {
  static const double rate = [] {
    constexpr int64_t n = 384;
    std::vector<double> a(n * n, 1e-3), c(n * n);
    const linalg::OneBlasThread one;
    double best = std::numeric_limits<double>::infinity();
    for (int turn = 0; turn < 3; ++turn) {
      const double begin = wall_seconds();
      linalg::gemm(false, false, n, n, n, 1, a.data(), n, a.data(), n, 0, c.data(), n);
      best = std::min(best, wall_seconds() - begin);
    }
    return static_cast<double>(n * n * n) / std::max(best, 1e-6) * threads();
  }();
  return rate;
}

int64_t inducing_of(const RegressionOptions& o, int64_t n) {
  return std::min(n, o.inducing > 0 ? o.inducing : 1000);
}

// For the tiles and the preconditioner of conjugate gradients, each.
int64_t iterative_memory(const RegressionOptions& o) {
  return std::min(IterativeOptions().memory_limit, o.memory_limit / 3);
}

IterativeSize iterative_size(const RegressionOptions& o, int64_t n) {
  const IterativeOptions defaults;
  IterativeSize size{.rows = n, .memory = static_cast<double>(iterative_memory(o))};
  size.rank = preconditioner_rank(n, 0, size.memory);
  size.sides = 2 + defaults.probes;
  size.tolerance = defaults.probe_tolerance;
  size.fits = o.fit ? std::min<int64_t>(o.steps, static_cast<int64_t>(kFits / 3)) : 0;
  return size;
}

void estimate(const RegressionOptions& o, int64_t n, int64_t dims, MethodChoice* c) {
  const auto rows = static_cast<double>(n);
  if (c->method == "state-space") {
    const Kernel kernel = Kernel::parse(o.kernel, 1);
    const bool single = !kernel.single_matern().empty();
    const auto states = static_cast<double>(MarkovForm(kernel).states());
    c->seconds = kFits * (single ? 60e-9 : 400e-9 + 8e-9 * states * states) * rows;
    c->bytes = (12 + (single ? 0 : states)) * 8 * rows;
  } else if (c->method == "exact") {
    c->seconds = (o.fit ? kFits / 2 : 1) * rows * rows * rows / multiply_rate();
    c->bytes = 2 * 8 * rows * rows;
    if (o.inference == "nuts") {
      const HyperSampleCost cost = sampling_cost(o.sampling, n);
      c->seconds += cost.evaluations * (rows * rows * rows / multiply_rate() + cost.entries);
      c->bytes += cost.bytes;
    }
  } else if (c->method == "cg") {
    const IterativeSize size = iterative_size(o, n);
    const Kernel kernel = Kernel::parse(o.kernel, dims);
    c->seconds = iterative_seconds(iterative_work(size), measured_rates(kernel));
    const double kept = 2 * rows * rows;
    c->bytes = (kept <= size.memory ? kept : 0) +
               8 * rows *
                   (4 * static_cast<double>(size.rank) +
                    static_cast<double>(SingleKernelOperator::kGroups * size.sides) + 400);
  } else if (c->method == "laplace" || c->method == "ep" || c->method == "vi") {
    const double sweeps = c->method == "laplace" ? 8 : c->method == "ep" ? 60 : 40;
    c->seconds = (o.fit ? kFits / 2 : 1) * sweeps * rows * rows * rows / 2 / multiply_rate();
    c->bytes = 2 * 8 * rows * rows;
  } else if (c->method == "svgp") {
    const auto m = static_cast<double>(std::min(n, o.inducing > 0 ? o.inducing : 500)),
               batch = static_cast<double>(std::min(n, o.batch));
    // Steps in single precision, about twice as fast, then a few passes over all rows.
    c->seconds =
        ((o.fit ? 10.0 * static_cast<double>(o.steps) : 0) * (batch + m) * m + 12 * rows * m) * m /
        multiply_rate();
    c->bytes = 8 * rows * 10 + 8 * m * (4 * batch + 9 * m);
  } else if (c->method == "kron") {
    c->seconds = kFits * 30 * rows * std::sqrt(rows) / multiply_rate();
    c->bytes = 16 * 8 * rows;
  } else if (c->method == "toeplitz" && dims > 1) {
    // Transforms of padded grids: about 40 products a solve, of 18 right-hand sides.
    const double padded = std::pow(2, static_cast<double>(dims)) * rows;
    c->seconds = (o.fit ? kFits : 1) * 40 * 18 * 20 * padded * std::log2(padded) / multiply_rate();
    c->bytes = 8 * (6 * 18 * rows + 3 * 18 * padded);
  } else if (c->method == "toeplitz") {
    c->seconds = kFits * 20 * rows * rows / multiply_rate();
    c->bytes = 16 * 8 * rows;
  } else if (c->method == "hsgp") {
    const double m = 1000;
    c->seconds = (4 * rows * m * m + kFits * 2 * m * m * m) / multiply_rate();
    c->bytes = 4 * 8 * m * m + 6 * 8 * rows;
  } else if (c->method == "vecchia") {
    c->seconds = 2e-9 * rows * rows + (o.fit ? kFits : 1) * 60e-6 * rows;
    c->bytes = 8 * 60 * rows;
  } else {
    const auto m = static_cast<double>(inducing_of(o, n));
    c->seconds = (o.fit ? kFits : 1) * 4 * rows * m * m / multiply_rate();
    c->bytes = 24 * rows * m;
  }
}

// The kernel without its white, for a process whose noise is a parameter of its own; noise: the
// white's variance where the text states it, else 0.
std::string without_white(const std::string& text, int64_t dims, double* noise) {
  *noise = 0;
  const Kernel parsed = Kernel::parse(text, dims);
  for (const KernelParameter& p : parsed.parameters()) {
    if (p.role == ParameterRole::kNoise && p.given) *noise += p.value;
  }
  const std::string rest = part_from_white(text).smooth;
  if (rest.empty()) {
    throw Error(ExitCode::kUsage, "is white alone", "kernel", "sgpr needs something to learn");
  }
  if (Kernel::parse(rest, dims).has(ParameterRole::kNoise)) {
    throw Error(ExitCode::kUsage, "has white inside a product", "kernel",
                "sgpr takes white as a term of the sum, or none");
  }
  return rest;
}

std::string number3(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", v);
  return text;
}

json numbers_or_null(const std::optional<double>& v) { return v ? json(*v) : json(); }

constexpr double kLeastShare = 1e-4;  // of noise in signal, for conjugate gradients by default
constexpr int64_t kGridRows = 500;    // from which a grid is looked for
constexpr int64_t kLeftOut = 256;     // rows left out in turn by conjugate gradients

// The share of noise in the variance of the data, by a dense fit to a sample.
double noise_share(const RegressionOptions& o, const at::Tensor& x, const at::Tensor& y,
                   const RowNoise& noise) {
  const GpData data = GpData::from(x, y, noise, mean_of(o.mean));
  const GpData part = data.sample(1000, static_cast<uint64_t>(o.seed));
  GpOptions g;
  g.kernel = o.kernel;
  g.mean = o.mean;
  g.fit = o.fit;
  g.starts = o.restarts;
  g.seed = o.seed;
  g.search.iterations = std::min<int64_t>(o.steps, 50);
  g.search.watch = o.watch;
  const GaussianProcess gp(part.x, part.y.squeeze(1).contiguous(), g, part.noise);
  const at::Tensor& own = part.noise.variances;
  double variance = own.defined() ? own.mean().item<double>() : 0;
  for (const KernelParameter& p : gp.kernel().parameters()) {
    if (p.role == ParameterRole::kNoise) variance += p.value;
  }
  return variance / mean_square(part);
}

}  // namespace

namespace {

bool has_basis(const std::string& kernel, int64_t dims) {
  try {
    SpectralForm::of(Kernel::parse(completed_kernel(kernel, false, dims), dims));
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Whether the process on a grid of these rows is that of the options, with the fit that they ask for.
bool is_product(const RegressionOptions& o) {
  std::string text = part_from_white(o.kernel).smooth;
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  return o.fit && (text == "rbf(ard)" || text == "const*rbf(ard)") &&
         (o.mean == "zero" || o.mean == "const");
}

}  // namespace

MethodChoice choose_method(const RegressionOptions& o, int64_t n, int64_t dims, bool noise_given,
                           bool weights_given, const at::Tensor& x) {
  if (o.inference == "nuts") {
    if (n > kExactRows)
      throw Error(ExitCode::kUsage,
                  "draws parameters of up to " + std::to_string(kExactRows) + " rows, there are " +
                      std::to_string(n),
                  "--inference nuts", "fit a sample of the rows, or leave --inference out");
    MethodChoice c{.method = "exact", .why = "draws of the parameters, by the exact likelihood"};
    estimate(o, n, dims, &c);
    return c;
  }
  if (asks_for_latent(o)) {
    MethodChoice c = choose_latent_method(o, n, noise_given, weights_given);
    estimate(o, n, dims, &c);
    return c;
  }
  const Kernel kernel = Kernel::parse(o.kernel, dims);
  const bool markov = dims == 1 && MarkovForm::obstacle(kernel).empty();
  std::string against;  // why not state-space
  if (dims != 1) {
    against = "there are " + std::to_string(dims) + " columns, it knows one";
  } else if (!markov) {
    against = "the kernel " + MarkovForm::obstacle(kernel);
  } else if (o.mean != "zero" && o.mean != "const") {
    against = "the mean is " + o.mean + ", it knows zero and const";
  } else if (noise_given && !weights_given && !kernel.has(ParameterRole::kNoise)) {
    against = "it fits a common noise beside that of the rows";
  }
  MethodChoice c{.method = o.method, .why = "asked for"};
  if (o.method == "auto") {
    const bool cut = markov && MarkovForm::approximates(kernel);
    std::vector<int64_t> shape;  // of the grid that the rows are cells of, where that is asked for
    if (n >= kGridRows && !weights_given && is_product(o)) shape = grid_shape(x);
    if (against.empty() && (!cut || n > kExactRows)) {
      c.method = "state-space";
      c.why = cut ? std::to_string(n) + " rows in one column: linear time, with " +
                        "7 harmonics of each period"
                  : "one column and a Markov kernel: exact, in linear time";
    } else if (!shape.empty()) {
      int64_t cells = 1;
      c.why = "the rows are cells of a grid of ";
      for (size_t k = 0; k < shape.size(); ++k) {
        c.why += (k ? " x " : "") + std::to_string(shape[k]);
        cells *= shape[k];
      }
      if (cells > n) c.why += ", " + std::to_string(cells - n) + " of them without a row";
      c.why += ", and the kernel is a product over its axes: exact, by structure";
      c.method = "kron";
    } else if (n <= kExactRows) {
      c.method = "exact";
      c.why = std::to_string(n) + " rows, at most " + std::to_string(kExactRows);
    } else if (n <= kIterativeRows) {
      c.method = "cg";
      c.why = std::to_string(n) + " rows, more than " + std::to_string(kExactRows) +
              ": exact, by conjugate gradients";
    } else if (dims <= 3 && o.mean != "linear" && !noise_given && has_basis(o.kernel, dims)) {
      c.method = "hsgp";
      c.why = std::to_string(n) + " rows in " + std::to_string(dims) +
              (dims == 1 ? " column" : " columns") + ": a basis whose error is said";
    } else {
      c.method = "sgpr";
      c.why = std::to_string(n) + " rows, more than " + std::to_string(kIterativeRows) +
              ": a bound with a certified gap";
    }
  }
  if (c.method == "state-space" && !against.empty())
    refuse_method(c.method, "cannot serve: " + against,
                  "leave --method out, or write --method exact");
  if (StructuredProcess::knows(c.method)) {
    const std::string hint = "write --method exact, or leave the option out";
    const bool grid = c.method == "kron" || c.method == "toeplitz";
    if (noise_given && c.method != "vecchia" && c.method != "kron")
      refuse_method(c.method, "knows no variances of single rows",
                    "write --method exact, cg, sgpr, vecchia or, on a grid, kron");
    if (weights_given && grid)
      refuse_method(c.method, "needs one noise for all cells, and knows no weights of rows",
                    "write --method exact or cg");
    if (o.mean == "linear") refuse_method(c.method, "knows the means zero and const", hint);
  }
  if (c.method == "sgpr") {
    const std::string hint = "write --method exact, or leave the option out";
    if (o.mean != "const") refuse_method(c.method, "knows the mean const, not " + o.mean, hint);
  }
  estimate(o, n, dims, &c);
  return c;
}

Regression::Regression(const at::Tensor& x, const at::Tensor& y, const RegressionOptions& options,
                       const RowNoise& noise) {
  options.check();
  if (!x.defined() || x.dim() != 2 || !y.defined() || y.dim() != 1 || x.size(0) != y.size(0)) {
    throw Error(ExitCode::kUsage, "needs X [n,d] and y [n]", "regression");
  }
  noise.check(x.size(0));
  x_ = x;
  y_ = y;
  noise_ = noise;
  infer(options);
}

void Regression::infer(const RegressionOptions& o) {
  report_ = {};
  report_.choice = choose_method(o, x_.size(0), x_.size(1), noise_.variances.defined(),
                                 noise_.weights.defined(), x_);
  mean_ = o.mean;
  if (asks_for_latent(o)) {
    RegressionOptions latent = o;
    double noise = 0;
    if (o.likelihood.starts_with("gaussian"))
      latent.kernel = without_white(o.kernel, x_.size(1), &noise);
    if (noise > 0 && o.likelihood == "gaussian")
      latent.likelihood = "gaussian(noise=" + digits(noise) + ")";
    infer_latent(latent);
    if (o.standard_errors) find_errors(o.memory_limit);
    return;
  }
  if (o.method == "auto" && report_.choice.method == "cg") {
    double share = 0;
    share = noise_share(o, x_, y_, noise_);
    // Now that the noise is known: a better estimate than that of before.
    IterativeSize size = iterative_size(o, x_.size(0));
    size.share = std::clamp(share, kLeastShare, 1.0);
    report_.choice.seconds = iterative_seconds(iterative_work(size),
                                               measured_rates(Kernel::parse(o.kernel, x_.size(1))));
    log_info("by the noise of a sample, " + number(share) + " of the data's variance: about " +
             number(report_.choice.seconds) + " s");
    if (share < kLeastShare && !noise_.defined() && o.mean == "const") {
      report_.choice.method = "sgpr";
      report_.choice.why = "the noise is about " + number(share) +
                           " of the data's variance, too little for conjugate gradients: a bound "
                           "with a certified gap";
    }
  }
  if (report_.choice.method == "exact") {
    GpOptions g;
    g.kernel = o.kernel;
    g.mean = o.mean;
    g.fit = o.fit;
    g.priors = o.prior_preset(x_.size(1));
    g.starts = o.restarts;
    g.seed = o.seed;
    g.memory_limit = o.memory_limit;
    g.search.iterations = o.steps;
    g.search.watch = o.watch;
    process_.emplace<GaussianProcess>(x_, y_, g, noise_);
  } else if (report_.choice.method == "sgpr") {
    SparseOptions s;
    s.kernel = without_white(o.kernel, x_.size(1), &s.noise);
    s.inducing = inducing_of(o, x_.size(0));
    s.fit = o.fit;
    s.seed = o.seed;
    s.search.iterations = o.steps;
    s.search.watch = o.watch;
    process_.emplace<SparseProcess>(x_, y_, s, noise_);
  } else if (report_.choice.method == "cg") {
    auto c = searched_options<IterativeOptions>(o);
    c.memory_limit = iterative_memory(o);
    c.variances = o.variances;
    process_.emplace<IterativeProcess>(x_, y_, c, noise_);
  } else if (StructuredProcess::knows(report_.choice.method)) {
    RegressionOptions own = o;
    // Of an axis; the grid's first brings the const.
    if (o.method == "auto" && report_.choice.method == "kron") {
      own.kernel = "rbf";
      double white = 0;
      without_white(o.kernel, x_.size(1), &white);
      if (white > 0) own.kernel += " + white(" + digits(white) + ")";
    }
    process_.emplace<StructuredProcess>(report_.choice.method, x_, y_, own, noise_);
  } else {
    MarkovOptions m;
    m.kernel = o.kernel;
    m.mean = o.mean;
    m.fit = o.fit;
    m.priors = o.prior_preset(1);
    m.search.iterations = o.steps;
    m.search.watch = o.watch;
    process_.emplace<MarkovProcess>(checked_points(x_, 1, "X").select(1, 0).contiguous(), y_, m,
                                    noise_);
  }
  complete_report();
  if (o.standard_errors) find_errors(o.memory_limit);
  if (o.inference == "nuts") sample_parameters(o);
}

void Regression::complete_report() {
  RegressionReport& r = report_;
  r.mean = mean_;
  r.rows = x_.size(0);
  r.columns = x_.size(1);
  r.weightless = noise_.weightless();
  r.parameters.clear();
  const auto search = [&r](const auto& from) {
    r.fitted = from.fitted;
    r.ending = numeric::name_of(from.ending);
    r.gradient_norm = from.gradient_norm;
    r.iterations = from.iterations;
    r.evaluations = from.evaluations;
  };
  const auto kernel_parameters = [&r](const Kernel& kernel, const std::vector<std::string>& bound) {
    for (const KernelParameter& p : kernel.parameters()) {
      r.parameters.push_back({p.name, p.value,
                              std::find(bound.begin(), bound.end(), p.name) != bound.end(), p.fixed,
                              p.dimension, p.role == ParameterRole::kWeight});
    }
  };
  if (const auto* gp = std::get_if<GaussianProcess>(&process_)) {
    const GpReport& g = gp->report();
    search(g);
    r.kernel = g.kernel;
    r.log_likelihood = g.log_likelihood;
    r.log_prior = g.log_prior;
    r.jitter = g.jitter;
    r.condition = g.condition;
    kernel_parameters(gp->kernel(), g.at_bound);
  } else if (const auto* sparse = std::get_if<SparseProcess>(&process_)) {
    const SparseReport& s = sparse->report();
    search(s);
    r.kernel = s.kernel + " + white(" + digits(s.noise) + ")";
    r.log_likelihood = s.bound;
    r.upper = s.upper;
    r.inducing = s.inducing;
    r.jitter = s.jitter;
    kernel_parameters(sparse->kernel(), s.at_bound);
    const bool held = std::find(s.at_bound.begin(), s.at_bound.end(), "noise") != s.at_bound.end();
    r.parameters.push_back({"white.variance", s.noise, held, false});
  } else if (const auto* cg = std::get_if<IterativeProcess>(&process_)) {
    const IterativeReport& c = cg->report();
    search(c);
    r.kernel = c.kernel;
    r.log_likelihood = c.log_likelihood;
    r.solves = c;
    kernel_parameters(cg->kernel(), c.at_bound);
  } else if (const auto* structured = std::get_if<StructuredProcess>(&process_)) {
    const StructuredReport& p = structured->report();
    search(p);
    r.kernel = p.kernel;
    r.log_likelihood = p.log_likelihood;
    r.structure = p.note;
    kernel_parameters(Kernel::parse(p.kernel, x_.size(1)), p.at_bound);
  } else {
    const MarkovReport& m = std::get<MarkovProcess>(process_).report();
    search(m);
    r.kernel = m.kernel;
    r.log_likelihood = m.log_likelihood;
    r.log_prior = std::get<MarkovProcess>(process_).kernel().log_prior({});
    kernel_parameters(std::get<MarkovProcess>(process_).kernel(), m.at_bound);
  }
}

std::pair<at::Tensor, at::Tensor> Regression::predict(const at::Tensor& points, bool noise) const {
  if (report_.posterior) return mixture(points, noise).moments();
  if (is_latent()) {
    const LatentPrediction f = predict_function(points);
    if (!noise) return {f.mean, f.variance};
    at::Tensor mean = at::empty_like(f.mean), variance = at::empty_like(f.mean);
    for (int64_t i = 0; i < mean.numel(); ++i) {
      std::tie(mean.data_ptr<double>()[i], variance.data_ptr<double>()[i]) =
          latent_model().likelihood.predict(f.mean.const_data_ptr<double>()[i],
                                            f.variance.const_data_ptr<double>()[i]);
    }
    return {mean, variance};
  }
  if (const auto* gp = std::get_if<GaussianProcess>(&process_)) {
    const Prediction p = gp->predict(points, {.noise = noise});
    return {p.mean, p.variance};
  }
  if (const auto* sparse = std::get_if<SparseProcess>(&process_)) {
    const SparsePrediction p = sparse->predict(points, noise);
    return {p.mean, p.variance};
  }
  if (const auto* cg = std::get_if<IterativeProcess>(&process_)) {
    const IterativePrediction p = cg->predict(points, noise);
    if (p.checked > 0) {
      log_info("variances by near rows, from above: at " + std::to_string(p.checked) +
               " of the points by at most " + number(p.excess) + " of the prior variance");
    }
    return {p.mean, p.variance};
  }
  if (const auto* structured = std::get_if<StructuredProcess>(&process_))
    return structured->predict(points, noise);
  const at::Tensor t = checked_points(points, 1, "points").select(1, 0).contiguous();
  const MarkovPrediction p = std::get<MarkovProcess>(process_).predict(t, noise);
  return {p.mean, p.variance};
}

std::pair<at::Tensor, at::Tensor> Regression::predict_rows(const at::Tensor& points,
                                                           const RowNoise& rows) const {
  rows.check(points.size(0));
  if (report_.posterior) return mixture(points, rows).moments();
  auto [mean, variance] = predict(points, false);
  at::Tensor white = at::empty_like(variance);
  if (is_latent()) {
    white.fill_(latent_model().likelihood.parameters()[0].value);
  } else {
    const at::Tensor at = checked_points(points, x_.size(1), "points");
    const std::vector<double> own = white_diagonal(Kernel::parse(report_.kernel, x_.size(1)),
                                                   at.const_data_ptr<double>(), at.size(0));
    std::copy(own.begin(), own.end(), white.data_ptr<double>());
  }
  if (rows.weights.defined()) white = white / rows.weights;
  variance = variance + white;
  if (rows.variances.defined()) variance = variance + rows.variances;
  return {mean, at::where(at::isinf(variance), std::numeric_limits<double>::quiet_NaN(), variance)};
}

std::pair<at::Tensor, at::Tensor> Regression::leave_one_out() const {
  if (report_.posterior) return mixture_left_out().moments();
  if (is_latent()) {
    const LatentPrediction f = leave_out_function();
    if (likelihood()) return {f.mean, f.variance};
    const double noise = latent_model().likelihood.parameters()[0].value;
    if (!noise_.weights.defined()) return {f.mean, f.variance + noise};
    const at::Tensor own = at::where(noise_.weights > 0, noise / noise_.weights,
                                     std::numeric_limits<double>::quiet_NaN());
    return {f.mean, f.variance + own};
  }
  if (const auto* gp = std::get_if<GaussianProcess>(&process_)) {
    const Prediction p = gp->leave_one_out();
    return {p.mean, p.variance};
  }
  if (const auto* sparse = std::get_if<SparseProcess>(&process_)) {
    const SparsePrediction p = sparse->leave_one_out();
    return {p.mean, p.variance};
  }
  if (const auto* cg = std::get_if<IterativeProcess>(&process_)) {
    const IterativePrediction p = cg->leave_one_out(kLeftOut, 0);
    return {p.mean, p.variance};
  }
  if (const auto* structured = std::get_if<StructuredProcess>(&process_))
    return structured->leave_one_out();
  const MarkovPrediction p = std::get<MarkovProcess>(process_).leave_one_out();
  return {p.mean, p.variance};
}

at::Tensor Regression::sample(const at::Tensor& points, int64_t count, uint64_t seed) const {
  if (count < 0) throw Error(ExitCode::kUsage, "must not be negative", "samples");
  if (const auto* gp = std::get_if<GaussianProcess>(&process_)) {
    return report_.posterior ? mix_samples(*gp, *report_.posterior, points, count, seed)
                             : gp->sample(points, count, seed);
  }
  if (const auto* sparse = std::get_if<SparseProcess>(&process_)) {
    return gaussian_draws(sparse->predict(points).mean, sparse->covariance(points), count, seed, 0);
  }
  if (const auto* latent = std::get_if<LatentProcess>(&process_)) {
    return gaussian_draws(latent->predict(points).mean, latent->covariance(points), count, seed, 0);
  }
  if (const auto* latent = std::get_if<VariationalProcess>(&process_)) {
    return gaussian_draws(latent->predict(points).mean, latent->covariance(points), count, seed, 0);
  }
  if (x_.size(0) + points.size(0) > kExactRows) {
    throw Error(ExitCode::kFailed,
                "joint draws of more than " + std::to_string(kExactRows) +
                    " rows and points are not in this version",
                "sample", "draw at fewer points, or from a model of fewer rows");
  }
  GpOptions o;
  o.kernel = report_.kernel;
  o.mean = mean_;
  o.fit = false;
  return GaussianProcess(x_, y_, o, noise_).sample(points, count, seed);
}

void Regression::update(const at::Tensor& x, const at::Tensor& y, const RowNoise& noise, bool refit,
                        const numeric::SearchWatch& watch, const SampleWatch& sampling) {
  const at::Tensor rows = checked_points(x, x_.size(1), "X");
  if (y.dim() != 1 || y.size(0) != rows.size(0) ||
      noise.variances.defined() != noise_.variances.defined() ||
      noise.weights.defined() != noise_.weights.defined()) {
    throw Error(
        ExitCode::kUsage,
        "needs a value a row, and a variance and weight a row where the first rows had them",
        "update");
  }
  noise.check(rows.size(0));
  const int64_t before = x_.size(0);
  x_ = at::cat({x_, rows});
  y_ = at::cat({y_, y});
  if (noise.variances.defined()) noise_.variances = at::cat({noise_.variances, noise.variances});
  if (noise.weights.defined()) noise_.weights = at::cat({noise_.weights, noise.weights});
  // What the rows before told of the parameters is not what all tell.
  bool errors = false;
  for (FittedParameter& p : report_.parameters) {
    errors = errors || p.error.has_value();
    p.error.reset();
  }
  if (refit) {
    RegressionOptions o;
    o.kernel = report_.kernel;
    o.mean = mean_;
    o.method = report_.choice.method;
    if (o.method == "kron" || o.method == "toeplitz")
      throw Error(ExitCode::kUsage, "cannot fit again: its kernel is that of each axis", "--refit",
                  "fit the whole table anew");
    o.restarts = 1;
    o.standard_errors = errors;
    o.watch = watch;
    o.likelihood = report_.likelihood;
    if (const auto* cg = std::get_if<IterativeProcess>(&process_))
      o.variances = cg->options().variances;
    if (o.method == "sgpr" || o.method == "svgp") o.inducing = report_.inducing;
    if (const HyperSample* draws = posterior()) {
      o.inference = "nuts";
      o.sampling = draws->options;
      o.priors = draws->options.priors;
      o.sampling.watch = sampling;
    }
    infer(o);
    report_.choice.why = "as the model was";
    return;
  }
  report_.choice.why = "as the model was";
  if (is_latent()) {
    const auto* variational = std::get_if<VariationalProcess>(&process_);
    restore_latent(latent_model(), variational ? variational->inducing() : at::Tensor());
    return;
  }
  if (auto* gp = std::get_if<GaussianProcess>(&process_)) {
    // A row at a time is O(n^2), all anew O(n^3).
    if (3 * rows.size(0) <= before) {
      for (int64_t i = 0; i < rows.size(0); ++i) {
        gp->append(rows[i], y[i], noise.variances.defined() ? noise.variances[i].item<double>() : 0,
                   noise.weights.defined() ? noise.weights[i].item<double>() : 1);
      }
      complete_report();
      return;
    }
    restore("exact", gp->kernel(), {});
  } else if (const auto* sparse = std::get_if<SparseProcess>(&process_)) {
    restore("sgpr", sparse->kernel(), sparse->inducing());
  } else if (const auto* cg = std::get_if<IterativeProcess>(&process_)) {
    restore("cg", cg->kernel(), {});
  } else if (const auto* structured = std::get_if<StructuredProcess>(&process_)) {
    const json state = structured->state();
    restore_structure(state);
  } else {
    restore("state-space", std::get<MarkovProcess>(process_).kernel(), {});
  }
}

void Regression::restore(const std::string& method, Kernel kernel, const at::Tensor& inducing) {
  const RegressionReport before = report_;
  if (method == "exact") {
    for (KernelParameter& p : kernel.parameters()) p.given = true;
    GpOptions o;
    o.mean = mean_;
    o.fit = false;
    process_.emplace<GaussianProcess>(x_, y_, std::move(kernel), o, noise_);
  } else if (method == "sgpr") {
    double noise = 0;
    for (const FittedParameter& p : before.parameters) {
      if (p.name == "white.variance") noise = p.value;
    }
    process_.emplace<SparseProcess>(x_, y_, std::move(kernel), noise, inducing, noise_);
  } else if (method == "cg") {
    IterativeOptions o;
    if (const auto* cg = std::get_if<IterativeProcess>(&process_)) o = cg->options();
    o.mean = mean_;
    process_.emplace<IterativeProcess>(x_, y_, std::move(kernel), o, noise_);
  } else {
    for (KernelParameter& p : kernel.parameters()) p.given = true;
    MarkovOptions m;
    m.mean = mean_;
    m.fit = false;
    process_.emplace<MarkovProcess>(checked_points(x_, 1, "X").select(1, 0).contiguous(), y_,
                                    std::move(kernel), m, noise_);
  }
  complete_report();
  // How the parameters came about is not forgotten.
  keep_search(before);
}

void Regression::restore_structure(const json& state) {
  const RegressionReport before = report_;
  process_.emplace<StructuredProcess>(before.choice.method, x_, y_, mean_, state, noise_);
  complete_report();
  keep_search(before);
}

void Regression::keep_search(const RegressionReport& before) {
  report_.fitted = before.fitted;
  report_.ending = before.ending;
  report_.gradient_norm = before.gradient_norm;
  report_.iterations = before.iterations;
  report_.evaluations = before.evaluations;
  for (size_t i = 0; i < report_.parameters.size() && i < before.parameters.size(); ++i) {
    report_.parameters[i].at_bound = before.parameters[i].at_bound;
  }
}

void Regression::find_errors(int64_t memory_limit) {
  RegressionReport& r = report_;
  if (!r.fitted || r.ending == numeric::name_of(numeric::Ending::kStopped)) return;
  std::vector<std::string> bound;
  for (const FittedParameter& p : r.parameters) {
    if (p.at_bound) bound.push_back(p.name);
  }
  std::vector<ParameterError> errors;
  if (is_latent()) {
    errors = latent_errors();
  } else if (const auto* gp = std::get_if<GaussianProcess>(&process_)) {
    errors = standard_errors(*gp, memory_limit);
  } else if (const auto* sparse = std::get_if<SparseProcess>(&process_)) {
    // The noise is one more parameter, the last; inducing points stay.
    Kernel kernel = sparse->kernel();
    SearchEnd end;
    end.at = kernel.pack();
    for (const KernelParameter* p : kernel.free_parameters()) {
      end.real.push_back(p->real);
      end.held.push_back(std::find(bound.begin(), bound.end(), p->name) != bound.end());
    }
    end.at.push_back(std::log(sparse->report().noise));
    end.real.push_back(false);
    end.held.push_back(r.parameters.back().at_bound);
    end.gradient = [&](std::span<const double> at, std::vector<double>* gradient) {
      kernel.unpack(at.first(at.size() - 1));
      SparseGradient g;
      if (!std::isfinite(sparse->bound(kernel, std::exp(at.back()), &g).value)) return false;
      kernel.log_prior(g.kernel);
      *gradient = kernel.pack_gradient(g.kernel);
      gradient->push_back(g.noise);
      return true;
    };
    errors = all_errors(kernel, search_errors(end));
  } else if (const auto* markov = std::get_if<MarkovProcess>(&process_)) {
    errors = kernel_errors(markov->kernel(), bound,
                           [&](const Kernel& kernel, std::vector<double>* gradient) {
                             return markov->log_likelihood(kernel, gradient);
                           });
  } else if (const auto* structured = std::get_if<StructuredProcess>(&process_)) {
    if (const KernelObjective objective = structured->objective()) {
      errors = kernel_errors(structured->kernel(), bound, objective);
    } else {
      errors = structured->grid_errors();
    }
  }
  errors.resize(r.parameters.size(), {.none = "not told by " + r.choice.method});
  for (size_t i = 0; i < errors.size(); ++i) r.parameters[i].error = errors[i];
}

void Regression::put_errors(data::Model* model) const {
  json errors = json::array();
  for (const FittedParameter& p : report_.parameters) {
    if (!p.error) return;
    errors.push_back({{"size", p.error->size}, {"real", p.error->real}, {"none", p.error->none}});
  }
  model->fields["standard_errors"] = errors;
}

void Regression::read_errors(const data::Model& model) {
  if (!model.fields.contains("standard_errors")) return;
  try {
    const json& errors = model.fields.at("standard_errors");
    if (!errors.is_array() || errors.size() != report_.parameters.size())
      model.refuse("standard_errors", "are not one a parameter");
    for (size_t i = 0; i < errors.size(); ++i) {
      const ParameterError e{errors[i].at("size").get<double>(), errors[i].at("real").get<bool>(),
                             errors[i].at("none").get<std::string>()};
      if (!(e.size >= 0)) model.refuse("standard_errors", "must not be negative");
      report_.parameters[i].error = e;
    }
  } catch (const json::exception& e) {
    model.refuse("standard_errors", std::string("are none: ") + e.what());
  }
}

std::vector<double> Regression::length_scales() const {
  const auto scales_of = [this](const Kernel& kernel) {
    std::vector<double> scales(static_cast<size_t>(x_.size(1)),
                               std::numeric_limits<double>::infinity());
    for (const KernelParameter& p : kernel.parameters()) {
      if (p.role != ParameterRole::kLengthscale) continue;
      for (size_t k = 0; k < scales.size(); ++k) {
        if (p.dimension < 0 || p.dimension == static_cast<int64_t>(k)) {
          scales[k] = std::min(scales[k], p.value);  // the one that changes fastest
        }
      }
    }
    const bool all =
        std::all_of(scales.begin(), scales.end(), [](double s) { return std::isfinite(s); });
    return all ? scales : std::vector<double>();
  };
  if (is_latent()) return scales_of(latent_model().kernel);
  if (const auto* gp = std::get_if<GaussianProcess>(&process_)) return scales_of(gp->kernel());
  if (const auto* sparse = std::get_if<SparseProcess>(&process_))
    return scales_of(sparse->kernel());
  if (const auto* cg = std::get_if<IterativeProcess>(&process_)) return scales_of(cg->kernel());
  if (std::holds_alternative<StructuredProcess>(process_))
    return scales_of(Kernel::parse(report_.kernel, x_.size(1)));
  return scales_of(std::get<MarkovProcess>(process_).kernel());
}

data::Model Regression::model() const {
  data::Model m{.schema = "covary.process", .version = 1};
  if (const auto* gp = std::get_if<GaussianProcess>(&process_)) {
    m = gp->model();
    if (report_.posterior) report_.posterior->put(&m);
  } else {
    m.fields = {{"method", report_.choice.method}, {"mean", mean_}};
    if (is_latent()) {
      put_latent(&m);
    } else if (const auto* sparse = std::get_if<SparseProcess>(&process_)) {
      m.fields["kernel"] = sparse->kernel().text();
      m.fields["parameters"] = parameters_json(sparse->kernel());
      m.fields["noise"] = sparse->report().noise;
      put_tensor(&m, "inducing", sparse->inducing());
    } else if (const auto* cg = std::get_if<IterativeProcess>(&process_)) {
      m.fields["kernel"] = cg->kernel().text();
      m.fields["parameters"] = parameters_json(cg->kernel());
      cg->put(&m);
    } else if (const auto* structured = std::get_if<StructuredProcess>(&process_)) {
      const Kernel kernel = Kernel::parse(report_.kernel, x_.size(1));
      m.fields["kernel"] = kernel.text();
      m.fields["parameters"] = parameters_json(kernel);
      m.fields["structure"] = structured->state();
    } else {
      const Kernel& kernel = std::get<MarkovProcess>(process_).kernel();
      m.fields["kernel"] = kernel.text();
      m.fields["parameters"] = parameters_json(kernel);
    }
    put_tensor(&m, "X", x_);
    put_noise(&m, noise_);
  }
  put_tensor(&m, "y", y_.unsqueeze(1));  // with what rows of weight 0 hold
  put_errors(&m);
  m.fields["fitted"] = report_.fitted;
  m.fields["ending"] = report_.ending;
  m.fields["gradient_norm"] = finite_or_null(report_.gradient_norm);
  m.fields["iterations"] = report_.iterations;
  m.fields["evaluations"] = report_.evaluations;
  std::vector<std::string> at_bound;
  for (const FittedParameter& p : report_.parameters) {
    if (p.at_bound) at_bound.push_back(p.name);
  }
  m.fields["at_bound"] = at_bound;
  m.fields["log_likelihood"] = report_.log_likelihood;
  m.fields["why"] = report_.choice.why;
  return m;
}

Regression Regression::of_model(const data::Model& model) {
  Regression r;
  const std::string method =
      model.text("method", {"exact", "cg", "sgpr", "state-space", "kron", "toeplitz", "hsgp",
                            "vecchia", "svgp", "laplace", "ep", "vi"});
  r.mean_ = model.text("mean", {"zero", "const", "linear", "quadratic"});
  r.x_ = tensor_of(model, "X", {-1, -1});
  const int64_t n = r.x_.size(0);
  r.y_ = tensor_of(model, "y", {n, -1});
  if (r.y_.size(1) != 1)
    model.refuse("y", "has several outputs, which this version's verbs do not");
  r.y_ = r.y_.squeeze(1).contiguous();
  r.noise_ = noise_of(model, n);
  r.report_.choice = {.method = method, .why = model.text("why")};
  if (method == "exact") {
    r.process_ = GaussianProcess::of_model(model);
    r.complete_report();
    if (HyperSample::is_in(model)) {
      const Kernel& kernel = std::get<GaussianProcess>(r.process_).kernel();
      r.report_.posterior = HyperSample::of_model(model, kernel);
    }
    r.read_errors(model);
    return r;
  }
  const bool latent = method == "svgp" || method == "laplace" || method == "ep" || method == "vi";
  if (method == "state-space" && r.x_.size(1) != 1) model.refuse("X", "must have one column");
  if (latent) r.read_latent(model);
  const Kernel kernel = kernel_of(model, r.x_.size(1));
  if (method == "state-space" && !MarkovForm::obstacle(kernel).empty())
    model.refuse("kernel", MarkovForm::obstacle(kernel));
  if (method == "sgpr") {
    const double noise = model.number("noise");
    if (!(noise > 0)) model.refuse("noise", "must be positive");
    r.report_.parameters = {{"white.variance", noise, false, false}};
    r.restore(method, kernel, tensor_of(model, "inducing", {-1, r.x_.size(1)}));
  } else if (method == "cg") {
    r.process_ = IterativeProcess::of(model, r.x_, r.y_, kernel, r.mean_, r.noise_);
    r.complete_report();
  } else if (StructuredProcess::knows(method)) {
    if (!model.fields.contains("structure")) model.refuse("structure", "is missing");
    r.restore_structure(model.fields.at("structure"));
  } else if (!latent) {
    r.restore(method, kernel, {});
  }
  try {
    const json& j = model.fields;
    r.report_.fitted = j.at("fitted").get<bool>();
    r.report_.ending = j.at("ending").get<std::string>();
    r.report_.gradient_norm = j.at("gradient_norm").is_null()
                                  ? std::numeric_limits<double>::infinity()
                                  : j.at("gradient_norm").get<double>();
    r.report_.iterations = j.at("iterations").get<int64_t>();
    r.report_.evaluations = j.at("evaluations").get<int64_t>();
    for (const std::string& name : model.texts("at_bound")) {
      for (FittedParameter& p : r.report_.parameters) p.at_bound = p.at_bound || p.name == name;
    }
  } catch (const json::exception& e) {
    throw Error(ExitCode::kData, std::string("is no process: ") + e.what(), model.path);
  }
  r.read_errors(model);
  return r;
}

std::string RegressionReport::text() const {
  char line[160];
  std::string s = "method          " + choice.method + " (" + choice.why + ")\n";
  s += "data            " + std::to_string(rows) + " rows, " + std::to_string(columns) +
       (columns == 1 ? " column" : " columns") +
       (weightless > 0 ? "; " + std::to_string(weightless) + " of weight 0 left out\n" : "\n");
  if (inducing > 0) s += "inducing        " + std::to_string(inducing) + " points\n";
  const std::string family = likelihood.substr(0, likelihood.find('('));
  if (family != "gaussian") s += "likelihood      " + family + "\n";
  if (!structure.empty()) s += "structure       " + structure + "\n";
  s += "mean            " + mean + "\n";
  int64_t weights = 0;
  double squares = 0;
  for (const FittedParameter& p : parameters) {
    if (p.weight) {
      ++weights;
      squares += p.value * p.value;
      continue;
    }
    s += "  " + p.name + std::string(p.name.size() < 27 ? 27 - p.name.size() : 1, ' ') +
         number(p.value) + (p.fixed ? "  fixed" : "") + (p.at_bound ? "  at bound" : "");
    if (p.error && !p.fixed && !p.at_bound) {
      const auto [low, high] = p.error->interval(p.value);
      s += p.error->none.empty() ? "  +- " + number3(p.error->in_units(p.value)) + ", 95 % " +
                                       number3(low) + " to " + number3(high)
                                 : "  no standard error: " + p.error->none;
    }
    s += "\n";
  }
  if (weights > 0)
    s += "network         " + std::to_string(weights) + " weights, root mean square " +
         number3(std::sqrt(squares / static_cast<double>(weights))) + "\n";
  std::snprintf(line, sizeof line, "%.6f nats", log_likelihood);
  if (upper) {
    s += std::string("log likelihood  at least ") + line;
    std::snprintf(line, sizeof line, ", at most %.6f (gap %.4g)", *upper, *upper - log_likelihood);
    s += std::string(line) + "\n";
  } else {
    const std::string certainty = choice.method == "laplace" || choice.method == "ep" ? "about "
                                  : choice.method == "vi" || choice.method == "svgp"  ? "at least "
                                                                                      : "";
    s += "log likelihood  " + certainty + line;
    if (solves) {
      std::snprintf(line, sizeof line, ", standard error %.2g by %lld probes", solves->value.error,
                    static_cast<long long>(solves->probes));
      s += line;
    }
    s += "\n";
  }
  if (solves) {
    std::snprintf(line, sizeof line,
                  "%lld products, relative residual %.2g, rank %lld; means within "
                  "%.2g prior deviations\n",
                  static_cast<long long>(solves->value.iterations), solves->value.residual,
                  static_cast<long long>(solves->rank), solves->prediction);
    s += std::string("solves          ") + line;
    if (solves->short_solves > 0)
      s += "                " + std::to_string(solves->short_solves) +
           " evaluations of the fit had a solve short of its tolerance\n";
  }
  if (log_prior != 0) {
    std::snprintf(line, sizeof line, "log prior       %.6f nats\n", log_prior);
    s += line;
  }
  if (fitted) {
    std::snprintf(line, sizeof line, " after %lld steps, %lld evaluations",
                  static_cast<long long>(iterations), static_cast<long long>(evaluations));
    s += "fit             " + ending + line;
    std::snprintf(line, sizeof line, ", gradient %.2g", gradient_norm);
    s += (std::isfinite(gradient_norm) ? line : "") + std::string("\n");
  } else {
    s += "fit             none: parameters as stated, or by the data\n";
  }
  if (!solves) s += "jitter          " + number(jitter) + "\n";
  if (condition) s += "condition       " + number(*condition) + "\n";
  if (posterior) s += posterior->text();
  return s;
}

json RegressionReport::to_json() const {
  json values = json::object();
  for (const FittedParameter& p : parameters) {
    values[p.name] = {{"value", p.value}, {"at_bound", p.at_bound}, {"fixed", p.fixed}};
    if (!p.error) continue;
    json& to = values[p.name];
    const bool there = p.error->none.empty();
    const auto [low, high] = p.error->interval(p.value);
    to["standard_error"] = there ? json(p.error->in_units(p.value)) : json();
    to["interval"] = there ? json{low, high} : json();
    if (!there) to["no_standard_error"] = p.error->none;
  }
  return {{"method", choice.method},
          {"why", choice.why},
          {"kernel", kernel},
          {"likelihood", likelihood},
          {"mean", mean},
          {"parameters", values},
          {"rows", rows},
          {"columns", columns},
          {"weightless", weightless},
          {"log_likelihood", log_likelihood},
          {"log_prior", log_prior},
          {"log_likelihood_upper", numbers_or_null(upper)},
          {"inducing", inducing},
          {"structure", structure.empty() ? json() : json(structure)},
          {"fit",
           {{"fitted", fitted},
            {"ending", ending},
            {"gradient_norm", finite_or_null(gradient_norm)},
            {"iterations", iterations},
            {"evaluations", evaluations}}},
          {"jitter", jitter},
          {"condition", numbers_or_null(condition)},
          {"posterior", posterior ? posterior->to_json() : json()},
          {"solves", solves ? json{{"products", solves->value.iterations},
                                   {"residual", solves->value.residual},
                                   {"rank", solves->rank},
                                   {"probes", solves->probes},
                                   {"log_likelihood_error", solves->value.error},
                                   {"mean_error", solves->prediction},
                                   {"short", solves->short_solves}}
                            : json()}};
}

}  // namespace covary::stat
