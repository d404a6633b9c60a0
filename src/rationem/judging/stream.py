"""Rates a file of any length: read, rated and written in chunks, and resumed after a kill."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rationem import data, progress
from rationem.data.shapes import AS_THEY_ARE
from rationem.errors import ConfigError, DataError
from rationem.judging import job as jobs
from rationem.judging import questions
from rationem.judging.asking import Plan
from rationem.judging.judge import Judge
from rationem.judging.source import ItemReader, Source, check_inputs, chunks, look, reading, written
from rationem.judging.table import CLASH, Format, Layout, format_of, layout
from rationem.judging.totals import Count, Totals, counts_of
from rationem.run import card as cards


@dataclass(frozen=True, slots=True)
class _Work:
    """One file with one judge: everything that is fixed before the first row."""

    judge: Judge
    plan: Plan
    criteria: tuple[str, ...]
    source: Source
    reading: ItemReader
    layout: Layout
    format: Format

    @property
    def size(self) -> int:
        """The number of rows in a chunk."""
        return max(1, self.judge.chunk(self.plan) // len(self.criteria))

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that determines the bytes of the output."""
        card = (self.judge.directory / cards.NAME).read_bytes()
        return {
            "input": str(self.source.path),
            "input_sha256": self.source.sha256,
            "card_sha256": hashlib.sha256(card).hexdigest(),
            "model_sha256": self.judge.model_sha256,
            "criteria": list(self.criteria),
            "columns": self.reading.columns.to_dict(),
            "preset": self.reading.preset.name if self.reading.preset else None,
            "draws": self.plan.draws,
            "fast": self.plan.fast,
            "seed": self.plan.seed,
            "temperature": self.plan.temperature,
            "engine": self.judge.choice.engine,
            "batch_size": self.judge.batch_size if self.judge.choice.row.in_process else None,
            "device": self.judge.device,
            "threads": self.judge.threads,
            **self.source.said(),
            **({} if self.plan.coverage is None else {"coverage": self.plan.coverage}),
        }

    def rate(self, rows: Sequence[data.Row], counts: Mapping[str, Count], tick: Callable[[], None]) -> bytes:
        """Return the bytes of a chunk, and count it; ``tick`` is called after every batch."""
        cases = [case for row in rows for case in self._cases(row)]
        ratings = self.judge.decide(cases, self.plan, tick)
        for rating in ratings:
            counts[rating.criterion].add(rating)
        wide = len(self.criteria)
        pairs = [(row.cells, self.layout.cells(ratings[n * wide : (n + 1) * wide])) for n, row in enumerate(rows)]
        return self.format.rows(self.layout, pairs)

    def _cases(self, row: data.Row) -> list[questions.Case]:
        judge = self.judge
        try:
            return questions.cases(self.reading.item(row), self.criteria, judge.card, judge.task, judge.engine)
        except DataError as error:
            return questions.unusable(self.criteria, str(error))


def rate_file(
    judge: Judge,
    source: str | Path,
    output: str | Path,
    *,
    draws: int | None = None,
    fast: bool = False,
    seed: int | None = None,
    coverage: float | None = None,
    criteria: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    preset: str | None = None,
    overwrite: bool = False,
    form: data.FileFormat | None = None,
    shapes: data.Shapes = AS_THEY_ARE,
) -> Totals:
    """Add the judge's ratings to every row of a file, as ``rationem judge`` does.

    After a kill, the same call resumes, and the output is the same byte by byte (with the same number of threads on
    the same machine).

    Args:
        judge: the judge with its engine.
        source: csv, tsv, json, jsonl or parquet; read row by row.
        output: csv, tsv or jsonl, by its suffix.
        draws: see :meth:`Judge.rate`, like the next two.
        fast: see there.
        seed: see there.
        coverage: see there.
        criteria: the criteria to rate (default: all).
        columns: role -> column, for names that differ from training: "prompt", "response", "reference", "context".
        preset: the published set of the file.
        form: how its records are found, where the file does not show it.
        shapes: which columns become rows, what is joined, and which rows are rated.
        overwrite: replace a finished output, or another job's unfinished one.

    Raises:
        DataError: the input cannot be read, or the output's suffix is not a known format.
        ConfigError: a setting contradicts another or the judge.
        RunError: the output already exists or cannot be written; or the engine failed.
    """
    target = Path(output)
    work = _prepared(
        judge,
        Path(source),
        target,
        judge.plan(draws=draws, fast=fast, seed=seed, coverage=coverage),
        criteria,
        columns,
        preset,
        form or data.FileFormat(),
        shapes,
    )
    jobs.check(target, overwrite=overwrite or jobs.note(target).exists())
    fingerprint = work.fingerprint()
    finished = jobs.done(target, fingerprint)
    if finished is not None:
        jobs.forget(target)
        return Totals(work.source.rows, counts_of(work.criteria, finished["totals"]), 0, 0.0)
    jobs.check(target, overwrite=overwrite)
    judge.open()
    started = time.perf_counter()
    with jobs.open_job(target, fingerprint, work.format.head(work.layout), overwrite=overwrite) as job:
        before = job.rows
        counts = _rate_all(work, job)
        job.finish()
    return Totals(job.rows, counts, job.rows - before, time.perf_counter() - started)


def _rate_all(work: _Work, job: jobs.RatingJob) -> dict[str, Count]:
    counts = counts_of(work.criteria, job.totals)
    if job.rows:
        progress.say(f"Resuming after {job.rows} of {work.source.rows} rows.")
    with progress.track("judging", work.source.rows) as advance:
        advance(job.rows)
        for rows in chunks(work.source, job.rows, work.size):
            # A chunk can take minutes; a log should show progress in between.
            written = work.rate(rows, counts, lambda: advance(0))
            job.append(written, len(rows), {name: count.as_dict() for name, count in counts.items()})
            advance(len(rows))
    if job.rows != work.source.rows:
        raise DataError(f"{work.source.path} changed while it was read. Rate it again with --overwrite.")
    return counts


def _prepared(
    judge: Judge,
    source: Path,
    output: Path,
    plan: Plan,
    criteria: Sequence[str] | None,
    columns: Mapping[str, str] | None,
    preset: str | None,
    form: data.FileFormat,
    shapes: data.Shapes,
) -> _Work:
    format_of(output)  # an unsuitable suffix is refused before the input is read
    if source.resolve() == output.resolve():
        raise ConfigError(f"{output} is the input itself. Give another name for the output.")
    names = questions.chosen(judge.task, criteria)
    found = look(source, form, shapes)
    read = reading(found, judge.card, columns or {}, preset)
    check_inputs(read, found.paths, judge.task)
    table = layout(found.names, judge.task, names, fast=plan.fast, sets=plan.coverage is not None)
    if any(name.startswith(CLASH) for columns in table.added for name, _ in columns[:1]):
        progress.say(
            f"{source} has columns with the same names as the judge's output: in {output} the judge's begin with "
            f"{CLASH!r}."
        )
    return _Work(judge, plan, names, found, read, table, format_of(output, written(found)))
