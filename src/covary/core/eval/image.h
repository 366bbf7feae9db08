// How far a picture is from the truth. Every variant has a name of its own: numbers of different
// variants never share a column.
//
//   psnr(render, truth)                  // clamped to [0,1], float
//   psnr_8bit(render, truth)             // both rounded to 8 bit first, as files would be
//   psnr(colour_corrected(render, truth), truth)   // least-squares 3x4 colour map: label it so
//
// Pictures are [..., H, W, C] of any floating type in [0,1]; one number for all of them together
// (call once a view and average for the mean of a test set). mask: [H, W] or [..., H, W, 1],
// non-zero = counts; undefined = all. Errors: Error(kFailed) when shapes differ or the mask leaves
// no pixel.
#pragma once

#include <ATen/core/Tensor.h>

namespace covary::eval {

constexpr double kPsnrCap =
    100;  // dB, for pictures that agree to the last bit (so that means stay finite)

double mean_squared_error(const at::Tensor& picture, const at::Tensor& truth,
                          const at::Tensor& mask = {});

// -10 log10 of the mean squared error after clamping the picture to [0,1]; at most kPsnrCap.
double psnr(const at::Tensor& picture, const at::Tensor& truth, const at::Tensor& mask = {});
double psnr_8bit(const at::Tensor& picture, const at::Tensor& truth, const at::Tensor& mask = {});

// The affine colour map that brings the picture nearest to the truth in least squares (over the mask): [C+1,C] double,
// row by row the factors of each channel of the picture, then the offset.
at::Tensor colour_map(const at::Tensor& picture, const at::Tensor& truth,
                      const at::Tensor& mask = {});

// The picture after the affine colour map [3,4] that brings it nearest to the truth in least
// squares (over the mask), clamped to [0,1]. What exposure and white balance alone explain is gone
// from a PSNR after it.
at::Tensor colour_corrected(const at::Tensor& picture, const at::Tensor& truth,
                            const at::Tensor& mask = {});

}  // namespace covary::eval
