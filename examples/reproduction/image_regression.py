"""
Regression from images with known factors
=========================================

The image experiments of Lachapelle et al. (ICML 2023): a convolutional encoder is trained through
the heads of many sparse regression tasks on 64 x 64 images, and its components are compared with
the factors that the images were made from. Training images have correlated factors; all scores are
taken on other images, whose factors are drawn uniformly.

Run ``python examples/reproduction/image_regression.py``; options choose data, correlations, seeds,
sections and the setting. A cell (data, correlation, law of the tasks, seed) is written to a file as
soon as it is done, and is not run again. ``--setting full`` has the paper's 20,000 steps of 50 rows
and 8 tasks; it has never been run.

What differs from the paper: the images are rendered, Shapes3D-like in one case and near-exact
dSprites in the other; a fixed table of images and tasks, all observed on the same rows, replaces
fresh ones at every step; `alpha` falls to its value over the first 80 % of the steps. As there,
factors are standardised after uniform noise within a step of their grid, so that no representation
reaches R = 1 (the attainable R is printed), and shape is treated as a number.

One l2 training serves three methods: "l2" is its components, "l2 + ICA" is FastICA fitted to them
on the training rows, and "l0" is `SparseRotation` fitted to them and the tasks, which is what
``penalty="l0"`` does once its encoder is trained.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from image_pictures import plot_scores, plot_traversal
from sklearn.decomposition import FastICA

from sklearn_sparsedis import SparseDisentangledRepresentation, SparseRotation
from sklearn_sparsedis.datasets import (
    draw_correlated_factors,
    latents_of_factors,
    make_dsprites,
    make_shapes3d,
    make_sparse_tasks,
)
from sklearn_sparsedis.metrics import dci_scores, linear_recovery_score, mean_corrcoef_score

MAKE = {"shapes3d": make_shapes3d, "dsprites": make_dsprites}
INPUT = {"shapes3d": (64, 64, 3), "dsprites": (64, 64)}
CORRELATIONS = (0.0, 0.5, 0.9, 0.95)
# law of the tasks -> options of make_sparse_tasks
LAWS = {
    "bernoulli": {},
    "fixed_size": {"support": "fixed_size", "support_size": 2},
    "blocks": {"support": "blocks", "support_size": 2},
    "laplace": {"support": "laplace"},
    "gaussian": {"support": "gaussian"},
}
SETTINGS = {
    "fast": {
        "n_train": 20_000,
        "n_test": 4000,
        "n_tasks": 200,
        "steps": 600,
        "batch_size": 128,
        "tasks_per_batch": None,
        "alphas": {"l2": (0.05,), "l1": (0.05, 0.3), "mcp": (0.05,)},
    },
    "full": {
        "n_train": 50_000,
        "n_test": 10_000,
        "n_tasks": 1000,
        "steps": 20_000,
        "batch_size": 50,
        "tasks_per_batch": 8,
        "alphas": {
            "l2": (0.01, 0.05),
            "l1": (0.01, 0.03, 0.1, 0.2, 0.3, 0.4),
            "mcp": (0.01, 0.03, 0.1, 0.3),
        },
    },
}
# violations are run at this correlation and with these penalties
VIOLATED = (0.5, ("l2", "l1"))


def factor_sizes(data):
    """Values of each factor of a data set."""
    return MAKE[data](1, random_state=0).factor_sizes


def rows_of(data, factors):
    """Images of factors as rows of float32."""
    images = MAKE[data](factors=factors).images
    return images.reshape(len(images), -1).astype(np.float32)


def draw_cell(data, correlation, law, seed, setting):
    """Training rows and targets, test rows with uniform factors and their latents."""
    sizes = factor_sizes(data)
    random = np.random.RandomState(seed)
    train = draw_correlated_factors(
        sizes, setting["n_train"], correlation=correlation, random_state=random
    )
    latents = latents_of_factors(train, sizes, random_state=random)
    tasks = make_sparse_tasks(latents, setting["n_tasks"], random_state=random, **LAWS[law])
    test = np.column_stack([random.randint(size, size=setting["n_test"]) for size in sizes])
    Z_test = latents_of_factors(test, sizes, random_state=random)
    return rows_of(data, train), tasks.Y, rows_of(data, test), Z_test


def scores_of(Z_true, Z):
    """All scores of components of test rows."""
    dci = dci_scores(Z_true, Z)
    return {
        "R": linear_recovery_score(Z_true, Z),
        "MCC": mean_corrcoef_score(Z_true, Z),
        "D": dci.disentanglement,
        "C": dci.completeness,
    }


def represent(data, X, Y, setting, seed, penalties):
    """Yield (method, alpha, transform, seconds) for every method and alpha."""
    m = len(factor_sizes(data))
    for penalty in penalties:
        for alpha in setting["alphas"][penalty]:
            start = time.perf_counter()
            model = SparseDisentangledRepresentation(
                m,
                encoder="conv",
                input_shape=INPUT[data],
                penalty=penalty,
                alpha=alpha,
                max_iter=setting["steps"],
                batch_size=setting["batch_size"],
                tasks_per_batch=setting["tasks_per_batch"],
                learning_rate=1e-3,
                early_stopping=False,
                random_state=seed,
            ).fit(X, Y)
            trained = time.perf_counter() - start
            components = model.transform(X)
            yield penalty, alpha, model.transform, trained
            for name, step in (
                (f"{penalty} + ICA", FastICA(m, random_state=seed, max_iter=1000)),
                ("l0", SparseRotation(m, random_state=seed)),
            ):
                if name == "l0" and penalty != "l2":
                    continue
                start = time.perf_counter()
                step.fit(components, Y)
                seconds = trained + time.perf_counter() - start
                yield name, alpha, chain(model, step), seconds


def chain(model, step):
    """Components of rows after a step behind the model."""
    return lambda X: step.transform(model.transform(X))


def run_cell(data, correlation, law, seed, setting, penalties):
    """Scores of every method on one cell, and the representations of its test rows."""
    X, Y, X_test, Z_test = draw_cell(data, correlation, law, seed, setting)
    rows, transforms = [], {}
    for method, alpha, transform, seconds in represent(data, X, Y, setting, seed, penalties):
        found = scores_of(Z_test, transform(X_test))
        row = {"data": data, "correlation": correlation, "law": law, "seed": seed}
        row |= {"method": method, "alpha": alpha, **found, "seconds": seconds}
        rows.append(row)
        transforms.setdefault(method, transform)
        print(
            f"{data:9s}{correlation:5.2f} {law:10s} seed {seed}  {method:10s} alpha {alpha:<5g}"
            + "".join(f" {name} {value:.3f}" for name, value in found.items())
            + f"  {seconds:.0f} s",
            flush=True,
        )
    return rows, transforms


def cells(options):
    """(data, correlation, law, penalties) of the sections asked for."""
    for data in options.data:
        if "correlations" in options.sections:
            for correlation in options.correlations:
                yield data, correlation, "bernoulli", tuple(options.penalties)
        if "violations" in options.sections and data == "shapes3d":
            for law in LAWS:
                if law != "bernoulli":
                    yield data, VIOLATED[0], law, VIOLATED[1]


def print_table(rows):
    """Mean over seeds, and spread where there are several."""
    groups = {}
    for row in rows:
        key = row["data"], row["law"], row["correlation"], row["method"], row["alpha"]
        groups.setdefault(key, []).append(row)
    print("\n| data | tasks | correlation | method | alpha | R | MCC | D | C | seeds |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for key, members in sorted(groups.items()):
        cells = []
        for score in ("R", "MCC", "D", "C"):
            values = np.array([member[score] for member in members])
            spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.3f}{spread}")
        print("| " + " | ".join([*map(str, key), *cells, str(len(members))]) + " |")


def attainable(data):
    """The largest R: factors are known to within the noise in a step of their grid."""
    return float(np.mean([np.sqrt(1 - 1 / size**2) for size in factor_sizes(data)]))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--setting", choices=SETTINGS, default="fast")
    parser.add_argument("--data", nargs="+", choices=MAKE, default=list(MAKE))
    parser.add_argument("--correlations", nargs="+", type=float, default=CORRELATIONS)
    parser.add_argument("--penalties", nargs="+", default=["l2", "l1", "mcp"])
    parser.add_argument("--sections", nargs="+", default=["correlations", "violations"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("reproduction_output"))
    return parser.parse_args()


def main():
    """Run the cells that are missing, print the tables and draw the pictures."""
    options = parse()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore", UserWarning)
    setting = SETTINGS[options.setting]
    folder = options.out / f"image_regression_{options.setting}"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for data, correlation, law, penalties in cells(options):
            file = folder / f"{data}_{law}_{correlation:g}_{seed}.json"
            if file.exists():
                continue
            rows, transforms = run_cell(data, correlation, law, seed, setting, penalties)
            if law == "bernoulli":
                plot_traversal(data, transforms, rows_of, file.with_suffix(".png"))
            file.write_text(json.dumps(rows, indent=1))
    rows = [row for file in sorted(folder.glob("*.json")) for row in json.loads(file.read_text())]
    print_table(rows)
    bounds = {data: attainable(data) for data in MAKE}
    print("\nattainable R:", {data: round(bound, 4) for data, bound in bounds.items()})
    plot_scores([row for row in rows if row["law"] == "bernoulli"], bounds, folder / "mcc.png")


if __name__ == "__main__":
    main()
