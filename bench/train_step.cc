// The time of each stage of a training step of the real trainer, at fixed scenes: milliseconds (wall and CPU, median of the
// repeats), operations, bytes, and their share of what this machine gives in the same run.
//
//   bench/train_step --json before.json                 # one thread; every scene whose data are there
//   bench/train_step --scenes fox,sample --threads 2
//   bench/train_step --scenes fox --gain                # what a second thread gives, beside a pure FMA loop
//   bench/train_step --scenes sample-1m                 # peak memory at a million Gaussians
//   bench/compare before.json after.json
//
// A step is Trainer::step on one fixed view; the clock is base/stages.h inside the trainer, the rasteriser and the kernels'
// operators. Counts are those of train_step_work.cc. Refinement (clone, split, prune) falls on no timed step while --repeats
// stays below 400. Shares of the ceilings are of one thread's rates, by CPU time; a share of the copy rate above 1 is data
// that came from a cache, since that rate is measured beyond every cache. "x roof": CPU time over the roofline, the larger
// of (multiply-adds and exponentials at their rates, one after the other) and (bytes at the copy rate). Repeats move the
// scene a little, always alike: same seed, same bits.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/train_step_scenes.h"
#include "bench/train_step_work.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/schedule.h"
#include "covary/core/base/stages.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/project/op.h"
#include "covary/core/compute/rasterize/op.h"
#include "covary/core/eval/ceilings.h"
#include "covary/splat/render/truth.h"

namespace covary::bench {
namespace {

using nlohmann::json;

constexpr int kWarmUp = 2;      // steps before the clock
constexpr int kSimulated = 16;  // threads of the replayed schedule
constexpr double kGigabyte = 1e9;

struct Settings {
  std::vector<std::string> scenes;  // empty: all but those on request
  Places places;
  int repeats = 15;
  int threads = 1;
  bool gain = false;
  double ceiling_budget_s = 1;
  std::string json_file;
};

struct Middle {
  double median = 0, spread = 0;  // spread: half the distance of the quartiles
};

Middle middle_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
  };
  return {at(0.5), (at(0.75) - at(0.25)) / 2};
}

// One stage over the repeats, seconds a step; self times, so that stages add up to the step.
struct Samples {
  std::vector<double> wall, cpu;
  double items = 0;
};
using StageSamples = std::map<std::string, Samples>;

constexpr const char* kWhole = "whole step";

// repeats steps on one view, each stage on its own.
void sample_steps(fit::Trainer& trainer, int64_t view, int repeats, StageSamples& out) {
  for (int i = 0; i < repeats; ++i) {
    StageClock clock;
    trainer.step({view});
    for (const StageTotal& s : clock.take()) {
      Samples& samples = out[s.path];
      samples.wall.push_back(s.self_wall_s);
      samples.cpu.push_back(s.self_cpu_s);
      samples.items = s.items;
      if (s.path != "step") continue;
      out[kWhole].wall.push_back(s.wall_s);
      out[kWhole].cpu.push_back(s.cpu_s);
    }
  }
}

struct Measured {
  Sizes sizes;
  double busy = 1;  // share of time that kSimulated threads work on tiles
};

// What a step on this view has to do, from the rasteriser's own lists.
Measured count_work(const fit::Trainer& trainer, int64_t view) {
  const at::NoGradGuard no_gradient;
  const scene::Cloud cloud = trainer.cloud();
  const scene::Camera& camera = trainer.capture().views[static_cast<size_t>(view)].camera;
  const render::Views views = render::views_of({camera});
  const render::Primitives g = render::primitives_of(cloud);
  Measured m;
  m.sizes.gaussians = cloud.size();
  m.sizes.pixels = int64_t{camera.width} * camera.height;
  m.sizes.sh_degree = trainer.sh_degree();
  const render::Footprints seen =
      render::rasterize(g, views, {.absolute_gradients = false, .weights = true}).footprints.at(0);
  m.sizes.visible = seen.ids.numel();
  m.sizes.blends = seen.hits.sum().item<int64_t>();
  const auto splats =
      compute::project({g.means,
                        g.quats,
                        g.scales,
                        {},
                        g.opacities,
                        {},
                        views.cam_from_world.select(0, 0),
                        views.intrinsics.select(0, 0)},
                       views.width, views.height, static_cast<int>(views.projection), {});
  const auto lists =
      compute::tile_lists(splats, 0, {.width = views.width, .height = views.height}, true);
  m.sizes.pairs = lists->pairs();
  std::vector<double> costs;  // of a tile: its pairs
  for (size_t t = 0; t + 1 < lists->begin.size(); ++t)
    costs.push_back(static_cast<double>(lists->begin[t + 1] - lists->begin[t]));
  m.busy = busy_share_of_tasks(costs, kSimulated);
  return m;
}

