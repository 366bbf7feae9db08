#include "covary/stat/process/row_scores.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/machine.h"
#include "covary/core/data/page.h"

namespace covary::stat {
namespace {

using data::Chart;
using data::escaped;
using Vector = std::vector<double>;

constexpr int64_t kGrid = 300;  // points of a curve
constexpr int64_t kMap = 60;    // cells of a map's side
constexpr int64_t kMaps = 8;    // classes that have one

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", v);
  return text;
}

Vector flat(const at::Tensor& t) {
  const at::Tensor c = t.contiguous();
  return {c.const_data_ptr<double>(), c.const_data_ptr<double>() + c.numel()};
}

std::string name_of(const std::vector<std::string>& names, size_t k, const char* other) {
  return k < names.size() ? names[k] : other + std::to_string(k);
}

at::Tensor axis(const at::Tensor& t, int64_t count) {
  const double low = t.min().item<double>(), high = t.max().item<double>();
  const double room = high > low ? 0.1 * (high - low) : 1;
  return at::linspace(low - room, high + room, count, at::kDouble);
}

std::string noise_pictures(const RowPage& page, const RowPrediction& held) {
  const RowProcess& gp = page.process;
  if (gp.x().size(1) > 1) {
    const Vector mean = flat(held.mean.select(1, 0)), y = flat(gp.y()),
                 sd = flat(gp.noise_sd(held));
    const Chart::Range range = data::range_of(y);
    Chart met(range, range, "observed " + page.target, "predicted from all other rows");
    met.line({range[0], range[1]}, {range[0], range[1]}, 1, "equal");
    met.dots(y, mean, {0}, 2);
    Chart noise(data::range_of(mean), data::range_of(sd), "predicted " + page.target, "noise, sd");
    noise.dots(mean, sd, {0}, 2);
    return met.card("Predicted against observed, each row left out in turn") +
           noise.card("The noise of each row");
  }
  const at::Tensor grid = axis(gp.x(), kGrid);
  const RowPrediction f = gp.predict(grid.unsqueeze(1));
  const Vector x = flat(grid), middle = flat(f.mean.select(1, 0)),
               low = flat(gp.quantile(f, 0.025)), high = flat(gp.quantile(f, 0.975)),
               y = flat(gp.y());
  Vector all = y;
  all.insert(all.end(), low.begin(), low.end());
  all.insert(all.end(), high.begin(), high.end());
  Chart chart(data::range_of(x, 0), data::range_of(all), name_of(page.names, 0, "x"), page.target);
  chart.band(x, low, high, 0);
  chart.line(x, middle, 0, "mean, and 95 % of new values");
  chart.dots(flat(gp.x()), y, {}, 2.5);
  const Vector sd = flat(gp.noise_sd(f)), below = flat(gp.noise_quantile(f, 0.025)),
               above = flat(gp.noise_quantile(f, 0.975));
  Chart noise(data::range_of(x, 0), {0, 1.05 * *std::max_element(above.begin(), above.end())},
              name_of(page.names, 0, "x"), "noise, sd");
  noise.band(x, below, above, 1);
  noise.line(x, sd, 1, "standard deviation of the noise, and its 95 % band");
  return chart.card("Data, mean and band") + noise.card("The noise");
}

std::string class_pictures(const RowPage& page) {
  const RowProcess& gp = page.process;
  const int64_t d = gp.x().size(1), classes = gp.likelihood().latents();
  if (d > 2) return "";
  std::vector<int64_t> kinds;
  for (const double v : flat(gp.y())) kinds.push_back(std::isnan(v) ? 7 : static_cast<int64_t>(v));
  if (d == 1) {
    const at::Tensor grid = axis(gp.x(), kGrid);
    const at::Tensor p = gp.probabilities(gp.predict(grid.unsqueeze(1))).first;
    const Vector x = flat(grid);
    Chart chart(data::range_of(x, 0), {-0.05, 1.05}, name_of(page.names, 0, "x"), "probability");
    for (int64_t c = 0; c < classes; ++c)
      chart.line(x, flat(p.select(1, c)), c,
                 c < Chart::kColours ? name_of(page.classes, static_cast<size_t>(c), "") : "");
    chart.dots(flat(gp.x()), Vector(kinds.size(), 0.0), kinds, 2.5);
    return chart.card("Probability of each class, and the rows");
  }
  const at::Tensor a = axis(gp.x().select(1, 0), kMap), b = axis(gp.x().select(1, 1), kMap);
  const at::Tensor cells = at::stack({a.unsqueeze(0).expand({kMap, kMap}).reshape({-1}),
                                      b.unsqueeze(1).expand({kMap, kMap}).reshape({-1})},
                                     1)
                               .contiguous();
  const at::Tensor p = gp.probabilities(gp.predict(cells)).first;
  std::string cards;
  for (int64_t c = 0; c < std::min(classes, kMaps); ++c) {
    Chart chart({a[0].item<double>(), a[kMap - 1].item<double>()},
                {b[0].item<double>(), b[kMap - 1].item<double>()}, name_of(page.names, 0, "x"),
                name_of(page.names, 1, "x"));
    chart.heat(flat(p.select(1, c)), kMap, kMap);
    chart.dots(flat(gp.x().select(1, 0)), flat(gp.x().select(1, 1)), kinds, 2);
    cards +=
        chart.card("Probability of " + escaped(name_of(page.classes, static_cast<size_t>(c), "")));
  }
  return cards;
}

std::string confusion_table(const RowPage& page, const RowScores& s) {
  std::vector<std::string> head{"Class"};
  std::vector<std::vector<std::string>> rows;
  for (size_t c = 0; c < s.confusion.size(); ++c) {
    const std::string name = escaped(name_of(page.classes, c, ""));
    head.push_back("taken for " + name);
    rows.push_back({name});
    for (const int64_t count : s.confusion[c]) rows.back().push_back(std::to_string(count));
  }
  return "<h2>Classes, each row left out in turn</h2>" + data::html_table(head, rows);
}

}  // namespace

