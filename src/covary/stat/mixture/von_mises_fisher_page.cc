#include "covary/stat/mixture/von_mises_fisher_page.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <ATen/ATen.h>

#include "covary/core/base/machine.h"
#include "covary/core/data/page.h"

namespace covary::mixture {
namespace {

using data::Chart;

constexpr int64_t kMostDots = 4000, kMostRows = 64;
constexpr double kAspect = static_cast<double>(Chart::kWidth) / Chart::kHeight;

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", v);
  return text;
}

std::vector<double> vector_of(const at::Tensor& t) {
  const at::Tensor c = t.to(at::kDouble).contiguous();
  return {c.data_ptr<double>(), c.data_ptr<double>() + c.numel()};
}

at::Tensor evenly(const at::Tensor& x, int64_t most) {
  const int64_t n = x.size(0);
  if (n <= most) return x;
  return x.index_select(0, at::arange(most, at::kLong) * n / most);
}

std::string name_of(const VonMisesFisherPage& page, int64_t column) {
  return column < static_cast<int64_t>(page.names.size()) ? page.names[static_cast<size_t>(column)]
                                                          : "x" + std::to_string(column);
}

std::string circle_picture(const VonMisesFisherPage& page, const at::Tensor& rows) {
  const VonMisesFisherMixture& model = page.model;
  constexpr int64_t kBins = 72, kPoints = 720;
  const at::Tensor angle = at::arange(kPoints + 1, at::kDouble) * (2 * M_PI / kPoints);
  const at::Tensor unit = at::stack({angle.cos(), angle.sin()}, 1);
  const std::vector<double> density = vector_of(model.score_samples(unit).exp());
  std::vector<double> heights(kBins, 0.0);
  double most = *std::max_element(density.begin(), density.end());
  if (rows.defined()) {
    const double each = kBins / (2 * M_PI * static_cast<double>(rows.size(0)));
    for (const double a : vector_of(at::atan2(rows.select(1, 1), rows.select(1, 0)))) {
      const double turn = a / (2 * M_PI);
      const auto bin = static_cast<int64_t>((turn - std::floor(turn)) * kBins);
      heights[static_cast<size_t>(std::min(bin, kBins - 1))] += each;
    }
    most = std::max(most, *std::max_element(heights.begin(), heights.end()));
  }
  Chart chart({-2.1 * kAspect, 2.1 * kAspect}, {-2.1, 2.1}, name_of(page, 0), name_of(page, 1));
  const auto around = [&](const auto& radius, int64_t steps, int64_t colour, const char* label) {
    std::vector<double> x, y;
    for (int64_t i = 0; i <= steps; ++i) {
      const double a = 2 * M_PI * static_cast<double>(i) / static_cast<double>(steps);
      x.push_back(radius(i) * std::cos(a));
      y.push_back(radius(i) * std::sin(a));
    }
    chart.line(x, y, colour, label);
  };
  around([](int64_t) { return 1.0; }, kPoints, 7, "");
  if (rows.defined()) {
    constexpr int64_t kFine = 10 * kBins;
    around([&](int64_t i) { return 1 + heights[static_cast<size_t>(i / 10 % kBins)] / most; },
           kFine, 1, "rows");
  }
  around([&](int64_t i) { return 1 + density[static_cast<size_t>(i)] / most; }, kPoints, 0,
         "density");
  for (int64_t j = 0; j < model.components(); ++j) {
    const std::vector<double> mean = vector_of(model.parts()[static_cast<size_t>(j)].mean);
    chart.line({0, mean[0]}, {0, mean[1]}, j + 2);
  }
  return chart.card(
      "Rows around the circle and the density, outwards from it; means from the centre");
}

// A point of the sphere on the left (north) or right disc.
struct Projected {
  double x, y;
  bool north;
};
Projected project(const double* p) {
  const bool north = p[2] >= 0;
  const double across = std::hypot(p[0], p[1]);
  const double r = across > 0 ? std::sqrt(std::max(0.0, 1 - std::fabs(p[2]))) / across : 0;
  return {(north ? -1.1 : 1.1) + r * p[0], r * p[1], north};
}

std::string sphere_picture(const VonMisesFisherPage& page, const at::Tensor& rows) {
  const VonMisesFisherMixture& model = page.model;
  Chart chart({-2.25, 2.25}, {-2.25 / kAspect, 2.25 / kAspect},
              name_of(page, 2) + " >= 0 (left), < 0 (right)", "");
  for (const double centre : {-1.1, 1.1}) {
    std::vector<double> x, y;
    for (int i = 0; i <= 180; ++i) {
      x.push_back(centre + std::cos(M_PI * i / 90));
      y.push_back(std::sin(M_PI * i / 90));
    }
    chart.line(x, y, 7);
  }
  if (rows.defined()) {
    const at::Tensor some = evenly(rows, kMostDots), own = model.predict(some);
    std::vector<double> x, y;
    std::vector<int64_t> labels;
    for (int64_t i = 0; i < some.size(0); ++i) {
      const Projected p = project(some.data_ptr<double>() + 3 * i);
      x.push_back(p.x);
      y.push_back(p.y);
      labels.push_back(own.data_ptr<int64_t>()[i]);
    }
    chart.dots(x, y, labels);
  }
  for (int64_t j = 0; j < model.components(); ++j) {
    const VonMisesFisher& part = model.parts()[static_cast<size_t>(j)];
    const std::vector<double> m = vector_of(part.mean);
    // Half of the mass has mean . x >= w.
    const double w =
        part.kappa > 0 ? 1 + std::log(0.5 * (1 + std::exp(-2 * part.kappa))) / part.kappa : 0;
    // Two directions across.
    const int least = std::fabs(m[0]) < std::fabs(m[1])
                          ? (std::fabs(m[0]) < std::fabs(m[2]) ? 0 : 2)
                          : (std::fabs(m[1]) < std::fabs(m[2]) ? 1 : 2);
    std::array<double, 3> u{}, v{};
    u[static_cast<size_t>(least)] = 1;
    const double along = m[static_cast<size_t>(least)];
    for (size_t i = 0; i < 3; ++i) u[i] -= along * m[i];
    const double length = std::hypot(u[0], u[1], u[2]);
    for (double& a : u) a /= length;
    v = {m[1] * u[2] - m[2] * u[1], m[2] * u[0] - m[0] * u[2], m[0] * u[1] - m[1] * u[0]};
    std::vector<double> x, y;
    bool north = false;
    const auto draw = [&] {
      if (x.size() > 1) chart.line(x, y, j);
      x.clear();
      y.clear();
    };
    const double s = std::sqrt(std::max(0.0, 1 - w * w));
    for (int i = 0; i <= 180; ++i) {
      std::array<double, 3> at{};
      for (size_t c = 0; c < 3; ++c)
        at[c] = w * m[c] + s * (std::cos(M_PI * i / 90) * u[c] + std::sin(M_PI * i / 90) * v[c]);
      const Projected p = project(at.data());
      if (!x.empty() && p.north != north) draw();
      north = p.north;
      x.push_back(p.x);
      y.push_back(p.y);
    }
    draw();
  }
  return chart.card("Both hemispheres, of equal area; the circles hold half of a component");
}

// Heights over bins of equal width: shares of the values.
std::vector<double> shares(const std::vector<double>& values, const std::vector<double>& edges) {
  std::vector<double> out(edges.size() - 1, 0.0);
  const double low = edges.front(), width = edges[1] - edges[0];
  for (const double v : values) {
    const auto bin = static_cast<int64_t>((v - low) / width);
    out[static_cast<size_t>(std::clamp<int64_t>(bin, 0, static_cast<int64_t>(out.size()) - 1))] +=
        1 / static_cast<double>(values.size());
  }
  return out;
}

std::string similarity_picture(const VonMisesFisherMixture& model, const at::Tensor& rows) {
  const at::Tensor some = evenly(rows, kMostDots).contiguous(), own = model.predict(some);
  const at::Tensor all = cosines(some, model.means());
  const at::Tensor near = all.gather(1, own.unsqueeze(1)).squeeze(1);
  std::vector<double> to_own = vector_of(near), to_other;
  const int64_t n = all.size(0), k = all.size(1);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < k; ++j) {
      if (j != own.data_ptr<int64_t>()[i]) to_other.push_back(all.data_ptr<double>()[i * k + j]);
    }
  }
  std::vector<double> reach = to_own;
  reach.insert(reach.end(), to_other.begin(), to_other.end());
  const Chart::Range range = data::range_of(reach);
  constexpr int kBins = 60;
  std::vector<double> edges, middle;
  for (int i = 0; i <= kBins; ++i) edges.push_back(range[0] + (range[1] - range[0]) * i / kBins);
  for (int i = 0; i < kBins; ++i) middle.push_back(0.5 * (edges[i] + edges[i + 1]));
  const std::vector<double> own_share = shares(to_own, edges);
  double most = *std::max_element(own_share.begin(), own_share.end());
  std::vector<double> other_share;
  if (!to_other.empty()) {
    other_share = shares(to_other, edges);
    most = std::max(most, *std::max_element(other_share.begin(), other_share.end()));
  }
  Chart chart(range, {0, 1.06 * most}, "cosine of a row and a mean", "share of rows");
  chart.bars(edges, own_share);
  if (!other_share.empty()) chart.line(middle, other_share, 1, "to the other means");
  return chart.card("Similarity of rows to their own mean");
}

