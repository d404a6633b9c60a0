"""Files of tasks with open answers: what is read, what never is, and what a fit makes of it."""

import json
import sqlite3
from fractions import Fraction
from pathlib import Path

import pytest

from lettered import rows_of
from rationem import FitConfig, progress
from rationem.check.checkup import examine
from rationem.cli.main import main
from rationem.data import Columns, load, split
from rationem.data.published.summaries import strengths
from rationem.errors import ConfigError, DataError
from rationem.run.launch import check, resolve
from rationem.run.prepare import prepare
from rationem.run.task_resolution import ROUGE_THRESHOLD, with_reward
from rationem.tasks.answer import maths, summary
from rationem.tasks.scale import Scale

FIXTURES = Path(__file__).parent / "fixtures"
GSM8K = FIXTURES / "gsm8k_like.jsonl"
COMPARISONS = FIXTURES / "summarize_comparisons_like.jsonl"


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(progress, "_display", progress.Silent())


def sums(path, *rows, keys=("question", "answer")):
    return rows_of(path / "sums.jsonl", [dict(zip(keys, row, strict=True)) for row in rows])


def everything_said(task, splits):
    """All texts that a model could see or a sample could hold."""
    for x in (*splits.train, *splits.validation, *splits.test):
        yield from (x.id, x.answer, x.group, x.source, *x.fields, *x.fields.values(), *x.ratings)
        yield task.prompt(x.fields).text
        yield task.hint_prompt(x.fields, x.answer).text


# GSM8K --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"task": "math"}, {"preset": "gsm8k"}, {"task": "math", "answer_col": "answer"}])
def test_the_human_solution_of_a_gsm8k_row_is_nowhere(more):
    task, splits = prepare(FitConfig(data=(str(GSM8K),), **more))
    rows = [json.loads(line) for line in GSM8K.read_text().splitlines()]
    assert (task.name, task.levels, splits.notes["rows"]) == ("math", (), 60)
    examples = [*splits.train, *splits.validation, *splits.test]
    assert len(examples) == 60
    solutions = [part for row in rows for part in row["answer"].split("####")[0].strip().splitlines()]
    said = "\n".join(everything_said(task, splits))
    assert not [part for part in solutions if part in said]
    assert "EXPLANATION" not in said
    assert "<<" not in said
    by_question = {row["question"]: row["answer"].rpartition("####")[2].strip() for row in rows}
    assert all(Fraction(x.answer) == int(by_question[x.fields["prompt"]].replace(",", "")) for x in examples)


def test_equal_questions_fall_into_one_set(tmp_path):
    rows = [(f"How much is {n % 10} + 1?", str(n % 10 + 1)) for n in range(40)]
    found = load([sums(tmp_path, *rows)], task=maths())
    assert len(found.examples) == 40
    sets = split(found.examples, seed=1)
    questions = [{x.fields["prompt"] for x in part} for part in sets]
    assert not any(questions[a] & questions[b] for a, b in ((0, 1), (0, 2), (1, 2)))


def test_rated_answers_to_questions_are_not_taken_for_gsm8k(tmp_path):
    rows = [("2 + 2?", "two and two\n#### 4", 5), ("3 + 3?", "#### 7", 1)]
    path = sums(tmp_path, *rows, keys=("question", "answer", "score"))
    found = load([path], scale=Scale.parse("1-5"))
    assert (found.preset, found.items) == (None, "responses")
    assert [x.fields["response"] for x in found.examples] == ["two and two\n#### 4", "#### 7"]


def test_a_row_of_another_kind_among_gsm8k_is_an_error_with_its_place(tmp_path):
    path = sums(tmp_path, ("1 + 1?", "#### 2"), ("1 + 2?", "3"))
    with pytest.raises(DataError, match=r"sums.jsonl:2: not a row of gsm8k"):
        load([path])


