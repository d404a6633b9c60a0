"""The tasks: prompt, hint prompt, parse, reward, levels. A task is a value; ``TASKS`` names the built-in ones."""
