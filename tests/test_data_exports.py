"""Published sets with several records in a row, and exports of labelling tools: invented rows in their schemas."""

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from rationem.data import Columns, Condition, FileFormat, Shapes, load
from rationem.data.published.mt_bench import MT_BENCH
from rationem.errors import DataError
from rationem.tasks.scale import Scale

FIXTURES = Path(__file__).parent / "fixtures"
FIVE = Scale.parse("1-5")


def made(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def rated(path, scale=FIVE, given=FileFormat(), **columns):  # noqa: B008 - frozen
    found = load([path], scale=scale, columns=Columns(**columns), form=given).examples
    return [(x.fields["prompt"], x.fields["response"], x.answer, x.ratings) for x in found]


# --- presets


def test_semeval_is_read_from_its_folders_with_three_labels_or_two():
    three, two = (load([FIXTURES / "semeval2013_like" / ways]) for ways in ("3way", "2way"))
    assert (three.preset, two.preset) == ("semeval2013", "semeval2013-2way")
    assert Counter(x.answer for x in three.examples) == {"correct": 2, "incorrect": 2, "contradictory": 1}
    assert (two.scale.levels, [x.answer for x in two.examples]) == (
        ("incorrect", "correct"),
        ["correct", "incorrect", "incorrect"],
    )
    first = three.examples[0]
    assert (first.id, first.group) == ("Roofs-GOAT_1.sbj1.qa1", "GOAT_1: Why does a goat leave a roof?")
    assert first.fields == {
        "prompt": "Why does a goat leave a roof?",
        "response": "no grass is left",
        "reference": "The grass there is eaten.\n\nIt has eaten everything.",
    }
    with pytest.raises(DataError, match="not a row of semeval2013-2way"):
        load([FIXTURES / "semeval2013_like" / "3way"], preset="semeval2013-2way")


def test_squality_gives_a_record_to_every_summary_and_reads_no_comment():
    found = load([FIXTURES / "squality_like.jsonl"], scale=Scale.parse("0-100 by 5"))
    assert (found.preset, found.notes["rows"], len(found.examples)) == ("squality", 8, 24)
    by_id = {x.id: x for x in found.examples}
    assert by_id["70001-0-bart/overall"].ratings == ("10", "30", "20")
    assert by_id["70002-1-human/selection"].ratings == ("80", "75", "100")
    assert {x.group for x in found.examples} == {"70001", "70002"}
    assert "EXPLANATION" not in repr(found.examples)


def test_mt_bench_puts_both_sides_in_one_order_and_merges_its_judges():
    found = load([FIXTURES / "mt_bench_like.json"], raters="each")
    assert (found.preset, found.candidates, found.notes["repeated_ratings"]) == ("mt-bench", 2, 1)
    first, second = found.examples
    # expert_1 prefers alpha, shown first; author_2 beta, shown first; the second verdict of expert_1 is left out.
    assert (first.id, first.ratings) == ("81-1-alpha-beta", ("A", "B"))
    assert (first.fields["response_a"], first.fields["response_b"]) == ("On roofs.", "In caves.")
    assert second.ratings == ("B", "tie")
    assert second.fields["response_a"] == "On roofs.\n\nUser: And in winter?\n\nAssistant: Below them."
    row = json.loads((FIXTURES / "mt_bench_like.json").read_text())[0]
    with pytest.raises(ValueError, match="too few for turn 3"):
        MT_BENCH.flatten(row | {"turn": 3})


# --- exports of tools, by the commands of docs/files.md


def task(number, **ratings):
    """Label Studio's JSON: a task with one annotation a person, of two controls and a text that is never read."""
    return {
        "id": number, "project": 7, "data": {"question": f"q{number}", "answer": f"a{number}"}, "predictions": [],
        "annotations": [
            {
                "id": 10 * number + at, "completed_by": {"id": at, "email": f"{who}@example.org"},
                "was_cancelled": False, "result": [
                    {"type": "choices", "from_name": "kind", "to_name": "t", "value": {"choices": ["short"]}},
                    {"type": "rating", "from_name": "quality", "to_name": "t", "value": {"rating": rating}},
                ],
            }
            for at, (who, rating) in enumerate(ratings.items())
        ],
    }  # fmt: skip


def test_label_studio_json(tmp_path):
    tasks = [task(1, ann=4, bob=5), task(2, bob=2), task(3, ann=0, bob=1)]
    del tasks[2]["annotations"][0]["result"][1]  # ann left the control empty
    path = made(tmp_path / "a.json", tasks)
    controls = {"rating": "annotations[].result[from_name=quality].value.rating"}
    names = {"prompt": "data.question", "response": "data.answer", "rater": "annotations[].completed_by.email"}
    expected = [("q1", "a1", "5", ("4", "5")), ("q2", "a2", "2", ()), ("q3", "a3", "1", ())]
    assert rated(path, **controls, **names) == expected
    choices = rated(
        path, Scale.parse("short | long"), rating="annotations[].result[from_name=kind].value.choices", **names
    )
    assert choices[0] == ("q1", "a1", "short", ("short", "short"))


def test_label_studio_json_min_and_csv(tmp_path):
    rows = [
        {
            "id": 1,
            "question": "q1",
            "answer": "a1",
            "quality": 4,
            "annotator": 1,
            "annotation_id": 11,
            "lead_time": 3.2,
        },
        {
            "id": 1,
            "question": "q1",
            "answer": "a1",
            "quality": 2,
            "annotator": 2,
            "annotation_id": 12,
            "lead_time": 1.2,
        },
        {"id": 2, "question": "q2", "answer": "a2", "annotator": 1, "annotation_id": 13, "lead_time": 0.2},
    ]
    names = {"prompt": "question", "response": "answer", "rating": "quality", "rater": "annotator", "id": "id"}
    with pytest.raises(DataError, match=r"a\.json:3: the rating \('quality'\) is empty"):
        rated(made(tmp_path / "a.json", rows), **names)
    expected = [("q1", "a1", "3", ("4", "2"))]
    assert rated(made(tmp_path / "b.json", rows[:2]), **names) == expected
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows[:2])
    assert rated(made(tmp_path / "a.csv", text.getvalue()), **names) == expected


