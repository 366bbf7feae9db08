#include "covary/core/data/page.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "covary/core/data/contour.h"

namespace covary::data {
namespace {

// One look for light and dark: colours are variables that follow the reader's setting.
constexpr const char* kStyle = R"css(
:root { color-scheme: light dark; --page: #fbfbfa; --card: #ffffff; --ink: #1d2126; --soft: #667079; --line: #e2e5e8;
        --a: #1f6f8b; --b: #c8553d; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171a; --card: #1c2024; --ink: #e7eaed; --soft: #98a2ab; --line: #2f353b; --a: #5fb6d3; --b: #ee8a6f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 17px; margin: 40px 0 12px; }
p.sub { color: var(--soft); margin: 0 0 24px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; }
.tile b { display: block; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(310px, 1fr)); gap: 12px; }
.card h3 { margin: 0 0 6px; font-size: 13px; font-weight: 500; color: var(--soft); }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
svg .grid { stroke: var(--line); } svg .curve { fill: none; stroke: var(--a); stroke-width: 1.8; }
svg .dot { fill: var(--b); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 6px 12px; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 500; font-size: 13px; }
figure { margin: 0 0 18px; } figcaption { color: var(--soft); font-size: 13px; padding: 4px 0; }
.trio { display: grid; grid-template-columns: repeat(3, 1fr); gap: 8px; }
.trio img { width: 100%; border-radius: 4px; display: block; }
details pre { overflow-x: auto; font-size: 12px; color: var(--soft); }
)css";

// For pages with charts.
constexpr const char* kChartStyle = R"css(
:root { --c0: #1f6f8b; --c1: #c8553d; --c2: #4c8c4a; --c3: #7a5ea8; --c4: #b8860b; --c5: #b0487a; --c6: #5b6c7d; --c7: #2f9c95; }
@media (prefers-color-scheme: dark) { :root { --c0: #5fb6d3; --c1: #ee8a6f; --c2: #86c983; --c3: #b49be0; --c4: #e0b84c; --c5: #e48bb4; --c6: #a5b4c3; --c7: #6fd0c9; } }
.chart { margin-bottom: 12px; } .chart svg { max-width: 860px; margin: 0 auto; }
svg .axis { stroke: var(--soft); fill: none; } svg .fit { fill: none; stroke-width: 1.6; }
.legend { color: var(--soft); font-size: 13px; text-align: center; } .legend i { display: inline-block; width: 18px; height: 3px; margin: 0 6px 3px 14px; }
tr.best td { font-weight: 600; }
)css";

constexpr double kLeft = 58, kRight = 14, kTop = 10, kBottom = 42;
constexpr double kWide = kLeft + Chart::kWidth + kRight, kHigh = kTop + Chart::kHeight + kBottom;

std::string colour_of(int64_t colour) {
  return "var(--c" + std::to_string(colour % Chart::kColours) + ")";
}

}  // namespace

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  return out;
}

std::string fixed_number(double v, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, v);
  return text;
}

std::string short_number(double v) {
  char text[32];
  const double a = std::abs(v);
  if (a >= 1e6)
    std::snprintf(text, sizeof text, "%.3gM", v / 1e6);
  else if (a >= 1e4)
    std::snprintf(text, sizeof text, "%.4gk", v / 1e3);
  else
    std::snprintf(text, sizeof text, a >= 100 ? "%.0f" : "%.3g", v);
  return text;
}

std::vector<double> ticks(double low, double high) {
  const double raw = (high - low) / 4, power = std::pow(10, std::floor(std::log10(raw)));
  double step = power;
  for (const double m : {1.0, 2.0, 5.0, 10.0})
    if (raw <= m * power) {
      step = m * power;
      break;
    }
  std::vector<double> all;
  for (double t = std::ceil(low / step - 1e-9) * step; t <= high + 1e-9 * step; t += step)
    all.push_back(std::abs(t) < 1e-9 * step ? 0 : t);
  return all;
}

namespace {

// Short where that tells neighbours apart, else with as many digits as their step has.
std::string tick_label(const std::vector<double>& all, double t) {
  bool apart = true;
  for (size_t i = 1; i < all.size(); ++i)
    apart = apart && short_number(all[i]) != short_number(all[i - 1]);
  if (apart || all.size() < 2) return short_number(t);
  const double step = all[1] - all[0];
  return fixed_number(t, std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 15));
}

}  // namespace

std::string page(const std::string& title, const std::string& below, const std::string& body) {
  return "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta name=\"viewport\" content=\"width=device-width\"><title>" +
         escaped(title) + "</title><style>" + kStyle +
         (body.find("class=\"card chart\"") != std::string::npos ||
                  body.find("class=\"best\"") != std::string::npos
              ? kChartStyle
              : "") +
         "</style></head><body><main><h1>" + escaped(title) + "</h1><p class=\"sub\">" + below +
         "</p>" + body + "</main></body></html>\n";
}

