"""The tasks: prompt, hint prompt, parse, reward, levels. A task is a value that fulfils ``rationem.types.Task``."""
