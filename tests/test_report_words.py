"""What a report says in words: the first sentence, the doubts, how the data was read; on summaries by hand."""

import pytest

from rationem import Scale, report
from rationem.report.part import Table
from rationem.report.reading import reading
from rationem.report.sections import confidence, learned, learning, scores
from rationem.report.text import section
from rationem.report.trust import doubts


def read(notes, **config):
    return [one.text for one in reading({"notes": notes, "config": config})]


def test_how_the_data_was_read_is_said_in_words_and_only_what_is_not_zero():
    zeros = dict.fromkeys(("identical_duplicates", "missing_ratings", "unrated", "repeated_ratings"), 0)
    columns = {"prompt": "question", "response": "answer", "rating": "r1,r2", "group": None, "criteria": []}
    assert read({}) == []
    assert read({**zeros, "rows": 60, "preset": "feedbackqa", "columns": columns}) == [
        "Data: 60 rows of the published set feedbackqa."
    ]
    assert read({**zeros, "rows": 60, "preset": None, "columns": columns, "guessed": {"response": "answer"}}) == [
        "Data: 60 rows. Columns: prompt from `question`, response from `answer`, rating from `r1,r2` (guessed by name: "
        "response)."
    ]


def test_what_was_left_out_of_the_data_is_counted_over_both_files():
    notes = {"rows": 9, "skipped": 2, "repeated_ratings": 1, "unrated": 3, "not_scored_without_majority": 1,
             "several_raters": 4, "delimiter": {"a.csv": ";"},
             "test": {"rows": 5, "repeated_ratings": 2, "delimiter": {"b.csv": "\t"}}}  # fmt: skip
    (said,) = read(notes, raters="each")
    assert said == (
        "Data: 9 rows, and 5 for the test. 2 rows could not be used and were left out. 3 ratings are second ones by "
        "the same rater for the same item and were left out. 3 ratings are missing: an item is asked only for the "
        "criteria that it is rated on. 1 held-out item is not scored: its raters agree on no label. 4 items have "
        "several ratings: in training every rating is an example of its own, elsewhere an item has one label made of "
        "all its ratings. The cells of `a.csv` are parted at `;`, not at commas. The cells of `b.csv` are parted at "
        "`tab`, not at commas."
    )
    assert "every rating" not in read(notes, raters="mean")[0]


def test_criteria_are_read_from_columns_of_their_own():
    columns = {"prompt": "p", "response": "r", "rating": "rating", "criteria": [["tone", "tone_`score"]]}
    assert read({"rows": 1, "columns": columns})[0].endswith("response from `r`, criterion `tone` from `tone_'score`.")


def finished(best, unparsed=0.0, accuracy=0.6, constant=0.3, groups=30, calibration=None, likelihood=-1.0):
    def block(share):
        return {"count": 30, "accuracy": share, "log_likelihood": likelihood, "unparsed_draws": unparsed,
                "intervals": None, "pairs": None, "beside_humans": None}  # fmt: skip

    return {
        "finished": True,
        "scale": Scale.parse("1-5").describe(),
        "refit": None,
        "config": {},
        "examples": {"train": 9, "validation": 9, "test": 9},
        "groups": {"train": 9, "validation": 9, "test": groups},
        "calibration": calibration,
        "criteria": [],
        "best_iteration": best,
        "iterations": [{"iteration": 0, "test": block(0.2)}, {"iteration": 1, "test": block(accuracy)}],
        "baselines": {
            "test": {
                "constant": {"accuracy": constant},
                "training_marginal": {"log_likelihood": -1.4},
                "human_ceiling": None,
            }
        },
        "notes": {},
        "raters": {"warnings": []},
    }


def tempered(temperature, after):
    def one(likelihood):
        return {"log_likelihood": likelihood, "squared_calibration_error": 0.01}

    split = {"before": one(-9.0), "after": one(after)}
    return {"temperature": temperature, "items": 9, "validation": split, "test": split}


