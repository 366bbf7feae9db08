#!/usr/bin/env python3
"""Several objectives beside BoTorch: the same arrays, one thread; hypervolume, boxes of the open region, expected
improvement of it in closed form and of batches of 4 by 128 draws, each of the last two with gradient.

    python3 -m venv peers && peers/bin/pip install torch
    peers/bin/pip install botorch
    ninja -C build covary_process_bench
    peers/bin/python bench/peers/hypervolume.py build/covary_process_bench [--repeats 5]

Prints a line a case: CPU seconds (medians of the repeats) and the relative difference of the values. Exits 1 when a
value or slope differs by more than 1e-9 of its size. Numbers of boxes are printed and may differ.

Arrays, as in objectives_bench.cc: front rows .05 + frac((i + 1) sqrt(p_j)), p the primes, scaled to length 1;
reference 0; candidate mean .5, deviation .2; samples .3 + .6 frac((k + 1) sqrt 23), k over [m, 4, 128].
"""
import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np
import torch
from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.monte_carlo import qExpectedHypervolumeImprovement
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from botorch.utils.multi_objective.hypervolume import Hypervolume

PRIMES = [2, 3, 5, 7, 11]


def sphere(n, m):
    i = np.arange(n, dtype=np.float64)[:, None]
    y = .05 + np.modf((i + 1) * np.sqrt(np.array(PRIMES[:m], dtype=np.float64)))[0]
    return torch.tensor(y / np.sqrt((y * y).sum(1, keepdims=True)))


def timed(work, repeats):
    """The result of work() and its median CPU seconds; short work is repeated within a measure."""
    seconds, result = [], None
    for _ in range(repeats):
        begin, count = time.process_time(), 0
        while count == 0 or time.process_time() - begin < .05:
            result = work()
            count += 1
        seconds.append((time.process_time() - begin) / count)
    return result, statistics.median(seconds)


class Normals:
    """What BoTorch's analytic acquisition asks of a model: means and variances, here those of the point itself."""

    def __init__(self, m):
        self.num_outputs = m

    def posterior(self, x, posterior_transform=None):
        m = self.num_outputs

        class Posterior:
            mean = x[..., :m]
            variance = x[..., m:].square()
        return Posterior


def ours(bench, name, keys, repeats):
    out = subprocess.run(
        [bench, f"--benchmark_filter=^{name}$", f"--benchmark_repetitions={repeats}", "--benchmark_min_time=0.05",
         "--benchmark_format=json"], check=True, capture_output=True, text=True)
    runs = [b for b in json.loads(out.stdout)["benchmarks"] if b.get("run_type") == "iteration"]
    return [runs[0][k] for k in keys], statistics.median(b["cpu_time"] / 1e6 for b in runs)


def peer(what, m, n, repeats):
    y, reference = sphere(n, m), torch.zeros(m, dtype=torch.double)
    if what == "hypervolume":
        value, seconds = timed(lambda: Hypervolume(ref_point=reference).compute(y), repeats)
        return [value], seconds
    partition, seconds = timed(lambda: FastNondominatedPartitioning(ref_point=reference, Y=y), repeats)
    if what == "boxes":
        return [partition.get_hypercell_bounds().shape[1]], seconds
    if what == "closed":
        acquisition = ExpectedHypervolumeImprovement(Normals(m), reference.tolist(), partition)
        x = torch.tensor([.5] * m + [.2] * m, dtype=torch.double).reshape(1, 1, -1).requires_grad_()

        def work():
            value = acquisition(x)
            slope, = torch.autograd.grad(value.sum(), x)
            return [value.item(), slope[0, 0, 0].item()]
        return timed(work, repeats)
    k = np.arange(m * 4 * 128, dtype=np.float64)
    samples = torch.tensor(.3 + .6 * np.modf((k + 1) * np.sqrt(23.))[0]).reshape(m, 4, 128).permute(2, 1, 0)
    samples = samples.unsqueeze(1).contiguous().requires_grad_()  # [draws, batches, q, m]
    acquisition = qExpectedHypervolumeImprovement(Normals(m), reference.tolist(), partition)

    def work():
        value = acquisition._compute_qehvi(samples=samples, X=torch.zeros(1, 4, m, dtype=torch.double))
        slope, = torch.autograd.grad(value.sum(), samples)
        return [value.item(), slope.sum().item()]
    return timed(work, repeats)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bench")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # BoTorch recommends the logarithmic form
    wrong = 0
    print(f"{'case':28} {'ours s':>10} {'BoTorch s':>10} {'ratio':>7}  difference")
    for what, m, n in [("hypervolume", 2, 100), ("hypervolume", 3, 100), ("hypervolume", 4, 100), ("boxes", 2, 100),
                       ("boxes", 3, 100), ("boxes", 4, 100), ("closed", 2, 50), ("closed", 3, 50), ("closed", 4, 50),
                       ("sampled", 2, 50), ("sampled", 3, 50), ("sampled", 4, 50)]:
        name = f"{what}/m:{m}/n:{n}" + ("/log:0" if what in ("closed", "sampled") else "")
        keys = {"hypervolume": ["volume"], "boxes": ["boxes"]}.get(what, ["value", "slope"])
        a, seconds = ours(arguments.bench, name, keys, arguments.repeats)
        b, theirs = peer(what, m, n, arguments.repeats)
        if what == "boxes":
            note = f"{a[0]:.0f} and {b[0]} boxes"
        else:
            difference = max(abs(x - z) / abs(z) for x, z in zip(a, b))
            wrong += difference > 1e-9
            note = f"{difference:.1e}"
        print(f"{name:28} {seconds:10.2e} {theirs:10.2e} {theirs / seconds:7.1f}  {note}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
