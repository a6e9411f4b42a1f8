"""
New digits from five examples each, by few features
===================================================

A classifier that is to be read, or whose inputs are to be measured, should use few features. The
group-Lasso SVM pays for every feature that it uses. It can do so on the pixels, and on features
that were learned for this: an encoder is trained on episodes of the digits 0 to 5, and then
classifiers of the digits 6 to 9, which it has never seen, are learned from five examples each.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from torch import nn

from sklearn_sparsedis import GroupLassoSVMMetaClassifier

# %%
# Three sets of features: 64 pixels, and 16 components learned through ridge heads or through the
# sparse heads themselves. Quarter turns of the images count as further classes to learn from.
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
# Only the encoder was learned, so the head and its strength may be other ones now. Everything is
# judged on the same 200 episodes. Pixels need a stronger penalty to come down to as few features;
# in some episodes it is then too strong: none is used, and a warning says so.
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
# All pixels together are the most accurate: six digits are few to learn features from. But where
# about ten features are allowed, learned ones are ahead, and most of all those that were learned
# through the heads that are to use them. Bars are 95 % intervals over the episodes.
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
