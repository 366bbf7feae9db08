#!/usr/bin/env python3
"""Writes the reference values that the tests of core/compute/bessel compare with, by mpmath at 60 digits and more.

    python3 -m venv oracle && oracle/bin/pip install mpmath gmpy2
    oracle/bin/python scripts/bessel_oracle.py                         the checked-in grid, 2,500 points, half a minute
    oracle/bin/python scripts/bessel_oracle.py --random 100000 -o big.csv   as many points of the same kinds, for a soak
    python3 scripts/bessel_oracle.py --table       every fifth row of the grid for the study log-bessel; no mpmath needed

Rows: v, x (hexadecimal doubles), log I, log K, log I - x, log K + x, I_(v+1)/I_v, K_(v+1)/K_v (25 digits), and the
derivatives in v of log I and log K (20 digits). The derivatives in x follow from the ratios.

Below h = sqrt(v^2 + x^2) = 120 the values are mpmath's besseli and besselk; above, Debye's expansion (DLMF 10.41) to 26
terms, whose remainder is then under 1e-30. Both are compared where they meet.
"""
import argparse
import pathlib
import random
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "src/covary/core/compute/bessel/bessel_oracle.csv"
TABLE = ROOT / "studies/log-bessel/mpmath_table.inc"
if "--table" not in sys.argv:
    from mpmath import asinh, besseli, besselk, exp, log, mp, mpf, nstr, pi, sqrt

    from bessel_tables import debye_polynomials

    mp.dps = 60
    TERMS = [[mpf(c.numerator) / c.denominator for c in row] for row in debye_polynomials(26)]


def debye(v, x):
    h = sqrt(v * v + x * x)
    y, t = 1 / h, v * v / (h * h)
    i = k = mpf(0)
    for n in range(26, -1, -1):
        p = mpf(0)
        for c in reversed(TERMS[n]):
            p = p * t + c
        i = i * y + p
        k = -k * y + p
    up = h - v * asinh(v / x)
    return up - log(2 * pi * h) / 2 + log(i), -up + log(pi / (2 * h)) / 2 + log(k)


def direct(v, x):
    return log(besseli(v, x)), log(besselk(v, x))


def logs(v, x):
    return debye(v, x) if v * v + x * x > 120 * 120 else direct(v, x)


def row(v, x):
    # Digits for what cancels: differences of logarithms of size 1e9, and steps of 1e-25 in v.
    a, b = mpf(v), mpf(x)
    i, k = logs(a, b)
    i1, k1 = logs(a + 1, b)
    e = mpf(10) ** -22
    ip, kp = logs(a + e, b)
    im, km = logs(a - e, b)
    values = [i, k, i - b, k + b, exp(i1 - i), exp(k1 - k)]
    slopes = [(ip - im) / (2 * e), (kp - km) / (2 * e)]
    return ",".join([float(v).hex(), float(x).hex()] + [nstr(q, 25) for q in values] + [nstr(q, 20) for q in slopes])


def points(count, rng):
    """Kinds in turn, so that any count has a share of each."""
    def uniform(a, b):
        return rng.uniform(a, b)

    def spread(a, b):
        return 10 ** rng.uniform(a, b)

    def boundary():
        """Within 1e-6 of a boundary between regions, or of one of the published method."""
        kind = rng.randrange(5)
        off = 1 + rng.uniform(-1e-6, 1e-6)
        if kind == 0:
            radius, angle = rng.choice([25, 32, 64, 200, 1024]) * off, rng.uniform(0, 1)
            return radius * angle, radius * (1 - angle * angle) ** 0.5
        if kind == 1:
            return rng.uniform(0, 25), rng.choice([1, 2, 5]) * off
        if kind == 2:
            return rng.choice([0.3, 0.46, 0.6, 0.7, 3.05, 12.6964, 15.3919, 20.1534, 56.9971, 163.6993]) * off, spread(0, 4)
        if kind == 3:
            return spread(-1, 3), rng.choice([19.6931, 30, 35.9074, 59.6925, 84.4153, 274.2377, 1400]) * off
        return (rng.randrange(1, 20) + 0.5) * off, uniform(0, 1)  # the fractional order turns over

    def near_zero():
        """About where log I or log K is 0, its terms cancelling."""
        v = spread(-1, 8)
        return v, v * rng.uniform(0.6, 0.75)

    kinds = [
        lambda: (uniform(0, 100), uniform(0, 100)),
        lambda: (uniform(0, 20), uniform(0, 20)),
        lambda: (uniform(0, 20), uniform(0, 1)),
        lambda: (uniform(0, 1e4), uniform(0, 1e4)),
        lambda: (spread(-3, 8), spread(-10, 9)),
        lambda: (spread(-10, 1), spread(-10, 1.3)),
        lambda: (float(rng.randrange(0, 40)) / 2, spread(-3, 1.5)),
        lambda: (0.0, spread(-10, 9)),
        near_zero,
        boundary,
    ]
    return [kinds[n % len(kinds)]() for n in range(count)]


def write_table():
    lines = ["// v, x, log I, log K, by mpmath at 60 digits. Written by scripts/bessel_oracle.py --table."]
    for line in HERE.read_text(encoding="utf-8").splitlines()[::5]:
        v, x, i, k = line.split(",")[:4]
        lines.append("{%s, %s, %s, %s}," % (v, x, *(n + ("L" if "." in n else ".0L") for n in (i, k))))
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--random", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", type=pathlib.Path, default=HERE)
    args = parser.parse_args()
    if args.table:
        write_table()
        return
    for v, x in [(3.7, 121), (121.5, 4), (90, 85)]:
        for a, b in zip(debye(mpf(v), mpf(x)), direct(mpf(v), mpf(x))):
            assert abs(a - b) < mpf(10) ** -30 * max(1, abs(a)), (v, x, a, b)
    lines = [row(v, x) for v, x in points(args.random, random.Random(args.seed))]
    args.o.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
