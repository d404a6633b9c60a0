"""Evaluation: predictions on held-out items (``evaluate``), ``diagnostics`` of the sampler, ``iteration`` summaries."""
