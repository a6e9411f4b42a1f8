"""Sparse task heads on real scans, the recovery of known factors, and few-shot letters.

Part 1 makes many related regression tasks from scikit-learn's handwritten digits (scans of 8 x 8
pixels), trains a representation on them, and learns held-out tasks from 10, 20 and 50 rows. Part 2
makes data from known factors and measures how well these are recovered. Part 3 learns to tell new
letters apart from one or five drawings of each. ``make demo`` runs it, in a minute or two.
"""

import time
import warnings
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

from sklearn_sparsedis import GroupLassoSVMMetaClassifier, SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_glyphs, make_sparse_multitask
from sklearn_sparsedis.metrics import match_latents, mean_corrcoef_score
from sklearn_sparsedis.model_selection import evaluate_episodes

OUTPUT = Path("demo_output")
ALPHA = 0.05  # relative to each head's largest useful penalty: the estimator's default
N_COMPONENTS = 16  # ten digits and six properties of the writing
RIVAL_ALPHAS = (ALPHA, 0.1, 0.2, 0.4)
SHOTS, N_DRAWS = (10, 20, 50), 20
N_HELD_OUT_PAIRS = 8
CONCEPTS = {
    "has a loop": (0, 6, 8, 9),
    "is even": (0, 2, 4, 6, 8),
    "is at least 5": (5, 6, 7, 8, 9),
    "is prime": (2, 3, 5, 7),
    "straight strokes": (1, 4, 7),
    "open curves": (2, 3, 5),
}
OURS, RIDGE = "sparse heads (l1)", "ridge heads (l2)"


def writing_style(images):
    """Ink, centre, size and slant of each scan, which do not follow from the digit."""
    ink, at = images.sum((1, 2)), np.arange(8)
    down, across = images.sum(2) / ink[:, None], images.sum(1) / ink[:, None]
    row, column = down @ at, across @ at
    from_row, from_column = at - row[:, None], at - column[:, None]
    height, width = (down * from_row**2).sum(1), (across * from_column**2).sum(1)
    shear = np.einsum("nij,ni,nj->n", images, from_row, from_column) / ink
    return {
        "ink": ink,
        "centre, down": row,
        "centre, across": column,
        "height": height,
        "width": width,
        "slant": shear / height,
    }


def digit_tasks():
    """Tasks to train on, and held-out tasks.

    The training tasks are an indicator of each digit, most of the indicators "is an a or a b", and
    six properties of the writing. The held-out tasks are the other pairs, which resemble training
    tasks, and concepts of three to five digits, which need more components. Pixels are no targets,
    because they could be predicted from their neighbours.
    """
    digits = load_digits()

    def indicator(members):
        return np.isin(digits.target, members).astype(float)

    pairs = np.random.RandomState(0).permutation(list(combinations(range(10), 2)))
    names = [f"{a} or {b}" for a, b in pairs]
    train = {str(d): indicator([d]) for d in range(10)}
    seen = sorted(range(N_HELD_OUT_PAIRS, len(pairs)), key=lambda i: names[i])
    train |= {names[i]: indicator(pairs[i]) for i in seen}
    train |= writing_style(digits.images)
    new_pairs = {names[i]: indicator(pairs[i]) for i in range(N_HELD_OUT_PAIRS)}
    concepts = {name: indicator(members) for name, members in CONCEPTS.items()}
    return digits.data, digits.target, train, new_pairs, concepts


def table_of(tasks):
    return np.column_stack(list(tasks.values()))


def lasso_predictions(Z, Y, Z_test, alpha):
    """Predictions of Lasso heads with a relative penalty, as those of `fit`, on features Z."""
    predictions = np.empty((len(Z_test), Y.shape[1]))
    centred = Z - Z.mean(axis=0)
    for task, y in enumerate(Y.T):
        largest = np.abs(centred.T @ (y - y.mean())).max() / len(y)
        if largest < 1e-12:  # all targets are equal, so that only the mean is known
            predictions[:, task] = y.mean()
        else:
            head = Lasso(alpha=alpha * largest, max_iter=50_000).fit(Z, y)
            predictions[:, task] = head.predict(Z_test)
    return predictions


