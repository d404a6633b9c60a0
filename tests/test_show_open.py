"""What the terminal, a model card and a refit say of a run with open answers."""

import dataclasses
import re
import types

import pytest

import opened
from rationem import report
from rationem.cli.main import main
from rationem.errors import ConfigError
from rationem.evaluation.diagnostics.hints import wrong_hint
from rationem.export.origin import StartingModel
from rationem.export.page import Facts, page
from rationem.ledger import read_examples, read_only
from rationem.ledger.reading import read_trials
from rationem.run.card import Card
from rationem.run.preflight import check_levels
from rationem.run.refit import Origin, judged_again
from rationem.sampling.schemes import STAR
from rationem.tasks.kinds import OpenKind
from rationem.types import Purpose, Splits

LONG = "word " * 200


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("show")
    opened.run(directory, "rouge-l", threshold=0.3, odd=LONG.strip(), iterations=1)
    return directory / "open"


@pytest.fixture(scope="module")
def db(run):
    db = read_only(run)
    yield db
    db.close()


def show(capsys, *arguments):
    capsys.readouterr()
    assert main(["show", *map(str, arguments)]) == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_a_run_is_shown_with_what_counts(run, capsys):
    out = show(capsys, run)
    assert "earns a mean reward (rouge-l, 0 to 1) of" in out
    assert re.search(r"score +mean reward +one draw +tokens", out)
    assert not re.findall(r"\blevel|\bjudge\b|\blabel\b|likelihood", out)
    assert max(map(len, out.splitlines())) < 700  # a long answer is cut short


def test_an_example_is_told_with_its_rewards_and_long_answers_cut_short(run, db, capsys):
    for x in read_examples(db, "test")[:3]:
        out = show(capsys, run, "--example", x.id)
        assert f"given answer: {x.answer}" in out
        assert "agree with it by" in out
        assert "of a single draw" in out
        assert "more characters)" in out or LONG[:40] not in out
        assert not re.findall(r"\blevels?\b|\blabel\b|verdict", out)


@pytest.mark.slow
def test_the_wrong_hint_that_is_shown_is_the_one_that_was_drawn(run, db, capsys):
    validation = read_examples(db, "validation")
    probed = {t.example_id for t in read_trials(db, 0, Purpose.PROBE)} & {x.id for x in validation}
    assert len(probed) == 4
    for x in validation:
        told = f"Probe: shown the wrong answer {wrong_hint(x, OpenKind(), 0, validation)};"
        assert (told in show(capsys, run, "--example", x.id)) == (x.id in probed)


def test_a_weight_is_told(tmp_path, capsys):
    from rationem import Ledger

    x = dataclasses.replace(opened.examples(1, 0)[0], weight=2.5)
    ledger = Ledger(tmp_path / "run")
    ledger.start({"task": opened.task().describe(), "config": {}, "notes": {}, "engine": {}}, {"train": [x]})
    ledger.close()
    assert "weight: 2.5" in show(capsys, tmp_path / "run", "--example", x.id)


def facts(run, **task):
    described = {**opened.task("rouge-l").describe(), **task}
    card = Card(described, {"inputs": [["prompt", "q"]], "optional": []}, None, {}, 6, 600, 64, False, 0, None)
    chat = types.SimpleNamespace(
        folds=False, conversation=types.SimpleNamespace(system=""), settings={},
        tokenizer=types.SimpleNamespace(chat_template="x"), template=types.SimpleNamespace(text="x"),
    )  # fmt: skip
    return Facts(
        report.summarize(run), card, StartingModel("o/b", True), "me/mine", False, False, chat, ("q.csv",), "1.0"
    )


@pytest.mark.slow
def test_a_model_card_says_what_is_answered_and_how_to_ask(run):
    told = page(facts(run))
    assert not re.findall(r"llm-as-a-judge|\blevels?\b|verdict|calibrat|log-likelihood|A judge", told)
    assert 'judge.rate([{"prompt": "..."}])[0]' in told
    assert "rating.agreement" in told
    assert "Answers: a line of text. Reward: rouge-l." in told
    block = report.summarize(run)["iterations"][1]["test"]
    assert f"{block['reward']:.3f} [{block['intervals']['reward'][0]:.3f}," in told


