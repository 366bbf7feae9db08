// What the built-in samples can be asked for: "sample:studio,views=60,width=320" and its like.
//
//   StudioOptions options;
//   set_sample_options(options, {{"views", "24"}, {"spp", "9"}}, "studio");   // checked
//
// The same fields are the parameters of the text form, by the same names. Errors: Error(kUsage)
// naming the parameter, with the nearest one where the name is unknown.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "covary/core/base/options.h"

namespace covary::render {

// How many cameras there are, where they stand and how they err; common to all samples.
struct SampleViewOptions {
  int64_t views = 60;     // cameras on three rings of a dome
  int64_t width = 320;    // px
  int64_t height = 240;   // px
  double fov = 45;        // horizontal field of view, degrees
  double distance = 3.4;  // of the cameras from the middle, world
  double jitter = 0.08;   // random share by which distance, direction and aim vary, 1
  int64_t seed = 42;      // of everything random in the sample
  int64_t points = 4000;  // sparse points on the surfaces
  double noise = 0.002;   // standard deviation of the points' positions, world
  double pose_noise =
      0;  // standard deviation of the given cameras' rotation about each axis, degrees; the
          // centre moves by the same angle times the distance; images stay exact
  void describe(OptionList& o);
  void check() const;
};

// A round table with things on it, ray-traced.
struct StudioOptions {
  SampleViewOptions camera;
  int64_t spp = 4;  // rays a pixel, a square number: an even grid of sqrt(spp) x sqrt(spp)
  std::string background = "room";  // room (floor and walls) | none (images with alpha)
  double exposure =
      0;              // standard deviation of each photo's log gain (a tenth of it per channel), 1
  bool depth = true;  // depth and normals of every view

  void describe(OptionList& o);
  void check() const;
};

// Random Gaussians, rendered by our own rasteriser: a scene whose truth is known. camera.points is how many of
// their centres are given as sparse points; 0 = all.
struct SplatsOptions {
  SampleViewOptions camera = {.views = 24, .width = 160, .height = 120, .points = 0};
  int64_t count = 2000;       // Gaussians in a ball of radius 1
  double scale = 0.06;        // median standard deviation, world
  int64_t sh_degree = 1;      // of their colours
  double color_noise = 0.05;  // standard deviation of the given points' colours, in [0, 1] units

  void describe(OptionList& o);
  void check() const;
};

// Fills the struct from the parameters of a sample and checks it. `sample` is its name, for
// messages.
template <class Options>
void set_sample_options(Options& options, const std::map<std::string, std::string>& parameters,
                        const std::string& sample) {
  OptionList list(options);
  for (const auto& [key, text] : parameters) list.set(key, text, "sample:" + sample);
  list.finish();
  options.check();
}

// "views=60 width=320 ...": the parameters with their defaults, one line.
std::string studio_parameters();
std::string splats_parameters();

}  // namespace covary::render
