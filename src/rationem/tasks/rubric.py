"""What to rate and what the levels mean: criteria from a TOML or Markdown file.

TOML::

    scale = "1-5"                                   # optional
    [criteria.helpfulness]
    instruction = "Does the response solve the person's problem?"
    column = "help"                                 # the column of its ratings, if not its name
    levels = {1 = "useless", 5 = "solves it"}
    scale = "1-5"                                   # its own, if the criteria have different ones

With one criterion, ``instruction`` and ``[levels]`` may be at the top level. Markdown: a heading names a criterion, the
text below it is the instruction, and list items ``- 1: useless`` describe levels. Text below a title that has deeper
headings under it belongs to every criterion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rationem.errors import ConfigError, closest
from rationem.tasks.scale import Scale
from rationem.tasks.template import read_toml

_KEYS = ("instruction", "column", "levels")
_TOP = (*_KEYS, "scale", "criteria")
_ITEM = re.compile(r"[-*+]\s+(?P<level>\*\*[^*]+\*\*|`[^`]+`|[^:–—]+?)\s*(?::|\s[-–—])\s+(?P<meaning>.+)")
_HEADING = re.compile(r"(?P<depth>#+)\s+(?P<name>.+?)\s*#*\s*")


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing to rate.

    Args:
        name: shown in the prompt and in every table; "" where there is only one and it has no name.
        instruction: one or more sentences on what to look at.
        meanings: level -> what it means.
        column: the column of its ratings; "" means the column called ``name``.
    """

    name: str = ""
    instruction: str = ""
    meanings: Mapping[str, str] = field(default_factory=dict)
    column: str = ""

    def describe(self) -> dict[str, Any]:
        """Return everything that changes a prompt, as JSON."""
        return {"name": self.name, "instruction": self.instruction, "meanings": dict(self.meanings)}


@dataclass(frozen=True, slots=True)
class Rubric:
    """The criteria of a file, in its order, and the scale if the file names one."""

    criteria: tuple[Criterion, ...]
    scale: Scale | None = None
    source: str = ""

    def chosen(self, names: tuple[str, ...]) -> Rubric:
        """Return the rubric with the named criteria only, in the order of the names.

        Raises:
            ConfigError: one is not in the rubric.
        """
        by_name = {criterion.name: criterion for criterion in self.criteria}
        for name in names:
            if name not in by_name:
                known = [name for name in by_name if name]
                raise ConfigError(f"{self.source} has no criterion {name!r}.{closest(name, known)} It has {known}.")
        return replace(self, criteria=tuple(by_name[name] for name in names))


