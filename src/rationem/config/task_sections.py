"""The settings of data, model and task; see :mod:`.sections`."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from rationem.config.metadata import Alias, Identity, Mark, Reach, Reason, TakenBy, TaskKind

#: A setting that names a column of the data.
Column = Annotated[str | None, Reach.NOTHING, TakenBy.TASK_CHECK]


class SettingsGroup(BaseModel):
    """Settings of one group, and metadata for all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    group: ClassVar[str]
    marks: ClassVar[tuple[Enum, ...]] = ()


class DataSettings(SettingsGroup):
    """The data."""

    group: ClassVar[str] = "what to learn from"
    marks: ClassVar[tuple[Enum, ...]] = (TakenBy.PROMPT,)

    @field_validator("data", "test", mode="before")
    @classmethod
    def _no_table(cls, value: object) -> object:
        """Refuse a table: its column names would be taken for names of files."""
        several = value if isinstance(value, list | tuple) else (value,)
        if any(hasattr(one, "columns") or hasattr(one, "column_names") for one in several):
            raise ValueError(
                "a table in memory is not the name of a file. rationem.fit(table, output=..., ...) trains on it, with "
                "the same settings; or write it to a file."
            )
        return value

    data: Annotated[tuple[str, ...], Reach.DATA, Mark.ASKED] = Field(
        (), description="files, data set folders or hub ids (owner/name#split), or 'world' for the embedded judge world"
    )
    test: Annotated[tuple[str, ...], Reach.DATA, Mark.OWN_DATA, Mark.COMMON] = Field(
        (), description="the test set, named like DATA; without it a part of DATA is held out"
    )
    preset: Annotated[str | None, Reach.NOTHING, TakenBy.TASK_CHECK] = Field(
        None, description="name of a published data set whose columns are known"
    )
    scale: Annotated[
        str | None,
        *(Reach.NOTHING, TakenBy.TASK_CHECK, TaskKind.JUDGE, TaskKind.CHOICE, Mark.COMMON, Mark.ASKED),
        Reason("the values found, worst first"),
    ] = Field(
        None,
        description=(
            "levels: '1-5', '1-5 by 0.5', 'Bad < Fair < Good' (worst first), 'yes/no', 'A | B | tie'; or for each "
            "criterion: 'helpful: 1-5; safe: no < yes'"
        ),
    )
    prompt_col: Annotated[Column, Mark.COMMON] = Field(
        None, description="column of the prompt (the question); 'none' to rate a text alone"
    )
    response_col: Annotated[Column, TaskKind.JUDGE, Mark.COMMON] = Field(
        None, description="column of the response to rate, or of several to compare: 'a,b'"
    )
    rating_col: Annotated[Column, TaskKind.JUDGE, Mark.COMMON] = Field(
        None, description="column of the rating, or several: 'r1,r2,r3'"
    )
    missing: Annotated[
        str | None,
        *(Reach.NOTHING, TakenBy.TASK_CHECK, TaskKind.JUDGE),
        Reason("cells that say that there is no rating"),
    ] = Field(None, description="rating cells that are no rating, such as '0,-1,X'; the row's other ratings count")
    map: Annotated[tuple[str, ...], Reach.NOTHING, TakenBy.TASK_CHECK, TaskKind.JUDGE, Identity.RESOLVED] = Field(
        (), description="levels of rating cells, as CELL=LEVEL (usual notations such as 80%, 4/5 are recognised)"
    )
    round: Annotated[
        bool, *(TakenBy.TASK_CHECK, TaskKind.JUDGE), Reason("the numbers look like means of several ratings")
    ] = Field(False, description="ratings between two levels (means of raters) become the nearest level")
    bins: Annotated[
        str | None,
        *(Reach.NOTHING, TakenBy.TASK_CHECK, TaskKind.JUDGE, Identity.RESOLVED),
        Reason("more different numbers than levels can be"),
    ] = Field(
        None, description="make levels of numbers: so many bins of equal width ('5'), or their edges ('20,40,60,80')"
    )
    verdict_from: Annotated[
        Literal["scores", "ranks", "raters"] | None, *(Reach.NOTHING, TakenBy.TASK_CHECK, TaskKind.JUDGE)
    ] = Field(
        None,
        description="compared responses with as many rating columns: a score or a rank of each, or raters' verdicts",
    )
    choices_col: Annotated[Column, TaskKind.CHOICE] = Field(
        None, description="multiple choice: column of the choices, or one column each: 'a,b,c,d'"
    )
    answer_col: Annotated[Column, TaskKind.CHOICE, TaskKind.OPEN] = Field(
        None, description="multiple choice, open answers: column of the correct answer"
    )
    subject_col: Annotated[Column, TaskKind.CHOICE] = Field(
        None, description="multiple choice: column of the subject, by which the report groups items"
    )
    shuffle_choices: bool = Field(
        True, description="multiple choice: shuffle the choices of each item (by the seed of the split)"
    )
    inputs_col: Annotated[tuple[str, ...], Reach.NOTHING, TakenBy.TASK_CHECK, TaskKind.OPEN] = Field(
        (), description="open answers: columns of further inputs, as INPUT=COLUMN, if names differ"
    )
    weight_col: Column = Field(None, description="column of the weights of training rows, positive numbers")
    reference_col: Annotated[Column, TaskKind.JUDGE] = Field(
        None, description="column of a reference answer, shown to the judge"
    )
    context_col: Column = Field(None, description="column of a context, shown to the judge")
    id_col: Column = Field(None, description="column of a unique id")
    group_col: Column = Field(None, description="column whose groups never fall into two splits")
    criterion_col: Annotated[Column, TaskKind.JUDGE] = Field(
        None, description="column of the criterion's name, if each criterion's rating has its own row"
    )
    unpivot: Annotated[tuple[str, ...], Reach.NOTHING, TakenBy.TASK_CHECK, TakenBy.JUDGE] = Field(
        (),
        description=(
            "make a row of each of these columns: 'Rate [*]', or of each group of columns: 'answer_*' 'score_*'; what "
            "* stands for is in the new column 'column'"
        ),
    )
    where: Annotated[tuple[str, ...], Reach.NOTHING, TakenBy.TASK_CHECK, TakenBy.JUDGE] = Field(
        (), description="read only rows that meet all conditions: COLUMN=VALUE, COLUMN!=VALUE, COLUMN>=NUMBER"
    )
    latest_by: Column = Field(
        None, description="of a rater's ratings of an item, the one with the highest value in this column counts"
    )
    merge_equal: Annotated[bool, TakenBy.TASK_CHECK, TaskKind.JUDGE] = Field(
        False, description="rows with equal inputs are one item, rated by several people who are not named"
    )
    join: Annotated[tuple[str, ...], Reach.DATA, TakenBy.JUDGE] = Field(
        (), description="files whose columns are added to the rows with the same key (--on)"
    )
    on: Annotated[str | None, Reach.NOTHING, TakenBy.TASK_CHECK, TakenBy.JUDGE] = Field(
        None, description="with --join: the key's column, or LEFT=RIGHT if its names differ"
    )
    rater_col: Annotated[Column, TaskKind.JUDGE] = Field(
        None, description="column of the rater's name, if each rating has its own row"
    )
    raters: Annotated[Literal["each", "mean", "median", "majority"], Mark.CARD] = Field(
        "each", description="training label of several ratings: one row each, or one label (test labels: mean)"
    )
    validation_share: float = Field(0.1, ge=0, lt=1, description="share of DATA held out to choose the iteration")
    test_share: float = Field(0.1, ge=0, lt=1, description="share of DATA held out for the test, without --test")
    split_seed: int | None = Field(None, ge=0, description="the seed of the split and of --limit (default: --seed)")
    limit: int | None = Field(None, ge=1, description="use only so many training rows, chosen by the seed")
    world_size: int = Field(400, ge=10, description="with 'world': training examples")
    records: Annotated[str, Reach.NOTHING, TakenBy.TASK_CHECK, TakenBy.JUDGE] = Field(
        "", description="where the records are: a path inside a JSON file or each row, or a workbook's sheet"
    )
    header: Annotated[bool, TakenBy.TASK_CHECK, TakenBy.JUDGE] = Field(
        True, description="csv, tsv, workbooks: the first line names the columns; else they are called 1, 2, ..."
    )
    header_rows: Annotated[int, TakenBy.TASK_CHECK, TakenBy.JUDGE] = Field(
        0, ge=0, description="csv, tsv, workbooks: rows of the header, joined as 'upper - lower' (default: found)"
    )
    skip_lines: Annotated[int, TakenBy.TASK_CHECK, TakenBy.JUDGE] = Field(
        0, ge=0, description="csv, tsv, workbooks: lines above the header to skip"
    )
    delimiter: Annotated[str, Reach.NOTHING, TakenBy.TASK_CHECK, TakenBy.JUDGE] = Field(
        "", description="csv, tsv: the character between cells, or tab, space, ... (default: found)"
    )
    quoting: Annotated[Literal["auto", "doubled", "backslash", "none"], TakenBy.TASK_CHECK, TakenBy.JUDGE] = Field(
        "auto", description="csv, tsv: how a quotation mark inside a quoted cell is written; none: cells are not quoted"
    )
    encoding: Annotated[str, Reach.NOTHING, TakenBy.TASK_CHECK, TakenBy.JUDGE] = Field(
        "", description="encoding of text files, such as cp1252 (default: UTF-8, or UTF-16 by its mark)"
    )
    skip_unusable: Annotated[bool, TakenBy.TASK_CHECK] = Field(
        False, description="leave out rows that cannot be used; they are counted and listed"
    )
    elide: bool = Field(
        False, description=("shorten over-long responses, marked and counted, instead of leaving them out")
    )


