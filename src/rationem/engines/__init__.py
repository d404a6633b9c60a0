"""Engines: what generates and scores. Each is one class that fulfils ``rationem.types.Engine``."""
