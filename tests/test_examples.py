"""Each file in ``examples/`` does what it says."""

import ast
import importlib
import importlib.util
from collections import Counter
from pathlib import Path

import pytest

from rationem import Outcome
from rationem.cli.main import main
from rationem.em import fit
from rationem.types import Purpose

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


@pytest.fixture(autouse=True)
def examples_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)


def fitted(problem, iterations=2):
    fit(problem, iterations)
    problem.ledger.close()


def test_every_example_has_at_most_a_hundred_lines_and_a_test_here():
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 100
        assert f"test_{path.stem}_" in tested


def test_em_on_a_table_raises_the_likelihood(tmp_path):
    table = importlib.import_module("em_on_a_table")
    problem = table.problem(tmp_path)
    fitted(problem)
    before, *after = [table.log_likelihood(p) for p in (problem.base, *map(problem.ledger.checkpoint, (1, 2)))]
    assert before + 0.5 < after[0] < after[1] < 0


def test_own_scheme_draws_twice_keeps_the_shortest_and_hints_only_after_three_failures(tmp_path):
    own = importlib.import_module("own_scheme")
    problem = own.table.problem(tmp_path, own.SCHEME)
    fit(problem, 1)
    drawn = {}
    for trial in problem.ledger.trials(1, Purpose.TRAIN):
        drawn.setdefault(trial.example_id, []).append(trial)
    kept = {one.example_id: one.attempt for one in problem.ledger.kept(1)}
    problem.ledger.close()
    assert set(Counter(len(several) for several in drawn.values())) == {2, 3, 4}
    for name, several in drawn.items():
        accepted = [t for t in several if t.outcome is Outcome.ACCEPTED]
        assert (len(several) == 4) == all(t.outcome is Outcome.WRONG for t in several[:3])
        assert (name in kept) == bool(accepted)
        if accepted:
            assert len(several[kept[name]].parsed.rationale) == min(len(t.parsed.rationale) for t in accepted)


def test_own_engine_ends_where_the_scripted_engine_does(tmp_path):
    own = importlib.import_module("own_engine")
    problem = own.table.problem(tmp_path / "own", engine=own.WordEngine, m_step=own.m_step)
    scripted = own.table.problem(tmp_path / "scripted")
    for one in (problem, scripted):
        fitted(one, iterations=1)
    here, there = (own.table.table_of(one.ledger.checkpoint(1)) for one in (problem, scripted))
    assert here == there  # equal seeds draw equal cells of equal tables


def test_own_task_keeps_to_what_a_task_must_keep_to(tmp_path, monkeypatch, capsys):
    (tmp_path / "notes.csv").write_text(
        "note,sender,tone\nDo it now.,Ada,Rude\nThank you so much!,,Warm\nNoted.,Eve,Curt\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["task", "check", f"{EXAMPLES / 'own_task.py'}:Tone", "notes.csv", "--answer-col", "tone"]) == 0
    assert "meets all requirements, tested on 3 items" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["benchmarks", "examples", "studies", "tools"])
def test_what_scripts_import_from_the_package_is_there(folder):
    for path in sorted((ROOT / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rationem":
                module = importlib.import_module(node.module)
                for name in (one.name for one in node.names):
                    found = hasattr(module, name) or importlib.util.find_spec(f"{node.module}.{name}")
                    assert found, f"{path.name} imports {name} from {node.module}"
