#!/usr/bin/env python3
"""Writes the constants of core/compute/bessel, each from its definition in exact or 60-digit arithmetic.

    scripts/bessel_tables.py           writes src/covary/core/compute/bessel/bessel_tables.h
    scripts/bessel_tables.py --check   exits 1 if that file is not what would be written (a test of every run)

Needs the standard library alone: rationals are fractions.Fraction, logarithms and exponentials decimal.Decimal.
"""
import pathlib
import sys
from decimal import Decimal, getcontext
from fractions import Fraction

getcontext().prec = 60
TARGET = pathlib.Path(__file__).resolve().parent.parent / "src/covary/core/compute/bessel/bessel_tables.h"
DEBYE_ORDER = 16      # highest power of 1/h in the logarithm of Debye's sum
PUBLISHED_ORDER = 13  # highest u_k of the published method
STEP = Fraction(1, 8)
RIGHT, LEFT = 35, 46  # nodes of the trapezoid rule to each side of the peak
PIECES = [(5, 25), (2, 5), (1, 2)]  # of arguments, in which K of orders of at most 1/2 is a polynomial
FRACTION_BITS = 42    # of the high parts of logarithms: 11 bits of exponent times one of them is exact


def debye_polynomials(order):
    """u_k(t) = t^k p_k(t^2); returns the coefficients of p_k. The recurrence of DLMF 10.41.9, power by power."""
    u = [{0: Fraction(1)}]
    for _ in range(order):
        following = {}
        for power, c in u[-1].items():
            up = c * (Fraction(power, 2) + Fraction(1, 8 * (power + 1)))
            far = -c * (Fraction(power, 2) + Fraction(5, 8 * (power + 3)))
            following[power + 1] = following.get(power + 1, 0) + up
            following[power + 3] = following.get(power + 3, 0) + far
        u.append(following)
    return [[p.get(k + 2 * j, Fraction(0)) for j in range(k + 1)] for k, p in enumerate(u)]


def log_of_series(p):
    """Coefficients d_k of log(sum_k p_k y^k), polynomials in t^2 each: k p_k = sum_j j d_j p_(k-j)."""
    d = [[Fraction(0)]]
    for k in range(1, len(p)):
        s = [k * c for c in p[k]]
        for j in range(1, k):
            for a, x in enumerate(d[j]):
                for b, y in enumerate(p[k - j]):
                    s[a + b] -= j * x * y
        d.append([c / k for c in s])
    return d


def bernoulli(count):
    b = [Fraction(1)]
    for m in range(1, count):
        total, binomial = Fraction(0), 1
        for k in range(m):
            total += binomial * b[k]
            binomial = binomial * (m + 1 - k) // (k + 1)
        b.append(-total / (m + 1))
    return b


def decimal(f):
    return Decimal(f.numerator) / Decimal(f.denominator)


def zeta(s, b, n=40):
    """Euler-Maclaurin; s = 1 gives Euler's constant, the limit of the same sum without its pole."""
    total = sum((decimal(Fraction(1, k**s)) for k in range(1, n)), Decimal(0)) + decimal(Fraction(1, 2 * n**s))
    total += -Decimal(n).ln() if s == 1 else decimal(Fraction(1, (s - 1) * n ** (s - 1)))
    rising = Fraction(s)
    for k in range(1, 25):
        factorial = 1
        for i in range(2, 2 * k + 1):
            factorial *= i
        total += decimal(b[2 * k] * rising / factorial / Fraction(n) ** (s + 2 * k - 1))
        rising *= (s + 2 * k - 1) * (s + 2 * k)
    return total


def reciprocal_gamma(count):
    """Coefficients of 1 / Gamma(1 + m) in powers of m: exp(gamma m - sum_k zeta(k) (-m)^k / k)."""
    b = bernoulli(52)
    a = [Decimal(0), zeta(1, b)] + [(-1) ** (k + 1) * zeta(k, b) / k for k in range(2, count)]
    c = [Decimal(1)]
    for k in range(1, count):
        c.append(sum(j * a[j] * c[k - j] for j in range(1, k + 1)) / k)
    return c


def split(x):
    """x as a multiple of 2^-FRACTION_BITS and the rest."""
    hi = Fraction(int((x * 2**FRACTION_BITS).to_integral_value()), 2**FRACTION_BITS)
    return float(hi), float(x - decimal(hi))


def log_table():
    """Rows (c, hi, lo) for m in [0.6875, 1.375): c is near 1 / m, hi + lo = -log c."""
    rows = []
    for i in range(128):
        low = Fraction(176 + i, 256) if i < 80 else 1 + Fraction(i - 80, 128)
        centre = low + (Fraction(1, 512) if i < 80 else Fraction(1, 256))
        c = Fraction(1) if i in (79, 80) else Fraction(round(512 / centre), 512)  # log keeps its digits near 1
        rows.append((float(c), *split(-decimal(c).ln())))
    return rows


