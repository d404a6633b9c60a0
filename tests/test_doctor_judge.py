"""`rationem check` on what a judge may be trained on besides one number: choices, test sets of their own, shots."""

import re
import time

import pytest

from checkpoints import checkpoint, tokenizer
from doctored import check, codes, finding, rows, write
from rationem import FitConfig
from rationem.check.reading import read
from rationem.check.shots import all_before
from rationem.cli.main import main
from rationem.data.suggest import suggest
from rationem.engines.chat import Chat
from rationem.run.prepare import arrange
from rationem.sampling.demonstrations import solved

SCALE = ("--scale", "1-5")
CHOICE = ("--scale", "A | B | tie", "--rating-col", "r1,r2,r3")


def chosen(ratings):
    return [
        {**row, **dict(zip(("r1", "r2", "r3"), three, strict=True))}
        for row, three in zip(rows(len(ratings)), ratings, strict=True)
    ]


SPLIT = ("A", "B", "tie")


def test_items_whose_raters_agree_on_none_have_no_label_in_any_number(tmp_path, capsys):
    file = write(tmp_path / "r.csv", chosen([SPLIT] * 50 + [("B", "B", "B")] * 50))
    code, found = check(capsys, file, *CHOICE)
    assert code == 1
    assert finding(found, "one_label")["count"] == 50
    assert found["labels"]["data"]["pooled"] == {"A": 0, "B": 50, "tie": 0}
    assert found["labels"]["data"]["ratings"] == {"A": 50, "B": 200, "tie": 50}
    assert found["baselines"]["data"]["constant"]["accuracy"] == 1
    assert found["data"]["without_label"] == {"data": 50, "test": 0}
    assert finding(found, "no_majority")["count"] == 50
    assert "unused_levels" not in codes(found)  # each was given, if by a minority
    scored = {name: part["rows"] for name, part in found["sets"].items()}
    assert main(["check", file, *CHOICE]) == 1
    assert "50 items have no label" in capsys.readouterr().out
    assert scored["validation"] + scored["test"] < 20


def test_the_labels_of_a_test_set_of_its_own_leave_them_out_too(tmp_path, capsys):
    train = write(tmp_path / "train.csv", chosen([("A", "A", "A"), ("B", "B", "B")] * 50))
    test = write(tmp_path / "test.csv", chosen([SPLIT] * 30 + [("B", "B", "A")] * 10))
    _, found = check(capsys, train, "--test", test, *CHOICE)
    assert found["labels"]["test"]["pooled"] == {"A": 0, "B": 10, "tie": 0}
    assert found["data"]["without_label"] == {"data": 0, "test": 30}
    assert found["sets"]["test"]["rows"] == 10


def test_a_file_of_which_no_item_has_a_label_is_refused(tmp_path, capsys):
    assert main(["check", write(tmp_path / "r.csv", chosen([SPLIT] * 30)), *CHOICE]) == 2
    assert "the raters of every item are tied" in capsys.readouterr().err


def test_one_criterion_of_a_preset_that_may_lack_ratings_is_checked(capsys):
    _, found = check(capsys, "tests/fixtures/summarize_axis_like.jsonl", "--criterion", "coverage")
    assert finding(found, "unrated")["count"] >= 1
    assert found["rows"]["unusable"] == 0


def test_a_test_set_that_asks_for_something_else_is_refused(tmp_path, capsys):
    renamed = [{"prompt": r["prompt"], "a": r["response"], "b": "x", "rating": r["rating"]} for r in rows()]
    write(tmp_path / "both.csv", [{**row, "a,b": row["a"]} for row in renamed])
    write(tmp_path / "pairs.csv", renamed)
    flags = [*SCALE, "--response-col", "a,b"]
    for names in (["both.csv", "--test", "pairs.csv"], ["pairs.csv", "--test", "both.csv"]):
        files = [str(tmp_path / name) if name.endswith(".csv") else name for name in names]
        assert main(["check", *files, *flags]) == 2
        assert "cannot be tested on the other" in capsys.readouterr().err


@pytest.mark.slow
def test_a_column_of_hexadecimal_ids_takes_no_time(tmp_path, capsys):
    def seconds(cell):
        file = write(tmp_path / "r.csv", [{**row, "key": cell(n)} for n, row in enumerate(rows(300))])
        started = time.perf_counter()
        check(capsys, file, *SCALE)
        return time.perf_counter() - started

    plain = min(seconds(lambda n: f"abcdef{n:06x}") for _ in range(2))
    assert min(seconds(lambda n: f"12e{345678901 + n}") for _ in range(2)) < 2 * plain + 1


def test_no_rating_is_long_enough_to_stop_a_check():
    started = time.perf_counter()
    assert suggest(["12e345678901", "1"]) == "1 | 12e345678901"
    assert suggest(["9" * 100_000] * 20) is None
    assert time.perf_counter() - started < 1


