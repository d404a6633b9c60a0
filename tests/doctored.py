"""Synthetic rating files, sound or with one defect, and `rationem check` on them."""

import csv
import json
import random

from rationem.check.show import sections
from rationem.cli.main import main

WORDS = "river stone lamp green paper window slow bread garden seven winter coat salt ferry quiet orange".split()


def rows(count=200, levels="12345", seed=0):
    """Rows without a defect: distinct texts, labels that no text tells, ids, twenty prompts' worth of groups."""
    draw = random.Random(seed)
    return [
        {
            "prompt": f"Which {' '.join(draw.sample(WORDS, 4))} is this ?",
            "response": f"The {' '.join(draw.sample(WORDS, 5))}, number {draw.randrange(10, 99)}, case {n}.",
            "rating": draw.choice(levels),
        }
        for n in range(count)
    ]


def write(path, table):
    """Write a CSV file and return its name."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in table for name in row)))
        writer.writeheader()
        writer.writerows(table)
    return str(path)


def check(capsys, *arguments):
    """Run the command with --json; return its exit code and its object, which is all that it prints.

    The text that the command prints without the flag is made of the same object: so it can be made.
    """
    code = main(["check", *map(str, arguments), "--json"])

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert found["exit_code"] == code
    assert all(title and lines for title, lines in sections(found))
    return code, found


def codes(found, severity=None):
    return {one["code"] for one in found["findings"] if severity in (None, one["severity"])}


def finding(found, code):
    return next(one for one in found["findings"] if one["code"] == code)
