"""Pictures of image_regression.py: traversals of components, and MCC against correlation."""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_sparsedis.datasets import make_dsprites, make_shapes3d
from sklearn_sparsedis.metrics import match_latents

MAKE = {"shapes3d": make_shapes3d, "dsprites": make_dsprites}
SHOWN = ("l2 + ICA", "l0")  # methods whose components are traversed
POOL, N_STEPS, N_ROUNDS = 3000, 8, 6
# factors of the image from which the components are moved: colours apart, the rest in the middle
BASE = {"shapes3d": (1, 6, 3, 4, 2, 7), "dsprites": (2, 4, 8, 16, 16)}
COLOURS = {
    "l0": "tab:red",
    "mcp": "tab:green",
    "l1": "tab:blue",
    "l2 + ICA": "tab:orange",
    "l2": "0.6",
}


def neighbours(factors, sizes):
    """All factors that differ from each of the given ones in one factor: (n, changes, m)."""
    changed = []
    for j, size in enumerate(sizes):
        for value in range(size):
            one = factors.copy()
            one[:, j] = value
            changed.append(one)
    return np.stack(changed, axis=1)


def nearest_images(components_of, targets, scale, pool, sizes):
    """Factors of images whose components are close to targets (n, m): local search from a pool.

    Which change of an image helps is judged by the components alone.
    """

    def distance(factors, wanted):
        return (((components_of(factors) - wanted) / scale) ** 2).sum(-1)

    known = components_of(pool) / scale
    far = ((known[None] - (targets / scale)[:, None]) ** 2).sum(-1)
    best, reached = pool[far.argmin(1)], far.min(1)
    for _ in range(N_ROUNDS):
        others = neighbours(best, sizes)
        flat = others.reshape(-1, len(sizes))
        found = distance(flat, np.repeat(targets, others.shape[1], axis=0))
        found = found.reshape(len(targets), -1)
        better = found.min(1) < reached
        if not better.any():
            break
        best[better] = others[better, found[better].argmin(1)]
        reached[better] = found.min(1)[better]
    return best


def traverse(data, transform, rows_of):
    """Factors (components, steps, m): one component moves, the others stay as near as they can.

    Rows are in the order of the factors that the components match.
    """
    sizes = MAKE[data](1, random_state=0).factor_sizes
    random = np.random.RandomState(0)
    pool = np.column_stack([random.randint(size, size=POOL) for size in sizes])

    def components_of(factors):
        return transform(rows_of(data, factors))

    components = components_of(pool)
    scale = components.std(0)
    base = components_of(np.array([BASE[data]]))[0]
    order = match_latents(pool, components).permutation
    steps = np.quantile(components, np.linspace(0.03, 0.97, N_STEPS), axis=0)
    targets = np.tile(base, (len(order), N_STEPS, 1))
    for row, component in enumerate(order):
        targets[row, :, component] = steps[:, component]
    flat = targets.reshape(-1, len(base))
    return nearest_images(components_of, flat, scale, pool, sizes).reshape(targets.shape)


def plot_traversal(data, transforms, rows_of, file):
    """One panel a method, one row of images a component."""
    shown = [method for method in SHOWN if method in transforms]
    if not shown:
        return
    names = MAKE[data](1, random_state=0).factor_names
    figure, axes = plt.subplots(
        1, len(shown), figsize=(5.4 * len(shown), 4.2), layout="constrained", squeeze=False
    )
    for ax, method in zip(axes[0], shown, strict=True):
        factors = traverse(data, transforms[method], rows_of)
        images = MAKE[data](factors=factors.reshape(-1, len(names))).images
        mosaic = [np.concatenate(list(row), 1) for row in np.split(images, len(names))]
        ax.imshow(np.concatenate(mosaic), cmap="gray")
        ax.set(xticks=[], yticks=64 * np.arange(len(names)) + 32, title=method)
        ax.set_yticklabels([f"component of\n{name}" for name in names], fontsize=8)
        ax.set_xlabel("one component moves, the others are held")
    figure.savefig(file, dpi=100)
    plt.close(figure)


def plot_scores(rows, bounds, file):
    """MCC against the correlation of the training factors: each run, and the mean over seeds.

    Of the strengths of a method, the one with most runs is shown.
    """
    kinds = sorted({row["data"] for row in rows}, reverse=True)
    if not kinds:
        return
    figure, axes = plt.subplots(
        1, len(kinds), figsize=(4.8 * len(kinds), 3.8), layout="constrained", squeeze=False
    )
    for ax, data in zip(axes[0], kinds, strict=True):
        for method, colour in COLOURS.items():
            of = [row for row in rows if row["data"] == data and row["method"] == method]
            if not of:
                continue
            strengths = [row["alpha"] for row in of]
            alpha = max(sorted(set(strengths)), key=strengths.count)
            of = [row for row in of if row["alpha"] == alpha]
            runs = [row["correlation"] for row in of], [row["MCC"] for row in of]
            ax.plot(*runs, "o", color=colour, ms=3)
            ax.plot(*means(of, "MCC"), color=colour, label=f"{method}, alpha {alpha:g}")
            if method == "l2":
                ax.plot(*means(of, "R"), color="k", lw=0.8, label="R of l2")
        ax.axhline(bounds[data], color="k", lw=0.8, ls=":")
        ax.set(title=data, xlabel="correlation of the training factors", ylim=(0.2, 1.02))
    axes[0, 0].set_ylabel("MCC on uniform factors")
    axes[0, 0].legend(fontsize=8)
    figure.savefig(file, dpi=100)
    plt.close(figure)


def means(rows, score):
    """Correlations and the mean score at each."""
    at = sorted({row["correlation"] for row in rows})
    return at, [np.mean([row[score] for row in rows if row["correlation"] == c]) for c in at]
