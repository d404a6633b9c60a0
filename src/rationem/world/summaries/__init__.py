"""The embedded summaries: posts, hidden readers, and their tiny base model ``tiny-summarizer``.

Importing this package imports neither torch nor transformers; the base model's functions do so when they are called.
"""

from rationem.world.summaries.audiences import DEFAULT_AUDIENCE, Audience, audience, examples
from rationem.world.summaries.base import tiny_summarizer
from rationem.world.summaries.readers import PREFER, TASKS, WRITE, Reader
from rationem.world.summaries.truth import faithful

__all__ = [
    "DEFAULT_AUDIENCE",
    "PREFER",
    "TASKS",
    "WRITE",
    "Audience",
    "Reader",
    "audience",
    "examples",
    "faithful",
    "tiny_summarizer",
]
