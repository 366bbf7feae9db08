#include "covary/splat/fit/exposure.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/log.h"
#include "covary/splat/fit/checkpoint.h"
#include "covary/splat/fit/color_map.h"
#include "covary/splat/fit/exif_gains.h"
#include "covary/splat/fit/exposure_parts.h"

namespace covary::fit {
namespace {

// Exposure is mostly gain. At one rate for all 12 numbers a brighter photo would first be explained by offsets and by
// each channel's share in the others, which then takes long to take back.
constexpr double kCross = 0.1, kOffset = 0.3;
const std::vector<double> kFactors = {1,      kCross,  kCross, kOffset, kCross, 1,
                                      kCross, kOffset, kCross, kCross,  1,      kOffset};

// An exposure whose rows are maps of colours, 12 numbers or cells of 12: what is added to the identity.
class ExposureByMaps : public ExposureByRows {
 public:
  void start(nn::RowTable& table, uint64_t seed) override {
    ExposureByRows::start(table, seed);
    if (gains_.empty()) return;
    const at::Tensor maps = rows_.values().view({photos_.size(), -1, 12});
    const at::Tensor more =
        (at::tensor(gains_, at::kDouble) - 1).to(maps.scalar_type()).unsqueeze(1);
    for (const int64_t diagonal : {0, 5, 10})
      maps.select(2, diagonal).copy_(more.expand({-1, maps.size(1)}));
    const auto [least, most] = std::minmax_element(gains_.begin(), gains_.end());
    char range[64];
    std::snprintf(range, sizeof(range), "%.2f to %.2f", *least, *most);
    log_info("exposure: by their EXIF the photos' gains begin at " + std::string(range) +
             " (--exposure-start none: all at 1)");
  }

 protected:
  ExposureByMaps(const TrainOptions& options, const scene::Capture& capture)
      : ExposureByRows(capture) {
    if (options.exposure_start == "exif") gains_ = exif_gains(capture);
  }

 private:
  std::vector<double> gains_;  // of the photos at the start; empty: 1
};

class AffineExposure : public ExposureByMaps {
 public:
  AffineExposure(const TrainOptions& options, const scene::Capture& capture)
      : ExposureByMaps(options, capture) {
    rows_ = PhotoRows({photos_.size(), 3, 4}, at::kDouble, rate_of(options));
  }

  at::Tensor regulariser(int64_t) override { return {}; }
  void update(int64_t step) override {
    rows_.update(step, {.beta1 = 0.5, .beta2 = 0.9, .factors = kFactors}, "exposure");
    rows_.center();
  }
  nlohmann::json to_json() const override {
    const at::Tensor grey = at::tensor({0.5, 0.5, 0.5, 1.0}, at::kDouble);
    return gains_json(1 + rows_.values().matmul(grey).mean(1) / 0.5);
  }
  void write(const std::filesystem::path& run, const Eigen::Matrix4d&) const override {
    nlohmann::json photos = nlohmann::json::array();
    for (int64_t i = 0; i < photos_.size(); ++i) {
      const double* m = rows_.values().const_data_ptr<double>() + 12 * i;
      nlohmann::json map = nlohmann::json::array();
      for (int r = 0; r < 3; ++r) {
        nlohmann::json row = nlohmann::json::array();
        for (int k = 0; k < 4; ++k) row.push_back(m[4 * r + k] + (r == k ? 1 : 0));
        map.push_back(row);
      }
      photos.push_back({{"name", photos_.names()[static_cast<size_t>(i)]}, {"map", map}});
    }
    const nlohmann::json document = {
        {"schema", kExposureSchema}, {"kind", "affine"}, {"photos", photos}};
    // Photos' names are bytes, JSON is UTF-8: what is not becomes U+FFFD.
    write_file(run / "exposure.json",
               document.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }

 protected:
  at::Tensor mapped(int64_t view, const at::Tensor& color) override {
    return affine_mapped(color, row_of(view));
  }

 private:
  nn::Schedule rate_of(const TrainOptions& options) const {
    const double rate = options.affine.rate_of(photos_.steps_seen(options));
    return nn::exponential(rate, rate * options.affine.affine_rate_final_factor, options.steps);
  }
};

class BilateralExposure : public ExposureByMaps {
 public:
  BilateralExposure(const TrainOptions& options, const scene::Capture& capture)
      : ExposureByMaps(options, capture), variation_(options.bilateral.grid_variation) {
    const BilateralExposureOptions& o = options.bilateral;
    rows_ = PhotoRows({photos_.size(), o.grid_levels, o.grid_height, o.grid_width, 12}, at::kFloat,
                      rate_of(options));
  }

