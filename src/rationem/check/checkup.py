"""The complete check: one pass over the data, section by section. ``docs/check.md`` describes the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rationem import metrics
from rationem.check import (
    columns,
    command,
    cost,
    criteria,
    drafts,
    labels,
    leaks,
    machine,
    opened,
    raters,
    reading,
    repeats,
    shots,
    suspects,
    texts,
)
from rationem.check.findings import Finding, error, exit_code, note, warning, worst_first
from rationem.config import FitConfig
from rationem.data import LoadedData
from rationem.data.no_scale import flags
from rationem.data.suggest import ScaleProposal
from rationem.engines import conformance, models
from rationem.engines.chat import Chat
from rationem.errors import DataError
from rationem.metrics.criteria import rated_parts
from rationem.metrics.scores import json_safe
from rationem.report.plain import counted, plain
from rationem.report.reading import LEFT_OUT, LEFT_OUT_OF_TEST, written
from rationem.run.defaults import with_defaults
from rationem.run.measured import measured
from rationem.run.preflight import check_model
from rationem.run.prepare import arrange, labelled
from rationem.sampling.schemes import Scheme
from rationem.tasks.pairs import fields_of
from rationem.tasks.scale import Scale
from rationem.types import Example, Splits

#: Version of the JSON that ``rationem check --json`` prints.
VERSION = 1
#: Of the JSON; each is null where the ratings have no scale that fits them. Where answers are open, those of levels and
#: raters are null; ``answers`` is null elsewhere. ``drafts`` is null unless they were asked for.
SECTIONS = (
    *(
        "data",
        "scale",
        "labels",
        "raters",
        "baselines",
        "criteria",
        "sets",
        "group_overlap",
        "rows",
        "repeats",
        "columns",
    ),
    *("control", "prompts", "cost", "answers", "drafts", "command"),
)


@dataclass(frozen=True, slots=True)
class Checkup:
    """The result of a check.

    Args:
        sections: name -> numbers, as JSON; see :data:`SECTIONS`.
        findings: the findings, errors first.
    """

    sections: Mapping[str, Any]
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """1 if there is an error, else 0."""
        return exit_code(self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as one JSON object without NaN."""
        found = [finding.as_dict() for finding in self.findings]
        whole = {"version": VERSION, **self.sections, "findings": found, "exit_code": self.exit_code}
        safe: dict[str, Any] = json_safe(whole)
        return safe


@dataclass(frozen=True, slots=True)
class _Asked:
    """The named model, if any: its conversation format, sizes, and machine."""

    config: FitConfig
    chat: Chat | None = None
    shape: machine.ModelSizes | None = None
    machine: machine.Machine | None = None


def examine(config: FitConfig, *, probe: bool = False) -> Checkup:
    """Examine a configuration's data as a fit would read it; writes nothing.

    Unusable rows are counted and raise no error; a missing scale is suggested from the values.

    Args:
        config: the settings.
        probe: also draw from the model, as a fit does before its first E-step.

    Raises:
        RationemError: there is no such file, column, setting or model.
    """
    scheme = config.planned
    asked = _asked(config)
    try:
        material = reading.read(asked.config)
    except reading.Unfit as problem:
        return Checkup(dict.fromkeys(SECTIONS), (error(problem.code, plain(str(problem))),))
    checkup = _examined(config, asked, scheme, material)
    if not probe or checkup.exit_code:
        return checkup
    found, warnings = drafts.drafts(material.config)
    return Checkup({**checkup.sections, "drafts": found}, worst_first([*checkup.findings, *warnings]))


