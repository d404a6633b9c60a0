"""A run's settings: from TOML, overridden by flags, checked before anything heavy loads.

One table of fields serves the TOML keys, the command line's flags (``learning_rate`` <-> ``--learning-rate``), the
defaults and the help texts. An unknown key is an error that names the closest one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rationem.engines.chat import Conversation
from rationem.engines.table import DEFAULT, HELP, EngineName
from rationem.errors import ConfigError, closest
from rationem.sampling.hint_leakage import HintLeakage
from rationem.tasks.template import read_toml

#: Characters that TOML forbids (DEL), or that a terminal obeys or hides: direction marks, zero widths, private ones.
_UNSEEN = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ue000-\uf8ff"
    "\U000e0000-\U000e007f\U000f0000-\U0010ffff]"
)


class Reach(StrEnum):
    """What a setting can make a run reach outside its own directory, and what then happens; see ``ledger.trust``."""

    PROGRAM = "a program that is run"
    TASK = "a Python file that is run"
    ADDRESS = "an address that is contacted"
    MODEL = "a model that is fetched from the hub"
    DATA = "a data set that is fetched from the hub"
    FILE = "a file that is read"


class FitConfig(BaseModel):
    """Everything that decides the result of a run; written to ``config.toml`` in its directory."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # What to learn from
    data: Annotated[tuple[str, ...], Reach.DATA] = Field(
        (), description="files, data set folders or hub ids (owner/name#split), or 'world' for the embedded judge world"
    )
    test: Annotated[tuple[str, ...], Reach.DATA] = Field(
        (), description="the test set, named as DATA; without it a part of DATA is held out"
    )
    preset: str | None = Field(None, description="name of a published data set whose columns are known")
    scale: str | None = Field(
        None, description="levels: '1-5', '1-5 by 0.5', 'Bad < Fair < Good' (worst first), 'yes/no', 'A | B | tie'"
    )
    prompt_col: str | None = Field(None, description="column of the prompt (the question)")
    response_col: str | None = Field(
        None, description="column of the response to rate, or of several to compare: 'a,b'"
    )
    rating_col: str | None = Field(None, description="column of the rating, or several: 'r1,r2,r3'")
    choices_col: str | None = Field(
        None, description="multiple choice: column of the choices, or one column each: 'a,b,c,d'"
    )
    answer_col: str | None = Field(None, description="multiple choice, open answers: column of the correct answer")
    subject_col: str | None = Field(None, description="multiple choice: column of what the report has rows for")
    shuffle_choices: bool = Field(
        True, description="multiple choice: draw the order of each item's choices (by the seed of the split)"
    )
    inputs_col: tuple[str, ...] = Field(
        (), description="open answers: columns of a task's further inputs, as INPUT=COLUMN, where names differ"
    )
    weight_col: str | None = Field(
        None, description="column of what a training row counts beside the others, a positive number"
    )
    reference_col: str | None = Field(None, description="column of a reference answer, shown to the judge")
    context_col: str | None = Field(None, description="column of a context, shown to the judge")
    id_col: str | None = Field(None, description="column of a unique id")
    group_col: str | None = Field(None, description="column whose groups never fall into two splits")
    rater_col: str | None = Field(
        None, description="column of the rater's name, where every rating has a row of its own"
    )
    raters: Literal["each", "mean", "median", "majority"] = Field(
        "each", description="training label of several ratings: one row each, or one label (test labels: mean)"
    )
    validation_share: float = Field(0.1, ge=0, lt=1, description="share of DATA held out to choose the iteration")
    test_share: float = Field(0.1, ge=0, lt=1, description="share of DATA held out for the test, without --test")
    split_seed: int | None = Field(None, ge=0, description="the seed of the split and of --limit (default: --seed)")
    limit: int | None = Field(None, ge=1, description="use only so many training rows, chosen by the seed")
    world_size: int = Field(400, ge=10, description="with 'world': training examples")
    skip_unusable: bool = Field(False, description="leave rows out that cannot be used, counted and listed")
    elide: bool = Field(False, description="shorten over-long responses, marked and counted, instead of leaving out")

    # Which model, which task, which scheme
    model: Annotated[str | None, Reach.MODEL] = Field(
        None, description="'tiny-judge', a checkpoint or LoRA adapter directory, or a hub id"
    )
    adapter_base: Annotated[str | None, Reach.MODEL] = Field(
        None, description="where the base model of a LoRA adapter is (with --model ADAPTER), if it was moved"
    )
    task: Annotated[str | None, Reach.TASK] = Field(
        None,
        description="judge (rate or compare responses), choice, math, summarize, or your own: my_task.toml, "
        "my_task.py:MyTask (default: what the data is)",
    )
    criterion: str = Field("", description="what to rate: names of rating columns or of a preset's criteria, or 'all'")
    instruction: str = Field("", description="one or more sentences on what to look at, shown in the prompt")
    system: str = Field("", description="a system text before every prompt (docs/chat-models.md); none by default")
    thinking: Literal["auto", "on", "off"] = Field(
        "auto", description="switch the chat template's thinking, where it has a switch; auto leaves it alone"
    )
    rubric: Annotated[str | None, Reach.FILE] = Field(
        None, description="a .toml or .md file with criteria and what the levels mean"
    )
    template: Annotated[str | None, Reach.FILE] = Field(None, description="a file that replaces the prompt's wording")
    hint_template: Annotated[str | None, Reach.FILE] = Field(
        None, description="a file that replaces the hint's wording"
    )
    reward: str | None = Field(
        None,
        description="exact, on levels within:TOLERANCE or ordinal (1 - |difference| / range), of open answers rouge-l "
        "(default: the task's own; exact but for summarize)",
    )
    threshold: float | None = Field(
        None, gt=0, le=1, description="a draw is accepted if its reward reaches this (default: 1; for rouge-l 0.3)"
    )
    reward_as: Literal["weight", "filter"] = Field(
        "weight", description="what the reward of an accepted draw is: its weight, or only a filter"
    )
    scheme: str = Field(
        "star",
        description="rs:M, star, pps, the controls direct and unfiltered, or a plan: 'forward*4+rationalize@base'",
    )
    selector: str = Field(
        "first",
        description="which accepted trials are kept: first, all, or aiming at the posterior: weighted, resample, "
        "pool, chain",
    )
    leak_filter: Literal["off", "flag", "drop"] = Field(
        "flag", description="hinted rationales that speak of the hint: flag counts them, drop does not accept them"
    )
    leak_phrases: tuple[str, ...] = Field(
        (),
        description="phrases sought in a hinted rationale, before its verdict: whole words, any case (default: a short "
        "English list, which yours replaces)",
    )
    max_copied: float = Field(
        1.0,
        gt=0,
        le=1,
        description="hinted draws that copy a longer run of the correct answer (of four words or more), as a share of "
        "its words, are not accepted; 1 accepts them",
    )
    shots: int = Field(
        0,
        ge=0,
        le=64,
        description="also test the base model with so many training examples in the prompt, as a control",
    )
    iterations: int = Field(5, ge=1, description="EM iterations K, at most")
    patience: int | None = Field(
        None, ge=1, description="stop after so many iterations without a better validation score"
    )
    token_budget: int | None = Field(
        None,
        ge=1,
        description="end after the iteration with which the E-steps have come nearest to so many generated tokens",
    )
    choose_by: Literal["evidence", "log_likelihood"] = Field(
        "evidence",
        description="the validation score that chooses the iteration: of forward and hinted draws, or predictive",
    )
    init: Literal["previous", "base"] = Field("previous", description="where an M-step starts (paper: previous)")
    seed: int = Field(0, ge=0, description="the run's seed")

    # How to sample
    temperature: float = Field(1.0, ge=0, description="of the E-step's draws (evaluation is at 1); 0 is greedy")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus mass; 1 is off")
    top_k: int = Field(0, ge=0, description="top-k; 0 is off")
    max_new_tokens: int | None = Field(
        None, ge=1, description="length cut of a completion, in tokens (default 256; tiny-judge 48)"
    )
    max_prompt_tokens: int | None = Field(
        None, ge=1, description="longer prompts are left out and counted (default 1024, or what the model holds)"
    )
    draws: int = Field(8, ge=1, description="sampled rationales per evaluated example")
    evidence_draws: int = Field(
        4, ge=0, description="hinted rationales per validation example, beside --draws forward ones, for the evidence"
    )
    wrong_hints: int = Field(64, ge=0, description="validation examples that are shown a wrong hint, as a control")
    difficulty_examples: int = Field(
        128, ge=0, description="training examples whose difficulty for the base model is measured once"
    )
    exact_items: int = Field(
        0,
        ge=0,
        description="test items whose rationales are enumerated, to bound log p(y*|x) and what of the posterior is "
        "missing (small models; --scheme exact has 32 in any case)",
    )
    enumerate_above: float = Field(
        1e-3, gt=0, lt=1, description="where rationales are enumerated: less probable prefixes are not followed"
    )
    sampling_batch: Annotated[int, Field(ge=1)] | Literal["auto"] | None = Field(
        None, description="completions generated together; 'auto' measures (default: 64, on a GPU auto)"
    )

    # How to train
    steps: int | None = Field(None, ge=1, description="optimizer steps per iteration (default 40)")
    epochs: int | None = Field(None, ge=1, description="passes over the kept set, instead of --steps")
    batch_size: int = Field(32, ge=1, description="examples per optimizer step")
    micro_batch_size: int = Field(32, ge=1, description="examples per forward pass; the rest is accumulated")
    learning_rate: float | None = Field(None, gt=0, description="peak (default 1e-5 full, 1e-4 LoRA, 1e-3 tiny-judge)")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's weight decay")
    schedule: Literal["constant", "linear", "cosine"] = Field("constant", description="learning rate over the run")
    warmup_steps: int = Field(0, ge=0, description="linear warm-up at the beginning of the run")
    max_grad_norm: float = Field(0.0, ge=0, description="clip a step's gradient to this norm; 0 is off")
    optimizer: Literal["keep", "reset"] = Field("keep", description="Adam's moments between iterations")
    lora_rank: int | None = Field(None, ge=1, description="train a LoRA adapter of this rank instead of all weights")
    lora_alpha: float | None = Field(
        None, gt=0, description="the adapter's products are scaled by this / rank (default: twice the rank)"
    )
    lora_dropout: float | None = Field(
        None, ge=0, lt=1, description="dropout of the adapter's inputs, in training (default: 0)"
    )
    lora_targets: tuple[str, ...] | None = Field(
        None, description="names of the layers that get an adapter, such as q_proj v_proj (default: all linear ones)"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the M-step's products; weights are kept in fp32 (auto: bf16 on a GPU, fp32 on a CPU)"
    )
    gradient_checkpointing: bool = Field(
        False, description="compute activations again in the backward pass: less memory, about a third more time"
    )
    processes: int | None = Field(
        None, ge=1, description="train in so many processes of their own, one per GPU (default: in this one)"
    )
    parallel: Literal["ddp", "fsdp"] = Field(
        "ddp", description="several processes hold all the weights each (ddp), or share them (fsdp: FSDP2)"
    )
    keep_checkpoints: Literal["all", "best-and-last"] = Field(
        "all", description="of the iterations: all, or only the best one so far and the last (refit needs the others)"
    )
    report_to: Annotated[tuple[Literal["tensorboard", "mlflow", "wandb", "trackio"], ...], Reach.ADDRESS] = Field(
        (), description="also log the M-steps' losses there; nothing is sent anywhere otherwise"
    )
    log_every: int = Field(10, ge=1, description="with --report-to: optimizer steps between two logged losses")

    # By what
    engine: EngineName = Field(DEFAULT, description=HELP)
    concurrency: int = Field(256, ge=1, le=4096, description="requests under way together, with vllm and a teacher")
    handover: Literal["auto", "reload", "restart"] = Field(
        "auto",
        description="vllm: new weights are reloaded in place or by a fresh server (auto: CPU reload, GPU restart)",
    )
    vllm_python: Annotated[str | None, Reach.PROGRAM] = Field(
        None, description="python, or environment, that has vLLM (default: what 'rationem engine install' made)"
    )
    vllm_args: Annotated[tuple[str, ...], Reach.PROGRAM] = Field(
        (), description="further flags of vLLM's server, in one string: --vllm-args='--flag value'"
    )
    teacher: Annotated[tuple[str, ...], Reach.ADDRESS] = Field(
        (),
        description="URLs of a chat server for the plan's @teacher: 'rationalize@teacher'; key: RATIONEM_TEACHER_KEY",
    )
    teacher_model: str | None = Field(None, description="the teacher's name there (default: the only one it serves)")

    # Where
    device: Literal["cpu", "cuda"] | None = Field(
        None, description="where to run (default: the GPU where there is one)"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads (default: all cores); resume with the same number")

    @model_validator(mode="after")
    def _consistent(self) -> FitConfig:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("steps and epochs exclude each other: give one.")
        if self.batch_size % min(self.micro_batch_size, self.batch_size):
            raise ValueError("batch_size must be a multiple of micro_batch_size.")
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave nothing to train on.")
        for name, value in self:
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
                    raise ValueError(f"{name} = {text!r} holds half a character (a surrogate); it cannot be written.")
        return self

    @property
    def conversation(self) -> Conversation:
        """What is added to the model's chat template."""
        return Conversation(self.system, self.thinking)

    @property
    def leaks(self) -> HintLeakage:
        """What tells of the hint, and whether hinted draws that do are accepted."""
        return HintLeakage(self.leak_filter, self.leak_phrases, self.max_copied)


def reach_of(setting: str) -> Reach | None:
    """Return what a setting reaches outside a run; None where it is words and numbers only."""
    return next((one for one in FitConfig.model_fields[setting].metadata if isinstance(one, Reach)), None)


def read_config(path: Path | None, overrides: Mapping[str, Any]) -> FitConfig:
    """Return the settings of a TOML file, with flags on top.

    Raises:
        ConfigError: the file cannot be read, a key is unknown, or a value is out of range.
    """
    settings: dict[str, Any] = {}
    if path is not None:
        settings = read_toml(path, "the configuration")
    merged = {**settings, **{key: value for key, value in overrides.items() if value is not None}}
    try:
        return FitConfig.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explain(error, path, overrides)) from error


