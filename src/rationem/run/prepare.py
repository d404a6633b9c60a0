"""From names to a task and its three sets: files, columns, scale, rubric and templates, as configured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rationem import data
from rationem.config import FitConfig, TaskKind, flag_of, foreign_to, kinds_of
from rationem.engines import models
from rationem.errors import BrokenFile, ConfigError, DataError, closest
from rationem.run import task_resolution
from rationem.run.rating_values import read_as, shapes_of, values_of
from rationem.seeds import seed_for
from rationem.tasks import named
from rationem.tasks.answer import AnswerTask
from rationem.tasks.judge import JudgeTask, asking
from rationem.tasks.protocol import Task
from rationem.tasks.rubric import Criterion, Rubric, read_rubric
from rationem.tasks.scale import Scale
from rationem.tasks.template import Template, packaged, read_template
from rationem.types import Example, Splits

#: The name of the embedded judge world, accepted wherever a data file is expected.
WORLD = "world"
_WORLD_VALIDATION, _WORLD_TEST = 128, 256
#: The number of skipped rows that are listed with their reason.
_LISTED = 20


@dataclass(frozen=True, slots=True)
class EmbeddedData:
    """Data that the package contains: how its task and sets are made, its tasks by name, and its default model.

    Its name is a key of the splits' notes; :data:`rationem.world.FAITHFUL` has it if its rationales can be checked.
    ``threshold`` is the default reward from which a draft is accepted; None for the task's own.
    """

    prepare: Callable[[FitConfig], tuple[Task, Splits]]
    tasks: tuple[str, ...]
    model: str
    threshold: float | None = None

    def check_task(self, asked: str | None) -> None:
        """Check that the data is for the task that the user names, if any.

        Raises:
            ConfigError: it is not.
        """
        if asked is not None and asked not in self.tasks:
            (name,) = (name for name, row in EMBEDDED.items() if row is self)
            has = " or ".join(f"--task {task}" for task in self.tasks)
            raise ConfigError(
                f"The embedded data {name!r} is not for the task {asked!r}.{closest(asked, self.tasks)} Omit --task, "
                f"or use {has}."
            )


def embedded(config: FitConfig) -> EmbeddedData | None:
    """Return the embedded data that the configuration names, or None if it names files."""
    return EMBEDDED.get(config.data[0]) if len(config.data) == 1 else None


def prepare(config: FitConfig) -> tuple[Task, Splits]:
    """Return the task and the three sets that the configuration names.

    Several ratings of a training item become one row each or one label (``raters``); validation and test items keep all
    their ratings beside one label. Comparisons come in every order, in every set; the orders of one item are never
    separated.

    Raises:
        DataError: a file, column, level or text cannot be used.
        ConfigError: no data is named, or rubric, template and data do not fit.
    """
    if not config.data:
        raise ConfigError(f"No data given. Name one or more files, or embedded data: {', '.join(EMBEDDED)}.")
    if (own := embedded(config)) is not None:
        own.check_task(config.task)
        return own.prepare(config)
    rubric = read_rubric(Path(config.rubric)) if config.rubric else None
    skipped: list[DataError] | None = [] if config.skip_unusable else None
    loaded = load(config, config.data, rubric, skipped=skipped)
    tested = load(config, config.test, rubric, like=loaded, skipped=skipped) if config.test else None
    alike(loaded, tested)
    loaded, tested = lettered_alike(loaded, tested)
    task = make_task(config, loaded, rubric)
    for error in skipped or ():
        if isinstance(error, BrokenFile):  # the number of lost rows is unknown
            raise error
    splits = arrange(config, task, loaded, tested)
    notes: dict[str, Any] = {}
    if skipped:
        notes = {"skipped": len(skipped), "skipped_because": [str(error) for error in skipped[:_LISTED]]}
    return task, replace(splits, notes={**splits.notes, **notes})


def alike(loaded: data.LoadedData, tested: data.LoadedData | None) -> None:
    """Reject a test set whose task differs from the data's.

    Raises:
        DataError: the numbers of responses to compare differ, or the criteria differ.
    """
    if tested is None:
        return
    kinds = [_HOLDS[one.items](one) for one in (loaded, tested)]
    if kinds[0] != kinds[1]:
        raise DataError(
            f"DATA holds {kinds[0]}, --test {kinds[1]}: a model trained on one cannot be tested on the other."
        )
    names = [sorted(criterion.name for criterion in one.criteria) for one in (loaded, tested)]
    if names[0] != names[1]:
        raise DataError(
            f"The criteria of DATA are {names[0]}, those of --test {names[1]} ('' is a criterion without a name). "
            "Choose criteria that both have (--criterion NAME)."
        )


def _inputs(loaded: data.LoadedData) -> str:
    return f"open answers to {', '.join(field for field, _ in loaded.columns.inputs)}"


def _responses(loaded: data.LoadedData) -> str:
    count = loaded.candidates
    if not loaded.columns.prompt:
        return "texts without a prompt" if count == 1 else f"{count} texts to compare, without a prompt"
    return "single responses" if count == 1 else "pairs" if count == 2 else f"{count} responses to compare"


def _choices(_: data.LoadedData) -> str:
    return "multiple choice"


#: A description of a set's content, by the layout of its items.
_HOLDS = {"inputs": _inputs, "responses": _responses, "choices": _choices}


def lettered_alike(
    loaded: data.LoadedData, tested: data.LoadedData | None
) -> tuple[data.LoadedData, data.LoadedData | None]:
    """Return both with enough letters for the item with the most choices in either."""
    if tested is None:
        return loaded, tested
    scale = max(loaded.scale, tested.scale, key=lambda scale: len(scale.levels))
    return replace(loaded, scale=scale), replace(tested, scale=scale)


def arrange(config: FitConfig, task: Task, loaded: data.LoadedData, tested: data.LoadedData | None) -> Splits:
    """Return the three sets of the loaded data; without a test set a part of the data is held out.

    Raises:
        DataError: there are too few groups, or ids that cannot be distinguished.
    """
    if config.shuffle_choices:
        loaded, tested = _shuffled(config, task, loaded), tested and _shuffled(config, task, tested)
    train, validation, test = data.split(
        loaded.examples,
        seed=split_seed(config),
        validation=config.validation_share,
        test=config.test_share if tested is None else 0.0,
    )
    notes: dict[str, Any] = {**loaded.notes, "preset": loaded.preset, "columns": loaded.columns.to_dict()}
    notes |= read_as(loaded, tested)
    if tested is not None:
        test = data.distinct_ids((*train, *validation), tested.examples)
        notes["test"] = dict(tested.notes)
    notes["test_examples_whose_group_is_trained_on"] = data.overlap(train, test)
    train = data.weighed(_limited(data.expand_raters(train, config.raters), config))
    validation, test = data.unweighed(validation), data.unweighed(test)
    count = len(validation) + len(test)
    validation, test = labelled(validation, loaded.scale), labelled(test, loaded.scale)
    notes["not_scored_without_majority"] = count - len(validation) - len(test)
    train, validation, test = map(task.every_order, (train, validation, test))
    return Splits(train, validation, test, notes)


def load(
    config: FitConfig,
    names: tuple[str, ...],
    rubric: Rubric | None,
    *,
    like: data.LoadedData | None = None,
    skipped: list[DataError] | None = None,
) -> data.LoadedData:
    """Return the examples of files, read as configured.

    Args:
        config: the settings.
        names: files, folders or hub ids.
        rubric: its scale and criteria apply if the configuration names none.
        like: what was loaded before: the test set is read with the same scale, except for letters.
        skipped: if given, unusable rows are left out and their errors appended here.
    """
    task = task_resolution.asked(config)
    if task is None and like is not None:
        task = like.task
    scale = Scale.parse(config.scale) if config.scale else (rubric.scale if rubric else None)
    return data.load(
        names,
        scale=like.shared_scale if like else scale,
        columns=columns_of(config),
        preset=config.preset,
        criteria=criteria_of(config, rubric) or (tuple(name for name, _ in scale.parts) if scale else ()),
        raters=config.raters,
        skipped=skipped,
        items=None if task else _items(config, like),
        task=task,
        weight=config.weight_col,
        values=values_of(config, like),
        form=config.form,
        shapes=shapes_of(config),
    )


def _items(config: FitConfig, like: data.LoadedData | None = None) -> str | None:
    """Return the layout of the items that the configuration requests; None if the data's keys decide."""
    if config.task is not None:
        return named(config.task).items
    if config.choices_col is not None:
        return "choices"
    return like.items if like is not None else None


