"""A model that writes no verdicts is found out before it is trained on nothing."""

import json
from dataclasses import replace

import pytest

import checkpoints
import toy
from rationem import PPS, STAR, ScriptedEngine, progress, rejection_sampling
from rationem.cli.main import main
from rationem.em import fit
from rationem.errors import ColdStart
from rationem.evaluation.diagnostics.cold_start import LEAST, shares, told
from rationem.types import Finish, Outcome, Purpose


def engine_that_reads(of_16):
    """Like the toy's, but a draft ends with a verdict only in so many of 16 cases."""

    def open_engine(theta):
        inner = toy.open_engine(theta)

        def say(request):
            return inner._say(request) if request.seed % 16 < of_16 else "I like it."

        return ScriptedEngine(say, inner._levels)

    return open_engine


@pytest.fixture
def said(monkeypatch):
    """What is printed, line by line."""
    lines = []
    monkeypatch.setattr(progress, "say", lines.append)
    return lines


def starts(problem):
    return list(problem.ledger.trials(0, Purpose.START))


def test_every_proposal_is_probed_before_anything_else_is_drawn(tmp_path, said):
    problem = toy.problem(tmp_path, STAR, engine=engine_that_reads(4), start=32)
    fit(problem, 1)
    record = problem.ledger.record(0, "start")
    drawn = starts(problem)
    for name in ("forward", "rationalize"):
        of_it = [trial for trial in drawn if trial.proposal == name]
        assert len(of_it) == 32 == record[name]["drafts"]
        assert record[name]["readable"] == sum("Final rating" in trial.draft.text for trial in of_it)
        assert record[name]["right"] == sum(trial.outcome is Outcome.ACCEPTED for trial in of_it)
    assert said[0].startswith("before the first iteration: 32 forward drafts")
    assert "--demos" in "".join(said)


def test_a_probe_with_enough_verdicts_gives_no_advice(tmp_path, said):
    fit(toy.problem(tmp_path, STAR, start=32), 1)
    assert said[1].startswith("before the first iteration: 32 rationalize drafts: 32 readable")
    assert not [line for line in said if "Warning" in line]


def test_only_prompts_that_the_plan_samples_from_must_be_readable(tmp_path, said):
    """PPS samples behind the hint alone: what the bare question gives is shown and no reason for advice."""

    def open_engine(theta):
        inner = toy.open_engine(theta)
        return ScriptedEngine(lambda r: inner._say(r) if r.prompt.kind == "rationalize" else "hm", inner._levels)

    fit(toy.problem(tmp_path, PPS, engine=open_engine, start=8), 1)
    assert said[0].startswith("before the first iteration: 8 forward drafts: 0 readable")
    assert not [line for line in said if "Warning" in line]


def test_a_resumed_run_does_not_probe_again(tmp_path):
    problem = toy.problem(tmp_path, PPS, start=8)
    fit(problem, 1)
    before = starts(problem)
    fit(problem, 2)
    assert starts(problem) == before
    assert len(before) == 16  # unhinted drafts are probed too: the test asks for them


def test_an_e_step_that_keeps_nothing_stops_and_goes_on_only_when_told_to(tmp_path):
    problem = toy.problem(tmp_path, STAR, engine=engine_that_reads(0), cold=True)
    with pytest.raises(ColdStart, match="kept 0 of 100 examples; of 200 drafts 0 could be read") as caught:
        fit(problem, 3)
    assert caught.value.exit_code == 3
    drafts = len(list(problem.ledger.trials(1, Purpose.TRAIN)))
    with pytest.raises(ColdStart):  # the same command finds the same
        fit(problem, 3)
    assert fit(toy.changed(problem, cold=False), 1).last == 1
    assert len(list(problem.ledger.trials(1, Purpose.TRAIN))) == drafts


def test_few_verdicts_stop_a_run_only_where_few_examples_are_kept(tmp_path):
    """Of 16 drafts one is readable: under a tenth is kept. With four of 16 a hint still keeps a fifth."""
    scheme = rejection_sampling(1)
    with pytest.raises(ColdStart, match="could be read"):
        fit(toy.problem(tmp_path / "few", scheme, engine=engine_that_reads(1), cold=True), 1)
    problem = toy.problem(tmp_path / "more", PPS, engine=engine_that_reads(4), cold=True)
    fit(problem, 1)
    assert problem.ledger.record(1, "e_step")["outcomes"]["unparseable"] > (1 - LEAST) * 100


def test_a_hard_task_is_no_cold_start(tmp_path):
    """Every draft is readable and hardly one is right: the model needs hints or tries, not a format."""

    def open_engine(theta):
        inner = toy.open_engine(theta)

        def say(request):
            said = inner._say(request)
            return said if request.seed % 32 == 0 else f"{said.splitlines()[0]}\nFinal rating: 2"

        return ScriptedEngine(say, inner._levels)

    problem = toy.problem(tmp_path, rejection_sampling(1), engine=open_engine, cold=True)
    data = [x for x in problem.data.train if x.answer != "2"]
    problem = toy.changed(problem, data=type(problem.data)(tuple(data), problem.data.validation, problem.data.test))
    fit(problem, 1)
    assert problem.ledger.record(1, "e_step")["outcomes"]["wrong"] > 0.9 * len(data)


def test_cut_drafts_call_for_a_longer_limit(tmp_path):
    problem = toy.problem(tmp_path, STAR, engine=engine_that_reads(0), start=8)
    fit(problem, 1)
    cut = [replace(trial, draft=replace(trial.draft, finish=Finish.LENGTH)) for trial in starts(problem)]
    assert "raise --max-new-tokens" in told(shares(cut), cut, 48, {"forward"})[-1]


@pytest.mark.slow
def test_a_model_that_knows_nothing_ends_with_exit_code_3(tmp_path, capsys):
    model = checkpoints.checkpoint(tmp_path / "model")
    common = ["fit", "world", "--model", model, "--scheme", "star", "--output", str(tmp_path / "run"), "--iterations"]
    small = ["1", "--world-size", "12", "--steps", "1", "--draws", "1", "--evidence-draws", "0", "--wrong-hints", "0"]
    small += ["--difficulty-examples", "0", "--max-new-tokens", "4", "--threads", "1"]
    assert main([*common, *small]) == 3
    err = capsys.readouterr().err
    assert "--go-on" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert main([*common, *small, "--go-on"]) == 0
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["last_iteration"] == 1


@pytest.mark.slow
def test_check_offers_the_same_probe(tmp_path, capsys):
    model = checkpoints.checkpoint(tmp_path / "model")
    assert main(["check", "world", "--world-size", "40", "--model", model, "--max-new-tokens", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["drafts"] is None
    flags = ["--world-size", "40", "--max-new-tokens", "4", "--start-examples", "8", "--threads", "1"]
    assert main(["check", "world", "--model", model, *flags, "--probe", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["drafts"]["forward"] == {"drafts": 8, "readable": 0, "cut": 8, "right": 0}
    assert "unreadable_drafts" in {one["code"] for one in found["findings"]}
    assert main(["check", "world", "--probe"]) == 2
