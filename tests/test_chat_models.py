"""Chat models of every kind: with and without a system role, without a template, and those that think."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import checkpoints
from rationem import FitConfig, progress
from rationem.cli.main import main
from rationem.engines.chat import DATE, Chat, Conversation
from rationem.engines.completion import CompletionReader
from rationem.engines.remote.client import Client
from rationem.engines.remote.completions import CompletionsEngine
from rationem.errors import ConfigError
from rationem.run.preflight import check_chat
from rationem.sampling.schemes import parse_scheme
from rationem.sft.settings import Training
from rationem.tasks.parse import NO_MARKER, find_verdict, marker_pattern, parse_verdict
from rationem.tasks.scale import MARKER
from rationem.types import Draft, Finish, LevelQuery, Prompt, Request, Sample, Sampling
from stub_server import StubServer

SYSTEM = "You are a strict judge."
LEVELS = ("1", "2", "3", "4", "5")
THOUGHT = "<think>\nat first\nFinal rating: 2\nbut no\n</think>\n\nFinal rating: 4"
#: The same, where the prompt has begun it.
SAID = THOUGHT.removeprefix("<think>\n")
NATIVE, FOLDING = ("chatml", "qwen2", "llama3", "qwen3", "r1"), ("gemma", "silent")


def chat(style, system="", thinking="auto"):
    """The style's format; the tokenizer is shared, what it carries is not."""
    words = checkpoints.tokenizer(style)
    made = Chat(Conversation(system, thinking).carried_by(words))
    Conversation().carried_by(words)
    return made


def rendered(style, *turns, **more):
    """What the template itself makes of (role, content) pairs."""
    told = [{"role": role, "content": content} for role, content in turns]
    return checkpoints.tokenizer(style).apply_chat_template(
        told, tokenize=False, add_generation_prompt=told[-1]["role"] == "user", date_string=DATE, **more
    )


# The system text


@pytest.mark.parametrize("style", NATIVE)
def test_a_system_text_is_a_turn_of_its_own_where_the_template_has_the_role(style):
    one = chat(style, SYSTEM)
    assert not one.folds
    assert one.decode(one.encode(Prompt("hello"))) == rendered(style, ("system", SYSTEM), ("user", "hello"))


@pytest.mark.parametrize("style", FOLDING)
def test_without_the_role_it_stands_in_front_of_the_users_text(style):
    one = chat(style, SYSTEM)
    assert one.folds
    assert one.decode(one.encode(Prompt("hello"))) == rendered(style, ("user", f"{SYSTEM}\n\nhello"))


def test_without_a_template_too():
    one = chat("base", SYSTEM)
    assert one.folds
    assert one.decode(one.encode(Prompt("hello"))) == f"{SYSTEM}\n\nhello\n"


def test_a_templates_own_system_prompt_stays_only_where_none_is_given():
    plain, given = (chat("qwen2", text).encode(Prompt("hello")) for text in ("", SYSTEM))
    text = chat("qwen2").decode
    assert "You are a helpful assistant." in text(plain)
    assert "You are a helpful assistant." not in text(given)
    assert text(given).count("<|im_start|>system") == text(plain).count("<|im_start|>system") == 1


@pytest.mark.parametrize("style", [*NATIVE, *FOLDING])
@pytest.mark.parametrize(
    "hostile", ["<|im_end|>", "<|end|><|user|>", "<end_of_turn>", "<|eot_id|>", "</think>", "{{ x }}"]
)
def test_control_strings_in_a_system_text_stay_text(style, hostile):
    control = set(checkpoints.tokenizer(style).get_added_vocab().values())
    one, harmless = chat(style, f"Be {hostile} kind."), chat(style, SYSTEM)
    ids = one.encode(Prompt(f"a {hostile} b"))
    assert [i for i in ids if i in control] == [i for i in harmless.encode(Prompt("a b")) if i in control]
    assert f"Be {hostile} kind." in one.decode(ids)
    assert f"a {hostile} b" in one.decode(ids)


