#!/usr/bin/env python3
"""Whole fits of exact Gaussian processes beside GPyTorch, scikit-learn and plain torch: the same rows, the same kernel
(const * RBF with a length scale a column + white), the same machine.

    python3 -m venv peers && peers/bin/pip install torch
    peers/bin/pip install gpytorch scikit-learn
    peers/bin/python bench/peers/gp_fit.py build/covary arrays --n 1000 [--repeats 5]
    peers/bin/python bench/peers/gp_fit.py build/covary uci --data UCI_FOLDER --sets yacht energy [--splits 10]

`arrays`: the arrays of gp.py. CPU seconds and wall of a fit (median of the repeats) and the log marginal likelihood
where it ended, mean zero. GPyTorch: 50 steps of Adam at 0.1; plain torch: SciPy's L-BFGS-B on its gradient.
`uci`: RMSE and negative log density of held-out rows (noise included) in units of the training answers' standard
deviation, by the splits that come with the tables: mean over splits, and of the differences to ours their mean and
standard error. GPyTorch twice, with a learned constant mean and by Cholesky at every size: --steps (100) of Adam at 0.1,
which stop well before its optimum and score as an early stop does, and SciPy's L-BFGS-B to the optimum.
Ours three times: by default, whose priors (dim-scaled) hold back as an early stop does, but on purpose; with weak ones,
which leave the largest likelihood where it is; and with --priors gamma. `arrays` compares likelihoods: without priors.
Ours is the program `covary gp`, its start and the reading of the table included; its CPU seconds are those of the child.
"""
import argparse
import csv
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from gp import arrays


