"""Progress in a log: a long phase says how far it has come, a short one only that it is done."""

import pytest

from rationem import progress


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def lines_of(clock, seconds_per_unit, total, capsys):
    with progress.Rich().track("sampling", total) as advance:
        for _ in range(total):
            clock[0] += seconds_per_unit
            advance(1)
    return capsys.readouterr().err.splitlines()


def test_a_long_phase_tells_every_half_minute_how_far_it_is(clock, capsys):
    assert lines_of(clock, 20.0, 5, capsys) == [
        "sampling: 2 of 5 after 40 s",
        "sampling: 4 of 5 after 80 s",
        "sampling: 5 in 100.0 s",
    ]


def test_a_short_phase_says_one_line(clock, capsys):
    assert lines_of(clock, 0.1, 5, capsys) == ["sampling: 5 in 0.5 s"]