def few(items):
    summary = finished(1, groups=items)
    for entry in summary["iterations"]:
        entry["test"]["count"] = items
    return summary


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        (finished(1), []),
        (finished(0), ["training did not help", "no more often than always saying one level (30.0 %)"]),
        (finished(1, unparsed=0.63), ["63 % of the judge's draws name no level"]),
        (finished(1, accuracy=0.3), ["no more often than always saying one level (30.0 %)"]),
        (finished(1, likelihood=-1.41), ["say less than the training marginal (-1.410 against -1.400 nats)."]),
        (finished(1, likelihood=None), ["(minus infinity against -1.400 nats)."]),
        (finished(1, likelihood=-9.0, calibration=tempered(2.0, -1.39)), []),
        (
            finished(1, likelihood=-9.0, calibration=tempered(2.0, -1.5)),
            ["marginal (-1.500 against -1.400 nats), also after calibration."],
        ),
        (finished(1, calibration=tempered(2.0, -1.5)), ["marginal (-1.500 against -1.400 nats), after calibration."]),
        (finished(1, calibration=tempered(20.0, -1.0)), ["temperature in 0.05..20: the probabilities carry next to"]),
        (
            finished(1, calibration=tempered(0.05, -1.0)),
            ["temperature in 0.05..20: the probabilities are near certain"],
        ),
        (finished(1, groups=5), ["The 30 test items belong to only 5 groups (such as prompts): no number"]),
        (few(5), ["Only 5 test items: no number about this judge is to be relied on."]),
        (few(1), ["Only 1 test item: no number"]),
    ],
)
def test_a_judge_that_should_not_be_used_yet_is_called_so_on_top(summary, said):
    warnings = learned.warnings(summary)
    assert len(warnings) == len(said)
    assert all(part in warning for part, warning in zip(said, warnings, strict=True))
    assert report.doubts(summary) == warnings


def test_a_run_that_is_not_finished_raises_no_doubts_yet():
    assert report.doubts(finished(0, accuracy=0.1) | {"finished": False}) == []


def test_a_temperature_at_the_edge_is_explained_where_it_stands():
    for temperature, said in ((20.0, "carry next to nothing"), (0.05, "are near certain"), (1.3, None)):
        page = "\n".join(section(confidence.calibration(finished(1, calibration=tempered(temperature, -1.0)))))
        assert ("no temperature in 0.05..20" in page) == (said is not None)
        assert said is None or said in page


def test_the_first_sentence_gives_no_interval_that_means_nothing():
    for groups, ends, given in ((30, [0.41, 0.77], True), (29, [0.41, 0.77], False), (30, [0.6, 0.6], False)):
        summary = finished(1, groups=groups)
        summary["iterations"][1]["test"]["intervals"] = {"accuracy": ends}
        assert ("interval" in learned.sentence(summary)) == given


def test_the_first_sentence_gives_interval_baselines_and_people():
    summary = finished(1)
    summary["iterations"][1]["test"]["intervals"] = {"accuracy": [0.41, 0.77]}
    summary["iterations"][1]["test"]["beside_humans"] = {"accuracy": 0.55}
    summary["baselines"]["test"] |= {"human_ceiling": {"accuracy": 0.7}, "rated_twice": 10}
    assert learned.sentence(summary) == (
        "On 30 test items your judge agrees with people in 60 of 100 (95 % interval 41 to 77); before training in 20; "
        "always saying one level, the best for these items, in 30. Another person agrees with an item's other raters "
        "in 70; the judge with the same raters in 55."
    )
    summary["baselines"]["test"]["rated_twice"] = 9
    assert "Another person" not in learned.sentence(summary)


def test_an_untrained_judge_is_called_so_and_not_compared_with_itself():
    said = learned.sentence(finished(0))
    assert said.startswith(
        "Training did not help. On 30 test items the untrained base model agrees with people in 20 of 100"
    )
    assert "before training" not in said


@pytest.mark.parametrize(
    ("ends", "said", "doubt"),
    [
        ([0.41, 0.77], "", None),
        ([0.2, 0.77], "No clear gain. ", "includes the base model and always saying one level: no clear gain."),
        ([0.3, 0.77], "No clear gain. ", "includes always saying one level: no clear gain."),
    ],
)
def test_no_gain_is_claimed_where_the_interval_includes_the_base_model_or_the_constant(ends, said, doubt):
    summary = finished(1)
    summary["iterations"][1]["test"]["intervals"] = {"accuracy": ends}
    assert learned.sentence(summary).startswith(f"{said}On 30 test items")
    found = [one for one in doubts(summary) if "interval" in one]
    assert found == ([f"The interval of the accuracy {doubt}"] if doubt else [])


