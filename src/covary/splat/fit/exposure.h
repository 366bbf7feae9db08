// Colours of photos fitted together with the scene: each training photo looks at the scene through a colour map of its own, or
// gives the Gaussians colours of its own.
//
//   std::unique_ptr<Exposure> exposure = make_exposure(options, capture);   // null for "none"
//   exposure->start(table, seed);
//   splats.color_offsets = exposure->offsets(3);             // of the Gaussians as photo 3 shows them
//   at::Tensor seen = exposure->applied(3, rendered);        // [H,W,3] as photo 3 shows it, differentiable
//   loss = loss + exposure->regulariser(3);                  // when it is defined
//   ... loss.backward() ...
//   exposure->update(step);
//
// affine: a 3x4 map a photo. Scene and maps could trade any map between them; after each update the mean map of the photos is
// made the identity, so that the scene has the photos' mean look. bilateral: a grid of 3x4 maps a photo over position and
// brightness (color_map.h), kept smooth by its total variation, its rate warming up while the scene takes shape; what is common to
// all photos stays in the maps, so held-out views are to be read by their colour-corrected figure.
//
// embedding: numbers a photo and numbers a Gaussian, from which a network makes what is added to a Gaussian's colour
// (color_offset.h); the Gaussians' numbers are rows "features" of the scene's table, and go where its rows go. After each update
// the mean embedding of the photos is made 0, which is the embedding that adds nothing.
//
// Where a photo is transparent its map acts in proportion to alpha. Held-out views and the exported scene have the identity, and
// nothing added. With exposure_start "exif", maps begin with the gains of exif_gains.h.
// Source: Kerbl et al. 2023, released code (affine); Wang et al. 2024 (bilateral grids); color_offset.h (embedding).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include <ATen/core/Tensor.h>
#include <Eigen/Core>
#include <nlohmann/json.hpp>

#include "covary/core/nn/optim/rows.h"
#include "covary/splat/fit/train_options.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/capture.h"

namespace covary::fit {

class Exposure {
 public:
  virtual ~Exposure() = default;

  // A rendering [H,W,3] as the training photo `view` shows it; alpha: H x W x 1 of the photo, may be empty.
  at::Tensor applied(int64_t view, const at::Tensor& color, const data::Image8& alpha);
  // What that photo adds to the colours of Gaussians; empty = nothing. Holds as long as this and its table's rows.
  virtual render::ColorOffsets offsets(int64_t /*view*/) { return {}; }
  virtual at::Tensor regulariser(int64_t view) = 0;  // scalar, weighted; undefined = none
  virtual void update(int64_t step) = 0;             // photos of this step, after backward
  // As at step 0, with a fresh table of the scene's rows, which stays where it is: adds rows of its own to it.
  virtual void start(nn::RowTable& table, uint64_t seed) = 0;
  virtual void retime(int64_t steps) = 0;  // rates fall over so many steps now

  virtual void save(nn::NamedTensors& arrays, nlohmann::json& document) const = 0;
  // With the table that was saved beside it. Error(kData) naming what does not fit.
  virtual void restore(nn::RowTable& table, const nn::NamedTensors& arrays,
                       const nlohmann::json& document) = 0;

  // What of the scene's colours a photo changes, over the training photos: the mean gain (how a grey of 1/2 comes out, over
  // 1/2; of an embedding with the mean of what was added to the Gaussians when the photo was seen last), the least and
  // the largest.
  virtual nlohmann::json to_json() const = 0;
  // Into a run folder. affine: exposure.json, {"schema": "covary-exposure/1", "kind": "affine", "photos": [{"name",
  // "map": 3x4, which colours (r,g,b,1) are multiplied by}]}. bilateral: exposure.cov, array "grids" [photos,L,GH,GW,12] of what is
  // added to the identity, names of the photos in its document. embedding: exposure.cov, arrays "embeddings" [photos,E],
  // "features" [N,F] in the order of scene.ply, and the network's by the names of color_offset.h; in its document the names of the
  // photos, "degree", and "training_from_scene", 4x4: directions are turned by it before their basis is taken.
  virtual void write(const std::filesystem::path& run,
                     const Eigen::Matrix4d& training_from_scene) const = 0;

 protected:
  // `color` itself where a photo maps nothing.
  virtual at::Tensor mapped(int64_t view, const at::Tensor& color) = 0;
};

std::unique_ptr<Exposure> make_exposure(const TrainOptions& options, const scene::Capture& capture);

// Names of what Exposure::write makes.
constexpr const char* kExposureFiles[] = {"exposure.json", "exposure.cov"};

}  // namespace covary::fit
