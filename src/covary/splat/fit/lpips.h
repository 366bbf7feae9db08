// LPIPS by a TorchScript file of the user's: f(a, b) -> scalar, for images [1,3,H,W] in [-1,1].
//
//   Lpips lpips("vgg.pt");
//   double d = lpips(render, truth);      // [H,W,3] float in [0,1]
#pragma once

#include <filesystem>
#include <memory>

#include <ATen/core/Tensor.h>

namespace covary::fit {

class Lpips {
 public:
  explicit Lpips(const std::filesystem::path& file);  // Error(kData) when it is no TorchScript
  ~Lpips();
  double operator()(const at::Tensor& image, const at::Tensor& truth) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace covary::fit
