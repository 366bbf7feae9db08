#include "covary/cli/verbs/cloud_facts.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "covary/cli/verbs/places.h"
#include "covary/splat/scene/columns.h"
#include "covary/splat/scene/convex.h"
#include "covary/splat/scene/statistics.h"

namespace covary::cli {
namespace {

constexpr int kBins = 12;

double quantile(const std::vector<double>& sorted, double q) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<size_t>(std::lround(q * static_cast<double>(sorted.size() - 1)))];
}

std::vector<double> sorted_values(const at::Tensor& t) {
  const at::Tensor d = std::get<0>(t.to(at::kDouble).contiguous().view({-1}).sort());
  return {d.data_ptr<double>(), d.data_ptr<double>() + d.numel()};
}

Histogram histogram(const std::vector<double>& sorted, double low, double high) {
  Histogram h{low, high, std::vector<int64_t>(kBins), quantile(sorted, 0.5)};
  for (const double x : sorted) {
    const double bin = (x - low) / std::max(high - low, 1e-300) * kBins;
    ++h.counts[static_cast<size_t>(std::clamp(bin, 0.0, kBins - 1.0))];
  }
  return h;
}

nlohmann::json json_of(const Histogram& h) {
  return {{"low", h.low}, {"high", h.high}, {"counts", h.counts}, {"median", h.median}};
}

nlohmann::json json_of(const Eigen::Vector3d& v) { return {v[0], v[1], v[2]}; }

}  // namespace

CloudFacts facts_of(const scene::Cloud& cloud) {
  CloudFacts f;
  f.count = cloud.size();
  f.sh_degree = cloud.sh_degree();
  f.antialiased = cloud.antialiased;
  for (const auto& [name, column] : cloud.columns) f.columns.push_back(name);
  f.footprint = cloud.footprint;
  if (f.footprint == scene::kConvex) f.hull_points = scene::convex_points(cloud);
  if (f.count == 0) return f;
  at::Tensor good = at::ones({f.count}, at::kBool);
  for (const at::Tensor& t :
       {cloud.means, cloud.quats, cloud.scales, cloud.opacities, cloud.sh0, cloud.shN})
    if (t.defined() && t.numel() > 0) good = good & at::isfinite(t).reshape({f.count, -1}).all(1);
  for (const auto& [name, t] : cloud.columns)
    if (scene::is_footprint_column(cloud, name))
      good = good & at::isfinite(t).reshape({f.count, -1}).all(1);
  f.not_finite = f.count - good.sum().item<int64_t>();
  if (f.not_finite == f.count) return f;
  const at::Tensor rows = good.nonzero().view({-1});
  const at::Tensor means = cloud.means.index_select(0, rows),
                   scales = cloud.scales.index_select(0, rows);
  for (int k = 0; k < 3; ++k) {
    const std::vector<double> x = sorted_values(means.select(1, k));
    f.low[k] = x.front();
    f.high[k] = x.back();
    f.low90[k] = quantile(x, 0.05);
    f.high90[k] = quantile(x, 0.95);
  }
  f.opacity = histogram(sorted_values(cloud.opacities.index_select(0, rows).sigmoid()), 0, 1);
  const std::vector<double> sizes = sorted_values(scales.to(at::kDouble).mean(1) / std::log(10.0));
  f.scale = histogram(sizes, std::floor(quantile(sizes, 0.005) * 2) / 2,
                      std::ceil(quantile(sizes, 0.995) * 2 + 1e-9) / 2);
  const std::vector<double> elongation =
      sorted_values((scales.amax(1) - scales.amin(1)).to(at::kDouble).clamp_max(700).exp());
  f.elongation_median = quantile(elongation, 0.5);
  f.elongation_99 = quantile(elongation, 0.99);
  if (f.hull_points > 0) {
    const scene::Convexes c = scene::convexes_of(scene::select(cloud, rows));
    f.delta_median = quantile(sorted_values(c.delta), 0.5);
    f.sigma_median = quantile(sorted_values(c.sigma), 0.5);
  }
  return f;
}

nlohmann::json CloudFacts::to_json() const {
  nlohmann::json j = {{"count", count},
                      {"not_finite", not_finite},
                      {"sh_degree", sh_degree},
                      {"antialiased", antialiased},
                      {"bounds", {{"low", json_of(low)}, {"high", json_of(high)}}},
                      {"middle_90", {{"low", json_of(low90)}, {"high", json_of(high90)}}},
                      {"opacity", json_of(opacity)},
                      {"scale_log10", json_of(scale)},
                      {"elongation", {{"median", elongation_median}, {"99", elongation_99}}},
                      {"columns", columns},
                      {"footprint", footprint}};
  if (hull_points > 0)
    j["hulls"] = {
        {"points", hull_points}, {"delta_median", delta_median}, {"sigma_median", sigma_median}};
  return j;
}

nlohmann::json column_facts_of(const scene::Cloud& cloud) {
  nlohmann::json j = nlohmann::json::object();
  for (const std::string& name : scene::number_names(cloud)) {
    const scene::ColumnStatistics s = scene::statistics_of(scene::column(cloud, name));
    j[name] = {
        {"low", s.low},
        {"high", s.high},
        {"mean", s.mean},
        {"deviation", s.deviation},
        {"median", s.median},
        {"nan", s.nan},
        {"infinite", s.infinite},
        {"histogram", {{"low", s.quantile01}, {"high", s.quantile99}, {"counts", s.counts}}}};
  }
  return j;
}

nlohmann::json row_of(const scene::Cloud& cloud, int64_t index) {
  const auto values = [&](const at::Tensor& t) {
    const at::Tensor d = t[index].to(at::kDouble).contiguous();
    return std::vector<double>(d.data_ptr<double>(), d.data_ptr<double>() + d.numel());
  };
  nlohmann::json j = {{"mean", values(cloud.means)},
                      {"quat_wxyz", values(cloud.quats)},
                      {"standard_deviations", values(cloud.scales.exp())},
                      {"opacity", cloud.opacities[index].sigmoid().item<double>()},
                      {"sh0", values(cloud.sh0)}};
  if (cloud.shN.defined() && cloud.shN.numel() > 0) j["shN"] = values(cloud.shN);
  for (const auto& [name, column] : cloud.columns) j["columns"][name] = values(column);
  return j;
}

std::string histogram_text(const Histogram& h) {
  static const char* kBars[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  if (h.counts.empty()) return "nothing to show";
  const int64_t most = std::max<int64_t>(1, *std::max_element(h.counts.begin(), h.counts.end()));
  std::string out = number_text("%.3g ", h.low);
  for (const int64_t n : h.counts)
    out += kBars[n == 0 ? 0 : std::clamp<int64_t>((8 * n + most - 1) / most, 1, 8)];
  return out + number_text(" %.3g", h.high + 0.0) + number_text(", median %.3g", h.median);
}

}  // namespace covary::cli
