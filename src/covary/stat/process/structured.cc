#include "covary/stat/process/structured.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/process/gp_data.h"

namespace covary::stat {
namespace {

using nlohmann::json;

constexpr int64_t kSparsest = 4;  // cells a row, at most

std::string digits(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", v);
  return text;
}

// The text of a kernel of one column, for column k of several: every leaf that sees it gets dims.
std::string in_column(const std::string& text, int64_t k) {
  std::string out, word;
  std::vector<std::string> open;
  for (const char c : text) {
    if (c == '(') open.push_back(word);
    if (c == ')' && !open.empty()) {
      if (!open.back().empty() && open.back() != "const" && open.back() != "white") {
        out += ",dims=" + std::to_string(k) + ":" + std::to_string(k);
      }
      open.pop_back();
    }
    word = std::isalnum(static_cast<unsigned char>(c)) || c == '_' ? word + c : "";
    out += c;
  }
  return out;
}

// Of one kernel for all axes, with the white's variance where it is stated.
GridOptions grid_options(const RegressionOptions& o) {
  GridOptions g;
  g.mean = o.mean;
  g.fit = o.fit;
  g.seed = o.seed;
  g.search.iterations = o.steps;
  g.search.watch = o.watch;
  const Kernel parsed = Kernel::parse(o.kernel, 1);
  for (const KernelParameter& p : parsed.parameters()) {
    if (p.role == ParameterRole::kNoise && p.given) g.noise += p.value;
  }
  g.kernels = {part_from_white(o.kernel).smooth};
  if (g.kernels[0].empty()) throw Error(ExitCode::kUsage, "is white alone", "kernel");
  return g;
}

void check_equal_steps(const GridAxes& axes, int64_t holes) {
  if (holes > 0)
    throw Error(ExitCode::kData, "has no value at " + std::to_string(holes) + " steps", "y",
                axes.size() > 1 ? "write --method kron, cg or exact"
                                : "write --method exact, or state-space");
  if (axes.size() != 1) return;  // each is looked at by the process itself
  const std::vector<Kernel> plain{Kernel::parse("rbf", 1)};
  if (!is_toeplitz(axes, plain))
    throw Error(ExitCode::kData, "has steps that are not equal", "X",
                "write --method kron or exact");
}

// Of a process that was fitted.
template <class Options>
Options options_of(const std::string& mean, const json& state) {
  Options own;
  own.kernel = state.at("kernel").get<std::string>();
  own.mean = mean;
  own.fit = false;
  own.seed = state.at("seed").get<int64_t>();
  return own;
}

// Distinct coordinates of each column, sorted; empty where the cells are more than kSparsest n.
GridAxes axes_of(const at::Tensor& points) {
  const int64_t n = points.size(0), d = points.size(1);
  const double* from = points.const_data_ptr<double>();
  GridAxes axes;
  int64_t cells = 1;
  for (int64_t k = 0; k < d; ++k) {
    std::vector<double> axis;
    for (int64_t i = 0; i < n; ++i) axis.push_back(from[i * d + k]);
    std::sort(axis.begin(), axis.end());
    axis.erase(std::unique(axis.begin(), axis.end()), axis.end());
    cells *= static_cast<int64_t>(axis.size());
    if (cells > kSparsest * n) return {};
    axes.push_back(std::move(axis));
  }
  return axes;
}

}  // namespace

std::vector<int64_t> grid_shape(const at::Tensor& x) {
  if (!x.defined() || x.dim() != 2 || x.size(1) < 2 || x.scalar_type() != at::kDouble) return {};
  const GridAxes axes = axes_of(x.contiguous());
  std::vector<int64_t> shape;
  for (const auto& axis : axes) {
    // A column of one coordinate is no axis.
    if (axis.size() < 2) return {};
    shape.push_back(static_cast<int64_t>(axis.size()));
  }
  int64_t cells = 1;
  for (const int64_t size : shape) cells *= size;
  return shape.empty() || cells < x.size(0) ? std::vector<int64_t>() : shape;
}

GridTable grid_table(const at::Tensor& x, const at::Tensor& y, const at::Tensor& noise) {
  const at::Tensor points = checked_points(x, x.size(1), "X"), values = y.contiguous();
  const int64_t n = points.size(0), d = points.size(1);
  const double* from = points.const_data_ptr<double>();
  const std::string hint = "write --method cg or exact";
  GridTable t;
  t.axes = axes_of(points);
  if (t.axes.empty())
    throw Error(ExitCode::kData,
                "is no grid: " + std::to_string(n) + " rows fill less than a quarter of its cells",
                "X", hint);
  std::vector<int64_t> shape;
  int64_t cells = 1;
  for (const auto& axis : t.axes) {
    shape.push_back(static_cast<int64_t>(axis.size()));
    cells *= shape.back();
  }
  t.y = at::full(shape, std::nan(""), at::kDouble);
  if (noise.defined()) t.noise = at::zeros(shape, at::kDouble);
  std::vector<char> taken(static_cast<size_t>(cells));
  t.holes = cells;
  for (int64_t i = 0; i < n; ++i) {
    int64_t cell = 0;
    for (int64_t k = 0; k < d; ++k) {
      const std::vector<double>& axis = t.axes[static_cast<size_t>(k)];
      cell = cell * shape[static_cast<size_t>(k)] +
             (std::lower_bound(axis.begin(), axis.end(), from[i * d + k]) - axis.begin());
    }
    if (taken[static_cast<size_t>(cell)]) {
      throw Error(ExitCode::kData, "gives a cell of the grid twice, in row " + std::to_string(i),
                  "X", hint);
    }
    taken[static_cast<size_t>(cell)] = 1;
    const double value = values.const_data_ptr<double>()[i];
    t.y.data_ptr<double>()[cell] = value;
    if (noise.defined()) t.noise.data_ptr<double>()[cell] = noise[i].item<double>();
    t.holes -= !std::isnan(value);
    t.cells.push_back(cell);
  }
  return t;
}

bool StructuredProcess::knows(const std::string& method) {
  return method == "kron" || method == "toeplitz" || method == "hsgp" || method == "vecchia";
}

StructuredProcess::StructuredProcess(const std::string& method, const at::Tensor& x,
                                     const at::Tensor& y, const RegressionOptions& o,
                                     const RowNoise& rows)
    : dims_(x.size(1)) {
  if (method == "kron" || method == "toeplitz") {
    GridTable t = grid_table(x, y, rows.variances);
    if (method == "toeplitz") check_equal_steps(t.axes, t.holes);
    cells_ = std::move(t.cells);
    if (method == "toeplitz" && dims_ > 1) {
      process_.emplace<RegularGridProcess>(std::move(t.axes), t.y,
                                           searched_options<RegularGridOptions>(o));
      state_["seed"] = o.seed;
    } else {
      process_.emplace<GridProcess>(std::move(t.axes), t.y, grid_options(o), t.noise);
    }
  } else if (method == "hsgp") {
    HilbertOptions h;
    h.kernel = o.kernel;
    h.mean = o.mean;
    h.fit = o.fit;
    h.seed = o.seed;
    h.search.iterations = o.steps;
    h.search.watch = o.watch;
    process_.emplace<HilbertProcess>(x, y, h, rows);
  } else {
    process_.emplace<VecchiaProcess>(x, y, searched_options<VecchiaOptions>(o), rows);
    state_["seed"] = o.seed;
  }
  complete();
}

StructuredProcess::StructuredProcess(const std::string& method, const at::Tensor& x,
                                     const at::Tensor& y, const std::string& mean,
                                     const json& state, const RowNoise& rows)
    : dims_(x.size(1)) {
  try {
    if (method == "kron" || method == "toeplitz") {
      GridTable t = grid_table(x, y, rows.variances);
      if (method == "toeplitz") check_equal_steps(t.axes, t.holes);
      cells_ = std::move(t.cells);
      if (method == "toeplitz" && dims_ > 1) {
        const auto g = options_of<RegularGridOptions>(mean, state);
        process_.emplace<RegularGridProcess>(std::move(t.axes), t.y, g);
        state_["seed"] = g.seed;
      } else {
        GridOptions g;
        g.mean = mean;
        g.fit = false;
        g.kernels = state.at("kernels").get<std::vector<std::string>>();
        g.noise = state.at("noise").get<double>();
        process_.emplace<GridProcess>(std::move(t.axes), t.y, g, t.noise);
      }
    } else if (method == "hsgp") {
      HilbertOptions h;
      h.kernel = state.at("kernel").get<std::string>();
      h.mean = mean;
      h.fit = false;
      h.boundary = state.at("boundary").get<double>();
      process_.emplace<HilbertProcess>(x, y, h, rows);
    } else {
      const auto v = options_of<VecchiaOptions>(mean, state);
      process_.emplace<VecchiaProcess>(x, y, v, rows);
      state_["seed"] = v.seed;
    }
  } catch (const json::exception& e) {
    throw Error(ExitCode::kData, std::string("is no process: ") + e.what(), "structure");
  }
  complete();
}

void StructuredProcess::complete() {
  const auto search = [this](const auto& from) {
    report_.log_likelihood = from.log_likelihood;
    report_.fitted = from.fitted;
    report_.ending = from.ending;
    report_.gradient_norm = from.gradient_norm;
    report_.iterations = from.iterations;
    report_.evaluations = from.evaluations;
  };
  char line[120];
  if (const auto* grid = std::get_if<GridProcess>(&process_)) {
    const GridReport& g = grid->report();
    search(g);
    for (size_t k = 0; k < g.kernels.size(); ++k) {
      const std::string own = in_column(g.kernels[k], static_cast<int64_t>(k));
      report_.kernel += (k ? "*(" : "(") + own + ")";
    }
    if (g.noise > 0) report_.kernel += " + white(" + digits(g.noise) + ")";
    report_.note = g.toeplitz ? "one axis with equal steps" : "grid of";
    for (size_t k = 0; !g.toeplitz && k < grid->axes().size(); ++k) {
      report_.note += (k ? " x " : " ") + std::to_string(grid->axes()[k].size());
    }
    if (g.holes > 0) report_.note += ", " + std::to_string(g.holes) + " cells without value";
    if (!g.gaps.direct) {
      std::snprintf(line, sizeof line,
                    "; %lld products, relative residual %.2g; likelihood's standard error %.2g",
                    static_cast<long long>(g.gaps.iterations), g.gaps.residual, g.gaps.error);
      report_.note += line;
    }
    state_["kernels"] = g.kernels;
    state_["noise"] = g.noise;
  } else if (const auto* regular = std::get_if<RegularGridProcess>(&process_)) {
    const RegularGridReport& g = regular->report();
    search(g);
    report_.kernel = g.kernel;
    report_.at_bound = g.at_bound;
    report_.note = "grid of";
    for (size_t k = 0; k < regular->axes().size(); ++k)
      report_.note += (k ? " x " : " ") + std::to_string(regular->axes()[k].size());
    std::snprintf(line, sizeof line,
                  " with equal steps; %lld products, relative residual %.2g; likelihood's standard "
                  "error %.2g",
                  static_cast<long long>(g.products), g.residual, g.error);
    report_.note += line;
    state_["kernel"] = g.kernel;
  } else if (const auto* hilbert = std::get_if<HilbertProcess>(&process_)) {
    const HilbertReport& h = hilbert->report();
    search(h);
    report_.kernel = h.kernel;
    report_.at_bound = h.at_bound;
    std::snprintf(line, sizeof line,
                  "%lld functions on %g times the data's range; covariances off by up to %.2g of "
                  "the variance",
                  static_cast<long long>(h.functions), h.boundary, h.kernel_error);
    report_.note = line;
    state_["kernel"] = h.kernel;
    state_["boundary"] = h.boundary;
  } else {
    const VecchiaReport& v = std::get<VecchiaProcess>(process_).report();
    search(v);
    report_.kernel = v.kernel;
    report_.at_bound = v.at_bound;
    report_.note = "each value given the " + std::to_string(v.neighbours) + " nearest before it";
    state_["kernel"] = v.kernel;
  }
}

json StructuredProcess::state() const { return state_; }

KernelObjective StructuredProcess::objective() const {
  if (const auto* vecchia = std::get_if<VecchiaProcess>(&process_)) return vecchia->objective();
  const auto* hilbert = std::get_if<HilbertProcess>(&process_);
  if (!hilbert) return {};
  return [hilbert](const Kernel& kernel, std::vector<double>* gradient) {
    return hilbert->log_likelihood(kernel, gradient);
  };
}

const Kernel& StructuredProcess::kernel() const {
  if (const auto* vecchia = std::get_if<VecchiaProcess>(&process_)) return vecchia->kernel();
  if (const auto* regular = std::get_if<RegularGridProcess>(&process_)) return regular->kernel();
  return std::get<HilbertProcess>(process_).kernel();
}

std::vector<ParameterError> StructuredProcess::grid_errors() const {
  const auto* grid = std::get_if<GridProcess>(&process_);
  return grid ? standard_errors(*grid) : std::vector<ParameterError>();
}

std::pair<at::Tensor, at::Tensor> StructuredProcess::predict(const at::Tensor& points,
                                                             bool noise) const {
  if (const auto* grid = std::get_if<GridProcess>(&process_)) {
    const GridPrediction p = grid->predict(points, noise);
    return {p.mean, p.variance};
  }
  if (const auto* regular = std::get_if<RegularGridProcess>(&process_)) {
    const RegularGridPrediction p = regular->predict(points, noise);
    return {p.mean, p.variance};
  }
  if (const auto* hilbert = std::get_if<HilbertProcess>(&process_)) {
    const HilbertPrediction p = hilbert->predict(points, noise);
    return {p.mean, p.variance};
  }
  const VecchiaPrediction p = std::get<VecchiaProcess>(process_).predict(points, noise);
  return {p.mean, p.variance};
}

std::pair<at::Tensor, at::Tensor> StructuredProcess::leave_one_out() const {
  const at::Tensor cells = at::tensor(cells_, at::kLong);
  if (const auto* grid = std::get_if<GridProcess>(&process_)) {
    const GridPrediction p = grid->leave_one_out();
    return {p.mean.index_select(0, cells), p.variance.index_select(0, cells)};
  }
  if (const auto* regular = std::get_if<RegularGridProcess>(&process_)) {
    const RegularGridPrediction p = regular->leave_one_out();
    return {p.mean.index_select(0, cells), p.variance.index_select(0, cells)};
  }
  if (const auto* hilbert = std::get_if<HilbertProcess>(&process_)) {
    const HilbertPrediction p = hilbert->leave_one_out();
    return {p.mean, p.variance};
  }
  const VecchiaPrediction p = std::get<VecchiaProcess>(process_).leave_one_out();
  return {p.mean, p.variance};
}

}  // namespace covary::stat
