#include "covary/stat/process/optimizer_page.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "covary/core/base/machine.h"
#include "covary/core/data/page.h"

namespace covary::stat {
namespace {

// A best changes at an evaluation, not on the way to it.
void draw_stairs(data::Chart* chart, const std::vector<double>& at,
                 const std::vector<double>& values, const std::string& name) {
  std::vector<double> x, y;
  for (size_t i = 0; i < at.size(); ++i) {
    if (!y.empty()) {
      x.push_back(at[i]);
      y.push_back(y.back());
    }
    x.push_back(at[i]);
    y.push_back(values[i]);
  }
  chart->line(x, y, 0, name);
}

using data::Chart;
using data::escaped;

constexpr size_t kRows = 10;        // of the table of the best
constexpr size_t kParameters = 12;  // that are drawn

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", v);
  return text;
}

// Shortest digits that read back to the same double; empty for NaN.
std::string exact(double v) {
  if (std::isnan(v)) return "";
  char text[40];
  return {text, std::to_chars(text, text + sizeof text, v).ptr};
}

std::string field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string header(const SearchSpace& space) {
  std::string out;
  for (const SearchParameter& p : space.parameters())
    out += (out.empty() ? "" : ",") + field(p.name);
  return out;
}

std::string row_text(const SearchSpace& space, const std::vector<double>& row) {
  std::string out;
  for (int64_t i = 0; i < space.size(); ++i)
    out += (i ? "," : "") + field(space.text_of(i, row[static_cast<size_t>(i)]));
  return out;
}

}  // namespace

std::string rows_csv(const SearchSpace& space, const std::vector<std::vector<double>>& rows) {
  std::string out = header(space) + "\n";
  for (const std::vector<double>& row : rows) out += row_text(space, row) + "\n";
  return out;
}

std::string evaluations_csv(const Optimizer& o) {
  std::string out = header(o.space());
  for (const std::string& name : o.goal().names()) out += "," + field(name);
  out += ",best\n";
  const std::vector<double> trace = o.trace();
  for (size_t i = 0; i < trace.size(); ++i) {
    const Evaluation& e = o.evaluations()[i];
    out += row_text(o.space(), e.row);
    for (const double v : e.values) out += "," + exact(v);
    out += "," + exact(trace[i]) + "\n";
  }
  return out;
}

