"""report.html holds the run's numbers and texts, and nothing in them is more than text."""

import base64
import hashlib
import json
import re
import sqlite3
from collections import Counter
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

import paged
from rationem import report
from rationem.errors import RunError
from rationem.ledger import read_only
from rationem.report import figures
from rationem.report.escape import clean
from rationem.report.page import marks, write_page
from rationem.report.page.prompts import wording
from rationem.report.page.safe import script_json
from rationem.report.page.sample import candidates, choose
from rationem.report.page.write import _anchor
from rationem.report.part import Figure, Part, Table
from rationem.sampling import hint_leakage
from rationem.types import Purpose, Splits

VOID = {"meta", "img", "source"}


class Page(HTMLParser):
    """The elements of a page, with their attributes and texts; a tag that is not closed in order is an error."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, texts in self.open:
            texts.append(data)

    def all(self, tag, **attributes):
        return [e for e in self.elements if e[0] == tag and all(e[1].get(k) == v for k, v in attributes.items())]

    def text(self, tag, **attributes):
        return "".join(self.all(tag, **attributes)[0][2])

    @property
    def data(self):
        return json.loads(self.text("script", type="application/json"))


def asked(data, n, run=0):
    """The forward and the hinted prompt of an example on the page."""
    _, _, forward, hint, *_ = data["examples"][n]
    before, behind = data["runs"][run]["common"]
    forward = f"{before}{forward[0]}{behind}" if isinstance(forward, list) else forward
    return forward, forward + data["hints"][hint]


def page(runs, tmp_path, **more):
    runs = runs if isinstance(runs, dict) else {"run": runs}
    write_page(runs, tmp_path / "page.html", **more)
    return Page((tmp_path / "page.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return paged.write_run(tmp_path_factory.mktemp("page") / "run", shots=2)


@pytest.fixture(scope="module")
def plain(run, tmp_path_factory):
    return page(run, tmp_path_factory.mktemp("plain"))


def hashed(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_lets_in_what_the_page_holds_and_nothing_else(plain):
    rules = plain.all("meta", **{"http-equiv": "Content-Security-Policy"})[0][1]["content"].split("; ")
    style, script = plain.text("style"), "".join(plain.all("script")[-1][2])
    assert rules == [
        *("default-src 'none'", f"style-src {hashed(style)}", f"script-src {hashed(script)}", "img-src data:"),
        *("base-uri 'none'", "form-action 'none'"),
    ]
    policy = next(n for n, (_, has, _) in enumerate(plain.elements) if "http-equiv" in has)
    assert all(tag in {"html", "head", "meta"} for tag, _, _ in plain.elements[:policy])


def test_nothing_on_the_page_names_another_file_or_acts_by_itself(plain):
    for tag, has, _ in plain.elements:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form", "video", "audio"}
        assert not {name for name in has if name.startswith("on") or name in {"style", "srcdoc", "action"}}, tag
        for name in ("href", "src", "srcset"):
            assert has.get(name, "#").startswith(("#", "data:image/svg+xml;base64,")), has
    script = "".join(plain.all("script")[-1][2])
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "Function(",
        "fetch(",
        "import(",
    ):
        assert word not in script


@pytest.mark.slow
def test_hostile_texts_are_escaped_wherever_a_run_may_hold_them(tmp_path):
    def say(purpose, iteration, x, attempt):
        text = paged.HOSTILE[(attempt + int(x.id.split("-")[1]) + iteration) % len(paged.HOSTILE)]
        return text.replace("\ud800", ""), x.answer  # which SQLite cannot hold; fields are JSON, which can

    calm = page(paged.write_run(tmp_path / "calm"), tmp_path)
    hostile = paged.write_run(
        tmp_path / "run",
        say=say,
        tricky=paged.HOSTILE,
        scheme=paged.HOSTILE[0],
        model=paged.HOSTILE[1],
        note=list(paged.HOSTILE),
        notes={"rows": 5, "columns": {"prompt": paged.HOSTILE[2], "response": "a`b`<script>", "rating": "r"}},
    )
    section = Part("odd", paged.HOSTILE[1], (*paged.HOSTILE, Table([paged.HOSTILE[0]], [[paged.HOSTILE[2]]])))
    found = page(hostile, tmp_path, sections=[section], title=paged.HOSTILE[3])
    assert {tag for tag, _, _ in found.elements} <= {tag for tag, _, _ in calm.elements} | {"code"}
    assert len(found.all("script")) == 2
    assert paged.HOSTILE[0] in found.text("table")  # the section's: as text
    texts = {row[11] for row in found.data["trials"]}
    for text in paged.HOSTILE:
        assert any(one.startswith(clean(text.replace("\ud800", ""))) for one in map(clean, texts))
    raw = (tmp_path / "page.html").read_text(encoding="utf-8")
    block = raw[raw.index('id="trials">') : raw.index("</script>", raw.index('id="trials">'))]
    assert not set("<&\u2028\u2029") & set(block)
    assert block.count(">") == 1  # the opening tag's


@given(st.text(st.characters(codec=None)))
def test_any_text_comes_back_from_the_block_as_it_was(text):
    told = script_json([text])
    assert not set("<>&\u2028\u2029") & set(told)
    assert told.encode("utf-8")
    assert json.loads(told) == [text]
    assert clean(told) == told or re.search("[\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]", text)


@pytest.mark.slow
def test_the_numbers_are_those_of_the_summary(run, plain):
    summary = report.summarize(run)
    best = summary["iterations"][summary["best_iteration"]]["test"]
    told = plain.text("section", id="learned")
    ceiling, same = (summary["baselines"]["test"][name]["accuracy"] for name in ("human_ceiling", "constant"))
    base = summary["iterations"][0]["test"]["accuracy"]
    for share in (best["accuracy"], base, same, ceiling, best["beside_humans"]["accuracy"]):
        assert f"{100 * share:.1f} %" in told
    numbers = plain.text("section", id="numbers")
    low, high = best["intervals"]["accuracy"]
    assert f"{best['accuracy']:.3f} [{low:.3f}, {high:.3f}]" in numbers
    for sentence in report.doubts(summary):
        assert sentence in told


def cells(found, name):
    """The text of every cell of the first table of a section."""
    start = found.elements.index(found.all("section", id=name)[0])
    inside = found.elements[start:]
    stop = next((n for n, e in enumerate(inside[1:], 1) if e[0] == "section"), len(inside))
    rows = []
    for tag, _, texts in inside[:stop]:
        if tag == "table" and rows:
            break
        if tag == "tr":
            rows.append([])
        if tag in {"th", "td"}:
            rows[-1].append("".join(texts))
    return rows


@pytest.mark.slow
def test_the_confusion_matrix_holds_every_item_once(run, plain):
    rows = cells(plain, "confusion")
    counts = [[int(cell.split()[0]) for cell in row[1:]] for row in rows[2:]]
    db = sqlite3.connect(run / "ledger.sqlite")
    pairs = db.execute(
        "SELECT answer, predicted, COUNT(*) FROM predictions p JOIN examples ON id = example_id "
        "WHERE iteration=? AND p.split='test' GROUP BY 1, 2",
        (report.summarize(run)["best_iteration"],),
    ).fetchall()
    db.close()
    assert sum(map(sum, counts)) == 10 == sum(n for _, _, n in pairs)
    for answer, predicted, n in pairs:
        assert counts[int(answer) - 1][int(predicted) - 1] == n


def test_every_example_of_every_iteration_is_accounted_for(plain):
    rows = cells(plain, "outcomes")
    head, each = rows[0], rows[1:]
    for row in each:
        assert sum(int(cell) for name, cell in zip(head, row, strict=True) if name in {"kept", "exhausted"}) == 12
    tries = [sum(int(c) for name, c in zip(head, row, strict=True) if name.startswith("trials")) for row in each]
    told = Counter(row[1] for row in plain.data["trials"] if plain.data["purposes"][row[2]].startswith("for training"))
    assert tries == [told[1], told[2]]


def test_the_browser_holds_every_draw_with_prompts_label_and_outcome(run, plain):
    data = plain.data
    db = sqlite3.connect(run / "ledger.sqlite")
    total = db.execute(
        "SELECT COUNT(*) FROM trials JOIN examples ON id = example_id WHERE purpose != 'eval' OR split = 'test' "
        "OR iteration IN (0, 2)"  # of validation, the base model and the chosen iteration
    ).fetchone()[0]
    assert len(data["trials"]) == total
    for k, purpose, example_id, attempt, text, outcome, predicted, tokens in db.execute(
        "SELECT iteration, purpose, example_id, attempt, text, outcome, predicted, new_tokens FROM trials "
        "JOIN examples ON id = example_id WHERE purpose = 'train' OR split = 'test'"
    ):
        row = next(
            row
            for row in data["trials"]
            if (row[1], data["examples"][row[3]][0], row[4]) == (k, example_id, attempt)
            and data["purposes"][row[2]].startswith(
                {"train": "for", "eval": "test", "control": "test, solved"}[purpose]
            )
            and ("solved" in data["purposes"][row[2]]) == (purpose == "control")
        )
        assert (row[11], data["outcomes"][row[6]][0], row[8]) == (text, outcome, tokens)
        assert (data["levels"][row[7]] if row[7] >= 0 else None) == predicted
        x = next(x for x in paged.examples(example_id.split("-")[0], 12) if x.id == example_id)
        assert data["levels"][data["examples"][row[3]][1]] == x.answer
        prompts = paged.TASK.prompt(x.fields).text, paged.TASK.hint_prompt(x.fields, x.answer).text
        assert asked(data, row[3]) == prompts
        gap = data["gaps"][row[10]]
        lost = predicted is None or outcome == "truncated"
        off = 9 if lost else abs(int(predicted) - int(x.answer))
        assert gap == {0: "agrees", 1: "off by one level", 9: "no verdict"}.get(off, "off by more")
    db.close()
    assert data["runs"][0]["solved"].count("Final rating:") >= 2
    assert "All" in plain.text("section", id="rationales")


def test_what_speaks_of_the_hint_is_marked_where_it_stands(plain):
    data = plain.data
    marked = [row for row in data["trials"] if len(row) > 12]
    assert marked
    for row in marked:
        units = row[11].encode("utf-16-le")
        assert [units[2 * a : 2 * b].decode("utf-16-le").lower() for a, b in row[12]] == ["the hint"]
    assert {n for n, row in enumerate(data["trials"]) if "the hint" in row[11]} == {
        n for n, row in enumerate(data["trials"]) if len(row) > 12
    }


@pytest.mark.slow
@given(
    st.lists(
        st.one_of(
            st.sampled_from([*hint_leakage.PHRASES, "straße", "THE HINT", "\u00a0", "\n ", "𝒳 ", "ß", "_", "rating"]),
            st.text(max_size=3),
        ),
        max_size=6,
    ).map(" ".join)
)
def test_a_phrase_is_marked_where_leaks_finds_one(text):
    phrases = (*hint_leakage.PHRASES, "strasse")
    found = marks.spans(text, None, phrases, marks.finder(phrases))
    assert bool(found) == (hint_leakage.find(text, phrases) is not None)
    units = text.encode("utf-16-le", "surrogatepass")
    for start, end in found:
        assert hint_leakage.find(units[2 * start : 2 * end].decode("utf-16-le", "surrogatepass"), phrases) is not None


def test_what_stands_behind_the_verdict_is_no_rationale():
    text = "fine\nRating: 3 the hint"
    assert marks.spans(text, 12, ("the hint",), marks.finder(("the hint",))) == []
    assert marks.finder(()) is None


@pytest.mark.slow
def test_figures_can_be_read_in_words_and_in_tables(run, plain):
    summary = report.summarize(run)
    pictures = plain.all("img")
    assert len(pictures) == len(plain.all("source")) == len(plain.all("figcaption")) >= 5
    accuracy = next(e[1]["alt"] for e in pictures if e[1]["alt"].startswith("Accuracy"))
    for k in range(3):
        assert f"{summary['iterations'][k]['validation']['accuracy']:.3f} in iteration {k}" in accuracy
    for light, dark in zip(pictures, plain.all("source"), strict=True):
        drawn = [base64.b64decode(e.split(",")[1]).decode() for e in (light[1]["src"], dark[1]["srcset"])]
        assert drawn[0] != drawn[1]
        for one in drawn:
            assert ElementTree.fromstring(one).tag.endswith("svg")
    assert len(plain.all("details")) >= len(pictures)


def test_the_same_numbers_give_the_same_figure_and_a_name_is_only_text():
    lines = [figures.Line("a $\\frac{$ <b>\x00 \u4e2d", ((0, 0.25), (1, None), (2, 0.5)))]
    first, again = (figures.curves("Accuracy", "share", lines, ("most frequent", 0.3)) for _ in range(2))
    assert (first.numbers, first.label, first.figure) == (again.numbers, again.label, again.figure)
    assert first.figure.light != first.figure.dark
    assert "&lt;b&gt;" in first.figure.light
    assert ElementTree.fromstring(first.figure.light) is not None
    assert first.numbers.rows == [["0", "0.250"], ["2", "0.500"], ["most frequent", "0.300"]]
    assert figures.curves("Accuracy", "share", [figures.Line("none", ((0, None),))]) is None
    assert figures.reliability("R", [{"count": 0}]) is None
    assert figures.stacks("S", "tries", {1: {}}, {"a": "A"}) is None


@pytest.mark.slow
def test_an_unfinished_run_shows_what_there_is(tmp_path):
    run = paged.write_run(tmp_path / "run", finished=False)
    found = page(run, tmp_path)
    assert "The run is not finished" in found.text("section", id="learned")
    summary = report.summarize(run)
    assert f"{100 * summary['iterations'][0]['validation']['accuracy']:.1f} %" in found.text("section", id="learned")
    assert found.data["runs"][0]["split"] == "validation"
    assert "validation" in found.data["purposes"]
    empty = paged.write_run(tmp_path / "empty", iterations=0, validation=0, test=0, finished=False)
    assert "There is no E-step yet." in page(empty, tmp_path).text("section", id="outcomes")
    assert page(empty, tmp_path).data["trials"] == []


@pytest.mark.slow
def test_report_writes_the_page_beside_the_others(tmp_path):
    run = paged.write_run(tmp_path / "run")
    report.write(run)
    first = (run / "report.html").read_bytes()
    report.write(run)
    assert (run / "report.html").read_bytes() == first
    assert not list(run.glob("*.partial"))
    assert "star on by hand" in Page(first.decode()).text("title")


@pytest.mark.slow
def test_a_task_by_hand_shows_its_inputs(tmp_path):
    run = paged.write_run(tmp_path / "run")
    db = sqlite3.connect(run / "ledger.sqlite")
    with db:
        task = json.dumps({"scale": paged.SCALE.describe(), "pair": False})
        db.execute("UPDATE manifest SET value=? WHERE key='task'", (task,))
    db.close()
    data = page(run, tmp_path).data
    assert data["runs"][0]["known"] is False
    text = "prompt: Question 0: why?\n\nresponse: Because of 0."
    assert asked(data, 0) == (text, text)


@pytest.mark.slow
def test_a_refit_says_what_it_starts_from(tmp_path):
    run = paged.write_run(tmp_path / "run")
    db = sqlite3.connect(run / "ledger.sqlite")
    with db:
        db.execute("INSERT INTO manifest VALUES ('refit', ?)", (json.dumps({"run": "<old>", "iteration": 1}),))
        db.execute("UPDATE trials SET iteration = iteration - 2 WHERE purpose = 'train' AND iteration = 1")
    db.close()
    found = page(run, tmp_path)
    assert found.data["runs"][0]["start"] == "start of the refit"
    assert "A refit of <old>, iteration 1" in found.text("section", id="learned")
    assert {row[1] for row in found.data["trials"]} == {-1, 0, 2}


@pytest.mark.slow
def test_the_world_is_called_by_its_name(tmp_path):
    found = page(paged.write_run(tmp_path / "run", notes={"world": True}), tmp_path)
    assert "The embedded judge world" in found.text("section", id="data")


@pytest.mark.slow
def test_several_runs_stand_side_by_side(tmp_path):
    runs = {
        "STaR, seed 0": paged.write_run(tmp_path / "a"),
        "RS(4), seed 0": paged.write_run(tmp_path / "b", seed=4, attempts=1),
    }
    drawn = Figure(
        "<svg xmlns='http://www.w3.org/2000/svg'/>",
        "<svg xmlns='http://www.w3.org/2000/svg' id='d'/>",
        "Tokens against accuracy",
    )
    section = Part("paired", "Paired differences", ("One.", "Two.", Table(["pair", "gain"], [["a - b", "0.1"]]), drawn))
    found = page(runs, tmp_path, title="Two schemes", sections=[section])
    assert [run["name"] for run in found.data["runs"]] == list(runs)
    assert found.text("h1") == "Two schemes"
    assert "Tokens against accuracy" in {e[1]["alt"] for e in found.all("img")}
    assert cells(found, "paired") == [["pair", "gain"], ["a - b", "0.1"]]
    ids = [has["id"] for _, has, _ in found.elements if "id" in has]
    assert len(ids) == len(set(ids))
    for _, has, _ in found.all("a"):
        assert has["href"][1:].partition("?")[0] in ids  # behind it the filters of a view
    summaries = {name: report.summarize(path) for name, path in runs.items()}
    for name, row in zip(runs, cells(found, "learned")[1:], strict=True):
        accuracy = summaries[name]["iterations"][summaries[name]["best_iteration"]]["test"]["accuracy"]
        assert row[0] == name
        assert row[3].startswith(f"{accuracy:.3f} [")
    assert {row[0] for row in found.data["trials"]} == {0, 1}
    assert _anchor("RS(4), seed 0") == "rs-4-seed-0"


@pytest.mark.slow
def test_names_that_make_the_same_anchor_are_told_apart(tmp_path):
    run = paged.write_run(tmp_path / "run")
    found = page({"a b": run, "a-b": run, "日本": run}, tmp_path)
    ids = [has["id"] for _, has, _ in found.elements if "id" in has]
    assert len(ids) == len(set(ids))


def test_no_run_is_an_error(tmp_path):
    with pytest.raises(RunError, match=r"no ledger\.sqlite"):
        write_page({"a": tmp_path}, tmp_path / "page.html")
    with pytest.raises(RunError, match="of no run"):
        write_page({}, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def strata(run, keys):
    db = read_only(run)
    found = Counter(
        (row[0], row[1], row[5])
        for row in db.execute("SELECT iteration, purpose, example_id, attempt, retry, outcome FROM trials")
        if row[:5] in keys
    )
    db.close()
    return found


def chosen(run, **limits):
    db = read_only(run)
    there = candidates(db, seed=3, best=2)
    db.close()
    return there, choose([there], **limits)[0]


@pytest.mark.slow
def test_too_many_draws_are_sampled_in_proportion_and_the_page_says_so(tmp_path):
    run = paged.write_run(tmp_path / "run", train=200, test=30)
    there, choice = chosen(run, most_trials=200)
    assert 190 <= len(choice.keys) <= 200
    whole, part = strata(run, {key for key, _, _ in there.rows}), strata(run, choice.keys)
    share = len(choice.keys) / len(there.rows)
    assert set(part) == set(whole)
    for stratum, count in whole.items():
        if stratum[1] == Purpose.TRAIN:  # evaluation draws come in twos
            assert abs(part[stratum] - share * count) <= 2 + 0.1 * count, stratum
    assert chosen(run, most_trials=200)[1] == choice
    found = page(run, tmp_path, most_trials=200)
    told = " ".join(found.text("section", id="rationales").split())
    assert f"{len(choice.keys)} of {len(there.rows)} draws are shown, sampled by the run's seed" in told
    assert "ledger.sqlite" in told
    assert len(found.data["trials"]) == len(choice.keys)


def test_before_and_after_are_sampled_together(tmp_path):
    run = paged.write_run(tmp_path / "run", train=40, test=30)
    keys = chosen(run, most_trials=60)[1].keys
    tested = {key for key in keys if key[1] == Purpose.EVAL}
    assert tested
    assert {key[0] for key in tested} == {0, 2}
    assert {(2 - k, *rest) for k, *rest in tested} == tested


def test_the_text_is_limited_too(tmp_path):
    run = paged.write_run(tmp_path / "run", train=100)
    there, choice = chosen(run, most_text=20_000)
    assert 0 < len(choice.keys) < len(there.rows)
    sizes = {key: size for key, _, size in there.rows}
    spent = sum(sizes[key] for key in choice.keys) + sum(there.lengths[x] for x in {key[2] for key in choice.keys})
    assert 15_000 < spent <= 20_000


class Words:
    """A tokenizer of characters with a chat template, as ``Chat`` is; one character it cannot say."""

    def encode(self, prompt):
        return tuple(map(ord, f"<user>{prompt.text}<end>".replace("~", "?")))

    def decode(self, ids):
        return "".join(map(chr, ids))


@pytest.mark.slow
def test_prompts_are_shown_as_fed_where_the_run_holds_a_tokenizer(tmp_path, monkeypatch):
    from rationem.engines import models

    run = paged.write_run(tmp_path / "run", shots=2, tricky=("a ~ b", "plain"))
    model = run / "checkpoints" / "iteration-001"
    model.mkdir()
    (model / "tokenizer_config.json").write_text("{}")
    opened = []
    monkeypatch.setattr(models, "chat", lambda name, path: opened.append(path) or Words())
    data = page(run, tmp_path).data
    assert opened == [str(model)]
    assert data["runs"][0]["around"] == ["<user>", "<end>"]
    known = {x[0]: x for x in data["examples"]}
    numbers = {x[0]: n for n, x in enumerate(data["examples"])}
    x = paged.examples("train", 1, ("a ~ b",))[0]
    forward = paged.TASK.prompt(x.fields).text
    assert asked(data, numbers["train-0"])[0] == forward
    assert known["train-0"][4] == f"<user>{forward}<end>".replace("~", "?")
    hinted = paged.TASK.hint_prompt(x.fields, x.answer).text
    assert known["train-0"][5] == f"<user>{hinted}<end>".replace("~", "?")
    assert len(known["train-1"]) == 4


def test_the_control_is_shown_the_examples_that_it_was_asked_with(tmp_path):
    from rationem.sampling.demonstrations import solved

    run = paged.write_run(tmp_path / "run", shots=2)
    train, test = paged.examples("train", 12), paged.examples("test", 10)
    manifest = {"task": paged.TASK.describe(), "config": {"shots": 2, "seed": 3}}
    sets, question = Splits(train, (), test), paged.TASK.prompt(test[4].fields)
    prompt = solved(sets, 2, 3, paged.TASK).before(question, test[4], paged.TASK, lambda _: True)
    assert len(prompt.earlier) == 2
    assert wording(run, manifest, sets).solved + question.text == prompt.whole
