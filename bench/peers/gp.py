#!/usr/bin/env python3
"""Exact Gaussian processes beside GPyTorch (Cholesky), scikit-learn and plain torch: the same arrays, the same
parameters, as many threads; marginal likelihood, gradient by log parameters, CPU seconds and wall.

    python3 -m venv peers && peers/bin/pip install torch
    peers/bin/pip install gpytorch scikit-learn
    ninja -C build covary_process_bench
    peers/bin/python bench/peers/gp.py build/covary_process_bench --n 1000 2000 [--kernel rbf|matern52] [--repeats 5] [--threads 2]

--json, or no program: the peers alone, an object a line, which `covary study core-gp` reads.
Prints a line a library: the median of the repeats and the largest relative difference from ours. Exits 1 when a value
or gradient entry differs by more than 1e-8 of its size (of the gradient: of its largest entry).

Arrays, as in process_bench.cc: x_ik = frac((i + 1) sqrt(p_k)), p_k the primes; y_i = sin(2 sum_k x_ik)
+ 0.1 cos(37 i). Kernel const(1) * KERNEL(ard, lengthscale=1) + white(0.1), d = 8, mean zero.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time

import numpy as np

PRIMES = [2, 3, 5, 7, 11, 13, 17, 19]


def arrays(n):
    i = np.arange(n, dtype=np.float64)
    x = np.stack([np.modf((i + 1) * np.sqrt(float(p)))[0] for p in PRIMES], axis=1)
    return x, np.sin(2 * x.sum(1)) + 0.1 * np.cos(37 * i)


def timed(work, repeats):
    """The result of work() and the median CPU seconds and wall."""
    cpu, wall = [], []
    for _ in range(repeats):
        c, w = time.process_time(), time.perf_counter()
        result = work()
        cpu.append(time.process_time() - c)
        wall.append(time.perf_counter() - w)
    return result, statistics.median(cpu), statistics.median(wall)


def ours(bench, n, kernel, repeats, threads):
    out = subprocess.run(
        [bench, f"--benchmark_filter=^marginal/{kernel}/n:{n}/threads:{threads}/", f"--benchmark_repetitions={repeats}",
         "--benchmark_min_time=0.01", "--benchmark_format=json"], check=True, capture_output=True, text=True)
    runs = [b for b in json.loads(out.stdout)["benchmarks"] if b.get("run_type") == "iteration"]
    value = runs[0]["log_likelihood"]
    gradient = np.array([runs[0][f"g{k}"] for k in range(len(PRIMES) + 2)])
    return (value, gradient), statistics.median(b["cpu_time"] / 1e3 for b in runs), statistics.median(
        b["real_time"] / 1e3 for b in runs)


def with_sklearn(x, y, kernel):
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel
    ones = np.ones(x.shape[1])
    core = RBF(ones) if kernel == "rbf" else Matern(ones, nu=2.5)
    gp = GaussianProcessRegressor(ConstantKernel(1.0) * core + WhiteKernel(0.1), alpha=0, optimizer=None).fit(x, y)
    theta = gp.kernel_.theta
    return lambda: gp.log_marginal_likelihood(theta, eval_gradient=True)


def with_gpytorch(x, y, kernel):
    import gpytorch
    import torch
    d = x.shape[1]
    xt, yt = torch.tensor(x), torch.tensor(y)
    likelihood = gpytorch.likelihoods.GaussianLikelihood().double()

    class Model(gpytorch.models.ExactGP):
        def __init__(self):
            super().__init__(xt, yt, likelihood)
            self.mean_module = gpytorch.means.ZeroMean()
            core = (gpytorch.kernels.RBFKernel(ard_num_dims=d) if kernel == "rbf" else
                    gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=d))
            self.covar_module = gpytorch.kernels.ScaleKernel(core)

        def forward(self, z):
            return gpytorch.distributions.MultivariateNormal(self.mean_module(z), self.covar_module(z))

    model = Model().double()
    # As doubles: a plain 0.1 would be rounded to a float on its way in.
    model.covar_module.outputscale = torch.tensor(1.0, dtype=torch.float64)
    model.covar_module.base_kernel.lengthscale = torch.ones(1, d, dtype=torch.float64)
    likelihood.noise = torch.tensor([0.1], dtype=torch.float64)
    model.train()
    mll = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
    named = [(model.covar_module, "raw_outputscale"), (model.covar_module.base_kernel, "raw_lengthscale"),
             (likelihood.noise_covar, "raw_noise")]

    def work():
        model.zero_grad()
        # Cholesky at every size: the default conjugate gradients are nowhere near exact.
        with gpytorch.settings.max_cholesky_size(10**6), gpytorch.settings.fast_computations(False, False, False):
            value = mll(model(xt), yt) * len(yt)
            value.backward()
        gradient = []
        for module, name in named:
            raw = getattr(module, name)
            constraint = module.constraint_for_parameter_name(name)
            actual = constraint.transform(raw)
            slope = torch.autograd.grad(actual.sum(), raw)[0]
            gradient.append((raw.grad / slope * actual).detach().numpy().ravel())
        return value.item(), np.concatenate(gradient)

    return work


def with_torch(x, y, kernel):
    import torch
    xt, yt = torch.tensor(x), torch.tensor(y)
    n, d = x.shape
    logs = torch.tensor([0.0] + [0.0] * d + [float(np.log(0.1))], dtype=torch.float64, requires_grad=True)

    def work():
        logs.grad = None
        z = xt / logs[1:1 + d].exp()
        norms = (z * z).sum(1)
        q = (norms[:, None] + norms[None, :] - 2 * z @ z.T).clamp_min(0)
        if kernel == "rbf":
            k = torch.exp(-0.5 * q)
        else:
            s = torch.sqrt(5 * q + 1e-30)
            k = (1 + s + s * s / 3) * torch.exp(-s)
        k = logs[0].exp() * k + logs[-1].exp() * torch.eye(n, dtype=torch.float64)
        factor = torch.linalg.cholesky(k)
        alpha = torch.cholesky_solve(yt[:, None], factor)[:, 0]
        value = -0.5 * yt @ alpha - factor.diagonal().log().sum() - 0.5 * n * np.log(2 * np.pi)
        value.backward()
        return value.item(), logs.grad.numpy().copy()

    return work


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", nargs="?", help="covary_process_bench; without it the peers alone")
    parser.add_argument("--n", type=int, nargs="+", default=[1000, 2000])
    parser.add_argument("--kernel", choices=["rbf", "matern52"], default="rbf")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, choices=[1, 2], default=1)
    parser.add_argument("--peers", nargs="+", default=["gpytorch", "sklearn", "torch"])
    parser.add_argument("--json", action="store_true", help="the peers' times alone, one object a line")
    args = parser.parse_args()
    makers = {"gpytorch": with_gpytorch, "sklearn": with_sklearn, "torch": with_torch}
    same = True
    for n in args.n:
        value = None
        if args.bench:
            (value, gradient), cpu, wall = ours(args.bench, n, args.kernel, args.repeats, args.threads)
            if not args.json:
                print(f"n {n}  {args.kernel}\n  {'covary':10} log p {value:.10f}  cpu {cpu:8.3f} s  wall {wall:8.3f} s")
        x, y = arrays(n)
        for peer in args.peers:
            from threadpoolctl import threadpool_limits
            if peer != "sklearn":
                import torch
                torch.set_num_threads(args.threads)
            with threadpool_limits(args.threads):
                work = makers[peer](x, y, args.kernel)
                (theirs, slope), peer_cpu, peer_wall = timed(work, args.repeats)
            if args.json or value is None:
                print(json.dumps({"who": peer, "n": n, "kernel": args.kernel, "cpu": peer_cpu, "wall": peer_wall,
                                  "log_likelihood": float(theirs)}), flush=True)
                continue
            off = abs(theirs - value) / abs(value)
            slope_off = np.abs(slope - gradient).max() / np.abs(gradient).max()
            same = same and off <= 1e-8 and slope_off <= 1e-8
            print(f"  {peer:10} log p {theirs:.10f}  cpu {peer_cpu:8.3f} s  wall {peer_wall:8.3f} s  "
                  f"{peer_cpu / cpu:5.1f}x  differs by {off:.1e}, gradient {slope_off:.1e}", flush=True)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
