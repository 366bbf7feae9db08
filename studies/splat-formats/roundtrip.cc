// Bar 1 of splat-formats: what a file keeps. Numbers of fixtures, formats one after the other, rows by rows.
#include <algorithm>
#include <cmath>
#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/file.h"
#include "covary/splat/scene/format.h"
#include "covary/splat/scene/ply.h"
#include "covary/splat/scene/stream.h"
#include "covary/splat/scene/test_clouds.h"
#include "studies/splat-formats/bars.h"

namespace covary::studies {
namespace {

using eval::StudyContext;
using scene::testing_clouds::covariances;
using scene::testing_clouds::gap;
using scene::testing_clouds::random_cloud;
namespace fs = std::filesystem;

// What one format changes, by its steps: numbers over what half a step (or the stated bound) allows.
struct Steps {
  const char* format;
  double place, covariance, alpha;
};

double worst_of_formats(StudyContext& c) {
  const scene::Cloud cloud = random_cloud(c.smoke() ? 2000 : 100000, 3, c.seed());
  const at::Tensor was = covariances(cloud);
  constexpr double kByte = 0.5 / 255 + 1e-6;
  const Steps all[] = {
      {"ply", 0, 0, 0},
      {"npz", 0, 0, 0},
      {"csv", 0, 0, 0},
      {"gltf", 0, 1e-5, 2e-7},
      {"compressed-ply", 4.4 / 2 / 1023 + 1e-6, 0.03, kByte},
      {"spz", 0x1p-13 + 1e-6, 0.09, kByte},
      {"splat", 0, 0.08, kByte},
      {"ksplat", 2.5 / 32767 / 2 + 1e-6, 0.01, kByte},
      {"sog", 3.2 * 2 * std::log1p(2.2) / 2 / 65535 + 1e-6, 0.12, kByte},
  };
  eval::Table table{
      .name = "after a file was written and read",
      .columns = {"format", "bytes a splat", "position", "covariance, relative", "opacity", "SH"},
      .rows = {}};
  double worst = 0;
  const fs::path folder = c.folder("round-trips");
  for (const Steps& s : all) {
    const scene::SceneFormat& format = *scene::find_format(s.format);
    const fs::path file = folder / (std::string(s.format) + format.extensions[0]);
    scene::save_cloud(file, cloud, {.keep_order = true});
    const scene::Cloud back = scene::load_cloud(file);
    const double place = gap(back.means, cloud.means),
                 alpha = gap(back.opacities.sigmoid(), cloud.opacities.sigmoid()),
                 covariance = ((covariances(back) - was).flatten(1).norm(2, {1}) /
                               was.flatten(1).norm(2, {1}))
                                  .max()
                                  .item<double>();
    const int64_t degree = back.sh_degree();
    table.rows.push_back(
        {s.format,
         static_cast<double>(scene::bytes_on_disk(file)) / static_cast<double>(cloud.size()), place,
         covariance, alpha, gap(back.shN, scene::with_degree(cloud, degree).shN)});
    const auto over = [&](double error, double bound) {
      worst = std::max(worst, bound > 0 ? error / bound : error > 0 ? 2.0 : 0.0);
    };
    over(place, s.place);
    over(covariance, s.covariance);
    over(alpha, s.alpha);
    fs::remove_all(file);
  }
  c.table(std::move(table));
  return worst;
}

// The four splats of known numbers that are published in several formats.
double worst_of_fixtures(StudyContext& c) {
  const fs::path folder = c.data("splats") / "minimal";
  const at::Tensor places =
      at::tensor({-1.f, 0.f, -1.f, 0.f, 0.f, -1.f, -1.f, 0.f, 0.f, 0.f, 0.f, 0.f}).view({4, 3});
  double worst = 0;
  for (const char* name : {"minimal.splat", "minimal.ksplat", "minimal-raw.spz", "minimal-v2.spz",
                           "minimal-v3.spz", "minimal-v4.spz"}) {
    // Versions 2 were written without a turn of the axes, 3 and 4 with one.
    const std::string text = name;
    const bool turns = text.ends_with("v3.spz") || text.ends_with("v4.spz");
    const scene::Cloud cloud = scene::load_cloud(folder / name, {.axes = turns ? "auto" : "as-is"});
    worst = std::max(worst, gap(cloud.means, places) / 0x1p-13);
    worst = std::max(worst, gap(cloud.scales, at::full_like(cloud.scales, std::log(0.1))) * 32);
  }
  return worst;
}

// The same bytes whether the scene is read whole or by rows.
double differences_of_streams(StudyContext& c) {
  const fs::path folder = c.folder("streams");
  scene::write_ply(folder / "in.ply", random_cloud(c.smoke() ? 40000 : 200000, 3, c.seed()));
  int64_t differ = 0;
  for (const char* name : {"a.ply", "a.csv", "a.splat", "a.spz", "a.compressed.ply"}) {
    scene::save_cloud(folder / (std::string("whole-") + name),
                      scene::load_cloud(folder / "in.ply"));
    scene::stream_scene(folder / "in.ply", {}, folder / name, {});
    differ += sha256_file(folder / name) != sha256_file(folder / (std::string("whole-") + name));
    fs::remove(folder / name);
    fs::remove(folder / (std::string("whole-") + name));
  }
  fs::remove(folder / "in.ply");
  return static_cast<double>(differ);
}

}  // namespace

std::vector<eval::Bar> round_trip_bars() {
  eval::Bar fixtures =
      eval::at_most("1", "a", "published fixtures of known numbers",
                    "largest error over the format's half step", 1, worst_of_fixtures, "error");
  return {fixtures,
          eval::at_most("1", "b", "random splats of degree 3 through every format",
                        "largest error over what the format states", 1, worst_of_formats, "error"),
          eval::at_most("1", "c", "row by row and whole", "files that differ", 0,
                        differences_of_streams, "difference")};
}

}  // namespace covary::studies