std::string tile(const std::string& value, const std::string& label) {
  return "<div class=\"tile\"><b>" + value + "</b><span>" + label + "</span></div>";
}

std::string tiles(const std::vector<std::pair<std::string, std::string>>& values_and_labels) {
  std::string out = "<div class=\"tiles\">";
  for (const auto& [value, label] : values_and_labels) out += tile(value, label);
  return out + "</div>";
}

std::string html_table(const std::vector<std::string>& head,
                       const std::vector<std::vector<std::string>>& rows, int64_t marked) {
  std::string out = "<div class=\"card scroll\"><table><tr>";
  for (const std::string& cell : head) out += "<th>" + cell + "</th>";
  out += "</tr>";
  for (size_t i = 0; i < rows.size(); ++i) {
    out += static_cast<int64_t>(i) == marked ? "<tr class=\"best\">" : "<tr>";
    for (const std::string& cell : rows[i]) out += "<td>" + cell + "</td>";
    out += "</tr>";
  }
  return out + "</table></div>";
}

std::string curve_card(const Curve& curve) {
  constexpr double kWide = 340, kHigh = 190, kLeft = 44, kRight = 10, kTop = 8, kBottom = 24;
  const auto scaled = [&](double v) { return curve.log_scale ? std::log10(v) : v; };
  double low = INFINITY, high = -INFINITY, last = 1;
  for (size_t i = 0; i < curve.y.size(); ++i) {
    if (curve.log_scale && !(curve.y[i] > 0)) continue;
    low = std::min(low, scaled(curve.y[i]));
    high = std::max(high, scaled(curve.y[i]));
    last = std::max(last, curve.x[i]);
  }
  if (!(low <= high)) return "";
  const double margin =
      std::max(1e-9, high > low ? 0.06 * (high - low) : 0.05 * std::abs(high) + 1e-6);
  low -= margin, high += margin;
  const auto px = [&](double x) { return kLeft + x / last * (kWide - kLeft - kRight); };
  const auto py = [&](double y) {
    return kTop + (high - y) / (high - low) * (kHigh - kTop - kBottom);
  };
  std::string svg =
      "<svg viewBox=\"0 0 340 190\" role=\"img\" aria-label=\"" + escaped(curve.title) + "\">";
  for (const double t : ticks(low, high)) {
    const std::string y = fixed_number(py(t), 1);
    svg += "<line class=\"grid\" x1=\"44\" x2=\"330\" y1=\"" + y + "\" y2=\"" + y + "\"/>";
    svg += "<text x=\"39\" y=\"" + fixed_number(py(t) + 4, 1) + "\" text-anchor=\"end\">" +
           short_number(curve.log_scale ? std::pow(10, t) : t) + "</text>";
  }
  for (const double t : ticks(0, last))
    svg += "<text x=\"" + fixed_number(px(t), 1) + "\" y=\"184\" text-anchor=\"" +
           (px(t) > kWide - 2 * kRight ? "end" : "middle") + "\">" + short_number(t) + "</text>";
  std::string points, dots;
  for (size_t i = 0; i < curve.y.size(); ++i) {
    if (curve.log_scale && !(curve.y[i] > 0)) continue;
    const std::string x = fixed_number(px(curve.x[i]), 1),
                      y = fixed_number(py(scaled(curve.y[i])), 1);
    points += x + "," + y + " ";
    if (curve.dots) dots += "<circle class=\"dot\" r=\"3\" cx=\"" + x + "\" cy=\"" + y + "\"/>";
  }
  svg += "<polyline class=\"curve\" points=\"" + points + "\"/>" + dots + "</svg>";
  return "<div class=\"card\"><h3>" + escaped(curve.title) + " <span>(now " +
         fixed_number(curve.y.back(), curve.digits) + ")</span></h3>" + svg + "</div>";
}

Chart::Chart(Range x, Range y, std::string x_name, std::string y_name)
    : x_(x), y_(y), x_name_(std::move(x_name)), y_name_(std::move(y_name)) {}

double Chart::px(double x) const {
  return kLeft + (x - x_[0]) / (x_[1] - x_[0]) * (kWide - kLeft - kRight);
}

double Chart::py(double y) const {
  return kTop + (y_[1] - y) / (y_[1] - y_[0]) * (kHigh - kTop - kBottom);
}

