"""The settings of demonstrations; see docs/demonstrations.md."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from rationem.config.metadata import Reach, TakenBy
from rationem.config.sections import SchemeSettings
from rationem.config.task_sections import SettingsGroup


class DemonstrationSettings(SettingsGroup):
    """Solved examples before a sampled question."""

    group: ClassVar[str] = SchemeSettings.group

    demos: Annotated[str | None, Reach.FILE, TakenBy.PROMPT] = Field(
        None,
        description="show demonstrations before every sampled question: K of them, or those of a FILE with a column "
        "rationale (docs/demonstrations.md)",
    )
    demos_until: float | None = Field(
        None, gt=0, le=1, description="stop showing demonstrations once this share of drafts is readable without them"
    )
