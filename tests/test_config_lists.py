"""What is known of a setting is written down once, in its section: no list of settings is kept by hand elsewhere."""

import ast
from pathlib import Path

import pytest

import rationem.config
from rationem.cli.main import main
from rationem.config import FitConfig, foreign_to, group_of, in_refit, marks_of, settings_with
from rationem.config.metadata import Identity, Mark, Reach, TaskKind
from rationem.config.sections import TrainingSettings
from rationem.config.task_sections import SettingsGroup

SOURCE = Path(rationem.config.__file__).parents[1]
#: Collections outside ``config`` that name two settings or more and nothing else. May only fall.
MOST_LISTS = 1  # one engine's own flags, in its row (engines/table.py)


def names_of(node):
    """The texts that a list, tuple or set holds, or the keys of a dict; None of anything else."""
    members = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
    return [one.value for one in members if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def lists_in(tree, settings):
    kinds = ast.List | ast.Tuple | ast.Set | ast.Dict
    found = [(node.lineno, names_of(node)) for node in ast.walk(tree) if isinstance(node, kinds)]
    return [(line, names) for line, names in found if len(names) > 1 and set(names) <= settings]


def test_no_list_of_settings_is_kept_by_hand():
    settings = set(FitConfig.model_fields)
    files = [path for path in SOURCE.rglob("*.py") if path.parent != SOURCE / "config"]
    assert len(files) > 200
    found = [(path, *one) for path in files for one in lists_in(ast.parse(path.read_text("utf-8")), settings)]
    assert len(found) <= MOST_LISTS, found


@pytest.mark.parametrize(
    "text", ["x = ('steps', 'seed')", "y = {'top_p': 1, 'seed': 2}", "f(*['data', *z, 'test'])", "{'task', 'model'}"]
)
def test_a_list_is_found_in_any_form(text):
    assert lists_in(ast.parse(text), set(FitConfig.model_fields))


def test_a_list_of_other_things_is_none():
    assert not lists_in(ast.parse("('scale', 'meanings'), {'seed': 1}, ['a', 'b']"), set(FitConfig.model_fields))


def test_every_setting_has_a_group_and_a_help():
    for name, field in FitConfig.model_fields.items():
        assert group_of(name), name
        assert field.description, name


def test_every_setting_is_of_one_section():
    sections = SettingsGroup.__subclasses__()
    names = [name for section in sections if section is not FitConfig for name in section.model_fields]
    assert sorted(names) == sorted(FitConfig.model_fields)


def test_fit_shows_flags_under_the_headings_of_their_groups_in_order(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help-all"])
    text = capsys.readouterr().out
    headings = list(dict.fromkeys(group_of(name) for name in FitConfig.model_fields))
    assert len(headings) == 9
    places = [text.index(f"\n{heading}:\n") for heading in headings]
    assert places == sorted(places)
    training = text[places[headings.index("training")] : places[headings.index("engine")]]
    shown = {word.strip(",") for word in training.split() if word.startswith("--")}
    assert shown >= {f"--{name.replace('_', '-')}" for name in TrainingSettings.model_fields}


def test_a_file_tells_runs_apart_by_what_it_says_or_not_at_all():
    """A place outside the run cannot be compared as text: it may have been moved."""
    by_content = (Reach.NOTHING, Reach.DATA, Reach.FILE)
    for name in FitConfig.model_fields:
        marks = marks_of(name)
        outside = [mark for mark in marks if isinstance(mark, Reach) and mark not in by_content]
        assert not outside or any(isinstance(mark, Identity) for mark in marks), name


def test_every_kind_of_task_refuses_what_is_of_the_others_alone():
    judge, choice, answers = (set(foreign_to(kind)) for kind in TaskKind)
    assert {"choices_col", "inputs_col"} <= judge
    assert {"rating_col", "inputs_col"} <= choice
    assert {"rating_col", "choices_col", "scale"} <= answers
    assert not {"prompt_col", "id_col"} & (judge | choice | answers)


def test_what_is_fixed_in_a_refit_is_allowed_there():
    assert FitConfig(**in_refit()).iterations == 1
    assert set(in_refit()) & set(settings_with(Mark.CARD)) == {"iterations", "init", "shots"}


def test_replace_refuses_a_name_that_is_no_setting():
    assert FitConfig().replace(steps=3).steps == 3
    with pytest.raises(TypeError, match="stepps"):
        FitConfig().replace(stepps=3)
