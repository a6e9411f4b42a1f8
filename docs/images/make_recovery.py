"""Draw recovery.png: true latents against learned components, for a ridge and a Lasso head.

Run from the root of the checkout: ``python docs/images/make_recovery.py``.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.metrics import match_latents, mean_corrcoef_score

TITLES = {"l2": "ridge heads", "l1": "sparse heads"}


def absolute_correlations(Z, components):
    """Correlations in size of latents (rows) and components, in the order of the best match."""
    match = match_latents(Z, components)
    return np.abs(match.correlation_matrix)[:, match.permutation]


def main():
    mpl.use("Agg")
    data = make_sparse_multitask(4000, n_tasks=200, n_latents=6, n_features=20, random_state=0)
    train, test = slice(0, 3000), slice(3000, None)
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.3), layout="constrained", sharey=True)
    for axis, (penalty, title) in zip(axes, TITLES.items(), strict=True):
        model = SparseDisentangledRepresentation(
            6, encoder="linear", penalty=penalty, random_state=0
        )
        components = model.fit(data.X[train], data.Y[train]).transform(data.X[test])
        Z = data.Z[test]
        shown = axis.imshow(absolute_correlations(Z, components), vmin=0, vmax=1, cmap="Blues")
        axis.set(xticks=range(6), yticks=range(6), xlabel="component (matched)")
        score = model.score(data.X[test], data.Y[test])
        mcc = mean_corrcoef_score(Z, components)
        axis.set_title(f"{title}\nMCC {mcc:.3f}, test $R^2$ {score:.3f}", fontsize=11)
    axes[0].set_ylabel("true latent")
    figure.colorbar(shown, ax=axes, label="|correlation|", shrink=0.85)
    figure.savefig(Path(__file__).with_name("recovery.png"), dpi=110)


if __name__ == "__main__":
    main()
