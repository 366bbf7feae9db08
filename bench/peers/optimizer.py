#!/usr/bin/env python3
"""One step of Bayesian optimisation beside BoTorch: the best batch of q points by logEI on Hartmann-6.

    python3 -m venv peers && peers/bin/pip install torch
    peers/bin/pip install botorch
    ninja -C build covary_process_bench
    peers/bin/python bench/peers/optimizer.py build/covary_process_bench [--n 50] [--q 4] [--repeats 3]

Both are given the same points, the same process (const(0.5) * matern52(ard) + white(1e-4), mean zero, parameters
fixed), 512 draws by Sobol points, 10 restarts from 512 raw batches, 200 steps of L-BFGS-B. Both batches are then valued
by BoTorch's function, with 4096 draws that neither has seen, and by the closed expected improvement of the batch from
these draws. Prints seconds and values; exits 1 when ours is lower by more than 1 % of the improvement, or when our
value of our batch differs from BoTorch's by more than 0.05 (other draws).

Points, as in optimizer_bench.cc: x_ik = frac((i + 1) sqrt(p_k)), p_k the primes.
"""
import argparse
import json
import math
import subprocess
import sys
import time
import warnings

import numpy as np

PRIMES = [2, 3, 5, 7, 11, 13]
SCALES = [0.4, 0.6, 0.9, 0.5, 0.5, 0.5]


def hartmann(x):
    height = np.array([1.0, 1.2, 3.0, 3.2])
    width = np.array([[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8],
                      [17, 8, 0.05, 10, 0.1, 14]])
    place = np.array([[0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886], [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
                      [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650], [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381]])
    return -(height * np.exp(-(width * (x[:, None, :] - place) ** 2).sum(2))).sum(1)


def ours(bench, n, q, threads, repeats):
    out = subprocess.run([bench, f"--benchmark_filter=^step/n:{n}/q:{q}/threads:{threads}/",
                          f"--benchmark_repetitions={repeats}", "--benchmark_min_time=0.01", "--benchmark_format=json"],
                         check=True, capture_output=True, text=True)
    runs = [b for b in json.loads(out.stdout)["benchmarks"] if b.get("run_type") == "iteration"]
    if not runs:
        sys.exit(f"error: the benchmark has no step of n {n}, q {q}, {threads} threads\nhint: --n 50 --q 4")
    x = np.array([runs[0][f"x{i:02d}"] for i in range(6 * q)]).reshape(q, 6)
    return x, runs[0]["value"], sorted(b["real_time"] / 1e3 for b in runs), sorted(b["cpu_time"] / 1e3 for b in runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--n", type=int, default=50)
    parser.add_argument("--q", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    import torch
    from botorch.acquisition.logei import qLogExpectedImprovement
    from botorch.acquisition.monte_carlo import qExpectedImprovement
    from botorch.models import SingleTaskGP
    from botorch.optim import optimize_acqf
    from botorch.sampling import SobolQMCNormalSampler
    from gpytorch.kernels import MaternKernel, ScaleKernel
    from gpytorch.likelihoods import GaussianLikelihood
    from gpytorch.means import ZeroMean
    warnings.simplefilter("ignore")
    torch.set_num_threads(args.threads)
    torch.set_default_dtype(torch.float64)

    i = np.arange(args.n, dtype=np.float64)
    x = np.stack([np.modf((i + 1) * math.sqrt(p))[0] for p in PRIMES], axis=1)
    xt, yt = torch.tensor(x), torch.tensor(-hartmann(x))[:, None]
    kernel = ScaleKernel(MaternKernel(nu=2.5, ard_num_dims=6))
    model = SingleTaskGP(xt, yt, likelihood=GaussianLikelihood(), covar_module=kernel, mean_module=ZeroMean(),
                         outcome_transform=None)
    kernel.outputscale = torch.tensor(0.5)
    kernel.base_kernel.lengthscale = torch.tensor([SCALES])
    model.likelihood.noise = torch.tensor([1e-4])
    model.eval()
    bounds = torch.stack([torch.zeros(6), torch.ones(6)])
    best = yt.max().item()

    def value(batch, function):
        sampler = SobolQMCNormalSampler(torch.Size([4096]), seed=4711)
        return function(model, best_f=best, sampler=sampler)(torch.tensor(batch)[None]).item()

    mine, claimed, wall, cpu = ours(args.bench, args.n, args.q, args.threads, args.repeats)
    theirs, seconds, processor = None, [], []
    for repeat in range(args.repeats):
        sampler = SobolQMCNormalSampler(torch.Size([512]), seed=repeat)
        begin, begun = time.perf_counter(), time.process_time()
        batch, _ = optimize_acqf(qLogExpectedImprovement(model, best_f=best, sampler=sampler), bounds, q=args.q,
                                 num_restarts=10, raw_samples=512, options={"maxiter": 200, "seed": repeat})
        seconds.append(time.perf_counter() - begin)
        processor.append(time.process_time() - begun)
        batch = batch.detach().numpy()
        if theirs is None or value(batch, qLogExpectedImprovement) > value(theirs, qLogExpectedImprovement):
            theirs = batch
    rows = {"covary": (mine, wall, cpu), "botorch": (theirs, sorted(seconds), sorted(processor))}
    middle = args.repeats // 2
    for name, (batch, times, work) in rows.items():
        print(f"{name:8} logEI {value(batch, qLogExpectedImprovement):.6f}  EI {value(batch, qExpectedImprovement):.6f}  "
              f"wall {times[middle]:.3f} s  cpu {work[middle]:.3f} s")
    print(f"covary takes 1/{rows['botorch'][1][middle] / rows['covary'][1][middle]:.0f} of the wall time and "
          f"1/{rows['botorch'][2][middle] / rows['covary'][2][middle]:.0f} of the CPU time (medians of {args.repeats}, "
          f"{args.threads} thread(s); BoTorch's best batch of {args.repeats})")
    gain = value(mine, qLogExpectedImprovement) - value(theirs, qLogExpectedImprovement)
    agree = abs(claimed - value(mine, qLogExpectedImprovement))
    print(f"our batch is worth {100 * (math.exp(gain) - 1):+.2f} %; our value of it differs by {agree:.4f}")
    sys.exit(0 if gain > math.log(0.99) and agree < 0.05 else 1)


if __name__ == "__main__":
    main()