std::string optimizer_page(const OptimizerPage& page) {
  const Optimizer& o = page.optimizer;
  const std::vector<Evaluation>& all = o.evaluations();
  const std::vector<double> trace = o.trace();
  std::vector<double> at(all.size()), values, finite;
  std::vector<int64_t> colours;
  int64_t failed = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    at[i] = static_cast<double>(i + 1);
    values.push_back(all[i].values[0]);
    failed += std::isnan(values[i]);
    if (!std::isnan(values[i])) finite.push_back(values[i]);
    // Rows past a limit stand out.
    bool holds = true;
    for (size_t k = 0; k < o.goal().limits.size(); ++k)
      holds = holds && all[i].values[o.goal().objectives.size() + k] <= o.goal().limits[k].upper;
    colours.push_back(holds ? 1 : 2);
  }
  const auto best = o.best();
  const bool several = o.goal().several();
  const std::vector<size_t> front = several ? o.front() : std::vector<size_t>{};
  const std::string name = o.goal().objectives[0].name;
  std::vector<std::pair<std::string, std::string>> tiles = {
      several
          ? std::pair<std::string, std::string>{std::to_string(front.size()), "rows on the front"}
          : std::pair<std::string, std::string>{best ? number(best->values[0]) : "none",
                                                "best " + escaped(name)},
      {std::to_string(all.size()), "evaluations"}};
  if (failed > 0) tiles.push_back({std::to_string(failed), "failed"});
  if (!o.pending().empty()) tiles.push_back({std::to_string(o.pending().size()), "pending"});
  if (best && page.known)
    tiles.push_back({number(std::abs(best->values[0] - *page.known)), "from the optimum"});
  std::string body = data::tiles(tiles) + "<h2>Convergence</h2>";
  if (!finite.empty() && several) {
    std::vector<double> second, on_first, on_second;
    for (const Evaluation& e : all) second.push_back(e.values[1]);
    for (const size_t i : front) {
      on_first.push_back(values[i]);
      on_second.push_back(second[i]);
    }
    Chart pairs(data::range_of(values), data::range_of(second), name, o.goal().objectives[1].name);
    pairs.dots(values, second, colours, 2);
    pairs.dots(on_first, on_second, std::vector<int64_t>(front.size(), 0), 3.5);
    body += pairs.card("The first two objectives; large: rows that no other dominates");
    Chart volume({0.5, static_cast<double>(all.size()) + 0.5}, data::range_of(trace), "evaluation",
                 "volume");
    draw_stairs(&volume, at, trace, "between front and reference");
    body += volume.card("Hypervolume");
  } else if (!finite.empty()) {
    Chart chart({0.5, static_cast<double>(all.size()) + 0.5}, data::range_of(finite), "evaluation",
                name);
    chart.dots(at, values, colours, all.size() > 300 ? 1.5 : 2.5);
    draw_stairs(&chart, at, trace, "best so far");
    body += chart.card("Values and the best of them");
    if (page.known) {
      std::vector<double> regret, where;
      for (size_t i = 0; i < trace.size(); ++i) {
        if (std::isnan(trace[i])) continue;
        where.push_back(at[i]);
        regret.push_back(std::log10(std::max(std::abs(trace[i] - *page.known), 1e-16)));
      }
      Chart distance({0.5, static_cast<double>(all.size()) + 0.5}, data::range_of(regret),
                     "evaluation", "log10 of the distance");
      draw_stairs(&distance, where, regret, "distance to the optimum");
      body += distance.card("Distance of the best so far to the optimum");
    }
  }
  std::vector<size_t> order;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!std::isnan(all[i].values[0]) && colours[i] == 1) order.push_back(i);
  }
  const double sign = -o.goal().objectives[0].sign();
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return sign * values[a] < sign * values[b]; });
  if (!order.empty()) {
    std::vector<std::string> head = {"Evaluation"};
    for (const std::string& name : o.goal().names()) head.push_back(escaped(name));
    for (const SearchParameter& p : o.space().parameters()) head.push_back(escaped(p.name));
    std::vector<std::vector<std::string>> rows;
    for (size_t i = 0; i < order.size() && i < kRows; ++i) {
      const Evaluation& e = all[order[i]];
      std::vector<std::string> cells = {std::to_string(order[i] + 1)};
      for (const double v : e.values) cells.push_back(number(v));
      for (int64_t k = 0; k < o.space().size(); ++k) {
        const bool word = o.space().parameters()[static_cast<size_t>(k)].kind ==
                          SearchParameter::Kind::kCategorical;
        const double v = e.row[static_cast<size_t>(k)];
        cells.push_back(word ? escaped(o.space().text_of(k, v)) : number(v));
      }
      rows.push_back(std::move(cells));
    }
    body += "<h2>The best rows</h2>" + data::html_table(head, rows, 0);
  }
  body += "<h2>Where it looked</h2><div class=\"curves\">";
  for (size_t k = 0; k < o.space().parameters().size() && k < kParameters; ++k) {
    std::vector<double> y;
    for (const Evaluation& e : all) y.push_back(e.row[k]);
    body += data::curve_card({.title = o.space().parameters()[k].name,
                              .x = at,
                              .y = y,
                              .log_scale = o.space().parameters()[k].log_scale,
                              .dots = true,
                              .digits = 4});
  }
  body += "</div>";
  if (!o.report().kernel.empty()) {
    body += "<h2>Surrogate</h2><p class=\"sub\">" + escaped(o.report().kernel) + "</p>";
  }
  return data::page(page.title,
                    "Covary " + escaped(std::string(version())) + " · " +
                        escaped(o.options().surrogate) + ", " +
                        escaped(o.options().acquisition.acquisition),
                    body);
}

}  // namespace covary::stat
