"""Exports: another trainer that reads the file trains on the tokens that the M-step trains on, and sees no hint."""

import json
import sqlite3
from contextlib import closing

import pyarrow.parquet as pq
import pytest

from rationem import Prompt
from rationem.cli.main import main
from rationem.engines import models
from rationem.engines.chat import Chat
from rationem.errors import ConfigError, RunError
from rationem.export.export import export, texts, which
from rationem.ledger import read_examples, read_manifest, read_only
from rationem.sampling.training_set import kept_samples
from rationem.sft.rows import tokenize
from rationem.tasks.judge import JudgeTask

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    import shared

    return shared.run(tmp_path_factory.mktemp("export"), "run")


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def trained(run, k):
    """What the M-step makes of the kept set: its own rows."""
    loaded = models.load(str(run / "checkpoints" / f"iteration-{k:03d}"), device="cpu")
    rows, dropped = tokenize(kept_samples(run, k), Chat(loaded.tokenizer), loaded.stop_ids, 10_000)
    assert not dropped
    return loaded.tokenizer, rows


@pytest.mark.parametrize("k", [1, 2])
def test_messages_through_the_chat_template_are_the_tokens_that_the_m_step_trains_on(run, tmp_path, k):
    done = export(run, "messages", tmp_path / "kept.jsonl", iteration=k)
    tokenizer, rows = trained(run, k)
    written = lines(done.path)
    assert len(written) == len(rows) == done.samples >= 5
    same = 0
    for one, row in zip(written, rows, strict=True):
        assert [turn["role"] for turn in one["messages"]] == ["user", "assistant"]
        ids = tokenizer.apply_chat_template(one["messages"], tokenize=True)["input_ids"]
        assert one["weight"] == row.weight
        same += (
            tuple(ids[: len(row.token_ids)]) == row.token_ids
            and not tokenizer.decode(ids[len(row.token_ids) :]).strip()
        )
    assert same == done.samples - done.unlike
    assert same > done.samples / 2


def test_trl_has_the_same_texts_as_prompt_and_completion(run, tmp_path):
    export(run, "messages", tmp_path / "m.jsonl", iteration=1)
    export(run, "trl", tmp_path / "t.jsonl", iteration=1)
    for one, other in zip(lines(tmp_path / "m.jsonl"), lines(tmp_path / "t.jsonl"), strict=True):
        assert one.pop("messages") == other.pop("prompt") + other.pop("completion")
        assert one == other


def test_parquet_has_the_exact_tokens_and_what_the_ledger_says_of_each(run, tmp_path):
    export(run, "parquet", tmp_path / "kept.parquet", iteration=2)
    _, rows = trained(run, 2)
    table = pq.read_table(tmp_path / "kept.parquet").to_pylist()
    assert [tuple(one["prompt_token_ids"]) + tuple(one["completion_token_ids"]) for one in table] == [
        row.token_ids for row in rows
    ]
    assert [len(one["prompt_token_ids"]) for one in table] == [row.prompt_length for row in rows]
    with closing(sqlite3.connect(run / "ledger.sqlite")) as db:
        for one in table:
            found = db.execute(
                "SELECT rationale, predicted, reward, proposal, proposal LIKE 'rationalize%' FROM trials "
                "WHERE purpose='train' AND iteration=? AND example_id=? AND attempt=?",
                (one["drawn"], one["example_id"], one["attempt"]),
            ).fetchall()
            assert (one["rationale"], one["answer"], one["reward"], one["proposal"], one["hinted"]) in found
            assert one["iteration"] == 2
    assert {one["hinted"] for one in table} == {True, False}


@pytest.mark.parametrize("to", ["messages", "trl", "parquet"])
def test_no_hint_is_exported_though_hinted_draws_are(run, tmp_path, to):
    export(run, to, tmp_path / "kept", iteration=1)
    with closing(read_only(run)) as db:
        task, train = JudgeTask.from_description(read_manifest(db)["task"]), read_examples(db, "train")
    forward = {task.prompt(x.fields).text for x in train}
    if to == "parquet":
        prompts = [one["prompt"] for one in pq.read_table(tmp_path / "kept").to_pylist()]
    else:
        prompts = [(one.get("messages") or one.get("prompt"))[0]["content"] for one in lines(tmp_path / "kept")]
    assert prompts
    assert set(prompts) <= forward
    hints = {task.hint_prompt(x.fields, x.answer).text.removeprefix(task.prompt(x.fields).text) for x in train}
    raw = (tmp_path / "kept").read_bytes()
    assert not [hint for hint in hints if hint.strip().encode() in raw]


def test_the_command_says_which_iteration_and_writes_over_nothing(run, tmp_path, capsys):
    target = tmp_path / "kept.jsonl"
    command = ["export", str(run), "--to", "trl", "--output", str(target), "--iteration"]
    assert main([*command, "last"]) == 0
    assert "the kept set of iteration 2 (last)" in capsys.readouterr().out
    before = target.read_bytes()
    assert main([*command, "1"]) == 2
    assert "--force" in capsys.readouterr().err
    assert target.read_bytes() == before
    assert main([*command, "1", "--force"]) == 0
    assert "the kept set of iteration 1" in capsys.readouterr().out
    assert target.read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == ["kept.jsonl"]


def test_the_chosen_iteration_is_the_reports(run):
    best = json.loads((run / "metrics.json").read_text())["best_iteration"]
    if best:
        assert which(run, "chosen") == best
    else:
        with pytest.raises(RunError, match="trained on nothing"):
            which(run, "chosen")
    assert which(run, "last") == 2


def test_what_cannot_be_exported_is_said_and_leaves_no_file(run, tmp_path):
    with pytest.raises(RunError, match="holds no run"):
        export(tmp_path, "trl", tmp_path / "a", iteration="last")
    with pytest.raises(RunError, match="no finished E-step of iteration 3; it has 1, 2"):
        export(run, "trl", tmp_path / "a", iteration=3)
    with pytest.raises(ConfigError, match="directory that is there"):
        export(run, "trl", tmp_path / "nowhere" / "a", iteration=1)
    assert list(tmp_path.iterdir()) == []


def test_a_control_string_in_a_text_is_counted_as_read_otherwise(run):
    from dataclasses import replace

    from rationem.sampling.training_set import kept_trials

    loaded = models.load(str(run / "checkpoints" / "iteration-001"), device="cpu")
    chat, first = Chat(loaded.tokenizer), kept_trials(run, 1)[0]
    ids = chat.encode_completion("kind\nFinal rating: 3")
    plain = replace(first, sample=replace(first.sample, token_ids=ids))
    hostile = replace(plain, sample=replace(plain.sample, prompt=Prompt(plain.sample.prompt.text + "<|im_end|>")))
    assert [one.plain for one in texts([plain, hostile], chat, loaded.stop_ids)] == [True, False]
