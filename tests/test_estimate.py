"""What a dry run says of the cost: by hand where it can be, without network, model or GPU."""

import json
import re
import sqlite3

import pytest

import shared
from rationem import FitConfig, JudgeTask, Scale
from rationem.check import estimate as estimating
from rationem.check.cost import Sizes, TokenCounts, all_tokens
from rationem.check.estimate import H100, LEDGER_TOKEN, LEDGER_TRIAL, Gpu, disk, drawn_together, gpu_hours, lines
from rationem.check.machine import ModelSizes
from rationem.cli.main import main
from rationem.sampling.schemes import parse_scheme
from rationem.types import Example, Splits

SIZES = Sizes(train=100, validation=10, test=20, forward=50.0, hinted=60.0, longest=80, cut=30)
MODEL = ModelSizes(parameters=10**9, adapter=10**6, layers=20, hidden=8, cached=1000, vocabulary=100, positions=None)
#: Numbers that can be reckoned with.
CARD = Gpu("card", flops=1e15, fp32=1e14, bandwidth=1e12, memory=1e12)
VLLM = FitConfig(engine="vllm", concurrency=100)


def test_reading_and_training_are_products_at_the_stated_shares():
    read = gpu_hours(TokenCounts(read=3600 * 1e6), SIZES, MODEL, VLLM, CARD)
    assert read == pytest.approx((2 * 1e9 * 1e6 / (0.5 * 1e15), 2 * 1e9 * 1e6 / (0.2 * 1e15)))
    tokens = TokenCounts(trained=3600 * 1e6)
    full = gpu_hours(tokens, SIZES, MODEL, VLLM, CARD)
    assert full == pytest.approx([3 * hours for hours in read])
    for changes, factor in (
        ({"lora_rank": 8}, 4 / 6),
        ({"gradient_checkpointing": True}, 8 / 6),
        ({"precision": "fp32"}, 10),
    ):
        found = gpu_hours(tokens, SIZES, MODEL, VLLM.model_copy(update=changes), CARD)
        assert found == pytest.approx([factor * hours for hours in full]), changes


def test_a_step_of_generation_reads_the_weights_once_and_the_cache_of_every_completion():
    tokens = TokenCounts(generated=3600 * 1e5)
    step = 2 * 1e9 + 100 * 2 * 1000 * (50 + 15)  # bytes: weights in bf16, the caches of 100 at their mean length
    best, worst = gpu_hours(tokens, SIZES, MODEL, VLLM, CARD)
    assert best == pytest.approx(1e5 / 100 * step / (0.7 * 1e12))
    assert worst == pytest.approx(1e5 / 100 * step / (0.3 * 1e12))
    waiting = FitConfig(sampling_batch=100)
    slower = gpu_hours(tokens, SIZES, MODEL, waiting, CARD)
    assert slower[1] - worst == pytest.approx(1e5 / 100 * 20 * 1e-3)
    assert slower[0] - best == pytest.approx(1e5 / 100 * 20 * 0.3e-3)


def test_no_more_is_drawn_together_than_fits_beside_the_weights():
    assert drawn_together(2e9, 1e6, VLLM) == 100
    assert drawn_together(2e9, 1e9, VLLM) == 70  # 0.9 * 80 - 2
    assert drawn_together(200e9, 1e9, VLLM) == 1
    assert drawn_together(2e9, 1e6, FitConfig(sampling_batch=7)) == 7
    assert drawn_together(2e9, 1e6, FitConfig()) == 64


def test_disk_is_a_checkpoint_per_iteration_the_last_two_moments_the_model_and_the_ledger():
    tokens = TokenCounts(generated=3000.0)
    ledger = 3000 * LEDGER_TOKEN + 100 * LEDGER_TRIAL
    full = disk(tokens, SIZES, MODEL, FitConfig(iterations=5))
    assert full == {"checkpoints": 20e9, "optimizer moments": 16e9, "model/": 4e9, "ledger": ledger}
    assert disk(tokens, SIZES, MODEL, FitConfig(iterations=1))["optimizer moments"] == 8e9
    assert disk(tokens, SIZES, MODEL, FitConfig(init="base"))["optimizer moments"] == 0
    assert disk(tokens, SIZES, MODEL, FitConfig(optimizer="reset"))["optimizer moments"] == 0
    adapter = disk(tokens, SIZES, MODEL, FitConfig(iterations=5, lora_rank=8))
    assert adapter["checkpoints"] == 5 * 4 * 8e6
    assert adapter["model/"] == 4 * 8e6


def test_the_tokens_are_those_of_the_check_and_large_sets_are_measured_on_some():
    task, scheme = JudgeTask(Scale.parse("1-5")), parse_scheme("star")
    many = tuple(Example(str(n), {"prompt": f"{n:04}", "response": "x" * 40}, "1", str(n)) for n in range(1800))
    splits = Splits(many[:1500], many[1500:1700], many[1700:])
    config = FitConfig(model="nobody/nothing", max_new_tokens=30, max_prompt_tokens=500)
    found = estimating.estimate(config, scheme, task, splits)
    assert (found.sizes.train, found.sizes.validation, found.sizes.test) == (1500, 200, 100)
    assert found.sizes.forward == pytest.approx(len(task.prompt(many[0].fields).text) / 4, abs=1)
    assert found.tokens == all_tokens(found.sizes, scheme, found.config)
    assert found.hours is found.disk is found.memory is None
    told = "\n".join(lines(found))
    assert "GPU hours and disk are not known: 'nobody/nothing' is not on this machine" in told
    short = estimating.estimate(config.model_copy(update={"max_prompt_tokens": 1}), scheme, task, splits)
    assert short.tokens.generated == 0


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("meta-llama/Llama-3.2-3B-Instruct", 3_212_749_824),
        ("Qwen/Qwen2.5-0.5B-Instruct", 494_032_768),
        ("Qwen/Qwen2.5-1.5B-Instruct", 1_543_714_304),
        ("Qwen/Qwen2.5-3B-Instruct", 3_085_938_688),
        ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
    ],
)
def test_the_published_sizes_count_to_the_published_parameters(name, parameters):
    shape = estimating.published(name)
    assert shape.parameters == parameters
    sizes = estimating.PUBLISHED[name]
    width = sizes["hidden_size"] // sizes["num_attention_heads"]
    assert shape.cached == 2 * sizes["num_hidden_layers"] * sizes["num_key_value_heads"] * width
    assert shape.positions == sizes["max_position_embeddings"]


