#!/usr/bin/env python3
"""Gaussian mixtures and k-means: scikit-learn, blocked NumPy, faiss and mlpack beside Covary, in one run.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install scikit-learn faiss-cpu mlpack
    ninja -C build covary_mixture_bench covary_linalg_bench
    /tmp/peers/bin/python bench/peers/mixture.py --bench build [--only em-16] [--runs 5]
    /tmp/peers/bin/python bench/peers/mixture.py --references       the literals in the tests

Ten EM steps or Lloyd sweeps from the same kind of start on the same law of data, one thread unless
told; a line a program with the median of the runs: CPU seconds of the process, wall, and how many times Covary's (CPU;
wall with more threads than one). A peer that is not installed is left out, and said so. --json prints one object a line: what
`covary study core-mixture` reads. The packages are needed here alone; nothing in the repository depends
on them.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time


def points(n=200):
    """The tests' points: integers scrambled, so that every language makes the same bits."""
    import numpy as np

    def u(i):
        h = i & 0xFFFFFFFF
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
            h = ((h ^ (h >> shift)) * factor) & 0xFFFFFFFF
        return h / 4294967296.0

    centres = [(4, 0, -1), (-2, 3, 0), (-2, -3, 1)]
    x = np.empty((n, 3))
    for i in range(n):
        for j in range(3):
            e = 3 * i + j + 1
            x[i, j] = 0.3 * centres[i % 3][j] + (u(e) + u(e + 1000) + u(e + 5000) - 1.5)
    return x


def references():
    import numpy as np
    import sklearn
    from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
    from sklearn.neighbors import KernelDensity

    x = points()
    means = 0.3 * np.array([(4, 0, -1), (-2, 3, 0), (-2, -3, 1)], float)
    print("scikit-learn", sklearn.__version__)
    shapes = {"spherical": np.full(3, 2.0), "diag": np.full((3, 3), 2.0), "tied": 2.0 * np.eye(3),
              "full": np.stack([2.0 * np.eye(3)] * 3)}
    for covariance, precisions in shapes.items():
        for steps in (1, 10):
            m = GaussianMixture(3, covariance_type=covariance, tol=0, reg_covar=0, max_iter=steps,
                                weights_init=[0.5, 0.3, 0.2], means_init=means,
                                precisions_init=precisions)
            import warnings
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                m.fit(x)
            print(f"mixture {covariance:9} {steps:2} steps: {m.score(x) * len(x):.12f}"
                  f"  bic {m.bic(x):.9f} aic {m.aic(x):.9f}")
    for kernel in ("gaussian", "epanechnikov", "tophat", "exponential", "linear", "cosine"):
        h = 0.8 if kernel in ("gaussian", "exponential") else 3.0
        k = KernelDensity(kernel=kernel, bandwidth=h).fit(x)
        s = k.score_samples(points(260)[200:])
        print(f"kde {kernel:12} {h}: sum {s.sum():.12f}")
    w = 1 + np.arange(200) % 4
    s = KernelDensity(bandwidth=0.8).fit(x, sample_weight=w).score_samples(points(260)[200:])
    print(f"kde weighted     0.8: sum {s.sum():.12f}")


def blocked_step(x, weights, means, covariances, block=8192):
    """One EM step in NumPy, blocks of rows, GEMM form."""
    import numpy as np
    k, d = means.shape
    inverse = [np.linalg.inv(np.linalg.cholesky(c)) for c in covariances]
    constant = [np.log(w) + np.log(np.diag(a)).sum() - d / 2 * np.log(2 * np.pi)
                for w, a in zip(weights, inverse)]
    mass, first, second = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
    for s in range(0, len(x), block):
        b = x[s:s + block]
        joint = np.stack([constant[c] - 0.5 * (((b - means[c]) @ inverse[c].T) ** 2).sum(1)
                          for c in range(k)], 1)
        top = joint.max(1, keepdims=True)
        r = np.exp(joint - top)
        r /= r.sum(1, keepdims=True)
        mass += r.sum(0)
        for c in range(k):
            z = b - means[c]
            y = z * r[:, c:c + 1]
            first[c] += y.sum(0)
            second[c] += y.T @ z
    delta = first / mass[:, None]
    covariances = second / mass[:, None, None] - delta[:, :, None] * delta[:, None, :]
    return mass / mass.sum(), means + delta, covariances + 1e-6 * np.eye(d)


def timed(f, runs):
    wall, cpu = [], []
    for _ in range(runs):
        w, c = time.perf_counter(), time.process_time()
        f()
        wall.append(time.perf_counter() - w)
        cpu.append(time.process_time() - c)
    return statistics.median(cpu), statistics.median(wall)


def ours(folder, bench, pattern, runs):
    out = subprocess.run([os.path.join(folder, bench), f"--benchmark_filter=^{pattern}", f"--benchmark_repetitions={runs}",
                          "--benchmark_min_time=0.01", "--benchmark_format=json"],
                         check=True, capture_output=True, text=True)
    all_runs = [b for b in json.loads(out.stdout)["benchmarks"] if b.get("run_type") == "iteration"]
    return (statistics.median(b["cpu_s"] for b in all_runs), statistics.median(b["real_time"] / 1e3 for b in all_runs))


def clumps(n, d, k):
    import numpy as np
    rng = np.random.default_rng(0)
    places = rng.normal(size=(k, d))
    return places[np.arange(n) % k] + rng.normal(size=(n, d)), places


