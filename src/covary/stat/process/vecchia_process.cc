// The process around the likelihood by neighbours: fit and predictions.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/start.h"
#include "covary/stat/process/vecchia.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

size_t index(int64_t i) { return static_cast<size_t>(i); }

}  // namespace

VecchiaProcess::VecchiaProcess(const at::Tensor& x, const at::Tensor& y,
                               const VecchiaOptions& options, const RowNoise& rows)
    : options_(options), constant_(options.mean == "const") {
  options.check();
  if (!y.defined() || y.dim() != 1) throw Error(ExitCode::kUsage, "must be one value a row", "y");
  const GpData data = GpData::from(x, y, rows, constant_ ? Mean::kConst : Mean::kZero);
  const GpGroup& group = data.groups[0];
  const int64_t d = data.dims, n = group.count();
  kernel_ = Kernel::parse(completed_kernel(options.kernel, rows.stands_alone(), d), d);
  start_by_data(&kernel_, data, static_cast<uint64_t>(options.seed));
  n_ = data.n;
  ranges_ = data.scale;
  if (constant_) {
    for (const double v : group.y) centre_ += v / static_cast<double>(n);
  }
  if (options.fit && n > options.sample) {  // a dense fit to a sample starts the search
    const GpData part = data.sample(options.sample, static_cast<uint64_t>(options.seed));
    GpOptions dense;
    dense.mean = options.mean;
    dense.starts = options.starts;
    dense.seed = options.seed;
    dense.search.iterations = std::min<int64_t>(options.search.iterations, 50);
    dense.search.watch = options.search.watch;
    const GaussianProcess first(part.x, part.y.squeeze(1).contiguous(), kernel_, dense, part.noise);
    Vector lower, upper, start = first.kernel().pack();
    kernel_.bounds(&lower, &upper);
    for (size_t i = 0; i < start.size(); ++i) start[i] = std::clamp(start[i], lower[i], upper[i]);
    kernel_.unpack(start);
  }
  NeighbourLists lists = order_rows(group);
  // Order and neighbours by the start's length scales, then once more by those of the fit.
  for (int round = 0; options.fit && !kernel_.pack().empty() && round < 2; ++round) {
    const numeric::Optimum o = search_kernel(
        kernel_,
        [&](const Kernel& kernel, Vector* gradient) {
          return vecchia_log_likelihood(kernel, x_, y_, lists, constant_, *gradient, variances_,
                                        weights_)
              .log_likelihood;
        },
        kernel_.pack(), options.search);
    kernel_.unpack(o.x);
    record(o, kernel_, &report_);
    lists = order_rows(group);
  }
  value_ = vecchia_log_likelihood(kernel_, x_, y_, lists, constant_, {}, variances_, weights_);
  report_.kernel = kernel_.text();
  report_.log_likelihood = value_.log_likelihood;
  report_.mean = centre_ + value_.mean;
  report_.neighbours = options.neighbours;
  if (report_.log_likelihood == -kInfinity)
    throw Error(ExitCode::kFailed, "the likelihood is not finite: a kernel matrix has no factor",
                "process", "raise the noise, or scale the data");
}

KernelObjective VecchiaProcess::objective() const {
  const auto n = static_cast<int64_t>(y_.size());
  const auto lists = std::make_shared<NeighbourLists>(
      nearest_before(scaled(x_.data(), n), kernel_.dims(), options_.neighbours));
  return [this, lists](const Kernel& kernel, Vector* gradient) {
    return vecchia_log_likelihood(kernel, x_, y_, *lists, constant_, *gradient, variances_,
                                  weights_)
        .log_likelihood;
  };
}

NeighbourLists VecchiaProcess::order_rows(const GpGroup& group) {
  const int64_t d = kernel_.dims(), n = group.count();
  x_.clear();
  y_.clear();
  rows_.clear();
  variances_.clear();
  weights_.clear();
  for (const int64_t row :
       spread_order(scaled(group.x.data(), n), d, static_cast<uint64_t>(options_.seed))) {
    x_.insert(x_.end(), group.x.begin() + row * d, group.x.begin() + (row + 1) * d);
    y_.push_back(group.y[index(row)] - centre_);
    rows_.push_back(group.rows[index(row)]);
    if (!group.noise.empty()) variances_.push_back(group.noise[index(row)]);
    if (!group.weights.empty()) weights_.push_back(group.weights[index(row)]);
  }
  return nearest_before(scaled(x_.data(), n), d, options_.neighbours);
}

