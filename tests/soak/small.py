"""Inputs of the functions that read: data files, settings, rubrics, templates, scales, verdicts, chat."""

import csv
import hashlib
import io
import json
import tomllib
from functools import cache

from soak import mutate, texts


class Small:
    """Draws a reader, and something for it to read."""

    def __init__(self, material):
        self.material = material

    def words(self, draw):
        return draw.choices(list(_KINDS), [weight for weight, _ in _KINDS.values()])[0]

    def case(self, draw, place):
        return _refusable(_KINDS[self.words(draw)][1], draw, place)


def _refusable(kind, draw, place):
    from rationem.errors import RationemError

    try:
        return kind(draw, place)
    except RationemError as error:
        return "" if str(error).strip() else "refused without a word"


# Files --------------------------------------------------------------------------------------------------------------


def _records(draw):
    hostile = draw.random() < 0.3
    made = []
    for n in range(draw.randint(1, 30)):
        said = texts.text(draw, 5) if hostile else f'She said "{n}", then; left\tand\nreturned'
        made.append({"id": f"r{n}", "prompt": f"what is {n} ?", "response": said, "rating": draw.randint(1, 5)})
    return made


def _table(delimiter):
    def write(draw, records):
        file = io.StringIO()
        rows = csv.DictWriter(file, records[0], delimiter=delimiter, quoting=draw.choice((0, 1, 2)))
        rows.writeheader()
        rows.writerows(records)
        return texts.written(file.getvalue())

    return write


def _parquet(draw, records):
    import pyarrow
    from pyarrow import parquet

    clean = [{key: texts.written(value).decode("utf-8", "replace") if isinstance(value, str) else value
              for key, value in record.items()} for record in records]  # fmt: skip
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist(clean), sink, compression=draw.choice(("none", "snappy", "gzip")))
    return sink.getvalue().to_pybytes()


def _xml(draw, records):
    encoding = draw.choice(
        ("UTF-8", "UTF-16", "EBCDIC", "ISO-8859-1", "x-unknown", "cp037", "utf-7", "shift_jis", "GB18030")
    )
    answers = "".join(
        f'<studentAnswer id="{n}"><response>answer {n}</response><score>{r["rating"]}</score>'
        f"<response_feedback>fine</response_feedback></studentAnswer>"
        for n, r in enumerate(records)
    )
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><question id="1" module="m"><questionText>why</questionText>'
        f"<referenceAnswers><referenceAnswer>so</referenceAnswer></referenceAnswers><studentAnswers>{answers}"
        "</studentAnswers></question>"
    )
    return text.encode()


_FORMATS = {
    ".csv": _table(","), ".tsv": _table("\t"), ".json": lambda _, r: json.dumps(r).encode(),
    ".jsonl": lambda _, r: "\n".join(map(json.dumps, r)).encode(), ".parquet": _parquet, ".xml": _xml,
}  # fmt: skip


def write_data(draw, place):
    """Write a data file, damaged or packed or hostile or whole; return its path."""
    suffix = draw.choice(list(_FORMATS))
    data = _FORMATS[suffix](draw, _records(draw))
    if draw.random() < 0.85:
        data = mutate.damage(draw, data)
    if draw.random() < 0.15 and suffix != ".parquet":
        data, suffix = mutate.packed(draw, data), suffix + ".gz"
    path = place / f"data{suffix}"
    path.write_bytes(data)
    return path


def _reader(draw, place):
    from rationem.data import Columns, load
    from rationem.data.sources import scan_rows
    from rationem.errors import RationemError
    from rationem.tasks.scale import Scale

    path = write_data(draw, place)
    before = hashlib.sha256(path.read_bytes()).digest()
    columns = draw.choice((None, Columns(prompt="prompt", response="response", rating="rating")))
    refused = None
    try:
        rows = sum(not isinstance(row, RationemError) for row in scan_rows(path))
    except RationemError as error:
        refused = error
    skipped = draw.choice((None, []))
    try:
        loaded = load([path], scale=Scale.parse("1-5"), columns=columns, skipped=skipped)
        if refused and skipped is None:
            return f"{path.name}: load takes what the reader refuses: {refused}"
        if not refused and loaded.notes["rows"] != rows:
            return f"{path.name}: {rows} rows, of which load counts {loaded.notes['rows']}"
    finally:
        if hashlib.sha256(path.read_bytes()).digest() != before:
            raise AssertionError(f"{path.name} was changed")
    return ""


def _bomb(draw, place):
    from rationem.data.sources import scan_rows

    path = place / f"data{draw.choice(('.csv', '.tsv', '.json', '.jsonl', '.xml'))}.gz"
    path.write_bytes(mutate.bomb(1 << 30))
    for _ in scan_rows(path):
        pass


# Settings and wordings ----------------------------------------------------------------------------------------------

_CONFIG = b"""data = ["a.csv"]
scale = "1-5"
model = "tiny-judge"
scheme = "rs:4"
iterations = 2
learning_rate = 1e-3
vllm_args = ["--x", "y"]
lora_rank = 4
"""
_RUBRIC = b"""instruction = "Look at the tone."
[criteria.tone]
description = "Is it kind?"
[criteria.tone.levels]
1 = "rude"
5 = "kind"
"""
_RUBRIC_MD = b"# Rubric\n\nLook at the tone.\n\n## tone\n\nIs it kind?\n\n- 1: rude\n- 5: kind\n"
_TEMPLATE = b"""{{ instruction }}
Prompt: {{ prompt }}
Response: {{ response }}
{{ levels }}
{% if reference %}{{ reference }}{% endif %}
"""