# A file of one's own ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "answer"),
    [
        ("18", "18"),
        (18.0, "18"),
        ("$1,234.50", "1234.5"),
        ("first 3, then 4\n#### 7", "7"),
        ("#### 3 of 4 #### -2", "-2"),
        (r"so it is $\boxed{\frac{14}{3}}$.", "14/3"),
        (r"\boxed{1} is wrong, \boxed{2{,}500} is right", "2500"),
        (r"\boxed{90^\circ}", "90"),
        (r"\boxed{\$3.20}", "3.2"),
        (r"\boxed{12\text{ cm}}", "12"),
        (r"$-\frac12$", "-0.5"),
    ],
)
def test_numbers_are_read_exactly(tmp_path, cell, answer):
    path = sums(tmp_path, ("q", cell, 1), keys=("question", "answer", "n"))
    (one,) = load([path], task=maths()).examples
    assert one.answer == answer


@pytest.mark.parametrize(
    "cell",
    ["none", "3 or 4", "3 #### ", r"\boxed{2\sqrt{3}}", r"\boxed{3\pi}", r"\boxed{x^2}", r"\boxed{(1, 2)}", r"5^2"],
)
def test_what_is_no_number_is_an_error_that_says_what_to_do(tmp_path, cell):
    path = sums(tmp_path, ("How much?", "7", 1), ("How many?", cell, 2), keys=("question", "answer", "n"))
    with pytest.raises(DataError, match=r":2: the answer \(column 'answer'\) holds no single number.*Correct"):
        load([path], task=maths())
    skipped = []
    found = load([path], task=maths(), skipped=skipped)
    assert [x.id for x in found.examples] == ["sums-1"]
    assert len(skipped) == 1


def test_a_long_cell_is_shown_shortened(tmp_path):
    path = sums(tmp_path, ("How many?", "SECRET " * 50, 1), keys=("question", "answer", "n"))
    with pytest.raises(DataError) as caught:
        load([path], task=maths())
    assert len(str(caught.value)) < 400


def test_columns_are_found_by_their_usual_names_and_told(tmp_path):
    path = sums(tmp_path, ("p", "1", "x", "c"), keys=("Problem", "solution", "level", "context"))
    found = load([path], task=maths())
    assert found.columns.inputs == (("prompt", "Problem"),)
    assert found.columns.optional == (("context", "context"),)
    assert found.columns.rating == "solution"
    assert found.notes["guessed"] == {"prompt": "Problem", "answer": "solution", "context": "context"}
    assert found.notes["unused_columns"] == ["level"]
    assert found.examples[0].fields == {"prompt": "p", "context": "c"}
    assert Columns.from_dict(json.loads(json.dumps(found.columns.to_dict()))) == found.columns


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (("problem", "prompt", "answer"), "the prompt: 'problem', 'prompt'. Name the correct one: `--prompt-col NAME`"),
        (("question", "Problem", "answer"), "the prompt: 'question', 'Problem'. Name the correct one"),
        (("question", "answer", "solution"), "the answer: 'answer', 'solution'. Name the correct one: `--answer-col"),
    ],
)
def test_where_several_columns_could_be_meant_the_user_is_asked(tmp_path, keys, said):
    path = sums(tmp_path, ("p", "1", "1"), keys=keys)
    with pytest.raises(DataError, match=f"Several columns could be {said}"):
        load([path], task=maths())


def test_a_column_that_is_named_or_meant_for_something_else_is_not_asked_about(tmp_path):
    path = sums(tmp_path, ("p", "q", "1"), keys=("question", "prompt", "answer"))
    _, splits = prepare_few(path, task="math", context_col="prompt")
    assert splits.train[0].fields == {"prompt": "p", "context": "q"}
    path = sums(tmp_path, ("p", "q", "1"), keys=("problem", "prompt", "answer"))
    task, _ = prepare_few(path, task="math", prompt_col="problem")
    assert task.name == "math"


def prepare_few(path, **settings):
    return prepare(FitConfig(data=(str(path),), validation_share=0, test_share=0, **settings))


