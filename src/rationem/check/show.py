"""Prints a checkup in 80 columns of plain characters; control sequences in the data are escaped."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from rationem.check import criteria, opened
from rationem.check.checkup import Checkup
from rationem.check.command import COMMAND
from rationem.check.findings import Severity
from rationem.metrics import titles
from rationem.metrics.baselines import OF_CONSTANT
from rationem.report.plain import counted, plain, short

_WIDTH, _BAR, _REASONS, _LEVEL = 80, 24, 8, 30
#: A word of a command, with what is in quotation marks.
_WORD = re.compile(r"""(?:[^\s"']|"(?:\\.|[^"])*"|'[^']*')+""")
#: Characters of a message: it ends with what to do, so few are cut.
_LONGEST = 1000
_MARKS = {Severity.ERROR: "ERROR", Severity.WARNING: "warning", Severity.NOTE: "note"}
#: A cell that stands to the right: a number, a share, or nothing.
_NUMBER = re.compile(r"(-?\d[\d,.]*%?)?")
#: Name of a row of the baselines -> its key.
_LIKELIHOODS = {"log-lik.": "marginal_log_likelihood", "log-lik., pooled": "marginal_log_likelihood_pooled"}
_KNOWN_BY = {
    "given": "given",
    "rubric": "from the rubric",
    "preset": "from the preset",
    "world": "of the embedded world",
    "suggested": "SUGGESTED from the values; none was given",
}


def show(checkup: Checkup, file: TextIO | None = None) -> None:
    """Print a checkup, section by section, then the findings and the verdict.

    Args:
        checkup: the result of a check.
        file: the destination; standard output by default.
    """
    width = max(min(shutil.get_terminal_size((_WIDTH, 24)).columns, _WIDTH), 40)
    for title, lines in sections(checkup.as_dict()):
        print(f"\n{title}", file=file)
        for line in lines:
            for part in (_continued if line.startswith(COMMAND) else _wrapped)(line, width - 2):
                print(f"  {part}", file=file)
    print("", *_wrapped(verdict(checkup), width), sep="\n", file=file)


def verdict(checkup: Checkup) -> str:
    """Return the last line: the overall verdict."""
    counts = {severity: sum(f.severity is severity for f in checkup.findings) for severity in Severity}
    if counts[Severity.ERROR]:
        said = "A fit would reject this data, or its result would be worthless. Correct the errors first."
    elif counts[Severity.WARNING]:
        said = "A fit would run. Read the warnings before you rely on its numbers."
    else:
        said = "No problem was found."
    told = ", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts.items())
    return f"{said} ({told})"


def sections(found: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield the title and the lines of each section, from a checkup as JSON."""
    if found["data"] is not None:
        yield from _numbers(found)
    if found["findings"]:
        yield "Findings", [line for finding in found["findings"] for line in _finding(finding)]
    if found["command"] is not None:
        yield "Next", list(_next(found["command"]))


def _continued(command: str, width: int) -> list[str]:
    """Break a long command between its words, so that a shell reads the lines as one."""
    lines = [""]
    for word in _WORD.findall(command):
        if lines[-1] and len(lines[-1]) + len(word) + 3 > width:
            lines[-1] += " \\"
            lines.append("    " + word)
        else:
            lines[-1] += f" {word}" if lines[-1] else word
    return lines


def _next(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the command, the reasons for its flags, and the open question."""
    if found["text"] is not None:
        yield found["text"]
        yield from (f"  {flag}: {plain(why)}" for flag, why in found["because"].items())
    if found["question"] is not None:
        yield f"{'Question' if found['text'] is not None else 'First'}: {found['question']}"


def _numbers(found: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    yield "Data", _data(found)
    if found["answers"] is not None:
        yield "Answers", opened.shown(found["answers"])
    else:
        if "parts" not in found["scale"]:
            yield "Labels (pooled, then single ratings)", _histograms(found)
        if found["criteria"] is not None:
            yield "Each criterion (its labels below it)", criteria.shown(found["criteria"])
        yield "Baselines without the inputs", _baselines(found["baselines"])
        yield "Raters", [line for name, part in found["raters"].items() for line in _raters(name, part)]
    yield "Sets, as a fit makes them", _sets(found["sets"], found["data"]["train_rows_by"])
    yield "Prompts", _prompts(found["prompts"])
    if found["answers"] is not None:
        yield "The prompts of the first item", opened.prompts(found["answers"])
    yield "A fit, at most", _cost(found["cost"])
    if found["drafts"] is not None:
        yield "Drafts of the base model", _drafts(found["drafts"])


def _data(found: Mapping[str, Any]) -> list[str]:
    data, scale, told = found["data"], found["scale"], found["rows"]
    rows = counted(data["rows"], "row", "rows")
    lines = [f"{counted(data['items'], 'item', 'items')} from {rows} of {_names(data['sources'])}"]
    if data["test_sources"]:
        lines.append(f"test set: {counted(data['test_items'], 'item', 'items')} of {_names(data['test_sources'])}")
    lines.append(f"columns: {data['columns_by']}")
    lines += _table([(f"  {role}", plain(name)) for role, name in data["columns"].items()])
    if data["unused_columns"]:
        lines.append(f"not read: {', '.join(map(short, data['unused_columns']))}")
    if scale is None:
        return [*lines, f"task {plain(data['task'])}: open answers", *_unusable(told)]
    named = [name for name in data["criteria"] if name]
    lines.append(f"{data['asks']}{', for ' + ', '.join(map(short, named)) if named else ''}")
    lines.append(f"scale: {plain(scale['text'])} ({_KNOWN_BY[scale['from']]})")
    if data["candidates"] == 2 and scale["ordered"]:
        first, second = (plain(name.strip()) for name in data["columns"]["response"].split(","))
        low, high = plain(scale["levels"][0]), plain(scale["levels"][-1])
        lines.append(f"  so {low} means that {first} is better, {high} that {second} is")
    return [*lines, *_unusable(told)]


def _unusable(told: Mapping[str, Any]) -> list[str]:
    if not told["unusable"]:
        return []
    first = list(told["reasons"].items())[:_REASONS]
    reasons = [f"  {count} x {plain(reason)}" for reason, count in first]
    return [f"{counted(told['unusable'], 'row', 'rows')} cannot be used:", *reasons]


def _names(sources: Sequence[str]) -> str:
    """Return the names of the sources, a file or folder by the end of its path."""
    ends = [short(Path(source).name if Path(source).exists() else source) for source in sources]
    return ", ".join(ends) if len(ends) < 12 else f"{ends[0]} and {len(ends) - 1} more"


def _histograms(found: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for name, counts in found["labels"].items():
        lines += [f"{name}:"] if len(found["labels"]) > 1 else []
        pooled, single = counts["pooled"], counts["ratings"]
        rows = [
            (short(level, _LEVEL), _bar(pooled, level), str(pooled[level]), _share(pooled, level))
            + ((str(single[level]), _share(single, level)) if single != pooled else ())
            for level in pooled
        ]
        lines += _table(rows)
        if missing := found["data"]["without_label"][name]:
            lines.append(f"{counted(missing, 'item has', 'items have')} no label because their raters are tied")
    return lines


def _baselines(found: Mapping[str, Any]) -> list[str]:
    called = titles("people")
    sets = {name: one for name, one in found.items() if isinstance(one, Mapping)}
    constants = [one["constant"] for one in sets.values()]
    rows: list[tuple[str, ...]] = [("", *sets)]
    rows += [
        (called[key], *(_told(constant[key], constant["levels"].get(key)) for constant in constants))
        for key in OF_CONSTANT
        if any(constant[key] is not None for constant in constants)
    ]
    for name, key in _LIKELIHOODS.items():
        rows.append((name, *(_number(one[key]) for one in sets.values())))
    rows.append(("log-lik., uniform", *[_number(found["uniform_log_likelihood"])] * len(sets)))
    return [
        *_table(rows),
        "the best single level, in brackets, for every item, chosen on these same labels (one per criterion)",
        "log-lik.: nats per single rating, with the marginal of DATA's ratings; pooled: the same of labels",
    ]


def _told(value: float | None, level: str | None) -> str:
    """Return a constant's number with its level; without the level if each criterion has its own."""
    return _number(value) if value is None or level is None else f"{_number(value)} ({short(level, 18)})"


def _raters(name: str, found: Mapping[str, Any]) -> list[str]:
    per_item = ", ".join(f"{counted(n, 'item', 'items')} with {number}" for number, n in found["per_item"].items())
    lines = [f"{name}: {counted(found['ratings'], 'rating', 'ratings')}; {per_item}"]
    one = found["ceiling"]
    if one is not None:
        told = ", ".join(f"{name} {one[key]:.3f}" for key, name in titles("people").items() if one[key] is not None)
        lines.append(f"  one person against the others ({counted(one['count'], 'time', 'times')}): {told}")
    if found["alpha"] is not None:
        lines.append(f"  Krippendorff's alpha {found['alpha']:.3f} (1 is agreement, 0 is chance)")
    return lines


def _sets(found: Mapping[str, Any], by: str) -> list[str]:
    levels = next((list(part["labels"]) for part in found.values() if part["labels"]), [])
    pairs = any(part["pairs"] is not None for part in found.values())
    rows: list[tuple[str, ...]] = [
        ("", "pairs" if pairs else "rows", "groups", *(short(level, 10) for level in levels[:6]))
    ]
    for name, part in found.items():
        shares = [f"{share:.0%}" for share in list((part["labels"] or {}).values())[:6]]
        rows.append((name, str(part["pairs" if pairs else "rows"]), str(part["groups"]), *shares))
    width = max(map(len, rows))
    more = ["(the first six levels)"] if len(levels) > 6 else []
    orders = found["train"]["rows"] // (found["train"]["pairs"] or 1)
    each = "in both orders: a row for either" if orders == 2 else f"in {orders} orders: a row for each"
    more += [f"pairs, each {each}" if orders == 2 else f"comparisons, each {each}"] if pairs else []
    more += [f"train: {'pairs' if pairs else 'rows'} (one per rating); else one per item"] if by == "rating" else []
    if left := found["validation"]["not_measured"]:
        more.append(f"validation: {left} more rows are not measured (--measure full measures all)")
    if left := found["test"]["not_measured"]:
        more.append(f"test: {left} more rows are not measured (--test-items)")
    return _table([row + ("",) * (width - len(row)) for row in rows]) + more


def _prompts(found: Mapping[str, Any]) -> list[str]:
    about = (
        "tokens, counted" if found["exact"] else "tokens, estimated as characters / 4 (name a --model to count them)"
    )
    rows: list[tuple[str, ...]] = [("", "mean", "median", "95 %", "longest", f"over {found['limit']}")]
    for name, part in found["sets"].items():
        numbers = [part[key] for key in ("mean", "median", "p95", "max", "too_long")]
        rows.append((name, *("" if number is None else f"{number:.0f}" for number in numbers)))
    lines = [about, *_table(rows)]
    if (shots := found["shots"]) is not None and shots["max"] is not None:
        lines.append(
            f"test with {shots['shown']} solved examples: mean {shots['mean']:.0f}, longest {shots['max']}; "
            f"{shots['too_long']} over {shots['limit']}"
        )
    return lines


def _cost(found: Mapping[str, Any]) -> list[str]:
    rows: list[tuple[str, ...]] = [("tokens", "read", "generated", "trained on")]
    parts = {"per_iteration": found["per_iteration"], **found["by_purpose"], "total": found["total"]}
    for name, tokens in parts.items():
        rows.append((name.replace("_", " "), *(f"{tokens[key]:,}" for key in ("read", "generated", "trained"))))
    lines = [
        f"scheme {plain(found['scheme'])}, {counted(found['iterations'], 'iteration', 'iterations')}",
        *_table(rows),
    ]
    if found["hours"] is None:
        return [*lines, "Name a --model for hours and memory on this machine."]
    by_purpose = ", ".join(f"{name} {_time(one)}" for name, one in found["hours_by_purpose"].items())
    gigabytes = {name: value / 2**30 for name, value in found["memory_bytes"].items()}
    return [
        *lines,
        f"{found['parameters']:,} parameters; {found['trained_parameters']:,} are trained",
        f"about {_time(found['hours'])} on this {found['device']} ({by_purpose}), an order of magnitude "
        f"({found['matrix_product_flops'] / 1e9:,.0f} GFLOP/s of matrix products)",
        f"about {gigabytes['peak']:.1f} GB of {found['machine_memory_bytes'] / 2**30:.0f} GB (training "
        f"{gigabytes['training']:.1f}, sampling {gigabytes['sampling']:.1f})",
    ]


def _drafts(found: Mapping[str, Any]) -> list[str]:
    names = {"readable": "readable", "cut": "cut off", "right": "right"}
    counts = [(name, *(str(one[key]) for key in ("drafts", *names))) for name, one in found.items()]
    return _table([("prompt", "drafts", *names.values()), *counts])


def _finding(found: Mapping[str, Any]) -> list[str]:
    mark = _MARKS[Severity(found["severity"])]
    lines = [f"{mark}: {found['message']} [{found['code']}]"]
    lines += [f"  {short(place, _LONGEST)}" for place in found["places"]]
    more = (found["count"] or 0) - len(found["places"])
    return [*lines, f"  and {more} more"] if found["places"] and more > 0 else lines


def _bar(counts: Mapping[str, int], level: str) -> str:
    return "#" * round(_BAR * counts[level] / max(*counts.values(), 1))


def _share(counts: Mapping[str, int], level: str) -> str:
    return f"{counts[level] / max(sum(counts.values()), 1):.0%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _time(hours: float) -> str:
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} seconds"
    return (
        f"{hours * 60:.0f} minutes" if hours < 2 else f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned lines: the first column and bars to the left, numbers to the right.

    Columns that do not fit follow below, beside the first column again.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    parts: list[list[int]] = [[]]
    for at, width in enumerate(widths[1:], 1):
        beside = sum(widths[one] + 2 for one in (0, *parts[-1]))
        if parts[-1] and beside + width > _WIDTH - 2:
            parts.append([])
        parts[-1].append(at)
    return [line for part in parts for line in _aligned([[row[at] for at in (0, *part)] for row in rows])]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numeric = [all(_NUMBER.fullmatch(cell) for cell in column[1:]) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if right and at else cell.ljust(width)
            for at, (cell, width, right) in enumerate(zip(row, widths, numeric, strict=True))
        ).rstrip()
        for row in rows
    ]


def _wrapped(line: str, width: int) -> list[str]:
    """Break a long line at spaces and indent its continuation; a table's rows are short enough."""
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]