def _file(draw, place, name, good):
    data = mutate.damage(draw, good) if draw.random() < 0.7 else good + texts.written(texts.text(draw))
    (place / name).write_bytes(data)
    return place / name


def _config(draw, place):
    from rationem.config import read_config, to_toml

    config = read_config(_file(draw, place, "config.toml", _CONFIG), {})
    again = tomllib.loads(to_toml(config))
    if again != {**again, **{k: v for k, v in config.model_dump(mode="json").items() if k in again}}:
        return "what is written of the settings reads back as others"
    return ""


def _rubric(draw, place):
    from rationem.tasks.rubric import read_rubric

    name, good = draw.choice((("rubric.toml", _RUBRIC), ("rubric.md", _RUBRIC_MD)))
    read_rubric(_file(draw, place, name, good))


def _template(draw, place):
    from rationem.tasks.template import read_template

    found = read_template(_file(draw, place, "prompt.txt", _TEMPLATE))
    known = ("instruction", "prompt", "response", "levels", "reference")
    found.check(known, ("prompt",)).render({name: texts.text(draw) for name in known})


def _own_task(draw, place):
    from rationem.tasks import named

    good = b'name = "mine"\nmarker = "Answer:"\nanswer = "number"\ninputs = ["question"]\nprompt = "{{ question }}"\n'
    named(str(_file(draw, place, "mine.toml", good)))


# Texts --------------------------------------------------------------------------------------------------------------


def _scale(draw, _place):
    from rationem.tasks.scale import Scale

    scale = Scale.parse(texts.scale(draw))
    for level in scale.levels[:5]:
        if scale.parse_level(level) != level if hasattr(scale, "parse_level") else scale.level(level) != level:
            return f"the level {level!r} does not read back"
    return ""


def _names(draw, _place):
    from rationem.compare.design import parse_arms
    from rationem.sampling.schemes import parse_scheme
    from rationem.tasks import named
    from rationem.tasks.rewards import parse_reward
    from rationem.tasks.scale import Scale

    said = texts.text(draw, 3)
    draw.choice((parse_arms, parse_scheme, lambda text: parse_reward(text, Scale.parse("1-5")), named))(
        draw.choice((said, f"rs:{said}", f"within:{said}", f"forward*{said}", "9" * 5000, f"rs:{'9' * 5000}"))
    )


def _verdict(draw, _place):
    from rationem.tasks import named
    from rationem.tasks.judge import JudgeTask
    from rationem.tasks.scale import Scale

    task = _tasks(named, JudgeTask, Scale)[draw.randrange(5)]
    said = texts.text(draw, 30)
    parsed = task.parse(said)
    if parsed.answer is not None and task.levels and parsed.answer not in task.levels:
        return f"{parsed.answer!r} is no level"
    if parsed.answer is not None:
        task.reward(parsed.answer, parsed.answer)
    return ""


@cache
def _tasks(named, judge, scale):
    scales = ("1-5", "Bad < Fair < Good", "yes/no")
    return (*(judge(scale.parse(text)) for text in scales), named("math"), named("summarize"))


def _answers(draw, _place):
    from rationem.tasks import answer_types

    said = texts.text(draw, 6)
    (
        answer_types.number(said),
        answer_types.final(said),
        answer_types.line(said),
        answer_types.rouge_l(said, texts.text(draw, 6)),
    )
    answer_types.copied(said, texts.text(draw, 6))
    if draw.random() < 0.2:
        answer_types.reader(draw.choice(("number", "text", said, f"pattern:{said}")))(said)


def _chat(draw, _place):
    from rationem.types import Prompt

    chat, control, harmless = _chats(draw.choice(("chatml", "llama3", "gemma", "qwen3", "base")))
    said = texts.written(texts.text(draw, 12)).decode(errors="replace")  # readers refuse half a character
    ids = chat.encode(Prompt(said))
    if sorted(i for i in ids if i in control) != harmless:
        return f"control tokens from a text: {[i for i in ids if i in control]}"
    spoken = chat.encode_completion(said)
    if any(i in control for i in spoken[:-1]):
        return "control tokens from a completion"
    chat.decode(spoken)
    return ""


@cache
def _chats(style):
    import checkpoints
    from rationem.engines.chat import Chat
    from rationem.types import Prompt

    tokenizer = checkpoints.tokenizer(style)
    special = frozenset(tokenizer.all_special_ids)
    chat = Chat(tokenizer)
    return chat, special, sorted(i for i in chat.encode(Prompt("kind")) if i in special)


#: Name -> (how often beside the others, what is done).
_KINDS = {
    "data file": (50, _reader),
    "gzip bomb": (0.01, _bomb),
    "config.toml": (8, _config),
    "rubric": (8, _rubric),
    "template": (6, _template),
    "own task": (4, _own_task),
    "scale": (6, _scale),
    "names": (6, _names),
    "verdict": (8, _verdict),
    "open answer": (5, _answers),
    "chat": (6, _chat),
}
