"""The M-step's objective, by hand; and what it trains on."""

import re
import shutil
import subprocess
import sys
from collections import Counter

import pytest
import torch
from safetensors.torch import load_file, save_file

import checkpoints
from rationem.engines import models
from rationem.engines.chat import Chat
from rationem.errors import ModelError, RunError
from rationem.sft import Training, moments
from rationem.sft.m_step import SupervisedMStep
from rationem.sft.objective import Objective
from rationem.sft.order import accumulation, micro_batches, steps, training_order
from rationem.sft.rows import by_example, close_turn, collate, tokenize
from rationem.sft.trainer import WeightedTrainer, schedule
from rationem.types import Prompt, Sample

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return checkpoints.checkpoint(tmp_path_factory.mktemp("model"), layers=1)


@pytest.fixture
def loaded(path):
    return models.load(path, trainable=True)


def samples(loaded, weights=(1.0, 0.25, 2.0, 1.0)):
    chat = Chat(loaded.tokenizer)
    texts = [
        "kind\nFinal rating: 4",
        "the tone is right and kind\nFinal rating: 1",
        "x\nFinal rating: 5",
        "Final rating: 2",
    ]
    return [
        Sample(str(i), Prompt("what is 3 + 4 ? " * (i + 1)), chat.encode_completion(text), weight)
        for i, (text, weight) in enumerate(zip(texts, weights, strict=True))
    ]


def by_hand(model, chat, sample):
    """log pi(completion | prompt), one sequence at a time, no padding, token by token."""
    prompt = chat.encode(sample.prompt)
    logps = model(torch.tensor([[*prompt, *sample.token_ids]])).logits[0].double().log_softmax(-1)
    return sum(logps[len(prompt) - 1 + t, token] for t, token in enumerate(sample.token_ids))


def test_batched_log_likelihoods_equal_the_sum_by_hand(loaded):
    chat = Chat(loaded.tokenizer)
    rows, dropped = tokenize(samples(loaded), chat, loaded.stop_ids, 1000)
    expected = [float(by_hand(loaded.model, chat, s).detach()) for s in samples(loaded)]
    for limit in (None, 1, 1000):  # logits all at once, of one token, and of two tokens at a time
        objective = Objective(loaded.model, limit)
        assert objective.plain_head
        together = -sum(s.weight * logp for s, logp in zip(samples(loaded), expected, strict=True)) / 7
        assert float(objective(**collate(rows, pad=0, total=7)).detach()) == pytest.approx(together, rel=1e-5)
        alone = [-float(objective(**collate([row], pad=0, total=1)).detach()) / row.weight for row in rows]
        assert alone == pytest.approx(expected, abs=1e-3)
    assert dropped == []


def step(path, micro, tmp_path, **training):
    """One optimizer step of plain SGD-like size: AdamW's first step would hide the gradient's scale, so look at it."""
    captured = {}

    class Spy(torch.optim.SGD):
        def step(self, closure=None):
            captured["gradient"] = torch.cat([p.grad.flatten() for g in self.param_groups for p in g["params"]])
            return super().step(closure)

    m_step = SupervisedMStep(Training(steps=1, batch_size=4, micro_batch_size=micro, **training), "cpu")
    m_step._optimizer = lambda objective, start, output: Spy(objective.parameters(), lr=0.0)
    loaded = models.load(path, trainable=True)
    record = m_step(path, samples(loaded), iteration=1, seed=3, output=tmp_path)
    return captured["gradient"], record


@pytest.mark.parametrize("micro", [1, 2, 4])
def test_gradient_is_the_weighted_sum_over_examples_however_it_is_split(path, loaded, tmp_path, micro):
    chat = Chat(loaded.tokenizer)
    loss = -sum(s.weight * by_hand(loaded.model, chat, s) for s in samples(loaded)) / 4
    loss.backward()
    expected = torch.cat([p.grad.flatten() for p in loaded.model.parameters()])
    gradient, record = step(path, micro, tmp_path)
    assert torch.allclose(gradient, expected.float(), rtol=1e-3, atol=1e-4 * expected.abs().max())
    assert record["loss"] == pytest.approx(float(loss.detach()), rel=1e-4)


