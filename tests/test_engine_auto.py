"""`--engine auto`: the engine that draws faster here, measured once and recorded."""

import time
from contextlib import contextmanager

import pytest

from rationem import Prompt, ScriptedEngine
from rationem.cli.main import main
from rationem.config import FitConfig, read_config
from rationem.engines import faster
from rationem.engines.opening import EngineConfig
from rationem.errors import RunError
from rationem.run.defaults import with_engine
from rationem.sampling.schemes import STAR

CHOICE, PROMPTS = EngineConfig("Final rating:"), [Prompt("what is 3 + 4 ?"), Prompt("x")]


def engines(monkeypatch, **seconds):
    """Engines that need so many seconds for a call; None: they do not start."""
    closed = []

    @contextmanager
    def opening(choice):
        taken = seconds[choice.engine]
        if taken is None:
            raise RunError("no room")

        def say(request):
            time.sleep(taken / 33)
            return "polite and short"

        engine = ScriptedEngine(say)
        engine.close = lambda: closed.append(choice.engine)
        yield lambda checkpoint: engine

    monkeypatch.setattr(faster, "opening", opening)
    return closed


def test_the_faster_engine_is_chosen_and_every_engine_is_closed(monkeypatch):
    closed = engines(monkeypatch, transformers=0.3, vllm=0.03)
    found = faster.fastest(CHOICE, "theta", PROMPTS, 48)
    assert found.engine == "vllm"
    assert found.tokens_per_second["vllm"] > 2 * found.tokens_per_second["transformers"]
    assert closed == ["transformers", "vllm"]
    assert "chosen by measurement" in faster.told(found)


def test_a_server_that_is_hardly_faster_is_not_worth_it(monkeypatch):
    engines(monkeypatch, transformers=0.3, vllm=0.3)
    monkeypatch.setattr(faster, "_WORTH", 1.0)
    assert faster.fastest(CHOICE, "theta", PROMPTS, 48).engine == "transformers"


def test_an_engine_that_does_not_start_is_told_and_not_chosen(monkeypatch):
    engines(monkeypatch, transformers=0.01, vllm=None)
    found = faster.fastest(CHOICE, "theta", PROMPTS, 48)
    assert found.engine == "transformers"
    assert "vLLM did not start: no room" in faster.told(found)
    engines(monkeypatch, transformers=None, vllm=0.01)
    with pytest.raises(RunError, match="no room"):
        faster.fastest(CHOICE, "theta", PROMPTS, 48)


def test_a_resumed_run_keeps_the_engine_that_it_measured(tmp_path):
    (tmp_path / "config.toml").write_text('engine = "vllm"\nmodel = "m"\n')
    config = FitConfig(data=("x.csv",), model="m", engine="auto")
    assert with_engine(config, STAR, None, None, "m", tmp_path).engine == "vllm"


@pytest.mark.slow
def test_a_toy_is_not_measured_and_the_run_records_its_engine(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("rationem.run.prepare._WORLD_VALIDATION", 16)
    monkeypatch.setattr("rationem.run.prepare._WORLD_TEST", 16)
    small = ["--world-size", "12", "--steps", "1", "--draws", "1", "--evidence-draws", "0", "--wrong-hints", "0"]
    small += ["--difficulty-examples", "0", "--iterations", "1", "--threads", "1"]
    assert main(["fit", "world", "--engine", "auto", "--output", str(tmp_path / "run"), *small]) == 0
    assert read_config(tmp_path / "run" / "config.toml", {}).engine == "transformers"
    assert main(["fit", "world", "--engine", "auto", "--dry-run", "--output", str(tmp_path / "dry")]) == 0


@pytest.mark.engine
def test_both_engines_are_measured_on_a_checkpoint(tmp_path):
    from test_vllm_pool import checkpoint

    path = str(checkpoint(tmp_path / "model", "llama", 0))
    found = faster.fastest(EngineConfig("Final rating:", length=256), path, PROMPTS, 16)
    assert set(found.tokens_per_second) == {"transformers", "vllm"}
    assert not found.failed
