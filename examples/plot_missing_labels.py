"""
Tasks of which most labels are missing
======================================

In most tables with many tasks not every property was measured on every row. Mark a missing label by
NaN, and it is left out of the heads, the training loss and the score. A row with one label still
contributes to the encoder, which all tasks share.

Here each of 60 tasks has labels on a quarter of 400 rows or fewer, down to one row in fifty. For
comparison, a ridge regression is fitted to the labels of each task alone.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.metrics import nan_r2_score

# %%
# There are 400 rows to learn from and 1000 to test on; only labels of the first are hidden.
data = make_sparse_multitask(1400, 60, support_prob=0.3, random_state=0)
X, X_test, Y, Y_test = data.X[:400], data.X[400:], data.Y[:400], data.Y[400:]
order = np.random.default_rng(0).permuted(np.tile(np.arange(400), (60, 1)), axis=1).T
missing = [0.75, 0.9, 0.95, 0.98]

# %%
# ``fit`` takes the Y with NaN. Ridge regression has to be given the labelled rows of each task.
shared, separate = [], []
for fraction in missing:
    Y_seen = np.where(order < fraction * 400, np.nan, Y)
    model = SparseDisentangledRepresentation(6, encoder="linear", random_state=0)
    model.fit(X, Y_seen)
    shared.append(nan_r2_score(Y_test, model.predict(X_test)))

    predicted = np.empty_like(Y_test)
    for task, y in enumerate(Y_seen.T):
        rows = np.isfinite(y)
        ridge = RidgeCV(np.logspace(-3, 3, 13)).fit(X[rows], y[rows])
        predicted[:, task] = ridge.predict(X_test)
    separate.append(nan_r2_score(Y_test, predicted))
    labels = round((1 - fraction) * 400)
    print(
        f"{labels:3d} labels a task: R^2 {shared[-1]:.3f} shared components, "
        f"{separate[-1]:.3f} ridge task by task"
    )

# %%
# The fewer labels a task has, the more it gains from the other tasks. With many labels there is
# nothing to gain, and the shrinkage of the sparse heads costs a little accuracy.
figure, axis = plt.subplots(layout="constrained")
labels = [round((1 - fraction) * 400) for fraction in missing]
axis.semilogx(labels, shared, "o-", label="shared sparse components")
axis.semilogx(labels, separate, "s--", label="ridge, task by task")
axis.set_xticks(labels, labels)
axis.minorticks_off()
axis.set(xlabel="labels per task, of 400", ylabel="mean $R^2$ on test rows")
axis.legend()
plt.show()