def kept_together(loaded, counts, weights):
    """The texts of ``samples`` and more, as the kept sets of a few examples."""
    chat, found = Chat(loaded.tokenizer), []
    for name, count in enumerate(counts):
        for _ in range(count):
            n = len(found)
            text = "kind " * (n % 4) + f"\nFinal rating: {1 + n % 5}"
            prompt = Prompt("what is 3 + 4 ? " * (1 + name % 3))
            found.append(Sample(f"x{name}", prompt, chat.encode_completion(text), weights[n]))
    return found


@pytest.mark.parametrize("micro", [1, 2, 3])
@pytest.mark.parametrize(("normalise", "divisor"), [("kept", 3), ("all", 3 * 12 / 6)])
def test_the_loss_of_a_step_is_divided_by_its_examples_however_many_samples_they_have(
    path, loaded, tmp_path, micro, normalise, divisor
):
    """Six examples with 1, 3, 1, 2, 4 and 1 kept samples, of 12 for training; two steps of three, each by hand."""
    counts = (1, 3, 1, 2, 4, 1)
    weights = [1.0, 0.2, 0.3, 0.5, 0.7, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 1.0]
    chosen = kept_together(loaded, counts, weights)
    gradients = []

    class Spy(torch.optim.SGD):
        def step(self, closure=None):
            gradients.append(torch.cat([p.grad.flatten() for g in self.param_groups for p in g["params"]]))
            return super().step(closure)

    training = Training(
        steps=None, epochs=1, batch_size=3, micro_batch_size=micro, normalise=normalise, examples=12, max_grad_norm=0
    )
    m_step = SupervisedMStep(training, "cpu")
    m_step._optimizer = lambda objective, start, output: Spy(objective.parameters(), lr=0.0)
    record = m_step(path, chosen, iteration=1, seed=3, output=tmp_path)
    assert (record["examples"], record["passes"], record["steps"]) == (6, 1.0, 2)
    chat = Chat(loaded.tokenizer)
    rows, _ = tokenize(chosen, chat, loaded.stop_ids, 1000)
    longest = [max(len(rows[n].token_ids) for n in one) for one in by_example(rows)]
    order = training_order(longest, 6, 3, 3)
    for batch, gradient in zip((order[:3], order[3:]), gradients, strict=True):
        loaded.model.zero_grad()
        loss = -sum(s.weight * by_hand(loaded.model, chat, s) for s in chosen if int(s.example_id[1:]) in batch)
        (loss / divisor).backward()
        expected = torch.cat([p.grad.flatten() for p in loaded.model.parameters()])
        assert torch.allclose(gradient, expected.float(), rtol=1e-3, atol=1e-4 * expected.abs().max())


def test_copies_of_a_sample_with_shares_of_its_weight_train_as_the_sample_alone(path, loaded, tmp_path):
    """What the selector `all` makes of m equal draws: m copies of weight 1/m."""
    plain = samples(loaded, weights=(1.0,) * 4)
    copied = [Sample(s.example_id, s.prompt, s.token_ids, 0.25) for s in plain for _ in range(4)]
    found = []
    for name, chosen in (("plain", plain), ("copied", copied)):
        settings = Training(steps=3, batch_size=4, micro_batch_size=4, learning_rate=1e-3)
        record = SupervisedMStep(settings, "cpu")(path, chosen, iteration=1, seed=0, output=tmp_path / name)
        found.append((record["loss"], load_file(tmp_path / name / "model.safetensors")))
    before = load_file(f"{path}/model.safetensors")
    (loss, weights), (other, others) = found
    assert other == pytest.approx(loss, rel=1e-5)
    for name, value in weights.items():
        moved = float((value - before[name]).abs().max())
        assert float((others[name] - value).abs().max()) <= 1e-6 + 0.02 * moved, name


