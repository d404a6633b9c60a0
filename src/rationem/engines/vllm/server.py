"""One vLLM server in a separate process: started on a checkpoint, supervised, restarted, ended with its descendants."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from rationem import progress
from rationem.engines.supervisor import end, supervised
from rationem.engines.vllm.environment import without_secrets
from rationem.engines.vllm.failures import explain
from rationem.engines.vllm.flags import Launch, check_flags
from rationem.errors import ModelError, RunError

#: The name under which every server serves its model.
MODEL = "rationem"
#: Most restarts of a server.
RESTARTS = 3
#: Seconds: between two checks of a starting server, for the answer to a check, and for the answer of a busy server.
_EVERY, _LOOK, _PATIENCE = 0.1, 5.0, 60.0
#: Most attempts to reset the prompt cache of a reloaded server.
_TRIES = 50
#: Up to this many cores one process for engine and worker is as fast as two (measured on 2).
_FEW = 4
#: Longest portable path of a Unix socket, and the length that vLLM's own sockets add to the directory's.
_LONGEST, _NAME = 103, 37
#: Most verdict lines at which a completion may stop, one per level of a scale. vLLM's own limit is 4.
_STOPS = 1000
#: Bytes at the end of a log that are searched for the reason of a failure.
_TAIL = 1 << 20

#: Environment variables that would change the server unnoticed, or that belong to another Python.
_DROPPED = (
    "VLLM_API_KEY",
    "VLLM_CPU_KVCACHE_SPACE",
    "VLLM_KEEP_ALIVE_ON_ENGINE_DEATH",
    "VLLM_SERVER_DEV_MODE",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPATH",
)


class Server:
    """One vLLM server on one checkpoint directory or hub id, on a Unix socket in a private directory (mode 0700).

    It ends with all its descendants when it is stopped and when this process ends in any way. It listens on ``socket``
    and serves under the name ``model``. ``checkpoint`` is the checkpoint it serves, ``seconds`` the duration of the
    last start, ``restarts`` the number of restarts.

    Args:
        launch: its launch settings.
        checkpoint: a directory or a hub id.

    Raises:
        ConfigError: an extra flag is reserved for rationem.
    """

    def __init__(self, launch: Launch, checkpoint: str) -> None:
        check_flags(launch)
        self.launch = launch
        self.checkpoint = _absolute(checkpoint)
        self.model = MODEL
        self.seconds = 0.0
        self._directory = _private()
        self.socket = self._directory / "socket"
        self._process: subprocess.Popen[bytes] | None = None
        self._log: int | None = None
        self.restarts = 0
        self._lock = threading.RLock()
        self._stopped = threading.Event()

    @property
    def alive(self) -> bool:
        """Whether its processes run."""
        process = self._process
        return process is not None and process.poll() is None

    def ended(self) -> str | None:
        """Return why its processes ended, and the path of their log; None while they run."""
        with self._lock:
            if self.alive or self._process is None:
                return None
            return f"{self._reason()} Its log: {self._keep_log()}"

    def start(self) -> None:
        """Start, and wait until it answers; ``seconds`` is then the duration.

        Raises:
            ModelError: it fails or is not ready in time; names the reason and the log.
            RunError: it is stopped while it starts.
        """
        with self._lock:
            self._stopped.clear()
            self._start()

    def revive(self) -> None:
        """Restart it if it no longer answers; do nothing if it answers or is busy. Thread-safe.

        Raises:
            RunError: it ended too often, or was stopped.
            ModelError: it does not start again.
        """
        with self._lock:
            if self._stopped.is_set():
                raise RunError("The vLLM server was stopped.")
            if self.alive and self._answers(_PATIENCE, busy=True):
                return
            reason = self._end()
            if self.restarts >= RESTARTS:
                raise RunError(f"The vLLM server ended {RESTARTS + 1} times on {self.checkpoint}; last: {reason}")
            self.restarts += 1
            progress.say(f"vLLM ended and is restarted ({self.restarts} of {RESTARTS}): {reason}")
            self._start()

    def reload(self, checkpoint: str) -> None:
        """Load other weights of the same model in place, and reset the prompt cache; restarts use them too.

        This does not verify the new weights: compare log-probabilities.

        Args:
            checkpoint: a directory.

        Raises:
            RunError: the server refuses. Its weights are then unknown, so it is ended.
        """
        checkpoint = _absolute(checkpoint)
        with self._lock:
            try:
                self._post("/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": checkpoint}})
                self._forget_prompts()
            except RunError:
                self._end()
                raise
            self.checkpoint = checkpoint

    def stop(self) -> None:
        """End all its processes and remove its directory, even while another thread starts it."""
        self._stopped.set()
        with self._lock:
            self._stopped.set()
            self._end()

    def _start(self) -> None:
        self._end()
        begun = time.monotonic()
        try:
            self._spawn()
            self._await(begun + self.launch.startup_seconds)
        except BaseException:  # an interrupt must not leave a server running either; re-raised
            self._end()
            raise
        self.seconds = time.monotonic() - begun

    def _spawn(self) -> None:
        try:
            self._directory.mkdir(mode=0o700)
        except FileExistsError as error:
            raise RunError(f"{self._directory} is in the way of the server's socket. Remove it.") from error
        # The server appends; this process reads by position, even after the supervisor removed the directory.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL
        self._log = os.open(self._directory / "server.log", flags, 0o600)
        self._process = subprocess.Popen(
            supervised(self._command(), remove=self._directory),
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env=self._environment(),
            start_new_session=True,  # this process handles an interrupt at the terminal
        )

    def _command(self) -> list[str]:
        launch = self.launch
        words = [launch.python, "-m", "vllm.entrypoints.openai.api_server", "--model", self.checkpoint]
        words += ["--served-model-name", MODEL, "--uds", str(self.socket), "--seed", "0"]
        words += ["--generation-config", "vllm", "--logprobs-mode", "processed_logprobs"]
        words += ["--max-num-seqs", str(launch.max_num_seqs), "--disable-uvicorn-access-log", "--disable-log-stats"]
        # Common beginnings are read once: demonstrations, or a rationale before several levels.
        words.append("--enable-prefix-caching")
        if launch.max_model_len is not None:
            words += ["--max-model-len", str(launch.max_model_len)]
        if launch.cpu:
            words += ["--dtype", "float32", "--enforce-eager", "--block-size", "32", "--no-enable-chunked-prefill"]
            words += ["--kv-cache-memory-bytes", str(round(launch.cache_gib * 2**30))]
        else:
            words += ["--gpu-memory-utilization", str(launch.memory_share)]
        if self._small():
            words += ["--distributed-executor-backend", "uni"]
        return [*words, *launch.extra]  # of two flags that contradict each other, vLLM takes the later: the user's

    def _small(self) -> bool:
        """Whether the worker shares the engine's process, which starts in a third less time.

        On a machine with many cores vLLM's thread placement is worth more, and it needs a separate process.
        """
        return self.launch.cpu and _cores() <= _FEW

    def _environment(self) -> dict[str, str]:
        made = {name: value for name, value in without_secrets(os.environ).items() if name not in _DROPPED}
        made |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "NO_COLOR": "1", "PYTHONSAFEPATH": "1"}
        # Temporary files are removed with the directory: vLLM leaves sockets and files behind when it is killed.
        made |= {"TMPDIR": str(self._directory), "VLLM_RPC_BASE_PATH": str(self._directory)}
        made |= {"VLLM_MAX_STOP_STRINGS": str(_STOPS)}
        if self.launch.cpu:
            # Log-probabilities would compile one function at the first request: 11 to 17 s, without a gain.
            made["TORCHDYNAMO_DISABLE"] = "1"
        if self._small():
            made["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
            made.setdefault("OMP_NUM_THREADS", str(max(1, _cores() - 1)))  # as many as vLLM's own placing would give
        if self.launch.reload:
            made |= {"VLLM_SERVER_DEV_MODE": "1"}
        if Path(self.checkpoint).is_dir():
            # Nothing may be downloaded, and the token in the user's cache must not be sent.
            made |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
        elif token := os.environ.get("HF_TOKEN"):
            made["HF_TOKEN"] = token  # the user named a hub id, which may be private
        return made

    def _await(self, deadline: float) -> None:
        while not self._answers(_LOOK, busy=False):
            if self._stopped.is_set():
                raise RunError("The vLLM server was stopped while it started.")
            if not self.alive:
                self._fail("did not start")
            if time.monotonic() > deadline:
                self._fail(f"was not ready after {self.launch.startup_seconds:.0f} s")
            time.sleep(_EVERY)

    def _fail(self, what: str) -> None:
        kept = self._keep_log()
        raise ModelError(f"vLLM {what} on {self.checkpoint}: {self._reason()} Its log: {kept}")

    def _reason(self) -> str:
        code = self._process.poll() if self._process is not None else None
        return explain(self._tail(), code)

    def _end(self) -> str:
        """End all processes and remove the directory; return why the server had ended, according to its log."""
        process, log = self._process, self._log
        if process is not None:
            end(process)
        if process is not None and process.returncode < 0:
            _kill_strays(self._directory)
        reason = self._reason() if process is not None else "it was not started."
        self._process = self._log = None
        if log is not None:
            os.close(log)
        shutil.rmtree(self._directory, ignore_errors=True)
        return reason

    def _tail(self) -> str:
        if self._log is None:
            return ""
        size = os.fstat(self._log).st_size
        return os.pread(self._log, _TAIL, max(0, size - _TAIL)).decode("utf-8", "replace")

    def _keep_log(self) -> Path:
        descriptor, name = tempfile.mkstemp(prefix="rationem-vllm-", suffix=".log")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(self._tail())
        return Path(name)

    def _answers(self, seconds: float, *, busy: bool) -> bool:
        """Return whether the server is healthy; ``busy`` if it does not answer in time."""
        try:
            return self._ask("GET", "/health", None, seconds)[0] == http.client.OK
        except TimeoutError:
            return busy
        except (OSError, http.client.HTTPException):
            return False

    def _post(self, path: str, body: dict[str, Any] | None) -> str:
        try:
            status, text = self._ask("POST", path, body, self.launch.startup_seconds)
        except (OSError, http.client.HTTPException) as error:
            raise RunError(f"The vLLM server did not answer {path}: {error or type(error).__name__}.") from error
        if status != http.client.OK:
            raise RunError(f"The vLLM server refused {path} ({status}): {text[:500]}")
        return text

    def _forget_prompts(self) -> None:
        """Reset the prompt cache; the server refuses, with status 200, while a request still uses part of it."""
        for _ in range(_TRIES):
            if json.loads(self._post("/reset_prefix_cache", None) or "{}").get("success", True):
                return
            time.sleep(_EVERY)
        raise RunError("The vLLM server does not reset its cache of prompts read with the previous weights.")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None, seconds: float) -> tuple[int, str]:
        with contextlib.closing(_Connection(self.socket, seconds)) as connection:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _kill_strays(directory: Path) -> None:
    """Kill processes that a killed supervisor left behind: those with its server's directory in their environment."""
    mark = b"VLLM_RPC_BASE_PATH=" + os.fsencode(directory)
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # ended after it was listed, or another user's
            if mark in entry.read_bytes().split(b"\0"):
                os.kill(int(entry.parent.name), signal.SIGKILL)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _absolute(checkpoint: str) -> str:
    return str(Path(checkpoint).resolve()) if Path(checkpoint).is_dir() else checkpoint


def _private() -> Path:
    """Return the path of a new directory, short enough for the sockets in it."""
    name = f"rationem-{secrets.token_hex(4)}"
    places = [Path(base) / name for base in (tempfile.gettempdir(), "/tmp")]
    return next((place for place in places if len(os.fsencode(place)) + _NAME <= _LONGEST), places[-1])
