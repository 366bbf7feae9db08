#!/usr/bin/env python3
"""A Matern 3/2 process in time by its state space: celerite2, tinygp and a scan in JAX beside Covary.

    python3 -m venv peers && peers/bin/pip install celerite2 jax tinygp
    COVARY_PEERS=peers/bin/python build/covary study core-gp --scale desk --long --bars 4g,4h,4i

Values t_i = i / 2 + frac((i + 1) sqrt 2) / 4, y_i = sin(t_i / 20) + 0.2 sqrt 2 cos(37 i); variance 1, length 20, noise
variance 0.05, mean zero; doubles, one thread. A line a program, one object of JSON each: the median CPU seconds and wall
of the log likelihood (`celerite2`, `tinygp`, `jax`) and of it with its gradient by the three logarithms (`tinygp
gradient`, `jax gradient`), and the log likelihood itself. Compiling is not counted. celerite2 has Matern 3/2 as a limit of
its own terms only (eps = 0.01, its default), so its value is another one. These are the peers of bars 4g to 4i of `covary study
core-gp`, which times ours on the same values in the same run.
"""
import argparse
import json
import os

# One thread, said before any library starts.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from gp import timed

VARIANCE, LENGTH, NOISE = 1.0, 20.0, 0.05


def values(n):
    i = np.arange(n, dtype=np.float64)
    t = i / 2 + np.modf((i + 1) * np.sqrt(2.0))[0] / 4
    return t, np.sin(t / 20) + 0.2 * np.sqrt(2.0) * np.cos(37 * i)


def with_celerite2(t, y):
    import celerite2
    from celerite2 import terms

    def work():
        gp = celerite2.GaussianProcess(terms.Matern32Term(sigma=np.sqrt(VARIANCE), rho=LENGTH), mean=0.0)
        gp.compute(t, diag=np.full(len(t), NOISE), quiet=True)
        return gp.log_likelihood(y)

    return work


def tinygp_likelihood(t, y):
    import jax
    import jax.numpy as jnp
    import tinygp
    jax.config.update("jax_enable_x64", True)
    t, y = jnp.asarray(t), jnp.asarray(y)

    def likelihood(logs):
        variance, length, noise = jnp.exp(logs)
        kernel = variance * tinygp.kernels.quasisep.Matern32(scale=length)
        return tinygp.GaussianProcess(kernel, t, diag=noise, assume_sorted=True).log_probability(y)

    return likelihood


def scan_likelihood(t, y):
    import jax
    import jax.numpy as jnp
    jax.config.update("jax_enable_x64", True)
    gaps = jnp.diff(jnp.asarray(t), prepend=t[0])
    y = jnp.asarray(y)

    def likelihood(logs):
        variance, length, noise = jnp.exp(logs)
        rate = jnp.sqrt(3.0) / length
        stationary = jnp.diag(jnp.array([variance, rate**2 * variance]))

        def step(carry, at):
            m, p = carry
            gap, value = at
            x = rate * gap
            a = jnp.exp(-x) * jnp.array([[1 + x, gap], [-rate * x, 1 - x]])
            m = a @ m
            p = a @ (p - stationary) @ a.T + stationary
            s = p[0, 0] + noise
            v = value - m[0]
            k = p[:, 0] / s
            return (m + k * v, p - jnp.outer(k, k) * s), -0.5 * (jnp.log(2 * jnp.pi * s) + v * v / s)

        start = jnp.zeros(2) * variance, stationary
        return jax.lax.scan(step, start, (gaps, y))[1].sum()

    return likelihood


def compiled(likelihood, gradient):
    import jax
    run = jax.jit(jax.value_and_grad(likelihood) if gradient else likelihood)
    logs = jax.numpy.log(jax.numpy.array([VARIANCE, LENGTH, NOISE]))

    def work():
        out = jax.block_until_ready(run(logs))
        return float(out[0] if gradient else out)

    return work


PEERS = {
    "celerite2": with_celerite2,
    "tinygp": lambda t, y: compiled(tinygp_likelihood(t, y), False),
    "jax": lambda t, y: compiled(scan_likelihood(t, y), False),
    "tinygp gradient": lambda t, y: compiled(tinygp_likelihood(t, y), True),
    "jax gradient": lambda t, y: compiled(scan_likelihood(t, y), True),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    args = parser.parse_args()
    t, y = values(args.n)
    for who in args.peers:
        work = PEERS[who](t, y)
        work()  # compiles
        value, cpu, wall = timed(work, args.runs)
        print(json.dumps({"who": who, "cpu": cpu, "wall": wall, "log_likelihood": value}), flush=True)


if __name__ == "__main__":
    main()
