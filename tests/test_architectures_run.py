"""Whole runs of models with a state, by the real engine; what cannot be used is refused before anything is written."""

import csv

import pytest
import torch
from transformers import AutoModelForCausalLM

import architectures
import checkpoints
import shared
from rationem import progress
from rationem.cli.main import main
from rationem.engines import layout_choice
from rationem.errors import ModelError
from rationem.ledger import read_only
from rationem.sft.m_step import _trainable
from rationem.sft.settings import Lora

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")]


@pytest.fixture(autouse=True)
def said(monkeypatch):
    """What was told."""
    heard = []
    monkeypatch.setattr(progress, "say", heard.append)
    return heard


def saved(folder, kind):
    """A random model of a kind where ``shared.run`` looks for it."""
    words = checkpoints.tokenizer()
    target = folder / "model" / "grader"
    architectures.model(kind, len(words), max_position_embeddings=1024).save_pretrained(target)
    words.save_pretrained(target)
    return target


#: Trained on the answers alone: random weights write none that could be accepted.
LEARNS = {"scheme": "direct", "steps": 10, "learning_rate": 3e-2, "iterations": 1, "max_new_tokens": 12}


@pytest.mark.parametrize(
    ("kind", "lora"), [("mamba", None), pytest.param("falcon_h1", 4, marks=pytest.mark.acceptance)]
)
def test_a_model_with_a_state_is_trained_published_and_judges(tmp_path, kind, lora):
    saved(tmp_path, kind)
    run = shared.run(tmp_path, "run", lora_rank=lora, **LEARNS)
    (record,) = read_only(run).execute("select record from iterations where phase = 'm_step'").fetchone()
    assert '"steps": 10' in record
    items = tmp_path / "items.csv"
    with items.open("w", newline="") as file:
        csv.writer(file).writerows([["prompt", "response"], *[[f"what is {n} ?", f"{n} kind"] for n in range(3)]])
    assert main(["judge", str(run), str(items), "--output", str(tmp_path / "rated.csv"), "--device", "cpu"]) == 0
    assert len(list(csv.DictReader((tmp_path / "rated.csv").read_text().splitlines()))) == 3


def test_a_model_whose_rows_change_each_other_is_refused_before_the_run_begins(tmp_path, monkeypatch):
    path = saved(tmp_path, "llama")
    mlp = type(AutoModelForCausalLM.from_pretrained(path).model.layers[0].mlp)
    real = mlp.forward
    monkeypatch.setattr(mlp, "forward", lambda self, x: real(self, x) + 0.1 * x.mean(dim=0, keepdim=True))
    monkeypatch.setattr(layout_choice, "_found", {})
    with pytest.raises(ModelError, match="in a batch than alone"):
        shared.run(tmp_path, "run")
    assert not (tmp_path / "run").exists()


def test_an_encoder_is_refused_before_the_run_begins(tmp_path):
    saved(tmp_path, "bert")
    with pytest.raises(ModelError, match="causal language model"):
        shared.run(tmp_path, "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("asked", [{"exact_items": 2}, {"scheme": "exact"}])
def test_what_cannot_be_enumerated_is_refused_before_the_run_begins(tmp_path, asked):
    saved(tmp_path, "mamba")
    with pytest.raises(ModelError, match="cannot be enumerated"):
        shared.run(tmp_path, "run", **asked)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["mamba", "nemotron_h", "llama4_text"])
def test_an_adapter_stands_beside_all_layers_that_it_can_stand_beside(kind):
    model = architectures.model(kind, 300)
    linear = {name for name, one in model.named_modules() if isinstance(one, torch.nn.Linear)} - {"lm_head"}
    adapted = _trainable(model, Lora(rank=2), 0)
    adapted(input_ids=torch.arange(5, 15)[None], use_cache=False).logits.sum().backward()
    names = [name for name in adapted.state_dict() if "lora_A" in name]
    held = {name.split(".lora_A")[0].removeprefix("base_model.model.") for name in names}
    assert {name.rsplit(".", 1)[-1] for name in linear - held} <= {"out_proj", "router"}
    assert len(held) >= 4
