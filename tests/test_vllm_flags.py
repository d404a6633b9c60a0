"""The command line of a vLLM server; that a real one starts with it is tested in test_vllm_server.py."""

import pytest

from rationem.engines.vllm.flags import Launch
from rationem.engines.vllm.server import Server


def command(**settings):
    server = Server(Launch("python", **settings), "some/model")
    try:
        return server._command()
    finally:
        server.stop()


@pytest.mark.parametrize("cpu", [True, False])
def test_common_beginnings_of_prompts_are_read_once(cpu):
    assert command(cpu=cpu).count("--enable-prefix-caching") == 1
    assert "--no-enable-prefix-caching" not in command(cpu=cpu)


@pytest.mark.parametrize("cpu", [True, False])
def test_the_users_flags_come_last_so_that_they_decide_what_rationem_only_prefers(cpu):
    """vLLM takes the later of two flags that contradict each other."""
    words = command(cpu=cpu, extra=("--no-enable-prefix-caching", "-tp", "2"))
    assert words[-3:] == ["--no-enable-prefix-caching", "-tp", "2"]
    assert words.index("--enable-prefix-caching") < len(words) - 3
