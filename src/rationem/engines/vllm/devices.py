"""Which GPUs each of several servers has: consecutive ones, no two servers the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rationem.errors import ConfigError

_PARALLEL = {"--tensor-parallel-size", "-tp", "--pipeline-parallel-size", "-pp"}


def gpus_per_server(extra: Sequence[str]) -> int:
    """Return how many GPUs vLLM's own flags ask for: tensor-parallel size times pipeline-parallel size.

    Raises:
        ConfigError: a size is no positive number.
    """
    sizes = {}
    for n, word in enumerate(extra):
        flag, equals, value = word.replace("_", "-").partition("=")
        if flag in _PARALLEL:
            value = value if equals else next(iter(extra[n + 1 : n + 2]), "")
            if not (value.isascii() and value.isdigit() and int(value)):
                raise ConfigError(f"The vLLM flag {flag} {value!r}: give a number of GPUs, at least 1.")
            sizes["tensor" if flag.startswith(("--t", "-t")) else "pipeline"] = int(value)
    return sizes.get("tensor", 1) * sizes.get("pipeline", 1)


def visible_gpus(environment: Mapping[str, str], count: int) -> tuple[str, ...]:
    """Return the GPUs that servers may use, as CUDA_VISIBLE_DEVICES names them: numbers, or UUIDs.

    Args:
        environment: whose CUDA_VISIBLE_DEVICES is obeyed; as CUDA does, all behind an entry of -1 are left out.
        count: GPUs of the machine, where nothing is set.
    """
    told = environment.get("CUDA_VISIBLE_DEVICES")
    if told is None:
        return tuple(map(str, range(count)))
    names = [name.strip() for name in told.split(",")]
    end = next((n for n, name in enumerate(names) if name in {"", "-1"}), len(names))
    return tuple(names[:end])


def shares(visible: Sequence[str], servers: int, each: int) -> tuple[str, ...]:
    """Return CUDA_VISIBLE_DEVICES of every server: ``each`` consecutive GPUs; what is left over stays idle.

    Raises:
        ConfigError: there are too few; says how many are seen and needed.
    """
    if len(visible) < servers * each:
        raise ConfigError(
            f"--servers {servers} needs {servers * each} GPUs, {each} for each server, and {len(visible)} are seen "
            f"(CUDA_VISIBLE_DEVICES: {','.join(visible) or 'none'}). Ask for fewer servers, or fewer GPUs for each "
            "(--vllm-args='--tensor-parallel-size N')."
        )
    return tuple(",".join(visible[n * each : (n + 1) * each]) for n in range(servers))
