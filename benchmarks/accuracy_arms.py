"""What ``benchmarks/time_to_accuracy.py`` compares: one training each, from the same base, examples, parser and reward.

An arm marks a point whenever it has new weights: seconds, CPU seconds, generated and trained tokens so far, and the
checkpoint, which ``accuracy`` measures after the clock has stopped. Where a checkpoint is no part of a method (GRPO,
RLOO), the clock stands still while it is written. One process, one thread, fp32.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rationem import Ledger, Problem, Sampling, SamplingContext, Scheme, Splits, SupervisedMStep, Training, world
from rationem.em import begin, em_step
from rationem.engines.chat import Chat
from rationem.engines.local import open_transformers
from rationem.engines.opening import EngineConfig
from rationem.engines.pool import EnginePool
from rationem.evaluation.evaluate import evaluate
from rationem.sampling.marginal import SummedOut
from rationem.sampling.schemes import FORWARD, parse_scheme
from rationem.sampling.selectors import Tried
from rationem.tasks.protocol import Task
from rationem.types import Example, Kept

#: Training questions, and held-out questions of the search and of the test with their drafts per question.
TRAIN, VALIDATION, TEST = 200, (150, 1), (200, 1)
NEW_TOKENS, ROWS = 48, 256
#: Iterations of filtered EM, optimizer steps of each, and questions per optimizer step, of every method.
ITERATIONS, STEPS, QUESTIONS = 6, 25, 16
DRAFTS = 4
#: GRPO and RLOO: drafts per question, optimizer steps, and after how many a point is marked.
GENERATIONS, POLICY_STEPS, EVERY = 4, 30, 5


@dataclass(frozen=True, slots=True)
class Point:
    """Where a training stands.

    Args:
        seconds, cpu: since its loop began, without writing checkpoints that are only for the measurement.
        generated: tokens of all drafts so far.
        trained: tokens of all training steps so far, prompts included, padding not.
    """

    seconds: float
    cpu: float
    generated: int
    trained: int
    checkpoint: str


class Clock:
    """Wall and CPU seconds of this process since ``start``, without those inside ``paused``."""

    def __init__(self) -> None:
        self._began: tuple[float, float] = (0.0, 0.0)
        self._lost: tuple[float, float] = (0.0, 0.0)

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def start(self) -> None:
        self._began, self._lost = self._now(), (0.0, 0.0)

    @contextmanager
    def paused(self) -> Iterator[None]:
        before = self._now()
        yield
        now = self._now()
        self._lost = (self._lost[0] + now[0] - before[0], self._lost[1] + now[1] - before[1])

    def read(self) -> tuple[float, float]:
        now = self._now()
        return now[0] - self._began[0] - self._lost[0], now[1] - self._began[1] - self._lost[1]


@dataclass(frozen=True, slots=True)
class Setting:
    """What is learned: the task, its examples, the base model, and the sizes that depend on the model.

    Args:
        draws: drafts per example in the search, and in the test.
        rows: completions that are generated together.
    """

    task: Task
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    base: str
    draws: tuple[int, int] = (1, 1)
    new_tokens: int = NEW_TOKENS
    prompt_tokens: int = 1024
    rows: int = ROWS

    def held_out(self, search: bool) -> tuple[tuple[Example, ...], int]:
        """Return the examples that checkpoints are measured on, and how many drafts each of them gets."""
        return (self.validation, self.draws[0]) if search else (self.test, self.draws[1])


def embedded() -> Setting:
    """Return the judge world: one hidden human, the shipped base."""
    sizes = (TRAIN, VALIDATION[0], TEST[0])
    found = world.examples(sum(sizes), seed=0, human=world.human(0))
    train, rest = found[:TRAIN], found[TRAIN:]
    return Setting(
        world.TASK, train, rest[: sizes[1]], rest[sizes[1] :], str(world.tiny_judge()), (VALIDATION[1], TEST[1])
    )


def configured(path: Path, directory: Path) -> Setting:
    """Return the data, task and model of a configuration, as ``rationem fit --config`` resolves it."""
    from rationem.config.files import read_config
    from rationem.run.launch import resolve

    run, _ = resolve(read_config(path, {}), directory / "resolved")
    rows = run.config.sampling_batch if isinstance(run.config.sampling_batch, int) else 32
    sizes = {
        "new_tokens": run.config.max_new_tokens or NEW_TOKENS,
        "prompt_tokens": run.config.max_prompt_tokens or 1024,
    }
    splits = (run.splits.train, run.splits.validation, run.splits.test)
    return Setting(run.task, *map(tuple, splits), str(run.checkpoint), rows=rows, **sizes)


@dataclass
class Job:
    """One training, half as long in the search, and what it has marked so far. Its loop begins with ``begin``."""

    setting: Setting
    rate: float
    seed: int
    search: bool
    directory: Path
    spawned: float
    clock: Clock = field(default_factory=Clock)
    points: list[Point] = field(default_factory=list)
    start_up: tuple[float, float] = (0.0, 0.0)

    @property
    def iterations(self) -> range:
        return range(1, (ITERATIONS // 2 if self.search else ITERATIONS) + 1)

    @property
    def policy_steps(self) -> int:
        return POLICY_STEPS // 2 if self.search else POLICY_STEPS

    def begin(self) -> None:
        """Start the clock; what has passed since the process was asked for is the start-up."""
        self.start_up = (time.time() - self.spawned, time.process_time())
        self.clock.start()

    def mark(self, checkpoint: Path, generated: int, trained: int) -> None:
        self.points.append(Point(*self.clock.read(), generated, trained, str(checkpoint)))


def engines(setting: Setting) -> EnginePool:
    choice = EngineConfig(setting.task.marker, device="cpu", batch_size=setting.rows)
    return EnginePool(partial(open_transformers, choice))


def context(setting: Setting, directory: Path, seed: int) -> SamplingContext:
    """Return the sampling of a new ledger."""
    ledger = Ledger(directory)
    ledger.start({"notes": {}, "config": {}}, {"train": setting.train})
    sampling = Sampling(max_new_tokens=setting.new_tokens)
    return SamplingContext(setting.task, ledger, seed, sampling, max_prompt_tokens=setting.prompt_tokens)


# rationem ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Best(SummedOut):
    """Best-of-n distillation: keep the rationale with the highest p(y* | x, z) of n, whatever answer it led to."""

    def select(self, tried: Tried) -> list[Kept]:
        if not tried.candidates:
            return []
        best = max(tried.candidates, key=lambda one: one.log_ratio).trial
        return [Kept(best.example_id, best.attempt, 1.0, best.iteration)]


def rationem(job: Job, scheme: Scheme) -> None:
    """Filtered EM as a program runs it, without measurements inside the run."""
    setting, run = job.setting, context(job.setting, job.directory / "run", job.seed)
    settings = Training(steps=STEPS, batch_size=QUESTIONS, micro_batch_size=QUESTIONS, learning_rate=job.rate)
    m_step = SupervisedMStep(settings, "cpu")
    problem = Problem(Splits(setting.train, (), ()), scheme, setting.base, engines(setting), m_step, run)
    job.begin()
    state, generated, trained = begin(problem), 0, 0
    for k in job.iterations:
        state, _ = em_step(state, problem)
        generated += run.ledger.record(k, "e_step")["generated_tokens"]
        trained += run.ledger.record(k, "m_step")["trained_tokens"]
        job.mark(Path(state.theta), generated, trained)


# By hand: generate, filter, SFTTrainer, reload -----------------------------------------------------------------------


def tokenizer_of(path: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path)


def prompts(setting: Setting, tokenizer: Any) -> list[str]:
    """Return the questions as text; its tokens are those that rationem sends.

    Raises:
        SystemExit: they are not.
    """
    chat, asked = Chat(tokenizer), [setting.task.prompt(x.fields) for x in setting.train]
    texts = [chat.render(chat.messages(one), answered=False) for one in asked]
    if [tuple(tokenizer(text)["input_ids"]) for text in texts] != [tuple(chat.encode(one)) for one in asked]:
        raise SystemExit("The prompts of the arms differ; their times cannot be compared.")
    return texts


def is_right(task: Task, text: str, answer: str) -> bool:
    """Say whether a completion's verdict is the answer: the parser and the reward of all arms."""
    said = task.parse(text).answer
    return said is not None and task.reward(said, answer) == 1


