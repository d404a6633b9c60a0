"""Demonstrations: who is shown before whom, that they are part of q alone, and when they are dropped."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import toy
from demonstrated import SEEN, shown_at, tempted, unlike, unreadable
from rationem import Example, ScriptedEngine, Splits, parse_scheme
from rationem.config import FitConfig
from rationem.em import fit
from rationem.errors import ConfigError, DataError
from rationem.run.demonstrations import read, showing
from rationem.sampling.demonstrated import PHASE, readable_share
from rationem.sampling.demonstrations import Relatives, Showing, dealt, exchange
from rationem.sampling.schemes import FORWARD, RATIONALIZE, Proposal
from rationem.sampling.trials import sampled_from
from rationem.tasks.answer import OPEN_TASKS
from rationem.tasks.demonstration import Demonstration
from rationem.tasks.judge import JudgeTask, asking
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale
from rationem.types import Outcome, Prompt, Purpose, Sampling

TEN = JudgeTask(Scale.parse("1-10"))


def item(name, group="", answer="1", response="r", **more):
    return Example(name, {"prompt": f"question {group or name}", "response": response}, answer, group or name, **more)


def solved(name, answer="1", **more):
    return Demonstration(name, {"prompt": name, "response": "r"}, answer, "because", **more)


# Who is shown ---------------------------------------------------------------------------------------------------------

ASKED = item("x", "g")
RELATED = {
    "the same inputs": solved("question g"),
    "the same item": solved("other", item="x"),
    "the same group": solved("other", item="y", group="g"),
}


@pytest.mark.parametrize("why", RELATED)
def test_a_demonstration_shares_neither_inputs_item_nor_group_with_the_example_asked(why):
    seen = Showing(4, (RELATED[why], solved("free")))
    assert [one.name for one in seen.for_example(ASKED, toy.TASK)] == ["free"]


@pytest.mark.parametrize("why", RELATED)
def test_nor_with_a_validation_or_test_item(why):
    seen = Showing(4, (RELATED[why], solved("free")), hidden=Relatives.of([ASKED]))
    assert [one.name for one in seen.for_example(item("another"), toy.TASK)] == ["free"]


def test_the_inputs_are_the_same_whatever_is_asked_of_them_and_in_whatever_order():
    choice = {"choice_a": "one", "choice_b": "two", "labels": '["A", "B"]'}
    turned = {"choice_a": "two", "choice_b": "one", "labels": '["A", "B"]', "criterion": "tone"}
    held = Relatives.of([Example("x", {"prompt": "p", **choice}, "A", "x")])
    assert held.has(Demonstration("d", {"prompt": "p", **turned}, "B"))
    assert not held.has(Demonstration("d", {"prompt": "q", **turned}, "B"))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=12), st.integers(1, 5))
def test_nothing_related_is_ever_shown(names, count):
    """Items, groups and inputs drawn from few values, so that most are related."""
    items = [
        Example(f"{name}{n % 3}", {"prompt": name * (1 + n % 2), "response": "r"}, str(1 + n % 3), f"g{name}{n % 4}")
        for n, name in enumerate(names)
    ]
    asked, held, *rest = items
    told = [Demonstration(x.id, x.fields, x.answer, "z", x.item, x.group) for x in rest]
    seen = Showing(count, dealt(told, count, toy.TASK.kind), fills=True, hidden=Relatives.of([held]))
    for one in seen.for_example(asked, toy.TASK):
        for other in (asked, held):
            assert one.fields != other.fields
            assert one.item != other.item
            assert one.group != other.group


def test_demonstrations_of_another_criterion_are_not_shown():
    seen = Showing(4, (solved("a", criterion="tone"), solved("b", criterion="facts")))
    assert [one.name for one in seen.for_example(replace(ASKED, criterion="tone"), toy.TASK)] == ["a"]


def test_they_are_dealt_level_by_level_with_one_of_each_group():
    several = [solved(f"{n}", "3" if n else "1", group=f"g{n % 4}") for n in range(9)]
    assert [(one.name, one.answer) for one in dealt(several, 4, toy.TASK.kind)] == [
        *(("0", "1"), ("1", "3"), ("2", "3"), ("3", "3"))
    ]
    assert len(dealt(several, 9, toy.TASK.kind)) == 4
    assert [one.answer for one in dealt(several, 9, toy.TASK.kind, per_level=1)] == ["1", "3"]


def test_the_tasks_own_fill_up_with_the_answers_that_are_shown_least():
    seen = replace(SEEN, chosen=(solved("own", "10"),), count=3)
    assert [one.answer for one in seen.for_example(ASKED, TEN)] == ["10", "1", "10"]


# What is shown --------------------------------------------------------------------------------------------------------


def test_behind_a_hint_each_demonstration_carries_its_own_hint():
    one = solved("d", "3")
    forward, hinted = (exchange(one, toy.TASK, hinted=hinted) for hinted in (False, True))
    assert forward.asked == toy.TASK.prompt(one.fields).text
    assert hinted.asked == toy.TASK.hint_prompt(one.fields, "3").text
    assert forward.said == hinted.said == "because\nFinal rating: 3"


def prompt_with(proposal, seen, limit, task=toy.TASK, x=ASKED):
    run = toy.SamplingContext(task, None, 0, Sampling(), max_prompt_tokens=limit, demos=seen)
    return sampled_from(proposal, x, ScriptedEngine(lambda _: ""), run)


def test_fewer_are_shown_where_the_prompt_would_be_too_long_and_never_too_few_tokens_are_left():
    proposal, seen = replace(FORWARD, demos=True), Showing(3, tuple(solved(f"d{n}") for n in range(3)))
    whole = prompt_with(proposal, seen, 10_000)
    length = len(whole.whole)
    assert [one.name for one in whole.earlier] == ["d0", "d1", "d2"]
    for limit in (length - 1, length // 2, len(whole.text), 1):
        prompt = prompt_with(proposal, seen, limit)
        assert len(prompt.earlier) < 3
        assert len(prompt.whole) <= limit or not prompt.earlier
        assert prompt.text == whole.text
        assert prompt.earlier == whole.earlier[: len(prompt.earlier)]


def test_a_proposal_that_shows_none_has_the_bare_prompt():
    for proposal in (FORWARD, RATIONALIZE, Proposal("forward", "base")):
        assert prompt_with(proposal, SEEN, 10_000, TEN).earlier == ()


TASKS = {
    "rated": (TEN, ASKED.fields),
    "two levels": (JudgeTask(Scale.parse("incorrect < correct")), {**ASKED.fields, "reference": "so"}),
    "criteria": (
        JudgeTask(Scale.parse("1-4"), (Criterion("tone"), Criterion("facts"))),
        {**ASKED.fields, "criterion": "facts"},
    ),
    "pairs": (asking("responses", Scale.parse("A | B | tie"), (Criterion(),), candidates=2), {"prompt": "p"}),
    "graded pairs": (asking("responses", Scale.parse("-3..3"), (Criterion(),), candidates=2), {"prompt": "p"}),
    "best of five": (
        asking("responses", Scale.parse("A | B | C | D | E"), (Criterion(),), candidates=5),
        {"prompt": "p"},
    ),
    "choice": (
        asking("choices", Scale(tuple("ABCDE"), ordered=False), (Criterion(),), candidates=1),
        {"prompt": "p", **{f"choice_{c}": c for c in "abc"}},
    ),
    "math": (OPEN_TASKS["math"](), {"prompt": "p"}),
    "summarize": (OPEN_TASKS["summarize"](), {"prompt": "p"}),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_tasks_own_demonstrations_are_read_as_what_they_say(name):
    task, fields = TASKS[name]
    own = task.demonstrations(fields)
    assert len(own) >= 4
    for one in own:
        parsed = task.parse(task.format(one.rationale, one.answer))
        assert (parsed.rationale, parsed.answer) == (one.rationale, one.answer)
        assert task.kind.offers(one.fields, one.answer)
        asked = task.prompt(one.fields).text
        assert one.fields["prompt"] in asked
        assert ("Reference answer" in asked) == ("reference" in fields)
        assert one.answer in task.hint_prompt(one.fields, one.answer).text
    assert len({tuple(one.fields.items()) for one in own}) == len(own)


def test_own_demonstrations_fit_the_scale_by_position():
    levels = {
        "incorrect < correct": {"incorrect", "correct"},
        "1-4": {"1", "4"},
        "1-5": {"1", "3", "5"},
        "0-100 by 10": {"0", "50", "100"},
    }
    for scale, expected in levels.items():
        own = JudgeTask(Scale.parse(scale)).demonstrations(ASKED.fields)
        assert {one.answer for one in own} == expected
        counts = [sum(one.answer == level for one in own) for level in expected]
        assert max(counts) - min(counts) <= 1
    assert JudgeTask(Scale.parse("rude | kind")).demonstrations(ASKED.fields) == ()


def test_of_compared_responses_the_best_stands_at_each_place():
    for count in (2, 3, 4):
        levels = " | ".join("ABCD"[:count])
        task = asking("responses", Scale.parse(levels), (Criterion(),), candidates=count)
        assert {one.answer for one in task.demonstrations({"prompt": "p"})} == set("ABCD"[:count])
        assert task.demonstrations({}) == ()  # of texts without a prompt there are none


# In a scheme ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("forward~demos", [Proposal("forward", demos=True)]),
        ("rationalize~demos@base*2", [Proposal("rationalize", "base", True)] * 2),
        ("forward*2+forward~demos", [FORWARD, FORWARD, Proposal("forward", demos=True)]),
    ],
)
def test_a_plan_names_the_proposals_that_show_demonstrations(text, plan):
    assert list(parse_scheme(text).plan) == plan
    assert "+".join(map(str, plan)) == "+".join(map(str, parse_scheme("+".join(map(str, plan))).plan))


@pytest.mark.parametrize("text", ["answer~demos", "posterior~demos", "forward@base~demos", "star~demos"])
def test_what_draws_nothing_can_show_nothing(text):
    with pytest.raises(ConfigError):
        parse_scheme(text)


def test_demos_apply_to_all_that_the_models_of_the_run_sample_unless_the_plan_says_where():
    names = [str(one) for one in parse_scheme("forward+rationalize@base+rationalize@teacher+answer").showing().plan]
    assert names == ["forward~demos", "rationalize~demos@base", "rationalize@teacher", "answer"]
    chosen = parse_scheme("forward+rationalize~demos")
    assert chosen.showing() == chosen
    assert FitConfig(scheme="star", demos="4").planned == parse_scheme("star").showing()
    assert not FitConfig(scheme="star").planned.shows


def test_with_demonstrations_nothing_is_exact():
    for text in ("forward~demos", "forward~demos@base", "rationalize~demos"):
        assert not any(one.is_exact(Sampling()) for one in parse_scheme(text).plan)
    assert parse_scheme("rs:2").showing().bare().plan == parse_scheme("rs:2").plan


def test_trials_are_found_by_name_with_demonstrations_or_without():
    scheme = parse_scheme("star").showing()
    assert scheme.proposal("forward") == FORWARD
    assert scheme.proposal("rationalize~demos").demos
    assert parse_scheme("star").generates("forward~demos")
    with pytest.raises(ConfigError):
        scheme.proposal("forward@base")


# In a run -------------------------------------------------------------------------------------------------------------


def test_weights_are_of_q_as_it_was_sampled(tmp_path):
    """log pi without demonstrations minus log q with them, by hand from the toy's tables."""
    problem = toy.problem(
        tmp_path, parse_scheme("forward~demos*6", "weighted"), engine=tempted, copies=4, demos=replace(SEEN, count=2)
    )
    problem = unlike(problem)
    fit(problem, 1)
    kept = {(one.example_id, one.attempt): one.weight for one in problem.ledger.kept(1)}
    taste = dict(zip(toy.RATIONALES, (4.0, 1.0, 1.0, 0.5), strict=True))
    for x in problem.data.train:
        accepted = [t for t in problem.ledger.trials(1, Purpose.TRAIN) if t.example_id == x.id]
        accepted = [t for t in accepted if t.outcome is Outcome.ACCEPTED]
        # pi / q is one over the taste, up to a constant.
        rho = {t.attempt: 1 / taste[t.parsed.rationale] for t in accepted}
        for attempt, value in rho.items():
            assert kept[x.id, attempt] == pytest.approx(value / sum(rho.values()), rel=1e-6)
    assert len(kept) > 8


