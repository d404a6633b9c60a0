"""Whole runs of chat models of every kind, by the real engine: what is drawn, trained, published, judged, exported."""

import csv
import json
import math
import re

import pytest

import checkpoints
import shared
from rationem import Judge, JudgeTask, Scale, progress
from rationem.cli.main import main
from rationem.engines import models
from rationem.engines.chat import Conversation
from rationem.engines.enumeration import enumerate_rationales
from rationem.engines.transformers import TransformersEngine
from rationem.export.export import export
from rationem.ledger import read_manifest, read_only
from rationem.sampling.training_set import kept_samples, kept_trials
from rationem.sft.rows import tokenize
from rationem.tasks.parse import behind_thinking
from rationem.tasks.scale import MARKER
from rationem.types import Finish, Prompt, Request, Sampling

pytestmark = pytest.mark.slow
SYSTEM = "You are a strict judge."


@pytest.fixture(autouse=True)
def said(monkeypatch):
    """What was told."""
    heard = []
    monkeypatch.setattr(progress, "say", heard.append)
    return heard


def thinks(rationale, level):
    """A completion that drafts another verdict while it thinks, every other time."""
    draft = f"Final rating: {6 - int(level)}\nno\n" if len(rationale) % 2 else ""
    return f"<think>\n{draft}{rationale}\n</think>\n\nFinal rating: {level}"


@pytest.fixture(scope="module", params=checkpoints.THINKING)
def thinker(request, tmp_path_factory):
    """A run of one iteration of a model that thinks; its folder and its style.

    Of five seeds of the grader .67 to 1 of the draws have a verdict, .11 or more the right one: five draws each, so
    that some ten of thirty examples are kept.
    """
    folder = tmp_path_factory.mktemp(request.param)
    checkpoints.grader(folder / "model", style=request.param, says=thinks, steps=240)
    shared.run(folder, "run", iterations=1, max_new_tokens=48, system=SYSTEM, scheme="forward*4+rationalize")
    return folder, request.param


def snippet_ids(run, directory):
    """What the pushed model's own page feeds to it, for a prompt of three dots: its code, run."""
    assert main(["push", str(run), "me/judge", "--directory", str(directory)]) == 0
    page = (directory / "README.md").read_text()
    (code,) = (one for one in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "AutoModel" in one)
    names = {}
    exec(compile(code.replace("me/judge", str(directory)), "README.md", "exec"), names)
    return tuple(names["ids"]["input_ids"][0].tolist())


def last(run):
    """The tokenizer's conversation and the rows that the M-step of iteration 1 made."""
    loaded = models.load(str(run / "checkpoints" / "iteration-001"), device="cpu")
    chat = models.chat("m", str(run / "checkpoints" / "iteration-001"))
    rows, dropped = tokenize(kept_samples(run, 1), chat, loaded.stop_ids, 10_000)
    assert not dropped
    return chat, rows


def test_the_thinking_block_is_kept_trained_and_reported(thinker):
    folder, style = thinker
    chat, rows = last(folder / "run")
    trials = [one.trial for one in kept_trials(folder / "run", 1)]
    assert len(trials) == len(rows) >= 5
    blocks = []
    for trial, row in zip(trials, rows, strict=True):
        prompt, completion = row.token_ids[: row.prompt_length], row.token_ids[row.prompt_length :]
        assert SYSTEM in chat.decode(prompt)
        assert chat.decode(prompt).endswith("<think>\n") == (style == "r1")
        # The tokens as they were drawn, tags among them, and the template's own end of turn.
        kept = trial.draft.token_ids
        assert completion[: len(kept) - 1] == kept[:-1]
        assert chat.decode(completion[:-1]).strip() in trial.draft.text
        assert trial.draft.finish is Finish.STOP
        blocks.append(trial.draft.text[: behind_thinking(trial.draft.text)])
        assert trial.parsed.rationale.startswith(blocks[-1].strip())
        assert ("</think>" in blocks[-1]) == (chat.tokenizer.convert_tokens_to_ids("</think>") in completion)
        # A verdict inside the block is no verdict.
        assert trial.parsed.marker_end > behind_thinking(trial.draft.text)
    assert sum(block.startswith("<think>") and block.endswith("</think>") for block in blocks) > len(blocks) / 2
    assert any("Final rating:" in block for block in blocks)


def test_exported_messages_hold_the_block_and_what_a_template_strips_is_counted(thinker, tmp_path):
    folder, style = thinker
    done = export(folder / "run", "messages", tmp_path / "kept.jsonl", iteration=1)
    written = [json.loads(line) for line in done.path.read_text().splitlines()]
    for one, chosen in zip(written, kept_trials(folder / "run", 1), strict=True):
        system, user, assistant = one["messages"]
        assert (system["role"], system["content"], user["role"]) == ("system", SYSTEM, "user")
        assert assistant["content"].strip() == chosen.trial.draft.text.strip()
    # This style's template strips thoughts, so that nobody who applies it trains on them: each is counted.
    assert done.unlike == done.samples if style == "r1" else done.unlike < done.samples


