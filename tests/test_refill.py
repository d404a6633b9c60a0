"""Refill: the same trials as rounds, one live attempt per example, bounded, and nothing lost when it is killed."""

import pytest

import toy
from rationem import Problem, ScriptedEngine, em, parse_scheme
from rationem.ledger import Ledger
from rationem.sampling import refill, rounds
from rationem.sampling.draw import attempt, draw
from rationem.sampling.schemes import FORWARD, RATIONALIZE
from rationem.sampling.trials import DrawRequest, SamplingContext
from rationem.types import Concurrent, Outcome, Purpose, Sampling
from streaming import Streaming

SCHEMES = ("rs:1", "rs:8", "star", "pps", "forward*3+rationalize+rationalize@base", "direct", "forward+answer")


def copied(start, samples, *, iteration, seed, output):
    """An M-step that learns nothing: what is compared is the E-step."""
    toy.write(toy.read(start), output)
    return {"dropped": []}


def fitted(directory, scheme, engine, iterations=1, **more) -> Problem:
    problem = toy.problem(directory, parse_scheme(scheme), copies=8, engine=engine, m_step=copied, **more)
    try:
        em.fit(problem, iterations)
    finally:
        problem.ledger.close()
    return problem


def content(problem, table, columns="*"):
    ledger = Ledger(problem.ledger.directory)
    try:
        return sorted(map(repr, ledger.db.execute(f"SELECT {columns} FROM {table}")))
    finally:
        ledger.close()


@pytest.mark.parametrize(
    "scheme", [one if one == "star" else pytest.param(one, marks=pytest.mark.slow) for one in SCHEMES]
)
def test_refill_makes_the_trials_that_rounds_make(tmp_path, scheme):
    by_rounds = fitted(tmp_path / "rounds", scheme, toy.open_engine)
    by_refill = fitted(tmp_path / "refill", scheme, lambda theta: Streaming(toy.open_engine(theta)))
    for table in ("trials", "scores", "kept", "states", "predictions"):
        assert content(by_refill, table) == content(by_rounds, table)
        assert table == "scores" or content(by_rounds, table)


@pytest.mark.slow
def test_selectors_that_weigh_see_the_same(tmp_path):
    def scoring(theta):
        return toy.open_scoring_engine(theta, taste=(1.0, 2.0, 0.5, 1.0))

    problems = [
        fitted(tmp_path / name, "rationalize*3", engine, hinted=4)
        for name, engine in (("rounds", scoring), ("refill", lambda theta: Streaming(scoring(theta))))
    ]
    for table in ("trials", "likelihoods", "kept"):
        assert content(problems[0], table) == content(problems[1], table)


def run_of(directory, retries=2):
    ledger = Ledger(directory)
    ledger.start({"task": toy.TASK.describe(), "config": {}, "notes": {}}, {"train": toy.examples(200)})
    return SamplingContext(toy.TASK, ledger, 0, Sampling(), retries=retries, max_prompt_tokens=10_000)


@pytest.fixture
def theta(tmp_path):
    return toy.write(toy.THETA, tmp_path / "base")


@pytest.fixture
def run(tmp_path):
    made = run_of(tmp_path / "run")
    yield made
    made.ledger.close()


@pytest.mark.slow
def test_never_more_than_the_engine_holds_and_never_two_of_one_example(run, theta):
    engine = Streaming(toy.open_engine(theta), concurrency=5)
    alive: list[str] = []
    begin, collect = refill._Flow._begin, refill._Flow._collect

    class Watched(refill._Flow):
        def _begin(self, line, due):
            assert due.draw_request.example.id not in alive
            alive.append(due.draw_request.example.id)
            begin(self, line, due)

        def _collect(self):
            lines = collect(self)
            for line in lines:
                alive.remove(line.example.id)
            return lines

    original, refill._Flow = refill._Flow, Watched
    try:
        attempt(toy.examples(200), parse_scheme("rs:8"), lambda _: engine, run, iteration=1)
    finally:
        refill._Flow = original
        engine.close()
    assert engine.most == 5
    assert alive == []


