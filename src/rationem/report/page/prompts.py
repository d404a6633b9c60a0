"""The prompts of a run as its model saw them: the task of the manifest, the tokenizer that lies beside the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rationem.errors import ConfigError, ModelError
from rationem.tasks.judge import JudgeTask
from rationem.tasks.shots import Shots, choose_shots
from rationem.types import Example, Prompt

if TYPE_CHECKING:
    from rationem.chat import Chat

#: Prompts that are looked at for the words of the chat template.
_TRIED = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """The prompts of one example.

    Args:
        forward: the bare text, from the question alone.
        hint: what the hinted prompt says behind it; empty where the task of the run cannot be read.
        seen: the forward and the hinted prompt as fed, where they are not simply the bare text between the words of
            the chat template, because the tokenizer cannot say that text exactly.
    """

    forward: str
    hint: str
    seen: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Wording:
    """How a run puts its questions.

    Args:
        task: None where the manifest's task is not a judge's in full, such as one written by hand.
        chat: the tokenizer as a conversation; None where the run directory holds none.
        around: what the chat template writes before and behind a prompt; None without a tokenizer.
        solved: the solved examples in front of the control's prompts; empty without that control.
    """

    task: JudgeTask | None
    chat: Chat | None
    around: tuple[str, str] | None
    solved: str

    @property
    def length(self) -> int:
        """Characters that every prompt has, whatever is asked."""
        return len(self.task.template.text) + len(self.task.hint.text) if self.task else 0

    def of(self, example: Example) -> Asked:
        """Return an example's prompts."""
        if self.task is None:
            return Asked("\n\n".join(f"{name}: {text}" for name, text in example.fields.items()), "")
        forward, hinted = self.task.prompt(example.fields), self.task.hint_prompt(example.fields, example.answer)
        seen = None
        if self.chat is not None and self.around is not None:
            before, behind = self.around
            fed = self.chat.decode(self.chat.encode(forward)), self.chat.decode(self.chat.encode(hinted))
            told = tuple(f"{before}{one.text}{behind}" for one in (forward, hinted))
            seen = None if fed == told else fed
        return Asked(forward.text, hinted.text.removeprefix(forward.text), seen)


def wording(
    directory: Path, manifest: Mapping[str, Any], train: tuple[Example, ...], test: tuple[Example, ...]
) -> Wording:
    """Return how the run in a directory puts its questions.

    Args:
        train: the training examples: the control's solved ones are among them.
        test: what the control was asked.
    """
    try:
        task = JudgeTask.from_description(manifest["task"])
    except ConfigError:
        return Wording(None, None, None, "")
    config = manifest["config"]
    count = config.get("shots") or 0
    shots = Shots(task, choose_shots(train, count, config.get("seed") or 0, test)) if count else None
    asked = (*test, *train)
    solved = ""
    if shots and asked:
        solved = shots.prompt(asked[0].fields).text.removesuffix(task.prompt(asked[0].fields).text)
    chat = _chat(directory)
    return Wording(task, chat, _around(chat, [task.prompt(x.fields) for x in asked[:_TRIED]]) if chat else None, solved)


def _chat(directory: Path) -> Chat | None:
    """Return the conversation format of the run's weights; None where there are none with a tokenizer."""
    places = [directory / "model", *sorted(directory.glob("checkpoints/iteration-*[0-9]"), reverse=True)]
    for place in places:
        if (place / "tokenizer_config.json").is_file():
            from rationem import models

            try:
                return models.chat(str(place), str(place))
            except ModelError:
                return None
    return None


def _around(chat: Chat, prompts: Sequence[Prompt]) -> tuple[str, str]:
    """Return what is fed before and behind a prompt; nothing where the tokenizer cannot say any of them exactly."""
    for prompt in prompts:
        before, found, behind = chat.decode(chat.encode(prompt)).partition(prompt.text)
        if found:
            return before, behind
    return "", ""
