"""The examples in the docstrings are true, of every module that has any."""

import doctest
import importlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
PATHS = sorted(path for path in SOURCE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


def name_of(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_the_examples_are_found():
    assert {"rationem.errors", "rationem.tasks.parse", "rationem.tasks.scale"} <= set(map(name_of, PATHS))


@pytest.mark.parametrize("name", [name_of(path) for path in PATHS])
def test_docstring_examples(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
