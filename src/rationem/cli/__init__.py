"""One module per command of the command line: ``arguments(parser)`` and ``run(options)``."""
