#include "covary/stat/mixture/kde_uses.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/mixture/rows.h"

namespace covary::mixture {
namespace {

void need_gaussian(const KernelDensity& kde) {
  const KernelDensityOptions& o = kde.options();
  if (o.kernel != "gaussian" || o.bandwidth_kind != "fixed" || !o.bounds.empty())
    throw Error(ExitCode::kUsage, "serves the gaussian kernel, of fixed width and without bounds",
                "kernel", "fit with kernel gaussian");
}

at::Tensor one_column(const at::Tensor& y, int64_t n) {
  const at::Tensor v = checked_rows(y, "target", false).reshape({-1});
  if (v.size(0) != n) throw Error(ExitCode::kData, "there must be one value a row", "target");
  return v;
}

}  // namespace

Modes modes_of(const KernelDensity& kde, const at::Tensor& starts, double tolerance,
               int64_t steps) {
  need_gaussian(kde);
  if (!(tolerance > 0) || steps < 1)
    throw Error(ExitCode::kUsage, "tolerance must be above 0, steps at least 1", "modes");
  const at::Tensor h = kde.widths();
  at::Tensor x = checked_rows(starts, "starts", false).clone();
  const int64_t n = x.size(0), d = x.size(1);
  Modes out;
  // Those that still move.
  at::Tensor active = at::arange(n, at::kLong);
  for (; out.steps < steps && active.numel() > 0; ++out.steps) {
    const at::Tensor at = x.index_select(0, active);
    const at::Tensor move = kde.gradient(at).mm(kde.bandwidth_matrix());
    x.index_copy_(0, active, at + move);
    active = active.index({std::get<0>((move / h).abs().max(1)) >= tolerance});
  }
  const at::Tensor density = kde.score_samples(x);
  const at::Tensor order = density.argsort(-1, true);
  std::vector<int64_t> found;
  std::vector<int64_t> labels(static_cast<size_t>(n));
  const double* p = x.data_ptr<double>();
  const double* width = h.data_ptr<double>();
  for (int64_t r = 0; r < n; ++r) {
    const int64_t i = order.data_ptr<int64_t>()[r];
    size_t label = 0;
    for (; label < found.size(); ++label) {
      double s = 0;
      for (int64_t j = 0; j < d; ++j) {
        const double z = (p[i * d + j] - p[found[label] * d + j]) / width[j];
        s += z * z;
      }
      if (s < 0.01) break;
    }
    if (label == found.size()) found.push_back(i);
    labels[static_cast<size_t>(i)] = static_cast<int64_t>(label);
  }
  const at::Tensor which = at::tensor(found, at::kLong);
  out.points = x.index_select(0, which);
  out.density = density.index_select(0, which);
  out.labels = at::tensor(labels, at::kLong);
  return out;
}

KernelRegression::KernelRegression(KernelDensityOptions options)
    : all_(options), valued_(std::move(options)) {}

KernelRegression& KernelRegression::fit(const at::Tensor& x, const at::Tensor& y,
                                        const at::Tensor& weights) {
  const at::Tensor rows = checked_rows(x, "data", false);
  y_ = one_column(y, rows.size(0));
  const at::Tensor checked = checked_weights(weights, rows.size(0));
  const at::Tensor w = checked.defined() ? checked : at::ones({rows.size(0)}, at::kDouble);
  all_.fit(rows, w);
  least_ = y_.min().item<double>();
  const at::Tensor valued = w * (y_ - least_);
  const double mass = valued.sum().item<double>();
  log_mass_ =
      mass > 0 ? std::log(mass / w.sum().item<double>()) : -std::numeric_limits<double>::infinity();
  // The same widths, whatever rule chose them.
  if (mass > 0) valued_ = all_.reweighted(valued);
  return *this;
}

at::Tensor KernelRegression::predict(const at::Tensor& q) const {
  const at::Tensor below = all_.score_samples(q);
  if (!std::isfinite(log_mass_)) return at::full_like(below, least_);
  at::Tensor out = (valued_.score_samples(q) + log_mass_ - below).exp() + least_;
  // Out of every kernel's reach.
  const at::Tensor lost = at::nonzero(below == -std::numeric_limits<double>::infinity()).view({-1});
  const at::Tensor rows = checked_rows(q, "query", false);
  for (int64_t a = 0; a < lost.numel(); ++a) {
    const int64_t i = lost.data_ptr<int64_t>()[a];
    const at::Tensor z = (all_.points() - rows[i]) / all_.widths();
    out.data_ptr<double>()[i] = y_[z.square().sum(1).argmin()].item<double>();
  }
  return out;
}

ConditionalDensity::ConditionalDensity(KernelDensityOptions options)
    : options_(options), joint_(options), given_(std::move(options)) {}

ConditionalDensity& ConditionalDensity::fit(const at::Tensor& x, const at::Tensor& y,
                                            const at::Tensor& weights) {
  const at::Tensor left = checked_rows(x, "data", false), right = checked_rows(y, "target", false);
  if (left.size(0) != right.size(0))
    throw Error(ExitCode::kData, "there must be one row of y a row of x", "target");
  if (options_.kernel != "gaussian")
    throw Error(ExitCode::kUsage, "a marginal of this kernel is another kernel", "kernel",
                "use gaussian");
  joint_.fit(at::cat({left, right}, 1), weights);
  given_ = joint_.marginal(left.size(1));
  return *this;
}

at::Tensor ConditionalDensity::log_density(const at::Tensor& q, const at::Tensor& values) const {
  const at::Tensor left = checked_rows(q, "query", false);
  const at::Tensor right = checked_rows(values, "values", false);
  if (left.size(0) != right.size(0))
    throw Error(ExitCode::kData, "there must be one value a query", "values");
  const at::Tensor below = given_.score_samples(left);
  if (!below.isfinite().all().item<bool>())
    throw Error(ExitCode::kData, "a query has density 0", "query", "ask nearer to the data");
  return joint_.score_samples(at::cat({left, right}, 1)) - below;
}

KernelDensity sharpened(const KernelDensity& kde) {
  need_gaussian(kde);
  const at::Tensor x = kde.points();
  return kde.moved(x + 0.5 * kde.gradient(x).mm(kde.bandwidth_matrix()));
}

}  // namespace covary::mixture
