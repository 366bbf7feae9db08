// What a photo adds to the colours of Gaussians: a small network of the photo's embedding, a feature of the Gaussian and the
// direction that it is seen along. The kernel of `--exposure embedding` (exposure.h).
//
//   OffsetNetwork network;                                      // 16 numbers a photo, 32 a Gaussian, SH basis of degree 2
//   at::Tensor weights = starting_weights(network, seed);       // [network.count()]; the last layer is 0
//   at::Tensor offsets = color_offsets(network, weights, embedding, features, ids, directions);   // [M,3]
//
//   n(e, f, d) = W3 relu(W2 relu(We e + Wf f + Wd basis(d / |d|) + b1) + b2)        hidden layers of 64
//   offset     = n(e, f, d) - n(0, f, d)
//
// The second term makes the colours of embedding 0 those of the scene itself, whatever the weights are. Of the rows of
// features [N,F] those in ids (int64 [M]) are read alone, and where features is a leaf its gradient is sparse, of those rows.
// directions [M,3] of any length but 0. weights, embedding [E], features and directions are all float or all double; all have
// gradients. Floats go through compute/tile_product, sums over rows have a fixed order: same bits on any number of threads. The
// work is about 47,000 multiply-adds a row, forward and backward. Error(kFailed) for other shapes or types.
// Source: the appearance embedding of Martin-Brualla et al. 2021 (NeRF in the Wild), with a feature a Gaussian as in gsplat (Ye et
// al. 2024).
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <ATen/core/Tensor.h>

#include "covary/core/nn/optim/rows.h"

namespace covary::fit {

struct OffsetNetwork {
  static constexpr int64_t kWidth = 64;  // of both hidden layers

  int64_t embedding = 16;  // E: numbers a photo
  int64_t features = 32;   // F: numbers a Gaussian
  int degree = 2;          // of the SH basis of the direction

  int64_t basis() const { return (degree + 1) * (degree + 1); }
  int64_t count() const;  // of the weights
};

// Of the first two layers uniform within 1 / sqrt(inputs), biases too; 0 of the last: no offset. Float.
at::Tensor starting_weights(const OffsetNetwork& network, uint64_t seed);

// The weights by name, each a view [inputs, outputs] or [outputs]: "embedding", "feature", "direction", "bias1", "hidden",
// "bias2", "out".
nn::NamedTensors named_weights(const OffsetNetwork& network, const at::Tensor& weights);

at::Tensor color_offsets(const OffsetNetwork& network, const at::Tensor& weights,
                         const at::Tensor& embedding, const at::Tensor& features,
                         const at::Tensor& ids, const at::Tensor& directions);

}  // namespace covary::fit
