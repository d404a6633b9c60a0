"""What the terminal shows of a run: every trial once, every text as characters, nothing written, no torch."""

import io
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest

import toy
from rationem import STAR, JudgeTask
from rationem.cli.main import main
from rationem.em import fit
from rationem.errors import RunError
from rationem.ledger import Ledger
from rationem.report import summarize
from rationem.report.terminal.console import shortened, terminal
from rationem.report.terminal.example import leaked, show_example
from rationem.report.terminal.life import read_life
from rationem.report.terminal.run import show_end, show_run
from rationem.tasks.scale import Scale
from rationem.types import Draft, Example, Finish, Kept, LevelScores, Outcome, Parsed, Prediction, Purpose, State, Trial

TASK = JudgeTask(Scale.parse("1-3"))
HOSTILE = "\x1b[2J\r[bold red]red[/bold red] [link=file:///x]y[/link] :smile: \u202eback \x9b31m"
SGR = re.compile(r"\x1b\[[0-9;]*m")


def example(name, split, **more):
    fields = more.pop("fields", {"prompt": f"what is {name} ?", "response": f"answer of {name}"})
    return Example(name, fields, more.pop("answer", "2"), more.pop("group", f"group of {name}"), **more)


def trial(name, iteration, purpose, attempt, said, *, retry=0, proposal="forward", label="2", mark=None, **more):
    """A trial whose rationale names it; ``said`` is a level, None for no verdict, or an outcome."""
    rationale = mark or f"mark-{name}-{iteration}-{purpose}-{attempt}-{retry}"
    text = TASK.format(rationale, said) if isinstance(said, str) and said in TASK.levels else rationale
    parsed = TASK.parse(text)
    outcome = Outcome.UNPARSEABLE if parsed.answer is None else Outcome.WRONG
    outcome = Outcome.ACCEPTED if parsed.answer == label else outcome
    draft = Draft(text, tuple(range(7)), Finish.STOP, 50)
    if isinstance(said, Outcome):
        outcome = said
    if outcome is Outcome.ENGINE_FAILED:
        draft, parsed = Draft("", (), Finish.FAILED, 50), Parsed("", None)
    return Trial(
        iteration, purpose, name, attempt, retry, proposal, 1, draft, parsed, outcome, float(parsed.answer == label)
    )


def manifest(task=TASK, **config):
    return {
        "config": {"scheme": "star", "model": "some/model", "seed": 3, **config},
        "engine": {"name": "by hand", "honours_seeds": True},
        "notes": {},
        "task": task.describe(),
    }


def guess(x, scores=(0.1, 0.7, 0.2), **more):
    return Prediction(x.id, "2", scores, scores[1], 2, 0, **more)


SETS = {
    "train": (example("a", "train", ratings=("2", "3"), source="file.csv:2"), example("b", "train", elided=12)),
    "validation": (example("v", "validation"),),
    "test": (example("t", "test"),),
}


def story():
    """Trials of all purposes, outcomes and a retry."""
    return [
        trial("a", 0, Purpose.PROBE, 0, "2"),
        trial("v", 0, Purpose.EVAL, 0, "1"),
        trial("t", 0, Purpose.CONTROL, 0, "3"),
        trial("a", 1, Purpose.TRAIN, 0, Outcome.ENGINE_FAILED),
        trial("a", 1, Purpose.TRAIN, 0, "1", retry=1),
        trial("a", 1, Purpose.TRAIN, 1, "2", proposal="rationalize", mark="The  Hint says so, I was told"),
        trial("b", 1, Purpose.TRAIN, 0, None),
        trial("b", 1, Purpose.TRAIN, 1, "3", proposal="rationalize"),
        trial("v", 1, Purpose.EVAL, 0, "2"),
        trial("v", 1, Purpose.EVAL, 1, Outcome.TRUNCATED),
        trial("v", 1, Purpose.EVIDENCE, 0, "2", proposal="rationalize"),
        trial("v", 1, Purpose.PROBE, 0, "3", proposal="rationalize"),
        trial("t", 1, Purpose.EVAL, 0, "2"),
        trial("a", 2, Purpose.TRAIN, 0, "2"),
    ]


