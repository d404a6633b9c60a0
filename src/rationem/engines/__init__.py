"""Engines generate completions and score them. Each is one class that implements ``rationem.types.Engine``."""
