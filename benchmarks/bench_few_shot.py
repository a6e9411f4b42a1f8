"""How well do sparse heads learn new characters, and what does a head cost in training?

Meta-trains a Conv4 encoder on the 136 characters of Omniglot's small1 (quarter turns are classes
of their own) through each head, with the same number of steps, and tests it on the 106 characters
of small2 whose alphabets small1 does not have, or the other way round: the same 600 episodes for
all. Then accuracy against the share of features used, over group_reg, with training at that
group_reg and on encoders that were trained through other heads, with their features as they are
and turned to discriminants; raw pixels; easyfsl on the same encoder; the head's share of a step.
"""

import pickle
import statistics
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from benchmarks._common import SHARED, Skip, command, require, seconds
from sklearn_sparsedis import GroupLassoSVMMetaClassifier
from sklearn_sparsedis.datasets import load_omniglot
from sklearn_sparsedis.model_selection import EpisodeScores, evaluate_episodes, sample_episodes
from sklearn_sparsedis.nn import Conv4Network, Encoder
from sklearn_sparsedis.nn._episode_heads import SPARSE_HEADS, FewShotHead
from sklearn_sparsedis.tasks._episodes import EpisodeBatch
from sklearn_sparsedis.training._episodes import EpisodeObjective

EPISODES = ((5, 1), (5, 5), (20, 1))
HEADS = (
    ("prototype", 0.0),
    ("ridge", 0.0),
    ("group_lasso_svm", 0.1),
    ("svm", 0.0),
    ("logistic", 0.0),
    ("group_lasso_svm", 0.3),
    ("group_lasso_svm", 0.5),
)
# lambda_2 with one row a class, in units of the mean squared norm of the centred features
L2_REG = 0.15
PARTS = ("step", "heads", "encoder", "easyfsl", "pixels")
PEERS = ("easyfsl",)
SETTINGS = {
    "full": {
        "data": SHARED / "data" / "omniglot",
        "train": "small1",
        "steps": 500,
        "heads": len(HEADS),
        "episodes": 600,
        "learning_rate": 3e-3,
        "seed": 0,
        "threads": 1,
        "part": None,
        "step_heads": HEADS[:6],
        "step_repeats": 15,
        "curve": (0.0, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7),
        "prototype_curve": (0.03, 0.1, 0.3),
        "trained_through": ("prototype", "ridge"),
    },
    "short": {
        "steps": 10,
        "heads": 2,
        "episodes": 10,
        "step_heads": HEADS[:2],
        "step_repeats": 3,
        "curve": (0.1,),
        "prototype_curve": (0.1,),
        "trained_through": ("prototype",),
    },
    "quick": {"part": "step", "step_heads": HEADS[:1], "step_repeats": 1},
}


def characters(folder, known="small1"):
    """Rows and labels to train on, and of the alphabets that are not trained on."""
    if not folder.is_dir():
        raise Skip(f"Omniglot is not in {folder}")
    old, other = (
        load_omniglot(folder / f"images_background_{name}.zip", image_size=28)
        for name in (known, "small2" if known == "small1" else "small1")
    )
    alphabets = np.array(other.alphabet_names)[other.alphabet]
    new = ~np.isin(alphabets, old.alphabet_names)
    train, test = (
        x.reshape(len(x), -1).astype(np.float32) / 255 for x in (old.images, other.images[new])
    )
    return (train, old.target), (test, other.target[new])


def label(head, group_reg):
    return f"{head} {group_reg:g}" if head in SPARSE_HEADS else head


def fitted(head, group_reg, data, options):
    """Trained model and the seconds it took; read from a file where there is one."""
    path = options.models / f"{label(head, group_reg).replace(' ', '_')}.pickle"
    if path.exists():
        return pickle.loads(path.read_bytes())
    model = GroupLassoSVMMetaClassifier(
        256,
        encoder="conv4",
        head=head,
        group_reg=group_reg,
        l2_reg=L2_REG,
        rotations=True,
        n_way=5,
        n_shot=5,
        n_query=5,
        max_iter=options.steps,
        learning_rate=options.learning_rate,
        random_state=options.seed,
    )
    trained = model, seconds(model.fit, *data)
    path.write_bytes(pickle.dumps(trained))
    return trained


def scores(model, test, n_episodes, settings=EPISODES):
    return {
        (n_way, n_shot): evaluate_episodes(
            model, *test, n_way=n_way, n_shot=n_shot, n_episodes=n_episodes, random_state=0
        )
        for n_way, n_shot in settings
    }


def cells(found, reference=None):
    """Accuracy with interval, paired difference and share of features, a cell a setting."""
    for setting, score in found.items():
        text = f"{100 * score.mean:.1f} ± {100 * score.ci95:.1f}"
        if reference is not None:
            paired = score.difference(reference[setting])
            text += f" ({100 * paired.mean:+.1f} ± {100 * paired.ci95:.1f})"
        if score.features_used is not None:
            text += f", {score.features_used.mean():.2f} used"
        yield text


def head_rows(options):
    """Each encoder trained through its own head; in brackets the difference from prototype."""
    train, test = characters(options.data, options.train)
    reference = None
    for head, group_reg in HEADS[: options.heads]:
        model, spent = fitted(head, group_reg, train, options)
        found = scores(model, test, options.episodes)
        yield label(head, group_reg), f"{spent:.0f}", model.n_iter_, *cells(found, reference)
        reference = found if reference is None else reference


