"""Open answers: a task without levels makes the same draws, keeps the same set and measures the same evidence."""

import math

import pytest

import toy
from rationem import STAR, Ledger, ScriptedEngine
from rationem.em import fit
from rationem.judging import questions
from rationem.metrics.evidence import predict_open
from rationem.report import summarize
from rationem.tasks import answer_types, from_description
from rationem.tasks.answer import AnswerTask, maths, summary
from rationem.tasks.answer_types import number
from rationem.tasks.kinds import OpenKind
from rationem.tasks.template import Template

#: The toy judge's levels as texts that nothing lists.
OPEN = AnswerTask(
    "toy",
    Template("Prompt: {{ prompt }}\nEnd with {{ marker }} ANSWER"),
    Template("The correct rating is: {{ answer }}."),
    marker=toy.MARKER,
    optional=("response",),
)


def open_engine(theta_path):
    """The toy's engine; what it is asked to score are texts, not all of its levels."""
    engine = toy.open_scoring_engine(theta_path)

    def levels(query):
        return [engine._levels(query)[toy.SCALE.rank(text.strip())] for text in query.continuations]

    return ScriptedEngine(engine._say, levels, tokens=engine._tokens)


def run(directory, task, engine):
    problem = toy.problem(directory, STAR, copies=20, engine=engine, draws=8, hinted=4, wrong=4, probed=10)
    if task is not toy.TASK:
        ledger = Ledger(directory / "open")
        sets = problem.data
        ledger.start(
            {"task": task.describe(), "config": {}, "notes": {}, "engine": {}},
            {"train": sets.train, "validation": sets.validation, "test": sets.test},
        )
        problem = toy.changed(problem, task=task, ledger=ledger)
    fit(problem, 2)
    return problem


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same run twice: its answers as levels, and open."""
    directory = tmp_path_factory.mktemp("open")
    return run(directory / "a", toy.TASK, toy.open_scoring_engine), run(directory / "b", OPEN, open_engine)


def test_the_kept_sets_are_the_same(both):
    levels, open_ = both
    for k in (1, 2):
        assert levels.ledger.kept(k) == open_.ledger.kept(k)
        assert len(open_.ledger.kept(k)) > 30


def test_the_evidence_is_the_same(both):
    """Raw evidence, IWAE and what hints do need log pi(y* | x, z) alone; the score differs by its prior."""
    for k in range(3):
        levels, open_ = (problem.ledger.record(k, "evidence") for problem in both)
        for name in ("raw", "iwae", "mixture", "ess", "divergence", "lower_bound_95"):
            assert levels[name] == pytest.approx(open_[name], abs=1e-12), name
        assert levels["hints"]["hinted"]["answer_given_z"] == pytest.approx(open_["hints"]["hinted"]["answer_given_z"])
        assert open_["hints"]["wrong_hints"] == 4
        assert math.isfinite(open_["score"])


def test_a_prediction_is_what_the_draws_say_most(both):
    levels, open_ = both
    for k in (0, 2):
        by_id = {p.example_id: p for p in levels.ledger.predictions(k, "test")}
        for one in open_.ledger.predictions(k, "test"):
            assert one.raw == pytest.approx(by_id[one.example_id].raw, abs=1e-12)
            said = [t.parsed.answer for t in open_.ledger.trials(k, "eval") if t.example_id == one.example_id]
            assert said.count(one.predicted) == max(map(said.count, said))
            answer = next(x.answer for x in open_.data.test if x.id == one.example_id)
            assert one.reward == float(one.predicted == answer)
            assert one.draw_reward == said.count(answer) / 8


def test_the_report_has_no_levels_and_every_other_number(both):
    summary_ = summarize(both[1].ledger.directory)
    test = summary_["iterations"][-1]["test"]
    assert test["accuracy"] == test["reward"]
    assert test["intervals"]["reward"] == test["intervals"]["accuracy"]
    assert test["log_likelihood"] is None
    assert test["macro_f1"] is None
    assert summary_["baselines"]["test"]["constant"]["accuracy"] == 0.5


def test_the_consensus_is_the_plurality_where_rewards_are_exact():
    def exact(one, other):
        return float(one == other)

    found = predict_open("x", "b", ["b", "a", "b", None], [math.log(0.5), None, math.log(0.25), None], exact)
    assert (found.predicted, found.probabilities, found.reward, found.draw_reward) == ("b", (0.5,), 1.0, 0.5)
    assert (found.raw, found.draws, found.unparsed) == (0.75 / 4, 4, 1)
    assert predict_open("x", "b", ["a", "b"], [None, None], exact).predicted == "a"  # of equals the first
    assert predict_open("x", "b", [None], [None], exact).predicted is None
    with pytest.raises(ValueError, match="one draw"):
        predict_open("x", "b", [], [], exact)


def test_the_consensus_of_texts_is_the_one_nearest_to_all():
    """Minimum Bayes risk by hand: rewards to the draws are .6, .7, .5 for a, b, c (1 to itself, over three)."""
    near = {("a", "b"): 0.6, ("a", "c"): 0.2, ("b", "c"): 0.5}

    def reward(one, other):
        return 1.0 if one == other else near[min(one, other), max(one, other)]

    found = predict_open("x", "c", ["a", "b", "c"], [None] * 3, reward)
    assert found.predicted == "b"
    assert found.probabilities[0] == pytest.approx((0.6 + 1 + 0.5) / 3)
    assert found.reward == 0.5
    assert found.draw_reward == pytest.approx((0.2 + 0.5 + 1) / 3)


@pytest.mark.parametrize("task", [OPEN, maths(), summary(instruction="One sentence.")])
def test_a_task_comes_back_from_its_description_and_reads_its_own_format(task):
    again = from_description(task.describe())
    assert again.describe() == task.describe()
    said = task.format("why", "12")
    assert again.parse(said).answer == "12"
    assert again.parse(said).rationale == "why"
    assert said[again.parse(said).marker_end :] == " 12"
    assert "12" not in again.prompt({"prompt": "what?"}).text
    assert "12" in again.hint_prompt({"prompt": "what?"}, "12").text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5²", None), ("2³ = 8", None), ("5½", None), ("5 ½ hours", None), ("12 m²", "12"), ("eggs – 7", None),
        ("= - 7", "-7"), ("- 7", "-7"), ("a loss of -7", "-7"), ("1/" + str(2**1200), None),
        ("-(5)", None), ("- ($5)", None), ("-$(5)", None), ("−**5**", None), ("-|5|", None), ("(-5)", "-5"),
        ("(5)", "5"), ("-> (5)", "5"), ("-$5", "-5"), ("a well-known (5)", "5"), ("√16", None),
        ("24 km/2h", None), ("km/2h", None), ("1/2/3", None), ("24 km/h", "24"), ("24/2 km", "12"),
        ("..5", None), ("-..5", None), ("$..5", None), ("No.5", None), (".5", "0.5"), ("-.5", "-0.5"), ("= .5", "0.5"),
        ("5..", "5"), ("so ... 5", "5"), ("Pay.$5", "5"),
    ],
)  # fmt: skip
def test_what_would_be_read_as_another_number_than_was_meant_is_none(text, value):
    assert number(text) == value
    assert value is None or number(value) == value


def test_no_completion_halts_a_run_by_the_users_pattern(monkeypatch, caplog):
    monkeypatch.setattr(answer_types, "_PATIENCE", 0.1)
    read = answer_types.reader("pattern:((?:a|aa)+)b")
    for line in ("a" * 60, "a" * 70):
        assert read(line) is None
    assert read("aaab") == "aaa"
    assert len(caplog.records) == 1
    assert "pattern '((?:a|aa)+)b'" in caplog.text


def test_inputs_may_have_the_names_of_a_judges_fields():
    """A user's columns are called as they are: what is shortened is the longest, and each is asked."""
    fields = {"choice_a": "a", "labels": "b", "criterion": "c", "response_time": "the longest of all"}
    assert OpenKind().shortened(fields) == "response_time"
    assert OpenKind().shortened({**fields, "choice_a": "longer than what was the longest"}) == "choice_a"
    wording = Template("{{ labels }} {{ criterion }} {{ marker }}")
    mine = AnswerTask("mine", wording, inputs=("labels",), optional=("criterion",))
    assert questions.read({"labels": "b", "criterion": "c"}, mine) == {"labels": "b", "criterion": "c"}