RowScores row_scores(const RowProcess& process, const RowPrediction& f, const at::Tensor& y) {
  const bool softmax = process.likelihood().softmax();
  const at::Tensor density = process.log_densities(f, y);
  const int64_t n = y.numel(), latents = process.likelihood().latents();
  RowScores s;
  PredictiveScores& v = s.values;
  v.normal = false;
  v.labels = softmax;
  at::Tensor low, high, p;
  if (softmax) {
    p = process.probabilities(f).first;
    s.confusion.assign(static_cast<size_t>(latents),
                       std::vector<int64_t>(static_cast<size_t>(latents)));
  } else {
    low = process.quantile(f, 0.025);
    high = process.quantile(f, 0.975);
  }
  const Vector values = flat(y), log_p = flat(density), mean = flat(f.mean);
  double sum = 0, squares = 0, off = 0, errors = 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    if (std::isnan(values[at]) || std::isnan(log_p[at])) continue;
    ++v.rows;
    v.nlpd -= log_p[at];
    sum += values[at];
    squares += values[at] * values[at];
    if (!softmax) {
      const double e = values[at] - mean[static_cast<size_t>(i * latents)];
      off += std::abs(e);
      errors += e * e;
      s.coverage += low[i].item<double>() <= values[at] && values[at] <= high[i].item<double>();
      continue;
    }
    const double* row = p.const_data_ptr<double>() + i * latents;
    const auto best = static_cast<size_t>(std::max_element(row, row + latents) - row);
    const auto own = static_cast<size_t>(values[at]);
    v.accuracy += best == own;
    ++s.confusion[own][best];
    for (size_t c = 0; c < static_cast<size_t>(latents); ++c)
      v.brier += (row[c] - (c == own)) * (row[c] - (c == own));
  }
  if (v.rows == 0) throw Error(ExitCode::kData, "has no row with a value and a prediction", "y");
  const auto rows = static_cast<double>(v.rows);
  v.nlpd /= rows;
  v.accuracy /= rows;
  v.brier /= rows;
  s.coverage /= rows;
  if (!softmax) {
    v.rmse = std::sqrt(errors / rows);
    v.mae = off / rows;
    const double spread = squares / rows - sum / rows * (sum / rows);
    v.r2 = spread > 0 ? 1 - errors / rows / spread : 0;
  }
  return s;
}

nlohmann::json RowScores::to_json() const {
  nlohmann::json j = values.to_json();
  if (values.labels) {
    j["confusion"] = confusion;
  } else {
    j["inside_95"] = coverage;
  }
  return j;
}

std::string row_page(const RowPage& page) {
  const RowProcess& gp = page.process;
  const RowReport& r = gp.report();
  const RowPrediction held = gp.leave_one_out();
  const RowScores s = row_scores(gp, held, gp.y());
  const bool softmax = gp.likelihood().softmax();
  std::vector<std::pair<std::string, std::string>> tiles = {
      {std::to_string(gp.x().size(0)), "rows"},
      {escaped(r.method), "method"},
      {number(r.log_likelihood),
       softmax ? "log likelihood, about, nats" : "log likelihood at least, nats"},
      {number(s.values.nlpd), "NLPD, left out, nats a row"}};
  if (softmax) {
    tiles.push_back(
        {data::fixed_number(100 * s.values.accuracy, 1) + " %", "labels met, left out"});
  } else {
    tiles.push_back({number(s.values.rmse), "RMSE, left out"});
    tiles.push_back({data::fixed_number(100 * s.coverage, 1) + " %", "inside 95 % intervals"});
  }
  std::vector<std::vector<std::string>> rows;
  for (size_t k = 0; k < gp.kernels().size(); ++k) {
    for (const KernelParameter& p : gp.kernels()[k].parameters()) {
      const std::string name = (k == 1 ? "noise." : "") + p.name;
      const bool bound = std::find(r.at_bound.begin(), r.at_bound.end(), name) != r.at_bound.end();
      rows.push_back({escaped(name), number(p.value),
                      p.fixed ? "fixed"
                      : bound ? "at its bound"
                              : "free"});
    }
  }
  const std::string body =
      data::tiles(tiles) + "<h2>Fit</h2>" +
      (softmax ? class_pictures(page) + confusion_table(page, s) : noise_pictures(page, held)) +
      "<h2>Parameters</h2>" + data::html_table({"Parameter", "Value", "State"}, rows);
  return data::page(page.title,
                    "Covary " + escaped(std::string(version())) + " · " +
                        escaped(std::string(gp.likelihood().name())),
                    body);
}

}  // namespace covary::stat
