"""Evaluation of a model: its predictions on held-out items (``evaluate``), and ``diagnostics`` of the sampler."""