def test_a_context_is_read_where_a_row_has_one(tmp_path):
    rows = [{"q": "a", "a": 1, "passage": "P"}, {"q": "b", "a": 2, "passage": " "}, {"q": "c", "a": 3}]
    path = rows_of(tmp_path / "c.jsonl", rows)
    _, splits = prepare_few(path, task="math", prompt_col="q", answer_col="a", context_col="passage")
    assert [dict(x.fields) for x in splits.train] == [{"prompt": "a", "context": "P"}, {"prompt": "b"}, {"prompt": "c"}]
    assert splits.notes["columns"]["optional"] == [["context", "passage"]]


def test_dotted_columns_and_chat_messages_are_read(tmp_path):
    chat = [{"role": "user", "content": "2 + 2?"}]
    path = rows_of(tmp_path / "n.jsonl", [{"item": {"chat": chat, "key": "4"}, "nr": "a"}])
    _, splits = prepare_few(path, task="math", prompt_col="item.chat", answer_col="item.key", id_col="nr")
    assert splits.train[0].fields == {"prompt": "User: 2 + 2?"}
    assert (splits.train[0].answer, splits.train[0].id) == ("4", "a")
    assert splits.notes["conversations"] == 1


def test_an_answer_is_never_an_input(tmp_path):
    path = sums(tmp_path, ("p", "1"))
    with pytest.raises(ConfigError, match="answer column 'answer' is also named as an input"):
        prepare_few(path, task="math", prompt_col="answer", answer_col="answer")
    with pytest.raises(ConfigError, match="answer column 'question' is also named as an input"):
        prepare_few(path, task="math", context_col="question", answer_col="question", prompt_col="answer")
    with pytest.raises(ConfigError, match="weight column 'question' is also named as an input"):
        prepare_few(path, task="math", weight_col="question", answer_col="answer")


def test_one_id_with_two_answers_is_a_conflict_and_a_repeated_row_is_counted(tmp_path):
    rows = [("a", "p", "1"), ("a", "p", "1.0"), ("b", "q", "2")]
    path = sums(tmp_path, *rows, keys=("id", "question", "answer"))
    columns = Columns(rating="answer", inputs=(("prompt", "question"),), id="id")
    found = load([path], task=maths(), columns=columns)
    assert [x.answer for x in found.examples] == ["1", "2"]
    assert found.notes["identical_duplicates"] == 1
    path = sums(tmp_path, *rows, ("a", "p", "3"), keys=("id", "question", "answer"))
    with pytest.raises(DataError, match=r"with two labels.*--group-col") as caught:
        load([path], task=maths(), columns=columns)
    assert "rater" not in str(caught.value)


def test_a_test_set_is_read_as_the_data_was(tmp_path):
    test = rows_of(tmp_path / "t.jsonl", [{"problem": "p", "answer": "5", "note": "EXPLANATION"}])
    task, splits = prepare(FitConfig(data=(str(GSM8K),), test=(str(test),)))
    assert (task.name, splits.test[0].answer) == ("math", "5")
    rated = rows_of(tmp_path / "r.jsonl", [{"prompt": "p", "response": "r", "rating": 5}])
    with pytest.raises(DataError, match="no column"):
        prepare(FitConfig(data=(str(GSM8K),), test=(str(rated),)))


# Settings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"rating_col": "n"}, "--rating-col applies to judging"),
        ({"choices_col": "a,b"}, "--choices-col"),
        ({"scale": "1-5"}, "--scale"),
        ({"criterion": "kind"}, "--criterion"),
        ({"raters": "mean"}, "--raters"),
        ({"shuffle_choices": False}, "--no-shuffle-choices"),
        ({"inputs_col": ("topic=q",)}, "has no input 'topic'"),
        ({"inputs_col": ("question",)}, "write INPUT=COLUMN"),
        ({"inputs_col": ("prompt=q",), "prompt_col": "q"}, "already"),
        ({"reward": "within:1"}, "Unknown reward 'within:1' of an open answer"),
        ({"task": "maths"}, "no task 'maths'. Did you mean 'math'"),
        ({"task": "mine.py"}, "Cannot read the task mine.py"),
    ],
)
def test_settings_of_another_task_are_refused_by_name(setting, said):
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        prepare(FitConfig(**{"data": (str(GSM8K),), "task": "math", **setting}))


