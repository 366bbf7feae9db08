#include "covary/stat/process/process_page.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <limits>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/machine.h"
#include "covary/core/data/page.h"
#include "covary/core/numeric/normal.h"
#include "covary/stat/process/posterior_pictures.h"
#include "covary/stat/process/scores.h"

namespace covary::stat {
namespace {

using data::Chart;
using data::escaped;

constexpr int64_t kDots = 4000;      // shown at most
constexpr int64_t kGrid = 400;       // points of a curve
constexpr int64_t kDraws = 3;        // of the function
constexpr int64_t kDrawRows = 5000;  // rows up to which draws are made

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", v);
  return text;
}

std::vector<double> flat(const at::Tensor& t) {
  const at::Tensor c = t.contiguous();
  return {c.const_data_ptr<double>(), c.const_data_ptr<double>() + c.numel()};
}

// Every k-th row, so that at most kDots are left.
std::vector<double> thinned(const at::Tensor& t) {
  const int64_t n = t.size(0), step = (n + kDots - 1) / kDots;
  return flat(step <= 1 ? t : t.slice(0, 0, n, step));
}

// "const(variance=52.970573)" as "const(variance=52.97)": numbers of text to four digits.
std::string shortened(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const bool begins = std::isdigit(static_cast<unsigned char>(text[i])) &&
                        (i == 0 || !std::isalnum(static_cast<unsigned char>(text[i - 1])));
    if (!begins) {
      out += text[i++];
      continue;
    }
    size_t used = 0;
    const double value = std::stod(text.substr(i), &used);
    out += number(value);
    i += used;
  }
  return out;
}

std::string name_of(const RegressionPage& page, size_t column) {
  return column < page.names.size() ? page.names[column] : "x" + std::to_string(column);
}

// What there is of leave-one-out predictions; none where they cannot be made.
struct Held {
  at::Tensor mean, variance;
  PredictiveScores scores;
};
std::vector<Held> held_out(const Regression& process) {
  try {
    if (process.posterior()) {
      const PredictiveMixture m = process.mixture_left_out();
      const auto [mean, variance] = m.moments();
      return {{mean, variance, predictive_scores(m, process.y())}};
    }
    const auto [mean, variance] = process.leave_one_out();
    const Likelihood* l = process.likelihood();
    if (!l) return {{mean, variance, predictive_scores(mean, variance, process.y())}};
    at::Tensor values = mean.clone();
    for (int64_t i = 0; i < values.numel(); ++i) {
      double& v = values.data_ptr<double>()[i];
      if (!std::isnan(v)) v = l->predict(v, variance[i].item<double>()).first;
    }
    return {{values, variance, predictive_scores(*l, mean, variance, process.y())}};
  } catch (const Error&) {  // one row, or no noise: the page does without
    return {};
  }
}

std::string line_picture(const RegressionPage& page) {
  const Regression& r = page.process;
  const at::Tensor t = r.x().select(1, 0);
  const double low = t.min().item<double>(), high = t.max().item<double>();
  const double room = high > low ? 0.1 * (high - low) : 1;
  const at::Tensor grid = at::linspace(low - room, high + room, kGrid, at::kDouble).unsqueeze(1);
  const ValuePrediction v = r.predict_values(grid, {0.025, 0.975});
  const std::vector<double> x = flat(grid), middle = flat(v.mean), below = flat(v.quantiles[0]),
                            above = flat(v.quantiles[1]), y = thinned(r.y());
  const Likelihood* l = r.likelihood();
  const bool discrete = l && (l->binary() || l->counts());
  std::vector<double> all = y;
  all.insert(all.end(), below.begin(), below.end());
  all.insert(all.end(), above.begin(), above.end());
  Chart chart(data::range_of(x, 0), data::range_of(all), name_of(page, 0), page.target);
  chart.band(x, below, above, 0);
  if (r.x().size(0) <= kDrawRows) {
    at::Tensor draws = r.sample(grid, kDraws, page.seed);
    for (int64_t i = 0; discrete && i < draws.numel(); ++i) {
      double& f = draws.data_ptr<double>()[i];
      f = l->mean_at(f);
    }
    for (int64_t k = 0; k < kDraws; ++k) {
      chart.line(x, flat(draws[k]), 2 + k, "draw " + std::to_string(k + 1));
    }
  }
  chart.line(x, middle, 0,
             !discrete     ? "mean, and 95 % of new values"
             : l->binary() ? "probability, and its 95 % band"
                           : "rate, and its 95 % band");
  chart.dots(thinned(t), y, {}, r.x().size(0) > 500 ? 1.2 : 2.5);
  return chart.card(r.y().size(0) > kDots ? "Data (some of them), mean and band"
                                          : "Data, mean and band");
}