json number_or_null(double x) { return x > 0 ? json(x) : json(nullptr); }

double ratio(double a, double b) { return b > 0 ? a / b : 0; }

// The least time that one thread needs: multiply-adds and exponentials share their units and add up; the
// streams go beside them.
double roofline_seconds(const Work& work, const eval::CeilingRates& ceiling) {
  return std::max(ratio(work.fma, ceiling.fma) + ratio(work.exp, ceiling.exp),
                  ratio(work.bytes, ceiling.copy));
}

// Shares by CPU time: of the rate while the stage's threads ran, whatever else the machine had to do.
json stage_json(const std::string& path, const Samples& s, const Sizes& sizes,
                const eval::CeilingRates& ceiling, int thread_count) {
  const Middle wall = middle_of(s.wall), cpu = middle_of(s.cpu);
  const Work work = work_of(path, s.items, sizes);
  const auto share = [&](double amount, double rate) {
    return number_or_null(ratio(ratio(amount, cpu.median / thread_count), rate));
  };
  return {{"stage", path},
          {"label", path == kWhole ? path : label_of(path)},
          {"wall_ms", 1e3 * wall.median},
          {"wall_spread_ms", 1e3 * wall.spread},
          {"cpu_ms", 1e3 * cpu.median},
          {"cpu_spread_ms", 1e3 * cpu.spread},
          {"items", s.items},
          {"fma", number_or_null(work.fma)},
          {"exp", number_or_null(work.exp)},
          {"bytes", number_or_null(work.bytes)},
          {"fma_share", share(work.fma, ceiling.fma)},
          {"exp_share", share(work.exp, ceiling.exp)},
          {"copy_share", share(work.bytes, ceiling.copy)},
          {"roofline_ms", number_or_null(1e3 * roofline_seconds(work, ceiling))},
          {"times_roofline",
           number_or_null(ratio(cpu.median, roofline_seconds(work, ceiling) * thread_count))}};
}

// In the order of a step, the whole last.
std::vector<std::string> in_order(const StageSamples& samples) {
  static const std::vector<std::string> order = {"step/target",
                                                 "step/activate",
                                                 "step/render/project",
                                                 "step/render/sh",
                                                 "step/render/bin",
                                                 "step/render/sort",
                                                 "step/render/composite",
                                                 "step/render",
                                                 "step/loss",
                                                 "step/backward/loss",
                                                 "step/backward/composite",
                                                 "step/backward/sh",
                                                 "step/backward/project",
                                                 "step/backward/activate",
                                                 "step/backward",
                                                 "step/adam",
                                                 "step/strategy",
                                                 "step"};
  std::vector<std::string> paths;
  for (const std::string& path : order)
    if (samples.count(path) > 0) paths.push_back(path);
  for (const auto& [path, _] : samples)
    if (path != kWhole && std::find(order.begin(), order.end(), path) == order.end())
      paths.push_back(path);
  paths.push_back(kWhole);
  return paths;
}

std::string cell(const json& value, const char* format, double factor) {
  if (value.is_null()) return "-";
  char text[32];
  std::snprintf(text, sizeof(text), format, factor * value.get<double>());
  return text;
}

