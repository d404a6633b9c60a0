"""A real model learns from real grades: SmolLM2 on SemEval-2013 Task 7, one scheme after another.

    python studies/real.py DATA [--output runs/real-model] [--arms direct,rs,star] [--seeds 0,1,2] [--questions]
    python studies/real.py DATA --search                        # in which settings does answer alone learn?
    python studies/real.py --page docs/real-study.md            # write the page from the numbers that are there

DATA is the folder of the task as its authors published it. Every arm trains on the same grades, with the same passes
over what it keeps, and is tested on unseen answers and, with ``--questions``, on unseen questions. A finished arm is
not run again and a killed one goes on; its numbers go to ``studies/results/`` as soon as it ends. The search trains
answer alone and looks at validation grades only. ``--device cuda`` runs the same on a GPU.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from page import write_below
from real_items import said
from real_page import figure, page
from sklearn.metrics import roc_auc_score

from rationem import FitConfig, report, start
from rationem.data import load, write_csv
from rationem.engines.models import resolve
from rationem.evaluation.evaluate import SHOTS
from rationem.ledger import read_only
from rationem.ledger.reading import read_predictions
from rationem.report.blocks import block, calibration
from rationem.report.run import Recorded, read_run
from rationem.types import Example, Prediction

RESULTS = Path(__file__).parent / "results"
MARK = "<!-- Everything below is written by `python studies/real.py`. -->"
PRESET = "semeval2013-2way"
LEVELS = ("incorrect", "correct")
#: The columns of the tables that are inputs.
FIELDS = ("prompt", "response", "reference")
SETTINGS: dict[str, Any] = {
    "model": "smollm2",
    "scale": " < ".join(LEVELS),
    "instruction": "Is the student's answer right?",
    "reference_col": "reference",
    "id_col": "id",
    "group_col": "pupil",
    "split_seed": 0,
    "validation_share": 0.1,
    "batch_size": 16,
    "micro_batch_size": 8,
    "learning_rate": 1e-4,
    "max_new_tokens": 60,
    "draws": 2,
    "evidence_draws": 0,
    "wrong_hints": 0,
    "difficulty_examples": 0,
    "go_on": True,
}
#: What the search tries with answer alone: questions and grades (None: all), passes and rate.
SEARCH = ((6, None, 6, 2e-4), (6, None, 6, 1e-4), (None, 1000, 3, 1e-4), (None, None, 1, 1e-4), (None, None, 3, 2e-4))


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to learn from the grades: its directory's name, its name in tables, and the settings that make it."""

    key: str
    name: str
    settings: Mapping[str, Any]


ARMS = (
    Arm("direct", "answer alone", {"scheme": "direct"}),
    # The base model with demonstrations is measured once, beside this arm.
    Arm("rs", "RS(4)", {"scheme": "rs:4", "demos": "4", "shots": 4}),
    Arm("star", "STaR", {"scheme": "star", "demos": "4"}),
    Arm("pps", "PPS", {"scheme": "pps", "demos": "4"}),
    Arm("frozen", "frozen PPS resampled", {"scheme": "rationalize@base*2", "selector": "resample", "demos": "4"}),
    Arm("marginal", "marginal:4", {"scheme": "marginal:4", "demos": "4"}),
)


def pupil(example: Example) -> str:
    """Return the key of a question and the pupil who answered it, perhaps several times: an id but its last part."""
    return _pupil(example.id)


def _pupil(name: str) -> str:
    return name.rpartition(".")[0] or name


def graded(files: Sequence[Path]) -> list[Example]:
    """Return graded answers, read by the preset, each grouped with the other answers of its pupil to its question."""
    found = load(files, preset=PRESET).examples if files else []
    inputs = [{name: x.fields.get(name, "") for name in FIELDS} for x in found]
    return [replace(x, fields={**some, "pupil": pupil(x)}) for x, some in zip(found, inputs, strict=True)]


def rarer(examples: Sequence[Example]) -> int:
    """Return how many of some answers have the grade that fewer of them have."""
    grades = [x.answer for x in examples]
    return min(grades.count(level) for level in LEVELS)


