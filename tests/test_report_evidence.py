"""What a report says of evidence, hints and cost is computed from the tables, and is the truth of the table world."""

import itertools
import json
import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import toy
from rationem import STAR, Ledger, ScriptedEngine, report, world
from rationem.em import fit
from rationem.evaluation.diagnostics import cost
from rationem.evaluation.diagnostics.difficulty import read_difficulty
from rationem.ledger import read_only
from rationem.report.run import read_run
from rationem.report.tables import number
from rationem.sampling.hint_leakage import HintLeakage
from rationem.types import Purpose

DRAWS, HINTED, WRONG, PROBED, COPIES, SEED = 4, 4, 6, 30, 20, 1
PHRASES = ("alpha",)  # a rationale of the toy, for the sake of one that leaks


def problem(directory, engine=toy.open_scoring_engine, leak_filter="flag", **changes):
    asked = {
        "draws": DRAWS,
        "hinted": HINTED,
        "wrong": WRONG,
        "probed": PROBED,
        "leaks": HintLeakage(leak_filter, PHRASES),
        "seed": SEED,
        **changes,
    }
    made = toy.problem(directory / "toy", STAR, copies=COPIES, engine=engine, **asked)
    made.ledger.close()
    settings = {"leak_phrases": list(PHRASES), "choose_by": "evidence", "seed": SEED}
    config = {"scheme": "star", "model": "toy", **settings, "leak_filter": leak_filter, **changes}
    ledger = Ledger(directory / "run")
    sets = {"train": made.data.train, "validation": made.data.validation, "test": made.data.test}
    engine_told = {"name": "by hand", "honours_seeds": True}
    ledger.start({"task": toy.TASK.describe(), "config": config, "engine": engine_told, "notes": {}}, sets)
    return toy.changed(made, ledger=ledger)


def run(directory, iterations=2, **changes):
    made = problem(directory, **changes)
    fitted = fit(made, iterations)
    made.ledger.finish(fitted.last, "fitted", seconds=0.0)
    return made, fitted, report.write(made.ledger.directory)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    made, fitted, summary = run(tmp_path_factory.mktemp("evidence"))
    yield made, fitted, summary
    made.ledger.close()


def altered(made, directory, *statements):
    """A copy of the run with its ledger changed by SQL."""
    copy = directory / "run"
    shutil.copytree(made.ledger.directory, copy)
    with closing(sqlite3.connect(copy / "ledger.sqlite")) as db, db:
        for statement in statements:
            db.execute(statement)
    return copy


def entries(summary):
    return {entry["iteration"]: entry for entry in summary["iterations"]}


def drawn(made, k, purpose, split):
    ids = {x.id: x for x in getattr(made.data, split)}
    return [(ids[t.example_id], t) for t in made.ledger.trials(k, purpose) if t.example_id in ids]


def test_the_records_are_computed_again_and_equal_what_the_run_chose_by(ran):
    made, fitted, summary = ran
    for k, entry in entries(summary).items():
        recorded = made.ledger.record(k, "evidence")
        assert {**entry["evidence"], "hints": entry["hints"]} == recorded
        assert math.isfinite(entry["evidence"]["score"])
    assert (summary["best_iteration"], summary["chosen_by"]) == (fitted.best, "score (validation)")


def test_numbers_in_the_records_are_not_read(ran, tmp_path):
    made, _, summary = ran
    asked = {"forward_draws": DRAWS, "hinted_draws": HINTED, "score": 99.0, "hints": {}}
    lie = f"UPDATE iterations SET record='{json.dumps(asked)}' WHERE phase='evidence' AND iteration=0"
    empty = "UPDATE iterations SET record='{}' WHERE phase IN ('difficulty', 'e_step', 'validation', 'test')"
    assert report.summarize(altered(made, tmp_path, lie, empty)) == summary


