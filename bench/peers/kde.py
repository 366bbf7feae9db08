#!/usr/bin/env python3
"""Kernel densities: scikit-learn beside Covary, 1e4 queries under 1e5 points, relative error 1e-6.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install scikit-learn
    /tmp/peers/bin/python bench/peers/kde.py [--queries 10000] [--d 1,3,6]
    build/covary_mixture_bench --benchmark_filter=kde_              times of Covary, same shapes

Standard normal points and queries; Scott's factor as the bandwidth. Building the tree is in the
time, as it is on our side. CPU is the process's, wall is the clock's, in seconds. The package is
needed here alone; nothing in the repository depends on it.
"""
import argparse
import time


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--queries", type=int, default=10000, help="queries")
    p.add_argument("--d", default="1,3,6", help="dimensions")
    a = p.parse_args()

    import numpy as np
    from sklearn.neighbors import KernelDensity
    rng = np.random.default_rng(0)
    n = 100000
    for d in map(int, a.d.split(",")):
        x, q = rng.normal(size=(n, d)), rng.normal(size=(a.queries, d))
        h = n ** (-1 / (d + 4))
        wall, cpu = time.perf_counter(), time.process_time()
        s = KernelDensity(bandwidth=h, rtol=1e-6).fit(x).score_samples(q)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        few = q[:200]
        exact = np.array([np.log(np.exp(-((x - v) ** 2).sum(1) / (2 * h * h)).mean()) for v in few])
        exact -= d * np.log(h) + d / 2 * np.log(2 * np.pi)
        error = np.abs(np.expm1(s[:200] - exact)).max()
        print(f"d = {d}: scikit-learn wall {wall:.2f} cpu {cpu:.2f}, largest relative error {error:.1e}")


main()