@pytest.mark.slow
def test_solved_examples_that_do_not_fit_are_a_warning(tmp_path, capsys):
    file = write(tmp_path / "r.csv", rows())
    _, found = check(capsys, file, *SCALE, "--shots", 64)
    told = finding(found, "shots_too_long")
    assert (told["severity"], told["count"]) == ("warning", 20)  # the whole test set
    assert found["prompts"]["shots"]["shown"] == 64
    assert found["prompts"]["shots"]["limit"] == 1024
    assert found["prompts"]["sets"]["test"]["too_long"] == 0
    _, found = check(capsys, file, *SCALE, "--shots", 64, "--max-prompt-tokens", 20_000)
    assert "shots_too_long" not in codes(found)
    assert found["prompts"]["shots"]["too_long"] == 0
    _, found = check(capsys, file, *SCALE)
    assert found["prompts"]["shots"] is None


def test_a_twentieth_of_the_prompts_may_be_lost(tmp_path, capsys):
    table = rows()
    _, found = check(capsys, write(tmp_path / "r.csv", table), *SCALE, "--shots", 2)
    limit = found["prompts"]["shots"]["max"]
    _, found = check(capsys, str(tmp_path / "r.csv"), *SCALE, "--shots", 2, "--max-prompt-tokens", limit - 1)
    lost = found["prompts"]["shots"]["too_long"]
    assert lost >= 1
    assert ("shots_too_long" in codes(found)) == (lost > 1)  # one of twenty is a twentieth


def test_no_solved_example_that_may_be_shown_is_a_warning(tmp_path, capsys):
    train, test = rows(), [{**row, "response": f"another {n}"} for n, row in enumerate(rows())]
    files = [write(tmp_path / "train.csv", train), "--test", write(tmp_path / "test.csv", test)]
    _, found = check(capsys, *files, *SCALE, "--group-col", "prompt", "--shots", 2)
    assert finding(found, "no_shots")["severity"] == "warning"
    assert found["prompts"]["shots"]["shown"] == 0


@pytest.mark.slow
def test_with_a_model_the_prompts_are_counted_as_they_are_fed_against_what_it_holds(tmp_path, capsys):
    file, model = write(tmp_path / "r.csv", rows()), checkpoint(tmp_path / "model")
    flags = (*SCALE, "--shots", 7, "--model", model, "--max-new-tokens", 20)
    _, found = check(capsys, file, *flags, "--max-prompt-tokens", 400)
    section = found["prompts"]["shots"]
    assert section["limit"] == 1024 - 20  # the positions of this model
    config = FitConfig(data=(file,), scale="1-5", shots=7)
    material = read(config)
    splits = arrange(config, material.task, material.loaded, None)
    showing = solved(splits, 7, config.seed, material.task)
    assert not {one.group for one in showing.chosen} & {x.group for x in splits.test}
    chat = Chat(tokenizer())
    lengths = [len(chat.encode(all_before(showing, x, material.task))) for x in splits.test]
    assert section["max"] == max(lengths) > 400
    assert section["too_long"] == sum(n > section["limit"] for n in lengths)


@pytest.mark.slow
def test_what_is_shortened_counts_as_short(tmp_path, capsys):
    table = rows()
    for row in table:
        row["response"] += " word" * 2000
    file = write(tmp_path / "r.csv", table)
    _, found = check(capsys, file, *SCALE, "--shots", 2, "--elide", "--max-prompt-tokens", 500)
    assert found["prompts"]["shots"]["max"] == pytest.approx(1500, abs=30)
    _, found = check(capsys, file, *SCALE, "--shots", 2, "--max-prompt-tokens", 500)
    assert found["prompts"]["shots"]["max"] > 6000


def paired(count):
    return [
        {"prompt": r["prompt"], "one": r["response"], "two": f"Not {r['response']}", "better": "AB"[n % 2]}
        for n, r in enumerate(rows(count))
    ]


PAIRED = ("--response-col", "one,two", "--rating-col", "better", "--scale", "A | B")


def test_of_pairs_pairs_are_counted_and_not_their_two_orders(tmp_path, capsys):
    file = write(tmp_path / "r.csv", paired(100))
    _, found = check(capsys, file, *PAIRED)
    assert {name: part["pairs"] for name, part in found["sets"].items()} == {"train": 80, "validation": 10, "test": 10}
    assert found["sets"]["test"]["rows"] == 20
    tiny = [one for one in found["findings"] if one["code"] == "tiny_set"]
    assert [one["count"] for one in tiny] == [10, 10]
    # the standard error of one half among ten, not among twenty
    assert (
        "test set has 10 pairs, each in both orders: an accuracy of one half has a standard error of 16%"
        in tiny[1]["message"]
    )
    main(["check", file, *PAIRED])
    printed = capsys.readouterr().out
    assert "pairs, each in both orders" in printed
    assert "within" not in printed.split("Baselines")[1].split("Raters")[0]  # degrees have no order here


