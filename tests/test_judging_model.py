"""The judge on real weights: a small random Llama that learned to write verdicts."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import checkpoints
from judges import card, seeds
from rationem import Judge, JudgeTask, Scale, progress
from rationem.cli import main as cli
from rationem.run.card import Calibration, model_sha256, prompt_sha256, write_card
from rationem.types import Finish, Request, Sampling

pytestmark = pytest.mark.slow
TASK = JudgeTask(Scale.parse("1-5"))
MARGINAL = (0.1, 0.2, 0.3, 0.2, 0.2)
#: Tokens of the second longest completion that the grader learned: the longest, a third of all, is cut.
LONGEST = 11
ITEMS = [{"prompt": f"what is {n} ?", "response": f"{n} kind" + " right" * (n % 3)} for n in range(12)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    model = path / "model"
    shutil.copytree(checkpoints.grader(tmp_path_factory.mktemp("made")), model)
    bound = Calibration(1.5, 8, 40, -1.6, -1.5, prompt_sha256(TASK.describe()), model_sha256(model))
    write_card(card(TASK, marginal=MARGINAL, max_prompt_tokens=400, max_new_tokens=LONGEST, calibration=bound), model)
    return path


def level_probabilities(judge, prompt, draft):
    """pi(level, end of turn | x, z) of every level: one plain forward each over the ids as drawn, renormalised."""
    engine, marked = judge.engine, draft.text[: TASK.parse(draft.text).marker_end]
    upto = [engine._chat.decode(draft.token_ids[:n]) for n in range(len(draft.token_ids))].index(marked)
    prefix = [*engine._chat.encode(prompt), *draft.token_ids[:upto]]
    logps = []
    for continuation in TASK.continuations:
        tail = engine.encode_completion(continuation)
        with torch.no_grad():
            logits = engine._model(torch.tensor([[*prefix, *tail]])).logits[0, len(prefix) - 1 : -1]
        logps.append(sum(float(row[token]) for row, token in zip(logits.double().log_softmax(-1), tail, strict=True)))
    return np.exp(logps) / np.exp(logps).sum()


def test_probabilities_equal_a_brute_force_forward_over_the_draws(run):
    with Judge.load(run, device="cpu", calibrate=False) as judge:
        ratings = judge.rate(ITEMS, draws=6)
        assert any(rating.unparsed for rating in ratings)
        assert any(rating.unparsed < rating.draws for rating in ratings)
        for item, rating in zip(ITEMS, ratings, strict=True):
            prompt, rows = TASK.prompt(item), []
            for seed in seeds(TASK, item, 6):
                (draft,) = judge.engine.sample([Request(prompt, Sampling(max_new_tokens=LONGEST), seed)])
                parsed = draft.finish is Finish.STOP and TASK.parse(draft.text).answer is not None
                rows.append(level_probabilities(judge, prompt, draft) if parsed else np.array(MARGINAL))
            if rating.rating is not None:
                assert np.allclose(list(rating.probabilities.values()), np.mean(rows, axis=0), atol=1e-4)


def test_the_same_item_has_the_same_rating_in_any_batch(run):
    with Judge.load(run, device="cpu", batch_size=5) as small, Judge.load(run, device="cpu") as large:
        alone = [small.rate([item])[0] for item in ITEMS]
        together = large.rate(ITEMS)
    for one, other in zip(alone, together, strict=True):
        assert (one.rating, one.rationale, one.unparsed) == (other.rating, other.rationale, other.unparsed)
        assert np.allclose(*(list((r.probabilities or {}).values()) for r in (one, other)), atol=1e-5)


THREADS = ("--threads", "1", "--batch-size", "16", "--device", "cpu")


def start(run):
    command = [sys.executable, "-m", "rationem.cli.main", "judge", str(run), "items.csv", "-o", "out.csv", *THREADS]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.acceptance
def test_the_command_killed_by_force_ends_with_the_bytes_of_one_never_killed(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "_display", progress.Silent())
    with Path("items.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("prompt", "response"), *(tuple(item.values()) for item in ITEMS * 4)])
    killed = start(run)
    note = Path("out.csv.job.json")
    while not (note.exists() and json.loads(note.read_text())["rows"] > 0):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not Path("out.csv").exists()
    again = start(run)
    assert cli.main(["judge", str(run), "items.csv", "-o", "whole.csv", *THREADS]) == 0
    assert capsys.readouterr().out == "whole.csv\n"
    assert "Resuming after" in again.communicate()[1]
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()
    with Path("out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["prompt"], row["response"]) for row in rows] == [tuple(item.values()) for item in ITEMS * 4]
    assert {row["status"] for row in rows} >= {"rated"}
    rated = [row for row in rows if row["rating"]]
    for row in rated:
        assert sum(float(row[f"p_{level}"]) for level in TASK.levels) == pytest.approx(1, abs=1e-4)
        assert float(row[f"p_{row['rating']}"]) == max(float(row[f"p_{level}"]) for level in TASK.levels)
