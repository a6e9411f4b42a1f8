"""alpha="auto" and n_components="auto": chosen on labels that heads were not fitted to."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV

from sklearn_sparsedis import SparseDisentangledRepresentation, load_model, save_model
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.estimators import _one_training
from sklearn_sparsedis.inputs._targets import check_targets
from sklearn_sparsedis.training._judge import SHARES, judge_together
from sklearn_sparsedis.training._row_errors import RowErrors, fewest_directions, first_as_good

LINEAR = SparseDisentangledRepresentation(
    6, encoder="linear", alpha="auto", max_iter=60, random_state=0
)


def draw(n=300, n_tasks=15, noise=0.3, seed=0):
    return make_sparse_multitask(n, n_tasks, noise=noise, random_state=seed)


@pytest.fixture(scope="module")
def data():
    return draw()


@pytest.fixture(scope="module")
def fitted(data):
    return clone(LINEAR).fit(data.X, data.Y)


def test_the_strength_is_the_largest_that_predicts_as_well(fitted):
    path, chosen = fitted.path_, int(np.flatnonzero(fitted.path_.alpha == fitted.alpha_)[0])
    assert (np.diff(path.alpha) < 0).all()
    assert (np.diff(path.n_used) >= -0.5).all()
    excess = path.loss - path.loss.min()
    least = min(0.005, 0.05 * path.loss.min())
    worse = (excess > 1.01 * path.error) & (excess > 1.01 * least)
    fine = (excess < 0.99 * path.error) | (excess < 0.99 * least)
    assert worse[:chosen].all()
    assert fine[chosen]


@pytest.mark.parametrize("changes", [{}, {"loss": "huber"}, {"common_head": True}], ids=str)
def test_heads_are_those_of_the_strength_chosen(data, changes):
    one = clone(LINEAR).set_params(**changes).fit(data.X, data.Y)
    again = one.adapt(data.X, data.Y, prior=None)
    np.testing.assert_allclose(one.coef_, again.coef_, atol=1e-6)
    other = clone(one).set_params(alpha=5 * one.alpha_).fit(data.X, data.Y)
    assert np.abs(other.coef_).sum() < np.abs(one.coef_).sum()


def test_noise_asks_for_more_of_it():
    exact, noisy = (draw(noise=noise) for noise in (0.01, 2.0))
    few, many = (clone(LINEAR).fit(one.X, one.Y) for one in (exact, noisy))
    assert few.alpha_ < many.alpha_
    assert few.score(exact.X, exact.Y) > 0.999


def test_components_are_those_of_the_training_strength(data, fitted):
    given = clone(LINEAR).set_params(alpha=0.05).fit(data.X, data.Y)
    near = np.abs(np.corrcoef(fitted.transform(data.X).T, given.transform(data.X).T)[:6, 6:])
    np.testing.assert_allclose(near.max(axis=0), 1, atol=1e-3)
    assert given.alpha_ == 0.05
    assert given.path_ is None


def test_ridge_heads_have_the_lowest_loss(data):
    ridge = clone(LINEAR).set_params(penalty="l2").fit(data.X, data.Y)
    assert ridge.alpha_ == ridge.path_.alpha[ridge.path_.loss.argmin()]


def test_few_rows_are_held_out_in_several_trials(monkeypatch):
    sizes, repeat = [], _one_training.TrialRunner.repeat

    def counting(self, first, n_steps):
        trials = repeat(self, first, n_steps)
        sizes.append([len(trial.held_out.X) for trial in trials])
        assert all(len(t.table.X) + len(t.held_out.X) == len(self.table.X) for t in trials)
        return trials

    monkeypatch.setattr(_one_training.TrialRunner, "repeat", counting)
    for n, n_trials in ((1200, 1), (300, 4), (40, 10)):
        some = draw(n)
        clone(LINEAR).set_params(max_iter=10).fit(some.X, some.Y)
        assert len(sizes.pop()) == n_trials


def test_a_training_that_one_draw_of_few_rows_favours_is_judged_by_more():
    errors = np.random.default_rng(0).normal(1, 0.3, size=(5, 22)).clip(0.1)

    class Judge:
        def __init__(self, gain, unit=1.0):
            self.ridge = unit * torch.from_numpy(errors[0])
            self.last = unit * torch.from_numpy(errors - gain)

    lucky, others = Judge(0.2), [Judge(-0.3) for _ in range(4)]
    assert not judge_together([lucky], hurts=True)["as_at_start"]
    told = judge_together([lucky, *others], hurts=True)
    assert told["as_at_start"]
    assert told["label_share"] == 0
    told = judge_together([lucky, Judge(0.1)], hurts=True)
    assert told["label_share"] in SHARES
    assert not told["as_at_start"]
    # where nothing says that training fits noise it is kept where there is hardly any
    assert judge_together(others, hurts=False)["as_at_start"]
    exact = [Judge(-0.3, unit=0.01)]
    assert not judge_together(exact, hurts=False)["as_at_start"]
    assert judge_together(exact, hurts=True)["as_at_start"]


@pytest.mark.parametrize("encoder", ["linear", "mlp"])
def test_as_many_components_as_predictions_have_directions(encoder):
    some = draw(400, 20)
    model = SparseDisentangledRepresentation("auto", encoder=encoder, random_state=0, max_iter=300)
    model.fit(some.X, some.Y)
    assert model.coef_.shape == (20, 6)
    losses = model.path_.loss_of_rank
    assert len(losses) == 20
    assert losses[5] < losses[4] - 0.001
    assert losses[5] < losses.min() + 0.001


def test_the_fewest_directions_that_predict_as_well():
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=400)) * 1e-3
    losses = torch.stack([0.5 + 0 * noise, 0.203 + noise, 0.2005 + noise, 0.2 + 0 * noise])
    assert fewest_directions(losses) == 3
    assert first_as_good(losses) == 1


def test_regressors_let_all_labels_choose(data):
    forest = RandomForestRegressor(20, random_state=0)
    model = clone(LINEAR).set_params(encoder=forest, n_components="auto", max_iter=None)
    model.fit(data.X, data.Y)
    assert model.path_.loss_of_rank is not None
    assert model.alpha_ in model.path_.alpha
    linear = clone(model).set_params(encoder=RidgeCV()).fit(data.X, data.Y)
    assert linear.path_.loss.min() < model.path_.loss.min()


def test_labels_of_two_kinds(data):
    Y = np.column_stack([data.Y[:, :5] > 0, data.Y[:, 5:]])
    model = clone(LINEAR).set_params(loss="auto").fit(data.X, Y)
    assert set(model.losses_) == {"logistic", "squared_error"}
    assert model.path_.loss.min() < model.path_.loss[0] <= 1.3


def test_a_row_of_errors_is_that_of_the_loss():
    some = draw(100, 4)
    Y = some.Y - some.Y.mean(0)
    values = check_targets(Y, 100, caller="test").values
    score = torch.from_numpy(np.zeros_like(Y))
    np.testing.assert_allclose(RowErrors(values)(score), (Y**2).mean(1), rtol=1e-12)


def test_it_is_saved(fitted, data, tmp_path):
    save_model(fitted, tmp_path / "model")
    other = load_model(tmp_path / "model")
    assert other.alpha_ == fitted.alpha_
    np.testing.assert_array_equal(other.path_.loss, fitted.path_.loss)
    np.testing.assert_array_equal(other.adapt(data.X, data.Y, prior=None).coef_.shape, (15, 6))


def test_what_cannot_be_chosen_is_said(data):
    with pytest.raises(ValueError, match="alpha must be one of 'auto', or a number"):
        clone(LINEAR).set_params(alpha="best").fit(data.X, data.Y)
    with pytest.raises(ValueError, match="alpha='auto' is not available with penalty='l0'"):
        clone(LINEAR).set_params(penalty="l0").fit(data.X, data.Y)
    with pytest.raises(ValueError, match="leave alpha_mode='relative'"):
        clone(LINEAR).set_params(alpha_mode="absolute").fit(data.X, data.Y)
    with pytest.warns(UserWarning, match='alpha="auto" took 0.05, because no labels were held out'):
        clone(LINEAR).set_params(early_stopping=False).fit(data.X, data.Y)
