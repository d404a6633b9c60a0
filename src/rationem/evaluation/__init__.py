"""What a model is worth: its predictions on held-out items (``evaluate``), and ``diagnostics`` of the sampler."""
