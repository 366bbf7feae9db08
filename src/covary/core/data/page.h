// Self-contained HTML pages: one style for light and dark, tiles of figures, tables, SVG charts.
//
//   Chart c({0, 10}, {-1, 1}, "time, s", "height, m");
//   c.band(t, low, high, 0);  c.line(t, mean, 0, "mean");  c.dots(x, y, 1);
//   write_file("out.html", page("Fit", "Covary 0.1", tiles({{"3.2 nats", "log-likelihood"}}) +
//                                                       c.card("Data")));
//
// Text that comes from elsewhere goes through escaped(). Charts write coordinates to a tenth of a
// pixel, so that pages stay small; what is not finite is left out.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace covary::data {

std::string escaped(const std::string& text);  // for HTML and attributes
std::string fixed_number(double v, int digits);
// 1234567 as "1.23M", 12340 as "12.34k", else three digits.
std::string short_number(double v);
// About four round values between low and high.
std::vector<double> ticks(double low, double high);

// below: HTML under the title.
std::string page(const std::string& title, const std::string& below, const std::string& body);

std::string tile(const std::string& value, const std::string& label);  // both HTML
std::string tiles(const std::vector<std::pair<std::string, std::string>>& values_and_labels);
// Cells are HTML; the row `marked` stands out.
std::string html_table(const std::vector<std::string>& head,
                       const std::vector<std::vector<std::string>>& rows, int64_t marked = -1);

// A small curve from x = 0, in a card that tells its last value.
struct Curve {
  std::string title;
  std::vector<double> x = {}, y = {};
  bool log_scale = false;  // of y
  bool dots = false;
  int digits = 2;
};
std::string curve_card(const Curve& curve);  // "" when there is nothing to draw

class Chart {
 public:
  static constexpr int kColours = 8;                 // colours are counted modulo this
  static constexpr int kWidth = 608, kHeight = 388;  // px inside the axes

  using Range = std::array<double, 2>;
  Chart(Range x, Range y, std::string x_name, std::string y_name);

  void dots(const std::vector<double>& x, const std::vector<double>& y,
            const std::vector<int64_t>& colours, double radius = 2);
  // label: for the legend, none when empty.
  void line(const std::vector<double>& x, const std::vector<double>& y, int64_t colour,
            const std::string& label = "");
  void band(const std::vector<double>& x, const std::vector<double>& low,
            const std::vector<double>& high, int64_t colour);
  // The curves {mean + radius * sd} of a covariance {xx, xy, yy}, at radii 1 and 2, and the mean.
  void ellipse(const std::array<double, 2>& mean, const std::array<double, 3>& covariance,
               int64_t colour);
  void bars(const std::vector<double>& edges, const std::vector<double>& heights);  // from 0
  // Values [rows,columns], rows from the bottom, over the whole of the chart; darkest is the
  // largest.
  void heat(const std::vector<double>& values, int64_t rows, int64_t columns);
  // Lines where such values are the levels of the regions of highest density that hold half, 80 and 95
  // percent of their sum, with a legend. Values at the middles of the heat's cells.
  void regions(const std::vector<double>& values, int64_t rows, int64_t columns);
  std::string card(const std::string& title) const;

 private:
  double px(double x) const;
  double py(double y) const;
  std::string path(const std::vector<double>& x, const std::vector<double>& y) const;

  Range x_, y_;
  std::string x_name_, y_name_, inside_;
  std::vector<std::pair<int64_t, std::string>> legend_;
};

// Least and largest finite value, widened by a share of their distance on both sides.
Chart::Range range_of(const std::vector<double>& values, double margin = 0.04);

// Edges [bins + 1] and heights [bins] of bars over the range whose areas are shares of all finite values.
std::pair<std::vector<double>, std::vector<double>> histogram(const std::vector<double>& values,
                                                              Chart::Range range, int64_t bins);

}  // namespace covary::data
