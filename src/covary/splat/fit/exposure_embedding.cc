// --exposure embedding: see exposure.h and color_offset.h.
#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/splat/fit/checkpoint.h"
#include "covary/splat/fit/color_offset.h"
#include "covary/splat/fit/exposure_parts.h"
#include "covary/splat/fit/loss.h"
#include "covary/splat/scene/cameras_json.h"

namespace covary::fit {
namespace {

constexpr const char* kFeatures = "features";

// Standard normals times `size`, a function of (seed, name, element).
at::Tensor drawn(at::IntArrayRef shape, double size, uint64_t seed, std::string_view name) {
  at::Tensor out = at::empty(shape, at::kFloat);
  float* p = out.mutable_data_ptr<float>();
  const Random random(seed, stream_of(name));
  for (int64_t i = 0; i < out.numel(); ++i)
    p[i] = static_cast<float>(size * random.normal(static_cast<uint64_t>(i)));
  return out;
}

class EmbeddingExposure : public ExposureByRows {
 public:
  EmbeddingExposure(const TrainOptions& options, const scene::Capture& capture)
      : ExposureByRows(capture),
        options_(options.embedding),
        shape_{.embedding = options_.embedding_size,
               .features = options_.feature_size,
               .degree = static_cast<int>(options_.direction_degree)},
        steps_(options.steps) {
    rows_ =
        PhotoRows({photos_.size(), shape_.embedding}, at::kFloat, falling(options_.embedding_rate));
    network_ = PhotoRows({1, shape_.count()}, at::kFloat, falling(options_.network_rate));
    added_ = at::zeros({photos_.size()}, at::kDouble);
  }

  void start(nn::RowTable& table, uint64_t seed) override {
    ExposureByRows::start(table, seed);
    network_.reset();
    added_.zero_();
    table_ = &table;
    rows_.values().copy_(drawn(rows_.values().sizes(), kEmbeddingSize, seed, "embedding.photos"));
    rows_.center();
    network_.values().select(0, 0).copy_(starting_weights(shape_, seed));
    table.add(kFeatures,
              drawn({table.rows(), shape_.features}, kFeatureSize, seed, "embedding.features"),
              falling(options_.feature_rate));
  }

  render::ColorOffsets offsets(int64_t view) override {
    const int64_t photo = photos_.row(view);
    return [this, photo](const at::Tensor& ids, const at::Tensor& directions) {
      const at::Tensor offsets = color_offsets(shape_, network_.row(0), rows_.row(photo),
                                               table_->parameter(kFeatures), ids, directions);
      added_.mutable_data_ptr<double>()[photo] = ordered_mean(offsets.detach()).item<double>();
      last_ = offsets;
      return offsets;
    };
  }

  at::Tensor regulariser(int64_t) override {
    if (options_.offset_penalty == 0 || !last_.defined()) return {};
    return options_.offset_penalty * ordered_mean(last_.square());
  }

  void update(int64_t step) override {
    rows_.update(step, {.weight_decay = options_.embedding_decay}, "exposure");
    rows_.center();
    network_.update(step, {}, "exposure");
    last_.reset();
  }

  void retime(int64_t steps) override {
    steps_ = steps;
    ExposureByRows::retime(steps);
    network_.retime(steps);
  }

  void save(nn::NamedTensors& arrays, nlohmann::json& document) const override {
    ExposureByRows::save(arrays, document);
    network_.save("exposure_network", arrays, document);
    arrays["exposure_added"] = added_;
  }

  void restore(nn::RowTable& table, const nn::NamedTensors& arrays,
               const nlohmann::json& document) override {
    ExposureByRows::restore(table, arrays, document);
    network_.restore("exposure_network", arrays, document);
    const auto added = arrays.find("exposure_added");
    if (added == arrays.end() || !added->second.is_same_size(added_) ||
        added->second.scalar_type() != at::kDouble)
      throw Error(ExitCode::kData, "is missing or of another shape", "exposure_added",
                  "start anew with --overwrite");
    if (!table.has(kFeatures) || table.parameter(kFeatures).dim() != 2 ||
        table.parameter(kFeatures).size(1) != shape_.features)
      throw Error(ExitCode::kData, "is missing or of another shape", kFeatures,
                  "start anew with --overwrite");
    added_.copy_(added->second);
    table_ = &table;
  }

  nlohmann::json to_json() const override { return gains_json(1 + added_ / 0.5); }

  void write(const std::filesystem::path& run,
             const Eigen::Matrix4d& training_from_scene) const override {
    nlohmann::json names = nlohmann::json::array();
    for (const std::string& name : photos_.names()) names.push_back(name);
    State state{named_weights(shape_, network_.values().select(0, 0)),
                {{"schema", kExposureSchema},
                 {"kind", "embedding"},
                 {"photos", names},
                 {"degree", shape_.degree},
                 {"training_from_scene", scene::matrix_to_json(training_from_scene)}}};
    state.arrays["embeddings"] = rows_.values();
    state.arrays["features"] = table_->parameter(kFeatures).detach();
    write_state(run / "exposure.cov", state);
  }

 protected:
  at::Tensor mapped(int64_t, const at::Tensor& color) override { return color; }

 private:
  static constexpr double kEmbeddingSize = 0.1,
                          kFeatureSize = 0.1;  // standard deviations, at the start

  nn::Schedule falling(double rate) const {
    return nn::exponential(rate, rate * options_.embedding_rate_final_factor, steps_);
  }

  EmbeddingExposureOptions options_;
  OffsetNetwork shape_;
  int64_t steps_;
  PhotoRows network_;  // one row: the weights
  at::Tensor added_;   // [photos] mean of what a photo last added to the colours
  nn::RowTable* table_ = nullptr;
  at::Tensor last_;  // [M,3] the offsets handed out last, for the regulariser
};

}  // namespace

std::unique_ptr<Exposure> make_embedding_exposure(const TrainOptions& options,
                                                  const scene::Capture& capture) {
  return std::make_unique<EmbeddingExposure>(options, capture);
}

}  // namespace covary::fit
