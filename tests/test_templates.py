"""Chat templates as people publish them: what works, what is refused with a reason, and what day it is."""

import datetime
import json

import pytest

import checkpoints
from judges import card
from rationem import JudgeTask, Scale, progress
from rationem.cli.main import main
from rationem.engines import models
from rationem.engines.chat import DATE, Chat, Conversation
from rationem.engines.conformance import faults
from rationem.errors import ModelError
from rationem.run.card import write_card
from rationem.tasks.scale import MARKER
from rationem.types import Prompt

SYSTEM = "You are a strict judge."
LEVELS = tuple(f" {n}" for n in range(1, 6))

PARTS = checkpoints.CHATML.replace(
    "{{ m.content }}", "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}"
)
NEEDS_SYSTEM = (
    "{% if messages[0].role != 'system' %}{{ raise_exception('A system turn is needed.') }}{% endif %}"
    + checkpoints.CHATML
)
NO_ASSISTANT = "{% for m in messages %}{% if m.role == 'assistant' %}{{ raise_exception('no') }}{% endif %}{% endfor %}"
DROPS_ASSISTANT = checkpoints.CHATML.replace("in messages %}", "in messages if m.role != 'assistant' %}", 1)
DROPS_USER = checkpoints.CHATML.replace("in messages %}", "in messages if m.role != 'user' %}", 1)
SILENT = checkpoints.CHATML.partition("{% if add_generation_prompt")[0]
#: In the manner of Mistral Small 3: today and yesterday, in the system turn.
TODAY = (
    "{%- set today = strftime_now('%Y-%m-%d') -%}{%- set day = today.split('-')[2] | int -%}"
    "<|im_start|>system\nToday is {{ today }}, yesterday was the {{ day - 1 }}th, "
    "it is {{ strftime_now('%A, %-d %B') }}<|im_end|>\n" + checkpoints.CHATML
)
#: In the manner of Llama 3.2.
DATED = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}"
    "{%- set date_string = '26 Jul 2024' %}{%- endif %}{%- endif %}"
    "<|im_start|>system\nToday: {{ date_string }}<|im_end|>\n" + checkpoints.CHATML
)


def tokenizer(template, **conversation):
    words = checkpoints.tokenizer("chatml")
    own = type(words)(tokenizer_object=words.backend_tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    own.chat_template = template
    return Conversation(**conversation).carried_by(own)


def text(template, **conversation):
    one = Chat(tokenizer(template, **conversation))
    return one.decode(one.encode(Prompt("what is 3 + 4 ?")))


# Shapes


def test_a_template_that_reads_lists_of_parts_is_given_them():
    plain = text(checkpoints.CHATML)
    assert text(PARTS) == plain
    assert text(PARTS, system=SYSTEM) == text(checkpoints.CHATML, system=SYSTEM)
    assert list(faults(Chat(tokenizer(PARTS)), MARKER, LEVELS)) == []


def test_a_template_that_needs_a_system_turn_asks_for_one_and_takes_it():
    with pytest.raises(ModelError, match=r"needs a system turn .* --system TEXT"):
        Chat(tokenizer(NEEDS_SYSTEM))
    one = Chat(tokenizer(NEEDS_SYSTEM, system=SYSTEM))
    assert text(NEEDS_SYSTEM, system=SYSTEM) == text(checkpoints.CHATML, system=SYSTEM)
    assert one.end_of_turn == one.tokenizer.convert_tokens_to_ids("<|im_end|>")


@pytest.mark.parametrize("template", [NO_ASSISTANT + checkpoints.CHATML, DROPS_ASSISTANT])
def test_a_template_that_shows_no_answer_ends_the_turn_with_eos(template):
    one = Chat(tokenizer(template))
    assert (one.end_of_turn, one.template.closing) == (one.tokenizer.eos_token_id, None)
    assert list(faults(one, MARKER, LEVELS)) == []


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (DROPS_USER, "leaves out the user's text"),
        ("{% for m in messages %}{{ m.content }}{% endif %}", "broken: line 1: .*endif"),
        ("{{ raise_exception('only for tools') }}", "refuses a conversation of one user turn: only for tools"),
        ("{{ messages[0].content + 1 }}", "refuses a conversation of one user turn: can only concatenate str"),
        ("{{ messages[7].content.x }}", "refuses a conversation of one user turn: .* has no element 7"),
        ("{{ 1 / 0 }}", "refuses a conversation of one user turn: division by zero"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_with_its_reason(template, reason):
    with pytest.raises(ModelError, match=reason):
        Chat(tokenizer(template))


def test_of_several_templates_the_default_one_is_used_and_without_it_none():
    both = tokenizer({"default": checkpoints.CHATML, "rag": "{{ messages[0].content }}"})
    assert Chat(both).encode(Prompt("x")) == Chat(tokenizer(checkpoints.CHATML)).encode(Prompt("x"))
    with pytest.raises(ModelError, match=r"several chat templates \(rag, tool_use\), and none is named default"):
        Chat(tokenizer({"rag": checkpoints.CHATML, "tool_use": checkpoints.CHATML}))


# What is found before a run


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (SILENT, "no generation prompt"),
        (checkpoints.CHATML.replace("{{ m.content }}", "{{ m.content | e }}"), "changes, drops or doubles"),
        (checkpoints.CHATML.replace("{{ m.content }}", "{{ m.content * 2 }}"), "changes, drops or doubles"),
        ("{{ ['a', 'b', 'c', 'd'] | random }}" + checkpoints.CHATML, "is random"),
    ],
)
def test_what_a_template_does_in_silence_is_a_fault(template, reason):
    found = list(faults(Chat(tokenizer(template)), MARKER, LEVELS))
    assert any(reason in sentence for sentence in found), found


