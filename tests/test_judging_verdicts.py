"""Drawn rationales -> a rating: what decides where nothing stands out, and which rationale is shown."""

from collections import Counter

import numpy as np
import pytest

from judges import PAIR, TASK, card, directory, judge
from rationem import JudgeTask, Scale, ScriptedEngine, progress
from rationem.cli import main as cli
from rationem.judging import judge as judging
from rationem.judging.asking import Drawn, Plan
from rationem.judging.differences import differences
from rationem.judging.judge import Judge
from rationem.judging.questions import Case
from rationem.judging.stream import rate_file
from rationem.judging.totals import Count, Totals
from rationem.judging.verdicts import verdict
from rationem.run.card import write_card
from rationem.tasks.template import packaged
from rationem.types import Prompt

TWO = JudgeTask(Scale.parse("A | B"), template=packaged("pair"), pair=True)
SAME = {"prompt": "which", "response_a": "the same", "response_b": "the same"}


def even(task, table):
    """An engine that rates by place alone."""
    return ScriptedEngine(lambda request: f"z\nFinal rating: {task.levels[request.seed % 2]}", lambda _: np.log(table))


@pytest.mark.parametrize("temperature", [None, 0.3])
def test_identical_answers_are_a_tie_where_the_scale_has_one_even_for_a_judge_that_prefers_the_first(
    tmp_path, temperature
):
    (rating,) = judge(tmp_path, even(PAIR, [0.7, 0.2, 0.1]), PAIR, temperature=temperature).rate([SAME], draws=4)
    assert rating.probabilities["A"] == pytest.approx(rating.probabilities["B"])
    assert rating.probabilities["A"] > rating.probabilities["tie"]
    assert (rating.rating, rating.problem) == ("tie", "")


def test_without_a_tie_on_the_scale_identical_answers_go_to_the_first_and_it_says_so(tmp_path):
    (rating,) = judge(tmp_path, even(TWO, [0.7, 0.3]), TWO, marginal=(0.5, 0.5)).rate([SAME])
    assert (rating.rating, rating.problem) == ("A", "both responses are equally probable")


@pytest.mark.parametrize(
    ("first", "second", "rating"),
    [
        ([0.4, 0.3, 0.3], [0.3, 0.4, 0.3], "A"),  # turned back: 0.4, 0.3, 0.3
        ([0.2, 0.2, 0.6], [0.2, 0.2, 0.6], "tie"),  # as probable, but not the highest
        ([0.4 + 1e-6, 0.4 - 1e-6, 0.2], [0.4, 0.4, 0.2], "A"),  # nearly is not exactly
    ],
)
def test_a_pair_that_is_not_exactly_even_goes_to_the_most_probable(first, second, rating):
    orders = [[Drawn("z", "A", tuple(np.log(table)))] for table in (first, second)]
    plan = Plan(draws=1, fast=False, seed=0, temperature=None, max_new_tokens=9)
    found = verdict(Case("", (Prompt("x"), Prompt("y"))), orders, plan, PAIR.scale, (0.4, 0.4, 0.2))
    assert (found.rating, found.problem) == (rating, "")


def test_one_response_that_is_even_between_two_levels_gets_the_lower_without_a_note(tmp_path):
    engine = ScriptedEngine(lambda _: "z\nFinal rating: 1", lambda _: np.log([0.4, 0.4, 0.2]))
    (rating,) = judge(tmp_path, engine).rate([{"prompt": "p", "response": "r"}])
    assert (rating.rating, rating.problem) == ("1", "")


def shown(draws):
    plan = Plan(draws=len(draws), fast=False, seed=0, temperature=None, max_new_tokens=9)
    return verdict(Case("", (Prompt("x"),)), [draws], plan, TASK.scale, (0.5, 0.3, 0.2))


def test_where_no_rationale_says_the_rating_the_one_behind_which_it_is_most_probable_is_shown():
    draws = [
        Drawn("lost", None),
        Drawn("low", "1", tuple(np.log([0.5, 0.3, 0.2]))),
        Drawn("high", "3", tuple(np.log([0.001, 0.0045, 0.0045]))),  # 0.45 of what it puts on levels at all
        Drawn("higher", "3", tuple(np.log([0.04, 0.42, 0.54]))),
    ]
    rating = shown(draws)
    assert (rating.rating, rating.rationale) == ("2", "high")


def test_a_rationale_that_says_the_rating_comes_before_one_behind_which_it_is_more_probable():
    draws = [Drawn("other", "1", tuple(np.log([0.1, 0.8, 0.1]))), Drawn("said", "2", tuple(np.log([0.3, 0.4, 0.3])))]
    assert shown(draws).rationale == "said"