std::string bar_picture(const std::vector<double>& values, const std::string& name) {
  std::vector<double> edges;
  for (size_t i = 0; i <= values.size(); ++i) edges.push_back(static_cast<double>(i) - 0.5);
  const double most = std::max(*std::max_element(values.begin(), values.end()), 1e-300);
  Chart chart({edges.front(), edges.back()}, {0, 1.06 * most}, "component", name);
  chart.bars(edges, values);
  return chart.card(name + " of each component");
}

std::string components_table(const VonMisesFisherPage& page) {
  const VonMisesFisherMixture& m = page.model;
  const int64_t d = m.columns(), shown = std::min<int64_t>(d, 8);
  std::vector<std::string> head = {"Component", "Weight", "Kappa", "Mean resultant length"};
  for (int64_t j = 0; j < shown; ++j) head.push_back(data::escaped(name_of(page, j)));
  std::vector<std::vector<std::string>> rows;
  const at::Tensor w = m.weights();
  for (int64_t c = 0; c < std::min(m.components(), kMostRows); ++c) {
    const VonMisesFisher& part = m.parts()[static_cast<size_t>(c)];
    std::vector<std::string> row = {std::to_string(c), number(w[c].item<double>()),
                                    number(part.kappa), number(resultant_length(d, part.kappa))};
    for (int64_t j = 0; j < shown; ++j) row.push_back(number(part.mean[j].item<double>()));
    rows.push_back(row);
  }
  std::string out = "<h2>Components</h2>" + data::html_table(head, rows);
  if (m.components() > kMostRows || d > shown)
    out += "<p class=\"sub\">The first " + std::to_string(rows.size()) + " of " +
           std::to_string(m.components()) + " components, and " + std::to_string(shown) + " of " +
           std::to_string(d) + " columns of their means.</p>";
  return out;
}

}  // namespace

