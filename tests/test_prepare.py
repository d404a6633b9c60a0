"""From names to a task and three sets: criteria, rubrics, templates, raters and pairs, as a user asks for them."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from rationem import FitConfig, Scale
from rationem.errors import ConfigError, DataError
from rationem.run.prepare import prepare
from rationem.tasks.pairs import given_id, swap_level


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, head, rows):
    with Path(name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return (name,)


def several():
    rows = [(f"q{n}", f"r{n}", n % 5 + 1, (n + 2) % 5 + 1, f"ref{n}", f"ctx{n}", "SECRET") for n in range(40)]
    return write("several.csv", ("prompt", "response", "help", "tone", "gold", "page", "why"), rows)


def comparisons(levels="AB"):
    rows = [(f"q{n}", f"left {n}", f"right {n}", levels[n % len(levels)]) for n in range(40)]
    return write("pairs.csv", ("prompt", "left", "right", "rating"), rows)


def everything(splits):
    return (*splits.train, *splits.validation, *splits.test)


def test_each_criterion_is_asked_for_in_its_own_words_and_no_item_is_parted():
    Path("r.toml").write_text(
        'scale = "1-5"\n[criteria.helpfulness]\ninstruction = "Does it help?"\ncolumn = "help"\nlevels = {1 = "no"}\n'
        '[criteria.tone]\ninstruction = "Is it kind?"\n'
    )
    task, splits = prepare(FitConfig(data=several(), rubric="r.toml"))
    assert [one.name for one in task.criteria] == ["helpfulness", "tone"]
    assert Counter(x.fields["criterion"] for x in everything(splits)) == {"helpfulness": 40, "tone": 40}
    for x in everything(splits):
        text = task.prompt(x.fields).text
        mine, other = "Does it help?", "Is it kind?"
        if x.fields["criterion"] == "tone":
            mine, other = other, mine
        assert mine in text
        assert other not in text
        assert "SECRET" not in text
    groups = [{x.group for x in part} for part in (splits.train, splits.validation, splits.test)]
    assert sum(map(len, groups)) == len(set.union(*groups))
    _, one = prepare(FitConfig(data=several(), rubric="r.toml", criterion="tone"))
    assert {x.fields["criterion"] for x in everything(one)} == {"tone"}


def test_criteria_are_columns_where_no_rubric_names_them():
    task, splits = prepare(FitConfig(data=several(), scale="1-5", criterion="help,tone"))
    assert [one.name for one in task.criteria] == ["help", "tone"]
    assert "Rate the response for help on the scale" in task.prompt(splits.train[0].fields).text
    Path("r.md").write_text("# help\nDoes it help?\n# kindness\nIs it kind?\n")
    with pytest.raises(ConfigError, match="has no criterion 'tone'"):
        prepare(FitConfig(data=several(), scale="1-5", criterion="help,tone", rubric="r.md"))


def test_reference_and_context_are_inputs_only_when_named():
    config = FitConfig(data=several(), scale="1-5", rating_col="help", reference_col="gold", context_col="page")
    task, splits = prepare(config)
    text = task.prompt(splits.train[0].fields).text
    number = splits.train[0].fields["prompt"][1:]
    assert text.startswith(f"Context: ctx{number}\n\nPrompt: q{number}\n\nReference answer: ref{number}\n\nResponse: r")
    plain, splits = prepare(FitConfig(data=several(), scale="1-5", rating_col="help"))
    assert "ref" not in plain.prompt(splits.train[0].fields).text


def test_one_criterion_without_a_name_takes_a_rubric_of_one():
    Path("r.md").write_text("# Helpfulness\nDoes it help?\n- 1: not at all\n- 5: fully\n")
    task, splits = prepare(FitConfig(data=several(), scale="1-5", rating_col="help", rubric="r.md"))
    text = task.prompt(splits.train[0].fields).text
    assert "Does it help?\n1: not at all\n5: fully\nReason first" in text
    task, _ = prepare(FitConfig(data=several(), scale="1-5", rating_col="help", instruction="Is it short?"))
    assert "Is it short? Reason first" in task.prompt(splits.train[0].fields).text


def test_templates_are_files_and_their_hash_names_them():
    Path("t.txt").write_text('{"ask": "{{ prompt }}", "got": "{{ response }}"} {{ scale }} {{ marker }}\n')
    Path("h.txt").write_text("It is {{ answer }}.")
    config = FitConfig(data=several(), scale="1-5", rating_col="help", template="t.txt", hint_template="h.txt")
    task, splits = prepare(config)
    x = splits.train[0]
    asked = f'{{"ask": "{x.fields["prompt"]}", "got": "{x.fields["response"]}"}} 1 < 2 < 3 < 4 < 5 Final rating:'
    assert task.prompt(x.fields).text == asked
    assert task.hint_prompt(x.fields, "2").text == f"{asked}\nIt is 2."
    plain, _ = prepare(FitConfig(data=several(), scale="1-5", rating_col="help"))
    assert task.describe()["template_sha256"] != plain.describe()["template_sha256"]


def test_pairs_come_in_both_orders_in_every_set_and_stay_together():
    config = FitConfig(data=comparisons(["A", "B", "tie"]), scale="A | B | tie", response_col="left,right")
    task, splits = prepare(config)
    assert task.pair
    for part in (splits.train, splits.validation, splits.test):
        assert part
        given = {x.id: x for x in part if not x.turn}
        turned = {given_id(x): x for x in part if x.turn}
        assert given.keys() == turned.keys()
        for name, x in given.items():
            assert turned[name].fields["response_a"] == x.fields["response_b"]
            assert turned[name].fields["response_b"] == x.fields["response_a"]
            assert turned[name].answer == swap_level(x.answer, task.scale)
            assert turned[name].group == x.group
    with pytest.raises(ConfigError, match="'tie' is not in the middle"):
        prepare(FitConfig(data=comparisons(["A", "B"]), scale="A < B < tie", response_col="left,right"))


@pytest.mark.parametrize(
    ("raters", "answers"), [("each", ["1", "1", "4"]), ("mean", ["2"]), ("median", ["1"]), ("majority", ["1"])]
)
def test_several_raters_train_as_asked_and_are_tested_with_all_their_ratings(raters, answers):
    data = write("r.csv", ("prompt", "response", "a", "b", "c"), [(f"q{n}", "x", 1, 1, 4) for n in range(20)])
    _, splits = prepare(FitConfig(data=data, scale="1-5", rating_col="a,b,c", raters=raters))
    first = [x.answer for x in splits.train if x.item == splits.train[0].item]
    assert first == answers
    assert {x.ratings for x in splits.test} == {("1", "1", "4")}
    assert {x.answer for x in splits.test} == {"1" if raters in ("median", "majority") else "2"}


def test_without_an_order_ratings_train_one_by_one_and_only_a_majority_is_scored():
    rows = [(f"q{n}", "x", "y", *(("A", "A", "B") if n % 2 else ("A", "B", "tie"))) for n in range(40)]
    data = write("p.csv", ("prompt", "left", "right", "r1", "r2", "r3"), rows)
    config = {"data": data, "scale": "A | B | tie", "response_col": "left,right", "rating_col": "r1,r2,r3"}
    _, each = prepare(FitConfig(**config))
    assert len(each.train) == 2 * 3 * 32
    scored = [x for x in (*each.validation, *each.test) if not x.turn]
    assert scored
    assert {x.answer for x in scored} == {"A"}
    assert each.notes["no_majority"] == 20
    _, pooled = prepare(FitConfig(**config, raters="majority"))
    assert {x.answer for x in pooled.train if not x.turn} == {"A"}
    assert len(pooled.train) == 2 * 16


def test_one_row_per_rater_becomes_one_item():
    rows = [(f"q{n}", "x", f"rater {k}", n % 3 + k) for n in range(20) for k in (1, 2)]
    data = write("long.csv", ("prompt", "response", "who", "rating"), rows)
    _, splits = prepare(FitConfig(data=data, scale="1-5", rater_col="who", raters="mean"))
    assert len(everything(splits)) == 20
    assert all(len(x.ratings) == 2 for x in everything(splits))


def test_the_world_takes_a_rubric_too():
    Path("r.toml").write_text('instruction = "As the clerk would."\n')
    task, splits = prepare(FitConfig(data=("world",), rubric="r.toml"))
    assert "As the clerk would. Reason first" in task.prompt(splits.train[0].fields).text


HELPFUL = {"scale": "1-5", "criterion": "help,tone"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"scale": "A | B", "response_col": "left,right", "rating_col": "rating"}, "DATA holds pairs, --test single"),
        (HELPFUL, r"DATA are \['help', 'tone'\], those of --test \[''\]"),
    ],
)
def test_a_test_set_that_asks_for_something_else_is_refused(config, said):
    from rationem import data
    from rationem.run import prepare as preparing

    several(), comparisons()
    data_name = "pairs.csv" if "response_col" in config else "several.csv"
    plain = write("plain.csv", ("prompt", "response", "rating"), [(f"p{n}", "r", n % 5 + 1) for n in range(9)])
    loaded = preparing.load(FitConfig(data=(data_name,), **config), (data_name,), None)
    tested = data.load(plain, scale=Scale.parse("1-5"))
    with pytest.raises(DataError, match=said):
        preparing.alike(loaded, tested)
    preparing.alike(loaded, loaded)
    preparing.alike(loaded, None)


def test_what_has_no_majority_is_counted_where_it_is_not_scored():
    rows = [(f"q{n}", "x", "y", *(("A", "A") if n % 2 else ("A", "B"))) for n in range(40)]
    data = write("p.csv", ("prompt", "left", "right", "r1", "r2"), rows)
    test = write(
        "t.csv", ("prompt", "left", "right", "r1", "r2"), [(f"t{n}", *rest) for n, (_, *rest) in enumerate(rows)]
    )
    config = {"scale": "A | B", "response_col": "left,right", "rating_col": "r1,r2", "validation_share": 0.0}
    _, splits = prepare(FitConfig(data=data, test=test, **config))
    assert len(splits.test) == 2 * 20
    assert splits.notes["not_scored_without_majority"] == 20
    assert splits.notes["test"]["no_majority"] == 20


def test_a_folder_with_a_split_is_resumed_from_anywhere(tmp_path):
    from rationem.run.defaults import _absolute

    Path("folder").mkdir()
    assert _absolute("folder#train") == f"{tmp_path / 'folder'}#train"
    assert _absolute("nvidia/HelpSteer2#train") == "nvidia/HelpSteer2#train"
    assert _absolute("world") == "world"


def test_unusable_rows_are_left_out_only_when_asked_and_then_counted_and_listed():
    rows = [(f"q{n}", "" if n == 3 else "x", "six" if n == 7 else n % 5 + 1) for n in range(40)]
    data = write("holes.csv", ("prompt", "response", "rating"), rows)
    with pytest.raises(DataError, match=r"holes.csv:5"):
        prepare(FitConfig(data=data, scale="1-5"))
    _, splits = prepare(FitConfig(data=data, scale="1-5", skip_unusable=True))
    assert len(everything(splits)) == 38
    assert {f"holes-{n + 2}" for n in range(40) if n not in (3, 7)} == {x.id for x in everything(splits)}
    assert splits.notes["skipped"] == 2
    assert sorted(text[: len("holes.csv:5")] for text in splits.notes["skipped_because"]) == [
        "holes.csv:5",
        "holes.csv:9",
    ]
    _, whole = prepare(FitConfig(data=several(), scale="1-5", rating_col="help", skip_unusable=True))
    assert "skipped" not in whole.notes


def test_a_file_that_breaks_off_is_no_row_to_skip():
    Path("torn.csv").write_text('prompt,response,rating\na,b,1\nc,"d,2\ne,f,3\n')
    with pytest.raises(DataError, match=r"torn.csv:3: quoting breaks here"):
        prepare(FitConfig(data=("torn.csv",), scale="1-5", skip_unusable=True))