def test_argilla_records_and_its_flat_columns(tmp_path):
    rows = [
        {
            "id": f"r{n}", "fields": {"instruction": f"q{n}", "text": f"a{n}"}, "metadata": {},
            "suggestions": {"quality": {"value": 5, "score": None, "agent": "gpt"}},
            "responses": {"quality": [{"value": 4, "user_id": "u1"}, {"value": 2, "user_id": "u2"}]}, "vectors": {},
            "_server_id": f"s{n}",
        }
        for n in range(2)
    ]  # fmt: skip
    found = rated(
        made(tmp_path / "a.json", rows), prompt="fields.instruction", response="fields.text", id="id",
        rating="responses.quality[].value", rater="responses.quality[].user_id",
    )  # fmt: skip
    assert found == [("q0", "a0", "3", ("4", "2")), ("q1", "a1", "3", ("4", "2"))]
    flat = [
        {
            "id": "r0", "_server_id": "s0", "instruction": "q", "text": "a", "quality.responses": [4, 2],
            "quality.responses.users": ["u1", "u2"], "quality.responses.status": ["submitted", "submitted"],
            "quality.suggestion": 5, "quality.suggestion.score": None, "quality.suggestion.agent": "gpt",
        }
    ]  # fmt: skip
    names = {"rating": "quality.responses", "rater": "quality.responses.users"}
    assert rated(made(tmp_path / "b.json", flat), prompt="instruction", response="text", **names) == [
        ("q", "a", "3", ("4", "2"))
    ]


