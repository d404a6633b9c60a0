"""``make soak``: HOURS=n for long, SEED=n for other cases, PARTS=kills,disk:40,inputs for some
of it, with at most so many cases, CASE=n for one case alone."""

import os
import random
import re
import sys
import tempfile
import time
from pathlib import Path

_MINUTES = 5
#: Share of the time.
PARTS = {"kills": 0.45, "disk": 0.2, "inputs": 0.35}


def main():
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))
    asked = (part.partition(":") for part in (os.environ.get("PARTS") or ",".join(PARTS)).split(",") if part)
    parts = {name: int(most) if most else 10**9 for name, _, most in asked}
    if unknown := parts.keys() - PARTS:
        raise SystemExit(f"PARTS={','.join(unknown)}: use some of {', '.join(PARTS)}.")
    hours, only = os.environ.get("HOURS"), os.environ.get("CASE")
    seconds = float(hours) * 3600 if hours else _MINUTES * 60
    with tempfile.TemporaryDirectory(prefix="rationem-soak-") as folder:
        home(Path(folder) / "home")
        return soak(Path(folder), seed, parts, seconds, None if only is None else int(only))


def home(place):
    """Give commands a home of their own, and one thread."""
    place.mkdir()
    ours = {"HOME": str(place), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false", "XDG_CONFIG_HOME": str(place / "config"), "COLUMNS": "120",
            "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    os.environ.update(ours)
    sys.dont_write_bytecode = True  # a module that is compiled late is no write outside
    for name in ("HF_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        os.environ[name] = str(place / name.lower())


def soak(folder, seed, parts, seconds, only=None):
    """Do the parts one after another; print the faults and one line; return the exit code."""
    from soak import child, disk, inputs, kills, material

    child.warm()
    made = material.make(folder / "material")
    print(f"Soak: seed {seed}, {', '.join(parts)}, {seconds:.0f} s.", flush=True)
    share = sum(PARTS[part] for part in parts)
    counts, faults, began = dict.fromkeys(PARTS, 0), [], time.monotonic()
    with disk.mounted(folder / "disk") as can_mount:
        if "disk" in parts and not can_mount:
            print("No file system can be mounted here: a disk is full where a file may not grow.", flush=True)
        owners = {
            "kills": kills.Kills(made, folder / "kills", seed),
            "disk": disk.Disk(made, folder / "disk", seed, can_mount),
            "inputs": inputs.Inputs(made, folder / "inputs", seed),
        }
        for part, most in parts.items():
            until = time.monotonic() + seconds * PARTS[part] / share
            first, end = (0, most) if only is None else (only, only + 1)
            done, found = _part(owners[part], first, end, until)
            counts[part] += done
            faults += [(part, *fault) for fault in found]
    for count, (part, number, words, what) in kinds(faults):
        more = f" (and {count - 1} like it)" if count > 1 else ""
        print(f"{part}: {words}: {what}{more}\n    make soak SEED={seed} PARTS={part} CASE={number}")
    took = time.monotonic() - began
    print(
        f"kills {counts['kills']}, disk-full {counts['disk']}, inputs {counts['inputs']}, faults {len(faults)} "
        f"(seed {seed}, {took:.0f} s)"
    )
    return 1 if faults else 0


def kinds(faults):
    """Return (how many, the first one) of each kind: what was raised where, or what happened, names aside."""
    groups = {}
    for fault in faults:
        what = re.sub(r"'[^']*'|/[^ :]*|\d+", "", fault[3])
        groups.setdefault(what[what.index("raised") :] if "raised" in what else (fault[2], what), []).append(fault)
    return [(len(found), found[0]) for found in groups.values()]


def _part(owner, first, end, until):
    if hasattr(owner, "run"):
        return owner.run(first, end, until)
    done, faults = 0, []
    for number in range(first, end):
        if time.monotonic() > until:
            break
        count, command, what = owner.case(number)
        done += count
        if number % 50 == 49:
            print(f"  {owner.name}: {done} in {number + 1} cases", flush=True)
        if what:
            faults.append((number, "rationem " + " ".join(command.argv), what))
            print(f"  {owner.name} case {number}: {command.name}: {what[:300]}", flush=True)
    return done, faults


if __name__ == "__main__":
    sys.exit(main())
