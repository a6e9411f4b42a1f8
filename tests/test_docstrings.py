"""What the docstrings say is what there is: parameters, attributes, examples."""

import doctest
import importlib
import inspect
import pkgutil

import pytest
from numpydoc.docscrape import NumpyDocString
from sklearn.base import is_classifier

import sklearn_sparsedis
from sklearn_sparsedis.datasets import make_sparse_multitask

MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(sklearn_sparsedis.__path__, "sklearn_sparsedis.")
]
PUBLIC = {
    f"{module.__name__}.{name}".removeprefix("sklearn_sparsedis."): getattr(module, name)
    for module in [sklearn_sparsedis, *MODULES]
    if "._" not in module.__name__
    for name in getattr(module, "__all__", [])
    if inspect.isroutine(getattr(module, name)) or inspect.isclass(getattr(module, name))
}
# layers for those who build estimators, where a summary line may say all
INNER = ("functional", "losses", "nn")
SETTINGS = {
    "GroupLassoSVC": {"group_reg": "auto"},
    "GroupLassoSVMMetaClassifier": {"n_components": 4, "max_iter": 2},
    "SparseDisentangledRepresentation": {"n_components": 3, "max_iter": 5},
    "SparseRotation": {"n_components": 3},
}
ESTIMATORS = [n for n in sklearn_sparsedis.__all__ if inspect.isclass(PUBLIC.get(n))]


def names_in(section):
    """Names in a numpydoc section, where `a, b : int` are two."""
    return [
        name.strip().lstrip("*") for item in section for name in item.name.split(",") if item.name
    ]


def parameters_of(public):
    """Names of the parameters of a function, or of a class's constructor."""
    try:
        signature = inspect.signature(public)
    except ValueError:
        return []
    return [name for name in signature.parameters if name not in ("self", "cls")]


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_documented_parameters_are_the_parameters(name):
    public = PUBLIC[name]
    doc = NumpyDocString(inspect.getdoc(public))
    assert " ".join(doc["Summary"]).endswith("."), "the summary is a sentence"
    documented = names_in(doc["Parameters"])
    there = parameters_of(public)
    if inspect.isclass(public) and there and not documented:  # a record
        documented = names_in(doc["Attributes"])
    if name.startswith(INNER):
        assert documented == [name for name in there if name in documented]
    else:
        assert documented == there


@pytest.mark.parametrize("name", ESTIMATORS)
def test_documented_attributes_are_those_of_a_fitted_estimator(name):
    data = make_sparse_multitask(100, 40, n_latents=3, n_features=6, random_state=0)
    estimator = PUBLIC[name](**SETTINGS[name])
    if is_classifier(estimator):
        estimator.fit(data.X, data.Y[:, 0] > 0)
    else:
        estimator.fit(data.X, data.Y)
    properties = dict(
        inspect.getmembers(type(estimator), lambda found: isinstance(found, property))
    )
    names = [*vars(estimator), *properties]
    there = {key for key in names if key.endswith("_") and not key.startswith("_")}
    doc = NumpyDocString(inspect.getdoc(PUBLIC[name]))
    # names of features are there for data frames only
    assert set(names_in(doc["Attributes"])) - {"feature_names_in_"} == there
    assert doc["Examples"], "an estimator shows its use"


@pytest.mark.parametrize("module", [m.__name__ for m in MODULES])
def test_examples_run(module):
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    loaded = importlib.import_module(module)
    for test in finder.find(loaded, module):
        if test.examples:
            runner.run(test)
    assert runner.failures == 0
