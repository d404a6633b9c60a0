r"""Enumerates all rationales of a small model with probable prefixes, and accounts for the remaining probability.

    expand a prefix w_1..w_t while  pi(w_1..w_t | prompt) > threshold;  a leaf is a prefix that ends with the first
    verdict marker;  sum over leaves of pi + unexplored + unscored = 1

All prefixes of one depth are read together. All prefixes of a prompt share the prompt's keys and values, which are
stored once; only the prefix's own keys and values are stored, and reordered, per prefix. This needs a custom attention
function, which the model uses during enumeration::

    softmax([q K_prompt, q K_prefix]) [V_prompt; V_prefix]

The levels are scored in the same search: after a leaf every level's tokens, end of turn included, are prefixes that are
expanded only by their own next token.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import torch
from transformers import AttentionInterface, DynamicCache

from rationem.engines.chat import Chat
from rationem.engines.completion import CompletionReader
from rationem.engines.forward import Forward, positions
from rationem.engines.layout_choice import agreed_way
from rationem.engines.layouts import PADDED
from rationem.engines.models import LoadedModel
from rationem.engines.stops import pad_id
from rationem.errors import ModelError
from rationem.metrics.evidence.exact import Enumeration, Leaf
from rationem.tasks.parse import find_verdict, marker_pattern
from rationem.types import Prompt

_ATTENTION = "rationem_shared_prompt"
#: Prompts read together; each keeps its keys and values until its last prefix is finished.
_PROMPTS = 64
#: A decoder's replacement for part of a character; the marker's last character may be part of one.
_FRAGMENT = "\ufffd"


def enumerate_rationales(
    loaded: LoadedModel,
    prompts: Sequence[Prompt],
    continuations: Sequence[str],
    *,
    marker: str,
    threshold: float,
    max_new_tokens: int,
    rows: int = 1024,
) -> list[Enumeration]:
    """Return the enumeration of the completions under every prompt, in order.

    Args:
        loaded: the model, sampled at temperature 1.
        prompts: the prompts.
        continuations: texts that may follow the marker, one per level.
        marker: the text that opens the verdict line.
        threshold: prefixes with at most this probability are not expanded. The work grows with 1 / threshold.
        max_new_tokens: the length limit of a rationale, marker included.
        rows: prefixes read together; bounds memory and changes results only by rounding.

    Raises:
        ValueError: a threshold outside [0, 1), or a length or rows below 1.
        ModelError: the model's attention cannot be replaced (not full attention by transformers' own interface).
    """
    if not 0 <= threshold < 1 or max_new_tokens < 1 or rows < 1:
        raise ValueError(
            f"Needed: 0 <= threshold < 1, max_new_tokens >= 1, rows >= 1; found {threshold}, {max_new_tokens}, {rows}."
        )
    search = _Search(loaded, continuations, marker, threshold, max_new_tokens, rows)
    with torch.inference_mode():
        groups = (prompts[start : start + _PROMPTS] for start in range(0, len(prompts), _PROMPTS))
        return [found for group in groups for found in search.group(group)]


@dataclass(slots=True)
class _Found:
    """The results for one prompt so far; leaves are added as soon as they are reached."""

    leaves: list[_Growing] = field(default_factory=list)
    unexplored: float = 0.0
    unscored: float = 0.0

    def done(self) -> Enumeration:
        leaves = tuple(Leaf(leaf.ids, leaf.text, leaf.log_prob, tuple(leaf.level_logps)) for leaf in self.leaves)
        return Enumeration(leaves, self.unexplored, self.unscored)


@dataclass(slots=True)
class _Growing:
    """A leaf whose levels are being scored: each level's tokens and its log-probability so far."""

    ids: tuple[int, ...]
    text: str
    log_prob: float
    tails: tuple[tuple[int, ...], ...]
    level_logps: list[float]


