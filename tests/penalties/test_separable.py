"""Penalties that users write: solver, derivative, and what an estimator does with them."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch.autograd import gradcheck

from sklearn_sparsedis import SparseDisentangledRepresentation, load_model, save_model
from sklearn_sparsedis.callbacks import Checkpoint
from sklearn_sparsedis.datasets import make_sparse_multitask
from sklearn_sparsedis.estimators._identity import describe
from sklearn_sparsedis.functional import centred_gram, lasso_alpha_max, mcp_penalty
from sklearn_sparsedis.functional._mcp import mcp_threshold
from sklearn_sparsedis.implicit import lasso_gram, mcp_gram
from sklearn_sparsedis.penalties import L1, MCP, SeparablePenalty


class SCAD(SeparablePenalty):
    """In units in which the curvature is one."""

    def __init__(self, a=3.7):
        self.a = a

    def value(self, coef, alpha, curvature):
        a, size = self.a, curvature * coef.abs()
        middle = (2 * a * alpha * size - size.square() - alpha**2) / (2 * (a - 1))
        outer = torch.where(size <= a * alpha, middle, alpha**2 * (a + 1) / 2)
        return torch.where(size <= alpha, alpha * size, outer) / curvature

    def threshold(self, target, alpha, curvature):
        a, size = self.a, curvature * target.abs()
        soft = (size - alpha).clamp_min(0)
        middle = ((a - 1) * size - a * alpha) / (a - 2)
        outer = torch.where(size <= a * alpha, middle, size)
        return target.sign() * torch.where(size <= 2 * alpha, soft, outer) / curvature


class OwnMCP(SeparablePenalty):
    def value(self, coef, alpha, curvature):
        return mcp_penalty(coef, alpha, 2 / curvature)

    def threshold(self, target, alpha, curvature):
        return mcp_threshold(target, alpha, 2 / curvature, curvature)


class OwnLasso(SeparablePenalty):
    convex = True

    def value(self, coef, alpha, curvature):
        return alpha * coef.abs()

    def threshold(self, target, alpha, curvature):
        return target.sign() * (target.abs() - alpha / curvature).clamp_min(0)


class Smooth(SeparablePenalty):
    """Convex, with a slope and a curvature that depend on all arguments."""

    sparse, annealed, convex = False, False, True

    def value(self, coef, alpha, curvature):
        return 0.5 * alpha * (curvature * coef.square() + 0.1 * coef.square())

    def threshold(self, target, alpha, curvature):
        return curvature * target / (curvature + alpha * (curvature + 0.1))


class Silent(SeparablePenalty):
    pass


class Wrong(OwnLasso):
    def threshold(self, target, alpha, curvature):
        return target.sign() * (target.abs() - alpha).clamp_min(0)


class Summed(OwnLasso):
    def value(self, coef, alpha, curvature):
        return alpha * coef.abs().sum()


def statistics(T=5, n=60, m=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    Z = torch.randn(n, m, generator=g, dtype=torch.float64) * torch.linspace(0.5, 2, m).double()
    W = torch.randn(T, m, generator=g).double() * (torch.rand(T, m, generator=g) < 0.5)
    Y = W @ Z.T + 0.3 * torch.randn(T, n, generator=g, dtype=torch.float64)
    return centred_gram(Z, Y)[:3]


def strengths(corr, share=0.2):
    return share * lasso_alpha_max(corr)


@pytest.mark.parametrize(("own", "solve"), [(OwnLasso(), lasso_gram), (OwnMCP(), mcp_gram)])
def test_solutions_and_certificates_are_those_of_our_own_solvers(own, solve):
    gram, corr, y_sq = statistics()
    alpha = strengths(corr)
    found = own.fit(gram, corr, y_sq, alpha, tol=1e-13)
    expected = solve(gram, corr, y_sq, alpha, tol=1e-13)
    assert found.result.converged.all()
    torch.testing.assert_close(found.coef, expected.coef, atol=1e-9, rtol=0)
    torch.testing.assert_close(found.loss, expected.loss)
    torch.testing.assert_close(found.result.objective, expected.result.objective)


@pytest.mark.parametrize("penalty", [OwnLasso(), OwnMCP(), SCAD(), Smooth()])
def test_gradcheck(penalty):
    gram, corr, y_sq = statistics(T=3, m=4)
    inputs = gram.expand(3, 4, 4).clone(), corr, y_sq, strengths(corr, 0.1)

    def solution(gram, corr, y_sq, alpha):
        return penalty.fit(0.5 * (gram + gram.mT), corr, y_sq, alpha, tol=1e-14)[:2]

    assert gradcheck(solution, [x.detach().requires_grad_() for x in inputs])


def test_a_solution_is_stationary_and_no_coefficient_alone_improves_it():
    gram, corr, y_sq = statistics()
    alpha, penalty = strengths(corr), SCAD()
    coef, _, result = penalty.fit(gram, corr, y_sq, alpha, tol=1e-13)
    assert (result.gap <= 1e-13).all()
    w = coef.clone().requires_grad_()
    value = penalty.value(w, alpha[:, None], gram.diagonal()).sum(-1)
    objective = 0.5 * ((w @ gram) * w).sum(-1) - (w * corr).sum(-1) + value
    (slope,) = torch.autograd.grad(objective.sum(), w)
    assert (slope[coef != 0].abs() < 1e-6).all()
    for j in range(6):
        other = coef.repeat(101, 1, 1)
        other[..., j] = torch.linspace(-3, 3, 101).double()[:, None]
        tried = 0.5 * ((other @ gram) * other).sum(-1) - (other * corr).sum(-1)
        tried = tried + penalty.value(other, alpha[:, None], gram.diagonal()).sum(-1)
        assert (tried >= objective - 1e-9).all()


def fitted(penalty, **options):
    data = make_sparse_multitask(150, 10, noise=0.3, random_state=0)
    fixed = {"encoder": "linear", "max_iter": 30, "random_state": 0, "device": "cpu"}
    model = SparseDisentangledRepresentation(4, penalty=penalty, **{**fixed, **options})
    return model.fit(data.X, data.Y), data


def test_an_estimator_trains_adapts_clones_and_is_stored(tmp_path):
    model, data = fitted(SCAD())
    assert not model.support_.all()
    assert model.score(data.X, data.Y) > 0.5
    adapted = model.adapt(data.X, data.Y[:, :3])
    for copied in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(copied.adapt(data.X, data.Y[:, :3]).coef_, adapted.coef_)
    assert clone(model).penalty == SCAD()
    assert "penalty=SCAD(a=3.7)" in repr(model)
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model", penalty=SCAD())
    np.testing.assert_array_equal(loaded.adapt(data.X, data.Y[:, :3]).coef_, adapted.coef_)
    for given in (None, OwnLasso()):
        with pytest.raises(ValueError, match=r"of the class SCAD, whose code is not stored"):
            load_model(tmp_path / "model", penalty=given)
    save_model(fitted("l1", max_iter=1)[0], tmp_path / "model")
    with pytest.raises(ValueError, match="penalty of this model is our own 'l1'"):
        load_model(tmp_path / "model", penalty=SCAD())


def test_parameters_of_a_penalty_are_searched():
    data = make_sparse_multitask(60, 6, random_state=0)
    model = SparseDisentangledRepresentation(
        3, encoder="linear", penalty=SCAD(), max_iter=3, random_state=0, device="cpu"
    )
    search = GridSearchCV(model, {"penalty__a": [2.5, 5.0]}, cv=2).fit(data.X, data.Y)
    assert search.best_estimator_.penalty.a in (2.5, 5.0)
    assert model.penalty == SCAD()
    assert isinstance(model._repr_html_(), str)


def test_the_parameters_of_our_own_penalties_are_kept():
    assert MCP(3.0).get_params() == {"gamma": 3.0}
    assert MCP().set_params(gamma=3.0) == MCP(3.0)
    assert L1().get_params() == {}
    assert clone(MCP(3.0), safe=False) == MCP(3.0)


def test_a_penalty_is_known_by_its_code_and_its_parameters():
    texts = [describe(penalty) for penalty in (SCAD(), SCAD(3.0), OwnMCP(), OwnLasso())]
    assert len(set(texts)) == 4
    assert describe(SCAD()) == texts[0]


def test_a_training_under_another_penalty_is_not_continued(tmp_path):
    fitted(SCAD(), max_iter=2, callbacks=[Checkpoint(tmp_path / "training")])
    with pytest.raises(ValueError, match=r"of another fit, which differs in penalty"):
        fitted(SCAD(3.0), max_iter=2, callbacks=[Checkpoint(tmp_path / "training")])


@pytest.mark.parametrize(
    ("penalty", "error", "words"),
    [
        (SCAD, ValueError, "or an instance of a subclass of penalties.Penalty"),
        (Silent(), TypeError, r"penalty=Silent must define value\(coef, alpha, curvature\)"),
        (Wrong(), ValueError, "threshold of penalty=Wrong does not minimise"),
        (Summed(), ValueError, "penalty=Summed must give a number for each coefficient"),
    ],
)
def test_what_is_no_penalty_is_refused(penalty, error, words):
    with pytest.raises(error, match=words):
        fitted(penalty)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"common_head": True}, "common_head=True is not available with penalty=SCAD"),
        ({"task_of_output": [0] * 10}, "penalty='SCAD' chooses the support of every output"),
        ({"loss": ["logistic"] + ["squared_error"] * 9}, "penalty='SCAD' is not available with"),
    ],
)
def test_what_a_penalty_lacks_is_said(options, words):
    data = make_sparse_multitask(150, 10, random_state=0)
    data.Y[:, 0] = data.Y[:, 0] > 0
    with pytest.raises(ValueError, match=words):
        SparseDisentangledRepresentation(4, penalty=SCAD(), **options).fit(data.X, data.Y)
