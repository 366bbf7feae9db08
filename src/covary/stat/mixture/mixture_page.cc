#include "covary/stat/mixture/mixture_page.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <ATen/ATen.h>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/core/base/machine.h"
#include "covary/core/data/page.h"

namespace covary::mixture {
namespace {

using data::Chart;
using data::escaped;
using data::fixed_number;
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr int64_t kMostDots = 4000;
constexpr int64_t kMostRows = 64;  // of the table of components

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", v);
  return text;
}

std::string version_line() { return "Covary " + escaped(std::string(version())); }

std::string name_of(const std::vector<std::string>& names, int64_t column) {
  return column < static_cast<int64_t>(names.size()) ? names[static_cast<size_t>(column)]
                                                     : "x" + std::to_string(column);
}

std::vector<double> column_of(const at::Tensor& x, int64_t column) {
  const at::Tensor c = x.select(1, column).contiguous();
  return {c.data_ptr<double>(), c.data_ptr<double>() + c.numel()};
}

at::Tensor evenly(const at::Tensor& x, int64_t most) {
  const int64_t n = x.size(0);
  if (n <= most) return x;
  return x.index_select(0, at::arange(most, at::kLong) * n / most);
}

// Of every component, [d,d].
std::vector<Matrix> covariances_of(const GaussianMixture& m) {
  const at::Tensor all = m.full_covariances();
  const int64_t d = m.columns();
  std::vector<Matrix> out;
  for (int64_t c = 0; c < m.components(); ++c)
    out.emplace_back(Eigen::Map<const Matrix>(all.data_ptr<double>() + c * d * d, d, d));
  return out;
}

// Two axes to look along: v = axes (x - centre).
struct View {
  Eigen::Matrix<double, 2, Eigen::Dynamic> axes;
  Eigen::VectorXd centre;
  std::array<std::string, 2> names;
};

View view_of(const MixturePage& page) {
  const int64_t d = page.model.columns();
  View v;
  v.axes.setZero(2, d);
  v.centre.setZero(d);
  std::array<int64_t, 2> columns = {0, 1};
  for (size_t i = 0; i < page.shown.size() && i < 2; ++i) {
    const auto found = std::find(page.names.begin(), page.names.end(), page.shown[i]);
    if (found == page.names.end())
      throw Error(ExitCode::kUsage, "the model has no column '" + page.shown[i] + "'",
                  "plot_columns", "name two of the model's columns");
    columns[i] = found - page.names.begin();
  }
  if (d == 2 || !page.shown.empty()) {
    for (size_t i = 0; i < 2; ++i) {
      v.axes(static_cast<Eigen::Index>(i), columns[i]) = 1;
      v.names[i] = name_of(page.names, columns[i]);
    }
    return v;
  }
  // The mixture's own mean and covariance stand for the data's.
  const at::Tensor w = page.model.weights(), means = page.model.means();
  const Eigen::Map<const Matrix> mean(means.data_ptr<double>(), page.model.components(), d);
  Matrix all = Matrix::Zero(d, d);
  for (int64_t c = 0; c < page.model.components(); ++c)
    v.centre += w.data_ptr<double>()[c] * mean.row(c).transpose();
  const std::vector<Matrix> covariances = covariances_of(page.model);
  for (int64_t c = 0; c < page.model.components(); ++c) {
    const Eigen::VectorXd apart = mean.row(c).transpose() - v.centre;
    all +=
        w.data_ptr<double>()[c] * (covariances[static_cast<size_t>(c)] + apart * apart.transpose());
  }
  const Eigen::VectorXd scale = all.diagonal().cwiseSqrt().cwiseInverse();
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(scale.asDiagonal() * all * scale.asDiagonal());
  for (int64_t i = 0; i < 2; ++i) {
    Eigen::VectorXd axis = eigen.eigenvectors().col(d - 1 - i);
    Eigen::Index largest = 0;
    axis.cwiseAbs().maxCoeff(&largest);
    if (axis(largest) < 0) axis = -axis;
    v.axes.row(i) = axis.cwiseProduct(scale).transpose();
    v.names[static_cast<size_t>(i)] =
        "principal axis " + std::to_string(i + 1) + " (" +
        fixed_number(100 * eigen.eigenvalues()(d - 1 - i) / static_cast<double>(d), 0) +
        "% of the scaled variance, most of it " + name_of(page.names, largest) + ")";
  }
  return v;
}

// Bars of a density: as many as the values tell apart.
std::pair<std::vector<double>, std::vector<double>> histogram(const std::vector<double>& values,
                                                              Chart::Range range) {
  double n = 0;
  for (const double v : values) n += std::isfinite(v);
  return data::histogram(values, range,
                         std::clamp<int64_t>(static_cast<int64_t>(4 * std::cbrt(n)), 10, 80));
}

std::vector<double> grid(Chart::Range range, int64_t points) {
  std::vector<double> out;
  for (int64_t i = 0; i < points; ++i)
    out.push_back(range[0] +
                  (range[1] - range[0]) * static_cast<double>(i) / static_cast<double>(points - 1));
  return out;
}

std::vector<double> exp_of(const at::Tensor& log_density) {
  const at::Tensor p = log_density.exp().contiguous();
  return {p.data_ptr<double>(), p.data_ptr<double>() + p.numel()};
}

std::string line_picture(const MixturePage& page) {
  const at::Tensor means = page.model.means();
  std::vector<double> reach;
  const double* mean = means.data_ptr<double>();
  const std::vector<Matrix> covariances = covariances_of(page.model);
  for (int64_t c = 0; c < page.model.components(); ++c) {
    const double sd = std::sqrt(covariances[static_cast<size_t>(c)](0, 0));
    reach.push_back(mean[c] - 3 * sd);
    reach.push_back(mean[c] + 3 * sd);
  }
  std::vector<double> rows;
  if (page.x.defined()) rows = column_of(page.x, 0);
  reach.insert(reach.end(), rows.begin(), rows.end());
  const Chart::Range range = data::range_of(reach);
  const std::vector<double> at_x = grid(range, 400);
  const std::vector<double> density =
      exp_of(page.model.score_samples(at::tensor(at_x, at::kDouble).view({-1, 1})));
  const auto [edges, heights] = histogram(rows, range);
  const double most = std::max(*std::max_element(density.begin(), density.end()),
                               *std::max_element(heights.begin(), heights.end()));
  Chart chart(range, {0, 1.06 * most}, name_of(page.names, 0), "density");
  chart.bars(edges, heights);
  chart.line(at_x, density, 0, "mixture");
  const at::Tensor w = page.model.weights();
  for (int64_t c = 0; c < page.model.components() && page.model.components() > 1; ++c) {
    const double s = covariances[static_cast<size_t>(c)](0, 0);
    std::vector<double> part;
    for (const double v : at_x)
      part.push_back(w.data_ptr<double>()[c] * std::exp(-0.5 * (v - mean[c]) * (v - mean[c]) / s) /
                     std::sqrt(2 * M_PI * s));
    chart.line(at_x, part, c + 1, "component " + std::to_string(c));
  }
  return chart.card("Density");
}

constexpr int64_t kMapRows = Chart::kHeight / 4, kMapColumns = Chart::kWidth / 4;  // whole pixels

// Rows for a map of a density: `others` [d] with the two columns at the middles of the chart's cells.
at::Tensor map_rows(const at::Tensor& others, const std::array<int64_t, 2>& columns, Chart::Range x,
                    Chart::Range y) {
  at::Tensor q = others.view({1, -1}).repeat({kMapRows * kMapColumns, 1});
  const auto middle = [](Chart::Range range, int64_t i, int64_t count) {
    return range[0] +
           (range[1] - range[0]) * (static_cast<double>(i) + 0.5) / static_cast<double>(count);
  };
  for (int64_t i = 0; i < kMapRows; ++i) {
    for (int64_t j = 0; j < kMapColumns; ++j) {
      double* row = q.data_ptr<double>() + (i * kMapColumns + j) * q.size(1);
      row[columns[0]] = middle(x, j, kMapColumns);
      row[columns[1]] = middle(y, i, kMapRows);
    }
  }
  return q;
}

std::string plane_picture(const MixturePage& page) {
  const View view = view_of(page);
  const int64_t d = page.model.columns();
  const at::Tensor means = page.model.means();
  const Eigen::Map<const Matrix> mean(means.data_ptr<double>(), page.model.components(), d);
  std::vector<std::array<double, 2>> centres;
  std::vector<std::array<double, 3>> spreads;
  std::vector<double> reach_x, reach_y;
  const std::vector<Matrix> covariances = covariances_of(page.model);
  for (int64_t c = 0; c < page.model.components(); ++c) {
    const Eigen::Vector2d at = view.axes * (mean.row(c).transpose() - view.centre);
    const Eigen::Matrix2d s =
        view.axes * covariances[static_cast<size_t>(c)] * view.axes.transpose();
    centres.push_back({at(0), at(1)});
    spreads.push_back({s(0, 0), s(0, 1), s(1, 1)});
    for (const double radius : {-2.1, 2.1}) {
      reach_x.push_back(at(0) + radius * std::sqrt(s(0, 0)));
      reach_y.push_back(at(1) + radius * std::sqrt(s(1, 1)));
    }
  }
  std::vector<double> x, y;
  std::vector<int64_t> labels;
  if (page.x.defined()) {
    const at::Tensor rows = evenly(page.x, kMostDots);
    const at::Tensor own = page.model.predict(rows);
    for (int64_t i = 0; i < rows.size(0); ++i) {
      const Eigen::Map<const Eigen::VectorXd> row(rows.data_ptr<double>() + i * d, d);
      const Eigen::Vector2d at = view.axes * (row - view.centre);  // NaN where an entry is missing
      x.push_back(at(0));
      y.push_back(at(1));
      labels.push_back(own.data_ptr<int64_t>()[i]);
    }
  }
  reach_x.insert(reach_x.end(), x.begin(), x.end());
  reach_y.insert(reach_y.end(), y.begin(), y.end());
  const Chart::Range range_x = data::range_of(reach_x), range_y = data::range_of(reach_y);
  Chart chart(range_x, range_y, view.names[0], view.names[1]);
  chart.dots(x, y, labels);
  for (size_t c = 0; c < centres.size(); ++c)
    chart.ellipse(centres[c], spreads[c], static_cast<int64_t>(c));
  std::string regions;
  if (d == 2 && view.axes(0, 0) != view.axes(1, 0)) {  // not one column twice
    Chart contours(range_x, range_y, view.names[0], view.names[1]);
    const bool swapped = view.axes(0, 0) == 0;
    const std::vector<double> density = exp_of(page.model.score_samples(map_rows(
        at::zeros({2}, at::kDouble), {swapped ? 1 : 0, swapped ? 0 : 1}, range_x, range_y)));
    contours.heat(density, kMapRows, kMapColumns);
    contours.dots(x, y, {6}, 1.3);
    contours.regions(density, kMapRows, kMapColumns);
    regions = contours.card("Density, darker is more, and its regions of highest density");
  }
  const bool all = !page.x.defined() || page.x.size(0) <= kMostDots;
  return chart.card("Components at one and two standard deviations" +
                    std::string(x.empty() ? "" : ", rows coloured by component") +
                    (all ? "" : " (4,000 of the rows)")) +
         regions;
}

std::string components_table(const MixturePage& page) {
  const int64_t d = page.model.columns(), k = page.model.components();
  const int64_t shown = std::min<int64_t>(d, 12);
  const at::Tensor w = page.model.weights(), means = page.model.means();
  std::vector<std::string> head = {"Component", "Weight"};
  for (int64_t j = 0; j < shown; ++j) head.push_back(escaped(name_of(page.names, j)));
  std::vector<std::vector<std::string>> rows;
  const std::vector<Matrix> covariances = covariances_of(page.model);
  for (int64_t c = 0; c < std::min(k, kMostRows); ++c) {
    const Matrix& s = covariances[static_cast<size_t>(c)];
    std::vector<std::string> row = {std::to_string(c), number(w.data_ptr<double>()[c])};
    for (int64_t j = 0; j < shown; ++j)
      row.push_back(number(means.data_ptr<double>()[c * d + j]) + " ± " +
                    number(std::sqrt(s(j, j))));
    rows.push_back(row);
  }
  std::string out = "<h2>Components, mean ± standard deviation</h2>" + data::html_table(head, rows);
  if (k > kMostRows || d > shown)
    out += "<p class=\"sub\">The first " + std::to_string(rows.size()) + " of " +
           std::to_string(k) + " components, and " + std::to_string(shown) + " of " +
           std::to_string(d) + " columns.</p>";
  return out;
}

double value_of(const Criteria& c, const std::string& name) {
  return name == "aic" ? c.aic : name == "icl" ? c.icl : c.bic;
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string selection_part(const MixturePage& page) {
  std::vector<std::vector<std::string>> rows;
  std::map<std::string, std::pair<std::vector<double>, std::vector<double>>> curves;
  std::vector<double> k, value;
  for (const Selection::Row& fit : page.fits) {
    const FitReport& r = fit.report;
    rows.push_back({std::to_string(fit.components), fit.covariance,
                    fixed_number(r.log_likelihood, 3), fixed_number(r.parameters, 0),
                    fixed_number(r.criteria.bic, 2), fixed_number(r.criteria.aic, 2),
                    fixed_number(r.criteria.icl, 2), std::to_string(r.trace.floored)});
    auto& [x, y] = curves[fit.covariance];
    x.push_back(static_cast<double>(fit.components));
    y.push_back(value_of(r.criteria, page.criterion));
    k.push_back(x.back());
    value.push_back(y.back());
  }
  const std::string name = upper(page.criterion);
  Chart chart(data::range_of(k), data::range_of(value), "components", name);
  int64_t colour = 0;
  for (const auto& [covariance, curve] : curves) {
    chart.line(curve.first, curve.second, colour, covariance);
    chart.dots(curve.first, curve.second, {colour++}, 3.5);
  }
  return "<h2>Choice by " + name + ", smaller is better</h2>" + chart.card(name + " of every fit") +
         data::html_table({"Components", "Covariance", "Log-likelihood", "Parameters", "BIC", "AIC",
                           "ICL", "Covariances at the floor"},
                          rows, page.best);
}

}  // namespace

std::string mixture_page(const MixturePage& page) {
  const int64_t d = page.model.columns();
  std::vector<std::pair<std::string, std::string>> tiles = {
      {std::to_string(page.model.components()), "components"},
      {escaped(page.model.options().covariance), "covariances"},
      {std::to_string(d), "columns"}};
  if (page.x.defined()) tiles.push_back({std::to_string(page.x.size(0)), "rows"});
  if (page.x.defined())
    tiles.push_back({number(page.model.score(page.x)), "mean log-density, nats a row"});
  if (page.best >= 0)
    tiles.push_back(
        {fixed_number(
             value_of(page.fits[static_cast<size_t>(page.best)].report.criteria, page.criterion),
             2),
         upper(page.criterion)});
  std::string body = data::tiles(tiles) + "<h2>Fit</h2>" +
                     (d == 1 ? line_picture(page) : plane_picture(page)) + components_table(page);
  if (page.trace.size() > 1) {
    std::vector<double> steps;
    for (size_t i = 0; i < page.trace.size(); ++i) steps.push_back(static_cast<double>(i));
    Chart chart(data::range_of(steps), data::range_of(page.trace), "steps", "");
    chart.line(steps, page.trace, 0);
    chart.dots(steps, page.trace, {0}, steps.size() > 60 ? 1.0 : 2.5);
    body += "<h2>Convergence</h2>" + chart.card(page.trace_name);
  }
  if (page.fits.size() > 1) body += selection_part(page);
  return data::page(page.title, version_line(), body);
}

std::string density_page(const std::string& title, const KernelDensity& kde,
                         const std::vector<std::string>& names) {
  const int64_t d = kde.columns();
  const at::Tensor& x = kde.points();
  const at::Tensor h = kde.widths();
  std::string widths;
  for (int64_t j = 0; j < std::min<int64_t>(d, 6); ++j)
    widths += (j ? ", " : "") + number(h.data_ptr<double>()[j]);
  if (d > 6) widths += ", ...";
  const KernelDensityOptions& o = kde.options();
  std::string body = data::tiles({{std::to_string(kde.rows()), "points"},
                                  {std::to_string(d), "columns"},
                                  {escaped(o.kernel), "kernel"},
                                  {widths, "widths, by " + escaped(o.bandwidth)}});
  std::vector<Chart::Range> ranges;
  for (int64_t j = 0; j < std::min<int64_t>(d, 2); ++j) {
    std::vector<double> reach = column_of(x, j);
    const auto [low, high] = std::minmax_element(reach.begin(), reach.end());
    const double room = 3 * h.data_ptr<double>()[j], a = *low - room, b = *high + room;
    ranges.push_back(data::range_of({a, b}, 0.0));
  }
  if (d == 1) {
    const std::vector<double> at_x = grid(ranges[0], 600);
    const std::vector<double> density =
        exp_of(kde.score_samples(at::tensor(at_x, at::kDouble).view({-1, 1})));
    const auto [edges, heights] = histogram(column_of(x, 0), ranges[0]);
    const double most = std::max(*std::max_element(density.begin(), density.end()),
                                 *std::max_element(heights.begin(), heights.end()));
    Chart chart(ranges[0], {0, 1.06 * most}, name_of(names, 0), "density");
    chart.bars(edges, heights);
    chart.line(at_x, density, 0, "density");
    body += "<h2>Density</h2>" + chart.card("Density over a histogram of the points");
  } else {
    Chart chart(ranges[0], ranges[1], name_of(names, 0), name_of(names, 1));
    const std::vector<double> density =
        exp_of(kde.score_samples(map_rows(x.mean(0), {0, 1}, ranges[0], ranges[1])));
    chart.heat(density, kMapRows, kMapColumns);
    const at::Tensor rows = evenly(x, 1000);
    chart.dots(column_of(rows, 0), column_of(rows, 1), {6}, 1.3);
    // A slice does not hold the mass of its levels.
    if (d == 2) chart.regions(density, kMapRows, kMapColumns);
    body += "<h2>Density</h2>" +
            chart.card(d == 2 ? "Density, darker is more, its regions of highest density, and the "
                                "points"
                              : "A slice: all other columns at their means; and the points");
  }
  for (const std::string& note : kde.notes()) body += "<p class=\"sub\">" + escaped(note) + "</p>";
  return data::page(title, version_line(), body);
}

}  // namespace covary::mixture