def make_task(config: FitConfig, loaded: data.LoadedData, rubric: Rubric | None) -> Task:
    """Return the task for the loaded data, in the words of the rubric and the templates.

    Raises:
        ConfigError: a template uses an unknown variable, or the rubric lacks a criterion that the data has.
    """
    if loaded.task is not None:
        return task_resolution.worded(config, loaded.task)
    return asking(
        loaded.items,
        loaded.scale,
        tuple(_worded(criterion, rubric, config.instruction) for criterion in loaded.criteria),
        candidates=loaded.candidates,
        rule=config.reward or "exact",
        template=read_template(Path(config.template)) if config.template else None,
        hint=task_resolution.hint_of(config, loaded.items),
        marker=config.verdict_marker or "",
        prompted=bool(loaded.columns.prompt),
    )


def _worded(criterion: Criterion, rubric: Rubric | None, instruction: str) -> Criterion:
    """Return a criterion of the data in the rubric's words, if there is a rubric; the flag's sentence has priority."""
    if rubric is not None:
        alone = len(rubric.criteria) == 1 and not (criterion.name and rubric.criteria[0].name)
        said = rubric.criteria[0] if alone else rubric.chosen((criterion.name,)).criteria[0]
        criterion = replace(said, name=criterion.name)
    return replace(criterion, instruction=instruction) if instruction else criterion


