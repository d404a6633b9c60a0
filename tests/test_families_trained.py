"""For one model of each kind of tokenizer: what a run reports of answers alone is what the model writes."""

import csv
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from families import tokenizer
from rationem import FitConfig, report, start
from rationem.ledger import read_only
from rationem.ledger.reading import read_examples, read_predictions, read_trials
from rationem.types import Purpose

pytestmark = [pytest.mark.slow, pytest.mark.acceptance]

#: A mark in front of every text; bytes; Gemma's, with blanks and tags of HTML; Tekken's.
KINDS = ("Llama 2 (generic)", "SmolLM2", "Gemma 3", "Mistral Tekken")
STEPS, RATE = 200, 1e-2
WORDS = {"rude": "1", "dull": "3", "kind": "10"}


def table(path: Path) -> str:
    """Items that can be learned by heart: one word decides."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt", "response", "rating"])
        rows.writerows([f"q{n}", word, level] for n in range(8) for word, level in WORDS.items())
    return str(path)


def random_model(family: str, path: Path, seed: int = 0) -> str:
    words = tokenizer(family)
    sizes = {
        "vocab_size": len(words), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 1024,
        "tie_word_embeddings": True, "eos_token_id": words.eos_token_id,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        LlamaForCausalLM(LlamaConfig(**sizes)).save_pretrained(path)
    words.save_pretrained(path)
    return str(path)


def trained(family: str, folder: Path, seed: int = 0) -> Path:
    data = table(folder / "table.csv")
    settings = {
        "data": (data,), "test": (data,), "scale": "1 < 3 < 10", "model": random_model(family, folder / "model", seed),
        "scheme": "direct", "iterations": 1, "steps": STEPS, "learning_rate": RATE, "batch_size": 8,
        "micro_batch_size": 8, "max_new_tokens": 12, "max_prompt_tokens": 400, "draws": 6, "evidence_draws": 1,
        "wrong_hints": 0, "difficulty_examples": 0, "validation_share": 0.2, "sampling_batch": 24, "threads": 1,
        "seed": seed,
    }  # fmt: skip
    return start(FitConfig(**settings), folder / "run")


def found(run: Path, iteration: int = 1):
    """Of the test set: labels, predictions, and the answers that were written, per item."""
    with read_only(run) as db:
        labels = {x.id: x.answer for x in read_examples(db, "test")}
        predictions = {one.example_id: one for one in read_predictions(db, iteration, "test")}
        written = {name: [] for name in labels}
        for trial in read_trials(db, iteration, Purpose.EVAL):
            if trial.example_id in written:
                written[trial.example_id].append(trial.parsed.answer)
    return labels, predictions, written


@pytest.mark.parametrize("family", KINDS)
def test_what_is_reported_of_answers_alone_is_what_the_model_writes(family, tmp_path):
    """E[1 of writing y*] = E[pi(y* | x, z)], whatever the model has learned; both are means over the same draws."""
    run = trained(family, tmp_path)
    labels, predictions, written = found(run)
    draws = [(answer, labels[name]) for name, answers in written.items() for answer in answers]
    right = sum(answer == label for answer, label in draws) / len(draws)
    raw = sum(one.raw for one in predictions.values()) / len(predictions)
    assert len(draws) == 6 * len(labels)
    assert right > 0  # else there is nothing to compare; eleven runs of four kinds (docs/log.md)
    noise = 4 * math.sqrt(max(right * (1 - right), 1 / len(draws)) / len(draws))
    assert abs(right - raw) < 0.02 + noise
    for name, one in predictions.items():
        if max(one.probabilities) > 0.99:
            assert Counter(written[name]).most_common(1)[0][0] == one.predicted
    (block,) = [one["test"] for one in report.summarize(run)["iterations"] if one["iteration"] == 1]
    correct = [one.predicted == labels[one.example_id] for one in predictions.values()]
    assert block["accuracy"] == sum(correct) / len(labels)