def test_where_some_samples_of_an_example_are_too_long_the_others_carry_its_weight(loaded):
    chat = Chat(loaded.tokenizer)
    short, long = "kind\nFinal rating: 4", "kind " * 30 + "\nFinal rating: 4"
    texts = [("a", short, 0.25), ("a", long, 0.75), ("b", long, 0.5), ("b", long, 0.5), ("c", short, 0.4)]
    chosen = [Sample(name, Prompt("x"), chat.encode_completion(text), weight) for name, text, weight in texts]
    limit = len(chat.encode(chosen[0].prompt)) + len(chosen[0].token_ids)
    rows, dropped = tokenize(chosen, chat, loaded.stop_ids, limit)
    assert [(row.example_id, row.weight) for row in rows] == [("a", 1.0), ("c", 0.4)]
    assert dropped == ["b"]


def test_the_end_of_turn_token_is_trained_and_the_prompt_is_not(loaded):
    chat = Chat(loaded.tokenizer)
    rows, _ = tokenize(samples(loaded), chat, loaded.stop_ids, 1000)
    for row, sample in zip(rows, samples(loaded), strict=True):
        batch = collate([row], pad=0, total=1)
        assert batch["targets"].tolist() == list(sample.token_ids)
        assert batch["targets"][-1] == chat.end_of_turn
        assert batch["places"].tolist() == [row.prompt_length - 1 + t for t in range(len(sample.token_ids))]


def test_training_makes_the_model_stop(path, tmp_path):
    """Five seeds of weights and training: from .006 at most to .995 and more."""
    m_step = SupervisedMStep(Training(steps=60, batch_size=4, micro_batch_size=4, learning_rate=1e-2), "cpu")
    loaded = models.load(path)
    chosen = samples(loaded, weights=(1.0,) * 4)
    m_step(path, chosen, iteration=1, seed=0, output=tmp_path)
    after = models.load(str(tmp_path))
    chat = Chat(after.tokenizer)
    for s in chosen:
        ids = torch.tensor([[*chat.encode(s.prompt), *s.token_ids[:-1]]])
        assert float(after.model(ids).logits[0, -1].softmax(-1)[chat.end_of_turn].detach()) > 0.9


def test_a_completion_always_ends_with_one_end_of_turn_token(loaded):
    chat = Chat(loaded.tokenizer)
    plain = chat.encode_plain("kind\nFinal rating: 4")
    stopped = (*plain, *chat.encode_plain("\n"))
    other = (*plain, loaded.tokenizer.convert_tokens_to_ids("<|endoftext|>"))
    for ids in (plain, stopped, other, (*plain, chat.end_of_turn)):
        closed = close_turn(ids, chat, loaded.stop_ids | {other[-1]})
        assert closed == (*plain, chat.end_of_turn)


def test_over_long_samples_are_dropped_and_named_never_cut(loaded):
    chat = Chat(loaded.tokenizer)
    chosen = samples(loaded)
    lengths = [len(chat.encode(s.prompt)) + len(s.token_ids) for s in chosen]
    rows, dropped = tokenize(chosen, chat, loaded.stop_ids, sorted(lengths)[1])
    assert dropped == [s.example_id for s, n in zip(chosen, lengths, strict=True) if n > sorted(lengths)[1]]
    assert [len(row.token_ids) for row in rows] == sorted(lengths)[:2]


def test_same_seed_same_weights_bitwise(path, tmp_path):
    m_step = SupervisedMStep(Training(steps=5, batch_size=2, micro_batch_size=2), "cpu")
    chosen = samples(models.load(path))
    for name in ("a", "b"):
        m_step(path, chosen, iteration=1, seed=7, output=tmp_path / name)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


