"""Comparison of schemes at equal data, seeds and steps: the paper's experiment on any task and model, in one command.

``design``   what is compared: arms, seeds, the reference, and what is held equal; named before anything runs
``running``  a run directory per arm and seed, what they have in common computed once; ``processes``  several at once
``items``    a run -> numbers per item
``results``  numbers per item -> means, intervals over seeds and items, paired differences
``tables``, ``figures``, ``page``  results -> Markdown, LaTeX, CSV; SVG; report.md and report.html
"""

from rationem.compare.design import Arm, Design, parse_arms
from rationem.compare.page import write
from rationem.compare.running import check_design, compare, default_workers

__all__ = ["Arm", "Design", "check_design", "compare", "default_workers", "parse_arms", "write"]