std::string Chart::path(const std::vector<double>& x, const std::vector<double>& y) const {
  std::string out;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) continue;
    // Far outside is as good as a little outside.
    const double at = std::clamp(py(y[i]), -kHigh, 2 * kHigh);
    out +=
        fixed_number(std::clamp(px(x[i]), -kWide, 2 * kWide), 1) + "," + fixed_number(at, 1) + " ";
  }
  return out;
}

void Chart::dots(const std::vector<double>& x, const std::vector<double>& y,
                 const std::vector<int64_t>& colours, double radius) {
  const std::string size = fixed_number(radius, 1);
  for (size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) continue;
    const int64_t colour = colours.empty() ? 6 : colours[i % colours.size()];
    inside_ += "<circle r=\"" + size + "\" cx=\"" + fixed_number(px(x[i]), 1) + "\" cy=\"" +
               fixed_number(py(y[i]), 1) + "\" fill=\"" + colour_of(colour) +
               "\" fill-opacity=\"0.55\"/>";
  }
}

void Chart::line(const std::vector<double>& x, const std::vector<double>& y, int64_t colour,
                 const std::string& label) {
  inside_ += "<polyline class=\"fit\" stroke=\"" + colour_of(colour) + "\" points=\"" + path(x, y) +
             "\"/>";
  if (!label.empty()) legend_.emplace_back(colour, label);
}

void Chart::band(const std::vector<double>& x, const std::vector<double>& low,
                 const std::vector<double>& high, int64_t colour) {
  std::vector<double> back_x(x.rbegin(), x.rend()), back(low.rbegin(), low.rend());
  inside_ += "<polygon fill-opacity=\"0.18\" fill=\"" + colour_of(colour) + "\" points=\"" +
             path(x, high) + path(back_x, back) + "\"/>";
}

void Chart::ellipse(const std::array<double, 2>& mean, const std::array<double, 3>& covariance,
                    int64_t colour) {
  // Any square root of the covariance turns a circle into its ellipse: the Cholesky factor.
  const double a = std::sqrt(std::max(covariance[0], 0.0));
  const double b = a > 0 ? covariance[1] / a : 0;
  const double c = std::sqrt(std::max(covariance[2] - b * b, 0.0));
  constexpr int kPoints = 72;
  for (const double radius : {1.0, 2.0}) {
    std::vector<double> x, y;
    for (int i = 0; i <= kPoints; ++i) {
      const double u = std::cos(2 * M_PI * i / kPoints), v = std::sin(2 * M_PI * i / kPoints);
      x.push_back(mean[0] + radius * a * u);
      y.push_back(mean[1] + radius * (b * u + c * v));
    }
    line(x, y, colour);
  }
  inside_ += "<circle r=\"4\" cx=\"" + fixed_number(px(mean[0]), 1) + "\" cy=\"" +
             fixed_number(py(mean[1]), 1) + "\" fill=\"" + colour_of(colour) +
             "\" stroke=\"var(--card)\"/>";
}

void Chart::bars(const std::vector<double>& edges, const std::vector<double>& heights) {
  for (size_t i = 0; i < heights.size() && i + 1 < edges.size(); ++i) {
    if (!(heights[i] > 0)) continue;
    const double left = px(edges[i]), top = py(heights[i]);
    inside_ += "<rect fill=\"var(--c6)\" fill-opacity=\"0.3\" x=\"" + fixed_number(left, 1) +
               "\" y=\"" + fixed_number(top, 1) + "\" width=\"" +
               fixed_number(std::max(0.5, px(edges[i + 1]) - left - 0.5), 1) + "\" height=\"" +
               fixed_number(std::max(0.0, py(0) - top), 1) + "\"/>";
  }
}

void Chart::heat(const std::vector<double>& values, int64_t rows, int64_t columns) {
  constexpr int kLevels = 20;
  double most = 0;
  for (const double v : values)
    if (std::isfinite(v)) most = std::max(most, v);
  if (!(most > 0)) return;
  const double wide = (kWide - kLeft - kRight) / static_cast<double>(columns);
  const double high = (kHigh - kTop - kBottom) / static_cast<double>(rows);
  for (int64_t i = 0; i < rows; ++i) {
    const auto level = [&](int64_t j) {
      const double v = values[static_cast<size_t>(i * columns + j)];
      return v > 0 ? static_cast<int>(std::lround(kLevels * v / most)) : 0;
    };
    // Neighbours of one level are one rectangle.
    for (int64_t j = 0, end = 0; j < columns; j = end) {
      for (end = j + 1; end < columns && level(end) == level(j); ++end) {
      }
      if (level(j) == 0) continue;
      const double top = kHigh - kBottom - static_cast<double>(i + 1) * high;
      inside_ += "<rect shape-rendering=\"crispEdges\" fill=\"var(--c0)\" fill-opacity=\"" +
                 fixed_number(0.9 * level(j) / kLevels, 3) + "\" x=\"" +
                 fixed_number(kLeft + static_cast<double>(j) * wide, 2) + "\" y=\"" +
                 fixed_number(top, 2) + "\" width=\"" +
                 fixed_number(static_cast<double>(end - j) * wide, 2) + "\" height=\"" +
                 fixed_number(high, 2) + "\"/>";
    }
  }
}

