"""Draw the cards of those examples of the gallery that a build of the documentation does not run.

python docs/images/make_cards.py ../shared/data/omniglot
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.model_selection import GridSearchCV

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import load_omniglot, make_sparse_multitask

HERE = Path(__file__).parent


def omniglot(folder):
    """Five drawings each of four characters."""
    data = load_omniglot(Path(folder) / "images_background_small2.zip", image_size=56)
    figure, axes = plt.subplots(4, 5, figsize=(4, 2.8), layout="constrained")
    for character, row in enumerate(axes):
        of = data.images[data.target == 40 * character][:5]
        for image, axis in zip(of, row, strict=True):
            axis.imshow(image, cmap="gray_r")
            axis.set_axis_off()
    return figure


def search():
    """Score against the strength of the penalty, as the search finds it."""
    data = make_sparse_multitask(500, 30, random_state=0)
    model = SparseDisentangledRepresentation(6, encoder="linear", random_state=0, max_iter=200)
    grid = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
    found = GridSearchCV(model, {"alpha": grid}, cv=2).fit(data.X, data.Y)
    figure, axis = plt.subplots(figsize=(4, 2.8), layout="constrained")
    axis.semilogx(grid, found.cv_results_["mean_test_score"], "o-")
    axis.set(xlabel="alpha", ylabel="mean $R^2$")
    return figure


def ranks():
    """Rows that are shared out to processes, and the one model."""
    figure, axis = plt.subplots(figsize=(4, 2.8), layout="constrained")
    for rank in range(3):
        y = 2 * (1 - rank)
        axis.add_patch(plt.Rectangle((0, y - 0.8), 1.6, 1.6, color=f"C{rank}", alpha=0.4))
        axis.text(0.8, y, "rows", ha="center", va="center")
        axis.text(
            3.5, y, f"rank {rank}", ha="center", va="center", bbox={"fc": f"C{rank}", "alpha": 0.4}
        )
        for start, end in (((1.7, y), (2.6, y)), ((4.4, y), (5.7, 0.3 * y))):
            axis.annotate("", end, start, arrowprops={"arrowstyle": "->"})
    axis.text(6.6, 0, "model", ha="center", va="center", bbox={"fc": "white"})
    axis.set(xlim=(-0.1, 7.4), ylim=(-3, 3))
    axis.set_axis_off()
    return figure


for name, figure in (("omniglot", omniglot(sys.argv[1])), ("search", search()), ("ranks", ranks())):
    figure.savefig(HERE / f"card_{name}.png", dpi=100)
