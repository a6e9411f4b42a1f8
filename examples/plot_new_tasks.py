"""
New tasks without training the encoder again
============================================

A representation that was learned from many tasks is most useful for a new task with few labels.
There are two ways to use it without training the encoder again:

* ``adapt`` returns a copy of the model whose heads are those of the new tasks. It uses what the
  tasks of training say about them;
* ``FrozenEstimator`` puts the fitted encoder into a pipeline with any regressor of scikit-learn.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask

# %%
# There are 130 tasks on the same latents. The encoder learns from 100 of them; the other 30 are the
# new tasks. These have rows of their own, which the encoder has not seen either.
data = make_sparse_multitask(
    2200, 130, n_latents=10, n_features=40, support_prob=0.2, noise=0.3, random_state=0
)
model = SparseDisentangledRepresentation(10, encoder="linear", random_state=0)
model.fit(data.X[:1000], data.Y[:1000, :100])

X, Y = data.X[1000:1200], data.Y[1000:1200, 100:]
X_test, Y_test = data.X[1200:], data.Y[1200:, 100:]

# %%
# Fitting the pipeline does not change the frozen encoder; only the ridge regression is fitted.
alphas = np.logspace(-3, 3, 13)
learners = {
    "adapt": lambda X, Y: model.adapt(X, Y),
    "FrozenEstimator + ridge": make_pipeline(FrozenEstimator(model), RidgeCV(alphas)).fit,
    "ridge on the columns of X": RidgeCV(alphas).fit,
}
sizes = [10, 20, 50, 100, 200]
scores = {
    name: [r2_score(Y_test, learn(X[:n], Y[:n]).predict(X_test)) for n in sizes]
    for name, learn in learners.items()
}
print(f"{'labelled rows':<27}" + "".join(f"{n:>7}" for n in sizes))
for name, r2 in scores.items():
    print(f"{name:<27}" + "".join(f"{score:7.2f}" for score in r2))

# %%
# With many rows all three are equally good, because the columns of X are a linear function of the
# latents; with few rows the learned components help. The first model has not changed: its heads are
# still those of the 100 tasks.
print(f"heads of the first model {model.coef_.shape}, adapted {model.adapt(X, Y).coef_.shape}")

figure, axis = plt.subplots(layout="constrained")
for name, r2 in scores.items():
    axis.semilogx(sizes, r2, "o-", label=name)
axis.set_xticks(sizes, sizes)
axis.minorticks_off()
axis.set(xlabel="labelled rows of the new tasks", ylabel="mean $R^2$ on test rows")
axis.legend()
plt.show()