void Chart::regions(const std::vector<double>& values, int64_t rows, int64_t columns) {
  constexpr struct {
    double share;
    int64_t colour;
    const char* label;
  } kRegions[] = {{0.5, 1, "50% of the mass"}, {0.8, 4, "80%"}, {0.95, 2, "95%"}};
  for (const auto& region : kRegions) {
    const double level = region_levels(values, {region.share})[0];
    if (!(level > 0)) return;
    for (const ContourLine& contour : contour_lines(values, rows, columns, level)) {
      std::vector<double> x, y;
      for (size_t i = 0; i < contour.x.size(); ++i) {
        x.push_back(x_[0] + (x_[1] - x_[0]) * (contour.x[i] + 0.5) / static_cast<double>(columns));
        y.push_back(y_[0] + (y_[1] - y_[0]) * (contour.y[i] + 0.5) / static_cast<double>(rows));
      }
      line(x, y, region.colour);
    }
    legend_.emplace_back(region.colour, region.label);
  }
}

std::string Chart::card(const std::string& title) const {
  std::string svg = "<svg viewBox=\"0 0 680 440\" role=\"img\" aria-label=\"" + escaped(title) +
                    "\"><clipPath id=\"inside\"><rect x=\"58\" y=\"10\" width=\"608\" "
                    "height=\"388\"/></clipPath>";
  const std::vector<double> ys = ticks(y_[0], y_[1]), xs = ticks(x_[0], x_[1]);
  for (const double t : ys) {
    const std::string y = fixed_number(py(t), 1);
    svg += "<line class=\"grid\" x1=\"58\" x2=\"666\" y1=\"" + y + "\" y2=\"" + y +
           "\"/><text x=\"52\" y=\"" + fixed_number(py(t) + 4, 1) + "\" text-anchor=\"end\">" +
           tick_label(ys, t) + "</text>";
  }
  for (const double t : xs) {
    const std::string x = fixed_number(px(t), 1);
    svg += "<line class=\"grid\" y1=\"10\" y2=\"398\" x1=\"" + x + "\" x2=\"" + x +
           "\"/><text y=\"413\" x=\"" + x + "\" text-anchor=\"middle\">" + tick_label(xs, t) +
           "</text>";
  }
  svg += "<text x=\"362\" y=\"433\" text-anchor=\"middle\">" + escaped(x_name_) +
         "</text><text transform=\"translate(13 204) rotate(-90)\" text-anchor=\"middle\">" +
         escaped(y_name_) + "</text><g clip-path=\"url(#inside)\">" + inside_ +
         "</g><rect class=\"axis\" x=\"58\" y=\"10\" width=\"608\" height=\"388\"/></svg>";
  std::string legend;
  for (const auto& [colour, label] : legend_)
    legend += "<i style=\"background:" + colour_of(colour) + "\"></i>" + escaped(label);
  return "<div class=\"card chart\"><h3>" + escaped(title) + "</h3>" + svg +
         (legend.empty() ? "" : "<div class=\"legend\">" + legend + "</div>") + "</div>";
}

Chart::Range range_of(const std::vector<double>& values, double margin) {
  double low = INFINITY, high = -INFINITY;
  for (const double v : values)
    if (std::isfinite(v)) low = std::min(low, v), high = std::max(high, v);
  if (!(low <= high)) return {0, 1};
  const double room = high > low ? margin * (high - low) : std::max(0.05 * std::abs(high), 1e-6);
  return {low - room, high + room};
}

std::pair<std::vector<double>, std::vector<double>> histogram(const std::vector<double>& values,
                                                              Chart::Range range, int64_t bins) {
  double n = 0;
  for (const double v : values) n += std::isfinite(v);
  const double width = (range[1] - range[0]) / static_cast<double>(bins);
  std::vector<double> edges, heights(static_cast<size_t>(bins), 0.0);
  for (int64_t i = 0; i <= bins; ++i) edges.push_back(range[0] + static_cast<double>(i) * width);
  for (const double v : values) {
    if (!(v >= range[0] && v <= range[1])) continue;
    const auto i = std::min<int64_t>(static_cast<int64_t>((v - range[0]) / width), bins - 1);
    heights[static_cast<size_t>(i)] += 1 / (n * width);
  }
  return {edges, heights};
}

}  // namespace covary::data
