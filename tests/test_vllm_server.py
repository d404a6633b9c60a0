"""The server of ``--engine vllm``: it starts, it comes back, it says why not, and nothing of it survives its owner."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rationem.engines import supervisor
from rationem.engines.vllm.flags import Launch, check_flags
from rationem.engines.vllm.install import find_python
from rationem.engines.vllm.server import RESTARTS, Server
from rationem.errors import ConfigError, ModelError, RunError

pytestmark = pytest.mark.slow

SUPERVISOR = [sys.executable, "-I", supervisor.__file__]
#: Writes into a file its own id, its child's and the child's of that, which leaves the session. If stubborn, all ignore
#: SIGTERM; the first ends at once with the given code, or stays.
FAMILY = """
import os, signal, sys, time
file, stubborn, code = sys.argv[1], sys.argv[2] == "stubborn", sys.argv[3]
if stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
read, write = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        os.write(write, b"%d %d" % (os.getppid(), os.getpid()))
        time.sleep(600)
    time.sleep(600)
others = os.read(read, 100).decode()
with open(file + ".part", "w") as out:
    out.write(f"{os.getpid()} {others}")
os.rename(file + ".part", file)
if code != "stay":
    sys.exit(int(code))
time.sleep(600)
"""


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def running(process):
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def members(file):
    until(file.exists)
    found = [int(word) for word in file.read_text().split()]
    assert len(found) == 3
    return found


def family(tmp_path, *, stubborn=False, code="stay"):
    file = tmp_path / "family"
    return file, [sys.executable, "-c", FAMILY, str(file), "stubborn" if stubborn else "meek", code]


def supervised(command, *options):
    return subprocess.Popen([*SUPERVISOR, *options, "--", *command], stdin=subprocess.PIPE)


def ended(process, *, seconds=5.0):
    """Wait for the end; return the exit status."""
    status = process.wait(seconds)
    if process.stdin:
        process.stdin.close()
    return status


def test_the_end_of_standard_input_ends_all_and_removes_the_directory(tmp_path):
    private = tmp_path / "private"
    private.mkdir()
    file, command = family(tmp_path)
    process = supervised(command, "--remove", str(private))
    processes = members(file)
    assert all(map(running, processes))
    assert private.exists()
    process.stdin.close()
    assert process.wait(5) == 128 + signal.SIGTERM
    assert not any(map(running, processes))
    assert not private.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_supervisor_ends_all(tmp_path, number):
    file, command = family(tmp_path)
    process = supervised(command)
    processes = members(file)
    process.send_signal(number)
    assert ended(process) == 128 + signal.SIGTERM
    assert not any(map(running, processes))


@pytest.mark.parametrize("code", [0, 7])
def test_when_the_command_ends_it_leaves_nobody_behind_and_its_status_is_ours(tmp_path, code):
    file, command = family(tmp_path, code=str(code))
    process = supervised(command)
    processes = members(file)
    assert ended(process) == code
    assert not any(map(running, processes))


def test_a_killed_command_is_told_by_the_status(tmp_path):
    file, command = family(tmp_path)
    process = supervised(command)
    processes = members(file)
    os.kill(processes[0], signal.SIGKILL)
    assert ended(process) == 128 + signal.SIGKILL
    assert not any(map(running, processes))


@pytest.mark.slow
def test_who_ignores_sigterm_is_killed_after_the_grace(tmp_path):
    file, command = family(tmp_path, stubborn=True)
    process = supervised(command)
    processes = members(file)
    begun = time.monotonic()
    process.stdin.close()
    assert process.wait(supervisor.GRACE + 5) == 128 + signal.SIGKILL
    assert supervisor.GRACE - 0.1 <= time.monotonic() - begun < supervisor.GRACE + 2
    assert not any(map(running, processes))


@pytest.mark.parametrize("holds", ["nobody", "a fork"])
def test_nothing_survives_the_sigkill_of_the_parent(tmp_path, holds):
    """Not even where a fork of the parent lives on and holds the other end of the supervisor's standard input."""
    file, command = family(tmp_path)
    fork = "os.fork() == 0 and time.sleep(600)" if holds == "a fork" else "None"
    code = f"import os, subprocess, time\nsubprocess.Popen({[*SUPERVISOR, '--', *command]!r}, stdin=subprocess.PIPE)\n"
    parent = subprocess.Popen([sys.executable, "-c", f"{code}{fork}\ntime.sleep(600)"], start_new_session=True)
    processes = members(file)
    time.sleep(0.05)
    parent.kill()
    parent.wait()
    try:
        until(lambda: not any(map(running, processes)))
    finally:
        if holds == "a fork":
            os.killpg(parent.pid, signal.SIGKILL)


def test_the_sigkill_of_the_supervisor_kills_the_command(tmp_path):
    file, command = family(tmp_path)
    process = supervised(command)
    first, *others = members(file)
    process.kill()
    ended(process)
    until(lambda: not running(first))
    for other in others:  # nobody can see to these
        os.kill(other, signal.SIGKILL)


