"""
Turning given features to the basis of the latents
==================================================

Features from anywhere, here principal components, often hold the latents in a linear mixture. Given
many tasks that use few latents each, ``SparseRotation`` finds the basis in which the heads are
sparsest, which is that of the latents. It does not ask that they be independent: here they have
correlations of 0.9, which mislead independent component analysis.
"""

import matplotlib.pyplot as plt
from sklearn.decomposition import PCA, FastICA
from sklearn.pipeline import make_pipeline

from sklearn_sparsedis import SparseRotation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.inspection import ConfidenceDisplay, HeadsDisplay, MatchDisplay

# %%
# Six latents behind 20 columns, and 80 tasks. Components are compared with the latents on rows of
# the same world whose latents are independent: among correlated ones everything correlates.
world = make_sparse_multitask(
    2000, 80, correlation=0.9, latent_distribution="uniform", random_state=0
)
fresh = make_sparse_multitask(
    2000, 1, mixing=world.mixing, latent_distribution="uniform", random_state=1
)

# %%
# Both methods continue from the principal components. In a pipeline the targets reach
# ``SparseRotation`` as they reach any last step.
methods = {
    "PCA": PCA(6),
    "FastICA": make_pipeline(
        PCA(6), FastICA(whiten="unit-variance", max_iter=1000, random_state=0)
    ),
    "SparseRotation": make_pipeline(PCA(6), SparseRotation(random_state=0)),
}
figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
for (name, method), axis in zip(methods.items(), axes, strict=True):
    method.fit(world.X, world.Y)
    display = MatchDisplay.from_estimator(method, fresh.X, fresh.Z, ax=axis)
    print(f"{name:<15} MCC {display.score:.3f}")
    axis.set_title(f"{name}: MCC {display.score:.3f}")

# %%
# The heads of the 80 tasks on the principal components, and after the rotation.
rotation = methods["SparseRotation"][-1]
HeadsDisplay.from_estimator(rotation)

# %%
# What each component rests on. The evidence of a component stands far above what a search finds
# where there is nothing, and bootstrap samples of the tasks keep it.
ConfidenceDisplay.from_estimator(rotation)
print(f"components that the data determine: {rotation.identified_.sum()} of 6")
plt.show()