def test_later_iterations_show_the_models_own_accepted_drafts_by_their_probability_without_the_hint(tmp_path):
    problem = shown_at(tmp_path, "rationalize~demos*2", 2, copies=8, demos=replace(SEEN, count=2))
    first, second = (problem.ledger.record(k, PHASE) for k in (1, 2))
    assert (first["source"], first["chosen"], first["dropped"]) == ("task", [], False)
    assert second["source"] == "own drafts"
    assert {one["answer"] for one in second["chosen"]} == {"2", "3"}
    drawn = {(t.example_id, t.parsed.rationale): t for t in problem.ledger.trials(1, Purpose.TRAIN)}
    theta = toy.read(str(problem.ledger.checkpoint(1)))
    for one in second["chosen"]:
        assert drawn[one["name"], one["rationale"]].outcome is Outcome.ACCEPTED
        name = one["fields"]["prompt"]
        row = theta[name]["y"][toy.RATIONALES.index(one["rationale"])]
        assert one["log_p"] == pytest.approx(math.log(row[toy.SCALE.rank(toy.ANSWERS[name])]), abs=1e-5)
    for answer in ("2", "3"):
        logps = [one["log_p"] for one in second["chosen"] if one["answer"] == answer]
        assert logps == sorted(logps, reverse=True)
    for trial in problem.ledger.trials(2, Purpose.TRAIN):
        assert trial.example_id not in trial.demos
        assert len(trial.demos) == 2


