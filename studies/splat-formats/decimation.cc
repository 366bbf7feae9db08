// A trained scene with a quarter of its splats, scored on held-out photos.
#include <cmath>
#include <cstdio>

#include "covary/splat/render/decimate.h"
#include "studies/splat-formats/bars.h"

namespace covary::studies {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

namespace {

constexpr double kShare = 0.25;

struct Decimations {
  double whole = 0, random = 0, contribution = 0, merge = 0;  // dB
};

const Decimations& decimations(StudyContext& c) {
  return c.shared<Decimations>("decimations", [&] {
    const TrainedScene& t = trained_scene(c);
    const auto target = std::llround(kShare * static_cast<double>(t.cloud.size()));
    const auto psnr = [&](const std::string& by) {
      return held_out_psnr(
          t, render::decimated(t.cloud, t.cameras(), {.target = target, .by = by, .seed = c.seed()})
                 .cloud);
    };
    const Decimations d{held_out_psnr(t, t.cloud), psnr("random"), psnr("contribution"),
                        psnr("merge")};
    c.table({.name = "a quarter of the splats, held-out photos",
             .columns = {"whole dB", "random dB", "by contribution dB", "by merge dB"},
             .rows = {{d.whole, d.random, d.contribution, d.merge}}});
    return d;
  });
}

Bar better_by(const std::string& part, const std::string& title, double gain,
              double Decimations::* ours, double Decimations::* baseline, const std::string& name) {
  char text[64];
  std::snprintf(text, sizeof(text), "ours >= baseline %+.1f dB", gain);
  return eval::bar_of(
      "4", part, title, "PSNR", "dB", text, [=, text = std::string(text)](StudyContext& c) {
        const Decimations& d = decimations(c);
        BarResult r;
        r.baseline = Quantity{.name = name, .value = d.*baseline, .unit = "dB"};
        r.ours = Quantity{.value = d.*ours, .unit = "dB"};
        r.bound = {.text = text, .left = d.*ours, .op = ">=", .right = d.*baseline + gain};
        return r;
      });
}

}  // namespace

std::vector<Bar> decimation_bars() {
  return {better_by("a", "25 % of the splats, by merge, against a random quarter", 1,
                    &Decimations::merge, &Decimations::random, "random"),
          better_by("b", "25 % of the splats, by contribution, against a random quarter", 1,
                    &Decimations::contribution, &Decimations::random, "random"),
          better_by("c", "25 % of the splats, by merge, against dropping alone", 0,
                    &Decimations::merge, &Decimations::contribution, "by contribution")};
}

}  // namespace covary::studies
