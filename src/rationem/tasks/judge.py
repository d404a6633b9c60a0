"""LLM as a judge: a prompt and a response in, a rationale and a rating out.

Instruction and levels stand last, so that a long response cannot push them out of sight. The rationale comes first,
then the verdict on a line of its own behind one rare marker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rationem import rewards
from rationem.scale import MARKER, Scale
from rationem.types import Fields, Parsed, Prompt

FIELDS = ("prompt", "response")

_TEMPLATE = """Prompt: {prompt}

Response: {response}

Rate the response on the scale {scale}.{criterion} Reason first, then end with one line: {marker} LEVEL"""

_HINT = "\nThe correct rating is {answer}. Explain why."


@dataclass(frozen=True, slots=True)
class Judge:
    """Rate a response to a prompt on a scale (paper: LLM-as-a-judge calibration).

    Args:
        scale: the levels, worst first.
        criterion: one sentence on what to rate, shown between the scale and the instruction.
    """

    scale: Scale
    criterion: str = ""
    name: str = "judge"

    @property
    def levels(self) -> tuple[str, ...]:
        """The offered answers, worst first."""
        return self.scale.levels

    @property
    def continuations(self) -> tuple[str, ...]:
        """What may follow the verdict marker, one text per level."""
        return self.scale.continuations()

    def prompt(self, fields: Fields) -> Prompt:
        """Return forward(x): the only prompt that the M-step ever scores."""
        return Prompt(self._question(fields), "forward")

    def hint_prompt(self, fields: Fields, answer: str) -> Prompt:
        """Return rationalize(x, y*): the same prompt with the correct answer as a hint behind it."""
        return Prompt(self._question(fields) + _HINT.format(answer=answer), "rationalize")

    def parse(self, text: str) -> Parsed:
        """Split a completion into rationale and rating."""
        return self.scale.read(text)

    def reward(self, predicted: str, answer: str) -> float:
        """Return 1 if the ratings are the same, else 0."""
        return rewards.exact(predicted, answer)

    def format(self, rationale: str, answer: str) -> str:
        """Return a completion in the form that ``parse`` reads."""
        verdict = self.scale.verdict(answer)
        return f"{rationale}\n{verdict}" if rationale else verdict

    def describe(self) -> dict[str, Any]:
        """Return what the ledger must know to tell this task from another."""
        return {
            "name": self.name,
            "levels": list(self.levels),
            "criterion": self.criterion,
            "template": _TEMPLATE,
            "hint": _HINT,
        }

    def _question(self, fields: Fields) -> str:
        criterion = f" {self.criterion}" if self.criterion else ""
        return _TEMPLATE.format(
            prompt=fields["prompt"],
            response=fields["response"],
            scale=self.scale.sentence(),
            criterion=criterion,
            marker=MARKER,
        )
