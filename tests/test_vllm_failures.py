"""A log of vLLM in, one useful sentence out. The lines are real ones of 0.32.0 with paths shortened, but where said."""

# ruff: noqa: E501 - log lines are as long as they are

import pytest

from rationem.engines.vllm.failures import explain

#: What stands around every failure, and must not be taken for its reason.
NOISE = """Triton is installed, but doesn't include CPU backend. Disabling Triton.
/env/vllm/entrypoints/openai/api_server.py:24: DeprecationWarning: `vllm.entrypoints.openai.api_server` is deprecated
  warnings.warn(
(APIServer pid=4001) INFO 11-25 01:26:15 [api_utils.py:286] non-default args: {'uds': '/private/socket', 'model': '/ck'}
(APIServer pid=4001) WARNING 11-25 01:26:15 [system_utils.py:255] Found ulimit of 20000 and failed to automatically \
increase with error current limit exceeds maximum limit. This can cause fd limit errors like `OSError: [Errno 24] Too \
many open files`. Consider increasing with ulimit -n
(Worker pid=9286) INFO 11-25 01:30:01 [weight_utils.py:1108] Checkpoint size: 0.00 GiB. Available RAM: 19.64 GiB.
Loading safetensors checkpoint shards: 100% Completed | 1/1 [00:00<00:00, 149.38it/s]

"""
WRAPPED = """Traceback (most recent call last):
  File "/env/vllm/v1/engine/utils.py", line 1431, in wait_for_engine_startup
    raise RuntimeError(
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
/python/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 1 leaked \
shared_memory objects to clean up at shutdown
  warnings.warn('resource_tracker: There appear to be %d '
"""
KV = """(Worker pid=9286) ERROR 11-25 01:30:02 [multiproc_executor.py:1063] ValueError: Available memory on node 0 \
(7.23/10.84 GiB) on kv cache allocation is less than requested memory for kv (500.0 GiB). Decrease \
--kv-cache-memory-bytes, VLLM_CPU_KVCACHE_SPACE, or reduce CPU memory used by other processes.
(EngineCore pid=9014) ERROR 11-25 01:30:02 [core.py:1510] RuntimeError: Worker failed with error 'Available memory on \
node 0 (7.23/10.84 GiB) on kv cache allocation is less than requested memory for kv (500.0 GiB). Decrease \
--kv-cache-memory-bytes, VLLM_CPU_KVCACHE_SPACE, or reduce CPU memory used by other processes.', please check the stack \
trace above for the root cause
"""
REAL = {
    "KV cache larger than the memory": (
        KV,
        "no memory: a KV cache of 500.0 GiB was asked for, and 7.23 GiB are free. Free some, or ask for less: "
        "--vllm-args='--kv-cache-memory-bytes 1000000000'.",
    ),
    "unknown flag": (
        "                     [model_tag]\napi_server.py: error: unrecognized arguments: --no-such-flag\n",
        "vLLM does not know --no-such-flag. Correct or leave out that flag; its --help=all lists those of this version.",
    ),
    "bad value of a flag": (
        "api_server.py: error: argument --max-num-seqs: invalid int value: 'many'\n",
        "vLLM refuses a flag: argument --max-num-seqs: invalid int value: 'many'. Correct it; its --help=all lists the "
        "values.",
    ),
    "context longer than the model holds": (
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
        "  Value error, User-specified max_model_len (9000) is greater than the derived max_model_len "
        "(max_position_embeddings=256.0 or model_max_length=None in model's config.json). To allow overriding this "
        "maximum, set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1. [type=value_error, input_value=ArgsKwargs(()]\n",
        "a context of 9000 tokens was asked for, and the model holds 256. Lower --max-prompt-tokens or "
        "--max-new-tokens.",
    ),
    "prompts are not split": (
        "  Value error, max_num_batched_tokens (100) is smaller than max_model_len (256). This effectively limits the "
        "maximum sequence length\n",
        "a step of 100 tokens cannot hold a prompt of 256, and prompts are not split here. Leave "
        "--max-num-batched-tokens out, or lower --max-prompt-tokens.",
    ),
    "address taken": (
        "    sock.bind(path)\nOSError: [Errno 98] Address already in use\n",
        "its address is taken by another process. Try again; end the other server if it comes back.",
    ),
    "no such directory": (
        "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': "
        "'/no/such'. Use `repo_type` argument if needed.\n",
        "/no/such is no model: there is no such directory, or no config.json in it. Correct the path.",
    ),
    "not in the cache": (
        "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder for the "
        "specified revision on the local disk and outgoing traffic has been disabled.\n",
        "the model is not in the local cache and could not be fetched. Download it first, or allow the network "
        "(HF_HUB_OFFLINE).",
    ),
    "weights cut short": (
        "(Worker pid=22596) ERROR 11-25 01:39:49 [multiproc_executor.py:953] safetensors._safetensors_rust."
        "SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered\n",
        "the weights cannot be read: a file is damaged or cut short. Write or download the checkpoint again.",
    ),
    "weights of another shape": (
        "(Worker pid=15981) ERROR 11-25 01:34:52 [multiproc_executor.py:953] ValueError: There is no module or parameter "
        "named 'embed_tokens' in TransformersForCausalLM. The available parameters belonging to  are: {'lm_head.weight'}\n",
        "the checkpoint's weights do not fit its config.json: the model has no embed_tokens. Write the checkpoint again.",
    ),
    "no memory on the CPU": (
        "(Worker pid=19711) ERROR 11-25 01:37:59 [multiproc_executor.py:953] RuntimeError: [enforce fail at "
        "alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 102400000000 "
        "bytes. Error code 12 (Cannot allocate memory)\n",
        "the memory is exhausted. Free some, choose a smaller model, or lower --concurrency or --max-prompt-tokens.",
    ),
    "unknown model type": (
        "  Value error, The checkpoint you are trying to load has model type `nosuch` but Transformers does not recognize "
        "this architecture.\n",
        "the transformers beside vLLM does not know the model type nosuch. Use --engine transformers for this model.",
    ),
    "no vllm": (
        "/bin/python: Error while finding module specification for 'vllm.entrypoints.openai.api_server' "
        "(ModuleNotFoundError: No module named 'vllm')\n",
        "the interpreter has no vLLM. Run rationem engine install, or name another one (--vllm-python).",
    ),
    "torchvision of another torch": (
        "RuntimeError: operator torchvision::nms does not exist\n",
        "the torchvision beside vLLM was built for another torch. Remove it there (pip uninstall torchvision torchaudio "
        "torchcodec), or let rationem engine install make an environment of its own.",
    ),
}
#: Not provoked here, for want of a GPU or of such a model: the texts are copied from vLLM's and torch's sources.
FROM_SOURCES = {
    "GPU memory held by others": (
        "ValueError: Free memory on device cuda:0 (3.2/79.1 GiB) on startup is less than desired GPU memory utilization "
        "(0.85, 67.2 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.\n",
        "no GPU memory: 3.2 of 79.1 GiB are free, and a share of 0.85 asks for 67.2 GiB. End what else holds that GPU, "
        "or lower the share: --vllm-args='--gpu-memory-utilization 0.5'.",
    ),
    "CUDA out of memory": (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n",
        "the GPU's memory is exhausted. Free some, choose a smaller model, or lower --concurrency or --max-prompt-tokens.",
    ),
    "cache smaller than one sequence": (
        "ValueError: To serve at least one request with the model's max seq len (32768), (3.5 GiB KV cache is needed, "
        "which is larger than the available KV cache memory (2.0 GiB). Based on the available memory, the estimated "
        "maximum model length is 18720. Try increasing `gpu_memory_utilization`\n",
        "no memory: one sequence of 32768 tokens needs a KV cache of 3.5 GiB, and 2.0 GiB are there. Lower "
        "--max-prompt-tokens, or give the cache more: --vllm-args='--kv-cache-memory-bytes 4000000000'.",
    ),
    "architecture": (
        "  Value error, Model architectures ['NoSuchForCausalLM'] are not supported for now. Supported architectures: "
        "dict_keys(['ArceeForCausalLM'])\n",
        "this vLLM does not run the architecture ['NoSuchForCausalLM']. Use --engine transformers for this model.",
    ),
    "head size": (
        "(EngineCore pid=9) ERROR 11-25 01:30:02 [core.py:1510] RuntimeError: Unsupported CPU attention configuration: head_dim=16\n",
        "vLLM's attention cannot run this model's head size 16. Use --engine transformers for this model.",
    ),
    "no GPU": (
        "RuntimeError: Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG`\n",
        "vLLM finds no GPU, and this is not its CPU build. Check nvidia-smi, or run rationem engine install for the CPU "
        "build.",
    ),
}


