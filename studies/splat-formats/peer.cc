// Bar 2 of splat-formats: conversions beside PlayCanvas's splat-transform, both in this run. It is the program that
// $COVARY_SPLAT_TRANSFORM names, or else one of that name in $PATH; without it these bars are skipped.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/random.h"
#include "covary/core/data/video.h"
#include "covary/splat/render/likeness.h"
#include "covary/splat/scene/format.h"
#include "studies/splat-formats/bars.h"
#include "studies/splat-formats/program.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::BarResult;
using eval::StudyContext;
namespace fs = std::filesystem;

constexpr int64_t kSplats = 1000000;
constexpr int kRuns = 3;  // of each program, in turn
constexpr double kFaster = 3;
// k-means on a CPU takes the peer a hundred times as long: it is stopped when the bar is decided.
constexpr double kFasterSog = 10;

std::string peer(StudyContext& c) {
  const char* named = std::getenv("COVARY_SPLAT_TRANSFORM");
  std::string found = named ? named : data::find_program("splat-transform");
  if (found.empty())
    c.skip(
        "no splat-transform: npm install @playcanvas/splat-transform, and name it in "
        "COVARY_SPLAT_TRANSFORM");
  return found;
}

// Splats on five bent sheets, with deviations, opacities and colours as trained scenes have them and
// harmonics of a few materials: palettes and entropy coders find an order in them, as in real scenes.
scene::Cloud sheets(int64_t n, uint64_t seed) {
  const auto uniform = [&](uint64_t stream, at::IntArrayRef shape) {
    at::Tensor t = at::empty(shape, at::kFloat);
    const Random random(seed, stream);
    float* const p = t.data_ptr<float>();
    for (int64_t i = 0; i < t.numel(); ++i)
      p[i] = static_cast<float>(random.uniform(static_cast<uint64_t>(i)));
    return t;
  };
  // Box and Muller
  const auto normal = [&](uint64_t stream, at::IntArrayRef shape) {
    return (-2 * uniform(stream, shape).clamp_min(1e-7).log()).sqrt() *
           (2 * M_PI * uniform(stream + 100, shape)).cos();
  };
  constexpr int64_t kRest = 15, kMaterials = 64;
  const at::Tensor u = 2 * uniform(1, {n}) - 1, v = 2 * uniform(2, {n}) - 1;
  const at::Tensor sheet = (5 * uniform(3, {n})).floor(), angle = 1.1 * sheet;
  const at::Tensor bend =
      0.3 * (3 * u + sheet).sin() * (2 * v - sheet).cos() + 0.004 * normal(4, {n});
  const at::Tensor turn =
      at::stack({(angle / 2).cos(), at::zeros({n}), -(angle / 2).sin(), at::zeros({n})}, 1);
  scene::Cloud s;
  s.means =
      3 *
      at::stack({u * angle.cos() - bend * angle.sin(), v, u * angle.sin() + bend * angle.cos()}, 1);
  s.quats = turn + 0.1 * normal(5, {n, 4});
  s.scales = std::log(3 / std::sqrt(static_cast<double>(n) / 5)) + at::tensor({0.3f, 0.0f, -1.8f}) +
             0.5 * normal(6, {n, 1}) + 0.4 * normal(7, {n, 3});
  s.opacities = at::where(uniform(8, {n}) < 0.7, 4 + normal(9, {n}), 3 * normal(10, {n}) - 1);
  const at::Tensor phase = at::arange(3, at::kFloat);
  s.sh0 = (0.9 * (4 * u.unsqueeze(1) + phase + sheet.unsqueeze(1)).sin() *
               (5 * v.unsqueeze(1) - phase).cos() +
           0.15 * normal(11, {n, 3}))
              .unsqueeze(1);
  const at::Tensor material =
      ((4 * u).floor() + 7 * (4 * v).floor() + 13 * sheet).remainder(kMaterials).to(at::kLong);
  s.shN = (0.12 * normal(12, {kMaterials, kRest, 3})).index_select(0, material) +
          0.03 * normal(13, {n, kRest, 3});
  return s;
}

// Both programs' way from one file to another.
struct Race {
  double ours_s = 0, theirs_s = 0;  // CPU seconds, medians
  bool stopped = false;             // theirs was
  fs::path ours, theirs;            // what they wrote
};

double median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return x[x.size() / 2];
}

const fs::path& scene_file(StudyContext& c) {
  return c.shared<fs::path>("sheets", [&] {
    const fs::path path = c.folder("peer") / "scene.ply";
    scene::save_cloud(path, sheets(kSplats, c.seed()));
    return path;
  });
}

