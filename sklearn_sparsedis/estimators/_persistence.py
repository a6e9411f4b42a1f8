"""Fitted models as files that execute no code when they are loaded."""

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from sklearn import config_context
from sklearn.utils.validation import check_is_fitted

from sklearn_sparsedis.estimators._base import StampedEstimator
from sklearn_sparsedis.estimators._checkpoints import skorch_callbacks
from sklearn_sparsedis.estimators._encoders import users_network
from sklearn_sparsedis.estimators._group_lasso_svc import GroupLassoSVC
from sklearn_sparsedis.estimators._meta_classifier import GroupLassoSVMMetaClassifier
from sklearn_sparsedis.estimators._regressors import is_regressor
from sklearn_sparsedis.estimators._representation import SparseDisentangledRepresentation
from sklearn_sparsedis.estimators._sparse_rotation import SparseRotation
from sklearn_sparsedis.estimators._stored_models import (
    OUTPUT,
    YOURS,
    Model,
    UserEncoder,
    check_encoder,
    check_names,
    check_penalty,
    check_values,
    is_users,
    try_out,
)
from sklearn_sparsedis.losses import LOSSES
from sklearn_sparsedis.nn._generators import seeded
from sklearn_sparsedis.nn._stored_encoder import put_together, take_apart
from sklearn_sparsedis.penalties import Penalty
from sklearn_sparsedis.storage._file import explained, read_file, write_file

__all__ = ["load_model", "save_model"]

# Specification of the fitted attributes of estimators, for `check_arrays`.
ALL = {"n_features_in_": "size features", "feature_names_in_": "name? features"}
ENCODED = {
    "encoder_.state.center": "finite features",
    "encoder_.state.scale": "positive features",
    "encoder_.state.mean": "finite components",
    "encoder_.state.std": "positive components",
    "encoder_.state.rotation": "finite? components outputs",
    "encoder_.state.reach": "finite? lengths",
    "loss_curve_": "float steps",
    "validation_loss_curve_": "float evaluations",
    "n_iter_": "count",
    "_n_features_out": "size components",
}
CLASSES = {
    "coef_": "finite classes components",
    "intercept_": "finite classes",
    "classes_": "name classes",
    "support_": "flag components",
    "dual_gap_": "float",
}
TASKS = {
    "coef_": "finite tasks components",
    "intercept_": "finite tasks",
    "support_": "flag tasks components",
    "tasks_": "name tasks",
}
SVC = {
    **{name: text.replace("components", "features") for name, text in CLASSES.items()},
    "dual_coef_": "finite samples classes",
    "group_reg_": "finite",
    "n_iter_": "count",
}
EPISODES = {"scale_": "positive", "n_way_": "count", "n_shot_": "count", "n_query_": "count"}
DEVIATIONS = {
    "common_head_.coef": "finite components",
    "common_head_.intercept": "finite",
    "common_head_.noise": "finite",
    "common_head_.spread": "finite",
    "common_head_.intercept_spread": "finite",
}
PRIOR = {
    f"prior_.{loss}.{name}": text.replace("strengths", f"{loss}_strengths")
    for loss in ("squared_error", "logistic")
    for name, text in {
        "mean": "finite heads",
        "moment": "finite heads heads",
        "feature": "finite kinds",
        "level": "finite",
        "dof": "positive",
        "heads": "finite strengths",
        "features": "finite strengths kinds",
        "noise": "finite strengths",
        "probability": "positive strengths",
        "variance": "finite",
    }.items()
} | {
    "prior_.squared_error.used_share": "positive? components",
    "prior_.squared_error.used_variance": "positive? components",
    "prior_.squared_error.used_mean": "float? components",
    "prior_.squared_error.sparse": "finite",
    "prior_.center": "finite features",
    "prior_.scale": "positive features",
    "prior_.distance": "positive?",
    "coef_residual_": "finite? tasks features",
    "landmarks_": "finite? landmarks features",
    "coef_landmarks_": "finite? tasks landmarks",
    "residual_share_": "finite? tasks",
    "support_probability_": "finite? tasks components",
    "residual_std_": "float? tasks",
    "residual_quantiles_": "finite? quantiles",
    "_labels.components": "finite labelled components",
    "_labels.features": "finite labelled beside",
    "_labels.row": "count labels",
    "_labels.value": "finite labels",
    "_labels.weight": "positive labels",
    "_labels.start": "count bounds",
}
REPRESENTATION = {
    "losses_": f"{'|'.join(sorted(LOSSES))} tasks",
    "alpha_": "finite",
    "path_.alpha": "positive? strengths",
    "path_.loss": "finite? strengths",
    "path_.error": "finite? strengths",
    "path_.n_used": "finite? strengths",
    "path_.loss_of_rank": "finite? ranks",
    "alpha_max_": "float tasks",
    "dual_gap_": "float tasks",
    "_layout": "flat|long|wide",
}
ROTATION = {
    "mean_": "finite features",
    "rotation_": "finite components features",
    "mixing_": "finite components features",
    "coef_average_": "finite tasks components",
    "identified_": "flag components",
    "identified_by_": "non-Gaussianity|nothing|sparsity? components",
    "support_probability_": "finite tasks components",
    "min_effect_": "finite",
    "_n_features_out": "size components",
    "_moments.z_mean": "finite features",
    "_moments.y_mean": "finite tasks",
    "_moments.gram": "finite features features",
    "_moments.corr": "finite tasks features",
    "_moments.y_sq": "finite tasks",
}


