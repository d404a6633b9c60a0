"""The model card: what a model is, how it was made, and how good it is compared with its baselines.

Every number on it is in the run's ``metrics.json``; it contains no text of an example.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rationem.config import Mark, settings_with
from rationem.engines.chat import Chat, shows_a_date
from rationem.engines.models import EMBEDDED
from rationem.export.origin import StartingModel
from rationem.report import doubts, sections
from rationem.report.choice import reason
from rationem.report.escape import fenced, literal, readable
from rationem.report.reading import reading
from rationem.report.sections.learned import shared_groups
from rationem.report.sections.scores import numbers, raters
from rationem.report.tables import table
from rationem.report.text import blocks, section
from rationem.report.words import kind_of, words
from rationem.run.card import Card
from rationem.tasks import from_description
from rationem.tasks.protocol import Task

_MERGED = (
    "The scores were measured by the run, before its adapter was merged into the base and written as whole weights: "
    "these are the same model up to rounding."
)
_PAPER = "[arXiv 2512.20169](https://arxiv.org/abs/2512.20169)"


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that a model card is written from.

    Args:
        summary: the run's summary, from ``report.summarize``.
        card: the judge card, ``rationem.json``.
        name: OWNER/NAME, or None if not known yet.
        adapter: whether the weights are an adapter.
        merged: whether an adapter was merged into its base.
        chat: the conversation format of the model.
        sources: names of the data.
        version: the version of rationem.
    """

    summary: Mapping[str, Any]
    card: Card
    base: StartingModel
    name: str | None
    adapter: bool
    merged: bool
    chat: Chat
    sources: tuple[str, ...]
    version: str


def page(facts: Facts) -> str:
    """Return the model card, front matter and Markdown."""
    task = from_description(facts.card.task)
    named = facts.name.split("/")[-1] if facts.name else task.kind.words.model
    parts = [
        f"---\n{_front(facts)}\n---",
        f"# {literal(named)}",
        *_what(facts, task),
        *_use(facts, task),
        *_data(facts, task),
        *_training(facts),
        *_scores(facts),
        *_limits(facts),
        *_again(facts),
    ]
    return "\n\n".join(parts) + "\n"


def _front(facts: Facts) -> str:
    from huggingface_hub import ModelCardData

    tags = ["rationem", words(facts.summary).tag, *(["lora"] if facts.adapter else [])]
    data = ModelCardData(
        library_name="peft" if facts.adapter else "transformers",
        # The hub refuses a value that is not one of its models, and takes a plain name for another model of that name.
        base_model=facts.base.name if facts.base.on_hub else None,
        pipeline_tag="text-generation",
        tags=tags,
    )
    return str(data.to_yaml())


def _does(task: Task) -> str:
    """Return what the model reads, what it writes, and what it was trained on."""
    return _DOES[task.items](task)


def _reads_inputs(task: Task) -> str:
    return (
        f"A model that answers: it reads {' and '.join(map(literal, task.inputs))}. It writes a rationale, and "
        f"then its answer on a line of its own, {literal(task.marker)} ANSWER. It was trained from answers alone"
    )


def _reads_responses(task: Task) -> str:
    reads = "a response and rates it"
    if task.orders > 1:
        better = "better, and by how much" if task.scale.ordered else "better" if task.orders == 2 else "best"
        reads = f"{'two' if task.orders == 2 else task.orders} responses and says which is {better}"
    return (
        f"A judge: it reads {reads}. It writes a rationale, and then its verdict on a line of its own, "
        f"`{task.marker} LEVEL`, as people rated. It was trained from ratings alone"
    )


def _reads_choices(task: Task) -> str:
    return (
        "A model that chooses: it reads a question with lettered choices and says which is right. It writes a "
        f"rationale, and then its verdict on a line of its own, `{task.marker} LEVEL`, a letter. It was trained from "
        "answers alone"
    )


_DOES = {"inputs": _reads_inputs, "responses": _reads_responses, "choices": _reads_choices}


def _what(facts: Facts, task: Task) -> Iterator[str]:
    form = (
        "a LoRA adapter" if facts.adapter else "a LoRA adapter, merged into its base" if facts.merged else "all weights"
    )
    yield (
        f"{_does(task)}, without rationales, by filtered expectation-maximization ({_PAPER}) with rationem "
        f"{facts.version}. These are {form}."
    )
    if facts.summary["best_iteration"] == 0:
        yield "**No iteration of its training was better than none: these are the weights that it began with.**"
    yield f"Base model: {_base(facts)}"
    yield (
        "**License**: none is named here. The publisher of this model must choose one that the license of the base "
        "model and the terms of the data allow, and write it into the first lines of this page (`license:`)."
    )


