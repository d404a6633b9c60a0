"""Small finished runs to share: of a model that writes verdicts, as full weights and as an adapter."""

import csv
import random
from pathlib import Path

from rationem import FitConfig, start


def ratings(path: Path, count: int = 50, levels=(1, 2, 3, 4, 5)) -> Path:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt", "response", "rating"])
        rows.writerows([f"what is {n} ?", f"{n} kind", random.Random(n).choice(levels)] for n in range(count))
    return path


def run(folder: Path, name: str, **changes) -> Path:
    """Fit once; the model is made when it is first needed."""
    import checkpoints

    if not (folder / "model").is_dir():
        checkpoints.grader(folder / "model")
    settings = {
        "data": (str(ratings(folder / "ratings.csv")),), "scale": "1-5", "model": str(folder / "model" / "grader"),
        "iterations": 2, "steps": 4, "batch_size": 8, "micro_batch_size": 4, "max_new_tokens": 24, "scheme": "star",
        "max_prompt_tokens": 600, "learning_rate": 1e-3, "draws": 2, "evidence_draws": 2, "wrong_hints": 4,
        "difficulty_examples": 4, "sampling_batch": 16, "threads": 1, "validation_share": 0.2, "test_share": 0.2,
    }  # fmt: skip
    return start(FitConfig(**{**settings, **changes}), folder / name)
