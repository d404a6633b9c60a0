"""A run's settings: TOML keys and flags, checked before anything heavy loads.

``metadata``   what can be known of a setting beside its type, default and help
``sections``   the settings, by group, and those of ``demonstrations``: the only places that define a setting
``fit``        FitConfig, all of them; and which settings carry what metadata
``quick``      the settings of ``--quick``
``files``      from TOML and flags to a FitConfig, and back

A new setting is one field of a section. That field determines its TOML key, its flag and help, which commands and tasks
take it, whether ``refit`` may change it, and whether it distinguishes runs.
"""

from rationem.config.files import configured, draft_toml, known_then, read_config, to_toml
from rationem.config.fit import (
    FitConfig,
    aliases,
    displaced,
    flag_of,
    foreign_to,
    group_of,
    in_refit,
    kinds_of,
    marks_of,
    reach_of,
    reason_for,
    settings_with,
)
from rationem.config.metadata import Identity, Mark, Reach, TakenBy, TaskKind
from rationem.config.sections import EngineSettings, TrainingSettings

__all__ = [
    "EngineSettings",
    "FitConfig",
    "Identity",
    "Mark",
    "Reach",
    "TakenBy",
    "TaskKind",
    "TrainingSettings",
    "aliases",
    "configured",
    "displaced",
    "draft_toml",
    "flag_of",
    "foreign_to",
    "group_of",
    "in_refit",
    "kinds_of",
    "known_then",
    "marks_of",
    "reach_of",
    "read_config",
    "reason_for",
    "settings_with",
    "to_toml",
]