def test_langfuse_traces_with_their_scores(tmp_path):
    rows = [
        {
            "id": f"t{n}", "name": "chat", "input": json.dumps({"question": f"q{n}"}), "output": f"a{n}",
            "scores": [
                {"name": "helpfulness", "value": n + 1, "source": "ANNOTATION", "authorUserId": "u1", "comment": "c"},
                {"name": "toxicity", "value": 0, "source": "EVAL", "authorUserId": None},
            ],
        }
        for n in range(3)
    ]  # fmt: skip
    names = {"prompt": "input.question", "response": "output", "rating": "scores[name=helpfulness].value"}
    expected = [(f"q{n}", f"a{n}", str(n + 1), ()) for n in range(3)]
    assert rated(made(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows))), **names) == expected
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(
        {key: json.dumps(cell) if isinstance(cell, list) else cell for key, cell in row.items()} for row in rows
    )
    rater = "scores[name=helpfulness].authorUserId"
    assert rated(made(tmp_path / "a.csv", text.getvalue()), **names, rater=rater) == expected


def test_langfuse_tables_exported_in_the_browser_have_a_column_of_values_for_each_score(tmp_path):
    rows = [
        {
            "id": f"t{n}", "name": "chat", "input": {"question": f"q{n}"}, "output": f"a{n}",
            "helpfulness": [n + 1, n + 1], "tone": None,
        }
        for n in range(3)
    ]  # fmt: skip
    names = {"prompt": "input.question", "response": "output", "rating": "helpfulness"}
    expected = [(f"q{n}", f"a{n}", str(n + 1), (str(n + 1), str(n + 1))) for n in range(3)]
    assert rated(made(tmp_path / "a.json", rows), **names) == expected
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(
        {key: json.dumps(cell) if isinstance(cell, list | dict) else cell for key, cell in row.items()} for row in rows
    )
    assert rated(made(tmp_path / "a.csv", text.getvalue()), **names) == expected


def langfuse_files():
    """Langfuse's export to blob storage: its files of traces, of observations with their trace, and of scores."""
    when = "2024-05-29 13:46:19.963000"
    traces = [
        {
            "id": f"t{n}", "timestamp": when, "name": "chat", "environment": "default", "metadata": {"topic": "goats"},
            "user_id": None, "tags": ["v2"], "public": False, "input": json.dumps({"question": f"q{n}"}),
            "output": f"a{n}", "created_at": when, "updated_at": when,
        }
        for n in range(3)
    ]  # fmt: skip
    asked = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "q"}]
    observations = [
        {
            "id": f"o{n}-{kind}", "trace_id": f"t{n}", "type": kind, "parent_observation_id": parent, "name": "chat",
            "input": json.dumps({"question": f"q{n}"} if kind == "SPAN" else asked),
            "output": f"a{n}" if kind == "SPAN" else json.dumps({"role": "assistant", "content": f"a{n}"}),
            "usage_details": {"input": 5}, "updated_at": when, "trace_name": "chat", "tags": ["v2"],
        }
        for n in range(3)
        for kind, parent in (("SPAN", ""), ("GENERATION", f"o{n}-SPAN"))
    ]  # fmt: skip
    given = [
        *((n, None, "helpfulness", n + 1, None, "ANNOTATION", who, 10) for n in range(3) for who in ("ann", "bob")),
        (0, None, "helpfulness", 5, None, "ANNOTATION", "ann", 20),  # ann's second one
        (1, None, "helpfulness", 5, None, "EVAL", None, 10),
        *((n, None, "tone", n % 2, ("rude", "kind")[n % 2], "ANNOTATION", "ann", 10) for n in range(3)),
        *((n, f"o{n}-GENERATION", "faithful", n + 2, None, "ANNOTATION", "ann", 10) for n in range(3)),
    ]
    scores = [
        {
            "id": f"s{at}", "timestamp": when, "trace_id": f"t{n}", "observation_id": place, "name": name,
            "value": value, "source": source, "comment": "unread", "data_type": "CATEGORICAL" if text else "NUMERIC",
            "string_value": text, "updated_at": f"2024-05-30 13:46:{second}.963000", "author_user_id": who,
        }
        for at, (n, place, name, value, text, source, who, second) in enumerate(given)
    ]  # fmt: skip
    return {"traces": traces, "observations_v2": observations, "scores": scores}


