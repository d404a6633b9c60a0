"""What callers hand over: items that are none are refused with the right call; names are found as people write them."""

import csv
import json

import pytest

from judges import PAIR, TASK, Recorder, directory, judge
from rationem import progress
from rationem.errors import ConfigError, DataError
from rationem.judging.judge import Judge
from rationem.judging.stream import rate_file

TRAINED = {"prompt": "Question", "response": "Answer", "rating": "Score", "rater": "Who"}
DUEL = {"prompt": "Question", "response": "One,Two", "rating": "Better"}


@pytest.fixture
def said(monkeypatch):
    """What the terminal is told."""
    lines = []
    shown = progress.Silent()
    monkeypatch.setattr(shown, "say", lines.append)
    monkeypatch.setattr(progress, "_display", shown)
    return lines


def engine(level="1"):
    return Recorder(lambda _: f"z\nFinal rating: {level}")


def asked(path, item, **changes):
    """The prompt that an item becomes."""
    recorder = engine()
    judge(path, recorder, **changes).rate([item], draws=1)
    return recorder.requests[0].prompt.text


class Table:
    """As a DataFrame looks from outside."""

    columns = ("prompt", "response")

    def __iter__(self):
        return iter(self.columns)

    def to_dict(self, orient):
        raise AssertionError(orient)


class Polars(Table):
    def to_dicts(self):
        raise AssertionError


@pytest.mark.parametrize(
    ("items", "what"),
    [
        ({"prompt": "p", "response": "r"}, r"a single item \(dict\).*judge.rate\(\[\{\"prompt\": \"...\""),
        (Table(), r"a table \(Table\).*\.to_dict\(\"records\"\)"),
        (Polars(), r"a table \(Polars\).*\.to_dicts\(\)"),
        ("text", r"a text \(str\).*judge.rate\(\["),
        (7, r"7 \(int\).*judge.rate\(\["),
        (None, r"NoneType.*judge.rate\(\["),
        ([{"prompt": "p", "response": "r"}, ("a", "b")], r"Item 2 .*tuple.*judge.rate\(\["),
        (iter(["a"]), r"Item 1 .*str.*judge.rate\(\["),
    ],
)
def test_what_is_no_list_of_items_is_refused_with_the_right_call_before_anything_is_asked(tmp_path, items, what):
    recorder = engine()
    with pytest.raises(ConfigError, match=what):
        judge(tmp_path, recorder).rate(items)
    assert recorder.requests == []


@pytest.mark.parametrize(
    "names",
    [("prompt", "response"), ("Question", "Answer"), ("question", " ANSWER "), ("Prompt", "Answer"), (" x", "y")],
)
def test_an_item_may_use_the_fields_names_or_those_of_training_in_any_case(tmp_path, names):
    item = dict(zip(names, ("what", "this"), strict=True)) | {"Score": "SECRET", "reference": "the key"}
    if "y" in names:
        with pytest.raises(DataError, match="no 'prompt'"):
            asked(tmp_path, item, columns=TRAINED)
        return
    text = asked(tmp_path / "one", item, columns=TRAINED)
    plain = {"prompt": "what", "response": "this", "reference": "the key"}
    assert text == TASK.prompt(plain).text


def test_a_pair_in_python_goes_by_its_names_in_training_too(tmp_path):
    item = {"question": "what", "two": "second", "one": "first"}
    plain = {"prompt": "what", "response_a": "first", "response_b": "second"}
    recorder = engine("A")
    judge(tmp_path, recorder, PAIR, columns=DUEL).rate([item], draws=1)
    assert PAIR.prompt(plain).text in {request.prompt.text for request in recorder.requests}


@pytest.mark.parametrize(
    ("item", "names"),
    [
        ({"prompt": "p", "response": "r", "Question": "q", "Answer": "a"}, r"'Question' and 'prompt'"),
        ({"question": "p", "QUESTION": "q", "Answer": "a"}, r"'question' and 'QUESTION'"),
        ({"Question": "p", "answer": "q", "Response": "a"}, r"'answer' and 'Response'"),
    ],
)
def test_two_names_of_an_item_that_could_be_one_field_are_an_error_with_both(tmp_path, item, names):
    with pytest.raises(DataError, match=names):
        asked(tmp_path, item, columns=TRAINED)