@pytest.mark.parametrize("case", [*REAL, *FROM_SOURCES])
def test_a_known_failure_has_its_sentence(case):
    log, sentence = (REAL | FROM_SOURCES)[case]
    assert explain(NOISE + log + WRAPPED, 1) == sentence
    assert explain(log, None) == sentence


def test_noise_and_wrappers_explain_nothing():
    assert explain("", 3) == "it wrote nothing that explains it (exit status 3)."
    assert "Too many open files" not in explain(NOISE, 1)
    assert explain(NOISE + WRAPPED, 1) == (
        "it says: RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {} "
        "(exit status 1)"
    )


def test_an_unknown_failure_gives_the_last_root_exception():
    cause = (
        "(EngineCore pid=9) ERROR 11-25 01:30:02 [core.py:1510] some.library.OddError: the moon is in the wrong place\n"
    )
    assert explain(f"ValueError: first\n{NOISE}{cause}{WRAPPED}", 1) == (
        "it says: some.library.OddError: the moon is in the wrong place (exit status 1)"
    )


def test_an_unknown_setting_error_gives_what_is_wrong_and_not_all_that_was_given():
    log = """pydantic_core._pydantic_core.ValidationError: 1 validation error for VllmConfig
  Value error, invalid literal for int() with base 10: '1.5' [type=value_error, input_value=ArgsKwargs((), {'model': 1})]
    For further information visit https://errors.pydantic.dev/2.14/v/value_error
"""
    assert explain(NOISE + log, None) == (
        "it says: pydantic_core._pydantic_core.ValidationError: 1 validation error for VllmConfig Value error, invalid "
        "literal for int() with base 10: '1.5'"
    )