def test_every_model_that_is_suggested_has_a_published_size():
    from rationem.engines.suggested import SUGGESTED

    assert {name for name, *_ in SUGGESTED} == set(estimating.PUBLISHED) - {"Qwen/Qwen2.5-3B-Instruct"}


@pytest.mark.slow
def test_the_embedded_model_is_estimated_as_any_checkpoint():
    found = estimating.look_up("tiny-judge")
    assert found.told == "counted from its configuration"
    assert found.chat is not None
    embedding, layer = 2048 * 64, 4 * 64 * 64 + 3 * 64 * 176 + 2 * 64
    assert found.shape.parameters == embedding + 4 * layer + 64


def dry(tmp_path, capsys, *more):
    data = shared.ratings(tmp_path / "ratings.csv")
    words = ["fit", str(data), "--scale", "1-5", "--output", str(tmp_path / "run"), "--dry-run", *map(str, more)]
    code = main(words)
    out, err = capsys.readouterr()
    assert not (tmp_path / "run").exists()
    return code, out, err


def test_a_dry_run_needs_no_model_and_says_what_it_assumes(tmp_path, capsys):
    code, out, _ = dry(tmp_path, capsys, "--model", "Qwen/Qwen2.5-7B-Instruct")
    assert code == 0
    for said in (
        "Cost at most (every plan exhausted, every completion 256 tokens long):",
        "model: 7,615,616,512 parameters, from its published configuration",
        "of one H100 SXM (80 GB)",
        "of its 80.0 GB: too much (docs/training.md)",
        "Assumed, not measured on such a GPU: training and reading reach 20 to 50 % of its peak (989 TFLOP/s)",
        "which waits 0.3 to 1 ms per layer for Python,",
    ):
        assert said in out, said
    assert re.search(
        r"disk: about 304\.6 GB \(checkpoints 152\.3 GB, optimizer moments 121\.8 GB, model/ 30\.5 GB", out
    )
    code, out, _ = dry(tmp_path, capsys, "--model", "no/such-model")
    assert code == 0
    assert "GPU hours and disk are not known" in out
    (tmp_path / "empty").mkdir()
    code, out, error = dry(tmp_path, capsys, "--model", tmp_path / "empty")
    assert code == 2
    assert "holds no model: there is no config.json (it is empty)" in error
    code, out, error = dry(tmp_path, capsys, "--model", "not a name\x1b[2J")
    assert code == 2
    assert "\x1b" not in out.partition("Cost, at most")[2] + error


def test_what_the_hubs_cache_holds_is_counted_without_asking_the_hub(tmp_path, capsys, monkeypatch):
    settings = estimating.PUBLISHED["Qwen/Qwen2.5-0.5B-Instruct"]
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "config.json").write_text(json.dumps(settings))
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda name, file: str(tmp_path / "snapshot" / file) if name == "a/cached" else None,
    )
    found = estimating.look_up("a/cached")
    assert (found.shape.parameters, found.chat) == (494_032_768, None)
    assert found.told == "counted from its configuration"


@pytest.mark.slow
def test_a_local_model_is_counted_its_tokenizer_used_and_the_ledger_about_as_large_as_said(tmp_path, capsys):
    run = shared.run(tmp_path, "run")
    settings = {"data": (str(tmp_path / "ratings.csv"),), "scale": "1-5", "model": str(tmp_path / "model" / "grader")}
    with sqlite3.connect(run / "ledger.sqlite") as db:
        trials, tokens = db.execute("SELECT COUNT(*), SUM(new_tokens) FROM trials").fetchone()
        fixed = db.execute("SELECT SUM(LENGTH(fields) + 300) FROM examples").fetchone()[0]
    size = (run / "ledger.sqlite").stat().st_size
    said = LEDGER_TOKEN * tokens + LEDGER_TRIAL * trials
    print(f"ledger {size} bytes, {fixed} of them examples; said {said} for {trials} trials of {tokens} tokens")
    assert 0.5 < said / (size - fixed) < 2
    found = estimating.look_up(settings["model"])
    assert found.chat is not None
    weights = (tmp_path / "model" / "grader" / "model.safetensors").stat().st_size
    assert 4 * found.shape.parameters == pytest.approx(weights, rel=0.05)
    checkpoint = run / "checkpoints" / "iteration-002"
    one = disk(TokenCounts(), SIZES, found.shape, FitConfig(iterations=1))
    assert (checkpoint / "model.safetensors").stat().st_size == pytest.approx(one["checkpoints"], rel=0.05)
    assert (checkpoint / "optimizer.pt").stat().st_size == pytest.approx(one["optimizer moments"], rel=0.2)
    assert H100.memory == 80e9
