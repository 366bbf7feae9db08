#!/usr/bin/env python3
"""Gaussian mixtures and k-means: scikit-learn and blocked NumPy beside Covary, on the same arrays.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install scikit-learn
    /tmp/peers/bin/python bench/peers/mixture.py --references       the literals in the tests
    /tmp/peers/bin/python bench/peers/mixture.py [--n 200000] [--threads 2]     times of the peers
    build/covary_mixture_bench --benchmark_filter=em_steps          times of Covary, same shapes

The packages are needed here alone; nothing in the repository depends on them. CPU is the process's,
wall is the clock's, both in seconds for ten steps; the median of the runs.
"""
import argparse
import os
import statistics
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
    return statistics.median(wall), statistics.median(cpu)


def times(n, runs):
    import warnings

    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.mixture import GaussianMixture
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    d = k = 16
    places = rng.normal(size=(k, d))
    x = places[np.arange(n) % k] + rng.normal(size=(n, d))
    print(f"n = {n}, d = {d}, k = {k}, 10 steps")
    for covariance in ("full", "diag", "tied"):
        p = {"full": np.stack([np.eye(d)] * k), "diag": np.ones((k, d)), "tied": np.eye(d)}
        m = GaussianMixture(k, covariance_type=covariance, tol=0, max_iter=10, means_init=places,
                            weights_init=np.full(k, 1 / k), precisions_init=p[covariance])
        print("  scikit-learn %-5s  wall %.3f  cpu %.3f" % (covariance, *timed(lambda: m.fit(x), runs)))

    def blocked():
        s = (np.full(k, 1 / k), places, np.stack([np.eye(d)] * k))
        for _ in range(10):
            s = blocked_step(x, *s)
    print("  NumPy blocked full  wall %.3f  cpu %.3f" % timed(blocked, runs))
    f = rng.normal(size=(n, d)).astype(np.float32)
    km = KMeans(256, init=f[:256], n_init=1, max_iter=10, tol=0)
    print("  scikit-learn k-means k = 256, float  wall %.3f  cpu %.3f" % timed(lambda: km.fit(f), runs))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--references", action="store_true", help="print the literals of the tests")
    p.add_argument("--n", type=int, default=200000, help="rows")
    p.add_argument("--runs", type=int, default=3, help="runs; the median is printed")
    p.add_argument("--threads", type=int, default=2, help="threads of the peers")
    a = p.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(a.threads)
    if a.references:
        references()
    else:
        times(a.n, a.runs)


main()
