"""Scratchpad arithmetic as in STaR: n-digit addition, the rationale is every column's sum and carry.

    h6t2u4 + H2T5U9                   x: 624 + 259, every digit with the letter of its place
    u4+U9+0=C1,a3                     z, from the right: the two digits, the carry that comes in, the carry, the digit
    t2+T5+1=C0,b8
    h6+H2+0=C0,c8
    Answer: a3b8c8d0                  y: 883, from the right, every digit with a letter of its own

The base model ``tiny-adder`` adds numbers of one and two digits well, and longer ones worse with every digit. With a
long sum's result as a hint it writes a true scratchpad far more often.

Source: Zelikman et al., "STaR: Bootstrapping Reasoning With Reasoning", arXiv 2203.14465, section 4.3.
"""

from rationem.world.addition.base import tiny_adder
from rationem.world.addition.sums import DIGITS, TASK, examples, faithful

__all__ = ["DIGITS", "TASK", "examples", "faithful", "tiny_adder"]