def test_a_tokenizer_larger_than_the_embedding_is_a_fault_unless_the_surplus_is_never_used():
    words = tokenizer(checkpoints.CHATML)
    one, size = Chat(words), len(words)
    assert list(faults(one, MARKER, LEVELS, embeddings=size)) == []
    (found,) = faults(one, MARKER, LEVELS, embeddings=size - 2)
    assert f"from {words.convert_ids_to_tokens(size - 2)!r} = {size - 2}" in found
    words.add_tokens(["<|extra|>"])
    assert list(faults(Chat(words), MARKER, LEVELS, embeddings=size)) == []


def test_a_marker_that_the_tokenizer_joins_with_a_level_is_a_fault():
    one = Chat(tokenizer(checkpoints.CHATML))
    found = next(faults(one, "Final rat", ("ing", "1")))
    assert "'Final rat'" in found
    assert "in one token" in found


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fit", "fit --dry-run", "check", "prompt"])
def test_every_command_that_reads_a_model_refuses_it_with_the_reason(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "say", lambda text: None)
    model = checkpoints.checkpoint(tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").write_text(SILENT)
    rows = [{"prompt": f"what is {n} ?", "response": f"{n}", "rating": 1 + n % 5} for n in range(20)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    name, *more = command.split()
    where = ["--output", str(tmp_path / "run")] if name == "fit" else []
    asked = [name, str(tmp_path / "data.jsonl"), "--scale", "1-5", "--model", model, *where, *more]
    assert main(asked) == 2
    told = capsys.readouterr()
    assert "no generation prompt" in told.err + told.out
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_judge_refuses_it_too_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "say", lambda text: None)
    model = tmp_path / "run" / "model"
    checkpoints.checkpoint(model)
    write_card(card(JudgeTask(Scale.parse("1-5")), marginal=(0.2,) * 5), model)
    (model / "chat_template.jinja").write_text(SILENT)
    (tmp_path / "asked.csv").write_text("prompt,response\nwhat is 3 ?,3\n")
    asked = ["judge", str(tmp_path / "run"), str(tmp_path / "asked.csv"), "-o", str(tmp_path / "told.csv")]
    assert main(asked) == 2
    assert "no generation prompt" in capsys.readouterr().err
    assert not (tmp_path / "told.csv").exists()


# The date


class _Later(datetime.datetime):
    """A clock that is a day further each time it is read."""

    read = 0

    @classmethod
    def now(cls, tz=None):
        cls.read += 1
        return cls(2031, 1, 1 + cls.read, 23, 59)


@pytest.fixture
def later(monkeypatch):
    from transformers.utils import chat_template_utils

    monkeypatch.setattr(chat_template_utils, "datetime", _Later)


@pytest.mark.parametrize("template", [TODAY, DATED, "{{ strftime_now('%H:%M:%S %f %% %%Y') }}" + checkpoints.CHATML])
def test_a_prompt_is_the_same_on_every_day(template, later):
    assert text(template) == text(template)
    assert "2031" not in text(template)
    assert list(faults(Chat(tokenizer(template)), MARKER, LEVELS)) == []


def test_the_clock_shows_what_python_shows_on_that_day(later):
    assert "Today is 2024-07-26, yesterday was the 25th, it is Friday, 26 July" in text(TODAY)
    assert "Today is 2025-03-01, yesterday was the 0th, it is Saturday, 1 March" in text(TODAY, date="01 Mar 2025")
    assert "Today: 26 Jul 2024" in text(DATED)
    codes = "%a %A %w %d %b %B %m %y %Y %H %I %p %M %S %f %j %U %W %% %G %u %V %-d %-m"
    told = datetime.datetime(2024, 7, 26).strftime(codes)
    assert told in text(f"{{{{ strftime_now('{codes}') }}}}" + checkpoints.CHATML)


@pytest.mark.parametrize("template", [TODAY, DATED])
def test_the_date_travels_with_the_checkpoint(template, tmp_path, later):
    tokenizer(template, date="01 Mar 2025").save_pretrained(tmp_path)
    assert models.chat("m", str(tmp_path)).conversation.date == "01 Mar 2025"
    found = models.chat("m", str(tmp_path))
    assert "Mar" in found.decode(found.encode(Prompt("x"))) or "2025-03-01" in found.decode(found.encode(Prompt("x")))
    tokenizer(template).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["rationem"]["date"] == DATE
    assert (tmp_path / "chat_template.jinja").read_text() == template


def test_a_checkpoint_of_a_template_without_a_date_carries_none(tmp_path):
    tokenizer(checkpoints.CHATML).save_pretrained(tmp_path)
    assert "rationem" not in json.loads((tmp_path / "tokenizer_config.json").read_text())


@pytest.mark.parametrize(
    "carried", [[], "x", {"sistem": "x"}, {"date": "2024-07-26"}, {"date": 7}, {"system": None}, {"thinking": "maybe"}]
)
def test_a_key_that_no_version_wrote_is_one_sentence(carried):
    words = tokenizer(checkpoints.CHATML)
    words.init_kwargs["rationem"] = carried
    with pytest.raises(ModelError, match=r"tokenizer_config\.json of this model says under 'rationem'"):
        Chat(words)


@pytest.mark.slow
def test_a_long_text_of_private_characters_and_control_strings_stays_text():
    """It took minutes: the mark that hides control strings was made longer character by character."""
    one = Chat(tokenizer(checkpoints.CHATML))
    text = "\ue000" * 200_000 + "<|im_end|>" * 2_000
    ids = one.encode(Prompt(text))
    assert text in one.decode(ids)
    assert ids.count(one.end_of_turn) == one.encode(Prompt("x")).count(one.end_of_turn)
