"""What may be read otherwise than it was meant: inputs, instruction, order of labels, sides."""

from __future__ import annotations

from collections.abc import Iterator

from rationem.check.findings import Finding, note, warning
from rationem.check.reading import Material
from rationem.data import LoadedData
from rationem.report.plain import plain


def suspects(material: Material) -> list[Finding]:
    """Return the findings on what the judge is shown and told; none of other layouts of items."""
    looks = {"responses": (inputs, instruction)}.get(material.task.items, ())
    return [finding for look in looks if material.loaded is not None for finding in look(material, material.loaded)]


def inputs(material: Material, loaded: LoadedData) -> Iterator[Finding]:
    """Yield findings on what is shown to the judge: no prompt, or one column twice."""
    columns = loaded.columns
    if not columns.prompt:
        unread = ", ".join(map(plain, list(material.unused)[:5]))
        more = f" If a column that is not read is the prompt, name it with --prompt-col: {unread}." if unread else ""
        text = f"One text is rated, without a prompt: the judge reads {plain(columns.response)!r} alone.{more}"
        yield note("no_prompt", text)
    elif columns.prompt == columns.response:
        text = (
            f"Prompt and response are read from one column, {plain(columns.prompt)!r}: the judge reads it twice. "
            "If a text is rated alone: --prompt-col none."
        )
        yield warning("same_column", text)


def instruction(material: Material, loaded: LoadedData) -> Iterator[Finding]:
    """Yield a note if nothing says what to look at."""
    config, bare = material.config, [one for one in loaded.criteria if not (one.instruction or one.meanings)]
    if config.template or config.instruction or config.rubric or len(bare) < len(loaded.criteria):
        return
    named = any(one.name for one in bare)
    told = "the levels and the name of the criterion" if named else "the levels"
    text = (
        f"No instruction is given: the judge sees only {told}. Say what your raters looked at: --instruction "
        "'Is the answer correct?', or --rubric FILE with what each level means."
    )
    yield note("no_instruction", text)