@pytest.mark.parametrize("code", [-9, 137])
def test_a_kill_means_memory_and_a_known_reason_goes_first(code):
    assert explain(NOISE, code).startswith("it was killed (signal 9), as the system does when memory is exhausted.")
    assert explain(NOISE + KV, code).startswith("no memory: a KV cache of 500.0 GiB")


def test_a_killed_engine_means_memory():
    log = WRAPPED.replace("proc(s): {}", "proc(s): {'EngineCore': -9}")
    assert explain(NOISE + log, 1).startswith("a process of the server was killed (signal 9)")


def test_an_engine_that_is_gone_without_a_word_is_not_explained_by_what_is_said_at_the_end():
    log = """(APIServer pid=26520) ERROR 11-25 01:52:05 [async_llm.py:906]     raise self._format_exception(outputs) from None
(APIServer pid=26520) ERROR 11-25 01:52:05 [async_llm.py:906] vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.
nanobind: leaked 514 functions!
 - leaked function "create_shl"
 - ... skipped remainder
nanobind: this is likely caused by a reference counting issue in the binding code.
See https://nanobind.readthedocs.io/en/latest/refleaks.html/python/multiprocessing/resource_tracker.py:254: UserWarning
"""
    assert explain(NOISE + log, 0).startswith(
        "its engine ended without a word, as when the system kills it for memory."
    )


def test_a_processor_without_an_instruction_is_named():
    assert "signal 4" in explain("", -4)
    assert "signal 11" in explain("", 139)