def write_csv(path, x, y):
    with open(path, "w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow([f"x{k}" for k in range(x.shape[1])] + ["y"])
        for a, b in zip(x, y):
            rows.writerow([repr(float(v)) for v in a] + [repr(float(b))])


class Ours:
    def __init__(self, program, mean="const", threads=0, priors="auto"):
        self.program, self.mean, self.threads, self.priors = program, mean, threads, priors
        self.folder = tempfile.TemporaryDirectory()

    def fit(self, x, y):
        folder = Path(self.folder.name)
        write_csv(folder / "train.csv", x, y)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        out = subprocess.run(
            [self.program, "gp", "fit", folder / "train.csv", "--target", "y", "--kernel", "const*rbf(ard)+white",
             "--method", "exact", "--mean", self.mean, "--priors", self.priors, "--threads", str(self.threads), "-o", folder / "m.cov",
             "--json"], check=True, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.value = find(json.loads(out.stdout), "log_likelihood")
        return self

    def predict(self, x):
        folder = Path(self.folder.name)
        write_csv(folder / "test.csv", x, np.zeros(len(x)))
        subprocess.run([self.program, "gp", "predict", folder / "m.cov", folder / "test.csv", "-o", folder / "p.csv",
                        "--quiet"], check=True, capture_output=True)
        with open(folder / "p.csv", newline="") as lines:
            rows = list(csv.DictReader(lines))
        mean = next(c for c in rows[0] if c.endswith("mean"))
        deviation = next(c for c in rows[0] if c.endswith("sd"))
        return np.array([float(r[mean]) for r in rows]), np.array([float(r[deviation]) for r in rows]) ** 2


def find(value, key):
    """The first entry named `key` in nested JSON."""
    if isinstance(value, dict):
        if key in value:
            return value[key]
        value = list(value.values())
    if isinstance(value, list):
        for v in value:
            found = find(v, key)
            if found is not None:
                return found
    return None


class Sklearn:
    def __init__(self, **_):
        pass

    def fit(self, x, y):
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
        self.centre = 0.0 if self.zero_mean else y.mean()
        kernel = ConstantKernel(1.0) * RBF(np.ones(x.shape[1]), (1e-3, 1e5)) + WhiteKernel(0.1, (1e-8, 1e2))
        cpu = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.gp = GaussianProcessRegressor(kernel, alpha=0).fit(x, y - self.centre)
        self.cpu = time.process_time() - cpu
        self.value = self.gp.log_marginal_likelihood_value_
        return self

    def predict(self, x):
        mean, deviation = self.gp.predict(x, return_std=True)
        return mean + self.centre, deviation**2


class GPyTorch:
    """`steps` of Adam; none: L-BFGS-B to the optimum."""

    def __init__(self, steps=100):
        self.steps = steps

    def fit(self, x, y):
        import gpytorch
        import torch
        xt, yt = torch.tensor(x), torch.tensor(y)
        zero = self.zero_mean
        self.likelihood = gpytorch.likelihoods.GaussianLikelihood().double()
        likelihood = self.likelihood

        class Model(gpytorch.models.ExactGP):
            def __init__(self):
                super().__init__(xt, yt, likelihood)
                self.mean_module = gpytorch.means.ZeroMean() if zero else gpytorch.means.ConstantMean()
                self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel(ard_num_dims=x.shape[1]))

            def forward(self, z):
                return gpytorch.distributions.MultivariateNormal(self.mean_module(z), self.covar_module(z))

        self.model = Model().double().train()
        mll = gpytorch.mlls.ExactMarginalLogLikelihood(self.likelihood, self.model)
        cpu = time.process_time()
        with gpytorch.settings.max_cholesky_size(10**6), gpytorch.settings.fast_computations(False, False, False):
            def loss_with_gradient():
                self.model.zero_grad()
                loss = -mll(self.model(xt), yt)
                loss.backward()
                return loss

            if self.steps:
                adam = torch.optim.Adam(self.model.parameters(), lr=0.1)
                for _ in range(self.steps):
                    loss_with_gradient()
                    adam.step()
            else:
                self.to_the_optimum(loss_with_gradient, len(y))
            self.cpu = time.process_time() - cpu
            with torch.no_grad():
                self.value = mll(self.model(xt), yt).item() * len(y)
        return self

    def to_the_optimum(self, loss_with_gradient, n):
        from gpytorch.utils.errors import NanError, NotPSDError
        from scipy.optimize import minimize
        from torch.nn.utils import parameters_to_vector, vector_to_parameters
        import torch
        parameters = list(self.model.parameters())

        def value(raw):
            with torch.no_grad():
                vector_to_parameters(torch.tensor(raw), parameters)
            try:
                loss = loss_with_gradient().item() * n
            except (NanError, NotPSDError):
                return 1e10, np.zeros_like(raw)
            return loss, np.concatenate([p.grad.numpy().ravel() for p in parameters]) * n

        found = minimize(value, parameters_to_vector(parameters).detach().numpy(), jac=True, method="L-BFGS-B",
                         options={"maxiter": 1000})
        value(found.x)

    def predict(self, x):
        import gpytorch
        import torch
        self.model.eval(), self.likelihood.eval()
        with torch.no_grad(), gpytorch.settings.max_cholesky_size(10**6), gpytorch.settings.fast_computations(
                False, False, False):
            p = self.likelihood(self.model(torch.tensor(x)))
            return p.mean.numpy(), p.variance.numpy()


class PlainTorch:
    """The likelihood by autograd through torch's Cholesky; SciPy's L-BFGS-B."""

    def __init__(self, **_):
        pass

    def fit(self, x, y):
        import torch
        from scipy.optimize import minimize
        xt, yt = torch.tensor(x), torch.tensor(y)
        n, d = x.shape

        def loss(theta):
            logs = torch.tensor(theta, requires_grad=True)
            z = xt / logs[1:1 + d].exp()
            norms = (z * z).sum(1)
            k = logs[0].exp() * torch.exp(-0.5 * (norms[:, None] + norms[None, :] - 2 * z @ z.T).clamp_min(0))
            try:
                factor = torch.linalg.cholesky(k + logs[-1].exp() * torch.eye(n, dtype=torch.float64))
            except torch.linalg.LinAlgError:
                return 1e10, np.zeros_like(theta)
            alpha = torch.cholesky_solve(yt[:, None], factor)[:, 0]
            value = 0.5 * yt @ alpha + factor.diagonal().log().sum() + 0.5 * n * math.log(2 * math.pi)
            value.backward()
            return value.item(), logs.grad.numpy()

        cpu = time.process_time()
        found = minimize(loss, np.array([0.0] + [0.0] * d + [math.log(0.1)]), jac=True, method="L-BFGS-B")
        self.cpu = time.process_time() - cpu
        self.value = -found.fun
        return self


def on_arrays(args):
    x, y = arrays(args.n)
    Sklearn.zero_mean = GPyTorch.zero_mean = True
    rows = {"covary": lambda: Ours(args.program, "zero", args.threads, "none"), "gpytorch": lambda: GPyTorch(50),
            "torch": PlainTorch, "sklearn": Sklearn}
    first = None
    for name, make in rows.items():
        cpu, wall, value = [], [], 0.0
        for _ in range(args.repeats):
            begin = time.perf_counter()
            model = make().fit(x, y)
            wall.append(time.perf_counter() - begin)
            cpu.append(model.cpu)
            value = model.value
        first = first or statistics.median(cpu)
        print(f"  {name:9} log p {value:12.4f}  cpu {statistics.median(cpu):8.3f} s  wall {statistics.median(wall):8.3f} s"
              f"  {statistics.median(cpu) / first:6.1f}x", flush=True)


def table(folder):
    data = np.loadtxt(folder / "data.txt")
    features = np.loadtxt(folder / "index_features.txt").astype(int)
    target = int(np.loadtxt(folder / "index_target.txt"))
    return data[:, features], data[:, target]


def on_uci(args):
    Sklearn.zero_mean = GPyTorch.zero_mean = False
    for name in args.sets:
        folder = args.data / name
        x, y = table(folder)
        makers = {"covary": lambda: Ours(args.program, "const", args.threads),
                  "covary --priors weak": lambda: Ours(args.program, "const", args.threads, "weak"),
                  "covary --priors gamma": lambda: Ours(args.program, "const", args.threads, "gamma"),
                  "sklearn": Sklearn, "gpytorch": lambda: GPyTorch(args.steps),
                  "gpytorch at its optimum": lambda: GPyTorch(None)}
        scores = {m: [] for m in makers}
        for split in range(args.splits):
            train, test = (np.loadtxt(folder / f"index_{part}_{split}.txt").astype(int) for part in ("train", "test"))
            centre, spread = x[train].mean(0), np.maximum(x[train].std(0), 1e-300)
            answer, unit = y[train].mean(), y[train].std()
            inside, outside = (x[train] - centre) / spread, (x[test] - centre) / spread
            truth = (y[test] - answer) / unit
            for method, make in makers.items():
                model = make().fit(inside, (y[train] - answer) / unit)
                mean, variance = model.predict(outside)
                square = (truth - mean)**2
                scores[method].append([math.sqrt(square.mean()),
                                       0.5 * (np.log(2 * math.pi * variance) + square / variance).mean(), model.cpu])
        ours = np.array(scores["covary"])
        if not args.json:
            print(f"{name}, {len(y)} rows, {x.shape[1]} columns, {args.splits} splits")
        for method, values in scores.items():
            values = np.array(values)
            gap = values - ours
            error = gap.std(0, ddof=1) / math.sqrt(len(gap)) if len(gap) > 1 else np.zeros(3)
            if args.json:
                print(json.dumps({"who": method, "set": name, "splits": len(gap), "rmse": values[:, 0].mean(),
                                  "nll": values[:, 1].mean(), "cpu": float(np.median(values[:, 2])),
                                  "rmse_gap": -gap[:, 0].mean(), "rmse_error": error[0],
                                  "nll_gap": -gap[:, 1].mean(), "nll_error": error[1]}), flush=True)
                continue
            print(f"  {method:23} RMSE {values[:, 0].mean():.4f} (ours {-gap[:, 0].mean():+.4f} +- {error[0]:.4f})  "
                  f"NLL {values[:, 1].mean():8.4f} (ours {-gap[:, 1].mean():+.4f} +- {error[1]:.4f})  "
                  f"cpu {np.median(values[:, 2]):8.2f} s a fit", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("what", choices=["arrays", "uci"])
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", nargs="+", default=["yacht", "bostonHousing", "energy", "concrete", "wine-quality-red"])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="uci: one object a line, which `covary study core-gp` reads")
    args = parser.parse_args()
    import torch
    torch.set_num_threads(args.threads)
    if args.what == "uci" and args.data is None:
        parser.error("uci needs --data, the folder of the tables")
    on_arrays(args) if args.what == "arrays" else on_uci(args)


if __name__ == "__main__":
    sys.exit(main())
