"""Requirements on a model's tokenizer and chat template, checked before sampling and training.

A violation raises no error by itself: the prompt lacks the start of the model's turn, or the model is scored on tokens
that it never sampled, and every number is wrong. The check takes milliseconds, on the task's own verdict lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rationem.engines import models
from rationem.engines.chat import Chat
from rationem.engines.completion import CompletionReader
from rationem.errors import ModelError
from rationem.tasks.parse import THOUGHT
from rationem.tasks.protocol import Task
from rationem.types import Exchange, Finish, LevelQuery, Prompt

#: A plain text, and a difficult one: other scripts, a combining accent, spaces at line ends, escapable characters.
_TEXTS = ("What is 3 + 4 ?", "naïve café\n\n  über — 東京 <b>&amp;</b> {x} 'q' \"q\" 👍🏽\t1,234.5")
#: The answer that is scored for tasks with open answers.
_ANSWER = "7"
#: Number of control strings to try as text, beside those of the template itself.
_TRIED = 24
#: Renderings compared: a template may choose at random.
_RENDERED = 8


def check_model(name: str, checkpoint: str, chat: Chat, task: Task) -> None:
    """Reject a model whose tokenizer or chat template would silently be misread.

    Args:
        name: the model's name, as the user gave it.
        checkpoint: the result of ``models.resolve`` for that name.
        chat: its conversation format.
        task: the task, whose verdict lines are tried.

    Raises:
        ModelError: names the fault.
    """
    scored = task.scored(_ANSWER)
    fault = next(faults(chat, task.marker, scored, embeddings=_embeddings(name, checkpoint)), None)
    if fault is not None:
        raise ModelError(f"The model {name!r} cannot be used as it is: {fault}")


def _embeddings(name: str, checkpoint: str) -> int | None:
    """Return the number of rows of the model's embedding; None for an adapter, which may add rows."""
    if models.weights_of(checkpoint) != checkpoint:
        return None
    found = getattr(models.settings(name, checkpoint).get_text_config(), "vocab_size", None)
    return None if found is None else int(found)


def faults(chat: Chat, marker: str, continuations: Sequence[str], *, embeddings: int | None = None) -> Iterator[str]:
    """Yield a sentence for each requirement that a tokenizer and its chat template violate.

    Args:
        chat: the model's conversation format.
        marker: the text that opens the verdict line.
        continuations: texts that may follow it: all levels of a task, or some open answers.
        embeddings: rows of the model's embedding; None if unknown.
    """
    if not chat.template.opens:
        yield (
            "its chat template has no generation prompt: it does not begin the assistant's turn, so the model would "
            "continue the user's. Add {% if add_generation_prompt %} ... {% endif %} to the template."
        )
    yield from _embedded(chat, embeddings)
    yield from _prompts(chat)
    yield from _hostile(chat)
    yield from _verdicts(chat, marker, continuations)


def _embedded(chat: Chat, embeddings: int | None) -> Iterator[str]:
    """Check that every token of texts and of the template has an embedding."""
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
            f"its tokenizer is larger than its embedding: {len(beyond)} tokens, from {first!r} = {beyond[first]}, are "
            f"outside the {embeddings} rows. Use the tokenizer that belongs to the weights, or resize the embedding "
            "(resize_token_embeddings)."
        )


def _prompts(chat: Chat) -> Iterator[str]:
    """Check that a prompt equals transformers' own rendering, is deterministic, and has one begin token."""
    for text in _TEXTS:
        ids = chat.encode(Prompt(text))
        if ids != reference(chat, text):
            yield f"the prompt {text!r} has other tokens than transformers makes of it; this is a bug in rationem."
        if chat.template.text and chat.render(chat.turns(text), answered=False).count(text) != 1:
            yield f"its chat template changes, drops or doubles what a user writes: {text!r}."
        begin = chat.tokenizer.bos_token_id
        if begin in chat.tokens.begins and ids.count(begin) > 1:
            yield f"its prompts begin with {chat.tokenizer.bos_token!r} more than once: its chat template writes it so."
    if chat.template.text:
        turns = chat.turns("x")
        if len({chat.render(turns, answered=False) for _ in range(_RENDERED)}) > 1:
            yield "its chat template is random: it makes another prompt each time."


def reference(chat: Chat, text: str | Prompt) -> tuple[int, ...]:
    """Return transformers' own ids of a prompt: by the chat template, or by the tokenizer if there is none."""
    prompt = Prompt(text) if isinstance(text, str) else text
    if chat.template.text:
        rendered = chat.render(chat.messages(prompt), answered=False)
        return tuple(chat.tokenizer(rendered, add_special_tokens=False, verbose=False)["input_ids"])
    bare = chat.bare(prompt)
    alone = chat.tokenizer(bare, add_special_tokens=False, verbose=False)["input_ids"]
    whole = chat.tokenizer(bare, verbose=False)["input_ids"]
    return tuple(whole[: len(chat.tokens.begins) + len(alone)])


