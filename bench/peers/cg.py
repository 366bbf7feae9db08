#!/usr/bin/env python3
"""The marginal likelihood by conjugate gradients beside GPyTorch's at its defaults (tolerance 1, 10 probes, 20 Lanczos
steps, a preconditioner of rank 15): the same arrays and parameters, one thread, one likelihood with its gradient. The
truth is a Cholesky factorisation in doubles.

    python3 -m venv peers && peers/bin/pip install torch
    peers/bin/pip install gpytorch
    ninja -C build covary_process_bench
    peers/bin/python bench/peers/cg.py build/covary_process_bench --n 8000 [--repeats 3]

Prints for each: value, its error in nats, the relative residual of the solve for y, CPU seconds and wall. Exits 1 when
our value is off by more than 4 of its stated standard errors, or our residual is above a hundredth of GPyTorch's.

Arrays as in gp.py: x_ik = frac((i + 1) sqrt(p_k)), y_i = sin(2 sum_k x_ik) + 0.1 cos(37 i); kernel
const(1) * matern52(ard, lengthscale=1) + white(0.1), d = 8, mean zero.
"""
import argparse
import json
import statistics
import subprocess
import sys

from gp import PRIMES, arrays, timed


def ours(bench, n, repeats):
    out = subprocess.run(
        [bench, f"--benchmark_filter=^iterative/n:{n}/threads:1/", f"--benchmark_repetitions={repeats}",
         "--benchmark_min_time=0.01", "--benchmark_format=json"], check=True, capture_output=True, text=True)
    runs = [b for b in json.loads(out.stdout)["benchmarks"] if b.get("run_type") == "iteration"]
    if not runs:
        sys.exit(f"error: {bench} has no benchmark iterative with n {n} on one thread")
    return runs[0], statistics.median(b["cpu_time"] / 1e3 for b in runs), statistics.median(
        b["real_time"] / 1e3 for b in runs)


def truth(x, y):
    import math
    import torch
    xt, yt = torch.tensor(x), torch.tensor(y)
    n = len(y)
    q = torch.zeros(n, n, dtype=torch.float64)
    for k in range(x.shape[1]):
        q += (xt[:, k, None] - xt[None, :, k]) ** 2
    s = torch.sqrt(5 * q)
    matrix = (1 + s + s * s / 3) * torch.exp(-s)
    matrix.diagonal().add_(0.1)
    factor = torch.linalg.cholesky(matrix)
    alpha = torch.cholesky_solve(yt[:, None], factor)[:, 0]
    value = -0.5 * yt @ alpha - factor.diagonal().log().sum() - 0.5 * n * math.log(2 * math.pi)
    return value.item(), matrix


def gpytorch_default(x, y):
    import gpytorch
    import torch
    d = x.shape[1]
    xt, yt = torch.tensor(x), torch.tensor(y)
    likelihood = gpytorch.likelihoods.GaussianLikelihood().double()

    class Model(gpytorch.models.ExactGP):
        def __init__(self):
            super().__init__(xt, yt, likelihood)
            self.mean_module = gpytorch.means.ZeroMean()
            self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=d))

        def forward(self, z):
            return gpytorch.distributions.MultivariateNormal(self.mean_module(z), self.covar_module(z))

    model = Model().double()
    model.covar_module.outputscale = torch.tensor(1.0, dtype=torch.float64)
    model.covar_module.base_kernel.lengthscale = torch.ones(1, d, dtype=torch.float64)
    likelihood.noise = torch.tensor([0.1], dtype=torch.float64)
    model.train()
    mll = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)

    def work():
        torch.manual_seed(0)
        model.zero_grad()
        value = mll(model(xt), yt) * len(yt)
        value.backward()
        return value.item()

    def solution():
        with torch.no_grad():
            return likelihood(model(xt)).lazy_covariance_matrix.solve(yt[:, None])[:, 0]

    return work, solution


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--n", type=int, nargs="+", default=[8000])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    import torch
    torch.set_num_threads(1)
    good = True
    for n in args.n:
        run, cpu, wall = ours(args.bench, n, args.repeats)
        x, y = arrays(n)
        assert x.shape[1] == len(PRIMES)
        exact, matrix = truth(x, y)
        work, solution = gpytorch_default(x, y)
        theirs, peer_cpu, peer_wall = timed(work, args.repeats)
        yt = torch.tensor(y)
        residual = ((matrix @ solution() - yt).norm() / yt.norm()).item()
        off, peer_off = run["log_likelihood"] - exact, theirs - exact
        print(f"n {n}  log p {exact:.4f}\n"
              f"  covary    off by {off:+9.3f} nats (says +- {run['error']:.2f})  residual {run['solve_residual']:.1e}  "
              f"cpu {cpu:7.2f} s  wall {wall:7.2f} s\n"
              f"  gpytorch  off by {peer_off:+9.3f} nats                    residual {residual:.1e}  "
              f"cpu {peer_cpu:7.2f} s  wall {peer_wall:7.2f} s  {peer_cpu / cpu:.1f}x", flush=True)
        good = good and abs(off) <= 4 * run["error"] and run["solve_residual"] <= 0.01 * residual
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
