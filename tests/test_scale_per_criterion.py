"""A scale for each criterion: an item is asked, read, pooled and measured on its criterion's own levels."""

import math
from contextlib import closing

import pytest

from doctored import check, codes, finding, rows, write
from rationem import data, metrics
from rationem.cli.main import main
from rationem.data import Columns
from rationem.errors import ConfigError, DataError
from rationem.ledger import read_examples, read_only
from rationem.ledger.reading import read_trials
from rationem.metrics.evidence import restricted
from rationem.report.blocks import details
from rationem.run.prepare import labelled
from rationem.tasks.built_in import described
from rationem.tasks.judge import JudgeTask
from rationem.tasks.rubric import Criterion, read_rubric
from rationem.tasks.scale import Scale
from rationem.types import Example, Outcome, Prediction, Purpose
from small import MEASURES_LITTLE

TEXT = "help: 1-4; safe: unsafe < safe"
SCALE = Scale.parse(TEXT)
TASK = JudgeTask(SCALE, (Criterion("help"), Criterion("safe")))


def asked(criterion):
    return {"prompt": "Why?", "response": "So.", "criterion": criterion}


def rated(name, criterion, answer, ratings=()):
    return Example(name, asked(criterion), answer, name, ratings, criterion=criterion)


def table(count=60):
    return [
        {**row, "help": 1 + n % 4, "safe": ("unsafe", "safe", "safe")[n % 3]}
        for n, row in enumerate({k: v for k, v in row.items() if k != "rating"} for row in rows(count))
    ]


def test_a_joint_scale_has_all_levels_without_an_order_and_each_criterion_its_own():
    assert (SCALE.levels, SCALE.ordered) == (("1", "2", "3", "4", "unsafe", "safe"), False)
    assert SCALE.of("help") == Scale.parse("1-4")
    assert SCALE.of("safe").values == (1.0, 2.0)
    assert Scale.parse("1-5").of("any") == Scale.parse("1-5")


def test_a_joint_scale_is_read_back_from_its_sentence_and_its_description():
    assert Scale.parse(SCALE.sentence()) == SCALE
    assert Scale.from_description(SCALE.describe()) == SCALE
    assert described(TASK.describe()).scale == SCALE


def test_criteria_with_one_scale_share_it_and_levels_of_one_name_are_one_level():
    assert Scale.parse("a: 1-5; b: 1-5") == Scale.parse("1-5")
    assert Scale.parse("a: 1-5; b: 1-3").levels == tuple("12345")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1-5; a: 1-3", "name of its own"),
        ("a: 1-5; b: good", "Cannot read the scale"),
        ("a: yes/no; b: Yes < No", "must differ, case aside"),
        ("help 1-5; safe 1-3", "helpfulness: 1-5"),
    ],
)
def test_a_joint_scale_that_cannot_be_meant_is_refused(text, told):
    with pytest.raises(ConfigError, match=told):
        Scale.parse(text)


def test_an_item_is_asked_with_its_criterions_levels_alone():
    assert "help on the scale 1 < 2 < 3 < 4." in TASK.prompt(asked("help")).text
    assert "safe on the scale unsafe < safe." in TASK.prompt(asked("safe")).text
    assert "unsafe" not in TASK.prompt(asked("help")).text
    assert TASK.kind.mask(asked("safe")) == (False, False, False, False, True, True)
    assert not TASK.kind.offers(asked("safe"), "4")
    assert {one.answer for one in TASK.demonstrations(asked("safe"))} == {"unsafe", "safe"}


def test_meanings_belong_to_the_levels_of_their_criterion():
    JudgeTask(SCALE, (Criterion("help", meanings={"1": "none"}), Criterion("safe")))
    with pytest.raises(ConfigError, match="'1' is not a level of the scale 'unsafe < safe'"):
        JudgeTask(SCALE, (Criterion("help"), Criterion("safe", meanings={"1": "none"})))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"criteria": (Criterion("help"), Criterion("tone"))}, "none for 'tone'"),
        ({"rule": "ordinal"}, "different scales"),
        ({"pair": True}, "not compared"),
    ],
)
def test_what_needs_one_scale_is_refused(change, told):
    with pytest.raises(ConfigError, match=told):
        JudgeTask(SCALE, **{"criteria": TASK.criteria, **change})


def test_marginals_are_uniform_where_nothing_is_known_and_never_on_another_criterions_level():
    train = [rated("a", "help", "1"), rated("b", "help", "1"), rated("c", "help", "4")]
    found = metrics.marginals(train, SCALE, ("safe",))
    # (n + 1/2) / (3 + 4/2) on the four levels of "help"; no rating of "safe".
    assert found["help"] == pytest.approx((2.5 / 5, 0.5 / 5, 0.5 / 5, 1.5 / 5, 0, 0))
    assert found["safe"] == pytest.approx((0, 0, 0, 0, 0.5, 0.5))
    _, marginal = restricted([[0.0] * 6], found["help"], TASK.kind.mask(asked("help")))
    assert marginal.tolist() == pytest.approx(found["help"])


