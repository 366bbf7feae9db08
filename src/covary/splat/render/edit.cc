#include "covary/splat/render/edit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <map>
#include <numbers>
#include <set>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <Eigen/Geometry>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/machine.h"
#include "covary/core/geometry/morton.h"
#include "covary/splat/render/contribution.h"
#include "covary/splat/render/decimate.h"
#include "covary/splat/render/floaters.h"
#include "covary/splat/render/likeness.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/columns.h"
#include "covary/splat/scene/convex.h"
#include "covary/splat/scene/crop.h"
#include "covary/splat/scene/format.h"
#include "covary/splat/scene/lod.h"
#include "covary/splat/scene/middle.h"
#include "covary/splat/scene/recolour.h"
#include "covary/splat/scene/registration.h"
#include "covary/splat/scene/similarity.h"
#include "covary/splat/scene/upright.h"

namespace covary::render {
namespace {

using Eigen::Matrix4d;
using Eigen::Vector3d;
using nlohmann::json;
using scene::EditStep;

struct Edit {
  EditScene& scene;
  const EditStep& step;
  const EditContext& context;
  json& facts;

  scene::Cloud& cloud() const { return scene.cloud; }
  Vector3d vector(size_t first) const {
    return {step.number(first), step.number(first + 1), step.number(first + 2)};
  }
  // Moves the scene and its cameras.
  void move(const Matrix4d& new_from_old) const {
    scene.cloud = scene::transformed(scene.cloud, new_from_old);
    for (scene::Camera& c : scene.cameras) c = scene::transformed(c, new_from_old);
  }
  void keep(const at::Tensor& rows) const {
    if (!rows.any().item<bool>())
      throw Error(ExitCode::kData, "leaves no splat", flag(),
                  "covary info SCENE shows where they are");
    scene.cloud = scene::select(scene.cloud, rows);
  }
  void keep_side(const at::Tensor& inside) const {
    keep(step.word("keep", "inside") == "inside" ? inside : inside.logical_not());
  }
  std::string flag() const {
    std::string f = "--" + step.name;
    std::replace(f.begin(), f.end(), '_', '-');
    return f;
  }
};

Matrix4d shift_of(const Vector3d& by) {
  Matrix4d m = Matrix4d::Identity();
  m.topRightCorner<3, 1>() = by;
  return m;
}

// The motion about the point that the step names.
Matrix4d about(const Edit& e, const Eigen::Matrix3d& linear) {
  Vector3d pivot = Vector3d::Zero();
  const std::string where = e.step.word("about", "");
  if (where == "centre" || where == "center") {
    pivot = scene::middle_of(e.cloud().means);
  } else if (!where.empty()) {
    const std::vector<double> p = e.step.numbers("about", {});
    pivot = {p[0], p[1], p[2]};
  }
  Matrix4d m = Matrix4d::Identity();
  m.topLeftCorner<3, 3>() = linear;
  m.topRightCorner<3, 1>() = pivot - linear * pivot;
  return m;
}

void translate(const Edit& e) { e.move(shift_of(e.vector(0))); }

void rotate(const Edit& e) {
  const Vector3d angle = e.vector(0) * (std::numbers::pi / 180);
  e.move(about(e, (Eigen::AngleAxisd(angle.z(), Vector3d::UnitZ()) *
                   Eigen::AngleAxisd(angle.y(), Vector3d::UnitY()) *
                   Eigen::AngleAxisd(angle.x(), Vector3d::UnitX()))
                      .toRotationMatrix()));
}

void scale(const Edit& e) { e.move(about(e, e.step.number(0) * Eigen::Matrix3d::Identity())); }

void matrix(const Edit& e) {
  Matrix4d m = Matrix4d::Identity();
  for (size_t i = 0; i < e.step.values.size(); ++i)
    m(static_cast<int>(i / 4), static_cast<int>(i % 4)) = e.step.number(i);
  try {
    e.move(m);
  } catch (const Error& error) {
    throw Error(ExitCode::kUsage, error.message(), e.flag(), error.hint());
  }
}

void upright(const Edit& e) {
  const std::string& how = e.step.values[0];
  const Vector3d middle = scene::middle_of(e.cloud().means);
  const Vector3d seen_up = scene::up_of(e.scene.cameras);
  if (e.step.values.size() == 3) {
    e.move(scene::upright(e.vector(0), {}, middle));
  } else if (how == "cameras") {
    if (seen_up.norm() == 0)
      throw Error(ExitCode::kUsage, "the scene brings no cameras with a common up", e.flag(),
                  "name the capture: --capture DIR, or write where up is: --upright 0,-1,0");
    e.move(scene::upright(seen_up, {}, middle));
  } else {
    // Without cameras up is nearly -y, as scene files have it.
    const auto ground = scene::find_ground(
        e.cloud(), seen_up.norm() > 0 ? seen_up : Vector3d(0, -1, 0), e.context.seed);
    if (!ground)
      throw Error(ExitCode::kData, "no ground is found", e.flag(),
                  "write where up is: --upright 0,-1,0, or --upright cameras");
    e.move(scene::upright(ground->up, ground->height, middle));
    e.facts["share_on_ground"] = ground->share;
  }
}

void align(const Edit& e) {
  if (!e.context.load)
    throw Error(ExitCode::kUsage, "names a scene, and none can be read here", e.flag());
  const scene::Registration r =
      scene::registered(e.cloud(), e.context.load(e.step.values[0]),
                        {.scale = e.step.word("scale", "no") == "yes",
                         .overlap = e.step.number("overlap", scene::RegistrationOptions().overlap),
                         .seed = e.context.seed});
  e.move(r.fixed_from_moving);
  e.facts["distance"] = r.distance;
  json rows = json::array();
  for (int i = 0; i < 4; ++i)
    for (int k = 0; k < 4; ++k) rows.push_back(r.fixed_from_moving(i, k));
  e.facts["matrix"] = rows;
}

void crop_box(const Edit& e) { e.keep_side(scene::in_box(e.cloud(), e.vector(0), e.vector(3))); }

void crop_sphere(const Edit& e) {
  e.keep_side(scene::in_ball(e.cloud(), e.vector(0), e.step.number(3)));
}

void crop_plane(const Edit& e) {
  e.keep_side(scene::above_plane(e.cloud(), e.vector(0), e.step.number(3)));
}

void crop_views(const Edit& e) {
  if (e.scene.cameras.empty())
    throw Error(ExitCode::kUsage, "the scene brings no cameras", e.flag(),
                "name a run, or the capture: --capture DIR");
  const auto least = static_cast<int64_t>(e.step.number(0));
  e.keep_side(scene::seen_by(e.cloud(), e.scene.cameras).ge(least));
}

Expression expression_of(const Edit& e, size_t value) {
  return Expression::parse(e.step.values[value], e.flag());
}

void filter(const Edit& e) { e.keep(scene::rows_where(e.cloud(), expression_of(e, 0))); }

void filter_nan(const Edit& e) {
  // The log of a disc's thickness may be -infinity.
  const at::Tensor sizes = e.cloud().scales.detach().to(at::kCPU, at::kFloat).exp();
  e.keep(scene::finite_rows(e.cloud()).logical_and(sizes.isfinite().all(1)));
}

void sh_degree(const Edit& e) {
  e.cloud() = scene::with_degree(e.cloud(), static_cast<int64_t>(e.step.number(0)));
}

void recolour(const Edit& e) {
  const auto three = [&](const char* key) {
    const std::vector<double> v = e.step.numbers(key, {1, 1, 1});
    return Vector3d(v[0], v[1], v[2]);
  };
  e.cloud() =
      scene::recoloured(e.cloud(), scene::Recolour{.neutral = three("neutral"),
                                                   .exposure = e.step.number("exposure", 0),
                                                   .temperature = e.step.number("temperature", 0),
                                                   .tint = three("tint"),
                                                   .saturation = e.step.number("saturation", 1),
                                                   .contrast = e.step.number("contrast", 1),
                                                   .brightness = e.step.number("brightness", 0),
                                                   .opacity = e.step.number("opacity", 1)});
}

// What tells which splats are seen: the scene's cameras, spread evenly and small, or views from around.
std::vector<scene::Camera> views_for(const Edit& e) {
  constexpr double kMostPixels = 640 * 480;
  const std::vector<scene::Camera>& all = e.scene.cameras;
  if (all.empty())
    return sample_views(e.cloud(), e.context.views, e.context.width, e.context.height);
  std::vector<scene::Camera> views;
  const size_t n = all.size(), k = std::min(n, static_cast<size_t>(e.context.views));
  for (size_t i = 0; i < k; ++i) {
    const scene::Camera& c = all[(2 * i + 1) * n / (2 * k)];
    const double factor = std::sqrt(kMostPixels / (static_cast<double>(c.width) * c.height));
    const auto side = [&](int length) {
      return std::max(1, static_cast<int>(std::lround(factor * length)));
    };
    views.push_back(factor < 1 ? c.scaled(side(c.width), side(c.height)) : c);
  }
  return views;
}

void decimate(const Edit& e) {
  std::string text = e.step.values[0];
  DecimateOptions options;
  if (text.back() == '%') {
    text.pop_back();
    options.target = std::llround(std::stod(text) / 100 * static_cast<double>(e.cloud().size()));
  } else {
    options.target = std::llround(e.step.number(0));
  }
  options.by = e.step.word("by", options.by);
  options.divergence = e.step.number("divergence", options.divergence);
  options.seed = e.context.seed;
  Decimated d = decimated(e.cloud(), views_for(e), options);
  e.cloud() = std::move(d.cloud);
  e.facts["merged"] = d.merged;
  e.facts["dropped"] = d.dropped;
  if (d.merged > 0) e.facts["worst_divergence"] = d.worst;
}

void remove_floaters(const Edit& e) {
  FloaterOptions options;
  options.strength = e.step.number(0);
  const std::vector<scene::Camera> views = views_for(e);
  const Floaters f = find_floaters(e.cloud(), views, options);
  e.facts["floaters"] = f.count;
  e.facts["pieces"] = f.pieces;
  if (e.step.has("preview")) {
    const std::string file = e.step.word("preview", "");
    if (!e.context.dry_run)
      data::write_image(file, preview_of(e.cloud(), f.rows, views[views.size() / 2]));
    e.facts["preview"] = file;
  }
  e.keep(f.rows.logical_not());
}

void lod(const Edit& e) {
  scene::LevelOptions options;
  options.levels = static_cast<int64_t>(e.step.number(0));
  options.ratio = e.step.number("ratio", options.ratio);
  e.cloud() = scene::with_levels(e.cloud(), contribution_sums(e.cloud(), views_for(e)), options);
}

void sort(const Edit& e) {
  const at::Tensor means = e.cloud().means.detach().to(at::kCPU, at::kFloat).contiguous();
  const std::vector<int64_t> order =
      geometry::morton_order(means.const_data_ptr<float>(), means.size(0));
  e.cloud() = scene::select(e.cloud(), at::tensor(order, at::kLong));
}

void set_column(const Edit& e) {
  const std::string& name = e.step.values[0];
  if (scene::is_own_number(name))
    throw Error(ExitCode::kUsage, "'" + name + "' is a number of every splat, no column", e.flag(),
                "choose another name");
  if (e.cloud().footprint == scene::kConvex && scene::is_convex_column(name))
    throw Error(ExitCode::kUsage, "'" + name + "' is of the points of the scene's convexes",
                e.flag(), "choose another name; --scale, --rotate and --translate move them");
  e.cloud().columns[name] = scene::values_of(e.cloud(), expression_of(e, 1)).to(at::kFloat);
}

void drop_columns(const Edit& e) {
  if (e.cloud().footprint == "generalized" &&
      std::find(e.step.values.begin(), e.step.values.end(), "shape") != e.step.values.end())
    throw Error(ExitCode::kUsage, "the scene's primitives need their column 'shape'", e.flag(),
                "formats without columns make Gaussians of them");
  if (e.cloud().footprint == scene::kConvex &&
      std::any_of(e.step.values.begin(), e.step.values.end(), scene::is_convex_column))
    throw Error(ExitCode::kUsage, "the scene's convexes need their columns hull_*", e.flag(),
                "formats without columns make Gaussians of them");
  for (const std::string& name : e.step.values)
    if (e.cloud().columns.erase(name) == 0) {
      std::vector<std::string> names;
      std::string all;
      for (const auto& [key, t] : e.cloud().columns) {
        names.push_back(key);
        all += (all.empty() ? "it has " : ", ") + key;
      }
      const std::string near = nearest_word(name, names);
      throw Error(ExitCode::kUsage, "the scene has no column '" + name + "'", e.flag(),
                  !near.empty() ? "did you mean " + near + "?"
                  : all.empty() ? "it has none beside those of every splat"
                                : all);
    }
}

using Operation = void (*)(const Edit&);

const std::map<std::string, Operation>& operations() {
  static const std::map<std::string, Operation> table = {
      {"translate", translate},
      {"rotate", rotate},
      {"scale", scale},
      {"matrix", matrix},
      {"crop_box", crop_box},
      {"crop_sphere", crop_sphere},
      {"crop_plane", crop_plane},
      {"crop_views", crop_views},
      {"filter", filter},
      {"filter_nan", filter_nan},
      {"sh_degree", sh_degree},
      {"recolour", recolour},
      {"sort", sort},
      {"set_column", set_column},
      {"drop_columns", drop_columns},
      {"decimate", decimate},
      {"upright", upright},
      {"align", align},
      {"lod", lod},
      {"remove_floaters", remove_floaters},
  };
  return table;
}

std::string text_of(const EditStep& s) {
  std::string text = s.name;
  for (size_t i = 0; i < s.values.size(); ++i) text += (i == 0 ? " " : ",") + s.values[i];
  bool first = s.values.empty();
  for (const auto& [key, value] : s.parameters) {
    text += std::string(first ? " " : ",") + key + "=" + value;
    first = false;
  }
  return text;
}

// What makes two cameras the same.
std::array<double, 23> key_of(const scene::Camera& c) {
  std::array<double, 23> key = {
      static_cast<double>(c.width),     static_cast<double>(c.height), c.fx, c.fy, c.cx, c.cy,
      static_cast<double>(c.projection)};
  std::copy_n(c.cam_from_world.data(), 16, key.begin() + 7);
  return key;
}

}  // namespace

void check_files(const std::vector<EditStep>& steps, const EditContext& context) {
  for (const EditStep& s : steps) {
    if (!s.has("preview")) continue;
    const std::filesystem::path file = s.word("preview", "");
    std::error_code ignored;
    if (!context.overwrite && std::filesystem::exists(file, ignored))
      throw Error(ExitCode::kData, "is there already", file.string(),
                  "add --overwrite, or choose another name");
    if (!context.dry_run) AtomicFile probe(file);
  }
}

EditReport edit(EditScene& scene, const EditStep& step, const EditContext& context) {
  check_files({step}, context);
  const at::NoGradGuard no_grad;
  const auto found = operations().find(step.name);
  if (found == operations().end())
    throw Error(ExitCode::kUsage, "is no operation on one scene", step.name);
  if (const int code = interrupted()) throw Interrupted{code};
  EditReport report;
  report.step = text_of(step);
  report.before = scene.cloud.size();
  const double begin = wall_seconds();
  found->second({scene, step, context, report.facts});
  report.seconds = wall_seconds() - begin;
  report.after = scene.cloud.size();
  return report;
}

EditScene edit_scenes(const std::vector<std::function<EditScene()>>& inputs,
                      const std::vector<EditStep>& steps, const EditContext& context,
                      std::vector<EditReport>* reports) {
  check_files(steps, context);
  std::vector<EditScene> scenes;
  size_t entered = 0;
  bool joined = false;
  const auto enter = [&] {
    scenes.push_back(inputs[entered++]());
    joined = false;
  };
  const auto act = [&](const EditStep& s) { reports->push_back(edit(scenes.back(), s, context)); };
  std::vector<EditStep> leading;  // before the first scene
  const auto enter_all = [&] {
    while (entered < inputs.size()) enter();
  };
  const auto join = [&] {
    if (scenes.empty()) enter_all();
    if (scenes.size() > 1) {
      std::vector<scene::Cloud> clouds;
      EditScene all;
      std::set<std::array<double, 23>> known;  // scenes may bring the same cameras
      for (EditScene& s : scenes) {
        clouds.push_back(std::move(s.cloud));
        for (const scene::Camera& c : s.cameras)
          if (known.insert(key_of(c)).second) all.cameras.push_back(c);
      }
      all.cloud = scene::merged(clouds);
      scenes.clear();
      scenes.push_back(std::move(all));
    }
    for (const EditStep& s : leading) act(s);
    leading.clear();
    joined = true;
  };
  size_t to_enter = 0;  // next_scene steps that are still to come
  for (const EditStep& s : steps) to_enter += s.name == "next_scene";
  for (const EditStep& s : steps) {
    to_enter -= s.name == "next_scene";
    // An output may be named before the inputs; there is nothing to join yet.
    if (s.name == "merge" && scenes.empty() && to_enter > 0) continue;
    if (s.name == "next_scene" && entered < inputs.size())
      enter();
    else if (s.name == "next_scene" || s.name == "merge")
      join();
    else if (scenes.empty())
      leading.push_back(s);
    else
      act(s);
  }
  enter_all();
  if (!joined || scenes.size() > 1) join();
  return std::move(scenes.front());
}

}  // namespace covary::render
