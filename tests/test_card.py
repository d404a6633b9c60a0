"""The judge's card: it is read back as it was written, and its bindings change with what they bind."""

import json

import pytest

from rationem import JudgeTask, Scale
from rationem.errors import RunError
from rationem.run.card import NAME, Calibration, Card, model_sha256, prompt_sha256, read_card, write_card
from rationem.tasks.rubric import Criterion

TASK = JudgeTask(Scale.parse("1-3"), (Criterion("tone", "Kind?", {"1": "no"}),))
CALIBRATION = Calibration(1.5, 8, 40, -1.2, -1.1, prompt_sha256(TASK.describe()), "w")
CARD = Card(TASK.describe(), {"prompt": "q"}, None, {"tone": (0.2, 0.3, 0.5)}, 8, 1024, 256, False, 0, CALIBRATION)


@pytest.mark.parametrize("calibration", [CALIBRATION, None])
def test_a_card_is_read_back(tmp_path, calibration):
    from dataclasses import replace

    card = replace(CARD, calibration=calibration)
    write_card(card, tmp_path)
    assert read_card(tmp_path) == card
    assert JudgeTask.from_description(read_card(tmp_path).task).describe() == TASK.describe()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "rationem fit"),
        ("{", "not a valid judge card"),
        ("[]", "not a valid judge card"),
        ('{"version": 0}', "another version"),
        ('{"version": 1}', "another version"),
        ('{"version": 2}', "not a valid judge card"),
    ],
)
def test_what_is_no_card_is_refused(tmp_path, content, said):
    if content is not None:
        (tmp_path / NAME).write_text(content)
    with pytest.raises(RunError, match=said):
        read_card(tmp_path)


def test_unknown_keys_are_refused(tmp_path):
    write_card(CARD, tmp_path)
    content = json.loads((tmp_path / NAME).read_text())
    (tmp_path / NAME).write_text(json.dumps({**content, "more": 1}))
    with pytest.raises(RunError, match="not a valid judge card"):
        read_card(tmp_path)


def test_the_card_of_a_run_has_a_marginal_for_each_of_its_criteria():
    from rationem import FitConfig, metrics
    from rationem.run.publish import judge_card
    from rationem.types import Example, Splits

    task = JudgeTask(Scale.parse("1-3"), (Criterion("tone"), Criterion("facts"), Criterion("new")))
    train = tuple(
        Example(f"{name}{n}", {"criterion": name}, level, "g")
        for name, levels in (("tone", "33"), ("facts", "112"))
        for n, level in enumerate(levels)
    )
    config = FitConfig(data=("x",), max_prompt_tokens=9, max_new_tokens=9)
    got = judge_card(config, task, Splits(train, (), ()), None, (), {}).marginals
    assert got["tone"] == pytest.approx([0.5 / 3.5, 0.5 / 3.5, 2.5 / 3.5])
    assert got["facts"] == pytest.approx([2.5 / 4.5, 1.5 / 4.5, 0.5 / 4.5])
    assert got["new"] == metrics.marginal(train, task.scale)  # no item of it was trained on: that of all


def test_the_prompt_hash_changes_with_the_wording_the_scale_and_the_rubric():
    from rationem.tasks.template import Template, packaged

    tasks = (
        TASK,
        JudgeTask(Scale.parse("1-4"), TASK.criteria),
        JudgeTask(TASK.scale, (Criterion("tone", "Kind?", {"1": "never"}),)),
        JudgeTask(TASK.scale, TASK.criteria, Template(packaged("judge").text + " ")),
    )
    assert len({prompt_sha256(task.describe()) for task in tasks}) == len(tasks)


def test_the_weights_hash_changes_with_a_byte_and_not_with_other_files(tmp_path):
    (tmp_path / "model-1.safetensors").write_bytes(b"abc")
    (tmp_path / "model-2.safetensors").write_bytes(b"def")
    before = model_sha256(tmp_path)
    (tmp_path / "README.md").write_text("{}")
    assert model_sha256(tmp_path) == before
    (tmp_path / "model-2.safetensors").write_bytes(b"deg")
    assert model_sha256(tmp_path) != before


@pytest.mark.parametrize("name", ["adapter_config.json", "tokenizer.json", "chat_template.jinja"])
def test_the_models_hash_changes_with_the_adapters_base_the_tokenizer_and_the_template(tmp_path, name):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"abc")
    (tmp_path / name).write_text('{"base_model_name_or_path": "one"}')
    before = model_sha256(tmp_path)
    (tmp_path / name).write_text('{"base_model_name_or_path": "two"}')
    assert model_sha256(tmp_path) != before


def test_a_directory_in_the_place_of_the_weights_is_one_sentence(tmp_path):
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(RunError, match=r"model\.safetensors is not a file"):
        model_sha256(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("task", None), ("base", {"name": "m", "weights": []}), ("draws", "4"), ("doubts", "none"), ("marginals", [1])],
)
def test_a_value_of_another_type_is_named(key, value, tmp_path):
    write_card(CARD, tmp_path)
    content = json.loads((tmp_path / NAME).read_text())
    (tmp_path / NAME).write_text(json.dumps({**content, key: value}))
    with pytest.raises(RunError, match=rf"not a valid judge card: {key}"):
        read_card(tmp_path)
