"""What a model's tokenizer and chat template must keep to, tried before anything is drawn or trained.

A tokenizer that fails makes no error by itself: a model is asked without the beginning of its turn, or is scored on
tokens that it never drew, and every number is wrong. It takes milliseconds to see it, on the task's own verdict lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rationem.engines import models
from rationem.engines.chat import Chat
from rationem.engines.completion import CompletionReader
from rationem.errors import ModelError
from rationem.tasks.parse import THOUGHT
from rationem.tasks.protocol import Task
from rationem.types import Finish, LevelQuery, Prompt

#: A plain text, and one that is not: other scripts, a combining accent, blanks at line ends, what templates may escape.
_TEXTS = ("What is 3 + 4 ?", "naïve café\n\n  über — 東京 <b>&amp;</b> {x} 'q' \"q\" 👍🏽\t1,234.5")
#: What is scored where answers are open.
_ANSWER = "7"
#: Control strings that are tried as text, beside those that the template writes itself.
_TRIED = 24
#: Renderings compared: a template may choose at random.
_RENDERED = 8


def check_model(name: str, checkpoint: str, chat: Chat, task: Task) -> None:
    """Refuse a model whose tokenizer or chat template would be silently misread.

    Args:
        name: what the user calls the model.
        checkpoint: what ``models.resolve`` made of it.
        chat: its conversation format.
        task: whose verdict lines are tried.

    Raises:
        ModelError: says what is wrong.
    """
    scored = task.scored(_ANSWER)
    fault = next(faults(chat, task.marker, scored, embeddings=_embeddings(name, checkpoint)), None)
    if fault is not None:
        raise ModelError(f"The model {name!r} cannot be used as it is: {fault}")


def _embeddings(name: str, checkpoint: str) -> int | None:
    """Return how many tokens the model has an embedding of; None of an adapter, which may bring more of its own."""
    if models.weights_of(checkpoint) != checkpoint:
        return None
    found = getattr(models.settings(name, checkpoint).get_text_config(), "vocab_size", None)
    return None if found is None else int(found)


def faults(chat: Chat, marker: str, continuations: Sequence[str], *, embeddings: int | None = None) -> Iterator[str]:
    """Yield in sentences what a tokenizer and its chat template do not keep to.

    Args:
        chat: the model's conversation format.
        marker: the text that opens the verdict line.
        continuations: what may follow it: of a task with levels all, of open answers some.
        embeddings: how many tokens the model has an embedding of; None where that is not known.
    """
    if not chat.template.opens:
        yield (
            "its chat template has no generation prompt: asked for one, it does not begin the assistant's turn, so the "
            "model would go on with the user's. Add {% if add_generation_prompt %} ... {% endif %} to the template."
        )
    yield from _embedded(chat, embeddings)
    yield from _prompts(chat)
    yield from _hostile(chat)
    yield from _verdicts(chat, marker, continuations)


def _embedded(chat: Chat, embeddings: int | None) -> Iterator[str]:
    """Every token that a text or the template can have must have an embedding."""
    if embeddings is None or len(chat.tokenizer) <= embeddings > max(chat.tokens.control_ids, default=0):
        return
    used = {*chat.encode(Prompt("x")), chat.end_of_turn}
    beyond = {
        token: i
        for token, i in chat.tokenizer.get_vocab().items()
        if i >= embeddings and (i in used or i not in chat.tokens.control_ids)
    }
    if beyond:
        first = min(beyond, key=lambda token: beyond[token])
        yield (
            f"its tokenizer is larger than its embedding: {len(beyond)} tokens, from {first!r} = {beyond[first]}, have "
            f"none of the {embeddings} rows. Take the tokenizer that belongs to the weights, or resize the embedding "
            "(resize_token_embeddings)."
        )


def _prompts(chat: Chat) -> Iterator[str]:
    """A prompt is what transformers makes of it, the same each time, and begins once."""
    for text in _TEXTS:
        ids = chat.encode(Prompt(text))
        if ids != reference(chat, text):
            yield f"the prompt {text!r} has other tokens than transformers makes of it; this is a fault of rationem."
        if chat.template.text and chat.render(chat.turns(text), answered=False).count(text) != 1:
            yield f"its chat template changes, drops or doubles what a user writes: {text!r}."
        begin = chat.tokenizer.bos_token_id
        if begin in chat.tokens.begins and ids.count(begin) > 1:
            yield f"its prompts begin with {chat.tokenizer.bos_token!r} more than once: its chat template writes it so."
    if chat.template.text:
        turns = chat.turns("x")
        if len({chat.render(turns, answered=False) for _ in range(_RENDERED)}) > 1:
            yield "its chat template makes another prompt each time: it draws at random."


def reference(chat: Chat, text: str) -> tuple[int, ...]:
    """Return what transformers makes of a text: by the chat template, or, without one, by the tokenizer itself."""
    if chat.template.text:
        rendered = chat.render(chat.turns(text), answered=False)
        return tuple(chat.tokenizer(rendered, add_special_tokens=False, verbose=False)["input_ids"])
    bare = f"{chat.folded(text)}\n"
    alone = chat.tokenizer(bare, add_special_tokens=False, verbose=False)["input_ids"]
    whole = chat.tokenizer(bare, verbose=False)["input_ids"]
    return tuple(whole[: len(chat.tokens.begins) + len(alone)])


def _hostile(chat: Chat) -> Iterator[str]:
    """Text stays text, whatever it holds."""
    plain = chat.encode(Prompt("x"))
    by_id = {i: token for token, i in chat.tokenizer.get_added_vocab().items() if i in chat.tokens.control_ids}
    tried = dict.fromkeys([*plain, chat.end_of_turn, *by_id])
    strings = [by_id[i] for i in tried if i in by_id][:_TRIED]
    text = " ".join(f"a{string}b {string}" for string in strings)
    ids = chat.encode(Prompt(text))
    if chat.tokens.controls(ids) != chat.tokens.controls(plain):
        yield f"control strings in a user's text become control tokens: {text[:80]!r}."
    if text not in chat.decode(ids):
        yield f"control strings in a user's text do not come back as text: {text[:80]!r}."


def _verdicts(chat: Chat, marker: str, continuations: Sequence[str]) -> Iterator[str]:
    """What is scored behind a rationale are the tokens that would be drawn and trained there."""
    reader, begin = CompletionReader(chat, marker), chat.opened and f"{chat.opened}hm{THOUGHT}\n\n"
    for rationale in ("kind\n", ""):
        yield from _lines(reader, f"{begin}{rationale}{marker}", tuple(continuations))


def _lines(reader: CompletionReader, before: str, continuations: tuple[str, ...]) -> Iterator[str]:
    """Try every level behind the beginning of a completion."""
    chat = reader.chat
    wholes = [chat.encode_completion(before + continuation) for continuation in continuations]
    shared = chat.tokens.controls(chat.encode_completion(before))
    for continuation, whole in zip(continuations, wholes, strict=True):
        draft = reader.draft(whole, Finish.STOP, 0, ())
        if draft.text != before + continuation:
            yield f"the completion {before + continuation!r} comes back from its tokens as {draft.text!r}."
            return
        if chat.end_of_turn in whole[:-1] or chat.tokens.controls(whole) != shared:
            yield f"the completion {before + continuation!r} holds a control token."
            return
        rationale, tails = reader.rationale_and_tails(LevelQuery(Prompt("x"), draft, len(before), continuations))
        if len(chat.read(rationale)) != len(before):
            yield (
                f"the tokenizer joins the end of {before.splitlines()[-1]!r} and the beginning of a level in one "
                "token, so that no level can be scored behind it. Let the levels begin with a blank."
            )
            return
        wrong = [pair for pair in zip(tails, wholes, strict=True) if rationale + pair[0] != pair[1]]
        if wrong:
            scored, drawn = (_shown(chat, ids) for ids in (wrong[0][0], wrong[0][1][len(rationale) :]))
            yield f"behind {before!r} a level would be scored as {scored}, and drawn and trained as {drawn}."
            return


def _shown(chat: Chat, ids: Sequence[int]) -> str:
    return " ".join(map(str, chat.tokenizer.convert_ids_to_tokens(list(ids))))
