"""SparseDisentangledRepresentation: recovery, layouts, scikit-learn's contract, bad input."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from devices import ACCELERATOR, FakeTensorMode, SyncCounter, fake_cuda
from sklearn.base import clone
from sklearn.linear_model import Lasso, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sklearn_sparsedis import SparseDisentangledRepresentation, SparseRotation
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.exceptions import DivergenceError
from sklearn_sparsedis.metrics import mean_corrcoef_score
from sklearn_sparsedis.nn import Encoder, LinearNetwork
from sklearn_sparsedis.nn._heads import HeadProblem
from sklearn_sparsedis.penalties import PENALTIES
from sklearn_sparsedis.tasks._tables import TaskBatch
from sklearn_sparsedis.training._objective import BilevelObjective


@pytest.fixture(scope="module")
def data():
    return make_sparse_multitask(300, 20, n_latents=4, n_features=8, random_state=0)


def model(**parameters):
    defaults = {"n_components": 4, "encoder": "linear", "max_iter": 40, "random_state": 0}
    return SparseDisentangledRepresentation(**{**defaults, **parameters})


def test_recovers_independent_latents():
    data = make_sparse_multitask(600, 80, n_latents=4, n_features=10, random_state=1)
    sparse = model(max_iter=800).fit(data.X, data.Y)
    assert mean_corrcoef_score(data.Z, sparse.transform(data.X)) > 0.99
    # ridge heads leave the rotation to chance, which now and then is kind
    dense = [
        model(max_iter=50, penalty="l2", random_state=seed).fit(data.X, data.Y).transform(data.X)
        for seed in range(5)
    ]
    assert np.median([mean_corrcoef_score(data.Z, Z) for Z in dense]) < 0.9


class _Watched(LinearNetwork):
    """Remembers how many rows it was given at once, with and without gradient."""

    seen: list[tuple[bool, int]] = []

    def forward(self, x):
        self.seen.append((torch.is_grad_enabled(), len(x)))
        return super().forward(x)


@pytest.mark.parametrize("penalty", ["l0", "l1"])
def test_memory_of_the_encoder_does_not_grow_with_the_rows(penalty):
    # images: what the encoder keeps for a gradient is many times the rows themselves
    data = make_sparse_multitask(3000, 30, n_latents=4, n_features=8, random_state=0)
    _Watched.seen.clear()
    fitted = model(encoder=_Watched, penalty=penalty, batch_size=32, max_iter=3)
    fitted.fit(data.X, data.Y).transform(data.X)
    assert max(rows for grad, rows in _Watched.seen if grad) == 32
    assert max(rows for grad, rows in _Watched.seen if not grad) <= 1024


def test_evaluations_do_not_pass_all_rows_of_a_large_table():
    data = make_sparse_multitask(8000, 10, n_latents=4, n_features=8, random_state=0)
    _Watched.seen.clear()
    fitted = model(encoder=_Watched, batch_size=32, max_iter=3).fit(data.X, data.Y)
    passed = sum(rows for grad, rows in _Watched.seen if not grad)
    evaluations = len(fitted.validation_loss_curve_)
    assert evaluations == 4
    # in the end heads are fitted on the rows of the training and judged on the others, and then
    # fitted on all, and the prior of new tasks is learned from those that were held out; 2 rows
    # check the encoder's output
    assert passed == evaluations * (5000 + 800) + 3 * 8000 + 800 + 2


def test_l0_keeps_the_moments_of_its_turned_components():
    data = make_sparse_multitask(300, 60, n_latents=4, n_features=8, random_state=0)
    fitted = model(penalty="l0").fit(data.X, data.Y)
    Z = fitted.transform(data.X)
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(Z.std(0), 1, rtol=1e-12)


def test_l0_is_the_rotation_of_what_l2_trains():
    data = make_sparse_multitask(600, 60, n_latents=4, n_features=8, random_state=0)
    dense = model(penalty="l2").fit(data.X, data.Y).transform(data.X)
    two = SparseRotation(4, random_state=0).fit_transform(dense, data.Y)
    one = model(penalty="l0").fit(data.X, data.Y).transform(data.X)
    correlation = np.abs(np.corrcoef(one.T, two.T)[:4, 4:])
    # the searches start from different seeds and end at the same basis
    np.testing.assert_allclose(correlation.max(1), 1.0, atol=1e-6)


@pytest.mark.parametrize("weights", [None, "zero_one"])
def test_pixels_share_centre_and_scale(weights):
    X = np.random.default_rng(0).integers(0, 255, (200, 16)).astype(float)
    Y = X[:, :3]
    weight = None if weights is None else (np.arange(200) < 150).astype(float)
    fitted = model(encoder="conv", input_shape=(4, 4), penalty="l2", max_iter=2)
    encoder = fitted.fit(X, Y, sample_weight=weight).encoder_
    rows = X if weight is None else X[:150]
    np.testing.assert_allclose(encoder.center.numpy(), np.full(16, rows.mean()), rtol=1e-12)
    assert (encoder.scale == encoder.scale[0]).all()


def test_a_weight_is_a_number_of_rows_for_pixels():
    X = np.random.default_rng(0).uniform(size=(30, 16))
    count = np.arange(30) % 3
    fixed = {"encoder": "conv", "input_shape": (4, 4), "max_iter": 3, "early_stopping": False}
    weighted = model(**fixed).fit(X, X[:, :2], sample_weight=count)
    repeated = X.repeat(count, axis=0)
    peer = model(**fixed).fit(repeated, repeated[:, :2])
    assert float(weighted.encoder_.scale[0]) == pytest.approx(float(peer.encoder_.scale[0]), 1e-12)
    np.testing.assert_allclose(weighted.predict(X), peer.predict(X), atol=1e-6)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_heads_are_scikit_learns_on_the_components(data, penalty):
    alpha = 0.02
    fitted = model(penalty=penalty, alpha=alpha, alpha_mode="absolute").fit(data.X, 3 * data.Y)
    Z = fitted.transform(data.X)
    for task in range(3):
        peer = Lasso(alpha=alpha, tol=1e-12) if penalty == "l1" else Ridge(alpha=alpha * len(Z))
        peer.fit(Z, 3 * data.Y[:, task])
        np.testing.assert_allclose(fitted.coef_[task], peer.coef_, atol=1e-6)
        np.testing.assert_allclose(fitted.intercept_[task], peer.intercept_, atol=1e-6)
    assert (fitted.dual_gap_ <= fitted.tol).all()


def test_few_rows_are_all_trained_on_for_the_number_of_steps_that_held_out_rows_chose(data):
    fitted = model(early_stopping=True).fit(data.X, data.Y)
    assert fitted.n_iter_ == 0, "the start is the best linear prediction already"
    # turned, because training was cut short
    Z, start = (m.transform(data.X) for m in (fitted, model(max_iter=0).fit(data.X, data.Y)))
    np.testing.assert_allclose(Z, start @ np.linalg.lstsq(start, Z)[0], atol=1e-10)


def test_components_are_standardised(data):
    Z = model().fit(data.X, data.Y).transform(data.X)
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-10)
    np.testing.assert_allclose(Z.std(0), 1, atol=1e-10)


def test_missing_labels_are_masked(data):
    Y = data.Y.copy()
    Y[np.random.default_rng(0).random(Y.shape) < 0.3] = np.nan
    fitted = model().fit(data.X, Y)
    assert np.isfinite(fitted.predict(data.X)).all()
    there = ~np.isnan(Y[:, 0])
    scores = [
        r2_score(Y[there, t], fitted.predict(data.X)[there, t])
        for t, there in enumerate(~np.isnan(Y.T))
    ]
    assert fitted.score(data.X, Y) == pytest.approx(np.mean(scores))
    # what stands in for a missing label does not matter: rows without any label do not either
    more_X = np.vstack([data.X, data.X[:5] + 7])
    more_Y = np.vstack([Y, np.full((5, Y.shape[1]), np.nan)])
    weights = np.r_[np.ones(300), np.zeros(5)]
    a = model(early_stopping=False).fit(more_X, more_Y)
    b = model(early_stopping=False).fit(
        more_X, np.nan_to_num(more_Y) + 0 * more_Y, sample_weight=weights
    )
    np.testing.assert_allclose(a.predict(data.X), b.predict(data.X))
    assert there.any()


def test_long_layout_is_the_wide_one_with_holes(data):
    rows, tasks = np.nonzero(np.random.default_rng(0).random(data.Y.shape) < 0.05)
    first = np.unique(rows, return_index=True)[1]
    rows, tasks = rows[first], tasks[first] % 3
    names = np.array(["a", "b", "c"])[tasks]
    X, y = data.X[rows], data.Y[rows, tasks]
    wide = np.full((len(rows), 3), np.nan)
    wide[np.arange(len(rows)), tasks] = y
    long = model().fit(X, y, task_id=names)
    assert long.tasks_.tolist() == ["a", "b", "c"]
    expected = model().fit(X, wide).predict(X)
    np.testing.assert_array_equal(long.predict(X), expected)
    np.testing.assert_allclose(  # products are summed in another order
        long.predict(X, task_id=names), expected[np.arange(len(rows)), tasks], rtol=1e-12
    )
    assert long.score(X, y, task_id=names) == pytest.approx(model().fit(X, wide).score(X, wide))
    with pytest.raises(ValueError, match="task_id must be passed to score"):
        long.score(X, y)
    with pytest.raises(ValueError, match=r"not seen in fit: d\. Use adapt"):
        long.predict(X[:1], task_id=["d"])


@pytest.mark.parametrize("penalty", ["l0", "l1", "l2", "mcp", "common"])
def test_a_task_with_one_row_gets_a_constant_or_the_common_head(data, penalty):
    task = np.arange(300) % 6
    y = data.Y[np.arange(300), task]
    X, y, task = np.r_[data.X, data.X[:1]], np.append(y, 5.0), np.append(task, 99)
    common = penalty == "common"
    parameters = {"common_head": True} if common else {"penalty": penalty}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Not every component is determined")
        fitted = model(batch_size=64, **parameters).fit(X, y, task_id=task)
    assert fitted.tasks_[-1] == 99
    assert np.isfinite(fitted.coef_).all()
    assert fitted.dual_gap_[-1] <= 1e-6
    predicted = fitted.predict(X)[:, -1]
    if common:
        np.testing.assert_allclose(fitted.coef_[-1], fitted.common_head_.coef, atol=0.2)
    else:
        np.testing.assert_allclose(predicted, 5.0, atol=1e-9)
    with pytest.warns(UserWarning, match="have one label or labels that are all equal"):
        adapted = fitted.adapt(X[:1], y[:1])
    assert np.isfinite(adapted.predict(X)).all()


@pytest.mark.parametrize("query_fraction", [None, 0.5])
@pytest.mark.parametrize("tasks_per_batch", [None, 5])
def test_batches_of_rows_and_tasks(data, query_fraction, tasks_per_batch):
    fitted = model(
        query_fraction=query_fraction, tasks_per_batch=tasks_per_batch, batch_size=100, n_init=2
    ).fit(data.X, data.Y)
    assert fitted.score(data.X, data.Y) > 0.9
    assert len(fitted.loss_curve_) >= fitted.n_iter_


def test_training_lowers_the_loss(data):
    fitted = model(penalty="l2", encoder="mlp", early_stopping=False, max_iter=100)
    fitted.fit(data.X, np.abs(data.Y))
    assert fitted.loss_curve_[-1] < 0.8 * fitted.loss_curve_[0]


def test_early_stopping_keeps_the_best(data):
    fitted = model(encoder="mlp", max_iter=100, learning_rate=0.05).fit(data.X[:150], data.Y[:150])
    losses = fitted.validation_loss_curve_
    block = 2
    assert fitted.n_iter_ == losses.argmin() * block


def test_equal_seeds_give_equal_models_and_leave_global_generators_alone(data):
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    expected = torch.rand(1), np.random.rand()  # noqa: NPY002
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    # held-out labels may keep the start, which is the same for all seeds
    trained = {"encoder": "mlp", "early_stopping": False}
    a, b = (model(**trained).fit(data.X, data.Y) for _ in range(2))
    np.testing.assert_array_equal(a.predict(data.X), b.predict(data.X))
    assert (torch.rand(1), np.random.rand()) == expected  # noqa: NPY002
    c = model(**trained, random_state=1).fit(data.X, data.Y)
    assert not np.allclose(a.transform(data.X), c.transform(data.X))


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_predict_the_same(data, copier):
    fitted = model(encoder="mlp").fit(data.X, data.Y)
    np.testing.assert_array_equal(copier(fitted).predict(data.X), fitted.predict(data.X))


def test_adapt_shares_the_encoder_and_changes_nothing(data):
    fitted = model().fit(data.X, data.Y[:, :15])
    before = fitted.predict(data.X)
    new = fitted.adapt(data.X[:50], data.Y[:50, 15:])
    assert new.encoder_ is fitted.encoder_
    assert new.coef_.shape == (5, 4)
    assert new.score(data.X[50:], data.Y[50:, 15:]) > 0.9
    np.testing.assert_array_equal(fitted.predict(data.X), before)


def test_warm_start_goes_on_and_partial_fit_takes_one_pass(data):
    fitted = model(warm_start=True, early_stopping=False).fit(data.X, data.Y)
    first = fitted.encoder_
    loss = fitted.loss_curve_[-1]
    fitted.fit(data.X, data.Y)
    assert fitted.encoder_ is not first
    assert fitted.loss_curve_[0] <= loss * 1.1
    part = model(batch_size=100)
    part.partial_fit(data.X, data.Y).partial_fit(data.X[:200], data.Y[:200, :7])
    assert part.n_iter_ == 2
    assert part.coef_.shape == (7, 4)


def test_a_training_goes_on_with_the_sizes_that_it_began_with(data):
    fitted = model(warm_start=True, max_iter=2).fit(data.X, data.Y)
    before = fitted.predict(data.X)
    with pytest.raises(ValueError, match="X has 7 features, but .* is expecting 8 features"):
        fitted.fit(data.X[:, :7], data.Y)
    fitted.set_params(n_components=3)
    for method in (fitted.fit, fitted.partial_fit):
        with pytest.raises(ValueError, match="n_components=3, but .* go on has 4 components"):
            method(data.X, data.Y)
    np.testing.assert_array_equal(fitted.predict(data.X), before)
    fitted.set_params(warm_start=False).fit(data.X[:, :7], data.Y)
    assert fitted.transform(data.X[:, :7]).shape[1] == 3


def test_a_training_goes_on_in_the_dtype_of_its_rows(data):
    fitted = model(warm_start=True, max_iter=2).fit(data.X.astype(np.float32), data.Y)
    assert fitted.fit(data.X, data.Y).transform(data.X).dtype == np.float64
    assert next(fitted.encoder_.parameters()).dtype == torch.float64
    fitted.partial_fit(data.X.astype(np.float32), data.Y)


@pytest.mark.parametrize(
    ("encoder", "more"),
    [
        (nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4)), {}),
        (lambda n, m: nn.Linear(n, m), {}),
        ("conv", {"input_shape": (4, 2)}),
        ("conv", {"input_shape": (2, 2, 2)}),
    ],
)
def test_encoders(data, encoder, more):
    before = copy.deepcopy(encoder.state_dict()) if isinstance(encoder, nn.Module) else None
    fitted = model(encoder=encoder, **more).fit(data.X.astype(np.float32), data.Y)
    assert fitted.transform(data.X.astype(np.float32)).dtype == np.float32
    if before is not None:
        for name, value in encoder.state_dict().items():
            assert torch.equal(value, before[name]), "the user's module was trained"


def test_constant_and_huge_columns_are_handled(data):
    X, Y = data.X.copy(), data.Y.copy()
    X[:, 0], Y[:, 0] = 1e6, 5.0
    X[:, 1] *= 1e150
    Y[:, 1] *= 1e150
    fitted = model().fit(X, Y)
    predicted = fitted.predict(X)
    assert np.isfinite(predicted).all()
    np.testing.assert_allclose(predicted[:, 0], 5.0)
    assert r2_score(Y[:, 1] / 1e150, predicted[:, 1] / 1e150) > 0.9


def test_integers_are_tables_too(data):
    X = np.round(data.X * 1000).astype(np.int32)
    assert model().fit(X, data.Y).score(X, data.Y) > 0.9


BAD_PARAMETERS = [
    ({"n_components": 0}, "n_components must be at least 1"),
    ({"n_components": 2.5}, "n_components must be an integer"),
    ({"alpha": -0.1}, r"alpha must be in \[0, 1\]"),
    ({"alpha": 1.5}, r"alpha must be in \[0, 1\]"),
    ({"encoder": "transformer"}, "encoder must be one of 'conv', 'linear', 'mlp'"),
    ({"penalty": "l3"}, "penalty must be one of"),
    ({"device": "gpu7"}, "device='gpu7' cannot be used here"),
    ({"optimizer": "magic"}, "optimizer must be one of"),
    ({"learning_rate": 0}, "learning_rate must be in"),
    ({"validation_fraction": 1.0}, "validation_fraction must be in"),
    ({"early_stopping": "maybe"}, "early_stopping must be"),
    ({"encoder": nn.Linear(8, 3)}, "n_components=4 values"),
    ({"encoder": nn.Linear(5, 4)}, "encoder cannot be applied"),
    ({"encoder": lambda n, m: "net"}, r"must return an nn\.Module"),
    ({"encoder": "conv"}, "needs input_shape"),
    ({"encoder": "conv", "input_shape": (3, 3)}, "input_shape"),
]


@pytest.mark.parametrize(("parameters", "message"), BAD_PARAMETERS)
def test_bad_parameters_name_themselves_and_change_nothing(data, parameters, message):
    fitted = model().fit(data.X, data.Y)
    before = fitted.predict(data.X)
    fitted.set_params(**parameters)
    state = {name: id(value) for name, value in vars(fitted).items()}
    with pytest.raises((ValueError, TypeError), match=message):
        fitted.fit(data.X, data.Y)
    assert {name: id(value) for name, value in vars(fitted).items()} == state
    fitted.set_params(**{name: model().get_params()[name] for name in parameters})
    np.testing.assert_array_equal(fitted.predict(data.X), before)


def _with(array, value):
    changed = array.astype(float).copy()
    changed[0, 0] = value
    return changed


BAD_DATA = [
    (lambda X, Y: (_with(X, np.nan), Y), "Input X contains NaN"),
    (lambda X, Y: (_with(X, np.inf), Y), "Input X contains infinity"),
    (lambda X, Y: (X, _with(Y, np.inf)), "Input Y contains infinity"),
    (lambda X, Y: (X, Y[:-1]), "inconsistent numbers of samples"),
    (lambda X, Y: (X, np.c_[Y, np.full(len(Y), np.nan)]), "1 of 21 tasks have none: 20"),
    (lambda X, Y: (X, Y[:, :, None]), "Y must have shape"),
    (lambda X, Y: (X, None), "requires y to be passed"),
]


@pytest.mark.parametrize(("change", "message"), BAD_DATA)
def test_bad_data_name_the_argument(data, change, message):
    estimator = model()
    with pytest.raises(ValueError, match=message):
        estimator.fit(*change(data.X, data.Y))
    assert not [name for name in vars(estimator) if name.endswith("_")]


def test_wrong_number_of_features(data):
    fitted = model().fit(data.X, data.Y)
    with pytest.raises(ValueError, match="X has 3 features, but"):
        fitted.transform(data.X[:, :3])


class _Interrupt:
    """A skorch callback that presses Ctrl-C after some steps."""

    def __new__(cls, step):
        from skorch.callbacks import Callback

        class Press(Callback):
            def on_batch_end(self, net, **kwargs):
                if net.n_steps_done >= step:
                    raise KeyboardInterrupt

        return Press()


def test_interruption_leaves_no_half_fitted_state(data):
    fresh = model(callbacks=[_Interrupt(3)])
    with pytest.raises(KeyboardInterrupt):
        fresh.fit(data.X, data.Y)
    assert not [name for name in vars(fresh) if name.endswith("_")]
    fitted = model().fit(data.X, data.Y)
    before = fitted.predict(data.X)
    fitted.set_params(callbacks=[_Interrupt(3)], warm_start=True)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(data.X, data.Y)
    np.testing.assert_array_equal(fitted.predict(data.X), before)


def test_skorchs_early_stopping_ends_training_gracefully(data, capsys):
    from skorch.callbacks import EarlyStopping

    stop = EarlyStopping(monitor="valid_loss", patience=1, threshold=0.5)
    fitted = model(callbacks=[stop], verbose=True).fit(data.X, data.Y)
    assert len(fitted.loss_curve_) < 40
    assert fitted.score(data.X, data.Y) > 0.5
    assert "outer steps, stopped early (a callback asked for it)" in capsys.readouterr().err


def test_divergence_is_an_error(data):
    class Explosive(nn.Linear):
        def forward(self, x):
            return super().forward(x) * (torch.inf if self.training else 1.0)

    with pytest.raises(DivergenceError, match="Lower learning_rate"):
        model(encoder=Explosive(8, 4)).fit(data.X, data.Y)


def test_pipeline_grid_search_and_clone(data):
    pipe = make_pipeline(StandardScaler(), model(max_iter=10))
    name = "sparsedisentangledrepresentation"
    grid = {f"{name}__alpha": [0.05, 0.9], f"{name}__n_components": [2, 4]}
    search = GridSearchCV(pipe, grid, cv=2, n_jobs=2).fit(data.X, data.Y)
    assert search.best_params_ == {f"{name}__alpha": 0.05, f"{name}__n_components": 4}
    assert clone(model(alpha=0.3)).alpha == 0.3


def test_pandas_output_does_not_leak_into_predict(data):
    fitted = model().set_output(transform="pandas").fit(data.X, data.Y)
    assert list(fitted.transform(data.X).columns) == [
        f"sparsedisentangledrepresentation{i}" for i in range(4)
    ]
    assert isinstance(fitted.predict(data.X), np.ndarray)


def test_progress_bar_only_under_verbose(data, capsys):
    model(max_iter=5).fit(data.X, data.Y)
    assert capsys.readouterr().err == ""
    model(max_iter=5, verbose=True).fit(data.X, data.Y)
    assert "outer steps" in capsys.readouterr().err


def bars(capsys):
    """The progress bars on standard error as they were left."""
    lines = capsys.readouterr().err.split("\n")
    return [line.split("\r")[-1] for line in lines if line]


def test_progress_bars_name_their_training_and_say_why_it_ended(data, capsys):
    noise = np.random.default_rng(0).normal(size=data.Y.shape)
    fixed = {"penalty": "l2", "verbose": True, "learning_rate": 0.1, "max_iter": 100}
    hasty = model(n_iter_no_change=1, **fixed).fit(data.X, noise)
    first, *more = bars(capsys)
    why = f"held-out loss no lower since step {hasty.n_iter_}"
    assert first.startswith(f"outer steps, stopped early ({why}): ")
    assert len(more) == (hasty.n_iter_ > 0), "no bar of a training without steps"
    model(verbose=True, max_iter=5, early_stopping=True).fit(data.X, data.Y)
    first, *again = bars(capsys)
    assert first.startswith("outer steps: 100%")
    assert all(bar.startswith("again, on all labels: 100%") for bar in again)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_training_step_stays_on_the_device(penalty):
    with FakeTensorMode(), SyncCounter(answer=False) as counter:
        with torch.device(ACCELERATOR):
            network = LinearNetwork(8, 4)
            encoder = Encoder(network, *(fake_cuda(8, dtype=torch.float32) for _ in range(2)), 4)
            problem = HeadProblem(PENALTIES[penalty], 0.1, True, 1e-6)
            objective = BilevelObjective(encoder, problem, 9, 4)
        objective.anneal(0.3)
        tasks = torch.arange(9, device=ACCELERATOR)
        batch = TaskBatch(fake_cuda(30, 8, dtype=torch.float32), fake_cuda(30, 9), None, tasks, 20)
        loss = objective(batch)
        loss.backward()
        assert loss.device.type == ACCELERATOR
        assert network.linear.weight.grad.device.type == ACCELERATOR
    # one look for alphas of zero, one at the gaps before the first block
    assert counter.count <= 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_same_model(data):
    cpu = model(device="cpu").fit(data.X, data.Y)
    gpu = model(device="cuda").fit(data.X, data.Y)
    np.testing.assert_allclose(gpu.transform(data.X), cpu.transform(data.X), atol=1e-6)
    assert next(gpu.encoder_.parameters()).device.type == "cpu"
