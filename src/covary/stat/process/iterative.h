// Exact Gaussian process regression for many rows without an n x n matrix: solutions by
// preconditioned conjugate gradients over tiles of the kernel, determinants and traces by fixed
// random probes, and a statement of how good each of them is.
//
//   IterativeProcess gp(X, y, {.kernel = "matern52(ard)"});        // X [n,d], y [n]
//   auto [mean, variance] = gp.predict(Xs, /*noise=*/true);
//   gp.report().log_likelihood_error;                              // nats, standard error
//
// What is known and what is estimated:
//   y' K^-1 y, means, variances   by conjugate gradients whose error is bounded, not guessed: the
//                                 preconditioner P = K_nm K_mm^-1 K_mn + noise is dominated by K, so
//                                 that r' P^-1 r bounds every error of theirs (conjugate_gradient.h)
//   log |K|                       log |P| exactly, the rest by probes: log_likelihood_error says one
//                                 standard deviation of that
//   its gradient                  of log |P| exactly, of the rest by the same probes
// Probes and pivots are fixed through a search: the objective is a smooth function of the
// parameters. A solve that does not come to its tolerance is an Error(kFailed) where a prediction
// depends on it, and counted in the report where a step of the fit does.
//
// A product costs n^2 / 2 kernel entries and 2 n^2 flops a right-hand side, on all threads; a
// likelihood with gradient 10 to 50 products with 17 right-hand sides; memory 8 n (rank * 2 + 400)
// bytes. The same seed gives the same bits at any number of threads.
// Source: Gardner et al. 2018 and Wang et al. 2019 (the method), Wenger et al. 2022 (the
// preconditioner as control variate of determinant and traces).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/data/model.h"
#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/iterative_options.h"
#include "covary/stat/process/kernel.h"

namespace covary::stat {

struct IterativeValue {
  double log_likelihood = 0;  // -infinity when no solve is possible at these parameters
  double error = 0;           // standard error of it by the probes, nats
  double solve_error = 0;     // bound on its error by the solve for y, nats
  int64_t iterations = 0;     // of the longest solve
  double residual = 0;        // largest, relative
  double solve_residual = 0;  // of the solve for y
  bool reached = true;        // all solves came to their tolerance
};

// alpha = K^-1 (y - H b) and what goes with it.
struct IterativeSolution {
  std::vector<double> alpha;         // [n]
  std::vector<double> basis;         // K^-1 H, [p, n]
  std::vector<double> coefficients;  // b, [p]
  std::vector<double> gram;          // Cholesky factor of H' K^-1 H, [p, p]
};

// The marginal likelihood of one output; group and options must outlive it.
class IterativeLikelihood {
 public:
  IterativeLikelihood(const GpGroup& group, int64_t coefficients, const IterativeOptions& options);

  // The preconditioner's rows, by the kernel's present parameters, for what is evaluated from here.
  void choose_pivots(const Kernel& kernel);
  void set_pivots(std::vector<int64_t> pivots) { pivots_ = std::move(pivots); }
  const std::vector<int64_t>& pivots() const { return pivots_; }

  // gradient: by log parameters, or empty. energy: bound on r' P^-1 r of the solve for y.
  // solution: null, or gets what predictions need; then, below options.single rows, exact traces
  // (kernel_operator.h) sharpen the determinant too, at about the cost of another evaluation.
  IterativeValue evaluate(const Kernel& kernel, std::span<double> gradient, double energy,
                          IterativeSolution* solution) const;

 private:
  const GpGroup& group_;
  int64_t coefficients_;
  const IterativeOptions& options_;
  std::vector<double> residual_;  // y less its least-squares fit by the basis
  std::vector<double> fitted_;    // coefficients of that fit
  std::vector<int64_t> pivots_;
};

struct IterativeReport {
  std::string kernel;  // with the fitted values
  double log_likelihood = 0;
  IterativeValue value;   // errors and steps of that
  double prediction = 0;  // bound on the error of means, in prior standard deviations
  int64_t rank = 0;       // of the preconditioner
  int64_t probes = 0;
  int64_t short_solves = 0;  // evaluations of the fit with a solve short of its tolerance
  bool fitted = false;
  numeric::Ending ending = numeric::Ending::kConverged;
  double gradient_norm = 0;  // nats per unit of a logarithm
  int64_t iterations = 0, evaluations = 0;
  std::vector<std::string> at_bound;
};

struct IterativePrediction {
  at::Tensor mean, variance;  // [s]
  // Near variances: by how much they are above solved ones, at most, at `checked` of the points;
  // shares of the prior variance.
  double excess = 0;
  int64_t checked = 0;
};

class KernelSolver;

class IterativeProcess {
 public:
  // X [n,d], y [n], NaN = missing; noise of the rows, or undefined. Errors as in gp_data.h;
  // Error(kUsage) for several outputs, Error(kFailed) when a solve does not come to its tolerance.
  IterativeProcess(const at::Tensor& x, const at::Tensor& y, const IterativeOptions& options = {},
                   const RowNoise& noise = {});
  // Fitted from where a process of some of the rows ended, with what its search learnt;
  // options.kernel is not read.
  IterativeProcess(const at::Tensor& x, const at::Tensor& y, const GaussianProcess& part,
                   const IterativeOptions& options, const RowNoise& noise = {});
  // One whose parameters are known: no fit, solved anew.
  IterativeProcess(const at::Tensor& x, const at::Tensor& y, Kernel kernel,
                   const IterativeOptions& options, const RowNoise& noise = {});

  // noise: of a new value, not of the function. A variance is never below the true one. With
  // options.variances "solve" it is above by at most tolerance times the prior one, at the cost of a
  // solve a point, kPoints at a time; with "near" it is that given the `near` rows of largest
  // covariance, near^3 / 3 flops, and the prediction says how far above the solved ones some of them
  // are. O(n) a mean.
  IterativePrediction predict(const at::Tensor& points, bool noise = false) const;
  // What up to `rows` training values, chosen by the seed, are predicted to be from all others,
  // noise included; NaN for the rest. A solve a row.
  IterativePrediction leave_one_out(int64_t rows, uint64_t seed) const;

  const IterativeReport& report() const { return report_; }
  const IterativeOptions& options() const { return options_; }
  const Kernel& kernel() const { return kernel_; }

  // What a model file keeps beside kernel and data, so that reading it needs no solve.
  void put(data::Model* model) const;
  static IterativeProcess of(const data::Model& model, const at::Tensor& x, const at::Tensor& y,
                             Kernel kernel, const std::string& mean, const RowNoise& noise);

 private:
  static constexpr int64_t kPoints = 64;  // variances solved for at a time
  static constexpr int64_t kChecks = 16;  // near variances held against solved ones

  IterativeProcess() = default;
  void take(const at::Tensor& x, const at::Tensor& y, const RowNoise& noise);
  void fit(const GaussianProcess* part);
  void condition();
  // k' K^-1 k of points [count, dims], k = cross [count, n] -> known [count], by solutions.
  void explain(const KernelSolver& solver, const double* points, int64_t count,
               const std::vector<double>& cross, double* known) const;
  // The part of it that the rows of largest covariance explain.
  void explain_by_near(int64_t count, const std::vector<double>& cross, double* known) const;

  IterativeOptions options_;
  GpData data_;
  Kernel kernel_;
  std::vector<int64_t> pivots_;
  IterativeSolution solution_;
  IterativeReport report_;
};

}  // namespace covary::stat
