"""Refit: what was drawn is judged, selected and trained on again; nothing of the training set is drawn."""

import csv
import hashlib
import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rationem import FitConfig, Ledger, RationemError, progress, start
from rationem.cli.main import main
from rationem.run.refit import _settings, refit
from rationem.sampling import hint_leakage

slow = pytest.mark.slow


@pytest.fixture(autouse=True)
def said(monkeypatch):
    """What was told, and each test's display ends with it."""
    heard = []
    monkeypatch.setattr(progress, "_display", progress.Silent())
    monkeypatch.setattr(progress, "say", heard.append)
    return heard


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """STaR, and two hinted draws of which one is resampled, two iterations each, of a model that writes verdicts."""
    import checkpoints

    folder = tmp_path_factory.mktemp("refit")
    checkpoints.grader(folder / "model")
    with (folder / "ratings.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt", "response", "rating"])
        rows.writerows([f"what is {n} ?", f"{n} kind", random.Random(n).randint(1, 5)] for n in range(50))
    settings = {
        "data": (str(folder / "ratings.csv"),), "scale": "1-5", "model": str(folder / "model" / "grader"),
        "iterations": 2, "steps": 4, "batch_size": 8, "micro_batch_size": 4, "max_new_tokens": 24,
        "max_prompt_tokens": 600, "learning_rate": 1e-3, "draws": 2, "evidence_draws": 2, "wrong_hints": 4,
        "difficulty_examples": 4, "sampling_batch": 16, "threads": 1, "validation_share": 0.2, "test_share": 0.2,
    }  # fmt: skip
    start(FitConfig(**settings, scheme="star"), folder / "star")
    start(FitConfig(**settings, scheme="rationalize*2", selector="resample"), folder / "resample")
    (folder / "ratings.csv").unlink()  # a refit reads no data
    return folder


def rows(run, query, *values):
    with closing(sqlite3.connect(f"file:{run}/ledger.sqlite?mode=ro", uri=True)) as db:
        return db.execute(query, values).fetchall()


def weights(run, k=1):
    return (run / "checkpoints" / f"iteration-{k:03d}" / "model.safetensors").read_bytes()


def contents(run):
    """Every file by its bytes, but SQLite's own scratch beside a ledger that is read."""
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(run).rglob("*"))
        if path.is_file() and not path.name.startswith("ledger.sqlite-")
    }


KEPT = "SELECT position, example_id, attempt, weight, drawn FROM kept WHERE iteration=1 ORDER BY position"
STATES = "SELECT example_id, state FROM states WHERE iteration=1 ORDER BY example_id"
DRAWN = (
    "SELECT example_id, attempt, retry, proposal, seed, prompt_tokens, token_ids, text, finish, token_logps "
    "FROM trials WHERE iteration=? AND purpose='train' ORDER BY example_id, attempt, retry"
)


@slow
@pytest.mark.parametrize("scheme", ["star", "resample"])
def test_with_nothing_changed_it_ends_with_the_same_weights_bit_for_bit(runs, tmp_path, scheme):
    old, new = runs / scheme, tmp_path / "new"
    before = contents(old)
    refit(old, new, {})
    assert rows(new, KEPT) == rows(old, KEPT) != []
    assert rows(new, STATES) == rows(old, STATES)
    assert weights(new) == weights(old) != weights(old, 2)
    base = "SELECT example_id, predicted, probabilities, raw FROM predictions WHERE iteration=0 AND split='validation'"
    assert rows(new, base) == rows(old, base)
    assert contents(old) == before


@slow
def test_no_training_example_is_drawn_for(runs, tmp_path, monkeypatch):
    """Not one prompt of the training set is sampled from, forward or hinted; the trials are the old ones."""
    from rationem.engines.transformers import TransformersEngine
    from rationem.ledger import read_examples, read_manifest
    from rationem.tasks.judge import JudgeTask

    old, new = runs / "resample", tmp_path / "new"
    with closing(sqlite3.connect(old / "ledger.sqlite")) as db:
        task = JudgeTask.from_description(read_manifest(db)["task"])
        train = read_examples(db, "train")
    forbidden = {task.prompt(x.fields).text for x in train}
    forbidden |= {task.hint_prompt(x.fields, level).text for x in train for level in task.levels}
    sample, asked = TransformersEngine.sample, []

    def watched(self, requests):
        asked.extend(request.prompt.text for request in requests)
        assert not forbidden & set(asked)
        return sample(self, requests)

    monkeypatch.setattr(TransformersEngine, "sample", watched)
    refit(old, new, {"selector": "weighted", "reward": "within:1"})
    assert asked  # the evaluation draws
    assert rows(new, DRAWN, 1) == rows(old, DRAWN, 1) != []
    assert rows(new, "SELECT DISTINCT iteration FROM trials WHERE purpose='train'") == [(1,)]
    assert rows(new, "SELECT COUNT(*) FROM trials WHERE purpose NOT IN ('train', 'eval', 'evidence', 'probe')") == [
        (0,)
    ]