def read_rubric(path: Path) -> Rubric:
    """Return the rubric of a ``.toml`` or ``.md`` file.

    Raises:
        ConfigError: the file cannot be read, holds an unknown key, or describes nothing.
    """
    if path.suffix.lower() not in (".toml", ".md", ".markdown"):
        raise ConfigError(f"{path}: a rubric is a .toml or .md file.")
    try:
        if path.suffix.lower() == ".toml":
            rubric = _toml(path, read_toml(path, "the rubric"))
        else:
            rubric = _markdown(path, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read the rubric {path}: {error}") from error
    if not any(criterion.instruction or criterion.meanings for criterion in rubric.criteria):
        raise ConfigError(f"{path}: the rubric is empty: it has neither an instruction nor the meaning of a level.")
    return rubric


def _toml(path: Path, content: Mapping[str, Any]) -> Rubric:
    _check_keys(path, "", content, _TOP)
    scale = _scale(path, content, "") if "scale" in content else None
    several = content.get("criteria")
    if several is None:
        return Rubric((_criterion(path, "", content),), scale, str(path))
    alone = [key for key in _KEYS if key in content]
    if alone or not isinstance(several, Mapping):
        found = f"{alone} beside [criteria]" if alone else f"criteria = {several!r}"
        raise ConfigError(f"{path}: {found}; write one table [criteria.NAME] for every criterion.")
    for name, criterion in several.items():
        _check_keys(path, f"criteria.{name}.", criterion, (*_KEYS, "scale"))
    criteria = tuple(_criterion(path, name, one) for name, one in several.items())
    return Rubric(criteria, _joint(path, several, scale), str(path))


def _joint(path: Path, several: Mapping[str, Mapping[str, Any]], shared: Scale | None) -> Scale | None:
    """Return the scale of all criteria: the shared one, if none has its own."""
    own = {name: _scale(path, one, f"criteria.{name}.") if "scale" in one else shared for name, one in several.items()}
    given = [(name, scale) for name, scale in own.items() if scale is not None]
    if len(given) not in (0, len(own)):
        open_ones = [name for name, scale in own.items() if scale is None]
        raise ConfigError(
            f"{path}: the criteria {open_ones} have no scale, but others do. Give each one, or one to all."
        )
    return Scale.joint(given) if given else None


def _scale(path: Path, content: Mapping[str, Any], where: str) -> Scale:
    return Scale.parse(_text(path, f"{where}scale", content["scale"]))


def _criterion(path: Path, name: str, content: Mapping[str, Any]) -> Criterion:
    levels = content.get("levels", {})
    if not isinstance(levels, Mapping):
        raise ConfigError(f'{path}: levels = {levels!r}; write a table such as {{1 = "useless", 5 = "complete"}}.')
    meanings = {str(level): _text(path, f"levels.{level}", meaning) for level, meaning in levels.items()}
    texts = {key: _text(path, key, content.get(key, "")) for key in ("instruction", "column")}
    return Criterion(name, texts["instruction"].strip(), meanings, texts["column"])


def _text(path: Path, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{path}: {key} = {value!r}; a text is expected.")
    return value


def _check_keys(path: Path, where: str, content: Any, known: tuple[str, ...]) -> None:
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: {where.rstrip('.')} = {content!r}; a table with {list(known)} is expected.")
    for key in content:
        if key not in known:
            raise ConfigError(f"{path}: unknown key {where + key!r}.{closest(key, known)} Known: {list(known)}.")


@dataclass(slots=True)
class _Part:
    """The text below one heading."""

    depth: int
    sentences: list[str] = field(default_factory=list)
    meanings: dict[str, str] = field(default_factory=dict)


def _markdown(path: Path, text: str) -> Rubric:
    parts = {"": _Part(0)}
    name = ""
    for number, line in enumerate(text.splitlines(), 1):
        if heading := _HEADING.fullmatch(line):
            name = heading["name"]
            if name in parts:
                raise ConfigError(f"{path}:{number}: the heading {name!r} occurs twice.")
            parts[name] = _Part(len(heading["depth"]))
        elif item := _ITEM.fullmatch(line.strip()):
            parts[name].meanings[item["level"].strip("`*_: ")] = item["meaning"].strip()
        elif line.lstrip().startswith("|"):
            raise ConfigError(f"{path}:{number}: tables are not supported. Describe levels as list items: - 1: useless")
        elif line.strip():
            parts[name].sentences.append(line.strip())
    return Rubric(_criteria(path, parts), None, str(path))


def _criteria(path: Path, parts: Mapping[str, _Part]) -> tuple[Criterion, ...]:
    """Return one criterion per heading with text below it; a title's text is added to every criterion."""
    headed = {name: part for name, part in parts.items() if name}
    first = next(iter(headed), "")
    titled = bool(first) and all(part.depth > headed[first].depth for name, part in headed.items() if name != first)
    title = first if titled and len(headed) > 1 and not headed[first].meanings else None
    said = headed[title].sentences if title is not None else []
    criteria = tuple(
        Criterion(name, " ".join([*said, *part.sentences]), part.meanings)
        for name, part in parts.items()
        if name != title and (part.sentences or part.meanings)
    )
    if len(criteria) > 1 and not criteria[0].name:
        raise ConfigError(f"{path}: there is text above the first heading; every criterion needs its own heading.")
    if not criteria and said:
        return (Criterion("", " ".join(said)),)
    return criteria
