"""What a file's columns can be, by their cells: chats, ratings that no flag names, and preferences in the keys."""

import json

import pytest

from rationem.data import load
from rationem.data.likely import likely_ratings
from rationem.data.nested import opened
from rationem.data.published.preferences import PREFERENCES
from rationem.data.records import Row
from rationem.errors import DataError
from rationem.tasks.scale import Scale


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def lines(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return [path]


# --- chats


def test_of_a_rated_chat_the_last_answer_is_rated_and_the_rest_is_its_prompt(tmp_path):
    short = [{"messages": [user(f"Q{n}?"), assistant(f"A{n}.")], "score": 1 + n % 2} for n in range(4)]
    long = {"messages": [user("Hi"), assistant("Hello."), user("Why?"), assistant("So.")], "score": 2}
    found = load(lines(tmp_path / "c.jsonl", [*short, long]), scale=Scale.parse("1-2"))
    assert (found.examples[0].fields["prompt"], found.examples[0].fields["response"]) == ("User: Q0?", "A0.")
    assert found.examples[4].fields["prompt"] == "User: Hi\n\nAssistant: Hello.\n\nUser: Why?"
    assert found.examples[4].fields["response"] == "So."
    paths = {"prompt": "messages[:-1]", "response": "messages[-1].content"}
    assert found.notes["guessed"] | paths == found.notes["guessed"]


def test_of_chats_of_one_question_the_question_is_the_prompt(tmp_path):
    rows = [
        {"talk": json.dumps([{"from": "human", "value": f"Q{n}?"}, {"from": "gpt", "value": "A."}]), "score": 1 + n % 2}
        for n in range(4)
    ]
    found = load(lines(tmp_path / "c.jsonl", rows), scale=Scale.parse("1-2"))
    assert (found.examples[1].fields["prompt"], found.examples[1].fields["response"]) == ("Q1?", "A.")


@pytest.mark.parametrize(
    "cell", [[user("Q?")], [assistant("A."), user("Q?")], ["Q?", "A."], "Q?", [user("Q?"), {"answer": "A."}]]
)
def test_what_does_not_end_with_an_answer_is_no_chat_to_rate(tmp_path, cell):
    rows = [{"messages": cell, "score": 1 + n % 2} for n in range(4)]
    with pytest.raises(DataError, match="no column 'prompt'"):
        load(lines(tmp_path / "c.jsonl", rows), scale=Scale.parse("1-2"))


def test_two_columns_of_chats_are_not_guessed_between(tmp_path):
    chat = [user("Q?"), assistant("A.")]
    rows = [{"before": chat, "after": chat, "score": 1 + n % 2} for n in range(4)]
    with pytest.raises(DataError, match="no column 'prompt'"):
        load(lines(tmp_path / "c.jsonl", rows), scale=Scale.parse("1-2"))


@pytest.mark.parametrize(("length", "found"), [(3, [0, 1]), (2, [0]), (1, None)])
def test_a_path_takes_all_elements_but_the_last(length, found):
    row = Row({"parts": list(range(length))}, "f:1", 1)
    assert opened(row, ["parts[:-1]"]).cells.get("parts[:-1]") == found


# --- ratings


def rows_of(**cells):
    return [
        Row(dict(zip(cells, row, strict=True)), f"f:{n}", n)
        for n, row in enumerate(zip(*cells.values(), strict=True), 2)
    ]


def test_a_column_of_few_cells_is_offered_as_the_rating_with_its_counts():
    rows = rows_of(text=[f"t{n}" for n in range(8)], Feedback=["👍", "👎"] * 4, constant=["x"] * 8)
    assert likely_ratings(rows, {"text"}) == (
        " 'Feedback' has the cells '👍' (4), '👎' (4): if it is the rating, use `--rating-col Feedback`."
    )
    assert likely_ratings(rows, {"text", "Feedback"}) == ""


def test_an_offer_is_never_taken_without_the_user(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text(
        "prompt,response,my mood\n" + "".join(f"p{n},r{n},{'good' if n % 2 else 'bad'}\n" for n in range(9))
    )
    with pytest.raises(DataError, match=r"'bad' \(5\), 'good' \(4\).*--rating-col 'my mood'"):
        load([path], scale=Scale.parse("bad < good"))


def test_cells_that_are_lists_or_mostly_different_are_not_offered():
    assert likely_ratings(rows_of(a=[[1], [2]] * 5, b=[str(n) for n in range(10)]), ()) == ""


# --- preferences

HH = "\n\nHuman: Q{0}?\n\nAssistant: Hm.\n\nHuman: Go on.\n\nAssistant:"
SHAPES = {
    "texts with a prompt": lambda n: {"prompt": f"Q{n}?", "chosen": f"good {n}", "rejected": f"bad {n}"},
    "texts that repeat the prompt": lambda n: {
        "prompt": f"Q{n}?",
        "chosen": f"Q{n}? good {n}",
        "rejected": f"Q{n}? bad {n}",
    },
    "dialogues in a text": lambda n: {"chosen": f"{HH.format(n)} good {n}", "rejected": f"{HH.format(n)} bad {n}"},
    "messages": lambda n: {
        "chosen": [user(f"Q{n}?"), assistant(f"good {n}")],
        "rejected": [user(f"Q{n}?"), assistant(f"bad {n}")],
    },
    "messages beside a prompt": lambda n: {
        "prompt": f"Q{n}?",
        "chosen": [user(f"Q{n}?"), assistant(f"good {n}")],
        "rejected": [user(f"Q{n}?"), assistant(f"bad {n}")],
    },
    "messages of the prompt apart": lambda n: {
        "prompt": [user(f"Q{n}?")],
        "chosen": [assistant(f"good {n}")],
        "rejected": [assistant(f"bad {n}")],
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_chosen_answer_is_the_better_one_on_whichever_side_it_is(tmp_path, shape):
    found = load(lines(tmp_path / "p.jsonl", [SHAPES[shape](n) for n in range(40)]))
    assert (found.preset, found.candidates, len(found.examples)) == ("chosen-rejected", 2, 40)
    sides = set()
    for n, x in enumerate(found.examples):
        better, worse = ("response_a", "response_b") if x.answer == "A" else ("response_b", "response_a")
        assert (x.fields[better], x.fields[worse]) == (f"good {n}", f"bad {n}")
        assert x.fields["prompt"].startswith((f"Q{n}?", f"Human: Q{n}?"))
        sides.add(x.answer)
    assert sides == {"A", "B"}  # no side is always the better one


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"prompt": "Q?", "chosen": "same", "rejected": "same"}, "neither is the better"),
        ({"chosen": "good", "rejected": "bad"}, "there is no prompt"),
        ({"prompt": "Q?", "chosen": 3, "rejected": "bad"}, "found int"),
    ],
)
def test_rows_without_two_different_answers_to_one_prompt_are_refused(row, why):
    with pytest.raises(ValueError, match=why):
        PREFERENCES.flatten(row)


