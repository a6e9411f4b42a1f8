"""How well do sparse heads learn new characters, and what does a head cost in training?

Meta-trains a Conv4 encoder on the 136 characters of Omniglot's small1 (quarter turns are classes
of their own) through each head, with the same number of steps, and tests it on the 106 characters
of small2 whose alphabets small1 does not have, or the other way round: the same 600 episodes for
all. Then accuracy against the share of features used, over group_reg, with training at that
group_reg and on the encoder that was trained through prototypes; raw pixels; easyfsl on the same
encoder; the head's share of a step.
"""

import argparse
import pickle
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from benchmarks._common import SHARED, print_table, versions
from sklearn_sparsedis import GroupLassoSVMMetaClassifier
from sklearn_sparsedis.datasets import load_omniglot
from sklearn_sparsedis.model_selection import EpisodeScores, evaluate_episodes, sample_episodes
from sklearn_sparsedis.nn import Conv4Network, Encoder, FewShotHead
from sklearn_sparsedis.tasks import EpisodeBatch
from sklearn_sparsedis.training import EpisodeObjective

SETTINGS = ((5, 1), (5, 5), (20, 1))
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
CURVE = (0.0, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7)


def characters(folder, known="small1"):
    """Rows and labels to train on, and of the alphabets that are not trained on."""
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
    return f"{head} {group_reg:g}" if head == "group_lasso_svm" else head


def fitted(head, group_reg, data, arguments):
    """Trained model and the seconds it took; read from a file where there is one."""
    path = None
    if arguments.models is not None:
        path = arguments.models / f"{label(head, group_reg).replace(' ', '_')}.pickle"
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
        max_iter=arguments.steps,
        learning_rate=arguments.learning_rate,
        random_state=arguments.seed,
    )
    start = time.perf_counter()
    model.fit(*data)
    trained = model, time.perf_counter() - start
    if path is not None:
        path.write_bytes(pickle.dumps(trained))
    return trained


def scores(model, test, n_episodes, settings=SETTINGS):
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


def compare_heads(train, test, arguments):
    reference = None
    print(
        "\nEach encoder trained through its own head; in brackets the difference from prototype\n"
    )
    print_table(("head", "seconds", "steps kept", *(f"{w}-way {s}-shot" for w, s in SETTINGS)), ())
    for head, group_reg in HEADS[: arguments.heads]:
        model, seconds = fitted(head, group_reg, train, arguments)
        found = scores(model, test, arguments.episodes)
        row = label(head, group_reg), f"{seconds:.0f}", model.n_iter_, *cells(found, reference)
        reference = found if reference is None else reference
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


def compare_on_one_encoder(trained, model, test, reference, arguments):
    print(f"\nHeads on the encoder that was trained through {trained}; in brackets the difference")
    print("from the prototype head on the encoder that was trained through prototypes\n")
    print_table(("head", *(f"{w}-way {s}-shot" for w, s in SETTINGS[:2])), ())
    kinds = [(head, 0.0) for head in ("prototype", "ridge", "svm", "logistic")]
    kinds += [("group_lasso_svm", group_reg) for group_reg in CURVE]
    for head, group_reg in kinds:
        model.set_params(head=head, group_reg=group_reg)
        found = scores(model, test, arguments.episodes, SETTINGS[:2])
        print(
            "| " + " | ".join((label(head, group_reg), *cells(found, reference))) + " |", flush=True
        )


def raw_pixels(test, arguments):
    print("\nRaw pixels\n")
    peers = {
        "nearest centroid": NearestCentroid(),
        "logistic regression": LogisticRegression(max_iter=1000),
    }
    print_table(("classifier", *(f"{w}-way {s}-shot" for w, s in SETTINGS[:2])), ())
    for name, peer in peers.items():
        found = scores(peer, test, arguments.episodes, SETTINGS[:2])
        print("| " + " | ".join((name, *cells(found))) + " |", flush=True)