def nodes():
    """Rows of the trapezoid rule, right: (s, cosh s - 1, sinh s - s, e^s); left: (-s, cosh s - 1, e^-s - 1 + s, e^-s)."""
    right, left = [], []
    for j in range(LEFT + 1):
        s = decimal(j * STEP)
        up, down = s.exp(), (-s).exp()
        bend = (up + down) / 2 - 1
        if j <= RIGHT:
            right.append((float(s), float(bend), float((up - down) / 2 - s), float(up)))
        if j > 0:
            left.append((float(-s), float(bend), float(down - 1 + s), float(down)))
    return right, left


def cosine(x):
    """By its power series, |x| <= 4."""
    term = total = Decimal(1)
    k = 0
    while abs(term) > Decimal(10) ** -50:
        k += 2
        term *= -x * x / (k * (k - 1))
        total += term
    return total


def chebyshev_to_powers(c):
    """sum_k c_k T_k(t) as coefficients of powers of t."""
    before, now = [1], [0, 1]
    out = [Decimal(0)] * len(c)
    for k, a in enumerate(c):
        polynomial = before if k == 0 else now
        for power, b in enumerate(polynomial):
            out[power] += a * b
        if k > 0:
            following = [0] + [2 * b for b in now]
            for power, b in enumerate(before):
                following[power] -= b
            before, now = now, following
    return out


def base_of_k(low, high, pi, n=18, m=9):
    """sqrt(x) e^x K_mu(x) and that of (K_(1+mu) + K_(1-mu)) / 2 for x in [low, high], |mu| <= 1/2: coefficients [j][i] of
    powers of z = 8 mu^2 - 1 and w = (2/x - 1/low - 1/high) / (1/low - 1/high). Chebyshev interpolation of the integral
    of DLMF 10.32.9 by the trapezoid rule; what is below 1e-17 of the least value is dropped."""
    getcontext().prec = 34
    step = Decimal(1) / 10
    t = [step * k for k in range(0, 60)]
    up = [s.exp() for s in t]
    cosh = [(u + 1 / u) / 2 for u in up]

    def basis(count):
        """Rows that take the values at the Chebyshev nodes to coefficients; the nodes."""
        turn = [cosine(pi * (q if q <= 2 * count else q - 4 * count) / (2 * count)) for q in range(4 * count)]
        to = [[(1 if j == 0 else 2) * turn[j * (2 * k + 1) % (4 * count)] / count for k in range(count)] for j in range(count)]
        return to, [turn[2 * k + 1] for k in range(count)]

    (in_w, w), (in_z, z) = basis(n), basis(m)
    u0, u1 = 1 / Decimal(high), 1 / Decimal(low)
    x = [2 / (a * (u1 - u0) + u0 + u1) for a in w]
    mu = [((a + 1) / 8).sqrt() for a in z]
    # cosh(mu t); the mean of cosh((1 + mu) t) and cosh((1 - mu) t) is that times cosh t.
    bends = [[((a * s).exp() + (-a * s).exp()) / 2 for s in t] for a in mu]
    tables = []
    for which in (0, 1):
        value = []
        for a in x:
            weight = [(-a * (c - 1)).exp() * (c if which else 1) for c in cosh]
            weight[0] /= 2
            value.append([a.sqrt() * step * sum(p * q for p, q in zip(weight, bend)) for bend in bends])
        least = min(min(r) for r in value)
        half = [[sum(in_w[i][k] * value[k][q] for k in range(n)) for q in range(m)] for i in range(n)]
        c = [[sum(in_z[j][q] * half[i][q] for q in range(m)) for i in range(n)] for j in range(m)]
        kept = []
        for row in c:
            needed = [i for i, a in enumerate(row) if abs(a) > least * Decimal("1e-17")]
            kept.append(row[: needed[-1] + 1] if needed else [])
        assert not kept[-1] and max(map(len, kept)) < n, "more nodes are needed"
        while not kept[-1]:
            kept.pop()
        powers = [chebyshev_to_powers(row) for row in kept]
        out = [[Decimal(0)] * len(row) for row in powers]
        for i in range(len(powers[0])):
            column = chebyshev_to_powers([row[i] if i < len(row) else Decimal(0) for row in powers])
            for j, a in enumerate(column):
                if i < len(out[j]):
                    out[j][i] = a
                else:
                    assert abs(a) < Decimal("1e-19"), "rows do not shrink"
        tables.append(out)
    getcontext().prec = 60
    return tables


