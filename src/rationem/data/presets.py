"""Published sets that need no column names: a preset is named, or recognised by the keys of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rationem.data.published.choice import ARC, COMMONSENSEQA, LLM_ADAPTERS, MMLU, OPENBOOKQA
from rationem.data.published.feedbackqa import FEEDBACKQA
from rationem.data.published.gsm8k import GSM8K
from rationem.data.published.helpsteer2 import HELPSTEER2
from rationem.data.published.helpsteer3 import HELPSTEER3
from rationem.data.published.llmbar import LLMBAR
from rationem.data.published.mt_bench import MT_BENCH
from rationem.data.published.pandalm import PANDALM
from rationem.data.published.preferences import PREFERENCES
from rationem.data.published.preset import Preset
from rationem.data.published.saf import SAF, SAF_SCORE
from rationem.data.published.semeval2013 import SEMEVAL2013, SEMEVAL2013_TWO
from rationem.data.published.squality import SQUALITY
from rationem.data.published.summaries import SUMMARIZE_AXIS, SUMMARIZE_COMPARISONS, SUMMARIZE_WRITE
from rationem.data.records import Row
from rationem.data.texts import is_blank
from rationem.errors import ConfigError, DataError, closest

#: The presets by name.
PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        FEEDBACKQA,
        SAF,
        SAF_SCORE,
        SEMEVAL2013,
        SEMEVAL2013_TWO,
        SQUALITY,
        MT_BENCH,
        PANDALM,
        LLMBAR,
        HELPSTEER2,
        HELPSTEER3,
        SUMMARIZE_AXIS,
        SUMMARIZE_COMPARISONS,
        ARC,
        MMLU,
        OPENBOOKQA,
        COMMONSENSEQA,
        LLM_ADAPTERS,
        GSM8K,
        SUMMARIZE_WRITE,
        PREFERENCES,
    )
}


def named(name: str) -> Preset:
    """Return a preset by its name.

    Raises:
        ConfigError: there is no preset of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"There is no preset {name!r}.{closest(name, PRESETS)} Known: {list(PRESETS)}.")
    return PRESETS[name]


def recognised(rows: Sequence[Row]) -> Preset | None:
    """Return the first preset that fits one of the rows, or None."""
    matching = (
        p
        for p in PRESETS.values()
        if not p.named_only and any(p.matches(one.cells) for row in rows for one in p.apart(row)[:1])
    )
    return next(matching, None)


def flatten_row(row: Row, preset: str | Preset, *, rated: bool = False) -> Row:
    """Return a published row with one cell for every named column, and no others.

    Args:
        row: a row of the file.
        preset: the preset or its name.
        rated: whether the row must have ratings; if not, a missing one becomes None.

    Raises:
        DataError: it is not a row of this set.
        ConfigError: there is no such preset.
    """
    preset = named(preset) if isinstance(preset, str) else preset
    if not (preset.matches(row.cells) if rated else preset.can_be_judged(row.cells)):
        raise DataError(
            f"{row.source}: not a row of {preset.name}, which has {preset.schema}; found the keys "
            f"{list(row.cells)}. Name the columns instead, or read files of different kinds separately."
        )
    try:
        cells = preset.flatten(row.cells)
    except ValueError as error:
        raise DataError(f"{row.source}: {error} Correct the row, or leave such rows out (--skip-unusable).") from error
    if preset.empty:
        cells |= {
            name: preset.empty for name in preset.columns.responses(cells) if name in cells and is_blank(cells[name])
        }
    return replace(row, cells=cells)
