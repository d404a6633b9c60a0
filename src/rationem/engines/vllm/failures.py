"""Explains in one sentence, from its log, why a vLLM server did not start or ended, and what to do."""

from __future__ import annotations

import re
import signal

#: Prefix of a log line: the process, then a level, a date, a time and a place, as in
#: ``(EngineCore pid=5) ERROR 11-25 01:30:02 [core.py:1510] ``.
_PREFIX = re.compile(r"^(?:\(\w[^)]* pid=\d+\) )?(?:ERROR \d\d-\d\d \d\d:\d\d:\d\d \[[^]]+\] ?)?")
#: Lines that do not report a failure, although some quote one.
_CALM = re.compile(
    r"\b(?:DEBUG|INFO|WARNING) \d\d-\d\d |\bINFO: |Warning: |Completed \||nanobind:|^See https://nanobind|^ - "
)
#: Errors that only report another process's error.
_WRAPPER = re.compile(
    r"Engine core initialization failed|EngineDeadError|EngineCore encountered an issue|died unexpectedly|"
    r"WorkerProc initialization failed|Worker failed with error|CancelledError|KeyboardInterrupt|SystemExit"
)
_EXCEPTION = re.compile(r"^(?:[a-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|NotFound)\b(?::|$)")

#: Most characters of an unknown error to show.
_LONGEST = 400
_NO_MEMORY = "Free some, choose a smaller model, or lower --concurrency or --max-prompt-tokens."
#: The first pattern found anywhere in the log gives the reason: causes are listed before their consequences.
_KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"unrecognized arguments: (?P<flag>.+)",
        "vLLM does not know {flag}. Correct or leave out that flag; its --help=all lists those of this version.",
    ),
    (
        r"error: (?P<text>argument .+)",
        "vLLM refuses a flag: {text}. Correct it; its --help=all lists the values.",
    ),
    (
        r"No module named '?vllm\b",
        "the interpreter has no vLLM. Run rationem engine install, or name another one (--vllm-python).",
    ),
    (
        r"operator torchvision::nms does not exist",
        "the torchvision beside vLLM was built for another torch. Remove it there (pip uninstall torchvision "
        "torchaudio torchcodec), or let rationem engine install make an environment of its own.",
    ),
    (
        r"(?:ImportError: .*vllm.*undefined symbol|undefined symbol.*torch)",
        "vLLM was built for another torch than the one beside it. rationem engine install makes an environment in "
        "which they fit.",
    ),
    (
        r"Available memory on node \d+ \((?P<free>[\d.]+)/[\d.]+ GiB\).* memory for kv \((?P<asked>[\d.]+) GiB\)",
        "no memory: a KV cache of {asked} GiB was asked for, and {free} GiB are free. Free some, or ask for "
        "less: --vllm-args='--kv-cache-memory-bytes 1000000000'.",
    ),
    (
        r"Free memory on device \S+ \((?P<free>[\d.]+)/(?P<all>[\d.]+) GiB\).*utilization \((?P<share>[\d.]+), "
        r"(?P<asked>[\d.]+) GiB\)",
        "no GPU memory: {free} of {all} GiB are free, and a share of {share} asks for {asked} GiB. End what else "
        "holds that GPU, or lower the share: --vllm-args='--gpu-memory-utilization 0.5'.",
    ),
    (
        r"max seq len \((?P<length>\d+)\), \(?(?P<needed>[\d.]+) GiB KV cache is needed.*KV cache memory "
        r"\((?P<free>[\d.]+) GiB\)",
        "no memory: one sequence of {length} tokens needs a KV cache of {needed} GiB, and {free} GiB are there. Lower "
        "--max-prompt-tokens, or give the cache more: --vllm-args='--kv-cache-memory-bytes 4000000000'.",
    ),
    (
        r"No available memory for the cache blocks",
        "no memory: the weights leave none for the KV cache. Give the server a larger "
        "share (--vllm-args='--gpu-memory-utilization 0.95'), or take a smaller model.",
    ),
    (
        r"(?:CUDA out of memory|OutOfMemoryError|CUDA error: out of memory)",
        f"the GPU's memory is exhausted. {_NO_MEMORY}",
    ),
    (
        r"(?:MemoryError|can't allocate memory|Cannot allocate memory|DefaultCPUAllocator: not enough memory)",
        f"the memory is exhausted. {_NO_MEMORY}",
    ),
    (
        r"Failed core proc\(s\): \{[^}]*: -9\b",
        f"a process of the server was killed (signal 9), as the system does when memory is exhausted. {_NO_MEMORY}",
    ),
    (
        r"Address already in use",
        "its address is taken by another process. Try again; end the other server if it comes back.",
    ),
    (
        r"AF_UNIX path too long",
        "the path of its socket is too long. Set TMPDIR to a shorter path.",
    ),
    (
        r"User-specified max_model_len \((?P<asked>\d+)\) is greater than the derived max_model_len "
        r"\(\w+=(?P<held>\d+)",
        "a context of {asked} tokens was asked for, and the model holds {held}. Lower --max-prompt-tokens or "
        "--max-new-tokens.",
    ),
    (
        r"max_num_batched_tokens \((?P<batch>\d+)\) is smaller than max_model_len \((?P<length>\d+)\)",
        "a step of {batch} tokens cannot hold a prompt of {length}, and prompts are not split here. Leave "
        "--max-num-batched-tokens out, or lower --max-prompt-tokens.",
    ),
    (
        r"(?i)(?:head[_ ]size (?P<size>\d+) is not supported|head_size not supported|"
        r"Unsupported CPU attention configuration: head_dim=(?P<dim>\d+))",
        "vLLM's attention cannot run this model's head size{size}{dim}. Use --engine transformers for this model.",
    ),
    (
        r"Model architectures? (?P<name>\[[^]]*\]|\S+) (?:are not supported|was supported|is not supported|failed to)",
        "this vLLM does not run the architecture {name}. Use --engine transformers for this model.",
    ),
    (
        r"model type `(?P<name>[^`]+)` but Transformers does not recognize",
        "the transformers beside vLLM does not know the model type {name}. Use --engine transformers for this model.",
    ),
    (
        r"(?:Repo id must be in the form .*?: '(?P<path>[^']+)'|Invalid repository ID or local directory specified: "
        r"'(?P<local>[^']+)')",
        "{path}{local} is no model: there is no such directory, or no config.json in it. Correct the path.",
    ),
    (
        r"(?:LocalEntryNotFoundError|OfflineModeIsEnabled|Cannot find the requested files in the disk cache)",
        "the model is not in the local cache and could not be fetched. Download it first, or allow the network "
        "(HF_HUB_OFFLINE).",
    ),
    (
        r"(?:RepositoryNotFoundError|GatedRepoError|401 Client Error)",
        "the hub has no such model for you. Correct its name, or set HF_TOKEN where it is private or gated.",
    ),
    (
        r"(?:SafetensorError|Error while deserializing header)",
        "the weights cannot be read: a file is damaged or cut short. Write or download the checkpoint again.",
    ),
    (
        r"There is no module or parameter named '(?P<name>[^']+)'",
        "the checkpoint's weights do not fit its config.json: the model has no {name}. Write the checkpoint again.",
    ),
    (
        r"Bfloat16 is only supported on GPUs",
        "this GPU has no bfloat16. Add the flag --dtype half.",
    ),
    (
        r"(?:Failed to infer device type|No CUDA GPUs are available|Found no NVIDIA driver)",
        "vLLM finds no GPU, and this is not its CPU build. Check nvidia-smi, or run rationem engine install for the "
        "CPU build.",
    ),
    (r"No space left on device", "the disk is full. Free some space, also in the temporary directory."),
    (r"Too many open files", "too many files are open. Raise the limit (ulimit -n)."),
)
_GONE = f"its engine ended without a word, as when the system kills it for memory. {_NO_MEMORY}"
_SIGNALS: dict[int, str] = {
    signal.SIGKILL: f"it was killed (signal 9), as the system does when memory is exhausted. {_NO_MEMORY}",
    signal.SIGILL: "this processor lacks an instruction that the build uses (signal 4). Use --engine transformers.",
    signal.SIGSEGV: "it crashed (signal 11); the log has the place.",
    signal.SIGABRT: "it crashed (signal 6); the log has the place.",
}


