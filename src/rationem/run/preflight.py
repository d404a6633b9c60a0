"""Checks before a run begins: the directory, the abilities of engine and processes, and the machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from rationem import progress
from rationem.config import FitConfig
from rationem.engines import architectures, models, tensor_check
from rationem.engines.chat import Chat
from rationem.engines.local import open_transformers
from rationem.engines.opening import EngineConfig
from rationem.engines.remote.address import check_urls
from rationem.engines.table import ENGINES, ENGINES_OR_AUTO, refuse_foreign
from rationem.errors import ConfigError, DataError, RunError
from rationem.report.plain import short
from rationem.run.defaults import with_adapter
from rationem.sampling.posterior import enumerator
from rationem.sampling.schemes import Scheme
from rationem.sampling.trials import prompt_for
from rationem.tasks.conformance import LEAKS, check_task
from rationem.tasks.protocol import Task
from rationem.tasks.scale import MARKER
from rationem.types import Example, Prompt, Splits

#: Bytes of weights up to which a model is loaded an extra time for a trial before a run begins.
_SMALL = 2**30
#: Training items on which a user's class is tried before a run.
_TRIED = 5


def check_directory(directory: Path) -> None:
    """Reject a directory that holds anything other than a run.

    Raises:
        RunError: says what is there.
    """
    for place in (directory, *directory.parents):
        if place.is_file():
            raise RunError(f"{place} is a file; --output must name a directory.")
    ours = {"checkpoints", ".lock"}  # all that remains of a run killed before its first write
    if (
        directory.is_dir()
        and not (directory / "ledger.sqlite").is_file()
        and {p.name for p in directory.iterdir()} - ours
    ):
        raise RunError(f"{directory} holds other files and no run. Name a new or empty directory with --output.")


def check_engine(config: FitConfig, scheme: Scheme) -> None:
    """Check the abilities of the engine that generates and of the processes that train.

    Raises:
        ConfigError: says what is missing, and what to do.
    """
    engine = ENGINES_OR_AUTO[config.engine]
    given = {name for name, field in FitConfig.model_fields.items() if getattr(config, name) != field.default}
    if engine.untrainable:
        raise ConfigError(engine.untrainable)
    if not engine.enumerates:
        if any(proposal.prompt == "posterior" for proposal in scheme.plan):
            raise ConfigError(
                f"The scheme {scheme.name!r} enumerates, which {engine.title} cannot. Use {_enumerating()}."
            )
        if config.exact_items:
            raise ConfigError(f"--exact-items enumerates, which {engine.title} cannot. Use {_enumerating()}.")
    refuse_foreign(config.engine, given)
    if config.nodes > 1 and not (config.node_directory and config.rendezvous):
        raise ConfigError(
            f"--nodes {config.nodes}: also give --node-directory, which all nodes see under the same path, and "
            "--rendezvous HOST:PORT of this node. Then run on every other node: python -m rationem.sft.node DIRECTORY"
        )
    if config.parallel == "fsdp" and config.nodes * (config.processes or 1) < 2:
        raise ConfigError("--parallel fsdp divides the weights among processes: also give --processes 2 or more.")
    check_urls(config.teacher)
    if scheme.uses_teacher and not config.teacher:
        raise ConfigError(f"The scheme {scheme.name!r} uses a teacher. Name its server: --teacher URL.")
    if config.teacher and not scheme.uses_teacher:
        raise ConfigError(
            "--teacher is given, but no proposal of the scheme uses it. Add one, such as --scheme rationalize@teacher."
        )


def _enumerating() -> str:
    return " or ".join(f"--engine {row.name}" for row in ENGINES.values() if row.enumerates)


def check_levels(config: FitConfig, scheme: Scheme, task: Task) -> None:
    """Check that nothing needs levels if the task has none.

    Raises:
        ConfigError: rationales are to be enumerated, which needs the probability of every answer after each; or an
            iteration is to be chosen by the log-likelihood of levels.
    """
    for asked, instead in _needing_levels(config, scheme):
        task.kind.check_levels(task.name, asked, instead)


def _needing_levels(config: FitConfig, scheme: Scheme) -> Iterator[tuple[str, str]]:
    """Yield the settings that need levels, each with what to do without."""
    if config.choose_by == "log_likelihood":
        instead = "Omit it: the evidence, which is the probability of the correct answer, then chooses the iteration."
        yield "--choose-by log_likelihood is the log-likelihood of levels", instead
    enumerating = ["--exact-items"] if config.exact_items else []
    if any(proposal.prompt == "posterior" for proposal in scheme.plan):
        enumerating.append(f"The scheme {scheme.name!r}")
    for what in enumerating:
        yield (
            f"{what} enumerates rationales and scores every level after each",
            "Omit it; the evidence is then bounded by sampled drafts.",
        )


def check_summed(config: FitConfig, scheme: Scheme) -> None:
    """Check that no reward is to decide where none does: the scheme marginal:M trains on y* alone.

    Raises:
        ConfigError: a threshold below 1 is asked for.
    """
    if scheme.sums_out and (config.threshold or 1) < 1:
        raise ConfigError(
            f"--threshold {config.threshold:g} accepts drawn answers that are nearly right; the scheme "
            f"{scheme.name!r} sums the drawn answer out and trains on the correct one. Omit it, or use another scheme."
        )


def check_closing(config: FitConfig, scheme: Scheme, task: Task) -> None:
    """Check that drafts without a verdict line can be closed, and that nothing needs their likelihood.

    Raises:
        ConfigError: the selector weighs by pi / q, which a closed draft does not have; a proposal of the plan cannot
            score the levels; or the answers are open and drawn.
    """
    if not config.close:
        return
    if scheme.selector.needs_ratios:
        raise ConfigError(
            f"--close adds verdict lines that the model did not draw, and --selector {scheme.selector.name} weighs "
            "drafts by how likely they were drawn. Leave one of them out, or use --scheme marginal:M."
        )
    if scheme.uses_teacher:
        raise ConfigError("--close scores the levels after a draft, which a teacher cannot do. Leave --close out.")
    if not task.continuations and not scheme.sums_out:
        raise ConfigError(
            f"--close draws a level, and the task {task.name!r} has open answers. Use it with --scheme marginal:M, "
            "which scores the correct answer after the line, or leave it out."
        )


def check_varied(splits: Splits) -> None:
    """Check that answers differ: from one answer everywhere nothing is learned.

    Raises:
        DataError: all items, of every criterion, have the same answer and no rater gives another.
    """
    found = {level for part in (splits.train, splits.validation, splits.test) for x in part for level in _levels(x)}
    if len(found) == 1:
        (only,) = found
        raise DataError(
            f"Every answer is {short(only)!r}: there is nothing to learn. To train anyway, add --go-on. Is it the "
            "right column? `rationem check` shows what each column holds."
        )


def _levels(x: Example) -> tuple[str, ...]:
    return x.ratings or (x.answer,)


def check_own(task: Task, examples: Sequence[Example]) -> None:
    """Try a user's class on some training items; report which requirements it breaks.

    Raises:
        ConfigError: its prompt shows the answer; no run may begin with such a task.
    """
    if task.program is None:
        return
    file, _, own = task.program.rpartition(":")
    found = check_task(task, examples[:_TRIED])
    if leaks := [sentence for sentence in found if LEAKS in sentence]:
        raise ConfigError(
            f"The task {own} ({file}): {leaks[0]} A prompt may depend on its fields alone, so the class must not "
            f"store what hint() receives. Check it with: rationem task check {Path(file).name}:{own}"
        )
    for sentence in found:
        told = sentence.removeprefix(f"The task {own}: ")
        progress.say(f"Warning: the task {own}: {told}")


def check_chat(config: FitConfig, scheme: Scheme, chat: Chat) -> None:
    """Check settings against the model's chat template; report how a missing system role or thinking is handled.

    Raises:
        ConfigError: answers would have to follow a thinking block that the prompt opens.
    """
    if chat.opened and any(proposal.prompt == "answer" for proposal in scheme.plan):
        raise ConfigError(
            f"The scheme {scheme.name!r} trains on the answer alone, and this model's prompt ends inside a thinking "
            f"block ({chat.opened.strip()}), so the answer would be part of the thinking. Use a model whose template "
            "can omit the block (--thinking off), or another scheme."
        )
    if chat.folds:
        progress.say("This model has no system role: the system text is put at the start of the user's turn.")
    if chat.thinks and config.thinking != "off":
        progress.say(
            "This model's chat template supports thinking: the thinking block is part of the rationale, and a "
            f"completion that reaches --max-new-tokens {config.max_new_tokens} inside it counts as truncated "
            "(docs/chat-models.md)."
        )


def check_model(config: FitConfig) -> FitConfig:
    """Check a model that is on this machine; nothing is fetched or built.

    Returns:
        The settings, with those of an adapter filled in.

    Raises:
        ModelError: see :func:`rationem.engines.models.resolve`, and :func:`rationem.engines.models.check`.
        ConfigError: see :func:`rationem.run.defaults.with_adapter`.
    """
    name = config.model or ""
    if name in models.EMBEDDED or architectures.here(name) is None:
        return config
    checkpoint = models.resolve(name, config.adapter_base)
    base = models.weights_of(checkpoint)
    models.positions(name, checkpoint)
    if architectures.here(base) is not None:
        models.check(name, checkpoint)
        check_targets(config, models.base_place(checkpoint))
    return with_adapter(config, checkpoint)


def check_reading(choice: EngineConfig, scheme: Scheme, checkpoint: str, place: Path, *, exact: int) -> None:
    """Test how the model computes several texts together, and report if long texts are computed differently from short
    ones.

    A large model is not loaded for this test: the engine makes it when it opens.

    Args:
        choice: the engine to be used.
        scheme: the scheme that will use it.
        checkpoint: what ``models.load`` takes.
        place: where the weights are.
        exact: items whose rationales are enumerated at the end.

    Raises:
        ModelError: no way of computing texts together gives the result of each text alone, or rationales cannot be
            enumerated.
    """
    from transformers import AutoConfig

    from rationem.engines import rope
    from rationem.engines.checkpoint import read_by_library

    with read_by_library(place):
        boundary = rope.switches(AutoConfig.from_pretrained(place, trust_remote_code=False))
    if boundary is not None and choice.length is not None and choice.length > boundary:
        progress.say(
            f"This model uses other rotary factors above {boundary} tokens (LongRoPE), and texts of this run can have "
            f"{choice.length}: the long factors are used for all texts. Lower --max-prompt-tokens to use the short "
            "factors."
        )
    if sum(path.stat().st_size for path in place.glob("*.safetensors")) <= _SMALL:
        enumerates = bool(exact) or any(proposal.prompt == "posterior" for proposal in scheme.plan)
        _try(choice, checkpoint, enumerates)


@cache
def _try(choice: EngineConfig, checkpoint: str, enumerates: bool) -> None:
    engine = open_transformers(choice, checkpoint)
    try:
        if enumerates:
            able = enumerator(engine, "The run")
            able.enumerate([Prompt("x")], (choice.marker,), threshold=0.9, max_new_tokens=1)
    finally:
        engine.close()


def check_targets(config: FitConfig, place: Path) -> None:
    """Check that the layers that should get an adapter are in the model.

    Args:
        config: the settings.
        place: the directory of the model's files.

    Raises:
        ConfigError: names the missing ones, and those that the model has.
    """
    if not config.lora_targets:
        return
    has = tensor_check.linear_layers(place)
    if unknown := [name for name in config.lora_targets if name not in has]:
        raise ConfigError(
            f"--lora-targets: the model {config.model} has no linear layers called {', '.join(unknown)}. It has "
            f"{', '.join(has)}."
        )


def check_lengths(config: FitConfig, scheme: Scheme, task: Task, splits: Splits, chat: Chat) -> None:
    """Reject data in which all training prompts, or all validation or test prompts, are too long.

    Raises:
        ConfigError: nothing could be trained on.
    """
    limit, shortest = config.max_prompt_tokens or 0, []
    for x in splits.train:
        shortest.append(max(len(chat.encode(prompt_for(proposal, x, task))) for proposal in scheme.plan))
        if shortest[-1] <= limit:
            break
    else:
        raise ConfigError(
            f"All {len(splits.train)} training prompts are too long: the shortest has {min(shortest)} tokens, and the "
            f"limit is {limit} (--max-new-tokens {config.max_new_tokens}). Raise --max-prompt-tokens up to the "
            "model's context length, shorten the responses (--elide), or use a model with a longer context."
        )
    for name, part in (("validation", splits.validation), ("test", splits.test)):
        if part and all(len(chat.encode(task.prompt(x.fields))) > limit for x in part):
            progress.say(
                f"Warning: all {len(part)} {name} prompts are longer than {limit} tokens: all will count as unparsed."
            )


def check_machine(config: FitConfig) -> None:
    """Check that this machine has what the run needs, before anything is written.

    Raises:
        ConfigError: there is no GPU, fewer GPUs than processes, no vLLM, or no package for the requested logging.
    """
    import torch

    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: torch finds no GPU on this machine. Omit --device to run on the CPU.")
    gpus = torch.cuda.device_count() if config.device != "cpu" else 0
    if gpus and (config.processes or 1) > gpus:
        raise ConfigError(
            f"--processes {config.processes}: each needs a GPU, and torch finds {gpus}. Use fewer processes."
        )
    missing = [name for name in config.report_to if find_spec(name) is None]
    if missing:
        raise ConfigError(f"--report-to {' '.join(missing)}: not installed here. pip install {' '.join(missing)}")
    choice = EngineConfig(MARKER, engine=config.engine, vllm_python=config.vllm_python, vllm_args=config.vllm_args)
    choice.row.check(choice)