def written_as(folder, kind):
    """Write each table as two files of a folder, as Langfuse does for every span of time."""
    for name, rows in langfuse_files().items():
        (folder / name).mkdir()
        for at, part in enumerate((rows[: len(rows) // 2], rows[len(rows) // 2 :])):
            path = folder / name / f"2024-05-{29 + at}{kind}"
            if kind == ".parquet":
                parquet.write_table(pa.Table.from_pylist(part), path)
            elif kind == ".jsonl":
                path.write_text("".join(f"{json.dumps(row)}\n" for row in part))
            else:
                text = io.StringIO(newline="")
                writer = csv.DictWriter(text, list(part[0]))
                writer.writeheader()
                writer.writerows(
                    {key: json.dumps(one) if isinstance(one, list | dict) else one for key, one in row.items()}
                    for row in part
                )
                path.write_text(text.getvalue())
    return folder


@pytest.mark.slow  # folders are listed by datasets
@pytest.mark.parametrize("kind", [".jsonl", ".csv", ".parquet"])
def test_langfuse_exports_to_blob_storage_are_joined(tmp_path, kind):
    folder = written_as(tmp_path, kind)

    def read(data, on, *where, scale=FIVE, **columns):
        shapes = Shapes(
            where=tuple(map(Condition.parse, where)),
            latest_by="scores.updated_at",
            join=(str(folder / "scores"),),
            on=on,
        )
        columns = Columns(rater="author_user_id", **columns)
        found = load([folder / data], scale=scale, columns=columns, shapes=shapes, raters="each")
        return [(x.fields["prompt"], x.fields["response"], x.ratings or (x.answer,)) for x in found.examples]

    people = ("source=ANNOTATION", "scores.name=helpfulness")
    expected = [("q0", "a0", ("1", "5")), ("q1", "a1", ("2", "2")), ("q2", "a2", ("3", "3"))]
    names = {"prompt": "input.question", "response": "output"}
    sorted_in = [
        (prompt, response, tuple(sorted(one)))
        for prompt, response, one in read("traces", "id=trace_id", *people, rating="value", **names)
    ]
    assert sorted_in == expected
    roots = (*people, "parent_observation_id=")
    assert len(read("observations_v2", "trace_id", *roots, rating="value", **names)) == 3
    words = read(
        "traces", "id=trace_id", "scores.name=tone", rating="string_value", scale=Scale.parse("rude < kind"), **names
    )
    assert [rating for _, _, rating in words] == [("rude",), ("kind",), ("rude",)]
    calls = read("observations_v2", "id=observation_id", rating="value", prompt="input", response="output.content")
    assert calls[2] == ("System: Be kind.\n\nUser: q", "a2", ("4",))


def test_qualtrics_and_google_forms(tmp_path):
    ids = [
        '{"ImportId":"startDate","timeZone":"America/Denver"}',
        '{"ImportId":"QID1_TEXT"}',
        *['{"ImportId":"QID2"}'] * 2,
    ]
    text = io.StringIO(newline="")
    csv.writer(text).writerows(
        [["StartDate", "Q1", "Q2", "Q3"], ["Start Date", "The question, as shown", "The answer", "Rate"], ids]
        + [["2024-05-01", f"q{n}", f"a{n}", n + 1] for n in range(3)]
    )
    path = made(tmp_path / "a.csv", "\ufeff" + text.getvalue())
    expected = [(f"q{n}", f"a{n}", str(n + 1), ()) for n in range(3)]
    assert rated(path, prompt="Q1", response="Q2", rating="Q3") == expected
    text = io.StringIO(newline="")
    csv.writer(text).writerows(
        [["Timestamp", "The question, as asked", "Your answer?", "Rate it [clear]", "Rate it [kind]"]]
        + [["2024/05/01 9:00:00 am GMT+1", f"q{n}", f"a{n}", n + 1, 5] for n in range(3)]
    )
    path = made(tmp_path / "b.csv", text.getvalue())
    names = {"prompt": "The question, as asked", "response": "Your answer?", "rating": "Rate it [clear]"}
    assert rated(path, **names) == expected