def parted(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Hold out the answers of two pupils in five."""
    pupils = sorted({x.fields["pupil"] for x in examples})
    held = set(random.Random(0).sample(pupils, 2 * len(pupils) // 5))
    return [x for x in examples if x.fields["pupil"] not in held], [x for x in examples if x.fields["pupil"] in held]


def tables(options: argparse.Namespace) -> tuple[Path, tuple[Path, ...]]:
    """Write the training table and the test tables.

    With few questions, those with most answers of their rarer grade, two pupils in five are held out besides the
    published test answers, which would be too few.
    """
    training = {file.name: graded([file]) for file in _files(options, "training")}
    if not training:
        raise SystemExit(f"There are no questions of {options.corpus} in {options.data}.")
    names = sorted(training, key=lambda name: (-rarer(training[name]), name))[: options.few]
    train, held = [x for name in names for x in training[name]], []
    if options.few:
        train, held = parted(train)
    tests = {"unseen-answers": held}
    tests["unseen-answers"] += graded(
        [file for file in _files(options, "test", "unseen-answers") if file.name in names]
    )
    if options.questions:
        tests["unseen-questions"] = graded(_files(options, "test", "unseen-questions"))
    place = options.output / "tables" / f"{options.corpus}-{options.few or 'all'}"
    place.mkdir(parents=True, exist_ok=True)
    for name, examples in {"training": train, **tests}.items():
        write_csv(place / f"{name}.csv", examples)
    return place / "training.csv", tuple(place / f"{name}.csv" for name in tests)


def _files(options: argparse.Namespace, part: str, kind: str = "") -> list[Path]:
    """Return the files of a part of the task, one for each question."""
    place = options.data / part / "2way" / options.corpus
    return sorted((place / f"test-{kind}" if kind else place).glob("*.xml"))


def part_numbers(run: Recorded, k: int, examples: Sequence[Example], split: str = "test") -> dict[str, Any]:
    """Return the numbers of one iteration on some test examples, and its p(correct) for each of them."""
    ids = {x.id for x in examples}
    said = [one for one in read_predictions(run.db, k, split) if one.example_id in ids]
    if not said:
        return {}
    validation = (read_predictions(run.db, k, "validation"), run.sets["validation"])
    found = block(said, examples, run.kind)
    fitted = calibration(validation, (said, examples), run.kind, validation[0]) if validation[0] else None
    keys = ("count", "accuracy", "accuracy_se", "macro_f1", "kappa", "log_likelihood", "unparsed_draws")
    return {
        **{key: found.get(key) for key in keys},
        "auc": auc(said, examples),
        "calibrated": (fitted or {}).get("test", {}).get("after") if fitted and fitted["test"] else None,
        "right": right(said, examples),
    }


def right(said: Sequence[Prediction], examples: Sequence[Example]) -> dict[str, float]:
    """Return for each answer whether the more probable grade is the given one; a tie counts a half.

    Keys are PUPIL.ANSWER, digests of the published ids: neither ids nor grades are written down.
    """
    given = {x.id: LEVELS.index(x.answer) for x in examples}
    found = {}
    for one in said:
        p = one.probabilities[1]
        key = ".".join(sha256(part.encode()).hexdigest()[:8] for part in (_pupil(one.example_id), one.example_id))
        found[key] = 0.5 if p == 0.5 else float((p > 0.5) == given[one.example_id])
    return found


def auc(said: Sequence[Prediction], examples: Sequence[Example]) -> float | None:
    """Return the area under the ROC curve of p(correct); None if all grades are equal."""
    label = {x.id: x.answer == LEVELS[1] for x in examples}
    pairs = [(label[one.example_id], one.probabilities[1]) for one in said if one.example_id in label]
    return float(roc_auc_score(*zip(*pairs, strict=True))) if len({right for right, _ in pairs}) == 2 else None


def numbers(directory: Path, took: float) -> dict[str, Any]:
    """Return what a finished run says: by part of the test set, and what it cost."""
    summary = report.summarize(directory)
    best = summary["best_iteration"]
    with closing(read_only(directory)) as db:
        run = read_run(db)
        parts: dict[str, list[Example]] = {}
        for x in run.sets["test"]:
            parts.setdefault(Path(x.source.split(":")[0]).stem, []).append(x)
        validation = read_predictions(db, best, "validation")
        return {
            "best": best,
            "last": summary["last_iteration"],
            "examples": summary["examples"],
            "constant": {name: summary["baselines"][name]["constant"]["accuracy"] for name in summary["baselines"]},
            "base": {name: part_numbers(run, 0, some) for name, some in parts.items()},
            "demonstrated": {name: part_numbers(run, 0, some, SHOTS) for name, some in parts.items()},
            "chosen": {name: part_numbers(run, best, some) for name, some in parts.items()},
            "validation_auc": auc(validation, run.sets["validation"]),
            "validation_accuracy": [one.get("validation", {}).get("accuracy") for one in summary["iterations"]],
            "kept": [(one.get("e_step") or {}).get("states", {}).get("kept") for one in summary["iterations"][1:]],
            "generated_tokens": sum(
                (one.get("e_step") or {}).get("generated_tokens", 0) for one in summary["iterations"]
            ),
            "seconds": took,
        }


def carry_out(about: Mapping[str, Any], config: FitConfig, options: argparse.Namespace) -> None:
    """Run one arm in one setting unless its numbers are there; they are written as soon as it ends."""
    name = re.sub(r"[^a-z0-9.]+", "-", f"{about['setting']} {about['arm']} {about['seed']}".lower())
    place = options.results / f"{name}.json"
    found = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    if not found:
        began = time.perf_counter()
        directory = start(config, options.output / name)
        found = {**about, **numbers(directory, time.perf_counter() - began)}
    elif "said" in found or not (options.output / name / "model").is_dir():
        return
    if config.scheme != "direct":
        found["said"] = said(options.output / name, Path(resolve(options.model)))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def setting(options: argparse.Namespace, limit: int | None, epochs: int, rate: float, iterations: int) -> str:
    """Return the words for what all arms of a comparison share."""
    questions = f"{options.few} questions" if options.few else "all questions"
    grades = "all grades" if limit is None else f"{limit} grades"
    passes = f"{epochs} passes" if iterations == 1 else f"{iterations} iterations of {epochs} passes"
    return f"{options.corpus}, {questions}, {grades}, {passes} at {rate:g}"


def arms(options: argparse.Namespace) -> None:
    """Run the arms, seed by seed, so that what is there is comparable."""
    train, tests = tables(options)
    shared = setting(options, options.limit, options.epochs, options.rate, options.iterations)
    sizes = {"limit": options.limit, "iterations": options.iterations, "epochs": options.epochs}
    for seed in options.seeds:
        for arm in ARMS:
            if arm.key in options.arms:
                told = {**SETTINGS, **machine(options), **sizes, "learning_rate": options.rate, **arm.settings}
                config = FitConfig(**told, data=(str(train),), test=tuple(map(str, tests)), seed=seed)
                carry_out({"setting": shared, "arm": arm.key, "seed": seed}, config, options)


def search(options: argparse.Namespace) -> None:
    """Train answer alone in every setting of ``SEARCH``; only validation grades are looked at."""
    for few, limit, epochs, rate in SEARCH:
        options.few = few
        train, _ = tables(options)
        sizes = {"limit": limit, "epochs": epochs, "learning_rate": rate, "iterations": 1}
        config = FitConfig(
            **{**SETTINGS, **machine(options), **sizes}, scheme="direct", data=(str(train),), test_share=0.0
        )
        carry_out({"setting": setting(options, limit, epochs, rate, 1), "arm": "search", "seed": 0}, config, options)


def machine(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that say what runs where."""
    return {name: getattr(options, name) for name in ("model", "device", "threads", "precision")}


def main() -> None:
    """Run what is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--output", type=Path, default=Path("runs/real-model"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--corpus", choices=("sciEntsBank", "beetle"), default="sciEntsBank")
    parser.add_argument("--arms", type=lambda text: text.split(","), default=[arm.key for arm in ARMS])
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[0])
    parser.add_argument("--limit", type=int, default=400)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--device", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument(
        "--few", type=int, help="train on so many questions, those with most answers of the rarer grade"
    )
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate")
    parser.add_argument("--questions", action="store_true", help="test on unseen questions too")
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    if options.data:
        (search if options.search else arms)(options)
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(options.results.glob("*.json"))]
    names = {arm.key: arm.name for arm in ARMS}
    figures = drawn(found, names, options.page) if options.page else {}
    parts = list(page(found, names, figures))
    print("\n\n".join(parts))
    if options.page:
        write_below(options.page, MARK, parts, title="A real model and real grades")


def drawn(found: Sequence[Mapping[str, Any]], names: Mapping[str, str], page_file: Path) -> dict[str, str]:
    """Draw a figure for each setting beside the page, and return its name by setting."""
    ran = [one for one in found if one["arm"] != "search"]
    files = {}
    for at, one in enumerate(dict.fromkeys(run["setting"] for run in ran)):
        file = page_file.with_name(f"{page_file.stem}{f'-{at + 1}' if at else ''}.svg")
        file.write_text(figure([run for run in ran if run["setting"] == one], names), encoding="utf-8")
        files[one] = file.name
    return files


if __name__ == "__main__":
    main()
