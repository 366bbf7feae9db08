#!/usr/bin/env python3
"""A step of a stochastic variational process beside GPyTorch: n = 100,000 rows, 8 columns, 512 whitened inducing
points, batches of 1,024, floats, ARD RBF kernel, Gaussian likelihood. Theirs is a Cholesky variational distribution
with Adam on everything; ours takes natural gradients for it.

    python3 -m venv peers && peers/bin/pip install torch
    peers/bin/pip install gpytorch
    ninja -C build covary_process_bench
    peers/bin/python bench/peers/svgp.py build/covary_process_bench [--steps 30] [--kernel rbf|matern52]

Prints the median CPU milliseconds of a step, one thread each, and their ratio. Exits 1 when ours is not 2.4 times
faster, or when the two bounds of the first batch, both with q = N(0, I), differ by more than 1e-4 of their size.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time

import numpy as np

PRIMES = [2, 3, 5, 7, 11, 13, 17, 19]
N, M, BATCH = 100_000, 512, 1024


def arrays():
    i = np.arange(N, dtype=np.float64)
    x = np.stack([np.modf((i + 1) * np.sqrt(float(p)))[0] for p in PRIMES], axis=1)
    return x, np.sin(2 * x.sum(1)) + 0.1 * np.cos(37 * i)


def ours(bench, kernel, repeats):
    out = subprocess.run([bench, f"--benchmark_filter=^in_float/{kernel}/m:512/batch:1024/threads:1/",
                          f"--benchmark_repetitions={repeats}", "--benchmark_min_time=0.5",
                          "--benchmark_format=json"], check=True, capture_output=True, text=True)
    runs = [b for b in json.loads(out.stdout)["benchmarks"] if b.get("run_type") == "iteration"]
    return statistics.median(b["cpu_time"] for b in runs), runs[0]["first_bound"]


def theirs(x, y, kernel, steps):
    import gpytorch
    import torch
    torch.set_num_threads(1)
    xt, yt = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    z = xt[-M:].clone()

    class Model(gpytorch.models.ApproximateGP):
        def __init__(self):
            q = gpytorch.variational.CholeskyVariationalDistribution(M)
            super().__init__(gpytorch.variational.VariationalStrategy(self, z, q, learn_inducing_locations=True))
            self.mean_module = gpytorch.means.ZeroMean()
            core = (gpytorch.kernels.RBFKernel(ard_num_dims=8) if kernel == "rbf" else
                    gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=8))
            self.covar_module = gpytorch.kernels.ScaleKernel(core)

        def forward(self, v):
            return gpytorch.distributions.MultivariateNormal(self.mean_module(v), self.covar_module(v))

    model, likelihood = Model(), gpytorch.likelihoods.GaussianLikelihood()
    model.covar_module.outputscale = 1.0
    model.covar_module.base_kernel.lengthscale = torch.ones(1, 8)
    likelihood.noise = 0.1
    # Theirs starts from small random values; ours from q = N(0, I).
    model.variational_strategy.variational_params_initialized.fill_(1)
    model.variational_strategy._variational_distribution.variational_mean.data.zero_()
    model.train()
    likelihood.train()
    parameters = list(model.parameters()) + list(likelihood.parameters())
    optimiser = torch.optim.Adam(parameters, lr=0.01)
    mll = gpytorch.mlls.VariationalELBO(likelihood, model, num_data=N)
    seconds, first = [], None
    for step in range(steps):
        rows = slice(step % (N // BATCH) * BATCH, (step % (N // BATCH) + 1) * BATCH)
        begin = time.process_time()
        optimiser.zero_grad()
        loss = -mll(model(xt[rows]), yt[rows])
        loss.backward()
        optimiser.step()
        seconds.append(time.process_time() - begin)
        if first is None:
            first = -loss.item() * N
    return 1e3 * statistics.median(seconds[3:]), first


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--kernel", choices=["rbf", "matern52"], default="rbf")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    x, y = arrays()
    cpu, bound = ours(args.bench, args.kernel, args.repeats)
    peer, first = theirs(x, y, args.kernel, args.steps)
    off = abs(bound - first) / abs(first)
    print(f"covary    {cpu:8.2f} ms a step   first bound {bound:.1f}")
    print(f"gpytorch  {peer:8.2f} ms a step   first bound {first:.1f}   {peer / cpu:.2f}x   differs by {off:.1e}")
    return 0 if peer >= 2.4 * cpu and off <= 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