def drafts(
    setting: Setting, model: Any, tokenizer: Any, texts: Sequence[str]
) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Yield each question's tokens and the tokens of its drafts, up to the end of the turn."""
    per_batch = max(1, setting.rows // DRAFTS)
    for start in range(0, len(texts), per_batch):
        some = list(texts[start : start + per_batch])
        batch = tokenizer(some, return_tensors="pt", padding=True, padding_side="left")
        with torch.inference_mode():
            rows = model.generate(
                **batch, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=setting.new_tokens,
                num_return_sequences=DRAFTS, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
            )  # fmt: skip
        said = [upto(row, tokenizer.eos_token_id) for row in rows[:, batch["input_ids"].shape[1] :].tolist()]
        for n, text in enumerate(some):
            yield tokenizer(text)["input_ids"], said[DRAFTS * n : DRAFTS * (n + 1)]


def upto(ids: list[int], end: int) -> list[int]:
    """Return the tokens up to the first end of a turn, which belongs to them."""
    return ids[: ids.index(end) + 1] if end in ids else ids


def told(job: Job, directory: Path) -> dict[str, Any]:
    """Return what all trainers of TRL are told: AdamW at a constant rate in fp32, nothing logged, nothing saved."""
    return {
        "output_dir": str(directory), "learning_rate": job.rate, "lr_scheduler_type": "constant", "use_cpu": True,
        "bf16": False, "gradient_checkpointing": False, "logging_strategy": "no", "save_strategy": "no",
        "report_to": "none", "disable_tqdm": True, "log_level": "error", "dataloader_pin_memory": False,
    }  # fmt: skip


def by_hand(job: Job) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    setting, tokenizer = job.setting, tokenizer_of(job.setting.base)
    texts, place, generated, trained = prompts(setting, tokenizer), setting.base, 0, 0
    job.begin()
    for k in job.iterations:
        torch.manual_seed(1000 * job.seed + k)
        model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32).eval()
        rows = []
        for x, (asked, said) in zip(setting.train, drafts(setting, model, tokenizer, texts), strict=True):
            generated += sum(map(len, said))
            told_of = ((ids, tokenizer.decode(ids, skip_special_tokens=True)) for ids in said)
            right = (ids for ids, text in told_of if is_right(setting.task, text, x.answer))
            if ids := next(right, None):
                rows.append({"input_ids": asked + ids, "completion_mask": [0] * len(asked) + [1] * len(ids)})
        place = str(job.directory / f"hand-{k}")
        settings = SFTConfig(
            **told(job, Path(place)), max_steps=STEPS, per_device_train_batch_size=QUESTIONS, completion_only_loss=True,
            train_sampling_strategy="group_by_length", seed=1000 * job.seed + k,
        )  # fmt: skip
        trainer = SFTTrainer(model, settings, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
        trainer.train()
        trainer.save_model(place)
        # The last batch of a pass is smaller; tokens are counted as whole passes.
        steps_a_pass = math.ceil(len(rows) / QUESTIONS)
        trained += round(sum(len(row["input_ids"]) for row in rows) * STEPS / steps_a_pass)
        job.mark(Path(place), generated, trained)


# GRPO and RLOO -------------------------------------------------------------------------------------------------------


def policy(job: Job, algorithm: str) -> None:
    """Train by TRL's GRPO or RLOO, with the same number of questions in an optimizer step as the other arms."""
    import trl
    from datasets import Dataset
    from transformers import TrainerCallback

    setting, tokenizer = job.setting, tokenizer_of(job.setting.base)
    texts, counts = prompts(setting, tokenizer), {"generated": 0, "trained": 0}

    def reward(completions: list[str], prompts: list[str], completion_ids: list, answer: list, **_: Any) -> list[float]:
        generated = sum(map(len, completion_ids))
        counts["generated"] += generated
        counts["trained"] += generated + sum(len(tokenizer(text)["input_ids"]) for text in prompts)
        return [float(is_right(setting.task, text, truth)) for text, truth in zip(completions, answer, strict=True)]

    class Marks(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            job.begin()

        def on_step_end(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
            if state.global_step % EVERY:
                return
            place = job.directory / f"step-{state.global_step}"
            job.mark(place, **counts)
            with job.clock.paused():
                model.save_pretrained(place)
                tokenizer.save_pretrained(place)

    settings = getattr(trl, f"{algorithm}Config")(
        **told(job, job.directory / "trainer"), max_steps=job.policy_steps, num_generations=GENERATIONS,
        per_device_train_batch_size=QUESTIONS * GENERATIONS, max_completion_length=setting.new_tokens, temperature=1.0,
        top_p=1.0, top_k=0, seed=job.seed,
    )  # fmt: skip
    rows = Dataset.from_list([{"prompt": t, "answer": x.answer} for t, x in zip(texts, setting.train, strict=True)])
    trainer = getattr(trl, f"{algorithm}Trainer")(
        setting.base, reward, args=settings, train_dataset=rows, processing_class=tokenizer, callbacks=[Marks()]
    )
    trainer.train()


#: name -> how it trains. The second is the best scheme of the study of schemes.
ARMS: dict[str, Callable[[Job], None]] = {
    "RS(4)": partial(rationem, scheme=parse_scheme(f"rs:{DRAFTS}")),
    "frozen PPS resampled": partial(rationem, scheme=parse_scheme("rationalize@base*2", "resample")),
    "generate + SFTTrainer": by_hand,
    "GRPO": partial(policy, algorithm="GRPO"),
    "RLOO": partial(policy, algorithm="RLOO"),
    "best of 4": partial(rationem, scheme=Scheme("best:4", (FORWARD,) * DRAFTS, Best("self-normalised", "one"))),
}


# The one evaluator ---------------------------------------------------------------------------------------------------


def accuracies(job: Job) -> list[float]:
    """Return the accuracy of the base and of every point: the likeliest level, averaged over the drafts."""
    setting, found = job.setting, []
    run, pool = context(setting, job.directory / "evaluation", 0), engines(setting)
    asked, draws = setting.held_out(job.search)
    for k, place in enumerate([setting.base, *(one.checkpoint for one in job.points)]):
        evaluate(asked, pool.at(place), run, train=setting.train, iteration=k, split="test", draws=draws)
        found.append(run.ledger.record(k, "test")["accuracy"])
    run.ledger.close()
    return found
