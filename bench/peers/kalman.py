#!/usr/bin/env python3
"""Kalman filters of many series: ours beside JAX, NumPy, statsmodels and FilterPy, and the ratios.

    python -m venv peers && peers/bin/pip install filterpy statsmodels jax
    peers/bin/python bench/peers/kalman.py [--bench build] [--series 10000] [--steps 1000]
                                           [--peers numpy,jax,...] [--runs 5]

4 states (two positions, two velocities), 2 observations, an R of its own for each series; with
"shared" all series share one model and covariances are computed once. In two forms: the
log-likelihood of every series, and with "_means" the filtered means [series, steps, 4] too.
JAX is compiled (jit, vmap or one batch, float64) and warmed up. Each peer's log-likelihoods are
compared with NumPy's. Medians of --runs; FilterPy and statsmodels run --part series once and their
time is scaled; FilterPy gives means and likelihoods in any case. --bench: build folder with
covary_filter_bench, whose times are then measured in the same run, on as many threads (2), and
every peer's time is divided by that of ours in the same form, and, since gains of a constant model
settle and ours then keeps them, by that of ours with F by step, which runs the whole recursion.
Prints one JSON object.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import time

import numpy as np

LOG_TWO_PI = np.log(2 * np.pi)


def problem(series, steps):
    rng = np.random.default_rng(1)
    f = np.array([[1, 0, 0.1, 0], [0, 1, 0, 0.1], [0, 0, 0.98, 0], [0, 0, 0, 0.98]])
    h = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]])
    q = np.diag([1e-3, 1e-3, 1e-2, 1e-2])
    a = rng.normal(size=(series, 2, 2)) * 0.3
    r = a @ a.transpose(0, 2, 1) + 0.2 * np.eye(2)
    y = np.cumsum(rng.normal(size=(series, steps, 2)) * 0.1, axis=1)
    y += rng.normal(size=y.shape) * 0.5
    return f, q, h, r, y


def by_numpy(f, q, h, r, y):
    series, steps, _ = y.shape
    x, p = np.zeros((series, 4)), np.broadcast_to(np.eye(4), (series, 4, 4)).copy()
    total = np.zeros(series)
    for t in range(steps):
        v = y[:, t] - x @ h.T
        ph = p @ h.T
        s = h @ ph + r
        det = s[:, 0, 0] * s[:, 1, 1] - s[:, 0, 1] * s[:, 1, 0]
        inverse = np.stack([s[:, 1, 1], -s[:, 0, 1], -s[:, 1, 0], s[:, 0, 0]], -1).reshape(-1, 2, 2)
        inverse /= det[:, None, None]
        k = ph @ inverse
        total -= 0.5 * (2 * LOG_TWO_PI + np.log(det)
                        + np.einsum("bi,bij,bj->b", v, inverse, v))
        x = (x + np.einsum("bij,bj->bi", k, v)) @ f.T
        # (I - K H) P, not P - K (P H')': with the latter the asymmetry of rounding grows until it
        # is everything.
        p = f @ (p - k @ (h @ p)) @ f.T + q
    return total


def by_jax(f, q, h, r, y, means=False):
    import jax
    import jax.numpy as jnp
    jax.config.update("jax_enable_x64", True)

    def one(r, y):
        def step(carry, observation):
            x, p = carry
            v = observation - h @ x
            ph = p @ h.T
            s = h @ ph + r
            det = s[0, 0] * s[1, 1] - s[0, 1] * s[1, 0]
            inverse = jnp.array([[s[1, 1], -s[0, 1]], [-s[1, 0], s[0, 0]]]) / det
            k = ph @ inverse
            score = -0.5 * (2 * LOG_TWO_PI + jnp.log(det) + v @ inverse @ v)
            x = x + k @ v
            after = (f @ x, f @ (p - k @ (h @ p)) @ f.T + q)
            return after, ((score, x) if means else score)
        _, out = jax.lax.scan(step, (jnp.zeros(4), jnp.eye(4)), y)
        return (out[0].sum(), out[1]) if means else out.sum()
    return timed_by_jax(jax.jit(jax.vmap(one)), (r, y), means)


def timed_by_jax(run, arguments, means):
    import jax
    arguments = [jax.numpy.asarray(a) for a in arguments]

    def work():
        out = jax.block_until_ready(run(*arguments))
        return np.asarray(out[0] if means else out)
    return work


def by_jax_means(*model):
    return by_jax(*model, means=True)


def by_jax_shared_means(*model):
    return by_jax_shared(*model, means=True)


def by_jax_shared(f, q, h, r, y, means=False):
    import jax
    import jax.numpy as jnp
    jax.config.update("jax_enable_x64", True)
    r = r[0]

    def gains(p, _):
        ph = p @ h.T
        s = h @ ph + r
        inverse = jnp.linalg.inv(s)
        k = ph @ inverse
        return f @ (p - k @ (h @ p)) @ f.T + q, (k, inverse, jnp.linalg.slogdet(s)[1])

    def everything(y):
        _, (k, inverse, logs) = jax.lax.scan(gains, jnp.eye(4), None, length=y.shape[1])

        def step(x, at):
            k, inverse, observation = at
            v = observation - x @ h.T
            x = x + v @ k.T
            square = jnp.einsum("bi,ij,bj->b", v, inverse, v)
            return x @ f.T, ((square, x) if means else square)
        _, out = jax.lax.scan(step, jnp.zeros((y.shape[0], 4)), (k, inverse, y.transpose(1, 0, 2)))
        squares = out[0] if means else out
        scores = -0.5 * (squares.sum(0) + logs.sum() + 2 * y.shape[1] * LOG_TWO_PI)
        return (scores, out[1].transpose(1, 0, 2)) if means else scores
    return timed_by_jax(jax.jit(everything), (y,), means)


def by_filterpy(f, q, h, r, y):
    from filterpy.kalman import KalmanFilter
    total = np.zeros(len(y))
    for i in range(len(y)):
        k = KalmanFilter(dim_x=4, dim_z=2)
        k.F, k.Q, k.H, k.R, k.P, k.x = f, q, h, r[i], np.eye(4), np.zeros((4, 1))
        for z in y[i]:
            k.update(z)
            total[i] += k.log_likelihood
            k.predict()
    return total


def by_statsmodels(f, q, h, r, y):
    from statsmodels.tsa.statespace.kalman_filter import KalmanFilter
    total = np.zeros(len(y))
    for i in range(len(y)):
        k = KalmanFilter(k_endog=2, k_states=4, loglikelihood_burn=0)
        k["design"], k["obs_cov"], k["transition"] = h, r[i], f
        k["selection"], k["state_cov"] = np.eye(4), q
        k.bind(np.ascontiguousarray(y[i]))
        k.initialize_known(np.zeros(4), np.eye(4))
        total[i] = k.loglike()
    return total


def seconds(run, runs):
    cpus, walls = [], []
    for _ in range(runs):
        cpu, wall = time.process_time(), time.perf_counter()
        result = run()
        cpus.append(time.process_time() - cpu)
        walls.append(time.perf_counter() - wall)
    return statistics.median(cpus), statistics.median(walls), result


def ours(build, runs):
    """Median CPU and wall seconds of each form, on two threads."""
    out = subprocess.run(
        [str(pathlib.Path(build) / "covary_filter_bench"), "--benchmark_filter=/threads:2/",
         f"--benchmark_repetitions={runs}", "--benchmark_min_time=0.01",
         "--benchmark_format=json"], check=True, capture_output=True, text=True)
    return {b["run_name"].split("/")[0]: {"cpu_s": b["cpu_time"] / 1e3, "wall_s": b["real_time"] / 1e3}
            for b in json.loads(out.stdout)["benchmarks"] if b.get("aggregate_name") == "median"}


# The form of ours that does what a peer does.
FORMS = {"numpy": "own_noise", "jax": "own_noise", "jax_means": "own_noise_means",
         "jax_shared": "shared_model", "jax_shared_means": "shared_model_means",
         "statsmodels": "own_noise", "filterpy": "own_noise_means"}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--series", type=int, default=10000)
    arguments.add_argument("--steps", type=int, default=1000)
    arguments.add_argument("--part", type=int, default=5, help="series for FilterPy, statsmodels")
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--bench", help="build folder, for ours")
    arguments.add_argument("--peers", default=",".join(FORMS))
    a = arguments.parse_args()
    f, q, h, r, y = problem(a.series, a.steps)
    truth = by_numpy(f, q, h, r[:a.part], y[:a.part])
    shared_truth = by_numpy(f, q, h, np.broadcast_to(r[0], (a.part, 2, 2)), y[:a.part])
    out = {"series": a.series, "steps": a.steps, "states": 4, "observations": 2, "runs": a.runs}
    mine = {}
    if a.bench:
        mine = ours(a.bench, a.runs)  # 10,000 series of 1,000 steps
        out["covary"] = mine
        mine = {k: {c: s * a.series * a.steps / 1e7 for c, s in v.items()} for k, v in mine.items()}
    for peer in a.peers.split(","):
        if peer.startswith("jax"):
            run = globals()["by_" + peer](f, q, h, r, y)
            run()  # compiles
            cpu, wall, result = seconds(run, a.runs)
            scale = 1.0
        elif peer == "numpy":
            cpu, wall, result = seconds(lambda: by_numpy(f, q, h, r, y), 1)
            scale = 1.0
        else:
            part = globals()["by_" + peer]
            part(f, q, h, r[:1], y[:1, :10])  # imports
            cpu, wall, result = seconds(lambda: part(f, q, h, r[:a.part], y[:a.part]), 1)
            scale = a.series / a.part
        expected = shared_truth if "shared" in peer else truth
        error = float(np.max(np.abs(result[:a.part] - expected) / (1 + np.abs(expected))))
        out[peer] = {"cpu_s": cpu * scale, "wall_s": wall * scale, "error": error}
        against = {"over_covary": FORMS[peer]}
        if FORMS[peer] == "own_noise":
            against["over_covary_by_step"] = "own_noise_by_step"
        for name, form in against.items():
            if form in mine:
                out[peer][name] = {"wall": wall * scale / mine[form]["wall_s"],
                                   "cpu": cpu * scale / mine[form]["cpu_s"]}
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()