def test_they_are_dropped_for_good_once_enough_drafts_are_readable_without_them(tmp_path):
    problem = shown_at(
        tmp_path, "forward~demos*3", 3, engine=unreadable, demos=replace(SEEN, count=2, until=0.9), hinted=0
    )
    records = [problem.ledger.record(k, PHASE) for k in (1, 2, 3)]
    assert [one["dropped"] for one in records] == [False, True, True]
    assert [one["readable"] for one in records] == [0.0, 1.0, 1.0]
    assert {trial.proposal for trial in problem.ledger.trials(1, Purpose.TRAIN)} == {"forward~demos"}
    assert {trial.proposal for trial in problem.ledger.trials(2, Purpose.TRAIN)} == {"forward"}
    assert all(trial.demos == () for trial in problem.ledger.trials(3, Purpose.TRAIN))


def test_the_readable_share_is_counted_from_validation_drafts_alone(tmp_path):
    problem = shown_at(tmp_path, "forward~demos", 1, engine=unreadable, demos=replace(SEEN, count=2), hinted=0)
    assert readable_share(problem.ledger, 0, problem.data.validation) == 0
    assert readable_share(problem.ledger, 1, problem.data.validation) == 1
    assert readable_share(problem.ledger, 1, ()) is None


@pytest.mark.slow
def test_a_run_killed_anywhere_shows_the_same_demonstrations(tmp_path):
    def dying(lives):
        left = [lives]

        def opened(theta):
            engine = tempted(theta)
            engine.batch_size = 3
            sample, levels = engine.sample, engine.score_levels

            def mortal(work):
                def worked(asked):
                    left[0] -= 1
                    if left[0] < 0:
                        raise KeyboardInterrupt
                    return work(asked)

                return worked

            engine.sample, engine.score_levels = mortal(sample), mortal(levels)
            return engine

        return opened

    def run(name, lives):
        problem = unlike(
            toy.problem(
                tmp_path / name,
                parse_scheme("forward~demos*2+rationalize~demos"),
                engine=dying(lives),
                copies=4,
                demos=replace(SEEN, count=2, until=0.99),
                hinted=0,
            )
        )
        try:
            fit(problem, 2)
            ended = True
        except KeyboardInterrupt:
            ended = False
        rows = [
            (t.example_id, t.attempt, t.proposal, t.demos, t.draft.text)
            for k in (1, 2)
            for t in problem.ledger.trials(k, Purpose.TRAIN)
        ]
        records = [problem.ledger.record(k, PHASE) for k in (1, 2)]
        problem.ledger.close()
        return ended, rows, records

    whole = run("whole", 10_000)
    assert whole[0]
    for _ in range(200):
        again = run("killed", 5)
        if again[0]:
            break
    assert again == whole


