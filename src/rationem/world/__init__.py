"""The embedded default: a synthetic judge world, and its tiny base model ``tiny-judge``.

Two other worlds: ``addition``, scratchpad arithmetic, with ``tiny-adder``; ``summaries``, posts for hidden readers,
with ``tiny-summarizer``.

Importing this package imports neither torch nor transformers; the base model's functions do so when they are called.
"""

from rationem.world.base import micro_model, tiny_judge
from rationem.world.embedded import BASES, FAITHFUL, faithful_of
from rationem.world.questions import faithful
from rationem.world.rubrics import DEFAULT_HUMAN, SCALE, TASK, Human, examples, human

__all__ = [
    "BASES",
    "DEFAULT_HUMAN",
    "FAITHFUL",
    "SCALE",
    "TASK",
    "Human",
    "examples",
    "faithful",
    "faithful_of",
    "human",
    "micro_model",
    "tiny_judge",
]
