"""Cells inside of cells, chat messages as texts, all missing columns in one error, and rows that are skipped."""

import json

import pyarrow
import pytest
from pyarrow import parquet

from doctored import check, finding, rows
from rationem.data import Columns, Row, load, to_fields
from rationem.errors import DataError
from rationem.tasks.scale import Scale

FIVE = Scale.parse("1-5")
BASE = {"prompt": "2+2?", "response": "4"}
MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello.\nYou?"}]


def write(path, table):
    path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    return path


def of(tmp_path, table, **kwargs):
    return load([write(tmp_path / "r.jsonl", table)], **{"scale": FIVE, **kwargs})


def test_all_missing_columns_are_one_error(tmp_path):
    with pytest.raises(DataError) as error:
        of(tmp_path, [{"question": "q", "text": "t", "stars": 4}], columns=Columns("questin", "txt", "star", "uid"))
    told = str(error.value)
    for name in ("'questin' for the prompt. Did you mean 'question'?", "'txt'", "'star' for the rating", "'uid'"):
        assert name in told
    assert "`--prompt-col NAME --response-col NAME --rating-col NAME --id-col NAME`" in told
    assert told.count("The columns are") == 1
    with pytest.raises(DataError, match=r"no column 'x'.*no column 'y'"):
        to_fields(Row({"prompt": "p", "response": "r"}, "f:1", 1), Columns(reference="x", context="y"))


def test_a_dotted_name_leads_into_objects_and_an_exact_name_comes_first(tmp_path):
    table = [BASE | {"annotation": {"rating": 4, "by": {"name": "ann"}}, "a.b": {"c.d": "ctx"}}]
    columns = Columns(rating="annotation.rating", group="annotation.by.name", context="a.b.c.d")
    found = of(tmp_path, table, columns=columns)
    assert [(x.answer, x.group, x.fields["context"]) for x in found.examples] == [("4", "ann", "ctx")]
    assert found.notes["unused_columns"] == []
    found = of(tmp_path, [table[0] | {"annotation.rating": 2, "note": 1}], columns=columns)
    assert found.examples[0].answer == "2"
    assert found.notes["unused_columns"] == ["note"]


def test_lists_of_dotted_names_pairs_and_criteria_lead_into_objects_too(tmp_path):
    table = [{"q": {"text": "p"}, "r": {"a": "one", "b": "two"}, "by": {"x": "A", "y": "A"}}]
    columns = Columns(prompt="q.text", response="r.a,r.b", rating="by.x, by.y")
    found = of(tmp_path, table, columns=columns, scale=Scale.parse("A | B"))
    assert found.examples[0].fields == {"prompt": "p", "response_a": "one", "response_b": "two"}
    assert found.examples[0].ratings == ("A", "A")
    one = of(tmp_path, [BASE | {"s": {"help": 2, "style": 3}}], criteria=("s.help", ("tone", "s.style")))
    assert [(x.fields["criterion"], x.answer) for x in one.examples] == [("s.help", "2"), ("tone", "3")]
    row = Row(table[0], "f:1", 1)
    assert to_fields(row, columns)["response_b"] == "two"


def test_structs_of_parquet_are_objects(tmp_path):
    path = tmp_path / "r.parquet"
    parquet.write_table(pyarrow.Table.from_pylist([BASE | {"annotation": {"rating": 3}}]), path)
    assert load([path], scale=FIVE, columns=Columns(rating="annotation.rating")).examples[0].answer == "3"


def test_a_dotted_name_that_leads_nowhere_names_the_deepest_object(tmp_path):
    table = [BASE | {"annotation": {"scores": {"rating": 4}}}]
    with pytest.raises(DataError, match=r"'annotation.scores' has the keys \['rating'\]. Did you mean 'annotation.sc"):
        of(tmp_path, table, columns=Columns(rating="annotation.scores.ratng"))
    with pytest.raises(DataError, match=r"'annotation' has the keys \['scores'\]"):
        of(tmp_path, table, columns=Columns(rating="annotation.other.rating"))
    with pytest.raises(DataError, match=r"no column 'x.y' for the rating"):
        of(tmp_path, table, columns=Columns(rating="x.y"))