def test_settings_of_another_task_are_refused_where_the_preset_tells_the_task():
    with pytest.raises(ConfigError, match="--scale applies to judging"):
        prepare(FitConfig(data=(str(GSM8K),), scale="1-5"))
    with pytest.raises(ConfigError, match="whose task is math, but the task is summarize"):
        prepare(FitConfig(data=(str(GSM8K),), task="summarize"))
    with pytest.raises(ConfigError, match="--preset summarize-write"):
        prepare(FitConfig(data=(str(COMPARISONS),), task="summarize"))


def test_the_reward_is_the_tasks_own_and_its_threshold_a_named_default():
    config = FitConfig()
    assert (config.reward, config.threshold) == (None, None)
    by_task = {name: with_reward(config, task) for name, task in {"math": maths(), "summarize": summary()}.items()}
    assert (by_task["math"].reward, by_task["math"].threshold) == ("exact", 1.0)
    assert (
        (by_task["summarize"].reward, by_task["summarize"].threshold)
        == ("rouge-l", ROUGE_THRESHOLD)
        == (
            "rouge-l",
            0.3,
        )
    )
    assert with_reward(FitConfig(threshold=0.5), summary()).threshold == 0.5


def test_wording_and_reward_can_be_changed(tmp_path):
    (tmp_path / "t.txt").write_text("Q {{ prompt }}\n{{ instruction }}\n{{ marker }} X\n")
    settings = {"template": str(tmp_path / "t.txt"), "instruction": "Be quick.", "reward": "rouge-l"}
    task, splits = prepare(FitConfig(data=(str(GSM8K),), **settings))
    said = task.prompt(splits.train[0].fields).text
    assert said == f"Q {splits.train[0].fields['prompt']}\nBe quick.\nAnswer: X"
    assert task.describe()["reward"] == "rouge-l"


@pytest.mark.slow
def test_what_is_shortened_is_the_longest_input(tmp_path):
    rows = [{"question": "why " * 30, "context": "so " * 400, "answer": n} for n in range(30)]
    config = FitConfig(data=(str(rows_of(tmp_path / "long.jsonl", rows)),), task="math", model="tiny-judge", elide=True)
    run, _ = resolve(config.model_copy(update={"max_prompt_tokens": 200, "group_col": "answer"}), tmp_path / "run")
    assert all(x.elided > 0 for x in run.splits.train)
    assert {x.fields["prompt"] for x in run.splits.train} == {"why " * 30}


@pytest.mark.parametrize("settings", [{"exact_items": 2}, {"scheme": "exact"}])
def test_what_enumerates_needs_levels(tmp_path, settings):
    with pytest.raises(ConfigError, match="has open answers and no levels"):
        check(FitConfig(data=(str(GSM8K),), model="tiny-judge", **settings), tmp_path / "run")


def test_a_task_of_ones_own_reads_columns_of_its_inputs_names(tmp_path):
    toml = tmp_path / "head.toml"
    toml.write_text(
        'name = "head"\ninputs = ["topic", "style"]\nprompt = """{{ topic }} {{ style }}\n{{ marker }} HEADLINE"""\n'
    )
    rows = [{"topic": "goats", "how": "brief", "answer": "Goats!", "note": "EXPLANATION"}]
    path = rows_of(tmp_path / "h.jsonl", rows)
    task, splits = prepare_few(path, task=str(toml), inputs_col=("style=how",))
    assert task.name == "head"
    assert splits.train[0].fields == {"topic": "goats", "style": "brief"}
    assert splits.train[0].group == "goats\nbrief"
    with pytest.raises(DataError, match=r"no column 'style' for the style.*--inputs-col style=NAME"):
        prepare_few(path, task=str(toml))
    assert with_reward(FitConfig(task=str(toml)), task).task == str(toml)


# Preferred summaries, and weights -----------------------------------------------------------------------------------


