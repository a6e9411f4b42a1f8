"""
Regression and binary tasks in one model
========================================

Some tasks predict a value, others a label that is 0 or 1. With ``loss="auto"`` the binary tasks
get logistic heads and the others linear ones; all heads are on the same components. ``predict``
gives the conditional mean of each task, which for a label is the probability of a 1.

Here 20 tasks have values on all of 300 rows, and 20 have labels on an eighth of them. For
comparison, a logistic regression is fitted to the labels of each binary task alone.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import roc_auc_score

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask

# %%
# There are 300 rows to learn from and 2000 to test on. A label is 1 with a probability that rises
# with the value of the task.
data = make_sparse_multitask(2300, 40, n_latents=6, n_features=30, random_state=0)
random = np.random.default_rng(0)
odds = expit(2.5 * data.Y / data.Y.std(0) - np.linspace(0, 1, 40))
Y = data.Y.copy()
Y[:, 20:] = random.random((2300, 20)) < odds[:, 20:]
X, X_test, Y, Y_test = data.X[:300], data.X[300:], Y[:300], Y[300:]
Y[:, 20:] = np.where(random.random((300, 20)) < 7 / 8, np.nan, Y[:, 20:])

# %%
# The model finds out which tasks are binary; ``losses_`` has the loss of each.
model = SparseDisentangledRepresentation(
    6, encoder="linear", loss="auto", early_stopping=False, max_iter=150, random_state=0
).fit(X, Y)
print(model.losses_[[0, 20]], f"{1 - model.support_.mean():.0%} of the weights are zero")

# %%
# The AUC measures how well the test rows of a task are ranked.
predicted = model.predict(X_test)[:, 20:]
shared, separate = [], []
for task, y in enumerate(Y.T[20:]):
    rows = np.isfinite(y)
    peer = LogisticRegressionCV(
        scoring="neg_log_loss", l1_ratios=(0,), use_legacy_attributes=False, max_iter=1000
    )
    peer.fit(X[rows], y[rows])
    true = Y_test[:, 20 + task]
    shared.append(roc_auc_score(true, predicted[:, task]))
    separate.append(roc_auc_score(true, peer.predict_proba(X_test)[:, 1]))
print(f"mean AUC: {np.mean(shared):.3f} shared components, {np.mean(separate):.3f} task by task")

# %%
# Probabilities are roughly calibrated: of the test rows that are predicted at 0.6, about 60 % are
# ones. With some 37 labels for each task they are a little too close to 0 and 1.
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.scatter(separate, shared)
left.axline((0.7, 0.7), slope=1, color="0.7", zorder=0)
left.set(xlabel="AUC, logistic regression task by task", ylabel="AUC, shared components")
edges = np.linspace(0, 1, 11)
bins = np.digitize(predicted.ravel(), edges[1:-1])
ones = [Y_test[:, 20:].ravel()[bins == b].mean() for b in range(10)]
right.plot((edges[1:] + edges[:-1]) / 2, ones, "o-")
right.axline((0, 0), slope=1, color="0.7", zorder=0)
right.set(xlabel="predicted probability", ylabel="share of ones", xlim=(0, 1), ylim=(0, 1))
plt.show()
