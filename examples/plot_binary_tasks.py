"""
Tasks of values and tasks of labels in one model
================================================

Some tasks ask how much, others whether. With ``loss="auto"`` a task whose labels are all 0 or 1
gets a logistic head, the others a linear one; all of them share the components. ``predict``
gives the conditional mean of each task: for labels, the probability of a 1.

Here 20 tasks have values on all of 300 rows and 20 have labels on an eighth of them. Logistic
regression task by task has only a task's own labels.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import roc_auc_score

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask

# %%
# One world, 300 rows to learn from and 2000 to test on. Labels are drawn with odds that follow a
# task's value.
data = make_sparse_multitask(2300, 40, n_latents=6, n_features=30, random_state=0)
random = np.random.default_rng(0)
odds = expit(2.5 * data.Y / data.Y.std(0) - np.linspace(0, 1, 40))
Y = data.Y.copy()
Y[:, 20:] = random.random((2300, 20)) < odds[:, 20:]
X, X_test, Y, Y_test = data.X[:300], data.X[300:], Y[:300], Y[300:]
Y[:, 20:] = np.where(random.random((300, 20)) < 7 / 8, np.nan, Y[:, 20:])

# %%
# Nothing has to be said about the tasks; ``losses_`` says what was found.
model = SparseDisentangledRepresentation(
    6, encoder="linear", loss="auto", early_stopping=False, max_iter=150, random_state=0
).fit(X, Y)
print(model.losses_[[0, 20]], f"{1 - model.support_.mean():.0%} of the weights are zero")

# %%
# How well each task's test rows are ranked, against logistic regression on the task's own labels.
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
# Probabilities are roughly what they say: of the test rows predicted at 0.6, about 60 % are ones.
# With some 37 labels a task they lean a little towards 0 and 1.
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
