"""Where memory ends: the same rows in order from smaller parts, said once; and the batch size by measurement."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

import checkpoints
from rationem import progress
from rationem.engines import models
from rationem.engines.batch_size import best_batch_size, chosen
from rationem.engines.cache import closed_up
from rationem.engines.layouts import alike
from rationem.engines.memory import Fitting, ran_out
from rationem.engines.models import LoadedModel
from rationem.engines.transformers import TransformersEngine
from rationem.errors import ModelError
from rationem.tasks.scale import MARKER
from rationem.types import Draft, Finish, LevelQuery, Prompt, Request, Sampling, TokenQuery

pytestmark = pytest.mark.slow

PROMPTS = [Prompt("x " * n) for n in (1, 30, 7, 90, 12)]
CPU_MESSAGE = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"


class Said(progress.Silent):
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.fixture
def said(monkeypatch):
    monkeypatch.setattr(progress, "_display", Said())
    return progress._display.lines


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return models.load(checkpoints.checkpoint(tmp_path_factory.mktemp("model")), device="cpu")


def requests(count, length=16):
    return [Request(PROMPTS[n % len(PROMPTS)], Sampling(max_new_tokens=length), 70 + n) for n in range(count)]


def holds(rows, kind=torch.OutOfMemoryError):
    """Work that runs out of memory above a number of rows; tells the sizes of its calls."""
    sizes = []

    def compute(items):
        sizes.append(len(items))
        if len(items) > rows:
            raise kind(CPU_MESSAGE)
        return [2 * item for item in items]

    return compute, sizes


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, RuntimeError, MemoryError])
@pytest.mark.parametrize("count", [1, 7, 16, 29])
def test_rows_are_halved_until_they_fit_and_nothing_is_lost(said, kind, count):
    fitting, (compute, sizes) = Fitting("testing", 16), holds(3, kind)
    assert fitting(list(range(count)), compute) == [2 * n for n in range(count)]
    assert max(size for size in sizes if size <= 3) >= 1
    before = len(sizes)
    assert fitting(list(range(count)), compute) == [2 * n for n in range(count)]
    assert all(size <= 3 for size in sizes[before:])  # the smaller size is remembered
    assert len(said) == (1 if count > 3 else 0)


def test_one_row_that_does_not_fit_is_an_error_that_says_what_to_do():
    with pytest.raises(ModelError, match="max-new-tokens"):
        Fitting("testing", 8)([1, 2, 3], holds(0)[0])


def test_other_errors_stay_what_they_are():
    def compute(items):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        Fitting("testing", 8)([1, 2], compute)


def test_what_pytorch_raises_where_a_cpu_has_no_memory_is_known():
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert ran_out(caught.value)


def test_the_last_living_rows_move_to_the_places_of_the_dead():
    draw = torch.Generator().manual_seed(0)
    for _ in range(200):
        alive = (torch.rand(9, generator=draw) < 0.5).tolist()
        stay = closed_up(alive)
        assert sorted(stay) == [row for row, lives in enumerate(alive) if lives]
        assert all(row in (place,) or row >= len(stay) for place, row in enumerate(stay))


@pytest.mark.parametrize("padding", [0, 5, 100, 10_000])
def test_prompts_are_read_in_parts_that_need_little_padding(padding):
    draw = torch.Generator().manual_seed(padding)
    lengths = torch.randint(1, 80, (50,), generator=draw).sort().values.tolist()
    prompts = [(7,) * length for length in lengths]
    parts = list(alike(prompts, padding))
    assert [prompt for part in parts for prompt in part] == prompts
    for part in parts:
        assert len(part[-1]) > 1  # something is read
        read = [prompt for prompt in part if len(prompt) > 1]
        assert len(read) * len(part[-1]) - sum(map(len, read)) <= padding


def limited(loaded, monkeypatch, rows):
    """The model, with the real type of error where a forward has more than so many rows; returns the sizes seen."""
    real, sizes = loaded.model.forward, []

    def forward(*args, **kwargs):
        sizes.append(len(kwargs["input_ids"]))
        if sizes[-1] > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return real(*args, **kwargs)

    monkeypatch.setattr(loaded.model, "forward", forward)
    return sizes


def test_the_same_completions_and_scores_come_out_of_less_memory(loaded, monkeypatch, said):
    asked, levels = requests(11), (" 1", " 10", " Excellent")
    engine = TransformersEngine(loaded, marker=MARKER, batch_size=11)
    drafts = engine.sample(asked)
    ratings = [Draft(f"kind\n{MARKER} 1", engine.encode_completion(f"kind\n{MARKER} 1"), Finish.STOP, 0) for _ in asked]
    queries = [
        LevelQuery(request.prompt, draft, draft.text.index(MARKER) + len(MARKER), levels)
        for request, draft in zip(asked, ratings, strict=True)
    ]
    tokens = [TokenQuery(request.prompt, draft) for request, draft in zip(asked, drafts, strict=True)]
    expected = engine.score_levels(queries), engine.score_tokens(tokens)
    sizes = limited(loaded, monkeypatch, 3)
    for _ in range(2):
        assert [draft.token_ids for draft in engine.sample(asked)] == [draft.token_ids for draft in drafts]
        for found, wanted in zip((engine.score_levels(queries), engine.score_tokens(tokens)), expected, strict=True):
            for one, other in zip(found, wanted, strict=True):
                assert one == pytest.approx(other, abs=1e-4)
        assert engine.batch_size == 11
        assert len(said) == 3  # once for each kind of work, and nothing in the second round
    failed = sum(size > 3 for size in sizes)
    engine.sample(asked)
    assert sum(size > 3 for size in sizes) == failed


def test_a_model_that_does_not_fit_at_all_is_an_error(loaded, monkeypatch):
    limited(loaded, monkeypatch, 0)
    with pytest.raises(ModelError, match="even with one row"):
        TransformersEngine(loaded, marker=MARKER).sample(requests(3))


CHILD = """
    import resource, sys
    from pathlib import Path
    import torch
    sys.path.insert(0, sys.argv[1])
    torch.set_num_threads(1)
    import checkpoints
    from rationem import progress
    from rationem.engines import models
    from rationem.engines.transformers import TransformersEngine
    from rationem.tasks.scale import MARKER
    from rationem.types import Prompt, Request, Sampling

    class Said(progress.Silent):
        def say(self, text):
            print(text)

    loaded = models.load(sys.argv[2], device="cpu")
    engine = TransformersEngine(loaded, marker=MARKER, batch_size=96)
    asked = [Request(Prompt(f"{n:03} " + "x " * 150), Sampling(max_new_tokens=2), n) for n in range(96)]
    small = [draft.token_ids for n in range(0, 96, 16) for draft in engine.sample(asked[n : n + 16])]
    progress.show(Said())
    held = int(next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmSize")).split()[1])
    resource.setrlimit(resource.RLIMIT_AS, (held * 1024 + 32 * 2**20,) * 2)
    assert [draft.token_ids for draft in engine.sample(asked)] == small
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory as Linux does")
def test_a_process_whose_memory_really_ends_draws_the_same(tmp_path):
    path = checkpoints.checkpoint(tmp_path / "model")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(Path(__file__).parent), path],
        capture_output=True, text=True, env=environment, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Out of memory while drawing completions" in done.stdout