// From `in` to the name's extension. limit: on theirs, as a multiple of our time; 0 = none.
Race run_both(StudyContext& c, const fs::path& in, const std::string& name, double limit) {
  const std::string program = peer(c);
  const fs::path folder = c.folder("peer");
  Race race{.ours = folder / ("ours." + name), .theirs = folder / ("theirs." + name)};
  std::vector<double> ours, theirs;
  for (int run = 0; run < kRuns; ++run) {
    ours.push_back(taken_by({"covary", "convert", in.string(), race.ours.string(), "--overwrite",
                             "--spz-version", "4"})
                       .cpu_s);
    if (race.stopped) continue;
    const std::vector<std::string> words = {program, "-w",        "-g",
                                            "cpu",   in.string(), race.theirs.string()};
    if (limit == 0) {
      theirs.push_back(taken_by(words).cpu_s);
      continue;
    }
    const int seconds = static_cast<int>(std::ceil(limit * ours.back())) + 1;
    const auto taken = taken_within(seconds, words);
    race.stopped = !taken;
    theirs.push_back(taken ? taken->cpu_s : seconds);
  }
  race.ours_s = median(ours);
  race.theirs_s = median(theirs);
  return race;
}

const Race& written(StudyContext& c, const std::string& name) {
  return c.shared<Race>("written " + name, [&] {
    return run_both(c, scene_file(c), name, name == "sog" ? kFasterSog : 0);
  });
}

BarResult speed(const Race& race, double factor) {
  BarResult r;
  r.baseline = eval::Quantity{.name = race.stopped ? "splat-transform, stopped" : "splat-transform",
                              .value = race.theirs_s,
                              .unit = "CPU s",
                              .n = race.stopped ? 1 : kRuns};
  r.ours = eval::Quantity{.value = race.ours_s, .unit = "CPU s", .n = kRuns};
  const auto text = std::to_string(static_cast<int>(factor));
  r.bound = {text + " * ours <= baseline", factor * race.ours_s, "<=", race.theirs_s};
  return r;
}

BarResult size(StudyContext& c, const std::string& name) {
  const Race& race = written(c, name);
  const scene::Cloud truth = scene::load_cloud(scene_file(c));
  const auto views = render::sample_views(truth, 4, 320, 240);
  const auto psnr = [&](const fs::path& file) {
    return render::likeness(truth, scene::load_cloud(file), views).mean;
  };
  const double ours_db = psnr(race.ours), theirs_db = psnr(race.theirs);
  const auto ours = static_cast<double>(fs::file_size(race.ours)),
             theirs = static_cast<double>(fs::file_size(race.theirs));
  BarResult r;
  r.baseline = eval::Quantity{.name = "splat-transform", .value = theirs, .unit = "bytes"};
  r.ours = eval::Quantity{.value = ours, .unit = "bytes"};
  // A hundredth of a dB is the difference of two roundings.
  const bool as_good = ours_db >= theirs_db - 0.01;
  r.bound = {"ours <= baseline, at no less PSNR",
             as_good ? ours : std::numeric_limits<double>::infinity(), "<=", theirs};
  r.note = std::to_string(ours_db).substr(0, 5) + " dB against " +
           std::to_string(theirs_db).substr(0, 5);
  return r;
}

Bar desk_bar(const std::string& part, const std::string& title, const std::string& metric,
             const std::string& unit, std::function<BarResult(StudyContext&)> measure) {
  Bar b = eval::bar_of("2", part, title, metric, unit, "", std::move(measure));
  b.smoke = false;
  return b;
}

}  // namespace

std::vector<Bar> peer_bars() {
  std::vector<Bar> bars;
  char part = 'c';
  for (const std::string name : {"spz", "compressed.ply", "sog"}) {
    const double factor = name == "sog" ? kFasterSog : kFaster;
    bars.push_back(desk_bar(
        {part++}, "a million splats of degree 3, .ply to ." + name + ", beside splat-transform",
        "time", "CPU s", [=](StudyContext& c) { return speed(written(c, name), factor); }));
    bars.push_back(desk_bar({part++}, "the same, ." + name + " back to .ply", "time", "CPU s",
                            [=](StudyContext& c) {
                              return speed(run_both(c, written(c, name).ours, "ply", 0), kFaster);
                            }));
    if (name == "sog") continue;  // theirs takes half an hour
    bars.push_back(desk_bar({part++}, "the same, size of the ." + name, "size", "bytes",
                            [=](StudyContext& c) { return size(c, name); }));
  }
  return bars;
}

}  // namespace covary::studies