@pytest.mark.slow
@pytest.mark.parametrize("choose_by", ["evidence", "log_likelihood"])
def test_the_best_iteration_is_the_one_that_the_run_chose(choose_by, tmp_path):
    made, fitted, summary = run(tmp_path, iterations=3, choose_by=choose_by)
    blocks = [entry["evidence" if choose_by == "evidence" else "validation"] for entry in summary["iterations"]]
    scores = [block["score" if choose_by == "evidence" else "log_likelihood"] for block in blocks]
    assert summary["best_iteration"] == fitted.best == scores.index(max(scores))
    assert summary["chosen_by"] == {"evidence": "score (validation)"}.get(choose_by, "log-likelihood (validation)")
    made.ledger.close()


@pytest.mark.slow
def test_a_report_says_where_the_rule_took_an_earlier_iteration_than_the_best(tmp_path, monkeypatch):
    """The toy has eight groups of validation; here two are enough for a standard error."""
    monkeypatch.setattr("rationem.metrics.choice.FEWEST_GROUPS", 2)
    made, fitted, summary = run(tmp_path, iterations=3, choose_within=50.0)
    choice = summary["choice"]
    assert summary["best_iteration"] == fitted.best < choice["highest"]
    assert choice["within"] == 50.0
    assert choice["shares"][str(fitted.best)] > 0.9
    page = (made.ledger.directory / "report.md").read_text()
    assert "50 standard errors of the paired difference" in page
    assert f"iteration {choice['highest']} has the best score (validation)" in page
    older = altered(made, tmp_path / "older", "UPDATE manifest SET value=json_remove(value, '$.choose_within')")
    read = report.summarize(older)
    assert (read["best_iteration"], read["choice"]["within"]) == (choice["highest"], 0.0)
    report.write(older)
    told = (older / "report.md").read_text()
    assert f"Iteration {choice['highest']} of 3 has the best score (validation)." in told
    assert ("--choose-within 1" in told) == (choice["equal"][0] != choice["highest"])
    monkeypatch.undo()
    few = report.write(made.ledger.directory)
    assert (few["best_iteration"], few["choice"]["within"]) == (choice["highest"], 0.0)
    page = (made.ledger.directory / "report.md").read_text()
    assert "has the best score (validation); --choose-within takes 10 groups." in page
    made.ledger.close()


@pytest.mark.slow
def test_evidence_and_predictive_likelihood_can_choose_differently_and_the_setting_decides(ran, tmp_path):
    made, _, _ = ran
    lower = "UPDATE predictions SET probabilities='[0.98, 0.01, 0.01]' WHERE split='validation' AND iteration > 0"
    copy = altered(made, tmp_path, lower)
    assert report.summarize(copy)["best_iteration"] > 0
    with closing(sqlite3.connect(copy / "ledger.sqlite")) as db, db:
        db.execute("UPDATE manifest SET value=json_set(value, '$.choose_by', 'log_likelihood') WHERE key='config'")
    summary = report.summarize(copy)
    assert (summary["best_iteration"], summary["chosen_by"]) == (0, "log-likelihood (validation)")


def test_accuracy_at_matched_length_by_hand(ran):
    """Of the toy's rationales "beta" alone is one token shorter; written in more than a fifth, it fills a bin."""
    made, _, summary = ran
    base = [t.parsed.rationale == "beta" for _, t in drawn(made, 0, Purpose.EVAL, "validation")]
    assert 0.2 < np.mean(base) < 1
    for k, entry in entries(summary).items():
        found = drawn(made, k, Purpose.EVAL, "validation")
        right = {short: [t.parsed.answer == x.answer for x, t in found if (t.parsed.rationale == "beta") == short]
                 for short in (True, False)}  # fmt: skip
        shares = {True: np.mean(base), False: 1 - np.mean(base)}
        met = {short: shares[short] for short in shares if right[short]}
        expected = sum(share * np.mean(right[short]) for short, share in met.items()) / sum(met.values())
        assert entry["matched_length"]["accuracy"] == pytest.approx(expected)
        assert entry["matched_length"]["covered"] == pytest.approx(sum(met.values()))
    assert entries(summary)[0]["matched_length"]["accuracy"] == entries(summary)[0]["hints"]["forward"]["said_answer"]


