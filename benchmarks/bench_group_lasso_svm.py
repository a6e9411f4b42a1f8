"""How fast is a batch of group-Lasso SVMs, and at lambda_1 = 0 of Crammer-Singer SVMs?

Eight tasks in float64, each to a relative duality gap of 1e-6, against jaxopt's block coordinate
descent on the same dual (rescaled to lambda_2 = 1, jitted, compile time excluded), scikit-learn's
LinearSVC(crammer_singer) and qpth; the share that a sparse head adds to a Conv4 training step; and
`GroupLassoSVC` on ordinary tables of many rows beside LinearSVC.
"""

import resource
import statistics
import time
from functools import partial

import numpy as np
import torch
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.preprocessing import normalize, scale
from sklearn.svm import LinearSVC
from torch import nn

from benchmarks._common import Skip, command, in_child, seconds
from benchmarks._svm_peers import (
    TASKS,
    TOL,
    WAYS,
    clarabel_objective,
    clock,
    jaxopt_seconds,
    linear_svc_seconds,
    one_hot,
    qpth_seconds,
)
from sklearn_sparsedis import GroupLassoSVC
from sklearn_sparsedis.estimators._margin_problem import CHOICE_TOL
from sklearn_sparsedis.functional import uniform_spread_bound
from sklearn_sparsedis.implicit import group_lasso_svm
from sklearn_sparsedis.solvers import group_lasso_svm_path, solve_group_lasso_svm

SIZES = [(25, 640), (75, 2560), (75, 16000)]
PEERS = ("jaxopt", "qpth", "cvxpy")
SETTINGS = {
    "full": {
        "threads": 1,
        "peer_limit": 10.0,
        "sizes": SIZES,
        "most_for_jaxopt": 2560,
        "used": [0.2, 0.8],
        "rounds": 5,
        "group_reg": [0.0, 1.0, 30.0, 300.0],
        "shares": [0.1, 0.3],
        "steps": 7,
        "tables_of_many": ["digits", "table", "large", "text"],
        "strengths": 30,
    },
    "short": {
        "peer_limit": 1.0,
        "sizes": SIZES[:1],
        "most_for_jaxopt": 640,
        "rounds": 1,
        "group_reg": [1.0, 30.0],
        "steps": 3,
        "tables_of_many": ["digits"],
        "strengths": 5,
    },
    "quick": {
        "peer_limit": 0.1,
        "sizes": [(10, 40)],
        "used": [0.2],
        "rounds": 1,
        "group_reg": [1.0],
        "shares": [0.1],
        "steps": 1,
        "tables_of_many": ["digits"],
        "strengths": 2,
    },
}


def make_tasks(n, m, seed=0):
    """Gaussian classes, with features of mean squared norm one."""
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "dtype": torch.float64}
    y = torch.arange(n).remainder(WAYS).expand(TASKS, n).clone()
    means = torch.randn(TASKS, WAYS, m, **options) / 2
    F = means.gather(1, y[..., None].expand(TASKS, n, m)) + torch.randn(TASKS, n, m, **options)
    return F / F.square().sum(-1).mean().sqrt(), y


def group_reg_for(F, y, used):
    """Strength of each task at which about that share of the features is in use."""
    bound = uniform_spread_bound(F, one_hot(y))
    low, high = torch.zeros_like(bound), torch.ones_like(bound)
    for _ in range(12):
        middle = (low + high) / 2
        coef = solve_group_lasso_svm(F, y, middle * bound, 1.0, tol=1e-4).coef
        many = (coef != 0).any(-1).double().mean(-1) > used
        low, high = torch.where(many, middle, low), torch.where(many, high, middle)
    return middle * bound


def ours(F, y, group_reg, repeats=5, tol=TOL):
    """Median seconds and the result."""
    times, result = [], None
    for _ in range(repeats):
        spent, result = clock(
            lambda: solve_group_lasso_svm(F, y, group_reg, 1.0, n_classes=WAYS, tol=tol)
        )
        times.append(spent)
    return statistics.median(times), result


def measured(peer, *arguments):
    """What a function of a peer returns, or why it does not: (seconds or NaN, cell)."""
    try:
        spent = peer(*arguments)
    except Skip as reason:
        return np.nan, f"skipped: {reason}"
    return (np.nan, "gap not reached") if spent is None else (spent, f"{spent:.3f}")