def explain(log: str, returncode: int | None) -> str:
    """Return one sentence on why the server failed, and what to do.

    Args:
        log: its log, complete or only the end.
        returncode: its exit status; -N and 128+N both mean signal N; None if it had not ended.
    """
    lines = [_PREFIX.sub("", line).rstrip() for line in log.splitlines() if not _CALM.search(line)]
    return _known("\n".join(lines)) or _signal(returncode) or _last(lines, returncode)


def _known(text: str) -> str:
    for pattern, sentence in _KNOWN:
        if found := re.search(pattern, text):
            return sentence.format(**{name: _shown(name, value) for name, value in found.groupdict().items()})
    return ""


def _shown(name: str, value: str | None) -> str:
    if value is None:
        return ""
    return f" {value}" if name in {"size", "dim"} else value.strip()


def _signal(returncode: int | None) -> str:
    if returncode is None:
        return ""
    return _SIGNALS.get(-returncode if returncode < 0 else returncode - 128, "")


def _last(lines: list[str], returncode: int | None) -> str:
    """Return the last exception that does not report another one; without any, the last line."""
    status = "" if returncode is None else f" (exit status {returncode})"
    errors = [n for n, line in enumerate(lines) if _EXCEPTION.match(line) and not _WRAPPER.search(line)]
    said = [n for n, line in enumerate(lines) if line.strip() and not line.startswith(" ")]
    if not said:
        return f"it wrote nothing that explains it{status}."
    if not errors and any("EngineDeadError" in line for line in lines):
        return _GONE
    found = (errors or said)[-1]
    # pydantic names the class on the first line and the fault on the second, before its whole input.
    more = lines[found + 1 : found + 2] if "validation error" in lines[found] else []
    text = " ".join(line.strip() for line in [lines[found], *more]).partition(" [type=")[0]
    return f"it says: {text[:_LONGEST]}{status}"