def test_more_rationales_end_at_what_the_judge_scores_and_begin_at_single_draws(ran):
    made, fitted, summary = ran
    for k in {0, fitted.best}:
        block = entries(summary)[k]["test"]
        rows = block["by_draws"]
        assert [row["draws"] for row in rows] == [1, 2, 4]
        assert rows[-1]["averaged"] == pytest.approx(block["accuracy"])
        assert rows[-1]["averaged_log_likelihood"] == pytest.approx(block["log_likelihood"])
        right = [(x.id, t.parsed.answer == x.answer) for x, t in drawn(made, k, Purpose.EVAL, "test")]
        assert rows[0]["majority_vote"] == pytest.approx(np.mean([one for _, one in right]))
        assert rows[0]["pass"] == rows[0]["majority_vote"]
        solved = {example_id for example_id, one in right if one}
        assert rows[-1]["pass"] == pytest.approx(len(solved) / len(made.data.test))


def test_cost_label_and_difficulty_are_what_the_tables_say(ran):
    made, _, summary = ran
    db, scores = made.ledger.db, [entry["evidence"]["score"] for entry in summary["iterations"]]
    hardness = read_difficulty(db, toy.TASK.kind)
    assert len(hardness) == PROBED
    for k, entry in entries(summary).items():
        if k == 0:
            continue
        step = entry["e_step"]
        assert step["cost"] == cost.cost(db, k)
        tokens = sum(len(t.draft.token_ids) for t in made.ledger.trials(k, Purpose.TRAIN))
        assert step["cost"]["generated_tokens"] == step["generated_tokens"] == tokens
        assert step["cost"]["kept_examples"] == step["states"]["kept"]
        assert sum(row["kept"] for row in step["by_label"]) == step["states"]["kept"]
        assert [row["examples"] for row in step["by_label"]] == [0, COPIES, COPIES]
        difficulty = step["by_difficulty"]
        assert sum(one["examples"] for one in difficulty["bins"]) == PROBED
        assert difficulty["unmeasured"] == 2 * COPIES - PROBED
        kept = {row[0] for row in db.execute("SELECT example_id FROM kept WHERE iteration=?", (k,))}
        share = sum(one["kept_share"] * one["examples"] for one in difficulty["bins"]) / PROBED
        assert share == pytest.approx(len(kept & set(hardness)) / PROBED)
    for row in summary["per_nat"]:
        gained = scores[row["iteration"]] - scores[0]
        assert row["gained"] == gained > 0
        spent = entries(summary)[row["iteration"]]["e_step"]["cost"]["cumulative"]
        assert row["generated_tokens"] == pytest.approx(spent["generated_tokens"] / gained)
    assert [row["iteration"] for row in summary["per_nat"]] == [1, 2]


@pytest.mark.slow
def test_leaks_are_looked_for_as_the_settings_say(ran, tmp_path):
    made, _, summary = ran
    alphas = [t.parsed.rationale == "alpha" for _, t in drawn(made, 0, Purpose.EVIDENCE, "validation")]
    assert entries(summary)[0]["hints"]["hinted"]["leaked"] == np.mean(alphas) > 0
    assert "mentions the hint" in report.markdown(summary)
    off, _, without = run(tmp_path, iterations=1, leak_filter="off")
    assert entries(without)[0]["hints"]["hinted"]["leaked"] == 0
    assert off.ledger.record(0, "evidence")["hints"] == entries(without)[0]["hints"]
    assert "mentions the hint" not in report.markdown(without)
    off.ledger.close()


