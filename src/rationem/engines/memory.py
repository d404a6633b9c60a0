"""Out of memory: compute fewer rows together, and report it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from rationem import progress
from rationem.errors import ModelError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

#: PyTorch's messages for exhausted memory that have no error type of their own.
_PHRASES = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory")


def ran_out(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, on a GPU or a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _PHRASES)


class Fitting:
    """Computes rows in parts that fit into memory; a reduced size is kept for later calls.

    Args:
        work: the work, to complete the message "Out of memory while ...".
        size: most rows computed together.
    """

    def __init__(self, work: str, size: int) -> None:
        self._work = work
        self._size = size
        self._most: int | None = None

    def __call__(
        self, items: Sequence[_Item], compute: Callable[[Sequence[_Item]], Sequence[_Result]]
    ) -> list[_Result]:
        """Return one result per item, in order.

        Raises:
            ModelError: not even one row fits.
        """
        results: list[_Result] = []
        before = self._most
        while len(results) < len(items):
            part = items[len(results) : len(results) + (self._most or len(items))]
            found = self._tried(part, compute)
            if found is None:
                self._most = self._fewer(len(part))
            else:
                results.extend(found)
        if self._most != before:
            progress.say(
                f"Out of memory while {self._work}: from now on {self._most} rows are computed together. Results "
                "are the same up to rounding. A smaller --sampling-batch avoids the failed attempts."
            )
        return results

    def _tried(
        self, part: Sequence[_Item], compute: Callable[[Sequence[_Item]], Sequence[_Result]]
    ) -> Sequence[_Result] | None:
        """Return the results, or None if memory ran out; the attempt's tensors are freed."""
        try:
            return compute(part)
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
        # After the handler: inside it, the error's traceback still references the tensors of the attempt.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None

    def _fewer(self, rows: int) -> int:
        if rows == 1:
            raise ModelError(
                f"Out of memory while {self._work}, even with one row at a time. Use shorter inputs, a lower "
                "--max-new-tokens, a smaller model or more memory, or end other programs that use this memory."
            )
        return max(1, min(rows, self._size) // 2)
