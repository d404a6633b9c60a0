"""What `check` passes, `fit`, `judge` and `compare` accept, with the same rows: over files damaged at random."""

import json
import shlex
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rationem import FitConfig
from rationem.check.before import told
from rationem.check.checkup import examine
from rationem.cli.main import main
from rationem.cli.parser import Parser
from rationem.cli.settings import add_settings, read_settings
from rationem.compare.design import Design, parse_arms
from rationem.compare.running import _settings
from rationem.data import Columns
from rationem.data.file_format import FOUND
from rationem.errors import DataError, RationemError
from rationem.judging.source import ItemReader, chunks, look
from rationem.run.launch import check
from rationem.run.prepare import prepare
from rationem.run.rating_values import shapes_of

pytestmark = pytest.mark.slow


def rows(count=40):
    rng = Random(0)
    return [
        {"prompt": f"what is {n} ?", "response": f"{n} kind", "rating": str(rng.randint(1, 5))} for n in range(count)
    ]


def text(kind):
    if kind == "json":
        return json.dumps(rows(), indent=1)
    if kind == "jsonl":
        return "".join(f"{json.dumps(row)}\n" for row in rows())
    mark = {"csv": ",", "tsv": "\t", "txt": ";"}[kind]
    return "".join(f"{mark.join(line)}\n" for line in [rows()[0], *(row.values() for row in rows())])


PIECES = [
    '"',
    "\\",
    ",",
    ";",
    "\t",
    "|",
    "\n",
    "\r\n",
    "'",
    "[",
    "]",
    "{",
    "}",
    "é",
    "\x00",
    '""',
    '\\"',
    "N/A",
    " ",
    ":",
    "5",
]


@st.composite
def damaged(draw):
    kind = draw(st.sampled_from(["csv", "tsv", "txt", "json", "jsonl"]))
    content = text(kind)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(content)))
        end = min(len(content), at + draw(st.sampled_from([0, 0, 1, 2, 30])))
        content = content[:at] + draw(st.sampled_from([*PIECES, ""])) + content[end:]
    return kind, content, draw(st.booleans())


@settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(damaged())
def test_what_check_passes_fit_judge_and_compare_accept_with_the_same_rows(tmp_path, case):
    kind, content, lenient = case
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content.encode())
    config = FitConfig(data=(str(path),), skip_unusable=lenient)
    try:
        found = examine(config)
    except RationemError:
        with pytest.raises(RationemError):
            check(config.replace(model="tiny-judge"), tmp_path / "run")
        return
    if found.exit_code:
        return
    asked = settings_of(found.sections["command"]["text"]).replace(model="tiny-judge")
    _, _, _, splits = check(asked, tmp_path / "run")
    read = splits.notes["rows"] + splits.notes.get("unreadable", 0)
    assert read == found.sections["data"]["rows"]
    assert splits.notes.get("skipped", 0) == found.sections["rows"]["unusable"]
    judge_reads_the_same(path, asked, splits)
    compare_reads_the_same(asked, splits)


def settings_of(command):
    """The settings of a command that `check` proposes, as the command line reads them."""
    parser = Parser()
    add_settings(parser, FitConfig.model_fields)
    parser.add_argument("--output")
    return read_settings(parser.parse_args(shlex.split(command)[2:]))


def judge_reads_the_same(path, config, splits, filtered=0):
    """`judge` sees every row, of those that a fit uses with the same inputs; an unreadable row is an error."""
    if splits.notes.get("unreadable"):
        with pytest.raises(DataError):
            look(path, config.form, shapes_of(config))
        return
    source = look(path, config.form, shapes_of(config))
    assert source.rows == splits.notes["rows"] - filtered
    reader = ItemReader(Columns.from_dict(splits.notes["columns"]), None)
    rows = {row.source: row for part in chunks(source, 0, 100) for row in part}
    for x in (*splits.train, *splits.validation, *splits.test):
        assert reader.item(rows[x.source]) == x.fields


def compare_reads_the_same(config, splits):
    """Every arm of a comparison gets the same three sets."""
    arms = parse_arms("rs:2,pps")
    design = Design(config, arms, arms[0].name, (0,))
    for arm in design.arms:
        _, found = prepare(_settings(design, arm, 0))
        assert (found.train, found.validation, found.test) == (splits.train, splits.validation, splits.test)


def table(path, ratings):
    made = [row | {"rating": rating} for row, rating in zip(rows(), ratings, strict=True)]
    path.write_text("".join(f"{','.join(line)}\n" for line in [made[0], *(row.values() for row in made)]))
    return path


def test_judge_reads_unpivoted_joined_and_filtered_rows_as_fit_does(tmp_path):
    """Four essays, each with a column of ratings; their texts in another file; a pilot rater is left out."""
    ratings, texts = tmp_path / "ratings.csv", tmp_path / "texts.csv"
    rated = [["rater", "phase", "Rate [e1]", "Rate [e2]", "Rate [e3]", "Rate [e4]"]]
    rated += [
        ["ann", "main", "1", "2", "3", "4"],
        ["bob", "main", "2", "", "3", "5"],
        ["cyd", "pilot", "5", "5", "5", "5"],
    ]
    ratings.write_text("".join(f"{','.join(line)}\n" for line in rated))
    texts.write_text("id,essay\n" + "".join(f"e{n},the text of essay {n}\n" for n in range(1, 5)))
    config = FitConfig(
        data=(str(ratings),), scale="1-5", model="tiny-judge", unpivot=("Rate [*]",), join=(str(texts),),
        on="column=id", where=("phase=main",), response_col="essay", prompt_col="none", rating_col="Rate",
        rater_col="rater", validation_share=0.25, test_share=0.25,
    )  # fmt: skip
    _, _, _, splits = check(config, tmp_path / "run")
    judge_reads_the_same(ratings, config, splits, filtered=4)
    source = look(ratings, FOUND, shapes_of(config))
    assert source.rows == 7
    read = [row.cells for part in chunks(source, 0, 3) for row in part]
    assert [(row["rater"], row["column"], row["essay"]) for row in read] == [
        (rater, f"e{n}", f"the text of essay {n}")
        for rater, n in [*(("ann", n) for n in range(1, 5)), *(("bob", n) for n in (1, 3, 4))]
    ]


def test_a_fit_prints_the_findings_of_the_check_before_it_starts(tmp_path, capsys):
    path = table(tmp_path / "a.csv", ["4"] * 38 + ["1", "2"])
    arguments = ["fit", str(path), "--scale", "1-5", "--model", "tiny-judge", "--dry-run", "-o", str(tmp_path / "run")]
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert "check: warning: 95% of the items have the label '4'" in said
    assert "`rationem check` with the same flags" in said


def test_a_fit_refuses_ratings_that_are_all_the_same_unless_told_to_go_on(tmp_path, capsys):
    path = table(tmp_path / "a.csv", ["4"] * 40)
    arguments = ["fit", str(path), "--scale", "1-5", "--model", "tiny-judge", "--dry-run", "-o", str(tmp_path / "run")]
    assert main(arguments) == 2
    assert "there is nothing to learn. To train anyway, add --go-on" in capsys.readouterr().err
    assert main([*arguments, "--go-on"]) == 0
    assert not (tmp_path / "run").exists()


def test_what_a_fit_refuses_itself_is_not_said_twice(tmp_path):
    assert told(FitConfig(data=(str(tmp_path / "nowhere.csv"),))) == []