@pytest.mark.parametrize("count", [1, 5, 31, 32, 33, 40, 300])
def test_epochs_train_on_every_sample_exactly_so_often_and_steps_are_all_full(count):
    lengths = [(7 * n) % 50 + 10 for n in range(count)]
    for epochs in (1, 3):
        draws = Training(steps=None, epochs=epochs).draws(count)
        order = training_order(lengths, draws, 32, seed=1)
        assert Counter(order) == dict.fromkeys(range(count), epochs)
    order = training_order(lengths, Training(steps=9).draws(count), 32, seed=1)
    assert len(order) == 9 * 32
    assert max(Counter(order).values()) - min(Counter(order)[n] for n in range(count)) <= 1
    assert order != training_order(lengths, 9 * 32, 32, seed=2) or count in (1, 32)  # all samples in every step


def test_batches_hold_samples_of_like_length():
    lengths = [(37 * n) % 101 for n in range(1024)]

    def spread(order):
        batches = [[lengths[n] for n in order[i : i + 32]] for i in range(0, len(order), 32)]
        return sum(max(batch) - min(batch) for batch in batches) / len(batches)

    assert spread(training_order(lengths, 1024, 32, seed=0)) < 0.25 * spread(range(1024))


def test_the_trainer_makes_as_many_full_steps_as_asked_for(path, loaded, tmp_path):
    """Four samples, batches of three: steps run on across the ends of epochs."""
    seen = []
    original = WeightedTrainer.compute_loss

    def spy(self, model, inputs, *args, **kwargs):
        # Every sample has weight 1 here, so what a token weighs is 1 / N.
        seen.append((len(inputs["input_ids"]), round(1 / float(inputs["weights"][0]))))
        return original(self, model, inputs, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WeightedTrainer, "compute_loss", spy)
        for training, expected in (
            (Training(steps=5, batch_size=3, micro_batch_size=3), [(3, 3)] * 5),
            (Training(steps=None, epochs=2, batch_size=3, micro_batch_size=3), [(3, 3), (3, 3), (2, 2)]),
            (Training(steps=2, batch_size=6, micro_batch_size=3), [(3, 6)] * 4),
        ):
            seen.clear()
            output = tmp_path / str(len(list(tmp_path.iterdir())))
            output.mkdir()
            SupervisedMStep(training, "cpu")(path, samples(loaded, (1.0,) * 4), iteration=1, seed=0, output=output)
            assert seen == expected


def steps_counted(checkpoint):
    """How many steps each parameter's moments have seen."""
    found = torch.load(checkpoint / moments.FILE, weights_only=True)
    return {float(value) for name, value in found.items() if name.startswith("step.")}


@pytest.mark.parametrize("count", [1, 3, 5, 32, 37])
@pytest.mark.parametrize(("processes", "micro"), [(1, 5), (2, 4), (3, 32), (8, 1)])
def test_dealt_to_processes_nothing_is_repeated_or_left_out(count, processes, micro):
    order = training_order([(7 * n) % 50 + 10 for n in range(count)], 2 * count, 8, seed=1)
    planned = steps(order, 8, [(n,) for n in range(count)], [(7 * n) % 50 + 10 for n in range(count)])
    dealt = [micro_batches(planned, micro, process=p, processes=processes) for p in range(processes)]
    assert len({len(passes) for passes in dealt}) == 1  # nobody waits for a pass that another does not make
    assert [place for one in planned for place in one.places] == order  # one sample each: as the examples are ordered
    assert Counter(place for passes in dealt for one in passes for place in one.places) == Counter(order)
    assert all(len(one.places) <= micro for passes in dealt for one in passes)
    assert {one.total for passes in dealt for one in passes} <= {8, len(order) % 8}


