#!/usr/bin/env python3
"""First direction numbers of the Sobol sequence, src/covary/core/numeric/sobol_tables.h.

    scripts/sobol_tables.py            # writes the file: about a minute
    scripts/sobol_tables.py --check    # exits 1 unless the file is what this script writes

A coordinate of the sequence belongs to a primitive polynomial over GF(2) of degree s, in the order of degree and value,
and to s odd numbers m_k < 2^k that may be chosen. The choice: of 24 candidates by a fixed generator, the one whose pairs
with earlier coordinates have the smallest t in the sense of (t, m, 2)-nets, m = 5, 8, 11; close coordinates count more.
Standard library only.
Source: Sobol 1967; the criterion is that of Joe and Kuo 2008, the search and the numbers are our own.
"""
import pathlib
import sys

DIMENSIONS = 64
CANDIDATES = 24
SIZES = (5, 8, 11)
BITS = 32
FILE = pathlib.Path(__file__).resolve().parent.parent / "src/covary/core/numeric/sobol_tables.h"


def is_primitive(p, s):
    """Whether x generates the units of GF(2)[x] / p, p of degree s."""
    order = (1 << s) - 1
    factors, rest, f = set(), order, 2
    while f * f <= rest:
        while rest % f == 0:
            factors.add(f)
            rest //= f
        f += 1
    if rest > 1:
        factors.add(rest)

    def power(e):
        result, base = 1, 2 if s > 1 else 1
        while e:
            if e & 1:
                result = times(result, base)
            base = times(base, base)
            e >>= 1
        return result

    def times(a, b):
        r = 0
        while b:
            if b & 1:
                r ^= a
            b >>= 1
            a <<= 1
            if a >> s & 1:
                a ^= p
        return r

    return power(order) == 1 and all(power(order // f) != 1 for f in factors)


def polynomials(count):
    found, s = [], 1
    while len(found) < count:
        found += [(s, p) for p in range((1 << s) + 1, 1 << (s + 1), 2) if s == 1 or is_primitive(p, s)]
        s += 1
    return found[:count]


def directions(s, p, m):
    """Columns v_1.. of the generator matrix, BITS bits each, the first digit highest."""
    m = list(m)
    for k in range(s, BITS):
        value = m[k - s] ^ (m[k - s] << s)
        for i in range(1, s):
            if p >> (s - i) & 1:
                value ^= m[k - i] << i
        m.append(value)
    return [m[k] << (BITS - 1 - k) for k in range(BITS)]


def rows(columns, size):
    """The first rows of the generator matrix of 2^size points, as bit masks over columns."""
    return [sum((columns[c] >> (BITS - 1 - r) & 1) << c for c in range(size)) for r in range(size)]


def t_value(a, b, size):
    least = size
    for k in range(size + 1):
        basis = []

        def insert(v):
            for w in basis:
                v = min(v, v ^ w)
            if v:
                basis.append(v)
                basis.sort(reverse=True)
            return bool(v)

        if not all(insert(v) for v in a[:k]):
            raise AssertionError("a coordinate is not equidistributed")
        more = 0
        while more < size - k and insert(b[more]):
            more += 1
        least = min(least, k + more)
    return size - least


def search():
    state = 20080101

    def draw(n):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (state >> 33) % n

    identity = [1 << (BITS - 1 - k) for k in range(BITS)]
    chosen, table = [[rows(identity, size) for size in SIZES]], []
    for s, p in polynomials(DIMENSIONS - 1):
        best = None
        for _ in range(CANDIDATES):
            m = [2 * draw(1 << k) + 1 for k in range(s)]
            mine = [rows(directions(s, p, m), size) for size in SIZES]
            score = 0
            for distance, other in enumerate(reversed(chosen), 1):
                worst = [t_value(a, b, size) for a, b, size in zip(mine, other, SIZES)]
                score += sum(t ** 4 for t in worst) * 0.95 ** distance
                if best is not None and score >= best[0]:
                    break
            if best is None or score < best[0]:
                best = (score, m, mine)
        chosen.append(best[2])
        table.append(best[1])
    return table


def text():
    lines = ["// First direction numbers of the Sobol sequence, a coordinate a row; written by scripts/sobol_tables.py.",
             "#pragma once", "", "#include <cstdint>", "", "// clang-format off", "namespace covary::numeric {", "",
             f"constexpr int kSobolRows = {DIMENSIONS - 1};  // coordinates 1, 2, ...: 0 needs none",
             "constexpr int kSobolDegree = 9;  // numbers a row; those past the polynomial's degree are 0",
             "constexpr uint16_t kSobolStart[kSobolRows][kSobolDegree] = {"]
    for m in search():
        lines.append("    {" + ", ".join(str(v) for v in m + [0] * (9 - len(m))) + "},")
    lines += ["};", "", "}  // namespace covary::numeric", ""]
    return "\n".join(lines)


def main():
    new = text()
    if "--check" in sys.argv[1:]:
        sys.exit(0 if FILE.read_text() == new else 1)
    FILE.write_text(new)


if __name__ == "__main__":
    main()