std::string von_mises_fisher_page(const VonMisesFisherPage& page) {
  const VonMisesFisherMixture& m = page.model;
  const int64_t d = m.columns();
  const at::Tensor rows =
      page.x.defined() ? unit_rows(page.x, m.options().normalise) : at::Tensor();
  std::vector<std::pair<std::string, std::string>> tiles = {
      {std::to_string(m.components()), "directions"}, {std::to_string(d), "columns"}};
  if (rows.defined()) {
    tiles.push_back({std::to_string(rows.size(0)), "rows"});
    tiles.push_back({number(m.score(rows)), "mean log-density on the sphere, nats a row"});
  }
  std::string body = data::tiles(tiles) + "<h2>Fit</h2>";
  if (d == 2) body += circle_picture(page, rows);
  if (d == 3) body += sphere_picture(page, rows);
  if (d > 3) {
    body +=
        bar_picture(vector_of(m.kappas()), "Kappa") + bar_picture(vector_of(m.weights()), "Weight");
    if (rows.defined()) body += similarity_picture(m, rows);
  }
  body += components_table(page);
  if (page.trace.size() > 1) {
    std::vector<double> steps;
    for (size_t i = 0; i < page.trace.size(); ++i) steps.push_back(static_cast<double>(i));
    Chart chart(data::range_of(steps), data::range_of(page.trace), "steps", "");
    chart.line(steps, page.trace, 0);
    chart.dots(steps, page.trace, {0}, steps.size() > 60 ? 1.0 : 2.5);
    body += "<h2>Convergence</h2>" + chart.card("Mean objective, nats a row");
  }
  return data::page(page.title, "Covary " + data::escaped(std::string(version())), body);
}

}  // namespace covary::mixture
