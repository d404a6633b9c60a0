"""`rationem prompt`: what is printed is what is fed, and the forward prompt never holds the hint."""

import re

import pytest

from checkpoints import STYLES, checkpoint, tokenizer
from doctored import rows, write
from rationem import FitConfig
from rationem.check.prompts import prompts
from rationem.cli.main import main
from rationem.engines.chat import DATE
from rationem.tasks.template import packaged

SCALE = ("--scale", "1-5")


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "rated.csv", rows(60))


def shown(capsys, *arguments):
    """Return the head and [(kind, id, label, tokens, text)] of what the command prints."""
    assert main(["prompt", *map(str, arguments)]) == 0
    printed = capsys.readouterr().out
    head, *parts = re.split(r"^----- (.+) -----\n", printed, flags=re.MULTILINE)
    told = []
    for title, text in zip(parts[::2], parts[1::2], strict=True):
        match = re.fullmatch(r"(\w+), (\S+), label (\S+?)(?:, (\d+) tokens)?", title)
        told.append((*match.groups(), text.removesuffix("\n")))
    return head, told


def test_three_examples_forward_and_hinted_in_the_bare_text_with_a_line_that_says_so(file, capsys):
    head, told = shown(capsys, file, *SCALE)
    assert [kind for kind, *_ in told] == ["forward", "rationalize"] * 3
    assert "with --model the template is applied" in head
    assert {tokens for *_, tokens, _ in told} == {None}
    assert len({name for _, name, *_ in told}) == 3


def test_the_templates_are_named_with_their_hashes(file, capsys, tmp_path):
    head, _ = shown(capsys, file, *SCALE)
    assert f"rationem/judge.txt, sha256 {packaged('judge').sha256[:12]}" in head
    own = tmp_path / "own.txt"
    own.write_text("Q {{ prompt }} A {{ response }} S {{ scale }} {{ marker }}\n")
    hint = tmp_path / "hint.txt"
    hint.write_text("psst: {{ answer }}\n")
    head, told = shown(capsys, file, *SCALE, "--template", own, "--hint-template", hint, "--show", 1)
    assert f"template: {own}, sha256 " in head
    assert told[0][-1].strip().startswith("Q Which")
    assert told[1][-1].strip().endswith(f"psst: {told[1][2]}")


def test_the_forward_prompt_never_holds_the_hint_and_the_hinted_one_is_it_with_the_hint_behind(file, capsys):
    _, told = shown(capsys, file, *SCALE, "--show", 20)
    for forward, hinted in zip(told[::2], told[1::2], strict=True):
        assert forward[:1] + hinted[:1] == ("forward", "rationalize")
        assert forward[1:3] == hinted[1:3]
        assert "correct rating" not in forward[-1]
        hint = f"The correct rating is: {hinted[2]}. Give the reason for it, then the line."
        assert hinted[-1].strip() == f"{forward[-1].strip()}\n{hint}"


def test_the_seed_chooses_the_examples(file, capsys):
    first, again, other = (
        [name for _, name, *_ in shown(capsys, file, *SCALE, "--seed", seed)[1]] for seed in (0, 0, 1)
    )
    assert first == again != other


def test_solved_examples_stand_in_the_prompt_of_the_control_alone(file, capsys):
    head, told = shown(capsys, file, *SCALE, "--shots", 2, "--show", 1)
    assert [kind for kind, *_ in told] == ["forward", "rationalize", "control"]
    forward, _, control = (text for *_, text in told)
    assert control.strip().endswith(forward.strip())
    assert control.count("Final rating: ") == forward.count("Final rating: ") + 2 * 2
    assert "solved examples of the control: rated-" in head


def test_the_rubric_is_seen(file, capsys, tmp_path):
    rubric = tmp_path / "rubric.toml"
    rubric.write_text('instruction = "Look at the tone."\n[levels]\n1 = "rude"\n5 = "kind"\n')
    _, told = shown(capsys, file, *SCALE, "--rubric", rubric)
    for *_, text in told:
        assert "Look at the tone." in text
        assert "1: rude\n5: kind" in text


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_with_a_model_the_text_is_the_chat_templates_and_the_tokens_are_counted(style, tmp_path, file, capsys):
    model, words = checkpoint(tmp_path / "model", style), tokenizer(style)
    head, told = shown(capsys, file, *SCALE, "--model", model)
    assert "decoded from the token ids" in head
    seen = prompts(FitConfig(data=(file,), scale="1-5"), 3).prompts
    for (kind, name, _, tokens, text), bare in zip(told, seen, strict=True):
        assert (kind, name) == (bare.kind, bare.example.id)
        turn = [{"role": "user", "content": bare.text}]
        options = {"add_generation_prompt": True, "date_string": DATE}
        assert text == words.apply_chat_template(turn, tokenize=False, **options)
        ids = words.apply_chat_template(turn, tokenize=True, return_dict=False, **options)
        assert int(tokens) == len(ids)


def test_hostile_texts_are_printed_as_escapes(tmp_path, capsys):
    table = [{**row, "response": f"[red]{n}[/red] \x1b[2J\r\u202e"} for n, row in enumerate(rows(60))]
    _, told = shown(capsys, write(tmp_path / "hostile.csv", table), *SCALE)
    for *_, text in told:
        assert re.search(r"\[red\]\d+\[/red\] \\x1b\[2J\\r\\u202e", text)
        assert "\x1b" not in text


@pytest.mark.parametrize(
    ("flags", "told"), [(["--show", "0"], "at least 1"), (["--rubric", "no.toml"], "Cannot read the rubric")]
)
def test_a_mistake_exits_2_with_a_sentence(flags, told, file, capsys):
    assert main(["prompt", file, *SCALE, *flags]) == 2
    printed = capsys.readouterr()
    assert told in printed.err
    assert printed.out == ""