def criteria_of(config: FitConfig, rubric: Rubric | None) -> tuple[str | tuple[str, str], ...]:
    """Return the requested criteria, with their rating columns if the rubric names others; () for all."""
    names = tuple(name.strip() for name in config.criterion.split(",") if name.strip())
    of_rubric = {one.name: one.column or one.name for one in rubric.criteria if one.name} if rubric else {}
    if names == ("all",) and not of_rubric:
        return names
    if names == ("all",) or (not names and len(of_rubric) > 1 and config.rating_col is None):
        names = tuple(of_rubric)
    return tuple((name, of_rubric[name]) if of_rubric.get(name, name) != name else name for name in names)


def columns_of(config: FitConfig) -> data.Columns | None:
    """Return the columns that the configuration names, or None if it names none.

    Raises:
        ConfigError: columns of different tasks are named together.
    """
    if (task := task_resolution.asked(config)) is not None:
        return task_resolution.columns_of(config, task)
    items = "choices" if config.choices_col is not None else _items(config) or "responses"
    _check_columns(config, items)
    columns: dict[str, Any] = {
        "prompt": config.prompt_col,
        "response": config.response_col,
        "rating": {"choices": config.answer_col, "responses": config.rating_col}[items],
        "choices": config.choices_col,
        "subject": config.subject_col,
        "reference": config.reference_col,
        "context": config.context_col,
        "id": config.id_col,
        "group": config.group_col,
        "rater": config.rater_col,
        "criterion": config.criterion_col,
    }
    given = {role: name for role, name in columns.items() if name is not None}
    return data.Columns(**{**_USUAL[items], **given}) if given else None


#: The columns that are not named if others are: "" is guessed from the file's.
_USUAL: dict[str, dict[str, str]] = {
    "responses": dict.fromkeys(("prompt", "response", "rating"), ""),
    "choices": {"rating" if role == "answer" else role: names[0] for role, names in data.CHOICE_NAMES.items()},
}


