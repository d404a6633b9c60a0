"""What is printed may come from a stranger: a terminal obeys nothing in it, and a Markdown page shows it as text."""

import ast
import json
import sqlite3
import unicodedata
from contextlib import closing
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import judges
import paged
import stub_server
from rationem import progress
from rationem.cli import main as cli
from rationem.config import FitConfig, to_toml
from rationem.engines.remote.client import Client
from rationem.errors import RunError
from rationem.report.escape import readable

#: Clears the screen, names the window, colour and clipboard in C1, turns text round, forges a line, hides letters.
OBEYED = "a\x1b[2J\x1b]0;owned\x07\x9b31m\x9d52;c;aGk=\x9c\u202egnp\u202c\rrationem: done \u200b\U000e0041\x00\x7f"
SOURCE = Path(cli.__file__).parent
#: Modules that print elsewhere than at a terminal, or by ``plain`` themselves.
PRINT = {"progress.py", "doctor/show.py", "apart/child.py", "supervisor.py"}


def harmless(text):
    return all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co") for c in text)


def test_a_terminal_obeys_nothing_that_is_printed(capsys):
    shown = progress.Rich()
    progress.out(OBEYED, Path(OBEYED.replace("\x00", "")))
    progress.fail(RunError(OBEYED))
    shown.say(OBEYED)
    with shown.track(OBEYED, 1) as advance:
        advance(1)
    said = capsys.readouterr()
    assert harmless(said.out)
    assert harmless(said.err)
    assert said.out.startswith("a\\x1b[2J")
    assert said.err.count("owned") == 3


