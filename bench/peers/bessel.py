#!/usr/bin/env python3
"""SciPy's log(ive(v, x)) and log(kve(v, x)) as a peer of core/compute/bessel: CPU time a value, and how many are not finite;
and SciPy's vonmises_fisher beside covary mixture --family vmf, from 3 to 65,536 dimensions.

    python3 -m venv peer && peer/bin/pip install scipy
    peer/bin/python bench/peers/bessel.py [build/covary]

The squares of orders and arguments are those of bessel_bench.cc, drawn evenly; compare with its items_per_second on one
thread, on the same idle machine. SciPy is no dependency of this repository.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

import numpy
import scipy
from scipy.special import ive, kve
from scipy.stats import vonmises_fisher


def directions(dimension, rows, rng):
    """Unit vectors about the first axis, with a mean resultant length of about 0.45."""
    x = rng.normal(size=(rows, dimension)) / dimension**0.5
    x[:, 0] += 0.5
    return x / numpy.linalg.norm(x, axis=1, keepdims=True)


def scipy_fit(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        begin = time.process_time()
        try:
            mean, kappa = vonmises_fisher.fit(x)
            value = float(numpy.mean(vonmises_fisher(mean, kappa).logpdf(x)))
            told = f"kappa {kappa:.12g}, mean log-density {value:.6f}"
            told += "" if numpy.isfinite(value) else "  <- not finite"
        except Exception as error:
            told = f"fails: {type(error).__name__}: {str(error)[:60]}"
        return told, time.process_time() - begin


def covary_fit(program, x):
    with tempfile.TemporaryDirectory() as folder:
        table = pathlib.Path(folder) / "x.npy"
        numpy.save(table, x)
        done = subprocess.run([program, "mixture", "fit", table, "--family", "vmf", "--normalise", "-k", "1", "--json"],
                              capture_output=True, text=True, check=True)
        fit = json.loads(done.stdout)
        mean = fit["fit"]["log_likelihood"] / fit["fit"]["rows"]
        return f"kappa {fit['components'][0]['kappa']:.12g}, mean log-density {mean:.6f}"


def compare_directions(program):
    rng = numpy.random.default_rng(2)
    for dimension in [3, 128, 2048, 8192, 32768, 65536]:
        x = directions(dimension, 200, rng)
        told, seconds = scipy_fit(x)
        print(f"vonmises_fisher.fit, {dimension} dimensions, 200 rows: {told} ({seconds:.2f} CPU s)")
        if program:
            print(f"  covary: {covary_fit(program, x)}")


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else None
    print(f"SciPy {scipy.__version__}, NumPy {numpy.__version__}, 1,000,000 values, best of 3")
    rng = numpy.random.default_rng(1)
    for low, high in [(0, 100), (0, 20), (0, 150), (150, 10000)]:
        v, x = rng.uniform(low, high, 10**6), rng.uniform(low, high, 10**6)
        for name, function in [("ive", ive), ("kve", kve)]:
            best = float("inf")
            for _ in range(3):
                start = time.process_time()
                with numpy.errstate(all="ignore"):
                    value = numpy.log(function(v, x))
                best = min(best, time.process_time() - start)
            lost = int(numpy.count_nonzero(~numpy.isfinite(value)))
            print(f"log({name})  v, x in [{low}, {high}]: {best * 1e3:6.1f} ns a value, {lost} not finite")
    compare_directions(program)


if __name__ == "__main__":
    main()
