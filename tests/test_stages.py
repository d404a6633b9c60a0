"""The overall bar: where a run stands, what share is done, and when the time left is known."""

import re

import pytest

from rationem import progress
from rationem.run import stages
from rationem.run.stages import CHOSEN, Stages

PLAN = (
    *((0, "validation"), (0, "evidence")),
    *((1, "e_step"), (1, "m_step"), (1, "validation"), (1, "evidence")),
    *((2, "e_step"), (2, "m_step"), (2, "validation"), (2, "evidence")),
    *((0, "test"), (CHOSEN, "test")),
)


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(stages.time, "perf_counter", lambda: now[0])
    return now


def test_the_time_left_is_known_after_one_stage_of_each_kind(clock):
    run = Stages(PLAN, 2, ratio=2.0)
    assert run.told() == ("run: before training, validation", 0.0, None)
    for stage, seconds in ((PLAN[0], 10), (PLAN[1], 20), (PLAN[2], 100)):
        assert run.finished(*stage, seconds) == ""
    assert run.told() == ("run: iteration 1 of 2, M-step", 3 / 12, None)
    run.finished(1, "m_step", 50)
    # left: 10 + 20, then 100 + 50 + 10 + 20, and two tests of 2 * 10
    total = 10 + 20 + 2 * (100 + 50 + 10 + 20) + 40
    assert run.told() == ("run: iteration 1 of 2, validation", pytest.approx(180 / total), pytest.approx(total - 180))
    clock[0] = 4.0
    assert run.told()[2] == pytest.approx(total - 184)
    clock[0] = 400.0  # longer than expected: the stage has no time left, and takes none from the others
    assert run.told()[2] == pytest.approx(total - 190)
    run.finished(1, "validation", 10)
    assert run.finished(1, "evidence", 20) == "iteration 1 of 2 is done; about 4 min left"


def test_stages_that_are_not_planned_are_not_counted_and_the_chosen_weights_come_last(clock):
    run = Stages(PLAN, 2, spent=dict.fromkeys(PLAN[:10], 1.0))
    assert run.told()[0] == "run: before training, test"
    run.finished(2, "handover", 5.0)
    run.finished(0, "test", 1.0)
    assert run.told() == ("run: chosen weights, test", 11 / 12, 1.0)
    run.finished(1, "test", 1.0)
    assert run.told() == ("run: at its end", 1.0, 0.0)


def test_a_resumed_run_stands_where_it_was(clock):
    assert Stages(PLAN, 2, spent=dict.fromkeys(PLAN[:7], 1.0)).told()[:2] == ("run: iteration 2 of 2, M-step", 7 / 12)


def test_a_terminal_shows_both_bars_and_a_log_one_line_per_iteration(monkeypatch, capsys, clock):
    monkeypatch.setattr(progress, "_display", progress.Rich())
    with progress.whole(Stages(PLAN, 2)):
        for stage in PLAN[:6]:
            progress.finished(*stage, 60.0)
    assert capsys.readouterr().err.splitlines() == ["iteration 1 of 2 is done; about 6 min left"]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(progress, "_display", progress.Rich())
    with (
        progress.whole(Stages(PLAN, 2, spent=dict.fromkeys(PLAN[:6], 60.0))),
        progress.track("sampling " * 9, 3) as advance,
    ):
        advance(1)
    shown = capsys.readouterr().err
    assert "0/3" in shown
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", line) for line in shown.split("\n")]
    assert any("sampling sampling" in line and "…" in line and "0/3" in line for line in lines)  # in one line
    assert "run: iteration 2 of 2, E-step" in shown
    assert "50%, 0:06:00 left" in shown
