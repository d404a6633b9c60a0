"""rationem: train a language model to reason from answers alone, by filtered expectation-maximization.

    import rationem
    run = rationem.fit("ratings.csv", output="runs/first", model="smollm2", scale="1-5")

Names are loaded when they are used; ``import rationem`` loads no torch.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "AnswerTask": "tasks.answer",
    "Control": "evaluation.measurements",
    "DIRECT": "sampling.schemes",
    "Diagnostics": "evaluation.measurements",
    "Draft": "types",
    "EMInfo": "evaluation.iteration",
    "EMState": "em",
    "Engine": "types",
    "EnginePool": "engines.pool",
    "Evaluation": "evaluation.measurements",
    "Example": "types",
    "FitConfig": "config.fit",
    "Judge": "judging.judge",
    "JudgeTask": "tasks.judge",
    "Ledger": "ledger",
    "Outcome": "types",
    "PPS": "sampling.schemes",
    "Problem": "em",
    "Prompt": "types",
    "Proposal": "sampling.schemes",
    "Rating": "judging.verdicts",
    "RationemError": "errors",
    "STAR": "sampling.schemes",
    "Sampling": "types",
    "SamplingContext": "sampling.trials",
    "Scale": "tasks.scale",
    "Scheme": "sampling.schemes",
    "ScriptedEngine": "engines.scripted",
    "Splits": "types",
    "State": "types",
    "Stopping": "evaluation.stopping",
    "SupervisedMStep": "sft.m_step",
    "Task": "tasks.protocol",
    "Training": "sft.settings",
    "TransformersEngine": "engines.transformers",
    "check_task": "tasks.conformance",
    "em_step": "em",
    "Run": "judging.fitted",
    "fit": "judging.fitted",
    "start": "run.launch",
    "parse_scheme": "sampling.schemes",
    "rate_file": "judging.stream",
    "rejection_sampling": "sampling.schemes",
    "Sample": "types",
}

__version__ = "0.1.0"
__all__ = sorted(_PUBLIC)  # noqa: PLE0605 - one table serves both


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rationem' has no attribute {name!r}")
    return getattr(import_module(f"rationem.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return __all__