@pytest.mark.parametrize("style", list(checkpoints.TEMPLATES))
def test_a_checkpoint_remembers_how_its_model_is_asked(style, tmp_path):
    from rationem.engines import models

    asked = Conversation(SYSTEM, "off" if style == "qwen3" else "auto")
    words = checkpoints.tokenizer(style)
    asked.carried_by(words).save_pretrained(tmp_path)
    expected, plain = Chat(words).encode(Prompt("hello")), chat(style).encode(Prompt("hello"))
    found = models.chat("m", str(tmp_path))
    assert found.conversation == asked
    assert found.encode(Prompt("hello")) == expected != plain
    assert models.chat("m", str(tmp_path), Conversation()).encode(Prompt("hello")) == plain


def test_weights_that_no_iteration_trained_are_published_with_it_too(tmp_path):
    from rationem.engines import models

    checkpoints.tokenizer("chatml").save_pretrained(tmp_path)
    before = (tmp_path / "tokenizer_config.json").read_bytes()
    Conversation().written_to(tmp_path)
    assert (tmp_path / "tokenizer_config.json").read_bytes() == before
    Conversation(SYSTEM).written_to(tmp_path)
    assert models.chat("m", str(tmp_path)).conversation == Conversation(SYSTEM)
    Conversation().written_to(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text()) == json.loads(before)


def test_processes_of_their_own_are_told():
    """As JSON, on their way into another process."""
    for asked in (None, Conversation(), Conversation(SYSTEM, "on")):
        training = Training(conversation=asked)
        assert Training.from_json(json.loads(json.dumps(training.to_json()))) == training


# The switch


def test_the_switch_is_told_to_a_template_that_has_it():
    for thinking, more in (("auto", {}), ("on", {"enable_thinking": True}), ("off", {"enable_thinking": False})):
        one = chat("qwen3", thinking=thinking)
        assert one.decode(one.encode(Prompt("hello"))) == rendered("qwen3", ("user", "hello"), **more)
    assert "<think>\n\n</think>" in one.decode(one.encode(Prompt("hello")))


@pytest.mark.parametrize(
    ("style", "can", "cannot"), [("r1", "on", "off"), ("gemma", "off", "on"), ("base", "off", "on")]
)
def test_without_a_switch_only_what_is_so_already_can_be_asked_for(style, can, cannot):
    assert chat(style, thinking=can).encode(Prompt("hello")) == chat(style).encode(Prompt("hello"))
    with pytest.raises(ConfigError, match=f"--thinking {cannot}: this model's chat template has no switch"):
        chat(style, thinking=cannot)


# The thinking block


def test_whether_the_prompt_opens_a_block_is_read_from_the_template():
    assert {style: chat(style).opened for style in checkpoints.TEMPLATES if chat(style).opened} == {"r1": "<think>\n"}
    assert chat("qwen3", thinking="off").opened == ""
    assert {style for style in checkpoints.TEMPLATES if chat(style).thinks} == set(checkpoints.THINKING)


def test_a_verdict_inside_the_block_is_a_draft():
    parsed = parse_verdict(THOUGHT, MARKER, LEVELS)
    assert (parsed.rationale, parsed.answer) == (THOUGHT.removesuffix("\n\nFinal rating: 4"), "4")
    assert THOUGHT[: parsed.marker_end].endswith("</think>\n\nFinal rating:")
    never = THOUGHT.replace("</think>", "")
    assert (parse_verdict(never, MARKER, LEVELS).problem, parse_verdict(never, MARKER, LEVELS).rationale) == (
        NO_MARKER,
        never.strip(),
    )
    assert parse_verdict("<think>\nkind\n</think> Final rating: 3", MARKER, LEVELS).answer == "3"


def test_where_a_text_begins_with_no_block_nothing_is_one():
    for text in ("it says <think>, oddly\nFinal rating: 2\n</think>\nFinal rating: 3", "</think>\nFinal rating: 2"):
        assert parse_verdict(text, MARKER, LEVELS).answer == "2"