  at::Tensor regulariser(int64_t view) override {
    if (variation_ == 0) return {};
    return variation_ * grid_variation(row_of(view));
  }
  void update(int64_t step) override { rows_.update(step, {}, "exposure"); }
  nlohmann::json to_json() const override {
    const at::Tensor grey = at::tensor({0.5f, 0.5f, 0.5f, 1.0f});
    return gains_json(1 +
                      rows_.values().mean({1, 2, 3}).view({-1, 3, 4}).matmul(grey).mean(1) / 0.5);
  }
  void write(const std::filesystem::path& run, const Eigen::Matrix4d&) const override {
    nlohmann::json names = nlohmann::json::array();
    for (const std::string& name : photos_.names()) names.push_back(name);
    write_state(run / "exposure.cov",
                {{{"grids", rows_.values()}},
                 {{"schema", kExposureSchema}, {"kind", "bilateral"}, {"photos", names}}});
  }

 protected:
  at::Tensor mapped(int64_t view, const at::Tensor& color) override {
    return grid_mapped(color, row_of(view));
  }

 private:
  nn::Schedule rate_of(const TrainOptions& options) const {
    const BilateralExposureOptions& o = options.bilateral;
    const double rate = o.rate_of(photos_.steps_seen(options));
    return nn::exponential(rate, rate * o.grid_rate_final_factor, options.steps)
        .warm_up(0.01, o.warm_up_of(options.steps));
  }

  double variation_;
};

}  // namespace

Photos::Photos(const scene::Capture& capture) : row_of_(capture.views.size(), -1) {
  for (const int64_t i : capture.train) {
    row_of_[static_cast<size_t>(i)] = size();
    names_.push_back(capture.views[static_cast<size_t>(i)].name);
  }
}

int64_t Photos::row(int64_t view) const {
  const int64_t row = row_of_.at(static_cast<size_t>(view));
  if (row < 0) throw Error(ExitCode::kFailed, "is no training photo", "exposure");
  return row;
}

double Photos::steps_seen(const TrainOptions& options) const {
  return static_cast<double>(options.views_drawn()) / static_cast<double>(size());
}

nlohmann::json gains_json(const at::Tensor& gains) {
  return {{"gain_mean", gains.mean().item<double>()},
          {"gain_least", gains.min().item<double>()},
          {"gain_largest", gains.max().item<double>()}};
}

at::Tensor Exposure::applied(int64_t view, const at::Tensor& color, const data::Image8& alpha) {
  const at::Tensor seen = mapped(view, color);
  if (alpha.empty() || seen.is_same(color)) return seen;
  const at::Tensor share = at::from_blob(const_cast<uint8_t*>(alpha.pixels.data()),
                                         {alpha.height, alpha.width, 1}, at::kByte)
                               .to(color.scalar_type())
                               .div_(255);
  return color + share * (seen - color);
}

std::unique_ptr<Exposure> make_exposure(const TrainOptions& options,
                                        const scene::Capture& capture) {
  if (options.exposure == "affine") return std::make_unique<AffineExposure>(options, capture);
  if (options.exposure == "bilateral") return std::make_unique<BilateralExposure>(options, capture);
  if (options.exposure == "embedding") return make_embedding_exposure(options, capture);
  return nullptr;
}

}  // namespace covary::fit
