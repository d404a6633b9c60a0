"""SIGKILL at a random moment, once or several times, then the same command: it ends as if it had never been killed."""

import random
import shutil

from soak.child import call
from soak.digest import differences, digest, leftovers


class Kills:
    """Counts kills; a case is a command, and the moments at which it is killed."""

    name = "kills"

    def __init__(self, material, folder, seed):
        self.material, self.folder, self.seed = material, folder, seed
        self.commands = material.commands()
        self.whole = {}

    def case(self, number):
        """Return (kills, the command's words, what went wrong or nothing)."""
        draw = random.Random(f"{self.seed}/kills/{number}")
        command = draw.choices(self.commands, [one.weight for one in self.commands])[0]
        reference, seconds = self._reference(command)
        folder = self.folder / "case"
        fresh(folder, command, self.material)
        count = 0
        for _ in range(draw.randint(1, 3)):
            ended = call(command.argv, folder, kill_after=draw.uniform(0, 1.05) * seconds)
            if ended.code is not None:
                if what := ended.trouble():
                    return count, command, f"killed {count} times, then {what}"
                break
            count += 1
        argv = (
            ("fit", "--output", "out")
            if command.name == "fit" and _begun(folder) and draw.random() < 0.5
            else command.argv
        )
        return count, command, self._goes_on(folder, command, argv, reference, count)

    def _goes_on(self, folder, command, argv, reference, count):
        ended = call(argv, folder)
        if what := ended.trouble():
            return f"after {count} kills {what}"
        if not (folder / command.output).exists():
            return f"after {count} kills no {command.output}: {ended.said[-300:]}"
        if other := differences(digest(folder / command.output, command.exact), reference):
            return f"after {count} kills other bytes in {other[:4]} (exit code {ended.code}: {ended.said[-200:]})"
        left = leftovers(folder)
        return f"after {count} kills it leaves {left[:3]}" if left else ""

    def _reference(self, command):
        if command.name not in self.whole:
            folder = self.folder / "whole"
            fresh(folder, command, self.material)
            ended = call(command.argv, folder)
            if ended.code != 0 or ended.trouble():
                raise SystemExit(f"The soak's own {command.name} fails unharmed: {ended}")
            self.whole[command.name] = digest(folder / command.output, command.exact), ended.seconds
        return self.whole[command.name]


def fresh(folder, command, material):
    """Make an empty folder with what the command takes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in command.takes:
        shutil.copytree(material.folder / name, folder / name)


def _begun(folder):
    return (folder / "out" / "config.toml").is_file()
