#include "covary/stat/filter/filter_page.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <ATen/ATen.h>

#include "covary/core/base/machine.h"
#include "covary/core/data/page.h"

namespace covary::filter {
namespace {

using data::Chart;
using data::escaped;

constexpr int64_t kPoints = 2000;  // of a curve, at most
constexpr size_t kStates = 8;      // charts, at most
constexpr int64_t kEllipses = 14;
constexpr double kBand = 1.959964;

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", v);
  return text;
}

class Page {
 public:
  explicit Page(const FilterPage& p) : p_(p), steps_(p.y.size(0)) {
    stride_ = std::max<int64_t>(1, (steps_ + kPoints - 1) / kPoints);
    for (int64_t t = 0; t < steps_; t += stride_)
      time_.push_back(p.time.empty() ? static_cast<double>(t) : p.time[static_cast<size_t>(t)]);
  }

  std::string text() const {
    std::string body = data::tiles(tiles()) + "<h2>Observations</h2>" + observations();
    if (const std::string way = plane(); !way.empty()) body += "<h2>The plane</h2>" + way;
    body += "<h2>States</h2><div class=\"curves\">" + states() + "</div>";
    if (p_.run.innovation.defined())
      body += "<h2>Innovations</h2><div class=\"curves\">" + innovations() + "</div>";
    body += parameters();
    return data::page(p_.title,
                      "Covary " + escaped(std::string(version())) + " · " +
                          escaped(p_.model.text()) + " · " + escaped(p_.run.method),
                      body);
  }

 private:
  std::vector<double> column(const at::Tensor& t, int64_t j) const {
    std::vector<double> out;
    const double* x = t.const_data_ptr<double>();
    for (int64_t i = 0; i < steps_; i += stride_) out.push_back(x[i * t.size(1) + j]);
    return out;
  }
  Chart::Range time_range() const { return data::range_of(time_, 0.01); }

  // mean +- of deviations; NaN where they are infinite.
  static std::pair<std::vector<double>, std::vector<double>> band(const std::vector<double>& mean,
                                                                  const std::vector<double>& sd) {
    std::pair<std::vector<double>, std::vector<double>> out;
    for (size_t i = 0; i < mean.size(); ++i) {
      const double reach = std::isfinite(sd[i]) ? kBand * sd[i] : std::nan("");
      out.first.push_back(mean[i] - reach);
      out.second.push_back(mean[i] + reach);
    }
    return out;
  }
  // The range of values, and of a band once it has settled.
  static Chart::Range range_with(std::vector<double> values, const std::vector<double>& mean,
                                 const std::vector<double>& sd) {
    std::vector<double> finite;
    for (const double s : sd)
      if (std::isfinite(s)) finite.push_back(s);
    std::sort(finite.begin(), finite.end());
    const double limit = finite.empty() ? 0 : 4 * finite[finite.size() / 2];
    for (size_t i = 0; i < mean.size(); ++i) {
      values.push_back(mean[i]);
      if (!(sd[i] <= limit) && i + 1 < mean.size() && i < mean.size() / 2) continue;
      values.push_back(mean[i] - kBand * sd[i]);
      values.push_back(mean[i] + kBand * sd[i]);
    }
    return data::range_of(values);
  }

  std::vector<std::pair<std::string, std::string>> tiles() const {
    const FilterRun& r = p_.run;
    const int64_t count = r.observed.sum().item<int64_t>();
    std::vector<std::pair<std::string, std::string>> out = {
        {std::to_string(steps_), "steps"},
        {std::to_string(count), "numbers observed"},
        {std::to_string(p_.model.states()), p_.model.states() == 1 ? "state" : "states"},
        {number(r.log_likelihood), "log-likelihood, nats"}};
    if (r.nis.defined()) {
      const at::Tensor seen = r.nis.masked_select(at::isfinite(r.nis));
      const at::Tensor degrees = r.observed.masked_select(at::isfinite(r.nis));
      if (seen.numel() > 0)
        out.push_back({number(seen.sum().item<double>() / degrees.sum().item<double>()),
                       "squared innovation a number, 1 when calibrated"});
    }
    if (r.effective.defined())
      out.push_back({number(r.effective.min().item<double>()), "particles at worst, effective"});
    return out;
  }

