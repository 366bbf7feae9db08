#include "covary/core/eval/image.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"

namespace covary::eval {
namespace {

std::string shape_text(const at::Tensor& t) {
  std::string text = "[";
  for (int64_t i = 0; i < t.dim(); ++i) text += (i ? "," : "") + std::to_string(t.size(i));
  return text + "]";
}

// The pixels that count as rows [P, C] in double.
at::Tensor pixels(const at::Tensor& picture, const at::Tensor& mask) {
  const int64_t channels = picture.size(-1);
  at::Tensor rows = picture.detach().to(at::kDouble).reshape({-1, channels});
  if (!mask.defined()) return rows;
  const at::Tensor chosen = mask.detach().reshape({-1}).ne(0);
  if (chosen.size(0) != rows.size(0)) {
    throw Error(ExitCode::kFailed,
                "mask " + shape_text(mask) + " does not fit picture " + shape_text(picture),
                "eval/image");
  }
  return rows.index_select(0, chosen.nonzero().squeeze(1));
}

void check_pair(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined() || a.sizes() != b.sizes() || a.dim() < 3) {
    throw Error(ExitCode::kFailed,
                "picture " + (a.defined() ? shape_text(a) : "?") + " and truth " +
                    (b.defined() ? shape_text(b) : "?") +
                    " are not two pictures of one shape [...,H,W,C]",
                "eval/image");
  }
}

double decibel(double mse) {
  if (std::isnan(mse)) return mse;
  return std::min(kPsnrCap, -10 * std::log10(std::max(mse, 1e-300)));
}

}  // namespace

double mean_squared_error(const at::Tensor& picture, const at::Tensor& truth,
                          const at::Tensor& mask) {
  check_pair(picture, truth);
  const at::Tensor difference = (pixels(picture, mask) - pixels(truth, mask)).contiguous();
  const int64_t count = difference.numel();
  if (count == 0) throw Error(ExitCode::kFailed, "no pixel counts", "eval/image");
  const double* d = difference.const_data_ptr<double>();
  return ordered_sum(count, [&](int64_t i) { return d[i] * d[i]; }) / static_cast<double>(count);
}

double psnr(const at::Tensor& picture, const at::Tensor& truth, const at::Tensor& mask) {
  return decibel(mean_squared_error(picture.clamp(0, 1), truth, mask));
}

double psnr_8bit(const at::Tensor& picture, const at::Tensor& truth, const at::Tensor& mask) {
  const auto rounded = [](const at::Tensor& t) {
    return t.detach().to(at::kDouble).clamp(0, 1).mul(255).round().div(255);
  };
  return decibel(mean_squared_error(rounded(picture), rounded(truth), mask));
}

namespace {

at::Tensor with_one(const at::Tensor& rows) {
  return at::cat({rows, at::ones({rows.size(0), 1}, rows.options())}, 1);
}

}  // namespace

at::Tensor colour_map(const at::Tensor& picture, const at::Tensor& truth, const at::Tensor& mask) {
  check_pair(picture, truth);
  const int64_t channels = picture.size(-1);
  const at::Tensor x = with_one(pixels(picture, mask)), y = pixels(truth, mask);
  if (x.size(0) == 0) throw Error(ExitCode::kFailed, "no pixel counts", "eval/image");
  // Normal equations of channels + 1 unknowns; a touch of ridge keeps a flat picture solvable.
  const at::Tensor gram =
      x.t().matmul(x) + 1e-9 * static_cast<double>(x.size(0)) * at::eye(channels + 1, x.options());
  return at::linalg_solve(gram, x.t().matmul(y));
}

at::Tensor colour_corrected(const at::Tensor& picture, const at::Tensor& truth,
                            const at::Tensor& mask) {
  const at::Tensor map = colour_map(picture, truth, mask);
  return with_one(pixels(picture, {}))
      .matmul(map)
      .clamp(0, 1)
      .reshape(picture.sizes())
      .to(picture.scalar_type());
}

}  // namespace covary::eval