std::string held_picture(const RegressionPage& page, const Held& held) {
  const std::vector<double> y = thinned(page.process.y()), mean = thinned(held.mean);
  std::vector<double> all = y;
  all.insert(all.end(), mean.begin(), mean.end());
  const Chart::Range range = data::range_of(all);
  Chart chart(range, range, "observed " + page.target, "predicted from all other rows");
  chart.line({range[0], range[1]}, {range[0], range[1]}, 1, "equal");
  chart.dots(y, mean, {0}, y.size() > 500 ? 1.5 : 2.5);
  return chart.card("Predicted against observed, each row left out in turn");
}

std::string pit_picture(const PredictiveScores& s) {
  std::vector<double> edges, heights;
  for (int i = 0; i <= PredictiveScores::kBins; ++i) edges.push_back(i / 10.0);
  double most = 1;
  for (const int64_t count : s.pit) {
    heights.push_back(static_cast<double>(count * PredictiveScores::kBins) /
                      static_cast<double>(s.rows));
    most = std::max(most, heights.back());
  }
  Chart chart({0, 1}, {0, 1.08 * most}, "predicted probability of a smaller value", "density");
  chart.bars(edges, heights);
  chart.line({0, 1}, {1, 1}, 1, "calibrated");
  return chart.card("Probability integral transform of the left-out values");
}

std::string quantile_picture(const PredictiveScores& s) {
  std::vector<double> theory, own;
  const size_t n = s.standardised.size(), step = n / kDots + 1;
  for (size_t i = 0; i < n; i += step) {
    theory.push_back(
        numeric::normal_quantile((static_cast<double>(i) + 0.5) / static_cast<double>(n)));
    own.push_back(s.standardised[i]);
  }
  const Chart::Range range = data::range_of(theory, 0.08);
  Chart chart(range, data::range_of(own, 0.08), "normal quantile", "standardised residual");
  chart.line({range[0], range[1]}, {range[0], range[1]}, 1, "equal");
  chart.dots(theory, own, {0}, 2);
  return chart.card("Quantiles of the standardised left-out residuals");
}

// The shorter a length scale against its column's spread, the more the column matters.
std::string scales_table(const RegressionPage& page) {
  const std::vector<double> scales = page.process.length_scales();
  if (scales.empty() || page.process.x().size(1) < 2) return "";
  const at::Tensor spread = page.process.x().std(0, /*unbiased=*/false);
  std::vector<double> weight;
  for (size_t k = 0; k < scales.size(); ++k) {
    weight.push_back(spread[static_cast<int64_t>(k)].item<double>() / scales[k]);
  }
  const double most = std::max(*std::max_element(weight.begin(), weight.end()), 1e-300);
  std::vector<size_t> order(scales.size());
  for (size_t k = 0; k < order.size(); ++k) order[k] = k;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return weight[a] > weight[b]; });
  std::vector<std::vector<std::string>> rows;
  for (const size_t k : order) {
    rows.push_back({escaped(name_of(page, k)), number(scales[k]),
                    number(spread[static_cast<int64_t>(k)].item<double>()),
                    "<div style=\"background:var(--c0);height:10px;min-width:1px;width:" +
                        data::fixed_number(std::max(0.5, 180 * weight[k] / most), 1) +
                        "px\" title=\"" + number(weight[k]) + "\"></div>"});
  }
  return "<h2>Length scales</h2>" +
         data::html_table({"Column", "Length scale", "Standard deviation of the column",
                           "Their ratio: long bars matter"},
                          rows);
}