# From the settings ----------------------------------------------------------------------------------------------------

FILE = """prompt,response,rating,rationale
What is rude?,Go away!,1,It sends people away.
What is kind?,Welcome!,3,It welcomes people.
"""


def written(tmp_path, text, name="demos.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_is_read_as_the_data_is_with_a_column_of_rationales(tmp_path):
    told = read(FitConfig(), tmp_path / written(tmp_path, FILE), toy.TASK)
    assert [(one.fields["response"], one.answer, one.rationale) for one in told] == [
        *(("Go away!", "1", "It sends people away."), ("Welcome!", "3", "It welcomes people."))
    ]
    rows = [
        {"q": "What is rude?", "r": "Go away!", "s": "1", "rationale": "It sends people away."},
        {"q": "What is kind?", "r": "Welcome!", "s": "3", "rationale": "It welcomes people."},
    ]
    path = written(tmp_path, "\n".join(map(json.dumps, rows)), "demos.jsonl")
    named = FitConfig(prompt_col="q", response_col="r", rating_col="s", id_col="no", rater_col="who")
    again = read(named, tmp_path / path, toy.TASK)
    assert [one.fields for one in again] == [one.fields for one in told]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("prompt,response,rating\na,b,1\n", "no column 'rationale'"),
        ("prompt,response,rating,rationale\na,b,1,\n", "rationale is empty"),
        ("prompt,response,rating,rationale\na,b,1,Final rating: 2\n", "would be read as"),
        ("prompt,response,rating,rationale\na,b,9,so\n", "9"),
    ],
)
def test_a_file_that_cannot_be_shown_is_one_sentence(tmp_path, text, why):
    with pytest.raises(DataError, match=why):
        read(FitConfig(), tmp_path / written(tmp_path, text), toy.TASK)


