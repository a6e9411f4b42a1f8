"""
Regression from images with known factors
=========================================

The image experiments of Lachapelle et al. (ICML 2023): a convolutional encoder is trained through
the heads of many sparse regression tasks on 64 x 64 images, and its components are compared with
the factors that the images were made from. Training images have correlated factors; all scores are
taken on other images, whose factors are drawn uniformly.

Run ``python examples/reproduction/image_regression.py``; options choose data, correlations, seeds,
sections and the setting. What is done is kept in files and not run again. ``--setting full`` has
the paper's 20,000 steps of 50 rows and 8 tasks; it has never been run.

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
from typing import NamedTuple

import numpy as np
import torch
from image_pictures import plot_scores, plot_traversal
from sklearn.decomposition import FastICA
from sklearn.preprocessing import FunctionTransformer

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
        "alphas": {"l2": (0.01, 0.05), "l1": (0.05, 0.3), "mcp": (0.05,)},
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
SCORES = ("R", "MCC", "D", "C")
VIOLATED = 0.5  # correlation at which the tasks' laws are compared
TRAVERSED = ("bernoulli", 0.9, 0)  # cell of each data set whose components are pictured


class Cell(NamedTuple):
    """Where data come from."""

    data: str
    law: str
    correlation: float
    seed: int

    @property
    def name(self):
        """Name of the cell's files."""
        return "_".join(str(part) for part in self)


def factor_sizes(data):
    """Values of each factor of a data set."""
    return MAKE[data](1, random_state=0).factor_sizes


def rows_of(data, factors):
    """Images of factors as rows of float32."""
    images = MAKE[data](factors=factors).images
    return images.reshape(len(images), -1).astype(np.float32)


def draw_cell(cell, setting):
    """Training rows and targets, test rows with uniform factors and their latents."""
    sizes = factor_sizes(cell.data)
    random = np.random.RandomState(cell.seed)
    train = draw_correlated_factors(
        sizes, setting["n_train"], correlation=cell.correlation, random_state=random
    )
    latents = latents_of_factors(train, sizes, random_state=random)
    tasks = make_sparse_tasks(latents, setting["n_tasks"], random_state=random, **LAWS[cell.law])
    test = np.column_stack([random.randint(size, size=setting["n_test"]) for size in sizes])
    Z_test = latents_of_factors(test, sizes, random_state=random)
    return rows_of(cell.data, train), tasks.Y, rows_of(cell.data, test), Z_test


def scores_of(Z_true, Z):
    """All scores of components of test rows."""
    dci = dci_scores(Z_true, Z)
    return {
        "R": linear_recovery_score(Z_true, Z),
        "MCC": mean_corrcoef_score(Z_true, Z),
        "D": dci.disentanglement,
        "C": dci.completeness,
        "R of each factor": linear_recovery_score(Z_true, Z, multioutput="raw_values").tolist(),
    }


def fit_encoder(cell, penalty, alpha, setting, X, Y):
    """Fitted estimator, its components of the training rows, and seconds."""
    start = time.perf_counter()
    model = SparseDisentangledRepresentation(
        len(factor_sizes(cell.data)),
        encoder="conv",
        input_shape=INPUT[cell.data],
        penalty=penalty,
        alpha=alpha,
        max_iter=setting["steps"],
        batch_size=setting["batch_size"],
        tasks_per_batch=setting["tasks_per_batch"],
        learning_rate=1e-3,
        early_stopping=False,
        random_state=cell.seed,
    )
    components = model.fit(X, Y).transform(X)
    return model, components, time.perf_counter() - start


def fit_steps(penalty, components, Y, seed):
    """Name, fitted transformer of components, seconds and warnings of what follows an encoder."""
    m = components.shape[1]
    steps = {penalty: FunctionTransformer()}
    steps[f"{penalty} + ICA"] = FastICA(m, random_state=seed, max_iter=1000)
    if penalty == "l2":
        steps["l0"] = SparseRotation(m, random_state=seed)
    for name, step in steps.items():
        start = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step.fit(components, Y)
        told = [str(warning.message) for warning in caught]
        yield name, step, time.perf_counter() - start, told


def run_fit(cell, penalty, alpha, setting, drawn, folder):
    """Scores of an encoder and of what follows it, written to a file; pictures of them."""
    X, Y, X_test, Z_test = drawn
    model, components, trained = fit_encoder(cell, penalty, alpha, setting, X, Y)
    test = model.transform(X_test)
    rows, transforms = [], {}
    for method, step, seconds, told in fit_steps(penalty, components, Y, cell.seed):
        found = scores_of(Z_test, step.transform(test))
        rows.append({**cell._asdict(), "method": method, "alpha": alpha, **found})
        rows[-1] |= {"seconds": trained + seconds, "warnings": told}
        transforms[method] = chain(model, step)
        print(
            f"{cell.name}  {method:10s} alpha {alpha:<5g}"
            + "".join(f" {name} {found[name]:.3f}" for name in SCORES)
            + f"  {trained + seconds:.0f} s {' '.join(told)}",
            flush=True,
        )
    if cell == Cell(cell.data, *TRAVERSED) and alpha == setting["alphas"][penalty][0]:
        plot_traversal(cell.data, transforms, rows_of, folder / f"{cell.data}_traversal.png")
    (folder / f"{cell.name}_{penalty}_{alpha:g}.json").write_text(json.dumps(rows, indent=1))


def chain(model, step):
    """From images to the components after a step."""
    return lambda X: step.transform(model.transform(X))


def run_cell(cell, penalties, setting, folder):
    """Run the fits of a cell whose files are missing."""
    missing = [
        (penalty, alpha)
        for penalty in penalties
        for alpha in setting["alphas"][penalty]
        if not (folder / f"{cell.name}_{penalty}_{alpha:g}.json").exists()
    ]
    if missing:
        drawn = draw_cell(cell, setting)
        for penalty, alpha in missing:
            run_fit(cell, penalty, alpha, setting, drawn, folder)


def cells(options):
    """Cells of the sections asked for."""
    for seed in range(options.seeds):
        for data in options.data:
            if "correlations" in options.sections:
                for correlation in options.correlations:
                    yield Cell(data, "bernoulli", correlation, seed)
            if "violations" in options.sections and data == "shapes3d":
                for law in LAWS:
                    if law != "bernoulli":
                        yield Cell(data, law, VIOLATED, seed)


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
        for score in SCORES:
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
    parser.add_argument("--alphas", nargs="+", type=float, help="instead of the setting's")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("reproduction_output"))
    return parser.parse_args()


def main():
    """Run the cells that are missing, print the tables and draw the pictures."""
    options = parse()
    torch.set_num_threads(options.threads)
    setting = SETTINGS[options.setting]
    if options.alphas:
        setting["alphas"] = dict.fromkeys(setting["alphas"], options.alphas)
    folder = options.out / f"image_regression_{options.setting}"
    folder.mkdir(parents=True, exist_ok=True)
    for cell in cells(options):
        run_cell(cell, options.penalties, setting, folder)
    rows = [row for file in sorted(folder.glob("*.json")) for row in json.loads(file.read_text())]
    print_table(rows)
    bounds = {data: attainable(data) for data in MAKE}
    print("\nattainable R:", {data: round(bound, 4) for data, bound in bounds.items()})
    plot_scores([row for row in rows if row["law"] == "bernoulli"], bounds, folder / "mcc.png")


if __name__ == "__main__":
    main()
