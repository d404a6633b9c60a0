"""Published sets: their traps, on invented rows in the real schema."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from rationem.data import PRESETS, Columns, expand_raters, flatten_row, load, read_rows, split, to_fields
from rationem.errors import ConfigError, DataError
from rationem.tasks.scale import Scale

FIXTURES = Path(__file__).parent / "fixtures"
FILES = {
    "feedbackqa": "feedbackqa_like.json",
    "saf": "saf_like.xml",
    "pandalm": "pandalm_like.json",
    "llmbar": "llmbar_like.json",
    "helpsteer2": "helpsteer2_like.jsonl",
    "helpsteer3": "helpsteer3_like.jsonl",
    "summarize-axis": "summarize_axis_like.jsonl",
    "summarize-comparisons": "summarize_comparisons_like.jsonl",
}


def loaded(name, **kwargs):
    return load([FIXTURES / FILES[name]], **kwargs)


@pytest.mark.parametrize("name", FILES)
def test_a_published_set_is_recognised_and_its_explanations_never_read(name):
    found = loaded(name)
    assert found.preset == name
    assert found == loaded(name, preset=name)
    assert "EXPLANATION" in (FIXTURES / FILES[name]).read_text() or name in {"pandalm", "llmbar", "helpsteer2"}
    assert "EXPLANATION" not in repr(found.examples)


@pytest.mark.parametrize("name", FILES)
def test_every_row_becomes_an_example_or_a_count(name):
    found = loaded(name)
    ratings = sum(len(x.ratings) or 1 for x in found.examples)
    per_row = len(found.criteria) * max(1, len(found.columns.ratings(())) if not found.columns.criteria else 1)
    lost = found.notes["unrated"] + found.notes["repeated_ratings"] + 3 * found.notes["no_majority"]
    if name not in {"feedbackqa", "helpsteer3"}:  # whose rows hold lists of several
        assert ratings + lost == per_row * found.notes["rows"]


@pytest.mark.parametrize("name", FILES)
def test_a_published_row_is_judged_without_its_ratings(name):
    preset = PRESETS[name]
    row = read_rows(FIXTURES / FILES[name])[0]
    unrated = {key: value for key, value in row.cells.items() if key in preset.inputs or key == "question_id"}
    if name == "summarize-axis":
        unrated["summary"] = {"text": unrated["summary"]["text"]}
    first = loaded(name).examples[0]
    flat = flatten_row(replace(row, cells=unrated), name)
    columns = Columns.from_dict(json.loads(json.dumps(loaded(name).columns.to_dict())))
    assert to_fields(flat, columns, first.fields.get("criterion", "")) == first.fields
    with pytest.raises(DataError, match=f"not a row of {name}"):
        flatten_row(replace(row, cells={"prompt": "a"}), name)


def test_saf_takes_the_verdict_the_reference_and_the_texts_inside_marks():
    found = loaded("saf")
    assert found.scale.levels == ("Incorrect", "Partially correct", "Correct")
    assert [(x.id, x.answer) for x in found.examples] == [
        ("GOAT_2.1.1", "Correct"),
        ("GOAT_2.1.2", "Partially correct"),
        ("GOAT_2.1.3", "Incorrect"),
    ]
    first, second, third = found.examples
    assert first.fields == {
        "prompt": "Name the two ways in which a goat may\nleave a roof.",
        "response": "By the ladder or by a jump.",
        "reference": "By the ladder & by a jump.",
    }
    assert second.fields["response"] == "It jumps. The response < the reference."
    assert third.fields["response"] == "(empty)"
    assert found.notes["empty_responses"] == 1
    assert first.source.endswith("saf_like.xml:1")
    assert found.criteria[0].instruction


def test_the_same_question_number_in_two_languages_is_two_groups():
    found = load([FIXTURES / "saf_like.xml", FIXTURES / "saf_like_german.xml"])
    assert Counter(x.group for x in found.examples) == {
        "2.1: Name the two ways in which a goat may\nleave a roof.": 3,
        "2.1: Frage 2: Wie kommt die Ziege vom Dach?": 2,
    }
    assert [x.id for x in found.examples[3:]] == ["saf_like_german-1", "saf_like_german-2"]
    assert found.examples[3].fields["reference"] == "Über die Leiter (0.5 P).\n\nMit einem Sprung (0.5 P)."


def test_saf_scores_are_read_only_where_they_are_asked_for():
    assert loaded("saf").preset == "saf"
    found = load([FIXTURES / "saf_like.xml", FIXTURES / "saf_like_german.xml"], preset="saf-score")
    assert [x.answer for x in found.examples] == ["1", "0.375", "0", "0.5", "0"]
    assert found.scale.mean_value(["0.125", "0.375"]) == 0.25


def test_pandalm_is_pairs_with_three_raters_and_a_label_only_where_two_agree():
    found = loaded("pandalm")
    assert found.candidates == 2
    assert not found.scale.ordered
    first, second = found.examples
    assert first.fields == {
        "prompt": "Is the statement right?\n\nGoats climb.",
        "response_a": "True",
        "response_b": "Yes, they do.",
    }
    assert (first.answer, first.ratings) == ("B", ("B", "B", "tie"))
    assert (second.answer, second.ratings) == ("A", ("A", "A", "A"))
    assert second.fields["response_b"] == "(empty)"
    assert found.notes["no_majority"] == 1
    each = loaded("pandalm", raters="each")
    assert each.notes["no_majority"] == 1
    assert (each.examples[2].answer, each.examples[2].ratings) == ("tie", ("tie", "A", "B"))
    assert each.examples[2].fields == {"prompt": "Name a goat.", "response_a": "Ada", "response_b": "False"}
    assert [x.answer for x in expand_raters(each.examples, "each")] == ["B", "B", "tie", "A", "A", "A", "tie", "A", "B"]


def test_helpsteer3_compares_in_degrees_by_the_scores_of_its_people():
    found = loaded("helpsteer3")
    assert (found.candidates, found.scale.two_sided) == (2, True)
    several, talk, halved, alone = found.examples
    assert (several.answer, several.ratings) == ("-2", ("-3", "-2", "-2"))
    assert (talk.answer, talk.ratings) == ("3", ())
    assert "It is.\n\nUser: And 8?" in talk.fields["prompt"]
    # -1 and 0 are rounded toward the tie, as 1 and 0 would be
    assert (halved.answer, halved.fields["response_b"]) == ("0", "(empty)")
    assert alone.answer == "0"
    assert {"domain", "language"} <= set(found.notes["unused_columns"])


def test_llmbar_says_which_of_two_outputs():
    found = loaded("llmbar")
    assert [(x.answer, x.fields["response_b"]) for x in found.examples] == [
        ("A", "A goat, if I may say so."),
        ("B", "Two."),
    ]
    assert found.scale.levels == ("A", "B")


def test_helpsteer2_is_one_example_per_criterion_and_prompts_are_never_parted():
    found = loaded("helpsteer2")
    names = ["helpfulness", "correctness", "coherence", "complexity", "verbosity"]
    assert [criterion.name for criterion in found.criteria] == names
    assert all(criterion.instruction for criterion in found.criteria)
    assert len(found.examples) == 20
    assert [(x.id, x.answer) for x in found.examples[:5]] == [
        (f"helpsteer2_like-1/{name}", answer) for name, answer in zip(names, "44401", strict=True)
    ]
    assert found.examples[1].fields == {
        "prompt": "How tall is the barn?",
        "response": "Nine metres.",
        "criterion": "correctness",
    }
    train, validation, _ = split(found.examples, seed=0, validation=0.5, test=0.0)
    assert len(train) == len(validation) == 10
    assert len({x.group for x in train}) == len({x.group for x in validation}) == 1


def test_helpsteer2s_disagreements_are_the_ratings_of_several_people():
    found = load([FIXTURES / "helpsteer2_disagreements_like.jsonl"])
    assert found.preset == "helpsteer2"
    assert (found.examples[0].answer, found.examples[0].ratings) == ("4", ("4", "3", "4"))
    assert (found.examples[1].answer, found.examples[1].ratings) == ("3", ("4", "4", "1"))
    median = load([FIXTURES / "helpsteer2_disagreements_like.jsonl"], raters="median")
    assert median.examples[1].answer == "4"


def test_criteria_of_a_preset_are_chosen_by_name():
    found = loaded("helpsteer2", criteria=("verbosity", "helpfulness"))
    assert [x.fields["criterion"] for x in found.examples[:2]] == ["verbosity", "helpfulness"]
    assert found.columns.criteria == (("verbosity", "verbosity"), ("helpfulness", "helpfulness"))
    assert loaded("helpsteer2", criteria=("all",)) == loaded("helpsteer2")
    (help_,) = loaded("helpsteer2", criteria=(("help", "helpfulness"),)).criteria
    assert (help_.name, help_.column) == ("help", "helpfulness")
    with pytest.raises(ConfigError, match="Did you mean 'helpfulness'"):
        loaded("helpsteer2", criteria=("helpfulnes",))
    with pytest.raises(ConfigError, match=r"llmbar has no criterion 'style'\. Its only criterion has no name"):
        loaded("llmbar", criteria=("style",))


def test_several_workers_ratings_of_one_summary_become_one_item():
    found = loaded("summarize-axis")
    items = {(x.fields["response"], x.fields["criterion"]): x for x in found.examples}
    assert items["Goat on roof.", "overall"].ratings == ("7", "4")
    assert items["Goat on roof.", "overall"].answer == "6"
    assert items["Goat on roof.", "coverage"].ratings == ()  # the second worker left it out
    assert items["A ferry left.", "overall"].answer == "5"
    assert ("A ferry left.", "accuracy") not in items
    assert items["(empty)", "coherence"].answer == "1"
    assert found.notes["unrated"] == 1 + 3 + 2
    assert found.notes["repeated_ratings"] == 4  # one worker saw the same words under two policies
    assert items["No goat.", "overall"].group == items["Goat on roof.", "overall"].group == "t3_goat"


def test_a_summary_is_of_a_post_or_of_an_article_whichever_is_there():
    texts = list(dict.fromkeys(x.fields["prompt"] for x in loaded("summarize-axis").examples))
    assert texts == [
        "Subreddit: r/animals\nTitle: Goat\nPost: My goat is on the roof.",
        "Title: Ferry\nArticle: The ferry left at noon.",
    ]


def test_workers_who_compare_the_same_summaries_are_raters_of_one_pair():
    found = loaded("summarize-comparisons")
    first, second = found.examples
    assert found.candidates == 2
    assert (first.answer, first.ratings) == ("A", ("A", "B", "A"))
    assert (first.fields["response_a"], first.fields["response_b"]) == ("Goat on roof.", "No goat.")
    assert (second.answer, second.ratings, second.group) == ("B", (), "cnn_ferry")
    assert "extra" in found.notes["unused_columns"]


def test_the_users_columns_win_over_a_preset():
    columns = Columns("prompt", "response", "verbosity")
    found = loaded("helpsteer2", columns=columns, scale=Scale.parse("0-4"), skipped=[])
    assert found.preset is None
    assert [x.answer for x in found.examples] == ["1", "0", "1"]


@pytest.mark.parametrize("criterion", ["overall", "accuracy", "coverage", "coherence"])
def test_a_missing_rating_is_counted_also_where_its_criterion_alone_is_asked(criterion):
    found, every = loaded("summarize-axis", criteria=(criterion,)), loaded("summarize-axis")
    assert found.examples == tuple(x for x in every.examples if x.fields["criterion"] == criterion)
    rated = sum(len(x.ratings) or 1 for x in found.examples)
    assert rated + found.notes["unrated"] + found.notes["repeated_ratings"] == found.notes["rows"]


def test_a_set_without_missing_ratings_refuses_one(tmp_path):
    rows = [json.loads(line) for line in (FIXTURES / FILES["helpsteer2"]).read_text().splitlines()]
    rows[1]["coherence"] = None
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r":2: the rating \('coherence'\) is empty"):
        load([path], criteria=("coherence",))
