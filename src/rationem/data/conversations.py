"""A list of chat messages -> paragraphs, the same for every kind of file: with parts, tool calls and their results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from rationem.data.nested import structure

#: Roles of messages with the keys "from" and "value", and their usual names.
_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "ai": "assistant"}

#: The keys of messages; an object with any other, such as a score, is no message.
_KEYS = {
    *("role", "content", "from", "value", "name", "tool_calls", "tool_call_id", "function_call", "id", "type", "index"),
    *("refusal", "audio", "timestamp", "created_at", "model", "metadata", "recipient", "end_turn", "reasoning_content"),
}


def conversation(value: object) -> str | None:
    r"""Return chat messages as text, one paragraph each; None for any other cell.

    A message has "role" and "content" (a text, parts, or null beside tool calls), or "from" and "value". A list of
    them may also be written as JSON in a text. Only roles, contents and calls are shown.

    >>> conversation([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}])
    'User: Hi\n\nAssistant: Hello.'
    >>> call = {"function": {"name": "add", "arguments": '{"a": 1}'}}
    >>> conversation([{"role": "assistant", "content": None, "tool_calls": [call]}])
    'Assistant: [calls add({"a": 1})]'
    """
    messages = structure(value) if isinstance(value, str) and value.lstrip()[:1] in ("[", "{") else value
    if isinstance(messages, Mapping) and not isinstance(value, Mapping):
        return None  # one object in a text stays as it was written
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes) or not messages:
        return None
    told = [_told(message) for message in messages]
    known = [(role, text) for role, text in filter(None, told)]
    if len(known) < len(told) or not any(text.strip() for _, text in known):
        return None
    return "\n\n".join(f"{role[:1].upper()}{role[1:]}: {text}" for role, text in known)


def _told(message: object) -> tuple[str, str] | None:
    """Return the role and the text of a message; None if it is none."""
    if not isinstance(message, Mapping) or not message.keys() <= _KEYS:
        return None
    role, content = message.get("role", message.get("from")), message.get("content", message.get("value"))
    calls = message.get("tool_calls") or ([{"function": call}] if (call := message.get("function_call")) else [])
    if not isinstance(role, str) or not role.strip() or not ({"content", "value"} & message.keys() or calls):
        return None
    parts = [content] if isinstance(content, str) else list(_parts(content))
    if any(part is None for part in parts) or not isinstance(calls, Sequence):
        return None
    shown = [str(part) for part in parts] + [_call(call) for call in calls]
    return _ROLES.get(role, role), "\n".join(shown)


def _parts(content: object) -> Iterator[str | None]:
    """Yield the texts of a message's parts; None for what is no part."""
    for part in content if isinstance(content, list) else [] if content is None else [content]:
        if isinstance(part, str):
            yield part
        elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
            yield str(part["text"])
        elif isinstance(part, Mapping) and isinstance(part.get("type"), str):
            yield f"[{part['type']}]"
        else:
            yield None


def _call(call: object) -> str:
    function = call.get("function", call) if isinstance(call, Mapping) else {}
    name, arguments = (
        (function.get("name"), function.get("arguments", "")) if isinstance(function, Mapping) else ("", "")
    )
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return f"[calls {name}({text})]"