def test_a_model_that_training_made_worse_is_called_so():
    summary = finished(1)
    summary["iterations"][0]["test"]["accuracy"] = 0.9
    summary["iterations"][1]["test"]["intervals"] = {"accuracy": [0.41, 0.77]}
    assert learned.sentence(summary).startswith("No clear gain. ")
    assert "The base model is better than the trained model: its accuracy is above the interval." in doubts(summary)


def test_few_groups_allow_no_verdict():
    assert learned.sentence(finished(1, groups=29)).startswith("Too few groups of test items for a verdict. ")


def test_the_evidence_says_on_how_many_items_hinted_drafts_were_measured():
    """Nothing is said where all items have hinted drafts, or none has."""
    numbers = dict.fromkeys(
        ("raw", "iwae", "mixture", "score", "standard_error", "lower_bound_95", "ess_share", "divergence",
         "divergence_covered"), -1.0,
    )  # fmt: skip
    zeros = dict.fromkeys(("raw_zero", "iwae_zero", "zero", "too_long"), 0)
    for hinted, items, told in ((1, 64, True), (1, 142, False), (0, 0, False)):
        record = {**numbers, **zeros, "items": 142, "forward_draws": 4, "hinted_draws": hinted, "hinted_items": items}
        summary = finished(0) | {
            "chosen_by": "score (validation)",
            "iterations": [{"iteration": 0, "evidence": record}],
        }
        page = "\n".join(section(learning.evidence(summary)))
        assert ("64 of the 142 items have hinted drafts" in page) == told


def test_settings_are_those_that_differ_from_their_defaults_and_all_of_them_below():
    config = {"scheme": "star", "iterations": 2, "seed": 0, "model": "m", "preset": None, "note": ["a"]}
    changed, everything = (part(config) for part in (settings_of, all_settings))
    assert changed == [["iterations", "2", "5"], ["model", "m", "automatic"], ["note", '["a"]', "–"]]
    assert [row[0] for row in everything] == list(config)
    assert settings_of({"seed": 0}) is None


def settings_of(config):
    found = [block for block in learned.settings({"config": config}).blocks if isinstance(block, Table)]
    return list(found[0].rows) if found else None


def all_settings(config):
    return learned.every_setting({"config": config}).blocks[0].rows


def test_a_calibrated_judges_likelihood_stands_beside_the_raw_one():
    summary = finished(1, likelihood=-2.0, calibration=tempered(2.0, -1.1))
    said = learned.likelihood(summary)[0]
    assert "-2.000 of the judge before calibration and -1.100 after it, as rationem judge runs it, -1.400 of" in said
    assert "calibration" not in learned.likelihood(finished(1, likelihood=-2.0))[0]


def test_the_headline_has_a_row_of_the_calibrated_judge():
    summary = finished(1, likelihood=-2.0, calibration=tempered(2.0, -1.1)) | {"shots": None}
    summary["baselines"]["test"]["uniform_log_likelihood"] = -1.609
    rows = {row[0]: row[1:] for row in scores.brief(summary, "test", ["accuracy", "log_likelihood"]).rows}
    assert rows["iteration 1 (best)"] == ["0.600", "-2.000"]
    assert rows["iteration 1 (best), calibrated"] == ["–", "-1.100"]
    uncalibrated = scores.brief({**summary, "calibration": None}, "test", ["accuracy", "log_likelihood"])
    assert [row for row in uncalibrated.rows if "calibrated" in row[0]] == []


def test_a_refit_of_a_quick_look_is_still_called_one():
    summary = finished(1) | {"refit": {"run": "first", "iteration": 1, "quick": True}}
    assert "This is a refit of a quick look (--quick)" in " ".join(doubts(summary))
    assert "quick" not in " ".join(doubts(finished(1) | {"refit": {"run": "first", "iteration": 1}}))
