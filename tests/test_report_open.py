"""Reports of runs with open answers: every number by hand from the trials, and nothing of levels on any page."""

import html
import json
import re
import shutil
import sqlite3
from collections import Counter
from itertools import combinations
from statistics import mean

import pytest

import opened
from paged import HOSTILE
from rationem import metrics, report
from rationem.ledger import Ledger, read_examples
from rationem.report.page import write_page
from rationem.report.page.nouns import Told
from rationem.report.page.rationales import rationales
from rationem.report.sections.learned import sentence
from rationem.report.sections.scores import headline
from rationem.tasks.answer_types import rouge_l
from rationem.types import Purpose

#: Words of a judge's report that a reader of mathematics stumbles over.
LEVELS = re.compile(
    r"\blevels?\b|\bjudges?\b|verdict|\blabels?\b|rating (?:of|is)|kappa|macro-F1|QWK|log-likelihood|confusion", re.I
)


def exact(one, other):
    return float(one == other)


REWARDS = {"exact": exact, "rouge-l": rouge_l}


@pytest.fixture(scope="module", params=["exact", "rouge-l"])
def ran(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("open")
    opened.run(directory, request.param, threshold=1.0 if request.param == "exact" else 0.3)
    ledger = Ledger(directory / "open")
    try:
        yield directory / "open", request.param, report.write(directory / "open"), ledger
    finally:
        ledger.close()


def said_of(ledger, k, split="test"):
    """Example -> its answer, and what each of its draws says."""
    examples = {x.id: x for x in read_examples(ledger.db, split)}
    said = {name: [None] * 6 for name in examples}
    for trial in ledger.trials(k, Purpose.EVAL):
        if trial.example_id in said and trial.outcome in ("accepted", "wrong"):
            said[trial.example_id][trial.attempt] = trial.parsed.answer
    return {name: (examples[name].answer, each) for name, each in said.items()}


def agreed(said, reward):
    """The answer that the others agree with most, of equals the first said; None where nobody says anything."""
    known = [one for one in said if one is not None]
    score = {one: sum(reward(other, one) for other in known) for one in dict.fromkeys(known)}
    best = max(score.values(), default=0.0)
    return next((one for one, value in score.items() if value >= best - 1e-12), None)


@pytest.mark.slow
def test_the_numbers_are_those_of_the_trials(ran):
    _, rule, summary, ledger = ran
    reward = REWARDS[rule]
    for k in (0, 2):
        block, said = summary["iterations"][k]["test"], said_of(ledger, k)
        met = [0.0 if (one := agreed(each, reward)) is None else reward(one, y) for y, each in said.values()]
        assert block["reward"] == pytest.approx(mean(met), abs=1e-12)
        assert block["accuracy"] == mean(float(one == 1) for one in met)
        singles = [0.0 if one is None else reward(one, y) for y, each in said.values() for one in each]
        assert block["draw_reward"] == pytest.approx(mean(singles), abs=1e-12)
        assert block["unparsed_draws"] == mean(one is None for _, each in said.values() for one in each)
        bins = [(one["count"], one["accuracy"]) for one in block["reliability"] if one["count"]]
        assert sum(count for count, _ in bins) == 32
        assert sum(count * share for count, share in bins) / 32 == pytest.approx(block["reward"])
        low, high = block["intervals"]["reward"]
        assert low <= block["reward"] <= high
    commonest = Counter(x.answer for x in read_examples(ledger.db, "train")).most_common(1)[0][0]
    constant = summary["baselines"]["test"]["constant"]
    assert constant["reward"] == pytest.approx(
        mean(reward(commonest, x.answer) for x in read_examples(ledger.db, "test"))
    )


def test_more_draws_by_brute_force_over_all_subsets(ran):
    _, rule, summary, ledger = ran
    reward = REWARDS[rule]
    for k in (0, 2):
        said = said_of(ledger, k).values()
        rows = summary["iterations"][k]["test"]["by_draws"]
        assert [row["draws"] for row in rows] == [1, 2, 4, 6]
        for row in rows:
            consensus, best, whole = [], [], []
            for y, each in said:
                for chosen in combinations(each, row["draws"]):
                    one = agreed(chosen, reward)
                    consensus.append(0.0 if one is None else reward(one, y))
                    best.append(max(0.0 if one is None else reward(one, y) for one in chosen))
                    whole.append(best[-1] == 1)
            assert row["consensus"] == pytest.approx(mean(consensus), abs=1e-9)
            assert row["best"] == pytest.approx(mean(best), abs=1e-9)
            assert row["pass"] == pytest.approx(mean(whole), abs=1e-9)
            assert row["majority_vote"] == (row["consensus"] if rule == "exact" else None)
            assert row["averaged"] is row["averaged_log_likelihood"] is None
        assert rows[-1]["consensus"] == pytest.approx(summary["iterations"][k]["test"]["reward"], abs=1e-12)
        assert rows[0]["consensus"] == pytest.approx(summary["iterations"][k]["test"]["draw_reward"], abs=1e-12)


def test_of_levels_every_number_is_null(ran):
    _, _, summary, _ = ran
    block = summary["iterations"][2]["test"]
    for name in (
        "log_likelihood",
        "macro_f1",
        "kappa",
        "quadratic_kappa",
        "mae",
        "within_one",
        "brier",
        "rps",
        "pearson",
    ):
        assert block[name] is None, name
        assert block["intervals"].get(name) is None, name
    assert block["recall"] == {}
    assert block["by_criterion"] == {}
    assert summary["calibration"] is None
    assert summary["baselines"]["test"]["uniform_log_likelihood"] is None
    assert all(entry["e_step"]["by_label"] is None for entry in summary["iterations"][1:])
    assert summary["iterations"][1]["e_step"]["by_difficulty"]["bins"]
    json.dumps(summary, allow_nan=False)


def test_nothing_of_levels_is_on_a_page(ran):
    directory, rule, _, _ = ran
    page = (directory / "report.md").read_text().replace("rationem judge RUN", "")  # a command's name
    assert not LEVELS.findall(page)
    shown = (directory / "report.html").read_text()
    outside = re.sub(r"<(script|style)\b.*?</\1>", "", shown, flags=re.S)
    visible = html.unescape(re.sub(r"<[^>]+>", " ", outside)) + " ".join(
        re.findall(r'(?:alt|aria-label)="([^"]*)"', outside)
    )
    assert not LEVELS.findall(visible.replace("rationem judge RUN", ""))
    assert 'id="confusion"' not in shown
    assert 'id="reliability"' in shown
    assert ("mean reward" in page) == (rule != "exact")


def test_the_first_sentence_says_what_counts_with_its_interval(ran):
    _, rule, summary, _ = ran
    first, last = (summary["iterations"][k]["test"] for k in (0, 2))
    said = sentence(summary)
    if rule == "exact":
        shares = [f"{100 * one:.1f} %" for one in (last["accuracy"], first["accuracy"], last["draw_reward"])]
        assert said.startswith(
            "On 32 test items the answer of the model, the one that most of its 6 draws say, is right in "
            f"{shares[0]}, before training in {shares[1]}, always saying the most frequent training answer in 50.0 %. "
            f"A single draw is right in {shares[2]}, before"
        )
    else:
        low, high = last["intervals"]["reward"]
        assert said.startswith(
            "On 32 test items the answer of the model, the one that its 6 draws agree with most, earns a mean reward "
            f"(rouge-l, 0 to 1) of {last['reward']:.3f} (95 % interval {low:.3f} to {high:.3f}), before"
        )
        assert f"A single draw earns {last['draw_reward']:.3f}, before training {first['draw_reward']:.3f}." in said


def test_the_headline_begins_with_what_counts(ran):
    _, rule, summary, _ = ran
    table = headline(summary, "test")
    head, rows = table.head, table.rows
    assert head[1] == ("accuracy" if rule == "exact" else "mean reward")
    assert [row[0] for row in rows] == ["most frequent training answer", "base model", "iteration 2 (best)"]
    assert all(len(row) == len(head) for row in rows)


def test_who_learned_nothing_is_called_so(ran):
    _, rule, summary, _ = ran
    broken = json.loads(json.dumps(summary))
    for key in ("accuracy", "reward"):
        broken["iterations"][2]["test"][key] = 0.25
    (said,) = report.doubts(broken)
    assert said == (
        "The model is right no more often than always saying the most frequent training answer (50.0 %)."
        if rule == "exact"
        else "The model earns no more than always saying the most frequent training answer (0.500)."
    )
    broken["iterations"][2]["test"]["unparsed_draws"] = 0.5
    assert "50 % of the model's draws name no answer." in report.doubts(broken)


def test_best_of_is_unbiased():
    rewards = [0.1, 0.9, 0.4, 0.4, 0.0, 1.0]
    for draws in range(1, 7):
        assert metrics.best_of(rewards, draws) == pytest.approx(mean(max(c) for c in combinations(rewards, draws)))
    with pytest.raises(ValueError, match="the same number of draws"):
        metrics.by_open_draws([metrics.Said(("a",), "a"), metrics.Said(("a", "b"), "a")], exact, exact=True)


def test_who_says_nothing_earns_nothing():
    (row,) = metrics.by_open_draws([metrics.Said((None,), "a")], exact, exact=True)
    assert (row["consensus"], row["best"], row["pass"]) == (0.0, 0.0, 0.0)


def test_many_draws_are_sampled_by_the_seed():
    items = [metrics.Said(tuple("abc"[(n * m) % 3] for m in range(16)), "a") for n in range(1, 6)]
    once, again = (metrics.by_open_draws(items, exact, exact=True, seed=3) for _ in range(2))
    assert once == again
    assert once[-1]["consensus"] == mean(exact(agreed(item.answers, exact), "a") for item in items)


@pytest.mark.slow
def test_hostile_answers_stay_text(tmp_path):
    """Of the model's draws some say what would act in a page; the data's own answers travel the same way."""
    odd = " ".join(" ".join(HOSTILE[:3]).split())
    opened.run(tmp_path, odd=odd, iterations=1)
    summary = report.write(tmp_path / "open")
    page = (tmp_path / "open" / "report.html").read_text()
    assert page.count("<script") == 2
    assert "<img src=x" not in page
    block, total = rationales([Told("run", tmp_path / "open", summary)])
    assert total == len(block["trials"])
    assert odd in block["levels"]
    assert block["open"] is True
    assert block["words"]["label"] == "right answer"
    write_page({"a": tmp_path / "open", "b": tmp_path / "open"}, tmp_path / "both.html")
    assert (tmp_path / "both.html").read_text().count("<script") == 2


def test_the_browser_holds_rewards_where_a_judge_has_distances(ran):
    directory, rule, summary, ledger = ran
    block, _ = rationales([Told("run", directory, summary)])
    trials = {(t.iteration, t.example_id, t.attempt, t.retry): t for purpose in (Purpose.TRAIN,) for k in (1, 2)
              for t in ledger.trials(k, purpose)}  # fmt: skip
    met = 0
    for row in block["trials"]:
        if not block["purposes"][row[2]].startswith("for training"):
            continue
        trial = trials[row[1], block["examples"][row[3]][0], row[4], row[5]]
        assert row[10] == round(trial.reward, 4)
        assert (row[7] == -1) == (trial.parsed.answer is None)
        met += 1
    assert met == len(trials)
    names = dict(block["outcomes"])
    assert names["wrong"] == ("another answer" if rule == "exact" else "too little reward")
    assert names["unparseable"] == "no answer"


@pytest.mark.slow
def test_a_reward_that_is_a_program_nobody_named_leaves_out_what_needs_it(ran):
    """The numbers that were measured stay; what would have to ask the program does not exist."""
    directory, rule, summary, _ = ran
    copy = directory.parent / f"{rule}-own"
    shutil.copytree(directory, copy)
    with sqlite3.connect(copy / "ledger.sqlite") as db:
        (told,) = db.execute("SELECT value FROM manifest WHERE key='task'").fetchone()
        own = {"name": "mine", "own": "Mine", "sha256": "0" * 64, "reward": "own", "scale": json.loads(told)["scale"]}
        db.execute("UPDATE manifest SET value=? WHERE key='task'", (json.dumps(own),))
    db.close()
    again = report.write(copy)
    assert again["iterations"][2]["test"]["reward"] == summary["iterations"][2]["test"]["reward"]
    assert again["iterations"][2]["test"]["by_draws"] is None
    assert again["baselines"]["test"]["constant"]["reward"] is None
    assert "always saying" not in sentence(again)


def test_the_notes_name_the_inputs_and_the_answer():
    columns = {"prompt": "prompt", "response": "response", "rating": "result", "inputs": [["prompt", "question"]],
               "optional": [], "weight": "w"}  # fmt: skip
    (said,) = (one.text for one in report.reading.reading({"notes": {"rows": 3, "columns": columns}, "config": {}}))
    assert said == "Data: 3 rows. Columns: prompt from `question`, answer from `result`, weight from `w`."
