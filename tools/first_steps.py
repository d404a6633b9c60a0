"""The five commands of the README with their real output: ``make first-steps`` (minutes; SmolLM2 must be installed)."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- first steps: written by `make first-steps` -->", "<!-- end of first steps -->"
#: Each command, and a pattern of the lines that are shown of its output; None shows none.
STEPS = {
    "rationem demo ratings": r"^(ratings\.csv is written: \d+ rows\.)",
    "rationem check ratings.csv --scale 1-5 --rater-col rater": r"^ *(Krippendorff's alpha .*|A fit [^.]*\.)",
    "rationem fit ratings.csv --scale 1-5 --rater-col rater --model smollm2 --demos 4 --quick -o runs/first": None,
    "rationem show runs/first": r"^(.*On \d+ test items.*)",
    "rationem judge runs/first ratings.csv -o rated.csv": r"^(\d+ rated.*)",
}


def run(command: str, there: Path) -> str:
    """Run one command; return its output, errors and progress apart."""
    began = [sys.executable, "-m", "rationem.cli", *shlex.split(command)[1:]]
    environment = {**os.environ, "COLUMNS": "400"}
    done = subprocess.run(began, cwd=there, env=environment, capture_output=True, text=True, check=False)
    (there / "log.txt").open("a").write(f"$ {command}\n{done.stdout}{done.stderr}\n")
    if done.returncode not in (0, 1):
        raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout + done.stderr


def shown(command: str, output: str) -> str:
    """Return a command and the lines that are shown of its output; ends the program if there are none."""
    pattern = STEPS[command]
    found = re.findall(pattern, output, re.MULTILINE) if pattern else []
    if pattern and not found:
        raise SystemExit(f"{command}: no line of its output fits {pattern!r}. Correct the pattern.")
    return "\n".join([f"$ {command}", *found])


def main(there: Path) -> None:
    write([shown(command, run(command, there)) for command in STEPS])


def write(lines: list[str]) -> None:
    """Put the commands with their output into the README."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    body = "\n".join(["", "", "```console", *lines, "```", "", ""])
    README.write_text(f"{before}{BEGIN}{body}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch))
