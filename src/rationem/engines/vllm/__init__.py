"""vLLM, in a separate process and environment: installation, start, supervision, failure messages and end."""
