"""Scratchpad arithmetic as in STaR: n-digit addition, the rationale is every column's sum and carry.

    h6t2u4 + H2T5U9                   x: 624 + 259, every digit with the letter of its place
    u4+U9+0=3 C1                      z, from the right: the two digits, the carry that comes in, the digit, the carry
    t2+T5+1=8 C0
    h6+H2+0=8 C0
    Answer: 883                       y

The base model ``tiny-adder`` adds numbers of one and two digits well and longer ones carelessly, the longer the worse.

Source: Zelikman et al., "STaR: Bootstrapping Reasoning With Reasoning", arXiv 2203.14465, section 4.3.
"""

from rationem.world.addition.base import tiny_adder
from rationem.world.addition.sums import DIGITS, TASK, examples, faithful

__all__ = ["DIGITS", "TASK", "examples", "faithful", "tiny_adder"]