void print_scene(const json& scene) {
  std::printf("\n%s: %lld Gaussians, %lld visible, %dx%d, SH degree %d, %lld pairs, %lld blends\n",
              scene["scene"].get<std::string>().c_str(), scene["gaussians"].get<long long>(),
              scene["visible"].get<long long>(), scene["width"].get<int>(),
              scene["height"].get<int>(), scene["sh_degree"].get<int>(),
              scene["pairs"].get<long long>(), scene["blends"].get<long long>());
  std::printf("%-24s %10s %10s %9s %9s %9s %7s %7s %7s %9s\n", "stage", "wall ms", "CPU ms",
              "M FMA", "M exp", "MB", "FMA %", "exp %", "copy %", "x roof");
  for (const json& s : scene["stages"])
    std::printf(
        "%-24s %10.3f %10.3f %9s %9s %9s %7s %7s %7s %9s\n", s["label"].get<std::string>().c_str(),
        s["wall_ms"].get<double>(), s["cpu_ms"].get<double>(), cell(s["fma"], "%.2f", 1e-6).c_str(),
        cell(s["exp"], "%.2f", 1e-6).c_str(), cell(s["bytes"], "%.2f", 1e-6).c_str(),
        cell(s["fma_share"], "%.1f", 100).c_str(), cell(s["exp_share"], "%.1f", 100).c_str(),
        cell(s["copy_share"], "%.1f", 100).c_str(), cell(s["times_roofline"], "%.1f", 1).c_str());
  std::printf("tiles on %d threads, replayed: busy %.1f %% of the time (bar: 90 %%)\n", kSimulated,
              100 * scene["busy"]["share"].get<double>());
  std::printf("peak memory of the process so far: %.2f GB\n",
              scene["peak_memory_bytes"].get<double>() / kGigabyte);
}

json measure_scene(const std::string& name, fit::Trainer& trainer, const Settings& settings,
                   const eval::CeilingRates& ceiling) {
  const std::vector<int64_t>& train = trainer.capture().train;
  const int64_t view = train[train.size() / 2];
  for (int i = 0; i < kWarmUp; ++i) trainer.step({view});
  const Measured m = count_work(trainer, view);  // of the first timed step
  StageSamples samples;
  sample_steps(trainer, view, settings.repeats, samples);
  const scene::Camera& camera = trainer.capture().views[static_cast<size_t>(view)].camera;
  json scene = {
      {"scene", name},
      {"gaussians", m.sizes.gaussians},
      {"visible", m.sizes.visible},
      {"width", camera.width},
      {"height", camera.height},
      {"sh_degree", m.sizes.sh_degree},
      {"pairs", m.sizes.pairs},
      {"blends", m.sizes.blends},
      {"busy",
       {{"threads", kSimulated}, {"cost", "pairs of a tile"}, {"share", m.busy}, {"bar", 0.9}}},
      {"stages", json::array()}};
  for (const std::string& path : in_order(samples))
    scene["stages"].push_back(
        stage_json(path, samples.at(path), m.sizes, ceiling, settings.threads));
  scene["peak_memory_bytes"] = peak_memory_bytes();
  return scene;
}

// Wall time on one thread over that on two, by stage; in turns, so that a slow minute of a shared machine falls on both.
json measure_gain(const std::string& name, fit::Trainer& trainer, const Settings& settings) {
  constexpr int kRounds = 3;
  const std::vector<int64_t>& train = trainer.capture().train;
  const int64_t view = train[train.size() / 2];
  for (int i = 0; i < kWarmUp; ++i) trainer.step({view});
  StageSamples one, two;
  double fma_one = 0, fma_two = 0;
  for (int round = 0; round < kRounds; ++round) {
    const int repeats = std::max(1, settings.repeats / kRounds);
    set_threads(1);
    sample_steps(trainer, view, repeats, one);
    set_threads(2);
    sample_steps(trainer, view, repeats, two);
    // The best of each: what another process takes is none of the machine's.
    fma_one = std::max(fma_one, eval::measure_rates(1, settings.ceiling_budget_s / 4).fma);
    fma_two = std::max(fma_two, eval::measure_rates(2, settings.ceiling_budget_s / 4).fma);
  }
  set_threads(settings.threads);
  const double machine = fma_two / fma_one;
  json gains = {{"scene", name}, {"fma_loop", machine}, {"stages", json::array()}};
  std::printf("\n%s: gain of two threads over one (a pure FMA loop: %.2f)\n", name.c_str(),
              machine);
  std::printf("%-24s %10s %10s %7s %9s\n", "stage", "one ms", "two ms", "gain", "of FMA's");
  const auto best = [](const Samples& s) {
    return *std::min_element(s.wall.begin(), s.wall.end());
  };
  for (const std::string& path : in_order(one)) {
    if (two.count(path) == 0) continue;
    const double a = best(one.at(path)), b = best(two.at(path)), gain = a / b;
    const std::string label = path == kWhole ? path : label_of(path);
    gains["stages"].push_back({{"stage", path},
                               {"label", label},
                               {"one_ms", 1e3 * a},
                               {"two_ms", 1e3 * b},
                               {"gain", gain},
                               {"of_fma_gain", gain / machine}});
    std::printf("%-24s %10.3f %10.3f %7.2f %9.2f\n", label.c_str(), 1e3 * a, 1e3 * b, gain,
                gain / machine);
  }
  return gains;
}

