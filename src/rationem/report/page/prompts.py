"""The prompts of a run as its model saw them: from the manifest's task and the tokenizer beside the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rationem.errors import ConfigError, ModelError
from rationem.sampling.demonstrations import solved
from rationem.tasks import from_description
from rationem.tasks.protocol import Task
from rationem.types import Example, Prompt, Splits

if TYPE_CHECKING:
    from rationem.engines.chat import Chat

#: The approximate number of prompts that are compared to find the common words of the chat template and the task.
_TRIED = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """The prompts of one example.

    Args:
        forward: the bare text of the forward prompt.
        hint: the text of the rationalize prompt after it; empty if the task of the run cannot be restored.
        seen: the forward and the hinted prompt as fed, if they differ from the bare text between the words of the chat
            template because the tokenizer cannot reproduce that text exactly.
    """

    forward: str
    hint: str
    seen: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Wording:
    """The wording of a run's prompts.

    Args:
        task: None if the manifest's task cannot be fully restored, such as one written by hand.
        chat: the tokenizer as a conversation; None if the run directory has none.
        around: the text of the chat template before and after a prompt; None without a tokenizer.
        common: the common beginning and end of most forward prompts: shown once on the page.
        solved: the solved examples at the beginning of the control's prompts; empty without that control.
    """

    task: Task | None
    chat: Chat | None
    around: tuple[str, str] | None
    common: tuple[str, str]
    solved: str

    def short(self, forward: str) -> str | tuple[str]:
        """Return the text between the common beginning and end of a forward prompt, in a tuple; otherwise the
        prompt.
        """
        before, behind = self.common
        if len(forward) < len(before) + len(behind) or not (forward.startswith(before) and forward.endswith(behind)):
            return forward
        return (forward[len(before) : len(forward) - len(behind)],)

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


def wording(directory: Path, manifest: Mapping[str, Any], sets: Splits) -> Wording:
    """Return the wording of the prompts of the run in a directory.

    Args:
        sets: the examples of the run; the control shows training examples before test items.
    """
    try:
        task = from_description(manifest["task"])
    except ConfigError:
        return Wording(None, None, None, ("", ""), "")
    config = manifest["config"]
    count, asked = config.get("shots") or 0, (*sets.test, *sets.train)
    before = ""
    for x in sets.test[:1] if count else ():
        question = task.prompt(x.fields)
        shown = solved(sets, count, config.get("seed") or 0, task).before(question, x, task, lambda _: True)
        before = shown.whole.removesuffix(question.text)
    chat = _chat(directory)
    tried = [task.prompt(x.fields) for x in asked[:: max(1, len(asked) // _TRIED)]]
    return Wording(task, chat, _around(chat, tried) if chat else None, _common([one.text for one in tried]), before)


def _chat(directory: Path) -> Chat | None:
    """Return the conversation format of the run's weights; None without weights that have a tokenizer."""
    places = [directory / "model", *sorted(directory.glob("checkpoints/iteration-*[0-9]"), reverse=True)]
    for place in places:
        if (place / "tokenizer_config.json").is_file():
            from rationem.engines import models

            try:
                return models.chat(str(place), str(place))
            except ModelError:
                return None
    return None


def _around(chat: Chat, prompts: Sequence[Prompt]) -> tuple[str, str]:
    """Return the text fed before and after a prompt; nothing if the tokenizer cannot reproduce any prompt exactly."""
    for prompt in prompts:
        before, found, behind = chat.decode(chat.encode(prompt)).partition(prompt.text)
        if found:
            return before, behind
    return "", ""


def _common(texts: Sequence[str]) -> tuple[str, str]:
    """Return the common beginning and end of all texts, which never overlap in the shortest.

    >>> _common(["Rate: a. Levels", "Rate: bb. Levels"]), _common([]), _common(["aa", "aaa"])
    (('Rate: ', '. Levels'), ('', ''), ('aa', ''))
    """
    if not texts:
        return "", ""
    before = _beginning(texts)
    return before, _beginning([text[len(before) :][::-1] for text in texts])[::-1]


def _beginning(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    return first[: next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]