def _check_columns(config: FitConfig, items: str) -> None:
    """Reject columns of another task instead of ignoring them."""
    foreign = next((name for name in foreign_to(TaskKind(items)) if getattr(config, name)), None)
    if foreign is not None:
        raise ConfigError(_foreign(foreign, items))


def _foreign(setting: str, items: str) -> str:
    flag, kinds = flag_of(setting), kinds_of(setting)
    if kinds == {TaskKind.OPEN}:
        return f"{flag} applies to tasks with open answers: also name the task (--task math, my_task.toml)."
    more = " For open answers name the task: --task math." if TaskKind.OPEN in kinds else ""
    return {
        "choices": (
            f"{flag} applies to judging, but these settings ask for multiple choice, which reads --prompt-col, "
            "--choices-col, --answer-col and, where there is one, --context-col and --subject-col."
        ),
        "responses": (
            f"{flag} applies to multiple choice: also name the choices (--choices-col), or give --task choice.{more}"
        ),
    }[items]


def _world(config: FitConfig) -> tuple[JudgeTask, Splits]:
    from rationem import world

    if config.test:
        raise ConfigError("'world' has its own test set; omit --test.")
    sizes = (config.world_size, _WORLD_VALIDATION, _WORLD_TEST)
    starts = (0, config.world_size, config.world_size + _WORLD_VALIDATION)
    train, validation, test = (
        world.examples(size, seed=0, start=start) for size, start in zip(sizes, starts, strict=True)
    )
    template: Template = read_template(Path(config.template)) if config.template else packaged("judge")
    hint = read_template(Path(config.hint_template)) if config.hint_template else world.TASK.hint
    criteria = (Criterion(instruction=config.instruction),)
    if config.rubric:
        criteria = (_worded(criteria[0], read_rubric(Path(config.rubric)), config.instruction),)
    task = JudgeTask(
        world.SCALE, criteria, template, hint, config.reward or "exact", marker=config.verdict_marker or ""
    )
    return task, Splits(train[: config.limit], validation, test, {WORLD: True})


def _addition(config: FitConfig) -> tuple[AnswerTask, Splits]:
    from rationem.world.addition.sets import sets

    return sets(config)


def _summaries(config: FitConfig) -> tuple[Task, Splits]:
    from rationem.world.summaries.sets import sets

    return sets(config)


#: Names that can be given in place of a data file.
EMBEDDED = {
    WORLD: EmbeddedData(_world, ("judge",), models.TINY_JUDGE),
    "addition": EmbeddedData(_addition, ("addition",), models.TINY_ADDER),
    # Only the complete summary is accepted: one that shares one fact of two is also kept for the wrong one
    # (docs/summaries-study.md).
    "summaries": EmbeddedData(_summaries, ("summarize", "judge"), models.TINY_SUMMARIZER, threshold=1.0),
}


def _shuffled(config: FitConfig, task: Task, loaded: data.LoadedData) -> data.LoadedData:
    """Return the items, each with its choices in a random order of its own."""
    mixed = tuple(task.shuffled(x, split_seed(config)) for x in loaded.examples)
    return replace(loaded, examples=mixed)


def labelled(examples: tuple[Example, ...], scale: Scale) -> tuple[Example, ...]:
    """Return the items that have a label to score against: not those whose raters are split."""
    always = scale.always_pools
    return tuple(
        x
        for x in examples
        if always or (own := scale.of(x.criterion)).always_pools or own.majority(x.ratings or (x.answer,)) is not None
    )


def split_seed(config: FitConfig) -> int:
    """Return the seed of the split; runs that differ only in their own seed can share it."""
    return config.seed if config.split_seed is None else config.split_seed


def _limited(train: tuple[Example, ...], config: FitConfig) -> tuple[Example, ...]:
    """Return at most ``limit`` training rows, chosen by the seed and not by their position in the file."""
    chosen = sorted(train, key=lambda x: seed_for(split_seed(config), "limit", x.id))[: config.limit]
    kept = {x.id for x in chosen}
    return tuple(x for x in train if x.id in kept)