Vector VecchiaProcess::scaled(const double* x, int64_t count) const {
  const int64_t d = kernel_.dims();
  Vector lengths(index(d), kInfinity);
  for (const KernelParameter& p : kernel_.parameters()) {
    if (p.role != ParameterRole::kLengthscale) continue;
    for (int64_t k = 0; k < d; ++k) {
      if (p.dimension < 0 || p.dimension == k)
        lengths[index(k)] = std::min(lengths[index(k)], p.value);
    }
  }
  const bool all =
      std::all_of(lengths.begin(), lengths.end(), [](double l) { return std::isfinite(l); });
  Vector out(x, x + count * d);
  for (int64_t i = 0; i < count * d; ++i) {
    out[index(i)] /= all ? lengths[index(i % d)] : ranges_[index(i % d)];
  }
  return out;
}

VecchiaPrediction VecchiaProcess::from_nearest(const double* points, int64_t count, bool noise,
                                               bool leave_out) const {
  const int64_t d = kernel_.dims(), n = static_cast<int64_t>(y_.size());
  VecchiaPrediction out{at::empty({count}, at::kDouble), at::empty({count}, at::kDouble)};
  const Vector data = scaled(x_.data(), n), at = scaled(points, count);
  const Vector terms = row_terms(kernel_, x_.data(), n, variances_, weights_);
  parallel_tasks((count + 15) / 16, [&](int64_t task) {
    const linalg::OneBlasThread one;
    Vector near, matrix, cross, values;
    std::vector<std::pair<double, int64_t>> found(index(n));
    for (int64_t i = task * 16; i < std::min(count, (task + 1) * 16); ++i) {
      found.clear();
      for (int64_t j = 0; j < n; ++j) {
        if (leave_out && i == j) continue;
        double q = 0;
        for (int64_t k = 0; k < d; ++k) {
          const double difference = at[index(i * d + k)] - data[index(j * d + k)];
          q += difference * difference;
        }
        found.emplace_back(q, j);
      }
      const int64_t m = std::min<int64_t>(options_.neighbours, static_cast<int64_t>(found.size()));
      std::partial_sort(found.begin(), found.begin() + m, found.end());
      near.resize(index(m * d));
      matrix.resize(index(m * m));
      cross.resize(index(m));
      values.resize(index(2 * m));  // residuals and ones
      for (int64_t k = 0; k < m; ++k) {
        const int64_t row = found[index(k)].second;
        std::copy_n(x_.data() + row * d, d, near.data() + k * d);
        values[index(k)] = y_[index(row)] - value_.mean;
        values[index(m + k)] = 1;
      }
      const double* point = points + i * d;
      kernel_.matrix(near.data(), m, matrix.data(), m);
      for (int64_t k = 0; k < m && !terms.empty(); ++k)
        matrix[index(k * (m + 1))] += terms[index(found[index(k)].second)];
      kernel_.cross(point, 1, near.data(), m, cross.data(), m);
      double prior = 0;
      kernel_.diagonal(point, 1, noise, &prior);
      if (leave_out && !terms.empty()) prior += terms[index(i)];
      if (linalg::potrf(m, matrix.data(), m) != 0)
        throw Error(ExitCode::kFailed, "a kernel matrix of neighbours has no factor", "process",
                    "raise the noise");
      linalg::trsm_left(false, m, 1, matrix.data(), m, cross.data(), 1);
      linalg::trsm_left(false, m, 1, matrix.data(), m, values.data(), 1);
      linalg::trsm_left(false, m, 1, matrix.data(), m, values.data() + m, 1);
      double variance = std::max(prior - linalg::dot(m, cross.data(), cross.data()), 0.0);
      if (constant_) {
        const double left = 1 - linalg::dot(m, cross.data(), values.data() + m);
        variance += left * left / value_.precision_of_mean;
      }
      out.mean.data_ptr<double>()[i] = report_.mean + linalg::dot(m, cross.data(), values.data());
      out.variance.data_ptr<double>()[i] = variance;
    }
  });
  return out;
}

VecchiaPrediction VecchiaProcess::predict(const at::Tensor& points, bool noise) const {
  const at::Tensor xs = checked_points(points, kernel_.dims(), "points");
  return from_nearest(xs.const_data_ptr<double>(), xs.size(0), noise, false);
}

VecchiaPrediction VecchiaProcess::leave_one_out() const {
  const double missing = std::numeric_limits<double>::quiet_NaN();
  VecchiaPrediction out{at::full({n_}, missing, at::kDouble), at::full({n_}, missing, at::kDouble)};
  const VecchiaPrediction p = from_nearest(x_.data(), static_cast<int64_t>(y_.size()), true, true);
  for (size_t i = 0; i < rows_.size(); ++i) {
    out.mean.data_ptr<double>()[rows_[i]] = p.mean.const_data_ptr<double>()[i];
    out.variance.data_ptr<double>()[rows_[i]] = p.variance.const_data_ptr<double>()[i];
  }
  return out;
}

}  // namespace covary::stat
