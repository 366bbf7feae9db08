#include "covary/cli/eval_options.h"

#include "covary/core/base/error.h"

namespace covary::cli {

void EvalOptions::describe(OptionList& o) {
  o.add("split", &split, "views to compare").choices({"test", "train", "all"}).common();
  o.add("scales", &scales, "also at these image factors, against area-averaged truth")
      .range(0.01, 1);
  o.add("downscale", &downscale, "integer factor of photo size; 0 = as trained")
      .range(0, 64)
      .common();
  o.add("background", &background, "behind the scene")
      .suggestions({"auto", "black", "white", "R,G,B"});
  o.add("lpips", &lpips, "network for LPIPS: TorchScript file of (image, image) -> distance")
      .suggestions({"torchscript:FILE", "off"})
      .common();
  o.add("reference_cameras", &reference_cameras,
        "see the views from these cameras instead of the capture's, by name and in its frame: a "
        "cameras.json, a run, a COLMAP model; a run's figures and pictures then stay as they are");
  o.add("images", &images, "write truth, render and error of each view into the run folder");
}

void EvalOptions::check() const {
  if (lpips.rfind("onnx:", 0) == 0)
    throw Error(ExitCode::kUsage, "this build has no ONNX runtime", "--lpips",
                "export the network to TorchScript: torch.jit.trace(net, (a, b)).save('lpips.pt')");
}

}  // namespace covary::cli
