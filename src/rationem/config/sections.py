"""The settings, by group. Each setting is defined only here: type, limits, default, help and metadata.

A section that is passed on as a whole is its own model, such as :class:`TrainingSettings`.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from rationem.config.metadata import Identity, InRefit, Mark, Reach, TakenBy, TaskKind
from rationem.engines.table import DEFAULT, FIT_HELP, FitEngineName

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

    data: Annotated[tuple[str, ...], Reach.DATA] = Field(
        (), description="files, data set folders or hub ids (owner/name#split), or 'world' for the embedded judge world"
    )
    test: Annotated[tuple[str, ...], Reach.DATA, Mark.OWN_DATA] = Field(
        (), description="the test set, named like DATA; without it a part of DATA is held out"
    )
    preset: Annotated[str | None, Reach.NOTHING, TakenBy.TASK_CHECK] = Field(
        None, description="name of a published data set whose columns are known"
    )
    scale: Annotated[str | None, Reach.NOTHING, TakenBy.TASK_CHECK, TaskKind.JUDGE, TaskKind.CHOICE] = Field(
        None, description="levels: '1-5', '1-5 by 0.5', 'Bad < Fair < Good' (worst first), 'yes/no', 'A | B | tie'"
    )
    prompt_col: Column = Field(None, description="column of the prompt (the question)")
    response_col: Annotated[Column, TaskKind.JUDGE] = Field(
        None, description="column of the response to rate, or of several to compare: 'a,b'"
    )
    rating_col: Annotated[Column, TaskKind.JUDGE] = Field(
        None, description="column of the rating, or several: 'r1,r2,r3'"
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
    skip_unusable: Annotated[bool, TakenBy.TASK_CHECK] = Field(
        False, description="leave out rows that cannot be used; they are counted and listed"
    )
    elide: bool = Field(
        False, description=("shorten over-long responses, marked and counted, instead of leaving them out")
    )


class TaskSettings(SettingsGroup):
    """The model and the task."""

    group: ClassVar[str] = "model and task"

    model: Annotated[str | None, Reach.MODEL, TakenBy.PROMPT, Identity.RESOLVED] = Field(
        None, description="'tiny-judge', a checkpoint or LoRA adapter directory, or a hub id"
    )
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


class SchemeSettings(SettingsGroup):
    """How the E-step chooses rationales, and how many iterations there are."""

    group: ClassVar[str] = "scheme and iterations"

    scheme: Annotated[str, Reach.NOTHING, Mark.BY_ARM, Mark.CARD] = Field(
        "star",
        description="rs:M, marginal:M, star, pps, the controls direct and unfiltered, or a plan such as "
        "'forward*4+rationalize@base'",
    )
    selector: Annotated[str, Reach.NOTHING, TakenBy.REFIT, Mark.BY_ARM, Mark.CARD] = Field(
        "first",
        description=(
            "which accepted trials are kept: first, all, or corrected towards the posterior: weighted, resample"
        ),
    )
    leak_filter: Annotated[Literal["off", "flag", "drop"], TakenBy.REFIT, Mark.CARD] = Field(
        "flag", description="hinted rationales that mention the hint: flag counts them, drop rejects them"
    )
    leak_phrases: Annotated[tuple[str, ...], Reach.NOTHING, TakenBy.REFIT] = Field(
        (),
        description=(
            "phrases that count as mentioning the hint: whole words, any case, before the verdict (replaces the "
            "default, a short English list)"
        ),
    )
    max_copied: Annotated[float, TakenBy.REFIT] = Field(
        1.0,
        gt=0,
        le=1,
        description=(
            "reject hinted drafts that copy a longer run of words from the correct answer than this share of its "
            "words (runs of four words or more); 1 accepts all"
        ),
    )
    iterations: Annotated[int, Mark.BY_RUN, Mark.CARD, InRefit(1)] = Field(
        5, ge=1, description="EM iterations K, at most"
    )
    patience: Annotated[int | None, InRefit(None)] = Field(
        None, ge=1, description="stop after this many iterations without a better validation score"
    )
    token_budget: Annotated[int | None, Mark.BY_ARM, InRefit(None)] = Field(
        None,
        ge=1,
        description="end after the iteration at which the tokens generated by the E-steps are nearest to this number",
    )
    go_on: Annotated[bool, TakenBy.REFIT, Identity.NOT, Mark.BY_ARM] = Field(
        False, description="train also on an E-step that kept next to nothing, instead of stopping with exit code 3"
    )
    init: Annotated[Literal["previous", "base"], Mark.CARD, InRefit("previous")] = Field(
        "previous", description="where an M-step starts (paper: previous)"
    )
    seed: Annotated[int, TakenBy.PROMPT, TakenBy.REFIT, Mark.BY_RUN, Mark.CARD] = Field(
        0, ge=0, description="the run's seed"
    )


class SamplingSettings(SettingsGroup):
    """How completions are sampled."""

    group: ClassVar[str] = "sampling"

    temperature: Annotated[float, Mark.CARD] = Field(
        1.0, ge=0, description="sampling temperature of the E-step (evaluation uses 1); 0 is greedy"
    )
    top_p: Annotated[float, Mark.CARD] = Field(
        1.0, gt=0, le=1, description=("probability mass of nucleus sampling; 1 is off")
    )
    top_k: Annotated[int, Mark.CARD] = Field(0, ge=0, description="top-k; 0 is off")
    max_new_tokens: Annotated[int | None, Mark.CARD] = Field(
        None, ge=1, description="longest completion in tokens (default 256; tiny-judge 48)"
    )
    max_prompt_tokens: Annotated[int | None, Mark.CARD] = Field(
        None,
        ge=1,
        description=(
            "longest prompt in tokens; longer ones are left out and counted (default 1024, at most the model's "
            "context length)"
        ),
    )
    sampling_batch: Annotated[Annotated[int, Field(ge=1)] | Literal["auto"] | None, TakenBy.REFIT] = Field(
        None, description="completions generated together; 'auto' chooses by measurement (default: 64, on a GPU auto)"
    )


class EvaluationSettings(SettingsGroup):
    """What is measured, and which score chooses the iteration."""

    group: ClassVar[str] = "evaluation"

    draws: Annotated[int, TakenBy.REFIT, Mark.CARD] = Field(
        8, ge=1, description="sampled rationales per evaluated example"
    )
    evidence_draws: Annotated[int, TakenBy.REFIT, Mark.CARD] = Field(
        4,
        ge=0,
        description=(
            "hinted rationales per validation example, in addition to --draws unhinted ones, for the evidence"
        ),
    )
    wrong_hints: Annotated[int, TakenBy.REFIT] = Field(
        64, ge=0, description="validation examples that get a wrong hint, as a control"
    )
    start_examples: Annotated[int, Identity.NOT, InRefit(0)] = Field(
        32, ge=0, description="training examples that are probed before the first E-step: can drafts be read?"
    )
    difficulty_examples: Annotated[int, InRefit(0)] = Field(
        128, ge=0, description="training examples whose difficulty for the base model is measured once"
    )
    exact_items: Annotated[int, TakenBy.REFIT] = Field(
        0,
        ge=0,
        description=(
            "test items whose rationales are enumerated, to bound log p(y*|x) and the missing share of the "
            "posterior (small models; --scheme exact always has 32)"
        ),
    )
    enumerate_above: float = Field(
        1e-3, gt=0, lt=1, description="enumeration of rationales: less probable prefixes are not followed"
    )
    shots: Annotated[int, TakenBy.PROMPT, Mark.CARD, InRefit(0)] = Field(
        0,
        ge=0,
        le=64,
        description="also test the base model with this many solved training examples in the prompt, as a control",
    )
    choose_by: Annotated[Literal["evidence", "log_likelihood"], TakenBy.REFIT, Mark.CARD] = Field(
        "evidence",
        description=(
            "the validation score that chooses the iteration: evidence of unhinted and hinted drafts, or "
            "predictive log-likelihood"
        ),
    )


class TrainingSettings(SettingsGroup):
    """How an M-step trains; where it trains is set elsewhere."""

    group: ClassVar[str] = "training"
    marks: ClassVar[tuple[Enum, ...]] = (TakenBy.REFIT,)

    steps: Annotated[int | None, Mark.CARD] = Field(
        None, ge=1, description="optimizer steps per iteration (default 40)"
    )
    epochs: Annotated[int | None, Mark.CARD] = Field(
        None, ge=1, description="passes over the kept set, instead of --steps"
    )
    batch_size: Annotated[int, Mark.CARD] = Field(32, ge=1, description="examples per optimizer step")
    micro_batch_size: int = Field(32, ge=1, description="examples per forward pass; the rest is accumulated")
    learning_rate: Annotated[float | None, Mark.CARD] = Field(
        None, gt=0, description="peak learning rate (default 1e-5 full, 1e-4 LoRA, 1e-3 tiny-judge)"
    )
    weight_decay: Annotated[float, Mark.CARD] = Field(0.0, ge=0, description="AdamW's weight decay")
    schedule: Annotated[Literal["constant", "linear", "cosine"], Mark.CARD] = Field(
        "constant", description="schedule of the learning rate over the run"
    )
    warmup_steps: Annotated[int, Mark.CARD] = Field(0, ge=0, description="linear warm-up at the beginning of the run")
    max_grad_norm: Annotated[float, Mark.CARD] = Field(
        0.0, ge=0, description="clip a step's gradient to this norm; 0 is off"
    )
    optimizer: Annotated[Literal["keep", "reset"], Mark.CARD] = Field(
        "keep", description="keep or reset Adam's moments between iterations"
    )
    lora_rank: Annotated[int | None, Mark.CARD, Mark.ADAPTER] = Field(
        None, ge=1, description="train a LoRA adapter of this rank instead of all weights"
    )
    lora_alpha: Annotated[float | None, Mark.ADAPTER] = Field(
        None, gt=0, description="the adapter's products are scaled by this / rank (default: twice the rank)"
    )
    lora_dropout: Annotated[float | None, Mark.ADAPTER] = Field(
        None, ge=0, lt=1, description="dropout of the adapter's inputs, in training (default: 0)"
    )
    lora_targets: Annotated[tuple[str, ...] | None, Reach.NOTHING, Identity.RESOLVED, Mark.ADAPTER] = Field(
        None, description="names of the layers that get an adapter, such as q_proj v_proj (default: all linear ones)"
    )
    precision: Annotated[Literal["auto", "fp32", "bf16"], Mark.CARD] = Field(
        "auto",
        description=(
            "precision of matrix products in training; weights stay in fp32 (auto: bf16 on a GPU, fp32 on a CPU)"
        ),
    )
    gradient_checkpointing: Annotated[bool, Identity.NOT] = Field(
        False, description="recompute activations in the backward pass: less memory, about a third more time"
    )
    processes: Annotated[int | None, Identity.NOT] = Field(
        None, ge=1, description="train in this many separate processes, one per GPU (default: in this process)"
    )
    parallel: Annotated[Literal["ddp", "fsdp"], Identity.NOT] = Field(
        "ddp", description="with several processes: each holds all weights (ddp), or they are divided (fsdp: FSDP2)"
    )
    keep_checkpoints: Annotated[Literal["all", "best-and-last"], Identity.NOT] = Field(
        "all",
        description=("the checkpoints to keep: all, or only the best so far and the last (refit needs the others)"),
    )
    report_to: Annotated[
        tuple[Literal["tensorboard", "mlflow", "wandb", "trackio"], ...], Reach.ADDRESS, Identity.NOT
    ] = Field((), description="also log training losses to these services; otherwise nothing is sent anywhere")
    log_every: Annotated[int, Identity.NOT] = Field(
        10, ge=1, description="with --report-to: optimizer steps between two logged losses"
    )


class EngineSettings(SettingsGroup):
    """The engine, and how it is run."""

    group: ClassVar[str] = "engine"
    marks: ClassVar[tuple[Enum, ...]] = (TakenBy.REFIT,)

    engine: FitEngineName = Field(DEFAULT, description=FIT_HELP)
    concurrency: Annotated[int, Identity.NOT] = Field(
        256, ge=1, le=4096, description="requests at the same time, with vllm and a teacher"
    )
    handover: Annotated[Literal["auto", "reload", "restart"], Identity.NOT] = Field(
        "auto",
        description="vllm: load new weights in place or start a new server (auto: reload on a CPU, restart on a GPU)",
    )
    vllm_python: Annotated[str | None, Reach.PROGRAM, Identity.NOT] = Field(
        None, description="python, or environment, that has vLLM (default: what 'rationem engine install' made)"
    )
    vllm_args: Annotated[tuple[str, ...], Reach.PROGRAM, Identity.NOT, Mark.ONE_TEXT] = Field(
        (), description="additional flags for vLLM's server, in one string: --vllm-args='--flag value'"
    )


class TeacherSettings(SettingsGroup):
    """A frozen model on another server, for proposals of the plan."""

    group: ClassVar[str] = "teacher"

    teacher: Annotated[tuple[str, ...], Reach.ADDRESS, Identity.NOT] = Field(
        (),
        description="URLs of a chat server for the plan's @teacher: 'rationalize@teacher'; key: RATIONEM_TEACHER_KEY",
    )
    teacher_model: Annotated[str | None, Reach.NOTHING, Mark.BY_RUN] = Field(
        None, description="the teacher model's name on that server (default: the only model it serves)"
    )


class MachineSettings(SettingsGroup):
    """The machine of a run."""

    group: ClassVar[str] = "machine"
    marks: ClassVar[tuple[Enum, ...]] = (TakenBy.REFIT,)

    device: Literal["cpu", "cuda"] | None = Field(None, description="where to run (default: the GPU if there is one)")
    threads: int | None = Field(None, ge=1, description="CPU threads (default: all cores); resume with the same number")