def write(directory, sets=SETS, trials=(), *, finished=True, task=TASK, **more):
    ledger = Ledger(directory)
    ledger.start({**manifest(task), **more}, sets)
    ledger.append(list(trials))
    for k in (0, 1):
        ledger.finish(k, "validation", seconds=1.0, predictions={"validation": [guess(x) for x in sets["validation"]]})
        ledger.finish(k, "test", seconds=1.0, predictions={"test": [guess(x) for x in sets["test"]]})
    if sets is SETS:
        ledger.append(
            [trial("v", 1, Purpose.EVAL, 2, "2")],
            {("v", 2): LevelScores((-3.0, -0.5108, -2.0))},
        )
        ledger.finish(
            1, "e_step", seconds=2.0, kept=[Kept("a", 1, 0.5, 1)],
            states={"a": State.KEPT, "b": State.EXHAUSTED},
        )  # fmt: skip
    if finished:
        ledger.finish(1, "m_step", seconds=1.0, record={"loss": 1.0})
        ledger.finish(1, "fitted", seconds=0.0)
    return ledger


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("show") / "run"
    write(directory, trials=story()).close()
    return directory


def show(capsys, *arguments):
    code = main(["show", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


class Tty(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("name", ["a", "b", "v", "t"])
def test_every_trial_of_an_example_is_shown_exactly_once(run, name, capsys):
    code, out, _ = show(capsys, run, "--example", name)
    assert code == 0
    known = [*story(), trial("v", 1, Purpose.EVAL, 2, "2")]
    own = [one for one in known if one.example_id == name]
    assert len(re.findall(r"^    attempt \d", out, re.MULTILINE)) == len(own)
    for one in known:
        if one.parsed.rationale:
            assert out.count(one.parsed.rationale) == (one in own), one
    assert out.count("engine_failed") == (name == "a")


def test_a_life_is_told_in_order_with_what_was_kept_and_predicted(run, capsys):
    _, out, _ = show(capsys, run, "--example", "a")
    for said in (
        "a, train example", "label: 2, of the ratings 2, 3", "group: group of a", "source: file.csv:2",
        "what is a ?", "Hinted prompt: the same, and behind it", "Drawn from the question alone, for its difficulty",
        "attempt 0, retry 1, forward: wrong, says 1, reward 0.00; 7 tokens after a prompt of 50, finish stop",
        "Drawn to learn from, by the weights of iteration 0", "Kept: attempt 1, with weight 0.500", "State: kept",
        "State: not settled, the E-step is not finished", "mentions the hint: 'the hint', 'i was told'",
    ):  # fmt: skip
        assert said in out, said
    places = [out.index(f"Iteration {k}") for k in range(3)]
    assert places == sorted(places)
    assert TASK.hint_prompt(SETS["train"][0].fields, "2").text.splitlines()[-1] in out
    _, out, _ = show(capsys, run, "--example", "b")
    assert "shortened on request (--elide): 12 characters left out" in out
    assert "unparseable, no verdict line; 7 tokens" in out
    assert "State: exhausted" in out


def test_predictions_have_a_bar_per_level_and_draws_the_labels_probability(run, capsys):
    _, out, _ = show(capsys, run, "--example", "v", "--iteration", "1")
    assert "Prediction, validation: 2 (label 2); 2 draws, 0 unparsed; raw p(label) 0.700" in out
    bars = re.findall(r"^    (\d)  ([\d.]+) (#*)$", out, re.MULTILINE)
    assert bars == [("1", "0.100", "##"), ("2", "0.700", "#" * 17), ("3", "0.200", "#####")]
    assert out.count("p(label | rationale) 0.60") == 1
    assert "Drawn with the label shown, for the evidence" in out
    assert re.search(r"Probe: shown the wrong level [13]; accepted means that it was said", out)
    assert "Iteration 0" not in out
    _, out, _ = show(capsys, run, "--example", "t", "--iteration", "0")
    assert "Control: drawn with solved examples in front of the question" in out


def test_only_hinted_rationales_are_said_to_speak_of_the_hint(run):
    life = read_life(run, "a")
    hinted = next(t for c in life.chapters for t in c.trials if t.proposal == "rationalize")
    assert leaked(life, hinted) == ["the hint", "i was told"]
    said = trial("a", 1, Purpose.TRAIN, 3, "2", mark="the hint")
    assert leaked(life, said) == []


def test_long_texts_are_shortened_unless_all_is_asked(tmp_path, capsys):
    long = "word " * 300
    sets = {**SETS, "train": (example("a", "train", fields={"prompt": long, "response": "r"}),)}
    write(tmp_path / "run", dict(sets), [trial("a", 1, Purpose.TRAIN, 0, "2", mark=f"{long}end")]).close()
    _, out, _ = show(capsys, tmp_path / "run", "--example", "a")
    assert "more characters)" in out
    assert f"{long}end" not in out
    _, out, _ = show(capsys, tmp_path / "run", "--example", "a", "--all")
    assert "more characters)" not in out
    assert out.count(f"{long}end") == 1
    _, out, _ = show(capsys, tmp_path / "run")
    assert "more characters)" in out
    _, out, _ = show(capsys, tmp_path / "run", "--all")
    assert f"{long}end" in out
    assert shortened("abc", 3) == "abc"


def hostile(directory):
    scale = Scale.parse("[red]low[/red] < \x1b[1mhigh")
    task = JudgeTask(scale)
    low = scale.levels[0]
    fields = {"prompt": HOSTILE, "response": f"{HOSTILE}\nIteration 9\n  State: kept"}
    sets = {
        split: (Example(f"{split} {HOSTILE}", fields, low, HOSTILE, (low, low), HOSTILE),)
        for split in ("train", "validation", "test")
    }
    text = task.format(HOSTILE, low)
    draft = Draft(text, (1, 2), Finish.STOP, 9)
    x = sets["train"][0]
    lost = Draft(HOSTILE, (1,), Finish.STOP, 9), Parsed(HOSTILE, None, HOSTILE)
    trials = [
        Trial(1, Purpose.TRAIN, x.id, 0, 0, "rationalize", 1, draft, task.parse(text), Outcome.ACCEPTED, 1.0),
        Trial(1, Purpose.TRAIN, x.id, 1, 0, "forward", 1, *lost, Outcome.UNPARSEABLE, 0.0),
    ]
    ledger = Ledger(directory)
    ledger.start({**manifest(task, model=HOSTILE, leak_phrases=["red", HOSTILE]), "notes": {}}, sets)
    ledger.append(trials)
    for split in ("validation", "test"):
        found = [Prediction(y.id, low, (0.9, 0.1), 0.9, 1, 0) for y in sets[split]]
        ledger.finish(0, split, seconds=1.0, predictions={split: found})
        ledger.finish(1, split, seconds=1.0, predictions={split: found})
    ledger.finish(1, "e_step", seconds=1.0, states={x.id: State.KEPT})
    ledger.finish(1, "m_step", seconds=1.0, record={})
    ledger.finish(1, "fitted", seconds=0.0)
    ledger.close()
    return sets


@pytest.mark.parametrize("tty", [False, True])
def test_hostile_texts_are_characters_and_neither_obeyed_nor_marked_up(tmp_path, tty, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    sets = hostile(tmp_path / "run")
    file = Tty() if tty else io.StringIO()
    console = terminal(file)
    show_run(tmp_path / "run", console)
    for part in sets.values():
        show_example(read_life(tmp_path / "run", part[0].id), console)
    out = file.getvalue()
    assert ("\x1b" in out) == tty
    bare = SGR.sub("", out)
    for character in "\x1b\r\u202e\x9b\x07":
        assert character not in bare, repr(character)
    for kept in (
        "\\x1b[2J",
        "[bold red]red[/bold red]",
        "[link=file:///x]y[/link]",
        ":smile:",
        "\\u202eback",
        "\\x9b31m",
    ):
        assert bare.count(kept) > 8, kept
    assert "[red]low[/red]" in bare
    assert "\\x1b[1mhigh" in bare
    # a text's own lines stand behind a margin: they cannot pass for lines of ours
    assert not re.search(r"^Iteration 9", bare, re.MULTILINE)
    assert len(re.findall(r"^  State: kept$", bare, re.MULTILINE)) == 1
    assert bare.count("State: kept") == 7  # and twice for each of three examples: in its field and in its prompt


def test_a_narrow_terminal_breaks_no_number(run, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    wide = io.StringIO()
    show_run(run, terminal(wide))
    file = Tty()
    show_run(run, terminal(file))
    bare = SGR.sub("", file.getvalue())
    assert max(map(len, bare.splitlines())) <= 60
    for found in (wide.getvalue(), bare):
        table = found[found.index("Iteration by iteration") : found.index("Trials of")]
        numbers = Counter(re.findall(r"-?\d\.\d+", table))
        assert numbers["-0.357"] == 4
        assert numbers["-0.588"] == 1
        assert "log-likelihood" in table
        assert "engine_failed" in table


def test_the_end_of_a_run_fits_80_columns_and_names_the_report(run, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    file = Tty()
    show_end(run, summarize(run), terminal(file))
    rows = SGR.sub("", file.getvalue()).splitlines()
    assert max(map(len, rows)) <= 80 or str(run) in max(rows, key=len)
    told = " ".join(" ".join(rows).split())
    assert "agrees with people in 100 of 100" in told
    assert "report.html the report, for a browser" in told
    assert re.search(r"base model \(best\) +1\.000", "\n".join(rows))
    assert "|" not in told  # no Markdown


def test_piped_output_is_plain_text_of_one_line_per_thing(run, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    for arguments in ((run,), (run, "--example", "a")):
        _, out, _ = show(capsys, *arguments)
        assert "\x1b" not in out
        assert not [row for row in out.splitlines() if row != row.rstrip()]


def test_an_unknown_id_names_the_nearest_and_how_many_there_are(run, capsys, tmp_path):
    code, out, err = show(capsys, run, "--example", "aa")
    assert (code, out) == (2, "")
    assert "has no example 'aa'. Did you mean 'a'? It holds 4 examples (2 train, 1 validation, 1 test)." in err
    _, _, err = show(capsys, run, "--example", "nope")
    assert "has no example 'nope'. Its ids are like 'a'. It holds 4 examples" in err
    item = example("item", "train")
    parts = (replace(item, rater=1), replace(item, rater=2), replace(item, turn=1, orders=2), example("items", "train"))
    write(tmp_path / "run", {**SETS, "train": parts}).close()
    with pytest.raises(RunError, match=r"There are 'item#1', 'item#2', 'item~swapped'\. It holds 6"):
        read_life(tmp_path / "run", "item")
    code, _, err = show(capsys, run, "--example", "\x1b[2Jx")
    assert code == 2
    assert "\x1b" not in err


def test_iterations_and_runs_that_are_not_there_are_named(run, capsys, tmp_path):
    code, _, err = show(capsys, run, "--example", "a", "--iteration", "7")
    assert code == 2
    assert "has no iteration 7: it has 0, 1, 2. Give another --iteration" in err
    assert show(capsys, run, "--iteration", "7")[0] == 2
    code, _, err = show(capsys, tmp_path / "none")
    assert code == 2
    assert f"{tmp_path / 'none'} holds no run: there is no ledger.sqlite" in err
    _, out, _ = show(capsys, run, "--example", "t", "--iteration", "2")
    assert "Nothing was drawn for it, kept or predicted there." in out


@pytest.mark.slow
def test_a_run_shows_its_sentence_iterations_headline_trials_and_what_to_do_next(run, capsys):
    from rationem import report
    from rationem.report.sections.learned import sentence

    (run / "model").mkdir(exist_ok=True)
    summary = report.summarize(run)
    code, out, _ = show(capsys, run)
    assert code == 0
    assert out.startswith("run: star on some/model\n")
    assert sentence(summary) in out
    for doubt in report.doubts(summary):
        assert doubt in out
    rows = [re.split(r"  +", row.strip()) for row in out.splitlines()]
    head = next(row for row in rows if row[0] == "iteration")
    assert head == ["iteration", "kept", "accepted", "wrong", "unparseable", "engine_failed", "score", "accuracy",
                    "log-likelihood", "tokens", "seconds"]  # fmt: skip
    chosen = [row for row in rows if row[0].endswith("(chosen)")]
    assert len(chosen) == 1
    step = next(row for row in rows if row[0] in ("1", "1 (chosen)") and len(row) == len(head))
    assert step[1:6] == ["1", "1", "2", "1", "1"]
    assert re.search(r"^Test set$", out, re.M)  # of fewer than ten groups there are no intervals
    for name in ("uniform", "training marginal", "best single level, for each number", "base model (best)"):
        assert any(row[0] == name for row in rows), name
    assert "Trials of iteration 2" in out
    assert "accepted: a, forward, says 2, label 2" in out
    assert "None is wrong or unparseable." in out
    assert f"rationem judge {run} new.csv -o rated.csv" in out
    assert f"rationem show {run} --example a " in out
    _, out, _ = show(capsys, run, "--iteration", "1")
    for said in ("accepted: a, rationalize", "wrong: a, forward", "unparseable: b, forward, says none of the levels"):
        assert said in out, said


def test_a_run_at_work_is_shown_and_left_as_it_is(tmp_path, capsys):
    ledger = write(tmp_path / "run", trials=story(), finished=False)
    with ledger.transaction() as db:  # a batch that is being written
        db.execute("DELETE FROM trials WHERE iteration=2")
        code, out, _ = show(capsys, tmp_path / "run")
        assert code == 0
        assert "The run is not finished" in out
        assert "Iteration 2 so far: 1 trials of 1 of 2 training examples; finished phases: none." in out
        assert f"rationem fit --output {tmp_path / 'run'}    goes on, where no process is at work" in out
        assert "(chosen)" not in out
        code, out, _ = show(capsys, tmp_path / "run", "--example", "a")
        assert code == 0
        assert "mark-a-2-train-0-0" in out
    ledger.append([trial("b", 2, Purpose.TRAIN, 0, "2")])
    ledger.close()


def test_a_run_that_only_began_is_shown(tmp_path, capsys):
    ledger = Ledger(tmp_path / "run")
    ledger.start(manifest(), SETS)
    code, out, _ = show(capsys, tmp_path / "run")
    assert code == 0
    assert "Nothing is drawn yet." in out
    code, out, _ = show(capsys, tmp_path / "run", "--example", "t")
    assert code == 0
    assert "t, test example" in out
    ledger.close()


def test_a_refit_says_whose_draws_it_holds(tmp_path, capsys):
    old = {"run": "old", "iteration": 2, "data_sha256": "", "trials_sha256": ""}
    trials = [trial("a", k, Purpose.TRAIN, 0, "2") for k in (-1, 0, 1)]
    write(tmp_path / "run", {**SETS}, trials, refit=old).close()
    _, out, _ = show(capsys, tmp_path / "run", "--example", "a")
    assert "Iteration -1 (before the refit)" in out
    assert "Iteration 0 (start of the refit)" in out
    assert out.count("Drawn by the old run, before the iteration that was taken") == 2
    code, out, _ = show(capsys, tmp_path / "run")
    assert code == 0
    assert "0 start of the refit" in out


def test_a_task_that_cannot_be_made_again_hides_the_prompts_alone(tmp_path, capsys):
    ledger = Ledger(tmp_path / "run")
    ledger.start({**manifest(), "task": {"scale": TASK.scale.describe(), "pair": False}}, SETS)
    ledger.append(story())
    ledger.close()
    _, out, _ = show(capsys, tmp_path / "run", "--example", "a")
    assert "Its prompts cannot be made again: There is no task" in out
    assert "mark-a-0-probe-0-0" in out


@pytest.mark.slow
def test_every_example_of_a_run_of_the_loop_is_told(tmp_path, capsys):
    problem = toy.problem(tmp_path, STAR, copies=5, engine=toy.open_scoring_engine, hinted=2, wrong=3, probed=4)
    fit(problem, 2)
    trials = problem.ledger.db.execute("SELECT example_id, COUNT(*) FROM trials GROUP BY 1").fetchall()
    problem.ledger.close()
    assert len(trials) > 20
    for name, count in trials:
        _, out, _ = show(capsys, tmp_path / "run", "--example", name)
        assert len(re.findall(r"^    attempt \d", out, re.MULTILINE)) == count, name


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    directory = tmp_path_factory.mktemp("large") / "run"
    train = tuple(example(f"item-{n}", "train") for n in range(2000))
    held = {name: tuple(example(f"{name}-{n}", name) for n in range(100)) for name in ("validation", "test")}
    trials = [
        trial(x.id, k, Purpose.TRAIN, m, level)
        for k in (1, 2)
        for x in train
        for m, level in enumerate(("1", "2", None))
    ]
    write(directory, {"train": train, **held}, trials).close()
    return directory


@pytest.mark.slow
def test_a_run_of_ten_thousand_trials_opens_fast(large, capsys):
    started = time.perf_counter()
    code, out, _ = show(capsys, large, "--example", "item-1234")
    life = time.perf_counter() - started
    assert code == 0
    assert len(re.findall(r"^    attempt \d", out, re.MULTILINE)) == 6
    started = time.perf_counter()
    assert show(capsys, large)[0] == 0
    whole = time.perf_counter() - started
    started = time.perf_counter()
    assert "Did you mean" in show(capsys, large, "--example", "itm-1234")[2]
    unknown = time.perf_counter() - started
    print(f"seconds: an example {life:.2f}, the run {whole:.2f}, an unknown id {unknown:.2f}")
    assert life < 1
    assert whole < 5
    assert unknown < 2


@pytest.mark.slow
def test_no_torch_is_imported(run):
    code = (
        "import sys\nfrom rationem.cli.main import main\n"
        f"main(['show', {str(run)!r}]); main(['show', {str(run)!r}, '--example', 'a'])\n"
        "print(sorted({'torch', 'transformers', 'accelerate', 'peft'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"
