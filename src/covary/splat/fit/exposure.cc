#include "covary/splat/fit/exposure.h"

#include <algorithm>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/splat/fit/checkpoint.h"
#include "covary/splat/fit/color_map.h"
#include "covary/splat/fit/photo_rows.h"

namespace covary::fit {
namespace {

constexpr const char* kSchema = "covary-exposure/1";

// Exposure is mostly gain. At one rate for all 12 numbers a brighter photo would first be explained by offsets and by
// each channel's share in the others, which then takes long to take back.
constexpr double kCross = 0.1, kOffset = 0.3;
const std::vector<double> kFactors = {1,      kCross,  kCross, kOffset, kCross, 1,
                                      kCross, kOffset, kCross, kCross,  1,      kOffset};

// The training photos' rows.
class Photos {
 public:
  explicit Photos(const scene::Capture& capture) : row_of_(capture.views.size(), -1) {
    for (const int64_t i : capture.train) {
      row_of_[static_cast<size_t>(i)] = size();
      names_.push_back(capture.views[static_cast<size_t>(i)].name);
    }
  }
  int64_t row(int64_t view) const {
    const int64_t row = row_of_.at(static_cast<size_t>(view));
    if (row < 0) throw Error(ExitCode::kFailed, "is no training photo", "exposure");
    return row;
  }
  int64_t size() const { return static_cast<int64_t>(names_.size()); }
  const std::vector<std::string>& names() const { return names_; }

 private:
  std::vector<int64_t> row_of_;
  std::vector<std::string> names_;
};

double steps_seen(const TrainOptions& options, const Photos& photos) {
  return static_cast<double>(options.steps * options.views_per_step) /
         static_cast<double>(photos.size());
}

nlohmann::json gains_json(const at::Tensor& gains) {
  return {{"gain_mean", gains.mean().item<double>()},
          {"gain_least", gains.min().item<double>()},
          {"gain_largest", gains.max().item<double>()}};
}

// A map a training photo, in rows that any kind of map keeps alike.
class ExposureByRows : public Exposure {
 public:
  void reset() override { maps_.reset(); }
  void retime(int64_t steps) override { maps_.retime(steps); }
  void save(nn::NamedTensors& arrays, nlohmann::json& document) const override {
    maps_.save("exposure", arrays, document);
  }
  void restore(const nn::NamedTensors& arrays, const nlohmann::json& document) override {
    maps_.restore("exposure", arrays, document);
  }

 protected:
  explicit ExposureByRows(const scene::Capture& capture) : photos_(capture) {}
  at::Tensor map_of(int64_t view) { return maps_.row(photos_.row(view)); }

  Photos photos_;
  PhotoRows maps_;  // made by the kind of map
};

class AffineExposure : public ExposureByRows {
 public:
  AffineExposure(const TrainOptions& options, const scene::Capture& capture)
      : ExposureByRows(capture) {
    maps_ = PhotoRows({photos_.size(), 3, 4}, at::kDouble, rate_of(options));
  }

  at::Tensor regulariser(int64_t) override { return {}; }
  void update(int64_t step) override {
    maps_.update(step, {.beta1 = 0.5, .beta2 = 0.9, .factors = kFactors}, "exposure");
    maps_.center();
  }
  nlohmann::json to_json() const override {
    const at::Tensor grey = at::tensor({0.5, 0.5, 0.5, 1.0}, at::kDouble);
    return gains_json(1 + maps_.values().matmul(grey).mean(1) / 0.5);
  }
  void write(const std::filesystem::path& run) const override {
    nlohmann::json photos = nlohmann::json::array();
    for (int64_t i = 0; i < photos_.size(); ++i) {
      const double* m = maps_.values().const_data_ptr<double>() + 12 * i;
      nlohmann::json map = nlohmann::json::array();
      for (int r = 0; r < 3; ++r) {
        nlohmann::json row = nlohmann::json::array();
        for (int k = 0; k < 4; ++k) row.push_back(m[4 * r + k] + (r == k ? 1 : 0));
        map.push_back(row);
      }
      photos.push_back({{"name", photos_.names()[static_cast<size_t>(i)]}, {"map", map}});
    }
    const nlohmann::json document = {{"schema", kSchema}, {"kind", "affine"}, {"photos", photos}};
    // Photos' names are bytes, JSON is UTF-8: what is not becomes U+FFFD.
    write_file(run / "exposure.json",
               document.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }

 protected:
  at::Tensor mapped(int64_t view, const at::Tensor& color) override {
    return affine_mapped(color, map_of(view));
  }

 private:
  nn::Schedule rate_of(const TrainOptions& options) const {
    const double rate = options.affine.rate_of(steps_seen(options, photos_));
    return nn::exponential(rate, rate * options.affine.affine_rate_final_factor, options.steps);
  }
};

class BilateralExposure : public ExposureByRows {
 public:
  BilateralExposure(const TrainOptions& options, const scene::Capture& capture)
      : ExposureByRows(capture), variation_(options.bilateral.grid_variation) {
    const BilateralExposureOptions& o = options.bilateral;
    maps_ = PhotoRows({photos_.size(), o.grid_levels, o.grid_height, o.grid_width, 12}, at::kFloat,
                      rate_of(options));
  }

  at::Tensor regulariser(int64_t view) override {
    if (variation_ == 0) return {};
    return variation_ * grid_variation(map_of(view));
  }
  void update(int64_t step) override { maps_.update(step, {}, "exposure"); }
  nlohmann::json to_json() const override {
    const at::Tensor grey = at::tensor({0.5f, 0.5f, 0.5f, 1.0f});
    return gains_json(1 +
                      maps_.values().mean({1, 2, 3}).view({-1, 3, 4}).matmul(grey).mean(1) / 0.5);
  }
  void write(const std::filesystem::path& run) const override {
    nlohmann::json names = nlohmann::json::array();
    for (const std::string& name : photos_.names()) names.push_back(name);
    write_state(run / "exposure.cov",
                {{{"grids", maps_.values()}},
                 {{"schema", kSchema}, {"kind", "bilateral"}, {"photos", names}}});
  }

 protected:
  at::Tensor mapped(int64_t view, const at::Tensor& color) override {
    return grid_mapped(color, map_of(view));
  }

 private:
  nn::Schedule rate_of(const TrainOptions& options) const {
    const BilateralExposureOptions& o = options.bilateral;
    const double rate = o.rate_of(steps_seen(options, photos_));
    return nn::exponential(rate, rate * o.grid_rate_final_factor, options.steps)
        .warm_up(0.01, o.warm_up_of(options.steps));
  }

  double variation_;
};

}  // namespace

at::Tensor Exposure::applied(int64_t view, const at::Tensor& color, const data::Image8& alpha) {
  const at::Tensor seen = mapped(view, color);
  if (alpha.empty()) return seen;
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
  return nullptr;
}

}  // namespace covary::fit
