"""
Which rows to label next
========================

Labels of a new task are often dear: each is a measurement. ``predict(X, return_std=True)`` says how
uncertain each prediction is after the labels so far, so that the next label can be that of the row
about which the model knows least. Here that row is compared with one drawn at random.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask

# %%
# Sixty old tasks train the encoder. Twenty new tasks are measured on the same rows, so that one row
# is chosen for all of them: the one with the largest mean standard deviation.
data = make_sparse_multitask(
    900, 80, n_latents=8, n_features=20, support_prob=0.3, noise=0.3, random_state=0
)
model = SparseDisentangledRepresentation(8, encoder="linear", max_iter=300, random_state=0)
model.fit(data.X[:300], data.Y[:300, :60])

pool, test = slice(300, 500), slice(500, 900)
X, Y = data.X[pool], data.Y[pool, 60:]


def most_uncertain(adapted, left, random):
    """The row of the pool that is predicted least surely."""
    return left[adapted.predict(X[left], return_std=True)[1].mean(1).argmax()]


def any_row(adapted, left, random):
    """A random row of the pool."""
    return random.choice(left)


# %%
# Both begin with the same five rows, five times.
sizes = np.arange(5, 21)
scores = {"most uncertain": [], "random": []}
for seed in range(5):
    for name, choose in (("most uncertain", most_uncertain), ("random", any_row)):
        random = np.random.default_rng(seed)
        labelled = list(random.choice(len(X), 5, replace=False))
        curve = []
        for _ in sizes:
            adapted = model.adapt(X[labelled], Y[labelled])
            curve.append(adapted.score(data.X[test], data.Y[test, 60:]))
            left = np.setdiff1d(np.arange(len(X)), labelled)
            labelled.append(choose(adapted, left, random))
        scores[name].append(curve)

print(f"{'labelled rows':<16}" + "".join(f"{n:>7}" for n in sizes[::3]))
for name, curves in scores.items():
    print(f"{name:<16}" + "".join(f"{score:7.2f}" for score in np.mean(curves, 0)[::3]))

# %%
# The chosen rows lie far out, in directions that the labels so far leave open, and say more about
# the heads than rows near the mean do.
figure, axis = plt.subplots(layout="constrained")
for name, curves in scores.items():
    mean, spread = np.mean(curves, 0), np.std(curves, 0)
    (line,) = axis.plot(sizes, mean, "o-", label=name)
    axis.fill_between(sizes, mean - spread, mean + spread, color=line.get_color(), alpha=0.2)
axis.set(xlabel="labelled rows of the new tasks", ylabel="mean $R^2$ on test rows")
axis.legend(title="next row")
plt.show()
