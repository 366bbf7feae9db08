// How good a scene is on a capture's views: PSNR, SSIM, LPIPS, seconds an image, count and bytes.
//
//   Evaluation e = evaluate(scene, capture, {.split = "test"});
//   e.psnr        // dB: of each image, then the mean; float images clamped to [0,1]
//   e.psnr_8bit   // the same after rounding both to 8 bits
//
// What a run fitted beside the scene leaves held-out views with a camera or colours that are not quite theirs. The plain
// figures take the views as they are. Asked for, figures with names of their own are given beside them, never instead:
// poses fitted to each photo with the scene frozen (pose_fit.h), colours mapped to each photo's by least squares (3x4), both.
//
// The cloud and the capture are in one frame (a run's scene.ply goes with a capture loaded with
// normalize = false). Masked pixels count in no figure. SSIM: window 11,
// sigma 1.5, zero padding. LPIPS is never replaced by something else: without a TorchScript file it
// is absent.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/cloud.h"

namespace covary::fit {

struct EvaluateOptions {
  std::string split = "test";        // test | train | all
  std::string mask_mode = "ignore";  // off: masks of the views are not looked at
  std::string lpips =
      "";  // TorchScript file: f(a, b) of [1,3,H,W] in [-1,1] -> scalar; empty: absent
  render::RasterizeOptions rasterize = {};  // antialiased is taken from the cloud as well
  std::filesystem::path pictures =
      {};  // folder for NAME_truth.png, NAME_render.png, NAME_error.png; empty: none
  int64_t max_pictures = 1 << 30;   // of so many views, evenly spaced
  int64_t kept_pictures = 0;        // in Evaluation::pictures, of so many views, evenly spaced
  int64_t max_views = 0;            // at most so many, evenly spaced; 0: all
  std::string precision = "float";  // double: drawn by the reference rasteriser
  bool progress = true;
  bool fit_poses = false;  // figures "poses_fitted"
  bool correct_colours =
      false;  // figures "colours_corrected"; with both also "poses_fitted_colours_corrected"
};

// Figures of a view, or their mean, after something was adjusted to the photo: dB, 1.
struct AdjustedScore {
  double psnr = 0, ssim = 0;
};
using AdjustedScores = std::map<std::string, AdjustedScore>;  // by the names above

struct ViewScore {
  std::string name;
  double psnr = 0, psnr_8bit = 0, ssim = 0;  // dB, dB, 1
  AdjustedScores adjusted;
  std::optional<double> lpips;
  double seconds = 0;  // of rendering
};

// What a person compares: three pictures of one size.
struct ViewPictures {
  std::string name;
  data::Image8 truth, render, error;
};

struct Evaluation {
  std::string split;
  std::string precision = "float";
  std::vector<ViewScore> views;
  std::vector<std::string> unscored;  // names of views whose mask leaves no pixel: in no figure
  double psnr = 0, psnr_8bit = 0, ssim = 0, seconds_per_image = 0;
  AdjustedScores adjusted;
  std::optional<double> lpips;
  int64_t count = 0;          // Gaussians
  int64_t bytes = 0;          // of the scene as a .ply
  int width = 0, height = 0;  // px, of the first view
  std::vector<ViewPictures> pictures;

  nlohmann::json to_json() const;  // figures with units, per view under "views"
};

// Error(kData) when the split has no views, or masks leave no pixel of any.
Evaluation evaluate(const scene::Cloud& scene, const scene::Capture& capture,
                    const EvaluateOptions& options);

// What was done to a view before a figure of this name was taken, in words.
std::string adjustment_text(const std::string& name);

// 10 log10(1 / mean squared error) of images [H,W,3], clamped to [0,1], over the pixels that count
// (mask [H,W] float, may be undefined). Float or uint8.
double psnr(const at::Tensor& image, const at::Tensor& truth, const at::Tensor& mask = {});
bool nothing_counts(const at::Tensor& mask);  // psnr of such a view is an Error

// |render - truth| as a picture: channel mean, blue over green and yellow to white at 0.25.
data::Image8 error_picture(const at::Tensor& image, const at::Tensor& truth);
data::Image8 picture(const at::Tensor& image);  // [H,W,3] float -> 8 bit

// Merges an evaluation into RUN/metrics.json under "eval"."SPLIT"; makes the file when it is not
// there.
void add_to_metrics(const std::filesystem::path& run, const Evaluation& evaluation);

}  // namespace covary::fit
