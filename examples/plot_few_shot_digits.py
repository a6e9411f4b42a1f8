"""
New digits from five examples each, by few features
===================================================

A classifier that is to be interpreted, or whose inputs are costly to measure, should use few
features. The group-Lasso SVM has a penalty on every feature that it uses. Its features may be the
pixels, or components that were learned for this purpose: an encoder is trained on episodes, small
classification problems, of the digits 0 to 5. Then classifiers of the digits 6 to 9, which the
encoder has never seen, are learned from five examples of each.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from torch import nn

from sklearn_sparsedis import GroupLassoSVMMetaClassifier

# %%
# There are three sets of features: the 64 pixels, and 16 components learned either with ridge
# heads or with the sparse heads themselves. With ``rotations`` the images turned by 90, 180 and 270
# degrees are further classes to learn from.
X, y = load_digits(return_X_y=True)
X = X.astype(np.float32)
old = y < 6
settings = {"input_shape": (8, 8), "rotations": True, "n_way": 4, "max_iter": 200}
models = {
    "pixels": GroupLassoSVMMetaClassifier(encoder=nn.Identity(), max_iter=0),
    "learned through ridge heads": GroupLassoSVMMetaClassifier(
        16, head="ridge", random_state=0, **settings
    ),
    "learned through sparse heads": GroupLassoSVMMetaClassifier(
        16, group_reg=0.2, random_state=0, **settings
    ),
}
for model in models.values():
    model.fit(X[old], y[old])

# %%
# The training keeps the encoder alone, so that another head and another strength of its penalty can
# be used now. All models are evaluated on the same 200 episodes. With pixels a stronger penalty is
# needed for as few features. In some episodes it is so strong that no feature is used; then there
# is a warning.
warnings.filterwarnings("ignore", message=".*use no feature")
new = {"X": X[~old], "y": y[~old], "n_way": 4, "n_shot": 5, "n_episodes": 200, "random_state": 0}
strengths = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
curves = {}
for name, model in models.items():
    model.set_params(head="group_lasso_svm")
    stronger = [0.6, 0.65] if name == "pixels" else []
    curves[name] = [
        model.set_params(group_reg=strength).score_episodes(**new)
        for strength in strengths + stronger
    ]
    print(f"{name} ({model.coef_.shape[1]} features)")
    for strength, scores in zip(strengths + stronger, curves[name], strict=True):
        used = scores.features_used.mean() * model.coef_.shape[1]
        print(f"  group_reg {strength:.2f}: {scores.mean:.3f} with {used:4.1f} features")

# %%
# All pixels together give the highest accuracy, because six digits are few to learn features from.
# But with about ten features, learned ones are better, and best are those that were learned with
# the heads that use them. Bars are 95 % intervals over the episodes.
figure, axis = plt.subplots(layout="constrained")
for name, marker in zip(curves, "os^", strict=True):
    n_features = models[name].coef_.shape[1]
    axis.errorbar(
        [scores.features_used.mean() * n_features for scores in curves[name]],
        [100 * scores.mean for scores in curves[name]],
        [100 * scores.ci95 for scores in curves[name]],
        fmt=f"{marker}-",
        capsize=3,
        label=name,
    )
axis.set(xlabel="features used by a task", ylabel="accuracy on new digits, %", xlim=(0, None))
axis.legend()
plt.show()