@slow
def test_a_looser_reward_keeps_more_and_what_it_accepts_is_counted_by_hand(runs, tmp_path):
    old, new = runs / "star", tmp_path / "new"
    refit(old, new, {"reward": "within:1", "selector": "all"})
    kept = "SELECT example_id, attempt FROM kept WHERE iteration=1"
    assert set(rows(old, kept)) < set(rows(new, kept))
    near = rows(
        new,
        "SELECT example_id, attempt FROM trials JOIN examples ON id=example_id WHERE iteration=1 AND purpose='train' "
        "AND predicted IS NOT NULL AND finish='stop' AND ABS(CAST(predicted AS INT) - CAST(answer AS INT)) <= 1",
    )
    assert set(rows(new, kept)) == set(near)


@slow
def test_a_refit_of_a_refit_comes_back_to_where_it_began(runs, tmp_path):
    """A looser reward throws no trial away, so the strict one finds them all."""
    loose, strict = tmp_path / "loose", tmp_path / "strict"
    refit(runs / "star", loose, {"reward": "within:1"})
    refit(loose, strict, {"reward": "exact"})  # a refit of a refit
    assert rows(loose, KEPT) != rows(strict, KEPT) == rows(runs / "star", KEPT)
    origin = json.loads(rows(strict, "SELECT value FROM manifest WHERE key='refit'")[0][0])
    assert origin["run"] == "loose"
    assert origin["iteration"] == 1
    (recorded,) = rows(loose, "SELECT value FROM manifest WHERE key='data_sha256'")[0]
    assert origin["data_sha256"] == json.loads(recorded)


#: One of them is in every rationale that the model learned.
PHRASES = ["kind", "right"]


@slow
def test_the_leak_filter_drops_hinted_rationales_alone(runs, tmp_path):
    new = tmp_path / "new"
    refit(runs / "star", new, {"leak_filter": "drop", "leak_phrases": PHRASES})
    said = "SELECT rationale, outcome, proposal FROM trials WHERE iteration=1 AND purpose='train'"
    counted = {"accepted": 0, "leaked": 0}
    for rationale, outcome, proposal in rows(new, said):
        if outcome in counted:
            counted[outcome] += 1
            assert (outcome == "leaked") == (
                proposal == "rationalize" and hint_leakage.find(rationale, PHRASES) is not None
            )
    assert min(counted.values()) > 0
    # Nobody tries again for an example whose only accepted draw is dropped.
    kept, exhausted = (
        ("SELECT example_id FROM states WHERE iteration=1 AND state=?", state) for state in ("kept", "exhausted")
    )
    lost = set(rows(runs / "star", *kept)) - set(rows(new, *kept))
    assert set() < lost <= set(rows(new, *exhausted))


@slow
def test_a_later_iteration_starts_from_the_weights_that_drew_it(runs, tmp_path):
    old, new = runs / "resample", tmp_path / "new"
    refit(old, new, {}, iteration=2)
    assert rows(new, DRAWN, 1) == rows(old, DRAWN, 2)
    # The same tokens, read again by the same weights: what iteration 2 of the old run asked.
    asked = (
        "SELECT example_id, drawn + ?, attempt, under, completion, rationale FROM likelihoods "
        "WHERE iteration=? AND purpose='train' ORDER BY 1, 2, 3, 4"
    )
    assert rows(new, asked, 1, 1) == rows(old, asked, 0, 2) != []
    assert rows(new, "SELECT DISTINCT drawn FROM kept WHERE iteration=1") == [(1,)]
    assert "iteration-001" in (new / "config.toml").read_text()
    assert json.loads((new / "metrics.json").read_text())["last_iteration"] == 1


def result(run):
    tables = [
        "SELECT * FROM manifest ORDER BY key", "SELECT * FROM kept ORDER BY iteration, position",
        "SELECT * FROM trials", "SELECT * FROM states", "SELECT * FROM likelihoods", "SELECT * FROM predictions",
        "SELECT iteration, phase FROM iterations ORDER BY 1, 2",
    ]  # fmt: skip
    return [rows(run, query) for query in tables], weights(run), sorted(contents(run / "model").items())