def test_the_judge_asks_as_training_asked_and_its_verdicts_stand_behind_the_block(thinker, tmp_path):
    folder, style = thinker
    run = folder / "run"
    with read_only(run) as db:
        manifest = read_manifest(db)
    assert manifest["config"]["system"] == SYSTEM
    chat, _ = last(run)
    with Judge.load(run, device="cpu") as judge:
        prompt = judge.task.prompt({"prompt": "what is 3 ?", "response": "3 kind"})
        assert judge.engine.prompt_tokens(prompt) == len(chat.encode(prompt))
        ratings = judge.rate([{"prompt": f"what is {n} ?", "response": f"{n} kind"} for n in range(4)], draws=4)
        drafts = judge.engine.sample([Request(prompt, Sampling(max_new_tokens=48), seed) for seed in range(40)])
    assert any(rating.unparsed < rating.draws for rating in ratings)
    assert models.chat("m", str(run / "model")).conversation == Conversation(SYSTEM)
    assert snippet_ids(run, tmp_path / "pushed") == chat.encode(Prompt("..."))
    finished = [draft for draft in drafts if draft.finish is Finish.STOP]
    assert len(finished) > 20
    for draft in finished:
        if (end := judge.task.parse(draft.text).marker_end) is not None:
            assert end > behind_thinking(draft.text) >= (len("<think>") if style == "r1" else 0)


def test_levels_are_scored_behind_the_same_tokens(thinker):
    """Brute force: the level's probability is that of its tokens behind the draft's own, marker included."""
    import torch

    from rationem.types import LevelQuery

    folder, _ = thinker
    loaded = models.load(str(folder / "model" / "grader"), device="cpu")
    engine, prompt = TransformersEngine(loaded, marker=MARKER), Prompt("what is 3 ?")
    chat = engine._chat
    said = "<think>\nFinal rating: 2\nno\n</think>\n\nFinal rating: 4"
    (draft,) = (engine._reader.draft(chat.encode_completion(said), Finish.STOP, 1, ()),)
    query = LevelQuery(prompt, draft, len(said) - 2, (" 1", " 2", " 4"))
    (found,) = engine.score_levels([query])
    for level, logp in zip(" 1, 2, 4".split(","), found, strict=True):
        whole = chat.encode_completion(said[:-2] + level)
        ids = chat.encode(prompt) + whole
        with torch.no_grad():
            logps = loaded.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        tail = len(chat.encode_completion(level))
        assert logp == pytest.approx(
            sum(float(logps[n - 1, ids[n]]) for n in range(len(ids) - tail, len(ids))), abs=1e-4
        )


def test_what_is_enumerated_is_what_the_engine_draws(thinker):
    folder, _ = thinker
    loaded = models.load(str(folder / "model" / "grader"), device="cpu")
    engine = TransformersEngine(loaded, marker=MARKER)
    prompt = JudgeTask(Scale.parse("1-5")).prompt({"prompt": "what is 3 ?", "response": "3 kind"})
    (found,) = enumerate_rationales(loaded, [prompt], (" 1", " 4"), marker=MARKER, threshold=1e-3, max_new_tokens=40)
    drafts = engine.sample([Request(prompt, Sampling(max_new_tokens=48), seed) for seed in range(200)])
    leaves = {leaf.text for leaf in found.leaves}
    mass = sum(math.exp(leaf.log_prob) for leaf in found.leaves)
    assert mass > 0.1  # else there is nothing to compare; of five graders of each style .23 to .96
    assert all(behind_thinking(leaf) < len(leaf) and leaf.endswith(MARKER) for leaf in leaves)
    hits = 0
    for draft in drafts:
        end = behind_thinking(draft.text)
        hits += MARKER in draft.text[end:] and draft.text[: draft.text.index(MARKER, end) + len(MARKER)] in leaves
    # Four standard deviations of 200 draws, at the widest.
    assert abs(hits - mass * len(drafts)) < 4 * math.sqrt(len(drafts) / 4)


@pytest.mark.parametrize("style", ["base", "gemma"])
def test_a_model_without_a_template_or_a_system_role_is_trained_and_judges(style, tmp_path, said, capsys):
    checkpoints.grader(tmp_path / "model", style=style, steps=60)
    run = shared.run(tmp_path, "run", iterations=1, system=SYSTEM)
    assert sum("has no system role" in sentence for sentence in said) == 1
    chat, rows = last(run)
    assert rows
    for row in rows:
        text = chat.decode(row.token_ids[: row.prompt_length])
        assert text.count(SYSTEM) == 1
        assert row.token_ids[-1] == chat.end_of_turn
    assert chat.decode((chat.end_of_turn,)) == {"base": "<|endoftext|>", "gemma": "<end_of_turn>"}[style]
    items = tmp_path / "items.csv"
    with items.open("w", newline="") as file:
        csv.writer(file).writerows([["prompt", "response"], *[[f"what is {n} ?", f"{n} kind"] for n in range(4)]])
    assert main(["judge", str(run), str(items), "--output", str(tmp_path / "rated.csv"), "--device", "cpu"]) == 0
    assert len(list(csv.DictReader((tmp_path / "rated.csv").read_text().splitlines()))) >= 4
    assert models.chat("m", str(run / "model")).encode(Prompt("x")) == chat.encode(Prompt("x"))
    assert models.chat("m", str(run / "model")).folds
    assert snippet_ids(run, tmp_path / "pushed") == chat.encode(Prompt("..."))


def test_a_model_that_no_iteration_trained_judges_with_the_runs_system_text(tmp_path):
    """No draw reaches its verdict: iteration 0 is the best, and model/ is the base model with the run's system text."""
    checkpoints.grader(tmp_path / "model", steps=20)
    base = tmp_path / "model" / "grader"
    run = shared.run(
        tmp_path, "run", iterations=1, system=SYSTEM, temperature=0.0, scheme="rs:1", max_new_tokens=1, go_on=True
    )
    assert models.chat("m", str(base)).conversation == Conversation()
    assert models.chat("m", str(run / "model")).conversation == Conversation(SYSTEM)
