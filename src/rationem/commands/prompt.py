"""rationem prompt."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    raise NotImplementedError