def _base(facts: Facts) -> str:
    name = literal(facts.base.name)
    if facts.base.on_hub:
        return f"[{name}](https://huggingface.co/{facts.base.name})."
    if _is_toy(facts):
        return f"{name}, the small model that comes with rationem to try it out. It cannot read."
    origin = facts.summary["refit"]
    again = f" It holds the weights that drew iteration {origin['iteration']} of another run." if origin else ""
    return (
        f"{name}, a local directory on the machine where this model was trained; it is not on the hub by this "
        f"name.{again}"
    )


def _use(facts: Facts, task: Task) -> Iterator[str]:
    yield "## Use"
    item = ", ".join(f'"{field}": "..."' for field in _fields(facts.card, task))
    called = task.kind.words
    yield f"With rationem, which asks as in training and {called.found}:"
    yield fenced(
        "from huggingface_hub import snapshot_download\n"
        "from rationem import Judge\n\n"
        f'judge = Judge.load(snapshot_download("{_name(facts)}"))\n'
        f"rating = judge.rate([{{{item}}}])[0]\n"
        f"print({called.told}, rating.rationale)",
        "python",
    )
    alone = "peft" if facts.adapter else "transformers"
    yield f"Without it, by {alone} alone: one rationale and its {called.verdict.split()[1]}."
    yield fenced(_snippet(facts), "python")
    yield "The prompt, with the names in capitals replaced by the item's texts:"
    yield fenced(task.prompt({name: name.upper() for name in _fields(facts.card, task)} | _criterion(task)).text)
    if len(task.criteria) > 1:
        yield (
            f"This one asks for {literal(task.criteria[0].name)}; for another criterion its name and its words, which "
            "are below, stand in their place."
        )


def _fields(card: Card, task: Task) -> list[str]:
    return [*task.inputs, *_OPTIONAL[task.items](card.columns or {})]


def _own(columns: Mapping[str, Any]) -> list[str]:
    return [name for name, _ in columns.get("optional") or ()]


def _beside(columns: Mapping[str, Any]) -> list[str]:
    return [name for name in ("context", "reference") if columns.get(name)]


_OPTIONAL = {"inputs": _own, "responses": _beside, "choices": _beside}


def _criterion(task: Task) -> dict[str, str]:
    named = task.criteria[0].name
    return {"criterion": named} if named else {}


def _begin(chat: Chat) -> str:
    """Return the beginning of a prompt without a template: the tokenizer's own special tokens."""
    return f"{json.dumps(chat.decode(chat.tokens.begins))} + " if chat.tokens.begins else ""


def _snippet(facts: Facts) -> str:
    loader = "peft import AutoPeftModelForCausalLM" if facts.adapter else "transformers import AutoModelForCausalLM"
    chat = facts.chat
    turns = ['{"role": "user", "content": prompt}']
    told = ['prompt = "..."  # the text below']
    if chat.folds:
        told.append(f'prompt = {json.dumps(chat.conversation.system)} + "\\n\\n" + prompt')
    elif chat.conversation.system:
        turns.insert(0, f'{{"role": "system", "content": {json.dumps(chat.conversation.system)}}}')
    settings = "".join(f", {name}={value}" for name, value in chat.settings.items())
    if shows_a_date(chat.template.text):
        settings += f', date_string="{chat.conversation.date}"'
        told.append(f"# trained with the date {chat.conversation.date}; some templates show today's instead")
    lines = "".join(f"{line}\n" for line in told)
    asked = (
        f"turns = [{', '.join(turns)}]\n"
        f"ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True{settings}, "
        'return_tensors="pt", return_dict=True)'
        if chat.tokenizer.chat_template
        else f'ids = tokenizer({_begin(chat)}prompt + "\\n", add_special_tokens=False, return_tensors="pt")'
    )
    return (
        f"from {loader}\nfrom transformers import AutoTokenizer\n\n"
        f"{lines}"
        f'tokenizer = AutoTokenizer.from_pretrained("{_name(facts)}")\n'
        f'model = {loader.rsplit(maxsplit=1)[-1]}.from_pretrained("{_name(facts)}")\n'
        f"{asked}\n"
        "draw = dict(do_sample=True, temperature=1.0, top_p=1.0, top_k=0)\n"
        f"said = model.generate(**ids, **draw, max_new_tokens={facts.card.max_new_tokens})\n"
        'print(tokenizer.decode(said[0, ids["input_ids"].shape[1]:], skip_special_tokens=True))'
    )


def _is_toy(facts: Facts) -> bool:
    return facts.base.name in EMBEDDED and EMBEDDED[facts.base.name].toy


def _name(facts: Facts) -> str:
    return facts.name or "OWNER/NAME"


