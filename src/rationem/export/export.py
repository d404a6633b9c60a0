"""The kept set of an iteration as a file that other trainers read: TRL, chat messages, parquet.

Training text is the forward prompt and the drawn completion, as the M-step receives them; never a hint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from rationem import report
from rationem.engines import models, stops
from rationem.engines.chat import Chat, Turn
from rationem.errors import ConfigError, ModelError, RunError, writing
from rationem.ledger.files import created, partial
from rationem.sampling.training_set import Chosen, kept_trials, last_e_step
from rationem.types import Prompt

Format = Literal["trl", "messages", "parquet"]
FORMATS: tuple[Format, ...] = ("trl", "messages", "parquet")


@dataclass(frozen=True, slots=True)
class ExportedText:
    """One kept sample as training text.

    Args:
        turns: the messages before the completion: the user's, and the system's if there is one.
        completion: its text, without the end-of-turn token. The thinking block is complete, even if the prompt opens
            it; its first tag is then not among the completion's tokens.
        prompt_ids: the prompt's tokens, template included.
        completion_ids: the tokens as drawn, closed by the template's end-of-turn token.
        plain: whether applying the chat template to these texts gives exactly the same tokens.
    """

    chosen: Chosen
    prompt: Prompt
    turns: tuple[Turn, ...]
    completion: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    plain: bool


@dataclass(frozen=True, slots=True)
class Exported:
    """Counts of an export: samples, their examples, the iteration, and how many give other tokens through the
    template.
    """

    path: Path
    iteration: int
    samples: int
    examples: int
    unlike: int


def export(
    run: Path, to: Format, output: Path, *, iteration: int | Literal["chosen", "last"] = "chosen", force: bool = False
) -> Exported:
    """Write the kept set of an iteration, whole or not at all.

    Args:
        to: "trl" (prompt and completion, each a list of messages), "messages" (one conversation) as JSON lines; or
            "parquet", with token ids.
        iteration: K, the chosen iteration, or the last one with a finished E-step.
        force: replace an existing file.

    Raises:
        RunError: there is no such run or iteration, or nothing was kept in it.
        ConfigError: the file exists.
        DiskError: it cannot be written.
        ModelError: the tokenizer of the run's training is gone.
    """
    if output.exists() and not force:
        raise ConfigError(f"{output} is there already. Give another --output, or --force to replace it.")
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise ConfigError(f"--output {output}: name a file in a directory that is there.")
    k = which(run, iteration)
    kept = kept_trials(run, k)
    if not kept:
        raise RunError(f"Iteration {k} of {run} kept nothing; there is nothing to export. Give another --iteration.")
    written = list(texts(kept, *_conversation(run, k)))
    write: Callable[[IO[Any], int, Sequence[ExportedText]], None] = _parquet if to == "parquet" else _lines(to)
    draft = partial(output)
    try:
        with writing(output):
            with created(draft, "wb") as file:
                write(file, k, written)
            draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
    examples = len({one.kept.example_id for one in kept})
    return Exported(output, k, len(kept), examples, sum(not one.plain for one in written))


def which(run: Path, iteration: int | Literal["chosen", "last"]) -> int:
    """Return the number of an iteration by its name.

    Raises:
        RunError: there is none, or the chosen one is the base model before any training.
    """
    if isinstance(iteration, int):
        return iteration
    if iteration == "last":
        return last_e_step(run)
    best = int(report.summarize(run)["best_iteration"])
    if best == 0:
        raise RunError(
            f"The chosen iteration of {run} is 0, the model before any training: it was trained on nothing. "
            "Name another: --iteration last, or its number."
        )
    return best


def texts(kept: Sequence[Chosen], chat: Chat, stop_ids: frozenset[int]) -> Iterator[ExportedText]:
    """Yield kept samples with their tokens, closed as in the M-step."""
    from rationem.sft.rows import close_turn

    for one in kept:
        ids = close_turn(one.sample.token_ids, chat, stop_ids)
        prompt, said = tuple(chat.encode(one.sample.prompt)), chat.read(ids[:-1])
        turns = chat.turns(one.sample.prompt.text)
        plain = _is_plain(chat, [*turns, chat.template.turn("assistant", said)], prompt + ids)
        yield ExportedText(one, one.sample.prompt, tuple(turns), said, prompt, ids, plain)


def _is_plain(chat: Chat, turns: list[Turn], ids: tuple[int, ...]) -> bool:
    """Return whether the chat template gives these tokens for the texts; a line break may follow the end of turn."""
    if not chat.template.text:
        return False
    found = chat.tokens.ids(chat.render(turns))
    return tuple(found[: len(ids)]) == ids and not chat.decode(tuple(found[len(ids) :])).strip()


def _conversation(run: Path, k: int) -> tuple[Chat, frozenset[int]]:
    """Return the conversation format of iteration K's training: from its checkpoint, or from any existing one."""
    places = [run / "checkpoints" / f"iteration-{k:03d}", run / "model", *sorted((run / "checkpoints").glob("*[0-9]"))]
    found = next((place for place in places if (place / "tokenizer_config.json").is_file()), None)
    if found is None:
        raise ModelError(
            f"{run} holds no checkpoint with a tokenizer, and without one its tokens cannot be read. Continue it: "
            f"rationem fit --output {run}"
        )
    chat = models.chat(str(found), str(found))
    return chat, stops.stop_ids(str(found), chat.tokenizer)


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _origin(text: ExportedText, k: int) -> dict[str, Any]:
    kept, trial, x = text.chosen.kept, text.chosen.trial, text.chosen.example
    return {
        "weight": kept.weight,
        "example_id": kept.example_id,
        "item": x.item,
        "criterion": x.criterion,
        "rater": x.rater,
        "turn": x.turn,
        "iteration": k,
        "drawn": kept.drawn,
        "attempt": kept.attempt,
        "proposal": trial.proposal,
    }


def _lines(to: Format) -> Callable[[IO[Any], int, Sequence[ExportedText]], None]:
    def conversation(text: ExportedText) -> dict[str, Any]:
        asked, said = [*text.turns], [_turn("assistant", text.completion)]
        return {"prompt": asked, "completion": said} if to == "trl" else {"messages": asked + said}

    def write(file: IO[Any], k: int, written: Sequence[ExportedText]) -> None:
        for text in written:
            line = json.dumps({**conversation(text), **_origin(text, k)}, ensure_ascii=False)
            file.write(f"{line}\n".encode())

    return write


def _parquet(file: IO[Any], k: int, written: Sequence[ExportedText]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            **_origin(text, k),
            "prompt": text.prompt.text,
            "completion": text.completion,
            "rationale": text.chosen.trial.parsed.rationale,
            "answer": text.chosen.trial.parsed.answer,
            "reward": text.chosen.trial.reward,
            "hinted": text.chosen.trial.proposal.startswith("rationalize"),
            "prompt_token_ids": list(text.prompt_ids),
            "completion_token_ids": list(text.completion_ids),
        }
        for text in written
    ]
    pq.write_table(pa.Table.from_pylist(rows), file)
