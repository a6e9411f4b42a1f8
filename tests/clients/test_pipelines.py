"""Our estimators inside other packages' searches, pipelines and explanations."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import StandardScaler

from sklearn_sparsedis import GroupLassoSVC, SparseDisentangledRepresentation, SparseRotation
from sklearn_sparsedis.datasets import make_sparse_multitask

DATA = make_sparse_multitask(120, 12, n_latents=3, n_features=6, random_state=0)
X = pd.DataFrame(DATA.X, columns=list("abcdef"))
Y = pd.DataFrame(DATA.Y).add_prefix("task")
LABELS = np.where(Y["task0"] > 0.7, "high", "low")
SMALL = {"encoder": "linear", "max_iter": 4, "random_state": 0}
pytestmark = pytest.mark.filterwarnings("ignore")  # their warnings are not ours


def test_optuna_searches_for_alpha():
    optuna = pytest.importorskip("optuna")

    def score(trial):
        alpha = trial.suggest_float("alpha", 1e-3, 1, log=True)
        model = SparseDisentangledRepresentation(3, alpha=alpha, **SMALL)
        return cross_val_score(model, X, Y, cv=2).mean()

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(score, n_trials=4, n_jobs=2)
    assert len(study.trials) == 4
    assert study.best_params["alpha"] < 0.5


def test_imbalanced_learn_draws_rows_before_a_classifier():
    pytest.importorskip("imblearn")
    from imblearn.over_sampling import SMOTE
    from imblearn.pipeline import make_pipeline

    model = make_pipeline(SMOTE(random_state=0), StandardScaler(), GroupLassoSVC())
    plain = make_pipeline(StandardScaler(), GroupLassoSVC()).fit(X, LABELS)
    rare = LABELS == "high"
    found = model.fit(X, LABELS).predict(X)
    assert (found[rare] == "high").mean() >= (plain.predict(X)[rare] == "high").mean()
    assert model.score(X, LABELS) > 0.7


def test_feature_engine_gives_frames_to_a_representation():
    pytest.importorskip("feature_engine")
    from feature_engine.imputation import MeanMedianImputer
    from feature_engine.pipeline import Pipeline

    gaps = X.mask(np.random.default_rng(0).random(X.shape) < 0.05)
    model = SparseDisentangledRepresentation(3, **SMALL).set_output(transform="pandas")
    pipeline = Pipeline([("impute", MeanMedianImputer()), ("model", model)]).fit(gaps, Y)
    Z = pipeline.transform(gaps)
    assert list(Z.columns) == [f"sparsedisentangledrepresentation{i}" for i in range(3)]
    assert (Z.index == X.index).all()
    assert model.feature_names_in_.tolist() == list(X.columns)


def test_feature_engine_wraps_a_rotation():
    pytest.importorskip("feature_engine")
    from feature_engine.wrappers import SklearnTransformerWrapper

    wrapped = SklearnTransformerWrapper(StandardScaler(), variables=["a", "b"])
    rotation = SparseRotation(3, random_state=0).fit(wrapped.fit_transform(X), Y)
    assert rotation.feature_names_in_.tolist() == list(X.columns)


def test_mlxtend_selects_columns_by_our_scores():
    pytest.importorskip("mlxtend")
    from mlxtend.feature_selection import SequentialFeatureSelector

    selector = SequentialFeatureSelector(GroupLassoSVC(), k_features=2, cv=2).fit(X, LABELS)
    assert len(selector.k_feature_names_) == 2
    assert selector.k_score_ > 0.6


def test_shap_explains_predictions_and_refuses_heads_as_weights():
    shap = pytest.importorskip("shap")
    model = SparseDisentangledRepresentation(3, **SMALL).fit(X, Y)
    background = shap.maskers.Independent(X, max_samples=len(X))
    explained = shap.Explainer(model.predict, background, seed=0)(X[:3])
    assert explained.values.shape == (3, 6, 12)
    # the map is linear, so the shares are the weights times the distance from the mean
    linear = (
        X[:3].to_numpy()[..., None] - X.to_numpy()[..., None].mean(0)
    ) * model.coef_features_.T
    np.testing.assert_allclose(explained.values, linear, atol=1e-6)
    with pytest.raises(TypeError, match="coef_ of SparseDisentangledRepresentation weighs comp"):
        shap.LinearExplainer(model, X)