def test_what_is_not_measured_to_its_end_is_none(ran, tmp_path):
    made, _, summary = ran
    copy = altered(
        made,
        tmp_path,
        "DELETE FROM iterations WHERE iteration=2 AND phase IN ('e_step', 'm_step', 'validation', 'evidence', 'test')",
        "DELETE FROM iterations WHERE phase IN ('difficulty', 'fitted')",
        "DELETE FROM trials WHERE iteration=2 AND attempt > 0",
        "DELETE FROM predictions WHERE iteration=2",
    )
    with closing(sqlite3.connect(copy / "ledger.sqlite")) as db, db:
        db.execute("INSERT INTO iterations VALUES (2, 'begun by hand', 0, '{}')")
    found = report.summarize(copy)
    unfinished = entries(found)[2]
    assert (unfinished["evidence"], unfinished["hints"], unfinished["matched_length"]) == (None, None, None)
    assert [unfinished["e_step"][key] for key in ("cost", "by_label", "by_difficulty")] == [None, None, None]
    assert entries(found)[1]["e_step"]["by_difficulty"] is None
    assert entries(found)[1]["evidence"] == entries(summary)[1]["evidence"]
    assert [row["iteration"] for row in found["per_nat"]] == [1]
    page = report.markdown(found)
    assert "### Acceptance by difficulty" not in page
    assert "### Evidence on validation" in page


@pytest.mark.slow
def test_a_run_without_hinted_draws_and_probes_has_the_raw_evidence_alone(tmp_path):
    made, fitted, summary = run(tmp_path, iterations=1, engine=toy.open_engine, hinted=0, wrong=0, probed=0)
    entry = entries(summary)[1]
    assert entry["evidence"]["mixture"] == entry["evidence"]["raw"]
    assert (entry["evidence"]["iwae"], entry["hints"]["hinted"]["said_answer"]) == (None, None)
    assert summary["best_iteration"] == fitted.best
    page = report.markdown(summary)
    assert "IWAE" not in page
    assert "posterior" not in page
    assert "shown it |" in page
    made.ledger.close()


def test_a_run_whose_evidence_is_owed_still_has_a_report(ran, tmp_path):
    made, _, _ = ran
    copy = altered(made, tmp_path, "DELETE FROM iterations WHERE phase IN ('evidence', 'fitted')")
    summary = report.summarize(copy)
    assert all(entry["evidence"] is None for entry in summary["iterations"])
    assert (summary["best_iteration"], summary["chosen_by"]) == (2, "last iteration")
    assert {row["reason"] for row in summary["per_nat"]} == {cost.BASE_NOT_MEASURED}
    page = report.markdown(summary)
    assert "for it is the last: none is measured on the validation set." in page
    assert "### Evidence on validation" not in page
    assert cost.BASE_NOT_MEASURED in page


def test_the_page_says_the_numbers_of_the_summary(ran):
    made, fitted, summary = ran
    page = (made.ledger.directory / "report.md").read_text()
    assert page.index("## Every example of every iteration") < page.index("## How the learning went")
    parts = {part.splitlines()[0].strip(): part for part in page.replace("###", "##").split("##")[1:]}
    for entry in summary["iterations"]:
        evidence, hints = entry["evidence"], entry["hints"]
        for key in ("raw", "iwae", "score", "standard_error", "lower_bound_95", "ess_share", "divergence"):
            assert f" {number(evidence[key])} " in parts["Evidence on validation"]
        for value in (hints["hinted"]["said_answer"], hints["wrong_justified"], entry["matched_length"]["accuracy"]):
            assert f" {number(value)} " in parts["What showing the level does, on validation"]
    for row in summary["per_nat"]:
        assert f"| {row['generated_tokens']:.0f} |" in parts["Cost"]
    for row in entries(summary)[2]["e_step"]["by_label"]:
        assert f"| {row['level']} | {row['examples']} |" in parts["Acceptance by label"]
    assert "10 training examples were not measured." in parts["Acceptance by difficulty"]
    for row in entries(summary)[fitted.best]["test"]["by_draws"]:
        name = f"iteration {fitted.best} (best)"
        assert f"| {name} | {row['draws']} | {number(row['majority_vote'])} |" in parts["More rationales at test time"]
    assert "has the best score (validation)." in page
    assert "true of the texts" not in page  # nothing can be known of the toy's


