// The trained scene that several bars share.
#include "covary/splat/fit/evaluate.h"
#include "covary/splat/fit/trainer.h"
#include "studies/core-3dgs/training.h"
#include "studies/splat-formats/bars.h"

namespace covary::studies {

std::vector<scene::Camera> TrainedScene::cameras() const {
  std::vector<scene::Camera> out;
  for (const int64_t i : capture.train) out.push_back(capture.views[static_cast<size_t>(i)].camera);
  return out;
}

const TrainedScene& trained_scene(eval::StudyContext& c) {
  return c.shared<TrainedScene>("trained", [&] {
    scene::CaptureOptions options;
    options.test_every = 8;
    if (!c.smoke()) options.downscale = 8;
    const scene::Capture capture =
        scene::load_capture(c.smoke() ? "sample:studio,views=24,width=96,height=72,points=1500"
                                      : c.data("fox").string(),
                            options);
    fit::TrainOptions o;
    o.steps = c.smoke() ? 300 : 2000;
    fit::Trainer trainer(capture, o);
    train_to_end(trainer, c.seed());
    TrainedScene t{trainer.cloud(), trainer.capture()};
    c.table({.name = c.smoke() ? "studio at 96x72, 300 steps" : "fox at 135x240, 2,000 steps",
             .columns = {"PSNR dB", "splats"},
             .rows = {{held_out_psnr(t, t.cloud), t.cloud.size()}}});
    return t;
  });
}

double held_out_psnr(const TrainedScene& scene, const scene::Cloud& cloud) {
  fit::EvaluateOptions options;
  options.progress = false;
  return fit::evaluate(cloud, scene.capture, options).psnr;
}

}  // namespace covary::studies
