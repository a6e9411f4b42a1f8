"""
New handwritten characters from five drawings each
==================================================

An encoder is trained on episodes: small classification problems of five characters drawn from 136.
A head is fitted to a few drawings of each, and the encoder is trained such that the head classifies
further drawings. Then the encoder is used for alphabets that it has not seen. The group-Lasso SVM
has a penalty on every component that it uses, and the example shows how many an episode needs.

The files are not downloaded. Give the folder that holds ``images_background_small1.zip`` and
``images_background_small2.zip`` of https://github.com/brendenlake/omniglot as an argument or in the
environment variable ``OMNIGLOT``; without it the example ends at once. It takes a few minutes.
"""

# sphinx_gallery_thumbnail_path = "images/card_omniglot.png"

import os
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from sklearn_sparsedis import GroupLassoSVMMetaClassifier
from sklearn_sparsedis.datasets import load_omniglot

folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("OMNIGLOT", ""))
if not (folder / "images_background_small1.zip").is_file():
    print(__doc__)
    raise SystemExit

# %%
# Train on all alphabets of small1, and test on those that only small2 has.
train, more = (
    load_omniglot(folder / f"images_background_{name}.zip", image_size=28)
    for name in ("small1", "small2")
)
new = ~np.isin(np.array(more.alphabet_names)[more.alphabet], train.alphabet_names)
X, y = train.images.reshape(len(train.images), -1).astype(np.float32) / 255, train.target
X_new, y_new = more.images[new].reshape(new.sum(), -1).astype(np.float32) / 255, more.target[new]
print(f"{len(np.unique(y))} characters to train on, {len(np.unique(y_new))} new ones")

# %%
# Training is fastest with ridge heads. Another head can be used afterwards, since only the encoder
# is kept. With ``rotations`` the images turned by 90, 180 and 270 degrees are further characters.
model = GroupLassoSVMMetaClassifier(
    256,
    encoder="conv4",
    head="ridge",
    rotations=True,
    n_query=5,
    max_iter=300,
    learning_rate=3e-3,
    random_state=0,
)
model.fit(X, y)
tasks = {"n_way": 5, "n_shot": 5, "n_episodes": 300, "random_state": 0}
ridge = model.score_episodes(X_new, y_new, **tasks)
print(f"ridge: {ridge.mean:.3f} +- {ridge.ci95:.3f}")

# %%
# The same encoder with group-Lasso SVMs of increasing penalty, on the same episodes.
strengths = [0.0, 0.05, 0.1, 0.2, 0.3, 0.4]
curve = []
for group_reg in strengths:
    model.set_params(head="group_lasso_svm", group_reg=group_reg)
    curve.append(model.score_episodes(X_new, y_new, **tasks))
    difference = curve[-1].difference(ridge)
    print(
        f"group_reg {group_reg:.2f}: {curve[-1].mean:.3f}, {curve[-1].features_used.mean():.0%} of "
        f"the features, {difference.mean:+.3f} +- {difference.ci95:.3f} against ridge"
    )

# %%
# A classifier of five new characters, from five drawings of each.
chosen = np.isin(y_new, np.unique(y_new)[:5])
order = np.random.default_rng(0).permutation(np.flatnonzero(chosen))
support = np.concatenate([order[y_new[order] == label][:5] for label in np.unique(y_new)[:5]])
rest = np.setdiff1d(order, support)
task = model.set_params(group_reg=0.1).adapt(X_new[support], y_new[support])
print(f"one task: {task.score(X_new[rest], y_new[rest]):.3f}, {task.support_.sum()} features")

figure, axis = plt.subplots(layout="constrained")
axis.errorbar(
    [100 * scores.features_used.mean() for scores in curve],
    [100 * scores.mean for scores in curve],
    [100 * scores.ci95 for scores in curve],
    fmt="o-",
    capsize=3,
)
axis.axhline(100 * ridge.mean, color="grey", linestyle=":", label="ridge, all features")
axis.set(xlabel="features used by a task, %", ylabel="accuracy on new characters, %")
axis.legend()
plt.show()