MODELS = {
    model.estimator.__name__: model
    for model in (
        Model(GroupLassoSVC, ALL | SVC),
        Model(GroupLassoSVMMetaClassifier, ALL | ENCODED | CLASSES | EPISODES),
        Model(
            SparseDisentangledRepresentation,
            ALL | ENCODED | TASKS | REPRESENTATION | DEVIATIONS | PRIOR,
        ),
        Model(SparseRotation, ALL | PRIOR | ROTATION | TASKS),
    )
}
REQUESTS = "_metadata_request"


def save_model(model: StampedEstimator, path: str | os.PathLike[str]) -> None:
    """Store a fitted estimator of this package in a safetensors file.

    The file holds arrays, and in its metadata JSON with the parameters, the versions that wrote it
    and a checksum. It appears whole or, where saving fails, not at all.

    Parameters
    ----------
    model : GroupLassoSVC, GroupLassoSVMMetaClassifier, SparseDisentangledRepresentation or \
SparseRotation
        A fitted model. For an encoder that is a module of yours the weights are stored and not the
        code, for a penalty that is an object the name of its class: pass them to `load_model`.
    path : str or path-like
        Path of the file. An existing file is replaced, and the new one has its permissions; the
        target of a symbolic link is replaced.

    Raises
    ------
    TypeError
        For any other object, and for a model that cannot be stored without code: with attributes
        of your own that are not plain values, with callbacks, or with a regressor as encoder, for
        which there is joblib. A `Checkpoint` is left out; with other callbacks, call
        ``model.set_params(callbacks=None)`` first.
    sklearn.exceptions.NotFittedError
        For a model that is not fitted.
    ValueError
        For a model that could not be loaded: with parameters that are not in their domains, or
        fitted attributes that are not finite or do not fit together.

    See Also
    --------
    load_model : Load the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_sparsedis import GroupLassoSVC, load_model, save_model
    >>> X, y = load_iris(return_X_y=True)
    >>> model = GroupLassoSVC().fit(X, y)
    >>> path = Path(mkdtemp()) / "iris.safetensors"
    >>> save_model(model, path)
    >>> bool((load_model(path).predict(X) == model.predict(X)).all())
    True
    """
    kind = MODELS.get(type(model).__name__)
    if kind is None or kind.estimator is not type(model):
        raise TypeError(
            f"save_model stores {', '.join(MODELS)}, got {type(model).__name__}. Store pipelines, "
            "subclasses and other estimators with joblib."
        )
    check_is_fitted(model)
    params = model.get_params(deep=False)
    if is_regressor(params.get("encoder")):
        raise TypeError(
            f"the encoder {type(params['encoder']).__name__} cannot be stored without code: store "
            "the model with joblib.dump(model, path), and load it only from those you trust."
        )
    if skorch_callbacks(params.get("callbacks")):
        raise TypeError(
            "callbacks cannot be stored without code: call model.set_params(callbacks=None) first."
        )
    if "callbacks" in params:
        params["callbacks"] = None
    if isinstance(params.get("class_weight"), Mapping):
        params["class_weight"] = dict(params["class_weight"])
    attributes = {key: value for key, value in vars(model).items() if key not in params}
    requests = attributes.pop(REQUESTS, None)
    if "encoder_" in attributes:
        attributes["encoder_"] = take_apart(attributes["encoder_"])
    check_values(kind, params, attributes)
    if is_users(params.get("encoder")):
        params["encoder"] = YOURS
    if isinstance(params.get("penalty"), Penalty):
        params["penalty"] = {"yours": type(params["penalty"]).__name__}
    content = {
        "class": type(model).__name__,
        "params": params,
        "attributes": attributes,
        "requests": None if requests is None else _requests(requests),
    }
    write_file(path, "model", content)


