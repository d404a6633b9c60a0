"""``FitConfig``: all settings of a run, and their metadata."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, fields, replace
from typing import Any

from pydantic import model_validator

from rationem.config.demonstrations import DemonstrationSettings
from rationem.config.measuring import MEASURES, Measuring
from rationem.config.metadata import Alias, InRefit, Reach, Reason, TaskKind
from rationem.config.quick import QUICK
from rationem.config.sections import (
    EngineSettings,
    EvaluationSettings,
    MachineSettings,
    SamplingSettings,
    SchemeSettings,
    TeacherSettings,
    TrainingSettings,
)
from rationem.config.task_sections import DataSettings, SettingsGroup, TaskSettings
from rationem.data.file_format import FileFormat
from rationem.engines.chat import Conversation
from rationem.sampling.hint_leakage import HintLeakage
from rationem.sampling.schemes import Scheme, parse_scheme
from rationem.types import Sampling

#: In the order of the help.
_SECTIONS: tuple[type[SettingsGroup], ...] = (
    *(DataSettings, TaskSettings, SchemeSettings, DemonstrationSettings, SamplingSettings, EvaluationSettings),
    *(TrainingSettings, EngineSettings, TeacherSettings, MachineSettings),
)
#: Settings of which a run has only one.
_ALTERNATIVES = ("steps", "epochs")


# The fields of the last base come first.
class FitConfig(
    MachineSettings,
    TeacherSettings,
    EngineSettings,
    TrainingSettings,
    EvaluationSettings,
    SamplingSettings,
    DemonstrationSettings,
    SchemeSettings,
    TaskSettings,
    DataSettings,
):
    """Everything that decides the result of a run; written to ``config.toml`` in its directory."""

    @model_validator(mode="before")
    @classmethod
    def _quickly(cls, given: Any) -> Any:
        """Fill in the settings of a quick look that are not given."""
        if not isinstance(given, dict) or given.get("quick") is not True:
            return given
        named = {name for name, value in given.items() if value is not None}
        bundle = {name: value for name, value in QUICK.items() if name not in named | displaced(named)}
        return {**given, **bundle}

    @model_validator(mode="after")
    def _consistent(self) -> FitConfig:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("steps and epochs exclude each other: give only one.")
        if self.batch_size % min(self.micro_batch_size, self.batch_size):
            raise ValueError("batch_size must be a multiple of micro_batch_size.")
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave nothing to train on.")
        for name, value in self:
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
                    raise ValueError(f"{name} = {text!r} contains a lone surrogate character and cannot be written.")
        return self

    @property
    def conversation(self) -> Conversation:
        """The additions to the model's chat template."""
        return Conversation(self.system, self.thinking)

    @property
    def form(self) -> FileFormat:
        """What is said about the files of DATA and of the test set.

        Raises:
            ConfigError: the delimiter or the encoding cannot be one.
        """
        return FileFormat(**{field.name: getattr(self, field.name) for field in fields(FileFormat)})

    @property
    def leaks(self) -> HintLeakage:
        """The signs of hint leakage, and whether hinted drafts with them are accepted."""
        return HintLeakage(self.leak_filter, self.leak_phrases, self.max_copied)

    @property
    def planned(self) -> Scheme:
        """The scheme, with demonstrations where they are asked for.

        Raises:
            ConfigError: see :func:`.schemes.parse_scheme`.
        """
        scheme = parse_scheme(self.scheme, self.selector, self.reward_as)
        return scheme.showing() if self.demos else scheme

    @property
    def sampling(self) -> Sampling:
        """The sampling settings of the E-step; without a maximum length, the default one."""
        cut = {} if self.max_new_tokens is None else {"max_new_tokens": self.max_new_tokens}
        return Sampling(self.temperature, self.top_p, self.top_k, **cut)

    @property
    def measuring(self) -> Measuring:
        """The measurements, with the defaults of ``measure`` for what is not set."""
        usual = MEASURES[self.measure]
        set_here = {name: value for name in asdict(usual) if (value := getattr(self, name, None)) is not None}
        return replace(usual, **set_here)

    def replace(self, **changes: Any) -> FitConfig:
        """Return the settings with some changed; unlike ``model_copy`` it refuses an unknown name."""
        if unknown := changes.keys() - type(self).model_fields.keys():
            raise TypeError(f"FitConfig has no {', '.join(sorted(unknown))}.")
        return self.model_copy(update=changes)

    def of(self, section: type[SettingsGroup]) -> dict[str, Any]:
        """Return the settings of one section, by name."""
        return {name: getattr(self, name) for name in section.model_fields}


def marks_of(setting: str) -> tuple[Any, ...]:
    """Return the metadata of a setting beside its type, default and help."""
    return (*FitConfig.model_fields[setting].metadata, *_section(setting).marks)


def settings_with(*marks: Any) -> tuple[str, ...]:
    """Return the settings that carry one of these marks, in the order of the help.

    >>> settings_with(Reach.FILE)
    ('rubric', 'template', 'hint_template', 'demos')
    """
    return tuple(name for name in FitConfig.model_fields if any(mark in marks for mark in marks_of(name)))


def group_of(setting: str) -> str:
    """Return the heading of a setting in the help."""
    return _section(setting).group


def flag_of(setting: str) -> str:
    """Return the flag of a setting.

    >>> flag_of("learning_rate")
    '--learning-rate'
    """
    return f"--{setting.replace('_', '-')}"


def aliases() -> dict[str, str]:
    """Return flags that people know from other programs -> our flag for the same setting.

    >>> aliases()["--lr"]
    '--learning-rate'
    """
    marks = ((name, mark) for name in FitConfig.model_fields for mark in marks_of(name))
    return {mark.flag: flag_of(name) for name, mark in marks if isinstance(mark, Alias)}


def reason_for(setting: str) -> str:
    """Return why ``rationem check`` proposes a value of a setting.

    >>> reason_for("scale")
    'the values found, worst first'
    """
    return next(mark.text for mark in marks_of(setting) if isinstance(mark, Reason))


def reach_of(setting: str) -> Reach | None:
    """Return what a setting reaches outside a run; None if its type is not text."""
    return next((one for one in marks_of(setting) if isinstance(one, Reach)), None)


def kinds_of(setting: str) -> set[TaskKind]:
    """Return the kinds of task that are the only ones to take a setting; none if all do."""
    return {mark for mark in marks_of(setting) if isinstance(mark, TaskKind)}


def foreign_to(kind: TaskKind) -> Iterator[str]:
    """Yield the settings that tasks of a kind do not take."""
    for name in FitConfig.model_fields:
        if kinds_of(name) and kind not in kinds_of(name):
            yield name


def in_refit() -> dict[str, Any]:
    """Return the settings that are the same in every refit."""
    return {name: mark.value for name in FitConfig.model_fields for mark in marks_of(name) if isinstance(mark, InRefit)}


def displaced(changes: Collection[str]) -> set[str]:
    """Return the settings that the changed ones replace: those that exclude one of them.

    >>> displaced({"epochs"})
    {'steps'}
    """
    return set(_ALTERNATIVES) - set(changes) if set(_ALTERNATIVES) & set(changes) else set()


def _section(setting: str) -> type[SettingsGroup]:
    return next(section for section in _SECTIONS if setting in section.model_fields)