def with_sklearn(n, d, k, covariance):
    import warnings

    import numpy as np
    from sklearn.mixture import GaussianMixture
    warnings.simplefilter("ignore")
    x, places = clumps(n, d, k)
    one = {"full": np.stack([np.eye(d)] * k), "diag": np.ones((k, d)), "tied": np.eye(d), "spherical": np.ones(k)}
    m = GaussianMixture(k, covariance_type=covariance, tol=0, max_iter=10, means_init=places,
                        weights_init=np.full(k, 1 / k), precisions_init=one[covariance])
    return lambda: m.fit(x)


def with_numpy(n, d, k, covariance):
    import numpy as np
    if covariance != "full":
        return None
    x, places = clumps(n, d, k)

    def work():
        s = (np.full(k, 1 / k), places, np.stack([np.eye(d)] * k))
        for _ in range(10):
            s = blocked_step(x, *s)
    return work


def with_mlpack_em(n, d, k, covariance):
    import mlpack
    if covariance not in ("full", "diag"):
        return None
    x, _ = clumps(n, d, k)
    # Its start is k-means, in the time; ten steps then as everywhere.
    return lambda: mlpack.gmm_train(input_=x, gaussians=k, max_iterations=10, tolerance=1e-300, kmeans_max_iterations=1,
                                    diagonal_covariance=covariance == "diag", no_force_positive=True)


def kmeans_rows(spread):
    import numpy as np
    rng = np.random.default_rng(0)
    n, d, k = 1000000, 16, 256
    places = spread * rng.normal(size=(k, d))
    return (places[np.arange(n) % k] + rng.normal(size=(n, d))).astype(np.float32)


def with_faiss(spread):
    import faiss
    faiss.omp_set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    x = kmeans_rows(spread)

    def work():
        km = faiss.Kmeans(x.shape[1], 256, niter=10, max_points_per_centroid=1 << 30)
        km.early_stop_threshold = 0.0
        km.train(x, init_centroids=x[:256].copy())
    return work


def with_sklearn_kmeans(spread):
    from sklearn.cluster import KMeans
    x = kmeans_rows(spread)
    km = KMeans(256, init=x[:256].copy(), n_init=1, max_iter=10, tol=0)
    return lambda: km.fit(x)


def with_mlpack_kmeans(spread):
    import mlpack
    x = kmeans_rows(spread).astype("f8")
    return lambda: mlpack.kmeans(input_=x, clusters=256, initial_centroids=x[:256].copy(), max_iterations=10,
                                 algorithm="naive", allow_empty_clusters=True)


def cases(threads=1):
    """name: (peers, program, benchmark)."""
    all_cases = {}
    em_peers = {"scikit-learn": with_sklearn, "NumPy blocked": with_numpy, "mlpack": with_mlpack_em}
    for tag, n, d, k in (("16", 200000, 16, 16), ("32", 100000, 32, 16), ("8", 10000, 8, 4)):
        for covariance, name in (("full", "full"), ("diag", "diagonal"), ("tied", "tied"), ("spherical", "spherical")):
            all_cases[f"em-{tag}-{covariance}"] = (
                {p: (lambda f=f, n=n, d=d, k=k, c=covariance: f(n, d, k, c)) for p, f in em_peers.items()},
                "covary_mixture_bench", f"em_steps_{name}/n:{n}/d:{d}/k:{k}/threads:{threads}/")
    k_peers = {"faiss": with_faiss, "scikit-learn": with_sklearn_kmeans, "mlpack naive": with_mlpack_kmeans}
    for spread in (0, 1, 3):
        for bounds in ("plain", "bounds"):
            all_cases[f"kmeans-{spread}-{bounds}"] = (
                {p: (lambda f=f, s=spread: f(s)) for p, f in k_peers.items()}, "covary_linalg_bench",
                f"lloyd_{bounds}/n:1000000/threads:{threads}/spread:{spread}/")
    return all_cases


def one_case(name, a):
    peers, program, pattern = cases(a.threads)[name]
    base = None
    if a.bench:
        base = ours(a.bench, program, pattern, a.runs)
        report(a, name, "covary", base, None, 0)
    for peer, make in peers.items():
        if a.peers and peer not in a.peers:
            continue
        try:
            work = make()
        except ImportError as e:
            print(f"{name}: {peer} is not installed ({e})", file=sys.stderr)
            continue
        if work is None:
            continue
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        got = timed(work, a.runs)
        extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        report(a, name, peer, got, base, extra)


def report(a, name, who, got, base, extra):
    if a.json:
        print(json.dumps({"case": name, "who": who, "cpu": got[0], "wall": got[1], "extra_bytes": extra}), flush=True)
        return
    at = 1 if a.threads > 1 else 0
    ratio = f"  {got[at] / base[at]:6.1f}x" if base else ""
    print(f"{name:18} {who:14} cpu {got[0]:8.4f} s  wall {got[1]:8.4f} s{ratio}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--references", action="store_true", help="print the literals of the tests")
    p.add_argument("--bench", help="folder of Covary's benchmarks; without it the peers alone")
    p.add_argument("--only", help="cases whose name begins so")
    p.add_argument("--peers", nargs="+", help="these peers alone")
    p.add_argument("--runs", type=int, default=5, help="runs; the median is printed")
    p.add_argument("--threads", type=int, default=1, help="threads of all; with more than one, judge by wall")
    p.add_argument("--json", action="store_true", help="one object a line")
    a = p.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(a.threads)
    if a.references:
        return references()
    for name in cases():
        if a.only and not name.startswith(a.only):
            continue
        one_case(name, a)


if __name__ == "__main__":
    main()
