"""What a fit costs: tokens by hand from the scheme, parameters and prompts counted exactly, memory by its parts."""

from dataclasses import replace

import pytest

from checkpoints import checkpoint, tokenizer
from doctored import check, codes, finding, rows, write
from rationem import FitConfig, JudgeTask, Scale
from rationem.check.cost import Sizes, TokenCounts, all_tokens, bill, cost, hours, iteration_tokens, memory
from rationem.check.machine import Machine, ModelSizes, measure, shape
from rationem.engines.chat import Chat
from rationem.sampling.schemes import parse_scheme

SIZES = Sizes(train=100, validation=10, test=20, forward=50.0, hinted=60.0, longest=80, cut=30)
MODEL = ModelSizes(parameters=1000, adapter=10, layers=2, hidden=8, cached=16, vocabulary=100, positions=None)
CPU = Machine("cpu", 1e9, 2**30, 1)


@pytest.mark.parametrize(
    ("scheme", "read", "generated"),
    [
        ("rs:4", 4 * 50, 4 * 30),
        ("star", 50 + 60, 2 * 30),
        ("pps", 60, 30),
        ("direct", 0, 0),
        ("forward*2+rationalize@base", 2 * 50 + 60, 3 * 30),
    ],
)
def test_an_iteration_draws_the_whole_plan_at_most_then_trains_then_validates(scheme, read, generated):
    config = FitConfig(steps=5, batch_size=8, micro_batch_size=8, draws=3, evidence_draws=0, wrong_hints=0)
    validation = (10 * 2 * 50 + 10 * 3 * 30, 10 * 3 * 30)
    assert iteration_tokens(SIZES, parse_scheme(scheme), config) == TokenCounts(
        100 * read + validation[0], 100 * generated + validation[1], 5 * 8 * (50 + 30)
    )


def test_epochs_train_on_every_row_as_often():
    config = FitConfig(epochs=3)
    assert iteration_tokens(SIZES, parse_scheme("rs:1"), config).trained == 3 * 100 * (50 + 30)


@pytest.mark.parametrize(("measure", "tests"), [("lean", 2), ("full", 3)])
def test_a_run_is_its_iterations_the_base_models_validation_and_its_tests(measure, tests):
    plain = {"evidence_draws": 0, "wrong_hints": 0, "difficulty_examples": 0, "measure": measure}
    config = FitConfig(iterations=4, steps=1, batch_size=1, micro_batch_size=1, draws=1, **plain)
    one = iteration_tokens(SIZES, parse_scheme("rs:1"), config)
    tested = 20 * tests
    evaluated = TokenCounts(read=10 * 130, generated=10 * 30) + TokenCounts(read=tested * 130, generated=tested * 30)
    assert all_tokens(SIZES, parse_scheme("rs:1"), config) == one.times(4) + evaluated
    shown = all_tokens(SIZES, parse_scheme("rs:1"), config.model_copy(update={"shots": 2}))
    extra = 20 * 130 + 2 * 20 * 2 * 50
    assert shown.read - all_tokens(SIZES, parse_scheme("rs:1"), config).read == extra


def test_evidence_draws_from_the_hint_and_reads_every_draw_under_both_prompts():
    plain = FitConfig(draws=3, evidence_draws=0, wrong_hints=0)
    more = FitConfig(draws=3, evidence_draws=2, wrong_hints=4)
    star = parse_scheme("star")
    before, after = (iteration_tokens(SIZES, star, config) for config in (plain, more))
    assert after.generated - before.generated == 10 * 2 * 30 + 4 * 30
    hinted = 10 * 60 + 2 * (10 * 50 + 10 * 2 * 30)  # drawn; then read behind the forward prompt, levels and tokens
    forward = 10 * 60 + 10 * 3 * 30  # the three forward draws, behind the hinted prompt
    assert after.read - before.read == hinted + forward + 4 * 60
    weighed = iteration_tokens(SIZES, parse_scheme("star", "resample"), plain)
    assert weighed.read - before.read == 100 * (50 + 2 * 30)


def test_the_bill_says_what_serves_learning_measuring_and_testing():
    """OpenBookQA by STaR, three iterations: measuring took 9.5 of 10.1 million generated tokens."""
    sizes = Sizes(400, 496, 500, 120.0, 130.0, 300, 256)

    def generated(items, **settings):
        parts = bill(replace(sizes, validation=items), parse_scheme("star"), FitConfig(iterations=3, **settings))
        return {name: part.generated / 1e6 for name, part in parts.items()}

    lean, full = generated(64), generated(496, measure="full")
    assert lean["learning"] == full["learning"] == pytest.approx(3 * 800 * 256 / 1e6)
    assert full["measuring"] + full["testing"] == pytest.approx((4 * (496 * 12 + 64) + 1024 + 500 * 32) * 256 / 1e6)
    assert lean["measuring"] == pytest.approx((4 * (64 * 5 + 32) + 64 * 4) * 256 / 1e6)
    assert lean["testing"] == pytest.approx(2 * 500 * 5 * 256 / 1e6)


def test_difficulty_is_measured_once_on_training_examples():
    base = FitConfig(draws=2, difficulty_examples=0)
    probed = FitConfig(draws=2, difficulty_examples=7)
    before, after = (all_tokens(SIZES, parse_scheme("star"), config) for config in (base, probed))
    assert after.generated - before.generated == 7 * 2 * 30