def test_the_uniform_baseline_is_over_an_items_own_levels():
    three = [rated("a", "help", "1"), rated("b", "help", "2"), rated("c", "safe", "safe")]
    expected = -(2 * math.log(4) + math.log(2)) / 3
    assert metrics.uniform_log_likelihood(SCALE, three) == pytest.approx(expected)


EXAMPLES = [
    rated("a", "help", "1", ("1", "2")),
    rated("b", "help", "4", ("4", "4")),
    rated("c", "safe", "safe", ("safe", "safe")),
    rated("d", "safe", "unsafe", ("unsafe", "unsafe")),
]
PREDICTIONS = [
    Prediction(EXAMPLES[0].id, "3", (0.1, 0.2, 0.6, 0.1, 0, 0), 0.1, 4, 0),
    Prediction(EXAMPLES[1].id, "4", (0.1, 0.1, 0.2, 0.6, 0, 0), 0.6, 4, 0),
    Prediction(EXAMPLES[2].id, "safe", (0, 0, 0, 0, 0.2, 0.8), 0.8, 4, 0),
    Prediction(EXAMPLES[3].id, "safe", (0, 0, 0, 0, 0.4, 0.6), 0.4, 4, 0),
]


def test_numbers_of_a_criterion_are_on_its_own_scale_by_hand():
    each = details(PREDICTIONS, EXAMPLES, TASK.kind, seed=0)["by_criterion"]
    assert each["help"]["mae"] == pytest.approx((2 + 0) / 2)
    # Expected ratings 2.7 and 3.3 against 1 and 4.
    assert each["help"]["expected_mae"] == pytest.approx((1.7 + 0.7) / 2)
    assert each["help"]["confusion"] == [[0, 0, 1, 0, 0], [0] * 5, [0] * 5, [0, 0, 0, 1, 0]]
    assert each["safe"]["mae"] == pytest.approx(0.5)
    assert each["safe"]["confusion"] == [[0, 1, 0], [0, 1, 0]]
    assert each["safe"]["log_likelihood"] == pytest.approx((math.log(0.8) + math.log(0.4)) / 2)


def test_pooled_numbers_need_neither_distances_nor_equal_meanings_of_levels():
    whole = metrics.score(PREDICTIONS, EXAMPLES, SCALE)
    assert whole.accuracy == 0.5
    likelihoods = [(math.log(0.1) + math.log(0.2)) / 2, math.log(0.6), math.log(0.8), math.log(0.4)]
    assert whole.log_likelihood == pytest.approx(sum(likelihoods) / 4)
    assert (whole.mae, whole.quadratic_kappa, whole.macro_f1, whole.recall) == (None, None, None, {})
    assert metrics.confusion(PREDICTIONS, EXAMPLES, SCALE) is None
    # kappa of "help": 1/2 agree, 1/4 by chance: 1/3; of "safe": 1/2 agree, 1/2 by chance: 0.
    assert whole.kappa == pytest.approx((1 / 3 + 0) / 2)


def test_raters_are_pooled_and_compared_on_the_criterions_own_scale():
    split = [rated("a", "help", "2", ("1", "3")), rated("b", "safe", "safe", ("safe", "unsafe"))]
    # The mean of 1 and 3 is a level; a tie of two levels is not.
    assert labelled(tuple(split), SCALE) == (split[0],)
    assert SCALE.of("help").pool(("1", "3"), "mean") == "2"
    three = rated("c", "help", "2", ("1", "3", "4"))
    # Left-out 1 against 3 and 4: 4 (of two equally near the better); 3 against 1, 4: 3; 4 against 1, 3: 2.
    assert metrics.human_ceiling([three], SCALE).accuracy == pytest.approx(1 / 3)
    ordinal = metrics.alphas([*EXAMPLES[:2], three], Scale.parse("1-4"))["help"]
    assert metrics.alphas([*EXAMPLES, three], SCALE)["help"] == pytest.approx(ordinal)


def test_a_file_is_read_with_each_columns_own_levels(tmp_path):
    file = write(tmp_path / "r.csv", table(12))
    columns = Columns(criteria=(("help", "help"), ("safe", "safe")))
    loaded = data.load([file], scale=SCALE, columns=columns)
    assert len(loaded.examples) == 24
    assert {x.answer for x in loaded.examples if x.criterion == "help"} == set("1234")
    assert {x.answer for x in loaded.examples if x.criterion == "safe"} == {"safe", "unsafe"}
    alone = data.load([file], scale=SCALE, columns=Columns(criteria=(("help", "help"),)))
    assert alone.scale == Scale.parse("1-4")


def test_a_level_of_another_criterion_is_no_level_and_the_error_counts_its_own_cells(tmp_path):
    wrong = table(12)
    wrong[3]["safe"] = "4"
    file = write(tmp_path / "r.csv", wrong)
    with pytest.raises(DataError, match=r"'4' is not a level of the scale 'unsafe < safe'.*Not a level: '4' \(1\)"):
        data.load([file], scale=SCALE, columns=Columns(criteria=(("help", "help"), ("safe", "safe"))))