def test_waiting_takes_no_processor_time(tmp_path):
    file, command = family(tmp_path)
    process = supervised(command)
    members(file)

    def ticks():
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(0.5)
    assert ticks() == before
    process.stdin.close()
    process.wait(5)


def test_a_command_that_cannot_be_run_is_named(tmp_path):
    private = tmp_path / "private"
    private.mkdir()
    command = [*SUPERVISOR, "--remove", str(private), "--", "/no/such/program"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert done.stderr == "supervisor: cannot run /no/such/program: No such file or directory\n"
    assert not private.exists()


def test_descendants_are_children_and_theirs(tmp_path):
    file, command = family(tmp_path)
    process = supervised(command)
    processes = members(file)
    assert supervisor.descendants(process.pid) == processes
    assert supervisor.descendants(processes[-1]) == []
    process.stdin.close()
    process.wait(5)


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("--port", "private socket"),
        ("--served_model_name=x", "its own name"),
        ("--uds", "private socket"),
        ("--mod", "its own checkpoint"),
        ("--logprobs-mode", "distribution that was drawn from"),
        ("--generation-config=auto", "how it is sampled"),
        ("--trust-remote-code", "never run"),
        ("--enable-chunked-prefill", "ends the server"),
        ("--no-trust-remote-code", "never run"),
    ],
)
def test_flags_that_are_not_the_users_are_refused_with_the_reason(flag, reason):
    with pytest.raises(ConfigError, match=f"^The vLLM flag {flag} cannot be given: .*{reason}"):
        Server(Launch("python", cpu=True, extra=("--dtype", "float32", flag)), "model")


def test_other_flags_are_the_users():
    extra = ("--model-impl", "transformers", "--quantization=fp8", "-tp", "2", "--tokenizer-mode", "slow")
    check_flags(Launch("python", cpu=True, extra=extra))
    check_flags(Launch("python", cpu=False, extra=("--enable-chunked-prefill",)))


#: Stands in for an interpreter with vLLM: answers /health on the socket that it is told, with the status in a file.
STAND_IN = """#!{python}
import http.server, os, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b"no" if "rpc" in self.path else b"{{}}"
        self.send_response(500 if "rpc" in self.path else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
    def log_message(self, *args): pass
    def address_string(self): return ""
with open("{started}", "a") as file:
    file.write(os.environ.get("VLLM_API_KEY", "") + "x")
{before}
socketserver.ThreadingUnixStreamServer(sys.argv[sys.argv.index("--uds") + 1], Handler).serve_forever()
"""


def stand_in(tmp_path, before="", **settings):
    """Return a server whose vLLM is a few lines, and the file with a letter for each start."""
    program, started = tmp_path / "python", tmp_path / "started"
    program.write_text(STAND_IN.format(python=sys.executable, started=started, before=before))
    program.chmod(0o700)
    return Server(Launch(str(program), cpu=True, **settings), "some/model"), started


def tree(server):
    return [server._process.pid, *supervisor.descendants(server._process.pid)]


def gone(server):
    return not server.alive and not server.socket.parent.exists()


def test_a_server_starts_answers_and_stops(tmp_path, monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "s")  # would make the server refuse us
    server, started = stand_in(tmp_path)
    assert not server.alive
    server.start()
    processes = tree(server)
    assert len(processes) == 2
    assert server.alive
    assert server.seconds > 0
    assert server.socket.parent.stat().st_mode & 0o777 == 0o700
    server.revive()
    assert started.read_text() == "x"
    server.stop()
    server.stop()
    assert gone(server)
    assert not any(map(running, processes))
    with pytest.raises(RunError, match="was stopped"):
        server.revive()


def test_a_dead_server_is_started_again_by_one_of_many_and_not_for_ever(tmp_path):
    server, started = stand_in(tmp_path)
    server.start()
    for times in range(1, RESTARTS + 1):
        os.kill(tree(server)[1], signal.SIGKILL)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: server.revive(), range(4)))
        assert server.alive
        assert started.read_text() == "x" * (1 + times)
        assert server.restarts == times
    os.kill(tree(server)[1], signal.SIGKILL)
    with pytest.raises(RunError, match=r"ended 4 times on some/model; last: it was killed \(signal 9\)"):
        server.revive()
    assert gone(server)
    server.stop()


def test_what_a_killed_supervisor_leaves_behind_is_killed_by_its_owner(tmp_path):
    """The command dies with the supervisor; its children are found by their environment."""
    server, _ = stand_in(tmp_path, before="import time; os.fork() or (os.setsid(), time.sleep(600))")
    server.start()
    until(lambda: len(tree(server)) == 3)
    supervised, *others = tree(server)
    os.kill(supervised, signal.SIGKILL)
    until(lambda: not server.alive)
    server.revive()
    until(lambda: not any(map(running, others)))
    server.stop()
    assert gone(server)