@pytest.mark.slow
def test_no_example_is_looked_at_before_there_is_room(run, theta):
    """Back-pressure: what was taken from the queue is at most what was written, and what is under way."""
    engine = Streaming(toy.open_engine(theta), concurrency=7)
    taken = 0

    def lines():
        nonlocal taken
        for x in toy.examples(200):
            taken += 1
            written = sum(len(one) for one in run.ledger.outcomes(1, Purpose.TRAIN).values())
            assert taken <= written + 7
            yield refill.Single(DrawRequest(x, 0), FORWARD, 2)

    flow = refill._Flow(run, 1, Purpose.TRAIN, {"forward": engine}, None)
    flow.run_all(lines(), 400, "test")
    engine.close()
    assert taken == 400


def test_what_the_engine_failed_is_drawn_again_up_to_the_limit(run, theta):
    """Every draw of one question fails: 1 + 2 retries each, and it costs the other question nothing."""
    good = toy.open_engine(theta)
    engine = Streaming(
        ScriptedEngine(lambda r: None if "Prompt: first" in r.prompt.text else good._say(r), good._levels)
    )
    attempt(toy.examples(20), parse_scheme("rs:4"), lambda _: engine, run, iteration=1)
    engine.close()
    outcomes = run.ledger.outcomes(1, Purpose.TRAIN)
    assert [outcomes[f"first-{n}", 0] for n in range(20)] == [[Outcome.ENGINE_FAILED] * 3] * 20
    assert not [key for key in outcomes if key[0].startswith("first") and key[1] > 0]
    assert all(Outcome.ENGINE_FAILED not in one for key, one in outcomes.items() if key[0].startswith("second"))


def test_refill_draws_and_scores_the_whole_plan_of_marginal_as_rounds_do(tmp_path, theta):
    scheme, tables = parse_scheme("marginal:3"), []
    for name, engine in (("rounds", toy.open_engine(theta)), ("refill", Streaming(toy.open_engine(theta)))):
        context = run_of(tmp_path / name)
        attempt(toy.examples(10), scheme, lambda _, engine=engine: engine, context, iteration=1)
        db = context.ledger.db
        tables.append([sorted(map(repr, db.execute(f"SELECT * FROM {table}"))) for table in ("trials", "scores")])
        engine.close()
        context.ledger.close()
    assert tables[0] == tables[1]
    assert list(map(len, tables[0])) == [60, 60]


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 17, 100, 333])
def test_a_lost_engine_stops_the_run_and_the_next_goes_on_where_it_was(tmp_path, theta, after):
    whole, cut = run_of(tmp_path / "whole"), run_of(tmp_path / "cut")
    draw_requests = [DrawRequest(x, m) for x in toy.examples(100) for m in range(2)]
    wanted = {"iteration": 1, "purpose": Purpose.EVAL, "label": "test", "levels_under": FORWARD}
    rounds.draw(draw_requests, FORWARD, toy.open_engine(theta), whole, **wanted)
    for order, die_after in enumerate((after, None)):
        engine = Streaming(toy.open_engine(theta), order=order, die_after=die_after)
        if die_after is None:
            draw(draw_requests, FORWARD, engine, cut, **wanted)
        else:
            with pytest.raises(ConnectionError):
                draw(draw_requests, FORWARD, engine, cut, **wanted)
            written = cut.ledger.db.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
            assert written < 400
        engine.close()
    for table in ("trials", "scores"):
        rows = [sorted(map(repr, one.ledger.db.execute(f"SELECT * FROM {table}"))) for one in (whole, cut)]
        assert rows[0] == rows[1]
        assert len(rows[0]) == 400
    for one in (whole, cut):
        one.ledger.close()


def test_an_engine_that_is_lost_takes_back_what_was_under_way(run, theta):
    engine = Streaming(toy.open_engine(theta), die_after=3)
    with pytest.raises(ConnectionError):
        draw(
            [DrawRequest(x, 0) for x in toy.examples(50)], RATIONALIZE, engine, run,
            iteration=1, purpose=Purpose.EVIDENCE, label="test",
        )  # fmt: skip
    engine.close()
    assert all(future.cancelled() for *_, future, _ in engine._heap)


def test_only_an_engine_that_streams_is_refilled(theta):
    assert isinstance(Streaming(toy.open_engine(theta)), Concurrent)
    assert not isinstance(toy.open_engine(theta), Concurrent)