def test_a_model_with_a_sliding_window_draws_what_a_plain_forward_says(loaded):
    """Such layers keep a window only: they are neither put together from pieces nor closed up in place."""
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(loaded.tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, sliding_window=8, initializer_range=0.2,
    )  # fmt: skip
    stops = frozenset(range(0, len(loaded.tokenizer), 8))
    sliding = LoadedModel(MistralForCausalLM(config).eval(), loaded.tokenizer, stops)
    engine = TransformersEngine(sliding, marker=MARKER)
    asked = requests(15)
    for request, draft in zip(asked, engine.sample(asked), strict=True):
        prefix = engine._chat.encode(request.prompt)
        with torch.no_grad():
            logits = sliding.model(torch.tensor([[*prefix, *draft.token_ids]])).logits[0, len(prefix) - 1 : -1]
        expected = logits.log_softmax(-1).gather(1, torch.tensor(draft.token_ids).unsqueeze(1)).squeeze(1)
        assert draft.token_logps == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_chosen_batch_size_is_the_smallest_near_the_best(loaded):
    found = best_batch_size(loaded, PROMPTS, new_tokens=8, candidates=(2, 4, 8, 16))
    assert found.batch_size == chosen(found.tokens_per_second)
    assert list(found.tokens_per_second) == [2, 4, 8, 16][: len(found.tokens_per_second)]


def test_batches_grow_no_further_where_memory_ends_or_time_is_up(loaded, monkeypatch, said):
    hurried = best_batch_size(loaded, PROMPTS, new_tokens=8, candidates=(2, 4, 8), seconds=0.0)
    assert list(hurried.tokens_per_second) == [2]
    limited(loaded, monkeypatch, 3)
    found = best_batch_size(loaded, PROMPTS, new_tokens=8, candidates=(2, 16, 32))
    assert (found.batch_size, list(found.tokens_per_second)) == (2, [2])
    assert said == []


@pytest.mark.parametrize("candidates", [(), (8, 4), (0, 1)])
def test_sizes_that_cannot_be_tried_are_refused(candidates):
    with pytest.raises(ValueError, match="candidates"):
        best_batch_size(LoadedModel(None, None, frozenset()), PROMPTS, new_tokens=8, candidates=candidates)
