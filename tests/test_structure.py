"""The house: imports run one way, names resolve lazily, nothing heavy or unsafe comes in by the back door."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from functools import cache, wraps
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import rationem

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "rationem"
FILES = sorted(SOURCE.rglob("*.py"))
#: The rooms of the house, in order: what a room holds imports from the rooms before it and from its own, inside
#: functions too. So no pair of rooms imports both ways.
ROOMS = (
    *("errors", "seeds", "types", "progress", "tasks", "metrics", "ledger", "engines", "data", "sampling", "config"),
    *("evaluation", "em", "sft", "world", "report", "run", "check", "judging", "export", "compare", "cli"),
)
#: Files and folders on the top level: the rooms, ``__init__`` and ``py.typed``. May only fall.
MOST_ENTRIES = 24
HEAVY = ("torch", "transformers", "accelerate", "peft", "numpy", "pyarrow", "matplotlib", "pydantic", "rich")
MAX_FILE, MAX_FUNCTION, MAX_LOOP = 400, 100, 218


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def nodes(path):
    """All nodes of a file's tree."""
    return tuple(ast.walk(tree(path)))


def module(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in FILES}


def of_each(things):
    """A test of every file or name as one test: hundreds of them would take longer to count than to run."""

    def repeated(test):
        @wraps(test)
        def all_of_them():
            for thing in things:
                test(thing)

        del all_of_them.__wrapped__  # pytest would ask for the argument
        return all_of_them

    return repeated