def exchanged_rows(trained, options, *, turned=False):
    """Heads on an encoder trained through another; differences from prototype on its own.

    Where asked for, its features are turned to the discriminants of the training classes.
    """
    train, test = characters(options.data, options.train)
    model, _ = fitted("prototype", 0.0, train, options)
    reference = scores(model, test, options.episodes, EPISODES[:2])
    model, _ = fitted(trained, 0.0, train, options)
    if turned:
        model.set_params(discriminants=True, warm_start=True, max_iter=0).fit(*train)
    kinds = [(head, 0.0) for head in ("prototype", "ridge", "svm", "logistic")]
    kinds += [("group_lasso_svm", group_reg) for group_reg in options.curve]
    kinds += [("sparse_prototype", group_reg) for group_reg in options.prototype_curve]
    for head, group_reg in kinds:
        model.set_params(head=head, group_reg=group_reg)
        found = scores(model, test, options.episodes, EPISODES[:2])
        yield label(head, group_reg), *cells(found, reference)


def pixel_rows(options):
    """Classifiers of raw pixels."""
    _, test = characters(options.data, options.train)
    peers = {
        "nearest centroid": NearestCentroid(),
        "logistic regression": LogisticRegression(max_iter=1000),
    }
    for name, peer in peers.items():
        yield name, *cells(scores(peer, test, options.episodes, EPISODES[:2]))


def easyfsl_rows(options):
    """Share of queries on which easyfsl's prototypical network predicts what ours does."""
    try:
        methods = require("easyfsl.methods")
    except RuntimeError as error:  # from a torchvision of another torch
        raise Skip(f"easyfsl cannot be imported ({error})") from error
    train, (X, y) = characters(options.data, options.train)
    model, _ = fitted("prototype", 0.0, train, options)
    for n_way, n_shot in EPISODES:
        episodes = sample_episodes(
            y, n_way=n_way, n_shot=n_shot, n_episodes=options.episodes, random_state=0
        )
        ours, _ = model.predict_sampled(X, episodes)
        features = torch.from_numpy(model.transform(X)).double()
        peer = methods.PrototypicalNetworks(torch.nn.Identity())
        labels = torch.from_numpy(episodes.support_labels)
        theirs = []
        for support, query in zip(episodes.support, episodes.query, strict=True):
            peer.process_support_set(features[support], labels)
            theirs.append(peer(features[query]).argmax(1).numpy())
        accuracy = EpisodeScores((np.stack(theirs) == episodes.query_labels).mean(1))
        same = (np.stack(theirs) == ours).mean()
        yield f"{n_way}-way {n_shot}-shot", f"{100 * accuracy.mean:.2f}", f"{same:.4%}", ours.size


def step_share(kind, group_reg, l2_reg, repeats):
    """Median share that a head adds to the encoder's forward and backward, and quantiles."""
    torch.manual_seed(0)
    encoder = Encoder(Conv4Network((28, 28), 256), torch.zeros(784), torch.ones(784), 256)
    objective = EpisodeObjective(encoder, FewShotHead(kind, group_reg, l2_reg), 0.1)
    labels = torch.arange(5).repeat_interleave(5)
    classes = torch.rand(4, 5, 784)
    X = classes[:, labels.repeat(2)] + 0.5 * torch.rand(4, 50, 784)
    batch = EpisodeBatch(X, labels, labels, 5)

    def bare():
        encoder.raw(X.flatten(0, 1)).square().mean().backward()

    def with_head():
        objective(batch).backward()

    bare(), with_head()
    shares = [seconds(with_head) / seconds(bare) - 1 for _ in range(repeats)]
    return statistics.median(shares), *np.quantile(shares, (0.1, 0.9))


def step_rows(options):
    """What the head adds to a step, a row a head."""
    for kind, group_reg in options.step_heads:
        share, low, high = step_share(kind, group_reg, L2_REG, options.step_repeats)
        yield label(kind, group_reg), f"{share:+.1%}", f"{low:+.1%} to {high:+.1%}"


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--data", type=Path)
    parser.add_argument("--train", choices=("small1", "small2"))
    parser.add_argument("--steps", type=int)
    parser.add_argument("--heads", type=int, help="how many of them to train")
    parser.add_argument("--episodes", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--models", type=Path, help="folder to keep trained models in")
    parser.add_argument("--part", choices=PARTS)


def tables(options):
    """All parts, or the one asked for."""
    ways = [f"{n_way}-way {n_shot}-shot" for n_way, n_shot in EPISODES]
    parts = PARTS if options.part is None else (options.part,)
    with tempfile.TemporaryDirectory() as folder:  # a model is trained once for all parts
        options.models = options.models or Path(folder)
        if "step" in parts:
            title = "What the head adds to a Conv4 step (4 episodes, 5-way 5 + 5, 28 x 28, float32)"
            yield title, ("head", "median share", "0.1 to 0.9 quantile"), step_rows(options)
        if "heads" in parts:
            title = "Encoders trained through their own head (difference from prototype)"
            yield title, ("head", "seconds", "steps kept", *ways), head_rows(options)
        if "encoder" in parts:
            for trained, turned in product(options.trained_through, (False, True)):
                where = f"the encoder trained through {trained}" + ", turned" * turned
                title = f"Heads on {where} (difference from prototype)"
                yield title, ("head", *ways[:2]), exchanged_rows(trained, options, turned=turned)
        if "easyfsl" in parts:
            header = ("episodes", "easyfsl's accuracy", "same prediction as ours", "queries")
            yield "Prototypes beside easyfsl", header, easyfsl_rows(options)
        if "pixels" in parts:
            yield "Raw pixels", ("classifier", *ways[:2]), pixel_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
