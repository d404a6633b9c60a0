"""The proof of a hand-over: by hand, and on real weights that were, or were not, handed over."""

import numpy as np
import pytest

import checkpoints
import rationem
from rationem.engines import models, probe
from rationem.engines.chat import Chat
from rationem.engines.vllm import handover
from rationem.errors import RunError
from rationem.tasks.scale import MARKER

NEW, OLD = np.array([-1.0, -2.0, -3.0]), np.array([-1.5, -2.0, -2.0])


def test_the_share_is_one_for_the_new_weights_zero_for_the_old_and_linear_between():
    for share in (0.0, 0.25, 1.0, 1.5):
        found = probe.compare(OLD + share * (NEW - OLD), NEW, OLD, probe.SINGLE)
        assert found.share == pytest.approx(share)
        assert found.moved == pytest.approx(0.5)
        assert found.largest == pytest.approx(abs(1 - share) * 1.0)


def test_a_step_smaller_than_rounding_tells_nothing():
    assert probe.compare(NEW, NEW, NEW + 1e-4, probe.SINGLE).share is None
    assert probe.compare(NEW, NEW, NEW, probe.SINGLE).share is None
    assert probe.compare(NEW, NEW, None, probe.SINGLE).moved is None


@pytest.mark.parametrize(
    ("said", "before"),
    [(NEW + 0.02, None), (np.array([-1.0, np.nan, -3.0]), None), (NEW + np.array([0, 0, 0.011]), None), (OLD, OLD)],
)
def test_what_is_not_the_checkpoint_is_refused(said, before):
    with pytest.raises(RunError, match="does not hold the weights of it after a reload"):
        probe.check(probe.compare(said, NEW, before, probe.SINGLE), probe.SINGLE, "it", "reload")


def test_old_weights_within_the_tolerance_are_found_by_the_step_they_did_not_make():
    """Half precision allows 0.1 nats on average; a step of 0.05 is below that, and still the old weights show."""
    noise = np.random.default_rng(0).normal(0, 0.02, 1000)
    old = np.full(1000, -2.0)
    new = old + np.random.default_rng(1).choice([-0.05, 0.05], 1000)
    probe.check(probe.compare(new + noise, new, old, probe.HALF), probe.HALF, "it", "reload")
    stale = probe.compare(old + noise, new, old, probe.HALF)
    assert stale.mean < probe.HALF.mean
    with pytest.raises(RunError, match=r"\d % of the last training step"):
        probe.check(stale, probe.HALF, "it", "reload")


@pytest.fixture(scope="module", params=[("chatml", True), ("qwen2", True), ("llama3", False)])
def checkpoint(request, tmp_path_factory):
    style, tied = request.param
    return checkpoints.checkpoint(tmp_path_factory.mktemp("model"), style, tied=tied), tied


def said_of(path):
    loaded = models.load(path, device="cpu")
    engine = rationem.TransformersEngine(loaded, marker=MARKER)
    return probe.answers(engine, probe.probes(Chat(loaded.tokenizer)))


@pytest.mark.slow
def test_probes_read_every_token_and_are_the_same_every_time(checkpoint):
    path, _ = checkpoint
    chat = models.chat(path, path)
    queries = probe.probes(chat)
    assert queries == probe.probes(models.chat(path, path))
    assert len(said_of(path)) == sum(len(query.draft.token_ids) for query in queries)
    assert len({token for query in queries for token in query.draft.token_ids}) > 100


@pytest.mark.slow
def test_an_untied_checkpoint_is_the_same_model_with_a_head_of_its_own(checkpoint, tmp_path):
    path, tied = checkpoint
    assert handover.is_tied(path) is tied
    assert handover.can_untie(path) is tied
    if not tied:
        return
    untied = handover.untie(path, tmp_path / "untied")
    assert not handover.is_tied(untied)
    model = models.load(untied, device="cpu").model
    assert model.lm_head.weight is not model.model.embed_tokens.weight
    np.testing.assert_array_equal(said_of(untied), said_of(path))
    assert (tmp_path / "untied" / "rationem-weights.safetensors").is_symlink()


@pytest.mark.slow
def test_a_sharded_checkpoint_is_untied_too(tmp_path):
    path = checkpoints.checkpoint(tmp_path / "one", "qwen2")
    loaded = models.load(path, device="cpu")
    loaded.model.save_pretrained(tmp_path / "many", max_shard_size="20KB")
    loaded.tokenizer.save_pretrained(tmp_path / "many")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 1
    untied = handover.untie(str(tmp_path / "many"), tmp_path / "untied")
    np.testing.assert_array_equal(said_of(untied), said_of(path))


@pytest.mark.slow
def test_a_merged_adapter_is_the_adapter(tmp_path):
    path = checkpoints.checkpoint(tmp_path / "base")
    adapter = checkpoints.adapter(tmp_path / "adapter", path)
    assert handover.is_adapter(adapter)
    merged = handover.merge(adapter, tmp_path / "merged", half=False)
    apart = models.load(adapter, trainable=True, device="cpu")
    before = said_of(
        path
    )  # how its rows are computed together is known now, and no way of the adapter that stands apart
    wanted = probe.answers(rationem.TransformersEngine(apart, marker=MARKER), probe.probes(Chat(apart.tokenizer)))
    np.testing.assert_allclose(said_of(merged), wanted, atol=1e-4)
    assert np.abs(said_of(merged) - before).mean() > 0.1
