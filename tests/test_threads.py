"""Fits in several threads: the same as one after the other, and no global generator moves."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone, is_classifier
from skorch.callbacks import Callback
from torch import nn
from torch.nn.functional import dropout
from torch.utils.checkpoint import checkpoint

from sklearn_sparsedis import (
    GroupLassoSVC,
    GroupLassoSVMMetaClassifier,
    SparseDisentangledRepresentation,
    SparseRotation,
    load_model,
    save_model,
)
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.nn._generators import Generators

N_FEATURES = 16
DATA = make_sparse_multitask(
    120, 8, n_latents=3, n_features=N_FEATURES, missing_fraction=0.2, random_state=0
)
LABELS = np.arange(120) % 6
SMALL = {"max_iter": 4, "hidden_layer_sizes": (8,), "input_shape": (4, 4), "device": "cpu"}
Representation, Classifier = SparseDisentangledRepresentation, GroupLassoSVMMetaClassifier


class Functional(nn.Module):
    """Draws in training and in evaluation, by functions of torch."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(N_FEATURES, 3)

    def forward(self, x):
        noise = torch.distributions.Gamma(2.0, 2.0).sample(x.shape).to(x)
        return self.linear(dropout(x, 0.2) + 1e-3 * torch.randn_like(x) * noise)


class Attention(nn.Module):
    """Layers whose dropout is inside torch's own code, compiled ones too."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 6, 2, dropout=0.3, batch_first=True)
        self.layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.2, batch_first=True)
        self.end = nn.Linear(6, 3)

    def forward(self, x):
        return self.end(self.layer(self.lstm(x.reshape(-1, 4, 4))[0]).mean(1))


def dropping(n_features, n_components):
    """A callable that draws its weights."""
    return nn.Sequential(
        nn.Linear(n_features, 8), nn.Dropout(0.3), nn.AlphaDropout(0.1), nn.Linear(8, n_components)
    )


MODELS = {
    "linear": Representation(3, encoder="linear", n_init=2, **SMALL),
    "mlp": Representation(3, batch_size=32, tasks_per_batch=4, query_fraction=0.3, **SMALL),
    "conv": Representation(3, encoder="conv", **SMALL),
    "mcp": Representation(3, penalty="mcp", **SMALL),
    "l0": Representation(3, penalty="l0", encoder="linear", **SMALL),
    "callable": Representation(3, encoder=dropping, **SMALL),
    "module": Representation(3, encoder=dropping(N_FEATURES, 3), **SMALL),
    "functional": Representation(3, encoder=Functional(), **SMALL),
    "attention": Representation(3, encoder=Attention(), **SMALL),
    "classes, mlp": Classifier(3, n_way=2, **SMALL),
    "classes, linear": Classifier(3, n_way=2, encoder="linear", early_stopping=True, **SMALL),
    "classes, conv": Classifier(3, n_way=2, encoder="conv", head="svm", **SMALL),
    "classes, conv4": Classifier(3, n_way=2, encoder="conv4", head="ridge", **SMALL),
    "classes, resnet12": Classifier(
        10, n_way=2, encoder="resnet12", head="logistic", rotations=True, **SMALL
    ),
    "classes, callable": Classifier(3, n_way=2, encoder=dropping, head="prototype", **SMALL),
    "classes, functional": Classifier(3, n_way=2, encoder=Functional(), head="ridge", **SMALL),
    "rotation": SparseRotation(3),
    "convex": GroupLassoSVC(),
}
RANDOM = ("callable", "module", "functional", "attention", "classes, resnet12")


def global_states():
    """States of the generators that belong to nobody."""
    return [torch.get_rng_state().numpy(), np.random.get_state()[1]]  # noqa: NPY002


def assert_same(one, other):
    for mine, yours in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, yours)


class Onlooker(Callback):
    """Compares the global generators at every moment of a training with what they were."""

    def __init__(self, before):
        self.before = before

    def on_batch_end(self, net, **kwargs):
        assert_same(global_states(), self.before)

    on_batch_begin = on_train_begin = on_epoch_end = on_batch_end


def targets(model):
    if is_classifier(model):
        return LABELS
    return np.nan_to_num(DATA.Y) if isinstance(model, SparseRotation) else DATA.Y


def fit(name, seed=0, **changes):
    model = clone(MODELS[name])
    if "random_state" in model.get_params():
        model.set_params(random_state=seed)
    return model.set_params(**changes).fit(DATA.X, targets(model))


def outcome(name, seed):
    model = fit(name, seed)
    found = [model.coef_, model.intercept_]
    if hasattr(model, "transform"):
        found.append(model.transform(DATA.X))
    if hasattr(model, "loss_curve_"):
        found.append(model.loss_curve_)
    return found


def in_pool(names, seeds):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(outcome, names, seeds))


def by_joblib(names, seeds):
    pairs = zip(names, seeds, strict=True)
    return Parallel(4, backend="threading")(delayed(outcome)(*pair) for pair in pairs)


@pytest.fixture(autouse=True)
def _quiet():
    """Filters that are set before threads start, because they are for all threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize(
    ("run", "n_seeds"),
    [
        (in_pool, 2),
        (by_joblib, 1),
        pytest.param(in_pool, 20, marks=pytest.mark.slow),
        pytest.param(by_joblib, 20, marks=pytest.mark.slow),
    ],
)
def test_fits_in_threads_are_those_of_one_thread(run, n_seeds):
    pairs = [(name, seed) for seed in range(n_seeds) for name in MODELS]
    names, seeds = zip(*pairs, strict=True)
    expected = [outcome(*pair) for pair in pairs]
    before = global_states()
    found = run(names, seeds)
    assert_same(global_states(), before)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("name", MODELS)