def known_then(settings: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without those that a run's recorded ones do not know yet, where they are at their defaults."""
    defaults = FitConfig().model_dump(mode="json")
    return {name: value for name, value in settings.items() if name in recorded or value != defaults.get(name)}


def to_toml(config: FitConfig, repeat: str = "rationem fit --config config.toml --output RUN") -> str:
    """Return the settings as TOML; what is None is left out, so the text reads back to the same settings.

    Args:
        repeat: the command that does it again, for the first line.
    """
    lines = [f"# Settings of this run, resolved. Repeat it with: {repeat}"]
    for key, value in config.model_dump(mode="json").items():
        if value is not None:
            lines.append(f"{key} = {_UNSEEN.sub(_escaped, json.dumps(value, ensure_ascii=False))}")
    return "\n".join(lines) + "\n"


def _escaped(character: re.Match[str]) -> str:
    number = ord(character[0])
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _explain(error: ValidationError, path: Path | None, overrides: Mapping[str, Any]) -> str:
    sentences = []
    for problem in error.errors():
        key = str(problem["loc"][0]) if problem["loc"] else ""
        where = f"--{key.replace('_', '-')}" if key in overrides or path is None else f"{path}: {key}"
        if problem["type"] == "extra_forbidden":
            known = closest(key, FitConfig.model_fields)
            sentences.append(f"{path}: unknown key {key!r}.{known} Remove or rename it.")
        elif key:
            sentences.append(f"{where} = {problem['input']!r}: {problem['msg']}.")
        else:
            sentences.append(problem["msg"].removeprefix("Value error, "))
    return "\n".join(sentences)