@pytest.mark.parametrize("examples", [1, 3, 5, 9, 21])
@pytest.mark.parametrize(("processes", "micro"), [(1, 5), (2, 4), (3, 32), (8, 1)])
def test_a_step_holds_whole_examples_with_all_their_samples(examples, processes, micro):
    """1 to 6 samples each: steps of 4 examples need different numbers of passes; the Trainer counts on one number."""
    counts = [1 + (5 * n) % 6 for n in range(examples)]
    starts = [sum(counts[:n]) for n in range(examples)]
    members = [list(range(start, start + count)) for start, count in zip(starts, counts, strict=True)]
    lengths = [(7 * n) % 50 + 10 for n in range(sum(counts))]
    order = training_order([max(lengths[n] for n in one) for one in members], 3 * examples, 4, seed=2)
    planned = steps(order, 4, members, lengths)
    for number, one in enumerate(planned):
        chosen = order[4 * number : 4 * number + 4]
        assert Counter(one.places) == Counter(place for example in chosen for place in members[example])
        assert one.examples == len(chosen)
        assert sorted((lengths[n] for n in one.places), reverse=True) == [lengths[n] for n in one.places]
    dealt = [micro_batches(planned, micro, process=p, processes=processes) for p in range(processes)]
    assert len({len(passes) for passes in dealt}) == 1
    assert all(len(one.places) <= micro for passes in dealt for one in passes)
    width = accumulation(planned, micro, processes)
    for number, one in enumerate(planned):
        passes = [single for mine in dealt for single in mine[number * width : (number + 1) * width]]
        assert Counter(place for single in passes for place in single.places) == Counter(one.places)
        assert {single.total for single in passes} == {one.examples}
    assert (len(planned) - 1) * width < len(dealt[0]) <= len(planned) * width


def test_a_foreign_optimizer_beside_the_base_model_is_not_obeyed(path, tmp_path):
    foreign = tmp_path / "elsewhere" / "model"
    shutil.copytree(path, foreign)
    (foreign / moments.FILE).write_bytes(b"not ours")
    m_step = SupervisedMStep(Training(steps=2, batch_size=4, micro_batch_size=4), "cpu")
    (tmp_path / "run").mkdir()
    m_step(str(foreign), samples(models.load(path)), iteration=1, seed=0, output=tmp_path / "run" / "1")
    assert steps_counted(tmp_path / "run" / "1") == {2}


@pytest.mark.parametrize("optimizer", ["keep", "reset"])
def test_optimizer_state_is_kept_between_iterations_unless_reset_by_name(path, tmp_path, optimizer):
    m_step = SupervisedMStep(Training(steps=3, batch_size=4, micro_batch_size=4, optimizer=optimizer), "cpu")
    chosen = samples(models.load(path))
    m_step(path, chosen, iteration=1, seed=0, output=tmp_path / "1")
    m_step(str(tmp_path / "1"), chosen, iteration=2, seed=0, output=tmp_path / "2")
    m_step(str(tmp_path / "2"), chosen, iteration=3, seed=0, output=tmp_path / "3")
    if optimizer == "keep":
        assert steps_counted(tmp_path / "3") == {9}
        assert not (tmp_path / "1" / moments.FILE).exists()  # nobody will start from there again
    else:
        assert not list(tmp_path.glob(f"*/{moments.FILE}"))


def test_one_schedule_runs_over_all_iterations(path, tmp_path):
    rates = []

    def record(iteration):
        settings = Training(
            steps=4, batch_size=4, micro_batch_size=4, schedule="linear", iterations=2, learning_rate=1.0
        )
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        rate = schedule(optimizer, settings, iteration, 4)
        for _ in range(4):
            rates.append(rate.get_last_lr()[0])
            optimizer.step()
            rate.step()

    record(1)
    record(2)
    assert rates == pytest.approx([1 - n / 8 for n in range(8)])


def test_lora_trains_an_adapter_that_continues_and_is_merged_for_sampling(path, tmp_path):
    m_step = SupervisedMStep(Training(steps=3, batch_size=4, micro_batch_size=4, lora_rank=4), "cpu")
    chosen = samples(models.load(path))
    for k, start in ((1, path), (2, str(tmp_path / "1"))):
        m_step(start, chosen, iteration=k, seed=0, output=tmp_path / str(k))
    assert (tmp_path / "2" / "adapter_model.safetensors").is_file()
    assert not (tmp_path / "2" / "model.safetensors").exists()
    base, merged = models.load(path), models.load(str(tmp_path / "2"))
    assert not hasattr(merged.model, "peft_config") or not merged.model.peft_config
    ids = torch.tensor([Chat(base.tokenizer).encode(Prompt("x"))])
    assert not torch.allclose(base.model(ids).logits, merged.model(ids).logits)