def test_markup_in_the_name_of_a_phase_is_text(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress.Rich().track("[/red] [bold]x[link=http://evil.example]", 1) as advance:
        advance(1)
    assert "[/red] [bold]x" in capsys.readouterr().err


def test_lines_and_letters_of_all_languages_stay_as_they_are():
    text = "größer, 日本語, עברית, ñ\n\tок — “quotes” 👍"
    assert progress.plain(text, breaks=True) == text


@pytest.mark.parametrize("stream", ["ascii", "latin-1"])
def test_a_terminal_that_lacks_a_letter_gets_its_escape(stream, monkeypatch):
    import io

    file = io.TextIOWrapper(io.BytesIO(), encoding=stream)
    monkeypatch.setattr("sys.stdout", file)
    progress.out("日")
    file.flush()
    assert file.buffer.getvalue() == b"\\u65e5\n"


COMMANDS = {
    "fit": ["fit", "NAME", "--model", "tiny-judge", "--output", "out"],
    "fit on a config": ["fit", "--config", "NAME", "--output", "out"],
    "fit into": ["fit", "world", "--output", "file/NAME"],
    "a model": ["fit", "data.csv", "--model", "./NAME", "--output", "out"],
    "a task": ["fit", "data.csv", "--model", "m", "--task", "NAME", "--output", "out"],
    "a column": ["fit", "data.csv", "--model", "m", "--rating-col", "NAME", "--output", "out", "--dry-run"],
    "a scale": ["fit", "data.csv", "--model", "m", "--scale", "NAME < b < c", "--output", "out", "--dry-run"],
    "a template": ["fit", "data.csv", "--model", "m", "--template", "NAME", "--output", "out"],
    "a scheme": ["fit", "data.csv", "--model", "m", "--scheme", "NAME", "--output", "out"],
    "a flag": ["fit", "--NAME"],
    "a choice": ["fit", "data.csv", "--schedule", "NAME", "--output", "out"],
    "check": ["check", "NAME"],
    "check an item": ["check", "odd.csv"],
    "prompt": ["prompt", "NAME"],
    "judge": ["judge", "NAME", "data.csv", "-o", "out.csv"],
    "judge with": ["judge", "run", "NAME", "-o", "out.csv"],
    "show": ["show", "NAME"],
    "report": ["report", "NAME"],
    "refit": ["refit", "NAME", "--output", "out"],
    "export": ["export", "NAME", "--to", "trl", "-o", "out"],
    "push": ["push", "NAME", "me/judge"],
    "compare": ["compare", "NAME", "--model", "m", "--output", "out"],
    "own task": ["report", "run", "--own-task", "NAME.py:Mine"],
    "task check": ["task", "check", "NAME.toml"],
    "task new": ["task", "new", "NAME/x.py"],
    "world": ["world", "NAME"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_lets_a_name_command_the_terminal(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = OBEYED.replace("\x00", "")
    (tmp_path / "file").touch()
    (tmp_path / "data.csv").write_text("prompt,response,rating\n" + "what?,that,3\n" * 20)
    (tmp_path / "odd.csv").write_text("prompt,response,rating\n" + f'what?,that,"{name}"\n' * 20)
    judges.directory(tmp_path / "run")
    try:
        code = cli.main([word.replace("NAME", name) for word in COMMANDS[command]])
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr()
    assert code in (1, 2)
    assert said.err or said.out
    assert harmless(said.err)
    assert harmless(said.out)


def test_a_servers_words_are_shown_and_not_obeyed(capsys):
    with stub_server.StubServer(lambda path, body: stub_server.Reply(400, {"error": {"message": OBEYED}})) as server:
        client = Client([server.url])
        try:
            client.get("/v1/models", patience=1.0)
        except RunError as error:
            progress.fail(error)
        finally:
            client.close()
    said = capsys.readouterr().err
    assert "owned" in said
    assert harmless(said)


def test_a_judges_doubts_are_shown_and_not_obeyed(tmp_path, monkeypatch, capsys):
    run = judges.directory(tmp_path / "run", doubts=(OBEYED, "[/red]"))
    (tmp_path / "rows.csv").write_text("prompt,response\na,b\n")
    assert cli.main(["judge", str(run), str(tmp_path / "rows.csv"), "-o", str(tmp_path / "out.csv")]) == 2
    said = capsys.readouterr().err
    assert "Warning: a\\x1b[2J" in " ".join(said.split())
    assert "[/red]" in said
    assert harmless(said)


def test_settings_in_a_file_hold_nothing_that_a_terminal_obeys():
    import tomllib

    config = FitConfig(instruction=OBEYED, scale="größer < ñ")
    assert harmless(to_toml(config))
    assert "größer" in to_toml(config)
    assert FitConfig.model_validate(tomllib.loads(to_toml(config))) == config


def test_nothing_else_prints():
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        prints = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
        assert not prints or name in PRINT, f"{name} prints: use progress.out, say or fail"


#: What Markdown, HTML or a reader of either could take for more than text.
MARKUP = (
    "<script>hacked()</script>", "<img src=x onerror=hacked()>", "[click](javascript:hacked())", "![x](//evil/p)",
    "**bold**", "_emphasis_", "`code`", "| a | b |", "</td></tr></table><h1>forged", "\n\n# forged\n", "http://evil.example",
    "www.evil.example", "&lt;b&gt;", "~~gone~~", "\\", "<!-- gone -->", "a@b.example", "---", OBEYED,
)  # fmt: skip
_BAD = {"html_inline", "html_block", "link_open", "image", "strong_open", "em_open", "code_inline", "s_open", "fence"}


def tokens(text):
    parsed = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    return [one for token in parsed for one in (token, *(token.children or ()))]


@pytest.mark.parametrize("text", MARKUP)
def test_a_text_in_a_page_stays_a_text(text):
    """Seen by a Markdown reader: in a sentence, and in a cell."""
    for page in (f"Scheme {readable(text)}.", f"| a | b |\n|---|---|\n| {readable(text)} | 1 |"):
        found = tokens(page)
        assert not {token.type for token in found} & _BAD, page
        assert harmless(page)
        assert sum(token.type == "td_open" for token in found) in (0, 2)
    told = "".join(one.content for one in tokens(f"x {readable(text)}") if one.type in ("text", "text_special"))
    assert told == f"x {progress.plain(' '.join(text.split()))}"
    assert "http://" not in readable(text)
    assert "www." not in readable(text)


@pytest.mark.slow
def test_no_name_in_a_run_is_markup_in_its_report(tmp_path, capsys):
    """Levels, model, scheme and the run that a refit comes from; and what the command prints is harmless too."""
    run = paged.write_run(tmp_path / "run", train=3, test=3, validation=3, iterations=1)
    hostile = " ".join(MARKUP)
    with closing(sqlite3.connect(run / "ledger.sqlite")) as db, db:
        for key in ("model", "scheme", "selector", "reward", "init"):
            db.execute("UPDATE manifest SET value=json_set(value, ?, ?) WHERE key='config'", (f"$.{key}", hostile))
        db.execute("UPDATE manifest SET value=json_set(value, '$.name', ?) WHERE key='engine'", (hostile,))
        origin = {"run": hostile, "iteration": 1}
        db.execute("INSERT INTO manifest VALUES ('refit', ?)", (json.dumps(origin),))
    assert cli.main(["report", str(run)]) == 0
    page = (run / "report.md").read_text().replace("`rationem judge RUN new.csv -o rated.csv`", "")  # the next command
    ours = {"strong_open"}  # what the report itself emphasises
    assert not {token.type for token in tokens(page)} & (_BAD - ours)
    assert [token.tag for token in tokens(page) if token.type == "heading_open"].count("h1") == 1
    said = capsys.readouterr()
    assert harmless(page)
    assert harmless(said.out)
    assert "hacked" in said.out
