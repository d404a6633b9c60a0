"""What a report says of demonstrations is what the ledger's drafts were shown."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import toy
from demonstrated import SEEN, shown_at, tempted, unreadable
from rationem import report
from rationem.cli.main import main
from rationem.report.page import write_page
from rationem.report.sections import demonstrations as section
from rationem.report.text import section as markdown
from rationem.sampling.demonstrated import PHASE
from rationem.tasks.demonstration import Demonstration
from rationem.types import Purpose

TWO = replace(SEEN, count=2)
#: Nothing is measured that the section does not show.
QUICK = {"hinted": 0, "wrong": 0, "probed": 0}
ROOT = Path(__file__).parents[1]


def summarized(problem):
    return report.summarize(problem.ledger.directory)


def shown_in(problem, k):
    return Counter(name for trial in problem.ledger.trials(k, Purpose.TRAIN) for name in trial.demos)


def page_of(summary):
    return "\n".join(markdown(section.demonstrations(summary)))


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Iteration 1 shows the task's own, iteration 2 drafts of the model."""
    problem = shown_at(tmp_path_factory.mktemp("own"), "rationalize~demos*2", 2, copies=4, demos=TWO, **QUICK)
    return problem, summarized(problem)


def test_every_iteration_says_how_many_were_shown_and_where_they_came_from(own):
    problem, summary = own
    steps = summary["demonstrations"]["iterations"]
    assert [(one["iteration"], one["source"], one["count"]) for one in steps] == [(1, "task", 2), (2, "own drafts", 2)]
    for one in steps:
        drawn = [trial.demos for trial in problem.ledger.trials(one["iteration"], Purpose.TRAIN)]
        assert one["drafts"] == len(drawn) > 0
        assert one["per_draft"] == pytest.approx(sum(map(len, drawn)) / len(drawn))
        assert one["readable"] == problem.ledger.record(one["iteration"], PHASE)["readable"]
    page = page_of(summary)
    assert f"| 1 | the task's own | {steps[0]['drafts']} | 2.0 | 2 |" in page
    assert f"| 2 | the model's own drafts (of {steps[1]['candidates']} scored) |" in page


def test_the_texts_are_those_of_the_last_iteration_that_showed_some_with_the_drafts_that_saw_them(own):
    problem, summary = own
    found = summary["demonstrations"]
    assert found["last_shown"] == 2
    assert {one["name"]: one["drafts"] for one in found["texts"]} == shown_in(problem, 2)
    chosen = {one["name"]: one for one in problem.ledger.record(2, PHASE)["chosen"]}
    page = page_of(summary)
    for one in found["texts"]:
        assert (one["fields"], one["answer"], one["rationale"]) == tuple(
            chosen[one["name"]][key] for key in ("fields", "answer", "rationale")
        )
        assert f"Rationale: {one['rationale']} – Answer: {one['answer']}" in page


def test_the_tasks_own_are_shown_with_their_texts(tmp_path):
    problem = shown_at(tmp_path, "forward~demos", 1, copies=4, demos=TWO, **QUICK)
    found = summarized(problem)["demonstrations"]
    assert {one["name"]: one["drafts"] for one in found["texts"]} == shown_in(problem, 1)
    known = {one.name: one for one in toy.TASK.demonstrations(problem.data.train[0].fields)}
    assert found["texts"]
    for one in found["texts"]:
        assert (one["fields"], one["rationale"]) == (known[one["name"]].fields, known[one["name"]].rationale)


def test_a_report_says_when_they_were_dropped_and_shows_the_last_that_were_shown(tmp_path):
    problem = shown_at(tmp_path, "forward~demos*3", 3, engine=unreadable, demos=replace(TWO, until=0.9), **QUICK)
    summary = summarized(problem)
    steps = summary["demonstrations"]["iterations"]
    assert [(one["dropped"], one["readable"], one["per_draft"]) for one in steps] == [
        *((False, 0.0, 2.0), (True, 1.0, None), (True, 1.0, None))
    ]
    assert summary["demonstrations"]["last_shown"] == 1
    page = page_of({**summary, "config": {**summary["config"], "demos_until": 0.9}})
    assert "| 2 | none | 0 | – | 2 | 1.00 | yes |" in page
    assert "Shown in iteration 1, the last that showed any" in page
    assert "reaches 0.9" in page


def test_a_run_without_demonstrations_has_no_such_section(tmp_path):
    problem = shown_at(tmp_path, "forward", 1, copies=2, **QUICK)
    summary = summarized(problem)
    assert summary["demonstrations"] is None
    assert section.demonstrations(summary) is None


HOSTILE = '</script><img src=x onerror="hacked()"> | ` [a](b) \x1b[2J'


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A file's demonstrations, whose texts would act if they were more than texts."""
    one = Demonstration(HOSTILE, {"prompt": HOSTILE, "response": HOSTILE}, "3", HOSTILE)
    seen = replace(SEEN, count=1, chosen=(one,), fills=False)
    return shown_at(
        tmp_path_factory.mktemp("hostile"), "forward~demos", 1, engine=tempted, copies=2, demos=seen, **QUICK
    )


def test_texts_of_a_file_stay_texts(hostile):
    summary = summarized(hostile)
    assert [one["source"] for one in summary["demonstrations"]["iterations"]] == ["file"]
    assert [one["fields"]["prompt"] for one in summary["demonstrations"]["texts"]] == [HOSTILE]
    page = page_of(summary)
    assert "your file" in page
    assert "<img" not in page
    assert "\x1b" not in page


@pytest.mark.slow
def test_and_on_the_page_whose_list_of_drafts_names_demonstrations(hostile, tmp_path):
    write_page({"run": hostile.ledger.directory}, tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h2>Demonstrations</h2>" in html
    assert "<img src=x" not in html
    assert "for training, from the question alone, after demonstrations" in html


def test_one_examples_life_says_how_many_a_draft_was_shown(own, capsys):
    problem, _ = own
    name = problem.data.train[0].id
    assert main(["show", str(problem.ledger.directory), "--example", name]) == 0
    told = capsys.readouterr().out
    drawn = [trial for k in (1, 2) for trial in problem.ledger.trials(k, Purpose.TRAIN) if trial.example_id == name]
    assert drawn
    assert told.count("shown 2 demonstrations") == len(drawn)


def test_every_number_of_the_section_is_documented(own):
    page = (ROOT / "docs" / "run-directory.md").read_text(encoding="utf-8")
    found = own[1]["demonstrations"]
    for name in ("demonstrations", *found, *found["iterations"][0], *found["texts"][0]):
        assert f"`{name}`" in page, name
