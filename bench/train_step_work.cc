#include "bench/train_step_work.h"

#include <map>

namespace covary::bench {

Work work_of(const std::string& path, double items, const Sizes& s) {
  const auto n = static_cast<double>(s.gaussians), m = static_cast<double>(s.visible),
             pairs = static_cast<double>(s.pairs), blends = static_cast<double>(s.blends),
             pixels = static_cast<double>(s.pixels),
             coefficients = 3.0 * (s.sh_degree + 1) * (s.sh_degree + 1);

  // N x (log scales 3, logit 1): an exponential each, read and written; backward y * d: two read, one written.
  if (path == "step/activate") return {0, items, 8 * items};
  if (path == "step/backward/activate") return {items, 0, 12 * items};

  // A primitive: 9 multiply-adds into camera axes. A visible one: rotation 15, its product with the scales 9, the
  // covariance 18, into camera axes 45, onto the screen 15, inverse and extent 10. Read: 11 floats a primitive; written:
  // 10 floats and an id a visible one. Backward: twice the arithmetic; 11 + 7 floats read, 11 written a visible one, and
  // zeros for every primitive before that.
  if (path == "step/render/project") return {9 * n + 112 * m, 0, 44 * n + 48 * m};
  if (path == "step/backward/project") return {2 * 121 * m, 0, 4 * (18 + 11) * m + 44 * n};

  // A visible one: coefficients read once, a direction made of its mean (read 12, written 24) and its colour; a basis of
  // (degree + 1)^2 functions, about 20 multiply-adds a degree. Backward: twice; the gradient of a visible one written beside.
  if (path == "step/render/sh")
    return {m * (coefficients + 20 * s.sh_degree), 0, m * (4 * coefficients + 12 + 24 + 12 + 8)};
  if (path == "step/backward/sh")
    return {2 * m * (coefficients + 20 * s.sh_degree), 0,
            m * (8 * coefficients + 12 + 12 + 12 + 8)};

  // Ten floats and a rank a visible one; a run of neighbouring tiles, 8 bytes, is at most a pair.
  if (path == "step/render/bin") return {0, 0, 52 * m + 8 * pairs};
  // Radix: keys counted once for all digits, 3 passes that read keys and indices and write them, 8 bytes each, and the way in
  // and out. Pairs: the runs read by both passes, index and slot written.
  if (path == "step/render/sort") return {0, 0, m * (3 * 16 + 12 + 12) + 24 * pairs};

  // A blend: an exponential; 2 multiply-adds for its exponent, 2 for weight and transmittance, 3 channels; backward 6 beside
  // the exponent, weight and transmittance and 2 a channel, and a quotient, which is not counted. A record of a cache line
  // read a pair; backward 9 floats more (11 with absolute gradients, which the default strategy does not read), written
  // and read once. The image and its transmittance.
  if (path == "step/render/composite") return {7 * blends, blends, 64 * pairs + 16 * pixels};
  if (path == "step/backward/composite")
    return {16 * blends, blends, (64 + 2 * 36) * pairs + 32 * pixels};

  // Value and gradient in one pass, a pixel and channel: 7 fields through 2 windows of 11 taps, which are symmetric, 6
  // multiply-adds and 5 sums of two each, and 40 multiply-adds for the map: float and byte read, float written. A sum is one
  // operation where a multiply-add is two: half of one. Backward hands the gradient on; a weight other than 1 would scale it.
  if (path == "step/loss") return {(7 * 2 * (6 + 5 / 2.0) + 40) * items, 0, 9 * items};
  if (path == "step/backward/loss") return {};

  // Value, gradient and two moments read, three written; 6 multiply-adds beside a root and a quotient.
  if (path == "step/adam") return {6 * items, 0, 28 * items};
  return {};
}

std::string label_of(const std::string& path) {
  static const std::map<std::string, std::string> labels = {
      {"step", "rest of the step"},
      {"step/target", "target"},
      {"step/activate", "activations"},
      {"step/render", "rest of rendering"},
      {"step/render/project", "projection"},
      {"step/render/sh", "colours by SH"},
      {"step/render/bin", "binning"},
      {"step/render/sort", "sort"},
      {"step/render/composite", "forward"},
      {"step/loss", "loss and its gradient"},
      {"step/backward", "rest of backward"},
      {"step/backward/loss", "loss, backward"},
      {"step/backward/composite", "forward, backward"},
      {"step/backward/sh", "colours, backward"},
      {"step/backward/project", "projection, backward"},
      {"step/backward/activate", "activations, backward"},
      {"step/adam", "optimiser"},
      {"step/strategy", "strategy"}};
  const auto it = labels.find(path);
  return it == labels.end() ? path : it->second;
}

}  // namespace covary::bench
