"""The examples in the docstrings are true."""

import doctest
import importlib

import pytest

MODULES = (
    "engines.scripted", "errors", "metrics.distributions", "parse", "report.tables", "rewards", "scale", "schemes",
    "seeds", "world.questions", "world.rubrics",
)  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    result = doctest.testmod(importlib.import_module(f"rationem.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