def check_turns(name: str, chat: Chat) -> None:
    """Reject a model whose chat template cannot show demonstrations as earlier turns.

    Raises:
        ModelError: names the fault.
    """
    if fault := turns_fault(chat):
        raise ModelError(
            f"The model {name!r} cannot be shown demonstrations: {fault} Leave --demos, --shots and ~demos out, or use "
            "another model."
        )


def turns_fault(chat: Chat) -> str | None:
    """Return a sentence that says why earlier turns cannot be shown; None if they can.

    Every text of the turns must be there once and in order, and the last turn must end as one without earlier ones.
    """
    texts = [f"{part} {n}." for n in (1, 2) for part in ("Question", "Answer")] + ["Question 3."]
    prompt = _with_turns(texts)
    try:
        rendered = chat.render(chat.messages(prompt), answered=False) if chat.template.text else chat.bare(prompt)
    except ModelError as error:
        return str(error)
    if [rendered.count(text) for text in texts] != [1] * len(texts):
        return "its chat template drops, changes or doubles earlier turns."
    places = [rendered.index(text) for text in texts]
    if places != sorted(places) or rendered.rpartition(texts[-1])[2] != chat.template.opening:
        return "its chat template shows earlier turns in another order, or opens the answer behind them differently."
    if chat.encode(prompt) != reference(chat, prompt):
        return "earlier turns have other tokens than transformers makes of them; this is a bug in rationem."
    hostile = _hostile_text(chat)
    ids, plain = chat.encode(_with_turns([hostile] * len(texts))), chat.encode(prompt)
    if chat.tokens.controls(ids) != chat.tokens.controls(plain):
        return "control strings in earlier turns become control tokens."
    return None


def _with_turns(texts: Sequence[str]) -> Prompt:
    first, second, third, fourth, last = texts
    return Prompt(last, earlier=(Exchange(first, second), Exchange(third, fourth)))


def _hostile_text(chat: Chat) -> str:
    """Return a text with the control strings of the template and of the tokenizer."""
    plain = chat.encode(Prompt("x"))
    by_id = {i: token for token, i in chat.tokenizer.get_added_vocab().items() if i in chat.tokens.control_ids}
    tried = dict.fromkeys([*plain, chat.end_of_turn, *by_id])
    strings = [by_id[i] for i in tried if i in by_id][:_TRIED]
    return " ".join(f"a{string}b {string}" for string in strings)


def _hostile(chat: Chat) -> Iterator[str]:
    """Check that control strings in a text stay text."""
    plain, text = chat.encode(Prompt("x")), _hostile_text(chat)
    ids = chat.encode(Prompt(text))
    if chat.tokens.controls(ids) != chat.tokens.controls(plain):
        yield f"control strings in a user's text become control tokens: {text[:80]!r}."
    if text not in chat.decode(ids):
        yield f"control strings in a user's text are not decoded to the same text: {text[:80]!r}."


def _verdicts(chat: Chat, marker: str, continuations: Sequence[str]) -> Iterator[str]:
    """Check that the tokens scored after a rationale are those that would be sampled and trained."""
    reader, begin = CompletionReader(chat, marker), chat.opened and f"{chat.opened}hm{THOUGHT}\n\n"
    for rationale in ("kind\n", ""):
        yield from _lines(reader, f"{begin}{rationale}{marker}", tuple(continuations))


def _lines(reader: CompletionReader, before: str, continuations: tuple[str, ...]) -> Iterator[str]:
    """Try every level after the start of a completion."""
    chat = reader.chat
    wholes = [chat.encode_completion(before + continuation) for continuation in continuations]
    shared = chat.tokens.controls(chat.encode_completion(before))
    for continuation, whole in zip(continuations, wholes, strict=True):
        draft = reader.draft(whole, Finish.STOP, 0, ())
        if draft.text != before + continuation:
            yield f"the completion {before + continuation!r} is decoded to another text: {draft.text!r}."
            return
        if chat.end_of_turn in whole[:-1] or chat.tokens.controls(whole) != shared:
            yield f"the completion {before + continuation!r} holds a control token."
            return
        rationale, tails = reader.rationale_and_tails(LevelQuery(Prompt("x"), draft, len(before), continuations))
        if len(chat.read(rationale)) != len(before):
            yield (
                f"the tokenizer joins the end of {before.splitlines()[-1]!r} and the start of a level in one "
                "token, so no level can be scored after it. Begin the levels with a space."
            )
            return
        wrong = [pair for pair in zip(tails, wholes, strict=True) if rationale + pair[0] != pair[1]]
        if wrong:
            scored, drawn = (_shown(chat, ids) for ids in (wrong[0][0], wrong[0][1][len(rationale) :]))
            yield f"after {before!r} a level would be scored as {scored}, but sampled and trained as {drawn}."
            return


def _shown(chat: Chat, ids: Sequence[int]) -> str:
    return " ".join(map(str, chat.tokenizer.convert_ids_to_tokens(list(ids))))
