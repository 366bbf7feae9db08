#!/usr/bin/env python3
"""Laplace's approximation beside scikit-learn's GaussianProcessClassifier: the same rows, the same fixed kernel, labels
by the logistic function; log marginal likelihood, its gradient by log parameters, probabilities.

    python3 -m venv peers && peers/bin/pip install scikit-learn
    ninja -C build covary
    peers/bin/python bench/peers/classification.py build/covary [--rows 300]

Prints the likelihoods and the largest difference of probabilities, and the seconds of an evaluation. Exits 1 when the
likelihoods differ by more than 1e-6 nats, or when ours and theirs put different labels on new points. Their
probabilities replace the logistic function by a sum of five error functions (error below 1e-3), ours integrate it.

Rows: x_ik = frac((i + 1) sqrt(p_k)), p_k the primes 2, 3, 5; label sin(7 x_i0) + x_i1 + x_i2 > 1.2. Kernel
const(2.5) * rbf(0.4), mean zero.
"""
import argparse
import csv
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np


def points(n, shift=0.0):
    i = np.arange(n, dtype=np.float64)
    return np.stack([np.modf((i + 1) * np.sqrt(p) + shift)[0] for p in (2.0, 3.0, 5.0)], axis=1)


def label(x):
    return (np.sin(7 * x[:, 0]) + x[:, 1] + x[:, 2] > 1.2).astype(float)


def write(path, x, y=None):
    head = [f"x{k}" for k in range(x.shape[1])] + ([] if y is None else ["y"])
    rows = x if y is None else np.column_stack([x, y])
    path.write_text(",".join(head) + "\n" + "\n".join(",".join(map(repr, map(float, r))) for r in rows) + "\n")
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("covary")
    parser.add_argument("--rows", type=int, default=300)
    args = parser.parse_args()
    from sklearn.gaussian_process import GaussianProcessClassifier
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel
    x, new = points(args.rows), points(200, 0.123)
    y = label(x)
    theirs = GaussianProcessClassifier(ConstantKernel(2.5) * RBF(0.4), optimizer=None, max_iter_predict=200).fit(x, y)
    begin = time.perf_counter()
    value = theirs.log_marginal_likelihood(theirs.kernel_.theta)
    seconds = time.perf_counter() - begin
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        table, grid, model = write(folder / "t.csv", x, y), write(folder / "n.csv", new), folder / "m.json"
        fit = json.loads(subprocess.run(
            [args.covary, "gp", "fit", table, "--target", "y", "--likelihood", "bernoulli-logit", "--method", "laplace",
             "--kernel", "const(2.5)*rbf(0.4)", "--mean", "zero", "--no-fit", "-o", model, "--json"],
            check=True, capture_output=True, text=True).stdout)
        out = subprocess.run([args.covary, "gp", "predict", model, grid], check=True, capture_output=True, text=True)
    p = np.array([float(r["mean"]) for r in csv.DictReader(io.StringIO(out.stdout))])
    q = theirs.predict_proba(new)[:, 1]
    off = abs(fit["log_likelihood"] - value)
    sure = np.abs(q - 0.5) > 1e-3
    same = bool(((p > 0.5) == (q > 0.5))[sure].all())
    print(f"covary        log evidence {fit['log_likelihood']:.10f}")
    print(f"scikit-learn  log evidence {value:.10f}   {seconds * 1e3:.1f} ms   differs by {off:.1e}")
    print(f"probabilities differ by at most {np.abs(p - q).max():.1e}; labels {'agree' if same else 'differ'}")
    return 0 if off <= 1e-6 and same else 1


if __name__ == "__main__":
    sys.exit(main())
