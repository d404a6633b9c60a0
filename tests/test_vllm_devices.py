"""GPUs of several servers: consecutive, disjoint, within what the environment shows."""

import pytest

from rationem.engines.vllm.devices import gpus_per_server, shares, visible_gpus
from rationem.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ([], 1),
        (["--enforce-eager"], 1),
        (["--tensor-parallel-size", "2"], 2),
        (["--tensor-parallel-size=4"], 4),
        (["--tensor_parallel_size=4", "--pipeline-parallel-size", "2"], 8),
        (["-tp", "2", "-pp=2"], 4),
    ],
)
def test_a_servers_gpus_are_what_its_flags_ask_for(words, count):
    assert gpus_per_server(words) == count


@pytest.mark.parametrize("words", [["-tp"], ["--tensor-parallel-size", "two"], ["-tp=0"], ["-tp", "-1"]])
def test_a_size_that_is_none_is_refused(words):
    with pytest.raises(ConfigError, match="number of GPUs"):
        gpus_per_server(words)


@pytest.mark.parametrize(
    ("told", "seen"),
    [
        (None, ("0", "1", "2", "3")),
        ("", ()),
        ("-1", ()),
        ("2, 3", ("2", "3")),
        ("0,-1,1", ("0",)),
        ("GPU-5f,MIG-77", ("GPU-5f", "MIG-77")),
    ],
)
def test_what_the_environment_shows_is_obeyed(told, seen):
    assert visible_gpus({} if told is None else {"CUDA_VISIBLE_DEVICES": told}, 4) == seen


def test_shares_are_consecutive_and_disjoint():
    assert shares("01234567", 8, 1) == tuple("01234567")
    assert shares(("GPU-a", "GPU-b", "5", "6", "7"), 2, 2) == ("GPU-a,GPU-b", "5,6")


def test_too_few_are_refused_and_counted():
    with pytest.raises(ConfigError, match=r"--servers 4 needs 8 GPUs, 2 for each server, and 3 are seen .*: 4,5,6"):
        shares("456", 4, 2)