def test_a_row_without_the_object_has_no_rating(tmp_path):
    table = [BASE | {"annotation": {"rating": 4}}, BASE | {"annotation": None}]
    with pytest.raises(DataError, match=r":2: the rating \('annotation.rating'\) is empty"):
        of(tmp_path, table, columns=Columns(rating="annotation.rating"))


def test_chat_messages_become_paragraphs_and_are_counted(tmp_path):
    found = of(tmp_path, [BASE | {"prompt": MESSAGES, "rating": 3}, BASE | {"rating": 2}])
    assert found.examples[0].fields["prompt"] == "User: Hi\n\nAssistant: Hello.\nYou?"
    assert (found.notes["conversations"], found.examples[0].group) == (1, found.examples[0].fields["prompt"])


@pytest.mark.parametrize(
    "cell",
    [
        [],
        ["Hi"],
        [MESSAGES[0], "Hi"],
        [{"role": "user"}],
        [{"role": "user", "content": [3]}],
        [{"role": "user", "content": "Hi", "score": "5"}],
        [{"role": "user", "content": " "}],
        MESSAGES[0],
    ],
)
def test_any_other_list_or_object_is_no_text(tmp_path, cell):
    with pytest.raises(DataError, match=r":1: column 'prompt' holds a (list|dict)"):
        of(tmp_path, [BASE | {"prompt": cell, "rating": 3}])


def test_a_check_says_that_conversations_were_read(tmp_path, capsys):
    table = [{**row, "prompt": [{"role": "user", "content": row["prompt"]}]} for row in rows()]
    _, found = check(capsys, write(tmp_path / "r.jsonl", table), "--scale", "1-5")
    assert finding(found, "conversations")["count"] == 200


def test_every_unusable_row_is_skipped_and_listed_and_the_others_keep_their_ids(tmp_path):
    lines = [json.dumps(BASE | {"prompt": f"p{n}", "rating": n % 5 + 1, "help": 1}) for n in range(9)]
    whole = tmp_path / "r.jsonl"
    whole.write_text("\n".join(lines))
    ids = [x.id for x in load([whole], scale=FIVE).examples]
    bad = {
        1: json.dumps(BASE | {"rating": "six"}),
        3: json.dumps(BASE | {"prompt": " ", "rating": 3}),
        4: '{"prompt": ',
        6: json.dumps(BASE),
        7: json.dumps(BASE | {"response": [1], "rating": 3}),
    }
    whole.write_text("\n".join(bad.get(n, line) for n, line in enumerate(lines)))
    skipped: list[DataError] = []
    found = load([whole], scale=FIVE, skipped=skipped)
    assert [x.id for x in found.examples] == [ids[n] for n in range(9) if n not in bad]
    assert sorted(str(one).split(": ")[0] for one in skipped) == [f"{whole}:{n + 1}" for n in sorted(bad)]


def test_a_ragged_row_and_what_breaks_a_csv_off_are_listed(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text('prompt,response,rating\na,b,1\nc,d\ne,f,3\n"g,h,4\ni,j,5\n')
    skipped: list[DataError] = []
    found = load([path], scale=FIVE, skipped=skipped)
    assert [x.id for x in found.examples] == ["r-2", "r-4"]
    ragged, broken = (str(one) for one in skipped) if "cells" in str(skipped[0]) else map(str, skipped[::-1])
    assert "r.csv:3: the row has 2 cells, the header 3" in ragged
    assert "Nothing after this place is read" in broken


def test_a_file_of_which_every_row_is_skipped_is_an_error_with_its_own_first_reason(tmp_path):
    skipped = [DataError("of another file")]
    with pytest.raises(DataError, match=r"r\.jsonl: no row can be used. The first error: .*:1: in column"):
        of(tmp_path, [BASE | {"rating": 9}, BASE | {"rating": 7}], skipped=skipped)
    assert len(skipped) == 3


def test_a_skipped_row_of_several_criteria_leaves_no_part_and_no_count(tmp_path):
    table = [BASE | {"a": None, "b": 9}, BASE | {"a": 1, "b": 2}]
    skipped: list[DataError] = []
    found = of(tmp_path, table, criteria=("a", "b"), skipped=skipped)
    assert ([x.id for x in found.examples], len(skipped)) == (["r-2/a", "r-2/b"], 1)
    assert found.notes["unrated"] == 0
