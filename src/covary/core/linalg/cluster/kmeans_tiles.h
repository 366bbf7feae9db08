// A thread's memory for tiles of points. Within cluster only.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "covary/core/base/threads.h"
#include "covary/core/linalg/cluster/kmeans_kernel.h"

namespace covary::linalg {

template <class T>
struct ClusterTile {
  explicit ClusterTile(int64_t d)
      : columns(static_cast<size_t>(d * kClusterTile)),
        norms(static_cast<size_t>(kClusterTile)),
        best(norms),
        second(norms),
        label(norms) {}
  std::vector<T> columns, norms, best, second, label;
};

// One `Scratch` a thread, made when the thread first asks.
template <class Scratch>
class EachWorker {
 public:
  EachWorker() : scratch_(static_cast<size_t>(threads())) {}
  template <class... Arguments>
  Scratch& of(int worker, const Arguments&... arguments) {
    auto& own = scratch_[static_cast<size_t>(worker)];
    if (!own) own = std::make_unique<Scratch>(arguments...);
    return *own;
  }

 private:
  std::vector<std::unique_ptr<Scratch>> scratch_;
};

}  // namespace covary::linalg
