"""vLLM, in a process and an environment of its own: how it is installed, started, watched, explained and ended."""
