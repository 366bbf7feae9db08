#include "covary/splat/fit/evaluate.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/log.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/progress.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/ssim/op.h"
#include "covary/core/eval/image.h"
#include "covary/splat/fit/activate.h"
#include "covary/splat/fit/loss.h"
#include "covary/splat/fit/lpips.h"
#include "covary/splat/fit/pose_fit.h"

namespace covary::fit {
namespace {

constexpr double kErrorRange = 0.25;

at::Tensor as_float(const at::Tensor& image) {
  if (image.scalar_type() != at::kByte) return image.detach().to(at::kFloat).contiguous();
  return image.to(at::kFloat).div_(255);
}

double clamped(float v) { return std::clamp(static_cast<double>(v), 0.0, 1.0); }

std::string stem_of(const std::string& name) {
  std::string stem = std::filesystem::path(name).stem().string();
  for (char& c : stem)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') c = '_';
  return stem.empty() ? "view" : stem;
}

int64_t ply_bytes(const scene::Cloud& cloud) {
  const int64_t rest = cloud.shN.defined() ? 3 * cloud.shN.size(1) : 0;
  return cloud.size() * 4 * (17 + rest);
}

// k of n evenly spaced: the middle of each share. All when k is not below n.
bool is_chosen(int64_t i, int64_t k, int64_t n) {
  k = std::min(k, n);
  return (i + 1) * k / n > i * k / n;
}

template <class F>
double mean_over(const std::vector<ViewScore>& views, F&& figure) {
  double sum = 0;
  for (const auto& v : views) sum += figure(v);
  return views.empty() ? 0 : sum / static_cast<double>(views.size());
}

constexpr const char* kPoses = "poses_fitted";
constexpr const char* kColours = "colours_corrected";
constexpr const char* kBoth = "poses_fitted_colours_corrected";

AdjustedScore adjusted_score(const at::Tensor& image, const Target& target) {
  return {psnr(image, target.image, target.mask),
          compute::ssim(image, target.image, compute::SsimPadding::kZero, target.mask)};
}

AdjustedScores adjusted_scores(const render::Primitives& splats, const scene::View& view,
                               const Target& target, const render::RasterizeOptions& rasterize,
                               const scene::Capture& capture, const EvaluateOptions& options,
                               const at::Tensor& image) {
  AdjustedScores scores;
  const auto corrected = [&](const at::Tensor& picture) {
    return adjusted_score(eval::colour_corrected(picture, as_float(target.image), target.mask),
                          target);
  };
  if (options.correct_colours) scores[kColours] = corrected(image);
  if (!options.fit_poses) return scores;
  const auto seen_after_fit = [&](bool any_colours) {
    const scene::Camera camera =
        fitted_pose(splats, view, target, rasterize, capture, {.any_colours = any_colours});
    return render::rasterize(splats, render::views_of({camera}), rasterize, target.background)
        .color.squeeze(0)
        .clamp(0, 1);
  };
  scores[kPoses] = adjusted_score(seen_after_fit(false), target);
  if (options.correct_colours) scores[kBoth] = corrected(seen_after_fit(true));
  return scores;
}

}  // namespace

std::string adjustment_text(const std::string& name) {
  if (name == kPoses) return "each pose fitted to its photo, scene frozen";
  if (name == kColours) return "colours mapped to each photo's by least squares, 3x4";
  return "each pose fitted to its photo, scene frozen, and colours mapped by least squares, 3x4";
}

bool nothing_counts(const at::Tensor& mask) {
  return mask.defined() && !mask.gt(0).any().item<bool>();
}

double psnr(const at::Tensor& image, const at::Tensor& truth, const at::Tensor& mask) {
  return eval::psnr(as_float(image), as_float(truth), mask);
}

data::Image8 picture(const at::Tensor& image) {
  const at::Tensor whole = as_float(image);
  data::Image8 out(static_cast<int>(whole.size(0)), static_cast<int>(whole.size(1)), 3);
  const float* v = whole.const_data_ptr<float>();
  for (size_t i = 0; i < out.pixels.size(); ++i)
    out.pixels[i] = static_cast<uint8_t>(std::lround(clamped(v[i]) * 255));
  return out;
}

data::Image8 error_picture(const at::Tensor& image, const at::Tensor& truth) {
  const at::Tensor a = as_float(image), b = as_float(truth);
  data::Image8 out(static_cast<int>(a.size(0)), static_cast<int>(a.size(1)), 3);
  const float* x = a.const_data_ptr<float>();
  const float* y = b.const_data_ptr<float>();
  // dark blue, teal, yellow, white
  constexpr double kColors[4][3] = {{13, 16, 48}, {24, 132, 144}, {250, 208, 74}, {255, 255, 255}};
  for (int64_t i = 0; i < a.size(0) * a.size(1); ++i) {
    double error = 0;
    for (int64_t k = 3 * i; k < 3 * i + 3; ++k)
      error += std::abs(clamped(x[k]) - clamped(y[k])) / 3;
    const double t = 3 * std::min(1.0, error / kErrorRange);
    const int low = std::min(2, static_cast<int>(t));
    for (int k = 0; k < 3; ++k)
      out.pixels[static_cast<size_t>(3 * i + k)] = static_cast<uint8_t>(
          std::lround(kColors[low][k] + (t - low) * (kColors[low + 1][k] - kColors[low][k])));
  }
  return out;
}

Evaluation evaluate(const scene::Cloud& scene, const scene::Capture& capture,
                    const EvaluateOptions& options) {
  const at::NoGradGuard no_gradient;
  std::vector<int64_t> indices;
  if (options.split != "test") indices = capture.train;
  if (options.split != "train")
    indices.insert(indices.end(), capture.test.begin(), capture.test.end());
  if (options.split != "test" && options.split != "train" && options.split != "all")
    throw Error(ExitCode::kUsage, "is neither test, train nor all", "split");
  std::sort(indices.begin(), indices.end());
  if (indices.empty())
    throw Error(ExitCode::kData, "has no views of the split " + options.split, capture.name,
                "use --split train, or load it with --test-every 8");
  if (options.max_views > 0) {
    const auto all = static_cast<int64_t>(indices.size());
    std::vector<int64_t> chosen;
    for (int64_t i = 0; i < all; ++i)
      if (is_chosen(i, options.max_views, all)) chosen.push_back(indices[static_cast<size_t>(i)]);
    indices = chosen;
  }

  const std::unique_ptr<Lpips> lpips =
      options.lpips.empty() ? nullptr : std::make_unique<Lpips>(options.lpips);
  Evaluation result;
  result.split = options.split;
  result.precision = options.precision;
  result.count = scene.size();
  result.bytes = ply_bytes(scene);
  render::RasterizeOptions rasterize = options.rasterize;
  rasterize.antialiased = rasterize.antialiased || scene.antialiased;
  const bool in_doubles = options.precision == "double";
  const at::ScalarType type = in_doubles ? at::kDouble : at::kFloat;
  const render::Primitives splats =
      in_doubles ? render::primitives_of(scene::in_double(scene)) : activated(scene);
  const render::Primitives floats = in_doubles && options.fit_poses ? activated(scene) : splats;
  const at::Tensor background =
      at::tensor({capture.background[0], capture.background[1], capture.background[2]});
  const auto n = static_cast<int64_t>(indices.size());
  const int64_t pictures = options.pictures.empty() ? 0 : options.max_pictures;
  if (pictures > 0) make_folder(options.pictures);
  std::unique_ptr<Progress> progress;
  if (options.progress) progress = std::make_unique<Progress>("eval", n, "views");

  for (int64_t i = 0; i < n; ++i) {
    capture.expect({indices.begin() + i, indices.end()}, 2);
    const std::shared_ptr<const scene::View> held = capture.view(indices[static_cast<size_t>(i)]);
    const scene::View& view = *held;
    const Target target = make_target(view, capture, options.mask_mode, background);
    if (nothing_counts(target.mask)) {
      result.unscored.push_back(view.name);
      continue;
    }
    const double began = wall_seconds();
    const at::Tensor image =
        render::rasterize(splats, render::views_of({view.camera}, type), rasterize, background)
            .color.squeeze(0)
            .clamp(0, 1)
            .to(at::kFloat);
    ViewScore score;
    score.seconds = wall_seconds() - began;
    score.name = view.name;
    score.psnr = psnr(image, target.image, target.mask);
    score.psnr_8bit = eval::psnr_8bit(image, as_float(target.image), target.mask);
    score.ssim = compute::ssim(image, target.image, compute::SsimPadding::kZero, target.mask);
    if (lpips) score.lpips = (*lpips)(image, as_float(target.image));
    if (options.fit_poses || options.correct_colours)
      score.adjusted = adjusted_scores(floats, view, target, rasterize, capture, options, image);
    if (result.views.empty()) {
      result.width = view.camera.width;
      result.height = view.camera.height;
    }
    const bool written = is_chosen(i, pictures, n), kept = is_chosen(i, options.kept_pictures, n);
    if (written || kept) {
      ViewPictures three{view.name, picture(target.image), picture(image),
                         error_picture(image, target.image)};
      if (written) {
        const std::filesystem::path base = options.pictures / stem_of(view.name);
        data::write_image(base.string() + "_truth.png", three.truth);
        data::write_image(base.string() + "_render.png", three.render);
        data::write_image(base.string() + "_error.png", three.error);
      }
      if (kept) result.pictures.push_back(std::move(three));
    }
    result.views.push_back(std::move(score));
    if (progress) progress->update(i + 1, {{"PSNR", result.views.back().psnr, "dB"}});
  }
  if (result.views.empty())
    throw Error(ExitCode::kData, "masks leave no pixel of any view", capture.name,
                "check the masks, or use --mask-mode off");
  for (const std::string& name : result.unscored)
    log_info("note: " + name + ": its mask leaves no pixel; it counts in no figure");
  result.psnr = mean_over(result.views, [](const ViewScore& v) { return v.psnr; });
  result.psnr_8bit = mean_over(result.views, [](const ViewScore& v) { return v.psnr_8bit; });
  result.ssim = mean_over(result.views, [](const ViewScore& v) { return v.ssim; });
  result.seconds_per_image = mean_over(result.views, [](const ViewScore& v) { return v.seconds; });
  for (const auto& [name, score] : result.views.front().adjusted)
    result.adjusted[name] = {
        mean_over(result.views, [&](const ViewScore& v) { return v.adjusted.at(name).psnr; }),
        mean_over(result.views, [&](const ViewScore& v) { return v.adjusted.at(name).ssim; })};
  if (lpips)
    result.lpips = mean_over(result.views, [](const ViewScore& v) { return v.lpips.value_or(0); });
  return result;
}

nlohmann::json Evaluation::to_json() const {
  nlohmann::json j = {
      {"psnr", {{"value", psnr}, {"unit", "dB"}, {"of", "float images in [0,1], mean over views"}}},
      {"psnr_8bit", {{"value", psnr_8bit}, {"unit", "dB"}, {"of", "images rounded to 8 bits"}}},
      {"ssim", {{"value", ssim}, {"unit", "1"}, {"of", "window 11, sigma 1.5, zero padding"}}},
      {"unscored", unscored},
      {"lpips", "absent"},
      {"seconds_per_image", {{"value", seconds_per_image}, {"unit", "s"}}},
      {"count", {{"value", count}, {"unit", "primitives"}}},
      {"bytes", {{"value", bytes}, {"unit", "B"}, {"of", "scene.ply"}}},
      {"width", width},
      {"height", height},
      {"precision", precision}};
  if (lpips) j["lpips"] = {{"value", *lpips}, {"unit", "1"}};
  for (const auto& [name, score] : adjusted) {
    const std::string of = adjustment_text(name);
    j["psnr_" + name] = {{"value", score.psnr}, {"unit", "dB"}, {"of", of}};
    j["ssim_" + name] = {{"value", score.ssim}, {"unit", "1"}, {"of", of}};
  }
  j["views"] = nlohmann::json::array();
  for (const auto& v : views) {
    nlohmann::json one = {{"name", v.name},
                          {"psnr", v.psnr},
                          {"psnr_8bit", v.psnr_8bit},
                          {"ssim", v.ssim},
                          {"seconds", v.seconds}};
    if (v.lpips) one["lpips"] = *v.lpips;
    for (const auto& [name, score] : v.adjusted) {
      one["psnr_" + name] = score.psnr;
      one["ssim_" + name] = score.ssim;
    }
    j["views"].push_back(std::move(one));
  }
  return j;
}

void add_to_metrics(const std::filesystem::path& run, const Evaluation& evaluation) {
  const std::filesystem::path file = run / "metrics.json";
  nlohmann::json metrics = {{"schema", "covary-metrics/1"}};
  if (std::filesystem::exists(file)) {
    metrics = nlohmann::json::parse(read_file(file), nullptr, false);
    if (!metrics.is_object())
      throw Error(ExitCode::kData, "is no JSON object", file.string(), "remove it and try again");
  }
  metrics["eval"][evaluation.split] = evaluation.to_json();
  write_file(file, metrics.dump(2) + "\n");
}

}  // namespace covary::fit
