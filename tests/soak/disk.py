"""A disk that is full at a random size: the command says so and loses nothing; with room, it ends as it would have.

A file system of its own in memory, where this process may mount one; else, and in a share of the cases, a bound on the
size of a file, which every writer meets as well.
"""

import os
import random
import re
import subprocess
from contextlib import contextmanager

from soak.child import call
from soak.digest import differences, digest, leftovers
from soak.kills import fresh

#: What a message must speak of.
_SAYS = re.compile(r"no space left|too large|full|room|read-only|quota|limits", re.IGNORECASE)
_PAGE = 4096
_LARGE = 256 << 20


@contextmanager
def mounted(place):
    """Mount a file system in memory; yield whether that is possible here."""
    place.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={_LARGE}", "soak", str(place)]
    can = os.geteuid() == 0 and subprocess.run(words, capture_output=True, check=False).returncode == 0
    try:
        yield can
    finally:
        if can:
            subprocess.run(["umount", "--lazy", str(place)], check=False)


class Disk:
    """Counts the points at which a command met a full disk."""

    name = "disk-full"

    def __init__(self, material, folder, seed, can_mount):
        self.material, self.place, self.seed, self.can_mount = material, folder, seed, can_mount
        self.commands = material.commands()
        self.whole = {}

    def case(self, number):
        """Return (1 where the disk was full, the command, what went wrong or nothing)."""
        draw = random.Random(f"{self.seed}/disk/{number}")
        command = draw.choices(self.commands, [one.weight for one in self.commands])[0]
        reference, used, largest = self._reference(command)
        folder = self.place / "case"
        fresh(folder, command, self.material)
        how = draw.choices(("mount", "file", "read-only"), (10, 4, 1))[0] if self.can_mount else "file"
        bound = int(draw.random() ** 2 * (largest if how == "file" else used))
        ended = self._harmed(command, folder, how, bound)
        if ended.code == 0 and not ended.trouble():
            return 0, command, _whole(folder, command, reference)
        what = f"{how} {bound}: "
        if trouble := ended.trouble((2,)):
            return 1, command, what + trouble
        if not _SAYS.search(ended.said):
            return 1, command, what + f"the message does not say what is the matter: {ended.said[-300:]}"
        if half := _half(folder, command, reference):
            return 1, command, what + f"half-written: {half[:3]}"
        ended = call(command.argv, folder)
        if ended.code != 0 or ended.trouble():
            return 1, command, what + f"then with room: {ended.trouble((0,))}"
        return 1, command, (wrong := _whole(folder, command, reference)) and what + wrong

    def _harmed(self, command, folder, how, bound):
        if how == "file":
            return call(command.argv, folder, largest=bound)
        (folder / "tmp").mkdir()
        try:
            if how == "read-only":
                self._remount("ro")
            else:
                self._remount(f"size={self._used() + max(bound, _PAGE) // _PAGE * _PAGE}")  # 0 would be no bound
            return call(command.argv, folder)
        finally:
            self._remount(f"rw,size={_LARGE}")

    def _used(self):
        found = os.statvfs(self.place)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def _remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.place)], check=True)

    def _reference(self, command):
        if command.name not in self.whole:
            folder = self.place / "case"
            fresh(folder, command, self.material)
            before = _size(folder)[0]
            ended = call(command.argv, folder)
            if ended.code != 0 or ended.trouble():
                raise SystemExit(f"The soak's own {command.name} fails unharmed: {ended}")
            total, largest = _size(folder)
            used = max(total - before, largest)
            self.whole[command.name] = digest(folder / command.output, command.exact), used, largest
        return self.whole[command.name]


def _size(folder):
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum((size + _PAGE - 1) // _PAGE * _PAGE for size in sizes), max(sizes, default=0)


def _whole(folder, command, reference):
    if other := differences(digest(folder / command.output, command.exact), reference):
        return f"other bytes in {other[:4]}"
    left = leftovers(folder)
    return f"it leaves {left[:3]}" if left else ""


def _half(folder, command, reference):
    """Return what has its final name and is not what it should be; ledgers grow, and are asked when it goes on."""
    place = folder / command.output
    if not place.exists():
        return []
    there = [path for path in ([place] if place.is_file() else place.rglob("*")) if path.is_file()]
    half = []
    for path in there:
        name = "." if path == place else str(path.relative_to(place))
        if name in reference and not isinstance(reference[name], dict) and not command.takes:
            try:
                same = digest(path, (path.name,) if path.name in command.exact else ())["."] == reference[name]
            except ValueError:
                same = False
            half += [] if same else [name]
    return half