def sparse_rows(options):
    """A row a size and share of the features in use."""
    for n, m in options.sizes:
        for used in options.used:
            F, y = make_tasks(n, m)
            group_reg = group_reg_for(F, y, used)
            spent, result = ours(F, y, group_reg)
            peer, cell = np.nan, "not run at this size"
            if m <= options.most_for_jaxopt:
                peer, cell = measured(jaxopt_seconds, F, y, group_reg, options.peer_limit)
            single, narrow = ours(F.float(), y, group_reg.float(), tol=1e-5)
            share = (result.coef != 0).any(-1).double().mean()
            own = (f"{spent:.3f}", f"{result.gap.max():.0e}")
            float32 = (f"{single:.3f}", f"{narrow.gap.max():.0e}")
            yield n, m, f"{share:.0%}", *own, cell, f"{peer / spent:.1f}", *float32


def dense_rows(options):
    """A row a size: lambda_1 = 0, medians of the ratios of rounds."""
    for n, m in options.sizes:
        F, y = make_tasks(n, m)
        ratios = []
        for _ in range(options.rounds):
            spent, result = ours(F, y, 0.0, repeats=1)
            svc, svc_cell = measured(linear_svc_seconds, F, y, result.objective)
            qp, qp_cell = measured(qpth_seconds, F, y)
            ratios.append((svc / spent, qp / spent))
        svc, qp = np.median(ratios, axis=0)
        own = (f"{spent:.3f}", f"{result.gap.max():.0e}")
        yield n, m, *own, svc_cell, f"{svc:.1f}", qp_cell, f"{qp:.1f}"