def rows(name, width, values, comment):
    lines = [f"// {comment}", f"inline constexpr double {name}[{len(values)}][{width}] = {{"]
    lines += ["    {" + ", ".join(repr(float(x)) for x in v) + "}," for v in values]
    return lines + ["};"]


def text():
    p = debye_polynomials(DEBYE_ORDER)
    d = log_of_series(p)
    right, left = nodes()
    gamma = reciprocal_gamma(28)
    ln2 = split(Decimal(2).ln())
    pi = zeta(2, bernoulli(52)).fma(6, 0).sqrt()
    factorial = [1]
    for k in range(1, 22):
        factorial.append(factorial[-1] * k)
    out = [
        "// Constants of the Bessel kernels. Written by scripts/bessel_tables.py, which says what each is; a test",
        "// compares. Do not edit.",
        "// clang-format off",
        "#pragma once",
        "",
        "namespace covary::compute::bessel_tables {",
        "",
        f"inline constexpr double kLn2Hi = {ln2[0]!r}, kLn2Lo = {ln2[1]!r};",
        f"inline constexpr double kLog2Pi = {float((2 * pi).ln())!r};",
        f"inline constexpr double kLogHalfPi = {float((pi / 2).ln())!r};",
        f"inline constexpr int kDebyeOrder = {DEBYE_ORDER}, kPublishedOrder = {PUBLISHED_ORDER};",
        f"inline constexpr int kRightNodes = {RIGHT}, kLeftNodes = {LEFT};",
        f"inline constexpr double kNodeStep = {float(STEP)!r};",
        "",
    ]
    out += rows("kDebyeLog", DEBYE_ORDER + 1, d, "log(sum_k u_k(t) / v^k) = sum_k y^k sum_j kDebyeLog[k][j] t^(2j), y = t / v.")
    out += rows("kDebye", PUBLISHED_ORDER + 1, p[: PUBLISHED_ORDER + 1], "u_k(t) = t^k sum_j kDebye[k][j] t^(2j).")
    out += rows("kLogTable", 4, [(*r, 0) for r in log_table()], "c, and -log c in two parts; the fourth is padding.")
    out += rows("kRight", 4, right, "s, cosh s - 1, sinh s - s, e^s.")
    out += rows("kLeft", 4, left, "s, cosh s - 1, e^s - 1 - s, e^s; s is negative.")
    pairs = [(gamma[2 * k], gamma[2 * k + 1]) for k in range(12)]
    out += rows("kReciprocalGamma", 2, pairs, "1 / Gamma(1 + m) = sum_k m^(2k) ([k][0] + m [k][1]).")
    out += ["// 1 / k!", f"inline constexpr double kInverseFactorial[{len(factorial)}] = {{"]
    out += [f"    {float(Fraction(1, f))!r}," for f in factorial] + ["};"]
    pieces = [base_of_k(low, high, pi) for low, high in PIECES]
    height = max(len(t) for piece in pieces for t in piece)
    width = max(len(t[0]) for piece in pieces for t in piece)
    count = len(PIECES)
    ends = [f"{u0!r}, {u1!r}" for u0, u1 in ((1 / b, 1 / a) for a, b in PIECES)]
    out += ["// Of base_of_k: 1 / x at both ends of the pieces; terms in z, and in w at each; coefficients."]
    out += [f"inline constexpr double kBaseEnds[{count}][2] = {{" + ", ".join("{" + e + "}" for e in ends) + "};"]
    out += [f"inline constexpr int kBaseHeight[{count}][2] = {{"
            + ", ".join("{" + ", ".join(str(len(t)) for t in piece) + "}" for piece in pieces) + "};"]
    out += [f"inline constexpr int kBaseWidth[{count}][2][{height}] = {{"]
    for piece in pieces:
        out += ["    {" + ", ".join("{" + ", ".join(str(len(r)) for r in t) + "}" for t in piece) + "},"]
    out += ["};", f"inline constexpr double kBase[{count}][2][{height}][{width}] = {{"]
    for piece in pieces:
        out += ["    {"]
        for t in piece:
            out += ["        {"] + ["            {" + ", ".join(repr(float(a)) for a in r) + "}," for r in t] + ["        },"]
        out += ["    },"]
    out += ["};", "", "}  // namespace covary::compute::bessel_tables", ""]
    return "\n".join(out)


def main():
    if sys.argv[1:] == ["--check"]:
        if TARGET.read_text(encoding="utf-8") != text():
            print(f"{TARGET.name} is not what scripts/bessel_tables.py writes")
            return 1
        print(f"{TARGET.name} is what scripts/bessel_tables.py writes")
        return 0
    if sys.argv[1:]:
        print(__doc__)
        return 2
    TARGET.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