def learn_new_tasks(models, others, X, Y, train, test):
    """R^2 on the test rows, shape (n_draws, n_tasks), by representation, penalty and size.

    The heads of models are those of `adapt`, with what the training tasks say of new ones.
    """
    adapted = [(name, ALPHA) for name in models]
    rivals = [(name, a) for name in others for a in RIVAL_ALPHAS if (name, a) not in adapted]
    scores = {key: {n: [] for n in SHOTS} for key in [*adapted, *rivals]}
    for n in SHOTS:
        for draw in range(N_DRAWS):
            rows = np.random.RandomState(draw).choice(train, n, replace=False)
            with warnings.catch_warnings():  # few rows may hold one label of a task alone
                warnings.filterwarnings("ignore", ".*labels that are all equal")
                predictions = {
                    (name, ALPHA): model.adapt(X[rows], Y[rows]).predict(X[test])
                    for name, model in models.items()
                }
            for name, alpha in rivals:
                Z = others[name]
                predicted = lasso_predictions(Z[rows], Y[rows], Z[test], alpha)
                predictions[name, alpha] = predicted
            for key, predicted in predictions.items():
                r2 = r2_score(Y[test], predicted, multioutput="raw_values")
                scores[key][n].append(r2)
    return {key: {n: np.array(r2) for n, r2 in by.items()} for key, by in scores.items()}


def print_components(model, tasks, r2):
    """Print score and components of each task, in two columns."""
    lines = []
    for task, used, score in zip(tasks, model.support_, r2, strict=True):
        components = " ".join(str(c) for c in np.flatnonzero(used))
        lines.append(f"{task:<15}{score:5.2f}   {components}")
    half = (len(lines) + 1) // 2
    print(f"{'task':<15}{'R^2':>5}   {'components':<22}{'task':<15}{'R^2':>5}   components")
    for left, right in zip(lines[:half], [*lines[half:], ""], strict=False):
        print(f"{left:<45}{right}")


def verdict(difference):
    """A word for paired differences over draws: "level" for a mean within two standard errors."""
    mean = difference.mean()
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    word = "LOSES" if mean < -2 * error else "wins" if mean > 2 * error else "level"
    return f"{word} ({mean:+.2f} +- {error:.2f})"


def print_new_tasks(title, scores, columns):
    print(f"\n{title}: R^2 on test rows, mean over tasks, +- spread over {N_DRAWS} draws of rows")
    print(f"{'':<21}" + "".join(f"{f'{n} rows':>16}" for n in SHOTS))
    all_means = {
        key: {n: by[n][:, columns].mean(axis=1) for n in SHOTS} for key, by in scores.items()
    }
    means = {name: by for (name, alpha), by in all_means.items() if alpha == ALPHA}
    for name, by in means.items():
        cells = (f"{by[n].mean():.2f} +- {by[n].std(ddof=1):.2f}" for n in SHOTS)
        print(f"{name:<21}" + "".join(f"{cell:>16}" for cell in cells))
    print("Sparse heads against each, paired by draw (+- standard error):")
    for name in list(means)[1:]:
        words = (verdict(means[OURS][n] - means[name][n]) for n in SHOTS)
        print(f"  {name:<19}" + "".join(f"{word:>24}" for word in words))
    print(f"The same, if each may pick the best Lasso head of {RIVAL_ALPHAS} on the test rows:")
    for name in list(means)[1:]:
        words = []
        for n in SHOTS:
            best = max((all_means[name, alpha][n] for alpha in RIVAL_ALPHAS), key=np.mean)
            words.append(verdict(means[OURS][n] - best))
        print(f"  {name:<19}" + "".join(f"{word:>24}" for word in words))
    return means