def conv4(channels):
    """The encoder of few-shot learning."""
    layers, width = [], 1
    for out in channels:
        layers += [nn.Conv2d(width, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
        width = out
    return nn.Sequential(*layers, nn.Flatten())


def training_step(share, repeats=7):
    """Share of a training step's time that the head adds to the encoder's."""
    torch.manual_seed(0)
    encoder = conv4((64, 64, 64, 256))
    images = torch.rand(4, 50, 1, 28, 28)
    y = torch.arange(25).remainder(WAYS).expand(4, 25)
    queries = torch.arange(25).remainder(WAYS).repeat(4)
    # prototypes of each class, so that the features have something to find
    images += torch.rand(4, WAYS, 1, 28, 28)[:, torch.arange(50) % WAYS]

    def features():
        return encoder(images.flatten(0, 1)).view(4, 50, -1)

    def bare():
        features().square().mean().backward()

    def with_head():
        F = features()
        support, query = F[:, :25], F[:, 25:]
        centre = support.mean(1, keepdim=True)
        support, query = support - centre, query - centre
        l2_reg = support.square().sum(-1).mean(-1)
        group_reg = share * uniform_spread_bound(support, one_hot(y).float())
        coef = group_lasso_svm(support, y, group_reg, l2_reg, n_classes=WAYS, tol=1e-5)
        nn.functional.cross_entropy((query @ coef).flatten(0, 1), queries).backward()

    bare(), with_head()
    times = [(clock(with_head)[0], clock(bare)[0]) for _ in range(repeats)]
    return statistics.median(a / b - 1 for a, b in times), statistics.median(b for _, b in times)


def scaled_rows(options):
    """Columns of scale 1e3, 1e-3 and 1: gap reached and objective against Clarabel's."""
    F, y = make_tasks(25, 64)
    F = 8 * F * torch.tensor([1e3] * 21 + [1e-3] * 21 + [1.0] * 22).double()
    for group_reg in options.group_reg:
        spent, result = ours(F, y, group_reg, repeats=1, tol=1e-9)
        try:
            peer = clarabel_objective(F[0], y[0], group_reg)
            excess = f"{float(result.objective[0]) / peer - 1:+.0e}"
        except Skip as reason:
            excess = f"skipped: {reason}"
        reached = f"{int(result.converged.sum())} of {TASKS}"
        yield f"{group_reg:g}", reached, f"{result.gap.max():.1e}", f"{spent:.2f}", excess


def step_rows(options):
    """A row a strength."""
    for share in options.shares:
        added, base = training_step(share, options.steps)
        yield share, f"{added:+.1%}", f"{base:.3f}"


def many_rows(options):
    """A row a table and strength: seconds, of all threads together as well, and what was found."""
    for name in options.tables_of_many:
        for group_reg in (0.1, 0.01, 0.0)[: 1 if name == "large" else 2 if name == "text" else 3]:
            found = in_child(fit_many, name, group_reg)
            cells = [name, group_reg, *(f"{found[x]:.2f}" for x in ("wall", "processor"))]
            peer = found["peer"] and f"{found['peer']:.2f}"
            yield *cells, f"{found['gap']:.0e}", found["used"], f"{found['memory']:.2f}", peer or ""


def fit_many(name, group_reg):
    """Fit a table of `TABLES_OF_MANY`, in a process of its own for its peak of memory."""
    X, y = TABLES_OF_MANY[name]()
    size = X.nbytes if isinstance(X, np.ndarray) else X.data.nbytes + X.indices.nbytes
    model = GroupLassoSVC(group_reg, fit_intercept=False)
    GroupLassoSVC(0.5, fit_intercept=False, max_iter=1000).fit(X[:500], y[:500])
    before, processor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    wall = seconds(model.fit, X, y)
    processor = time.process_time() - processor
    more = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    peer = None
    if not group_reg:
        svc = LinearSVC(multi_class="crammer_singer", fit_intercept=False, tol=1e-6)
        peer = seconds(svc.set_params(max_iter=10**5).fit, X, y)
    return {
        "wall": wall,
        "processor": processor,
        "gap": model.dual_gap_,
        "used": f"{model.support_.mean():.0%}",
        "memory": more / size,
        "peer": peer,
    }


def path_rows(options):
    """One row: a path over strengths of standardised digits beside one solution."""
    X, y = map(torch.tensor, digits())
    bound = float(uniform_spread_bound(X, nn.functional.one_hot(y).double()))
    strengths = [bound * share for share in np.geomspace(0.7, 0.01, options.strengths)]
    for tol in (1e-6, 1e-4, CHOICE_TOL):
        one = seconds(lambda: solve_group_lasso_svm(X, y, 0.1 * bound, 1.0, tol=tol))  # noqa: B023
        path = seconds(lambda: group_lasso_svm_path(X, y, strengths, 1.0, tol=tol))  # noqa: B023
        yield options.strengths, f"{tol:g}", f"{one:.2f}", f"{path:.2f}", f"{path / one:.1f}"


def digits():
    """Standardised."""
    X, y = load_digits(return_X_y=True)
    return scale(X), y


def gaussian(n, m, k, informative, gap, dtype):
    """Classes whose means differ in the first features."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, k, n)
    X = rng.standard_normal((n, m), dtype=dtype)
    X[:, :informative] += gap * rng.standard_normal((k, informative), dtype=dtype)[y]
    return X, y


def text(n=10_000, m=50_000, k=20, words=500):
    """Unit rows of logarithmic counts: words by Zipf's law, and some of each class's topic."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, k, n)
    often = (1 / (np.arange(m) + 10.0) ** 0.9).cumsum()
    topics = rng.integers(0, m, (k, 200))
    common = np.searchsorted(often, rng.random((n, int(1.6 * words))) * often[-1])
    own = np.take_along_axis(topics[y], rng.integers(0, 200, (n, words // 7)), axis=1)
    found = np.concatenate([common, own], axis=1).clip(max=m - 1)
    ends = np.arange(0, found.size + 1, found.shape[1])
    X = sparse.csr_matrix((np.ones(found.size), found.ravel(), ends), shape=(n, m))
    X.sum_duplicates()
    X.data = 1 + np.log(X.data)
    seen = np.bincount(X.indices, minlength=m)
    X.data *= 1 + np.log((1 + n) / (1 + seen))[X.indices]
    return normalize(X), y


TABLES_OF_MANY = {
    "digits": digits,
    "table": partial(gaussian, 20_000, 100, 5, 30, 0.3, np.float64),
    "large": partial(gaussian, 100_000, 1000, 10, 100, 0.2, np.float32),
    "text": text,
}


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--peer-limit", type=float, help="seconds a task for jaxopt")


def tables(options):
    """The head in a training step, its robustness, and its speed."""
    title = "Head's share of a Conv4 step (4 episodes, 5-way 5+5, 28x28, float32)"
    yield title, ("group_reg", "added", "of seconds"), step_rows(options)
    header = ("group_reg", "reached 1e-9", "worst gap", "s", "objective over Clarabel's")
    yield "Badly scaled columns", header, scaled_rows(options)
    own = ("n", "m", "ours, s", "worst gap")
    header = (*own, "LinearSVC, s", "ratio", "qpth, s", "ratio")
    title = f"{TASKS} tasks of {WAYS} classes, float64, gap {TOL:g}, lambda_1 = 0"
    yield title, header, dense_rows(options)
    header = ("n", "m", "used", "ours, s", "worst gap", "jaxopt, s", "ratio", "float32, s", "gap")
    yield "The same with groups", header, sparse_rows(options)
    header = ("strengths", "gap", "one, s", "path, s", "ratio")
    yield "A path on digits", header, path_rows(options)
    times = ("s", "of all threads, s", "gap", "used", "memory over X", "LinearSVC, s")
    yield "Many rows, gap 1e-6", ("table", "group_reg", *times), many_rows(options)


if __name__ == "__main__":
    command(__spec__.name)