def test_a_scale_for_criteria_that_the_ratings_do_not_have_is_refused(tmp_path):
    file = write(tmp_path / "r.csv", rows(12))
    with pytest.raises(ConfigError, match="the ratings have no criterion"):
        data.load([file], scale=SCALE)


def test_check_proposes_one_scale_for_each_criterion_and_fit_accepts_it(tmp_path, capsys):
    file = write(tmp_path / "r.csv", table(80))
    _, found = check(capsys, file, "--criterion", "help,safe")
    assert found["scale"]["text"] == TEXT
    assert f'--scale "{TEXT}"' in found["command"]["text"]
    one = found["criteria"]["data"]["help"]
    assert one["pooled"] == {"1": 20, "2": 20, "3": 20, "4": 20}
    assert found["criteria"]["data"]["safe"]["pooled"] == {"unsafe": 27, "safe": 53}
    assert found["criteria"]["data"]["safe"]["baselines"]["constant"]["accuracy"] == 53 / 80
    _, again = check(capsys, file, "--scale", TEXT)
    assert again["criteria"] == found["criteria"]
    assert "suggested_scale" not in codes(again)


def test_a_criterion_that_needs_bins_has_a_command_of_its_own(tmp_path, capsys):
    odd = [{**row, "safe": n % 40} for n, row in enumerate(table(80))]
    code, found = check(capsys, write(tmp_path / "r.csv", odd), "--criterion", "help,safe")
    assert (code, codes(found)) == (1, {"no_scale"})
    told = found["findings"][0]["message"]
    assert "`--criterion help --scale 1-4`; `--criterion safe --scale 1-5 --bins 5`" in told


def test_a_code_for_no_rating_is_proposed_unless_it_is_another_criterions_level(tmp_path, capsys):
    odd = [{**row, "help": 9 if n % 10 == 0 else row["help"]} for n, row in enumerate(table(80))]
    _, found = check(capsys, write(tmp_path / "r.csv", odd), "--criterion", "help,safe")
    assert "--missing 9" in found["command"]["text"]
    other = [{**row, "safe": n % 10} for n, row in enumerate(odd)]
    code, found = check(capsys, write(tmp_path / "other.csv", other), "--criterion", "help,safe")
    assert (code, codes(found)) == (1, {"no_scale"})
    assert (
        "`--criterion help --scale 1-4 --missing 9`; `--criterion safe --scale 0-9`" in found["findings"][0]["message"]
    )


def test_criteria_in_rows_have_their_own_scales_too(tmp_path, capsys):
    long = [
        {"prompt": row["prompt"], "response": row["response"], "what": what, "rating": row[what]}
        for row in table(60)
        for what in ("help", "safe")
    ]
    _, found = check(capsys, write(tmp_path / "r.csv", long), "--criterion-col", "what", "--rating-col", "rating")
    assert found["scale"]["text"] == TEXT
    assert found["data"]["items"] == 120


def test_a_rubric_gives_each_criterion_its_scale(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(
        'scale = "1-4"\n[criteria.help]\ninstruction = "x"\n[criteria.safe]\nscale = "unsafe < safe"\n', "utf-8"
    )
    assert read_rubric(path).scale == SCALE


def test_a_column_that_gives_one_criterions_label_away_is_found_among_several(tmp_path, capsys):
    leaking = [{**row, "context": f"Seen as {row['safe']}."} for row in table(80)]
    file = write(tmp_path / "r.csv", leaking)
    _, found = check(capsys, file, "--scale", TEXT, "--context-col", "context")
    told = finding(found, "label_leak")["message"]
    assert "'safe'" in told


@pytest.mark.slow
def test_a_judge_of_two_scales_is_trained_measured_and_rates_on_each(tmp_path, capsys):
    file, run = write(tmp_path / "r.csv", table(40)), tmp_path / "run"
    flags = ("--model", "tiny-judge", "--iterations", "1", "--limit", "8", "--draws", "2", "--device", "cpu")
    assert main(["fit", file, "--scale", TEXT, "--output", str(run), *flags, *MEASURES_LITTLE, "--steps", "2"]) == 0
    page = (run / "report.md").read_text(encoding="utf-8")
    assert "The criteria have different scales" in page
    assert "For safe:" in page
    with closing(read_only(run)) as db:
        trials = [one for one in read_trials(db, 0, Purpose.EVAL) if one.parsed.answer is not None]
        criterion = {x.id: x.criterion for split in ("validation", "test") for x in read_examples(db, split)}
    foreign = [one for one in trials if one.parsed.answer not in SCALE.of(criterion[one.example_id]).levels]
    assert trials
    assert {one.outcome for one in foreign} <= {Outcome.UNPARSEABLE}
    capsys.readouterr()
    assert main(["judge", str(run), file, "-o", str(tmp_path / "rated.csv"), "--draws", "2", "--threads", "1"]) == 0
    head = (tmp_path / "rated.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert [name for name in head if name.startswith("safe_p_")] == ["safe_p_unsafe", "safe_p_safe"]
    assert [name for name in head if name.startswith("help_p_")] == [f"help_p_{level}" for level in "1234"]
    told = capsys.readouterr()
    assert "ratings: unsafe" in told.out + told.err
