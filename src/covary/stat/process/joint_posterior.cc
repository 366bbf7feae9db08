#include "covary/stat/process/joint_posterior.h"

#include <algorithm>
#include <utility>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"

namespace covary::stat {
namespace {

constexpr int64_t kPoints = 256;  // of moments at a time

// The group that holds an output, and its place there.
std::pair<size_t, int64_t> place_of(const GpData& data, int64_t output) {
  for (size_t g = 0; g < data.groups.size(); ++g) {
    const auto& outputs = data.groups[g].outputs;
    const auto at = std::find(outputs.begin(), outputs.end(), output);
    if (at != outputs.end()) return {g, at - outputs.begin()};
  }
  throw Error(ExitCode::kUsage, "is no output of the process", "output " + std::to_string(output));
}

}  // namespace

JointPosterior::JointPosterior(const GaussianProcess& gp, const std::vector<int64_t>& outputs)
    : kernel_(gp.kernel()) {
  const GpData& data = gp.data();
  if (outputs.empty()) throw Error(ExitCode::kUsage, "are none", "outputs of a posterior");
  const size_t g = place_of(data, outputs[0]).first;
  const GpGroup& group = data.groups[g];
  const PosteriorFactor& f = gp.factors()[g];
  n_ = group.count();
  p_ = data.coefficients();
  outputs_ = static_cast<int64_t>(outputs.size());
  x_ = group.x;
  centre_ = data.centre;
  scale_ = data.scale;
  const auto n = static_cast<size_t>(n_), p = static_cast<size_t>(p_);
  for (const int64_t o : outputs) {
    const auto [where, place] = place_of(data, o);
    if (where != g)
      throw Error(ExitCode::kUsage, "have different missing rows", "outputs of a posterior");
    alpha_.insert(alpha_.end(), f.alpha.begin() + place * n_, f.alpha.begin() + (place + 1) * n_);
    coefficients_.insert(coefficients_.end(), f.coefficients.begin() + place * p_,
                         f.coefficients.begin() + (place + 1) * p_);
  }
  inverse_.assign(n * n, 0.0);
  for (size_t i = 0; i < n; ++i) inverse_[i * n + i] = 1;
  linalg::forward(f.factor, inverse_.data(), n_);
  // With gram = R R': u' G^-1 u = |R^-1 u|^2.
  const linalg::Matrix gram{const_cast<double*>(f.gram.data()), p_, p_};
  root_.assign(p * p, 0.0);
  for (size_t a = 0; a < p; ++a) root_[a * p + a] = 1;
  if (p_ > 0) linalg::forward(gram, root_.data(), p_);  // rows: columns of R^-1
  basis_.assign(p * n, 0.0);
  for (size_t a = 0; a < p; ++a) {
    for (size_t b = 0; b < p; ++b) {
      for (size_t i = 0; i < n; ++i) basis_[a * n + i] += root_[b * p + a] * f.basis[b * n + i];
    }
  }
  for (const KernelParameter& k : kernel_.parameters()) {
    if (k.role == ParameterRole::kNoise) noise_ += k.value;
  }
}

void JointPosterior::basis_at(const double* x, int64_t count, double* out) const {
  const int64_t d = dims();
  for (int64_t i = 0; i < count; ++i) {
    double* h = out + i * p_;
    if (p_ > 0) h[0] = 1;
    for (int64_t k = 0; k + 1 < p_; ++k) {
      const auto c = static_cast<size_t>(k);
      h[k + 1] = (x[i * d + k] - centre_[c]) / scale_[c];
    }
  }
}

void JointPosterior::moments(const double* x, int64_t count, double* mean, double* variance) const {
  const int64_t blocks = (count + kPoints - 1) / kPoints, d = dims();
  parallel_tasks(blocks, [&](int64_t block) {
    const linalg::OneBlasThread one;
    const int64_t begin = block * kPoints, some = std::min(kPoints, count - begin);
    const double* points = x + begin * d;
    std::vector<double> k(static_cast<size_t>(some * n_)), v(k.size()),
        h(static_cast<size_t>(some * p_)), u(static_cast<size_t>(p_));
    kernel_.cross(points, some, x_.data(), n_, k.data(), n_);
    basis_at(points, some, h.data());
    if (variance) {
      kernel_.diagonal(points, some, false, variance + begin);
      linalg::gemm(false, false, some, n_, n_, 1, k.data(), n_, inverse_.data(), n_, 0, v.data(),
                   n_);
    }
    means(k.data(), h.data(), some, mean + begin * outputs_);
    for (int64_t i = 0; variance && i < some; ++i) {
      const double* vi = v.data() + i * n_;
      double left = variance[begin + i] - linalg::dot(n_, vi, vi);
      for (int64_t a = 0; a < p_; ++a) {
        double r = -linalg::dot(n_, basis_.data() + a * n_, vi);
        for (int64_t b = 0; b < p_; ++b) {
          r += root_[static_cast<size_t>(b * p_ + a)] * h[static_cast<size_t>(i * p_ + b)];
        }
        left += r * r;
      }
      variance[begin + i] = std::max(left, 0.0);
    }
  });
}

void JointPosterior::means(const double* k, const double* h, int64_t count, double* out) const {
  linalg::gemm(false, true, count, outputs_, n_, 1, k, n_, alpha_.data(), n_, 0, out, outputs_);
  if (p_ > 0) {
    linalg::gemm(false, true, count, outputs_, p_, 1, h, p_, coefficients_.data(), p_, 1, out,
                 outputs_);
  }
}

std::vector<JointPosterior::At::Tile> JointPosterior::At::tiles_of(const KernelTape& tape,
                                                                   int64_t rows, int64_t columns) {
  std::vector<Tile> tiles;
  for (int64_t r = 0; r < rows; r += KernelTape::kRows) {
    for (int64_t c = 0; c < columns; c += KernelTape::kColumns) {
      tiles.push_back({{r, std::min(KernelTape::kRows, rows - r), c,
                        std::min(KernelTape::kColumns, columns - c)},
                       tape.scratch()});
    }
  }
  return tiles;
}

JointPosterior::At::At(const JointPosterior& posterior, int64_t count)
    : posterior_(posterior),
      count_(count),
      // Any points of the right number: move() puts others in their place. The second tape's two sets are one, but
      // white must not stand on its diagonal.
      cross_(posterior.kernel_,
             std::vector<double>(static_cast<size_t>(count * posterior.dims())).data(), count,
             posterior.x_.data(), posterior.n_, false, true),
      own_(posterior.kernel_,
           std::vector<double>(static_cast<size_t>(count * posterior.dims())).data(), count,
           std::vector<double>(static_cast<size_t>(count * posterior.dims())).data(), count, false,
           true),
      cross_tiles_(tiles_of(cross_, count, posterior.n_)),
      own_tiles_(tiles_of(own_, count, count)) {
  if (count < 1) throw Error(ExitCode::kUsage, "must be at least 1", "number of points");
  const auto q = static_cast<size_t>(count), n = static_cast<size_t>(posterior.n_),
             p = static_cast<size_t>(posterior.p_);
  for (auto* v : {&k_, &v_, &dk_, &dv_}) v->resize(q * n);
  for (auto* v : {&h_, &u_, &dh_}) v->resize(q * p);
  mean_.resize(q * static_cast<size_t>(posterior.outputs_));
  covariance_.resize(q * q);
  tile_.resize(static_cast<size_t>(KernelTape::kRows * KernelTape::kColumns));
}

void JointPosterior::At::move(const double* x) {
  const linalg::OneBlasThread one;
  const JointPosterior& p = posterior_;
  const int64_t q = count_, n = p.n_, width = p.p_;
  cross_.rebind(x, nullptr);
  own_.rebind(x, x);
  const auto fill = [](const KernelTape& tape, std::vector<Tile>& tiles, int64_t stride,
                       double* out) {
    for (Tile& t : tiles) {
      const double* k = tape.forward(t.block, t.scratch);
      for (int64_t i = 0; i < t.block.rows; ++i) {
        std::copy_n(k + i * t.block.columns, t.block.columns,
                    out + (t.block.row + i) * stride + t.block.column);
      }
    }
  };
  fill(cross_, cross_tiles_, n, k_.data());
  fill(own_, own_tiles_, q, covariance_.data());
  p.basis_at(x, q, h_.data());
  linalg::gemm(false, false, q, n, n, 1, k_.data(), n, p.inverse_.data(), n, 0, v_.data(), n);
  p.means(k_.data(), h_.data(), q, mean_.data());
  for (int64_t i = 0; i < q; ++i) {
    for (int64_t a = 0; a < width; ++a) {
      double r = -linalg::dot(n, p.basis_.data() + a * n, v_.data() + i * n);
      for (int64_t b = 0; b < width; ++b) {
        r += p.root_[static_cast<size_t>(b * width + a)] * h_[static_cast<size_t>(i * width + b)];
      }
      u_[static_cast<size_t>(i * width + a)] = r;
    }
  }
  linalg::gemm(false, true, q, q, n, -1, v_.data(), n, v_.data(), n, 1, covariance_.data(), q);
  for (int64_t i = 0; i < q; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double c = covariance_[static_cast<size_t>(i * q + j)];
      for (int64_t a = 0; a < width; ++a) {
        c += u_[static_cast<size_t>(i * width + a)] * u_[static_cast<size_t>(j * width + a)];
      }
      if (i == j) c = std::max(c, 0.0);
      covariance_[static_cast<size_t>(i * q + j)] = covariance_[static_cast<size_t>(j * q + i)] = c;
    }
  }
}

