"""A few drafts of the model on the data, as a fit makes them before its first E-step: can they be read?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from rationem.check.findings import Finding, warning
from rationem.config import FitConfig
from rationem.errors import ConfigError
from rationem.evaluation.diagnostics.cold_start import advice, sampled, shares
from rationem.ledger import Ledger
from rationem.report.plain import plain
from rationem.run.launch import resolve
from rationem.run.problem import by_name, problem_of
from rationem.types import Purpose


def drafts(config: FitConfig) -> tuple[dict[str, Any], list[Finding]]:
    """Return the counts of each proposal's drafts, and a warning if too few can be read; nothing is left on the disk.

    Raises:
        ConfigError: no model is named.
        RationemError: a fit with these settings would be refused.
    """
    if config.model is None:
        raise ConfigError("--probe draws from a model: name it (--model).")
    with tempfile.TemporaryDirectory(prefix="rationem-probe-") as place:
        run, recorded = resolve(config, Path(place) / "run")
        ledger = Ledger(Path(place) / "run")
        try:
            ledger.start(recorded, by_name(run.splits))
            with problem_of(run, ledger) as problem:
                try:
                    problem.measure.start(problem.base)
                finally:
                    problem.engines.close()
            found = shares(list(ledger.trials(0, Purpose.START)))
        finally:
            ledger.close()
    poor = [one for one in found if one.poor and one.proposal in sampled(run.scheme)]
    findings = [warning("unreadable_drafts", plain(advice(poor, run.config.max_new_tokens or 0)))] if poor else []
    return {one.proposal: one.counts for one in found}, findings
