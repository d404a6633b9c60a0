"""The M-step on several nodes, here two on one machine: the weights of one process, and there were two."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import shared
from rationem import SupervisedMStep, Training
from rationem.errors import ConfigError, RunError
from rationem.sampling.training_set import kept_samples
from rationem.sft.launcher import Apart
from rationem.sft.nodes import JOB, KEPT, Meeting, SharedPlace, check_nodes, export, exported
from rationem.types import Exchange, Prompt, Sample
from test_apart import TRAINING, weights

SAMPLES = [
    Sample("a", Prompt("x", earlier=(Exchange("q", "a", "n"),)), (1, 2), 0.25),
    Sample("b", Prompt("é\n"), (3,), 1.0),
]


def test_the_kept_set_is_read_as_it_was_exported(tmp_path):
    export(SAMPLES, tmp_path / KEPT)
    assert exported(tmp_path / KEPT) == SAMPLES


def test_fewer_nodes_than_asked_are_refused():
    check_nodes(2, 2)
    with pytest.raises(RunError, match="2 nodes were requested; 1 trained"):
        check_nodes(1, 2)


def test_only_the_node_of_the_rendezvous_hosts_it():
    meeting = Meeting(2, 8, "head:29400")
    driver, other = (meeting.words("job-1", Path("/s/job-1/job.json"), hosts=hosts) for hosts in (True, False))
    assert [a for a, b in zip(driver, other, strict=True) if a != b] == ["is_host=1"]
    assert driver[-3:] == ["-m", "rationem.sft.worker", "/s/job-1/job.json"]


def test_jobs_of_a_killed_driver_are_removed_and_a_model_from_elsewhere_keeps_its_name(tmp_path):
    place = SharedPlace(tmp_path / "shared", Meeting(2, 1, "h:1"))
    left = tmp_path / "shared" / "job-old" / JOB
    left.parent.mkdir(parents=True)
    left.write_text("{}")
    output = tmp_path / "run" / "checkpoints" / "iteration-001.partial"
    output.mkdir(parents=True)
    with place.prepared("org/model", SAMPLES, output) as (job, start, there):
        assert not left.exists()
        assert start == "org/model"
        assert exported(job / KEPT) == SAMPLES
        (there / "model.safetensors").write_text("trained")
        assert there.name == "iteration-001"
    assert not job.exists()
    assert (output / "model.safetensors").read_text() == "trained"


@pytest.mark.slow
def test_several_nodes_need_a_directory_and_an_address(tmp_path):
    with pytest.raises(ConfigError, match=r"--nodes 2: also give --node-directory"):
        shared.run(tmp_path, "run", nodes=2)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.engine
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_nodes_train_to_the_weights_of_one_process(tmp_path, parallel):
    run = shared.run(tmp_path, "run", iterations=1)
    training = Training(**{**TRAINING.model_dump(), "parallel": parallel})
    place = SharedPlace(tmp_path / "nodes", Meeting(2, 1, f"127.0.0.1:{free_port()}"))
    (tmp_path / "nodes").mkdir()
    wanted, expected = trained(SupervisedMStep(TRAINING, "cpu"), run, tmp_path / "alone")
    words = [sys.executable, "-m", "rationem.sft.node", str(tmp_path / "nodes")]
    other = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        record, found = trained(Apart(training, "cpu", 1, 1, run, None, place), run, tmp_path / "together")
    finally:
        time.sleep(1)
        other.terminate()
        said = other.communicate(timeout=60)[0].decode()
    assert (record["nodes"], record["processes"]) == (2, 2)
    assert 0.4 < record["share"] < 0.6 if parallel == "fsdp" else record["share"] == 1
    assert said.count("exit code 0") == 1, said
    assert record["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
    for name, value in expected.items():
        assert float((found[name] - value).abs().max()) < 2e-5 + 0.02 * float(value.abs().max()), name
    assert {path.name for path in (tmp_path / "nodes" / "weights").iterdir()} == {"iteration-000", "iteration-001"}


def trained(m_step, run, place):
    """One iteration that starts from a checkpoint of the run, which travels to the shared directory."""
    output = place / "iteration-001"
    output.mkdir(parents=True)
    start = shutil.copytree(run.parent / "model" / "grader", place / "iteration-000")
    return m_step(str(start), kept_samples(run, 1), iteration=1, seed=1, output=output), weights(output)
