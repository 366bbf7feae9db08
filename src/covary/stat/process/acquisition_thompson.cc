// Thompson sampling: a path a point of the batch, each maximised at its own point.
#include <map>
#include <mutex>

#include "covary/stat/process/acquisition_parts.h"
#include "covary/stat/process/function_paths.h"

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
  const FunctionPaths& paths(int64_t count) const {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<FunctionPaths>& p = paths_[count];
    if (!p) p = std::make_unique<FunctionPaths>(*process_, count, seed_);
    return *p;
  }

  // Points move one after another through one worker: a value needs the path of its own point alone.
  class Batch : public Worker {
   public:
    Batch(const FunctionPaths& paths, int64_t points, int64_t dims)
        : at_(paths, 1), points_(points), dims_(dims), weights_(static_cast<size_t>(points)) {}
    double value(std::span<const double> x, std::span<double> gradient) override {
      std::fill(gradient.begin(), gradient.end(), 0.0);
      double sum = 0;
      for (int64_t j = 0; j < points_; ++j) {
        at_.move(x.data() + j * dims_);
        sum += at_.values()[static_cast<size_t>(j)];
        if (gradient.empty()) continue;
        std::fill(weights_.begin(), weights_.end(), 0.0);
        weights_[static_cast<size_t>(j)] = 1;
        at_.add_gradient(weights_.data(), gradient.data() + j * dims_);
      }
      return sum;
    }

   private:
    FunctionPaths::At at_;
    int64_t points_, dims_;
    std::vector<double> weights_;
  };

  const GaussianProcess* process_;
  uint64_t seed_;
  mutable std::mutex mutex_;
  mutable std::map<int64_t, std::unique_ptr<FunctionPaths>> paths_;
};

}  // namespace

std::unique_ptr<Acquisition> thompson_sampling(const AcquisitionOptions&,
                                               const AcquisitionModel& model) {
  return std::make_unique<Thompson>(model);
}

}  // namespace covary::stat
