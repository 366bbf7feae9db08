// What the kinds of Exposure share: the rows of the training photos, and figures of their gains.
#pragma once

#include <string>
#include <vector>

#include "covary/splat/fit/exposure.h"
#include "covary/splat/fit/photo_rows.h"

namespace covary::fit {

constexpr const char* kExposureSchema = "covary-exposure/1";

// The training photos' rows.
class Photos {
 public:
  explicit Photos(const scene::Capture& capture);
  int64_t row(int64_t view) const;  // Error(kFailed) for a view that is no training photo
  int64_t size() const { return static_cast<int64_t>(names_.size()); }
  const std::vector<std::string>& names() const { return names_; }
  double steps_seen(const TrainOptions& options) const;  // of each, in the run

 private:
  std::vector<int64_t> row_of_;
  std::vector<std::string> names_;
};

// gains: of each photo, to_json() of Exposure.
nlohmann::json gains_json(const at::Tensor& gains);

// Numbers a training photo, in rows that any kind keeps alike.
class ExposureByRows : public Exposure {
 public:
  void start(nn::RowTable&, uint64_t) override { rows_.reset(); }
  void retime(int64_t steps) override { rows_.retime(steps); }
  void save(nn::NamedTensors& arrays, nlohmann::json& document) const override {
    rows_.save("exposure", arrays, document);
  }
  void restore(nn::RowTable&, const nn::NamedTensors& arrays,
               const nlohmann::json& document) override {
    rows_.restore("exposure", arrays, document);
  }

 protected:
  explicit ExposureByRows(const scene::Capture& capture) : photos_(capture) {}
  at::Tensor row_of(int64_t view) { return rows_.row(photos_.row(view)); }

  Photos photos_;
  PhotoRows rows_;  // made by the kind
};

std::unique_ptr<Exposure> make_embedding_exposure(const TrainOptions& options,
                                                  const scene::Capture& capture);

}  // namespace covary::fit
