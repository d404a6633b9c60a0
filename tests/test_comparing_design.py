"""What is compared, and what a comparison that goes on may change."""

import json
from contextlib import closing
from types import SimpleNamespace

import pytest

import toy
from preferred import SEVEN
from rated import TIE
from rationem import Example, FitConfig, JudgeTask, Ledger, Scale, Splits, metrics, rejection_sampling
from rationem.cli.main import main
from rationem.compare import Arm, Design, parse_arms, results
from rationem.compare.design import read_design, write_design
from rationem.compare.items import is_begun
from rationem.compare.running import check_alike, passes_made
from rationem.compare.tables import latex
from rationem.errors import ConfigError, RunError
from rationem.evaluation.diagnostics import cost
from rationem.ledger import read_only
from rationem.report.part import Part, Table
from rationem.run.launch import manifest
from rationem.run.problem import Resolved
from rationem.sft.settings import Training
from rationem.tasks.kinds import Kind
from rationem.tasks.pairs import every_order
from rationem.types import Kept, Prediction


def design(arms="rs:1,pps", reference="RS(1)", seeds=(0, 1), equal="iterations", **config):
    return Design(FitConfig(**{"data": ("world",), **config}), parse_arms(arms), reference, seeds, equal)


def test_arms_are_named_schemes_with_selectors():
    arms = parse_arms("rs:4, star ,pps,rationalize@base*2/resample,mine=forward*2+rationalize*2/weighted,exact")
    assert [arm.name for arm in arms] == [
        *("RS(4)", "STaR", "PPS", "rationalize@base*2 resample", "mine", "enumerated EM", "answer alone"),
    ]
    assert [arm.selector for arm in arms] == ["first", "first", "first", "resample", "weighted", "first", "first"]
    assert [arm.directory for arm in arms] == [
        *("rs-4", "star", "pps", "rationalize-base-2-resample", "mine", "enumerated-em", "answer-alone"),
    ]
    assert [arm.control for arm in arms] == [False] * 6 + [True]
    assert [arm.generates for arm in arms] == [True] * 5 + [False] * 2


def test_the_control_is_added_once_and_can_be_left_out():
    assert [arm.scheme for arm in parse_arms("star,direct")] == ["star", "direct"]
    assert [arm.scheme for arm in parse_arms("star", control=False)] == ["star"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strar", "Did you mean 'star'"),
        ("star/best", "Unknown selector 'best'"),
        (" , ", "names no scheme"),
        ("star,star", "would share a directory"),
        ("a b=star,a-b=pps", "'a-b' and 'a b' would share a directory"),
        ("base=star", "'base' and the base model would share"),
        ("=star", "an empty name"),
    ],
)
def test_arms_that_cannot_be_are_explained(text, said):
    with pytest.raises(ConfigError, match=said):
        parse_arms(text)


def test_designs_that_cannot_be_are_explained():
    with pytest.raises(ConfigError, match=r"is not an arm.*'RS\(1\)', 'PPS', 'answer alone'"):
        design(reference="pss")
    with pytest.raises(ConfigError, match="generates none"):
        design(reference="answer alone", equal="tokens")
    with pytest.raises(ConfigError, match="--schedule cosine"):
        design(equal="tokens", schedule="cosine")
    with pytest.raises(ConfigError, match=r"--equal passes.*--schedule cosine"):
        design(equal="passes", schedule="cosine")


def test_a_design_is_read_as_it_was_written(tmp_path):
    one = design(arms="rs:1,näme=star/all", seeds=(3, 4), equal="tokens", seed=3)
    write_design(one, tmp_path / "c")
    assert read_design(tmp_path / "c") == one


def test_a_comparison_goes_on_with_more_arms_and_seeds_and_never_with_less(tmp_path):
    write_design(design(), tmp_path)
    write_design(design(arms="rs:1,pps,star", seeds=(0, 1, 2)), tmp_path)
    assert [arm.name for arm in read_design(tmp_path).arms] == ["RS(1)", "PPS", "STaR", "answer alone"]
    for less, said in (
        (design(), "without STaR"),
        (design(arms="rs:1,pps,star"), "without 2"),
        (
            design(arms="rs:1,pps,star", seeds=(0, 1, 2), reference="PPS"),
            r"'RS\(1\)', but the command gives 'PPS'",
        ),
        (
            design(arms="rs:1,pps,star", seeds=(0, 1, 2), equal="tokens"),
            r"equal iterations, but .* tokens",
        ),
        (design(arms="rs:1,pps,star", seeds=(0, 1, 2), steps=9), "steps = None, but the command gives 9"),
        (design(arms="rs:1,pps,star", seeds=(0, 1, 2), epochs=2), r"epochs = None, but the command gives 2\.0"),
    ):
        with pytest.raises(RunError, match=said):
            write_design(less, tmp_path)


