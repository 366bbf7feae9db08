#!/usr/bin/env python3
"""Kernel densities: scikit-learn, mlpack and KDEpy beside Covary, in one run.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install scikit-learn mlpack KDEpy
    ninja -C build covary_mixture_bench
    /tmp/peers/bin/python bench/peers/kde.py --bench build [--only tree-3] [--runs 5]

Standard normal points and queries, one thread; Scott's factor as the bandwidth unless told. Building
trees and grids is in the time, as it is on our side. A line a program with the median of the runs: CPU
seconds of the process, wall, the largest relative error of 200 densities, and how many times Covary's
CPU seconds. --json prints one object a line: what `covary study core-mixture` reads. The packages are
needed here alone; nothing in the repository depends on them.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def data(n, m, d):
    import numpy as np
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), rng.normal(size=(m, d))


def exact(x, q, h):
    import numpy as np
    d = x.shape[1]
    p = np.array([np.exp(-((x - v) ** 2).sum(1) / (2 * h * h)).mean() for v in q])
    return p / (h**d * (2 * np.pi) ** (d / 2))


# Each gives densities at the queries.
def with_sklearn(x, q, h, rtol):
    import numpy as np
    from sklearn.neighbors import KernelDensity
    return np.exp(KernelDensity(bandwidth=h, rtol=rtol).fit(x).score_samples(q))


def with_mlpack(x, q, h, rtol):
    import mlpack
    # Its relative error is below 1 and above 0; 0 is exact.
    return mlpack.kde(reference=x, query=q, bandwidth=h, rel_error=float(rtol), abs_error=0.0,
                      kernel="gaussian", algorithm="dual-tree", tree="kd-tree")["predictions"]


def with_kdepy(x, q, h, rtol):
    import numpy as np
    from KDEpy import FFTKDE
    if x.shape[1] != 1:
        return None
    grid, p = FFTKDE(kernel="gaussian", bw=h).fit(x[:, 0]).evaluate(2**14)
    return np.interp(q[:, 0], grid, p)


PEERS = {"scikit-learn": with_sklearn, "mlpack": with_mlpack, "KDEpy FFT": with_kdepy}

# name: points, queries, d, width (0: Scott's), rtol, benchmark
CASES = {
    "tree-1": (100000, 10000, 1, 0, 1e-6, "kde_auto/d:1/threads:1/"),
    "tree-3": (100000, 10000, 3, 0, 1e-6, "kde_auto/d:3/threads:1/"),
    "tree-6": (100000, 10000, 6, 0, 1e-6, "kde_auto/d:6/threads:1/"),
    "line": (100000, 10000, 1, 0, 1e-9, "kde_line/d:1/threads:1/"),
    "dual-2": (100000, 4096, 2, 0.05, 1e-3, "kde_dual/threads:1/"),
    "exact-16": (32768, 4096, 16, 0, 0, "kde_all_pairs/threads:1/"),
}


def ours(folder, pattern, runs):
    out = subprocess.run([os.path.join(folder, "covary_mixture_bench"), f"--benchmark_filter=^{pattern}",
                          f"--benchmark_repetitions={runs}", "--benchmark_min_time=0.01", "--benchmark_format=json"],
                         check=True, capture_output=True, text=True)
    all_runs = [b for b in json.loads(out.stdout)["benchmarks"] if b.get("run_type") == "iteration"]
    return (statistics.median(b["cpu_s"] for b in all_runs), statistics.median(b["real_time"] / 1e3 for b in all_runs))


def report(a, name, who, got, base, error):
    if a.json:
        print(json.dumps({"case": name, "who": who, "cpu": got[0], "wall": got[1], "error": error}), flush=True)
        return
    ratio = f"  {got[0] / base[0]:7.1f}x" if base else ""
    wrong = "" if error is None else f"  error {error:.1e}"
    print(f"{name:9} {who:13} cpu {got[0]:8.4f} s  wall {got[1]:8.4f} s{wrong}{ratio}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bench", help="folder of Covary's benchmarks; without it the peers alone")
    p.add_argument("--only", help="cases whose name begins so")
    p.add_argument("--peers", nargs="+", help="these peers alone")
    p.add_argument("--runs", type=int, default=5, help="runs; the median is printed")
    p.add_argument("--limit", type=float, default=60, help="a peer slower than so many seconds runs once")
    p.add_argument("--json", action="store_true", help="one object a line")
    a = p.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    import numpy as np
    for name, (n, m, d, h, rtol, pattern) in CASES.items():
        if a.only and not name.startswith(a.only):
            continue
        base = None
        if a.bench:
            base = ours(a.bench, pattern, a.runs)
            report(a, name, "covary", base, None, None)
        x, q = data(n, m, d)
        h = h or n ** (-1 / (d + 4))
        truth = exact(x, q[:200], h)
        for peer, f in PEERS.items():
            if a.peers and peer not in a.peers:
                continue
            cpu, wall, values = [], [], None
            try:
                for _ in range(a.runs):
                    w, c = time.perf_counter(), time.process_time()
                    values = f(x, q, h, rtol)
                    wall.append(time.perf_counter() - w)
                    cpu.append(time.process_time() - c)
                    if values is None or wall[-1] > a.limit:
                        break
            except ImportError as e:
                print(f"{name}: {peer} is not installed ({e})", file=sys.stderr)
                continue
            if values is None:
                continue
            error = float(np.abs(np.ravel(values)[:200] / truth - 1).max())
            report(a, name, peer, (statistics.median(cpu), statistics.median(wall)), base, error)


if __name__ == "__main__":
    main()
