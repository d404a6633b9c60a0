"""One thread for torch in every test: equal results on any machine, and no spinning beside other work."""

import ast
import gc
import os
import re
import tempfile

from seen import browser, look

__all__ = ["browser", "look"]

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Who made a run is recorded here, and not in the settings of whoever runs the tests.
_own = tempfile.TemporaryDirectory(prefix="rationem-tests-")
os.environ["RATIONEM_CONFIG"] = _own.name


def pytest_ignore_collect(collection_path, config):
    """Skip a module whose own marks leave out all of its tests: most of a collection is importing torch for them."""
    left_out = config.option.markexpr
    if collection_path.suffix != ".py" or not re.fullmatch(r"not \w+( and not \w+)*", left_out):
        return None
    return True if _own_marks(collection_path) & set(re.findall(r"not (\w+)", left_out)) else None


def pytest_collection_finish():
    """Keep what is collected out of the garbage collector, which otherwise walks it again and again."""
    gc.collect()
    gc.freeze()


def _own_marks(path):
    """The names of the marks in a module's own ``pytestmark``."""
    text = path.read_text(encoding="utf-8")
    found = [
        ast.unparse(node.value)
        for node in (ast.parse(text).body if "pytestmark" in text else ())
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    return {name for marks in found for name in re.findall(r"pytest\.mark\.(\w+)", marks)}
