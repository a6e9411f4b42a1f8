"""Notebooks show the estimators; no documentation is hosted yet, so nothing links to one."""

import re

import pytest
import sklearn
from packaging.version import Version
from sklearn.utils import estimator_html_repr

from sklearn_sparsedis.estimators._persistence import MODELS


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_shown_and_no_link_leads_nowhere(name):
    estimator = MODELS[name].estimator()
    shown = estimator_html_repr(estimator)
    if Version(sklearn.__version__) >= Version("1.7"):  # which shows parameters first
        names = set(re.findall(r">(\w+)(?:&nbsp;)?<", shown))
        assert names >= set(estimator.get_params())
    assert not re.findall(r'href="[^"]*"', shown)
