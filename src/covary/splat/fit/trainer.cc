#include "covary/splat/fit/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <Eigen/LU>

#include "covary/core/base/error.h"
#include "covary/core/base/log.h"
#include "covary/core/base/random.h"
#include "covary/core/base/stages.h"
#include "covary/core/compute/autograd.h"
#include "covary/core/geometry/morton.h"
#include "covary/core/nn/optim/adam.h"
#include "covary/splat/fit/activate.h"
#include "covary/splat/fit/checkpoint.h"
#include "covary/splat/fit/convex.h"
#include "covary/splat/fit/depth_terms.h"
#include "covary/splat/fit/edge_term.h"
#include "covary/splat/fit/evaluate.h"
#include "covary/splat/fit/frame.h"
#include "covary/splat/fit/robust.h"
#include "covary/splat/fit/sampling_filter.h"
#include "covary/splat/fit/shape.h"
#include "covary/splat/fit/shape_files.h"
#include "covary/splat/fit/start.h"
#include "covary/splat/fit/stride.h"
#include "covary/splat/scene/camera_path.h"
#include "covary/splat/scene/cameras_json.h"

namespace covary::fit {
namespace {

constexpr const char* kSchema = "covary-state/1";
constexpr int64_t kQuickViews = 4;     // of quick_psnr
constexpr int64_t kFilterEvery = 100;  // steps, of sampling_filter.h; besides edits

// Fields that may differ between a run and its resumption: they change no bit of the scene.
const char* const kFreeFields[] = {"checkpoint_every", "eval_every", "capture.photo_cache"};

nlohmann::json options_json(TrainOptions options) { return OptionList(options).to_json(); }

nn::NamedTensors rows_of(const scene::Cloud& cloud) {
  nn::NamedTensors rows{{"means", cloud.means},
                        {"quats", cloud.quats},
                        {"scales", cloud.scales},
                        {"opacities", cloud.opacities},
                        {"sh0", cloud.sh0}};
  if (cloud.shN.defined() && cloud.shN.size(1) > 0) rows["shN"] = cloud.shN;
  return rows;
}

// Ascending, distinct ids of all that some view saw.
at::Tensor seen_by_any(const std::vector<at::Tensor>& ids) {
  if (ids.size() == 1) return ids[0];
  std::vector<int64_t> all;
  for (const at::Tensor& t : ids) {
    const int64_t* p = t.const_data_ptr<int64_t>();
    all.insert(all.end(), p, p + t.numel());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return at::tensor(all, at::kLong);
}

std::string first_difference(const nlohmann::json& a, const nlohmann::json& b,
                             const std::string& path = "") {
  for (const auto& [key, value] : a.items()) {
    std::string here = path;
    if (!here.empty()) here += '.';
    here += key;
    if (std::find(std::begin(kFreeFields), std::end(kFreeFields), here) != std::end(kFreeFields))
      continue;
    const auto other = b.find(key);
    if (other == b.end()) return here;
    if (value.is_object() && other->is_object()) {
      if (const std::string inner = first_difference(value, *other, here); !inner.empty())
        return inner;
    } else if (value != *other) {
      return here;
    }
  }
  return "";
}

// What a state of an earlier version does not know was as it is by default: the first field of `now` that is missing in
// `then` and otherwise.
std::string first_beyond(const nlohmann::json& then, const nlohmann::json& now,
                         const nlohmann::json& defaults) {
  for (const auto& [key, value] : now.items()) {
    const auto before = then.find(key), otherwise = defaults.find(key);
    if (otherwise == defaults.end()) continue;
    if (before == then.end()) {
      if (value != *otherwise) return key;
    } else if (value.is_object() && before->is_object()) {
      if (const std::string inner = first_beyond(*before, value, *otherwise); !inner.empty())
        return key + "." + inner;
    }
  }
  return "";
}

}  // namespace

Trainer::Trainer(scene::Capture capture, TrainOptions options)
    : capture_(std::move(capture)), options_(std::move(options)) {
  options_.check();
  if (capture_.train.empty())
    throw Error(ExitCode::kData, "there are no training views", capture_.name,
                "lower --test-every, or check the capture with `covary info`");
  for (const auto* split : {&capture_.train, &capture_.test})
    for (int64_t i : *split) {
      if (i < 0 || i >= static_cast<int64_t>(capture_.views.size()))
        throw Error(ExitCode::kFailed, "names a view that is not there", capture_.name);
      const scene::View& v = capture_.views[static_cast<size_t>(i)];
      if (!capture_.photos &&
          (v.image.height != v.camera.height || v.image.width != v.camera.width))
        throw Error(ExitCode::kData, "the picture is not of its camera's size", v.name);
      if (options_.primitive == "convex" && v.camera.projection != scene::Projection::kPinhole)
        throw Error(ExitCode::kUsage, "was taken by no pinhole camera, and others see no convexes",
                    v.name, "fit Gaussians: --primitive gaussian");
    }
  extent_ = capture_.extent;
  if (!(extent_ > 0)) throw Error(ExitCode::kFailed, "has no extent", capture_.name);
  if (!options_.depth.empty()) take_depths(capture_, options_.depth, options_.depth_kind);
  if (!options_.normals.empty()) take_normals(capture_, options_.normals);
  const auto views = static_cast<int64_t>(capture_.train.size());
  if (options_.views_per_step > views) {
    log_info("a step takes all " + std::to_string(views) + " training views, not " +
             std::to_string(options_.views_per_step));
    options_.views_per_step = views;
  }
  options_.final_views = std::min(options_.final_views, views);
  levels_ = options_.levels();
  if (options_.strategy == "default") prunes_ = prune_events(options_.growth.prune_schedule);
  if (options_.refine.pose_opt || options_.refine.intrinsics_opt)
    cameras_ = std::make_unique<CameraRefinement>(capture_, options_.refine, options_.steps,
                                                  options_.views_drawn());
  const auto too_small =
      std::count_if(capture_.train.begin(), capture_.train.end(), [&](int64_t i) {
        const scene::Camera& c = capture_.views[static_cast<size_t>(i)].camera;
        return options_.render_stride > 1 &&
               !can_be_strided(c.width, c.height, static_cast<int>(options_.render_stride));
      });
  if (too_small > 0)
    log_info(std::to_string(too_small) + " of " + std::to_string(views) +
             " training photos are too small for --render-stride " +
             std::to_string(options_.render_stride) + ": all their pixels are rendered");
  exposure_ = make_exposure(options_, capture_);
  terms_ = standard_terms(options_);
  const auto known = [&](bool scene::ViewParts::* part) {
    return std::any_of(capture_.train.begin(), capture_.train.end(),
                       [&](int64_t i) { return capture_.parts(i).*part; });
  };
  if (options_.depth_weight_of() > 0) {
    if (!known(&scene::ViewParts::depth))
      throw Error(ExitCode::kData, "no training view knows its depth", capture_.name,
                  "give a folder of maps: --depth FOLDER");
    terms_.push_back(
        depth_term(nn::exponential(options_.depth_weight_of(),
                                   options_.depth_weight_of() * options_.loss.depth_final_factor,
                                   options_.steps),
                   extent_));
  }
  if (options_.normal_weight_of() > 0) {
    if (!known(&scene::ViewParts::normal))
      throw Error(ExitCode::kData, "no training view knows its normals", capture_.name,
                  "give a folder of maps: --normals FOLDER");
    terms_.push_back(normal_term(nn::constant(options_.normal_weight_of())));
  }
  if (options_.loss.sparse_depth_weight > 0) {
    if (std::none_of(capture_.train.begin(), capture_.train.end(), [&](int64_t i) {
          return !capture_.views[static_cast<size_t>(i)].seen_points.empty();
        }))
      throw Error(ExitCode::kData, "no training photo says which points it sees", capture_.name,
                  "tracks of points are read from models of COLMAP and OpenMVG; for others give "
                  "depth maps: --depth FOLDER");
    terms_.push_back(sparse_depth_term(nn::constant(options_.loss.sparse_depth_weight),
                                       capture_.points.positions, extent_));
  }
  if (options_.primitive == "ges" && options_.ges.edge_weight > 0)
    terms_.push_back(edge_term(options_.ges.edge_weight, options_.ges.edge_mask_from));
  if (options_.primitive == "convex" && options_.convex.mask_weight > 0)
    terms_.push_back(mask_term(table_, options_.convex.mask_weight));
  strategy_ = make_strategy(options_.strategy, options_);
}

Trainer::~Trainer() = default;

void Trainer::start(uint64_t seed) {
  seed_ = seed;
  step_ = 0;
  pruned_ = 0;
  take_caps(nlohmann::json::array());
  if (cameras_) cameras_->reset(capture_);
  scene::Cloud cloud = starting_cloud(capture_, options_, seed);
  const SceneFacts facts = scene_facts();
  const bool convex = options_.primitive == "convex";
  if (convex) cloud = convexes_at_start(cloud, options_.convex, extent_, facts.focal);
  const OptimizerOptions& o = options_.optimizer;
  const auto decaying = [&](double first, double factor) {
    return nn::exponential(first, first * factor, options_.steps);
  };
  const ConvexOptions::Settings c = options_.convex.resolved();
  const std::map<std::string, nn::Schedule> rates = {
      {"points", decaying(c.lr_points * extent_, options_.convex.lr_points_final_factor)},
      {"delta", decaying(options_.convex.lr_delta, o.lr_final_factor)},
      {"sigma", decaying(c.lr_sigma, o.lr_final_factor)},
      {"mask", decaying(options_.convex.lr_mask, o.lr_final_factor)},
      {"means", decaying(o.lr_means * extent_, o.lr_means_final_factor)},
      {"quats", decaying(o.lr_quats, o.lr_final_factor)},
      {"scales", decaying(o.lr_scales, o.lr_final_factor)},
      {"opacities",
       decaying(convex ? options_.convex.lr_opacities : o.lr_opacities, o.lr_final_factor)},
      {"sh0", decaying(o.lr_sh0, o.lr_final_factor)},
      {"shN", decaying(o.lr_shN, o.lr_final_factor)}};
  table_ = nn::RowTable();
  for (const auto& [name, value] : convex ? convex_rows(cloud) : rows_of(cloud))
    table_.add(name, value, rates.at(name));
  if (options_.primitive == "ges")
    add_shape(table_, options_.ges, cloud, decaying(options_.ges.lr_shape, o.lr_final_factor));
  order_rows();
  if (options_.filter_3d) update_sampling_filter(table_, training_cameras());
  if (exposure_) exposure_->start(table_, seed_);
  strategy_->init(table_, facts);
}

std::vector<scene::Camera> Trainer::training_cameras() const {
  std::vector<scene::Camera> cameras;
  for (const int64_t i : capture_.train)
    cameras.push_back(capture_.views[static_cast<size_t>(i)].camera);
  return cameras;
}

SceneFacts Trainer::scene_facts() const {
  const std::vector<scene::Camera> cameras = training_cameras();
  double focal = 0;
  for (const scene::Camera& camera : cameras)
    focal += std::sqrt(camera.fx * camera.fy) / static_cast<double>(cameras.size());
  return {.extent = extent_,
          .seed = seed_,
          .focus = scene::CameraPath(cameras).focus(),
          .views = static_cast<int64_t>(cameras.size()),
          .focal = focal};
}

// A view sees a part of space: where its Gaussians are neighbours in memory, too, every gather and every update of
// rows is faster.
void Trainer::order_rows() {
  const at::Tensor means =
      table_.has("means") ? table_.parameter("means").detach() : convex_centres(table_);
  table_.gather(
      at::tensor(geometry::morton_order(means.const_data_ptr<float>(), count()), at::kLong));
}

int Trainer::sh_degree() const {
  const int64_t every = options_.sh_every_of();
  const int64_t reached = every > 0 ? step_ / every : options_.sh_degree;
  return static_cast<int>(std::min(options_.sh_degree, reached));
}

double Trainer::lr_means(int64_t step) const {
  return table_.entry(table_.has("means") ? "means" : "points").rate.at(step);
}

double Trainer::division() const { return division_at(levels_, step_ + 1, options_.steps); }

int64_t Trainer::drawn_before(int64_t step) const {
  return views_before(levels_, options_.views_per_step, step, options_.steps);
}

std::vector<int64_t> Trainer::order_of(int64_t epoch) const {
  const auto n = static_cast<int64_t>(capture_.train.size());
  const auto shuffled = [&](int64_t e) {
    return Random(seed_, stream_of("train.views", static_cast<uint64_t>(e))).permutation(n);
  };
  std::vector<int64_t> order = shuffled(epoch);
  // A step that begins in the epoch before and ends in this one sees no view twice: those that it has seen wait.
  const int64_t begin = epoch * n;
  if (begin == 0) return order;
  int64_t low = 1,
          high =
              begin + 1;  // the step that draws `begin`: the last that has drawn no more before it
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (drawn_before(middle) <= begin)
      low = middle;
    else
      high = middle - 1;
  }
  const int64_t before = begin - drawn_before(low), after = drawn_before(low + 1) - begin;
  if (before == 0 || before + after > n / 2) return order;  // see views_of_step
  const std::vector<int64_t> previous = shuffled(epoch - 1);
  const auto waits = [&](int64_t view) {
    return std::find(previous.end() - before, previous.end(), view) != previous.end();
  };
  // The first `after` that need not wait come first; they are among the first before + after.
  std::vector<int64_t> first, rest;
  for (auto view = order.begin(); view != order.begin() + before + after; ++view)
    (static_cast<int64_t>(first.size()) < after && !waits(*view) ? first : rest).push_back(*view);
  std::copy(rest.begin(), rest.end(), std::copy(first.begin(), first.end(), order.begin()));
  return order;
}

std::vector<int64_t> Trainer::views_drawn(int64_t begin, int64_t end) const {
  const auto n = static_cast<int64_t>(capture_.train.size());
  std::vector<int64_t> views, order;
  int64_t epoch = -1;
  for (int64_t drawn = begin; drawn < end; ++drawn) {
    if (drawn / n != epoch) {
      epoch = drawn / n;
      order = order_of(epoch);
    }
    views.push_back(capture_.train[static_cast<size_t>(order[static_cast<size_t>(drawn % n)])]);
  }
  return views;
}

std::vector<int64_t> Trainer::views_of_step(int64_t step) const {
  const auto n = static_cast<int64_t>(capture_.train.size());
  const int64_t begin = drawn_before(step), count = drawn_before(step + 1) - begin;
  if (count == 1 || count <= n / 2) return views_drawn(begin, begin + count);
  // Of few views nearly all are seen by a step: it has an order of its own.
  std::vector<int64_t> views =
      Random(seed_, stream_of("train.views_of_step", static_cast<uint64_t>(step))).permutation(n);
  views.resize(static_cast<size_t>(std::min(n, count)));
  for (int64_t& v : views) v = capture_.train[static_cast<size_t>(v)];
  return views;
}

std::vector<int64_t> Trainer::views_to_come(int64_t step) const {
  const auto n = static_cast<int64_t>(capture_.train.size());
  const int64_t begin = drawn_before(step);
  return views_drawn(begin, (begin / n + 2) * n);
}

render::Primitives Trainer::primitives() const {
  const bool rest = table_.has("shN") && sh_degree() > 0;
  if (options_.primitive == "convex") return convex_primitives(table_, options_.convex, rest);
  render::Primitives out =
      activated(table_.parameter("means"), table_.parameter("quats"), table_.parameter("scales"),
                table_.parameter("opacities"), table_.parameter("sh0"),
                rest ? table_.parameter("shN") : at::Tensor());
  if (options_.antialias == "analytic") out.footprint = "analytic";
  if (table_.has(kShape)) shaped(table_.parameter(kShape), options_.ges, out);
  if (options_.filter_3d) filtered(table_.statistic(kSamplingFilter), out);
  return out;
}

render::RasterizeOptions Trainer::raster_options() const {
  return {.antialiased = options_.antialias == "mip",
          .absolute_gradients = strategy_->reads_absolute_gradients(),
          .depth = options_.depth_weight_of() > 0 || options_.loss.sparse_depth_weight > 0,
          .normal = options_.normal_weight_of() > 0,
          .sh_degree = sh_degree(),
          .sparse_sh_gradients = options_.optimizer.visible_only};
}

at::Tensor Trainer::background_of(int64_t step, int64_t view) const {
  at::Tensor background = at::empty({3}, at::kFloat);
  float* b = background.data_ptr<float>();
  const bool random = capture_.random_background || options_.capture.mask_mode == "empty";
  const Random random_of(seed_, stream_of("train.background", static_cast<uint64_t>(step)));
  for (int k = 0; k < 3; ++k)
    b[k] = random ? static_cast<float>(random_of.uniform(static_cast<uint64_t>(3 * view + k)))
                  : capture_.background[k];
  return background;
}

int Trainer::stride_of(int64_t step, int width, int height) const {
  const auto stride = static_cast<int>(options_.render_stride);
  const bool whole = static_cast<double>(step) >
                     options_.render_stride_until * static_cast<double>(options_.steps);
  return whole || !can_be_strided(width, height, stride) ? 1 : stride;
}

StepResult Trainer::step() {
  if (capture_.photos)  // those of this step and the next, while this one is at work
    coarse_.expect(capture_, views_to_come(step_ + 1),
                   static_cast<size_t>(drawn_before(step_ + 3) - drawn_before(step_ + 1)),
                   division());
  return step(views_of_step(step_ + 1));
}

StepResult Trainer::step(const std::vector<int64_t>& views) {
  const StageTimer whole("step");
  const at::AutoGradMode gradient(true);  // also for a caller who needs none of his own
  StepResult result;
  const int64_t step = step_ + 1;
  const double division = this->division();
  std::vector<at::Tensor> seen;
  const auto add = [&](const std::string& name, double value) {
    result.terms[name] += value / static_cast<double>(views.size());
  };
  // What is activated once a step is differentiated once, by the sum over the views.
  const render::Primitives activated = primitives();
  render::Primitives splats = activated;
  if (activated.scales.defined()) splats.scales = activated.scales.detach().requires_grad_();
  const bool made_means = !activated.means.is_leaf();  // of points
  if (made_means) splats.means = activated.means.detach().requires_grad_();
  splats.opacities = activated.opacities.detach().requires_grad_();
  if (activated.extras.defined()) splats.extras = activated.extras.detach().requires_grad_();
  int64_t drawn = drawn_before(step);
  for (const int64_t index : views) {
    const std::shared_ptr<const scene::View> held =
        in_stage("target", [&] { return coarse_.at(capture_, index, division); });
    const int width = held->image.width, height = held->image.height,
              stride = stride_of(step, width, height);
    const PixelOffset offset =
        stride_offset(seed_, index, drawn++ / static_cast<int64_t>(capture_.train.size()), stride);
    std::optional<scene::View> part;
    if (stride > 1) part = in_stage("target", [&] { return strided(*held, stride, offset); });
    const scene::View& view = part ? *part : *held;
    const at::Tensor background = background_of(step, index);
    Target target = in_stage("target", [&] {
      return make_target(view, capture_, options_.capture.mask_mode, background);
    });
    if (exposure_) splats.color_offsets = exposure_->offsets(index);
    render::RasterizeOptions raster = raster_options();
    raster.color_gradients = strategy_->reads_color_gradients(step);
    raster.largest_weights = strategy_->reads_largest_weights(step);
    raster.stride = stride;
    raster.offset_x = offset.x;
    raster.offset_y = offset.y;
    render::Rendered rendered = render::rasterize(
        splats, cameras_ ? cameras_->views(index, width, height) : render::views_of({view.camera}),
        raster, background);
    if (exposure_)
      rendered.color = in_stage("exposure", [&] {
        return exposure_->applied(index, rendered.color.squeeze(0), view.alpha).unsqueeze(0);
      });
    if (options_.robust.on() && step > options_.robust.start_of(options_.steps)) {
      const StageTimer stage("robust");
      const at::Tensor weights =
          believed(rendered.color.squeeze(0), target.image, target.mask, options_.robust.rule());
      const double counted = target.mask.defined() ? target.mask.sum().item<double>()
                                                   : static_cast<double>(weights.numel());
      add("left_out", counted > 0 ? 1 - weights.sum().item<double>() / counted : 0);
      target.mask = weights;
    }
    const LossContext context{step, view, target, rendered, splats, options_.steps};
    at::Tensor loss = at::zeros({}, at::kFloat);
    std::optional<StageTimer> stage(std::in_place, "loss");
    stage->add_items(rendered.color.numel());
    for (size_t t = 0; t < terms_.size(); ++t) {
      const double weight = terms_[t].weight.at(step);
      double value = 0;
      if (weight != 0) {
        const TermValue term = terms_[t].value(context);
        value = term.value.item<double>();
        loss = loss + weight * term.value;
        for (const auto& [name, part] : term.parts) add(name, part);
      }
      add(terms_[t].name, value);
    }
    if (const at::Tensor r = exposure_ ? exposure_->regulariser(index) : at::Tensor();
        r.defined()) {
      loss = loss + r;
      add("exposure", r.item<double>());
    }
    stage.reset();
    const double value = loss.item<double>();
    if (!std::isfinite(value))
      throw Error(ExitCode::kFailed,
                  "the loss is no longer a number at step " + std::to_string(step), view.name,
                  "lower the learning rates (--set optimizer.lr_means=...), or check the capture");
    result.loss += value;
    const at::Tensor picture = rendered.color.squeeze(0);
    ViewFacts facts{step, index,   view.camera,  rendered.footprints.at(0),
                    loss, picture, target.image, target.mask};
    in_stage("strategy", [&] { strategy_->before_backward(facts); });
    if (loss.requires_grad()) in_stage("backward", [&] { loss.backward(); });
    if (splats.extras.defined()) facts.extras_gradient = splats.extras.grad();
    in_stage("strategy", [&] { strategy_->after_backward(facts); });
    seen.push_back(rendered.footprints[0].ids);
  }
  in_stage("backward", [&] {
    compute::Tensors outputs{activated.opacities}, gradients{splats.opacities.grad()};
    const auto also = [&](const at::Tensor& from, const at::Tensor& leaf) {
      if (!leaf.defined()) return;
      outputs.push_back(from);
      gradients.push_back(leaf.grad());
    };
    also(activated.scales, splats.scales);
    also(activated.extras, splats.extras);
    if (made_means) also(activated.means, splats.means);
    compute::backward(outputs, gradients);
  });

  const OptimizerOptions& o = options_.optimizer;
  nn::Adam adam(table_, {.beta1 = o.beta1,
                         .beta2 = o.beta2,
                         .eps = o.eps,
                         .batch = o.batch_of(static_cast<int64_t>(views.size())),
                         .rows = "selective"});
  adam.step(nn::gradients(table_), step, o.visible_only ? seen_by_any(seen) : at::Tensor());
  nn::zero_gradients(table_);
  if (cameras_) cameras_->update(step, capture_);
  if (exposure_) exposure_->update(step);
  step_ = step;
  result.edits = in_stage("strategy", [&] {
    Edits edits = strategy_->after_step({.step = step, .lr_means = lr_means(step)});
    if (table_.has(kShape))
      edits.pruned += prune_shapes(table_, options_.ges, step, options_.steps);
    if (edits.rows()) order_rows();
    return edits;
  });
  // One after the other, each once: a clock may move the step that an event belongs to.
  if (pruned_ < prunes_.size() && due(prunes_[pruned_], step, options_.steps))
    result.edits.pruned +=
        in_stage("strategy", [&] { return drop_insensitive(prunes_[pruned_++].share); });
  if (table_.has(kShape) && shape_reset_due(options_.ges, step, options_.steps))
    reset_shape(table_);
  if (options_.filter_3d && (result.edits.rows() || step % kFilterEvery == 0))
    update_sampling_filter(table_, training_cameras());
  return result;
}

int64_t Trainer::drop_insensitive(double share) {
  const auto dropped = static_cast<int64_t>(share * static_cast<double>(count()));
  if (dropped == 0) return 0;
  const at::NoGradGuard no_gradient;
  const render::Primitives splats = primitives();
  at::Tensor sums = at::zeros({count()}, at::kDouble);
  for (const int64_t index : capture_.train) {
    const scene::Camera& camera = capture_.views[static_cast<size_t>(index)].camera;
    render::RasterizeOptions raster = raster_options();
    raster.depth = raster.normal = false;
    raster.sensitivities = true;
    raster.stride = stride_of(step_, camera.width, camera.height);
    const PixelOffset offset = stride_offset(seed_, index, step_, raster.stride);
    raster.offset_x = offset.x;
    raster.offset_y = offset.y;
    const render::Footprints seen =
        render::rasterize(splats,
                          cameras_ ? cameras_->views(index, camera.width, camera.height)
                                   : render::views_of({camera}),
                          raster, background_of(step_, index))
            .footprints[0];
    sums.index_add_(0, seen.ids, seen.sensitivities);
  }
  at::Tensor keep = at::ones({count()}, at::kBool);
  keep.index_fill_(0, std::get<1>(sums.sort(true, 0, false)).narrow(0, 0, dropped), false);
  table_.drop(keep);
  return dropped;
}

scene::Cloud Trainer::cloud() const {
  if (options_.primitive == "convex") return convex_cloud(values_of(table_), options_.convex);
  const auto part = [&](const char* name) { return table_.parameter(name).detach(); };
  scene::Cloud cloud;
  cloud.means = part("means");
  cloud.quats = part("quats");
  cloud.scales = part("scales");
  cloud.opacities = part("opacities");
  cloud.sh0 = part("sh0");
  cloud.shN = table_.has("shN") ? part("shN") : at::zeros({count(), 0, 3}, at::kFloat);
  cloud.antialiased = options_.antialias == "mip";
  if (options_.antialias == "analytic") cloud.footprint = "analytic";
  if (table_.has(kShape)) with_shape(part(kShape), options_.ges, cloud);
  if (options_.filter_3d) with_filter(table_.statistic(kSamplingFilter), cloud);
  return cloud;
}

Eigen::Matrix4d Trainer::capture_from_training() const {
  Eigen::Matrix4d out = capture_.scene_from_capture.inverse();
  if (cameras_) out *= cameras_->refined_from_given().inverse();
  return out;
}

scene::Cloud Trainer::exported() const {
  scene::Cloud out = transformed(cloud(), capture_from_training());
  for (at::Tensor* t : {&out.means, &out.quats, &out.scales, &out.opacities, &out.sh0, &out.shN})
    *t = t->clone();
  return out;
}

double Trainer::quick_psnr() const {
  const at::NoGradGuard no_gradient;
  const std::vector<int64_t>& from = capture_.test.empty() ? capture_.train : capture_.test;
  const auto n = static_cast<int64_t>(from.size()), k = std::min(n, kQuickViews);
  const render::Primitives splats = primitives();
  const at::Tensor background =
      at::tensor({capture_.background[0], capture_.background[1], capture_.background[2]});
  double sum = 0;
  int64_t scored = 0;
  for (int64_t i = 0; i < k; ++i) {
    const std::shared_ptr<const scene::View> held =
        capture_.view(from[static_cast<size_t>((2 * i + 1) * n / (2 * k))]);
    const scene::View& view = *held;
    const Target target = make_target(view, capture_, options_.capture.mask_mode, background);
    if (nothing_counts(target.mask)) continue;
    ++scored;
    const render::Rendered out =
        render::rasterize(splats, render::views_of({view.camera}), raster_options(), background);
    sum += psnr(out.color.squeeze(0), target.image, target.mask);
  }
  return sum / static_cast<double>(scored);  // NaN when masks leave nothing of these views
}

void Trainer::retime(int64_t steps) {
  options_.steps = steps;
  table_.retime(steps);
  if (cameras_) cameras_->retime(steps);
  if (exposure_) exposure_->retime(steps);
  strategy_->retime(steps);
}

bool Trainer::recap(int64_t max_gaussians) {
  if (max_gaussians < 1)
    throw Error(ExitCode::kUsage, "is no number of Gaussians", "max_gaussians");
  if (!strategy_->recap(max_gaussians)) return false;
  caps_.push_back({step_, max_gaussians});
  return true;
}

int64_t Trainer::max_gaussians() const {
  return caps_.empty() ? options_.max_gaussians_of() : caps_.back().max_gaussians;
}

void Trainer::take_caps(const nlohmann::json& caps) {
  const bool had = !caps_.empty();
  caps_.clear();
  for (const nlohmann::json& cap : caps)
    caps_.push_back({cap.at("step").get<int64_t>(), cap.at("max_gaussians").get<int64_t>()});
  if (had || !caps_.empty()) strategy_->recap(max_gaussians());
}

nlohmann::json Trainer::caps_json() const {
  nlohmann::json caps = nlohmann::json::array();
  for (const Cap& cap : caps_)
    caps.push_back({{"step", cap.step}, {"max_gaussians", cap.max_gaussians}});
  return caps;
}

void Trainer::save_checkpoint(const std::filesystem::path& file) const {
  nlohmann::json files = nlohmann::json::object();
  for (const auto& [name, checksum] : capture_.files) files[name] = checksum;
  State state{table_.arrays(),
              {{"schema", kSchema},
               {"step", step_},
               {"steps", options_.steps},
               {"paced", paced_},
               {"seed", seed_},
               {"options", options_json(options_)},
               {"capture_files", files},
               {"views", capture_.views.size()},
               {"scene_from_capture", scene::matrix_to_json(capture_.scene_from_capture)},
               {"table", table_.description()},
               {"strategy", strategy_->state()}}};
  if (!caps_.empty()) state.document["caps"] = caps_json();
  if (pruned_ > 0) state.document["pruned"] = pruned_;
  if (cameras_) cameras_->save(state.arrays, state.document);
  if (exposure_) exposure_->save(state.arrays, state.document);
  write_state(file, state);
}

void Trainer::load_checkpoint(const std::filesystem::path& file) {
  const State state = read_state(file);
  const nlohmann::json& d = state.document;
  const auto refuse = [&](const std::string& what, const std::string& hint) {
    throw Error(ExitCode::kData, what, file.string(), hint);
  };
  try {
    if (d.at("schema") != kSchema)
      refuse("is no state of a fit", "give a run folder of covary train");
    if (d.value("paced", false)) {  // its number of steps is where its clock had come to
      paced_ = true;
      retime(d.at("steps").get<int64_t>());
    }
    const nlohmann::json now = options_json(options_);
    std::string field = first_difference(d.at("options"), now);
    if (field.empty()) field = first_beyond(d.at("options"), now, options_json(TrainOptions{}));
    if (!field.empty())
      throw Error(ExitCode::kUsage, "differs from the run to be resumed", field,
                  "resume with the options it began with, or start anew with --overwrite");
    if (d.at("views") != capture_.views.size())
      refuse("the capture has other views than when the run began", "start anew with --overwrite");
    for (const auto& [name, checksum] : capture_.files)
      if (d.at("capture_files").value(name, checksum) != checksum)
        refuse(name + " of the capture has changed since the run began",
               "start anew with --overwrite");
    table_ = nn::RowTable::restore(state.arrays, d.at("table"));
    const bool convex = options_.primitive == "convex";
    for (const char* name : convex ? std::initializer_list<const char*>{"points", "delta", "sigma",
                                                                        "mask", "opacities", "sh0"}
                                   : std::initializer_list<const char*>{"means", "quats", "scales",
                                                                        "opacities", "sh0"})
      if (!table_.has(name)) refuse(std::string("lacks ") + name, "start anew with --overwrite");
    step_ = d.at("step").get<int64_t>();
    seed_ = d.at("seed").get<uint64_t>();
    strategy_->resume(table_, scene_facts(), d.at("strategy"));
    take_caps(d.value("caps", nlohmann::json::array()));
    pruned_ = std::min<size_t>(d.value("pruned", size_t{0}), prunes_.size());
    if (cameras_) {
      cameras_->restore(state.arrays, d);
      cameras_->write_to(capture_);
    }
    if (exposure_) exposure_->restore(table_, state.arrays, d);
  } catch (const nlohmann::json::exception& e) {
    refuse(std::string("the state cannot be read: ") + e.what(), "start anew with --overwrite");
  }
}

}  // namespace covary::fit