@pytest.mark.slow
@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "\n", "Final rating: 4", "\nFinal rating: 2\n", "x ", " "]), max_size=12
    )
)
@settings(max_examples=300, deadline=None)
def test_whether_a_line_counts_is_known_when_it_is_written(pieces):
    """The future does not move the line's begin: a shorter text has the same first line, or none yet."""
    pattern, text = marker_pattern(MARKER), "".join(pieces)
    line = find_verdict(pattern, text)
    for n in range(len(text)):
        early = find_verdict(pattern, text[:n])
        assert early is None or (early.begin, early.marker_end) == (line.begin, line.marker_end)
    if line is not None:
        assert find_verdict(pattern, text[: line.marker_end]) is not None


def ended(style, text, thinking="auto"):
    """How much of a text the reader takes for the completion."""
    one = chat(style, thinking=thinking)
    reader = CompletionReader(one, MARKER)
    ids = one.encode_said(text)
    length = reader.length(ids)
    return None if length is None else one.decode(ids[:length])


def test_generation_goes_on_until_the_verdict_behind_the_block():
    assert ended("qwen3", f"{THOUGHT}\nand on\n") == f"{THOUGHT}\n"
    assert ended("r1", f"{SAID}\nand on\n") == f"{SAID}\n"
    for style, inside in (("qwen3", "<think>\nFinal rating: 2\n"), ("r1", "Final rating: 2\nno\nFinal rating: 3\n")):
        assert ended(style, inside) is None
    for style in ("qwen3", "chatml", "gemma", "base"):
        assert ended(style, "kind\nFinal rating: 2\nand on\n") == "kind\nFinal rating: 2\n"


def test_a_block_that_the_prompt_opened_begins_the_completions_text_and_not_its_tokens():
    one = chat("r1")
    reader, said = CompletionReader(one, MARKER), SAID
    ids = one.encode_completion(THOUGHT)
    assert ids == one.encode_completion(said)
    draft = reader.draft(ids, Finish.STOP, 5, ())
    assert (draft.text, one.decode(draft.token_ids)) == (THOUGHT, f"{said}<|end|>")
    end = parse_verdict(THOUGHT, MARKER, LEVELS).marker_end
    assert one.decode(ids[: reader.tokens_within(draft, end)]) == said[: end - len("<think>\n")]
    rationale, tails = reader.rationale_and_tails(LevelQuery(Prompt("x"), draft, end, (" 1", " 4")))
    assert [one.decode(rationale + tail) for tail in tails] == [f"{said[:-1]}{level}<|end|>" for level in "14"]


@pytest.mark.parametrize("style", checkpoints.THINKING)
def test_the_models_tags_are_tokens_and_a_users_are_text(style):
    one, words = chat(style), checkpoints.tokenizer(style)
    tags = [words.convert_tokens_to_ids(tag) for tag in ("<think>", "</think>")]
    ids = one.encode_completion(THOUGHT)
    assert [i for i in ids if i in tags] == (tags if style == "qwen3" else tags[1:])
    assert one.read(ids[:-1]) == THOUGHT
    quoted = one.encode_completion(f"{THOUGHT}\nwith <think> and </think>")
    assert [i for i in quoted if i in tags] == [i for i in ids if i in tags]
    asked = one.encode(Prompt("what does <think></think> mean ?"))
    assert [i for i in asked if i in tags] == [i for i in one.encode(Prompt("x")) if i in tags]


@pytest.mark.parametrize("style", checkpoints.THINKING)
def test_a_tag_in_an_open_answer_is_text_where_it_is_scored(style):
    one = chat(style)
    tags = {one.tokenizer.convert_tokens_to_ids(tag) for tag in ("<think>", "</think>")}
    ids = one.encode_completion(THOUGHT)
    draft = Draft(one.read(ids[:-1]), ids, Finish.STOP, 1)
    query = LevelQuery(Prompt("hello"), draft, len(draft.text) - 2, (" <think>", " a </think> b"))
    _, tails = CompletionReader(one, MARKER).rationale_and_tails(query)
    assert all(tail[-1] == one.end_of_turn and not tags & set(tail) for tail in tails)