def test_the_preferred_summary_is_what_is_to_be_written():
    task, splits = prepare(
        FitConfig(data=(str(COMPARISONS),), preset="summarize-write", validation_share=0, test_share=0)
    )
    assert task.name == "summarize"
    found = {(x.group, x.answer) for x in splits.train}
    assert found == {
        ("t3_goat", "Goat on roof."),
        ("t3_goat", "No goat."),
        ("cnn_ferry", "A ferry left at noon."),
    }
    assert splits.notes["identical_duplicates"] == 1
    assert "EXPLANATION" not in "\n".join(everything_said(task, splits))
    assert {x.weight for x in splits.train} == {1.0}


@pytest.mark.parametrize("preset", ["summarize-write", "summarize-comparisons"])
def test_confidence_weighs_and_the_training_set_counts_as_a_whole_what_it_did(preset):
    settings = {"preset": preset, "weight_col": "confidence", "validation_share": 0, "test_share": 0}
    _, splits = prepare(FitConfig(data=(str(COMPARISONS),), **settings))
    weights = [x.weight for x in splits.train]
    assert sum(weights) == pytest.approx(len(weights))
    if preset == "summarize-write":  # 9 with nothing beside it, 1, and what neither says: their mean
        assert weights == pytest.approx([7 * 3 / 13, 1 * 3 / 13, 5 * 3 / 13])
    else:  # both orders of a pair count alike
        assert weights[0::2] == weights[1::2]
    with pytest.raises(ConfigError, match=r"no weight 'sure' in the published set.*\['confidence'\]"):
        prepare(FitConfig(data=(str(COMPARISONS),), **{**settings, "weight_col": "sure"}))


def test_how_sure_a_comparison_is_the_rows_tell():
    signed = strengths([(0, -4), (1, 2), (1, 0), (0, None)])
    assert (signed.weights, signed.unknown) == ([5, 3, 1, 3], 1)
    slider = [(0, 1), (0, 3), (1, 9), (1, 8), (0, 5)]
    assert strengths(slider).weights == [5, 3, 5, 4, 1]
    plain = [(0, 9), (1, 9), (1, 2), (0, 4)]
    assert strengths(plain).weights == [9, 9, 2, 4]
    assert len({signed.reading, strengths(slider).reading, strengths(plain).reading}) == 3
    assert strengths([(0, None), (1, None)]).weights == [1, 1]
    assert all(one > 0 for one in strengths([(None, 5), (1, 5), (0, 1)]).weights)


def test_how_confidence_was_read_is_told_and_what_holds_none_is_refused(tmp_path, capsys):
    settings = {"preset": "summarize-comparisons", "weight_col": "confidence", "validation_share": 0, "test_share": 0}
    _, splits = prepare(FitConfig(data=(str(COMPARISONS),), **settings))
    said = splits.notes["weights"]
    assert said.startswith("Rows are weighted by 'confidence' (")
    assert "rows without a number have the mean weight of the others" in said
    assert main(["check", str(COMPARISONS), "--preset", "summarize-comparisons", "--weight-col", "confidence"]) in (
        0,
        1,
    )
    assert "Rows are weighted by 'confidence'" in " ".join(capsys.readouterr().out.split())
    path = tmp_path / "unsure.jsonl"
    rows = [json.loads(line) for line in COMPARISONS.read_text().splitlines()]
    path.write_text("".join(json.dumps({**row, "extra": {"confidence": "sure"}}) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"Not one of \d+ rows has a number as 'confidence' \(extra.confidence\)"):
        prepare(FitConfig(data=(str(path),), **settings))


def test_a_wrong_choice_is_no_missing_one(tmp_path, capsys):
    rows = [json.loads(line) for line in COMPARISONS.read_text().splitlines()]
    path = tmp_path / "chosen.jsonl"

    def write(choice):
        path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {**rows[0], "choice": choice}]))

    write(2)
    with pytest.raises(DataError, match=rf"chosen.jsonl:{len(rows) + 1}: the choice is 2; .* 0 or 1.*--skip-unusable"):
        load([path], preset="summarize-write")
    write(None)
    assert load([path], preset="summarize-write").notes["unrated"] == 1
    main(["check", str(path), "--preset", "summarize-write"])
    said = " ".join(capsys.readouterr().out.split())
    assert "1 row has no answer and is left out." in said
    assert "rated on" not in said