def trained(path, tmp_path, name, **settings):
    output = tmp_path / "run" / "checkpoints" / name
    output.mkdir(parents=True)
    m_step = SupervisedMStep(Training(**{"steps": 4, "batch_size": 4, "micro_batch_size": 2, **settings}), "cpu")
    record = m_step(path, samples(models.load(path)), iteration=2, seed=0, output=output)
    return record, load_file(output / "model.safetensors")


def test_recomputed_activations_change_nothing(path, tmp_path):
    calls, original = [], torch.utils.checkpoint.checkpoint

    def spy(*args, **kwargs):
        calls.append(1)
        return original(*args, **kwargs)

    kept = trained(path, tmp_path, "a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transformers.modeling_utils.checkpoint", spy)
        again = trained(path, tmp_path, "b", gradient_checkpointing=True)
    assert calls
    assert again[0]["loss"] == pytest.approx(kept[0]["loss"], rel=1e-6)
    assert all(torch.allclose(again[1][name], value, atol=1e-6) for name, value in kept[1].items())


def test_half_precision_computes_near_and_stores_whole(path, tmp_path):
    (single, _), (half, other) = trained(path, tmp_path, "a"), trained(path, tmp_path, "b", precision="bf16")
    assert (single["precision"], half["precision"]) == ("fp32", "bf16")
    assert half["loss"] != single["loss"]
    assert half["loss"] == pytest.approx(single["loss"], rel=0.02)
    assert {value.dtype for value in other.values()} == {torch.float32}
    assert any(not torch.equal(value, value.bfloat16().float()) for value in other.values())