def test_no_method_moves_a_global_generator(name):
    before = global_states()
    params = MODELS[name].get_params()
    changes = {"callbacks": [Onlooker(before)]} if "callbacks" in params else {}
    model = fit(name, **changes)
    assert_same(global_states(), before)
    y = targets(model)
    calls = [("predict", DATA.X), ("transform", DATA.X), ("score", DATA.X, y)]
    calls += [("decision_function", DATA.X), ("adapt", DATA.X, y), ("partial_fit", DATA.X, y)]
    if hasattr(model, "score_episodes"):
        model.score_episodes(DATA.X, y, n_way=2, n_episodes=3, random_state=0)
    for method, *given in calls:
        if hasattr(model, method):
            getattr(model, method)(*given)
    assert_same(global_states(), before)


@pytest.mark.parametrize("name", RANDOM)
def test_random_layers_draw_and_follow_the_seed(name):
    one, other, again = (fit(name, seed).loss_curve_ for seed in (0, 1, 0))
    assert (one == again).all()
    assert not np.isclose(one, other).any()
    draws = []
    watched = clone(MODELS[name]).set_params(random_state=0)

    class Watch(Callback):
        def on_batch_begin(self, net, batch, **kwargs):
            with Generators(len(draws)):
                draws.append(float(net.module_(batch).detach()))

    watched.set_params(callbacks=[Watch()]).fit(DATA.X, targets(watched))
    assert len(set(draws)) == len(draws)


def test_a_hook_that_draws_follows_the_seed():
    encoder = nn.Sequential(nn.Linear(N_FEATURES, 3))
    encoder[0].register_forward_pre_hook(lambda layer, args: args[0] + torch.randn_like(args[0]))
    before = global_states()
    one, other = (fit("module", encoder=encoder).loss_curve_ for _ in range(2))
    assert (one == other).all()
    assert_same(global_states(), before)


def test_what_draws_in_evaluation_is_a_function_once_fitted():
    model = fit("functional")
    assert (model.transform(DATA.X) == model.transform(DATA.X)).all()
    encoder = model.encoder_
    x = torch.from_numpy(DATA.X)
    assert not torch.equal(encoder(x), encoder(x)), "outside of methods it draws as usual"


def test_loading_draws_from_no_global_generator(tmp_path):
    model = fit("callable")
    save_model(model, tmp_path / "model")
    before = global_states()
    loaded = load_model(tmp_path / "model", encoder=dropping)
    assert_same(global_states(), before)
    assert (loaded.predict(DATA.X) == model.predict(DATA.X)).all()


