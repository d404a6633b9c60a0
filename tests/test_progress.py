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


def test_work_without_a_bar_is_named_once_in_a_log(capsys):
    display = progress.Rich()
    with display.busy("reading"):
        for _ in range(3):
            display.doing("loading the model")
    assert capsys.readouterr().err.splitlines() == ["loading the model"]


def test_a_long_line_of_a_log_is_not_broken(capsys):
    progress.Rich().say("word " * 60)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_on_a_terminal_a_spinner_stands_wherever_no_bar_does(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    display = progress.Rich()
    with display.busy("reading the data"):
        display.doing("loading the model")
        with display.track("sampling", 2) as advance:
            advance(2)
            display.doing("hidden while a bar is shown")
        display.say("a line")
    said = capsys.readouterr().err
    places = [said.index(one) for one in ("reading the data", "loading the model", "sampling", "working")]
    assert places == sorted(places)
    assert "hidden" not in said


def test_a_display_for_a_block_gives_way_to_one_that_is_set(monkeypatch):
    monkeypatch.setattr(progress, "_display", progress.Silent())
    mine, other = progress.Rich(), progress.Rich()
    with progress.shown(mine):
        assert progress._display is mine
        with progress.shown(other):
            assert progress._display is mine
    assert isinstance(progress._display, progress.Silent)
