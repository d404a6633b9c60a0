"""The one command that a check proposes: the user's flags and the suggested ones, why, and at most one question."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rationem.check.findings import Finding, Severity
from rationem.check.reading import Material
from rationem.config import FitConfig, flag_of, reason_for
from rationem.data.cells import UnknownRating
from rationem.data.suggest import typed as in_quotes
from rationem.data.unusable import rated
from rationem.engines.installed import SMOLLM2
from rationem.report.plain import plain
from rationem.run.prepare import embedded

#: Findings that ask something, the most important first.
_ASKS = ("unread_criterion", "unread_rater", "rare_zero", "contradictions", "one_side", "no_instruction")
COMMAND, _RUN = "rationem fit ", "--output run"
#: Why a scale without an order is proposed.
_UNORDERED = "the values found, without an order"
#: The findings that a proposed flag settles: a check with that flag no longer has them.
_SETTLED = "unusable_rows"


def command(config: FitConfig, material: Material, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the command, why it has which flags, and the question that is still open.

    Args:
        config: the settings as the user gave them.
        material: the data, read with the suggested settings.
        findings: all findings; an error that no flag settles leaves no command.

    Returns:
        ``text`` (None if no flag makes the data fit), ``because`` (flag -> reason) and ``question`` (None if nothing is
        open).
    """
    added = dict(_added(config, material))
    errors = [one for one in findings if one.severity is Severity.ERROR]
    unknown = {one.value for one in material.skipped if isinstance(one, UnknownRating)}
    settled = (
        len(unknown) > 0
        and not any(rated(one, unknown) for one in unknown)
        and len(material.skipped) == _count(material)
    )
    open_errors = [one for one in errors if not (one.code == _SETTLED and settled)]
    question = open_errors[0].message if open_errors else _question(findings)
    because = {f"{flag_of(name)}": why for name, (_, why) in added.items()}
    final = config.replace(**{name: value for name, (value, _) in added.items()})
    return {"text": None if open_errors else typed(final), "because": because, "question": question}


def typed(config: FitConfig) -> str:
    """Return the command line of a fit with these settings.

    >>> print(typed(FitConfig(data=("my ratings.csv",), scale="Bad < Good", missing="-1")))
    rationem fit "my ratings.csv" --scale "Bad < Good" --missing=-1 --output run
    """
    usual = FitConfig()
    parts = [COMMAND.strip(), *map(_quoted, config.data)]
    for name, value in config:
        if name != "data" and value != getattr(usual, name):
            parts.append(_flag(flag_of(name), value))
    return plain(" ".join([*parts, _RUN]))


def _flag(flag: str, value: object) -> str:
    if isinstance(value, bool):
        return flag if value else f"--no-{flag.removeprefix('--')}"
    if isinstance(value, tuple):
        return " ".join([flag, *map(_quoted, map(str, value))])
    text = _quoted(str(value))
    return f"{flag}={text}" if text.startswith("-") else f"{flag} {text}"


def _quoted(text: str) -> str:
    """Return a word as typed: bare if it can be, else in double quotes, which every shell knows, if it can be."""
    return text if shlex.quote(text) == text else in_quotes(text)


def _added(config: FitConfig, material: Material) -> Iterator[tuple[str, tuple[object, str]]]:
    """Yield (setting, (value, why)) of the settings that the command adds."""
    loaded = material.loaded
    guessed: Mapping[str, str] = loaded.notes.get("guessed", {}) if loaded is not None else {}
    for role, column in guessed.items():
        if f"{role}_col" in FitConfig.model_fields:
            yield f"{role}_col", (column, f"the only column that can be the {role}")
    if loaded is not None and loaded.preset is None and not loaded.columns.prompt and config.prompt_col is None:
        yield "prompt_col", ("none", "no column can be the prompt")
    for name, value in material.suggested.items():
        unordered = name == "scale" and not material.task.scale.ordered and not material.task.scale.parts
        yield name, (value, _UNORDERED if unordered else reason_for(name))
    codes = _codes(material)
    if codes and "missing" not in material.suggested:
        yield "missing", (",".join(filter(None, (config.missing, *codes))), reason_for("missing"))
    if config.model is None and embedded(config) is None:
        yield "model", (SMOLLM2, "a small one to begin with (once: rationem model install smollm2); or name yours")


def _codes(material: Material) -> list[str]:
    """Return the cells that are no level and say that there is no rating, the most frequent first."""
    values = Counter(one.value for one in material.skipped if isinstance(one, UnknownRating))
    return [value for value, _ in values.most_common() if not rated(value, values)]


def _count(material: Material) -> int:
    return sum(isinstance(one, UnknownRating) for one in material.skipped)


def _question(findings: Sequence[Finding]) -> str | None:
    asked = {one.code: one.message for one in reversed(findings)}
    return next((asked[code] for code in _ASKS if code in asked), None)
