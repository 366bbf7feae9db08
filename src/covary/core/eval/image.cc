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

// The numbers of the pixels that count.
at::Tensor counted(const at::Tensor& picture, const at::Tensor& mask) {
  const at::Tensor chosen = mask.detach().reshape({-1}).ne(0);
  if (chosen.size(0) * picture.size(-1) != picture.numel()) {
    throw Error(ExitCode::kFailed,
                "mask " + shape_text(mask) + " does not fit picture " + shape_text(picture),
                "eval/image");
  }
  return chosen.nonzero().squeeze(1);
}

// The pixels that count as rows [P, C] in double.
at::Tensor pixels(const at::Tensor& picture, const at::Tensor& mask) {
  const at::Tensor rows = picture.detach().to(at::kDouble).reshape({-1, picture.size(-1)});
  return mask.defined() ? rows.index_select(0, counted(picture, mask)) : rows;
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

// f(values of t in order), which are float or double; other types are converted.
template <class F>
double with_values(const at::Tensor& t, F&& f) {
  if (t.scalar_type() == at::kFloat) {
    const at::Tensor whole = t.detach().contiguous();
    return f(whole.const_data_ptr<float>());
  }
  const at::Tensor whole = t.detach().to(at::kDouble).contiguous();
  return f(whole.const_data_ptr<double>());
}

// Of change(value), a double each, over the pixels that count. No picture of doubles is made: of a large photo it would
// take more than a step of a fit.
template <class F>
double mean_squared_error_of(const at::Tensor& picture, const at::Tensor& truth,
                             const at::Tensor& mask, F&& change) {
  check_pair(picture, truth);
  const int64_t channels = picture.size(-1), all = picture.numel() / std::max<int64_t>(1, channels);
  const at::Tensor chosen = mask.defined() ? counted(picture, mask) : at::Tensor();
  const int64_t count = channels * (chosen.defined() ? chosen.numel() : all);
  if (count == 0) throw Error(ExitCode::kFailed, "no pixel counts", "eval/image");
  const int64_t* pixel = chosen.defined() ? chosen.const_data_ptr<int64_t>() : nullptr;
  const double sum = with_values(picture, [&](const auto* a) {
    return with_values(truth, [&](const auto* b) {
      return ordered_sum(count, [&](int64_t i) {
        const int64_t at = pixel ? pixel[i / channels] * channels + i % channels : i;
        const double d = change(static_cast<double>(a[at])) - change(static_cast<double>(b[at]));
        return d * d;
      });
    });
  });
  return sum / static_cast<double>(count);
}

}  // namespace

double mean_squared_error(const at::Tensor& picture, const at::Tensor& truth,
                          const at::Tensor& mask) {
  return mean_squared_error_of(picture, truth, mask, [](double v) { return v; });
}

double psnr(const at::Tensor& picture, const at::Tensor& truth, const at::Tensor& mask) {
  return decibel(mean_squared_error(picture.clamp(0, 1), truth, mask));
}

double psnr_8bit(const at::Tensor& picture, const at::Tensor& truth, const at::Tensor& mask) {
  return decibel(mean_squared_error_of(picture, truth, mask, [](double v) {
    return std::nearbyint(std::clamp(v, 0.0, 1.0) * 255) / 255;
  }));
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