def plot_supports(model, adapted, train, held_out, Y_train, Y_new):
    """Size of every coefficient, in standard deviations of its task."""
    strength = np.abs(model.coef_) / Y_train.std(axis=0)[:, None]
    new = np.abs(adapted.coef_) / Y_new.std(axis=0)[:, None]
    # components in the order in which the tasks, the single digits first, rely on them
    order = sorted(
        range(N_COMPONENTS), key=lambda c: (strength[:10, c].max() < 0.2, strength[:, c].argmax())
    )
    figure, axes = plt.subplots(1, 2, figsize=(10, 9.5), layout="constrained")
    panels = ((strength, train, "Training tasks"), (new, held_out, "Held-out tasks, 50 rows"))
    for axis, (values, names, title) in zip(axes, panels, strict=True):
        image = axis.imshow(values[:, order], cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axis.set_xticks(range(N_COMPONENTS), order, fontsize=8)
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.set(xlabel="component", title=title)
    figure.colorbar(image, ax=axes, label="|coefficient| / deviation of the task", shrink=0.5)
    figure.savefig(OUTPUT / "supports.png", dpi=120)
    plt.close(figure)


def plot_learning_curves(families):
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    for axis, (title, means) in zip(axes, families.items(), strict=True):
        for shift, (name, by) in zip((-1.5, -0.5, 0.5, 1.5), means.items(), strict=True):
            at = np.arange(len(SHOTS)) + 0.06 * shift
            mean = [by[n].mean() for n in SHOTS]
            spread = [by[n].std(ddof=1) for n in SHOTS]
            axis.errorbar(at, mean, spread, marker="o", capsize=3, label=name)
        axis.axhline(0, color="grey", linewidth=0.8, linestyle=":")
        axis.set_xticks(range(len(SHOTS)), SHOTS)
        axis.set(xlabel="labelled rows of the new task", title=title, ylim=(-1.5, 1))
    axes[0].set_ylabel("$R^2$ on test rows")
    axes[1].legend(loc="lower right")
    figure.savefig(OUTPUT / "new_tasks.png", dpi=120)
    plt.close(figure)


def digits_part():
    X, labels, train_tasks, new_pairs, concepts = digit_tasks()
    held_out = new_pairs | concepts
    Y, Y_new = table_of(train_tasks), table_of(held_out)
    train, test = train_test_split(
        np.arange(len(X)), train_size=1200, stratify=labels, random_state=0
    )
    print(
        f"1. Digits: {len(train)} training and {len(test)} test scans\n"
        f"   {Y.shape[1]} training tasks: 10 digits, {Y.shape[1] - 16} pairs of digits, "
        "6 properties of the writing\n"
        f"   held out: {len(new_pairs)} pairs of digits and {len(concepts)} concepts\n"
    )
    models, fit_scores = {}, {}
    for name, penalty in ((OURS, "l1"), (RIDGE, "l2")):
        start = time.perf_counter()
        model = SparseDisentangledRepresentation(
            N_COMPONENTS, penalty=penalty, alpha=ALPHA, random_state=0
        )
        models[name] = model.fit(X[train], Y[train])
        r2 = model.score(X[test], Y[test])
        fit_scores[name] = r2
        seconds = time.perf_counter() - start
        print(f"{name}: mean R^2 of the training tasks on test rows {r2:.3f}, {seconds:.0f} s")
    gap = fit_scores[OURS] - fit_scores[RIDGE]
    word = "LOSE" if gap < -0.005 else "win" if gap > 0.005 else "are level"
    print(f"On the tasks they were trained on, sparse heads {word} ({gap:+.3f})")
    model = models[OURS]
    print(f"\nComponents that each task uses, of {N_COMPONENTS}:")
    r2 = r2_score(Y[test], model.predict(X[test]), multioutput="raw_values")
    print_components(model, train_tasks, r2)

    pixels = StandardScaler().fit(X[train]).transform(X)
    others = {
        RIDGE: models[RIDGE].transform(X),
        f"PCA, {N_COMPONENTS}": PCA(N_COMPONENTS).fit(pixels[train]).transform(pixels),
        "64 pixels": pixels,
    }
    scores = learn_new_tasks(models, others, X, Y_new, train, test)
    print(
        f"\nNew tasks: heads of adapt on two representations, Lasso heads (relative alpha {ALPHA}) "
        "on two others:"
    )
    titles = "New pairs of digits", "Concepts of 3 to 5 digits"
    slices = slice(0, len(new_pairs)), slice(len(new_pairs), None)
    families = {t: print_new_tasks(t, scores, s) for t, s in zip(titles, slices, strict=True)}
    print(
        "\nPixels and PCA do not use the labels of the training tasks, which are functions of the\n"
        "same digit as the held-out targets: only the ridge heads had the same information. The\n"
        "spread is that over draws of the labelled rows; each representation was trained once."
    )
    rows = np.random.RandomState(0).choice(train, 50, replace=False)
    adapted = model.adapt(X[rows], Y_new[rows])
    plot_supports(model, adapted, train_tasks, held_out, Y[train], Y_new)
    plot_learning_curves(families)


def plot_matches(Z, representations, law):
    figure, axes = plt.subplots(
        1, len(representations), figsize=(12, 3.6), sharey=True, layout="constrained"
    )
    for axis, (name, features) in zip(axes, representations.items(), strict=True):
        match = match_latents(Z, features)
        correlation = np.abs(match.correlation_matrix[:, match.permutation])
        image = axis.imshow(correlation, cmap="Blues", vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(correlation):
            colour = "white" if value > 0.6 else "black"
            text = f"{value:.2f}"
            axis.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
        axis.set_xticks(range(len(correlation)), match.permutation)
        mcc = np.abs(match.correlation).mean()
        axis.set(title=f"{name}\nMCC {mcc:.3f}", xlabel="matched component")
    axes[0].set_ylabel(f"true factor ({law})")
    figure.colorbar(image, ax=axes, label="|correlation|", shrink=0.8)
    figure.savefig(OUTPUT / "recovery.png", dpi=120)
    plt.close(figure)


def recovery_part():
    n_latents = 6
    print(f"\n2. Recovery of {n_latents} known factors, linearly mixed into 20 columns; 200 tasks")
    mcc, unsettled = {}, []
    for law in ("normal", "uniform"):
        data = make_sparse_multitask(4000, 200, latent_distribution=law, random_state=0)
        learnt = {}
        for name, penalty in ((OURS, "l1"), (RIDGE, "l2")):
            model = SparseDisentangledRepresentation(
                n_latents, encoder="linear", penalty=penalty, alpha=ALPHA, random_state=0
            )
            learnt[name] = model.fit(data.X, data.Y).transform(data.X)
        for name, source in (("FastICA on X", data.X), ("FastICA on l2", learnt[RIDGE])):
            ica = FastICA(n_latents, whiten="unit-variance", max_iter=1000, random_state=0)
            with warnings.catch_warnings():  # said below the table instead
                warnings.simplefilter("ignore", ConvergenceWarning)
                learnt[name] = ica.fit_transform(source)
            if ica.n_iter_ >= ica.max_iter:
                unsettled.append(f"{name} ({law})")
        mcc[law] = {name: mean_corrcoef_score(data.Z, Z) for name, Z in learnt.items()}
        if law == "normal":
            plot_matches(data.Z, learnt, law)
    print("MCC, the mean correlation with the matched factor (1 is recovery):")
    print(f"{'factors':<10}" + "".join(f"{name:>20}" for name in mcc["normal"]))
    for law, by in mcc.items():
        print(f"{law:<10}" + "".join(f"{value:>20.3f}" for value in by.values()))
    if unsettled:
        print(f"Did not converge (normal factors give ICA no direction): {', '.join(unsettled)}")
    for law, by in mcc.items():
        rivals = {name: value for name, value in by.items() if name != OURS}
        best = max(rivals, key=rivals.get)
        gap = by[OURS] - rivals[best]
        word = "LOSE" if gap < -0.005 else "win" if gap > 0.005 else "are level"
        print(f"{law} factors: sparse heads {word} against the best other, {best} ({gap:+.3f})")


def glyphs(alphabets):
    data = make_glyphs(alphabets, n_per_character=10, random_state=0)
    return data.images.reshape(len(data.images), -1).astype(np.float32) / 255, data.target


def few_shot_part():
    X, labels = glyphs(["Latin", "Cyrillic"])
    new = glyphs(["Greek", "Armenian", "Georgian", "Lao"])
    n_old, n_new = (len(np.unique(y)) for y in (labels, new[1]))
    print(
        f"\n3. Few-shot classification: an encoder is trained on small problems of {n_old} Latin\n"
        "   and Cyrillic letters in many typefaces; then 300 problems of five letters of four\n"
        f"   other alphabets ({n_new} letters). Accuracy in %, and share of the features used:"
    )
    start = time.perf_counter()
    trained = GroupLassoSVMMetaClassifier(
        encoder="conv", head="ridge", n_query=5, max_iter=200, random_state=0
    ).fit(X, labels)
    seconds = time.perf_counter() - start
    # with these the last features are those along which letters differ
    turned = GroupLassoSVMMetaClassifier(encoder="discriminant", head="prototype", random_state=0)
    turned.fit(trained.transform(X), labels)
    pixels = GroupLassoSVMMetaClassifier(encoder=nn.Identity(), head="prototype", max_iter=0)
    pixels.fit(X, labels)
    rows = {"pixels": new[0], "trained": new[0], "discriminants": trained.transform(new[0])}
    models = {"pixels": pixels, "trained": trained, "discriminants": turned}
    print(f"{'':<22}" + "".join(f"{name:>22}" for name in models) + f"{'trained - pixels':>22}")
    for head in ("prototype", "ridge", "group_lasso_svm", "sparse_prototype"):
        for n_shot in (1, 5):
            scores = {
                name: evaluate_episodes(
                    model.set_params(head=head),
                    rows[name],
                    new[1],
                    n_shot=n_shot,
                    n_query=5,
                    n_episodes=300,
                    random_state=0,
                )
                for name, model in models.items()
            }
            cells = [
                f"{100 * s.mean:.1f} +- {100 * s.ci95:.1f} ({s.features_used.mean():.2f})"
                for s in scores.values()
            ]
            gap = scores["trained"].difference(scores["pixels"])
            word = "level" if abs(gap.mean) < gap.ci95 else "win" if gap.mean > 0 else "LOSE"
            cells.append(f"{100 * gap.mean:+.1f} +- {100 * gap.ci95:.1f}: {word}")
            title = f"{head}, {n_shot}-shot"
            print(f"   {title:<25}" + "".join(f"{cell:>22}" for cell in cells).lstrip(" "))
    print(
        f"   The encoder was trained in {seconds:.0f} s. Discriminants are its features, turned\n"
        "   to the directions along which Latin and Cyrillic letters differ: few are needed."
    )


if __name__ == "__main__":
    begun = time.perf_counter()
    OUTPUT.mkdir(exist_ok=True)
    digits_part()
    recovery_part()
    few_shot_part()
    pictures = ", ".join(sorted(path.name for path in OUTPUT.glob("*.png")))
    print(f"\n{time.perf_counter() - begun:.0f} s; pictures in {OUTPUT}/: {pictures}")