def agree_with_easyfsl(model, test, n_episodes):
    """Share of queries on which easyfsl's prototypical network predicts what ours does."""
    try:
        from easyfsl.methods import PrototypicalNetworks
    except (ImportError, RuntimeError) as error:  # the latter from a torchvision of another torch
        print(f"\neasyfsl cannot be imported: {error}")
        return
    model.set_params(head="prototype")
    X, y = test
    for n_way, n_shot in SETTINGS:
        episodes = sample_episodes(
            y, n_way=n_way, n_shot=n_shot, n_episodes=n_episodes, random_state=0
        )
        ours, _ = model.predict_sampled(X, episodes)
        features = torch.from_numpy(model.transform(X)).double()
        peer = PrototypicalNetworks(torch.nn.Identity())
        labels = torch.from_numpy(episodes.support_labels)
        theirs = []
        for support, query in zip(episodes.support, episodes.query, strict=True):
            peer.process_support_set(features[support], labels)
            theirs.append(peer(features[query]).argmax(1).numpy())
        accuracy = EpisodeScores((np.stack(theirs) == episodes.query_labels).mean(1))
        print(
            f"{n_way}-way {n_shot}-shot: easyfsl {100 * accuracy.mean:.2f}, the same prediction on "
            f"{(np.stack(theirs) == ours).mean():.4%} of {ours.size} queries",
            flush=True,
        )


def step_share(kind, group_reg, l2_reg, repeats):
    """Median share that a head adds to the encoder's forward and backward, and quantiles."""
    torch.manual_seed(0)
    encoder = Encoder(Conv4Network((28, 28), 256), torch.zeros(784), torch.ones(784), 256)
    objective = EpisodeObjective(encoder, FewShotHead(kind, group_reg, l2_reg), 0.1)
    labels = torch.arange(5).repeat_interleave(5)
    classes = torch.rand(4, 5, 784)
    X = classes[:, labels.repeat(2)] + 0.5 * torch.rand(4, 50, 784)
    batch = EpisodeBatch(X, labels, labels, 5)

    def clock(step):
        start = time.perf_counter()
        step()
        return time.perf_counter() - start

    def bare():
        encoder.raw(X.flatten(0, 1)).square().mean().backward()

    def with_head():
        objective(batch).backward()

    bare(), with_head()
    shares = [clock(with_head) / clock(bare) - 1 for _ in range(repeats)]
    return statistics.median(shares), *np.quantile(shares, (0.1, 0.9))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "omniglot")
    parser.add_argument("--train", choices=("small1", "small2"), default="small1")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--heads", type=int, default=len(HEADS), help="how many of them to train")
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--models", type=Path, help="folder to keep trained models in")
    parser.add_argument("--part", choices=("heads", "encoder", "pixels", "easyfsl", "step"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(versions("easyfsl"))
    parts = (
        {arguments.part} if arguments.part else {"heads", "encoder", "pixels", "easyfsl", "step"}
    )
    if "step" in parts:
        print("\nWhat the head adds to a Conv4 step (4 episodes, 5-way 5+5, 28x28, float32)")
        for kind, group_reg in (*HEADS[:6],):
            share, low, high = step_share(kind, group_reg, L2_REG, 15)
            print(f"{label(kind, group_reg)}: {share:+.1%} ({low:+.1%} to {high:+.1%})", flush=True)
    if parts == {"step"}:
        return
    if not arguments.data.is_dir():
        print(f"Omniglot is not in {arguments.data}: nothing more to do")
        return
    train, test = characters(arguments.data, arguments.train)
    if "heads" in parts:
        compare_heads(train, test, arguments)
    model, _ = fitted("prototype", 0.0, train, arguments)
    if "encoder" in parts:
        reference = scores(model, test, arguments.episodes, SETTINGS[:2])
        for trained in ("prototype", "ridge"):
            other, _ = fitted(trained, 0.0, train, arguments)
            compare_on_one_encoder(trained, other, test, reference, arguments)
    if "easyfsl" in parts:
        agree_with_easyfsl(model, test, arguments.episodes)
    if "pixels" in parts:
        raw_pixels(test, arguments)


if __name__ == "__main__":
    main()
