#!/usr/bin/env python3
"""SciPy's log(ive(v, x)) and log(kve(v, x)) as a peer of core/compute/bessel: CPU time a value, and how many are not finite.

    python3 -m venv peer && peer/bin/pip install scipy
    peer/bin/python bench/peers/bessel.py

The squares of orders and arguments are those of bessel_bench.cc, drawn evenly; compare with its items_per_second on one
thread, on the same idle machine. SciPy is no dependency of this repository.
"""
import time

import numpy
import scipy
from scipy.special import ive, kve


def main():
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


if __name__ == "__main__":
    main()
