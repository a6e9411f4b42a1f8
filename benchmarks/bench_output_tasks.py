"""What does it bring to tell the model that outputs of one task share their latents?

Tables of 6 latents with correlation rho, mixed linearly into 20 features, and tasks of q outputs
that use the same latents (each with probability one half), with noise of a share of the signal. A
linear encoder with `penalty="l1"` is trained with `task_of_output` and without, everything else
equal. MCC on rows with independent latents; F1 of supports against the truth after matching the
components; R^2 on new rows, of the training tasks, and of new tasks whose heads `adapt` fits on
20 rows. Medians over seeds.
"""

import warnings

import numpy as np

from benchmarks._common import command, seconds
from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.metrics import match_latents, mean_corrcoef_score

LATENTS, FEATURES, ADAPTED_ROWS = 6, 20, 20
CASES = [(0.0, 20, 3, 300, 0.3), (0.5, 20, 3, 300, 0.3), (0.9, 20, 3, 300, 0.3)]
CASES += [(0.5, 50, 3, 1000, 0.3), (0.5, 20, 3, 100, 1.0), (0.5, 20, 8, 300, 1.0)]
PEERS = ()
SETTINGS = {
    "full": {"seeds": 3, "alpha": 0.2, "max_iter": 300, "threads": 1, "cases": CASES},
    "short": {"seeds": 1, "cases": CASES[:3]},
    "quick": {"seeds": 1, "max_iter": 1, "cases": [(0.5, 4, 3, 60, 0.3)]},
}


def draw_heads(random, n_tasks, q):
    """Heads (n_tasks * q, m) and which latents each output uses."""
    used = random.random((n_tasks, LATENTS)) < 0.5
    used[np.arange(n_tasks), random.integers(LATENTS, size=n_tasks)] = True
    used = used.repeat(q, 0)
    return random.normal(size=used.shape) * used, used


def draw_latents(random, n, rho):
    """Rows of latents with one correlation between all."""
    return rho**0.5 * random.normal(size=(n, 1)) + (1 - rho) ** 0.5 * random.normal(
        size=(n, LATENTS)
    )


def targets(random, Z, W, noise):
    """Outputs with noise of a share of the signal's spread."""
    signal = Z @ W.T
    return signal + noise * signal.std(0) * random.normal(size=signal.shape)


def one_seed(seed, rho, n_tasks, q, n, noise, options):
    """Figures of both models."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(LATENTS, FEATURES))
    W, used = draw_heads(random, n_tasks, q)
    Z, Z_test, Z_free = (draw_latents(random, k, r) for k, r in ((n, rho), (2000, rho), (2000, 0)))
    Y, Y_test = targets(random, Z, W, noise), targets(random, Z_test, W, noise)
    W_new, _ = draw_heads(random, 20, q)
    rows = draw_latents(random, ADAPTED_ROWS, rho)
    Y_new, Y_new_test = targets(random, rows, W_new, noise), targets(random, Z_test, W_new, noise)
    figures = []
    for names, new in ((None, None), (np.arange(n_tasks).repeat(q), np.arange(20).repeat(q))):
        model = SparseDisentangledRepresentation(
            LATENTS,
            encoder="linear",
            task_of_output=names,
            alpha=options.alpha,
            max_iter=options.max_iter,
            random_state=seed,
        )
        spent = seconds(model.fit, Z @ mixing, Y)
        codes = model.transform(Z_free @ mixing)
        order = match_latents(Z_free, codes).permutation
        found = model.support_[:, order]
        both = (found & used).sum()
        adapted = model.adapt(rows @ mixing, Y_new, task_of_output=new)
        figures.append(
            [
                mean_corrcoef_score(Z_free, codes),
                2 * both / (found.sum() + used.sum()),
                model.score(Z_test @ mixing, Y_test),
                adapted.score(Z_test @ mixing, Y_new_test),
                spent,
            ]
        )
    return figures


def rows(options):
    """One row a case, as it is measured."""
    for case in options.cases:
        found = np.array([one_seed(seed, *case, options) for seed in range(options.seeds)])
        alone, named = np.median(found, 0)
        cells = [f"{a:.3f} / {b:.3f}" for a, b in zip(alone[:4], named[:4], strict=True)]
        yield [*case, *cells, f"{alone[4]:.1f} / {named[4]:.1f}"]


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--alpha", type=float)
    parser.add_argument("--max-iter", type=int)


def tables(options):
    """One."""
    warnings.simplefilter("ignore")
    header = ["rho", "tasks", "outputs a task", "rows", "noise", "MCC", "F1 of supports"]
    header += ["R^2", f"R^2, new tasks from {ADAPTED_ROWS} rows", "s a fit"]
    yield "Without the tasks' names / with them", header, rows(options)


if __name__ == "__main__":
    command(__spec__.name)
