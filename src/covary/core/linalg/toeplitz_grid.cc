#include "covary/core/linalg/toeplitz_grid.h"

#include <algorithm>
#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"

namespace covary::linalg {
namespace {

using Shape = std::vector<int64_t>;

int64_t cells_of(const Shape& shape) {
  int64_t size = 1;
  for (const int64_t n : shape) size *= n;
  return size;
}

// The least length of a transform from `least` on whose factors are 2, 3 and 5.
int64_t fast_length(int64_t least) {
  for (int64_t n = least;; ++n) {
    int64_t rest = n;
    for (const int64_t p : {2, 3, 5}) {
      while (rest % p == 0) rest /= p;
    }
    if (rest == 1) return n;
  }
}

// Of a grid beside another, without wrapping.
Shape padded(const Shape& shape) {
  Shape period;
  for (const int64_t n : shape) period.push_back(fast_length(2 * n - 1));
  return period;
}

// The last dimensions, those of the grid.
Shape last(const Shape& shape) {
  Shape dims;
  for (int64_t k = -static_cast<int64_t>(shape.size()); k < 0; ++k) dims.push_back(k);
  return dims;
}

at::Tensor on_grid(const double* rows, int64_t count, const Shape& shape) {
  Shape whole = {count};
  whole.insert(whole.end(), shape.begin(), shape.end());
  return at::from_blob(const_cast<double*>(rows), whole, at::kDouble);
}

at::Tensor corner(at::Tensor t, const Shape& shape) {
  const auto d = static_cast<int64_t>(shape.size());
  for (int64_t k = 0; k < d; ++k) t = t.slice(t.dim() - d + k, 0, shape[static_cast<size_t>(k)]);
  return t;
}

at::Tensor checked_lags(const Shape& shape, const at::Tensor& lags) {
  const auto refuse = [](const std::string& what) {
    throw Error(ExitCode::kUsage, what, "Toeplitz grid");
  };
  for (const int64_t n : shape) {
    if (n < 1) refuse("has an empty axis");
  }
  if (shape.empty() || !lags.defined() || lags.scalar_type() != at::kDouble ||
      lags.sizes() != at::IntArrayRef(lag_shape(shape)))
    refuse("needs doubles for every difference of cells, 2 n - 1 along an axis");
  Shape all = last(shape);
  const at::Tensor own = lags.detach().contiguous();
  if (!own.isfinite().all().item<bool>()) refuse("has lags that are not finite");
  const double apart = (own - own.flip(all)).abs().max().item<double>();
  if (apart > 1e-12 * own.abs().max().item<double>())
    refuse("is not symmetric: a difference and its negative have different lags");
  return own;
}

double middle_of(const at::Tensor& lags) {
  return lags.reshape({-1})[lags.numel() / 2].item<double>();
}

}  // namespace

std::vector<int64_t> lag_shape(const std::vector<int64_t>& shape) {
  Shape lags;
  for (const int64_t n : shape) lags.push_back(2 * n - 1);
  return lags;
}

ToeplitzGridOperator::ToeplitzGridOperator(Shape shape, const at::Tensor& lags)
    : shape_(std::move(shape)) {
  at::Tensor c = checked_lags(shape_, lags);
  size_ = cells_of(shape_);
  middle_ = middle_of(c);
  period_ = padded(shape_);
  // Difference l stands at l modulo the period, l < 0 at its end.
  for (size_t k = 0; k < shape_.size(); ++k) {
    const auto axis = static_cast<int64_t>(k);
    const int64_t n = shape_[k];
    Shape between = c.sizes().vec();
    between[k] = period_[k] - (2 * n - 1);
    c = at::cat(
        {c.slice(axis, n - 1, 2 * n - 1), at::zeros(between, at::kDouble), c.slice(axis, 0, n - 1)},
        axis);
  }
  spectrum_ = at::real(at::fft_rfftn(c)).contiguous();
}

void ToeplitzGridOperator::multiply(const double* rows, int64_t count, double* out) const {
  const Shape dims = last(shape_);
  const at::Tensor b = on_grid(rows, count, shape_);
  const at::Tensor product = at::fft_irfftn(
      at::fft_rfftn(b, at::OptionalIntArrayRef(period_), at::OptionalIntArrayRef(dims)) * spectrum_,
      at::OptionalIntArrayRef(period_), at::OptionalIntArrayRef(dims));
  const at::Tensor own = corner(product, shape_).contiguous();
  std::copy_n(own.const_data_ptr<double>(), count * size_, out);
}

void ToeplitzGridOperator::diagonal(double* out) const { std::fill_n(out, size_, middle_); }

CirculantGrid::CirculantGrid(Shape shape, const at::Tensor& lags) : shape_(std::move(shape)) {
  at::Tensor c = checked_lags(shape_, lags);
  size_ = cells_of(shape_);
  middle_ = middle_of(c);
  // Along an axis: c_j = ((n - j) t_j + j t_(j - n)) / n.
  for (size_t k = 0; k < shape_.size(); ++k) {
    const auto axis = static_cast<int64_t>(k);
    const int64_t n = shape_[k];
    Shape wide(shape_.size(), 1);
    wide[k] = n;
    const at::Tensor share = (at::arange(n, at::kDouble) / static_cast<double>(n)).reshape(wide);
    // t_(j - n), j from 1; j = 0 has no share in it.
    const at::Tensor wrapped = at::cat({c.slice(axis, 0, 1), c.slice(axis, 0, n - 1)}, axis);
    c = (1 - share) * c.slice(axis, n - 1, 2 * n - 1) + share * wrapped;
  }
  const at::Tensor all = at::real(at::fft_fftn(c));
  if (!(all.min().item<double>() > 0))
    throw Error(ExitCode::kFailed, "is not positive definite", "circulant of a grid",
                "raise the noise");
  log_determinant_ = all.log().sum().item<double>();
  spectrum_ = at::real(at::fft_rfftn(c)).contiguous();
}

at::Tensor CirculantGrid::filtered(const double* rows, int64_t count,
                                   const at::Tensor& spectrum) const {
  const Shape dims = last(shape_);
  return at::fft_irfftn(at::fft_rfftn(on_grid(rows, count, shape_), at::OptionalIntArrayRef(),
                                      at::OptionalIntArrayRef(dims)) *
                            spectrum,
                        at::OptionalIntArrayRef(shape_), at::OptionalIntArrayRef(dims))
      .contiguous();
}

void CirculantGrid::multiply(const double* rows, int64_t count, double* out) const {
  const at::Tensor t = filtered(rows, count, spectrum_);
  std::copy_n(t.const_data_ptr<double>(), count * size_, out);
}

void CirculantGrid::diagonal(double* out) const { std::fill_n(out, size_, middle_); }

void CirculantGrid::solve(double* rows, int64_t count) const {
  const at::Tensor t = filtered(rows, count, spectrum_.reciprocal());
  std::copy_n(t.const_data_ptr<double>(), count * size_, rows);
}

void CirculantGrid::root(double* rows, int64_t count) const {
  const at::Tensor t = filtered(rows, count, spectrum_.sqrt());
  std::copy_n(t.const_data_ptr<double>(), count * size_, rows);
}

at::Tensor lag_products(const Shape& shape, const double* a, const double* b, int64_t count) {
  const Shape period = padded(shape), dims = last(shape);
  const auto turned = [&](const double* rows) {
    return at::fft_rfftn(on_grid(rows, count, shape), at::OptionalIntArrayRef(period),
                         at::OptionalIntArrayRef(dims));
  };
  at::Tensor t = at::fft_irfftn((turned(a) * at::conj(turned(b))).sum(0),
                                at::OptionalIntArrayRef(period), at::OptionalIntArrayRef(dims));
  for (size_t k = 0; k < shape.size(); ++k) {
    const auto axis = static_cast<int64_t>(k);
    const int64_t n = shape[k];
    t = at::cat({t.slice(axis, period[k] - (n - 1), period[k]), t.slice(axis, 0, n)}, axis);
  }
  return t.contiguous();
}

}  // namespace covary::linalg