def test_a_rating_is_never_taken_for_a_response_whatever_it_is_called(tmp_path):
    columns = {"prompt": "prompt", "response": "text", "rating": "Response"}
    for name in ("response", "Response", " RESPONSE"):
        with pytest.raises(DataError, match="no 'response'"):
            asked(tmp_path / name, {"prompt": "p", name: "SECRET"}, columns=columns)
        text = asked(tmp_path / f"{name}2", {"prompt": "p", "Text": "r", name: "SECRET"}, columns=columns)
        assert text == TASK.prompt({"prompt": "p", "response": "r"}).text


# Files ---------------------------------------------------------------------------------------------------------


def rated(path, head, row, columns=TRAINED, given=None):
    """The prompt that the row of a file becomes."""
    path.mkdir()
    with (path / "items.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, row])
    recorder = engine()
    run = directory(path / "run", columns=columns)
    rate_file(Judge.load(run, engine=recorder), path / "items.csv", path / "out.csv", draws=1, columns=given)
    return recorder.requests[0].prompt.text


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (("Question", "Answer", "Score"), []),
        (("question", "ANSWER", "Score"), ["prompt from 'question'", "response from 'ANSWER'"]),
        (("prompt", "Answer", "Score"), ["prompt from 'prompt' ('Question' in training)"]),
        (("PROMPT", "Response", "Who"), ["prompt from 'PROMPT'", "response from 'Response'"]),
    ],
)
def test_a_files_columns_are_found_in_any_case_and_what_is_not_as_in_training_is_told(tmp_path, said, head, told):
    text = rated(tmp_path / "a", head, ("what", "this", "SECRET"))
    assert text == TASK.prompt({"prompt": "what", "response": "this"}).text
    lines = [line for line in said if line.startswith("Reading")]
    assert len(lines) == bool(told)
    assert all(what in lines[0] for what in told)


def test_the_training_columns_win_over_other_columns_that_are_called_like_fields(tmp_path, said):
    text = rated(tmp_path / "a", ("prompt", "Question", "Answer", "context"), ("no", "what", "this", "no"))
    assert text == TASK.prompt({"prompt": "what", "response": "this"}).text
    assert not any(line.startswith("Reading") for line in said)


def test_the_columns_of_a_pair_are_found_in_their_order(tmp_path):
    plain = PAIR.prompt({"prompt": "what", "response_a": "first", "response_b": "second"}).text
    for n, head in enumerate([("Question", "Two", "One"), ("prompt", "Two", "one"), ("p", "response_b", "Response_A")]):
        given = {"prompt": "p"} if head[0] == "p" else None
        path = tmp_path / str(n)
        path.mkdir()
        (path / "items.jsonl").write_text(json.dumps(dict(zip(head, ("what", "second", "first"), strict=True))))
        recorder = engine("A")
        run = directory(path / "run", PAIR, columns=DUEL)
        rate_file(Judge.load(run, engine=recorder), path / "items.jsonl", path / "out.csv", draws=1, columns=given)
        assert plain in {request.prompt.text for request in recorder.requests}


def test_two_columns_that_could_be_one_are_an_error_that_a_flag_resolves(tmp_path):
    head, row = ("question", "QUESTION", "Answer"), ("what", "no", "this")
    with pytest.raises(DataError, match=r"items.csv: Both 'question' and 'QUESTION'.*--prompt-col"):
        rated(tmp_path / "a", head, row)
    text = rated(tmp_path / "b", head, row, given={"prompt": "question"})
    assert text == TASK.prompt({"prompt": "what", "response": "this"}).text


def test_a_files_rating_or_rater_is_never_taken_for_an_input(tmp_path):
    columns = {"prompt": "q", "response": "text", "rating": "Response", "rater": "Prompt"}
    for n, head in enumerate([("q", "response"), ("prompt", "text")]):
        with pytest.raises(DataError, match="there is no column"):
            rated(tmp_path / str(n), head, ("SECRET", "SECRET"), columns=columns)
