"""The examples in the docstrings of the core are true."""

import doctest
import importlib
import pkgutil

import pytest

import fundus_uda.affinity

MODULES = [
    f"fundus_uda.affinity.{module.name}"
    for module in pkgutil.iter_modules(fundus_uda.affinity.__path__)
]
WITH_EXAMPLES = {"fundus_uda.affinity.baselines", "fundus_uda.affinity.equations"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    assert result.attempted > 0 or name not in WITH_EXAMPLES


def test_there_are_examples():
    assert set(MODULES) >= WITH_EXAMPLES
