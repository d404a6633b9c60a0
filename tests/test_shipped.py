"""The base models that come with the package: the recorded files, made by the recipe as it is, in every wheel."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from rationem.engines import models
from rationem.errors import ModelError
from rationem.world import BASES, shipped
from rationem.world.bases import digest, find, probe

ROOT = Path(__file__).resolve().parents[1]
#: Bytes of the weights.
SIZES = {"tiny-judge": 1_333_368, "tiny-adder": 683_696, "tiny-summarizer": 748_000}


@pytest.fixture
def copied(tmp_path):
    """The package's weights, to be spoiled."""
    return Path(shutil.copytree(shipped.WEIGHTS, tmp_path / "weights"))


def test_every_embedded_model_comes_with_the_package_and_nothing_is_built(tmp_path, monkeypatch):
    monkeypatch.setenv("RATIONEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("rationem.world.bases.train", lambda *_, **__: pytest.fail("it is being trained"))
    assert {name for name, model in models.EMBEDDED.items() if model.toy} == set(BASES) == set(shipped.record())
    for name in BASES:
        place = Path(models.resolve(name))
        assert place.parent == shipped.WEIGHTS
        assert {"model.safetensors", "config.json", "tokenizer.json"} <= {file.name for file in place.iterdir()}
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", sorted(SIZES))
def test_the_weights_are_fp32_and_of_the_size_that_is_named(name):
    file = Path(models.resolve(name)) / "model.safetensors"
    held = file.read_bytes()
    header = json.loads(held[8 : 8 + int.from_bytes(held[:8], "little")])
    header.pop("__metadata__", None)
    assert {tensor["dtype"] for tensor in header.values()} == {"F32"}
    assert file.stat().st_size == pytest.approx(SIZES[name], rel=0.01)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_changed_byte_is_refused_by_the_files_name(copied, file):
    path = copied / "tiny-adder" / file
    held = bytearray(path.read_bytes())
    held[-1] ^= 1
    path.write_bytes(held)
    with pytest.raises(ModelError, match=rf"{file} has the SHA-256 \w+\.\.\., not \w+\.\.\.\. Reinstall rationem"):
        shipped.place("tiny-adder", copied)
    assert shipped.place("tiny-judge", copied) == copied / "tiny-judge"


def test_what_is_missing_or_one_too_many_is_refused_by_its_name(copied):
    (copied / "tiny-judge" / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        shipped.place("tiny-judge", copied)
    (copied / "tiny-adder" / "adapter_config.json").write_text("{}")  # it would be loaded
    with pytest.raises(ModelError, match=r"adapter_config\.json is unexpected"):
        shipped.place("tiny-adder", copied)
    shutil.rmtree(copied / "tiny-summarizer")
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        shipped.place("tiny-summarizer", copied)


def test_an_unreadable_record_is_refused(copied):
    (copied / "record.json").write_text("{")
    with pytest.raises(ModelError, match="record of the embedded models is unreadable"):
        shipped.place("tiny-judge", copied)
    (copied / "record.json").write_text("{}")
    with pytest.raises(ModelError, match="it is not in the record"):
        shipped.place("tiny-judge", copied)


@pytest.mark.slow
def test_other_seeds_are_built_into_the_cache_and_named_by_their_recipe(tmp_path, monkeypatch):
    short = replace(BASES["tiny-summarizer"], schedule=replace(BASES["tiny-summarizer"].schedule, steps=1))
    place = find(short, seed=3, cache=tmp_path)
    assert place.parent == tmp_path
    assert place.name == f"tiny-summarizer-3-{digest(short)}"
    assert models.load(str(place), device="cpu").tokenizer.chat_template
    monkeypatch.setattr("rationem.world.bases.train", lambda *_, **__: pytest.fail("it is trained again"))
    assert find(short, seed=3, cache=tmp_path) == place


@pytest.mark.slow
def test_the_digest_sees_numbers_wording_and_corpus_and_no_rewriting():
    base = BASES["tiny-summarizer"]

    def same(schedule, coder, seed):
        yield from base.batches(schedule, coder, seed)

    def heavier(schedule, coder, seed):
        for batch in base.batches(schedule, coder, seed):
            yield [replace(row, weights=[2 * weight for weight in row.weights]) for row in batch]

    def later(schedule, coder, seed):
        return base.batches(schedule, coder, seed + 1)

    changed = (
        replace(base, shape=replace(base.shape, layers=4)),
        replace(base, schedule=replace(base.schedule, rate=1e-3)),
        replace(base, numbers={"batch": 31}),
        replace(base, batches=heavier),
        replace(base, batches=later),
    )
    assert digest(replace(base, batches=same)) == digest(base)
    assert len({digest(base), *map(digest, changed)}) == 1 + len(changed)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BASES))
def test_the_weights_were_made_by_the_recipe_as_it_is_now(name):
    """Plain, AVX2 and AVX512 kernels and 1, 2, 4 threads give probes within 2e-7 of each other."""
    recorded, why = shipped.record()[name], "The recipe has changed since the weights were made: run make weights."
    assert digest(BASES[name]) == recorded["recipe"], why
    assert probe(BASES[name]) == pytest.approx(recorded["probe"], rel=1e-5), why


@pytest.mark.slow
def test_a_wheel_holds_the_models_and_what_is_installed_from_it_finds_them(tmp_path):
    project = tmp_path / "project"
    shutil.copytree(ROOT / "src", project / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, project / file)
    build = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    run(build, str(tmp_path), cwd=project)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "installed")
    found = run(
        "from rationem.engines import models; from rationem.world import BASES; "
        "print(*map(models.resolve, BASES), sep='\\n')",
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path / "installed"),
    )
    places = [Path(line) for line in found.split()]
    assert [place.name for place in places] == list(BASES)
    assert all(place.is_relative_to(tmp_path / "installed") for place in places)


def run(code, *arguments, cwd, **environment):
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