std::string label_of(const RegressionPage& page, const FittedParameter& p) {
  return p.column < 0 ? p.name : p.name + " (" + name_of(page, static_cast<size_t>(p.column)) + ")";
}

std::string posterior_of(const RegressionPage& page) {
  const HyperSample* draws = page.process.posterior();
  if (!draws) return "";
  std::vector<std::string> labels = draws->names;
  for (std::string& label : labels) {
    for (const FittedParameter& p : page.process.report().parameters) {
      if (p.name == label) {
        label = label_of(page, p);
        break;
      }
    }
  }
  return posterior_section(*draws, labels);
}

std::string parameters_table(const RegressionPage& page) {
  const RegressionReport& r = page.process.report();
  std::vector<std::vector<std::string>> rows;
  for (const FittedParameter& p : r.parameters) {
    if (p.weight) continue;
    rows.push_back({escaped(label_of(page, p)), number(p.value),
                    p.fixed      ? "fixed"
                    : p.at_bound ? "at its bound"
                                 : "free"});
  }
  std::string fit = r.fitted ? r.ending + " after " + std::to_string(r.iterations) + " steps and " +
                                   std::to_string(r.evaluations) + " evaluations, gradient " +
                                   number(r.gradient_norm)
                             : "parameters as stated, or by the data";
  return "<h2>Parameters</h2>" +
         data::html_table({"Parameter", r.posterior ? "Likeliest value" : "Value", "State"}, rows) +
         "<p class=\"sub\" style=\"margin-top:12px\">Fit: " + escaped(fit) + ". Jitter " +
         number(r.jitter) + ". Method " + escaped(r.choice.method) + ": " + escaped(r.choice.why) +
         ".</p>";
}

}  // namespace

std::string regression_page(const RegressionPage& page) {
  const RegressionReport& r = page.process.report();
  const std::vector<Held> held = held_out(page.process);
  std::vector<std::pair<std::string, std::string>> tiles = {
      {std::to_string(r.rows), "rows"},
      {std::to_string(r.columns), r.columns == 1 ? "column" : "columns"},
      {escaped(r.choice.method), "method"},
      {number(r.log_likelihood),
       r.upper ? "log likelihood at least, nats" : "log likelihood, nats"}};
  if (r.upper) tiles.push_back({number(*r.upper - r.log_likelihood), "certified gap, nats"});
  if (!held.empty()) {
    const PredictiveScores& s = held[0].scores;
    if (s.labels)
      tiles.push_back({data::fixed_number(100 * s.accuracy, 1) + " %", "labels met, left out"});
    else
      tiles.push_back({number(s.rmse), "RMSE, left out"});
    tiles.push_back({number(s.nlpd), "NLPD, left out, nats a row"});
    if (s.normal)
      tiles.push_back({data::fixed_number(100 * s.coverage[2], 1) + " %", "inside 95 % intervals"});
  }
  std::string body = data::tiles(tiles) + "<h2>Fit</h2>";
  if (r.columns == 1) body += line_picture(page);
  if (r.columns > 1 && !held.empty()) body += held_picture(page, held[0]);
  body += scales_table(page);
  if (!held.empty() && held[0].scores.normal) {
    body += "<h2>Calibration</h2><div class=\"curves\">" + pit_picture(held[0].scores) +
            quantile_picture(held[0].scores) + "</div>";
  }
  body += posterior_of(page) + parameters_table(page);
  return data::page(
      page.title,
      "Covary " + escaped(std::string(version())) + " · " + escaped(shortened(r.kernel)), body);
}

}  // namespace covary::stat