def test_a_head_that_caps_its_logits_is_left_to_the_model(loaded, tmp_path):
    """A family whose logits are not the output embedding alone: the loss must be of the logits as they are."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=len(loaded.tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1, head_dim=16,
        num_attention_heads=2, num_key_value_heads=1, final_logit_softcapping=2.0, initializer_range=0.5,
        query_pre_attn_scalar=16, attn_implementation="eager",
    )  # fmt: skip
    model, chat = Gemma2ForCausalLM(config).eval(), Chat(loaded.tokenizer)
    objective = Objective(model)
    assert not objective.plain_head
    rows, _ = tokenize(samples(loaded), chat, loaded.stop_ids, 1000)
    expected = -sum(s.weight * float(by_hand(model, chat, s).detach()) for s in samples(loaded)) / 4
    loss = objective(**collate(rows, pad=0, total=4))
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_training_stops_at_the_step_whose_loss_or_gradient_is_no_number(path, tmp_path, monkeypatch, clip):
    made = []
    monkeypatch.setattr(torch.optim.AdamW, "step", counted(torch.optim.AdamW.step, made))
    asked = r"Iteration 2, step (\d+) of 200 of the M-step: the (loss|gradient's norm) is (nan|inf)\..* --learning-rate"
    with pytest.raises(RunError, match=asked) as error:
        trained(path, tmp_path, "a", learning_rate=1e30, steps=200, max_grad_norm=clip)
    step = int(re.search(asked, str(error.value))[1])
    assert 2 <= step < 10
    assert len(made) == step - 1
    assert ("--max-grad-norm 1" in str(error.value)) == (not clip)
    assert not list((tmp_path / "run" / "checkpoints" / "a").glob("*.safetensors"))


def counted(original, made):
    def step(self, *args, **kwargs):
        made.append(1)
        return original(self, *args, **kwargs)

    return step


def test_a_last_step_that_spoils_the_weights_is_refused(path, tmp_path, monkeypatch):
    def spoiling(self, *_, **__):
        for group in self.param_groups:
            group["params"][0].data.fill_(float("nan"))

    monkeypatch.setattr(torch.optim.AdamW, "step", spoiling)
    with pytest.raises(RunError, match="After the last step the weights are not finite"):
        trained(path, tmp_path, "a", steps=1)


def test_a_model_whose_weights_are_no_numbers_is_not_loaded(path, tmp_path):
    shutil.copytree(path, tmp_path / "poisoned")
    held = load_file(tmp_path / "poisoned" / "model.safetensors")
    held["model.norm.weight"][3] = float("nan")
    save_file(held, tmp_path / "poisoned" / "model.safetensors", metadata={"format": "pt"})
    for trainable in (False, True):
        with pytest.raises(ModelError, match=r"not finite \(nan or inf\): model\.norm\.weight"):
            models.load(str(tmp_path / "poisoned"), trainable=trainable, device="cpu")


def test_a_first_step_without_numbers_is_not_blamed_on_the_learning_rate(path, tmp_path, monkeypatch):
    forward = Objective.forward
    monkeypatch.setattr(Objective, "forward", lambda self, **inputs: forward(self, **inputs) * float("nan"))
    with pytest.raises(RunError, match=r"Iteration 1, step 1 of .* the loss is nan\. No step was taken yet"):
        SupervisedMStep(Training(steps=3), "cpu")(
            path, samples(models.load(path)), iteration=1, seed=0, output=tmp_path / "a"
        )


def test_losses_are_logged_where_asked_under_the_steps_of_the_whole_run(path, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record, _ = trained(path, tmp_path, "iteration-002.partial", report_to=("tensorboard",), log_every=1)
    logged = EventAccumulator(str(tmp_path / "run" / "logs" / "iteration-002")).Reload().Scalars("train/loss")
    assert [one.step for one in logged] == [5, 6, 7, 8]  # the second iteration of four steps
    assert sum(one.value for one in logged) / 4 == pytest.approx(record["loss"], rel=1e-4)
    assert not list((tmp_path / "run" / "checkpoints").rglob("*tfevents*"))


def test_nothing_is_logged_anywhere_by_default(path, tmp_path):
    trained(path, tmp_path, "iteration-002.partial")
    assert sorted(one.name for one in (tmp_path / "run").iterdir()) == ["checkpoints"]


@pytest.mark.parametrize("count", [1, 8, 32, 40, 64, 100])
def test_few_samples_do_not_come_in_copies(count):
    """A step of 32 from 32 or more samples never holds one more than twice: at most two permutations meet in it."""
    order = training_order([(7 * n) % 50 + 10 for n in range(count)], 40 * 32, 32, seed=3)
    copies = max(max(Counter(order[i : i + 32]).values()) for i in range(0, len(order), 32))
    assert copies <= max(2, -(-32 // count) + 1)


MEMORY = """
import re, sys, torch
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM
from rationem.sft.objective import Objective
from rationem.sft.rows import TrainingRow, collate

torch.set_num_threads(1)
sizes = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1)
model = LlamaForCausalLM(LlamaConfig(vocab_size=150_000, **sizes))
objective = Objective(model, int(sys.argv[1]) or None)

def peak():  # of this program: ru_maxrss would be that of the process that started it, if that is larger
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

before = peak()
objective(**collate([TrainingRow(tuple(range(1, 1002)), 1, 1.0)] * 2, pad=0, total=2)).backward()
print((peak() - before) / 1024)
"""


@pytest.mark.acceptance
def test_a_large_vocabulary_does_not_decide_how_much_memory_a_step_takes():
    """2,000 completion tokens and 150,000 words: logits of 1.2 GB, and as much again for each copy of them."""

    def megabytes(limit):
        done = subprocess.run([sys.executable, "-c", MEMORY, str(limit)], capture_output=True, text=True, check=True)
        return float(done.stdout)

    assert megabytes(2**32) > 2000  # all at once
    assert megabytes(0) < 500