void JointPosterior::At::add_gradient(const double* by_mean, const double* by_covariance,
                                      double* gradient) {
  const linalg::OneBlasThread one;
  const JointPosterior& p = posterior_;
  const int64_t q = count_, n = p.n_, width = p.p_, d = p.dims(), m = p.outputs_;
  // By v: -2 C v from v' v', and through u = R^-1 h - B v.
  linalg::gemm(false, false, q, n, q, -2, by_covariance, q, v_.data(), n, 0, dv_.data(), n);
  if (width > 0) {
    std::vector<double>& du = dh_;
    linalg::gemm(false, false, q, width, q, 2, by_covariance, q, u_.data(), width, 0, du.data(),
                 width);
    linalg::gemm(false, false, q, n, width, -1, du.data(), width, p.basis_.data(), n, 1, dv_.data(),
                 n);
  }
  linalg::gemm(false, true, q, n, n, 1, dv_.data(), n, p.inverse_.data(), n, 0, dk_.data(), n);
  linalg::gemm(false, false, q, n, m, 1, by_mean, m, p.alpha_.data(), n, 1, dk_.data(), n);
  // Of a linear mean: du by h, then h by x.
  for (int64_t i = 0; i < q && width > 1; ++i) {
    for (int64_t k = 0; k + 1 < width; ++k) {
      double by_h = 0;
      for (int64_t o = 0; o < m; ++o) {
        by_h += by_mean[i * m + o] * p.coefficients_[static_cast<size_t>(o * width + k + 1)];
      }
      for (int64_t a = 0; a < width; ++a) {
        by_h += dh_[static_cast<size_t>(i * width + a)] *
                p.root_[static_cast<size_t>((k + 1) * width + a)];
      }
      gradient[i * d + k] += by_h / p.scale_[static_cast<size_t>(k)];
    }
  }
  const auto back = [&](const KernelTape& tape, std::vector<Tile>& tiles, const double* weights,
                        int64_t stride, double factor) {
    for (Tile& t : tiles) {
      for (int64_t i = 0; i < t.block.rows; ++i) {
        const double* from = weights + (t.block.row + i) * stride + t.block.column;
        double* to = tile_.data() + i * t.block.columns;
        for (int64_t j = 0; j < t.block.columns; ++j) to[j] = factor * from[j];
      }
      tape.backward_inputs(t.block, tile_.data(), t.scratch, gradient + t.block.row * d);
    }
  };
  back(cross_, cross_tiles_, dk_.data(), n, 1);
  back(own_, own_tiles_, by_covariance, q, 2);  // a point stands in a row and in a column
}

}  // namespace covary::stat
