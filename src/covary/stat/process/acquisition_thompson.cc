// Thompson sampling: a path a point of the batch, each maximised at its own point.
#include <map>
#include <mutex>

#include "covary/stat/process/acquisition_parts.h"
#include "covary/stat/process/paths.h"

namespace covary::stat {
namespace {

class Thompson : public Acquisition {
 public:
  explicit Thompson(const AcquisitionModel& model) : process_(model.objective), seed_(model.seed) {
    paths(1);  // says at once when the kernel has none
  }
  int64_t dims() const override { return process_->data().dims; }
  std::unique_ptr<Worker> worker(int64_t points) const override {
    return std::make_unique<Batch>(paths(points), points, dims());
  }

 private:
  const SamplePaths& paths(int64_t count) const {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<SamplePaths>& p = paths_[count];
    if (!p) p = std::make_unique<SamplePaths>(*process_, count, PathOptions{.seed = seed_});
    return *p;
  }

  // Each point of the batch has a path of its own.
  class Batch : public Worker {
   public:
    Batch(const SamplePaths& paths, int64_t points, int64_t dims)
        : paths_(paths), points_(points), dims_(dims) {}
    double value(std::span<const double> x, std::span<double> gradient) override {
      std::fill(gradient.begin(), gradient.end(), 0.0);
      double sum = 0;
      for (int64_t j = 0; j < points_; ++j) {
        sum += paths_.value_at(j, x.data() + j * dims_,
                               gradient.empty() ? nullptr : gradient.data() + j * dims_);
      }
      return sum;
    }

   private:
    const SamplePaths& paths_;
    int64_t points_, dims_;
  };

  const GaussianProcess* process_;
  uint64_t seed_;
  mutable std::mutex mutex_;
  mutable std::map<int64_t, std::unique_ptr<SamplePaths>> paths_;
};

}  // namespace

std::unique_ptr<Acquisition> thompson_sampling(const AcquisitionOptions&,
                                               const AcquisitionModel& model) {
  return std::make_unique<Thompson>(model);
}

}  // namespace covary::stat