@pytest.mark.slow
def test_a_hostile_marker_or_pattern_stays_text_on_a_card(run):
    pattern = "pattern:(<b>`x`</b>)"
    told = page(facts(run, answer=pattern, marker="<i>`End`</i>", template="{{ prompt }} <i>`End`</i>"))
    prose = re.sub(r"^(```+)\w*\n.*?^\1$", "", told, flags=re.S | re.M)
    assert "<b>" not in prose
    assert "<i>" not in prose


def origin(db, run):
    train = read_examples(db, "train")
    return Origin(run, 1, {"task": opened.task().describe()}, None, Splits(train, (), (), {}), "", "", frozenset())


@pytest.mark.parametrize(("rule", "threshold"), [("exact", 1.0), ("rouge-l", 0.3), ("rouge-l", 0.9)])
def test_a_refit_judges_old_draws_by_another_reward(run, db, rule, threshold):
    from rationem import FitConfig

    config = FitConfig(data=("q.csv",), threshold=threshold, leak_filter="off")
    old = list(read_trials(db, 1, Purpose.TRAIN))
    again = judged_again(origin(db, run), config, STAR, opened.task(rule))
    answers = {x.id: x.answer for x in read_examples(db, "train")}
    asked = opened.task(rule)
    assert [t.draft for t in again] == [t.draft for t in old]
    for trial in again:
        said = trial.parsed.answer
        expected = 0.0 if said is None else asked.reward(said, answers[trial.example_id])
        assert trial.reward == expected
        assert (trial.outcome == "accepted") == (expected >= threshold)


def test_what_needs_levels_is_refused_with_a_way_out():
    from rationem import FitConfig

    config = FitConfig(data=("q.csv",), choose_by="log_likelihood")
    with pytest.raises(ConfigError, match=r"no levels\. Omit it: the evidence"):
        check_levels(config, STAR, opened.task())


@pytest.mark.slow
def test_a_run_of_a_real_model_is_refitted_by_another_reward_and_handed_on(tmp_path):
    """exact becomes rouge-l with a threshold of its own; nothing is drawn; the card needs no calibration."""
    import checkpoints
    from rationem import FitConfig, start
    from rationem.export.push import write
    from rationem.run.card import read_card
    from rationem.run.refit import refit

    checkpoints.grader(tmp_path / "model")
    rows = "".join(f"what is {n} ?,{n % 5 + 1}\n" for n in range(40))
    (tmp_path / "q.csv").write_text(f"prompt,answer\n{rows}")
    (tmp_path / "t.toml").write_text(
        'prompt = "Question: {{ prompt }} End with {{ marker }} NUMBER"\ninputs = ["prompt"]\nanswer = "number"\n'
        'marker = "Final rating:"\n'
    )
    start(
        FitConfig(
            data=(str(tmp_path / "q.csv"),), task=str(tmp_path / "t.toml"), model=str(tmp_path / "model" / "grader"),
            scheme="star", iterations=1, steps=2, batch_size=8, micro_batch_size=4, max_new_tokens=24, draws=2,
            max_prompt_tokens=600, learning_rate=1e-3, evidence_draws=1, wrong_hints=2, difficulty_examples=0,
            sampling_batch=16, threads=1, validation_share=0.2, test_share=0.2,
        ),
        tmp_path / "run",
    )  # fmt: skip
    refit(tmp_path / "run", tmp_path / "again", {"reward": "rouge-l"})
    summary = report.summarize(tmp_path / "again")
    assert (summary["reward"], summary["config"]["reward"], summary["config"]["threshold"]) == (
        "rouge-l",
        "rouge-l",
        0.3,
    )
    for run in ("run", "again"):
        write(tmp_path / run, tmp_path / f"{run}-card", merged=False)
        assert read_card(tmp_path / f"{run}-card").calibration is None
    assert "Answers: a number. Reward: rouge-l." in (tmp_path / "again-card" / "README.md").read_text()
    with pytest.raises(ConfigError, match="Unknown reward 'ordinal' of an open answer"):
        refit(tmp_path / "run", tmp_path / "other", {"reward": "ordinal"})