  std::string observations() const {
    const FilterRun& r = p_.run;
    std::string out;
    const std::vector<std::string> names = p_.model.column_names();
    for (int64_t j = 0; j < std::min<int64_t>(p_.y.size(1), 6); ++j) {
      const std::vector<double> y = column(p_.y, j);
      if (!r.predicted.defined()) {
        Chart chart(time_range(), data::range_of(y), p_.time_name, names[size_t(j)]);
        chart.dots(time_, y, {}, y.size() > 500 ? 1.2 : 2.2);
        out += chart.card(names[size_t(j)]);
        continue;
      }
      // A smoother's band is of what it says of the signal; a filter's of the next observation.
      const bool of_signal = p_.smoothed && r.fitted_sd.defined();
      const std::vector<double> mean = column(of_signal ? r.fitted : r.predicted, j),
                                sd = column(of_signal ? r.fitted_sd : r.predicted_sd, j);
      const auto [low, high] = band(mean, sd);
      Chart chart(time_range(), range_with(y, mean, sd), p_.time_name, names[size_t(j)]);
      chart.band(time_, low, high, 0);
      chart.line(time_, mean, 0,
                 of_signal ? "signal given all, and 95 %" : "predicted one step ahead, and 95 %");
      if (!of_signal && r.fitted.defined())
        chart.line(time_, column(r.fitted, j), 1,
                   p_.smoothed ? "given all" : "after the observation");
      chart.dots(time_, y, {}, y.size() > 500 ? 1.2 : 2.2);
      out += chart.card(names[size_t(j)]);
    }
    return out;
  }

  std::string states() const {
    std::string out;
    const std::vector<std::string> names = p_.model.state_names();
    size_t shown = 0;
    for (size_t j = 0; j < names.size() && shown < kStates; ++j) {
      if (names[j].find(".lag") != std::string::npos ||
          names[j].find(".quadrature") != std::string::npos)
        continue;
      ++shown;
      const auto at = static_cast<int64_t>(j);
      const std::vector<double> mean = column(p_.run.mean, at), sd = column(p_.run.sd, at);
      const auto [low, high] = band(mean, sd);
      Chart chart(time_range(), range_with({}, mean, sd), p_.time_name, names[j]);
      chart.band(time_, low, high, static_cast<int64_t>(j));
      chart.line(time_, mean, static_cast<int64_t>(j));
      out += chart.card(names[j] + (p_.smoothed ? ", given all" : ", filtered"));
    }
    return out;
  }

  std::string plane() const {
    const std::vector<int64_t> at = p_.model.position_states();
    if (at.size() != 2) return "";
    const std::vector<std::string> names = p_.model.state_names();
    const std::vector<double> x = column(p_.run.mean, at[0]), y = column(p_.run.mean, at[1]);
    const bool places = p_.y.size(1) == 2 && !(p_.model.named && p_.model.named->angles());
    std::vector<double> all_x = x, all_y = y;
    if (places) {
      const std::vector<double> seen_x = column(p_.y, 0), seen_y = column(p_.y, 1);
      all_x.insert(all_x.end(), seen_x.begin(), seen_x.end());
      all_y.insert(all_y.end(), seen_y.begin(), seen_y.end());
    }
    Chart chart(data::range_of(all_x, 0.1), data::range_of(all_y, 0.1), names[size_t(at[0])],
                names[size_t(at[1])]);
    if (places) chart.dots(column(p_.y, 0), column(p_.y, 1), {}, 2);
    chart.line(x, y, 0, p_.smoothed ? "given all" : "filtered");
    const int64_t every = std::max<int64_t>(1, steps_ / kEllipses);
    for (int64_t t = every / 2; t < steps_; t += every) {
      const at::Tensor c = p_.run.cov[t], m = p_.run.mean[t];
      if (!std::isfinite(p_.run.sd[t][at[0]].item<double>()) ||
          !std::isfinite(p_.run.sd[t][at[1]].item<double>()))
        continue;
      chart.ellipse({m[at[0]].item<double>(), m[at[1]].item<double>()},
                    {c[at[0]][at[0]].item<double>(), c[at[0]][at[1]].item<double>(),
                     c[at[1]][at[1]].item<double>()},
                    1);
    }
    return chart.card("Way through the plane, with ellipses at one and two deviations");
  }