def splits(*held_out, validation=True):
    held = tuple(held_out) or (item("v"),)
    return Splits((item("a"), item("b")), held if validation else (), held)


def test_demonstrations_of_a_file_that_are_held_out_items_are_left_out(tmp_path, capsys):
    config = FitConfig(demos=written(tmp_path, FILE))
    rude = Example("v", {"prompt": "What is rude?", "response": "Go away!"}, "1", "v")
    seen = showing(config, toy.TASK, splits(rude))
    assert [one.answer for one in seen.chosen] == ["3"]
    assert seen.count == 1
    kind = Example("w", {"prompt": "What is kind?", "response": "Welcome!"}, "3", "w")
    with pytest.raises(ConfigError, match="none can be shown"):
        showing(config, toy.TASK, splits(rude, kind))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"demos": "0"}, "between 1 and 64"),
        ({"demos": "99"}, "between 1 and 64"),
        ({"demos": "missing.csv"}, "file that is there"),
        ({"demos": "4", "scheme": "direct"}, "samples nothing"),
        ({"demos_until": 0.9}, "samples nothing"),
    ],
)
def test_settings_that_make_no_sense_are_refused(more, why):
    with pytest.raises(ConfigError, match=why):
        showing(FitConfig(**more), toy.TASK, splits())


def test_until_needs_validation_drafts():
    with pytest.raises(ConfigError, match="no validation set"):
        showing(FitConfig(demos="2", demos_until=0.9), toy.TASK, splits(validation=False))
    assert showing(FitConfig(demos="2", demos_until=0.9), toy.TASK, splits()).until == 0.9


def test_a_plan_without_a_number_shows_four():
    assert showing(FitConfig(scheme="forward~demos"), toy.TASK, splits()).count == 4
    assert showing(FitConfig(scheme="star"), toy.TASK, splits()) == Showing()


def test_a_draft_with_no_reasons_or_that_speaks_of_the_hint_is_no_demonstration(tmp_path):
    def careless(theta):
        said = iter(["", "As the correct rating says so", "<think>so</think>"] * 1000)

        def say(request):
            answer = toy.ANSWERS[next(n for n in toy.THETA if f"Prompt: {n}" in request.prompt.text)]
            return toy.TASK.format(next(said) if request.prompt.kind == "rationalize" else "alpha", answer)

        return ScriptedEngine(say, lambda query: (-1.0, -1.0, -1.0))

    def m_step(start, samples, *, iteration, seed, output):
        toy.write(toy.read(start), output)
        return {"dropped": []}

    problem = shown_at(
        tmp_path,
        "rationalize~demos",
        2,
        engine=careless,
        m_step=m_step,
        demos=replace(SEEN, count=2),
        hinted=0,
        wrong=0,
    )
    assert problem.ledger.record(2, PHASE)["candidates"] == 0
    assert problem.ledger.record(2, PHASE)["source"] == "task"


def test_the_length_of_a_prompt_counts_its_demonstrations():
    prompt = prompt_with(replace(FORWARD, demos=True), SEEN, 10_000, TEN)
    assert ScriptedEngine(lambda _: "").prompt_tokens(prompt) == len(prompt.whole) > len(prompt.text)
    assert Prompt("x").whole == "x"
