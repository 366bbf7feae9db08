// A fit as the bars of core-3dgs measure it.
#pragma once

#include <cstdint>
#include <functional>

#include "covary/splat/fit/train_options.h"
#include "covary/splat/fit/trainer.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/cloud.h"

namespace covary::studies {

struct FitFigures {
  scene::Cloud cloud;                           // the training frame
  double psnr = 0, ssim = 0;                    // held-out, mean over views; dB, 1
  double wall_s = 0, cpu_s = 0;                 // of the steps alone
  double preview_psnr = 0, preview_wall_s = 0;  // after preview_steps
  int64_t count = 0;                            // Gaussians
};

// Starts and trains to the last step, with progress and Ctrl-C; after(step), where given, behind each step.
void train_to_end(fit::Trainer& trainer, uint64_t seed,
                  const std::function<void(const fit::StepResult&)>& after = {});

// Trains and scores on the held-out views. preview_steps 0: no preview.
FitFigures fit_figures(const scene::Capture& capture, const fit::TrainOptions& options,
                       uint64_t seed, int64_t preview_steps = 0);

// Mean over the held-out views of the PSNR of each photo's own mean colour: what knowing no shape at all reaches.
double constant_colour_psnr(const scene::Capture& capture);

}  // namespace covary::studies
