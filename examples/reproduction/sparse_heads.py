"""
Sparse heads on disentangled and entangled features
===================================================

The first figure of Lachapelle et al. (ICML 2023): a task uses 5, 20 or 80 of 100 features. Lasso,
ridge and least squares are fitted to the features themselves (disentangled) and to an invertible
linear mixture of them (entangled). Ridge and least squares predict the same from both; Lasso needs
far fewer rows on disentangled features, if the task uses few of them.

Run ``python examples/reproduction/sparse_heads.py``, with ``--full`` for 30 draws instead of 8, and
with ``--published FILE`` for the published means beside ours. Not given in the paper, and chosen
here: independent normal features and coefficients, a random orthogonal mixture, noise of 5 % of the
target's variance (the published scores approach 0.95), penalties by 5-fold cross-validation.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import ortho_group
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LassoCV, LinearRegression, RidgeCV

M = 100
ROWS = (25, 50, 75, 100, 125, 150)
SHARES = (0.05, 0.2, 0.8)
NOISE = 0.05
HEADS = {
    "lr": lambda: LinearRegression(),
    "lasso": lambda: LassoCV(cv=5, max_iter=5000),
    "ridge": lambda: RidgeCV(np.logspace(-4, 4, 25), cv=5),
}
COLORS = {"lasso": "tab:blue", "ridge": "tab:orange", "lr": "tab:gray"}


def draw(share, n, random):
    """Features, their mixture and targets of a task, for n training and 2000 test rows."""
    Z = random.standard_normal((n + 2000, M))
    coef = np.zeros(M)
    coef[random.choice(M, round(share * M), replace=False)] = random.standard_normal(
        round(share * M)
    )
    signal = Z @ coef
    spread = np.linalg.norm(coef) * np.sqrt(NOISE / (1 - NOISE))
    y = signal + spread * random.standard_normal(len(Z))
    return {"disent": Z, "ent": Z @ ortho_group.rvs(M, random_state=random)}, y


def scores(n_draws):
    """Test R^2, shape (n_draws, rows), of each share and kind of features and head."""
    found = {
        (share, f"{kind}-{head}"): np.empty((n_draws, len(ROWS)))
        for share in SHARES
        for kind in ("ent", "disent")
        for head in HEADS
    }
    for seed in range(n_draws):
        for share in SHARES:
            for i, n in enumerate(ROWS):
                features, y = draw(share, n, np.random.RandomState(seed))
                for kind, X in features.items():
                    for head, make in HEADS.items():
                        fitted = make().fit(X[:n], y[:n])
                        found[share, f"{kind}-{head}"][seed, i] = fitted.score(X[n:], y[n:])
    return found


def print_tables(found, published):
    """Mean over draws +- standard deviation, and the published mean."""
    for share in SHARES:
        print(f"\nTest R^2 with {share:.0%} of {M} features in use, mean +- spread over draws")
        print(f"{'rows':16s}" + "".join(f"{n:>16d}" for n in ROWS))
        for name in ("ent-lr", "ent-ridge", "ent-lasso", "disent-ridge", "disent-lasso"):
            values = found[share, name]
            cells = [f"{v.mean():.2f} +- {v.std():.2f}" for v in values.T]
            print(f"{name:16s}" + "".join(f"{cell:>16s}" for cell in cells))
            if published:
                means = published[str(share)][name]["mean"]
                print(f"{'  published':16s}" + "".join(f"{v:16.2f}" for v in means))


def agreement(found, published):
    """Share of the published means within two standard deviations of our draws, by head."""
    print("\nPublished means within two standard deviations of our draws:")
    for head in HEADS:
        inside = [
            abs(mean - values.mean()) <= 2 * values.std()
            for (share, name), draws in found.items()
            if name.endswith(f"-{head}")
            for mean, values in zip(published[str(share)][name]["mean"], draws.T, strict=True)
        ]
        print(f"  {head:6s} {sum(inside)} of {len(inside)}")


def plot(found, file):
    """One panel a share: R^2 against rows."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True, layout="constrained")
    for ax, share in zip(axes, SHARES, strict=True):
        for kind, line in (("disent", "-"), ("ent", "--")):
            for head in ("lasso", "ridge"):
                values = found[share, f"{kind}-{head}"]
                label = f"{head}, {'disentangled' if kind == 'disent' else 'entangled'}"
                ax.errorbar(
                    ROWS,
                    values.mean(0),
                    values.std(0),
                    linestyle=line,
                    marker="o",
                    markersize=3,
                    capsize=2,
                    color=COLORS[head],
                    label=label,
                )
        ax.set(title=f"{share:.0%} of {M} features in use", xlabel="training rows", ylim=(-0.3, 1))
    axes[0].set_ylabel("test $R^2$")
    axes[2].legend(loc="lower right", fontsize=8)
    figure.savefig(file, dpi=100)


def main():
    """Print the tables and write the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--full", action="store_true", help="30 draws instead of 8")
    parser.add_argument("--published", type=Path, help="file of the published means (JSON)")
    parser.add_argument("--out", type=Path, default=Path("reproduction_output"))
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    published = json.loads(options.published.read_text())["results"] if options.published else None
    start = time.perf_counter()
    found = scores(30 if options.full else 8)
    print_tables(found, published)
    if published:
        agreement(found, published)
    options.out.mkdir(exist_ok=True)
    plot(found, options.out / "sparse_heads.png")
    print(f"\n{time.perf_counter() - start:.0f} s; picture in {options.out}/sparse_heads.png")


if __name__ == "__main__":
    main()
