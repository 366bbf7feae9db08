#include "covary/stat/process/acquisition.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/process/acquisition_parts.h"

namespace covary::stat {
namespace {

// Forms of any number of points: closed where there is one point alone, by draws else.
class ByNumber : public Acquisition {
 public:
  ByNumber(const AcquisitionOptions& options, const AcquisitionModel& model)
      : one_(model.pending.empty() ? analytic_acquisition(options, model) : nullptr),
        many_(monte_carlo_acquisition(options, model)) {}
  int64_t dims() const override { return many_->dims(); }
  std::unique_ptr<Worker> worker(int64_t points) const override {
    return points == 1 && one_ ? one_->worker(1) : many_->worker(points);
  }

 private:
  std::unique_ptr<Acquisition> one_, many_;
};

void check_process(const GaussianProcess* gp, int64_t dims, const std::string& what) {
  if (!gp || gp->data().outputs != 1 || gp->data().dims != dims) {
    throw Error(ExitCode::kUsage, "must have one output and the columns of the objective", what);
  }
}

}  // namespace

NoiseFree noise_free(const GaussianProcess& gp, int64_t draws, uint64_t seed) {
  const GpData& data = gp.data();
  const GpGroup& group = data.groups[0];
  const at::Tensor x = at::empty({group.count(), data.dims}, at::kDouble);
  std::copy(group.x.begin(), group.x.end(), x.data_ptr<double>());
  const at::Tensor values = gp.sample(x, draws, seed);  // [draws, rows]
  at::Tensor y = values.reshape({draws, group.count()}).t().contiguous();
  Kernel kernel = gp.kernel();
  double prior = 0;
  kernel.diagonal(group.x.data(), 1, false, &prior);
  for (KernelParameter& p : kernel.parameters()) {
    if (p.role == ParameterRole::kNoise) p.value = p.lower = 1e-8 * prior;
  }
  const char* means[] = {"zero", "const", "linear"};
  GpOptions options{
      .mean = means[static_cast<int>(data.mean)], .fit = false, .constant_columns = true};
  for (KernelParameter& p : kernel.parameters()) p.fixed = true;
  NoiseFree out{GaussianProcess(x, y, kernel, options), {}};
  const at::Tensor best = std::get<0>(y.max(0)).contiguous();
  out.best.assign(best.const_data_ptr<double>(), best.const_data_ptr<double>() + draws);
  return out;
}

std::unique_ptr<Acquisition> make_acquisition(const AcquisitionOptions& options,
                                              AcquisitionModel model) {
  options.check();
  const std::string& kind = options.acquisition;
  if (!model.objective) throw Error(ExitCode::kUsage, "is missing", "objective of the acquisition");
  const int64_t d = model.objective->data().dims;
  check_process(model.objective, d, "objective");
  for (const AcquisitionModel::Limit& c : model.constraints) {
    check_process(c.process, d, "constraint");
    if (!std::isfinite(c.upper)) throw Error(ExitCode::kUsage, "has no finite limit", "constraint");
  }
  if (model.log_cost) check_process(model.log_cost, d, "cost");
  if (static_cast<int64_t>(model.pending.size()) % d != 0) {
    throw Error(ExitCode::kUsage, "are no whole points", "pending");
  }
  for (const double v : model.pending) {
    if (!std::isfinite(v))
      throw Error(ExitCode::kUsage, "hold a value that is not finite", "pending");
  }
  const auto width = static_cast<size_t>(d);
  if (model.lower.empty()) model.lower.assign(width, 0);
  if (model.upper.empty()) model.upper.assign(width, 1);
  if (model.lower.size() != width || model.upper.size() != width) {
    throw Error(ExitCode::kUsage, "has not a side a column", "box of the acquisition");
  }
  const bool limited = kind == "logei" || kind == "ei" || kind == "pi" || kind == "noisy-ei";
  if (!model.constraints.empty() && !limited) {
    throw Error(ExitCode::kUsage, "knows no constraints", kind, "choose logei, ei, pi or noisy-ei");
  }
  const bool single = kind == "pi" || kind == "kg" || kind == "mes";
  if (single && !model.pending.empty()) {
    throw Error(ExitCode::kUsage, "knows no pending points", kind,
                "choose logei, or wait for them");
  }
  const bool needs_best = kind == "ei" || kind == "pi" || kind == "logei";
  if (std::isnan(model.best) || model.best == INFINITY ||
      (needs_best && model.constraints.empty() && !std::isfinite(model.best))) {
    throw Error(ExitCode::kUsage, "is no finite number", "best value so far");
  }
  if (kind == "pi") return analytic_acquisition(options, model);
  if (kind == "kg") return knowledge_gradient(options, model);
  if (kind == "mes") return max_value_entropy(options, model);
  if (kind == "thompson") return thompson_sampling(options, model);
  return std::make_unique<ByNumber>(options, model);
}

}  // namespace covary::stat
