"""The raw vLLM that ``benchmarks/engines.py`` compares with: ``vllm.LLM.generate`` and nothing else.

Runs under vLLM's own Python, imports nothing of ours, and lives until standard input ends. Lines of JSON come in: first
the arguments of ``vllm.LLM``, then jobs {"prompts": [[ids]], "sampling": {...}, "seeds": [...]}. A line goes out for
each: {"seconds": ..., "lengths": [...]}.
"""

import json
import os
import sys
import time
from typing import Any


def generate(llm: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Generate all prompts together; return the seconds that took and the length of every completion."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    prompts = [{"prompt_token_ids": ids} for ids in job["prompts"]]
    started = time.perf_counter()
    sampling = [
        SamplingParams(seed=seed, output_kind=RequestOutputKind.FINAL_ONLY, **job["sampling"]) for seed in job["seeds"]
    ]
    answers = llm.generate(prompts, sampling, use_tqdm=False)
    taken = time.perf_counter() - started
    return {"seconds": taken, "lengths": [len(answer.outputs[0].token_ids) for answer in answers]}


def main() -> None:
    """Answer on what was standard output; whatever vLLM prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    arguments = json.loads(sys.stdin.readline())
    from vllm import LLM

    started = time.perf_counter()
    llm = LLM(**arguments)
    print(json.dumps({"seconds": time.perf_counter() - started, "lengths": []}), file=answers)
    for line in sys.stdin:
        print(json.dumps(generate(llm, json.loads(line))), file=answers)


if __name__ == "__main__":
    main()