  std::string innovations() const {
    const FilterRun& r = p_.run;
    const std::vector<std::string> names = p_.model.column_names();
    std::string out;
    for (int64_t j = 0; j < std::min<int64_t>(r.standardised.size(1), 4); ++j) {
      const std::vector<double> z = column(r.standardised, j);
      std::vector<double> range = z;
      range.insert(range.end(), {-3, 3});
      Chart chart(time_range(), data::range_of(range), p_.time_name, "innovation / deviation");
      const Chart::Range t = time_range();
      chart.line({t[0], t[1]}, {kBand, kBand}, 6);
      chart.line({t[0], t[1]}, {-kBand, -kBand}, 6, "95 % of a normal law");
      chart.dots(time_, z, {j}, z.size() > 500 ? 1.2 : 2.2);
      out += chart.card("Standardised innovations, " + names[size_t(j)]) +
             correlation(r.standardised.select(1, j), names[size_t(j)]);
    }
    std::vector<double> nis;
    const double* all = r.nis.const_data_ptr<double>();
    for (int64_t t = 0; t < steps_; t += stride_) nis.push_back(all[t]);
    const double p = static_cast<double>(r.innovation.size(1));
    // 95 % of chi-squared by Wilson and Hilferty.
    const double root = 1 - 2 / (9 * p) + 1.6449 * std::sqrt(2 / (9 * p));
    const double bound = p * root * root * root;
    std::vector<double> range = nis;
    range.insert(range.end(), {0, 1.3 * bound});
    Chart chart(time_range(), data::range_of(range), p_.time_name, "NIS");
    const Chart::Range t = time_range();
    chart.line({t[0], t[1]}, {bound, bound}, 6, "95 % are below, all rows observed");
    chart.dots(time_, nis, {2}, nis.size() > 500 ? 1.2 : 2.2);
    return out + chart.card("Normalised innovations squared");
  }

  // Autocorrelation of what is observed in pairs.
  static std::string correlation(const at::Tensor& standardised, const std::string& name) {
    const at::Tensor c = standardised.contiguous();
    const double* z = c.const_data_ptr<double>();
    const int64_t n = c.numel(), lags = std::min<int64_t>(24, n / 3);
    double mean = 0, square = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i)
      if (std::isfinite(z[i])) mean += z[i], ++count;
    mean /= std::max<double>(1, static_cast<double>(count));
    for (int64_t i = 0; i < n; ++i)
      if (std::isfinite(z[i])) square += (z[i] - mean) * (z[i] - mean);
    if (count < 8 || lags < 1 || !(square > 0)) return "";
    Chart chart({0, static_cast<double>(lags) + 0.5}, {-1, 1}, "lag", "correlation");
    for (int64_t k = 1; k <= lags; ++k) {
      double sum = 0;
      for (int64_t i = k; i < n; ++i)
        if (std::isfinite(z[i]) && std::isfinite(z[i - k]))
          sum += (z[i] - mean) * (z[i - k] - mean);
      const double lag = static_cast<double>(k);
      chart.line({lag, lag}, {0, sum / square}, 0);
    }
    const double bound = kBand / std::sqrt(static_cast<double>(count)),
                 end = static_cast<double>(lags) + 0.5;
    chart.line({0, end}, {bound, bound}, 6);
    chart.line({0, end}, {-bound, -bound}, 6, "95 % when there is none");
    chart.line({0, end}, {0, 0}, 6);
    return chart.card("Autocorrelation of the innovations, " + name);
  }

  std::string parameters() const {
    std::vector<std::vector<std::string>> rows;
    if (!p_.model.matrices) {
      for (const Parameter& p :
           p_.model.components ? p_.model.components->parameters() : p_.model.named->parameters())
        rows.push_back({escaped(p.name), number(p.value), escaped(p.help)});
    }
    return rows.empty() ? ""
                        : "<h2>Parameters</h2>" +
                              data::html_table({"Parameter", "Value", "What it is"}, rows);
  }

  const FilterPage& p_;
  int64_t steps_, stride_;
  std::vector<double> time_;
};

}  // namespace

std::string filter_page(const FilterPage& page) { return Page(page).text(); }

}  // namespace covary::filter
