"""Draw the pictures of docs/sparse_basis.md.

Run from the root of the checkout: ``python docs/images/make_sparse_basis.py``.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from sklearn_sparsedis import SparseDisentangledRepresentation, SparseRotation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.inspection import HeadsDisplay

HERE = Path(__file__).parent


def draw_lines():
    """Two latents: heads as points, the two crowded lines, and the normals found."""
    data = make_sparse_multitask(
        1000, 80, n_latents=2, n_features=2, correlation=0.5, random_state=0
    )
    model = SparseRotation(random_state=0).fit(data.X, data.Y)
    heads = model.coef_ @ model.rotation_
    # a head is zero on component j where it is orthogonal to row j of the mixing
    normals = model.mixing_ / np.linalg.norm(model.mixing_, axis=1, keepdims=True)
    figure, axis = plt.subplots(figsize=(4.6, 4.4), layout="constrained")
    colours = {(True, True): "0.7", (True, False): "tab:blue", (False, True): "tab:orange"}
    labels = {
        (True, True): "both",
        (True, False): "only the first",
        (False, True): "only the other",
    }
    for used, colour in colours.items():
        of = (model.support_ == used).all(1)
        axis.scatter(*heads[of].T, s=14, color=colour, label=f"{labels[used]} ({of.sum()} tasks)")
    reach = np.abs(heads).max()
    for j, normal in enumerate(normals):
        along = reach * np.array([-normal[1], normal[0]])
        axis.plot(*np.stack([-along, along]).T, lw=0.8, color="k")
        axis.annotate("", xytext=(0, 0), xy=0.6 * reach * normal, arrowprops={"arrowstyle": "->"})
        axis.text(*(0.66 * reach * normal), f"normal {j}", ha="center", va="center")
    axis.set(aspect="equal", xlabel="weight on feature 0", ylabel="weight on feature 1")
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axis.legend(fontsize=8, loc="lower right", title="latents used")
    figure.savefig(HERE / "sparse_basis_lines.png", dpi=100)


def draw_heads():
    """Six latents of correlation 0.9: heads before and after the rotation."""
    data = make_sparse_multitask(2000, 60, correlation=0.9, random_state=0)
    model = SparseDisentangledRepresentation(
        6, encoder="linear", penalty="l0", max_iter=100, random_state=0
    )
    display = HeadsDisplay.from_estimator(model.fit(data.X, data.Y))
    display.figure_.savefig(HERE / "sparse_basis_heads.png", dpi=90)


if __name__ == "__main__":
    mpl.use("Agg")
    draw_lines()
    draw_heads()
