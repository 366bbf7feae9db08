#!/usr/bin/env python3
"""SciPy's log(ive(v, x)) and log(kve(v, x)) as a peer of core/compute/bessel: CPU time a value, and how many are not finite;
and SciPy's vonmises_fisher beside covary mixture --family vmf, from 3 to 65,536 dimensions.

    python3 -m venv peer && peer/bin/pip install scipy
    peer/bin/python bench/peers/bessel.py [build/covary] [--json]

The squares of orders and arguments are those of bessel_bench.cc, drawn evenly; compare with its items_per_second on one
thread, on the same idle machine. --json: an object a line, which `covary study log-bessel` reads. SciPy is no dependency of this repository.
"""
import argparse
import json
import pathlib
import resource
import subprocess
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
        value = float("nan")
        try:
            mean, kappa = vonmises_fisher.fit(x)
            value = float(numpy.mean(vonmises_fisher(mean, kappa).logpdf(x)))
            told = f"kappa {kappa:.12g}, mean log-density {value:.6f}"
            told += "" if numpy.isfinite(value) else "  <- not finite"
        except Exception as error:
            told = f"fails: {type(error).__name__}: {str(error)[:60]}"
        return told, value, time.process_time() - begin


def covary_fit(program, x):
    with tempfile.TemporaryDirectory() as folder:
        table = pathlib.Path(folder) / "x.npy"
        numpy.save(table, x)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([program, "mixture", "fit", table, "--family", "vmf", "--normalise", "-k", "1", "--json"],
                              capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        fit = json.loads(done.stdout)
        mean = fit["fit"]["log_likelihood"] / fit["fit"]["rows"]
        kappa = fit["components"][0]["kappa"]
        return f"kappa {kappa:.12g}, mean log-density {mean:.6f}", mean, seconds


def say(as_json, line, **figures):
    if not as_json:
        print(line, flush=True)
    elif figures:
        figures = {k: None if isinstance(v, float) and not numpy.isfinite(v) else v for k, v in figures.items()}
        print(json.dumps(figures), flush=True)


def compare_directions(program, as_json):
    rng = numpy.random.default_rng(2)
    for dimension in [3, 128, 2048, 8192, 32768, 65536]:
        x = directions(dimension, 200, rng)
        told, value, seconds = scipy_fit(x)
        say(as_json, f"vonmises_fisher.fit, {dimension} dimensions, 200 rows: {told} ({seconds:.2f} CPU s)",
            who="SciPy", dimension=dimension, log_density=value, cpu=seconds)
        if program:
            told, value, seconds = covary_fit(program, x)
            say(as_json, f"  covary: {told} ({seconds:.2f} CPU s, the program's start and the reading of the table "
                "included)", who="covary", dimension=dimension, log_density=value, cpu=seconds)


def compare_values(as_json):
    say(as_json, f"SciPy {scipy.__version__}, NumPy {numpy.__version__}, 1,000,000 values, best of 3")
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
            say(as_json, f"log({name})  v, x in [{low}, {high}]: {best * 1e3:6.1f} ns a value, {lost} not finite",
                who=f"{name} {low}..{high}", seconds=best / max(1, len(value) - lost), lost=lost / len(value))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", help="the program covary; without it SciPy alone")
    parser.add_argument("--only", choices=["values", "directions"])
    parser.add_argument("--json", action="store_true", help="one object a line")
    args = parser.parse_args()
    if args.only != "directions":
        compare_values(args.json)
    if args.only != "values":
        compare_directions(args.program, args.json)


if __name__ == "__main__":
    main()
