"""The launch settings of a vLLM server, and the flags that are reserved for rationem."""

from __future__ import annotations

from dataclasses import dataclass

from rationem.errors import ConfigError

_SOCKET = "the server listens on a private socket that only rationem knows"
_SAMPLING = "every request says how it is sampled, so that nothing else can change what is drawn"
_SETTING = "rationem sets it and relies on it"
_CODE = "code that comes with a model is never run"
#: Flags reserved for rationem, and why.
_OWN = {
    "model": "each iteration serves its own checkpoint",
    "served-model-name": "rationem asks for its own name",
    "uds": _SOCKET,
    "host": _SOCKET,
    "port": _SOCKET,
    "api-key": _SOCKET,
    "root-path": _SOCKET,
    "ssl-keyfile": _SOCKET,
    "ssl-certfile": _SOCKET,
    "ssl-ca-certs": _SOCKET,
    "headless": _SOCKET,
    "config": "a file could hold flags that rationem sets itself; give them one by one",
    "seed": "every request has its own seed",
    "generation-config": _SAMPLING,
    "override-generation-config": _SAMPLING,
    "logits-processors": _SAMPLING,
    "logprobs-mode": "log-probabilities must be those of the distribution that was drawn from",
    "max-model-len": _SETTING,
    "max-num-seqs": _SETTING,
    "trust-remote-code": _CODE,
    "hf-token": "a command line can be read by everyone on the machine; set HF_TOKEN",
}


@dataclass(frozen=True, slots=True)
class Launch:
    """The launch settings of a server: everything except the checkpoint.

    Args:
        python: the interpreter that has vLLM.
        cpu: whether it is the CPU build: 32-bit floats, eager, no chunked prefill (a seeded request would end the
            server).
        max_model_len: tokens of prompt and completion together; the model's own limit by default.
        max_num_seqs: sequences generated together.
        memory_share: share of the GPU's memory, in (0, 1].
        cache_gib: KV cache on a CPU, in GiB.
        extra: further vLLM flags.
        startup_seconds: a server that is not ready after this time has failed.
        reload: whether other weights can be loaded in place.
    """

    python: str
    cpu: bool
    max_model_len: int | None = None
    max_num_seqs: int = 256
    memory_share: float = 0.85
    cache_gib: float = 2.0
    extra: tuple[str, ...] = ()
    startup_seconds: float = 900.0
    reload: bool = False


def check_flags(launch: Launch) -> None:
    """Reject extra flags that would break rationem's assumptions.

    Raises:
        ConfigError: names the flag and the reason.
    """
    own = _OWN | ({"enable-chunked-prefill": "on a CPU, a seeded request then ends the server"} if launch.cpu else {})
    for flag in launch.extra:
        if not flag.startswith("--"):
            continue
        name = flag[2:].partition("=")[0].partition(".")[0].replace("_", "-").removeprefix("no-")
        for known, reason in own.items():
            if known.startswith(name):  # vLLM accepts any prefix of a flag's name
                raise ConfigError(f"The vLLM flag {flag} cannot be given: {reason}.")
