"""Flags of runs that are only there to be read again: they measure little."""

MEASURES_LITTLE = ("--wrong-hints", "4", "--difficulty-examples", "0", "--threads", "1", "--evidence-draws", "1")