@slow
@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("append", False),
        ("finish", True),
        *(
            pytest.param(name, after, marks=pytest.mark.acceptance)
            for name, after in (
                ("append", True), ("add_likelihoods", True), ("add_likelihoods", False), ("finish", False)
            )
        ),
    ],
)  # fmt: skip
def test_stopped_anywhere_and_given_again_it_ends_the_same(runs, tmp_path, monkeypatch, said, name, after):
    refit(runs / "resample", tmp_path / "whole", {}, iteration=2)
    new, original = tmp_path / "new", getattr(Ledger, name)
    for moment in range(1, 4):
        calls = 0

        def dying(self, *args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == moment and not after:  # noqa: B023 - called within this round
                raise KeyboardInterrupt
            original(self, *args, **kwargs)
            if calls == moment:  # noqa: B023
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Ledger, name, dying)
            with pytest.raises(KeyboardInterrupt):
                refit(runs / "resample", new, {}, iteration=2)
    refit(runs / "resample", new, {}, iteration=2)
    assert result(new) == result(tmp_path / "whole")
    said.clear()
    refit(runs / "resample", new, {}, iteration=2)
    assert [line for line in said if "is finished; nothing to do" in line]
    with pytest.raises(RationemError, match=r"threshold: 1\.0 in the run, 0.5 asked"):
        refit(runs / "resample", new, {"threshold": 0.5}, iteration=2)
    with pytest.raises(RationemError, match="trials_sha256"):
        refit(runs / "resample", new, {}, iteration=1)