def test_hours_follow_the_stated_efficiencies():
    assert (
        hours(TokenCounts(generated=3600 * 10_000), MODEL, CPU) == 1
    )  # the most tokens per second, in spite of 5e4 possible
    big = ModelSizes(10**6, 10, 2, 8, 16, 100, None)
    assert hours(TokenCounts(generated=3600 * 50), big, CPU) == pytest.approx(1)  # 0.1 * 1e9 / (2 * 1e6) = 50 a second
    assert hours(TokenCounts(read=3600 * 150), big, CPU) == pytest.approx(1)  # 0.3 * 1e9 / (2 * 1e6)
    assert hours(TokenCounts(trained=3600 * 50), big, CPU) == pytest.approx(1)  # 0.3 * 1e9 / (6 * 1e6)


def test_memory_is_weights_gradients_moments_and_what_a_batch_holds():
    config = FitConfig(batch_size=4, micro_batch_size=2, sampling_batch=8)
    full = memory(SIZES, MODEL, config, "cpu")
    assert full["weights_gradients_moments"] == 16 * 1000  # 4 weights, 4 gradients, 8 of AdamW
    assert full["sampling_cache"] == 4 * 8 * 110 * 16
    assert full["activations"] == 4 * 2 * 110 * (16 * 8 * 2 + 2 * 100)
    adapter = memory(SIZES, MODEL, config.model_copy(update={"lora_rank": 4}), "cpu")
    assert adapter["weights_gradients_moments"] == 4 * 1000 + 16 * 40
    assert full["peak"] == max(full["training"], full["sampling"])


def test_too_little_memory_and_days_of_work_are_warnings():
    config, scheme = FitConfig(), parse_scheme("star")
    small = Machine("cpu", 1e9, 1000, 1)
    assert [one.code for one in cost(SIZES, scheme, config, MODEL, small)[1]] == ["memory"]
    slow = Machine("cpu", 1.0, 2**40, 1)
    assert [one.code for one in cost(SIZES, scheme, config, MODEL, slow)[1]] == ["hours"]
    assert cost(SIZES, scheme, config, MODEL, CPU)[1] == []
    section, found = cost(SIZES, scheme, config, None, None)
    assert (section["hours"], section["memory_bytes"], found) == (None, None, [])
    assert section["total"]["generated"] > 0


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("model"))


@pytest.mark.slow
@pytest.mark.parametrize(("style", "tied"), [("chatml", True), ("qwen2", False)])
def test_parameters_are_counted_as_loaded_without_loading_a_weight(style, tied, tmp_path):
    from rationem.engines import models

    place = checkpoint(tmp_path, style, tied=tied)
    counted = shape("m", place)
    loaded = models.load(place, device="cpu").model
    assert counted.parameters == sum(p.numel() for p in loaded.parameters())
    assert counted.positions == 1024
    assert counted.cached == 2 * 2 * 1 * 16  # keys and values, layers, heads, width of a head
    (tmp_path / "model.safetensors").unlink()
    assert shape("m", place) == counted


@pytest.mark.slow
def test_an_adapter_is_counted_as_peft_makes_it(model):
    from peft import LoraConfig, get_peft_model

    from rationem.engines import models

    loaded = models.load(model, device="cpu").model
    with models.quiet():
        adapted = get_peft_model(loaded, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert 4 * shape("m", model).adapter == trained


@pytest.mark.slow
def test_the_machine_is_measured_and_left_as_it_was():
    import torch

    before = torch.get_num_threads()
    found = measure("cpu", 1)
    assert (found.device, found.threads) == ("cpu", 1)
    assert 1e8 < found.flops < 1e14
    assert found.memory > 2**28
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_with_a_model_prompts_are_counted_by_its_own_tokenizer_and_template(model, tmp_path, capsys):
    table = rows(60)
    table[3]["response"] = "kind " * 1100
    table[4]["response"] += " <tool_call>"
    file = write(tmp_path / "rated.csv", table)
    flags = ("--scale", "1-5", "--model", model, "--max-new-tokens", 24, "--threads", 1)
    _, found = check(capsys, file, *flags)
    told = found["prompts"]
    assert told["exact"] is True
    assert told["limit"] == 1000  # 1024 positions less 24
    chat, task = Chat(tokenizer()), JudgeTask(Scale.parse("1-5"))
    lengths = [len(chat.encode(task.prompt({"prompt": row["prompt"], "response": row["response"]}))) for row in table]
    assert max(part["max"] for part in told["sets"].values()) == max(lengths)
    total = sum(part["mean"] * found["sets"][name]["rows"] for name, part in told["sets"].items())
    assert total == pytest.approx(sum(lengths), rel=1e-3)
    assert finding(found, "too_long")["count"] == sum(length > 1000 for length in lengths) == 1
    assert found["control"]["strings"] == {"<tool_call>": 1}  # of this tokenizer
    cost = found["cost"]
    assert cost["parameters"] == shape("m", model).parameters
    assert 0 < cost["hours"] < 24
    assert cost["memory_bytes"]["peak"] < cost["machine_memory_bytes"]
    assert "memory" not in codes(found)


@pytest.mark.slow
def test_a_model_that_is_not_there_exits_2(tmp_path, capsys):
    from rationem.cli.main import main

    file = write(tmp_path / "rated.csv", rows(60))
    assert main(["check", file, "--scale", "1-5", "--model", str(tmp_path)]) == 2
    assert "holds no model" in capsys.readouterr().err


def test_demonstrations_are_read_before_each_question_up_to_the_limit_of_a_prompt():
    plain = iteration_tokens(SIZES, parse_scheme("rs:1"), FitConfig(steps=1)).read
    for limit, read in ((10_000, 5 * SIZES.forward), (120, 120), (10, SIZES.forward)):
        config = FitConfig(steps=1, scheme="rs:1", demos="4", max_prompt_tokens=limit)
        more = iteration_tokens(SIZES, config.planned, config).read - plain
        assert more == pytest.approx(SIZES.train * (read - SIZES.forward))
