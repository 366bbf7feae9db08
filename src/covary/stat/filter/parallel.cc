#include "covary/stat/filter/parallel.h"

#include <algorithm>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <Eigen/Dense>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/stat/filter/model_view.h"
#include "covary/stat/filter/steps.h"

namespace covary::filter {
namespace {

// p(x_k | x_before, y of the steps between) = N(a x_before + b, c), and the information
// (eta, j) that those y hold about x_before.
struct FilterElement {
  MatrixXd a, c, j;
  VectorXd b, eta;
};

[[noreturn]] void singular(int64_t t) {
  throw Error(ExitCode::kData, "H Q H' + R is singular", "step " + std::to_string(t),
              "take kalman_filter, which needs no inverse of it");
}

// The step from x_{t-1} to x_t and y_t.
FilterElement step_element(const ModelView& v, int64_t t) {
  const MatrixXd &f = v.f(t - 1), &q = v.q(t - 1);
  const VectorXd input = v.input(t - 1);
  const int64_t n = v.states();
  if (v.present(t).empty()) return {f, q, MatrixXd::Zero(n, n), input, VectorXd::Zero(n)};
  const Observation o = observation_at(v, t);
  const MatrixXd cross = q * o.h.transpose();
  const Eigen::LLT<MatrixXd> llt(symmetrised<double>(o.h * cross + o.r));
  if (llt.info() != Eigen::Success) singular(t);
  const MatrixXd gain = llt.solve(cross.transpose()).transpose();
  const MatrixXd keep = MatrixXd::Identity(n, n) - gain * o.h;
  const VectorXd residual = o.y - o.h * input;
  const MatrixXd seen = o.h * f, weighted = llt.solve(seen);
  return {keep * f,
          symmetrised<double>(keep * q * keep.transpose() + gain * o.r * gain.transpose()),
          symmetrised<double>(seen.transpose() * weighted), input + gain * residual,
          weighted.transpose() * residual};
}

// First i, then k.
FilterElement combine(const FilterElement& i, const FilterElement& k) {
  const int64_t n = i.b.size();
  const MatrixXd identity = MatrixXd::Identity(n, n);
  const Eigen::PartialPivLU<MatrixXd> lu(identity + i.c * k.j);
  const MatrixXd forward = k.a * lu.inverse();                       // A_k (I + C_i J_k)^-1
  const MatrixXd back = i.a.transpose() * lu.inverse().transpose();  // A_i' (I + J_k C_i)^-1
  return {forward * i.a, symmetrised<double>(forward * i.c * k.a.transpose() + k.c),
          symmetrised<double>(back * k.j * i.a + i.j), forward * (i.b + i.c * k.eta) + k.b,
          back * (k.eta - k.j * i.b) + i.eta};
}

// The filtered belief after an element.
Belief<double> after(const Belief<double>& start, const FilterElement& e) {
  const int64_t n = start.mean.size();
  const MatrixXd identity = MatrixXd::Identity(n, n);
  const Eigen::PartialPivLU<MatrixXd> lu(identity + start.cov * e.j);
  const MatrixXd forward = e.a * lu.inverse();
  return {forward * (start.mean + start.cov * e.eta) + e.b,
          symmetrised<double>(forward * start.cov * e.a.transpose() + e.c)};
}

// x_t = e x_later + g + noise of covariance l, given all that stands between.
struct SmootherElement {
  MatrixXd e, l;
  VectorXd g;
};

MatrixXd matrix_in(const at::Tensor& m, int64_t t) {
  return m.dim() == 3 ? matrix_at(m, t) : matrix_of(m);
}

}  // namespace

ParallelFiltered parallel_kalman_filter(const LinearModel& model, const at::Tensor& y,
                                        const at::Tensor& u) {
  const ModelView v(model, y, u);
  if (v.diffuse().cols() > 0) {
    throw Error(ExitCode::kData, "the start is diffuse", "diffuse",
                "take kalman_filter, or give the start a covariance");
  }
  const int64_t steps = v.steps(), n = v.states();
  const int64_t blocks = (steps + kParallelBlock - 1) / kParallelBlock;
  ParallelFiltered out{at::empty({steps, n}, at::kDouble), at::empty({steps, n, n}, at::kDouble),
                       at::empty({steps, n}, at::kDouble), at::empty({steps, n, n}, at::kDouble),
                       0};
  std::vector<double> parts(static_cast<size_t>(blocks));
  // Filters the block that begins at t0 from the belief before its first step: predicted for the
  // first block, filtered at t0 - 1 for the others.
  const auto filter_block = [&](int64_t block, Belief<double> b) {
    const int64_t begin = block * kParallelBlock, end = std::min(steps, begin + kParallelBlock);
    Scores<double> scores;
    for (int64_t t = begin; t < end; ++t) {
      if (t > 0) joseph_predict<double>(b, v.f(t - 1), v.q(t - 1), v.input(t - 1));
      put(out.predicted_mean, t, b.mean);
      put(out.predicted_cov, t, b.cov);
      if (!v.present(t).empty()) {
        const Observation o = observation_at(v, t);
        if (!joseph_update<double>(b, o.h, o.r, o.y, scores)) singular(t);
      }
      put(out.mean, t, b.mean);
      put(out.cov, t, b.cov);
    }
    parts[static_cast<size_t>(block)] = scores.log_likelihood;
    return b;
  };
  if (blocks == 0) return out;
  std::vector<FilterElement> elements(static_cast<size_t>(blocks));
  std::vector<Belief<double>> starts(static_cast<size_t>(blocks));
  // The first block is filtered at once: its start is known. The last needs no element.
  starts[0] = {v.mean0(), v.cov0()};
  Belief<double> first;
  parallel_tasks(blocks, [&](int64_t block) {
    if (block == 0) {
      first = filter_block(0, starts[0]);
    } else if (block + 1 < blocks) {
      const int64_t begin = block * kParallelBlock;
      FilterElement e = step_element(v, begin);
      for (int64_t t = begin + 1; t < begin + kParallelBlock; ++t) {
        e = combine(e, step_element(v, t));
      }
      elements[static_cast<size_t>(block)] = std::move(e);
    }
  });
  if (blocks > 1) starts[1] = first;
  for (size_t block = 2; block < starts.size(); ++block) {
    starts[block] = after(starts[block - 1], elements[block - 1]);
  }
  parallel_tasks(blocks - 1, [&](int64_t block) {
    filter_block(block + 1, starts[static_cast<size_t>(block + 1)]);
  });
  for (const double part : parts) out.log_likelihood += part;
  return out;
}

Smoothed parallel_rts_smoother(const LinearModel& model, const ParallelFiltered& filtered) {
  const int64_t steps = filtered.mean.size(0);
  Smoothed out{filtered.mean.clone(), filtered.cov.clone(), {}};
  const int64_t blocks = (steps + kParallelBlock - 1) / kParallelBlock;
  const auto step_element = [&](int64_t t) {
    const MatrixXd f = matrix_in(model.f, t), q = matrix_in(model.q, t);
    const MatrixXd cov = matrix_at(filtered.cov, t),
                   next = matrix_at(filtered.predicted_cov, t + 1);
    const Eigen::LLT<MatrixXd> llt(next);
    const MatrixXd right = f * cov;
    const MatrixXd gain = (llt.info() == Eigen::Success
                               ? MatrixXd(llt.solve(right))
                               : MatrixXd(next.completeOrthogonalDecomposition().solve(right)))
                              .transpose();
    const MatrixXd keep = MatrixXd::Identity(cov.rows(), cov.cols()) - gain * f;
    return SmootherElement{
        gain, symmetrised<double>(keep * cov * keep.transpose() + gain * q * gain.transpose()),
        vector_at(filtered.mean, t) - gain * vector_at(filtered.predicted_mean, t + 1)};
  };
  // Block k reaches from its first step to the first of the next block; the last ends in the
  // filtered state of the last step.
  std::vector<SmootherElement> elements(static_cast<size_t>(steps));
  std::vector<SmootherElement> totals(static_cast<size_t>(blocks));
  parallel_tasks(blocks, [&](int64_t block) {
    const int64_t begin = block * kParallelBlock;
    const int64_t end = std::min(steps - 1, begin + kParallelBlock);
    for (int64_t t = end - 1; t >= begin; --t) {
      elements[static_cast<size_t>(t)] = step_element(t);
      const SmootherElement& s = elements[static_cast<size_t>(t)];
      SmootherElement& total = totals[static_cast<size_t>(block)];
      total = t == end - 1
                  ? s
                  : SmootherElement{s.e * total.e,
                                    symmetrised<double>(s.e * total.l * s.e.transpose() + s.l),
                                    s.e * total.g + s.g};
    }
  });
  if (steps == 0) return out;
  std::vector<Belief<double>> ends(static_cast<size_t>(blocks));  // of the step past each block
  Belief<double> b{vector_at(filtered.mean, steps - 1), matrix_at(filtered.cov, steps - 1)};
  for (int64_t block = blocks - 1; block >= 0; --block) {
    ends[static_cast<size_t>(block)] = b;
    const SmootherElement& s = totals[static_cast<size_t>(block)];
    if (s.g.size() == 0) continue;  // a last block of one step: that of the filter
    b = {s.e * b.mean + s.g, symmetrised<double>(s.e * b.cov * s.e.transpose() + s.l)};
  }
  parallel_tasks(blocks, [&](int64_t block) {
    const int64_t begin = block * kParallelBlock;
    Belief<double> x = ends[static_cast<size_t>(block)];
    for (int64_t t = std::min(steps - 1, begin + kParallelBlock) - 1; t >= begin; --t) {
      const SmootherElement& s = elements[static_cast<size_t>(t)];
      x = {s.e * x.mean + s.g, symmetrised<double>(s.e * x.cov * s.e.transpose() + s.l)};
      put(out.mean, t, x.mean);
      put(out.cov, t, x.cov);
    }
  });
  return out;
}

}  // namespace covary::filter