def draw_all():
    """One draw of every kind of operation that torch has for it."""
    x = torch.ones(50)
    probs = torch.full((50,), 0.5)
    return [
        torch.rand(50),
        torch.rand(50, dtype=torch.float64),
        torch.randn(50),
        torch.randint(9, (50,)),
        torch.randint(3, 9, (50,)),
        torch.randperm(50),
        torch.rand_like(x),
        torch.randn_like(x),
        torch.randint_like(x, 9),
        torch.bernoulli(probs),
        torch.bernoulli(x, 0.5),
        torch.multinomial(probs, 20),
        torch.normal(x, 2.0),
        torch.normal(0.0, 1.0, (50,)),
        torch.poisson(x),
        torch.binomial(9 * x, probs),
        torch._standard_gamma(x),
        torch.distributions.Dirichlet(probs).sample(),
        *(getattr(torch.empty(50), f"{law}_")() for law in ("normal", "uniform", "exponential")),
        *(getattr(torch.empty(50), f"{law}_")() for law in ("cauchy", "log_normal", "random")),
        torch.empty(50).geometric_(0.5),
        torch.native_dropout(x, 0.5, True)[0],
        dropout(x, 0.5),
        nn.functional.rrelu(-x, training=True),
        nn.functional.gumbel_softmax(x),
        nn.functional.feature_alpha_dropout(x[None, :, None], training=True),
        nn.init.trunc_normal_(torch.empty(50)),
        nn.init.orthogonal_(torch.empty(5, 5)),
    ]


@pytest.mark.parametrize("inference", [False, True])
def test_every_operation_draws_from_the_generators(inference):
    with torch.random.fork_rng(), torch.inference_mode(inference):
        torch.manual_seed(3)
        expected = draw_all()
    before = global_states()
    with Generators(3) as own, torch.inference_mode(inference):
        found = draw_all()
    assert_same(global_states(), before)
    assert_same(found, expected)
    state = own.state_dict()
    with own:
        following = draw_all()
    own.load_state_dict({**state, "cuda:99": state["cpu"]})  # of a machine with more devices
    with own:
        assert_same(draw_all(), following)
        mine = torch.Generator().manual_seed(0)
        assert torch.equal(
            torch.rand(3, generator=mine), torch.rand(3, generator=mine.manual_seed(0))
        )


def test_another_thread_draws_as_usual():
    with ThreadPoolExecutor(1) as pool, torch.random.fork_rng():
        torch.manual_seed(0)
        expected = torch.rand(5)
        torch.manual_seed(0)
        with Generators(1):
            assert torch.equal(pool.submit(torch.rand, 5).result(), expected)


def test_threads_leave_no_flag_of_the_compiler_behind():
    from torch.utils import _python_dispatch as flags

    names = [name for name in vars(flags) if name.startswith("_is_in")]
    before = {name: getattr(flags, name) for name in names}
    one, other = Generators(0), Generators(1)
    with ThreadPoolExecutor(1) as pool:
        one.__enter__()
        pool.submit(other.__enter__).result()
        one.__exit__()
        pool.submit(other.__exit__).result()
    assert {name: getattr(flags, name) for name in names} == before


class Checkpointed(nn.Module):
    """Computes its layers again for the gradient."""

    def __init__(self, *layers, reentrant):
        super().__init__()
        self.first, self.reentrant = nn.Linear(N_FEATURES, 4), reentrant
        self.layers = nn.Sequential(nn.Linear(4, 3), *layers)

    def forward(self, x):
        return checkpoint(self.layers, self.first(x), use_reentrant=self.reentrant)


@pytest.mark.parametrize("reentrant", [False, True])
def test_random_layers_that_are_computed_again_are_refused(reentrant):
    encoder = Checkpointed(nn.Dropout(0.3), reentrant=reentrant)
    with pytest.raises(ValueError, match=r"inside torch.utils.checkpoint, .* Remove the"):
        fit("module", encoder=encoder)
    assert fit("module", encoder=Checkpointed(reentrant=reentrant)).n_iter_ <= 4
