"""A run in Python: ``run = rationem.fit(ratings, output="runs/first", model="smollm2", scale="1-5")``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from rationem import progress, report
from rationem.config import configured
from rationem.judging.frames import ids, is_frame, pandas, write_frame
from rationem.judging.judge import Judge
from rationem.ledger import is_begun, read_examples, read_only, read_predictions
from rationem.ledger.one_example import typical_draw
from rationem.report.sections.course import scores_of
from rationem.report.sections.learned import sentence, warnings
from rationem.report.sections.scores import brief
from rationem.report.trust import compared
from rationem.run.launch import start
from rationem.types import Example


class Run:
    """A run directory: what ``rationem.fit`` returns; ``Run("runs/first")`` opens one that is there.

    Args:
        directory: the run directory.

    Raises:
        RunError: it holds no run.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._known = report.summarize(self.directory)

    @property
    def summary(self) -> dict[str, Any]:
        """All numbers, as in ``metrics.json`` (docs/run-directory.md)."""
        return self._known

    @property
    def says(self) -> tuple[str, ...]:
        """What was learned in a sentence, and every warning."""
        return (sentence(self.summary), *warnings(self.summary))

    def judge(self, **settings: Any) -> Judge:
        """Return the trained judge.

        Args:
            settings: see :meth:`rationem.Judge.load`.

        Raises:
            RunError: the run is not finished.
        """
        return Judge.load(self.directory, **settings)

    def report(self) -> Path:
        """Return the page for a browser, ``report.html``; it is written if it is missing."""
        page = self.directory / "report.html"
        if not page.is_file():
            report.write(self.directory, self.summary)
        return page

    @cached_property
    def predictions(self) -> Any:
        """A DataFrame of the test items, or of the validation items without a test set; one row per item as asked.

        Its columns: ``id``, ``criterion`` if there are several, the inputs, ``answer`` (people's), ``before`` and
        ``predicted`` (of the base model and of the chosen iteration), ``p_LEVEL`` of each level, ``rationale`` of a
        draft with this prediction, ``draws`` and ``unparsed_draws``.

        Raises:
            ConfigError: pandas is not installed.
        """
        return pandas().DataFrame(list(self._rows()))

    def _rows(self) -> Iterator[dict[str, Any]]:
        split, best = compared(self.summary)[0], self.summary["best_iteration"]
        levels = self.summary["scale"]["levels"]
        with closing(read_only(self.directory)) as db:
            examples = {x.id: x for x in read_examples(db, split)}
            before = {one.example_id: one.predicted for one in read_predictions(db, 0, split)}
            for one in read_predictions(db, best, split):
                drawn = typical_draw(db, best, split, one.example_id)
                yield {
                    **_asked(examples[one.example_id], bool(self.summary["criteria"])),
                    "before": before.get(one.example_id),
                    "predicted": one.predicted,
                    **{f"p_{level}": p for level, p in zip(levels, one.probabilities, strict=False)},
                    "rationale": drawn[0] if drawn else None,
                    "draws": one.draws,
                    "unparsed_draws": one.unparsed,
                }

    def __repr__(self) -> str:
        return f"Run({str(self.directory)!r}): {' '.join(self.says)}"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the sentence, warnings, and the main numbers."""
        first, *doubts = self.says
        split = compared(self.summary)[0]
        lines = [f"<p><b>{escape(first)}</b></p>", *(f"<p>⚠ {escape(one)}</p>" for one in doubts)]
        if split in self.summary["baselines"]:
            table = brief(self.summary, split, [key for _, key in scores_of(self.summary)])
            lines.append(_table(table.head, table.rows))
        return "".join([*lines, f"<p><code>{escape(str(self.directory))}</code></p>"])


def fit(data: Any, *, output: str | Path, show: bool = True, **settings: Any) -> Run:
    """Train on ratings or questions with answers, or resume; the same as ``rationem fit``.

    Args:
        data: a pandas DataFrame, or the name of a file, folder or data set, or several. A DataFrame is written beside
            the run directory as ``NAME.data.jsonl``, so that the run can be repeated from files; the same of ``test``.
        output: the run directory.
        show: show progress, in a terminal or a notebook.
        settings: any setting of ``FitConfig``: ``model``, ``scale``, ``iterations``, ``quick``, ...

    Raises:
        RationemError: a setting, the data, a model or the run directory cannot be used as requested.
    """
    given = {"data": data} | ({"test": settings.pop("test")} if settings.get("test") is not None else {})
    places = {what: Path(output).with_name(f"{Path(output).name}.{what}.jsonl") for what in given}
    named = {what: _names(one, places[what]) for what, one in given.items()}
    config = configured(**named, **settings)  # before anything is written
    with (
        progress.shown(progress.Rich() if show else progress.Silent()),
        _undone(Path(output), places.values()),
        progress.busy("reading the data"),
    ):
        for what, one in given.items():
            if is_frame(table := _frame(one)):
                write_frame(table, places[what])
                _tell_ids(table, settings)
        return Run(start(config, output))


def _frame(data: Any) -> Any:
    """Return a table of polars, arrow or datasets as a DataFrame, and anything else as it is."""
    return data.to_pandas() if hasattr(data, "to_pandas") else data


def _names(data: Any, place: Path) -> tuple[str, ...]:
    """Return the names of files; a table gets one."""
    if is_frame(data) or hasattr(data, "to_pandas"):
        return (str(place),)
    return tuple(map(str, (data,) if isinstance(data, str | Path) else data))


@contextmanager
def _undone(output: Path, files: Iterable[Path]) -> Iterator[None]:
    """Leave the files as they were if no run begins; what a run began with stays for the run."""
    before = {file: file.read_bytes() if file.is_file() else None for file in files}
    try:
        yield
    except BaseException:  # also after an interrupt no file of a run that never began may stay; re-raised
        for file, content in before.items():
            if content is not None:
                file.write_bytes(content)
            elif not is_begun(output):
                file.unlink(missing_ok=True)
        raise


def _tell_ids(table: Any, settings: Mapping[str, Any]) -> None:
    """Say that a column of ids is not used."""
    if settings.get("id_col") is None and (found := ids(table)):
        progress.say(
            f"fit(): the column {found[0]!r} looks like an id and is not used; the rows are numbered. To keep its "
            f"ids: id_col={found[0]!r}."
        )


def _asked(x: Example, criteria: bool) -> dict[str, Any]:
    named = {"criterion": x.criterion} if criteria else {}
    return {"id": x.id, **named, **x.fields, "answer": x.answer}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    return f"<table>{row(head, 'th')}{''.join(row(cells, 'td') for cells in rows)}</table>"