def test_weights_of_a_file_survive_raters_and_orders(tmp_path):
    rows = [
        {"prompt": f"p{n}", "a": "x", "b": "y", "choice": "a" if n % 2 else "b", "who": who, "w": n + 1 + at}
        for n in range(4)
        for at, who in enumerate(("ann", "ben"))
    ]
    path = rows_of(tmp_path / "pairs.jsonl", rows)
    settings = {"response_col": "a,b", "rating_col": "choice", "rater_col": "who", "scale": "a | b", "weight_col": "w"}
    _, splits = prepare(FitConfig(data=(str(path),), validation_share=0.25, test_share=0.25, **settings))
    by_prompt = {}
    for x in splits.train:
        by_prompt.setdefault(x.fields["prompt"], set()).add(round(x.weight, 12))
    assert len(splits.train) == 2 * 2 * 2  # two pairs, two ratings each, in both orders
    assert all(len(weights) == 1 for weights in by_prompt.values())
    raw = {name: int(name[1:]) + 1.5 for name in by_prompt}
    mean = sum(raw.values()) / len(raw)
    assert {name: next(iter(w)) for name, w in by_prompt.items()} == pytest.approx(
        {n: w / mean for n, w in raw.items()}
    )
    assert {x.weight for x in (*splits.validation, *splits.test)} == {1.0}


def test_weights_of_choices_survive_the_shuffle(tmp_path):
    rows = [{"question": f"q{n}", "choices": ["p", "q", "r"], "answer": "p", "w": 1 + n % 2} for n in range(4)]
    path = rows_of(tmp_path / "c.jsonl", rows)
    _, splits = prepare_few(path, task="choice", weight_col="w")
    assert [x.weight for x in splits.train] == pytest.approx([1 / 1.5, 2 / 1.5] * 2)


@pytest.mark.parametrize("bad", [0, -1, "much", None, float("inf"), True])
def test_a_weight_is_a_positive_number(tmp_path, bad):
    path = sums(tmp_path, ("p", "1", 1), ("q", "2", bad), keys=("question", "answer", "w"))
    with pytest.raises(DataError, match=r"sums.jsonl:2: the weight \(column 'w'\) is not a positive number"):
        prepare_few(path, task="math", weight_col="w")


# Check and prompt ---------------------------------------------------------------------------------------------------


def test_a_check_shows_the_answers_and_two_prompts_and_leaves_levels_out(capsys):
    assert main(["check", str(GSM8K), "--task", "math"]) == 0
    out = capsys.readouterr().out
    assert "task math: open answers" in out
    assert "60 answers" in out
    assert "The correct answer is:" in out
    assert "EXPLANATION" not in out
    assert "Raters" not in out
    found = examine(FitConfig(data=(str(GSM8K),))).as_dict()
    assert (found["scale"], found["labels"], found["raters"], found["baselines"]) == (None,) * 4
    assert found["answers"]["sets"]["data"]["read"] == found["data"]["items"] == 60
    assert main(["prompt", str(GSM8K), "--show", "1"]) == 0
    assert "EXPLANATION" not in capsys.readouterr().out


def test_a_check_finds_an_input_that_holds_the_answer_and_two_answers_to_one_question(tmp_path):
    rows = [{"question": f"How much is {n}?", "context": f"It is {n * 7}.", "answer": str(n * 7)} for n in range(30)]
    rows += [{"question": "How much is 3?", "context": "It is 21.", "answer": "22"}]
    path = rows_of(tmp_path / "m.jsonl", rows)
    found = examine(FitConfig(data=(str(path),), task="math"))
    codes = {finding.code for finding in found.findings}
    assert {"label_leak", "contradictions"} <= codes


