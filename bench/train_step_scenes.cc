#include "bench/train_step_scenes.h"

#include <cmath>
#include <filesystem>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/data/archive.h"
#include "covary/splat/fit/load.h"

namespace covary::bench {
namespace {

namespace fs = std::filesystem;
using TrainerPointer = std::unique_ptr<fit::Trainer>;

constexpr uint64_t kSeed = 42;

TrainerPointer started(scene::Capture capture, fit::TrainOptions options) {
  auto trainer = std::make_unique<fit::Trainer>(std::move(capture), std::move(options));
  trainer->start(kSeed);
  return trainer;
}

// The folder of a data set, or empty with a reason.
fs::path data_set(const Places& places, const std::string& name, std::string& reason) {
  if (places.data_root.empty()) {
    reason = "no --data-root and no $COVARY_DATA";
    return {};
  }
  const fs::path path = fs::path(places.data_root) / name;
  if (fs::exists(path)) return path;
  reason = "no " + name + " under the data root";
  return {};
}

TrainerPointer fox(const Places& places, int64_t downscale, const std::string& init,
                   std::string& reason) {
  const fs::path folder = data_set(places, "fox", reason);
  if (folder.empty()) return nullptr;
  fit::TrainOptions options;
  options.capture.downscale = downscale;
  if (!init.empty()) {
    options.init = init;
    options.sh_every = 0;  // every degree is on, as at the end of training
  }
  return started(scene::load_capture(folder.string(), options.capture), options);
}

TrainerPointer trained_fox(const Places& places, int64_t downscale, std::string& reason) {
  if (places.trained.empty()) {
    reason = "no --scene";
    return nullptr;
  }
  return fox(places, downscale, fit::load_scene(places.trained).file.string(), reason);
}

// A picture with edges and slopes: what is in a photo matters to no stage's time.
data::Image8 pattern(int width, int height) {
  data::Image8 image(height, width, 3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int k = 0; k < 3; ++k)
        image.at(y, x)[k] =
            static_cast<uint8_t>((x * (3 + k) + y * 5 + (x / 16 + y / 16) % 2 * 90) & 255);
  return image;
}

template <class T>
const T* numbers(const std::map<std::string, data::Array>& arrays, const std::string& name,
                 data::DType type, int64_t at_least) {
  const auto it = arrays.find(name);
  if (it == arrays.end() || it->second.dtype != type || it->second.count() < at_least)
    throw Error(ExitCode::kData, "is missing, of another type or too small",
                "test_garden.npz: " + name);
  return it->second.as<T>();
}

TrainerPointer garden(const Places& places, std::string& reason) {
  const fs::path folder = data_set(places, "garden_points", reason);
  if (folder.empty()) return nullptr;
  const auto arrays = data::read_npz(folder / "test_garden.npz");
  using data::DType;
  const float* means = numbers<float>(arrays, "means3d", DType::kFloat32, 3);
  const int64_t count = arrays.at("means3d").count() / 3;
  const uint8_t* colors = numbers<uint8_t>(arrays, "colors", DType::kUInt8, 3 * count);
  const float* poses = numbers<float>(arrays, "viewmats", DType::kFloat32, 16);
  const float* k = numbers<float>(arrays, "Ks", DType::kFloat32, 9);
  scene::View view;
  view.name = "garden";
  scene::Camera& camera = view.camera;
  camera.width = 648;
  camera.height = 420;
  const double sx = camera.width /
                    static_cast<double>(*numbers<int64_t>(arrays, "width", DType::kInt64, 1)),
               sy = camera.height /
                    static_cast<double>(*numbers<int64_t>(arrays, "height", DType::kInt64, 1));
  camera.fx = k[0] * sx;
  camera.fy = k[4] * sy;
  camera.cx = k[2] * sx;
  camera.cy = k[5] * sy;
  for (int i = 0; i < 16; ++i) camera.cam_from_world(i / 4, i % 4) = poses[i];
  view.image = pattern(camera.width, camera.height);
  scene::Capture capture;
  capture.name = "garden points";
  capture.views.push_back(std::move(view));
  capture.train = {0};
  for (int64_t i = 0; i < count; ++i) {
    capture.points.positions.emplace_back(means[3 * i], means[3 * i + 1], means[3 * i + 2]);
    capture.points.colors.emplace_back(colors[3 * i], colors[3 * i + 1], colors[3 * i + 2]);
  }
  return started(std::move(capture), {});
}

TrainerPointer sample(const std::string& name, int64_t points) {
  fit::TrainOptions options;
  if (points > 0) options.sh_every = 0;  // every degree is on: the most that a step holds
  scene::Capture capture = scene::load_capture(name, options.capture);
  // More points by putting new ones beside those there are, about a gap away.
  scene::Points& p = capture.points;
  const auto given = static_cast<int64_t>(p.positions.size());
  const Random random(kSeed);
  for (int64_t i = given; i < points; ++i) {
    Eigen::Vector3f at = p.positions[static_cast<size_t>(i % given)];
    for (int k = 0; k < 3; ++k)
      at[k] += 0.01f * static_cast<float>(random.normal(static_cast<uint64_t>(3 * i + k)));
    p.positions.push_back(at);
    p.colors.push_back(p.colors[static_cast<size_t>(i % given)]);
  }
  return started(std::move(capture), options);
}

}  // namespace

const std::vector<SceneSource>& scenes() {
  static const std::vector<SceneSource> all = {
      {"sample", "the built-in studio, 320x240, its 4,000 points at step 0", false,
       [](const Places&, std::string&) { return sample("sample:studio,views=4", 0); }},
      {"fox", "data/fox at 270x480, its sparse points at step 0", false,
       [](const Places& p, std::string& reason) { return fox(p, 4, "", reason); }},
      {"fox-trained", "--scene at 270x480", false,
       [](const Places& p, std::string& reason) { return trained_fox(p, 4, reason); }},
      {"fox-trained-large", "--scene at 540x960", false,
       [](const Places& p, std::string& reason) { return trained_fox(p, 2, reason); }},
      {"garden", "data/garden_points at 648x420, 138,766 points at step 0", false, garden},
      {"sample-1m", "the built-in studio with a million points: for the peak memory; name it alone",
       true, [](const Places&, std::string&) { return sample("sample:studio,views=4", 1000000); }}};
  return all;
}

}  // namespace covary::bench