class TaskSettings(SettingsGroup):
    """The model and the task."""

    group: ClassVar[str] = "model and task"

    model: Annotated[
        str | None,
        *(Reach.MODEL, TakenBy.PROMPT, Identity.RESOLVED, Mark.COMMON, Mark.ASKED, Alias("--model-name-or-path")),
    ] = Field(None, description="'tiny-judge', a checkpoint or LoRA adapter directory, or a hub id")
    adapter_base: Annotated[str | None, Reach.MODEL, TakenBy.REFIT, Identity.NOT] = Field(
        None, description="directory of the base model of a LoRA adapter (with --model ADAPTER), if it was moved"
    )
    task: Annotated[str | None, Reach.TASK, TakenBy.PROMPT, Identity.RESOLVED] = Field(
        None,
        description=(
            "judge (rate or compare responses), choice, math, summarize, or your own: my_task.toml, "
            "my_task.py:MyTask (default: according to the data)"
        ),
    )
    criterion: Annotated[str, Reach.NOTHING, TakenBy.PROMPT, TakenBy.TASK_CHECK, TaskKind.JUDGE] = Field(
        "", description="what to rate: names of rating columns or of a preset's criteria, or 'all'"
    )
    instruction: Annotated[str, Reach.NOTHING, TakenBy.PROMPT, Mark.OWN_DATA] = Field(
        "", description="one or more sentences on what to look at, shown in the prompt"
    )
    system: Annotated[str, Reach.NOTHING, TakenBy.PROMPT] = Field(
        "", description="a system text before every prompt (docs/chat-models.md); none by default"
    )
    thinking: Annotated[Literal["auto", "on", "off"], TakenBy.PROMPT, Mark.CARD] = Field(
        "auto", description="turn the chat template's thinking on or off, if it has a switch; auto uses its default"
    )
    rubric: Annotated[str | None, Reach.FILE, TakenBy.PROMPT, TaskKind.JUDGE, TaskKind.CHOICE, Mark.OWN_DATA] = Field(
        None, description="a .toml or .md file with criteria and what the levels mean"
    )
    template: Annotated[str | None, Reach.FILE, TakenBy.PROMPT] = Field(
        None, description="a file that replaces the prompt's wording"
    )
    hint_template: Annotated[str | None, Reach.FILE, TakenBy.PROMPT] = Field(
        None, description="a file that replaces the hint's wording"
    )
    verdict_marker: Annotated[str | None, Reach.NOTHING, TakenBy.PROMPT, Mark.OWN_DATA] = Field(
        None,
        description="opens the last line of a completion (default 'Final rating:', of answers 'Answer:')",
    )
    reward: Annotated[str | None, Reach.NOTHING, TakenBy.PROMPT, TakenBy.REFIT, Identity.RESOLVED, Mark.CARD] = Field(
        None,
        description=(
            "exact; for levels also within:TOLERANCE or ordinal (1 - |difference| / range); for open answers "
            "also rouge-l (default: the task's, exact except for summarize)"
        ),
    )
    threshold: Annotated[float | None, TakenBy.REFIT, Mark.CARD] = Field(
        None,
        gt=0,
        le=1,
        description=("a draft is accepted if its reward is at least this (default: 1; for rouge-l 0.3)"),
    )
    reward_as: Annotated[Literal["weight", "filter"], TakenBy.REFIT, Mark.CARD] = Field(
        "weight", description="use of the reward: as the weight of an accepted draft, or only as a filter"
    )