def test_a_check_counts_what_cannot_be_used(tmp_path):
    path = sums(
        tmp_path, *[(f"q{n}", "3 or 4" if n < 2 else n, n) for n in range(12)], keys=("question", "answer", "n")
    )
    found = examine(FitConfig(data=(str(path),), task="math")).as_dict()
    assert found["rows"]["unusable"] == 2
    assert list(found["rows"]["reasons"].values()) == [2]


# End to end ---------------------------------------------------------------------------------------------------------

SMALL = (
    "--model", "tiny-judge", "--iterations", "1", "--steps", "2", "--draws", "2", "--evidence-draws", "1",
    "--wrong-hints", "6", "--difficulty-examples", "4", "--shots", "2", "--validation-share", "0.2",
    "--test-share", "0.2", "--threads", "1", "--device", "cpu", "--go-on",  # the tiny judge knows ratings alone
)  # fmt: skip


@pytest.mark.slow
def test_a_fit_accounts_for_every_example_and_never_sees_a_solution(tmp_path):
    output = tmp_path / "run"
    assert main(["fit", str(GSM8K), "--task", "math", "--scheme", "star", *SMALL, "--output", str(output)]) == 0
    summary_ = json.loads((output / "metrics.json").read_text())
    config = summary_["config"]
    assert (config["task"], config["reward"], config["threshold"]) == ("math", "exact", 1.0)
    assert summary_["notes"]["preset"] == "gsm8k"
    assert sum(summary_["examples"].values()) == 60
    assert sum(summary_["iterations"][1]["e_step"]["states"].values()) == summary_["examples"]["train"]
    with sqlite3.connect(output / "ledger.sqlite") as db:
        held = [
            str(row) for table in ("examples", "manifest", "trials") for row in db.execute(f"SELECT * FROM {table}")
        ]
    assert not [row for row in held if "EXPLANATION" in row or "<<" in row]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fixture", "more", "states"),
    [
        (COMPARISONS, ("--preset", "summarize-write", "--weight-col", "confidence"), 3),
        (COMPARISONS, (), 8),  # three ratings of one pair and one of another, each in both orders
        (FIXTURES / "summarize_axis_like.jsonl", ("--criterion", "all"), None),
    ],
)
def test_preferred_compared_and_rated_summaries_can_be_fitted(tmp_path, fixture, more, states):
    output = tmp_path / "run"
    whole = ("--validation-share", "0", "--test-share", "0", "--shots", "0", "--scheme", "pps")
    assert main(["fit", str(fixture), *SMALL, *more, *whole, "--output", str(output)]) == 0
    summary_ = json.loads((output / "metrics.json").read_text())
    found = sum(summary_["iterations"][1]["e_step"]["states"].values())
    assert found == summary_["examples"]["train"] == (states or found)
    with sqlite3.connect(output / "ledger.sqlite") as db:
        rows = db.execute("SELECT fields, answer, weight FROM examples").fetchall()
    assert "EXPLANATION" not in str(rows)
    assert sum(weight for _, _, weight in rows) == pytest.approx(len(rows))


def test_an_axis_that_nobody_rated_is_no_example():
    rows = [json.loads(line) for line in (FIXTURES / "summarize_axis_like.jsonl").read_text().splitlines()]
    given = [row["summary"]["axes"]["coverage"] for row in rows]
    found = load([FIXTURES / "summarize_axis_like.jsonl"], criteria=("coverage",))
    ratings = [rating for x in found.examples for rating in (x.ratings or (x.answer,))]
    assert len(ratings) + found.notes["unrated"] + found.notes["repeated_ratings"] == len(rows)
    assert found.notes["unrated"] == given.count(None) > 0


def test_who_has_answers_and_no_ratings_is_told_what_to_say(tmp_path):
    path = tmp_path / "sums.csv"
    path.write_text("question,answer\nWhat is 1 + 1?,2\n")
    with pytest.raises(DataError, match="--task math"):
        load([path])