def load_model(
    path: str | os.PathLike[str],
    *,
    encoder: UserEncoder | None = None,
    penalty: Penalty | None = None,
) -> Any:
    """Load an estimator that `save_model` stored; its predictions are the same to the last bit.

    No code of the file's is executed, whoever wrote it. The checksum tells a damaged file from a
    whole one; it is no signature, so it does not tell who wrote it.

    Parameters
    ----------
    path : str or path-like
        The file.
    encoder : nn.Module or callable, default=None
        The encoder that the model was fitted with, if that was a module or a callable of yours: the
        code is taken from it, the weights from the file. Buffers outside its `state_dict` stay
        unchanged.
    penalty : penalties.Penalty, default=None
        The penalty that the model was fitted with, if that was an object and not a name.

    Returns
    -------
    model : estimator
        Fitted, on the CPU.

    Raises
    ------
    ValueError
        For a file that is not of this package, that was cut off or changed, or that holds values
        which no fitted model has, with the path and the reason; and where `encoder` or `penalty`
        is missing, does not fit, or is not needed.

    Warns
    -----
    VersionMismatchWarning
        For a file that another version of this package wrote.

    See Also
    --------
    save_model : Write such a file.

    Examples
    --------
    See `save_model`.
    """
    content = read_file(path, "model")
    with explained(path):
        if content["class"] not in MODELS:
            raise ValueError(f"it holds a {content['class']!r}, which is none of our estimators")
        kind = MODELS[content["class"]]
        params, attributes = dict(content["params"]), dict(content["attributes"])
        check_names(kind, params, attributes)
        check_encoder(params.get("encoder"), attributes.get("encoder_"), encoder)
        if params.get("encoder") == YOURS:
            params["encoder"] = encoder
        check_penalty(params.get("penalty"), penalty)
        if penalty is not None:
            params["penalty"] = penalty
        check_values(kind, params, attributes)
        stored, output = attributes.pop("encoder_", None), attributes.pop(OUTPUT, None)
        model = kind.estimator(**params)
        for name, value in attributes.items():
            setattr(model, name, value)
        if stored is not None:
            with seeded(0):  # a callable draws weights, which those of the file replace
                users = partial(users_network, encoder, input_shape=model.input_shape)
                model.encoder_ = put_together(stored, kind.estimator._networks, users)
        try_out(model)
        if output is not None:  # set last, because it may need libraries that are not installed
            setattr(model, OUTPUT, output)
        _request(model, content["requests"] or {})
    return model


def _requests(request: Any) -> dict[str, dict[str, Any]]:
    """Metadata that the methods of an estimator request."""
    return {
        method: dict(part.requests)
        for method, part in vars(request).items()
        if getattr(part, "requests", None)
    }


def _request(model: StampedEstimator, requests: dict[str, dict[str, Any]]) -> None:
    with config_context(enable_metadata_routing=True):
        for method, wanted in requests.items():
            getattr(model, f"set_{method}_request")(**wanted)