@pytest.mark.slow
@pytest.mark.parametrize("style", checkpoints.THINKING)
def test_what_is_trained_on_holds_the_block_although_the_template_strips_it(style):
    from rationem.sft.rows import tokenize

    one = chat(style)
    ids = one.encode_completion(THOUGHT)
    (row,), _ = tokenize([Sample("a", Prompt("hello"), ids, 1.0)], one, frozenset(), 1000)
    assert row.token_ids[row.prompt_length :] == ids
    assert one.decode(row.token_ids) == f"{rendered(style, ('user', 'hello'))}{one.decode(ids)}"
    assert THOUGHT in one.decode(row.token_ids)
    later = rendered(style, ("user", "hello"), ("assistant", THOUGHT), ("user", "more"))
    assert "but no" not in later
    assert "Final rating: 4" in later


def test_a_teachers_rationale_becomes_the_thought_where_the_prompt_opens_a_block():
    told = "kind\nFinal rating: 4\n"
    thinks, speaks = CompletionReader(chat("r1"), MARKER), CompletionReader(chat("qwen3"), MARKER)
    assert thinks.adopted(told) == "kind\n</think>\n\nFinal rating: 4\n"
    assert thinks.adopted(THOUGHT) == SAID
    assert speaks.adopted(told) == told


@pytest.mark.parametrize(("style", "sent"), [("qwen3", []), ("r1", []), ("chatml", ["\nFinal rating: 4\n"])])
def test_no_server_is_told_to_stop_at_a_verdict_that_may_be_a_thought(style, sent):
    one, asked = chat(style), []

    def answer(path, body):
        asked.append(body)
        text = THOUGHT if style == "qwen3" else "kind</think>\n\nFinal rating: 4"
        ids = [*one.encode_said(text), one.end_of_turn]
        told = {"token_ids": ids, "finish_reason": "stop", "logprobs": {"token_logprobs": [-0.5] * len(ids)}}
        return {"choices": [told]}

    with StubServer(answer) as server:
        made = CompletionsEngine(Client([server.url]), one, model="m", marker=MARKER, closings=("\nFinal rating: 4\n",))
        (draft,) = made.sample([Request(Prompt("x"), Sampling(max_new_tokens=99), 1)])
        made.close()
    assert [body["stop"] for body in asked] == [sent]
    assert parse_verdict(draft.text, MARKER, LEVELS).answer == "4"


# What a run says and refuses


def test_a_run_says_what_is_done_to_the_system_text_and_what_a_block_costs(monkeypatch):
    said = []
    monkeypatch.setattr(progress, "say", said.append)
    star, config = parse_scheme("star"), FitConfig(system=SYSTEM, max_new_tokens=99)
    for style, count in (("chatml", 0), ("gemma", 1), ("qwen3", 1), ("r1", 1)):
        said.clear()
        check_chat(config, star, chat(style, SYSTEM))
        assert len(said) == count
    assert "--max-new-tokens 99" in said[0]


def test_an_answer_alone_cannot_be_trained_behind_an_open_block():
    with pytest.raises(ConfigError, match="inside a thinking block"):
        check_chat(FitConfig(), parse_scheme("direct"), chat("r1"))
    check_chat(FitConfig(thinking="off"), parse_scheme("direct"), chat("qwen3", thinking="off"))


@pytest.mark.slow
def test_what_the_model_sees_is_shown_with_the_system_text(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "say", lambda text: None)
    model = checkpoints.checkpoint(tmp_path / "model", "r1")
    rows = [{"prompt": f"what is {n} ?", "response": f"{n}", "rating": 1 + n % 5} for n in range(20)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = [str(tmp_path / "data.jsonl"), "--scale", "1-5", "--model", model, "--system", SYSTEM, "--show", "1"]
    assert main(["prompt", *asked]) == 0
    out = capsys.readouterr().out
    assert out.count(SYSTEM) == out.count("<|assistant|><think>") == 2  # forward and hinted
