#include "covary/splat/fit/lpips.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/jit/serialization/import.h>

#include "covary/core/base/error.h"

namespace covary::fit {

struct Lpips::Impl {
  mutable torch::jit::Module module;
  std::string name;
};

Lpips::Lpips(const std::filesystem::path& file) : impl_(std::make_unique<Impl>()) {
  impl_->name = file.string();
  if (!std::filesystem::exists(file))
    throw Error(ExitCode::kData, "is not there", impl_->name,
                "give a TorchScript file of LPIPS, or leave --lpips away");
  try {
    impl_->module = torch::jit::load(impl_->name);
    impl_->module.eval();
  } catch (const c10::Error&) {
    throw Error(ExitCode::kData, "is no TorchScript file", impl_->name,
                "export the network with torch.jit.script(net).save(FILE)");
  }
}

Lpips::~Lpips() = default;

double Lpips::operator()(const at::Tensor& image, const at::Tensor& truth) const {
  const at::NoGradGuard no_gradient;
  const auto shaped = [](const at::Tensor& t) {
    return (t.clamp(0, 1) * 2 - 1).permute({2, 0, 1}).unsqueeze(0).contiguous();
  };
  try {
    const auto out = impl_->module.forward({shaped(image), shaped(truth)});
    return out.toTensor().item<double>();
  } catch (const c10::Error& e) {
    throw Error(ExitCode::kData, "failed: " + std::string(e.what_without_backtrace()), impl_->name,
                "it must map two images [1,3,H,W] in [-1,1] to one number");
  }
}

}  // namespace covary::fit