def test_overlapping_pairs_are_held_against_the_number_of_pairs(tmp_path, capsys):
    train, test = write(tmp_path / "train.csv", paired(60)), write(tmp_path / "test.csv", paired(60)[:12])
    _, found = check(capsys, train, "--test", test, *PAIRED)
    assert "of 12 test items belong" in finding(found, "group_overlap")["message"]


@pytest.mark.slow
def test_a_row_per_rating_is_called_so_only_where_items_have_several(tmp_path, capsys):
    file = write(tmp_path / "r.csv", chosen([("A", "A", "B"), ("B", "B", "A")] * 30))
    _, found = check(capsys, file, *CHOICE)
    assert (found["data"]["train_rows_by"], found["sets"]["train"]["rows"]) == ("rating", 48 * 3)
    main(["check", file, *CHOICE])
    assert "train: rows (one per rating); else one per item" in capsys.readouterr().out
    _, found = check(capsys, file, *CHOICE, "--raters", "majority")
    assert (found["data"]["train_rows_by"], found["sets"]["train"]["rows"]) == ("item", 48)
    main(["check", write(tmp_path / "one.csv", rows()), *SCALE])
    assert "one per rating" not in capsys.readouterr().out


def test_one_of_a_kind_is_told_in_the_singular(tmp_path, capsys):
    table = rows(200)
    table[3]["rating"] = "9"
    table[5]["response"] = "It says <|im_end|> here."
    _, found = check(capsys, write(tmp_path / "r.csv", [*table, table[0]]), *SCALE)
    assert "1 of 201 rows cannot be used" in finding(found, "unusable_rows")["message"]
    assert "remove it, or leave it out" in finding(found, "unusable_rows")["message"]
    assert finding(found, "control_strings")["message"].startswith("1 item holds")
    assert finding(found, "duplicates")["message"].startswith("1 item repeats")


def test_items_in_the_order_of_their_labels_are_noted_and_shuffled_ones_are_not(tmp_path, capsys):
    table = sorted(rows(), key=lambda row: row["rating"])
    _, found = check(capsys, write(tmp_path / "sorted.csv", table), "--scale", "1-5")
    one = finding(found, "label_order")
    assert (one["severity"], one["count"]) == ("note", 4)  # five levels in a row
    counts = [sum(row["rating"] == level for row in table) for level in "12345"]
    assert f"about {200 - sum(count**2 for count in counts) / 200:.0f} times" in one["message"]
    _, found = check(capsys, write(tmp_path / "shuffled.csv", rows()), "--scale", "1-5")
    assert "label_order" not in codes(found)


def test_rows_of_equal_inputs_that_a_criterion_or_a_rater_tells_apart_are_asked_about_one_by_one(tmp_path, capsys):
    table = [
        {**row, "aspect": aspect, "annotator": who, "rating": str(1 + (n + len(aspect) + len(who)) % 5)}
        for n, row in enumerate(rows(40))
        for aspect in ("tone", "facts")
        for who in ("ann", "berta")
    ]
    file = write(tmp_path / "long.csv", table)
    _, found = check(capsys, file, "--scale", "1-5")
    assert finding(found, "unread_criterion")["count"] == 40
    assert found["command"]["question"].endswith("--criterion-col aspect.")
    _, found = check(capsys, file, "--scale", "1-5", "--criterion-col", "aspect")
    assert found["command"]["question"].endswith("--rater-col annotator.")
    _, found = check(capsys, file, "--scale", "1-5", "--criterion-col", "aspect", "--rater-col", "annotator")
    assert not codes(found) & {"unread_criterion", "unread_rater"}
    alone = [{**row, "annotator": "ab"[n % 2]} for n, row in enumerate(rows(40))]
    _, found = check(capsys, write(tmp_path / "alone.csv", alone), "--scale", "1-5")
    assert "unread_rater" not in codes(found)


def test_no_cell_of_a_table_stands_on_a_line_of_its_own(tmp_path, capsys, monkeypatch):
    """Several raters and levels of many letters make the widest rows; each has its first column on its line."""
    levels = ["not at all helpful", "a little helpful", "helpful enough", "very helpful"]
    table = [
        {**row, "rater": who, "rating": levels[(n + k) % 4]}
        for n, row in enumerate(rows(80))
        for k, who in enumerate(("ann", "ben", "cem"))
    ]
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv"):
        write(tmp_path / name, table)
    flags = ("--test", "b.csv", "--rater-col", "rater", "--raters", "majority", "--scale", " < ".join(levels))
    main(["check", "a.csv", *flags])
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if len(line) > 80 and str(tmp_path) not in line]  # a path is not broken
    start = lines.index("Baselines without the inputs")
    names = [line[:21].strip() for line in lines[start + 2 : start + 7]]
    assert names == ["accuracy", "within one level", "MAE", "log-lik.", "log-lik., pooled"]
    assert not [line for line in lines if re.fullmatch(r"\s*(\(pooled\)|-?[\d.]+%?)", line)]