def functions(path):
    return [node for node in nodes(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def calls(path, *names):
    """Calls whose last name is one of these: f(...) and a.b.f(...)."""
    for node in nodes(path):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in names:
                yield node


def keyword(call, name):
    return next((argument.value for argument in call.keywords if argument.arg == name), None)


@cache
def imported(path, *, when_called=True):
    """The rationem modules that this one imports, but for type checking; ``when_called``: in functions too."""
    found = set()

    def visit(nodes):
        for node in nodes:
            if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
                visit(node.orelse)
            elif isinstance(node, ast.Import):
                found.update(name.name.removeprefix("rationem.") for name in node.names if is_ours(name.name))
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                if is_ours(node.module):
                    found.update(target(node.module, name.name) for name in node.names)
            elif when_called or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                visit(ast.iter_child_nodes(node))

    visit(tree(path).body)
    return found


def loaded_with(path):
    """The rationem modules that loading this one loads."""
    return imported(path, when_called=False)


def is_ours(name):
    return name == "rationem" or name.startswith("rationem.")


def target(where, name):
    inner = f"{where}.{name}".removeprefix("rationem.")
    outer = where.removeprefix("rationem").removeprefix(".")
    return inner if inner in MODULES else outer


def room(name):
    return ROOMS.index(name.split(".")[0])


def test_the_top_level_holds_the_rooms_and_nothing_else():
    entries = {path.name for path in SOURCE.iterdir() if path.name != "__pycache__"}
    assert {name.removesuffix(".py") for name in entries} == {*ROOMS, "__init__", "py.typed"}
    assert len(entries) <= MOST_ENTRIES


@of_each([name for name in MODULES if name])
def test_imports_run_one_way(name):
    for one in imported(MODULES[name]):
        assert one, f"{name} imports the package itself, which imports everything lazily"
        assert room(one) <= room(name), f"{name} imports {one}"


def sql_in(path):
    """Lines that execute SQL or hold any in a string."""
    words = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|PRAGMA)\b")
    yield from (call.lineno for call in calls(path, "execute", "executemany", "executescript"))
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and words.search(node.value):
            yield node.lineno


def test_all_sql_is_in_the_ledger():
    found = {name for name, path in MODULES.items() if any(sql_in(path))}
    assert found  # and the reader of SQL reads it
    assert {name for name in found if name.split(".")[0] != "ledger"} == set()


def compared_with(path, names):
    """Lines that compare something with one of these names, or match it."""
    for node in nodes(path):
        sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        sides += [node.value] if isinstance(node, ast.MatchValue) else []
        for side in sides:
            values = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
            if any(isinstance(one, ast.Constant) and one.value in names for one in values):
                yield node.lineno


def test_one_sampler_serves_training_evaluation_and_judging():
    """Rounds, retries and the reading of drafts are those of ``sampling/``; an engine may measure itself."""
    asking = {name for name, path in MODULES.items() if any(calls(path, "sample", "score_levels", "submit_levels"))}
    assert {"sampling.rounds", "sampling.refill", "sampling.unlabelled"} <= asking
    assert {name for name in asking if name.split(".")[0] not in ("sampling", "engines")} == set()


def test_no_engine_is_asked_for_its_name():
    """Its row in ``engines/table.py`` says what it can do and needs."""
    from rationem.engines.table import ENGINES

    assert {"transformers", "vllm", "endpoint"} <= set(ENGINES)
    found = {name: list(compared_with(path, set(ENGINES))) for name, path in MODULES.items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


def lists_of(path, names):
    """Lines where a literal tuple, list, set or dict has three of these names or more."""
    for node in nodes(path):
        parts = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
        values = {one.value for one in parts if isinstance(one, ast.Constant)}
        if len({value for value in values if isinstance(value, str) and value in names}) >= 3:
            yield node.lineno


def test_metrics_are_listed_in_their_table_and_nowhere_else():
    """Pages, the bootstrap and comparisons read ``metrics/table.py``; what computes metrics names its own."""
    from rationem.metrics import METRICS

    found = {name: list(lists_of(path, set(METRICS))) for name, path in MODULES.items()}
    computing = ("metrics.scores", "metrics.levels", "metrics.tables", "metrics.criteria", "metrics.baselines")
    assert found["metrics.tables"]  # and the reader of lists reads them
    assert {name: lines for name, lines in found.items() if lines and name not in computing} == {}


def test_no_two_public_classes_share_a_name():
    homes = {}
    for name, path in MODULES.items():
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(name)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_no_module_needs_itself_to_be_loaded():
    graph = {
        name: loaded_with(path) - ({name} if path.name == "__init__.py" else set()) for name, path in MODULES.items()
    }
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert graph["em"] >= {"sampling.draw", "ledger", "types"}  # and the reader of imports reads them


def test_the_loop_has_no_clock_no_progress_and_few_values_to_carry():
    loop = tree(SOURCE / "em.py")
    assert not {"time", "sqlite3", "progress"} & {
        name.name for node in ast.walk(loop) if isinstance(node, ast.Import | ast.ImportFrom) for name in node.names
    }
    called = {node.attr for node in ast.walk(loop) if isinstance(node, ast.Attribute)}
    assert not called & {"finish", "publish", "say", "perf_counter", "close"}
    (problem,) = [node for node in loop.body if isinstance(node, ast.ClassDef) and node.name == "Problem"]
    assert len([node for node in problem.body if isinstance(node, ast.AnnAssign)]) <= 11
    assert len((SOURCE / "em.py").read_text(encoding="utf-8").splitlines()) <= MAX_LOOP


def test_the_package_itself_imports_nothing_of_its_own():
    assert loaded_with(SOURCE / "__init__.py") == set()


def test_tasks_parsers_and_selectors_never_see_a_model():
    for name in (
        *("tasks.judge", "tasks.parse", "tasks.rewards", "tasks.scale", "seeds", "ledger", "em"),
        *("sampling.schemes", "sampling.draw", "sampling.trials", "evaluation.evaluate"),
    ):
        text = ast.unparse(tree(MODULES[name]))
        assert "import torch" not in text, name
        assert "from transformers" not in text, name


LIGHT = {
    "import rationem": HEAVY,
    "import rationem; rationem.Example, rationem.Outcome, rationem.RationemError, rationem.STAR": HEAVY[:-1],
    "from rationem.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass": HEAVY,
    "from rationem.cli.main import main\ntry: main(['fit', '--help'])\nexcept SystemExit: pass": HEAVY[:4],
    "from rationem.cli.main import main\nmain(['report', 'no-such-run'])": HEAVY[:4],
    "import rationem; rationem.fit, rationem.Problem, rationem.Ledger, rationem.JudgeTask, rationem.FitConfig": HEAVY[
        :4
    ],
    "import rationem; rationem.Training": HEAVY[:4],
    "import rationem.run.launch, rationem.compare.demo, rationem.report, rationem.world, rationem.data": HEAVY[:4],
}


@pytest.mark.slow
@pytest.mark.parametrize("code", LIGHT)
def test_nothing_heavy_is_loaded_before_it_is_needed(code):
    command = [sys.executable, "-c", f"{code}\nimport sys, json\nprint()\nprint(json.dumps(sorted(sys.modules)))"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(json.loads(told.stdout.splitlines()[-1]))
    assert loaded & set(LIGHT[code]) == set()
    assert "rationem" in loaded


def test_public_names_are_sorted_and_listed():
    assert list(rationem.__all__) == sorted(set(rationem.__all__))
    assert dir(rationem) == rationem.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rationem.nothing


def test_no_public_name_is_a_module_of_the_package():
    """Loading the module would silently put it in the name's place."""
    assert set(rationem.__all__) & {name.split(".")[0] for name in MODULES} == set()


@of_each(rationem.__all__)
def test_every_public_name_is_where_the_table_says_and_has_a_docstring(name):
    path = MODULES[rationem._PUBLIC[name]]
    for node in tree(path).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            assert ast.get_docstring(node), name
            return
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(one, ast.Name) and one.id == name for one in targets):
            assert name.isupper()  # a value: its class explains it
            return
    pytest.fail(f"{name} is not defined in {path}")


@pytest.mark.slow
def test_every_public_name_resolves():
    for name in rationem.__all__:
        value = getattr(rationem, name)
        assert value.__doc__, name
        assert getattr(rationem, name) is value


def public(nodes, prefix=""):
    for node in nodes:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{node.name}.")


@of_each(FILES)
def test_everything_public_has_a_docstring(path):
    assert ast.get_docstring(tree(path)), path
    assert [name for name, node in public(tree(path).body) if not ast.get_docstring(node)] == [], path


@of_each(FILES)
def test_files_and_functions_are_of_a_size_to_be_read(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE, path
    sizes = {node.name: node.end_lineno - node.lineno + 1 for node in functions(path)}
    assert {name: size for name, size in sizes.items() if size > MAX_FUNCTION} == {}, path


@of_each(FILES)
def test_no_error_is_swallowed_whole(path):
    """A broad handler must raise what it caught, or from it; ``suppress`` of everything is a broad handler too."""
    broad = {"Exception", "BaseException"}
    for node in nodes(path):
        if isinstance(node, ast.ExceptHandler):
            names = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else broad
            last = node.body[-1]
            raises = isinstance(last, ast.Raise) and (last.exc is None or last.cause is not None)
            assert raises or not names & broad, f"{path}:{node.lineno}"
    for call in calls(path, "suppress"):
        assert not broad & {getattr(argument, "id", "") for argument in call.args}, f"{path}:{call.lineno}"


@of_each(FILES)
def test_a_model_is_data_and_never_a_program(path):
    for node in nodes(path):
        names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        assert not {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"} & set(names), path
    for call in calls(path, "from_pretrained"):
        if ast.unparse(call.func).split(".")[0].startswith("Auto"):
            trust = keyword(call, "trust_remote_code")
            assert isinstance(trust, ast.Constant), f"{path}:{call.lineno}"
            assert trust.value is False
        if "AutoModel" in ast.unparse(call.func):
            assert ast.unparse(keyword(call, "use_safetensors") or ast.Constant(None)) == "True", (
                f"{path}:{call.lineno}"
            )
    for call in nodes(path):
        if isinstance(call, ast.Call):
            trust = keyword(call, "trust_remote_code")
            assert trust is None or (isinstance(trust, ast.Constant) and trust.value is False), f"{path}:{call.lineno}"
            if ast.unparse(call.func) == "torch.load":
                assert ast.unparse(keyword(call, "weights_only") or ast.Constant(None)) == "True", (
                    f"{path}:{call.lineno}"
                )
            assert getattr(call.func, "id", "") not in {"eval", "exec"}, f"{path}:{call.lineno}"


@of_each(FILES)
def test_no_global_generator_is_consulted(path):
    """Draws come from named seeds: no ``random`` module functions, no ``numpy.random`` but generators of its own."""
    own = {"Generator", "Philox", "PCG64", "SeedSequence", "default_rng"}
    for node in nodes(path):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            assert owner not in {"np.random", "numpy.random"} or node.attr in own, f"{path}:{node.lineno}"
            assert owner != "random" or node.attr == "Random", f"{path}:{node.lineno}"


def committed(suffix):
    skipped = {"build", "dist", "runs", "node_modules"}
    return [
        path
        for path in sorted(ROOT.rglob(f"*{suffix}"))
        if not any(
            part.startswith(".") or part in skipped or part.endswith("-info") for part in path.relative_to(ROOT).parts
        )
    ]


def test_every_configuration_beside_the_code_can_be_run():
    from rationem.config import read_config
    from rationem.sampling.schemes import parse_scheme

    assert ROOT / "pyproject.toml" in committed(".toml")
    for path in committed(".toml"):
        if path.name != "pyproject.toml":
            config = read_config(path, {})
            assert parse_scheme(config.scheme, config.selector).plan, path


def test_the_project_says_what_it_is():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert project["version"] == rationem.__version__
    assert (SOURCE / "py.typed").is_file()
    assert project["scripts"]["rationem"] == "rationem.cli.main:main"


def test_every_invariant_has_a_guard_on_the_toy_among_the_fast_tests():
    page = (SOURCE.parents[1] / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d)\. \*\*.*$", page, re.MULTILINE)
    assert rows == ["1", "2", "3", "4", "5"]
    for row in re.findall(r"^\| \d\. \*\*.*$", page, re.MULTILINE):
        assert any(_is_fast_on_the_toy(*found) for found in _tests_named(row)), row


def _tests_named(row):
    """(file, test) of each that a row names; ``::test`` is of the file before it."""
    file = ""
    for name, test in re.findall(r"`(\w+\.py)?::(\w+)`", row):
        file = name or file
        yield Path(__file__).with_name(file), test


def _is_fast_on_the_toy(path, test):
    (node,) = [one for one in functions(path) if one.name == test]
    marks = " ".join(ast.unparse(one) for one in [*node.decorator_list, *tree(path).body] if "slow" in ast.unparse(one))
    is_slow = "pytest.mark.slow" in [ast.unparse(one) for one in node.decorator_list] or "pytestmark" in marks
    return "import toy" in path.read_text(encoding="utf-8") and not is_slow