def test_a_directory_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="other files and no comparison"):
        write_design(design(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match="no comparison"):
        read_design(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"version": 9}', '{"version": 1, "config": {"x": 1}}'])
def test_a_broken_design_is_no_traceback(tmp_path, text):
    (tmp_path / "comparison.json").write_text(text)
    with pytest.raises((RunError, ConfigError)):
        read_design(tmp_path)


@pytest.mark.slow
def test_a_dry_run_shows_the_runs_and_writes_nothing(tmp_path, capsys):
    arguments = ["--schemes", "rs:2,pps", "--seeds", "2", "--seed", "5", "--reference", "pps"]
    assert main(["compare", "world", *arguments, "--output", str(tmp_path / "c"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "PPS: --scheme pps --selector first  (reference)" in said
    assert "answer alone: --scheme direct --selector first  (control)" in said
    assert "6 runs: 3 arms with seeds 5, 6; equal: iterations" in said
    generated = {
        name: int(said.split(f"  {name}: ")[1].split(" tokens")[0].replace(",", "")) for name in ("RS(2)", "PPS")
    }
    assert generated["RS(2)"] > generated["PPS"] > 0
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--schemes", "rs:2,weigh=direct/weighted"], "selector 'weighted' weights"),
        (["--seeds", "0"], "--seeds 0"),
        (["--schemes", "rationalize@teacher"], "Name its server"),
        (["--teacher", "http://127.0.0.1:1"], "no arm uses it"),
        (["--engine", "vllm"], "enumerates"),
        (["--reference", "star2"], "is not an arm"),
    ],
)
def test_what_is_wrong_with_any_arm_is_said_before_the_first_runs(tmp_path, more, said, capsys):
    assert main(["compare", "world", "--output", str(tmp_path / "c"), "--dry-run", *more]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_the_recorded_design_is_json_for_others(tmp_path):
    write_design(design(), tmp_path)
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert found["arms"][0] == {"name": "RS(1)", "scheme": "rs:1", "selector": "first"}
    assert Arm(**found["arms"][1]).name == "PPS"


@pytest.mark.parametrize(
    ("more", "said"),
    [(["--workers", "0"], "--workers 0"), (["--engine", "vllm", "--workers", "2"], "one server serves")],
)
def test_workers_that_cannot_be_are_refused_before_anything_is_written(tmp_path, more, said, capsys):
    output = tmp_path / "c"
    assert main(["compare", "world", "--schemes", "star", "--exact-items", "0", "--output", str(output), *more]) == 2
    assert said in capsys.readouterr().err
    assert not output.exists()


def test_a_comparison_goes_on_with_its_own_settings_only(tmp_path):
    """Asked for others, it is refused before its own are overwritten."""
    write_design(design(seed=0, split_seed=0), tmp_path)
    before = (tmp_path / "comparison.json").read_text()
    for changed, said in (
        ({"steps": 80}, "steps = None, but the command gives 80"),
        ({"iterations": 9}, "iterations = 5, but the command gives 9"),
        ({"split_seed": 3}, "split_seed = 0, but the command gives 3"),
        ({"model": "other"}, "model = None, but the command gives 'other'"),
    ):
        with pytest.raises(RunError, match=said):
            write_design(design(**{"seed": 0, "split_seed": 0, **changed}), tmp_path)
    assert (tmp_path / "comparison.json").read_text() == before
    write_design(design(seeds=(0, 1, 2), seed=0, split_seed=0, data=("world",)), tmp_path)


@pytest.mark.parametrize(
    "name",
    ["a}b", "=HYPERLINK(1)", "_hidden", "<b>", "a|b", "a\x1b[2J", "base model", "x" * 61, "[1]", "+1", "@x", "-1"],
)
def test_names_that_tables_formulas_or_pages_would_obey_are_refused(name, tmp_path):
    with pytest.raises(ConfigError, match="cannot be an arm's name"):
        Arm(name, "star")
    write_design(design(), tmp_path)
    found = json.loads((tmp_path / "comparison.json").read_text())
    found["arms"][0]["name"] = name
    (tmp_path / "comparison.json").write_text(json.dumps(found))
    with pytest.raises((ConfigError, RunError)):
        read_design(tmp_path)


def test_what_is_in_the_way_of_the_first_write_of_a_killed_start_is_none(tmp_path):
    (tmp_path / "comparison.json.partial").write_text("{")
    write_design(design(), tmp_path)
    assert read_design(tmp_path).reference == "RS(1)"


def test_logs_is_no_arms_directory():
    with pytest.raises(ConfigError, match="'logs' and the logs would share a directory"):
        parse_arms("logs=rs:1")


def test_a_ledger_without_a_manifest_is_no_run_yet(tmp_path):
    assert not is_begun(tmp_path)
    (tmp_path / "ledger.sqlite").touch()
    assert not is_begun(tmp_path)
    (tmp_path / "ledger.sqlite").unlink()
    Ledger(tmp_path).close()
    assert not is_begun(tmp_path)
    ledger = Ledger(tmp_path)
    ledger.start({"config": {}}, {})
    ledger.close()
    assert is_begun(tmp_path)


def test_runs_of_other_data_or_settings_are_not_taken_for_alike(tmp_path):
    one = {
        "data_sha256": "a",
        "base": "m",
        "task": {},
        "prompt_token_ids": [1],
        "config": {"draws": 4, "scheme": "pps"},
    }
    check_alike(one, {**one, "config": {"draws": 4, "scheme": "star"}}, tmp_path)
    with pytest.raises(RunError, match="made with another data_sha256 than"):
        check_alike(one, {**one, "data_sha256": "b"}, tmp_path)
    with pytest.raises(RunError, match="made with another draws than"):
        check_alike(one, {**one, "config": {"draws": 8, "scheme": "pps"}}, tmp_path)


@pytest.mark.slow
def test_in_the_directory_of_a_comparison_what_is_not_said_is_as_it_is_there(tmp_path, capsys):
    write_design(design(arms="rs:2,mine=star/all", reference="RS(2)", seeds=(5, 6), seed=5, steps=7), tmp_path)
    assert main(["compare", "--output", str(tmp_path), "--seeds", "3", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "9 runs: 3 arms with seeds 5, 6, 7; equal: iterations" in said
    assert "mine: --scheme star --selector all" in said
    assert "steps = 7" in said
    assert main(["compare", "--output", str(tmp_path), "--schemes", "rs:2,mine=star/all,pps", "--dry-run"]) == 0
    assert "8 runs: 4 arms with seeds 5, 6" in capsys.readouterr().out


def test_latex_takes_every_text_as_text():
    table = Part("t", "50 % of {a}", (Table(("a & b", "#1"), (("~^\\_$", "<x> | -∞ – 1"),)),))
    text = latex([table])
    assert r"\caption{50 \% of \{a\}.}" in text
    assert r"a \& b & \#1 \\" in text
    assert (
        r"\textasciitilde{}\textasciicircum{}\textbackslash{}\_\$ & \textless{}x\textgreater{} \textbar{} "
        r"-$\infty$ -- 1 \\"
    ) in text


def test_judges_stand_beside_people_on_the_same_targets():
    """Means over seeds of the agreement with the other raters, which is what the ceiling of one person is."""
    items = [
        Example(f"i{n}", {}, str(1 + n % 3), f"g{n}", (str(1 + n % 3), str(1 + (n + 1) % 3), "2")) for n in range(12)
    ]
    scale = Scale.parse("1-3")

    def run_of(shift):
        said = [str(1 + (n + shift) % 3) for n in range(12)]
        predictions = [Prediction(x.id, s, (0.2, 0.5, 0.3), 0.5, 1, 0) for x, s in zip(items, said, strict=True)]
        return SimpleNamespace(chosen=1, at={1: SimpleNamespace(predictions=predictions)})

    runs, run = [run_of(0), run_of(1)], SimpleNamespace(sets={"test": items}, scale=scale)
    each = [metrics.beside_humans(one.at[1].predictions, items, scale).accuracy for one in runs]
    assert each[0] != each[1]
    assert results._beside_humans(runs, run)["accuracy"] == pytest.approx(sum(each) / 2)
    alone = SimpleNamespace(sets={"test": [Example("i", {}, "1", "g")]}, scale=scale)
    one = SimpleNamespace(chosen=0, at={0: SimpleNamespace(predictions=[Prediction("i", "1", (1, 0, 0), 1.0, 1, 0)])})
    assert results._beside_humans([one], alone) is None


@pytest.mark.parametrize(("scale", "best"), [(TIE, "A"), (SEVEN, "-3")])
def test_what_the_orders_of_comparisons_say_together_is_a_number_of_its_own(scale, best):
    texts = {"prompt": "", "response_a": "", "response_b": ""}
    pairs = every_order([Example(f"p{n}", texts, best, f"p{n}") for n in range(4)], scale)
    p = (1 / len(scale.levels),) * len(scale.levels)
    right = [Prediction(x.id, x.answer, p, 0.5, 1, 0) for x in pairs]
    first = [Prediction(x.id, best, p, 0.5, 1, 0) for x in pairs]  # whatever stands first
    run = SimpleNamespace(sets={"test": pairs}, kind=Kind(scale, orders=2), scale=scale)
    found = results._of_pairs([right, first], run, {x.id: x.group for x in pairs})
    assert {name: one.value for name, one in found.items() if name != "side"} == {"consistency": 0.5, "winner": 0.75}
    assert ("side" in found) == scale.ordered
    run.kind = Kind(scale, orders=len(scale.levels))  # as if there were no tie
    assert ("winner" in results._of_pairs([right], run, {x.id: x.group for x in pairs})) == scale.ordered
    assert results._of_pairs([], SimpleNamespace(sets={"test": pairs}, kind=Kind(scale), scale=scale), {}) == {}


def test_which_example_is_in_which_set_and_group_is_in_the_manifest():
    def told(group, train):
        items = [Example(f"i{n}", {"prompt": "p", "response": "r"}, "1", group) for n in range(4)]
        task = JudgeTask(Scale.parse("1-3"))
        chat = SimpleNamespace(encode=lambda prompt: [1])
        splits = Splits(tuple(items[:train]), (), tuple(items[train:]), {})
        found = manifest(Resolved(FitConfig(), rejection_sampling(1), task, splits, "m", None), chat)
        return found["data_sha256"], found["splits_sha256"]

    assert told("a", 3) == told("a", 3)
    assert told("a", 3)[0] == told("b", 3)[0] == told("a", 2)[0]
    assert len({told("a", 3)[1], told("b", 3)[1], told("a", 2)[1]}) == 3


def test_passes_are_examples_trained_on_over_examples_kept(tmp_path):
    """Iterations that keep 20 and 8 of 40 examples and take 4 steps of 10: 80 / 28 passes; old records say it less."""
    kept = {1: 20, 2: 8}
    ledger = Ledger(tmp_path)
    ledger.start({"config": {"batch_size": 10}}, {"train": toy.examples(20)})
    for k, count in kept.items():
        names = [x.id for x in toy.examples(20)][:count]
        ledger.finish(k, "e_step", seconds=0, kept=[Kept(name, n, 0.5, k) for name in names for n in (0, 1)])
    ledger.finish(1, "m_step", seconds=0, record={"trained": True, "steps": 4, "examples": 20, "passes": 2.0})
    ledger.finish(2, "m_step", seconds=0, record={"trained": True, "steps": 4, "dropped": []})
    ledger.finish(3, "m_step", seconds=0, record={"trained": False, "dropped": []})
    ledger.close()
    with closing(read_only(tmp_path)) as db:
        assert [cost.passes(db, k, {"batch_size": 10}) for k in (1, 2, 3)] == [2.0, 5.0, None]
        assert cost.mean_passes(db, 3, {"batch_size": 10}) == pytest.approx(80 / 28)
    assert passes_made(tmp_path) == pytest.approx(80 / 28)
    assert Training(steps=None, epochs=80 / 28).draws(28) == 80