def test_of_several_columns_that_could_be_ratings_all_their_uses_are_offered():
    rows = [
        Row({"prompt": f"A long question {n}?", "ann": 1 + n % 3, "ben": 1 + n % 2}, "r.csv:2", 2) for n in range(12)
    ]
    said = likely_ratings(rows, {"prompt"})
    assert "`--rating-col ann,ben`" in said
    assert "`--criterion ann,ben`" in said


def test_the_keys_of_an_object_of_ratings_are_offered_by_their_paths():
    rows = [
        Row({"prompt": f"A long question {n}?", "ratings": {"clear": 1 + n % 3, "safe": "yn"[n % 2]}}, "r.json:1", 2)
        for n in range(12)
    ]
    assert "`--criterion ratings.clear,ratings.safe`" in likely_ratings(rows, {"prompt"})


def test_a_form_with_a_column_for_each_answer_is_made_long(tmp_path):
    names = [f"Rate the answer [Answer {n}]" for n in range(6)]
    rows = [
        {"Timestamp": f"2024/05/0{n + 1} 3:12:00 PM GMT+2", "Username": f"a.long.name{n}@example.org"}
        | {name: str(1 + (n + at) % 5) for at, name in enumerate(names)}
        for n in range(9)
    ]
    with pytest.raises(DataError, match=r'--unpivot "Rate the answer \[\*\]" .* --rater-col Username') as caught:
        load(lines(tmp_path / "f.jsonl", rows))
    assert "--task math" not in str(caught.value)


def test_ids_and_states_are_not_offered_as_ratings():
    rows = [
        Row({"WorkerId": f"W{n % 3}", "AssignmentStatus": "ok" if n % 9 else "no", "valid": n % 2}, f"f:{n}", n)
        for n in range(20)
    ]
    assert likely_ratings(rows, ()).endswith("use `--rating-col valid`.")
