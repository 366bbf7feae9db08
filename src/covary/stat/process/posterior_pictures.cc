#include "covary/stat/process/posterior_pictures.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "covary/core/data/page.h"

namespace covary::stat {
namespace {

using data::Chart;
using data::escaped;

constexpr size_t kPictured = 40;   // parameters at most
constexpr int64_t kSteps = 500;    // of a chain, shown at most
constexpr double kMiddle = 0.995;  // histograms span the quantiles 1 - kMiddle and kMiddle
constexpr int64_t kBins = 40;

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", v);
  return text;
}

std::string trace(const HyperSample& s, const std::vector<double>& values,
                  const std::string& label) {
  const int64_t every = (s.draws + kSteps - 1) / kSteps;
  Chart chart({0, static_cast<double>(s.draws)}, data::range_of(values), "draw", label);
  for (int64_t c = 0; c < s.chains; ++c) {
    std::vector<double> x, y;
    for (int64_t i = 0; i < s.draws; i += every) {
      x.push_back(static_cast<double>(i));
      y.push_back(values[static_cast<size_t>(c * s.draws + i)]);
    }
    chart.line(x, y, c, s.chains <= Chart::kColours ? "chain " + std::to_string(c + 1) : "");
  }
  return chart.card(label + ": chains");
}

std::string histogram(const std::vector<double>& values, const std::string& label) {
  double low = numeric::sample_quantile(values, 1 - kMiddle),
         high = numeric::sample_quantile(values, kMiddle);
  if (!(high > low)) {
    low -= 0.5;
    high += 0.5;
  }
  const auto [edges, heights] = data::histogram(values, {low, high}, kBins);
  const double most = *std::max_element(heights.begin(), heights.end());
  Chart chart({low, high}, {0, most > 0 ? 1.08 * most : 1}, label, "density");
  chart.bars(edges, heights);
  return chart.card(label + ": the middle 99 % of the draws");
}

}  // namespace

std::string posterior_section(const HyperSample& sample, const std::vector<std::string>& labels) {
  std::vector<std::vector<std::string>> rows;
  std::string pictures;
  const std::vector<HyperParameterSummary> summaries = sample.summaries();
  for (size_t p = 0; p < summaries.size(); ++p) {
    const HyperParameterSummary& s = summaries[p];
    const numeric::ChainQuality& q = s.quality;
    const std::string& label = p < labels.size() ? labels[p] : s.name;
    rows.push_back({escaped(label), number(q.mean), number(q.sd), number(s.low), number(s.median),
                    number(s.high), data::fixed_number(q.r_hat, 3), data::fixed_number(q.bulk, 0),
                    data::fixed_number(q.tail, 0)});
    if (p >= kPictured) continue;
    const std::vector<double> values = sample.of(static_cast<int64_t>(p));
    pictures += trace(sample, values, label) + histogram(values, label);
  }
  const std::string warning = sample.warning();
  std::string below = std::to_string(sample.chains) + " chains of " + std::to_string(sample.draws) +
                      " draws after " + std::to_string(sample.options.warm_up) +
                      "; predictions mix " + std::to_string(sample.mixed().size()) +
                      " of them. Mean acceptance " + data::fixed_number(sample.acceptance, 2) +
                      ", " + std::to_string(sample.divergences) + " divergences.";
  if (!warning.empty()) below += " <b>" + escaped(warning) + ".</b>";
  if (summaries.size() > kPictured)
    below += " Pictures of the first " + std::to_string(kPictured) + " parameters.";
  return "<h2>Posterior of the parameters</h2>" +
         data::html_table({"Parameter", "Mean", "Deviation", "5 %", "50 %", "95 %", "R-hat",
                           "Effective draws, bulk", "Effective draws, tail"},
                          rows) +
         "<p class=\"sub\" style=\"margin:12px 0\">" + below + "</p><div class=\"curves\">" +
         pictures + "</div>";
}

}  // namespace covary::stat
