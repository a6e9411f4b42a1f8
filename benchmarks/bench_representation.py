"""Does the estimator recover independent latents, and what does a bilevel step cost?

Recovery: 6 latents in 20 dimensions, T = 200 tasks, N = 4000 rows, noise 0.1, default settings but
n_components and encoder. Step: encoder "mlp" 128-128 on 1000 rows, and "conv" on 128 images of
64 x 64 x 3, 100 tasks, against the same step with a dense linear head trained beside the encoder;
ratios of wall times, and of the thread's CPU times, which mean something on a busy machine as well
where torch has one thread.
"""

import time

import numpy as np
import torch
from torch import nn

from benchmarks._common import command, seconds
from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.metrics import linear_recovery_score, mean_corrcoef_score
from sklearn_sparsedis.nn import ConvNetwork, Encoder, MLPNetwork
from sklearn_sparsedis.nn._heads import HeadProblem
from sklearn_sparsedis.penalties import PENALTIES
from sklearn_sparsedis.tasks._tables import TaskBatch
from sklearn_sparsedis.training._objective import BilevelObjective

WARM = 20
# rows, features and network of a step, and the share of the rounds that it takes
STEPS = {
    "mlp": (1000, 20, lambda: MLPNetwork(20, 10, (128, 128)), 1.0),
    "conv": (128, 64 * 64 * 3, lambda: ConvNetwork((64, 64, 3), 10), 0.2),
}
PEERS = ()
SETTINGS = {
    "full": {
        "seeds": 5,
        "mixing": ["linear", "mlp"],
        "penalty": ["l1", "l2"],
        "fit": {},
        "rounds": 200,
    },
    "short": {"seeds": 1, "penalty": ["l1"], "rounds": 50},
    "quick": {
        "seeds": 1,
        "mixing": ["linear"],
        "penalty": ["l1"],
        "fit": {"max_iter": 2},
        "rounds": 10,
    },
}


def recovery(mixing, penalty, seed, settings):
    """MCC, R and seconds of one fit."""
    data = make_sparse_multitask(4000, 200, mixing=mixing, random_state=seed)
    model = SparseDisentangledRepresentation(
        6, encoder=mixing, penalty=penalty, random_state=seed, **settings
    )
    found = []
    spent = seconds(lambda: found.append(model.fit(data.X, data.Y).transform(data.X)))
    return mean_corrcoef_score(data.Z, found[0]), linear_recovery_score(data.Z, found[0]), spent


def timed(step):
    """Wall and CPU seconds of a call."""
    cpu = time.thread_time()
    return seconds(step), time.thread_time() - cpu


def step_ratios(encoder_name, rounds):
    """Ratios of a sparse step to a dense step in wall and CPU time, after a warm start."""
    n_rows, n_features, network, share = STEPS[encoder_name]
    n_rounds, n_warm = round(share * rounds), round(share * WARM)
    torch.manual_seed(0)
    X, Y = torch.randn(n_rows, n_features), torch.randn(n_rows, 100)
    ratios = []

    def new_encoder():
        return Encoder(network(), torch.zeros(n_features), torch.ones(n_features), 10)

    def bilevel():
        encoder = new_encoder()
        objective = BilevelObjective(
            encoder, HeadProblem(PENALTIES["l1"], 0.05, True, 1e-6), 100, 10
        )
        batch = TaskBatch(X, Y, None, torch.arange(100), n_rows)
        return objective.parameters(), lambda: objective(batch)

    def dense():
        encoder = new_encoder()
        head = nn.Linear(10, 100)
        parameters = [*encoder.parameters(), *head.parameters()]
        return parameters, lambda: (head(encoder(X)) - Y).square().mean()

    def stepper(parameters, loss):
        optimizer = torch.optim.AdamW(parameters, 1e-3)

        def step():
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()

        return step

    ours, theirs = stepper(*bilevel()), stepper(*dense())
    for _ in range(n_rounds + n_warm):
        ratios.append(np.divide(timed(ours), timed(theirs)))
    return np.array(ratios[n_warm:])


def recovery_rows(options):
    """A row a mixing and penalty."""
    for mixing in options.mixing:
        for penalty in options.penalty:
            found = np.array(
                [recovery(mixing, penalty, seed, options.fit) for seed in range(options.seeds)]
            )
            mcc, r, spent = np.median(found, axis=0)
            worst = found[:, 0].min()
            yield mixing, penalty, f"{mcc:.4f}", f"{worst:.4f}", f"{r:.4f}", f"{spent:.0f}"


def step_rows(options):
    """A row an encoder."""
    for name in STEPS:
        ratios = step_ratios(name, options.rounds)
        wall, cpu = np.median(ratios, axis=0)
        low, high = np.quantile(ratios[:, 0], (0.1, 0.9))
        yield name, f"{wall:.2f}", f"{low:.1f} to {high:.1f}", f"{cpu:.2f}", len(ratios)


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--mixing", nargs="*")
    parser.add_argument("--penalty", nargs="*")
    parser.add_argument("--rounds", type=int, help="of the steps")


def tables(options):
    """Recovery, and the ratio of steps."""
    header = ("mixing", "penalty", "median MCC", "worst MCC", "median R", "s a fit")
    yield "Recovery", header, recovery_rows(options)
    header = ("encoder", "wall, median", "0.1 to 0.9 quantile", "CPU, median", "rounds")
    yield "Bilevel step / dense step", header, step_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