def _examined(config: FitConfig, asked: _Asked, scheme: Scheme, material: reading.Material) -> Checkup:
    scale, everything = material.task.scale, (*material.known, *material.tested)
    if asked.chat is not None and config.model is not None:
        conformance.check_model(
            config.model, models.resolve(config.model, config.adapter_base), asked.chat, material.task
        )
    examples = labelled(everything, scale)
    splits, findings = _splits(material)
    splits = measured(splits, asked.config)
    sections: dict[str, Any] = {**dict.fromkeys(SECTIONS), "data": _described(material, scale)}
    looks = _LOOKS[material.task.kind.estimator]
    more, found = looks.answers(material)
    sections, findings = sections | more, findings + found
    findings += _about_labels(material, splits, scale)
    sections["sets"] = labels.sets(splits, scale, orders=material.orders)
    for name, left in (("validation", LEFT_OUT), ("test", LEFT_OUT_OF_TEST)):
        sections["sets"][name]["not_measured"] = splits.notes.get(left, 0)
    findings += labels.few_groups({name: part["groups"] for name, part in sections["sets"].items()})
    sections["group_overlap"] = splits.notes.get("test_examples_whose_group_is_trained_on", 0)
    findings += labels.overlapping(sections["group_overlap"], len(splits.test) // material.orders)
    sections["rows"], found = texts.unusable(material.skipped, material.rows, scale, left_out=config.skip_unusable)
    findings += found
    sections["repeats"], found = repeats.repeats(examples, _identical(material), several=_several(material))
    findings += found
    findings += suspects.suspects(material)
    evidence = columns.in_all_rows(looks.columns(material, examples), material.unused, material.apart)
    sections["columns"] = [column.as_dict() for column in evidence]
    findings += leaks.leaks(evidence)
    sections["control"], found = texts.control(everything, asked.chat, material.task.marker)
    findings += found
    room = texts.Room(asked.config.max_prompt_tokens or 0, asked.config.max_new_tokens or 0, config.elide)
    sections["prompts"], sizes, found = texts.lengths(splits, material.task, scheme, asked.chat, room)
    findings += [*found, *_suggested(material), *_left_out(material)]
    positions = asked.shape.positions if asked.shape else None
    sections["prompts"]["shots"], found = shots.shots(splits, material.task, asked.config, asked.chat, positions)
    findings += found
    sections["cost"], found = cost.cost(sizes, scheme, asked.config, asked.shape, asked.machine)
    in_order = worst_first([*findings, *found])
    sections["command"] = command.command(config, material, in_order)
    return Checkup(sections, in_order)


def _asked(config: FitConfig) -> _Asked:
    """Return the named model's properties; without a model a fit's defaults."""
    if config.model is None:
        return _Asked(with_defaults(config, reading.NO_RUN, None))
    config = check_model(config)
    assert config.model is not None
    checkpoint = models.resolve(config.model, config.adapter_base)
    shape = machine.shape(config.model, checkpoint)
    chat = models.chat(config.model, checkpoint, config.conversation)
    config = with_defaults(config, reading.NO_RUN, shape.positions)
    return _Asked(config, chat, shape, machine.measure(config.device, config.threads))


def _parts(material: reading.Material) -> dict[str, tuple[Example, ...]]:
    """Return DATA, and the test set if it is separate."""
    return {"data": material.known} | ({"test": material.tested} if material.tested else {})


def _several(material: reading.Material) -> str:
    """Return why the same inputs can have two answers: several "raters", "ids", a "mistake", or many "right"."""
    if suspects.merges_but_for_ids(material):
        return "ids"
    return _SEVERAL[material.task.kind.page]


def _identical(material: reading.Material) -> int:
    return sum(one.notes["identical_duplicates"] for one in (material.loaded, material.test_loaded) if one is not None)


def _splits(material: reading.Material) -> tuple[Splits, list[Finding]]:
    """Return the sets as a fit would make them; all rows as the training set if it could not."""
    if material.splits is not None:
        return material.splits, []
    assert material.loaded is not None
    try:
        return arrange(material.config, material.task, material.loaded, material.test_loaded), []
    except DataError as problem:
        found = [error("no_splits", plain(f"A fit cannot split the data: {problem}"))]
        return Splits(material.known, (), labelled(material.tested, material.task.scale)), found


def _described(material: reading.Material, scale: Scale) -> dict[str, Any]:
    """Return how the data was read, and the numbers of items without a label in DATA and in the test set."""
    parts = _parts(material) | {"test": material.tested}
    unlabelled = {name: len(part) - len(labelled(part, scale)) for name, part in parts.items()}
    return {**reading.describe(material), "without_label": unlabelled}


def _asked_in(material: reading.Material, examples: tuple[Example, ...]) -> tuple[Example, ...]:
    """Return examples as a fit scores them: comparisons in every order, so that no place is right more often."""
    return material.task.every_order(examples)


def _by_set(material: reading.Material, scale: Scale) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return labels, raters and baselines of DATA, and of the test set if it is separate."""
    parts = _parts(material)
    scored = {name: _asked_in(material, labelled(part, scale)) for name, part in parts.items()}
    baselines = {name: labels.baselines(scored["data"], part, scale) for name, part in scored.items()}
    return (
        {
            name: {"pooled": labels.pooled(labelled(part, scale), scale), "ratings": labels.ratings(part, scale)}
            for name, part in parts.items()
        },
        {name: raters.raters(part, scale) for name, part in parts.items()},
        {"uniform_log_likelihood": metrics.uniform_log_likelihood(scale, scored["data"]), **baselines},
    )


def _about_labels(material: reading.Material, splits: Splits, scale: Scale) -> list[Finding]:
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    orders = material.orders
    sizes = {name: len(part) // orders for name, part in parts.items()}
    units = {1: ("row", "rows"), 2: ("pair, in both orders", "pairs, each in both orders")}
    unit = units.get(orders, (f"comparison, in {orders} orders", f"comparisons, each in {orders} orders"))
    before, after = _LOOKS[material.task.kind.estimator].labels(material)
    return [*before, *labels.tiny(sizes, unit), *after]


def _level_labels(material: reading.Material) -> tuple[list[Finding], list[Finding]]:
    scale, each = material.task.scale, material.config.raters == "each"
    constant = criteria.constant(_asked_in(material, material.known), scale)
    single = raters.single((*material.known, *material.tested))
    tested = rated_parts(material.tested)

    def warnings(examples: Sequence[Example], own: Scale) -> list[Finding]:
        return raters.warnings(examples, tested.get(examples[0].criterion, ()), own, each=each)

    return constant, [*criteria.each(material.known, scale, warnings), *single]


def _level_answers(material: reading.Material) -> tuple[dict[str, Any], list[Finding]]:
    found = _by_set(material, material.task.scale)
    each = criteria.criteria(_parts(material), material.task.scale, material.task.every_order)
    told = dict(zip(("labels", "raters", "baselines"), found, strict=True))
    return {"scale": _scale(material), **told, "criteria": each}, []


def _open_answers(material: reading.Material) -> tuple[dict[str, Any], list[Finding]]:
    return {"answers": opened.answers(_parts(material), material.task)}, opened.constant(material.known)


def _level_columns(material: reading.Material, examples: Sequence[Example]) -> list[columns.Evidence]:
    return columns.look_at_each(examples, material.inputs, material.unused, material.task.scale)


def _open_columns(material: reading.Material, examples: Sequence[Example]) -> list[columns.Evidence]:
    return opened.look(examples, material.inputs, material.unused)


class _Looks(NamedTuple):
    """How answers are looked at: sections and findings, findings around the sizes of the sets, evidence of columns."""

    answers: Callable[[reading.Material], tuple[dict[str, Any], list[Finding]]]
    labels: Callable[[reading.Material], tuple[list[Finding], list[Finding]]]
    columns: Callable[[reading.Material, Sequence[Example]], list[columns.Evidence]]


#: By ``Kind.estimator``.
_LOOKS = {
    "levels": _Looks(_level_answers, _level_labels, _level_columns),
    "consensus": _Looks(_open_answers, lambda _: ([], []), _open_columns),
}
#: How the same inputs can come with two answers, by ``Kind.page``.
_SEVERAL = {"levels": "raters", "answers": "mistake", "rewards": "right"}


def _scale(material: reading.Material) -> dict[str, Any]:
    scale = material.task.scale
    return {
        "levels": list(scale.levels),
        "ordered": scale.ordered,
        "from": material.scale_from,
        "text": material.config.scale or scale.sentence(),
        **({"parts": {name: list(own.levels) for name, own in scale.parts}} if scale.parts else {}),
    }


def _suggested(material: reading.Material) -> list[Finding]:
    if material.scale_from != "suggested":
        return []
    scale = material.task.scale
    unordered = [name for name, own in scale.parts or (("", scale),) if not own.ordered]
    whose = f" of {', '.join(map(plain, unordered))}" if scale.parts else ""
    order = f" The levels{whose} have no order that is known, and are taken as without one: if they have one, write "
    order = f"{order}them worst first, with < between them." if unordered else ""
    if material.orders > 1:
        columns = [material.inputs[field] for field in fields_of(material.orders)]
        means = zip(scale.levels, columns, strict=False)
        order = f" For the response columns, {', '.join(f'{plain(a)!r} means {plain(b)!r}' for a, b in means)}."
    flag = plain(flags(ScaleProposal(material.config.scale or "", dict(list(material.suggested.items())[1:]))))
    text = f"No scale was given; the values found suggest {flag}, and all numbers here use it."
    why = f" {plain(material.why)}" if material.why else ""
    return [note("suggested_scale", f"{text} Give `rationem fit` this flag, or the correct scale.{order}{why}")]


#: Where items have inputs of their own, "unrated" is said of answers.
_NO_ANSWER = {"inputs": {"unrated": ("row has", "rows have", " no answer and is left out.")}}


def _left_out(material: reading.Material) -> list[Finding]:
    """Return notes on the readers' counts: items without a label, repeated ratings, marked texts."""
    each = material.config.raters == "each"
    fate = "used for training, one row per rating, and left out of everything else." if each else "left out."
    why = "raters are tied, and on this scale a tie has no label"
    told = {
        "no_majority": ("item has no label", "items have no label", f": {why}. Such items are {fate}"),
        "unrated": (
            "rating is",
            "ratings are",
            " missing: an item is used only for the criteria that it is rated on.",
        ),
        "missing_ratings": (
            *(
                "rating cell is empty although others of the same item are filled",
                ("rating cells are empty although others of the same item are filled"),
            ),
            ": these items have fewer ratings.",
        ),
        "repeated_ratings": (
            *("rating repeats", "ratings repeat"),
            " one of the same rater for the same item: the first one counts.",
        ),
        "empty_responses": (
            "response is",
            "responses are",
            " empty, as the preset allows, and marked in the prompt.",
        ),
        "conversations": (
            *("cell holds a list", "cells hold lists"),
            ' of chat messages: the prompt contains a paragraph "Role: content" for each message.',
        ),
    }
    told |= _NO_ANSWER.get(material.task.items, {})
    loaded = [one for one in (material.loaded, material.test_loaded) if one is not None]
    counts = {name: sum(one.notes.get(name, 0) for one in loaded) for name in told}
    found = [
        note(name, counted(count, *told[name][:2]) + told[name][2], count) for name, count in counts.items() if count
    ]
    found += [note("weights", str(one.notes["weights"])) for one in loaded[:1] if "weights" in one.notes]
    found += [note("rows_read", plain(line)) for line in _lines(loaded, "shape")]
    found += [warning("direction", plain(line)) for line in _lines(loaded, "against")]
    found += [note("rating_values", plain(line)) for line in _lines(loaded, "values")]
    if names := [name for one in loaded[:1] for name in one.notes.get("verdicts_by_name", ())]:
        which = ", ".join(map(plain, names))
        text = (
            "Verdicts name systems, and systems change sides between rows. Each row says in "
            f"{which} which response is whose."
        )
        found.append(note("verdicts_by_name", text))
    return [*found, *(note(what, plain(sentence)) for what, sentence in written([one.notes for one in loaded]))]


def _lines(loaded: Sequence[LoadedData], name: str) -> list[str]:
    """Return the sentences of a note, each once."""
    return list(dict.fromkeys(line for one in loaded for line in one.notes.get(name, ())))
