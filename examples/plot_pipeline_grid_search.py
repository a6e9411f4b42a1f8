"""
How many components, and how sparse? A grid search through a pipeline
=====================================================================

The representation is a transformer, so it can stand in a pipeline before any regressor, and
``GridSearchCV`` can choose ``n_components`` and ``alpha`` by the error of that regressor. Here the
number of factors behind the data is known: six.
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
# Few rows and noise on both sides, so that superfluous components would cost something.
data = make_sparse_multitask(
    600, 40, support_prob=0.3, noise=0.3, observation_noise=0.1, random_state=0
)
X, X_test, Y, Y_test, _, Z_test = train_test_split(
    data.X, data.Y, data.Z, train_size=300, random_state=0
)

# %%
# The pipeline hands Y to the transformer's fit as to every step; nothing of it is special.
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
# A ridge head is blind to the basis of the components, so this score has little to say on
# ``alpha``. Whether the components are the factors is another question: the MCC answers it.
print(f"{'alpha':>7}{'R^2':>7}{'MCC with the true factors':>28}")
for alpha in alphas:
    pipeline.set_params(**search.best_params_ | {f"{step}__alpha": alpha}).fit(X, Y)
    mcc = mean_corrcoef_score(Z_test, pipeline[:-1].transform(X_test))
    print(f"{alpha:7.2f}{pipeline.score(X_test, Y_test):7.3f}{mcc:28.3f}")

scores = search.cv_results_["mean_test_score"].reshape(len(alphas), len(sizes))
figure, axis = plt.subplots(layout="constrained")
for alpha, row, style in zip(alphas, scores, ("o-", "s--"), strict=True):
    axis.plot(sizes, row, style, label=f"alpha={alpha}")
axis.axvline(6, color="grey", linestyle=":", label="factors of the data")
axis.set(xlabel="n_components", ylabel="cross-validated $R^2$")
axis.legend()
plt.show()
