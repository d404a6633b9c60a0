"""The M-step in processes of its own: the same weights as in this one, and proof that there were several."""

import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import shared
from rationem import SupervisedMStep, Training
from rationem.engines import models
from rationem.engines.supervisor import descendants
from rationem.errors import ConfigError, RunError
from rationem.sampling.training_set import kept_samples
from rationem.sft import moments
from rationem.sft.launcher import Apart
from rationem.sft.parallel import check

pytestmark = pytest.mark.slow

#: Five samples in the last step: not every process has one in every pass.
TRAINING = Training(
    steps=None, epochs=2, batch_size=8, micro_batch_size=2, learning_rate=1e-3, max_grad_norm=1.0, max_length=700
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return shared.run(tmp_path_factory.mktemp("apart"), "run", iterations=1)


@pytest.fixture(scope="module")
def start(run):
    return str(run.parent / "model" / "grader")


def weights(path):
    name = "adapter_model.safetensors" if (path / "adapter_model.safetensors").is_file() else "model.safetensors"
    return load_file(path / name)


def twice(m_step, run, start, place):
    """Two iterations, so that Adam's moments are handed on; the second one starts where the first one ended."""
    samples = kept_samples(run, 1)
    assert len(samples) % 8
    records = []
    for k in (1, 2):
        output = place / f"iteration-{k:03d}"
        output.mkdir(parents=True)
        records.append(m_step(start, samples, iteration=1, seed=k, output=output))
        start = str(output)
    return records, weights(place / "iteration-002")


@pytest.fixture(scope="module")
def alone(run, start, tmp_path_factory):
    """A function of the adapter's rank that trains in this process, once for each."""

    @cache
    def of(rank):
        m_step = SupervisedMStep(TRAINING.model_copy(update={"lora_rank": rank}), "cpu")
        return twice(m_step, run, start, tmp_path_factory.mktemp("alone") / "run")

    return of


@pytest.mark.parametrize(
    ("parallel", "rank"),
    [
        pytest.param("fsdp", 4, id="fsdp-lora", marks=pytest.mark.acceptance),
        pytest.param("ddp", None, id="ddp-full", marks=pytest.mark.acceptance),
        pytest.param("ddp", 4, id="ddp-lora", marks=pytest.mark.acceptance),
        pytest.param("fsdp", None, id="fsdp-full", marks=pytest.mark.acceptance),
    ],
)
def test_two_processes_end_where_one_does(run, start, alone, tmp_path, parallel, rank):
    training = TRAINING.model_copy(update={"parallel": parallel, "lora_rank": rank})
    (first, second), found = twice(Apart(training, "cpu", 2, 2, run), run, start, tmp_path / "run")
    (wanted, _), expected = alone(rank)
    assert (first["processes"], second["processes"]) == (2, 2)
    # What was really held: with FSDP2 about half of the weights, with DDP all of them.
    assert 0.4 < first["share"] < 0.6 if parallel == "fsdp" else first["share"] == 1
    assert first["steps"] == wanted["steps"]
    assert first["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
    assert first["trained_tokens"] == wanted["trained_tokens"]
    assert found.keys() == expected.keys()
    before = weights(tmp_path / "run" / "iteration-001")
    for name, value in expected.items():
        moved = float((value - before[name]).abs().max())
        assert float((found[name] - value).abs().max()) < 2e-5 + 0.02 * moved, name
    counted = torch.load(tmp_path / "run" / "iteration-002" / moments.FILE, weights_only=True)
    assert {float(value) for name, value in counted.items() if name.startswith("step.")} == {2.0 * first["steps"]}
    assert not list((tmp_path / "run").glob("*.log"))
    models.load(str(tmp_path / "run" / "iteration-002"))


def test_one_process_of_its_own_gives_the_same_bits(run, start, alone, tmp_path):
    _, found = twice(Apart(TRAINING, "cpu", 1, torch.get_num_threads(), run), run, start, tmp_path / "run")
    assert all(torch.equal(found[name], value) for name, value in alone(None)[1].items())


def test_what_was_not_as_asked_is_refused():
    check(2, 0.5, 2, "fsdp")
    check(8, 0.2, 8, "fsdp")
    check(2, 1.0, 2, "ddp")
    with pytest.raises(RunError, match="2 processes were requested; 1 trained"):
        check(1, 1.0, 2, "ddp")
    with pytest.raises(RunError, match="held 100%"):
        check(2, 1.0, 2, "fsdp")


def test_other_samples_in_the_ledger_than_were_handed_over_are_refused(run, start, tmp_path):
    samples = kept_samples(run, 1)[1:]
    (tmp_path / "1").mkdir()
    with pytest.raises(RunError, match="samples of iteration 1"):
        Apart(TRAINING, "cpu", 1, 1, run)(start, samples, iteration=1, seed=0, output=tmp_path / "1")


@pytest.mark.acceptance
def test_a_process_that_fails_says_why_and_its_log_is_kept(run, tmp_path):
    output = tmp_path / "iteration-001"
    output.mkdir()
    with pytest.raises(RunError, match="There is no directory '/no/such/model'"):
        Apart(TRAINING, "cpu", 2, 2, run)("/no/such/model", kept_samples(run, 1), iteration=1, seed=0, output=output)
    bad = "no device"  # an error that nobody foresaw
    with pytest.raises(RunError, match=r"RuntimeError: .*Their log: .*iteration-001.log"):
        Apart(TRAINING, bad, 1, 2, run)(str(run / "model"), kept_samples(run, 1), iteration=1, seed=0, output=output)
    assert "Traceback" in (tmp_path / "iteration-001.log").read_text()


PARENT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores interrupts
import sys
from pathlib import Path
from rationem import Training
from rationem.sft.launcher import Apart
from rationem.sampling.training_set import kept_samples
run, output = Path(sys.argv[1]), Path(sys.argv[2])
output.mkdir()
training = Training(steps=100000, batch_size=8, micro_batch_size=2, max_length=700)
Apart(training, "cpu", 2, 2, run)(sys.argv[3], kept_samples(run, 1), iteration=1, seed=0, output=output)
"""


def test_the_processes_end_with_the_run_that_started_them(run, start, tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(run), str(tmp_path / "1"), start])
    deadline = time.monotonic() + 120
    while len(found := descendants(parent.pid)) < 4:  # supervisor, torchrun, two processes
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{one}") for one in found):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_an_interrupt_ends_the_processes(run, start, tmp_path):
    words = [sys.executable, "-c", PARENT, str(run), str(tmp_path / "1"), start]
    parent = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        while len(found := descendants(parent.pid)) < 4:
            assert parent.poll() is None
            time.sleep(0.2)
        parent.send_signal(signal.SIGINT)
        parent.wait(60)
    finally:
        parent.kill()
    assert not any(os.path.exists(f"/proc/{one}") for one in found)


@pytest.mark.acceptance
def test_a_whole_run_trains_in_two_processes_and_says_so(tmp_path):
    from rationem import report

    run = shared.run(tmp_path, "run", processes=2, parallel="fsdp", threads=2)
    summary = report.summarize(run)
    assert summary["best_iteration"] in (0, 1, 2)
    records = [one["m_step"] for one in summary["iterations"][1:]]
    assert [one["processes"] for one in records] == [2, 2]
    assert all(0.4 < one["share"] < 0.6 for one in records)
    assert "The M-steps ran in 2 processes, each holding" in report.markdown(summary)


def test_shared_weights_need_several_processes(tmp_path):
    with pytest.raises(ConfigError, match=r"--parallel fsdp .* --processes 2"):
        shared.run(tmp_path, "run", parallel="fsdp")


@pytest.mark.parametrize("found", [0, 2, 8])
def test_the_configuration_for_eight_gpus_is_read_and_says_what_a_machine_lacks(tmp_path, monkeypatch, capsys, found):
    from rationem.cli.main import main

    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    monkeypatch.setattr("rationem.engines.vllm.opening.vllm_launch", lambda _: None)
    data, config = shared.ratings(tmp_path / "ratings.csv"), Path(__file__).parents[1] / "configs/one-node-8-gpus.toml"
    words = [
        "fit",
        str(data),
        "--scale",
        "1-5",
        "--config",
        str(config),
        "--output",
        str(tmp_path / "run"),
        "--dry-run",
    ]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert 'parallel = "fsdp"' in said
    assert "processes = 8" in said
    assert ("would not run on this machine: --processes 8: each needs a GPU, and torch finds 2" in said) == (found == 2)
    assert not (tmp_path / "run").exists()


def test_a_dry_run_on_a_laptop_names_the_missing_engine(tmp_path, monkeypatch, capsys):
    from rationem.cli.main import main

    data = shared.ratings(tmp_path / "ratings.csv")
    words = ["fit", str(data), "--scale", "1-5", "--model", "a/b", "--engine", "vllm", "--vllm-python", "/no/python"]
    assert main([*words, "--output", str(tmp_path / "run"), "--dry-run"]) == 0
    assert "It would not run on this machine:" in capsys.readouterr().out
    assert main([*words, "--output", str(tmp_path / "run")]) == 2
    assert not (tmp_path / "run").exists()


def test_losses_cannot_be_logged_to_what_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr("rationem.run.preflight.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--report-to wandb: not installed here. pip install wandb"):
        shared.run(tmp_path, "run", report_to=("wandb",))
    assert not (tmp_path / "run").exists()