def test_tables_of_the_page_are_whole(ran):
    lines = report.markdown(ran[2]).splitlines()
    assert sum(line.startswith("|") for line in lines) > 30
    for before, line in itertools.pairwise(lines):
        if before.startswith("|") and line.startswith("|"):
            assert before.count("|") == line.count("|")


def without_seconds(value):
    if isinstance(value, dict):
        return {key: without_seconds(one) for key, one in value.items() if key != "seconds"}
    return [without_seconds(one) for one in value] if isinstance(value, list) else value


@pytest.mark.slow
def test_a_run_killed_and_started_again_reports_the_same_numbers(ran, tmp_path):
    class Killed(Exception):
        pass

    calls = itertools.count(1)

    def dying(theta):
        steady = toy.open_scoring_engine(theta)

        def asked(function):
            def answer(item):
                if next(calls) % 211 == 0:
                    raise Killed
                return function(item)

            return answer

        return ScriptedEngine(asked(steady._say), asked(steady._levels), tokens=asked(steady._tokens))

    made, deaths = problem(tmp_path, engine=dying), 0
    while True:
        try:
            fitted = fit(made, 2)
            break
        except Killed:
            deaths += 1
    made.ledger.finish(fitted.last, "fitted", seconds=0.0)
    assert deaths > 3
    assert without_seconds(report.summarize(made.ledger.directory)) == without_seconds(ran[2])
    made.ledger.close()


def test_every_new_number_is_documented(ran):
    page = (Path(__file__).parents[1] / "docs" / "run-directory.md").read_text(encoding="utf-8")
    entry, names = entries(ran[2])[1], set()
    step, hints, lengths = entry["e_step"], entry["hints"], entry["matched_length"]
    last = entries(ran[2])[2]["test"]["by_draws"][0]
    for block in (entry, entry["evidence"], hints, hints["hinted"], lengths, lengths["bins"][0], step, step["cost"],
                  step["by_label"][0], step["by_difficulty"], step["by_difficulty"]["bins"][0], last,
                  ran[2]["per_nat"][0]):  # fmt: skip
        names |= set(block)
    for name in names:
        assert f"`{name}`" in page, name
    columns = {row[1] for table in ("trials", "likelihoods", "kept")
               for row in ran[0].ledger.db.execute(f"PRAGMA table_info({table})")}  # fmt: skip
    for name in columns:
        assert f"`{name}`" in page, name


@pytest.mark.parametrize(("notes", "known"), [({"world": True}, True), ({}, False), ({"rows": 9}, False)])
def test_only_of_the_embedded_world_is_it_known_what_is_true(notes, known, tmp_path):
    """An exported world is a file like any other: whoever exported it may have changed it."""
    ledger = Ledger(tmp_path / "run")
    manifest = {"task": {"scale": world.SCALE.describe()}, "config": {}, "notes": notes}
    ledger.start(manifest, {"train": world.examples(5, seed=0)})
    with closing(read_only(tmp_path / "run")) as db:
        assert read_run(db).faithful is (world.faithful if known else None)
    ledger.close()


def test_the_page_says_what_was_run_and_that_patience_ended_it(ran):
    _, _, summary = ran
    config = {
        **summary["config"],
        "scheme": "star",
        "model": "m",
        "selector": "resample",
        "reward": "within:1",
        "seed": 7,
    }
    page = report.markdown({**summary, "config": config})
    assert "Scheme star, selector resample, reward within:1" in page
    assert "seed 7" in page
    assert "--patience" not in page
    early = {**config, "iterations": summary["last_iteration"] + 3, "patience": 2}
    assert "no better score for 2 (--patience)" in report.markdown({**summary, "config": early, "finished": True})
    again = report.markdown({**summary, "refit": {"run": "old", "iteration": 4}})
    assert "A refit of old, iteration 4" in again
    assert "start of the refit" in again
    assert "| base model" not in again