# Doubts and progress -------------------------------------------------------------------------------------------


def doubtful(path):
    run = directory(path)
    write_card(card(doubts=("It does no better than the most frequent rating.", "Two.")), run / "model")
    return run


def test_what_the_run_doubts_is_told_once_at_the_start_and_can_be_asked_for(tmp_path, monkeypatch, capsys):
    engine = ScriptedEngine(lambda _: "z\nFinal rating: 1")
    run = doubtful(tmp_path)
    assert Judge.load(run, engine=engine).doubts == ("It does no better than the most frequent rating.", "Two.")
    (tmp_path / "items.csv").write_text("prompt,response\np,r\n")
    monkeypatch.setattr(progress, "_display", progress.Silent())
    monkeypatch.setattr(judging, "_open", lambda judge, opened: engine)
    code = cli.main(["judge", str(run), str(tmp_path / "items.csv"), "-o", str(tmp_path / "out.csv"), "--threads", "1"])
    out, err = capsys.readouterr()
    told = " ".join(err.split())
    assert code == 0
    assert told.startswith("Warning: It does no better than the most frequent rating. Warning: Two. ")
    assert told.count("Warning:") == 2
    assert "Warning" not in out


def test_a_log_hears_after_every_batch_how_far_the_rows_are(tmp_path, monkeypatch):
    heard = []

    class Display(progress.Silent):
        def track(self, phase, total):
            heard.append((phase, total))
            return _Heard()

    class _Heard:
        def __enter__(self):
            return heard.append

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(progress, "_display", Display())
    (tmp_path / "items.csv").write_text("prompt,response\n" + "".join(f"p{n},r\n" for n in range(9)))
    engine = ScriptedEngine(lambda _: "z\nFinal rating: 1", batch_size=4)
    rate_file(Judge.load(directory(tmp_path), engine=engine), tmp_path / "items.csv", tmp_path / "out.csv", draws=4)
    # A chunk is 4 rows of 4 draws: 4 batches of sampling and 4 of scoring; the last has one of each.
    assert heard == [("judging", 9), 0, *([0] * 8), 4, *([0] * 8), 4, 0, 0, 1]


# What the command says -----------------------------------------------------------------------------------------

FOUND = {
    "input": "a.csv", "input_sha256": "1f", "card_sha256": "2f", "model_sha256": "3f", "criteria": ["tone"],
    "columns": {"prompt": "q", "reference": None}, "draws": 8, "fast": False, "device": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"input": "b.csv", "input_sha256": "9f"}, "the input file (was a.csv, is b.csv)"),
        ({"input_sha256": "9f"}, "the content of the input file a.csv"),
        ({"model_sha256": "9f", "card_sha256": "9f"}, "the model (other weights)"),
        ({"card_sha256": "9f"}, "the model's card rationem.json (its prompt, its limits or its calibration)"),
        ({"draws": 4, "fast": True}, "the number of draws (was 8, is 4); --fast (was off, is on)"),
        ({"device": "cuda"}, "the device (was not given, is cuda)"),
        ({"criteria": ["tone", "facts"]}, "the criteria (was tone, is tone, facts)"),
        ({"engine": "vllm"}, "the engine (was not given, is vllm)"),
        ({"format": {"records": "a"}}, "how the file is written (--delimiter, --encoding, --records, ...)"),
        ({"shapes": {"on": "id"}, "joined": {"b": "1f"}}, "which rows are read (--unpivot, --join, --where)"),
        ({"joined": {"b": "1f"}}, "the content of the joined files"),
        ({"columns": {"prompt": "q", "reference": "key"}}, "the column of the reference (was not given, is key)"),
    ],
)
def test_what_differs_from_the_job_that_began_is_said_in_words(changes, told):
    assert differences(FOUND, {**FOUND, **changes}) == told


def test_the_totals_are_in_plain_english():
    pair = Count(Counter(rated=1), Counter(A=1), draws=16, unparsed=1, compared=1, consistent=1)
    assert pair.sentence(PAIR.kind) == (
        "1 rated; 1 of 16 rationales names no level; all orders agree on 1 of 1 comparison; "
        "ratings: A (1), B (0), tie (0)"
    )
    single = Count(Counter(rated=2, too_long=1), Counter({"3": 2}), 5.0, 2, draws=16, elided=1)
    assert single.sentence(TASK.kind) == (
        "2 rated; 1 too long for the judge; 1 item with shortened responses; every rationale names a level; "
        "ratings: 1 (0), 2 (0), 3 (2); mean expected rating 2.500"
    )
    assert Totals(1, {"": single}, 1, 2.0).lines(TASK.kind)[0] == "1 row in 2.0 s, 0.5 rows per second"
