"""Models to suggest if none is named, or if the named one cannot be used."""

from __future__ import annotations

import os

from rationem.engines.models import TINY_JUDGE

#: (hub id, GB needed for LoRA, GB needed for full weights with AdamW), for suggestions only.
SUGGESTED = (
    ("Qwen/Qwen2.5-0.5B-Instruct", 4, 10),
    ("Qwen/Qwen2.5-1.5B-Instruct", 8, 28),
    ("meta-llama/Llama-3.2-3B-Instruct", 14, 56),
    ("Qwen/Qwen2.5-7B-Instruct", 30, 130),
)


def suggestion() -> str:
    """Return a sentence with models that fit into this machine's memory in training."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    fitting = [f"{name} (about {lora} GB with --lora-rank 16)" for name, lora, _ in SUGGESTED if lora <= gigabytes]
    return (
        f"With {gigabytes:.0f} GB of memory, for example: {'; '.join(fitting[-2:]) or SUGGESTED[0][0]}; "
        f"or {TINY_JUDGE} to try the pipeline in a minute (it cannot read)."
    )