@slow
def test_other_training_through_the_command_line(runs, tmp_path, capsys):
    new = tmp_path / "new"
    code = main(
        ["refit", str(runs / "star"), "--output", str(new), "--epochs", "1", "--batch-size", "4", "--seed", "3"]
    )
    assert code == 0
    record = json.loads(rows(new, "SELECT record FROM iterations WHERE phase='m_step'")[0][0])
    kept = len(rows(new, KEPT))
    assert record["steps"] == -(-kept // 4)
    assert str(new / "report.html") in capsys.readouterr().out
    assert main(["report", str(new)]) == 0
    capsys.readouterr()
    unmade = str(tmp_path / "unmade")
    assert main(["refit", str(runs / "star"), "--output", unmade, "--scheme", "pps", "--iterations", "3"]) == 2
    assert "--iterations, --scheme cannot differ" in capsys.readouterr().err
    assert not Path(unmade).exists()


def edited(runs, tmp_path, name, *statements):
    copy = tmp_path / "copy"
    shutil.copytree(runs / name, copy)
    with closing(sqlite3.connect(copy / "ledger.sqlite")) as db, db:
        for statement in statements:
            db.execute(statement)
    return copy


WARPED = """UPDATE manifest SET value = json_set(value, '$.top_p', 0.9) WHERE key='config'"""
BAD = {
    "iteration that is not there": ("star", (), {}, 3, ["iteration 3", "1, 2", "--iteration"]),
    "iteration that cannot be": ("star", (), {}, 0, ["iteration 0"]),
    "another version": ("star", ("UPDATE manifest SET value='2' WHERE key='schema_version'",), {}, 1, ["version 2"]),
    "no fit's run": ("star", ("DELETE FROM manifest WHERE key='config'",), {}, 1, ["not written by rationem fit"]),
    "edited examples": ("star", ("UPDATE examples SET answer='1'",), {}, 1, ["data_sha256"]),
    "no q": ("resample", ("UPDATE trials SET token_logps='[]'",), {"selector": "weighted"}, 1, ["token_logps"]),
    "top-p": ("resample", (WARPED,), {"selector": "resample"}, 1, ["never drawn", "top-p 0.9"]),
    "a scheme": ("star", (), {"scheme": "pps", "temperature": "2"}, 1, ["--scheme, --temperature", "draws nothing"]),
    "an unknown selector": ("star", (), {"selector": "weigthed"}, 1, ["Did you mean 'weighted'"]),
    "one draw to weigh": ("star", (), {"selector": "weighted"}, 1, ["forward+rationalize*2"]),
    "a bad reward": ("star", (), {"reward": "within"}, 1, ["within"]),
    "steps and epochs": ("star", (), {"steps": 3, "epochs": 3}, 1, ["exclude each other"]),
    "another base model": (
        "star",
        (
            "UPDATE manifest SET value=json_set(value, '$.model.weights', 'x') WHERE key='weights'",
            """UPDATE manifest SET value=json_set(value, '$.model.files."model.safetensors"', '')"""
            " WHERE key='weights'",
        ),
        {},
        1,
        ["changed since the run began: model.safetensors"],
    ),
}  # fmt: skip


@slow
@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_says_why_and_writes_nothing(runs, tmp_path, case):
    name, statements, changes, iteration, said = BAD[case]
    old = edited(runs, tmp_path, name, *statements)
    with pytest.raises(RationemError) as error:
        refit(old, tmp_path / "new", changes, iteration=iteration)
    assert [part for part in said if part not in str(error.value)] == []
    assert not (tmp_path / "new").exists()


@slow
def test_a_run_with_a_withdrawn_selector_is_reported_and_neither_resumed_nor_refitted_with_it(runs, tmp_path, capsys):
    as_pool = "UPDATE manifest SET value = json_set(value, '$.selector', 'pool') WHERE key='config'"
    old, new = edited(runs, tmp_path, "star", as_pool), tmp_path / "new"
    settings = old / "config.toml"
    settings.write_text(settings.read_text().replace('selector = "first"', 'selector = "pool"'))
    assert 'selector = "pool"' in settings.read_text()
    before = json.loads((old / "metrics.json").read_text())
    assert main(["report", str(old)]) == 0
    after = json.loads((old / "metrics.json").read_text())
    assert after.pop("config") == {**before.pop("config"), "selector": "pool"}
    assert after == before
    assert "selector pool" in (old / "report.md").read_text()
    assert main(["show", str(old)]) == 0
    capsys.readouterr()
    for command in (["refit", str(old), "--output", str(new)], ["fit", "--output", str(old)]):
        assert main(command) == 2
        assert "--selector resample" in capsys.readouterr().err
    assert not new.exists()
    refit(old, new, {"selector": "first"})
    assert rows(new, KEPT) == rows(runs / "star", KEPT)


@slow
def test_draws_without_q_can_still_be_filtered(runs, tmp_path):
    old = edited(runs, tmp_path, "star", "UPDATE trials SET token_logps='[]'")
    refit(old, tmp_path / "new", {})
    assert weights(tmp_path / "new") == weights(old)


@slow
def test_weights_that_are_gone_are_named(runs, tmp_path):
    old = edited(runs, tmp_path, "star")
    shutil.rmtree(old / "checkpoints" / "iteration-001")
    with pytest.raises(RationemError, match=r"iteration 2 are missing: there is no .*iteration-001"):
        refit(old, tmp_path / "new", {}, iteration=2)


@slow
def test_the_old_run_is_no_place_for_the_new_one(runs, tmp_path):
    for place in (runs / "star", runs / "star" / "new"):
        with pytest.raises(RationemError, match="only read"):
            refit(runs / "star", place, {})
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RationemError, match="other files"):
        refit(runs / "star", tmp_path, {})


def test_where_there_is_no_run_it_says_so(tmp_path, capsys):
    assert main(["refit", str(tmp_path / "none"), "--output", str(tmp_path / "new")]) == 2
    assert f"{tmp_path / 'none'} holds no run: there is no ledger.sqlite" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_what_decides_the_data_or_a_draw_is_refused(runs, tmp_path):
    """But for one setting that is fixed in every refit, and the model, which may be named again."""
    from rationem.config import TakenBy, flag_of, marks_of

    decides = sorted(name for name in FitConfig.model_fields if TakenBy.REFIT not in marks_of(name))
    assert {"data", "scheme", "temperature", "teacher", "max_new_tokens", "seed"} - set(decides) == {"seed"}
    for several in (decides, ["data"], ["model"]):
        with pytest.raises(RationemError, match=f"{', '.join(map(flag_of, several))} cannot differ"):
            refit(runs / "star", tmp_path / "new", dict.fromkeys(several, "other"))
    assert not (tmp_path / "new").exists()


def test_no_program_that_a_run_names_is_run(tmp_path):
    (tmp_path / "config.toml").write_text('engine = "vllm"\nvllm_python = "/from/the/run"\n')
    found = _settings(tmp_path, {"config": {"engine": "vllm", "seed": 3, "vllm_args": ["--trust-remote-code"]}})
    assert (found.engine, found.seed) == ("vllm", 3)
    assert found.vllm_python is None
    assert not found.vllm_args