def test_a_failed_start_says_why_and_keeps_its_log(tmp_path):
    server, _ = stand_in(tmp_path, before="sys.exit('api_server.py: error: unrecognized arguments: --x')")
    with pytest.raises(ModelError, match=r"did not start on some/model: vLLM does not know --x\.") as failure:
        server.start()
    log = Path(str(failure.value).rpartition("Its log: ")[2])
    assert log.read_text() == "api_server.py: error: unrecognized arguments: --x\n"
    log.unlink()
    assert gone(server)


def test_a_server_that_is_never_ready_is_given_up(tmp_path):
    server, _ = stand_in(tmp_path, before="import time; time.sleep(60)", startup_seconds=0.3)
    with pytest.raises(ModelError, match="was not ready after 0 s") as failure:
        server.start()
    Path(str(failure.value).rpartition("Its log: ")[2]).unlink()
    assert gone(server)


def test_a_start_is_interrupted_by_stop(tmp_path):
    server, started = stand_in(tmp_path, before="import time; time.sleep(60)")
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(server.start)
        until(started.exists)
        server.stop()
        with pytest.raises(RunError, match="stopped while it started"):
            starting.result(10)
    assert gone(server)


def test_a_refused_reload_leaves_no_server_with_unknown_weights(tmp_path):
    server, _ = stand_in(tmp_path, reload=True)
    server.start()
    with pytest.raises(RunError, match=r"refused /collective_rpc \(500\): no"):
        server.reload(str(tmp_path))
    assert gone(server)
    assert server.checkpoint == "some/model"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Two small random checkpoints with the smallest head size that vLLM's CPU attention takes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from checkpoints import tokenizer

    sizes = LlamaConfig(
        vocab_size=len(tokenizer()), hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=256, tie_word_embeddings=False, initializer_range=0.2,
    )  # fmt: skip
    made = []
    with torch.random.fork_rng():
        for seed in (0, 1):
            torch.manual_seed(seed)
            path = tmp_path_factory.mktemp("weights") / str(seed)
            LlamaForCausalLM(sizes).save_pretrained(path)
            tokenizer().save_pretrained(path)
            made.append(str(path))
    return made


def real(checkpoint, **settings):
    return Server(Launch(find_python(), cpu=True, max_num_seqs=8, **{"cache_gib": 0.25, **settings}), checkpoint)


def scores(server):
    """The log-probabilities of a few given ids."""
    body = {"model": server.model, "prompt": [5, 6, 7, 8], "max_tokens": 1, "prompt_logprobs": 0, "temperature": 0}
    status, text = server._ask("POST", "/v1/completions", body, 60)
    assert status == 200, text
    rows = json.loads(text)["choices"][0]["prompt_logprobs"]
    return [next(iter(row.values()))["logprob"] for row in rows[1:]]


@pytest.mark.engine
def test_vllm_starts_reloads_comes_back_on_the_new_weights_and_leaves_nothing(weights):
    server = real(weights[0], reload=True)
    try:
        server.start()
        before = scores(server)
        server.reload(weights[1])
        after = scores(server)
        assert max(abs(a - b) for a, b in zip(before, after, strict=True)) > 0.1
        for process in tree(server):
            os.kill(process, signal.SIGKILL)
        server.revive()
        assert scores(server) == pytest.approx(after, abs=1e-4)
        processes = tree(server)
        assert len(processes) >= 3
    finally:
        begun = time.monotonic()
        server.stop()
    assert time.monotonic() - begun < 10
    assert gone(server)
    assert not any(map(running, processes))


@pytest.mark.engine
def test_no_vllm_process_survives_the_sigkill_of_its_parent(weights, tmp_path):
    file = tmp_path / "processes"
    code = f"""if True:
        import os, time
        from pathlib import Path
        from rationem.engines.vllm.flags import Launch
        from rationem.engines.vllm.server import Server
        from rationem.engines.supervisor import descendants
        server = Server(Launch({find_python()!r}, cpu=True, cache_gib=0.25), {weights[0]!r})
        server.start()
        Path({str(file)!r} + ".part").write_text(f"{{server.socket}} {{descendants(os.getpid())}}")
        os.rename({str(file)!r} + ".part", {str(file)!r})
        time.sleep(600)
    """
    parent = subprocess.Popen([sys.executable, "-c", code])
    until(lambda: file.exists() or parent.poll() is not None, 300)
    socket, _, processes = file.read_text().partition(" ")
    assert len(json.loads(processes)) >= 4  # supervisor, server, engine, and Python's tracker of resources
    parent.kill()
    parent.wait()
    until(lambda: not any(map(running, json.loads(processes))), 15)
    until(lambda: not Path(socket).parent.exists(), 5)


@pytest.mark.engine
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"extra": ("--no-such-flag",)}, r"vLLM does not know --no-such-flag\."),
        ({"cache_gib": 100_000.0}, r"no memory: a KV cache of 100000\.0 GiB was asked for"),
    ],
)
def test_vllm_says_why_it_does_not_start(weights, settings, reason):
    server = real(weights[0], **settings)
    with pytest.raises(ModelError, match=reason) as failure:
        server.start()
    Path(str(failure.value).rpartition("Its log: ")[2]).unlink()
    assert gone(server)
