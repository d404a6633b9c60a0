"""A trained judge, loaded from its run: ``Judge.load(run).rate(items)``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, overload

from rationem import progress
from rationem.data import Columns
from rationem.engines import conformance, models
from rationem.engines.opening import EngineConfig, closings, longest_text, opening
from rationem.errors import ConfigError, RunError
from rationem.judging import coverages, names, questions
from rationem.judging.asking import Drawn, Plan, ask
from rationem.judging.frames import Frame, is_frame, records, with_ratings
from rationem.judging.questions import Case
from rationem.judging.verdicts import Rating, answer, verdict
from rationem.report.plain import counted
from rationem.run import card as cards
from rationem.run import identity
from rationem.sampling.batches import nothing
from rationem.tasks import from_description
from rationem.tasks.protocol import Task
from rationem.tasks.scale import MARKER
from rationem.types import Engine, Prompt

#: Rationales per item without a calibration.
DRAWS = 8
_BATCHES = 4


class Judge:
    """A trained judge: task, weights and calibration; use :meth:`rate`.

    Args:
        directory: the model directory with the judge card ``rationem.json``.
        engine: the engine; None opens one on the weights on first use: transformers, or the one of ``choice``.
        device: "cpu", "cuda" or None for the GPU if there is one.
        batch_size: completions generated together.
        threads: CPU threads; None keeps torch's setting.
        calibrate: whether to calibrate probabilities, if the run has a calibration.
        adapter_base: the base model's new place, if the weights are an adapter.

    Raises:
        RunError: there is no judge, or its calibration belongs to another prompt or other weights.
    """

    def __init__(
        self,
        directory: Path,
        *,
        engine: Engine | None = None,
        device: str | None = None,
        batch_size: int = 64,
        threads: int | None = None,
        calibrate: bool = True,
        choice: EngineConfig | None = None,
        adapter_base: str | None = None,
    ) -> None:
        self.directory = directory
        self.card = cards.read_card(directory)
        self.task: Task = from_description(self.card.task)
        for criterion in self.task.criteria:
            found = len(self.card.marginals.get(criterion.name, ()))
            if found != len(self.task.levels):  # of an open answer there are none of either
                what = f"{found} marginals for {len(self.task.levels)} levels"
                of = f" of {criterion.name!r}" if criterion.name else ""
                raise RunError(f"{directory / cards.NAME}: {what}{of}.")
        self.calibration = self.card.calibration if calibrate else None
        self._given = engine
        self._opened = ExitStack()
        self.device = device
        self.threads = threads
        self.checkpoint = models.resolve(str(directory), adapter_base) if adapter_base else str(directory)
        self.choice = replace(
            choice or EngineConfig(MARKER, device=device, batch_size=batch_size), marker=self.task.marker
        )
        self.batch_size = self.choice.held if engine is None else engine.batch_size
        self._warned = False
        if self.calibration is not None:
            self._check(self.calibration)

    def __repr__(self) -> str:
        named = [criterion.name for criterion in self.task.criteria if criterion.name]
        told = [self.task.name, " to ".join([*self.task.levels[:1], *self.task.levels[-1:]]), *named]
        told += [f"calibrated by T = {self.calibration.temperature:.3g}"] if self.calibration else []
        told += [counted(len(self.doubts), "doubt", "doubts")] if self.doubts else []
        return f"Judge({str(self.directory)!r}): {', '.join(filter(None, told))}"

    @classmethod
    def load(
        cls,
        run: str | Path,
        *,
        engine: Engine | None = None,
        device: str | None = None,
        batch_size: int = 64,
        threads: int | None = None,
        calibrate: bool = True,
        choice: EngineConfig | None = None,
        adapter_base: str | None = None,
    ) -> Judge:
        """Return the judge of a finished run, or of a model directory copied from one.

        Raises:
            RunError: see :class:`Judge`; or the run is not finished.
        """
        for name, value in (("batch size", batch_size), ("number of threads", threads)):
            if value is not None and value < 1:
                raise ConfigError(f"A {name} of {value}: give at least 1.")
        where = _model_directory(Path(run))
        return cls(
            where,
            engine=engine,
            device=device,
            batch_size=batch_size,
            threads=threads,
            calibrate=calibrate,
            choice=choice,
            adapter_base=adapter_base,
        )

    @cached_property
    def engine(self) -> Engine:
        """The engine; the weights are loaded on first access."""
        return self._given if self._given is not None else _open(self, self._opened)

    @property
    def doubts(self) -> tuple[str, ...]:
        """The training run's warnings against using this judge, as sentences; empty if there are none."""
        return self.card.doubts

    @cached_property
    def model_sha256(self) -> str:
        """The hash of the model's files."""
        return cards.model_sha256(self.directory)

    @overload
    def rate(
        self,
        items: Iterable[Mapping[str, Any]],
        *,
        draws: int | None = None,
        fast: bool = False,
        seed: int | None = None,
        coverage: float | None = None,
    ) -> list[Rating]:
        """Rate a list of items."""

    @overload
    def rate(
        self,
        items: Frame,
        *,
        draws: int | None = None,
        fast: bool = False,
        seed: int | None = None,
        coverage: float | None = None,
    ) -> Frame:
        """Rate the rows of a DataFrame."""

    def rate(
        self,
        items: Any,
        *,
        draws: int | None = None,
        fast: bool = False,
        seed: int | None = None,
        coverage: float | None = None,
    ) -> Any:
        """Rate items: fields "prompt", "response" ("response_a", "response_b", ...), "context" and "reference" if any.

        Multiple choice needs "prompt" and "choices", a list of texts; the rating is a letter, "A" for the first. A task
        with an open answer needs its own inputs; the rating is the answer that the drafts agree with most.

        ``p~(level | x)`` is the mean over ``draws`` sampled rationales of the level's probability after each. Compared
        responses are shown in every order. An item's field "criterion" names the criterion to rate; without it, a judge
        with several criteria gives one rating per criterion.

        Args:
            items: mappings from field names, or column names in training, to texts; other keys are ignored. Or a
                pandas DataFrame with such columns.
            draws: rationales per item (default: the calibration's number, else 8).
            fast: one greedy rationale and its verdict, without probabilities.
            seed: the seed of the drafts (default: the run's); with the item's text it determines the rationales.
            coverage: gives each rating a set of levels that holds one new person's rating with this probability.

        Returns:
            The ratings, in order. An empty or over-long item has one without a level and with a problem. Of a
            DataFrame, the DataFrame with the columns that ``rationem judge`` adds (docs/judging.md).

        Raises:
            DataError: an item lacks a field, or has two names for it.
            ConfigError: the items are not mappings, a criterion is unknown, or ``draws`` is below 1.
            RunError: the engine failed all requests.
        """
        plan = self.plan(draws=draws, fast=fast, seed=seed, coverage=coverage)
        if not is_frame(items):
            return self._rated(items, plan)
        rows = records(items)
        named = sum(self.task.criterion_of(row) is not None for row in rows)
        if 0 < named < len(rows):
            raise ConfigError(f"{named} of {len(rows)} items name a criterion. Name one for all of them, or for none.")
        criteria = ("",) if named else questions.chosen(self.task, None)
        found = self._rated(rows, plan)
        return with_ratings(items, self.task, criteria, found, fast=fast, sets=coverage is not None)

    def _rated(self, items: Iterable[Mapping[str, Any]], plan: Plan) -> list[Rating]:
        ratings: list[Rating] = []
        chunk: list[Case] = []
        size = self.chunk(plan)
        columns = names.columns_of(self.card)
        for item in names.items_of(items, self.task.asked):
            named = self.task.criterion_of(item)
            criteria = questions.chosen(self.task, [named] if named else None)
            known = names.rename(item, columns, self.task)
            chunk += self._cases(known, columns, criteria)
            if len(chunk) >= size:
                ratings += self.decide(chunk, plan)
                chunk = []
        return ratings + self.decide(chunk, plan)

    def _cases(self, item: Mapping[str, Any], columns: Columns | None, criteria: Sequence[str]) -> list[Case]:
        try:
            item = _LAID_OUT[self.task.items](item, columns)
        except ValueError as error:
            return questions.unusable(criteria, str(error))
        return questions.cases(item, criteria, self.card, self.task, self.engine)

    def plan(
        self,
        *,
        draws: int | None = None,
        fast: bool = False,
        seed: int | None = None,
        coverage: float | None = None,
    ) -> Plan:
        """Return the plan with defaults filled in; an unsuitable calibration is omitted with a message.

        Raises:
            ConfigError: ``draws`` is below 1, several greedy ones are requested, or sets that cannot be given.
        """
        if fast and draws not in (None, 1):
            raise ConfigError(f"{draws} draws, and fast: a greedy rationale is the same each time. Omit one of them.")
        fitted = self.calibration
        count = 1 if fast else draws if draws is not None else fitted.draws if fitted else DRAWS
        if count < 1:
            raise ConfigError(f"{count} draws: give at least 1.")
        scores = _RATE[self.task.kind.estimator].scores and not fast
        applies = fitted is not None and count == fitted.draws and not fast
        if scores and not applies:
            self._say_uncalibrated(count)
        return Plan(
            draws=count,
            fast=fast,
            seed=self.card.seed if seed is None else seed,
            temperature=fitted.temperature if fitted is not None and applies else None,
            max_new_tokens=self.card.max_new_tokens,
            scores=scores,
            coverage=coverage,
            threshold=None if coverage is None else coverages.threshold_for(coverage, fitted if applies else None),
        )

    def chunk(self, plan: Plan) -> int:
        """Return the number of cases per chunk: a few batches, so that rows of similar length can share a batch."""
        return max(1, _BATCHES * self.batch_size // (plan.draws * self.task.orders))

    def decide(self, cases: Sequence[Case], plan: Plan, tick: Callable[[], None] = nothing) -> list[Rating]:
        """Return one rating per case; ``tick`` is called after every batch.

        Raises:
            RunError: the engine failed all requests.
        """
        asked = {prompt: case.fields for case in cases for prompt in case.prompts}
        drawn = ask(asked, plan, self.engine, self.task, tick)
        decide = _RATE[self.task.kind.estimator].decide
        return [decide(self, case, [drawn[prompt] for prompt in case.prompts], plan) for case in cases]

    def open(self) -> Judge:
        """Load the weights now instead of on first use."""
        self.engine.prompt_tokens(Prompt(""))
        return self

    def close(self) -> None:
        """Release the weights; an engine given by the caller stays open."""
        if self._given is None and "engine" in vars(self):
            self.engine.close()
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _say_uncalibrated(self, count: int) -> None:
        if self.calibration is not None:
            reason = f"it was fitted with {self.calibration.draws} drafts per item, but {count} are requested"
        else:
            reason = "the run had no validation set" if self.card.calibration is None else "turned off"
        if not self._warned:
            progress.say(f"The probabilities are not calibrated: {reason}.")
        self._warned = True

    def _check(self, calibration: cards.Calibration) -> None:
        """Reject a calibration that was fitted with another prompt or other weights."""
        differs = [
            name
            for name, bound, found in (
                ("prompt (wording, levels, criteria)", calibration.prompt_sha256, cards.prompt_sha256(self.card.task)),
                ("weights (*.safetensors)", calibration.model_sha256, self.model_sha256),
            )
            if bound != found
        ]
        if differs:
            raise RunError(
                f"{self.directory}: the {' and the '.join(differs)} changed since the calibration was fitted, so it "
                "is not valid for this judge. Use the model/ that the run wrote, or no calibration: "
                "--no-calibration, in Python calibrate=False."
            )


def _verdict(judge: Judge, case: Case, orders: list[list[Drawn]], plan: Plan) -> Rating:
    return verdict(case, orders, plan, judge.task.scale, judge.card.marginals[case.criterion])


def _answer(judge: Judge, case: Case, orders: list[list[Drawn]], plan: Plan) -> Rating:
    return answer(case, orders, plan, judge.task.reward)


class _Way(NamedTuple):
    """How the drafts of an item become its rating, and whether the levels are scored after each for that."""

    decide: Callable[[Judge, Case, list[list[Drawn]], Plan], Rating]
    scores: bool


#: By ``Kind.estimator``.
_RATE = {"levels": _Way(_verdict, scores=True), "consensus": _Way(_answer, scores=False)}


def _as_given(item: Mapping[str, Any], _: Columns | None) -> Mapping[str, Any]:
    return item


#: How an item that a caller gave is read, by ``Task.items``.
_LAID_OUT = {"responses": _as_given, "inputs": _as_given, "choices": names.with_choices}


def _open(judge: Judge, opened: ExitStack) -> Engine:
    if judge.choice.row.in_process:
        import torch

        if judge.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("The device cuda: torch finds no GPU on this machine. Omit it to run on the CPU.")
        if judge.threads is not None:
            torch.set_num_threads(judge.threads)
    identity.check_base(Path(judge.checkpoint), judge.card.base)
    lengths = (judge.card.max_prompt_tokens, judge.card.max_new_tokens)
    length = longest_text(lengths, models.positions(str(judge.directory), judge.checkpoint))
    choice = replace(judge.choice, closings=closings(judge.task), length=length)
    name = str(judge.directory)
    chat = models.chat(name, judge.checkpoint, choice.conversation)
    conformance.check_model(name, judge.checkpoint, chat, judge.task)
    return opened.enter_context(opening(choice))(judge.checkpoint)


def _model_directory(run: Path) -> Path:
    for directory in (run / "model", run):
        if (directory / cards.NAME).is_file():
            return directory
    if (run / "ledger.sqlite").is_file():
        raise RunError(f"{run} is not finished: there is no judge in it yet. Continue it: rationem fit --output {run}")
    if not run.exists():
        raise RunError(f"{run}: there is no such directory. Name the run directory that rationem fit wrote.")
    raise RunError(
        f"{run} holds no run and no judge (there is no {cards.NAME}). Name the directory that rationem fit wrote."
    )