double load_of_last_minute() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : 0;
}

json run(const Settings& settings) {
  for (const std::string& name : settings.scenes)
    if (std::none_of(scenes().begin(), scenes().end(),
                     [&](const SceneSource& s) { return s.name == name; }))
      throw Error(ExitCode::kUsage, "is no scene of this benchmark", "--scenes " + name,
                  "bench/train_step --help lists them");
  render::register_samples();
  set_machine_field("simd", eval::simd_name());
  set_threads(settings.threads);
  const double load_before = load_of_last_minute();
  const eval::CeilingRates ceiling = eval::measure_rates(1, settings.ceiling_budget_s);
  json document = {{"schema", "covary-train-step/1"},
                   {"machine", machine_description()},
                   {"threads", settings.threads},
                   {"repeats", settings.repeats},
                   {"load_before", load_before},
                   {"ceilings",
                    {{"fma_per_s", ceiling.fma},
                     {"exp_per_s", ceiling.exp},
                     {"copy_bytes_per_s", ceiling.copy}}},
                   {"scenes", json::array()},
                   {"skipped", json::array()}};
  std::printf(
      "%d thread%s, %s; ceilings of one: %.2f G FMA/s, %.2f G exp/s, %.2f GB/s copied; load %.1f\n",
      settings.threads, settings.threads == 1 ? "" : "s", eval::simd_name().c_str(),
      1e-9 * ceiling.fma, 1e-9 * ceiling.exp, 1e-9 * ceiling.copy, load_before);
  for (const SceneSource& source : scenes()) {
    const bool named = std::find(settings.scenes.begin(), settings.scenes.end(), source.name) !=
                       settings.scenes.end();
    if (!named && (source.on_request || !settings.scenes.empty())) continue;
    std::string reason;
    const auto trainer = source.make(settings.places, reason);
    if (trainer == nullptr) {
      std::printf("\n%s: skipped, %s\n", source.name.c_str(), reason.c_str());
      document["skipped"].push_back({{"scene", source.name}, {"reason", reason}});
      continue;
    }
    document["scenes"].push_back(measure_scene(source.name, *trainer, settings, ceiling));
    print_scene(document["scenes"].back());
    if (settings.gain)
      document["scenes"].back()["gain"] = measure_gain(source.name, *trainer, settings);
    std::fflush(stdout);
  }
  document["load_after"] = load_of_last_minute();
  return document;
}

std::string scenes_help() {
  std::string text = "scenes, by comma; none named: all but sample-1m.";
  for (const SceneSource& s : scenes()) text += "\n" + s.name + ": " + s.help;
  return text;
}

int main_of(int argc, char** argv) {
  CLI::App app("The time of each stage of a training step, at fixed scenes.");
  app.footer(
      "A trained fox of about 150,000 Gaussians for --scene, once:\n"
      "  covary train data/fox --downscale 4 --steps 7000 --strategy mcmc --max-gaussians 150000 "
      "-o out/fox-150k");
  Settings s;
  if (const char* root = std::getenv("COVARY_DATA")) s.places.data_root = root;
  app.add_option("--scenes", s.scenes, scenes_help())->delimiter(',');
  app.add_option("--data-root", s.places.data_root, "folder of the data sets; else $COVARY_DATA");
  app.add_option("--scene", s.places.trained,
                 "a trained fox: a run folder of covary train, or .ply");
  app.add_option("--repeats", s.repeats, "timed steps a scene; the median counts")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--threads", s.threads, "threads of the timed steps")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_flag("--gain", s.gain, "also the gain of two threads over one, by stage");
  app.add_option("--ceilings", s.ceiling_budget_s, "seconds to spend on the machine's ceilings")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--json", s.json_file, "write the figures to this file");
  CLI11_PARSE(app, argc, argv);
  try {
    const json document = run(s);
    if (!s.json_file.empty()) write_file(s.json_file, document.dump(2) + "\n");
  } catch (const Error& error) {
    std::fprintf(stderr, "train_step: %s: %s\n", error.where().c_str(), error.message().c_str());
    if (!error.hint().empty()) std::fprintf(stderr, "hint: %s\n", error.hint().c_str());
    return static_cast<int>(error.code());
  }
  return 0;
}

}  // namespace
}  // namespace covary::bench

int main(int argc, char** argv) { return covary::bench::main_of(argc, argv); }
