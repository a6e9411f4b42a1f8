"""Does the estimator recover independent latents, and what does a bilevel step cost?

Recovery: 6 latents in 20 dimensions, T = 200 tasks, N = 4000 rows, noise 0.1, default settings but
n_components and encoder. Step: encoder "mlp" 128-128, 100 tasks, 1000 rows, against the same step
with a dense linear head trained beside the encoder.
"""

import numpy as np
import torch
from torch import nn

from benchmarks._common import command, seconds
from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.metrics import linear_recovery_score, mean_corrcoef_score
from sklearn_sparsedis.nn import Encoder, HeadProblem, MLPNetwork
from sklearn_sparsedis.tasks import TaskBatch
from sklearn_sparsedis.training import BilevelObjective

WARM = 20
PEERS = ()
SETTINGS = {
    "full": {
        "seeds": 5,
        "mixing": ["linear", "mlp"],
        "penalty": ["l1", "l2"],
        "fit": {},
        "rounds": 200,
    },
    "short": {"seeds": 1},
    "quick": {
        "seeds": 1,
        "mixing": ["linear"],
        "penalty": ["l1"],
        "fit": {"max_iter": 2},
        "rounds": WARM + 10,
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


def step_ratios(n_rounds):
    """Ratio of a sparse step to a dense step, one a round, after a warm start."""
    torch.manual_seed(0)
    X, Y = torch.randn(1000, 20), torch.randn(1000, 100)
    ratios = []

    def bilevel():
        encoder = Encoder(MLPNetwork(20, 10, (128, 128)), torch.zeros(20), torch.ones(20), 10)
        objective = BilevelObjective(encoder, HeadProblem("l1", 0.05, True, 1e-6), 100, 10)
        batch = TaskBatch(X, Y, None, torch.arange(100), 1000)
        return objective.parameters(), lambda: objective(batch)

    def dense():
        encoder = Encoder(MLPNetwork(20, 10, (128, 128)), torch.zeros(20), torch.ones(20), 10)
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
    for _ in range(n_rounds):
        ratios.append(seconds(ours) / seconds(theirs))
    return np.array(ratios[WARM:])


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
    """One row."""
    ratios = step_ratios(options.rounds)
    low, high = np.quantile(ratios, (0.1, 0.9))
    yield f"{np.median(ratios):.2f}", f"{low:.1f} to {high:.1f}", len(ratios)


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
    header = ("median", "0.1 to 0.9 quantile", "rounds")
    yield "Bilevel step / dense step", header, step_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