@dataclass(frozen=True, slots=True)
class _Row:
    """One prefix of a rationale, or after a leaf of one level's tokens (``level`` is None at the leaf itself)."""

    prompt: int
    ids: tuple[int, ...]
    log_prob: float
    leaf: _Growing | None = None
    level: int | None = None
    taken: int = 0


class _Child(NamedTuple):
    """A prefix of the next depth, its parent's index in a block, and its newest token."""

    row: _Row
    parent: int
    newest: int


@dataclass(slots=True)
class _Block:
    """Prefixes of one depth: their newest tokens, and the keys and values of their earlier tokens."""

    rows: list[_Row]
    newest: list[int]
    cache: Any
    depth: int


@dataclass(slots=True)
class _Prompts:
    """Keys and values of the prompts, per layer and prompt; ``runs`` maps rows to prompts."""

    lengths: list[int]
    layers: list[list[tuple[torch.Tensor, torch.Tensor]]]
    runs: list[tuple[int, int, int]] = field(default_factory=list)
    calls: int = 0


class _Search:
    """Expands blocks of prefixes, deepest first, so that only a few blocks per depth are in memory."""

    def __init__(
        self,
        loaded: LoadedModel,
        continuations: Sequence[str],
        marker: str,
        threshold: float,
        max_new_tokens: int,
        rows: int,
    ) -> None:
        self.model = loaded.model.eval()
        self._chat = Chat(loaded.tokenizer)
        self._stops = sorted(loaded.stop_ids | {self._chat.end_of_turn})
        self._pad = pad_id(loaded.tokenizer, self._chat.end_of_turn)
        self._reader = CompletionReader(self._chat, marker, loaded.stop_ids)
        self._continuations = tuple(continuations)
        if agreed_way(Forward(self.model, self._pad)).name != PADDED:
            raise ModelError(_not_replaceable(self.model, "some of its layers do not have full attention"))
        self._pattern = marker_pattern(marker)
        self._last = marker[-1].casefold()
        self._threshold = threshold
        self._max_new_tokens = max_new_tokens
        self._rows = rows
        self._may_close: dict[int, bool] = {}

    def group(self, prompts: Sequence[Prompt]) -> list[Enumeration]:
        """Enumerate a few prompts together."""
        encoded = [self._chat.encode(prompt) for prompt in prompts]
        shared = self._read(encoded)
        found = [_Found() for _ in prompts]
        children = [_Child(_Row(n, (), 0.0), n, ids[-1]) for n, ids in enumerate(encoded)]
        with _attention(self.model, _ATTENTION):
            waiting = self._blocks(children, None, 0)
            while waiting:
                block = waiting.pop()
                logits, cache = self._forward(block, shared)
                children = self._expanded(block, logits, found)
                children.sort(key=lambda child: child.parent)
                waiting.extend(self._blocks(children, cache, block.depth + 1))
        return [one.done() for one in found]

    def _read(self, encoded: Sequence[tuple[int, ...]]) -> _Prompts:
        """Read all tokens of every prompt except the last, which is the first token of a prefix."""
        width = max(len(ids) for ids in encoded) - 1
        pads = [width - len(ids) + 1 for ids in encoded]
        tokens = [[self._pad] * pad + list(ids[:-1]) for pad, ids in zip(pads, encoded, strict=True)]
        mask = torch.tensor([[0] * pad + [1] * (width - pad) for pad in pads], device=self.model.device)
        cache = DynamicCache()
        self.model(
            input_ids=torch.tensor(tokens, device=self.model.device),
            attention_mask=mask,
            position_ids=positions(mask),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        layers = [
            [(layer.keys[n, :, pad:], layer.values[n, :, pad:]) for n, pad in enumerate(pads)] for layer in cache.layers
        ]
        return _Prompts([width - pad for pad in pads], layers)

    def _blocks(self, children: list[_Child], cache: Any, depth: int) -> list[_Block]:
        """Return the children in blocks of at most ``rows``, each with the cache of its parents."""
        blocks = []
        for start in range(0, len(children), self._rows):
            part = children[start : start + self._rows]
            rows, parents, newest = (list(column) for column in zip(*part, strict=True))
            blocks.append(_Block(rows, newest, _selected(cache, parents), depth))
        return blocks

    def _forward(self, block: _Block, shared: _Prompts) -> tuple[torch.Tensor, Any]:
        """Read the newest tokens; return the logits minus their maximum, shape (rows, vocabulary), and the cache."""
        device = self.model.device
        shared.runs = _runs(block.rows)
        shared.calls = 0
        output = self.model(
            input_ids=torch.tensor(block.newest, device=device).unsqueeze(1),
            position_ids=torch.tensor([shared.lengths[row.prompt] for row in block.rows], device=device).unsqueeze(1)
            + block.depth,
            past_key_values=block.cache,
            use_cache=True,
            logits_to_keep=1,
            shared_prompts=shared,
        )
        if shared.calls != len(shared.layers):
            raise ModelError(_not_replaceable(self.model, "it does not use transformers' AttentionInterface"))
        logits = output.logits[:, -1].float()
        return logits - logits.amax(dim=1, keepdim=True), output.past_key_values

    def _expanded(self, block: _Block, logits: torch.Tensor, found: list[_Found]) -> list[_Child]:
        """Return the next prefixes; add the probability of all others to ``unexplored``.

        The largest logit is 0, so rounding is relative to each probability, not to the logits' size.
        """
        masses = logits.exp()
        total = masses.sum(dim=1)
        priors = torch.tensor([row.log_prob if row.leaf is None else -math.inf for row in block.rows]).double()
        least = self._threshold * total.cpu().double() / priors.exp()
        kept = masses > least.to(masses).unsqueeze(1)
        kept[:, self._stops] = False
        parents, tokens = kept.nonzero(as_tuple=True)
        log_total = total.log()
        steps = (logits[parents, tokens] - log_total[parents]).tolist()
        ended = masses[:, self._stops].sum(dim=1)
        masses[:, self._stops] = 0
        masses[parents, tokens] = 0
        shares = (torch.stack([ended, masses.sum(dim=1)]) / total).cpu().double() * priors.exp()
        for row, unscored, unexplored in zip(block.rows, *shares.tolist(), strict=True):
            found[row.prompt].unscored += unscored
            found[row.prompt].unexplored += unexplored
        children = self._scored(block, logits, log_total)
        for parent, token, step in zip(parents.tolist(), tokens.tolist(), steps, strict=True):
            row = block.rows[parent]
            children.extend(self._child(row, parent, token, step, found[row.prompt]))
        return children

    def _child(self, row: _Row, parent: int, token: int, step: float, found: _Found) -> list[_Child]:
        """Return the prefix with one more token, whether a leaf or not; empty if it is not expanded."""
        ids, log_prob = (*row.ids, token), row.log_prob + step
        if self._may_close_marker(token):
            text = self._chat.read(ids)
            line = find_verdict(self._pattern, text)
            if line is not None and line.marker_end < len(text):
                found.unexplored += math.exp(log_prob)
                return []
            if line is not None:
                tails = self._reader.tails(text, self._continuations)
                leaf = _Growing(ids, text, log_prob, tails, [0.0] * len(tails))
                found.leaves.append(leaf)
                return [_Child(_Row(row.prompt, ids, log_prob, leaf), parent, token)]
        if len(ids) == self._max_new_tokens:
            found.unscored += math.exp(log_prob)
            return []
        return [_Child(_Row(row.prompt, ids, log_prob), parent, token)]

    def _scored(self, block: _Block, logits: torch.Tensor, log_total: torch.Tensor) -> list[_Child]:
        """Add the log-probability of each level's next token to its leaf; return the prefixes with further tokens."""
        wanted = [
            (n, row, level, row.taken)
            for n, row in enumerate(block.rows)
            if row.leaf is not None
            for level in (range(len(row.leaf.tails)) if row.level is None else (row.level,))
        ]
        if not wanted:
            return []
        rows = torch.tensor([n for n, _, _, _ in wanted], device=logits.device)
        tokens = [row.leaf.tails[level][taken] for _, row, level, taken in wanted if row.leaf is not None]
        steps = (logits[rows, torch.tensor(tokens, device=logits.device)] - log_total[rows]).tolist()
        children = []
        for (n, row, level, taken), token, step in zip(wanted, tokens, steps, strict=True):
            assert row.leaf is not None
            row.leaf.level_logps[level] += step
            if taken + 1 < len(row.leaf.tails[level]):
                children.append(_Child(_Row(row.prompt, row.ids, row.log_prob, row.leaf, level, taken + 1), n, token))
        return children

    def _may_close_marker(self, token: int) -> bool:
        if token not in self._may_close:
            text = self._chat.decode((token,)).casefold()
            self._may_close[token] = self._last in text or _FRAGMENT in text
        return self._may_close[token]


def _runs(rows: Sequence[_Row]) -> list[tuple[int, int, int]]:
    """Return (prompt, first row, end row) of every prompt in a block; a prompt's rows are contiguous."""
    runs, start = [], 0
    for prompt, members in groupby(rows, key=lambda row: row.prompt):
        stop = start + sum(1 for _ in members)
        runs.append((prompt, start, stop))
        start = stop
    return runs


def _selected(cache: Any, rows: list[int]) -> Any:
    """Return a new cache of the given rows, possibly repeated."""
    chosen = DynamicCache() if cache is None else copy.copy(cache)
    chosen.layers = [copy.copy(layer) for layer in chosen.layers]
    if cache is not None:
        chosen.batch_select_indices(torch.tensor(rows, device=chosen.layers[0].keys.device))
    return chosen


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    shared_prompts: _Prompts | None = None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """Attend from one token per row to the keys of the row's prompt and of its own prefix.

    All prefixes of one depth are equally long, and the prompts are not padded, so no mask is needed.
    """
    unknown = [name for name in ("sliding_window", "softcap", "s_aux") if settings.get(name) is not None]
    if shared_prompts is None or attention_mask is not None or unknown:
        raise ModelError(_not_replaceable(module, f"its attention has {unknown or 'a mask or other arguments'}"))
    shared_prompts.calls += 1
    rows, heads, _, size = query.shape
    kinds = key.shape[1]
    share = heads // kinds
    query = (query * (size**-0.5 if scaling is None else scaling)).view(rows, kinds, share, size)
    own = query @ key.transpose(2, 3)
    attended = query.new_empty(rows, kinds, share, value.shape[3])
    for prompt, start, stop in shared_prompts.runs:
        keys, values = shared_prompts.layers[module.layer_idx][prompt]
        length = keys.shape[1]
        asked = query[start:stop].transpose(0, 1).reshape(kinds, -1, size)
        scores = (asked @ keys.transpose(1, 2)).view(kinds, stop - start, share, length).transpose(0, 1)
        weights = torch.cat([scores, own[start:stop]], dim=3).softmax(dim=3)
        own[start:stop] = weights[..., length:]
        given = weights[..., :length].transpose(0, 1).reshape(kinds, -1, length) @ values
        attended[start:stop] = given.view(kinds, stop - start, share, -1).transpose(0, 1)
    attended += own @ value
    return attended.view(rows, 1, heads, -1), None


AttentionInterface.register(_ATTENTION, _attend)


@contextmanager
def _attention(model: Any, name: str) -> Iterator[None]:
    """Replace a model's attention function within the context."""
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _not_replaceable(model: Any, reason: str) -> str:
    return (
        f"The rationales of {type(model).__name__} cannot be enumerated: {reason}. Enumeration shares each prompt's "
        "keys among its rationales, which needs full attention by transformers' interface (Llama, Qwen2, ...)."
    )