def _data(facts: Facts, task: Task) -> Iterator[str]:
    summary = facts.summary
    yield "## Data"
    if summary["notes"].get("world"):
        yield "Source: the embedded world of rationem, made-up items with made-up ratings."
    elif facts.sources:
        yield f"Source: {', '.join(map(literal, facts.sources))}."
    for part in reading(summary):
        yield from blocks(part)
    rows = [[split, str(count), str(summary["groups"][split])] for split, count in summary["examples"].items()]
    yield table(("set", "examples", "groups"), rows)
    told = ["Sets that were cut from one file share no group (such as a prompt)."]
    if summary["examples"]["validation"]:
        fitted = ", and fitted the calibration" if summary["calibration"] else ""
        told.append(f"Validation chose the iteration{fitted}.")
    yield " ".join(told)
    for one in raters(summary):
        yield from blocks(one)
    yield from _SAYS[task.kind.estimator](facts, task)


def _answers(facts: Facts, task: Task) -> Iterator[str]:
    """Yield what an answer is, and how it is rewarded."""
    kind = str(facts.card.task.get("answer", "text"))
    pattern = literal(kind.removeprefix("pattern:"))
    read = {"number": "a number", "text": "a line of text"}.get(kind, f"what the pattern {pattern} reads")
    if task.program is not None:
        read = f"what {literal(facts.card.task['own'])}, a class on the machine where this model was trained, reads"
    yield f"Answers: {read}. Reward: {literal(facts.card.task['reward'])}."


def _levels(_: Facts, task: Task) -> Iterator[str]:
    """Yield the levels, and the meanings of levels and criteria in the words used for training."""
    for name, own in task.scale.parts or (("", task.scale),):
        of = f" of {literal(name)}" if name else ""
        yield f"Levels{of}, {own.order}: {', '.join(map(literal, own.levels))}."
    if task.scale.meanings:
        yield fenced(task.scale.described())
    for one in task.criteria:
        said = [one.instruction, *(f"{level}: {meaning}" for level, meaning in one.meanings.items())]
        if any(said):
            yield f"Criterion {literal(one.name)}:" if one.name else "What to look at:"
            yield fenced("\n".join(text for text in said if text))
        elif one.name:
            yield f"Criterion {literal(one.name)}."


_SAYS = {"levels": _levels, "consensus": _answers}


def _training(facts: Facts) -> Iterator[str]:
    summary = facts.summary
    config = summary["config"]
    yield "## Training"
    yield table(
        ("setting", "value"),
        [[name, literal(config[name])] for name in settings_with(Mark.CARD) if config.get(name) is not None],
    )
    how = "the last one, for there was no validation to choose by"
    if summary["chosen_by"] != "last iteration":
        how = f"which {reason(summary)}"
    yield f"Iteration {summary['best_iteration']} of {summary['last_iteration']} is this model, {how}."


def _scores(facts: Facts) -> Iterator[str]:
    summary = facts.summary
    split = "test" if summary["examples"]["test"] else "validation"
    yield "## Scores"
    if split not in summary["baselines"]:
        yield "There was no validation and no test set: nothing says how well this model does."
        return
    if split == "validation":
        yield "**There was no test set. These are of the validation set, which chose the iteration: too good.**"
    else:
        yield "On the test set, which was scored once, at the end."
    for block in numbers(summary, (split,)).blocks:
        yield from blocks(block)
    for part in sections.on_card(summary):
        yield from section(part, below=1)
    if not facts.summary["calibration"]:
        yield from _UNCALIBRATED[kind_of(facts.summary).page]


_UNCALIBRATED: dict[str, tuple[str, ...]] = {
    "levels": ("There is no calibration: there was no validation set to fit one on.",),
    "answers": (),
    "rewards": (),
}


def _limits(facts: Facts) -> Iterator[str]:
    summary = facts.summary
    yield "## Limits"
    called = words(summary)
    found = [
        *map(readable, doubts(summary)),
        *map(literal, summary["raters"]["warnings"]),
        *shared_groups(summary),
        *([f"The embedded model cannot read: its {called.verdicts} say nothing."] if _is_toy(facts) else []),
        called.errs,
        f"A rationale is what the model says on its way to {called.verdict}; that it is the reason is not shown.",
        f"Prompts of more than {facts.card.max_prompt_tokens} tokens were "
        f"{'shortened' if facts.card.elide else f'neither trained on nor {called.asked}'}.",
        *([_MERGED] if facts.merged else []),
    ]
    yield "\n".join(f"- {sentence}" for sentence in found)


def _again(facts: Facts) -> Iterator[str]:
    yield "## Numbers again"
    how = words(facts.summary).held
    yield (
        "Every number on this page is in `metrics.json` of the run directory, and `rationem report RUN` computes it "
        "again from the run's ledger. That directory holds the texts and labels of the data and is not part of this "
        f"repository; who trained this model has it. `rationem.json` is {how}"
    )
