"""
How many components, and how sparse? A grid search through a pipeline
=====================================================================

The estimator is a transformer, so that any regressor can follow it in a pipeline, and
``GridSearchCV`` can choose the number of components and the strength ``alpha`` of the penalty by
the score of that regressor. The data are made from six latents, the hidden quantities on which all
targets depend.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.metrics import mean_corrcoef_score

# %%
# There are few rows, and noise in X and in Y, so that superfluous components could lower the score.
data = make_sparse_multitask(
    600, 40, support_prob=0.3, noise=0.3, observation_noise=0.1, random_state=0
)
X, X_test, Y, Y_test, _, Z_test = train_test_split(
    data.X, data.Y, data.Z, train_size=300, random_state=0
)

# %%
# A pipeline passes Y to the ``fit`` of each of its steps, so that nothing special is needed.
representation = SparseDisentangledRepresentation(
    encoder="linear", learning_rate=0.02, max_iter=300, early_stopping=False, random_state=0
)
pipeline = make_pipeline(StandardScaler(), representation, RidgeCV(np.logspace(-3, 3, 13)))
step = "sparsedisentangledrepresentation"
sizes, alphas = [2, 4, 6, 9], [0.05, 0.3]
grid = {f"{step}__n_components": sizes, f"{step}__alpha": alphas}
search = GridSearchCV(pipeline, grid, cv=3).fit(X, Y)
best = {name.removeprefix(f"{step}__"): value for name, value in search.best_params_.items()}
print(f"chosen: {best}, cross-validated R^2 {search.best_score_:.3f}")
print(f"R^2 on test rows {search.score(X_test, Y_test):.3f}")

# %%
# Ridge regression predicts nearly the same from the components as from any mixture of them, so that
# this score depends little on ``alpha``. Whether the components are the latents is another
# question. The MCC, the mean correlation of the latents with their components, answers it.
print(f"{'alpha':>7}{'R^2':>7}{'MCC with the true latents':>28}")
for alpha in alphas:
    pipeline.set_params(**search.best_params_ | {f"{step}__alpha": alpha}).fit(X, Y)
    mcc = mean_corrcoef_score(Z_test, pipeline[:-1].transform(X_test))
    print(f"{alpha:7.2f}{pipeline.score(X_test, Y_test):7.3f}{mcc:28.3f}")

scores = search.cv_results_["mean_test_score"].reshape(len(alphas), len(sizes))
figure, axis = plt.subplots(layout="constrained")
for alpha, row, style in zip(alphas, scores, ("o-", "s--"), strict=True):
    axis.plot(sizes, row, style, label=f"alpha={alpha}")
axis.axvline(6, color="grey", linestyle=":", label="latents of the data")
axis.set(xlabel="n_components", ylabel="cross-validated $R^2$")
axis.legend()
plt.show()
