"""rationem task: write your own task, and check it against the requirements on every task."""

from __future__ import annotations

import argparse
from pathlib import Path

from rationem import progress
from rationem.cli.parser import Parser

_PYTHON = '''"""A task of your own. Try it:  rationem task check {file}:{cls}
Train on it:  rationem fit DATA.csv --task {file}:{cls} --answer-col answer --model MODEL
"""


class {cls}:
    name = "{name}"
    inputs = ("question",)  # columns of your file; no other column can reach a prompt
    marker = "Answer:"  # opens the last line of a completion

    def prompt(self, fields):
        """x -> what the model is asked. The correct answer is not among the fields, and must not be."""
        return f"{{fields['question']}}\\nReason first, then end with one line: {{self.marker}} ANSWER"

    def hint(self, fields, answer):
        """What stands behind the prompt when the sampler is shown the correct answer; training never sees it."""
        return f"The correct answer is {{answer}}. Explain why."

    def read(self, line):
        """The text behind the marker, or a cell of your file -> the answer in one form, or None if there is none."""
        return " ".join(line.strip(" .").lower().split()) or None

    def reward(self, predicted, answer):
        """How much a predicted answer is worth, from 0 to 1; a draw is kept if it reaches --threshold."""
        return float(predicted == answer)
'''

_TOML = """# A task of your own. Try it:  rationem task check {file}
# Train on it:  rationem fit DATA.csv --task {file} --answer-col answer --model MODEL

name = "{name}"
# Columns of your file; no other column can reach a prompt.
inputs = ["question"]
# Opens the last line of a completion.
marker = "Answer:"
# How that line is read: "number", "text", or "pattern:REGEX" (its first group).
answer = "text"
# What an answer is worth beside the correct one: "exact" or "rouge-l".
reward = "exact"

prompt = '''
{{{{ question }}}}
Reason first, then end with one line: {{{{ marker }}}} ANSWER
'''

# What stands behind the prompt when the sampler is shown the correct answer; training never sees it.
hint = "The correct answer is {{{{ answer }}}}. Explain why."
"""


def arguments(parser: Parser) -> None:
    """Add ``new`` and ``check``."""
    parser.description = "Your own task: a Python class of twenty lines, or a TOML file."
    from rationem.cli.settings import add_flags
    from rationem.config import TakenBy, settings_with

    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "write a working task for you to change"
    new = actions.add_parser("new", help=text, description=text[0].upper() + text[1:] + ".")
    new.add_argument("file", type=Path, help="my_task.py or my_task.toml; must not exist")
    text = (
        "find violations of a task's requirements: the answer in the forward prompt, a parser that fails, a reward "
        "outside [0, 1], a format that the parser does not read back; exit status 1 if there are any"
    )
    check = actions.add_parser("check", help=text, description=text[0].upper() + text[1:] + ".")
    check.add_argument("task", help="my_task.py:MyTask, my_task.toml, or the name of a built-in task")
    check.add_argument("data", nargs="*", help="files whose rows it is tested on")
    parser.examples("rationem task new my_task.py", "rationem task check my_task.py:MyTask data.csv")
    add_flags(check, settings_with(TakenBy.TASK_CHECK), heading="the data")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    return _new(options.file) if options.action == "new" else _check(options)


def _new(file: Path) -> int:
    from rationem.errors import ConfigError
    from rationem.ledger import write_text

    wanted = {".py": _PYTHON, ".toml": _TOML}.get(file.suffix)
    if wanted is None or not file.stem.isidentifier():
        raise ConfigError(
            f"{file}: the file name must be like my_task.py or my_task.toml, of letters, digits and underscores."
        )
    cls = "".join(part.capitalize() for part in file.stem.split("_"))
    if file.exists():
        raise ConfigError(f"{file} already exists. Choose another name; nothing was written.")
    if not file.absolute().parent.is_dir():
        raise ConfigError(f"{file}: there is no directory {file.parent}.")
    write_text(file, wanted.format(file=file, cls=cls, name=file.stem))
    named = f"{file}:{cls}" if file.suffix == ".py" else file
    progress.out(f"{file} is written. It works already; check it with: rationem task check {named}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from rationem.cli.settings import given
    from rationem.config import read_config
    from rationem.run.prepare import prepare
    from rationem.run.understood import understood
    from rationem.tasks import named
    from rationem.tasks.conformance import check_task
    from rationem.tasks.protocol import Task
    from rationem.types import Example

    examples = list[Example]()
    task: Task = named(options.task)
    if options.data:
        # No set is held out, so that two rows are enough.
        task, splits = prepare(read_config(None, given(options)).replace(validation_share=0.0, test_share=0.0))
        examples = [*splits.train, *splits.validation, *splits.test]
        for line in understood(splits):
            progress.out(line)
    found = check_task(task, examples)
    for sentence in found:
        progress.out(f"- {sentence}")
    tried = f"{len(examples)} items" if examples else "made-up items"
    count = "1 thing" if len(found) == 1 else f"{len(found)} things"
    progress.out(
        f"{count} to correct." if found else (f"The task {task.name!r} meets all requirements, tested on {tried}.")
    )
    return int(bool(found))
